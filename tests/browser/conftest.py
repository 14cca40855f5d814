"""A real browser, at a dashboard that is really served: nothing may go wrong in it, and nothing leaves this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dashboard_support"))

from browsing import chromium_path, launched
from served import serving
from small_study import STUDY, make_study

from dashboards import worker
from studies.registry.workspace import Registry, open_registry

NO_BROWSER = "needs the browser Chromium: apt-get install chromium, or CALLIPER_CHROMIUM=/path/to/it"


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by playwright; the test is skipped where there is none."""
    if chromium_path() is None:
        pytest.skip(NO_BROWSER)
    with launched() as opened:
        yield opened


@pytest.fixture(scope="session")
def _analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "workspace"
    with patch.dict(os.environ, CALLIPER_ACTOR="tester"):
        os.environ.pop("CALLIPER_DATABASE_URL", None)
        with open_registry(folder, create=True) as registry:
            make_study(registry)
            worker.analyses.make(registry, STUDY, None)
            worker.analyses.make_comparison(registry, STUDY, 1, 2)
    return folder


@pytest.fixture
def registry(_analysed: Path, tmp_path: Path) -> Iterator[Registry]:
    with open_registry(shutil.copytree(_analysed, tmp_path / "workspace")) as opened:
        yield opened


@pytest.fixture
def address(browser, registry: Registry) -> Iterator[str]:
    """Where the dashboard is served, as a local demonstration."""
    with serving(registry) as base:
        yield base


@pytest.fixture
def open_page(browser) -> Iterator[Callable[[str], object]]:
    """Opens a page in a browser of its own; at the end, nothing went wrong and nothing was asked of another host."""
    contexts, faults = [], []

    def opened(base: str, *, allowed: tuple[str, ...] = (), **options: object):
        context = browser.new_context(**options)
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()

        def told(message) -> None:
            if message.type == "error" and not any(word in message.text for word in allowed):
                faults.append(f"console: {message.text}")

        page.on("console", told)
        page.on("pageerror", lambda error: faults.append(f"script: {error}"))
        own = (base, "data:", "blob:")
        page.on(
            "request", lambda request: None if request.url.startswith(own) else faults.append(f"left: {request.url}")
        )
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not faults
