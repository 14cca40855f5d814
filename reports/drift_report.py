"""The report on drift: from ingest to ingest, does anything move, and for whom?"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from reports.document import Document, Facts
from reports.kinds import Kept, Made, Order
from reports.sections.common import bound, document
from reports.sections.drift import drift_sections
from reports.wording import method_label, sentence
from studies.measurands import MEASURANDS
from studies.progress import NoProgress

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from studies.progress import Progress
    from studies.registry.workspace import Registry


def build(registry: Registry, order: Order, progress: Progress) -> Made:
    """The drift report of a registered study, by the predictions of a run (by default the newest finished one)."""
    from studies.deidentified import deidentified
    from studies.registry.erasures import erasure_count

    with registry.reading() as connection:
        inputs = _inputs(connection, order, progress)
        erasures = erasure_count(connection, order.study)
    results = drift_results(inputs, progress)
    return Made(
        "drift", results, lambda created: drift_document(results, created=created),
        plan_version=inputs["plan_status"]["version"], index=order.index,
        kept=Kept(lambda: deidentified(inputs), erasures),
    )  # fmt: skip


def _inputs(connection: Connection, order: Order, progress: Progress) -> dict[str, Any]:
    """All that the results are made of. Tables: those of a study; places and scans as `studies.monitoring.drift` has
    them."""
    from studies.errors import PlanError
    from studies.registry.catalogue import current_plan, find_study
    from studies.registry.frames import finished_run, study_frames
    from studies.registry.leakage import mark_trained
    from studies.registry.monitoring import ingest_batches, reading_batches, scan_batches
    from studies.registry.provenance import study_provenance
    from studies.registry.runs import find_run

    study = find_study(connection, order.study)
    record = current_plan(connection, study.id)
    plan, index = record.plan, order.index or record.plan.index
    if index == plan.reference:
        raise PlanError(f"'{index}' is the reference standard and cannot be the index test.")
    newest = finished_run(connection, study.id)
    number = newest if order.run is None else find_run(connection, study.id, order.run).number
    found = study_frames(connection, study.id, run_number=number, progress=progress)
    scans = scan_batches(connection, study.id, number)
    readings = reading_batches(connection, study.id, plan.measurand, index)
    subjects = found.subjects
    if (
        number is not None
        and (found.measurements["kind"].eq("prediction") & found.measurements["method"].eq(index)).any()
    ):
        subjects = mark_trained(connection, study, plan, subjects, [number])
    places = readings if len(readings) else scans[["subject_id", "visit", "batch"]]
    return {
        "study": {"name": study.name, "title": study.title},
        "plan": plan,
        "plan_status": {"version": record.version, "hash": record.sha256, "locked": record.locked},
        "subjects": subjects,
        "visits": found.visits,
        "measurements": found.measurements,
        "data_hash": found.sha256,
        "index": index,
        "places": places.dropna(subset="batch"),
        "scans": scans,
        "batches": ingest_batches(connection, study.id),
        "run": None if number is None else {"number": number},
        "notes": study_provenance(connection, study.id),
    }


def drift_results(inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """The results of a drift report, from its inputs; the same whatever the names of the people."""
    from studies.analysis import calliper_version
    from studies.frames import canonical
    from studies.monitoring import drift
    from studies.nameless import without_names

    plan, index = inputs["plan"], inputs["index"]
    with (progress or NoProgress()).stage("Charting"):
        frames = canonical(inputs["subjects"], inputs["visits"], inputs["measurements"])
        frames, names = without_names(frames, plan.attributes)
        places, scans = names.take_away(inputs["places"]), names.take_away(inputs["scans"])
        content = drift(frames, plan, index, places, scans, inputs["batches"])
    measurand = MEASURANDS[plan.measurand]
    return {
        "calliper": calliper_version(),
        "study": inputs["study"],
        "plan": {**inputs["plan_status"], "document": {"minimum_cell": plan.minimum_cell}},
        "data": {"hash": inputs["data_hash"]},
        "run": inputs["run"],
        "measurand": {"name": measurand.name, "label": measurand.label, "unit": measurand.unit},
        "reference": plan.reference,
        "index": index,
        **content,
        "notes": inputs["notes"],
    }  # fmt: skip


def drift_document(results: dict[str, Any], *, created: dt.datetime | None = None) -> Document:
    """The drift report as a document."""
    report = bound(results)
    run = results["run"]
    facts = Facts(
        (
            ("Study", results["study"]["name"]),
            ("Measurand", f"{sentence(report.measurand)}, {method_label(report.index)} against {report.reference}"),
            ("Run", str(run["number"]) if run else "none"),
            (
                "Analysis plan",
                f"Version {results['plan']['version']}, {'' if results['plan']['locked'] else 'not '}locked",
            ),
        )
    )
    subtitle = "What moves from ingest to ingest, and for whom"
    return document(report, "Drift report", subtitle, drift_sections(report), facts=facts, created=created)
