"""The tables of docs/accuracy.md: what the cards of the packaged checkpoints say was measured of them.

python -m tools.documentation.accuracy      writes them anew
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from models.checkpoints import packaged_checkpoints, read_card

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "accuracy.md"
BEGIN, END = "<!-- generated: python -m tools.documentation.accuracy -->\n", "<!-- end -->"


def tables() -> str:
    """A section for each packaged checkpoint, a table for each kind of data."""
    lines = []
    for card in sorted(map(read_card, packaged_checkpoints()), key=lambda card: card.name):
        lines += [f"### {card.name}@{card.version}", ""]
        for data, metrics in groupby(card.metrics, key=lambda metric: metric.data):
            shown = list(metrics)
            lines += [f"{data[0].upper()}{data[1:]}:", "", "| figure | value | n |", "|---|--:|--:|"]
            lines += [f"| {metric.name} | {_value(metric)} | {_count(metric.n)} |" for metric in shown]
            lines.append("")
    return "\n".join(lines)


def _value(metric: Any) -> str:
    digits = 3 if metric.unit is None else 2
    unit = {None: "", "%": " %", "degrees": "°"}.get(metric.unit, f" {metric.unit}")
    interval = "" if metric.low is None else f" ({metric.low:.{digits}f} to {metric.high:.{digits}f})"
    return f"{metric.value:.{digits}f}{interval}{unit}"


def _count(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def page(text: str) -> str:
    """The page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
