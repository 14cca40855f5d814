"""Verdicts."""

from __future__ import annotations

import pytest

from studies.criteria import equivalence, judge, mae_ratio, metric_of
from studies.plan import plan_from_document


def _est(estimate, low=None, high=None):
    return {"estimate": estimate, "low": low, "high": high}


METHOD = {
    "n": 50,
    "bias": _est(-1.0, -1.8, -0.2),
    "sd": 3.0,
    "p_value": 0.01,
    "limits": {"lower": _est(-6.9, -8.0, -5.8), "upper": _est(4.9, 3.8, 6.0), "interval": "exact", "level": 0.95},
    "proportional_bias": {"slope": _est(0.1, -0.1, 0.3), "intercept": _est(0), "p_value": 0.5, "r_squared": 0.1},
    "mae": _est(3.0, 2.5, 3.6),
    "rmse": _est(3.9, 3.0, 4.5),
    "median_ae": _est(2.4, 2.0, 3.0),
    "mape": _est(10.0, 8.0, 12.0),
    "within": {"3": _est(60.0, 50.0, 70.0), "5": _est(90.0, 80.0, 95.0)},
    "pearson": _est(0.95, 0.9, 0.97),
    "ccc": _est(0.93, 0.88, 0.96),
}
SMALL = {"n": None, "suppressed": True, "minimum_cell": 10}
RESULTS = {
    "index": "scan",
    "tests": {"scan": METHOD, "scale": {**METHOD, "mae": _est(6.0, 5.0, 7.0), "bias": _est(0.5, -0.5, 2.5)}},
    "comparisons": [
        {"a": "scan", "b": "scale", "metric": "rmse", "n": 50, "ratio": _est(9, 9, 9)},
        {"a": "scan", "b": "scale", "metric": "mae", "n": 50, "ratio": _est(0.5, 0.4, 0.8)},
    ],
    "subgroups": {
        "sex": {
            "by_group": {
                "F": {"n": 40, "tests": {"scan": {**METHOD, "mae": _est(2.0, 1.5, 2.5)}, "scale": SMALL}},
                "M": {**SMALL, "tests": {"scan": SMALL, "scale": SMALL}},
            }
        }
    },
}
HEAD = {
    "calliper_plan": 1,
    "title": "t",
    "measurand": "body_fat_percent",
    "reference": "dxa",
    "index": "scan",
    "comparators": ["scale"],
    "subgroups": [{"name": "sex", "attribute": "sex"}],
}


def verdict(**criterion):
    plan = plan_from_document({**HEAD, "criteria": [{"name": "c", **criterion}]})
    return judge(plan, RESULTS)[0]


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        ({"metric": "mae", "at_most": 3}, "met"),
        ({"metric": "mae", "at_most": 2.99}, "not met"),
        ({"metric": "mae", "at_most": 3, "judged_by": "interval"}, "not met"),
        ({"metric": "mae", "at_most": 3.6, "judged_by": "interval"}, "met"),
        ({"metric": "mae", "at_most": 3, "method": "scale"}, "not met"),
        ({"metric": "mae", "at_most": 2, "group": "sex=F"}, "met"),
        ({"metric": "mae", "at_most": 2, "group": "sex=F", "judged_by": "interval"}, "not met"),
        ({"metric": "mae", "at_most": 99, "group": "sex=M"}, "not enough data"),
        ({"metric": "mae", "at_most": 99, "group": "sex=X"}, "not enough data"),
        ({"metric": "mae", "at_most": 99, "group": "sex=F", "method": "scale"}, "not enough data"),
        ({"metric": "ccc", "at_least": 0.93}, "met"),
        ({"metric": "ccc", "at_least": 0.9, "judged_by": "interval"}, "not met"),
        ({"metric": "bias", "between": [-1, 1]}, "met"),
        ({"metric": "bias", "between": [-1.5, 1.5], "judged_by": "interval"}, "not met"),
        ({"metric": "bias", "between": [-1.8, 1.8], "judged_by": "interval"}, "met"),
        ({"metric": "sd", "at_most": 3}, "met"),
        ({"metric": "lower_limit", "at_least": -7}, "met"),
        ({"metric": "upper_limit", "at_most": 4}, "not met"),
        ({"metric": "limits", "at_most": 7}, "met"),
        ({"metric": "limits", "at_most": 6.8}, "not met"),
        ({"metric": "limits", "at_most": 7.9, "judged_by": "interval"}, "not met"),
        ({"metric": "limits", "at_most": 8, "judged_by": "interval"}, "met"),
        ({"metric": "slope", "between": [-0.2, 0.2]}, "met"),
        ({"metric": "within_5", "at_least": 90}, "met"),
        ({"metric": "within_3", "at_least": 60, "judged_by": "interval"}, "not met"),
        ({"metric": "mae_ratio", "against": "scale", "at_most": 0.5}, "met"),
        ({"metric": "mae_ratio", "against": "scale", "at_most": 0.7, "judged_by": "interval"}, "not met"),
        ({"metric": "mae_ratio", "method": "scale", "against": "scan", "at_least": 2}, "met"),
    ],
)
def test_verdicts(criterion, expected):
    assert verdict(**criterion)["verdict"] == expected


def test_a_verdict_shows_what_it_was_made_from():
    row = verdict(metric="mae", at_most=3.6, judged_by="interval", group="sex=F")
    assert row == {
        "name": "c",
        "method": "scan",
        "metric": "mae",
        "group": "sex=F",
        "rule": "at most 3.6 (whole 95% interval)",
        "judged_by": "interval",
        "estimate": _est(2.0, 1.5, 2.5),
        "verdict": "met",
    }


def test_an_empty_estimate_says_why():
    assert verdict(metric="mae", at_most=9, group="sex=M")["estimate"]["reason"] == "fewer than 10 subjects"
    assert metric_of({}, "mae")["reason"] == "no pairs"
    assert mae_ratio([], "a", "b")["reason"] == "a and b were not compared"


def test_the_furthest_limit_and_its_interval():
    assert metric_of(METHOD, "limits") == _est(6.9, 5.8, 8.0)
    crossing = {**METHOD, "limits": {"lower": _est(-0.5, -1.5, 0.5), "upper": _est(0.4, 0.1, 0.7)}}
    assert metric_of(crossing, "limits") == _est(0.5, 0.1, 1.5)


def test_a_ratio_turned_round_turns_its_interval():
    assert mae_ratio(RESULTS["comparisons"], "scale", "scan") == _est(2.0, 1.25, 2.5)


def test_equivalence_needs_the_whole_interval_inside_the_margin():
    plan = plan_from_document({**HEAD, "margins": {"bias": 2}})
    found = {row["method"]: row["verdict"] for row in equivalence(plan, RESULTS)}
    assert found == {"scan": "equivalent", "scale": "not shown"}
