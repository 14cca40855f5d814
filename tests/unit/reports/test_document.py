"""The document model: what may be said, and how numbers stay bound to the results."""

from __future__ import annotations

import pytest

from reports.document import (
    Column,
    Document,
    Figure,
    Link,
    Panel,
    Paragraph,
    Ref,
    Row,
    Section,
    Small,
    Table,
    Value,
    clean,
    pointer,
    text_of,
)

PANEL = Panel('<svg xmlns="http://www.w3.org/2000/svg"></svg>', "nothing", 10, 10)


def table(name: str) -> Table:
    return Table(name, "caption", (Column("a"), Column("b")), (Row(("1", "2")),))


def test_tables_and_figures_are_numbered_in_reading_order():
    document = Document(
        "Title",
        (
            Section("one", "One", (table("table-x"), Figure("figure-x", "f", (PANEL,)))),
            Section("two", "Two", (Paragraph(("See ", Ref("table-y"))), table("table-y"))),
        ),
    )
    assert document.numbers() == {"table-x": "Table 1", "figure-x": "Figure 1", "table-y": "Table 2"}
    reference = document.to_dict()["sections"][1]["blocks"][0]["content"][1]
    assert reference == {"kind": "link", "text": "Table 2", "target": "#table-y"}


def test_an_id_is_used_once_and_well_formed():
    with pytest.raises(ValueError, match="twice"):
        Document("Title", (Section("one", "One", (table("one"),)),))
    with pytest.raises(ValueError, match="not an id"):
        Document("Title", (Section("One!", "One", ()),))


def test_a_row_has_a_cell_for_every_column():
    with pytest.raises(ValueError, match="3 cells, but 2"):
        Table("t", "c", (Column("a"), Column("b")), (Row(("1", "2", "3")),))


@pytest.mark.parametrize(
    "target", ["https://example.org/x", "javascript:alert(1)", "//host/x", "/etc/passwd", "DATA:x"]
)
def test_a_link_leads_to_no_host_and_runs_no_script(target):
    with pytest.raises(ValueError, match="a file beside it"):
        Link("text", target)


def test_characters_that_no_file_may_hold_are_replaced():
    assert clean("a\x00b\ud800c\ue000d\ufffee\u202ef\x7fg") == "a�b�c�d�e�f�g"
    assert clean("Ωμέγα 中文 a\nb") == "Ωμέγα 中文 a\nb"
    assert clean("x\U0001ffffy\U000f0000") == "x�y�"


def test_a_pointer_escapes_what_json_pointers_escape():
    assert pointer("tests", "a/b~c", 0) == "/tests/a~1b~0c/0"


def test_values_are_found_wherever_they_stand():
    value = Value("1.0", "/n", 1.0)
    document = Document("T", (Section("s", "S", (Paragraph(("x", Small((value,)))),)),), subtitle=(value,))
    assert document.values() == [value, value]
    assert text_of(("a ", Small(("(", value, ")")))) == "a (1.0)"
