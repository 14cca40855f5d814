"""The report on drift: from ingest to ingest, does anything move, and for whom?"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from reports.document import Document, Facts
from reports.kinds import Made, Order
from reports.sections.common import bound, document
from reports.sections.drift import drift_sections
from reports.wording import method_label, sentence
from studies.measurands import MEASURANDS

if TYPE_CHECKING:
    from studies.progress import Progress
    from studies.registry.workspace import Registry


def build(registry: Registry, order: Order, progress: Progress) -> Made:
    """The drift report of a registered study, by the predictions of a run (by default the newest finished one)."""
    from studies.analysis import calliper_version
    from studies.errors import PlanError
    from studies.frames import canonical
    from studies.monitoring import drift
    from studies.registry.catalogue import current_plan, find_study
    from studies.registry.frames import finished_run, study_frames
    from studies.registry.monitoring import ingest_batches, reading_batches, scan_batches
    from studies.registry.provenance import study_provenance
    from studies.registry.runs import find_run

    with registry.reading() as connection:
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
        batches = ingest_batches(connection, study.id)
        notes = study_provenance(connection, study.id)
    places = readings if len(readings) else scans[["subject_id", "visit", "batch"]]
    with progress.stage("Charting"):
        frames = canonical(found.subjects, found.visits, found.measurements)
        content = drift(frames, plan, index, places.dropna(subset="batch"), scans, batches)
    measurand = MEASURANDS[plan.measurand]
    results: dict[str, Any] = {
        "calliper": calliper_version(),
        "study": {"name": study.name, "title": study.title},
        "plan": {
            "version": record.version, "hash": record.sha256, "locked": record.locked,
            "document": {"minimum_cell": plan.minimum_cell},
        },
        "data": {"hash": found.sha256},
        "run": None if number is None else {"number": number},
        "measurand": {"name": measurand.name, "label": measurand.label, "unit": measurand.unit},
        "reference": plan.reference,
        "index": index,
        **content,
        "notes": notes,
    }  # fmt: skip
    return Made(
        "drift", results, lambda created: drift_document(results, created=created), plan_version=record.version,
        index=order.index,
    )  # fmt: skip


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
