"""Charts of subgroups: a forest plot, the error across the range of the measurand, and a heat map of crossings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards.charts.agreement import SYMBOLS, spans
from dashboards.components.chart import Chart, axis, layout
from reports.bound import Bound
from reports.figures import INK, MUTED, Method
from reports.wording import count, estimate_of, interval, number, sentence, unit_of_values

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """A row of the forest plot: estimates by method, or why it is not shown."""

    label: str
    n: int | None
    estimates: Mapping[str, Mapping[str, Any]]
    hidden: str = ""


def forest_chart(
    report: Bound,
    title: str,
    label: str,
    unit: str,
    methods: Sequence[Method],
    groups: Sequence[Group],
    *,
    null: float | None,
    places: int,
    margin: float | None = None,
) -> Chart:
    """One measure in every group, with its interval, for every method; the first group is everybody.

    margin: what a criterion of the plan allows, drawn as a line.
    """
    traces, told, data = [], [], []
    names = [f"{group.label} (n = {count(group.n)})" if group.n is not None else group.label for group in groups]
    step = 0.62 / max(1, len(methods))
    for place, method in enumerate(methods):
        shift = step * (place - (len(methods) - 1) / 2)
        xs, ys, left, right, said = [], [], [], [], []
        for row, group in enumerate(groups):
            item = estimate_of(group.estimates.get(method.name))
            if group.hidden or item["estimate"] is None:
                continue
            xs.append(item["estimate"])
            ys.append(row + shift)
            left.append(item["estimate"] - item["low"] if item["low"] is not None else 0.0)
            right.append(item["high"] - item["estimate"] if item["high"] is not None else 0.0)
            said.append(f"{names[row]}: {number(item['estimate'], places)} ({interval(item, places) or 'no interval'})")
            data.append(
                {
                    "group": group.label,
                    "n": group.n,
                    "method": report.label(method.name),
                    **{end: item[end] for end in ("estimate", "low", "high")},
                }
            )
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": xs,
                "y": ys,
                "text": said,
                "showlegend": len(methods) > 1,
                "name": sentence(report.label(method.name)),
                "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": right,
                    "arrayminus": left,
                    "width": 0,
                    "color": method.colour,
                    "thickness": 1.8,
                },
                "marker": {"color": method.colour, "size": 9, "symbol": SYMBOLS[method.position % len(SYMBOLS)]},
            }
        )
        if place == 0:
            told = said
    shapes = []
    below = -margin if margin is not None and null is not None else None
    for value, colour, dash in ((null, MUTED, "solid"), (margin, INK, "dash"), (below, INK, "dash")):
        if value is not None:
            shapes.append(
                {
                    "type": "line",
                    "x0": value,
                    "x1": value,
                    "yref": "paper",
                    "y0": 0,
                    "y1": 1,
                    "line": {"color": colour, "width": 1.2, "dash": dash},
                }
            )
    annotations = [
        {
            "xref": "paper",
            "x": 0.02,
            "y": row,
            "text": group.hidden,
            "showarrow": False,
            "xanchor": "left",
            "font": {"size": 12, "color": MUTED},
        }
        for row, group in enumerate(groups)
        if group.hidden
    ]
    hidden = [f"{group.label}: {group.hidden}" for group in groups if group.hidden]
    alt = f"{title} by {label}, {report.label(methods[0].name) if methods else ''}. {'; '.join([*told, *hidden])}."
    ends = [
        item[end]
        for group in groups
        for m in methods
        if (item := estimate_of(group.estimates.get(m.name)))
        for end in ("estimate", "low", "high")
    ]
    figure = {
        "data": traces,
        "layout": layout(
            axis(
                f"{title}{f' ({unit})' if unit else ''}", range=list(spans([], [*ends, null, margin, below]) or (0, 1))
            ),
            axis(
                "",
                range=[len(groups) - 0.5, -0.5],
                tickvals=list(range(len(groups))),
                ticktext=names,
                showgrid=False,
                ticks="",
                showline=False,
            ),
            shapes=shapes,
            annotations=annotations,
            showlegend=len(methods) > 1,
            margin={"l": 40, "r": 14, "t": 34 if len(methods) > 1 else 10, "b": 48},
        ),
    }
    caption = f"Points with {report.level} intervals."
    if margin is not None:
        caption += " Dashed: the criterion of the plan."
    height = 110 + max(30, 20 + 13 * len(methods)) * len(groups)
    columns = ["group", "n", "method", "estimate", "low", "high"]
    return Chart("forest", f"{title} by {label}", figure, alt, pd.DataFrame(data, columns=columns), caption, height)


def range_chart(report: Bound, method: Method, test: Floats, reference: Floats, *, least: int) -> Chart:
    """Bias and mean absolute error in bands of the reference, five units wide, of at least `least` pairs."""
    width = 5.0 if np.ptp(reference) > 20 else max(float(np.ptp(reference)) / 8, 1e-9)
    band = np.floor(reference / width).astype(np.int64)
    places, inverse = np.unique(band, return_inverse=True)
    error = test - reference
    n = np.bincount(inverse)
    rows = []
    for name, values in (("bias", error), ("mean absolute error", np.abs(error))):
        mean = np.bincount(inverse, values) / n
        square = np.bincount(inverse, (values - mean[inverse]) ** 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            half = 1.96 * np.sqrt(square / (n - 1) / n)
        for place, size, value, far in zip(places, n, mean, half, strict=True):
            if size >= least:
                rows.append(
                    {
                        "measure": name,
                        "from": place * width,
                        "to": (place + 1) * width,
                        "pairs": int(size),
                        "mean": value,
                        "low": value - far,
                        "high": value + far,
                    }
                )
    data = pd.DataFrame(rows, columns=["measure", "from", "to", "pairs", "mean", "low", "high"])
    traces, told = [], []
    for (name, part), dash, colour in zip(
        data.groupby("measure", sort=False), ("solid", "dash"), (method.colour, INK), strict=False
    ):
        middle = ((part["from"] + part["to"]) / 2).tolist()
        said = [
            f"{row['from']:g}–{row['to']:g}: {number(row['mean'])} ({number(row['low'])} to {number(row['high'])}), "
            f"{count(int(row['pairs']))} pairs"
            for row in part.to_dict("records")
        ]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": middle,
                "y": part["mean"].tolist(),
                "name": sentence(str(name)),
                "text": said,
                "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
                "showlegend": True,
                "line": {"color": colour, "width": 1.8, "dash": dash},
                "marker": {"size": 7},
                "error_y": {
                    "type": "data",
                    "array": (part["high"] - part["mean"]).tolist(),
                    "width": 0,
                    "color": colour,
                },
            }
        )
        told.append(f"{name} by {report.reference}: {'; '.join(said)}")
    shapes = [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": 0,
            "y1": 0,
            "line": {"color": MUTED, "width": 1, "dash": "dot"},
        }
    ]
    figure = {
        "data": traces,
        "layout": layout(
            axis(f"{report.reference} ({unit_of_values(report.unit)})"),
            axis(f"Error ({report.pp})"),
            showlegend=True,
            shapes=shapes,
            margin={"l": 56, "r": 14, "t": 34, "b": 48},
        ),
    }
    caption = (
        f"Bands of {report.reference} with at least {least} pairs; normal 95% intervals, as if pairs were independent. "
        "Bands of a reference with error of its own show a little regression to the mean even for a perfect test."
    )
    title = f"Error of {report.spoken(method.name)} across the range"
    return Chart("range", title, figure, ". ".join(told) or "No band has enough pairs.", data, caption, 340)


def heat_chart(
    report: Bound,
    title: str,
    unit: str,
    cells: Sequence[Sequence[Mapping[str, Any]]],
    metric: str,
    subjects: NDArray[np.int64],
    down: list[str],
    across: list[str],
    labels: tuple[str, str],
    *,
    signed: bool,
    least: int,
) -> Chart:
    """A metric in every crossing of two attributes, with its interval and number of pairs.

    cells: {"n", metric: estimate} by row and column, empty where nothing may be shown. subjects: how many there are.
    """
    rows, shown, words = [], [], []
    for a, line, ns in zip(down, cells, subjects, strict=True):
        shown.append([estimate_of(cell.get(metric))["estimate"] for cell in line])
        words.append([])
        for b, cell, n in zip(across, line, ns, strict=True):
            item = estimate_of(cell.get(metric))
            ends = {end: item[end] for end in ("estimate", "low", "high")}
            rows.append({labels[0]: a, labels[1]: b, "n": cell.get("n"), **ends})
            if item["estimate"] is None:
                words[-1].append("not shown" if n else "nobody")
                continue
            between = interval(item)
            lines = (number(item["estimate"]), *([between] if between else []), f"n = {count(cell['n'])}")
            words[-1].append("<br>".join(lines))
    finite = np.array([cell for line in shown for cell in line if cell is not None])
    top = float(np.abs(finite).max()) if len(finite) else 1.0
    # Blue to orange over white: told apart by the colour-blind, and dark text reads on all of it.
    scale = [[0, "#8fc4e8"], [0.5, "#f7f7f5"], [1, "#f5b183"]] if signed else [[0, "#f7f7f5"], [1, "#f5b183"]]
    told = [
        f"{row[labels[0]]}, {row[labels[1]]}: {number(row['estimate'])} ({interval(row) or 'no interval'}), "
        f"n = {count(row['n'])}"
        for row in rows
        if row["estimate"] is not None
    ]
    trace = {
        "type": "heatmap",
        "x": across,
        "y": down,
        "z": shown,
        "text": words,
        "texttemplate": "%{text}",
        "xgap": 2,
        "ygap": 2,
        "colorscale": scale,
        "zmin": -top if signed else 0,
        "zmax": top,
        "showscale": False,
        "hoverongaps": False,
        "textfont": {"size": 12, "color": INK},
        "hovertemplate": "%{y}, %{x}: %{text}<extra></extra>",
    }
    figure = {
        "data": [trace],
        "layout": layout(
            axis("", type="category", showgrid=False, showline=False, ticks=""),
            axis("", type="category", showgrid=False, showline=False, ticks="", autorange="reversed"),
            margin={"l": 40, "r": 14, "t": 10, "b": 40},
            plot_bgcolor="#e6e9ec",
        ),
    }
    caption = (
        f"{title} ({unit}), its {report.level} interval (jackknife), pairs. Grey: fewer than {least} subjects, or what "
        "would reveal them."
    )
    name = f"{title} by {labels[0]} and {labels[1]}"
    return Chart("heat", name, figure, f"{name}. {'; '.join(told)}.", pd.DataFrame(rows), caption, 130 + 68 * len(down))
