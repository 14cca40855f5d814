"""PDF by typst: tagged (PDF/UA-1), archivable (PDF/A-2a), and the same bytes for the same document."""

from __future__ import annotations

import datetime as dt
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib
import typst
from matplotlib.ft2font import FT2Font

from reports.document import Document
from reports.files import write_atomically
from studies.errors import CalliperError

STANDARDS = ["a-2a", "ua-1"]

# PDF/A demands a date. A report without one carries this one, which no reader will take for the day it was made.
_NO_DATE = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def render_pdf(document: Document) -> bytes:
    """The document as PDF bytes.

    Fonts are those that come with matplotlib, never the machine's own, so that every machine makes the same file. A
    character that they lack is shown as a box with the name of its script, and is still found by a search.
    """
    plain = document.to_dict()
    _prepare(plain["sections"])
    created = (document.created or _NO_DATE).astimezone(dt.UTC)
    fields = {name: getattr(created, name) for name in ("year", "month", "day", "hour", "minute", "second")}
    try:
        return typst.compile(
            _template(),
            format="pdf",
            font_paths=[str(_FONTS)],
            ignore_system_fonts=True,
            sys_inputs={"document": json.dumps(plain, ensure_ascii=False), "created": json.dumps(fields)},
            pdf_standards=STANDARDS,
            timestamp=created,
        )
    except typst.TypstError as error:
        raise CalliperError(f"The PDF cannot be made: {error.message}.", where=document.title) from error


def write_pdf(document: Document, path: Path) -> Path:
    """Write the document as one PDF file, whole or not at all."""
    return write_atomically(path, render_pdf(document))


@cache
def _template() -> bytes:
    return (files("reports") / "templates" / "document.typ").read_bytes()


def _prepare(blocks: list[dict[str, Any]]) -> None:
    for block in blocks:
        if block["kind"] == "section":
            _prepare(block["blocks"])
        elif block["kind"] == "figure":
            for panel in block["panels"]:
                panel["svg"] = _drawable(panel["svg"])


@cache
def _covered() -> frozenset[str]:
    return frozenset(chr(code) for code in FT2Font(str(_FONTS / "DejaVuSans.ttf")).get_charmap())


def _drawable(svg: str) -> str:
    """Figure text in the characters of the font. One that it lacks would take its whole label to a fallback font."""
    covered = _covered()

    def text(match: re.Match[str]) -> str:
        return "".join(character if character in covered or character == "\n" else "□" for character in match.group())

    return re.sub(r">[^<]+<", text, svg)
