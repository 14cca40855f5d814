"""The versions of a study's protocol, in the registry."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select

from studies.errors import PlanError
from studies.protocol import protocol_hash
from studies.registry import audit
from studies.registry.catalogue import find_study
from studies.registry.schema import Protocol
from studies.registry.workspace import Registry


def current_protocol(connection: Connection, study_id: int) -> dict[str, Any] | None:
    """{"version", "hash", "document"} of the newest version, None where there is none."""
    query = (
        select(Protocol.version, Protocol.sha256, Protocol.document)
        .where(Protocol.study_id == study_id)
        .order_by(Protocol.version.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if protocol_hash(row.document) != row.sha256:
        raise PlanError(
            f"Version {row.version} of the protocol is not what was registered: its hash differs.",
            remedy="Someone changed the database by hand. Restore a backup; the audit trail says what the hash was.",
        )
    return {"version": row.version, "hash": row.sha256, "document": row.document}


def study_protocol(registry: Registry, name: str) -> dict[str, Any] | None:
    """`current_protocol` of the study of this name. Raises UsageError for an unknown study."""
    with registry.reading() as connection:
        return current_protocol(connection, find_study(connection, name).id)


def set_protocol(registry: Registry, name: str, document: dict[str, Any]) -> dict[str, Any]:
    """Register `document` as the next version; the same answers again change nothing. Returns the newest version."""
    with registry.writing() as connection:
        study = find_study(connection, name)
        last = current_protocol(connection, study.id)
        sha256 = protocol_hash(document)
        if last is not None and last["hash"] == sha256:
            return last
        version = 1 if last is None else last["version"] + 1
        connection.execute(
            insert(Protocol).values(
                study_id=study.id, version=version, document=document, sha256=sha256, created_at=audit.utc_now(),
                created_by=audit.current_actor(),
            )
        )  # fmt: skip
        detail = {"version": version, "sha256": sha256, "replaces_sha256": last["hash"] if last else None}
        audit.append(connection, [audit.Event("set", "protocol", f"{name}@{version}", detail, name)])
        return {"version": version, "hash": sha256, "document": document}
