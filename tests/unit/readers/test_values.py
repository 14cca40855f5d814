"""Columns of any origin as text, and Python values as columns."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from studies.readers import as_text
from studies.readers.values import typed_series


def test_text_is_written_as_a_person_would():
    cells = [
        1.0,
        2.5,
        10**20,
        1e300,
        True,
        dt.datetime(2004, 3, 12),
        dt.datetime(2004, 3, 12, 5),
        dt.date(2004, 3, 12),
        "x",
        None,
        np.nan,
    ]
    result = as_text(pd.Series(cells, dtype=object))
    assert result.dtype == "str"
    assert result.tolist()[:9] == [
        "1", "2.5", "100000000000000000000", "1e+300", "True", "2004-03-12", "2004-03-12T05:00:00", "2004-03-12", "x",
    ]  # fmt: skip
    assert result.isna().tolist() == [False] * 9 + [True, True]


@pytest.mark.parametrize(
    ("series", "texts"),
    [
        (pd.Series([1.0, 83732.0, np.nan]), ["1", "83732", None]),
        (pd.Series([1, 2]), ["1", "2"]),
        (pd.Series([1, None], dtype="Int64"), ["1", None]),
        (pd.Series([123456789012345678, None], dtype="Int64"), ["123456789012345678", None]),
        (pd.Series([True, False]), ["True", "False"]),
        (pd.Series(["a", None], dtype="str"), ["a", None]),
        (pd.Series(pd.to_datetime(["2004-03-12", None])), ["2004-03-12", None]),
        (pd.Series([0.1 + 0.2]), ["0.30000000000000004"]),
    ],
)
def test_typed_columns_as_text(series, texts):
    assert [None if pd.isna(text) else text for text in as_text(series)] == texts


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["a", None], "str"),
        ([1, 2], "int64"),
        ([1, None], "Int64"),
        ([1, 2.5], "float64"),
        ([2.5, None], "float64"),
        ([dt.datetime(2004, 3, 12), None], "datetime64[us]"),
        ([1, "a"], "object"),
        ([True, None], "object"),
        ([None], "object"),
        ([2**63, None], "object"),
        ([2**53 + 1, 0.5], "object"),
    ],
)
def test_a_column_is_as_narrow_as_its_values_allow(values, dtype):
    series = typed_series(values)
    assert series.dtype == dtype
    assert [None if pd.isna(value) else value for value in series] == values
