"""ANSUR II: the survey's files as they are, and small tables with its columns and habits."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

HEADER = "Gender,Date,Installation,DODRace,Ethnicity,Age,stature,weightkg,neckcircumference,chestcircumference,"
HEADER += "waistcircumference,buttockcircumference,thighcircumference,calfcircumference,bicepscircumferenceflexed,"
HEADER += "crotchheight,biacromialbreadth"


def test_codes_and_units_are_the_survey_s(desk) -> None:
    """Millimetres, hectograms, Latin-1, and the identifier written in two ways."""
    man = "1,Male,4-Oct-10,Fort Hood,3,Puerto Rico\xf1o,41,1776,815,391,1074,933,979,609,373,369,846,401\n"
    woman = "2,Female,31-Dec-11,Fort Lee,2,,26,1560,657,335,922,850,1011,622,360,315,740,365\n"
    desk.write("ANSUR_II_MALE_Public.csv", f"subjectid,{HEADER}\n{man}".encode("latin-1"))
    desk.write("ANSUR_II_FEMALE_Public.csv", f"SubjectId,{HEADER}\n{woman}".encode("latin-1"))
    result = desk.ingest(mapping="ansur2")
    assert result.rejected == 0
    subjects = desk.subjects()
    assert subjects.loc["1", ["sex", "ethnicity", "site", "ethnicity_detail"]].tolist() == [
        "M", "hispanic", "Fort Hood", "Puerto Rico\xf1o",
    ]  # fmt: skip
    assert subjects.loc["2", ["sex", "ethnicity", "age"]].tolist() == ["F", "black", 26.0]
    readings = desk.readings()
    assert set(readings["method"]) == {"anthropometry"}
    assert set(readings["visit"]) == {"exam"}
    told = readings[readings["subject_id"] == "1"].set_index("measurand")["value"].to_dict()
    assert told == {
        "stature_cm": 177.6, "weight_kg": 81.5, "neck_cm": 39.1, "chest_cm": 107.4, "waist_omphalion_cm": 93.3,
        "hip_cm": 97.9, "upper_thigh_cm": 60.9, "calf_cm": 37.3, "leg_length_cm": 84.6, "shoulder_breadth_cm": 40.1,
    }  # fmt: skip
    assert set(readings["measured_at"].dt.strftime("%Y-%m-%d")) == {"2010-10-04", "2011-12-31"}


def test_an_unknown_code_of_race_is_refused_with_its_row(desk, refused) -> None:
    row = "1,Male,4-Oct-10,Fort Hood,7,,41,1776,815,391,1074,933,979,609,373,369,846,401\n"
    desk.write("ANSUR_II_MALE_Public.csv", f"subjectid,{HEADER}\n{row}")
    told = refused(desk.ingest(mapping="ansur2"))
    assert {reason["rule"] for reason in told["ANSUR_II_MALE_Public.csv", 2]} == {"ethnicity_readable", "subject_known"}


@pytest.fixture(scope="module")
def survey(shared: Path) -> list[Path]:
    return sorted((shared / "data" / "ansur2").glob("*.csv"))


def test_every_person_of_the_survey_is_taken_in_as_measured(desk, survey: list[Path]) -> None:
    result = desk.ingest(*survey, mapping="ansur2")
    assert result.rejected == 0
    # Two heavy men, whose masses would also be likely ones in pounds: without the waist above the iliac crest no one
    # can tell.
    doubts = result.report["flagged"]["examples"]
    assert {(doubt["rule"], doubt["value"]) for doubt in doubts} == {
        ("values_likely_together", "1307"), ("values_likely_together", "1206"),
    }  # fmt: skip
    subjects, readings = desk.subjects(), desk.readings()
    assert subjects["sex"].value_counts().to_dict() == {"M": 4082, "F": 1986}
    wide = readings.pivot(index="subject_id", columns="measurand", values="value")
    for path in survey:
        table = pd.read_csv(path, encoding="latin-1")
        table.index = table.iloc[:, 0].astype(str)
        for column, measurand in (
            ("stature", "stature_cm"),
            ("weightkg", "weight_kg"),
            ("calfcircumference", "calf_cm"),
        ):
            given = table[column] / 10
            pd.testing.assert_series_equal(
                wide.loc[given.index, measurand], given, check_names=False, check_index_type=False, rtol=1e-12
            )


def test_people_of_the_survey_can_be_rendered_with_their_own_girths(desk, survey: list[Path]) -> None:
    from studies.rendering.blocks import LEAST_PHOTO_HEIGHT, Recipe
    from studies.rendering.study import render_study

    desk.ingest(*survey, mapping="ansur2")
    done = render_study(desk.registry, desk.study, Recipe(1, LEAST_PHOTO_HEIGHT), subjects=3, workers=1)
    assert (len(done.rendered), done.scans, done.photos) == (3, 3, 12)
    young = [refusal for refusal in done.refused if "younger than 18" in refusal.reason]
    assert len(young) == len(done.refused) == 2
