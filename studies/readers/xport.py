"""SAS transport files (XPT), versions 5 and 8.

The values are decoded by pyreadstat; the structure of the file is read here first, since a decoder cannot tell a file
that was cut short from a shorter one. Sources: SAS TS-140 "The Record Layout of a Data Set in SAS Transport (XPORT)
Format" for version 5, and its successor for version 8. The file is a row of 80-byte records; after the last
observation it is filled up with blanks to a whole record.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat

from studies.errors import DataError, Faults, Where
from studies.readers.options import ReaderOptions
from studies.readers.table import SourceTable, name_faults

_RECORD = 80
_LIBRARY = {b"LIBRARY ": 5, b"LIBV8   ": 8}
_MEMBER = {
    5: b"HEADER RECORD*******MEMBER  HEADER RECORD!!!!!!!",
    8: b"HEADER RECORD*******MEMBV8  HEADER RECORD!!!!!!!",
}
_NAMES = {
    5: b"HEADER RECORD*******NAMESTR HEADER RECORD!!!!!!!",
    8: b"HEADER RECORD*******NAMSTV8 HEADER RECORD!!!!!!!",
}
_DATA = {5: b"HEADER RECORD*******OBS     HEADER RECORD!!!!!!!", 8: b"HEADER RECORD*******OBSV8   HEADER RECORD!!!!!!!"}
_LABELS = b"HEADER RECORD*******LABELV"
_TIME_FORMATS = ("TIME", "HHMM", "HOUR", "MMSS", "TOD", "E8601TM", "B8601TM")
_SCAN_BLOCK = _RECORD * 16384
_CHUNK_BYTES = 64 << 20


@dataclass(frozen=True)
class _Member:
    """One data set of a file: header bytes, where its observations are, and how many there are."""

    name: str
    header: bytes
    start: int
    width: int
    rows: int
    texts: tuple[tuple[int, int], ...]  # (offset, length) of the text variables within an observation
    encoding: str | None = None


class XportTable(SourceTable):
    """A data set of a SAS transport file. Numbers come as float64, dates and times of SAS formats as datetime64, text
    as str; a blank text is missing, as it is in SAS."""

    format = "xpt"

    def __init__(self, path: Path, member: _Member, columns: list[str], name: str):
        super().__init__(
            path, name=name, columns=columns, encoding=(member.encoding or "utf-8") if member.texts else None
        )
        self._member = member
        self.expected_rows = member.rows

    def _chunks(self, columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
        member = self._member
        rows = max(1, min(rows, _CHUNK_BYTES // member.width))
        with open(self.path, "rb") as file:
            file.seek(member.start)
            for first in range(0, member.rows, rows):
                count = min(rows, member.rows - first)
                frame = _decode(self.path, member, file.read(count * member.width), count)
                frame.columns = pd.Index(self.columns, dtype="str")
                frame = frame[columns]
                frame.index = pd.RangeIndex(self.first_row + first, self.first_row + first + count, name="row")
                yield frame


def open_xport(path: Path, options: ReaderOptions) -> list[XportTable]:
    """Opens a SAS transport file: one table for each data set in it. Raises Faults or DataError if it is cut short."""
    members = [_settle_encoding(path, member, options) for member in _members(path)]
    tables: list[XportTable] = []
    faults: list[DataError] = []
    for member in members:
        where = Where(file=str(path), sheet=member.name if len(members) > 1 else None)
        columns = [str(name).strip() for name in _decode(path, member, b"", 0).columns]
        faults += name_faults(columns, where)
        if not member.rows:
            faults.append(DataError("has no rows.", where=where, remedy="Export it again, with its data."))
        name = path.stem if len(members) == 1 else f"{path.stem}/{member.name}"
        tables.append(XportTable(path, member, columns, name))
    if faults:
        raise Faults(faults)
    return tables


def _members(path: Path) -> list[_Member]:
    size = path.stat().st_size
    if size % _RECORD:
        raise _cut(path, f"its {size:,} bytes are not a whole number of {_RECORD}-byte records")
    with open(path, "rb") as file:
        version = _LIBRARY[file.read(28)[20:28]]
        starts = _find_members(file, _MEMBER[version])
        if not starts:
            raise _cut(path, "no data set begins in it")
        file.seek(0)
        library = file.read(starts[0])
        return [
            _read_member(path, file, version, library, start, end)
            for start, end in zip(starts, [*starts[1:], size], strict=True)
        ]


def _find_members(file: io.BufferedReader, marker: bytes) -> list[int]:
    """Offsets of the member headers; these stand at the beginning of a record."""
    starts, offset = [], 0
    file.seek(0)
    while block := file.read(_SCAN_BLOCK):
        at = block.find(marker)
        while at >= 0:
            if at % _RECORD == 0:
                starts.append(offset + at)
            at = block.find(marker, at + 1)
        offset += len(block)
    return starts


def _read_member(path: Path, file, version: int, library: bytes, start: int, end: int) -> _Member:
    file.seek(start)
    head = file.read(5 * _RECORD)
    if len(head) < 5 * _RECORD or not head[4 * _RECORD :].startswith(_NAMES[version]):
        raise _cut(path, "the description of a data set is not complete")
    name = head[2 * _RECORD + 8 : 2 * _RECORD + (16 if version == 5 else 40)].decode("latin-1").strip()
    try:
        described = int(head[74:78])  # bytes that describe a variable: 140, or 136 from VAX
        variables = int(head[4 * _RECORD + 53 : 4 * _RECORD + 58])
    except ValueError:
        raise _cut(path, "the description of a data set cannot be read") from None
    raw = file.read(-(-variables * described // _RECORD) * _RECORD)
    # type, hash, length in bytes: the first three 2-byte numbers that describe a variable
    width, texts = 0, []
    for at in range(0, variables * described, described):
        if at + 6 > len(raw):
            raise _cut(path, f"it describes {at // described} of its {variables} variables")
        kind, _, length = struct.unpack(">hhh", raw[at : at + 6])
        if kind == 2:
            texts.append((width, length))
        width += length
    record = file.read(_RECORD)
    labels = b""
    while record and not record.startswith(_DATA[version]):
        if not labels and not record.startswith(_LABELS):
            raise _cut(path, "no observations follow the description of its variables")
        labels += record
        record = file.read(_RECORD)
    if not record or not variables or width <= 0:
        raise _cut(path, "no observations follow the description of its variables")
    begin = file.tell()
    rows = _count_rows(path, file, record, begin, end, width)
    return _Member(name, library + head + raw + labels + record, begin, width, rows, tuple(texts))


def _count_rows(path: Path, file, record: bytes, begin: int, end: int, width: int) -> int:
    size = end - begin
    said = record[48:63].strip()  # version 8 says how many observations there are
    if record.startswith(_DATA[8]) and said.isdigit():
        rows = int(said)
        if size < rows * width:
            raise _cut(path, f"it says that it has {rows:,} observations, but ends within number {size // width + 1:,}")
        return rows
    rows, rest = divmod(size, width)
    file.seek(end - rest)
    tail = file.read(rest)
    if rest >= _RECORD or tail.strip(b" "):
        raise _cut(path, f"it ends within observation {rows + 1:,}")
    # Blank observations at the end cannot be told from the filling of the last record; readers leave them out.
    while rows:
        file.seek(begin + (rows - 1) * width)
        if file.read(width).strip(b" "):
            break
        rows -= 1
    return rows


def _decode(path: Path, member: _Member, data: bytes, count: int) -> pd.DataFrame:
    """`count` observations as a frame. They are decoded in memory, as a small file of their own with its header."""
    header = member.header
    if header[-_RECORD:].startswith(_DATA[8]):
        header = header[:-_RECORD] + _DATA[8] + f"{count:>15}".encode().ljust(_RECORD - len(_DATA[8]))
    content = header + data + b" " * (-len(data) % _RECORD)
    try:
        frame, meta = pyreadstat.read_xport(
            io.BytesIO(content), dates_as_pandas_datetime=True, encoding=member.encoding, metadataonly=count == 0
        )
    except Exception as error:  # a damaged description can fail in any way inside the decoder
        raise DataError(
            f"cannot be decoded ({error}).",
            where=Where(file=str(path)),
            remedy="Export it again from SAS with the XPORT engine, or give the encoding of its text.",
        ) from error
    if count and len(frame) < count:  # blank observations at the end of this piece, not of the file
        frame = frame.reindex(range(count))
    for column in frame.columns:
        values = frame[column]
        if meta.readstat_variable_types[column] == "string":
            frame[column] = values.astype("str").replace("", None)
        elif values.dtype == object and values.isna().all():  # dates, or times of the day, none of them in this piece
            timed = (meta.original_variable_types[column] or "").startswith(_TIME_FORMATS)
            frame[column] = values.astype(object if timed else "datetime64[us]")
    return frame


def _settle_encoding(path: Path, member: _Member, options: ReaderOptions) -> _Member:
    """The encoding of text is stated nowhere: it is UTF-8 if all of it can be, else Windows' Western European."""
    if options.encoding is not None:
        return replace(member, encoding=options.encoding)
    return member if _is_utf8(path, member) else replace(member, encoding="CP1252")


def _is_utf8(path: Path, member: _Member) -> bool:
    try:
        pyreadstat.read_xport(io.BytesIO(member.header), metadataonly=True)
    except UnicodeDecodeError:  # in a label
        return False
    except Exception:  # it is damaged, which decoding it will say
        return True
    step = max(1, _CHUNK_BYTES // member.width)
    with open(path, "rb") as file:
        file.seek(member.start)
        for first in range(0, member.rows if member.texts else 0, step):
            count = min(step, member.rows - first)
            block = np.frombuffer(file.read(count * member.width), dtype=np.uint8).reshape(count, member.width)
            for start, length in member.texts:
                cells = block[:, start : start + length]
                special = cells[(cells >= 0x80).any(axis=1)]
                try:
                    for cell in special:
                        cell.tobytes().decode("utf-8")
                except UnicodeDecodeError:
                    return False
    return True


def _cut(path: Path, why: str) -> DataError:
    return DataError(f"is damaged or cut short: {why}.", where=Where(file=str(path)), remedy="Copy or export it again.")
