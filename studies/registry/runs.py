"""The rows of a study's runs, and of the checkpoints that they used."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from studies.errors import UsageError
from studies.registry.schema import Checkpoint, Run, RunCheckpoint


def checkpoints_of(connection: Connection, run_id: int) -> list[dict[str, Any]]:
    """The checkpoints of a run: kind, name, version, card."""
    query = (
        select(Checkpoint.kind, Checkpoint.name, Checkpoint.version, Checkpoint.card)
        .join(RunCheckpoint, RunCheckpoint.checkpoint_id == Checkpoint.id)
        .where(RunCheckpoint.run_id == run_id)
        .order_by(Checkpoint.kind, Checkpoint.name)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


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
