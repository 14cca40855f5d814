"""The database behind a registry: SQLite in the workspace folder, or PostgreSQL by `CALLIPER_DATABASE_URL`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from studies.errors import StorageError

WRITER_LOCK = 0x_CA11_1BE2  # PostgreSQL advisory lock that serialises writers of one registry
POLL_SECONDS = 0.2


def database_url(workspace: Path, configured: str | None) -> URL:
    """The database's address: `configured` (the value of CALLIPER_DATABASE_URL), else the workspace's SQLite file."""
    if not configured:
        return URL.create("sqlite+pysqlite", database=str(workspace / "registry.db"))
    try:
        url = make_url(configured)
    except ArgumentError as error:
        raise StorageError(
            "CALLIPER_DATABASE_URL is not a database address.",
            remedy="Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE.",
        ) from error
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite":
        return url.set(drivername="sqlite+pysqlite")
    raise StorageError(
        f"CALLIPER_DATABASE_URL names '{url.get_backend_name()}', which Calliper does not support.",
        remedy="Use a postgresql:// address, or unset it to keep the registry in the workspace folder.",
    )


def open_engine(url: URL) -> Engine:
    """An engine with SQLite's foreign keys and write-ahead log on; no connection is made yet."""
    try:
        engine = create_engine(url, pool_pre_ping=url.get_backend_name() != "sqlite")
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StorageError(
            "PostgreSQL needs the driver psycopg, which is not installed.",
            remedy="Install Calliper with its extra: pip install 'calliper[postgresql]'.",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection, _record) -> None:
    # The driver's own transaction handling is off: transactions begin where SQLAlchemy says (see _begin_sqlite), so
    # that a writer takes the lock at its start and DDL is transactional.
    connection.isolation_level = None
    cursor = connection.cursor()
    pragmas = (
        "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL", "busy_timeout=0", "cache_size=-65536",
        "secure_delete=ON",  # what is deleted is overwritten with zeros, so that it cannot be read from the file
    )  # fmt: skip
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writer = connection.get_execution_options().get("calliper_writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")


@contextmanager
def storage_errors(url: URL) -> Iterator[None]:
    """Turn the database's own errors into messages for the user."""
    try:
        yield
    except DBAPIError as error:
        raise StorageError(
            f"The database {url.render_as_string(hide_password=True)} could not be used: {_reason(error)}.",
            remedy=_remedy(error, url),
        ) from error


def _reason(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0].rstrip(".") if error.orig else type(error).__name__


def _remedy(error: DBAPIError, url: URL) -> str:
    reason = _reason(error).lower()
    if url.get_backend_name() != "sqlite":
        return "Check that the server runs, that the address in CALLIPER_DATABASE_URL is right, and your rights on it."
    if "not a database" in reason or "malformed" in reason:
        return "Restore the workspace's registry.db from a backup; Calliper has not changed it."
    if "full" in reason:
        return "Free some disk space and try again; nothing was half written."
    if "disk i/o" in reason:
        return "Check the disk: its free space, its health, and limits on the size of files. Nothing was half written."
    if "locked" in reason:
        return "Another process is writing. Try again when it is done."
    return "Check that the workspace folder exists and that you may write to it."


@contextmanager
def writer(engine: Engine, *, wait_seconds: float, on_wait: Callable[[], None] | None = None) -> Iterator[Connection]:
    """One transaction as the registry's only writer: all of it is committed at the end, or none of it.

    Waits up to `wait_seconds` for another writer, telling `on_wait` once; then raises StorageError.
    """
    deadline = time.monotonic() + wait_seconds
    told = False
    with engine.connect().execution_options(calliper_writer=True) as connection:
        while True:
            if _try_begin(connection):
                break
            if time.monotonic() >= deadline:
                raise StorageError(
                    f"Another process is writing to this registry and did not finish within {wait_seconds:.0f} s.",
                    remedy="Nothing was written. Try again when it is done, or wait longer with --wait.",
                )
            if not told and on_wait is not None:
                on_wait()
            told = True
            time.sleep(POLL_SECONDS)
        try:
            yield connection
            connection.commit()
        except BaseException:
            connection.rollback()
            raise


def _try_begin(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":
        try:
            connection.begin()
        except OperationalError as error:
            connection.rollback()
            if "locked" in str(error.orig):
                return False
            raise
        return True
    connection.begin()
    if connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": WRITER_LOCK}).scalar_one():
        return True
    connection.rollback()
    return False


def migrate(engine: Engine) -> None:
    """Bring the schema to this version's; does nothing where it is there already."""
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(files("studies.registry") / "migrations"))
    newest = ScriptDirectory.from_config(config).get_current_head()
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    with engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    if present == newest:
        return
    if present is not None and present not in known:
        raise StorageError(
            "This registry was written by a newer version of Calliper.",
            remedy="Upgrade Calliper to open it. Nothing was changed.",
        )
    with writer(engine, wait_seconds=60) as connection:
        if MigrationContext.configure(connection).get_current_revision() == newest:
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
