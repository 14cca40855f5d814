"""What every reader must be told first: that people are synthetic, that photos are rendered.

A subject is synthetic where its attribute `synthetic` says so; a scan is rendered where its column `rendered` does. The
sentences here stand in ingest reports, in analyses and on every page of a report.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, select

from studies.registry.schema import Scan, Subject, Visit

_YES = ("yes", "true", "1")  # how an attribute says yes, in small letters, whatever type its file gave it


def count_synthetic_subjects(study_id: int) -> Select[Any]:
    """The query for the number of synthetic subjects of a study."""
    says_so = func.lower(Subject.attributes["synthetic"].as_string()).in_(_YES)
    return select(func.count()).select_from(Subject).where(Subject.study_id == study_id, says_so)


def count_scans(study_id: int) -> Select[Any]:
    """The query for the number of scans of a study."""
    scans = select(func.count()).select_from(Scan).join(Visit, Scan.visit_id == Visit.id)
    return scans.join(Subject, Visit.subject_id == Subject.id).where(Subject.study_id == study_id)


def count_rendered_scans(study_id: int) -> Select[Any]:
    """The query for the number of rendered scans of a study."""
    return count_scans(study_id).where(Scan.rendered)


def study_provenance(connection: Connection, study_id: int) -> list[str]:
    """What of a study is not real, in one sentence; nothing where all of it is."""
    subjects = select(func.count()).select_from(Subject).where(Subject.study_id == study_id)
    queries = (subjects, count_synthetic_subjects(study_id), count_scans(study_id), count_rendered_scans(study_id))
    return provenance_notes(*(connection.execute(query).scalar_one() for query in queries))


def provenance_notes(subjects: int, synthetic: int, scans: int, rendered: int) -> list[str]:
    """The sentence of `study_provenance` for these counts: `synthetic` of the subjects, `rendered` of the scans."""
    made, hence = [], []
    if synthetic:
        made.append(f"{_share(synthetic, subjects, 'subjects of this study')} synthetic")
        hence.append("no real person was measured" if synthetic == subjects else "these are no real people")
    if rendered:
        made.append(f"{_share(rendered, scans, 'scans of it' if made else 'scans of this study')} rendered")
        hence.append("no one was photographed" if rendered == scans else "no camera took these")
    if not made:
        return []
    first = " and ".join(made)
    return [f"{first[0].upper()}{first[1:]}: {', '.join(hence)}, and no clinical claim rests on it."]


def _share(part: int, whole: int, what: str) -> str:
    if part == whole:
        return f"all {what} are"
    return f"{part:,} of {whole:,} {what} {'is' if part == 1 else 'are'}"
