"""Diagrams of the documentation: blocks of the language `mermaid` become the SVG pictures that were drawn of them.

Code hosts draw these blocks themselves. For the site they are drawn once, since that takes a browser and Mermaid's
script, which the pages would otherwise fetch from elsewhere:

    python -m tools.documentation.diagrams mermaid.min.js     (from the npm package `mermaid`; needs Chromium)

A block whose picture is missing or old fails the build.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURES = DOCS / "assets" / "diagrams"


def file_of(source: str) -> Path:
    """Where the picture of a diagram is, by the hash of its text."""
    return PICTURES / f"{hashlib.sha256(source.strip().encode()).hexdigest()[:16]}.svg"


def picture(source: str, language: str, css_class: str, options: dict, md: Any, **more: Any) -> str:
    """The picture of a block, for pymdownx.superfences; its text is kept for those who cannot see it."""
    from pymdownx.superfences import SuperFencesException

    file = file_of(source)
    if not file.is_file():
        raise SuperFencesException(f"Not drawn: {source.strip()[:50]!r}. Run python -m tools.documentation.diagrams")
    return (
        f'<div class="{css_class}">{file.read_text(encoding="utf-8")}</div>'
        f"<details><summary>The diagram as text</summary><pre>{html.escape(source)}</pre></details>"
    )


def sources() -> list[str]:
    """The text of every diagram of the documentation."""
    pages = (page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md")))
    return [text for page in pages for text in re.findall(r"^```mermaid\n(.*?)^```", page, re.DOTALL | re.MULTILINE)]


def draw(script: Path) -> None:
    """Draw what is not drawn, remove what is not needed."""
    from playwright.sync_api import sync_playwright

    PICTURES.mkdir(parents=True, exist_ok=True)
    wanted = {file_of(text): text for text in sources()}
    for file in PICTURES.glob("*.svg"):
        if file not in wanted:
            file.unlink()
    browser = os.environ.get("CALLIPER_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"]).new_page()
        page.add_script_tag(path=str(script))
        page.evaluate("mermaid.initialize({startOnLoad: false, theme: 'neutral', htmlLabels: false})")
        for file, text in wanted.items():
            if not file.is_file():
                drawn = page.evaluate("([id, text]) => mermaid.render(id, text)", [f"d{file.stem}", text])["svg"]
                file.write_text(drawn + "\n", encoding="utf-8")


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
