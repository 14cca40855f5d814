"""Delimited text: every dialect found out, every row accounted for."""

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.errors import DataError, Faults, PlanError
from studies.readers import ReaderOptions, open_sources, parse_numbers
from studies.readers.delimited import records
from studies.readers.text import check_quotes, scan_text

modest = settings(deadline=None, max_examples=50)


@pytest.fixture
def opened(tmp_path):
    """Opens some bytes as a CSV file."""

    def opened(content, name="demo.csv", **options):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        [table] = open_sources([path], options=ReaderOptions(**options))
        return table

    return opened


@pytest.fixture
def fault(opened):
    """The message of the fault that some bytes have."""

    def fault(content, name="demo.csv", **options):
        with pytest.raises(Faults) as caught:
            opened(content, name, **options)
        assert caught.value.exit_code == 3
        return str(caught.value)

    return fault


def content(table, **how):
    """{row number: cells} of a table, missing as None."""
    frames = list(table.chunks(**how))
    assert all(frame.index.name == "row" for frame in frames)
    assert all(str(dtype) == "str" for frame in frames for dtype in frame.dtypes)
    return {
        int(row): [None if pd.isna(cell) else cell for cell in cells]
        for frame in frames
        for row, cells in zip(frame.index, frame.to_numpy(dtype=object).tolist(), strict=True)
    }


# ---- the plain case -------------------------------------------------------------------------------------------------


def test_a_csv_file_becomes_a_table_of_text(opened):
    table = opened("subject_id,age\nS1,34\nS2,\n")
    assert (table.name, table.format, table.typed, table.first_row) == ("demo", "csv", False, 2)
    assert (table.columns, table.delimiter, table.encoding, table.decimal) == (["subject_id", "age"], ",", "utf-8", ".")
    assert content(table) == {2: ["S1", "34"], 3: ["S2", None]}
    assert table.malformed == []
    assert table.notes == []


def test_chunks_can_be_read_again_and_in_any_size(opened):
    table = opened("id,v\n" + "".join(f"{i},{i}\n" for i in range(25)))
    whole = content(table)
    assert len(whole) == 25
    assert content(table, rows=7) == whole
    assert [len(frame) for frame in table.chunks(rows=7)] == [7, 7, 7, 4]
    assert [len(frame) for frame in table.chunks(rows=25)] == [25]


def test_columns_can_be_chosen_in_any_order(opened):
    table = opened("a,b,c\n1,2,3\n")
    assert content(table, columns=["c", "a"]) == {2: ["3", "1"]}
    [frame] = table.chunks(columns=[])
    assert frame.index.tolist() == [2]
    with pytest.raises(Exception, match="has no column 'x'"):
        table.chunks(columns=["x"])


def test_a_file_that_changes_while_it_is_open_is_refused(opened):
    table = opened("a,b\n1,2\n")
    table.path.write_text("a,b\n1,2,3,4\n")
    with pytest.raises(Exception, match="has changed since it was opened"):
        list(table.chunks())


# ---- delimiters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_detected(opened, delimiter):
    table = opened('id,name,v\n1,"x, y; z|",2\n'.replace(",", delimiter))
    assert table.delimiter == delimiter
    assert len(content(table)[2]) == 3


def test_commas_in_names_and_numbers_do_not_mislead(opened):
    table = opened("id;weight, kg;waist, cm\n1;70,5;80,2\n2;71,5;81,2\n")
    assert table.columns == ["id", "weight, kg", "waist, cm"]
    assert (table.delimiter, table.decimal) == (";", ",")


def test_excels_sep_line_is_obeyed_and_counts_as_a_row(opened):
    table = opened("sep=;\r\nid;a,b\r\n1;2,3\r\n")
    assert (table.delimiter, table.first_row) == (";", 3)
    assert content(table) == {3: ["1", "2,3"]}


def test_a_single_column_needs_no_delimiter(opened):
    assert content(opened("id\n5\n\n7\n")) == {2: ["5"], 4: ["7"]}


def test_a_wrong_delimiter_is_told_with_the_right_one(fault):
    message = fault("id,v\n1,2\n", delimiter=";")
    assert "the delimiter seems to be ','" in message
    assert "Set delimiter to ','" in message
    assert "the delimiter seems to be a tab" in fault("id\tv\n1\t2\n", delimiter=",")


def test_delimiters_can_be_given_by_name(opened):
    assert opened("id\tv, w\n1\t2\n", delimiter="tab").columns == ["id", "v, w"]
    assert opened("id v\n1 2\n", delimiter="space").columns == ["id", "v"]


@pytest.mark.parametrize("options", [{"delimiter": ";;"}, {"delimiter": "a"}, {"encoding": "utf-9"}, {"decimal": "x"},
                                     {"max_line_bytes": 0}])  # fmt: skip
def test_impossible_options_are_refused(options):
    with pytest.raises(PlanError):
        ReaderOptions(**options)


# ---- headers --------------------------------------------------------------------------------------------------------


def test_names_are_stripped(opened):
    assert opened("\ufeff id , age \n1,2\n").columns == ["id", "age"]


def test_all_faults_of_a_header_are_told(fault):
    message = fault("id,v,,v,id\n1,2,3,4,5\n")
    assert "column 3 (C) has no name" in message
    assert "the name 'v' stands over 2 columns: 2 (B), 4 (D)" in message
    assert "the name 'id' stands over 2 columns: 1 (A), 5 (E)" in message
    assert "demo.csv, row 1" in message


def test_names_that_differ_only_in_blanks_are_the_same(fault):
    assert "the name 'v' stands over 2 columns" in fault("v, v\n1,2\n")


def test_empty_columns_at_the_end_are_left_out_with_a_note(opened):
    table = opened("id,v,,\n1,2,,\n3,4,,\n")
    assert table.columns == ["id", "v"]
    assert content(table) == {2: ["1", "2"], 3: ["3", "4"]}
    assert "2 empty columns" in table.notes[0]


def test_a_value_in_a_column_without_a_name_far_down_is_not_lost(opened):
    table = opened("id,v,\n" + "1,2,\n" * 1100 + "3,4,lost?\n" + "5,6, \n")
    rows = content(table)
    assert 1102 not in rows
    assert rows[1103] == ["5", "6"]
    [misfit] = table.malformed
    assert (misfit.row, misfit.text) == (1102, "3,4,lost?")
    assert "column 3 (C), which has no name" in misfit.reason


def test_a_title_above_the_header_is_told(fault):
    message = fault("Study of things\nid,v,w\n1,2,3\n4,5,6\n")
    assert "the first row has a single cell, but the rows below it have 3" in message


def test_empty_lines_above_the_header_count(opened):
    table = opened("\n  \nid,v\n1,2\n")
    assert table.first_row == 4
    assert content(table) == {4: ["1", "2"]}


@pytest.mark.parametrize("text", ["id,v\n", "id,v", "id,v\n\n,\n,,\n", "sep=,\nid,v\n"])
def test_a_header_without_rows_is_told(fault, text):
    assert "has a header but no rows" in fault(text)


@pytest.mark.parametrize("text", ["\n\n", "   ", "\ufeff", "sep=;\n"])
def test_nothing_but_blanks_is_told(fault, text):
    assert "has no header and no rows" in fault(text)


def test_a_header_may_run_over_lines(opened):
    table = opened('id,"weight\n(kg)"\n1,2\n')
    assert table.columns == ["id", "weight\n(kg)"]
    assert content(table) == {2: ["1", "2"]}


# ---- rows -----------------------------------------------------------------------------------------------------------


def test_rows_that_do_not_fit_are_kept_apart_and_count(opened):
    table = opened("id,v,w\n1,2,3\n\n4,5,6\n7,8\n,,\n,\n9,10,11,12\n13,,15\n\n\n")
    assert content(table) == {2: ["1", "2", "3"], 4: ["4", "5", "6"], 9: ["13", None, "15"]}
    assert [(misfit.row, misfit.text) for misfit in table.malformed] == [(5, "7,8"), (8, "9,10,11,12")]
    assert "has 2 cells, the header has 3" in table.malformed[0].reason
    assert "decimal comma" in table.malformed[1].reason
    content(table)  # a second reading does not double them
    assert len(table.malformed) == 2


def test_a_table_of_which_no_row_fits_is_still_opened(opened):
    table = opened("id,v\n1,2,3\n4\n")
    assert content(table) == {}
    assert [misfit.row for misfit in table.malformed] == [2, 3]


def test_quoted_cells_may_hold_anything_and_are_one_row(opened):
    table = opened('id,note\n1,"a,b\r\nc ""d"""\n2,x\n3\n4,y\n')
    assert content(table) == {2: ["1", 'a,b\r\nc "d"'], 3: ["2", "x"], 5: ["4", "y"]}
    assert [misfit.row for misfit in table.malformed] == [4]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_line_ends_are_understood(opened, end):
    assert content(opened(end.join(["id,v", "1,2", "3", "4,5"]))) == {2: ["1", "2"], 4: ["4", "5"]}


def test_guarded_formulas_are_freed(opened):
    table = opened("'=id,v\n1,'=1+1\n2,''-x\n3,'plain\n4,it's\n")
    assert table.columns == ["=id", "v"]
    assert [cells[1] for cells in content(table).values()] == ["=1+1", "'-x", "'plain", "it's"]


def test_inches_are_no_open_quotation_mark(opened):
    assert content(opened("id,height\n1,5'11\"\n2,6'\n")) == {2: ["1", "5'11\""], 3: ["2", "6'"]}


@pytest.mark.parametrize(
    ("text", "row", "what"),
    [
        ('id,v\n1,"abc\n2,3\n4,5\n', 2, "never closed"),
        ('id,v\n1,"abc,2\n2,"def,3\n4,5\n', 2, "not closed where the cell ends"),
        ('id,v\n0,"fine\nfine"\n\n1,"abc\n2,3\n', 4, "never closed"),
        ('id,v\r1,2\r3,"abc\r2,3\r', 3, "never closed"),
        ('id,h,v\n1,5\'11","abc\n2,x,y\n', 2, "never closed"),
    ],
)
def test_an_open_quotation_mark_is_told_with_its_row(fault, text, row, what):
    message = fault(text)
    assert f"row {row}: a quotation mark opens a cell that is {what}" in message


def test_an_open_quotation_mark_in_a_large_file_is_told(fault):
    message = fault('id,v\n1,"abc\n' + "2,3\n" * 1000, max_line_bytes=500)
    assert "row 2: a quotation mark opens a cell that is not closed within 500 bytes" in message


# ---- not a table ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["", "\n", "\n2,3\n"])
def test_a_line_too_long_is_refused_with_its_number(fault, tail):
    assert "line 3 is longer than 1,000 bytes" in fault("id,v\n1,2\n1," + "x" * 1000 + tail, max_line_bytes=1000)


def test_a_line_just_short_enough_is_read(opened):
    assert len(content(opened("id,v\n1," + "x" * 998 + "\n", max_line_bytes=1000))[2][1]) == 998


def test_a_gigabyte_in_one_line_is_refused_at_once(fault, tmp_path):
    import time
    import tracemalloc

    path = tmp_path / "huge.csv"
    with open(path, "wb") as file:
        file.write(b"id,v\n" + b"x" * (4 << 20))
        file.truncate(1 << 30)  # sparse: takes no space
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(Faults, match="line 2 is longer than"):
        open_sources([path])
    assert time.process_time() - start < 2  # of the processor: reading it all takes longer
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_bytes_that_are_no_text_are_refused(fault):
    assert "not text" in fault(b"id,v\n1,a\0b\n")
    assert "row 5,001: holds NUL bytes" in fault(b"id,v\n" + b"1,2\n" * 4999 + b"3,\0\n")


# ---- encodings ------------------------------------------------------------------------------------------------------

_FRENCH = "id;mot\n1;Noël à l'été\n2;garçon\n3;œuvre – 5 €\n"


@pytest.mark.parametrize(
    ("encoding", "detected"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-32", "utf-32"), ("cp1252", "cp1252")],
)
def test_the_encoding_is_detected(opened, encoding, detected):
    table = opened(_FRENCH.encode(encoding))
    assert table.encoding == detected
    assert [cells[1] for cells in content(table).values()] == ["Noël à l'été", "garçon", "œuvre – 5 €"]
    assert (table.notes == []) == detected.startswith("utf")


def test_big_endian_utf16_and_excels_unicode_text(opened):
    table = opened(b"\xfe\xff" + "id\tv\r\n1\té\r\n".encode("utf-16-be"), name="export.txt")
    assert content(table) == {2: ["1", "é"]}


def test_western_text_without_special_signs_of_windows_is_latin_1(opened):
    assert opened("id;v\n1;é\n".encode("latin-1")).encoding == "latin-1"


def test_other_alphabets_are_found_out(opened):
    words = ["Привет мир", "Здравствуйте", "человек и погода", "хорошо сегодня"]
    text = "id;слово\n" + "".join(f"{i};{word}\n" for i, word in enumerate(words))
    assert [cells[1] for cells in content(opened(text.encode("cp1251"))).values()] == words


def test_a_given_encoding_is_obeyed(opened, fault):
    text = "id;v\n1;Łódź\n2;żółw\n"
    assert content(opened(text.encode("cp1250"), encoding="cp1250"))[3] == ["2", "żółw"]
    assert content(opened(text.encode("utf-16-le"), encoding="utf-16-le"))[2] == ["1", "Łódź"]
    assert "row 2: is not valid UTF-8" in fault(text.encode("cp1250"), encoding="utf-8")
    assert "cannot be read as utf-16" in fault(b"\xff\xfe" + b"i\0d\0,\0v\0\n\0\x00\xd8,\0", encoding="utf-16")


def test_utf16_without_its_mark_is_told(fault):
    assert "utf-16-le" in fault("id,v\n1,é\n".encode("utf-16-le"))


def test_a_mixture_of_encodings_is_told(fault):
    assert "2 of 3 lines" in fault("id,v\n1,é\n2,é\n".encode() + b"3,\xe9\n")


def test_a_character_cut_at_the_end_of_a_block_is_no_fault(opened):
    text = "id,v\n" + "1,éa\n" * 250_000  # more than one block of the scan, characters on its edge
    table = opened(text)
    assert table.encoding == "utf-8"
    assert sum(len(frame) for frame in table.chunks()) == 250_000


# ---- decimal marks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("id;v\n1;2,5\n2;3\n", ","),
        ("id;v\n1;2.5\n2;3\n", "."),
        ("id;v\n1;1.234,5\n", ","),
        ("id;v\n1;1,234.5\n", "."),
        ("id;v\n1;1,234\n2;5,678\n", "."),
        ("id;v\n1;0,234\n", ","),
        ('id,v\n1,"2,5"\n2,"3,5"\n', ","),
        ('id,v,w\n1,"1,2",3.5\n2,4.5,5.5\n', "."),
        ("id;v;w\n1;2,5;3.5\n", "."),
        ("id;date\n1;12.03.2004\n", "."),
    ],
)
def test_the_decimal_mark_is_detected(opened, text, decimal):
    table = opened(text)
    assert table.decimal == decimal
    assert any("decimal comma" in note for note in table.notes) == (decimal == ",")


def test_a_given_decimal_mark_is_obeyed(opened):
    table = opened("id;v\n1;1,234\n", decimal=",")
    [frame] = table.chunks()
    assert parse_numbers(frame["v"], table.decimal)[0].tolist() == [1.234]


# ---- laws -----------------------------------------------------------------------------------------------------------

_CELL = st.text(alphabet="ab,;\t|\"\n\r 1.é'=-", max_size=6)


@modest
@given(
    st.lists(st.lists(_CELL, min_size=3, max_size=3), min_size=1, max_size=12),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.integers(1, 6),
)
def test_what_a_csv_writer_writes_is_what_is_read(tmp_path_factory, rows, delimiter, encoding, size):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with open(path, "w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([["first", "second", "third"], *rows])
    if not any(cell for cells in rows for cell in cells):
        return
    [table] = open_sources([path], options=ReaderOptions(delimiter=delimiter))
    guarded = re.compile(r"'+[=+\-@\t\r\n]")
    expected = {
        number: [(cell[1:] if guarded.match(cell) else cell) or None for cell in cells]
        for number, cells in enumerate(rows, start=2)
        if any(cells)
    }
    assert content(table, rows=size) == expected
    assert table.malformed == []


@modest
@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 20))
def test_no_row_is_lost_and_every_number_is_right(tmp_path_factory, widths, size):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    lines = [",".join(f"r{row}c{cell}" for cell in range(width)) for row, width in enumerate(widths, start=2)]
    path.write_text("\n".join(["a,b,c", *lines]) + "\n")
    if not any(widths):
        return
    [table] = open_sources([path], options=ReaderOptions(delimiter=","))
    rows = content(table, rows=size)
    assert all(cells == [f"r{row}c{cell}" for cell in range(3)] for row, cells in rows.items())
    assert sorted(rows) == [row for row, width in enumerate(widths, start=2) if width == 3]
    assert [(misfit.row, misfit.text) for misfit in table.malformed] == [
        (row, lines[row - 2]) for row, width in enumerate(widths, start=2) if width not in (0, 3)
    ]


@modest
@given(st.lists(st.lists(_CELL, min_size=1, max_size=4), min_size=1, max_size=6), st.sampled_from([",", ";"]))
def test_records_split_as_the_csv_module_does(rows, delimiter):
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    text = buffer.getvalue()
    found = list(records(text, delimiter))
    assert [cells for cells, _ in found] == rows
    assert found[-1][1] == len(text)


@modest
@given(st.text(alphabet='ab",\n', max_size=30), st.integers(1, 7))
def test_quotation_marks_are_judged_alike_whatever_the_block(tmp_path_factory, text, block):
    import studies.readers.text as module

    path = tmp_path_factory.mktemp("quotes") / "t.csv"
    path.write_text(text, newline="")

    def judged():
        try:
            check_quotes(path, encoding="utf-8", delimiter=",", max_cell_bytes=1000)
        except Exception as error:
            return str(error)
        return None

    whole, usual = judged(), module._BLOCK
    try:
        module._BLOCK = block
        assert judged() == whole
        in_blocks = scan_text(path, encoding=None, max_line_bytes=1000)
    finally:
        module._BLOCK = usual
    assert in_blocks == scan_text(path, encoding=None, max_line_bytes=1000)
    assert in_blocks.quotes == ('"' in text)
    assert in_blocks.lines == text.count("\n") + (text[-1:] not in ("", "\n"))


@modest
@given(st.lists(st.text(alphabet='ab",\n', max_size=8), min_size=1, max_size=6))
def test_text_that_passes_has_no_row_swallowed(tmp_path_factory, lines):
    """Of the cells of a file that passes, only quoted ones that are closed where the cell ends run over lines."""
    path = tmp_path_factory.mktemp("quotes") / "t.csv"
    text = "\n".join(lines) + "\n"
    path.write_text(text, newline="")
    try:
        check_quotes(path, encoding="utf-8", delimiter=",", max_cell_bytes=1000)
    except DataError:
        return
    rest = text
    for cells, _ in records(text, ","):
        for cell in cells:
            if "\n" in cell:
                quoted = '"' + cell.replace('"', '""') + '"'
                assert quoted + "," in rest or quoted + "\n" in rest
        rest = rest[rest.index("\n") + 1 :]


def test_numbering_survives_many_blocks(tmp_path):
    generator = np.random.default_rng(5)
    path = tmp_path / "big.csv"
    widths = np.where(generator.random(300_000) < 0.001, 2, 3)
    path.write_text("a,b,c\n" + "".join(",".join([str(row)] * width) + "\n" for row, width in enumerate(widths, 2)))
    [table] = open_sources([path], options=ReaderOptions(max_line_bytes=4096))
    table._block_bytes = 8192
    frame = pd.concat(table.chunks(rows=1000))
    assert (frame["a"].astype(int) == frame.index).all()
    assert len(frame) == (widths == 3).sum()
    assert all(misfit.text == f"{misfit.row},{misfit.row}" for misfit in table.malformed)
    assert len(table.malformed) == (widths == 2).sum()


def test_the_column_of_row_numbers_does_not_clash(opened):
    assert content(opened("row,0\n5,x\n")) == {2: ["5", "x"]}


def test_published_tables_are_read_whole(shared):
    [table] = open_sources([shared / "data" / "ansur2" / "ANSUR_II_MALE_Public.csv"])
    frame = pd.concat(table.chunks(rows=1000))
    assert frame.shape == (4082, 108)
    expected = pd.read_csv(table.path, encoding="latin-1", dtype=str)
    assert frame.reset_index(drop=True).equals(expected.astype("str"))
