"""From a pseudonym to the site's own identifier and back: only with the link table, and never without a trace."""

from __future__ import annotations

from studies.errors import UsageError
from studies.privacy.links import LinkTable
from studies.registry import audit
from studies.registry.catalogue import find_study
from studies.registry.workspace import Registry


def relink(registry: Registry, links: LinkTable, pseudonym: str, *, study: str, reason: str) -> str:
    """The site's identifier of a pseudonym. Audited with the reason before it is told; the trail has no identifier.

    Raises UsageError without a reason, and where there is no such link.
    """
    reason = _checked(registry, study, reason)
    identifier = links.identifier_of(study, pseudonym)
    if identifier is None:
        raise UsageError(
            f"The link table has no pseudonym '{pseudonym}' of the study '{study}'.",
            remedy="Check it; if the person was erased, the link is gone, and nobody can tell any more.",
        )
    event = audit.Event("relink", "subject", pseudonym, {"reason": reason}, study, pseudonym)
    audit.record(registry, event)
    return identifier


def pseudonym_of(registry: Registry, links: LinkTable, identifier: str, *, study: str, reason: str) -> str:
    """The pseudonym of a site's identifier, audited likewise."""
    reason = _checked(registry, study, reason)
    pseudonym = links.pseudonym_of(study, identifier)
    if pseudonym is None:
        raise UsageError(
            f"The link table has no such identifier in the study '{study}'.",
            remedy="Check it: capitals and leading zeros count.",
        )
    detail = {"reason": reason, "asked_for": "the pseudonym of an identifier"}
    audit.record(registry, audit.Event("relink", "subject", pseudonym, detail, study, pseudonym))
    return pseudonym


def _checked(registry: Registry, study: str, reason: str) -> str:
    with registry.reading() as connection:
        find_study(connection, study)
    if not reason.strip():
        raise UsageError("Looking up a link needs a reason.", remedy="Give it with --reason: it stays in the trail.")
    return reason.strip()
