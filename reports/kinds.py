"""The kinds of reports that `calliper report --kind` makes, and who makes each.

A builder takes the registry and an `Order` and gives a `Made`: results, and a document whose numbers are bound to them.
Adding a kind is one line of `KINDS`.
"""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.wording import listed, plural
from studies.errors import UsageError
from studies.progress import NoProgress, Progress
from studies.suggestions import suggestion

if TYPE_CHECKING:
    from reports.document import Document
    from studies.registry.workspace import Registry


@dataclass(frozen=True)
class Order:
    """What is asked for: a study, the numbers of runs (none: the newest finished one) and another index test."""

    study: str
    runs: tuple[int, ...] = ()
    index: str | None = None

    @property
    def run(self) -> int | None:
        """The one run that was asked for."""
        return self.runs[0] if self.runs else None


@dataclass(frozen=True)
class Kept:
    """What is kept with a report, so that its results can be computed anew.

    inputs: gives the inputs of the results without what identifies people (see `studies.frozen`). erasures: how many
    people were erased from the study when they were read: nothing is registered of somebody erased since.
    """

    inputs: Callable[[], dict[str, Any]]
    erasures: int


@dataclass(frozen=True)
class Made:
    """A report before it is written.

    results: what results.json will hold. document: the document of these results, given the date for the metadata of
    files. plan_version: of the plan that was carried out, None where the report is not by a plan. index: the index test
    that was asked for instead of the plan's. kept: see `Kept`; None for an analysis, whose inputs are read anew when
    the report is registered.
    """

    kind: str
    results: dict[str, Any]
    document: Callable[[dt.datetime | None], Document]
    plan_version: int | None = None
    index: str | None = None
    kept: Kept | None = None

    @property
    def failed(self) -> list[str]:
        """Names of the acceptance criteria that were not met."""
        return [item["name"] for item in self.results.get("criteria") or [] if item["verdict"] != "met"]


@dataclass(frozen=True)
class Kind:
    """A kind of report. builder: "module:function" of (registry, order, progress) -> Made. runs: how many it takes."""

    name: str
    title: str
    builder: str
    runs: tuple[int, int] = (0, 1)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("validation", "Validation report", "reports.validation_report:build"),
        Kind("comparison", "Comparison of runs", "reports.comparison_report:build", runs=(2, 2)),
        Kind("precision", "Precision report", "reports.analysis_reports:build_precision"),
        Kind("fairness", "Fairness report", "reports.analysis_reports:build_fairness"),
        Kind("data-quality", "Data quality report", "reports.data_quality_report:build"),
        Kind("model-card", "Model cards", "reports.model_card_report:build"),
        Kind("drift", "Drift report", "reports.drift_report:build"),
        Kind("checklists", "Checklists", "reports.analysis_reports:build_checklists"),
    )
}


def find_kind(name: str) -> Kind:
    """The kind of this name. Raises `UsageError`, with the near miss, where there is none."""
    if name not in KINDS:
        raise UsageError(f"'{name}' is not a kind of report.", remedy=suggestion(name, KINDS))
    return KINDS[name]


def build(registry: Registry, name: str, order: Order, *, progress: Progress | None = None) -> Made:
    """Make the report of kind `name`. Raises `UsageError` for an unknown kind, or for too few or too many runs."""
    kind = find_kind(name)
    least, most = kind.runs
    if not least <= len(order.runs) <= most:
        wanted = listed([str(n) for n in range(least, most + 1)], "or")
        raise UsageError(
            f"A {kind.title[:1].lower()}{kind.title[1:]} takes {wanted} {'run' if most == 1 else 'runs'}, and "
            f"{plural(len(order.runs), 'was', 'were')} named.",
            remedy="Name each with --run NUMBER; calliper run STUDY --list shows them.",
        )  # fmt: skip
    module, _, function = kind.builder.partition(":")
    return getattr(importlib.import_module(module), function)(registry, order, progress or NoProgress())
