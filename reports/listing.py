"""Registered reports as a table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from reports.signing import signatures_of
from studies.registry.catalogue import find_study
from studies.registry.reports import inputs_record, list_reports


def listed_reports(connection: Connection, study: str | None = None) -> list[dict[str, Any]]:
    """One row a report, by study and number. Raises `UsageError` for an unknown study."""
    if study is not None:
        find_study(connection, study)
    rows = []
    for record in list_reports(connection, study):
        signed = [item.statement for item in signatures_of(connection, record)]
        inputs = inputs_record(connection, record)
        rows.append(
            {
                "report": record.name,
                "kind": record.kind,
                "made": f"{record.created_at:%Y-%m-%d %H:%M}",
                "by": record.created_by,
                "files": ", ".join(item["format"] for item in record.files),
                "signed": "; ".join(f"{item['signer']['name']} ({item['meaning']})" for item in signed) or None,
                "inputs": None if inputs is None else "removed" if inputs.removed_at else "kept",
                "SHA-256": record.sha256,
            }
        )
    return rows
