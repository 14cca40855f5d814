"""Text files before they are parsed: encoding, lines too long to be a table's, bytes that are no text, open quotes.

Everything here runs in blocks, so that the size of a file, or of a line, never matters to memory.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from charset_normalizer import from_bytes

from studies.errors import DataError, Where

_BLOCK = 1 << 20
_SAMPLE_BYTES = 1 << 16
_MARKS = [
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_NEWLINE, _RETURN = b"\n"[0], b"\r"[0]


@dataclass(frozen=True)
class TextScan:
    """encoding: codec name. lines: physical lines. apostrophes, quotes: whether there is any ' or any "."""

    encoding: str
    lines: int
    apostrophes: bool
    quotes: bool


class Utf8Stream(io.RawIOBase):
    """A text file in any encoding as a stream of UTF-8 bytes without a byte order mark, in constant memory."""

    def __init__(self, path: Path, encoding: str):
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
        self._pending = b""
        self._decoder = None
        if is_utf8(encoding):
            mark = self._file.read(len(codecs.BOM_UTF8))
            self._file.seek(len(codecs.BOM_UTF8) if mark == codecs.BOM_UTF8 else 0)
        else:
            self._decoder = codecs.getincrementaldecoder(encoding)("strict")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if self._decoder is None:
            return self._file.readinto(buffer)
        while not self._pending:
            block = self._file.read(min(len(buffer), _BLOCK))
            self._pending = self._decoder.decode(block, final=not block).encode("utf-8")
            if not block:
                break
        size = min(len(buffer), len(self._pending))
        buffer[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size

    def read_exactly(self, size: int) -> bytes:
        """`size` bytes, or all that are left."""
        pieces = []
        while size > 0 and (piece := self.read(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def is_utf8(encoding: str) -> bool:
    """True for UTF-8 (and ASCII, its subset), with or without a byte order mark."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")


def scan_text(path: Path, *, encoding: str | None, max_line_bytes: int) -> TextScan:
    """Looks through a whole text file once. Raises DataError when it is no text, or has a line too long for a table."""
    with open(path, "rb") as file:
        head = file.read(4)
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if encoding is None and marked in ("utf-16", "utf-32"):
        encoding = marked
    scan = _Scan(path, max_line_bytes)
    if encoding is not None and not is_utf8(encoding):
        with Utf8Stream(path, encoding) as stream:
            try:
                while block := stream.read(_BLOCK):
                    scan.feed(block)
            except UnicodeError as error:
                raise _undecodable(path, encoding, scan.lines + 1, error) from error
        return scan.result(encoding)
    utf8 = _Utf8Check()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            utf8.feed(block, scan.lines)
            scan.feed(block)
    utf8.finish(scan.lines)
    if utf8.fault is None:
        return scan.result("utf-8-sig" if marked == "utf-8-sig" else "utf-8")
    if encoding is not None or marked is not None:
        raise DataError(
            f"is not valid UTF-8 ({utf8.fault}).",
            where=Where(file=str(path), row=utf8.line),
            remedy="Save it again as UTF-8, or leave out the encoding to have it detected."
            if encoding is not None
            else "Save it again as UTF-8.",
        )
    return scan.result(_guess_encoding(path, utf8.samples))


def check_quotes(path: Path, *, encoding: str, delimiter: str, max_cell_bytes: int) -> None:
    """Finds quotation marks that open a cell and are not closed where the cell ends, which would swallow rows.

    Raises DataError with the row (a quoted cell with line breaks is within one row). One pass; memory is bounded
    by the block.
    """
    mark = re.escape(delimiter.encode())
    starts, ends = rb"(?<=[\n\r" + mark + rb"])", rb"(?=[\n\r" + mark + rb"])"
    # All that is plain: text without marks, cells opened and closed on one line, marks inside unquoted text (5'11").
    plain = re.compile(rb'(?:[^"]*+(?:' + starts + rb'"[^"\n\r]*+"' + ends + rb"|(?<![\n\r" + mark + rb'])"))*+[^"]*+')
    after_cell = (b"", b"\n", b"\r", delimiter.encode())
    newline = b"\n" if any(b"\n" in block for block in blocks(path, encoding)) else b"\r"
    row, inside, length, lines = 1, False, 0, 0

    def fault(what: str) -> DataError:
        return DataError(
            f"a quotation mark opens a cell that {what}.",
            where=Where(file=str(path), row=row),
            remedy='Delete the quotation mark, or close it; write a quotation mark inside quoted text twice ("").',
        )

    data, at = b"\n", 1  # data[at - 1] is the byte before; at the start it is as if a line had just ended
    for block in chain(blocks(path, encoding), [b""]):
        data, at = data[at - 1 :] + block, 1
        end = len(data) - 1 if block else len(data)  # the byte after a mark decides, so one is held back
        while at < end:
            if not inside:
                stop = plain.match(data, at, end).end()
                row += data.count(newline, at, stop)
                inside, length, lines, at = stop < end, 0, 0, min(stop + 1, end)
                continue
            found = data.find(b'"', at, end)
            stop = end if found < 0 else found
            length += stop - at
            lines += data.count(newline, at, stop)
            if length > max_cell_bytes:
                raise fault(f"is not closed within {max_cell_bytes:,} bytes")
            if found < 0:
                at = end
                continue
            after = data[found + 1 : found + 2]
            if after == b'"':
                length, at = length + 2, found + 2
                continue
            if lines and after not in after_cell:
                raise fault("is not closed where the cell ends")
            inside, at = False, found + 1
    if inside:
        raise fault("is never closed")


def blocks(path: Path, encoding: str) -> Iterator[bytes]:
    """The file as UTF-8, block by block."""
    with Utf8Stream(path, encoding) as stream:
        while block := stream.read(_BLOCK):
            yield block


class _Scan:
    """Lines, NUL bytes, and whether there are quotation marks and apostrophes, block by block."""

    def __init__(self, path: Path, max_line_bytes: int):
        self.path, self.limit = path, max_line_bytes
        self.lines = 0
        self._line_length = 0
        self._apostrophes = self._quotes = False

    def feed(self, block: bytes) -> None:
        if b"\0" in block:
            self._refuse_binary(block)
        array = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero(array == _NEWLINE)
        if not len(ends):  # lines that end in a carriage return alone (old Macintosh)
            ends = np.flatnonzero(array == _RETURN)
        lengths = np.diff(ends, prepend=-1, append=len(block)) - 1  # without the line ends
        lengths[0] += self._line_length
        longest = int(np.argmax(lengths))
        if lengths[longest] > self.limit:
            raise DataError(
                f"line {self.lines + longest + 1:,} is longer than {self.limit:,} bytes, too long for a table's row.",
                where=Where(file=str(self.path), row=self.lines + longest + 1),
                remedy="Check that it is the right file and was exported as CSV, one row on each line.",
            )
        self._quotes |= b'"' in block
        self._apostrophes |= b"'" in block
        self.lines += len(ends)
        self._line_length = int(lengths[-1])

    def result(self, encoding: str) -> TextScan:
        return TextScan(encoding, self.lines + (self._line_length > 0), self._apostrophes, self._quotes)

    def _refuse_binary(self, block: bytes) -> None:
        line = self.lines + block.count(b"\n", 0, block.index(b"\0")) + 1
        if self.lines == 0 and max(block[0::2].count(0), block[1::2].count(0)) > 0.25 * len(block):
            remedy = "It may be UTF-16 without a byte order mark: save it as CSV UTF-8, or set encoding to utf-16-le."
        else:
            remedy = "Export it again as CSV UTF-8."
        raise DataError(
            "holds NUL bytes, so it is not a text file.", where=Where(file=str(self.path), row=line), remedy=remedy
        )


class _Utf8Check:
    """Whether bytes are UTF-8; lines that are not ASCII are kept as samples."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._samples: list[bytes] = []
        self._sampled = 0
        self._split = False  # a character may be split between this block and the last
        self.fault: str | None = None
        self.line: int | None = None

    @property
    def samples(self) -> bytes:
        return b"\n".join(self._samples)

    def feed(self, block: bytes, lines: int) -> None:
        if block.isascii() and not self._split:
            return
        if self._sampled < _SAMPLE_BYTES:
            for line in re.finditer(rb"[^\r\n]*[\x80-\xff][^\r\n]*", block):
                self._samples.append(line.group()[:1024])
                self._sampled += len(self._samples[-1])
                if self._sampled >= _SAMPLE_BYTES:
                    break
        if self.fault is None:
            try:
                self._decoder.decode(block)
                self._split = bool(self._decoder.getstate()[0])
            except UnicodeDecodeError as error:
                self._note(error, block, lines)

    def finish(self, lines: int) -> None:
        if self.fault is None:
            try:
                self._decoder.decode(b"", final=True)
            except UnicodeDecodeError as error:
                self._note(error, b"", lines)

    def _note(self, error: UnicodeDecodeError, block: bytes, lines: int) -> None:
        self.fault = f"byte 0x{error.object[error.start]:02X}"
        carried = len(error.object) - len(block)  # bytes that the decoder still had from the block before
        self.line = lines + block.count(b"\n", 0, max(error.start - carried, 0)) + 1


def _guess_encoding(path: Path, samples: bytes) -> str:
    """The encoding of text that is not UTF-8, from its lines that are not ASCII."""
    lines = samples.split(b"\n")
    utf8 = [line for line in lines if _decodes(line, "utf-8")]
    if len(utf8) > len(lines) - len(utf8):
        raise DataError(
            "mixes UTF-8 with another encoding: "
            f"{len(utf8):,} of {len(lines):,} lines with special characters are UTF-8, the others are not.",
            where=Where(file=str(path)),
            remedy="Open it in an editor, correct the damaged characters and save it as UTF-8.",
        )
    if _reads_as_western(samples):
        return "cp1252" if re.search(rb"[\x80-\x9f]", samples) else "latin-1"
    best = from_bytes(samples).best()
    if best is None:
        raise DataError(
            "the encoding of its text cannot be told.",
            where=Where(file=str(path)),
            remedy="Save it as CSV UTF-8, or give the encoding.",
        )
    return best.encoding


def _reads_as_western(samples: bytes) -> bool:
    """Western European text has its special letters one by one among plain ones, and no symbols inside words.

    Cyrillic or Greek text read as cp1252 is nothing but special letters; Polish or Czech text has symbols ("³", "¿")
    where letters belong.
    """
    try:
        text = samples.decode("cp1252")
    except UnicodeDecodeError:
        return False
    special = letters = paired = misplaced = 0
    for found in re.finditer(r"[^\x00-\x7f]", text):
        letter, place = found.group(), found.start()
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        special += 1
        if letter.isalpha():
            letters += 1
            paired += before > "\x7f" and before.isalpha()
        elif after.isalpha():
            misplaced += letter in "£¥¯¢" or (before.isalpha() and letter not in "’‘´·\xad")
    return paired <= letters / 4 and misplaced <= special / 50


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _undecodable(path: Path, encoding: str, line: int, error: UnicodeError) -> DataError:
    return DataError(
        f"cannot be read as {encoding}, from about line {line:,} on ({getattr(error, 'reason', error)}).",
        where=Where(file=str(path)),
        remedy="Save it as CSV UTF-8, or give the encoding that it was written in.",
    )
