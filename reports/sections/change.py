"""Change over time: does a test see what the reference standard sees?"""

from __future__ import annotations

from typing import Any

from reports.bound import Bound, is_hidden
from reports.document import Column, Inline, List, Paragraph, Row, Section, Table
from reports.wording import ABSENT, estimate_of, sentence


def change(report: Bound) -> Section:
    found = report.at(("change",)) or {}
    title = "Change over time"
    shown = [name for name, item in found.items() if item.get("n")]
    if not shown:
        text = (
            f"Too few subjects have pairs with {report.reference} at two visits to report on change."
            if any(is_hidden(item) for item in found.values())
            else f"No subject has pairs with {report.reference} at two visits, so nothing can be said of change."
        )
        return Section("change", title, (Paragraph(text),))
    blocks: list[Any] = [
        Paragraph("A subject's change is that from its first pair to its last."),
        List(tuple(_sentence(report, name) for name in shown)),
        _table(report, found),
    ]
    return Section("change", title, tuple(blocks))


def _sentence(report: Bound, name: str) -> tuple[Inline, ...]:
    path = ("change", name)
    slope = estimate_of(report.at((*path, "slope")))
    who = sentence(report.spoken(name))
    if slope["estimate"] is None:
        return (f"{who}: how its change follows that of {report.reference} could not be computed.",)
    if slope["low"] is None or slope["high"] is None or slope["low"] <= 1 <= slope["high"]:
        text = f"The data do not show that {report.spoken(name)} damps or exaggerates change"
    elif slope["high"] < 1:
        text = f"{who} damps change" if slope["low"] > 0 else f"{who} follows change hardly or not at all"
    else:
        text = f"{who} exaggerates change"
    out: list[Inline] = [
        text,
        ": per unit of change of ",
        report.reference,
        " it changes by ",
        *report.said(*path, "slope"),
    ]
    same = report.at((*path, "same_direction"))
    if same is not None:
        out += [". Where both show a real change, it has the same direction in "]
        out += [report.percent(*path, "same_direction"), " of subjects"]
    return (*out, ".")


def _table(report: Bound, found: dict[str, Any]) -> Table:
    rows = []
    for name, item in found.items():
        path, who = ("change", name), report.label(name)
        if not item.get("n"):
            why = "too few" if is_hidden(item) else "none"
            rows.append(Row((sentence(who), why, *((ABSENT,) * 5))))
            continue
        cells = [
            report.cell(*path, *keys, places=places, who=who)
            for keys, places in (
                (("bias",), 2), (("limits", "lower"), 2), (("limits", "upper"), 2), (("slope",), 2), (("ccc",), 3),
            )
        ]  # fmt: skip
        rows.append(Row((sentence(who), report.count(*path, "n"), *cells)))
    return Table(
        "table-change",
        f"Changes by each method against those by {report.reference}; {report.level} intervals in brackets.",
        (
            Column("Method", width=1.3),
            Column("Subjects", "right", width=0.9),
            Column(f"Bias of change ({report.pp})", "right"),
            Column("Lower", "right", f"Limits of agreement ({report.pp})", 1.2),
            Column("Upper", "right", f"Limits of agreement ({report.pp})", 1.2),
            Column("Slope", "right", width=1.1),
            Column("CCC", "right", width=1.2),
        ),
        tuple(rows),
        notes=("Slope: of a test's change on that of the reference; 1 when it sees all of it.", *report.why()),
    )
