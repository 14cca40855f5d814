"""Everything that the registry's tables hold on one person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from studies.errors import UsageError
from studies.photos import StoredPhoto
from studies.privacy.source_rows import is_about, subject_columns
from studies.registry.audit import newest_events
from studies.registry.catalogue import find_study
from studies.registry.schema import (
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
    Study,
    Subject,
    Visit,
)
from studies.suggestions import suggestion

_EVERY_EVENT = 1_000_000


@dataclass(frozen=True)
class Person:
    """A subject of a study. `id` is None where only refused rows are about them."""

    study_id: int
    study: str
    code: str
    id: int | None


def find_person(connection: Connection, code: str, study: str | None = None) -> Person:
    """The subject of this code; in any study, where none is named.

    Raises UsageError where nothing is held on such a person, or where several studies have one.
    """
    query = select(Study.id, Study.name, Subject.code, Subject.id).join(Subject, Subject.study_id == Study.id)
    query = query.where(Subject.code == code).order_by(Study.name)
    if study is not None:
        query = query.where(Study.id == find_study(connection, study).id)
    found = [Person(*row) for row in connection.execute(query)]
    if not found:  # perhaps every row about them was refused
        studies = select(Study.id, Study.name).order_by(Study.name)
        if study is not None:
            studies = studies.where(Study.name == study)
        candidates = [Person(row.id, row.name, code, None) for row in connection.execute(studies)]
        found = [one for one in candidates if next(quarantined_rows(connection, one), None) is not None]
    if len(found) > 1:
        listed = ", ".join(person.study for person in found)
        raise UsageError(f"Several studies have a subject '{code}': {listed}.", remedy="Say which with --study.")
    if not found:
        raise UsageError(f"Nothing is held on a subject '{code}'.", remedy=_near(connection, code, study))
    return found[0]


def _near(connection: Connection, code: str, study: str | None) -> str:
    query = select(Subject.code).join(Study, Subject.study_id == Study.id)
    codes = connection.execute(query if study is None else query.where(Study.name == study)).scalars().all()
    return suggestion(code, codes) if len(codes) <= 20 else "Check the code: capitals and leading zeros count."


# Rows -----------------------------------------------------------------------------------------------------------------


def visits_of(person: Person) -> Select[Any]:
    """The query for the keys of a person's visits."""
    return select(Visit.id).where(Visit.subject_id == person.id)


def scans_of(person: Person) -> Select[Any]:
    """The query for the keys of a person's scans."""
    return select(Scan.id).where(Scan.visit_id.in_(visits_of(person)))


def quarantined_rows(connection: Connection, person: Person) -> Iterator[Any]:
    """The refused rows about a person, with the `mapping` that read them and the `number` of their batch."""
    query = (
        select(QuarantinedRow.__table__, IngestBatch.mapping, IngestBatch.number, IngestBatch.started_at)
        .join(IngestBatch, QuarantinedRow.batch_id == IngestBatch.id)
        .where(QuarantinedRow.study_id == person.study_id)
        .order_by(QuarantinedRow.id)
    )
    columns: dict[int, frozenset[str]] = {}
    for row in connection.execute(query):
        if row.batch_id not in columns:
            columns[row.batch_id] = subject_columns(row.mapping)
        if is_about(row.content, columns[row.batch_id], person.code):
            yield row


def stored_files(connection: Connection, person: Person) -> list[StoredPhoto]:
    """The files in the photo store that rows of the person name, deleted ones among them."""
    found: set[StoredPhoto] = set()
    for table in (Photo, Silhouette):
        query = select(table.sha256, table.media_type).where(table.scan_id.in_(scans_of(person)))
        found |= {(row.sha256, row.media_type) for row in connection.execute(query)}
    return sorted(found)


def first_seen(connection: Connection, person: Person) -> datetime | None:
    """When the first of the person's rows came in; None where that cannot be told.

    A row that was corrected names the batch that corrected it, so that only rows that never were can tell.
    """
    corrected = newest_events(connection, _EVERY_EVENT, person.study, subject=person.code)
    if person.id is None or any(event["action"] == "change" for event in corrected):
        return None
    batches = {connection.execute(select(Subject.batch_id).where(Subject.id == person.id)).scalar_one()}
    for table in (Reading, Scan):
        query = select(table.batch_id).where(table.visit_id.in_(visits_of(person))).distinct()
        batches |= set(connection.execute(query).scalars())
    if None in batches:
        return None
    started = select(IngestBatch.started_at).where(IngestBatch.id.in_(batches)).order_by(IngestBatch.started_at)
    return connection.execute(started.limit(1)).scalar_one_or_none()


def held_rows(connection: Connection, person: Person) -> dict[str, list[dict[str, Any]]]:
    """Everything the tables hold on a person, as plain rows: what they may see, and what an erasure removes."""
    visits, scans = visits_of(person), scans_of(person)
    queries = {
        "subject": select(
            Subject.code, Site.code.label("site"), Subject.sex, Subject.age, Subject.birth_date, Subject.enrolled_on,
            Subject.ethnicity, Subject.consent, Subject.attributes, Subject.flags,
        ).outerjoin(Site, Subject.site_id == Site.id).where(Subject.id == person.id),
        "visits": select(Visit.label, Visit.sequence).where(Visit.subject_id == person.id).order_by(Visit.id),
        "readings": select(
            Visit.label.label("visit"), Reading.measured_at, Reading.measurand, Reading.method,
            Device.code.label("device"), Reading.replicate, Reading.value, Reading.unit, Reading.reported_value,
            Reading.reported_unit, Reading.flags,
        ).join_from(Reading, Visit, Reading.visit_id == Visit.id).join(Device, Reading.device_id == Device.id)
        .where(Reading.visit_id.in_(visits)).order_by(Reading.id),
        "scans": select(
            Visit.label.label("visit"), Scan.code.label("scan"), Scan.captured_at, Device.code.label("device"),
            Scan.rendered, Scan.attributes, Scan.flags,
        ).join_from(Scan, Visit, Scan.visit_id == Visit.id).join(Device, Scan.device_id == Device.id)
        .where(Scan.id.in_(scans)).order_by(Scan.id),
        "photos": select(
            Scan.code.label("scan"), Photo.view, Photo.sha256, Photo.media_type, Photo.width, Photo.height,
            Photo.bytes, Photo.deleted_at,
        ).join_from(Photo, Scan, Photo.scan_id == Scan.id).where(Photo.scan_id.in_(scans)).order_by(Photo.id),
        "silhouettes": select(
            Scan.code.label("scan"), Silhouette.view, Silhouette.sha256, Silhouette.media_type, Silhouette.made_at,
            Silhouette.deleted_at,
        ).join_from(Silhouette, Scan, Silhouette.scan_id == Scan.id)
        .where(Silhouette.scan_id.in_(scans)).order_by(Silhouette.id),
        "outcomes": select(
            Run.number.label("run"), Scan.code.label("scan"), Outcome.status, Outcome.reason, Outcome.quality,
            Outcome.betas, Outcome.pose, Outcome.inputs, Outcome.made_at,
        ).join_from(Outcome, Run, Outcome.run_id == Run.id).join(Scan, Outcome.scan_id == Scan.id)
        .where(Outcome.scan_id.in_(scans)).order_by(Outcome.id),
        "predictions": select(
            Run.number.label("run"), Scan.code.label("scan"), Prediction.measurand, Prediction.value, Prediction.low,
            Prediction.high, Prediction.unit, Prediction.reason,
        ).join_from(Prediction, Run, Prediction.run_id == Run.id).join(Scan, Prediction.scan_id == Scan.id)
        .where(Prediction.scan_id.in_(scans)).order_by(Prediction.id),
    }  # fmt: skip
    found = {name: [dict(row) for row in connection.execute(query).mappings()] for name, query in queries.items()}
    found["refused_rows"] = [
        {"ingest": row.number, "file": row.source, "row": row.source_row, "content": row.content,
         "reasons": row.reasons}
        for row in quarantined_rows(connection, person)
    ]  # fmt: skip
    found["trail"] = [
        {name: event[name] for name in ("at", "actor", "action", "entity", "entity_key", "detail")}
        for event in newest_events(connection, _EVERY_EVENT, person.study, subject=person.code)[::-1]
    ]
    return found
