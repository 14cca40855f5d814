"""Ingest, from source files to the registry.

Twice over the data: first every source is mapped and staged on disk while the facts are gathered that no single row
holds; then each staged chunk is checked, and what passed is loaded in one transaction. Up to that transaction nothing
of the registry is touched, and the transaction is committed whole or not at all.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, func, insert, select, update

from studies.canonical import KEYS, TABLES
from studies.errors import Faults, StorageError
from studies.ingest import normalise
from studies.ingest.admission import Admission
from studies.ingest.load import LOADED, VIEWS, Loader
from studies.ingest.mapping import Mapping
from studies.ingest.photo_check import check_photos
from studies.ingest.quarantine import (
    MALFORMED,
    Collected,
    Failure,
    QuarantinedSourceRow,
    QuarantinedSourceRows,
    QuarantineFiles,
    examples_of,
    with_content,
)
from studies.ingest.registered import gather_registered, registered_people
from studies.ingest.report_folder import PROVISIONAL, bring_photos, finish, remove_unregistered, settle_unfinished
from studies.ingest.staging import Stage
from studies.ingest.transform import Binding, BoundRule, Transformer, bind
from studies.photos import PhotoStore
from studies.privacy.source_rows import subject_columns, used_columns
from studies.progress import NoProgress, Progress
from studies.quality.facts import Facts, Gathered, repeats
from studies.quality.rules import Row, Rule, rules_of
from studies.quality.validate import Suite
from studies.readers import ReaderOptions, SourceTable, explain_number, file_sha256, open_sources, redcap_tables
from studies.registry import audit
from studies.registry.catalogue import StudyRecord, find_study
from studies.registry.claims import claim
from studies.registry.provenance import study_provenance
from studies.registry.schema import IngestBatch, QuarantinedRow
from studies.registry.workspace import Registry
from studies.version import VERSION

_CONTENT = {
    "subjects": ("site", "sex", "age", "birth_date", "enrolled_on", "ethnicity", "consent", "attributes"),
    "scans": ("captured_at", "device", "rendered", *VIEWS),
    "readings": ("value", "unit", "measured_at"),
}
_NORMALISE = {"subjects": normalise.subjects, "scans": normalise.scans, "readings": normalise.readings}
_ORDER = ("subjects", "scans", "readings")
CHANGES_SHOWN = 200
_WRITTEN = 100_000  # rows between two steps of the progress
_FILED = 2_000  # refused rows that are written at once
_TOLD = 5_000  # rows at fault that are looked at at once


@dataclass
class IngestResult:
    """The ingest report (see `report`), and where its files lie."""

    report: dict[str, Any]
    folder: Path | None

    @property
    def rejected(self) -> int:
        return self.report["quarantine"]["rows"]


def ingest(
    registry: Registry,
    study_name: str,
    paths: Sequence[Path],
    mapping: Mapping,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> IngestResult:
    """Bring source files into a study.

    Good rows go in, bad rows go to quarantine, both in one transaction; `dry_run` does everything and rolls back.
    Raises DataError (or Faults) where a source cannot be read or does not fit the mapping: then nothing goes in.
    """
    progress = progress or NoProgress()
    started, clock = audit.utc_now(), time.monotonic()
    settle_unfinished(registry)
    with registry.reading() as connection:
        study = find_study(connection, study_name)
    admission = Admission(registry, study, dry_run=dry_run)
    opened: list[SourceTable] = []
    try:
        with progress.stage("Opening"):
            opened = open_sources([Path(path) for path in paths], options=_reader_options(mapping))
            tables = redcap_tables(opened) if mapping.reader == "redcap" else opened
        with progress.stage("Preparing"):
            binding = bind(mapping, tables)
        if binding.faults:
            raise binding.faults[0] if len(binding.faults) == 1 else Faults(binding.faults)
        with registry.scratch() as scratch:
            work = _Work(registry, study, mapping, tables, binding, admission, scratch, progress)
            work.read()
            work.check()
            result = work.load(started=started, clock=clock, dry_run=dry_run)
    finally:
        admission.close()
        for table in opened:
            table.close()
    return result


def _reader_options(mapping: Mapping) -> ReaderOptions:
    options = mapping.options
    return ReaderOptions(
        delimiter=options.delimiter, encoding=options.encoding, decimal=options.decimal, sheet=options.sheet
    )


@dataclass
class _Work:
    """One ingest at work."""

    registry: Registry
    study: StudyRecord
    mapping: Mapping
    tables: list[SourceTable]
    binding: Binding
    admission: Admission
    scratch: Path
    progress: Progress
    staged: dict[str, Stage] = field(default_factory=dict)
    accepted: dict[str, Stage] = field(default_factory=dict)
    collected: Collected = field(default_factory=Collected)

    def __post_init__(self) -> None:
        self.gathered = Gathered(order=self.mapping.visits)
        self.names = [_shown_name(table, self.tables) for table in self.tables]
        self._rules = {table: rules_of(table) for table in _ORDER}
        self._photos = PhotoStore(self.scratch / "photos")  # until their scans are loaded

    # First time over the data -----------------------------------------------------------------------------------

    def read(self) -> None:
        """Map every source and stage it."""
        for table in _ORDER:
            self.staged[table] = Stage(self.scratch, f"staged-{table}")
            self.accepted[table] = Stage(self.scratch, f"accepted-{table}")
        counts = [rule.source.expected_rows for rule in self.binding.rules]
        total = None if None in counts else 2 * sum(count or 0 for count in counts)
        with self.progress.stage("Reading", total) as stage:
            for table in _ORDER:
                for bound in (rule for rule in self.binding.rules if rule.table == table):
                    transformer = Transformer(bound, self.mapping.options, stage.advance)
                    transformer.observe_dates()
                    for chunk in transformer.chunks():
                        chunk = self.admission.admit(_NORMALISE[table](chunk), bound)
                        chunk["rule_index"] = self.binding.rules.index(bound)
                        self.gathered.add(table, chunk)
                        self.staged[table].add(chunk)
        for index, table in enumerate(self.tables):
            for bad in table.malformed:
                self.collected.failures.append(
                    Failure(
                        MALFORMED, "source", "reject", index, bad.row, None, bad.reason,
                        "Mend the row: check delimiters, quotes and line breaks in it.",
                    )
                )  # fmt: skip

    # Second time ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Run the rules over everything staged; what passes is accepted, with the warnings as flags."""
        with self.progress.stage("Preparing"):
            suites = {table: Suite(table, self._rules[table]) for table in _ORDER if self.staged[table].rows}
            people = self._known_people()
            repeated = {table: self._repeated(table) for table in _ORDER}
            facts = Facts(self.gathered, now=datetime.now(), repeated=repeated, people=people)
        total = sum(stage.rows for stage in self.staged.values())
        with self.progress.stage("Checking", total) as stage:
            for table, suite in suites.items():
                if table != "subjects":
                    facts.people = people
                for chunk in self.staged[table].frames():
                    chunk = getattr(facts, table)(chunk)
                    if table == "scans":
                        chunk = check_photos(chunk, self.tables, self._photos, stage)
                    good = self._judge(table, suite, chunk)
                    self.accepted[table].add(good[list(LOADED[table])])
                    if table == "subjects":
                        people = _with_new_people(people, chunk, good, self.names)
                    if table != "scans":  # of which every one is told, since photos take long
                        stage.advance(len(chunk))
                self.staged[table] = Stage(self.scratch, f"checked-{table}")  # nothing is needed of it any more
                shutil.rmtree(self.scratch / f"staged-{table}", ignore_errors=True)

    def _judge(self, table: str, suite: Suite, chunk: pd.DataFrame) -> pd.DataFrame:
        failures = suite.failures(chunk)
        bad = np.zeros(len(chunk), dtype=bool)
        for rule in suite.rules.values():
            if rule.severity == "reject":
                bad[failures.of(rule)] = True
        flags: dict[int, list[str]] = {}
        for name, rule in suite.rules.items():
            rows = failures.of(rule)
            if rule.severity == "warn":
                rows = rows[~bad[rows]]  # a row that stays out needs no flag
                for position in rows:
                    flags.setdefault(int(position), []).append(name)
            self.collected.count(rule, len(chunk), len(rows))
            for first in range(0, len(rows), _TOLD):
                for row in chunk.iloc[rows[first : first + _TOLD]].to_dict("records"):
                    self.collected.failures.append(self._failure(table, rule, row))
        self.collected.rejected_rows[table] += int(bad.sum())
        self.collected.flagged_rows[table] += len(flags)
        marks = np.full(len(chunk), None, dtype=object)
        for position, names in flags.items():
            marks[position] = ",".join(names)
        chunk["flags"] = pd.Series(marks, index=chunk.index, dtype="str")
        return chunk[~bad].reset_index(drop=True) if bad.any() else chunk

    def _failure(self, table: str, rule: Rule, row: Row) -> Failure:
        bound = self.binding.rules[int(row["rule_index"])]
        column = self._source_column(bound, rule, row)
        reason, remedy = rule.explain(row)
        words = [sys.intern(text) for text in (reason, remedy)]  # most say the same
        failure = Failure(rule.name, table, rule.severity, int(row["source"]), int(row["row"]), column, *words)
        return failure if pd.isna(row["subject_id"]) else replace(failure, subject=row["subject_id"])

    @staticmethod
    def _source_column(bound: BoundRule, rule: Rule, row: Row) -> str | None:
        if rule.column == "photo":
            return next((bound.value_column(view) for view in VIEWS if view == row.get("photo_view")), None)
        if rule.table == "readings" and rule.column in ("value", "measurand", "unit"):
            found = bound.value_column(rule.column)
            return found or row["column"] or None
        return bound.value_column(rule.column)

    def _known_people(self) -> pd.DataFrame:
        """Subjects that are registered already; what else is known of them is gathered, to judge the rows beside."""
        with self.registry.reading() as connection:
            people = registered_people(connection, self.study.id)
            if len(people) and (self.staged["readings"].rows or self.staged["scans"].rows):
                gather_registered(connection, self.study.id, self.gathered)
        return people

    def _repeated(self, table: str) -> pd.Series:
        keys = self.gathered.repeated_keys(table)
        if not len(keys):
            return pd.Series(dtype="str")
        parts = [part[part["row_key"].isin(keys)] for part in self.staged[table].frames()]
        return repeats(pd.concat(parts, ignore_index=True), KEYS[table], _CONTENT[table], self.names)

    # Into the registry ------------------------------------------------------------------------------------------

    def load(self, *, started: datetime, clock: float, dry_run: bool) -> IngestResult:
        """Load what was accepted, file what was not, and report both."""
        with self.progress.stage("Preparing"):
            rejected = QuarantinedSourceRows(self.scratch / "quarantined", self._rejected_rows())
        with (
            self.progress.stage("Writing", sum(stage.rows for stage in self.accepted.values())) as stage,
            ExitStack() as held,
        ):
            try:
                with self.registry.writing() as connection:
                    self.admission.check_unchanged(connection)
                    batch, number = self._open_batch(connection, started)
                    loader = Loader(connection, self.study, batch, self.mapping.visits)
                    self._load_all(loader, stage)
                    loader.close()
                    self._file_rejected(connection, batch, rejected)
                    report = self._report(number, loader, rejected, started, clock, dry_run=dry_run)
                    self._close_batch(connection, batch, number, loader, report)
                    name = f"{self.study.name}-{'dry-run' if dry_run else number}{PROVISIONAL}"
                    folder = held.enter_context(claim(self.registry.ingests / name))
                    self._write_files(folder, report, rejected)
                    if dry_run:
                        raise _RollBack(finish(folder))
                    bring_photos(folder, self._photos, self.registry.photos, loader.photos, loader.replaced_photos)
            except _RollBack as dry:
                return IngestResult(report, dry.folder)
            except BaseException:
                held.close()
                with suppress(StorageError):  # then the next ingest settles it
                    settle_unfinished(self.registry)
                raise
            if loader.replaced_photos:
                remove_unregistered(self.registry, loader.replaced_photos)
            return IngestResult(report, finish(folder))

    def _open_batch(self, connection: Connection, started: datetime) -> tuple[int, int]:
        last = select(func.coalesce(func.max(IngestBatch.number), 0)).where(IngestBatch.study_id == self.study.id)
        number = connection.execute(last).scalar_one() + 1
        key = connection.execute(
            insert(IngestBatch)
            .values(
                study_id=self.study.id, number=number, actor=audit.current_actor(), status="loading",
                mapping_name=self.mapping.name, mapping_hash=self.mapping.sha256(), mapping=self.mapping.document(),
                sources=[], counts={}, started_at=started, finished_at=started,
            )
            .returning(IngestBatch.id)
        ).scalar_one()  # fmt: skip
        return key, number

    def _load_all(self, loader: Loader, stage: Any) -> None:
        loader.subjects(self.accepted["subjects"].frames())
        stage.advance(self.accepted["subjects"].rows)
        both = (self.accepted[table].frames(["subject_id", "visit"]) for table in ("scans", "readings"))
        loader.visits(chunk for frames in both for chunk in frames)
        for table, load in (("scans", loader.scans), ("readings", loader.readings)):
            for chunk in self.accepted[table].frames():
                for first in range(0, len(chunk), _WRITTEN):
                    load(chunk.iloc[first : first + _WRITTEN])
                    stage.advance(min(_WRITTEN, len(chunk) - first))

    def _close_batch(
        self, connection: Connection, batch: int, number: int, loader: Loader, report: dict[str, Any]
    ) -> None:
        connection.execute(
            update(IngestBatch)
            .where(IngestBatch.id == batch)
            .values(
                status=report["status"], sources=report["sources"], counts=report["tables"],
                finished_at=audit.utc_now(),
            )
        )  # fmt: skip
        detail = {
            "batch": number, "mapping": report["mapping"], "tables": report["tables"],
            "sources": {source["file"]: source["sha256"] for source in report["sources"]},
            "quarantined": report["quarantine"]["rows"], "rendered_scans": loader.rendered_scans,
        }  # fmt: skip
        audit.append(
            connection, [audit.Event("ingest", "study", self.study.name, detail, self.study.name), *loader.events]
        )

    def _rejected_rows(self) -> Iterator[QuarantinedSourceRow]:
        return self._concealed(with_content(self.collected.rejected(), self.tables, self._told))

    def _concealed(self, rows: Iterator[QuarantinedSourceRow]) -> Iterator[QuarantinedSourceRow]:
        """Refused rows as the study may keep them."""
        if not self.admission.pseudonymised:
            yield from rows
            return
        document = self.mapping.document()
        used, identifying = used_columns(document), subject_columns(document)
        for row in rows:
            yield self.admission.concealed(row, used, identifying)

    def _told(self, failure: Failure) -> Failure:
        """The failure with the reason why its value cannot be read, where that is what failed."""
        field_name = failure.rule.removesuffix("_readable")
        item = next((item for item in TABLES.get(failure.table, ()) if item.name == field_name), None)
        if failure.rule == field_name or item is None or failure.value is None:
            return failure
        table = self.tables[failure.source]
        if item.kind == "number":
            return replace(failure, reason=explain_number(failure.value, table.decimal))
        if item.kind in ("date", "moment"):
            parsers = (rule.dates.get(failure.column or "") for rule in self.binding.rules if rule.source is table)
            parser = next((parser for parser in parsers if parser is not None), None)
            return replace(failure, reason=parser.explain(failure.value)) if parser else failure
        return failure

    def _file_rejected(self, connection: Connection, batch: int, rejected: QuarantinedSourceRows) -> None:
        """Into the quarantine, but for rows that lie there already, word for word."""
        present = set(
            connection.execute(
                select(QuarantinedRow.fingerprint).where(QuarantinedRow.study_id == self.study.id)
            ).scalars()
        )
        rows = []
        alike: Counter[str] = Counter()
        for row in rejected:
            same = row.fingerprint(self.study.name, self.names[row.source])
            alike[same] += 1
            fingerprint = f"{same}-{alike[same]}"  # two rows of one file that say the same are two rows
            if fingerprint in present:
                continue
            rows.append(
                {
                    "study_id": self.study.id, "batch_id": batch, "fingerprint": fingerprint,
                    "source": self.names[row.source], "source_row": row.row, "content": row.kept(),
                    "reasons": row.reasons(),
                }
            )  # fmt: skip
            if len(rows) >= _FILED:
                connection.execute(insert(QuarantinedRow), rows)
                rows = []
        if rows:
            connection.execute(insert(QuarantinedRow), rows)

    def _write_files(self, folder: Path, report: dict[str, Any], rejected: QuarantinedSourceRows) -> None:
        files = QuarantineFiles(folder / "quarantine", self.tables)
        for row in rejected:
            files.add(row)
        files.close()
        report["quarantine"]["files"] = [str(path.relative_to(folder)) for path in files.paths]
        text = json.dumps(report, indent=2, ensure_ascii=False, default=str)
        (folder / "ingest.json").write_text(text + "\n", encoding="utf-8")

    # Report -----------------------------------------------------------------------------------------------------

    def _report(
        self,
        number: int,
        loader: Loader,
        rejected: QuarantinedSourceRows,
        started: datetime,
        clock: float,
        *,
        dry_run: bool,
    ) -> dict[str, Any]:
        shown = examples_of(failure for row in rejected for failure in row.failures)
        failures = sum(len(row.failures) for row in rejected)
        doubted = self._concealed(with_content(examples_of(self.collected.flagged()), self.tables, self._told))
        flagged = [failure for row in doubted for failure in row.failures]
        tables: dict[str, dict[str, int]] = {}
        for table in _ORDER:
            counts = loader.counts.get(table)
            tables[table] = {
                "read": self.accepted[table].rows + self.collected.rejected_rows[table],
                "new": counts.new if counts else 0,
                "changed": counts.changed if counts else 0,
                "unchanged": counts.unchanged if counts else 0,
                "rejected": self.collected.rejected_rows[table],
                "flagged": self.collected.flagged_rows[table],
            }
        tables["visits"] = {"new": loader.counts["visits"].new if "visits" in loader.counts else 0}
        touched = sum(tables[table]["new"] + tables[table]["changed"] for table in _ORDER)
        return {
            "calliper": {"format": 1, "version": VERSION},
            "study": self.study.name,
            "provenance": study_provenance(loader.connection, self.study.id),
            "batch": None if dry_run else number,
            "dry_run": dry_run,
            "status": "dry run" if dry_run else "ingested" if touched else "unchanged",
            "mapping": {"name": self.mapping.name, "hash": self.mapping.sha256()},
            "actor": audit.current_actor(),
            "started": started.isoformat(timespec="seconds") + "Z",
            "seconds": round(time.monotonic() - clock, 2),
            "sources": self._sources(),
            "tables": tables,
            "rules": self._rule_counts(),
            "quarantine": {
                "rows": len(rejected),
                "files": [],
                "examples": [failure.as_dict(self.names) for failure in shown],
            },
            "flagged": {
                "rows": len({(f.source, f.row) for f in self.collected.flagged()}),
                "examples": [failure.as_dict(self.names) for failure in flagged],
            },
            "changes": [change.as_dict() for change in loader.changes[:CHANGES_SHOWN]],
            "notes": self._notes(failures - len(shown), len(loader.changes)),
        }

    def _notes(self, not_shown: int, changes: int) -> list[str]:
        notes = [*self.binding.notes, *(note for table in self.tables for note in table.notes)]
        if not_shown:
            notes.append(
                f"Of each rule the first faults are shown; the CSV files hold the other {not_shown:,} as well."
            )
        if changes > CHANGES_SHOWN:
            notes.append(f"{changes:,} values changed; the first {CHANGES_SHOWN} are shown, the audit trail holds all.")
        return notes

    def _sources(self) -> list[dict[str, Any]]:
        listed = []
        for index, table in enumerate(self.tables):
            rules = [rule for rule in self.binding.rules if rule.source_index == index]
            not_selected = [
                {"reason": reason, "n": count} for rule in rules for reason, count in rule.not_selected.items()
            ]
            listed.append(
                {
                    "file": self.names[index], "format": table.format, "encoding": table.encoding,
                    "sha256": file_sha256(table.path), "bytes": table.path.stat().st_size,
                    "rows": max((rule.rows_read for rule in rules), default=None),
                    "columns": len(table.columns), "used_as": self.binding.used_as.get(index, []),
                    "rows_not_selected": not_selected,
                    "unused_columns": self.binding.unused_columns.get(index, []),
                }
            )  # fmt: skip
        return listed

    def _rule_counts(self) -> list[dict[str, Any]]:
        listed = []
        malformed = sum(failure.rule == MALFORMED for failure in self.collected.failures)
        if malformed:
            listed.append(
                {
                    "rule": MALFORMED, "table": "source", "severity": "reject",
                    "description": "every row has as many fields as the header", "checked": None, "failed": malformed,
                    "remedy": "Mend the row: check delimiters, quotes and line breaks in it.",
                }
            )  # fmt: skip
        for table in _ORDER:
            for rule in self._rules[table]:
                key = (table, rule.name)
                if key in self.collected.checked:
                    listed.append(
                        {
                            "rule": rule.name, "table": table, "severity": rule.severity,
                            "description": rule.description, "checked": self.collected.checked[key],
                            "failed": self.collected.failed[key], "remedy": rule.summary_remedy(),
                        }
                    )  # fmt: skip
        return listed


class _RollBack(Exception):
    """Ends a dry run, whose report lies in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder


def _shown_name(table: SourceTable, tables: Sequence[SourceTable]) -> str:
    """The file's name; with the table's where one file holds several, with its folder where names are the same."""
    alike = [other for other in tables if other.path.name == table.path.name]
    name = table.path.name
    if len({other.path for other in alike}) > 1:
        name = f"{table.path.parent.name}/{name}"
    if len([other for other in alike if other.path == table.path]) > 1:
        name += f" ({table.name})"
    return name


def _with_new_people(people: pd.DataFrame, chunk: pd.DataFrame, good: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """`people` with the accepted subjects added, and the rejected ones with the place of the fault."""
    new = good[["subject_id", "birth_date", "enrolled_on", "known_age"]].rename(columns={"known_age": "age"})
    new["registered"], new["problem"] = True, pd.Series(pd.NA, index=new.index, dtype="str")
    new = new.set_index("subject_id")
    if len(people):  # what the new rows do not say is still known
        facts = ["birth_date", "enrolled_on", "age"]
        new[facts] = new[facts].fillna(people[facts].reindex(new.index))
    # Not `isin`, which takes seconds for texts.
    unknown = (new.index.get_indexer(chunk["subject_id"]) < 0) & (people.index.get_indexer(chunk["subject_id"]) < 0)
    refused = chunk[unknown & chunk["subject_id"].notna()].drop_duplicates("subject_id")
    bad = people.reindex(pd.Index(refused["subject_id"], name="subject_id"))
    bad["registered"] = False
    bad["problem"] = [
        f"subject '{row.subject_id}' was itself refused ({names[row.source]} row {row.row:,})"
        for row in refused.itertuples()
    ]
    kept = people[new.index.get_indexer(people.index) < 0]
    return pd.concat([part for part in (kept, new, bad) if len(part)] or [people])
