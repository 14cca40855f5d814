"""Mesh files of an avatar: GLB (binary glTF 2.0; ISO/IEC 12113:2022) and Wavefront OBJ.

Both are in metres with y up, the feet on the floor at the origin, facing +z, which is how glTF wants it, too. Every
file says in itself what it is. The same avatar gives the same bytes.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.body.skeleton import joint
from models.errors import BodyRequestError
from models.render.raster import vertex_normals

if TYPE_CHECKING:
    from models.body.data import BodyData

NODE = "Calliper avatar"
RENDERED_NOTICE = "Made from rendered photos: no camera took them, and no clinical claim rests on them."

# Linear light reflected: a warm grey that is nobody's skin.
GREY = (0.46, 0.41, 0.38)
_ROUGHNESS = 0.85
_MAGIC, _VERSION, _JSON, _BIN = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_TRIANGLES = 4
_MOST_SHORT = 65_535  # the number itself means something else to graphics cards


@dataclass(frozen=True)
class About:
    """What a file says of the avatar in it.

    checkpoints: kind -> NAME@VERSION, of what found its shape. rendered: whether the photos were rendered. body_model:
    whose mesh it is. further: anything else that JSON can hold, by name.
    """

    body_model: str
    checkpoints: tuple[tuple[str, str], ...] = ()
    rendered: bool = False
    further: tuple[tuple[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For `extras` of glTF, and line by line for OBJ."""
        said: dict[str, Any] = {
            "what": "A Calliper avatar: a body shape estimated from photos. Its face and skin are the model's.",
            "unit": "metre",
            "body_model": self.body_model,
            "checkpoints": dict(self.checkpoints),
            "rendered": self.rendered,
        }
        if self.rendered:
            said["notice"] = RENDERED_NOTICE
        return said | dict(self.further)


def standing(betas: np.ndarray, body: BodyData, pose: np.ndarray | None = None) -> np.ndarray:
    """(V,3) metres: the body (betas (K,)) in a pose (24,3), by default that of scans, with its feet on the floor.

    The origin is between the ankles. Raises BodyRequestError for betas or a pose that the body does not have.
    """
    if np.ndim(betas) != 1:
        raise BodyRequestError(f"A mesh is of one body, betas ({body.n_betas},), not {np.shape(betas)}.")
    vertices, joints = body.posed(np.asarray(betas)[None], body.scan_pose if pose is None else pose)
    middle = joints[0, [joint("left_ankle"), joint("right_ankle")]].mean(0)
    return vertices[0] - [middle[0], vertices[0, :, 1].min(), middle[2]]


def glb(vertices: np.ndarray, faces: np.ndarray, about: About) -> bytes:
    """A mesh as binary glTF: one node with positions, normals, indices and a grey material.

    vertices (V,3) metres; faces (F,3), counter-clockwise from outside. Raises BodyRequestError for what is no mesh.
    """
    positions, corners = _checked(vertices, faces)
    normals = vertex_normals(positions.astype(np.float64), corners).astype("<f4")
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    # A vertex that no face uses has no normal; glTF wants one of length 1 all the same.
    normals = np.where(lengths > 0, normals / np.where(lengths > 0, lengths, 1), np.array([0, 1, 0])).astype("<f4")
    index_type, kind = (_UNSIGNED_SHORT, "<u2") if len(positions) <= _MOST_SHORT else (_UNSIGNED_INT, "<u4")
    indices = corners.astype(kind).ravel()
    parts = [positions.tobytes(), normals.tobytes(), indices.tobytes()]
    views, binary = [], b""
    for part, target in zip(parts, (_ARRAY_BUFFER, _ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER), strict=True):
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(part), "target": target})
        binary += _padded(part, b"\0")
    document = {
        "asset": {"version": "2.0", "generator": "Calliper", "extras": about.as_dict()},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": NODE, "mesh": 0, "extras": about.as_dict()}],
        "meshes": [
            {
                "name": NODE,
                "primitives": [
                    {
                        "attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": 0, "mode": _TRIANGLES,
                    }
                ],
            }
        ],
        "materials": [
            {
                "name": "neutral grey",
                "pbrMetallicRoughness": {
                    "baseColorFactor": [*GREY, 1.0], "metallicFactor": 0.0, "roughnessFactor": _ROUGHNESS,
                },
            }
        ],
        "accessors": [
            {
                "bufferView": 0, "componentType": _FLOAT, "count": len(positions), "type": "VEC3",
                "min": positions.min(0).tolist(), "max": positions.max(0).tolist(),
            },
            {"bufferView": 1, "componentType": _FLOAT, "count": len(normals), "type": "VEC3"},
            {
                "bufferView": 2, "componentType": index_type, "count": len(indices), "type": "SCALAR",
                "min": [int(indices.min())], "max": [int(indices.max())],
            },
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }  # fmt: skip
    text = _padded(json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(), b" ")
    chunks = struct.pack("<II", len(text), _JSON) + text + struct.pack("<II", len(binary), _BIN) + binary
    return struct.pack("<III", _MAGIC, _VERSION, 12 + len(chunks)) + chunks


def obj(vertices: np.ndarray, faces: np.ndarray, about: About) -> bytes:
    """A mesh as Wavefront OBJ with normals; what it is stands in comments. As `glb` otherwise."""
    positions, corners = _checked(vertices, faces)
    normals = vertex_normals(positions.astype(np.float64), corners)
    said = [f"# {name}: {json.dumps(value, ensure_ascii=True)}" for name, value in about.as_dict().items()]
    lines = ["# Calliper avatar", *said, f"o {NODE.replace(' ', '_')}"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in (positions.astype(np.float64).round(6) + 0.0).tolist()]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in (normals.astype(np.float64).round(4) + 0.0).tolist()]
    lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in (corners + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()


WRITERS = {".glb": glb, ".obj": obj}
"""Suffix of a file -> what makes its bytes."""


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % 4)


def _checked(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    positions, corners = np.asarray(vertices), np.asarray(faces)
    if positions.ndim != 2 or positions.shape[1] != 3 or not len(positions) or not np.isfinite(positions).all():
        raise BodyRequestError("A mesh needs vertices (V, 3) that are finite numbers.")
    if corners.ndim != 2 or corners.shape[1] != 3 or not len(corners) or corners.dtype.kind not in "iu":
        raise BodyRequestError("A mesh needs faces (F, 3) of whole numbers.")
    if corners.min() < 0 or corners.max() >= len(positions):
        raise BodyRequestError(f"A face names a vertex that is not there; there are {len(positions)}.")
    return np.ascontiguousarray(positions, "<f4"), np.ascontiguousarray(corners, np.int64)
