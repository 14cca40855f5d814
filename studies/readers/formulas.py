"""Cells that a spreadsheet would take for a formula, and the apostrophe that keeps them text.

A cell such as `=HYPERLINK(...)` in a CSV that Calliper wrote would be run by the spreadsheet that opens it. A leading
apostrophe makes it text; the readers take that apostrophe away again, so that an exported file can be mended and read
back with nothing changed. A cell that already has apostrophes before such a sign gets one more, so that
`strip_guard(guard(x)) == x` for every text.
"""

from __future__ import annotations

import re

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# The signs that spreadsheets act upon at the start of a cell (OWASP, "CSV injection").
_SIGNS = r"[=+\-@\t\r\n]"
_GUARDED = re.compile(rf"'+{_SIGNS}")
_RISKY = re.compile(rf"'*{_SIGNS}")
_PLAIN_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")


def guard(text: str) -> str:
    """`text` with a leading apostrophe if a spreadsheet would take it for a formula. Plain numbers stay as they are."""
    if _RISKY.match(text) and not _PLAIN_NUMBER.fullmatch(text):
        return "'" + text
    return text


def strip_guard(text: str) -> str:
    """Undoes `guard`."""
    return text[1:] if _GUARDED.match(text) else text


def guard_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy of `frame` that is safe to write as CSV: `guard` applied to every text, column names included.

    Numbers, dates and missing values are left alone. Write the result with `index=False` (an index is not looked at).
    """
    result = frame.copy()
    for position in range(result.shape[1]):
        column = result.iloc[:, position]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(object)
        if isinstance(column.dtype, pd.StringDtype) or column.dtype == object:
            risky = column.map(lambda value: isinstance(value, str) and guard(value) is not value).astype(bool)
            if risky.any():
                column = column.astype(object)
                column[risky] = column[risky].map(guard)
            result.isetitem(position, column)
    result.columns = [guard(name) if isinstance(name, str) else name for name in result.columns]
    return result


def strip_guards(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """`strip_guard` on a whole text column."""
    if not pc.any(pc.starts_with(column, "'")).as_py():
        return column
    return pc.replace_substring_regex(column, rf"\A'('*{_SIGNS})", r"\1")
