"""The colour of every pixel: people, things, walls, floor and sky, in linear light.

People and things are triangles that were drawn with several samples a pixel; walls, floor and sky are found along each
pixel's ray. A pixel inside one smooth surface is shaded once, a pixel on an edge once for each sample: so edges are
smooth, and the share of samples that show the subject is the silhouette, exactly.

Skin is diffuse with soft, reddish terminators (light that went through it), a thin oily gloss, and irregularities of
several sizes. Faces have eyes, brows and lips painted on.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from models.render.background import (
    BRICK,
    CARPET,
    CHECKER,
    CONCRETE,
    FOLDS,
    FOLIAGE,
    GRASS,
    PLANKS,
    STRIPES,
    TILES,
    WAINSCOT,
)  # fmt: skip
from models.render.camera import undistorted
from models.render.lighting import FLOOR_REACH_M, WALL_REACH_M, WALL_TOP_M
from models.render.noise import hashed, in_plane, in_volume

# Columns of the attributes that each vertex of a person has.
NORMAL, PLACE, AMBIENT, KEY, TOP, BOTTOM, HAIR, BEARD, BLOOD, PALM, HEAD, SIDE = (
    0,
    3,
    6,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    17,
)
ATTRIBUTES = 18

# Entries of a person's look.
SKIN, HAIR_COLOUR, LIPS, IRIS, OFFSET, BEARD_AMOUNT, BROWS, NOSE_Y, UNIT, CENTRE_Z, MELANIN, OIL, UNEVEN = (
    0, 3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20,
)  # fmt: skip
TOP_CLOTH, BOTTOM_CLOTH = 24, 36
COLOUR, SECOND_COLOUR, PATTERN, PATTERN_SIZE, SHEEN, FOLD_DEPTH = 0, 3, 6, 7, 8, 9
LOOK = 48

_BLOCK = 4


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def _ramp(x, low, high):
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def _cloth(look, at, x, y, z, side, field, grain, cloudy):
    """Colour of a garment whose numbers start at `at` in `look`."""
    r, g, b = look[at], look[at + 1], look[at + 2]
    pattern, size = int(look[at + PATTERN]), look[at + PATTERN_SIZE]
    second = 0.0
    if pattern == 1:
        second = _ramp(side, 0.80, 0.84)
    elif pattern == 2:
        phase = y / size - math.floor(y / size)
        second = 1.0 if phase < 0.5 else 0.0
    elif pattern == 4:
        second = _ramp(cloudy, 0.25, 0.40)
    elif pattern == 5:
        second = 1.0 - _ramp(field, 0.4 * size, 0.4 * size + 0.002)
    r += second * (look[at + 3] - r)
    g += second * (look[at + 4] - g)
    b += second * (look[at + 5] - b)
    vary = 1.0 + 0.03 * cloudy + (0.22 if pattern == 3 else 0.05) * grain
    # A seam runs along the edges.
    seam = 1.0 - 0.22 * math.exp(-(((field - 0.012) / 0.0022) ** 2))
    vary *= seam
    return r * vary, g * vary, b * vary


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def _person(
    px,
    py,
    f,
    screen,
    faces,
    attributes,
    looks,
    who,
    volume,
    footprint_scale,
    ray_x,
    ray_y,
    ray_z,
    key_direction,
    key_power,
):
    """Light that a point of a person sends to the camera."""
    look = looks[who]
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    x0, y0 = screen[i, 0], screen[i, 1]
    x1, y1 = screen[j, 0], screen[j, 1]
    x2, y2 = screen[k, 0], screen[k, 1]
    w0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) / screen[i, 2]
    w1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) / screen[j, 2]
    w2 = ((x0 - px) * (y1 - py) - (x1 - px) * (y0 - py)) / screen[k, 2]
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    total = w0 + w1 + w2
    footprint = abs(area / total) * footprint_scale  # metres a pixel
    w0, w1, w2 = w0 / total, w1 / total, w2 / total
    a = attributes
    nx = w0 * a[i, 0] + w1 * a[j, 0] + w2 * a[k, 0]
    ny = w0 * a[i, 1] + w1 * a[j, 1] + w2 * a[k, 1]
    nz = w0 * a[i, 2] + w1 * a[j, 2] + w2 * a[k, 2]
    x = w0 * a[i, 3] + w1 * a[j, 3] + w2 * a[k, 3]
    y = w0 * a[i, 4] + w1 * a[j, 4] + w2 * a[k, 4]
    z = w0 * a[i, 5] + w1 * a[j, 5] + w2 * a[k, 5]
    er = w0 * a[i, 6] + w1 * a[j, 6] + w2 * a[k, 6]
    eg = w0 * a[i, 7] + w1 * a[j, 7] + w2 * a[k, 7]
    eb = w0 * a[i, 8] + w1 * a[j, 8] + w2 * a[k, 8]
    lit = w0 * a[i, KEY] + w1 * a[j, KEY] + w2 * a[k, KEY]
    top = w0 * a[i, TOP] + w1 * a[j, TOP] + w2 * a[k, TOP]
    bottom = w0 * a[i, BOTTOM] + w1 * a[j, BOTTOM] + w2 * a[k, BOTTOM]
    hair = w0 * a[i, HAIR] + w1 * a[j, HAIR] + w2 * a[k, HAIR]
    head = w0 * a[i, HEAD] + w1 * a[j, HEAD] + w2 * a[k, HEAD]
    offset = look[OFFSET]
    coarse_x, coarse_y, coarse_z, coarse_s = in_volume(volume, x * 14 + offset, y * 14 + 3.7, z * 14)
    fine_x, fine_y, fine_z, fine_s = in_volume(volume, x * 75 + offset, y * 75, z * 75)
    soft = 0.6 * footprint
    over_top = min(max(top / (2 * soft) + 0.5, 0.0), 1.0)
    over_bottom = min(max(bottom / (2 * soft) + 0.5, 0.0), 1.0)
    clothed = max(over_top, over_bottom)
    hairy = 0.0
    if hair > -0.03:
        # The hairline frays.
        width = max(0.0035, soft)
        hairy = min(max((hair + 0.004 * fine_s - 0.001) / (2 * width) + 0.5, 0.0), 1.0)

    # What it is made of.
    melanin = look[MELANIN]
    uneven = look[UNEVEN]
    tone = 1.0 + uneven * (0.035 * coarse_s + 0.028 * fine_s)
    blood = w0 * a[i, BLOOD] + w1 * a[j, BLOOD] + w2 * a[k, BLOOD] + 0.10 * coarse_x * uneven
    palm = w0 * a[i, PALM] + w1 * a[j, PALM] + w2 * a[k, PALM]
    r = look[0] * tone * (1.0 + 0.05 * blood * (1.0 - melanin) - 0.22 * melanin * max(blood, 0.0))
    g = look[1] * tone * (1.0 - 0.20 * blood * (1.0 - melanin) - 0.24 * melanin * max(blood, 0.0))
    b = look[2] * tone * (1.0 - 0.17 * blood * (1.0 - melanin) - 0.24 * melanin * max(blood, 0.0))
    if palm > 0.0:
        share = palm * (0.25 + 0.5 * melanin)
        r += share * (0.62 - r) * (0.35 + 0.4 * melanin)
        g += share * (0.40 - g) * (0.30 + 0.4 * melanin)
        b += share * (0.31 - b) * (0.30 + 0.4 * melanin)
    gloss = look[OIL]
    bump = 0.030
    eye = 0.0
    if head > 0.5:
        unit = look[UNIT]
        u, v = x / unit, (y - look[NOSE_Y]) / unit
        if z > look[CENTRE_Z] + 0.12 * unit and v < 0.75:
            blur = 0.5 * footprint / unit
            au = abs(u)
            # Lips.
            arch = 1.0 - (au / 0.172) ** 2
            if arch > 0.0 and -0.34 < v < -0.10:
                upper = -0.212 + 0.045 * arch * (1.0 - 0.35 * math.exp(-((au / 0.028) ** 2)))
                lower = -0.212 - 0.060 * arch
                lips = _ramp(min(upper - v, v - lower), -0.012 - blur, 0.014 + blur) * 0.8
                r += lips * (look[LIPS] - r)
                g += lips * (look[LIPS + 1] - g)
                b += lips * (look[LIPS + 2] - b)
                line = 0.45 * math.exp(-(((v + 0.212) / (0.010 + blur)) ** 2)) * min(1.0, 2 * arch)
                r *= 1.0 - line
                g *= 1.0 - line
                b *= 1.0 - line
                gloss += 0.5 * lips * look[OIL]
            # Brows.
            along = (au - 0.225) / 0.125
            if abs(along) < 1.3:
                middle = 0.385 + 0.030 * (1.0 - (along - 0.25) ** 2)
                thick = 0.028 * (1.0 - 0.45 * max(along, -0.6))
                brow = (1.0 - _ramp(abs(v - middle), thick * 0.35, thick + blur)) * (
                    1.0 - _ramp(abs(along), 0.75, 1.15)
                )
                brow *= look[BROWS] * (0.85 + 0.25 * fine_s)
                brow = min(max(brow, 0.0), 0.9)
                r += brow * (look[HAIR_COLOUR] * 0.8 - r)
                g += brow * (look[HAIR_COLOUR + 1] * 0.8 - g)
                b += brow * (look[HAIR_COLOUR + 2] * 0.8 - b)
            # Eyes.
            across = (au - 0.214) / 0.098
            if abs(across) < 1.25:
                high = v - 0.270
                open_ = 0.040 * (1.0 - across * across)
                opened = _ramp(open_ - abs(high) * (1.0 if high > 0 else 1.25), -blur, 0.006 + blur)
                lash = math.exp(-(((high - open_) / (0.010 + blur)) ** 2)) * (1.0 - _ramp(abs(across), 0.85, 1.15))
                socket = 0.16 * math.exp(-((across / 0.9) ** 2) - ((high - 0.01) / 0.06) ** 2)
                r *= 1.0 - socket
                g *= 1.0 - socket * 1.1
                b *= 1.0 - socket * 1.05
                if opened > 0.0:
                    ring = math.hypot((au - 0.214), high - 0.006)
                    iris = 1.0 - _ramp(ring, 0.034 - blur, 0.040 + blur)
                    pupil = 1.0 - _ramp(ring, 0.012, 0.018 + blur)
                    er_, eg_, eb_ = 0.42, 0.38, 0.36
                    er_ += iris * (look[IRIS] - er_)
                    eg_ += iris * (look[IRIS + 1] - eg_)
                    eb_ += iris * (look[IRIS + 2] - eb_)
                    dark = 1.0 - 0.9 * pupil
                    shade = 0.55 + 0.45 * _ramp(open_ - high, 0.0, 0.045)  # under the lid
                    eye = opened
                    r += opened * (er_ * dark * shade - r)
                    g += opened * (eg_ * dark * shade - g)
                    b += opened * (eb_ * dark * shade - b)
                lash = min(lash * 0.75, 0.75)
                r += lash * (0.012 - r)
                g += lash * (0.010 - g)
                b += lash * (0.009 - b)
            # Nostrils.
            if abs(au - 0.052) < 0.05 and -0.12 < v < -0.02:
                hole = 0.5 * math.exp(-(((au - 0.052) / 0.026) ** 2) - ((v + 0.072) / 0.020) ** 2)
                r *= 1.0 - hole
                g *= 1.0 - hole
                b *= 1.0 - hole
        beard = look[BEARD_AMOUNT]
        if beard > 0.0:
            field = w0 * a[i, BEARD] + w1 * a[j, BEARD] + w2 * a[k, BEARD]
            mouth = math.hypot(u / 0.18, (v + 0.22) / 0.062)
            share = _ramp(field + 0.003 * fine_s, -0.004, 0.012) * _ramp(mouth, 0.75, 1.0)
            share *= min(beard * 1.1, 0.92) * (0.85 + 0.15 * fine_s)
            share = min(max(share, 0.0), 0.92)
            r += share * (look[HAIR_COLOUR] * 0.9 - r)
            g += share * (look[HAIR_COLOUR + 1] * 0.9 - g)
            b += share * (look[HAIR_COLOUR + 2] * 0.9 - b)
            gloss *= 1.0 - 0.7 * share
    wrap_r, wrap_g, wrap_b = 0.26 - 0.12 * melanin, 0.14 - 0.05 * melanin, 0.10 - 0.03 * melanin
    if hairy > 0.0:
        # Strands run from the crown; their sheen breaks up along them.
        s_x, s_y, s_z, s_s = in_volume(volume, x * 220 + offset, y * 28, z * 220)
        shade = max(0.2, 1.0 + 0.30 * s_s + 0.15 * coarse_s)
        r += hairy * (look[HAIR_COLOUR] * shade - r)
        g += hairy * (look[HAIR_COLOUR + 1] * shade - g)
        b += hairy * (look[HAIR_COLOUR + 2] * shade - b)
        gloss += hairy * (0.02 - gloss)
        nx += hairy * 0.28 * s_x
        ny += hairy * 0.10 * s_y
        nz += hairy * 0.28 * s_z
        wrap_r += hairy * (0.1 - wrap_r)
        wrap_g += hairy * (0.1 - wrap_g)
        wrap_b += hairy * (0.1 - wrap_b)
    if clothed < 1.0:
        # Skin beside a hem is in its shade, and pressed in a little.
        near = max(top, bottom)
        if near > -0.02:
            dark = 0.30 * math.exp(min(near, 0.0) / 0.005)
            r *= 1.0 - 0.8 * dark
            g *= 1.0 - dark
            b *= 1.0 - dark
    if clothed > 0.0:
        at = TOP_CLOTH if over_top >= over_bottom else BOTTOM_CLOTH
        field = top if over_top >= over_bottom else bottom
        side = w0 * a[i, SIDE] + w1 * a[j, SIDE] + w2 * a[k, SIDE]
        size = look[at + PATTERN_SIZE]
        cloudy = coarse_s
        if look[at + PATTERN] == 4:
            _, _, _, cloudy = in_volume(volume, x / size * 0.9 + offset, y / size * 0.9, z / size * 0.9)
        cr, cg, cb = _cloth(look, at, x, y, z, side, field, fine_s, cloudy)
        # Folds run across the limbs and along the flanks.
        f_x, f_y, f_z, _ = in_volume(volume, x * 11 + offset, y * 24, z * 11 + 5.5)
        depth = look[at + FOLD_DEPTH] * clothed
        nx += depth * f_x
        ny += depth * f_y
        nz += depth * f_z
        r += clothed * (cr - r)
        g += clothed * (cg - g)
        b += clothed * (cb - b)
        gloss += clothed * (look[at + SHEEN] - gloss)
        bump += clothed * (0.02 - bump)
        wrap_r += clothed * (0.08 - wrap_r)
        wrap_g += clothed * (0.08 - wrap_g)
        wrap_b += clothed * (0.08 - wrap_b)
    # Fine relief disappears where a pixel covers more than it.
    bump *= 1.0 - eye
    relief = bump * min(1.0, 0.006 / max(footprint, 1e-6))
    nx += 0.6 * bump * coarse_x + relief * fine_x
    ny += 0.6 * bump * coarse_y + relief * fine_y
    nz += 0.6 * bump * coarse_z + relief * fine_z
    length = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
    nx, ny, nz = nx * length, ny * length, nz * length

    # Light.
    lx, ly, lz = key_direction[0], key_direction[1], key_direction[2]
    cosine = nx * lx + ny * ly + nz * lz
    dr = max(cosine + wrap_r, 0.0) / (1.0 + wrap_r)
    dg = max(cosine + wrap_g, 0.0) / (1.0 + wrap_g)
    db = max(cosine + wrap_b, 0.0) / (1.0 + wrap_b)
    ir = er + key_power[0] * lit * dr
    ig = eg + key_power[1] * lit * dg
    ib = eb + key_power[2] * lit * db
    facing = -(nx * ray_x + ny * ray_y + nz * ray_z)
    rim = (1.0 - min(max(facing, 0.0), 1.0)) ** 4
    hx, hy, hz = lx - ray_x, ly - ray_y, lz - ray_z
    h = 1.0 / math.sqrt(hx * hx + hy * hy + hz * hz)
    nh = max((nx * hx + ny * hy + nz * hz) * h, 0.0)
    broad = nh * nh
    broad *= broad
    broad *= broad  # 8th power
    tight = broad * broad
    tight *= tight  # 32nd power
    shine = gloss * (0.35 * broad + 1.4 * tight) * lit * max(min(cosine * 4.0, 1.0), 0.0)
    sheen = (0.03 + 0.5 * gloss) * rim
    sparkle = eye * tight * 0.35 * lit
    return (
        r * ir + key_power[0] * (shine + sparkle) + sheen * er,
        g * ig + key_power[1] * (shine + sparkle) + sheen * eg,
        b * ib + key_power[2] * (shine + sparkle) + sheen * eb,
    )


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def _line(distance, gap, footprint):
    """How much of a pixel a line of width `gap` covers at this distance from its middle."""
    half = 0.5 * gap
    return min(max((half - distance) / footprint + 0.5, 0.0), 1.0) * min(1.0, (gap + 0.2 * footprint) / footprint)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def _surface(surfaces, which, u, v, footprint, broad, cloud):
    """Colour of a wall, floor or sky at (u, v) metres on it, and how a fold turns it (the slope along u)."""
    kind = int(surfaces[which, 0])
    r, g, b = surfaces[which, 1], surfaces[which, 2], surfaces[which, 3]
    r2, g2, b2 = surfaces[which, 4], surfaces[which, 5], surfaces[which, 6]
    wide, high, gap, variation = surfaces[which, 7], surfaces[which, 8], surfaces[which, 9], surfaces[which, 10]
    rough, turn, seed = surfaces[which, 11], surfaces[which, 12], surfaces[which, 13]
    if turn != 0.0:
        c, si = math.cos(turn), math.sin(turn)
        u, v = c * u - si * v, si * u + c * v
    fade = min(1.0, 0.004 / max(footprint, 1e-6))
    # White noise needs no values between its cells.
    grain = 0.8 * cloud[math.floor(v * 330) & 255, math.floor(u * 330 + seed) & 255, 1] * (0.35 + 0.65 * fade)
    vary = 1.0 + variation * 0.35 * broad + rough * grain
    slope = 0.0
    second = 0.0
    if kind == PLANKS:
        row = math.floor(u / wide)
        shift = hashed(int(row), 7, int(seed)) * high
        board = math.floor((v + shift) / high)
        tone = hashed(int(row), int(board), int(seed)) - 0.5
        fibre = in_plane(cloud, u * 900 + 37.0 * tone, v * 22 + 400 * tone, 0)
        vary = 1.0 + variation * 1.6 * tone + rough * (0.9 * fibre * (0.4 + 0.6 * fade) + 0.3 * grain)
        du = u - row * wide
        dv = v + shift - board * high
        second = max(_line(min(du, wide - du), gap, footprint), _line(min(dv, high - dv), gap, footprint))
    elif kind in (TILES, BRICK):
        row = math.floor(v / high)
        shift = 0.5 * wide if kind == BRICK and int(row) % 2 else 0.0
        column = math.floor((u + shift) / wide)
        du, dv = u + shift - column * wide, v - row * high
        second = max(_line(min(du, wide - du), gap, footprint), _line(min(dv, high - dv), gap, footprint))
        vary += variation * (hashed(int(row), int(column), int(seed)) - 0.5)
    elif kind == CHECKER:
        row, column = math.floor(v / wide), math.floor(u / wide)
        second = 1.0 if (int(row) + int(column)) % 2 else 0.0
        if footprint > wide:
            second = 0.5
    elif kind == STRIPES:
        phase = u / wide - math.floor(u / wide)
        second = min(max((abs(phase - 0.5) - 0.25) * wide / max(footprint, 1e-6) + 0.5, 0.0), 1.0)
    elif kind == FOLDS:
        sway = 0.35 * in_plane(cloud, u * 40 + seed, v * 6, 0)
        phase = 2 * math.pi * (u / wide + 0.25 * math.sin(u * 5.3 + seed) + sway)
        slope = -1.3 * gap * math.sin(phase)
        vary *= 1.0 - 0.55 * gap * (0.5 - 0.5 * math.cos(phase))
    elif kind == WAINSCOT:
        second = min(max((high - v) / max(footprint, 1e-6) + 0.5, 0.0), 1.0)
    elif kind in (CONCRETE, CARPET):
        vary += variation * 0.35 * in_plane(cloud, u * 14 + seed, v * 14, 0)
    elif kind == GRASS:
        patch = in_plane(cloud, u * 22 + seed, v * 22, 0)
        second = min(max(0.35 + 0.3 * patch, 0.0), 1.0)
        vary += 0.25 * in_plane(cloud, u * 500, v * 160 + seed, 0) * fade
    elif kind == FOLIAGE:
        leaves = in_plane(cloud, u * 45 / wide * 0.2 + seed, v * 45 / wide * 0.2, 0)
        second = min(max(0.45 - 0.6 * leaves, 0.0), 1.0)
        vary += 0.35 * broad
    vary = max(vary, 0.05)
    return (r + second * (r2 - r)) * vary, (g + second * (g2 - g)) * vary, (b + second * (b2 - b)) * vary, slope


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def _near(distance):
    """1 in a corner, 0 half a metre away from it."""
    if distance > 0.5:
        return 0.0
    far = 1.0 - 2.0 * max(distance, 0.0)
    return far * far * far * far


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def _ground(
    ox,
    oy,
    oz,
    dx,
    dy,
    dz,
    angle,
    surfaces,
    walls,
    cove,
    outdoors,
    plane_ambient,
    plane_key,
    shadows,
    falloff,
    cloud,
    out,
):
    """What a ray from the camera meets: 0 floor, 1 wall behind, 2 left, 3 right, 4 ceiling, -1 sky.

    out gets the place there (u, v), metres a pixel, the ambient and key light (r, g, b), together, and the surface's
    broad irregularities; for the sky its colour. angle: radians a pixel.
    """
    nearest = 1e30
    which = -1
    if dy < 0.0:
        nearest, which = -oy / dy, 0
    if dz < 0.0:
        t = (walls[0] - oz) / dz
        if 0.0 < t < nearest:
            tall = 1e30
            if surfaces[1, 0] == FOLIAGE:
                tall = surfaces[1, 8] + 0.25 * in_plane(cloud, (ox + t * dx) * 30, 3.0, 0)
            if oy + t * dy < tall:
                nearest, which = t, 1
    if dx < 0.0:
        t = (walls[1] - ox) / dx
        if 0.0 < t < nearest:
            nearest, which = t, 2
    elif dx > 0.0:
        t = (walls[2] - ox) / dx
        if 0.0 < t < nearest:
            nearest, which = t, 3
    if dy > 0.0:
        t = (walls[3] - oy) / dy
        if 0.0 < t < nearest:
            nearest, which = t, 4
    if which < 0 or (outdoors and nearest > 60.0):
        length = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
        up = max(dy * length, 0.0)
        haze = math.exp(-up * 5.0)
        far = 25 / (up + 0.15) * length
        clouds = max(in_plane(cloud, dx * far + surfaces[4, 13], dz * far, 0), 0.0) * surfaces[4, 10] * 0.6
        mix = min(haze + clouds, 1.0)
        out[0], out[1], out[2], out[6] = 0.0, 0.0, 0.0, 0.0
        for c in range(3):
            out[3 + c] = surfaces[4, 1 + c] + mix * (surfaces[4, 4 + c] - surfaces[4, 1 + c])
        return -1
    x, y, z = ox + nearest * dx, oy + nearest * dy, oz + nearest * dz
    out[0] = z if which == 2 or which == 3 else x
    out[1] = z if which == 0 or which == 4 else y
    out[2] = nearest * angle / (math.sqrt(max(-dy, 0.08)) if which == 0 else 1.0)
    out[6] = in_plane(cloud, out[0] * 60 + surfaces[which, 13], out[1] * 60, 0)
    ambient_share, key_share = 1.0, 1.0
    # Corners are darker: each surface takes light from the other.
    if which != 0:
        ambient_share *= 1.0 - 0.32 * _near(y)
    if which != 4:
        ambient_share *= 1.0 - 0.24 * _near(walls[3] - y)
    if which != 1:
        ambient_share *= 1.0 - 0.32 * _near(z - walls[0])
    if which != 2:
        ambient_share *= 1.0 - 0.26 * _near(x - walls[1])
    if which != 3:
        ambient_share *= 1.0 - 0.26 * _near(walls[2] - x)
    blend = 0.0
    other = which
    if cove > 0.0 and which < 2:
        ambient_share = 1.0
        other = 1 - which
        blend = 0.5 * (1.0 - min(max(y, z - walls[0]) / cove, 1.0)) ** 2
    if which < 2:
        size = shadows.shape[1]
        if which == 0:
            row = (z / (2 * FLOOR_REACH_M) + 0.5) * size - 0.5
            column = (x / (2 * FLOOR_REACH_M) + 0.5) * size - 0.5
        else:
            row = y / WALL_TOP_M * size - 0.5
            column = (x / (2 * WALL_REACH_M) + 0.5) * size - 0.5
        if -1 < row < size and -1 < column < size:
            row, column = min(max(row, 0.0), size - 1.001), min(max(column, 0.0), size - 1.001)
            i, j = int(row), int(column)
            right, lower = column - j, row - i
            w00, w01, w10, w11 = (1 - lower) * (1 - right), (1 - lower) * right, lower * (1 - right), lower * right
            ambient_share *= (
                w00 * shadows[which, i, j, 0] + w01 * shadows[which, i, j + 1, 0]
                + w10 * shadows[which, i + 1, j, 0] + w11 * shadows[which, i + 1, j + 1, 0]
            )  # fmt: skip
            key_share = (
                w00 * shadows[which, i, j, 1] + w01 * shadows[which, i, j + 1, 1]
                + w10 * shadows[which, i + 1, j, 1] + w11 * shadows[which, i + 1, j + 1, 1]
            )  # fmt: skip
    pool = min(max(1.0 + falloff[0] * x + falloff[1] * (y - 1.2) + falloff[2] * (z + 0.5), 0.35), 1.6)
    for c in range(3):
        key = plane_key[which, c] + blend * (plane_key[other, c] - plane_key[which, c])
        ambient = plane_ambient[which, c] + blend * (plane_ambient[other, c] - plane_ambient[which, c])
        out[3 + c] = pool * (ambient * ambient_share + key * key_share)
    return which


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True, inline="always")
def _thing(f, x, y, z, vertices, faces, colours, finish, plane_ambient, key_direction, key_power, cloud):
    """Light from a thing: flat faces, darker near the floor."""
    i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
    ux, uy, uz = vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1], vertices[j, 2] - vertices[i, 2]
    vx, vy, vz = vertices[k, 0] - vertices[i, 0], vertices[k, 1] - vertices[i, 1], vertices[k, 2] - vertices[i, 2]
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    length = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-20)
    nx, ny, nz = nx * length, ny * length, nz * length
    diffuse = max(nx * key_direction[0] + ny * key_direction[1] + nz * key_direction[2], 0.0) * 0.85
    low = 1.0 - 0.35 * math.exp(-max(y, 0.0) / 0.07)
    rising = 0.5 + 0.5 * ny
    grain = finish[f, 0]
    u = z if abs(nx) > 0.7 else x
    v = z if abs(ny) > 0.7 else y
    vary = 1.0 + grain * (0.6 * in_plane(cloud, u * 160, v * 160, 0) + 0.5 * in_plane(cloud, u * 420, v * 420, 1))
    vary = max(vary, 0.1)
    glow = finish[f, 1]
    r = colours[f, 0] * (
        vary
        * low
        * (plane_ambient[1, 0] + rising * (plane_ambient[0, 0] - plane_ambient[1, 0]) + key_power[0] * diffuse)
        + glow
    )
    g = colours[f, 1] * (
        vary
        * low
        * (plane_ambient[1, 1] + rising * (plane_ambient[0, 1] - plane_ambient[1, 1]) + key_power[1] * diffuse)
        + glow
    )
    b = colours[f, 2] * (
        vary
        * low
        * (plane_ambient[1, 2] + rising * (plane_ambient[0, 2] - plane_ambient[1, 2]) + key_power[2] * diffuse)
        + glow
    )
    return r, g, b


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def shade(
    ids, nearness, factor, screen, faces, ends, attributes, looks, thing_vertices, thing_faces, colours, finish,
    surfaces, walls, cove, outdoors, plane_ambient, plane_key, falloff, shadows, key_direction, key_power,
    turn, position, focal, k1, volume, cloud, image, silhouette,
):  # fmt: skip
    """Fills image (H, W, 3) float32, linear, and silhouette (H, W) uint8, the subject's share of each pixel.

    ids, nearness: what is in front at each sample, `factor` squared of them a pixel. ends: (2,) where the faces of the
    subject and of a bystander end; the rest are things. thing_vertices and thing_faces are in the room and count from
    0.

    Walls and floor are found along the rays of every fourth pixel, and between them where all four rays meet one
    surface.
    """
    height, width = image.shape[0], image.shape[1]
    many = factor * factor
    cx, cy = 0.5 * width, 0.5 * height
    angle = 1.0 / focal
    blocks = (width + _BLOCK - 1) // _BLOCK
    met = np.empty((2, blocks + 1), np.int64)
    found = np.empty((2, blocks + 1, 7))
    here = np.empty(7)
    for row in range(height):
        if row % _BLOCK == 0:
            # The rays of the grid's next line or, at first, of its first two.
            for line in range(0 if row == 0 else 1, 2):
                if line == 1 and row > 0:
                    met[0] = met[1]
                    found[0] = found[1]
                y = (row + line * _BLOCK + 0.5 - cy) * angle
                for block in range(blocks + 1):
                    x = (block * _BLOCK + 0.5 - cx) * angle
                    back = undistorted(x * x + y * y, k1)
                    bx, by = x * back, y * back
                    met[line, block] = _ground(
                        position[0], position[1], position[2],
                        turn[0, 0] * bx + turn[1, 0] * by + turn[2, 0], turn[0, 1] * bx + turn[1, 1] * by + turn[2, 1],
                        turn[0, 2] * bx + turn[1, 2] * by + turn[2, 2], angle, surfaces, walls, cove, outdoors,
                        plane_ambient, plane_key, shadows, falloff, cloud, found[line, block],
                    )  # fmt: skip
        lower = (row % _BLOCK) / _BLOCK
        for column in range(width):
            subject = 0
            people = 0
            things = 0
            least, most = 1e30, 0.0
            for v in range(row * factor, row * factor + factor):
                for u in range(column * factor, column * factor + factor):
                    f = ids[v, u]
                    if f < 0:
                        continue
                    if f < ends[0]:
                        subject += 1
                    if f < ends[1]:
                        people += 1
                    else:
                        things += 1
                    least, most = min(least, nearness[v, u]), max(most, nearness[v, u])
            silhouette[row, column] = (subject * 255 + many // 2) // many if subject > 0 else 0
            block = column // _BLOCK
            which = met[0, block]
            one = which == met[0, block + 1] and which == met[1, block] and which == met[1, block + 1]
            bare = people + things < many
            dx, dy, dz = 0.0, 0.0, 0.0
            if people + things > 0 or not one:
                x, y = (column + 0.5 - cx) * angle, (row + 0.5 - cy) * angle
                back = undistorted(x * x + y * y, k1)
                x, y = x * back, y * back
                dx = turn[0, 0] * x + turn[1, 0] * y + turn[2, 0]
                dy = turn[0, 1] * x + turn[1, 1] * y + turn[2, 1]
                dz = turn[0, 2] * x + turn[1, 2] * y + turn[2, 2]
            r, g, b = 0.0, 0.0, 0.0
            if bare:
                if one:
                    right = (column % _BLOCK) / _BLOCK
                    w00, w01, w10, w11 = (
                        (1 - lower) * (1 - right),
                        (1 - lower) * right,
                        lower * (1 - right),
                        lower * right,
                    )
                    for c in range(7):
                        here[c] = (
                            w00 * found[0, block, c] + w01 * found[0, block + 1, c]
                            + w10 * found[1, block, c] + w11 * found[1, block + 1, c]
                        )  # fmt: skip
                else:
                    which = _ground(
                        position[0], position[1], position[2], dx, dy, dz, angle, surfaces, walls, cove, outdoors,
                        plane_ambient, plane_key, shadows, falloff, cloud, here,
                    )  # fmt: skip
                r, g, b = here[3], here[4], here[5]
                if which >= 0:
                    sr, sg, sb, slope = _surface(surfaces, which, here[0], here[1], here[2], here[6], cloud)
                    fold = max(1.0 + slope * key_direction[0], 0.15)
                    r, g, b = r * sr * fold, g * sg * fold, b * sb * fold
                share = (many - people - things) / many
                r, g, b = r * share, g * share, b * share
            if people + things > 0:
                smooth = (
                    subject == many or (people == many and subject == 0) or things == many
                ) and most < 1.015 * least
                steps = 1 if smooth else many
                length = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
                for s in range(steps):
                    v, u = s // factor, s % factor
                    f = ids[row * factor + v, column * factor + u]
                    if f < 0:
                        continue
                    if f < ends[1]:
                        # The mesh was drawn in samples.
                        px = (column + 0.5) * factor if smooth else column * factor + u + 0.5
                        py = (row + 0.5) * factor if smooth else row * factor + v + 0.5
                        pr, pg, pb = _person(
                            px, py, f, screen, faces, attributes, looks, 0 if f < ends[0] else 1, volume,
                            angle, dx * length, dy * length, dz * length, key_direction, key_power,
                        )  # fmt: skip
                    else:
                        near = nearness[row * factor + v, column * factor + u]
                        pr, pg, pb = _thing(
                            f - ends[1], position[0] + dx / near, position[1] + dy / near, position[2] + dz / near,
                            thing_vertices, thing_faces, colours, finish, plane_ambient, key_direction, key_power,
                            cloud,
                        )  # fmt: skip
                    r += pr / steps
                    g += pg / steps
                    b += pb / steps
            image[row, column, 0] = max(r, 0.0)
            image[row, column, 1] = max(g, 0.0)
            image[row, column, 2] = max(b, 0.0)
