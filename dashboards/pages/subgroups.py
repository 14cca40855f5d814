"""Subgroups: for whom the index test is good, and for whom not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from dash import html

from dashboards import crossing, selection
from dashboards.charts.subgroups import Group, forest_chart, heat_chart, range_chart
from dashboards.components.measurands import exploratory_note, measurand_switches
from dashboards.components.switches import switch
from dashboards.components.text import Exact, exact
from dashboards.selection import INTERVALS, MANY, moments
from dashboards.view import Grid, Page, Part, View
from reports.bound import NOT_SHOWN, Bound, hidden_note, is_hidden, metric_of, within
from reports.document import Badge, Callout, Column, Inlines, Paragraph, Row, Section, Table
from reports.figures import Method
from reports.wording import ABSENT, estimate_of, group_label, inside, interval, number, p_text, sentence
from studies.intersections import BETWEEN
from validation.errors import ValidationError
from validation.fairness import FAILS, MEETS, adjust_tests, equal_means, group_verdict, pooled_intervals
from validation.results import Estimate

_MEASURES = {"mae": "mean absolute error", "bias": "bias", "rmse": "root mean square error", "ccc": "concordance"}
_TONES = {MEETS: "good", FAILS: "bad"}
_TESTS = {"equal mae": "mean absolute error", "equal bias": "bias", "equal spread": "spread"}


@dataclass(frozen=True)
class Division:
    """What people are divided by: an attribute of the plan, or two of them crossed.

    content: as of `results["subgroups"][name]`. names: group -> its label for people. said: where the results say more
    of the groups of the index test ("fairness" or "intersections", and the key); None where they do not.
    """

    label: str
    content: Mapping[str, Any]
    names: Mapping[str, str]
    said: tuple[str, str] | None
    crossed: bool = False

    @property
    def groups(self) -> Mapping[str, Any]:
        return self.content["by_group"]

    def source(self, report: Bound, group: str, test: str, measure: str) -> tuple[str, ...] | None:
        """Where the results have a group's measure; None where it is of this page's own making."""
        if self.crossed:
            place = self.said if self.said and test == report.index else None
        else:
            place = ("subgroups", self.said[1]) if self.said else self._own(report)
        if place is None:
            return None
        path = (*place, "by_group", group, "tests", test, *_steps(measure))
        return path if estimate_of(report.at(path))["estimate"] is not None else None

    def _own(self, report: Bound) -> tuple[str, str] | None:
        """The place of an attribute in results that have subgroups and nothing of their fairness."""
        known = report.results.get("subgroups") or {}
        return next((("subgroups", name) for name, part in known.items() if part is self.content), None)


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
    both = bool(cross) and view.option("groups", ["", "both"], "") == "both"
    chosen = [method for method in methods if who in ("all", method.name)] or methods[:1]
    switches = [
        *measurand_switches(view),
        switch(view, "By", "by", titles, by, next(iter(groups))),
        *([switch(view, "Crossed with", "cross", {n: titles[n] for n in others}, cross, others[0])] if cross else []),
        *([_of_one_or_both(view, titles[by], titles[cross], both=both)] if cross else []),
        switch(view, "Measure", "measure", {**_MEASURES, **shares}, measure, "mae"),
    ]
    if len(names) > 1:
        labels = {**{n: report.label(n) for n in names}, "all": "all"}
        switches.append(switch(view, "Method", "method", labels, who, report.index))
    parts: list[Part] = [html.Div(switches, className="switches")]
    parts += exploratory_note(report, "Intervals of groups are by the jackknife.")
    if view.selection.filtered:
        parts.append(Callout("Filters are set", (INTERVALS,), "unsure"))
    first = chosen[0]
    tests = [method.name for method in chosen]
    division = _crossed(view, report, by, cross, titles, tests) if both else _by_one(view, report, by, titles, tests)
    # The plan's criteria are on everybody and its own measurand: nothing else has a verdict.
    unplanned = view.selection.filtered or report.results.get("exploratory")
    margin = None if unplanned else _margin(report, division, measure, first.name)
    parts += [
        Section("by-group", f"By {_label(division)}", (Paragraph(_gap(report, division, first.name, measure)),)),
        Grid(
            (
                _forest(report, division, chosen, measure, margin),
                _table(report, division, first, measure, margin),
            )
        ),
        _equality(view, report, first, by, titles),
        *_range_and_heat(view, report, first, measure, by, cross, titles),
    ]
    return parts


def _of_one_or_both(view: View, one: str, other: str, *, both: bool) -> Any:
    choices = {"": inside(one), "both": f"{inside(one)}{BETWEEN}{inside(other)}"}
    return switch(view, "Groups of", "groups", choices, "both" if both else "", "")


def _by_one(view: View, report: Bound, by: str, titles: Mapping[str, str], tests: list[str]) -> Division:
    found = view.queries.subgroup(view.selection, by, tests)
    names = {group: group_label(group, by) for group in found["by_group"]}
    said = ("fairness", by) if by in (report.results.get("fairness") or {}) else None
    return Division(titles[by], found, names, said)


def _crossed(view: View, report: Bound, by: str, across: str, titles: Mapping[str, str], tests: list[str]) -> Division:
    """Two attributes at once; what may be shown is decided for each test, so that one may be hidden where another is
    not."""
    chosen = view.selection
    found = crossing.cross(chosen, by, across, tests[0])

    def make() -> dict[str, Any]:
        parts = selection.subgroup(chosen.rows, found.codes, found.names, BETWEEN.join(found.attributes), tests)
        for test in tests:  # what the results say of intersections is said of others in the same way
            for name, item in crossing.errors(chosen, found, test).items():
                if not is_hidden(parts["by_group"][name]["tests"][test]):
                    parts["by_group"][name]["tests"][test] |= item
        return parts

    key = ("crossed", chosen.analysis.key, chosen.filters, found.attributes, tuple(tests))
    made = view.queries.once(key, make)
    least = chosen.rows.manner.minimum_cell
    hidden = {"n": None, "suppressed": True, "minimum_cell": least, "tests": {}}
    by_group = {
        name: made["by_group"].get(name, hidden)
        for name, n in zip(found.names, found.subjects.ravel(), strict=True)
        if n
    }
    labels = {
        name: BETWEEN.join(group_label(*one) for one in zip(pair, found.attributes, strict=True))
        for name, pair in zip(found.names, found.cells, strict=True)
    }
    label = BETWEEN.join(titles[name] for name in found.attributes)
    said = ("intersections", found.key) if found.key else None
    return Division(label, {**made, "by_group": by_group}, labels, said, crossed=True)


def _metric(report: Bound, measure: str) -> tuple[str, str, int]:
    """Label, unit and decimals of a measure, the unit as short as a heading needs it."""
    name, unit, places = metric_of(report, measure)
    return name, report.pp if unit == report.points else unit, places


def _steps(measure: str) -> tuple[str, ...]:
    """Where an agreement has a measure."""
    return ("within", measure.removeprefix("within_")) if measure.startswith("within_") else (measure,)


def _of(content: Mapping[str, Any], measure: str) -> Mapping[str, Any]:
    found: Any = content
    for step in _steps(measure):
        found = (found or {}).get(step)
    return found or {}


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


def _label(division: Division) -> str:
    """A division inside a sentence."""
    return BETWEEN.join(inside(part) for part in division.label.split(BETWEEN))


def _forest(report: Bound, division: Division, methods: list[Method], measure: str, margin: float | None) -> Any:
    name, unit, places = _metric(report, measure)
    one = methods[0].name if len(methods) == 1 else ""
    n = (report.results["tests"].get(one) or {}).get("n") if one else report.results["n"]
    rows = [Group("All", n, {m.name: _whole(report, m, measure) for m in methods})]
    for group, content in division.groups.items():
        why = _hidden(content, methods[0].name)
        why = NOT_SHOWN if why and division.crossed else why
        shown = {test: _of(item, measure) for test, item in (content.get("tests") or {}).items() if not is_hidden(item)}
        n = None if why else (content["tests"].get(one) or content)["n"]
        rows.append(Group(division.names[group], n, shown, why))
    null = 0.0 if measure == "bias" else None
    return forest_chart(
        report, sentence(name), _label(division), unit, methods, rows, null=null, places=places, margin=margin
    )


def _verdicts(report: Bound, division: Division, measure: str, method: str) -> Mapping[str, Any]:
    """What the results say of the groups' verdicts; empty where they say nothing."""
    if division.said is None or method != report.index:
        return {}
    return report.at((*division.said, "verdicts", measure)) or {}


def _margin(report: Bound, division: Division, measure: str, method: str) -> float | None:
    """What the plan allows: its margin, or its criterion for everybody; of biases the largest distance from zero."""
    said = _verdicts(report, division, measure, method)
    if said:
        return said["margin"]
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


def _pooled(report: Bound, division: Division, shown: Mapping[str, Any], method: str, measure: str) -> dict[str, Any]:
    """Group -> its shrunken estimate as a cell, of the results where they have it."""
    if measure not in ("mae", "bias"):
        return {}
    if division.said and method == report.index:
        path = (*division.said, "pooled", measure, "groups")
        return {group: report.cell(*path, group) for group in report.at(path) or {}}
    try:
        pooled = pooled_intervals({group: _estimate(item) for group, item in shown.items()}).groups
    except ValidationError:  # one group alone, or groups without a spread: there is nothing to draw together
        return {}
    return {group: exact(item.to_dict(), 2) for group, item in pooled.items()}


def _table(report: Bound, division: Division, method: Method, measure: str, margin: float | None) -> Table:
    name, unit, places = _metric(report, measure)
    shown = {
        group: _of(content["tests"][method.name], measure)
        for group, content in division.groups.items()
        if not _hidden(content, method.name) and method.name in content["tests"]
    }
    pooled = _pooled(report, division, shown, method.name, measure)
    verdicts = _verdicts(report, division, measure, method.name).get("groups") or {}
    rows = []
    for group, content in division.groups.items():
        title = division.names[group]
        if group not in shown:
            rows.append(Row((title, "", NOT_SHOWN, *[""] * (bool(pooled) + (margin is not None)))))
            continue
        path = division.source(report, group, method.name, measure)
        own = report.cell(*path, places=places, who=title) if path else exact(shown[group], places)
        n = content["tests"][method.name].get("n", content["n"])
        drawn = [pooled.get(group, ABSENT)] if pooled else []
        verdict: tuple[Inlines, ...] = ()
        if margin is not None:
            asked = {"within": margin} if measure == "bias" else {"at_most": margin}
            word = verdicts.get(group) or group_verdict(_estimate(shown[group]), **asked)
            verdict = (Badge(word, _TONES.get(word, "unsure")),)
        rows.append(Row((title, f"{n:,}", own, *drawn, *verdict)))
    heading = f"{sentence(name)}{f' ({unit})' if unit else ''}"
    columns = [Column(division.label), Column("n", "right"), Column(heading, "right")]
    columns += [Column("Shrunken", "right")] if pooled else []
    columns += [Column("Verdict")] if margin is not None else []
    shrunken = "Shrunken: drawn towards the mean of the groups as far as their noise warrants (empirical Bayes)."
    notes = [shrunken] if pooled else []
    if margin is not None:
        kind = "±" if measure == "bias" else "at most "
        notes.append(
            f"Verdict: the whole interval against what the plan allows for everybody, {kind}{margin:g} {unit}."
        )
    if division.crossed:
        notes.append(
            "Intervals of crossed groups are those of the jackknife. Crossings that nobody is in are left out."
        )
    if len(shown) < len(division.groups):
        notes.append(hidden_note(report))
    who = sentence(report.label(method.name))
    caption = f"{who} against {report.reference} by {_label(division)}; {report.level} intervals in brackets."
    return Table("table-groups", caption, tuple(columns), tuple(rows), notes=(*notes, *report.why()))


def _said(item: Mapping[str, Any], places: int) -> str:
    found = estimate_of(item)
    between = interval(found, places)
    return f"{number(found['estimate'], places)}{f' ({between})' if between else ''}"


def _gap(report: Bound, division: Division, test: str, measure: str) -> Inlines:
    gap = (division.content.get("difference", {}).get(test) or {}).get(measure)
    name, unit, places = metric_of(report, measure)
    item = estimate_of(gap)
    if item["estimate"] is None or not item.get("high_group"):
        return f"No gap of the {name} between groups is computed by {_label(division)}."
    high, low = (division.names[item[key]] for key in ("high_group", "low_group"))
    apart = item["low"] is not None and (item["low"] > 0 or item["high"] < 0)
    shown = "differs between groups" if apart else "is not shown to differ between groups"
    return (
        f"The {name} of {report.spoken(test)} {shown}: highest for {inside(high)}, lowest for {inside(low)}, a gap of "
        f"{_said(item, places)} {unit}, with an interval that allows for having looked at all groups."
    )


def _equality(view: View, report: Bound, method: Method, by: str, titles: Mapping[str, str]) -> Table:
    """Does the test err alike in all groups? Of the results where they say it, else computed here, one test for each
    attribute."""
    if report.results.get("fairness") and method.name == report.index:
        return _equality_of_results(report)
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
        cells: list[Inlines] = [exact(gaps.get(metric), 2) for metric in ("mae", "bias")]
        test = adjusted.get(name)
        ps = [Exact(p_text(p), p) for p in (test.p_value, test.p_adjusted)] if test else [ABSENT, ABSENT]
        rows.append(Row((title, *cells, *ps)))
    columns = (
        Column("Attribute"),
        Column(f"Largest gap of MAE ({report.pp})", "right"),
        Column(f"Largest gap of bias ({report.pp})", "right"),
        Column("p of equal bias", "right"),
        Column("p, adjusted", "right"),
    )
    notes = [
        "p: Welch's analysis of variance of the subjects' differences, adjusted over these attributes by Holm's "
        "method. The plan did not ask for it: it explores."
    ]
    if large:
        notes.append(f"In a selection of more than {MANY:,} pairs only the gaps of the chosen attribute are computed.")
    notes += [f"{titles[name]}: {text}." for name, text in why.items()]
    caption = f"Gaps of {report.spoken(method.name)} between groups; simultaneous {report.level} intervals in brackets."
    return Table("table-equality", caption, columns, tuple(rows), notes=tuple(notes))


def _equality_of_results(report: Bound) -> Table:
    """The gaps and tests of the whole analysis, of single attributes and of two at once."""
    rows, why = [], []
    for where in ("fairness", "intersections"):
        parts = report.results.get(where) or {}
        if where == "intersections" and parts:
            rows.append(Row(("Two attributes at once",), kind="group"))
        for name, part in parts.items():
            cells: list[Inlines] = []
            for key in _TESTS:
                gap = ("subgroups", name, "difference", report.index, key.removeprefix("equal "))
                if key != "equal spread":
                    cells.append(report.cell(*gap, who=part["label"]) if where == "fairness" else ABSENT)
                path = (where, name, "tests", key)
                cells += [report.p(*path, p) if report.at(path) else ABSENT for p in ("p_value", "p_adjusted")]
            rows.append(Row((part["label"], *cells), indent=int(where == "intersections")))
            told = {text: ", ".join(_TESTS.get(k, k) for k in part["left_out"] if part["left_out"][k] == text)
                    for text in part["left_out"].values()}  # fmt: skip
            why += [f"{part['label']}, {tests}: {report.words(text)}." for text, tests in told.items()]
    heads = {"MAE": f"Gap of MAE ({report.pp})", "Bias": f"Gap of bias ({report.pp})", "Spread": ""}
    columns = [Column("Attribute")]
    for group, gap in heads.items():
        columns += [Column(gap, "right", group)] if gap else []
        columns += [Column("p", "right", group), Column("p, adjusted", "right", group)]
    notes = (
        "p: equal mean absolute error by permuting the labels, equal bias by Welch's analysis of variance, equal "
        "spread by the test of Brown and Forsythe; adjusted by Holm's method over all tests of single attributes, and "
        "over all of two at once.",
        *why,
        *report.why(),
    )
    caption = (
        f"Does {report.spoken(report.index)} err alike in all groups? Gaps with simultaneous {report.level} intervals."
    )
    return Table("table-equality", caption, tuple(columns), tuple(rows), notes=notes)


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
        parts.append(_heat(view, report, method, "bias" if measure == "bias" else "mae", by, cross, titles))
    return [Section("where", "Where the error lies", ()), Grid(tuple(parts))]


def _heat(
    view: View, report: Bound, method: Method, metric: str, by: str, cross: str, titles: Mapping[str, str]
) -> Any:
    chosen = view.selection
    found = crossing.cross(chosen, by, cross, method.name)
    if found.key and method.name == report.index:
        by_group = report.results["intersections"][found.key]["by_group"]
        cells = {name: content["tests"][method.name] for name, content in by_group.items() if not is_hidden(content)}
    else:
        cells = crossing.errors(chosen, found, method.name)
    down, across = found.attributes
    return heat_chart(
        report,
        f"{sentence(_MEASURES[metric])} of {report.spoken(method.name)}",
        report.pp,
        [[cells.get(BETWEEN.join((a, b)), {}) for b in found.groups[1]] for a in found.groups[0]],
        metric,
        found.subjects,
        [group_label(name, down) for name in found.groups[0]],
        [group_label(name, across) for name in found.groups[1]],
        (inside(titles[down]), inside(titles[across])),
        signed=metric == "bias",
        least=chosen.rows.manner.minimum_cell,
    )


PAGE = Page("subgroups", "Subgroups", build, measurands=True)
