"""Damage on purpose: every kind, where the list says, and nowhere else."""

import csv
import re
from collections import Counter
from datetime import datetime

import pandas as pd
import pytest

from studies.errors import UsageError
from studies.measurands import MEASURANDS
from studies.synthetic import plant_errors, synthesize, write_cohort
from studies.synthetic.planted import KINDS, POUNDS_BMI


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """The planted errors, and the rows of the clean and of the damaged files by file name and row."""
    cohort = synthesize(500, 21)
    before = {name: getattr(cohort, name).copy() for name in ("subjects", "readings")}
    broken, errors = plant_errors(cohort, 22)
    for name, frame in before.items():
        pd.testing.assert_frame_equal(getattr(cohort, name), frame)  # the cohort itself is left as it was
    rows = []
    for one, listed in ((cohort, None), (broken, errors)):
        folder = tmp_path_factory.mktemp("cohort")
        write_cohort(one, folder, errors=listed)
        files = {}
        for name in ("subjects.csv", "readings.csv"):
            with open(folder / name, encoding="utf-8", newline="") as stream:
                lines = list(csv.reader(stream))
            files[name] = {number: dict(zip(lines[0], line, strict=True)) for number, line in enumerate(lines[1:], 2)}
        rows.append(files)
    return errors, *rows


def test_every_kind_is_planted_one_to_three_times(damaged):
    errors, _, _ = damaged
    count = Counter(error.kind for error in errors)
    assert set(count) == set(KINDS)
    del count["follow-up before baseline"]  # an error a reading of one visit
    assert set(count.values()) <= {1, 2, 3}


def test_the_list_says_where(damaged):
    errors, _, after = damaged
    for error in errors:
        assert after[error.file][error.row][error.column] == error.value


def test_nothing_else_is_damaged(damaged):
    errors, before, after = damaged
    planted = {(error.file, error.row) for error in errors}
    for name, rows in after.items():
        for number, row in rows.items():
            if (name, number) not in planted:
                assert row == before[name][number]


def _of(damaged, kind):
    errors, before, after = damaged
    chosen = [error for error in errors if error.kind == kind]
    return [(before[e.file].get(e.row), after[e.file][e.row], before) for e in chosen]


def test_pounds_give_a_body_mass_index_that_nobody_has(damaged):
    for clean, row, before in _of(damaged, "mass in pounds under kg"):
        stature = next(
            float(r["value"]) for r in before["readings.csv"].values()
            if r["subject_id"] == row["subject_id"] and r["measurand"] == "stature_cm"
        )  # fmt: skip
        assert float(row["value"]) == pytest.approx(float(clean["value"]) / 0.45359237, abs=0.06)
        assert row["unit"] == "kg"
        assert float(row["value"]) / (stature / 100) ** 2 > POUNDS_BMI - 0.1


@pytest.mark.parametrize(
    ("kind", "measurand", "factor"),
    [("stature in metres under cm", "stature_cm", 0.01), ("body fat as a fraction under %", "body_fat_percent", 0.01)],
)
def test_values_in_another_unit_are_implausible(damaged, kind, measurand, factor):
    for clean, row, _ in _of(damaged, kind):
        assert row["measurand"] == measurand
        assert float(row["value"]) == pytest.approx(factor * float(clean["value"]), abs=0.006)
        assert float(row["value"]) < MEASURANDS[measurand].plausible[0]


def test_values_that_are_no_numbers(damaged):
    patterns = {
        "decimal comma": r"\d+,\d",
        "text in value": "n/a",
        "infinite value": "inf",
        "formula cell": r"=G\d+\*100",
    }
    for kind, pattern in patterns.items():
        for _, row, _ in _of(damaged, kind):
            assert re.fullmatch(pattern, row["value"])


def test_units_that_nobody_knows(damaged):
    for _, row, _ in _of(damaged, "unknown unit"):
        assert MEASURANDS[row["measurand"]].factor(row["unit"]) is None


def test_rows_that_are_there_twice(damaged):
    for clean, row, before in _of(damaged, "duplicate subject"):
        assert clean is None
        assert row["subject_id"] in {r["subject_id"] for r in before["subjects.csv"].values()}
    for clean, row, before in _of(damaged, "duplicate reading"):
        assert clean is None
        assert row in before["readings.csv"].values()


def test_readings_of_nobody(damaged):
    for _, row, before in _of(damaged, "unknown subject"):
        assert row["subject_id"] not in {r["subject_id"] for r in before["subjects.csv"].values()}


def test_dates_out_of_order(damaged):
    def at(row):
        return datetime.fromisoformat(row["measured_at"])

    _, before, _ = damaged
    enrolled = {r["subject_id"]: datetime.fromisoformat(r["enrolled_on"]) for r in before["subjects.csv"].values()}
    baseline = {r["subject_id"]: at(r) for r in before["readings.csv"].values() if r["visit"] == "baseline"}
    assert all(at(row).year > 2090 for _, row, _ in _of(damaged, "date in the future"))
    assert all(at(row) < enrolled[row["subject_id"]] for _, row, _ in _of(damaged, "visit before enrolment"))
    late = [row for _, row, _ in _of(damaged, "follow-up before baseline")]
    assert len({row["subject_id"] for row in late}) == 1
    for row in late:
        assert row["visit"] == "week-12"
        assert enrolled[row["subject_id"]] < at(row) < baseline[row["subject_id"]]


def test_each_subject_is_damaged_once(damaged):
    errors, _before, after = damaged
    who = {}
    for error in errors:
        if error.kind != "unknown subject":
            who.setdefault(after[error.file][error.row]["subject_id"], set()).add(error.kind)
    assert all(len(kinds) == 1 for kinds in who.values())


def test_same_seed_same_damage():
    cohort = synthesize(300, 1)
    assert plant_errors(cohort, 5)[1] == plant_errors(cohort, 5)[1]
    assert plant_errors(cohort, 5)[1] != plant_errors(cohort, 6)[1]


def test_a_cohort_without_enough_people_is_refused():
    with pytest.raises(UsageError, match="too small"):
        plant_errors(synthesize(5, 1), 1)
