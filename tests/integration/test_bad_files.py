"""Files that cannot be used: the command says what is wrong, where and what to do, ends with 3, and nothing is in."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyreadstat
import pytest

SUBJECTS = "subject_id,sex,age\nS1,F,40\nS2,M,50\n"
READINGS = "subject_id,measurand,method,value,unit\nS1,waist_cm,tape,80,cm\nS2,waist_cm,tape,95,cm\n"


def workbook() -> bytes:
    book = openpyxl.Workbook()
    for row in (["subject_id", "sex", "age"], ["S1", "F", 40]):
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def png(width: int = 1, height: int = 1) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 4)) + chunk(b"IEND", b"")


def bomb() -> bytes:
    """A workbook whose sheet unpacks to 300 MB of blanks."""
    source, target = io.BytesIO(workbook()), io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for name in old.namelist():
            if name != "xl/worksheets/sheet1.xml":
                new.writestr(name, old.read(name))
                continue
            head, _, tail = old.read(name).partition(b"<sheetData>")
            with new.open(name, "w") as part:
                part.write(head + b"<sheetData>")
                for _ in range(300):
                    part.write(b" " * 1_000_000)
                part.write(tail)
    return target.getvalue()


def entities() -> bytes:
    """A workbook with XML entities that multiply ("billion laughs")."""
    source, target = io.BytesIO(workbook()), io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "xl/workbook.xml":
                content = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>' + content
            new.writestr(name, content)
    return target.getvalue()


@dataclass(frozen=True)
class Case:
    name: str
    file: str
    content: Any
    said: tuple[str, ...]  # parts of the message, in any order


CASES = [
    Case(
        "workbook named csv",
        "subjects.csv",
        workbook(),
        ("subjects.csv: it is an Excel workbook, although its name ends in .csv", "Rename it to end in .xlsx"),
    ),
    Case(
        "csv named xlsx",
        "subjects.xlsx",
        SUBJECTS.encode(),
        (
            "subjects.xlsx: it is delimited text (such as CSV), although its name ends in .xlsx",
            "Rename it to end in .csv",
        ),
    ),
    Case(
        "csv named xpt",
        "subjects.xpt",
        SUBJECTS.encode(),
        (
            "subjects.xpt: it is delimited text (such as CSV), although its name ends in .xpt",
            "Rename it to end in .csv",
        ),
    ),
    Case(
        "csv named parquet", "subjects.parquet", SUBJECTS.encode(), ("subjects.parquet: it is delimited text", ".csv")
    ),
    Case(
        "png named csv", "subjects.csv", png(), ("subjects.csv: it is an image", "photos are found through the table")
    ),
    Case(
        "gzip named csv",
        "subjects.csv",
        gzip.compress(SUBJECTS.encode()),
        ("subjects.csv: it is a gzip archive", "Unpack it and give the file in it"),
    ),
    Case(
        "web page named csv",
        "subjects.csv",
        b"<html><body>Session expired</body></html>",
        ("subjects.csv: it is a web page (HTML)", "Open it in a spreadsheet"),
    ),
    Case(
        "pdf named csv",
        "subjects.csv",
        b"%PDF-1.7\n1 0 obj\n",
        ("subjects.csv: it is a PDF document", "Export the table in it"),
    ),
    Case("empty", "subjects.csv", b"", ("subjects.csv: the file is empty (0 bytes)", "Export it again")),
    Case(
        "blank lines only", "subjects.csv", b"\n\n  \n", ("subjects.csv: has no header and no rows", "Export it again")
    ),
    Case(
        "header only",
        "subjects.csv",
        b"subject_id,sex,age\n",
        ("subjects.csv: has a header but no rows", "Export it again, with its data"),
    ),
    Case(
        "title above the header",
        "subjects.csv",
        b"Our study 2024\nsubject_id,sex,age\nS1,F,40\nS2,F,41\n",
        ("subjects.csv, row 1: the first row has a single cell", "delete titles and notes above it"),
    ),
    Case(
        "column twice",
        "subjects.csv",
        b"subject_id,sex,age,sex\nS1,F,40,M\n",
        ("subjects.csv, row 1: the name 'sex' stands over 2 columns: 2 (B), 4 (D)", "Rename or delete"),
    ),
    Case(
        "column without a name",
        "subjects.csv",
        b"subject_id,,age\nS1,F,40\n",
        ("subjects.csv, row 1: column 2 (B) has no name in the header", "Give every column a name"),
    ),
    Case(
        "open quotation mark",
        "subjects.csv",
        b'subject_id,sex,age\nS1,F,40\n"S2,M,50\nS3,F,30\n',
        (
            "subjects.csv, row 3: a quotation mark opens a cell that is never closed",
            "Delete the quotation mark, or close it",
        ),
    ),
    Case(
        "binary",
        "subjects.csv",
        b"subject_id,sex,age\nS1,F,40\nS2\0,M,50\n",
        ("subjects.csv: it is not text, nor any kind of file that Calliper knows", "Export it again as CSV"),
    ),
    Case(
        "NUL bytes",
        "subjects.csv",
        b"subject_id,sex,age\n" + b"S1,F,40\n" * 2000 + b"S2\0,M,50\n",
        ("subjects.csv, row 2,002: holds NUL bytes, so it is not a text file", "Export it again as CSV UTF-8"),
    ),
    Case(
        "two encodings",
        "subjects.csv",
        "subject_id,sex,age\nMüller,F,40\nJosé,M,50\nZoë,F,30\n".encode() + "Jürgen,M,60\n".encode("latin-1"),
        ("subjects.csv: mixes UTF-8 with another encoding", "save it as UTF-8"),
    ),
    Case(
        "missing column",
        "readings.csv",
        b"subject_id,measurand,methd,value\nS1,waist_cm,tape,80\n",
        (
            "readings.csv: The mapping needs the column 'method', which is not there",
            "Did you mean 'methd'?",
            "Rename it",
        ),
    ),
    Case(
        "damaged workbook",
        "subjects.xlsx",
        workbook()[:-3000],
        ("subjects.xlsx: is damaged or cut short, and cannot be read as an Excel workbook", "Copy it again"),
    ),
    Case(
        "workbook that is a bomb",
        "subjects.xlsx",
        bomb,
        ("subjects.xlsx: unpacks to 300 MB", "too much to be opened safely", "Save it as CSV"),
    ),
    Case(
        "workbook with entities",
        "subjects.xlsx",
        entities(),
        ("subjects.xlsx: has a document type definition in xl/workbook.xml", "Do not trust this file"),
    ),
]


@pytest.fixture
def study(desk, command):
    """The command line on a desk that lies in the command's own workspace."""
    desk.registry.close()
    return desk, command


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_the_file_is_refused_and_nothing_is_in(study, case: Case) -> None:
    desk, command = study
    before = desk.tables()
    content = case.content() if callable(case.content) else case.content
    path = desk.write(case.file, content)
    good = desk.write("subjects-good.csv", SUBJECTS)

    outcome = command("ingest", "trial", path, good)

    assert outcome.code == 3
    assert outcome.error.startswith("Error: ")
    for part in case.said:
        assert part in outcome.error
    assert "Traceback" not in outcome.error
    assert desk.tables() == before


def test_all_faulty_files_are_told_at_once(study) -> None:
    desk, command = study
    paths = [
        desk.write("a.csv", b""),
        desk.write("b.csv", png()),
        desk.write("subjects.csv", SUBJECTS),
        desk.folder / "gone.csv",
    ]
    outcome = command("ingest", "trial", *paths)
    assert outcome.code == 3
    for part in ("a.csv: the file is empty", "b.csv: it is an image", "gone.csv: there is no such file"):
        assert part in outcome.error
    assert desk.subjects().empty


def test_a_folder_without_data_is_refused(study) -> None:
    desk, command = study
    desk.write("notes.docx", b"PK")
    outcome = command("ingest", "trial", desk.folder)
    assert outcome.code == 3
    assert "the folder has no data files in it (only notes.docx)" in outcome.error
    assert "Calliper reads .csv, .tsv, .xlsx, .parquet and .xpt" in outcome.error


def test_no_table_of_the_mapping(study) -> None:
    desk, command = study
    outcome = command("ingest", "trial", desk.write("people.csv", SUBJECTS))
    assert outcome.code == 3
    assert (
        "No table fits the mapping 'calliper': found people, expected subjects: subjects, subjects-*" in outcome.error
    )
    assert "Choose another mapping with --mapping, or rename the files" in outcome.error


def test_a_file_that_the_mapping_does_not_use_is_noted(desk) -> None:
    result = desk.ingest(desk.write("people.csv", SUBJECTS), desk.write("subjects.csv", SUBJECTS))
    assert "people.csv (people) matches no source of the mapping and was not used." in result.report["notes"]
    assert len(desk.subjects()) == 2


# SAS transport files -----------------------------------------------------------------------------------------------


def demographics(path: Path) -> bytes:
    """SDTM's DM with 500 subjects, as SAS writes it; an observation has 13 bytes, a record 80."""
    people = {
        "USUBJID": [f"S{i:03}" for i in range(500)],
        "SEX": ["F", "M"] * 250,
        "AGE": [30.0 + i % 40 for i in range(500)],
    }
    pyreadstat.write_xport(pd.DataFrame(people), str(path), file_format_version=5, table_name="DM")
    return path.read_bytes()


def test_a_whole_transport_file_is_taken(desk, tmp_path: Path) -> None:
    result = desk.ingest(desk.write("DM.xpt", demographics(tmp_path / "whole.xpt")), mapping="sdtm")
    assert (result.rejected, len(desk.subjects())) == (0, 500)


@pytest.mark.parametrize("kept", [0.02, 0.2, 0.5, 0.9, 0.999])
def test_a_transport_file_cut_short_is_refused(study, tmp_path: Path, kept: float) -> None:
    desk, command = study
    whole = demographics(tmp_path / "whole.xpt")
    outcome = command("ingest", "trial", desk.write("DM.xpt", whole[: int(len(whole) * kept)]), "--mapping", "sdtm")
    assert outcome.code == 3
    assert "DM.xpt: is damaged or cut short" in outcome.error
    assert "Copy or export it again." in outcome.error
    assert desk.subjects().empty


def test_a_transport_file_cut_within_an_observation_names_it(study, tmp_path: Path) -> None:
    desk, command = study
    whole = demographics(tmp_path / "whole.xpt")
    outcome = command("ingest", "trial", desk.write("DM.xpt", whole[: len(whole) // 160 * 80]), "--mapping", "sdtm")
    assert outcome.code == 3
    assert "DM.xpt: is damaged or cut short: it ends within observation " in outcome.error


@pytest.mark.parametrize("name", ["DEMO", "BMX", "BIX", "DXX"])
def test_a_survey_file_cut_short_is_refused(study, shared: Path, name: str) -> None:
    desk, command = study
    whole = (shared / "data" / "nhanes_1999_2000" / f"{name}.XPT").read_bytes()
    path = desk.write(f"{name}.XPT", whole[: len(whole) * 2 // 3])
    outcome = command("ingest", "trial", path, "--mapping", "nhanes-1999")
    assert outcome.code == 3
    assert f"{name}.XPT: is damaged or cut short" in outcome.error
    assert desk.subjects().empty


# Rows that do not fit their table ------------------------------------------------------------------------------------


def test_rows_of_another_width_are_refused_one_by_one(study) -> None:
    desk, command = study
    path = desk.write("subjects.csv", "subject_id,sex,age\nS1,F,40\nS2,M\nS3,F,30,blue\nS4,M,60\n\nS5,F\n")
    outcome = command("ingest", "trial", path)
    assert outcome.code == 3
    assert "subjects.csv row 3: 'S2,M' has 2 cells, the header has 3." in outcome.out
    assert "subjects.csv row 4: 'S3,F,30,blue' has 4 cells, the header has 3" in outcome.out
    assert "Mend the row: check delimiters, quotes and line breaks in it." in outcome.out
    assert sorted(desk.subjects().index) == ["S1", "S4"]
    assert [row.source_row for row in desk.quarantined()] == [3, 4, 7]
    kept = desk.registry.folder / "ingests" / "trial-1" / "quarantine" / "subjects.csv"
    assert "S3,F,30,blue" in kept.read_text(encoding="utf-8-sig")


def test_the_same_row_twice_is_quarantined_twice_and_not_again(desk) -> None:
    path = desk.write("subjects.csv", "subject_id,sex,age\nS1,F,40\nS2,F,-3\nS2,F,-3\nS3\nS3\n")
    result = desk.ingest(path)
    assert [row.source_row for row in desk.quarantined()] == [3, 4, 5, 6]
    desk.assert_all_accounted_for(result, {"subjects.csv": 5})
    desk.ingest(path)
    assert len(desk.quarantined()) == 4


# What the mapping tells the reader -----------------------------------------------------------------------------------


def mapping_with(options: str) -> str:
    from studies.ingest.mapping import builtin_text

    return builtin_text("calliper").replace("sources:\n", f"options: {{{options}}}\nsources:\n", 1)


def test_a_wrong_delimiter_in_the_mapping_is_told(study, tmp_path: Path) -> None:
    desk, command = study
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(mapping_with('delimiter: ";"'), encoding="utf-8")
    outcome = command("ingest", "trial", desk.write("subjects.csv", SUBJECTS), "--mapping", mapping)
    assert outcome.code == 3
    assert "subjects.csv, row 1: the header is a single name with ';' as the delimiter" in outcome.error
    assert "the delimiter seems to be ','" in outcome.error
    assert "Set delimiter to ',', or leave it out to have it detected." in outcome.error


def test_a_wrong_encoding_in_the_mapping_is_told(study, tmp_path: Path) -> None:
    desk, command = study
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(mapping_with("encoding: utf-8"), encoding="utf-8")
    path = desk.write("subjects.csv", "subject_id,site,age\nS1,Köln,40\n", encoding="latin-1")
    outcome = command("ingest", "trial", path, "--mapping", mapping)
    assert outcome.code == 3
    assert "subjects.csv, row 2: is not valid UTF-8 (byte 0xF6)" in outcome.error
    assert "leave out the encoding to have it detected" in outcome.error
