"""Reports that the registry keeps: numbered, with the hashes of their files, never overwritten."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select

from reports.files import write_atomically
from reports.kinds import Made
from reports.recomputing import recomputable
from reports.results import results_json
from reports.writing import write_made
from studies.deidentified import deidentified
from studies.errors import StorageError
from studies.frozen import freeze, hash_of, zip_of
from studies.registry import audit
from studies.registry.analysis import study_inputs
from studies.registry.catalogue import StudyRecord, find_study, plan_versions
from studies.registry.claims import abandoned, claim, remove_unnamed
from studies.registry.erasures import erasure_count
from studies.registry.reports import (
    INPUTS,
    MANIFEST_FORMAT,
    canonical,
    report_event,
    sha256_of,
    software_versions,
)
from studies.registry.schema import FrozenInputs, Report
from studies.registry.workspace import Registry

_UNREAL = re.compile(r"\b(synthetic|rendered)\b", re.IGNORECASE)
"""In a note that every page must carry."""
MAKING = ".making-"
"""How the folder of a report begins until the report has its number."""


def register_report(registry: Registry, study_name: str, made: Made, *, formats: Sequence[str]) -> dict[str, Path]:
    """Write a report under the study's next number and register it. Returns format -> path.

    The files come to be in a folder of their own that gets its number when the report is registered: a report is there
    whole and registered, or not at all. With them is kept, de-identified, what the results were computed from. Raises
    `StorageError` where the data of an analysis changed, or somebody was erased, since the results were computed.
    """
    _sweep(registry)
    with claim(registry.reports / f"{MAKING}{secrets.token_hex(8)}") as making:
        try:
            created = audit.utc_now().replace(microsecond=0, tzinfo=UTC)
            files = write_made(made, making, tuple(formats), created=created)
            inputs, subjects = _frozen(registry, study_name, made)
            if inputs:
                write_atomically(making / INPUTS, zip_of(inputs))
            listed = [_listed(kind, path) for kind, path in files.items()]
            with registry.writing() as connection:
                study = find_study(connection, study_name)
                if made.kept is not None and made.kept.erasures != erasure_count(connection, study_name):
                    raise _outdated(study_name)
                last = select(func.coalesce(func.max(Report.number), 0)).where(Report.study_id == study.id)
                number = connection.execute(last).scalar_one() + 1
                manifest = _manifest(study, number, made, listed, inputs)
                key = _insert(connection, study, manifest, made.plan_version)
                if inputs:
                    frozen = {"report_id": key, "sha256": manifest["inputs_sha256"], "subjects": subjects}
                    connection.execute(insert(FrozenInputs).values(**frozen))
                folder = registry.reports / f"{study_name}-{number}"
                if folder.exists():  # left by a process that died between writing and registering
                    shutil.rmtree(folder)
                os.replace(making, folder)
            return {kind: folder / path.name for kind, path in files.items()}
        finally:
            shutil.rmtree(making, ignore_errors=True)


def _listed(kind: str, path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {
        "format": kind, "name": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)
    }  # fmt: skip


def _frozen(registry: Registry, study: str, made: Made) -> tuple[dict[str, bytes], int]:
    """The files of the frozen inputs, and how many subjects are in them; nothing for a kind that keeps none."""
    if not recomputable(made.kind):
        return {}, 0
    if made.kept is not None:
        kept = made.kept.inputs()
        return freeze(kept), len(kept.get("subjects", ()))
    results = made.results
    run = (results.get("run") or {}).get("number")
    inputs = study_inputs(registry, study, index=made.index, run=run)
    used = (results["plan"]["hash"], results["data"]["hash"], results["data"].get("scans_hash"))
    if used != (inputs["plan_status"]["hash"], inputs["data_hash"], inputs["scans_hash"]):
        raise _outdated(study)
    return freeze(deidentified(inputs)), len(inputs["subjects"])


def _outdated(study: str) -> StorageError:
    return StorageError(
        "The study's data or plan changed while the report was made.",
        where=f"study '{study}'", remedy="Nothing was registered. Make the report again.",
    )  # fmt: skip


def _manifest(
    study: StudyRecord, number: int, made: Made, files: list[dict[str, Any]], inputs: Mapping[str, bytes]
) -> dict[str, Any]:
    """All that the report is."""
    results = made.results
    data, plan, run = (results.get(part) or {} for part in ("data", "plan", "run"))
    return {
        "calliper_report": MANIFEST_FORMAT,
        "study": study.name,
        "title": study.title,
        "number": number,
        "kind": made.kind,
        "plan": {"version": made.plan_version, "sha256": plan.get("hash"), "locked": plan.get("locked")},
        "index": made.index,
        "data": {key: value for key, value in data.items() if isinstance(value, str | int)},
        "run": {key: run[key] for key in ("number", "checkpoints") if key in run} or None,
        "caution": next((note for note in results.get("notes") or [] if _UNREAL.search(note)), ""),
        "software": software_versions(),
        "files": files,
        "results_sha256": sha256_of(results_json(results)),
        "inputs_sha256": hash_of(inputs) if inputs else None,
        "made_at": audit.utc_now().isoformat(timespec="microseconds"),
        "made_by": audit.current_actor(),
    }


def _insert(connection: Connection, study: StudyRecord, manifest: dict[str, Any], plan_version: int | None) -> int:
    """Register the report, with its event in the trail. Returns the row's key."""
    text = canonical(manifest)
    plans = [plan.id for plan in plan_versions(connection, study.id) if plan.version == plan_version]
    number = manifest["number"]
    row = insert(Report).values(
        study_id=study.id, number=number, kind=manifest["kind"], plan_id=plans[0] if plans else None,
        files=manifest["files"], results_sha256=manifest["results_sha256"], created_at=audit.utc_now(),
        created_by=manifest["made_by"], manifest=text, sha256=sha256_of(text),
    )  # fmt: skip
    key = connection.execute(row.returning(Report.id)).scalar_one()
    event = report_event(f"{study.name}/{number}", study.name, manifest, sha256_of(text))
    audit.append(connection, [event])
    return key


def _sweep(registry: Registry) -> None:
    """Remove what reports left that were killed or failed in the making."""
    for folder in registry.reports.glob(f"{MAKING}*"):
        if abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    remove_unnamed(registry.reports)
