"""The workspace: one folder with the registry's database, photos, ingest reports, quarantine and reports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from studies.errors import StorageError
from studies.photos import PhotoStore
from studies.registry import database
from studies.registry.claims import abandoned, claim
from studies.registry.identity import note_identity

URL_VARIABLE = "CALLIPER_DATABASE_URL"
DEFAULT_WAIT_SECONDS = 300.0


class Registry:
    """An open workspace: `reading()` and `writing()` give connections; the folders hold what is no row."""

    def __init__(self, folder: Path, engine: Engine):
        self.folder = folder
        self.engine = engine
        self.photos = PhotoStore(folder / "photos")
        self.wait_seconds = DEFAULT_WAIT_SECONDS
        self.on_wait: Callable[[], None] | None = None

    @property
    def ingests(self) -> Path:
        return self.folder / "ingests"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees the registry as it was at its first query, whatever is committed meanwhile."""
        with database.storage_errors(self.engine.url), self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":  # SQLite's readers always have such a snapshot
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    @contextmanager
    def writing(self, *, wait_seconds: float | None = None) -> Iterator[Connection]:
        """One transaction as the only writer; see `database.writer`."""
        wait = self.wait_seconds if wait_seconds is None else wait_seconds
        with (
            database.storage_errors(self.engine.url),
            database.writer(self.engine, wait_seconds=wait, on_wait=self.on_wait) as connection,
        ):
            yield connection

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for intermediate files, removed at the end; those of processes that died are removed here."""
        parent = self.folder / "scratch"
        parent.mkdir(exist_ok=True)
        for left in parent.iterdir():
            if abandoned(left):
                shutil.rmtree(left, ignore_errors=True)
        with claim(parent / uuid4().hex) as mine:
            try:
                yield mine
            finally:
                shutil.rmtree(mine, ignore_errors=True)

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


def open_registry(folder: Path | str, *, create: bool = False) -> Registry:
    """Open the workspace in `folder`; with `create`, make it where it is not there. The schema is brought up to date.

    Raises StorageError where the folder or the database cannot be used.
    """
    folder = Path(folder)
    configured = os.environ.get(URL_VARIABLE)
    url = database.database_url(folder, configured)
    present = folder.is_dir() and (configured or (folder / "registry.db").is_file())
    if not present and not create:
        raise StorageError(
            f"There is no Calliper workspace in {folder}.",
            remedy="Create a study first (calliper study create NAME), or name the workspace with --workspace.",
        )
    try:
        for name in (".", "photos", "ingests", "reports"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The workspace {folder} cannot be created: {error.strerror or error}.",
            remedy="Choose a folder that you may write to, with --workspace.",
        ) from error
    engine = database.open_engine(url)
    try:
        with database.storage_errors(url):
            database.migrate(engine)
            with engine.connect() as connection:
                note_identity(folder, connection)
    except OSError as error:
        engine.dispose()
        raise StorageError(
            f"The workspace {folder} cannot be written to: {error.strerror or error}.",
            remedy="Check that you may write to it, and that its disk is not full.",
        ) from error
    except (StorageError, DBAPIError):
        engine.dispose()
        raise
    return Registry(folder, engine)
