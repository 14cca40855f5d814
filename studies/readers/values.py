"""Small helpers for columns of mixed origin: text from CSV, typed values from Excel, Parquet and SAS."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa


def is_text(series: pd.Series) -> bool:
    """True for pandas' own text dtypes (not for object)."""
    return isinstance(series.dtype, pd.StringDtype)


def text_array(series: pd.Series) -> pa.ChunkedArray:
    """A text column as Arrow, missing values as null."""
    array = pa.array(series.array, type=pa.large_string(), from_pandas=True)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array], type=pa.large_string())


def as_text(series: pd.Series) -> pd.Series:
    """A column as text, the way a person would write it; missing stays missing.

    Whole numbers lose ".0" (a SAS identifier 1.0 is "1"), others are written with as many digits as needed, dates as
    ISO 8601 without a time at midnight, true and false as "True" and "False". The result has dtype str.
    """
    if is_text(series):
        return series.astype("str")
    cells = [None if pd.isna(cell) else _written(cell) for cell in series.to_numpy(dtype=object, na_value=None)]
    return pd.Series(cells, index=series.index, name=series.name, dtype="str")


def typed_series(values: Sequence[object]) -> pd.Series:
    """Python values as the narrowest column that holds them all unchanged; a mixture stays object."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pd.Series(values, dtype=object)
    if kinds == {str}:
        return pd.Series(values, dtype="str")
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pd.Series(values, dtype="int64" if None not in values else "Int64")
    if kinds <= {int, float} and all(value is None or abs(value) <= 2**53 for value in values if type(value) is int):
        return pd.Series([np.nan if value is None else float(value) for value in values], dtype="float64")
    if kinds == {dt.datetime} and all(value is None or value.tzinfo is None for value in values):
        return pd.Series(values, dtype="datetime64[us]")
    return pd.Series(values, dtype=object)


def _written(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    if isinstance(value, dt.datetime):  # pandas' Timestamp is one
        midnight = value.time() == dt.time() and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat()
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return str(value)
