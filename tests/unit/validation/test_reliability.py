"""Intraclass correlation where subjects repeat, and coefficients by leaving subjects out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from validation.concordance import ccc, ccc_repeated, kendall, pearson
from validation.errors import NotEnoughData, UnknownOption
from validation.reliability import FORMS, icc

SINGLE = ("ICC(1,1)", "ICC(A,1)", "ICC(C,1)")


def ratings(n=30, k=2, seed=3):
    rng = np.random.default_rng(seed)
    return rng.normal(30, 5, n)[:, None] + np.arange(k) / 2 + rng.normal(0, 1.5, (n, k))


@pytest.mark.parametrize("k", [2, 3])
def test_jackknife_is_left_out_by_hand(k):
    table = ratings(k=k)
    n = len(table)
    found = icc(table, interval="jackknife")
    for form in SINGLE:
        z = np.arctanh([icc(np.delete(table, i, axis=0))[form].estimate for i in range(n)])
        se = np.sqrt((n - 1) / n * ((z - z.mean()) ** 2).sum())
        centre, t = np.arctanh(found[form].estimate), stats.t.ppf(0.975, n - 1)
        expected = np.tanh([centre - t * se, centre + t * se])
        assert found[form].interval == pytest.approx(expected, rel=1e-9), form
        low, high = found[form].interval
        average = found[form.replace("1)", "k)")]
        assert average.interval == pytest.approx((k * low / (1 + (k - 1) * low), k * high / (1 + (k - 1) * high)))


@pytest.mark.parametrize("interval", ["jackknife", "bca"])
def test_the_coefficients_are_those_of_the_mean_squares(interval):
    table = ratings(12, 3)
    plain, other = icc(table), icc(table, interval=interval, resamples=300)
    for form in FORMS:
        assert other[form].estimate == plain[form].estimate
        assert other[form].low < other[form].estimate < other[form].high
        assert other.p_values[form] == plain.p_values[form]


def test_repeated_subjects_count_once():
    table = ratings()
    twice, subject = np.repeat(table, 2, axis=0), np.repeat(np.arange(30), 2)
    found = icc(twice, subject=subject)
    assert "jackknife" in found["ICC(1,1)"].method
    naive, alone = icc(twice, interval="jackknife"), icc(table, interval="jackknife")
    width = [item["ICC(C,1)"].high - item["ICC(C,1)"].low for item in (alone, naive, found)]
    assert width[1] < 0.8 * width[0]
    assert width[2] == pytest.approx(width[0], rel=0.1)
    left_out = np.arctanh([icc(twice[subject != i])["ICC(A,1)"].estimate for i in range(30)])
    se = np.sqrt(29 / 30 * ((left_out - left_out.mean()) ** 2).sum())
    half = stats.t.ppf(0.975, 29) * se
    z = np.arctanh([found["ICC(A,1)"].low, found["ICC(A,1)"].high])
    assert (z[1] - z[0]) / 2 == pytest.approx(half, rel=1e-9)


def test_what_repeated_subjects_do_not_allow():
    table, subject = ratings(12), np.repeat(np.arange(4), 3)
    with pytest.raises(UnknownOption, match="interval is 'f'"):
        icc(table, subject=subject, interval="f")
    assert icc(table, subject=np.arange(12)).to_dict() == icc(table).to_dict()
    two = icc(table[:4], subject=[0, 0, 1, 1])
    assert two["ICC(A,1)"].low is None
    assert "too few" in two["ICC(A,1)"].reason
    perfect = icc(np.repeat(table[:, :1], 2, axis=1), interval="jackknife")["ICC(C,1)"]
    assert (perfect.estimate, perfect.low, perfect.reason) == (1.0, None, "the residual variance is zero")
    with pytest.raises(NotEnoughData):
        icc(table[:1])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(4, 25), k=st.integers(2, 4),
    scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3), interval=st.sampled_from(["f", "jackknife", "bca"]),
)  # fmt: skip
def test_units_and_order_do_not_matter(seed, n, k, scale, shift, interval):
    table = ratings(n, k, seed)
    one = icc(table, interval=interval, resamples=60)
    two = icc(scale * (table + shift), interval=interval, resamples=60)
    for form in FORMS:
        assert two[form].estimate == pytest.approx(one[form].estimate, rel=1e-6, abs=1e-7)
        for a, b in zip(one[form].interval, two[form].interval, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert b == pytest.approx(a, rel=1e-5, abs=1e-6)
    order = np.random.default_rng(seed).permutation(n)
    if interval != "bca":
        low, again = one["ICC(A,1)"].low, icc(table[order], interval=interval)["ICC(A,1)"].low
        assert again is low is None or again == pytest.approx(low, rel=1e-8)  # tiny tables have no jackknife interval


@pytest.mark.parametrize("decimals", [0, 9])
def test_kendalls_tau_by_jackknife(decimals):
    x, y = ratings(25).round(decimals).T
    found = kendall(x, y, interval="jackknife")
    z = np.arctanh([stats.kendalltau(np.delete(x, i), np.delete(y, i)).statistic for i in range(25)])
    half = stats.t.ppf(0.975, 24) * np.sqrt(24 / 25 * ((z - z.mean()) ** 2).sum())
    centre = np.arctanh(stats.kendalltau(x, y).statistic)
    assert found.interval == pytest.approx(np.tanh([centre - half, centre + half]), rel=1e-9)
    assert kendall(x, x, interval="jackknife").low is None
    with pytest.raises(UnknownOption):
        kendall(x, y, interval="bca")


def test_correlation_and_concordance_by_jackknife():
    x, y = ratings(30).T
    for function, name in ((pearson, "fisher"), (ccc, "z-transform")):
        plain, found = function(x, y), function(x, y, interval="jackknife")
        z = np.arctanh([function(np.delete(x, i), np.delete(y, i)).estimate for i in range(30)])
        half = stats.t.ppf(0.975, 29) * np.sqrt(29 / 30 * ((z - z.mean()) ** 2).sum())
        centre = np.arctanh(plain.estimate)
        assert found.estimate == pytest.approx(plain.estimate, rel=1e-12)
        assert found.interval == pytest.approx(np.tanh([centre - half, centre + half]), rel=1e-9)
        assert function(x, y, interval=name) == plain
        assert function(x, x, interval="jackknife").low is None
    subject = np.repeat(np.arange(10), 3)
    repeated = ccc_repeated(x, y, subject=subject, interval="jackknife")
    left_out = np.arctanh([ccc(x[subject != i], y[subject != i]).estimate for i in range(10)])
    half = stats.t.ppf(0.975, 9) * np.sqrt(9 / 10 * ((left_out - left_out.mean()) ** 2).sum())
    assert np.arctanh(repeated.high) - np.arctanh(repeated.low) == pytest.approx(2 * half, rel=1e-9)
    assert ccc_repeated(x, y, subject=subject, resamples=200).method == "BCa bootstrap"
