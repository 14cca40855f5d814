"""Sample size and power; survey weights and multiple imputation."""

import math

import numpy as np
import pytest
from scipy import stats

from validation import (
    agreement_test,
    agreement_test_sample_size,
    assurance,
    assurance_sample_size,
    by_simulation,
    ccc,
    ccc_power,
    ccc_sample_size,
    expected_half_width,
    gap_power,
    gap_sample_size,
    half_width_sample_size,
    imputed_errors,
    limits_power,
    limits_sample_size,
    mae_ratio_power,
    mae_ratio_sample_size,
    precision_df,
    rubin,
    survey_design,
    survey_errors,
    survey_mean,
    tolerance_limits,
)
from validation.errors import Degenerate, NotConverged, NotEnoughData, OutOfRange, ShapeMismatch
from validation.limits import Range


def test_sample_size_for_limits_of_agreement():
    found = limits_sample_size(bias=0.001167, sd=0.001129, margin=0.004)
    assert found.n == 79
    assert found.power >= 0.8 > limits_power(78, bias=0.001167, sd=0.001129, margin=0.004)


def test_power_for_limits_is_what_simulation_gives():
    def shown(rng, n, margin):
        d = rng.normal(0.3, 2, n)
        s, z = d.std(ddof=1), stats.norm.ppf(0.975)
        half = stats.t.ppf(0.975, n - 1) * s * math.sqrt(1 / n + z * z / (2 * (n - 1)))
        return d.mean() + z * s + half < margin and d.mean() - z * s - half > -margin

    # Lu's formula treats the limit as if its error were that of a mean: it is off by several percentage points.
    for n, margin in ((60, 6), (40, 5.5)):
        simulated = by_simulation(lambda rng, n, margin=margin: shown(rng, n, margin), n, runs=1500)
        assert simulated.estimate == pytest.approx(limits_power(n, bias=0.3, sd=2, margin=margin), abs=0.08)


def test_the_exact_agreement_test_holds_its_level_and_power():
    rng = np.random.default_rng(2)
    n, reps = 20, 100_000
    critical = agreement_test(n, bias=0, sd=1, margin=1).critical
    mean, sd = rng.normal(0, 1 / math.sqrt(n), reps), np.sqrt(rng.chisquare(n - 1, reps) / (n - 1))
    half = critical * sd / math.sqrt(n)

    def shown(margin):
        return ((mean + half < margin) & (mean - half > -margin)).mean()

    # A true share of exactly 95 % within the margin is the border of the hypothesis.
    assert shown(stats.norm.ppf(0.975)) == pytest.approx(0.05, abs=0.004)
    assert shown(3.0) == pytest.approx(agreement_test(n, bias=0, sd=1, margin=3.0).power, abs=0.006)
    assert agreement_test_sample_size(bias=0.5, sd=2.5, margin=7).n == 34


def test_expected_width_and_assurance():
    rng = np.random.default_rng(2)
    widths = []
    for _ in range(2000):
        d = rng.normal(0, 1, 30)
        found = tolerance_limits(d, np.zeros(30), kind="equal-tailed")
        assert isinstance(found, Range)
        widths.append((found.upper - found.lower) / 2)
    assert np.mean(widths) == pytest.approx(expected_half_width(30), rel=0.01)
    assert np.mean(np.array(widths) <= 2.8) == pytest.approx(assurance(30, width=2.8), abs=0.03)
    assert half_width_sample_size(width=2.4) == 74
    n = assurance_sample_size(width=2.5)
    assert assurance(n, width=2.5) >= 0.9 > assurance(n - 1, width=2.5)


def test_concordance_and_ratio_of_errors():
    assert ccc_sample_size(true=0.96, least=0.93).n < ccc_sample_size(true=0.96, least=0.945).n
    with pytest.raises(OutOfRange):
        ccc_sample_size(true=0.9, least=0.95)

    r, true = 0.96, 0.94

    def concordant(rng, n):
        x = rng.normal(0, 1, n)
        y = r * x + math.sqrt(1 - r * r) * rng.normal(0, 1, n) + math.sqrt(2 * (r / true - 1))
        return ccc(y, x, level=0.9).low > 0.9

    power = ccc_power(60, true=true, least=0.9, r=r)
    found = by_simulation(concordant, 60, runs=1000)
    assert found.low - 0.03 < power < found.high + 0.03

    def shown(rng, n):
        a, b = np.abs(rng.normal(0, 1, n)), np.abs(rng.normal(0, 2, n))
        logs = math.log(b.mean() / a.mean() / 1.5)
        se = math.sqrt(a.var() / a.mean() ** 2 / n + b.var() / b.mean() ** 2 / n)
        return logs / se > stats.norm.ppf(0.95)

    n = mae_ratio_sample_size(ratio=2, claimed=1.5).n
    assert by_simulation(shown, n, runs=1500).low < mae_ratio_power(n, ratio=2, claimed=1.5) + 0.02
    assert by_simulation(shown, n, runs=1500).high > mae_ratio_power(n, ratio=2, claimed=1.5) - 0.02
    assert mae_ratio_sample_size(ratio=2, claimed=1.5, correlation=0.5).n < n


def test_precision_study_and_gaps():
    assert precision_df(excess=0.3) == 27
    found = gap_sample_size(gap=1, sd_a=2, sd_b=2)
    assert found.n == 64  # the textbook's 64 a group for half an SD at 80 %
    assert gap_power(63, 63, gap=1, sd_a=2, sd_b=2) < 0.8
    with pytest.raises(NotConverged):
        mae_ratio_sample_size(ratio=1.0001)
    with pytest.raises(OutOfRange):
        gap_power(10, 10, gap=1, sd_a=0, sd_b=1)


def survey(seed=1, strata=6, psus=2, rows=30):
    rng = np.random.default_rng(seed)
    stratum = np.repeat(np.arange(strata), psus * rows)
    psu = np.tile(np.repeat(np.arange(psus), rows), strata)
    effect = rng.normal(0, 1, (strata, psus))[stratum, psu]
    reference = rng.normal(30, 8, len(stratum))
    return reference + effect + rng.normal(0, 2, len(stratum)), reference, rng.uniform(1, 5, len(stratum)), stratum, psu


def test_weights_of_one_change_no_estimate():
    test, reference, _, _, _ = survey()
    found = survey_errors(test, reference)
    d = test - reference
    assert found.bias.estimate == pytest.approx(d.mean())
    assert found.sd.estimate == pytest.approx(d.std(ddof=1))
    assert found.mae.estimate == pytest.approx(np.abs(d).mean())
    assert found.rmse.estimate == pytest.approx(np.sqrt((d**2).mean()))
    assert found.within["3"].estimate == pytest.approx(100 * (np.abs(d) <= 3).mean())
    # Without a design the interval of the mean is the ordinary one.
    half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / math.sqrt(len(d))
    assert found.bias.high - found.bias.estimate == pytest.approx(half)


def test_the_design_based_variance_by_hand():
    values = np.array([1.0, 2.0, 4.0, 8.0, 3.0, 5.0])
    weights = np.array([1.0, 2.0, 1.0, 1.0, 2.0, 1.0])
    strata, psu = [1, 1, 1, 2, 2, 2], [1, 1, 2, 1, 2, 2]
    plan = survey_design(6, weights=weights, strata=strata, psu=psu)
    mean = (weights * values).sum() / 8
    z = weights * (values - mean) / 8
    totals = [z[0] + z[1], z[2], z[3], z[4] + z[5]]
    variance = (totals[0] - totals[1]) ** 2 + (totals[2] - totals[3]) ** 2
    found = survey_mean(values, plan)
    assert plan.df == 2
    assert found.estimate == pytest.approx(mean)
    assert found.high - mean == pytest.approx(stats.t.ppf(0.975, 2) * math.sqrt(variance))


def test_clusters_widen_the_interval():
    test, reference, weights, strata, psu = survey()
    with_design = survey_errors(test, reference, weights=weights, strata=strata, psu=psu)
    without = survey_errors(test, reference, weights=weights)
    assert with_design.bias.estimate == without.bias.estimate
    assert with_design.df == 6
    assert with_design.bias.high - with_design.bias.low > 1.5 * (without.bias.high - without.bias.low)
    scaled = survey_errors(test, reference, weights=1000 * weights, strata=strata, psu=psu)
    assert scaled.mae.interval == pytest.approx(with_design.mae.interval)


def test_designs_that_cannot_work_are_refused():
    with pytest.raises(Degenerate, match="single PSU"):
        survey_design(3, strata=[1, 1, 2], psu=[1, 2, 1])
    with pytest.raises(OutOfRange):
        survey_design(2, weights=[1, -1])
    with pytest.raises(ShapeMismatch):
        survey_design(3, weights=[1, 1])
    with pytest.raises(ShapeMismatch):
        survey_mean([1, 2], survey_design(3))


def test_errors_pooled_over_imputed_references():
    test, reference, weights, strata, psu = survey()
    rng = np.random.default_rng(4)
    missing = rng.random(len(test)) < 0.2
    references = [np.where(missing, reference + rng.normal(0, 3, len(test)), reference) for _ in range(5)]
    design = {"weights": weights, "strata": strata, "psu": psu}
    found = imputed_errors(test, references, **design)
    single = [survey_errors(test, values, **design) for values in references]
    assert (found.n, found.imputations, found.df) == (len(test), 5, 6)
    for name in ("bias", "mae", "rmse", "sd"):
        items = [getattr(item, name) for item in single]
        pooled = getattr(found, name)
        assert pooled.pooled.estimate == pytest.approx(np.mean([item.estimate for item in items]))
        se = [(item.high - item.low) / 2 / stats.t.ppf(0.975, 6) for item in items]
        total = np.mean(np.square(se)) + 1.2 * np.var([item.estimate for item in items], ddof=1)
        assert pooled.within_variance + 1.2 * pooled.between_variance == pytest.approx(total)
        assert 0 < pooled.missing_information < 1
        assert pooled.df < 6
    same = imputed_errors(test, [reference, reference], **design)
    assert same.mae.pooled.estimate == survey_errors(test, reference, **design).mae.estimate
    assert imputed_errors(reference + 1, [reference, reference]).sd.pooled.reason
    with pytest.raises(NotEnoughData, match="1 imputations"):
        imputed_errors(test, [reference])
    with pytest.raises(ShapeMismatch):
        imputed_errors(test, reference)


def test_rubins_rules():
    found = rubin([1.0, 1.2, 0.9, 1.1, 1.3], [0.04, 0.05, 0.04, 0.05, 0.04])
    q, within = np.array([1.0, 1.2, 0.9, 1.1, 1.3]), 0.044
    total = within + 1.2 * q.var(ddof=1)
    assert found.pooled.estimate == pytest.approx(1.1)
    df = 4 * (total / (1.2 * q.var(ddof=1))) ** 2
    assert found.df == pytest.approx(df)
    assert found.pooled.high - 1.1 == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(total))
    small = rubin([1.0, 1.2, 0.9, 1.1, 1.3], [0.04, 0.05, 0.04, 0.05, 0.04], complete_df=20)
    assert small.df < 20
    same = rubin([1.0, 1.0], [0.04, 0.04])
    assert same.missing_information == 0
    assert same.pooled.high == pytest.approx(1 + 1.959964 * 0.2, rel=1e-6)
    assert rubin([1.0, 1.0], [0.04, 0.04], complete_df=10).df == pytest.approx(11 / 13 * 10)
    with pytest.raises(Degenerate):
        rubin([1.0, 1.0], [0.0, 0.0])
