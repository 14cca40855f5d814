"""What the registry knows for `studies.monitoring`: the ingest of each scan or reading, and what was found of it."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import Connection, and_, select

from studies.registry.schema import IngestBatch, Outcome, Reading, Run, Scan, Subject, Visit


def ingest_batches(connection: Connection, study_id: int) -> list[dict[str, Any]]:
    """The ingests of a study in order: number, finished (a date)."""
    query = select(IngestBatch.number, IngestBatch.finished_at).where(IngestBatch.study_id == study_id)
    return [
        {"number": row.number, "finished": f"{row.finished_at:%Y-%m-%d}" if row.finished_at else None}
        for row in connection.execute(query.order_by(IngestBatch.number))
    ]


def scan_batches(connection: Connection, study_id: int, run_number: int | None) -> pd.DataFrame:
    """One row a scan: subject_id, visit, batch (number of its ingest), status and findings (reasons) in the run."""
    run = select(Run.id).where(Run.study_id == study_id, Run.number == run_number).scalar_subquery()
    query = (
        select(Subject.code, Visit.label, IngestBatch.number, Outcome.status, Outcome.quality)
        .select_from(Scan)
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .outerjoin(IngestBatch, Scan.batch_id == IngestBatch.id)
        .outerjoin(Outcome, and_(Outcome.scan_id == Scan.id, Outcome.run_id == run))
        .where(Subject.study_id == study_id)
        .order_by(Subject.code, Visit.label, Scan.code)
    )
    rows = [
        (*row[:4], sorted({found["reason"] for found in row.quality or [] if found.get("reason")}))
        for row in connection.execute(query)
    ]
    frame = pd.DataFrame(rows, columns=["subject_id", "visit", "batch", "status", "findings"])
    return frame.astype({"subject_id": "object", "visit": "object", "batch": "float64", "status": "object"})


def reading_batches(connection: Connection, study_id: int, measurand: str, method: str) -> pd.DataFrame:
    """One row a reading of this method: subject_id, visit, batch (number of its ingest)."""
    query = (
        select(Subject.code, Visit.label, IngestBatch.number)
        .select_from(Reading)
        .join(Visit, Reading.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .join(IngestBatch, Reading.batch_id == IngestBatch.id)
        .where(Subject.study_id == study_id, Reading.measurand == measurand, Reading.method == method)
        .order_by(Subject.code, Visit.label)
    )
    frame = pd.DataFrame(connection.execute(query).all(), columns=["subject_id", "visit", "batch"])
    return frame.astype({"subject_id": "object", "visit": "object", "batch": "float64"})
