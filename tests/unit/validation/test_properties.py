"""Properties that hold for any data: invariances, and numbers or named reasons but never a silent NaN."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import validation as v
from validation.agree import agree
from validation.results import Estimate, Result, as_plain

steady = settings(
    deadline=None, max_examples=40, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
QUICK = {"resamples": 100, "seed": 3}

TAME = st.floats(1, 60).map(lambda value: round(value, 1))


def rows(element, columns=2, least=0, most=8):
    return st.lists(st.tuples(*[element] * columns), min_size=least, max_size=most)


def columns_of(found, count=2):
    return [np.array([row[i] for row in found], dtype=float) for i in range(count)]


def no_nan(value):
    """No NaN or infinity anywhere in a result, and every missing number beside a reason."""
    if isinstance(value, (Estimate, Result)):
        value = value.to_dict()
    json.dumps(as_plain(value), allow_nan=False)
    if isinstance(value, dict):
        if "low" in value and None in (value["estimate"], value.get("low"), value.get("high")):
            assert value["reason"]
        for item in value.values():
            no_nan(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            no_nan(item)
    elif isinstance(value, float):
        assert math.isfinite(value)


TWO = {
    "bland_altman": v.bland_altman,
    "ccc": v.ccc,
    "spearman": v.spearman,
    "ols": v.ols,
    "deming": v.deming,
    "passing_bablok": v.passing_bablok,
    "theil_sen": v.theil_sen,
    "icc": lambda x, y: v.icc(np.column_stack([x, y])),
    "regression_limits": v.regression_limits,
    "ccc_parts": v.ccc_parts,
}
# Quantities with the unit of the data that a shift of both methods leaves alone.
WITH_UNIT = {
    **{
        f"limits, {how}": lambda x, y, how=how: v.bland_altman(x, y, limits_interval=how).limits
        for how in ("exact", "exact-paired", "mover", "approximate", "approximate-1986")
    },
    "limits, repeated": lambda x, y: v.bland_altman(x, y, subject=np.arange(len(x)) // 2).limits,
    "limits, replicates": lambda x, y: v.bland_altman(x, y, subject=np.arange(len(x)) // 2, repeated="constant").limits,
    "limits, mixed": lambda x, y: v.mixed(x, y, subject=np.arange(len(x)) // 2, resamples=60).limits,
    "quantiles": lambda x, y: v.nonparametric_limits(x, y, **QUICK),
    "tolerance": lambda x, y: [part(v.tolerance_limits(x, y, kind=kind)) for kind in ("two-sided", "equal-tailed")],
    "tolerance, repeated": lambda x, y: part(v.tolerance_limits(x, y, subject=np.arange(len(x)) // 2)),
    "prediction": lambda x, y: part(v.prediction_interval(x, y)),
    "tdi": lambda x, y: [v.total_deviation_index(x, y, method=how, **QUICK) for how in ("normal", "nonparametric")],
    "errors": lambda x, y: [getattr(v.error_measures(x, y, **QUICK), name) for name in ("mae", "rmse", "median_ae")],
    "measurement error": lambda x, y: [getattr(v.measurement_error(np.c_[x, y]), name) for name in ("sem", "see")],
    "survey": lambda x, y: [getattr(v.survey_errors(x, y), name) for name in ("bias", "mae", "rmse", "sd")],
    "precision": lambda x, y: v.repeatability(x, np.arange(len(x)) // 2).lsc,
}
# Quantities without unit, which neither a shift nor a change of unit moves.
WITHOUT_UNIT = {
    "ccc": v.ccc_parts,
    "icc": lambda x, y: v.icc(np.column_stack([x, y])),
    "correlations": lambda x, y: [v.pearson(x, y), v.spearman(x, y), v.kendall(x, y)],
    "bradley_blackwood": v.bradley_blackwood,
    "pitman_morgan": lambda x, y: v.pitman_morgan(x, y)[0],
    "equal_bias": lambda x, y: v.equal_bias(x, y, np.arange(len(x)) % 2, minimum_cell=0).p_value,
    "equal_spread": lambda x, y: v.equal_spread(x, y, np.arange(len(x)) % 2, minimum_cell=0).p_value,
    "permutation_gap": lambda x, y: v.permutation_gap(x, y, np.arange(len(x)) % 2, minimum_cell=0, **QUICK).p_value,
    "diagnose": lambda x, y: [v.diagnose(x, y).skewness, v.diagnose(x, y).spread_p],
    "slopes": lambda x, y: [v.deming(x, y).slope, v.passing_bablok(x, y).slope, v.theil_sen(x, y).slope],
}


def part(found):
    return [found.lower, found.upper]


def numbers_of(found):
    """All numbers of a result, in order; None stays."""
    if isinstance(found, (Estimate, Result)):
        found = found.to_dict()
    if isinstance(found, dict):
        found = [item for name, item in found.items() if name not in ("level", "coverage", "reason")]
    if isinstance(found, (list, tuple)):
        return [number for item in found for number in numbers_of(item)]
    return [] if isinstance(found, str) else [found]


@pytest.mark.parametrize("name", [*WITH_UNIT, *WITHOUT_UNIT])
@pytest.mark.parametrize(("factor", "shift"), [(1.0, 64.0), (1.0, -16.0), (8.0, 0.0), (0.25, 0.0)])
def test_units_and_origins(name, factor, shift):
    """Dyadic data, factors and shifts, so that nothing is lost to rounding and ties stay ties."""
    rng = np.random.default_rng(len(name))
    y = np.round(rng.normal(30, 8, 40) * 8) / 8
    x = np.round((y + rng.normal(0.5, 2, 40)) * 8) / 8
    function = (WITH_UNIT | WITHOUT_UNIT)[name]
    here, there = numbers_of(function(x, y)), numbers_of(function(factor * x + shift, factor * y + shift))
    times = factor if name in WITH_UNIT else 1.0
    assert [item is None for item in here] == [item is None for item in there]
    known = [(a, b) for a, b in zip(here, there, strict=True) if a is not None]
    assert [b for _, b in known] == pytest.approx([times * a for a, _ in known], rel=1e-7, abs=1e-9 * times)


@steady
@given(found=rows(st.one_of(TAME, st.just(math.nan)), columns=3, most=30), group=st.integers(1, 4))
def test_agree_never_fails_on_finite_or_missing_values(found, group):
    x, y, z = columns_of(found, 3)
    table = pd.DataFrame({"a": x, "b": y, "r": z, "g": np.arange(len(x)) % group, "s": np.arange(len(x)) // 2})
    for subject in (None, "s"):
        report = agree(table, reference="r", tests=["a", "b"], by=["g"], subject=subject, minimum_cell=2, resamples=60)
        no_nan(report.to_dict())
        assert str(report)


@steady
@given(found=rows(TAME, least=5, most=25), shift=st.sampled_from([-40.0, 8.0, 1024.0]))
def test_a_shift_of_both_methods_moves_nothing_but_the_intercept(found, shift):
    x, y = columns_of(found)
    assume(len(set(x)) > 2 and len(set(y)) > 2 and len(set(np.round(x - y, 9))) > 2)
    here, there = v.bland_altman(x, y), v.bland_altman(x + shift, y + shift)
    assert there.bias.interval == pytest.approx(here.bias.interval, rel=1e-9, abs=1e-9)
    assert there.limits.upper.interval == pytest.approx(here.limits.upper.interval, rel=1e-9, abs=1e-9)
    slopes = [item.proportional_bias.slope.estimate for item in (here, there)]
    if slopes[0] is not None:
        assert slopes[1] == pytest.approx(slopes[0], rel=1e-6, abs=1e-9)
    assert v.ccc(x + shift, y + shift).estimate == pytest.approx(v.ccc(x, y).estimate, rel=1e-6, abs=1e-9)
    one, two = (v.icc(np.column_stack([x + d, y + d]))["ICC(A,1)"].estimate for d in (0, shift))
    assert two == pytest.approx(one, rel=1e-6, abs=1e-9)
    a, b = (v.error_measures(x + d, y + d, **QUICK) for d in (0, shift))
    assert b.mae.interval == pytest.approx(a.mae.interval, rel=1e-9, abs=1e-9)


@steady
@given(found=rows(TAME, least=5, most=25), scale=st.sampled_from([0.125, 2.0, 1024.0]))
def test_a_change_of_unit_scales_or_leaves_everything(found, scale):
    x, y = columns_of(found)
    assume(len(set(x)) > 2 and len(set(y)) > 2 and len(set(np.round(x - y, 9))) > 2)
    here, there = v.bland_altman(x, y), v.bland_altman(scale * x, scale * y)
    assert there.bias.interval == pytest.approx([scale * end for end in here.bias.interval], rel=1e-12, abs=1e-12)
    assert there.p_value == pytest.approx(here.p_value, rel=1e-9)
    a, b = (v.error_measures(s * x, s * y, within=(3 * s,), **QUICK) for s in (1, scale))
    assert b.rmse.interval == pytest.approx([scale * end for end in a.rmse.interval], rel=1e-9)
    assert b.mape.interval == pytest.approx(a.mape.interval, rel=1e-9)
    assert next(iter(b.within.values())).interval == next(iter(a.within.values())).interval
    for fit in (v.ols, v.deming, v.passing_bablok):
        try:
            one = fit(x, y)
        except v.ValidationError:
            continue
        two = fit(scale * x, scale * y)
        assert two.slope.estimate == pytest.approx(one.slope.estimate, rel=1e-9, abs=1e-12)
        assert two.intercept.estimate == pytest.approx(scale * one.intercept.estimate, rel=1e-9, abs=1e-9 * scale)


@steady
@given(found=rows(TAME, least=4, most=25), seed=st.integers(0, 99))
def test_the_order_of_rows_is_of_no_account(found, seed):
    x, y = columns_of(found)
    order = np.random.default_rng(seed).permutation(len(x))
    for name in TWO:
        try:
            here = TWO[name](x, y)
        except v.ValidationError:
            continue
        numbers = here.to_frame()["estimate"].to_numpy(dtype=float)
        again = TWO[name](x[order], y[order]).to_frame()["estimate"].to_numpy(dtype=float)
        assert again == pytest.approx(numbers, rel=1e-6, abs=1e-9, nan_ok=True)


@steady
@given(found=rows(TAME, least=3, most=25))
def test_exchanging_the_methods_turns_the_sign(found):
    x, y = columns_of(found)
    here, there = v.bland_altman(x, y), v.bland_altman(y, x)
    assert there.bias.estimate == pytest.approx(-here.bias.estimate, abs=1e-12)
    if here.limits.lower.low is not None:
        assert there.limits.upper.high == pytest.approx(-here.limits.lower.low, rel=1e-9)


@steady
@given(found=rows(TAME, least=3, most=25))
def test_intervals_hold_their_estimates_and_grow_with_the_level(found):
    x, y = columns_of(found)
    for interval in ("exact", "exact-paired", "mover", "approximate"):
        for item in (v.bland_altman(x, y, limits_interval=interval, level=level).limits.lower for level in (0.8, 0.99)):
            if item.low is not None:
                assert item.low <= item.estimate <= item.high
        narrow, wide = (
            v.bland_altman(x, y, limits_interval=interval, level=level).limits.lower for level in (0.8, 0.99)
        )
        if narrow.low is not None:
            assert wide.high - wide.low > narrow.high - narrow.low


@steady
@given(found=rows(TAME, least=4, most=20))
def test_weights_of_one_change_nothing(found):
    x, y = columns_of(found)
    assume(len(set(np.round(x - y, 9))) > 2)
    plain, weighted = v.survey_errors(x, y), v.survey_errors(x, y, weights=np.ones(len(x)))
    assert plain == weighted
    assert plain.bias.interval == pytest.approx(v.bland_altman(x, y).bias.interval, rel=1e-9, abs=1e-9)
    assert plain.mae.estimate == pytest.approx(v.error_measures(x, y, **QUICK).mae.estimate)
