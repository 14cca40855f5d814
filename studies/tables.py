"""One table on disk as numbers and labels, for statistics without a registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from studies.errors import DataError, Faults, Where
from studies.readers import ReaderOptions, explain_number, open_sources, parse_numbers
from studies.readers.values import as_text
from studies.suggestions import suggestion

_FAULTS_SHOWN = 20


def read_numbers(
    path: Path,
    *,
    numbers: list[str],
    labels: list[str],
    sheet: str | None = None,
    missing: Sequence[str] = (),
    numbers_if_there: Sequence[str] = (),
    labels_if_there: Sequence[str] = (),
) -> pd.DataFrame:
    """The columns `numbers` (float64, NaN where empty) and `labels` (str) of a table of any supported format.

    The columns `numbers_if_there` and `labels_if_there` are added where the table has them. `missing` are texts that
    stand for an empty cell. Raises DataError (or Faults) for a column that is not there and for every cell that is no
    finite number.
    """
    tables = open_sources([path], options=ReaderOptions(sheet=sheet))
    if len(tables) > 1:
        sheets = ", ".join(table.sheet or table.name for table in tables)
        raise DataError(f"There are {len(tables)} tables in it: {sheets}.", where=Where(file=str(path)),
                        remedy="Choose one with --sheet.")  # fmt: skip
    table = tables[0]
    numbers = list(numbers)
    parts_of = ([name] if name in table.columns else [part.strip() for part in name.split("*")] for name in labels)
    labels = list(dict.fromkeys(part for parts in parts_of for part in parts))  # "sex*age" is a crossing of columns
    numbers += [name for name in numbers_if_there if name in table.columns and name not in numbers]
    labels += [name for name in labels_if_there if name in table.columns and name not in labels]
    wanted = list(dict.fromkeys([*numbers, *labels]))
    absent = [name for name in wanted if name not in table.columns]
    if absent:
        raise Faults(
            [
                DataError(f"There is no column '{name}'.", where=table.where(), remedy=suggestion(name, table.columns))
                for name in absent
            ]
        )
    parts: list[pd.DataFrame] = []
    faults: list[DataError] = []
    for chunk in table.chunks(wanted):
        if missing and not table.typed:
            chunk = chunk.mask(chunk.apply(lambda column: column.str.strip()).isin(list(missing)))
        part = pd.DataFrame({name: as_text(chunk[name]).str.strip() for name in labels}, index=chunk.index)
        for name in numbers:
            part[name], bad = parse_numbers(chunk[name], table.decimal)
            for row, value in chunk[name][bad].items():
                reason = explain_number(value, table.decimal)
                faults.append(
                    DataError(
                        f"'{value}' {reason}.", where=table.where(int(row), name), remedy="Correct or empty the cell."
                    )
                )
        parts.append(part)
    faults += [
        DataError(f"{bad.reason}.", where=table.where(bad.row), remedy="Mend the row.") for bad in table.malformed
    ]
    if faults:
        more = len(faults) - _FAULTS_SHOWN
        shown = faults[:_FAULTS_SHOWN]
        raise Faults([*shown, DataError(f"... and {more:,} more such cells.")] if more > 0 else shown)
    return pd.concat(parts, ignore_index=True)
