"""Print figures as SVG: text stays text, the same data give the same bytes, no plotting state is shared.

Every function takes numbers and labels and returns a `Panel`. Colours come from a palette that colour-blind people can
tell apart (Okabe and Ito, https://jfly.uni-koeln.de/color/, darkened where a line would be too faint on paper), and
methods differ by marker and line style too, so that a grey print is as good. The HTML writer swaps the inks for those
of a dark page; see `reports.html`.
"""

from __future__ import annotations

import io
import math
import re
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from reports.document import Panel, clean
from reports.wording import (
    count,
    estimate_of,
    interval,
    number,
    plain_number,
    plural,
    sentence,
    short_unit_of_differences,
    unit_of_differences,
    unit_of_values,
)

Floats = NDArray[np.float64]

INK, MUTED, GRID, PAPER = "#1b1f24", "#57606a", "#d0d7de", "#ffffff"
PALETTE = ("#0072b2", "#d55e00", "#007a59", "#a3478a", "#8a6500", "#3b6fb6", "#6b6b6b")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (8, 2)), "-", (0, (2, 2)))
FONTS = "'DejaVu Sans', Verdana, Geneva, 'Segoe UI', sans-serif"

DENSE = 3000
"""Above so many points, counts in hexagons are drawn instead of points: a cloud of ink shows nothing."""

PANEL_WIDTH = 3.3  # inches: two abreast on A4
FULL_WIDTH = 6.7

_RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "calliper",
    "svg.id": None,
    "path.simplify": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "text.parse_math": False,  # a "$" in a group's name is a dollar
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}

# matplotlib's settings belong to the whole process, so one figure is drawn at a time.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Method:
    """A test as figures show it: its label, its place in the fixed order of colours and markers, its results."""

    name: str
    label: str
    position: int
    results: Mapping[str, Any]

    @property
    def colour(self) -> str:
        return PALETTE[self.position % len(PALETTE)]

    @property
    def marker(self) -> str:
        return MARKERS[self.position % len(MARKERS)]

    @property
    def dashes(self) -> Any:
        return DASHES[self.position % len(DASHES)]


# Drawing and tidying --------------------------------------------------------------------------------------------------


@contextmanager
def _canvas(width: float, height: float) -> Iterator[Figure]:
    with _LOCK, matplotlib.rc_context(_RC), warnings.catch_warnings():
        # A name in a script that DejaVu lacks is drawn by the reader's own fonts; its width is only estimated here.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        yield figure


def _panel(figure: Figure, alt: str) -> Panel:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    width, height = figure.get_size_inches() * 72
    return Panel(_tidy(buffer.getvalue()), clean(alt), float(width), float(height))


def _tidy(svg: str) -> str:
    """A smaller SVG that can stand inside a page: no prologue, no metadata, no ids but those that are used."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    svg = svg.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace("xlink:href", "href")
    svg = re.sub(r"<[^>]+>", lambda tag: _tidy_tag(tag.group()), svg)
    svg = re.sub(r">\s*\n\s*<", "><", svg)
    svg = re.sub(r"<defs></defs>", "", svg)
    svg = re.sub(r"(<g[^>]*>)((?:<use [^>]*/>){2,})(</g>)", _share_style, svg)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found.group() if found.group(1) in used else "", svg)
    while re.search(r"<g>([^<]*<(?:path|text|use)[^>]*(?:/>|>[^<]*</text>))</g>", svg):
        svg = re.sub(r"<g>([^<]*<(?:path|text|use)[^>]*(?:/>|>[^<]*</text>))</g>", r"\1", svg)
    style = f"stroke-linejoin: round; stroke-linecap: butt; font-family: {FONTS}"
    return svg.replace("<svg ", f'<svg style="{style}" ', 1).strip() + "\n"


def _tidy_tag(tag: str) -> str:
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r"-?\d+\.\d{3,}(?:e-?\d+)?", lambda found: _short(float(found.group())), tag)
    tag = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", tag)
    return re.sub(r"\s+", " ", tag)


def _short(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _share_style(match: re.Match[str]) -> str:
    """Hundreds of markers of one style say so once, on their group."""
    head, uses, tail = match.groups()
    styles = set(re.findall(r'style="[^"]*"', uses))
    if len(styles) != 1 or "style=" in head:
        return match.group()
    shared = styles.pop()
    return f"{head[:-1]} {shared}>{uses.replace(' ' + shared, '')}{tail}"


@cache
def _advances(weight: str) -> tuple[FT2Font, dict[str, float]]:
    name = "DejaVuSans-Bold.ttf" if weight == "bold" else "DejaVuSans.ttf"
    font = FT2Font(str(FilePath(matplotlib.get_data_path()) / "fonts" / "ttf" / name))
    font.set_size(100, 72)
    return font, {}


def _text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width in points: the sum of the advances of the characters, as a browser or typst sets them without kerning."""
    font, known = _advances(weight)
    for character in set(text) - set(known):
        glyph = font.get_char_index(ord(character))
        # A character that the font lacks comes from another one; most such scripts fill the em.
        advance = font.load_glyph(glyph, flags=LoadFlags.NO_HINTING).linearHoriAdvance / 65536 / 100 if glyph else 1.0
        known[character] = advance
    return size * sum(known[character] for character in text)


def wrap(text: str, width: float, size: float, weight: str = "normal") -> list[str]:
    """Lines of text no wider than `width` points; a word that is wider by itself is broken."""
    lines: list[str] = []
    line = ""
    for word in clean(text).split():
        while _text_width(word, size, weight) > width and len(word) > 1:
            fit = max(
                1, next(n for n in range(len(word), 0, -1) if n == 1 or _text_width(word[:n], size, weight) <= width)
            )
            if line:
                lines.append(line)
                line = ""
            lines.append(word[:fit])
            word = word[fit:]
        trial = f"{line} {word}" if line else word
        if line and _text_width(trial, size, weight) > width:
            lines.append(line)
            line = word
        else:
            line = trial
    return [*lines, line] if line or not lines else lines


def _fitting(text: str, width: float, size: float) -> str:
    """Text on one line, cut with an ellipsis where it is too long."""
    text = clean(text)
    if _text_width(text, size) <= width:
        return text
    fitting = (text[:n].rstrip() + "…" for n in range(len(text) - 1, 0, -1))
    return next((short for short in fitting if _text_width(short, size) <= width), "…")


def _space_ticks(axes: Axes, room: float, size: float) -> None:
    """As many marks on a horizontal axis of `room` points as their labels leave a gap between."""
    low, high = axes.get_xlim()
    for most in (7, 6, 5, 4, 3):
        locator = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])
        ticks = [tick for tick in locator.tick_values(low, high) if low <= tick <= high]
        labels = axes.xaxis.get_major_formatter().format_ticks(ticks)
        apart = room * (ticks[1] - ticks[0]) / (high - low) if len(ticks) > 1 else room
        if max((_text_width(label, size) for label in labels), default=0.0) + size <= apart:
            break
    axes.xaxis.set_major_locator(locator)


def _first_that_fits(width: float, *texts: str) -> str:
    """The first text that fits an axis; the last one, cut, where none does."""
    return next((clean(text) for text in texts if _text_width(clean(text), 8) <= width), _fitting(texts[-1], width, 8))


def _title(method: Method, n: int, width: float) -> str:
    """The method's label, cut where it must be, and the number of pairs, which never is."""
    tail = f" (n = {count(n)})"
    # Titles are bold, and so a little wider than `_fitting` measures.
    return _fitting(sentence(method.label), 0.87 * width - _text_width(tail, 9), 9) + tail


def _nothing(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED, style="italic")


def _apart(values: Sequence[float], gap: float) -> list[float]:
    """Places for labels at `values`, in the same order, moved apart to be at least `gap` from one another."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    placed = [values[i] for i in order]
    for _ in range(50):
        moved = False
        for i in range(len(placed) - 1):
            short = gap - (placed[i + 1] - placed[i])
            if short > 1e-9 * max(gap, 1e-12):
                placed[i] -= short / 2
                placed[i + 1] += short / 2
                moved = True
        if not moved:
            break
    out = [0.0] * len(values)
    for place, i in zip(placed, order, strict=True):
        out[i] = place
    return out


# Many points ----------------------------------------------------------------------------------------------------------


def _levels(top: int) -> list[int]:
    """Lower bounds of the classes of counts: 1, 3, 10, 30, 100, 300; powers of ten alone where these would be more.

    >>> _levels(50), _levels(20_000)
    ([1, 3, 10, 30], [1, 10, 100, 1000, 10000])
    """
    bounds = [factor * 10**power for power in range(12) for factor in (1, 3) if factor * 10**power <= top]
    return bounds if len(bounds) <= 6 else bounds[::2]


def _opacity(position: int, of: int) -> float:
    return 1.0 if of == 1 else 0.22 + 0.78 * position / (of - 1)


def _cloud(axes: Axes, x: Floats, y: Floats, method: Method) -> list[int]:
    """Points, or above `DENSE` of them counts in hexagons; returns the classes of counts (empty for points)."""
    if len(x) <= DENSE:
        size = 3.4 if len(x) <= 300 else 2.6 if len(x) <= 1000 else 2.0
        alpha = 0.65 if len(x) <= 300 else 0.45
        axes.plot(
            x, y, linestyle="none", marker=method.marker, markersize=size, color=method.colour, alpha=alpha,
            markeredgewidth=0, zorder=2,
        )  # fmt: skip
        return []
    hexagons = axes.hexbin(x, y, gridsize=(44, 26), mincnt=1, extent=(*axes.get_xlim(), *axes.get_ylim()))
    centres, counts = hexagons.get_offsets(), hexagons.get_array()
    outline = hexagons.get_paths()[0].vertices[:6]
    hexagons.remove()
    bounds = _levels(int(counts.max()))
    for position, low in enumerate(bounds):
        high = bounds[position + 1] if position + 1 < len(bounds) else math.inf
        chosen = centres[(counts >= low) & (counts < high)]
        if not len(chosen):
            continue
        corners = chosen[:, None, :] + np.vstack([outline, outline[:1]])[None]
        codes = np.tile([Path.MOVETO, *[Path.LINETO] * 5, Path.CLOSEPOLY], len(chosen))
        shape = Path(corners.reshape(-1, 2), codes)
        axes.add_patch(
            PathPatch(shape, facecolor=method.colour, alpha=_opacity(position, len(bounds)), linewidth=0, zorder=2)
        )
    return bounds


def _count_legend(figure: Figure, bounds: list[int], method: Method) -> None:
    """What the shades of the hexagons mean, below the axes."""
    width, height = figure.get_size_inches() * 72
    x, y, size = 4.0, 5.0, 6.8
    figure.text(x / width, y / height, "pairs:", fontsize=size, va="bottom", color=MUTED)
    x += _text_width("pairs:", size) + 6
    for position, low in enumerate(bounds):
        last = position + 1 == len(bounds)
        high = None if last else bounds[position + 1] - 1
        label = f"≥{count(low)}" if high is None and low > 1 else f"{count(low)}–{count(high)}" if high else count(low)
        figure.add_artist(
            Rectangle(
                (x / width, (y + 0.5) / height), 7 / width, 7 / height, facecolor=method.colour, linewidth=0,
                alpha=_opacity(position, len(bounds)), transform=figure.transFigure,
            )
        )  # fmt: skip
        figure.text((x + 9) / width, y / height, label, fontsize=size, va="bottom", color=INK)
        x += 14 + _text_width(label, size)


# Agreement ------------------------------------------------------------------------------------------------------------


def spans(
    means: Iterable[Floats], differences: Iterable[Floats], methods: Iterable[Method]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Common limits of the axes of a set of Bland–Altman panels: every point and every interval is inside."""
    x = np.concatenate([np.asarray(values, float) for values in means] or [np.zeros(0)])
    ys = [np.asarray(values, float) for values in differences]
    for method in methods:
        limits = method.results.get("limits") or {}
        for item in (method.results.get("bias"), limits.get("lower"), limits.get("upper")):
            ys.append(np.array([value for value in estimate_of(item).values() if isinstance(value, (int, float))]))
    y = np.concatenate([*ys, np.zeros(1)])
    return _span(x), _span(y)


def _span(values: Floats, pad: float = 0.05) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = pad * (high - low) or 0.5 * abs(high) or 1.0
    return low - margin, high + margin


def bland_altman_panel(
    method: Method,
    reference: str,
    means: Floats,
    differences: Floats,
    *,
    unit: str,
    level: str,
    xlim: tuple[float, float],
    ylim: tuple[float, float],
) -> Panel:
    """Differences (method − reference) against means, with bias, limits of agreement and their intervals.

    means, differences: (n,) in the unit of the measurand. Axes are those of all panels together (`spans`).
    """
    results = method.results
    bias = estimate_of(results.get("bias"))
    limits = results.get("limits") or {}
    lower, upper = estimate_of(limits.get("lower")), estimate_of(limits.get("upper"))
    points = unit_of_differences(unit)
    dense = len(means) > DENSE
    with _canvas(PANEL_WIDTH, 2.75 + 0.2 * dense) as figure:
        bottom = 0.155 + 0.06 * dense
        axes = figure.add_axes((0.175, bottom, 0.635, 0.9 - bottom))
        axes.set_xlim(xlim)
        axes.set_ylim(ylim)
        # Steps of 2.5 would make labels as wide as "−12.5", which push the axis' own label off the picture.
        axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        bounds = []
        if len(means):
            bounds = _cloud(axes, np.asarray(means, float), np.asarray(differences, float), method)
        else:
            _nothing(axes, "no pairs")
        axes.axhline(0, color=MUTED, linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)
        labels = []
        for name, item, dashes, width in (
            ("upper", upper, (0, (5, 2)), 1.0),
            ("bias", bias, "-", 1.3),
            ("lower", lower, (0, (5, 2)), 1.0),
        ):
            if item["estimate"] is None:
                continue
            if item["low"] is not None and item["high"] is not None:
                axes.axhspan(item["low"], item["high"], color=MUTED, alpha=0.22, linewidth=0, zorder=2.5)
            axes.axhline(item["estimate"], color=INK, linewidth=width, linestyle=dashes, zorder=3)
            labels.append((name, item["estimate"]))
        if labels:
            height = figure.get_size_inches()[1] * 72 * axes.get_position().height
            gap = 9.5 * (ylim[1] - ylim[0]) / height
            places = _apart([value for _, value in labels], gap)
            for (name, value), place in zip(labels, places, strict=True):
                axes.text(
                    1.015, place, f"{name} {number(value, 1)}", transform=axes.get_yaxis_transform(), fontsize=7,
                    va="center", clip_on=False, weight="bold" if name == "bias" else "normal",
                )  # fmt: skip
        axes.set_title(_title(method, len(means), 0.78 * PANEL_WIDTH * 72))
        both = f"{method.label} and {reference}"
        across, down = unit_of_values(unit), short_unit_of_differences(unit)
        side = 0.74 * PANEL_WIDTH * 72
        axes.set_xlabel(_first_that_fits(side, f"Mean of {both} ({across})", f"Mean of both methods ({across})"))
        gap = f"{sentence(method.label)} − {reference} ({down})"
        axes.set_ylabel(_first_that_fits(2.2 * 72, gap, f"Difference ({down})"), labelpad=2)
        if bounds:
            _count_legend(figure, bounds, method)
        return _panel(figure, _bland_altman_alt(method, reference, len(means), bias, lower, upper, points, level))


def _bland_altman_alt(
    method: Method, reference: str, n: int, bias: dict, lower: dict, upper: dict, points: str, level: str
) -> str:
    if not n:
        return f"Bland–Altman plot of {method.label} against {reference}: there are no pairs."
    what = f"Bland–Altman plot of {method.label} against {reference}, {plural(n, 'pair')}."
    if bias["estimate"] is None:
        return what
    band = f" ({level} interval {interval(bias)})" if interval(bias) else ""
    text = f"{what} Bias {number(bias['estimate'])} {points}{band}"
    if lower["estimate"] is not None and upper["estimate"] is not None:
        text += f"; limits of agreement {number(lower['estimate'])} to {number(upper['estimate'])}"
    return text + "."


def identity_panel(
    method: Method,
    reference: str,
    references: Floats,
    tests: Floats,
    *,
    unit: str,
    lim: tuple[float, float],
) -> Panel:
    """The test against the reference, with the line on which both are equal. references, tests: (n,)."""
    dense = len(tests) > DENSE
    height = 3.15 + 0.2 * dense
    ccc = estimate_of(method.results.get("ccc"))
    with _canvas(PANEL_WIDTH, height) as figure:
        side = 2.45
        bottom = 0.45 + 0.2 * dense
        axes = figure.add_axes((0.5 / PANEL_WIDTH, bottom / height, side / PANEL_WIDTH, side / height))
        axes.set_xlim(lim)
        axes.set_ylim(lim)
        ticks = axes.get_xticks()
        axes.set_yticks([tick for tick in ticks if lim[0] <= tick <= lim[1]])
        axes.set_xlim(lim)
        axes.set_ylim(lim)
        bounds = []
        if len(tests):
            bounds = _cloud(axes, np.asarray(references, float), np.asarray(tests, float), method)
        else:
            _nothing(axes, "no pairs")
        axes.plot(lim, lim, color=INK, linewidth=0.9, zorder=3)
        if ccc["estimate"] is not None:
            axes.text(0.03, 0.97, f"CCC {number(ccc['estimate'], 3)}", transform=axes.transAxes, va="top", fontsize=7.5)
        axes.set_title(_title(method, len(tests), side * 72))
        axes.set_xlabel(_fitting(f"{reference} ({unit_of_values(unit)})", side * 72, 8))
        axes.set_ylabel(_fitting(f"{sentence(method.label)} ({unit_of_values(unit)})", side * 72, 8), labelpad=2)
        if bounds:
            _count_legend(figure, bounds, method)
        if len(tests):
            tail = f" Concordance correlation {number(ccc['estimate'], 3)}." if ccc["estimate"] is not None else ""
            alt = (
                f"{sentence(method.label)} against {reference}, {plural(len(tests), 'pair')}, "
                f"with the line of identity.{tail}"
            )
        else:
            alt = f"{sentence(method.label)} against {reference}: there are no pairs."
        return _panel(figure, alt)


# Errors ---------------------------------------------------------------------------------------------------------------


def error_panels(
    methods: Sequence[Method], errors: Mapping[str, Floats], *, unit: str, marks: Sequence[float] = ()
) -> tuple[Panel, ...]:
    """Absolute errors of each method: boxes, and the share of pairs within any error.

    errors: absolute differences by method name, (n,) each. marks: errors at which a line is drawn (e.g. 3 and 5).
    Boxes: quartiles, whiskers from the 5th to the 95th percentile, a diamond at the mean. The axes end at the 99th
    percentile of the worst method.
    """
    shown = [(method, np.sort(np.asarray(errors.get(method.name, ()), float))) for method in methods]
    some = [values for _, values in shown if len(values)]
    top = max([float(np.percentile(values, 99)) for values in some] or [1.0]) or 1.0
    axis = f"Absolute error ({short_unit_of_differences(unit)})"
    return _error_boxes(shown, top, axis, unit), _error_curves(shown, top, axis, unit, marks)


def _error_boxes(shown: Sequence[tuple[Method, Floats]], top: float, axis: str, unit: str) -> Panel:
    size = 7.5
    label_width = 1.05 * 72
    labels = [wrap(sentence(method.label), label_width, size)[:3] for method, _ in shown]
    height = max(1.6, 0.75 + 0.42 * len(shown))
    with _canvas(PANEL_WIDTH, height) as figure:
        left = (min(label_width, max(_text_width(line, size) for lines in labels for line in lines)) + 12) / 72
        axes = figure.add_axes(
            (left / PANEL_WIDTH, 0.45 / height, (PANEL_WIDTH - left - 0.15) / PANEL_WIDTH, (height - 0.75) / height)
        )
        axes.set_xlim(0, top * 1.03)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(axis="x", color=GRID, linewidth=0.5)
        parts = []
        for row, (method, values) in enumerate(shown):
            if not len(values):
                axes.text(0.02 * top, row, "no pairs", va="center", color=MUTED, style="italic")
                parts.append(f"{method.label}: no pairs")
                continue
            low, q1, median, q3, high = np.percentile(values, [5, 25, 50, 75, 95])
            axes.plot([low, q1], [row, row], color=INK, linewidth=0.8)
            axes.plot([q3, high], [row, row], color=INK, linewidth=0.8)
            for end in (low, high):
                axes.plot([end, end], [row - 0.14, row + 0.14], color=INK, linewidth=0.8)
            axes.add_patch(
                Rectangle((q1, row - 0.27), q3 - q1, 0.54, facecolor=method.colour, alpha=0.3, linewidth=0, zorder=2)
            )
            axes.add_patch(
                Rectangle((q1, row - 0.27), q3 - q1, 0.54, facecolor="none", edgecolor=INK, linewidth=0.8, zorder=3)
            )
            axes.plot([median, median], [row - 0.27, row + 0.27], color=INK, linewidth=1.6, zorder=3)
            mean = estimate_of(method.results.get("mae"))["estimate"]
            if mean is not None:
                axes.plot([mean], [row], marker="D", markersize=4.5, color=method.colour, markeredgecolor=INK,
                          markeredgewidth=0.6, zorder=4)  # fmt: skip
            parts.append(
                f"{method.label}: median {number(median, 1)}, quartiles {number(q1, 1)} and {number(q3, 1)}, "
                f"95th percentile {number(high, 1)}"
            )
        axes.set_yticks(range(len(shown)), ["\n".join(lines) for lines in labels])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(axis)
        axes.set_title("Size of the error")
        return _panel(figure, f"Absolute errors in {unit_of_differences(unit)}. {'; '.join(parts)}.")


def _error_curves(
    shown: Sequence[tuple[Method, Floats]], top: float, axis: str, unit: str, marks: Sequence[float]
) -> Panel:
    rows = math.ceil(len(shown) / 2)
    height = 2.35 + 0.17 * rows
    with _canvas(PANEL_WIDTH, height) as figure:
        axes = figure.add_axes((0.5 / PANEL_WIDTH, 0.45 / height, 2.6 / PANEL_WIDTH, 1.6 / height))
        axes.set_xlim(0, top * 1.03)
        axes.set_ylim(0, 100)
        axes.grid(color=GRID, linewidth=0.5)
        for mark in marks:
            if mark <= top:
                axes.axvline(mark, color=INK, linewidth=0.9, linestyle=(0, (1, 1.6)))
        parts = []
        handles = []
        for method, values in shown:
            if not len(values):
                continue
            grid = np.linspace(0, top * 1.03, 161)
            share = 100 * np.searchsorted(values, grid, side="right") / len(values)
            (line,) = axes.plot(
                grid, share, color=method.colour, linewidth=1.5, linestyle=method.dashes, drawstyle="steps-post"
            )
            line.set_label(_fitting(sentence(method.label), 1.15 * 72, 7.5))
            handles.append(line)
            parts += [
                f"{method.label}: {number(100 * np.mean(values <= mark), 0)}% within {plain_number(mark)}"
                for mark in marks
            ]
        if not handles:
            _nothing(axes, "no pairs")
        axes.set_xlabel(axis)
        axes.set_ylabel("Pairs within this error (%)", labelpad=2)
        figure.text(0.5 / PANEL_WIDTH, (height - 0.18) / height, "Share within an error", fontsize=9, weight="bold")
        if handles:
            figure.legend(
                handles=handles, loc="lower left", ncols=2, handlelength=2.4, columnspacing=1.2, borderaxespad=0,
                borderpad=0, labelspacing=0.25, bbox_to_anchor=(0.5 / PANEL_WIDTH, 2.12 / height),
            )  # fmt: skip
        told = f" {'; '.join(parts)} {unit_of_differences(unit)}." if parts else ""
        return _panel(figure, f"Cumulative share of pairs by absolute error.{told}")


# Subgroups ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GroupRow:
    """A group of a forest plot: estimates by method name, or why it is not shown."""

    label: str
    n: int | None
    estimates: Mapping[str, Mapping[str, Any]]
    hidden: str = ""


def forest_panel(
    title: str,
    axis: str,
    methods: Sequence[Method],
    overall: GroupRow,
    groups: Sequence[GroupRow],
    *,
    null: float | None = None,
    places: int = 1,
) -> Panel:
    """A metric with its interval in every group, for every method; a dashed line at the first method's overall value.

    null: value of no effect (0 for a bias), drawn as a line.
    """
    rows = [overall, *groups]
    size = 7.5
    label_width = 1.2 * 72
    labels = [
        [*wrap(row.label, label_width, size)[:3], f"n = {count(row.n)}" if row.n is not None else ""] for row in rows
    ]
    each = [max(0.115 * max(1, len(methods)) + 0.16, 0.135 * len(lines) + 0.09) for lines in labels]
    legend_rows = math.ceil(len(methods) / 2)
    top, bottom = 0.32 + 0.17 * legend_rows, 0.45
    height = sum(each) + top + bottom
    left = (max([_text_width(line, size) for lines in labels for line in lines] or [40]) + 10) / 72
    with _canvas(PANEL_WIDTH, height) as figure:
        axes = figure.add_axes(
            (left / PANEL_WIDTH, bottom / height, (PANEL_WIDTH - left - 0.12) / PANEL_WIDTH, sum(each) / height)
        )
        axes.set_ylim(sum(each), 0)
        axes.set_xlim(_forest_limits(rows, null))
        axes.grid(axis="x", color=GRID, linewidth=0.5)
        if null is not None:
            axes.axvline(null, color=MUTED, linewidth=0.8, linestyle="-", zorder=1)
        first = estimate_of(overall.estimates.get(methods[0].name))["estimate"] if methods else None
        if first is not None:
            axes.axvline(first, color=methods[0].colour, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        edges = np.concatenate([[0], np.cumsum(each)])
        centres = (edges[:-1] + edges[1:]) / 2
        axes.axhline(edges[1], color=MUTED, linewidth=0.6)
        parts = []
        for row, centre in zip(rows, centres, strict=True):
            if row.hidden:
                axes.text(
                    0.02, centre, "\n".join(wrap(row.hidden, (PANEL_WIDTH - left - 0.2) * 72, 7)), fontsize=7,
                    transform=axes.get_yaxis_transform(), va="center", color=MUTED, style="italic",
                    bbox={"facecolor": PAPER, "linewidth": 0, "pad": 1.5},
                )  # fmt: skip
                parts.append(f"{row.label}: {row.hidden}")
                continue
            for position, method in enumerate(methods):
                item = estimate_of(row.estimates.get(method.name))
                if item["estimate"] is None:
                    continue
                y = centre + 0.115 * (position - (len(methods) - 1) / 2)
                if item["low"] is not None and item["high"] is not None:
                    axes.plot([item["low"], item["high"]], [y, y], color=method.colour, linewidth=1.1, zorder=2)
                axes.plot(
                    [item["estimate"]], [y], marker=method.marker, markersize=4, color=method.colour, zorder=3,
                    markeredgewidth=0,
                )  # fmt: skip
            if methods:
                parts.append(f"{row.label} {_spoken(row, methods[0], places)}")
        axes.set_yticks(centres, ["\n".join(line for line in lines if line) for lines in labels])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        room = PANEL_WIDTH - left - 0.12
        _space_ticks(axes, room * 72, size)
        name = _fitting(axis, (PANEL_WIDTH - 0.3) * 72, 8)
        # Under the middle of the axis, unless it would leave the panel.
        half = _text_width(name, 8) / 144 + 0.04
        middle = min(max(left + room / 2, half), PANEL_WIDTH - half)
        axes.set_xlabel(name, x=(middle - left) / room)
        figure.text(
            0.02, (height - 0.17) / height, _fitting(title, 0.95 * PANEL_WIDTH * 72, 9), fontsize=9, weight="bold"
        )
        handles = [
            Line2D(
                [], [], color=method.colour, marker=method.marker, markersize=4, linewidth=1.1, markeredgewidth=0,
                label=_fitting(sentence(method.label), 1.3 * 72, 7.5),
            )
            for method in methods
        ]  # fmt: skip
        figure.legend(
            handles=handles, loc="upper left", ncols=2, handlelength=1.6, columnspacing=1.2, borderaxespad=0,
            borderpad=0, labelspacing=0.25, bbox_to_anchor=(0.02, (height - 0.24) / height),
        )  # fmt: skip
        who = f" of {methods[0].label}" if methods else ""
        return _panel(figure, f"{title}{who} by group. {'; '.join(parts)}.")


def _spoken(row: GroupRow, method: Method, places: int) -> str:
    item = estimate_of(row.estimates.get(method.name))
    if item["estimate"] is None:
        return "not computed"
    between = interval(item, places)
    return f"{number(item['estimate'], places)} ({between})" if between else number(item["estimate"], places)


def _forest_limits(rows: Sequence[GroupRow], null: float | None) -> tuple[float, float]:
    values = [
        value
        for row in rows
        for item in row.estimates.values()
        for value in (estimate_of(item)[end] for end in ("estimate", "low", "high"))
        if value is not None
    ]
    return _span(np.array([*values, *([null] if null is not None else [])], dtype=float))


# Participant flow -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FlowStep:
    """A box of the flow diagram, and those who leave beside it (reason, n)."""

    title: str
    n: int
    excluded_title: str = ""
    excluded: tuple[tuple[str, int], ...] = ()
    branch: bool = False


def flow_panel(steps: Sequence[FlowStep]) -> Panel:
    """The participant flow diagram (STARD 2015): who came in, who left and why, who was analysed by each test.

    Steps follow each other down the left; a step with `branch` hangs on the line that leads down from the step before
    the first branch. Those left out stand on the right.
    """
    width = FULL_WIDTH
    size, pad, line = 7.5, 6.0, 10.0
    left_x, left_w, right_x = 4.0, 190.0, 224.0
    right_w = width * 72 - right_x - 4
    indent = 22.0
    boxes = []
    for step in steps:
        box_x = left_x + (indent if step.branch else 0)
        box_w = left_w - (indent if step.branch else 0)
        left = [*wrap(step.title, box_w - 2 * pad, size, "bold"), f"n = {count(step.n)}"]
        right: list[str] = []
        if step.excluded_title:
            right = wrap(step.excluded_title, right_w - 2 * pad, size, "bold")
            heads = len(right)
            for reason, n in step.excluded:
                lines = wrap(f"{reason}: {count(n)}", right_w - 2 * pad - 8, size)
                right += [f"• {lines[0]}", *(f"   {rest}" for rest in lines[1:])]
        else:
            heads = 0
        boxes.append((step, box_x, box_w, left, right, heads))
    gap = 14.0
    heights = [max(len(left), len(right)) * line + 2 * pad for _, _, _, left, right, _ in boxes]
    total = sum(heights) + gap * (len(boxes) - 1) + 6
    with _canvas(width, total / 72) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width * 72)
        axes.set_ylim(total, 0)
        y = 3.0
        trunk: float | None = None
        previous = 0.0
        for (step, x, w, left, right, heads), height in zip(boxes, heights, strict=True):
            box_h = len(left) * line + 2 * pad
            box_y = y + (height - box_h) / 2
            middle = box_y + box_h / 2
            _box(axes, x, box_y, w, box_h, left, len(left) - 1, size, line, pad)
            if step.branch:
                if trunk is None:
                    trunk = previous
                _line(axes, left_x + indent / 2, trunk, left_x + indent / 2, middle)
                _arrow(axes, left_x + indent / 2, middle, x, middle)
            elif previous:
                _arrow(axes, left_x + left_w / 2, previous, left_x + left_w / 2, box_y)
            if not step.branch:
                previous = box_y + box_h
            if right:
                right_h = len(right) * line + 2 * pad
                right_y = y + (height - right_h) / 2
                _box(axes, right_x, right_y, right_w, right_h, right, heads, size, line, pad, solid=False)
                _arrow(axes, x + w, middle, right_x, middle)
            y += height + gap
        told = []
        for step in steps:
            out = f", {step.excluded_title.lower()}: " if step.excluded else ""
            told.append(
                f"{step.title}: {count(step.n)}{out}" + "; ".join(f"{why} {count(n)}" for why, n in step.excluded)
            )
        return _panel(figure, f"Flow of participants. {'. '.join(told)}.")


def _box(
    axes: Axes, x: float, y: float, w: float, h: float, lines: list[str], bold: int, size: float, line: float,
    pad: float, *, solid: bool = True,
) -> None:  # fmt: skip
    axes.add_patch(
        Rectangle((x, y), w, h, facecolor="none", edgecolor=INK if solid else MUTED, linewidth=1.0 if solid else 0.7)
    )
    for row, text in enumerate(lines):
        axes.text(
            x + pad, y + pad + (row + 0.5) * line, text, fontsize=size, va="center_baseline",
            weight="bold" if row < bold else "normal",
        )  # fmt: skip


def _line(axes: Axes, x0: float, y0: float, x1: float, y1: float) -> None:
    axes.plot([x0, x1], [y0, y1], color=MUTED, linewidth=0.9, solid_capstyle="butt")


def _arrow(axes: Axes, x0: float, y0: float, x1: float, y1: float) -> None:
    axes.add_patch(
        FancyArrowPatch(
            (x0, y0), (x1, y1), arrowstyle="-|>", mutation_scale=7, color=MUTED, linewidth=0.9, shrinkA=0, shrinkB=0
        )
    )


# Monitoring -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ControlPoint:
    """A batch on a control chart: its label, what is charted and the limits; None where it is hidden or empty."""

    label: str
    value: float | None
    lower: float | None
    upper: float | None
    alarm: bool


def control_panel(
    title: str, points: Sequence[ControlPoint], *, centre: float, start: str, axis: str, places: int, width: float
) -> Panel:
    """A control chart: the baseline's value as a line, each later batch with its own limits.

    start: label of the baseline. axis: what the vertical axis shows, with its unit. Alarms differ by shape and by a
    ring, not by colour alone; hidden batches are named on the axis and have no mark. width: in inches.
    """
    places_of = np.arange(1, len(points) + 1)
    with _canvas(width, 2.3) as figure:
        left, right = 0.66 / width, 1 - 0.08 / width
        axes = figure.add_axes((left, 0.17, right - left, 0.69))
        axes.set_title(_fitting(title, (right - left) * width * 72, 9), pad=6)
        axes.set_xlim(-0.6, len(points) + 0.6)
        known = [end for point in points for end in (point.value, point.lower, point.upper) if end is not None]
        axes.set_ylim(_span(np.array([centre, *known], float), 0.12))
        for place, point in zip(places_of, points, strict=True):
            if point.lower is None or point.upper is None:
                continue
            axes.fill_between(
                [place - 0.42, place + 0.42], point.lower, point.upper, color=MUTED, alpha=0.16, linewidth=0
            )
            for end in (point.lower, point.upper):
                axes.plot([place - 0.42, place + 0.42], [end, end], color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.plot([-0.6, len(points) + 0.6], [centre, centre], color=INK, linewidth=0.9)
        axes.plot([0], [centre], marker="D", markersize=5, color=INK, linestyle="none")
        shown = [(place, point) for place, point in zip(places_of, points, strict=True) if point.value is not None]
        axes.plot(
            [place for place, _ in shown],
            [point.value for _, point in shown],
            color=PALETTE[0],
            linewidth=0.8,
            zorder=3,
        )
        for place, point in shown:
            style = {"marker": "s", "markersize": 6, "color": PALETTE[1]} if point.alarm else {
                "marker": "o", "markersize": 4.5, "color": PALETTE[0],
            }  # fmt: skip
            axes.plot([place], [point.value], linestyle="none", zorder=4, **style)
            if point.alarm:
                axes.plot(
                    [place], [point.value], marker="o", markersize=11, markerfacecolor="none",
                    markeredgecolor=PALETTE[1], linestyle="none", zorder=4,
                )  # fmt: skip
        step = max(1, math.ceil(len(points) / (14 if width > PANEL_WIDTH else 7)))
        ticks = [0, *places_of[step - 1 :: step]]
        axes.set_xticks(ticks, [start if not tick else points[tick - 1].label for tick in ticks])
        axes.set_xlabel("Ingest")
        axes.set_ylabel(axis)
        told = [
            f"{point.label}: "
            + ("not shown" if point.value is None else number(point.value, places))
            + (", beyond the limits" if point.alarm else "")
            for point in points
        ]
        alt = f"Control chart, {title}. Baseline {start}: {number(centre, places)}. {'; '.join(told)}."
        return _panel(figure, alt)
