"""The pictures of the tutorial: what a reader sees who opens the report and the signature sheet in a browser.

python -m tools.documentation.examples docs/tutorial.md             runs it, and says in which folder
python -m tools.documentation.pictures FOLDER/calliper-workspace    needs Chromium
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from PIL import Image

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
WIDTH, HEIGHT = 1000, 780
# Just below the banner, which stays where it is.
SHOW = "element => window.scrollTo(0, element.getBoundingClientRect().top + window.scrollY - 60)"


def take(workspace: Path) -> None:
    """Take the pictures of the workspace in which the tutorial was run."""
    from playwright.sync_api import sync_playwright

    report = workspace.resolve() / "reports" / "scale-study-1"
    browser = os.environ.get("CALLIPER_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"]).new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light"
        )
        page.goto(f"{report.as_uri()}/report.html")
        page.screenshot(path=PICTURES / "tutorial-report.png")
        page.locator("h2", has_text="Summary").evaluate(SHOW)
        page.screenshot(path=PICTURES / "tutorial-summary.png")
        page.locator("figure", has_text="Bland").first.evaluate(SHOW)
        page.screenshot(path=PICTURES / "tutorial-agreement.png")
        page.goto(f"{report.as_uri()}/signatures-1.html")
        page.screenshot(path=PICTURES / "tutorial-signatures.png")
    for name in ("report", "summary", "agreement", "signatures"):
        path = PICTURES / f"tutorial-{name}.png"
        Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    take(Path(sys.argv[1]))
