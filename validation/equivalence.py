"""Claims: equivalent, not worse, better by so much; each with a verdict and the interval on which it rests.

Sources: Schuirmann DJ. J Pharmacokinet Biopharm 1987;15:657-680 (two one-sided tests); Wellek S. Testing statistical
hypotheses of equivalence and noninferiority. 2010.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from validation.accuracy import ErrorTable, bootstrap_tables
from validation.agreement import differences, spread
from validation.comparison import METRICS, ratio_of
from validation.errors import OutOfRange, UnknownOption
from validation.pairs import codes, confidence, option, pair
from validation.resampling import INTERVALS, interval_of
from validation.results import Estimate, Result

MET, NOT_MET, UNDECIDED = "met", "not met", "not enough data"


@dataclass(frozen=True)
class Claim(Result):
    """`verdict`: "met" when the whole interval supports the claim, "not met" when the whole interval speaks against
    it, else "not enough data". `p_value` is that of the claim's null hypothesis (None for bootstrap claims)."""

    claim: str
    verdict: str
    estimate: Estimate
    p_value: float | None
    n: int

    def __str__(self) -> str:
        p = "" if self.p_value is None else f", p = {self.p_value:.4g}"
        return f"{self.claim}: {self.verdict}; {self.estimate}{p} (n = {self.n})"


def judge(interval: Estimate, *, low: float = -math.inf, high: float = math.inf) -> str:
    """Verdict on "the quantity lies between low and high" from its interval."""
    if low >= high:
        raise OutOfRange(f"the margins {low} and {high} leave no room")
    if interval.low is None or interval.high is None:
        return UNDECIDED
    if low < interval.low and interval.high < high:
        return MET
    return NOT_MET if interval.high <= low or interval.low >= high else UNDECIDED


def equivalence_test(test: ArrayLike, reference: ArrayLike, *, low: float, high: float, alpha: float = 0.05) -> Claim:
    """Two one-sided paired t tests of a mean difference between `low` and `high` (the margins, in the data's unit).

    p = the larger of the two; the interval has confidence 1 - 2 alpha, and lies inside the margins exactly when
    p < alpha. Raises NotEnoughData below 2 pairs, OutOfRange when low >= high.
    """
    confidence(alpha, "alpha")
    x, y = pair(test, reference, least=2)
    d, _ = differences(x, y)
    n, mean, sd, level = len(d), float(d.mean()), spread(d), 1 - 2 * alpha
    claim = f"equivalent within {low:g} to {high:g}"
    if sd == 0:
        estimate = Estimate(mean, mean, mean, level, "all differences are equal")
        return Claim(claim, judge(estimate, low=low, high=high), estimate, None, n)
    se = sd / math.sqrt(n)
    half = float(special.stdtrit(n - 1, 1 - alpha)) * se
    estimate = Estimate(mean, mean - half, mean + half, level, "t")
    p = max(float(special.stdtr(n - 1, -(mean - low) / se)), float(special.stdtr(n - 1, (mean - high) / se)))
    return Claim(claim, judge(estimate, low=low, high=high), estimate, p, n)


def non_inferiority(
    a: ArrayLike,
    b: ArrayLike,
    reference: ArrayLike,
    *,
    margin: float,
    metric: str = "mae",
    subject: ArrayLike | None = None,
    interval: str = "bca",
    alpha: float = 0.05,
    resamples: int = 10_000,
    seed: int = 1,
) -> Claim:
    """Is test `a` not worse than test `b` by `margin` or more? metric(a) - metric(b) < margin, margin >= 0.

    Arrays (n,); metric "mae" or "rmse"; paired interval of confidence 1 - 2 alpha, one side of which decides: "bca", or
    "jackknife" where there are fewer than about 100 subjects (see `compare_errors`). With margin 0 it is superiority.
    """
    if not margin >= 0:
        raise OutOfRange(f"the margin must not be negative, and is {margin}")
    option(interval, INTERVALS, "interval")
    table, drawn = _paired(a, b, reference, metric, subject, alpha, resamples, seed)
    estimate = interval_of(drawn["a"][metric].minus(drawn["b"][metric]), interval, level=1 - 2 * alpha)
    claim = f"{metric} of a not more than {margin:g} above that of b" if margin else f"{metric} of a below that of b"
    return Claim(claim, judge(estimate, high=margin), estimate, None, len(table.test))


def superiority_by_ratio(
    a: ArrayLike,
    b: ArrayLike,
    reference: ArrayLike,
    *,
    factor: float,
    metric: str = "mae",
    subject: ArrayLike | None = None,
    interval: str = "bca",
    alpha: float = 0.05,
    resamples: int = 10_000,
    seed: int = 1,
) -> Claim:
    """Is test `a` at least `factor` times as accurate as `b`? metric(b) / metric(a) > factor, factor >= 1.

    "Twice as accurate" is factor 2. The interval is that of the ratio metric(b) / metric(a), confidence 1 - 2 alpha;
    "bca" or "jackknife" as in `non_inferiority`.
    """
    if not factor >= 1:
        raise OutOfRange(f"the factor must be at least 1, and is {factor}")
    option(interval, INTERVALS, "interval")
    table, drawn = _paired(a, b, reference, metric, subject, alpha, resamples, seed)
    logs = drawn["b"][metric].log().minus(drawn["a"][metric].log())
    ratio = ratio_of(logs, level=1 - 2 * alpha, interval=interval)
    claim = f"{metric} of b more than {factor:g} times that of a"
    return Claim(claim, judge(ratio, low=factor), ratio, None, len(table.test))


def _paired(a, b, reference, metric, subject, alpha, resamples, seed):
    if not 0 < alpha < 0.5:
        raise UnknownOption(f"alpha must lie between 0 and 0.5, and is {alpha}")
    option(metric, METRICS, "metric")
    x, y = pair(a, reference, least=1)
    z, _ = pair(b, reference, least=1)
    clusters = codes(subject, len(x))
    tables = {"a": ErrorTable(x, y, clusters), "b": ErrorTable(z, y, clusters)}
    return tables["a"], bootstrap_tables(tables, resamples=resamples, seed=seed, measures=[metric])


def within_margin(values: ArrayLike, *, low: float, high: float, level: float = 0.95) -> Claim:
    """Verdict on a mean (n,) against margins by its two-sided t interval; for group means and the like."""
    v = np.asarray(values, dtype=float)
    claim = equivalence_test(v, np.zeros_like(v), low=low, high=high, alpha=(1 - level) / 2)
    return Claim(f"mean between {low:g} and {high:g}", claim.verdict, claim.estimate, claim.p_value, claim.n)
