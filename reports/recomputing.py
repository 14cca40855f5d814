"""Results computed anew from the frozen inputs of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reports.results import results_json
from studies.analysis import analyze
from studies.frozen import thaw
from studies.progress import Progress


def _analysis(inputs: dict[str, Any], progress: Progress | None) -> Mapping[str, Any]:
    return analyze(**inputs, empty=True, progress=progress).results


_KINDS: dict[str, Callable[[dict[str, Any], Progress | None], Mapping[str, Any]]] = dict.fromkeys(
    ("validation", "fairness", "precision", "checklists"), _analysis
)
"""Kinds whose results are those of the analysis. The others compare runs or ingests, or describe checkpoints."""


def recomputable(kind: str) -> bool:
    """Whether reports of this kind keep their inputs and can be recomputed from them."""
    return kind in _KINDS


def recompute(kind: str, files: Mapping[str, bytes], *, progress: Progress | None = None) -> bytes:
    """results.json of a report of this kind, from its frozen inputs (see `studies.frozen`)."""
    return results_json(_KINDS[kind](thaw(files), progress))
