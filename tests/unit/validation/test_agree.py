"""The analysis of a whole table: shape of the result, missing values, groups, suppression, edges."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from validation.agree import agree
from validation.errors import NotFinite, OutOfRange, UnknownOption
from validation.multiplicity import benjamini_hochberg, holm

QUICK = {"resamples": 400, "seed": 7}
METHOD = {
    "n", "bias", "sd", "p_value", "limits", "proportional_bias", "mae", "rmse", "median_ae", "mape", "within",
    "pearson", "ccc", "icc", "deming", "passing_bablok",
}  # fmt: skip


def cohort(n=90, seed=1):
    rng = np.random.default_rng(seed)
    dxa = rng.normal(30, 8, n).round(1)
    sex = np.where(np.arange(n) % 2, "F", "M")
    return pd.DataFrame(
        {
            "subject": [f"S{i:03}" for i in range(n)],
            "dxa": dxa,
            "scan": (dxa + rng.normal(0.2, 2, n)).round(1),
            "scale": (dxa + rng.normal(-1, 4, n) - (sex == "F")).round(1),
            "sex": sex,
            "site": np.where(np.arange(n) < 85, "A", "B"),
        }
    )


def walk(value, path=""):
    if isinstance(value, dict):
        yield path, value
        for name, item in value.items():
            yield from walk(item, f"{path}.{name}")


def no_silent_gap(report):
    """Every estimate that lacks a number has a reason, and JSON holds no NaN."""
    found = report.to_dict()
    json.dumps(found, allow_nan=False)
    for path, item in walk(found):
        if "estimate" in item and None in (item["estimate"], item["low"], item["high"]):
            assert item.get("reason"), path
    return found


def test_the_shape_of_the_result():
    report = agree(cohort(), reference="dxa", tests=["scan", "scale"], by=["sex"], **QUICK)
    found = no_silent_gap(report)
    assert list(found) == ["n", "reference", "tests", "comparisons", "subgroups"]
    assert (found["n"], found["reference"]) == (90, "dxa")
    assert list(found["tests"]) == ["scan", "scale"]
    assert set(found["tests"]["scan"]) >= METHOD
    assert set(found["tests"]["scan"]["within"]) == {"3", "5"}
    assert set(found["tests"]["scan"]["bias"]) == {"estimate", "low", "high"}
    assert [(c["a"], c["b"], c["metric"]) for c in found["comparisons"]] == [
        ("scan", "scale", "mae"),
        ("scan", "scale", "rmse"),
        ("scan", "scale", "sd"),
        ("scan", "scale", "ccc"),
    ]
    sex = found["subgroups"]["sex"]
    assert list(sex["by_group"]) == ["F", "M"]
    assert set(sex["by_group"]["F"]["tests"]["scale"]) >= METHOD
    assert set(sex["difference"]["scan"]) == {"mae", "rmse", "bias"}
    assert set(sex["ratio"]["scan"]) == {"mae", "rmse"}
    frame = report.to_frame()
    assert {"overall", "comparison", "sex"} == set(frame["part"])
    assert "ratio" in str(report)


def test_the_comparison_favours_the_closer_test():
    report = agree(cohort(300), reference="dxa", tests=["scan", "scale"], **QUICK)
    mae = report.comparisons[0]
    scan, scale = (report.tests[name]["mae"]["estimate"] for name in ("scan", "scale"))
    assert mae.difference.estimate == pytest.approx(scan - scale, rel=1e-12)
    assert mae.ratio.estimate == pytest.approx(scan / scale, rel=1e-12)
    assert mae.ratio.low < mae.ratio.estimate < mae.ratio.high < 0.75
    assert mae.p_adjusted == pytest.approx(1 / 401)


def test_holm_counts_the_pairs_of_tests():
    table = cohort().assign(third=lambda t: t["scan"] + 0.3)
    report = agree(table, reference="dxa", tests=["scan", "scale", "third"], **QUICK)
    mae = [item for item in report.comparisons if item.metric == "mae"]
    assert len(mae) == 3
    smallest = min(mae, key=lambda item: item.p_value)
    assert smallest.p_adjusted == pytest.approx(min(1, 3 * smallest.p_value))


def test_order_of_rows_changes_no_byte():
    table = cohort()
    arguments = {"reference": "dxa", "tests": ["scan", "scale"], "by": ["sex"], "subject": "subject", **QUICK}
    first = agree(table, **arguments).to_dict()
    second = agree(table.sample(frac=1, random_state=3), **arguments).to_dict()
    assert json.dumps(first) == json.dumps(second)


def test_each_test_uses_its_own_complete_pairs_and_a_comparison_the_common_ones():
    table = cohort()
    table.loc[:9, "scale"] = np.nan
    table.loc[80:84, "scan"] = np.nan
    table.loc[85, "dxa"] = np.nan
    found = no_silent_gap(agree(table, reference="dxa", tests=["scan", "scale"], **QUICK))
    assert found["n"] == 89
    assert found["tests"]["scan"]["n"] == 84
    assert found["tests"]["scale"]["n"] == 79
    assert found["comparisons"][0]["n"] == 74
    common = table.dropna()
    alone = agree(common, reference="dxa", tests=["scan", "scale"], **QUICK).to_dict()
    assert found["comparisons"][0]["difference"]["estimate"] == pytest.approx(
        alone["comparisons"][0]["difference"]["estimate"], rel=1e-12
    )


def test_a_group_equals_the_analysis_of_that_group_alone_up_to_the_draws():
    table = cohort()
    whole = agree(table, reference="dxa", tests=["scan"], by=["sex"], **QUICK).to_dict()
    alone = agree(table[table["sex"] == "F"], reference="dxa", tests=["scan"], **QUICK).to_dict()
    group = whole["subgroups"]["sex"]["by_group"]["F"]
    assert group["n"] == alone["n"] == 45
    for name in ("bias", "limits", "proportional_bias", "pearson", "ccc", "sd"):
        assert group["tests"]["scan"][name] == alone["tests"]["scan"][name]
    assert group["tests"]["scan"]["mae"]["estimate"] == alone["tests"]["scan"]["mae"]["estimate"]


def test_small_groups_are_suppressed_and_stay_out_of_the_gaps():
    found = no_silent_gap(agree(cohort(), reference="dxa", tests=["scan"], by=["site"], **QUICK))
    site = found["subgroups"]["site"]
    hidden = {"n": None, "suppressed": True, "minimum_cell": 10}
    assert site["by_group"]["B"] == {**hidden, "tests": {"scan": hidden}}
    assert site["difference"]["scan"]["mae"]["estimate"] is None
    assert "two groups" in site["difference"]["scan"]["mae"]["reason"]


def test_one_sex_only_has_no_gap_and_says_so():
    table = cohort().assign(sex="F")
    sex = no_silent_gap(agree(table, reference="dxa", tests=["scan"], by=["sex"], **QUICK))["subgroups"]["sex"]
    assert list(sex["by_group"]) == ["F"]
    assert "two groups" in sex["ratio"]["scan"]["mae"]["reason"]


def test_rows_without_a_label_are_counted_and_belong_to_no_group():
    table = cohort()
    table.loc[:4, "sex"] = None
    sex = agree(table, reference="dxa", tests=["scan"], by=["sex"], **QUICK).subgroups["sex"]
    assert sex["unlabelled"] == 5
    assert sum(group["n"] for group in sex["by_group"].values()) == 85


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_tiny_tables_give_reasons_not_errors(n):
    report = agree(cohort().head(n), reference="dxa", tests=["scan", "scale"], by=["sex"], minimum_cell=0, **QUICK)
    found = no_silent_gap(report)
    assert found["n"] == n
    assert str(report)
    if n < 3:
        assert found["tests"]["scan"]["bias"]["estimate"] is None


@pytest.mark.parametrize("column", ["dxa", "scan"])
def test_constant_columns_give_reasons_not_errors(column):
    table = cohort()
    table[column] = 30.0
    method = no_silent_gap(agree(table, reference="dxa", tests=["scan"], **QUICK))["tests"]["scan"]
    assert method["mae"]["low"] is not None
    assert "constant" in method["ccc"]["reason"]


def test_identical_columns_give_reasons_not_errors():
    table = cohort()
    table["scan"] = table["dxa"]
    found = no_silent_gap(agree(table, reference="dxa", tests=["scan", "scale"], **QUICK))
    method = found["tests"]["scan"]
    assert method["mae"]["estimate"] == 0
    assert method["sd"] == 0
    assert method["within"]["3"]["estimate"] == 100
    assert method["within"]["3"]["low"] > 90
    assert "positive" in found["comparisons"][0]["ratio"]["reason"]


def test_a_reference_of_zero_has_no_percentage_error():
    table = cohort()
    table.loc[0, "dxa"] = 0.0
    method = agree(table, reference="dxa", tests=["scan"], **QUICK).tests["scan"]
    assert "zero" in method["mape"]["reason"]
    assert method["mae"]["low"] is not None


def test_repeated_subjects_are_resampled_whole():
    once = cohort(40)
    thrice = pd.concat([once] * 3, ignore_index=True)
    single = agree(once, reference="dxa", tests=["scan"], subject="subject", **QUICK).tests["scan"]
    method = agree(thrice, reference="dxa", tests=["scan"], subject="subject", **QUICK).tests["scan"]
    assert (method["n"], method["subjects"]) == (120, 40)
    assert method["limits"]["interval"] == "mover"
    assert method["bias"]["low"] == pytest.approx(single["bias"]["low"], rel=1e-9)
    width = single["mae"]["high"] - single["mae"]["low"]
    assert method["mae"]["high"] - method["mae"]["low"] == pytest.approx(width, rel=0.2)
    naive = agree(thrice, reference="dxa", tests=["scan"], **QUICK).tests["scan"]
    assert naive["mae"]["high"] - naive["mae"]["low"] < 0.75 * width


def test_wrong_tables_are_refused_by_name():
    table = cohort()
    with pytest.raises(UnknownOption, match="there is no column 'bia'; there are subject, dxa"):
        agree(table, reference="dxa", tests=["bia"])
    with pytest.raises(UnknownOption, match="at least one test"):
        agree(table, reference="dxa", tests=[])
    with pytest.raises(UnknownOption, match="different columns"):
        agree(table, reference="dxa", tests=["dxa"])
    with pytest.raises(NotFinite, match="'sex' holds something that is not a number"):
        agree(table, reference="dxa", tests=["sex"])
    with pytest.raises(NotFinite, match="1 infinite"):
        agree(table.assign(scan=[math.inf, *table["scan"][1:]]), reference="dxa", tests=["scan"])
    with pytest.raises(OutOfRange, match=r"1e[+]300"):
        agree(table.assign(scan=[1e300, *table["scan"][1:]]), reference="dxa", tests=["scan"])


def test_pandas_types_are_understood():
    table = cohort().astype({"scan": "Float64", "sex": "category", "site": "str"})
    table.loc[3, "scan"] = pd.NA
    found = no_silent_gap(agree(table, reference="dxa", tests=["scan"], by=["sex", "site"], **QUICK))
    assert found["tests"]["scan"]["n"] == 89
    assert set(found["subgroups"]) == {"sex", "site"}


def test_adjustment_by_false_discovery_rate():
    table = cohort().assign(third=lambda t: t["scan"] + 0.3, fourth=lambda t: t["scale"] - 0.2)
    arguments = {"reference": "dxa", "tests": ["scan", "scale", "third", "fourth"], **QUICK}
    family, discoveries = (agree(table, adjust=how, **arguments) for how in ("holm", "bh"))
    for metric in ("mae", "rmse", "sd", "ccc"):
        p = [item.p_value for item in discoveries.comparisons if item.metric == metric]
        assert [i.p_adjusted for i in discoveries.comparisons if i.metric == metric] == benjamini_hochberg(p)
        assert [i.p_adjusted for i in family.comparisons if i.metric == metric] == holm(p)
    assert "adjusted by Benjamini and Hochberg" in str(discoveries)
    with pytest.raises(UnknownOption, match="adjust is 'all'"):
        agree(table, adjust="all", **arguments)


def test_crossed_attributes():
    table = cohort().assign(age=lambda t: np.where(t.index < 40, "18–39", "40–59"), size="any")
    table.loc[3, "age"] = None
    arguments = {"reference": "dxa", "tests": ["scan"], "minimum_cell": 24, **QUICK}
    found = agree(table, by=["sex", "sex*age"], **arguments).to_dict()["subgroups"]
    crossing = found["sex*age"]
    assert (list(found), crossing["label"], crossing["unlabelled"]) == (["sex", "sex*age"], "sex × age", 1)
    assert list(crossing["by_group"]) == ["F × 18–39", "F × 40–59", "M × 18–39", "M × 40–59"]
    assert crossing["by_group"]["F × 18–39"]["suppressed"]
    part = table[(table["sex"] == "F") & (table["age"] == "40–59")]
    alone = agree(part, reference="dxa", tests=["scan"], **QUICK).tests["scan"]
    group = crossing["by_group"]["F × 40–59"]
    assert group["n"] == len(part)
    assert group["tests"]["scan"]["limits"] == alone["limits"]
    assert found["sex"] == agree(table, by=["sex"], **arguments).to_dict()["subgroups"]["sex"]
    literal = agree(table.rename(columns={"size": "sex*age"}), by=["sex*age"], **arguments).subgroups["sex*age"]
    assert (list(literal["by_group"]), literal["label"]) == (["any"], "sex*age")
    with pytest.raises(UnknownOption, match="there is no column 'height'"):
        agree(table, by=["sex*height"], **arguments)
