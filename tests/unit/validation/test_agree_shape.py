"""The shape of the JSON of `agree`, key for key; and the keys that options add."""

import json

import numpy as np
import pandas as pd
import pytest

from validation.agree import agree
from validation.agreement import bland_altman
from validation.errors import OutOfRange, UnknownOption
from validation.regression import deming
from validation.survey import survey_errors

QUICK = {"resamples": 300, "seed": 4}
ESTIMATE = {"estimate": float, "low": float, "high": float}
FORMS = ["ICC(1,1)", "ICC(A,1)", "ICC(C,1)", "ICC(1,k)", "ICC(A,k)", "ICC(C,k)"]
LINE = {"slope": ESTIMATE, "intercept": ESTIMATE}
TEST = {
    "n": int,
    "bias": ESTIMATE,
    "sd": float,
    "p_value": float,
    "limits": {"lower": ESTIMATE, "upper": ESTIMATE, "interval": str, "level": float},
    "proportional_bias": {**LINE, "p_value": float, "r_squared": float},
    "mae": ESTIMATE,
    "rmse": ESTIMATE,
    "median_ae": ESTIMATE,
    "mape": ESTIMATE,
    "within": {"3": ESTIMATE, "5": ESTIMATE},
    "pearson": ESTIMATE,
    "ccc": ESTIMATE,
    "icc": dict.fromkeys(FORMS, ESTIMATE),
    "deming": LINE,
    "passing_bablok": LINE,
}
COMPARISON = {
    "a": str,
    "b": str,
    "metric": str,
    "n": int,
    "difference": ESTIMATE,
    "ratio": ESTIMATE,
    "p_value": float,
    "p_adjusted": float,
}
GAP = {**ESTIMATE, "high_group": str, "low_group": str}


def cohort(n=120, seed=2):
    rng = np.random.default_rng(seed)
    dxa = rng.normal(30, 8, n)
    sex = np.where(np.arange(n) % 2, "F", "M")
    return pd.DataFrame(
        {
            "subject": np.arange(n) // 2,
            "dxa": dxa,
            "bia": dxa + rng.normal(0, 3, n) + 2 * (sex == "F"),
            "app": dxa + rng.normal(0.5, 2, n),
            "sex": sex,
            "bmi": rng.normal(27, 4, n),
        }
    )


def same_shape(found, shape, path="result"):
    """`found` has exactly the keys of `shape`, in its order, and values of its types."""
    if isinstance(shape, dict):
        assert isinstance(found, dict), path
        assert list(found) == list(shape), path
        for name, inner in shape.items():
            same_shape(found[name], inner, f"{path}.{name}")
    else:
        assert isinstance(found, shape), (path, found)


@pytest.mark.parametrize("limits", ["exact", "exact-paired", "mover", "approximate", "nonparametric"])
def test_the_shape_key_for_key(limits):
    report = agree(cohort(), reference="dxa", tests=["bia", "app"], by=["sex"], limits=limits, **QUICK)
    found = report.to_dict()
    group = {"n": int, "tests": {"bia": TEST, "app": TEST}}
    gaps = {"mae": GAP, "rmse": GAP, "bias": GAP}
    sex = {
        "label": str,
        "unlabelled": int,
        "by_group": {"F": group, "M": group},
        "difference": {"bia": gaps, "app": gaps},
        "ratio": {name: {"mae": GAP, "rmse": GAP} for name in ("bia", "app")},
    }
    comparisons = found.pop("comparisons")
    same_shape(
        found,
        {"n": int, "reference": str, "tests": {"bia": TEST, "app": TEST}, "subgroups": {"sex": sex}},
    )
    assert [item["metric"] for item in comparisons] == ["mae", "rmse", "sd", "ccc"]
    for item in comparisons:
        if item["metric"] == "ccc":
            assert item["ratio"].pop("reason")
            item["ratio"] = dict.fromkeys(ESTIMATE, 1.0)
        same_shape(item, COMPARISON)
    interval = found["tests"]["bia"]["limits"]["interval"]
    assert interval == ("bootstrap" if limits == "nonparametric" else limits)


@pytest.mark.parametrize("scale", ["percent", "percent of reference", "log"])
@pytest.mark.parametrize("limits", ["exact", "mover", "nonparametric"])
def test_other_scales_say_so_and_hold_the_same_keys(scale, limits):
    report = agree(cohort(), reference="dxa", tests=["bia"], scale=scale, limits=limits, **QUICK)
    found = report.to_dict()["tests"]["bia"]
    assert found.pop("scale") == ("ratio" if scale == "log" else scale)
    same_shape({name: found[name] for name in TEST}, TEST)
    low, high = (found["limits"][end]["estimate"] for end in ("lower", "upper"))
    if scale == "log":
        assert 0 < low < 1 < high
        table = cohort()
        inside = (table["bia"] / table["dxa"]).between(low, high).mean()
    else:
        table = cohort()
        base = (table["bia"] + table["dxa"]) / 2 if scale == "percent" else table["dxa"]
        inside = (100 * (table["bia"] - table["dxa"]) / base).between(low, high).mean()
    assert 0.9 <= inside <= 0.99


@pytest.mark.parametrize("repeated", ["varying", "constant", "mixed"])
def test_repeated_pairs_count_rows_and_subjects(repeated):
    report = agree(cohort(), reference="dxa", tests=["bia"], subject="subject", repeated=repeated, **QUICK)
    found = report.tests["bia"]
    assert (found["n"], found["subjects"]) == (120, 60)
    assert found["limits"]["interval"] == ("bootstrap" if repeated == "mixed" else "mover")
    assert found["limits"]["lower"]["low"] < found["limits"]["lower"]["high"] < found["bias"]["low"]


def test_margins_give_verdicts():
    report = agree(
        cohort(),
        reference="dxa",
        tests=["bia", "app"],
        by=["sex"],
        margins={"bias": 1.5, "mae": 1.0},
        fairness=True,
        **QUICK,
    )
    found = report.to_dict()
    assert found["verdicts"] == {
        "bia": {"bias": "not enough data to say", "mae": "fails"},
        "app": {"bias": "meets", "mae": "fails"},
    }
    assert found["subgroups"]["sex"]["fairness"]["bia"]["verdicts"]["bias"] == {
        "F": "not enough data to say",
        "M": "meets",
    }
    assert "bia, bias within ±1.5: not enough data to say" in str(report)
    ratio = agree(cohort(), reference="dxa", tests=["app"], scale="log", margins={"bias": 1.1}, **QUICK)
    assert ratio.verdicts == {"app": {"bias": "meets"}}
    assert "bias between 0.9091 and 1.1: meets" in str(ratio)
    for wrong in ({"bias": 0}, {"mae": -1}):
        with pytest.raises(OutOfRange, match="must be above 0"):
            agree(cohort(), reference="dxa", tests=["bia"], margins=wrong, **QUICK)
    with pytest.raises(OutOfRange, match="above 1"):
        agree(cohort(), reference="dxa", tests=["bia"], margins={"bias": 0.9}, scale="log", **QUICK)
    with pytest.raises(UnknownOption, match="margin is 'rmse'"):
        agree(cohort(), reference="dxa", tests=["bia"], margins={"rmse": 1}, **QUICK)


def test_fairness_says_whether_groups_are_read_alike():
    report = agree(
        cohort(),
        reference="dxa",
        tests=["bia", "app"],
        by=["sex"],
        bands=[25, 35],
        fairness=True,
        covariates=["bmi"],
        **QUICK,
    )
    found = report.to_dict()["subgroups"]
    assert list(found) == ["sex", "bands of dxa"]
    assert list(found["bands of dxa"]["by_group"]) == ["< 25", "25 to 35", "≥ 35"]
    bia = found["sex"]["fairness"]["bia"]
    assert list(bia) == ["tests", "worst_group", "pooled", "detectable_gap", "left_out"]
    assert list(bia["tests"]) == ["equal bias", "equal spread", "equal mae", "equal bias, adjusted"]
    assert bia["tests"]["equal bias, adjusted"]["test"] == "equal bias given dxa, bmi, HC3"
    assert bia["tests"]["equal bias"]["p_adjusted"] < 0.01 < bia["tests"]["equal spread"]["p_value"]
    assert found["sex"]["fairness"]["app"]["tests"]["equal bias"]["p_value"] > 0.01
    assert bia["worst_group"] == {"bias": "F", "mae": "F"}
    women = found["sex"]["by_group"]["F"]
    pooled = bia["pooled"]["bias"]
    assert pooled["mean"]["estimate"] < pooled["groups"]["F"]["estimate"] < women["tests"]["bia"]["bias"]["estimate"]
    assert [item["metric"] for item in women["comparisons"]] == ["mae", "rmse", "sd", "ccc"]
    # Bands come from the reference, so adjusting for the reference would take away what is asked.
    banded = found["bands of dxa"]["fairness"]["bia"]["tests"]
    assert banded["equal bias, adjusted"]["test"] == "equal bias given bmi, HC3"
    # Each kind of test is a family over the attributes.
    kinds = [found[name]["fairness"]["bia"]["tests"]["equal bias"] for name in found]
    smaller, larger = sorted(item["p_value"] for item in kinds)
    assert sorted(item["p_adjusted"] for item in kinds) == pytest.approx([2 * smaller, max(2 * smaller, larger)])
    page = str(report)
    for part in ("Bands of dxa", "bia, equal bias, Welch: p", "bias, pooled", "detectable gap", "bia, gap of MAE"):
        assert part in page
    assert "fairness" in set(report.to_frame()["group"])


def test_a_group_that_could_be_worked_out_is_hidden_too():
    table = cohort().assign(site=["A"] * 70 + ["B"] * 45 + ["C"] * 5)
    arguments = {"reference": "dxa", "tests": ["bia", "app"], "by": ["site"], **QUICK}
    groups = agree(table, **arguments).subgroups["site"]["by_group"]
    assert groups["A"]["n"] == 70
    assert "cannot be worked out" in groups["B"]["reason"]
    assert "reason" not in groups["C"]
    assert [groups[name].get("suppressed", False) for name in "ABC"] == [False, True, True]
    seen_to = agree(table, secondary=False, **arguments).subgroups["site"]["by_group"]
    assert [seen_to[name].get("suppressed", False) for name in "ABC"] == [False, False, True]
    # One test missing in most of a group: that test alone is hidden there, and in one further group.
    table = cohort().assign(site=["A"] * 70 + ["B"] * 50)
    table.loc[75:, "app"] = np.nan
    tests = {name: group["tests"] for name, group in agree(table, **arguments).subgroups["site"]["by_group"].items()}
    assert tests["B"]["app"]["suppressed"]
    assert "cannot be worked out" in tests["A"]["app"]["reason"]
    assert (tests["A"]["bia"]["n"], tests["B"]["bia"]["n"]) == (70, 50)


def test_categories_keep_their_order():
    grade = pd.Categorical(np.array(["mild", "none", "severe"])[np.arange(120) % 3], ["none", "mild", "severe"])
    table = cohort().assign(grade=grade)
    found = agree(table, reference="dxa", tests=["bia"], by=["grade", "sex*grade"], **QUICK).subgroups
    assert list(found["grade"]["by_group"]) == ["none", "mild", "severe"]
    assert list(found["sex*grade"]["by_group"])[:3] == ["F × none", "F × mild", "F × severe"]


def test_the_page_reads_well():
    report = agree(cohort(), reference="dxa", tests=["bia", "app"], by=["sex"], **QUICK)
    page = str(report)
    lines = page.splitlines()
    assert lines[0] == "Agreement with dxa: 120 rows"
    assert max(map(len, lines)) < 170
    head = next(line for line in lines if line.split() == ["bia", "app"])
    mae = next(line for line in lines if line.strip().startswith("MAE  "))
    assert mae[head.index("bia")].isdigit()
    assert mae[head.index("app")].isdigit()
    assert "Nothing speaks against plain limits of agreement." in page
    broken = str(agree(cohort().assign(bia=30.0), reference="dxa", tests=["bia"], **QUICK))
    assert "bia: the test is constant (Pearson's r, Lin's CCC" in broken


def test_the_lines_can_be_told_apart():
    table = cohort()
    arguments = {"reference": "dxa", "tests": ["bia"], **QUICK}
    found = agree(
        table, regress_on="reference", error_ratio=0.5, decision_levels=[25, 37.5], by=["sex"], **arguments
    ).to_dict()
    bia = found["tests"]["bia"]
    line = bland_altman(table["bia"], table["dxa"], regress_on="reference").proportional_bias
    assert bia["proportional_bias"]["slope"]["estimate"] == pytest.approx(line.slope.estimate)
    fit = deming(table["bia"], table["dxa"], error_ratio=0.5)
    assert bia["deming"]["slope"]["estimate"] == pytest.approx(fit.slope.estimate)
    _, second = fit.bias_at([25, 37.5])
    assert list(bia["bias_at"]) == ["25", "37.5"]
    same_shape(bia["bias_at"]["25"]["deming"], ESTIMATE)
    assert bia["bias_at"]["37.5"]["deming"]["high"] == pytest.approx(second.high)
    assert "bootstrap" in bia["bias_at"]["25"]["passing_bablok"]["reason"]
    page = str(agree(table, regress_on="reference", decision_levels=[25], **arguments))
    assert "slope on the reference" in page
    assert "bias at 25, Deming" in page
    nobody = agree(table.assign(bia=np.nan), decision_levels=[25], **arguments)
    assert nobody.tests["bia"]["bias_at"]["25"]["deming"]["reason"]
    constant = agree(table.assign(bia=3.0), decision_levels=[25], **arguments)
    assert "constant" in constant.tests["bia"]["bias_at"]["25"]["deming"]["reason"]


def test_survey_weights_stand_beside_the_unweighted_results():
    rng = np.random.default_rng(6)
    table = cohort().assign(
        w=rng.uniform(1, 5, 120), stratum=np.repeat(["s1", "s2", "s3"], 40), psu=np.tile(np.repeat([1, 2], 20), 3)
    )
    table.loc[:9, "bia"] = np.nan  # the whole PSU stays in the design
    table.loc[50, "w"] = np.nan
    arguments = {"reference": "dxa", "tests": ["bia", "app"], "by": ["sex"], **QUICK}
    design = {"weights": "w", "strata": "stratum", "psu": "psu"}
    found = agree(table, **arguments, **design).to_dict()
    plain = agree(table, **arguments).to_dict()
    placed = table[table["w"].notna()]
    inside = placed["bia"].notna()
    direct = survey_errors(
        placed["bia"].fillna(0),
        placed["dxa"].where(inside, 0),
        weights=placed["w"].where(inside, 0),
        strata=placed["stratum"],
        psu=placed["psu"],
    )
    survey = found["tests"]["bia"].pop("survey")
    assert survey["n"] == direct.n == 109
    assert survey["bias"]["high"] == pytest.approx(direct.bias.high)
    assert survey["df"] == 3
    women = found["subgroups"]["sex"]["by_group"]["F"]["tests"]["app"].pop("survey")
    part = placed[placed["sex"] == "F"]
    assert women["mae"]["estimate"] == pytest.approx(np.average((part["app"] - part["dxa"]).abs(), weights=part["w"]))
    assert found["tests"]["bia"] == plain["tests"]["bia"]
    again = agree(table.sample(frac=1, random_state=2), **arguments, **design).to_dict()
    assert json.dumps(again["tests"]["bia"]["survey"]) == json.dumps(survey)
    ones = agree(table.assign(w=1.0), weights="w", **arguments).tests["app"]
    assert ones["survey"]["mae"]["estimate"] == pytest.approx(ones["mae"]["estimate"])
    assert ones["survey"]["bias"]["low"] == pytest.approx(ones["bias"]["low"])
    assert "for the population" in str(agree(table, **arguments, **design))
    lonely = agree(table.assign(psu=1), **arguments, **design).tests["bia"]["survey"]
    assert "single PSU" in lonely["bias"]["reason"]
    with pytest.raises(UnknownOption, match="need weights"):
        agree(table, strata="stratum", **arguments)
