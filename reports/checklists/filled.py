"""Checklists filled: what a report says, what the data lack, and what only a person can still supply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reports.bound import Bound
from reports.checklists.items import CHECKLISTS, Checklist, Item
from reports.document import Badge, Column, Figure, Inline, Link, List, Paragraph, Ref, Row, Section, Table, walk
from reports.sections.intended_use import place_of
from reports.wording import listed, plural
from studies.protocol import BY_PATH, answer

IN_REPORT, IN_PART, MISSING, NO_DATA, NOT_APPLICABLE = (
    "in the report", "in part", "missing", "not in the data", "not applicable",
)  # fmt: skip
TONES = {IN_REPORT: "good", IN_PART: "unsure", MISSING: "bad", NO_DATA: "unsure", NOT_APPLICABLE: "neutral"}


def _methods_with(report: Bound, key: str) -> bool:
    found = (report.results.get("precision") or {}).get("methods") or {}
    return any((groups.get("All") or {}).get(key) for groups in found.values())


NEEDS: dict[str, tuple[str, Callable[[Bound], bool]]] = {
    "pairs": ("no pair", lambda report: bool(report.results.get("n"))),
    "scans": (
        "no scan that a run looked at",
        lambda report: bool((report.at(("sensitivity", "failures")) or {}).get("scans")),
    ),
    "subgroups": ("no subgroup in the plan", lambda report: bool(report.results.get("subgroups"))),
    "sites": (
        "no subgroup of sites in the plan",
        lambda report: any(item.get("attribute") == "site" for item in report.plan.get("subgroups") or []),
    ),
    "run": ("no run of a model", lambda report: bool(report.results.get("run"))),
    "cut_offs": ("no cut-off in the plan", lambda report: bool(report.results.get("cut_offs"))),
    "decision_levels": ("no decision level in the plan", lambda report: bool(report.results.get("decision_levels"))),
    "criteria": ("no criterion in the plan", lambda report: bool(report.results.get("criteria"))),
    "precision": ("no replicates", lambda report: _methods_with(report, "n")),
    "enough_df": ("too few replicates", lambda report: _methods_with(report, "enough")),
    "change": (
        "no second visits",
        lambda report: any(item.get("n") for item in (report.results.get("change") or {}).values()),
    ),
}


def status_of(item: Item, report: Bound, places: Mapping[str, str]) -> tuple[str, list[str]]:
    """The status of an item, and what is open in words."""
    given = [path for path in item.asks if answer(report.protocol, path) is not None]
    open_ = [path for path in item.asks if path not in given]
    lacking = bool(item.needs) and not NEEDS[item.needs][1](report)
    told = item.place in places and not lacking
    if item.unless and not given and not told:
        return NOT_APPLICABLE, [item.unless]
    lacks = [NEEDS[item.needs][0]] if lacking else []
    if not open_ and (told or (given and not lacking)):
        return IN_REPORT, []
    wanted = [f"protocol: {path}" for path in open_]
    if told or given:
        return IN_PART, [*lacks, *wanted]
    return (NO_DATA if lacking and not open_ else MISSING), [*lacks, *wanted]


def checklists(report: Bound, sections: Sequence[Section], *, linked: bool = True) -> Section:
    """All checklists as one section. sections: of the validation report; `linked`: they are in the same document."""
    places = places_of(sections)
    intro = (
        "Which topics of the reporting guidelines this report speaks of, in our words; the guidelines themselves "
        "have the "
        "full text. A filled list supports a submission and proves nothing: whether a topic is treated well, a person "
        "judges. What is missing is asked for in the study protocol (calliper report protocol)."
    )
    where = "" if linked else " Places are sections of the validation report, which is made from the same results."
    rows = []
    for checklist in CHECKLISTS:
        found = [status_of(item, report, places)[0] for item in checklist.items]
        counts = [found.count(status) for status in TONES]
        rows.append(Row((Link(checklist.title, f"#checklist-{checklist.id}"), *(str(count) for count in counts))))
    table = Table(
        "table-checklists",
        "Items of each checklist by what became of them.",
        (Column("Checklist", width=2.6), *(Column(status.capitalize(), "right") for status in TONES)),
        tuple(rows),
    )
    parts = tuple(_section(checklist, report, places, linked=linked) for checklist in CHECKLISTS)
    return Section("checklists", "Checklists", (Paragraph(intro + where), table, _open(report), *parts))


def places_of(sections: Sequence[Section]) -> dict[str, str]:
    """Titles of the sections, tables and figures that checklists may point to, by id."""
    found = {}
    for part in walk(sections):
        if isinstance(part, Section):
            found[part.id] = part.title
        elif isinstance(part, Table | Figure):
            kind, _, name = part.id.partition("-")
            found[part.id] = f"{kind.capitalize()}: {name.replace('-', ' ')}"
    return found


def _section(checklist: Checklist, report: Bound, places: Mapping[str, str], *, linked: bool) -> Section:
    rows = []
    for item in checklist.items:
        status, open_ = status_of(item, report, places)
        targets = [item.place] if item.place in places and status not in (NOT_APPLICABLE, NO_DATA) else []
        targets += [place_of(path) for path in item.asks if answer(report.protocol, path) is not None]
        where: list[Inline] = []
        for target in dict.fromkeys(target for target in targets if target in places):
            where += [*(["; "] if where else []), _place(target, places[target], linked=linked)]
        rest = "; ".join(open_)
        if rest:
            where += [*(["; "] if where else []), rest]
        rows.append(Row((item.number, item.topic, Badge(status, TONES[status]), tuple(where) or "")))
    table = Table(
        f"table-checklist-{checklist.id}",
        f"{checklist.about} Source: {checklist.source}",
        (
            Column("Item", width=0.5),
            Column("Topic", width=3.2),
            Column("Status", width=1.3),
            Column("Where, or what is open", width=2.6),
        ),
        tuple(rows),
    )
    return Section(f"checklist-{checklist.id}", checklist.title, (table,))


def _place(target: str, title: str, *, linked: bool) -> Inline:
    if not linked:
        return title
    return Ref(target) if target.startswith(("table-", "figure-")) else Link(title, f"#{target}")


def _open(report: Bound) -> Section:
    """What the checklists still need of a person, each question once."""
    asked = dict.fromkeys(path for checklist in CHECKLISTS for item in checklist.items for path in item.asks)
    open_ = [path for path in asked if answer(report.protocol, path) is None]
    if not open_:
        text = "Every question of the protocol that a checklist asks for is answered."
        return Section("open-questions", "What only a person can supply", (Paragraph(text),))
    rows: list[Any] = [(BY_PATH[path].asks, f" ({path}; {listed(_users(path))})") for path in open_]
    intro = f"{plural(len(open_), 'question')} of the study protocol {'is' if len(open_) == 1 else 'are'} open:"
    return Section("open-questions", "What only a person can supply", (Paragraph(intro), List(tuple(rows))))


def _users(path: str) -> list[str]:
    return [
        f"{checklist.title.partition(':')[0]} {', '.join(item.number for item in checklist.items if path in item.asks)}"
        for checklist in CHECKLISTS
        if any(path in item.asks for item in checklist.items)
    ]


def checklist_results(report: Bound, sections: Sequence[Section]) -> dict[str, Any]:
    """The filled checklists as plain data: {id: [{"item", "topic", "status", "open"}]}."""
    places = places_of(sections)
    return {
        checklist.id: [
            {"item": item.number, "topic": item.topic, "status": status, "open": open_}
            for item in checklist.items
            for status, open_ in [status_of(item, report, places)]
        ]
        for checklist in CHECKLISTS
    }
