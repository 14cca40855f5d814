"""Control charts hold their rate of false alarms, also with a small baseline, and see what moves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from validation.errors import Degenerate, NotEnoughData, OutOfRange
from validation.monitoring import (
    Chart,
    distribution_shift,
    ewma_chart,
    mean_chart,
    share_chart,
    spread_chart,
)

SIZES = (5, 12, 30)
FEW = 199  # permutations: enough for a rate of 5 %, which is then held exactly


def normal(random: np.random.Generator, n: int) -> np.ndarray:
    return random.normal(28, 7, n)


def skewed(random: np.random.Generator, n: int) -> np.ndarray:
    """As BMI: skewness 1."""
    return random.gamma(4.0, 2.5, n) + 18


def ages(random: np.random.Generator, n: int) -> np.ndarray:
    """Whole years, so with ties."""
    return random.integers(18, 80, n).astype(float)


def alarms(chart: Callable[..., Chart], draw: Callable, baseline: int, times: int, **words: Any) -> float:
    """The share of charts with an alarm where nothing moves."""
    random = np.random.default_rng([20260301, baseline])
    found = 0
    for seed in range(times):
        start, *later = (draw(random, n) for n in (baseline, *SIZES))
        words_now = {**words, **({"seed": seed} if "permutations" in words else {})}
        found += bool(chart(start, later, **words_now).alarms)
    return found / times


def bounds(times: int, rate: float = 0.05) -> tuple[float, float]:
    """What a share of `times` stays within but for once in 20,000 times."""
    return tuple(stats.binom.ppf([2.5e-5, 1 - 2.5e-5], times, rate) / times)  # type: ignore[return-value]


CASES = [
    pytest.param(mean_chart, normal, {}, id="mean"),
    pytest.param(ewma_chart, normal, {"replications": 4000}, id="ewma"),
    pytest.param(spread_chart, normal, {"permutations": FEW}, id="spread"),
    pytest.param(spread_chart, skewed, {"permutations": FEW}, id="spread of a skewed quantity"),
    pytest.param(distribution_shift, ages, {"permutations": FEW}, id="distribution with ties"),
]


@pytest.mark.parametrize("baseline", [4, 20])
@pytest.mark.parametrize(("chart", "draw", "words"), CASES)
def test_false_alarms_come_as_often_as_stated(chart, draw, words, baseline: int) -> None:
    times = 150 if chart is distribution_shift else 500
    low, high = bounds(times)
    rate = alarms(chart, draw, baseline, times, **words)
    assert rate <= high
    assert rate >= low or chart is distribution_shift  # whose steps make it raise fewer


@pytest.mark.slow
@pytest.mark.parametrize("baseline", [4, 8, 20, 100])
@pytest.mark.parametrize(("chart", "draw", "words"), CASES)
def test_false_alarms_come_as_often_as_stated_in_thousands_of_charts(chart, draw, words, baseline: int) -> None:
    times = 1000 if chart is distribution_shift else 5000
    words = {name: value for name, value in words.items() if name != "replications"}
    low, high = bounds(times)
    rate = alarms(chart, draw, baseline, times, **words)
    assert rate <= high
    assert rate >= low or chart is distribution_shift


@pytest.mark.slow
@pytest.mark.parametrize("baseline", [8, 20, 100])
def test_means_of_a_skewed_quantity_raise_few_alarms_more(baseline: int) -> None:
    """Normal theory is an approximation then: what docs/monitoring.md states of it."""
    assert 0.03 < alarms(mean_chart, skewed, baseline, 4000) < 0.085


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("baseline", [10, 60])
def test_shares_raise_no_more_false_alarms_than_stated(share: float, baseline: int) -> None:
    random = np.random.default_rng(7)
    times, found = 1000, 0
    for seed in range(times):
        start, *later = ((int(random.binomial(n, share)), n) for n in (baseline, 20, 45))
        found += bool(share_chart(start, later, permutations=FEW, seed=seed).alarms)
    assert found / times <= bounds(times)[1]


def test_limits_that_take_the_baseline_for_the_truth_would_not_hold_the_rate() -> None:
    """The simulation above can fail: it does for limits of mean ± 2.39 SD/√n, right for three batches and no error."""
    random = np.random.default_rng(3)
    factor = stats.norm.isf(0.5 * (1 - 0.95 ** (1 / len(SIZES))))
    found = 0
    for _ in range(500):
        start, *later = (normal(random, n) for n in (8, *SIZES))
        half = [factor * start.std(ddof=1) / math.sqrt(n) for n in SIZES]
        found += any(abs(batch.mean() - start.mean()) > limit for batch, limit in zip(later, half, strict=True))
    assert found / 500 > 4 * 0.05


# What is known exactly ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("baseline", "size"), [(3, 1), (5, 5), (10, 40), (200, 7)])
@pytest.mark.parametrize("alarm", [0.05, 0.0027])
def test_one_batch_is_judged_by_students_t(baseline: int, size: int, alarm: float) -> None:
    random = np.random.default_rng(1)
    start, batch = random.normal(size=baseline), random.normal(1, 1, size=size)
    chart = mean_chart(start, [batch], alarm=alarm)
    t = (batch.mean() - start.mean()) / (start.std(ddof=1) * math.sqrt(1 / size + 1 / baseline))
    assert chart.factor == pytest.approx(stats.t.isf(alarm / 2, baseline - 1), rel=2e-5)
    assert chart.p_value == pytest.approx(2 * stats.t.sf(abs(t), baseline - 1), rel=1e-4)
    assert chart.points[0].upper - chart.centre == pytest.approx(
        stats.t.isf(alarm / 2, baseline - 1) * start.std(ddof=1) * math.sqrt(1 / size + 1 / baseline), rel=2e-5
    )


def test_simultaneous_limits_for_two_batches_as_dunnetts() -> None:
    """Batches as large as the baseline with its SD alone: the two-sided Dunnett quantile with 9 degrees of freedom."""
    random = np.random.default_rng(1)
    chart = mean_chart(random.normal(size=10), [random.normal(size=10) for _ in range(2)])
    # P(|T_1|, |T_2| <= k) = 0.95 for a bivariate t with 9 degrees of freedom and correlation 1/2.
    t = stats.multivariate_t(shape=[[1, 0.5], [0.5, 1]], df=9, seed=5)
    k = chart.factor
    corner = t.cdf([k, k], lower_limit=[-k, -k], random_state=5)
    assert corner == pytest.approx(0.95, abs=1e-3)


def test_an_ewma_of_weight_one_is_the_chart_of_means() -> None:
    random = np.random.default_rng(2)
    start, later = random.normal(size=12), [random.normal(size=n) for n in SIZES]
    means, average = mean_chart(start, later), ewma_chart(start, later, weight=1.0, replications=40_000)
    assert [point.value for point in average.points] == pytest.approx([point.value for point in means.points])
    assert average.factor == pytest.approx(means.factor, rel=0.02)


def test_the_distance_is_kolmogorov_and_smirnovs() -> None:
    random = np.random.default_rng(4)
    start, later = ages(random, 40), [ages(random, n) + 3 for n in SIZES]
    chart = distribution_shift(start, later, permutations=FEW)
    expected = [stats.ks_2samp(start, batch).statistic for batch in later]
    assert [point.value for point in chart.points] == pytest.approx(expected)


def test_one_share_is_judged_as_by_fishers_exact_test() -> None:
    chart = share_chart((2, 30), [(9, 25)], permutations=20_000)
    table = [[2, 28], [9, 16]]
    assert chart.p_value == pytest.approx(stats.fisher_exact(table).pvalue, abs=0.01)


# What moves -----------------------------------------------------------------------------------------------------------


def test_what_moves_is_seen_and_where() -> None:
    random = np.random.default_rng(5)
    start = normal(random, 60)
    moved = [normal(random, 40), normal(random, 40) + 6, random.normal(28, 18, 40)]
    assert mean_chart(start, moved[:2]).alarms == (1,)
    assert spread_chart(start, moved).alarms == (2,)
    assert set(distribution_shift(start, moved, permutations=FEW).alarms) == {1, 2}
    assert share_chart((3, 60), [(2, 40), (15, 40)]).alarms == (1,)
    chart = mean_chart(start, moved[:2])
    assert not chart.points[1].lower <= chart.points[1].value <= chart.points[1].upper
    assert chart.points[1].p_value == chart.p_value < 1e-3


def test_small_lasting_movements_are_seen_by_the_ewma_first() -> None:
    random = np.random.default_rng(6)
    seen = {mean_chart: 0, ewma_chart: 0}
    for _ in range(60):
        start = random.normal(size=100)
        later = [random.normal(0.35, 1, 15) for _ in range(12)]
        for chart in seen:
            seen[chart] += bool(chart(start, later).alarms)
    assert seen[ewma_chart] > seen[mean_chart] + 10


def test_the_stability_index_of_small_batches_is_large_without_any_shift() -> None:
    """So that 0.25 says nothing of a batch of 20; the limit does."""
    random = np.random.default_rng(8)
    shift = distribution_shift(random.normal(size=40), [random.normal(size=20) for _ in range(3)], permutations=FEW)
    assert max(shift.stability) > 0.1
    assert max(shift.stability) < shift.stability_limit
    assert not shift.alarms


# Edges ----------------------------------------------------------------------------------------------------------------


def test_missing_values_and_empty_batches() -> None:
    random = np.random.default_rng(9)
    start = np.append(normal(random, 20), np.nan)
    later = [normal(random, 10), np.full(4, np.nan), np.append(normal(random, 10), np.nan)]
    for make in (mean_chart, ewma_chart, spread_chart, distribution_shift):
        chart = make(start, later)
        assert [point.n for point in chart.points] == [10, 0, 10]
        assert (chart.points[1].value, chart.points[1].alarm, chart.points[1].p_value) == (None, False, None)
        assert chart.baseline_n == 20
        json.dumps(chart.to_dict(), allow_nan=False)
        without = make(start, [later[0], later[2]])
        assert without.points[1].value == pytest.approx(chart.points[2].value)
        assert without.factor == pytest.approx(chart.factor, rel=0.06)
    assert mean_chart(start, []).p_value is None
    assert share_chart((0, 20), [(0, 10), (0, 0)]).points[0].p_value == 1.0


def test_the_same_numbers_every_time() -> None:
    random = np.random.default_rng(10)
    start, later = skewed(random, 25), [skewed(random, n) for n in SIZES]
    for make in (ewma_chart, spread_chart, distribution_shift):
        assert make(start, later).to_dict() == make(start, later).to_dict()


def test_what_cannot_be_charted_is_told() -> None:
    with pytest.raises(NotEnoughData, match="fewer than 3"):
        mean_chart([1.0, 2.0], [[1.0]])
    with pytest.raises(Degenerate, match="all equal"):
        spread_chart([2.0, 2.0, 2.0], [[1.0, 2.0]])
    with pytest.raises(OutOfRange, match="weight"):
        ewma_chart([1.0, 2.0, 4.0], [[1.0]], weight=0)
    with pytest.raises(OutOfRange, match="rate of false alarms"):
        mean_chart([1.0, 2.0, 4.0], [[1.0]], alarm=1)
    with pytest.raises(OutOfRange, match="more events"):
        share_chart((3, 2), [])
    with pytest.raises(NotEnoughData, match="empty"):
        share_chart((0, 0), [(1, 2)])
