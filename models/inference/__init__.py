"""A scan's photos -> silhouettes, avatar, measurements and body-fat percentage, with reasons where that cannot be."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.inference.pipeline import Pipeline
    from models.inference.scan import Finding, Predicted, ScanInput, ScanOutcome

__all__ = ["Finding", "Pipeline", "Predicted", "ScanInput", "ScanOutcome"]
_HOME = {"Pipeline": "models.inference.pipeline"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module(_HOME.get(name, "models.inference.scan")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
