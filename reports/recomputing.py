"""Results computed anew from the frozen inputs of a report: of every kind its own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from reports.results import results_json
from studies.errors import DataError
from studies.frozen import thaw
from studies.progress import Progress

_KINDS: dict[str, str] = {
    **dict.fromkeys(("validation", "fairness", "precision", "checklists"), "reports.recomputing:analysis_results"),
    "comparison": "reports.comparison_report:comparison_results",
    "data-quality": "reports.data_quality_report:quality_results",
    "model-card": "reports.model_card_report:card_results",
    "drift": "reports.drift_report:drift_results",
}
"""Kind -> "module:function" of (inputs, progress), which gives its results."""


def analysis_results(inputs: dict[str, Any], progress: Progress | None = None) -> Mapping[str, Any]:
    """The results of an analysis, one without a single pair included."""
    from studies.analysis import analyze

    return analyze(**inputs, empty=True, progress=progress).results


def recomputable(kind: str) -> bool:
    """Whether reports of this kind keep their inputs and can be recomputed from them."""
    return kind in _KINDS


def recompute(kind: str, files: Mapping[str, bytes], *, progress: Progress | None = None) -> bytes:
    """results.json of a report of this kind, from its frozen inputs (see `studies.frozen`).

    Raises `DataError` where they are not those of such a report.
    """
    module, _, function = _KINDS[kind].partition(":")
    make = getattr(importlib.import_module(module), function)
    inputs = thaw(files)
    try:
        return results_json(make(inputs, progress))
    except (KeyError, TypeError) as error:
        raise DataError(
            f"The frozen inputs are not those of a {kind} report: {error}.", remedy="Take them anew."
        ) from error
