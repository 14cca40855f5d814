"""Reports of comparison, data quality and model cards follow their results; kinds refuse what they cannot make."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from whole_study import CARD

from reports.comparison_report import comparison_document
from reports.data_quality_report import data_quality_document
from reports.document import Document, List, Paragraph, Table, text_of, walk
from reports.kinds import KINDS, Order, build, find_kind
from reports.model_card_report import model_card_document
from studies.errors import UsageError


def prose(document: Document) -> str:
    told = []
    for block in walk(document.sections):
        if isinstance(block, Paragraph):
            told.append(text_of(block.content))
        elif isinstance(block, List):
            told += [text_of(item) for item in block.items]
    return " ".join(told).replace("\u00a0", " ")


def table(document: Document, name: str) -> list[list[str]]:
    found = next(block for block in walk(document.sections) if isinstance(block, Table) and block.id == name)
    return [[text_of(cell).replace("\u00a0", " ") for cell in row.cells] for row in found.rows]


def estimate(value: float, low: float, high: float) -> dict[str, float]:
    return {"estimate": value, "low": low, "high": high}


def change(gap: float, half: float, p: float, verdict: str, n: int = 60) -> dict[str, Any]:
    return {
        "n": n, "subjects": n, "verdict": verdict, "suppressed": False, "reason": None,
        "baseline": {"mae": estimate(3, 2.5, 3.5), "bias": estimate(1, 0, 2), "ccc": estimate(0.9, 0.85, 0.95)},
        "candidate": {"mae": estimate(3 + gap, 2, 4), "bias": estimate(0, -1, 1), "ccc": estimate(0.92, 0.88, 0.96)},
        "difference": {
            "mae": estimate(gap, gap - half, gap + half), "bias": estimate(-1, -2, 0), "ccc": estimate(0.02, 0, 0.04),
        },
        "p_value": {"mae": p / 3, "bias": 0.2, "ccc": 0.1},
        "p_adjusted": {"mae": p, "bias": 0.4, "ccc": 0.3},
    }  # fmt: skip


@pytest.fixture
def comparison() -> dict[str, Any]:
    hidden = {"n": None, "suppressed": True, "reason": "fewer than 10 subjects"}
    run = {"checkpoints": {"estimator": "small@1"}, "status": "finished", "software": {}}
    moved = {
        "number": 1, "baseline": 20.0, "candidate": 25.0, "change": 5.0, "reference": 24.0, "change_of_error": -3.0,
    }  # fmt: skip
    return {
        "calliper": {"format": 1, "version": "0"},
        "level": 0.95,
        "study": {"name": "trial", "title": "Trial"},
        "plan": {"version": 1, "hash": "ab", "locked": True, "document": {}},
        "measurand": {"name": "body_fat_percent", "label": "body fat percentage", "unit": "%"},
        "reference": "dxa",
        "baseline": {"run": 1, **run},
        "candidate": {"run": 2, **run, "checkpoints": {"estimator": "small@2"}},
        "verdict": "better",
        "overall": change(-0.5, 0.3, 0.004, "better"),
        "subgroups": {
            "sex": {
                "label": "Sex",
                "by_group": {
                    "F": change(-0.9, 0.3, 0.001, "better", 40),
                    "M": change(0.2, 0.5, 0.6, "no evidence", 20),
                },
            },
            "site": {"label": "Site", "by_group": {"north": hidden}},
        },
        "reach": {
            "scans": 70, "both": 60, "only_baseline": 5, "only_candidate": 3, "neither": 2,
            "why": {
                "only_baseline": [{"status": "indeterminate", "reason": "nobody to be seen", "n": 5}],
                "only_candidate": [{"status": "unreachable", "reason": "photos deleted", "n": 3}],
            },
        },
        "moved": [moved, {**moved, "number": 2, "reference": None, "change_of_error": None}],
        "notes": ["All scans are rendered: no one was photographed."],
    }  # fmt: skip


def test_the_candidate_is_better_worse_or_neither(comparison: dict[str, Any]) -> None:
    told = prose(comparison_document(comparison))
    assert (
        "Run 2 is better than run 1: difference of the mean absolute error −0.50 percentage points "
        "(95% CI −0.80 to −0.20), p = 0.004 after adjustment."
    ) in told
    assert "Sex, Women: run 2 is better than run 1" in told
    assert "Men: run 2" not in told
    worse = copy.deepcopy(comparison)
    worse["overall"] = change(0.7, 0.3, 0.01, "worse")
    assert "Run 2 is worse than run 1: difference of the mean absolute error 0.70" in prose(comparison_document(worse))
    neither = copy.deepcopy(comparison)
    neither["overall"] = change(-0.5, 0.3, 0.07, "no evidence")
    neither["subgroups"] = {}
    told = prose(comparison_document(neither))
    assert "There is no evidence that run 2 and run 1 differ" in told
    assert "its interval alone leaves out zero, but the test, adjusted for the number of comparisons, does not" in told
    assert "The plan names no subgroup." in told


def test_scans_that_were_not_compared_have_their_reason(comparison: dict[str, Any]) -> None:
    document = comparison_document(comparison)
    told = prose(document)
    assert "Of 70 scans, 60 gave a value in both runs, 5 in run 1 alone, 3 in run 2 alone and 2 in neither." in told
    assert table(document, "table-reach") == [
        ["Run 2", "indeterminate", "nobody to be seen", "5"], ["Run 1", "unreachable", "photos deleted", "3"],
    ]  # fmt: skip
    assert "1 scan of 1 with a reference moved closer to it with run 2." in told
    assert ["North", "not shown", "", "", "", ""] in table(document, "table-groups")
    assert document.banner == "All scans are rendered: no one was photographed."


def test_runs_that_gave_the_same_values_are_said_to_be_the_same(comparison: dict[str, Any]) -> None:
    """Then no scan moved, and none is listed as one of those that moved most."""
    still = {"candidate": 20.0, "change": 0.0, "change_of_error": 0.0}
    comparison["moved"] = [{**item, **still} for item in comparison["moved"]]
    comparison["overall"] = change(0.0, 0.0, 1.0, "no evidence")
    document = comparison_document(comparison)
    told = prose(document)
    assert "Run 2 gave every scan the value that run 1 gave it." in told
    assert "None: run 2 gave every one of 2 scans the value that run 1 gave it." in told
    assert "table-moved" not in json.dumps(document.to_dict())
    comparison["moved"][0] = {**comparison["moved"][0], "change": 5.0, "change_of_error": 0.5}
    told = prose(comparison_document(comparison))
    assert "gave every scan the value" not in told
    assert "0 scans of 1 with a reference moved closer to it with run 2. 1 scan did not move." in told


def test_what_every_kind_was_made_from_stands_in_it(comparison: dict[str, Any]) -> None:
    comparison["candidate"]["software"] = {"torch": "2.0"}
    told = json.dumps(comparison_document(comparison).to_dict(), ensure_ascii=False)
    assert '"Provenance"' in told
    assert ": estimator small@2; made with torch 2.0" in told


@pytest.fixture
def quality() -> dict[str, Any]:
    outcome = {"scans": 12, "determinate": 9, "indeterminate": 3}
    return {
        "calliper": {"format": 1, "version": "0"},
        "study": {"name": "trial", "title": "Trial"},
        "plan": {"document": {"minimum_cell": 10}},
        "data": {"hash": "ab", "subjects": 40, "visits": 40, "measurements": 100, "scans": 12},
        "run": {"number": 2},
        "ingests": [
            {"number": 1, "mapping": "calliper", "status": "ingested", "read": 110, "new": 100, "changed": 0,
             "unchanged": 0, "rejected": 10, "flagged": 1},
        ],
        "quarantine": {
            "rows": 10, "rules": [{"rule": "age", "description": "age is between 0 and 120", "n": 10}],
            "sources": [{"source": "subjects.csv", "n": 10}],
        },
        "flags": {"measurements": 1, "rules": [{"rule": "bmi", "description": "BMI is usual", "n": 1}]},
        "missing": [
            {"attribute": "sex", "n": 0, "of": 40, "percent": 0.0},
            {"attribute": "ethnicity", "n": 4, "of": 40, "percent": 10.0},
        ],
        "measurements": [
            {"measurand": "waist_cm", "method": "tape", "n": 38, "visits": 38, "subjects": 38, "percent": 95.0}
        ],
        "sites": [{"site": "north", "subjects": 40, "measurements": 100, "flagged": 1, **outcome}],
        "devices": [{"device": "phone-a", "subjects": None, "suppressed": True}],
        "scans": {**outcome, "unreachable": 0, "reasons": [{"status": "indeterminate", "reason": "dark", "n": 3}]},
        "notes": [],
    }  # fmt: skip


def test_data_quality_counts_and_their_grammar(quality: dict[str, Any]) -> None:
    document = data_quality_document(quality)
    told = prose(document)
    assert "10 rows are in quarantine." in told
    assert "1 measurement is in the registry although a rule doubts it." in told
    assert "In run 2, 9 of 12 scans gave a value, 3 were indeterminate and 0 could not be reached." in told
    assert table(document, "table-missing") == [["Ethnicity", "4", "10.0"]]
    assert table(document, "table-devices") == [["phone-a", "not shown", "", "", ""]]
    quality["flags"]["measurements"] = 2
    assert "2 measurements are in the registry although a rule doubts them." in prose(data_quality_document(quality))
    same = {"description": "no two rows are the same", "n": 1}
    quality["quarantine"]["rules"] = [{"rule": f"{name}_unique", **same} for name in ("subjects", "readings")]
    quality["measurements"][0]["measurand"] = "waist_to_hip"
    document = data_quality_document(quality)
    assert [row[0] for row in table(document, "table-quarantine")] == [
        "no two rows are the same (subjects unique)", "no two rows are the same (readings unique)",
    ]  # fmt: skip
    assert table(document, "table-measured")[0][0] == "Waist-to-hip ratio"
    quality["quarantine"] = {"rows": 0, "rules": [], "sources": []}
    quality["flags"] = {"measurements": 0, "rules": []}
    quality["run"], quality["devices"], quality["ingests"] = None, [], []
    told = prose(data_quality_document(quality))
    for sentence in (
        "No row is in quarantine.", "No measurement is doubted by a rule.", "No run has looked at the scans",
        "there is nothing to say of devices", "Nothing was ingested",
    ):  # fmt: skip
        assert sentence in told


def test_model_cards_say_whose_they_are() -> None:
    results = {
        "calliper": {"format": 1, "version": "0"}, "study": {"name": "t", "title": "T"}, "run": {"number": 4},
        "cards": [CARD], "notes": [],
    }  # fmt: skip
    document = model_card_document(results)
    assert "The checkpoints of run 4." in prose(document)
    assert [section.title for section in document.sections] == [
        "Summary", "Estimator small, version 2", "Subjects in common with training", "Provenance",
    ]  # fmt: skip
    assert "the current ones" in prose(model_card_document({**results, "run": None}))
    assert "no checkpoint is the current one" in prose(model_card_document({**results, "run": None, "cards": []}))


@pytest.mark.parametrize("name", ["comparison", "quality"])
def test_numbers_of_other_kinds_stand_in_their_results(name: str, request: pytest.FixtureRequest) -> None:
    results = request.getfixturevalue(name)
    make = {"comparison": comparison_document, "quality": data_quality_document}[name]
    values = make(results).values()
    assert len(values) > 20
    for value in values:
        found: Any = results
        for step in value.source.split("/")[1:]:
            found = found[int(step)] if isinstance(found, list) else found[step.replace("~1", "/").replace("~0", "~")]
        assert found == value.value, value


def test_every_kind_can_be_loaded() -> None:
    import importlib

    for kind in KINDS.values():
        module, _, function = kind.builder.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), kind.name
        assert 0 <= kind.runs[0] <= kind.runs[1]


def test_what_a_kind_cannot_make_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'fairness'"):
        find_kind("fairnes")
    with pytest.raises(UsageError, match="takes 2 runs"):
        build(None, "comparison", Order("trial", (1,)))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="takes 0 or 1 run, and"):
        build(None, "validation", Order("trial", (1, 2)))  # type: ignore[arg-type]
