"""Parquet files: types kept, memory bounded by the chunk."""

import datetime as dt
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from studies.errors import DataError, Faults
from studies.readers import as_text, open_sources


@pytest.fixture
def written(tmp_path):
    def written(table, **how):
        path = tmp_path / "t.parquet"
        pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), path, **how)
        return path

    return written


def test_types_are_kept(written):
    zone = pa.timestamp("ns", tz="Europe/Berlin")
    path = written(
        {
            "id": pa.array([2**60 + 1, None], pa.int64()),
            "x": pa.array([1.5, None], pa.float32()),
            "s": pa.array(["a", None]),
            "c": pa.array(["u", "v"]).dictionary_encode(),
            "d": pa.array([dt.date(2004, 3, 12), None]),
            "t": pa.array([dt.datetime(2004, 3, 12, 10, 20), None]),
            "z": pa.array([dt.datetime(2004, 7, 1, 10, 0), None], pa.timestamp("us", tz="UTC")).cast(zone),
            "m": pa.array([Decimal("1.25"), None]),
            "b": pa.array([True, False]),
        }
    )
    [table] = open_sources([path])
    assert (table.format, table.typed, table.first_row, table.name) == ("parquet", True, 1, "t")
    [frame] = table.chunks()
    assert frame.index.tolist() == [1, 2]
    assert as_text(frame["id"]).iloc[0] == str(2**60 + 1)
    assert frame["x"].iloc[0] == 1.5
    assert frame["s"].dtype == frame["c"].dtype == "str"
    assert frame["d"].iloc[0] == pd.Timestamp(2004, 3, 12)
    assert frame["t"].iloc[0] == pd.Timestamp(2004, 3, 12, 10, 20)
    assert frame["z"].iloc[0] == pd.Timestamp(2004, 7, 1, 12, 0)  # the clock on the wall in Berlin
    assert frame["m"].iloc[0] == 1.25
    assert frame["id"].isna().tolist() == frame["x"].isna().tolist() == frame["d"].isna().tolist() == [False, True]


def test_rows_are_numbered_over_row_groups_and_chunks(written):
    path = written({"a": list(range(1000)), "b": list(range(1000))}, row_group_size=77)
    [table] = open_sources([path])
    frame = pd.concat(table.chunks(columns=["b"], rows=100))
    assert (frame["b"] == frame.index - 1).all()
    assert frame.columns.tolist() == ["b"]
    assert max(len(chunk) for chunk in table.chunks(rows=100)) <= 100


def test_names_are_checked(written):
    path = written(pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "a ", ""]))
    with pytest.raises(Faults) as caught:
        open_sources([path])
    assert "the name 'a' stands over 2 columns" in str(caught.value)
    assert "column 3 (C) has no name" in str(caught.value)


def test_lists_and_records_are_refused(written):
    with pytest.raises(Faults, match="the columns l, s, b hold lists, records or raw bytes"):
        open_sources([written({"id": [1], "l": [[1, 2]], "s": [{"a": 1}], "b": [b"x"]})])


def test_no_rows_and_damage_are_told(written):
    path = written({"id": pa.array([], pa.int64())})
    with pytest.raises(Faults, match="has no rows"):
        open_sources([path])
    path = written({"id": list(range(10_000))})
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    with pytest.raises(Faults, match="is damaged or cut short"):
        open_sources([path])
    path.write_bytes(data[:4] + b"\xff" * 20_000 + data[20_004:])
    [table] = open_sources([path])  # the directory at its end is whole
    with pytest.raises(DataError, match="is damaged or cut short"):
        list(table.chunks())
