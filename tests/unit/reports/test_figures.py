"""Figures: the same bytes each time, text as text, honest with many points, fit to be read without colour."""

from __future__ import annotations

import itertools
import re
import threading
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from reports import figures
from reports.figures import (
    DENSE,
    FlowStep,
    GroupRow,
    Method,
    bland_altman_panel,
    error_panels,
    flow_panel,
    forest_panel,
    identity_panel,
    spans,
    wrap,
)


def estimate(value: float, half: float = 1.0) -> dict[str, float]:
    return {"estimate": value, "low": value - half, "high": value + half}


RESULTS = {
    "n": 100,
    "bias": estimate(0.5),
    "limits": {"lower": estimate(-7.0), "upper": estimate(8.0)},
    "ccc": estimate(0.9, 0.02),
    "mae": estimate(3.2),
}


def bia(name: str = "bia", label: str = "BIA", position: int = 0, results=RESULTS) -> Method:
    return Method(name, label, position, results)


def points(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(30, 7, n), rng.normal(0.5, 3.8, n)


def bland_altman(n: int = 100, method: Method | None = None):
    means, gaps = points(n)
    method = method or bia()
    xlim, ylim = spans([means], [gaps], [method])
    return bland_altman_panel(method, "DXA", means, gaps, unit="%", level="95%", xlim=xlim, ylim=ylim)


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_bland_altman_plot_says_what_it_shows():
    panel = bland_altman()
    found = texts(panel.svg)
    for text in ("BIA (n = 100)", "upper 8.0", "bias 0.5", "lower −7.0", "BIA − DXA (pp)", "Mean of BIA and DXA (%)"):
        assert text in found
    assert panel.svg.count("<use") >= 100
    assert "Bias 0.50 percentage points (95% interval −0.50 to 1.50); limits of agreement −7.00 to 8.00." in panel.alt


def test_every_point_and_interval_is_inside_the_axes():
    means, gaps = points(50)
    wide = bia(results={**RESULTS, "limits": {"lower": estimate(-40, 5), "upper": estimate(40, 5)}})
    (x0, x1), (y0, y1) = spans([means, means + 10], [gaps], [bia(), wide])
    assert x0 < means.min()
    assert x1 > means.max() + 10
    assert y0 < -45
    assert y1 > 45


def test_many_points_become_counts_with_a_legend_and_a_small_file():
    few, many = bland_altman(DENSE), bland_altman(100_000)
    assert "pairs:" not in texts(few.svg)
    found = texts(many.svg)
    assert "pairs:" in found
    assert any(re.fullmatch(r"≥[\d,]+", text) for text in found)
    assert len(many.svg) < 250_000
    assert len(few.svg) < 250_000
    # Nobody is lost: the hexagons of the sparsest class are there, beside a lone point far from the cloud.
    means, gaps = points(DENSE + 1)
    gaps[0] = 60.0
    xlim, ylim = spans([means], [gaps], [])
    panel = bland_altman_panel(bia(), "DXA", means, gaps, unit="%", level="95%", xlim=xlim, ylim=ylim)
    shapes = re.findall(r'<path d="([^"]+)"[^>]*opacity: 0\.22', panel.svg)
    heights = [float(y) for shape in shapes for _, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", shape)]
    assert min(heights) < 60


@pytest.mark.parametrize(("top", "classes"), [(1, [1]), (2, [1]), (9, [1, 3]), (300, [1, 3, 10, 30, 100, 300])])
def test_classes_of_counts(top, classes):
    assert figures._levels(top) == classes


def test_the_same_data_give_the_same_bytes_whatever_was_drawn_before():
    first = bland_altman()
    with matplotlib.rc_context({"font.size": 20, "svg.fonttype": "path", "svg.hashsalt": "other"}):
        flow_panel([FlowStep("x", 1)])
        assert bland_altman().svg == first.svg
    assert matplotlib.rcParams["svg.fonttype"] != "none"


def test_figures_can_be_drawn_from_several_threads():
    expected = bland_altman().svg
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(bland_altman().svg)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_a_figure_names_no_host_and_no_date():
    svg = bland_altman().svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "http" not in svg
    assert "matplotlib" not in svg.lower()
    assert "<!DOCTYPE" not in svg
    assert "<metadata" not in svg


@pytest.mark.parametrize("label", ["$x^2$ $", "A & B <c>", "中文", "x" * 300, "a\x00b\ud800c", "%s {0} \\frac"])
def test_any_label_can_be_drawn(label):
    method = bia(label=label)
    rows = [GroupRow(label, 12, {"bia": estimate(1)})]
    panels = [
        bland_altman(method=method),
        *error_panels([method], {"bia": np.arange(9.0)}, unit="%", marks=[3]),
        forest_panel(label, label, [method], GroupRow("All", 30, {"bia": estimate(1)}), rows),
        flow_panel([FlowStep(label, 3, label, ((label, 1),))]),
    ]
    for panel in panels:
        ET.fromstring(panel.svg)


def test_a_long_name_is_cut_but_the_number_of_pairs_is_not():
    title = next(text for text in texts(bland_altman(method=bia(label="long " * 30)).svg) if "(n = " in text)
    assert title.startswith("Long long")
    assert title.endswith("… (n = 100)")


def test_no_pairs_and_no_estimates_are_drawn_as_such():
    empty = bia(results={})
    none = np.zeros(0)
    xlim, ylim = spans([none], [none], [empty])
    assert "no pairs" in texts(bland_altman_panel(
        empty, "DXA", none, none, unit="%", level="95%", xlim=xlim, ylim=ylim).svg)  # fmt: skip
    assert "no pairs" in texts(identity_panel(empty, "DXA", none, none, unit="%", lim=xlim).svg)
    boxes, curves = error_panels([empty], {}, unit="%")
    assert "no pairs" in texts(boxes.svg)
    assert "no pairs" in texts(curves.svg)


def test_one_point_and_equal_points_are_drawn():
    for values in (np.array([30.0]), np.full(5, 30.0)):
        gaps = np.zeros(len(values))
        xlim, ylim = spans([values], [gaps], [])
        assert xlim[0] < 30 < xlim[1]
        assert ylim[0] < 0 < ylim[1]
        bland_altman_panel(bia(results={}), "DXA", values, gaps, unit="cm", level="95%", xlim=xlim, ylim=ylim)
        error_panels([bia()], {"bia": gaps}, unit="cm", marks=[3, 5])


def test_labels_of_lines_that_are_close_do_not_overlap():
    places = figures._apart([1.0, 1.01, 0.99, 50.0], 2.0)
    order = sorted(places)
    assert min(b - a for a, b in itertools.pairwise(order)) >= 2 - 1e-6
    assert places[2] < places[0] < places[1] < places[3]


def test_hidden_groups_say_so_in_the_forest_plot():
    rows = [
        GroupRow("Women", 60, {"bia": estimate(3)}),
        GroupRow("Other", None, {}, "not shown: fewer than 10 subjects"),
    ]
    panel = forest_panel("MAE", "MAE (pp)", [bia()], GroupRow("All", 70, {"bia": estimate(3)}), rows)
    assert "n = 60" in " ".join(texts(panel.svg))
    assert any("fewer than 10" in text for text in texts(panel.svg))
    assert "Women 3.0 (2.0 to 4.0); Other: not shown: fewer than 10 subjects." in panel.alt


def bias_differ_without_colour_and_keep_their_place():
    methods = [bia(name=str(i), position=i) for i in range(7)]
    assert len({method.marker for method in methods}) == 7
    assert len({method.colour for method in methods}) == 7
    assert len({str(method.dashes) for method in methods[:5]}) == 5
    assert methods[3].colour == bia(name="other", position=3).colour


def test_the_flow_diagram_holds_its_words():
    long = "the photograph of the front view was blurred or the subject had moved between two exposures of one session"
    steps = [
        FlowStep("Subjects in the study", 1400, "Left out: 66", ((long, 50), ("no scan", 16))),
        FlowStep("Subjects analysed", 1334),
        FlowStep("Scan against DXA", 1334, branch=True),
        FlowStep("BIA against DXA", 1300, "Not in this comparison: 34", (("no BIA", 34),), branch=True),
    ]
    panel = flow_panel(steps)
    found = texts(panel.svg)
    assert "n = 1,400" in found
    assert "• no scan: 16" in found
    width = panel.width
    for node in ET.fromstring(panel.svg).iter("{http://www.w3.org/2000/svg}text"):
        words = "".join(node.itertext())
        place = float(node.get("x") or re.search(r"translate\(([\d.]+)", node.get("transform", "")).group(1))
        weight = "bold" if "700" in node.get("style", "") else "normal"
        assert place + figures._text_width(words, 7.5, weight) <= width - 4
    assert "no scan 16" in panel.alt


def test_wrapped_lines_fit_and_lose_nothing():
    text = "a rather long reason with Donaudampfschifffahrtsgesellschaftskapitän in it"
    lines = wrap(text, 80, 7.5)
    assert all(figures._text_width(line, 7.5) <= 80 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap("", 80, 7.5) == [""]
