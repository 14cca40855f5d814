"""Reports that the registry keeps: numbered, with the hashes of their files, never overwritten."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

from sqlalchemy import func, insert, select

from reports.kinds import Made
from reports.results import results_json
from reports.writing import write_made
from studies.registry import audit
from studies.registry.catalogue import find_study, plan_versions
from studies.registry.claims import abandoned, claim, remove_unnamed
from studies.registry.schema import Report
from studies.registry.workspace import Registry

MAKING = ".making-"
"""How the folder of a report begins until the report has its number."""


def register_report(registry: Registry, study_name: str, made: Made, *, formats: Sequence[str]) -> dict[str, Path]:
    """Write a report under the study's next number and register it. Returns format -> path.

    The files come to be in a folder of their own that gets its number when the report is registered: a report is there
    whole and registered, or not at all.
    """
    _sweep(registry)
    with claim(registry.reports / f"{MAKING}{secrets.token_hex(8)}") as making:
        try:
            created = audit.utc_now().replace(microsecond=0, tzinfo=UTC)
            files = write_made(made, making, tuple(formats), created=created)
            with registry.writing() as connection:
                study = find_study(connection, study_name)
                last = select(func.coalesce(func.max(Report.number), 0)).where(Report.study_id == study.id)
                number = connection.execute(last).scalar_one() + 1
                folder = registry.reports / f"{study_name}-{number}"
                listed = [
                    {"format": kind, "name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
                    for kind, path in files.items()
                ]
                results_hash = hashlib.sha256(results_json(made.results)).hexdigest()
                plans = [plan.id for plan in plan_versions(connection, study.id) if plan.version == made.plan_version]
                connection.execute(
                    insert(Report).values(
                        study_id=study.id, number=number, kind=made.kind, plan_id=plans[0] if plans else None,
                        files=listed,
                        results_sha256=results_hash, created_at=audit.utc_now(), created_by=audit.current_actor(),
                    )
                )  # fmt: skip
                detail = {"number": number, "kind": made.kind, "files": listed, "results_sha256": results_hash}
                audit.append(
                    connection, [audit.Event("report", "report", f"{study_name}/{number}", detail, study_name)]
                )
                if folder.exists():  # left by a process that died between writing and registering
                    shutil.rmtree(folder)
                os.replace(making, folder)
            return {kind: folder / path.name for kind, path in files.items()}
        finally:
            shutil.rmtree(making, ignore_errors=True)


def _sweep(registry: Registry) -> None:
    """Remove what reports left that were killed or failed in the making."""
    for folder in registry.reports.glob(f"{MAKING}*"):
        if abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    remove_unnamed(registry.reports)
