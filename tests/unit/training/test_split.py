"""The split of people."""

from __future__ import annotations

from collections import Counter

import pytest

from models.training.split import part_of


def test_parts_have_their_shares() -> None:
    parts = Counter(part_of("survey", str(number)) for number in range(20_000))
    assert {name: count / 20_000 for name, count in parts.items()} == pytest.approx(
        {"test": 0.2, "choice": 0.15, "training": 0.65}, abs=0.01
    )


def test_a_person_stays_in_the_same_part_for_ever() -> None:
    """Written down once: whatever changes, no one may come over from the test."""
    parts = [part_of("nhanes-1999", str(number)) for number in range(1, 12)]
    assert parts == [
        "training", "training", "training", "test", "choice", "training", "training", "choice", "choice", "training",
        "training",
    ]  # fmt: skip
