"""Form-fitting clothes, as worn for a scan: cuts, colours and patterns.

A cut is a field on the body's surface, positive where there is cloth. Cloth lies on the skin: it moves the surface by
its own thickness, a few millimetres, and changes little else than colour and sheen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from models.body.data import BodyData
from models.body.skeleton import joint
from models.errors import BodyRequestError
from models.render.regions import Regions, regions

BOTTOMS = ("briefs", "trunks", "shorts", "knee_tights", "leggings")
TOPS = ("none", "sports_bra", "tank_top", "t_shirt", "long_sleeves")
PATTERNS = ("plain", "side_panels", "hoops", "heather", "camouflage", "band")
THICKEST_M = 0.004
MOST_SPAN_M = 0.005


@dataclass(frozen=True)
class Garment:
    """One piece of clothing.

    cut: one of BOTTOMS or TOPS. reach: 0 to 1, how far the cut goes (rise and legs, hem and sleeves). neckline: 0 high
    to 1 low. thickness: metres. colours: linear RGB of the cloth and of its pattern. pattern: one of PATTERNS, of size
    `pattern_size` metres.
    """

    cut: str
    reach: float
    neckline: float
    thickness: float
    colour: tuple[float, float, float]
    second_colour: tuple[float, float, float]
    pattern: str
    pattern_size: float
    sheen: float

    def __post_init__(self) -> None:
        if self.cut not in BOTTOMS + TOPS:
            raise BodyRequestError(f"There is no cut {self.cut!r}.", remedy=f"Take one of {', '.join(BOTTOMS + TOPS)}.")
        if not 0 <= self.thickness <= THICKEST_M:
            raise BodyRequestError(f"Cloth is 0 to {THICKEST_M * 1000:.0f} mm thick, not {self.thickness * 1000:.1f}.")


def draw_garments(rng: np.random.Generator, sex: str | None) -> tuple[Garment, Garment]:
    """A bottom and a top. Tops are left off only by men."""
    bottom = str(rng.choice(BOTTOMS, p=(0.15, 0.25, 0.25, 0.15, 0.20)))
    shares = (0.45, 0.0, 0.22, 0.23, 0.10) if sex == "M" else (0.0, 0.45, 0.28, 0.20, 0.07)
    top = str(rng.choice(TOPS, p=shares))
    first = _draw_garment(rng, bottom)
    second = _draw_garment(rng, top)
    if rng.random() < 0.4:  # a set
        second = Garment(**{**second.__dict__, "colour": first.colour, "second_colour": first.second_colour})
    return first, second


def _draw_garment(rng: np.random.Generator, cut: str) -> Garment:
    return Garment(
        cut=cut,
        reach=float(rng.random()),
        neckline=float(rng.random()),
        thickness=float(rng.uniform(0.001, 0.003)),
        colour=_draw_cloth_colour(rng),
        second_colour=_draw_cloth_colour(rng),
        pattern=str(rng.choice(PATTERNS, p=(0.58, 0.12, 0.06, 0.12, 0.05, 0.07))),
        pattern_size=float(rng.uniform(0.03, 0.08)),
        sheen=float(rng.uniform(0.0, 0.06)),
    )


def _draw_cloth_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """Linear RGB; black, grey, navy and white are more common than bright colours."""
    kind = rng.random()
    if kind < 0.35:
        value = rng.uniform(0.008, 0.05) * np.array([1, 1, rng.uniform(1, 1.4)])
    elif kind < 0.5:
        value = rng.uniform(0.08, 0.4) * np.array([1, 1, 1.02])
    elif kind < 0.6:
        value = rng.uniform(0.5, 0.75) * np.array([1, 1, 0.97])
    else:
        hue, chroma, light = rng.random(), rng.uniform(0.3, 0.95), rng.uniform(0.04, 0.45)
        wave = 0.5 + 0.5 * np.cos(2 * np.pi * (hue + np.array([0, 1 / 3, 2 / 3])))
        value = light * (1 - chroma + chroma * wave)
    return tuple(float(v) for v in value)


@dataclass(frozen=True, eq=False)
class Bridge:
    """How cloth spans small relief of the chest.

    Vertices `numbers` (n,) go towards `weights` (n, V sparse) times all vertices, but no further than MOST_SPAN_M.
    """

    numbers: np.ndarray
    weights: sparse.csr_array

    def flatten(self, vertices: np.ndarray, under: np.ndarray) -> None:
        """Moves those of the vertices (V, 3) whose place in `numbers` is among `under` (n,) bool."""
        moves = (self.weights @ vertices)[under] - vertices[self.numbers[under]]
        length = np.linalg.norm(moves, axis=1, keepdims=True)
        vertices[self.numbers[under]] += moves * np.minimum(1, MOST_SPAN_M / np.maximum(length, 1e-9))


@lru_cache(maxsize=4)
def bridge(body: BodyData) -> Bridge:
    """The nipples and what is around them, on the template: each point goes to the mean of a ring about it."""
    where = regions(body)
    x, _, z = where.template.T.astype(np.float64)
    scale = where.scale
    chest = np.flatnonzero(
        (np.abs(x) > 0.04 * scale) & (np.abs(x) < 0.16 * scale) & (where.trunk > 0.5) & (where.trunk < 0.8)
        & (z > where.joints[joint("spine3"), 2]) & (where.arm < 0.5)
    )  # fmt: skip
    tree = cKDTree(where.template[chest])
    near = tree.query_ball_point(where.template[chest], 0.025 * scale)
    peak = np.array([z[chest[n]] - z[chest[group]].mean() for n, group in enumerate(near)])
    moved, rows, columns, values = [], [], [], []
    for side in (-1, 1):
        half = np.flatnonzero(np.sign(x[chest]) == side)
        tip = where.template[chest[half[peak[half].argmax()]]]
        off = np.linalg.norm(where.template[chest] - tip, axis=1)
        ring = chest[(off > 0.022 * scale) & (off < 0.042 * scale)]
        for v in chest[off <= 0.024 * scale]:
            weight = np.exp(
                -((np.linalg.norm(where.template[ring] - where.template[v], axis=1) / (0.025 * scale)) ** 2)
            )
            rows += [len(moved)] * len(ring)
            columns += list(ring)
            values += list(weight / weight.sum())
            moved.append(v)
    return Bridge(np.array(moved), sparse.csr_array((values, (rows, columns)), shape=(len(moved), body.n_vertices)))


@lru_cache(maxsize=16)
def cloth_field(body: BodyData, garment: Garment) -> np.ndarray:
    """(V,) float32: metres from the garment's edge, positive under the cloth."""
    where = regions(body)
    if garment.cut == "none":
        return np.full(body.n_vertices, -1.0, np.float32)
    field = _bottom(where, garment) if garment.cut in BOTTOMS else _top(where, garment)
    # Hands and head are never clothed, whatever the pose of the template.
    return np.where(where.head > 0.5, -1.0, field).astype(np.float32)


_LEGS = {"trunks": (0.03, 0.14), "shorts": (0.18, 0.38), "knee_tights": (0.5, 0.68), "leggings": (0.82, 0.97)}


def _bottom(where: Regions, garment: Garment) -> np.ndarray:
    x, y, z = where.template.T
    length, reach = where.trunk_length, garment.reach
    knee, ankle = (where.joints[joint(f"left_{j}"), 1] for j in ("knee", "ankle"))
    in_front = np.clip(z / (0.06 * where.scale), -1, 1)
    rise = 0.24 + 0.13 * garment.neckline
    waist = (rise - where.trunk) * length - 0.012 * where.scale * in_front
    if garment.cut == "briefs":
        slope = 0.35 + 0.55 * reach
        # Higher cut in front than behind.
        edge = where.crotch_y - 0.012 * where.scale
        low = y - edge - np.maximum(np.abs(x) - 0.035 * where.scale, 0) * slope * (0.62 + 0.38 * in_front)
    else:
        least, most = _LEGS[garment.cut]
        share = least + (most - least) * reach
        # 0 at the crotch, 0.5 at the knee, 1 at the ankle.
        edge = np.interp(share, [0, 0.5, 1], [where.crotch_y, knee, ankle])
        low = y - edge
    return np.where(where.arm > 0.5, -1.0, np.minimum(waist, low))


def _top(where: Regions, garment: Garment) -> np.ndarray:
    x, _, z = where.template.T
    scale, length, cut = where.scale, where.trunk_length, garment.cut
    aside = np.abs(x)
    shoulder, elbow, wrist = (where.joints[joint(f"left_{j}"), 0] for j in ("shoulder", "elbow", "wrist"))
    middle = where.joints[joint("left_shoulder"), 2]
    front = np.clip((z - middle) / (0.05 * scale) * 0.5 + 0.5, 0, 1)
    front = front * front * (3 - 2 * front)
    if cut == "sports_bra":
        hem = 0.545 + 0.05 * garment.reach
        low_front, low_back, strap = 0.83 - 0.06 * garment.neckline, 0.84 - 0.10 * garment.neckline, 0.072
        out, armpit = 0.125, 0.72
    elif cut == "tank_top":
        hem = 0.10 + 0.22 * garment.reach
        low_front, low_back, strap = 0.88 - 0.06 * garment.neckline, 0.90 - 0.05 * garment.neckline, 0.080
        out, armpit = 0.150, 0.73
    else:
        hem = 0.06 + 0.2 * garment.reach
        low_front, low_back, strap = 0.95 - 0.05 * garment.neckline, 0.985, 0.078
        out, armpit = 10.0, 0.0
    # The opening at the neck: a slot as wide as the straps leave it, its lower corners round.
    foot = low_back + (low_front - low_back) * front
    neck = -_rounded_min(strap * scale - aside, (where.trunk - foot) * length, 0.06 * scale)
    below = (where.trunk - hem) * length
    field = np.minimum(below, neck)
    if cut in ("sports_bra", "tank_top"):
        beside = -_rounded_min(aside - out * scale, (where.trunk - armpit) * length, 0.05 * scale)
        return np.minimum(field, beside)
    if cut == "t_shirt":
        end = shoulder + (0.35 + 0.5 * garment.reach) * (elbow - shoulder)
    else:
        end = elbow + (0.7 + 0.28 * garment.reach) * (wrist - elbow)
    return np.minimum(field, end - aside)


def _rounded_min(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """The lesser of two fields, round where they meet."""
    share = np.clip(0.5 + 0.5 * (b - a) / radius, 0, 1)
    return b + share * (a - b) - radius * share * (1 - share)
