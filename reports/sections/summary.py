"""The headline, the verdicts and what a reader must know first."""

from __future__ import annotations

from typing import Any

from reports.bound import TONES, Bound, after, metric_of
from reports.document import Badge, Callout, Column, Facts, Inline, List, Paragraph, Row, Section, Table
from reports.sections.agreement import bias_sentence
from reports.sections.comparisons import against
from reports.wording import estimate_of, group_label, inside, listed, plural, sentence, signed_text, unit_of_values
from studies.registry.leakage import LEAKAGE


def title_facts(report: Bound) -> Facts:
    results = report.results
    plan = results["plan"]
    locked = Badge("locked", "good") if plan.get("locked") else Badge("not locked", "unsure")
    comparators = listed(report.label(name) for name in report.comparators) or "none"
    items: list[tuple[str, Any]] = [
        ("Study", results["study"]["name"]),
        ("Measurand", f"{sentence(report.measurand)} ({unit_of_values(report.unit)})"),
        ("Index test", report.label(report.index)),
        ("Reference standard", report.reference),
        ("Comparators", comparators),
        ("Analysis plan", (f"Version {plan.get('version')}, ", locked)),
        ("Pairs analysed", report.count("n")),
    ]
    return Facts(tuple(items))


def summary(report: Bound) -> Section:
    blocks: list[Any] = [Paragraph(_headline(report), lead=True)]
    told = [item for name in report.comparators if (item := against(report, name))]
    if told:
        blocks += [
            Paragraph(f"Mean absolute error of {report.spoken(report.index)} beside that of each comparator:"),
            List(tuple(told)),
        ]
    elif not report.comparators:
        blocks.append(Paragraph("The plan names no comparator, so the error is not compared with another method's."))
    callouts, notes = _callouts(report)
    blocks += callouts
    blocks.append(_criteria(report))
    if notes:
        blocks.append(Section("notes", "What to know before reading on", (List(tuple(notes)),)))
    return Section("summary", "Summary", tuple(blocks))


def _callouts(report: Bound) -> tuple[list[Callout], list[str]]:
    """What a reader must know before anything else, and the notes that are left."""
    callouts: list[Callout] = []
    notes = [note for note in report.notes if note not in report.warnings]
    if report.warnings:
        callouts.append(Callout("These are not clinical data", report.warnings, "unsure"))
    if leaks := [note for note in notes if note.startswith(LEAKAGE)]:
        notes = [note for note in notes if note not in leaks]
        callouts.append(Callout("A model was trained on these people", tuple(leaks), "bad"))
    if not report.results["plan"].get("locked"):
        unlocked = [note for note in notes if "not locked" in note]
        notes = [note for note in notes if note not in unlocked]
        told = tuple(unlocked) or ("The results are exploratory: no criterion was fixed beforehand.",)
        callouts.append(Callout("The analysis plan was not locked", told, "unsure"))
    return callouts, notes


def known_first(report: Bound) -> tuple[Section, ...]:
    """What a reader of a report on one side of an analysis must know first."""
    callouts, notes = _callouts(report)
    blocks: list[Any] = [*callouts, *([List(tuple(notes))] if notes else [])]
    if not report.results.get("n"):
        text = f"{sentence(report.spoken(report.index))} has no pair with {report.reference}."
        blocks.insert(0, Paragraph(text, lead=True))
    return (Section("notes", "What to know first", tuple(blocks)),) if blocks else ()


def _headline(report: Bound) -> tuple[Inline, ...]:
    index, label = report.index, report.spoken(report.index)
    result = report.results["tests"].get(index) or {}
    if not result.get("n"):
        return (f"{sentence(label)} has no pair with {report.reference}, so nothing can be said of its accuracy.",)
    path = ("tests", index)
    n = result["n"]
    who: list[Inline] = [
        "In ",
        report.count(*path, "n"),
        f" {'pair' if n == 1 else 'pairs'} of {label} and {report.reference}, ",
    ]
    mae = estimate_of(result.get("mae"))
    if mae["estimate"] is None:
        who.append("the mean absolute error could not be computed. ")
    else:
        who += ["the mean absolute error was ", *report.said(*path, "mae", unit=report.points), ". "]
    who += bias_sentence(report, index)
    shares = [k for k in (result.get("within") or {}) if estimate_of(result["within"][k])["estimate"] is not None]
    if shares:
        widest = max(shares, key=float)
        who += [
            " ",
            report.value(*path, "within", widest, "estimate", places=0),
            f"% of pairs lay within ±{widest} {report.points}.",
        ]
    return tuple(who)


def _criteria(report: Bound) -> Section:
    criteria = report.results.get("criteria") or []
    if not criteria:
        text = "The plan sets no acceptance criterion, so this report gives no verdict."
        return Section("criteria", "Acceptance criteria", (Paragraph(text),))
    rows = []
    for position, criterion in enumerate(criteria):
        label, unit, places = metric_of(report, criterion["metric"])
        who = report.spoken(criterion["method"])
        against = f", against {report.spoken(criterion['against'])}" if criterion.get("against") else ""
        group = criterion.get("group")
        name, _, level = (group or "").partition("=")
        where = f" ({_group_title(report, name)}: {group_label(level, name)})" if group else ""
        cell = report.cell("criteria", position, "estimate", places=places, who=criterion["name"])
        verdict = report.at(("criteria", position, "verdict"))
        rows.append(
            Row(
                (
                    criterion["name"],
                    f"{sentence(label)} of {who}{against}{where}",
                    _rule(criterion["rule"], unit),
                    cell,
                    Badge(verdict, TONES.get(verdict, "neutral")),
                )
            )
        )
    table = Table(
        "table-criteria",
        f"Verdict on each acceptance criterion; {report.level} intervals in brackets.",
        (
            Column("Criterion", width=1.5),
            Column("Measure", width=1.8),
            Column("Rule", width=1.4),
            Column("Result", "right", width=1.2),
            Column("Verdict", width=1.35),
        ),
        tuple(rows),
        notes=report.why(),
    )
    return Section("criteria", "Acceptance criteria", (Paragraph(_tally(report)), table))


def _rule(rule: str, unit: str) -> str:
    """A rule with its unit: "at most 3.5 percentage points (whole 95% interval)"."""
    limit, bracket, rest = signed_text(rule).partition(" (")
    return f"{limit}{after(unit)}{bracket}{rest}"


def _group_title(report: Bound, name: str) -> str:
    return inside(str((report.results.get("subgroups") or {}).get(name, {}).get("label") or name))


def _tally(report: Bound) -> str:
    """How many criteria were met, not met, or could not be judged."""
    verdicts = [criterion["verdict"] for criterion in report.results["criteria"]]
    total = len(verdicts)
    met, unmet = verdicts.count("met"), verdicts.count("not met")
    unknown = total - met - unmet
    if met == total:
        text = "The criterion was met" if total == 1 else f"All {total} criteria were met"
    elif unmet == total:
        text = "The criterion was not met" if total == 1 else f"None of the {total} criteria was met"
    else:
        parts = [f"{met} of {plural(total, 'criterion', 'criteria')} {'was' if met == 1 else 'were'} met"]
        if total == 1:
            parts = []
        if unmet:
            parts.append(f"{unmet} {'was' if unmet == 1 else 'were'} not met")
        if unknown:
            parts.append(f"{unknown if total > 1 else 'the criterion'} could not be judged for want of data")
        text = sentence(listed(parts))
    locked = report.results["plan"].get("locked")
    since = "" if locked else " The plan was not locked, so these verdicts confirm nothing"
    return f"{text}.{since}{'.' if since else ''}"
