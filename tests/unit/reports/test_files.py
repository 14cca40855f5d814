"""Files are written whole or not at all; results are written the same every time."""

from __future__ import annotations

import errno
import json
import math
import os
import stat

import numpy as np
import pytest

from reports.files import write_atomically, write_files
from reports.results import results_json
from studies.errors import StorageError


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_full_disk_leaves_the_old_files_and_nothing_else(tmp_path, monkeypatch):
    old = tmp_path / "report.html"
    old.write_bytes(b"old")
    written = []
    sync = os.fsync

    def full(handle):
        written.append(handle)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr("reports.files.os.fsync", full)
    with pytest.raises(StorageError, match="No space left") as error:
        write_files({old: b"new", tmp_path / "report.pdf": b"new"})
    assert error.value.exit_code == 5
    assert old.read_bytes() == b"old"
    assert names(tmp_path) == ["report.html"]


def test_a_fault_at_the_very_end_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "a.json", b"old")

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("reports.files.os.replace", refuse)
    with pytest.raises(StorageError):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_a_writer_that_is_interrupted_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "a.json", b"old")

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("reports.files.os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_folders_are_made_and_permissions_are_those_of_the_umask(tmp_path):
    path = write_atomically(tmp_path / "deep" / "er" / "x.txt", b"text")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_folder_in_the_way_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "report.html", b"x")


def test_results_are_json_at_full_precision_in_their_own_order():
    data = {"b": 0.1 + 0.2, "a": [np.float64(1 / 3), np.int64(3), True, None], "n": {1: math.nan, "x": math.inf}}
    text = results_json(data).decode()
    assert text.endswith("}\n")
    assert "NaN" not in text
    assert "Infinity" not in text
    back = json.loads(text)
    assert list(back) == ["b", "a", "n"]
    assert back["b"] == 0.1 + 0.2
    assert back["a"] == [1 / 3, 3, True, None]
    assert back["n"] == {"1": None, "x": None}
    assert results_json(back) == results_json(data)


def test_results_refuse_what_is_no_result():
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        results_json({"x": object()})
