"""Is the index test as good for everyone? Tests between the groups, verdicts on each, and what could not be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.bound import Bound, is_hidden, metric_of
from reports.document import Badge, Column, Inline, List, Paragraph, Row, Section, Table
from reports.wording import ABSENT, excludes, group_label, inside, listed, number, sentence, significant

_TESTS = {
    "equal bias": "Bias", "equal spread": "Spread of the differences", "equal mae": "Mean absolute error",
    "equal bias, adjusted": "Bias, given the size",
}  # fmt: skip
_FEW = "insufficient n"
_SHORT = {"not enough data to say": "undecided"}
_TONES = {"meets": "good", "fails": "bad", "not enough data to say": "unsure"}


def fairness(report: Bound) -> Section:
    title = "Fairness"
    crossed = intersections(report)
    more = (crossed,) if crossed else ()
    found = report.results.get("fairness") or {}
    who = report.spoken(report.index)
    if not found:
        text = "The plan names no subgroup, so nothing can be said of whether everyone is measured equally well."
        return Section("fairness", title, (Paragraph(text), *more))
    if all("all tests" in item["left_out"] for item in found.values()):
        text = "No two groups of a subgroup are large enough to be compared."
        return Section("fairness", title, (Paragraph(text), *more))
    intro = (
        f"Does {who} err alike in every group? Equal bias is tested by Welch's analysis of variance, equal spread by "
        "the test of Brown and Forsythe, an equal mean absolute error by permuting the labels. p-values are adjusted "
        "after Holm for all of these tests. A test that finds nothing is no proof of equality: the smallest difference "
        "that a group's numbers could have found is given beside it."
    )
    told = [_sentence(report, "fairness", name) for name in found]
    blocks: list[Any] = [Paragraph(intro), List(tuple(told)), _tests_table(report), _groups_table(report)]
    return Section("fairness", title, (*blocks, *more))


def intersections(report: Bound) -> Section | None:
    """People by two attributes at once; None where the analysis crosses none."""
    found = report.results.get("intersections") or {}
    if not found:
        return None
    title = "Intersections"
    if not any(item["by_group"] for item in found.values()):
        return Section("intersections", title, (Paragraph("Nobody was analysed of whom two attributes are recorded."),))
    shown = any(not is_hidden(cell) for item in found.values() for cell in item["by_group"].values())
    intro = (
        f"Does {report.spoken(report.index)} err alike where two attributes meet? Intersections hold few people, so "
        "that intervals are wide; they are those of the jackknife. Where too few are in one, it is not shown, nor is "
        "one that would reveal it."
    )
    if not shown:
        text = "Not enough data: no intersection is large enough to be shown."
        return Section("intersections", title, (Paragraph(intro), Paragraph(text)))
    told = [_sentence(report, "intersections", name) for name in found]
    blocks: list[Any] = [Paragraph(intro), List(tuple(told))]
    if any(item["tests"] for item in found.values()):
        blocks.append(_crossed_tests_table(report))
    blocks += [_crossed_table(report, position, name) for position, name in enumerate(found, start=1)]
    return Section("intersections", title, tuple(blocks))


def _label(report: Bound, where: str, name: str, group: str) -> str:
    """A group's name for people, be it of one attribute or of two."""
    if where == "fairness":
        return group_label(group, name)
    part = report.results[where][name]
    pairs = zip(part["by_group"][group]["groups"], part["attributes"], strict=True)
    return " × ".join(group_label(one, attribute) for one, attribute in pairs)


def _inside(label: str) -> str:
    """The label of an attribute, or of two, inside a sentence."""
    return " × ".join(inside(one) for one in label.split(" × "))


def _sentence(report: Bound, where: str, name: str) -> tuple[Inline, ...]:
    part = report.results[where][name]
    if not part["tests"]:
        return (f"{sentence(part['label'])}: not tested, since {_why_not(report, part)}.",)
    level = report.plan.get("level", 0.95)
    differ = [key for key, item in part["tests"].items() if significant(item["p_adjusted"], level)]
    who, label = report.spoken(report.index), _inside(part["label"])
    if not differ:
        return (f"{sentence(part['label'])}: the data do not show that {who} errs differently between groups"
                f"{_alone(report, where, name)}.",)  # fmt: skip
    words = listed(inside(_TESTS.get(key, key)) for key in differ)
    first = differ[0]
    verb = "differs" if len(differ) == 1 else "differ"
    out: list[Inline] = [f"{sentence(part['label'])}: the {words} of {who} {verb} between groups ("]
    out += [report.p(where, name, "tests", first, "p_adjusted", prose=True)]
    out.append(f" for the {inside(_TESTS.get(first, first))})" if len(differ) > 1 else ")")
    worst = part["worst"].get("mae")
    if worst and "equal mae" in differ:
        out.append(f"; by {label} the error is largest for {_label(report, where, name, worst)}")
    return (*out, ".")


def _alone(report: Bound, where: str, name: str) -> str:
    """That the section on subgroups says a gap is there, which the adjusted tests do not show: both are told."""
    gaps = ((report.results.get("subgroups") or {}).get(name, {}).get("difference") or {}).get(report.index) or {}
    found = [inside(metric_of(report, metric)[0]) for metric in ("mae", "bias") if excludes(gaps.get(metric))]
    if where != "fairness" or not found:
        return ""
    gap, leave = ("interval of the gap", "leaves") if len(found) == 1 else ("intervals of the gaps", "leave")
    return f", after adjustment for the number of tests; the {gap} in {listed(found)} alone {leave} out zero"


def _why_not(report: Bound, part: Mapping[str, Any]) -> str:
    """Why none of the tests between the groups could be made."""
    reasons = [why for key, why in part["left_out"].items() if key != "all tests"]
    if any("more than one group" in why for why in reasons):
        return "some subjects change their group from visit to visit"
    return listed(map(report.words, dict.fromkeys(reasons))) or "fewer than two groups are large enough"


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
            rows.append(Row(("Not tested", _why_not(report, part), ABSENT, ABSENT), indent=1))
        left += _left_out(part)
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


def _left_out(part: Mapping[str, Any]) -> list[str]:
    """Why tests could not be made, where others could."""
    if not part["tests"]:
        return []
    return [f"{part['label']}, {_TESTS.get(key, key)}: {why}." for key, why in part["left_out"].items()]


def _crossed_tests_table(report: Bound) -> Table:
    rows: list[Row] = []
    left: list[str] = []
    for name, part in report.results["intersections"].items():
        if part["tests"]:
            rows.append(Row((sentence(part["label"]),), kind="group"))
        for key, item in part["tests"].items():
            path = ("intersections", name, "tests", key)
            cells = (_TESTS.get(key, key), str(len(item["groups"])))
            rows.append(Row((*cells, report.p(*path, "p_value"), report.p(*path, "p_adjusted")), indent=1))
        left += _left_out(part)
    return Table(
        "table-intersection-equality",
        f"Tests of equality of {report.spoken(report.index)} between intersections, adjusted for all of them.",
        (
            Column("Equal between intersections", width=2.4),
            Column("Intersections", "right"),
            Column("p", "right"),
            Column("p, adjusted", "right"),
        ),
        tuple(rows),
        notes=tuple(left),
    )


def _groups_table(report: Bound) -> Table:
    """Every group with its number, even where it is too small: what a reviewer asks to see of each."""
    verdicts = _verdicts(report, "fairness")
    rows: list[Row] = []
    for name, part in report.results["fairness"].items():
        rows.append(Row((sentence(part["label"]),), kind="group"))
        by_group = (report.results.get("subgroups") or {}).get(name, {}).get("by_group") or {}
        rows += [_group_row(report, "fairness", name, group, by_group[group], verdicts, indent=1) for group in by_group]
    return Table(
        "table-groups",
        f"{sentence(report.spoken(report.index))} in every group of the plan; {report.level} intervals in brackets.",
        _group_columns(report, "Group", verdicts),
        tuple(rows),
        notes=(
            *_keys(rows, "a group"),
            *_margins(report, "fairness", verdicts),
            *report.why(),
        ),
    )


def _crossed_table(report: Bound, position: int, name: str) -> Table:
    part = report.results["intersections"][name]
    verdicts = _verdicts(report, "intersections")
    rows = [
        _group_row(report, "intersections", name, cell, content, verdicts) for cell, content in part["by_group"].items()
    ]
    return Table(
        f"table-intersection-{position}",
        f"{sentence(report.spoken(report.index))} by {_inside(part['label'])}; {report.level} intervals in brackets.",
        _group_columns(report, sentence(part["label"]), verdicts),
        tuple(rows),
        notes=(
            *_keys(rows, "an intersection"),
            *(("Intersections that nobody is in are left out.",) if _empty(part) else ()),
            *_margins(report, "intersections", verdicts),
            *report.why(),
        ),
    )


def _group_row(
    report: Bound, where: str, name: str, group: str, content: Mapping[str, Any], verdicts: Sequence[str],
    *, indent: int = 0,
) -> Row:  # fmt: skip
    place = "subgroups" if where == "fairness" else where
    path = (place, name, "by_group", group, "tests", report.index)
    found = report.at(path) or {}
    title = _label(report, where, name, group)
    if is_hidden(found) or is_hidden(content) or not found.get("n"):
        return Row((title, "too few", _FEW, *(("",) * (2 + len(verdicts)))), indent=indent)
    detectable = (where, name, "detectable", group)
    cells: list[Any] = [report.count(*path, "n")]
    cells += [report.cell(*path, "mae", who=title), report.cell(*path, "bias", who=title)]
    cells.append(report.value(*detectable) if report.at(detectable) is not None else ABSENT)
    for metric in verdicts:
        verdict = report.at((where, name, "verdicts", metric, "groups", group))
        cells.append(Badge(_SHORT.get(verdict, verdict), _TONES.get(verdict, "neutral")) if verdict else ABSENT)
    return Row((title, *cells), indent=indent)


def _keys(rows: Sequence[Row], what: str) -> list[str]:
    """What the words of a table of groups mean, those that stand in it."""
    cells = [cell for row in rows for cell in row.cells]
    told = [
        "Detectable gap: the smallest difference of the bias from that of all the others that these numbers find with "
        "a power of 80%."
    ]
    if _FEW in cells:
        told.append(
            f"Insufficient n: fewer subjects than the plan's minimum cell, or {what} that would reveal such a one."
        )
    if any(isinstance(cell, Badge) and cell.text == "undecided" for cell in cells):
        told.append("Undecided: the interval lies on both sides of the margin.")
    return [" ".join(told)]


def _empty(part: Mapping[str, Any]) -> bool:
    """Whether there are intersections that nobody is in."""
    groups = [cell["groups"] for cell in part["by_group"].values()]
    return len(groups) < len({one for one, _ in groups}) * len({other for _, other in groups})


def _group_columns(report: Bound, header: str, verdicts: Sequence[str]) -> tuple[Column, ...]:
    return (
        Column(header, width=1.7),
        Column("n", "right", width=0.8),
        Column(f"MAE ({report.pp})", "right", width=1.2),
        Column(f"Bias ({report.pp})", "right", width=1.3),
        Column(f"Detectable gap ({report.pp})", "right", width=1.1),
        *(Column({"mae": "Error", "bias": "Bias"}[metric], "left", "Verdict", 1.2) for metric in verdicts),
    )


def _verdicts(report: Bound, where: str) -> list[str]:
    """The metrics on which groups have verdicts."""
    parts = report.results[where].values()
    return [metric for metric in ("mae", "bias") if any(metric in part["verdicts"] for part in parts)]


def _margins(report: Bound, where: str, verdicts: Sequence[str]) -> list[str]:
    """What each verdict is against."""
    told = []
    for metric in verdicts:
        parts = report.results[where].values()
        margin = next(part["verdicts"][metric]["margin"] for part in parts if metric in part["verdicts"])
        sign = "±" if metric == "bias" else "at most "
        told.append(f"{sentence(metric_of(report, metric)[0])}: against {sign}{number(margin, 2)} {report.points}.")
    return told
