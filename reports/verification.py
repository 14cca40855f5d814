"""Whether a file is what it claims to be: a report's HTML, PDF or results, a signature sheet, or a bundle.

With a registry a file is looked up by its hash, and a file that is unknown is compared with those that are registered,
so that an altered one is named with what was altered. A bundle needs no registry: its files are held against its
manifest, its signatures against the report's hash, and its results are computed anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection

from reports.archive import FORMAT as BUNDLE_FORMAT
from reports.archive import INPUTS, MANIFEST, RESULTS, removal, software_changes
from reports.differences import alteration, changed_values, largest_relative, likeness, told
from reports.recomputing import recomputable, recompute
from reports.signature_sheet import read_sheet
from reports.signing import (
    SignatureCheck,
    Signed,
    check_all,
    file_faults,
    missing_signatures,
    sheets_of,
    signatures_of,
    signed_from,
)
from studies.errors import CalliperError, DataError, UsageError
from studies.frozen import files_of_zip, hash_of
from studies.progress import Progress
from studies.registry import audit
from studies.registry.reports import (
    ReportRecord,
    canonical,
    inputs_record,
    list_reports,
    manifest_fault,
    newer_report,
    read_inputs,
    sha256_of,
)
from studies.registry.trail import check_trail
from studies.registry.workspace import Registry

State = Literal["good", "bad", "note"]
_ALIKE = 0.5
"""From this share of common lines on, an unknown file is told to be an altered one."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found. good: it holds. bad: it does not. note: something to know, or that cannot be told."""

    state: State
    what: str


@dataclass
class Verification:
    """What came of verifying a file.

    report: STUDY/NUMBER, None where the file belongs to no report. reproduced: whether the results came out the same
    bytes when they were computed anew; None where that was not tried or is not possible. results: the bytes that came
    out.
    """

    file: str
    report: str | None = None
    findings: list[Finding] = field(default_factory=list)
    signatures: list[dict[str, Any]] = field(default_factory=list)
    reproduced: bool | None = None
    results: bytes | None = None

    @property
    def failed(self) -> bool:
        """Whether anything is not as it should be."""
        return any(finding.state == "bad" for finding in self.findings)

    def good(self, what: str) -> None:
        self.findings.append(Finding("good", what))

    def bad(self, what: str) -> None:
        self.findings.append(Finding("bad", what))

    def note(self, what: str) -> None:
        self.findings.append(Finding("note", what))

    def to_dict(self) -> dict[str, Any]:
        return {
            "file": self.file, "report": self.report, "verified": not self.failed, "reproduced": self.reproduced,
            "findings": [{"state": item.state, "what": item.what} for item in self.findings],
            "signatures": self.signatures,
        }  # fmt: skip


def verify(
    path: Path, registry: Registry | None, *, recompute: bool = True, progress: Progress | None = None
) -> Verification:
    """Verify a file, or a folder that a bundle was unpacked into.

    registry: where reports are looked up; without, only bundles and signature sheets in JSON can be verified.
    recompute: compute the results anew from the frozen inputs. Raises `DataError` where the file cannot be read,
    `UsageError` where it needs a registry and there is none.
    """
    found = Verification(str(path))
    bundle = _bundle_files(path)
    if bundle is not None:
        _verify_bundle(found, bundle, registry, recompute=recompute, progress=progress)
        return found
    data = _read(path)
    sheet = read_sheet(data)
    if registry is None:
        if sheet is None:
            raise UsageError(
                f"To verify {path.name} needs the workspace that it was registered in, or the bundle of the report.",
                remedy="Name the workspace with --workspace, or verify the bundle.",
            )
        _verify_sheet_alone(found, sheet)
        return found
    with registry.reading() as connection:
        _verify_registered(found, path, data, registry, connection, recompute=recompute, progress=progress)
    return found


def note_verification(registry: Registry, found: Verification) -> None:
    """Note in the audit trail that a file was verified, and what came of it."""
    detail = {
        "file": Path(found.file).name, "verified": not found.failed, "reproduced": found.reproduced,
        "faults": [finding.what for finding in found.findings if finding.state == "bad"],
    }  # fmt: skip
    study = found.report.rpartition("/")[0] if found.report else None
    audit.record(registry, audit.Event("verify", "report", found.report or "unknown", detail, study))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"The file cannot be read: {error.strerror or error}.", where=str(path)) from None


# Files of a registry --------------------------------------------------------------------------------------------------


def _verify_registered(
    found: Verification,
    path: Path,
    data: bytes,
    registry: Registry,
    connection: Connection,
    *,
    recompute: bool,
    progress: Progress | None,
) -> None:
    records = list_reports(connection)
    fits = [(record, what) for record in records if (what := _is_of(connection, record, data))]
    if not fits:
        _tell_unknown(found, path, data, records, registry, connection, recompute=recompute, progress=progress)
        return
    # Reports of the same data have the same results.json: the one in whose folder it lies is meant, else the newest.
    here = [fit for fit in fits if fit[0].folder(registry).resolve() == path.resolve().parent]
    record, what = (here or fits)[-1]
    found.good(what)
    others = [other.name for other, _ in fits if other is not record]
    if others:
        found.note(f"The same file belongs to report {', '.join(others)}, too.")
    for number, files in (sheets := sheets_of(connection, record)):
        if number < len(sheets) and any(item["sha256"] == sha256_of(data) for item in files):
            found.note(f"It shows {number} of now {len(sheets)} signatures: there is a newer sheet.")
    _tell_report(found, record, registry, connection, recompute=recompute, progress=progress)


def _is_of(connection: Connection, record: ReportRecord, data: bytes) -> str | None:
    """What of a report these bytes are, as a sentence; None where they are nothing of it."""
    digest = sha256_of(data)
    for item in record.files:
        if item["sha256"] == digest:
            return f"This is {item['name']} of report {record.name}, byte for byte as it was registered."
    for number, files in sheets_of(connection, record):
        if any(item["sha256"] == digest for item in files):
            made = f"as it was made with signature {number}"
            return f"This is the signature sheet of report {record.name}, {made}."
    known = inputs_record(connection, record)
    if known is not None and data[:2] == b"PK" and _hash_of_zip(data) == known.sha256:
        return f"These are the frozen inputs of report {record.name}, as they were kept."
    return None


def _hash_of_zip(data: bytes) -> str | None:
    try:
        return hash_of(files_of_zip(data, "inputs"))
    except DataError:
        return None


def _tell_unknown(
    found: Verification,
    path: Path,
    data: bytes,
    records: Sequence[ReportRecord],
    registry: Registry,
    connection: Connection,
    *,
    recompute: bool,
    progress: Progress | None,
) -> None:
    """A file that no report has: the most similar registered file, if one is similar at all."""
    best: tuple[float, ReportRecord, str, bytes] | None = None
    for record in records:
        sheets = [item["name"] for _, files in sheets_of(connection, record) for item in files]
        for name in [*(item["name"] for item in record.files), *sheets]:
            if name.rpartition(".")[2] != path.name.rpartition(".")[2].lower():
                continue
            try:
                original = (record.folder(registry) / name).read_bytes()
            except OSError:
                continue
            share = likeness(original, data)
            if best is None or share > best[0]:
                best = (share, record, name, original)
    if best is None or best[0] < _ALIKE:
        found.bad(
            "No report of this registry has this file, nor one that is like it: it comes from elsewhere, was written "
            "anew, or was converted."
        )
        return
    _, record, name, original = best
    own = sha256_of(original) == sha256_of(data)  # the file in the registry's own folder was altered
    if own:
        found.bad(f"This is {name} in the folder of report {record.name}; it was altered after it was registered.")
    else:
        found.bad(f"This is {name} of report {record.name}, altered: {alteration(original, data)}.")
        changes = changed_values(original, data) if name.endswith(".json") else None
        if changes:
            found.bad(f"Changed values: {told(changes)}.")
    _tell_report(found, record, registry, connection, recompute=recompute, progress=progress)
    if own and name == RESULTS and found.reproduced and found.results is not None:
        changes = changed_values(found.results, data)
        found.bad(f"Against what was computed anew: {alteration(found.results, data)}.")
        if changes:
            found.bad(f"Changed values: {told(changes)}.")


def _tell_report(
    found: Verification,
    record: ReportRecord,
    registry: Registry,
    connection: Connection,
    *,
    recompute: bool,
    progress: Progress | None,
) -> None:
    """All that is known of the report: its record, its files, its signatures, the trail, and its results."""
    found.report = record.name
    made = f"{record.created_at:%Y-%m-%d %H:%M} UTC by {record.created_by}"
    if fault := manifest_fault(connection, record):
        found.bad(fault)
    elif record.sha256:
        found.good(f"Report {record.name} ({record.kind}), made {made}, SHA-256 {record.sha256}.")
    else:
        found.note(f"Report {record.name} was made {made}, before reports had hashes of their own; it has none.")
    for fault in file_faults(registry, record):
        found.bad(f"Of the report in the workspace: {fault[0].lower()}{fault[1:]}")
    newer = newer_report(connection, record)
    if newer is not None:
        found.note(f"Superseded: report {newer.name} of {newer.created_at:%Y-%m-%d} is the newest of this kind.")
    signatures = signatures_of(connection, record)
    checks = check_all(signatures, record.sha256, registry)
    _tell_signatures(found, checks)
    for fault in missing_signatures(connection, record, signatures):
        found.bad(fault)
    _tell_trail(found, connection, signatures)
    if recompute:
        _tell_results(found, record, registry, connection, progress)


def _tell_signatures(found: Verification, checks: Sequence[SignatureCheck]) -> None:
    if not checks:
        found.note("The report is not signed.")
    for check in checks:
        said = check.signed.statement
        signer = said["signer"]
        holds = check.fault is None and check.checked
        found.signatures.append(
            {
                "number": check.signed.number, "name": signer["name"], "role": signer["role"],
                "meaning": said["meaning"], "reason": said["reason"], "signed_at": said["signed_at"],
                "form": check.signed.algorithm, "key": said.get("key"), "holds": holds if check.checked else None,
            }
        )  # fmt: skip
        who = f"{signer['name']}, {signer['role']}, as {said['meaning']} on {said['signed_at'][:10]}"
        if check.fault:
            found.bad(check.fault)
        elif check.checked:
            key = f"Ed25519, key {said['key'][:16]}" if said.get("key") else "the workspace's key"
            found.good(f"Signed by {who} ({key}).")
        if check.remark:
            found.note(check.remark if check.checked else f"Signed by {who}. {check.remark}")


def _tell_trail(found: Verification, connection: Connection, signatures: Sequence[Signed]) -> None:
    trail = check_trail(connection, [signed.anchor for signed in signatures])
    if trail.broken is not None:
        found.bad(f"The audit trail is broken: {trail.broken.what}.")
        return
    events = f"{trail.events:,} event{'s' if trail.events != 1 else ''}"
    fits = f", and fits what {len(signatures)} signature{'s' if len(signatures) != 1 else ''} noted of it"
    found.good(f"The audit trail is whole: {events}{fits if signatures else ''}.")
    for fault in trail.guards:
        found.bad(f"The audit trail is not guarded: {fault}.")


def _tell_results(
    found: Verification,
    record: ReportRecord,
    registry: Registry,
    connection: Connection,
    progress: Progress | None,
) -> None:
    if not recomputable(record.kind):
        found.note(f"Reports of kind {record.kind} keep no inputs: their results are not recomputed.")
        return
    known = inputs_record(connection, record)
    if known is None:
        found.note("No inputs were kept for this report: its results cannot be recomputed.")
        return
    if known.removed_at is not None:
        found.note(removal(connection, record, known))
        return
    try:
        inputs = read_inputs(registry, record, known)
    except CalliperError as error:
        found.bad(error.what)
        return
    try:
        original: bytes | None = (record.folder(registry) / RESULTS).read_bytes()
    except OSError:
        original = None
    _recomputed(found, record.kind, inputs, record.results_sha256, record.manifest, original, progress)


def _recomputed(
    found: Verification,
    kind: str,
    inputs: Mapping[str, bytes],
    wanted: str,
    manifest: Mapping[str, Any],
    original: bytes | None,
    progress: Progress | None,
) -> None:
    """Compute the results anew and compare them with those of the report."""
    try:
        made = recompute(kind, inputs, progress=progress)
    except CalliperError as error:
        found.reproduced = False
        found.bad(f"The results cannot be computed from the frozen inputs: {error}")
        return
    found.results = made
    found.reproduced = sha256_of(made) == wanted
    if found.reproduced:
        found.good("Reproduced: results.json computed from the frozen inputs is the same, byte for byte.")
        return
    changes = None
    if original is not None and sha256_of(original) == wanted:
        changes = changed_values(original, made)
    software = software_changes(manifest.get("software") or {})
    what = "results.json computed from the frozen inputs is not the same"
    if changes is not None and {path for path, *_ in changes} <= {"calliper.version"}:
        found.note(f"Reproduced but for the version: {what} only in calliper.version; every number is. {software}.")
        return
    size = ""
    if changes:
        largest = largest_relative([change for change in changes if change[0] != "calliper.version"])
        size = f" {len(changes):,} values differ" + (
            f", numbers by at most {largest:.1g} of their size" if largest is not None else ""
        ) + f": {told(changes)}."  # fmt: skip
    if software:
        found.note(f"Not reproduced here: {what}.{size} The software is another one: {software}.")
    else:
        found.bad(f"Not reproduced: {what}, though the software is the one that made it.{size}")


# A signature sheet without its registry -------------------------------------------------------------------------------


def _verify_sheet_alone(found: Verification, sheet: Mapping[str, Any]) -> None:
    report, signatures = _read_signatures(sheet)
    found.report = f"{report['manifest'].get('study')}/{report['manifest'].get('number')}"
    _tell_manifest(found, report)
    _tell_signatures(found, check_all(signatures, report["sha256"], None))
    found.note(
        "Without the registry it cannot be told whether later signatures are missing, nor whether the keys belong to "
        "these people: compare their fingerprints."
    )


def _read_signatures(sheet: Mapping[str, Any]) -> tuple[dict[str, Any], list[Signed]]:
    try:
        report = {"sha256": str(sheet["report"]["sha256"]), "manifest": dict(sheet["report"]["manifest"])}
        return report, [signed_from(item) for item in sheet["signatures"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"The signature sheet is damaged: {error}.", remedy="Take the file anew.") from None


def _tell_manifest(found: Verification, report: Mapping[str, Any]) -> None:
    said = report["manifest"]
    name = f"{said.get('study')}/{said.get('number')}"
    if sha256_of(canonical(said)) != report["sha256"]:
        found.bad(f"The manifest of report {name} was changed: it does not have the report's hash.")
    else:
        made = f"made {str(said.get('made_at'))[:16].replace('T', ' ')} UTC by {said.get('made_by')}"
        found.good(f"Report {name} ({said.get('kind')}), {made}, SHA-256 {report['sha256']}.")


# Bundles --------------------------------------------------------------------------------------------------------------


def _bundle_files(path: Path) -> dict[str, bytes] | None:
    """The files of a bundle, zipped or unpacked; None where `path` is none."""
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            raise UsageError(f"{path} is a folder, and no bundle.", remedy="Name a file, or the folder of a bundle.")
        return {
            file.relative_to(path).as_posix(): _read(file)
            for file in sorted(path.rglob("*"))
            if file.is_file() and not file.is_symlink()
        }
    data = _read(path)
    if data[:4] != b"PK\x03\x04":
        return None
    files = files_of_zip(data, str(path))
    return files if MANIFEST in files else None


def _verify_bundle(
    found: Verification,
    files: Mapping[str, bytes],
    registry: Registry | None,
    *,
    recompute: bool,
    progress: Progress | None,
) -> None:
    manifest = _bundle_manifest(files)
    report = {"sha256": str(manifest["report"]["sha256"]), "manifest": dict(manifest["report"]["manifest"])}
    said = report["manifest"]
    found.report = f"{said.get('study')}/{said.get('number')}"
    faults = _file_faults(files, manifest)
    for fault in faults:
        found.bad(fault)
    if not faults:
        found.good(f"The bundle is whole: {len(manifest['files']):,} files are as its manifest says.")
    _tell_manifest(found, report)
    _tell_bound(found, files, said)
    known = registry is not None and _tell_known(found, report, registry)
    _tell_bundle_signatures(found, files, manifest, report, registry if known else None)
    if known and registry is not None:
        _tell_newer(found, report, registry)
    if recompute and recomputable(str(said.get("kind"))):
        inputs = _inputs_of(files)
        original = files.get(RESULTS)
        _recomputed(found, said["kind"], inputs, str(said.get("results_sha256")), said, original, progress)


def _bundle_manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        manifest = json.loads(files[MANIFEST])
        if manifest["calliper_bundle"] != BUNDLE_FORMAT:
            raise DataError(
                f"The bundle is of format {manifest['calliper_bundle']}; this version reads {BUNDLE_FORMAT}.",
                remedy="Verify it with the version of Calliper that its requirements.txt names.",
            )
        complete = {"sha256", "manifest"} <= set(manifest["report"]) and all(
            {"name", "sha256", "bytes"} <= set(item) for item in manifest["files"]
        )
        complete &= isinstance(manifest["report"]["manifest"], dict) and "signatures" in manifest
    except (KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise DataError("The bundle's manifest is damaged.", where=MANIFEST, remedy="Take the bundle anew.")
    return manifest


def _file_faults(files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> list[str]:
    """Files of a bundle that are missing, altered or not of it, one sentence each."""
    faults = []
    for item in manifest["files"]:
        content = files.get(item["name"])
        if content is None:
            faults.append(f"{item['name']} is missing from the bundle.")
        elif sha256_of(content) != item["sha256"]:
            longer = len(content) - item["bytes"]
            size = f", and is {abs(longer):,} bytes {'longer' if longer > 0 else 'shorter'}" if longer else ""
            faults.append(f"{item['name']} was altered{size}: it is not as the bundle's manifest says.")
    known = {MANIFEST, "recomputed.json", *(item["name"] for item in manifest["files"])}
    faults += [f"{name} is no file of the bundle: it was added." for name in sorted(set(files) - known)]
    return faults


def _inputs_of(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name.removeprefix(INPUTS): content for name, content in files.items() if name.startswith(INPUTS)}


def _tell_bound(found: Verification, files: Mapping[str, bytes], said: Mapping[str, Any]) -> None:
    """Whether the report's manifest names the very files and inputs that are here: the signed hash covers them."""
    wrong = [
        str(item["name"])
        for item in said.get("files") or []
        if item["name"] not in files or sha256_of(files[item["name"]]) != item["sha256"]
    ]
    if hash_of(_inputs_of(files)) != said.get("inputs_sha256"):
        wrong.append("inputs")
    for name in wrong:
        found.bad(f"The report's hash does not cover this {name}: it is not the one that the report was made with.")
    if not wrong:
        found.good("The report's hash covers its files and inputs as they are here.")


def _tell_bundle_signatures(
    found: Verification,
    files: Mapping[str, bytes],
    manifest: Mapping[str, Any],
    report: Mapping[str, Any],
    registry: Registry | None,
) -> None:
    sheet = read_sheet(files["signatures.json"]) if "signatures.json" in files else None
    signatures: list[Signed] = []
    if sheet is not None:
        try:
            about, signatures = _read_signatures(sheet)
        except DataError as error:
            found.bad(error.what)
        else:
            if about != report:
                found.bad("The signature sheet is that of another report.")
    if len(signatures) != manifest["signatures"]:
        found.bad(f"The bundle was made with {manifest['signatures']} signatures, and has {len(signatures)}.")
    _tell_signatures(found, check_all(signatures, report["sha256"], registry))


def _tell_known(found: Verification, report: Mapping[str, Any], registry: Registry) -> bool:
    """Whether the registry at hand knows the report of a bundle, by its hash."""
    with registry.reading() as connection:
        record = _of_hash(connection, report["sha256"])
    if record is None:
        found.note("The registry at hand does not know this report; what is told of it rests on the bundle alone.")
        return False
    found.good(f"The registry at hand knows the report as {record.name}, with the same hash.")
    return True


def _tell_newer(found: Verification, report: Mapping[str, Any], registry: Registry) -> None:
    """What came after the bundle: newer reports, further signatures."""
    with registry.reading() as connection:
        record = _of_hash(connection, report["sha256"])
        if record is None:
            return
        newer = newer_report(connection, record)
        if newer is not None:
            found.note(f"Superseded: report {newer.name} of {newer.created_at:%Y-%m-%d} is the newest of this kind.")
        now, then = len(signatures_of(connection, record)), len(found.signatures)
        if now > then:
            found.note(f"The registry has {now} signatures of it; the bundle was made when there were {then}.")


def _of_hash(connection: Connection, sha256: str) -> ReportRecord | None:
    return next((item for item in list_reports(connection) if item.sha256 == sha256), None)
