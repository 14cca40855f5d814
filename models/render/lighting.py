"""Light: what falls on each point of the body, and the shadow that the body throws.

The room lights the body from all sides, more from some (lamps, windows, floor), and one key light is brightest. Both
are sums over a few directions, in each of which a small map of a coarser mesh says what the body itself hides: so
folds, armpits and the inner thighs are darker, and shadows have soft edges. The same maps, laid on the floor and on
the wall behind, are the shadow there. Light is reflected once, from the floor; colours bleed no further.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numba
import numpy as np

KINDS = ("ceiling", "window", "frontal", "two_lamps", "sun", "overcast")
FLOOR_REACH_M = 1.6  # the shadow's map covers the floor this far from the subject, both ways
WALL_REACH_M = 1.6
WALL_TOP_M = 2.6
_AROUND = 14
_KEY = 4
_MAP = 64
_BIAS_M = 0.034


@dataclass(frozen=True)
class Lighting:
    """The light of a room, in linear RGB; a white wall that gets all of it from the front would have about 1.

    kind: one of KINDS. azimuth (radians, 0 from the camera's side, > 0 from +x) and elevation of the key light;
    softness: the radius of its disc seen from the subject, radians. fill_azimuth: where most of the remaining light
    comes from. key_share: 0 to 1, the key light's part of all light. key_colour, ambient_colour: linear RGB of mean 1.
    """

    kind: str
    azimuth: float
    elevation: float
    softness: float
    fill_azimuth: float
    key_share: float
    key_colour: tuple[float, float, float]
    ambient_colour: tuple[float, float, float]


def blackbody(kelvin: float) -> np.ndarray:
    """(3,) linear sRGB of mean 1 of light of a colour temperature, 2000 to 12000 K.

    Chromaticity by Kim et al. 2002 (US patent 7024034), a cubic spline of the Planckian locus, then the sRGB primaries.
    """
    t = float(np.clip(kelvin, 1667, 25000))
    if t <= 4000:
        x = -0.2661239e9 / t**3 - 0.2343589e6 / t**2 + 0.8776956e3 / t + 0.179910
    else:
        x = -3.0258469e9 / t**3 + 2.1070379e6 / t**2 + 0.2226347e3 / t + 0.240390
    if t <= 2222:
        y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    elif t <= 4000:
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        y = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    xyz = np.array([x / y, 1.0, (1 - x - y) / y])
    rgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]) @ xyz
    rgb = np.maximum(rgb, 0.0)
    return rgb / rgb.mean()


def draw_lighting(rng: np.random.Generator, outdoors: bool) -> Lighting:
    """The light of a room, or of a place outdoors."""
    kind = str(rng.choice(["sun", "overcast"]) if outdoors else rng.choice(KINDS[:4], p=(0.35, 0.3, 0.2, 0.15)))
    side = rng.choice([-1.0, 1.0])
    if kind == "ceiling":
        azimuth, elevation = rng.uniform(-1.2, 1.2), np.deg2rad(rng.uniform(55, 82))
        share, softness, kelvin = rng.uniform(0.3, 0.6), rng.uniform(0.08, 0.3), rng.uniform(2700, 5000)
    elif kind == "window":
        azimuth, elevation = side * rng.uniform(0.6, 1.5), np.deg2rad(rng.uniform(8, 35))
        share, softness, kelvin = rng.uniform(0.35, 0.7), rng.uniform(0.25, 0.5), rng.uniform(5200, 7500)
    elif kind == "frontal":
        azimuth, elevation = rng.uniform(-0.5, 0.5), np.deg2rad(rng.uniform(12, 45))
        share, softness, kelvin = rng.uniform(0.3, 0.65), rng.uniform(0.1, 0.4), rng.uniform(3200, 6500)
    elif kind == "two_lamps":
        azimuth, elevation = side * rng.uniform(0.4, 1.1), np.deg2rad(rng.uniform(25, 60))
        share, softness, kelvin = rng.uniform(0.3, 0.5), rng.uniform(0.08, 0.25), rng.uniform(2900, 5500)
    elif kind == "sun":
        azimuth, elevation = side * rng.uniform(0.1, 1.5), np.deg2rad(rng.uniform(25, 65))
        share, softness, kelvin = rng.uniform(0.5, 0.75), rng.uniform(0.01, 0.04), rng.uniform(4800, 6000)
    else:
        azimuth, elevation = rng.uniform(-1, 1), np.deg2rad(rng.uniform(50, 80))
        share, softness, kelvin = rng.uniform(0.1, 0.3), rng.uniform(0.4, 0.6), rng.uniform(6000, 7500)
    ambient = kelvin * rng.uniform(0.85, 1.2) if kind != "sun" else rng.uniform(7000, 10000)
    return Lighting(
        kind=kind,
        azimuth=float(azimuth),
        elevation=float(elevation),
        softness=float(softness),
        fill_azimuth=float(-azimuth + rng.normal(0, 0.5)),
        key_share=float(share),
        key_colour=tuple(float(v) for v in blackbody(kelvin)),
        ambient_colour=tuple(float(v) for v in blackbody(ambient)),
    )


@dataclass(frozen=True, eq=False)
class Rig:
    """A lighting as directions to the light, all unit vectors of the room.

    around: (14, 3), with radiance (14, 3); a surface's ambient light is the sum of radiance times cosine. key: (4, 3)
    directions over the key light's disc; key_direction (3,) its middle; key_power (3,) what a surface facing it gets.
    """

    around: np.ndarray
    radiance: np.ndarray
    key: np.ndarray
    key_direction: np.ndarray
    key_power: np.ndarray


def rig(lighting: Lighting, floor_colour: np.ndarray) -> Rig:
    """The directions of a lighting. floor_colour: (3,) linear RGB that the floor reflects."""
    n = np.arange(_AROUND) + 0.5
    up = 1 - 2 * n / _AROUND
    turn = n * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - up**2)
    around = np.stack([flat * np.sin(turn), up, flat * np.cos(turn)], axis=1)
    direction = _direction(lighting.azimuth, lighting.elevation)
    fill = _direction(lighting.fill_azimuth, 0.35)
    weight = 0.55 + 0.45 * up + 0.8 * np.maximum(around @ fill, 0) ** 2 + 0.35 * np.maximum(around[:, 2], 0)
    sky = weight[:, None] * np.asarray(lighting.ambient_colour)
    # The floor sends back what falls on it, less near the subject, who stands in its way.
    bounce = 0.55 * floor_colour * (np.asarray(lighting.ambient_colour) + np.asarray(lighting.key_colour)) / 2
    radiance = np.where(up[:, None] > -0.05, sky, bounce)
    # Scaled so that a surface facing the camera gets 1 - key_share.
    facing = np.maximum(around @ np.array([0.0, 0.2, 0.98]), 0)
    radiance = radiance * (1 - lighting.key_share) / (radiance.mean(1) * facing).sum()
    # A key light from aside is stronger, so that it still lights the picture.
    power = lighting.key_share / max(0.45, float(direction @ [0.0, 0.2, 0.98]))
    side = np.cross(direction, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    other = np.cross(direction, side)
    angle = 2 * np.pi * np.arange(_KEY) / _KEY + 0.4
    spread = lighting.softness * np.sqrt((np.arange(_KEY) + 0.5) / _KEY)
    key = direction + np.tan(spread)[:, None] * (np.cos(2 * angle)[:, None] * side + np.sin(2 * angle)[:, None] * other)
    key /= np.linalg.norm(key, axis=1, keepdims=True)
    return Rig(
        np.ascontiguousarray(around), np.ascontiguousarray(radiance), np.ascontiguousarray(key), direction,
        power * np.asarray(lighting.key_colour),
    )  # fmt: skip


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    return np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])


@dataclass(frozen=True, eq=False)
class Lit:
    """ambient (V, 3) and key (V,) in front of each vertex; shadows: (2, 64, 64, 2), the shares of ambient and of key
    light that the body leaves on the floor (rows z, columns x) and on the wall behind (rows y, columns x)."""

    ambient: np.ndarray
    key: np.ndarray
    shadows: np.ndarray


def light_body(
    vertices: np.ndarray,
    normals: np.ndarray,
    coarse_vertices: np.ndarray,
    coarse_faces: np.ndarray,
    seen: np.ndarray,
    light: Rig,
    wall_z: float,
) -> Lit:
    """Light on a body standing on the floor.

    vertices (V, 3) float64, normals (V, 3), seen (V,) bool: which vertices matter; the others stay dark. wall_z: where
    the wall behind is.
    """
    coarse = np.ascontiguousarray(vertices[coarse_vertices])
    ambient = np.zeros((len(vertices), 3), np.float32)
    key = np.zeros(len(vertices), np.float32)
    shadows = np.zeros((2, _MAP, _MAP, 2), np.float32)
    _light(
        vertices,
        normals,
        coarse,
        coarse_faces,
        seen,
        light.around,
        light.radiance,
        light.key,
        wall_z,
        ambient,
        key,
        shadows[0],
        shadows[1],
    )
    # The few directions of a light leave steps, most of all where the body is far from what it shades.
    shadows[0, :, :, 0] = cv2.blur(cv2.blur(shadows[0, :, :, 0], (3, 3)), (5, 5)) * _contact(coarse)
    shadows[1, :, :, 0] = cv2.blur(cv2.blur(shadows[1, :, :, 0], (9, 9)), (9, 9))
    for plane in range(2):
        shadows[plane, :, :, 1] = cv2.blur(shadows[plane, :, :, 1], (3, 3))
    # Shadows fade out where their map ends; on the wall they go on down to the floor.
    fade = np.minimum(np.minimum(np.arange(_MAP), np.arange(_MAP)[::-1]) / (0.14 * _MAP), 1).astype(np.float32)
    above = np.where(np.arange(_MAP) < _MAP / 2, 1, fade).astype(np.float32)
    shadows = 1 - (1 - shadows) * np.stack([np.outer(fade, fade), np.outer(above, fade)])[..., None]
    return Lit(ambient, key, shadows)


def _contact(points: np.ndarray) -> np.ndarray:
    """(64, 64) float32: the light that is left between the feet and the floor close to them."""
    low = points[points[:, 1] < 0.10]
    near = np.zeros((_MAP, _MAP), np.float32)
    cells = np.floor(low[:, [2, 0]] / (2 * FLOOR_REACH_M) * _MAP + _MAP / 2).astype(np.int64)
    inside = ((cells >= 0) & (cells < _MAP)).all(1)
    near[cells[inside, 0], cells[inside, 1]] = 1.0
    near = cv2.blur(near, (3, 3))
    return 1.0 - 0.6 * np.maximum(near, 0.8 * cv2.blur(near, (3, 3)))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _light(vertices, normals, coarse, faces, seen, around, radiance, key_directions, wall_z, ambient, key, floor, wall):
    many = around.shape[0]
    keys = key_directions.shape[0]
    depth = np.empty((_MAP, _MAP), np.float32)
    shade = np.empty((_MAP, _MAP), np.uint8)
    flat = np.empty((coarse.shape[0], 3), np.float32)
    floor_sum = 0.0
    wall_sum = 0.0
    # The vertices that matter, together, a little before the surface.
    count = 0
    for v in range(vertices.shape[0]):
        count += seen[v]
    near = np.empty((count, 6), np.float32)
    gathered = np.zeros((count, 4), np.float32)
    count = 0
    for v in range(vertices.shape[0]):
        if seen[v]:
            for c in range(3):
                near[count, c] = vertices[v, c] + 0.012 * normals[v, c]
                near[count, 3 + c] = normals[v, c]
            count += 1
    for n in range(many + keys):
        d = around[n] if n < many else key_directions[n - many]
        _map_of(coarse, faces, d, depth, flat)
        right, up = _across(d)
        low_r, low_u, cell = flat[0, 0], flat[0, 1], flat[0, 2]
        # What reaches each vertex from there.
        bright_r, bright_g, bright_b = 0.0, 0.0, 0.0
        if n < many:
            bright_r, bright_g, bright_b = radiance[n, 0], radiance[n, 1], radiance[n, 2]
        for s in range(count):
            cosine = near[s, 3] * d[0] + near[s, 4] * d[1] + near[s, 5] * d[2]
            if n < many and cosine <= 0.0:
                continue
            x, y, z = near[s, 0], near[s, 1], near[s, 2]
            a = (x * right[0] + y * right[1] + z * right[2] - low_r) / cell - 0.5
            b = (x * up[0] + y * up[1] + z * up[2] - low_u) / cell - 0.5
            along = x * d[0] + y * d[1] + z * d[2] + _BIAS_M
            i, j = math.floor(b), math.floor(a)
            if i < 0 or j < 0 or i >= _MAP - 1 or j >= _MAP - 1:
                open_ = 1.0
            else:
                fa, fb = a - j, b - i
                open_ = 0.0
                if depth[i, j] < along:
                    open_ += (1 - fb) * (1 - fa)
                if depth[i, j + 1] < along:
                    open_ += (1 - fb) * fa
                if depth[i + 1, j] < along:
                    open_ += fb * (1 - fa)
                if depth[i + 1, j + 1] < along:
                    open_ += fb * fa
            if n < many:
                open_ *= cosine
                gathered[s, 0] += bright_r * open_
                gathered[s, 1] += bright_g * open_
                gathered[s, 2] += bright_b * open_
            else:
                gathered[s, 3] += open_ / keys
        # What reaches the floor and the wall from there.
        if d[1] > 0.12:
            weight = 1.0 / keys
            if n < many:
                weight = (radiance[n, 0] + radiance[n, 1] + radiance[n, 2]) * d[1]
                floor_sum += weight
            for v in range(coarse.shape[0]):
                share = coarse[v, 1] / d[1]
                flat[v, 0] = (coarse[v, 0] - d[0] * share) / (2 * FLOOR_REACH_M) * _MAP + _MAP / 2
                flat[v, 1] = (coarse[v, 2] - d[2] * share) / (2 * FLOOR_REACH_M) * _MAP + _MAP / 2
            _throw(flat, faces, shade)
            _add(floor, shade, weight, 0 if n < many else 1)
        if d[2] > 0.12:
            weight = 1.0 / keys
            if n < many:
                weight = (radiance[n, 0] + radiance[n, 1] + radiance[n, 2]) * d[2]
                wall_sum += weight
            for v in range(coarse.shape[0]):
                share = (coarse[v, 2] - wall_z) / d[2]
                flat[v, 0] = (coarse[v, 0] - d[0] * share) / (2 * WALL_REACH_M) * _MAP + _MAP / 2
                flat[v, 1] = (coarse[v, 1] - d[1] * share) / WALL_TOP_M * _MAP
            _throw(flat, faces, shade)
            _add(wall, shade, weight, 0 if n < many else 1)
    count = 0
    for v in range(vertices.shape[0]):
        if seen[v]:
            ambient[v, 0], ambient[v, 1], ambient[v, 2] = gathered[count, 0], gathered[count, 1], gathered[count, 2]
            key[v] = gathered[count, 3]
            count += 1
    for i in range(_MAP):
        for j in range(_MAP):
            floor[i, j, 0] = 1.0 - floor[i, j, 0] / max(floor_sum, 1e-9)
            wall[i, j, 0] = 1.0 - wall[i, j, 0] / max(wall_sum, 1e-9)
            floor[i, j, 1] = 1.0 - floor[i, j, 1]
            wall[i, j, 1] = 1.0 - wall[i, j, 1]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _across(d):
    """Two directions across a third."""
    right = np.array([d[2], 0.0, -d[0]]) if abs(d[1]) < 0.9 else np.array([0.0, -d[2], d[1]])
    length = math.sqrt(right[0] ** 2 + right[1] ** 2 + right[2] ** 2)
    right = right / length
    up = np.array(
        [d[1] * right[2] - d[2] * right[1], d[2] * right[0] - d[0] * right[2], d[0] * right[1] - d[1] * right[0]]
    )
    return right, up


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _map_of(points, faces, d, depth, flat):
    """How far towards the light the mesh reaches in each cell. flat[0] then holds the map's corner and cell."""
    right, up = _across(d)
    low_r, high_r, low_u, high_u = np.inf, -np.inf, np.inf, -np.inf
    for v in range(points.shape[0]):
        a = points[v, 0] * right[0] + points[v, 1] * right[1] + points[v, 2] * right[2]
        b = points[v, 0] * up[0] + points[v, 1] * up[1] + points[v, 2] * up[2]
        flat[v, 0], flat[v, 1] = a, b
        flat[v, 2] = points[v, 0] * d[0] + points[v, 1] * d[1] + points[v, 2] * d[2]
        low_r, high_r, low_u, high_u = min(low_r, a), max(high_r, a), min(low_u, b), max(high_u, b)
    cell = max(high_r - low_r, high_u - low_u) / (_MAP - 2)
    low_r -= cell
    low_u -= cell
    depth[:] = -np.inf
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0 = (flat[i, 0] - low_r) / cell, (flat[i, 1] - low_u) / cell
        x1, y1 = (flat[j, 0] - low_r) / cell, (flat[j, 1] - low_u) / cell
        x2, y2 = (flat[k, 0] - low_r) / cell, (flat[k, 1] - low_u) / cell
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area <= 1e-9:  # the side that faces the light alone
            continue
        z0, z1, z2 = flat[i, 2] / area, flat[j, 2] / area, flat[k, 2] / area
        for y in range(max(math.ceil(min(y0, y1, y2) - 0.5), 0), min(math.floor(max(y0, y1, y2) - 0.5), _MAP - 1) + 1):
            py = y + 0.5
            for x in range(
                max(math.ceil(min(x0, x1, x2) - 0.5), 0), min(math.floor(max(x0, x1, x2) - 0.5), _MAP - 1) + 1
            ):
                px = x + 0.5
                w0 = (x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)
                w1 = (x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)
                w2 = (x0 - px) * (y1 - py) - (x1 - px) * (y0 - py)
                if w0 >= 0.0 and w1 >= 0.0 and w2 >= 0.0:
                    depth[y, x] = max(depth[y, x], w0 * z0 + w1 * z1 + w2 * z2)
    flat[0, 0], flat[0, 1], flat[0, 2] = low_r, low_u, cell


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _throw(flat, faces, shade):
    """The outline of the mesh, laid on a plane: 1 in shade."""
    shade[:] = 0
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, x1, y1, x2, y2 = flat[i, 0], flat[i, 1], flat[j, 0], flat[j, 1], flat[k, 0], flat[k, 1]
        if (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0) <= 0.0:
            continue
        for y in range(max(math.ceil(min(y0, y1, y2) - 0.5), 0), min(math.floor(max(y0, y1, y2) - 0.5), _MAP - 1) + 1):
            py = y + 0.5
            for x in range(
                max(math.ceil(min(x0, x1, x2) - 0.5), 0), min(math.floor(max(x0, x1, x2) - 0.5), _MAP - 1) + 1
            ):
                px = x + 0.5
                if (
                    (x1 - px) * (y2 - py) - (x2 - px) * (y1 - py) >= 0.0
                    and (x2 - px) * (y0 - py) - (x0 - px) * (y2 - py) >= 0.0
                    and (x0 - px) * (y1 - py) - (x1 - px) * (y0 - py) >= 0.0
                ):
                    shade[y, x] = 1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add(target, shade, weight, layer):
    for i in range(_MAP):
        for j in range(_MAP):
            if shade[i, j]:
                target[i, j, layer] += weight
