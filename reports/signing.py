"""Signatures of reports: a statement that names the report's hash, and a cryptographic signature over the statement.

A statement binds who signed, in which role, with which meaning and reason, and when, to the hash of one report, to the
head of the audit trail at that moment, and to the signature before it. So a signature cannot be moved to another
report, changed, put in another place or taken away without this being found; see `check_signature` and
`missing_signatures`.

These are the elements of a signature that 21 CFR Part 11 names (11.50: name, date and time, meaning; 11.70: linked to
its record). They support procedures that fulfil such rules; software alone fulfils none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, insert, select

from reports.files import write_files
from reports.signer_keys import (
    ED25519,
    HMAC,
    KeyRecord,
    find_key,
    fingerprint_of,
    holds,
    key_facts,
    list_keys,
    public_of,
    sign_with_key,
    sign_with_workspace,
    workspace_holds,
)
from studies.errors import CalliperError, DataError, StorageError, UsageError
from studies.registry import audit
from studies.registry.reports import (
    ReportRecord,
    canonical,
    find_report,
    inputs_record,
    manifest_fault,
    read_inputs,
    sha256_of,
)
from studies.registry.schema import AuditEvent, Signature
from studies.registry.trail import Head, check_trail, head_of
from studies.registry.workspace import Registry
from studies.suggestions import suggestion

FORMAT = 1
MEANINGS = {
    "author": "I made this report, or had it made, and answer for its content.",
    "reviewer": "I have reviewed this report, what it was made from, and its conclusions.",
    "approver": "I approve this report for the use that it names.",
}
"""What a signature can mean, and the sentence that the signer makes their own."""


@dataclass(frozen=True)
class Signed:
    """One signature of a report, wherever it was read: in the registry, a signature sheet or a bundle."""

    number: int
    statement_text: str
    algorithm: str
    value: str
    key: dict[str, Any] | None

    @property
    def statement(self) -> dict[str, Any]:
        return json.loads(self.statement_text)

    @property
    def link(self) -> str:
        """What the next signature names."""
        return sha256_of(f"{self.statement_text}\n{self.value}")

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.statement["signed_at"])

    @property
    def anchor(self) -> Head:
        """The head of the audit trail when it was signed."""
        return Head(**self.statement["audit_trail"])

    def to_dict(self) -> dict[str, Any]:
        return {
            "number": self.number, "statement": self.statement_text, "algorithm": self.algorithm, "value": self.value,
            "key": self.key,
        }  # fmt: skip


def signed_from(value: Mapping[str, Any]) -> Signed:
    """A signature from its dict. Raises `DataError` where it is none."""
    try:
        made = Signed(
            int(value["number"]), str(value["statement"]), str(value["algorithm"]), str(value["value"]), value["key"]
        )
        who = made.statement["signer"]
        complete = {"name", "role"} <= set(who) and made.anchor.number >= 0 and made.at is not None
        complete &= isinstance(made.statement["report"]["sha256"], str) and "meaning" in made.statement
    except (KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise DataError("A signature is not in the form of one.", remedy="The file is damaged: take it anew.")
    return made


# Signing --------------------------------------------------------------------------------------------------------------


def sign_report(
    registry: Registry,
    report: str,
    *,
    study: str | None = None,
    name: str | None,
    role: str,
    meaning: str,
    reason: str,
    key: Ed25519PrivateKey | None = None,
) -> tuple[Signed, list[Path]]:
    """Sign a report (NUMBER or STUDY/NUMBER) and write the signature sheet beside it. Returns signature and sheets.

    With a person's `key` the signature is Ed25519, and the name is that of the key's owner; without, it is an HMAC
    under the workspace's key. The report's files are not touched. Raises `UsageError` for what is missing or unknown,
    `StorageError` where the report or the trail is not as it was: nothing is signed on it then.
    """
    role, reason = " ".join(role.split()), " ".join(reason.split())
    for text, option in ((role, "--role"), (reason, "--reason")):
        if not text:
            raise UsageError(f"A signature needs a {option.strip('-')}.", remedy=f"Give it with {option}.")
    if meaning not in MEANINGS:
        raise UsageError(f"'{meaning}' is not a meaning of a signature.", remedy=suggestion(meaning, MEANINGS))
    with registry.writing() as connection:
        record = find_report(connection, report, study)
        _check_report(registry, connection, record)
        owner = _owner(connection, key, name)
        who = owner.name if owner else " ".join((name or "").split())
        if not who:
            raise UsageError("A signature needs a name.", remedy="Give it with --name.")
        before = signatures_of(connection, record)
        if any((item.statement["signer"]["name"], item.statement["meaning"]) == (who, meaning) for item in before):
            raise UsageError(f"{who} has signed report {record.name} as {meaning} already.")
        statement = canonical(_statement(connection, record, before, who, role, meaning, reason, owner))
        value = sign_with_key(key, statement) if key is not None else sign_with_workspace(registry, statement)
        made = Signed(len(before) + 1, statement, ED25519 if key is not None else HMAC, value, key_facts(owner))
        sheets = _write_sheets(registry, record, [*before, made])
        _register(connection, record, made, owner, sheets)
    return made, sheets


def _check_report(registry: Registry, connection: Connection, record: ReportRecord) -> None:
    """Nothing is signed on a report that is not as it was made, nor on a trail that is broken."""
    if not record.sha256:
        raise UsageError(
            f"Report {record.name} was made before reports had hashes of their own.",
            remedy=f"Make it anew with calliper report {record.study}, and sign that one.",
        )
    faults = [manifest_fault(connection, record), *file_faults(registry, record)]
    known = inputs_record(connection, record)
    if known is not None and known.removed_at is None:
        try:
            read_inputs(registry, record, known)
        except CalliperError as error:
            faults.append(error.what)
    checks = check_signatures(registry, connection, record)
    faults += [check.fault for check in checks if check.fault]
    faults += missing_signatures(connection, record, [check.signed for check in checks])
    trail = check_trail(connection)
    if trail.broken is not None:
        faults.append(f"The audit trail is broken: {trail.broken.what}.")
    told = [fault for fault in faults if fault]
    if told:
        raise StorageError(
            f"Report {record.name} is not signed: {told[0]}", remedy="Restore the workspace from a backup, or find out "
            "who changed it; calliper report verify and calliper audit verify tell more.",
        )  # fmt: skip


def file_faults(registry: Registry, record: ReportRecord) -> list[str]:
    """Which files of a report are not as they were registered, one sentence each."""
    found = []
    for item in record.files:
        path = record.folder(registry) / item["name"]
        try:
            same = sha256_of(path.read_bytes()) == item["sha256"]
        except OSError as error:
            found.append(f"Its file {item['name']} cannot be read: {error.strerror or error}.")
            continue
        if not same:
            found.append(f"Its file {item['name']} was changed after it was made.")
    return found


def _owner(connection: Connection, key: Ed25519PrivateKey | None, name: str | None) -> KeyRecord | None:
    if key is None:
        return None
    found = find_key(connection, fingerprint_of(public_of(key)))
    if found is None:
        raise UsageError(
            "This key is not registered.", remedy="Register it first: calliper report key register --name NAME FILE."
        )
    if found.revoked_at is not None:
        raise UsageError(f"This key of {found.name} is revoked: {found.revoked_because}.")
    if name is not None and " ".join(name.split()) != found.name:
        raise UsageError(f"This key is that of {found.name}, not of {name}.", remedy="Nobody signs for another.")
    return found


def _statement(
    connection: Connection, record: ReportRecord, before: Sequence[Signed], name: str, role: str, meaning: str,
    reason: str, owner: KeyRecord | None,
) -> dict[str, Any]:  # fmt: skip
    head = head_of(connection)
    return {
        "calliper_signature": FORMAT,
        "number": len(before) + 1,
        "report": {"study": record.study, "number": record.number, "kind": record.kind, "sha256": record.sha256},
        "signer": {"name": name, "role": role, "account": audit.current_actor()},
        "meaning": meaning,
        "meaning_in_words": MEANINGS[meaning],
        "reason": reason,
        "signed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "audit_trail": head.as_dict(),
        "previous": before[-1].link if before else None,
        "key": owner.fingerprint if owner else None,
    }


def _write_sheets(registry: Registry, record: ReportRecord, signatures: Sequence[Signed]) -> list[Path]:
    from reports.signature_sheet import render_sheets

    contents = render_sheets(record, signatures)
    # Each signature has sheets of its own, so that none is ever overwritten.
    return write_files({record.folder(registry) / name: content for name, content in contents.items()})


def _register(
    connection: Connection, record: ReportRecord, made: Signed, owner: KeyRecord | None, sheets: Sequence[Path]
) -> None:
    listed = [{"name": path.name, "sha256": sha256_of(path.read_bytes())} for path in sheets]
    now = audit.utc_now()
    connection.execute(
        insert(Signature).values(
            report_id=record.id, number=made.number, statement=made.statement_text, algorithm=made.algorithm,
            value=made.value, key_id=owner.id if owner else None, sheet=listed, signed_at=now,
            signed_by=audit.current_actor(),
        )
    )  # fmt: skip
    said = made.statement
    detail = {
        "signature": made.number, "link": made.link, "name": said["signer"]["name"], "role": said["signer"]["role"],
        "meaning": said["meaning"], "reason": said["reason"], "sheet": listed,
    }  # fmt: skip
    audit.append(connection, [audit.Event("sign", "report", record.name, detail, record.study)])


# Reading and checking -------------------------------------------------------------------------------------------------


def signatures_of(connection: Connection, record: ReportRecord) -> list[Signed]:
    """The signatures of a report in the registry, in order."""
    keys = {key.id: key for key in list_keys(connection)}
    rows = connection.execute(
        select(Signature.__table__).where(Signature.report_id == record.id).order_by(Signature.number)
    )
    return [
        Signed(row.number, row.statement, row.algorithm, row.value, key_facts(keys.get(row.key_id))) for row in rows
    ]


def sheets_of(connection: Connection, record: ReportRecord) -> list[tuple[int, list[dict[str, Any]]]]:
    """The signature sheets of a report: number of the signature, and name and SHA-256 of each file."""
    rows = select(Signature.number, Signature.sheet).where(Signature.report_id == record.id).order_by(Signature.number)
    return [(row.number, row.sheet) for row in connection.execute(rows)]


@dataclass(frozen=True)
class SignatureCheck:
    """One signature and what came of checking it.

    fault: why it does not hold. remark: what to know of one that holds, or why it cannot be checked here (`checked`
    False).
    """

    signed: Signed
    fault: str | None = None
    remark: str | None = None
    checked: bool = True


def check_signature(
    signed: Signed, report_sha256: str, previous: Signed | None, registry: Registry | None = None
) -> SignatureCheck:
    """Check one signature against the report's hash and the signature before it.

    registry: the workspace whose key an HMAC is checked with; without, it cannot be checked.
    """
    who = f"Signature {signed.number}"
    said = signed.statement
    if said["report"]["sha256"] != report_sha256:
        of = f"{said['report'].get('study')}/{said['report'].get('number')}"
        return SignatureCheck(signed, f"{who} is not of this report: it names the hash of another ({of}).")
    if said.get("number") != signed.number:
        return SignatureCheck(signed, f"{who} was moved: it says that it is number {said.get('number')}.")
    if said.get("previous") != (previous.link if previous else None):
        return SignatureCheck(signed, f"{who} does not follow the signature before it: one was changed or removed.")
    if signed.algorithm == ED25519:
        return _check_ed25519(signed, who)
    if signed.algorithm != HMAC:
        return SignatureCheck(signed, f"{who} is of an unknown form, '{signed.algorithm}'.")
    if registry is None:
        return SignatureCheck(
            signed, remark=f"{who} was made with its workspace's key and can be checked only there.", checked=False
        )
    try:
        if not workspace_holds(registry, signed.statement_text, signed.value):
            return SignatureCheck(signed, f"{who} was changed, or was not made with this workspace's key.")
    except DataError as error:
        return SignatureCheck(signed, remark=f"{who} cannot be checked: {error.what}", checked=False)
    return SignatureCheck(signed)


def _check_ed25519(signed: Signed, who: str) -> SignatureCheck:
    key = signed.key or {}
    public = str(key.get("public_key", ""))
    try:
        fitting = fingerprint_of(public) == signed.statement.get("key") == key.get("fingerprint")
    except ValueError:
        fitting = False
    if not fitting:
        return SignatureCheck(signed, f"{who} has another key beside it than the one that it names.")
    if not holds(public, signed.statement_text, signed.value):
        return SignatureCheck(signed, f"{who} does not hold: its statement or its value was changed.")
    if key.get("name") != signed.statement["signer"]["name"]:
        return SignatureCheck(
            signed, f"{who} is in the name of {signed.statement['signer']['name']}, but its key is {key.get('name')}'s."
        )
    if key.get("revoked_at"):
        if datetime.fromisoformat(key["revoked_at"]).replace(tzinfo=UTC) < signed.at:
            return SignatureCheck(signed, f"{who} is dated after its key was revoked.")
        return SignatureCheck(
            signed,
            remark=f"The key of {who.lower()} was revoked on {key['revoked_at'][:10]}: {key['revoked_because']}.",
        )
    return SignatureCheck(signed)


def check_all(signatures: Sequence[Signed], report_sha256: str, registry: Registry | None) -> list[SignatureCheck]:
    """Check signatures in order, each against the one before it."""
    befores = [None, *signatures][: len(signatures)]
    return [
        check_signature(signed, report_sha256, before, registry)
        for signed, before in zip(signatures, befores, strict=True)
    ]


def check_signatures(registry: Registry, connection: Connection, record: ReportRecord) -> list[SignatureCheck]:
    """Check a report's signatures in the registry."""
    return check_all(signatures_of(connection, record), record.sha256, registry)


def missing_signatures(connection: Connection, record: ReportRecord, present: Sequence[Signed]) -> list[str]:
    """What the audit trail knows of signatures that are not there, or not as they were, one sentence each."""
    query = select(AuditEvent.id, AuditEvent.detail).where(
        AuditEvent.action == "sign", AuditEvent.entity == "report", AuditEvent.entity_key == record.name
    )
    links = {signed.link for signed in present}
    told, known = [], set()
    for row in connection.execute(query.order_by(AuditEvent.id)):
        detail = json.loads(row.detail)
        known.add(detail["link"])
        if detail["link"] not in links:
            told.append(
                f"Signature {detail['signature']} by {detail['name']} ({detail['meaning']}), which event {row.id} of "
                "the audit trail tells of, was removed or exchanged."
            )
    told += [
        f"Signature {signed.number} is not in the audit trail: it was put in past Calliper."
        for signed in present
        if signed.link not in known
    ]
    return told
