"""Filters and their place in the address."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.filters import Filters, address
from studies.errors import UsageError

VALUES = st.lists(st.text(min_size=1, max_size=8), max_size=3, unique=True).map(tuple)
AGES = st.one_of(st.none(), st.integers(0, 60).map(float)), st.one_of(st.none(), st.integers(61, 130).map(float))
ANY = st.builds(
    Filters, site=VALUES, sex=VALUES, ethnicity=VALUES, bmi=VALUES, phone=VALUES, age=st.tuples(*AGES),
    run=st.one_of(st.none(), st.integers(1, 2**31 - 1)),
)  # fmt: skip


@given(ANY)
def test_an_address_brings_the_filters_back(filters: Filters) -> None:
    query = address("/study/trial/overview", filters).partition("?")[2]
    assert Filters.from_query(parse_qs(query)) == filters


def test_no_filter_is_no_query() -> None:
    assert address("/x", Filters()) == "/x"
    assert not Filters(run=3).of_people
    assert Filters(sex=("F",)).of_people


BAD_AGES = ("x", "1-2-3", "0-900", "nan-")
BAD_RUNS = ("0", "-1", "1e3", "९", "9" * 30)


@pytest.mark.parametrize(
    "query", [*({"age": text} for text in BAD_AGES), *({"run": text} for text in BAD_RUNS)], ids=str
)
def test_what_is_not_understood_is_said(query: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"Write it as|Swap"):
        Filters.from_query(query)


def test_what_is_filtered_in_words() -> None:
    filters = Filters(sex=("F",), site=("a", "b"), age=(40, None))
    assert filters.said() == ["Site: a, b", "Sex: F", "Age: at least 40 years"]
