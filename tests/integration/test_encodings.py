"""The same table in every dress that exports come in: what the registry then holds is the same."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime

import openpyxl
import pandas as pd
import pyreadstat
import pytest

SUBJECTS = [
    ["subject_id", "sex", "age", "site", "nurse"],
    ["S1", "F", "40.5", "Köln", "Müller, Jörg"],
    ["S2", "M", "51.25", "Genève", "Zoë O'Brien"],
    ["S3", "F", "33", "Århus", 'Ann "Nan" Ø'],
]
READINGS = [
    ["subject_id", "measured_at", "measurand", "method", "value", "unit"],
    ["S1", "2024-03-12", "waist_cm", "tape", "80.5", "cm"],
    ["S2", "2024-03-13", "waist_cm", "tape", "95.25", "cm"],
    ["S3", "2024-03-14", "body_fat_percent", "dxa", "31.75", "%"],
]


def delimited(rows: list[list[str]], mark: str = ",", decimal: str = ".", newline: str = "\n") -> str:
    def cell(text: str) -> str:
        if decimal != "." and text.replace(".", "", 1).isdigit():
            text = text.replace(".", decimal)
        quoted = '"' + text.replace('"', '""') + '"'
        return quoted if any(character in text for character in f'"{mark}\n') else text

    return "".join(mark.join(map(cell, row)) + newline for row in rows)


def excel(rows: list[list[str]]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append([float(cell) if cell.replace(".", "", 1).isdigit() else cell for cell in row])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def frame(rows: list[list[str]]) -> pd.DataFrame:
    made = pd.DataFrame(rows[1:], columns=rows[0])
    for name in ("age", "value"):
        if name in made:
            made[name] = made[name].astype(float)
    return made


def parquet(rows: list[list[str]]) -> bytes:
    buffer = io.BytesIO()
    frame(rows).to_parquet(buffer, index=False)
    return buffer.getvalue()


def transport(rows: list[list[str]], tmp_path) -> bytes:
    path = tmp_path / "written.xpt"
    pyreadstat.write_xport(frame(rows), str(path), file_format_version=8, table_name="DATA")
    return path.read_bytes()


DRESSES: dict[str, tuple[str, Callable[[list[list[str]]], bytes]]] = {
    "utf-8": (".csv", lambda rows: delimited(rows).encode()),
    "utf-8 with mark": (".csv", lambda rows: delimited(rows).encode("utf-8-sig")),
    "latin-1": (".csv", lambda rows: delimited(rows).encode("latin-1")),
    "utf-16": (".csv", lambda rows: delimited(rows).encode("utf-16")),
    "utf-16 with tabs, as Excel saves Unicode text": (".txt", lambda rows: delimited(rows, "\t").encode("utf-16")),
    "semicolons and decimal commas": (".csv", lambda rows: delimited(rows, ";", ",").encode("cp1252")),
    "commas and quoted decimal commas": (".csv", lambda rows: delimited(rows, ",", ",").encode()),
    "tabs": (".tsv", lambda rows: delimited(rows, "\t").encode()),
    "bars": (".csv", lambda rows: delimited(rows, "|").encode()),
    "Windows line ends": (".csv", lambda rows: delimited(rows, newline="\r\n").encode()),
    "old Macintosh line ends": (".csv", lambda rows: delimited(rows, newline="\r").encode()),
    "Excel's own hint": (".csv", lambda rows: b"sep=;\r\n" + delimited(rows, ";", newline="\r\n").encode()),
    "Excel": (".xlsx", excel),
    "Parquet": (".parquet", parquet),
}


def assert_same_content(desk) -> None:
    subjects = desk.subjects()
    assert subjects.index.tolist() == ["S1", "S2", "S3"]
    assert subjects["age"].tolist() == [40.5, 51.25, 33.0]
    assert subjects["site"].tolist() == ["Köln", "Genève", "Århus"]
    assert subjects["nurse"].tolist() == ["Müller, Jörg", "Zoë O'Brien", 'Ann "Nan" Ø']
    readings = desk.readings()
    assert readings["value"].tolist() == [80.5, 95.25, 31.75]
    assert readings["measured_at"].dt.strftime("%Y-%m-%d").tolist() == ["2024-03-12", "2024-03-13", "2024-03-14"]


@pytest.mark.parametrize("dress", DRESSES)
def test_every_dress_holds_the_same(desk, dress: str) -> None:
    suffix, put_on = DRESSES[dress]
    result = desk.ingest(
        desk.write(f"subjects{suffix}", put_on(SUBJECTS)), desk.write(f"readings{suffix}", put_on(READINGS))
    )
    assert result.rejected == 0
    assert_same_content(desk)


def test_a_transport_file_holds_the_same(desk, tmp_path) -> None:
    result = desk.ingest(
        desk.write("subjects.xpt", transport(SUBJECTS, tmp_path)),
        desk.write("readings.xpt", transport(READINGS, tmp_path)),
    )
    assert result.rejected == 0
    assert_same_content(desk)


def test_all_dresses_together_change_nothing(desk) -> None:
    """Every format in turn, into one study: the first is new, all others say the same."""
    for number, dress in enumerate(["utf-8", "semicolons and decimal commas", "Excel", "Parquet"]):
        suffix, put_on = DRESSES[dress]
        paths = [
            desk.write(f"{name}{suffix}", put_on(rows))
            for name, rows in (("subjects", SUBJECTS), ("readings", READINGS))
        ]
        tables = desk.ingest(*paths).report["tables"]
        for table in ("subjects", "readings"):
            assert (tables[table]["new"], tables[table]["unchanged"]) == ((3, 0) if number == 0 else (0, 3)), dress


def test_the_encoding_is_reported(desk) -> None:
    path = desk.write("subjects.csv", delimited(SUBJECTS), encoding="latin-1")
    result = desk.ingest(path)
    assert result.report["sources"][0]["encoding"] == "latin-1"
    assert any("its encoding was taken to be latin-1" in note for note in result.report["notes"])


def test_decimal_commas_among_points_are_refused_row_by_row(desk, refused) -> None:
    desk.write("subjects.csv", "subject_id,sex,age\nS1,F,40\nS2,M,50\nS3,F,30\n")
    desk.write(
        "readings.csv",
        "subject_id;measurand;method;value;unit\nS1;waist_cm;tape;80.5;cm\nS2;waist_cm;tape;95,5;cm\nS3;waist_cm;tape;70.25;cm\n",
    )
    result = desk.ingest()
    told = refused(result)
    assert list(told) == [("readings.csv", 3)]
    (fault,) = told["readings.csv", 3]
    assert (fault["column"], fault["value"], fault["rule"]) == ("value", "95,5", "value_readable")
    assert "is written with the decimal mark ',', but '.' is the decimal mark of this file" in fault["reason"]
    assert "Write a plain number with the file's decimal mark" in fault["remedy"]
    assert desk.readings()["value"].tolist() == [80.5, 70.25]


def test_dates_in_two_ways_are_refused_row_by_row(desk, refused) -> None:
    desk.write("subjects.csv", "subject_id,sex,age\nS1,F,40\n")
    rows = [["subject_id", "measured_at", "measurand", "method", "value"]]
    days = ["31/03/2024", "12/04/2024", "2024-05-13", "05/31/2024", "14/06/2024"]
    rows += [["S1", day, "waist_cm", f"tape{i}", "80"] for i, day in enumerate(days)]
    desk.write("readings.csv", rows)
    told = refused(desk.ingest())
    # Two days in the year-first way or with the month first are not what the column says; 12/04 is then in doubt too.
    assert ("readings.csv", 4) in told
    assert ("readings.csv", 5) in told
    inside = desk.readings()["measured_at"].dt.strftime("%Y-%m-%d").tolist()
    assert "2024-12-04" not in inside
    assert len(inside) + len(told) == len(days)


def test_a_date_format_in_the_mapping_settles_the_order(desk) -> None:
    from studies.ingest.mapping import builtin_text

    mapping = builtin_text("calliper").replace("sources:\n", 'options: {date_format: "%m/%d/%Y"}\nsources:\n', 1)
    desk.write("subjects.csv", "subject_id,sex,age\nS1,F,40\n")
    desk.write("readings.csv", "subject_id,measured_at,measurand,method,value\nS1,04/12/2024,waist_cm,tape,80\n")
    assert desk.ingest(mapping=mapping).rejected == 0
    assert desk.readings()["measured_at"].dt.strftime("%Y-%m-%d").tolist() == ["2024-04-12"]


def test_dates_of_a_joined_table_are_read(desk) -> None:
    mapping = """\
calliper_mapping: 1
name: joined
sources:
  people: {files: [subjects]}
  visits: {files: [visits]}
  values: {files: [readings]}
subjects:
  - {from: people, columns: {subject_id: subject_id}}
readings:
  - from: values
    join: [{source: visits, by: subject_id, columns: [seen_on]}]
    columns: {subject_id: subject_id, measured_at: seen_on, method: {constant: tape}}
    values: [{column: waist, measurand: waist_cm}]
"""
    desk.write("subjects.csv", "subject_id\nS1\nS2\n")
    desk.write("visits.csv", "subject_id,seen_on\nS1,31.03.2024\nS2,01.04.2024\n")
    desk.write("readings.csv", "subject_id,waist\nS1,80\nS2,90\n")
    assert desk.ingest(mapping=mapping).rejected == 0
    assert desk.readings()["measured_at"].dt.strftime("%Y-%m-%d").tolist() == ["2024-03-31", "2024-04-01"]


def test_true_dates_beside_dates_as_text_are_read(desk, refused) -> None:
    book = openpyxl.Workbook()
    book.active.append(READINGS[0])
    for number, day in enumerate([datetime(2024, 3, 12), "13/03/2024", datetime(2024, 3, 14), "soon"]):
        book.active.append(["S1", day, "waist_cm", f"tape{number}", 80, "cm"])
    buffer = io.BytesIO()
    book.save(buffer)
    desk.write("subjects.csv", "subject_id,sex\nS1,F\n")
    desk.write("readings.xlsx", buffer.getvalue())
    assert list(refused(desk.ingest())) == [("readings.xlsx", 5)]
    assert desk.readings()["measured_at"].dt.day.tolist() == [12, 13, 14]


def test_dates_as_text_in_typed_files_are_read(desk) -> None:
    people = pd.DataFrame({"subject_id": ["S1"], "birth_date": ["1980-05-01"], "enrolled_on": ["2024-01-10"]})
    buffer = io.BytesIO()
    people.to_parquet(buffer, index=False)
    desk.write("subjects.parquet", buffer.getvalue())
    desk.write("readings.xlsx", excel([READINGS[0], ["S1", "2024-03-12", "waist_cm", "tape", "80", "cm"]]))
    result = desk.ingest()
    assert result.report["quarantine"]["examples"] == []
    assert desk.subjects()["age"].round(1).tolist() == [43.7]
    assert desk.readings()["measured_at"].dt.strftime("%Y-%m-%d").tolist() == ["2024-03-12"]
