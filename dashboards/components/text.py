"""The document model of the reports as parts of a page: the same sentences and tables, the same bound numbers.

A number keeps where in the results it comes from (`data-source`, a JSON pointer) and its full value (`data-value`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dash import html

from reports.document import (
    Badge,
    Block,
    Callout,
    Code,
    Facts,
    Figure,
    Inlines,
    Link,
    List,
    Panel,
    Paragraph,
    Ref,
    Row,
    Section,
    Small,
    Strong,
    Table,
    Value,
    clean,
    text_of,
)
from reports.wording import ABSENT, estimate_of, interval, number


@dataclass(frozen=True)
class Exact:
    """A number that stands in no results, such as one of a selection, with its full value. end: which of an estimate
    and the ends of its interval it is."""

    text: str
    value: float | None
    end: str = "estimate"


def exact(item: Mapping[str, Any] | None, places: int) -> Inlines:
    """An estimate that stands in no results, with its interval below it; as `Bound.cell` for those that do."""
    found = estimate_of(item)
    if found["estimate"] is None:
        return ABSENT
    head = Exact(number(found["estimate"], places), found["estimate"])
    if not interval(found, places):
        return (head,)
    low, high = (Exact(number(found[end], places), found[end], end) for end in ("low", "high"))
    return (head, " ", Small(("(", low, " to ", high, ")"), below=True))


def inlines(content: Inlines) -> list[Any]:
    """Inline text as children of an element."""
    parts = content if isinstance(content, tuple) else (content,)
    return [_inline(part) for part in parts if part != ""]


def _inline(part: Any) -> Any:
    match part:
        case str():
            return clean(part)
        case Value():
            full = "" if part.value is None else repr(part.value) if isinstance(part.value, float) else str(part.value)
            text = clean(part.text).replace(" ", "\u00a0")
            bound = {"data-source": clean(part.source), "data-value": clean(full)}
            return html.Span(text, className="value", **bound)
        case Exact():
            return html.Span(clean(part.text), className="value", **{"data-value": repr(part.value)})
        case Strong():
            return html.Strong(clean(part.text))
        case Code():
            return html.Code(clean(part.text))
        case Link():
            return html.A(clean(part.text), href=part.target)
        case Ref():
            return html.A("the table of subjects by method", href=f"#{part.id}")
        case Badge():
            return html.Span(clean(part.text), className=f"badge {part.tone}")
        case Small():
            return html.Span(inlines(part.content), className="below" if part.below else "small")
        case _:  # a component of Dash, such as a link within the dashboard
            return part


def whole(text: str) -> html.Span:
    """Text that is never broken, such as a date."""
    return html.Span(text, className="value")


def block(item: Block | Section, level: int = 2, *, csv: Callable[[str], str] | None = None) -> Any:
    """A block as a component. csv: the address at which the table with an id can be had."""
    match item:
        case Section():
            heading = {2: html.H2, 3: html.H3}.get(level, html.H4)
            inner = [block(part, level + 1, csv=csv) for part in item.blocks]
            return html.Section([heading(clean(item.title), id=item.id), *inner], className="part")
        case Paragraph():
            return html.P(inlines(item.content), className="lead" if item.lead else None)
        case List():
            return (html.Ol if item.ordered else html.Ul)([html.Li(inlines(part)) for part in item.items])
        case Facts():
            pairs = [part for term, text in item.items for part in (html.Dt(clean(term)), html.Dd(inlines(text)))]
            return html.Dl(pairs, className="facts")
        case Callout():
            content = [html.P(inlines(part)) for part in item.content]
            return html.Div([html.P(clean(item.title), className="title"), *content], className=f"callout {item.tone}")
        case Table():
            return table(item, csv=csv(item.id) if csv else None)
        case Figure():
            return figure(item, csv=csv(item.id) if csv else None)
    raise TypeError(f"{type(item).__name__} is drawn by another part of the dashboard")


def figure(item: Figure, *, csv: str | None = None) -> html.Figure:
    """A print figure with its tools; the panels are exported as the reports draw them."""
    drawn = [
        html.Img(src=_picture(panel), alt=clean(panel.alt), width=round(panel.width * 1.34)) for panel in item.panels
    ]
    said = text_of(item.caption)
    tools = [
        html.Button(kind.upper(), type="button", className="tool",
                    **{"data-image": kind, "data-figure": item.id, "aria-label": f"{kind.upper()} of: {said}"})
        for kind in ("svg", "png")
    ]  # fmt: skip
    if csv:
        tools.append(html.A("CSV", href=csv, className="tool", download="", **{"aria-label": f"CSV of: {said}"}))
    return html.Figure(
        [
            html.Div([html.Figcaption(inlines(item.caption)), html.Div(tools, className="tools")],
                     className="caption-row"),
            html.Div(drawn, className="drawing"),
        ],
        id=item.id,
    )  # fmt: skip


def _picture(panel: Panel) -> str:
    """A print figure as an image of its own."""
    return "data:image/svg+xml;base64," + base64.b64encode(panel.svg.encode()).decode()


def table(item: Table, *, csv: str | None = None) -> html.Div:
    """A table with its caption, its notes and a link to its CSV; it scrolls by itself where the screen is narrow."""
    body = [_row(row, item) for row in item.rows]
    tools = [
        html.A("CSV", href=csv, className="tool", download="", **{"aria-label": f"CSV of: {text_of(item.caption)}"})
    ]
    return html.Div(
        [
            html.Div(
                [html.P(inlines(item.caption), className="caption"), *(tools if csv else [])], className="caption-row"
            ),
            html.Div(
                html.Table([html.Thead(_head(item)), html.Tbody(body)]),
                className="wide", tabIndex=0, role="region", **{"aria-label": text_of(item.caption)},
            ),
            *(html.P(inlines(note), className="note") for note in item.notes),
        ],
        className="block", id=item.id,
    )  # fmt: skip


def _head(item: Table) -> list[Any]:
    aligned = [f"align-{column.align}" for column in item.columns]
    headers = html.Tr(
        [
            html.Th(clean(column.header), scope="col", className=side)
            for column, side in zip(item.columns, aligned, strict=True)
        ]
    )
    groups = _groups(item)
    if not groups:
        return [headers]
    above = [
        html.Th(text, colSpan=span, scope="colgroup") if text else html.Td("", colSpan=span) for text, span in groups
    ]
    return [html.Tr(above, className="groups"), headers]


def _groups(item: Table) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for column in item.columns:
        if found and column.group and found[-1][0] == column.group:
            found[-1] = (column.group, found[-1][1] + 1)
        else:
            found.append((column.group, 1))
    return found if any(text for text, _ in found) else []


def _row(row: Row, item: Table) -> html.Tr:
    if row.kind == "group":
        header = html.Th(inlines(row.cells[0]), colSpan=len(item.columns), scope="rowgroup")
        return html.Tr(header, className="group")
    cells = []
    for place, (cell, column) in enumerate(zip(row.cells, item.columns, strict=True)):
        side = f"align-{column.align}" + (f" indent-{row.indent}" if place == 0 and row.indent else "")
        if place == 0 and item.row_headers:
            cells.append(html.Th(inlines(cell), scope="row", className=side))
        else:
            cells.append(html.Td(inlines(cell), className=side))
    return html.Tr(cells, className=row.kind if row.kind != "row" else None)


# As data --------------------------------------------------------------------------------------------------------------


def records(item: Table) -> list[dict[str, Any]]:
    """A table as rows to export: numbers at full precision, an interval in columns of its own."""
    wide = [_has_interval(item, place) for place in range(len(item.columns))]
    group, found = "", []
    grouped = any(row.kind == "group" for row in item.rows)
    for row in item.rows:
        if row.kind == "group":
            group = text_of(row.cells[0])
            continue
        record: dict[str, Any] = {"part": group} if grouped else {}
        for column, cell, has_interval in zip(item.columns, row.cells, wide, strict=True):
            name = " ".join(part for part in (column.group, column.header) if part) or "row"
            record |= _cell(name, cell, has_interval)
        found.append(record)
    return found


def _values(cell: Inlines) -> list[Value | Exact]:
    parts: Sequence[Any] = cell if isinstance(cell, tuple) else (cell,)
    return [
        v
        for part in parts
        for v in (_values(part.content) if isinstance(part, Small) else [part])
        if isinstance(v, Value | Exact)
    ]


def _end(value: Value | Exact) -> str:
    return value.end if isinstance(value, Exact) else value.source.rpartition("/")[2]


def _has_interval(item: Table, place: int) -> bool:
    cells = [row.cells[place] for row in item.rows if row.kind != "group"]
    return any(_end(value) == "low" for cell in cells for value in _values(cell))


def _cell(name: str, cell: Inlines, has_interval: bool) -> dict[str, Any]:
    values = _values(cell)
    if has_interval:
        ends = {_end(value): value.value for value in values}
        return {name: ends.get("estimate", plain(cell) if not values else None)} | {
            f"{name} {end}": ends.get(end) for end in ("low", "high")
        }
    only = values[0].value if len(values) == 1 and plain(cell) == values[0].text else plain(cell)
    return {name: only}


def plain(cell: Inlines) -> str:
    """The text of a cell, of links within the dashboard too."""
    parts: Sequence[Any] = cell if isinstance(cell, tuple) else (cell,)
    return "".join(_plain(part) for part in parts)


def _plain(part: Any) -> str:
    if isinstance(part, Small):
        return plain(part.content)
    if isinstance(part, str):
        return part
    return str(getattr(part, "text", None) or getattr(part, "children", "") or "")
