"""The results of scans, written to the registry: whole transactions, and files that always fit what the rows say.

A scan's outcome, its predictions, the mark that its photos are deleted and the audit event of that are one transaction.
Files are moved before it is committed and removed after, and both are noted beforehand in the run's folder, so that
after a kill at any moment the files that no row holds are found and removed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from studies.photos import PhotoStore, StoredPhoto
from studies.registry import audit
from studies.registry.held_files import remove_unheld
from studies.registry.schema import Outcome, Photo, Prediction, Scan, Silhouette, Subject, Visit
from studies.registry.workspace import Registry
from studies.runs.planning import Unreachable
from studies.runs.work import Processed

_NOTED = "files.json"
_PNG = "image/png"


@dataclass
class Written:
    """What was written of some scans: their number by status, and what became of their photos."""

    outcomes: dict[str, int] = field(default_factory=dict)
    photos_deleted: int = 0
    silhouettes_kept: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, other: Written) -> None:
        for mine, theirs in ((self.outcomes, other.outcomes), (self.seconds, other.seconds)):
            for name, value in theirs.items():
                mine[name] = mine.get(name, 0) + value
        self.photos_deleted += other.photos_deleted
        self.silhouettes_kept += other.silhouettes_kept


def noted_files(folder: Path) -> list[StoredPhoto]:
    """The files that a run was about to bring or to remove when it last wrote."""
    try:
        return [
            (sha256, media_type) for sha256, media_type in json.loads((folder / _NOTED).read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError):  # nothing was noted yet, so nothing was touched
        return []


class Recorder:
    """Writes what comes out of one run. `folder` is the run's own."""

    def __init__(self, registry: Registry, folder: Path, study: str, run_id: int, number: int):
        self.registry, self.folder = registry, folder
        self.study, self.run_id, self.number = study, run_id, number
        self._staged = PhotoStore(folder / "silhouettes")
        self._to_remove: list[StoredPhoto] = []

    def write(self, results: Sequence[Processed | Unreachable]) -> Written:
        """Write the results of some scans, all or none. Those that have an outcome already are left as they are."""
        written = Written()
        with self.registry.writing() as connection:
            self._remove_files(connection)
            scans = _Scans(connection, self.run_id, [_scan_id(result) for result in results])
            fresh = [result for result in results if scans.awaits(result)]
            changes = _Changes(self.run_id, self.number, self.study)
            for result in fresh:
                changes.add(result, scans)
            self._note([*changes.silhouettes, *changes.files_to_remove])
            self._bring(changes.silhouettes)
            changes.write(connection)
        self._to_remove = changes.files_to_remove
        for result, row in zip(fresh, changes.outcomes, strict=True):
            written.outcomes[row["status"]] = written.outcomes.get(row["status"], 0) + 1
            if isinstance(result, Processed):
                for stage, seconds in result.timings.items():
                    written.seconds[stage] = written.seconds.get(stage, 0.0) + seconds
        written.photos_deleted = len(changes.photos_to_delete)
        written.silhouettes_kept = len(changes.silhouette_rows)
        return written

    def settle(self) -> None:
        """Remove the files of what was deleted last."""
        if self._to_remove:
            with self.registry.writing() as connection:
                self._remove_files(connection)

    def _remove_files(self, connection: Connection) -> None:
        """Remove the files whose deletion the last transaction has committed. As the only writer."""
        remove_unheld(connection, self.registry.photos, self._to_remove)
        self._to_remove = []

    def _bring(self, silhouettes: dict[StoredPhoto, bytes]) -> None:
        """Put silhouettes into the store, written in the run's own folder first: so no half file is ever left there."""
        for file, content in silhouettes.items():
            if not self.registry.photos.path(*file).exists():
                self._staged.put_content(file, content)
                self.registry.photos.take_over(self._staged, *file)

    def _note(self, files: Iterable[StoredPhoto]) -> None:
        """Note which files are about to be touched. The note before is of no use any more: its files are settled."""
        path = self.folder / _NOTED
        noted = list(files)
        if not noted and not path.exists():
            return
        new = path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(noted, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)


def _scan_id(result: Processed | Unreachable) -> int:
    return result.work.scan_id if isinstance(result, Processed) else result.scan_id


class _Scans:
    """What the registry says of some scans now, within the writing transaction."""

    def __init__(self, connection: Connection, run_id: int, scan_ids: list[int]):
        people = (
            select(Scan.id, Scan.code, Visit.label, Subject.code.label("subject"), Subject.consent)
            .join(Visit, Scan.visit_id == Visit.id)
            .join(Subject, Visit.subject_id == Subject.id)
            .where(Scan.id.in_(scan_ids))
        )
        self.people = {row.id: row for row in connection.execute(people)}
        self.photos: dict[int, dict[str, Any]] = {}
        for row in connection.execute(select(Photo.__table__).where(Photo.scan_id.in_(scan_ids)).order_by(Photo.view)):
            self.photos.setdefault(row.scan_id, {})[row.view] = row
        self.silhouettes: dict[int, dict[str, Any]] = {}
        for row in connection.execute(select(Silhouette.__table__).where(Silhouette.scan_id.in_(scan_ids))):
            self.silhouettes.setdefault(row.scan_id, {})[row.view] = row
        outcomes = select(Outcome.id, Outcome.scan_id, Outcome.status, Outcome.inputs)
        outcomes = outcomes.where(Outcome.run_id == run_id, Outcome.scan_id.in_(scan_ids))
        self.outcomes = {row.scan_id: row for row in connection.execute(outcomes)}

    def awaits(self, result: Processed | Unreachable) -> bool:
        """Whether a scan is still there, as it was when it was looked at, and without an outcome that says the same.

        Meanwhile another process may have worked on the run, an ingest replaced a photo, or the person been erased.
        """
        scan_id = _scan_id(result)
        if scan_id not in self.people:
            return False
        old = self.outcomes.get(scan_id)
        if isinstance(result, Unreachable) or result.unreachable:
            return old is None
        photos = self.photos.get(scan_id, {})
        now = {view: row.sha256 for view, row in photos.items() if row.deleted_at is None}
        seen = result.work.inputs()["photos"]
        if now != seen:
            return False
        return old is None or old.status == "unreachable" or old.inputs.get("photos", {}) != seen


class _Changes:
    """The rows to write for some scans, and the files that go with them."""

    def __init__(self, run_id: int, number: int, study: str):
        self.run_id, self.number, self.study = run_id, number, study
        self.now: datetime = audit.utc_now()
        self.replaced: list[int] = []
        self.outcomes: list[dict[str, Any]] = []
        self.predictions: list[dict[str, Any]] = []
        self.photos_to_delete: list[int] = []
        self.silhouettes_to_delete: list[int] = []
        self.silhouettes_replaced: list[int] = []
        self.silhouette_rows: list[dict[str, Any]] = []
        self.silhouettes: dict[StoredPhoto, bytes] = {}
        self.files_to_remove: list[StoredPhoto] = []
        self.events: list[audit.Event] = []

    def add(self, result: Processed | Unreachable, scans: _Scans) -> None:
        scan_id = _scan_id(result)
        if scan_id in scans.outcomes:
            self.replaced.append(scan_id)
        common = {"run_id": self.run_id, "scan_id": scan_id, "made_at": self.now}
        nothing = {"quality": [], "betas": None, "pose": None, "inputs": {}, "timings": {}}
        if isinstance(result, Unreachable):
            self.outcomes.append({**common, **nothing, "status": "unreachable", "reason": result.reason})
            return
        if result.unreachable is not None:
            self.outcomes.append({**common, **nothing, "status": "unreachable", "reason": result.unreachable})
            return
        self.outcomes.append(
            {
                **common, "status": "determinate" if result.indeterminate is None else "indeterminate",
                "reason": result.indeterminate, "quality": result.quality, "betas": result.betas, "pose": result.pose,
                "inputs": result.work.inputs(), "timings": result.timings,
            }
        )  # fmt: skip
        for measurand, found in result.predictions.items():
            row = {"run_id": self.run_id, "scan_id": scan_id, "measurand": measurand, "reason": None, "details": {}}
            self.predictions.append({**row, **found})
        if result.indeterminate is None:
            self._keep_what_is_allowed(result, scans)

    def _keep_what_is_allowed(self, result: Processed, scans: _Scans) -> None:
        """After success: the photos stay, their silhouettes do, or nothing, by the consent as it is now."""
        scan_id = result.work.scan_id
        person = scans.people[scan_id]
        if person.consent == "photos" or (person.consent == "silhouettes" and not result.work.keep):
            return  # with a consent changed just now, no silhouettes were asked for: the next run sees to it
        photos = {view: row for view, row in scans.photos.get(scan_id, {}).items() if row.deleted_at is None}
        kept = scans.silhouettes.get(scan_id, {})
        made = {}
        if person.consent == "silhouettes":
            made = {view: content for view, content in result.silhouettes.items() if view in photos}
        for view, content in made.items():
            self._keep(scan_id, view, content, photos[view].sha256, kept.get(view))
        outdated = [] if person.consent == "silhouettes" else [row for row in kept.values() if row.deleted_at is None]
        self.silhouettes_to_delete += [row.id for row in outdated]
        self.photos_to_delete += [row.id for row in photos.values()]
        self.files_to_remove += [(row.sha256, row.media_type) for row in [*photos.values(), *outdated]]
        if photos or outdated:
            detail = {
                "photos": {view: row.sha256 for view, row in photos.items()},
                "silhouettes_kept": sorted(made),
                "silhouettes_deleted": sorted(row.view for row in outdated),
                "reason": f"processed by run {self.number}; consent: {person.consent}",
            }
            key = f"{person.subject}/{person.label}/{person.code}"
            self.events.append(audit.Event("delete", "photo", key, detail, self.study, person.subject))

    def _keep(self, scan_id: int, view: str, content: bytes, photo_sha256: str, old: Any) -> None:
        file = (hashlib.sha256(content).hexdigest(), _PNG)
        self.silhouettes[file] = content
        if old is not None:
            self.silhouettes_replaced.append(old.id)
            if old.sha256 != file[0]:
                self.files_to_remove.append((old.sha256, old.media_type))
        self.silhouette_rows.append(
            {
                "scan_id": scan_id, "view": view, "sha256": file[0], "media_type": _PNG, "photo_sha256": photo_sha256,
                "run_id": self.run_id, "made_at": self.now, "deleted_at": None,
            }
        )  # fmt: skip

    def write(self, connection: Connection) -> None:
        for table in (Prediction, Outcome):
            if self.replaced:
                gone = delete(table).where(table.run_id == self.run_id, table.scan_id.in_(self.replaced))
                connection.execute(gone)
        if self.silhouettes_replaced:
            connection.execute(delete(Silhouette).where(Silhouette.id.in_(self.silhouettes_replaced)))
        for table, rows in (
            (Outcome, self.outcomes),
            (Prediction, self.predictions),
            (Silhouette, self.silhouette_rows),
        ):
            if rows:
                connection.execute(insert(table), rows)
        for table, ids in ((Photo, self.photos_to_delete), (Silhouette, self.silhouettes_to_delete)):
            if ids:
                connection.execute(update(table).where(table.id.in_(ids)).values(deleted_at=self.now))
        audit.append(connection, self.events)
