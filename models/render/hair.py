"""Hair: a layer on the scalp, and what is tied or hangs from it.

Scans ask for hair that leaves neck and shoulders free; so most hair here is short or tied up, and some is neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from models.body.data import BodyData
from models.errors import BodyRequestError
from models.render.regions import Face, Regions, regions

STYLES = ("bald", "shaved", "short", "full", "afro", "bun", "ponytail", "bob", "long")
_LAYER_M = {
    "bald": 0.0, "shaved": 0.002, "short": 0.010, "full": 0.022, "afro": 0.050, "bun": 0.007, "ponytail": 0.008,
    "bob": 0.016, "long": 0.014,
}  # fmt: skip


@dataclass(frozen=True)
class Hair:
    """style: one of STYLES. volume: factor on the usual thickness. receding: metres that the forehead's hairline has
    gone back. colour: linear RGB. beard: 0 none to 1 full. brows: 0 to 1."""

    style: str
    volume: float
    receding: float
    colour: tuple[float, float, float]
    beard: float
    brows: float

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise BodyRequestError(
                f"There is no hair style {self.style!r}.", remedy=f"Take one of {', '.join(STYLES)}."
            )


def draw_hair(rng: np.random.Generator, sex: str | None, colour: tuple[float, float, float], age: float | None) -> Hair:
    """Hair as it is common for a sex (either, if it is not known)."""
    as_man = sex == "M" if sex is not None else rng.random() < 0.5
    shares = (
        (0.12, 0.16, 0.44, 0.16, 0.04, 0.03, 0.02, 0.01, 0.02)
        if as_man
        else (0.01, 0.02, 0.12, 0.08, 0.04, 0.28, 0.25, 0.10, 0.10)
    )
    years = rng.uniform(18, 80) if age is None else age
    receding = max(0.0, rng.normal(0.0005 * (years - 25), 0.012)) if as_man else max(0.0, rng.normal(0, 0.004))
    beard = float(rng.choice([0.0, rng.uniform(0.1, 0.4), rng.uniform(0.6, 1.0)], p=(0.45, 0.35, 0.2)))
    return Hair(
        style=str(rng.choice(STYLES, p=shares)),
        volume=float(rng.uniform(0.7, 1.35)),
        receding=float(min(receding, 0.05)),
        colour=colour,
        beard=beard if as_man else 0.0,
        brows=float(rng.uniform(0.5, 1.0)),
    )


@lru_cache(maxsize=16)
def hair_layer(body: BodyData, hair: Hair) -> tuple[np.ndarray, np.ndarray]:
    """Where hair is, (V,) metres from its edge, positive inside; and where it moves the skin to, (V, 3) float32
    offsets of the template, away from the middle of the skull."""
    where = regions(body)
    x, y, z = where.template.T
    centre = where.face.centre
    forward = np.clip((z - centre[2]) / (0.5 * where.face.unit), 0, 1)
    field = where.scalp - hair.receding * forward * (0.4 + 0.6 * np.clip(np.abs(x) / (0.3 * where.face.unit), 0, 1))
    if hair.style == "bald":
        return np.full(len(field), -1.0, np.float32), np.zeros((len(field), 3), np.float32)
    thickness = _LAYER_M[hair.style] * hair.volume
    # Thick hair comes up slowly from its edge, or it would stand off the ears like a helmet.
    inside = np.clip(field / (0.02 + 1.2 * thickness), 0, 1)
    inside = inside * inside * (3 - 2 * inside)
    crown = 0.75 + 0.25 * np.clip((y - centre[1]) / (0.4 * where.face.unit), -1, 1)
    away = where.template - centre
    away = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    offsets = away * (thickness * inside * crown)[:, None]
    return field.astype(np.float32), offsets.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Strand:
    """A closed mesh in the template's frame that moves with the skull: (n, 3) metres, (m, 3)."""

    vertices: np.ndarray
    faces: np.ndarray


@lru_cache(maxsize=16)
def loose_hair(body: BodyData, hair: Hair) -> Strand | None:
    """The bun, tail or mane of a style, or None if it has none."""
    where = regions(body)
    face, volume = where.face, hair.volume
    unit, centre = face.unit, face.centre
    behind = centre[2] - 0.62 * unit
    if hair.style == "bun":
        middle = np.array([0.0, centre[1] + 0.35 * unit, behind - 0.06 * unit])
        return _blob(middle, np.array([0.26, 0.24, 0.24]) * unit * volume**0.5)
    if hair.style == "ponytail":
        root = np.array([0.0, centre[1] + 0.18 * unit, behind - 0.08 * unit])
        length = unit * (0.9 + 0.7 * volume)
        return _tail(root, length, 0.16 * unit * volume**0.5)
    if hair.style in ("bob", "long"):
        return _mane(where, face, 0.95 if hair.style == "bob" else 1.7 + 0.3 * volume)
    return None


def _sphere(rings: int = 12, segments: int = 18) -> tuple[np.ndarray, np.ndarray]:
    """A unit sphere, y along its axis, with faces counter-clockwise from outside."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    around = np.arange(segments) * 2 * np.pi / segments
    body = np.stack(
        [
            np.outer(np.sin(polar), np.sin(around)),
            np.repeat(np.cos(polar)[:, None], segments, 1),
            np.outer(np.sin(polar), np.cos(around)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    points = np.vstack([body, [0, 1, 0], [0, -1, 0]])
    faces = []
    top, bottom = len(points) - 2, len(points) - 1
    for s in range(segments):
        t = (s + 1) % segments
        faces += [(top, s, t), (bottom, (rings - 2) * segments + t, (rings - 2) * segments + s)]
        for r in range(rings - 2):
            a, b, c, d = r * segments + s, r * segments + t, (r + 1) * segments + s, (r + 1) * segments + t
            faces += [(a, c, d), (a, d, b)]
    return points, np.array(faces, np.int64)


def _blob(middle: np.ndarray, radii: np.ndarray) -> Strand:
    points, faces = _sphere()
    return Strand(middle + points * radii, faces)


def _tail(root: np.ndarray, length: float, radius: float) -> Strand:
    """A tail that leaves the head backwards and then hangs."""
    points, faces = _sphere(20)
    along = (1 - points[:, 1]) / 2  # 0 at the root
    out = np.stack(
        [np.zeros_like(along), -length * along**1.15, -0.28 * length * np.sqrt(along) * (1 - 0.55 * along)], 1
    )
    round_ = np.sqrt(np.maximum(1 - points[:, 1] ** 2, 0))
    width = radius * np.sqrt(np.maximum(np.sin(np.pi * np.clip(along * 0.93 + 0.05, 0, 1)), 0)) * (1.1 - 0.45 * along)
    side = points[:, [0, 2]] / np.maximum(round_, 1e-6)[:, None] * (width * np.minimum(round_ * 3, 1))[:, None]
    return Strand(root + out + np.stack([side[:, 0], np.zeros_like(along), side[:, 1]], 1), faces)


def _mane(where: Regions, face: Face, length: float) -> Strand:
    """Hair that falls behind the face, beside and behind the neck."""
    points, faces = _sphere(20, 24)
    unit = face.unit
    down = (1 - points[:, 1]) / 2
    middle = face.centre + np.array([0.0, 0.12 * unit, -0.12 * unit])
    wide = unit * np.interp(down, [0, 0.25, 0.6, 1.0], [0.52, 0.60, 0.62, 0.55])
    deep = unit * np.interp(down, [0, 0.25, 0.6, 1.0], [0.50, 0.52, 0.40, 0.28])
    y = 0.42 * unit - down * length * unit
    back = -unit * np.interp(down, [0, 0.4, 1.0], [0.10, 0.22, 0.42])
    # Flat towards the face, so that it lies behind ears and jaw.
    z = np.where(points[:, 2] > 0, 0.25 * points[:, 2], points[:, 2]) * deep + back
    return Strand(middle + np.stack([points[:, 0] * wide, y, z], 1), faces)
