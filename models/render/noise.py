"""Textures of smooth noise that repeat without seams: what skin, cloth, walls and floors vary by.

They are the same in every process; a capture looks at them at places of its own.
"""

from __future__ import annotations

import math
from functools import cache

import numba
import numpy as np

VOLUME_CELLS = 32
PLANE_CELLS = 256


@cache
def volume() -> np.ndarray:
    """(32, 32, 32, 4) float32 of mean 0 and variance 1, smooth over about two cells, periodic."""
    rng = np.random.default_rng(20201)
    noise = rng.standard_normal((VOLUME_CELLS,) * 3 + (4,))
    for axis in range(3):
        noise = sum(share * np.roll(noise, shift, axis) for shift, share in ((-1, 0.25), (0, 0.5), (1, 0.25)))
    return np.ascontiguousarray(noise / noise.std(axis=(0, 1, 2)), dtype=np.float32)


@cache
def plane() -> np.ndarray:
    """(256, 256, 2) float32 of mean 0 and variance 1, periodic: noise of many scales (1/f), and white noise."""
    rng = np.random.default_rng(20202)
    frequency = np.hypot(np.fft.fftfreq(PLANE_CELLS)[:, None], np.fft.rfftfreq(PLANE_CELLS)) * PLANE_CELLS
    spectrum = np.fft.rfft2(rng.standard_normal((PLANE_CELLS, PLANE_CELLS))) / np.maximum(frequency, 3.0) ** 1.2
    spectrum[0, 0] = 0.0
    cloudy = np.fft.irfft2(spectrum, (PLANE_CELLS, PLANE_CELLS))
    white = rng.standard_normal((PLANE_CELLS, PLANE_CELLS))
    white = (white - white.mean()) / white.std()
    return np.ascontiguousarray(np.stack([cloudy / cloudy.std(), white], axis=-1), dtype=np.float32)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def in_volume(texture, x, y, z):
    """The four values of `volume` at a point given in cells, between the cells linearly."""
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    u, v, w = x - fx, y - fy, z - fz
    i, j, k = int(fx) & 31, int(fy) & 31, int(fz) & 31
    i1, j1, k1 = (i + 1) & 31, (j + 1) & 31, (k + 1) & 31
    a, b, c, d = (1 - u) * (1 - v), (1 - u) * v, u * (1 - v), u * v
    e = 1 - w
    p, q, r, s = a * e, b * e, c * e, d * e
    p1, q1, r1, s1 = a * w, b * w, c * w, d * w
    t = texture
    return (
        p * t[i, j, k, 0] + q * t[i, j1, k, 0] + r * t[i1, j, k, 0] + s * t[i1, j1, k, 0]
        + p1 * t[i, j, k1, 0] + q1 * t[i, j1, k1, 0] + r1 * t[i1, j, k1, 0] + s1 * t[i1, j1, k1, 0],
        p * t[i, j, k, 1] + q * t[i, j1, k, 1] + r * t[i1, j, k, 1] + s * t[i1, j1, k, 1]
        + p1 * t[i, j, k1, 1] + q1 * t[i, j1, k1, 1] + r1 * t[i1, j, k1, 1] + s1 * t[i1, j1, k1, 1],
        p * t[i, j, k, 2] + q * t[i, j1, k, 2] + r * t[i1, j, k, 2] + s * t[i1, j1, k, 2]
        + p1 * t[i, j, k1, 2] + q1 * t[i, j1, k1, 2] + r1 * t[i1, j, k1, 2] + s1 * t[i1, j1, k1, 2],
        p * t[i, j, k, 3] + q * t[i, j1, k, 3] + r * t[i1, j, k, 3] + s * t[i1, j1, k, 3]
        + p1 * t[i, j, k1, 3] + q1 * t[i, j1, k1, 3] + r1 * t[i1, j, k1, 3] + s1 * t[i1, j1, k1, 3],
    )  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def in_plane(texture, u, v, layer):
    """`plane` at a point given in cells, between the cells linearly. layer: 0 cloudy, 1 white."""
    fu, fv = math.floor(u), math.floor(v)
    a, b = u - fu, v - fv
    i, j = int(fv) & 255, int(fu) & 255
    i1, j1 = (i + 1) & 255, (j + 1) & 255
    upper = (1 - a) * texture[i, j, layer] + a * texture[i, j1, layer]
    lower = (1 - a) * texture[i1, j, layer] + a * texture[i1, j1, layer]
    return (1 - b) * upper + b * lower


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def hashed(a, b, c):
    """A number in [0, 1) that looks random, the same for the same three integers."""
    h = np.uint32(a * 374761393 + b * 668265263 + c * 974711)
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(1274126177))
    h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(2246822519))
    return (h ^ (h >> np.uint32(16))) * (1.0 / 4294967296.0)
