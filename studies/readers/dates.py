"""Text to dates. How a column writes its dates is decided on all of its values, and never guessed.

`12/03/2004` is 12 March to most of the world and December 3rd in the United States. One value cannot tell, a whole
column usually can: `25/03/2004` fits one reading only. Where the column cannot tell either, or contradicts itself,
the values in doubt are reported as bad and a message says which `date_format` to give.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from studies.errors import PlanError
from studies.readers.values import is_text, text_array

_MINUTES = r":(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
_TIME = rf"(?:(?:T|\s+)(?P<hour>[0-9]{{1,2}}){_MINUTES}\s?(?P<half>[AaPp][Mm])?)?"
# ISO 8601 may leave out the minutes, and may name a time zone.
_ISO_TIME = rf"(?:(?:T|\s+)(?P<hour>[0-9]{{1,2}})(?:{_MINUTES})?(?:Z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?)?"
_MONTH_NAMES = (
    "January February March April May June July August September October November December".lower().split()
)  # English, whatever the locale
_MONTHS = {name: number for number, month in enumerate(_MONTH_NAMES, start=1) for name in (month, month[:3])} | {
    "sept": 9
}
# The ways of writing a date, by what decides their reading. In order of preference when two are equally common.
_FAMILIES = {
    "year first": r"(?P<year>[0-9]{4})(?P<mark1>[-/.])(?P<month>[0-9]{1,2})(?P<mark2>[-/.])(?P<day>[0-9]{1,2})",
    "dotted": r"(?P<day>[0-9]{1,2})\.(?P<month>[0-9]{1,2})\.(?P<year>[0-9]{4})",
    "month name": r"(?P<day>[0-9]{1,2})[-/ ]?(?P<name>[A-Za-z]{3,9})\.?[-/ ]?(?P<year>[0-9]{4})",
    "slashed": r"(?P<first>[0-9]{1,2})(?P<mark1>[-/])(?P<then>[0-9]{1,2})(?P<mark2>[-/])(?P<year>[0-9]{4})",
}
_PATTERNS = {
    family: rf"\A{pattern}{_ISO_TIME if family == 'year first' else _TIME}\z" for family, pattern in _FAMILIES.items()
}
_AS_STRPTIME = {
    "%Y": r"(?P<year>[0-9]{4})",
    "%y": r"(?P<short_year>[0-9]{2})",
    "%m": r"(?P<month>[0-9]{1,2})",
    "%b": r"(?P<name>[A-Za-z]{3})",
    "%B": r"(?P<name>[A-Za-z]{3,9})",
    "%d": r"(?P<day>[0-9]{1,2})",
    "%H": r"(?P<hour>[0-9]{1,2})",
    "%M": r"(?P<minute>[0-9]{1,2})",
    "%S": r"(?P<second>[0-9]{1,2})",
    "%f": r"(?P<fraction>[0-9]{1,6})",
}
_FORMATS = {"year first": "%Y-%m-%d", "dotted": "%d.%m.%Y", "month name": "%d-%b-%Y"}
_DAY_FIRST, _MONTH_FIRST = "%d/%m/%Y", "%m/%d/%Y"
_EPOCH_YEAR = 1970


class DateParser:
    """Decides how a column writes its dates (`observe`, any number of times), then reads them (`parse`).

    date_format: a strptime format, if the user gave one; then nothing is decided, and only values in it are good.

    Read without a format: ISO 8601 dates and date-times; and one convention out of d.m.Y, d/m/Y, m/d/Y, Y/m/d and
    12-Mar-2004, each with or without a time of day. A time zone is left aside: the clock on the wall counts, as it
    does for values without a zone. Raises PlanError for a date_format without any % directive.
    """

    def __init__(self, date_format: str | None = None):
        if date_format is not None and "%" not in date_format:
            raise PlanError(
                f"the date format {date_format!r} has no % directive.",
                remedy="Write day, month and year as %d, %m and %Y, for example '%d/%m/%Y'.",
            )
        self.date_format = date_format
        self._count: Counter[str] = Counter()
        self._example: dict[str, str] = {}

    def observe(self, series: pd.Series) -> None:
        """Takes note of how the dates of (a part of) the column are written."""
        if self.date_format is None:
            for text in _texts(series):
                quick = _quick_iso(text)
                if quick is None:
                    self._observe(pc.utf8_trim_whitespace(text))
                else:
                    self._note("year first", text, ~np.isnat(quick))

    def parse(self, series: pd.Series) -> tuple[pd.Series, pd.Series]:
        """Returns (datetime64[us], bool bad), indexed like `series`. Missing and blank are NaT and not bad."""
        days = np.full(len(series), np.datetime64("NaT"), dtype="datetime64[us]")
        bad = np.zeros(len(series), dtype=bool)
        if pd.api.types.is_datetime64_any_dtype(series.dtype):
            days = _wall_clock(series).to_numpy(dtype="datetime64[us]")
        elif is_text(series):
            days, bad = self._parse(text_array(series))
        elif not series.isna().all():
            days, bad = self._parse_mixture(series.to_numpy(dtype=object, na_value=None))
        return (
            pd.Series(days, index=series.index, name=series.name, dtype="datetime64[us]"),
            pd.Series(bad, index=series.index, name=series.name, dtype=bool),
        )

    def explain(self, value: object) -> str:
        """Why `parse` calls a value bad, as the end of a sentence that begins with the value."""
        reason = explain_date(value, self.date_format)
        if reason != _OTHER_WAY:
            return reason
        if self._family() == "slashed" and self._order() is None:
            return "can be read both as day/month and as month/day"
        return f"is not written as the other dates of this column ({self.convention})"

    @property
    def convention(self) -> str | None:
        """The strptime format of the dates (without the time of day); None when the column does not tell."""
        if self.date_format is not None:
            return self.date_format
        family = self._family()
        return self._order() if family == "slashed" else _FORMATS.get(family) if family else None

    @property
    def message(self) -> str | None:
        """What stands in the way of reading the column without doubt, and what to do; None if nothing does."""
        if self.date_format is not None:
            return None
        sentences = []
        written = [family for family in _FAMILIES if self._count[family]]
        if len(written) > 1:
            ways = ", ".join(f"'{self._example[family]}' ({self._count[family]:,})" for family in written)
            kept = self._family()
            keeps = self._order() if kept == "slashed" else _FORMATS[kept]
            sentences.append(
                f"The dates are written in {len(written)} ways: {ways}. "
                + (f"Only those like {keeps} were read. " if keeps else "")
                + "Write them all in one way, ISO 8601 (2004-03-12) if you can."
            )
        if self._count["slashed"] and self._order() is None:
            if self._count["day first"] and self._count["month first"]:
                sentences.append(
                    f"Some dates have the day first ('{self._example['day first']}'), others the month "
                    f"('{self._example['month first']}'). Set date_format to '{_DAY_FIRST}' or '{_MONTH_FIRST}', so "
                    "that the others are reported, or correct them."
                )
            else:
                sentences.append(
                    f"Every date can be read both as day/month and as month/day (such as '{self._example['either']}'). "
                    f"Set date_format to '{_DAY_FIRST}' or '{_MONTH_FIRST}'."
                )
        if self._count["partial"]:
            n = self._count["partial"]
            sentences.append(
                f"{n:,} {'value is a partial date' if n == 1 else 'values are partial dates'} such as "
                f"'{self._example['partial']}': without year, month and day a value is not used as a date."
            )
        return " ".join(sentences) or None

    def _observe(self, text: pa.Array) -> None:
        rest = text
        for family in _FAMILIES:
            if len(rest) == 0:
                return
            hit = pc.fill_null(pc.match_substring_regex(rest, _PATTERNS[family]), False)
            found = rest.filter(hit)
            if len(found):
                if family == "slashed":
                    self._observe_slashed(found)
                else:
                    self._note(family, found, ~np.isnat(_read(found, family)))
                rest = rest.filter(pc.invert(hit))
        rest = rest.drop_null()
        self._note("partial", rest, _match(rest, _PARTIAL.pattern))

    def _observe_slashed(self, text: pa.Array) -> None:
        by_day, by_month = _read(text, "slashed", _DAY_FIRST), _read(text, "slashed", _MONTH_FIRST)
        is_day, is_month = ~np.isnat(by_day), ~np.isnat(by_month)
        self._note("slashed", text, is_day | is_month)
        self._note("day first", text, is_day & ~is_month)
        self._note("month first", text, is_month & ~is_day)
        self._note("either", text, is_day & is_month & (by_day != by_month))

    def _note(self, what: str, text: pa.Array, mask: np.ndarray) -> None:
        n = int(mask.sum())
        if n:
            self._count[what] += n
            self._example.setdefault(what, text[int(np.argmax(mask))].as_py())

    def _family(self) -> str | None:
        seen = [family for family in _FAMILIES if self._count[family]]
        return max(seen, key=lambda family: self._count[family]) if seen else None

    def _order(self) -> str | None:
        """Day or month first in 12/03/2004; None when the column does not tell."""
        day, month = self._count["day first"], self._count["month first"]
        if (day and month) or (not day and not month and self._count["either"]):
            return None
        return _MONTH_FIRST if month else _DAY_FIRST

    def _parse(self, text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        family = self._family()
        if self.date_format is None and family == "year first":
            quick = _quick_iso(text)
            if quick is not None:
                return quick, np.zeros(len(text), dtype=bool)
        text = pc.utf8_trim_whitespace(text)
        present = pc.fill_null(pc.not_equal(text, ""), False).to_numpy(zero_copy_only=False)
        if self.date_format is not None:
            days = _read_format(text, self.date_format)
        elif family is None:
            days = np.full(len(text), np.datetime64("NaT"), dtype="datetime64[us]")
        elif family == "slashed" and self._order() is None:
            # Only a date that is the same in both readings, such as 03/03/2004, is beyond doubt.
            days, other = _read(text, family, _DAY_FIRST), _read(text, family, _MONTH_FIRST)
            days = np.where(days == other, days, np.datetime64("NaT", "us"))
        else:
            days = _read(text, family, self._order())
        return days, present & np.isnat(days)

    def _parse_mixture(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        days = np.full(len(cells), np.datetime64("NaT"), dtype="datetime64[us]")
        bad = np.zeros(len(cells), dtype=bool)
        texts = []
        for place, cell in enumerate(cells):
            if isinstance(cell, str):
                texts.append(place)
            elif isinstance(cell, dt.date) and not pd.isna(cell):  # datetime and Timestamp are dates, too
                whole = cell if isinstance(cell, dt.datetime) else dt.datetime.combine(cell, dt.time())
                days[place] = np.datetime64(whole.replace(tzinfo=None), "us")
            else:
                bad[place] = not pd.isna(cell)
        if texts:
            array = pa.array(cells[texts], type=pa.large_string())
            days[texts], bad[texts] = self._parse(array)
        return days, bad


def parse_dates(series: pd.Series, date_format: str | None = None) -> tuple[pd.Series, pd.Series, str | None]:
    """Dates of a whole column: (datetime64[us], bool bad, message). See `DateParser`."""
    parser = DateParser(date_format)
    parser.observe(series)
    dates, bad = parser.parse(series)
    return dates, bad, parser.message


_OTHER_WAY = "is not written as the other dates of this column, or can be read in two ways"
# ISO 8601 dates with parts left out from the right, or unknown in the middle ("2003---15"), as SDTM has them.
_PARTIAL = re.compile(r"^[0-9]{4}(-([0-9]{2}|-)(-([0-9]{2}|-))?(T.*)?)?$|^-{1,2}[0-9]{2}|^[0-9]{1,2}[/.][0-9]{4}$")


def explain_date(value: object, date_format: str | None = None) -> str:
    """Why `DateParser` calls a value bad, as the end of a sentence that begins with the value."""
    if not isinstance(value, str):
        return "is not a date"
    text = value.strip()
    if date_format is not None:
        return f"is not a date written as {date_format}"
    if any(re.fullmatch(pattern.replace(r"\z", ""), text) for pattern in _PATTERNS.values()):
        readings = [_read(pa.array([text]), family) for family in _FAMILIES if family != "slashed"]
        readings += [_read(pa.array([text]), "slashed", order) for order in (_DAY_FIRST, _MONTH_FIRST)]
        if all(np.isnat(reading[0]) for reading in readings):
            return "is no day of the calendar, or no time of the day"
        return _OTHER_WAY
    if _PARTIAL.search(text):
        return "is a partial date: year, month and day are needed"
    if re.match(r"[0-9]{1,2}[-/. ]([0-9]{1,2}|[A-Za-z]{3})[-/. ][0-9]{2}(?![0-9])", text):
        return "has a year of two digits"
    if re.fullmatch(r"[0-9]{5}(\.[0-9]+)?", text):
        return "is a number (a spreadsheet's day count?), not a date"
    return "is not a date"


def _texts(series: pd.Series) -> list[pa.Array]:
    """The text of a column as plain Arrow arrays; dates and numbers in it are left out."""
    if is_text(series):
        return text_array(series).chunks
    if series.dtype == object:
        return [pa.array([cell for cell in series if isinstance(cell, str)], type=pa.large_string())]
    return []


def _match(text: pa.Array, pattern: str) -> np.ndarray:
    return pc.fill_null(pc.match_substring_regex(text, pattern), False).to_numpy(zero_copy_only=False)


def _quick_iso(text: pa.ChunkedArray | pa.Array) -> np.ndarray | None:
    """The usual column, all of it valid and plain YYYY-MM-DD (with or without a time); None for any other."""
    try:
        return pc.cast(text, pa.timestamp("us")).to_numpy(zero_copy_only=False).astype("datetime64[us]")
    except pa.ArrowInvalid:
        return None


def _read(text: pa.ChunkedArray | pa.Array, family: str, order: str | None = None) -> np.ndarray:
    """datetime64[us] of every value that is written in a family's way and is in the calendar; NaT for the others."""
    return _read_pattern(text, _PATTERNS[family], order)


def _read_pattern(text: pa.ChunkedArray | pa.Array, pattern: str, order: str | None = None) -> np.ndarray:
    """The same for a pattern with named groups: year (or short_year), month (or name), day, hour, minute ..."""
    if isinstance(text, pa.ChunkedArray):
        text = text.combine_chunks()
    parts = pc.extract_regex(text, pattern)
    names = {parts.type.field(place).name for place in range(parts.type.num_fields)}
    found = pc.is_valid(parts).to_numpy(zero_copy_only=False)

    def number(name: str, default: int = 0) -> np.ndarray:
        if name not in names:
            return np.full(len(text), default)
        digits = pc.struct_field(parts, name)
        digits = pc.if_else(pc.equal(digits, ""), None, digits)
        return pc.fill_null(pc.cast(digits, pa.int64()), default).to_numpy(zero_copy_only=False)

    if "first" in names:
        day, month = ("first", "then") if order == _DAY_FIRST else ("then", "first")
        days, months = number(day), number(month)
    else:
        days, months = number("day"), number("month")
    if "name" in names:
        written = pc.dictionary_encode(pc.fill_null(pc.utf8_lower(pc.struct_field(parts, "name")), ""))
        of_name = np.array([_MONTHS.get(name, 0) for name in written.dictionary.to_pylist()] or [0])
        months = of_name[written.indices.to_numpy(zero_copy_only=False)]
    if "mark1" in names:
        same = pc.equal(pc.struct_field(parts, "mark1"), pc.struct_field(parts, "mark2"))
        found &= pc.fill_null(same, False).to_numpy(zero_copy_only=False)
    if "short_year" in names:  # as POSIX: 69-99 are 1969-1999
        years = number("short_year")
        years = years + np.where(years >= 69, 1900, 2000)
    else:
        years = number("year")

    hours, minutes, seconds, micros = number("hour"), number("minute"), number("second"), 0
    if "fraction" in names:
        digits = pc.utf8_slice_codeunits(pc.utf8_rpad(pc.struct_field(parts, "fraction"), 6, "0"), 0, 6)
        micros = pc.fill_null(pc.cast(digits, pa.int64()), 0).to_numpy(zero_copy_only=False)
    if "half" in names:
        half = pc.fill_null(pc.utf8_lower(pc.struct_field(parts, "half")), "")
        after_noon = pc.equal(half, "pm").to_numpy(zero_copy_only=False)
        twelve_hours = after_noon | pc.equal(half, "am").to_numpy(zero_copy_only=False)
        found &= ~twelve_hours | ((hours >= 1) & (hours <= 12))
        hours = np.where(twelve_hours, hours % 12 + 12 * after_noon, hours)

    found &= (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31) & (years >= 1)
    found &= (hours <= 23) & (minutes <= 59) & (seconds <= 59)
    month = ((years - _EPOCH_YEAR) * 12 + months - 1).astype("datetime64[M]")
    day = month.astype("datetime64[D]") + (days - 1)
    found &= day.astype("datetime64[M]") == month  # 30 February would be in March
    clock = (((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros).astype("timedelta64[us]")
    return np.where(found, day.astype("datetime64[us]") + clock, np.datetime64("NaT", "us"))


def _read_format(text: pa.ChunkedArray | pa.Array, date_format: str) -> np.ndarray:
    """datetime64[us] by a strptime format; NaT for what does not fit."""
    pattern = _strptime_pattern(date_format)
    if pattern is not None:
        return _read_pattern(text, pattern)
    codes = pc.dictionary_encode(text)
    if isinstance(codes, pa.ChunkedArray):
        codes = codes.unify_dictionaries().combine_chunks()
    moments = [_strptime(value, date_format) for value in codes.dictionary.to_pylist()]
    moments = np.array([*moments, None], dtype="datetime64[us]")
    return moments[pc.fill_null(codes.indices, -1).to_numpy(zero_copy_only=False)]


def _strptime_pattern(date_format: str) -> str | None:
    """The pattern of a format of common directives, for whole columns at once; None for other formats."""
    pieces, directives = [], []
    for piece in re.findall(r"%.?|\s+|[^%\s]+", date_format):
        if piece.startswith("%"):
            if piece not in _AS_STRPTIME:
                return None
            directives.append(piece)
            pieces.append(_AS_STRPTIME[piece])
        else:
            pieces.append(r"\s+" if piece.isspace() else "(?i:" + re.escape(piece) + ")")
    kinds = [re.search(r"<(\w+)>", _AS_STRPTIME[directive]).group(1).replace("short_", "") for directive in directives]
    kinds = ["month" if kind == "name" else kind for kind in kinds]
    whole = {"year", "month", "day"} <= set(kinds) and len(kinds) == len(set(kinds))
    return r"\A" + "".join(pieces) + r"\z" if whole else None


def _strptime(value: str, date_format: str) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(value, date_format).replace(tzinfo=None)
    except (ValueError, re.error):
        return None


def _wall_clock(series: pd.Series) -> pd.Series:
    return series.dt.tz_localize(None) if getattr(series.dtype, "tz", None) is not None else series
