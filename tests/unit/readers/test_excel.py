"""Excel workbooks: typed values, many sheets, formulas, and files that mean harm."""

import datetime as dt
import io
import re
import zipfile

import openpyxl
import pandas as pd
import pytest

from studies.errors import Faults
from studies.readers import ReaderOptions, as_text, open_sources, parse_dates, parse_numbers


@pytest.fixture
def book(tmp_path):
    """Writes sheets (lists of rows, by name) as a workbook."""

    def book(sheets, name="book.xlsx"):
        workbook = openpyxl.Workbook()
        workbook.remove(workbook.active)
        for title, rows in sheets.items():
            sheet = workbook.create_sheet(title)
            for number, row in enumerate(rows, start=1):
                for place, cell in enumerate(row, start=1):
                    if cell is not None:
                        sheet.cell(number, place, cell)
        workbook.save(tmp_path / name)
        return tmp_path / name

    return book


def rewritten(path, change):
    """The same archive with each part passed through change(name, bytes)."""
    source = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            new.writestr(part, change(part, old.read(part)))
    return path


def fault_of(path, **options):
    with pytest.raises(Faults) as caught:
        open_sources([path], options=ReaderOptions(**options))
    return str(caught.value)


def test_a_sheet_becomes_a_typed_table(book):
    path = book(
        {
            "Data": [
                ["id", " age ", "weight", "date", "note"],
                [1, 34, 70.5, dt.datetime(2004, 3, 12), "x"],
                [2, None, 71, dt.datetime(2004, 3, 13, 10, 20), None],
            ]
        }
    )
    [table] = open_sources([path])
    assert (table.name, table.format, table.typed, table.first_row) == ("book", "excel", True, 2)
    assert table.columns == ["id", "age", "weight", "date", "note"]
    [frame] = table.chunks()
    assert frame.index.tolist() == [2, 3]
    assert frame.index.name == "row"
    assert [str(dtype) for dtype in frame.dtypes] == ["int64", "Int64", "float64", "datetime64[us]", "str"]
    assert frame["weight"].tolist() == [70.5, 71.0]
    assert frame["date"].tolist() == [pd.Timestamp(2004, 3, 12), pd.Timestamp(2004, 3, 13, 10, 20)]
    assert as_text(frame["id"]).tolist() == ["1", "2"]


def test_rows_are_numbered_as_in_the_sheet(book):
    path = book({"Data": [[], [None, None, None], ["id", "v"], [1, 2], [], ["  ", None], [3, None], [4, 5]]})
    [table] = open_sources([path])
    assert table.first_row == 4
    frame = pd.concat(table.chunks(rows=2))
    assert frame.index.tolist() == [4, 7, 8]
    assert [len(chunk) for chunk in table.chunks(rows=2)] == [2, 1]
    [chosen] = table.chunks(columns=["v"])
    assert chosen.columns.tolist() == ["v"]


def test_columns_of_mixed_kinds_keep_each_value(book):
    path = book(
        {"Data": [["id", "v", "d"], [1, 2, dt.datetime(2004, 3, 12)], ["S2", "3.5", "2004-03-13"], [3, "x", 5]]}
    )
    [frame] = open_sources([path])[0].chunks()
    assert as_text(frame["id"]).tolist() == ["1", "S2", "3"]
    numbers, bad = parse_numbers(frame["v"])
    assert numbers.tolist()[:2] == [2.0, 3.5]
    assert bad.tolist() == [False, False, True]
    dates, bad, _ = parse_dates(frame["d"])
    assert dates.tolist()[:2] == [pd.Timestamp(2004, 3, 12), pd.Timestamp(2004, 3, 13)]
    assert bad.tolist() == [False, False, True]


def test_each_sheet_with_data_is_a_table(book):
    path = book({"one": [["id"], [1], [2]], "empty": [], "two": [["id", "v"], [1, 2]], "header only": [["a", "b"]]})
    tables = open_sources([path])
    assert [table.name for table in tables] == ["book/one", "book/two"]
    assert str(tables[1].where(row=3)) == f"{path}, sheet 'two', row 3"
    assert [note.split("'")[1] for note in tables[0].notes] == ["empty", "header only"]
    [table] = open_sources([path], options=ReaderOptions(sheet="two"))
    assert (table.name, table.columns) == ("book", ["id", "v"])


def test_a_sheet_that_is_not_there_is_told_with_those_that_are(book):
    assert "has no sheet 'x'. Its sheets are 'one', 'two'." in fault_of(
        book({"one": [["a"], [1]], "two": []}), sheet="x"
    )


def test_a_workbook_without_rows_is_told(book):
    assert "no rows below a header" in fault_of(book({"one": [["id", "v"]], "two": []}))


def test_faults_of_headers_name_sheet_row_and_column(book):
    path = book({"one": [["a"], [1]], "two": [[], [None, "id", None, "v", "v"], [None, 1, 2, 3, 4]]})
    message = fault_of(path)
    assert "sheet 'two', row 2: column 3 (C) has no name" in message
    assert "the name 'v' stands over 2 columns: 4 (D), 5 (E)" in message
    assert "name the one sheet to read" in message


def test_a_title_above_the_header_is_told(book):
    message = fault_of(book({"one": [["My study"], ["id", "age", "sex"], [1, 2, "F"], [2, 3, "M"]]}))
    assert "the first row has a single cell, but the rows below it have 3" in message


def test_a_value_beside_the_table_is_not_lost(book):
    path = book({"one": [[None, "id", "v"], [None, 1, 2], ["!", 3, 4], [None, 5, 6, None, "note"], [None, 7]]})
    [table] = open_sources([path])
    assert pd.concat(table.chunks()).index.tolist() == [2, 5]
    assert [(misfit.row, misfit.reason[:23]) for misfit in table.malformed] == [
        (3, "has a value in column A"),
        (4, "has a value in column E"),
    ]
    assert table.malformed[1].text == "\t5\t6\t\tnote"


def test_guarded_formulas_are_freed(book):
    [frame] = open_sources([book({"one": [["id", "v"], [1, "'=1+1"], [2, "''-x"], [3, "'plain"]]})])[0].chunks()
    assert frame["v"].tolist() == ["=1+1", "'-x", "'plain"]


def with_result(path, cell, result):
    """The workbook with a saved result for the formula in a cell, as Excel writes it."""

    def change(part, data):
        if not part.startswith("xl/worksheets/sheet"):
            return data
        start = data.index(f'r="{cell}"'.encode())
        return data[:start] + data[start:].replace(b"</f><v />", b"</f>" + result, 1).replace(
            b"</f><v/>", b"</f>" + result, 1
        )

    return rewritten(path, change)


def test_the_saved_result_of_a_formula_is_its_value(book):
    path = with_result(book({"one": [["id", "v"], [1, "=1+1"]]}), "B2", b"<v>2</v>")
    [table] = open_sources([path])
    [frame] = table.chunks()
    assert frame["v"].tolist() == [2]
    assert table.malformed == []


def test_a_formula_without_a_result_sets_its_row_apart(book):
    path = book({"one": [["id", "v"], [1, "=1+1"], [2, 5], [3, "=B3"]]})
    [table] = open_sources([path])
    assert [frame.to_dict("list") for frame in table.chunks()] == [{"id": [2], "v": [5]}]
    assert [misfit.row for misfit in table.malformed] == [2, 4]
    assert "the result of a formula was not saved (B2)" in table.malformed[0].reason
    assert "=" not in table.malformed[0].text


def test_an_empty_text_is_a_result(book):
    path = book({"one": [["id", "v"], [1, '=IF(A2=1,"","x")']]})

    def change(part, data):
        if not part.startswith("xl/worksheets/sheet"):
            return data
        return data.replace(b'<c r="B2">', b'<c r="B2" t="str">')

    [table] = open_sources([rewritten(path, change)])
    [frame] = table.chunks()
    assert frame["v"].isna().tolist() == [True]
    assert table.malformed == []


def test_a_formula_in_the_header_without_a_result_is_told(book):
    assert "the header has a formula" in fault_of(book({"one": [["id", "=A1"], [1, 2]]}))


def test_results_that_are_errors_are_text(book):
    path = with_result(book({"one": [["id", "v"], [1, "=1/0"], [2, 3]]}), "B2", b"<v>#DIV/0!</v>")
    rewritten(path, lambda part, data: data.replace(b'<c r="B2">', b'<c r="B2" t="e">'))
    [frame] = open_sources([path])[0].chunks()
    assert parse_numbers(frame["v"])[1].tolist() == [True, False]


# ---- damage and harm ------------------------------------------------------------------------------------------------


def test_a_workbook_cut_short_is_told(book):
    path = book({"one": [["id", "v"], [1, 2]]})
    path.write_bytes(path.read_bytes()[:-200])
    assert "is damaged or cut short" in fault_of(path)


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "[Content_Types].xml"])
@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"<a/>"])
def test_damaged_parts_are_told_never_a_traceback(book, part, damage):
    path = rewritten(book({"one": [["id", "v"], [1, 2]]}), lambda name, data: damage(data) if name == part else data)
    message = fault_of(path)
    assert "is damaged" in message or "no rows below a header" in message


def test_a_workbook_that_would_fill_memory_is_refused(book):
    path = book({"one": [["id", "v"], [1, 2]]})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/bomb.xml", b"<a>" + bytes(110 << 20))
    assert path.stat().st_size < 1e6
    assert "too much to be opened safely" in fault_of(path)


def test_the_limit_can_be_set(book):
    path = book({"one": [["id", "v"], [1, 2]]})
    assert "too much to be opened safely" in fault_of(path, max_unpacked_bytes=1000)


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml", "_rels/.rels"])
def test_entity_bombs_are_refused(book, part):
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "%s">' % (letter, b"&%c;" % (letter - 1) * 10) for letter in range(ord("b"), ord("k"))
    ) + b"]>"  # fmt: skip

    def change(name, data):
        if name != part:
            return data
        head, mark, rest = data.partition(b"?>") if data.startswith(b"<?xml") else (b"", b"", data)
        return head + mark + b"<!-- " + b"x" * 100_000 + b" -->" + laughs + rest

    assert "document type definition" in fault_of(rewritten(book({"one": [["id", "v"], [1, 2]]}), change))


def test_row_numbers_beyond_a_sheet_are_damage(book):
    path = book({"one": [["id", "v"], [1, 2]]})
    rewritten(path, lambda name, data: data.replace(b'<row r="2"', b'<row r="2000000000"'))
    assert "is damaged" in fault_of(path)


def test_a_wrong_size_in_the_sheet_does_no_harm(book):
    path = book({"one": [["id", "v"], [1, 2], [3, 4]]})
    rewritten(path, lambda name, data: data.replace(b'ref="A1:B3"', b'ref="A1:A1"'))
    assert sum(len(frame) for frame in open_sources([path])[0].chunks()) == 2


def test_workbooks_that_make_the_parser_warn_are_read_in_silence(book):
    path = book({"one": [["id", "v"], [1, 2]]})
    rewritten(path, lambda name, data: re.sub(rb"<cellStyles?[ >].*?</cellStyles>", b"", data))
    with pytest.warns(UserWarning, match="no default style"):
        openpyxl.load_workbook(path)
    assert len(open_sources([path])) == 1
