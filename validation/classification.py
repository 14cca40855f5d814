"""Classification at cut points: the 2 × 2 table, kappa, and the ROC curve with DeLong's interval and test.

Sources: DeLong ER, DeLong DM, Clarke-Pearson DL. Biometrics 1988;44:837-845; Sun X, Xu W. IEEE Signal Process Lett
2014;21:1389-1393 (the same in O(n log n)); Fleiss JL, Cohen J, Everitt BS. Psychol Bull 1969;72:323-327 (kappa);
Simel DL et al. J Clin Epidemiol 1991;44:763-770 (likelihood ratios).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from validation.errors import Degenerate, NotEnoughData, NotFinite, ShapeMismatch
from validation.pairs import Floats, column, confidence, option, pair
from validation.proportions import wilson
from validation.results import Estimate, Result, attempt


@dataclass(frozen=True)
class TwoByTwo(Result):
    """Counts and rates (0 to 1) of a test against the truth; a rate without cases is empty, with the reason."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    sensitivity: Estimate
    specificity: Estimate
    positive_predictive_value: Estimate
    negative_predictive_value: Estimate
    positive_likelihood_ratio: Estimate
    negative_likelihood_ratio: Estimate
    accuracy: Estimate
    kappa: Estimate


def two_by_two(test: ArrayLike, truth: ArrayLike, *, level: float = 0.95) -> TwoByTwo:
    """Rates of a yes/no test (n,) against the truth (n,), booleans. Wilson's intervals; ratios on the log."""
    confidence(level)
    x, y = (np.asarray(values, dtype=bool) for values in (test, truth))
    if x.shape != y.shape or x.ndim != 1:
        raise ShapeMismatch(f"test has shape {x.shape} and truth {y.shape}: they must be pairs")
    if not len(x):
        raise NotEnoughData("there are no cases")
    tp, fp = int((x & y).sum()), int((x & ~y).sum())
    fn, tn = int((~x & y).sum()), int((~x & ~y).sum())

    def rate(events: int, n: int, what: str) -> Estimate:
        if n == 0:
            return Estimate.missing(f"there is no {what}", level=level, method="Wilson")
        return wilson(events, n, level=level)

    return TwoByTwo(
        tp,
        fp,
        fn,
        tn,
        rate(tp, tp + fn, "case with the condition"),
        rate(tn, tn + fp, "case without the condition"),
        rate(tp, tp + fp, "positive test"),
        rate(tn, tn + fn, "negative test"),
        likelihood_ratio(tp, tp + fn, fp, fp + tn, level=level),
        likelihood_ratio(fn, tp + fn, tn, fp + tn, level=level),
        rate(tp + tn, len(x), "case"),
        attempt(lambda: kappa(np.array([[tp, fp], [fn, tn]]), level=level), level=level),
    )


def at_cut_point(
    test: ArrayLike, reference: ArrayLike, *, cut: float, test_cut: float | None = None, level: float = 0.95
) -> TwoByTwo:
    """`two_by_two` of values (n,) at or above a cut point of the reference, and of the test (the same by default)."""
    x, y = pair(test, reference, least=1)
    return two_by_two(x >= (cut if test_cut is None else test_cut), y >= cut, level=level)


def likelihood_ratio(a: int, n: int, b: int, m: int, *, level: float = 0.95) -> Estimate:
    """(a / n) / (b / m) with the interval of Simel: log ratio ± z sqrt(1/a - 1/n + 1/b - 1/m)."""
    method = "log, Simel"
    if n == 0 or m == 0 or b == 0:
        return Estimate.missing("a likelihood ratio divides by zero", level=level, method=method)
    ratio = (a / n) / (b / m)
    if a == 0:
        return Estimate(0.0, None, None, level, method, "no case to take the logarithm of")
    half = float(special.ndtri((1 + level) / 2)) * math.sqrt(1 / a - 1 / n + 1 / b - 1 / m)
    return Estimate(ratio, ratio * math.exp(-half), ratio * math.exp(half), level, method)


def cross_table(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.int64], list[str]]:
    """Counts (k, k) of two columns of categories, and the categories in ascending order."""
    a, b = (np.asarray([str(value) for value in np.asarray(values)]) for values in (first, second))
    if len(a) != len(b):
        raise ShapeMismatch(f"the columns have {len(a)} and {len(b)} values")
    names = sorted(set(a) | set(b))
    place = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(table, ([place[v] for v in a], [place[v] for v in b]), 1)
    return table, names


def kappa(table: ArrayLike, *, weights: str = "none", level: float = 0.95) -> Estimate:
    """Cohen's kappa of a square table of counts (k, k), categories in order.

    weights: "none", "linear" (1 - |i - j| / (k - 1)) or "quadratic" (1 - (i - j)² / (k - 1)²).
    Interval: normal with the large-sample variance of Fleiss, Cohen and Everitt. Raises Degenerate when all cases
    fall in one category of both.
    """
    confidence(level)
    option(weights, ("none", "linear", "quadratic"), "weights")
    counts = np.asarray(table, dtype=float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ShapeMismatch(f"a table of {counts.shape} is not square")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise NotFinite("the table holds something that is not a count")
    n, k = float(counts.sum()), len(counts)
    if n == 0:
        raise NotEnoughData("the table is empty")
    p = counts / n
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    if weights == "none":
        w = (distance == 0).astype(float)
    else:
        w = 1 - (distance / max(k - 1, 1)) ** (1 if weights == "linear" else 2)
    observed, expected = float((w * p).sum()), float((w * np.outer(rows, columns)).sum())
    if expected >= 1 - 1e-15:
        raise Degenerate("all cases fall in one category, so agreement beyond chance has no meaning")
    value = (observed - expected) / (1 - expected)
    mean = (w @ columns)[:, None] + (rows @ w)[None, :]
    term = (p * (w - mean * (1 - value)) ** 2).sum() - (value - expected * (1 - value)) ** 2
    se = math.sqrt(max(float(term), 0.0) / n) / (1 - expected)
    method = "Fleiss–Cohen–Everitt"
    if se == 0:
        return Estimate(value, None, None, level, method, "the variance is zero")
    half = float(special.ndtri((1 + level) / 2)) * se
    return Estimate(value, value - half, value + half, level, method)


@dataclass(frozen=True)
class ROC(Result):
    """Area under the ROC curve of one score, and the curve: cut points with their sensitivity and 1 - specificity."""

    auc: Estimate
    positives: int
    negatives: int
    cuts: list[float]
    sensitivity: list[float]
    false_positive_rate: list[float]


def roc(score: ArrayLike, truth: ArrayLike, *, level: float = 0.95) -> ROC:
    """ROC curve of a score (n,) for a truth (n,) of booleans, high scores meaning yes. DeLong's interval on the logit.

    Raises NotEnoughData unless there are cases with and without the condition.
    """
    confidence(level)
    x, y = _scored(score, truth)
    auc, parts = _delong([x], y)
    values = np.unique(x)[::-1]
    up, down = np.sort(x[y]), np.sort(x[~y])
    sensitivity = 1 - np.searchsorted(up, values) / len(up)
    false = 1 - np.searchsorted(down, values) / len(down)
    return ROC(
        _auc_interval(float(auc[0]), float(parts[0, 0]), level),
        len(up),
        len(down),
        values.tolist(),
        sensitivity.tolist(),
        false.tolist(),
    )


def _scored(score: ArrayLike, truth: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    x, y = column(score, "score", least=1), np.asarray(truth, dtype=bool)
    if y.shape != x.shape:
        raise ShapeMismatch(f"score has shape {x.shape} and truth {y.shape}")
    if not y.any() or y.all():
        raise NotEnoughData("a ROC curve needs cases with and without the condition")
    return x, y


def _delong(scores: list[Floats], truth: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Areas of several scores and the covariance matrix of the areas, by mid-ranks."""
    m, n = int(truth.sum()), int((~truth).sum())
    areas, v10, v01 = [], [], []
    for x in scores:
        up, down = x[truth], x[~truth]
        joint = stats.rankdata(np.concatenate([up, down]))
        structural_up = (joint[:m] - stats.rankdata(up)) / n
        structural_down = 1 - (joint[m:] - stats.rankdata(down)) / m
        areas.append(structural_up.mean())
        v10.append(structural_up)
        v01.append(structural_down)

    def spread(rows: list[Floats], count: int) -> Floats:
        return np.atleast_2d(np.cov(np.array(rows))) / count if count > 1 else np.zeros((len(rows), len(rows)))

    return np.array(areas), spread(v10, m) + spread(v01, n)


def _auc_interval(auc: float, variance: float, level: float) -> Estimate:
    method = "DeLong, logit"
    if variance <= 0 or not 0 < auc < 1:
        return Estimate(auc, None, None, level, method, "the variance is zero")
    half = float(special.ndtri((1 + level) / 2)) * math.sqrt(variance) / (auc * (1 - auc))
    centre = float(special.logit(auc))
    return Estimate(auc, float(special.expit(centre - half)), float(special.expit(centre + half)), level, method)


@dataclass(frozen=True)
class AucComparison(Result):
    """Areas of two scores of the same subjects, and their difference a - b."""

    a: Estimate
    b: Estimate
    difference: Estimate
    p_value: float | None


def compare_auc(a: ArrayLike, b: ArrayLike, truth: ArrayLike, *, level: float = 0.95) -> AucComparison:
    """DeLong's test of two correlated areas: scores a, b (n,) of the same subjects, truth (n,) of booleans."""
    confidence(level)
    x, y = _scored(a, truth)
    z, _ = _scored(b, truth)
    areas, parts = _delong([x, z], y)
    variance = float(parts[0, 0] + parts[1, 1] - 2 * parts[0, 1])
    difference = float(areas[0] - areas[1])
    ends = [_auc_interval(float(areas[i]), float(parts[i, i]), level) for i in (0, 1)]
    if variance <= 1e-18:
        gap = Estimate(difference, None, None, level, "DeLong", "the variance of the difference is zero")
        return AucComparison(*ends, gap, None)
    half = float(special.ndtri((1 + level) / 2)) * math.sqrt(variance)
    p = float(2 * special.ndtr(-abs(difference) / math.sqrt(variance)))
    return AucComparison(*ends, Estimate(difference, difference - half, difference + half, level, "DeLong"), p)
