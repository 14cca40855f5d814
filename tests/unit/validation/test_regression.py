"""Deming and Passing–Bablok against definitions written out plainly, and at their edges."""

import math

import numpy as np
import pytest
from scipy import stats

from validation import slopes
from validation.errors import Degenerate, NotEnoughData, OutOfRange, UnknownOption
from validation.regression import deming, error_ratio, ols
from validation.robust import cusum, design_effect, passing_bablok, theil_sen
from validation.slopes import Slopes, concordance_scores, inversions, inversions_of_each, list_inversions


def points(n=40, seed=4, noise=2.0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(30, 8, n)
    return 2 + 0.9 * truth + rng.normal(0, noise, n), truth + rng.normal(0, noise, n)


def test_least_squares_is_scipys():
    test, reference = points()
    theirs = stats.linregress(reference, test)
    line = ols(test, reference)
    assert (line.slope.estimate, line.intercept.estimate) == pytest.approx((theirs.slope, theirs.intercept))
    t = stats.t.ppf(0.975, 38)
    assert line.slope.high - line.slope.estimate == pytest.approx(t * theirs.stderr, rel=1e-9)
    assert line.intercept.high - line.intercept.estimate == pytest.approx(t * theirs.intercept_stderr, rel=1e-9)


def test_deming_minimises_the_weighted_distances():
    test, reference = points()
    for ratio in (0.25, 1.0, 3.0):
        line = deming(test, reference, error_ratio=ratio)

        def distance(slope, ratio=ratio):
            residual = (test - test.mean()) - slope * (reference - reference.mean())
            return (residual**2).sum() / (1 + ratio * slope**2)

        best = line.slope.estimate
        assert distance(best) < distance(best + 1e-4)
        assert distance(best) < distance(best - 1e-4)


def test_exchanging_the_methods_inverts_demings_line():
    test, reference = points()
    one, two = deming(test, reference, error_ratio=2.0), deming(reference, test, error_ratio=0.5)
    assert two.slope.estimate == pytest.approx(1 / one.slope.estimate, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_jackknife_leaves_out_each_point_in_turn(weighted):
    test, reference = points(12)
    line = deming(test, reference, weighted=weighted)
    direct = [float(deming(np.delete(test, i), np.delete(reference, i), weighted=weighted).slope) for i in range(12)]
    assert line.resampled.jackknife[:, 1] == pytest.approx(direct, rel=1e-8)


def test_repeated_subjects_are_left_out_whole():
    test, reference = points(15)
    single = deming(test, reference)
    double = deming(np.repeat(test, 2), np.repeat(reference, 2), subject=np.repeat(np.arange(15), 2))
    assert double.n == 30
    assert double.slope.interval == pytest.approx(single.slope.interval, rel=1e-9)
    with pytest.raises(NotEnoughData, match="2 subjects"):
        deming(test, reference, subject=np.arange(15) // 8)


def test_bias_at_decision_levels():
    test, reference = points()
    for line in (
        ols(test, reference),
        deming(test, reference),
        deming(test, reference, interval="bootstrap", resamples=500),
        passing_bablok(test, reference, interval="bootstrap", resamples=200),
    ):
        (bias,) = line.bias_at([25.0])
        assert bias.estimate == pytest.approx(float(line.predict(25.0)) - 25)
        assert bias.low < bias.estimate < bias.high
    (bias,) = passing_bablok(test, reference).bias_at([25.0])
    assert bias.low is None
    assert "bootstrap" in bias.reason
    # At the mean of the reference the least-squares line is the mean difference.
    at_mean = ols(test, reference).bias_at([float(reference.mean())])[0]
    assert at_mean.estimate == pytest.approx((test - reference).mean())


def test_error_ratio_from_replicates():
    rng = np.random.default_rng(1)
    subject = np.repeat(np.arange(400), 2)
    truth = rng.normal(30, 8, 400)[subject]
    ratio = error_ratio(truth + rng.normal(0, 2, 800), subject, truth + rng.normal(0, 1, 800), subject)
    assert ratio == pytest.approx(0.25, rel=0.2)


def test_what_has_no_line_is_refused():
    with pytest.raises(Degenerate, match="reference is constant"):
        ols([1, 2, 3], [2, 2, 2])
    with pytest.raises(Degenerate, match="test is constant"):
        deming([2, 2, 2], [1, 2, 3])
    with pytest.raises(Degenerate, match="covariance is zero"):
        deming([1, -2, 1], [1, 2, 3])
    assert deming([1, 2, 1], [1, 2, 3]).slope.estimate == pytest.approx(0)
    with pytest.raises(OutOfRange, match="positive"):
        deming([-1, 2, 3], [1, 2, 3], weighted=True)
    with pytest.raises(UnknownOption, match="analytic"):
        deming([1, 2, 3], [1, 2, 4], weighted=True, interval="analytic")
    with pytest.raises(UnknownOption, match="error_ratio"):
        deming([1, 2, 3], [1, 2, 4], error_ratio=0)
    with pytest.raises(Degenerate, match="test is constant"):
        passing_bablok([2, 2, 2], [1, 2, 3])


def plain_passing_bablok(y, x):
    """The textbook method, medians taken between angles."""
    found = []
    for i in range(len(x)):
        for j in range(i):
            dx, dy = x[i] - x[j], y[i] - y[j]
            if dx or dy:
                found.append(math.pi / 2 if dx == 0 else math.atan(dy / dx))
    found.sort()
    offset = sum(a < -math.pi / 4 for a in found) + sum(a <= -math.pi / 4 for a in found)
    twice = len(found) + offset
    ranks = [(twice + 1) // 2] if twice % 2 else [twice // 2, twice // 2 + 1]
    slope = math.tan(sum(found[r - 1] for r in ranks) / len(ranks))
    return slope, float(np.median(y - slope * x))


@pytest.mark.parametrize("seed", range(6))
def test_passing_bablok_is_the_textbook_method(seed):
    # Halves are exact in binary, so ties are ties.
    test, reference = (np.round(2 * values) / 2 for values in points(25 + seed, seed, 4.0))
    line = passing_bablok(test, reference)
    assert (line.slope.estimate, line.intercept.estimate) == pytest.approx(plain_passing_bablok(test, reference))


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_the_large_sample_form_is_the_small_one(monkeypatch, decimals):
    test, reference = (values.round(decimals) for values in points(150, 3))
    small = passing_bablok(test, reference, ties="exact")
    monkeypatch.setattr(slopes, "LISTED", 200)
    monkeypatch.setattr(slopes, "FEW", 1)
    large = passing_bablok(test, reference)
    assert large.slope.interval == pytest.approx(small.slope.interval, rel=1e-12)
    assert large.intercept.interval == pytest.approx(small.intercept.interval, rel=1e-12)


@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_equivariant_form_of_large_samples_is_that_of_small_ones(monkeypatch, decimals, sign):
    test, reference = (values.round(decimals) for values in points(150, 3))
    small = passing_bablok(sign * test, reference, kind="equivariant")
    monkeypatch.setattr(slopes, "LISTED", 200)
    monkeypatch.setattr(slopes, "FEW", 1)
    large = passing_bablok(sign * test, reference, kind="equivariant")
    assert large.slope.estimate == pytest.approx(small.slope.estimate, rel=1e-12)
    assert large.slope.interval == pytest.approx(small.slope.interval, rel=1e-12)
    assert large.intercept.estimate == pytest.approx(small.intercept.estimate, rel=1e-10)


@pytest.mark.parametrize("kind", ["classic", "equivariant"])
def test_many_points_of_any_kind_have_a_line_and_an_interval(kind):
    """Above 3,000 pairs nothing may fail, with ties or without."""
    rng = np.random.default_rng(5)
    truth = rng.normal(30, 8, 4000)
    reference, test = truth + rng.normal(0, 1, 4000), 1.1 * (truth + rng.normal(0, 1, 4000))
    for decimals in (1, 12):
        slope = passing_bablok(test.round(decimals), reference.round(decimals), kind=kind).slope
        assert slope.low < 1.1 < slope.high
        assert slope.high - slope.low < 0.02


@pytest.mark.parametrize("kind", ["classic", "equivariant"])
def test_subjects_of_one_point_change_nothing_and_doubled_points_count_once(kind):
    test, reference = points(40)
    alone = passing_bablok(test, reference, kind=kind)
    assert passing_bablok(test, reference, kind=kind, subject=np.arange(40)).to_dict() == alone.to_dict()
    double = [np.repeat(values, 2) for values in (test, reference, np.arange(40))]
    naive = passing_bablok(double[0], double[1], kind=kind)
    together = passing_bablok(double[0], double[1], kind=kind, subject=double[2])
    assert together.slope.estimate == naive.slope.estimate
    widths = [line.slope.high - line.slope.low for line in (alone, naive, together)]
    # Points that come in twos look like twice as many when nobody says so.
    assert widths[1] < 0.85 * widths[0]
    assert widths[2] == pytest.approx(widths[0], rel=0.12)


def test_subjects_are_left_out_and_drawn_whole():
    test, reference = points(30)
    subject = np.repeat(np.arange(10), 3)
    line = passing_bablok(test, reference, subject=subject, interval="jackknife")
    left_out = [passing_bablok(test[subject != i], reference[subject != i]).slope.estimate for i in range(10)]
    assert line.resampled.jackknife[:, 1] == pytest.approx(left_out, rel=1e-12)
    drawn = passing_bablok(test, reference, subject=subject, interval="bootstrap", resamples=300)
    assert drawn.slope.low < line.slope.estimate < drawn.slope.high
    with pytest.raises(NotEnoughData, match="2 subjects"):
        passing_bablok(test, reference, subject=np.repeat([0, 1], 15))


def test_design_effect_and_scores():
    rng = np.random.default_rng(3)
    u, v = rng.integers(0, 20, 60).astype(float), rng.integers(0, 9, 60).astype(float)
    direct = (np.sign(u[:, None] - u) * np.sign(v[:, None] - v)).sum(axis=1)
    assert concordance_scores(u, v).tolist() == direct.tolist()
    # Ties that only look apart in floating point.
    assert concordance_scores(u / 10 + 0.1 - 0.1, v * 0.7 / 0.7).tolist() == direct.tolist()
    clusters = np.repeat(np.arange(20), 3)
    summed = np.bincount(clusters, direct)
    expected = 20 / 19 * (summed**2).sum() / (direct**2).sum()
    assert design_effect(u, v, clusters) == pytest.approx(expected, rel=1e-12)
    assert design_effect(np.ones(60), v, clusters) == 1.0


def test_order_statistics_of_slopes_at_the_ends(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 12, 60).astype(float), rng.integers(0, 12, 60).astype(float)
    every = Slopes(x, y)
    angles = np.sort(every.angles)
    ranks = [1, 2, 500, len(angles) // 2, len(angles) - 1, len(angles)]
    assert angles[-1] == math.pi / 2
    monkeypatch.setattr(slopes, "LISTED", 50)
    monkeypatch.setattr(slopes, "FEW", 1)
    large = Slopes(x, y)
    assert large.total == len(angles)
    assert large.order_statistics(ranks) == pytest.approx([angles[r - 1] for r in ranks], abs=1e-12)
    assert large.below(-1.0) == every.below(-1.0)
    assert large.below(1.0) == every.below(1.0)


def test_inversions_are_counted_and_listed():
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 5, 33, 64, 150):
        permutation = rng.permutation(n)
        direct = {(b, a) for i, a in enumerate(permutation) for b in permutation[i:] if b < a}
        assert inversions(permutation) == len(direct)
        assert set(zip(*map(np.ndarray.tolist, list_inversions(permutation)), strict=True)) == direct
        each = np.bincount(np.array(sorted(direct), dtype=int).reshape(-1), minlength=n)[permutation].tolist()
        assert inversions_of_each(permutation).tolist() == each


def test_exchanging_the_methods_inverts_passing_and_bablok():
    test, reference = points(31)
    one, two = passing_bablok(test, reference), passing_bablok(reference, test)
    assert two.slope.estimate == pytest.approx(1 / one.slope.estimate, rel=1e-12)


def test_orientation():
    test, reference = points(40)
    mirror = passing_bablok(-test, reference, orientation="negative")
    line = passing_bablok(test, reference)
    assert mirror.slope.estimate == -line.slope.estimate
    assert mirror.slope.interval == (-line.slope.high, -line.slope.low)
    assert passing_bablok(-test, reference, orientation="auto").to_dict() == mirror.to_dict()
    assert passing_bablok(-test, reference).slope.estimate != pytest.approx(mirror.slope.estimate)


def test_the_equivariant_form_has_no_preference_for_one():
    # 42 points have an odd number of slopes: the median is one of them, and scales exactly.
    test, reference = points(42)
    one = passing_bablok(test, reference, kind="equivariant")
    scaled = passing_bablok(7 * test, reference, kind="equivariant")
    assert scaled.slope.estimate == pytest.approx(7 * one.slope.estimate, rel=1e-9)
    assert passing_bablok(-test, reference, kind="equivariant").slope.estimate == -one.slope.estimate
    assert one.slope.low < 0.9 < one.slope.high
    drawn = passing_bablok(test, reference, kind="equivariant", interval="bootstrap", resamples=400)
    assert drawn.slope.estimate == pytest.approx(one.slope.estimate, rel=1e-12)
    assert drawn.intercept.low < one.intercept.estimate < drawn.intercept.high


def test_passing_bablok_resampled():
    test, reference = points(30)
    drawn = passing_bablok(test, reference, interval="bootstrap", resamples=500)
    analytic = passing_bablok(test, reference)
    assert drawn.slope.estimate == pytest.approx(analytic.slope.estimate, rel=1e-12)
    assert drawn.slope.low == pytest.approx(analytic.slope.low, abs=0.1)
    left_out = [float(passing_bablok(np.delete(test, i), np.delete(reference, i)).slope) for i in range(30)]
    assert drawn.resampled.jackknife[:, 1] == pytest.approx(left_out, rel=1e-12)
    with pytest.raises(UnknownOption, match="n² steps"):
        passing_bablok(np.arange(9000.0), np.arange(9000.0) ** 2, interval="bootstrap")


def test_cusum_tells_a_bend_from_a_line():
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(10, 50, 120))
    straight, bent = x + rng.normal(0, 1, 120), x + 0.02 * (x - 30) ** 2 + rng.normal(0, 1, 120)
    assert cusum(straight, x, passing_bablok(straight, x))[1] > 0.05
    assert cusum(bent, x, passing_bablok(bent, x))[1] < 0.01
    assert cusum(x, x, passing_bablok(x, x)) == (0.0, 1.0)


@pytest.mark.parametrize("n", [15, 60])
def test_theil_and_sens_slope_is_scipys(n):
    test, reference = points(n)
    line = theil_sen(test, reference)
    # Between two slopes the tangent of the mean angle is taken, so for an odd number of pairs of points they agree.
    theirs = stats.theilslopes(test, reference)
    assert line.slope.estimate == pytest.approx(theirs.slope, rel=1e-12 if n * (n - 1) // 2 % 2 else 1e-4)
    assert line.intercept.estimate == pytest.approx(np.median(test - line.slope.estimate * reference))
    assert line.slope.low < line.slope.estimate < line.slope.high
    assert line.intercept.low < line.intercept.estimate < line.intercept.high
    assert line.method == "Theil–Sen"


def test_theil_and_sen_among_ties_and_edges():
    assert theil_sen([1, 2, 3, 9], [1, 1, 1, 2]).slope.estimate == pytest.approx(7.0)
    assert "4 pairs" in theil_sen([1, 2, 4], [1, 2, 3]).slope.reason
    with pytest.raises(Degenerate, match="reference is constant"):
        theil_sen([1, 2, 3], [1, 1, 1])
    exact = theil_sen(np.arange(10) * 2 + 1, np.arange(10))
    assert (exact.slope.estimate, exact.intercept.estimate) == pytest.approx((2, 1))


def test_intervals_of_median_lines_cover():
    rng = np.random.default_rng(3)
    found = {"slope": 0, "intercept": 0, "theil": 0}
    for _ in range(200):
        truth = rng.uniform(10, 50, 50)
        test, reference = 1 + 1.2 * truth + rng.normal(0, 2.4, 50), truth + rng.normal(0, 2, 50)
        line = passing_bablok(test, reference, kind="equivariant")
        found["slope"] += line.slope.low <= 1.2 <= line.slope.high
        found["intercept"] += line.intercept.low <= 1 <= line.intercept.high
        line = theil_sen(1 + 1.2 * reference + rng.normal(0, 2.4, 50), reference)
        found["theil"] += line.slope.low <= 1.2 <= line.slope.high
    assert all(0.89 <= count / 200 <= 0.99 for count in found.values())


def test_the_equivariant_line_turns_with_the_methods():
    test, reference = points(61)
    here, there = (passing_bablok(*columns, kind="equivariant") for columns in ((test, reference), (reference, test)))
    assert there.slope.estimate == pytest.approx(1 / here.slope.estimate, rel=1e-9)
    falling = passing_bablok(-test, reference, kind="equivariant")
    assert falling.slope.estimate == pytest.approx(-here.slope.estimate)
    assert falling.intercept.interval == pytest.approx([-end for end in here.intercept.interval[::-1]])
