"""How long things may be kept, by the study's plan, and what is due."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, exists, func, select

from studies.plan_model import Retention
from studies.registry import audit
from studies.registry.catalogue import current_plan
from studies.registry.schema import (
    IngestBatch,
    Outcome,
    Photo,
    QuarantinedRow,
    Reading,
    Scan,
    Silhouette,
    Study,
    Subject,
    Visit,
)

KINDS = {
    "photos": "photos kept by consent",
    "unprocessed_photos": "photos not processed yet",
    "silhouettes": "silhouettes",
    "quarantine": "refused rows",
    "subjects": "subjects",
}
"""What has a period of its own, in the plan's word and in a reader's."""


@dataclass(frozen=True)
class Kept:
    """Something that is kept, and since when. `id`: the key of its row (of a refused row's batch)."""

    kind: str
    id: int
    what: str
    since: datetime


@dataclass(frozen=True)
class Due:
    """Something whose period is over."""

    study: str
    kept: Kept
    days: int

    @property
    def until(self) -> datetime:
        return self.kept.since + timedelta(days=self.days)

    @property
    def reason(self) -> str:
        return f"kept since {self.kept.since:%Y-%m-%d}; the plan allows {_days(self.days)}"


def due(connection: Connection, study: Any, *, now: datetime | None = None) -> list[Due]:
    """What of a study (its record) is past its period, by the newest version of its plan."""
    now = now or audit.utc_now()
    periods = _periods(connection, study.id)
    return [
        Due(study.name, kept, periods[kept.kind])
        for kept in _kept(connection, study.id, periods)
        if kept.since + timedelta(days=periods[kept.kind]) <= now
    ]


def schedule(connection: Connection, study: Any, *, now: datetime | None = None) -> list[dict[str, Any]]:
    """For each kind of thing: its period in days (None: no limit), how many there are, how many past it, and when the
    next is due.
    """
    now = now or audit.utc_now()
    periods = _periods(connection, study.id)
    every = dict.fromkeys(KINDS, 0)  # to look at all, with a limit or without
    by_kind: dict[str, list[Kept]] = defaultdict(list)
    for kept in _kept(connection, study.id, every):
        by_kind[kept.kind].append(kept)
    rows = []
    for kind in KINDS:
        days, there = periods.get(kind), by_kind[kind]
        ends = [] if days is None else sorted(kept.since + timedelta(days=days) for kept in there)
        coming = [end for end in ends if end > now]
        rows.append(
            {
                "kind": kind, "days": days, "kept": len(there), "past": len(ends) - len(coming),
                "next": coming[0].date().isoformat() if coming else None,
            }
        )  # fmt: skip
    return rows


def _periods(connection: Connection, study_id: int) -> dict[str, int]:
    privacy = current_plan(connection, study_id).plan.privacy
    retention: Retention | None = privacy.retention if privacy else None
    return retention.model_dump(exclude_none=True) if retention else {}


def _kept(connection: Connection, study_id: int, wanted: Any) -> list[Kept]:
    found: list[Kept] = []
    for kind, query in _queries(study_id).items():
        if kind in wanted:
            found += [
                Kept(kind, row.id, row.what, row.since) for row in connection.execute(query) if row.since is not None
            ]
    return found


def _queries(study_id: int) -> dict[str, Select[Any]]:
    scan = Subject.code + "/" + Visit.label + "/" + Scan.code
    processed = exists().where(Outcome.scan_id == Scan.id, Outcome.status == "determinate")
    came_in = func.coalesce(IngestBatch.finished_at, Scan.captured_at)
    captured = func.coalesce(Scan.captured_at, IngestBatch.finished_at)

    def of_scans(table: Any, since: Any) -> Select[Any]:
        return (
            select(table.id, (scan + " " + table.view).label("what"), since.label("since"))
            .join_from(table, Scan, table.scan_id == Scan.id)
            .join(Visit, Scan.visit_id == Visit.id)
            .join(Subject, Visit.subject_id == Subject.id)
            .outerjoin(IngestBatch, Scan.batch_id == IngestBatch.id)
            .where(Subject.study_id == study_id, table.deleted_at.is_(None))
            .order_by(table.id)
        )

    return {
        "photos": of_scans(Photo, captured).where(Subject.consent == "photos", processed),
        "unprocessed_photos": of_scans(Photo, came_in).where(~processed),
        "silhouettes": of_scans(Silhouette, Silhouette.made_at),
        "quarantine": select(
            QuarantinedRow.batch_id.label("id"),
            (Study.name + "-" + func.cast(IngestBatch.number, IngestBatch.status.type)).label("what"),
            IngestBatch.finished_at.label("since"),
        )
        .join_from(QuarantinedRow, IngestBatch, QuarantinedRow.batch_id == IngestBatch.id)
        .join(Study, IngestBatch.study_id == Study.id)
        .where(QuarantinedRow.study_id == study_id)
        .distinct(),
        "subjects": _last_of_subjects(study_id),
    }


def _last_of_subjects(study_id: int) -> Select[Any]:
    """Each subject and when the last thing about them came in."""
    batches = [
        select(Subject.id.label("subject_id"), Subject.batch_id).where(Subject.study_id == study_id),
        *(
            select(Visit.subject_id, table.batch_id)
            .join_from(table, Visit, table.visit_id == Visit.id)
            .join(Subject, Visit.subject_id == Subject.id)
            .where(Subject.study_id == study_id)
            for table in (Reading, Scan)
        ),
    ]
    every = batches[0].union(*batches[1:]).subquery()
    return (
        select(Subject.id, Subject.code.label("what"), func.max(IngestBatch.finished_at).label("since"))
        .join_from(every, Subject, every.c.subject_id == Subject.id)
        .join(IngestBatch, every.c.batch_id == IngestBatch.id)
        .group_by(Subject.id, Subject.code)
        .order_by(Subject.id)
    )


def _days(days: int) -> str:
    return "one day" if days == 1 else f"{days:,} days"
