"""For whom: the index test in every group of the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports import figures
from reports.bound import NOT_SHOWN, Bound, hidden_note, is_hidden, metric_of, within
from reports.document import Column, Figure, Inline, Paragraph, Row, Section, Table
from reports.wording import count, estimate_of, excludes, group_label, inside, sentence


def _why_hidden(item: Mapping[str, Any]) -> str:
    if item.get("reason"):
        return f"{NOT_SHOWN}, {item['reason']}"
    least = item.get("minimum_cell")
    return f"{NOT_SHOWN}: fewer than {least} subjects" if least else NOT_SHOWN


def subgroups(report: Bound) -> Section:
    subgroups = report.results.get("subgroups") or {}
    title = "Subgroups"
    if not subgroups:
        return Section("subgroups", title, (Paragraph("The plan names no subgroup."),))
    intro = (
        f"Does {report.spoken(report.index)} measure everyone equally well? Each group is shown with its interval, "
        "however wide. Gaps between groups are those of the two groups furthest apart, with an interval that allows "
        "for having looked at all groups of the attribute, but not for the number of attributes: the tests under "
        "Fairness do."
    )
    parts = [
        _subgroup(report, position, name, subgroup)
        for position, (name, subgroup) in enumerate(subgroups.items(), start=1)
    ]
    return Section("subgroups", title, (Paragraph(intro), *parts))


def _subgroup(report: Bound, position: int, name: str, subgroup: Mapping[str, Any]) -> Section:
    slug = f"subgroup-{position}"
    label = str(subgroup.get("label") or name)
    groups = list(subgroup.get("by_group") or {})
    if not groups:
        text = f"No analysed subject has a recorded {inside(label)}." if report.results["n"] else "Nobody was analysed."
        return Section(slug, label, (Paragraph(text),))
    blocks: list[Any] = [Paragraph(_gap_sentence(report, name, metric)) for metric in ("mae", "bias")]
    missing = subgroup.get("unlabelled")
    if missing:
        text = f" {'pair is' if missing == 1 else 'pairs are'} in no group, because {inside(label)} is not recorded."
        blocks.append(Paragraph((report.count("subgroups", name, "unlabelled"), text)))
    blocks.append(_subgroup_table(report, slug, name, label, groups))
    if len(report.results["tests"]) > 1:
        blocks.append(_subgroup_methods_table(report, slug, name, label, groups))
    if any(not is_hidden(subgroup["by_group"][group]) for group in groups):
        blocks.append(_forest(report, slug, name, label, groups))
    return Section(
        slug, label, tuple(block for block in blocks if not (isinstance(block, Paragraph) and not block.content))
    )


def _gap_sentence(report: Bound, name: str, metric: str) -> tuple[Inline, ...]:
    path = ("subgroups", name, "difference", report.index, metric)
    item = report.at(path)
    found = estimate_of(item)
    label, unit, _ = metric_of(report, metric)
    who = report.spoken(report.index)
    if found["estimate"] is None or not found.get("high_group"):
        if metric != "mae":
            return ()
        reason = found.get("reason")
        why = f" ({report.words(reason)})" if reason else ""
        return (f"The error of {who} could not be compared between groups{why}.",)
    high, low = group_label(found["high_group"], name), group_label(found["low_group"], name)
    gap = report.said(*path, unit=unit)
    if excludes(item):
        return (
            f"The {label} of {who} differs between groups: highest for {high}, lowest for {low}, a gap of ",
            *gap,
            ".",
        )
    shown = "cannot tell whether" if excludes(item) is None else "do not show that"
    return (
        f"The data {shown} the {label} of {who} differs between groups: highest for {high}, lowest for {low}, "
        "a gap of ",
        *gap,
        ".",
    )


def _subgroup_table(report: Bound, slug: str, name: str, label: str, groups: Sequence[str]) -> Table:
    index = report.index
    who = report.label(index)
    shares = within(report)[-1:]
    rows = []
    hidden = False
    for group in groups:
        path = ("subgroups", name, "by_group", group, "tests", index)
        found = report.at(path)
        title = group_label(group, name)
        width = 5 + len(shares)
        if is_hidden(found) or is_hidden(report.at(path[:4])):
            hidden = True
            rows.append(Row((title, NOT_SHOWN, *(("",) * width))))
            continue
        cells = [
            report.cell(*path, *keys, places=places, who=f"{who}, {title}")
            for keys, places in (
                (("mae",), 2),
                (("bias",), 2),
                (("limits", "lower"), 2),
                (("limits", "upper"), 2),
                (("ccc",), 3),
            )
        ]
        cells += [report.cell(*path, "within", k, places=1, who=f"{who}, {title}") for k in shares]
        rows.append(Row((title, report.count(*path, "n") if found else count(0), *cells)))
    columns = (
        Column(label, width=1.15),
        Column("n", "right", width=0.85 if hidden else 0.55),
        Column(f"MAE ({report.pp})", "right", width=0.95),
        Column(f"Bias ({report.pp})", "right", width=1.15),
        Column("Lower", "right", f"Limits of agreement ({report.pp})", 1.3),
        Column("Upper", "right", f"Limits of agreement ({report.pp})", 1.15),
        Column("CCC", "right", width=1.2),
        *(Column(f"Within ±{k} {report.pp} (%)", "right", width=1.2) for k in shares),
    )
    notes = (hidden_note(report),) if hidden else ()
    return Table(
        f"table-{slug}",
        f"{sentence(who)} against {report.reference} by {inside(label)}; {report.level} intervals in brackets.",
        columns,
        tuple(rows),
        notes=(*notes, *report.why()),
    )


def _subgroup_methods_table(report: Bound, slug: str, name: str, label: str, groups: Sequence[str]) -> Table:
    tests = [test for test in report.names if test in report.results["tests"]]
    rows = []
    hidden = False
    for group in groups:
        cells = []
        for test in tests:
            path = ("subgroups", name, "by_group", group, "tests", test)
            cell = report.group_cell(path, "mae", places=2, who=f"{report.label(test)}, {group_label(group, name)}")
            hidden |= cell == (NOT_SHOWN,)
            cells.append(cell)
        rows.append(Row((group_label(group, name), *cells)))
    overall = tuple(report.cell("tests", test, "mae", who=report.label(test)) for test in tests)
    rows.insert(0, Row(("All", *overall)))
    return Table(
        f"table-{slug}-methods",
        f"Mean absolute error ({report.points}) of every method by {inside(label)}; {report.level} intervals in "
        "brackets.",
        (Column(label, width=1.4), *(Column(sentence(report.label(test)), "right") for test in tests)),
        tuple(rows),
        notes=(*((hidden_note(report),) if hidden else ()), *report.why()),
    )


def _forest(report: Bound, slug: str, name: str, label: str, groups: Sequence[str]) -> Figure:
    methods = [method for method in report.methods if method.results.get("n")]
    by_group = report.results["subgroups"][name]["by_group"]
    panels = []
    for metric, null in (("mae", None), ("bias", 0.0)):
        rows = []
        for group in groups:
            content = by_group[group]
            tests = content.get("tests") or {}
            inner = tests.get(report.index)
            hidden = content if is_hidden(content) else inner if is_hidden(inner) else None
            if hidden is not None:
                rows.append(figures.GroupRow(group_label(group, name), None, {}, _why_hidden(hidden)))
                continue
            shown = {test: item.get(metric) or {} for test, item in tests.items() if not is_hidden(item)}
            rows.append(figures.GroupRow(group_label(group, name), content.get("n"), shown))
        overall = figures.GroupRow(
            "All", report.results["n"], {method.name: method.results.get(metric) or {} for method in methods}
        )
        title = {"mae": "Mean absolute error", "bias": "Bias"}[metric]
        panels.append(
            figures.forest_panel(title, f"{title} ({report.pp})", methods, overall, rows, null=null, places=2)
        )
    return Figure(
        f"figure-{slug}",
        f"Mean absolute error and bias by {inside(label)}, with {report.level} intervals. Dashed line: "
        f"{report.spoken(report.index)} in all; solid line: no bias.",
        tuple(panels),
    )
