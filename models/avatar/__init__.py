"""A body as something to look at and to keep: mesh files, a picture, and the same person at another body fat.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "About": "models.avatar.meshes",
    "Caption": "models.avatar.picture",
    "Morpher": "models.avatar.morph",
    "Morphed": "models.avatar.morph",
    "glb": "models.avatar.meshes",
    "obj": "models.avatar.meshes",
    "draw_avatar": "models.avatar.picture",
    "png": "models.avatar.picture",
    "standing": "models.avatar.meshes",
}

__all__ = ["About", "Caption", "Morphed", "Morpher", "draw_avatar", "glb", "obj", "png", "standing"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'models.avatar' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
