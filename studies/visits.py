"""The order of visits, as their labels tell it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FIRST = {"screening": -1, "baseline": 0, "enrolment": 0, "enrollment": 0}
_DAYS = {"day": 1, "d": 1, "week": 7, "w": 7, "wk": 7, "month": 30, "m": 30, "mo": 30, "year": 365, "y": 365}
# Longer numbers are dates or codes, not counts: 20240115.
_COUNT = r"(?P<count>[0-9]{1,5})"
_TIMED = (re.compile(rf"(?P<unit>[a-z]+)[ _-]*{_COUNT}"), re.compile(rf"{_COUNT}[ _-]*(?P<unit>[a-z]+)"))
_NUMBERED = re.compile(rf"(?:visit|v|exam)?[ _-]*{_COUNT}")


def visit_sequence(label: str, order: Sequence[str] = ()) -> int | None:
    """Where a visit stands in time: its place in `order`, else what its label says ("baseline", "week-12", "Visit 2").

    None where neither says anything; such visits are not compared.
    """
    folded = label.strip().casefold()
    if order:
        return {name.strip().casefold(): place for place, name in enumerate(order)}.get(folded)
    # REDCap's unique event names end in the arm: baseline_arm_1.
    folded = re.sub(r"_arm_[0-9]+$", "", folded)
    if folded in _FIRST:
        return _FIRST[folded]
    for pattern in _TIMED:
        if (match := pattern.fullmatch(folded)) and (days := _days_in(match["unit"])):
            return days * int(match["count"])
    match = _NUMBERED.fullmatch(folded)
    return int(match["count"]) if match else None


def _days_in(unit: str) -> int | None:
    """Days in a unit of time, which may stand in the plural."""
    return _DAYS.get(unit) or _DAYS.get(unit.removesuffix("s"))
