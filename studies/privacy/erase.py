"""Erasure of a person (GDPR, Art. 17), and taking one back that was a mistake.

Order matters, for a kill can come at any moment. First what lies outside the database, while the rows still say where
it is; then, in one transaction, the rows, what the trail says, and the event that names what was erased; at last the
files of the photo store. A kill before the transaction's end leaves a person whose erasure can be asked for again; one
after it leaves files that belong to nobody, which the next sweep finds.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from studies.errors import UsageError
from studies.photos import StoredPhoto
from studies.privacy.ingest_folders import Redraw, forget_person
from studies.privacy.links import LinkTable, needs_links
from studies.privacy.people import (
    Person,
    find_person,
    first_seen,
    held_rows,
    quarantined_rows,
    scans_of,
    stored_files,
    visits_of,
)
from studies.privacy.remnants import find_traces, scrub
from studies.privacy.source_rows import mentions
from studies.registry import audit
from studies.registry.catalogue import current_plan, find_study
from studies.registry.erasures import fingerprint
from studies.registry.held_files import remove_unheld
from studies.registry.identity import identity_of
from studies.registry.reports import forget_inputs
from studies.registry.schema import (
    Erasure,
    Outcome,
    Photo,
    Prediction,
    QuarantinedRow,
    Reading,
    Report,
    Scan,
    Silhouette,
    Subject,
    Visit,
)
from studies.registry.trail import number_ranges
from studies.registry.workspace import Registry

_AT_ONCE = 400
_DISTINCTIVE = 4  # letters and digits from which on a code is not found by chance in other people's data
BECAUSE = "a subject who was in them was erased"


@dataclass
class Erased:
    """What an erasure did.

    counts: rows and files that went, by kind. reports: numbers of the reports that were made with the person in them,
    which stay as they are; without_inputs: those of them that cannot be recomputed any more. left: what still seems to
    tell of the person, for somebody to look at. unscrubbed: why the database's files could not be written anew.
    """

    study: str
    number: int
    counts: dict[str, int] = field(default_factory=dict)
    reports: list[int] = field(default_factory=list)
    without_inputs: list[int] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    unscrubbed: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)


def erase_subject(
    registry: Registry,
    code: str,
    *,
    reason: str,
    study: str | None = None,
    links: LinkTable | None = None,
    redraw: Redraw | None = None,
    without_link: bool = False,
) -> Erased:
    """Erase all that is held on a person.

    reason: why, for the trail; it must not tell who. links: the link table, needed for a pseudonymised study unless
    `without_link`. redraw: writes the report of an ingest anew (`reports.write_ingest_report`); without it, the pages
    that showed the person are removed. Raises UsageError where nothing is held on such a person.
    """
    reason = _checked_reason(reason, code)
    with registry.writing() as connection:
        person = find_person(connection, code, study)
        _check_link(connection, person, links, without_link)
        rows = held_rows(connection, person)
        files = stored_files(connection, person)
        since = first_seen(connection, person)
        reports = _reports_with(connection, person, since)
        forgotten = forget_person(registry, connection, person, redraw=redraw)
        without_inputs = forget_inputs(registry, connection, person.study, because=BECAUSE, since=since)
        link_gone = links is not None and links.remove(person.study, person.code)
        _delete_rows(connection, person)
        events = audit.erase_subject(connection, person.study, person.code)
        counts = {name: len(found) for name, found in rows.items() if found}
        counts |= {"files_of_refused_rows": forgotten.rows} if forgotten.rows else {}
        counts |= {"link": 1} if link_gone else {}
        number = _tombstone(connection, person, reason, counts, analysed=bool(reports))
        detail = {
            "erasure": number, "counts": counts, "events": number_ranges(events), "reason": reason,
            "reports_with_the_person": reports, "inputs_removed_of_reports": without_inputs,
        }  # fmt: skip
        event = audit.Event("erase", "subject", f"{person.study}#{number}", detail, person.study)
        audit.append(connection, [event])
    with registry.writing() as connection:
        remove_unheld(connection, registry.photos, files)
    with registry.scratch():  # which removes what ingests that died have left there
        pass
    shutil.rmtree(registry.folder / "cache", ignore_errors=True)  # analyses that the dashboard computed
    done = Erased(person.study, number, counts, reports, without_inputs)
    done.unscrubbed = scrub(registry)
    with registry.reading() as connection:
        needles = _needles(connection, person, files)
    done.left = [str(trace) for trace in find_traces(registry.folder, needles)]
    return done


def readmit(registry: Registry, code: str, *, study: str, reason: str) -> int:
    """Let a person who was erased come in again with a later ingest. Returns the number of the erasure.

    Raises UsageError where no such person was erased from the study.
    """
    reason = _checked_reason(reason, code)
    with registry.writing() as connection:
        found = find_study(connection, study)
        mark = fingerprint(identity_of(connection), found.name, code)
        query = select(Erasure.id, Erasure.number).where(
            Erasure.study_id == found.id, Erasure.fingerprint == mark
        )  # fmt: skip
        row = connection.execute(query).first()
        if row is None:
            raise UsageError(f"No subject '{code}' was erased from '{study}'.", remedy="Check the code.")
        connection.execute(update(Erasure).where(Erasure.fingerprint == mark).values(fingerprint=None))
        detail = {"erasure": row.number, "reason": reason}
        audit.append(connection, [audit.Event("readmit", "subject", f"{study}#{row.number}", detail, study)])
    return row.number


def _checked_reason(reason: str, code: str) -> str:
    reason = reason.strip()
    if not reason:
        raise UsageError("An erasure needs a reason.", remedy="Give it with --reason: it stays in the audit trail.")
    if mentions(reason, code):
        raise UsageError(
            "The reason names the person, and it stays in the audit trail.", remedy="Say why, and not for whom."
        )
    return reason


def _check_link(connection: Connection, person: Person, links: LinkTable | None, without_link: bool) -> None:
    privacy = current_plan(connection, person.study_id).plan.privacy
    if privacy is not None and privacy.pseudonymise and links is None and not without_link:
        raise needs_links(person.study)


def _reports_with(connection: Connection, person: Person, since: datetime | None) -> list[int]:
    """The reports that were made since the person came in; all of them where that is not known."""
    if person.id is None:
        return []
    query = select(Report.number).where(Report.study_id == person.study_id).order_by(Report.number)
    if since is not None:
        query = query.where(Report.created_at >= since)
    return list(connection.execute(query).scalars())


def _delete_rows(connection: Connection, person: Person) -> None:
    refused = [row.id for row in quarantined_rows(connection, person)]
    for start in range(0, len(refused), _AT_ONCE):
        part = refused[start : start + _AT_ONCE]
        connection.execute(delete(QuarantinedRow).where(QuarantinedRow.id.in_(part)))
    if person.id is None:
        return
    scans, visits = scans_of(person), visits_of(person)
    for table in (Prediction, Outcome, Silhouette, Photo):
        connection.execute(delete(table).where(table.scan_id.in_(scans)))
    for table in (Scan, Reading):
        connection.execute(delete(table).where(table.visit_id.in_(visits)))
    connection.execute(delete(Visit).where(Visit.subject_id == person.id))
    connection.execute(delete(Subject).where(Subject.id == person.id))


def _tombstone(connection: Connection, person: Person, reason: str, counts: dict[str, int], *, analysed: bool) -> int:
    last = select(func.coalesce(func.max(Erasure.number), 0)).where(Erasure.study_id == person.study_id)
    number = connection.execute(last).scalar_one() + 1
    connection.execute(
        insert(Erasure).values(
            study_id=person.study_id, number=number, counts=counts, analysed=analysed, reason=reason,
            fingerprint=fingerprint(identity_of(connection), person.study, person.code),
            erased_at=audit.utc_now(), erased_by=audit.current_actor(),
        )
    )  # fmt: skip
    return number


def _needles(connection: Connection, person: Person, files: list[StoredPhoto]) -> dict[str, bytes]:
    """What to look for afterwards: the hashes of files that were the person's alone, and the code.

    A code that is short, a plain number, or part of somebody else's code would be found where it means something else.
    """
    needles = {}
    for sha256, _ in files:
        held = [select(table.id).where(table.sha256 == sha256).limit(1) for table in (Photo, Silhouette)]
        if not any(connection.execute(query).first() for query in held):
            needles[f"the hash {sha256[:12]}… of a photo or silhouette"] = sha256.encode()
    another = select(Subject.id).where(Subject.code.contains(person.code, autoescape=True)).limit(1)
    if len(person.code) >= _DISTINCTIVE and not person.code.isdecimal() and not connection.execute(another).first():
        needles["the subject's code"] = person.code.encode()
    return needles
