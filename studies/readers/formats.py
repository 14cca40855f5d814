"""What a file is, by its first bytes, whatever its name says."""

from __future__ import annotations

import codecs
import os
import stat
import zipfile
from pathlib import Path

from studies.errors import DataError, Where

# The formats that Calliper reads, by the end of the file's name. Other names are taken for delimited text.
EXTENSIONS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".dat": "csv",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xpt": "xpt",
}
_WORDS = {
    "csv": "delimited text (such as CSV)",
    "excel": "an Excel workbook",
    "parquet": "a Parquet file",
    "xpt": "a SAS transport file (XPT)",
    "xls": "an Excel workbook of the old kind (.xls)",
    "encrypted": "an Excel workbook with a password",
    "xlsb": "a binary Excel workbook (.xlsb)",
    "ods": "an OpenDocument file",
    "office": "an Office document",
    "zip": "a zip archive",
    "gzip": "a gzip archive",
    "archive": "a packed archive",
    "pdf": "a PDF document",
    "html": "a web page (HTML)",
    "xml": "an XML file",
    "json": "a JSON file",
    "sas7bdat": "a SAS data set (.sas7bdat)",
    "cport": "a SAS CPORT transport file",
    "spss": "an SPSS file",
    "stata": "a Stata file",
    "feather": "an Arrow file",
    "sqlite": "an SQLite database",
    "image": "an image",
    "empty": "empty",
    "binary": "not text, nor any kind of file that Calliper knows",
}
_CSV_UTF8 = "'CSV UTF-8 (Comma delimited)'"
_REMEDIES = {
    "csv": "Rename it to end in .csv.",
    "excel": f"Rename it to end in .xlsx, or open it in Excel and save it as {_CSV_UTF8}.",
    "parquet": "Rename it to end in .parquet.",
    "xpt": "Rename it to end in .xpt.",
    "xls": "Open it in Excel or LibreOffice and save it as an Excel workbook (.xlsx).",
    "encrypted": "Open it in Excel, remove the password (File > Info > Protect Workbook) and save it as .xlsx.",
    "xlsb": "Open it in Excel and save it as an Excel workbook (.xlsx).",
    "ods": "Open it in LibreOffice and save it as an Excel workbook (.xlsx) or as CSV.",
    "office": "Give the table in it as CSV or as an Excel workbook (.xlsx).",
    "zip": "Unpack it and give the files in it.",
    "gzip": "Unpack it and give the file in it.",
    "archive": "Unpack it and give the files in it.",
    "pdf": "Export the table in it as CSV or as an Excel workbook (.xlsx).",
    "html": f"Open it in a spreadsheet and save it as {_CSV_UTF8}.",
    "xml": f"Open it in a spreadsheet and save it as {_CSV_UTF8}.",
    "json": "Export the table in it as CSV or Parquet.",
    "sas7bdat": "Export it from SAS as a version 5 transport file (.xpt) or as CSV.",
    "cport": "Export it from SAS with the XPORT engine or the %LOC2XPT macro, not with PROC CPORT.",
    "spss": "Export it as CSV or as an Excel workbook (.xlsx).",
    "stata": "Export it as CSV or as an Excel workbook (.xlsx).",
    "feather": "Save it as Parquet or CSV.",
    "sqlite": "Export the tables in it as CSV.",
    "image": "Give tables here; photos are found through the table that names them.",
    "empty": "Export it again.",
    "binary": "Export it again as CSV, Excel (.xlsx), Parquet or SAS XPT.",
}
_MAGIC = [
    (b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!", "xpt"),
    (b"HEADER RECORD*******LIBV8   HEADER RECORD!!!!!!!", "xpt"),
    (b"**COMPRESSED** **COMPRESSED**", "cport"),
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"Rar!\x1a\x07", "archive"),
    (b"\x28\xb5\x2f\xfd", "archive"),
    (b"%PDF-", "pdf"),
    (b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc2\xea\x81\x60", "sas7bdat"),
    (b"$FL2", "spss"),
    (b"$FL3", "spss"),
    (b"<stata_dta>", "stata"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
]
# These could also be the name of a first column, so the content must not be text.
_WORDLIKE_MAGIC = [
    (b"PAR1", "parquet"),
    (b"PARE", "parquet"),
    (b"BZh", "archive"),
    (b"ARROW1", "feather"),
    (b"FEA1", "feather"),
]
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEAD = 8192


def sniff_format(path: Path) -> str:
    """csv, excel, parquet or xpt (which Calliper reads), or what else the content is: xls, zip, pdf, image ...

    Raises DataError when the file is missing or cannot be read.
    """
    head = _read_head(Path(path))
    if not head:
        return "empty"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if not _is_plain_text(head):
        for magic, kind in _WORDLIKE_MAGIC:
            if head.startswith(magic):
                return kind
    if head.startswith(_OLE):
        return "encrypted" if _contains(Path(path), "EncryptedPackage".encode("utf-16-le")) else "xls"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _sniff_zip(Path(path), head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        return "image"
    return _sniff_text(head)


def check_format(path: Path, *, encoding: str | None = None) -> str:
    """The format to read a file as. Raises DataError when Calliper does not read it, or its name says otherwise.
    encoding: what the user said; UTF-16 without a byte order mark is text only to one who knows."""
    path = Path(path)
    actual = sniff_format(path)
    if actual == "binary" and encoding is not None and codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        actual = "csv"
    where = Where(file=str(path))
    if actual == "empty":
        raise DataError("the file is empty (0 bytes).", where=where, remedy=_REMEDIES["empty"])
    claimed = EXTENSIONS.get(path.suffix.lower())
    if actual == (claimed or "csv"):
        return actual
    what = f"it is {_WORDS[actual]}"
    if claimed is not None:
        what += f", although its name ends in {path.suffix}"
    elif actual in EXTENSIONS.values() and path.suffix:
        what += f" named {path.suffix}"
    raise DataError(f"{what}.", where=where, remedy=_REMEDIES[actual])


def _read_head(path: Path) -> bytes:
    where = Where(file=str(path))
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise DataError("is a folder, not a file.", where=where, remedy="Give the files in it.")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            raise DataError(
                "is a device or a pipe, not a file.", where=where, remedy="Save its content to a file first."
            )
        with open(path, "rb") as file:
            return file.read(_HEAD)
    except FileNotFoundError:
        if path.is_symlink():
            raise DataError(
                f"is a link to a file that does not exist ('{os.readlink(path)}').",
                where=where,
                remedy="Mend the link or give the file itself.",
            ) from None
        raise DataError("there is no such file.", where=where, remedy="Check the spelling of the path.") from None
    except PermissionError:
        raise DataError(
            "the file may not be read.", where=where, remedy="Ask its owner for permission to read it."
        ) from None
    except OSError as error:
        raise DataError(
            f"the file cannot be read ({error.strerror or error}).",
            where=where,
            remedy="Copy it to another place and try again.",
        ) from error


def _contains(path: Path, needle: bytes, block: int = 1 << 20) -> bool:
    """Whether a file holds some bytes; in constant memory."""
    tail = b""
    with open(path, "rb") as file:
        while piece := file.read(block):
            if needle in tail + piece:
                return True
            tail = piece[-len(needle) :]
    return False


def _sniff_zip(path: Path, head: bytes) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        # Damaged or cut short: the first parts still tell a workbook from an archive; its reader says what is wrong.
        return "excel" if b"[Content_Types].xml" in head or b"xl/" in head else "zip"
    if "xl/workbook.xml" in names:
        return "excel"
    if "xl/workbook.bin" in names:
        return "xlsb"
    if "mimetype" in names and b"opendocument" in head:
        return "ods"
    if "[Content_Types].xml" in names:
        return "excel" if any(name.startswith("xl/") for name in names) else "office"
    return "zip"


def _is_plain_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a character cut at the end is no fault
    except UnicodeDecodeError:
        return False
    return not any(byte < 9 for byte in head)


def _sniff_text(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return "csv"
    if b"\x00" in head:
        # UTF-16 without its mark is text, of which the reader of text can say more.
        fewer, more = sorted([head[0::2].count(0), head[1::2].count(0)])
        return "csv" if fewer == 0 and more > 0.25 * len(head) else "binary"
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1a\x1b" for byte in head)
    if controls > len(head) / 20:
        return "binary"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<table", b"<head", b"<body", b"<meta")):
        return "html"
    if start.startswith(b"<?xml"):
        return "html" if b"<html" in start else "xml"
    if start.startswith((b'{"', b"[{", b"{}", b"[[", b"{\n", b"{\r", b"[\n")):
        return "json"
    return "csv"
