"""A report as files: results.json, report.html and report.pdf, all made before any is written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from reports.files import write_files
from reports.results import results_json
from reports.wording import listed
from studies.errors import UsageError

if TYPE_CHECKING:
    from reports.kinds import Made

FORMATS = ("html", "pdf", "json")
_NAMES = {"json": "results.json", "html": "report.html", "pdf": "report.pdf"}


def check_formats(formats: Iterable[str]) -> tuple[str, ...]:
    """The formats, each once. Raises `UsageError` for an unknown one and for none."""
    wanted = tuple(dict.fromkeys(formats))
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown or not wanted:
        what = f"'{unknown[0]}' is not a format of the report." if unknown else "No format was asked for."
        raise UsageError(what, remedy=f"Choose from {listed(FORMATS)}.")
    return wanted


def write_made(
    made: Made, folder: Path | str, formats: Iterable[str] = FORMATS, *, created: dt.datetime | None = None
) -> dict[str, Path]:
    """Write a report into `folder`. Path by format.

    All files are made before any is written, and each is written whole or not at all. The same results give the same
    bytes. created: date for the files' metadata. Raises `UsageError` for an unknown format, `StorageError` where the
    folder cannot be written.
    """
    wanted = check_formats(formats)
    document = made.document(created) if {"html", "pdf"} & set(wanted) else None
    contents: dict[str, bytes] = {}
    for name in wanted:
        # The writers are imported where they are used: JSON alone needs neither.
        if document is None or name == "json":
            contents[name] = results_json(made.results)
        elif name == "html":
            from reports.html import render_html

            contents[name] = render_html(document).encode("utf-8")
        else:
            from reports.pdf import render_pdf

            contents[name] = render_pdf(document)
    paths = {name: Path(folder) / _NAMES[name] for name in wanted}
    write_files({paths[name]: content for name, content in contents.items()})
    return paths
