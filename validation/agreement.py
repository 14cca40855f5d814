"""Bland–Altman analysis: bias and limits of agreement, each with a confidence interval.

difference = test - reference, always. On the raw scale everything has the unit of the data; on the percent scales it
is in percent; on the log scale the differences are log(test) - log(reference) and `.ratios()` gives them as ratios.

Sources
    Bland JM, Altman DG. Lancet 1986;i:307-310, and Stat Methods Med Res 1999;8:135-160.
    Carkeet A. Optom Vis Sci 2015;92:e71-e80: exact intervals for the limits.
    Zou GY. Stat Methods Med Res 2013;22:630-642: MOVER, and repeated measurements.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from validation.errors import Degenerate, OutOfRange, UnknownOption
from validation.pairs import Floats, at_least, codes, confidence, number, option, pair, same
from validation.results import Estimate, Result, attempt, digits, exponential

INTERVALS = ("exact", "exact-paired", "mover", "approximate", "approximate-1986")
REPEATED = ("varying", "constant", "mixed")
SCALES = ("raw", "percent", "percent of reference", "log")
# Three pairs: with two, a straight line through the differences has no residual left.
LEAST = 3
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Limits(Result):
    """Limits of agreement, between which a share `coverage` of the differences is expected to lie.

    `interval` names how the confidence interval of each limit was made, `level` is its confidence.
    """

    lower: Estimate
    upper: Estimate
    interval: str
    level: float
    coverage: float = 0.95

    def ratios(self) -> Limits:
        """Limits of the log scale as ratios test / reference."""
        lower, upper = self.lower.map(exponential), self.upper.map(exponential)
        return Limits(lower, upper, self.interval, self.level, self.coverage)


@dataclass(frozen=True)
class ProportionalBias(Result):
    """Least-squares line of the differences on the means (or on the reference): does the bias change with size?"""

    slope: Estimate
    intercept: Estimate
    p_value: float | None
    r_squared: float | None
    residual_sd: float | None
    on: str = "mean"

    def to_dict(self) -> dict[str, Any]:
        return {
            "slope": self.slope.to_dict(),
            "intercept": self.intercept.to_dict(),
            "p_value": self.p_value,
            "r_squared": self.r_squared,
        }


@dataclass(frozen=True)
class BlandAltman(Result):
    """Agreement of one test with its reference. `n` pairs of `subjects` subjects."""

    n: int
    subjects: int
    bias: Estimate
    sd: float | None
    p_value: float | None
    limits: Limits
    proportional_bias: ProportionalBias
    scale: str = "raw"

    def ratios(self) -> BlandAltman:
        """The same result with bias and limits as ratios test / reference (only for the log scale)."""
        if self.scale != "log":
            raise Degenerate(f"ratios need the log scale, and this analysis is on the {self.scale} scale")
        return replace(self, bias=self.bias.map(exponential), limits=self.limits.ratios(), scale="ratio")

    def __str__(self) -> str:
        limits, p = self.limits, self.p_value
        rows = [
            f"Bland–Altman, {self.n} pairs" + (f" of {self.subjects} subjects" if self.subjects != self.n else ""),
            f"  bias         {self.bias}" + (f", p = {digits(p)}" if p is not None else ""),
            f"  sd           {digits(self.sd)}",
            f"  lower limit  {limits.lower}",
            f"  upper limit  {limits.upper}",
            f"  slope        {self.proportional_bias.slope}",
            f"  {limits.level:.0%} intervals, those of the limits {limits.interval}; scale {self.scale}",
        ]
        return "\n".join(rows)


def bland_altman(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    level: float = 0.95,
    coverage: float = 0.95,
    limits_interval: str = "exact",
    scale: str = "raw",
    regress_on: str = "mean",
    subject: ArrayLike | None = None,
    repeated: str = "varying",
    resamples: int = 2000,
    seed: int = 1,
) -> BlandAltman:
    """Bias, limits of agreement and proportional bias of `test` against `reference`.

    Args:
        test, reference: (n,) values of the same subjects in the same unit, n >= 3, all finite.
        level: confidence of every interval.
        coverage: share of the differences that the limits should hold.
        limits_interval: "exact" (each limit by itself: non-central t), "exact-paired" (both limits jointly),
            "mover", "approximate" (Bland and Altman 1999) or "approximate-1986" (their first, coarser form).
        scale: "raw", "percent" (of the mean of the two), "percent of reference" or "log" (needs positive values).
        regress_on: "mean" (of the two methods) or "reference".
        subject: (n,) labels. Where a subject has several pairs the analysis is one for repeated measurements, whose
            limits have MOVER intervals (Zou 2013).
        repeated: "varying" when the true value changes from pair to pair, "constant" when the pairs are replicates of
            one true value (raw or log scale; see `validation.repeated` for replicates that are not in pairs), "mixed"
            for a mixed model with bootstrap intervals over whole subjects (`resamples`, `seed`), which suits very
            unequal numbers of pairs.

    Formula: bias = mean(d), limits = bias ± z s, z the normal quantile (1.959964 for 95 %) and s with n - 1.

    Raises NotEnoughData, NotFinite, OutOfRange, ShapeMismatch.
    """
    confidence(level), confidence(coverage, "coverage")
    option(limits_interval, INTERVALS, "limits_interval"), option(repeated, REPEATED, "repeated")
    x, y = pair(test, reference, least=LEAST)
    difference, size = differences(x, y, scale=scale)
    abscissa = size if option(regress_on, ("mean", "reference"), "regress_on") == "mean" else y
    if regress_on == "reference" and scale == "log":
        abscissa = np.log(y)
    clusters = codes(subject, len(x))
    subjects = int(clusters.max()) + 1
    if subjects < len(x):
        from validation.repeated import constant, mixed_of, varying  # here: that module uses the classes of this one

        if repeated == "constant":
            if scale not in ("raw", "log"):
                raise UnknownOption("replicates of a constant true value need the raw scale or the log scale")
            found = constant(
                *((np.log(x), np.log(y)) if scale == "log" else (x, y)),
                test_subject=clusters,
                reference_subject=clusters,
                level=level,
                coverage=coverage,
                limits_interval="approximate" if limits_interval.startswith("approximate") else "mover",
                regress_on=regress_on,
            )
            return replace(found, n=len(x), scale=scale)
        if repeated == "mixed":
            arguments = {"level": level, "coverage": coverage, "resamples": resamples, "seed": seed}
            return mixed_of(difference, abscissa, clusters, scale=scale, on=regress_on, **arguments)
        return varying(difference, abscissa, clusters, level=level, coverage=coverage, scale=scale, on=regress_on)

    n, bias = len(x), float(difference.mean())
    sd = spread(difference)
    return BlandAltman(
        n=n,
        subjects=n,
        bias=mean_interval(bias, sd, n, level=level),
        sd=sd,
        p_value=p_of_mean(bias, sd, n),
        limits=limits_of_agreement(bias, sd, n, level=level, coverage=coverage, interval=limits_interval),
        proportional_bias=proportional_bias(difference, abscissa, level=level, on=regress_on),
        scale=scale,
    )


def differences(x: Floats, y: Floats, *, scale: str = "raw") -> tuple[Floats, Floats]:
    """Differences test - reference on a scale, and the size of what was measured (mean of the two), both (n,)."""
    option(scale, SCALES, "scale")
    if scale == "log":
        if (x <= 0).any() or (y <= 0).any():
            raise OutOfRange("the log scale needs positive values")
        u, v = np.log(x), np.log(y)
        # Rounding of the values themselves is passed on to their logarithms undiminished.
        return levelled(u - v, max(1.0, largest(u, v))), (u + v) / 2
    size = (x + y) / 2
    if scale == "raw":
        return levelled(x - y, largest(x, y)), size
    base = size if scale == "percent" else y
    if (base == 0).any():
        raise OutOfRange(f"the scale '{scale}' divides by zero")
    gap = 100 * (x - y) / base
    return levelled(gap, 100 * largest(x / base, y / base)), size


def largest(*columns: Floats) -> float:
    return max((float(np.abs(values).max(initial=0.0)) for values in columns), default=0.0)


def levelled(values: Floats, scale: float) -> Floats:
    """Values (n,) made all equal when they differ by no more than the rounding of numbers as large as `scale`."""
    alike = len(values) > 0 and float(values.max() - values.min()) <= 8 * EPSILON * scale
    return np.full_like(values, values.mean()) if alike else values


def spread(values: Floats) -> float:
    """Standard deviation with divisor n - 1; exactly 0 when all values are equal."""
    return 0.0 if same(values) else float(values.std(ddof=1))


def mean_interval(mean: float, sd: float, n: int, *, level: float) -> Estimate:
    """mean ± t(n - 1) sd / sqrt(n)."""
    if sd == 0:
        return Estimate(mean, None, None, level, "t", "all differences are equal")
    half = special.stdtrit(n - 1, (1 + level) / 2) * sd / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, level, "t")


def p_of_mean(mean: float, sd: float, n: int, df: float | None = None) -> float | None:
    """Two-sided p-value of a mean of zero (t test); None when all values are equal."""
    if sd == 0:
        return None
    t = mean / (sd / math.sqrt(n))
    return float(2 * special.stdtr(n - 1 if df is None else df, -abs(t)))


def limits_of_agreement(
    bias: float, sd: float, n: int, *, level: float = 0.95, coverage: float = 0.95, interval: str = "exact"
) -> Limits:
    """Limits bias ± z sd with a two-sided interval for each, from summary numbers alone.

    exact         bias ± k sd with k = t'(1 ∓ level)/2; n - 1, z sqrt(n)) / sqrt(n), t' the quantile of the
                  non-central t distribution (Carkeet 2015). It holds for one limit.
    exact-paired  k such that, with confidence `level`, both true limits lie inside their intervals at once:
                  factors of two-sided tolerance intervals (Carkeet 2015).
    mover         Zou 2013, from the intervals of the mean (normal) and of the SD (chi squared).
    approximate   limit ± t(n - 1) sd sqrt(1/n + z² / (2 (n - 1))) (Bland and Altman 1999).
    approximate-1986  limit ± t(n - 1) sd sqrt(3/n) (Bland and Altman 1986), for old figures.
    """
    option(interval, INTERVALS, "interval")
    confidence(level), confidence(coverage, "coverage")
    number(bias, "bias"), at_least(n, 2, "pairs")
    if number(sd, "sd") < 0:
        raise OutOfRange(f"sd must not be negative, and is {sd}")
    z = float(special.ndtri((1 + coverage) / 2))
    if sd == 0:
        reason = "all differences are equal"
        point = Estimate(bias, None, None, level, interval, reason)
        return Limits(point, point, interval, level, coverage)
    if interval == "exact":
        inner, outer = exact_factors(n, coverage, level)
    elif interval == "exact-paired":
        inner, outer = paired_factors(n, coverage, level)
    elif interval == "mover":
        q = float(special.ndtri((1 + level) / 2)) / math.sqrt(n)
        high = math.sqrt((n - 1) / special.chdtri(n - 1, (1 + level) / 2))
        low = math.sqrt((n - 1) / special.chdtri(n - 1, (1 - level) / 2))
        inner, outer = z - math.hypot(q, z * (1 - low)), z + math.hypot(q, z * (high - 1))
    else:
        part = 3 / n if interval == "approximate-1986" else 1 / n + z * z / (2 * (n - 1))
        half = float(special.stdtrit(n - 1, (1 + level) / 2)) * math.sqrt(part)
        inner, outer = z - half, z + half
    lower = Estimate(bias - z * sd, bias - outer * sd, bias - inner * sd, level, interval)
    upper = Estimate(bias + z * sd, bias + inner * sd, bias + outer * sd, level, interval)
    return Limits(lower, upper, interval, level, coverage)


@lru_cache(maxsize=4096)
def exact_factors(n: int, coverage: float = 0.95, level: float = 0.95) -> tuple[float, float]:
    """Multiples of the SD at which the exact interval of one limit begins and ends (non-central t, Carkeet 2015)."""
    z = float(special.ndtri((1 + coverage) / 2))
    return noncentral_t_factor(n, z, (1 - level) / 2), noncentral_t_factor(n, z, (1 + level) / 2)


@lru_cache(maxsize=16384)
def noncentral_t_factor(n: int, z: float, probability: float) -> float:
    """k with P(t' <= k sqrt(n)) = probability for t' non-central t (n - 1, z sqrt(n)): a one-sided tolerance factor."""
    return float(stats.nct.ppf(probability, n - 1, z * math.sqrt(n)) / math.sqrt(n))


@lru_cache(maxsize=4096)
def paired_factors(n: int, coverage: float = 0.95, level: float = 0.95) -> tuple[float, float]:
    """Multiples of the SD for both limits jointly: two-sided tolerance factors at (1 - level)/2 and (1 + level)/2."""
    return tolerance_factor(n, coverage, (1 - level) / 2), tolerance_factor(n, coverage, (1 + level) / 2)


@lru_cache(maxsize=1)
def legendre() -> tuple[Floats, Floats]:
    """Nodes and weights (200,) of Gauss–Legendre quadrature on (-1, 1)."""
    return np.polynomial.legendre.leggauss(200)


@lru_cache(maxsize=4096)
def tolerance_factor(n: int, coverage: float, confidence: float) -> float:
    """k such that mean ± k sd holds a share `coverage` of a normal population with this `confidence` (exact).

    P(content >= coverage) = E over u ~ |N(0, 1)| of P(chi²(n-1) >= (n-1) r(u/√n)² / k²), with r(t) the half width
    about t that holds `coverage`; integrated by 200-point Gauss–Legendre (Odeh 1978). Accurate to about 1e-12.
    """
    nodes, weights = legendre()
    top = 9.0
    u = top * (nodes + 1) / 2
    density = top * weights * np.exp(-u * u / 2) / math.sqrt(2 * math.pi)
    r2 = stats.ncx2.ppf(coverage, 1, u * u / n)
    df = n - 1

    def excess(k: float) -> float:
        return float(density @ special.chdtrc(df, df * r2 / (k * k))) - confidence

    z = float(special.ndtri((1 + coverage) / 2))
    low, high = z / 100, z * 2
    while excess(high) < 0:
        high *= 2
    return float(optimize.brentq(excess, low, high, xtol=1e-13, rtol=1e-14))


@lru_cache(maxsize=4096)
def equal_tailed_factor(n: int, coverage: float, confidence: float) -> float:
    """g such that, with this `confidence`, mean ± g sd leaves at most (1 - coverage)/2 of a normal population in each
    tail (Owen DB. Technometrics 1964;6:377-387).

    Solves E over c ~ chi²(n-1) of max(0, 2 Φ(√n (g sqrt(c/(n-1)) - z)) - 1) = confidence.
    """
    z = float(special.ndtri((1 + coverage) / 2))
    df = n - 1

    def excess(g: float) -> float:
        return chi_mean(lambda r: 2 * special.ndtr(math.sqrt(n) * (g * r - z)) - 1, df, low=z / g) - confidence

    high = 2 * z
    while excess(high) < 0:
        high *= 2
    return float(optimize.brentq(excess, z / 100, high, xtol=1e-13, rtol=1e-14))


def chi_mean(function: Callable[[Floats], Floats], df: int, *, low: float = 0.0, high: float = math.inf) -> float:
    """E[function(r); low < r < high] for r = sqrt(chi²(df) / df), by 200-point Gauss–Legendre over the bulk of r."""
    begin, end = (math.sqrt(float(special.chdtri(df, p)) / df) for p in (1 - 1e-15, 1e-15))
    begin, end = max(begin, low), min(end, high)
    if begin >= end:
        return 0.0
    nodes, weights = legendre()
    r = begin + (end - begin) * (nodes + 1) / 2
    log_density = (
        math.log(2) + df / 2 * math.log(df / 2) - special.gammaln(df / 2) + (df - 1) * np.log(r) - df * r * r / 2
    )
    return float((end - begin) / 2 * (weights * np.exp(log_density)) @ function(r))


def proportional_bias(difference: Floats, abscissa: Floats, *, level: float, on: str = "mean") -> ProportionalBias:
    """Least-squares line of `difference` on `abscissa`: slope and intercept with t intervals, p of slope 0, R²."""
    n = len(difference)
    reason = None
    if n < LEAST:
        reason = f"{n} points where at least {LEAST} are needed for a line"
    elif same(abscissa):
        reason = f"the {on} is the same in all pairs, so no slope can be told"
    if reason is not None:
        empty = Estimate.missing(reason, level=level, method="least squares")
        return ProportionalBias(empty, empty, None, None, None, on)
    centre = float(abscissa.mean())
    u, v = abscissa - centre, difference - difference.mean()
    sxx, sxy, syy = float(u @ u), float(u @ v), float(v @ v)
    slope = sxy / sxx
    intercept = float(difference.mean()) - slope * centre
    residual = v - slope * u
    rss = float(residual @ residual)
    if same(difference):
        point = "all differences are equal"
        return ProportionalBias(
            Estimate(0.0, None, None, level, "least squares", point),
            Estimate(float(difference[0]), None, None, level, "least squares", point),
            None,
            None,
            0.0,
            on,
        )
    s = math.sqrt(rss / (n - 2))
    t = float(special.stdtrit(n - 2, (1 + level) / 2))
    se_slope, se_intercept = s / math.sqrt(sxx), s * math.sqrt(1 / n + centre**2 / sxx)
    p = float(2 * special.stdtr(n - 2, -abs(slope / se_slope))) if se_slope > 0 else 0.0
    return ProportionalBias(
        Estimate(slope, slope - t * se_slope, slope + t * se_slope, level, "least squares"),
        Estimate(intercept, intercept - t * se_intercept, intercept + t * se_intercept, level, "least squares"),
        p,
        1 - rss / syy,
        s,
        on,
    )


@dataclass(frozen=True)
class JointTest(Result):
    """An F test with its degrees of freedom."""

    statistic: float
    df1: int
    df2: int
    p_value: float


def bradley_blackwood(test: ArrayLike, reference: ArrayLike) -> JointTest:
    """Test of equal means and equal variances of test and reference at once, (n,) each, n >= 3.

    With the differences d regressed on the means of the two: F = ((Σ d² - RSS) / 2) / (RSS / (n - 2)) with 2 and
    n - 2 degrees of freedom (Bradley EL, Blackwood LG. Am Stat 1989;43:234-235). A small p says that bias or spread
    differ; a large one is no proof of agreement. Raises Degenerate when the means are all equal or lie on a line
    with the differences.
    """
    x, y = pair(test, reference, least=LEAST)
    d, size = differences(x, y)
    line = proportional_bias(d, size, level=0.95)
    if line.residual_sd is None or line.residual_sd <= 1e-13 * float(np.abs(d).max()):
        raise Degenerate("the differences follow from the means without error, or the means are all equal")
    n = len(d)
    residual = line.residual_sd**2
    statistic = (float(d @ d) - residual * (n - 2)) / 2 / residual
    return JointTest(statistic, 2, n - 2, float(special.fdtrc(2, n - 2, max(statistic, 0.0))))


def empty_agreement(n: int, reason: str, *, level: float, interval: str) -> dict[str, Any]:
    """The keys of a Bland–Altman analysis that could not be made, every one with its reason."""
    nothing = attempt(lambda: Estimate.missing(reason, level=level)).to_dict()
    return {
        "n": n,
        "bias": nothing,
        "sd": None,
        "p_value": None,
        "limits": {"lower": nothing, "upper": nothing, "interval": interval, "level": level},
        "proportional_bias": {"slope": nothing, "intercept": nothing, "p_value": None, "r_squared": None},
    }
