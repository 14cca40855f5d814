"""Limits other than bias ± z SD, repeated measurements, indices of small differences, and advice."""

import math

import numpy as np
import pytest
from scipy import stats

from validation import (
    bland_altman,
    ccc,
    ccc_repeated,
    coverage_probability,
    diagnose,
    mixed,
    nonparametric_limits,
    prediction_interval,
    regression_limits,
    tolerance_limits,
    total_deviation_index,
)
from validation.agree import agree
from validation.errors import Degenerate, NotEnoughData, OutOfRange, ShapeMismatch, UnknownOption
from validation.limits import outliers
from validation.repeated import constant


def pairs(n=200, seed=1, sd=2.0):
    rng = np.random.default_rng(seed)
    reference = rng.normal(30, 8, n)
    return reference + rng.normal(0.5, sd, n), reference


def test_quantiles_as_limits():
    test, reference = pairs(400)
    limits = nonparametric_limits(test, reference, resamples=2000)
    low, high = np.quantile(test - reference, [0.025, 0.975], method="median_unbiased")
    assert (limits.lower.estimate, limits.upper.estimate) == pytest.approx((low, high))
    assert limits.lower.low < low < limits.lower.high
    assert limits.interval == "bootstrap"
    clustered = nonparametric_limits(test, reference, subject=np.arange(400) // 4, resamples=500)
    assert clustered.upper.estimate == pytest.approx(high, abs=0.3)


def test_tolerance_and_prediction():
    test, reference = pairs(40)
    two, tails = (tolerance_limits(test, reference, kind=kind) for kind in ("two-sided", "equal-tailed"))
    next_one = prediction_interval(test, reference)
    plain = bland_altman(test, reference).limits
    assert tails.upper > two.upper > next_one.upper > plain.upper.estimate
    assert "two-sided tolerance" in two.to_dict()["kind"]


def test_equal_tailed_tolerance_keeps_its_promise():
    rng = np.random.default_rng(4)
    kept = 0
    for _ in range(400):
        d = rng.normal(0, 1, 25)
        r = tolerance_limits(d, np.zeros(25), kind="equal-tailed")
        kept += stats.norm.cdf(r.lower) <= 0.025 and stats.norm.sf(r.upper) <= 0.025
    assert kept / 400 >= 0.93


def test_limits_that_follow_the_size():
    rng = np.random.default_rng(2)
    reference = rng.uniform(10, 50, 2000)
    test = reference + rng.normal(0, 0.1 * reference)
    found = regression_limits(test, reference, regress_on="reference")
    assert found.p_spread < 1e-6
    assert found.breusch_pagan_p < 1e-6
    bias, lower, upper = found.at([20.0, 40.0])
    assert (upper - lower)[1] / (upper - lower)[0] == pytest.approx(2, rel=0.1)
    assert bias == pytest.approx([0, 0], abs=0.4)
    even = regression_limits(*pairs())
    assert even.p_spread > 0.01
    with pytest.raises(Degenerate):
        regression_limits([1, 2, 3], [3, 2, 1])


def test_total_deviation_and_coverage_are_each_others_inverse():
    test, reference = pairs()
    k = total_deviation_index(test, reference, coverage=0.9)
    p = coverage_probability(test, reference, within=k.estimate)
    assert p.estimate == pytest.approx(0.9, rel=1e-9)
    assert k.low < k.estimate < k.high
    assert p.low < 0.9 < p.high
    free = total_deviation_index(test, reference, coverage=0.9, method="nonparametric", resamples=1000)
    assert free.estimate == pytest.approx(k.estimate, rel=0.15)
    with pytest.raises(OutOfRange):
        coverage_probability(test, reference, within=0)
    with pytest.raises(NotEnoughData):
        coverage_probability([1, 2, 4], [1, 2, 3], within=1)
    assert "equal" in total_deviation_index([2, 3, 4], [1, 2, 3]).reason
    assert coverage_probability([2, 3, 4], [1, 2, 3], within=1).estimate == 1


def test_replicates_of_a_constant_value_need_no_pairs():
    rng = np.random.default_rng(3)
    truth = rng.normal(30, 8, 50)
    test = np.concatenate([truth + rng.normal(0, 2, 50) for _ in range(2)])
    reference = np.concatenate([truth + rng.normal(0, 1, 50) for _ in range(3)])
    found = constant(
        test, reference, test_subject=np.tile(np.arange(50), 2), reference_subject=np.tile(np.arange(50), 3)
    )
    assert found.sd == pytest.approx(math.sqrt(5), rel=0.15)
    assert (found.n, found.subjects) == (250, 50)
    with pytest.raises(ShapeMismatch, match="every subject"):
        constant([1, 2, 3], [1, 2, 3], test_subject=[1, 2, 3], reference_subject=[1, 2, 2])
    with pytest.raises(NotEnoughData):
        constant([1, 2], [1, 2], test_subject=[1, 2], reference_subject=[1, 2])


def test_one_pair_a_subject_gives_the_plain_analysis():
    test, reference = pairs(30)
    plain = bland_altman(test, reference, limits_interval="mover")
    same = bland_altman(test, reference, limits_interval="mover", subject=np.arange(30))
    assert same.to_dict() == plain.to_dict()
    apart = constant(test, reference, test_subject=np.arange(30), reference_subject=np.arange(30))
    assert apart.limits.lower.interval == pytest.approx(plain.limits.lower.interval)


def test_the_mixed_model_with_equal_numbers_is_the_analysis_of_variance():
    rng = np.random.default_rng(5)
    subject = np.repeat(np.arange(40), 3)
    reference = rng.normal(30, 8, 120)
    test = reference + rng.normal(0, 1.5, 40)[subject] + rng.normal(0, 1, 120)
    anova = bland_altman(test, reference, subject=subject)
    model = mixed(test, reference, subject=subject, resamples=500)
    assert model.sd == pytest.approx(anova.sd, rel=1e-6)
    assert model.bias.estimate == pytest.approx(anova.bias.estimate, rel=1e-9)
    assert model.limits.upper.low < model.limits.upper.estimate < model.limits.upper.high
    few = mixed(test[:-2], reference[:-2], subject=subject[:-2], resamples=200)
    assert few.sd == pytest.approx(model.sd, rel=0.1)
    with pytest.raises(NotEnoughData):
        mixed(test, reference, subject=np.arange(120))


def test_concordance_of_repeated_pairs():
    rng = np.random.default_rng(5)
    subject = np.repeat(np.arange(40), 4)
    truth = rng.normal(30, 8, 40)[subject] + rng.normal(0, 1, 160)
    test = truth + rng.normal(0, 2, 40)[subject] + rng.normal(0, 1, 160)
    found = ccc_repeated(test, truth, subject=subject, resamples=2000)
    naive = ccc(test, truth)
    assert found.estimate == pytest.approx(naive.estimate, rel=1e-12)
    assert found.high - found.low > 1.3 * (naive.high - naive.low)


def test_repeated_constant_through_the_front_door():
    rng = np.random.default_rng(5)
    subject = np.repeat(np.arange(30), 3)
    truth = rng.normal(30, 8, 30)[subject]
    test, reference = truth + rng.normal(0, 2, 90), truth + rng.normal(0, 1, 90)
    found = bland_altman(test, reference, subject=subject, repeated="constant")
    assert found.sd == pytest.approx(math.sqrt(5), rel=0.2)
    with pytest.raises(UnknownOption, match="raw scale"):
        bland_altman(test, reference, subject=subject, repeated="constant", scale="percent")


def test_agree_takes_the_same_options():
    import pandas as pd

    test, reference = pairs(60)
    table = pd.DataFrame({"t": test, "r": reference})
    quantiles = agree(table, reference="r", tests=["t"], limits="nonparametric", resamples=500).tests["t"]
    assert quantiles["limits"]["interval"] == "bootstrap"
    ratio = agree(table, reference="r", tests=["t"], scale="log", resamples=500).tests["t"]
    assert ratio["scale"] == "ratio"
    assert ratio["bias"]["estimate"] == pytest.approx(math.exp(np.log(test / reference).mean()))


def test_diagnostics_advise_and_change_nothing():
    test, reference = pairs(80)
    assert diagnose(test, reference).advice == ["Nothing speaks against plain limits of agreement."]
    test[7] += 40
    found = diagnose(test, reference)
    assert found.outliers == [7]
    assert any("outlying" in sentence for sentence in found.advice)
    assert any("not normal" in sentence for sentence in found.advice)
    rng = np.random.default_rng(2)
    wide = rng.uniform(10, 50, 300)
    assert any("spread changes" in s for s in diagnose(wide * rng.normal(1, 0.1, 300), wide).advice)
    assert diagnose([2, 3, 4], [1, 2, 3]).advice == ["All differences are equal."]


def test_rosners_outliers():
    # Data and result of Rosner B. Technometrics 1983;25:165-172, as used by the NIST handbook (3 outliers).
    values = [
        -0.25, 0.68, 0.94, 1.15, 1.20, 1.26, 1.26, 1.34, 1.38, 1.43, 1.49, 1.49, 1.55, 1.56, 1.58, 1.65, 1.69, 1.70,
        1.76, 1.77, 1.81, 1.91, 1.94, 1.96, 1.99, 2.06, 2.09, 2.10, 2.14, 2.15, 2.23, 2.24, 2.26, 2.35, 2.37, 2.40,
        2.47, 2.54, 2.62, 2.64, 2.90, 2.92, 2.92, 2.93, 3.21, 3.26, 3.30, 3.59, 3.68, 4.30, 4.64, 5.34, 5.42, 6.01,
    ]  # fmt: skip
    assert len(outliers(np.array(values))) == 3
    assert outliers(np.ones(30)) == []


def test_quantile_limits_and_tdi_by_order_statistics():
    rng = np.random.default_rng(6)
    reference = rng.normal(30, 8, 200)
    test = reference + rng.gamma(2, 1, 200)
    drawn = nonparametric_limits(test, reference, resamples=4000)
    exact = nonparametric_limits(test, reference, interval="order-statistics")
    assert exact.interval == "order-statistics"
    for one, two in ((exact.lower, drawn.lower), (exact.upper, drawn.upper)):
        assert one.estimate == two.estimate
        assert one.low < one.estimate < one.high
    few = nonparametric_limits(test[:100], reference[:100], interval="order-statistics")
    assert few.upper.high is None
    assert "100 values are too few" in few.upper.reason
    with pytest.raises(UnknownOption, match="one pair a subject"):
        nonparametric_limits(test, reference, subject=np.repeat(np.arange(100), 2), interval="order-statistics")
    index = total_deviation_index(test, reference, method="nonparametric", interval="order-statistics")
    ninety = np.quantile(np.abs(test - reference), 0.9, method="median_unbiased")
    assert index.estimate == pytest.approx(ninety, rel=1e-12)
    assert index.low < ninety < index.high


def nested(subjects=40, times=3, seed=2, between=2.0, within=1.0):
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(subjects), times)
    reference = rng.normal(30, 8, len(subject))
    error = rng.normal(0, between, subjects)[subject] + rng.normal(0, within, len(subject))
    return reference + 0.5 + error, reference, subject


def test_tolerance_of_repeated_pairs_by_hand():
    test, reference, subject = nested()
    d = (test - reference).reshape(40, 3)
    means, within = d.mean(axis=1), d.var(axis=1, ddof=1).mean()
    s2 = means.var(ddof=1)
    total = s2 * (1 + 1 / 40) + within * 2 / 3
    df = total**2 / ((s2 * (1 + 1 / 40)) ** 2 / 39 + (within * 2 / 3) ** 2 / 80)
    half = stats.norm.ppf(0.975) * math.sqrt(total * df / stats.chi2.ppf(0.05, df))
    found = tolerance_limits(test, reference, subject=subject)
    assert (found.lower, found.upper) == pytest.approx((means.mean() - half, means.mean() + half), rel=1e-9)
    next_one = prediction_interval(test, reference, subject=subject)
    assert next_one.upper - means.mean() == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(total), rel=1e-9)
    tails = tolerance_limits(test, reference, subject=subject, kind="equal-tailed")
    assert tails.upper == pytest.approx(bland_altman(test, reference, subject=subject).limits.upper.high)
    assert "repeated pairs" in found.kind
    with pytest.raises(UnknownOption, match="raw scale or the log"):
        tolerance_limits(test, reference, subject=subject, repeated="constant", scale="percent")
    with pytest.raises(NotEnoughData, match="2 subjects"):
        tolerance_limits(test[:6], reference[:6], subject=subject[:6])


def test_tolerance_of_repeated_pairs_keeps_its_promise():
    kept, sd = 0, math.hypot(2, 1)
    for seed in range(400):
        test, reference, subject = nested(20, 3, seed)
        r = tolerance_limits(test - 0.5, reference, subject=subject)
        kept += stats.norm.cdf(r.upper / sd) - stats.norm.cdf(r.lower / sd) >= 0.95
    assert kept / 400 == pytest.approx(0.95, abs=0.035)


def test_howes_factor():
    """NIST/SEMATECH e-Handbook, section 7.2.6.3: n = 43, 90 % of the population with 99 % confidence, k = 2.217.

    That is without Howe's last factor, which is taken out here.
    """
    d = np.random.default_rng(1).normal(size=43)
    found = tolerance_limits(d, np.zeros(43), coverage=0.9, level=0.99, kind="howe").factor
    last = math.sqrt(1 + (40 - stats.chi2.ppf(0.01, 42)) / (2 * 44**2))
    assert found / last == pytest.approx(2.217, abs=0.0005)
    assert found == pytest.approx(tolerance_limits(d, np.zeros(43), coverage=0.9, level=0.99).factor, rel=0.001)


def test_ratios_of_the_log_scale():
    test, reference = pairs(60)
    found = tolerance_limits(test, reference, scale="log")
    d = np.log(test / reference)
    assert found.ratios().upper == pytest.approx(math.exp(d.mean() + found.factor * d.std(ddof=1)))
    limits = bland_altman(test, reference, scale="log").limits
    assert limits.ratios().lower.low == pytest.approx(math.exp(limits.lower.low))
    factor = total_deviation_index(test, reference, scale="log").map(math.exp).estimate
    inside = np.abs(d) <= math.log(factor)
    assert inside.mean() == pytest.approx(0.9, abs=0.06)


@pytest.mark.parametrize("repeated", ["varying", "constant", "mixed"])
def test_repeated_pairs_on_the_log_scale(repeated):
    test, reference, subject = nested()
    found = bland_altman(test, reference, subject=subject, repeated=repeated, scale="log", resamples=300)
    logs = bland_altman(np.log(test), np.log(reference), subject=subject, repeated=repeated, resamples=300)
    assert (found.n, found.subjects, found.scale) == (120, 40, "log")
    assert found.sd == pytest.approx(logs.sd)
    assert found.limits.upper.interval == pytest.approx(logs.limits.upper.interval)
    assert found.ratios().bias.estimate == pytest.approx(math.exp(found.bias.estimate))


def test_the_mixed_model_through_the_front_door():
    test, reference, subject = nested()
    front = bland_altman(test, reference, subject=subject, repeated="mixed", resamples=300, seed=5)
    assert front == mixed(test, reference, subject=subject, resamples=300, seed=5)
    assert front.limits.interval == "bootstrap"


def test_outliers_as_by_leaving_them_out_one_by_one():
    rng = np.random.default_rng(8)
    for n, planted in ((54, 3), (120, 5), (40, 0)):
        values = rng.normal(0, 1, n)
        values[:planted] += 7 * rng.choice([-1, 1], planted)
        left, rows, taken, count = values.copy(), np.arange(n), [], 0
        for i in range(1, n // 10 + 1):
            deviate = np.abs(left - left.mean()) / left.std(ddof=1)
            worst = int(deviate.argmax())
            t = stats.t.ppf(1 - 0.05 / (2 * (n - i + 1)), n - i - 1)
            critical = (n - i) * t / math.sqrt((n - i - 1 + t * t) * (n - i + 1))
            taken.append(int(rows[worst]))
            count = i if deviate[worst] > critical else count
            left, rows = np.delete(left, worst), np.delete(rows, worst)
        assert outliers(values) == sorted(taken[:count])
        assert len(outliers(values)) >= planted


def test_advice_on_subjects_and_by_regression():
    test, reference, subject = nested()
    found = diagnose(test, reference, subject=subject)
    assert (found.n, found.advice) == (40, ["Nothing speaks against plain limits of agreement."])
    wide = reference + (reference - 30) * 0.3 + np.random.default_rng(3).normal(0, 1, len(reference))
    advice = diagnose(wide, reference).advice
    limits = regression_limits(wide, reference)
    assert f"Limits by regression: {limits.formula()}, with A the mean of test and reference." in advice
    bias, _, upper = limits.at([20.0, 40.0])
    times = stats.norm.ppf(0.975) * math.sqrt(math.pi / 2)
    half = times * (float(limits.spread_intercept) + float(limits.spread_slope) * np.array([20.0, 40.0]))
    assert upper - bias == pytest.approx(half)
    assert not any(
        "regression" in line and "A the mean" in line for line in diagnose(wide, reference, scale="log").advice
    )
