"""The body model and what is learned with it. Arrays, photos and measurements in and out; no database, no page.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "BodyData": "models.body.data",
    "BodyModel": "models.body.model",
    "BodyRequestError": "models.errors",
    "ModelFileError": "models.errors",
    "load_body": "models.body.files",
    "open_body": "models.body.files",
}

__all__ = ["BodyData", "BodyModel", "BodyRequestError", "ModelFileError", "load_body", "open_body"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'models' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
