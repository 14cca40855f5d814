"""Equivalence and other claims, change scores, classification, calibration."""

import math

import numpy as np
import pytest
from scipy import stats

from validation import (
    at_cut_point,
    change_scores,
    compare_auc,
    cross_table,
    equivalence_test,
    judge,
    kappa,
    non_inferiority,
    paired_tests,
    pitman_morgan,
    roc,
    superiority_by_ratio,
    two_by_two,
    uncertainty_calibration,
    value_calibration,
    within_margin,
)
from validation.errors import Degenerate, NotEnoughData, OutOfRange, ShapeMismatch, UnknownOption
from validation.results import Estimate


def three(n=150, seed=5):
    rng = np.random.default_rng(seed)
    reference = rng.normal(30, 8, n)
    return reference + rng.normal(0, 2, n), reference + rng.normal(0, 4, n), reference


def test_verdicts_follow_the_interval():
    assert judge(Estimate(0, -1, 1), low=-2, high=2) == "met"
    assert judge(Estimate(0, -1, 3), low=-2, high=2) == "not enough data"
    assert judge(Estimate(4, 3, 5), low=-2, high=2) == "not met"
    assert judge(Estimate(4, None, None, reason="few"), low=-2, high=2) == "not enough data"
    with pytest.raises(OutOfRange):
        judge(Estimate(0, -1, 1), low=2, high=-2)


def test_equivalence_agrees_with_two_one_sided_t_tests():
    scan, _, dxa = three(40)
    claim = equivalence_test(scan, dxa, low=-1, high=1.5)
    d = scan - dxa
    p = max(
        stats.ttest_1samp(d, -1, alternative="greater").pvalue, stats.ttest_1samp(d, 1.5, alternative="less").pvalue
    )
    assert claim.p_value == pytest.approx(p)
    assert (claim.verdict == "met") == (claim.p_value < 0.05)
    assert equivalence_test([3, 4, 5], [1, 2, 3], low=-1, high=1).verdict == "not met"
    assert within_margin(d, low=-2, high=2).verdict == "met"


def test_not_worse_and_better_by_a_factor():
    scan, scale, dxa = three(400)
    quick = {"resamples": 1000}
    assert non_inferiority(scan, scale, dxa, margin=0, **quick).verdict == "met"
    assert non_inferiority(scale, scan, dxa, margin=0.5, **quick).verdict == "not met"
    twice = superiority_by_ratio(scan, scale, dxa, factor=2, **quick)
    assert twice.verdict == "not enough data"
    assert twice.estimate.estimate == pytest.approx(np.abs(scale - dxa).mean() / np.abs(scan - dxa).mean())
    assert superiority_by_ratio(scan, scale, dxa, factor=1.5, **quick).verdict == "met"
    assert superiority_by_ratio(scale, scan, dxa, factor=1, metric="rmse", **quick).verdict == "not met"
    assert "not enough data" in str(twice)
    with pytest.raises(OutOfRange):
        superiority_by_ratio(scan, scale, dxa, factor=0.5)
    with pytest.raises(OutOfRange):
        non_inferiority(scan, scale, dxa, margin=-1)
    with pytest.raises(UnknownOption):
        non_inferiority(scan, scale, dxa, margin=0, alpha=0.7)


def test_change_scores():
    rng = np.random.default_rng(1)
    first, delta = rng.normal(30, 8, 80), rng.normal(-2, 2, 80)

    def read(truth, sd):
        return truth + rng.normal(0, sd, 80)

    found = change_scores(
        read(first, 0.6), read(first + 0.8 * delta, 0.6), read(first, 0.3), read(first + delta, 0.3),
        least_significant_change=0.83, test_least_significant_change=1.66,
    )  # fmt: skip
    assert found.agreement.bias.estimate == pytest.approx(0.4, abs=0.25)
    assert found.slope.low < 0.8 < found.slope.high
    assert found.slope.high < 1
    assert found.beyond.sensitivity.estimate > 0.5
    assert found.same_direction > 0.9
    assert change_scores([1, 2, 3], [1, 2, 4], [1, 2, 3], [1, 2, 4.5]).beyond is None
    with pytest.raises(OutOfRange):
        change_scores([1, 2, 3], [1, 2, 4], [1, 2, 3], [1, 2, 4.5], least_significant_change=0)


def test_two_by_two():
    test = [True] * 8 + [False] * 2 + [True] * 3 + [False] * 27
    truth = [True] * 10 + [False] * 30
    found = two_by_two(test, truth)
    assert (found.true_positive, found.false_positive, found.false_negative, found.true_negative) == (8, 3, 2, 27)
    assert found.sensitivity.estimate == 0.8
    assert found.specificity.estimate == 0.9
    assert found.positive_predictive_value.estimate == pytest.approx(8 / 11)
    assert found.positive_likelihood_ratio.estimate == pytest.approx(8)
    assert found.negative_likelihood_ratio.estimate == pytest.approx(0.2 / 0.9)
    half = 1.959964 * math.sqrt(1 / 8 - 1 / 10 + 1 / 3 - 1 / 30)
    assert found.positive_likelihood_ratio.high == pytest.approx(8 * math.exp(half), rel=1e-6)
    none = two_by_two([True, False], [True, True])
    assert "no case without" in none.specificity.reason
    assert "zero" in none.positive_likelihood_ratio.reason
    assert at_cut_point([24, 26, 30], [25, 25, 20], cut=25).to_dict()["true_positive"] == 1
    with pytest.raises(NotEnoughData):
        two_by_two([], [])
    with pytest.raises(ShapeMismatch):
        two_by_two([True], [True, False])


def test_kappa():
    assert kappa([[10, 0], [0, 10]]).estimate == 1
    assert kappa([[5, 5], [5, 5]]).estimate == 0
    with pytest.raises(Degenerate):
        kappa([[10, 0], [0, 0]])
    with pytest.raises(ShapeMismatch):
        kappa([[1, 2, 3], [1, 2, 3]])
    with pytest.raises(NotEnoughData):
        kappa([[0, 0], [0, 0]])
    table, names = cross_table(["a", "b", "b"], ["a", "b", "c"])
    assert names == ["a", "b", "c"]
    assert table.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]


def test_area_under_the_curve_and_delongs_variance():
    rng = np.random.default_rng(4)
    truth = rng.random(60) < 0.4
    a = (rng.normal(size=60) + truth).round(1)
    b = (rng.normal(size=60) + 0.5 * truth).round(1)
    up, down = a[truth], a[~truth]
    better = (up[:, None] > down) + 0.5 * (up[:, None] == down)
    found = roc(a, truth)
    assert found.auc.estimate == pytest.approx(better.mean())
    u = stats.mannwhitneyu(up, down).statistic / (len(up) * len(down))
    assert found.auc.estimate == pytest.approx(u)
    other = (b[truth][:, None] > b[~truth]) + 0.5 * (b[truth][:, None] == b[~truth])
    v10 = np.cov(better.mean(axis=1), other.mean(axis=1)) / len(up)
    v01 = np.cov(better.mean(axis=0), other.mean(axis=0)) / len(down)
    contrast = np.array([1, -1])
    se = math.sqrt(contrast @ (v10 + v01) @ contrast)
    compared = compare_auc(a, b, truth)
    assert compared.difference.estimate == pytest.approx(better.mean() - other.mean())
    assert compared.difference.high - compared.difference.estimate == pytest.approx(1.959964 * se, rel=1e-6)
    trapezoid = np.trapezoid([0, *found.sensitivity], [0, *found.false_positive_rate])
    assert trapezoid == pytest.approx(found.auc.estimate)
    assert compare_auc(a, a, truth).p_value is None
    assert "zero" in roc([1, 2, 3, 4], [False, False, True, True]).auc.reason
    with pytest.raises(NotEnoughData):
        roc([1, 2], [True, True])


def test_calibration_of_values():
    rng = np.random.default_rng(4)
    truth = rng.normal(30, 8, 500)
    drawn_to_mean = 30 + 0.7 * (truth - 30) + rng.normal(0, 0.5, 500)
    found = value_calibration(drawn_to_mean, truth, bins=5)
    assert found.slope.low > 1.3
    assert [item["n"] for item in found.bins] == [100] * 5
    assert found.bins[0]["reference"] < found.bins[0]["prediction"]
    assert found.in_the_large.estimate == pytest.approx((truth - drawn_to_mean).mean())


def test_calibration_of_uncertainty():
    rng = np.random.default_rng(4)
    sd = rng.uniform(1, 4, 4000)
    truth = rng.normal(30, 8, 4000)
    prediction = truth + rng.normal(0, sd)
    honest = uncertainty_calibration(prediction, sd, truth)
    bold = uncertainty_calibration(prediction, sd / 2, truth)
    assert honest.coverage["0.95"].low < 0.95 < honest.coverage["0.95"].high
    assert honest.spread_ratio.low < 1 < honest.spread_ratio.high
    assert bold.spread_ratio.estimate == pytest.approx(2 * honest.spread_ratio.estimate)
    assert bold.coverage["0.95"].high < 0.75
    assert honest.crps < bold.crps
    assert honest.negative_log_likelihood < bold.negative_log_likelihood
    likelihood = -stats.norm.logpdf(truth, prediction, sd).mean()
    assert honest.negative_log_likelihood == pytest.approx(likelihood)
    with pytest.raises(OutOfRange):
        uncertainty_calibration([1, 2, 3], [1, 0, 1], [1, 2, 3])


def test_classical_paired_tests():
    scan, scale, dxa = three(45)
    found = paired_tests(scan, scale, dxa, resamples=500)
    gap = np.abs(scan - dxa) - np.abs(scale - dxa)
    assert found.t_p == pytest.approx(stats.ttest_1samp(gap, 0).pvalue)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(gap).pvalue)
    assert found.closer + found.farther == 45
    assert found.ccc.low > 0
    same = paired_tests(scan, scan, dxa, resamples=100)
    assert same.wilcoxon_p is None
    assert same.sign_p == 1
    assert same.pitman_morgan_p is None


def test_pitman_morgan():
    rng = np.random.default_rng(4)
    a = rng.normal(0, 2, 60)
    b = 0.5 * a + rng.normal(0, 1, 60)
    ratio, p = pitman_morgan(a, b)
    assert p == pytest.approx(stats.pearsonr(a + b, a - b).pvalue)
    assert ratio.estimate == pytest.approx(a.std() / b.std())
    # The interval is the set of ratios that the same test does not reject.
    for end in ratio.interval:
        assert stats.pearsonr(a + end * b, a - end * b).pvalue == pytest.approx(0.05, rel=1e-6)
    assert "constant" in pitman_morgan([1, 1, 1, 1], [1, 2, 3, 4])[0].reason
