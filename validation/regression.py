"""Regression for method comparison: least squares, Deming and weighted Deming. Reference on x, test on y.

Sources: Linnet K. Stat Med 1990;9:1463-1473 and Clin Chem 1993;39:424-432 (Deming, weighted Deming, jackknife);
Strike PW. Statistical methods in laboratory medicine. 1991 (analytic standard errors of Deming's line);
Cornbleet PJ, Gochman N. Clin Chem 1979;25:432-438.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from validation.errors import Degenerate, NotConverged, NotEnoughData, OutOfRange, UnknownOption
from validation.pairs import Floats, codes, confidence, option, pair, same
from validation.resampling import BLOCK, Distribution, bca, generator, weights
from validation.results import Estimate, Result

INTERVALS = ("analytic", "jackknife", "bootstrap")
# Fits lines to many weightings of the same points: (rows, n) -> (rows, 2), columns intercept and slope. Where lines
# depend on sums alone, the rows are totals of the columns of sums instead.
Fit = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Line(Result):
    """test = intercept + slope × reference. Slope without unit (or test's per reference's), intercept in test's."""

    slope: Estimate
    intercept: Estimate
    n: int
    method: str
    interval: str
    error_ratio: float | None = None
    resampled: Resampled | None = field(default=None, repr=False)
    covariance: tuple[float, float, float] | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        out = {"slope": self.slope.to_dict(), "intercept": self.intercept.to_dict(), "n": self.n}
        out |= {"method": self.method, "interval": self.interval}
        return out if self.error_ratio is None else {**out, "error_ratio": self.error_ratio}

    def predict(self, reference: ArrayLike) -> Floats:
        """Test values on the line."""
        return float(self.intercept) + float(self.slope) * np.asarray(reference, dtype=float)

    def bias_at(self, levels: Sequence[float]) -> list[Estimate]:
        """Bias (test less reference) at decision levels of the reference: intercept + (slope - 1) level.

        Intervals by the line's own kind: t with the analytic covariance, jackknife, or BCa; the analytic form of
        Passing–Bablok has none.
        """
        level, out = self.slope.level, []
        for value in levels:
            bias = float(self.intercept) + (float(self.slope) - 1) * value
            if self.resampled is not None:
                out.append(self.resampled.estimate(np.array([1.0, value]), -value, level=level))
            elif self.covariance is not None:
                v0, v01, v1 = self.covariance
                half = _t(self.n - 2, level) * math.sqrt(max(v0 + 2 * value * v01 + value**2 * v1, 0.0))
                out.append(Estimate(bias, bias - half, bias + half, level, self.interval))
            else:
                reason = f"the analytic form of {self.method} has no interval for a bias: ask for the bootstrap"
                out.append(Estimate(bias, None, None, level, self.interval, reason))
        return out

    def __str__(self) -> str:
        return (
            f"{self.method}, {self.n} pairs, {self.interval} {self.slope.level:.0%} intervals\n"
            f"  slope      {self.slope}\n  intercept  {self.intercept}"
        )


@dataclass(frozen=True)
class Resampled:
    """Coefficients [intercept, slope] of the whole (2,), of each leave-one-out fit (n, 2) and of the draws (B, 2)."""

    whole: Floats
    jackknife: Floats
    draws: Floats | None = None

    def estimate(self, contrast: Floats, constant: float = 0.0, *, level: float) -> Estimate:
        """Interval of contrast · coefficients + constant: BCa when there are draws, else jackknife t(n - 2)."""
        point = float(contrast @ self.whole) + constant
        left_out = self.jackknife @ contrast + constant
        if self.draws is not None:
            return bca(Distribution(point, self.draws @ contrast + constant, (left_out,)), level=level)
        n = len(left_out)
        if np.isnan(left_out).any():
            return Estimate(point, None, None, level, "jackknife", "the line is undefined without one of the points")
        pseudo = n * point - (n - 1) * left_out
        half = _t(n - 2, level) * float(pseudo.std(ddof=1)) / math.sqrt(n)
        return Estimate(point, point - half, point + half, level, "jackknife")


def _t(df: float, level: float) -> float:
    return float(special.stdtrit(df, (1 + level) / 2))


def ols(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    weighted: bool = False,
    level: float = 0.95,
    interval: str = "analytic",
    resamples: int = 10_000,
    seed: int = 1,
) -> Line:
    """Least-squares line of test (n,) on reference (n,); with `weighted`, weights 1 / reference² (constant CV).

    Raises Degenerate when the reference is constant, OutOfRange when weights meet a reference of zero.
    """
    x, y = _points(test, reference, level, interval)
    if weighted and (x == 0).any():
        raise OutOfRange("weights 1 / reference² need references other than zero")
    base = 1 / x**2 if weighted else np.ones_like(x)
    base = base / base.mean()
    centre = np.array([x.mean(), y.mean()])
    columns = _columns(x, y, centre) * base[:, None]

    def fit(totals: Floats) -> Floats:
        _, (mx, my), (sxx, _, sxy) = _moments(totals, centre)
        slope = _divide(sxy, sxx)
        return np.column_stack([my - slope * mx, slope])

    covariance = None
    if interval == "analytic":
        totals = columns.sum(axis=0, keepdims=True)
        intercept, slope = fit(totals)[0]
        (total,), (mx, _), (sxx, _, _) = _moments(totals, centre)
        residual = y - intercept - slope * x
        variance = float(base @ residual**2) / (len(x) - 2)
        v1 = variance / float(sxx[0])
        covariance = (variance / total + float(mx[0]) ** 2 * v1, -float(mx[0]) * v1, v1)
    name = "weighted least squares" if weighted else "least squares"
    return _line(fit, columns, name, interval, covariance, None, level, resamples, seed)


def deming(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    error_ratio: float = 1.0,
    weighted: bool = False,
    subject: ArrayLike | None = None,
    level: float = 0.95,
    interval: str = "jackknife",
    resamples: int = 10_000,
    seed: int = 1,
) -> Line:
    """Deming's line through test (n,) and reference (n,), both with error.

    error_ratio λ = error variance of the reference / error variance of the test (see `error_ratio`).
    slope = (λ q - u + sqrt((u - λ q)² + 4 λ p²)) / (2 λ p) with u, q, p the sums of squares of x, of y and of products.
    weighted: errors proportional to size; Linnet's iteration with weights ((x̂ + λ ŷ)/(1 + λ))^-2, positive values only.

    subject: (n,) labels; subjects with several pairs are left out and resampled whole (unweighted form only).

    Intervals: jackknife t(n - 2) (Linnet), bootstrap BCa, or analytic (unweighted only; Strike's standard errors, which
    assume normal errors). Raises Degenerate for a constant column or no covariance, NotConverged.
    """
    x, y = _points(test, reference, level, interval)
    if not error_ratio > 0 or not math.isfinite(error_ratio):
        raise UnknownOption(f"error_ratio must be positive, and is {error_ratio}")
    if same(y):
        raise Degenerate("the test is constant")
    if weighted and (min(x.min(), y.min()) < 0 or (x + y == 0).any()):
        raise OutOfRange("weighted Deming regression needs positive values")
    if weighted and interval == "analytic":
        raise UnknownOption("weighted Deming regression has no analytic interval: ask for jackknife or bootstrap")
    centre = np.array([x.mean(), y.mean()])

    columns = _columns(x, y, centre)
    if subject is not None:
        clusters = codes(subject, len(x))
        if int(clusters.max()) + 1 < len(x):
            if weighted or interval == "analytic":
                raise UnknownOption("repeated subjects need the unweighted form with jackknife or bootstrap intervals")
            columns = np.column_stack([np.bincount(clusters, values) for values in columns.T])
        if len(columns) < 3:
            raise NotEnoughData(f"{len(columns)} subjects where at least 3 are needed")

    def plain(totals: Floats) -> Floats:
        _, (mx, my), sums = _moments(totals, centre)
        slope = _deming_slope(*sums, error_ratio)
        return np.column_stack([my - slope * mx, slope])

    def iterated(w: Floats) -> Floats:
        return _weighted_deming(x, y, w, plain(w @ columns), error_ratio, centre)

    covariance = None
    if interval == "analytic":
        slope = float(plain(columns.sum(axis=0, keepdims=True))[0, 1])
        r2 = float(np.corrcoef(x, y)[0, 1]) ** 2
        v1 = slope**2 * (1 - r2) / r2 / (len(x) - 2)
        # The intercept's standard error is that of slope times the root mean square of x, as in Strike.
        covariance = (v1 * float((x**2).mean()), -v1 * float(x.mean()), v1)
    name = "weighted Deming" if weighted else "Deming"
    fit, data = (iterated, len(x)) if weighted else (plain, columns)
    line = _line(fit, data, name, interval, covariance, error_ratio, level, resamples, seed)
    return replace(line, n=len(x))


def error_ratio(test: ArrayLike, test_subject: ArrayLike, reference: ArrayLike, reference_subject: ArrayLike) -> float:
    """λ for `deming` from replicates: within-subject variance of the reference / that of the test.

    Values and their subjects, (n,) and (m,); subjects with one value add nothing.
    """
    from validation.precision import within_subject

    x, y = within_subject(reference, reference_subject), within_subject(test, test_subject)
    if y.variance == 0:
        raise Degenerate("the test's replicates never differ")
    return x.variance / y.variance


def _points(test: ArrayLike, reference: ArrayLike, level: float, interval: str) -> tuple[Floats, Floats]:
    confidence(level), option(interval, INTERVALS, "interval")
    y, x = pair(test, reference, least=3)
    if same(x):
        raise Degenerate("the reference is constant")
    return x, y


def _columns(x: Floats, y: Floats, centre: Floats) -> Floats:
    """(n, 6) columns of which a line's sums are made: 1, x, y, x², y², xy about `centre`."""
    u, v = x - centre[0], y - centre[1]
    return np.column_stack([np.ones_like(u), u, v, u * u, v * v, u * v])


def _moments(totals: Floats, centre: Floats):
    """Weights, means and sums of squares about the means, from totals (rows, 6) of `_columns`."""
    total, su, sv, suu, svv, suv = totals.T
    total_safe = np.where(total > 0, total, 1.0)
    mu, mv = su / total_safe, sv / total_safe
    sums = (suu - su * mu, svv - sv * mv, suv - su * mv)
    return total, (mu + centre[0], mv + centre[1]), sums


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    """Ratio where the denominator is more than rounding, else NaN."""
    safe = np.abs(denominator) > 0
    return np.where(safe, numerator / np.where(safe, denominator, 1.0), np.nan)


def _deming_slope(sxx: Floats, syy: Floats, sxy: Floats, ratio: float) -> Floats:
    difference = ratio * syy - sxx
    root = np.sqrt(difference**2 + 4 * ratio * sxy**2)
    # Two forms of the same root: the one without cancellation.
    return np.where(difference >= 0, _divide(difference + root, 2 * ratio * sxy), _divide(2 * sxy, root - difference))


def _weighted_deming(
    x: Floats, y: Floats, w: Floats, start: Floats, ratio: float, centre: Floats, *, most: int = 200
) -> Floats:
    """Linnet's iteration for every row of weights at once, until intercept and slope move by less than 1e-11."""
    line = start.copy()
    scale = float(np.abs(y).max())
    open_rows = np.isfinite(line).all(axis=1)
    for _ in range(most):
        rows = np.flatnonzero(open_rows)
        if not len(rows):
            return line
        intercept, slope = line[rows, :1], line[rows, 1:]
        d = y - intercept - slope * x
        shrink = d / (1 + ratio * slope**2)
        level = (x + ratio * slope * shrink + ratio * (y - shrink)) / (1 + ratio)
        with np.errstate(divide="ignore"):
            weight = w[rows] / level**2
        weight = np.where(np.isfinite(weight), weight, 0.0)
        u, v = x - centre[0], y - centre[1]
        total = weight.sum(axis=1)
        mu, mv = (weight @ u) / total, (weight @ v) / total
        du, dv = u - mu[:, None], v - mv[:, None]
        sums = [(weight * a * b).sum(axis=1) for a, b in ((du, du), (dv, dv), (du, dv))]
        new_slope = _deming_slope(*sums, ratio)
        new = np.column_stack([mv + centre[1] - new_slope * (mu + centre[0]), new_slope])
        move = np.abs(new - line[rows])
        moved = np.maximum(move[:, 1], move[:, 0] / scale)
        line[rows] = new
        open_rows[rows] = (moved > 1e-11) & np.isfinite(new).all(axis=1)
    line[open_rows] = np.nan
    return line


def _rows_without_one(n: int) -> Iterator[Floats]:
    """Blocks of weights (rows, n) that leave out each point in turn."""
    step = max(1, BLOCK // n)
    for start in range(0, n, step):
        block = np.ones((min(step, n - start), n))
        block[np.arange(len(block)), start + np.arange(len(block))] = 0
        yield block


def resample_line(data: Floats | int, fit: Fit, interval: str, resamples: int, seed: int) -> Resampled:
    """Whole, leave-one-out and (for the bootstrap) resampled coefficients of a fit.

    `data` is the number of points, for a fit of weights, or the (n, columns) of sums, for a fit of totals.
    """
    rng = generator(seed, "line")
    if isinstance(data, int):
        whole = fit(np.ones((1, data)))[0]
        jackknife = np.vstack([fit(block) for block in _rows_without_one(data)])
        blocks = (fit(block) for block in weights(rng, data, resamples))
    else:
        total = data.sum(axis=0, keepdims=True)
        whole, jackknife = fit(total)[0], fit(total - data)
        blocks = (fit(block @ data) for block in weights(rng, len(data), resamples))
    return Resampled(whole, jackknife, np.vstack(list(blocks)) if interval == "bootstrap" else None)


def _line(
    fit: Fit,
    data: Floats | int,
    name: str,
    interval: str,
    covariance: tuple[float, float, float] | None,
    ratio: float | None,
    level: float,
    resamples: int,
    seed: int,
) -> Line:
    n = data if isinstance(data, int) else len(data)
    if interval == "analytic":
        whole = fit(data.sum(axis=0, keepdims=True))[0]
    else:
        resampled = resample_line(data, fit, interval, resamples, seed)
        whole = resampled.whole
    if not np.isfinite(whole).all():
        if name == "weighted Deming":
            raise NotConverged("weighted Deming regression did not settle on a line")
        raise Degenerate("the line is vertical: the covariance is zero")
    if interval == "analytic":
        assert covariance is not None
        intercept, slope = (float(value) for value in whole)
        t = _t(n - 2, level)
        half = [t * math.sqrt(max(value, 0.0)) for value in (covariance[0], covariance[2])]
        estimates = (
            Estimate(intercept, intercept - half[0], intercept + half[0], level, interval),
            Estimate(slope, slope - half[1], slope + half[1], level, interval),
        )
        return Line(estimates[1], estimates[0], n, name, interval, ratio, None, covariance)
    return Line(
        resampled.estimate(np.array([0.0, 1.0]), level=level),
        resampled.estimate(np.array([1.0, 0.0]), level=level),
        n,
        name,
        interval,
        ratio,
        resampled,
    )
