"""What is left of things that were deleted: in the database's own files, and anywhere in the workspace.

SQLite overwrites what is deleted with zeros (`secure_delete`), which misses what lies in the write-ahead log and in
indexes that were rebuilt; VACUUM writes the whole file anew, and a truncating checkpoint empties the log. PostgreSQL
keeps deleted rows until VACUUM, and their bytes in the page until VACUUM FULL writes the table anew; its statistics
hold common values of columns. What no program can reach from here: backups, PostgreSQL's own write-ahead log and its
replicas, snapshots of the file system, and blocks of the disk that are free now.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from studies.registry import database

if TYPE_CHECKING:
    from studies.registry.workspace import Registry

_WAIT_SECONDS = 60
_POLL_SECONDS = 0.2
_CHUNK = 1 << 20
_ALL_TABLES = """
    SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema()
"""


def scrub(registry: Registry, *, wait_seconds: float = _WAIT_SECONDS) -> str | None:
    """Write the registry's database anew, without anything that was deleted from it.

    Returns why that could not be done yet, as a sentence; None when it is done.
    """
    return scrub_engine(registry.engine, wait_seconds=wait_seconds)


def scrub_engine(engine: Engine, *, wait_seconds: float = _WAIT_SECONDS) -> str | None:
    """`scrub`, for any database that Calliper opened."""
    with database.storage_errors(engine.url):
        return _scrub_sqlite(engine, wait_seconds) if engine.dialect.name == "sqlite" else _scrub_postgresql(engine)


def _scrub_sqlite(engine: Engine, wait_seconds: float) -> str | None:
    import sqlite3

    deadline = time.monotonic() + wait_seconds
    with closing(engine.raw_connection()) as connection:  # SQLAlchemy would begin a transaction, and VACUUM wants none
        cursor = connection.cursor()
        for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
            while True:
                try:
                    row = cursor.execute(statement).fetchone()
                    if row is None or row[0] == 0:  # the checkpoint's first number: whether somebody stood in its way
                        break
                except sqlite3.OperationalError as error:
                    if "locked" not in str(error) and "busy" not in str(error):
                        raise DBAPIError.instance(statement, None, error, sqlite3.Error) from error
                if time.monotonic() >= deadline:
                    return "Another process has the database open, so that what was deleted may still be in its files."
                time.sleep(_POLL_SECONDS)
        cursor.close()
    return None


def _scrub_postgresql(engine: Engine) -> str | None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in connection.execute(text(_ALL_TABLES)).scalars().all():
            connection.execute(text(f"VACUUM (FULL, ANALYZE) {table}"))
        for statement in ("VACUUM (FULL) pg_catalog.pg_statistic", "CHECKPOINT"):
            try:
                connection.execute(text(statement))
            except DBAPIError:
                return (
                    "The database's user may not clear PostgreSQL's statistics or write its files out: have its owner "
                    "run VACUUM FULL pg_statistic and CHECKPOINT."
                )
    return None


# Looking for bytes ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trace:
    """Something looked for that a file still holds: in its content, or in its name."""

    path: Path
    needle: str

    def __str__(self) -> str:
        return f"{self.path}: {self.needle}"


def find_traces(folder: Path, needles: dict[str, bytes]) -> Iterator[Trace]:
    """Every file under `folder` that holds one of the needles (what to call it -> its bytes), in content or name.

    Every byte of every file is looked at, databases and their logs among them; what is encrypted or compressed within
    a file cannot be seen.
    """
    looked_for = {name: needle for name, needle in needles.items() if needle}
    overlap = max(map(len, looked_for.values()), default=1) - 1
    for path in sorted(folder.rglob("*")):
        for name, needle in looked_for.items():
            if needle in path.name.encode():
                yield Trace(path, f"{name}, in its name")
        if path.is_file():
            for name in _held(path, looked_for, overlap):
                yield Trace(path, name)


def _held(path: Path, needles: dict[str, bytes], overlap: int) -> Iterable[str]:
    found: set[str] = set()
    try:
        with path.open("rb") as file:
            before = b""
            while part := file.read(_CHUNK):
                window = before + part
                found |= {name for name, needle in needles.items() if name not in found and needle in window}
                before = window[-overlap:] if overlap else b""
    except OSError:  # it has just been removed
        return []
    return sorted(found)
