"""Intraclass correlation: the six forms of Shrout and Fleiss in the names of McGraw and Wong, with intervals.

Sources: Shrout PE, Fleiss JL. Psychol Bull 1979;86:420-428; McGraw KO, Wong SP. Psychol Methods 1996;1:30-46;
Arvesen JN, Schmitz TH. Biometrics 1970;26:677-686 (jackknife of ratios of variance components).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from validation.errors import Degenerate, NotEnoughData, ShapeMismatch
from validation.pairs import Floats, codes, column, confidence, option
from validation.resampling import Measure, add_up, bootstrap_sums, generator, interval_of
from validation.results import Estimate, Result, digits

FORMS = ("ICC(1,1)", "ICC(A,1)", "ICC(C,1)", "ICC(1,k)", "ICC(A,k)", "ICC(C,k)")
INTERVALS = ("f", "jackknife", "bca")


@dataclass(frozen=True)
class ICC(Result):
    """Six intraclass correlations of `n` subjects measured by `k` methods.

    1: one-way (methods not matched), A: two-way, absolute agreement, C: two-way, consistency; 1 for one measurement,
    k for the mean of k. f, df1, df2 and p_values test whether each correlation is zero, taking the rows for
    independent.
    """

    n: int
    k: int
    forms: dict[str, Estimate]
    f: dict[str, float]
    df1: dict[str, float]
    df2: dict[str, float]
    p_values: dict[str, float]

    def __getitem__(self, form: str) -> Estimate:
        return self.forms[form]

    def to_dict(self) -> dict[str, Any]:
        return {name: item.to_dict() for name, item in self.forms.items()}

    def __str__(self) -> str:
        lines = [f"Intraclass correlation, {self.n} subjects × {self.k} methods"]
        lines += [f"  {name}  {item}, p = {digits(self.p_values[name])}" for name, item in self.forms.items()]
        return "\n".join(lines)


def icc(
    ratings: ArrayLike,
    *,
    subject: ArrayLike | None = None,
    interval: str | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
) -> ICC:
    """All six intraclass correlations of ratings (subjects, methods), two or more of each, without missing values.

    With mean squares MSR (subjects), MSC (methods), MSE (residual) and MSW (within subjects):
    ICC(1,1) = (MSR - MSW) / (MSR + (k-1) MSW); ICC(C,1) = (MSR - MSE) / (MSR + (k-1) MSE);
    ICC(A,1) = (MSR - MSE) / (MSR + (k-1) MSE + k (MSC - MSE) / n); ICC(., k) by Spearman and Brown.
    Intervals, `interval`:
    "f": F distributions; for absolute agreement Satterthwaite's degrees of freedom at the single form, and the interval
        of ICC(A,k) is that of ICC(A,1) carried over (as the packages psych and pingouin have it; irr takes degrees of
        freedom of its own at ICC(A,k), as McGraw and Wong do). Its theory takes the methods for a sample of methods:
        where two methods differ by a bias of their own, that of ICC(A,·) is wider than it need be.
    "jackknife": subjects are left out one by one, Fisher's z of the single form, t. Nothing is assumed of the methods,
        the errors, or the correlation within subjects.
    "bca": subjects are drawn whole.

    subject: (rows,) labels of rows that belong to one subject (several occasions). The coefficients are those of all
        rows; the interval cannot then be "f", and is "jackknife" when none is named.

    Raises NotEnoughData, NotFinite, ShapeMismatch, Degenerate (all values equal).
    """
    confidence(level)
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2:
        raise ShapeMismatch(f"ratings must be subjects × methods, and have shape {table.shape}")
    n, k = table.shape
    if n < 2 or k < 2:
        raise NotEnoughData(f"{n} subjects × {k} methods where at least 2 × 2 are needed")
    column(table.ravel(), "ratings")
    if (table == table[0, 0]).all():
        raise Degenerate("all values are equal")
    clusters = codes(subject, n)
    repeated = int(clusters.max()) + 1 < n
    if interval is None:
        interval = "jackknife" if repeated else "f"
    option(interval, INTERVALS[1:] if repeated else INTERVALS, "interval")
    found = _icc(table, level)
    if interval == "f":
        return found
    centred = table - table.mean()
    columns = [np.ones(n), *centred.T, (centred**2).sum(axis=1), centred.sum(axis=1) ** 2]
    drawn = bootstrap_sums(
        add_up(np.column_stack(columns), clusters),
        _single(k),
        resamples=resamples if interval == "bca" else 0,
        rng=generator(seed, "icc"),
    )
    forms = dict(found.forms)
    for name in ("1", "A", "C"):
        one = interval_of(drawn[f"ICC({name},1)"], interval, level=level, scale="z")
        for form, point in ((f"ICC({name},1)", one), (f"ICC({name},k)", one.map(lambda v: _stepped_up(v, k)))):
            # Mean squares tell rounding from a spread: the points are theirs, and where they see none so is the reason.
            if found.forms[form].low is not None:
                forms[form] = replace(point, estimate=found.forms[form].estimate)
    return replace(found, forms=forms)


def _stepped_up(single: float, k: int) -> float:
    """The correlation of means of k from that of single values (Spearman and Brown); NaN where it has no meaning."""
    divisor = 1 + (k - 1) * single
    return k * single / divisor if divisor > 0 else math.nan


def _single(k: int) -> dict[str, Measure]:
    """The single forms as functions of totals: rows, k sums of the methods, sum of squares, of squared row sums."""

    def parts(totals: Floats) -> tuple[Floats, ...]:
        n, columns, squares, rows = totals[..., 0], totals[..., 1:-2], totals[..., -2], totals[..., -1]
        centre = columns.sum(axis=-1) ** 2 / (n * k)
        ssr, ssc = rows / k - centre, (columns**2).sum(axis=-1) / n - centre
        msr, msc, msw = ssr / (n - 1), ssc / (k - 1), (squares - rows / k) / (n * (k - 1))
        mse = (squares - centre - ssr - ssc) / ((n - 1) * (k - 1))
        return n, msr, msc, mse, msw

    def one_way(totals: Floats) -> Floats:
        _, msr, _, _, msw = parts(totals)
        return (msr - msw) / (msr + (k - 1) * msw)

    def consistency(totals: Floats) -> Floats:
        _, msr, _, mse, _ = parts(totals)
        return (msr - mse) / (msr + (k - 1) * mse)

    def agreement(totals: Floats) -> Floats:
        n, msr, msc, mse, _ = parts(totals)
        return (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)

    return {"ICC(1,1)": one_way, "ICC(A,1)": agreement, "ICC(C,1)": consistency}


def _icc(table: Floats, level: float) -> ICC:
    n, k = table.shape
    table = table - table.mean()
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    msr = k * float(rows @ rows) / (n - 1)
    msc = n * float(columns @ columns) / (k - 1)
    within = table - rows[:, None]
    residual = within - columns
    msw = float((within**2).sum()) / (n * (k - 1))
    mse = float((residual**2).sum()) / ((n - 1) * (k - 1))
    tiny = 1e-26 * float((table**2).sum())
    msr, msw, mse = (0.0 if value < tiny else value for value in (msr, msw, mse))

    df_one, df_two = n * (k - 1), (n - 1) * (k - 1)
    forms: dict[str, Estimate] = {}
    f, df1, df2 = {}, {}, {}
    for name, error, df in (("1", msw, df_one), ("C", mse, df_two)):
        method, reason = "F", "the residual variance is zero"
        single = _ratio(msr - error, msr + (k - 1) * error)
        average = _ratio(msr - error, msr)
        ratio = msr / error if error > 0 else math.inf
        if 0 < ratio < math.inf:
            low = ratio / _f(n - 1, df, level)
            high = ratio * _f(df, n - 1, level)
            forms[f"ICC({name},1)"] = Estimate(
                single, (low - 1) / (low + k - 1), (high - 1) / (high + k - 1), level, method
            )
            forms[f"ICC({name},k)"] = Estimate(average, 1 - 1 / low, 1 - 1 / high, level, method)
        else:
            if msr == 0:
                reason = "the subjects do not differ"
            forms[f"ICC({name},1)"] = Estimate(single, None, None, level, method, reason)
            forms[f"ICC({name},k)"] = Estimate(average, None, None, level, method, reason)
        for form in (f"ICC({name},1)", f"ICC({name},k)"):
            f[form], df1[form], df2[form] = ratio, n - 1, df

    single = _ratio(msr - mse, msr + (k - 1) * mse + k * (msc - mse) / n)
    average = _ratio(msr - mse, msr + (msc - mse) / n)
    if mse > 0 and msr > 0 and math.isfinite(single):
        ratio = msc / mse
        part = n * (1 + (k - 1) * single) - k * single
        numerator = (k - 1) * (n - 1) * (k * single * ratio + part) ** 2
        v = _ratio(numerator, (n - 1) * k**2 * single**2 * ratio**2 + part**2)
        upper, lower = _f(n - 1, v, level), _f(v, n - 1, level)
        rest = k * msc + (k * n - k - n) * mse
        low = _ratio(n * (msr - upper * mse), upper * rest + n * msr)
        high = _ratio(n * (lower * msr - mse), rest + n * lower * msr)
        forms["ICC(A,1)"] = Estimate(single, low, high, level, "F, Satterthwaite")
        forms["ICC(A,k)"] = Estimate(
            average,
            _ratio(low * k, 1 + low * (k - 1)),
            _ratio(high * k, 1 + high * (k - 1)),
            level,
            "F, Satterthwaite",
        )
    else:
        reason = "the residual variance is zero" if msr > 0 else "the subjects do not differ"
        forms["ICC(A,1)"] = Estimate(single, None, None, level, "F, Satterthwaite", reason)
        forms["ICC(A,k)"] = Estimate(average, None, None, level, "F, Satterthwaite", reason)
    for form in ("ICC(A,1)", "ICC(A,k)"):
        f[form], df1[form], df2[form] = f["ICC(C,1)"], n - 1, df_two
    p_values = {form: float(special.fdtrc(df1[form], df2[form], f[form])) for form in FORMS}
    return ICC(n, k, {form: forms[form] for form in FORMS}, f, df1, df2, p_values)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if abs(denominator) > 0 else math.nan


def _f(df1: float, df2: float, level: float) -> float:
    return float(special.fdtri(df1, df2, (1 + level) / 2))
