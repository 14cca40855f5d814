"""Order statistics of the slopes of all pairs of points, for few points and for very many.

For n points there are n (n - 1)/2 slopes. Up to a thousand points they are listed and sorted. Beyond, the k-th
smallest is found without listing them: the number of slopes below s is the number of inversions of y - s x in the
order of x, which is counted in a few passes over the points; s is narrowed until few slopes are left, and those few
are listed exactly (Cole R et al. SIAM J Comput 1989;18:792-810; Matoušek J. Inf Process Lett 1991;39:183-187).
A sample of the slopes says where to begin, and changes nothing of what is found.

Slopes are held as angles in (-π/2, π/2]; a vertical pair is π/2 and a pair of identical points has none.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
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
FEW = 10
# An angle that is narrowed further than this is found: double precision has no more to give.
NARROW = 2e-15
# Pairs of which the slopes are looked at to begin a search.
SAMPLE = 100_000
# A slope is taken for one that very many pairs share when so many of the sample have it.
SHARED = 3
# Orders of the points that are kept.
KEPT = 8
# Half the width in which a shared slope is looked for.
HAIR = 1e-13


class Ranked(ABC):
    """Order statistics of angles that can be counted, and listed between two bounds.

    `floor` is less than or equal to every angle; `total` and `vertical` are the numbers of angles and of those of π/2.
    """

    n: int
    floor: float
    total: int
    vertical: int
    angles: Floats

    @property
    def listed(self) -> bool:
        return self.n * (self.n - 1) // 2 <= LISTED

    @abstractmethod
    def count(self, at: float) -> int:
        """Number of angles below `at`."""

    @abstractmethod
    def between(self, low: float, high: float) -> Floats:
        """Slopes (tangents) of the angles from `low` up to but not at `high`, in no order."""

    @abstractmethod
    def sample(self) -> Floats:
        """Angles of some pairs, sorted."""

    @cached_property
    def _sorted(self) -> Floats:
        return np.sort(self.angles)

    @cached_property
    def _sampled(self) -> Floats:
        return self.sample()

    @cached_property
    def _counted(self) -> dict[float, int]:
        """Angles at which slopes have been counted, and how many lie below: shared by all ranks."""
        return {self.floor: 0, math.pi / 2: self.total}

    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        """The angles of these ranks (1 is the smallest)."""
        if self.listed:
            return [float(self._sorted[rank - 1]) for rank in ranks]
        found: dict[int, float] = {}
        for rank in sorted(set(ranks)):
            if rank not in found:
                # Ranks near one another, such as the two of a median, come from one list.
                found |= self._select(rank, [other for other in ranks if other not in found])
        return [found[rank] for rank in ranks]

    def _select(self, rank: int, ranks: Sequence[int]) -> dict[int, float]:
        """The angle of `rank`, and of those of `ranks` that come with it."""
        if rank > self.total - self.vertical:
            return {rank: math.pi / 2}
        tried: set[float] = set()
        for step in range(10_000):
            low, high, under, over = self._bounds(rank)
            if over - under <= FEW * self.n:
                found = self.between(low, high)
                inside = [other for other in ranks if under < other <= under + len(found)]
                if rank in inside:
                    places = [other - under - 1 for other in inside]
                    return dict(zip(inside, np.arctan(np.partition(found, places)[places]).tolist(), strict=True))
            if high - low < NARROW:
                break
            share = (rank - 0.5 - under) / max(over - under, 1)
            atom = self._atom(low, high, share)
            if atom is not None and atom not in tried:
                tried.add(atom)
                if self._count(atom - HAIR) < rank <= self._count(atom + HAIR):
                    return {rank: atom}
                continue
            self._count(self._probe(low, high, share, over - under, rank, step))
        low, high, _, _ = self._bounds(rank)
        return {rank: (low + high) / 2}

    def _count(self, at: float) -> int:
        if at not in self._counted:
            self._counted[at] = self.count(at)
        return self._counted[at]

    def _bounds(self, rank: int) -> tuple[float, float, int, int]:
        """The nearest angles counted below and not below this rank, and their counts."""
        known = self._counted
        low = max((at for at, count in known.items() if count < rank), default=self.floor)
        high = min((at for at, count in known.items() if count >= rank and at > low), default=math.pi / 2)
        return low, high, known[low], known[high]

    def _inside(self, low: float, high: float) -> Floats:
        first, last = np.searchsorted(self._sampled, (low, high))
        return self._sampled[first:last]

    def _atom(self, low: float, high: float, share: float) -> float | None:
        """The sampled angle at this share of those inside, when others of the sample have the same."""
        inside = self._inside(low, high)
        if len(inside) < SHARED:
            return None
        at = float(inside[min(int(share * len(inside)), len(inside) - 1)])
        same = int(np.count_nonzero(np.abs(inside - at) <= HAIR))
        return at if same >= max(SHARED, len(inside) // 200) else None

    def _probe(self, low: float, high: float, share: float, left: int, rank: int, step: int) -> float:
        """Where to count next: a little to one side of where the rank should lie, by the sample or by the counts."""
        if step < 2:
            sampled = self._sampled
            place = (rank - 0.5) / self.total * len(sampled)
            margin = 3 * math.sqrt(max(place * (1 - place / len(sampled)), 1.0))
            at = int(place - margin if step == 0 else place + margin)
            if 0 <= at < len(sampled) and low < sampled[at] < high:
                return float(sampled[at])
        # Interpolate in the counts, pulled off the ends, and halve the angle every third time against atoms.
        spread = min(0.5, 0.4 * FEW * self.n / max(left, 1) + 0.005)
        share = share - spread if step % 3 == 0 else share + spread if step % 3 == 1 else 0.5
        return low + (high - low) * min(max(share, 0.01), 0.99)


class Slopes(Ranked):
    """Slopes (as angles) of all pairs of the points x, y, each (n,)."""

    floor = -math.pi / 2

    def __init__(self, x: Floats, y: Floats) -> None:
        u, v = snap(x), snap(y)
        order = np.lexsort((v, u))
        # Slopes are made from the values themselves, orders from those with rounding removed.
        self.raw_x, self.raw_y = x[order], y[order]
        self.x, self.y = u[order], v[order]
        self.n = len(x)
        self._orders: dict[float, NDArray[np.intp]] = {}

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
        return self.n * (self.n - 1) // 2 - tied_pairs(self.x, self.y)

    @cached_property
    def vertical(self) -> int:
        """Number of pairs with equal x and different y."""
        return tied_pairs(self.x) - (self.n * (self.n - 1) // 2 - self.total)

    def below(self, slope: float, *, hair: float = 4 * TIE) -> tuple[int, int]:
        """Numbers of slopes that are smaller than `slope`, and that are not larger; within `hair` (an angle) is equal.

        With more points than can be listed, rounding never tells slopes apart, whatever the `hair`.
        """
        if self.listed:
            at = math.atan(slope)
            return int((self.angles < at - hair).sum()), int((self.angles <= at + hair).sum())
        z = snap(self.y - slope * self.x)
        order = stable_order(z)
        strict = inversions(order)
        if not (np.diff(z[order]) == 0).any():
            return strict, strict
        return strict, inversions(np.lexsort((np.arange(self.n), -self.x, z)))

    def count(self, at: float) -> int:
        return inversions(self._order(at))

    def between(self, low: float, high: float) -> Floats:
        """Slopes of the pairs that are out of order at `high` and in order at `low`."""
        first, last = self._order(low), self._order(high)
        rank = np.empty(self.n, dtype=np.int32)
        rank[first] = np.arange(self.n, dtype=np.int32)
        a, b = list_inversions(rank[last])
        i, j = first[a], first[b]
        return tangent(self.raw_x, self.raw_y, np.minimum(i, j), np.maximum(i, j))

    def sample(self) -> Floats:
        chosen = np.random.default_rng(0).integers(0, self.n, (2, SAMPLE))
        return np.sort(angle(self.raw_x, self.raw_y, chosen.min(axis=0), chosen.max(axis=0)))

    def _order(self, at: float) -> NDArray[np.intp]:
        """Points in the order of y - tan(at) x; before every slope that of x, beyond every finite slope its reverse.

        The points are sorted by x and then y, so that a stable sort leaves ties in that order.
        """
        if at <= -math.pi / 2:
            return np.arange(self.n)
        if at >= math.pi / 2:
            return np.lexsort((self.y, -self.x))
        if at not in self._orders:
            # Two orders that were counted are listed between soon after.
            while len(self._orders) >= KEPT:
                del self._orders[next(iter(self._orders))]
            self._orders[at] = stable_order(self.y - math.tan(at) * self.x)
        return self._orders[at]


class Steepness(Ranked):
    """Absolute slopes (as angles from 0 to π/2) of all pairs of the points x, y, each (n,).

    They are the slopes of the points and those of their mirror image (x, -y): of a pair that rises the one, of one that
    falls the other lies above zero.
    """

    floor = 0.0

    def __init__(self, x: Floats, y: Floats) -> None:
        self.forward = Slopes(x, y)
        self.n, self.total, self.vertical = self.forward.n, self.forward.total, self.forward.vertical

    @cached_property
    def mirror(self) -> Slopes:
        return Slopes(self.forward.raw_x, -self.forward.raw_y)

    @cached_property
    def angles(self) -> Floats:
        return np.abs(self.forward.angles)

    def count(self, at: float) -> int:
        # Slopes below `at`, and those above -`at`: every slope that is not vertical is one of them, those between both.
        return self.forward.count(at) + self.mirror.count(at) - (self.total - self.vertical)

    def between(self, low: float, high: float) -> Floats:
        rising, falling = self.forward.between(low, high), self.mirror.between(low, high)
        # A level pair is in both.
        return np.concatenate([np.abs(rising), falling[falling != 0]])

    def sample(self) -> Floats:
        return np.sort(np.abs(self.forward.sample()))


def stable_order(values: Floats) -> NDArray[np.intp]:
    """Stable order of values (n,). A plain sort is five times as fast, and the same where there are no ties."""
    order = np.argsort(values)
    ordered = values[order]
    return np.argsort(values, kind="stable") if (ordered[1:] == ordered[:-1]).any() else order


def tied_pairs(*columns: Floats) -> int:
    """Number of pairs of rows that are equal in every column (n,)."""
    order = np.lexsort(columns)
    new = np.zeros(max(len(order) - 1, 0), dtype=bool)
    for values in columns:
        new |= np.diff(values[order]) != 0
    counts = np.bincount(np.concatenate([[0], np.cumsum(new)]))
    return int((counts * (counts - 1) // 2).sum())


def concordance_scores(u: Floats, v: Floats) -> NDArray[np.int64]:
    """For each point the number of others with which (u, v), each (n,), agree in order, less those that disagree.

    Σ over j of sign(u_i - u_j) sign(v_i - v_j); ties count nothing, and rounding does not tell ties apart. u and v have
    one unit: where one is a difference in which digits cancel, the rounding is that of the larger.
    """
    rounding = 1e-14 * float(max(np.abs(u).max(), np.abs(v).max()))
    u, v = snap(u, rounding), snap(v, rounding)
    out = np.zeros(len(u), dtype=np.int64)
    for sign in (-1, 1):
        w = -sign * v
        # In order of u, ties of u in rising order of w: a pair is out of order only where both differ.
        order = np.lexsort((w, u))
        permutation = np.argsort(np.lexsort((np.arange(len(u)), w[order])))
        out[order] += sign * inversions_of_each(permutation)
    return out


def snap(values: Floats, rounding: float = 0.0) -> Floats:
    """Values with those that differ by rounding alone (a share of them, or `rounding` at most) made equal."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    scale = np.abs(ordered)
    gap = np.diff(ordered) > np.maximum(TIE * (scale[1:] + scale[:-1]) / 2, rounding)
    group = np.concatenate([[0], np.cumsum(gap)])
    first = np.concatenate([[0], np.flatnonzero(gap) + 1])
    out = np.empty_like(values)
    out[order] = ordered[first][group]
    return out


def angle(x: Floats, y: Floats, i: NDArray[np.intp], j: NDArray[np.intp]) -> Floats:
    """Angles of the pairs i, j of points sorted by (x, y): in (-π/2, π/2]; identical points are left out."""
    return np.arctan(tangent(x, y, i, j))


def tangent(x: Floats, y: Floats, i: NDArray[np.intp], j: NDArray[np.intp]) -> Floats:
    """Slopes of the pairs i, j of points sorted by (x, y), infinite where x is equal; identical points are left out."""
    dx, dy = apart(x[i], x[j]), apart(y[i], y[j])
    level = dx == 0
    if level.any():
        some = ~level | (dy != 0)
        dx, dy, level = dx[some], dy[some], level[some]
        dx[level], dy[level] = 1.0, math.inf
    return dy / dx


def apart(a: Floats, b: Floats) -> Floats:
    """b - a, zero where they differ by rounding alone."""
    gap = b - a
    np.abs(a, out=a), np.abs(b, out=b)
    a += b
    a *= TIE / 2
    gap[np.abs(gap) < a] = 0.0
    return gap


def inversions(permutation: NDArray[np.integer]) -> int:
    """Number of pairs of a permutation of 0..n-1 that are out of order.

    Places and values are cut into about √n/2 parts each. Pairs in different parts of both are counted in the table of
    how many elements each part of places has in each part of values; pairs in the same part one by one.
    """
    n = len(permutation)
    if n < 2:
        return 0
    size = max(2, math.isqrt(n) // 2)
    parts = -(-n // size)
    # Filled up to whole parts by elements that are in order.
    values = np.arange(parts * size, dtype=np.int32)
    values[:n] = permutation
    place = np.arange(parts * size, dtype=np.int32) // size
    place_of_value = np.empty_like(place)
    place_of_value[values] = place
    table = np.bincount(place * parts + values // size, minlength=parts * parts).reshape(parts, parts)
    at_least = np.cumsum(table[:, ::-1], axis=1)[:, ::-1]
    before = np.cumsum(at_least[:-1, 1:], axis=0)
    across = int((before * table[1:, :-1]).sum())
    return across + _lagged(values.reshape(parts, size)) + _lagged(place_of_value.reshape(parts, size))


def _lagged(rows: NDArray[np.integer]) -> int:
    """Number of pairs out of order within each row, over all rows."""
    return sum(int(np.count_nonzero(rows[:, :-lag] > rows[:, lag:])) for lag in range(1, rows.shape[1]))


def inversions_of_each(permutation: NDArray[np.integer]) -> NDArray[np.int64]:
    """For each place, the number of pairs out of order in which its element takes part."""
    of_value = np.zeros(len(permutation), dtype=np.int64)
    for values, counts, zeros, ones, before in _levels(permutation):
        of_value[values[zeros]] += counts
        # The larger elements: those of the first `counts` ones of the part, counted up from where it begins.
        size = len(ones) + 1
        ends = np.bincount(before, minlength=size) - np.bincount(before + counts, minlength=size)
        of_value[values[ones]] += np.cumsum(ends)[:-1]
    return of_value[np.asarray(permutation)]


def list_inversions(permutation: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
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


def _levels(permutation: NDArray[np.integer]):
    """For each bit: the values in their present order, the inversions of each element with a 0, the places of the
    elements with 0 and with 1, and where among the latter the part of each element with a 0 begins.

    The elements are split by the leading bit of their value, then each half by the next, and so on. At each bit an
    element with a 0 makes an inversion with every earlier element of its part that has a 1.
    """
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
