"""Who was analysed, who was not and why, and what they are like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports import figures
from reports.bound import NOT_SHOWN, Bound
from reports.document import Column, Figure, Inline, Paragraph, Ref, Row, Section, Small, Table
from reports.wording import ABSENT, count, group_label, sentence


def participants(report: Bound) -> Section:
    flow = report.results.get("flow") or {}
    blocks: list[Any] = []
    subjects = flow.get("subjects")
    if subjects:
        blocks += [
            Paragraph(_flow_sentence(report)),
            Figure(
                "figure-flow",
                f"Flow of participants. A subject is analysed when it has at least one pair of "
                f"{report.spoken(report.index)} and {report.reference}.",
                (figures.flow_panel(_flow_steps(report)),),
            ),
            _flow_table(report),
        ]
    else:
        blocks.append(Paragraph("The analysis gives no account of the flow of participants."))
    return Section("participants", "Participants", (*blocks, _cohort(report)))


def _flow_sentence(report: Bound) -> tuple[Inline, ...]:
    subjects = report.results["flow"]["subjects"]
    path = ("flow", "subjects")
    total, analysed = subjects["total"], subjects["analysed"]
    out: list[Inline] = ["Of ", report.count(*path, "total"), f" {'subject' if total == 1 else 'subjects'}, "]
    out += [report.count(*path, "analysed"), f" {'was' if analysed == 1 else 'were'} analysed"]
    left = total - analysed
    if not left:
        return (*out, "; nobody was left out.")
    reasons = subjects.get("excluded") or []
    main = max(range(len(reasons)), key=lambda i: reasons[i]["n"]) if reasons else None
    if main is None:
        return (*out, f"; {count(left)} {'was' if left == 1 else 'were'} left out.")
    out.append(f"; {count(left)} {'was' if left == 1 else 'were'} left out")
    if len(reasons) == 1:
        return (*out, f" ({report.reason(reasons[0]['reason'])}).")
    out += [f", most often for this reason: {report.reason(reasons[main]['reason'])} ("]
    return (*out, report.count(*path, "excluded", main, "n"), ").")


def _own_exclusions(report: Bound, name: str) -> tuple[tuple[str, int], ...] | None:
    """What a method loses beyond those left out of the whole analysis; None where the counts do not nest."""
    flow = report.results["flow"]
    subjects, method = flow["subjects"], flow["methods"][name]
    common = {row["reason"]: row["n"] for row in subjects.get("excluded") or []}
    own = []
    for row in method.get("excluded") or []:
        rest = row["n"] - common.pop(row["reason"], 0)
        if rest < 0:
            return None
        if rest:
            own.append((report.reason(row["reason"]), rest))
    nests = not common and sum(n for _, n in own) == subjects["analysed"] - method["analysed"]
    return tuple(own) if nests else None


def _flow_steps(report: Bound) -> list[figures.FlowStep]:
    flow = report.results["flow"]
    subjects = flow["subjects"]
    excluded = tuple((report.reason(row["reason"]), row["n"]) for row in subjects.get("excluded") or [])
    left = subjects["total"] - subjects["analysed"]
    steps = [
        figures.FlowStep(
            "Subjects in the study", subjects["total"], f"Left out: {count(left)}" if left else "", excluded
        ),
        figures.FlowStep("Subjects analysed", subjects["analysed"]),
    ]
    for name, method in (flow.get("methods") or {}).items():
        own = _own_exclusions(report, name)
        if own is None:
            own = tuple((report.reason(row["reason"]), row["n"]) for row in method.get("excluded") or [])
            lost = method["total"] - method["analysed"]
            title = f"Not in this comparison, of all {count(method['total'])}: {count(lost)}" if lost else ""
        else:
            lost = sum(n for _, n in own)
            title = f"Not in this comparison: {count(lost)}" if lost else ""
        role = " (index test)" if name == report.index else ""
        steps.append(
            figures.FlowStep(
                f"{sentence(report.label(name))} against {report.reference}{role}",
                method["analysed"],
                title,
                own,
                branch=True,
            )
        )
    return steps


def _flow_table(report: Bound) -> Table:
    flow = report.results["flow"]
    entries = [("Subjects of the study", ("flow", "subjects"))]
    entries += [
        (f"{sentence(report.label(name))} against {report.reference}", ("flow", "methods", name))
        for name in flow.get("methods") or {}
    ]
    return Table(
        "table-flow",
        "Subjects by method: those left out have one reason each, and the counts add up to all subjects.",
        (
            Column("", width=2.4),
            Column("All", "right", width=0.8),
            Column("Analysed", "right", width=0.9),
            Column("Left out", "right", width=0.9),
            Column("Reasons", width=3.4),
        ),
        _flow_rows(report, entries),
    )


def _cohort(report: Bound) -> Section:
    cohort = report.results.get("cohort") or {}
    rows = cohort.get("rows") or []
    groups = cohort.get("groups") or []
    if not rows or not groups or cohort.get("n") == 0:
        text = "The analysis does not describe the subjects." if cohort.get("n") != 0 else "Nobody was analysed."
        return Section("cohort", "Characteristics of the subjects", (Paragraph(text),))
    out: list[Row] = []
    hidden = False
    for position, row in enumerate(rows):
        path = ("cohort", "rows", position)
        unit = f" ({row['unit']})" if row.get("unit") else ""
        name = f"{report.words(row['characteristic'])}{unit}"
        if row["kind"] == "continuous":
            cells = [_continuous(report, (*path, "values", group)) for group in groups]
            hidden |= any(NOT_SHOWN in cell for cell in cells)
            out.append(Row((name, *cells)))
            continue
        out.append(Row((name,), kind="group"))
        sex = str(row["characteristic"]).lower() == "sex"
        for place, level in enumerate(row["levels"]):
            cells = [_categorical(report, (*path, "levels", place, "values", group)) for group in groups]
            hidden |= any(NOT_SHOWN in cell for cell in cells)
            label = group_label(level["level"], "sex" if sex else "")
            out.append(Row((label, *cells), indent=1))
    extremes = any((row.get("values") or {}).get(group, {}).get("min") is not None for row in rows for group in groups)
    spread = "lowest to highest" if extremes else "quartiles"
    notes = [f"Mean ± standard deviation (median; {spread}) or count (percentage)."]
    if not extremes:
        notes.append("The lowest and the highest value, each one person's own, are not shown of groups of this size.")
    if hidden:
        least = report.plan.get("minimum_cell")
        few = f" below {least}" if least else " that are small"
        notes.append(f"“{NOT_SHOWN}”: counts{few} are hidden, with those that would reveal them.")
    columns = [Column("Characteristic", width=1.7)]
    columns += [Column(group_label(group), "right", width=1.2) for group in groups]
    n = cohort.get("n")
    who: tuple[Inline, ...] = (
        ("Characteristics of the ", report.count("cohort", "n"), f" analysed {'subject' if n == 1 else 'subjects'}.")
        if n is not None
        else ("Characteristics of the analysed subjects.",)
    )
    table = Table("table-cohort", who, tuple(columns), tuple(out), notes=tuple(notes))
    return Section("cohort", "Characteristics of the subjects", (table,))


def _continuous(report: Bound, path: tuple[str | int, ...]) -> tuple[Inline, ...]:
    found = report.at(path) or {}
    if found.get("suppressed"):
        return (NOT_SHOWN,)
    if found.get("mean") is None:
        return (ABSENT,)
    out: list[Inline] = [report.value(*path, "mean", places=1)]
    if found.get("sd") is not None:
        out += [" ± ", report.value(*path, "sd", places=1)]
    ends = ("min", "max") if found.get("min") is not None else ("q1", "q3")
    if any(found.get(key) is None for key in ("median", *ends)):
        return tuple(out)
    rest: list[Inline] = ["(", report.value(*path, "median", places=1), "; "]
    rest += [report.value(*path, ends[0], places=1), " to ", report.value(*path, ends[1], places=1), ")"]
    return (*out, " ", Small(tuple(rest), below=True))


def _categorical(report: Bound, path: tuple[str | int, ...]) -> tuple[Inline, ...]:
    found = report.at(path) or {}
    if found.get("suppressed"):
        return (NOT_SHOWN,)
    if found.get("n") is None:
        return (ABSENT,)
    out: tuple[Inline, ...] = (report.count(*path, "n"),)
    if found.get("percent") is None:
        return out
    return (*out, " ", Small(("(", report.value(*path, "percent", places=1), "%)")))


def _flow_rows(report: Bound, entries: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[Row, ...]:
    rows = []
    for label, path in entries:
        part = report.at(path) or {}
        excluded = part.get("excluded") or []
        reasons: list[Inline] = []
        for position, row in enumerate(excluded):
            reasons += ["; "] if position else []
            reasons += [f"{report.reason(row['reason'])}: ", report.count(*path, "excluded", position, "n")]
        left = sum(row["n"] for row in excluded)
        rows.append(
            Row(
                (
                    label,
                    report.count(*path, "total"),
                    report.count(*path, "analysed"),
                    count(left),
                    tuple(reasons) or ABSENT,
                )
            )
        )
    return tuple(rows)


def exclusions(report: Bound) -> Section:
    flow = report.results.get("flow") or {}
    entries = [(sentence(level), ("flow", level)) for level in ("visits", "measurements") if flow.get(level)]
    title = "What was left out"
    if not entries:
        text = "The analysis gives no account of visits and measurements that were left out."
        return Section("exclusions", title, (Paragraph(text),))
    left = sum(
        row["n"] for level in ("visits", "measurements") for row in (flow.get(level) or {}).get("excluded") or []
    )
    text: tuple[Inline, ...] = (
        (
            "Nothing is dropped without a reason. ",
            Ref("table-flow"),
            " accounts for the subjects; this is the same account for visits and measurements.",
        )
        if left
        else ("No visit and no measurement was left out.",)
    )
    table = Table(
        "table-exclusions",
        f"Visits, and measurements of {report.measurand}: each one left out has one reason.",
        (
            Column("", width=1.4),
            Column("All", "right", width=0.8),
            Column("Analysed", "right", width=0.9),
            Column("Left out", "right", width=0.9),
            Column("Reasons", width=4.4),
        ),
        _flow_rows(report, entries),
    )
    return Section("exclusions", title, (Paragraph(text), table))
