"""Whole columns into the database, and whole columns of codes to its keys: no statement and no look-up a row."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from studies.readers.values import text_array

_LABEL_BITS = 31
_ROWS_A_STATEMENT = 200


def arrow_table(columns: dict[str, Any], rows: int) -> pa.Table:
    """Columns (series, arrays, or one value for all rows) as a table; missing values are null."""
    return pa.table({name: _arrow(values, rows) for name, values in columns.items()})


def insert_rows(connection: Connection, name: str, rows: pa.Table) -> None:
    """Insert into the table `name` by the fastest way the database has. Raises DBAPIError."""
    into = f"{name} ({', '.join(rows.column_names)})"
    dialect = connection.dialect
    cursor = connection.connection.cursor()
    try:
        if dialect.name == "postgresql":
            with cursor.copy(f"COPY {into} FROM STDIN WITH (FORMAT csv)") as copy:
                copy.write(_csv(rows))
        else:
            _insert(cursor, into, rows)
    except dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(into, None, error, dialect.loaded_dbapi.Error, dialect=dialect) from error
    finally:
        cursor.close()


def _insert(cursor: Any, into: str, rows: pa.Table) -> None:
    """Many rows a statement: to begin and end one for each row is a quarter of SQLite's work."""
    one = f"({', '.join('?' * rows.num_columns)})"
    cells = chain.from_iterable(zip(*map(_python_values, rows.columns), strict=True))
    whole, rest = divmod(rows.num_rows, _ROWS_A_STATEMENT)
    for count, times in ((_ROWS_A_STATEMENT, whole), (rest, min(rest, 1))):
        statements = (tuple(islice(cells, count * rows.num_columns)) for _ in range(times))
        if times:
            cursor.executemany(f"INSERT INTO {into} VALUES {', '.join([one] * count)}", statements)


def _arrow(values: Any, rows: int) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, int | str):
        return pa.repeat(values, rows)
    return pa.array(values, from_pandas=True)


def _csv(rows: pa.Table) -> bytes:
    """Text is quoted and null is not, so that an empty text stays one."""
    buffer = io.BytesIO()
    csv.write_csv(rows, buffer, csv.WriteOptions(include_header=False))
    return buffer.getvalue()


def _python_values(column: pa.ChunkedArray) -> list[Any]:
    """As the driver of SQLite wants them: dates and times as text, null as None."""
    if column.null_count == len(column):
        return [None] * len(column)
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.string())
    elif pa.types.is_large_string(column.type) or pa.types.is_string(column.type):
        # Most text here has few distinct values: make each of them once.
        encoded = column.combine_chunks().dictionary_encode()
        if encoded.null_count == 0 and len(encoded.dictionary) < len(column) // 2:
            return encoded.dictionary.to_numpy(zero_copy_only=False)[encoded.indices.to_numpy()].tolist()
    elif column.null_count == 0:
        return column.to_numpy().tolist()
    return column.to_pylist()


class Codes:
    """The database's keys of codes (of subjects, sites, devices)."""

    def __init__(self, pairs: Iterable[tuple[str, int]]):
        codes, keys = zip(*pairs, strict=True) if (pairs := list(pairs)) else ((), ())
        self._codes = pa.array(codes, pa.large_string())
        self._keys = np.array([*keys, -1], dtype=np.int64)

    def keys(self, values: pd.Series) -> np.ndarray:
        """One key a value, -1 where there is none."""
        found = pc.index_in(text_array(values), value_set=self._codes)
        return self._keys[found.fill_null(-1).to_numpy()]


class VisitKeys:
    """The database's keys of visits, by the subject's key and the visit's label. `rows`: subject, label, visit."""

    def __init__(self, rows: Iterable[tuple[int, str, int]]):
        self._numbers: dict[str, int] = {}
        subjects, labels, keys = zip(*rows, strict=True) if (rows := list(rows)) else ((), (), ())
        places = self.places(np.array(subjects, dtype=np.int64), pd.Series(labels, dtype="str"))
        order = np.argsort(places)
        self._places = places[order]
        self._keys = np.array(keys, dtype=np.int64)[order]

    def places(self, subjects: np.ndarray, labels: pd.Series) -> np.ndarray:
        """Subject's key and label as one number: the same number for the same two."""
        encoded = text_array(labels).combine_chunks().dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        numbers = np.array([self._numbers.setdefault(label, len(self._numbers)) for label in distinct], dtype=np.int64)
        return (subjects << _LABEL_BITS) + numbers[encoded.indices.to_numpy()]

    def keys(self, places: np.ndarray) -> np.ndarray:
        """One key a place, -1 where no visit is registered."""
        if not len(self._places):
            return np.full(len(places), -1, dtype=np.int64)
        found = np.minimum(np.searchsorted(self._places, places), len(self._places) - 1)
        return np.where(self._places[found] == places, self._keys[found], -1)
