"""Limits of agreement when a subject was measured several times.

Sources: Bland JM, Altman DG. J Biopharm Stat 2007;17:571-582; Zou GY. Stat Methods Med Res 2013;22:630-642.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from validation.agreement import (
    LEAST,
    BlandAltman,
    Limits,
    differences,
    mean_interval,
    p_of_mean,
    proportional_bias,
)
from validation.errors import NotEnoughData, ShapeMismatch
from validation.pairs import Floats, codes, column, confidence, option, pair
from validation.resampling import bca, bootstrap_sums, generator
from validation.results import Estimate


@dataclass(frozen=True)
class Groups:
    """Sums of squares of values grouped by subject. `counts`, `means` are (subjects,)."""

    counts: Floats
    means: Floats
    within: float
    within_df: int

    @property
    def subjects(self) -> int:
        return len(self.counts)

    @property
    def harmonic(self) -> float:
        """Harmonic mean of the numbers of values a subject."""
        return self.subjects / float((1 / self.counts).sum())


def grouped(values: Floats, clusters: NDArray[np.intp]) -> Groups:
    """Means by subject and the pooled variance within subjects (0 degrees of freedom: variance 0)."""
    counts = np.bincount(clusters).astype(float)
    means = np.bincount(clusters, values) / counts
    residual = values - means[clusters]
    df = len(values) - len(counts)
    return Groups(counts, means, float(residual @ residual) / df if df else 0.0, df)


@dataclass(frozen=True)
class Components:
    """Variance of a single difference as a sum of independent mean squares.

    `parts` are (mean square, degrees of freedom, weight), the first of which is the variance S² of the subjects' mean
    differences.
    """

    bias: float
    subjects: int
    parts: list[tuple[float, int, float]]

    @property
    def sd(self) -> float:
        return math.sqrt(sum(weight * variance for variance, _, weight in self.parts))

    @property
    def sd_mean(self) -> float:
        """SD of the subjects' mean differences."""
        return math.sqrt(self.parts[0][0])

    @property
    def se(self) -> float:
        """Standard error of the bias."""
        return self.sd_mean / math.sqrt(self.subjects)

    def prediction(self) -> tuple[float, float]:
        """SD of a new difference about the estimated bias, and Satterthwaite's degrees of freedom of its square."""
        weights = [(v, df, w + (1 / self.subjects if i == 0 else 0)) for i, (v, df, w) in enumerate(self.parts)]
        total = sum(w * v for v, _, w in weights)
        noise = sum((w * v) ** 2 / df for v, df, w in weights if df > 0)
        return math.sqrt(total), total**2 / noise if noise > 0 else math.inf


def paired_components(difference: Floats, clusters: NDArray[np.intp]) -> tuple[Components, Groups]:
    """Of pairs whose true value varies: S² + (1 - 1/m_h) s_w² (Zou 2013)."""
    groups = grouped(difference, clusters)
    if groups.subjects < LEAST:
        raise NotEnoughData(f"{groups.subjects} subjects where at least {LEAST} are needed")
    between = float(groups.means.var(ddof=1))
    parts = [(between, groups.subjects - 1, 1.0), (groups.within, groups.within_df, 1 - 1 / groups.harmonic)]
    return Components(float(groups.means.mean()), groups.subjects, parts), groups


def replicate_components(gx: Groups, gy: Groups) -> Components:
    """Of replicates of a constant true value: S² + (1 - 1/m_x) s_x² + (1 - 1/m_y) s_y² (Bland and Altman 1999)."""
    difference = gx.means - gy.means
    parts = [
        (float(difference.var(ddof=1)), gx.subjects - 1, 1.0),
        (gx.within, gx.within_df, 1 - 1 / gx.harmonic),
        (gy.within, gy.within_df, 1 - 1 / gy.harmonic),
    ]
    return Components(float(difference.mean()), gx.subjects, parts)


def varying(
    difference: Floats,
    abscissa: Floats,
    clusters: NDArray[np.intp],
    *,
    level: float = 0.95,
    coverage: float = 0.95,
    scale: str = "raw",
    on: str = "mean",
) -> BlandAltman:
    """Limits for pairs repeated within subjects whose true value varies from pair to pair.

    With mean differences d_i of N subjects of m_i pairs, S² their variance, s_w² the pooled variance of differences
    within subjects and m_h the harmonic mean of m_i, the variance of one difference is
    S² + (1 - 1/m_h) s_w², the bias is the mean of the d_i (t interval with N - 1), and the interval of a limit is
    MOVER's. The line of proportional bias is that of the subjects' means.
    """
    found, groups = paired_components(difference, clusters)
    sizes = np.bincount(clusters, abscissa) / groups.counts
    return BlandAltman(
        n=len(difference),
        subjects=found.subjects,
        bias=mean_interval(found.bias, found.sd_mean, found.subjects, level=level),
        sd=found.sd,
        p_value=p_of_mean(found.bias, found.sd_mean, found.subjects),
        limits=mover_limits(found.bias, found.se, found.parts, level=level, coverage=coverage),
        proportional_bias=proportional_bias(groups.means, sizes, level=level, on=on),
        scale=scale,
    )


def mover_limits(
    bias: float, se: float, parts: list[tuple[float, int, float]], *, level: float, coverage: float
) -> Limits:
    """Limits bias ± z sqrt(sum of weight variance) with MOVER intervals (Zou 2013).

    `parts` are (variance, degrees of freedom, weight); the interval of each variance is the chi-squared one, and the
    intervals are combined as sums of independent parts. `se` is the standard error of the bias.
    """
    z = float(special.ndtri((1 + coverage) / 2))
    q = float(special.ndtri((1 + level) / 2))
    total = sum(weight * variance for variance, _, weight in parts)
    if total == 0:
        point = Estimate(bias, None, None, level, "mover", "all differences are equal")
        return Limits(point, point, "mover", level, coverage)
    above = below = 0.0
    for variance, df, weight in parts:
        if variance > 0 and weight > 0:
            above += (weight * variance * (df / special.chdtri(df, (1 + level) / 2) - 1)) ** 2
            below += (weight * variance * (1 - df / special.chdtri(df, (1 - level) / 2))) ** 2
    sd = math.sqrt(total)
    sd_high = math.sqrt(total + math.sqrt(above))
    sd_low = math.sqrt(max(total - math.sqrt(below), 0.0))
    outer = math.hypot(q * se, z * (sd_high - sd))
    inner = math.hypot(q * se, z * (sd - sd_low))
    lower, upper = bias - z * sd, bias + z * sd
    return Limits(
        Estimate(lower, lower - outer, lower + inner, level, "mover"),
        Estimate(upper, upper - inner, upper + outer, level, "mover"),
        "mover",
        level,
        coverage,
    )


def constant(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    test_subject: ArrayLike,
    reference_subject: ArrayLike,
    level: float = 0.95,
    coverage: float = 0.95,
    limits_interval: str = "mover",
    regress_on: str = "mean",
) -> BlandAltman:
    """Limits for replicates of a true value that is constant within the subject, in no pairs.

    Args:
        test, reference: (n,) and (m,) values with their subjects' labels; every subject has one of each at least.
        limits_interval: "mover" (Zou 2013) or "approximate" (normal, by the delta method).
        regress_on: "mean" or "reference", of the line of proportional bias through the subjects' means.

    With S² the variance of the differences of the subjects' means and s_x², s_y² the variances within subjects,
    the variance of the difference of two single values is S² + (1 - 1/m_x) s_x² + (1 - 1/m_y) s_y², with m_x, m_y the
    harmonic means of the numbers of replicates (Bland and Altman 1999 section 5.1, 2007; Zou 2013). `n` counts values.
    Raises NotEnoughData, ShapeMismatch (a subject lacks one of the methods).
    """
    confidence(level), confidence(coverage, "coverage")
    option(limits_interval, ("mover", "approximate"), "limits_interval")
    x, y = column(test, "test", least=1), column(reference, "reference", least=1)
    both = np.concatenate([_labels(test_subject, len(x)), _labels(reference_subject, len(y))])
    clusters = codes(both, len(both), "subject")
    of_x, of_y = clusters[: len(x)], clusters[len(x) :]
    subjects = int(clusters.max()) + 1
    if len(np.unique(of_x)) < subjects or len(np.unique(of_y)) < subjects:
        raise ShapeMismatch("every subject needs values of the test and of the reference")
    if subjects < LEAST:
        raise NotEnoughData(f"{subjects} subjects where at least {LEAST} are needed")
    gx, gy = grouped(x, of_x), grouped(y, of_y)
    found = replicate_components(gx, gy)
    make = mover_limits if limits_interval == "mover" else delta_limits
    sizes = (gx.means + gy.means) / 2 if option(regress_on, ("mean", "reference"), "regress_on") == "mean" else gy.means
    return BlandAltman(
        n=len(x) + len(y),
        subjects=subjects,
        bias=mean_interval(found.bias, found.sd_mean, subjects, level=level),
        sd=found.sd,
        p_value=p_of_mean(found.bias, found.sd_mean, subjects),
        limits=make(found.bias, found.se, found.parts, level=level, coverage=coverage),
        proportional_bias=proportional_bias(gx.means - gy.means, sizes, level=level, on=regress_on),
    )


def _labels(subject: ArrayLike, size: int) -> NDArray[np.str_]:
    labels = np.asarray(subject)
    if labels.shape != (size,):
        raise ShapeMismatch(f"subject has shape {labels.shape} where {size} labels are needed")
    return np.asarray([str(label) for label in labels])


def delta_limits(
    bias: float, se: float, parts: list[tuple[float, int, float]], *, level: float, coverage: float
) -> Limits:
    """Limits with normal intervals by the delta method: var = se² + z² / (2 s²) Σ (weight variance)² / df."""
    z = float(special.ndtri((1 + coverage) / 2))
    total = sum(weight * variance for variance, _, weight in parts)
    if total == 0:
        point = Estimate(bias, None, None, level, "approximate", "all differences are equal")
        return Limits(point, point, "approximate", level, coverage)
    noise = sum((weight * variance) ** 2 / df for variance, df, weight in parts if df > 0)
    half = float(special.ndtri((1 + level) / 2)) * math.sqrt(se**2 + z**2 / (2 * total) * noise)
    sd = math.sqrt(total)
    lower, upper = bias - z * sd, bias + z * sd
    return Limits(
        Estimate(lower, lower - half, lower + half, level, "approximate"),
        Estimate(upper, upper - half, upper + half, level, "approximate"),
        "approximate",
        level,
        coverage,
    )


def mixed(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    subject: ArrayLike,
    level: float = 0.95,
    coverage: float = 0.95,
    scale: str = "raw",
    resamples: int = 2000,
    seed: int = 1,
) -> BlandAltman:
    """Limits from the mixed model d_ij = bias + subject_i + error_ij, fitted by REML, for unequal numbers of pairs.

    The bias is the generalised least-squares mean; the variance of a difference is that between subjects plus that
    within. All intervals are BCa over subjects drawn whole, the model refitted to each resample, so nothing rests
    on normality but the multiplier z. With equal numbers of pairs the point estimates are those of `varying`, unless
    the variance between subjects would be negative, which the model puts to zero.
    """
    confidence(level), confidence(coverage, "coverage")
    x, y = pair(test, reference, least=LEAST)
    difference, size = differences(x, y, scale=scale)
    arguments = {"level": level, "coverage": coverage, "resamples": resamples, "seed": seed}
    return mixed_of(difference, size, codes(subject, len(x)), scale=scale, **arguments)


def mixed_of(
    difference: Floats,
    abscissa: Floats,
    clusters: NDArray[np.intp],
    *,
    level: float,
    coverage: float,
    resamples: int,
    seed: int,
    scale: str = "raw",
    on: str = "mean",
) -> BlandAltman:
    """`mixed` of differences and sizes (n,)."""
    groups = grouped(difference, clusters)
    if groups.subjects < LEAST or groups.within_df < 1:
        raise NotEnoughData("a mixed model needs 3 subjects and a subject with two pairs")
    centre = float(groups.means.mean())
    within = np.bincount(clusters, (difference - groups.means[clusters]) ** 2)
    m = groups.counts
    kinds, kind = np.unique(m, return_inverse=True)
    deviation = groups.means - centre
    member = (kind[:, None] == np.arange(len(kinds))).astype(float)
    # Sums for each number of pairs a subject: subjects, means, squared means; and the sum of squares within.
    sums = np.hstack([member, member * deviation[:, None], member * (deviation**2)[:, None], within[:, None]])

    def fit(totals: Floats) -> tuple[Floats, Floats]:
        return _reml(np.atleast_2d(totals), kinds)

    z = float(special.ndtri((1 + coverage) / 2))
    shapes: dict[str, float] = {"bias": 0.0, "lower": -z, "upper": z}

    def measure(times: float):
        def value(totals: Floats) -> Floats:
            mean, sd = fit(totals)
            return (centre + mean + times * sd).reshape(np.shape(totals)[:-1])

        return value

    drawn = bootstrap_sums(
        sums,
        {name: measure(times) for name, times in shapes.items()},
        resamples=resamples,
        rng=generator(seed, "mixed"),
    )
    estimates = {name: bca(item, level=level) for name, item in drawn.items()}
    _, sd = fit(sums.sum(axis=0))
    sizes = np.bincount(clusters, abscissa) / m
    return BlandAltman(
        n=len(difference),
        subjects=groups.subjects,
        bias=estimates["bias"],
        sd=float(sd[0]),
        p_value=p_of_mean(float(groups.means.mean()), float(groups.means.std(ddof=1)), groups.subjects),
        limits=Limits(estimates["lower"], estimates["upper"], "bootstrap", level, coverage),
        proportional_bias=proportional_bias(groups.means, sizes, level=level, on=on),
        scale=scale,
    )


def _reml(totals: Floats, kinds: Floats) -> tuple[Floats, Floats]:
    """Mean and total SD of the random-intercept model for each row of sums, by REML.

    The ratio λ of the variance between to that within maximises the restricted likelihood; a golden-section search on
    log λ, all rows at once. Per number of pairs m: subjects, sums of means and of squared means; then the sum of
    squares within.
    """
    k = len(kinds)
    counts, first, second, within = totals[:, :k], totals[:, k : 2 * k], totals[:, 2 * k : 3 * k], totals[:, -1]
    n = counts @ kinds

    def at(log_ratio: Floats) -> tuple[Floats, Floats, Floats]:
        ratio = np.exp(log_ratio)[:, None]
        weight = 1 / (ratio + 1 / kinds)
        information = (weight * counts).sum(axis=1)
        mean = (weight * first).sum(axis=1) / information
        rss = within + np.maximum((weight * second).sum(axis=1) - information * mean**2, 0.0)
        deviance = (
            (n - 1) * np.log(np.maximum(rss, 1e-300))
            + (counts * np.log1p(kinds * ratio)).sum(axis=1)
            + np.log(information)
        )
        return deviance, mean, rss

    golden = (math.sqrt(5) - 1) / 2
    low, high = np.full(len(totals), -20.0), np.full(len(totals), 20.0)
    a, b = high - golden * (high - low), low + golden * (high - low)
    fa, fb = at(a)[0], at(b)[0]
    for _ in range(60):
        left = fa < fb
        high, low = np.where(left, b, high), np.where(left, low, a)
        a_new, b_new = high - golden * (high - low), low + golden * (high - low)
        probe = at(np.where(left, a_new, b_new))[0]
        fa, fb = np.where(left, probe, fb), np.where(left, fa, probe)
        a, b = a_new, b_new
    best = (low + high) / 2
    _, mean, rss = at(best)
    residual = rss / (n - 1)
    ratio = np.where(best < -19.5, 0.0, np.exp(best))
    return mean, np.sqrt(residual * (1 + ratio))
