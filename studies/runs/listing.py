"""What the registry knows of a study's runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from studies.registry.catalogue import StudyRecord
from studies.registry.claims import abandoned
from studies.registry.outcomes import outcome_counts
from studies.registry.runs import checkpoints_of, find_run
from studies.registry.schema import Run
from studies.registry.workspace import Registry

__all__ = ["checkpoints_of", "find_run", "is_worked_on", "list_runs", "run_folder"]


def run_folder(registry: Registry, study: str, number: int) -> Path:
    """The folder that a process has while it works on a run."""
    return registry.folder / "runs" / f"{study}-{number}.partial"


def is_worked_on(registry: Registry, study: str, number: int) -> bool:
    """Whether a process works on the run just now."""
    folder = run_folder(registry, study, number)
    return folder.is_dir() and not abandoned(folder)


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
