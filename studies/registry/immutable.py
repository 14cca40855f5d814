"""Triggers that let the rows of a table be added and read, and nothing else, in both databases."""

from __future__ import annotations

from sqlalchemy import Connection


def make_immutable(connection: Connection, table: str, message: str) -> None:
    """Refuse every change and removal of rows of `table`, with `message`. In the caller's transaction.

    SQLite's INSERT OR REPLACE replaces a row without telling the triggers on DELETE, so that an insertion over a row
    that is there is refused as well.
    """
    if connection.dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            )
        connection.exec_driver_sql(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        return
    connection.exec_driver_sql(
        f"CREATE FUNCTION {table}_guard() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{message}'; END $$"
    )
    for when, each, name in (("UPDATE OR DELETE", "ROW", "change"), ("TRUNCATE", "STATEMENT", "truncate")):
        connection.exec_driver_sql(
            f"CREATE TRIGGER {table}_no_{name} BEFORE {when} ON {table} FOR EACH {each} "
            f"EXECUTE FUNCTION {table}_guard()"
        )
        # Also where triggers are switched off for a session, as for a replica's.
        connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_{name}")


def make_mutable(connection: Connection, table: str) -> None:
    """Take the triggers of `make_immutable` away. For migrations only."""
    if connection.dialect.name == "sqlite":
        for name in ("update", "delete", "replace"):
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_no_{name}")
        return
    for name in ("change", "truncate"):
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_no_{name} ON {table}")
    connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {table}_guard()")
