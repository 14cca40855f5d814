"""Anthropometric measurements of a body mesh: one definition each, found once per topology.

`measure(vertices, body)` is the tape; `ShapeGauge` measures straight from betas, with derivatives, for the fit.
Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "measure": "models.measure.measurements",
    "MEASUREMENTS": "models.measure.measurements",
    "Definition": "models.measure.measurements",
    "GIRTHS": "models.measure.landmarks",
    "Landmarks": "models.measure.landmarks",
    "find_landmarks": "models.measure.landmarks",
    "tape_lines": "models.measure.measurements",
    "ShapeGauge": "models.measure.gauge",
}

__all__ = ["Definition", "GIRTHS", "Landmarks", "MEASUREMENTS", "ShapeGauge", "find_landmarks", "measure", "tape_lines"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'models.measure' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
