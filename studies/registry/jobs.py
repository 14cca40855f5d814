"""Jobs: long work that a page asks for and a worker does, one after the other, in the order in which it was asked for.

A worker that dies leaves its job running without a sign of life; the next worker takes it up again. All jobs can be
done twice without harm: a run goes on where it was, an analysis is the same, a report gets another number.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from studies.registry import audit
from studies.registry.schema import Job
from studies.registry.workspace import Registry

ACTIVE = ("waiting", "running")
LOST_AFTER = timedelta(minutes=5)
"""A running job of whose worker nothing was heard for so long is taken up by another."""
_WRITER_WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class JobRecord:
    """One job, as `studies.registry.schema.Job` describes it."""

    id: int
    kind: str
    study: str
    parameters: dict[str, Any]
    status: str
    stage: str
    done: int
    total: int | None
    message: str
    outcome: dict[str, Any]
    created_by: str
    created_at: datetime
    started_at: datetime | None
    seen_at: datetime | None
    finished_at: datetime | None

    @property
    def active(self) -> bool:
        return self.status in ACTIVE


def file_job(registry: Registry, kind: str, study: str, parameters: dict[str, Any], *, by: str) -> JobRecord:
    """Ask for work. The same work that waits or runs already is not asked for twice.

    Raises StorageError where another process holds the registry for too long.
    """
    with registry.reading() as connection:
        found = _active(connection, fingerprint := _fingerprint(kind, study, parameters))
    if found is not None:
        return found
    with registry.writing(wait_seconds=_WRITER_WAIT_SECONDS) as connection:
        found = _active(connection, fingerprint)
        if found is not None:
            return found
        values = {"kind": kind, "study": study, "parameters": parameters, "fingerprint": fingerprint, "outcome": {}}
        key = connection.execute(
            insert(Job).values(**values, status="waiting", created_by=by, created_at=audit.utc_now()).returning(Job.id)
        ).scalar_one()
        if kind != "analysis":  # which changes nothing, and is asked for by looking at a page
            event = audit.Event("file", "job", str(key), {"kind": kind, **parameters}, study)
            audit.append(connection, [event], actor=by)
        return _one(connection, key)


def job(connection: Connection, key: int) -> JobRecord | None:
    """The job with this number."""
    row = connection.execute(select(Job.__table__).where(Job.id == key)).one_or_none()
    return None if row is None else _record(row)


def newest_jobs(connection: Connection, study: str, *, last: int = 20, kinds: tuple[str, ...] = ()) -> list[JobRecord]:
    """The newest jobs of a study, newest first."""
    query = select(Job.__table__).where(Job.study == study).order_by(Job.id.desc()).limit(last)
    return [_record(row) for row in connection.execute(query.where(Job.kind.in_(kinds)) if kinds else query)]


def claim_job(registry: Registry) -> JobRecord | None:
    """Take up the oldest job that waits, or that a worker has left; None where there is none."""
    with registry.reading() as connection:
        if connection.execute(_free().limit(1)).first() is None:
            return None
    with registry.writing() as connection:
        key = connection.execute(_free().order_by(Job.id).limit(1)).scalar_one_or_none()
        if key is None:
            return None
        now = audit.utc_now()
        connection.execute(
            update(Job).where(Job.id == key).values(status="running", started_at=now, seen_at=now, stage="", done=0)
        )
        return _one(connection, key)


def note_progress(registry: Registry, key: int, stage: str, done: int, total: int | None) -> None:
    """Say how far a job has come."""
    with registry.writing() as connection:
        values = {"stage": stage, "done": done, "total": total, "seen_at": audit.utc_now()}
        connection.execute(update(Job).where(Job.id == key, Job.status == "running").values(values))


def finish_job(registry: Registry, key: int, *, outcome: dict[str, Any] | None = None, failure: str = "") -> None:
    """End a job: with what it made, or with why it failed."""
    with registry.writing() as connection:
        now = audit.utc_now()
        values = {"status": "failed" if failure else "finished", "message": failure, "outcome": outcome or {}}
        connection.execute(update(Job).where(Job.id == key).values(**values, finished_at=now, seen_at=now))


def _free():
    lost = Job.seen_at < audit.utc_now() - LOST_AFTER
    return select(Job.id).where(or_(Job.status == "waiting", (Job.status == "running") & lost))


def _fingerprint(kind: str, study: str, parameters: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([kind, study, parameters], sort_keys=True).encode()).hexdigest()


def _active(connection: Connection, fingerprint: str) -> JobRecord | None:
    query = select(Job.__table__).where(Job.fingerprint == fingerprint, Job.status.in_(ACTIVE)).order_by(Job.id)
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else _record(row)


def _one(connection: Connection, key: int) -> JobRecord:
    found = job(connection, key)
    assert found is not None
    return found


def _record(row: Any) -> JobRecord:
    return JobRecord(*(getattr(row, name) for name in JobRecord.__dataclass_fields__))
