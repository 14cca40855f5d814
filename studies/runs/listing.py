"""What the registry knows of a study's runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from studies.errors import UsageError
from studies.registry.catalogue import StudyRecord
from studies.registry.claims import abandoned
from studies.registry.outcomes import outcome_counts
from studies.registry.schema import Checkpoint, Run, RunCheckpoint
from studies.registry.workspace import Registry


def run_folder(registry: Registry, study: str, number: int) -> Path:
    """The folder that a process has while it works on a run."""
    return registry.folder / "runs" / f"{study}-{number}.partial"


def is_worked_on(registry: Registry, study: str, number: int) -> bool:
    """Whether a process works on the run just now."""
    folder = run_folder(registry, study, number)
    return folder.is_dir() and not abandoned(folder)


def checkpoints_of(connection: Connection, run_id: int) -> list[dict[str, Any]]:
    """The checkpoints of a run: kind, name, version, card."""
    query = (
        select(Checkpoint.kind, Checkpoint.name, Checkpoint.version, Checkpoint.card)
        .join(RunCheckpoint, RunCheckpoint.checkpoint_id == Checkpoint.id)
        .where(RunCheckpoint.run_id == run_id)
        .order_by(Checkpoint.kind, Checkpoint.name)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def list_runs(registry: Registry, connection: Connection, study: StudyRecord) -> list[dict[str, Any]]:
    """Every run of a study, oldest first. One whose process has ended before it had finished is interrupted."""
    listed = []
    for row in connection.execute(select(Run.__table__).where(Run.study_id == study.id).order_by(Run.number)):
        ended = row.status == "running" and not is_worked_on(registry, study.name, row.number)
        used = checkpoints_of(connection, row.id)
        listed.append(
            {
                "run": row.number,
                "checkpoints": ", ".join(f"{found['name']}@{found['version']}" for found in used),
                "status": "interrupted" if ended else row.status,
                "started": f"{row.started_at:%Y-%m-%d %H:%M}",
                "finished": f"{row.finished_at:%Y-%m-%d %H:%M}" if row.finished_at else None,
                **outcome_counts(connection, row.id),
            }
        )
    return listed


def find_run(connection: Connection, study_id: int, number: int) -> Any:
    """The row of a run. Raises UsageError, naming those that there are."""
    query = select(Run.__table__).where(Run.study_id == study_id, Run.number == number)
    found = connection.execute(query).one_or_none()
    if found is None:
        numbers = connection.execute(select(Run.number).where(Run.study_id == study_id).order_by(Run.number)).scalars()
        there = ", ".join(map(str, numbers))
        remedy = f"Its runs: {there}." if there else "Make one first: calliper run STUDY."
        raise UsageError(f"The study has no run {number}.", remedy=remedy)
    return found
