"""Other limits for differences: by quantiles, tolerance and prediction limits, limits that follow the size, and
indices of the share of small differences (TDI, coverage probability); and advice on which to choose.

Sources: Bland JM, Altman DG. Stat Methods Med Res 1999;8:135-160 (sections 3.2 and 4); Howe WG. J Am Stat Assoc
1969;64:610-620; Odeh RE. Commun Stat 1978;B7:183-201; Lin L et al. J Am Stat Assoc 2002;97:257-270 (TDI, CP);
Breusch TS, Pagan AR. Econometrica 1979;47:1287-1294; Koenker R. J Econom 1981;17:107-112.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from validation.agreement import (
    LEAST,
    Limits,
    ProportionalBias,
    differences,
    equal_tailed_factor,
    proportional_bias,
    spread,
    tolerance_factor,
)
from validation.errors import Degenerate, NotEnoughData, OutOfRange, UnknownOption
from validation.pairs import Floats, codes, confidence, option, pair, same
from validation.proportions import wilson
from validation.repeated import Components, grouped, mover_limits, paired_components, replicate_components
from validation.resampling import (
    bca,
    bootstrap_clustered_quantile,
    bootstrap_quantile,
    generator,
    quantile_interval,
)
from validation.results import Estimate, Result, exponential, number


def nonparametric_limits(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    coverage: float = 0.95,
    scale: str = "raw",
    quantile: int = 8,
    subject: ArrayLike | None = None,
    interval: str = "bootstrap",
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
) -> Limits:
    """Limits of agreement as quantiles of the differences, with BCa intervals: no distribution is assumed.

    `quantile` is the type of Hyndman and Fan: 6, 7, or 8 (median-unbiased, the default). Below about 100 pairs the
    outer quantiles are the outermost values, and their intervals cannot reach beyond the data: they are then too
    short. `interval` "order-statistics" (one pair a subject) is exact without any distribution instead, and refuses
    below 146 pairs (at 95 %). Raises as `bland_altman`.
    """
    confidence(level), confidence(coverage, "coverage")
    x, y = pair(test, reference, least=LEAST)
    difference, _ = differences(x, y, scale=scale)
    clusters = codes(subject, len(x))
    option(interval, ("bootstrap", "order-statistics"), "interval")
    shares = ((1 - coverage) / 2, (1 + coverage) / 2)
    if interval == "order-statistics":
        if int(clusters.max()) + 1 < len(x):
            raise UnknownOption("order statistics need one pair a subject: ask for the bootstrap")
        ends = [quantile_interval(difference, share, level=level, kind=quantile) for share in shares]
        return Limits(*ends, interval, level, coverage)
    found = []
    for share in shares:
        rng = generator(seed, "limits", f"{share:.12f}")
        if int(clusters.max()) + 1 == len(x):
            drawn = bootstrap_quantile(difference, share, resamples=resamples, rng=rng, kind=quantile)
        else:
            drawn = bootstrap_clustered_quantile(difference, clusters, share, resamples=resamples, rng=rng)
        found.append(bca(drawn, level=level))
    return Limits(found[0], found[1], "bootstrap", level, coverage)


@dataclass(frozen=True)
class Range(Result):
    """A range of differences: `lower` to `upper`, made with `factor` standard deviations; `kind` says what it holds."""

    lower: float
    upper: float
    factor: float
    kind: str
    coverage: float
    level: float | None = None

    def ratios(self) -> Range:
        """A range of the log scale as ratios test / reference."""
        upper = exponential(self.upper)
        if math.isinf(upper):
            raise OutOfRange("the ratios leave double precision")
        return replace(self, lower=exponential(self.lower), upper=upper)


TOLERANCE = ("two-sided", "equal-tailed", "howe")


def tolerance_limits(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    coverage: float = 0.95,
    level: float = 0.95,
    kind: str = "two-sided",
    scale: str = "raw",
    subject: ArrayLike | None = None,
    repeated: str = "varying",
) -> Range:
    """Range that holds, with confidence `level`, a share `coverage` of all differences (normal).

    two-sided: at least `coverage` between the limits (exact factor, by quadrature). equal-tailed: not more than
    (1 - coverage) / 2 beyond either of them (Owen's exact factor). howe: Howe's approximation to two-sided,
    k = z sqrt(1 + 1/n) sqrt((n - 1) / χ²(1 - level; n - 1)) sqrt(1 + (n - 3 - χ²) / (2 (n + 1)²)).

    subject: (n,) labels; where a subject has several pairs, the range is for a single pair of a new subject. With the
    variance components of `bland_altman` (`repeated` "varying" or "constant"), two-sided is
    bias ± z sqrt(V) sqrt(df / χ²(1 - level; df)), V the variance of a difference and that of the bias, df
    Satterthwaite's degrees of freedom of V (after Francq BG, Berger M, Boachie C. Stat Med 2020;39:4334-4349);
    equal-tailed takes the outer ends of the limits' MOVER intervals, which is a little too wide.

    On the log scale the range is in logarithms, see `Range.ratios`. Raises as `bland_altman`.
    """
    confidence(level), confidence(coverage, "coverage")
    option(kind, TOLERANCE, "kind")
    found = _summary(test, reference, scale, subject, repeated)
    z = float(special.ndtri((1 + coverage) / 2))
    if isinstance(found, Components):
        if kind == "equal-tailed":
            limits = mover_limits(found.bias, found.se, found.parts, level=level, coverage=coverage)
            return _range(found, float(limits.upper.high or found.bias) - found.bias, kind, coverage, level)
        sd, df = found.prediction()
        return _range(found, z * sd * _chi_factor(df, level) if sd > 0 else 0.0, kind, coverage, level)
    mean, sd, n = found
    if kind == "two-sided":
        k = tolerance_factor(n, coverage, level)
    elif kind == "equal-tailed":
        k = equal_tailed_factor(n, coverage, level)
    else:
        chi = float(special.chdtri(n - 1, level))
        k = z * math.sqrt(1 + 1 / n) * _chi_factor(n - 1, level) * math.sqrt(1 + (n - 3 - chi) / (2 * (n + 1) ** 2))
    return Range(mean - k * sd, mean + k * sd, k, f"{kind} tolerance", coverage, level)


def prediction_interval(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    coverage: float = 0.95,
    scale: str = "raw",
    subject: ArrayLike | None = None,
    repeated: str = "varying",
) -> Range:
    """Range in which the next difference falls with probability `coverage`: mean ± t(n-1) s sqrt(1 + 1/n).

    With several pairs a subject: of a single pair of a new subject, bias ± t(df) sqrt(V), as in `tolerance_limits`.
    """
    confidence(coverage, "coverage")
    found = _summary(test, reference, scale, subject, repeated)
    if isinstance(found, Components):
        sd, df = found.prediction()
        half = float(special.stdtrit(df, (1 + coverage) / 2)) * sd if sd > 0 else 0.0
        return _range(found, half, "prediction", coverage, None)
    mean, sd, n = found
    k = float(special.stdtrit(n - 1, (1 + coverage) / 2)) * math.sqrt(1 + 1 / n)
    return Range(mean - k * sd, mean + k * sd, k, "prediction", coverage)


def _summary(
    test: ArrayLike, reference: ArrayLike, scale: str, subject: ArrayLike | None, repeated: str
) -> tuple[float, float, int] | Components:
    """Mean, SD and number of the differences; their variance components where subjects have several pairs."""
    x, y = pair(test, reference, least=LEAST)
    option(repeated, ("varying", "constant"), "repeated")
    difference, _ = differences(x, y, scale=scale)
    clusters = codes(subject, len(x))
    if int(clusters.max()) + 1 == len(x):
        return float(difference.mean()), spread(difference), len(difference)
    if repeated == "varying":
        return paired_components(difference, clusters)[0]
    if scale not in ("raw", "log"):
        raise UnknownOption("replicates of a constant true value need the raw scale or the log scale")
    gx, gy = (grouped(np.log(v) if scale == "log" else v, clusters) for v in (x, y))
    if gx.subjects < LEAST:
        raise NotEnoughData(f"{gx.subjects} subjects where at least {LEAST} are needed")
    return replicate_components(gx, gy)


def _chi_factor(df: float, level: float) -> float:
    """Upper one-sided limit of an SD over the SD."""
    return math.sqrt(df / float(special.chdtri(df, level)))


def _range(found: Components, half: float, kind: str, coverage: float, level: float | None) -> Range:
    name = kind if kind == "prediction" else f"{kind} tolerance"
    factor = half / found.sd if found.sd > 0 else 0.0
    return Range(found.bias - half, found.bias + half, factor, f"{name}, repeated pairs", coverage, level)


@dataclass(frozen=True)
class RegressionLimits(Result):
    """Bias and limits that change with the size A of what is measured.

    bias(A) = line.intercept + line.slope A; SD(A) = sqrt(π/2) (spread_intercept + spread_slope A).
    `p_spread` tests a spread that does not change (slope of the absolute residuals); `breusch_pagan_p` is Koenker's
    studentised form of the same question.
    """

    line: ProportionalBias
    spread_slope: Estimate
    spread_intercept: Estimate
    p_spread: float | None
    breusch_pagan_p: float | None
    coverage: float

    def formula(self) -> str:
        """The limits as a formula of the size A, with four significant digits."""
        times = float(special.ndtri((1 + self.coverage) / 2)) * math.sqrt(math.pi / 2)
        ends = [(self.line.intercept, self.line.slope, 1.0), (self.spread_intercept, self.spread_slope, times)]
        bias, half = (
            f"{float(a) * k:.4g} {'-' if float(b) < 0 else '+'} {abs(float(b)) * k:.4g} A" for a, b, k in ends
        )
        return f"{bias} ± ({half})"

    def at(self, sizes: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Bias, lower and upper limit at these sizes; NaN where the fitted SD is negative (beyond the data)."""
        a = np.asarray(sizes, dtype=float)
        bias = float(self.line.intercept) + float(self.line.slope) * a
        sd = math.sqrt(math.pi / 2) * (float(self.spread_intercept) + float(self.spread_slope) * a)
        half = float(special.ndtri((1 + self.coverage) / 2)) * np.where(sd >= 0, sd, np.nan)
        return bias, bias - half, bias + half


def regression_limits(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    regress_on: str = "mean",
    scale: str = "raw",
    coverage: float = 0.95,
    level: float = 0.95,
) -> RegressionLimits:
    """Limits of agreement by regression (Bland and Altman 1999, section 3.2).

    The differences are regressed on the mean of the two methods (or on the reference), then the absolute residuals;
    absolute residuals of a normal variable average sqrt(2/π) SD, so the limits are
    b0 + b1 A ± z sqrt(π/2) (c0 + c1 A), i.e. ± 2.46 for 95 %. On the log scale A is the mean of the logarithms.
    Raises Degenerate when all sizes are equal.
    """
    confidence(level), confidence(coverage, "coverage")
    x, y = pair(test, reference, least=LEAST)
    difference, size = differences(x, y, scale=scale)
    if option(regress_on, ("mean", "reference"), "regress_on") == "reference":
        size = np.log(y) if scale == "log" else y
    if same(size):
        raise Degenerate(f"the {regress_on} is the same in all pairs")
    return _regression(difference, size, level=level, coverage=coverage, on=regress_on)


def _regression(difference: Floats, size: Floats, *, level: float, coverage: float, on: str) -> RegressionLimits:
    line = proportional_bias(difference, size, level=level, on=on)
    residual = difference - float(line.intercept) - float(line.slope) * size
    if float(np.abs(residual).max()) <= 1e-13 * float(np.abs(difference).max()):
        residual = np.zeros_like(residual)
    spread_line = proportional_bias(np.abs(residual), size, level=level, on=on)
    squared = proportional_bias(residual**2, size, level=level, on=on)
    p = None if squared.r_squared is None else float(special.chdtrc(1, len(size) * squared.r_squared))
    return RegressionLimits(line, spread_line.slope, spread_line.intercept, spread_line.p_value, p, coverage)


def total_deviation_index(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    coverage: float = 0.9,
    method: str = "normal",
    scale: str = "raw",
    interval: str = "bootstrap",
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
) -> Estimate:
    """The absolute difference within which a share `coverage` of the differences lies.

    normal: the root of Φ((k - bias)/s) - Φ((-k - bias)/s) = coverage, s with divisor n - 1, with the interval of
        "lin" moved by their ratio. lin: z sqrt(Σ d² / (n - 1)), interval on the log of the mean squared deviation with
        variance 2 / (n - 2) (1 - bias⁴ / MSD²) (Lin 2002). nonparametric: the quantile of |d|; `interval`
        "bootstrap" (BCa) or "order-statistics" (exact; needs 36 pairs for a share of 0.9 at 95 %).
    Intervals are two-sided; Lin's one-sided upper limit at 95 % is the upper end at level 0.90. On the log scale the
    index is a logarithm: `.map(math.exp)` gives the factor by which test and reference differ at most.
    """
    confidence(level), confidence(coverage, "coverage")
    option(method, ("normal", "lin", "nonparametric"), "method")
    option(interval, ("bootstrap", "order-statistics"), "interval")
    x, y = pair(test, reference, least=LEAST)
    d, _ = differences(x, y, scale=scale)
    if method == "nonparametric" and interval == "order-statistics":
        return quantile_interval(np.abs(d), coverage, level=level, kind=8)
    if method == "nonparametric":
        rng = generator(seed, "tdi")
        return bca(bootstrap_quantile(np.abs(d), coverage, resamples=resamples, rng=rng, kind=8), level=level)
    n, mean, sd = len(d), float(d.mean()), spread(d)
    msd = float(d @ d) / (n - 1)
    if sd == 0:
        return Estimate(abs(mean), None, None, level, method, "all differences are equal")
    lin = float(special.ndtri((1 + coverage) / 2)) * math.sqrt(msd)
    variance = 2 / (n - 2) * (1 - mean**4 / msd**2)
    half = float(special.ndtri((1 + level) / 2)) * math.sqrt(variance) / 2
    low, high = math.exp(-half), math.exp(half)
    point = lin
    if method == "normal":

        def missing(k: float) -> float:
            return float(special.ndtr((k - mean) / sd) - special.ndtr((-k - mean) / sd)) - coverage

        point = float(optimize.brentq(missing, 0.0, abs(mean) + 40 * sd, xtol=1e-13 * sd, rtol=1e-14))
    return Estimate(point, point * low, point * high, level, f"{method}, log MSD")


def coverage_probability(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    within: float,
    method: str = "normal",
    scale: str = "raw",
    level: float = 0.95,
) -> Estimate:
    """Share (0 to 1) of differences within ±`within`, which is in the unit of `scale` (a logarithm on the log scale).

    normal: Φ((k - bias)/s) - Φ((-k - bias)/s), s with divisor n - 1. lin: the same with divisor n - 3 (Lin 2002).
    Both with the interval on the logit, variance by the delta method over bias and s with n - 3. empirical: the share
    observed, Wilson's interval.
    """
    confidence(level)
    option(method, ("normal", "lin", "empirical"), "method")
    if not within > 0:
        raise OutOfRange(f"within must be positive, and is {within}")
    x, y = pair(test, reference, least=LEAST)
    d, _ = differences(x, y, scale=scale)
    n, mean, sd = len(d), float(d.mean()), spread(d)
    if method == "empirical":
        return wilson(float((np.abs(d) <= within).sum()), n, level=level)
    if sd == 0:
        return Estimate(float(abs(mean) <= within), None, None, level, method, "all differences are equal")
    if n < 4:
        raise NotEnoughData(f"{n} pairs where at least 4 are needed")

    def share(s: float) -> tuple[float, float]:
        up, down = (within - mean) / s, (within + mean) / s
        density = [math.exp(-v * v / 2) / math.sqrt(2 * math.pi) for v in (up, down)]
        p = float(special.ndtr(up) - special.ndtr(-down))
        noise = ((density[0] - density[1]) ** 2 + (up * density[0] + down * density[1]) ** 2 / 2) / (n - 3)
        return p, noise

    s = sd * math.sqrt((n - 1) / (n - 3)) if method == "lin" else sd
    p, noise = share(s)
    if not 0 < p < 1:
        return Estimate(p, None, None, level, method, "the share is 0 or 1 to double precision")
    half = float(special.ndtri((1 + level) / 2)) * math.sqrt(noise) / (p * (1 - p))
    centre = float(special.logit(p))
    return Estimate(
        p, float(special.expit(centre - half)), float(special.expit(centre + half)), level, f"{method}, logit"
    )


@dataclass(frozen=True)
class Diagnostics(Result):
    """What speaks for or against plain limits of agreement. `advice` are sentences; nothing is changed silently."""

    n: int
    shapiro_p: float | None
    skewness: float | None
    excess_kurtosis: float | None
    proportional_p: float | None
    spread_p: float | None
    outliers: list[int]
    advice: list[str]

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  - {sentence}" for sentence in self.advice)])


def diagnose(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    alpha: float = 0.05,
    scale: str = "raw",
    subject: ArrayLike | None = None,
) -> Diagnostics:
    """Check differences for normality (Shapiro–Wilk), trend, changing spread and outliers, and advise.

    Outliers: generalised extreme studentised deviates at `alpha` (Rosner B. Technometrics 1983;25:165-172), up to a
    tenth of the pairs; given as row numbers from 0. Above 5,000 pairs Shapiro and Wilk's p is not computed. With
    `subject` (n,) the subjects' means are looked at, and row numbers count subjects in order of first appearance.
    """
    confidence(alpha, "alpha")
    x, y = pair(test, reference, least=LEAST)
    d, size = differences(x, y, scale=scale)
    clusters = codes(subject, len(x))
    if int(clusters.max()) + 1 < len(x):
        counts = np.bincount(clusters)
        d, size, x, y = (np.bincount(clusters, values) / counts for values in (d, size, x, y))
        if len(d) < LEAST:
            raise NotEnoughData(f"{len(d)} subjects where at least {LEAST} are needed")
    if same(d):
        return Diagnostics(len(d), None, None, None, None, None, [], ["All differences are equal."])
    shapiro = float(stats.shapiro(d).pvalue) if len(d) <= 5000 else None
    skew, kurtosis = float(stats.skew(d)), float(stats.kurtosis(d))
    advice = []
    trend = spread_p = limits = None
    if not same(size):
        limits = _regression(d, size, level=0.95, coverage=0.95, on="mean")
        trend, spread_p = limits.line.p_value, limits.p_spread
    out = outliers(d, alpha=alpha)
    if shapiro is not None and shapiro < alpha:
        advice.append(
            "The differences are not normal: read the limits beside non-parametric ones, and expect exact intervals of "
            "the limits to miss their level."
        )
    if trend is not None and trend < alpha:
        advice.append("The difference changes with size: report the slope, and limits by regression.")
    if spread_p is not None and spread_p < alpha:
        if scale == "raw" and (x > 0).all() and (y > 0).all():
            advice.append("The spread changes with size: consider the log or percent scale, or limits by regression.")
        else:
            advice.append("The spread changes with size: consider limits by regression.")
    if limits is not None and scale != "log" and min(trend or 1, spread_p or 1) < alpha:
        advice.append(f"Limits by regression: {limits.formula()}, with A the mean of test and reference.")
    if out:
        many = f"{len(out)} outlying difference{'s' if len(out) > 1 else ''}"
        advice.append(f"{many}: check the records; do not drop them to narrow the limits.")
    if not advice:
        advice.append("Nothing speaks against plain limits of agreement.")
    return Diagnostics(len(d), number(shapiro), number(skew), number(kurtosis), trend, spread_p, out, advice)


def outliers(values: Floats, *, alpha: float = 0.05) -> list[int]:
    """Rows of outliers by the generalised extreme studentised deviate test, at most a tenth of the values.

    The most deviating value is the smallest or the largest of those left, so one pass over the sorted values with
    running sums does: O(n log n).
    """
    n = len(values)
    most = min(n // 10, n - 3)
    order = np.argsort(values, kind="stable")
    centred = values[order] - values.mean()
    floor = 1e-13 * float(centred @ centred)
    first, last = 0, n - 1
    total, squares = float(centred.sum()), float(centred @ centred)
    taken: list[int] = []
    count = 0
    for i in range(1, most + 1):
        m = last - first + 1
        mean = total / m
        about = squares - m * mean * mean
        if about <= floor:
            break
        below, above = mean - centred[first], centred[last] - mean
        place = first if below >= above else last
        deviate = max(below, above) / math.sqrt(about / (m - 1))
        t = float(special.stdtrit(n - i - 1, 1 - alpha / (2 * (n - i + 1))))
        taken.append(int(order[place]))
        if deviate > (n - i) * t / math.sqrt((n - i - 1 + t * t) * (n - i + 1)):
            count = i
        total, squares = total - centred[place], squares - centred[place] ** 2
        first, last = (first + 1, last) if place == first else (first, last - 1)
    return sorted(taken[:count])
