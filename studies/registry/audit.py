"""The audit trail: append-only and hash-chained; what it says of people can be erased without breaking it.

Each event carries the SHA-256 of its own content and of its predecessor's hash, so that an edited, removed, inserted
or reordered event breaks the chain at its place. Triggers in both databases refuse UPDATE and DELETE.

An event about a person (`Event.subject`) has its key and detail aside, in `audit_personal`; the chain holds an HMAC of
them under a key of 256 random bits that lies beside them (a commitment: Goldreich, Foundations of Cryptography I,
4.4.1). Once content and key are erased, nothing in the chain tells of the person, and the chain verifies as before; an
event that loses its content without an erasure in the trail that names it is found. See `studies.registry.trail`.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, insert, select, update

from studies.registry.schema import AuditEvent, AuditPersonal

if TYPE_CHECKING:
    from studies.registry.workspace import Registry

GENESIS = "0" * 64
_AT_ONCE = 500  # events in one statement


@dataclass(frozen=True)
class Event:
    """What happened: `action` on an `entity` (table and key), with old and new values and the reason in `detail`.

    subject: the code of the person whom key and detail tell of, where they do; they can then be erased.
    """

    action: str
    entity: str
    entity_key: str
    detail: dict[str, Any]
    study: str | None = None
    subject: str | None = None


def current_actor() -> str:
    """Who is at work: `CALLIPER_ACTOR`, else the account's name."""
    try:
        return os.environ.get("CALLIPER_ACTOR") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def utc_now() -> datetime:
    """Now, in UTC, without offset (as the registry stores times)."""
    return datetime.now(UTC).replace(tzinfo=None)


def as_json(detail: Any) -> str:
    """The canonical text of a detail."""
    return json.dumps(detail, ensure_ascii=False, sort_keys=True, default=str)


def link_hash(
    number: int,
    at: str,
    actor: str,
    action: str,
    study: str | None,
    entity: str,
    entity_key: str,
    detail: str,
    personal_hash: str | None,
    previous: str,
) -> str:
    """The hash of one event (hex), over all that its row says."""
    content = [number, at, actor, action, study, entity, entity_key, detail, personal_hash, previous]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def commitment(salt: str, study: str | None, subject: str, content: str) -> str:
    """What the chain holds of an event's personal content: HMAC-SHA256 (hex) under the random `salt` (hex)."""
    message = json.dumps([study, subject, content], ensure_ascii=False, separators=(",", ":")).encode()
    return hmac.new(bytes.fromhex(salt), message, hashlib.sha256).hexdigest()


# Writing --------------------------------------------------------------------------------------------------------------


def append(connection: Connection, events: Iterable[Event], *, actor: str | None = None) -> int:
    """Append events inside the caller's transaction, which must be the registry's only writer. Returns how many."""
    last = connection.execute(
        select(AuditEvent.id, AuditEvent.hash).order_by(AuditEvent.id.desc()).limit(1)
    ).one_or_none()
    number, previous = (last.id, last.hash) if last else (0, GENESIS)
    actor = actor or current_actor()
    at = utc_now().isoformat(timespec="microseconds")
    rows: list[dict[str, Any]] = []
    aside: list[dict[str, Any]] = []
    for event in events:
        number += 1
        key, detail, sealed = event.entity_key, as_json(event.detail), None
        if event.subject is not None:
            salt = secrets.token_hex(32)
            content = as_json({"entity_key": key, "detail": event.detail})
            sealed = commitment(salt, event.study, event.subject, content)
            aside.append(
                {"event_id": number, "study": event.study, "subject": event.subject, "salt": salt, "content": content}
            )
            key, detail = "", "{}"
        link = link_hash(
            number, at, actor, event.action, event.study, event.entity, key, detail, sealed, previous
        )  # fmt: skip
        rows.append(
            {
                "id": number, "at": at, "actor": actor, "action": event.action, "study": event.study,
                "entity": event.entity, "entity_key": key, "detail": detail, "personal_hash": sealed,
                "previous_hash": previous, "hash": link,
            }
        )  # fmt: skip
        previous = link
    if rows:
        connection.execute(insert(AuditEvent), rows)
    if aside:
        connection.execute(insert(AuditPersonal), aside)
    return len(rows)


def erase_subject(connection: Connection, study: str, subject: str) -> list[int]:
    """Erase what the trail says of a person. Returns the numbers of the events, which an "erase" event must name."""
    query = select(AuditPersonal.event_id).where(AuditPersonal.study == study, AuditPersonal.subject == subject)
    numbers = sorted(connection.execute(query).scalars())
    for start in range(0, len(numbers), _AT_ONCE):
        mine = AuditPersonal.event_id.in_(numbers[start : start + _AT_ONCE])
        connection.execute(update(AuditPersonal).where(mine).values(subject=None, salt=None, content=None))
    return numbers


def record(registry: Registry, event: Event, *, actor: str | None = None) -> None:
    """Append one event in a transaction of its own."""
    with registry.writing() as connection:
        append(connection, [event], actor=actor)


def record_view(
    registry: Registry,
    entity: str,
    entity_key: str,
    *,
    study: str | None = None,
    subject: str | None = None,
    actor: str | None = None,
    reason: str | None = None,
    **detail: Any,
) -> None:
    """Somebody looked at something: a page of the dashboard, a study, one person (`subject`, then a code of `study`).

    actor: who, by default `current_actor()`; the dashboard names who is signed in. detail: further facts, JSON-able;
    with a subject they are erased with the person, else they must tell of nobody.
    """
    record(registry, _event("view", entity, entity_key, study, subject, reason, detail), actor=actor)


def record_export(
    registry: Registry,
    entity: str,
    entity_key: str,
    *,
    study: str | None = None,
    subject: str | None = None,
    actor: str | None = None,
    reason: str | None = None,
    **detail: Any,
) -> None:
    """Something left the registry as a file or a download. Arguments as of `record_view`; say which `files`."""
    record(registry, _event("export", entity, entity_key, study, subject, reason, detail), actor=actor)


def record_sign_in(registry: Registry, user: str, *, succeeded: bool, **detail: Any) -> None:
    """Somebody signed in, or tried to. For a name that is no user's pass "unknown": people type passwords there."""
    action = "sign in" if succeeded else "sign-in refused"
    record(registry, Event(action, "user", user, detail), actor=user)


def record_sign_out(registry: Registry, user: str, **detail: Any) -> None:
    """Somebody signed out, or was signed out."""
    record(registry, Event("sign out", "user", user, detail), actor=user)


def _event(
    action: str,
    entity: str,
    entity_key: str,
    study: str | None,
    subject: str | None,
    reason: str | None,
    detail: dict[str, Any],
) -> Event:
    said = {**detail, **({"reason": reason} if reason else {})}
    return Event(action, entity, entity_key, said, study, subject)


# Reading --------------------------------------------------------------------------------------------------------------


def first_broken_link(connection: Connection) -> tuple[int, str] | None:
    """The first event that does not fit its content or its predecessor, and how; None where the chain is whole."""
    from studies.registry.trail import check_trail

    broken = check_trail(connection).broken
    return None if broken is None else (broken.number, broken.what)


def count_events(connection: Connection) -> int:
    """How many events there are."""
    return connection.execute(select(func.count()).select_from(AuditEvent)).scalar_one()


def newest_events(
    connection: Connection, last: int, study: str | None = None, *, subject: str | None = None
) -> list[dict[str, Any]]:
    """The newest events, newest first, with `detail` as data; of one study, and of one of its subjects, if named.

    `erased`: the event told of a person who was erased; its key and detail are gone.
    """
    query = (
        select(AuditEvent.__table__, AuditPersonal.content)
        .outerjoin(AuditPersonal, AuditPersonal.event_id == AuditEvent.id)
        .order_by(AuditEvent.id.desc())
        .limit(last)
    )
    if study is not None:
        query = query.where(AuditEvent.study == study)
    if subject is not None:
        query = query.where(AuditPersonal.subject == subject)
    return [_told(dict(row)) for row in connection.execute(query).mappings()]


def _told(row: dict[str, Any]) -> dict[str, Any]:
    content = row.pop("content")
    row["detail"] = json.loads(row["detail"])
    row["erased"] = row["personal_hash"] is not None and content is None
    if content is not None:
        row |= json.loads(content)
    return row
