"""Folders as sources, and the fingerprint of a file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from studies.errors import DataError, Where
from studies.readers.formats import EXTENSIONS, sniff_format

# Data that Calliper does not read is not passed over in silence: opening it says what to do.
_DATA_EXTENSIONS = {*EXTENSIONS, ".xls", ".xlsb", ".ods", ".sas7bdat", ".sav", ".zsav", ".dta", ".feather"}
_MAYBE_TEXT = {".txt", ".dat"}


@dataclass(frozen=True)
class FolderContents:
    """files: what is read as data, in order of name. ignored: names of the other files (images, notes, lock files)."""

    files: list[Path]
    ignored: list[str]


def folder_contents(folder: Path) -> FolderContents:
    """What of a folder is data. Sub-folders are not entered. Raises DataError when it cannot be read."""
    folder = Path(folder)
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"the folder cannot be read ({error.strerror or error}).",
            where=Where(file=str(folder)),
            remedy="Check the path and ask its owner for permission to read it.",
        ) from error
    files, ignored = [], []
    for entry in entries:
        if entry.is_dir():
            continue
        (files if _is_data(entry) else ignored).append(entry)
    return FolderContents(files, [entry.name for entry in ignored])


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; in constant memory."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_data(path: Path) -> bool:
    suffix = path.suffix.lower()
    if path.name.startswith((".", "~$")) or suffix not in _DATA_EXTENSIONS:
        return False
    if suffix in _MAYBE_TEXT and path.exists():
        from studies.readers.delimited import looks_delimited

        return sniff_format(path) != "csv" or looks_delimited(path)
    return True
