"""Body models: shape and pose parameters in, a watertight mesh in metres out.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "BodyData": "models.body.data",
    "BodyModel": "models.body.model",
    "BodyOutput": "models.body.model",
    "load_body": "models.body.files",
    "save_for_smplx": "models.body.files",
    "open_body": "models.body.files",
    "JOINTS": "models.body.skeleton",
    "scan_pose": "models.body.skeleton",
}

__all__ = ["BodyData", "BodyModel", "BodyOutput", "JOINTS", "load_body", "open_body", "save_for_smplx", "scan_pose"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'models.body' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
