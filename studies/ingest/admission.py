"""Who comes into the registry, and under which name: at the door of an ingest, before anything is written to disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
from sqlalchemy import Connection

from studies.errors import StorageError
from studies.privacy.links import LinkTable, needs_links, open_links
from studies.privacy.source_rows import as_plain_code
from studies.registry.catalogue import StudyRecord, current_plan
from studies.registry.erasures import NOT_ADMITTED, ErasedPeople

if TYPE_CHECKING:
    from studies.ingest.quarantine import Failure, QuarantinedSourceRow
    from studies.ingest.transform import BoundRule
    from studies.registry.workspace import Registry

WITHHELD = "(not kept: the study is pseudonymised)"


class Admission:
    """Passes over the rows of people who were erased and, in a pseudonymised study, replaces identifiers.

    dry_run: no link is written down.
    """

    def __init__(self, registry: Registry, study: StudyRecord, *, dry_run: bool = False):
        self.study, self.dry_run = study, dry_run
        with registry.reading() as connection:
            self.erased = ErasedPeople(connection, study.id, study.name)
            privacy = current_plan(connection, study.id).plan.privacy
        self.links: LinkTable | None = None
        if privacy is not None and privacy.pseudonymise:
            self.links = open_links(registry.folder, self.erased.registry_id)
            if self.links is None:
                raise needs_links(study.name)
        self._names: dict[str, str] = {}  # identifier -> pseudonym, as far as they came by

    @property
    def pseudonymised(self) -> bool:
        return self.links is not None

    def close(self) -> None:
        if self.links is not None:
            self.links.close()

    def admit(self, chunk: pd.DataFrame, bound: BoundRule) -> pd.DataFrame:
        """The rows of a canonical chunk that may come in. Those that may not are counted with their reason."""
        if self.links is not None:
            chunk = self._pseudonymised(chunk, self.links)
        if not self.erased:
            return chunk
        codes = chunk["subject_id"]
        out = codes.isin(list(self.erased.among(codes.dropna().unique().tolist())))
        if out.any():
            bound.not_selected[NOT_ADMITTED] += chunk.loc[out, "row"].nunique()
            chunk = chunk[~out].reset_index(drop=True)
        return chunk

    def check_unchanged(self, connection: Connection) -> None:
        """Raises StorageError where somebody was erased since the rows were read. In the writing transaction."""
        now = ErasedPeople(connection, self.study.id, self.study.name)
        if now.fingerprints - self.erased.fingerprints:
            raise StorageError(
                "Somebody was erased from this study while the sources were being read.",
                remedy="Nothing was written. Start the ingest again: it passes over the rows of that person.",
            )

    def _pseudonymised(self, chunk: pd.DataFrame, links: LinkTable) -> pd.DataFrame:
        given = chunk["subject_id"].astype("object")
        new = [one for one in given.dropna().unique().tolist() if one not in self._names]
        if new:
            self._names |= links.pseudonyms(self.study.name, new, keep=not self.dry_run)
        columns = {"subject_id": given.map(self._names).astype("str")}
        if "scan_id" in chunk:  # scans are often named after the person
            columns["scan_id"] = pd.Series(
                [
                    self._conceal(scan, subject)
                    for scan, subject in zip(chunk["scan_id"].tolist(), given.tolist(), strict=True)
                ],
                index=chunk.index, dtype="str",
            )  # fmt: skip
        return chunk.assign(**columns)

    def _conceal(self, text: object, identifier: object) -> object:
        if not isinstance(text, str) or not isinstance(identifier, str):
            return text
        name = self._names.get(identifier)
        return text if name is None else text.replace(identifier, name)

    # Rows that are refused ------------------------------------------------------------------------------------------

    def concealed(
        self, row: QuarantinedSourceRow, used: frozenset[str] | None, subject_columns: frozenset[str]
    ) -> QuarantinedSourceRow:
        """A refused row as a pseudonymised study may keep it: columns that the mapping uses, under the pseudonym.

        used, subject_columns: casefolded names of the columns that the mapping reads (None: all), and of those with
        identifiers.
        """
        if self.links is None:
            return row
        if row.text is not None:  # it fits no columns, so nobody knows where in it the identifier stands
            failures = [replace(failure, value=WITHHELD) for failure in row.failures]
            return replace(row, text=WITHHELD, failures=failures)
        content = {name: value for name, value in row.content.items() if used is None or name.casefold() in used}
        whose = [
            identifier
            for name, value in content.items()
            if name.casefold() in subject_columns and (identifier := as_plain_code(value)) in self._names
        ]
        for identifier in whose:
            pseudonym = self._names[identifier]
            content = {
                name: pseudonym
                if name.casefold() in subject_columns and as_plain_code(value) == identifier
                else value.replace(identifier, pseudonym)
                for name, value in content.items()
            }
        failures = [self._concealed(failure, whose) for failure in row.failures]
        return replace(row, content=content, failures=failures)

    def _concealed(self, failure: Failure, identifiers: list[str]) -> Failure:
        value, reason = failure.value, failure.reason
        for identifier in identifiers:
            name = self._names[identifier]
            value = None if value is None else value.replace(identifier, name)
            reason = reason.replace(identifier, name)
        return replace(failure, value=value, reason=reason)
