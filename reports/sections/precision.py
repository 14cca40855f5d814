"""Precision: how far the same method differs from itself."""

from __future__ import annotations

from typing import Any

from reports.bound import Bound, hidden_note, is_hidden
from reports.document import Column, Inline, List, Paragraph, Row, Section, Table
from reports.wording import group_label, sentence

MINIMUM_DF = 27


def precision(report: Bound) -> Section:
    found = report.at(("precision", "methods")) or {}
    title = "Precision"
    shown = [name for name, groups in found.items() if (groups.get("All") or {}).get("n")]
    if not shown:
        hidden = [name for name, groups in found.items() if is_hidden(groups.get("All"))]
        text = (
            "Too few subjects were measured twice at one visit to report a precision."
            if hidden
            else "Nobody was measured twice by the same method on the same device at one visit, so nothing can be "
            "said of "
            "precision, nor of how much of the limits of agreement is the reference's own error."
        )
        return Section("precision", title, (Paragraph(text),))
    blocks: list[Any] = [
        Paragraph(
            "From measurements repeated at one visit on one device. The root mean square of the subjects' standard "
            "deviations (RMS-SD) is the error of a single measurement; a change below the least significant change "
            "(LSC) "
            "may be no change at all."
        ),
        List(tuple(_sentence(report, name) for name in shown)),
        _table(report, shown),
    ]
    corrected = report.at(("precision", "corrected")) or {}
    if corrected:
        blocks.append(_corrected(report, corrected))
    return Section("precision", title, tuple(blocks))


def _sentence(report: Bound, name: str) -> tuple[Inline, ...]:
    path = ("precision", "methods", name, "All")
    found = report.at(path)
    out: list[Inline] = [f"{sentence(report.spoken(name))}: RMS-SD "]
    out += [*report.said(*path, "rms_sd", unit=report.points), ", LSC ", report.value(*path, "lsc", "estimate")]
    out += [f" {report.points}, from ", report.count(*path, "df"), " degrees of freedom"]
    if not found.get("enough"):
        out.append(f": fewer than the {MINIMUM_DF} that a precision study needs")
    return (*out, ".")


def _table(report: Bound, shown: list[str]) -> Table:
    rows, hidden = [], False
    for name in report.at(("precision", "methods")):
        groups = report.at(("precision", "methods", name))
        hidden |= any(is_hidden(item) for item in groups.values())
        for group, item in groups.items():
            path, who = ("precision", "methods", name, group), f"{report.label(name)}, {group_label(group)}"
            label = sentence(report.label(name)) if group == "All" else group_label(group)
            if not item.get("n"):
                why = "too few subjects" if is_hidden(item) else "no replicates"
                rows.append(Row((label, why, "", "", "", "", ""), indent=int(group != "All")))
                continue
            rows.append(
                Row(
                    (
                        label,
                        report.count(*path, "subjects"),
                        report.count(*path, "df"),
                        report.cell(*path, "rms_sd", who=who),
                        report.cell(*path, "rms_cv", places=1, who=who),
                        report.cell(*path, "lsc", who=who),
                        report.cell(*path, "within_sd", who=who),
                    ),
                    indent=int(group != "All"),
                )
            )
    return Table(
        "table-precision",
        f"Precision from replicates; {report.level} intervals in brackets.",
        (
            Column("Method", width=1.3),
            Column("Subjects", "right", width=1.0),
            Column("df", "right", width=0.6),
            Column(f"RMS-SD ({report.pp})", "right", width=1.2),
            Column("RMS-%CV (%)", "right", width=1.2),
            Column(f"LSC ({report.pp})", "right", width=1.2),
            Column(f"Within-subject SD ({report.pp})", "right", width=1.3),
        ),
        tuple(rows),
        notes=(
            "df: degrees of freedom. RMS-%CV: root mean square of the coefficients of variation. LSC: least "
            "significant "
            "change, z·√2 · RMS-SD.",
            *((hidden_note(report),) if hidden else ()),
            *report.why(),
        ),
    )


def _corrected(report: Bound, corrected: dict[str, Any]) -> Table:
    rows = tuple(
        Row(
            (
                sentence(report.label(name)),
                report.value("tests", name, "sd"),
                report.cell("precision", "corrected", name, who=report.label(name)),
            )
        )
        for name in corrected
    )
    return Table(
        "table-corrected",
        f"Standard deviation of the differences from {report.reference}, as observed and with {report.reference}'s own "
        f"error taken out; {report.level} intervals in brackets.",
        (
            Column("Method", width=1.4),
            Column(f"SD of differences ({report.pp})", "right"),
            Column(f"Without the error of {report.reference} ({report.pp})", "right", width=1.4),
        ),
        rows,
        notes=report.why(),
    )
