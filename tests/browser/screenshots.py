"""Pictures of a workspace's dashboard, light and dark: python screenshots.py WORKSPACE FOLDER [PAGE ...]."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dashboard_support"))

from browsing import launched
from served import serving
from sqlalchemy import func, select

from dashboards.pages import PAGES
from studies.registry.catalogue import list_studies
from studies.registry.schema import Subject, Visit
from studies.registry.workspace import Registry, open_registry

_SIZE = {"width": 1280, "height": 960}
# Of these pages a second picture is taken, of what is further below: slug, name of the picture, query, heading.
_BELOW = (("subject", "avatar", "", "#avatar-of"), ("subgroups", "crossed", "?cross=age_band&groups=both", "#by-group"))
_COLOURS = 160  # enough for text and lines, and a quarter of the bytes


def main(workspace: str, folder: str, *wanted: str) -> None:
    """Write dashboard-PAGE-THEME.png for every page (or those that are wanted) and both themes.

    Pages of `_BELOW` have a second picture, of what is further below.
    """
    with open_registry(workspace) as registry, serving(registry) as base, launched() as browser:
        study, subject = _what(registry)
        for theme in ("light", "dark"):
            browsed = browser.new_context(viewport=_SIZE, color_scheme=theme).new_page()
            browsed.set_default_timeout(180_000)
            for entry in [page for page in PAGES if not wanted or page.slug in wanted]:
                browsed.goto(f"{base}{entry.path(study, subject)}")
                _settle(browsed, entry.title)
                path = Path(folder) / f"dashboard-{entry.slug}-{theme}.png"
                _write(path, browsed.screenshot())
                print(path)
                for slug, name, more, heading in _BELOW:
                    if entry.slug != slug:
                        continue
                    if more:
                        browsed.goto(f"{base}{entry.path(study, subject)}{more}")
                        _settle(browsed, entry.title)
                    if not browsed.locator(heading).count():
                        continue
                    browsed.locator(heading).evaluate("heading => heading.scrollIntoView()")
                    browsed.wait_for_timeout(500)
                    path = path.with_name(f"dashboard-{name}-{theme}.png")
                    _write(path, browsed.screenshot())
                    print(path)


def _what(registry: Registry) -> tuple[str, str]:
    """The first study, and one of its subjects: who keeps silhouettes and came most often."""
    with registry.reading() as connection:
        study = list_studies(connection)[0]["name"]
        visits = select(func.count()).where(Visit.subject_id == Subject.id).scalar_subquery()
        kept = (
            select(Subject.code).where(Subject.consent == "silhouettes").order_by(visits.desc(), Subject.code).limit(1)
        )
        return study, connection.execute(kept).scalar_one()


def _settle(page: Any, title: str) -> None:
    page.wait_for_selector(f"main h1:text-is('{title}')")
    page.wait_for_selector("progress", state="detached")
    for graph in page.locator(".graph").all():
        graph.locator(".js-plotly-plot").wait_for()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)  # lists and pictures fade in


def _write(path: Path, content: bytes) -> None:
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    picture.quantize(_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
