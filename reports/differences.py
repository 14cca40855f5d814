"""How two files differ, told so that a person can see what was changed."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

_SHOWN = 5


def likeness(first: bytes, second: bytes) -> float:
    """The share of bytes in lines that both have, 0 to 1. Compressed parts of a PDF have lines by chance, too."""
    if not first or not second:
        return float(first == second)
    ours, theirs = (Counter(data.split(b"\n")) for data in (first, second))
    shared = sum(len(line) + 1 for line, count in (ours & theirs).items() for _ in range(count))
    return shared / (max(len(first), len(second)) + 1)


def alteration(original: bytes, given: bytes) -> str:
    """In words, how many bytes differ and where: "3 bytes differ, the first at byte 10,234 (line 120)"."""
    start = _common(original, given)
    place = f"byte {start + 1:,} (line {original[:start].count(bytes([10])) + 1:,})"
    if len(original) == len(given):
        number = int((np.frombuffer(original, np.uint8) != np.frombuffer(given, np.uint8)).sum())
        return f"{number:,} {'byte differs' if number == 1 else 'bytes differ'}, the first at {place}"
    end = min(_common(original[::-1], given[::-1]), min(len(original), len(given)) - start)
    longer = len(given) - len(original)
    unit = "byte" if abs(longer) == 1 else "bytes"
    size = f"{abs(longer):,} {unit} {'longer' if longer > 0 else 'shorter'}"
    replaced, by = len(original) - start - end, len(given) - start - end
    return f"it is {size}; from {place} on, {replaced:,} bytes were replaced by {by:,}"


def _common(first: bytes, second: bytes) -> int:
    """Length of the common beginning."""
    size = min(len(first), len(second))
    differ = np.flatnonzero(np.frombuffer(first[:size], np.uint8) != np.frombuffer(second[:size], np.uint8))
    return int(differ[0]) if len(differ) else size


def changed_values(original: bytes, given: bytes) -> list[tuple[str, Any, Any]] | None:
    """(path, old, new) of every value that differs between two JSON files; None where one is no JSON."""
    try:
        ours, theirs = dict(_leaves(json.loads(original))), dict(_leaves(json.loads(given)))
    except ValueError:
        return None
    paths = dict.fromkeys([*ours, *theirs])
    missing = object()
    found = []
    for path in paths:
        old, new = ours.get(path, missing), theirs.get(path, missing)
        if old is missing or new is missing or type(old) is not type(new) or old != new:
            found.append((path, None if old is missing else old, None if new is missing else new))
    return found


def told(changes: list[tuple[str, Any, Any]]) -> str:
    """The first few changes, as "tests.bia.mae.estimate was 4.47 and is 3.47"."""
    shown = "; ".join(f"{path} was {_shown(old)} and is {_shown(new)}" for path, old, new in changes[:_SHOWN])
    more = len(changes) - _SHOWN
    return f"{shown}; and {more:,} more" if more > 0 else shown


def largest_relative(changes: list[tuple[str, Any, Any]]) -> float | None:
    """The largest relative difference of numbers among the changes; None where anything but numbers changed."""
    largest = 0.0
    for _, old, new in changes:
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new)):
            return None
        largest = max(largest, abs(old - new) / max(abs(old), abs(new), math.ulp(0.0)))
    return largest


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for position, item in enumerate(value):
            yield from _leaves(item, f"{path}[{position}]")
    else:
        yield path, value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
