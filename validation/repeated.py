"""Limits of agreement when a subject was measured several times.

Sources: Bland JM, Altman DG. J Biopharm Stat 2007;17:571-582; Zou GY. Stat Methods Med Res 2013;22:630-642.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from validation.agreement import LEAST, BlandAltman, Limits, mean_interval, p_of_mean, proportional_bias
from validation.errors import NotEnoughData
from validation.pairs import Floats
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
    groups = grouped(difference, clusters)
    if groups.subjects < LEAST:
        raise NotEnoughData(f"{groups.subjects} subjects where at least {LEAST} are needed")
    bias = float(groups.means.mean())
    between = float(groups.means.var(ddof=1))
    parts = [(between, groups.subjects - 1, 1.0), (groups.within, groups.within_df, 1 - 1 / groups.harmonic)]
    sd_mean = math.sqrt(between)
    sizes = np.bincount(clusters, abscissa) / groups.counts
    limits = mover_limits(bias, sd_mean / math.sqrt(groups.subjects), parts, level=level, coverage=coverage)
    return BlandAltman(
        n=len(difference),
        subjects=groups.subjects,
        bias=mean_interval(bias, sd_mean, groups.subjects, level=level),
        sd=math.sqrt(sum(weight * variance for variance, _, weight in parts)),
        p_value=p_of_mean(bias, sd_mean, groups.subjects),
        limits=limits,
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
