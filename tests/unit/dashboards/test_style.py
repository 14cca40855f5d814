"""The style sheet: contrast by WCAG 2.2, and the inks of the reports' figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dashboards
from reports.figures import GRID, INK, MUTED, PALETTE

SHEET = (Path(dashboards.__file__).parent / "assets" / "calliper.css").read_text(encoding="utf-8")
LIGHT, DARK, AUTOMATIC = (
    dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", block))
    for block in (
        SHEET.split(":root {", 1)[1].split("}", 1)[0],
        SHEET.split(':root[data-theme="dark"] {', 1)[1].split("}", 1)[0],
        SHEET.split(':root:not([data-theme="light"]) {', 1)[1].split("}", 1)[0],
    )
)
TEXTS = [
    *((ink, back) for ink in ("--ink", "--muted", "--accent") for back in ("--page", "--surface")),
    *((f"--{tone}", f"--{tone}-back") for tone in ("good", "bad", "unsure", "neutral")),
    ("--unsure", "--surface"),
    ("--on-accent", "--accent"),
]
SHAPES = [
    *((f"--series-{place}", "--page") for place in range(1, len(PALETTE) + 1)),
    ("--edge", "--page"),
    ("--accent", "--page"),
]


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "back"), TEXTS, ids=" on ".join)
def test_text_can_be_read(theme: dict[str, str], ink: str, back: str) -> None:
    assert contrast(theme[ink], theme[back]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "back"), SHAPES, ids=" on ".join)
def test_lines_and_edges_can_be_seen(theme: dict[str, str], ink: str, back: str) -> None:
    assert contrast(theme[ink], theme[back]) >= 3


def test_dark_by_choice_is_dark_by_preference() -> None:
    assert DARK == AUTOMATIC


def test_charts_have_the_inks_of_the_reports_and_change_with_the_page() -> None:
    assert [LIGHT[f"--series-{place}"] for place in range(1, len(PALETTE) + 1)] == list(PALETTE)
    for colour in (INK, MUTED, GRID, *PALETTE):
        red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
        for kind in ("stroke", "fill"):
            assert f'[style*="{kind}: rgb({red}, {green}, {blue})"] {{ {kind}: var(--' in SHEET
