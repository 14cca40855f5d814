"""Checklists: what is in the report, what the data lack, and what only a person can supply."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from whole_study import answered, whole

from reports.bound import Bound
from reports.checklists.filled import (
    IN_PART,
    IN_REPORT,
    MISSING,
    NEEDS,
    NO_DATA,
    NOT_APPLICABLE,
    checklist_results,
    checklists,
    places_of,
    status_of,
)
from reports.checklists.items import CHECKLISTS, Item
from reports.document import Document, Link, Ref, Section, Table, text_of, walk
from reports.sections.intended_use import place_of
from reports.validation_report import body, validation_report
from studies.analysis import StudyAnalysis
from studies.protocol import BY_PATH


@pytest.fixture(scope="module")
def analysis() -> StudyAnalysis:
    return whole(protocol=answered())


@pytest.fixture(scope="module")
def full(analysis: StudyAnalysis) -> Bound:
    return Bound(analysis.results, analysis.pairs)


@pytest.fixture(scope="module")
def document(analysis: StudyAnalysis) -> Document:
    return validation_report(analysis)


@pytest.fixture(scope="module")
def places(full: Bound) -> dict[str, str]:
    return places_of(body(full))


@pytest.fixture(scope="module")
def bare() -> Bound:
    def plain(held):
        rows = held["measurements"]
        keep = (rows["replicate"] == 1) & (rows["visit"] == "v1") & (rows["measurand"] == "body_fat_percent")
        return {**held, "measurements": rows[keep], "scans": held["scans"].iloc[:0]}

    analysis = whole(edit=plain, run={}, plan={"subgroups": [], "criteria": [], "comparators": []})
    return Bound(analysis.results, analysis.pairs)


ITEMS = [(checklist.id, item) for checklist in CHECKLISTS for item in checklist.items]


@pytest.mark.parametrize(("name", "item"), ITEMS, ids=[f"{name} {item.number}" for name, item in ITEMS])
def test_every_item_points_to_something(name: str, item: Item, places: dict[str, str]) -> None:
    assert not item.place or item.place in places
    assert not item.needs or item.needs in NEEDS
    assert all(path in BY_PATH for path in item.asks)
    assert item.place or item.asks or item.unless
    assert all(place_of(path) in places for path in item.asks)


def test_the_numbers_of_items_are_those_of_the_guidelines() -> None:
    numbers = {checklist.id: [item.number for item in checklist.items] for checklist in CHECKLISTS}
    assert numbers["grras"] == [str(i) for i in range(1, 16)]
    assert len({number.rstrip("ab") for number in numbers["stard"]}) == 30
    assert len({number.rstrip("abcdefg") for number in numbers["tripod-ai"]}) == 27
    letters = {"stard": "10 12 13 21", "tripod-ai": "3 5 6 8 9 12 18 20 23 27"}
    for name, wanted in letters.items():
        assert {number.rstrip("abcdefg") for number in numbers[name] if number[-1].isalpha()} == set(wanted.split())
    assert (len(numbers["stard"]), len(numbers["tripod-ai"])) == (34, 52)
    # The 18 items that STARD-AI adds or changes.
    assert " ".join(numbers["stard-ai"]) == "1 3 6 7 11 12 13 14 15b 15d 23 25 28 29 35 39 40a 40b"
    assert all(len(found) == len(set(found)) for found in numbers.values())


def test_with_all_answers_and_all_data_nothing_is_missing(full: Bound) -> None:
    found = checklist_results(full, body(full))
    left = {(name, row["item"]): row for name, rows in found.items() for row in rows}
    statuses = {row["status"] for row in left.values()}
    assert statuses <= {IN_REPORT, NOT_APPLICABLE}, [
        key for key, row in left.items() if row["status"] in (MISSING, IN_PART)
    ]


def test_without_answers_only_what_the_data_say_is_in_the_report(bare: Bound) -> None:
    found = {(name, row["item"]): row for name, rows in checklist_results(bare, body(bare)).items() for row in rows}
    assert found["grras", "10"]["status"] == IN_REPORT
    assert found["grras", "7"] == {
        "item": "7", "topic": "How subjects were chosen", "status": MISSING, "open": ["protocol: design.sampling"],
    }  # fmt: skip
    assert found["grras", "2"]["status"] == IN_PART
    assert found["stard", "21b"]["status"] == NOT_APPLICABLE
    assert found["stard", "17"]["open"] == ["no subgroup in the plan"]
    assert found["iscd", "c"]["status"] == NO_DATA
    assert found["fda", "f"]["status"] == NO_DATA


def test_one_answer_moves_one_item(bare: Bound) -> None:
    item = next(item for name, item in ITEMS if name == "stard" and item.number == "9")
    places = places_of(body(bare))
    assert status_of(item, bare, places)[0] == MISSING
    answer = {"version": 1, "hash": "", "document": {"design": {"sampling": "random"}}}
    given = Bound({**bare.results, "protocol": answer}, bare.pairs)
    assert status_of(item, given, places) == (IN_REPORT, [])


def test_every_link_leads_somewhere_in_the_same_document(document: Document) -> None:
    ids = {part.id for part in walk(document.sections) if hasattr(part, "id")}
    section = document.sections[-1]
    links = [
        inline
        for block in walk((section,))
        if isinstance(block, Table)
        for row in block.rows
        for cell in row.cells
        for inline in (cell if isinstance(cell, tuple) else (cell,))
        if isinstance(inline, Link | Ref)
    ]
    assert len(links) > 100
    assert {link.target.lstrip("#") if isinstance(link, Link) else link.id for link in links} <= ids


def test_alone_the_checklists_link_to_nothing_that_is_not_there(full: Bound) -> None:
    section = checklists(full, body(full), linked=False)
    own = {part.id for part in walk((section,)) if hasattr(part, "id")}
    links = [
        inline
        for block in walk((section,))
        if isinstance(block, Table)
        for row in block.rows
        for cell in row.cells
        for inline in (cell if isinstance(cell, tuple) else (cell,))
        if isinstance(inline, Link | Ref)
    ]
    assert links
    assert all(isinstance(link, Link) and link.target.lstrip("#") in own for link in links)


def test_they_support_and_never_claim_compliance(document: Document) -> None:
    text = str(document.to_dict()).lower()
    assert "supports" in text
    assert "compliant" not in text
    assert "certified" not in text


def test_what_is_open_is_asked_for_once(bare: Bound) -> None:
    section = checklists(bare, body(bare))
    part = next(p for p in walk((section,)) if isinstance(p, Section) and p.id == "open-questions")
    items = [text_of(item) for block in part.blocks if hasattr(block, "items") for item in block.items]
    assert sum("design.sampling" in item for item in items) == 1
    assert "GRRAS 7 and STARD 2015 9" in next(item for item in items if "design.sampling" in item)


def test_cut_offs_are_an_item_where_the_plan_names_one(full: Bound, bare: Bound, places: dict[str, str]) -> None:
    items = {item.number: item for name, item in ITEMS if name == "stard"}
    assert status_of(items["12b"], full, places) == (IN_REPORT, [])
    none = Bound({**full.results, "cut_offs": [], "protocol": None}, full.pairs)
    assert status_of(items["12b"], none, places)[0] == NOT_APPLICABLE
    assert status_of(items["12a"], none, places)[0] == NOT_APPLICABLE
    unanswered = Bound({**full.results, "protocol": None}, full.pairs)
    assert status_of(items["12a"], unanswered, places) == (IN_PART, ["protocol: index_test.cut_offs"])
    level = next(item for name, item in ITEMS if (name, item.number) == ("ep09", "j"))
    assert status_of(level, full, places) == (IN_REPORT, [])
    assert status_of(level, Bound({**full.results, "decision_levels": []}, full.pairs), places)[0] == NO_DATA


def test_clusters_are_sites_and_not_any_group(full: Bound, places: dict[str, str]) -> None:
    item = next(item for name, item in ITEMS if (name, item.number) == ("tripod-ai", "23b"))
    assert status_of(item, full, places) == (IN_REPORT, [])
    plan = {**full.results["plan"], "document": {**full.plan, "subgroups": [{"name": "sex", "attribute": "sex"}]}}
    assert status_of(item, Bound({**full.results, "plan": plan}, full.pairs), places)[0] == NO_DATA
