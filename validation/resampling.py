"""The bootstrap and the permutation test, vectorised over resamples and bounded in memory.

Most measures of error are functions of sums (of |d|, d², xy, ...). For them one matrix of resampling weights,
resamples × subjects, times the matrix of the subjects' sums gives every measure of every test at once, and the
jackknife needs no loop: the total less each subject. The matrix is made in blocks, so memory does not grow with
the number of resamples. Medians and quantiles have a way of their own (`bootstrap_quantile`).

A subject is drawn whole, with all its pairs. Draws come from numpy's PCG64 with a given seed: the same data, seed
and version give the same bytes.

Sources: Efron B. J Am Stat Assoc 1987;82:171-185 (BCa); Davison AC, Hinkley DV. Bootstrap methods and their
application. Cambridge 1997, sections 5.3.2 and 5.4 (several samples); Miller RG. Ann Math Stat 1968;39:567-582 and
Arvesen JN. Ann Math Stat 1969;40:2076-2100 (jackknife of logarithms of variances and of functions of means).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from validation.pairs import Floats
from validation.results import Estimate

# Cells of one block of the weights matrix: 4 million doubles are 32 MB.
BLOCK = 4_000_000
# Fewer subjects than this and a bootstrap says nothing: with two there are three distinct resamples.
LEAST_SUBJECTS = 3
# An interval is refused when more than this share of the resamples leaves the measure undefined.
UNDEFINED = 0.01


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A random stream for a seed and a place in the analysis: independent of the order in which places are visited."""
    keys = [name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *keys])))


# From this many subjects on, counts are drawn independently (Poisson with mean 1) instead of jointly (multinomial):
# four times as fast. The spread of a mean grows by a factor of about 1 + 1/(2 n), a third of a percent, by as much as
# the plain bootstrap's falls short (Hanley JA, MacGibbon B. Comput Methods Programs Biomed 2006;83:57-62).
MANY = 150


# More subjects than this are dealt at random into so many bundles, which are drawn in their stead (`dealt`).
BUNDLES = 10_000


def weights(rng: np.random.Generator, subjects: int, resamples: int) -> Iterator[Floats]:
    """Blocks (rows, subjects) of counts: how often each resample holds each subject."""
    rows = max(1, min(resamples, BLOCK // max(subjects, 1)))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        if subjects >= MANY:
            yield poisson(rng, count * subjects).reshape(count, subjects)
            continue
        drawn = rng.integers(0, subjects, size=(count, subjects), dtype=np.uint8).astype(np.intp)
        drawn += subjects * np.arange(count, dtype=np.intp)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * subjects).reshape(count, subjects).astype(np.float64)


def random_words(rng: np.random.Generator, bits: int) -> NDArray[np.uint64]:
    """At least so many random bits as little-endian 64-bit words: the same bytes on every machine."""
    return rng.integers(0, 2**64, -(-bits // 64), dtype=np.uint64).astype("<u8", copy=False)


def poisson(rng: np.random.Generator, size: int) -> Floats:
    """Poisson counts with mean 1, each from two random bytes by comparison with the distribution's steps."""
    uniform = random_words(rng, 16 * size).view("<u2")[:size]
    out = np.zeros(size, dtype=np.int8)
    for edge in poisson_edges():
        out += (uniform >= edge).view(np.int8)
    return out.astype(np.float64)


@lru_cache(maxsize=1)
def poisson_edges() -> tuple[np.uint16, ...]:
    """Where the counts 1, 2, ... begin among the 65,536 values of two bytes."""
    edges = np.round(65536 * special.pdtr(np.arange(9), 1.0)).astype(int)
    return tuple(np.uint16(edge) for edge in edges if edge < 65536)


def dealt(rng: np.random.Generator, subjects: int) -> NDArray[np.intp] | None:
    """The bundle (subjects,) of each of very many subjects, by chance; None where subjects are drawn themselves.

    A bundle is a subject to the bootstrap, with several people's pairs. Drawing 10,000 of them instead of all subjects
    leaves means and variances what they are and adds a relative error of 1 / sqrt(20,000), 0.7 %, to the width of an
    interval: as much as the chance in 10,000 resamples does. Time and memory then grow no more with the number of
    subjects than the reading of the data.
    """
    return rng.permutation(subjects) % BUNDLES if subjects > BUNDLES else None


@dataclass(frozen=True)
class Distribution:
    """Resampled values of one measure.

    `draws` (resamples,); `jackknife` holds one array of leave-one-subject-out values a stratum (one stratum unless
    the measure compares independent groups).
    """

    estimate: float
    draws: Floats
    jackknife: tuple[Floats, ...]

    def minus(self, other: Distribution) -> Distribution:
        """Difference of two measures of the same resamples of the same subjects."""
        return Distribution(
            self.estimate - other.estimate,
            self.draws - other.draws,
            tuple(a - b for a, b in zip(self.jackknife, other.jackknife, strict=True)),
        )

    def minus_independent(self, other: Distribution) -> Distribution:
        """Difference of measures of two groups that were resampled independently of each other."""
        return Distribution(
            self.estimate - other.estimate,
            self.draws - other.draws,
            self.jackknife + tuple(-values for values in other.jackknife),
        )

    def log(self) -> Distribution:
        """The measure's logarithm; resamples in which it is not positive become undefined."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return Distribution(
                math.log(self.estimate) if self.estimate > 0 else math.nan,
                finite(np.log(self.draws)),
                tuple(finite(np.log(values)) for values in self.jackknife),
            )


def finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


# A measure maps an array whose last axis is the columns of sums to values: (..., columns) -> (...).
Measure = Callable[[Floats], Floats]
Name = TypeVar("Name")


def bootstrap_sums(
    sums: Floats,
    measures: Mapping[Name, Measure],
    *,
    resamples: int,
    rng: np.random.Generator,
    quantiles: Mapping[Name, ClusteredValues] | None = None,
) -> dict[Name, Distribution]:
    """Bootstrap distributions of many functions of sums at once.

    Args:
        sums: (subjects, columns) each subject's sums.
        measures: functions of totals (..., columns); what is undefined must come out as NaN.
        quantiles: of values of the same subjects, several a subject, from the same resamples.
    """
    subjects = len(sums)
    quantiles = quantiles or {}
    total = sums.sum(axis=0)
    drawn = np.full((resamples, sums.shape[1]), np.nan)
    others = {name: np.full(resamples, np.nan) for name in quantiles}
    if subjects >= LEAST_SUBJECTS:
        bundles = dealt(rng, subjects)
        units = sums if bundles is None else add_up(sums, bundles)
        weighers = {name: values.weigher(bundles) for name, values in quantiles.items()}
        start = 0
        for block in weights(rng, len(units), resamples):
            rows = slice(start, start + len(block))
            np.matmul(block, units, out=drawn[rows])
            for name, weigher in weighers.items():
                others[name][rows] = weigher(block)
            start += len(block)
    without = total - sums
    out = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, measure in measures.items():
            value = float(measure(total))
            out[name] = Distribution(value, finite(measure(drawn)), (finite(measure(without)),))
    for name, values in quantiles.items():
        out[name] = Distribution(values.estimate, others[name], (values.left_out,))
    return out


def add_up(sums: Floats, members: NDArray[np.intp]) -> Floats:
    """Sums (rows, columns) of the rows of each member number 0..k-1."""
    order = np.argsort(members, kind="stable")
    starts = np.searchsorted(members[order], np.arange(int(members.max()) + 1))
    return np.add.reduceat(sums[order], starts, axis=0)


def quantile_place(share: float, n: int, kind: int = 7) -> float:
    """Zero-based place of a quantile among n sorted values, by Hyndman and Fan's types 6, 7 and 8."""
    a = {6: 0.0, 7: 1.0, 8: 1 / 3}[kind]
    return min(max(share * (n + 1 - 2 * a) + a - 1, 0.0), n - 1.0)


def bootstrap_quantile(
    values: Floats, share: float, *, resamples: int, rng: np.random.Generator, kind: int = 7
) -> Distribution:
    """Bootstrap distribution of a sample quantile of independent values, without drawing samples.

    The k-th smallest of n resampled values is the value of rank floor(n U) with U the k-th smallest of n uniforms, a
    Beta(k, n - k + 1) variate; its neighbour follows from a second Beta. So n draws become two, and nothing of size
    n × resamples is ever made. `kind` is the type of quantile (7: numpy's and R's default).
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    n = len(ordered)
    place = quantile_place(share, n, kind)
    rank = math.floor(place)
    part = place - rank
    k = rank + 1
    first = rng.beta(k, n - k + 1, resamples)
    low = ordered[np.minimum((n * first).astype(np.intp), n - 1)]
    if part > 0:
        second = first + (1 - first) * rng.beta(1, n - k, resamples)
        high = ordered[np.minimum((n * second).astype(np.intp), n - 1)]
        draws = low + part * (high - low)
    else:
        draws = low
    left_out = np.empty(n)
    left_out[order] = jackknife_quantile(ordered, share, kind)
    point = ordered[rank] + (part * (ordered[rank + 1] - ordered[rank]) if part > 0 else 0.0)
    return Distribution(float(point), draws, (left_out,))


def jackknife_quantile(ordered: Floats, share: float, kind: int = 7) -> Floats:
    """Quantile of the sorted values without each of them, (n,), in one pass."""
    n = len(ordered)
    if n < 2:
        return np.full(n, np.nan)
    place = quantile_place(share, n - 1, kind)
    rank = math.floor(place)
    part = place - rank
    removed = np.arange(n)
    low = ordered[rank + (removed <= rank)]
    high = ordered[np.minimum(rank + 1 + (removed <= rank + 1), n - 1)] if part > 0 else low
    return low + part * (high - low)


def quantile_interval(values: Floats, share: float = 0.5, *, level: float = 0.95, kind: int = 7) -> Estimate:
    """Interval of a quantile of independent values (n,) from their order statistics, without any distribution.

    With B binomial of n and p = share, the k-th smallest value exceeds the quantile with probability P(B < k). The
    lower end lies between the k-th, of probability γ₁ <= α = (1 - level) / 2, and the next, of γ₂ > α: with
    I = (α - γ₁) / (γ₂ - γ₁) the next has the weight (n - k) p I / ((n - k) p I + k (1 - p) (1 - I)); the upper end
    mirrors it. For the median that is Hettmansperger and Sheather's rule (Stat Probab Lett 1986;4:75-79), for any
    quantile Nyblom's (1992;14:129-131); exact but for the interpolation. There is none where the smallest or largest
    value is more likely than α to fall short of the quantile: for 95 % below 6 values for a median, below 146 for a
    97.5 % quantile.
    """
    ordered = np.sort(values)
    n, method = len(ordered), "order statistics"
    place = quantile_place(share, n, kind)
    rank = math.floor(place)
    part = place - rank
    point = float(ordered[rank] + (part * (ordered[rank + 1] - ordered[rank]) if part > 0 else 0.0))
    tail = (1 - level) / 2

    def end(from_it: Floats, p: float) -> float | None:
        chance = special.bdtr(np.arange(n), n, p)
        k = int(np.searchsorted(chance, tail, side="right"))
        if k == 0:
            return None
        step = (tail - chance[k - 1]) / (chance[k] - chance[k - 1])
        near, far = (n - k) * p * step, k * (1 - p) * (1 - step)
        return float(from_it[k - 1] + near / (near + far) * (from_it[k] - from_it[k - 1]))

    low, high = end(ordered, share), end(ordered[::-1], 1 - share)
    reason = f"{n} values are too few for an interval of this quantile" if None in (low, high) else None
    return Estimate(point, low, high, level, method, reason)


def bootstrap_clustered_quantile(
    values: Floats, clusters: NDArray[np.intp], share: float, *, resamples: int, rng: np.random.Generator
) -> Distribution:
    """Bootstrap distribution of a quantile when subjects hold several values (inverse of the weighted distribution).

    At the middle of a step the two neighbours are averaged, so that equal weights give the ordinary median.
    """
    found = ClusteredValues.of(values, clusters, share)
    nothing = np.empty((found.subjects, 0))
    return bootstrap_sums(nothing, {}, resamples=resamples, rng=rng, quantiles={"quantile": found})["quantile"]


@dataclass(frozen=True)
class ClusteredValues:
    """Sorted values (n,), the subjects 0..k-1 that own them (n,), and the share of which the quantile is wanted."""

    ordered: Floats
    owners: NDArray[np.intp]
    share: float

    @classmethod
    def of(cls, values: Floats, clusters: NDArray[np.intp], share: float) -> ClusteredValues:
        order = np.argsort(values, kind="stable")
        return cls(values[order], clusters[order], share)

    @property
    def subjects(self) -> int:
        return int(self.owners.max()) + 1

    @property
    def estimate(self) -> float:
        return float(weighted_quantile(self.ordered, np.ones((1, len(self.ordered))), self.share)[0])

    @property
    def left_out(self) -> Floats:
        return jackknife_clustered_quantile(self.ordered, self.owners, self.share)

    def weigher(self, bundles: NDArray[np.intp] | None) -> ClusteredQuantile:
        """The quantile as a function of the weights of subjects, or of the bundles that they are dealt into."""
        return ClusteredQuantile(self.ordered, self.owners if bundles is None else bundles[self.owners], self.share)


def jackknife_clustered_quantile(ordered: Floats, owners: NDArray[np.intp], share: float) -> Floats:
    """Quantile of the sorted values (n,) without those of each owner, (subjects,).

    Without an owner the k-th value stands at place k less the owner's values up to there; the first place to reach the
    share is approached from below, one value of the owner a step.
    """
    n = len(ordered)
    counts = np.bincount(owners)
    subject = np.arange(len(counts))
    key = np.sort(owners * (n + 1) + np.arange(1, n + 1))
    start = np.cumsum(counts) - counts
    left = n - counts
    hair = 1e-9 * left

    def place(least: NDArray[np.intp]) -> NDArray[np.intp]:
        """Smallest k (from 1) with `least` values of others among the first k."""
        k = least
        while True:
            own = np.searchsorted(key, subject * (n + 1) + np.minimum(k, n), side="right") - start
            if (least + own == k).all():
                return np.clip(k, 1, n) - 1
            k = least + own

    low = place(np.ceil(share * left - hair).astype(np.intp).clip(1))
    high = place(np.minimum(np.floor(share * left + hair).astype(np.intp) + 1, np.maximum(left, 1)))
    return np.where(left > 0, (ordered[low] + ordered[np.maximum(high, low)]) / 2, np.nan)


# Parts into which the values near a quantile are cut.
PARTS = 16


class ClusteredQuantile:
    """Quantiles of sorted values (n,) under rows of weights of their owners (rows, subjects).

    Only values that a resample's quantile can reach are looked at: those within six standard errors of the sample's.
    The weight below them and in each of `PARTS` stretches of them comes from one matrix product; then the one
    stretch that holds the quantile is gone through. Rows whose quantile lies farther out are done by the whole.
    """

    def __init__(self, ordered: Floats, owners: NDArray[np.intp], share: float) -> None:
        self.ordered, self.owners, self.share = ordered, owners, share
        counts = np.bincount(owners)
        self.subjects, n = len(counts), len(ordered)
        place = min(int(share * n), n - 1)
        score = np.bincount(owners[: place + 1], minlength=self.subjects) - share * counts
        half = int(6 * math.sqrt(float(score @ score))) + 2 * int(counts.max())
        self.first, last = max(place - half, 0), min(place + half + 1, n)
        self.stretch = -(-(last - self.first) // PARTS)
        self.last = last
        stretch = np.arange(last - self.first) // self.stretch
        cells = owners[self.first : last] * PARTS + stretch
        below = np.bincount(owners[: self.first], minlength=self.subjects)
        inside = np.bincount(cells, minlength=self.subjects * PARTS).reshape(self.subjects, PARTS)
        self.columns = np.column_stack([counts, below, inside]).astype(float)

    def __call__(self, weight: Floats) -> Floats:
        rows = max(1, BLOCK // self.stretch)
        return np.concatenate([self._rows(weight[start : start + rows]) for start in range(0, len(weight), rows)])

    def _rows(self, weight: Floats) -> Floats:
        sums = weight @ self.columns
        total, running = sums[:, 0], np.cumsum(sums[:, 1:], axis=1)
        target = self.share * total
        # A hair of tolerance: sums of whole weights times `share` must count as equal when they are.
        hair = 1e-9 * total
        rows = np.arange(len(weight))
        part = np.argmax(running[:, 1:] >= (target - hair)[:, None], axis=1)
        before = running[rows, part]
        place = self.first + part[:, None] * self.stretch + np.arange(self.stretch)
        real = place < self.last
        place = np.minimum(place, self.last - 1)
        within = np.where(real, weight[rows[:, None], self.owners[place]], 0.0)
        inside = before[:, None] + np.cumsum(within, axis=1)
        low = place[rows, np.argmax(inside >= (target - hair)[:, None], axis=1)]
        beyond = inside > (target + hair)[:, None]
        high = place[rows, np.argmax(beyond, axis=1)]
        out = (self.ordered[low] + self.ordered[np.maximum(high, low)]) / 2
        # A step that ends with the stretch has its upper neighbour in a later one; a target may lie outside them all.
        outside = (running[:, 0] >= target - hair) | (running[:, -1] < target - hair)
        left = np.flatnonzero(outside | ~beyond.any(axis=1))
        step = max(1, BLOCK // len(self.ordered))
        for start in range(0, len(left), step):
            some = left[start : start + step]
            out[some] = weighted_quantile(self.ordered, weight[some][:, self.owners], self.share)
        return out


def weighted_quantile(ordered: Floats, weight: Floats, share: float) -> Floats:
    """Quantiles of sorted values (n,) under each row of weights (rows, n)."""
    running = np.cumsum(weight, axis=1)
    target = share * running[:, -1:]
    # A hair of tolerance: sums of whole weights times `share` must count as equal when they are.
    hair = 1e-9 * running[:, -1:]
    low = np.argmax(running >= target - hair, axis=1)
    high = np.argmax(running > target + hair, axis=1)
    high = np.maximum(high, low)
    return (ordered[low] + ordered[high]) / 2


def bca(distribution: Distribution, *, level: float = 0.95) -> Estimate:
    """Bias-corrected and accelerated interval.

    z0 = Φ⁻¹(share of draws below the estimate, ties counted half); a = Σ l³ / (6 (Σ l²)^1.5) with l the jackknife
    influence values, over all strata; the ends are the quantiles of the draws at
    Φ(z0 + (z0 ± z) / (1 - a (z0 ± z))). Efron 1987.
    """
    estimate, draws = distribution.estimate, distribution.draws
    subjects = sum(len(values) for values in distribution.jackknife)
    method = "BCa bootstrap"

    def without(reason: str) -> Estimate:
        return Estimate(estimate, None, None, level, method, reason)

    if not math.isfinite(estimate):
        return Estimate.missing("the measure is not defined for these data", level=level, method=method)
    if subjects < LEAST_SUBJECTS or len(draws) == 0:
        return without(f"{subjects} subjects are too few for a bootstrap")
    defined = draws[~np.isnan(draws)]
    if len(defined) < (1 - UNDEFINED) * len(draws):
        return without(f"the measure is undefined in {1 - len(defined) / len(draws):.1%} of the resamples")
    lowest, highest = float(defined.min()), float(defined.max())
    tiny = 1e-12 * max(abs(lowest), abs(highest))
    if highest - lowest <= tiny:
        return without("every resample gives the same value")
    below = np.count_nonzero(defined < estimate - tiny)
    ties = np.count_nonzero(np.abs(defined - estimate) <= tiny)
    z0 = special.ndtri((below + ties / 2) / len(defined))
    if not math.isfinite(z0):
        return without("all resamples lie on one side of the estimate")
    acceleration = acceleration_of(distribution.jackknife)
    ends = []
    for z in (special.ndtri((1 - level) / 2), special.ndtri((1 + level) / 2)):
        divisor = 1 - acceleration * (z0 + z)
        if divisor <= 0:
            return without("the acceleration is too large for a BCa interval")
        ends.append(float(special.ndtr(z0 + (z0 + z) / divisor)))
    low, high = np.quantile(defined, ends)
    return Estimate(estimate, float(low), float(high), level, method)


def acceleration_of(jackknife: tuple[Floats, ...]) -> float:
    """Skewness of the influence values over strata; strata weigh by (m - 1) / m (Davison and Hinkley 5.4)."""
    second = third = 0.0
    parts = []
    for values in jackknife:
        values = values[~np.isnan(values)]
        if len(values) < 2:
            continue
        parts.append((len(values) - 1) / len(values) * (values.mean() - values))
    # The acceleration has no unit: scaled first, so that no power leaves double precision.
    scale = max((float(np.abs(part).max()) for part in parts), default=0.0)
    for part in parts if scale > 0 else []:
        second += float(((part / scale) ** 2).sum())
        third += float(((part / scale) ** 3).sum())
    return third / (6 * second**1.5) if second > 0 else 0.0


# How the interval of a smooth measure is made.
INTERVALS = ("bca", "jackknife")
# Scales on which the jackknife's interval is symmetric: the scale, and the way back.
SCALES: dict[str, tuple[Callable[[Floats], Floats], Callable[[float], float]]] = {
    "raw": (lambda values: values, float),
    "log": (np.log, math.exp),
    "z": (np.arctanh, math.tanh),
    "percent": (lambda values: special.logit(values / 100), lambda value: 100 * float(special.expit(value))),
}


def jackknife(distribution: Distribution, *, level: float = 0.95, scale: str = "raw") -> Estimate:
    """Interval of a smooth measure from leave-one-subject-out values, without draws; not for medians or quantiles.

    On the scale ("raw", "log", Fisher's "z", or the logit of a "percent") the interval is estimate ± t se, with
    se² = Σ over strata of (m - 1)/m Σ (θ₋ᵢ - their mean)², t of m - 1 degrees of freedom (of several strata: Welch's).
    With few subjects it holds the truth more often than BCa does, since t makes up for the uncertainty of se, and the
    logarithm for much of the skewness of a mean of squares (Miller 1968, Arvesen 1969).
    """
    there, back = SCALES[scale]
    point, method = distribution.estimate, "jackknife, t" if scale == "raw" else f"jackknife on the {scale} scale, t"
    if not math.isfinite(point):
        return Estimate.missing("the measure is not defined for these data", level=level, method=method)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = float(there(np.float64(point)))
        strata = [finite(there(values)) for values in distribution.jackknife]
    subjects = sum(len(values) for values in strata)
    parts = [(len(v) - 1, float((len(v) - 1) / len(v) * ((v - v.mean()) ** 2).sum())) for v in strata if len(v) > 1]
    variance = sum(part for _, part in parts)
    reason = None
    if subjects < LEAST_SUBJECTS or len(parts) < len(strata):
        reason = f"{subjects} subjects are too few for a jackknife"
    elif not (math.isfinite(centre) and math.isfinite(variance)):
        reason = "the measure lies at the end of its range, or is undefined without one of the subjects"
    elif math.sqrt(variance) <= 1e-12 * abs(centre):
        reason = "the measure is the same without any of the subjects"
    if reason is not None:
        return Estimate(point, None, None, level, method, reason)
    df = variance**2 / sum(part**2 / freedom for freedom, part in parts)
    half = float(special.stdtrit(df, (1 + level) / 2)) * math.sqrt(variance)
    return Estimate(point, back(centre - half), back(centre + half), level, method)


def interval_of(distribution: Distribution, how: str = "bca", *, level: float = 0.95, scale: str = "raw") -> Estimate:
    """The interval that is asked for: "bca", or "jackknife" on a scale."""
    return bca(distribution, level=level) if how == "bca" else jackknife(distribution, level=level, scale=scale)


def percentile(distribution: Distribution, *, level: float = 0.95) -> Estimate:
    """Plain percentile interval."""
    defined = distribution.draws[~np.isnan(distribution.draws)]
    if len(defined) == 0:
        return Estimate(distribution.estimate, None, None, level, "percentile bootstrap", "no resample is defined")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(distribution.estimate, float(low), float(high), level, "percentile bootstrap")


# Up to this many subjects all 2^n changes of sign are gone through; beyond, they are sampled.
EXHAUSTIVE = 12


@dataclass(frozen=True)
class Exchange:
    """Statistics whose permutation distribution `exchange` finds.

    columns: (subjects, columns), each subject's part that changes its sign when its two methods are swapped.
    statistic: maps totals (rows, columns) to statistics (rows, k), large where the methods differ.
    slack: (k,) how far below the observed statistic rounding may take an equal one.
    """

    columns: Floats
    statistic: Callable[[Floats], Floats]
    slack: Floats


def exchange(parts: Sequence[Exchange], *, resamples: int, rng: np.random.Generator) -> list[Floats]:
    """Permutation p-values (k,) of each part: two methods may be swapped within any subject. One matrix serves all.

    All 2^n sign patterns up to 12 subjects, else `resamples` of them and the observed one; of very many subjects whole
    bundles are swapped (`dealt`). NaN where the statistic of the data is not defined.
    """
    n = len(parts[0].columns)
    observed = [part.statistic(part.columns.sum(axis=0)[None])[0] for part in parts]
    bundles = dealt(rng, n)
    if bundles is not None:
        parts = [replace(part, columns=add_up(part.columns, bundles)) for part in parts]
        n = BUNDLES
    beyond = [np.zeros(len(values)) for values in observed]
    for signs in sign_patterns(n, resamples, rng):
        for part, values, count in zip(parts, observed, beyond, strict=True):
            count += (~(part.statistic(signs @ part.columns) < values - part.slack)).sum(axis=0)
    drawn, given = (2**n, 0) if n <= EXHAUSTIVE else (resamples, 1)
    return [
        np.where(np.isnan(values), np.nan, (count + given) / (drawn + given))
        for values, count in zip(observed, beyond, strict=True)
    ]


def sign_patterns(subjects: int, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Blocks (rows, subjects) of signs ±1: every pattern up to 12 subjects, else `resamples` random ones."""
    if subjects <= EXHAUSTIVE:
        yield 1.0 - 2.0 * (np.arange(2**subjects)[:, None] >> np.arange(subjects) & 1)
        return
    rows = max(1, min(resamples, BLOCK // subjects))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        bits = np.unpackbits(random_words(rng, count * subjects).view(np.uint8), count=count * subjects)
        yield (1 - 2 * bits.view(np.int8)).astype(np.float64).reshape(count, subjects)


def symmetry(sums: Floats) -> Exchange:
    """Totals (subjects, columns) of paired differences, which should lie symmetrically about zero."""
    return Exchange(sums, np.abs, 1e-12 * np.abs(sums).sum(axis=0))


def sign_flip(sums: Floats, *, resamples: int, rng: np.random.Generator) -> Floats:
    """Two-sided permutation p-values, one a column, of the hypothesis that each column is symmetric about zero.

    Args:
        sums: (subjects, columns) sums of paired differences; under the hypothesis the two methods may be swapped
            within any subject, which turns its sign.

    The statistic is the total.
    """
    return exchange([symmetry(sums)], resamples=resamples, rng=rng)[0]
