"""Two versions of a method against one reference: what is told, and how often it is told wrongly."""

from __future__ import annotations

import numpy as np
import pytest

from validation import compare_errors, compare_versions, error_measures, holm
from validation.errors import NotFinite, ShapeMismatch


def data(n: int = 120, seed: int = 0, *, share: float = 0.8, noise: float = 0.5):
    """Reference, baseline, and a candidate with `share` of its errors."""
    random = np.random.default_rng(seed)
    truth = random.normal(25, 8, n)
    baseline = truth + random.normal(0.5, 4, n)
    return truth, baseline, truth + share * (baseline - truth) + random.normal(0, noise, n)


def test_what_is_told_is_what_the_single_methods_tell() -> None:
    truth, baseline, candidate = data()
    found = compare_versions(baseline, candidate, truth, resamples=500).overall
    for name, values in (("baseline", baseline), ("candidate", candidate)):
        told = getattr(found, name)
        assert told["mae"].estimate == pytest.approx(error_measures(values, truth, resamples=100).mae.estimate)
        assert told["bias"].estimate == pytest.approx((values - truth).mean())
    pairs = compare_errors(candidate, baseline, truth, metrics=("mae", "ccc"), resamples=500)
    for pair in pairs:
        assert found.difference[pair.metric].estimate == pytest.approx(pair.difference.estimate)
    assert found.difference["bias"].estimate == pytest.approx((candidate - baseline).mean())
    assert found.difference["mae"].low < found.difference["mae"].estimate < found.difference["mae"].high
    names = ("mae", "bias", "ccc")
    assert [found.p_adjusted[name] for name in names] == holm([found.p_value[name] for name in names])


@pytest.mark.parametrize(("share", "verdict"), [(0.6, "better"), (1.6, "worse")])
def test_a_clear_change_is_seen_whichever_way(share: float, verdict: str) -> None:
    truth, baseline, candidate = data(share=share)
    found = compare_versions(baseline, candidate, truth, resamples=500)
    assert found.verdict == verdict
    back = compare_versions(candidate, baseline, truth, resamples=500)
    assert back.verdict == {"better": "worse", "worse": "better"}[verdict]
    for metric in ("mae", "bias", "ccc"):
        there, here = found.overall.difference[metric], back.overall.difference[metric]
        assert there.estimate == pytest.approx(-here.estimate)


def test_equal_versions_give_no_evidence() -> None:
    truth, baseline, _ = data()
    found = compare_versions(baseline, baseline, truth, resamples=200)
    assert found.verdict == "no evidence"
    assert found.overall.difference["mae"].estimate == 0
    assert found.overall.p_value["mae"] == 1


def test_without_a_difference_a_verdict_is_as_rare_as_the_level_says() -> None:
    """400 times, two versions whose errors are of one distribution: more than 5 % plus three errors is no chance."""
    random = np.random.default_rng(5)
    wrong = 0
    for _ in range(400):
        truth = random.normal(25, 8, 40)
        one, other = truth + random.normal(0, 4, (2, 40))
        wrong += compare_versions(one, other, truth, resamples=200).verdict != "no evidence"
    assert wrong / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_groups_are_adjusted_together_and_small_ones_hidden() -> None:
    truth, baseline, candidate = data(200)
    sex = np.array(["F", "M"])[np.arange(200) % 2]
    site = np.where(np.arange(200) < 6, "small", np.where(np.arange(200) < 90, "middle", "large")).astype(object)
    site[-3:] = None
    candidate = np.where(sex == "M", baseline, candidate)
    found = compare_versions(baseline, candidate, truth, groups={"sex": sex, "site": site}, resamples=500)
    assert found.subgroups["sex"]["F"].verdict == "better"
    assert found.subgroups["sex"]["M"].verdict == "no evidence"
    assert found.subgroups["site"]["small"].to_dict() == {
        "n": None, "suppressed": True, "reason": "fewer than 10 subjects",
    }  # fmt: skip
    assert found.subgroups["site"]["middle"].suppressed  # else the small one could be worked out
    assert found.subgroups["site"]["large"].n == 107
    shown = [item for part in found.subgroups.values() for item in part.values() if not item.suppressed]
    assert [item.p_adjusted["mae"] for item in shown] == holm([item.p_value["mae"] for item in shown])
    assert "sex=F" in found.groups("better")


def test_subjects_are_taken_whole() -> None:
    """Each subject's rows five times over: the numbers stay, and the intervals do not narrow."""
    truth, baseline, candidate = data(60)
    once = compare_versions(baseline, candidate, truth, subject=np.arange(60), resamples=2000).overall
    repeated = [np.repeat(values, 5) for values in (baseline, candidate, truth)]
    whole = compare_versions(*repeated, subject=np.repeat(np.arange(60), 5), resamples=2000).overall
    assert (whole.n, whole.subjects) == (300, 60)
    for metric in ("mae", "bias", "ccc"):
        a, b = once.difference[metric], whole.difference[metric]
        assert b.estimate == pytest.approx(a.estimate)
        assert (b.high - b.low) == pytest.approx(a.high - a.low, rel=0.15)


def test_the_same_data_give_the_same_result() -> None:
    truth, baseline, candidate = data()
    one, other = (
        compare_versions(baseline, candidate, truth, groups={"g": ["a", "b"] * 60}, resamples=300) for _ in range(2)
    )
    assert one.to_dict() == other.to_dict()
    assert "difference.mae" in str(one.overall)


def test_what_cannot_be_compared_is_refused() -> None:
    truth, baseline, candidate = data(10)
    with pytest.raises(ShapeMismatch):
        compare_versions(baseline, candidate[:-1], truth)
    with pytest.raises(NotFinite):
        compare_versions(baseline, np.where(np.arange(10) == 3, np.nan, candidate), truth)
    one = compare_versions([20.0], [21.0], [22.0])
    assert (one.verdict, one.overall.p_value["mae"]) == ("no evidence", None)
