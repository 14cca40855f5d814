"""The analysis of a registered study: its newest plan, carried out on its measurements."""

from __future__ import annotations

from studies.analysis import StudyAnalysis, analyze
from studies.plan_model import Plan
from studies.progress import Progress
from studies.registry.catalogue import current_plan, find_study
from studies.registry.frames import StudyFrames, study_frames
from studies.registry.leakage import run_leak_notes
from studies.registry.outcomes import outcome_notes
from studies.registry.provenance import study_provenance
from studies.registry.workspace import Registry


def analyze_study(
    registry: Registry, name: str, *, index: str | None = None, progress: Progress | None = None
) -> StudyAnalysis:
    """Read a study and analyse it. Raises UsageError for an unknown study, DataError where nothing can be paired."""
    with registry.reading() as connection:
        study = find_study(connection, name)
        record = current_plan(connection, study.id)
        frames = study_frames(connection, study.id, progress=progress)
        notes = study_provenance(connection, study.id)
        if predicted := _predicted(frames, record.plan, index):
            notes += run_leak_notes(connection, study, predicted)
            notes += outcome_notes(connection, study.id)
    return analyze(
        study={"name": study.name, "title": study.title, "notes": notes},
        plan=record.plan,
        plan_status={"version": record.version, "hash": record.sha256, "locked": record.locked},
        subjects=frames.subjects,
        visits=frames.visits,
        measurements=frames.measurements,
        data_hash=frames.sha256,
        index=index,
        progress=progress,
    )


def _predicted(frames: StudyFrames, plan: Plan, index: str | None) -> set[str]:
    """The subjects for whom a run predicted what the plan measures, if any of its methods are predictions."""
    table = frames.measurements
    tests = {*plan.tests, *([index] if index else [])}
    mine = table["kind"].eq("prediction") & table["measurand"].eq(plan.measurand) & table["method"].isin(tests)
    return set(table.loc[mine, "subject_id"])
