"""The HTML report: one file, no host, no script, readable by everyone; no text of a study becomes markup."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from reports.document import (
    Badge,
    Callout,
    Code,
    Column,
    Document,
    Facts,
    Figure,
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
from reports.html import render_html, write_html

VOID = {"meta", "link", "br", "hr", "img", "input"}
NASTY = "<script>alert(1)</script>\"'&<b onload=x>{{ 7*7 }}{% raw %}"


class Page(HTMLParser):
    """Every element of a page with its attributes and its own text; complains of elements that do not nest."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag}: an attribute is there twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def source(document) -> str:
    return render_html(document)


@pytest.fixture(scope="module")
def page(source) -> Page:
    return Page(source)


def nasty(text: str = NASTY) -> Document:
    """A document with `text` in every place that takes text."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" style="" width="10pt" height="10pt"></svg>'
    blocks = (
        Paragraph((text, Strong(text), Code(text), Badge(text), Small((text,)), Value(text, "/" + text, text))),
        List((text,)),
        Facts(((text, text),)),
        Callout(text, (text, text), "bad"),
        Table(
            "t",
            text,
            (Column(text, group=text), Column(text)),
            (Row((text,), kind="group"), Row((text, text))),
            (text,),
        ),
        Figure("f", text, (Panel(svg, text, 10, 10),), (text,)),
    )
    return Document(text, (Section("s", text, blocks),), kind=text, subtitle=text, facts=Facts(((text, text),)),
                    running=text, banner=text, footer=text, keywords=(text,))  # fmt: skip


def test_the_page_asks_nothing_of_any_host_and_runs_nothing(page, source):
    assert not page.all("script", "iframe", "object", "embed", "link", "img", "base", "form")
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            if name in ("href", "src", "action", "xlink:href", "data", "poster"):
                assert (value or "").startswith("#"), value
    assert not re.search(r"https?:|//[a-z]|@import|javascript:", source)
    assert re.findall(r"url\(([^)#])", source) == []
    policy = next(a for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_the_page_has_landmarks_a_language_and_one_heading_of_the_first_level(page):
    assert page.all("html")[0]["lang"] == "en"
    assert [len(page.all(tag)) for tag in ("header", "nav", "main", "footer", "h1", "title")] == [1] * 6
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.elements[[tag for tag, _ in page.elements].index("body") + 1] == (
        "a",
        {"class": "skip", "href": "#main"},
    )


def test_ids_are_used_once_and_every_link_arrives(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {
        value[1:]
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name == "href" and value and value.startswith("#")
    }
    targets |= {word for _, a in page.elements for word in (a.get("aria-labelledby") or "").split()}
    assert targets
    assert targets <= set(ids)


def test_tables_have_headers_with_a_scope_and_figures_are_described(page, document):
    headers = page.all("th")
    assert headers
    assert {attributes.get("scope") for attributes in headers} == {"col", "row", "colgroup"}
    pictures = page.all("svg")
    panels = _figures(document)
    assert len(pictures) == len(panels) > 10
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"] or "") > 40


def _figures(document: Document) -> list[Panel]:
    return [panel for block in walk(document.sections) if isinstance(block, Figure) for panel in block.panels]


def test_text_is_never_markup():
    source = render_html(nasty())
    page = Page(source)
    assert not page.all("script", "b onload=x")
    assert "<script" not in source
    assert "{{ 7*7 }}{% raw %}" in page.text
    assert page.text.count(NASTY) >= 20
    assert page.all("svg")[0]["aria-label"] == NASTY


def test_control_characters_and_lone_surrogates_do_not_reach_the_file(tmp_path):
    path = write_html(nasty("a\x00b\ud800c\x1b[31m"), tmp_path / "x.html")
    text = path.read_text("utf-8")
    assert "a\ufffdb\ufffdc\ufffd[31m" in text
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", text)


def test_numbers_carry_their_full_value_and_source(page, study):
    mae = study.results["tests"]["scan"]["mae"]["estimate"]
    found = [a for a in page.all("data") if a["data-source"] == "/tests/scan/mae/estimate"]
    assert found
    assert all(float(a["value"] or "") == mae for a in found)


def test_contents_list_every_section(page, document):
    for section in document.sections:
        assert ("a", {"href": f"#{section.id}"}) in page.elements


def test_the_banner_is_on_the_page():
    document = Document("T", (), banner="Synthetic data.")
    assert '<div class="banner" role="note">Synthetic data.</div>' in render_html(document)
    assert '<div class="banner"' not in render_html(Document("T", ()))


# Colours --------------------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_have_the_contrast_of_wcag_aa(scheme):
    style = (files("reports") / "templates" / "document.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.S)
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[scheme]))
    for text in ("ink", "muted", "accent"):
        for back in ("page", "surface"):
            assert contrast(colour[text], colour[back]) >= 4.5, (text, back)
    for tone in ("good", "bad", "unsure", "neutral"):
        assert contrast(colour[tone], colour[f"{tone}-back"]) >= 4.5, tone
        assert contrast(colour["ink"], colour[f"{tone}-back"]) >= 4.5, tone
    for series in range(1, 8):
        assert contrast(colour[f"series-{series}"], colour["page"]) >= 3, series


def test_figures_follow_the_colours_of_the_page(source):
    figures = re.findall(r"<svg.*?</svg>", source, re.S)
    left = {ink for figure in figures for ink in re.findall(r": (#[0-9a-f]{6})", figure)}
    assert left == set()
    assert all("var(--ink)" in figure for figure in figures)
