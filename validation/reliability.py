"""Intraclass correlation: the six forms of Shrout and Fleiss in the names of McGraw and Wong, with intervals.

Sources: Shrout PE, Fleiss JL. Psychol Bull 1979;86:420-428; McGraw KO, Wong SP. Psychol Methods 1996;1:30-46.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from validation.errors import Degenerate, NotEnoughData, ShapeMismatch
from validation.pairs import Floats, column, confidence
from validation.results import Estimate, Result, digits

FORMS = ("ICC(1,1)", "ICC(A,1)", "ICC(C,1)", "ICC(1,k)", "ICC(A,k)", "ICC(C,k)")


@dataclass(frozen=True)
class ICC(Result):
    """Six intraclass correlations of `n` subjects measured by `k` methods.

    1: one-way (methods not matched), A: two-way, absolute agreement, C: two-way, consistency; 1 for one measurement,
    k for the mean of k. f, df1, df2 and p_values test whether each correlation is zero.
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


def icc(ratings: ArrayLike, *, level: float = 0.95) -> ICC:
    """All six intraclass correlations of ratings (subjects, methods), two or more of each, without missing values.

    With mean squares MSR (subjects), MSC (methods), MSE (residual) and MSW (within subjects):
    ICC(1,1) = (MSR - MSW) / (MSR + (k-1) MSW); ICC(C,1) = (MSR - MSE) / (MSR + (k-1) MSE);
    ICC(A,1) = (MSR - MSE) / (MSR + (k-1) MSE + k (MSC - MSE) / n); ICC(., k) by Spearman and Brown.
    Intervals: F distributions; for absolute agreement Satterthwaite's degrees of freedom at the single form, and the
    interval of ICC(A,k) is that of ICC(A,1) carried over (as the packages psych and pingouin have it; irr takes
    degrees of freedom of its own at ICC(A,k), as McGraw and Wong do).

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
    return _icc(table, level)


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
