"""Whether the arrays of a file make up a body model, so that nothing strange comes out of a forward pass later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from models.errors import ModelFileError

_SUM_TOLERANCE = 1e-2
_LARGEST_M = 4.0  # no coordinate of a body is farther from the origin
_REMEDY = "Use the file as its publisher gives it; the open body comes packaged and needs no file."


def check_arrays(
    arrays: dict[str, Any], path: Path, *, vertices: int, faces: int, parents: Sequence[int]
) -> dict[str, np.ndarray]:
    """The arrays with their types settled (float64, int64). posedirs may be lacking.

    Raises: ModelFileError naming the array, if one is no array, has another shape than the others imply, holds values
    that are not finite, or makes no body: faces of vertices that are not there, weights that do not add up to 1,
    another skeleton.
    """
    joints = len(parents)
    found = {
        name: _numbers(name, arrays[name], path)
        for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f", "kintree_table")
        if name in arrays
    }
    wanted: dict[str, tuple[int | None, ...]] = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, None),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        "J_regressor": (joints, vertices),
        "weights": (vertices, joints),
        "f": (faces, 3),
        "kintree_table": (2, joints),
    }
    for name, array in found.items():
        shape = wanted[name]
        if array.ndim != len(shape) or any(w not in (None, h) for w, h in zip(shape, array.shape, strict=True)):
            words = ", ".join("K" if size is None else str(size) for size in shape)
            raise ModelFileError(f"{path}: {name} has the shape {array.shape}, not ({words}).", remedy=_REMEDY)
    if found["shapedirs"].shape[2] < 1:
        raise ModelFileError(f"{path}: shapedirs has no columns.", remedy=_REMEDY)
    for name in ("v_template", "shapedirs", "posedirs"):
        if name in found and abs(found[name]).max() > _LARGEST_M:
            raise ModelFileError(
                f"{path}: {name} goes beyond {_LARGEST_M:g} m; lengths must be in metres.", remedy=_REMEDY
            )
    _check_sums(found, path)
    _check_tree(found["kintree_table"], parents, path)
    tree = np.array([parents, range(joints)])
    return found | {"f": _faces(found["f"], vertices, path), "kintree_table": tree}


def is_closed(faces: np.ndarray) -> bool:
    """Whether the mesh is watertight with all faces turned the same way: every edge is there once in each direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    size = int(edges.max()) + 1
    there, back = np.sort(edges[:, 0] * size + edges[:, 1]), np.sort(edges[:, 1] * size + edges[:, 0])
    return bool((np.diff(there) > 0).all() and np.array_equal(there, back))


def _numbers(name: str, value: Any, path: Path) -> np.ndarray:
    if sparse.issparse(value):
        value = value.toarray() if max(value.shape) < 100_000 else np.empty(0)
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ModelFileError(f"{path}: {name} is not an array of numbers.", remedy=_REMEDY)
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise ModelFileError(f"{path}: {name} holds values that are not finite.", remedy=_REMEDY)
    return array


def _check_sums(found: dict[str, np.ndarray], path: Path) -> None:
    for name, least in (("weights", -_SUM_TOLERANCE), ("J_regressor", None)):
        sums = found[name].sum(axis=1)
        if (abs(sums - 1) > _SUM_TOLERANCE).any() or (least is not None and found[name].min() < least):
            row = int(abs(sums - 1).argmax())
            raise ModelFileError(
                f"{path}: {name} adds up to {sums[row]:.4g} in row {row}, not to 1, or is negative somewhere.",
                remedy=_REMEDY,
            )


def _faces(faces: np.ndarray, vertices: int, path: Path) -> np.ndarray:
    if faces.dtype.kind == "f" and (faces != np.round(faces)).any():
        raise ModelFileError(f"{path}: f holds numbers that are no vertices.", remedy=_REMEDY)
    faces = faces.astype(np.int64)
    if faces.min() < 0 or faces.max() >= vertices:
        raise ModelFileError(f"{path}: f refers to vertices that are not there.", remedy=_REMEDY)
    return faces


def _check_tree(table: np.ndarray, parents: Sequence[int], path: Path) -> None:
    """The root's parent is written as -1 or as the largest unsigned number."""
    found = table[0].astype(np.int64)
    if found[0] != -1 and found[0] < 2**31:
        raise ModelFileError(f"{path}: the first joint has a parent.", remedy=_REMEDY)
    found[0] = -1
    if not np.array_equal(found, parents):
        raise ModelFileError(f"{path}: its skeleton is not that of its kind of model.", remedy=_REMEDY)
