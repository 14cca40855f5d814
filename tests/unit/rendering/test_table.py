"""A table of people on disk: what is read of it, and what is said where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from studies.errors import CalliperError, DataError
from studies.ingest.mapping import load_mapping
from studies.rendering.people import people_of
from studies.rendering.table import read_people_table

HEADER = "subject_id,sex,age,stature_cm,weight_kg,waist_cm,ethnicity,monk_skin_tone,hobby\n"
GOOD = "A1,F,40,165,60,75,non_hispanic_white,3,chess\nA2,male,50,180,85,,,,\n"


def write(folder: Path, text: str, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_with_the_canonical_names_need_no_mapping(tmp_path: Path) -> None:
    table = read_people_table(write(tmp_path, HEADER + GOOD))
    assert table.unreadable == []
    assert table.subjects["sex"].tolist() == ["F", "M"]
    assert table.subjects["monk_skin_tone"].tolist()[0] == 3
    assert "hobby" not in table.subjects
    wide = table.readings.pivot(index="subject_id", columns="measurand", values="value")
    assert wide.loc["A1"].to_dict() == {"stature_cm": 165, "weight_kg": 60, "waist_cm": 75}
    assert set(table.readings["method"]) == {"anthropometry"}
    people = people_of(table.subjects, table.readings, reference="dxa")
    assert people.table["monk_skin_tone"].tolist()[0] == 3
    assert len(people.table) == 2


def test_a_mapping_says_what_other_columns_are(tmp_path: Path) -> None:
    text = "SubjectId,Gender,Date,Installation,DODRace,Age,stature,weightkg,neckcircumference,chestcircumference,"
    text += "waistcircumference,buttockcircumference,thighcircumference,calfcircumference,crotchheight,"
    text += "biacromialbreadth\n7,Male,4-Oct-10,Fort Hood,1,41,1776,815,391,1074,933,979,609,373,846,401\n"
    table = read_people_table(write(tmp_path, text, "ANSUR_II_MALE_Public.csv"), load_mapping("ansur2"))
    (row,) = people_of(table.subjects, table.readings, reference="dxa").table.to_dict("records")
    assert (row["stature_cm"], row["weight_kg"], row["hip_cm"], row["sex"]) == (177.6, 81.5, 97.9, "M")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("subject_id,sex,age,stature_cm\nA1,F,40,165\n", "people.csv: has no column weight_kg; it has subject_id, sex"),
        ("a;b\n1;2\n", "has no column subject_id, sex, age, stature_cm, weight_kg; it has a, b"),
        (HEADER, "people.csv: has a header but no rows"),
        (HEADER + GOOD + "A1,F,41,166,61,75,,,\n", "row 4: Subject 'A1' is there twice (also in row 2)"),
        (HEADER + GOOD + ",F,41,166,61,75,,,\n", "row 4: The subject_id is missing"),
    ],
)
def test_what_is_wrong_with_the_table_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError) as raised:
        read_people_table(write(tmp_path, text))
    assert told in str(raised.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CalliperError, match=r"nowhere\.csv"):
        read_people_table(tmp_path / "nowhere.csv")


def test_cells_that_cannot_be_read_are_refused_with_their_place(tmp_path: Path) -> None:
    table = read_people_table(write(tmp_path, HEADER + GOOD + "A3,F,40,165,6O,75,,,\nA4,queer,40,165,60,75,,,\n"))
    assert [(one.subject_id, one.reason) for one in table.unreadable] == [
        ("A4", "sex cannot be read (row 5)"), ("A3", "weight_kg cannot be read (row 4)"),
    ]  # fmt: skip
