"""The same person at another body-fat percentage.

Fat-free mass is kept, fat mass changes, and the skin is moved along one direction (`direction.fat_direction`) until the
body holds as many litres more or less as that fat takes. Volume is a polynomial of the third degree along a line, so
that a step costs microseconds. Stature, skeleton and muscle stay.

The volume of the start is the mesh's own, whatever the density that it leads to: lungs, and the error of an avatar that
was made from photos, are carried along unchanged, because only the difference is computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.avatar.composition import FAT_DENSITY, density, mass_at, volume_of_fat
from models.avatar.direction import fat_direction
from models.body.data import check_betas
from models.body.files import open_body
from models.errors import BodyRequestError
from models.measure.measurements import measure
from models.measure.tape import volume_and_area

if TYPE_CHECKING:
    from models.body.data import BodyData

LOWEST, HIGHEST = 3.0, 60.0
"""Percentages of body fat that can be asked for: from the least that the living have (essential fat of men)."""

_MASS = (20.0, 400.0)
_SETTLED_L = 1e-12


@dataclass(frozen=True)
class Morphed:
    """A person at a body-fat percentage: mass (kg), volume (l) and betas (K,) float64."""

    body_fat_percent: float
    weight_kg: float
    volume_l: float
    betas: np.ndarray

    @property
    def fat_mass_kg(self) -> float:
        return self.weight_kg * self.body_fat_percent / 100

    @property
    def fat_free_mass_kg(self) -> float:
        return self.weight_kg - self.fat_mass_kg


class Morpher:
    """One person at any body-fat percentage within `range`.

    betas (K,): the person as they are, at `body_fat_percent`. weight_kg: what a scale says; if None, volume times the
    density that Siri's equation gives that body fat. sex: "F", "M", or None if not known: fat is then put on half-way
    between. Raises BodyRequestError for betas that the body does not have, or an impossible body fat or mass.
    """

    def __init__(
        self,
        betas: np.ndarray,
        *,
        body_fat_percent: float,
        weight_kg: float | None = None,
        sex: str | None = None,
        body: BodyData | None = None,
    ) -> None:
        self.body = open_body() if body is None else body
        if sex not in ("F", "M", None):
            raise BodyRequestError(f"The sex is {sex!r}; give F, M or nothing.")
        if not LOWEST <= body_fat_percent <= HIGHEST:
            raise BodyRequestError(
                f"A body fat of {body_fat_percent:g} % cannot be the start.",
                remedy=f"Give one from {LOWEST:g} to {HIGHEST:g} %.",
            )
        if weight_kg is not None and not _MASS[0] <= weight_kg <= _MASS[1]:
            raise BodyRequestError(f"A mass of {weight_kg:g} kg is not an adult's.", remedy="Give it in kilograms.")
        if np.ndim(betas) != 1:
            raise BodyRequestError(f"A morph is of one body, betas ({self.body.n_betas},), not {np.shape(betas)}.")
        self._betas = check_betas(np.asarray(betas)[None], self.body)[0].copy()
        self._betas.flags.writeable = False
        self._direction = fat_direction(self.body, sex)
        self._vertices = self.body.v_template + self.body.shapedirs.astype(np.float64) @ self._betas
        self._moves = self.body.shapedirs.astype(np.float64) @ self._direction
        self._cubic = _volume_along(self._vertices, self._moves, self.body.faces)
        volume = float(self._cubic[0])
        weight = volume * density(body_fat_percent) if weight_kg is None else float(weight_kg)
        self.start = Morphed(float(body_fat_percent), weight, volume, self._betas)
        self._reach = _growing(self._cubic, *_within_span(self._betas, self._direction, self.body.span))
        self.range = self._allowed()

    @property
    def unexplained_l(self) -> float:
        """Litres that the mesh has more than mass over density, by Siri's equation: lungs, and errors of mass, body
        fat and mesh. A morph leaves it as it is."""
        return self.start.volume_l - self.start.weight_kg / density(self.start.body_fat_percent)

    def at(self, body_fat_percent: float) -> Morphed:
        """The person at this percentage of body fat; at that of the start, the very same betas.

        Raises BodyRequestError beyond `range`, naming it.
        """
        if body_fat_percent == self.start.body_fat_percent:
            return self.start
        way, weight = self._way(body_fat_percent)
        return Morphed(float(body_fat_percent), weight, self._volume_at(weight), self._betas + way * self._direction)

    def vertices(self, body_fat_percent: float) -> np.ndarray:
        """(V,3) metres, T-pose: the body of `at`, without going through the betas; for a slider."""
        way = 0.0 if body_fat_percent == self.start.body_fat_percent else self._way(body_fat_percent)[0]
        return self._vertices + way * self._moves

    def measured(self, body_fat_percent: float) -> dict[str, float]:
        """Every measurement of `models.measure` at this body fat."""
        found = measure(self.vertices(body_fat_percent), self.body)
        return {name: float(value) for name, value in found.items()}

    def _way(self, body_fat_percent: float) -> tuple[float, float]:
        """How far along the direction, and the mass there."""
        low, high = self.range
        if not low <= body_fat_percent <= high:
            raise BodyRequestError(
                f"A body fat of {body_fat_percent:g} % is beyond what can be shown for this person.",
                remedy=f"Ask for {_up(low):.1f} to {_down(high):.1f} %.",
            )
        weight = mass_at(self.start.weight_kg, self.start.body_fat_percent, body_fat_percent)
        return self._solved(self._volume_at(weight)), weight

    def _volume_at(self, weight_kg: float) -> float:
        return self.start.volume_l + volume_of_fat(weight_kg - self.start.weight_kg)

    def _solved(self, volume_l: float) -> float:
        """Where along the way the body has this volume: Newton's method, kept between bounds that close in."""
        c0, c1, c2, c3 = self._cubic
        low, high = self._reach
        way = min(max((volume_l - c0) / c1, low), high)
        for _ in range(100):
            over = c0 + way * (c1 + way * (c2 + way * c3)) - volume_l
            if over > 0:
                high = way
            else:
                low = way
            if abs(over) < _SETTLED_L * volume_l or high - low < 1e-15:
                break
            slope = c1 + way * (2 * c2 + way * 3 * c3)
            step = way - over / slope if slope > 0 else math.inf
            way = step if low < step < high else (low + high) / 2
        return way

    def _allowed(self) -> tuple[float, float]:
        """The percentages of body fat that this person can be shown at."""
        c0, c1, c2, c3 = self._cubic
        ends = []
        for way in self._reach:
            volume = c0 + way * (c1 + way * (c2 + way * c3))
            weight = self.start.weight_kg + (volume - self.start.volume_l) * FAT_DENSITY
            lean = self.start.fat_free_mass_kg
            ends.append(100 * (1 - lean / weight) if weight > lean else -math.inf)
        start = self.start.body_fat_percent
        return min(max(ends[0], LOWEST), start), max(min(ends[1], HIGHEST), start)


def _volume_along(vertices: np.ndarray, moves: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(4,): the volume (l) of vertices + t · moves as a polynomial in t, exact but for rounding."""
    at = np.array([-3.0, -1.0, 1.0, 3.0]) * 5.0  # litres more or less
    corners = np.ascontiguousarray(faces, np.int64)
    volumes = [1000 * volume_and_area(np.ascontiguousarray(vertices + t * moves), corners)[0] for t in at]
    return np.linalg.solve(np.vander(at, increasing=True), np.array(volumes))


def _within_span(betas: np.ndarray, direction: np.ndarray, span: np.ndarray) -> tuple[float, float]:
    """How far one can go both ways before a beta leaves the span."""
    moving = np.abs(direction) > 1e-12
    ends = (span[:, moving] - betas[moving]) / direction[moving]
    return float(ends.min(axis=0).max()) * (1 - 1e-9), float(ends.max(axis=0).min()) * (1 - 1e-9)


def _growing(cubic: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The part of low to high, 0 within, where the volume grows all the way."""
    turns = np.roots([3 * cubic[3], 2 * cubic[2], cubic[1]])
    for turn in turns[np.isreal(turns)].real:
        if turn < 0:
            low = max(low, turn)
        else:
            high = min(high, turn)
    return low, high


def _up(value: float) -> float:
    return math.ceil(value * 10 - 1e-9) / 10


def _down(value: float) -> float:
    return math.floor(value * 10 + 1e-9) / 10
