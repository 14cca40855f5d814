"""The bootstrap engine against its definition, and the permutation test against enumeration."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from validation import resampling
from validation.accuracy import ErrorTable, bootstrap_tables, error_measures
from validation.resampling import (
    ClusteredQuantile,
    Distribution,
    bca,
    bootstrap_clustered_quantile,
    bootstrap_quantile,
    bootstrap_sums,
    dealt,
    generator,
    interval_of,
    jackknife,
    jackknife_clustered_quantile,
    jackknife_quantile,
    quantile_interval,
    sign_flip,
    sign_patterns,
    weighted_quantile,
    weights,
)


def table(n=60, seed=3, clusters=None):
    rng = np.random.default_rng(seed)
    reference = rng.normal(30, 8, n)
    test = reference + rng.normal(1, 3, n)
    return ErrorTable(test, reference, np.arange(n) if clusters is None else clusters, (3,))


def test_weights_are_multinomial_counts_in_bounded_blocks(monkeypatch):
    monkeypatch.setattr(resampling, "BLOCK", 100)
    blocks = list(weights(np.random.default_rng(1), 7, 1000))
    assert max(block.size for block in blocks) <= 100
    counts = np.vstack(blocks)
    assert counts.shape == (1000, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert counts.var() == pytest.approx(6 / 7, rel=0.1)


def test_every_measure_equals_its_definition_on_the_data_and_on_left_out_data():
    data = table()
    drawn = bootstrap_tables({"t": data}, resamples=50, seed=1)["t"]

    def direct(x, y):
        d = x - y
        fit = stats.linregress(x, y)
        return {
            "bias": d.mean(),
            "sd": d.std(ddof=1),
            "mae": np.abs(d).mean(),
            "rmse": np.sqrt((d**2).mean()),
            "mape": 100 * (np.abs(d) / y).mean(),
            "median_ae": np.median(np.abs(d)),
            "see": np.sqrt(((y - fit.intercept - fit.slope * x) ** 2).sum() / (len(x) - 2)),
            "pearson": fit.rvalue,
            "ccc": 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + d.mean() ** 2),
            "within_3": 100 * (np.abs(d) <= 3).mean(),
        }

    whole = direct(data.test, data.reference)
    for name, value in whole.items():
        assert drawn[name].estimate == pytest.approx(value, rel=1e-11), name
    for i in (0, 17):
        part = direct(np.delete(data.test, i), np.delete(data.reference, i))
        for name, value in part.items():
            assert drawn[name].jackknife[0][i] == pytest.approx(value, rel=1e-10), name


def test_bca_agrees_with_scipy_within_monte_carlo_error():
    data = table()
    errors = np.abs(data.errors)
    theirs = stats.bootstrap((errors,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(7))
    ours = error_measures(data.test, data.reference, resamples=20_000).mae
    width = ours.high - ours.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.04 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.04 * width)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    data = table()
    first, again, other = (
        error_measures(data.test, data.reference, resamples=500, seed=seed).to_dict() for seed in (4, 4, 5)
    )
    assert first == again
    assert first["mae"] != other["mae"]


def test_quantile_draws_follow_the_bootstrap_distribution():
    values = np.random.default_rng(2).normal(size=11)
    drawn = bootstrap_quantile(values, 0.5, resamples=40_000, rng=np.random.default_rng(3))
    direct = np.median(np.random.default_rng(4).choice(values, (40_000, 11)), axis=1)
    for value in np.unique(values):
        assert (drawn.draws <= value).mean() == pytest.approx((direct <= value).mean(), abs=0.012)
    for share, n in ((0.5, 10), (0.025, 23), (0.975, 40)):
        values = np.random.default_rng(n).normal(size=n)
        drawn = bootstrap_quantile(values, share, resamples=40_000, rng=np.random.default_rng(3))
        direct = np.quantile(np.random.default_rng(4).choice(values, (40_000, n)), share, axis=1)
        assert stats.ks_2samp(drawn.draws.round(9), direct.round(9)).statistic < 0.015


@pytest.mark.parametrize("share", [0.0, 0.025, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("n", [2, 3, 10, 11])
def test_jackknife_of_a_quantile(share, n):
    ordered = np.sort(np.random.default_rng(n).normal(size=n))
    expected = [np.quantile(np.delete(ordered, i), share) for i in range(n)]
    assert jackknife_quantile(ordered, share) == pytest.approx(expected, rel=1e-12)


def test_clustered_quantile_with_one_value_a_subject_is_the_median(monkeypatch):
    monkeypatch.setattr(resampling, "BLOCK", 500)
    values = np.random.default_rng(2).normal(size=20)
    drawn = bootstrap_clustered_quantile(values, np.arange(20), 0.5, resamples=3000, rng=np.random.default_rng(3))
    assert drawn.estimate == pytest.approx(np.median(values), rel=1e-12)
    expected = [np.median(np.delete(values, i)) for i in range(20)]
    assert drawn.jackknife[0] == pytest.approx(expected, rel=1e-12)
    direct = bootstrap_quantile(values, 0.5, resamples=3000, rng=np.random.default_rng(3))
    assert drawn.draws.std() == pytest.approx(direct.draws.std(), rel=0.1)


def test_doubling_every_subject_changes_nothing_when_subjects_are_resampled_whole():
    single = table()
    double = ErrorTable(np.repeat(single.test, 2), np.repeat(single.reference, 2), np.repeat(np.arange(60), 2), (3,))
    one = bootstrap_tables({"t": single}, resamples=400, seed=1)["t"]
    two = bootstrap_tables({"t": double}, resamples=400, seed=1)["t"]
    for name in ("mae", "rmse", "mape", "ccc", "pearson"):
        assert two[name].estimate == pytest.approx(one[name].estimate, rel=1e-12)
        assert two[name].draws == pytest.approx(one[name].draws, rel=1e-9)


def test_bca_refuses_what_it_cannot_tell_and_says_why():
    flat = Distribution(2.0, np.full(100, 2.0), (np.full(10, 2.0),))
    assert "same value" in bca(flat).reason
    undefined = Distribution(2.0, np.r_[np.full(50, np.nan), np.arange(50.0)], (np.arange(10.0),))
    assert "50.0% of the resamples" in bca(undefined).reason
    assert "not defined" in bca(Distribution(float("nan"), np.arange(5.0), (np.arange(5.0),))).reason
    assert "too few" in bca(Distribution(1.0, np.arange(5.0), (np.arange(2.0),))).reason
    assert "one side" in bca(Distribution(-1.0, np.arange(5.0), (np.arange(5.0),))).reason
    skewed = Distribution(8.5, np.arange(10.0), (np.r_[np.zeros(1000), -1e9],))
    assert "acceleration" in bca(skewed, level=1 - 1e-6).reason


def test_sign_flip_goes_through_all_patterns_when_there_are_few():
    sums = np.array([[1.0], [2.0], [-0.5], [3.0], [1.5]])
    totals = [abs(sum(s * v for s, v in zip(signs, sums[:, 0], strict=True))) for signs in product((1, -1), repeat=5)]
    expected = np.mean([t >= abs(sums.sum()) - 1e-12 for t in totals])
    assert sign_flip(sums, resamples=10, rng=np.random.default_rng(1))[0] == expected


def test_sign_flip_by_sampling_is_near_the_t_test():
    values = np.random.default_rng(8).normal(0.25, 1, (60, 1))
    p = sign_flip(values, resamples=20_000, rng=np.random.default_rng(1))[0]
    assert p == pytest.approx(stats.ttest_1samp(values[:, 0], 0).pvalue, abs=0.01)
    assert sign_flip(np.zeros((40, 1)), resamples=100, rng=np.random.default_rng(1))[0] == 1.0


def test_streams_depend_on_place_and_seed_only():
    assert generator(1, "a").random() == generator(1, "a").random()
    assert generator(1, "a").random() != generator(1, "b").random()
    assert generator(1, "a").random() != generator(2, "a").random()


def test_bootstrap_sums_of_two_subjects_draws_nothing():
    found = bootstrap_sums(
        np.ones((2, 1)), {"one": lambda sums: sums[..., 0]}, resamples=5, rng=np.random.default_rng(1)
    )
    assert np.isnan(found["one"].draws).all()


def test_counts_of_many_subjects_are_poisson():
    counts = np.concatenate([block.ravel() for block in weights(np.random.default_rng(1), 400, 2000)])
    share = np.bincount(counts.astype(int), minlength=9)[:9] / len(counts)
    assert share == pytest.approx(stats.poisson.pmf(np.arange(9), 1), abs=0.002)


def test_signs_are_fair():
    blocks = list(sign_patterns(33, 3001, np.random.default_rng(1)))
    signs = np.vstack(blocks)
    assert signs.shape == (3001, 33)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert np.abs(signs.mean(axis=0)).max() < 0.08


@pytest.mark.parametrize("share", [0.1, 0.5, 0.975])
@pytest.mark.parametrize(("values", "subjects"), [(60, 7), (3000, 900), (3000, 20), (400, 400)])
@pytest.mark.parametrize("decimals", [0, 9])
def test_clustered_quantiles_are_those_of_the_whole_weighted_sample(values, subjects, share, decimals):
    """Though only the values near the quantile are looked at."""
    rng = np.random.default_rng(values + subjects)
    owners = np.concatenate([np.arange(subjects), rng.integers(0, subjects, values - subjects)])
    ordered = np.sort((rng.normal(size=subjects)[owners] + rng.normal(size=values)).round(decimals))
    rng.shuffle(owners)
    weight = np.vstack(list(weights(rng, subjects, 60)))
    # Among them rows so uneven that their quantile is far from the sample's.
    weight[0] = np.where(np.arange(subjects) == owners[0], 1000.0, 1.0)
    weight[1] = np.where(np.arange(subjects) == owners[-1], 1000.0, 1.0)
    whole = weighted_quantile(ordered, weight[:, owners], share)
    assert ClusteredQuantile(ordered, owners, share)(weight).tolist() == whole.tolist()
    chosen = rng.integers(0, subjects, 30)
    direct = [weighted_quantile(ordered, (owners != i).astype(float)[None], share)[0] for i in chosen]
    assert jackknife_clustered_quantile(ordered, owners, share)[chosen].tolist() == direct


def test_subjects_are_dealt_into_bundles_only_when_they_are_very_many(monkeypatch):
    rng = np.random.default_rng(1)
    assert dealt(rng, resampling.BUNDLES) is None
    bundles = dealt(rng, 50_000)
    assert (np.bincount(bundles) == 5).all()
    assert not (np.diff(bundles) == 1).all()

    data = table(600)
    plain = error_measures(data.test, data.reference, resamples=4000)
    monkeypatch.setattr(resampling, "BUNDLES", 300)
    bundled = error_measures(data.test, data.reference, resamples=4000)
    for name in ("mae", "rmse", "mape"):
        one, two = getattr(plain, name), getattr(bundled, name)
        assert one.interval != two.interval
        # 300 bundles: the width is uncertain by 1 / sqrt(600), 4 %.
        assert two.high - two.low == pytest.approx(one.high - one.low, rel=0.15)
        assert two.low == pytest.approx(one.low, abs=0.12 * (one.high - one.low))
    subject = np.repeat(np.arange(400), 2)[:600]
    repeated = error_measures(data.test, data.reference, subject=subject, resamples=1000).median_ae
    assert repeated.high - repeated.low == pytest.approx(plain.median_ae.high - plain.median_ae.low, rel=0.4)


def test_jackknife_is_a_t_interval():
    data = table()
    drawn = bootstrap_tables({"t": data}, resamples=10, seed=1)["t"]
    # The jackknife of a mean is the t interval of the mean.
    n, errors = 60, data.errors
    found = jackknife(drawn["bias"], level=0.9)
    half = stats.t.ppf(0.95, n - 1) * errors.std(ddof=1) / np.sqrt(n)
    assert found.interval == pytest.approx((errors.mean() - half, errors.mean() + half), rel=1e-9)
    # On the log scale, written out.
    left_out = np.log([np.sqrt((np.delete(errors, i) ** 2).mean()) for i in range(n)])
    se = np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    centre, t = np.log(np.sqrt((errors**2).mean())), stats.t.ppf(0.975, n - 1)
    found = error_measures(data.test, data.reference, interval="jackknife", resamples=10).rmse
    assert found.interval == pytest.approx((np.exp(centre - t * se), np.exp(centre + t * se)), rel=1e-9)
    assert found.method == "jackknife on the log scale, t"


def test_jackknife_of_two_samples_is_welchs():
    rng = np.random.default_rng(4)
    one, two = rng.normal(1, 1, 12), rng.normal(0, 3, 30)

    def mean(values):
        return Distribution(
            values.mean(), np.empty(0), (np.array([np.delete(values, i).mean() for i in range(len(values))]),)
        )

    found = jackknife(mean(one).minus_independent(mean(two)))
    welch = stats.ttest_ind(one, two, equal_var=False).confidence_interval()
    assert found.interval == pytest.approx((welch.low, welch.high), rel=1e-9)


def test_jackknife_says_why_it_has_no_interval():
    none = np.empty(0)
    assert "too few" in jackknife(Distribution(1.0, none, (np.arange(2.0),))).reason
    assert "too few" in jackknife(Distribution(1.0, none, (np.arange(9.0), np.ones(1)))).reason
    assert "same" in jackknife(Distribution(2.0, none, (np.full(9, 2.0),)), scale="log").reason
    assert "end of its range" in jackknife(Distribution(0.0, none, (np.arange(9.0),)), scale="log").reason
    assert "end of its range" in jackknife(Distribution(1.0, none, (np.full(9, 0.9),)), scale="z").reason
    assert "undefined" in jackknife(Distribution(1.0, none, (np.r_[np.ones(8), np.nan],))).reason
    assert jackknife(Distribution(float("nan"), none, (np.arange(9.0),))).estimate is None


def test_intervals_by_name():
    drawn = bootstrap_tables({"t": table()}, resamples=400, seed=1)["t"]["mae"]
    assert interval_of(drawn) == bca(drawn)
    assert interval_of(drawn, "jackknife", scale="log") == jackknife(drawn, scale="log")


def test_only_the_columns_that_are_needed_are_drawn_and_the_measures_are_the_same():
    data = table(clusters=np.repeat(np.arange(20), 3))
    every = bootstrap_tables({"a": data, "b": data}, resamples=50, seed=1)
    assert set(every["a"]) == {*data.measures(), "median_ae"}
    some = bootstrap_tables({"a": data, "b": data}, resamples=50, seed=1, measures=["rmse", "within_3", "median_ae"])
    assert set(some["b"]) == {"rmse", "within_3", "median_ae"}
    for name, found in some["b"].items():
        assert found.draws == pytest.approx(every["b"][name].draws, rel=1e-12)
        assert found.jackknife[0] == pytest.approx(every["b"][name].jackknife[0], rel=1e-12)
    assert set(bootstrap_tables({"a": data}, resamples=50, seed=1, measures=["median_ae"])["a"]) == {"median_ae"}


@pytest.mark.parametrize(("n", "share"), [(20, 0.5), (75, 0.5), (60, 0.9), (200, 0.975)])
def test_order_statistics_enclose_a_quantile_with_binomial_chances(n, share):
    """Each end lies between the two order statistics whose chances of missing the quantile enclose 2.5 %."""
    values = np.sort(np.random.default_rng(n).normal(size=n))
    found = quantile_interval(values, share)
    assert found.estimate == pytest.approx(np.quantile(values, share), rel=1e-12)
    for end, order, p in ((found.low, values, share), (-found.high, -values[::-1], 1 - share)):
        # The k-th smallest exceeds the quantile when fewer than k values lie below it.
        misses = stats.binom.cdf(np.searchsorted(order, end) - np.array([1, 0]), n, p)
        assert misses[0] <= 0.025 < misses[1]
    # Hettmansperger and Sheather's weight, written out for the median.
    if share == 0.5:
        k = int(np.searchsorted(values, found.low))
        one, two = (1 - 2 * stats.binom.cdf(j, n, 0.5) for j in (k - 1, k))
        part = (one - 0.95) / (one - two)
        weight = (n - k) * part / (k + (n - 2 * k) * part)
        assert found.low == pytest.approx((1 - weight) * values[k - 1] + weight * values[k], rel=1e-9)


def test_order_statistics_of_too_few_values_say_so():
    values = np.arange(145.0)
    assert quantile_interval(values, 0.975).high is None
    assert "145 values are too few" in quantile_interval(values, 0.975).reason
    assert quantile_interval(np.arange(146.0), 0.975).high is not None
    assert quantile_interval(values[:5]).low is None
    assert quantile_interval(values[:6]).interval[0] >= 0
    assert quantile_interval(np.full(30, 2.0)).interval == (2.0, 2.0)


def test_the_median_of_the_jackknifes_companions_is_by_order_statistics():
    data = table()
    found = error_measures(data.test, data.reference, interval="jackknife", resamples=50).median_ae
    assert found == quantile_interval(np.abs(data.errors))
    subject = np.repeat(np.arange(30), 2)
    repeated = error_measures(data.test, data.reference, subject=subject, interval="jackknife", resamples=50).median_ae
    assert repeated.method == "BCa bootstrap"


def test_swapping_whole_bundles_is_still_a_permutation_test(monkeypatch):
    values = np.random.default_rng(8).normal(0.1, 1, (400, 1))
    whole = sign_flip(values, resamples=20_000, rng=np.random.default_rng(1))[0]
    monkeypatch.setattr(resampling, "BUNDLES", 100)
    bundled = sign_flip(values, resamples=20_000, rng=np.random.default_rng(1))[0]
    assert bundled != whole
    assert bundled == pytest.approx(stats.ttest_1samp(values[:, 0], 0).pvalue, abs=0.05)


def test_medians_of_repeated_subjects_come_from_the_resamples_of_the_sums():
    """So that a difference of median and mean errors, or of two tests' medians, is one of the same people."""
    data = table(clusters=np.repeat(np.arange(20), 3))
    drawn = bootstrap_tables({"a": data, "b": data}, resamples=200, seed=1)
    assert drawn["a"]["median_ae"].draws.tolist() == drawn["b"]["median_ae"].draws.tolist()
    assert np.corrcoef(drawn["a"]["median_ae"].draws, drawn["a"]["mae"].draws)[0, 1] > 0.4
    alone = bootstrap_tables({"a": data}, resamples=200, seed=1, measures=["median_ae"])["a"]["median_ae"]
    assert alone.draws.tolist() == drawn["a"]["median_ae"].draws.tolist()
