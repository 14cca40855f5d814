"""Statistical disclosure control: which counts of a table may be shown.

A count below the minimum cell could tell who is meant, and is hidden; so is any further count from which a hidden one
could be worked out by subtraction. Zero is shown: it tells of nobody.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def hidden(counts: ArrayLike, minimum: int, *, totals_known: bool = True) -> NDArray[np.bool_]:
    """Which cells of a table of counts must be hidden, bool[L, G].

    `counts` is int[L, G]: L levels (rows) by G groups (columns). The first column counts everybody; the others are
    groups that make it up. `totals_known`: the reader also knows the sum of every column.

    Hidden are the counts from 1 to `minimum` − 1 and, after that, the smallest further counts until no row or column
    has a single hidden cell and the hidden cells of a column sum to at least `minimum` (a smaller sum would itself be a
    small count that subtraction reveals).
    """
    table = np.atleast_2d(np.asarray(counts, dtype=np.int64))
    mask = (table > 0) & (table < minimum)
    levels, groups = table.shape
    changed = True
    while changed:
        changed = False
        if totals_known:
            for column in range(groups):
                count, total = mask[:, column].sum(), table[mask[:, column], column].sum()
                if count and (count == 1 or total < minimum):
                    changed |= _hide_next(table[:, column], mask[:, column], range(levels))
        if groups > 1:
            for row in range(levels):
                if mask[row].sum() == 1:
                    # Everybody's count is the one most worth showing, so it is hidden last.
                    parts = range(1, groups)
                    changed |= _hide_next(table[row], mask[row], parts) or _hide_next(table[row], mask[row], [0])
    return mask


def _hide_next(counts: NDArray[np.int64], mask: NDArray[np.bool_], among: range | list[int]) -> bool:
    """Hide the smallest shown count above zero, in place; False when there is none."""
    shown = [position for position in among if not mask[position] and counts[position] > 0]
    if not shown:
        return False
    mask[min(shown, key=lambda position: counts[position])] = True
    return True
