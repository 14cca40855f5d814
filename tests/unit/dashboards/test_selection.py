"""The quick statistics of a selection, beside the full analysis of the same pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dashboards.selection import MANY, Manner, Rows, compare, subgroup, summarise
from validation.agree import agree

RNG = np.random.default_rng(3)
N = 240
REFERENCE = RNG.normal(30, 8, N)
TESTS = {"a": REFERENCE + RNG.normal(0.5, 3, N), "b": REFERENCE + RNG.normal(-1, 5, N)}
TESTS["b"][::7] = np.nan
GROUPS = np.array(["x", "y", "z"])[RNG.choice(3, N, p=[0.6, 0.37, 0.03])]


@pytest.fixture(params=["one pair a subject", "several"])
def both(request: pytest.FixtureRequest):
    """The rows of a selection, and the full analysis of them by jackknife."""
    subject = np.arange(N) if request.param.startswith("one") else np.arange(N) // 2
    rows = Rows(REFERENCE, TESTS, subject, Manner())
    table = pd.DataFrame({"dxa": REFERENCE, **TESTS, "group": GROUPS, "who": subject.astype(str)})
    full = agree(
        table, reference="dxa", tests=["a", "b"], by=["group"], subject="who", resamples=200, intervals="jackknife"
    ).to_dict()
    return rows, full


def same(found: dict, expected: dict, *, interval: bool = True) -> None:
    keys = ("estimate", "low", "high") if interval else ("estimate",)
    assert [found[key] for key in keys] == [
        None if expected[key] is None else pytest.approx(expected[key], rel=1e-9) for key in keys
    ]


@pytest.mark.parametrize("test", ["a", "b"])
def test_a_test_is_summarised_as_in_the_full_analysis(both, test: str) -> None:
    rows, full = both
    found, expected = summarise(rows, test), full["tests"][test]
    assert found["n"] == expected["n"]
    for key in ("bias", "mae", "rmse", "mape", "pearson", "ccc"):
        same(found[key], expected[key])
    for side in ("lower", "upper"):
        same(found["limits"][side], expected["limits"][side])
    for share in ("3", "5"):
        same(found["within"][share], expected["within"][share])
    same(found["proportional_bias"]["slope"], expected["proportional_bias"]["slope"])
    same(found["deming"]["slope"], expected["deming"]["slope"])
    # Of repeated measurements only the bootstrap has an interval of the median.
    same(found["median_ae"], expected["median_ae"], interval=rows.subjects == rows.n)


def test_two_tests_are_compared_as_in_the_full_analysis(both) -> None:
    rows, full = both
    found = {item["metric"]: item for item in compare(rows, "a", ["b"])}
    for expected in full["comparisons"]:
        if expected["metric"] in found:
            mine = found[expected["metric"]]
            assert mine["n"] == expected["n"]
            same(mine["difference"], expected["difference"])
            same(mine["ratio"], expected["ratio"])
            assert mine["p_value"] is None


def test_groups_are_those_of_the_full_analysis_and_small_ones_hidden(both) -> None:
    rows, full = both
    codes, names = np.array([["x", "y", "z"].index(name) for name in GROUPS]), ["x", "y", "z"]
    found, expected = subgroup(rows, codes, names, "Group"), full["subgroups"]["group"]
    assert list(found["by_group"]) == names
    for name in names:
        mine, theirs = found["by_group"][name], expected["by_group"][name]
        assert mine.get("suppressed") == theirs.get("suppressed")
        if not mine.get("suppressed"):
            assert mine["n"] == theirs["n"]
            same(mine["tests"]["a"]["mae"], theirs["tests"]["a"]["mae"])
    assert found["by_group"]["z"]["suppressed"]
    for metric in ("mae", "bias"):
        same(found["difference"]["a"][metric], expected["difference"]["a"][metric])


def test_a_test_without_pairs_and_a_large_selection_say_why() -> None:
    nothing = Rows(REFERENCE, {"a": np.full(N, np.nan)}, np.arange(N), Manner())
    assert summarise(nothing, "a")["n"] == 0
    n = MANY + 1
    many = Rows(np.linspace(10, 40, n), {"a": np.linspace(11, 40, n)}, np.arange(n), Manner())
    median = summarise(many, "a", lines=False)["median_ae"]
    assert median["low"] is None
    assert "more than" in median["reason"]
