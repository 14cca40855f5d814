"""Every public function, whatever it is given: a number, or an error that names the reason; never a silent NaN.

`CALLS` has an entry for each public function; a function without one fails the first test.
"""

import inspect
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import validation as v
from validation.results import Estimate, as_plain

steady = settings(
    deadline=None, max_examples=30, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
QUICK = {"resamples": 60, "seed": 3}


def twos(n):
    return np.arange(n) // 2


def halves(n):
    return np.array(["a", "b"], dtype=object)[np.arange(n) % 2]


def line(x, y):
    return v.ols(x, y)


# Functions of three columns x, y, z of one length (some use fewer).
COLUMNS = {
    "across_range": lambda x, y, z: v.across_range(x, y, cuts=[0, 2], minimum_cell=0, **QUICK),
    "at_cut_point": lambda x, y, z: v.at_cut_point(x, y, cut=1),
    "bland_altman": lambda x, y, z: v.bland_altman(x, y),
    "bland_altman mixed": lambda x, y, z: v.bland_altman(x, y, subject=twos(len(x)), repeated="mixed", resamples=60),
    "bland_altman constant log": lambda x, y, z: v.bland_altman(
        x, y, subject=twos(len(x)), repeated="constant", scale="log"
    ),
    "bland_altman ratios": lambda x, y, z: v.bland_altman(x, y, scale="log").ratios(),
    "tolerance_limits ratios": lambda x, y, z: v.tolerance_limits(x, y, scale="log").ratios(),
    "AgreementReport log": lambda x, y, z: agree_on(x, y, z, scale="log", margins={"bias": 2.0}),
    "AgreementReport percent": lambda x, y, z: agree_on(x, y, z, scale="percent", limits="nonparametric"),
    "bland_altman 1986": lambda x, y, z: v.bland_altman(x, y, limits_interval="approximate-1986", scale="percent"),
    "bradley_blackwood": lambda x, y, z: v.bradley_blackwood(x, y),
    "ccc": lambda x, y, z: v.ccc(x, y),
    "ccc_parts": lambda x, y, z: v.ccc_parts(x, y),
    "ccc_repeated": lambda x, y, z: v.ccc_repeated(x, y, subject=twos(len(x)), **QUICK),
    "change_scores": lambda x, y, z: v.change_scores(x, y, y, z, least_significant_change=1.0),
    "compare_auc": lambda x, y, z: v.compare_auc(x, y, z > 0),
    "compare_versions": lambda x, y, z: v.compare_versions(
        x, y, z, groups={"g": halves(len(x))}, subject=twos(len(x)), minimum_cell=0, **QUICK
    ),
    "compare_errors": lambda x, y, z: v.compare_errors(x, y, z, metrics=["mae", "rmse", "sd", "ccc"], **QUICK),
    "constant": lambda x, y, z: v.constant(x, y, test_subject=twos(len(x)), reference_subject=twos(len(x))),
    "coverage_probability": lambda x, y, z: v.coverage_probability(x, y, within=1, scale="percent"),
    "cross_table": lambda x, y, z: v.cross_table(x, y),
    "cusum": lambda x, y, z: v.cusum(x, y, line(x, y)),
    "deming": lambda x, y, z: v.deming(x, y, subject=twos(len(x))),
    "deming weighted": lambda x, y, z: v.deming(x, y, weighted=True, interval="bootstrap", **QUICK),
    "diagnose": lambda x, y, z: v.diagnose(x, y, subject=twos(len(x))),
    "diagnose log": lambda x, y, z: v.diagnose(x, y, scale="log"),
    "equal_bias": lambda x, y, z: v.equal_bias(x, y, halves(len(x)), covariates={"z": z}, minimum_cell=0),
    "equal_bias by subject": lambda x, y, z: v.equal_bias(
        x, y, halves(len(x) // 2).repeat(2)[: len(x)], subject=twos(len(x)), minimum_cell=0
    ),
    "equal_spread": lambda x, y, z: v.equal_spread(x, y, halves(len(x)), minimum_cell=0),
    "equivalence_test": lambda x, y, z: v.equivalence_test(x, y, low=-1, high=1),
    "distribution_shift": lambda x, y, z: v.distribution_shift(x, [y, z], permutations=60),
    "ewma_chart": lambda x, y, z: v.ewma_chart(x, [y, z[:1], z], replications=60),
    "mean_chart": lambda x, y, z: v.mean_chart(x, [y, z[:1], z]),
    "spread_chart": lambda x, y, z: v.spread_chart(x, [y, z[:1], z], permutations=60),
    "error_measures": lambda x, y, z: v.error_measures(x, y, subject=twos(len(x)), **QUICK),
    "error_ratio": lambda x, y, z: v.error_ratio(x, twos(len(x)), y, twos(len(y))),
    "fairness_report": lambda x, y, z: v.fairness_report(
        x, y, halves(len(x)), at_most=3, covariates={"z": z}, minimum_cell=0, **QUICK
    ),
    "icc": lambda x, y, z: v.icc(np.column_stack([x, y, z])),
    "imputed_errors": lambda x, y, z: v.imputed_errors(x, np.array([y, z])),
    "kappa": lambda x, y, z: v.kappa(np.abs(np.column_stack([x, y])[:2]), weights="linear"),
    "kendall": lambda x, y, z: v.kendall(x, y),
    "measurement_error": lambda x, y, z: v.measurement_error(np.column_stack([x, y, z])),
    "mixed": lambda x, y, z: v.mixed(x, y, subject=twos(len(x)), resamples=60),
    "non_inferiority": lambda x, y, z: v.non_inferiority(x, y, z, margin=1, **QUICK),
    "nonparametric_limits": lambda x, y, z: v.nonparametric_limits(x, y, subject=twos(len(x)), **QUICK),
    "ols": lambda x, y, z: v.ols(x, y, weighted=True),
    "paired_tests": lambda x, y, z: v.paired_tests(x, y, z, **QUICK),
    "passing_bablok": lambda x, y, z: v.passing_bablok(x, y, orientation="auto", ties="exact"),
    "passing_bablok equivariant": lambda x, y, z: v.passing_bablok(x, y, kind="equivariant"),
    "passing_bablok by subject": lambda x, y, z: v.passing_bablok(x, y, subject=twos(len(x))),
    "pearson": lambda x, y, z: v.pearson(x, y),
    "permutation_gap": lambda x, y, z: v.permutation_gap(x, y, halves(len(x)), metric="rmse", minimum_cell=0, **QUICK),
    "pitman_morgan": lambda x, y, z: v.pitman_morgan(x, y),
    "prediction_interval": lambda x, y, z: v.prediction_interval(x, y, subject=twos(len(x))),
    "regression_limits": lambda x, y, z: v.regression_limits(x, y, scale="log"),
    "repeatability": lambda x, y, z: v.repeatability(x, twos(len(x))),
    "roc": lambda x, y, z: v.roc(x, y > 0),
    "rubin": lambda x, y, z: v.rubin(x, np.abs(y)),
    "spearman": lambda x, y, z: v.spearman(x, y),
    "superiority_by_ratio": lambda x, y, z: v.superiority_by_ratio(x, y, z, factor=1.5, **QUICK),
    "survey_design": lambda x, y, z: v.survey_design(len(x), weights=x, strata=twos(len(x))),
    "survey_errors": lambda x, y, z: v.survey_errors(x, y, weights=z),
    "survey_mean": lambda x, y, z: v.survey_mean(x, v.survey_design(len(x), weights=np.abs(z))),
    "theil_sen": lambda x, y, z: v.theil_sen(x, y),
    "tolerance_limits": lambda x, y, z: v.tolerance_limits(x, y),
    "tolerance_limits repeated": lambda x, y, z: v.tolerance_limits(x, y, subject=twos(len(x)), repeated="constant"),
    "tolerance_limits equal-tailed": lambda x, y, z: v.tolerance_limits(
        x, y, subject=twos(len(x)), kind="equal-tailed"
    ),
    "total_deviation_index": lambda x, y, z: v.total_deviation_index(x, y, scale="log"),
    "two_by_two": lambda x, y, z: v.two_by_two(x > 0, y > 0),
    "uncertainty_calibration": v.uncertainty_calibration,
    "value_calibration": lambda x, y, z: v.value_calibration(x, y),
    "within_margin": lambda x, y, z: v.within_margin(x, low=-1, high=1),
    "SubgroupFrame": lambda x, y, z: v.SubgroupFrame(
        test=x, reference=y, groups=halves(len(x)), metrics=["bias", "mae", "see", "ccc", "within_2"], minimum_cell=0,
        **QUICK,
    ),
    "AgreementReport": lambda x, y, z: agree_on(x, y, z),  # noqa: PLW0108 - defined below
}  # fmt: skip

# Functions of single numbers: n whole, a, b, c any.
NUMBERS = {
    "adjust_tests": lambda n, a, b, c: v.adjust_tests(
        [v.equal_bias([1, 2, 4, 9], [1, 1, 1, 1], ["a", "a", "b", "b"], minimum_cell=0)]
    ),
    "agreement_test": lambda n, a, b, c: v.agreement_test(n, bias=a, sd=b, margin=c),
    "agreement_test_sample_size": lambda n, a, b, c: v.agreement_test_sample_size(bias=a, sd=b, margin=c),
    "assurance": lambda n, a, b, c: v.assurance(n, width=a, sd=b),
    "assurance_sample_size": lambda n, a, b, c: v.assurance_sample_size(width=a, sd=b),
    "benjamini_hochberg": lambda n, a, b, c: v.benjamini_hochberg([a, None, b, c]),
    "by_simulation": lambda n, a, b, c: v.by_simulation(lambda rng, size: rng.random() < 0.5, n, runs=20),
    "ccc_power": lambda n, a, b, c: v.ccc_power(n, true=a, least=b, r=c),
    "ccc_sample_size": lambda n, a, b, c: v.ccc_sample_size(true=a, least=b, r=c),
    "clopper_pearson": lambda n, a, b, c: v.clopper_pearson(a, n),
    "corrected_sd": lambda n, a, b, c: v.corrected_sd(a, n, b, 20),
    "detectable_gap": lambda n, a, b, c: v.detectable_gap(n, 20, sd_a=a, sd_b=b),
    "equal_means": lambda n, a, b, c: v.equal_means({"x": (a, b, n), "y": (b, c, 20)}),
    "share_chart": lambda n, a, b, c: v.share_chart((3, 9), [(n, 50), (n // 2, n)], permutations=60),
    "expected_half_width": lambda n, a, b, c: v.expected_half_width(n, sd=a),
    "gap_power": lambda n, a, b, c: v.gap_power(n, 20, gap=a, sd_a=b, sd_b=c),
    "gap_sample_size": lambda n, a, b, c: v.gap_sample_size(gap=a, sd_a=b, sd_b=c),
    "group_verdict": lambda n, a, b, c: v.group_verdict(Estimate(a, b, c), within=1),
    "half_width_sample_size": lambda n, a, b, c: v.half_width_sample_size(width=a, sd=b),
    "holm": lambda n, a, b, c: v.holm([a, b, None, c]),
    "judge": lambda n, a, b, c: v.judge(Estimate(a, a, b), low=b, high=c),
    "limits_of_agreement": lambda n, a, b, c: v.limits_of_agreement(a, b, n),
    "limits_of_agreement paired": lambda n, a, b, c: v.limits_of_agreement(a, b, n, interval="exact-paired"),
    "limits_power": lambda n, a, b, c: v.limits_power(n, bias=a, sd=b, margin=c),
    "limits_sample_size": lambda n, a, b, c: v.limits_sample_size(bias=a, sd=b, margin=c),
    "mae_ratio_power": lambda n, a, b, c: v.mae_ratio_power(n, ratio=a, claimed=b, correlation=c),
    "mae_ratio_sample_size": lambda n, a, b, c: v.mae_ratio_sample_size(ratio=a, claimed=b, correlation=c),
    "partial_pooling": lambda n, a, b, c: v.partial_pooling({"x": a, "y": b}, {"x": c, "y": 1.0}),
    "precision_df": lambda n, a, b, c: v.precision_df(excess=a),
    "wilson": lambda n, a, b, c: v.wilson(a, n),
}
CALLS = COLUMNS | NUMBERS


def agree_on(x, y, z, **options):
    from validation.agree import agree

    table = pd.DataFrame({"x": x, "y": y, "z": z, "g": halves(len(x)), "s": twos(len(x)), "w": 1.0 + twos(len(x))})
    usual = {"margins": {"bias": 1, "mae": 1}, "decision_levels": [2], "weights": "w", "psu": "s", **QUICK}
    return agree(
        table, reference="z", tests=["x", "y"], by=["g"], subject="s", minimum_cell=0, fairness=True, bands=[1],
        **(usual | options),
    )  # fmt: skip


def plain_numbers(value):
    """Every number in a result of whatever kind."""
    if isinstance(value, v.SubgroupFrame | v.AgreementReport):
        str(value), value.to_frame()
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, dict):
        if "low" in value and None in (value.get("estimate"), value["low"], value.get("high")):
            assert value.get("reason"), value
        for item in value.values():
            yield from plain_numbers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from plain_numbers(item)
    elif isinstance(value, np.ndarray):
        yield from value.ravel().tolist()
    elif hasattr(value, "__dataclass_fields__"):
        yield from plain_numbers(as_plain(value))
    elif isinstance(value, int | float):
        yield float(value)


def checked(call, *arguments):
    try:
        found = call(*arguments)
    except v.ValidationError as error:
        reason = str(error)
        found = None
    else:
        reason = "none needed here"
    assert len(reason.split()) > 2
    assert all(math.isfinite(number) for number in plain_numbers(found))
    if hasattr(found, "to_dict"):
        json.dumps(found.to_dict(), allow_nan=False)


def test_every_public_function_has_an_entry():
    """Errors, warnings and result classes are made by functions, and need none."""
    covered = {name.split(" ")[0] for name in CALLS}
    functions = {name for name in v.__all__ if inspect.isfunction(getattr(v, name))}
    assert functions - covered == set()
    assert covered - set(v.__all__) == set()


BASE = np.array([31.0, 28.5, 40.2, 22.8, 35.5, 30.1, 27.7, 44.4, 19.9, 33.3])
NOISE = np.array([0.4, -1.2, 2.2, 0.3, -0.6, 1.7, -2.5, 0.9, -0.1, 1.1])
HOSTILE = {
    "nobody": BASE[:0],
    "one": BASE[:1],
    "two": BASE[:2],
    "three": BASE[:3],
    "constant": np.full(10, 3.0),
    "zero": np.zeros(10),
    "two values": np.array([1.0, 2.0] * 5),
    "mostly ties": np.array([5.0] * 8 + [6.0, 7.0]),
    "a missing value": np.array([math.nan, *BASE[1:]]),
    "all missing": np.full(10, math.nan),
    "infinite": np.array([math.inf, *BASE[1:]]),
    "minus infinite": np.array([-math.inf, *BASE[1:]]),
    "enormous": BASE * 1e300 / 50,
    "one enormous": np.array([1e300, *BASE[1:]]),
    "minute": BASE * 1e-300,
    "near the bounds": BASE * 1e73,
    "far from zero": BASE + 1e9,
    "negative": -BASE,
    "an outlier": np.array([1e6, *BASE[1:]]),
    "rounding alone": 30 + BASE * 1e-15,
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_columns(name, kind):
    """The hostile column as test, as reference, as both, as everything, and shifted (all differences equal)."""
    x = HOSTILE[kind]
    y, z = (BASE + NOISE)[: len(x)], (BASE - 2 * NOISE[::-1])[: len(x)]
    with np.errstate(over="ignore", invalid="ignore"):
        cases = [(x, y, z), (y, x, z), (z, y, x), (x, x, x), (x, x + 1, x - 2), (x, y, y)]
    for case in cases:
        checked(COLUMNS[name], *case)


SCALARS = [math.nan, math.inf, -math.inf, 0.0, -1.0, 0.05, 0.5, 0.95, 1.0, 2.0, 1e300, 1e-300, -1e300]


@pytest.mark.parametrize("name", NUMBERS)
@steady
@given(
    n=st.sampled_from([-1, 0, 1, 2, 3, 4, 10, 400, 10**7]),
    a=st.sampled_from(SCALARS),
    b=st.sampled_from(SCALARS),
    c=st.sampled_from(SCALARS),
)
def test_hostile_numbers(name, n, a, b, c):
    checked(NUMBERS[name], n, a, b, c)


@pytest.mark.parametrize("name", COLUMNS)
@steady
@given(
    rows=st.lists(
        st.tuples(*[st.one_of(st.integers(-2, 3).map(float), st.floats(0.5, 60).map(lambda v: round(v, 1)))] * 3),
        min_size=0,
        max_size=12,
    )
)
def test_any_small_table(name, rows):
    columns = np.array(rows, dtype=float).reshape(len(rows), 3).T
    checked(COLUMNS[name], *columns)


@pytest.mark.parametrize("function", ["bland_altman", "ccc", "deming", "passing_bablok", "error_measures", "icc"])
@pytest.mark.parametrize("level", [0, 1, -0.5, 1.5, math.nan])
def test_a_level_is_a_probability(function, level):
    x, y = BASE, BASE + NOISE
    arguments = (np.column_stack([x, y]),) if function == "icc" else (x, y)
    with pytest.raises(v.UnknownOption, match="level must lie between 0 and 1"):
        getattr(v, function)(*arguments, level=level)


def test_columns_of_text_and_of_other_lengths_are_refused_by_name():
    for function in (v.bland_altman, v.ccc, v.deming, v.error_measures, v.survey_errors, v.diagnose):
        with pytest.raises(v.NotFinite, match="something that is not a number"):
            function(["a", "b", "c"], [1, 2, 3])
        with pytest.raises(v.ShapeMismatch):
            function([1, 2, 3, 4], [1, 2, 3])
