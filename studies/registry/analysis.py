"""The analysis of a registered study: its newest plan, carried out on its measurements."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, func, select

from studies.analysis import StudyAnalysis, analyze
from studies.plan_model import Plan
from studies.progress import Progress
from studies.registry.cards import run_cards
from studies.registry.catalogue import StudyRecord, current_plan, find_study, plan_versions
from studies.registry.erasures import erasure_notes
from studies.registry.frames import StudyFrames, finished_run, study_frames
from studies.registry.leakage import mark_trained, run_leak_notes
from studies.registry.outcomes import outcome_notes
from studies.registry.protocols import current_protocol
from studies.registry.provenance import study_provenance
from studies.registry.runs import checkpoints_of, find_run
from studies.registry.scans import scans_hash, study_scans
from studies.registry.schema import IngestBatch
from studies.registry.workspace import Registry


def analyze_study(
    registry: Registry,
    name: str,
    *,
    index: str | None = None,
    run: int | None = None,
    empty: bool = False,
    progress: Progress | None = None,
) -> StudyAnalysis:
    """Read a study and analyse it, by default with the predictions of its newest finished run.

    Raises UsageError for an unknown study or run, DataError where nothing can be paired, unless `empty`.
    """
    inputs = study_inputs(registry, name, index=index, run=run, progress=progress)
    return analyze(**inputs, empty=empty, progress=progress)


def study_inputs(
    registry: Registry, name: str, *, index: str | None = None, run: int | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """All that an analysis of a study is made of: the arguments of `studies.analysis.analyze`.

    Together with the version of Calliper they decide every byte of the results.
    """
    with registry.reading() as connection:
        study = find_study(connection, name)
        record = current_plan(connection, study.id)
        newest = finished_run(connection, study.id)
        number = newest if run is None else find_run(connection, study.id, run).number
        frames = study_frames(connection, study.id, run_number=number, progress=progress)
        scans = study_scans(connection, study.id, record.plan.measurand, number)
        notes = study_provenance(connection, study.id) + erasure_notes(connection, study.id)
        subjects = frames.subjects
        if number is not None and (predicted := _predicted(frames, record.plan, index)):
            left_out = record.plan.leaves_out_trained
            notes += run_leak_notes(connection, study, predicted, run_number=number, left_out=left_out)
            subjects = mark_trained(connection, study, record.plan, subjects, [number])
        if number is not None:
            notes += outcome_notes(connection, study.id, run_number=number)
        return {
            "study": {"name": study.name, "title": study.title, "notes": notes},
            "plan": record.plan,
            "plan_status": _plan_status(connection, study.id),
            "subjects": subjects,
            "visits": frames.visits,
            "measurements": frames.measurements,
            "data_hash": frames.sha256,
            "index": index,
            "scans": scans,
            "scans_hash": scans_hash(scans),
            "run": None if number is None else _run(connection, study, number, newest),
            "protocol": current_protocol(connection, study.id),
        }


def _run(connection: Connection, study: StudyRecord, number: int, newest: int | None) -> dict[str, Any]:
    found = find_run(connection, study.id, number)
    used = {row["kind"]: f"{row['name']}@{row['version']}" for row in checkpoints_of(connection, found.id)}
    return {"number": number, "newest": newest, "checkpoints": used, "cards": run_cards(connection, study, found.id)}


def _plan_status(connection: Connection, study_id: int) -> dict[str, Any]:
    """Version, hash and lock of the newest plan, how it came to be, and whether data were in before it was locked."""
    versions = plan_versions(connection, study_id)
    newest = versions[-1]
    first = connection.execute(
        select(func.min(IngestBatch.finished_at)).where(IngestBatch.study_id == study_id)
    ).scalar_one()
    amendments = [
        {"version": item.version, "reason": item.reason.rstrip("."), "replaced_locked": before.locked}
        for before, item in pairwise(versions)
    ]
    late = newest.locked_at is not None and first is not None and newest.locked_at > first
    return {
        "version": newest.version, "hash": newest.sha256, "locked": newest.locked, "amendments": amendments,
        "locked_after_data": late,
    }  # fmt: skip


def _predicted(frames: StudyFrames, plan: Plan, index: str | None) -> set[str]:
    """The subjects for whom a run predicted what the plan measures, if any of its methods are predictions."""
    table = frames.measurements
    tests = {*plan.tests, *([index] if index else [])}
    mine = table["kind"].eq("prediction") & table["measurand"].eq(plan.measurand) & table["method"].isin(tests)
    return set(table.loc[mine, "subject_id"])
