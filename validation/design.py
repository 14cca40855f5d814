"""How many subjects: sample size and power by formula where there is one, else by simulation.

Sources: Lu MJ et al. Int J Biostat 2016;12(2) (limits of agreement); Shieh G. Stat Biopharm Res 2020;12:352-359 (exact
test of agreement); Jan SL, Shieh G. Comput Biol Med 2018;100:247-252 (expected width and assurance); Lin LI. Biometrics
1992;48:599-604 (concordance).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from validation.agreement import chi_mean, equal_tailed_factor
from validation.errors import NotConverged, OutOfRange
from validation.pairs import at_least, confidence, number, positive
from validation.proportions import wilson
from validation.resampling import generator
from validation.results import Estimate, Result

MOST = 1_000_000
# Non-centralities beyond which a t of the other sign (probability below 1e-13) or of this sign is not looked for.
NEVER, ALWAYS = -7.5, 1000.0


@dataclass(frozen=True)
class Design(Result):
    """`n` subjects (a group, where there are two) give this `power`; `assumptions` holds what was assumed."""

    n: int
    power: float
    method: str
    assumptions: dict[str, float]


def smallest(power_at: Callable[[int], float], power: float, *, least: int = 3) -> int:
    """Smallest n whose power is at least `power`, by doubling and bisection; power must not fall with n."""
    high = least
    while power_at(high) < power:
        high *= 2
        if high > MOST:
            raise NotConverged(
                f"not even {MOST:,} subjects give a power of {power}: the claim is too close to the truth"
            )
    low = max(least - 1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_at(middle) >= power else (middle, high)
    return high


def beyond(t: float, df: float, shift: float) -> float:
    """P(T > t), t > 0, of the non-central t distribution; SciPy's is NaN far out on the other side."""
    if shift < NEVER or shift > ALWAYS:
        return float(shift > 0)
    return float(stats.nct.sf(t, df, shift))


def limits_power(
    n: int, *, bias: float, sd: float, margin: float, coverage: float = 0.95, level: float = 0.95
) -> float:
    """Power to show that both limits of agreement lie within ±margin, each with an interval of `level` (Lu 2016).

    Limits' standard error s sqrt(1/n + z²/(2(n-1))); power = 1 - β_upper - β_lower, each β a non-central t
    probability with n - 1 degrees of freedom; never below 0. bias, sd and margin in one unit. An approximation: it
    may be six percentage points from the truth; `agreement_test` is exact.
    """
    positive(sd=sd, margin=margin)
    number(bias, "bias"), at_least(n, 2), confidence(level), confidence(coverage, "coverage")
    z = float(special.ndtri((1 + coverage) / 2))
    se = sd * math.sqrt(1 / n + z * z / (2 * (n - 1)))
    t = float(special.stdtrit(n - 1, (1 + level) / 2))
    missed = 0.0
    for room in (margin - bias - z * sd, margin + bias - z * sd):
        missed += 1 - beyond(t, n - 1, room / se)
    return max(0.0, 1 - missed)


def limits_sample_size(
    *, bias: float, sd: float, margin: float, power: float = 0.8, coverage: float = 0.95, level: float = 0.95
) -> Design:
    """Smallest n for `limits_power`. (For Lu's worked example, bias 0.001167, SD 0.001129, margin 0.004, this
    computation gives 79, as does R; some texts print 83.)"""

    def at(n: int) -> float:
        return limits_power(n, bias=bias, sd=sd, margin=margin, coverage=coverage, level=level)

    n = smallest(at, power)
    return Design(n, at(n), "Lu 2016", {"bias": bias, "sd": sd, "margin": margin, "level": level, "coverage": coverage})


@dataclass(frozen=True)
class AgreementTest(Result):
    """Exact test that a share of at least `coverage` of the differences lies centrally within ±margin (Shieh).

    Agreement is shown when mean ± critical × sd / √n lies inside ±margin.
    """

    n: int
    power: float
    critical: float
    share: float


def agreement_test(
    n: int, *, bias: float, sd: float, margin: float, coverage: float = 0.95, alpha: float = 0.05
) -> AgreementTest:
    """Critical value and power of the exact agreement test for n differences with this true bias and SD.

    `share` is the true share within ±margin.
    """
    positive(sd=sd, margin=margin)
    number(bias, "bias"), at_least(n, 3), confidence(coverage, "coverage"), confidence(alpha, "alpha")
    z, df, root = float(special.ndtri((1 + coverage) / 2)), n - 1, math.sqrt(n)

    def size(g: float) -> float:
        return chi_mean(lambda r: 2 * special.ndtr(z * root - g * r) - 1, df, high=z * root / g) - alpha

    critical = float(optimize.brentq(size, 1e-3, 100 * z * root, xtol=1e-12, rtol=1e-13))
    se = sd / root

    def inside(r):
        return special.ndtr((margin - bias) / se - critical * r) - special.ndtr((-margin - bias) / se + critical * r)

    power = chi_mean(inside, df, high=margin / (se * critical))
    share = float(special.ndtr((margin - bias) / sd) - special.ndtr((-margin - bias) / sd))
    return AgreementTest(n, power, critical, share)


def agreement_test_sample_size(
    *, bias: float, sd: float, margin: float, coverage: float = 0.95, alpha: float = 0.05, power: float = 0.8
) -> AgreementTest:
    """Smallest n for `agreement_test`."""

    def at(n: int) -> AgreementTest:
        return agreement_test(n, bias=bias, sd=sd, margin=margin, coverage=coverage, alpha=alpha)

    return at(smallest(lambda n: at(n).power, power, least=5))


def expected_half_width(n: int, *, sd: float = 1.0, coverage: float = 0.95, level: float = 0.95) -> float:
    """Expected half width of the simultaneous interval for both limits of agreement: g E[s] (Jan and Shieh)."""
    positive(sd=sd)
    df = at_least(n, 2) - 1
    mean_sd = sd * math.sqrt(2 / df) * math.exp(special.gammaln(n / 2) - special.gammaln(df / 2))
    return equal_tailed_factor(n, coverage, level) * mean_sd


def half_width_sample_size(*, width: float, sd: float = 1.0, coverage: float = 0.95, level: float = 0.95) -> int:
    """Smallest n whose expected half width is at most `width`."""
    positive(width=width)
    return smallest(lambda n: -expected_half_width(n, sd=sd, coverage=coverage, level=level), -width, least=5)


def assurance(n: int, *, width: float, sd: float = 1.0, coverage: float = 0.95, level: float = 0.95) -> float:
    """Probability that the half width of the simultaneous interval for both limits is at most `width` (Jan, Shieh)."""
    positive(width=width, sd=sd), at_least(n, 2)
    g = equal_tailed_factor(n, coverage, level)
    return float(special.chdtr(n - 1, (n - 1) * (width / (g * sd)) ** 2))


def assurance_sample_size(
    *, width: float, probability: float = 0.9, sd: float = 1.0, coverage: float = 0.95, level: float = 0.95
) -> int:
    """Smallest n whose `assurance` is at least `probability`."""
    return smallest(lambda n: assurance(n, width=width, sd=sd, coverage=coverage, level=level), probability, least=5)


def ccc_power(n: int, *, true: float, least: float, r: float | None = None, alpha: float = 0.05) -> float:
    """Power to show that Lin's coefficient exceeds `least` (one-sided, z-transform) when it is `true`.

    Lin's asymptotic variance, with `r` the true correlation (the coefficient itself, that is no bias, if not given).
    """
    r = true if r is None else r
    at_least(n, 3), confidence(alpha, "alpha")
    if not -1 < least < true < 1 or abs(r) > 1 or abs(true) > abs(r):
        raise OutOfRange("it needs -1 < least < true < 1, and a correlation at least as large as the coefficient")
    u2 = 2 * (r / true - 1)  # no difference of scale: (x̄ - ȳ)² / (s_x s_y)
    p = true
    variance = (1 - r * r) * p * p * (1 - p * p) / (r * r) + 2 * p**3 * (1 - p) * u2 / r - p**4 * u2 * u2 / (2 * r * r)
    se = math.sqrt(variance / (n - 2)) / (1 - p * p)
    return float(special.ndtr((math.atanh(true) - math.atanh(least)) / se - special.ndtri(1 - alpha)))


def ccc_sample_size(
    *, true: float, least: float, r: float | None = None, power: float = 0.8, alpha: float = 0.05
) -> Design:
    """Smallest n for `ccc_power`."""

    def at(n: int) -> float:
        return ccc_power(n, true=true, least=least, r=r, alpha=alpha)

    n = smallest(at, power, least=4)
    return Design(n, at(n), "Lin 1992", {"true": true, "least": least, "alpha": alpha})


# Coefficient of variation of the absolute value of a normal variable with mean zero.
HALF_NORMAL_CV = math.sqrt(math.pi / 2 - 1)


def mae_ratio_power(
    n: int,
    *,
    ratio: float,
    claimed: float = 1.0,
    correlation: float = 0.0,
    cv_a: float = HALF_NORMAL_CV,
    cv_b: float = HALF_NORMAL_CV,
    alpha: float = 0.05,
) -> float:
    """Power to show that MAE(b) / MAE(a) exceeds `claimed` (one-sided) when it is `ratio`, on the same n subjects.

    Delta method on the logarithm: variance (cv_a² + cv_b² - 2 correlation cv_a cv_b) / n with the coefficients of
    variation of the absolute errors (0.7555 for unbiased normal errors) and their correlation.
    """
    positive(ratio=ratio, claimed=claimed, cv_a=cv_a, cv_b=cv_b), at_least(n, 2), confidence(alpha, "alpha")
    if not ratio > claimed or not -1 < correlation < 1:
        raise OutOfRange("it needs ratio > claimed > 0 and a correlation between -1 and 1")
    se = math.sqrt((cv_a**2 + cv_b**2 - 2 * correlation * cv_a * cv_b) / n)
    return float(special.ndtr(math.log(ratio / claimed) / se - special.ndtri(1 - alpha)))


def mae_ratio_sample_size(
    *, ratio: float, claimed: float = 1.0, correlation: float = 0.0, power: float = 0.8, alpha: float = 0.05
) -> Design:
    """Smallest n for `mae_ratio_power`."""

    def at(n: int) -> float:
        return mae_ratio_power(n, ratio=ratio, claimed=claimed, correlation=correlation, alpha=alpha)

    n = smallest(at, power)
    return Design(n, at(n), "delta method", {"ratio": ratio, "claimed": claimed, "correlation": correlation})


def precision_df(*, excess: float, level: float = 0.95) -> int:
    """Degrees of freedom for which the one-sided upper limit of an SD lies at most `excess` (0.3: 30 %) above it.

    Smallest df with sqrt(df / chi²(1 - level; df)) <= 1 + excess. Duplicates of n subjects give n, triplicates 2 n.
    """
    positive(excess=excess), confidence(level)
    return smallest(lambda df: -math.sqrt(df / float(special.chdtri(df, level))), -(1 + excess), least=2)


def gap_power(n_a: int, n_b: int, *, gap: float, sd_a: float, sd_b: float, alpha: float = 0.05) -> float:
    """Power of Welch's two-sided test for a difference of means `gap` between two groups (bias, or MAE with the SDs
    of the absolute errors)."""
    positive(sd_a=sd_a, sd_b=sd_b)
    number(gap, "gap"), at_least(n_a, 2), at_least(n_b, 2), confidence(alpha, "alpha")
    va, vb = sd_a**2 / n_a, sd_b**2 / n_b
    df = (va + vb) ** 2 / (va**2 / (n_a - 1) + vb**2 / (n_b - 1))
    t, shift = float(special.stdtrit(df, 1 - alpha / 2)), gap / math.sqrt(va + vb)
    return beyond(t, df, shift) + beyond(t, df, -shift)


def gap_sample_size(
    *, gap: float, sd_a: float, sd_b: float, ratio: float = 1.0, power: float = 0.8, alpha: float = 0.05
) -> Design:
    """Smallest size of group a (b is `ratio` times as large) for `gap_power`."""
    positive(gap=gap, ratio=ratio)

    def at(n: int) -> float:
        return gap_power(n, max(2, round(ratio * n)), gap=gap, sd_a=sd_a, sd_b=sd_b, alpha=alpha)

    n = smallest(at, power, least=2)
    return Design(n, at(n), "Welch t", {"gap": gap, "sd_a": sd_a, "sd_b": sd_b, "ratio": ratio})


def detectable_gap(n_a: int, n_b: int, *, sd_a: float, sd_b: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest difference of means that Welch's test finds with this power, for the groups at hand."""
    positive(sd_a=sd_a, sd_b=sd_b), at_least(n_a, 2), at_least(n_b, 2), confidence(power, "power")
    scale = math.sqrt(sd_a**2 / n_a + sd_b**2 / n_b)

    def short(gap: float) -> float:
        return gap_power(n_a, n_b, gap=gap, sd_a=sd_a, sd_b=sd_b, alpha=alpha) - power

    high = 4 * scale
    while short(high) < 0:
        high *= 2
    return float(optimize.brentq(short, 0.0, high, xtol=1e-12 * scale))


def by_simulation(
    succeeds: Callable[[np.random.Generator, int], bool],
    n: int,
    *,
    runs: int = 1000,
    seed: int = 1,
    level: float = 0.95,
) -> Estimate:
    """Power of any decision: the share of `runs` simulated studies of n subjects in which it is taken (Wilson).

    `succeeds(rng, n)` draws one study and says whether its claim was met.
    """
    at_least(n, 1), at_least(runs, 1, "runs")
    rng = generator(seed, "power", n)
    return wilson(sum(bool(succeeds(rng, n)) for _ in range(runs)), runs, level=level)
