"""The document model: what a report says, apart from how it looks.

A `Document` is sections of blocks; blocks hold inline text. The writers (`reports.html`, `reports.pdf`) both render the
plain form that `Document.to_dict` gives, with figures and tables numbered alike, so that "Table 3" is the same table in
every format. Text is data, never markup: a writer escapes or quotes all of it.

A number in prose or in a table is a `Value`: the text shown, and where in the results it comes from (a JSON pointer,
RFC 6901) with its full value. Nobody needs to trust that the sentence was typed correctly.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Tone = Literal["good", "bad", "unsure", "neutral"]
Align = Literal["left", "right", "center"]

# Characters that no XML or PDF/A document may hold: controls, surrogates, private use, non-characters, the byte order
# mark; and the bidirectional overrides, which would let one cell reorder the text of its neighbours.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ue000-\uf8ff\ufeff\ufdd0-\ufdef\ufffe\uffff"
    "\u202a-\u202e\u2066-\u2069\U000f0000-\U0010ffff]|["
    + "".join(chr(plane * 0x10000 + last) for plane in range(1, 15) for last in (0xFFFE, 0xFFFF))
    + "]"
)


def clean(text: object) -> str:
    """Text that every format can hold: characters that cannot be written become the replacement character �."""
    return _FORBIDDEN.sub("\ufffd", str(text))


# Inline text ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Value:
    """A number (or word) of the results. `source` is its JSON pointer, `value` what stands there, unrounded."""

    text: str
    source: str
    value: float | int | str | None


@dataclass(frozen=True)
class Strong:
    text: str


@dataclass(frozen=True)
class Code:
    """A literal: a hash, a file name, a value as it stood in a file."""

    text: str


@dataclass(frozen=True)
class Link:
    """A link to a place in the document (`#id`) or a file beside it (relative path)."""

    text: str
    target: str

    def __post_init__(self) -> None:
        # A report asks nothing of any host, and no study text may smuggle in a `javascript:` address.
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", self.target) or self.target.startswith(("/", "\\")):
            raise ValueError(f"a link leads to a place in the report or a file beside it, not to '{self.target}'")


@dataclass(frozen=True)
class Ref:
    """A reference to a table or figure by its id; becomes "Table 2", linked."""

    id: str


@dataclass(frozen=True)
class Badge:
    """A verdict or state. The word carries the meaning; the colour only repeats it."""

    text: str
    tone: Tone = "neutral"


@dataclass(frozen=True)
class Small:
    """Lesser text beside a number, or on a line `below` it, such as its interval; never broken."""

    content: Inlines
    below: bool = False


Inline = str | Value | Strong | Code | Link | Ref | Badge | Small
Inlines = Inline | tuple[Inline, ...]


# Blocks ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Paragraph:
    content: Inlines
    lead: bool = False


@dataclass(frozen=True)
class List:
    items: tuple[Inlines, ...]
    ordered: bool = False


@dataclass(frozen=True)
class Facts:
    """Short pairs of term and text."""

    items: tuple[tuple[str, Inlines], ...]


@dataclass(frozen=True)
class Callout:
    """What a reader must not miss."""

    title: str
    content: tuple[Inlines, ...]
    tone: Tone = "neutral"


@dataclass(frozen=True)
class Column:
    """A column of a table. Neighbours with the same `group` share a heading above. `width` is a share of the page."""

    header: str
    align: Align = "left"
    group: str = ""
    width: float = 1.0


@dataclass(frozen=True)
class Row:
    """Cells of a row. `kind` "group" heads the rows below it; `indent` sets the first cell in."""

    cells: tuple[Inlines, ...]
    kind: Literal["row", "group", "total"] = "row"
    indent: int = 0


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is its header unless `row_headers` is False."""

    id: str
    caption: Inlines
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[Inlines, ...] = ()
    row_headers: bool = True

    def __post_init__(self) -> None:
        for row in self.rows:
            wanted = 1 if row.kind == "group" else len(self.columns)
            if len(row.cells) != wanted:
                raise ValueError(f"table '{self.id}': a row has {len(row.cells)} cells, but {wanted} are needed")


@dataclass(frozen=True)
class Panel:
    """One picture: SVG text, and what a person who cannot see it is told. Width and height in points (1/72 inch)."""

    svg: str
    alt: str
    width: float
    height: float


@dataclass(frozen=True)
class Figure:
    """One or more panels under one caption; panels flow beside each other where there is room."""

    id: str
    caption: Inlines
    panels: tuple[Panel, ...]
    notes: tuple[Inlines, ...] = ()


Block = Paragraph | List | Facts | Callout | Table | Figure


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    blocks: tuple[Block | Section, ...]


@dataclass(frozen=True)
class Document:
    """A whole report.

    running: short title at the head of every page. banner: what every page must say (e.g. that the data are synthetic).
    created: date in the file's metadata; without one, files carry a fixed date, so that the same report has the same
    bytes. contents: whether there is a table of contents; a document of one page needs none.
    """

    title: str
    sections: tuple[Section, ...]
    kind: str = "Report"
    subtitle: Inlines = ""
    facts: Facts | None = None
    running: str = ""
    banner: str = ""
    footer: str = ""
    created: dt.datetime | None = None
    keywords: tuple[str, ...] = field(default=())
    contents: bool = True

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for name in self._ids():
            if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
                raise ValueError(f"'{name}' is not an id: lower-case letters, digits and hyphens")
            if name in seen:
                raise ValueError(f"the id '{name}' is there twice")
            seen.add(name)

    def _ids(self) -> Iterator[str]:
        for part in walk(self.sections):
            if isinstance(part, (Section, Table, Figure)):
                yield part.id

    def numbers(self) -> dict[str, str]:
        """The number of every table and figure by id: {"table-agreement": "Table 3"}."""
        counts = {"Table": 0, "Figure": 0}
        found = {}
        for part in walk(self.sections):
            if isinstance(part, (Table, Figure)):
                word = type(part).__name__
                counts[word] += 1
                found[part.id] = f"{word} {counts[word]}"
        return found

    def values(self) -> list[Value]:
        """Every number that is bound to the results, in the order of the document."""
        parts: list[Inlines] = [self.subtitle]
        for block in [*([self.facts] if self.facts else []), *walk(self.sections)]:
            parts += _inlines_of(block)
        return [inline for part in parts for inline in _flat(part) if isinstance(inline, Value)]

    def to_dict(self) -> dict[str, Any]:
        """The document as plain dicts, lists and strings, which both writers render. All text is `clean`."""
        numbers = self.numbers()
        return {
            "title": clean(self.title),
            "kind": clean(self.kind),
            "subtitle": _plain(self.subtitle, numbers),
            "facts": _block(self.facts, numbers, 2) if self.facts else None,
            "running": clean(self.running or self.title),
            "banner": clean(self.banner),
            "footer": clean(self.footer),
            "keywords": [clean(word) for word in self.keywords],
            "contents": self.contents,
            "sections": [_block(section, numbers, 2) for section in self.sections],
        }


def walk(blocks: Iterable[Block | Section]) -> Iterator[Block | Section]:
    """Every section and block in reading order."""
    for block in blocks:
        yield block
        if isinstance(block, Section):
            yield from walk(block.blocks)


def pointer(*path: str | int) -> str:
    """A JSON pointer (RFC 6901) from keys and positions."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def text_of(content: Inlines) -> str:
    """The text alone."""
    return "".join(part if isinstance(part, str) else getattr(part, "text", "") for part in _flat(content))


def _flat(content: Inlines) -> Iterator[Inline]:
    for part in content if isinstance(content, tuple) else (content,):
        if isinstance(part, Small):
            yield from _flat(part.content)
        else:
            yield part


def _inlines_of(block: Block | Section) -> list[Inlines]:
    match block:
        case Paragraph():
            return [block.content]
        case List():
            return list(block.items)
        case Facts():
            return [text for _, text in block.items]
        case Callout():
            return list(block.content)
        case Table():
            return [block.caption, *(cell for row in block.rows for cell in row.cells), *block.notes]
        case Figure():
            return [block.caption, *block.notes]
        case _:
            return []


# The plain form -------------------------------------------------------------------------------------------------------


def _plain(content: Inlines, numbers: dict[str, str]) -> list[dict[str, Any]]:
    return [_inline(part, numbers) for part in (content if isinstance(content, tuple) else (content,)) if part != ""]


def _inline(part: Inline, numbers: dict[str, str]) -> dict[str, Any]:
    match part:
        case str():
            return {"kind": "text", "text": clean(part)}
        case Value():
            value = "" if part.value is None else repr(part.value) if isinstance(part.value, float) else str(part.value)
            # A number and its sign or "p =" stay on one line.
            text = clean(part.text).replace(" ", "\u00a0")
            return {"kind": "value", "text": text, "source": clean(part.source), "value": clean(value)}
        case Strong():
            return {"kind": "strong", "text": clean(part.text)}
        case Code():
            return {"kind": "code", "text": clean(part.text)}
        case Link():
            return {"kind": "link", "text": clean(part.text), "target": clean(part.target)}
        case Ref():
            return {"kind": "link", "text": numbers[part.id], "target": f"#{part.id}"}
        case Badge():
            return {"kind": "badge", "text": clean(part.text), "tone": part.tone}
        case Small():
            return {"kind": "small", "content": _plain(part.content, numbers), "below": part.below}
    raise TypeError(f"{part!r} is no inline text")


def _block(block: Block | Section, numbers: dict[str, str], level: int) -> dict[str, Any]:
    kind = {"kind": type(block).__name__.lower()}
    match block:
        case Section():
            inner = [_block(part, numbers, level + 1) for part in block.blocks]
            return {**kind, "id": block.id, "title": clean(block.title), "level": level, "blocks": inner}
        case Paragraph():
            return {**kind, "content": _plain(block.content, numbers), "lead": block.lead}
        case List():
            return {**kind, "items": [_plain(item, numbers) for item in block.items], "ordered": block.ordered}
        case Facts():
            return {**kind, "items": [[clean(term), _plain(text, numbers)] for term, text in block.items]}
        case Callout():
            content = [_plain(part, numbers) for part in block.content]
            return {**kind, "title": clean(block.title), "tone": block.tone, "content": content}
        case Table():
            return {**kind, **_table(block, numbers)}
        case Figure():
            return {
                **kind,
                "id": block.id,
                "number": numbers[block.id],
                "caption": _plain(block.caption, numbers),
                "panels": [
                    {"svg": panel.svg, "alt": clean(panel.alt), "width": panel.width, "height": panel.height}
                    for panel in block.panels
                ],
                "notes": [_plain(note, numbers) for note in block.notes],
            }
    raise TypeError(f"{block!r} is no block")


def _table(table: Table, numbers: dict[str, str]) -> dict[str, Any]:
    groups: list[dict[str, Any]] = []
    for column in table.columns:
        if groups and column.group and groups[-1]["text"] == clean(column.group):
            groups[-1]["span"] += 1
        else:
            groups.append({"text": clean(column.group), "span": 1})
    return {
        "id": table.id,
        "number": numbers[table.id],
        "caption": _plain(table.caption, numbers),
        "columns": [
            {
                "header": clean(column.header),
                "align": column.align,
                "grouped": bool(column.group),
                "width": column.width,
            }
            for column in table.columns
        ],
        "groups": groups if any(group["text"] for group in groups) else [],
        "rows": [
            {"kind": row.kind, "indent": row.indent, "cells": [_plain(cell, numbers) for cell in row.cells]}
            for row in table.rows
        ],
        "notes": [_plain(note, numbers) for note in table.notes],
        "row_headers": table.row_headers,
    }
