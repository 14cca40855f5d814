"""The order of visits, as their labels tell it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_DAYS = {"day": 1, "d": 1, "week": 7, "w": 7, "wk": 7, "month": 30, "m": 30, "mo": 30, "year": 365, "y": 365}
_TIMED = re.compile(r"(?P<unit>[a-z]+)[ _-]*(?P<number>\d+)|(?P<number2>\d+)[ _-]*(?P<unit2>[a-z]+)")
_FIRST = {"screening": -1, "baseline": 0, "enrolment": 0, "enrollment": 0}
_NUMBERED = re.compile(r"(?:visit|v|exam)?[ _-]*(\d+)")


def visit_sequence(label: str, order: Sequence[str] = ()) -> int | None:
    """Where a visit stands in time: its place in `order`, else what its label says ("baseline", "week-12", "Visit 2").

    None where neither says anything; such visits are not compared.
    """
    folded = label.strip().casefold()
    places = {name.strip().casefold(): place for place, name in enumerate(order)}
    if order:
        return places.get(folded)
    # REDCap's unique event names end in the arm: baseline_arm_1.
    folded = re.sub(r"_arm_\d+$", "", folded)
    if folded in _FIRST:
        return _FIRST[folded]
    if match := _TIMED.fullmatch(folded):
        unit = (
            (match["unit"] or match["unit2"]).rstrip("s")
            if len(match["unit"] or match["unit2"]) > 1
            else (match["unit"] or match["unit2"])
        )
        if unit in _DAYS:
            return _DAYS[unit] * int(match["number"] or match["number2"])
    if match := _NUMBERED.fullmatch(folded):
        return int(match[1])
    return None
