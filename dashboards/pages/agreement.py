"""Agreement: how far each method is from the reference standard, pair by pair."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import numpy as np
from dash import dcc, html

from dashboards.charts.agreement import bland_altman_chart, error_chart, identity_chart, spans
from dashboards.components.measurands import exploratory_note, measurand_switches
from dashboards.components.switches import switch
from dashboards.filters import address
from dashboards.queries import Pairs
from dashboards.selection import AT_ONCE, INTERVALS
from dashboards.view import Chart, Grid, Page, Part, View
from reports.bound import Bound, missing, within
from reports.document import Callout, Column, Row, Section, Table
from reports.figures import Method
from reports.sections.comparisons import comparisons
from reports.wording import estimate_of, sentence, unit_of_values
from validation.agreement import bland_altman, differences

_SCALES = {"raw": "difference", "percent": "percent of the mean"}
_LIMITS = {"plan": "as planned", "approximate": "approximate", "mover": "MOVER"}
_FARTHEST = 12


def build(view: View) -> list[Part]:
    report = view.report
    shown = [method for method in report.methods if method.results.get("n")]
    names = [method.name for method in shown]
    method = view.option("method", ["all", *names], "all")
    scale = view.option("scale", list(_SCALES), "raw")
    limits = view.option("limits", list(_LIMITS), "plan")
    chosen = [item for item in shown if method in ("all", item.name)]
    labels = {"all": "all", **{name: report.label(name) for name in names}}
    parts: list[Part] = [
        html.Div(
            [
                *measurand_switches(view),
                *([switch(view, "Method", "method", labels, method, "all")] if len(names) > 1 else []),
                switch(view, "Scale", "scale", _SCALES, scale, "raw"),
                switch(view, "Limits", "limits", _LIMITS, limits, "plan"),
                *_line_switch(view),
            ],
            className="switches",
        ),
        *exploratory_note(report),
    ]
    if view.selection.filtered:
        parts.append(Callout("Filters are set", (INTERVALS,), "unsure"))
    pairs = {name: view.selection.pairs_of(name) for name in names}
    parts += [Section("bland-altman", "Bias and limits of agreement", ())]
    parts += [Grid(tuple(_bland_altman(view, report, chosen, pairs, scale, limits))), _agreement_table(report)]
    parts += [
        Section("identity", f"Against {report.reference}", ()),
        Grid(tuple(_identity(view, report, chosen, pairs))),
    ]
    errors = {name: part.difference for name, part in pairs.items()}
    marks = [float(key) for key in within(report)]
    parts += [
        Section("errors", "Size of the errors", ()),
        Grid((error_chart(report, chosen, errors, marks), _error_table(report))),
        _regression_table(report),
        *([comparisons(report)] if report.results["comparisons"] else []),
        _farthest(view, report, pairs),
    ]
    return parts


def _line_switch(view: View) -> list[Any]:
    """Passing and Bablok's line takes seconds in a large selection, so that it is asked for."""
    if not view.selection.filtered or view.selection.rows.n <= AT_ONCE:
        return []
    choices = {"": "left out", "all": "computed, which takes seconds"}
    return [switch(view, "Passing–Bablok", "lines", choices, view.option("lines", ["", "all"], ""), "")]


def _to_subject(view: View) -> Any:
    return lambda code: address(f"/study/{view.study}/subject/{quote(str(code), safe='')}", view.filters)


def _bland_altman(
    view: View, report: Bound, methods: list[Method], pairs: dict[str, Pairs], scale: str, limits: str
) -> list[Chart]:
    """One chart a method, on common axes."""
    points: dict[str, tuple[np.ndarray, np.ndarray, dict[str, Any]]] = {}
    for method in methods:
        part = pairs[method.name]
        if scale == "raw" and limits == "plan":
            points[method.name] = part.mean, part.difference, dict(method.results)
            continue
        y, x = differences(part.test, part.reference, scale=scale)
        kind = "exact" if limits == "plan" else limits
        found = bland_altman(
            part.test, part.reference, scale=scale, limits_interval=kind, level=report.plan.get("level") or 0.95,
            subject=part.subject if part.repeated else None,
        )  # fmt: skip
        points[method.name] = x, y, found.to_dict()
    ends = [
        estimate_of((found.get("limits") or {}).get(side))[end]
        for _, _, found in points.values() for side in ("lower", "upper") for end in ("low", "high", "estimate")
    ]  # fmt: skip
    xlim = spans([x for x, _, _ in points.values()]) or (0.0, 1.0)
    ylim = spans([y for _, y, _ in points.values()], ends) or (-1.0, 1.0)
    unit = report.pp if scale == "raw" else "%"
    return [
        bland_altman_chart(
            report, method, points[method.name][2], *points[method.name][:2], pairs[method.name], xlim=xlim, ylim=ylim,
            unit=unit, address=_to_subject(view),
        )
        for method in methods
    ]  # fmt: skip


def _identity(view: View, report: Bound, methods: list[Method], pairs: dict[str, Pairs]) -> list[Chart]:
    values = [side for method in methods for side in (pairs[method.name].reference, pairs[method.name].test)]
    lim = spans(values) or (0.0, 1.0)
    return [
        identity_chart(
            report, method, dict(method.results), pairs[method.name].reference, pairs[method.name].test,
            pairs[method.name], lim=lim, address=_to_subject(view),
        )
        for method in methods
    ]  # fmt: skip


def _agreement_table(report: Bound) -> Table:
    rows = []
    for name in report.names:
        path, who = ("tests", name), report.label(name)
        if name not in report.results["tests"]:
            continue
        cells = (
            sentence(who), report.count(*path, "n"), report.cell(*path, "bias", who=who), report.value(*path, "sd"),
            report.p(*path, "p_value"), report.cell(*path, "limits", "lower", who=who),
            report.cell(*path, "limits", "upper", who=who),
            report.cell(*path, "proportional_bias", "slope", places=3, who=who),
        )  # fmt: skip
        rows.append(Row(cells))
    limits = f"Limits of agreement ({report.pp})"
    columns = (
        Column("Method"), Column("n", "right"), Column(f"Bias ({report.pp})", "right"), Column("SD", "right"),
        Column("p", "right"), Column("Lower", "right", limits), Column("Upper", "right", limits),
        Column("Slope on the mean", "right"),
    )  # fmt: skip
    caption = f"Bias and limits of agreement with {report.reference}; {report.level} intervals in brackets."
    notes = ("SD: standard deviation of the differences. p: paired test of no bias.", *missing(report), *report.why())
    return Table("table-agreement", caption, columns, tuple(rows), notes=notes)


def _error_table(report: Bound) -> Table:
    shares = within(report)
    rows = []
    for name in report.names:
        path, who = ("tests", name), report.label(name)
        if name not in report.results["tests"]:
            continue
        keys = [("mae",), ("rmse",), ("median_ae",), *(("within", key) for key in shares)]
        cells = [report.cell(*path, *key, places=1 if key[0] == "within" else 2, who=who) for key in keys]
        rows.append(
            Row((sentence(who), report.count(*path, "n"), *cells, report.cell(*path, "ccc", places=3, who=who)))
        )
    columns = (
        Column("Method"), Column("n", "right"), Column(f"MAE ({report.pp})", "right"),
        Column(f"RMSE ({report.pp})", "right"), Column(f"Median ({report.pp})", "right"),
        *(Column(f"Within ±{key} (%)", "right") for key in shares), Column("CCC", "right"),
    )  # fmt: skip
    caption = f"Errors against {report.reference}; {report.level} intervals in brackets."
    return Table("table-errors", caption, columns, tuple(rows), notes=(*missing(report), *report.why()))


def _regression_table(report: Bound) -> Table:
    rows = []
    for name in report.names:
        for key, label in (("deming", "Deming"), ("passing_bablok", "Passing–Bablok")):
            if not (report.results["tests"].get(name) or {}).get(key):
                continue
            path, who = ("tests", name, key), f"{report.label(name)}, {label}"
            slope, intercept = report.cell(*path, "slope", places=3, who=who), report.cell(*path, "intercept", who=who)
            n = report.count("tests", name, "n")
            rows.append(Row((sentence(report.label(name)), label, n, slope, intercept)))
    columns = (
        Column("Method"), Column("Line"), Column("n", "right"), Column("Slope", "right"),
        Column(f"Intercept ({unit_of_values(report.unit)})", "right"),
    )  # fmt: skip
    caption = (
        f"Lines through each method and {report.reference}, both with error; {report.level} intervals in brackets."
    )
    notes = ["Without constant or proportional bias the slope is 1 and the intercept 0."]
    return Table("table-regression", caption, columns, tuple(rows), notes=(*notes, *report.why()))


def _farthest(view: View, report: Bound, pairs: dict[str, Pairs]) -> Section:
    """The pairs that differ most, so that they can be reached without a mouse."""
    mine = pairs.get(report.index)
    rows = []
    if mine is not None:
        sizes = np.abs(mine.difference)
        most = np.argpartition(-sizes, min(_FARTHEST, len(sizes) - 1))[:_FARTHEST]
        people = mine.people.take(mine.rows[most])
        found = people.assign(reference=mine.reference[most], test=mine.test[most], difference=mine.difference[most])
        for row in found.iloc[np.lexsort([mine.rows[most], -sizes[most]])].to_dict("records"):
            values = [f"{row[key]:.1f}".replace("-", "−") for key in ("reference", "test", "difference")]
            rows.append(Row((_link(view, row["subject_id"]), row["visit"], *values)))
    columns = (
        Column("Subject"), Column("Visit"), Column(sentence(report.reference), "right"),
        Column(sentence(report.label(report.index)), "right"), Column(f"Difference ({report.pp})", "right"),
    )  # fmt: skip
    table = Table(
        "table-farthest",
        f"The {len(rows)} pairs of {report.spoken(report.index)} that differ most.",
        columns,
        tuple(rows),
    )
    return Section("farthest", "Largest differences", (table,))


def _link(view: View, code: str) -> Any:
    return (dcc.Link(code, href=_to_subject(view)(code)),)


PAGE = Page("agreement", "Agreement", build, measurands=True)
