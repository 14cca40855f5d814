"""Is the index test as good for everyone? Tests between the groups, verdicts on each, and what could not be seen."""

from __future__ import annotations

from typing import Any

from reports.bound import Bound, is_hidden, metric_of
from reports.document import Badge, Column, Inline, List, Paragraph, Row, Section, Table
from reports.wording import ABSENT, group_label, inside, listed, number, sentence, significant

_TESTS = {
    "equal bias": "Bias", "equal spread": "Spread of the differences", "equal mae": "Mean absolute error",
    "equal bias, adjusted": "Bias, given the size",
}  # fmt: skip
_SHORT = {"not enough data to say": "undecided"}
_TONES = {"meets": "good", "fails": "bad", "not enough data to say": "unsure"}


def fairness(report: Bound) -> Section:
    found = report.results.get("fairness") or {}
    title = "Fairness"
    who = report.spoken(report.index)
    if not found:
        text = "The plan names no subgroup, so nothing can be said of whether everyone is measured equally well."
        return Section("fairness", title, (Paragraph(text),))
    if not any(item["tests"] for item in found.values()):
        text = "No two groups of a subgroup are large enough to be compared."
        return Section("fairness", title, (Paragraph(text),))
    intro = (
        f"Does {who} err alike in every group? Equal bias is tested by Welch's analysis of variance, equal spread by "
        "the "
        "test of Brown and Forsythe, an equal mean absolute error by permuting the labels. p-values are adjusted after "
        "Holm for all of these tests. A test that finds nothing is no proof of equality: the smallest difference that "
        "a group's numbers could have found is given beside it."
    )
    told = [item for name in found if (item := _sentence(report, name))]
    blocks: list[Any] = [Paragraph(intro), List(tuple(told)), _tests_table(report), _groups_table(report)]
    return Section("fairness", title, tuple(blocks))


def _sentence(report: Bound, name: str) -> tuple[Inline, ...] | None:
    part = report.results["fairness"][name]
    if not part["tests"]:
        return (f"{sentence(part['label'])}: not tested, since fewer than two groups are large enough.",)
    level = report.plan.get("level", 0.95)
    differ = [key for key, item in part["tests"].items() if significant(item["p_adjusted"], level)]
    who, label = report.spoken(report.index), inside(part["label"])
    if not differ:
        return (f"{sentence(part['label'])}: the data do not show that {who} errs differently between groups.",)
    words = listed(inside(_TESTS.get(key, key)) for key in differ)
    first = differ[0]
    verb = "differs" if len(differ) == 1 else "differ"
    out: list[Inline] = [f"{sentence(part['label'])}: the {words} of {who} {verb} between groups ("]
    out += [report.p("fairness", name, "tests", first, "p_adjusted", prose=True)]
    out.append(f" for the {inside(_TESTS.get(first, first))})" if len(differ) > 1 else ")")
    worst = part["worst"].get("mae")
    if worst and "equal mae" in differ:
        out.append(f"; by {label} the error is largest for {group_label(worst, name)}")
    return (*out, ".")


def _tests_table(report: Bound) -> Table:
    rows: list[Row] = []
    left: list[str] = []
    for name, part in report.results["fairness"].items():
        rows.append(Row((sentence(part["label"]),), kind="group"))
        for key, item in part["tests"].items():
            path = ("fairness", name, "tests", key)
            groups = listed(group_label(group, name) for group in item["groups"])
            cells = (_TESTS.get(key, key), groups, report.p(*path, "p_value"), report.p(*path, "p_adjusted"))
            rows.append(Row(cells, indent=1))
        if not part["tests"]:
            rows.append(Row(("Not tested", "fewer than two groups of sufficient size", ABSENT, ABSENT), indent=1))
        left += [
            f"{part['label']}, {_TESTS.get(key, key)}: {why}." for key, why in part["left_out"].items() if part["tests"]
        ]
    return Table(
        "table-equality",
        f"Tests of equality of {report.spoken(report.index)} between groups.",
        (
            Column("Equal between groups", width=1.6),
            Column("Groups", width=3.2),
            Column("p", "right", width=0.8),
            Column("p, adjusted", "right", width=0.9),
        ),
        tuple(rows),
        notes=tuple(left),
    )


def _groups_table(report: Bound) -> Table:
    """Every group with its number, even where it is too small: what a reviewer asks to see of each."""
    verdicts = [metric for metric in ("mae", "bias") if _has_verdict(report, metric)]
    rows: list[Row] = []
    for name, part in report.results["fairness"].items():
        rows.append(Row((sentence(part["label"]),), kind="group"))
        by_group = (report.results.get("subgroups") or {}).get(name, {}).get("by_group") or {}
        for group in by_group:
            path = ("subgroups", name, "by_group", group, "tests", report.index)
            found = report.at(path) or {}
            title = group_label(group, name)
            if is_hidden(found) or is_hidden(by_group[group]) or not found.get("n"):
                rows.append(Row((title, "too few", *(("insufficient n",) + ("",) * (2 + len(verdicts)))), indent=1))
                continue
            detectable = ("fairness", name, "detectable", group)
            cells: list[Any] = [report.count(*path, "n")]
            cells += [report.cell(*path, "mae", who=title), report.cell(*path, "bias", who=title)]
            cells.append(report.value(*detectable) if report.at(detectable) is not None else ABSENT)
            for metric in verdicts:
                verdict = report.at(("fairness", name, "verdicts", metric, "groups", group))
                cells.append(Badge(_SHORT.get(verdict, verdict), _TONES.get(verdict, "neutral")) if verdict else ABSENT)
            rows.append(Row((title, *cells), indent=1))
    margins = [
        f"{sentence(metric_of(report, metric)[0])}: against "
        f"{'±' if metric == 'bias' else 'at most '}{number(_margin(report, metric), 2)} {report.points}."
        for metric in verdicts
    ]
    return Table(
        "table-groups",
        f"{sentence(report.spoken(report.index))} in every group of the plan; {report.level} intervals in brackets.",
        (
            Column("Group", width=1.7),
            Column("n", "right", width=0.8),
            Column(f"MAE ({report.pp})", "right", width=1.2),
            Column(f"Bias ({report.pp})", "right", width=1.3),
            Column(f"Detectable gap ({report.pp})", "right", width=1.1),
            *(Column({"mae": "Error", "bias": "Bias"}[metric], "left", "Verdict", 1.2) for metric in verdicts),
        ),
        tuple(rows),
        notes=(
            "Detectable gap: the smallest difference of a group's bias from that of all the others that its numbers "
            "find "
            "with a power of 80%. Insufficient n: fewer subjects than the plan's minimum cell, or a group that would "
            "reveal such a one. Undecided: the interval lies on both sides of the margin.",
            *margins,
            *report.why(),
        ),
    )


def _has_verdict(report: Bound, metric: str) -> bool:
    return any(metric in part["verdicts"] for part in report.results["fairness"].values())


def _margin(report: Bound, metric: str) -> float | None:
    return next(
        (
            part["verdicts"][metric]["margin"]
            for part in report.results["fairness"].values()
            if metric in part["verdicts"]
        ),
        None,
    )
