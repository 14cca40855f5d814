"""Silhouettes, depth and normals of triangle meshes on the CPU.

A pixel is covered when its centre lies in a triangle that faces the camera, its edges included; in front of it lies
the triangle with the least depth there (on a tie, the first). Depth is interpolated with perspective, 1/z being linear
in the picture. Triangles that reach nearer than `camera.near` are clipped there. Everything is deterministic: with
several threads each works on pictures of its own.

`torch_raster` draws the same pictures on tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np

from models.errors import BodyRequestError
from models.render.camera import Camera, project, project_finite, to_camera

MOST_SUPERSAMPLE = 8
# Freedoms for the compiler that leave an edge the same line for the two triangles that share it.
_QUICK = {"nnan", "ninf", "nsz", "arcp", "contract"}


def silhouette(vertices: np.ndarray, faces: np.ndarray, camera: Camera, *, supersample: int = 1) -> np.ndarray:
    """(H, W) uint8: how much of each pixel the mesh covers, 0 to 255.

    supersample: samples along each side of a pixel; with 1 the silhouette is 0 or 255. Raises BodyRequestError for
    vertices that are not finite or all behind the camera.
    """
    return silhouettes(np.asarray(vertices)[None], faces, camera, supersample=supersample)[0]


def silhouettes(
    vertices: np.ndarray,
    faces: np.ndarray,
    cameras: Camera | Sequence[Camera],
    *,
    supersample: int = 1,
    threads: int = 1,
) -> np.ndarray:
    """(N, H, W) uint8: the silhouettes of meshes (N, V, 3) with the same faces, with one camera or N of one size."""
    meshes, corners, each = _checked(vertices, faces, cameras)
    height, width = each[0].size
    factor = _checked_supersample(supersample)
    out = np.empty((len(meshes), height, width), np.uint8)

    def draw(n: int) -> None:
        camera = each[n] if factor == 1 else each[n].resized((height * factor, width * factor))
        screen, used = _on_screen(meshes[n], corners, camera)
        if factor == 1:
            out[n] = 0
            _fill(screen, used, out[n])
        else:
            fine = np.zeros(camera.size, np.uint8)
            _fill(screen, used, fine)
            _shrink(fine, factor, out[n])

    _each(draw, len(meshes), threads)
    return out


def depth(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> np.ndarray:
    """(H, W) float32: metres along the camera's axis to the mesh, infinite where there is none."""
    seen = visibility(vertices, faces, camera)
    with np.errstate(divide="ignore"):
        return 1.0 / seen.nearness


def normals(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> np.ndarray:
    """(H, W, 3) float32: unit normals of the smooth surface as the camera sees it, 0 where there is no mesh.

    x points right in the picture, y up and z to the viewer.
    """
    return normal_maps(np.asarray(vertices)[None], faces, camera)[0]


def normal_maps(
    vertices: np.ndarray, faces: np.ndarray, cameras: Camera | Sequence[Camera], *, threads: int = 1
) -> np.ndarray:
    """(N, H, W, 3) float32: `normals` of meshes (N, V, 3) with the same faces."""
    meshes, corners, each = _checked(vertices, faces, cameras)
    out = np.empty((len(meshes), *each[0].size, 3), np.float32)
    flip = np.array([[1.0], [-1.0], [-1.0]])

    def draw(n: int) -> None:
        seen = _visibility(meshes[n], corners, each[n])
        facing = vertex_normals(seen.vertices, seen.faces)
        _interpolate_directions(seen.ids, seen.screen, seen.faces, facing, flip * each[n].rotation(), out[n])

    _each(draw, len(meshes), threads)
    return out


@dataclass(frozen=True)
class Visibility:
    """What is in front at each pixel.

    ids: (H, W) int32, index into `faces`, -1 for none. nearness: (H, W) float32, 1 / depth, 0 for none. screen: (V, 3)
    float32, column, row and depth of `vertices`. `vertices` and `faces` are the mesh's own unless it was clipped.
    """

    ids: np.ndarray
    nearness: np.ndarray
    screen: np.ndarray
    vertices: np.ndarray
    faces: np.ndarray


def visibility(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> Visibility:
    """The face in front at each pixel. Raises BodyRequestError as `silhouette` does."""
    meshes, corners, each = _checked(np.asarray(vertices)[None], faces, camera)
    return _visibility(meshes[0], corners, each[0])


def _visibility(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> Visibility:
    screen, used = _on_screen(vertices, faces, camera)
    if used is not faces:
        vertices = _clipped(vertices, faces, camera)[0]
    ids = np.full(camera.size, -1, np.int32)
    nearness = np.zeros(camera.size, np.float32)
    cover(screen, used, 0, len(used), ids, nearness)
    return Visibility(ids, nearness, screen, vertices, used)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals, each the mean of its faces' weighted by area; 0 for a vertex without faces."""
    out = np.zeros((len(vertices), 3), np.float32)
    _vertex_normals(np.ascontiguousarray(vertices, dtype=np.float64), np.ascontiguousarray(faces, np.int32), out)
    return out


def _checked(
    vertices: np.ndarray, faces: np.ndarray, cameras: Camera | Sequence[Camera]
) -> tuple[np.ndarray, np.ndarray, Sequence[Camera]]:
    meshes = np.ascontiguousarray(vertices, dtype=np.float64)
    corners = np.ascontiguousarray(faces, dtype=np.int32)
    if meshes.ndim != 3 or meshes.shape[2] != 3 or corners.ndim != 2 or corners.shape[1] != 3:
        raise BodyRequestError(
            f"A mesh needs vertices (V, 3) and faces (F, 3), not {np.shape(vertices)[1:]} and {np.shape(faces)}."
        )
    if not _within(corners.ravel(), meshes.shape[1]):
        raise BodyRequestError(f"A face names a vertex that is not among the {meshes.shape[1]:,} of the mesh.")
    each = [cameras] * len(meshes) if isinstance(cameras, Camera) else list(cameras)
    if len(each) != len(meshes) or len({camera.size for camera in each}) > 1:
        raise BodyRequestError(f"{len(meshes)} meshes need one camera, or as many cameras of one size.")
    return meshes, corners, each


def _checked_supersample(supersample: int) -> int:
    if not 1 <= supersample <= MOST_SUPERSAMPLE:
        raise BodyRequestError(f"supersample must be between 1 and {MOST_SUPERSAMPLE}, not {supersample}.")
    return int(supersample)


def _on_screen(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """The mesh's points in the picture, and its faces: new ones where some had to be clipped."""
    screen, nearest = project_finite(vertices, camera)
    if nearest >= camera.near:
        return screen, faces
    if not math.isfinite(nearest):
        raise BodyRequestError(
            f"Vertex {int(np.argwhere(~np.isfinite(vertices))[0][0])} is not finite.",
            remedy="Check the betas and the pose that the mesh was made from.",
        )
    if screen[:, 2].max() < camera.near:
        raise BodyRequestError(
            "The whole mesh is behind the camera.", remedy="Put the camera further away, or turn it to the subject."
        )
    clipped, corners = _clipped(vertices, faces, camera)
    return project(clipped, camera), corners


def _clipped(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """The part of the mesh beyond the near plane; cut faces have new vertices on it, appended to the mesh's own."""
    ahead = to_camera(vertices, camera)[:, 2] - camera.near
    inside = ahead[faces] >= 0
    count = inside.sum(1)
    kept = [faces[count == 3]]
    new: list[np.ndarray] = []
    known: dict[tuple[int, int], int] = {}

    def cut(a: int, b: int) -> int:
        edge = (min(a, b), max(a, b))
        if edge not in known:
            low, high = edge
            share = ahead[low] / (ahead[low] - ahead[high])
            known[edge] = len(vertices) + len(new)
            new.append(vertices[low] + share * (vertices[high] - vertices[low]))
        return known[edge]

    more: list[tuple[int, int, int]] = []
    for face, within in zip(faces[(count == 1) | (count == 2)], inside[(count == 1) | (count == 2)], strict=True):
        # Turned so that the corner alone on its side comes first: the order of corners, and so the front, is kept.
        alone = int(np.flatnonzero(within == (within.sum() == 1))[0])
        a, b, c = (int(face[(alone + n) % 3]) for n in range(3))
        ab, ca = cut(a, b), cut(c, a)
        more += [(a, ab, ca)] if within.sum() == 1 else [(ab, b, c), (ab, c, ca)]
    if more:
        kept.append(np.array(more, np.int32))
    points = np.vstack([vertices, np.array(new)]) if new else vertices
    # A point behind the plane would be in no face that is left; on the plane, rounding must not put it behind.
    return points, np.ascontiguousarray(np.vstack(kept))


def _each(work: Callable[[int], None], count: int, threads: int) -> None:
    if threads <= 1 or count <= 1:
        for n in range(count):
            work(n)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(count)))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _within(corners, count):
    """Whether every corner (flat) names one of `count` vertices."""
    outside = 0
    for n in range(corners.size):
        outside += np.int64(np.uint32(corners[n]) >= np.uint32(count))  # a negative index is a huge unsigned one
    return outside == 0


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_QUICK)
def _fill(screen, faces, out):
    """Sets the pixels that a front face covers to 255."""
    height, width = out.shape
    for f in range(faces.shape[0]):
        # Unsigned: Numba would otherwise look whether each index counts from the end.
        i, j, k = np.uintp(faces[f, 0]), np.uintp(faces[f, 1]), np.uintp(faces[f, 2])
        x0, y0 = np.float64(screen[i, 0]), np.float64(screen[i, 1])
        x1, y1 = np.float64(screen[j, 0]), np.float64(screen[j, 1])
        x2, y2 = np.float64(screen[k, 0]), np.float64(screen[k, 1])
        if (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0) >= 0.0:
            continue
        left = max(int(np.ceil(min(x0, x1, x2) - 0.5)), 0)
        right = min(int(np.floor(max(x0, x1, x2) - 0.5)), width - 1)
        if left > right:
            continue
        top = max(int(np.ceil(min(y0, y1, y2) - 0.5)), 0)
        bottom = min(int(np.floor(max(y0, y1, y2) - 0.5)), height - 1)
        if top > bottom:
            continue
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                if out[y, x]:
                    continue
                px = x + 0.5
                if (
                    (x1 - px) * (y2 - py) - (x2 - px) * (y1 - py) <= 0.0
                    and (x2 - px) * (y0 - py) - (x0 - px) * (y2 - py) <= 0.0
                    and (x0 - px) * (y1 - py) - (x1 - px) * (y0 - py) <= 0.0
                ):
                    out[y, x] = 255


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_QUICK)
def cover(screen, faces, first, last, ids, nearness):
    """The front face with the greatest 1/z at each pixel, of the faces from `first` to before `last`.

    Pixels that show an earlier face than `first` are left alone.
    """
    height, width = ids.shape
    for f in range(first, last):
        # Unsigned: Numba would otherwise look whether each index counts from the end.
        i, j, k = np.uintp(faces[f, 0]), np.uintp(faces[f, 1]), np.uintp(faces[f, 2])
        x0, y0 = np.float64(screen[i, 0]), np.float64(screen[i, 1])
        x1, y1 = np.float64(screen[j, 0]), np.float64(screen[j, 1])
        x2, y2 = np.float64(screen[k, 0]), np.float64(screen[k, 1])
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area >= 0.0:
            continue
        left = max(int(np.ceil(min(x0, x1, x2) - 0.5)), 0)
        right = min(int(np.floor(max(x0, x1, x2) - 0.5)), width - 1)
        if left > right:
            continue
        top = max(int(np.ceil(min(y0, y1, y2) - 0.5)), 0)
        bottom = min(int(np.floor(max(y0, y1, y2) - 0.5)), height - 1)
        if top > bottom:
            continue
        wide = right - left > 16
        share = 1.0 / area
        n0, n1, n2 = share / screen[i, 2], share / screen[j, 2], share / screen[k, 2]
        for y in range(top, bottom + 1):
            py = y + 0.5
            start, end = left, right
            if wide:
                # Where the row enters and leaves the triangle, to a pixel; the test below is exact.
                px = left + 0.5
                for n in range(3):
                    if n == 0:
                        w, slope = (x1 - px) * (y2 - py) - (x2 - px) * (y1 - py), y1 - y2
                    elif n == 1:
                        w, slope = (x2 - px) * (y0 - py) - (x0 - px) * (y2 - py), y2 - y0
                    else:
                        w, slope = (x0 - px) * (y1 - py) - (x1 - px) * (y0 - py), y0 - y1
                    if slope > 1e-6:
                        end = min(end, left + int(min(max(-w / slope, -2.0), 1e6)) + 1)
                    elif slope < -1e-6:
                        start = max(start, left + int(min(max(-w / slope, 0.0), 1e6)) - 1)
            for x in range(start, end + 1):
                px = x + 0.5
                w0 = (x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)
                w1 = (x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)
                w2 = (x0 - px) * (y1 - py) - (x1 - px) * (y0 - py)
                if w0 <= 0.0 and w1 <= 0.0 and w2 <= 0.0:
                    near = np.float32(w0 * n0 + w1 * n1 + w2 * n2)
                    if near > nearness[y, x] and not 0 <= ids[y, x] < first:
                        nearness[y, x] = near
                        ids[y, x] = f


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_QUICK)
def _interpolate_directions(ids, screen, faces, values, turn, out):
    """Unit directions given at the vertices, interpolated with perspective and turned; 0 where nothing is seen."""
    height, width = ids.shape
    t00, t01, t02 = turn[0, 0], turn[0, 1], turn[0, 2]
    t10, t11, t12 = turn[1, 0], turn[1, 1], turn[1, 2]
    t20, t21, t22 = turn[2, 0], turn[2, 1], turn[2, 2]
    for y in range(height):
        py = y + 0.5
        for x in range(width):
            f = ids[y, x]
            if f < 0:
                out[y, x, 0] = 0.0
                out[y, x, 1] = 0.0
                out[y, x, 2] = 0.0
                continue
            px = x + 0.5
            i, j, k = np.uintp(faces[f, 0]), np.uintp(faces[f, 1]), np.uintp(faces[f, 2])
            x0, y0 = screen[i, 0], screen[i, 1]
            x1, y1 = screen[j, 0], screen[j, 1]
            x2, y2 = screen[k, 0], screen[k, 1]
            w0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) / screen[i, 2]
            w1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) / screen[j, 2]
            w2 = ((x0 - px) * (y1 - py) - (x1 - px) * (y0 - py)) / screen[k, 2]
            a = w0 * values[i, 0] + w1 * values[j, 0] + w2 * values[k, 0]
            b = w0 * values[i, 1] + w1 * values[j, 1] + w2 * values[k, 1]
            c = w0 * values[i, 2] + w1 * values[j, 2] + w2 * values[k, 2]
            # The weights are negative, as the area is: so is the root.
            scale = -1.0 / math.sqrt(max(a * a + b * b + c * c, 1e-30))
            out[y, x, 0] = (t00 * a + t01 * b + t02 * c) * scale
            out[y, x, 1] = (t10 * a + t11 * b + t12 * c) * scale
            out[y, x, 2] = (t20 * a + t21 * b + t22 * c) * scale


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _shrink(fine, factor, out):
    """The mean of each block of factor x factor samples."""
    count = factor * factor
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            total = 0
            for v in range(factor):
                for u in range(factor):
                    total += fine[y * factor + v, x * factor + u]
            out[y, x] = (total + count // 2) // count


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_QUICK)
def _vertex_normals(vertices, faces, out):
    for f in range(faces.shape[0]):
        i, j, k = np.uintp(faces[f, 0]), np.uintp(faces[f, 1]), np.uintp(faces[f, 2])
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        ux, uy, uz = vertices[j, 0] - x, vertices[j, 1] - y, vertices[j, 2] - z
        vx, vy, vz = vertices[k, 0] - x, vertices[k, 1] - y, vertices[k, 2] - z
        nx, ny, nz = np.float32(uy * vz - uz * vy), np.float32(uz * vx - ux * vz), np.float32(ux * vy - uy * vx)
        out[i, 0] += nx
        out[i, 1] += ny
        out[i, 2] += nz
        out[j, 0] += nx
        out[j, 1] += ny
        out[j, 2] += nz
        out[k, 0] += nx
        out[k, 1] += ny
        out[k, 2] += nz
    for v in range(out.shape[0]):
        length2 = out[v, 0] * out[v, 0] + out[v, 1] * out[v, 1] + out[v, 2] * out[v, 2]
        if length2 > np.float32(0.0):
            scale = np.float32(1.0) / np.sqrt(length2)
            out[v, 0] *= scale
            out[v, 1] *= scale
            out[v, 2] *= scale
