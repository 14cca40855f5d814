"""SAS transport files: exactly what pyreadstat reads, and nothing read from a file that was cut short."""

import datetime as dt

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.errors import Faults
from studies.readers import ReaderOptions, as_text, open_sources

FRAME = pd.DataFrame(
    {
        "ID": ["a", "b", "", "d"],
        "X": [0.0, 1.5, np.nan, -1e-5],
        "D": [dt.date(2004, 3, 1), None, dt.date(1959, 1, 1), None],
        "T": [dt.datetime(2004, 3, 1, 10, 20, 30), None, dt.datetime(1950, 1, 1), None],
    }
)


@pytest.fixture(params=[5, 8])
def written(tmp_path, request):
    """FRAME (or another) as a transport file of either version."""

    def written(frame=FRAME, name="t.xpt", table="DM"):
        formats = {"D": "DATE9.", "T": "DATETIME20."} if "D" in frame else None
        pyreadstat.write_xport(
            frame, tmp_path / name, file_format_version=request.param, table_name=table, variable_format=formats
        )
        return tmp_path / name

    return written


def fault_of(path):
    with pytest.raises(Faults) as caught:
        open_sources([path])
    return str(caught.value)


@pytest.mark.parametrize(("name", "rows"), [("DEMO", 9965), ("BMX", 9282), ("BIX", 5311), ("DXX", 31175)])
def test_nhanes_is_read_exactly(shared, name, rows):
    path = shared / "data" / "nhanes_1999_2000" / f"{name}.XPT"
    [table] = open_sources([path])
    frame = pd.concat(table.chunks(rows=4000))
    assert frame.index.tolist() == list(range(1, rows + 1))
    expected, _ = pyreadstat.read_xport(path)
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), expected, check_exact=True)
    assert as_text(frame["SEQN"]).iloc[0] == str(int(expected["SEQN"].iloc[0]))
    one = pd.concat(table.chunks(columns=[table.columns[-1]]))
    assert one.columns.tolist() == [table.columns[-1]]


def test_values_dates_and_missing(written):
    [table] = open_sources([written()])
    assert (table.format, table.typed, table.first_row, table.name) == ("xpt", True, 1, "t")
    [frame] = table.chunks()
    assert frame["X"].tolist()[:2] == [0.0, 1.5]  # a zero is a zero
    assert frame["X"].iloc[3] == -1e-5
    assert frame["X"].isna().tolist() == [False, False, True, False]
    assert frame["D"].tolist()[0] == pd.Timestamp(2004, 3, 1)
    assert frame["D"].tolist()[2] == pd.Timestamp(1959, 1, 1)
    assert frame["T"].tolist()[0] == pd.Timestamp(2004, 3, 1, 10, 20, 30)
    assert frame["ID"].isna().tolist() == [False, False, True, False]


@pytest.mark.parametrize("rows", [1, 2, 3, 50])
def test_the_size_of_chunks_does_not_matter(written, rows):
    [table] = open_sources([written()])
    [whole] = table.chunks()
    frames = list(table.chunks(rows=rows))
    assert all(len(frame) <= rows for frame in frames)
    pd.testing.assert_frame_equal(pd.concat(frames), whole, check_index_type=False)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.floats(-1e60, 1e60), st.text("ab é", max_size=4)), min_size=1, max_size=20), st.integers(1, 7)
)
def test_any_table_is_read_as_pyreadstat_reads_it(tmp_path_factory, rows, size):
    path = tmp_path_factory.mktemp("xpt") / "t.xpt"
    pyreadstat.write_xport(pd.DataFrame(rows, columns=["X", "S"]), path, file_format_version=5)
    expected, _ = pyreadstat.read_xport(path)
    [table] = open_sources([path])
    frame = pd.concat(table.chunks(rows=size))
    assert frame["X"].tolist() == expected["X"].tolist()
    assert frame["S"].fillna("").tolist() == expected["S"].tolist()


def test_every_cut_is_noticed(written):
    frame = pd.DataFrame(
        {"ID": [f"subject {i}" for i in range(40)], "X": np.arange(40.0) + 1, "Y": np.arange(40.0) + 1}
    )
    path = written(frame)
    data = path.read_bytes()
    begin = data.rindex(b"HEADER RECORD*******OBS") + 80
    width = 10 + 8 + 8
    unnoticed = []
    for end in sorted({end + off for end in range(160, len(data), 80) for off in (-1, 0, 1)}):
        path.write_bytes(data[:end])
        try:
            [table] = open_sources([path])
        except Faults:
            continue
        unnoticed.append((end, sum(len(chunk) for chunk in table.chunks())))
    # Version 5 does not say how many observations there are: a cut on a record that is also the end of an observation
    # cannot be told from a shorter file. Version 8 says it, so that every cut is noticed.
    possible = {end for end in range(begin, len(data), 80) if (end - begin) % width == 0}
    assert {end for end, _ in unnoticed} <= possible
    if data.startswith(b"HEADER RECORD*******LIBV8"):
        assert unnoticed == []


def test_a_cut_is_told_with_its_place(written):
    path = written()
    data = path.read_bytes()
    path.write_bytes(data[:-80])
    assert "ends within" in fault_of(path)
    path.write_bytes(data[:-7])
    assert "not a whole number of 80-byte records" in fault_of(path)
    path.write_bytes(data[:800])
    assert "of its 4 variables" in fault_of(path)
    path.write_bytes(data[:240])
    assert "no data set begins in it" in fault_of(path)


def test_a_file_without_observations_is_told(written):
    path = written()
    data = path.read_bytes()
    begin = data.rindex(b"HEADER RECORD*******OBS") + 80
    empty = data[:begin].replace(b"!!!!!!!              4", b"!!!!!!!              0")
    path.write_bytes(empty)
    assert "has no rows" in fault_of(path)


def test_each_data_set_of_a_library_is_a_table(written):
    path = written(table="DM")
    other = written(FRAME[["X"]], name="u.xpt", table="VS").read_bytes()
    path.write_bytes(path.read_bytes() + other[240:])
    tables = open_sources([path])
    assert [table.name for table in tables] == ["t/DM", "t/VS"]
    assert [len(pd.concat(table.chunks(rows=3))) for table in tables] == [4, 4]
    assert pd.concat(tables[1].chunks())["X"].tolist()[:2] == [0.0, 1.5]


def test_blank_observations_between_others_are_kept(written):
    frame = pd.DataFrame({"S": ["a", "", "", "b", "", "c"], "T": ["a", "", "", "b", "", "c"]})
    [table] = open_sources([written(frame)])
    for rows in (1, 2, 3, 10):
        result = pd.concat(table.chunks(rows=rows))
        assert result["S"].fillna("").tolist() == frame["S"].tolist()
        assert result.index.tolist() == [1, 2, 3, 4, 5, 6]


def test_text_that_is_not_utf8_is_western_european(written):
    path = written(pd.DataFrame({"S": ["é", "b"]}))
    assert open_sources([path])[0].encoding == "utf-8"
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xe9 "))
    [table] = open_sources([path])
    assert table.encoding == "CP1252"
    assert [text.strip() for text in pd.concat(table.chunks())["S"]] == ["é", "b"]
    [table] = open_sources([path], options=ReaderOptions(encoding="cp1251"))
    assert pd.concat(table.chunks())["S"].iloc[0].strip() == "й"
