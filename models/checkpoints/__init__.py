"""Checkpoints: weights as safetensors, and beside them a card that says what they are and whom they were trained on.

Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "Architecture": "models.checkpoints.card",
    "Card": "models.checkpoints.card",
    "Description": "models.checkpoints.card",
    "Input": "models.checkpoints.card",
    "Metric": "models.checkpoints.card",
    "Quantity": "models.checkpoints.card",
    "Training": "models.checkpoints.card",
    "parse_card": "models.checkpoints.card",
    "Loaded": "models.checkpoints.weights",
    "packaged_checkpoints": "models.checkpoints.files",
    "read_card": "models.checkpoints.files",
    "read_checkpoint": "models.checkpoints.weights",
    "write_checkpoint": "models.checkpoints.weights",
    "subject_hash": "models.checkpoints.leakage",
    "subject_hashes": "models.checkpoints.leakage",
    "trained_on": "models.checkpoints.leakage",
}

__all__ = [
    "Architecture",
    "Card",
    "Description",
    "Input",
    "Loaded",
    "Metric",
    "Quantity",
    "Training",
    "packaged_checkpoints",
    "parse_card",
    "read_card",
    "read_checkpoint",
    "subject_hash",
    "subject_hashes",
    "trained_on",
    "write_checkpoint",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'models.checkpoints' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
