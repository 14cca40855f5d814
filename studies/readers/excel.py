"""Excel workbooks (.xlsx, .xlsm): each sheet a table, values as Excel types them.

A formula is read as the result that Excel saved with it, never as its text. Where no result was saved (some programs
write formulas without calculating them) the row goes to `malformed`, since its value is unknown, not missing.
"""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from xml.parsers import expat

import openpyxl
import pandas as pd

from studies.errors import CalliperError, DataError, Faults, Where
from studies.readers.formulas import strip_guard
from studies.readers.options import ReaderOptions
from studies.readers.table import SourceTable, column_letters, name_faults
from studies.readers.values import as_text, typed_series

_MAX_ROW = 1_048_576
_MAX_RATIO, _RATIO_FROM_BYTES = 200, 100 << 20
_SAMPLE_ROWS = 50
_BLOCK = 1 << 16
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
_CELL_NAME = re.compile(r"([A-Z]{1,3})([0-9]+)")
_RECALCULATE = "Open the workbook in Excel or LibreOffice, let it calculate, save it, and try again."


class ExcelTable(SourceTable):
    """A sheet. Columns of one kind come as str, int64, Int64, float64 or datetime64, mixtures as object."""

    format = "excel"

    def __init__(self, path: Path, *, sheet: str, header: _Header, unsaved: dict[int, list[int]]):
        super().__init__(path, name=f"{path.stem}/{sheet}", columns=header.names, first_row=header.row + 1, sheet=sheet)
        self._sheet = sheet
        self._header = header
        self._unsaved = unsaved

    def _chunks(self, columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
        places = [self.columns.index(column) for column in columns]
        with _workbook(self.path) as book:
            body = self._body(_rows(self.path, book[self._sheet]))
            while held := list(islice(body, rows)):
                index = pd.Index([row for row, _ in held], name="row", dtype="int64")
                picked = [typed_series([cells[place] for _, cells in held]) for place in places]
                frame = pd.DataFrame(dict(enumerate(picked)), index=range(len(held)))
                frame.columns = pd.Index(columns, dtype="str")
                frame.index = index
                yield frame

    def _body(self, rows: Iterator[tuple[int, list]]) -> Iterator[tuple[int, list]]:
        """(row, cells of the named columns) of every row that has a value and fits."""
        first, width = self._header.first, len(self.columns)
        for row, cells in rows:
            if row <= self._header.row:
                continue
            if row in self._unsaved:
                names = ", ".join(f"{column_letters(column)}{row}" for column in self._unsaved[row])
                self._reject(row, _written(cells), f"the result of a formula was not saved ({names}). {_RECALCULATE}")
                continue
            stray = next((n for n in (*range(first), *range(first + width, len(cells))) if cells[n] is not None), None)
            if stray is not None:
                letters = column_letters(stray + 1)
                self._reject(row, _written(cells), f"has a value in column {letters}, which has no name in the header")
                continue
            named = cells[first : first + width]
            if any(cell is not None for cell in named):
                yield row, named + [None] * (width - len(named))


class _Header:
    """Row number of the header, its names, and how many columns stand empty before the first of them."""

    def __init__(self, row: int, cells: list):
        filled = [place for place, cell in enumerate(cells) if cell is not None]
        names = as_text(pd.Series(cells[filled[0] : filled[-1] + 1], dtype=object)).fillna("")
        self.row = row
        self.first = filled[0]
        self.names = [strip_guard(name.strip()) for name in names]


def open_excel(path: Path, options: ReaderOptions) -> list[ExcelTable]:
    """Opens a workbook: a table for each sheet with data, empty sheets are passed over (with a note).

    Raises Faults or DataError when it is damaged, would unpack to too much, or a header is wrong.
    """
    where = Where(file=str(path))
    _check_archive(path, options)
    tables: list[ExcelTable] = []
    faults: list[DataError] = []
    empty: list[str] = []
    with _workbook(path) as book:
        sheets = [sheet.title for sheet in book.worksheets]
        if options.sheet is not None and options.sheet not in sheets:
            names = ", ".join(f"'{name}'" for name in sheets)
            raise DataError(f"has no sheet '{options.sheet}'.", where=where, remedy=f"Its sheets are {names}.")
        for sheet in sheets if options.sheet is None else [options.sheet]:
            try:
                table = _open_sheet(path, book[sheet])
            except Faults as error:
                faults += error.faults
                continue
            if table is None:
                empty.append(sheet)
            else:
                tables.append(table)
    if faults:
        raise Faults(faults)
    if not tables:
        raise DataError("has no rows below a header.", where=where, remedy="Export it again, with its data.")
    if len(tables) == 1:
        tables[0].name = path.stem
    for sheet in empty:
        tables[0].notes.append(f"The sheet '{sheet}' has no rows below a header and was passed over.")
    return tables


def _open_sheet(path: Path, sheet) -> ExcelTable | None:
    """A sheet as a table; None if it is empty, or has no rows below its header."""
    unsaved = _unsaved_results(path, sheet._worksheet_path)
    rows = _rows(path, sheet)
    filled = ((row, cells) for row, cells in rows if row in unsaved or any(cell is not None for cell in cells))
    sample = list(islice(filled, _SAMPLE_ROWS))
    rows.close()
    if len(sample) < 2:
        return None
    where = Where(file=str(path), sheet=sheet.title, row=sample[0][0])
    if sample[0][0] in unsaved:
        what = "the header has a formula whose result was not saved."
        raise Faults([DataError(what, where=where, remedy=_RECALCULATE)])
    header = _Header(*sample[0])
    faults = name_faults(header.names, where, first=header.first + 1)
    widths = sorted(sum(cell is not None for cell in cells) for _, cells in sample[1:])
    if len(header.names) == 1 and len(widths) > 1 and (width := widths[len(widths) // 5]) > 2:
        faults.append(
            DataError(
                f"the first row has a single cell, but the rows below it have {width} and more.",
                where=where,
                remedy="The first row must name the columns: delete titles and notes above it.",
            )
        )
    if faults:
        hint = " Or name the one sheet to read."
        raise Faults([DataError(fault.what, where=where, remedy=fault.remedy + hint) for fault in faults])
    return ExcelTable(path, sheet=sheet.title, header=header, unsaved=unsaved)


@contextmanager
def _workbook(path: Path) -> Iterator[openpyxl.Workbook]:
    with open(path, "rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of styles and extensions that a table does not need
                book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        except Exception as error:  # a damaged file can fail in any way inside the parser
            raise _damaged(path, error) from error
        try:
            yield book
        finally:
            book.close()


def _rows(path: Path, sheet) -> Generator[tuple[int, list]]:
    """(number, cells) of all rows of a sheet, empty ones included; blank text is None."""
    sheet.reset_dimensions()  # some programs write a wrong size into the sheet
    source = sheet.iter_rows(values_only=True)
    row = 0
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of dates outside Excel's calendar: their cell reads #VALUE!
                batch = list(islice(source, 1000))
        except Exception as error:  # a damaged file can fail in any way inside the parser
            raise _damaged(path, error) from error
        if not batch:
            return
        for cells in batch:
            row += 1
            if row > _MAX_ROW:
                raise _damaged(path, ValueError(f"more than {_MAX_ROW:,} rows"))
            yield row, [_cell(cell) for cell in cells]


def _cell(cell: object) -> object:
    if isinstance(cell, str):
        return strip_guard(cell) if cell.strip() else None
    return cell


def _written(cells: list) -> str:
    return "\t".join(as_text(pd.Series(cells, dtype=object)).fillna(""))


def _check_archive(path: Path, options: ReaderOptions) -> None:
    """Refuses what would fill memory: a workbook that unpacks to too much, or whose XML defines entities."""
    where = Where(file=str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            ratio = unpacked / max(path.stat().st_size, 1)
            if unpacked > options.max_unpacked_bytes or (unpacked > _RATIO_FROM_BYTES and ratio > _MAX_RATIO):
                raise DataError(
                    f"unpacks to {unpacked / 1e6:,.0f} MB, {ratio:,.0f} times its size, too much to be opened safely.",
                    where=where,
                    remedy="Save it as CSV UTF-8 if it is what it should be.",
                )
            for part in archive.namelist():
                if part.endswith((".xml", ".rels", ".vml")):
                    _check_prolog(path, archive, part)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error) as error:
        raise _damaged(path, error) from error


def _check_prolog(path: Path, archive: zipfile.ZipFile, part: str) -> None:
    """Office files have no document types; one that has may define entities that grow without bound."""
    parser = expat.ParserCreate()
    begun = False

    def element(*_: object) -> None:
        nonlocal begun
        begun = True

    def document_type(*_: object) -> None:
        raise DataError(
            f"has a document type definition in {part}, which no Excel workbook has.",
            where=Where(file=str(path)),
            remedy="Do not trust this file; ask for another export.",
        )

    parser.StartElementHandler = element
    parser.StartDoctypeDeclHandler = document_type
    with archive.open(part) as file:
        try:
            while not begun and (block := file.read(_BLOCK)):
                parser.Parse(block)
        except expat.ExpatError as error:
            raise _damaged(path, error) from error


def _unsaved_results(path: Path, part: str) -> dict[int, list[int]]:
    """Rows and columns of the formulas of a sheet that were saved without a result."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(part) as file:
            tail = b""
            while block := file.read(_BLOCK):
                if _FORMULA.search(tail + block):
                    break
                tail = block[-16:]
            else:
                return {}
        with zipfile.ZipFile(path) as archive, archive.open(part) as file:
            return _FormulaScan().of(file)
    except CalliperError:
        raise
    except Exception as error:  # a damaged file can fail in any way inside the parser
        raise _damaged(path, error) from error


class _FormulaScan:
    """One pass over a sheet's XML for cells with a formula (f) but without a value (v)."""

    def __init__(self) -> None:
        self.found: dict[int, list[int]] = {}
        self._row = self._column = 0
        self._inside = ""
        self._formula = self._value = self._text = False

    def of(self, file) -> dict[int, list[int]]:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.ParseFile(file)
        return self.found

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if name == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._column = 0
        elif name == "c":
            place = _CELL_NAME.fullmatch(attributes.get("r", ""))
            self._column = _column_number(place.group(1)) if place else self._column + 1
            # An empty text is a result, and saved as no value: =IF(A1="","",A1).
            self._formula, self._value, self._text = False, False, attributes.get("t") == "str"
        elif name == "f":
            self._formula = True
        self._inside = name

    def _end(self, name: str) -> None:
        self._inside = ""
        if name.rpartition(":")[2] == "c" and self._formula and not self._value and not self._text:
            self.found.setdefault(self._row, []).append(self._column)

    def _characters(self, text: str) -> None:
        if self._inside == "v" and text.strip():
            self._value = True


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"is damaged or cut short, and cannot be read as an Excel workbook ({str(error) or type(error).__name__}).",
        where=Where(file=str(path)),
        remedy="Copy it again, or open it in Excel, which may repair it, and save it.",
    )
