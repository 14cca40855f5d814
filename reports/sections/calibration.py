"""Calibration: are the values right wherever they lie, and are predicted uncertainties honest?"""

from __future__ import annotations

from typing import Any

from reports.bound import Bound, is_hidden
from reports.document import Column, Inline, List, Paragraph, Row, Section, Table
from reports.wording import ABSENT, estimate_of, level_text, number, sentence, unit_of_values


def calibration(report: Bound) -> Section:
    values = report.at(("calibration", "values")) or {}
    title = "Calibration"
    shown = [name for name, item in values.items() if item.get("n")]
    if not shown:
        why = "too few subjects" if any(map(is_hidden, values.values())) else "there is no pair"
        return Section("calibration", title, (Paragraph(f"Calibration could not be judged: {why}."),))
    blocks: list[Any] = [
        Paragraph(
            f"{report.reference} regressed on each method, one pair a subject: with a slope of 1 and an intercept of "
            "0 the "
            "values are right on average wherever they lie. A slope below 1 says that the values spread too widely."
        ),
        List(tuple(_sentence(report, name) for name in shown)),
        _table(report, values),
    ]
    if report.index in shown:
        blocks.append(_bins(report))
    blocks += _uncertainty(report)
    return Section("calibration", title, tuple(blocks))


def _sentence(report: Bound, name: str) -> tuple[Inline, ...]:
    path = ("calibration", "values", name)
    slope = estimate_of(report.at((*path, "slope")))
    who = sentence(report.spoken(name))
    if slope["low"] is None or slope["high"] is None:
        return (f"{who}: the slope of calibration could not be computed.",)
    if slope["low"] <= 1 <= slope["high"]:
        text = f"{who}: the data do not show that its values spread too widely or too little"
    elif slope["high"] < 1:
        text = f"{who} spreads too widely: high values are too high and low ones too low"
    else:
        text = f"{who} spreads too little: high values are too low and low ones too high"
    return (text, " (slope ", *_brief(report, (*path, "slope")), ").")


def _brief(report: Bound, path: tuple[str, ...]) -> tuple[Inline, ...]:
    ends = report.ends(*path)
    return (report.value(*path, "estimate"), *((", ", *ends) if ends else ()))


def _table(report: Bound, values: dict[str, Any]) -> Table:
    rows = []
    for name, item in values.items():
        path, who = ("calibration", "values", name), report.label(name)
        if not item.get("n"):
            rows.append(Row((sentence(who), "too few" if is_hidden(item) else "none", ABSENT, ABSENT, ABSENT)))
            continue
        cells = [
            report.cell(*path, key, places=places, who=who)
            for key, places in (("slope", 3), ("intercept", 2), ("in_the_large", 2))
        ]
        rows.append(Row((sentence(who), report.count(*path, "n"), *cells)))
    unit = unit_of_values(report.unit)
    return Table(
        "table-calibration",
        f"Calibration against {report.reference}; {report.level} intervals in brackets.",
        (
            Column("Method", width=1.4),
            Column("n", "right", width=0.7),
            Column("Slope", "right"),
            Column(f"Intercept ({unit})", "right"),
            Column(f"Mean of {report.reference} − method ({report.pp})", "right", width=1.3),
        ),
        tuple(rows),
        notes=report.why(),
    )


def _bins(report: Bound) -> Table:
    path = ("calibration", "values", report.index, "bins")
    who = report.label(report.index)
    rows = tuple(
        Row(
            (
                f"{position + 1}",
                report.count(*path, position, "n"),
                report.value(*path, position, "prediction", places=1),
                report.value(*path, position, "reference", places=1),
            )
        )
        for position in range(len(report.at(path)))
    )
    unit = unit_of_values(report.unit)
    return Table(
        "table-calibration-bins",
        f"Mean of {report.spoken(report.index)} and of {report.reference} in groups of equal size, from the lowest "
        "values "
        f"of {report.spoken(report.index)} to the highest.",
        (
            Column("Group", width=0.8),
            Column("n", "right", width=0.8),
            Column(f"{sentence(who)} ({unit})", "right"),
            Column(f"{report.reference} ({unit})", "right"),
        ),
        rows,
    )


def _uncertainty(report: Bound) -> list[Any]:
    path = ("calibration", "uncertainty")
    found = report.at(path) or {}
    if not found.get("n"):
        reason = "too few subjects" if is_hidden(found) else report.words(str(found.get("reason") or "not computed"))
        return [Paragraph(f"Predicted uncertainty could not be judged: {reason}.")]
    spread = estimate_of(found["spread_ratio"])
    who = report.spoken(report.index)
    if spread["low"] is not None and spread["low"] > 1:
        told = f"{sentence(who)} is too sure of itself: its errors are larger than it says"
    elif spread["high"] is not None and spread["high"] < 1:
        told = f"{sentence(who)} is less sure of itself than it might be: its errors are smaller than it says"
    else:
        told = f"The errors of {who} are about as large as it says"
    rows = tuple(
        Row((level_text(float(share)), report.scaled(*path, "coverage", share))) for share in found["coverage"]
    )
    table = Table(
        "table-uncertainty",
        f"How often the intervals that {who} gives hold the value of {report.reference}; {report.level} intervals in "
        "brackets.",
        (Column("Interval of the prediction"), Column("Holds the reference (%)", "right")),
        rows,
        notes=(f"Of {number(found['n'], 0)} subjects, one pair each.", *report.why()),
    )
    return [Paragraph((told, ": ratio of spread ", *report.said(*path, "spread_ratio"), ".")), table]
