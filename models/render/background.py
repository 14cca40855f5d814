"""Places to stand in: walls, floor and furniture, all procedural, in families.

A place is a floor (y = 0), a wall behind the subject, walls at the sides, a ceiling, and solid things made of boxes,
cylinders and balls. Outdoors there is sky and far ground instead of walls and ceiling. A test can hold a family out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from models.errors import BodyRequestError

BACKGROUND_FAMILIES = (
    "plain_wall",
    "studio",
    "living_room",
    "bedroom",
    "clutter",
    "gym",
    "tiles",
    "curtain",
    "outdoor",
)

# Surfaces: what a pixel kernel draws. Each is a row of _PARAMETERS numbers, the first being the kind.
PLAIN, PLANKS, TILES, BRICK, CARPET, FOLDS, STRIPES, CONCRETE, GRASS, FOLIAGE, WAINSCOT, SKY, CHECKER = range(13)
PARAMETERS = 16
_KIND, _COLOUR, _SECOND, _WIDE, _HIGH, _GAP = 0, 1, 4, 7, 8, 9
_VARIATION, _ROUGH, _TURN, _SEED = 10, 11, 12, 13

FLOOR, WALL, LEFT, RIGHT, CEILING = range(5)
FAR = 1e9


@dataclass(frozen=True)
class Background:
    """A place. family: one of BACKGROUND_FAMILIES. seed: what else is drawn from."""

    family: str
    seed: int

    def __post_init__(self) -> None:
        if self.family not in BACKGROUND_FAMILIES:
            raise BodyRequestError(
                f"There is no background family {self.family!r}.",
                remedy=f"Take one of {', '.join(BACKGROUND_FAMILIES)}.",
            )


def draw_background(rng: np.random.Generator, families: tuple[str, ...] = BACKGROUND_FAMILIES) -> Background:
    """A place of one of the families, each as likely as the others."""
    if not families:
        raise BodyRequestError("A background needs at least one family to be drawn from.")
    return Background(str(rng.choice(families)), int(rng.integers(2**62)))


@dataclass(frozen=True, eq=False)
class Place:
    """What a background is made of.

    surfaces: (5, 16) of floor, wall behind, left (x < 0), right and ceiling. walls: z of the wall behind, x of left
    and right, y of the ceiling; 1e9 away where there is none. cove: radius in metres with which floor and wall run
    into each other. vertices (n, 3), faces (m, 3), colours (m, 3) linear, finish (m, 2: grain and glow): the things,
    their flat faces having vertices of their own. floor_colour: (3,).
    """

    surfaces: np.ndarray
    walls: np.ndarray
    cove: float
    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    finish: np.ndarray
    floor_colour: np.ndarray
    outdoors: bool


@lru_cache(maxsize=16)
def place(background: Background) -> Place:
    """The place that a background names; the same for the same background."""
    rng = np.random.default_rng(background.seed)
    build = _Builder(rng)
    _FAMILIES[background.family](build)
    return build.done(background.family == "outdoor")


class _Builder:
    """Collects surfaces and things; a family's function uses it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.surfaces = np.zeros((5, PARAMETERS))
        self.behind = -float(rng.uniform(0.5, 2.2))
        self.walls = np.array([self.behind, -rng.uniform(1.3, 3.0), rng.uniform(1.3, 3.0), rng.uniform(2.35, 3.0)])
        if rng.random() < 0.45:
            self.walls[1 + rng.integers(2)] *= 3  # the room goes on to one side
        self.cove = 0.0
        self.parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def surface(
        self, which: int, kind: int, colour: np.ndarray, second: np.ndarray | None = None, *, wide: float = 1.0,
        high: float = 1.0, gap: float = 0.0, variation: float = 0.1, rough: float = 0.02, turn: float = 0.0,
    ) -> None:  # fmt: skip
        row = self.surfaces[which]
        row[_KIND] = kind
        row[_COLOUR : _COLOUR + 3] = colour
        row[_SECOND : _SECOND + 3] = colour * 0.6 if second is None else second
        row[_WIDE], row[_HIGH], row[_GAP] = wide, high, gap
        row[_VARIATION], row[_ROUGH], row[_TURN] = variation, rough, turn
        row[_SEED] = self.rng.uniform(0, 500)

    # Colours, all linear.
    def grey(self, low: float, high: float, tint: float = 0.06) -> np.ndarray:
        return self.rng.uniform(low, high) * (1 + self.rng.uniform(-tint, tint, 3))

    def any_colour(self, low: float, high: float, chroma: tuple[float, float] = (0.2, 0.9)) -> np.ndarray:
        wave = 0.5 + 0.5 * np.cos(2 * np.pi * (self.rng.random() + np.array([0, 1 / 3, 2 / 3])))
        much = self.rng.uniform(*chroma)
        return self.rng.uniform(low, high) * (1 - much + much * wave)

    def wood(self) -> np.ndarray:
        base = [(0.33, 0.19, 0.09), (0.20, 0.10, 0.045), (0.09, 0.045, 0.022), (0.42, 0.30, 0.18), (0.25, 0.21, 0.17)]
        return np.array(base[self.rng.integers(len(base))]) * self.rng.uniform(0.75, 1.25)

    def paint(self) -> np.ndarray:
        kind = self.rng.random()
        if kind < 0.55:
            return self.grey(0.5, 0.82, 0.05) * np.array([1.0, 0.985, 0.95])
        if kind < 0.75:
            return self.grey(0.15, 0.5, 0.04)
        return self.any_colour(0.12, 0.6, (0.1, 0.6))

    # Surfaces that several families share.
    def floor_of_a_home(self) -> None:
        kind = self.rng.random()
        if kind < 0.5:
            wood = self.wood()
            self.surface(FLOOR, PLANKS, wood, wood * 0.35, wide=self.rng.uniform(0.07, 0.2),
                         high=self.rng.uniform(0.6, 1.6),
                         gap=self.rng.uniform(0.001, 0.003), variation=self.rng.uniform(0.05, 0.25), rough=0.08,
                         turn=float(self.rng.choice([0.0, np.pi / 2])))  # fmt: skip
        elif kind < 0.75:
            self.surface(FLOOR, CARPET, self.any_colour(0.1, 0.5, (0.02, 0.3)), rough=self.rng.uniform(0.06, 0.16),
                         variation=self.rng.uniform(0.03, 0.12))  # fmt: skip
        elif kind < 0.9:
            tile = self.grey(0.2, 0.65)
            side = self.rng.uniform(0.2, 0.6)
            self.surface(FLOOR, TILES, tile, tile * 0.55, wide=side, high=side, gap=self.rng.uniform(0.002, 0.006),
                         variation=0.05, rough=0.03)  # fmt: skip
        else:
            self.surface(FLOOR, CONCRETE, self.grey(0.2, 0.5), variation=0.12, rough=0.04)

    def painted_walls(self, paint: np.ndarray | None = None) -> np.ndarray:
        paint = self.paint() if paint is None else paint
        for which in (WALL, LEFT, RIGHT):
            self.surface(
                which, PLAIN, paint, variation=self.rng.uniform(0.005, 0.03), rough=self.rng.uniform(0.003, 0.012)
            )
        if self.rng.random() < 0.3:  # one wall in another colour
            self.surface(WALL, PLAIN, self.paint(), variation=0.02, rough=0.008)
        self.surface(CEILING, PLAIN, self.grey(0.65, 0.85, 0.02), variation=0.01)
        return paint

    def skirting(self) -> None:
        if self.rng.random() < 0.8:
            high, colour = (
                self.rng.uniform(0.05, 0.13),
                self.grey(0.55, 0.85) if self.rng.random() < 0.7 else self.wood(),
            )
            z = self.walls[0]
            self.box((0, high / 2, z + 0.008), (8, high, 0.016), colour)
            for x in self.walls[1:3]:
                self.box((x - np.sign(x) * 0.008, high / 2, z + 2.5), (0.016, high, 5), colour)

    # Things.
    def box(
        self, middle: tuple[float, float, float], size: tuple[float, float, float], colour: np.ndarray, *,
        turn: float = 0.0, grain: float = 0.02, glow: float = 0.0,
    ) -> None:  # fmt: skip
        points, faces = _cube()
        self.add(points * np.array(size), faces, middle, colour, turn, grain, glow)

    def cylinder(
        self, middle: tuple[float, float, float], radius: float, length: float, colour: np.ndarray, *, axis: int = 1,
        top: float = 1.0, grain: float = 0.02, glow: float = 0.0, turn: float = 0.0,
    ) -> None:  # fmt: skip
        """top: the upper radius as a share of the lower one."""
        points, faces = _tube()
        wide = np.where(points[:, 1:2] > 0, top, 1.0)
        points = np.hstack([points[:, :1] * wide * radius, points[:, 1:2] * length, points[:, 2:] * wide * radius])
        if axis != 1:
            points = points[:, (1, 0, 2)] * [1, -1, 1] if axis == 0 else points[:, (0, 2, 1)] * [1, -1, 1]
        self.add(points, faces, middle, colour, turn, grain, glow)

    def ball(
        self, middle: tuple[float, float, float], radii: tuple[float, float, float], colour: np.ndarray, *,
        grain: float = 0.02,
        glow: float = 0.0,
    ) -> None:  # fmt: skip
        points, faces = _globe()
        self.add(points * np.array(radii), faces, middle, colour, 0.0, grain, glow)

    def add(
        self, points: np.ndarray, faces: np.ndarray, middle: tuple[float, float, float], colour: np.ndarray,
        turn: float, grain: float, glow: float,
    ) -> None:  # fmt: skip
        c, s = np.cos(turn), np.sin(turn)
        points = points @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) + np.array(middle)
        colours = np.repeat(np.clip(colour, 0.004, 0.9)[None], len(faces), 0)
        finish = np.repeat(np.array([[grain, glow]]), len(faces), 0)
        self.parts.append((points, faces, colours, finish))

    def done(self, outdoors: bool) -> Place:
        points, faces, colours, finish, count = [], [], [], [], 0
        for part in self.parts:
            points.append(part[0])
            faces.append(part[1] + count)
            colours.append(part[2])
            finish.append(part[3])
            count += len(part[0])
        floor = self.surfaces[FLOOR, _COLOUR : _COLOUR + 3]
        return Place(
            surfaces=self.surfaces, walls=self.walls, cove=self.cove,
            vertices=np.vstack(points) if points else np.zeros((0, 3)),
            faces=np.vstack(faces) if faces else np.zeros((0, 3), np.int64),
            colours=np.vstack(colours).astype(np.float32) if colours else np.zeros((0, 3), np.float32),
            finish=np.vstack(finish).astype(np.float32) if finish else np.zeros((0, 2), np.float32),
            floor_colour=floor.copy(), outdoors=outdoors,
        )  # fmt: skip

    # Furniture. All of it stands behind the subject (z < -0.45) or well aside.
    def against_wall(self, depth: float) -> float:
        return self.walls[0] + depth / 2 + 0.01

    def aside(self, half: float) -> float:
        """An x within the walls; anywhere, for the subject hides what is behind."""
        return float(self.rng.uniform(max(self.walls[1] + half, -2.6), min(self.walls[2] - half, 2.6)))

    def room_for(self, depth: float) -> bool:
        return self.walls[0] + depth < -0.42

    def door(self) -> None:
        wide, high, x = self.rng.uniform(0.75, 0.95), self.rng.uniform(1.95, 2.1), self.aside(0.6)
        z = self.walls[0]
        frame = self.grey(0.5, 0.85) if self.rng.random() < 0.65 else self.wood()
        leaf = frame * self.rng.uniform(0.85, 1.1) if self.rng.random() < 0.7 else self.wood()
        for side in (-1, 1):
            self.box((x + side * (wide / 2 + 0.035), high / 2, z + 0.02), (0.07, high, 0.04), frame)
        self.box((x, high + 0.035, z + 0.02), (wide + 0.14, 0.07, 0.04), frame)
        self.box((x, high / 2, z + 0.01), (wide, high, 0.02), leaf)
        if self.rng.random() < 0.6:
            for y, tall in ((0.55, 0.7), (1.45, 0.85)):
                self.box((x, y, z + 0.024), (wide * 0.66, tall, 0.008), leaf * 0.9)
        self.box((x + wide * 0.4, 1.0, z + 0.05), (0.10, 0.02, 0.02), self.grey(0.3, 0.6))

    def window(self) -> None:
        wide, high, x, y = (
            self.rng.uniform(0.7, 1.6),
            self.rng.uniform(0.8, 1.3),
            self.aside(0.8),
            self.rng.uniform(1.4, 1.6),
        )
        z, frame = self.walls[0], self.grey(0.6, 0.88)
        self.box((x, y, z + 0.006), (wide, high, 0.012), np.array([0.6, 0.7, 0.8]), glow=self.rng.uniform(0.8, 2.5))
        for side in (-1, 1):
            self.box((x + side * wide / 2, y, z + 0.02), (0.06, high + 0.06, 0.04), frame)
            self.box((x, y + side * high / 2, z + 0.02), (wide + 0.06, 0.06, 0.04), frame)
        if self.rng.random() < 0.6:
            self.box((x, y, z + 0.02), (0.04, high, 0.03), frame)

    def picture(self) -> None:
        wide, high, x, y = (
            self.rng.uniform(0.2, 0.8),
            self.rng.uniform(0.2, 0.7),
            self.aside(0.4),
            self.rng.uniform(1.3, 1.9),
        )
        z = self.walls[0]
        self.box((x, y, z + 0.012), (wide, high, 0.024), self.grey(0.01, 0.5))
        self.box((x, y, z + 0.026), (wide - 0.05, high - 0.05, 0.008), self.grey(0.6, 0.85))
        self.box((x, y, z + 0.031), (wide * 0.6, high * 0.6, 0.006), self.any_colour(0.05, 0.5), grain=0.35)

    def shelf(self) -> None:
        depth = self.rng.uniform(0.22, 0.35)
        if not self.room_for(depth):
            return
        wide, high, levels = self.rng.uniform(0.6, 1.5), self.rng.uniform(0.8, 2.1), int(self.rng.integers(2, 6))
        x, z, colour = (
            self.aside(wide / 2),
            self.against_wall(depth),
            self.wood() if self.rng.random() < 0.6 else self.grey(0.5, 0.85),
        )
        self.box((x, high / 2, z - depth / 2 + 0.01), (wide, high, 0.01), colour * 0.7)
        for side in (-1, 1):
            self.box((x + side * wide / 2, high / 2, z), (0.02, high, depth), colour)
        for level in range(levels + 1):
            y = high * level / levels
            self.box((x, max(y, 0.02), z), (wide, 0.02, depth), colour)
            at = x - wide / 2 + 0.04
            while level < levels and at < x + wide / 2 - 0.06:
                thick, tall = self.rng.uniform(0.015, 0.05), self.rng.uniform(0.4, 0.85) * high / levels
                if self.rng.random() < 0.7:
                    self.box(
                        (at + thick / 2, y + 0.01 + tall / 2, z), (thick, tall, depth * 0.7), self.any_colour(0.02, 0.5)
                    )
                at += thick + (0.0 if self.rng.random() < 0.85 else self.rng.uniform(0.05, 0.3))

    def sofa(self) -> None:
        depth = self.rng.uniform(0.8, 0.95)
        if not self.room_for(depth):
            return
        wide, x, z, colour = (
            self.rng.uniform(1.2, 2.2),
            self.aside(0.8),
            self.against_wall(depth),
            self.any_colour(0.05, 0.45, (0, 0.5)),
        )
        self.box((x, 0.25, z + 0.05), (wide, 0.36, depth - 0.1), colour, grain=0.07)
        self.box((x, 0.55, z - depth / 2 + 0.12), (wide, 0.62, 0.22), colour * 0.95, grain=0.07)
        for side in (-1, 1):
            self.box((x + side * wide / 2, 0.35, z), (0.18, 0.58, depth), colour * 0.97, grain=0.07)
        for n in range(2):
            self.box(
                (x + (n - 0.5) * (wide / 2 - 0.1), 0.49, z + 0.08),
                (wide / 2 - 0.12, 0.14, depth - 0.28),
                colour * 1.05,
                grain=0.07,
            )
        if self.rng.random() < 0.6:
            self.ball(
                (x + self.rng.uniform(-0.4, 0.4), 0.7, z - 0.05), (0.22, 0.2, 0.1), self.any_colour(0.1, 0.6), grain=0.1
            )

    def bed(self) -> None:
        if not self.room_for(0.9):
            return
        x, z, cover = self.aside(0.8), self.walls[0] + 0.45, self.any_colour(0.15, 0.7, (0.0, 0.5))
        self.box((x, 0.2, z), (2.0, 0.24, 0.86), self.wood())
        self.box((x, 0.42, z), (1.96, 0.22, 0.84), cover, grain=0.08)
        side = self.rng.choice([-1.0, 1.0])
        self.box((x + side * 1.02, 0.55, z), (0.06, 1.0, 0.9), self.wood())
        self.ball((x + side * 0.75, 0.58, z), (0.22, 0.09, 0.32), self.grey(0.6, 0.85), grain=0.05)

    def cupboard(self) -> None:
        depth = self.rng.uniform(0.4, 0.6)
        if not self.room_for(depth):
            return
        wide, high, x, z = (
            self.rng.uniform(0.8, 2.0),
            self.rng.uniform(0.7, 2.2),
            self.aside(0.6),
            self.against_wall(depth),
        )
        colour = self.wood() if self.rng.random() < 0.5 else self.grey(0.4, 0.85)
        self.box((x, high / 2, z), (wide, high, depth), colour, grain=0.05)
        doors = max(1, int(wide / 0.45))
        for n in range(doors):
            at = x - wide / 2 + (n + 0.5) * wide / doors
            self.box(
                (at, high / 2, z + depth / 2 + 0.006),
                (wide / doors - 0.012, high - 0.04, 0.014),
                colour * 1.06,
                grain=0.05,
            )
            self.box(
                (at + wide / doors * 0.35, high * 0.55, z + depth / 2 + 0.025), (0.012, 0.12, 0.02), self.grey(0.1, 0.6)
            )

    def table(self) -> None:
        if not self.room_for(0.6):
            return
        wide, high, x, z, colour = (
            self.rng.uniform(0.5, 1.4),
            self.rng.uniform(0.45, 0.76),
            self.aside(0.4),
            self.against_wall(0.6),
            self.wood(),
        )
        self.box((x, high, z), (wide, 0.03, 0.55), colour, grain=0.06)
        for sx in (-1, 1):
            for sz in (-1, 1):
                self.box((x + sx * (wide / 2 - 0.03), high / 2, z + sz * 0.24), (0.04, high, 0.04), colour * 0.9)
        if self.rng.random() < 0.6:
            self.box((x, high + 0.2, z - 0.1), (0.55, 0.33, 0.03), self.grey(0.005, 0.03), glow=0.0)
        if self.rng.random() < 0.5:
            self.cylinder((x + wide * 0.3, high + 0.07, z), 0.04, 0.12, self.any_colour(0.1, 0.6))

    def chair(self) -> None:
        if not self.room_for(0.6):
            return
        x, z = self.aside(0.3), float(self.rng.uniform(self.walls[0] + 0.3, min(-0.7, self.walls[0] + 0.8)))
        colour, turn = (
            self.wood() if self.rng.random() < 0.6 else self.any_colour(0.05, 0.5),
            self.rng.uniform(-0.6, 0.6),
        )
        c, s = np.cos(turn), np.sin(turn)
        for dx, dz, y, size in (
            (0, 0, 0.45, (0.42, 0.04, 0.42)), (0, -0.2, 0.72, (0.42, 0.42, 0.03)),
            (-0.19, -0.19, 0.23, (0.035, 0.45, 0.035)), (0.19, -0.19, 0.23, (0.035, 0.45, 0.035)),
            (-0.19, 0.19, 0.23, (0.035, 0.45, 0.035)), (0.19, 0.19, 0.23, (0.035, 0.45, 0.035)),
        ):  # fmt: skip
            self.box((x + c * dx + s * dz, y, z - s * dx + c * dz), size, colour, turn=turn)

    def plant(self) -> None:
        x = self.aside(0.3)
        z = float(self.rng.uniform(self.walls[0] + 0.3, self.walls[0] + 0.5))
        if z > -0.45:
            return
        high = self.rng.uniform(0.5, 1.4)
        self.cylinder((x, 0.16, z), 0.13, 0.32, self.any_colour(0.1, 0.6, (0, 0.6)), top=1.25)
        green = np.array([0.05, 0.13, 0.035]) * self.rng.uniform(0.6, 1.6)
        self.cylinder((x, 0.3 + high * 0.25, z), 0.015, high * 0.5, np.array([0.1, 0.07, 0.04]))
        for _ in range(int(self.rng.integers(7, 14))):
            a, r, y = self.rng.uniform(0, 6.3), self.rng.uniform(0.02, 0.25), self.rng.uniform(0.35, 0.35 + high)
            self.ball(
                (x + r * np.cos(a), y, z + 0.6 * r * np.sin(a)),
                tuple(self.rng.uniform(0.04, 0.14, 3)),
                green * self.rng.uniform(0.6, 1.5),
                grain=0.4,
            )

    def lamp(self) -> None:
        x = self.aside(0.2)
        z = self.walls[0] + 0.25
        high, glow = self.rng.uniform(1.3, 1.7), self.rng.uniform(0.0, 1.5)
        self.cylinder((x, 0.01, z), 0.14, 0.02, self.grey(0.02, 0.4))
        self.cylinder((x, high / 2, z), 0.012, high, self.grey(0.02, 0.4))
        self.cylinder((x, high + 0.1, z), 0.2, 0.26, np.array([0.75, 0.68, 0.55]), top=0.65, glow=glow)

    def rug(self) -> None:
        x, z = self.rng.uniform(-0.5, 0.5), self.rng.uniform(-0.4, 0.5)
        colour = self.any_colour(0.05, 0.5)
        self.box(
            (x, 0.003, z),
            (self.rng.uniform(1.2, 2.4), 0.005, self.rng.uniform(0.8, 1.6)),
            colour,
            turn=self.rng.uniform(-0.2, 0.2),
            grain=0.15,
        )

    def rubbish(self, count: int) -> None:
        """Boxes, cylinders and balls of any size and colour."""
        for _ in range(count):
            kind, colour = self.rng.integers(3), self.any_colour(0.01, 0.65)
            size = self.rng.uniform(0.06, 0.6, 3)
            deepest = min(-0.5, self.walls[0] + 1.2)
            x, z = self.aside(0.3), float(self.rng.uniform(self.walls[0] + 0.1, deepest))
            if z + max(size) / 2 > -0.42:
                size *= max(-0.42 - z, 0.02) * 2 / max(size)
            y = float(self.rng.choice([0.0, self.rng.uniform(0.3, 1.9)], p=(0.55, 0.45)))
            if kind == 0:
                self.box(
                    (x, y + size[1] / 2, z),
                    tuple(size),
                    colour,
                    turn=self.rng.uniform(0, 1.5),
                    grain=self.rng.uniform(0, 0.3),
                )
            elif kind == 1:
                self.cylinder(
                    (x, y + size[1] / 2, z),
                    size[0] / 2,
                    size[1],
                    colour,
                    top=self.rng.uniform(0.5, 1.2),
                    grain=self.rng.uniform(0, 0.3),
                )
            else:
                self.ball((x, y + size[0] / 2, z), (size[0] / 2,) * 3, colour, grain=self.rng.uniform(0, 0.3))


def _cube() -> tuple[np.ndarray, np.ndarray]:
    """A cube of side 1 around 0, its sides in four by four squares so that a lens can bend them."""
    grid = np.linspace(-0.5, 0.5, 4)
    points, faces = [], []
    for axis in range(3):
        for sign in (-1, 1):
            first = len(points) * 16
            u, v = np.meshgrid(grid, grid, indexing="ij")
            side = np.empty((16, 3))
            side[:, axis] = 0.5 * sign
            side[:, (axis + 1) % 3], side[:, (axis + 2) % 3] = u.ravel(), v.ravel()
            points.append(side)
            for i in range(3):
                for j in range(3):
                    a, b, c, d = (first + 4 * (i + p) + j + q for p, q in ((0, 0), (1, 0), (1, 1), (0, 1)))
                    faces += [(a, b, c), (a, c, d)] if sign > 0 else [(a, c, b), (a, d, c)]
    return np.vstack(points), np.array(faces, np.int64)


def _tube(segments: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """A cylinder of radius 1 and length 1 around 0, along y."""
    angle = np.arange(segments) * 2 * np.pi / segments
    ring = np.stack([np.sin(angle), np.zeros(segments), np.cos(angle)], 1)
    up = np.array([0, 0.5, 0])
    points = np.vstack([ring + up, ring - up, up, -up, ring + up, ring - up])
    n, faces = segments, []
    for s in range(n):
        t = (s + 1) % n
        faces += [(s, n + s, n + t), (s, n + t, t)]
        faces += [(2 * n, 2 * n + 2 + s, 2 * n + 2 + t), (2 * n + 1, 3 * n + 2 + t, 3 * n + 2 + s)]
    return points, np.array(faces, np.int64)


def _globe() -> tuple[np.ndarray, np.ndarray]:
    from models.render.hair import _sphere

    return _sphere(12, 20)


def _plain_wall(b: _Builder) -> None:
    b.floor_of_a_home()
    b.painted_walls()
    b.skirting()
    if b.rng.random() < 0.3:
        b.box(
            (b.aside(0.1), b.rng.choice([0.3, 1.1]), b.walls[0] + 0.006),
            (0.08, 0.08 if b.rng.random() < 0.5 else 0.12, 0.012),
            b.grey(0.7, 0.88),
        )


def _studio(b: _Builder) -> None:
    colour = b.grey(0.05, 0.85, 0.03) if b.rng.random() < 0.7 else b.any_colour(0.1, 0.6)
    b.cove = float(b.rng.uniform(0.3, 0.6))
    b.walls[0] = -float(b.rng.uniform(1.1, 2.6))
    b.walls[1:3] = -8.0, 8.0
    b.walls[3] = 6.0
    for which in (FLOOR, WALL, LEFT, RIGHT, CEILING):
        b.surface(which, PLAIN, colour, variation=0.01, rough=0.004)


def _living_room(b: _Builder) -> None:
    b.walls[0] = -float(b.rng.uniform(1.0, 2.6))
    b.floor_of_a_home()
    b.painted_walls()
    b.skirting()
    things = [
        b.door,
        b.window,
        b.picture,
        b.picture,
        b.shelf,
        b.sofa,
        b.cupboard,
        b.table,
        b.chair,
        b.plant,
        b.lamp,
        b.rug,
    ]
    for n in b.rng.choice(len(things), size=int(b.rng.integers(3, 8)), replace=False):
        things[n]()


def _bedroom(b: _Builder) -> None:
    b.walls[0] = -float(b.rng.uniform(1.2, 2.4))
    b.floor_of_a_home()
    b.painted_walls()
    if b.rng.random() < 0.4:
        paint = b.paint()
        b.surface(
            WALL, STRIPES, paint, paint * b.rng.uniform(0.7, 1.2, 3), wide=b.rng.uniform(0.04, 0.2), variation=0.02
        )
    b.skirting()
    b.bed()
    things = [b.window, b.cupboard, b.picture, b.lamp, b.chair, b.door, b.rug, b.shelf]
    for n in b.rng.choice(len(things), size=int(b.rng.integers(2, 6)), replace=False):
        things[n]()


def _clutter(b: _Builder) -> None:
    b.walls[0] = -float(b.rng.uniform(1.0, 2.4))
    b.floor_of_a_home()
    b.painted_walls()
    kind = b.rng.random()
    if kind < 0.35:
        paint = b.any_colour(0.1, 0.6)
        b.surface(WALL, STRIPES, paint, b.any_colour(0.05, 0.6), wide=b.rng.uniform(0.03, 0.25), variation=0.1)
    elif kind < 0.6:
        b.surface(
            WALL,
            CHECKER,
            b.any_colour(0.05, 0.6),
            b.any_colour(0.05, 0.6),
            wide=b.rng.uniform(0.05, 0.3),
            variation=0.1,
        )
    for thing in (b.shelf, b.cupboard, b.picture):
        thing()
    b.rubbish(int(b.rng.integers(12, 36)))


def _gym(b: _Builder) -> None:
    b.walls[0] = -float(b.rng.uniform(1.4, 2.8))
    rubber = b.grey(0.015, 0.06)
    if b.rng.random() < 0.6:
        b.surface(FLOOR, CARPET, rubber, b.any_colour(0.1, 0.4), rough=0.25, variation=0.05)
    else:
        b.surface(FLOOR, TILES, rubber * 2, rubber, wide=1.0, high=1.0, gap=0.004, variation=0.05, rough=0.1)
    b.painted_walls(b.grey(0.25, 0.8))
    kind = b.rng.random()
    if kind < 0.35:
        brick = (
            b.any_colour(0.12, 0.35, (0.3, 0.6))
            if b.rng.random() < 0.3
            else np.array([0.3, 0.11, 0.07]) * b.rng.uniform(0.7, 1.3)
        )
        b.surface(WALL, BRICK, brick, b.grey(0.3, 0.6), wide=0.24, high=0.075, gap=0.01, variation=0.25, rough=0.1)
    elif kind < 0.7:
        b.surface(WALL, WAINSCOT, b.grey(0.4, 0.8), b.any_colour(0.05, 0.5), high=b.rng.uniform(0.8, 1.4))
    z = b.walls[0]
    metal, dark = b.grey(0.2, 0.5), b.grey(0.01, 0.05)
    if b.rng.random() < 0.7:  # a rack of weights
        x = b.aside(0.8)
        for y in (0.4, 0.75, 1.1):
            b.box((x, y, z + 0.25), (1.5, 0.05, 0.28), dark)
            for n in range(int(b.rng.integers(3, 6))):
                at = x - 0.6 + 0.27 * n
                b.cylinder((at, y + 0.09, z + 0.18), 0.07, 0.09, dark, axis=2)
                b.cylinder((at, y + 0.09, z + 0.34), 0.07, 0.09, dark, axis=2)
                b.cylinder((at, y + 0.09, z + 0.26), 0.018, 0.16, metal, axis=2)
        for side in (-1, 1):
            b.box((x + side * 0.78, 0.6, z + 0.25), (0.05, 1.2, 0.3), dark)
    if b.rng.random() < 0.6:  # a cage
        x = b.aside(0.7)
        paint = b.any_colour(0.02, 0.4)
        for dx in (-0.6, 0.6):
            for dz in (0.2, 0.7):
                if z + dz < -0.5:
                    b.box((x + dx, 1.1, z + dz), (0.07, 2.2, 0.07), paint)
        b.cylinder((x, 1.3, z + 0.45), 0.014, 2.0, metal, axis=0)
        for dx in (-0.85, 0.85):
            b.cylinder((x + dx, 1.3, z + 0.45), 0.22, 0.06, dark, axis=0)
    if b.rng.random() < 0.6 and b.room_for(0.75):
        r = b.rng.uniform(0.25, 0.35)
        b.ball((b.aside(0.4), r, z + r + 0.05), (r, r, r), b.any_colour(0.1, 0.5), grain=0.02)
    if b.rng.random() < 0.5:  # a mirror
        b.box((b.aside(0.8), 1.2, z + 0.01), (b.rng.uniform(0.8, 1.8), 1.9, 0.02), b.grey(0.3, 0.6), grain=0.02)
    if b.rng.random() < 0.6:
        b.rug()


def _tiles(b: _Builder) -> None:
    b.walls[0] = -float(b.rng.uniform(0.6, 1.8))
    tile = b.grey(0.4, 0.85) if b.rng.random() < 0.6 else b.any_colour(0.1, 0.6)
    side = float(b.rng.choice([0.05, 0.1, 0.15, 0.2, 0.3]))
    high = side * float(b.rng.choice([0.5, 1.0, 1.0, 2.0]))
    grout = b.grey(0.15, 0.8)
    for which in (WALL, LEFT, RIGHT):
        b.surface(
            which,
            TILES if b.rng.random() < 0.8 or which != WALL else BRICK,
            tile,
            grout,
            wide=side,
            high=high,
            gap=b.rng.uniform(0.002, 0.005),
            variation=b.rng.uniform(0.02, 0.25),
            rough=0.01,
        )
    under = b.grey(0.1, 0.7)
    size = float(b.rng.choice([0.1, 0.2, 0.3, 0.45]))
    b.surface(
        FLOOR,
        CHECKER if b.rng.random() < 0.25 else TILES,
        under,
        b.grey(0.05, 0.7),
        wide=size,
        high=size,
        gap=0.004,
        variation=0.06,
        rough=0.03,
    )
    b.surface(CEILING, PLAIN, b.grey(0.65, 0.85))
    if b.rng.random() < 0.5:
        b.box((b.aside(0.4), 1.5, b.walls[0] + 0.01), (0.6, 0.8, 0.02), b.grey(0.3, 0.6), grain=0.01)
    if b.rng.random() < 0.5 and b.room_for(0.5):
        x = b.aside(0.4)
        b.box((x, 0.42, b.walls[0] + 0.24), (0.7, 0.84, 0.46), b.grey(0.4, 0.85))
        b.box((x, 0.87, b.walls[0] + 0.25), (0.75, 0.06, 0.5), b.grey(0.6, 0.88))
    if b.rng.random() < 0.5:
        b.door()
    if b.rng.random() < 0.4:
        x = b.aside(0.3)
        b.box((x, 1.05, b.walls[0] + 0.05), (0.5, 0.75, 0.03), b.any_colour(0.1, 0.7), grain=0.12)


def _curtain(b: _Builder) -> None:
    b.walls[0] = -float(b.rng.uniform(0.5, 1.6))
    b.floor_of_a_home()
    b.painted_walls()
    cloth = b.any_colour(0.04, 0.65, (0.0, 0.8))
    b.surface(
        WALL,
        FOLDS,
        cloth,
        cloth * 0.5,
        wide=b.rng.uniform(0.07, 0.2),
        gap=b.rng.uniform(0.25, 0.8),
        variation=0.25,
        rough=b.rng.uniform(0.02, 0.08),
    )
    if b.rng.random() < 0.5:
        b.cylinder((0, b.rng.uniform(2.1, 2.3), b.walls[0] + 0.08), 0.015, 8, b.grey(0.05, 0.5), axis=0)
    for thing in (b.chair, b.plant, b.lamp):
        if b.rng.random() < 0.3:
            thing()


def _outdoor(b: _Builder) -> None:
    b.walls[1:3] = -FAR, FAR
    b.walls[3] = FAR
    sky = np.array([0.35, 0.55, 0.95]) * b.rng.uniform(0.8, 1.4) if b.rng.random() < 0.6 else b.grey(0.7, 1.2, 0.05)
    b.surface(CEILING, SKY, sky, sky * 0.4 + 0.6, variation=b.rng.uniform(0, 0.5))
    kind = b.rng.random()
    if kind < 0.45:
        b.surface(
            FLOOR,
            GRASS,
            np.array([0.09, 0.15, 0.035]) * b.rng.uniform(0.6, 1.6),
            np.array([0.2, 0.17, 0.08]),
            rough=0.35,
            variation=0.3,
        )
    elif kind < 0.75:
        b.surface(FLOOR, CONCRETE, b.grey(0.12, 0.45), rough=0.12, variation=0.15)
    else:
        side = b.rng.uniform(0.2, 0.5)
        stone = b.grey(0.15, 0.45)
        b.surface(FLOOR, TILES, stone, stone * 0.5, wide=side, high=side, gap=0.008, variation=0.15, rough=0.12)
    kind = b.rng.random()
    if kind < 0.4:  # a hedge or trees
        b.walls[0] = -float(b.rng.uniform(3, 9))
        b.surface(
            WALL,
            FOLIAGE,
            np.array([0.05, 0.1, 0.025]) * b.rng.uniform(0.6, 1.8),
            np.array([0.012, 0.025, 0.008]),
            wide=b.rng.uniform(0.1, 0.5),
            high=b.rng.uniform(1.3, 5.0),
            variation=0.8,
        )
    elif kind < 0.75:  # a wall or a house
        b.walls[0] = -float(b.rng.uniform(1.2, 6))
        if b.rng.random() < 0.6:
            b.surface(
                WALL,
                BRICK,
                np.array([0.28, 0.12, 0.08]) * b.rng.uniform(0.6, 1.5),
                b.grey(0.25, 0.5),
                wide=0.24,
                high=0.075,
                gap=0.01,
                variation=0.3,
                rough=0.12,
            )
        else:
            b.surface(WALL, CONCRETE, b.grey(0.3, 0.7), rough=0.08, variation=0.12)
        b.surfaces[WALL, _TURN] = 0.0
        if b.rng.random() < 0.6:
            b.window()
        if b.rng.random() < 0.5:
            b.door()
    else:
        b.walls[0] = -FAR
    far = max(b.walls[0], -9.0)
    for _ in range(int(b.rng.integers(1, 6))):
        x, z = b.rng.uniform(-5, 5), float(b.rng.uniform(far + 0.3, max(far + 0.4, -1.5)))
        if z > -0.7:
            continue
        if b.rng.random() < 0.6:
            high, green = b.rng.uniform(2.0, 4.0), np.array([0.05, 0.1, 0.03]) * b.rng.uniform(0.5, 2.0)
            b.cylinder(
                (x, high / 2, z), b.rng.uniform(0.06, 0.16), high, np.array([0.09, 0.065, 0.045]), top=0.7, grain=0.3
            )
            for _ in range(12):
                b.ball(
                    (x + b.rng.normal(0, 0.5), high + b.rng.normal(0, 0.45), z + b.rng.normal(0, 0.3)),
                    tuple(b.rng.uniform(0.25, 0.55, 3)),
                    green * b.rng.uniform(0.6, 1.5),
                    grain=0.5,
                )
        else:
            b.ball(
                (x, b.rng.uniform(0.2, 0.5), z),
                tuple(b.rng.uniform(0.3, 0.7, 3)),
                np.array([0.05, 0.11, 0.03]) * b.rng.uniform(0.5, 1.8),
                grain=0.5,
            )


_FAMILIES = {
    "plain_wall": _plain_wall, "studio": _studio, "living_room": _living_room, "bedroom": _bedroom, "clutter": _clutter,
    "gym": _gym, "tiles": _tiles, "curtain": _curtain, "outdoor": _outdoor,
}  # fmt: skip
