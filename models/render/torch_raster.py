"""Silhouettes, depth and normals on tensors, on CUDA or on the CPU: the same pictures as those of `raster`.

All pixels of all triangles' bounding boxes are tested at once, in slices of bounded size; the nearest triangle at a
pixel is the least of one 64-bit number, its depth above its index. So the result does not depend on the order in which
a device works. Nothing here is differentiable. Numbers are float32 as in `raster`, and only pixels whose centre lies
on an edge, to rounding, may differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from models.errors import BodyRequestError
from models.render.camera import Camera

MOST_TESTS = 1 << 24  # pixels of bounding boxes that are tested at a time
_NOTHING = torch.iinfo(torch.int64).max


def project(vertices: torch.Tensor, cameras: Camera | Sequence[Camera]) -> torch.Tensor:
    """(N, V, 3) float32: column, row and distance along the axis of points (N, V, 3) of the room."""
    each = _cameras(cameras, len(vertices))
    place = vertices.to(torch.float64)
    turn = torch.tensor([c.rotation().tolist() for c in each], dtype=torch.float64, device=place.device)
    at = torch.tensor([c.position for c in each], dtype=torch.float64, device=place.device)
    focal, k1, near = (
        torch.tensor([getattr(c, name) for c in each], dtype=torch.float64, device=place.device)[:, None]
        for name in ("focal", "k1", "near")
    )
    height, width = each[0].size
    seen = (place - at[:, None]) @ turn.transpose(1, 2)
    z = seen[..., 2]
    x, y = seen[..., 0] / z.clamp_min(near), seen[..., 1] / z.clamp_min(near)
    scale = focal * _distorted(x * x + y * y, k1)
    return torch.stack([width / 2 + scale * x, height / 2 + scale * y, z], dim=-1).to(torch.float32)


def visibility(
    vertices: torch.Tensor, faces: torch.Tensor, cameras: Camera | Sequence[Camera]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What is in front: face (N, H, W) int64, -1 for none; depth (N, H, W) float32, infinite for none; and the screen.

    vertices (N, V, 3), faces (F, 3). Raises BodyRequestError for vertices that are not finite or nearer than the
    cameras' near distance: clipping is for `raster` alone.
    """
    if vertices.ndim != 3 or vertices.shape[2] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise BodyRequestError(
            f"Meshes need vertices (N, V, 3) and faces (F, 3), not {tuple(vertices.shape)} and {tuple(faces.shape)}."
        )
    each = _cameras(cameras, len(vertices))
    if not bool(torch.isfinite(vertices).all()):
        raise BodyRequestError(
            "A vertex is not finite.", remedy="Check the betas and the pose that the mesh was made from."
        )
    screen = project(vertices, each)
    near = torch.tensor([c.near for c in each], device=screen.device)
    if bool((screen[..., 2].amin(1) < near).any()):
        raise BodyRequestError(
            "A mesh reaches behind its camera.",
            remedy="Put the camera further away, or draw with models.render.raster.",
        )
    height, width = each[0].size
    count, corners = len(vertices), faces.to(screen.device, torch.int64)
    # (N * F, 3 corners, 3)
    triangles = screen[:, corners].reshape(-1, 3, 3)
    x, y, z = triangles[..., 0], triangles[..., 1], triangles[..., 2]
    x0, x1, x2 = x.unbind(1)
    y0, y1, y2 = y.unbind(1)
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    left = torch.ceil(x.amin(1).double() - 0.5).clamp(0, width).long()
    right = torch.floor(x.amax(1).double() - 0.5).clamp(-1, width - 1).long()
    top = torch.ceil(y.amin(1).double() - 0.5).clamp(0, height).long()
    bottom = torch.floor(y.amax(1).double() - 0.5).clamp(-1, height - 1).long()
    columns = (right - left + 1).clamp_min(0)
    tests = torch.where(area < 0, columns * (bottom - top + 1).clamp_min(0), 0)
    chosen = torch.nonzero(tests).squeeze(1)
    best = torch.full((count * height * width,), _NOTHING, dtype=torch.int64, device=screen.device)
    ends = torch.cumsum(tests[chosen], 0)
    first = 0
    while first < len(chosen):
        done = int(ends[first - 1]) if first else 0
        last = max(int(torch.searchsorted(ends, done + MOST_TESTS, right=True)), first + 1)
        some = chosen[first:last]
        many = tests[some]
        owner = torch.repeat_interleave(some, many)
        start = torch.cumsum(many, 0) - many
        nth = torch.arange(len(owner), device=screen.device) - torch.repeat_interleave(start, many)
        wide = columns[owner]
        row, column = top[owner] + nth // wide, left[owner] + nth % wide
        px, py = column.double() + 0.5, row.double() + 0.5
        ax, bx, cx = (v[owner].double() for v in (x0, x1, x2))
        ay, by, cy = (v[owner].double() for v in (y0, y1, y2))
        w0 = (bx - px) * (cy - py) - (cx - px) * (by - py)
        w1 = (cx - px) * (ay - py) - (ax - px) * (cy - py)
        w2 = (ax - px) * (by - py) - (bx - px) * (ay - py)
        depth = z[owner].double()
        nearness = (w0 / depth[:, 0] + w1 / depth[:, 1] + w2 / depth[:, 2]) / area[owner].double()
        inside = (w0 <= 0) & (w1 <= 0) & (w2 <= 0)
        distance = (1.0 / nearness[inside]).to(torch.float32)
        # Positive floats have the order of their bits, so that depth and face fit one number.
        key = (distance.view(torch.int32).long() << 32) | (owner[inside] % len(corners))
        pixel = (owner[inside] // len(corners)) * height * width + row[inside] * width + column[inside]
        best.scatter_reduce_(0, pixel, key, reduce="amin")
        first = last
    best = best.view(count, height, width)
    hit = best != _NOTHING
    ids = torch.where(hit, best & 0xFFFFFFFF, -1)
    depth = torch.where(hit, (best >> 32).to(torch.int32).view(torch.float32), torch.inf)
    return ids, depth, screen


def silhouettes(
    vertices: torch.Tensor, faces: torch.Tensor, cameras: Camera | Sequence[Camera], *, supersample: int = 1
) -> torch.Tensor:
    """(N, H, W) uint8: how much of each pixel the meshes (N, V, 3) cover, 0 to 255."""
    each = _cameras(cameras, len(vertices))
    height, width = each[0].size
    if supersample < 1:
        raise BodyRequestError(f"supersample must be 1 or more, not {supersample}.")
    fine = [c.resized((height * supersample, width * supersample)) for c in each]
    hit = visibility(vertices, faces, fine)[0] >= 0
    share = hit.view(len(vertices), height, supersample, width, supersample).to(torch.int64).sum((2, 4))
    whole = supersample * supersample
    return torch.div(share * 255 + whole // 2, whole, rounding_mode="floor").to(torch.uint8)


def depth(vertices: torch.Tensor, faces: torch.Tensor, cameras: Camera | Sequence[Camera]) -> torch.Tensor:
    """(N, H, W) float32: metres along the axis to the meshes, infinite where there is none."""
    return visibility(vertices, faces, cameras)[1]


def normal_maps(vertices: torch.Tensor, faces: torch.Tensor, cameras: Camera | Sequence[Camera]) -> torch.Tensor:
    """(N, H, W, 3) float32: unit normals as each camera sees them (x right, y up, z to the viewer), 0 for none."""
    each = _cameras(cameras, len(vertices))
    ids, _, screen = visibility(vertices, faces, each)
    corners = faces.to(screen.device, torch.int64)
    at = torch.nonzero(ids >= 0)
    picture = at[:, 0]
    face = corners[ids[at[:, 0], at[:, 1], at[:, 2]]]
    triangle = screen[picture[:, None], face].double()
    px, py = at[:, 2].double() + 0.5, at[:, 1].double() + 0.5
    x0, x1, x2 = triangle[..., 0].unbind(1)
    y0, y1, y2 = triangle[..., 1].unbind(1)
    weights = torch.stack(
        [
            (x1 - px) * (y2 - py) - (x2 - px) * (y1 - py),
            (x2 - px) * (y0 - py) - (x0 - px) * (y2 - py),
            (x0 - px) * (y1 - py) - (x1 - px) * (y0 - py),
        ],
        dim=1,
    )
    weights = weights / triangle[..., 2]
    facing = vertex_normals(vertices, corners)[picture[:, None], face].double()
    mixed = -(weights[..., None] * facing).sum(1)
    turn = torch.tensor([c.rotation().tolist() for c in each], dtype=torch.float64, device=screen.device)
    turn = turn * torch.tensor([[1.0], [-1.0], [-1.0]], dtype=torch.float64, device=screen.device)
    mixed = torch.einsum("nij,nj->ni", turn[picture], mixed)
    out = torch.zeros((*ids.shape, 3), dtype=torch.float32, device=screen.device)
    out[at[:, 0], at[:, 1], at[:, 2]] = torch.nn.functional.normalize(mixed, dim=1).to(torch.float32)
    return out


def vertex_normals(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """(N, V, 3) float32 unit normals of meshes (N, V, 3), each the mean of its faces' weighted by area."""
    corners = vertices.double()[:, faces]
    across = torch.linalg.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    total = torch.zeros_like(vertices, dtype=torch.float64)
    for c in range(3):
        total.index_add_(1, faces[:, c], across)
    return torch.nn.functional.normalize(total, dim=2).to(torch.float32)


def _cameras(cameras: Camera | Sequence[Camera], count: int) -> list[Camera]:
    each = [cameras] * count if isinstance(cameras, Camera) else list(cameras)
    if len(each) != count or len({camera.size for camera in each}) > 1:
        raise BodyRequestError(f"{count} meshes need one camera, or as many cameras of one size.")
    return each


def _distorted(r2: torch.Tensor, k1: torch.Tensor) -> torch.Tensor:
    """See `camera.distorted`."""
    turn2 = torch.where(k1 < 0, -1.0 / (3.0 * k1.clamp_max(-1e-12)), torch.inf)
    r, turn = r2.sqrt(), turn2.clamp_max(1e12).sqrt()
    beyond = (turn * (1.0 + k1 * turn2.clamp_max(1e12)) + 0.5 * (r - turn)) / r.clamp_min(1e-12)
    return torch.where(r2 > turn2, beyond, 1.0 + k1 * r2)
