"""Mass, stature, BMI and waist judge one another."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from studies.quality.anthropometry import POUNDS_PER_KG, problems

COLUMNS = ("weight_kg", "stature_cm", "bmi", "waist_cm")


def judge(measurand: str, value: float, *, adult: bool = True, **person: float) -> tuple[str | None, str | None]:
    rows = pd.DataFrame({"measurand": [measurand], "value": [value], "adult": [adult]})
    beside = pd.DataFrame([{name: person.get(name, np.nan) for name in COLUMNS}])
    found = problems(rows, beside).iloc[0]
    return tuple(None if pd.isna(text) else text for text in found)


def test_pounds_under_kilograms_are_told_by_the_reported_bmi() -> None:
    problem, _ = judge("weight_kg", 176.4, stature_cm=175, bmi=26.1)
    assert "176.4 kg" in problem
    assert "seems to be in pounds" in problem


def test_pounds_under_kilograms_are_told_by_the_waist() -> None:
    problem, _ = judge("weight_kg", 176.4, stature_cm=175, waist_cm=92)
    assert "a waist of 92 cm" in problem


def test_a_heavy_person_is_not_taken_for_pounds() -> None:
    assert judge("weight_kg", 176.4, stature_cm=175, waist_cm=150) == (None, None)
    assert judge("weight_kg", 176.4, stature_cm=175, bmi=57.6) == (None, None)


def test_without_bmi_and_waist_there_is_a_doubt_only() -> None:
    problem, doubt = judge("weight_kg", 176.4, stature_cm=175)
    assert problem is None
    assert "were it in pounds, the BMI would be 26.1" in doubt


def test_kilograms_marked_as_pounds_are_told() -> None:
    problem, _ = judge("weight_kg", 80 / POUNDS_PER_KG, stature_cm=175, bmi=26.1)
    assert "marked as pounds" in problem


def test_a_waist_in_inches_is_told() -> None:
    problem, _ = judge("waist_cm", 36, stature_cm=175, weight_kg=80)
    assert "in inches" in problem


def test_a_stature_in_inches_is_told_in_adults_and_allowed_in_children() -> None:
    assert "69.0 inches would be 175 cm" in judge("stature_cm", 69)[0]
    assert judge("stature_cm", 69, adult=False) == (None, None)


def test_a_bmi_that_does_not_follow_from_mass_and_stature_is_doubted() -> None:
    assert (
        judge("bmi", 31, stature_cm=175, weight_kg=80)[1] == "a BMI of 31.0 is reported, but mass and stature give 26.1"
    )


@given(
    weight=st.floats(1, 400), stature=st.floats(40, 250) | st.just(float("nan")),
    bmi=st.floats(7, 100) | st.just(float("nan")), waist=st.floats(25, 220) | st.just(float("nan")),
    adult=st.booleans(),
)  # fmt: skip
def test_any_values_get_a_verdict_without_complaint(weight, stature, bmi, waist, adult) -> None:
    for measurand in COLUMNS:
        values = {"weight_kg": weight, "stature_cm": stature, "bmi": bmi, "waist_cm": waist}
        judge(measurand, weight if np.isnan(values[measurand]) else values[measurand], adult=adult, **values)


def test_no_adult_of_the_survey_is_refused(shared) -> None:
    import pyreadstat

    folder = shared / "data" / "nhanes_1999_2000"
    body = pyreadstat.read_xport(str(folder / "BMX.XPT"))[0]
    people = pyreadstat.read_xport(str(folder / "DEMO.XPT"))[0]
    merged = body.merge(people, on="SEQN")
    beside = merged[["BMXWT", "BMXHT", "BMXBMI", "BMXWAIST"]].set_axis(list(COLUMNS), axis=1)
    for measurand in COLUMNS:
        given_values = beside[measurand].notna()
        rows = pd.DataFrame({"measurand": measurand, "value": beside[measurand], "adult": merged["RIDAGEYR"] >= 18})
        found = problems(rows[given_values], beside[given_values])
        assert found["problem"].isna().all(), found["problem"].dropna().tolist()


def test_pounds_are_found_in_nearly_every_adult_of_the_survey(shared) -> None:
    import pyreadstat

    folder = shared / "data" / "nhanes_1999_2000"
    body, people = (pyreadstat.read_xport(str(folder / name))[0] for name in ("BMX.XPT", "DEMO.XPT"))
    body = body.merge(people, on="SEQN")
    body = body[body["RIDAGEYR"] >= 18].dropna(subset=["BMXWT", "BMXHT", "BMXWAIST"])
    rows = pd.DataFrame({"measurand": "weight_kg", "value": body["BMXWT"] * POUNDS_PER_KG, "adult": True})
    beside = body[["BMXWT", "BMXHT", "BMXBMI", "BMXWAIST"]].set_axis(list(COLUMNS), axis=1)
    by_waist = problems(rows, beside.assign(bmi=np.nan))["problem"].notna().mean()
    by_bmi = problems(rows, beside)["problem"].notna().mean()
    assert by_bmi == 1.0
    assert by_waist > 0.99
