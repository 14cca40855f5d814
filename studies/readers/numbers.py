"""Text to numbers, without guessing: what is not plainly a number is reported."""

from __future__ import annotations

import numbers
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from studies.readers.values import is_text, text_array

# A dot (comma) may group thousands only where it cannot be a decimal mark: before a decimal comma (dot), or twice.
_NUMBER = {
    ".": r"\A[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
    r"|[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]*|[0-9]{1,3}(?:,[0-9]{3}){2,})\z",
    ",": r"\A[+-]?(?:(?:[0-9]+,?[0-9]*|,[0-9]+)(?:[eE][+-]?[0-9]+)?"
    r"|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]*|[0-9]{1,3}(?:\.[0-9]{3}){2,})\z",
}
_MINUS_SIGN = "\u2212"
_OTHER = {".": ",", ",": "."}


def parse_numbers(series: pd.Series, decimal: str = ".") -> tuple[pd.Series, pd.Series]:
    """Numbers of a column, and which values are none.

    series: text (dtype str), numbers, or a mixture of both (dtype object, as Excel gives). decimal: "." or ",".
    Returns (float64, bool bad), both indexed like `series`. Missing values and blank text are NaN and not bad. Bad is
    everything that is no finite number: "NaN", "inf", "1e999", "12,5" when the decimal mark is ".", true and false,
    dates. Thousands are understood only where they cannot be mistaken ("1.234,5", "1,234,567"); "1,234" is bad.
    """
    if decimal not in _NUMBER:
        raise ValueError(f"decimal must be '.' or ',', not {decimal!r}")
    if pd.api.types.is_bool_dtype(series.dtype):
        values, bad = np.full(len(series), np.nan), series.notna().to_numpy(dtype=bool)
    elif pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_complex_dtype(series.dtype):
        values, bad = _finite(series.to_numpy(dtype=np.float64, na_value=np.nan), series.notna().to_numpy(dtype=bool))
    elif is_text(series):
        values, bad = _parse_text(text_array(series), decimal)
    else:
        values, bad = _parse_mixture(series, decimal)
    return (
        pd.Series(values, index=series.index, name=series.name, dtype=np.float64),
        pd.Series(bad, index=series.index, name=series.name, dtype=bool),
    )


def explain_number(value: object, decimal: str = ".") -> str:
    """Why `parse_numbers` calls a value bad, as the end of a sentence that begins with the value."""
    if not isinstance(value, str):
        return "is a date, not a number" if hasattr(value, "year") else "is not a number"
    text = value.strip()
    other = _OTHER[decimal]
    if re.search(_python(_NUMBER[decimal]), text):
        return "is too large to be a number"
    if re.search(_python(_NUMBER[other]), text):
        if re.fullmatch(rf"[+-]?[0-9]{{1,3}}[{other}][0-9]{{3}}", text):
            return f"may be thousands or a decimal number: '{other}' is not the decimal mark here ('{decimal}' is)"
        return f"is written with the decimal mark '{other}', but '{decimal}' is the decimal mark of this file"
    if re.fullmatch(r"[<>≤≥]=?\s*[+-]?[0-9.,]+", text):
        return "is a limit, not a number"
    if re.match(r"[+-]?[0-9.,]+\s*[A-Za-z%°]", text):
        return "has a unit or other text after the number"
    return "is not a number"


def _python(pattern: str) -> str:
    """The same pattern for Python's `re`, which writes the end of the text as \\Z."""
    return pattern.replace(r"\z", r"\Z")


def _finite(values: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bad = present & ~np.isfinite(values)
    return np.where(bad, np.nan, values), bad


def _parse_text(text: pa.ChunkedArray, decimal: str) -> tuple[np.ndarray, np.ndarray]:
    present = pc.is_valid(text).to_numpy(zero_copy_only=False)
    if decimal == ".":
        try:  # the usual column: nothing but plain numbers
            return _finite(_to_float(text), present)
        except pa.ArrowInvalid:
            pass
    text = pc.utf8_trim_whitespace(text)
    present &= ~pc.fill_null(pc.equal(text, ""), True).to_numpy(zero_copy_only=False)
    plain = pc.replace_substring(text, _MINUS_SIGN, "-")
    plain = pc.if_else(pc.match_substring_regex(plain, _NUMBER[decimal]), plain, pa.scalar(None, text.type))
    plain = pc.utf8_ltrim(pc.replace_substring(plain, _OTHER[decimal], ""), "+")
    values = _to_float(pc.replace_substring(plain, ",", "."))
    return _finite(values, present)


def _to_float(text: pa.ChunkedArray) -> np.ndarray:
    return pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False)


def _parse_mixture(series: pd.Series, decimal: str) -> tuple[np.ndarray, np.ndarray]:
    cells = series.to_numpy(dtype=object)
    values = np.full(len(cells), np.nan)
    missing = pd.isna(cells)
    texts = np.fromiter((isinstance(cell, str) for cell in cells), dtype=bool, count=len(cells))
    # Decimal is registered as Number but not as Real; bool is an int, but "true" is no measurement.
    plain = np.fromiter(
        (isinstance(cell, numbers.Number) and not isinstance(cell, (bool, np.bool_, complex)) for cell in cells),
        dtype=bool,
        count=len(cells),
    )
    plain &= ~missing
    values[plain] = cells[plain].astype(np.float64)
    values, bad = _finite(values, plain)
    bad |= ~missing & ~plain & ~texts
    if texts.any():
        array = pa.chunked_array([pa.array(cells[texts], type=pa.large_string())])
        values[texts], bad[texts] = _parse_text(array, decimal)
    return values, bad
