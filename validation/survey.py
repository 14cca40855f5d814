"""Complex surveys and multiply imputed references.

Weights make people stand for the population; strata and primary sampling units (PSUs) make the standard errors right.
Variances are by Taylor linearisation with PSUs drawn with replacement within strata, as in NHANES's own guidance.

Sources: Wolter KM. Introduction to variance estimation. 2007, chapter 6; Rubin DB. Multiple imputation for nonresponse
in surveys. 1987; Barnard J, Rubin DB. Biometrika 1999;86:948-955.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from validation.accuracy import key
from validation.agreement import differences
from validation.errors import Degenerate, NotEnoughData, OutOfRange, ShapeMismatch, ValidationError
from validation.pairs import Floats, codes, column, confidence, pair
from validation.results import Estimate, Result, number


@dataclass(frozen=True)
class SurveyDesign:
    """A survey's design for n rows: weights, and for each row its stratum and PSU (numbered over all strata)."""

    weights: Floats
    stratum_of_psu: NDArray[np.intp]
    psu: NDArray[np.intp]

    @property
    def df(self) -> int:
        """PSUs less strata."""
        return len(self.stratum_of_psu) - int(self.stratum_of_psu.max()) - 1

    def variance(self, score: Floats) -> float:
        """Variance of Σ score: Σ over strata of m/(m-1) Σ (PSU total - stratum mean)²."""
        totals = np.bincount(self.psu, score, len(self.stratum_of_psu))
        count = np.bincount(self.stratum_of_psu)
        mean = np.bincount(self.stratum_of_psu, totals) / count
        residual = totals - mean[self.stratum_of_psu]
        part = np.bincount(self.stratum_of_psu, residual**2)
        return float((part * count / (count - 1)).sum())


def survey_design(
    size: int,
    *,
    weights: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    psu: ArrayLike | None = None,
) -> SurveyDesign:
    """Check and number a design for `size` rows; without weights all are 1, without PSUs every row is one.

    PSU labels may repeat in different strata (as NHANES's do). Raises Degenerate for a stratum with one PSU: merge it
    with another, since its variance cannot be told.
    """
    w = np.ones(size) if weights is None else column(weights, "weights", least=1)
    if len(w) != size:
        raise ShapeMismatch(f"{len(w)} weights for {size} rows")
    if (w < 0).any() or w.sum() == 0:
        raise OutOfRange("weights must not be negative, and not all zero")
    stratum = np.zeros(size, dtype=np.intp) if strata is None else codes(strata, size, "strata")
    own = np.arange(size) if psu is None else codes(psu, size, "psu")
    unit = codes([f"{s}:{p}" for s, p in zip(stratum, own, strict=True)], size, "psu")
    of_psu = np.empty(int(unit.max()) + 1, dtype=np.intp)
    of_psu[unit] = stratum
    alone = np.flatnonzero(np.bincount(of_psu) < 2)
    if len(alone):
        raise Degenerate(f"{len(alone)} strata have a single PSU: merge them with others")
    return SurveyDesign(w, of_psu, unit)


def survey_mean(values: ArrayLike, plan: SurveyDesign, *, level: float = 0.95) -> Estimate:
    """Weighted mean Σ w v / Σ w of values (n,) with the design-based t interval (PSUs - strata degrees of freedom)."""
    confidence(level)
    v = column(values, "values", least=2)
    if len(v) != len(plan.weights):
        raise ShapeMismatch(f"{len(v)} values for a design of {len(plan.weights)} rows")
    total = plan.weights.sum()
    mean = float(plan.weights @ v / total)
    return _interval(mean, math.sqrt(plan.variance(plan.weights * (v - mean) / total)), plan.df, level)


def _interval(estimate: float, se: float, df: float, level: float, method: str = "Taylor") -> Estimate:
    if se == 0:
        return Estimate(estimate, None, None, level, method, "all values are equal")
    half = float(special.stdtrit(df, (1 + level) / 2)) * se
    return Estimate(estimate, estimate - half, estimate + half, level, method)


@dataclass(frozen=True)
class SurveyErrors(Result):
    """Weighted bias, SD and errors of a test for the population that the survey stands for.

    n: rows of positive weight; population: the sum of the weights; df: PSUs less strata.
    """

    n: int
    df: int
    population: float
    bias: Estimate
    sd: Estimate
    mae: Estimate
    rmse: Estimate
    within: dict[str, Estimate]


def survey_errors(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    psu: ArrayLike | None = None,
    within: Sequence[float] = (3, 5),
    level: float = 0.95,
) -> SurveyErrors:
    """Errors of test against reference, (n,) each, with design-based intervals; shares within ±k in percent.

    A subpopulation is asked for by giving weights of zero outside it, which keeps every stratum's PSUs.
    SD = sqrt(Σ w (d - bias)² / Σ w · m / (m - 1)) with m the rows of positive weight; its interval and that of
    RMSE = sqrt(weighted mean of d²) are by the delta method.
    """
    x, y = pair(test, reference, least=2)
    plan = survey_design(len(x), weights=weights, strata=strata, psu=psu)
    d, _ = differences(x, y)
    total = float(plan.weights.sum())
    m = int((plan.weights > 0).sum())
    if m < 2:
        raise NotEnoughData("fewer than two rows have a positive weight")
    bias = survey_mean(d, plan, level=level)
    centre = float(bias)
    variance = float(plan.weights @ (d - centre) ** 2) / total
    variance_se = math.sqrt(plan.variance(plan.weights * ((d - centre) ** 2 - variance) / total))
    msd = float(plan.weights @ d**2) / total
    msd_se = math.sqrt(plan.variance(plan.weights * (d**2 - msd) / total))
    factor = math.sqrt(m / (m - 1))

    def root(value: float, se: float, times: float = 1.0) -> Estimate:
        if value == 0:
            return Estimate(0.0, None, None, level, "Taylor", "all differences are equal")
        return _interval(times * math.sqrt(value), times * se / (2 * math.sqrt(value)), plan.df, level)

    absolute = np.abs(d)
    return SurveyErrors(
        n=m,
        df=plan.df,
        population=total,
        bias=bias,
        sd=root(variance, variance_se, factor),
        mae=survey_mean(absolute, plan, level=level),
        rmse=root(msd, msd_se),
        within={key(k): survey_mean(100.0 * (absolute <= k), plan, level=level) for k in within},
    )


@dataclass(frozen=True)
class Sample:
    """The rows (n,) of a survey: weights, and the labels of strata and PSUs where there are some."""

    weights: Floats
    strata: NDArray[np.object_] | None
    psu: NDArray[np.object_] | None

    def errors(
        self, test: Floats, reference: Floats, inside: NDArray[np.bool_], *, within: Sequence[float], level: float
    ) -> dict[str, Any]:
        """`survey_errors` of the rows `inside`, plain; every other row stays in its PSU with a weight of zero.

        What cannot be computed is empty, with the reason.
        """
        weights = np.where(inside, self.weights, 0.0)
        x, y = (np.where(inside, values, 0.0) for values in (test, reference))
        try:
            found = survey_errors(x, y, weights=weights, strata=self.strata, psu=self.psu, within=within, level=level)
        except ValidationError as error:
            nothing = Estimate.missing(str(error), level=level).to_dict()
            empty = {"n": int((weights > 0).sum()), "df": None, "population": None}
            names = dict.fromkeys(("bias", "sd", "mae", "rmse"), nothing)
            return {**empty, **names, "within": {key(k): nothing for k in within}}
        return found.to_dict()


@dataclass(frozen=True)
class RubinPooled(Result):
    """Estimate pooled over imputations; `missing_information` is the share of its variance due to imputation."""

    pooled: Estimate
    within_variance: float
    between_variance: float
    df: float
    missing_information: float

    def to_dict(self) -> dict[str, Any]:
        """Infinite degrees of freedom (nothing differs between imputations) are None."""
        return {**super().to_dict(), "df": number(self.df)}


def rubin(
    estimates: ArrayLike, variances: ArrayLike, *, complete_df: float = math.inf, level: float = 0.95
) -> RubinPooled:
    """Pool estimates and their squared standard errors, (m,) each, of m >= 2 imputed data sets.

    T = mean variance + (1 + 1/m) variance between; Barnard and Rubin's degrees of freedom for `complete_df` (that of
    the analysis without missing values).
    """
    confidence(level)
    q, u = column(estimates, "estimates", least=2), column(variances, "variances", least=2)
    if len(q) != len(u):
        raise ShapeMismatch(f"{len(q)} estimates and {len(u)} variances")
    if (u < 0).any():
        raise OutOfRange("a variance is negative")
    m = len(q)
    within, between = float(u.mean()), float(q.var(ddof=1))
    extra = (1 + 1 / m) * between
    total = within + extra
    if total == 0:
        raise Degenerate("all estimates are equal and have no variance")
    share = extra / total
    df_old = (m - 1) / share**2 if share > 0 else math.inf
    if math.isfinite(complete_df):
        observed = (complete_df + 1) / (complete_df + 3) * complete_df * (1 - share)
        df = observed if math.isinf(df_old) else 1 / (1 / df_old + 1 / observed) if observed > 0 else df_old
    else:
        df = df_old
    pooled = _interval(float(q.mean()), math.sqrt(total), df, level, "Rubin")
    return RubinPooled(pooled, within, between, df, share)


@dataclass(frozen=True)
class ImputedErrors(Result):
    """Errors pooled over imputed references; of each quantity the pooled estimate and what the imputation adds."""

    n: int
    imputations: int
    df: int
    bias: RubinPooled
    sd: RubinPooled
    mae: RubinPooled
    rmse: RubinPooled
    within: dict[str, RubinPooled]


def imputed_errors(
    test: ArrayLike,
    references: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    psu: ArrayLike | None = None,
    within: Sequence[float] = (3, 5),
    level: float = 0.95,
) -> ImputedErrors:
    """`survey_errors` of test (n,) against each of m imputed references (m, n), pooled by Rubin's rules.

    As for NHANES's DXA, whose missing values are imputed five times: one row of `references` an imputation. The degrees
    of freedom of the complete data are those of the design. Raises as `survey_errors`, and NotEnoughData below two
    imputations.
    """
    table = np.asarray(references, dtype=np.float64)
    if table.ndim != 2:
        raise ShapeMismatch(f"references must be imputations × rows, and have shape {table.shape}")
    if len(table) < 2:
        raise NotEnoughData(f"{len(table)} imputations where at least 2 are needed")
    design = {"weights": weights, "strata": strata, "psu": psu}
    found = [survey_errors(test, reference, within=within, level=level, **design) for reference in table]
    df = found[0].df
    t = float(special.stdtrit(df, (1 + level) / 2))

    def pooled(items: Sequence[Estimate]) -> RubinPooled:
        widths = [0.0 if item.low is None or item.high is None else (item.high - item.low) / 2 / t for item in items]
        values = [float(item) for item in items]
        if not any(widths) and len(set(values)) == 1:
            nothing = Estimate(values[0], None, None, level, "Rubin", items[0].reason or "all estimates are equal")
            return RubinPooled(nothing, 0.0, 0.0, math.inf, 0.0)
        return rubin(values, np.square(widths), complete_df=df, level=level)

    single = {name: pooled([getattr(item, name) for item in found]) for name in ("bias", "sd", "mae", "rmse")}
    shares = {name: pooled([item.within[name] for item in found]) for name in found[0].within}
    return ImputedErrors(found[0].n, len(table), df, within=shares, **single)
