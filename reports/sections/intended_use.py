"""What the measurement is for, as the protocol says, and what these data cannot tell of."""

from __future__ import annotations

from typing import Any

from reports.bound import Bound
from reports.document import Callout, Facts, Inlines, List, Paragraph, Section
from reports.wording import group_label, listed, number, plural, sentence
from studies.protocol import BY_PATH, PARTS, QUESTIONS, answer

_TOLD = ("statement", "users", "population", "setting", "human_oversight")
_NAMES = {
    "statement": "Intended use", "users": "Users", "population": "For whom", "setting": "Setting",
    "human_oversight": "Human oversight",
}  # fmt: skip


def intended_use(report: Bound) -> Section:
    document = report.protocol
    facts = [
        (_NAMES[key], str(answer(document, f"intended_use.{key}")))
        for key in _TOLD
        if answer(document, f"intended_use.{key}") is not None
    ]
    blocks: list[Any] = []
    if facts:
        blocks.append(Facts(tuple(facts)))
    if answer(document, "intended_use.statement") is None:
        text = (
            "The protocol of the study does not say what the measurement is for, so no value here means it is fit "
            "for it."
        )
        blocks.append(Callout("Intended use: not given", (text,), "unsure"))
    limits: list[Inlines] = [str(item) for item in answer(document, "intended_use.limits") or ()]
    limits += _limits_of_the_data(report)
    blocks += [Paragraph("Limits:"), List(tuple(limits))] if limits else []
    return Section("intended-use", "Intended use and limits", tuple(blocks))


def _limits_of_the_data(report: Bound) -> list[Inlines]:
    """What the analysed people cannot speak for, from their characteristics."""
    found: list[Inlines] = []
    cohort = report.results.get("cohort") or {}
    for position, row in enumerate(cohort.get("rows") or []):
        ends = (row.get("values") or {}).get("All") or {}
        if row["kind"] == "continuous" and row["characteristic"] in ("Age", "Body mass index"):
            path = ("cohort", "rows", position, "values", "All")
            if ends.get("min") is not None and ends.get("max") is not None:
                name = row["characteristic"].lower()
                found.append(
                    (
                        f"Nothing is known outside the {name} that was studied: ", report.value(*path, "min", places=1),
                        " to ", report.value(*path, "max", places=1), f" {row['unit']}.",
                    )
                )  # fmt: skip
    sexes = [group for group in cohort.get("groups") or [] if group != "All"]
    if len(sexes) == 1 and cohort.get("n"):
        found.append(f"Only {group_label(sexes[0]).lower()} were analysed.")
    elif not sexes and cohort.get("n"):
        found.append("The sex of those analysed is not recorded.")
    for name, subgroup in (report.results.get("subgroups") or {}).items():
        hidden = [group for group, item in (subgroup.get("by_group") or {}).items() if item.get("suppressed")]
        if hidden:
            label = str(subgroup.get("label") or name)
            groups = listed(group_label(group, name) for group in hidden)
            found.append(f"{label}: too few subjects to speak of {plural(len(hidden), 'group')} ({groups}).")
    n = report.results.get("n") or 0
    least = report.plan.get("minimum_cell") or 0
    if not n:
        found.append("Nobody could be analysed.")
    elif n < least:
        found.append(("Only ", report.count("n"), f" {'pair' if n == 1 else 'pairs'} could be analysed."))
    found.append("The results say nothing of diagnosis or treatment: they say how far two measurements agree.")
    return found


def protocol(report: Bound) -> Section:
    """The answers of the protocol, for the checklists to point to."""
    document = report.protocol
    held = report.results.get("protocol") or {}
    answered = [question for question in QUESTIONS if answer(document, question.path) is not None]
    missing = len(QUESTIONS) - len(answered)
    if not answered:
        text = "No protocol was given: what only a person can say of the study is missing from this report."
        return Section("protocol", "Study protocol", (Paragraph(text),))
    blocks: list[Any] = [
        Paragraph(
            f"Version {held.get('version', 1)} of the protocol answers {number(len(answered), 0)} of "
            f"{number(len(QUESTIONS), 0)} questions; {plural(missing, 'is', 'are')} open."
        )
    ]
    for part, title in PARTS.items():
        inner = [
            (_heading(question.key), _shown(answer(document, question.path)))
            for question in answered
            if question.part == part
        ]
        if inner:
            blocks.append(Section(f"protocol-{part.replace('_', '-')}", title, (Facts(tuple(inner)),)))
    return Section("protocol", "Study protocol", tuple(blocks))


def _heading(key: str) -> str:
    return sentence(key.replace("_", " "))


def _shown(value: Any) -> str:
    return "; ".join(value) if isinstance(value, list) else str(value)


def place_of(path: str) -> str:
    """The id of the section that shows the answer to a question."""
    return "intended-use" if path.startswith("intended_use.") else f"protocol-{BY_PATH[path].part.replace('_', '-')}"
