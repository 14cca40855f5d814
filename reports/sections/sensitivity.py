"""Would the conclusion stand if the analysis had been done a little otherwise?"""

from __future__ import annotations

from typing import Any

from reports.bound import Bound, is_hidden
from reports.document import Column, Inline, List, Paragraph, Row, Section, Table
from reports.sections.scans import failures_sentence
from reports.wording import estimate_of, plural, sentence


def sensitivity(report: Bound) -> Section:
    found = report.at(("sensitivity",)) or {}
    title = "Sensitivity analyses"
    if not (found.get("planned") or {}).get("n"):
        why = "too few subjects" if is_hidden(found.get("planned")) else "there is no pair"
        return Section("sensitivity", title, (Paragraph(f"No sensitivity analysis could be made: {why}."),))
    scenarios = found.get("scenarios") or []
    told = [item for position in range(len(scenarios)) if (item := _sentence(report, position))]
    blocks: list[Any] = [Paragraph(_summary(report, scenarios))]
    if told:
        blocks.append(List(tuple(told)))
    blocks.append(_table(report, scenarios))
    blocks.append(Paragraph(failures_sentence(report)))
    return Section("sensitivity", title, tuple(blocks))


def _beyond(report: Bound, position: int) -> bool | None:
    """Whether the mean absolute error of a scenario lies outside the interval of the planned one."""
    planned = estimate_of(report.at(("sensitivity", "planned", "mae")))
    other = estimate_of(report.at(("sensitivity", "scenarios", position, "mae")))
    if None in (planned["low"], planned["high"], other["estimate"]):
        return None
    return not planned["low"] <= other["estimate"] <= planned["high"]


def _summary(report: Bound, scenarios: list[dict[str, Any]]) -> tuple[Inline, ...]:
    who = report.spoken(report.index)
    changed = [position for position, item in enumerate(scenarios) if item.get("n") and not item.get("same")]
    same = sum(bool(item.get("same")) for item in scenarios)
    out: list[Inline] = [f"The mean absolute error of {who} was "]
    out += [*report.said("sensitivity", "planned", "mae", unit=report.points), " as planned. "]
    beyond = sum(_beyond(report, position) is True for position in changed)
    if not changed:
        out.append(
            "No other choice would have changed the pairs." if scenarios else "There was no other choice to try."
        )
    elif beyond:
        out.append(
            f"{plural(beyond, 'other choice')} of {len(changed)} that changed the pairs "
            f"{'takes' if beyond == 1 else 'take'} it out of this interval."
        )
    else:
        out.append(
            "The one other choice that changed the pairs leaves it in this interval."
            if len(changed) == 1
            else f"None of the {len(changed)} other choices that changed the pairs takes it out of this interval."
        )
    if same and changed:
        out.append(f" {plural(same, 'choice')} gave the very same pairs.")
    return tuple(out)


def _sentence(report: Bound, position: int) -> tuple[Inline, ...] | None:
    if not _beyond(report, position):
        return None
    path = ("sensitivity", "scenarios", position)
    planned = estimate_of(report.at(("sensitivity", "planned", "mae")))
    other = estimate_of(report.at((*path, "mae")))
    way = "smaller" if other["estimate"] < planned["estimate"] else "larger"
    label = sentence(report.words(report.at((*path, "label"))))
    return (f"{label}: the error is {way}, ", *report.said(*path, "mae", unit=report.points), ".")


def _table(report: Bound, scenarios: list[dict[str, Any]]) -> Table:
    rows = [_row(report, ("sensitivity", "planned"), "As planned", kind="total")]
    for position, item in enumerate(scenarios):
        label = sentence(report.words(item["label"]))
        path = ("sensitivity", "scenarios", position)
        if item.get("same"):
            rows.append(Row((label, report.count(*path, "n"), "the same pairs", "", "", "", "")))
        else:
            rows.append(_row(report, path, label))
    return Table(
        "table-sensitivity",
        f"{sentence(report.label(report.index))} against {report.reference}, analysed otherwise; {report.level} "
        "intervals "
        "in brackets.",
        (
            Column("Pairs", width=2.0),
            Column("n", "right", width=0.7),
            Column(f"MAE ({report.pp})", "right", width=1.2),
            Column(f"Bias ({report.pp})", "right", width=1.3),
            Column("Lower", "right", f"Limits of agreement ({report.pp})", 0.9),
            Column("Upper", "right", f"Limits of agreement ({report.pp})", 0.9),
            Column("CCC", "right", width=1.3),
        ),
        tuple(rows),
        notes=(
            "A robust SD is 1.4826 times the median distance of the differences from their median.",
            *report.why(),
        ),
    )


def _row(report: Bound, path: tuple[str | int, ...], label: str, kind: Any = "row") -> Row:
    item = report.at(path)
    if not item.get("n"):
        why = "too few subjects" if is_hidden(item) else report.words(str(item.get("reason") or "no pairs"))
        return Row((label, why, "", "", "", "", ""))
    return Row(
        (
            label,
            report.count(*path, "n"),
            report.cell(*path, "mae", who=label),
            report.cell(*path, "bias", who=label),
            report.value(*path, "lower", "estimate"),
            report.value(*path, "upper", "estimate"),
            report.cell(*path, "ccc", places=3, who=label),
        ),
        kind=kind,
    )
