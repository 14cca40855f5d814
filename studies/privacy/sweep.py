"""The sweep: every file of the workspace belongs to a row that may still have it, and every row that has one, has it.

Looked for are files of the photo store that no row holds, photos and silhouettes beyond what the subject agreed to or
beyond the study's retention periods, refused rows beyond theirs, what processes that died have left, pictures where
none belong, and rows whose file is gone. With `delete`, whatever must not be there is removed, and the trail says so.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, select, update

from studies.errors import StorageError
from studies.photos import PhotoProblem, StoredPhoto, strip_jpeg
from studies.privacy.ingest_folders import Redraw, forget_refused
from studies.privacy.remnants import scrub
from studies.privacy.retention import Due, due
from studies.registry import audit
from studies.registry.catalogue import find_study
from studies.registry.claims import abandoned
from studies.registry.held_files import remove_unheld
from studies.registry.identity import FILE as IDENTITY_FILE
from studies.registry.identity import identity_fault
from studies.registry.schema import (
    Checkpoint,
    IngestBatch,
    Outcome,
    Photo,
    QuarantinedRow,
    Report,
    Scan,
    Silhouette,
    Study,
    Subject,
    Visit,
)
from studies.registry.workspace import Registry

_OWN_FILES = (
    "registry.db",
    "registry.db-wal",
    "registry.db-shm",
    "registry.db-journal",
    IDENTITY_FILE,
    "dashboard.key",
)
_OWN_FOLDERS = ("cache", "keys")  # what the dashboard computed, which an erasure empties; keys that sign
_PARTIAL = ".partial"
_LEFT_AFTER_SECONDS = 3600  # a file without a lock is someone's who works on it, until it has this age
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"RIFF", b"CALPHOTO", b"II*\0", b"MM\0*", b"GIF8")

KINDS = {
    "orphan": "files that no row of the registry holds",
    "past consent": "photos or silhouettes that the subject did not agree to keep",
    "past retention": "things kept longer than the plan allows",
    "left behind": "files of processes that died",
    "misplaced": "pictures where none belong",
    "missing": "rows whose file is gone",
    "damaged": "files whose content is not what it should be",
    "unknown": "files that are not Calliper's",
}
"""What a sweep can find. All but the last are wrong; an unknown file is only told."""


@dataclass
class Finding:
    """Something that is not as it should be. `removed`: by this sweep."""

    kind: str
    what: str
    reason: str
    removed: bool = False


@dataclass
class Sweep:
    """What a sweep looked at and found."""

    files: int = 0
    photos: int = 0
    silhouettes: int = 0
    findings: list[Finding] = field(default_factory=list)
    unscrubbed: str | None = None

    @property
    def wrong(self) -> list[Finding]:
        """What must not be, and still is."""
        return [one for one in self.findings if one.kind != "unknown" and not one.removed]

    def counts(self, *, removed: bool | None = None) -> dict[str, int]:
        found = Counter(one.kind for one in self.findings if removed in (None, one.removed))
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def as_dict(self) -> dict[str, Any]:
        return {
            "files": self.files, "photos": self.photos, "silhouettes": self.silhouettes, "clean": not self.wrong,
            "counts": self.counts(), "findings": [dict(one.__dict__) for one in self.findings],
            "unscrubbed": self.unscrubbed,
        }  # fmt: skip


def sweep(
    registry: Registry,
    *,
    study: str | None = None,
    delete: bool = False,
    contents: bool = False,
    now: datetime | None = None,
    redraw: Redraw | None = None,
) -> Sweep:
    """Look through the workspace; with `delete`, remove what must not be there.

    study: whose consents and retention periods are looked at, by default every study's; files are always all looked
    at. contents: read every file of the photo store, check its hash and that no metadata are in it. redraw: see
    `studies.privacy.erase`. Raises StorageError where something is to be removed and the database is not the one that
    the workspace belongs to.
    """
    with registry.writing() as connection:  # so that nothing is just being brought in or removed
        work = _Work(registry, connection, study, now or audit.utc_now(), redraw)
        if (fault := identity_fault(registry.folder, connection)) is not None:
            if delete:
                raise StorageError(
                    f"{fault} Nothing is removed, for every file would seem to belong to nobody.",
                    remedy="Set CALLIPER_DATABASE_URL as it was when the workspace was filled, or restore the file.",
                )
            work.found("unknown", str(registry.folder), fault)
        work.look(contents=contents)
        if delete:
            work.remove()
        found = work.sweep
        detail = {"files": found.files, "found": found.counts(), "removed": found.counts(removed=True)}
        event = audit.Event("sweep", "workspace", study or "every study", detail, study)
        audit.append(connection, [*work.events, event])
    with registry.writing() as connection:
        remove_unheld(connection, registry.photos, work.let_go)
    if delete and any(one.removed for one in found.findings):
        found.unscrubbed = scrub(registry)
    return found


class _Work:
    """One sweep, within its transaction."""

    def __init__(
        self, registry: Registry, connection: Connection, study: str | None, now: datetime, redraw: Redraw | None
    ):
        self.registry, self.connection, self.now, self.redraw = registry, connection, now, redraw
        self.sweep = Sweep()
        self.events: list[audit.Event] = []
        self.let_go: list[StoredPhoto] = []  # files whose rows are marked deleted
        self._rows: list[tuple[Finding, type, Any]] = []  # photos and silhouettes that must go
        self._paths: list[tuple[Finding, Path]] = []
        self._refused: list[tuple[Finding, Due]] = []
        query = select(Study.id, Study.name).order_by(Study.name)
        if study is not None:
            query = query.where(Study.id == find_study(connection, study).id)
        self.studies = connection.execute(query).all()

    def found(self, kind: str, what: str, reason: str) -> Finding:
        finding = Finding(kind, what, reason)
        self.sweep.findings.append(finding)
        return finding

    # Looking --------------------------------------------------------------------------------------------------------

    def look(self, *, contents: bool) -> None:
        for one in self.studies:
            self._look_at_study(one)
        held = self._held()
        for path in sorted(self.registry.photos.folder.rglob("*")):
            if path.is_file():
                self._look_at_stored(path, held)
        self._look_for_missing(held, contents=contents)
        for path in sorted(self.registry.folder.iterdir()):
            self._look_elsewhere(path)

    def _look_at_study(self, study: Any) -> None:
        late = {(one.kept.kind, one.kept.id): one for one in due(self.connection, study, now=self.now)}
        for table, kinds in ((Photo, ("photos", "unprocessed_photos")), (Silhouette, ("silhouettes",))):
            for row in self._live(table, study.id):
                what = f"{study.name}: {table.__tablename__} {row.subject}/{row.visit}/{row.scan} {row.view}"
                beyond = self._beyond_consent(table, row)
                past = next((late[kind, row.id] for kind in kinds if (kind, row.id) in late), None)
                if beyond:
                    self._rows.append((self.found("past consent", what, beyond), table, row))
                elif past:
                    self._rows.append((self.found("past retention", what, past.reason), table, row))
        for (kind, _), one in late.items():
            if kind == "quarantine":
                what = f"{study.name}: the refused rows of ingest {one.kept.what.rpartition('-')[2]}"
                self._refused.append((self.found("past retention", what, one.reason), one))
            elif kind == "subjects":
                what = f"{study.name}: subject {one.kept.what}"
                remedy = "erase them with calliper privacy retention --erase"
                self.found("past retention", what, f"{one.reason}; {remedy}")

    def _live(self, table: Any, study_id: int) -> list[Any]:
        query = (
            select(
                table.__table__, Scan.code.label("scan"), Visit.label.label("visit"), Subject.code.label("subject"),
                Subject.consent, Study.name.label("study"),
            )
            .join_from(table, Scan, table.scan_id == Scan.id)
            .join(Visit, Scan.visit_id == Visit.id)
            .join(Subject, Visit.subject_id == Subject.id)
            .join(Study, Subject.study_id == Study.id)
            .where(Subject.study_id == study_id, table.deleted_at.is_(None))
            .order_by(table.id)
        )  # fmt: skip
        return list(self.connection.execute(query))

    def _beyond_consent(self, table: Any, row: Any) -> str | None:
        """Why a photo or silhouette is kept without consent; None where it may be kept, or is still to be processed."""
        if row.consent == "photos" or (table is Silhouette and row.consent == "silhouettes"):
            return None
        if table is Silhouette:
            return f"the subject's consent is '{row.consent}'"
        query = select(Outcome.inputs).where(Outcome.scan_id == row.scan_id, Outcome.status == "determinate")
        seen = (inputs.get("photos", {}).get(row.view) for inputs in self.connection.execute(query).scalars())
        if row.sha256 not in seen:
            return None
        return f"it has been processed, and the subject's consent is '{row.consent}'"

    def _held(self) -> dict[str, tuple[StoredPhoto, str]]:
        """By file name, plain and encrypted: the stored file that rows of any study hold, and what it is."""
        store = self.registry.photos
        held: dict[str, tuple[StoredPhoto, str]] = {}
        for table in (Photo, Silhouette):
            query = select(table.sha256, table.media_type).where(table.deleted_at.is_(None)).distinct()
            for row in self.connection.execute(query):
                for path in store.paths(row.sha256, row.media_type):
                    held[path.name] = ((row.sha256, row.media_type), table.__tablename__)
        return held

    def _look_at_stored(self, path: Path, held: dict[str, tuple[StoredPhoto, str]]) -> None:
        self.sweep.files += 1
        if path.name.startswith(".incoming-"):
            self._paths.append((self.found("left behind", self._named(path), "it was never finished"), path))
        elif path.name not in held:
            finding = self.found("orphan", self._named(path), "no row of the registry holds it")
            self._paths.append((finding, path))
        elif path not in self.registry.photos.paths(*held[path.name][0]):
            finding = self.found("misplaced", self._named(path), "it lies in the wrong folder of the photo store")
            self._paths.append((finding, path))

    def _look_for_missing(self, held: dict[str, tuple[StoredPhoto, str]], *, contents: bool) -> None:
        for file, kind in sorted(set(held.values())):
            if kind == "photo":
                self.sweep.photos += 1
            else:
                self.sweep.silhouettes += 1
            name = f"{kind} {file[0][:16]}…"
            there = [path for path in self.registry.photos.paths(*file) if path.exists()]
            if not there:
                self.found("missing", name, "a row says that it is kept, and it is not in the photo store")
            elif len(there) == 2:
                self.found("damaged", name, "it lies there encrypted and plain; rotate the key to mend that")
            elif contents and (fault := self._content_fault(file)):
                self.found("damaged", name, fault)

    def _content_fault(self, file: StoredPhoto) -> str | None:
        try:
            content = self.registry.photos.read(*file)
        except StorageError as error:
            return error.what
        if hashlib.sha256(content).hexdigest() != file[0]:
            return "its content does not fit its name"
        return metadata_fault(content, file[1])

    def _look_elsewhere(self, path: Path) -> None:
        name = path.name
        if path == self.registry.photos.folder:
            return
        lookers = {
            "ingests": self._ingest_known, "reports": self._report_known, "runs": lambda _: False,
            "scratch": lambda _: False,
        }  # fmt: skip
        if path.is_dir() and name in lookers:
            for child in sorted(path.iterdir()):
                self._look_at_folder(child, known=lookers[name](child.name))
        elif path.is_dir() and name == "checkpoints":
            self._look_at_checkpoints(path)
        elif path.is_file() and name in _OWN_FILES:
            self.sweep.files += 1
        elif path.is_dir() and name in _OWN_FOLDERS:
            self._look_at_folder(path, known=True)
        else:
            for file in [path] if path.is_file() else _files(path):
                self._unknown(file)

    def _ingest_known(self, name: str) -> bool:
        study, _, number = name.rpartition("-")
        query = select(Study.id).where(Study.name == study)
        if name.endswith("-dry-run"):
            query = select(Study.id).where(Study.name == name.removesuffix("-dry-run"))
        elif number.isdigit():
            query = query.join(IngestBatch, IngestBatch.study_id == Study.id).where(IngestBatch.number == int(number))
        else:
            return False
        return self.connection.execute(query).first() is not None

    def _report_known(self, name: str) -> bool:
        study, _, number = name.rpartition("-")
        if not number.isdigit():
            return False
        query = select(Report.id).join(Study, Report.study_id == Study.id)
        query = query.where(Study.name == study, Report.number == int(number))
        return self.connection.execute(query).first() is not None

    def _look_at_folder(self, folder: Path, *, known: bool) -> None:
        files = [folder] if folder.is_file() else list(_files(folder))
        self.sweep.files += len(files)
        if known:
            for path in files:
                if folder.parent.name == "ingests" and _is_picture(path):
                    finding = self.found("misplaced", self._named(path), "no picture belongs into an ingest's folder")
                    self._paths.append((finding, path))
                elif path.name.endswith(_PARTIAL) and _is_old(path):
                    finding = self.found("left behind", self._named(path), "it was never finished")
                    self._paths.append((finding, path))
            return
        if folder.is_dir() and (folder.parent.name in ("runs", "scratch") or folder.name.endswith(_PARTIAL)):
            if abandoned(folder):
                finding = self.found("left behind", self._named(folder), "the process that worked in it has ended")
                self._paths.append((finding, folder))
            return
        if folder.name.startswith("."):
            if _is_old(folder):
                finding = self.found("left behind", self._named(folder), "it was never finished")
                self._paths.append((finding, folder))
            return
        self.sweep.files -= len(files)
        for path in files:
            self._unknown(path)

    def _look_at_checkpoints(self, folder: Path) -> None:
        places = {self.registry.folder / row for row in self.connection.execute(select(Checkpoint.location)).scalars()}
        for path in _files(folder):
            if path in places or any(path.is_relative_to(place.parent) for place in places):
                self.sweep.files += 1
            else:
                self._unknown(path)

    def _unknown(self, path: Path) -> None:
        self.sweep.files += 1
        if _is_picture(path):
            finding = self.found("misplaced", self._named(path), "pictures of people belong into the photo store")
            self._paths.append((finding, path))
        else:
            self.found("unknown", self._named(path), "Calliper does not know it, and leaves it there")

    def _named(self, path: Path) -> str:
        return path.relative_to(self.registry.folder).as_posix()

    # Removing -------------------------------------------------------------------------------------------------------

    def remove(self) -> None:
        for finding, table, row in self._rows:
            gone = update(table).where(table.id == row.id).values(deleted_at=self.now)
            self.connection.execute(gone)
            self.let_go.append((row.sha256, row.media_type))
            key = f"{row.subject}/{row.visit}/{row.scan}"
            detail = {table.__tablename__: {row.view: row.sha256}, "reason": f"{finding.kind}: {finding.reason}"}
            self.events.append(audit.Event("delete", table.__tablename__, key, detail, row.study, row.subject))
            finding.removed = True
        for finding, one in self._refused:
            self.connection.execute(delete(QuarantinedRow).where(QuarantinedRow.batch_id == one.kept.id))
            forget_refused(self.registry.ingests / one.kept.what, redraw=self.redraw)
            detail = {"ingest": one.kept.what, "reason": one.reason}
            self.events.append(audit.Event("delete", "quarantined_row", one.kept.what, detail, one.study))
            finding.removed = True
        for finding, path in self._paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(FileNotFoundError):
                    path.unlink()
            finding.removed = not path.exists()


def metadata_fault(content: bytes, media_type: str) -> str | None:
    """What a stored photo holds beside its pixels, as a reason; None where there is nothing."""
    if media_type == "image/jpeg":
        try:
            clean = strip_jpeg(content)
        except PhotoProblem as problem:
            return f"it {problem}"
        return None if clean == content else "it holds metadata, or something behind the image"
    place, chunks = 8, []
    while place + 8 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        chunks.append(kind)
        place += 12 + length
        if kind == b"IEND":
            break
    extra = sorted({kind.decode("latin-1") for kind in chunks} - {"IHDR", "PLTE", "IDAT", "IEND", "iCCP", "tRNS"})
    if extra:
        return f"it holds metadata ({', '.join(extra)})"
    return "it holds something behind the image" if place != len(content) else None


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _is_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    if start.startswith(b"RIFF"):
        return start[8:] == b"WEBP"
    return start.startswith(_SIGNATURES) or start[4:8] == b"ftyp"


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _LEFT_AFTER_SECONDS
    except OSError:
        return False
