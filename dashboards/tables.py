"""What pages read from the registry besides analyses: small counts and lists, as plain rows."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pandas as pd
from sqlalchemy import Connection, case, distinct, func, or_, select, tuple_

from studies.registry.frames import finished_run
from studies.registry.schema import (
    AuditEvent,
    Device,
    IngestBatch,
    Outcome,
    Photo,
    Prediction,
    QuarantinedRow,
    Reading,
    Run,
    Scan,
    Silhouette,
    Site,
    Subject,
    Visit,
)


def changes(
    connection: Connection, study: str, kinds: Collection[tuple[str, str]], most: int
) -> tuple[int, list[dict[str, Any]]]:
    """The number of the newest event of the trail, and the newest events of some kinds (action, entity) that concern a
    study, newest first; checkpoints belong to all studies."""
    newest = connection.execute(select(func.max(AuditEvent.id))).scalar_one() or 0
    mine = or_(AuditEvent.study == study, (AuditEvent.study.is_(None)) & (AuditEvent.entity == "checkpoint"))
    query = (
        select(AuditEvent.id, AuditEvent.at, AuditEvent.actor, AuditEvent.action, AuditEvent.entity,
               AuditEvent.entity_key, AuditEvent.detail)
        .where(mine, tuple_(AuditEvent.action, AuditEvent.entity).in_(list(kinds)))
        .order_by(AuditEvent.id.desc()).limit(most)
    )  # fmt: skip
    found = [dict(row) for row in connection.execute(query).mappings()]
    return newest, [{**row, "detail": json.loads(row["detail"])} for row in found]


def missing_of_subjects(connection: Connection, study_id: int) -> tuple[int, list[tuple[str, int]]]:
    """How many subjects there are, and of how many each attribute is not recorded."""
    parts = {
        "Site": Subject.site_id,
        "Sex": Subject.sex,
        "Age": Subject.age,
        "Ethnicity": Subject.ethnicity,
    }
    query = select(func.count(), *(func.count(column) for column in parts.values())).where(Subject.study_id == study_id)
    total, *known = connection.execute(query).one()
    return total, [(name, total - n) for name, n in zip(parts, known, strict=True)]


def readings_by_method(connection: Connection, study_id: int) -> list[dict[str, Any]]:
    """Readings, visits and subjects of every measurand and method."""
    query = (
        select(
            Reading.measurand,
            Reading.method,
            func.count().label("readings"),
            func.count(distinct(Reading.visit_id)).label("visits"),
            func.count(distinct(Visit.subject_id)).label("subjects"),
            func.count(Reading.flags).label("flagged"),
        )
        .join(Visit, Reading.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .where(Subject.study_id == study_id)
        .group_by(Reading.measurand, Reading.method)
        .order_by(Reading.measurand, Reading.method)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def ingests(connection: Connection, study_id: int) -> list[Any]:
    """The batches, newest first."""
    query = select(IngestBatch.__table__).where(IngestBatch.study_id == study_id).order_by(IngestBatch.number.desc())
    return list(connection.execute(query))


def quarantined(connection: Connection, study_id: int, most: int | None = None) -> tuple[int, list[dict[str, Any]]]:
    """How many rows are refused, and the faults of the newest of them: which ingest, where, why, and what to do."""
    mine = QuarantinedRow.study_id == study_id
    total = connection.execute(select(func.count()).select_from(QuarantinedRow).where(mine)).scalar_one()
    query = (
        select(QuarantinedRow.source, QuarantinedRow.source_row, QuarantinedRow.reasons, IngestBatch.number)
        .join(IngestBatch, QuarantinedRow.batch_id == IngestBatch.id)
        .where(mine)
        .order_by(QuarantinedRow.id.desc())
        .limit(most)
    )
    rows = []
    for row in connection.execute(query):
        for reason in row.reasons:
            place = {"ingest": row.number, "file": row.source, "row": row.source_row}
            rows.append(place | {key: reason.get(key) for key in ("column", "value", "rule", "reason", "remedy")})
    return total, rows


def in_quarantine(connection: Connection, study_id: int) -> dict[int, int]:
    """Batch -> how many of its rows are refused still."""
    query = (
        select(QuarantinedRow.batch_id, func.count())
        .where(QuarantinedRow.study_id == study_id)
        .group_by(QuarantinedRow.batch_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def capture_quality(connection: Connection, study_id: int) -> tuple[int | None, list[dict[str, Any]]]:
    """Scans by site and phone, what became of them in the newest finished run, and that run's number."""
    number = finished_run(connection, study_id)
    run = select(Run.id).where(Run.study_id == study_id, Run.number == number).scalar_subquery()
    views = select(Photo.scan_id, func.count().label("views")).group_by(Photo.scan_id).subquery()
    determinate = func.sum(case((Outcome.status == "determinate", 1), else_=0))
    indeterminate = func.sum(case((Outcome.status == "indeterminate", 1), else_=0))
    query = (
        select(
            func.coalesce(Site.code, "not stated").label("site"),
            Device.code.label("phone"),
            func.count(Scan.id).label("scans"),
            func.sum(case((views.c.views >= 4, 1), else_=0)).label("all_views"),
            determinate.label("determinate"),
            indeterminate.label("indeterminate"),
            func.count(Scan.flags).label("flagged"),
        )
        .select_from(Scan)
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .outerjoin(Site, Subject.site_id == Site.id)
        .join(Device, Scan.device_id == Device.id)
        .outerjoin(views, views.c.scan_id == Scan.id)
        .outerjoin(Outcome, (Outcome.scan_id == Scan.id) & (Outcome.run_id == run))
        .where(Subject.study_id == study_id)
        .group_by(Site.code, Device.code)
        .order_by(Site.code, Device.code)
    )
    return number, [dict(row) for row in connection.execute(query).mappings()]


def capture_findings(connection: Connection, study_id: int, run: int | None) -> dict[tuple[str, str], dict[str, int]]:
    """(site, phone) -> what was found wrong with the pictures of how many scans, in a run; "any" is any of it."""
    query = (
        select(func.coalesce(Site.code, "not stated"), Device.code, Outcome.quality)
        .select_from(Outcome)
        .join(Run, Outcome.run_id == Run.id)
        .join(Scan, Outcome.scan_id == Scan.id)
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .outerjoin(Site, Subject.site_id == Site.id)
        .join(Device, Scan.device_id == Device.id)
        .where(Run.study_id == study_id, Run.number == run)
    )
    found: dict[tuple[str, str], dict[str, int]] = {}
    for site, phone, quality in connection.execute(query):
        counts = found.setdefault((site, phone), {"any": 0})
        for reason in {"any", *(item["reason"] for item in quality)} if quality else ():
            counts[reason] = counts.get(reason, 0) + 1
    return found


def subject(connection: Connection, study_id: int, code: str) -> Any | None:
    """The row of a subject, with its site's code."""
    query = (
        select(Subject.__table__, Site.code.label("site"))
        .outerjoin(Site, Subject.site_id == Site.id)
        .where(Subject.study_id == study_id, Subject.code == code)
    )
    return connection.execute(query).one_or_none()


def readings_of(connection: Connection, subject_id: int) -> pd.DataFrame:
    """All readings of a subject: visit, measured_at, measurand, method, device, replicate, value, unit, flags."""
    query = (
        select(
            Visit.label.label("visit"),
            Reading.measured_at,
            Reading.measurand,
            Reading.method,
            Device.code.label("device"),
            Reading.replicate,
            Reading.value,
            Reading.unit,
            Reading.flags,
        )
        .join(Visit, Reading.visit_id == Visit.id)
        .join(Device, Reading.device_id == Device.id)
        .where(Visit.subject_id == subject_id)
        .order_by(Reading.measurand, Reading.method, Reading.measured_at, Reading.replicate)
    )
    return _frame(connection, query)


def predictions_of(connection: Connection, subject_id: int, run: int | None) -> pd.DataFrame:
    """Predictions of a subject's scans by one run (number): visit, scan, measured_at, measurand, value, low, high."""
    query = (
        select(
            Visit.label.label("visit"),
            Scan.code.label("scan"),
            Scan.captured_at.label("measured_at"),
            Prediction.measurand,
            Prediction.value,
            Prediction.low,
            Prediction.high,
            Prediction.unit,
            Run.number.label("run"),
        )
        .join(Scan, Prediction.scan_id == Scan.id)
        .join(Run, Prediction.run_id == Run.id)
        .join(Visit, Scan.visit_id == Visit.id)
        .where(Visit.subject_id == subject_id, Run.number == run)
        .order_by(Prediction.measurand, Scan.captured_at, Scan.code)
    )
    return _frame(connection, query)


def scans_of(connection: Connection, subject_id: int, study_id: int, run: int | None) -> list[dict[str, Any]]:
    """The scans of a subject, what became of each in a run, its photos and silhouettes."""
    run_id = select(Run.id).where(Run.study_id == study_id, Run.number == run).scalar_subquery()
    query = (
        select(
            Scan.id,
            Scan.code,
            Scan.captured_at,
            Scan.rendered,
            Scan.flags,
            Visit.label.label("visit"),
            Device.code.label("phone"),
            Outcome.status,
            Outcome.reason,
            Outcome.betas,
            Outcome.pose,
        )
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Device, Scan.device_id == Device.id)
        .outerjoin(Outcome, (Outcome.scan_id == Scan.id) & (Outcome.run_id == run_id))
        .where(Visit.subject_id == subject_id)
        .order_by(Scan.captured_at, Scan.code)
    )
    found = [dict(row) for row in connection.execute(query).mappings()]
    for scan in found:
        photos = select(Photo.__table__).where(Photo.scan_id == scan["id"]).order_by(Photo.view)
        scan["photos"] = list(connection.execute(photos))
        kept = select(Silhouette.__table__).where(Silhouette.scan_id == scan["id"], Silhouette.deleted_at.is_(None))
        scan["silhouettes"] = list(connection.execute(kept.order_by(Silhouette.view)))
    return found


def _frame(connection: Connection, query: Any) -> pd.DataFrame:
    rows = connection.execute(query)
    return pd.DataFrame(rows.all(), columns=list(rows.keys()))
