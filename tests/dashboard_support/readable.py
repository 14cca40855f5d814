"""What can be checked of WCAG 2.2 AA in a page as a browser has drawn it: contrast, names, targets, structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_CHECK = Path(__file__).with_name("readable.js").read_text(encoding="utf-8")


def faults(page: Any) -> list[str]:
    """What is wrong on a page that is drawn, each thing once."""
    return page.evaluate(_CHECK)
