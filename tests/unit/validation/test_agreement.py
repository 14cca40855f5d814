"""Bland–Altman: the published example, the four kinds of interval, and what happens at the edges."""

import math

import numpy as np
import pytest
from scipy import stats

from validation.agreement import (
    bland_altman,
    bradley_blackwood,
    exact_factors,
    limits_of_agreement,
    paired_factors,
    tolerance_factor,
)
from validation.errors import Degenerate, NotEnoughData, NotFinite, OutOfRange, ShapeMismatch, UnknownOption

# Peak expiratory flow, first readings, l/min. Bland JM, Altman DG. Lancet 1986;i:307-310, table 1.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_the_published_example():
    found = bland_altman(MINI, WRIGHT)
    assert found.n == 17
    assert found.bias.estimate == pytest.approx(2.11764705882353, rel=1e-12)
    assert found.bias.interval == pytest.approx((-17.8135435789981, 22.0488376966452), rel=1e-9)
    assert found.sd == pytest.approx(38.7651298736074, rel=1e-12)
    assert found.p_value == pytest.approx(0.824647673530377, rel=1e-9)
    assert found.limits.lower.estimate == pytest.approx(-73.8606113494646, rel=1e-9)
    assert found.limits.upper.estimate == pytest.approx(78.0959054671117, rel=1e-9)


@pytest.mark.parametrize(
    ("interval", "lower", "upper"),
    [
        ("exact", (-119.925504177193, -48.8596372990951), (53.0949314167422, 124.16079829484)),
        ("mover", (-117.588284428852, None), (None, 121.823578546499)),
        ("approximate", (-108.616259021664, None), (None, 112.851553139311)),
    ],
)
def test_intervals_of_the_limits(interval, lower, upper):
    limits = bland_altman(MINI, WRIGHT, limits_interval=interval).limits
    assert limits.interval == interval
    for ends, expected in ((limits.lower.interval, lower), (limits.upper.interval, upper)):
        for end, value in zip(ends, expected, strict=True):
            if value is not None:
                assert end == pytest.approx(value, rel=1e-9)


def test_the_exact_interval_covers_by_definition():
    # P(bias + k s > mu + z sigma) is the confidence of an upper bound: non-central t, by simulation.
    rng = np.random.default_rng(5)
    n, reps = 12, 200_000
    mean = rng.normal(size=reps) / math.sqrt(n)
    sd = np.sqrt(rng.chisquare(n - 1, reps) / (n - 1))
    inner, outer = exact_factors(n)
    z = stats.norm.ppf(0.975)
    covered = ((mean + inner * sd <= z) & (z <= mean + outer * sd)).mean()
    assert covered == pytest.approx(0.95, abs=0.0025)
    inner, outer = paired_factors(n)
    content = stats.norm.cdf(mean + outer * sd) - stats.norm.cdf(mean - outer * sd)
    assert (content >= 0.95).mean() == pytest.approx(0.975, abs=0.002)
    content = stats.norm.cdf(mean + inner * sd) - stats.norm.cdf(mean - inner * sd)
    assert (content >= 0.95).mean() == pytest.approx(0.025, abs=0.002)


def test_factors_at_large_n_stay_exact():
    assert exact_factors(500)[1] == pytest.approx(
        stats.nct.ppf(0.975, 499, stats.norm.ppf(0.975) * math.sqrt(500)) / math.sqrt(500), rel=1e-12
    )
    inner, outer = exact_factors(1_000_000)
    assert inner < 1.959964 < outer
    assert outer - inner == pytest.approx(2 * 1.959964 * math.sqrt((1 + 1.959964**2 / 2) / 1e6), rel=1e-3)
    assert tolerance_factor(17, 0.95, 0.95) == pytest.approx(2.868311893910631, rel=1e-9)


def test_proportional_bias():
    line = bland_altman(MINI, WRIGHT).proportional_bias
    assert line.slope.estimate == pytest.approx(-0.0286874451525492, rel=1e-9)
    assert line.slope.interval == pytest.approx((-0.216694953989055, 0.159320063683956), rel=1e-9)
    assert line.intercept.estimate == pytest.approx(15.067497300039, rel=1e-9)
    assert line.intercept.interval == pytest.approx((-72.2713678079863, 102.406362408064), rel=1e-9)
    assert line.p_value == pytest.approx(0.749498533649294, rel=1e-9)
    assert line.residual_sd == pytest.approx(39.8960341828377, rel=1e-9)


def test_scales():
    percent = bland_altman(MINI, WRIGHT, scale="percent")
    assert (percent.bias.estimate, percent.sd) == pytest.approx((1.15831412838962, 12.098394716495), rel=1e-9)
    of_reference = bland_altman(MINI, WRIGHT, scale="percent of reference")
    assert of_reference.limits.upper.estimate == pytest.approx(28.3343862521864, rel=1e-9)
    logs = bland_altman(MINI, WRIGHT, scale="log")
    assert logs.sd == pytest.approx(0.121888028067655, rel=1e-9)
    ratios = logs.ratios()
    assert ratios.bias.estimate == pytest.approx(1.01185425122165, rel=1e-9)
    assert ratios.limits.lower.estimate == pytest.approx(0.796831846751482, rel=1e-9)
    assert ratios.scale == "ratio"
    with pytest.raises(OutOfRange, match="positive"):
        bland_altman([1, 2, 0], [1, 2, 3], scale="log")


def test_all_differences_equal_gives_numbers_without_intervals_and_the_reason():
    found = bland_altman([3.0, 4.0, 5.0, 7.0], [1.0, 2.0, 3.0, 5.0])
    assert (found.bias.estimate, found.sd, found.p_value) == (2.0, 0.0, None)
    assert found.bias.low is None
    assert "equal" in found.bias.reason
    assert found.limits.upper.estimate == 2.0
    assert "equal" in found.limits.upper.reason
    assert found.proportional_bias.slope.estimate == 0.0


def test_a_constant_mean_has_no_slope():
    line = bland_altman([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]).proportional_bias
    assert line.slope.estimate is None
    assert "same" in line.slope.reason


@pytest.mark.parametrize(
    ("test", "reference", "error", "words"),
    [
        ([], [], NotEnoughData, "0 pairs"),
        ([1.0], [2.0], NotEnoughData, "1 pair where"),
        ([1.0, 2.0], [2.0, 3.0], NotEnoughData, "2 pairs"),
        ([1.0, 2.0, math.nan], [1.0, 2.0, 3.0], NotFinite, "1 missing or infinite"),
        ([1.0, 2.0, 4.0], [1.0, 2.0, math.inf], NotFinite, "reference"),
        ([1.0, 2.0, 1e300], [1.0, 2.0, 3.0], OutOfRange, r"1e[+]300"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], ShapeMismatch, "pairs"),
        (["a", "b", "c"], [1.0, 2.0, 3.0], NotFinite, "not a number"),
    ],
)
def test_what_cannot_be_analysed_is_refused_by_name(test, reference, error, words):
    with pytest.raises(error, match=words):
        bland_altman(test, reference)


def test_unknown_options_name_the_known_ones():
    with pytest.raises(UnknownOption, match="exact-paired"):
        bland_altman([1, 2, 4], [1, 2, 3], limits_interval="precise")
    with pytest.raises(UnknownOption, match="between 0 and 1"):
        limits_of_agreement(0, 1, 10, level=95)


def test_the_result_reads_as_text_dict_and_table():
    found = bland_altman(MINI, WRIGHT)
    assert "-73.861 (-119.926 to -48.860)" in str(found)
    assert set(found.to_dict()["limits"]) == {"lower", "upper", "interval", "level", "coverage"}
    assert "limits.lower" in set(found.to_frame()["quantity"])


def test_the_first_interval_of_bland_and_altman():
    """1986: standard error of a limit sqrt(3 s² / n). The paper has -114.3 to -45.1 and 40.9 to 110.1, with 2 SD."""
    limits = bland_altman(WRIGHT, MINI, coverage=1 - 2 * stats.norm.sf(2), limits_interval="approximate-1986").limits
    assert limits.lower.interval == pytest.approx((-114.3, -45.1), abs=0.25)
    assert limits.upper.interval == pytest.approx((40.9, 110.1), abs=0.25)


def test_bradley_and_blackwood_is_the_comparison_of_two_models():
    found = bradley_blackwood(MINI, WRIGHT)
    d, size = np.subtract(MINI, WRIGHT).astype(float), np.add(MINI, WRIGHT) / 2
    rss = np.polyfit(size, d, 1, full=True)[1][0]
    statistic = ((d @ d - rss) / 2) / (rss / 15)
    assert (found.statistic, found.df1, found.df2) == (pytest.approx(statistic), 2, 15)
    assert found.p_value == pytest.approx(stats.f.sf(statistic, 2, 15))
    assert found.p_value == pytest.approx(0.926404330701008, rel=1e-9)
    rng = np.random.default_rng(1)
    y = rng.normal(30, 8, 60)
    assert bradley_blackwood(y + 3 + rng.normal(0, 2, 60), y).p_value < 1e-6
    with pytest.raises(Degenerate):
        bradley_blackwood(y + 1, y)


def test_differences_that_are_equal_but_for_rounding_are_equal():
    values = np.arange(30) / 10
    found = bland_altman(values + 0.1, values)
    assert (found.sd, found.p_value) == (0.0, None)
    assert "equal" in found.limits.lower.reason
    ratio = bland_altman((values + 1) * 1.1, values + 1, scale="log")
    assert (ratio.sd, ratio.ratios().bias.estimate) == (0.0, pytest.approx(1.1))


def test_regression_on_the_reference_and_its_logarithm():
    x, y = np.array(MINI, dtype=float), np.array(WRIGHT, dtype=float)
    on = bland_altman(x, y, regress_on="reference").proportional_bias
    assert on.slope.estimate == pytest.approx(stats.linregress(y, x - y).slope)
    logs = bland_altman(x, y, scale="log", regress_on="reference").proportional_bias
    assert logs.slope.estimate == pytest.approx(stats.linregress(np.log(y), np.log(x / y)).slope)
