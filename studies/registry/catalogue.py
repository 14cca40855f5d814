"""Studies and the versions of their analysis plans."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from studies.errors import PlanError, UsageError
from studies.plan import Plan, plan_from_document, plan_hash
from studies.registry import audit
from studies.registry.provenance import count_rendered_scans, count_scans, count_synthetic_subjects
from studies.registry.schema import AnalysisPlan, IngestBatch, QuarantinedRow, Reading, Study, Subject, Visit
from studies.registry.workspace import Registry
from studies.suggestions import suggestion

_OUTCOMES = ("new", "changed", "rejected")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class StudyRecord:
    id: int
    name: str
    title: str


@dataclass(frozen=True)
class PlanRecord:
    """One version of a study's plan."""

    id: int
    version: int
    plan: Plan
    sha256: str
    reason: str
    created_at: datetime
    created_by: str
    locked_at: datetime | None
    locked_by: str | None

    @property
    def locked(self) -> bool:
        return self.locked_at is not None


def create_study(registry: Registry, name: str, plan: Plan, *, title: str | None = None) -> StudyRecord:
    """Register a study with the first version of its plan. Raises UsageError where the name is taken or no name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be the name of a study.",
            remedy="Use small letters, digits, dots, dashes and underscores, at most 64, beginning with a letter.",
        )
    with registry.writing() as connection:
        if _find(connection, name) is not None:
            raise UsageError(
                f"There is a study '{name}' already.", remedy="Choose another name, or ingest into that one."
            )
        now = audit.utc_now()
        key = connection.execute(
            insert(Study).values(name=name, title=title or plan.title, created_at=now).returning(Study.id)
        ).scalar_one()
        sha256 = _add_plan(connection, key, 1, plan, "first version", now)
        detail = {"title": title or plan.title, "plan_version": 1, "plan_sha256": sha256}
        audit.append(connection, [audit.Event("create", "study", name, detail, name)])
    return StudyRecord(key, name, title or plan.title)


def find_study(connection: Connection, name: str) -> StudyRecord:
    """The study of this name. Raises UsageError, with the near miss, where there is none."""
    found = _find(connection, name)
    if found is None:
        names = connection.execute(select(Study.name)).scalars().all()
        remedy = suggestion(name, names) if names else "Create it first: calliper study create NAME."
        raise UsageError(f"There is no study '{name}'.", remedy=remedy)
    return found


def _find(connection: Connection, name: str) -> StudyRecord | None:
    row = connection.execute(select(Study.id, Study.name, Study.title).where(Study.name == name)).one_or_none()
    return StudyRecord(*row) if row else None


def list_studies(connection: Connection) -> list[dict[str, Any]]:
    """Every study with its counts, by name."""
    studies = connection.execute(select(Study.id, Study.name, Study.title, Study.created_at).order_by(Study.name))
    listed = []
    for study in studies.all():
        visits = select(Visit.id).join(Subject).where(Subject.study_id == study.id)
        counts = {
            "subjects": select(func.count()).select_from(Subject).where(Subject.study_id == study.id),
            "synthetic_subjects": count_synthetic_subjects(study.id),
            "visits": select(func.count()).select_from(visits.subquery()),
            "readings": select(func.count()).select_from(Reading).where(Reading.visit_id.in_(visits)),
            "scans": count_scans(study.id),
            "rendered_scans": count_rendered_scans(study.id),
            "ingests": select(func.count()).select_from(IngestBatch).where(IngestBatch.study_id == study.id),
        }
        plan = current_plan(connection, study.id)
        listed.append(
            {
                "name": study.name,
                "title": study.title,
                **{name: connection.execute(query).scalar_one() for name, query in counts.items()},
                "plan_version": plan.version,
                "plan_locked": plan.locked,
            }
        )
    return listed


def plan_versions(connection: Connection, study_id: int) -> list[PlanRecord]:
    """All versions of a study's plan, oldest first."""
    rows = connection.execute(
        select(AnalysisPlan.__table__).where(AnalysisPlan.study_id == study_id).order_by(AnalysisPlan.version)
    )
    return [_plan_record(row) for row in rows]


def current_plan(connection: Connection, study_id: int) -> PlanRecord:
    """The newest version."""
    return plan_versions(connection, study_id)[-1]


def _plan_record(row: Any) -> PlanRecord:
    plan = plan_from_document(row.document)
    if plan_hash(plan) != row.sha256:
        raise PlanError(
            f"Version {row.version} of the plan is not what was registered: its hash differs.",
            remedy="Someone changed the database by hand. Restore a backup; the audit trail says what the hash was.",
        )
    return PlanRecord(
        row.id, row.version, plan, row.sha256, row.reason, row.created_at, row.created_by, row.locked_at, row.locked_by
    )


def _add_plan(connection: Connection, study_id: int, version: int, plan: Plan, reason: str, now: datetime) -> str:
    sha256 = plan_hash(plan)
    connection.execute(
        insert(AnalysisPlan).values(
            study_id=study_id, version=version, document=plan.document(), sha256=sha256, reason=reason,
            created_at=now, created_by=audit.current_actor(),
        )
    )  # fmt: skip
    return sha256


def lock_plan(registry: Registry, name: str) -> PlanRecord:
    """Freeze the newest version of the plan. Locking a locked plan changes nothing."""
    with registry.writing() as connection:
        study = find_study(connection, name)
        plan = current_plan(connection, study.id)
        if not plan.locked:
            now, actor = audit.utc_now(), audit.current_actor()
            connection.execute(
                update(AnalysisPlan).where(AnalysisPlan.id == plan.id).values(locked_at=now, locked_by=actor)
            )
            detail = {"version": plan.version, "sha256": plan.sha256}
            audit.append(connection, [audit.Event("lock", "analysis_plan", f"{name}@{plan.version}", detail, name)])
        return current_plan(connection, study.id)


def revise_plan(registry: Registry, name: str, plan: Plan, *, reason: str) -> PlanRecord:
    """Add a new, unlocked version of the plan. Raises PlanError without a reason or without a change."""
    if not reason.strip():
        raise PlanError("A changed plan needs a reason.", remedy="Give it with --reason.")
    with registry.writing() as connection:
        study = find_study(connection, name)
        last = current_plan(connection, study.id)
        if last.sha256 == plan_hash(plan):
            raise PlanError(f"This plan says the same as version {last.version}.", remedy="Nothing to do.")
        sha256 = _add_plan(connection, study.id, last.version + 1, plan, reason.strip(), audit.utc_now())
        detail = {
            "version": last.version + 1, "sha256": sha256, "replaces": last.version, "replaces_sha256": last.sha256,
            "replaced_was_locked": last.locked, "reason": reason.strip(),
        }  # fmt: skip
        audit.append(connection, [audit.Event("revise", "analysis_plan", f"{name}@{last.version + 1}", detail, name)])
        return current_plan(connection, study.id)


def describe_study(connection: Connection, name: str) -> dict[str, Any]:
    """One study: counts, ingests and versions of the plan."""
    study = find_study(connection, name)
    counts = next(entry for entry in list_studies(connection) if entry["name"] == name)
    quarantined = select(func.count()).select_from(QuarantinedRow).where(QuarantinedRow.study_id == study.id)
    batches = connection.execute(
        select(IngestBatch.__table__).where(IngestBatch.study_id == study.id).order_by(IngestBatch.number)
    )
    return {
        **counts,
        "quarantined": connection.execute(quarantined).scalar_one(),
        "ingests": [
            {
                "number": row.number, "finished": f"{row.finished_at:%Y-%m-%d %H:%M}", "actor": row.actor,
                "mapping": row.mapping_name, "status": row.status,
                **{f"{key} readings": row.counts.get("readings", {}).get(key) for key in _OUTCOMES},
            }
            for row in batches
        ],
        "plans": [
            {
                "version": plan.version, "created": f"{plan.created_at:%Y-%m-%d %H:%M}", "by": plan.created_by,
                "reason": plan.reason, "locked": plan.locked, "SHA-256": plan.sha256[:16],
            }
            for plan in plan_versions(connection, study.id)
        ],
    }  # fmt: skip
