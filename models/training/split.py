"""Which people are kept for the final table, and are shown to no training, choice or look before it."""

from __future__ import annotations

import hashlib
from typing import Literal

Part = Literal["training", "choice", "test"]
_SHARES: tuple[tuple[Part, float], ...] = (("test", 0.2), ("choice", 0.15), ("training", 0.65))


def part_of(dataset: str, subject_id: str) -> Part:
    """The part of a person: a fifth for the final test, 15 % to choose between networks, the rest to learn from.

    It follows from the names alone, so that it is the same in every program and for ever, whatever else is known.
    """
    digest = hashlib.sha256(f"split:{dataset}:{subject_id}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for part, share in _SHARES:
        if place < share:
            return part
        place -= share
    return "training"
