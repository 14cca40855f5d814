"""Charts of agreement: Bland–Altman, identity, and the distribution of the errors.

Up to `DENSE` pairs every pair is a point that opens its subject. Above, the pairs in each cell of a grid are counted:
points would hide each other and take seconds to draw. The caption says which it is.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards.components.chart import Chart, axis, layout
from dashboards.queries import Pairs
from reports.bound import Bound
from reports.figures import DENSE, GRID, INK, MUTED, Method
from reports.wording import count, estimate_of, excludes, interval, number, sentence, unit_of_values

Floats = NDArray[np.float64]
Address = Callable[[str], str]

SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid", "longdashdot")
_CELLS = (64, 40)
_POINT = 6


def faded(colour: str, share: float) -> str:
    """A colour of the palette, partly transparent."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share:g})"


def packed(values: Floats) -> dict[str, str]:
    """Numbers as Plotly takes them with the least work: float32, base64. NaN is a gap."""
    content = base64.b64encode(values.astype("<f4").tobytes()).decode()
    return {
        "dtype": "f4",
        "bdata": content,
        **({"shape": ", ".join(map(str, values.shape))} if values.ndim > 1 else {}),
    }


def spans(values: list[Floats], more: list[float | None] = ()) -> tuple[float, float] | None:
    """Common ends of an axis, with a margin; None where there is nothing."""
    found = [np.asarray(part, float) for part in values if len(part)]
    found += [np.array([value for value in more if value is not None], dtype=float)]
    joined = np.concatenate(found)
    if not len(joined):
        return None
    low, high = float(joined.min()), float(joined.max())
    margin = 0.04 * ((high - low) or 1.0)
    return low - margin, high + margin


def cloud(
    x: Floats, y: Floats, pairs: Pairs, method: Method, address: Address, hover: str, xlim: Any, ylim: Any
) -> tuple[dict[str, Any], str]:
    """The trace of many pairs, and what it is: points, or counts in a grid."""
    if len(x) <= DENSE:
        names = pairs.named()
        who, visit = (names[column].astype("object").tolist() for column in ("subject_id", "visit"))
        trace = {
            "type": "scatter",
            "mode": "markers",
            "x": x.tolist(),
            "y": y.tolist(),
            "showlegend": False,
            "customdata": [[address(code), code, label] for code, label in zip(who, visit, strict=True)],
            "hovertemplate": f"%{{customdata[1]}}, %{{customdata[2]}}<br>{hover}<extra></extra>",
            "marker": {
                "color": faded(method.colour, 0.55),
                "size": _POINT,
                "line": {"width": 0},
                "symbol": SYMBOLS[method.position % len(SYMBOLS)],
            },
        }
        return trace, "Each mark is a pair; a click opens its subject."
    counts, xs, ys = counted(x, y, xlim, ylim)
    inside = np.where(counts.T > 0, counts.T, np.nan)
    trace = {
        "type": "heatmap",
        "x": packed(xs),
        "y": packed(ys),
        "z": packed(inside),
        "colorscale": [[0, faded(method.colour, 0.12)], [1, method.colour]],
        "hoverongaps": False,
        "colorbar": {"title": {"text": "pairs", "font": {"size": 12}}, "thickness": 10, "len": 0.9, "outlinewidth": 0},
        "hovertemplate": f"{hover}<br>%{{z}} pairs<extra></extra>",
    }
    said = f"The {count(len(x))} pairs are counted in a grid of {_CELLS[0]} by {_CELLS[1]} cells; none is left out."
    return trace, said


def counted(
    x: Floats, y: Floats, xlim: tuple[float, float], ylim: tuple[float, float]
) -> tuple[NDArray[np.intp], Floats, Floats]:
    """How many points are in each cell of a grid over these limits, which all lie within, and the cells' middles.

    As `np.histogram2d`, which takes several times as long since it looks for the cell of each point.
    """
    places, middles = [], []
    for values, (low, high), cells in zip((x, y), (xlim, ylim), _CELLS, strict=True):
        places.append(np.minimum(((values - low) * (cells / (high - low))).astype(np.intp), cells - 1))
        middles.append(low + (high - low) * (np.arange(cells) + 0.5) / cells)
    counts = np.bincount(places[0] * _CELLS[1] + places[1], minlength=_CELLS[0] * _CELLS[1])
    return counts.reshape(_CELLS), *middles


# Bland–Altman ---------------------------------------------------------------------------------------------------------


def bland_altman_chart(
    report: Bound,
    method: Method,
    found: dict[str, Any],
    x: Floats,
    y: Floats,
    pairs: Pairs,
    *,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    unit: str,
    address: Address,
) -> Chart:
    """Differences against means of one method, with bias and limits and their intervals. found: its results."""
    hover = f"mean %{{x:.1f}} {unit_of_values(report.unit)}, difference %{{y:.1f}} {unit}"
    trace, drawn = cloud(x, y, pairs, method, address, hover, xlim, ylim)
    shapes = [_line(0.0, MUTED, "dot", 1)]
    notes = []
    labels = []
    for key, item, dash in (
        ("Bias", found.get("bias"), "solid"),
        ("Upper limit", (found.get("limits") or {}).get("upper"), "dash"),
        ("Lower limit", (found.get("limits") or {}).get("lower"), "dash"),
    ):
        estimate = estimate_of(item)
        if estimate["estimate"] is None:
            continue
        if estimate["low"] is not None:
            shapes.append(_band(estimate["low"], estimate["high"], method.colour))
        shapes.append(_line(estimate["estimate"], method.colour, dash, 1.6))
        labels.append(_label(estimate["estimate"], f"{key} {number(estimate['estimate'])}"))
        notes.append(f"{key.lower()} {number(estimate['estimate'])} ({report.level} CI {interval(estimate)})")
    traces = [trace]
    line = found.get("proportional_bias") or {}
    slope, intercept = estimate_of(line.get("slope")), estimate_of(line.get("intercept"))
    leaning = excludes(slope) and slope["estimate"] is not None and intercept["estimate"] is not None
    if leaning:
        ends = [float(x.min()), float(x.max())] if len(x) else list(xlim)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": ends,
                "hoverinfo": "skip",
                "y": [intercept["estimate"] + slope["estimate"] * end for end in ends],
                "line": {"color": INK, "width": 1.4, "dash": "dashdot"},
            }
        )
        notes.append(f"slope of the difference on the mean {number(slope['estimate'], 3)} ({interval(slope, 3)})")
    who, n = report.label(method.name), found.get("n") or 0
    alt = (
        f"Bland–Altman plot of {who} against {report.reference}, {count(n)} pairs: {'; '.join(notes) or 'no estimate'}."
    )
    caption = "Solid line: bias; dashed: limits of agreement; bands: their intervals; dotted: zero"
    caption += "; dash-dotted: proportional bias." if leaning else "."
    figure = {
        "data": traces,
        "layout": layout(
            axis(f"Mean of {who} and {report.reference} ({unit_of_values(report.unit)})", range=list(xlim)),
            axis(f"{sentence(who)} − {report.reference} ({unit})", range=list(ylim)),
            shapes=shapes,
            annotations=_apart(labels, ylim),
            margin={"l": 56, "r": 14, "t": 14, "b": 48},
        ),
    }
    return Chart(
        f"bland-altman-{method.name}", f"{sentence(who)} (n = {count(n)})", figure, alt,
        lambda: pairs.named(mean=x, difference=y), caption, 360, (drawn,),
    )  # fmt: skip


def _line(y: float, colour: str, dash: str, width: float) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": y,
        "y1": y,
        "line": {"color": colour, "width": width, "dash": dash},
    }


def _band(low: float, high: float, colour: str) -> dict[str, Any]:
    return {
        "type": "rect",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": low,
        "y1": high,
        "layer": "below",
        "fillcolor": faded(colour, 0.16),
        "line": {"width": 0},
    }


def _label(y: float, text: str) -> dict[str, Any]:
    return {
        "xref": "paper",
        "x": 1,
        "y": y,
        "text": text,
        "showarrow": False,
        "xanchor": "right",
        "yanchor": "bottom",
        "font": {"size": 12, "color": INK},
    }


def _apart(labels: list[dict[str, Any]], ylim: tuple[float, float]) -> list[dict[str, Any]]:
    """Labels that would stand on one another go below their line instead."""
    gap = 0.08 * (ylim[1] - ylim[0])
    for label, other in zip(labels[1:], labels, strict=False):
        if abs(label["y"] - other["y"]) < gap:
            label["yanchor"] = "top"
    return labels


# Identity -------------------------------------------------------------------------------------------------------------


def identity_chart(
    report: Bound,
    method: Method,
    found: dict[str, Any],
    x: Floats,
    y: Floats,
    pairs: Pairs,
    *,
    lim: tuple[float, float],
    address: Address,
) -> Chart:
    """The method against the reference, the line of identity, and the lines of Deming and of Passing and Bablok."""
    unit, who = unit_of_values(report.unit), report.label(method.name)
    hover = f"{report.reference} %{{x:.1f}} {unit}, {who} %{{y:.1f}} {unit}"
    trace, drawn = cloud(x, y, pairs, method, address, hover, lim, lim)
    traces = [
        trace,
        {
            "type": "scatter",
            "mode": "lines",
            "x": list(lim),
            "y": list(lim),
            "hoverinfo": "skip",
            "showlegend": True,
            "name": "identity",
            "line": {"color": MUTED, "width": 1.2, "dash": "dot"},
        },
    ]
    told = []
    for key, name, dash in (("deming", "Deming", "solid"), ("passing_bablok", "Passing–Bablok", "dash")):
        line = found.get(key) or {}
        slope, intercept = estimate_of(line.get("slope")), estimate_of(line.get("intercept"))
        if slope["estimate"] is None or intercept["estimate"] is None:
            continue
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": list(lim),
                "hoverinfo": "skip",
                "showlegend": True,
                "y": [intercept["estimate"] + slope["estimate"] * end for end in lim],
                "name": name,
                "line": {"color": INK if key == "deming" else method.colour, "width": 1.8, "dash": dash},
            }
        )
        told.append(
            f"{name} slope {number(slope['estimate'], 3)} ({interval(slope, 3)}), intercept "
            f"{number(intercept['estimate'])} ({interval(intercept)})"
        )
    lines = "; ".join(told) or "No line could be fitted"
    alt = f"{sentence(who)} against {report.reference}, {count(len(x))} pairs. {lines}."
    figure = {
        "data": traces,
        "layout": layout(
            axis(f"{sentence(report.reference)} ({unit})", range=list(lim)),
            axis(f"{sentence(who)} ({unit})", range=list(lim)),
            showlegend=True,
            margin={"l": 56, "r": 14, "t": 34, "b": 48},
        ),
    }
    named = partial(pairs.named, reference=x, test=y)
    title = f"{sentence(who)} (n = {count(len(x))})"
    return Chart(f"identity-{method.name}", title, figure, alt, named, "", 360, (drawn,))


# Errors ---------------------------------------------------------------------------------------------------------------


def error_chart(report: Bound, methods: list[Method], errors: dict[str, Floats], marks: list[float]) -> Chart:
    """The share of pairs whose error is no larger than a value, for every method."""
    sizes = {method.name: np.sort(np.abs(errors[method.name])) for method in methods if len(errors[method.name])}
    top = max([float(np.percentile(values, 99)) for values in sizes.values()] or [1.0]) * 1.03 or 1.0
    grid = np.linspace(0, top, 121)
    traces, told, columns = [], [], {f"error ({report.pp})": grid}
    for method in methods:
        if method.name not in sizes:
            continue
        values = sizes[method.name]
        share = 100 * np.searchsorted(values, grid, side="right") / len(values)
        columns[f"{report.label(method.name)} (%)"] = share
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": grid.tolist(),
                "y": share.tolist(),
                "name": sentence(report.label(method.name)),
                "showlegend": True,
                "line": {
                    "color": method.colour,
                    "width": 2,
                    "dash": DASHES[method.position % len(DASHES)],
                    "shape": "hv",
                },
                "hovertemplate": f"%{{y:.0f}}% within %{{x:.1f}} {report.pp}<extra>%{{fullData.name}}</extra>",
            }
        )
        shares = ", ".join(f"{number(100 * float(np.mean(values <= mark)), 0)}% within {mark:g}" for mark in marks)
        told.append(f"{report.label(method.name)}: {shares}")
    shapes = [
        {
            "type": "line",
            "x0": mark,
            "x1": mark,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": GRID, "width": 1.5, "dash": "dot"},
        }
        for mark in marks
        if mark <= top
    ]
    figure = {
        "data": traces,
        "layout": layout(
            axis(f"Absolute error ({report.pp})", range=[0, top]),
            axis("Pairs within this error (%)", range=[0, 100]),
            showlegend=True,
            shapes=shapes,
            margin={"l": 56, "r": 14, "t": 34, "b": 48},
        ),
    }
    caption = "The axis ends at the 99th percentile of the worst method."
    alt = f"Share of pairs by absolute error. {'; '.join(told)} {report.points}."
    return Chart("errors", "Share of pairs within an error", figure, alt, pd.DataFrame(columns), caption, 360)
