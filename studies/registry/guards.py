"""Triggers that keep the audit trail append-only, in both databases, and whether they are there as they should be.

What the trail says of people (`audit_personal`) can be erased, and not be changed otherwise. A trigger on INSERT is
needed as well: SQLite's INSERT OR REPLACE replaces a row without telling the triggers on DELETE.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, text

APPEND_ONLY = "the audit trail is append-only"
ERASE_ONLY = "what the audit trail says of people can only be erased"

_OUT_OF_ORDER = """
    NEW.id <> (SELECT coalesce(max(id), 0) + 1 FROM audit_event)
    OR (NEW.id > 1 AND NEW.previous_hash <> (SELECT hash FROM audit_event WHERE id = NEW.id - 1))
"""
_NOT_ERASING = """
    NEW.event_id <> OLD.event_id OR NEW.subject IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.content IS NOT NULL
"""
_TAKEN = "EXISTS (SELECT 1 FROM audit_personal WHERE event_id = NEW.event_id)"


def _sqlite(name: str, table: str, change: str, message: str, when: str | None = None) -> str:
    condition = f" WHEN {' '.join(when.split())}" if when else ""
    return f"CREATE TRIGGER {name} BEFORE {change} ON {table}{condition} BEGIN SELECT RAISE(ABORT, '{message}'); END"


_SQLITE = {
    "audit_event_no_update": _sqlite("audit_event_no_update", "audit_event", "UPDATE", APPEND_ONLY),
    "audit_event_no_delete": _sqlite("audit_event_no_delete", "audit_event", "DELETE", APPEND_ONLY),
    "audit_event_in_order": _sqlite("audit_event_in_order", "audit_event", "INSERT", APPEND_ONLY, _OUT_OF_ORDER),
    "audit_personal_no_update": _sqlite(
        "audit_personal_no_update", "audit_personal", "UPDATE", ERASE_ONLY, _NOT_ERASING
    ),
    "audit_personal_no_delete": _sqlite("audit_personal_no_delete", "audit_personal", "DELETE", ERASE_ONLY),
    "audit_personal_once": _sqlite("audit_personal_once", "audit_personal", "INSERT", ERASE_ONLY, _TAKEN),
}

_FUNCTIONS = {  # name -> body
    "audit_event_guard": f"BEGIN RAISE EXCEPTION '{APPEND_ONLY}'; END",
    "audit_event_order": f"BEGIN IF {_OUT_OF_ORDER} THEN RAISE EXCEPTION '{APPEND_ONLY}'; END IF; RETURN NEW; END",
    "audit_personal_guard": f"BEGIN RAISE EXCEPTION '{ERASE_ONLY}'; END",
    "audit_personal_erase": f"BEGIN IF {_NOT_ERASING} THEN RAISE EXCEPTION '{ERASE_ONLY}'; END IF; RETURN NEW; END",
}
_POSTGRESQL = {  # trigger -> (table, when, function)
    "audit_event_no_change": ("audit_event", "BEFORE UPDATE OR DELETE", "ROW", "audit_event_guard"),
    "audit_event_no_truncate": ("audit_event", "BEFORE TRUNCATE", "STATEMENT", "audit_event_guard"),
    "audit_event_in_order": ("audit_event", "BEFORE INSERT", "ROW", "audit_event_order"),
    "audit_personal_no_update": ("audit_personal", "BEFORE UPDATE", "ROW", "audit_personal_erase"),
    "audit_personal_no_delete": ("audit_personal", "BEFORE DELETE", "ROW", "audit_personal_guard"),
    "audit_personal_no_truncate": ("audit_personal", "BEFORE TRUNCATE", "STATEMENT", "audit_personal_guard"),
}


def remove_guards(connection: Connection) -> None:
    """Take the triggers away. Within the transaction of a migration only, which puts them back."""
    if connection.dialect.name == "sqlite":
        for name in _SQLITE:
            connection.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
        return
    for name, (table, *_) in _POSTGRESQL.items():
        if connection.execute(text("SELECT to_regclass(:name)"), {"name": table}).scalar_one() is not None:
            connection.execute(text(f"DROP TRIGGER IF EXISTS {name} ON {table}"))


def install_guards(connection: Connection) -> None:
    """Put the triggers in place, as they are here, in the caller's transaction."""
    remove_guards(connection)
    if connection.dialect.name == "sqlite":
        for statement in _SQLITE.values():
            connection.exec_driver_sql(statement)
        return
    for name, body in _FUNCTIONS.items():
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
        )
    for name, (table, when, each, function) in _POSTGRESQL.items():
        connection.exec_driver_sql(
            f"CREATE TRIGGER {name} {when} ON {table} FOR EACH {each} EXECUTE FUNCTION {function}()"
        )
        # Also where triggers are switched off for a session, as for a replica's.
        connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def guard_faults(connection: Connection) -> list[str]:
    """What is wrong with the triggers, one sentence each; nothing where all are in place."""
    found = _sqlite_triggers(connection) if connection.dialect.name == "sqlite" else _postgresql_triggers(connection)
    wanted = (
        {name: _digest(statement) for name, statement in _SQLITE.items()}
        if connection.dialect.name == "sqlite"
        else {name: f"A {function} {_digest(_FUNCTIONS[function])}" for name, (*_, function) in _POSTGRESQL.items()}
    )
    faults = []
    for name, content in wanted.items():
        if name not in found:
            faults.append(f"the trigger {name}, which guards the audit trail, is missing")
        elif found[name] != content:
            faults.append(f"the trigger {name}, which guards the audit trail, was changed or switched off")
    return faults


def _digest(statement: str) -> str:
    return hashlib.sha256(" ".join(statement.split()).encode()).hexdigest()


def _sqlite_triggers(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    return {row.name: _digest(row.sql) for row in rows}


def _postgresql_triggers(connection: Connection) -> dict[str, str]:
    query = """
        SELECT t.tgname AS name, t.tgenabled::text AS enabled, p.proname AS function, p.prosrc AS body
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid IN (to_regclass('audit_event'), to_regclass('audit_personal')) AND NOT t.tgisinternal
    """
    return {row.name: f"{row.enabled} {row.function} {_digest(row.body)}" for row in connection.execute(text(query))}
