"""Parquet files, streamed by row group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from studies.errors import DataError, Faults, Where
from studies.readers.table import SourceTable, name_faults

# Whole numbers with missing values stay whole: an identifier of 18 digits does not survive as a float.
_INTEGERS = {
    pa.int8(): pd.Int64Dtype(),
    pa.int16(): pd.Int64Dtype(),
    pa.int32(): pd.Int64Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.Int64Dtype(),
    pa.uint16(): pd.Int64Dtype(),
    pa.uint32(): pd.Int64Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}


class ParquetTable(SourceTable):
    """A Parquet file. Whole numbers come as Int64, others as float64, dates as datetime64, text as str."""

    format = "parquet"

    def _chunks(self, columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
        number = self.first_row
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size=rows):
                    batch.validate(full=True)  # bytes that are no text would fail anywhere later
                    yield _frame(batch, self.columns, columns, number)
                    number += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.path, error) from error


def open_parquet(path: Path) -> ParquetTable:
    """Opens a Parquet file. Raises Faults or DataError when it is damaged, empty, or holds more than a plain table."""
    where = Where(file=str(path))
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    columns = [name.strip() for name in schema.names]
    faults = name_faults(columns, where)
    nested = [column.name for column in schema if _is_nested(column.type)]
    if nested:
        faults.append(
            DataError(
                f"the columns {', '.join(nested)} hold lists, records or raw bytes."
                if len(nested) > 1
                else f"the column {nested[0]} holds lists, records or raw bytes.",
                where=where,
                remedy="Write the table without them, or with one plain value in each cell.",
            )
        )
    if not columns or not rows:
        faults.append(DataError("has no rows.", where=where, remedy="Export it again, with its data."))
    if faults:
        raise Faults(faults)
    table = ParquetTable(path, name=path.stem, columns=columns)
    table.expected_rows = rows
    return table


def _frame(batch: pa.RecordBatch, names: list[str], columns: list[str], first: int) -> pd.DataFrame:
    picked = [_plain(batch.column(names.index(column))) for column in columns]
    table = pa.table(picked, names=[str(place) for place in range(len(columns))])
    frame = table.to_pandas(types_mapper=_INTEGERS.get, date_as_object=False, ignore_metadata=True)
    frame.columns = pd.Index(columns, dtype="str")
    frame.index = pd.RangeIndex(first, first + batch.num_rows, name="row")
    for place, column in enumerate(picked):
        if pa.types.is_timestamp(column.type) and column.type.tz is not None:
            frame.isetitem(place, frame.iloc[:, place].dt.tz_localize(None))  # the clock on the wall, as in DateParser
    return frame


def _plain(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.dictionary_decode())
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("us"))
    return column


def _is_nested(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_nested(kind.value_type)
    return (
        pa.types.is_nested(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or (pa.types.is_fixed_size_binary(kind) and not pa.types.is_decimal(kind))
    )


def _damaged(path: Path, error: Exception) -> DataError:
    encrypted = "encrypt" in str(error).lower()
    return DataError(
        "is encrypted." if encrypted else f"is damaged or cut short, and cannot be read as Parquet ({_first(error)}).",
        where=Where(file=str(path)),
        remedy="Write it again without encryption." if encrypted else "Copy or export it again.",
    )


def _first(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(". ") if str(error) else type(error).__name__
