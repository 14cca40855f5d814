"""Charts of one subject: measurements over time, and the avatar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dashboards.charts.agreement import DASHES, SYMBOLS, faded, spans
from dashboards.components.chart import Chart, axis, layout
from models.avatar.outline import SIZE, Outlines
from reports.bound import Bound
from reports.figures import INK, PALETTE, PAPER
from reports.wording import number, sentence, unit_of_values

_BODY = "#c8a38a"
_SEEN = "#b4bcc6"


def timeline(report: Bound, values: pd.DataFrame, changes: dict[str, float]) -> Chart:
    """The plan's measurand over time, by method, with bands of the least significant change.

    values: measured_at, visit, method, value, low, high. changes: method -> least significant change (LSC); the band
    around the first value is where another value may be no change at all.
    """
    traces: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    told = []
    # Of one day, or without dates, visits stand side by side.
    dated = values["measured_at"].notna().all() and values["measured_at"].dt.date.nunique() > 1
    ends: list[float | None] = [*values["value"], *values["low"].dropna(), *values["high"].dropna()]
    order = [report.results["reference"], *report.names]
    for place, method in enumerate([name for name in order if (values["method"] == name).any()]):
        part = values[values["method"] == method]
        colour = INK if method == report.results["reference"] else PALETTE[report.names.index(method) % len(PALETTE)]
        when = part["measured_at"]
        x = when.dt.strftime("%Y-%m-%d").tolist() if dated else part["visit"].tolist()
        trace = {
            "type": "scatter",
            "mode": "lines+markers",
            "x": x,
            "y": part["value"].tolist(),
            "showlegend": True,
            "name": sentence(report.label(method)),
            "text": part["visit"].tolist(),
            "line": {"color": colour, "width": 1.4, "dash": DASHES[place % len(DASHES)]},
            "marker": {"size": 9, "symbol": SYMBOLS[place % len(SYMBOLS)], "color": colour},
            "hovertemplate": "%{text}, %{x}: %{y:.1f}<extra>%{fullData.name}</extra>",
        }
        if part["low"].notna().any():
            trace["error_y"] = {
                "type": "data",
                "symmetric": False,
                "array": (part["high"] - part["value"]).fillna(0).tolist(),
                "arrayminus": (part["value"] - part["low"]).fillna(0).tolist(),
                "color": colour,
                "width": 3,
            }
        traces.append(trace)
        lsc = changes.get(method)
        if lsc is not None and len(part):
            first = float(part["value"].iloc[0])
            ends += [first - lsc, first + lsc]
            shapes.append(
                {
                    "type": "rect",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "y0": first - lsc,
                    "y1": first + lsc,
                    "layer": "below",
                    "fillcolor": faded(colour, 0.1),
                    "line": {"width": 0},
                }
            )
        said = ", ".join(f"{row['visit']} {number(row['value'], 1)}" for row in part.to_dict("records"))
        told.append(f"{report.label(method)}: {said}" + (f" (LSC {number(lsc, 1)})" if lsc is not None else ""))
    figure = {
        "data": traces,
        "layout": layout(
            axis("", type="date" if dated else "category"),
            axis(
                f"{sentence(report.measurand)} ({unit_of_values(report.unit)})", range=list(spans([], ends) or (0, 1))
            ),
            shapes=shapes,
            showlegend=True,
            margin={"l": 56, "r": 14, "t": 34, "b": 40},
        ),
    }
    caption = "Bands: least significant change around the first value; inside, a later value may be no change at all."
    if report.results.get("exploratory"):
        caption = "The least significant change is computed of the plan's measurand alone."
    elif not changes:
        caption = (
            "Nobody of the study was measured twice at one visit, so there is no least significant change to show."
        )
    alt = f"{sentence(report.measurand)} over time. {'; '.join(told) or 'No value'}."
    return Chart("timeline", f"{sentence(report.measurand)} over time", figure, alt, values, caption, 340)


def mesh_trace(vertices: np.ndarray, faces: np.ndarray) -> dict[str, Any]:
    """A body (V,3 metres, y up) as a mesh in Plotly's axes, z up."""
    millimetres = np.round(vertices * 1000).astype(int)
    return {
        "type": "mesh3d",
        "x": (millimetres[:, 0] / 1000).tolist(),
        "y": (-millimetres[:, 2] / 1000).tolist(),
        "z": (millimetres[:, 1] / 1000).tolist(),
        "i": faces[:, 0].tolist(),
        "j": faces[:, 1].tolist(),
        "k": faces[:, 2].tolist(),
        "color": _BODY,
        "hoverinfo": "skip",
        "flatshading": False,
        # Triangles of a few square millimetres would else pass for degenerate, and have no light and shade.
        "lighting": {
            "ambient": 0.4,
            "diffuse": 0.65,
            "specular": 0.08,
            "roughness": 0.9,
            "facenormalsepsilon": 1e-18,
            "vertexnormalsepsilon": 1e-18,
        },
        "lightposition": {"x": 3000, "y": 5000, "z": -20},  # beside and above the viewer: it is seen from the camera
    }


def fit_svg(found: Outlines) -> str:
    """The outline of an avatar over its silhouette, as a picture of its own; paper in light and dark."""
    height, width = SIZE
    seen, avatar = (_path(curves) for curves in (found.seen, found.avatar))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>'
        f'<path d="{seen}" fill="{_SEEN}" fill-rule="evenodd"/>'
        f'<path d="{avatar}" fill="none" stroke="{PALETTE[0]}" stroke-width="3" stroke-linejoin="round"/></svg>'
    )


def _path(curves: Sequence[np.ndarray]) -> str:
    return "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in curve) + "Z" for curve in curves)


def avatar_chart(vertices: np.ndarray, faces: np.ndarray, alt: str, title: str, data: pd.DataFrame) -> Chart:
    """The avatar to turn and look at."""
    hidden = {"visible": False}
    figure = {
        "data": [mesh_trace(vertices, faces)],
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
            "uirevision": "avatar",
            "scene": {
                "xaxis": hidden,
                "yaxis": hidden,
                "zaxis": hidden,
                "aspectmode": "data",
                "camera": {"eye": {"x": 0.0, "y": -1.9, "z": 0.15}, "projection": {"type": "orthographic"}},
                "dragmode": "turntable",
            },
        },
    }
    return Chart("avatar", title, figure, alt, data, "Drag to turn it.", 520)
