"""Published data sets: what R packages, pingouin, SciPy and the papers give for them."""

import json

import numpy as np
import pandas as pd
import pytest

from validation.accuracy import error_measures
from validation.agreement import bland_altman, exact_factors, limits_of_agreement, paired_factors, tolerance_factor
from validation.concordance import ccc, pearson

# data set -> (test, reference) columns, as the expected files have them.
PAIRS = {
    "ba1986_pefr": ("mini1", "wright1"),
    "ba1999_sbp": ("J1", "S1"),
    "mcr_creatinine": ("plasma.crea", "serum.crea"),
    "methcomp_scint_wide": ("DTPA", "DMSA"),
}


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "data" / "method_comparison"


@pytest.fixture(params=list(PAIRS))
def case(request, folder):
    """(test, reference, expected) of a data set; expected(quantity, tool part) gives the values."""
    table = pd.read_csv(folder / f"{request.param}.csv")
    x, y = (table[name] for name in PAIRS[request.param])
    keep = x.notna() & y.notna()
    found = json.loads((folder / "expected" / f"{request.param}.json").read_text())["results"]

    def expected(quantity):
        return [item["values"] for item in found if item["quantity"] == quantity]

    return x[keep].to_numpy(float), y[keep].to_numpy(float), expected


def test_bias_and_limits(case):
    x, y, expected = case
    found = bland_altman(x, y)
    (values,) = expected("bias_sd")
    assert found.n == values["n"]
    assert found.bias.estimate == pytest.approx(values["bias"], rel=1e-9)
    assert found.bias.interval == pytest.approx(values["bias_ci95"], rel=1e-9)
    assert found.sd == pytest.approx(values["sd"], rel=1e-9)
    assert found.p_value == pytest.approx(values["p"], rel=1e-9)
    values = expected("loa_mult_1.96")[0]
    assert found.limits.lower.estimate == pytest.approx(values["lower"], rel=1e-9)
    assert found.limits.upper.estimate == pytest.approx(values["upper"], rel=1e-9)


def test_exact_interval_of_one_limit(case):
    x, y, expected = case
    found = bland_altman(x, y).limits
    for values in expected("loa_ci95_exact_carkeet_one_limit"):
        assert found.lower.interval == pytest.approx(values["lower_ci"], rel=1e-9)
        assert found.upper.interval == pytest.approx(values["upper_ci"], rel=1e-9)


@pytest.mark.parametrize(("interval", "name"), [("mover", "mover"), ("approximate", "blandaltman")])
def test_mover_and_approximate_intervals(case, interval, name):
    x, y, expected = case
    # The tool gives the outer one-sided limits: at 0.05 those of a two-sided 90 % interval, at 0.025 of 95 %.
    for alpha, level in ((0.05, 0.9), (0.025, 0.95)):
        (values,) = expected(f"simplyagree_agreement_limit_{name}_alpha{alpha}")
        found = bland_altman(x, y, limits_interval=interval, level=level).limits
        assert found.lower.low == pytest.approx(values["lower_loa_ci"], rel=1e-9)
        assert found.upper.high == pytest.approx(values["upper_loa_ci"], rel=1e-9)


def test_log_scale(case):
    x, y, expected = case
    found = bland_altman(x, y, scale="log", limits_interval="mover")
    (values,) = expected("log_ratio")
    assert (found.bias.estimate, found.sd) == pytest.approx((values["bias_log"], values["sd_log"]), rel=1e-9)
    assert found.bias.interval == pytest.approx(values["bias_log_ci"], rel=1e-9)
    ratios = found.ratios()
    assert ratios.bias.estimate == pytest.approx(values["gmr"], rel=1e-9)
    assert [ratios.limits.lower.estimate, ratios.limits.upper.estimate] == pytest.approx(values["loa_ratio"], rel=1e-9)
    approximate = bland_altman(x, y, scale="log", limits_interval="approximate").limits.lower
    assert approximate.interval == pytest.approx(values["lower_log_ci_t"], rel=1e-9)
    (values,) = expected("simplyagree_log_agreement_limit_mover_alpha0.025")
    assert found.limits.lower.low == pytest.approx(values["lower_loa_ci"], rel=1e-9)


@pytest.mark.parametrize(
    ("quantity", "scale"), [("percent_diff_of_mean", "percent"), ("percent_diff_of_y", "percent of reference")]
)
def test_percent_scales(case, quantity, scale):
    x, y, expected = case
    (values,) = expected(quantity)
    found = bland_altman(x, y, scale=scale)
    assert (found.bias.estimate, found.sd) == pytest.approx((values["bias"], values["sd"]), rel=1e-9)
    limits = [found.limits.lower.estimate, found.limits.upper.estimate]
    assert limits == pytest.approx(values["loa"], rel=1e-9)


def test_proportional_bias(case):
    x, y, expected = case
    (values,) = expected("proportional_bias_lm_diff_on_mean")
    line = bland_altman(x, y).proportional_bias
    assert line.slope.estimate == pytest.approx(values["slope"], rel=1e-9)
    assert line.slope.interval == pytest.approx(values["ci_slope"], rel=1e-9)
    assert line.intercept.interval == pytest.approx(values["ci_intercept"], rel=1e-9)
    assert line.p_value == pytest.approx(values["p_slope"], rel=1e-9)
    assert line.residual_sd == pytest.approx(values["resid_sd"], rel=1e-9)


def test_concordance(case):
    x, y, expected = case
    (values,) = expected("lin_ccc_ztransform")
    found = ccc(x, y)
    assert found.estimate == pytest.approx(values["ccc"], rel=1e-9)
    assert found.interval == pytest.approx(values["ci95"], rel=1e-9)
    (values,) = expected("lin_ccc_asymptotic")
    assert ccc(x, y, interval="asymptotic").interval == pytest.approx(values["ci95"], rel=1e-9)
    (values,) = expected("corr_spearman_diff_mean")
    assert pearson(x, y).estimate == pytest.approx(values["pearson_xy"], rel=1e-9)


def test_error_measures_and_their_bootstrap_intervals(case):
    x, y, expected = case
    found = error_measures(x, y, resamples=20_000)
    (values,) = expected("error_metrics")
    for name, theirs in (("mae", "mae"), ("rmse", "rmse"), ("median_ae", "medae"), ("mape", "mape")):
        assert getattr(found, name).estimate == pytest.approx(values[theirs], rel=1e-9)
    assert found.maximum.estimate == pytest.approx(values["maxae"], rel=1e-9)
    (values,) = expected("bca_boot_R100000")
    for name in ("mae", "rmse"):
        low, high = values[name]["bca"]
        ours = getattr(found, name)
        # Monte Carlo error of a 2.5 % quantile of 20,000 resamples is about 1 % of the width; 4 % allows for ties.
        assert ours.low == pytest.approx(low, abs=0.04 * (high - low))
        assert ours.high == pytest.approx(high, abs=0.04 * (high - low))


def test_factors_of_the_exact_intervals(folder):
    found = json.loads((folder / "expected" / "design.json").read_text())["results"]
    (table,) = [item["values"] for item in found if item["quantity"] == "k_factors_exact_python"]
    for n, values in table.items():
        assert exact_factors(int(n)) == pytest.approx(
            (values["carkeet_single_inner"], values["carkeet_single_outer"]), rel=1e-9
        )
        assert paired_factors(int(n)) == pytest.approx(
            (values["carkeet_paired_inner"], values["carkeet_paired_outer"]), rel=1e-9
        )
        if "tolerance_two_sided_95_95" in values:
            assert tolerance_factor(int(n), 0.95, 0.95) == pytest.approx(values["tolerance_two_sided_95_95"], rel=1e-9)


def test_exact_paired_interval(case):
    x, y, expected = case
    found = bland_altman(x, y)
    # The tool multiplies by 1.96 and integrates to about 1e-4.
    limits = limits_of_agreement(found.bias.estimate, found.sd, found.n, interval="exact-paired")
    for values in expected("pycompare_exact_paired_carkeet"):
        assert limits.upper.interval == pytest.approx(values["upperLoA"], rel=1e-3)
        assert limits.lower.interval == pytest.approx(values["lowerLoA"], rel=1e-3)
    assert np.isfinite(limits.lower.low)
