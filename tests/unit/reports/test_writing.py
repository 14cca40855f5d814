"""A report as files: all of them, or none that differs from before."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from reports import files
from reports.document import Document, Paragraph, Section
from reports.kinds import Made
from reports.writing import FORMATS, check_formats, write_made
from studies.errors import StorageError, UsageError


def made(text: str) -> Made:
    section = Section("all", "All", (Paragraph(text),))
    return Made("data-quality", {"text": text}, lambda created: Document(text, (section,), created=created))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def test_the_same_report_has_the_same_bytes(tmp_path: Path) -> None:
    write_made(made("one"), tmp_path / "a")
    write_made(made("one"), tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert set(contents(tmp_path / "a")) == {"report.html", "report.pdf", "results.json"}


@pytest.mark.parametrize("full_at", [1, 2, 3])
def test_a_full_disk_changes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: int) -> None:
    write_made(made("before"), tmp_path)
    before = contents(tmp_path)
    written = []

    def write(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) == full_at:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        path.write_bytes(data)

    monkeypatch.setattr(files, "_write_through", write)
    with pytest.raises(StorageError, match="No space left"):
        write_made(made("after"), tmp_path)
    assert contents(tmp_path) == before


def test_a_report_that_cannot_be_made_writes_nothing(tmp_path: Path) -> None:
    def fails(created: object) -> Document:
        raise ValueError("no document")

    with pytest.raises(ValueError, match="no document"):
        write_made(Made("data-quality", {}, fails), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_two_at_once_leave_whole_files_of_one_or_the_other(tmp_path: Path) -> None:
    names = ("first", "second")
    for name in names:
        write_made(made(name), tmp_path / name)
    threads = [threading.Thread(target=write_made, args=(made(name), tmp_path / "both")) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = [contents(tmp_path / name) for name in names]
    for name, content in contents(tmp_path / "both").items():
        assert content in [each[name] for each in whole]
    assert set(contents(tmp_path / "both")) == set(whole[0])


def test_formats_are_checked_before_anything_is_made() -> None:
    assert check_formats(["json", "html", "json"]) == ("json", "html")
    assert check_formats(FORMATS) == FORMATS
    with pytest.raises(UsageError, match="'docx' is not a format"):
        check_formats(["docx"])
    with pytest.raises(UsageError, match="No format"):
        check_formats([])
