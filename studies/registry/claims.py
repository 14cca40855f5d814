"""Folders that belong to a process while it works in them; when it ends, however it ends, anyone can tell.

A claim is a lock on the folder itself (flock), which the system gives up with the process. A process number would not
do: in a container the next process often has the same one, and on a shared drive another machine's mean nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BEING_MADE = ".claiming-"
_MAKING_TAKES_SECONDS = 600


@contextmanager
def claim(folder: Path) -> Iterator[Path]:
    """A new, empty folder that is the caller's until the context ends; what was there under this name goes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Locked before it has its name, so that it is never seen unclaimed.
    made = Path(tempfile.mkdtemp(prefix=_BEING_MADE, dir=folder.parent))
    handle = os.open(made, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        made.chmod(0o777 & ~_umask())  # mkdtemp's 0700 would shut out the group
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(made, folder)
        yield folder
    finally:
        os.close(handle)


def abandoned(folder: Path) -> bool:
    """Whether the process that claimed the folder has ended; False where the folder has gone meanwhile."""
    try:
        if folder.name.startswith(_BEING_MADE):
            return time.time() - folder.stat().st_mtime > _MAKING_TAKES_SECONDS
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def remove_unnamed(parent: Path) -> None:
    """Remove the empty folders of processes that ended in `claim`, before the folder had its name; after ten minutes,
    since a younger one may be someone's who has not locked it yet."""
    for folder in parent.glob(f"{_BEING_MADE}*"):
        with suppress(OSError):
            if abandoned(folder):
                folder.rmdir()


def remove_unfinished(parent: Path) -> None:
    """Remove the files in the folders of `parent` that someone began to write and did not finish, with their names not
    yet their own (`.NAME.….partial`); after ten minutes, since a younger one may still be written."""
    for file in parent.glob("*/.*.partial"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > _MAKING_TAKES_SECONDS:
                file.unlink()


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
