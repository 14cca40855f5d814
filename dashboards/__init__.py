"""The dashboard: a Dash application that a study team opens every day.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {"Settings": "dashboards.settings", "create_app": "dashboards.app", "serve": "dashboards.server"}

__all__ = ["Settings", "create_app", "serve"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'dashboards' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
