"""Who can be rendered, from which of their measurements, and from which never."""

from __future__ import annotations

import pandas as pd
import pytest

from studies.rendering.people import USED, people_of

READING = {"visit": "v1", "method": "anthropometry", "measured_at": pd.Timestamp("2024-03-01 09:00")}


def readings(*rows: dict) -> pd.DataFrame:
    columns = ["subject_id", "visit", "measured_at", "measurand", "method", "value"]
    return pd.DataFrame([READING | row for row in rows], columns=columns)


def of(subject: str, **values: float) -> list[dict]:
    return [{"subject_id": subject, "measurand": name, "value": value} for name, value in values.items()]


def subjects(**facts: dict) -> pd.DataFrame:
    rows = [{"subject_id": name, "sex": "F", "age": 40.0, "ethnicity": None} | fact for name, fact in facts.items()]
    return pd.DataFrame(rows)


ANN = of("ann", stature_cm=165, weight_kg=60, waist_cm=75)


def test_a_row_a_visit_with_the_values_and_when_they_were_measured() -> None:
    people = people_of(subjects(ann={}), readings(*ANN), reference="dxa")
    (row,) = people.table.to_dict("records")
    assert (row["subject_id"], row["visit"], row["sex"], row["age"]) == ("ann", "v1", "F", 40.0)
    assert (row["stature_cm"], row["weight_kg"], row["waist_cm"]) == (165, 60, 75)
    assert row["captured_at"] == pd.Timestamp("2024-03-01 09:00")
    assert people.table[list(USED)].isna().sum(axis=1).item() == len(USED) - 3
    assert people.refused == []


def test_nothing_that_the_reference_method_measured_is_used() -> None:
    by_dxa = [row | {"method": "dxa"} for row in of("ann", weight_kg=90, waist_cm=120, body_fat_percent=45)]
    with_it = people_of(subjects(ann={}), readings(*ANN, *by_dxa), reference="dxa")
    without = people_of(subjects(ann={}), readings(*ANN), reference="dxa")
    pd.testing.assert_frame_equal(with_it.table, without.table)
    assert not {column for column in with_it.table if "fat" in column}


def test_who_was_weighed_by_the_reference_method_only_is_refused() -> None:
    rows = [*of("ann", stature_cm=165), *(row | {"method": "dxa"} for row in of("ann", weight_kg=60))]
    people = people_of(subjects(ann={}), readings(*rows), reference="dxa")
    assert people.table.empty
    (refusal,) = people.refused
    assert refusal.reason == "mass was measured only by the reference method 'dxa', which is never used"


def test_the_tape_counts_before_other_methods_and_repeats_are_averaged() -> None:
    other = [row | {"method": "scale"} for row in of("ann", weight_kg=66)]
    again = [row | {"method": "scale"} for row in of("bob", weight_kg=80) + of("bob", weight_kg=82)]
    rows = readings(*ANN, *other, *of("bob", stature_cm=180), *again)
    table = people_of(subjects(ann={}, bob={"sex": "M"}), rows, reference="dxa").table.set_index("subject_id")
    assert table["weight_kg"].to_dict() == {"ann": 60, "bob": 81}


def test_stature_is_known_at_every_visit_of_an_adult() -> None:
    later = [row | {"visit": "v2"} for row in of("ann", weight_kg=58)]
    table = people_of(subjects(ann={}), readings(*ANN, *later), reference="dxa").table
    assert table["visit"].tolist() == ["v1", "v2"]
    assert table["stature_cm"].tolist() == [165, 165]
    assert table["waist_cm"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("fact", "values", "reason"),
    [
        ({"sex": None}, {"stature_cm": 165, "weight_kg": 60}, "sex is not known"),
        ({"age": None}, {"stature_cm": 165, "weight_kg": 60}, "age is not known"),
        ({"age": 12.0}, {"stature_cm": 150, "weight_kg": 40}, "younger than 18 years: the body model is one of adults"),
        ({}, {"weight_kg": 60}, "stature was not measured"),
        ({}, {"stature_cm": 165}, "mass was measured at no visit"),
        ({}, {"stature_cm": 1650, "weight_kg": 60}, "stature of 1650 cm is impossible"),
        ({"sex": None}, {"weight_kg": 60}, "sex is not known; stature was not measured"),
    ],
)
def test_who_cannot_be_rendered_is_told_why(fact: dict, values: dict, reason: str) -> None:
    people = people_of(subjects(ann=fact, bea={}), readings(*of("ann", **values), *of("bea")), reference="dxa")
    assert people.table.empty
    assert {refusal.subject_id: refusal.reason for refusal in people.refused} == {
        "ann": reason, "bea": "mass was measured at no visit",
    }  # fmt: skip
