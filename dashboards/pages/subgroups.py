"""Subgroups: for whom the index test is good, and for whom not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from dash import html

from dashboards.charts.subgroups import Group, forest_chart, heat_chart, range_chart
from dashboards.components.measurands import exploratory_note, measurand_switches
from dashboards.components.switches import switch
from dashboards.selection import INTERVALS, MANY, heat, moments
from dashboards.view import Grid, Page, Part, View
from reports.bound import NOT_SHOWN, Bound, hidden_note, is_hidden, metric_of, within
from reports.document import Badge, Callout, Column, Inlines, Paragraph, Row, Section, Small, Table
from reports.figures import Method
from reports.wording import estimate_of, group_label, inside, interval, number, p_text, sentence
from studies.disclosure import hidden
from validation.errors import ValidationError
from validation.fairness import FAILS, MEETS, adjust_tests, equal_means, group_verdict, pooled_intervals
from validation.results import Estimate

_MEASURES = {"mae": "mean absolute error", "bias": "bias", "rmse": "root mean square error", "ccc": "concordance"}
_TONES = {MEETS: "good", FAILS: "bad"}


def build(view: View) -> list[Part]:
    report = view.report
    groups = view.selection.analysis.groups
    if not groups:
        return [Paragraph("The analysis plan of this study names no subgroup.")]
    known = view.selection.analysis.results["subgroups"]
    titles = {name: str(known[name].get("label") or name) for name in groups}
    shares = {f"within_{key}": f"within ±{key} {report.pp}" for key in within(report)[-1:]}
    methods = [method for method in report.methods if method.results.get("n")]
    by = view.option("by", list(groups), next(iter(groups)))
    measure = view.option("measure", [*_MEASURES, *shares], "mae")
    names = [method.name for method in methods]
    who = view.option("method", [*names, "all"], report.index)
    others = [name for name in groups if name != by]
    cross = view.option("cross", others, others[0] if others else "")
    chosen = [method for method in methods if who in ("all", method.name)] or methods[:1]
    switches = [
        *measurand_switches(view),
        switch(view, "By", "by", titles, by, next(iter(groups))),
        switch(view, "Measure", "measure", {**_MEASURES, **shares}, measure, "mae"),
    ]
    if len(names) > 1:
        labels = {**{n: report.label(n) for n in names}, "all": "all"}
        switches.append(switch(view, "Method", "method", labels, who, report.index))
    if len(others) > 1:
        switches.append(switch(view, "Crossed with", "cross", {n: titles[n] for n in others}, cross, others[0]))
    parts: list[Part] = [html.Div(switches, className="switches")]
    parts += exploratory_note(report, "Intervals of groups are by the jackknife.")
    if view.selection.filtered:
        parts.append(Callout("Filters are set", (INTERVALS,), "unsure"))
    found = view.queries.subgroup(view.selection, by, [method.name for method in chosen])
    first = chosen[0]
    # The plan's criteria are on everybody and its own measurand: nothing else has a verdict.
    unplanned = view.selection.filtered or report.results.get("exploratory")
    margin = None if unplanned else _margin(report, measure, first.name)
    parts += [
        Paragraph(_gap(report, found, first.name, measure, by, titles[by])),
        Grid(
            (
                _forest(report, found, by, titles[by], chosen, measure, margin),
                _table(report, found, by, titles[by], first, measure, margin),
            )
        ),
        _equality(view, report, first, by, titles),
        *_range_and_heat(view, report, first, measure, by, cross, titles),
    ]
    return parts


def _metric(report: Bound, measure: str) -> tuple[str, str, int]:
    """Label, unit and decimals of a measure, the unit as short as a heading needs it."""
    name, unit, places = metric_of(report, measure)
    return name, report.pp if unit == report.points else unit, places


def _of(content: Mapping[str, Any], measure: str) -> Mapping[str, Any]:
    if measure.startswith("within_"):
        return (content.get("within") or {}).get(measure.removeprefix("within_")) or {}
    return content.get(measure) or {}


def _hidden(content: Mapping[str, Any], test: str) -> str:
    """Why a group is not shown; empty where it is."""
    for item in (content, (content.get("tests") or {}).get(test) or {}):
        if is_hidden(item):
            return (
                f"{NOT_SHOWN}, {item['reason']}"
                if item.get("reason")
                else f"{NOT_SHOWN}: fewer than {item['minimum_cell']} subjects"
            )
    return ""


def _whole(report: Bound, method: Method, measure: str) -> Mapping[str, Any]:
    return _of(report.results["tests"].get(method.name) or {}, measure)


def _forest(
    report: Bound, found: dict[str, Any], by: str, label: str, methods: list[Method], measure: str, margin: float | None
) -> Any:
    name, unit, places = _metric(report, measure)
    rows = [Group("All", report.results["n"], {m.name: _whole(report, m, measure) for m in methods})]
    for group, content in found["by_group"].items():
        why = _hidden(content, methods[0].name)
        shown = {test: _of(item, measure) for test, item in (content.get("tests") or {}).items() if not is_hidden(item)}
        rows.append(Group(group_label(group, by), None if why else content["n"], shown, why))
    null = 0.0 if measure == "bias" else None
    return forest_chart(
        report, sentence(name), inside(label), unit, methods, rows, null=null, places=places, margin=margin
    )


def _margin(report: Bound, measure: str, method: str) -> float | None:
    """What the plan's criterion allows for everybody; of biases the largest distance from zero."""
    for criterion in report.plan.get("criteria") or []:
        if (
            criterion["metric"] == measure
            and not criterion.get("group")
            and (criterion.get("method") or report.index) == method
        ):
            if measure in ("mae", "rmse"):
                return criterion.get("at_most")
            between = criterion.get("between")
            if measure == "bias" and between and between[0] == -between[1]:
                return between[1]
    return None


def _estimate(item: Mapping[str, Any]) -> Estimate:
    found = estimate_of(item)
    return Estimate(found["estimate"], found["low"], found["high"], 0.95, "")


def _table(
    report: Bound, found: dict[str, Any], by: str, label: str, method: Method, measure: str, margin: float | None
) -> Table:
    name, unit, places = _metric(report, measure)
    shown = {
        group: _of(content["tests"][method.name], measure)
        for group, content in found["by_group"].items()
        if not _hidden(content, method.name) and method.name in content["tests"]
    }
    pooled: Mapping[str, Estimate] = {}
    if measure in ("mae", "bias"):
        try:
            pooled = pooled_intervals({group: _estimate(item) for group, item in shown.items()}).groups
        except ValidationError:  # one group alone, or groups without a spread: there is nothing to draw together
            pooled = {}
    rows = []
    for group in found["by_group"]:
        title = group_label(group, by)
        if group not in shown:
            rows.append(Row((title, NOT_SHOWN, "", "", *([""] if margin is not None else []))))
            continue
        item = shown[group]
        own: Inlines = _cell(item, places)
        drawn: Inlines = _cell(pooled[group].to_dict(), places) if group in pooled else "–"
        verdict: tuple[Inlines, ...] = ()
        if margin is not None:
            asked = {"within": margin} if measure == "bias" else {"at_most": margin}
            word = group_verdict(_estimate(item), **asked)
            verdict = (Badge(word, _TONES.get(word, "unsure")),)
        rows.append(Row((title, f"{found['by_group'][group]['n']:,}", own, drawn, *verdict)))
    heading = f"{sentence(name)}{f' ({unit})' if unit else ''}"
    columns = [Column(label), Column("n", "right"), Column(heading, "right"), Column("Shrunken", "right")]
    columns += [Column("Verdict")] if margin is not None else []
    notes = ["Shrunken: drawn towards the mean of the groups as far as their noise warrants (empirical Bayes)."]
    if margin is not None:
        kind = "±" if measure == "bias" else "at most "
        notes.append(
            f"Verdict: the whole interval against the plan's criterion for everybody, {kind}{margin:g} {unit}."
        )
    if len(shown) < len(found["by_group"]):
        notes.append(hidden_note(report))
    who = sentence(report.label(method.name))
    caption = f"{who} against {report.reference} by {inside(label)}; {report.level} intervals in brackets."
    return Table("table-groups", caption, tuple(columns), tuple(rows), notes=tuple(notes))


def _said(item: Mapping[str, Any], places: int) -> str:
    found = estimate_of(item)
    between = interval(found, places)
    return f"{number(found['estimate'], places)}{f' ({between})' if between else ''}"


def _cell(item: Mapping[str, Any], places: int) -> Inlines:
    found = estimate_of(item)
    between = interval(found, places)
    return (number(found["estimate"], places), *([" ", Small(f"({between})", below=True)] if between else []))


def _gap(report: Bound, found: dict[str, Any], test: str, measure: str, by: str, label: str) -> Inlines:
    gap = (found.get("difference", {}).get(test) or {}).get(measure)
    name, unit, places = metric_of(report, measure)
    item = estimate_of(gap)
    if item["estimate"] is None or not item.get("high_group"):
        return f"No gap of the {name} between groups is computed by {inside(label)}."
    high, low = (group_label(item[key], by) for key in ("high_group", "low_group"))
    apart = item["low"] is not None and (item["low"] > 0 or item["high"] < 0)
    shown = "differs between groups" if apart else "is not shown to differ between groups"
    return (
        f"The {name} of {report.spoken(test)} {shown}: highest for {high}, lowest for {low}, a gap of "
        f"{_said(item, places)} {unit}, with an interval that allows for having looked at all groups."
    )


def _equality(view: View, report: Bound, method: Method, by: str, titles: Mapping[str, str]) -> Table:
    """Is the bias the same in all groups? One test an attribute, adjusted over the attributes."""
    chosen = view.selection
    made, why = {}, {}
    for name, (codes, names) in chosen.analysis.groups.items():
        try:
            made[name] = equal_means(moments(chosen.rows, method.name, codes[chosen.mask], names))
        except ValidationError as error:
            why[name] = str(error)
    adjusted = dict(zip(made, adjust_tests(list(made.values())), strict=True)) if made else {}
    large = chosen.filtered and chosen.rows.n > MANY
    rows = []
    for name, title in titles.items():
        gaps: Mapping[str, Any] = {}
        if name == by or not large:
            gaps = view.queries.subgroup(chosen, name, [method.name])["difference"].get(method.name) or {}
        cells: list[Inlines] = [_said(gaps.get(metric) or {}, 2) for metric in ("mae", "bias")]
        test = adjusted.get(name)
        ps = (p_text(test.p_value), p_text(test.p_adjusted)) if test else ("–", "–")
        rows.append(Row((title, *cells, *ps)))
    columns = (
        Column("Attribute"),
        Column(f"Largest gap of MAE ({report.pp})", "right"),
        Column(f"Largest gap of bias ({report.pp})", "right"),
        Column("p of equal bias", "right"),
        Column("p, adjusted", "right"),
    )
    notes = [
        "p: Welch's analysis of variance of the subjects' differences, adjusted over the attributes by Holm's method."
    ]
    if large:
        notes.append(f"In a selection of more than {MANY:,} pairs only the gaps of the chosen attribute are computed.")
    notes += [f"{titles[name]}: {text}." for name, text in why.items()]
    caption = f"Gaps of {report.spoken(method.name)} between groups; simultaneous {report.level} intervals in brackets."
    return Table("table-equality", caption, columns, tuple(rows), notes=tuple(notes))


def _range_and_heat(
    view: View, report: Bound, method: Method, measure: str, by: str, cross: str, titles: Mapping[str, str]
) -> list[Part]:
    rows = view.selection.rows
    there = ~np.isnan(rows.tests[method.name])
    least = rows.manner.minimum_cell
    parts: list[Part] = [
        range_chart(report, method, rows.tests[method.name][there], rows.reference[there], least=least)
    ]
    if cross:
        (down, down_names), (across, across_names) = (view.selection.analysis.groups[name] for name in (by, cross))
        metric = "bias" if measure == "bias" else "mae"
        shape = (len(down_names), len(across_names))
        mask = view.selection.mask
        value, subjects = heat(rows, metric, method.name, down[mask], across[mask], shape)
        value[hidden(np.column_stack([subjects.sum(axis=1), subjects]), least)[:, 1:]] = np.nan
        parts.append(
            heat_chart(
                report,
                f"{sentence(_MEASURES[metric])} of {report.spoken(method.name)}",
                report.pp,
                value,
                subjects,
                [group_label(n, by) for n in down_names],
                [group_label(n, cross) for n in across_names],
                (inside(titles[by]), inside(titles[cross])),
                signed=metric == "bias",
                least=least,
            )
        )
    return [Section("where", "Where the error lies", ()), Grid(tuple(parts))]


PAGE = Page("subgroups", "Subgroups", build, measurands=True)
