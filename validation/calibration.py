"""Calibration: are predicted values right on average, and is predicted uncertainty as wide as the errors are?

Sources: Cox DR. Biometrika 1958;45:562-565 (slope and intercept); Gneiting T, Raftery AE. J Am Stat Assoc
2007;102:359-378 (proper scores); Kuleshov V, Fenner N, Ermon S. ICML 2018 (calibration of regression).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from validation.agreement import bland_altman
from validation.errors import OutOfRange, ShapeMismatch
from validation.pairs import column, confidence, pair
from validation.proportions import wilson
from validation.regression import ols
from validation.results import Estimate, Result


@dataclass(frozen=True)
class Calibration(Result):
    """Reference regressed on prediction: a slope of 1 and an intercept of 0 are ideal.

    A slope below 1 says that predictions spread too widely, above 1 that they are drawn to the mean. `in_the_large` is
    the mean of reference - prediction. `bins`: mean prediction, mean reference and n in bins of equal size.
    """

    n: int
    slope: Estimate
    intercept: Estimate
    in_the_large: Estimate
    bins: list[dict[str, float]]


def value_calibration(
    prediction: ArrayLike, reference: ArrayLike, *, bins: int = 10, level: float = 0.95
) -> Calibration:
    """Calibration of predicted values (n,) against the reference (n,), by least squares.

    Raises Degenerate when the predictions are all equal, NotEnoughData below 3 pairs.
    """
    confidence(level)
    x, y = pair(prediction, reference, least=3)
    line = ols(y, x, level=level)
    order = np.argsort(x, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(x))) if len(part)]
    found = [{"prediction": float(x[p].mean()), "reference": float(y[p].mean()), "n": len(p)} for p in parts]
    return Calibration(len(x), line.slope, line.intercept, bland_altman(y, x, level=level).bias, found)


@dataclass(frozen=True)
class UncertaintyCalibration(Result):
    """Are normal predictions with their standard deviations honest?

    coverage: for each nominal level, the share of references inside prediction ± z sd. spread_ratio: SD of
    (reference - prediction) / sd, 1 when honest, above 1 when too sure of itself. negative_log_likelihood and crps
    (continuous ranked probability score, in the unit of the data) are proper scores: lower is better.
    """

    n: int
    coverage: dict[str, Estimate]
    spread_ratio: Estimate
    mean_standardised_error: float
    negative_log_likelihood: float
    crps: float


def uncertainty_calibration(
    prediction: ArrayLike,
    sd: ArrayLike,
    reference: ArrayLike,
    *,
    nominal: Sequence[float] = (0.5, 0.8, 0.9, 0.95),
    level: float = 0.95,
) -> UncertaintyCalibration:
    """Coverage of intervals prediction ± z sd: predictions, their positive sd, and references, each (n,).

    The spread ratio has the chi-squared interval of an SD about zero (n degrees of freedom); shares have Wilson's.
    """
    confidence(level)
    x, y = pair(prediction, reference, least=3)
    s = column(sd, "sd", least=3)
    if s.shape != x.shape:
        raise ShapeMismatch(f"prediction has {len(x)} values and sd {len(s)}")
    if (s <= 0).any():
        raise OutOfRange("every sd must be positive")
    z = (y - x) / s
    n = len(z)
    coverage = {}
    for share in nominal:
        inside = int((np.abs(z) <= special.ndtri((1 + confidence(share, "nominal")) / 2)).sum())
        coverage[f"{share:g}"] = wilson(inside, n, level=level)
    ratio = math.sqrt(float(z @ z) / n)
    low, high = (math.sqrt(n / float(special.chdtri(n, (1 + sign * level) / 2))) for sign in (-1, 1))
    spread = Estimate(ratio, ratio * low, ratio * high, level, "chi-squared")
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    crps = s * (z * (2 * special.ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))
    likelihood = np.log(s) + z * z / 2 + math.log(2 * math.pi) / 2
    return UncertaintyCalibration(n, coverage, spread, float(z.mean()), float(likelihood.mean()), float(crps.mean()))
