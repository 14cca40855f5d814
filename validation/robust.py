"""Passing–Bablok and Theil–Sen regression: the median of all pairwise slopes, robust and free of a distribution.

Sources: Passing H, Bablok W. J Clin Chem Clin Biochem 1983;21:709-720 (method, intervals, linearity test);
Bablok W, Passing H, et al. 1988;26:783-790 (equivariant form); Dufey F. Int J Biostat 2020;16 (its interval).

As in the R package mcr, medians of an even number of slopes are taken between their angles, not between the slopes
themselves. A textbook median of slopes differs in the third or fourth digit when there are many ties.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from validation.errors import Degenerate, NotEnoughData, UnknownOption
from validation.pairs import Floats, codes, confidence, option, pair, same
from validation.regression import Line, Resampled, resample_line
from validation.results import Estimate
from validation.slopes import Ranked, Slopes, Steepness, angle, concordance_scores, snap

KINDS = ("classic", "equivariant")
TIES = {"floating": 0.0, "exact": 4e-12}
ORIENTATIONS = ("positive", "negative", "auto")
# Resampling goes through all pairs once a resample; beyond this many steps it is refused.
MOST_STEPS = 20_000_000_000


def passing_bablok(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    kind: str = "classic",
    orientation: str = "positive",
    ties: str = "floating",
    subject: ArrayLike | None = None,
    level: float = 0.95,
    interval: str = "analytic",
    resamples: int = 2000,
    seed: int = 1,
) -> Line:
    """Passing–Bablok line of test (n,) on reference (n,).

    classic: with N slopes and K of them below -1 (one half of those equal to -1), the slope is the median shifted by
        K; exchanging the methods inverts it. Meant for slopes near 1.
    equivariant: the median of the absolute slopes, with the sign of Kendall's tau; no preference for a slope of 1.
    intercept = median(test - slope reference).
    orientation: "positive" (methods rise together), "negative" (the mirror image, for methods that run against each
        other) or "auto" (the sign of Kendall's tau). It matters when the slope is near zero or negative.
    ties: which slopes equal -1: "floating", those that do so in floating point, as mcr has it, or "exact", those that
        do but for rounding. They differ when decimal data are so discrete that slopes of -1 are many (0.30 - 0.20
        is not 0.20 - 0.10 in binary). Above 1,000 points always "exact".
    subject: (n,) labels of points that belong together. The analytic variances are then multiplied by the ratio of the
        subjects' to the points' sums of squared scores (`design_effect`), and z becomes t with a degree of freedom
        less than subjects; jackknife and bootstrap leave out and draw subjects whole.
    interval: "analytic" from the ranks of slopes, z sqrt(n (n - 1)(2n + 5) / 18) to each side (classic), or from the
        variance of Kendall's tau (equivariant); "bootstrap" BCa, which takes n² steps a resample.

    Time O(n log n) and memory O(n) above 1,000 points. Raises Degenerate when a column is constant, NotEnoughData
    below 3 points or subjects.
    """
    confidence(level)
    option(kind, KINDS, "kind"), option(orientation, ORIENTATIONS, "orientation")
    hair = TIES[option(ties, tuple(TIES), "ties")]
    option(interval, ("analytic", "bootstrap", "jackknife"), "interval")
    y, x = pair(test, reference, least=3)
    for name, values in (("reference", x), ("test", y)):
        if same(values):
            raise Degenerate(f"the {name} is constant")
    clusters = codes(subject, len(x))
    subjects = int(clusters.max()) + 1
    if subjects < 3:
        raise NotEnoughData(f"{subjects} subjects where at least 3 are needed")
    if subjects == len(x):
        clusters = None
    sign = _sign(x, y, orientation if kind == "classic" else "auto")
    y = sign * y
    name = "Passing–Bablok" if kind == "classic" else "equivariant Passing–Bablok"
    if interval != "analytic":
        resampled = _resample(x, y, kind, hair, clusters, interval, resamples, seed)
        whole = resampled.whole * sign
        draws = None if resampled.draws is None else resampled.draws * sign
        resampled = Resampled(whole, resampled.jackknife * sign, draws)
        slope = resampled.estimate(np.array([0.0, 1.0]), level=level)
        intercept = resampled.estimate(np.array([1.0, 0.0]), level=level)
        return Line(slope, intercept, len(x), name, interval, None, resampled)
    if kind == "classic":
        slope, intercept = _classic(x, y, hair, clusters, level)
    else:
        slope, intercept = _median_slope(x, y, clusters, level, steepness=True)
    if sign < 0:
        slope, intercept = slope.map(lambda v: -v), intercept.map(lambda v: -v)
    return Line(slope, intercept, len(x), name, interval)


def _sign(x: Floats, y: Floats, orientation: str) -> int:
    if orientation != "auto":
        return 1 if orientation == "positive" else -1
    return -1 if stats.kendalltau(x, y).statistic < 0 else 1


def _middle(slopes: Ranked, twice: int) -> float | None:
    """The slope at rank (twice + 1) / 2, between two ranks the tangent of the mean of their angles."""
    ranks = [(twice + 1) // 2] if twice % 2 else [twice // 2, twice // 2 + 1]
    if ranks[0] < 1 or ranks[-1] > slopes.total:
        return None
    return _tangent(sum(slopes.order_statistics(ranks)) / len(ranks))


def _tangent(at: float) -> float:
    return math.inf if abs(at) >= math.pi / 2 - 1e-15 else math.tan(at)


def design_effect(u: Floats, v: Floats, clusters: NDArray[np.intp] | None) -> float:
    """By how much the variance of Kendall's sum of (u, v) grows when points of one subject belong together.

    A point's score is the number of points with which it agrees in order less those with which it does not. The sum's
    variance is about the sum of squared scores, of independent points or of subjects (their points' scores added up:
    Hájek's projection); the ratio of the two is returned, 1 where every subject has one point.
    """
    if clusters is None:
        return 1.0
    score = concordance_scores(u, v).astype(float)
    single = float(score @ score)
    together = np.bincount(clusters, score)
    count = len(together)
    return count / (count - 1) * float(together @ together) / single if single > 0 else 1.0


def _quantile(level: float, clusters: NDArray[np.intp] | None) -> float:
    """z, or t with a degree of freedom less than there are subjects with several points."""
    share = (1 + level) / 2
    return float(special.ndtri(share) if clusters is None else special.stdtrit(clusters.max(), share))


def _classic(
    x: Floats, y: Floats, hair: float, clusters: NDArray[np.intp] | None, level: float
) -> tuple[Estimate, Estimate]:
    slopes = Slopes(x, y)
    n, total = len(x), slopes.total
    below, not_above = slopes.below(-1.0, hair=hair)
    offset = below + not_above  # twice K, slopes of -1 counted half
    slope = _middle(slopes, total + offset)
    if slope is None or not math.isfinite(slope):
        raise Degenerate("the middle slope is vertical: try another orientation")
    # With slopes below -1 counted as the steepest, a slope is above b when y - b x and x + y rise or fall together.
    variance = n * (n - 1) * (2 * n + 5) / 18 * design_effect(y - slope * x, x + y, clusters)
    spread = math.floor(_quantile(level, clusters) * math.sqrt(variance) + 0.5)
    low, high = _middle(slopes, total - spread + offset), _middle(slopes, total + spread + offset)
    intercept = float(np.median(y - slope * x))
    ends = [None if end is None or not math.isfinite(end) else end for end in (low, high)]
    if None in ends:
        reason = "the interval of the slope is not bounded"
        return (
            Estimate(slope, *ends, level, "analytic", reason),
            Estimate(intercept, None, None, level, "analytic", reason),
        )
    lowest, highest = (float(np.median(y - end * x)) for end in reversed(ends))
    return (
        Estimate(slope, *ends, level, "analytic"),
        Estimate(intercept, lowest, highest, level, "analytic"),
    )


# Width, in standard errors, of the interval from which McKean and Schrader's standard error of a median is taken.
MCKEAN_SCHRADER = 1.4


def _median_slope(
    x: Floats, y: Floats, clusters: NDArray[np.intp] | None, level: float, *, steepness: bool
) -> tuple[Estimate, Estimate]:
    """Median of the slopes or, with `steepness`, of their absolute values, and its line's intervals (Dufey 2020).

    A pair is steeper than the line when it is concordant in residual y - slope x and y + slope x (or x), and less
    steep when it is discordant: so the slope's interval comes from the variance of Kendall's tau between these two. The
    intercept's combines the slope's standard error with that of the median residual (McKean and Schrader's) and the
    covariance of the two.
    """
    n = len(x)
    angles: Ranked = Steepness(x, y) if steepness else Slopes(x, y)
    total = angles.total if steepness else angles.total - angles.vertical
    if total < 1:
        raise Degenerate("no two points have a slope")
    slope = _tangent(_quantile_of(angles, total, 0.5))
    if not math.isfinite(slope):
        raise Degenerate("the middle slope is vertical")
    u, v = y - slope * x, y + slope * x if steepness else x
    intercept = float(np.median(u))

    def without(reason: str) -> tuple[Estimate, Estimate]:
        return tuple(Estimate(value, None, None, level, "analytic", reason) for value in (slope, intercept))  # type: ignore[return-value]

    if n < 4:
        return without("the interval needs at least 4 pairs")
    tau = concordance_scores(u, v).astype(float)
    # The floor is for what is zero but for rounding, and must not be felt where many points make the variance small.
    floor = min(1e-5, 1 / n**2)
    variance = max(floor, (4 * float(tau @ tau) - 2 * n * (n - 1)) / (n * (n - 1) * (n - 2) * (n - 3)))
    variance *= design_effect(u, v, clusters)
    t = float(special.stdtrit(n - 2 if clusters is None else int(clusters.max()), (1 + level) / 2))
    part = min(math.sqrt(variance) * t, 1 - 1e-8)
    low, high = (_tangent(_quantile_of(angles, total, share)) for share in ((1 - part) / 2, (1 + part) / 2))
    if not (math.isfinite(low) and math.isfinite(high)):
        return without("the interval of the slope is not bounded")
    half = (high - low) / 2
    found = Estimate(slope, slope - half, slope + half, level, "analytic")
    if clusters is not None or half == 0:
        reason = "the slopes about the middle one are equal" if clusters is None else "ask for jackknife or bootstrap"
        return found, Estimate(intercept, None, None, level, "analytic", reason)
    spread = t * _se_of_intercept(x, y, u, v, slope, half / t, variance)
    return found, Estimate(intercept, intercept - spread, intercept + spread, level, "analytic")


def _se_of_intercept(
    x: Floats, y: Floats, residual: Floats, along: Floats, slope: float, se: float, variance: float
) -> float:
    """Standard error of median(y - slope x), with `se` that of the slope and the variance of its tau.

    Those of the median residual at a fixed slope, and of how the median moves with the slope (by a difference
    quotient), with their covariance from Kendall's tau among the points above and among those below the line.
    """
    n, z = len(x), MCKEAN_SCHRADER
    place = max(round((n + 1) / 2 - z * math.sqrt(n / 4)), 1)
    ordered = np.sort(residual)
    se_median = float(ordered[n - place] - ordered[place - 1]) / (2 * z)
    about = snap(residual - float(np.median(residual)))
    above, below = (
        float(concordance_scores(about[side], along[side]).sum()) if side.sum() > 1 else 0.0
        for side in (about > 0, about < 0)
    )
    correlation = 2 * (above - below) / (n * (n - 1)) / math.sqrt(n * variance)
    lower, upper = (float(np.median(y - (slope + sign * se * z) * x)) for sign in (-1, 1))
    moved = (lower - upper) / (2 * se * z) - se_median / se * correlation
    return math.sqrt(max(0.0, se_median**2 * (1 - correlation**2) + (se * moved) ** 2))


def theil_sen(test: ArrayLike, reference: ArrayLike, *, level: float = 0.95) -> Line:
    """Line through the median of all pairwise slopes, of test (n,) on reference (n,), which has no error.

    slope = median of the slopes (between two, the tangent of the mean angle), intercept = median(test - slope
    reference). Robust against outliers in the test, where Passing and Bablok's line also allows for error in the
    reference. Intervals as of the equivariant Passing–Bablok line (Sen PK. J Am Stat Assoc 1968;63:1379-1389, with the
    variance of Dufey 2020). Time O(n log n). Raises as `passing_bablok`.
    """
    confidence(level)
    y, x = pair(test, reference, least=3)
    if same(x):
        raise Degenerate("the reference is constant")
    slope, intercept = _median_slope(x, y, None, level, steepness=False)
    return Line(slope, intercept, len(x), "Theil–Sen", "analytic")


def _quantile_of(angles: Ranked, total: int, share: float) -> float:
    """Quantile of the first `total` angles, interpolated between ranks (type 7)."""
    place = share * (total - 1)
    rank = math.floor(place)
    low, high = angles.order_statistics([rank + 1, min(rank + 2, total)])
    return low + (place - rank) * (high - low)


def _resample(
    x: Floats,
    y: Floats,
    kind: str,
    hair: float,
    clusters: NDArray[np.intp] | None,
    interval: str,
    resamples: int,
    seed: int,
) -> Resampled:
    """Refits with weights: a pair counts as often as the product of its points' weights, which are their subject's."""
    n = len(x)
    pairs = n * (n - 1) // 2
    if pairs * (n + (resamples if interval == "bootstrap" else 0)) > MOST_STEPS:
        raise UnknownOption(f"resampling {n} points takes n² steps each: use the analytic interval")
    order = np.lexsort((snap(y), snap(x)))
    u, v = x[order], y[order]
    i, j = np.triu_indices(n, 1)
    keep = (snap(x)[order][i] != snap(x)[order][j]) | (snap(y)[order][i] != snap(y)[order][j])
    i, j = i[keep], j[keep]
    angles = angle(u, v, i, j)
    if kind == "equivariant":
        angles = np.abs(angles)
    rank = np.argsort(angles, kind="stable")
    angles, i, j = angles[rank], i[rank], j[rank]
    first = np.searchsorted(angles, -math.pi / 4 - hair)
    last = np.searchsorted(angles, -math.pi / 4 + hair, side="right")

    def one(w: Floats) -> tuple[float, float]:
        w = w[order]
        running = np.cumsum(w[i] * w[j])
        total = running[-1]
        if total == 0:
            return math.nan, math.nan
        offset = 0.0
        if kind == "classic":
            offset = (running[first - 1] if first else 0.0) + (running[last - 1] if last else 0.0)
        twice = total + offset
        ranks = [(twice + 1) // 2] if twice % 2 else [twice // 2, twice // 2 + 1]
        if ranks[-1] > total:
            return math.nan, math.nan
        places = np.searchsorted(running, np.array(ranks) - 0.25)
        slope = _tangent(float(angles[places].mean()))
        if not math.isfinite(slope):
            return math.nan, math.nan
        return _weighted_median(v - slope * u, w), slope

    def fit(block: Floats) -> Floats:
        return np.array([one(row if clusters is None else row[clusters]) for row in block])

    return resample_line(n if clusters is None else int(clusters.max()) + 1, fit, interval, resamples, seed)


def _weighted_median(values: Floats, w: Floats) -> float:
    order = np.argsort(values)
    running = np.cumsum(w[order])
    half = running[-1] / 2
    low, high = np.searchsorted(running, half), np.searchsorted(running, half, side="right")
    return float(values[order[low]] + values[order[min(high, len(values) - 1)]]) / 2


def cusum(test: ArrayLike, reference: ArrayLike, line: Line) -> tuple[float, float]:
    """Linearity test of Passing and Bablok: (statistic, p-value); a small p speaks against a straight line.

    Residuals above the line score sqrt(L / l), those below -sqrt(l / L), l and L their numbers. In the order of
    the points' projections on the line, the largest absolute cumulative sum over sqrt(L + 1) is compared with
    Kolmogorov's distribution.
    """
    y, x = pair(test, reference, least=3)
    slope, intercept = float(line.slope), float(line.intercept)
    residual = y - intercept - slope * x
    residual = np.where(np.abs(residual) <= 1e-12 * (np.abs(y) + np.abs(slope * x)), 0.0, residual)
    above, under = int((residual > 0).sum()), int((residual < 0).sum())
    if above == 0 or under == 0:
        return 0.0, 1.0
    score = np.where(residual > 0, math.sqrt(under / above), np.where(residual < 0, -math.sqrt(above / under), 0.0))
    along = x + slope * (y - intercept)
    largest = float(np.abs(np.cumsum(score[np.argsort(along, kind="stable")])).max())
    statistic = largest / math.sqrt(under + 1)
    return statistic, float(special.kolmogorov(statistic))
