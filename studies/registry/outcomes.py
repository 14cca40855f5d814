"""What became of a study's scans in a run, in numbers: so that no scan is left out of an analysis without a word."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from studies.registry.frames import finished_run
from studies.registry.schema import OUTCOMES, Outcome, Run

_SHOWN = 3


def outcome_counts(connection: Connection, run_id: int) -> dict[str, int]:
    """Scans of a run by status, every status named."""
    query = select(Outcome.status, func.count()).where(Outcome.run_id == run_id).group_by(Outcome.status)
    found = dict(connection.execute(query).all())
    return {status: found.get(status, 0) for status in OUTCOMES}


def outcome_reasons(connection: Connection, run_id: int) -> list[dict[str, Any]]:
    """Why scans of a run have no prediction: status, reason and number, the most frequent first."""
    query = (
        select(Outcome.status, Outcome.reason, func.count().label("n"))
        .where(Outcome.run_id == run_id, Outcome.status != "determinate")
        .group_by(Outcome.status, Outcome.reason)
        .order_by(func.count().desc(), Outcome.status, Outcome.reason)
    )
    return [{"status": row.status, "reason": row.reason, "n": row.n} for row in connection.execute(query)]


def outcome_notes(connection: Connection, study_id: int, *, run_number: int | None = None) -> list[str]:
    """The sentence on the scans without a prediction, by default of the run that `study_frames` reads by default."""
    number = finished_run(connection, study_id) if run_number is None else run_number
    if number is None:
        return []
    run_id = connection.execute(select(Run.id).where(Run.study_id == study_id, Run.number == number)).scalar_one()
    counts = outcome_counts(connection, run_id)
    if not counts["indeterminate"] and not counts["unreachable"]:
        return []
    why = outcome_reasons(connection, run_id)
    listed = "; ".join(f"{row['n']:,} {row['status']}: {row['reason']}" for row in why[:_SHOWN])
    more = f"; and {len(why) - _SHOWN} more reasons" if len(why) > _SHOWN else ""
    missing = counts["indeterminate"] + counts["unreachable"]
    return [f"Run {number} has no prediction for {missing:,} of {sum(counts.values()):,} scans ({listed}{more})."]
