"""The bundle of a report: all that is needed to check and recompute it elsewhere, de-identified, in one zip file.

It holds the report's manifest and files, its signatures, the frozen inputs and a codebook, the plan, the versions of
the software, a README and a script. The same report with the same signatures gives the same bytes. Before a bundle is
given out, its results are recomputed from it, and it is searched for identifiers.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from reports.files import write_atomically
from reports.recomputing import recomputable, recompute
from reports.signature_sheet import sheet_json
from reports.signing import Signed, check_all, file_faults, missing_signatures, sheets_of, signatures_of
from studies.deidentified import risk
from studies.errors import DataError, StorageError, UsageError
from studies.frozen import thaw, zip_of
from studies.progress import NoProgress, Progress
from studies.registry import audit
from studies.registry.reports import (
    InputsRecord,
    ReportRecord,
    find_report,
    inputs_record,
    manifest_fault,
    read_inputs,
    sha256_of,
    software_versions,
)
from studies.registry.schema import AuditEvent, Study, Subject
from studies.registry.workspace import Registry

FORMAT = 1
MANIFEST = "manifest.json"
INPUTS = "inputs/"
RESULTS = "results.json"
SCRIPT = "recompute"
_LEAST_IDENTIFIER = 4
"""Identifiers shorter than this are not searched for in texts: any number would be one."""


@dataclass(frozen=True)
class Bundled:
    """A bundle as it was written. `risk`: see `studies.deidentified.risk`. `remarks`: what its giver must know."""

    path: Path
    sha256: str
    files: int
    size: int
    risk: dict[str, Any]
    remarks: list[str]


def bundle_report(
    registry: Registry,
    report: str,
    out: Path,
    *,
    study: str | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> Bundled:
    """Write the bundle of a report (NUMBER or STUDY/NUMBER) to `out`, whole or not at all, and note it in the trail.

    strict: refuse a bundle in which groups of people are smaller than the plan's minimum cell. Raises `UsageError` for
    a kind of report that cannot be recomputed, `DataError` where it does not recompute, holds an identifier or, with
    `strict`, small groups, `StorageError` where the report is not as it was made or its inputs are gone.
    """
    progress = progress or NoProgress()
    with registry.reading() as connection:
        record = find_report(connection, report, study)
        signatures = signatures_of(connection, record)
        files = _report_files(registry, connection, record, signatures)
        inputs = _inputs(registry, connection, record)
        names = _identifiers(connection, record.study)
    remarks = _recomputes(record, inputs, progress)
    found = risk(thaw(inputs))
    remarks += risk_remarks(found)
    contents = _contents(record, signatures, files, inputs, found)
    leaked = identifier_in(contents, names)
    if leaked:
        raise DataError(
            f"The bundle of report {record.name} would hold an identifier of a subject, in {leaked}.",
            remedy="Take it out of the texts of the study, the plan or the protocol, and make the report anew.",
        )
    if strict and found["below_minimum"] and not _unreal(record):
        raise DataError(
            f"In the bundle of report {record.name}, {found['below_minimum']:,} subjects are in groups below the "
            f"plan's minimum cell of {found['minimum_cell']}.",
            remedy="Give it only to those who may see single people's data, without --strict.",
        )
    data = zip_of(contents, runnable=(SCRIPT,))
    digest = sha256_of(data)
    detail = {"bundle": digest, "bytes": len(data), "subjects": found["subjects"], "risk": found}
    _give_out(registry, out, data, audit.Event("export", "report", record.name, detail, record.study))
    return Bundled(out, digest, len(contents), len(data), found, remarks)


def _give_out(registry: Registry, out: Path, data: bytes, event: audit.Event) -> None:
    """Write the bundle, with its event. The file takes its name after the event is in the trail: a kill in between
    leaves an export too many in the trail, never one that the trail does not know."""
    staged = out.with_name(f".{out.name}.{secrets.token_hex(6)}.partial")
    try:
        write_atomically(staged, data)
        audit.record(registry, event)
        os.replace(staged, out)
    except OSError as error:
        raise StorageError(
            f"The bundle cannot be written: {error.strerror or error}.", where=str(out),
            remedy="Name a file that can be written with --out.",
        ) from error  # fmt: skip
    finally:
        staged.unlink(missing_ok=True)


def _report_files(
    registry: Registry, connection: Connection, record: ReportRecord, signatures: Sequence[Signed]
) -> dict[str, bytes]:
    """The files of the report and its newest signature sheets. Raises `StorageError` where something is amiss."""
    if not record.sha256:
        raise UsageError(
            f"Report {record.name} was made before reports had hashes of their own.",
            remedy=f"Make it anew with calliper report {record.study}.",
        )
    checks = check_all(signatures, record.sha256, registry)
    faults = [
        manifest_fault(connection, record), *file_faults(registry, record), *(check.fault for check in checks),
        *missing_signatures(connection, record, signatures),
    ]  # fmt: skip
    if told_faults := [fault for fault in faults if fault]:
        raise StorageError(
            f"Report {record.name} is not bundled: {told_faults[0]}", remedy="Restore the workspace from a backup."
        )
    folder = record.folder(registry)
    files = {item["name"]: (folder / item["name"]).read_bytes() for item in record.files}
    sheets = sheets_of(connection, record)
    for item in sheets[-1][1] if sheets else []:
        content = (folder / item["name"]).read_bytes()
        if sha256_of(content) != item["sha256"]:
            raise StorageError(
                f"Report {record.name} is not bundled: its signature sheet {item['name']} was changed.",
                remedy="Restore the workspace from a backup.",
            )
        files[f"signatures.{item['name'].rpartition('.')[2]}"] = content
    return files


def _inputs(registry: Registry, connection: Connection, record: ReportRecord) -> dict[str, bytes]:
    if not recomputable(record.kind):
        raise UsageError(
            f"Report {record.name} is a {record.kind} report, of a kind that keeps no inputs and has no bundle.",
            remedy="Its files stand for themselves, but can name scans and files: look before you give them away.",
        )
    known = inputs_record(connection, record)
    if known is None:
        raise StorageError(f"No inputs were kept for report {record.name}.", remedy="Make the report anew.")
    if known.removed_at is not None:
        raise StorageError(
            removal(connection, record, known), remedy="Make a new report of the data that are left, and bundle that."
        )
    return read_inputs(registry, record, known)


def removal(connection: Connection, record: ReportRecord, known: InputsRecord) -> str:
    """Why a report's inputs are gone, as the audit trail tells it."""
    query = (
        select(AuditEvent.id)
        .where(
            AuditEvent.action == "remove", AuditEvent.entity == "frozen_inputs", AuditEvent.entity_key == record.name
        )
        .limit(1)
    )
    event = connection.execute(query).scalar_one_or_none()
    where = f" (event {event} of the audit trail)" if event is not None else ""
    when = f"{known.removed_at:%Y-%m-%d}" if known.removed_at else "an unknown day"
    return (
        f"Report {record.name} cannot be recomputed any more: what it was computed from was removed on {when}, because "
        f"{known.removed_because}{where}."
    )


def _recomputes(record: ReportRecord, inputs: Mapping[str, bytes], progress: Progress) -> list[str]:
    """Try that the bundle does what it is for. Returns remarks where other software gives other bytes."""
    made = recompute(record.kind, inputs, progress=progress)
    if sha256_of(made) == record.results_sha256:
        return []
    software = software_changes(record.manifest["software"])
    if not software:
        raise DataError(
            f"Report {record.name} does not recompute from its frozen inputs with the software that made it.",
            remedy="This is a fault of Calliper or of this machine: please report it. Nothing was written.",
        )
    return [f"Not checked by recomputing: {software}. Whoever recomputes needs the versions that made the report."]


def software_changes(then: Mapping[str, str]) -> str:
    """How the software of now is not that of then, "numpy was 2.4.1 and is 2.4.2"; empty where it is the same."""
    now = software_versions()
    changes = [(name, then.get(name), now.get(name)) for name in dict.fromkeys([*then, *now])]
    return "; ".join(f"{name} was {old} and is {new}" for name, old, new in changes if old != new)


def risk_remarks(found: Mapping[str, Any]) -> list[str]:
    """What the giver of a bundle must know of its people, in sentences."""
    if not found["below_minimum"] and not found["aged_90_or_more"] and not found["rare"]:
        return []
    told_of = []
    if found["alone"] or found["below_minimum"]:
        told_of.append(
            f"{found['alone']:,} of {found['subjects']:,} subjects share their traits ({', '.join(found['traits'])}; "
            f"ages in bands of ten years) with nobody, and {found['below_minimum']:,} with fewer than "
            f"{found['minimum_cell']} in all"
        )
    told_of += [
        f"values of {item['trait']} that fewer than {found['minimum_cell']} have: {item['subjects']:,} subjects"
        for item in found["rare"]
    ]
    if found["aged_90_or_more"]:
        told_of.append(f"aged 90 or more: {found['aged_90_or_more']:,}")
    people = "; ".join(told_of)
    return [f"The bundle is de-identified, not anonymous: {people}. Give it only to those who may see such data."]


def _identifiers(connection: Connection, study: str) -> set[str]:
    codes = select(Subject.code).join(Study, Subject.study_id == Study.id).where(Study.name == study)
    return {code for code in connection.execute(codes).scalars() if len(code) >= _LEAST_IDENTIFIER}


def identifier_in(contents: Mapping[str, bytes], names: set[str]) -> str | None:
    """The first file in which a subject's identifier stands as a text of its own; None where there is none.

    Tables and JSON are searched by value, texts by word. A PDF holds what the HTML page of the same report says.
    """
    worded = {name for name in names if not name.isdigit()}
    for file, content in contents.items():
        if file.endswith(".json"):
            if any(text in names for text in _texts(json.loads(content))):
                return file
        elif file.endswith(".csv"):
            quoted = set(re.findall(r'"([^"\n]*)"', content.decode("utf-8", "replace")))
            if quoted & names:
                return file
        elif not file.endswith(".pdf"):
            words = set(re.findall(r"[^\s<>\"'(),;]+", content.decode("utf-8", "replace")))
            if words & worded:
                return file
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _unreal(record: ReportRecord) -> bool:
    return bool(re.match(r"all subjects of this study are synthetic", record.manifest.get("caution", ""), re.I))


# What is in it --------------------------------------------------------------------------------------------------------


def _contents(
    record: ReportRecord,
    signatures: Sequence[Signed],
    files: Mapping[str, bytes],
    inputs: Mapping[str, bytes],
    found: Mapping[str, Any],
) -> dict[str, bytes]:
    software = record.manifest["software"]
    plan = thaw(inputs).get("plan")
    parts: dict[str, bytes] = {
        "README.md": _readme(record, signatures, found).encode(),
        SCRIPT: _SCRIPT.encode(),
        **({"plan.yaml": plan.to_yaml().encode()} if plan else {}),
        "software.json": _json(software),
        "requirements.txt": _requirements(software).encode(),
        "disclosure.json": _json(dict(found)),
        **{f"{INPUTS}{name}": content for name, content in inputs.items()},
        **dict(files),
    }
    if signatures and "signatures.json" not in parts:
        parts["signatures.json"] = sheet_json(record, signatures)
    listed = [
        {"name": name, "sha256": sha256_of(content), "bytes": len(content)} for name, content in sorted(parts.items())
    ]
    manifest = {
        "calliper_bundle": FORMAT,
        "report": {"sha256": record.sha256, "manifest": record.manifest},
        "signatures": len(signatures),
        "files": listed,
    }
    return {MANIFEST: _json(manifest), **dict(sorted(parts.items()))}


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _requirements(software: Mapping[str, str]) -> str:
    pinned = [f"{name}=={version}" for name, version in software.items() if name not in ("python", "machine")]
    return f"# Made with Python {software['python']} on {software['machine']}.\n" + "\n".join(pinned) + "\n"


_SCRIPT = """#!/bin/sh
# Checks this bundle, recomputes results.json from inputs/, and compares the two byte for byte.
# Needs Calliper: pip install -r requirements.txt
cd "$(dirname "$0")" && exec calliper report verify . --results recomputed.json "$@"
"""


def _readme(record: ReportRecord, signatures: Sequence[Signed], found: Mapping[str, Any]) -> str:
    software = record.manifest["software"]
    signed = "; ".join(
        f"{item.statement['signer']['name']} ({item.statement['meaning']}, {item.statement['signed_at'][:10]})"
        for item in signatures
    )
    caution = f"\n> {record.manifest['caution']}\n" if record.manifest.get("caution") else ""
    remarks = "".join(f"\n{remark}\n" for remark in risk_remarks(found))
    return f"""# {record.title}: report {record.name}
{caution}
A {record.kind} report of Calliper {software["calliper"]}, made {record.created_at:%Y-%m-%d}, with all that is needed to
check and recompute it.

- Report's own SHA-256: `{record.sha256}`
- Signatures: {signed or "none"}
- Subjects in the inputs: {found["subjects"]:,}

## Check and recompute

    pip install -r requirements.txt
    calliper report verify BUNDLE.zip

or, unpacked, `./recompute`. Every file is compared with the manifest, the signatures are checked against the report's
hash, and results.json is recomputed from inputs/: it must come out byte for byte.

## What is in it

| file | what it is |
|---|---|
| `manifest.json` | the report's manifest and hash, and the SHA-256 of every file here |
| `results.json`, `report.html`, `report.pdf` | the report, as it was registered (as far as these were made) |
| `signatures.json`, `.html`, `.pdf` | the signature sheet, where the report is signed |
| `inputs/*.csv`, `inputs/codebook.csv` | what the results were computed from, and what each column means |
| `inputs/inputs.json` | what is no table: the notes of the study, the types of the columns, the plan |
| `plan.yaml` | the analysis plan, where the report is by one |
| `software.json`, `requirements.txt` | versions of the software that made the report |
| `disclosure.json` | how many subjects could be told apart by their traits |
| `recompute` | the script |

## How the data were de-identified

Identifiers of subjects and scans are codes dealt at random for this report; no list of them was kept. All dates of a
subject are shifted by the same unknown number of days. Labels of visits and codes of devices that too few share are
codes. Attributes that the analysis does not read, dates of birth, free text and photos are left out. Results do not
depend on any of this, so that they come out the same. The hash of the data in results.json is that of the data before.
{remarks}"""
