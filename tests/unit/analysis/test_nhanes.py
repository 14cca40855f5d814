"""Bioimpedance and three equations against DXA in NHANES 1999-2000, by the plan that comes with Calliper."""

from __future__ import annotations

import json

import pytest

from studies.analysis import analyze
from studies.plan import load_template, plan_hash


@pytest.fixture(scope="module")
def analysed(nhanes):
    return _analyse(*nhanes)


def _analyse(subjects, visits, measurements):
    plan = load_template("nhanes-1999")
    return analyze(
        study={"name": "nhanes", "title": "NHANES 1999–2000"},
        plan=plan,
        plan_status={"version": 1, "hash": plan_hash(plan), "locked": True},
        subjects=subjects,
        visits=visits,
        measurements=measurements,
        data_hash="0" * 64,
    )


def test_the_figures(analysed):
    results = analysed.results
    bia = results["tests"]["bia"]
    assert results["n"] == bia["n"] == 1823
    assert round(bia["bias"]["estimate"], 3) == -0.143
    assert round(bia["sd"], 3) == 5.061
    assert round(bia["limits"]["lower"]["estimate"], 3) == -10.063
    assert round(bia["limits"]["upper"]["estimate"], 3) == 9.777
    assert round(bia["rmse"]["estimate"], 3) == 5.062
    assert round(bia["ccc"]["estimate"], 3) == 0.872
    found = {method: (row["n"], round(row["mae"]["estimate"], 3)) for method, row in results["tests"].items()}
    assert found == {
        "bia": (1823, 4.013),
        "deurenberg": (1823, 4.632),
        "gallagher": (1823, 4.982),
        "rfm": (1819, 2.761),
    }
    sex = results["subgroups"]["sex"]
    assert sex["label"] == "Sex"
    groups = {name: round(group["tests"]["bia"]["mae"]["estimate"], 3) for name, group in sex["by_group"].items()}
    assert groups == {"F": 3.695, "M": 4.309}


def test_the_flow(analysed):
    flow = analysed.results["flow"]
    assert flow["subjects"] == {
        "total": 9965,
        "analysed": 1823,
        "excluded": [
            {"reason": "younger than 18 years", "n": 4517},
            {"reason": "no bia", "n": 3463},
            {"reason": "no dxa", "n": 162},
        ],
    }
    assert flow["methods"]["rfm"]["excluded"][-1] == {"reason": "no waist_cm", "n": 4}
    assert flow["measurements"]["analysed"] == 2 * 1823


def test_the_subgroups_come_in_order_and_without_empty_ones(analysed):
    found = {name: list(subgroup["by_group"]) for name, subgroup in analysed.results["subgroups"].items()}
    assert found["age_band"] == ["18–39", "40–59"]
    assert found["bmi_class"] == ["Underweight", "Normal weight", "Overweight", "Obesity"]
    # ratio of mean absolute errors is that of the pairs that both have
    assert [row["name"] for row in analysed.results["criteria"]][:2] == ["Mean absolute error", "Mean difference"]


def test_the_cohort(analysed):
    cohort = analysed.results["cohort"]
    rows = {row["characteristic"]: row for row in cohort["rows"]}
    assert (cohort["n"], cohort["groups"]) == (1823, ["All", "F", "M"])
    assert rows["Age"]["values"]["All"]["min"] == 18
    assert rows["Waist girth"]["values"]["All"]["n"] == 1819
    assert round(rows["Body fat percentage (dxa)"]["values"]["All"]["mean"], 3) == 31.651
    sexes = {level["level"]: level["values"]["All"]["n"] for level in rows["Sex"]["levels"]}
    assert sexes == {"F": 878, "M": 945}
    for name in ("Ethnicity", "Age (years)", "BMI class (WHO)"):
        assert sum(level["values"]["All"]["n"] for level in rows[name]["levels"]) == 1823


def test_the_notes(analysed):
    text = " ".join(analysed.results["notes"])
    assert "521 of 1,823 values of gallagher lie outside the people its equation was made for" in text
    assert "not locked" not in text


def test_pairs_are_the_numbers_behind_the_results(analysed):
    pairs = analysed.pairs
    assert len(pairs) == 3 * 1823 + 1819
    assert list(pairs.columns) == [
        "subject_id", "visit", "method", "reference", "test", "difference", "mean",
        "sex", "age_band", "ethnicity", "bmi_class",
    ]  # fmt: skip
    mae = pairs.assign(error=pairs["difference"].abs()).groupby("method")["error"].mean()
    for method, row in analysed.results["tests"].items():
        assert mae[method] == pytest.approx(row["mae"]["estimate"], rel=1e-12)


def test_the_order_of_rows_changes_no_byte(analysed, nhanes):
    again = _analyse(*(frame.sample(frac=1, random_state=3) for frame in nhanes))
    one, two = (json.dumps(item.results, allow_nan=False) for item in (analysed, again))
    assert one == two
    assert again.pairs.equals(analysed.pairs)
    assert again.exclusions.equals(analysed.exclusions)
