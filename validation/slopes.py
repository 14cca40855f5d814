"""Order statistics of the slopes of all pairs of points, for few points and for very many.

For n points there are n (n - 1)/2 slopes. Up to a thousand points they are listed and sorted. Beyond, the k-th
smallest is found without listing them: the number of slopes below s is the number of inversions of y - s x in the
order of x, which is counted in O(n log n) time and O(n) memory; s is narrowed until few slopes are left, and those
few are listed exactly (Cole R et al. SIAM J Comput 1989;18:792-810; Matoušek J. Inf Process Lett 1991;39:183-187).

Slopes are held as angles in (-π/2, π/2]; a vertical pair is π/2 and a pair of identical points has none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from validation.pairs import Floats

# Differences below this share of the values count as ties, so that 0.3 - 0.2 equals 0.2 - 0.1.
TIE = 1e-12
# All pairs are listed up to 1,000 points (half a million pairs).
LISTED = 500_000
# A search ends by listing when so many pairs a point are left: more would take longer to list than to narrow.
FEW = 20
# An angle that is narrowed further than this is found: double precision has no more to give.
NARROW = 2e-15


class Slopes:
    """Slopes (as angles) of all pairs of the points x, y, each (n,)."""

    def __init__(self, x: Floats, y: Floats) -> None:
        u, v = snap(x), snap(y)
        order = np.lexsort((v, u))
        # Slopes are made from the values themselves, orders from those with rounding removed.
        self.raw_x, self.raw_y = x[order], y[order]
        self.x, self.y = u[order], v[order]
        self.n = len(x)

    @property
    def listed(self) -> bool:
        return self.n * (self.n - 1) // 2 <= LISTED

    @cached_property
    def angles(self) -> Floats:
        """All angles, in no order; only when there are few."""
        i, j = np.triu_indices(self.n, 1)
        return angle(self.raw_x, self.raw_y, i, j)

    @cached_property
    def total(self) -> int:
        """Number of pairs with a slope: all but those of identical points."""
        if self.listed:
            return len(self.angles)
        _, counts = np.unique(np.column_stack([self.x, self.y]), axis=0, return_counts=True)
        return self.n * (self.n - 1) // 2 - int((counts * (counts - 1) // 2).sum())

    def below(self, slope: float, *, hair: float = 4 * TIE) -> tuple[int, int]:
        """Numbers of slopes that are smaller than `slope`, and that are not larger; within `hair` (an angle) is equal.

        With more points than can be listed, rounding never tells slopes apart, whatever the `hair`.
        """
        if self.listed:
            at = math.atan(slope)
            return int((self.angles < at - hair).sum()), int((self.angles <= at + hair).sum())
        z = snap(self.y - slope * self.x)
        place = np.arange(self.n)
        strict = inversions(np.lexsort((place, self.x, z)))
        loose = inversions(np.lexsort((place, -self.x, z)))
        return strict, loose

    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        """The angles of these ranks (1 is the smallest)."""
        if self.listed:
            places = [rank - 1 for rank in ranks]
            return [float(value) for value in np.partition(self.angles, places)[places]]
        return [self._select(rank) for rank in ranks]

    @cached_property
    def _counted(self) -> dict[float, int]:
        """Angles at which slopes have been counted, and how many lie below: shared by all ranks."""
        return {-math.pi / 2: 0, math.pi / 2: self.total}

    def _count(self, at: float) -> int:
        if at not in self._counted:
            self._counted[at] = inversions(self._order(at))
        return self._counted[at]

    def _select(self, rank: int) -> float:
        step = 0
        while True:
            known = self._counted
            low = max((at for at, count in known.items() if count < rank), default=-math.pi / 2)
            high = min((at for at, count in known.items() if count >= rank and at > low), default=math.pi / 2)
            under, over = known[low], known[high]
            if over - under <= FEW * self.n:
                if rank > self.total - self._vertical:
                    return math.pi / 2
                found = self._between(low, high)
                if len(found) >= rank - under:
                    return float(np.partition(found, rank - under - 1)[rank - under - 1])
            if high - low < NARROW:
                return (low + high) / 2
            # Interpolate in the counts, pulled off the ends, and halve the angle every third time against atoms.
            share = (rank - 0.5 - under) / max(over - under, 1)
            spread = min(0.5, 0.4 * FEW * self.n / max(over - under, 1) + 0.02)
            share = share - spread if step % 3 == 0 else share + spread if step % 3 == 1 else 0.5
            self._count(low + (high - low) * min(max(share, 0.02), 0.98))
            step += 1

    @cached_property
    def _vertical(self) -> int:
        """Number of pairs with equal x and different y."""
        _, in_x = np.unique(self.x, return_counts=True)
        return int((in_x * (in_x - 1) // 2).sum()) - (self.n * (self.n - 1) // 2 - self.total)

    def _between(self, low: float, high: float) -> Floats:
        """Angles of the pairs that are in order at `high` and out of order at `low`, listed."""
        first, last = self._order(low), self._order(high)
        rank = np.empty(self.n, dtype=np.int64)
        rank[first] = np.arange(self.n)
        a, b = list_inversions(rank[last])
        i, j = first[a], first[b]
        return angle(self.raw_x, self.raw_y, np.minimum(i, j), np.maximum(i, j))

    def _order(self, at: float) -> NDArray[np.intp]:
        """Points in the order of y - tan(at) x; before every slope that of x, beyond every finite slope its reverse."""
        if at <= -math.pi / 2:
            return np.arange(self.n)
        if at >= math.pi / 2:
            return np.lexsort((self.y, -self.x))
        return np.lexsort((np.arange(self.n), self.x, self.y - math.tan(at) * self.x))


def snap(values: Floats) -> Floats:
    """Values with those that differ by rounding alone made equal."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    scale = np.abs(ordered)
    gap = np.diff(ordered) > TIE * (scale[1:] + scale[:-1]) / 2
    group = np.concatenate([[0], np.cumsum(gap)])
    first = np.concatenate([[0], np.flatnonzero(gap) + 1])
    out = np.empty_like(values)
    out[order] = ordered[first][group]
    return out


def angle(x: Floats, y: Floats, i: NDArray[np.intp], j: NDArray[np.intp]) -> Floats:
    """Angles of the pairs i, j of points sorted by (x, y): in (-π/2, π/2]; identical points are left out."""
    dx, dy = x[j] - x[i], y[j] - y[i]
    dx = np.where(np.abs(dx) < TIE * (np.abs(x[j]) + np.abs(x[i])) / 2, 0.0, dx)
    dy = np.where(np.abs(dy) < TIE * (np.abs(y[j]) + np.abs(y[i])) / 2, 0.0, dy)
    some = (dx != 0) | (dy != 0)
    dx, dy = dx[some], dy[some]
    with np.errstate(divide="ignore"):
        return np.where(dx == 0, math.pi / 2, np.arctan(dy / np.where(dx == 0, 1.0, dx)))


def inversions(permutation: NDArray[np.intp]) -> int:
    """Number of pairs out of order, in O(n log n) without a loop over the elements.

    The elements are split by the leading bit of their value, then each half by the next, and so on. At each bit an
    element with a 0 makes an inversion with every earlier element of its part that has a 1.
    """
    return sum(int(counts.sum()) for _, counts, *_ in _levels(permutation))


def list_inversions(permutation: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pairs of values out of order: (smaller, larger) with the larger standing before the smaller."""
    smaller, larger = [], []
    for values, counts, zeros, ones, before in _levels(permutation):
        chosen = np.flatnonzero(counts)
        many = counts[chosen]
        if not len(chosen):
            continue
        start = before[chosen]
        offset = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many)
        smaller.append(np.repeat(values[zeros][chosen], many))
        larger.append(values[ones][np.repeat(start, many) + offset])
    if not smaller:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    return np.concatenate(smaller), np.concatenate(larger)


def _levels(permutation: NDArray[np.intp]):
    """For each bit: the values in their present order, the inversions of each element with a 0, the places of the
    elements with 0 and with 1, and where among the latter the part of each element with a 0 begins."""
    values = np.asarray(permutation, dtype=np.int64)
    n = len(values)
    for bit in range(max(n - 1, 0).bit_length() - 1, -1, -1):
        is_one = (values >> bit) & 1 == 1
        part = values >> (bit + 1)
        ones_before = np.cumsum(is_one)
        # Values are a permutation of 0..n-1, so the part of leading bits p begins at place p * 2^(bit+1).
        begin = part << (bit + 1)
        ones_at_begin = np.where(begin > 0, ones_before[np.maximum(begin - 1, 0)], 0)
        zeros = np.flatnonzero(~is_one)
        ones = np.flatnonzero(is_one)
        yield values, (ones_before - ones_at_begin)[zeros], zeros, ones, ones_at_begin[zeros]
        # Stable split of every part: zeros keep their order at its beginning, ones after them.
        destination = np.empty(n, dtype=np.int64)
        rank_one = ones_before - ones_at_begin - 1
        rank_zero = np.arange(n) - begin - (ones_before - ones_at_begin)
        zeros_in_part = np.minimum(1 << bit, n - begin)
        destination[zeros] = (begin + rank_zero)[zeros]
        destination[ones] = (begin + zeros_in_part + rank_one)[ones]
        moved = np.empty_like(values)
        moved[destination] = values
        values = moved
