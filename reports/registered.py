"""Reports that the registry keeps: numbered, with the hashes of their files, never overwritten."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

from sqlalchemy import func, insert, select

from reports.results import results_json
from reports.validation_report import write_report
from studies.analysis import StudyAnalysis
from studies.registry import audit
from studies.registry.catalogue import find_study, plan_versions
from studies.registry.schema import Report
from studies.registry.workspace import Registry


def register_report(
    registry: Registry, study_name: str, analysis: StudyAnalysis, *, formats: Sequence[str]
) -> dict[str, Path]:
    """Write a validation report under the study's next number and register it. Returns format -> path.

    The files come to be in a folder of their own that gets its number when the report is registered: a report is there
    whole and registered, or not at all.
    """
    making = registry.reports / f".making-{os.getpid()}"
    shutil.rmtree(making, ignore_errors=True)
    try:
        created = audit.utc_now().replace(microsecond=0, tzinfo=UTC)
        files = write_report(analysis, making, formats=tuple(formats), created=created)
        with registry.writing() as connection:
            study = find_study(connection, study_name)
            last = select(func.coalesce(func.max(Report.number), 0)).where(Report.study_id == study.id)
            number = connection.execute(last).scalar_one() + 1
            folder = registry.reports / f"{study_name}-{number}"
            listed = [
                {"format": kind, "name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
                for kind, path in files.items()
            ]
            results_hash = hashlib.sha256(results_json(analysis.results)).hexdigest()
            version = analysis.results["plan"]["version"]
            plan = next(plan for plan in plan_versions(connection, study.id) if plan.version == version)
            connection.execute(
                insert(Report).values(
                    study_id=study.id, number=number, kind="validation", plan_id=plan.id, files=listed,
                    results_sha256=results_hash, created_at=audit.utc_now(), created_by=audit.current_actor(),
                )
            )  # fmt: skip
            detail = {"number": number, "kind": "validation", "files": listed, "results_sha256": results_hash}
            audit.append(connection, [audit.Event("report", "report", f"{study_name}/{number}", detail, study_name)])
            if folder.exists():  # left by a process that died between writing and registering
                shutil.rmtree(folder)
            os.replace(making, folder)
        return {kind: folder / path.name for kind, path in files.items()}
    finally:
        shutil.rmtree(making, ignore_errors=True)
