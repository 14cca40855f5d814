"""A picture of an avatar: three views in soft light, with the tape where it was measured, and the figures beside it.

Drawn by the renderer of the photos (`models.render`), in a plain studio, as a grey figure: it shows a shape, and does
not pretend to show a person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.avatar.meshes import GREY, standing
from models.errors import BodyRequestError
from models.measure.measurements import measure, tape_lines
from models.render.camera import Camera, phone_camera, project
from models.render.lighting import FLOOR_REACH_M, Lighting, Lit, Rig, light_body, rig
from models.render.raster import Visibility, silhouette, vertex_normals, visibility
from models.render.regions import regions

if TYPE_CHECKING:
    from models.body.data import BodyData

# Girths that are drawn, from above, with colours that people who see few colours can tell apart (Okabe and Ito 2008).
MARKED = {
    "chest_cm": ("Chest", (0, 114, 178)),
    "waist_cm": ("Waist", (213, 94, 0)),
    "hip_cm": ("Hip", (0, 135, 100)),
    "thigh_cm": ("Mid-thigh", (170, 80, 140)),
}
HEIGHTS = (320, 4000)
"""Least and greatest height of a picture in pixels."""

# Radians by which the figure is turned to its left, so that its right is seen, where the tape lies around the thigh;
# and where its middle is, in shares of the figures' width.
_VIEWS = ((0.0, 0.215), (0.65, 0.585), (math.pi / 2, 0.87))
_SAMPLES = 2
_SHOWN_M = 2.02  # metres from below to above, for people of 1.75 m
_ASPECT = 1.5  # width of the figures' part over its height
_PANEL = 0.42  # width of the panel over the height
_BACK, _FLOOR = np.array([0.905, 0.9, 0.89]), np.array([0.80, 0.79, 0.775])  # linear light
_INK, _PALE, _WARNING = (38, 42, 48), (112, 117, 124), (158, 42, 43)
_LIGHT = Lighting(
    kind="window", azimuth=-0.75, elevation=0.75, softness=0.5, fill_azimuth=0.9, key_share=0.52,
    key_colour=(1.03, 1.0, 0.97), ambient_colour=(0.985, 1.0, 1.015),
)  # fmt: skip
_EXPOSURE = 1.16
_LINE_OVER_M = 0.003  # the tape lies on the skin
_FLOOR_M = 1.2  # around the feet there is a shadow
_HIDDEN_M = 0.012  # deeper than this under what is in front, the tape is not seen


@dataclass(frozen=True)
class Caption:
    """What stands beside the figures. facts: name and value of each line under the girths. note: at the bottom.
    warning: in red under the title, where there is something that nobody may overlook."""

    title: str = "Avatar"
    facts: tuple[tuple[str, str], ...] = ()
    note: str = ""
    warning: str = ""


def draw_avatar(
    betas: np.ndarray,
    body: BodyData,
    caption: Caption | None = None,
    *,
    before: np.ndarray | None = None,
    height: int = 1000,
) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the avatar from the front, half turned and from its right, and its girths.

    before: betas of the same person before a morph, whose outline is drawn behind. Raises BodyRequestError for betas
    that the body does not have, or a height outside HEIGHTS.
    """
    if not HEIGHTS[0] <= height <= HEIGHTS[1]:
        raise BodyRequestError(f"A picture is {HEIGHTS[0]} to {HEIGHTS[1]} pixels high, not {height}.")
    figures = figures_of(betas, body, before=before, height=height)
    measured = measure(body.shaped(np.asarray(betas)[None])[0], body)
    girths = [(label, colour, float(measured[name])) for name, (label, colour) in MARKED.items()]
    return np.hstack([figures, _panel(caption or Caption(), girths, height, outlined=before is not None)])


def figures_of(
    betas: np.ndarray, body: BodyData, *, before: np.ndarray | None = None, height: int = 1000
) -> np.ndarray:
    """The figures of `draw_avatar` alone."""
    size = (height, round(height * _ASPECT))
    vertices = standing(betas, body)
    tall = float(np.ptp(vertices[:, 1]))
    fine = _camera((size[0] * _SAMPLES, size[1] * _SAMPLES), tall)
    light = rig(_LIGHT, _FLOOR)
    image = _studio(fine)
    found = tape_lines(vertices, body)
    lines = [_on_skin(found[name]) for name in MARKED]
    ghost = None if before is None else standing(before, body)
    for turn, place in _VIEWS:
        aside = (place - 0.5) * size[1] * _SAMPLES / fine.focal * fine.position[2]
        _draw_view(image, fine, light, body, _turned(vertices, turn), aside, [_turned(line, turn) for line in lines],
                   None if ghost is None else _turned(ghost, turn))  # fmt: skip
    image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return _srgb(image)


def png(image: np.ndarray) -> bytes:
    """A picture (H, W, 3) RGB as PNG; the same picture gives the same bytes."""
    done, content = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 6])
    if not done:
        raise BodyRequestError("The picture cannot be written as PNG.")
    return content.tobytes()


def _camera(size: tuple[int, int], tall: float) -> Camera:
    """From far, by a long lens, so that near parts are not larger. People up to 1.75 m are seen from the same place, so
    that their pictures show who is taller."""
    shown = _SHOWN_M * max(tall, 1.75) / 1.75
    distance = 7.5
    focal = size[0] / shown * distance
    whole = phone_camera(size, height=shown / 2 - 0.09, distance=distance)
    return Camera(size, focal, whole.position)


def _turned(points: np.ndarray, turn: float) -> np.ndarray:
    c, s = math.cos(turn), math.sin(turn)
    return points @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def _studio(camera: Camera) -> np.ndarray:
    """(H, W, 3) float32 linear: a paper background that comes down and forward without an edge."""
    height, width = camera.size
    rows = np.arange(height) + 0.5
    # Where the floor is on the picture, and how far down the paper has turned into floor.
    horizon = height / 2 + camera.focal * camera.position[1] / (camera.position[2] + 2.2)
    down = np.clip((rows - horizon) / (height - horizon), 0, 1)
    share = down * down * (3 - 2 * down)
    column = _BACK[None] * (1 - share[:, None]) + _FLOOR[None] * share[:, None]
    across = np.linspace(-1, 1, width)
    glow = 1.0 - 0.10 * across**2
    lift = 1.0 - 0.07 * ((rows - 0.42 * height) / height) ** 2 * 4
    of_rows = (column * lift[:, None]).astype(np.float32)
    return of_rows[:, None, :] * glow.astype(np.float32)[None, :, None]


def _on_skin(corners: np.ndarray) -> np.ndarray:
    """A closed tape line with its points close together, a little outside."""
    middle = corners.mean(0)
    outward = corners - middle
    corners = corners + _LINE_OVER_M * outward / np.linalg.norm(outward, axis=1, keepdims=True)
    following = np.roll(corners, -1, axis=0)
    pieces = []
    for here, there in zip(corners, following, strict=True):
        count = max(2, int(np.linalg.norm(there - here) / 0.004))
        pieces.append(here + np.linspace(0, 1, count, endpoint=False)[:, None] * (there - here))
    return np.vstack([*pieces, corners[:1]])


def _draw_view(
    image: np.ndarray,
    camera: Camera,
    light: Rig,
    body: BodyData,
    vertices: np.ndarray,
    aside: float,
    lines: list[np.ndarray],
    ghost: np.ndarray | None,
) -> None:
    """One figure, standing `aside` of the middle, into the linear picture."""
    shift = np.array([aside, 0.0, 0.0])
    normals = vertex_normals(vertices, body.faces)
    where = regions(body)
    everything = np.ones(len(vertices), np.bool_)
    lit = light_body(
        np.ascontiguousarray(vertices), normals, where.coarse_vertices, where.coarse_faces, everything, light, -20.0
    )
    _shade_floor(image, camera, lit.shadows[0], aside)
    seen = visibility(vertices + shift, body.faces, camera)
    rows, columns = np.nonzero(seen.ids >= 0)
    image[rows, columns] = _clay(seen, rows, columns, normals, lit, light, camera)
    _smooth_edge(image, seen.ids >= 0)
    if ghost is not None:
        _outline(image, silhouette(ghost + shift, body.faces, camera))
    for line, (_, colour) in zip(lines, MARKED.values(), strict=True):
        _draw_line(image, camera, seen, line + shift, colour)


def _clay(
    seen: Visibility,
    rows: np.ndarray,
    columns: np.ndarray,
    normals: np.ndarray,
    lit: Lit,
    light: Rig,
    camera: Camera,
) -> np.ndarray:
    """(n, 3) linear light from each of n pixels of the figure."""
    corners = seen.faces[seen.ids[rows, columns]]
    x, y, z = (seen.screen[corners, c] for c in range(3))
    px, py = (columns + 0.5).astype(np.float32), (rows + 0.5).astype(np.float32)
    weights = np.empty((len(rows), 3), np.float32)
    for c, (a, b) in enumerate(((1, 2), (2, 0), (0, 1))):
        weights[:, c] = ((x[:, a] - px) * (y[:, b] - py) - (x[:, b] - px) * (y[:, a] - py)) / z[:, c]
    weights /= weights.sum(1, keepdims=True)

    def mixed(values: np.ndarray) -> np.ndarray:
        return sum((weights[:, c] * values[corners[:, c]].T).T for c in range(3))

    normal = mixed(normals)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    eye = np.stack(
        [(px - camera.size[1] / 2) / camera.focal, -(py - camera.size[0] / 2) / camera.focal, -np.ones(len(px))], 1
    )
    eye /= -np.linalg.norm(eye, axis=1, keepdims=True)  # towards the camera, which looks straight ahead
    towards = light.key_direction
    # Light wraps a little around the edge of shade, as from a large window.
    cosine = np.clip((normal @ towards + 0.28) / 1.28, 0, None)
    half = towards + eye
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    gloss = 0.035 * np.clip((normal * half).sum(1), 0, 1) ** 22
    facing = np.clip((normal * eye).sum(1), 0, 1)
    rim = 0.10 * (1 - facing) ** 3
    key = mixed(lit.key)
    ambient = mixed(lit.ambient)
    grey = np.array(GREY)
    direct = (cosine * (0.35 + 0.65 * key))[:, None] * light.key_power
    return (grey * (ambient * 1.05 + direct) + (gloss * key + rim)[:, None] * ambient.mean(1, keepdims=True)).astype(
        np.float32
    )


def _shade_floor(image: np.ndarray, camera: Camera, shadow: np.ndarray, aside: float) -> None:
    """The shadow that a figure leaves on the paper under it."""
    height, width = camera.size
    first = height // 2 + 1  # the camera looks straight ahead: the floor is below the middle
    depths = camera.position[1] * camera.focal / (np.arange(first, height, dtype=np.float32) + 0.5 - height / 2)
    near_enough = camera.position[2] - depths > -_FLOOR_M
    first, depths = first + int(np.argmax(near_enough)), depths[near_enough]
    reach = _FLOOR_M * camera.focal / float(depths.min())
    middle = width / 2 + aside * camera.focal / camera.position[2]
    left_edge, right_edge = max(int(middle - reach), 0), min(int(middle + reach), width)
    columns, depth = np.meshgrid(np.arange(left_edge, right_edge, dtype=np.float32), depths)
    x = (columns + 0.5 - width / 2) / camera.focal * depth + camera.position[0] - aside
    z = camera.position[2] - depth
    cells = len(shadow) / (2 * FLOOR_REACH_M)
    light = cv2.remap(
        np.ascontiguousarray(shadow), (x + FLOOR_REACH_M) * cells - 0.5, (z + FLOOR_REACH_M) * cells - 0.5,
        cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=(1.0, 1.0),
    ).clip(0, 1)  # fmt: skip
    left = 0.6 * light[..., 0] + 0.4 * light[..., 1]
    near = np.exp(-(((np.abs(x) / 0.75) ** 4) + (np.abs(z) / 0.75) ** 4))
    image[first:, left_edge:right_edge] *= (1 - 0.8 * near * (1 - left))[..., None].astype(np.float32)


def _smooth_edge(image: np.ndarray, inside: np.ndarray) -> None:
    """Lets the outermost pixels of the figure run into the background, so that reduction leaves no steps."""
    columns = np.flatnonzero(inside.any(axis=0))
    if len(columns):
        part = np.s_[:, max(columns[0] - 4, 0) : columns[-1] + 5]
        soft = cv2.GaussianBlur(image[part], (3, 3), 0.6)
        edge = cv2.morphologyEx(inside[part].astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        image[part][edge] = soft[edge]


def _outline(image: np.ndarray, covered: np.ndarray) -> None:
    """A dashed line around a silhouette."""
    contours, _ = cv2.findContours((covered > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    thick = max(2, round(image.shape[0] / 700))
    dash = max(12, image.shape[0] // 110)
    colour = tuple(float(v) for v in _linear((118, 122, 128)))
    for contour in contours:
        points = contour[:, 0]
        for first in range(0, len(points), 2 * dash):
            cv2.polylines(image, [points[first : first + dash]], False, colour, thick, cv2.LINE_8)


def _draw_line(
    image: np.ndarray, camera: Camera, seen: Visibility, line: np.ndarray, colour: tuple[int, int, int]
) -> None:
    """The parts of a tape line that nothing hides."""
    screen = project(line, camera)
    columns, rows = (np.floor(screen[:, c]).astype(int) for c in (0, 1))
    within = (columns >= 0) & (columns < camera.size[1]) & (rows >= 0) & (rows < camera.size[0])
    front = np.zeros(len(line))
    front[within] = seen.nearness[rows[within], columns[within]]
    with np.errstate(divide="ignore"):
        free = within & (screen[:, 2] < 1 / np.where(front > 0, front, 1e-9) + _HIDDEN_M)
    free &= _facing(line, camera)
    thick = max(3, round(camera.size[0] / 360))
    linear = tuple(float(v) for v in _linear(colour))
    shift = 4
    points = np.round(screen[:, :2] * 2**shift).astype(np.int32)
    runs = np.flatnonzero(np.diff(np.r_[0, free.astype(np.int8), 0]))
    for first, last in zip(runs[::2], runs[1::2], strict=True):
        if last - first > 1:
            cv2.polylines(image, [points[first:last, None]], False, linear, thick, cv2.LINE_8, shift)


def _facing(line: np.ndarray, camera: Camera) -> np.ndarray:
    """Which points of a closed tape line are on the side of the camera."""
    middle = line.mean(0)
    outward = line - middle
    return (outward * (np.array(camera.position) - line)).sum(1) > -0.05 * np.linalg.norm(outward, axis=1)


def _linear(colour: Sequence[int]) -> np.ndarray:
    value = np.asarray(colour) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) / _EXPOSURE


def _srgb(image: np.ndarray) -> np.ndarray:
    value = np.clip(image * _EXPOSURE, 0, 1)
    value = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    return (value * 255 + 0.5).astype(np.uint8)


def _panel(
    caption: Caption, girths: Sequence[tuple[str, tuple[int, int, int], float]], height: int, *, outlined: bool
) -> np.ndarray:
    """The text beside the figures."""
    width = round(height * _PANEL)
    page = Image.new("RGB", (width, height), (250, 250, 248))
    draw = ImageDraw.Draw(page)
    unit = height / 1000
    left, right = round(34 * unit), width - round(34 * unit)
    y = 56 * unit
    y = _wrapped(draw, caption.title, left, right, y, _INK, page_font(round(31 * unit), bold=True)) + 4 * unit
    if caption.warning:
        y = _wrapped(draw, caption.warning, left, right, y, _WARNING, page_font(round(17 * unit), bold=True))
    y += 26 * unit
    text, strong = page_font(round(21 * unit)), page_font(round(21 * unit), bold=True)
    for label, colour, value in girths:
        middle = y + 13 * unit
        draw.line([(left, middle), (left + 30 * unit, middle)], colour, max(2, round(4 * unit)))
        draw.text((left + 44 * unit, y), label, _INK, text)
        draw.text((right, y), f"{value:.1f} cm", _INK, strong, anchor="ra")
        y += 40 * unit
    if caption.facts:
        y += 14 * unit
        draw.line([(left, y), (right, y)], (222, 222, 218), max(1, round(1.5 * unit)))
        y += 24 * unit
    for label, value in caption.facts:
        draw.text((left, y), label, _PALE, text)
        draw.text((right, y), value, _INK, text, anchor="ra")
        y += 38 * unit
    if outlined:
        y += 10 * unit
        for n in range(3):
            start = left + n * 12 * unit
            draw.line([(start, y + 12 * unit), (start + 7 * unit, y + 12 * unit)], _PALE, max(1, round(2 * unit)))
        draw.text((left + 44 * unit, y), "outline before", _PALE, page_font(round(18 * unit)))
    small = page_font(round(15 * unit))
    lines = _lines_of(draw, caption.note, right - left, small)
    y = height - (34 + 21 * len(lines)) * unit
    for line in lines:
        draw.text((left, y), line, _PALE, small)
        y += 21 * unit
    return np.asarray(page)


def _wrapped(
    draw: ImageDraw.ImageDraw,
    text: str,
    left: float,
    right: float,
    y: float,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont,
) -> float:
    """Writes text in as many lines as it takes; returns where the next thing goes."""
    for line in _lines_of(draw, text, right - left, font):
        draw.text((left, y), line, colour, font)
        y += 1.35 * font.size
    return y


def _lines_of(draw: ImageDraw.ImageDraw, text: str, width: float, font: ImageFont.FreeTypeFont) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@lru_cache
def page_font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
