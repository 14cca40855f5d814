"""SubgroupFrame: overall, by_group, difference, ratio, worst_group, suppression, crossings, metrics of one's own."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from validation import SubgroupFrame
from validation.errors import ShapeMismatch, UnknownOption
from validation.resampling import Distribution
from validation.subgroups import gap


def data(n=120, seed=2):
    rng = np.random.default_rng(seed)
    reference = rng.normal(30, 8, n)
    sex = np.where(np.arange(n) % 2, "F", "M")
    test = reference + rng.normal(0, np.where(sex == "F", 4, 2), n) + (sex == "F")
    return test, reference, pd.DataFrame({"sex": sex, "age": np.where(np.arange(n) < 90, "young", "old")})


def frame(**changes):
    test, reference, groups = data()
    arguments = {"test": test, "reference": reference, "groups": groups["sex"], "resamples": 500}
    return SubgroupFrame(**(arguments | changes))


def test_groups_and_gaps():
    found = frame(metrics=["mae", "bias", "within_3", "ccc"])
    test, reference, groups = data()
    women = (groups["sex"] == "F").to_numpy()
    error = test - reference
    mae = {name: np.abs(error[women == flag]).mean() for name, flag in (("F", True), ("M", False))}
    assert found.overall["mae"].estimate == pytest.approx(np.abs(error).mean())
    assert found.by_group["F"].metrics["mae"].estimate == pytest.approx(mae["F"])
    difference, ratio = found.difference("mae"), found.ratio("mae")
    assert (difference.high, difference.low) == ("F", "M")
    assert difference.estimate.estimate == pytest.approx(mae["F"] - mae["M"])
    assert difference.estimate.low > 0
    assert ratio.estimate.estimate == pytest.approx(mae["F"] / mae["M"])
    assert ratio.estimate.low > 1
    assert [found.worst_group(name) for name in ("mae", "bias", "within_3", "ccc")] == ["F"] * 4
    welch = stats.ttest_ind(error[women], error[~women], equal_var=False).confidence_interval(0.95)
    assert found.difference("bias").estimate.interval == pytest.approx((welch.low, welch.high), rel=1e-9)


def test_a_crossing_may_be_named():
    groups = data()[2].assign(site="A")
    named = frame(groups=groups, by="sex*age", metrics=["mae"], minimum_cell=20)
    columns = frame(groups=groups[["sex", "age"]], metrics=["mae"], minimum_cell=20)
    assert named.to_dict() == columns.to_dict()
    assert [name for name, group in named.by_group.items() if group.suppressed] == ["F × old", "M × old"]
    assert list(frame(groups=groups, by="age").by_group) == ["old", "young"]
    assert list(frame(groups=groups.rename(columns={"age": "sex*age"}), by="sex*age").by_group) == ["old", "young"]
    with pytest.raises(UnknownOption, match="no column 'size' for 'sex\\*size'"):
        frame(groups=groups, by="sex*size")
    with pytest.raises(UnknownOption, match="with itself"):
        frame(groups=groups, by="sex * sex")
    with pytest.raises(UnknownOption, match="DataFrame or a mapping"):
        frame(by="sex")


def test_crossings_and_suppression():
    test, reference, groups = data()
    found = SubgroupFrame(
        test=test, reference=reference, groups=groups, metrics=["mae"], resamples=200, minimum_cell=20
    )
    assert found.attribute == "sex × age"
    assert {name: group.suppressed for name, group in found.by_group.items()} == {
        "F × old": True,
        "F × young": False,
        "M × old": True,
        "M × young": False,
    }
    shown = found.to_dict()["by_group"]
    assert shown["F × old"] == {"n": None, "suppressed": True, "minimum_cell": 20}
    table = found.to_frame()
    assert table.loc[table["group"] == "F × old", "estimate"].isna().all()
    assert "not shown" in str(found)


def test_a_metric_of_ones_own_is_resampled_too():
    def largest_tenth(test, reference):
        return float(np.quantile(np.abs(test - reference), 0.9))

    found = frame(metrics={"p90": largest_tenth}, resamples=200)
    test, reference, _ = data()
    assert found.overall["p90"].estimate == pytest.approx(largest_tenth(test, reference))
    assert found.overall["p90"].low < found.overall["p90"].estimate < found.overall["p90"].high
    assert found.worst_group() == "F"


def test_subjects_count_for_the_minimum_cell_and_missing_rows_are_left_out():
    test, _, groups = data()
    test[3] = np.nan
    sex = groups["sex"].where(groups.index != 5)
    found = frame(test=test, groups=sex, subject=np.arange(120) // 20, minimum_cell=10)
    assert found.left_out == 2
    assert all(group.suppressed for group in found.by_group.values())
    assert found.worst_group() is None
    assert "two groups" in found.difference().estimate.reason


def test_gap_among_many_groups_is_adjusted_for_the_choice():
    rng = np.random.default_rng(1)

    def group(mean):
        return Distribution(mean, mean + rng.normal(0, 1, 20_000), (rng.normal(mean, 1, 50),))

    two = gap({"a": group(5.0), "b": group(3.0)})
    five = gap({"a": group(5.0), "b": group(3.0), "c": group(4.0), "d": group(4.0), "e": group(4.0)})
    assert (two.adjusted_for, five.adjusted_for) == (1, 10)
    width = [item.estimate.high - item.estimate.low for item in (two, five)]
    assert width[1] / width[0] == pytest.approx(stats.norm.ppf(1 - 0.0025) / stats.norm.ppf(0.975), rel=0.08)


def test_unknown_names_are_refused():
    with pytest.raises(UnknownOption, match="mean_error"):
        frame(metrics=["mean_error"])
    with pytest.raises(UnknownOption, match="within_3"):
        frame(metrics=["within_x"])
    with pytest.raises(UnknownOption, match="this frame holds"):
        frame().difference("ccc")
    with pytest.raises(ShapeMismatch, match="119 rows where 120"):
        frame(groups=data()[2]["sex"][:-1])
