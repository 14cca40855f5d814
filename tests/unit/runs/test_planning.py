"""What a scan's person is known by when it is processed."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from scan_study import ScanStudy
from sqlalchemy import insert, select, update

from studies.registry.schema import Reading, Run, Scan, Subject, Visit
from studies.runs.planning import to_do


def profile(study: ScanStudy, scan: int = 0) -> dict:
    return list(to_do(study.registry, study.id, 0))[scan].profile


def test_stature_mass_age_and_sex_go_with_a_scan(store) -> None:
    study = ScanStudy(store, 2)
    assert profile(study, 1) == {"stature_cm": 161.0, "weight_kg": 51.0, "age": 21.0, "sex": "M"}


def test_the_first_reading_of_the_visit_counts(store) -> None:
    study = ScanStudy(store, 1)
    with store.writing() as connection:
        visit = connection.execute(select(Visit.id)).scalar_one()
        connection.execute(
            insert(Reading).values(
                visit_id=visit, measurand="weight_kg", method="scale", device_id=study.device, replicate=2,
                value=99, unit="kg", measured_at=datetime(2024, 3, 1),
            )
        )  # fmt: skip
    assert profile(study)["weight_kg"] == 50


def test_stature_is_taken_from_another_visit_and_mass_is_not(store) -> None:
    study = ScanStudy(store, 1)
    with store.writing() as connection:
        subject = connection.execute(select(Subject.id)).scalar_one()
        later = insert(Visit).values(subject_id=subject, label="later", sequence=2).returning(Visit.id)
        connection.execute(update(Scan).values(visit_id=connection.execute(later).scalar_one()))
    assert profile(study) == {"stature_cm": 160.0, "weight_kg": None, "age": 20.0, "sex": "F"}


@pytest.mark.parametrize(
    ("known", "age"),
    [
        ({"age": 40.0, "enrolled_on": date(2023, 3, 1)}, 40 + 366 / 365.25),
        ({"age": 40.0}, 40.0),
        ({"age": None, "birth_date": date(1984, 3, 1)}, 14610 / 365.25),
        ({"age": None, "birth_date": None}, None),
    ],
)
def test_age_is_that_at_the_scan(store, known: dict, age: float | None) -> None:
    study = ScanStudy(store, 1)
    with store.writing() as connection:
        connection.execute(update(Subject).values(**known))
    assert profile(study)["age"] == age


def test_what_a_run_was_given_is_noted(store) -> None:
    study = ScanStudy(store, 1)
    with store.writing() as connection:
        connection.execute(update(Subject).values(sex=None))
    study.run()
    from studies.registry.schema import Outcome, Photo

    inputs = study.rows(Outcome)[0].inputs
    assert inputs["profile"] == {"stature_cm": 160.0, "weight_kg": 50.0, "age": 20.0, "sex": None}
    assert set(inputs["photos"].values()) == {row.sha256 for row in study.rows(Photo)}
    assert study.rows(Run)[0].status == "finished"
