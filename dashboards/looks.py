"""Looks at a subject, as the audit trail has them: a page and the pictures that it loads are one look."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from studies.registry import audit
from studies.registry.schema import AuditEvent, AuditPersonal
from studies.registry.workspace import Registry

ONE_LOOK = timedelta(minutes=10)
"""Pictures that are asked for so soon after somebody looked at their subject belong to that look."""


def record_look(registry: Registry, study: str, subject: str, actor: str, *, page: str) -> None:
    """Record that somebody looks at a picture of a subject, unless it belongs to a look that is recorded."""
    since = (audit.utc_now() - ONE_LOOK).isoformat(timespec="microseconds")
    query = (
        select(AuditEvent.id)
        .join(AuditPersonal, AuditPersonal.event_id == AuditEvent.id)
        .where(AuditPersonal.study == study, AuditPersonal.subject == subject)
        .where(AuditEvent.action == "view", AuditEvent.actor == actor, AuditEvent.at > since)
        .limit(1)
    )
    with registry.reading() as connection:
        if connection.execute(query).first() is not None:
            return
    audit.record_view(registry, "subject", subject, study=study, subject=subject, actor=actor, page=page)
