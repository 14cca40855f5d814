"""Two tests against one reference, and adjustment for many tests."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from validation import (
    Estimate,
    benjamini_hochberg,
    ccc,
    clopper_pearson,
    compare_errors,
    holm,
    pitman_morgan,
    wilson,
)
from validation.comparison import METRICS
from validation.errors import NotEnoughData, OutOfRange, ShapeMismatch, UnknownOption


def three(n=60):
    rng = np.random.default_rng(5)
    reference = rng.normal(30, 8, n)
    return reference + rng.normal(0, 2, n), reference + rng.normal(0, 4, n), reference


def test_difference_and_ratio():
    scan, scale, dxa = three()
    mae, rmse = compare_errors(scan, scale, dxa, names=("scan", "scale"), resamples=2000)
    a, b = np.abs(scan - dxa).mean(), np.abs(scale - dxa).mean()
    assert (mae.difference.estimate, mae.ratio.estimate) == pytest.approx((a - b, a / b))
    assert mae.ratio.low < a / b < mae.ratio.high < 1
    assert mae.p_value == pytest.approx(1 / 2001)
    assert mae.p_adjusted == pytest.approx(2 / 2001)
    assert rmse.metric == "rmse"
    assert "scan against scale" in str(mae)


def test_swapping_the_tests_turns_the_difference_and_inverts_the_ratio():
    scan, scale, dxa = three()
    one = compare_errors(scan, scale, dxa, resamples=4000)[0]
    two = compare_errors(scale, scan, dxa, resamples=4000)[0]
    assert two.difference.estimate == -one.difference.estimate
    assert two.ratio.low == pytest.approx(1 / one.ratio.high, rel=0.03)
    assert two.difference.low == pytest.approx(-one.difference.high, abs=0.1)


def test_pairing_makes_the_interval_of_alike_tests_narrow():
    scan, _, dxa = three()
    alike = compare_errors(scan, scan + 0.01, dxa, resamples=500)[0]
    assert alike.difference.high - alike.difference.low < 0.02
    same = compare_errors(scan, scan, dxa, resamples=500)[0]
    assert same.difference.estimate == 0
    assert same.p_value == 1
    assert "same value" in same.difference.reason


def test_sd_and_concordance():
    scan, scale, dxa = three()
    mae, sd, rho = compare_errors(scan, scale, dxa, metrics=["mae", "sd", "ccc"], resamples=1000)
    ratio, p = pitman_morgan(scan - dxa, scale - dxa)
    assert sd.ratio.estimate == pytest.approx(ratio.estimate, rel=1e-12)
    assert sd.ratio.low == pytest.approx(ratio.low, rel=0.15)
    assert sd.p_value == p
    a, b = ccc(scan, dxa).estimate, ccc(scale, dxa).estimate
    assert rho.difference.estimate == pytest.approx(a - b, rel=1e-9)
    assert 0 < rho.difference.low < a - b < rho.difference.high
    assert rho.p_value == pytest.approx(1 / 1001)
    assert rho.ratio.to_dict() == {"estimate": None, "low": None, "high": None, "reason": rho.ratio.reason}
    alone = compare_errors(scan, scale, dxa, metrics=["mae"], resamples=1000)[0]
    assert (mae.difference, mae.ratio, mae.p_value) == (alone.difference, alone.ratio, alone.p_value)


def every_exchange(measure, a, b, subject):
    """Share of all 2^subjects swaps in which the measures of a and b are as far apart as they are."""
    names = np.unique(subject)
    observed = abs(measure(a) - measure(b))
    found = []
    for swaps in product([False, True], repeat=len(names)):
        swap = np.array(swaps)[np.searchsorted(names, subject)]
        found.append(abs(measure(np.where(swap, b, a)) - measure(np.where(swap, a, b))) >= observed - 1e-9)
    return np.mean(found)


def test_exchange_is_that_of_all_swaps_one_by_one():
    rng = np.random.default_rng(11)
    subject = np.repeat(np.arange(8), [1, 2, 3, 1, 2, 2, 1, 4])
    dxa = rng.normal(30, 5, len(subject))
    a, b = dxa + rng.normal(0.5, 2, len(subject)), dxa + rng.normal(-1, 2.5, len(subject))
    sd, rho = compare_errors(a, b, dxa, metrics=["sd", "ccc"], subject=subject, resamples=100)
    assert sd.p_value == every_exchange(lambda x: (x - dxa).std(ddof=1), a, b, subject)
    assert rho.p_value == every_exchange(lambda x: ccc(x, dxa).estimate, a, b, subject)
    assert 0 < sd.p_value < 1
    assert 0 < rho.p_value < 1
    turned = compare_errors(b, a, dxa, metrics=["sd", "ccc"], subject=subject, resamples=100)
    assert [item.p_value for item in turned] == [sd.p_value, rho.p_value]


def test_exchange_without_a_spread_has_no_p_value():
    flat = np.full(12, 3.0)
    sd, rho = compare_errors(flat, flat, flat, metrics=["sd", "ccc"], resamples=100)
    assert (sd.p_value, rho.p_value) == (None, None)
    few = compare_errors([1.0, 2.0, 4.0], [1.0, 3.0, 3.0], [1.0, 2.0, 3.0], metrics=["sd"], resamples=100)
    assert few[0].p_value is None


def test_adjustment_may_be_chosen():
    scan, scale, dxa = three(40)
    metrics = ["mae", "rmse", "sd", "ccc"]
    found = compare_errors(scan, scan + 0.3 * (scale - dxa), dxa, metrics=metrics, resamples=300, adjust="bh")
    assert [item.p_adjusted for item in found] == benjamini_hochberg([item.p_value for item in found])
    with pytest.raises(UnknownOption, match="adjust is 'none'"):
        compare_errors(scan, scale, dxa, adjust="none")


def test_two_tests_need_two_names():
    with pytest.raises(ShapeMismatch):
        compare_errors([1, 2], [1, 2], [1, 2], names=("a", "a"))


def test_holm_and_benjamini_hochberg():
    # p.adjust(c(.01, .04, .03, .005), "holm" and "BH") of R.
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(p) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert holm([0.01, None, 0.03]) == [pytest.approx(0.02), None, pytest.approx(0.03)]
    assert holm([]) == []
    with pytest.raises(OutOfRange):
        holm([1.2])


def test_proportions():
    for events, n in ((7, 10), (1, 30), (0, 12), (12, 12)):
        for function, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
            theirs = stats.binomtest(events, n).proportion_ci(0.95, method)
            assert function(events, n).interval == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-12)
    assert wilson(0, 10).low == 0
    assert clopper_pearson(10, 10).high == 1
    with pytest.raises(NotEnoughData):
        wilson(0, 0)
    with pytest.raises(OutOfRange):
        wilson(11, 10)


def test_estimates_never_hold_nan():
    item = Estimate(float("nan"))
    assert item.to_dict() == {
        "estimate": None,
        "low": None,
        "high": None,
        "reason": "the result is not a finite number",
    }
    assert np.isnan(float(item))
    assert Estimate(2.0, 1.0, 4.0).map(lambda v: -v).interval == (-4.0, -1.0)
    assert str(Estimate(2.0, 1.0, 4.0)) == "2.000 (1.000 to 4.000)"


def test_jackknife_intervals_of_comparisons():
    """Difference and log ratio of means of one sample: the paired t interval, and the delta method nearly."""
    scan, scale, dxa = three()
    found = {
        item.metric: item
        for item in compare_errors(scan, scale, dxa, metrics=METRICS, interval="jackknife", resamples=200)
    }
    gap = np.abs(scan - dxa) - np.abs(scale - dxa)
    t = stats.ttest_1samp(gap, 0).confidence_interval()
    assert found["mae"].difference.interval == pytest.approx((t.low, t.high), rel=1e-9)
    a, b = np.abs(scan - dxa), np.abs(scale - dxa)
    relative = a / a.mean() - b / b.mean()
    half = stats.t.ppf(0.975, len(a) - 1) * relative.std(ddof=1) / np.sqrt(len(a))
    ratio = found["mae"].ratio
    assert np.log(ratio.high / ratio.low) / 2 == pytest.approx(half, rel=0.05)
    assert ratio.low < ratio.estimate == pytest.approx(a.mean() / b.mean(), rel=1e-12)
    assert found["rmse"].difference.method == found["sd"].difference.method == "jackknife, t"
    assert found["ccc"].ratio.estimate is None
    with pytest.raises(UnknownOption, match="interval"):
        compare_errors(scan, scale, dxa, interval="t")
