"""Tests between groups, partial pooling, verdicts, the range of body fat."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from validation import (
    across_range,
    adjust_tests,
    detectable_gap,
    equal_bias,
    equal_spread,
    fairness_report,
    group_verdict,
    partial_pooling,
    permutation_gap,
)
from validation.errors import Degenerate, NotEnoughData, OutOfRange, UnknownOption
from validation.fairness import band_labels, permutation_gaps
from validation.results import Estimate


def cohort(n=240, seed=6, shift=0.0, spread=2.0):
    rng = np.random.default_rng(seed)
    group = np.array(["a", "b", "c"])[np.arange(n) % 3]
    reference = rng.normal(30, 8, n) + 6 * (group == "c")
    error = rng.normal(0, np.where(group == "b", spread, 2.0)) + shift * (group == "b")
    return reference + error, reference, group


def test_equal_bias_of_two_groups_is_welchs_t():
    test, reference, group = cohort()
    two = group != "c"
    found = equal_bias(test[two], reference[two], group[two])
    d = test - reference
    theirs = stats.ttest_ind(d[group == "a"], d[group == "b"], equal_var=False)
    assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert found.statistic == pytest.approx(theirs.statistic**2)


def test_equal_bias_of_three_groups_holds_its_level_when_spreads_differ():
    rejected = 0
    for seed in range(400):
        test, reference, group = cohort(90, seed, spread=6.0)
        rejected += equal_bias(test, reference, group).p_value < 0.05
    assert 0.02 < rejected / 400 < 0.085
    assert equal_bias(*cohort(shift=2.0)).p_value < 1e-4


def test_adjusted_for_body_fat_a_difference_of_size_is_no_difference_of_groups():
    rng = np.random.default_rng(1)
    n = 600
    group = np.array(["lean", "heavy"])[np.arange(n) % 2]
    fat = rng.normal(np.where(group == "lean", 22, 36), 5)
    test = fat + 0.2 * (30 - fat) + rng.normal(0, 1.5, n)
    assert equal_bias(test, fat, group).p_value < 1e-6
    adjusted = equal_bias(test, fat, group, covariates={"fat": fat})
    assert adjusted.p_value > 0.01
    assert adjusted.test == "equal bias given fat, HC3"
    with pytest.raises(Degenerate, match="told apart"):
        equal_bias(test, fat, group, covariates={"same": (group == "lean").astype(float)})


def test_equal_spread():
    test, reference, group = cohort(spread=4.0)
    d = test - reference
    found = equal_spread(test, reference, group)
    theirs = stats.levene(*(d[group == name] for name in "abc"), center="median")
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.p_value < 1e-4


@pytest.mark.parametrize("metric", ["mae", "bias", "within_3"])
def test_permutation_of_labels(metric):
    quick = {"resamples": 500}
    assert permutation_gap(*cohort(seed=8), metric=metric, **quick).p_value > 0.02
    assert permutation_gap(*cohort(shift=3.0, spread=5.0), metric=metric, **quick).p_value == pytest.approx(1 / 501)


def test_permutation_of_ones_own_metric_and_of_subjects():
    test, reference, group = cohort(shift=3.0)

    def worst(x, y):
        return float(np.abs(x - y).max())

    found = permutation_gap(test, reference, group, metric=worst, resamples=200)
    assert found.test == "equal worst, permutation"
    twice = [np.repeat(values, 2) for values in (test, reference, group)]
    subject = np.repeat(np.arange(240), 2)
    single = permutation_gap(test, reference, group, resamples=300)
    double = permutation_gap(*twice, subject=subject, resamples=300)
    assert double.p_value == pytest.approx(single.p_value)
    own = permutation_gap(*twice, subject=subject, metric=worst, resamples=50)
    assert own.statistic == pytest.approx(found.statistic)
    with pytest.raises(UnknownOption, match="more than one group"):
        permutation_gap(test, reference, group, subject=np.arange(240) // 2)


def test_groups_must_be_large_enough():
    test, reference, group = cohort(24)
    with pytest.raises(NotEnoughData):
        equal_bias(test, reference, group, minimum_cell=10)
    with pytest.raises(Degenerate):
        equal_bias(reference + 1, reference, group, minimum_cell=2)
    with pytest.raises(Degenerate):
        equal_spread([1, 2, 3, 4], [1, 2, 3, 4], ["a", "a", "b", "b"], minimum_cell=2)


def test_adjustment_over_a_family():
    test, reference, group = cohort()
    family = [equal_bias(test, reference, group), equal_spread(test, reference, group)]
    holm = adjust_tests(family)
    assert max(item.p_adjusted for item in holm) >= max(item.p_value for item in family)
    assert adjust_tests(family, method="benjamini-hochberg")[0].p_adjusted <= holm[0].p_adjusted


def test_pooling_draws_small_groups_to_the_mean_and_keeps_large_ones():
    estimates = {"a": 4.0, "b": 4.2, "c": 3.8, "d": 4.1, "small": 9.0}
    errors = {"a": 0.1, "b": 0.1, "c": 0.1, "d": 0.1, "small": 3.0}
    found = partial_pooling(estimates, errors)
    assert found.shrinkage["small"] > 0.95
    assert found.groups["small"].estimate == pytest.approx(4.1, abs=0.3)
    assert found.groups["a"].estimate == pytest.approx(4.0, abs=0.05)
    same = partial_pooling({"a": 4.0, "b": 4.01}, {"a": 1.0, "b": 1.0})
    assert same.between_sd == 0
    assert same.shrinkage == {"a": 1.0, "b": 1.0}
    with pytest.raises(NotEnoughData):
        partial_pooling({"a": 1.0}, {"a": 1.0})
    with pytest.raises(Degenerate):
        partial_pooling({"a": 1.0, "b": 2.0}, {"a": 0.0, "b": 1.0})


def test_pooled_intervals_cover():
    rng = np.random.default_rng(2)
    covered = total = 0
    for _ in range(300):
        truth = rng.normal(4, 0.5, 6)
        se = rng.uniform(0.2, 1.0, 6)
        seen = rng.normal(truth, se)
        names = [f"g{i}" for i in range(6)]
        pooled = partial_pooling(dict(zip(names, seen, strict=True)), dict(zip(names, se, strict=True)))
        for name, value in zip(names, truth, strict=True):
            covered += pooled.groups[name].low <= value <= pooled.groups[name].high
            total += 1
    assert 0.90 < covered / total < 0.985


def test_verdicts():
    assert group_verdict(Estimate(3, 2.5, 3.5), at_most=4) == "meets"
    assert group_verdict(Estimate(5, 4.5, 5.5), at_most=4) == "fails"
    assert group_verdict(Estimate(4, 3.5, 4.5), at_most=4) == "not enough data to say"
    assert group_verdict(Estimate(-3, -3.5, -2.5), within=2) == "fails"
    assert group_verdict(Estimate(0, None, None, reason="few"), within=2) == "not enough data to say"
    with pytest.raises(UnknownOption):
        group_verdict(Estimate(0, -1, 1))


def test_the_whole_report():
    test, reference, group = cohort(spread=5.0)
    test[4] = np.nan
    found = fairness_report(
        test, reference, pd.Series(group, name="site"), at_most=3.0, covariates={"fat": reference}, resamples=400
    )
    assert [item.test.split(",")[0] for item in found.tests][:2] == ["equal bias", "equal spread"]
    assert len(found.tests) == 4
    assert all(item.p_adjusted is not None for item in found.tests)
    assert found.verdicts["a"] == "meets"
    assert found.verdicts["b"] == "fails"
    assert set(found.detectable) == {"a", "b", "c"}
    assert found.left_out == {}
    assert "pooled" in str(found)
    one = fairness_report(test, reference, ["a"] * 240, resamples=100)
    assert one.tests == []
    assert set(one.left_out) == {"equal bias", "equal spread", "equal mae", "pooling"}


def test_detectable_gap_is_found_with_the_promised_power():
    gap = detectable_gap(40, 60, sd_a=3, sd_b=2)
    rng = np.random.default_rng(1)
    found = [
        stats.ttest_ind(rng.normal(gap, 3, 40), rng.normal(0, 2, 60), equal_var=False).pvalue < 0.05
        for _ in range(1000)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_bands_of_body_fat_show_regression_to_the_mean():
    rng = np.random.default_rng(3)
    fat = rng.normal(30, 8, 600)
    test = fat - 0.3 * (fat - 30) + rng.normal(0, 2, 600)
    found = across_range(test, fat, cuts=[20, 30, 40], resamples=200)
    bias = {name: group.metrics["bias"].estimate for name, group in found.by_group.items()}
    assert list(bias) == ["< 20", "20 to 30", "30 to 40", "≥ 40"]
    assert bias["< 20"] > 2
    assert bias["≥ 40"] < -2


def test_biases_of_the_groups_raw_and_adjusted():
    rng = np.random.default_rng(5)
    n = 400
    group = np.array(["lean", "heavy"])[np.arange(n) % 2]
    fat = rng.normal(np.where(group == "lean", 22, 36), 5)
    test = fat + 0.2 * (30 - fat) + rng.normal(0, 1.5, n)
    raw = equal_bias(test, fat, group).means
    lean = (test - fat)[group == "lean"]
    assert raw["lean"].estimate == pytest.approx(lean.mean())
    assert raw["lean"].high - lean.mean() == pytest.approx(
        stats.t.ppf(0.975, 199) * lean.std(ddof=1) / np.sqrt(200), rel=1e-9
    )
    given = equal_bias(test, fat, group, covariates={"fat": fat}).means
    expected = 0.2 * (30 - fat.mean())
    assert all(item.low < expected < item.high for item in given.values())
    assert raw["lean"].estimate > 1 > -0.5 > raw["heavy"].estimate
    assert "means" not in equal_spread(test, fat, group).to_dict()


def test_subjects_count_once():
    test, reference, group = cohort(240, shift=1.0)
    single = equal_bias(test, reference, group)
    twice = [np.repeat(values, 2) for values in (test, reference, group)]
    subject = np.repeat(np.arange(240), 2)
    assert equal_bias(*twice, subject=subject).p_value == pytest.approx(single.p_value)
    assert equal_spread(*twice, subject=subject).p_value == pytest.approx(equal_spread(test, reference, group).p_value)
    given = equal_bias(test, reference, group, covariates={"fat": reference})
    again = equal_bias(*twice, subject=subject, covariates={"fat": twice[1]})
    assert again.p_value == pytest.approx(given.p_value)
    assert equal_bias(*twice).p_value < single.p_value
    with pytest.raises(UnknownOption, match="more than one group"):
        equal_bias(test, reference, group, subject=np.arange(240) // 2)


def test_bands_need_cut_points():
    assert list(band_labels(np.array([19.9, 20.0, np.nan, 45.0]), [40, 20])) == ["< 20", "20 to 40", None, "≥ 40"]
    for cuts in ([], [np.nan]):
        with pytest.raises(UnknownOption, match="cut point"):
            band_labels(np.array([1.0]), cuts)


def test_numbers_too_large_to_pool_are_refused():
    with pytest.raises(OutOfRange):
        partial_pooling({"a": 1e200, "b": 1.0}, {"a": 1.0, "b": 1.0})


def test_tests_of_the_same_rows_share_their_dealings():
    test, reference, group = cohort(shift=1.0)
    other = reference + np.random.default_rng(2).normal(0, 3, 240)
    quick = {"metric": "rmse", "resamples": 300}
    both = permutation_gaps({"a": test, "b": other}, reference, group, **quick)
    alone = {name: permutation_gap(x, reference, group, **quick) for name, x in (("a", test), ("b", other))}
    assert {name: item.p_value for name, item in both.items()} == {n: item.p_value for n, item in alone.items()}
    assert both["a"].statistic == pytest.approx(alone["a"].statistic)


def test_dealings_without_a_value_count_against_the_gap():
    """Two constant groups: dealt anew some groups have no correlation, which must not make p smaller."""
    reference = np.array([1.0, 1.0, 2.0, 1.0, 1.0, 2.0])
    test = np.array([1.0, 1.1, 2.0, 1.2, 1.0, 2.2])
    found = permutation_gap(test, reference, list("aaabbb"), metric="pearson", minimum_cell=2, resamples=200)
    assert found.p_value > 0.2
    with pytest.raises(UnknownOption, match="within_3 and the like"):
        permutation_gap(test, reference, list("aaabbb"), metric="within_few", minimum_cell=2)
