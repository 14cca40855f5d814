"""Registered reports: what each is, the hash that stands for it, and what it was computed from.

A report's manifest says all that it is: study, number, kind, plan, data, run, software, author, and the SHA-256 of
every file. The report's own hash is the SHA-256 of the manifest as canonical JSON. Rows of reports are never changed,
and the audit trail holds the same hash, so that a row that was changed nonetheless is found.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, select, update

from studies.errors import StorageError, UsageError
from studies.frozen import files_of_zip, hash_of
from studies.registry import audit
from studies.registry.schema import AuditEvent, FrozenInputs, Report, Study
from studies.registry.workspace import Registry

MANIFEST_FORMAT = 1
INPUTS = "inputs.zip"
_DECIDING = ("calliper", "numpy", "pandas", "scipy", "statsmodels", "pyarrow", "typst", "matplotlib")


def canonical(value: Any) -> str:
    """JSON in its one form: keys in order, no spaces, as UTF-8 text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def software_versions() -> dict[str, str]:
    """Name -> version of what decides the bytes of a report, the processor's kind included."""
    found = {}
    for name in _DECIDING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a folder that was never installed
            found[name] = "unknown"
    return {**found, "python": platform.python_version(), "machine": platform.machine()}


@dataclass(frozen=True)
class ReportRecord:
    """A registered report. `sha256` is empty where it was made before reports had hashes of their own."""

    id: int
    study: str
    title: str
    number: int
    kind: str
    files: list[dict[str, Any]]
    results_sha256: str
    created_at: datetime
    created_by: str
    manifest_text: str
    sha256: str

    @property
    def name(self) -> str:
        """STUDY/NUMBER."""
        return f"{self.study}/{self.number}"

    @property
    def folder_name(self) -> str:
        return f"{self.study}-{self.number}"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return json.loads(self.manifest_text) if self.manifest_text else {}

    def folder(self, registry: Registry) -> Path:
        return registry.reports / self.folder_name


def _reports() -> Select[Any]:
    return select(
        Report.id, Study.name, Study.title, Report.number, Report.kind, Report.files, Report.results_sha256,
        Report.created_at, Report.created_by, Report.manifest, Report.sha256,
    ).join(Study, Report.study_id == Study.id)  # fmt: skip


def list_reports(connection: Connection, study: str | None = None) -> list[ReportRecord]:
    """All reports, by study and number."""
    query = _reports().order_by(Study.name, Report.number)
    if study is not None:
        query = query.where(Study.name == study)
    return [ReportRecord(*row) for row in connection.execute(query)]


def find_report(connection: Connection, given: str, study: str | None = None) -> ReportRecord:
    """The report that is meant by NUMBER or STUDY/NUMBER. Raises `UsageError` where none or several could be."""
    named, _, number = given.rpartition("/")
    if not number.isdigit() or (named and study and named != study):
        raise UsageError(f"'{given}' names no report.", remedy="Give its number, or STUDY/NUMBER.")
    query = _reports().where(Report.number == int(number)).order_by(Study.name)
    if named or study:
        query = query.where(Study.name == (named or study))
    found = [ReportRecord(*row) for row in connection.execute(query)]
    if len(found) > 1:
        listed = ", ".join(record.name for record in found)
        raise UsageError(f"Several studies have a report {number}.", remedy=f"Name one: {listed}.")
    if not found:
        raise UsageError(f"There is no report {given}.", remedy="See calliper report list.")
    return found[0]


def newer_report(connection: Connection, record: ReportRecord) -> ReportRecord | None:
    """The newest report of the same study and kind, where that is not the report itself."""
    query = _reports().where(Study.name == record.study, Report.kind == record.kind, Report.number > record.number)
    rows = connection.execute(query.order_by(Report.number.desc()).limit(1)).all()
    return ReportRecord(*rows[0]) if rows else None


def manifest_fault(connection: Connection, record: ReportRecord) -> str | None:
    """How the row of a report is not what was registered, as a sentence; None where it is."""
    if not record.sha256:
        return None
    if sha256_of(record.manifest_text) != record.sha256:
        return "The report's record in the database was changed: its manifest does not have the report's hash."
    said = record.manifest
    own = (record.study, record.number, record.kind, record.results_sha256, record.files)
    if own != tuple(said.get(key) for key in ("study", "number", "kind", "results_sha256", "files")):
        return "The report's record in the database was changed: its row does not say what its manifest says."
    query = select(AuditEvent.detail).where(
        AuditEvent.action == "report", AuditEvent.entity == "report", AuditEvent.entity_key == record.name
    )
    hashes = {json.loads(detail).get("sha256") for detail in connection.execute(query).scalars()}
    if hashes != {record.sha256}:
        return "The audit trail knows another hash for this report: its record in the database was exchanged."
    return None


# What a report was computed from --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InputsRecord:
    """Frozen inputs of a report: the hash of their files, and when and why they were removed, if they were."""

    sha256: str
    subjects: int
    removed_at: datetime | None
    removed_because: str | None


def inputs_record(connection: Connection, record: ReportRecord) -> InputsRecord | None:
    """What the registry knows of a report's frozen inputs; None where none were kept."""
    query = select(
        FrozenInputs.sha256, FrozenInputs.subjects, FrozenInputs.removed_at, FrozenInputs.removed_because
    ).where(FrozenInputs.report_id == record.id)
    row = connection.execute(query).one_or_none()
    return InputsRecord(*row) if row else None


def read_inputs(registry: Registry, record: ReportRecord, known: InputsRecord) -> dict[str, bytes]:
    """The files of a report's frozen inputs. Raises `StorageError` where they are gone or not what was kept."""
    path = record.folder(registry) / INPUTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"The frozen inputs of report {record.name} cannot be read: {error.strerror or error}.",
            where=str(path), remedy="Restore the workspace's reports folder from a backup.",
        ) from None  # fmt: skip
    files = files_of_zip(data, str(path))
    if hash_of(files) != known.sha256:
        raise StorageError(
            f"The frozen inputs of report {record.name} were changed after the report was made.",
            where=str(path), remedy="Restore the workspace's reports folder from a backup.",
        )  # fmt: skip
    return files


def forget_inputs(
    registry: Registry, connection: Connection, study: str, *, because: str, since: datetime | None = None
) -> list[int]:
    """Remove the frozen inputs of a study's reports, since somebody in them is erased. Returns the reports' numbers.

    Inputs that hold no subject, those of model cards, stay. because: told by `report verify`, e.g. "a subject was
    erased"; must not tell who. since: when the person came into the registry; reports that were made before hold
    nothing of them and keep their inputs. In the writer's transaction of the erasure. Files go first: a kill in between
    leaves a report that cannot be recomputed, never a person's data.
    """
    query = (
        select(Report.id, Report.number, Report.created_at)
        .join(Study, Report.study_id == Study.id)
        .join(FrozenInputs, FrozenInputs.report_id == Report.id)
        .where(Study.name == study, FrozenInputs.removed_at.is_(None), FrozenInputs.subjects > 0)
        .order_by(Report.number)
    )
    concerned = [row for row in connection.execute(query).all() if since is None or row.created_at >= since]
    for row in concerned:
        (registry.reports / f"{study}-{row.number}" / INPUTS).unlink(missing_ok=True)
    now = audit.utc_now()
    for row in concerned:
        connection.execute(
            update(FrozenInputs).where(FrozenInputs.report_id == row.id).values(removed_at=now, removed_because=because)
        )
    audit.append(
        connection,
        [
            audit.Event("remove", "frozen_inputs", f"{study}/{row.number}", {"reason": because}, study)
            for row in concerned
        ],
    )
    return [row.number for row in concerned]


def report_event(record_name: str, study: str, manifest: Mapping[str, Any], sha256: str) -> audit.Event:
    """The event that a report was registered."""
    kept = ("number", "kind", "files", "results_sha256")
    return audit.Event(
        "report", "report", record_name, {**{key: manifest[key] for key in kept}, "sha256": sha256}, study
    )
