"""Refused rows come back as CSV files: safe to open, told with reasons, and taken in once they are mended."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

FORMULAS = [
    "=cmd|' /C calc'!A0",
    "=1+1",
    "+SUM(A1:A9)",
    "-2+3",
    "@SUM(1)",
    "\t=1+1",
    '=HYPERLINK("http://x","y")',
    "'=1+1",
]
LIVE = re.compile(r"^[=+\-@\t\r\n]")
NUMBER = re.compile(r"^[+-]?[0-9.,]+$")
SUBJECTS = "subject_id,sex,age,nurse\nS1,F,40,Ann\nS2,M,50,Ann\nS3,F,30,Bob\nS4,M,60,Bob\n"


def cells(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def assert_nothing_live(path: Path) -> None:
    for row in cells(path):
        for cell in row:
            assert not LIVE.match(cell) or NUMBER.match(cell), f"{cell!r} in {path.name} would be run"


def quarantine(result, name: str) -> Path:
    return result.folder / "quarantine" / name


def mend(path: Path, changes: dict[tuple[str, str], str]) -> None:
    """Correct cells as a person would: the row is found by its first column, the cell by its heading."""
    header, *rows = cells(path)
    for (key, column), value in changes.items():
        found = [row for row in rows if row[0] == key]
        assert found, f"no row of {key}"
        for row in found:
            row[header.index(column)] = value
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def test_no_formula_is_written_out_live(desk) -> None:
    rows = [["subject_id", "sex", "age", "nurse"], *([f"S{i}", text, text, text] for i, text in enumerate(FORMULAS))]
    desk.write("subjects.csv", rows)
    result = desk.ingest()
    assert result.rejected == len(FORMULAS)
    path = quarantine(result, "subjects.csv")
    assert_nothing_live(path)
    header, *kept = cells(path)
    column = header.index("nurse")
    for row, text in zip(kept, FORMULAS, strict=True):
        assert row[column].endswith(text.strip("\t"))


def test_headings_are_not_live_either(desk) -> None:
    desk.write("subjects.csv", [["subject_id", "age", "=1+1"], ["S1", "-3", "x"]])
    result = desk.ingest()
    assert_nothing_live(quarantine(result, "subjects.csv"))
    assert cells(quarantine(result, "subjects.csv"))[0][2] == "'=1+1"


def test_negative_numbers_stay_numbers(desk) -> None:
    desk.write("subjects.csv", [["subject_id", "age", "balance"], ["S1", "-3", "-12.5"], ["S2", "-4", "+7"]])
    result = desk.ingest()
    assert [row[1:3] for row in cells(quarantine(result, "subjects.csv"))[1:]] == [["-3", "-12.5"], ["-4", "+7"]]


def test_formulas_in_identifiers_are_text_everywhere(desk, command) -> None:
    """They are odd, but no fault: what counts is that nothing that Calliper writes runs them."""
    names = ["=cmd|' /C calc'!A0", "@SUM(1)", "+x"]
    desk.write("subjects.csv", [["subject_id", "sex", "age"], *([name, "F", "40"] for name in names)])
    readings = [["subject_id", "measurand", "method", "value"]]
    readings += [[name, "body_fat_percent", "scale", "30"] for name in names]
    good = [f"G{i}" for i in range(12)]
    desk.write("subjects-2.csv", [["subject_id", "sex", "age"], *([name, "F", "40"] for name in good)])
    for number, name in enumerate(good):
        readings += [
            [name, "body_fat_percent", method, str(30 + number + plus)] for method, plus in (("dxa", 0), ("scale", 1.5))
        ]
    desk.write("readings.csv", readings)
    desk.ingest()
    assert set(names) <= set(desk.subjects().index)
    desk.registry.close()
    outcome = command("analyze", "trial", "--exclusions", desk.folder / "left-out.csv", "--index", "scale")
    assert outcome.code == 0, outcome.error
    assert_nothing_live(desk.folder / "left-out.csv")
    assert {f"'{name}" for name in names} <= {cell for row in cells(desk.folder / "left-out.csv") for cell in row}


def test_the_ingest_page_shows_markup_as_text(desk, command) -> None:
    desk.registry.close()
    desk.write(
        "subjects.csv", [["subject_id", "age"], ["S1", "<script>alert(1)</script>"], ["<img src=x onerror=y>", "-3"]]
    )
    outcome = command("ingest", "trial", desk.folder)
    assert outcome.code == 3
    page = (desk.registry.folder / "ingests" / "trial-1" / "ingest.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_mended_file_is_taken_in_and_nothing_else_changes(desk) -> None:
    desk.write("subjects.csv", SUBJECTS.replace("S3,F,30,Bob", "S3,F,230,=Bob"))
    desk.write(
        "readings.csv",
        "subject_id,visit,measurand,method,value,unit\n"
        "S1,baseline,waist_cm,tape,80,cm\nS2,baseline,waist_cm,tape,9x,cm\nS3,baseline,waist_cm,tape,75,cm\n"
        "S4,baseline,waist_cm,tape,90,stone?\n",
    )
    first = desk.ingest()
    assert first.rejected == 4  # the subject and its reading, the value, the unit
    before = desk.readings()["value"].tolist()
    subjects, readings = quarantine(first, "subjects.csv"), quarantine(first, "readings.csv")
    mend(subjects, {("S3", "age"): "23"})
    mend(readings, {("S2", "value"): "91", ("S4", "unit"): "cm"})

    second = desk.ingest(subjects, readings)

    assert second.rejected == 0
    tables = second.report["tables"]
    assert (tables["subjects"]["new"], tables["readings"]["new"]) == (1, 3)
    assert (tables["subjects"]["changed"], tables["readings"]["changed"]) == (0, 0)
    assert before == [80.0]
    assert sorted(desk.readings()["value"]) == [75.0, 80.0, 90.0, 91.0]
    assert desk.subjects().loc["S3", "nurse"] == "=Bob"  # the apostrophe that kept it text is gone again
    assert not [name for name in desk.subjects().columns if name.startswith("calliper")]


def test_an_unmended_file_is_refused_as_before_and_can_still_be_mended(desk) -> None:
    desk.write("subjects.csv", SUBJECTS.replace("S3,F,30,Bob", "S3,F,-30,-Bob"))
    first = desk.ingest()
    again = desk.ingest(quarantine(first, "subjects.csv"))
    assert again.rejected == 1
    assert len(desk.quarantined()) == 1
    path = quarantine(again, "subjects.csv")
    assert cells(path)[0] == cells(quarantine(first, "subjects.csv"))[0]
    mend(path, {("S3", "age"): "30"})
    assert desk.ingest(path).report["tables"]["subjects"]["new"] == 1
    assert desk.subjects().loc["S3", "nurse"] == "-Bob"


def test_a_mended_row_of_a_wide_table_adds_only_what_was_refused(desk) -> None:
    mapping = """\
calliper_mapping: 1
name: wide
sources: {visits: {files: ["visits*"]}}
subjects: [{from: visits, columns: {subject_id: id}}]
readings:
  - from: visits
    columns: {subject_id: id, method: {constant: tape}}
    values: [{column: waist, measurand: waist_cm}, {column: hip, measurand: hip_cm}]
"""
    desk.write("visits.csv", "id,waist,hip\nS1,80,95\nS2,9O,99\nS3,70,\n")
    first = desk.ingest(mapping=mapping)
    assert first.report["tables"]["readings"] == {
        "read": 5,
        "new": 4,
        "changed": 0,
        "unchanged": 0,
        "rejected": 1,
        "flagged": 0,
    }
    path = quarantine(first, "visits.csv")
    mend(path, {("S2", "waist"): "90"})
    second = desk.ingest(path, mapping=mapping)
    assert second.report["tables"]["readings"]["new"] == 1
    assert second.report["tables"]["readings"]["unchanged"] == 1
    assert second.report["tables"]["subjects"] == {
        "read": 1,
        "new": 0,
        "changed": 0,
        "unchanged": 1,
        "rejected": 0,
        "flagged": 1,
    }


def test_a_sheet_comes_back_under_the_name_that_the_mapping_looks_for(desk) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "subjects"
    for row in (["subject_id", "age"], ["S1", 40], ["S2", 400]):
        book.active.append(row)
    sheet = book.create_sheet("readings")
    for row in (
        ["subject_id", "measurand", "method", "value"],
        ["S1", "waist_cm", "tape", 80],
        ["S1", "hip_cm", "tape", 9],
    ):
        sheet.append(row)
    desk.folder.mkdir(exist_ok=True)
    book.save(desk.folder / "export 2024.xlsx")
    first = desk.ingest()
    files = sorted(path.name for path in (first.folder / "quarantine").iterdir())
    assert files == ["readings.csv", "subjects.csv"]
    mend(quarantine(first, "readings.csv"), {("S1", "value"): "90"})
    mend(quarantine(first, "subjects.csv"), {("S2", "age"): "40"})
    second = desk.ingest(first.folder / "quarantine")
    assert second.rejected == 0
    assert len(desk.subjects()) == len(desk.readings()) == 2


def test_files_of_one_name_come_back_apart(desk) -> None:
    one = desk.write("north/subjects.csv", "subject_id,age\nS1,-1\n")
    two = desk.write("south/subjects.csv", "subject_id,age\nS2,-2\n")
    first = desk.ingest(one, two)
    files = [first.folder / name for name in first.report["quarantine"]["files"]]
    assert len(files) == 2
    for path, key in zip(files, ("S1", "S2"), strict=True):
        mend(path, {(key, "age"): "30"})
    assert desk.ingest(*files).report["tables"]["subjects"]["new"] == 2


@pytest.mark.parametrize("text", ["S2,M", "S2,M,50,Ann,extra"])
def test_a_row_that_fits_no_columns_comes_back_whole(desk, text: str) -> None:
    long = "x" * 500
    desk.write("subjects.csv", SUBJECTS + f"{text}{long}\n")
    result = desk.ingest()
    assert desk.quarantined()[0].content == {"calliper_text": f"{text}{long}"}
    assert f"The row: {text}{long}" in cells(quarantine(result, "subjects.csv"))[1][-1]
