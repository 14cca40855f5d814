"""The signature sheet: who signed a report, as what, why and when, on a page of its own beside the report.

The signed files are never touched: a signature inside them would change the bytes that it is over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from reports.document import (
    Code,
    Column,
    Document,
    Facts,
    Inline,
    Inlines,
    List,
    Paragraph,
    Row,
    Section,
    Small,
    Strong,
    Table,
)
from reports.html import render_html
from reports.kinds import KINDS
from reports.pdf import render_pdf
from reports.signer_keys import ED25519, PROVES, short_fingerprint
from studies.registry.reports import ReportRecord

if TYPE_CHECKING:
    from reports.signing import Signed

FORMAT = 1
_FORMS = {ED25519: "Ed25519, the signer's own key", "hmac-sha256": "HMAC-SHA-256, the workspace's key"}
_TITLES = {"author": "Author", "reviewer": "Reviewer", "approver": "Approver"}


def render_sheets(record: ReportRecord, signatures: Sequence[Signed]) -> dict[str, bytes]:
    """The sheets of a report: HTML, PDF and JSON by file name, the same bytes for the same signatures."""
    document = signature_sheet(record, signatures)
    stem = f"signatures-{len(signatures)}"
    return {
        f"{stem}.html": render_html(document).encode(),
        f"{stem}.pdf": render_pdf(document),
        f"{stem}.json": sheet_json(record, signatures),
    }


def sheet_json(record: ReportRecord, signatures: Sequence[Signed]) -> bytes:
    """The sheet for programs: the report's manifest, its hash, and every signature with its public key."""
    content = {
        "calliper_signatures": FORMAT,
        "report": {"sha256": record.sha256, "manifest": record.manifest},
        "signatures": [signed.to_dict() for signed in signatures],
    }
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def signature_sheet(record: ReportRecord, signatures: Sequence[Signed]) -> Document:
    """The sheet as a document."""
    number = "one signature" if len(signatures) == 1 else f"{len(signatures)} signatures"
    return Document(
        title=record.title,
        kind="Signature sheet",
        subtitle=f"Report {record.name}, {_kind(record)}: {number}",
        running=f"Signatures of report {record.name}",
        facts=Facts(
            (
                ("Report", Code(record.name)),
                ("Made", f"{record.created_at:%Y-%m-%d %H:%M:%S} UTC by {record.created_by}"),
                ("SHA-256", _grouped(record.sha256)),
            )
        ),
        banner=record.manifest.get("caution", ""),
        footer=f"Calliper {record.manifest['software']['calliper']} · report {record.sha256[:16]}",
        created=signatures[-1].at.astimezone(UTC),
        keywords=("signatures", "electronic signature"),
        contents=False,
        sections=(
            Section("signatures", "Signatures", tuple(_signature(signed) for signed in signatures)),
            _signed_files(record),
            _what_it_means(signatures),
        ),
    )


def _kind(record: ReportRecord) -> str:
    title = KINDS[record.kind].title if record.kind in KINDS else record.kind
    return f"{title[:1].lower()}{title[1:]}"


def _grouped(digest: str) -> tuple[Inline, ...]:
    """A hash in groups of eight, which can be compared by eye; lines break between groups only."""
    groups: list[Inline] = []
    for start in range(0, len(digest), 8):
        groups += [" ", Small(Code(digest[start : start + 8]))]
    return tuple(groups[1:])


def _signature(signed: Signed) -> Section:
    said = signed.statement
    signer = said["signer"]
    items: list[tuple[str, Inlines]] = [
        ("Signed by", (Strong(signer["name"]), f", {signer['role']}")),
        ("As", (Strong(_TITLES.get(said["meaning"], said["meaning"])), f": “{said['meaning_in_words']}”")),
        ("Reason", said["reason"]),
        ("Time", f"{signed.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"),
        ("Account", Code(signer["account"])),
        ("Form", _FORMS.get(signed.algorithm, signed.algorithm)),
    ]
    if signed.key:
        items.append(("Key", Code(short_fingerprint(signed.key["fingerprint"]))))
    anchor = signed.anchor
    items += [
        ("Audit trail", (f"at event {anchor.number:,}, ", Code(anchor.hash[:16]))),
        ("Signature", _grouped(signed.value)),
    ]
    title = f"{signed.number}. {signer['name']}, {said['meaning']}"
    return Section(f"signature-{signed.number}", title, (Facts(tuple(items)),))


def _signed_files(record: ReportRecord) -> Section:
    rows = [Row((item["name"], _grouped(item["sha256"]))) for item in record.files]
    names = {item["name"] for item in record.files}
    if "results.json" not in names:
        rows.append(Row(("results.json (not written)", _grouped(record.results_sha256))))
    if inputs := record.manifest.get("inputs_sha256"):
        rows.append(Row(("frozen inputs", _grouped(inputs))))
    table = Table(
        "table-files",
        "Files of the report and their SHA-256",
        (Column("File", width=1.0), Column("SHA-256", width=3.4)),
        tuple(rows),
    )
    text = (
        "The report's hash is over its manifest, which names these hashes, the study, the plan, the data, the run, the "
        "software and the author. Whatever changes one of these changes the hash, and no signature on this sheet holds "
        "for it then."
    )
    return Section("signed", "What was signed", (Paragraph(text), table))


def _what_it_means(signatures: Sequence[Signed]) -> Section:
    forms = list(dict.fromkeys(signed.algorithm for signed in signatures))
    items: list[Inlines] = [(Strong(_FORMS.get(form, form)), f": {PROVES.get(form, '')}.") for form in forms]
    items.append(
        (
            Strong("Audit trail"),
            ": each signature notes the newest event of the registry's hash-chained trail. If events up to it are "
            "changed or cut off later, the trail no longer fits the signature.",
        )
    )
    check = (
        "To check this sheet, the report's files or a bundle: ",
        Code("calliper report verify FILE"),
        ". It says whether a file is as it was made, which signatures hold, and whether the results can be reproduced.",
    )
    supports = (
        "The sheet shows name, role, meaning, reason and time of each signature and links them to the record. It "
        "supports procedures under rules such as 21 CFR Part 11; it does not replace them."
    )
    return Section("meaning", "What a signature proves", (List(tuple(items)), Paragraph(check), Paragraph(supports)))


def read_sheet(data: bytes) -> dict[str, Any] | None:
    """The content of a sheet for programs, None where the file is none."""
    try:
        content = json.loads(data)
    except ValueError:
        return None
    return content if isinstance(content, dict) and "calliper_signatures" in content else None
