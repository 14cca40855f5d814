"""People who were erased: how an ingest knows them again, and what later reports say of them.

A source that is ingested again would bring an erased person back. So an erasure leaves a keyed hash of study and code,
by which the person's rows are known and passed over. It cannot be turned back into the code; whoever has the database
and guesses a code can try whether it is the one.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from sqlalchemy import Connection, func, select

from studies.registry.identity import identity_of
from studies.registry.schema import Erasure, Report, Study

NOT_ADMITTED = "belongs to a person who was erased"


def fingerprint(registry_id: str, study: str, code: str) -> str:
    """HMAC-SHA256 (hex) of study and code under the registry's identity."""
    return hmac.new(registry_id.encode(), f"{study}\0{code}".encode(), hashlib.sha256).hexdigest()


class ErasedPeople:
    """Who of a study must not come in again, as the connection sees it."""

    def __init__(self, connection: Connection, study_id: int, study: str):
        self.study = study
        self.registry_id = identity_of(connection)
        query = select(Erasure.fingerprint).where(Erasure.study_id == study_id, Erasure.fingerprint.is_not(None))
        self.fingerprints = frozenset(connection.execute(query).scalars())

    def __bool__(self) -> bool:
        return bool(self.fingerprints)

    def among(self, codes: Iterable[str]) -> set[str]:
        """Those of the codes whose people were erased."""
        if not self.fingerprints:
            return set()
        return {code for code in codes if fingerprint(self.registry_id, self.study, code) in self.fingerprints}


def erasure_notes(connection: Connection, study_id: int) -> list[str]:
    """What every analysis of a study from now on must say of people who were erased; nothing where there are none."""
    erased = connection.execute(
        select(func.count(), func.max(Erasure.erased_at)).where(Erasure.study_id == study_id)
    ).one()
    if not erased[0]:
        return []
    first, last = connection.execute(
        select(func.min(Report.number), func.max(Report.number)).where(
            Report.study_id == study_id, Report.created_at <= erased[1]
        )
    ).one()
    people = "One subject was" if erased[0] == 1 else f"{erased[0]:,} subjects were"
    sentence = f"{people} erased from the registry, last on {erased[1]:%Y-%m-%d}, and are not in this analysis."
    if erased[0] == 1:
        sentence = f"{people} erased from the registry on {erased[1]:%Y-%m-%d} and is not in this analysis."
    if first is None:
        return [sentence]
    which = f"Report {first} was" if first == last else f"Reports {first} to {last} were"
    return [f"{sentence} {which} made before: the same numbers cannot be computed from the registry any more."]


def erasure_count(connection: Connection, study: str) -> int:
    """How many people were erased from a study so far."""
    query = select(func.count()).select_from(Erasure).join(Study, Erasure.study_id == Study.id)
    return connection.execute(query.where(Study.name == study)).scalar_one()


def erasures_of(connection: Connection, study: str | None = None) -> list[dict]:
    """Every erasure, oldest first: study, number, when, by whom, why, and what went."""
    query = select(Erasure.__table__, Study.name.label("study")).join(Study, Erasure.study_id == Study.id)
    if study is not None:
        query = query.where(Study.name == study)
    rows = connection.execute(query.order_by(Erasure.erased_at, Erasure.id)).mappings()
    keys = ("study", "number", "erased_at", "erased_by", "reason", "counts")
    return [
        {**{key: row[key] for key in keys}, "may_come_back": row["fingerprint"] is None} for row in rows
    ]  # fmt: skip
