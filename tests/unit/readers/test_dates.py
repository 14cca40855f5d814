"""Text to dates: one convention for a column, decided on all of it, never guessed."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.errors import PlanError
from studies.readers import DateParser, explain_date, parse_dates

modest = settings(deadline=None, max_examples=50)


def parsed(values, date_format=None, dtype="str"):
    dates, bad, message = parse_dates(pd.Series(values, dtype=dtype), date_format)
    assert dates.dtype == "datetime64[us]"
    assert bad.dtype == bool
    assert dates[bad].isna().all()
    return [None if pd.isna(date) else date.to_pydatetime() for date in dates], bad.tolist(), message


def day(*ymd):
    return dt.datetime(*ymd)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2004-03-12", day(2004, 3, 12)),
        ("2004-03-12T10:20", day(2004, 3, 12, 10, 20)),
        ("2004-03-12 10:20:30", day(2004, 3, 12, 10, 20, 30)),
        ("2004-03-12T10:20:30.25", day(2004, 3, 12, 10, 20, 30, 250_000)),
        ("2004-03-12T10", day(2004, 3, 12, 10)),
        ("2004-03-12T10:20:30Z", day(2004, 3, 12, 10, 20, 30)),
        ("2004-03-12T10:20+05:30", day(2004, 3, 12, 10, 20)),
        ("2004/03/12", day(2004, 3, 12)),
        ("2004/3/2 9:05", day(2004, 3, 2, 9, 5)),
        ("31.12.2004", day(2004, 12, 31)),
        ("1.2.2004 10:20", day(2004, 2, 1, 10, 20)),
        ("25/03/2004", day(2004, 3, 25)),
        ("03/25/2004", day(2004, 3, 25)),
        ("25-03-2004", day(2004, 3, 25)),
        ("12-Mar-2004", day(2004, 3, 12)),
        ("12MAR2004", day(2004, 3, 12)),
        ("1 september 2004", day(2004, 9, 1)),
        ("3/25/2004 12:05 AM", day(2004, 3, 25, 0, 5)),
        ("3/25/2004 1:05:09 pm", day(2004, 3, 25, 13, 5, 9)),
        ("  2004-03-12 ", day(2004, 3, 12)),
        ("0001-01-01", day(1, 1, 1)),
        ("03/03/2004", day(2004, 3, 3)),
    ],
)
def test_a_date_that_can_be_read_in_one_way(text, date):
    assert parsed([text]) == ([date], [False], None)


@pytest.mark.parametrize(
    "text",
    ["2004-02-30", "2004-13-01", "2004-00-10", "31.04.2004", "32/01/2004", "2004-03-12T24:00", "2004-03-12T10:60",
     "now", "today", "NaT", "20040312", "38058", "12/03/04", "2004-03/12", "12-Foo-2004", "13/13/2004 1:00 PM",
     "25/03/2004 13:00 PM", "x"],)  # fmt: skip
def test_what_is_no_date_is_bad(text):
    assert parsed([text]) == ([None], [True], None)


@pytest.mark.parametrize(
    "text", ["2003-12", "2003", "2003---15", "2003-12-15T-:15", "--12-15", "12/2003", "-----T07:15"]
)
def test_partial_dates_are_bad(text):
    dates, bad, _ = parsed(["2004-03-12", text])
    assert dates == [day(2004, 3, 12), None]
    assert bad == [False, True]
    if text != "2003-12-15T-:15" and not text.startswith("-----"):
        assert "partial date" in explain_date(text)


def test_partial_dates_are_told_with_an_example():
    assert "2 values are partial dates such as '2003-12'" in parsed(["2003-12", "2004-01-01", "2003"])[2]


def test_missing_and_blank_are_missing_and_not_bad():
    assert parsed([None, "", " ", "2004-03-12"]) == ([None, None, None, day(2004, 3, 12)], [False] * 4, None)
    assert parsed([None, None]) == ([None, None], [False, False], None)
    assert parsed([]) == ([], [], None)


def test_one_decisive_date_decides_for_all():
    assert parsed(["01/02/2004", "25/03/2004"])[0] == [day(2004, 2, 1), day(2004, 3, 25)]
    assert parsed(["01/02/2004", "03/25/2004"])[0] == [day(2004, 1, 2), day(2004, 3, 25)]


def test_undecidable_dates_are_bad_unless_both_readings_agree():
    dates, bad, message = parsed(["01/02/2004", "05/05/2004"])
    assert dates == [None, day(2004, 5, 5)]
    assert bad == [True, False]
    assert "'01/02/2004'" in message
    assert "Set date_format to '%d/%m/%Y' or '%m/%d/%Y'" in message


def test_day_first_and_month_first_in_one_column_leave_all_in_doubt_bad():
    dates, bad, message = parsed(["25/03/2004", "03/25/2004", "01/02/2004", "04/04/2004"])
    assert dates == [None, None, None, day(2004, 4, 4)]
    assert bad == [True, True, True, False]
    assert "'25/03/2004'" in message
    assert "'03/25/2004'" in message


def test_a_mixture_of_conventions_keeps_the_most_common():
    dates, bad, message = parsed(["2004-03-12", "2004-03-13", "14.03.2004", "junk"])
    assert dates == [day(2004, 3, 12), day(2004, 3, 13), None, None]
    assert bad == [False, False, True, True]
    assert "written in 2 ways: '2004-03-12' (2), '14.03.2004' (1)" in message
    assert "%Y-%m-%d" in message


def test_a_format_is_obeyed_and_nothing_else_is_read():
    dates, bad, message = parsed(["01/02/2004", "25/03/2004", "03/25/2004", "2004-03-12"], "%d/%m/%Y")
    assert dates == [day(2004, 2, 1), day(2004, 3, 25), None, None]
    assert bad == [False, False, True, True]
    assert message is None


@pytest.mark.parametrize(
    ("text", "date_format", "date"),
    [
        ("040312", "%y%m%d", day(2004, 3, 12)),
        ("12 Mar 99", "%d %b %y", day(1999, 3, 12)),
        ("2004 day 72", "%Y day %j", day(2004, 3, 12)),
        ("2004-03-12 10:20:30+0100", "%Y-%m-%d %H:%M:%S%z", day(2004, 3, 12, 10, 20, 30)),
        ("March 12, 2004", "%B %d, %Y", day(2004, 3, 12)),
        ("12.03.2004 07:08:09.5", "%d.%m.%Y %H:%M:%S.%f", day(2004, 3, 12, 7, 8, 9, 500_000)),
    ],
)
def test_unusual_formats(text, date_format, date):
    assert parsed([text, "today", None], date_format) == ([date, None, None], [False, True, False], None)


def test_a_format_without_directives_is_refused_with_an_example():
    with pytest.raises(PlanError, match="%d/%m/%Y"):
        DateParser("DD/MM/YYYY")


def test_typed_values_are_taken_as_they_are():
    stamps = pd.Series(pd.to_datetime(["2004-03-12 10:20", None]).tz_localize("Europe/Berlin"))
    dates, bad, _ = parse_dates(stamps)
    assert dates[0] == pd.Timestamp("2004-03-12 10:20")
    assert bad.tolist() == [False, False]
    cells = [
        day(2004, 3, 12, 1),
        dt.date(2004, 3, 13),
        "2004-03-14",
        38058,
        None,
        pd.Timestamp("2004-03-15"),
        dt.time(1),
        pd.NaT,
    ]
    dates, bad, message = parsed(cells, dtype=object)
    assert dates == [day(2004, 3, 12, 1), day(2004, 3, 13), day(2004, 3, 14), None, None, day(2004, 3, 15), None, None]
    assert bad == [False, False, False, True, False, False, True, False]
    assert message is None
    assert parsed([38058, 38059], dtype="int64")[1] == [True, True]


def test_the_convention_is_decided_on_all_chunks():
    first, second = pd.Series(["01/02/2004"], dtype="str"), pd.Series(["25/02/2004"], dtype="str")
    parser = DateParser()
    parser.observe(first)
    assert parser.convention is None
    assert parser.parse(first)[1].tolist() == [True]
    parser.observe(second)
    assert parser.convention == "%d/%m/%Y"
    assert parser.parse(first)[0].tolist() == [pd.Timestamp(2004, 2, 1)]
    assert parser.message is None


def test_a_parser_explains_with_what_it_knows_of_the_column():
    parser = DateParser()
    parser.observe(pd.Series(["2004-03-12", "2004-03-13"], dtype="str"))
    assert "not written as the other dates of this column (%Y-%m-%d)" in parser.explain("25/03/2004")
    assert "no day of the calendar" in parser.explain("2004-02-30")
    doubtful = DateParser()
    doubtful.observe(pd.Series(["01/02/2004"], dtype="str"))
    assert "both as day/month and as month/day" in doubtful.explain("01/02/2004")
    assert DateParser("%d.%m.%Y").explain("2004-03-12") == "is not a date written as %d.%m.%Y"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("12/03/04", "two digits"),
        ("38058", "day count"),
        ("2003-12", "partial"),
        ("x", "is not a date"),
        (5, "is not a date"),
    ],
)
def test_the_reason_names_the_cause(value, reason):
    assert reason in explain_date(value)


_ANY_DAY = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0)
)
_WAYS = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d-%b-%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y-%m-%dT%H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
]


@modest
@given(st.lists(_ANY_DAY, min_size=1, max_size=15), st.sampled_from(_WAYS))
def test_a_column_in_one_way_is_read_right_or_reported_never_wrong(moments, way):
    texts = [moment.strftime(way) for moment in moments]
    truth = [dt.datetime.strptime(text, way) for text in texts]
    dates, bad, message = parsed(texts)
    assert all(date is None or date == true for date, true in zip(dates, truth, strict=True)), (texts, dates)
    assert any(bad) == (message is not None)
    if not way.endswith("/%Y"):
        assert dates == truth
    assert parsed(texts, way) == (truth, [False] * len(texts), None)


@modest
@given(st.lists(st.tuples(_ANY_DAY, st.sampled_from(_WAYS)), min_size=1, max_size=15), st.integers(1, 5))
def test_chunks_do_not_matter(values, size):
    whole = pd.Series([moment.strftime(way) for moment, way in values], dtype="str")
    parser = DateParser()
    for start in range(0, len(whole), size):
        parser.observe(whole[start : start + size])
    pieces = [parser.parse(whole[start : start + size]) for start in range(0, len(whole), size)]
    dates, bad, message = parse_dates(whole)
    pd.testing.assert_series_equal(pd.concat([piece[0] for piece in pieces]), dates)
    pd.testing.assert_series_equal(pd.concat([piece[1] for piece in pieces]), bad)
    assert parser.message == message


@modest
@given(
    st.lists(st.text(alphabet="0123456789/-. :", max_size=10), max_size=10),
    st.sampled_from(["%d/%m/%Y", "%Y-%m-%d %H:%M", "%d.%m.%y"]),
)
def test_common_formats_agree_with_strptime(texts, way):
    def python(text):
        try:
            return dt.datetime.strptime(text.strip(), way)
        except ValueError:
            return None

    dates, bad, _ = parsed(texts, way)
    assert dates == [python(text) for text in texts]
    assert bad == [python(text) is None and text.strip() != "" for text in texts]


def test_a_million_iso_dates_are_quick():
    import time

    texts = pd.Series(np.datetime_as_string(np.datetime64("2000-01-01") + np.arange(1_000_000) % 9000), dtype="str")
    start = time.process_time()
    dates, bad, _ = parse_dates(texts)
    assert time.process_time() - start < 3  # 0.05 s on an idle machine
    assert not bad.any()
    assert dates.iloc[-1] == pd.Timestamp(texts.iloc[-1])
