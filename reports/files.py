"""Writing files whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from studies.errors import StorageError


def write_atomically(path: Path, data: bytes) -> Path:
    """Write `data` to `path`, whole or not at all: a reader sees the old file or the new one, never a part.

    Raises `StorageError` where the folder cannot be written or the disk is full; the old file is then as it was.
    """
    return write_files({path: data})[0]


def write_files(contents: Mapping[Path, bytes]) -> list[Path]:
    """Write several files. All are on the disk before the first takes its name, so that a full disk changes none."""
    staged: list[tuple[Path, Path]] = []
    try:
        for path, data in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")
            staged.append((partial, path))
            _write_through(partial, data)
        for partial, path in staged:
            os.replace(partial, path)
        for folder in {path.parent for path in contents}:
            _sync_folder(folder)
    except OSError as error:
        place = error.filename2 or error.filename or (staged[-1][1] if staged else None)
        raise StorageError(
            f"The file cannot be written: {error.strerror or error}.",
            where=str(place) if place else None,
            remedy="No file is left half written. Free some space, or name a folder that can be written.",
        ) from error
    finally:
        for partial, _ in staged:
            partial.unlink(missing_ok=True)
    return list(contents)


def _write_through(path: Path, data: bytes) -> None:
    # Opened by hand, so that the file has the permissions that the umask gives: tempfile would make it private.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
