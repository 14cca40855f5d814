"""How well each method agrees with the reference standard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reports import figures
from reports.bound import NOT_SHOWN, TONES, Bound, after, hidden_note, is_hidden, metric_of, missing, within
from reports.document import Badge, Column, Figure, Inline, List, Paragraph, Row, Section, Small, Strong, Table, Value
from reports.wording import (
    ABSENT,
    count,
    direction,
    estimate_of,
    excludes,
    group_label,
    listed,
    plain_number,
    proportional,
    sentence,
    unit_of_values,
)


def bias_sentence(report: Bound, name: str) -> list[Inline]:
    """ "BIA under-reads DXA on average: bias −0.14 percentage points (95% CI …; p = …)." """
    path = ("tests", name)
    item = report.at((*path, "bias"))
    out: list[Inline] = [sentence(direction(item, report.spoken(name), report.reference))]
    if estimate_of(item)["estimate"] is None:
        return [*out, "."]
    out += [": bias ", report.value(*path, "bias", "estimate"), f" {report.points}"]
    ends = report.ends(*path, "bias")
    p = report.at((*path, "p_value"))
    inner: list[Inline] = [f"{report.level} CI ", *ends] if ends else []
    if p is not None:
        inner += [*(["; "] if inner else []), report.p(*path, "p_value", prose=True)]
    return [*out, *([" (", *inner, ")"] if inner else []), "."]


def agreement(report: Bound) -> Section:
    blocks: list[Any] = []
    if not any((report.results["tests"].get(name) or {}).get("n") for name in report.names):
        text = f"No method has a pair with {report.reference}, so there is nothing to report."
        return Section("agreement", f"Agreement with {report.reference}", (Paragraph(text),))
    blocks.append(Section("at-a-glance", "At a glance", (_paper_table(report),)))
    blocks.append(Section("errors", "Size of the errors", (_error_table(report), _error_figure(report))))
    bias: list[Any] = [
        List(tuple(_agreement_sentence(report, name) for name in report.names)),
        _agreement_table(report),
        _bland_altman(report),
    ]
    blocks.append(Section("bias", "Bias and limits of agreement", tuple(bias)))
    equivalence = _equivalence(report)
    if equivalence:
        blocks.append(equivalence)
    icc = _icc_table(report)
    concordance: list[Any] = [_concordance_table(report), *([icc] if icc else []), _identity(report)]
    blocks.append(Section("concordance", "Concordance", tuple(concordance)))
    regression = _regression(report)
    if regression:
        blocks.append(regression)
    return Section("agreement", f"Agreement with {report.reference}", tuple(blocks))


def _n(report: Bound, name: str) -> Value | str:
    return report.count("tests", name, "n") if name in report.results["tests"] else count(0)


def _paper_table(report: Bound) -> Table:
    """Everything that a paper on a new method prints, one row a method."""
    groups = [(name, group) for name, group in _sex_groups(report) if group in ("F", "M")]
    rows, hidden = [], False
    for name in report.names:
        path, found = ("tests", name), report.results["tests"].get(name) or {}
        if not found.get("n"):
            rows.append(Row((sentence(report.label(name)), "no pair", *((ABSENT,) * (5 + len(groups))))))
            continue
        mae: tuple[Inline, ...] = (report.value(*path, "mae", "estimate"),)
        if found.get("absolute_sd") is not None:
            mae = (*mae, " ± ", report.value(*path, "absolute_sd"))
        concordance: list[Any] = [report.value(*path, "ccc", "estimate")]
        for subgroup, group in groups:
            inner = ("subgroups", subgroup, "by_group", group)
            if is_hidden(report.at(inner)) or is_hidden(report.at((*inner, "tests", name))):
                hidden = True
                concordance.append(ABSENT)
            else:
                concordance.append(report.value(*inner, "tests", name, "ccc", "estimate"))
        limits = [report.value(*path, "limits", end, "estimate", places=1) for end in ("lower", "upper")]
        slope = (*path, "proportional_bias")
        rows.append(
            Row(
                (
                    sentence(report.label(name)),
                    mae,
                    _against_index(report, name),
                    *concordance,
                    (report.value(*path, "bias", "estimate"), " ", _beneath(report.p(*path, "p_value", prose=True))),
                    (limits[0], " to ", limits[1]),
                    (report.value(*slope, "r_squared"), " ", _beneath(report.p(*slope, "p_value", prose=True))),
                )
            )
        )
    bmi = report.results.get("bmi") or {}
    if bmi:
        cells: list[Any] = [report.value("bmi", "All", "ccc", "estimate")]
        cells += [report.value("bmi", group, "ccc", "estimate") if group in bmi else ABSENT for _, group in groups]
        rows.append(Row(("Raw BMI", ABSENT, ABSENT, *cells, ABSENT, ABSENT, ABSENT)))
    columns = (
        Column("Method", width=1.3),
        Column(f"MAE ± SD ({report.pp})", "right", width=1.25),
        Column("p", "right", width=0.75),
        Column("All", "right", "CCC", 0.65),
        *(Column(group_label(group), "right", "CCC", 0.85) for _, group in groups),
        Column(f"Bias ({report.pp})", "right", width=1.0),
        Column(f"Limits ({report.pp})", "right", width=1.35),
        Column("R² of slope", "right", width=0.95),
    )
    notes = [
        f"SD: of the absolute errors. p: of the mean absolute error against that of {report.spoken(report.index)}, "
        "adjusted after Holm. R² of slope: of the regression of the differences on the means, with the p-value of its "
        "slope.",
    ]
    if bmi:
        notes.append(
            "Raw BMI is in kg/m², beside a percentage of fat. Papers print it; its fair form are the equations."
        )
    if hidden:
        notes.append(hidden_note(report).replace(NOT_SHOWN, ABSENT))
    return Table(
        "table-paper",
        f"Accuracy of each method against {report.reference}, and its agreement.",
        columns,
        tuple(rows),
        notes=tuple(notes),
    )


def _beneath(value: Value) -> Small:
    return Small(value, below=True)


def _against_index(report: Bound, name: str) -> Inline:
    """The adjusted p-value of the error of a method against that of the index test."""
    for position, row in enumerate(report.results.get("comparisons") or []):
        if row["metric"] == "mae" and {row["a"], row["b"]} == {name, report.index}:
            return report.p("comparisons", position, "p_adjusted")
    return ABSENT


def _error_table(report: Bound) -> Table:
    shares = within(report)
    rows = []
    for name in report.names:
        path, who = ("tests", name), report.label(name)
        rows.append(
            Row(
                (
                    sentence(who),
                    _n(report, name),
                    report.cell(*path, "mae", who=who),
                    report.cell(*path, "rmse", who=who),
                    report.cell(*path, "median_ae", who=who),
                    report.cell(*path, "mape", places=1, who=who),
                    *(report.cell(*path, "within", k, places=1, who=who) for k in shares),
                )
            )
        )
    columns = [
        Column("Method", width=1.25),
        Column("n", "right", width=0.65),
        Column(f"MAE ({report.pp})", "right"),
        Column(f"RMSE ({report.pp})", "right"),
        Column(f"Median error ({report.pp})", "right"),
        Column("MAPE (%)", "right"),
        *(Column(f"Within ±{k} {report.pp} (%)", "right") for k in shares),
    ]
    return Table(
        "table-errors",
        f"Errors against {report.reference}; {report.level} intervals in brackets.",
        tuple(columns),
        tuple(rows),
        notes=(
            f"MAE: mean absolute error. RMSE: root mean square error. MAPE: mean absolute percentage error."
            f"{' pp: percentage points.' if report.pp == 'pp' else ''}",
            *missing(report),
            *report.why(),
        ),
    )


def _agreement_sentence(report: Bound, name: str) -> tuple[Inline, ...]:
    result = report.results["tests"].get(name) or {}
    path = ("tests", name)
    if not result.get("n"):
        return (Strong(sentence(report.label(name))), f": no pair with {report.reference}.")
    out: list[Inline] = bias_sentence(report, name)
    limits = result.get("limits") or {}
    if all(estimate_of(limits.get(end))["estimate"] is not None for end in ("lower", "upper")):
        out += [
            " Limits of agreement ",
            report.value(*path, "limits", "lower", "estimate"),
            " to ",
            report.value(*path, "limits", "upper", "estimate"),
            f" {report.points}.",
        ]
    slope = report.at((*path, "proportional_bias", "slope"))
    if estimate_of(slope)["estimate"] is not None:
        out.append(f" {proportional(slope, report.spoken(name))}")
        if excludes(slope):
            out += [" (slope ", report.value(*path, "proportional_bias", "slope", "estimate", places=3), ")"]
        out.append(".")
    return tuple(out)


def _agreement_table(report: Bound) -> Table:
    rows = []
    for name in report.names:
        path, who = ("tests", name), report.label(name)
        rows.append(
            Row(
                (
                    sentence(who),
                    _n(report, name),
                    report.cell(*path, "bias", who=who),
                    report.value(*path, "sd"),
                    report.p(*path, "p_value"),
                    report.cell(*path, "limits", "lower", who=who),
                    report.cell(*path, "limits", "upper", who=who),
                    report.cell(*path, "proportional_bias", "slope", places=3, who=who),
                )
            )
        )
    columns = (
        Column("Method", width=1.15),
        Column("n", "right", width=0.65),
        Column(f"Bias ({report.pp})", "right", width=1.15),
        Column("SD", "right", width=0.5),
        Column("p", "right", width=0.7),
        Column("Lower", "right", f"Limits of agreement ({report.pp})", 1.25),
        Column("Upper", "right", f"Limits of agreement ({report.pp})", 1.1),
        Column("Slope on the mean", "right", width=1.35),
    )
    return Table(
        "table-agreement",
        f"Bias and limits of agreement with {report.reference}; {report.level} intervals in brackets.",
        columns,
        tuple(rows),
        notes=(
            "SD: standard deviation of the differences. p: paired test of no bias.",
            *missing(report),
            *report.why(),
        ),
    )


def _bland_altman(report: Bound) -> Figure:
    means = {name: report.column(name, "mean") for name in report.names}
    gaps = {name: report.column(name, "difference") for name in report.names}
    xlim, ylim = figures.spans(means.values(), gaps.values(), report.methods)
    panels = tuple(
        figures.bland_altman_panel(
            method,
            report.reference,
            means[method.name],
            gaps[method.name],
            unit=report.unit,
            level=report.level,
            xlim=xlim,
            ylim=ylim,
        )
        for method in report.methods
    )
    return Figure(
        "figure-bland-altman",
        f"Bland–Altman plots on common axes. Solid line: bias; dashed lines: limits of agreement; bands: their "
        f"{report.level} intervals; dotted line: zero.",
        panels,
        notes=_dense_note(report),
    )


def _dense_note(report: Bound) -> tuple[str, ...]:
    if any(len(report.column(name, "mean")) > figures.DENSE for name in report.names):
        return (
            f"Above {count(figures.DENSE)} pairs, hexagons are drawn instead of points: the fuller the colour, the "
            "more pairs in it.",
        )
    return ()


def _identity(report: Bound) -> Figure:
    values = [report.column(name, column) for name in report.names for column in ("reference", "test")]
    lim = figures.spans(values, [], [])[0]
    panels = tuple(
        figures.identity_panel(
            method,
            report.reference,
            report.column(method.name, "reference"),
            report.column(method.name, "test"),
            unit=report.unit,
            lim=lim,
        )
        for method in report.methods
    )
    return Figure(
        "figure-identity",
        f"Each method against {report.reference}. A pair on the line has the same value by both.",
        panels,
        notes=_dense_note(report),
    )


def _error_figure(report: Bound) -> Figure:
    errors = {name: np.abs(report.column(name, "difference")) for name in report.names}
    marks = [float(k) for k in within(report)]
    return Figure(
        "figure-errors",
        "Absolute errors. Size: quartiles (box), median (line), 5th to 95th percentile (whiskers) and mean (diamond). "
        "Share: the percentage of pairs whose error is no larger than the value on the axis"
        f"{'; dotted lines at ' + listed(plain_number(mark) for mark in marks) if marks else ''}. "
        "Both axes end at the 99th percentile of the worst method.",
        figures.error_panels(report.methods, errors, unit=report.unit, marks=marks),
    )


def _sex_groups(report: Bound) -> list[tuple[str, str]]:
    """The groups of sex, women first, as (label, group); none where sex is no subgroup."""
    for name, subgroup in (report.results.get("subgroups") or {}).items():
        source = next((item for item in report.plan.get("subgroups") or [] if item.get("name") == name), {})
        if name == "sex" or source.get("attribute") == "sex":
            return [
                (name, group) for group in sorted(subgroup["by_group"], key=lambda group: (group != "F", group == "M"))
            ]
    return []


def _concordance_table(report: Bound) -> Table:
    groups = _sex_groups(report)
    rows = []
    for name in report.names:
        path, who = ("tests", name), report.label(name)
        by_sex = []
        for subgroup, group in groups:
            inner = ("subgroups", subgroup, "by_group", group, "tests", name)
            by_sex.append(report.group_cell(inner, "ccc", places=3, who=f"{who}, {group_label(group)}"))
        rows.append(
            Row(
                (
                    sentence(who),
                    _n(report, name),
                    report.cell(*path, "ccc", places=3, who=who),
                    *by_sex,
                    report.cell(*path, "pearson", places=3, who=who),
                )
            )
        )
    columns = (
        Column("Method", width=1.25),
        Column("n", "right", width=0.65),
        Column("All" if groups else "CCC", "right", "CCC" if groups else "", 1.2),
        *(Column(group_label(group), "right", "CCC", 1.2) for _, group in groups),
        Column("Pearson r", "right", width=1.2),
    )
    notes = ["CCC: Lin's concordance correlation coefficient."]
    if any(
        is_hidden(report.at(("subgroups", s, "by_group", g, "tests", name)))
        for s, g in groups
        for name in report.results["tests"]
    ):
        notes.append(hidden_note(report))
    return Table(
        "table-concordance",
        f"Concordance and correlation with {report.reference}; {report.level} intervals in brackets.",
        columns,
        tuple(rows),
        notes=(*notes, *missing(report), *report.why()),
    )


def _icc_table(report: Bound) -> Table | None:
    """Intraclass correlations, where the analysis has them: one estimate, or one a form."""
    forms: dict[str, tuple[str, ...]] = {}
    for test in report.results["tests"].values():
        icc = test.get("icc")
        if isinstance(icc, Mapping) and "estimate" in icc:
            forms["ICC"] = ("icc",)
        elif isinstance(icc, Mapping):
            forms.update({form: ("icc", form) for form, item in icc.items() if isinstance(item, Mapping)})
    if not forms:
        return None
    rows = []
    for name in report.names:
        who = report.label(name)
        cells = [report.cell("tests", name, *keys, places=3, who=who) for keys in forms.values()]
        rows.append(Row((sentence(who), *cells)))
    meaning = (
        "1: one-way; A: absolute agreement; C: consistency. “,1”: of a single measurement; “,k”: of the mean of both."
    )
    return Table(
        "table-icc",
        f"Intraclass correlation coefficients with {report.reference}, by form; {report.level} intervals in brackets.",
        (Column("Method", width=1.15), *(Column(form, "right") for form in forms)),
        tuple(rows),
        notes=(*((meaning,) if len(forms) > 1 else ()), *report.why()),
    )


def _regression(report: Bound) -> Section | None:
    """Regressions that allow for error in both methods, where the analysis has them."""
    kinds = (("deming", "Deming"), ("passing_bablok", "Passing–Bablok"))
    rows = []
    for name in report.names:
        for key, label in kinds:
            found = (report.results["tests"].get(name) or {}).get(key)
            if not isinstance(found, Mapping) or not {"slope", "intercept"} & set(found):
                continue
            path, who = ("tests", name, key), f"{report.label(name)}, {label}"
            rows.append(
                Row(
                    (
                        sentence(report.label(name)),
                        label,
                        report.cell(*path, "slope", places=3, who=who),
                        report.cell(*path, "intercept", who=who),
                    )
                )
            )
    if not rows:
        return None
    table = Table(
        "table-regression",
        f"Regression of each method on {report.reference}; {report.level} intervals in brackets. "
        "Without constant or proportional bias, the slope is 1 and the intercept 0.",
        (
            Column("Method"),
            Column("Regression"),
            Column("Slope", "right"),
            Column(f"Intercept ({unit_of_values(report.unit)})", "right"),
        ),
        tuple(rows),
        notes=report.why(),
    )
    return Section("regression", "Regression", (table,))


def _equivalence(report: Bound) -> Section | None:
    items = report.results.get("equivalence") or []
    if not items:
        return None
    rows = []
    for position, item in enumerate(items):
        label, unit, places = metric_of(report, item["metric"])
        who = report.label(item["method"])
        rows.append(
            Row(
                (
                    sentence(who),
                    sentence(label),
                    ("±", report.value("equivalence", position, "margin", places=2), after(unit)),
                    report.cell("equivalence", position, "estimate", places=places, who=who),
                    Badge(
                        "not shown to be equivalent" if item["verdict"] == "not shown" else item["verdict"],
                        TONES.get(item["verdict"], "unsure"),
                    ),
                )
            )
        )
    shown = [report.spoken(item["method"]) for item in items if item["verdict"] == "equivalent"]
    text = (
        f"{sentence(listed(dict.fromkeys(shown)))} {'is' if len(set(shown)) == 1 else 'are'} equivalent to "
        f"{report.reference} on average, within the margin of the plan."
        if shown
        else f"No method is shown to be equivalent to {report.reference} within the margin of the plan."
    )
    table = Table(
        "table-equivalence",
        f"Equivalence with {report.reference}: shown when the whole {report.level} interval lies inside the margin.",
        (
            Column("Method", width=1.2),
            Column("Measure", width=0.9),
            Column("Margin", width=1.5),
            Column("Result", "right", width=1.3),
            Column("Verdict", width=1.7),
        ),
        tuple(rows),
        notes=report.why(),
    )
    return Section("equivalence", "Equivalence", (Paragraph(text), table))
