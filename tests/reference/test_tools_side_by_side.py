"""The same data sets by further tools: where they agree, where they are known to differ, and by how much.

docs/statistics.md says which is followed where tools disagree.
"""

import json

import numpy as np
import pandas as pd
import pytest

from validation.accuracy import ErrorTable, bootstrap_tables
from validation.agreement import bland_altman, limits_of_agreement
from validation.classification import kappa
from validation.concordance import ccc, pearson
from validation.equivalence import equivalence_test
from validation.limits import prediction_interval, tolerance_limits
from validation.regression import deming
from validation.reliability import icc
from validation.repeated import constant
from validation.resampling import bca, bootstrap_quantile
from validation.robust import passing_bablok

PAIRS = {
    "ba1986_pefr": ("mini1", "wright1"),
    "ba1999_sbp": ("J1", "S1"),
    "mcr_creatinine": ("plasma.crea", "serum.crea"),
    "methcomp_scint_wide": ("DTPA", "DMSA"),
}
FORMS = {
    "ICC1": "ICC(1,1)",
    "ICC2": "ICC(A,1)",
    "ICC3": "ICC(C,1)",
    "ICC1k": "ICC(1,k)",
    "ICC2k": "ICC(A,k)",
    "ICC3k": "ICC(C,k)",
}
Z = 1.959963984540054


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "data" / "method_comparison"


def expected(folder, name):
    """quantity -> list of values."""
    found = {}
    for item in json.loads((folder / "expected" / f"{name}.json").read_text())["results"]:
        found.setdefault(item["quantity"], []).append(item["values"])
    return found


@pytest.fixture(params=list(PAIRS))
def case(request, folder):
    table = pd.read_csv(folder / f"{request.param}.csv")
    pairs = table[list(PAIRS[request.param])].dropna().to_numpy(float)
    return pairs[:, 0], pairs[:, 1], expected(folder, request.param)


def test_multiples_of_the_sd(case):
    """With the multiplier that a tool took instead of the normal quantile, its limits come out."""
    x, y, values = case
    found = bland_altman(x, y)
    for item in [*values["loa_mult_1.96"], *values["loa_mult_2"]]:
        half = item["multiplier"] / Z * (found.limits.upper.estimate - found.bias.estimate)
        ours = found.bias.estimate - half, found.bias.estimate + half
        assert ours == pytest.approx((item["lower"], item["upper"]), rel=1e-9)


def test_approximate_interval_of_blandr(case):
    """blandr multiplies by 1.96: ours lie within the difference of that, 2e-5 of the SD's part."""
    x, y, values = case
    (item,) = values["blandr_loa_ci95_approx_t"]
    found = bland_altman(x, y, limits_interval="approximate")
    hair = 1e-4 * found.sd
    assert found.limits.lower.interval == pytest.approx(item["lower_ci"], abs=hair)
    assert found.limits.upper.interval == pytest.approx(item["upper_ci"], abs=hair)


def test_prediction_limits_of_simplyagree_and_its_approximate_tolerance(case):
    x, y, values = case
    (item,) = values["simplyagree_tolerance_limit_approx"]
    found = prediction_interval(x, y)
    assert (found.lower, found.upper) == pytest.approx((item["lower.PL"], item["upper.PL"]), rel=1e-9)
    exact = tolerance_limits(x, y)
    assert (exact.lower, exact.upper) == pytest.approx((item["lower.TL"], item["upper.TL"]), rel=0.01)


def test_median_of_the_differences(case):
    x, y, values = case
    for kind in (6, 7, 8):
        (item,) = values[f"quantile_loa_type{kind}"]
        found = bootstrap_quantile(x - y, 0.5, resamples=10, rng=np.random.default_rng(1), kind=kind)
        assert found.estimate == pytest.approx(item["median"], rel=1e-9)


def test_concordance_by_desctools(case):
    x, y, values = case
    (item,) = values["lin_ccc_desctools"]
    found = ccc(x, y)
    assert (found.estimate, *found.interval) == pytest.approx((item["ccc"], *item["ci95"]), rel=1e-9)
    (item,) = values["lin_ccc_ztransform"]
    assert found.estimate / pearson(x, y).estimate == pytest.approx(item["C_b"], rel=1e-9)


def test_correlation_of_difference_and_mean(case):
    x, y, values = case
    (item,) = values["corr_spearman_diff_mean"]
    assert pearson(x - y, (x + y) / 2).estimate == pytest.approx(item["pearson"], rel=1e-9)


def test_bootstrap_of_spread_and_concordance(case):
    x, y, values = case
    table = ErrorTable(x, y, np.arange(len(x)))
    drawn = bootstrap_tables({"test": table}, resamples=20_000, seed=1)["test"]
    (item,) = values["bca_boot_R100000"]
    for name in ("sd", "ccc"):
        ours, (low, high) = bca(drawn[name]), item[name]["bca"]
        assert ours.estimate == pytest.approx(item[name]["est"], rel=1e-9)
        # Monte Carlo error of both sides, and of a few large errors that carry the tail.
        assert ours.interval == pytest.approx((low, high), abs=0.05 * (high - low))
    for item in values.get("scipy_bca_mae", []):
        low, high = item["ci"]
        assert bca(drawn["mae"]).interval == pytest.approx((low, high), abs=0.04 * (high - low))


def check_ninety_percent(ratings, values):
    """reli_aov prints a 90 % interval."""
    for item in values["simplyagree_reli_aov"][-1:]:
        found = icc(ratings, level=0.9)
        for theirs, form in FORMS.items():
            assert found[form].estimate == pytest.approx(item["icc"][theirs], rel=1e-9)
            assert found[form].interval == pytest.approx((item["lower"][theirs], item["upper"][theirs]), rel=1e-9)


def test_intraclass_correlation_by_pingouin_and_simplyagree(case, request):
    x, y, values = case
    found = icc(np.column_stack([x, y]))
    for item in values.get("pingouin_icc", []):
        for form, theirs in item.items():
            assert found[form].estimate == pytest.approx(theirs["icc"], rel=1e-9)
            # It rounds the ends to two decimals.
            assert found[form].interval == pytest.approx(theirs["ci95"], abs=0.0051)
    if "ba1999_sbp" not in request.node.callspec.id:
        check_ninety_percent(np.column_stack([x, y]), values)


@pytest.mark.parametrize("name", ["shrout_fleiss1979", "irr_anxiety"])
def test_intraclass_correlation_of_raters_by_simplyagree(folder, name):
    ratings = pd.read_csv(folder / f"{name}.csv").drop(columns="subject", errors="ignore").to_numpy(float)
    values = expected(folder, name)
    check_ninety_percent(ratings, values)
    for item in values.get("PUBLISHED", []):
        found = icc(ratings)
        assert {form: round(found[ours].estimate, 2) for form, ours in FORMS.items()} == item


def test_two_one_sided_tests_by_statsmodels(case):
    x, y, values = case
    for item in values.get("tost_paired_statsmodels", []):
        assert equivalence_test(x, y, low=item["low"], high=item["upp"]).p_value == pytest.approx(item["p"], rel=1e-9)


def test_deming_by_others(case):
    x, y, values = case
    line = deming(x, y)
    ours = line.intercept.estimate, line.slope.estimate
    (item,) = values["simplyagree_dem_reg"]
    assert ours == pytest.approx(item["coef"], rel=1e-9)
    # deming::deming stops its search early.
    (item,) = values["deming_pkg_deming"]
    assert ours[1] == pytest.approx(item["coef"][1], rel=1e-4)


def test_passing_bablok_by_others(case):
    x, y, values = case
    floating, exact = (passing_bablok(x, y, ties=ties).slope for ties in ("floating", "exact"))
    # The large-sample form of mcr puts slopes into bins of angles.
    (item,) = values["mcreg_PaBaLarge_analytical"]
    assert floating.estimate == pytest.approx(item["slope"], rel=1e-4)
    (item,) = values["deming_pkg_pbreg1"]
    assert exact.estimate == pytest.approx(item["coef"][1], rel=1e-9)


def test_passing_bablok_of_creatinine_by_calanas_and_its_bias_at_levels(folder):
    table = pd.read_csv(folder / "mcr_creatinine.csv")
    values = expected(folder, "mcr_creatinine")
    assert {"rows": len(table), "complete": len(table.dropna())} == values["missing"][0]
    table = table.dropna()
    line = passing_bablok(table["plasma.crea"], table["serum.crea"])
    (item,) = values["PUBLISHED_calanas"]
    for part in ("intercept", "slope"):
        found = getattr(line, part)
        assert found.estimate == pytest.approx(item[part], rel=1e-9)
        assert found.interval == pytest.approx(item[f"{part}_ci"], rel=1e-9)
    (item,) = values["bias_at_levels_LinReg_note"]
    for (_, bias, *_), ours in zip(item["rows"], line.bias_at([0.8, 1, 2, 5]), strict=True):
        assert ours.estimate == pytest.approx(bias, rel=1e-9)


def test_blood_pressure_without_the_two_outliers(folder):
    table = pd.read_csv(folder / "ba1999_sbp.csv").drop(index=[77, 79])
    (item,) = expected(folder, "ba1999_sbp")["excluding_78_80"]
    found = bland_altman(table["J1"], table["S1"])
    assert found.bias.estimate == pytest.approx(item["bias"], rel=1e-9)
    half = 1.96 * found.sd
    assert (found.bias.estimate - half, found.bias.estimate + half) == pytest.approx(item["loa"], rel=1e-4)


def test_equal_replicates_by_the_formula_of_bland_and_altman(folder):
    table = pd.read_csv(folder / "ba1999_sbp.csv")
    (item,) = expected(folder, "ba1999_sbp")["equal_replicates_BA1999_5.1"]
    x, y = (table[[f"{name}{i}" for i in (1, 2, 3)]].to_numpy(float).ravel() for name in "JS")
    subject = np.repeat(np.arange(85), 3)
    found = constant(x, y, test_subject=subject, reference_subject=subject, limits_interval="approximate")
    assert found.bias.estimate == pytest.approx(item["bias"], rel=1e-9)
    assert found.sd == pytest.approx(item["sd"], rel=1e-9)
    # They multiply by 1.96.
    assert [found.limits.lower.estimate, found.limits.upper.estimate] == pytest.approx(item["loa"], rel=1e-4)


def test_kappa_by_psych_and_desctools(folder):
    table = pd.read_csv(folder / "irr_vision_table.csv").pivot(index="r.eye", columns="l.eye", values="Freq")
    values = expected(folder, "irr_vision_table")
    (item,) = values["desctools_kappa"]
    for weights, name in (("none", "unweighted"), ("linear", "equal_spacing"), ("quadratic", "fleiss_cohen")):
        found = kappa(table, weights=weights)
        assert (found.estimate, *found.interval) == pytest.approx(item[name], rel=1e-9)
    low, estimate, high = values["cohen_kappa"][0]["unweighted"]
    plain = kappa(table, weights="none")
    assert (plain.estimate, *plain.interval) == pytest.approx((estimate, low, high), rel=1e-9)
    # psych's interval with quadratic weights is narrower, see the docs; its estimate is the same.
    low, estimate, high = values["cohen_kappa"][0]["quadratic"]
    squared = kappa(table, weights="quadratic")
    assert squared.estimate == pytest.approx(estimate, rel=1e-9)
    assert squared.high - squared.low > high - low


def test_limits_as_printed_for_peak_flow(folder):
    """Bland and Altman 1986, mini less Wright here, who take two SDs and round before they multiply."""
    table = pd.read_csv(folder / "ba1986_pefr.csv")
    (printed,) = expected(folder, "ba1986_pefr")["PUBLISHED"]
    found = bland_altman(table["wright1"], table["mini1"])
    assert round(found.bias.estimate, 1) == printed["bias_wright_minus_mini"]
    assert round(found.sd, 1) == printed["sd"]
    assert np.round(found.bias.interval, 1) == pytest.approx(printed["bias_ci95"], abs=0.11)
    ours = limits_of_agreement(found.bias.estimate, found.sd, found.n)
    assert ours.lower.estimate == pytest.approx(printed["loa_2sd"][0], abs=0.05 * found.sd)
    assert round(pearson(table["wright1"], table["mini1"]).estimate, 2) == printed["r"]
