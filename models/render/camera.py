"""A pinhole camera with the lens of a phone: where a point of the room falls in the picture, and what a pixel looks at.

The room has its floor at y = 0, y up, and the subject at the origin; in the `front` view the subject faces +z, towards
the camera. All lengths are in metres, angles in radians. In the camera's own frame x points right in the picture, y
down and z away from the viewer; pixel (row, column) has its centre at (column + 0.5, row + 0.5).

Radial distortion is the first term of the Brown-Conrady model (Brown 1971, "Close-range camera calibration",
Photogrammetric Engineering 37): a point at r = tan(angle off the axis) is seen at r (1 + k1 r^2). Beyond the radius
where that polynomial turns back it goes on along its tangent, so that no two directions ever fall on one pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numba
import numpy as np

from models.errors import BodyRequestError

FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)
NEAR_M = 0.05
MOST_PIXELS = 100_000_000
MOST_DISTORTION = 0.3


@dataclass(frozen=True)
class Camera:
    """A camera in the room.

    size: (height, width) in pixels. focal: in pixels. position: metres. tilt > 0 looks down, pan > 0 looks to +x, roll
    > 0 turns the picture counter-clockwise. k1: radial distortion, negative for a barrel. near: nearest distance along
    the axis at which anything is drawn. Raises BodyRequestError for sizes, focal lengths or distortions that cannot be.
    """

    size: tuple[int, int]
    focal: float
    position: tuple[float, float, float]
    tilt: float = 0.0
    pan: float = 0.0
    roll: float = 0.0
    k1: float = 0.0
    near: float = NEAR_M

    def __post_init__(self) -> None:
        check_size(self.size)
        numbers = (self.focal, *self.position, self.tilt, self.pan, self.roll, self.k1, self.near)
        if len(self.position) != 3 or not all(math.isfinite(x) for x in numbers):
            raise BodyRequestError("A camera's numbers must all be finite, and its position have three of them.")
        if self.focal <= 0 or self.near <= 0:
            raise BodyRequestError(
                f"A camera's focal length and near distance must be above 0, not {self.focal} and {self.near}."
            )
        if abs(self.k1) > MOST_DISTORTION:
            raise BodyRequestError(
                f"Radial distortion k1 must lie between -{MOST_DISTORTION} and {MOST_DISTORTION}, not {self.k1}."
            )

    def rotation(self) -> np.ndarray:
        """(3, 3) float64; its rows are the picture's right, down and forward directions in the room."""
        ct, st = math.cos(self.tilt), math.sin(self.tilt)
        cp, sp = math.cos(self.pan), math.sin(self.pan)
        cr, sr = math.cos(self.roll), math.sin(self.roll)
        right = np.array([cp, 0.0, sp])
        down = np.array([-st * sp, -ct, st * cp])
        forward = np.array([sp * ct, -st, -cp * ct])
        # Turning the camera clockwise turns the picture counter-clockwise.
        return np.stack([cr * right + sr * down, cr * down - sr * right, forward])

    def resized(self, size: tuple[int, int]) -> Camera:
        """The same view in another number of pixels of the same shape."""
        return replace(self, size=size, focal=self.focal * size[0] / self.size[0])


def phone_camera(
    size: tuple[int, int],
    *,
    focal_mm: float = 26.0,
    height: float = 1.1,
    distance: float = 2.5,
    sideways: float = 0.0,
    tilt: float = 0.0,
    pan: float = 0.0,
    roll: float = 0.0,
    k1: float = 0.0,
) -> Camera:
    """A phone at `height` above the floor and `distance` before the subject.

    focal_mm is the equivalent focal length on 36 x 24 mm film, by the diagonal (CIPA DCG-001), as phones state it.
    """
    check_size(size)
    focal = focal_mm / FULL_FRAME_DIAGONAL_MM * math.hypot(*size)
    return Camera(size, focal, (sideways, height, distance), tilt=tilt, pan=pan, roll=roll, k1=k1)


def check_size(size: tuple[int, int]) -> None:
    if len(size) != 2 or any(int(n) != n or n <= 0 for n in size) or size[0] * size[1] > MOST_PIXELS:
        raise BodyRequestError(
            f"A picture cannot have the size {tuple(size)}.",
            remedy=f"Give (height, width) in whole pixels above 0, at most {MOST_PIXELS:,} in all.",
        )


def to_camera(vertices: np.ndarray, camera: Camera) -> np.ndarray:
    """Points of the room (V, 3) in the camera's frame, (V, 3) float64."""
    turn = camera.rotation()
    return np.asarray(vertices, dtype=np.float64) @ turn.T - turn @ np.asarray(camera.position)


def project(vertices: np.ndarray, camera: Camera) -> np.ndarray:
    """(V, 3) float32: column, row and distance along the axis of points (V, 3) of the room.

    Points nearer than `camera.near` get the column and row that they would have at that distance.
    """
    return project_finite(np.ascontiguousarray(vertices, dtype=np.float64), camera)[0]


def project_finite(vertices: np.ndarray, camera: Camera) -> tuple[np.ndarray, float]:
    """`project` of contiguous float64 points, and the least distance along the axis: NaN if a point is not finite."""
    height, width = camera.size
    turn = camera.rotation()
    moved = turn @ np.asarray(camera.position)
    out = np.empty(vertices.shape, np.float32)
    nearest = _project(vertices, turn, moved, camera.focal, width / 2, height / 2, camera.k1, camera.near, out)
    return out, nearest


@numba.njit(cache=True, nogil=True, error_model="numpy")
def distorted(r2: float, k1: float) -> float:
    """The factor by which distortion moves a point at squared radius r2 outwards."""
    if k1 < 0.0 and r2 * -3.0 * k1 > 1.0:
        # Beyond the turning point, where the slope of r (1 + k1 r^2) is 0: on with half the slope of the middle.
        turn = math.sqrt(-1.0 / (3.0 * k1))
        r = math.sqrt(r2)
        return (turn * (1.0 + k1 * turn * turn) + 0.5 * (r - turn)) / r
    return 1.0 + k1 * r2


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _project(vertices, turn, moved, focal, cx, cy, k1, near, out):
    r00, r01, r02 = turn[0, 0], turn[0, 1], turn[0, 2]
    r10, r11, r12 = turn[1, 0], turn[1, 1], turn[1, 2]
    r20, r21, r22 = turn[2, 0], turn[2, 1], turn[2, 2]
    m0, m1, m2 = moved[0], moved[1], moved[2]
    nearest = np.inf
    unfit = 0.0
    for i in range(vertices.shape[0]):
        a, b, c = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        z = r20 * a + r21 * b + r22 * c - m2
        inverse = 1.0 / max(z, near)
        x = (r00 * a + r01 * b + r02 * c - m0) * inverse
        y = (r10 * a + r11 * b + r12 * c - m1) * inverse
        scale = focal * distorted(x * x + y * y, k1)
        out[i, 0] = cx + scale * x
        out[i, 1] = cy + scale * y
        out[i, 2] = z
        nearest = min(nearest, z)
        unfit += 0.0 * z  # NaN from the first coordinate that is not finite: each has a part in z
    return nearest + unfit


@numba.njit(cache=True, nogil=True, error_model="numpy")
def undistorted(r2: float, k1: float) -> float:
    """The factor that takes a seen point at squared radius r2 back to where it is without distortion."""
    k = k1 * r2
    factor = 1.0
    if abs(k) < 0.1:  # Newton's method for f (1 + k f^2) = 1
        for _ in range(4):
            factor -= (factor * (1.0 + k * factor * factor) - 1.0) / (1.0 + 3.0 * k * factor * factor)
        return factor
    low, high = 0.0, 100.0
    for _ in range(60):
        factor = 0.5 * (low + high)
        if factor * distorted(r2 * factor * factor, k1) < 1.0:
            low = factor
        else:
            high = factor
    return factor
