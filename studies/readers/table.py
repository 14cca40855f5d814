"""SourceTable: what a file becomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from studies.errors import DataError, Where


@dataclass(frozen=True)
class MalformedRow:
    """A row that does not fit its table. `row` is the number that a person sees, `text` the row as it stands."""

    row: int
    text: str
    reason: str


class SourceTable(ABC):
    """One table of one file, read in chunks, as often as wanted. No file stays open between two readings.

    path: the file. name: its stem, or "book/sheet" for one of several sheets. format: csv, excel, parquet, xpt, redcap.
    columns: names, stripped of blanks. typed: False when every value is raw text (dtype str, missing = NaN).
    decimal: "." or ",", for `parse_numbers`. encoding, delimiter: as detected or given (text formats, else None).
    first_row: number of the first data row as a person sees it. size: bytes of the file.
    expected_rows: about how many rows there are, where that is known before they are read (for progress bars).
    malformed: rows that do not fit, in order of row; filled while chunks are consumed, each row once.
    notes: sentences about what the reader decided or left out.
    """

    format: str = ""
    typed: bool = True
    expected_rows: int | None = None

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        columns: Sequence[str],
        decimal: str = ".",
        first_row: int = 1,
        encoding: str | None = None,
        delimiter: str | None = None,
        sheet: str | None = None,
    ):
        self.path = Path(path)
        self.name = name
        self.columns = list(columns)
        self.decimal = decimal
        self.first_row = first_row
        self.encoding = encoding
        self.delimiter = delimiter
        self.sheet = sheet
        self.notes: list[str] = []
        self._malformed: dict[int, MalformedRow] = {}
        self._stamp = _stamp(self.path)
        self.size = self._stamp[0]

    @property
    def malformed(self) -> list[MalformedRow]:
        return [self._malformed[row] for row in sorted(self._malformed)]

    def chunks(self, columns: Sequence[str] | None = None, rows: int = 50_000) -> Iterator[pd.DataFrame]:
        """Frames of at most `rows` rows with the given columns (all by default), indexed by "row".

        Rows without any value at all are passed over. Raises DataError when the file has changed since it was
        opened, cannot be read to its end, or lacks a column.
        """
        if rows < 1:
            raise ValueError(f"rows must be at least 1, not {rows}")
        wanted = list(self.columns) if columns is None else list(columns)
        missing = [column for column in wanted if column not in self.columns]
        if missing:
            raise DataError(
                f"has no column {_listed(missing)}.",
                where=self.where(),
                remedy=f"Its columns are {_listed(self.columns)}.",
            )
        return self._checked_chunks(wanted, rows)

    def where(self, row: int | None = None, column: str | None = None) -> Where:
        """A place in this table, for messages."""
        return Where(file=str(self.path), sheet=self.sheet, row=row, column=column)

    @property
    def origin(self) -> SourceTable:
        """The table as it lies on disk; another than this one only where one file holds several tables interleaved."""
        return self

    def origin_column(self, column: str) -> str:
        """The name that one of this table's columns has on disk."""
        return column

    def close(self) -> None:  # noqa: B027 - most tables have nothing to close
        """Nothing is kept open; there so that callers need not know."""

    def _checked_chunks(self, columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
        if _stamp(self.path) != self._stamp:
            raise DataError(
                "has changed since it was opened.",
                where=self.where(),
                remedy="Wait until nothing writes to it any more, then start again.",
            )
        yield from self._chunks(columns, rows)

    @abstractmethod
    def _chunks(self, columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
        """The frames; `columns` are known to exist."""

    def _reject(self, row: int, text: str, reason: str) -> None:
        self._malformed.setdefault(row, MalformedRow(row, text, reason))

    def __repr__(self) -> str:
        return f"<SourceTable {self.name} ({self.format}, {len(self.columns)} columns) of {self.path}>"


def name_faults(names: Sequence[str], where: Where, *, first: int = 1) -> list[DataError]:
    """One DataError for the columns without a name, one for each name that occurs more than once. `first`: number of
    the first column."""
    faults = []
    empty = [number for number, name in enumerate(names, start=first) if not name]
    if empty:
        which = ", ".join(f"{number} ({column_letters(number)})" for number in empty[:10])
        more = f" and {len(empty) - 10} more" if len(empty) > 10 else ""
        faults.append(
            DataError(
                f"column {which}{more} has no name in the header."
                if len(empty) == 1
                else f"columns {which}{more} have no name in the header.",
                where=where,
                remedy="Give every column a name, or delete the column.",
            )
        )
    places: dict[str, list[int]] = {}
    for number, name in enumerate(names, start=first):
        if name:
            places.setdefault(name, []).append(number)
    for name, numbers in places.items():
        if len(numbers) > 1:
            which = ", ".join(f"{number} ({column_letters(number)})" for number in numbers[:10])
            faults.append(
                DataError(
                    f"the name '{name}' stands over {len(numbers)} columns: {which}.",
                    where=where,
                    remedy="Rename or delete all but one of them.",
                )
            )
    return faults


def column_letters(number: int) -> str:
    """The letters that a spreadsheet shows over column `number` (1 = A, 27 = AA)."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror or error}).", where=str(path), remedy="Check that it is still there."
        ) from error
    return status.st_size, status.st_mtime_ns


def _listed(names: Sequence[str], most: int = 12) -> str:
    text = ", ".join(f"'{name}'" for name in names[:most])
    return f"{text} and {len(names) - most} more" if len(names) > most else text
