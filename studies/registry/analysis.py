"""The analysis of a registered study: its newest plan, carried out on its measurements."""

from __future__ import annotations

from studies.analysis import StudyAnalysis, analyze
from studies.progress import Progress
from studies.registry.catalogue import current_plan, find_study
from studies.registry.frames import StudyFrames, study_frames
from studies.registry.workspace import Registry


def analyze_study(
    registry: Registry, name: str, *, index: str | None = None, progress: Progress | None = None
) -> StudyAnalysis:
    """Read a study and analyse it. Raises UsageError for an unknown study, DataError where nothing can be paired."""
    with registry.reading() as connection:
        study = find_study(connection, name)
        record = current_plan(connection, study.id)
        frames = study_frames(connection, study.id, progress=progress)
    return analyze(
        study={"name": study.name, "title": study.title, "notes": _provenance_notes(frames)},
        plan=record.plan,
        plan_status={"version": record.version, "hash": record.sha256, "locked": record.locked},
        subjects=frames.subjects,
        visits=frames.visits,
        measurements=frames.measurements,
        data_hash=frames.sha256,
        index=index,
        progress=progress,
    )


def _provenance_notes(frames: StudyFrames) -> list[str]:
    """What every reader must be told first: that people are synthetic."""
    marks = frames.subjects.get("synthetic")
    synthetic = 0 if marks is None else int(marks.astype("str").str.lower().isin(["yes", "true", "1"]).sum())
    if not synthetic:
        return []
    who = "All" if synthetic == len(frames.subjects) else f"{synthetic:,} of {len(frames.subjects):,}"
    return [
        f"{who} subjects of this study are synthetic: no real person was measured, and no clinical claim rests on it."
    ]
