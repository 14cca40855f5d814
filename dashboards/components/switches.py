"""Switches: a row of links that change one option of the page's address, so that every view can be shared."""

from __future__ import annotations

from collections.abc import Mapping

from dash import dcc, html

from dashboards.view import View


def switch(view: View, label: str, option: str, choices: Mapping[str, str], chosen: str, usual: str) -> html.Div:
    """One switch. choices: value -> label; `usual` is what no option in the address stands for."""
    items = []
    for value, text in choices.items():
        current = {"aria-current": "true"} if value == chosen else {}
        link = dcc.Link(text, href=view.here(**{option: "" if value == usual else value}))
        items.append(html.Li(link, className="current" if current else None, **current))
    return html.Div([html.Span(label, className="label"), html.Ul(items)], className="switch", role="group",
                    **{"aria-label": label})  # fmt: skip
