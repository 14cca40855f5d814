"""What a method means where somebody decides something: its bias at decision levels, and 2 x 2 tables at cut-offs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reports.bound import NOT_SHOWN, Bound, hidden_note, is_hidden
from reports.document import Column, Inline, Inlines, List, Paragraph, Row, Section, Table
from reports.wording import direction, estimate_of, group_label, inside, plain_number, sentence, unit_of_values

_COUNTS = ("true_positive", "false_negative", "false_positive", "true_negative")
_RATES = (
    ("sensitivity", "Sensitivity"), ("specificity", "Specificity"),
    ("positive_predictive_value", "PPV"), ("negative_predictive_value", "NPV"),
)  # fmt: skip


def decisions(report: Bound) -> Section:
    """The bias at the plan's decision levels and the tables at its cut-offs; or that the plan names none."""
    title = "Decision levels and cut-offs"
    levels, cuts = report.results.get("decision_levels") or [], report.results.get("cut_offs") or []
    if not levels and not cuts:
        text = (
            f"The plan names no value of {report.measurand} at which something is decided, so that nothing is said of "
            "the bias there, nor of how well people are told apart."
        )
        return Section("decisions", title, (Paragraph(text),))
    parts = []
    if levels:
        blocks = (_levels_intro(report), List(tuple(_level_sentence(report, i) for i in range(len(levels)))))
        parts.append(Section("decision-levels", "Bias at decision levels", (*blocks, _levels_table(report))))
    if cuts:
        blocks = (_cuts_intro(report), List(tuple(_cut_sentence(report, i) for i in range(len(cuts)))))
        tables = (_counts_table(report), _rates_table(report))
        parts.append(Section("cut-offs", "Classification at cut-offs", (*blocks, *tables)))
    return Section("decisions", title, tuple(parts))


# Bias at decision levels ----------------------------------------------------------------------------------------------


def _levels_intro(report: Bound) -> Paragraph:
    return Paragraph(
        f"What is the bias where something is decided? It is read off the regression of each method on "
        f"{report.reference} that allows for error in both. The line takes all pairs into account, not only those near "
        "the level."
    )


def _level_sentence(report: Bound, position: int) -> tuple[Inline, ...]:
    path = ("decision_levels", position)
    found = report.at((*path, "tests", report.index)) or {}
    at = _at(report, path)
    if is_hidden(found):
        return (*at, ": not shown, since too few subjects are in the group.")
    bias = found.get("deming")
    if estimate_of(bias)["estimate"] is None:
        reason = (bias or found).get("reason")
        why = f": {report.words(reason)}" if reason else ""
        return (*at, f": the bias of {report.spoken(report.index)} could not be computed{why}.")
    said = direction(bias, report.spoken(report.index), report.reference).removesuffix(" on average")
    out: list[Inline] = [*at, f": {said}, bias "]
    out += report.said(*path, "tests", report.index, "deming", unit=report.points)
    beyond = report.at((*path, "beyond"))
    if beyond:
        what = {"below": "lowest", "above": "highest"}[beyond]
        out.append(f". The level lies {beyond} the {what} {report.reference} value, where the line is only continued")
    return (*out, ".")


def _at(report: Bound, path: tuple[Any, ...]) -> tuple[Inline, ...]:
    """ "Obesity, at 35% in women" """
    item = report.at(path)
    name = f"{sentence(item['name'])}, at " if item["name"] else "At "
    return (name, report.plain(*path, "value"), _unit(report), _among(report, item["group"]))


def _unit(report: Bound) -> str:
    unit = unit_of_values(report.unit)
    return "%" if unit == "%" else f" {unit}" if unit else ""


def _among(report: Bound, group: str | None) -> str:
    """ " in women", " (age: 18–39)" """
    if group is None:
        return ""
    name, _, label = group.partition("=")
    told = group_label(label, name)
    if name == "sex" and told != label:
        return f" in {inside(told)}"
    title = (report.results.get("subgroups") or {}).get(name, {}).get("label") or name.replace("_", " ")
    return f" ({inside(title)}: {told})"


def _head(report: Bound, item: Mapping[str, Any]) -> str:
    """A row's title: the name, the value and among whom."""
    value = f"{plain_number(item['value'])}{_unit(report)}{_among(report, item['group'])}"
    return f"{sentence(item['name'])}: {value}" if item["name"] else value


def _rows(
    report: Bound, key: str, cells: Callable[[tuple[Any, ...], str], tuple[Inlines, ...]], width: int
) -> tuple[list[Row], bool]:
    """Rows by level or cut-off, and by test. cells: of (path, label of the test), for one that is shown, `width` of
    them."""
    rows: list[Row] = []
    hidden = False
    for position, item in enumerate(report.results[key]):
        rows.append(Row((_head(report, item),), kind="group"))
        for test in report.names:
            path, who = (key, position, "tests", test), report.label(test)
            found = report.at(path) or {}
            if is_hidden(found) or not found.get("n"):
                hidden |= is_hidden(found)
                told = NOT_SHOWN if is_hidden(found) else "no pair"
                rows.append(Row((sentence(who), told, *([""] * (width - 1))), indent=1))
            else:
                rows.append(Row((sentence(who), *cells(path, who)), indent=1))
    return rows, hidden


def _levels_table(report: Bound) -> Table:
    def cells(path: tuple[Any, ...], who: str) -> tuple[Inlines, ...]:
        deming = report.cell(*path, "deming", who=f"{who}, Deming")
        return (report.count(*path, "n"), deming, report.value(*path, "passing_bablok", "estimate"))

    rows, hidden = _rows(report, "decision_levels", cells, 3)
    return Table(
        "table-decision-levels",
        f"Bias against {report.reference} at decision levels; {report.level} intervals in brackets.",
        (
            Column("Level, method", width=2.2),
            Column("n", "right", width=0.7),
            Column("Deming", "right", f"Bias ({report.pp})", 1.6),
            Column("Passing–Bablok", "right", f"Bias ({report.pp})", 1.2),
        ),
        tuple(rows),
        notes=(
            "Intervals are those of Deming's line, by the jackknife over subjects; errors of both methods are taken to "
            "be equally large. Passing and Bablok's line assumes no normal errors and stands beside it as a check.",
            *((hidden_note(report),) if hidden else ()),
            *report.why(),
        ),
    )


# Classification at cut-offs -------------------------------------------------------------------------------------------


def _cuts_intro(report: Bound) -> Paragraph:
    text = (
        "Who has the cut-off or more is positive. Sensitivity is the share of those positive by "
        f"{report.reference} whom a method finds, specificity the share of the others whom it leaves out. PPV and NPV "
        "are the shares of its positive and negative results that are right: they hold for as many positive people as "
        "are in this study, and are others elsewhere. One pair a subject, the first; who has no value by a method is "
        "not in its row."
    )
    if any(item["index_value"] is not None for item in report.results["cut_offs"]):
        text += f" The cut-off of {report.spoken(report.index)} is its own where the plan names one."
    return Paragraph(text)


def _cut_sentence(report: Bound, position: int) -> tuple[Inline, ...]:
    path = ("cut_offs", position)
    item = report.at(path)
    inner = (*path, "tests", report.index)
    found = report.at(inner) or {}
    at = _at(report, path)
    if is_hidden(found):
        return (*at, ": not shown, since too few subjects are in the group.")
    if not found.get("n"):
        return (*at, f": nobody has a pair of {report.spoken(report.index)} and {report.reference}.")
    positives, negatives = found["positives"], found["n"] - found["positives"]
    out: list[Inline] = [*at, ": "]
    if item["index_value"] is not None:
        out += ["with a cut-off of its own at ", report.plain(*path, "index_value"), _unit(report), ", "]
    out.append(f"{report.spoken(report.index)} ")
    told: list[Inline] = []
    if positives:
        told += ["finds ", *_share(report, inner, "sensitivity"), " of the "]
        told += [report.count(*inner, "positives"), f" {_people(positives)} positive by {report.reference}"]
    if negatives:
        told += [" and leaves out " if told else "leaves out ", *_share(report, inner, "specificity")]
        told.append(" of the others" if positives else f" of those analysed; nobody is positive by {report.reference}")
    elif positives:
        told.append(f"; nobody is negative by {report.reference}")
    return (*out, *told, ".")


def _people(n: int) -> str:
    return "subject" if n == 1 else "subjects"


def _share(report: Bound, path: tuple[Any, ...], rate: str) -> tuple[Inline, ...]:
    ends = report.ends(*path, rate, places=1)
    inner = (f" ({report.level} CI ", *ends, ")") if ends else ()
    return (report.value(*path, rate, "estimate", places=1), "%", *inner)


def _counts_table(report: Bound) -> Table:
    def cells(path: tuple[Any, ...], who: str) -> tuple[Inlines, ...]:
        prevalence = report.cell(*path, "prevalence", places=1, who=who)
        return (report.count(*path, "n"), *(report.count(*path, name) for name in _COUNTS), prevalence)

    rows, hidden = _rows(report, "cut_offs", cells, 2 + len(_COUNTS))
    both, other = f"Positive by {report.reference}", f"Negative by {report.reference}"
    return Table(
        "table-two-by-two",
        f"Subjects at and above each cut-off, by each method and by {report.reference}.",
        (
            Column("Cut-off, method", width=2.2),
            Column("n", "right", width=0.8),
            *(Column(f"Method {sign}", "right", group, 0.9) for group in (both, other) for sign in ("+", "−")),
            Column("Positive (%)", "right", width=1.2),
        ),
        tuple(rows),
        notes=(
            f"Positive: the share of subjects with the cut-off or more by {report.reference}, with its "
            f"{report.level} interval.",
            *((hidden_note(report),) if hidden else ()),
            *report.why(),
        ),
    )


def _rates_table(report: Bound) -> Table:
    def cells(path: tuple[Any, ...], who: str) -> tuple[Inlines, ...]:
        return tuple(report.cell(*path, name, places=1, who=f"{who}, {label}") for name, label in _RATES)

    rows, hidden = _rows(report, "cut_offs", cells, len(_RATES))
    return Table(
        "table-cut-offs",
        f"How well each method tells people apart at each cut-off (%); {report.level} intervals in brackets.",
        (Column("Cut-off, method", width=2.2), *(Column(label, "right", width=1.3) for _, label in _RATES)),
        tuple(rows),
        notes=(
            "Wilson's intervals. PPV: positive predictive value; NPV: negative predictive value.",
            *((hidden_note(report),) if hidden else ()),
            *report.why(),
        ),
    )
