"""The PDF report: tagged, archivable, searchable, the same bytes each time; no text of a study becomes code."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import subprocess

import pytest

from reports.document import (
    Badge,
    Callout,
    Code,
    Column,
    Document,
    Facts,
    Figure,
    Link,
    List,
    Panel,
    Paragraph,
    Row,
    Section,
    Small,
    Strong,
    Table,
    Value,
    walk,
)
from reports.pdf import render_pdf, write_pdf
from studies.errors import CalliperError

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="60pt" height="20pt" viewBox="0 0 60 20" '
    'style="font-family: \'DejaVu Sans\'"><text x="2" y="12" style="font-size: 8px">{}</text></svg>'
)


@pytest.fixture(scope="module")
def pdf(document) -> bytes:
    return render_pdf(document)


def text_of(data: bytes, tmp_path) -> str:
    if shutil.which("pdftotext") is None:
        pytest.skip("needs pdftotext (poppler) to read the text of a PDF")
    path = tmp_path / "x.pdf"
    path.write_bytes(data)
    done = subprocess.run(
        ["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def everywhere(text: str, picture: str = "picture") -> Document:
    blocks = (
        Paragraph((text, Strong(text), Code(text), Badge(text), Small((text,)), Value(text, "/x", 1))),
        Paragraph(("See ", Link(text, "#t")), lead=True),
        List((text, text), ordered=True),
        Facts(((text, text),)),
        Callout(text, (text, text), "bad"),
        Table("t", text, (Column(text, group=text), Column(text, "right")),
              (Row((text,), kind="group"), Row((text, text))), (text,)),
        Figure("f", text, (Panel(SVG.format(picture), text, 60, 20),), (text,)),
    )  # fmt: skip
    return Document(text, (Section("s", text, blocks),), kind=text, subtitle=text, facts=Facts(((text, text),)),
                    running=text, banner=text, footer=text, keywords=(text,))  # fmt: skip


def test_it_is_tagged_archivable_and_accessible(pdf, document):
    assert pdf.startswith(b"%PDF-1.7")
    assert b"/MarkInfo" in pdf
    assert b"/StructTreeRoot" in pdf
    for mark in (b"<pdfaid:part>2<", b"<pdfaid:conformance>A<", b"<pdfuaid:part>1<"):
        assert mark in pdf
    panels = sum(isinstance(block, Figure) and len(block.panels) for block in walk(document.sections))
    assert pdf.count(b"/Alt") == panels
    assert b"/TH" in pdf
    assert b"/URI" not in pdf


def test_its_text_can_be_searched_figures_included(pdf, study, tmp_path):
    text = text_of(pdf, tmp_path)
    words = re.sub(r"\s+", " ", text)
    assert "Pilot study of the phone scan" in words
    assert "Table 1. Verdict on each acceptance criterion" in words
    assert f"{study.results['n']} were analysed" in words
    assert "Mean of scan and DXA (%)" in words
    assert "−" in words
    pages = text.count("\f")
    assert re.search(rf"\b1 ?/ ?{pages}\b", words)
    assert re.search(rf"\b{pages} ?/ ?{pages}\b", words)


def test_the_same_document_gives_the_same_bytes(document, pdf):
    assert render_pdf(document) == pdf


def test_the_date_is_the_one_that_is_given():
    document = everywhere("x")
    when = dt.datetime(2026, 3, 2, 10, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    dated = render_pdf(Document(document.title, document.sections, created=when))
    assert b"2026-03-02T08:30:00Z" in dated
    assert b"1970-01-01T00:00:00Z" in render_pdf(document)


@pytest.mark.parametrize(
    "text",
    [
        '#panic("x") #{1+1} $x^2$ *b* _i_ `c` @ref <label> \\ // /* = - + ~ [ ] "quoted"',
        "<script>alert(1)</script> & &amp; ]]>",
        "Ωμέγα Привет 中文 日本語 عربي עברית हिन्दी 😀 ½ ≥ µ",
        "a\x00b\x07c\ud800d\ue000e\ufefff\u202eg\ufffeh",
    ],
    ids=["typst", "html", "scripts", "characters"],
)
def test_any_text_is_set_as_it_is(text, tmp_path):
    found = text_of(render_pdf(everywhere(text)), tmp_path)
    if text.startswith(("#", "<")):
        assert found.replace(" ", "").count(text.replace(" ", "")) >= 5


def test_figures_in_other_scripts_are_drawn():
    assert render_pdf(everywhere("x", picture="中文 and Ω"))


def test_long_words_and_long_tables_stay_on_the_page(tmp_path):
    rows = tuple(Row((f"row {i}", "0123456789abcdef" * 12)) for i in range(200))
    table = Table("t", "Long", (Column("First header"), Column("Second header")), rows)
    hashes = Facts((("Hash", Code("0123456789abcdef" * 12)),))
    text = text_of(render_pdf(Document("T", (Section("s", "S", (table, hashes)),))), tmp_path)
    pages = [page for page in text.split("\f") if "row " in page]
    assert len(pages) > 3
    assert all("First header" in page for page in pages)


def test_headings_stay_with_what_follows(tmp_path):
    sections = tuple(Section(f"s{i}", f"Heading {i}", (Paragraph("word " * (37 * i % 400 + 40)),)) for i in range(40))
    text = text_of(render_pdf(Document("T", sections)), tmp_path)
    for page in text.split("\f")[1:-1]:
        lines = [line.strip() for line in page.splitlines() if line.strip()]
        body = [line for line in lines if not re.fullmatch(r".*\d+ ?/ ?\d+", line)]
        assert not body[-1].startswith("Heading"), body[-3:]


def test_the_banner_is_on_every_page(tmp_path):
    sections = tuple(Section(f"s{i}", f"Heading {i}", (Paragraph("word " * 500),)) for i in range(6))
    text = text_of(render_pdf(Document("T", sections, banner="Synthetic data.")), tmp_path)
    pages = text.split("\f")[:-1]
    assert len(pages) > 3
    assert all("Synthetic data." in page for page in pages)


def test_a_file_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.pdf"
    path.write_bytes(b"old")
    monkeypatch.setattr("reports.pdf.STANDARDS", ["no such standard"])
    with pytest.raises((CalliperError, ValueError)):
        write_pdf(everywhere("x"), path)
    assert path.read_bytes() == b"old"
