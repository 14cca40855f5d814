"""Chromium, as the tests and the pictures of the documentation drive it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Nothing but what is asked of it: no look for updates, no background requests.
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
]


def chromium_path() -> str | None:
    """The browser: CALLIPER_CHROMIUM, or chromium on the path; None where there is none."""
    given = os.environ.get("CALLIPER_CHROMIUM")
    return given or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def launched() -> Iterator[Any]:
    """A running browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=_QUIET)
        try:
            yield browser
        finally:
            browser.close()
