"""The ingest report: what came in, what did not, and what to do about it."""

from __future__ import annotations

import copy
import json
import re
from urllib.parse import unquote

import pytest

from reports.document import Table, text_of, walk
from reports.html import render_html
from reports.ingest_report import ingest_document, write_ingest_report
from reports.pdf import render_pdf


def page(report) -> str:
    text = re.sub(r"<style>.*?</style>", "", render_html(ingest_document(report)), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text)).replace("\u00a0", " ")


def rows(report, name: str) -> list[list[str]]:
    table = next(b for b in walk(ingest_document(report).sections) if isinstance(b, Table) and b.id == name)
    return [[text_of(cell) for cell in row.cells] for row in table.rows]


def test_it_tells_what_came_in_and_what_to_do(ingest):
    text = page(ingest)
    assert "Ingest 3 into pilot" in text
    assert "120 subjects and 120 visits are new, and 2 rows replaced earlier values." in text
    assert "10 rows were refused and wait in quarantine" in text
    assert "1 row went in but looks unlikely." in text
    assert "“age is between 0 and 120” (8 rows)" in text
    assert "2 rows only wait for a subject whose own row was refused" in text
    assert "2 March 2026, 08:15 UTC" in text
    assert "Times without a zone are taken as local." in text
    assert "not an adult: 3 rows." in text
    assert "comment, phone" in text


def test_rows_with_the_same_fault_are_one_line_and_consequences_come_last(ingest):
    found = rows(ingest, "table-quarantine")
    assert found[0] == ["Check: age is between 0 and 120 · 8 rows"]
    assert found[1] == ["demo.csv", "12–19", "age", "212", "212 is above 120", "Correct the age."]
    assert found[2] == ["Rows that only wait for their subject · 2 rows"]
    assert found[3][1] == "40–41"


def test_the_quarantine_is_linked_by_a_relative_name_that_arrives(ingest):
    source = render_html(ingest_document(ingest))
    targets = re.findall(r'href="([^"#][^"]*)"', source)
    assert [unquote(target) for target in targets] == ["quarantine/batch 3/subjects#1.csv"]
    assert not re.search(r'[ #"]', targets[0])


def test_every_check_is_listed_with_its_outcome(ingest):
    found = rows(ingest, "table-rules")
    assert ["Age is between 0 and 120", "140", "8 refused", "Correct the age."] in found
    assert ["Sex is F or M", "140", "passed", ""] in found
    assert ["BMI is usual", "140", "1 flagged", "Check mass and stature."] in found


def test_the_counts_add_up_or_the_table_does_not_claim_it(ingest):
    assert "Read = new + changed" in page(ingest)
    ingest["tables"]["subjects"]["rejected"] = 9
    assert "Read = new + changed" not in page(ingest)


@pytest.mark.parametrize(
    ("change", "words", "not_words"),
    [
        ({"quarantine": {"rows": 0, "files": [], "examples": []}}, "No row was refused.", "What to do Theq"),
        ({"quarantine": {"rows": 1, "files": ["q.csv"], "examples": []}}, "1 row was refused and waits", "rows were"),
        ({"status": "refused"}, "Nothing was taken in.", "are new"),
        ({"dry_run": True, "batch": None, "status": "dry run"}, "Trial only: nothing was kept.", "Ingest 3"),
        ({"changes": []}, "At a glance", "Changed values"),
        ({"flagged": {"rows": 0, "examples": []}}, "At a glance", "look unlikely"),
        ({"sources": []}, "No file was read.", "demo.csv, CSV"),
        ({"rules": []}, "No check was made", "checks were made"),
    ],
)
def test_the_words_follow_the_report(ingest, change, words, not_words):
    text = page({**ingest, **change})
    assert words in text
    assert not_words not in text


def test_a_second_ingest_of_the_same_files_brings_nothing(ingest):
    ingest["status"] = "unchanged"
    ingest["tables"] = {
        "subjects": {"read": 140, "new": 0, "changed": 0, "unchanged": 140, "rejected": 0, "flagged": 0}
    }
    ingest["quarantine"] = {"rows": 0, "files": [], "examples": []}
    ingest["flagged"] = {"rows": 0, "examples": []}
    text = page(ingest)
    assert "Nothing is new: everything in these files was in the study already. No row was refused." in text
    assert "Every row that was read passed every check." in text


def test_an_empty_report_is_a_page_too():
    assert "Trial ingest into s" in page({"study": "s"})


def test_values_from_files_are_never_markup(ingest):
    ingest["quarantine"]["examples"][0].update(value="<img src=x onerror=alert(1)>", reason="=cmd|' /C calc'!A0")
    source = render_html(ingest_document(ingest))
    assert "<img" not in source
    assert "&lt;img src=x onerror=alert(1)&gt;" in source


def test_files_are_written_the_same_each_time(ingest, tmp_path):
    original = copy.deepcopy(ingest)
    first = write_ingest_report(ingest, tmp_path / "a")
    second = write_ingest_report(ingest, tmp_path / "b")
    assert {path.name for path in first.values()} == {"ingest.html", "ingest.json"}
    assert ingest == original
    for kind in first:
        assert first[kind].read_bytes() == second[kind].read_bytes()
    assert json.loads(first["json"].read_text("utf-8")) == ingest


def test_it_can_be_a_pdf_too(ingest):
    assert render_pdf(ingest_document(ingest)).startswith(b"%PDF")
