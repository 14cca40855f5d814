"""The study protocol: what only a person knows of a study, asked for question by question.

Reports and their checklists are filled from the study and its plan as far as these go. The rest stands in a YAML file
(``calliper_protocol: 1``) whose every question may be left open; what is open is shown as missing. It is read as
strictly as a plan is.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from studies.errors import PlanError
from studies.strict_yaml import read_mapping
from studies.suggestions import suggestion

_MAXIMUM_BYTES = 1_000_000
_KEY = "calliper_protocol"


@dataclass(frozen=True)
class Question:
    """One question. kind: text, a list of texts, a whole number, or one of `choices`."""

    part: str
    key: str
    asks: str
    kind: Literal["text", "list", "count", "choice"] = "text"
    choices: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"{self.part}.{self.key}"


PARTS: dict[str, str] = {
    "intended_use": "Intended use and limits",
    "background": "Background",
    "design": "Design",
    "index_test": "The index test",
    "reference_standard": "The reference standard",
    "process": "How the measurements were made",
    "data": "Data",
    "discussion": "Discussion",
    "conduct": "Conduct and openness",
}

QUESTIONS: tuple[Question, ...] = (
    Question("intended_use", "statement", "What the measurement is for, in one or two sentences."),
    Question("intended_use", "users", "Who takes the measurement and who reads it."),
    Question("intended_use", "population", "For which people it is meant."),
    Question("intended_use", "setting", "Where it is taken: at home, in a clinic, ..."),
    Question("intended_use", "limits", "For whom or what it must not be used.", "list"),
    Question("intended_use", "human_oversight", "What a person does with a value before anything follows from it."),
    Question("background", "known", "What is known of the accuracy of such measurements, with sources."),
    Question("background", "rationale", "Why the study was done."),
    Question("background", "objectives", "What the study was to find out, and its hypotheses."),
    Question("background", "inequalities", "Known differences between groups of people that bear on the measurement."),
    Question("design", "timing", "Whether data were collected for this study or had been before.", "choice",
             ("prospective", "retrospective")),
    Question("design", "setting", "The places: kind, number, country."),
    Question("design", "dates", "When people were enrolled and measured, first and last date."),
    Question("design", "recruitment", "How people who might take part were found."),
    Question("design", "sampling", "How subjects were chosen from them.", "choice",
             ("consecutive", "random", "convenience")),
    Question("design", "planned_subjects", "How many subjects were planned.", "count"),
    Question("design", "sample_size_reason", "Why so many: the calculation, with what was assumed."),
    Question("index_test", "device", "Device, software and version, and how a scan is taken, to be repeated."),
    Question("index_test", "operators", "Who took the scans, how many they were, their training and experience."),
    Question("index_test", "cut_offs", "Cut-off values, if any, and why these."),
    Question("index_test", "input_requirements", "What photos must be like, and how poor ones are recognised."),
    Question("index_test", "failures", "What a user is told when no value can be given."),
    Question("reference_standard", "device", "Device, software and version, and the procedure."),
    Question("reference_standard", "operators", "Who made the measurements, their training and experience."),
    Question("reference_standard", "rationale", "Why this is the reference standard, and its own error."),
    Question("process", "order", "In which order, and how far apart, the measurements of a subject were made."),
    Question("process", "blinding_index", "What whoever took or read the scans knew of the reference and the subject."),
    Question("process", "blinding_reference", "What whoever assessed the reference knew of the scans."),
    Question("process", "independence", "Whether measurements were made independently of each other."),
    Question("process", "preparation", "What subjects had to do before: clothing, fasting, rest."),
    Question("process", "adverse_events", "Harm from either measurement, or that there was none."),
    Question("data", "preparation", "What was done to the data before they came here."),
    Question("data", "missing", "Why values are missing, and what was done about it."),
    Question("data", "training", "How the data are kept apart from those that the index test was trained on."),
    Question("discussion", "relevance", "What errors of this size mean for those who use the measurement."),
    Question("discussion", "limitations", "Limits of the study: bias, uncertainty, for whom it speaks.", "list"),
    Question("discussion", "implications", "What follows for practice."),
    Question("conduct", "ethics", "Who approved the study, under which number, and how subjects consented."),
    Question("conduct", "registration", "Register and number."),
    Question("conduct", "protocol", "Where the full protocol can be read."),
    Question("conduct", "funding", "Who paid, and their part in the study."),
    Question("conduct", "interests", "Interests of those who did the study."),
    Question("conduct", "involvement", "How patients or the public took part in planning it."),
    Question("conduct", "data_availability", "Whether and how others get the data."),
    Question("conduct", "code_availability", "Whether and how others get the code and the checkpoints."),
)  # fmt: skip

BY_PATH = {question.path: question for question in QUESTIONS}


def answer(document: dict[str, Any] | None, path: str) -> Any:
    """The answer to a question ("design.sampling"), None while it is open."""
    part, _, key = path.partition(".")
    return ((document or {}).get(part) or {}).get(key)


def open_questions(document: dict[str, Any] | None) -> list[Question]:
    """Questions without an answer, in order."""
    return [question for question in QUESTIONS if answer(document, question.path) is None]


def protocol_hash(document: dict[str, Any]) -> str:
    """SHA-256 (hex) of what the protocol says, however it is written."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def load_protocol(source: Path | str) -> dict[str, Any]:
    """The answers of a protocol file, or of YAML text (a `str` that holds a line break), by part and key.

    Open questions are left out. Raises `PlanError`, with the line, for what is no question or no answer to it.
    """
    if isinstance(source, str) and "\n" in source:
        return _parse(source, "protocol")
    path = Path(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlanError(
            f"The protocol cannot be read: {error.strerror or error}.", where=str(path),
            remedy="Give the path of a YAML file; calliper report protocol STUDY --out FILE writes one to fill in.",
        ) from None  # fmt: skip
    if len(data) > _MAXIMUM_BYTES:
        raise PlanError(f"The file has {len(data):,} bytes; no protocol is that long.", where=path.name)
    try:
        return _parse(data.decode("utf-8-sig"), path.name)
    except UnicodeDecodeError:
        raise PlanError("The file is not UTF-8 text.", where=path.name, remedy="Save it as UTF-8.") from None


def _parse(text: str, name: str) -> dict[str, Any]:
    remedy = "A protocol begins with `calliper_protocol: 1`; calliper report protocol STUDY --out FILE writes one."
    document, lines = read_mapping(text, name, what="a study protocol", remedy=remedy)

    def fault(path: str, what: str, remedy: str) -> PlanError:
        line = lines.get(path)
        return PlanError(what, where=f"{name}, line {line}, {path}" if line else name, remedy=remedy)

    if document.get(_KEY) != 1:
        raise fault(_KEY, f"`{_KEY}` is {document.get(_KEY)!r}, and must be 1.", remedy)
    found: dict[str, Any] = {}
    for part, content in document.items():
        if part == _KEY:
            continue
        if part not in PARTS:
            raise fault(part, f"'{part}' is not a part of a protocol.", suggestion(part, PARTS))
        if content is None:
            continue
        if not isinstance(content, dict):
            raise fault(part, f"`{part}` holds questions with their answers.", "Indent them below it.")
        for key, value in content.items():
            path = f"{part}.{key}"
            if path not in BY_PATH:
                known = [question.key for question in QUESTIONS if question.part == part]
                raise fault(path, f"'{key}' is not a question of `{part}`.", suggestion(key, known))
            if value is None:
                continue
            wrong = _wrong(BY_PATH[path], value)
            if wrong:
                raise fault(path, *wrong)
            found.setdefault(part, {})[key] = value.strip() if isinstance(value, str) else value
    return {part: found[part] for part in PARTS if part in found}


def _wrong(question: Question, value: Any) -> tuple[str, str] | None:
    """What is wrong with an answer, and what to write."""
    if question.kind == "count":
        right = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return None if right else (f"{value!r} is not a number of subjects.", "Write a whole number above 0.")
    if question.kind == "list":
        right = isinstance(value, list) and value and all(isinstance(item, str) and item.strip() for item in value)
        return None if right else ("This is a list of sentences.", "Write each on a line of its own, after a dash.")
    if not isinstance(value, str) or not value.strip():
        return f"{value!r} is not text.", "Put it in quotes, or leave it empty while the answer is open."
    if question.kind == "choice" and value not in question.choices:
        return f"'{value}' is not an answer here.", suggestion(value, question.choices)
    return None


def protocol_yaml(document: dict[str, Any] | None = None, *, about: str = "") -> str:
    """A protocol to fill in, with what is answered already: every question as a comment above its key."""
    lines = [
        f"# What only a person can say of {about or 'the study'}. Leave open what is not known: it is shown as "
        "missing.",
        f"# Give the file back with: calliper report protocol {about or 'STUDY'} --set FILE",
        f"{_KEY}: 1",
    ]
    for part, title in PARTS.items():
        lines += ["", f"# {title} " + "-" * (110 - len(title)), f"{part}:"]
        for question in QUESTIONS:
            if question.part != part:
                continue
            asks = question.asks + (f" One of: {', '.join(question.choices)}." if question.choices else "")
            lines += [f"  # {line}" for line in textwrap.wrap(asks, 112)]
            lines += _written(question.key, answer(document, question.path))
    return "\n".join(lines) + "\n"


def _written(key: str, value: Any) -> list[str]:
    if value is None:
        return [f"  {key}:"]
    if isinstance(value, list):
        return [f"  {key}:", *(f"    - {json.dumps(item, ensure_ascii=False)}" for item in value)]
    return [f"  {key}: {json.dumps(value, ensure_ascii=False)}"]
