"""An avatar beside the silhouette that it was made from: both outlines in one picture, and how much they overlap.

A scan does not say where its camera stood, and the network that finds the avatar is shown every person centred and
filling the picture (`models.inference.images.fit_silhouette`). So the avatar, in the pose that was found with it, is
seen by a typical phone, and both outlines are centred by their boxes and brought to one size in that same way. What
then differs is shape, pose, what people wear, and a little perspective.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from models.avatar.meshes import standing
from models.body.data import check_betas
from models.body.skeleton import N_JOINTS
from models.errors import BodyRequestError
from models.render.camera import Camera, phone_camera
from models.render.pose import VIEWS, YAW, stand
from models.render.raster import silhouette

if TYPE_CHECKING:
    from models.body.data import BodyData

SIZE = (512, 384)
"""Height and width of the common picture."""

_FILLED = 0.94  # share of the picture's height or width that a person fills
_INSIDE = 128  # from this value on a pixel of a silhouette belongs to the person
_FINE = 2  # pixels of the masks along a pixel of the common picture, before they are brought there
_SMOOTH = 0.8  # pixels by which an outline may be simplified
# The middle of what photos are rendered with (`models.render.capture.draw_setup`, `models.render.sensor.draw_phone`).
_FOCAL_MM, _HEIGHT_M, _FILL = 26.0, 1.05, 0.77


@dataclass(frozen=True, eq=False)
class Outlines:
    """Closed curves (n,2), x and y in pixels of the common picture, holes among them; and how much is shared.

    overlap: the area that both cover over the area that either covers (intersection over union), 0 to 1.
    """

    view: str
    seen: tuple[np.ndarray, ...]
    avatar: tuple[np.ndarray, ...]
    overlap: float


def outlines(mask: np.ndarray, betas: np.ndarray, pose: np.ndarray, view: str, body: BodyData) -> Outlines:
    """A silhouette (H,W) uint8 and the avatar (betas (K,)) in its pose (24,3), as if seen from the front, in a view.

    Raises BodyRequestError for an empty silhouette, an unknown view, or betas or a pose that the body does not have.
    """
    if view not in VIEWS:
        raise BodyRequestError(f"There is no view {view!r}.", remedy=f"Give one of {', '.join(VIEWS)}.")
    if np.ndim(mask) != 2 or not (np.asarray(mask) >= _INSIDE).any():
        raise BodyRequestError("The silhouette is empty.")
    seen = _fitted(_largest_part(np.asarray(mask, np.uint8)))
    drawn = _fitted(seen_by_phone(betas, pose, view, body))
    a, b = seen >= _INSIDE, drawn >= _INSIDE
    return Outlines(view, _curves(a), _curves(b), float((a & b).sum() / (a | b).sum()))


def seen_by_phone(betas: np.ndarray, pose: np.ndarray, view: str, body: BodyData) -> np.ndarray:
    """(H,W) uint8: the silhouette of an avatar in a pose as if seen from the front, turned to a view."""
    turned = np.array(pose, dtype=np.float64)
    if turned.shape != (N_JOINTS, 3) or not np.isfinite(turned).all():
        raise BodyRequestError(f"A pose is {N_JOINTS} rotations of three finite numbers.")
    turned[0] = (Rotation.from_rotvec([0.0, YAW[view], 0.0]) * Rotation.from_rotvec(turned[0])).as_rotvec()
    shape = check_betas(np.asarray(betas)[None], body)[0]
    vertices = standing(shape, body, stand(body, shape, turned))
    return silhouette(vertices, body.faces, _phone(float(np.ptp(vertices[:, 1]))))


def _phone(stature: float) -> Camera:
    """A typical phone, aimed at the middle of a person of this stature (metres), with room for arms held out."""
    height, width = (side * _FINE for side in SIZE)
    focal = phone_camera((height, width), focal_mm=_FOCAL_MM).focal
    distance = stature * focal / (_FILL * height)
    middle = 0.5 * (math.atan2(stature - _HEIGHT_M, distance) - math.atan2(_HEIGHT_M, distance))
    return Camera((height, 2 * width), focal, (0.0, _HEIGHT_M, distance), tilt=-middle)


def _fitted(mask: np.ndarray) -> np.ndarray:
    """The person of a mask, centred and as large as fits, in the common picture."""
    rows, columns = (np.flatnonzero((mask >= _INSIDE).any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    scale = _FILLED * min(SIZE[0] / (bottom - top), SIZE[1] / (right - left))
    middle = np.array([left + right, top + bottom]) / 2
    # OpenCV counts from the centres of pixels.
    shift = np.array(SIZE[::-1]) / 2 - scale * middle + (scale - 1) / 2
    move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(mask, move, SIZE[::-1], flags=cv2.INTER_LINEAR, borderValue=0)


def _largest_part(mask: np.ndarray) -> np.ndarray:
    """The mask without specks: its largest connected part, and the soft edge around it."""
    count, labels, parts, _ = cv2.connectedComponentsWithStats((mask >= _INSIDE).astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    keep = (labels == 1 + int(np.argmax(parts[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    return np.where(cv2.dilate(keep, np.ones((3, 3), np.uint8)) > 0, mask, 0).astype(np.uint8)


def _curves(inside: np.ndarray) -> tuple[np.ndarray, ...]:
    found, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    curves = [cv2.approxPolyDP(curve, _SMOOTH, closed=True)[:, 0].astype(float) + 0.5 for curve in found]
    return tuple(curve for curve in curves if len(curve) > 2)
