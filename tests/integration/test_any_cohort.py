"""Whatever a cohort looks like: every row is accounted for, twice is as good as once, and both databases agree."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

PEOPLE = ["S1", "S2", "S3", "S4", "S5", "s1", "Zoë", "007", "7"]
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=12)


def row(**columns: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries(columns)


def mostly(usual: list[str], odd: list[str]) -> st.SearchStrategy[str]:
    """One of the usual values, now and then an odd one."""
    return st.one_of(st.sampled_from(usual), st.sampled_from(usual), st.sampled_from(usual), st.sampled_from(odd))


SUBJECTS = st.lists(
    row(
        subject_id=mostly(PEOPLE, ["", " S1", "S" * 70, "=S1", "S\n1"]),
        sex=mostly(["F", "M", "female"], ["X", "", "m "]),
        age=mostly(["30", "41.5", ""], ["-3", "230", "abc", "NaN", "1e999", "40,5", "1e1"]),
        birth_date=mostly([""], ["1984-05-01", "2190-01-01", "1784-05-01", "01.05.1984", "1984-02-30"]),
        enrolled_on=mostly(["2024-01-10", ""], ["1970-01-01", "10/01/2024", "20240110"]),
        site=mostly(["A", "B", ""], ["site " * 30]),
        consent=mostly(["photos", "none", ""], ["yes"]),
        note=TEXT,
        synthetic=st.just("yes"),
    ),
    min_size=1,
    max_size=12,
)
READINGS = st.lists(
    row(
        subject_id=mostly(PEOPLE, ["", "NOBODY", "S1 "]),
        visit=mostly(["baseline", "week-12"], ["", "2024-02-30", "v" * 120, "Week 12"]),
        measured_at=mostly(["2024-01-15", "2024-04-15T09:30", ""], ["2099-01-01", "0204-01-15", "15/01/2024", "soon"]),
        measurand=mostly(
            ["weight_kg", "stature_cm", "bmi", "waist_cm", "body_fat_percent"], ["", "wieght_kg", "WAIST_CM"]
        ),
        method=mostly(["scale", "dxa", "anthropometry"], ["", "Smart Scale", "m" * 50]),
        device=mostly(["", "d1"], ["d" * 120, "é"]),
        value=mostly(
            ["70", "165.5", "25.7", "31", "154.3"], ["", "0.3", "n/a", "inf", "=1+1", "70,5", "-1", "1e3", "٧٠"]
        ),
        unit=mostly([""], ["kg", "cm", "%", "lb", "stone?"]),
        replicate=mostly(["", "1", "2"], ["0", "1.5", "x", "99999999999"]),
    ),
    min_size=1,
    max_size=25,
)
_numbers = itertools.count()


def table(rows: list[dict[str, str]]) -> list[list[str]]:
    return [list(rows[0]), *(list(entry.values()) for entry in rows)]


def what_is_there(desk) -> tuple:
    """The content of a study without the keys and times of its database."""
    frames = desk.frames()
    quarantined = [(row.source, row.source_row, row.fingerprint[-20:], row.content) for row in desk.quarantined()]
    measurements = frames.measurements.drop(columns="measurement_id").sort_values(
        ["subject_id", "visit", "measurand", "method", "device", "replicate"], ignore_index=True
    )
    return frames.sha256, frames.subjects.to_csv(), frames.visits.to_csv(), measurements.to_csv(), len(quarantined)


def what_was_said(result) -> dict:
    return {part: result.report[part] for part in ("tables", "rules", "quarantine", "flagged", "notes", "status")}


def check(two_registries, subjects: list[dict[str, str]], readings: list[dict[str, str]]) -> None:
    name = f"study-{next(_numbers)}"
    rows = {"subjects.csv": len(subjects), "readings.csv": len(readings)}
    said, there = [], []
    for make in two_registries:
        desk = make(name)
        desk.write("subjects.csv", table(subjects))
        desk.write("readings.csv", table(readings))

        first = desk.ingest()

        desk.assert_all_accounted_for(first, rows)
        for file, count in rows.items():
            assert first.report["tables"][file.removesuffix(".csv")]["read"] == count
        there.append(what_is_there(desk))
        said.append(what_was_said(first))

        second = desk.ingest()

        assert what_is_there(desk) == there[-1]
        for part in ("subjects", "readings"):
            before, after = (result.report["tables"][part] for result in (first, second))
            assert (after["new"], after["changed"]) == (0, 0)
            assert (after["unchanged"], after["rejected"]) == (before["new"], before["rejected"])
        assert desk.events("change") == []
    assert said[0] == said[1]
    assert there[0] == there[1]


SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(subjects=SUBJECTS, readings=READINGS)
@example(
    subjects=[{"subject_id": "S1", "sex": "F", "age": "40", "note": "'=1+1", "synthetic": "yes"}] * 2,
    readings=[{"subject_id": "S1", "measurand": "waist_cm", "method": "tape", "value": "80"}] * 3,
)
def test_any_cohort(two_registries, subjects, readings) -> None:
    check(two_registries, subjects, readings)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(subjects=SUBJECTS, readings=READINGS)
def test_many_cohorts(two_registries, subjects, readings) -> None:
    check(two_registries, subjects, readings)
