"""What the command says, and with which code it ends, when not the data but the call or the storage is wrong."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SUBJECTS = "subject_id,sex,age\nS1,F,40\nS2,M,50\n"
TABLES = {
    "subjects.csv": SUBJECTS,
    "readings.csv": "subject_id,measurand,method,value\nS1,waist_cm,tape,80\nS2,waist_cm,tape,8O\n",
}


@pytest.fixture
def study(desk, command):
    """The command on a prepared workspace, with two source files; the registry is closed."""
    for name, text in TABLES.items():
        desk.write(name, text)
    desk.registry.close()
    return desk, command


def assert_told(outcome, code: int, *parts: str) -> None:
    assert outcome.code == code, outcome.error
    assert outcome.out == ""
    assert outcome.error.startswith("Error: ")
    for part in parts:
        assert part in outcome.error
    assert "bug" not in outcome.error
    assert "Traceback" not in outcome.error


# The call ------------------------------------------------------------------------------------------------------------


def test_an_unknown_study_is_told_with_the_near_miss(study) -> None:
    desk, command = study
    assert_told(command("ingest", "trail", desk.folder), 2, "There is no study 'trail'.", "Did you mean 'trial'?")
    assert_told(command("analyze", "trail"), 2, "There is no study 'trail'.", "Did you mean 'trial'?")


def test_an_unknown_mapping_is_told_with_those_that_are_there(study) -> None:
    desk, command = study
    outcome = command("ingest", "trial", desk.folder, "--mapping", "nhanse")
    assert_told(
        outcome, 4, "There is no mapping 'nhanse'.", "built-in mappings: ansur2, calliper, nhanes-1999, redcap, sdtm"
    )


HEAD = "calliper_mapping: 1\nname: x\nsources: {a: {files: [subjects, readings]}}\n"
GOOD = "subjects:\n  - {from: a, columns: {subject_id: subject_id}}\n"
WIDE = "readings:\n  - from: a\n    columns: {subject_id: id, method: m}\n    values:\n"
MAPPINGS = [
    (HEAD + "subjcts: []\n", "mapping.yaml, line 4", "`subjcts` is not known here. Did you mean 'subjects'?"),
    (HEAD + GOOD.replace("from: a", "from: b"), "mapping.yaml", "there is no source `b`"),
    (HEAD + GOOD.replace("subject_id: subject_id", "sex: sex"), "mapping.yaml", "columns: `subject_id` is missing"),
    (
        HEAD + WIDE + "      - {column: w, measurand: wieght_kg}\n",
        "mapping.yaml, line 8",
        "there is no measurand `wieght_kg`. Did you mean 'weight_kg'?",
    ),
    (
        HEAD + WIDE + "      - {column: w, measurand: weight_kg, unit: stones}\n",
        "mapping.yaml, line 8",
        "`stones` is not a unit of weight_kg",
    ),
    ("calliper_mapping: 1\nname: [x\n", "mapping.yaml, line 3", ""),
    ("just text\n", "mapping.yaml", "calliper mapping show calliper"),
    (HEAD + GOOD + "options: {delimiter: ab}\n", "", "'ab' cannot be a delimiter"),
    (HEAD + GOOD + "options: {encoding: utf-7000}\n", "", "there is no encoding named 'utf-7000'"),
]


@pytest.mark.parametrize(("text", "place", "said"), MAPPINGS)
def test_a_mapping_with_a_fault_is_told_with_its_line(study, tmp_path: Path, text: str, place: str, said: str) -> None:
    desk, command = study
    before = desk.tables()
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(text, encoding="utf-8")
    assert_told(command("ingest", "trial", desk.folder, "--mapping", mapping), 4, place, said)
    assert desk.tables() == before


def test_a_column_and_a_measurand_that_are_nearly_right_are_suggested(study, tmp_path: Path) -> None:
    desk, command = study
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(
        "calliper_mapping: 1\nname: x\nsources: {a: {files: [subjects]}}\n"
        "subjects:\n  - {from: a, columns: {subject_id: subjekt_id, sex: sexx, age: age}}\n",
        encoding="utf-8",
    )
    assert_told(
        command("ingest", "trial", desk.folder, "--mapping", mapping),
        3,
        "subjects.csv: The mapping needs the column 'subjekt_id', which is not there. Did you mean 'subject_id'?",
        "subjects.csv: The mapping needs the column 'sexx', which is not there. Did you mean 'sex'?",
    )


# The storage ---------------------------------------------------------------------------------------------------------


def test_no_workspace(study, tmp_path: Path) -> None:
    desk, command = study
    nowhere = tmp_path / "nowhere"
    assert_told(
        command("ingest", "trial", desk.folder, "--workspace", nowhere),
        5,
        f"There is no Calliper workspace in {nowhere}.",
        "calliper study create NAME",
    )
    assert not nowhere.exists()


def test_a_workspace_that_is_a_file(study, tmp_path: Path) -> None:
    _, command = study
    file = tmp_path / "file"
    file.write_text("x")
    outcome = command("study", "create", "other", "--template", "blank", "--workspace", file)
    assert_told(outcome, 5, f"The workspace {file} cannot be created", "Choose a folder that you may write to")
    assert file.read_text() == "x"


def test_a_corrupt_registry_is_told_and_left_alone(study) -> None:
    desk, command = study
    path = desk.registry.folder / "registry.db"
    path.write_bytes(b"this is no database, " * 1000)
    assert_told(
        command("ingest", "trial", desk.folder),
        5,
        "registry.db could not be used",
        "Restore the workspace's registry.db from a backup",
    )
    assert path.read_bytes() == b"this is no database, " * 1000


def test_a_registry_that_is_damaged_inside_is_told(study) -> None:
    desk, command = study
    path = desk.registry.folder / "registry.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    assert_told(command("ingest", "trial", desk.folder), 5, "registry.db could not be used", "from a backup")


def test_a_registry_of_a_newer_version_is_told_and_left_alone(study) -> None:
    desk, command = study
    with sqlite3.connect(desk.registry.folder / "registry.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = desk.tables()
    assert_told(
        command("ingest", "trial", desk.folder),
        5,
        "This registry was written by a newer version of Calliper.",
        "Upgrade Calliper to open it. Nothing was changed.",
    )
    assert desk.tables() == before


def test_an_address_that_is_no_database(study, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, command = study
    monkeypatch.setenv("CALLIPER_DATABASE_URL", "my database")
    assert_told(command("ingest", "trial", desk.folder), 5, "CALLIPER_DATABASE_URL is not a database address")
    monkeypatch.setenv("CALLIPER_DATABASE_URL", "mysql://user:secret@localhost/x")
    assert_told(command("ingest", "trial", desk.folder), 5, "names 'mysql', which Calliper does not support")


def test_a_server_that_is_not_there_is_told_without_the_password(study, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, command = study
    monkeypatch.setenv("CALLIPER_DATABASE_URL", "postgresql://user:secret@127.0.0.1:1/x")
    outcome = command("ingest", "trial", desk.folder)
    assert_told(outcome, 5, "could not be used", "Check that the server runs")
    assert "secret" not in outcome.error


@contextmanager
def someone_who_may_not_write() -> Iterator[None]:
    """Root may write everywhere, so it becomes nobody for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_workspace_that_may_not_be_written_is_told(study, tmp_path: Path) -> None:
    desk, command = study
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere; run the tests as another user to see this one")
    # Everything is imported now: the other user may not be able to.
    assert command("ingest", "trial", desk.folder, "--dry-run").code == 3
    shutil.rmtree(desk.registry.folder / "ingests")
    locked = tmp_path / "locked"
    shutil.copytree(desk.registry.folder, locked / "workspace")
    for path in [*locked.rglob("*"), locked]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for parent in [tmp_path, *tmp_path.parents]:  # pytest keeps its folders to itself
        if parent.is_relative_to(tempfile.gettempdir()) and parent != Path(tempfile.gettempdir()):
            parent.chmod(0o755)

    with someone_who_may_not_write():
        old = command("ingest", "trial", desk.folder, "--workspace", locked / "workspace")
        new = command("study", "create", "x", "--template", "blank", "--workspace", locked / "new")

    assert_told(old, 5, f"The workspace {locked / 'workspace'} cannot be used", "a folder that you may write to")
    assert_told(new, 5, f"The workspace {locked / 'new'} cannot be created: Permission denied", "with --workspace")
    assert not (locked / "new").exists()
    locked.chmod(0o755)


# The command as a process --------------------------------------------------------------------------------------------


def test_the_road_of_the_command(calliper, tmp_path: Path) -> None:
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert calliper("study", "create", "trial", "--template", "blank").returncode == 0

    done = calliper("ingest", "trial", "subjects.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Report: " in done.stdout

    done = calliper("ingest", "trial", "readings.csv", "--json")
    assert done.returncode == 3
    report = json.loads(done.stdout)
    assert report["tables"]["readings"] == {
        "read": 2,
        "new": 1,
        "changed": 0,
        "unchanged": 0,
        "rejected": 1,
        "flagged": 0,
    }
    (fault,) = report["quarantine"]["examples"]
    assert (fault["file"], fault["row"], fault["column"], fault["value"]) == ("readings.csv", 3, "value", "8O")
    folder = tmp_path / "workspace" / "ingests" / "trial-2"
    assert json.loads((folder / "ingest.json").read_text(encoding="utf-8")) == report
    assert sorted(path.name for path in folder.iterdir()) == ["ingest.html", "ingest.json", "quarantine"]

    done = calliper("audit", "verify")
    assert done.returncode == 0
    assert "The audit trail is whole: 3 events." in done.stdout


def test_refused_rows_are_shown_with_place_reason_and_remedy(study) -> None:
    desk, command = study
    outcome = command("ingest", "trial", desk.folder)
    assert outcome.code == 3
    assert outcome.error == ""
    assert "readings.csv row 3, column value: '8O' has a unit or other text after the number." in outcome.out
    assert "Write a plain number with the file's decimal mark, or leave the cell empty." in outcome.out
    assert "Refused rows, to mend and ingest again: " in outcome.out
    assert len(desk.readings()) == 1
