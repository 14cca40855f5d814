"""What the documentation shows is so: its examples run and print what it says, its commands exist, it can be built."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # tools/ is no part of what is installed
from calliper.default_command import DEFAULT, WithDefault  # noqa: E402
from tools.documentation.examples import differences, examples, run_page  # noqa: E402

DOCS = ROOT / "docs"
ASKED = re.compile(r"<(?:script|link|img|iframe|source|video)\b[^>]*?\b(?:src|href)=\"((?:https?:)?//[^\"]+)")
PAGES = sorted(DOCS.rglob("*.md"))
NAMES = [str(page.relative_to(DOCS)) for page in PAGES]
RUN = [name for name in NAMES if any(part.language == "console" for part in examples((DOCS / name).read_text("utf-8")))]
# Their programs need what only their own tests make, and are run there.
OWN_TESTS = {"audit.md": "test_privacy_documentation", "checkpoints.md": "test_documentation"}
PROGRAMS = [
    name
    for name in NAMES
    if name not in {*RUN, *OWN_TESTS}
    and any(part.language == "python" for part in examples((DOCS / name).read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("name", RUN)
def test_the_examples_of_a_page_print_what_it_says(name: str, tmp_path: Path, request, monkeypatch) -> None:
    stand_ins = {}
    if name == "how-to/nhanes.md":
        (tmp_path / "nhanes").symlink_to(request.getfixturevalue("shared") / "data" / "nhanes_1999_2000")
    if name == "how-to/postgresql.md":
        stand_ins["postgresql://calliper:secret@db.example.org/calliper"] = request.getfixturevalue("postgresql_url")
    printed = run_page(DOCS / name, tmp_path, stand_ins)
    assert differences((DOCS / name).read_text(encoding="utf-8"), printed) == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_programs_of_a_page_run(name: str, tmp_path: Path) -> None:
    run_page(DOCS / name, tmp_path)


def commands(text: str) -> Iterator[str]:
    """Every command line of the blocks of a page, whether it is run or only shown."""
    language = None
    for line in text.replace("\\\n", " ").splitlines():
        fence = re.match(r" *```(\w*)", line)
        if fence:
            language = fence[1] if language is None else None
        elif language in ("", "console", "bash", "sh"):
            found = re.match(r"\s*(?:\$ )?(calliper [a-z].*)", line)
            if found:
                # What follows a run of spaces explains the command; | parts of a line are alternatives or pipes.
                yield re.split(r"\s{3,}|\s#|\s\|\s|\s>\s|\s\.\.\.", found[1])[0]


@pytest.mark.parametrize("name", ["README.md", *NAMES])
def test_commands_and_their_options_exist(name: str) -> None:
    page = (ROOT if name == "README.md" else DOCS) / name
    for line in commands(page.read_text(encoding="utf-8")):
        left = shlex.split(re.sub(r"[\[\]]", " ", line))[1:]
        place, known, words = _command_line(), {"--help", "--debug"}, left
        while left and left[0] in getattr(place, "commands", {}):
            place, left = place.commands[left[0]], left[1:]
            if isinstance(place, WithDefault) and left[0] not in place.commands:
                place = place.commands[DEFAULT]
            known |= {option for parameter in place.params for option in parameter.opts + parameter.secondary_opts}
        assert left != words, f"{name}: no such command: {line}"
        unknown = [word for word in left if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known]
        assert not unknown, f"{name}: {line}: no such option: {unknown}"


@cache
def _command_line() -> Any:
    from calliper.app import app

    return typer.main.get_command(app)


def test_the_commands_are_found() -> None:
    assert len(list(commands((DOCS / "tutorial.md").read_text(encoding="utf-8")))) > 12


def test_pages_say_whether_checkpoints_are_packaged() -> None:
    from models.checkpoints import packaged_checkpoints

    none = re.compile(r"\b(?:no|none)\b.{0,60} is packaged", re.IGNORECASE)
    said = [page.name for page in [ROOT / "README.md", *PAGES] if none.search(page.read_text(encoding="utf-8"))]
    assert bool(said) == (not packaged_checkpoints()), said


def test_an_example_that_is_not_so_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo one\ntwo\n```\n", encoding="utf-8")
    printed = run_page(page, tmp_path)
    assert printed == "```console\n$ echo one\none\n```\n"
    assert len(differences(page.read_text(encoding="utf-8"), printed)) == 1
    page.write_text("```console\n$ false\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="`false` ends with 1"):
        run_page(page, tmp_path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as `make docs` builds it: strictly, so that a broken link or anchor is an error."""
    config = pytest.importorskip("mkdocs.config", reason="needs MkDocs Material: make setup installs it")
    from mkdocs.commands.build import build

    folder = tmp_path_factory.mktemp("site")
    with (ROOT / "mkdocs.yml").open("rb") as file:
        build(config.load_config(file, site_dir=str(folder), strict=True))
    return folder


def test_the_site_is_built_and_asks_no_other_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        asked = ASKED.findall(text)
        assert not asked, f"{page.name}: {asked}"
        assert 'class="mermaid"' not in text  # Material would fetch Mermaid's script for it
    assert "<math" in (site / "formulas.html").read_text(encoding="utf-8")
    assert "<svg" in (site / "architecture.html").read_text(encoding="utf-8")
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", style.read_text(encoding="utf-8")), style.name


def test_the_site_works_in_a_browser_without_the_network(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        pytest.skip("needs Chromium: apt-get install chromium")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    asked: list[str] = []

    def walk() -> None:
        with playwright.sync_playwright() as started:
            page = started.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"]).new_page()
            page.on("request", lambda request: asked.append(request.url))
            for name in ("tutorial.html", "formulas.html", "architecture.html", "index.html"):
                page.goto(f"{address}/{name}", wait_until="load")
            page.locator("input.md-search__input").fill("limits of agreement")
            page.locator(".md-search-result__link").first.wait_for(timeout=60_000)
            for name in ("index.html", "formulas.html"):
                page.goto((site / name).as_uri(), wait_until="load")

    try:
        with ThreadPoolExecutor(1) as apart:  # other tests may have a browser open in this thread
            apart.submit(walk).result()
    finally:
        server.shutdown()
        server.server_close()
    assert asked
    assert [url for url in asked if not url.startswith((address, "file:", "data:", "blob:"))] == []


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass
