"""Two tests against one reference on the same subjects: which is closer, and by how much.

A ratio of mean absolute errors is what a claim such as "nearly twice as accurate" rests on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from validation.accuracy import ErrorTable, bootstrap_tables
from validation.errors import ShapeMismatch
from validation.multiplicity import holm
from validation.pairs import codes, confidence, option, pair
from validation.resampling import Distribution, bca, generator, sign_flip
from validation.results import Estimate, Result

METRICS = ("mae", "rmse")


@dataclass(frozen=True)
class Comparison(Result):
    """difference = metric of `a` - metric of `b`; ratio = metric of `a` / metric of `b`. Below 0 and below 1: a wins.

    `p_value` is that of the hypothesis that the errors of a and b may be exchanged within subjects.
    """

    a: str
    b: str
    metric: str
    n: int
    difference: Estimate
    ratio: Estimate
    p_value: float | None
    p_adjusted: float | None = None

    def __str__(self) -> str:
        return (
            f"{self.metric} of {self.a} against {self.b}, {self.n} pairs: difference {self.difference}, "
            f"ratio {self.ratio}, p = {self.p_value}"
        )


def compare_errors(
    a: ArrayLike,
    b: ArrayLike,
    reference: ArrayLike,
    *,
    names: tuple[str, str] = ("a", "b"),
    metrics: Sequence[str] = METRICS,
    subject: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
) -> list[Comparison]:
    """Compare the errors of tests `a` and `b`, each (n,), against `reference` (n,) on the same subjects.

    Intervals are BCa bootstrap over subjects, both tests in every resample together; that of the ratio is made on the
    log scale. p-values are sign-flip permutation tests of |e_a| - |e_b| (mae) or e_a² - e_b² (rmse), subjects
    flipped whole; all sign patterns up to 12 subjects. `p_adjusted` is Holm's over the metrics asked for.

    Raises NotEnoughData, NotFinite, OutOfRange, ShapeMismatch.
    """
    confidence(level)
    for metric in metrics:
        option(metric, METRICS, "metric")
    x, y = pair(a, reference, least=1)
    z, _ = pair(b, reference, least=1)
    if names[0] == names[1]:
        raise ShapeMismatch(f"both tests are called {names[0]!r}")
    clusters = codes(subject, len(x))
    tables = {names[0]: ErrorTable(x, y, clusters), names[1]: ErrorTable(z, y, clusters)}
    drawn = bootstrap_tables(tables, resamples=resamples, seed=seed)
    found = compare_tables(tables, drawn, names, metrics=metrics, level=level, resamples=resamples, seed=seed)
    adjusted = holm([item.p_value for item in found])
    return [replace(item, p_adjusted=p) for item, p in zip(found, adjusted, strict=True)]


def compare_tables(
    tables: Mapping[str, ErrorTable],
    drawn: Mapping[str, Mapping[str, Distribution]],
    names: tuple[str, str],
    *,
    metrics: Sequence[str] = METRICS,
    level: float,
    resamples: int,
    seed: int,
    place: Sequence[str | int] = (),
) -> list[Comparison]:
    """Comparisons from tables and distributions that belong to the same rows and resamples; p-values not adjusted."""
    first, second = tables[names[0]], tables[names[1]]
    gaps = {
        "mae": np.abs(first.errors) - np.abs(second.errors),
        "rmse": first.errors**2 - second.errors**2,
    }
    sums = np.column_stack([np.bincount(first.clusters, gaps[metric], first.subjects) for metric in metrics])
    p_values = sign_flip(sums, resamples=resamples, rng=generator(seed, "signs", *place, *names))
    out = []
    for metric, p in zip(metrics, p_values, strict=True):
        a, b = drawn[names[0]][metric], drawn[names[1]][metric]
        out.append(
            Comparison(
                *names,
                metric,
                len(first.test),
                bca(a.minus(b), level=level),
                ratio_of(a.log().minus(b.log()), level=level),
                float(p) if first.subjects >= 2 else None,
            )
        )
    return out


def ratio_of(logs: Distribution, *, level: float) -> Estimate:
    """A ratio with its interval from the distribution of its logarithm."""
    interval = bca(logs, level=level)
    if interval.estimate is None:
        return Estimate.missing("a ratio needs two positive values", level=level, method=interval.method)
    return interval.map(math.exp, method="BCa bootstrap of the logarithm")
