"""People by two attributes at once: which intersections may be shown, and the errors of a test in each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboards.queries import Selection
from dashboards.selection import Rows, distribution
from studies.disclosure import hidden
from studies.intersections import BETWEEN
from validation.accuracy import SCALE
from validation.resampling import jackknife

METRICS = ("mae", "bias")


@dataclass(frozen=True)
class Crossing:
    """Two attributes crossed, of one test in a selection.

    key: of `results["intersections"]`, "" where the results have nothing of this. attributes: down and across. groups:
    the names of the groups of each. codes: (n,) the cell of every row, counted row by row, -1 where none is shown.
    subjects, shown: (down, across) how many people are in each cell, and whether it may be shown.
    """

    key: str
    attributes: tuple[str, str]
    groups: tuple[list[str], list[str]]
    codes: NDArray[np.int64]
    subjects: NDArray[np.int64]
    shown: NDArray[np.bool_]

    @property
    def cells(self) -> list[tuple[str, str]]:
        """The two groups of every cell, row by row."""
        return [(a, b) for a in self.groups[0] for b in self.groups[1]]

    @property
    def names(self) -> list[str]:
        """The cells' names, as in the results."""
        return [BETWEEN.join(pair) for pair in self.cells]


def cross(chosen: Selection, first: str, second: str, test: str) -> Crossing:
    """Two attributes of the plan crossed; in the plan's order where the plan crosses them itself.

    A cell is hidden where it is smaller than the plan's minimum cell or would reveal such a one, and where the results
    hide it of the index test: what another test adds could be subtracted.
    """
    key = _planned(chosen, first, second)
    if key:
        first, second = chosen.results["intersections"][key]["attributes"]
    rows, mask, groups = chosen.rows, chosen.mask, chosen.analysis.groups
    (down, down_names), (across, across_names) = groups[first], groups[second]
    down, across = down[mask].astype(np.int64), across[mask].astype(np.int64)
    there = ~np.isnan(rows.tests[test]) & (down >= 0) & (across >= 0)
    shape = len(down_names), len(across_names)
    codes = np.where(there, down * shape[1] + across, -1)
    subjects = _people(rows, codes, shape[0] * shape[1]).reshape(shape)
    least = rows.manner.minimum_cell
    shown = subjects >= least
    if subjects.any():
        shown &= ~hidden(np.column_stack([subjects.sum(axis=1), subjects]), least)[:, 1:]
    if key:
        by_group = chosen.results["intersections"][key]["by_group"]
        for place, name in enumerate(BETWEEN.join((a, b)) for a in down_names for b in across_names):
            shown.flat[place] &= not by_group.get(name, {}).get("suppressed")
    codes[~np.append(shown.ravel(), False)[codes]] = -1
    return Crossing(key, (first, second), (down_names, across_names), codes, subjects, shown)


def _planned(chosen: Selection, first: str, second: str) -> str:
    """The key of what the results say of two attributes crossed, be it the one way or the other."""
    for key, part in (chosen.results.get("intersections") or {}).items():
        if set(part["attributes"]) == {first, second}:
            return key
    return ""


def _people(rows: Rows, codes: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """How many different people are in each cell; codes as of `Crossing`."""
    there = codes >= 0
    if rows.subjects == rows.n:
        return np.bincount(codes[there], minlength=size)
    people = int(rows.subject.max(initial=0)) + 1
    once = np.unique(codes[there] * people + rows.subject[there])
    return np.bincount(once // people, minlength=size)


def errors(chosen: Selection, crossing: Crossing, test: str) -> dict[str, dict[str, Any]]:
    """{"n", "mae", "bias"} of a test in every cell that is shown, as in `results["intersections"]`.

    Intervals are those of the jackknife, there as here.
    """
    rows = chosen.rows
    manner = replace(rows.manner, within=())
    # Sorted once, since looking for the rows of each cell among all takes longer than all the rest.
    codes = crossing.codes.astype(np.int16)
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(crossing.names) + 1))
    found = {}
    for place, name in enumerate(crossing.names):
        mine = order[ends[place] : ends[place + 1]]
        if not len(mine):
            continue
        table = Rows(rows.reference[mine], {test: rows.tests[test][mine]}, rows.subject[mine], manner).table(test)
        made = {m: jackknife(distribution(table, m), level=manner.level, scale=SCALE.get(m, "raw")) for m in METRICS}
        found[name] = {"n": len(table.test), **{metric: item.to_dict() for metric, item in made.items()}}
    return found
