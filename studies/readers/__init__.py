"""Readers: files on disk become tables, with every fault named by file, row and column.

The names below are imported when first used, so that `import studies.readers` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.readers.dates import DateParser, explain_date, parse_dates
    from studies.readers.folders import FolderContents, file_sha256, folder_contents
    from studies.readers.formats import sniff_format
    from studies.readers.formulas import guard_formulas
    from studies.readers.numbers import explain_number, parse_numbers
    from studies.readers.options import ReaderOptions
    from studies.readers.redcap import redcap_tables
    from studies.readers.sources import open_sources
    from studies.readers.table import MalformedRow, SourceTable
    from studies.readers.values import as_text

_HOMES = {
    "DateParser": "dates",
    "FolderContents": "folders",
    "MalformedRow": "table",
    "ReaderOptions": "options",
    "SourceTable": "table",
    "as_text": "values",
    "explain_date": "dates",
    "explain_number": "numbers",
    "file_sha256": "folders",
    "folder_contents": "folders",
    "guard_formulas": "formulas",
    "open_sources": "sources",
    "parse_dates": "dates",
    "parse_numbers": "numbers",
    "redcap_tables": "redcap",
    "sniff_format": "formats",
}

__all__ = [
    "DateParser",
    "FolderContents",
    "MalformedRow",
    "ReaderOptions",
    "SourceTable",
    "as_text",
    "explain_date",
    "explain_number",
    "file_sha256",
    "folder_contents",
    "guard_formulas",
    "open_sources",
    "parse_dates",
    "parse_numbers",
    "redcap_tables",
    "sniff_format",
]


def __getattr__(name: str):
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
