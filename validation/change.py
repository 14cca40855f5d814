"""Change over time: does the test see the change that the reference sees?

All changes are second less first, in the unit of the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from validation.agreement import BlandAltman, bland_altman
from validation.classification import TwoByTwo, two_by_two
from validation.concordance import ccc, pearson
from validation.errors import OutOfRange
from validation.pairs import column, pair
from validation.regression import ols
from validation.results import Estimate, Result, attempt


@dataclass(frozen=True)
class Change(Result):
    """Agreement of change scores: Bland–Altman of the changes, correlation, and the slope of test's on reference's.

    A slope below 1 says that the test damps change. `beyond` classifies changes against the least significant
    change, where one was given: does the test see a real change, and in the same direction?
    """

    agreement: BlandAltman
    pearson: Estimate
    ccc: Estimate
    slope: Estimate
    r_squared: float | None
    beyond: TwoByTwo | None = None
    same_direction: float | None = None


def change_scores(
    test_first: ArrayLike,
    test_second: ArrayLike,
    reference_first: ArrayLike,
    reference_second: ArrayLike,
    *,
    least_significant_change: float | None = None,
    test_least_significant_change: float | None = None,
    level: float = 0.95,
    limits_interval: str = "exact",
) -> Change:
    """Compare the changes of a test with those of its reference, four columns (n,) of the same subjects.

    Args:
        least_significant_change: of the reference, see `repeatability`; a change of at least that counts as real.
        test_least_significant_change: of the test; that of the reference when not given.

    `beyond` is the 2 × 2 table of "the test shows a real change" by "the reference does"; `same_direction` is, among
    those in which both do, the share with the same sign. Raises NotEnoughData below 3 subjects.
    """
    x1, y1 = pair(test_first, reference_first, least=3)
    x2, y2 = pair(test_second, reference_second, least=3)
    pair(x1, x2)
    x, y = column(x2 - x1, "change of the test"), column(y2 - y1, "change of the reference")
    r = attempt(lambda: pearson(x, y, level=level), level=level)
    table = direction = None
    if least_significant_change is not None:
        own = test_least_significant_change
        own = least_significant_change if own is None else own
        if not (least_significant_change > 0 and own > 0):
            raise OutOfRange("a least significant change must be positive")
        shown, real = np.abs(x) >= own, np.abs(y) >= least_significant_change
        table = two_by_two(shown, real, level=level)
        both = shown & real
        direction = float((np.sign(x[both]) == np.sign(y[both])).mean()) if both.any() else None
    return Change(
        agreement=bland_altman(x, y, level=level, limits_interval=limits_interval),
        pearson=r,
        ccc=attempt(lambda: ccc(x, y, level=level), level=level),
        slope=attempt(lambda: ols(x, y, level=level).slope, level=level),
        r_squared=None if r.estimate is None else r.estimate**2,
        beyond=table,
        same_direction=direction,
    )
