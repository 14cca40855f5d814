"""A folder that is there whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from studies.errors import StorageError, UsageError
from studies.rendering.folder import whole_folder


def test_it_appears_when_it_is_complete(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "a" / "out") as folder:
        (folder / "x").write_text("1")
        assert not (tmp_path / "a" / "out").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]
    assert (tmp_path / "a" / "out" / "x").read_text() == "1"


def test_an_empty_folder_is_filled_and_another_left_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with whole_folder(tmp_path / "empty") as folder:
        (folder / "x").write_text("1")
    assert (tmp_path / "empty" / "x").is_file()
    for there in (tmp_path / "empty", tmp_path / "empty" / "x"):
        with pytest.raises(UsageError, match=r"is not empty|is a file"), whole_folder(there):
            pass
    assert (tmp_path / "empty" / "x").read_text() == "1"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_nothing_is_left_of_one_that_failed(tmp_path: Path, error: BaseException) -> None:
    def fail() -> None:
        with whole_folder(tmp_path / "out") as folder:
            (folder / "x").write_text("1")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_of_storage(tmp_path: Path) -> None:
    told = pytest.raises(StorageError, match=r"No space left on device.*Nothing was half written")
    with told, whole_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_does_not_matter_and_one_at_work_does(tmp_path: Path) -> None:
    left = tmp_path / ".out.partial"
    left.mkdir()
    (left / "half").write_text("1")
    with whole_folder(tmp_path / "out") as folder:
        assert not (folder / "half").exists()
        with pytest.raises(UsageError, match="Another process"), whole_folder(tmp_path / "out"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
