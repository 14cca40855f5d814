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
    small count that subtraction reveals). Where several sums together would still give a small count away, more is
    hidden, in the end zeros as well.
    """
    table = np.atleast_2d(np.asarray(counts, dtype=np.int64))
    small = (table > 0) & (table < minimum)
    mask = small.copy()
    _hide_lone(table, mask, minimum, totals_known=totals_known)
    # A group that is small as a whole is the caller's to leave out; nothing hidden within it would help.
    large, groups = table.sum(axis=0) >= minimum, table.shape[1]
    while not mask.all() and _given_away(table, mask, small & large, totals_known=totals_known):
        shown = np.argwhere(~mask)
        # First the smallest counts of the groups, then their zeros; everybody's counts are the most worth showing.
        order = [(groups > 1 and column == 0, table[row, column] == 0, table[row, column]) for row, column in shown]
        mask[tuple(shown[min(range(len(shown)), key=order.__getitem__)])] = True
        _hide_lone(table, mask, minimum, totals_known=totals_known)
    return mask


def _hide_lone(table: NDArray[np.int64], mask: NDArray[np.bool_], minimum: int, *, totals_known: bool) -> None:
    """Hide further counts, in place, beside hidden ones that are alone in their row or column."""
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


def _given_away(
    table: NDArray[np.int64], mask: NDArray[np.bool_], small: NDArray[np.bool_], *, totals_known: bool
) -> bool:
    """Whether some small count has only one value that goes together with everything shown (by linear programming)."""
    from scipy.optimize import linprog

    levels, groups = table.shape
    cells = np.flatnonzero(mask)
    wanted = np.flatnonzero(small.ravel()[cells])
    equations = []
    for column in range(groups) if totals_known else ():
        equation = np.zeros(table.shape)
        equation[:, column] = 1
        equations.append(equation.ravel())
    for row in range(levels) if groups > 1 else ():
        equation = np.zeros(table.shape)
        equation[row] = [1, *[-1] * (groups - 1)]
        equations.append(equation.ravel())
    if not len(wanted) or not equations:
        return False
    known = np.array(equations)[:, cells]
    sums = known @ table.ravel()[cells]
    for place in wanted:
        goal = np.zeros(len(cells))
        goal[place] = 1
        least, most = (linprog(sign * goal, A_eq=known, b_eq=sums, bounds=(0, None)).fun for sign in (1, -1))
        if most is None:  # there is no bound from above: of a row that is hidden as a whole, and no total known
            continue
        if -most - least < 1 - 1e-6:
            return True
    return False


def _hide_next(counts: NDArray[np.int64], mask: NDArray[np.bool_], among: range | list[int]) -> bool:
    """Hide the smallest shown count above zero, in place; False when there is none."""
    shown = [position for position in among if not mask[position] and counts[position] > 0]
    if not shown:
        return False
    mask[min(shown, key=lambda position: counts[position])] = True
    return True
