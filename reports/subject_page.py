"""Everything held on one person as a page for that person to read (GDPR, Art. 15)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from reports.document import Code, Column, Document, Facts, List, Paragraph, Row, Section, Table
from studies.measurands import MEASURANDS
from studies.privacy.subject_data import PARTS

_NOTHING = "Nothing of this kind is held."
_LEFT_OUT = ("betas", "pose", "inputs", "flags", "sha256")  # for programs: they are in subject.json
_NUMERIC = (int, float)


def subject_document(data: Mapping[str, Any]) -> Document:
    """The data of `studies.privacy.collect_subject` as a document."""
    study = data["study"]
    items: list[tuple[str, Any]] = [("Study", study["title"]), ("Your code in the study", Code(data["subject_id"]))]
    if data["identifier_at_the_site"]:
        items.append(("Your identifier at the site", Code(data["identifier_at_the_site"])))
    return Document(
        title="Your data",
        kind="Data held on one person",
        facts=Facts(tuple(items)),
        sections=(_about(data), *(_part(name, title, data[name]) for name, title in PARTS.items())),
        running=f"Data on {data['subject_id']}",
        footer=f"Calliper {data['version']}",
        keywords=("privacy", "access"),
    )


def render_subject(data: Mapping[str, Any]) -> bytes:
    """The page as HTML."""
    from reports.html import render_html

    return render_html(subject_document(data)).encode("utf-8")


def _about(data: Mapping[str, Any]) -> Section:
    kept = {
        "photos": "photos that you agreed to keep",
        "unprocessed_photos": "photos that could not be processed yet",
        "silhouettes": "silhouettes that you agreed to keep",
        "quarantine": "rows that did not fit",
        "subjects": "everything else, after the last thing that came in about you",
    }
    periods = [f"{kept[name]}: {days:,} days" for name, days in data["retention_days"].items()]
    blocks: list[Any] = [
        Paragraph(
            "This page shows everything that the study's registry holds on you. The file subject.json beside it says "
            "the same in full, for a program to read, and there is a table of each part as CSV. Pictures that are "
            "still kept lie in folders of their own."
        ),
        Paragraph(
            "You can have wrong values corrected, and you can have all of this erased. Results that were computed "
            "from many people, and in which nobody can be told apart, stay as they are."
        ),
    ]
    if periods:
        blocks += [Paragraph("The study keeps things for so long:"), List(tuple(periods))]
    else:
        blocks.append(Paragraph("The study has set no periods after which things are removed."))
    return Section("about", "What this is", tuple(blocks))


def _part(name: str, title: str, rows: Sequence[Mapping[str, Any]]) -> Section:
    if not rows:
        return Section(name.replace("_", "-"), title, (Paragraph(_NOTHING),))
    shown = [key for key in rows[0] if key not in _LEFT_OUT and any(row[key] not in (None, "", {}, []) for row in rows)]
    columns = tuple(
        Column(
            key.replace("_", " ").capitalize(),
            align="right" if all(_is_number(row[key]) for row in rows) else "left",
        )
        for key in shown
    )
    entries = "one entry" if len(rows) == 1 else f"{len(rows):,} entries"
    table = Table(
        f"table-{name.replace('_', '-')}", f"{title}: {entries}.", columns,
        tuple(Row(tuple(_shown(key, row[key]) for key in shown)) for row in rows), row_headers=False,
    )  # fmt: skip
    return Section(name.replace("_", "-"), title, (table,))


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMERIC) and not isinstance(value, bool)


def _shown(key: str, value: Any) -> str:
    if key == "measurand" and value in MEASURANDS:
        return MEASURANDS[value].label
    return _cell(value)


def _cell(value: Any) -> str:
    if value is None or value in ({}, []):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}".replace("-", "−")
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d}" if value.time() == dt.time() else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key.replace('_', ' ')}: {_cell(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(_cell(item) for item in value)
    text = str(value)
    if len(text) == 64 and all(letter in "0123456789abcdef" for letter in text):
        return f"{text[:12]}…"  # a hash; the whole of it is in subject.json
    return text
