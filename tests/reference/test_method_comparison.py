"""Published data sets: what R packages, pingouin, SciPy and the papers give for them."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from validation.accuracy import error_measures
from validation.agreement import bland_altman, exact_factors, limits_of_agreement, paired_factors, tolerance_factor
from validation.classification import kappa
from validation.comparison import paired_tests, pitman_morgan
from validation.concordance import ccc, pearson, spearman
from validation.design import (
    agreement_test_sample_size,
    expected_half_width,
    half_width_sample_size,
    limits_power,
    limits_sample_size,
)
from validation.equivalence import equivalence_test
from validation.limits import (
    coverage_probability,
    nonparametric_limits,
    prediction_interval,
    regression_limits,
    tolerance_limits,
    total_deviation_index,
)
from validation.precision import repeatability
from validation.regression import deming, ols
from validation.reliability import icc
from validation.repeated import constant, mixed
from validation.robust import passing_bablok
from validation.subgroups import SubgroupFrame

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


FORMS = {
    "ICC1": "ICC(1,1)",
    "ICC2": "ICC(A,1)",
    "ICC3": "ICC(C,1)",
    "ICC1k": "ICC(1,k)",
    "ICC2k": "ICC(A,k)",
    "ICC3k": "ICC(C,k)",
}


def check_psych(ratings, values):
    found = icc(ratings)
    for theirs, form in FORMS.items():
        assert found[form].estimate == pytest.approx(values[theirs]["icc"], rel=1e-9)
        assert found[form].interval == pytest.approx((values[theirs]["lower"], values[theirs]["upper"]), rel=1e-9)
        assert found.p_values[form] == pytest.approx(values[theirs]["p"], rel=1e-9)


def check_irr(ratings, expected):
    """irr agrees but for the interval of ICC(A,k), whose degrees of freedom it finds anew."""
    found = icc(ratings)
    for form, name in {
        "ICC(1,1)": "oneway_consistency_single",
        "ICC(1,k)": "oneway_consistency_average",
        "ICC(C,1)": "twoway_consistency_single",
        "ICC(C,k)": "twoway_consistency_average",
        "ICC(A,1)": "twoway_agreement_single",
        "ICC(A,k)": "twoway_agreement_average",
    }.items():
        values = expected(f"irr_icc_{name}")[-1]
        assert found[form].estimate == pytest.approx(values["icc"], rel=1e-9)
        if form != "ICC(A,k)":
            assert found[form].interval == pytest.approx(values["ci95"], rel=1e-9)


def test_intraclass_correlation(case):
    x, y, expected = case
    if expected("psych_icc6"):
        check_psych(np.column_stack([x, y]), expected("psych_icc6")[0])


@pytest.mark.parametrize("name", ["shrout_fleiss1979", "irr_anxiety"])
def test_intraclass_correlation_of_raters(folder, name):
    ratings = pd.read_csv(folder / f"{name}.csv").drop(columns="subject", errors="ignore")
    found = json.loads((folder / "expected" / f"{name}.json").read_text())["results"]

    def expected(quantity):
        return [item["values"] for item in found if item["quantity"] == quantity]

    check_irr(ratings, expected)
    if expected("psych_icc6"):
        check_psych(ratings, expected("psych_icc6")[0])


def agrees(line, values, *, rel):
    """Whether both coefficients and their intervals are those of mcr."""
    for name in ("intercept", "slope"):
        found = getattr(line, name)
        assert found.estimate == pytest.approx(values[name], rel=rel)
        assert found.interval == pytest.approx(values[f"{name}_ci"], rel=rel)


@pytest.mark.parametrize(
    ("quantity", "fit", "rel"),
    [
        ("LinReg_analytical", ols, 1e-9),
        ("LinReg_jackknife", lambda x, y: ols(x, y, interval="jackknife"), 1e-9),
        ("Deming_analytical", lambda x, y: deming(x, y, interval="analytic"), 1e-9),
        ("Deming_jackknife", deming, 1e-9),
        ("WDeming_jackknife", lambda x, y: deming(x, y, weighted=True), 1e-6),
        ("PaBa_analytical", passing_bablok, 1e-9),
        ("PaBa_jackknife", lambda x, y: passing_bablok(x, y, interval="jackknife"), 1e-9),
    ],
)
def test_regression(case, quantity, fit, rel):
    x, y, expected = case
    (values,) = expected(f"mcreg_{quantity}")
    agrees(fit(x, y), values, rel=rel)


def test_bias_at_levels_and_bootstrap_of_creatinine(folder):
    table = pd.read_csv(folder / "mcr_creatinine.csv").dropna()
    x, y = table["plasma.crea"], table["serum.crea"]
    found = json.loads((folder / "expected" / "mcr_creatinine.json").read_text())["results"]
    values = {item["quantity"]: item["values"] for item in found}
    line = deming(x, y)
    for (level, bias, _, low, high), ours in zip(
        values["bias_at_levels_Deming_jackknife"]["rows"], line.bias_at([0.8, 1, 2, 5]), strict=True
    ):
        assert level in (0.8, 1, 2, 5)
        assert (ours.estimate, ours.low, ours.high) == pytest.approx((bias, low, high), rel=1e-9)
    for fit, name in ((deming, "Deming"), (passing_bablok, "PaBa")):
        drawn = fit(x, y, interval="bootstrap", resamples=5000)
        for part in ("slope", "intercept"):
            _, low, high = values[f"mcreg_bootstrap_{name}_BCa"][part]
            # Their acceleration and ours differ a little, and both are drawn: 12 % of the width.
            assert getattr(drawn, part).interval == pytest.approx((low, high), abs=0.12 * (high - low))


def test_regression_of_very_large_numbers(folder):
    table = pd.read_csv(folder / "mcr_anait_td13.csv")
    for item in json.loads((folder / "expected" / "mcr_anait_td13.json").read_text())["results"]:
        call, values = item["call"], item["values"]
        method = call["RegMethod"]
        if method in ("LinReg", "WLinReg"):
            line = ols(table["y"], table["x"], weighted=method == "WLinReg")
        elif "Deming" in method:
            line = deming(table["y"], table["x"], weighted=method == "WDeming", error_ratio=float(call["ErrorRatio"]))
        elif method in ("PaBa", "PaBaLarge", "PBequi"):
            kind = "equivariant" if method == "PBequi" else "classic"
            line = passing_bablok(table["y"], table["x"], kind=kind)
        else:
            continue
        # The stored figures rest on a t quantile of seven digits, those of Passing–Bablok are printed with six.
        assert line.slope.estimate == pytest.approx(values["Slope"], rel=1e-6)
        assert line.intercept.estimate == pytest.approx(values["Intercept"], rel=1e-6)
        if item["quantity"] != "PBequi-large":
            assert line.slope.interval == pytest.approx((values["SlopeL"], values["SlopeU"]), rel=1e-6)
        if method != "PBequi":
            assert line.intercept.interval == pytest.approx((values["InterceptL"], values["InterceptU"]), rel=1e-6)


def test_precision(folder):
    table = pd.read_csv(folder / "ba1986_pefr.csv")
    found = json.loads((folder / "expected" / "ba1986_pefr.json").read_text())["results"]
    for name in ("wright", "mini"):
        (values,) = [item["values"] for item in found if item["quantity"] == f"repeatability_{name}"]
        ours = repeatability(np.r_[table[f"{name}1"], table[f"{name}2"]], np.tile(np.arange(17), 2))
        assert ours.within_sd.estimate == pytest.approx(values["sw"], rel=1e-9)
        assert ours.repeatability.estimate == pytest.approx(values["rc_277"], rel=1e-9)
        assert ours.rms_cv.estimate == pytest.approx(values["rms_cv_pct"], rel=1e-9)
    table = pd.read_csv(folder / "ba1999_sbp.csv")
    found = json.loads((folder / "expected" / "ba1999_sbp.json").read_text())["results"]
    (values,) = [item["values"] for item in found if item["quantity"] == "within_subject_and_repeatability"]
    for name in "JRS":
        values_by_row = table[[f"{name}1", f"{name}2", f"{name}3"]].to_numpy().ravel()
        ours = repeatability(values_by_row, np.repeat(np.arange(85), 3))
        assert ours.within_sd.estimate == pytest.approx(values["sw"][name], rel=1e-9)
        # They multiply by 1.96, we by the normal quantile 1.959964.
        assert ours.repeatability.estimate == pytest.approx(values["rc"][name] * 1.959963984540054 / 1.96, rel=1e-9)


def test_other_limits(case):
    x, y, expected = case
    (values,) = expected("tolerance_interval_95_95_two_sided_exact")
    found = tolerance_limits(x, y)
    # The tool's own quadrature is good to about 1e-9.
    assert (found.lower, found.upper) == pytest.approx((values["lower"], values["upper"]), rel=2e-9)
    (values,) = expected("prediction_interval95")
    found = prediction_interval(x, y)
    assert (found.lower, found.upper) == pytest.approx((values["lower"], values["upper"]), rel=1e-9)
    for kind in (6, 7, 8):
        (values,) = expected(f"quantile_loa_type{kind}")
        found = nonparametric_limits(x, y, quantile=kind, resamples=200)
        ours = found.lower.estimate, found.upper.estimate
        assert ours == pytest.approx((values["lower"], values["upper"]), rel=1e-9)
    (values,) = expected("ba1999_regression_loa_absres")
    found = regression_limits(x, y)
    assert found.spread_intercept.estimate == pytest.approx(values["c0"], rel=1e-9)
    assert found.spread_slope.estimate == pytest.approx(values["c1"], rel=1e-9)
    assert found.p_spread == pytest.approx(values["p_c1"], rel=1e-9)


def test_total_deviation_index_and_coverage_probability(case):
    x, y, expected = case
    (values,) = expected("tdi95_methcomp")
    # The tool looks for the root with a tolerance of 1e-4 on its own scale.
    assert total_deviation_index(x, y, coverage=0.95).estimate == pytest.approx(values["tdi_numeric"], rel=5e-6)
    (values,) = expected("coverage_probability_normal")
    within = values["delta"]
    assert coverage_probability(x, y, within=within).estimate == pytest.approx(values["cp"], rel=1e-9)
    empirical = coverage_probability(x, y, within=within, method="empirical")
    assert empirical.estimate == pytest.approx(values["empirical"], rel=1e-9)
    (values,) = expected("lin_agreement_pkg")
    limit = values["conf_limit_one_sided"]
    tdi = total_deviation_index(x, y, coverage=values["tdi_coverage"], method="lin", level=0.9)
    assert (tdi.estimate, tdi.high) == pytest.approx((values["estimate"]["TDI"], limit["TDI"]), rel=1e-9)
    cp = coverage_probability(x, y, within=values["cp_delta"], method="lin", level=0.9)
    assert (cp.estimate, cp.low) == pytest.approx((values["estimate"]["CP"], limit["CP"]), rel=1e-9)


def test_repeated_measurements(folder):
    table = pd.read_csv(folder / "ba1999_sbp.csv")
    found = json.loads((folder / "expected" / "ba1999_sbp.json").read_text())["results"]
    values = {item["quantity"]: item["values"] for item in found}
    x, y = (table[[f"{name}{i}" for i in (1, 2, 3)]].to_numpy(float).ravel() for name in "JS")
    subject = np.repeat(np.arange(85), 3)
    for kind, name in (("mover", "mover"), ("approximate", "blandaltman")):
        for alpha, level in (("0.05", 0.9), ("0.025", 0.95)):
            theirs = values[f"simplyagree_agreement_limit_reps_{name}_{alpha}"]
            ours = constant(x, y, test_subject=subject, reference_subject=subject, limits_interval=kind, level=level)
            assert ours.sd == pytest.approx(theirs["sd_delta"], rel=1e-9)
            assert ours.limits.lower.low == pytest.approx(theirs["lower_loa_ci"], rel=1e-9)
            assert ours.limits.upper.high == pytest.approx(theirs["upper_loa_ci"], rel=1e-9)
    theirs = values["simplyagree_agreement_limit_nest_mover_0.025"]
    for ours in (bland_altman(x, y, subject=subject), mixed(x, y, subject=subject, resamples=200)):
        assert ours.bias.estimate == pytest.approx(theirs["bias"], rel=1e-9)
        assert ours.sd == pytest.approx(theirs["sd_delta"], rel=1e-6)


def test_repeated_temperatures(folder):
    table = pd.read_csv(folder / "simplyagree_temps.csv")
    found = json.loads((folder / "expected" / "simplyagree_temps.json").read_text())["results"]
    for name in ("trec_post", "trec_delta", "teso_post", "teso_delta"):
        wide = table.pivot(index=["id", "trial_condition"], columns="tod", values=name).reset_index()
        (theirs,) = [item["values"] for item in found if item["quantity"] == f"agreement_limit_nest_{name}"]
        ours = mixed(wide["PM"], wide["AM"], subject=wide["id"], resamples=200)
        assert ours.bias.estimate == pytest.approx(theirs["bias"], rel=1e-6)
        assert ours.sd == pytest.approx(theirs["sd_delta"], rel=1e-6)


def test_two_one_sided_tests(case):
    x, y, expected = case
    for values in expected("tost_paired"):
        claim = equivalence_test(x, y, low=-values["bound"], high=values["bound"])
        assert claim.p_value == pytest.approx(values["pval"], rel=1e-9)


def test_errors_of_two_observers_against_one_machine(folder):
    table = pd.read_csv(folder / "ba1999_sbp.csv")
    found = json.loads((folder / "expected" / "ba1999_sbp.json").read_text())["results"]
    (values,) = [item["values"] for item in found if item["quantity"] == "paired_error_comparison_J1_R1_vs_S1"]
    ours = paired_tests(table["J1"], table["R1"], table["S1"], resamples=200)
    assert ours.absolute.estimate == pytest.approx(values["diff"], rel=1e-9)
    assert ours.absolute.interval == pytest.approx(values["ci95"], rel=1e-9)
    assert ours.t_p == pytest.approx(values["p_t"], rel=1e-9)
    assert ours.wilcoxon_p == pytest.approx(values["wilcox_p"], rel=1e-9)
    assert ours.pitman_morgan_p == pytest.approx(values["pitman_morgan_p"], rel=1e-9)
    assert ours.sign_p == pytest.approx(values["sign_p"], rel=1e-9)
    assert {ours.closer, ours.farther} == {values["sign_pos"], values["sign_neg"]}


def test_pitman_morgan_of_the_methods(case):
    x, y, expected = case
    (values,) = expected("corr_spearman_diff_mean")
    _, p = pitman_morgan(x, y)
    statistic = values["pitman_morgan_t"]
    assert p == pytest.approx(2 * stats.t.sf(abs(statistic), len(x) - 2), rel=1e-9)
    difference, mean = x - y, (x + y) / 2
    assert spearman(difference, mean).estimate == pytest.approx(values["spearman"], rel=1e-9)


def test_kappa_of_the_vision_table(folder):
    table = pd.read_csv(folder / "irr_vision_table.csv").pivot(index="r.eye", columns="l.eye", values="Freq")
    found = json.loads((folder / "expected" / "irr_vision_table.json").read_text())["results"]
    values = {item["quantity"]: item["values"] for item in found}
    for weights, name in (("none", "None"), ("linear", "linear"), ("quadratic", "quadratic")):
        theirs = values[f"statsmodels_cohens_kappa_{name}"]
        ours = kappa(table, weights=weights)
        assert ours.estimate == pytest.approx(theirs["kappa"], rel=1e-9)
        assert ours.interval == pytest.approx((theirs["lo"], theirs["hi"]), rel=1e-9)


def test_groups_as_fairlearn_has_them(folder):
    table = pd.read_csv(folder / "methcomp_scint_wide.csv").dropna(subset=["DTPA", "DMSA"])
    band = pd.cut(table["age"], [0, 40, 60, 200], right=False, labels=["<40", "40-59", "60+"])
    found = json.loads((folder / "expected" / "methcomp_scint_wide.json").read_text())["results"]
    for name, groups in (
        ("sex", {"sex": table["sex"]}),
        ("ageband", {"age": band}),
        ("sex_ageband", {"sex": table["sex"], "age": band}),
    ):
        (values,) = [item["values"] for item in found if item["quantity"] == f"fairlearn_metricframe_{name}"]
        ours = SubgroupFrame(
            test=table["DTPA"],
            reference=table["DMSA"],
            groups=groups,
            metrics=["mae", "rmse", "bias", "within_3"],
            minimum_cell=0,
            resamples=100,
        )
        assert ours.n == values["overall"]["n"]
        for label, theirs in values["by_group"].items():
            group = ours.by_group[label.replace("|", " × ")]
            assert group.n == theirs["n"]
            for metric, scale in (("mae", 1), ("rmse", 1), ("bias", 1), ("within3", 100)):
                mine = group.metrics[metric.replace("within3", "within_3")].estimate
                assert mine == pytest.approx(scale * theirs[metric], rel=1e-9)
        # Fairlearn divides the smaller by the larger; ours is the larger over the smaller.
        for metric in ("mae", "rmse"):
            gap = ours.difference(metric).estimate.estimate
            assert gap == pytest.approx(values["difference_between"][metric], rel=1e-9)
            ratio = ours.ratio(metric).estimate.estimate
            assert ratio == pytest.approx(1 / values["ratio_between"][metric], rel=1e-9)
        assert ours.difference("bias").estimate.estimate == pytest.approx(
            values["difference_between"]["bias"], rel=1e-9
        )


def test_design(folder):
    found = json.loads((folder / "expected" / "design.json").read_text())["results"]
    values = {item["quantity"]: item["values"] for item in found}
    curve = values["blandPowerCurve_doc_example"]
    size = limits_sample_size(bias=0, sd=3.3, margin=8)
    assert size.n == curve["find_n"]["N"]
    assert size.power == pytest.approx(curve["find_n"]["power"], rel=1e-9)
    for n, power in curve["power_at"].items():
        assert limits_power(int(n), bias=0, sd=3.3, margin=8) == pytest.approx(power, rel=1e-9, abs=1e-12)
    exact = values["power_agreement_exact"]
    ours = agreement_test_sample_size(bias=exact["mu"], sd=exact["sigma"], margin=exact["delta"])
    assert ours.n == exact["n"]
    # The tool integrates by Simpson's rule between the 1e-6 quantiles: good to about 1e-6.
    assert ours.power == pytest.approx(exact["power"], rel=1e-5)
    assert ours.critical == pytest.approx(exact["critical_value"], rel=1e-5)
    assert ours.share == pytest.approx(exact["p1_star"], rel=1e-9)
    half = values["agree_expected_half"]
    assert half_width_sample_size(width=half["target.delta"]) == half["n"]
    assert expected_half_width(half["n"]) == pytest.approx(half["actual.delta"], rel=2e-6)
