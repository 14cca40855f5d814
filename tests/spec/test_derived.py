"""Derived measurements: body fat percentage by equations from body measurements."""

import numpy as np
import pytest

from studies.derived import EQUATIONS, derive
from studies.errors import PlanError

WHO = """
    subject_id | sex | age
    F          | F   | 40
    M          | M   | 40
    """
TAPE = """
    subject_id | measurand  | method | value
    F          | stature_cm | tape   | 160
    F          | weight_kg  | tape   | 64
    F          | waist_cm   | tape   | 80
    M          | stature_cm | tape   | 180
    M          | weight_kg  | tape   | 97.2
    M          | waist_cm   | tape   | 100
    """


def _values(told, *methods):
    made = derive(told.subjects, told.visits, told.measurements, methods).measurements
    return {(row.subject_id, row.method): row.value for row in made.itertuples()}


@pytest.mark.parametrize(
    ("method", "woman", "man"),
    [
        # BMI 25 and 30 kg/m², 40 years.
        ("deurenberg", 1.2 * 25 + 0.23 * 40 - 5.4, 1.2 * 30 + 0.23 * 40 - 10.8 - 5.4),
        ("gallagher", 64.5 - 33.92 + 3.16, 64.5 - 848 / 30 + 3.16 - 16.4 + 2 + 1.3),
        ("rfm", 76 - 20 * 2, 64 - 20 * 1.8),
    ],
)
def test_the_published_equations(study, method, woman, man):
    """Each equation as its authors printed it: BMI, age and sex, or stature, waist and sex."""
    found = _values(study(subjects=WHO, measurements=TAPE), method)
    assert found == {("F", method): pytest.approx(woman), ("M", method): pytest.approx(man)}


def test_bmi_is_computed_from_stature_and_mass_and_a_reading_serves_where_one_is_missing(study):
    """The visit's stature and mass come first: a BMI reading is rounded, or typed. It serves where they are missing."""
    told = study(
        subjects=WHO,
        measurements="""
        subject_id | measurand  | method | value
        F          | stature_cm | tape   | 160
        F          | weight_kg  | tape   | 64
        F          | bmi        | tape   | 99
        M          | weight_kg  | tape   | 70
        M          | bmi        | tape   | 30
        """,
    )
    found = _values(told, "deurenberg")
    assert found["F", "deurenberg"] == pytest.approx(1.2 * 25 + 0.23 * 40 - 5.4)
    assert found["M", "deurenberg"] == pytest.approx(1.2 * 30 + 0.23 * 40 - 16.2)


def test_what_cannot_be_computed_says_what_is_missing(study):
    """Inputs must be of the same visit. The reason is the first input that is missing."""
    told = study(
        subjects="""
        subject_id | sex | age
        A          | F   | 40
        B          | F   | -
        C          | -   | 40
        D          | F   | 40
        """,
        measurements="""
        subject_id | visit | measurand  | method | value
        A          | v1    | stature_cm | tape   | 160
        A          | v2    | weight_kg  | tape   | 64
        B          | v1    | bmi        | tape   | 25
        C          | v1    | bmi        | tape   | 25
        D          | v1    | bmi        | tape   | 25
        """,
    )
    missing = derive(told.subjects, told.visits, told.measurements, ["deurenberg", "rfm"]).missing
    assert [tuple(row) for row in missing.itertuples(index=False)] == [
        ("A", "v1", "deurenberg", "no weight_kg"),
        ("A", "v2", "deurenberg", "no stature_cm"),
        ("B", "v1", "deurenberg", "no age"),
        ("C", "v1", "deurenberg", "no sex"),
        ("A", "v1", "rfm", "no waist_cm"),
        ("A", "v2", "rfm", "no stature_cm"),
        ("B", "v1", "rfm", "no stature_cm"),
        ("C", "v1", "rfm", "no stature_cm"),
        ("D", "v1", "rfm", "no stature_cm"),
    ]


def test_predictions_are_no_inputs(study):
    """An equation that took its waist from the scan under test would no longer be an independent comparator."""
    told = study(subjects=WHO, measurements=TAPE)
    told.measurements["kind"] = "reading"
    told.measurements.loc[told.measurements["measurand"] == "waist_cm", "kind"] = "prediction"
    assert _values(told, "rfm") == {}


def test_values_outside_the_validity_of_an_equation_are_flagged(study):
    """They are computed and marked: the analysis counts them in a note."""
    told = study(
        subjects="subject_id | sex | age\nA | F | 40\nB | F | 19",
        measurements="subject_id | measurand | method | value\nA | bmi | tape | 36\nB | bmi | tape | 25",
    )
    made = derive(told.subjects, told.visits, told.measurements, ["deurenberg", "gallagher"]).measurements
    flags = {(row.subject_id, row.method): row.flags for row in made.itertuples()}
    assert flags["A", "gallagher"] == flags["B", "gallagher"] == "outside_validity"
    assert flags["A", "deurenberg"] is None
    assert set(made["kind"]) == {"derived"}


def test_a_derived_comparator_says_why_a_subject_has_none(study, agrees):
    """The flow of a comparator names the input that was missing."""
    told = study(
        subjects=WHO,
        measurements="""
        subject_id | measurand        | method | value
        F          | body_fat_percent | dxa    | 30
        F          | body_fat_percent | scan   | 31
        F          | stature_cm       | tape   | 160
        F          | waist_cm         | tape   | 80
        M          | body_fat_percent | dxa    | 20
        M          | body_fat_percent | scan   | 21
        M          | stature_cm       | tape   | 180
        """,
        plan={"comparators": ["rfm"]},
    )
    assert agrees(
        told.pairs(),
        """
        F | v1 | 30 | 31 | 36
        M | v1 | 20 | 21 | -
        """,
    )
    assert agrees(told.reasons("method"), "M | rfm | no waist_cm")


def test_recorded_values_of_a_derived_method_are_used_as_they_are(study, agrees):
    """Where a study brings its own values of an equation, nothing is computed."""
    told = study(
        subjects=WHO,
        measurements=TAPE
        + """F          | body_fat_percent | dxa  | 30
    F          | body_fat_percent | scan | 31
    F          | body_fat_percent | rfm  | 12
    """,
        plan={"comparators": ["rfm"]},
    )
    assert agrees(told.pairs(), "F | v1 | 30 | 31 | 12")


def test_an_unknown_equation_is_refused(study):
    """With the nearest that there is."""
    told = study(subjects=WHO, measurements=TAPE)
    with pytest.raises(PlanError, match=r"'galagher' is not an equation\. Did you mean 'gallagher'"):
        derive(told.subjects, told.visits, told.measurements, ["galagher"])


def test_every_equation_is_described():
    """A report prints where an equation comes from."""
    for name, equation in EQUATIONS.items():
        assert equation.name == name
        assert equation.label
        assert equation.formula
        assert equation.validity
        assert equation.source.rstrip(".")[-1].isdigit()
        assert np.isfinite(equation(*(np.array([50.0]) for _ in equation.inputs))).all()
