"""Formulas in exported cells are made harmless, and nothing is changed on the way back."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.readers import guard_formulas, open_sources
from studies.readers.formulas import guard, strip_guard

modest = settings(deadline=None, max_examples=100)
_RISKY_TEXT = st.text(alphabet="'=+-@\t\r\n1.,eE a\"", max_size=6)


@pytest.mark.parametrize(
    "text", ["=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=1", "\r=1", "-", "=", "'=1", "''+x", "-1-2", "+1e"]
)
def test_formulas_get_an_apostrophe(text):
    assert guard(text) == "'" + text


@pytest.mark.parametrize("text", ["", "a", "1", "-1", "+1.5", "-1,5", "-.5e-3", "'quoted'", "it's", "a=b", " =1"])
def test_harmless_text_stays(text):
    assert guard(text) == text


@modest
@given(st.one_of(st.text(), _RISKY_TEXT))
def test_the_guard_can_be_undone_exactly(text):
    guarded = guard(text)
    assert strip_guard(guarded) == text
    assert guard(guarded) == guarded or guarded.startswith("'")


def test_only_text_is_touched():
    frame = pd.DataFrame(
        {
            "=name": pd.Series(["=1", "a", None], dtype="str"),
            "mixed": pd.Series(["=1", -5, None], dtype=object),
            "number": [-1.0, np.nan, 2.0],
            "kind": pd.Categorical(["=x", "y", None]),
            "when": pd.to_datetime(["2004-01-01", None, "2005-01-01"]),
        }
    )
    before = frame.copy()
    result = guard_formulas(frame)
    assert list(result.columns) == ["'=name", "mixed", "number", "kind", "when"]
    assert result["'=name"].tolist()[:2] == ["'=1", "a"]
    assert pd.isna(result["'=name"].iloc[2])
    assert result["mixed"].tolist() == ["'=1", -5, None]
    assert result["kind"].tolist()[:2] == ["'=x", "y"]
    pd.testing.assert_series_equal(result["number"], frame["number"])
    pd.testing.assert_series_equal(result["when"], frame["when"])
    pd.testing.assert_frame_equal(frame, before)


def test_repeated_column_names_are_no_obstacle():
    frame = pd.DataFrame([["=1", "=2"]], columns=["a", "a"])
    assert guard_formulas(frame).iloc[0].tolist() == ["'=1", "'=2"]


@modest
@given(st.lists(st.tuples(_RISKY_TEXT, _RISKY_TEXT), min_size=1, max_size=5))
def test_a_table_written_and_read_back_is_the_same(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("guard") / "quarantine.csv"
    frame = pd.DataFrame([("x", *row) for row in rows], columns=["key", "=first", "second"])
    guard_formulas(frame).to_csv(path, index=False, quoting=csv.QUOTE_ALL)
    [table] = open_sources([path])
    result = pd.concat(table.chunks())
    assert table.columns == ["key", "=first", "second"]
    assert result.fillna("").values.tolist() == frame.values.tolist()
    assert table.malformed == []
