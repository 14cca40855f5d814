"""What is still to do in a run: the scans without an outcome, page by page, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select

from studies.photos import StoredPhoto
from studies.registry.schema import Device, Outcome, Photo, Reading, Scan, Silhouette, Subject, Visit
from studies.registry.workspace import Registry
from studies.runs.work import ScanWork

PAGE = 256
_DAYS_IN_A_YEAR = 365.25
_PROFILE = ("stature_cm", "weight_kg")


@dataclass(frozen=True)
class Unreachable:
    """A scan of which nothing is left to look at."""

    scan_id: int
    reason: str


def count_to_do(connection: Connection, study_id: int, run_id: int) -> int:
    """Scans that have no outcome in the run, or could not be reached."""
    query = (
        select(func.count())
        .select_from(Scan)
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .outerjoin(Outcome, (Outcome.scan_id == Scan.id) & (Outcome.run_id == run_id))
        .where(Subject.study_id == study_id, or_(Outcome.id.is_(None), Outcome.status == "unreachable"))
    )
    return connection.execute(query).scalar_one()


def to_do(registry: Registry, study_id: int, run_id: int) -> Iterator[ScanWork | Unreachable]:
    """Every scan that the run has yet to look at, by its number in the registry.

    That is a scan without an outcome; one that could not be reached, and now can be; and one whose photos an ingest has
    replaced since. Each page is read on a connection of its own: no long transaction stands in the way of a writer.
    """
    last = 0
    while True:
        with registry.reading() as connection:
            rows = _page(connection, study_id, run_id, last)
            found = list(_of_page(connection, rows)) if rows else []
        if not rows:
            return
        yield from found
        last = rows[-1].id


def _page(connection: Connection, study_id: int, run_id: int, last: int) -> list[Any]:
    query = (
        select(
            Scan.id, Scan.visit_id, Scan.captured_at, Visit.subject_id, Subject.consent, Subject.sex, Subject.age,
            Subject.birth_date, Subject.enrolled_on, Outcome.id.label("outcome"), Outcome.status, Outcome.inputs,
        )
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .outerjoin(Outcome, (Outcome.scan_id == Scan.id) & (Outcome.run_id == run_id))
        .where(Subject.study_id == study_id, Scan.id > last)
        .order_by(Scan.id)
        .limit(PAGE)
    )  # fmt: skip
    return list(connection.execute(query).all())


def _of_page(connection: Connection, rows: list[Any]) -> Iterator[ScanWork | Unreachable]:
    scans = [row.id for row in rows]
    live, gone = _photos(connection, scans)
    kept = _silhouettes(connection, scans)
    wanted = []
    for row in rows:
        photos = live.get(row.id, {})
        # A silhouette stands for one photo: not for one that an ingest has put in its place.
        silhouettes = {
            view: file
            for view, (file, of_photo) in kept.get(row.id, {}).items()
            if view not in photos and gone.get(row.id, {}).get(view) == of_photo
        }
        if row.outcome is not None and not _changed(row, photos, silhouettes):
            continue
        if not photos and not silhouettes:
            yield Unreachable(row.id, _why_unreachable(row.consent, bool(gone.get(row.id))))
        else:
            wanted.append((row, photos, silhouettes))
    measured = _measured(connection, [row for row, _, _ in wanted])
    for row, photos, silhouettes in wanted:
        profile = {**measured(row), "age": _age(row), "sex": row.sex}
        yield ScanWork(row.id, photos, silhouettes, profile, keep=row.consent == "silhouettes")


def _changed(row: Any, photos: dict[str, StoredPhoto], silhouettes: dict[str, StoredPhoto]) -> bool:
    """Whether a scan with an outcome must be looked at again."""
    if row.status == "unreachable":
        return bool(photos or silhouettes)
    seen = row.inputs.get("photos", {})
    return any(seen.get(view) != sha256 for view, (sha256, _) in photos.items())


def _why_unreachable(consent: str, had_photos: bool) -> str:
    if not had_photos:
        return "no photo of it was ever brought in"
    return f"its photos were deleted after an earlier run, and nothing else of them is kept (consent: {consent})"


def _photos(
    connection: Connection, scans: list[int]
) -> tuple[dict[int, dict[str, StoredPhoto]], dict[int, dict[str, str]]]:
    """By scan and view: the photos that are there, and the hashes of those that were deleted."""
    live: dict[int, dict[str, StoredPhoto]] = {}
    gone: dict[int, dict[str, str]] = {}
    query = select(Photo.scan_id, Photo.view, Photo.sha256, Photo.media_type, Photo.deleted_at)
    for row in connection.execute(query.where(Photo.scan_id.in_(scans)).order_by(Photo.scan_id, Photo.view)):
        if row.deleted_at is None:
            live.setdefault(row.scan_id, {})[row.view] = (row.sha256, row.media_type)
        else:
            gone.setdefault(row.scan_id, {})[row.view] = row.sha256
    return live, gone


def _silhouettes(connection: Connection, scans: list[int]) -> dict[int, dict[str, tuple[StoredPhoto, str]]]:
    kept: dict[int, dict[str, tuple[StoredPhoto, str]]] = {}
    query = select(
        Silhouette.scan_id, Silhouette.view, Silhouette.sha256, Silhouette.media_type, Silhouette.photo_sha256
    )
    query = query.where(Silhouette.scan_id.in_(scans), Silhouette.deleted_at.is_(None))
    for row in connection.execute(query.order_by(Silhouette.scan_id, Silhouette.view)):
        kept.setdefault(row.scan_id, {})[row.view] = ((row.sha256, row.media_type), row.photo_sha256)
    return kept


def _measured(connection: Connection, rows: list[Any]) -> Any:
    """A function of a scan's row: stature and mass of its person, of readings alone.

    The first reading of the scan's visit. An adult's stature is the same at every visit, so where it was not measured
    at this one, it is that of the first visit that has it; mass is not, and stays unknown.
    """
    query = (
        select(
            Visit.subject_id, Reading.visit_id, Reading.measurand, Reading.value, Visit.sequence, Reading.measured_at,
            Reading.replicate, Reading.method, Device.code,
        )
        .join(Visit, Reading.visit_id == Visit.id)
        .join(Device, Reading.device_id == Device.id)
        .where(
            Visit.subject_id.in_({row.subject_id for row in rows}),
            Reading.measurand.in_(_PROFILE),
            Reading.value > 0,
        )
    )  # fmt: skip
    at_visit: dict[tuple[int, str], float] = {}
    of_subject: dict[int, float] = {}
    for found in sorted(connection.execute(query), key=_first_to_last):
        at_visit.setdefault((found.visit_id, found.measurand), found.value)
        if found.measurand == "stature_cm":
            of_subject.setdefault(found.subject_id, found.value)

    def measured(row: Any) -> dict[str, float | None]:
        return {
            "stature_cm": at_visit.get((row.visit_id, "stature_cm"), of_subject.get(row.subject_id)),
            "weight_kg": at_visit.get((row.visit_id, "weight_kg")),
        }

    return measured


def _first_to_last(row: Any) -> tuple[Any, ...]:
    sequence = row.sequence if row.sequence is not None else 2**31
    return (sequence, row.measured_at or datetime.max, row.visit_id, row.replicate, row.method, row.code)


def _age(row: Any) -> float | None:
    """Years at the scan; at enrolment, where one of the two dates is not known."""
    enrolled: date | None = row.enrolled_on
    taken: date | None = None if row.captured_at is None else row.captured_at.date()
    if row.age is not None:
        since = (taken - enrolled).days / _DAYS_IN_A_YEAR if taken and enrolled else 0.0
        return row.age + since
    when = taken or enrolled
    return (when - row.birth_date).days / _DAYS_IN_A_YEAR if when and row.birth_date else None
