"""The study protocol: questions, answers, and what is refused."""

from __future__ import annotations

import pytest

from studies.errors import PlanError
from studies.protocol import (
    PARTS,
    QUESTIONS,
    answer,
    load_protocol,
    open_questions,
    protocol_hash,
    protocol_yaml,
)


def full() -> dict:
    document: dict = {}
    for question in QUESTIONS:
        value = 'It is "so": yes,\nand # no'
        if question.kind == "count":
            value = 134
        elif question.kind == "list":
            value = ["one: two", "- three"]
        elif question.choices:
            value = question.choices[-1]
        document.setdefault(question.part, {})[question.key] = value
    return document


def test_an_empty_protocol_has_every_question_and_no_answer() -> None:
    text = protocol_yaml(about="pilot")
    assert all(f"  {question.key}:" in text for question in QUESTIONS)
    assert all(f"{part}:" in text for part in PARTS)
    assert max(map(len, text.splitlines())) <= 120
    assert load_protocol(text) == {}
    assert open_questions({}) == list(QUESTIONS)


def test_answers_come_back_as_they_were_written() -> None:
    assert load_protocol(protocol_yaml(full())) == full()
    assert open_questions(full()) == []
    assert answer(full(), "design.planned_subjects") == 134
    assert answer(None, "design.planned_subjects") is None


def test_the_hash_depends_on_what_is_said_alone() -> None:
    turned = {part: dict(reversed(content.items())) for part, content in reversed(full().items())}
    assert protocol_hash(turned) == protocol_hash(full())
    changed = full()
    changed["conduct"]["funding"] = "Nobody."
    assert protocol_hash(changed) != protocol_hash(full())


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("title: x\n", "must be 1", "protocol"),
        ("calliper_protocol: 2\n", "must be 1", "line 1"),
        ("calliper_protocol: 1\ndesgin:\n", "not a part", "line 2, desgin"),
        (
            "calliper_protocol: 1\ndesign:\n  sampeling: random\n",
            "Did you mean 'sampling'?",
            "line 3, design.sampeling",
        ),
        ("calliper_protocol: 1\ndesign:\n  sampling: all\n", "consecutive, convenience, random", "line 3"),
        ("calliper_protocol: 1\ndesign:\n  planned_subjects: many\n", "whole number", "line 3"),
        ("calliper_protocol: 1\ndesign:\n  planned_subjects: true\n", "whole number", "line 3"),
        ("calliper_protocol: 1\nintended_use:\n  limits: none\n", "after a dash", "line 3"),
        ("calliper_protocol: 1\nintended_use:\n  statement: yes\n", "in quotes", "line 3"),
        ("calliper_protocol: 1\ndesign: [a]\n", "Indent", "line 2, design"),
        ("calliper_protocol: 1\ndesign:\n  sampling: random\n  sampling: random\n", "written twice", "line 4"),
    ],
)
def test_what_is_no_answer_is_refused_with_its_line(text: str, what: str, where: str) -> None:
    with pytest.raises(PlanError) as raised:
        load_protocol(text)
    assert what in str(raised.value)
    assert where in str(raised.value)


def test_files_that_cannot_be_read_are_named(tmp_path) -> None:
    with pytest.raises(PlanError, match=r"nowhere\.yaml"):
        load_protocol(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes("calliper_protocol: 1\n# é\n".encode("latin-1"))
    with pytest.raises(PlanError, match="not UTF-8"):
        load_protocol(tmp_path / "latin.yaml")
