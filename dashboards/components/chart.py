"""A chart: a Plotly figure with a caption, a summary for who cannot see it, its data, and its export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from dash import dcc, html

from reports.document import Inlines, text_of
from reports.figures import GRID, INK, MUTED

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Chart:
    """One chart. figure: data and layout as Plotly takes them. alt: what it shows, in words and numbers.

    data: what is drawn, one row a mark, for export as CSV; where it is large, what makes it.
    """

    id: str
    title: str
    figure: dict[str, Any]
    alt: str
    data: pd.DataFrame | Callable[[], pd.DataFrame]
    caption: Inlines = ""
    height: int = 380
    notes: tuple[str, ...] = field(default=())

    @property
    def frame(self) -> pd.DataFrame:
        return self.data() if callable(self.data) else self.data


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis in the house style."""
    return {
        "title": {"text": title, "font": {"size": 13, "color": INK}, "standoff": 8},
        "showgrid": True, "gridcolor": GRID, "zeroline": False, "linecolor": MUTED, "ticks": "outside", "ticklen": 4,
        "tickcolor": MUTED, "tickfont": {"size": 12, "color": INK}, "showline": True, "automargin": True,
        **more,
    }  # fmt: skip


def layout(x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The layout of a figure in the house style; the page's own colours come from its style sheet."""
    return {
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 56, "r": 14, "t": 10, "b": 48}, "xaxis": x, "yaxis": y, "hovermode": "closest",
        "showlegend": False, "dragmode": False, "autosize": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        **more,
    }  # fmt: skip


def render(chart: Chart, csv: str) -> html.Figure:
    """The chart with its tools: SVG and PNG of what is drawn, CSV of its data."""
    key = {"type": "chart", "name": chart.id}
    named = {"aria-label": chart.alt}
    tools = [
        html.Button(kind.upper(), type="button", className="tool",
                    **{"data-image": kind, "data-chart": chart.id, "aria-label": f"{kind.upper()} of: {chart.title}"})
        for kind in ("svg", "png")
    ]  # fmt: skip
    tools.append(html.A("CSV", href=csv, className="tool", download="", **{"aria-label": f"CSV of: {chart.title}"}))
    graph = dcc.Graph(
        id=key, figure=chart.figure, responsive=True,
        style={"height": f"max({chart.height}px, {chart.height / 16.5:.2f}rem)"},
        config={"displayModeBar": False, "displaylogo": False, "scrollZoom": False, "doubleClick": False},
    )  # fmt: skip
    return html.Figure(
        [
            html.Div([html.H3(chart.title), html.Div(tools, className="tools")], className="caption-row"),
            html.Div(graph, role="img", className="graph", id=f"chart-{chart.id}", **named),
            html.Figcaption(
                [
                    *([html.P(text_of(chart.caption), className="caption")] if chart.caption else []),
                    *(html.P(note, className="note") for note in chart.notes),
                    html.Details([html.Summary("In words"), html.P(chart.alt)], className="alt"),
                ]
            ),
        ],
        className="chart",
    )
