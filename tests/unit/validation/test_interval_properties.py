"""What must hold of jackknife and order-statistic intervals and of lines with subjects, whatever the data."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from validation.accuracy import error_measures
from validation.comparison import METRICS, compare_errors
from validation.concordance import kendall
from validation.errors import ValidationError
from validation.limits import nonparametric_limits, total_deviation_index
from validation.reliability import icc
from validation.resampling import quantile_interval
from validation.results import as_plain
from validation.robust import passing_bablok

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds, sizes = st.integers(0, 10_000), st.integers(4, 40)
scales, shifts = st.floats(1e-3, 1e3), st.floats(-1e3, 1e3)


def cohort(seed, n, *, ties=False):
    rng = np.random.default_rng(seed)
    truth = rng.normal(30, 8, n)
    reference, test, other = truth + rng.normal(0, 2, n), truth + rng.normal(0.5, 2, n), truth + rng.normal(0, 4, n)
    digits = 0 if ties else 9
    return reference.round(digits), test.round(digits), other.round(digits)


def near(found, expected, rel=1e-7):
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a == pytest.approx(b, rel=rel, abs=1e-9)


@quick
@given(seed=seeds, n=sizes, scale=scales, shift=shifts, ties=st.booleans())
def test_jackknife_intervals_of_errors_follow_the_unit_and_not_the_order(seed, n, scale, shift, ties):
    reference, test, _ = cohort(seed, n, ties=ties)
    one = error_measures(test, reference, interval="jackknife", resamples=20)
    two = error_measures(scale * (test + shift), scale * (reference + shift), interval="jackknife", resamples=20)
    order = np.random.default_rng(seed).permutation(n)
    shuffled = error_measures(test[order], reference[order], interval="jackknife", resamples=20)
    for name in ("mae", "rmse"):
        item = getattr(one, name)
        near(getattr(two, name).interval, [end if end is None else scale * end for end in item.interval], rel=1e-5)
        near(getattr(shuffled, name).interval, item.interval)
        if item.low is not None:
            assert 0 < item.low <= item.estimate <= item.high
    near(shuffled.median_ae.interval, one.median_ae.interval)


@quick
@given(seed=seeds, n=sizes)
def test_exchanging_two_tests_turns_their_jackknife_comparison(seed, n):
    reference, test, other = cohort(seed, n)
    there = compare_errors(test, other, reference, metrics=METRICS, interval="jackknife", resamples=20)
    back = compare_errors(other, test, reference, metrics=METRICS, interval="jackknife", resamples=20)
    for one, two in zip(there, back, strict=True):
        near(two.difference.interval, [-one.difference.high, -one.difference.low])
        if one.metric != "ccc":
            near(two.ratio.interval, [1 / one.ratio.high, 1 / one.ratio.low])


@quick
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=60), scale=scales, shift=shifts)
def test_order_statistics_follow_the_unit_and_mirror(values, scale, shift):
    values = np.array(values)
    found = quantile_interval(values)
    assert values.min() <= found.low <= found.high <= values.max()
    slack = 1e-9 * (scale * np.abs(values).max() + abs(shift) + 1)
    moved = quantile_interval(scale * values[::-1] + shift)
    assert moved.low == pytest.approx(scale * found.low + shift, abs=slack)
    mirror = quantile_interval(-values)
    assert (-mirror.high, -mirror.low) == pytest.approx(found.interval, abs=slack)
    wider = quantile_interval(values, level=0.9)
    assert found.low <= wider.low <= wider.high <= found.high


@quick
@given(seed=seeds, n=st.integers(8, 14), per=st.integers(1, 4), shift=shifts)
def test_a_line_with_subjects_inverts_when_the_methods_are_exchanged(seed, n, per, shift):
    reference, test, _ = cohort(seed, n * per)
    subject = np.repeat(np.arange(n), per)
    one, two = (passing_bablok(*pair, subject=subject) for pair in ((test, reference), (reference, test)))
    assert two.slope.estimate == pytest.approx(1 / one.slope.estimate, rel=1e-9)
    if None not in one.slope.interval and None not in two.slope.interval and one.slope.low > 0:
        near(two.slope.interval, [1 / one.slope.high, 1 / one.slope.low])
    names = np.array([f"p{(i * 7) % 101}" for i in range(n)])[subject]
    named = passing_bablok(test + shift, reference, subject=names)
    near(named.slope.interval, one.slope.interval, rel=1e-5)


HOSTILE = {
    "one": ([1.0], [2.0]),
    "two": ([1.0, 2.0], [2.0, 1.0]),
    "three": ([1.0, 2.0, 4.0], [2.0, 1.0, 3.0]),
    "constant test": ([5.0] * 8, list(range(8))),
    "constant reference": (list(range(8)), [5.0] * 8),
    "equal": (list(range(8)), list(range(8))),
    "equal differences": (list(range(1, 9)), list(range(8))),
    "two values": ([0.0, 1.0] * 5, [1.0, 1.0, 0.0, 0.0, 1.0] * 2),
    "missing": ([1.0, math.nan, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0]),
    "infinite": ([1.0, math.inf, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0]),
    "huge": ([1e300, 2e300, -1e300, 0.0], [1.0, 2.0, 3.0, 4.0]),
    "outlier": ([1.0, 2.0, 3.0, 1e70], [1.0, 2.5, 3.0, 4.0]),
}
FUNCTIONS = {
    "errors": lambda x, y: error_measures(x, y, interval="jackknife", resamples=50),
    "errors of subjects": lambda x, y: error_measures(
        x, y, subject=np.arange(len(x)) // 2, interval="jackknife", resamples=50
    ),
    "comparison": lambda x, y: compare_errors(
        x, np.asarray(y, float)[::-1], y, metrics=METRICS, interval="jackknife", resamples=50
    ),
    "icc": lambda x, y: icc(np.column_stack([x, y]), interval="jackknife"),
    "icc of subjects": lambda x, y: icc(np.column_stack([x, y]), subject=np.arange(len(x)) // 2),
    "kendall": lambda x, y: kendall(x, y, interval="jackknife"),
    "line": lambda x, y: passing_bablok(x, y, subject=np.arange(len(x)) // 2),
    "equivariant line": lambda x, y: passing_bablok(x, y, kind="equivariant", subject=np.arange(len(x)) // 2),
    "limits": lambda x, y: nonparametric_limits(x, y, interval="order-statistics"),
    "index": lambda x, y: total_deviation_index(x, y, method="nonparametric", interval="order-statistics"),
}


def numbers(tree):
    if isinstance(tree, dict):
        if "estimate" in tree and None in (tree["estimate"], tree.get("low"), tree.get("high")):
            assert tree.get("reason"), tree
        for value in tree.values():
            yield from numbers(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from numbers(value)
    elif isinstance(tree, float):
        yield tree


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("data", HOSTILE)
def test_a_number_or_a_reason(function, data):
    refused = None
    try:
        found = FUNCTIONS[function](*HOSTILE[data])
    except ValidationError as error:
        refused = error
    if refused is not None:
        assert str(refused)
        return
    assert data not in ("missing", "infinite", "huge")
    assert all(math.isfinite(value) for value in numbers(as_plain(found)))
