"""The audit trail: append-only and hash-chained.

Each event carries the SHA-256 of its own content and of its predecessor's hash, so that an edited, removed, inserted
or reordered event breaks the chain at its place. Triggers in both databases refuse UPDATE and DELETE.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from studies.registry.schema import AuditEvent

GENESIS = "0" * 64


@dataclass(frozen=True)
class Event:
    """What happened: `action` on an `entity` (table and key), with old and new values and the reason in `detail`."""

    action: str
    entity: str
    entity_key: str
    detail: dict[str, Any]
    study: str | None = None


def current_actor() -> str:
    """Who is at work: `CALLIPER_ACTOR`, else the account's name."""
    try:
        return os.environ.get("CALLIPER_ACTOR") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def utc_now() -> datetime:
    """Now, in UTC, without offset (as the registry stores times)."""
    return datetime.now(UTC).replace(tzinfo=None)


def _link_hash(number: int, at: str, actor: str, event: Event, detail: str, previous: str) -> str:
    content = [number, at, actor, event.action, event.study, event.entity, event.entity_key, detail, previous]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def append(connection: Connection, events: Iterable[Event], *, actor: str | None = None) -> int:
    """Append events inside the caller's transaction, which must be the registry's only writer. Returns how many."""
    last = connection.execute(
        select(AuditEvent.id, AuditEvent.hash).order_by(AuditEvent.id.desc()).limit(1)
    ).one_or_none()
    number, previous = (last.id, last.hash) if last else (0, GENESIS)
    actor = actor or current_actor()
    at = utc_now().isoformat(timespec="microseconds")
    rows: list[dict[str, Any]] = []
    for event in events:
        number += 1
        detail = json.dumps(event.detail, ensure_ascii=False, sort_keys=True, default=str)
        link = _link_hash(number, at, actor, event, detail, previous)
        rows.append(
            {
                "id": number,
                "at": at,
                "actor": actor,
                "action": event.action,
                "study": event.study,
                "entity": event.entity,
                "entity_key": event.entity_key,
                "detail": detail,
                "previous_hash": previous,
                "hash": link,
            }
        )
        previous = link
    if rows:
        connection.execute(insert(AuditEvent), rows)
    return len(rows)


def first_broken_link(connection: Connection) -> tuple[int, str] | None:
    """The first event that does not fit its content or its predecessor, and how; None where the chain is whole."""
    expected_number, previous = 1, GENESIS
    for row in connection.execution_options(stream_results=True).execute(
        select(AuditEvent.__table__).order_by(AuditEvent.id)
    ):
        if row.id != expected_number:
            return expected_number, f"event {expected_number} is missing: the next one found is {row.id}"
        if row.previous_hash != previous:
            return row.id, f"event {row.id} does not follow from the event before it"
        event = Event(row.action, row.entity, row.entity_key, {}, row.study)
        if _link_hash(row.id, row.at, row.actor, event, row.detail, row.previous_hash) != row.hash:
            return row.id, f"event {row.id} was changed after it was written"
        expected_number, previous = row.id + 1, row.hash
    return None


def count_events(connection: Connection) -> int:
    """How many events there are."""
    return connection.execute(select(func.count()).select_from(AuditEvent)).scalar_one()


def newest_events(connection: Connection, last: int, study: str | None = None) -> list[dict[str, Any]]:
    """The newest events, newest first, with `detail` as data."""
    query = select(AuditEvent.__table__).order_by(AuditEvent.id.desc()).limit(last)
    if study is not None:
        query = query.where(AuditEvent.study == study)
    rows = connection.execute(query).mappings()
    return [{**row, "detail": json.loads(row["detail"])} for row in rows]
