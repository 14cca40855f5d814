"""Monitoring: do successive batches still look like the baseline?

Every chart compares the later batches with a baseline that is itself a sample, often a small one. Limits that take its
mean and SD for the truth raise a false alarm far more often than they say (Jensen et al., J Qual Technol 2006;38:349;
for means Quesenberry, J Qual Technol 1993;25:237, for the EWMA Jones, Champ and Rigdon, Technometrics 2001;43:156).
Here the baseline's own error is part of the limits, and they are simultaneous: where nothing moves, the probability
that a chart shows any alarm at all, on any of its batches, is `alarm`, whatever the sizes of baseline and batches.

| chart | limits | assumes |
|---|---|---|
| `mean_chart`, `ewma_chart` | simultaneous prediction limits of normal theory | independent normal values |
| `spread_chart`, `share_chart`, `distribution_shift` | permutation of values among batches | independent values |

Values are one a person (or another independent unit); NaN is left out. Where people come again in later batches, the
limits of the mean are wider than they need be, never too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from validation.errors import Degenerate, NotEnoughData, OutOfRange
from validation.pairs import Floats, column, complete
from validation.results import Result

PERMUTATIONS = 1999
REPLICATIONS = 20_000
SHARE_OF_NEW = 0.2
"""Weight of the newest batch in the EWMA; 0.05 to 0.25 is usual."""
BINS = 10
_NODES = 64
_WIDEST = 100.0  # on the log scale: no SD is so far from another
_AT_ONCE = 4_000_000  # numbers permuted at a time


@dataclass(frozen=True)
class ChartPoint(Result):
    """A batch on a chart.

    n: its values. value: what is charted, None where it cannot be computed. lower, upper: the limits. p_value: the
    probability that any batch of the chart would lie as far out, where nothing moves. alarm: beyond the limits.
    """

    n: int
    value: float | None
    lower: float | None
    upper: float | None
    p_value: float | None
    alarm: bool


@dataclass(frozen=True)
class Chart(Result):
    """Successive batches against the baseline.

    baseline_n, centre: size of the baseline, and what is charted of it. rate: probability of any false alarm on the
    chart. factor: the limits lie so many standard errors from the centre. p_value: of the furthest batch.
    """

    statistic: str
    baseline_n: int
    centre: float
    factor: float | None
    rate: float
    points: tuple[ChartPoint, ...]

    @property
    def p_value(self) -> float | None:
        return min((point.p_value for point in self.points if point.p_value is not None), default=None)

    @property
    def alarms(self) -> tuple[int, ...]:
        """Places of the batches beyond the limits."""
        return tuple(place for place, point in enumerate(self.points) if point.alarm)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "p_value": self.p_value}


@dataclass(frozen=True)
class Shift(Chart):
    """`distribution_shift`: the points chart the Kolmogorov–Smirnov distance, from 0 to 1.

    stability: the population stability index of each batch; stability_limit: what the largest of them stays below with
    probability 1 − `rate` where nothing moves. The usual 0.1 and 0.25 know nothing of the number of people: small
    batches exceed them by chance alone.
    """

    stability: tuple[float | None, ...] = ()
    stability_limit: float | None = None


# Charts ---------------------------------------------------------------------------------------------------------------


def mean_chart(baseline: ArrayLike, batches: Sequence[ArrayLike], *, alarm: float = 0.05) -> Chart:
    """Shewhart's X̄ chart, or one of individuals where batches hold one value each, with estimated parameters.

    Limits of batch t: m ± k s √(1/n_t + 1/N), with m and s the mean and SD of the N values of the baseline; k such that
    all batches lie within with probability 1 − `alarm`: simultaneous prediction limits of future means (Hahn, J Am Stat
    Assoc 1970;65:1668; Hahn and Meeker, Statistical Intervals, 1991, ch. 4), of unequal sizes by quadrature over the
    baseline's mean and SD. For one batch k is Student's t.

    Raises NotEnoughData below 3 values of the baseline, Degenerate where they are all equal.
    """
    start, later, mean, sd = _of_baseline(baseline, batches, alarm)
    sizes = np.array([len(batch) for batch in later])
    used = sizes > 0
    spread = sd * np.sqrt(1 / np.maximum(sizes, 1) + 1 / len(start))
    means = np.array([batch.mean() if len(batch) else np.nan for batch in later])
    known = tuple(int(n) for n in sizes[used])
    factor = _normal_factor(len(start), known, alarm) if known else None
    distances = np.abs(means - mean) / spread

    def p_value(distance: float) -> float:
        return 1 - _within(distance, len(start), known)

    return _symmetric("mean", start, mean, means, spread, sizes, factor, distances, p_value, alarm)


def ewma_chart(
    baseline: ArrayLike,
    batches: Sequence[ArrayLike],
    *,
    alarm: float = 0.05,
    weight: float = SHARE_OF_NEW,
    replications: int = REPLICATIONS,
    seed: int = 0,
) -> Chart:
    """The exponentially weighted moving average of the batches' means: it sees small, lasting movements.

    E_t = w x̄_t + (1 − w) E_(t−1), E_0 = m (Roberts, Technometrics 1959;1:239). Its standard error with estimated
    parameters is s √(Σ w_i²/n_i + (Σ w_i)²/N), w_i being the weights of the batches in E_t; the factor is simulated
    from the joint distribution of all E_t, with the error of the baseline's mean and SD that they share. A batch
    without values leaves E as it was. Raises as `mean_chart`; OutOfRange for a weight outside 0 to 1.
    """
    if not 0 < weight <= 1:
        raise OutOfRange("the weight of the newest batch lies above 0 and is at most 1")
    start, later, mean, sd = _of_baseline(baseline, batches, alarm)
    sizes = np.array([len(batch) for batch in later])
    means = np.array([batch.mean() if len(batch) else np.nan for batch in later])
    weights = np.zeros((len(later), len(later)))
    for place in range(len(later)):
        if place:
            weights[place] = weights[place - 1]
        if sizes[place]:
            weights[place] *= 1 - weight
            weights[place, place] = weight
    total = weights.sum(axis=1)
    shares = weights / np.sqrt(np.maximum(sizes, 1))
    unit = np.sqrt((shares**2).sum(axis=1) + total**2 / len(start))
    averages = np.where(sizes > 0, mean + weights @ np.nan_to_num(means - mean), np.nan)
    used = sizes > 0
    random = np.random.default_rng([seed, 41])
    normal = random.standard_normal((replications, len(later)))
    own = random.standard_normal(replications)[:, None] / math.sqrt(len(start))
    scale = np.sqrt(random.chisquare(len(start) - 1, replications) / (len(start) - 1))[:, None]
    null = np.abs(normal @ shares.T - own * total)[:, used] / (scale * unit[used])
    furthest = np.sort(null.max(axis=1)) if used.any() else np.zeros(0)
    factor = _simulated_factor(furthest, alarm)
    with np.errstate(invalid="ignore"):
        distances = np.abs(averages - mean) / (sd * np.where(used, unit, np.nan))
    return _symmetric(
        "ewma", start, mean, averages, sd * unit, sizes, factor, distances, _simulated_p(furthest), alarm
    )  # fmt: skip


def spread_chart(
    baseline: ArrayLike,
    batches: Sequence[ArrayLike],
    *,
    alarm: float = 0.05,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Chart:
    """Shewhart's S chart: the SD of each batch, on the log scale, with limits from permutations.

    Distance of batch t: |ln(s_t/s)| / √(1/(2(n_t − 1)) + 1/(2(N − 1))). Values are dealt to baseline and batches anew;
    the limits are those that the furthest of the batches stays within. (Limits by χ² and F would trust that values are
    normal, which SDs, unlike means, do not forgive.) Batches of fewer than two values are not charted.
    Raises as `mean_chart`.
    """
    start, later, _, sd = _of_baseline(baseline, batches, alarm)
    sizes = np.array([len(batch) for batch in later])
    used = sizes > 1
    spread = np.sqrt(0.5 / np.maximum(sizes - 1, 1) + 0.5 / (len(start) - 1))
    parts = [start, *(batch for batch, keep in zip(later, used, strict=True) if keep)]
    places = _cuts(parts)
    middle = np.concatenate(parts).mean() if parts else 0.0

    def distances_of(values: Floats) -> Floats:
        """(R, n) values -> (R, batches) distances."""
        counts = np.diff(places)
        sums = np.add.reduceat(values, places[:-1], axis=1)
        squares = np.add.reduceat(values**2, places[:-1], axis=1)
        variances = np.maximum(squares - sums**2 / counts, 0) / (counts - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = 0.5 * np.log(variances)
            found = np.abs(logs[:, 1:] - logs[:, :1]) / spread[used]
        return np.nan_to_num(found, nan=0.0, posinf=1e9)

    furthest = (
        _permuted(np.concatenate(parts) - middle, distances_of, permutations, seed) if used.any() else np.zeros(0)
    )
    factor = _simulated_factor(furthest, alarm)
    sds = np.array([batch.std(ddof=1) if len(batch) > 1 else np.nan for batch in later])
    distances = np.full(len(later), np.nan)
    if used.any():
        distances[used] = distances_of((np.concatenate(parts) - middle)[None, :])[0]
    p_value = _simulated_p(furthest)
    points = []
    for place, n in enumerate(sizes):
        if not used[place]:
            points.append(ChartPoint(int(n), None, None, None, None, False))
            continue
        p = p_value(distances[place])
        lower = upper = None
        if factor is not None:
            wide = factor * spread[place]
            lower = float(sd * math.exp(-wide))
            upper = float(sd * math.exp(wide)) if wide < _WIDEST else None  # dealt anew, a batch can have SD 0
        points.append(ChartPoint(int(n), float(sds[place]), lower, upper, p, p <= alarm))
    return Chart("spread", len(start), float(sd), factor, alarm, tuple(points))


def share_chart(
    baseline: tuple[int, int],
    batches: Sequence[tuple[int, int]],
    *,
    alarm: float = 0.05,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Chart:
    """The p chart: events and number of each batch, such as scans that are indeterminate of all scans.

    Distance of batch t: |p_t − p_0| / √(p̄(1 − p̄)(1/n_t + 1/N)), p̄ being the share of all together. Given how many
    events there are, where nothing moves they fall on baseline and batches by the multivariate hypergeometric
    distribution, from which the furthest distance is drawn: Fisher's exact test for several batches. Its steps make it
    raise fewer false alarms than `alarm`, never more.

    Raises NotEnoughData where the baseline is empty, OutOfRange where there are more events than things.
    """
    _check_rate(alarm)
    counts = np.array([baseline, *batches], dtype=np.int64).reshape(-1, 2)
    if (counts < 0).any() or (counts[:, 0] > counts[:, 1]).any():
        raise OutOfRange("a batch has more events than things that could have them")
    if counts[0, 1] == 0:
        raise NotEnoughData("the baseline is empty")
    sizes, events = counts[:, 1], counts[:, 0]
    used = sizes[1:] > 0
    overall = events.sum() / sizes.sum()
    spread = np.sqrt(overall * (1 - overall) * (1 / np.maximum(sizes[1:], 1) + 1 / sizes[0]))
    centre = events[0] / sizes[0]
    shares = np.where(used, events[1:] / np.maximum(sizes[1:], 1), np.nan)
    furthest = np.zeros(0)
    if used.any() and 0 < overall < 1:
        random = np.random.default_rng([seed, 43])
        kept = np.concatenate([[True], used])
        drawn = random.multivariate_hypergeometric(sizes[kept], int(events.sum()), permutations, method="marginals")
        of = drawn / sizes[kept]
        furthest = np.sort((np.abs(of[:, 1:] - of[:, :1]) / spread[used]).max(axis=1))
    factor = _simulated_factor(furthest, alarm)
    distances = np.abs(shares - centre) / spread if len(furthest) else np.where(used, 0.0, np.nan)
    return _symmetric(
        "share", np.empty(sizes[0]), centre, shares, spread, sizes[1:], factor, distances, _simulated_p(furthest),
        alarm, bounds=(0.0, 1.0),
    )  # fmt: skip


def distribution_shift(
    baseline: ArrayLike,
    batches: Sequence[ArrayLike],
    *,
    alarm: float = 0.05,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Shift:
    """Whether the whole distribution moves: Kolmogorov–Smirnov's distance to the baseline, and the stability index.

    Charted is D_t = sup |F_t − F_0|. Its limit is that of the furthest √(n_t N/(n_t + N)) D_t when values are dealt to
    baseline and batches anew, exact also with ties (ages in years) and with a small baseline, which the tabulated
    distribution is not. The stability index Σ (q_t − q_0) ln(q_t/q_0) is over the tenths of all values together, with
    half a person added to each (Siddiqi, Credit Risk Scorecards, 2006; its distribution where nothing moves: Yurdakul
    and Naranjo, J Risk Model Valid 2020;14(4):89).

    Raises NotEnoughData below 3 values of the baseline.
    """
    _check_rate(alarm)
    start, later = _present(baseline, "the baseline"), [_present(batch, "a batch") for batch in batches]
    if len(start) < 3:
        raise NotEnoughData("the baseline has fewer than 3 values")
    sizes = np.array([len(batch) for batch in later])
    used = sizes > 0
    parts = [start, *(batch for batch, keep in zip(later, used, strict=True) if keep)]
    pooled, cuts = np.concatenate(parts), _cuts(parts)
    counts = np.diff(cuts)
    ranks = np.unique(pooled, return_inverse=True)[1]
    scale = np.sqrt(counts[1:] * counts[0] / (counts[1:] + counts[0]))
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, pooled, side="right")

    part = np.repeat(np.arange(len(parts)), counts)

    def tallied(codes: NDArray[np.intp], levels: int, order: NDArray[np.intp]) -> Floats:
        """(parts, levels) how many of the values at `order` have each code, part by part."""
        return np.bincount(part * levels + codes[order], minlength=len(parts) * levels).reshape(len(parts), levels)

    def distances(order: NDArray[np.intp]) -> Floats:
        cumulative = tallied(ranks, ranks.max() + 1, order).cumsum(axis=1) / counts[:, None]
        return np.abs(cumulative[1:] - cumulative[:1]).max(axis=1)

    def stability(order: NDArray[np.intp]) -> Floats:
        levels = len(edges) + 1
        shares = (tallied(bins, levels, order) + 0.5) / (counts[:, None] + 0.5 * levels)
        return ((shares[1:] - shares[:1]) * np.log(shares[1:] / shares[:1])).sum(axis=1)

    points = [ChartPoint(int(n), None, None, None, None, False) for n in sizes]
    indices: list[float | None] = [None] * len(later)
    factor = limit = None
    if used.any():
        random = np.random.default_rng([seed, 44])
        furthest, largest = np.empty(permutations), np.empty(permutations)
        for draw in range(permutations):
            order = random.permutation(len(pooled))
            furthest[draw], largest[draw] = (scale * distances(order)).max(), stability(order).max()
        furthest, largest = np.sort(furthest), np.sort(largest)
        factor, limit = (_simulated_factor(drawn, alarm) for drawn in (furthest, largest))
        p_value = _simulated_p(furthest)
        asis = np.arange(len(pooled))
        found, index = distances(asis), stability(asis)
        for number, place in enumerate(np.flatnonzero(used)):
            p = p_value(float(scale[number] * found[number]))
            upper = None if factor is None else min(1.0, float(factor / scale[number]))
            points[place] = ChartPoint(int(sizes[place]), float(found[number]), 0.0, upper, p, p <= alarm)
            indices[place] = float(index[number])
    return Shift("distribution", len(start), 0.0, factor, alarm, tuple(points), tuple(indices), limit)


# What they share ------------------------------------------------------------------------------------------------------


def _check_rate(alarm: float) -> None:
    if not 0 < alarm < 1:
        raise OutOfRange("the rate of false alarms lies between 0 and 1")


def _present(values: ArrayLike, name: str) -> Floats:
    """The values that are not missing; what is infinite or too large to be squared is refused."""
    return column(complete(values)[0], name, least=0)


def _of_baseline(
    baseline: ArrayLike, batches: Sequence[ArrayLike], alarm: float
) -> tuple[Floats, list[Floats], float, float]:
    _check_rate(alarm)
    start = _present(baseline, "the baseline")
    if len(start) < 3:
        raise NotEnoughData("the baseline has fewer than 3 values")
    sd = float(start.std(ddof=1))
    if sd <= 1e-12 * max(1.0, float(np.abs(start).max())):
        raise Degenerate("the values of the baseline are all equal")
    return start, [_present(batch, "a batch") for batch in batches], float(start.mean()), sd


def _cuts(parts: Sequence[Floats]) -> NDArray[np.intp]:
    """Where each part begins when they lie one behind the other, and where the last one ends."""
    return np.cumsum([0, *(len(part) for part in parts)])


def _symmetric(
    statistic: str,
    start: Floats,
    centre: float,
    values: Floats,
    spread: Floats,
    sizes: NDArray[np.int64],
    factor: float | None,
    distances: Floats,
    p_value: Callable[[float], float],
    alarm: float,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Chart:
    points = []
    for place, n in enumerate(sizes):
        if not np.isfinite(values[place]):
            points.append(ChartPoint(int(n), None, None, None, None, False))
            continue
        p = p_value(float(distances[place]))
        ends: list[float | None] = [None, None]
        if factor is not None:
            ends = [float(np.clip(centre + sign * factor * spread[place], *bounds)) for sign in (-1, 1)]
        points.append(ChartPoint(int(n), float(values[place]), ends[0], ends[1], p, p <= alarm))
    return Chart(statistic, len(start), float(centre), factor, alarm, tuple(points))


@lru_cache(maxsize=64)
def _grid(baseline: int) -> tuple[Floats, Floats, Floats]:
    """Nodes (z, w) of the baseline's standardised mean and of its SD over the true one, and their weights."""
    z, z_weight = np.polynomial.hermite_e.hermegauss(_NODES)
    x, x_weight = np.polynomial.legendre.leggauss(_NODES)
    x, x_weight = (x + 1) / 2, x_weight / 2
    # Far alarms come of baselines whose SD is far too small: nodes lie dense there, at probabilities x⁴.
    w = np.sqrt(stats.chi2.ppf(x**4, baseline - 1) / (baseline - 1))
    weights = np.outer(z_weight / z_weight.sum(), 4 * x**3 * x_weight)
    return z[:, None], w[None, :], weights


def _within(factor: float, baseline: int, sizes: tuple[int, ...]) -> float:
    """The probability that all batches lie within `factor` standard errors, where nothing moves."""
    z, w, weights = _grid(baseline)
    found = np.ones_like(weights)
    for n in sorted(set(sizes)):
        half = factor * w * math.sqrt(1 + n / baseline)
        off = z * math.sqrt(n / baseline)
        found = found * (stats.norm.cdf(off + half) - stats.norm.cdf(off - half)) ** sizes.count(n)
    return float((weights * found).sum())


@lru_cache(maxsize=256)
def _normal_factor(baseline: int, sizes: tuple[int, ...], alarm: float) -> float:
    one = float(stats.t.isf(alarm / 2, baseline - 1))
    all_of_them = float(stats.t.isf(alarm / 2 / len(sizes), baseline - 1))  # Bonferroni's, which is too far out
    return float(
        optimize.brentq(lambda k: _within(k, baseline, sizes) - (1 - alarm), 0.9 * one, 1.1 * all_of_them, xtol=1e-7)
    )


def _permuted(values: Floats, distances: Callable[[Floats], Floats], permutations: int, seed: int) -> Floats:
    """The furthest distance in each of the permutations, sorted."""
    random = np.random.default_rng([seed, 42])
    found, left = [], permutations
    while left:
        some = min(left, max(1, _AT_ONCE // len(values)))
        dealt = random.permuted(np.broadcast_to(values, (some, len(values))), axis=1)
        found.append(distances(dealt).max(axis=1))
        left -= some
    return np.sort(np.concatenate(found))


def _simulated_p(furthest: Floats) -> Callable[[float], float]:
    """Of a distance: (1 + draws as far out) / (1 + draws), which never promises more than the draws can hold."""

    def p_value(distance: float) -> float:
        if not len(furthest):
            return 1.0
        beyond = len(furthest) - np.searchsorted(furthest, distance * (1 - 1e-9), side="left")
        return float((1 + beyond) / (1 + len(furthest)))

    return p_value


def _simulated_factor(furthest: Floats, alarm: float) -> float | None:
    """The distance beyond which the p-value is at most `alarm`; None where no distance is."""
    allowed = math.floor(alarm * (1 + len(furthest)) + 1e-9) - 1  # so many draws may lie beyond
    if allowed < 0 or not len(furthest):
        return None
    return float(furthest[len(furthest) - 1 - allowed])
