"""HTML: one file that needs nothing else, no script and no host, on a phone, a large screen or paper."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from reports.document import Document
from reports.figures import FULL_WIDTH, GRID, INK, MUTED, PALETTE, PAPER
from reports.files import write_atomically

_INKS = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    PAPER: "--page",
    **{colour: f"--series-{position}" for position, colour in enumerate(PALETTE, start=1)},
}
"""The inks of figures and the colours of the page that stand for them, so that figures suit a dark page too."""

_BIG = 0.9 * FULL_WIDTH * 72
"""Panels wider than this (points) scroll on a narrow screen: shrunk, their text could not be read."""
_POINTS, _POINTS_BIG = 9.6, 11.0  # points of a panel to one rem of the page


def render_html(document: Document) -> str:
    """The document as HTML text. All text is escaped; figures are the SVG that `reports.figures` made."""
    plain = document.to_dict()
    _place_figures(plain["sections"], [0])
    template, style = _template()
    created = document.created.isoformat() if document.created else ""
    return template.render(document=plain, style=style, created=created) + "\n"


def write_html(document: Document, path: Path) -> Path:
    """Write the document as one HTML file, whole or not at all."""
    return write_atomically(path, render_html(document).encode("utf-8"))


@cache
def _template() -> tuple[jinja2.Template, Markup]:
    folder = files("reports") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    style = re.sub(r"\s*\n\s*", "\n", (folder / "document.css").read_text(encoding="utf-8")).strip()
    return environment.get_template("document.html"), Markup("\n" + style + "\n")


def _place_figures(blocks: list[dict[str, Any]], counter: list[int]) -> None:
    for block in blocks:
        if block["kind"] == "section":
            _place_figures(block["blocks"], counter)
        elif block["kind"] == "figure":
            for panel in block["panels"]:
                counter[0] += 1
                panel["svg"] = inline_svg(_sized(panel["svg"], panel["width"]), panel["alt"], f"fig{counter[0]}")
                panel["big"] = panel["width"] > _BIG


def inline_svg(svg: str, alt: str, prefix: str) -> Markup:
    """SVG to stand inside the page: named for who cannot see it, its ids its own, its inks those of the page."""
    svg = svg.strip().replace(' xmlns="http://www.w3.org/2000/svg"', "")
    svg = re.sub(r' id="([^"]+)"', rf' id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    svg = re.sub(
        r"<[^>]+>",
        lambda tag: re.sub(
            r"(?<=: )#[0-9a-f]{6}",
            lambda ink: f"var({_INKS[ink.group()]})" if ink.group() in _INKS else ink.group(),
            tag.group(),
        ),
        svg,
    )
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1))


def _sized(svg: str, width: float) -> str:
    """SVG whose width follows the size of the text of the page, so that its own text does too."""
    rem = width / (_POINTS_BIG if width > _BIG else _POINTS)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg)
    return svg.replace('<svg style="', f'<svg style="width: {rem:.2f}rem; ', 1)
