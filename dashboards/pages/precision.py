"""Precision and change: how far a method differs from itself, and whether it sees a change that the reference sees."""

from __future__ import annotations

from dashboards.view import Page, Part, View
from reports.bound import Bound
from reports.document import Callout
from reports.sections.change import change
from reports.sections.precision import precision


def build(view: View) -> list[Part]:
    chosen = view.selection
    whole = Bound(chosen.analysis.results, chosen.analysis.pairs)
    said = "These are of the whole study: too few people are measured twice to look at a selection of them."
    return [
        *([Callout("Filters do not hold here", (said,), "unsure")] if chosen.filtered else []),
        precision(whole),
        change(whole),
    ]


PAGE = Page("precision", "Precision and change", build)
