"""Precision of repeated measurements of the same thing: what a method does when nothing has changed.

All in the unit of the values, coefficients of variation in percent.

Sources: Bland JM, Altman DG. Stat Methods Med Res 1999;8:135-160 (within-subject SD, repeatability coefficient);
Glüer CC et al. Osteoporos Int 1995;5:262-270 (RMS-SD, RMS-%CV, degrees of freedom), used by the International
Society for Clinical Densitometry; Ulijaszek SJ, Kerr DA. Br J Nutr 1999;82:165-177 (TEM).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from validation.errors import Degenerate, NotEnoughData, OutOfRange
from validation.pairs import at_least, codes, column, confidence, number
from validation.reliability import icc
from validation.repeated import grouped
from validation.results import Estimate, Result

# With 27 degrees of freedom the upper 95 % limit of an SD (one-sided, chi-squared) lies 29 % above it; below that a
# precision study says little.
RECOMMENDED_DF = 27


@dataclass(frozen=True)
class Within:
    """Pooled variance within subjects, its degrees of freedom, and the number of subjects with replicates."""

    variance: float
    df: int
    subjects: int


@dataclass(frozen=True)
class Precision(Result):
    """Precision of `n` values of `subjects` subjects with `df` degrees of freedom.

    within_sd: pooled SD within subjects (the standard error of measurement). tem: the same for duplicates,
    sqrt(Σ d² / 2 n). repeatability: the difference of two measurements that is exceeded once in twenty,
    z √2 within_sd. rms_sd: root mean square of the subjects' SDs; rms_cv: of their coefficients of variation (%).
    lsc: least significant change z √2 rms_sd. relative_tem: tem as percent of the grand mean.
    """

    n: int
    subjects: int
    df: int
    within_sd: Estimate
    repeatability: Estimate
    rms_sd: Estimate
    rms_cv: Estimate
    tem: Estimate
    relative_tem: Estimate
    lsc: Estimate
    enough: bool


def within_subject(values: ArrayLike, subject: ArrayLike) -> Within:
    """Pooled within-subject variance of values (n,) by subject (n,): Σ (v - mean of subject)² / Σ (m_i - 1).

    Raises NotEnoughData when no subject has two values.
    """
    v = column(values, "values", least=2)
    groups = grouped(v, codes(subject, len(v)))
    if groups.within_df == 0:
        raise NotEnoughData("no subject has two values")
    return Within(groups.within, groups.within_df, int((groups.counts > 1).sum()))


def sd_interval(sd: float, df: float, *, level: float = 0.95, factor: float = 1.0) -> Estimate:
    """factor × sd with the chi-squared interval of a standard deviation with `df` degrees of freedom."""
    if sd == 0:
        return Estimate(0.0, None, None, level, "chi-squared", "the replicates never differ")
    low = sd * math.sqrt(df / float(special.chdtri(df, (1 - level) / 2)))
    high = sd * math.sqrt(df / float(special.chdtri(df, (1 + level) / 2)))
    return Estimate(factor * sd, factor * low, factor * high, level, "chi-squared")


def repeatability(values: ArrayLike, subject: ArrayLike, *, level: float = 0.95, coverage: float = 0.95) -> Precision:
    """Precision from replicates: values (n,) of subjects (n,), two or more values for at least some subjects.

    Intervals are chi-squared with Σ (m_i - 1) degrees of freedom, which holds for normal errors of equal size; for
    the RMS-%CV it is that of Glüer, which treats the coefficient of variation as an SD.
    Raises NotEnoughData without replicates.
    """
    confidence(level), confidence(coverage, "coverage")
    v = column(values, "values", least=2)
    clusters = codes(subject, len(v))
    groups = grouped(v, clusters)
    df = groups.within_df
    if df == 0:
        raise NotEnoughData("no subject has two values")
    many = groups.counts > 1
    residual = v - groups.means[clusters]
    variances = np.bincount(clusters, residual**2)[many] / (groups.counts[many] - 1)
    means = groups.means[many]
    sd, rms = math.sqrt(groups.within), math.sqrt(float(variances.mean()))
    factor = float(special.ndtri((1 + coverage) / 2)) * math.sqrt(2)
    if (means > 0).all():
        rms_cv = sd_interval(100 * math.sqrt(float((variances / means**2).mean())), df, level=level)
    else:
        rms_cv = Estimate.missing("a coefficient of variation needs positive means", level=level)
    grand = float(v.mean())
    if grand > 0:
        relative = sd_interval(100 * sd / grand, df, level=level)
    else:
        relative = Estimate.missing("a percentage of the mean needs a positive mean", level=level)
    return Precision(
        n=len(v),
        subjects=groups.subjects,
        df=df,
        within_sd=sd_interval(sd, df, level=level),
        repeatability=sd_interval(sd, df, level=level, factor=factor),
        rms_sd=sd_interval(rms, df, level=level),
        rms_cv=rms_cv,
        tem=sd_interval(sd, df, level=level),
        relative_tem=relative,
        lsc=sd_interval(rms, df, level=level, factor=factor),
        enough=df >= RECOMMENDED_DF,
    )


@dataclass(frozen=True)
class MeasurementError(Result):
    """Errors of a single measurement, from `n` subjects each measured by the same `k` methods or on `k` occasions.

    sem: standard error of measurement, sqrt(residual mean square), methods' means taken out; cv: the same in percent
    of the grand mean. see: standard error of estimate, SD sqrt(R (1 - R)), of a true value estimated from an observed
    one; sep: standard error of prediction, SD sqrt(1 - R²), of a second measurement predicted from a first; with
    R = ICC(C,1) and the SD of all n k values.
    """

    n: int
    k: int
    df: int
    sem: Estimate
    cv: Estimate
    see: Estimate
    sep: Estimate


def measurement_error(ratings: ArrayLike, *, level: float = 0.95) -> MeasurementError:
    """SEM, its coefficient of variation, SEE and SEP of ratings (subjects, methods), two or more of each.

    Intervals of SEM and CV are chi-squared with (n - 1)(k - 1) degrees of freedom; SEE and SEP have none in closed
    form. Source: Weir JP. J Strength Cond Res 2005;19:231-240. Raises as `icc`.
    """
    correlation = icc(ratings, level=level)
    table = np.asarray(ratings, dtype=np.float64)
    n, k = table.shape
    grand = float(table.mean())
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + grand
    df = (n - 1) * (k - 1)
    squares = float((residual**2).sum())
    sd = math.sqrt(float(((table - grand) ** 2).sum()) / (n * k - 1))
    sem = 0.0 if squares < 1e-26 * sd * sd * n * k else math.sqrt(squares / df)
    r = correlation["ICC(C,1)"].estimate
    method = "from ICC(C,1)"
    if r is None or r < 0:
        why = "a negative or undefined intraclass correlation has no such error"
        see = sep = Estimate.missing(why, level=level, method=method)
    else:
        why = "no interval in closed form"
        see, sep = (
            Estimate(sd * v, None, None, level, method, why) for v in (math.sqrt(r * (1 - r)), math.sqrt(1 - r * r))
        )
    if grand > 0:
        cv = sd_interval(100 * sem / grand, df, level=level)
    else:
        cv = Estimate.missing("a percentage of the mean needs a positive mean", level=level)
    return MeasurementError(n, k, df, sd_interval(sem, df, level=level), cv, see, sep)


def corrected_sd(sd: float, n: int, reference_sd: float, reference_df: int, *, level: float = 0.95) -> Estimate:
    """SD of differences with the reference's own error taken out: sqrt(sd² - reference_sd²).

    Args:
        sd: of n differences test - reference. reference_sd: within-subject SD of the reference, with its df.

    Interval: MOVER for a difference of two independent variances (Zou GY, Donner A. Stat Med 2008;27:1693-1702).
    Raises NotEnoughData, NotFinite, OutOfRange; Degenerate when the reference's error is as large as the differences.
    """
    confidence(level), number(sd, "sd"), at_least(n, 2, "differences"), at_least(reference_df, 1, "degrees of freedom")
    if number(reference_sd, "reference_sd") < 0:
        raise OutOfRange(f"reference_sd must not be negative, and is {reference_sd}")
    if reference_sd >= sd:
        raise Degenerate("the reference's own error is as large as the differences")
    a, b = sd_interval(sd, n - 1, level=level), sd_interval(reference_sd, reference_df, level=level)
    va, vb = sd**2, reference_sd**2
    la, ua = a.low**2, a.high**2  # type: ignore[operator]
    lb, ub = (b.low**2, b.high**2) if b.low is not None and b.high is not None else (0.0, 0.0)
    low = va - vb - math.hypot(va - la, ub - vb)
    high = va - vb + math.hypot(ua - va, vb - lb)
    return Estimate(math.sqrt(va - vb), math.sqrt(max(low, 0.0)), math.sqrt(high), level, "MOVER")
