"""A folder that is there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studies.errors import StorageError, UsageError
from studies.registry.claims import abandoned, claim


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which gets the name `out` at the end, or is removed where that is not reached.

    Raises UsageError where `out` holds something already or another process is making it, StorageError where it cannot
    be written.
    """
    out = Path(os.path.abspath(out))
    partial = out.with_name(f".{out.name}.partial")
    _check_free(out, partial)
    try:
        with claim(partial) as folder:
            try:
                yield folder
                os.rename(folder, out)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except OSError as error:
        raise StorageError(
            f"{out} cannot be written: {error.strerror or error}.",
            remedy="Check the space on the disk and your rights on the folder. Nothing was half written.",
        ) from error


def _check_free(out: Path, partial: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        what = "is not empty" if out.is_dir() else "is a file"
        raise UsageError(f"{out} {what}.", remedy="Give a new folder with --out.")
    if partial.is_dir() and not abandoned(partial):
        raise UsageError(f"Another process is making {out} just now.", remedy="Wait for it, or give another folder.")
