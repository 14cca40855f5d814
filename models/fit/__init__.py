"""From measurements of people to bodies that have them.

`fit_bodies` finds betas for a table of people; `body_density` is how mass becomes volume. Neither takes, nor was made
with, a reference of body composition. Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "fit_bodies": "models.fit.bodies",
    "FittedBodies": "models.fit.bodies",
    "TOLERANCE": "models.fit.bodies",
    "ASKABLE": "models.fit.request",
    "body_density": "models.fit.density",
    "expected_body_fat": "models.fit.density",
}

__all__ = ["ASKABLE", "FittedBodies", "TOLERANCE", "body_density", "expected_body_fat", "fit_bodies"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'models.fit' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
