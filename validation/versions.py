"""Two versions of one method on the same occasions, against one reference: better, worse, or no evidence of either.

Everything is candidate - baseline. Of the mean absolute error less is better, and the verdict is on it alone; the
concordance (more is better) and the bias (whose change is a shift of all values, good or bad) stand beside it.

Intervals are BCa bootstrap over subjects, both versions in every resample together. p-values are permutation tests that
swap the versions within subjects (`validation.comparison`); for the bias, of the mean shift. They are adjusted by Holm:
of the whole over its three metrics; of the groups over all groups of all attributes, each metric by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from validation.accuracy import ErrorTable, bootstrap_tables
from validation.comparison import compare_tables
from validation.multiplicity import holm
from validation.pairs import codes, confidence, pair
from validation.resampling import bca, generator, sign_flip
from validation.results import Estimate, Result
from validation.subgroups import group_labels, sort_key
from validation.suppression import suppressed

VERSION_METRICS = ("mae", "bias", "ccc")
BETTER, WORSE, NO_EVIDENCE = "better", "worse", "no evidence"


@dataclass(frozen=True)
class VersionChange(Result):
    """The two versions on one set of occasions; all by metric. A suppressed group holds nothing but its reason."""

    n: int | None
    subjects: int | None
    baseline: dict[str, Estimate]
    candidate: dict[str, Estimate]
    difference: dict[str, Estimate]
    p_value: dict[str, float | None]
    p_adjusted: dict[str, float | None]
    verdict: str
    suppressed: bool = False
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        found = super().to_dict()
        return {"n": None, "suppressed": True, "reason": self.reason} if self.suppressed else found


@dataclass(frozen=True)
class VersionComparison(Result):
    """The whole, and each group by attribute and name, in the order of the names."""

    overall: VersionChange
    subgroups: dict[str, dict[str, VersionChange]]
    level: float

    @property
    def verdict(self) -> str:
        """better, worse or no evidence: of all occasions together."""
        return self.overall.verdict

    def groups(self, verdict: str) -> list[str]:
        """The groups of this verdict, as "sex=F"."""
        return [
            f"{attribute}={name}"
            for attribute, groups in self.subgroups.items()
            for name, change in groups.items()
            if not change.suppressed and change.verdict == verdict
        ]


def compare_versions(
    baseline: ArrayLike,
    candidate: ArrayLike,
    reference: ArrayLike,
    *,
    groups: Mapping[str, Any] | None = None,
    subject: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
    minimum_cell: int = 10,
) -> VersionComparison:
    """Compare two versions' values, (n,) each, with `reference` (n,), overall and by group.

    groups: attribute -> (n,) labels, missing where a row is in no group. subject: (n,) labels; subjects are resampled
    and swapped whole. Groups of fewer than `minimum_cell` subjects are suppressed, and further ones from which they
    could be worked out. Raises NotEnoughData, NotFinite, OutOfRange, ShapeMismatch.
    """
    confidence(level)
    old, truth = pair(baseline, reference, least=1)
    new, _ = pair(candidate, reference, least=1)
    owners = np.arange(len(truth)) if subject is None else np.asarray(subject)

    def change(rows: NDArray[np.bool_], place: tuple[str, ...]) -> VersionChange:
        clusters = codes(owners[rows], int(rows.sum()))
        tables = {
            "baseline": ErrorTable(old[rows], truth[rows], clusters),
            "candidate": ErrorTable(new[rows], truth[rows], clusters),
        }
        return _change(tables, level, resamples, seed, place)

    overall = change(np.ones(len(truth), dtype=bool), ())
    adjusted = dict(zip(VERSION_METRICS, holm([overall.p_value[name] for name in VERSION_METRICS]), strict=True))
    found: dict[str, dict[str, VersionChange]] = {}
    for attribute, given in (groups or {}).items():
        labels, _ = group_labels(pd.Series(given, name=attribute), len(truth))
        names = sorted({name for name in labels if name is not None}, key=sort_key)
        counts = {name: len(set(owners[labels == name].tolist())) for name in names}
        hidden = suppressed(counts, minimum_cell)
        found[attribute] = {
            name: _hidden(hidden[name], minimum_cell) if name in hidden else change(labels == name, (attribute, name))
            for name in names
        }
    return VersionComparison(_judged(overall, adjusted, level), _adjust_groups(found, level), level)


def _change(
    tables: dict[str, ErrorTable], level: float, resamples: int, seed: int, place: tuple[str, ...]
) -> VersionChange:
    drawn = bootstrap_tables(tables, resamples=resamples, seed=seed, place=place)
    old, new = tables["baseline"], tables["candidate"]
    compared = compare_tables(
        tables, drawn, [("candidate", "baseline")], metrics=("mae", "ccc"), level=level, resamples=resamples,
        seed=seed, place=place,
    )  # fmt: skip
    p_value = {item.metric: item.p_value for item in compared}
    p_value["bias"] = None
    if old.subjects >= 2:
        shift = np.bincount(old.clusters, new.errors - old.errors, old.subjects)
        p_value["bias"] = float(sign_flip(shift[:, None], resamples=resamples, rng=generator(seed, "shift", *place))[0])
    return VersionChange(
        len(old.test),
        old.subjects,
        *({name: bca(drawn[which][name], level=level) for name in VERSION_METRICS} for which in tables),
        {name: bca(drawn["candidate"][name].minus(drawn["baseline"][name]), level=level) for name in VERSION_METRICS},
        {name: p_value[name] for name in VERSION_METRICS},
        {},
        NO_EVIDENCE,
    )


def _judged(change: VersionChange, adjusted: dict[str, float | None], level: float) -> VersionChange:
    p, gap = adjusted["mae"], change.difference["mae"].estimate
    verdict = NO_EVIDENCE
    if p is not None and gap is not None and gap != 0 and p < 1 - level:
        verdict = BETTER if gap < 0 else WORSE
    return replace(change, p_adjusted=adjusted, verdict=verdict)


def _adjust_groups(found: dict[str, dict[str, VersionChange]], level: float) -> dict[str, dict[str, VersionChange]]:
    shown = [
        (attribute, name) for attribute, part in found.items() for name, item in part.items() if not item.suppressed
    ]
    by_metric = {
        metric: holm([found[attribute][name].p_value[metric] for attribute, name in shown])
        for metric in VERSION_METRICS
    }
    out = {attribute: dict(part) for attribute, part in found.items()}
    for place, (attribute, name) in enumerate(shown):
        adjusted = {metric: by_metric[metric][place] for metric in VERSION_METRICS}
        out[attribute][name] = _judged(out[attribute][name], adjusted, level)
    return out


def _hidden(reason: str | None, minimum_cell: int) -> VersionChange:
    why = reason or f"fewer than {minimum_cell} subjects"
    return VersionChange(None, None, {}, {}, {}, {}, {}, NO_EVIDENCE, suppressed=True, reason=why)
