"""Numbers become text in one place, and the text follows the number."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import figures, ingest_report, wording


@pytest.mark.parametrize("module", [wording, figures, ingest_report])
def test_the_examples_in_the_docstrings_are_true(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 4))
def test_a_number_never_has_a_hyphen_a_negative_zero_or_a_word(value, places):
    text = wording.number(value, places)
    assert "-" not in text
    assert "nan" not in text
    assert "inf" not in text
    if text.startswith("−"):
        assert any(digit in "123456789" for digit in text)


@given(st.floats(0, 1))
def test_a_p_value_keeps_its_side_of_five_percent(p):
    text = wording.p_text(p)
    if text[0] in "<>":
        assert (p < 0.001) if text[0] == "<" else (p > 0.999)
    else:
        assert (float(text) < 0.05) == (p < 0.05)


def test_a_p_value_is_never_zero():
    assert wording.p_value(0.0) == "p < 0.001"
    assert wording.p_value(None) == "p not computed"


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.2, 1.0, "over-reads DXA"), (-1.0, -0.2, "under-reads DXA"), (-0.2, 1.0, "no clear over- or under-reading")],
)
def test_the_direction_of_a_bias_is_claimed_only_when_the_interval_leaves_out_zero(low, high, words):
    item = {"estimate": (low + high) / 2, "low": low, "high": high}
    assert words in wording.direction(item, "BIA", "DXA")


def test_a_bias_without_interval_claims_no_more_than_the_data():
    assert wording.direction({"estimate": 0.3, "low": None, "high": None}, "BIA", "DXA").startswith(
        "BIA reads above DXA on average in these data"
    )
    assert "could not be computed" in wording.direction({"estimate": None}, "BIA", "DXA")


@pytest.mark.parametrize(
    ("item", "null", "words"),
    [
        ({"estimate": 0.5, "low": 0.4, "high": 0.6}, 1.0, "The scan has a smaller error than BIA"),
        ({"estimate": 1.5, "low": 1.2, "high": 1.9}, 1.0, "The scan has a larger error than BIA"),
        ({"estimate": 0.9, "low": 0.7, "high": 1.1}, 1.0, "do not show a difference in error"),
        ({"estimate": -1.0, "low": -1.5, "high": -0.5}, 0.0, "The scan has a smaller error than BIA"),
        ({"estimate": None}, 1.0, "could not be compared"),
    ],
)
def test_the_winner_of_a_comparison_follows_its_interval(item, null, words):
    assert words in wording.versus(item, "the scan", "BIA", null)


def test_an_interval_alone_makes_no_winner_that_the_adjustment_takes_away():
    apart = {"estimate": 0.5, "low": 0.4, "high": 0.6}
    open_ = {"estimate": 0.9, "low": 0.7, "high": 1.1}
    assert wording.versus(apart, "the scan", "BIA", 1.0, p_adjusted=0.01) == "The scan has a smaller error than BIA"
    lost = wording.versus(apart, "the scan", "BIA", 1.0, p_adjusted=0.06)
    assert lost.startswith("By its interval alone the scan has a smaller error than BIA, but the test, adjusted")
    larger = {"estimate": 1.2, "low": 0.3, "high": 2.0}
    assert "alone the scan has a larger error" in wording.versus(larger, "the scan", "BIA", 0.0, p_adjusted=0.2)
    assert wording.versus(apart, "the scan", "BIA", 1.0, p_adjusted=0.06, level=0.9).startswith("The scan has")
    assert "do not show a difference" in wording.versus(open_, "the scan", "BIA", 1.0, p_adjusted=0.4)
    assert "stays open" in wording.versus(open_, "the scan", "BIA", 1.0, p_adjusted=0.01)


def test_the_slope_decides_what_is_said_of_proportional_bias():
    assert "rises" in wording.proportional({"estimate": 0.2, "low": 0.1, "high": 0.3}, "BIA")
    assert "falls" in wording.proportional({"estimate": -0.2, "low": -0.3, "high": -0.1}, "BIA")
    assert "do not show" in wording.proportional({"estimate": 0.2, "low": -0.1, "high": 0.5}, "BIA")


def test_rules_get_true_minus_signs_but_words_keep_their_hyphens():
    assert wording.signed_text("between -2 and 2") == "between −2 and 2"
    assert wording.signed_text("week-12 (-3.5)") == "week-12 (−3.5)"


def test_codes_become_labels_as_whole_words_only():
    names = {"bia": "BIA", "waist_cm": "waist girth"}
    assert wording.in_words("no bia; no waist_cm; bias", names) == "no BIA; no waist girth; bias"
    assert wording.in_words("nothing to do", {}) == "nothing to do"


def test_percentages_differ_in_percentage_points():
    assert wording.unit_of_differences("%") == "percentage points"
    assert wording.unit_of_differences("cm") == "cm"
