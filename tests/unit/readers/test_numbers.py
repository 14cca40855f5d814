"""Text to numbers: what is a number, what is bad, and nothing in between."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.readers import explain_number, parse_numbers

modest = settings(deadline=None, max_examples=60)


def parsed(values, decimal=".", dtype="str"):
    numbers, bad = parse_numbers(pd.Series(values, dtype=dtype), decimal)
    assert numbers.dtype == np.float64
    assert bad.dtype == bool
    assert numbers[bad].isna().all()
    return [None if np.isnan(number) else number for number in numbers], bad.tolist()


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1.0), ("+2.5", 2.5), ("-3e2", -300.0), (" 4 ", 4.0), (".5", 0.5), ("5.", 5.0), ("1E-3", 0.001), ("−7", -7.0),
     ("1,234.5", 1234.5), ("1,234,567", 1234567.0), ("0.1", 0.1), ("1e-999", 0.0)],)  # fmt: skip
def test_a_number_with_a_decimal_point(text, number):
    assert parsed([text]) == ([number], [False])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1.0),
        ("12,5", 12.5),
        ("-0,5", -0.5),
        (",5", 0.5),
        ("1.234,5", 1234.5),
        ("1.234.567", 1234567.0),
        ("1,5e3", 1500.0),
    ],
)
def test_a_number_with_a_decimal_comma(text, number):
    assert parsed([text], ",") == ([number], [False])


@pytest.mark.parametrize(
    "text",
    ["NaN", "nan", "inf", "-Infinity", "1e999", "12,5", "1,234", "1 234", "1_000", "0x10", "１２", "12kg", "<5",
     "1.2.3", "-", ".", "e5", "true", "--1", "1,23,456.7", "N/A", "#DIV/0!"],)  # fmt: skip
def test_what_is_no_finite_number_is_bad(text):
    assert parsed([text]) == ([None], [True])
    # The same with good neighbours, which must not suffer.
    assert parsed(["1", text, "2"]) == ([1.0, None, 2.0], [False, True, False])


@pytest.mark.parametrize("text", ["12.5", "1.234", "1,234,5", "NaN", "1.23,4"])
def test_what_is_no_number_with_a_decimal_comma_is_bad(text):
    assert parsed([text], ",") == ([None], [True])


def test_missing_and_blank_are_missing_and_not_bad():
    assert parsed([None, "", "  ", "1"]) == ([None, None, None, 1.0], [False] * 4)
    assert parsed([None, None]) == ([None, None], [False, False])
    assert parsed([], ",") == ([], [])


def test_a_mixture_as_excel_gives_it():
    cells = [1, 2.5, "3.5", "x", None, True, np.inf, dt.datetime(2020, 1, 1), Decimal("4.5"), float("nan"), "nan"]
    numbers, bad = parsed(cells, dtype=object)
    assert numbers == [1.0, 2.5, 3.5, None, None, None, None, None, 4.5, None, None]
    assert bad == [False, False, False, True, False, True, True, True, False, False, True]


def test_typed_columns():
    assert parsed([1, None, 3], dtype="Int64") == ([1.0, None, 3.0], [False] * 3)
    assert parsed([1.5, np.inf], dtype="float64") == ([1.5, None], [False, True])
    assert parsed([True, False], dtype="bool") == ([None, None], [True, True])
    assert parsed([dt.datetime(2020, 1, 1), None], dtype="datetime64[us]") == ([None, None], [True, False])


def test_the_index_and_name_are_kept():
    numbers, bad = parse_numbers(pd.Series(["1", "x"], index=[7, 9], name="age", dtype="str"))
    assert numbers.index.tolist() == bad.index.tolist() == [7, 9]
    assert numbers.name == "age"


def test_another_decimal_mark_is_refused():
    with pytest.raises(ValueError, match="decimal"):
        parse_numbers(pd.Series(["1"]), ";")


@pytest.mark.parametrize(
    ("value", "decimal", "reason"),
    [("12,5", ".", "decimal mark ','"), ("1,234", ".", "thousands or a decimal number"), ("<5", ".", "a limit"),
     ("12 kg", ".", "a unit"), ("1e999", ".", "too large"), ("abc", ".", "not a number"),
     ("12.5", ",", "decimal mark '.'"),
     (dt.datetime(2020, 1, 1), ".", "a date")],)  # fmt: skip
def test_the_reason_names_the_cause(value, decimal, reason):
    assert reason in explain_number(value, decimal)


@modest
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20), st.sampled_from([".", ","]))
def test_every_float_is_read_back_exactly(values, decimal):
    texts = [repr(value).replace(".", decimal) for value in values]
    assert parsed(texts, decimal) == (values, [False] * len(values))


@modest
@given(st.lists(st.text(alphabet="0123456789.+-eE ", max_size=7), max_size=20))
def test_a_text_is_a_number_exactly_where_python_finds_a_finite_one(texts):
    def python(text):
        try:
            value = float(text)
        except ValueError:
            return None
        return value if np.isfinite(value) else None

    numbers, bad = parsed(texts)
    assert numbers == [python(text) for text in texts]
    assert bad == [python(text) is None and text.strip() != "" for text in texts]
