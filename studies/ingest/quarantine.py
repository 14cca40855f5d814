"""Rows that failed a rule: collected, told with reason and remedy, and kept in their source's own columns."""

from __future__ import annotations

import csv
import hashlib
import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from studies.canonical import EXPORT_PREFIX, REASON_COLUMN, ROW_COLUMN, TEXT_COLUMN
from studies.errors import StorageError
from studies.quality.rules import Rule
from studies.readers import SourceTable, as_text
from studies.readers.formulas import guard

EXAMPLES = 50  # of each rule, in a report
MALFORMED = "row_shape"


@dataclass(frozen=True, slots=True)
class Failure:
    """One rule that one source row failed. `column` is the source's column, where one is at fault.

    `subject`: the code of the person whom the row is about, as far as it can be read.
    """

    rule: str
    table: str
    severity: str
    source: int
    row: int
    column: str | None
    reason: str
    remedy: str
    value: str | None = None
    subject: str | None = None

    def as_dict(self, names: Sequence[str]) -> dict[str, Any]:
        return {
            "file": names[self.source], "row": self.row, "column": self.column, "value": self.value, "rule": self.rule,
            "reason": self.reason, "remedy": self.remedy, "subject_id": self.subject,
        }  # fmt: skip


@dataclass
class Collected:
    """All failures of an ingest; how many rows each rule saw and failed, and how many fell of each table."""

    failures: list[Failure] = field(default_factory=list)
    rejected_rows: Counter[str] = field(default_factory=Counter)
    flagged_rows: Counter[str] = field(default_factory=Counter)
    checked: dict[tuple[str, str], int] = field(default_factory=dict)
    failed: dict[tuple[str, str], int] = field(default_factory=dict)

    def rejected(self) -> list[Failure]:
        return [failure for failure in self.failures if failure.severity == "reject"]

    def flagged(self) -> list[Failure]:
        return [failure for failure in self.failures if failure.severity == "warn"]

    def count(self, rule: Rule, checked: int, failed: int) -> None:
        key = (rule.table, rule.name)
        self.checked[key] = self.checked.get(key, 0) + checked
        self.failed[key] = self.failed.get(key, 0) + failed


@dataclass(frozen=True, slots=True)
class QuarantinedSourceRow:
    """A source row with everything that is wrong with it. `text`: the row as it stands, where it fits no columns."""

    source: int
    row: int
    content: dict[str, str]
    failures: list[Failure]
    text: str | None = None

    def kept(self) -> dict[str, str]:
        """All that the row says, by column."""
        return self.content if self.text is None else {TEXT_COLUMN: self.text}

    def fingerprint(self, study: str, name: str) -> str:
        """The same for rows of a file that say the same and fail the same rules."""
        parts = [study, name, self.kept(), sorted({failure.rule for failure in self.failures})]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def reasons(self) -> list[dict[str, Any]]:
        return [
            {"rule": f.rule, "column": f.column, "value": f.value, "reason": f.reason, "remedy": f.remedy}
            for f in self.failures
        ]


class QuarantinedSourceRows:
    """The source rows of a quarantine, in order and on disk: a whole export may be in it."""

    def __init__(self, path: Path, rows: Iterable[QuarantinedSourceRow]):
        self.path, self._count = path, 0
        try:
            with path.open("wb") as file:
                for row in rows:
                    pickle.dump(row, file, pickle.HIGHEST_PROTOCOL)
                    self._count += 1
        except OSError as error:
            raise StorageError(
                f"The refused rows cannot be written to {path.parent}: {error.strerror or error}.",
                remedy="Free some disk space and try again; the registry was not changed.",
            ) from error

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[QuarantinedSourceRow]:
        with self.path.open("rb") as file:
            for _ in range(self._count):
                yield pickle.load(file)  # written above, in a folder of this process alone


def with_content(
    failures: Sequence[Failure], tables: Sequence[SourceTable], told: Callable[[Failure], Failure]
) -> Iterator[QuarantinedSourceRow]:
    """The source rows behind the failures, in order of source and row. Reads each source concerned once more.

    `told` may find better words for a failure once its value is known.
    """
    first: dict[int, int] = {}  # several tables of one export share its rows: they are told under the first of them
    by_source: dict[int, dict[int, list[Failure]]] = {}
    for failure in failures:
        origin = id(tables[failure.source].origin)
        source = first.setdefault(origin, failure.source)
        by_source.setdefault(source, {}).setdefault(failure.row, []).append(failure)
    for source in sorted(by_source):
        wanted = by_source[source]
        origin = tables[source].origin
        texts = {bad.row: bad.text for table in tables if table.origin is origin for bad in table.malformed}
        malformed = [
            QuarantinedSourceRow(source, row, {}, [_with_value(f, {}, texts[row]) for f in wanted.pop(row)], texts[row])
            for row in sorted(set(wanted) & set(texts), reverse=True)
        ]
        columns = own_columns(origin)
        for chunk in origin.chunks(columns) if wanted else ():
            here = chunk[chunk.index.isin(list(wanted))]
            if here.empty:
                continue
            text = pd.DataFrame({name: as_text(here[name]) for name in columns})
            for row, values in zip(text.index, text.itertuples(index=False, name=None), strict=True):
                while malformed and malformed[-1].row < row:
                    yield malformed.pop()
                content = {n: v for n, v in zip(text.columns, values, strict=True) if not pd.isna(v)}
                failed = [told(_with_value(_on_disk(f, tables[f.source]), content, None)) for f in wanted[int(row)]]
                yield QuarantinedSourceRow(source, int(row), content, failed)
        yield from reversed(malformed)


def examples_of(failures: Iterable[Failure]) -> list[Failure]:
    """The first failures of each rule, in the order given."""
    seen: Counter[str] = Counter()
    shown = []
    for failure in failures:
        seen[failure.rule] += 1
        if seen[failure.rule] <= EXAMPLES:
            shown.append(failure)
    return shown


def _on_disk(failure: Failure, table: SourceTable) -> Failure:
    """The failure with its column named as it is on disk."""
    return failure if failure.column is None else replace(failure, column=table.origin_column(failure.column))


def _with_value(failure: Failure, content: dict[str, str], text: str | None) -> Failure:
    value = text if text is not None else content.get(failure.column or "")
    return replace(failure, value=None if value is None else value[:200])


class QuarantineFiles:
    """Writes one CSV for each source: its own columns, the row number and the reasons; mended, it can be ingested."""

    def __init__(self, folder: Path, tables: Sequence[SourceTable]):
        self.folder, self.tables = folder, tables
        self._open: dict[int, Any] = {}
        self.paths: list[Path] = []

    def add(self, row: QuarantinedSourceRow) -> None:
        table = self.tables[row.source].origin
        columns = own_columns(table)
        if row.source not in self._open:
            path = _free_path(self.folder, table, self.paths)
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w", encoding="utf-8-sig", newline="")
            writer = csv.writer(file)
            writer.writerow(map(guard, [*columns, ROW_COLUMN, REASON_COLUMN]))
            self._open[row.source] = (file, writer)
            self.paths.append(path)
        reasons = " | ".join(f"{f.column + ': ' if f.column else ''}{f.reason}. {f.remedy}" for f in row.failures)
        if row.text is not None:
            reasons += f" The row: {row.text}"
        cells = [*(row.content.get(column, "") for column in columns), str(row.row), reasons]
        self._open[row.source][1].writerow(map(guard, cells))

    def close(self) -> None:
        for file, _ in self._open.values():
            file.close()


def own_columns(table: SourceTable) -> list[str]:
    """The columns of a source without those that an earlier quarantine added."""
    return [column for column in table.columns if not column.startswith(EXPORT_PREFIX)]


def _free_path(folder: Path, table: SourceTable, taken: Sequence[Path]) -> Path:
    """The name that a mapping looks for (of a sheet, its own), in a folder of its own where names are the same."""
    name = f"{table.name.rsplit('/', 1)[-1]}.csv"
    path, number = folder / name, 2
    while path in taken:
        path, number = folder / str(number) / name, number + 1
    return path
