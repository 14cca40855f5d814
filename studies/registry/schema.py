"""The registry's tables.

One study holds sites, devices and subjects; a subject has visits; a visit has readings and scans; a scan has photos
and, for each run, predictions. Every row that came from a file says from which ingest batch, file and row. Times of
the registry itself are UTC without offset; times of measurements are local times as the source gave them.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, MetaData, String, Text, UniqueConstraint, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

VIEWS = ("front", "back", "left", "right")
CONSENTS = ("photos", "silhouettes", "none")
SEXES = ("F", "M")
ROLES = ("viewer", "analyst", "admin")
CHECKPOINT_KINDS = ("estimator", "avatar", "segmenter")
RUN_STATES = ("running", "interrupted", "finished")
OUTCOMES = ("determinate", "indeterminate", "unreachable")
JOB_STATES = ("waiting", "running", "finished", "failed")


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, str: String}  # noqa: RUF012


class FromSource:
    """Where a row came from: the batch, the file (index into the batch's `sources`) and the row in it."""

    batch_id: Mapped[int | None] = mapped_column(ForeignKey("ingest_batch.id"))
    source_file: Mapped[int | None]
    source_row: Mapped[int | None]


class User(Base):
    """An account of the dashboard. A new `session_version` ends every session that was opened before."""

    __tablename__ = "user"
    __table_args__ = (_one_of("role", ROLES),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    display_name: Mapped[str | None]
    role: Mapped[str] = mapped_column(default="viewer")
    password_hash: Mapped[str | None]
    active: Mapped[bool] = mapped_column(default=True)
    session_version: Mapped[int] = mapped_column(default=1, server_default="1")
    created_at: Mapped[datetime]


class SignInAttempt(Base):
    """One failed attempt to sign in, kept only as long as the limit on their number counts it. `name` is hashed."""

    __tablename__ = "sign_in_attempt"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    address: Mapped[str]
    at: Mapped[datetime] = mapped_column(index=True)


class Job(Base):
    """Long work that someone asked for. `fingerprint`: the same work asked for again while it waits is the same job.

    `stage`, `done` and `total` say how far it has come, `seen_at` when its worker was last heard of, `message` why it
    failed, `outcome` what it made.
    """

    __tablename__ = "job"
    __table_args__ = (_one_of("status", JOB_STATES),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    study: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    fingerprint: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    stage: Mapped[str] = mapped_column(default="", server_default="")
    done: Mapped[int] = mapped_column(default=0, server_default="0")
    total: Mapped[int | None]
    message: Mapped[str] = mapped_column(Text, default="", server_default="")
    outcome: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Study(Base):
    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    created_at: Mapped[datetime]

    plans: Mapped[list[AnalysisPlan]] = relationship(order_by="AnalysisPlan.version", back_populates="study")


class Site(Base):
    __tablename__ = "site"
    __table_args__ = (UniqueConstraint("study_id", "code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    code: Mapped[str]


class Subject(FromSource, Base):
    __tablename__ = "subject"
    __table_args__ = (UniqueConstraint("study_id", "code"), _one_of("sex", SEXES), _one_of("consent", CONSENTS))

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    code: Mapped[str]
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.id"))
    sex: Mapped[str | None]
    age: Mapped[float | None]
    birth_date: Mapped[date | None]
    enrolled_on: Mapped[date | None]
    ethnicity: Mapped[str | None]
    consent: Mapped[str] = mapped_column(default="none", server_default="none")
    attributes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    flags: Mapped[str | None]


class Visit(Base):
    __tablename__ = "visit"
    __table_args__ = (UniqueConstraint("subject_id", "label"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    subject_id: Mapped[int] = mapped_column(ForeignKey("subject.id"))
    label: Mapped[str]
    sequence: Mapped[int | None]


class Device(Base):
    """A device of a study. The empty code stands for "not stated"."""

    __tablename__ = "device"
    __table_args__ = (UniqueConstraint("study_id", "code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    code: Mapped[str]


class Scan(FromSource, Base):
    """One capture session. `rendered`: its photos come from a body model and a renderer, not from a camera."""

    __tablename__ = "scan"
    __table_args__ = (UniqueConstraint("visit_id", "code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    code: Mapped[str]
    captured_at: Mapped[datetime | None]
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"))
    rendered: Mapped[bool] = mapped_column(default=False, server_default=false())
    attributes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    flags: Mapped[str | None]

    photos: Mapped[list[Photo]] = relationship(back_populates="scan", order_by="Photo.view")


class Photo(Base):
    """One image of a scan. `sha256` is that of the stored file, whose metadata have been removed."""

    __tablename__ = "photo"
    __table_args__ = (UniqueConstraint("scan_id", "view"), _one_of("view", VIEWS))

    id: Mapped[int] = mapped_column(primary_key=True)
    scan_id: Mapped[int] = mapped_column(ForeignKey("scan.id"))
    view: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    media_type: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int]
    deleted_at: Mapped[datetime | None]

    scan: Mapped[Scan] = relationship(back_populates="photos")


class Reading(FromSource, Base):
    """One value that came in, in the canonical unit of its measurand.

    `reported_value` and `reported_unit` are kept where the source used another unit. A value that replaces another
    does so through one audited change, which holds the old value.
    """

    __tablename__ = "reading"
    __table_args__ = (UniqueConstraint("visit_id", "measurand", "method", "device_id", "replicate", name="uq_reading"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    measurand: Mapped[str]
    method: Mapped[str]
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"))
    replicate: Mapped[int]
    value: Mapped[float]
    unit: Mapped[str]
    measured_at: Mapped[datetime | None]
    reported_value: Mapped[float | None]
    reported_unit: Mapped[str | None]
    flags: Mapped[str | None]


class Checkpoint(Base):
    __tablename__ = "checkpoint"
    __table_args__ = (UniqueConstraint("name", "version"), _one_of("kind", CHECKPOINT_KINDS))

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    version: Mapped[int]
    sha256: Mapped[str]
    location: Mapped[str]
    card: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class CheckpointAlias(Base):
    __tablename__ = "checkpoint_alias"
    __table_args__ = (UniqueConstraint("kind", "alias"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    alias: Mapped[str]
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoint.id"))


class Run(Base):
    """A set of checkpoints applied to a study's scans. `identity`: a hash of these and of the software."""

    __tablename__ = "run"
    __table_args__ = (UniqueConstraint("study_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    number: Mapped[int]
    status: Mapped[str]
    identity: Mapped[str] = mapped_column(default="", server_default="")
    software: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    checkpoints: Mapped[list[Checkpoint]] = relationship(secondary="run_checkpoint")


class RunCheckpoint(Base):
    __tablename__ = "run_checkpoint"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoint.id"), primary_key=True)


class Prediction(Base):
    """One value that a run made of a scan; `value` is null, with a `reason`, where the scan was indeterminate."""

    __tablename__ = "prediction"
    __table_args__ = (UniqueConstraint("run_id", "scan_id", "measurand"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    scan_id: Mapped[int] = mapped_column(ForeignKey("scan.id"))
    measurand: Mapped[str]
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    unit: Mapped[str]
    reason: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Outcome(Base):
    """What became of one scan in one run, once for each.

    Determinate: it has predictions. Indeterminate: it was looked at, and `reason` says why it has none. Unreachable:
    nothing of it was left to look at. `inputs`: what the run was given, photos and silhouettes by view and SHA-256.
    `quality`: view, reason and detail of what is wrong with its photos. `timings`: seconds by stage.
    """

    __tablename__ = "outcome"
    __table_args__ = (UniqueConstraint("run_id", "scan_id"), _one_of("status", OUTCOMES))

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    scan_id: Mapped[int] = mapped_column(ForeignKey("scan.id"), index=True)
    status: Mapped[str]
    reason: Mapped[str | None]
    quality: Mapped[list[Any]] = mapped_column(default=list)
    betas: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    pose: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    inputs: Mapped[dict[str, Any]] = mapped_column(default=dict)
    timings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    made_at: Mapped[datetime]


class Silhouette(Base):
    """What is kept of a photo that was deleted: the outline of the person, as PNG, in the photo store.

    `photo_sha256` is the photo's: a silhouette stands for that one photo, not for one that replaces it.
    """

    __tablename__ = "silhouette"
    __table_args__ = (UniqueConstraint("scan_id", "view"), _one_of("view", VIEWS))

    id: Mapped[int] = mapped_column(primary_key=True)
    scan_id: Mapped[int] = mapped_column(ForeignKey("scan.id"))
    view: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    media_type: Mapped[str]
    photo_sha256: Mapped[str]
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    made_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class IngestBatch(Base):
    __tablename__ = "ingest_batch"
    __table_args__ = (UniqueConstraint("study_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    number: Mapped[int]
    actor: Mapped[str]
    status: Mapped[str]
    mapping_name: Mapped[str]
    mapping_hash: Mapped[str]
    mapping: Mapped[dict[str, Any]]
    sources: Mapped[list[Any]]
    counts: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]


class QuarantinedRow(Base):
    """A row that was refused, whole, in its source's own columns, with every reason and remedy."""

    __tablename__ = "quarantined_row"
    __table_args__ = (UniqueConstraint("study_id", "fingerprint"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    batch_id: Mapped[int] = mapped_column(ForeignKey("ingest_batch.id"))
    fingerprint: Mapped[str]
    source: Mapped[str]
    source_row: Mapped[int | None]
    content: Mapped[dict[str, Any]]
    reasons: Mapped[list[Any]]


class AnalysisPlan(Base):
    """One version of a study's plan. Versions are never changed; a locked one can only be followed by another."""

    __tablename__ = "analysis_plan"
    __table_args__ = (UniqueConstraint("study_id", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    version: Mapped[int]
    document: Mapped[dict[str, Any]]
    sha256: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    locked_at: Mapped[datetime | None]
    locked_by: Mapped[str | None]

    study: Mapped[Study] = relationship(back_populates="plans")


class Protocol(Base):
    """One version of what only a person knows of a study (`studies.protocol`). Versions are never changed."""

    __tablename__ = "protocol"
    __table_args__ = (UniqueConstraint("study_id", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    version: Mapped[int]
    document: Mapped[dict[str, Any]]
    sha256: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[str]


class Report(Base):
    """A report as it was made. Triggers in both databases refuse every change.

    `manifest`: canonical JSON of all that the report is (see `studies.registry.reports`), `sha256` its hash, the
    report's own, which signatures name. Both are empty for reports that were made before there were manifests.
    """

    __tablename__ = "report"
    __table_args__ = (UniqueConstraint("study_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    number: Mapped[int]
    kind: Mapped[str]
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("analysis_plan.id"))
    files: Mapped[list[Any]]
    results_sha256: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    manifest: Mapped[str] = mapped_column(Text, default="", server_default="")
    sha256: Mapped[str] = mapped_column(default="", server_default="")


class FrozenInputs(Base):
    """What a report was computed from, de-identified, as files in the report's folder; see `studies.frozen`.

    `sha256` is that of all files together. `removed_at`: they were removed, since somebody in them was erased.
    """

    __tablename__ = "frozen_inputs"

    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"), primary_key=True, autoincrement=False)
    sha256: Mapped[str]
    subjects: Mapped[int]
    removed_at: Mapped[datetime | None]
    removed_because: Mapped[str | None]


class SignerKey(Base):
    """The public key of a person who signs.

    `public_key`: the 32 bytes of Ed25519, in hex; `fingerprint`: their SHA-256, in hex.
    """

    __tablename__ = "signer_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    fingerprint: Mapped[str] = mapped_column(unique=True)
    public_key: Mapped[str]
    registered_at: Mapped[datetime]
    registered_by: Mapped[str]
    revoked_at: Mapped[datetime | None]
    revoked_because: Mapped[str | None]


class Signature(Base):
    """One signature of a report. Triggers in both databases refuse every change.

    `statement`: the canonical JSON that was signed; it names the report's hash. `value`: the signature, in hex.
    `sheet`: name and SHA-256 of the signature sheets that were written with it.
    """

    __tablename__ = "signature"
    __table_args__ = (UniqueConstraint("report_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"))
    number: Mapped[int]
    statement: Mapped[str] = mapped_column(Text)
    algorithm: Mapped[str]
    value: Mapped[str]
    key_id: Mapped[int | None] = mapped_column(ForeignKey("signer_key.id"))
    sheet: Mapped[list[Any]]
    signed_at: Mapped[datetime]
    signed_by: Mapped[str]


class AuditEvent(Base):
    """One link of the audit trail; see `studies.registry.audit`. Never changed, never deleted.

    `personal_hash`: of an event that tells of a person, the commitment to what `AuditPersonal` says; else null.
    """

    __tablename__ = "audit_event"
    __table_args__ = (Index("ix_audit_event_entity", "entity", "entity_key"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str]
    actor: Mapped[str]
    action: Mapped[str]
    study: Mapped[str | None]
    entity: Mapped[str]
    entity_key: Mapped[str]
    detail: Mapped[str] = mapped_column(Text)
    previous_hash: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    personal_hash: Mapped[str | None]


class AuditPersonal(Base):
    """Key and detail of an event that tells of a person. Can be erased, and not be changed otherwise."""

    __tablename__ = "audit_personal"
    __table_args__ = (Index("ix_audit_personal_subject", "study", "subject"),)

    event_id: Mapped[int] = mapped_column(ForeignKey("audit_event.id"), primary_key=True, autoincrement=False)
    study: Mapped[str | None]
    subject: Mapped[str | None]
    salt: Mapped[str | None]
    content: Mapped[str | None] = mapped_column(Text)


class RegistryIdentity(Base):
    """Which registry this is: one row. The workspace folder notes the same, so that a mix-up of two is noticed."""

    __tablename__ = "registry_identity"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]


class Erasure(Base):
    """What stays of a person who was erased: that it happened, and a keyed hash by which an ingest knows them again.

    `number` counts the erasures of a study. `fingerprint`: see `studies.registry.erasures`; null once they may come
    back. `counts`: how many rows and files of which kind went.
    """

    __tablename__ = "erasure"
    __table_args__ = (UniqueConstraint("study_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    number: Mapped[int]
    fingerprint: Mapped[str | None]
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    analysed: Mapped[bool]
    erased_at: Mapped[datetime]
    erased_by: Mapped[str]
    reason: Mapped[str]
