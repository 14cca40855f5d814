"""CSV and its kin: delimiter, header and decimal mark found out, rows streamed, no row lost.

Parsing is Arrow's, on one thread, because only then does it number the rows that do not fit. A row is what a
spreadsheet would show as one: a quoted cell may run over several lines; the header is row 1 (2 below `sep=;`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from studies.errors import DataError, Faults, Where
from studies.readers.formulas import strip_guard, strip_guards
from studies.readers.options import ReaderOptions
from studies.readers.table import SourceTable, column_letters, name_faults
from studies.readers.text import TextScan, Utf8Stream, check_quotes, is_utf8, scan_text

# In order of preference where two fit equally well: a comma is the one most often found inside values.
_DELIMITERS = ["\t", ";", "|", ","]
_DELIMITER_WORDS = {"\t": "a tab", ";": "';'", "|": "'|'", ",": "','", " ": "a space"}
_SAMPLE_ROWS, _SAMPLE_CELLS, _DIALECT_ROWS = 1000, 100_000, 50
_BLANK = ' \t\r\n\f\v"\x1a\xa0\ufeff'
_SEP_LINE = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_COMMA_NUMBER = re.compile(r"[+-]?(?:[0-9]*,[0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]*)(?:[eE][+-]?[0-9]+)?")
_DOT_NUMBER = re.compile(r"[+-]?(?:[0-9]*\.[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]*)(?:[eE][+-]?[0-9]+)?")
_EITHER_NUMBER = re.compile(r"[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}")


@dataclass(frozen=True)
class Dialect:
    """delimiter; header: names as they stand, stripped; body: where the data begin, in bytes of the file as UTF-8;
    first_row: number of the first data row; sample: the cells of the first rows."""

    delimiter: str
    header: list[str]
    body: int
    first_row: int
    sample: list[list[str]] = field(repr=False)


class DelimitedTable(SourceTable):
    """A delimited text file. `faults`: what is wrong with its header (the file is still readable, for REDCap, whose
    label exports repeat names; `header` has them as they stand, `columns` tells them apart by numbers)."""

    format = "csv"
    typed = False

    def __init__(self, path: Path, dialect: Dialect, scan: TextScan, options: ReaderOptions):
        named, trailing = _named_columns(dialect)
        self.header = dialect.header[:named]
        self.faults = name_faults(self.header, Where(file=str(path), row=dialect.first_row - 1))
        super().__init__(
            path,
            name=path.stem,
            columns=distinct_names(self.header),
            decimal=options.decimal or _decimal_mark(dialect),
            first_row=dialect.first_row,
            encoding=scan.encoding,
            delimiter=dialect.delimiter,
        )
        self.expected_rows = max(0, scan.lines - dialect.first_row + 1)
        self._unnamed = trailing
        self._body = dialect.body
        self._guards = scan.apostrophes
        self._block_bytes = max(2 << 20, 2 * options.max_line_bytes)  # Arrow may hold 32 blocks
        if options.encoding is None and not is_utf8(scan.encoding) and not scan.encoding.startswith("utf"):
            self.notes.append(f"The text is not UTF-8; its encoding was taken to be {scan.encoding}.")
        if self.decimal == "," and options.decimal is None:
            self.notes.append("Numbers were taken to have a decimal comma.")
        if trailing:
            self.notes.append(
                f"{trailing} empty column{'s' if trailing > 1 else ''} without a name at the end left out."
            )

    def _chunks(self, columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
        numbering = _Numbering(self.first_row)
        waiting: list[pa.Table] = []
        held = 0
        for batch in self._batches(numbering):
            table = self._tidy(batch, numbering, columns)
            waiting.append(table)
            held += table.num_rows
            if held >= rows:
                whole = pa.concat_tables(waiting)
                for start in range(0, held - held % rows, rows):
                    yield _frame(whole.slice(start, rows), columns)
                waiting, held = [whole.slice(held - held % rows)], held % rows
        if held:
            yield _frame(pa.concat_tables(waiting), columns)

    def _batches(self, numbering: _Numbering) -> Iterator[pa.RecordBatch]:
        width = len(self.columns) + self._unnamed
        keys = [str(place) for place in range(width)]

        def misfit(row: arrow_csv.InvalidRow) -> str:
            numbering.skip(row.number)
            if row.text.strip(_BLANK + self.delimiter):  # otherwise an empty line in a shorter form
                self._reject(numbering.first_row + row.number - 1, row.text, self._misfit_reason(row.actual_columns))
            return "skip"

        with Utf8Stream(self.path, self.encoding) as stream:
            stream.read_exactly(self._body)
            try:
                reader = arrow_csv.open_csv(
                    stream,
                    read_options=arrow_csv.ReadOptions(
                        use_threads=False, block_size=self._block_bytes, column_names=keys
                    ),
                    parse_options=arrow_csv.ParseOptions(
                        delimiter=self.delimiter,
                        newlines_in_values=True,
                        ignore_empty_lines=False,  # they are rows to a spreadsheet, so they count
                        invalid_row_handler=misfit,
                    ),
                    convert_options=arrow_csv.ConvertOptions(
                        column_types={key: pa.string() for key in keys}, strings_can_be_null=True, null_values=[""]
                    ),
                )
                yield from reader
            except pa.ArrowInvalid as error:
                if "Empty CSV file" in str(error):
                    return
                raise self._unparsable(error, numbering.next_row) from error

    def _tidy(self, batch: pa.RecordBatch, numbering: _Numbering, columns: list[str]) -> pa.Table:
        """The wanted columns and the row numbers of a batch, without its empty rows."""
        table = pa.Table.from_batches([batch])
        numbers = numbering.take(batch.num_rows)
        empty = None
        for column in batch.columns:
            if column.null_count == 0 and len(column):
                empty = None
                break
            empty = pc.is_null(column) if empty is None else pc.and_(empty, pc.is_null(column))
        keep = None if empty is None else pc.invert(empty)
        if self._unnamed:
            keep = self._reject_unnamed(table, numbers, keep)
        places = [self.columns.index(column) for column in columns]
        picked = [strip_guards(table.column(place)) if self._guards else table.column(place) for place in places]
        result = pa.table([*picked, pa.array(numbers)], names=[*(str(place) for place in range(len(picked))), "row"])
        return result if keep is None or pc.all(keep).as_py() else result.filter(keep)

    def _reject_unnamed(self, table: pa.Table, numbers: np.ndarray, keep: pa.Array | None) -> pa.Array | None:
        """Rows with a value beyond the last named column do not fit."""
        named = len(self.columns)
        stray = None
        for place in range(named, named + self._unnamed):
            column = table.column(place)
            if column.null_count < len(column):
                present = pc.and_(pc.is_valid(column), pc.not_equal(pc.utf8_trim_whitespace(column), ""))
                present = pc.fill_null(present, False)
                stray = present if stray is None else pc.or_(stray, present)
        if stray is None or not pc.any(stray).as_py():
            return keep
        for place in np.flatnonzero(stray.to_numpy()):
            cells = [column[int(place)].as_py() or "" for column in table.columns]
            extra = next(number for number, cell in enumerate(cells[named:], named + 1) if cell.strip())
            self._reject(
                int(numbers[place]),
                self.delimiter.join(cells),
                f"has a value in column {extra} ({column_letters(extra)}), which has no name in the header",
            )
        stray = stray.combine_chunks()
        return pc.invert(stray) if keep is None else pc.and_(keep, pc.invert(stray))

    def _misfit_reason(self, actual: int) -> str:
        expected = len(self.columns) + self._unnamed
        reason = f"has {actual} {'cell' if actual == 1 else 'cells'}, the header has {expected}"
        if actual > expected:
            hint = ", or a decimal comma" if self.delimiter == "," else ""
            reason += f": is {_in_words(self.delimiter)} inside a text{hint}, without quotation marks around the cell?"
        return reason

    def _unparsable(self, error: pa.ArrowInvalid, row: int) -> DataError:
        if "straddl" in str(error):
            return DataError(
                f"a row near row {row:,} is longer than {self._block_bytes:,} bytes.",
                where=self.where(),
                remedy="A quotation mark may be open: close it, or delete it.",
            )
        return DataError(
            f"cannot be read as a table ({error}).", where=self.where(row), remedy="Export it again as CSV."
        )


def open_delimited(path: Path, options: ReaderOptions) -> DelimitedTable:
    """Opens a delimited text file. Raises DataError or Faults; faults of the names are left in `.faults`."""
    scan = scan_text(path, encoding=options.encoding, max_line_bytes=options.max_line_bytes)
    dialect = find_dialect(path, scan.encoding, options)
    if scan.quotes:
        check_quotes(path, encoding=scan.encoding, delimiter=dialect.delimiter, max_cell_bytes=options.max_line_bytes)
    table = DelimitedTable(path, dialect, scan, options)
    if not table.columns:
        raise Faults(table.faults)
    if next(iter(table.chunks(rows=1)), None) is None and not table.malformed:
        raise DataError(
            "has a header but no rows.", where=Where(file=str(path)), remedy="Export it again, with its data."
        )
    table._malformed.clear()
    return table


def looks_delimited(path: Path) -> bool:
    """Whether a text file without a telling name is a table and no prose: two or more columns, alike in header and
    rows, under names that are no sentences."""
    try:
        scan = scan_text(path, encoding=None, max_line_bytes=ReaderOptions().max_line_bytes)
        dialect = find_dialect(path, scan.encoding, ReaderOptions())
    except DataError:
        return False
    if any(len(name.split()) > 5 or name.endswith((".", "!", ":")) for name in dialect.header):
        return False
    fitting = sum(len(cells) == len(dialect.header) for cells in dialect.sample)
    return len(dialect.header) > 1 and fitting > 0 and fitting >= 0.8 * len(dialect.sample)


def find_dialect(path: Path, encoding: str, options: ReaderOptions) -> Dialect:
    """Delimiter, header and where the data begin. Raises DataError when there is no header, or no delimiter fits."""
    where = Where(file=str(path))
    with Utf8Stream(path, encoding) as stream:
        head_bytes = 2 * max(options.max_line_bytes, 1 << 20)
        head = stream.read_exactly(head_bytes)
    text = head.decode("utf-8", errors="ignore")  # the last character may be cut
    start, row = 0, 1
    told = _SEP_LINE.match(text)
    if told:
        start, row = told.end(), 2
    while (blank := re.compile(r"[^\S\r\n]*(?:\r\n|\r|\n)").match(text, start)) is not None:
        start, row = blank.end(), row + 1
    if not text[start:].strip(_BLANK):
        raise DataError("has no header and no rows.", where=where, remedy="Export it again, with its data.")

    said = options.delimiter or (told.group(1) if told else None)
    best = _best_delimiter(text, start)
    delimiter = said or best or ","
    cells, end = next(records(text, delimiter, start))
    if end == len(text) and len(head) >= head_bytes:
        raise DataError(
            f"the header is longer than {head_bytes:,} bytes.",
            where=Where(file=str(path), row=row),
            remedy="A quotation mark may be open in it: close it, or delete it.",
        )
    header = [strip_guard(name.strip(_BLANK)).strip(_BLANK) for name in cells]
    sample = _sample(text, delimiter, end)
    if len(header) == 1:
        where = Where(file=str(path), row=row)
        if best is not None and best != delimiter:
            raise DataError(
                f"the header is a single name with {_in_words(delimiter)} as the delimiter; "
                f"the delimiter seems to be {_in_words(best)}.",
                where=where,
                remedy=f"Set delimiter to {_in_words(best)}, or leave it out to have it detected.",
            )
        if said is None and (width := _width_below(text, end)) > 2:
            raise DataError(
                f"the first row has a single cell, but the rows below it have {width}.",
                where=where,
                remedy="The first row must name the columns: delete titles and notes above it.",
            )
    return Dialect(delimiter, header, len(text[:end].encode("utf-8")), row + 1, sample)


def records(text: str, delimiter: str, start: int = 0) -> Iterator[tuple[list[str], int]]:
    """(cells, end) of every record of delimited text. As in Arrow's parser, a quotation mark opens a quoted cell only
    at the start of a cell, and text after the closing mark belongs to the cell."""
    mark = re.escape(delimiter)
    cell = re.compile(rf'(?:"((?:[^"]|"")*+)"?)?([^{mark}\r\n]*+)({mark}|\r\n|\r|\n|\Z)')
    cells: list[str] = []
    while start < len(text) or cells:
        found = cell.match(text, start)
        quoted, plain, stop = found.group(1), found.group(2), found.group(3)
        cells.append(plain if quoted is None else quoted.replace('""', '"') + plain)
        start = found.end()
        if stop != delimiter:
            yield cells, start
            cells = []


def distinct_names(names: Sequence[str]) -> list[str]:
    """Names told apart: the second "Complete?" becomes "Complete? [2]", a missing name "column 3"."""
    seen: Counter[str] = Counter()
    result = []
    for place, name in enumerate(names, start=1):
        name = name or f"column {place}"
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name} [{seen[name]}]")
    return result


class _Numbering:
    """Row numbers: the rows that do not fit are left out of the batches, but they count."""

    def __init__(self, first_row: int):
        self.first_row = first_row
        self._next = 1  # number of the next row, counted from the first data row
        self._skipped: list[int] = []

    @property
    def next_row(self) -> int:
        return self.first_row + self._next - 1

    def skip(self, number: int) -> None:
        self._skipped.append(number)

    def take(self, count: int) -> np.ndarray:
        """Numbers of the next `count` rows that fit. Arrow reports a misfit before it hands out what follows it."""
        numbers = np.arange(self._next, self._next + count + len(self._skipped), dtype=np.int64)
        if self._skipped:
            numbers = np.setdiff1d(numbers, np.array(self._skipped), assume_unique=True)
        numbers = numbers[:count]
        if count:
            self._next = int(numbers[-1]) + 1
            self._skipped = [number for number in self._skipped if number >= self._next]
        return numbers + (self.first_row - 1)


def _in_words(delimiter: str) -> str:
    return _DELIMITER_WORDS.get(delimiter, repr(delimiter))


def _frame(table: pa.Table, columns: list[str]) -> pd.DataFrame:
    index = pd.Index(table.column("row").to_numpy(), name="row", dtype="int64")
    frame = table.drop_columns(["row"]).to_pandas()
    frame.columns = pd.Index(columns, dtype="str")
    frame.index = index
    return frame


def _named_columns(dialect: Dialect) -> tuple[int, int]:
    """How many columns count, and how many nameless ones at the end are left out because the sample is empty there."""
    width = len(dialect.header)
    named = width
    while named and not dialect.header[named - 1]:
        named -= 1
    if named == width or any(cell.strip(_BLANK) for cells in dialect.sample for cell in cells[named:width]):
        return width, 0
    return named, width - named


def _best_delimiter(text: str, start: int) -> str | None:
    """The delimiter with which the rows best agree with the header; None if none divides the header."""
    scores = {}
    for place, delimiter in enumerate(_DELIMITERS):
        first, *rest = _head_records(text, delimiter, start)
        if len(first) > 1:
            alike = sum(len(cells) == len(first) for cells in rest) / len(rest) if rest else 1.0
            scores[delimiter] = (alike, len(first), -place)
    return max(scores, key=scores.__getitem__) if scores else None


def _width_below(text: str, start: int) -> int:
    """The number of cells that at least four fifths of two or more rows have, with the delimiter that gives most."""
    widest = 0
    for delimiter in _DELIMITERS:
        widths = Counter(len(cells) for cells in _head_records(text, delimiter, start))
        if widths and widths.total() > 1:
            width, times = widths.most_common(1)[0]
            if times >= 0.8 * widths.total():
                widest = max(widest, width)
    return widest


def _head_records(text: str, delimiter: str, start: int) -> list[list[str]]:
    return [
        cells for cells, _ in islice(records(text, delimiter, start), _DIALECT_ROWS) if "".join(cells).strip(_BLANK)
    ]


def _sample(text: str, delimiter: str, start: int) -> list[list[str]]:
    sample, cells_held = [], 0
    for cells, _ in records(text, delimiter, start):
        if len(sample) == _SAMPLE_ROWS or cells_held > _SAMPLE_CELLS:
            break
        if "".join(cells).strip(_BLANK):
            sample.append(cells)
            cells_held += len(cells)
    return sample


def _decimal_mark(dialect: Dialect) -> str:
    """ "," if numbers with one comma are more common than numbers with one dot; "1.234" and "1,234" tell nothing."""
    votes: Counter[str] = Counter()
    for cells in dialect.sample:
        if len(cells) != len(dialect.header):
            continue
        for cell in map(str.strip, cells):
            if _EITHER_NUMBER.fullmatch(cell):
                continue
            if _COMMA_NUMBER.fullmatch(cell):
                votes[","] += 1
            elif _DOT_NUMBER.fullmatch(cell):
                votes["."] += 1
    return "," if votes[","] > votes["."] else "."
