"""How closely two measurements follow the identity line (Lin) or any line (Pearson).

Sources: Lin LI. Biometrics 1989;45:255-268, with the corrected variance of Biometrics 2000;56:324-325;
Fisher RA. Biometrika 1915;10:507-521.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from validation.accuracy import ErrorTable
from validation.errors import Degenerate
from validation.pairs import Floats, codes, confidence, option, pair, same
from validation.resampling import INTERVALS, Distribution, bootstrap_sums, generator, interval_of, jackknife
from validation.results import Estimate, Result
from validation.slopes import concordance_scores


def moments(x: Floats, y: Floats) -> tuple[float, float, float, float]:
    """Variances and covariance with divisor n, and the difference of the means."""
    u, v = x - x.mean(), y - y.mean()
    n = len(x)
    return float(u @ u) / n, float(v @ v) / n, float(u @ v) / n, float(x.mean() - y.mean())


def refuse_constant(x: Floats, y: Floats) -> None:
    for name, values in (("test", x), ("reference", y)):
        if same(values):
            raise Degenerate(f"the {name} is constant")


def ccc(test: ArrayLike, reference: ArrayLike, *, level: float = 0.95, interval: str = "z-transform") -> Estimate:
    """Lin's concordance correlation coefficient, (n,) and (n,) -> -1 to 1.

    ccc = 2 s_xy / (s_x² + s_y² + (x̄ - ȳ)²) with variances of divisor n, as Lin 1989 has them.
    Interval: Fisher's z of ccc with Lin's asymptotic variance (corrected 2000) of divisor n - 2; "asymptotic" on the
    raw scale; or "jackknife" on Fisher's z, which does not ask for normal errors. Raises NotEnoughData below 3 pairs
    and Degenerate when a column is constant.
    """
    confidence(level), option(interval, ("z-transform", "asymptotic", "jackknife"), "interval")
    x, y = pair(test, reference, least=3)
    refuse_constant(x, y)
    if interval == "jackknife":
        return _from_sums("ccc", x, y, np.arange(len(x)), interval, level)
    sxx, syy, sxy, shift = moments(x, y)
    p = 2 * sxy / (sxx + syy + shift**2)
    method = f"Lin, {interval}"
    r = sxy / math.sqrt(sxx * syy)
    if abs(p) >= 1 - 1e-15 or r == 0:
        reason = "the concordance is perfect" if r != 0 else "the covariance is zero"
        return Estimate(p, None, None, level, method, reason)
    u2 = shift**2 / math.sqrt(sxx * syy)
    variance = (
        (1 - r * r) * p * p * (1 - p * p) / (r * r) + 2 * p**3 * (1 - p) * u2 / r - 0.5 * p**4 * u2 * u2 / (r * r)
    ) / (len(x) - 2)
    if variance <= 0:
        return Estimate(p, None, None, level, method, "the estimated variance is not positive")
    z, se = float(special.ndtri((1 + level) / 2)), math.sqrt(variance)
    if interval == "asymptotic":
        return Estimate(p, p - z * se, p + z * se, level, method)
    centre, half = math.atanh(p), z * se / (1 - p * p)
    return Estimate(p, math.tanh(centre - half), math.tanh(centre + half), level, method)


@dataclass(frozen=True)
class Concordance(Result):
    """Lin's coefficient taken apart: ccc = precision × accuracy.

    precision: Pearson's correlation, how closely the pairs follow a line. accuracy: C_b, how closely that line follows
    the identity. scale_shift: SD of the test over that of the reference. location_shift: difference of the means over
    the geometric mean of the SDs (divisors n).
    """

    n: int
    ccc: Estimate
    precision: Estimate
    accuracy: Estimate
    scale_shift: float
    location_shift: float


def ccc_parts(test: ArrayLike, reference: ArrayLike, *, level: float = 0.95) -> Concordance:
    """Lin's coefficient, its precision and its accuracy, of (n,) and (n,), n >= 4.

    With v the scale shift and u the location shift, accuracy = 2 / (v + 1/v + u²). Its interval is made on the logit
    with the variance [C²u²(v + 1/v - 2r) + C²(v² + 1/v² + 2r²)/2 + (1 + r²)(C u² - 1)] / ((n - 2)(1 - C)²) (Lin L et
    al. J Am Stat Assoc 2002;97:257-270). Raises as `ccc`.
    """
    x, y = pair(test, reference, least=4)
    refuse_constant(x, y)
    whole, r = ccc(x, y, level=level), pearson(x, y, level=level)
    sxx, syy, sxy, shift = moments(x, y)
    v, u2 = math.sqrt(sxx / syy), shift**2 / math.sqrt(sxx * syy)
    accuracy = 2 / (v + 1 / v + u2)
    method, part = "Lin 2002, logit", None
    p = sxy / math.sqrt(sxx * syy)
    if accuracy < 1 - 1e-12:
        c2 = accuracy**2
        part = (
            c2 * u2 * (v + 1 / v - 2 * p) + c2 * (v * v + 1 / v**2 + 2 * p * p) / 2 + (1 + p * p) * (accuracy * u2 - 1)
        )
    if part is None or part <= 0:
        reason = "the accuracy is perfect" if part is None else "the estimated variance is not positive"
        found = Estimate(accuracy, None, None, level, method, reason)
    else:
        half = float(special.ndtri((1 + level) / 2)) * math.sqrt(part / (len(x) - 2)) / (1 - accuracy)
        centre = float(special.logit(accuracy))
        ends = float(special.expit(centre - half)), float(special.expit(centre + half))
        found = Estimate(accuracy, *ends, level, method)
    return Concordance(len(x), whole, r, found, v, shift / math.sqrt(math.sqrt(sxx * syy)))


def ccc_repeated(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    subject: ArrayLike,
    interval: str = "bca",
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
) -> Estimate:
    """Lin's coefficient for pairs (n,) repeated within subjects (n,), whose occasions may be exchanged.

    The moments are those of all pairs together, which is the repeated-measures coefficient of King, Chinchilli and
    Carrasco (Stat Med 2007;26:3095-3113) with the identity as its weights and one mean for all occasions. Interval: BCa
    over subjects drawn whole, or "jackknife" over subjects on Fisher's z, which holds its level better with few of
    them; nothing is assumed of the correlation within subjects. Raises as `ccc`.
    """
    confidence(level), option(interval, INTERVALS, "interval")
    x, y = pair(test, reference, least=3)
    refuse_constant(x, y)
    return _from_sums("ccc", x, y, codes(subject, len(x)), interval, level, resamples, seed)


def _from_sums(
    name: str,
    x: Floats,
    y: Floats,
    clusters: NDArray[np.intp],
    interval: str,
    level: float,
    resamples: int = 0,
    seed: int = 1,
) -> Estimate:
    """A coefficient and its interval by leaving out or drawing subjects."""
    table = ErrorTable(x, y, clusters, ())
    drawn = bootstrap_sums(
        table.sums,
        {name: table.measures()[name]},
        resamples=resamples if interval == "bca" else 0,
        rng=generator(seed, f"repeated {name}"),
    )
    return interval_of(drawn[name], interval, level=level, scale="z")


def pearson(test: ArrayLike, reference: ArrayLike, *, level: float = 0.95, interval: str = "fisher") -> Estimate:
    """Pearson's correlation with Fisher's z interval: tanh(atanh(r) ± z / sqrt(n - 3)), n >= 4 for the interval.

    `interval` "jackknife" is made on the same scale without asking for normal errors. Raises NotEnoughData below 3
    pairs and Degenerate when a column is constant.
    """
    confidence(level), option(interval, ("fisher", "jackknife"), "interval")
    x, y = pair(test, reference, least=3)
    refuse_constant(x, y)
    if interval == "jackknife":
        return _from_sums("pearson", x, y, np.arange(len(x)), interval, level)
    sxx, syy, sxy, _ = moments(x, y)
    r = max(-1.0, min(1.0, sxy / math.sqrt(sxx * syy)))
    return fisher(r, 1 / math.sqrt(len(x) - 3) if len(x) > 3 else math.inf, level=level, method="Fisher z")


def spearman(test: ArrayLike, reference: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Spearman's rank correlation, mean ranks for ties.

    Interval: Fisher's z with standard error sqrt((1 + r²/2) / (n - 3)) (Bonett DG, Wright TA. Psychometrika
    2000;65:23-28). Raises as `pearson`.
    """
    confidence(level)
    x, y = pair(test, reference, least=3)
    refuse_constant(x, y)
    u, v = stats.rankdata(x), stats.rankdata(y)
    suu, svv, suv, _ = moments(u, v)
    r = max(-1.0, min(1.0, suv / math.sqrt(suu * svv)))
    se = math.sqrt((1 + r * r / 2) / (len(x) - 3)) if len(x) > 3 else math.inf
    return fisher(r, se, level=level, method="Fisher z, Bonett–Wright")


def kendall(test: ArrayLike, reference: ArrayLike, *, level: float = 0.95, interval: str = "bonett-wright") -> Estimate:
    """Kendall's tau-b.

    Interval on Fisher's z: "bonett-wright" with standard error sqrt(0.437 / (n - 4)) (Bonett and Wright 2000), n >= 5,
    meant for |tau| below 0.8; or "jackknife" over the pairs, which also holds where methods agree closely. Raises as
    `pearson`.
    """
    confidence(level), option(interval, ("bonett-wright", "jackknife"), "interval")
    x, y = pair(test, reference, least=3)
    refuse_constant(x, y)
    tau = max(-1.0, min(1.0, float(stats.kendalltau(x, y).statistic)))
    if interval == "jackknife":
        return jackknife(Distribution(tau, np.empty(0), (_tau_without_one(x, y),)), level=level, scale="z")
    if len(x) < 5:
        reason = f"{len(x)} pairs where at least 5 are needed for the interval"
        return Estimate(tau, None, None, level, "Fisher z, Bonett–Wright", reason)
    return fisher(tau, math.sqrt(0.437 / (len(x) - 4)), level=level, method="Fisher z, Bonett–Wright")


def _tau_without_one(x: Floats, y: Floats) -> Floats:
    """Kendall's tau-b without each of the pairs, (n,), from what each pair adds to its three counts."""
    ranks = [np.unique(values, return_inverse=True)[1] for values in (x, y)]
    score = concordance_scores(*(rank.astype(float) for rank in ranks))
    # Of each pair, the others that differ from it in x, and in y.
    apart = [len(x) - np.bincount(rank)[rank] for rank in ranks]
    first, second = (each.sum() / 2 - each for each in apart)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip((score.sum() / 2 - score) / np.sqrt(first * second), -1.0, 1.0)


def fisher(r: float, se: float, *, level: float, method: str) -> Estimate:
    """Interval of a correlation on Fisher's scale with standard error `se` there."""
    if not math.isfinite(se):
        return Estimate(r, None, None, level, method, "3 pairs where at least 4 are needed for the interval")
    if abs(r) >= 1 - 1e-15:
        return Estimate(r, None, None, level, method, "the correlation is perfect")
    half = float(special.ndtri((1 + level) / 2)) * se
    return Estimate(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half), level, method)
