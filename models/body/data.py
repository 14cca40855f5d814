"""A body model as NumPy arrays, with the fast forward pass that the renderer and the tape measure use.

Frame: y up, z forward, x to the subject's left, metres. Shape comes first, then pose (linear blend skinning; Loper et
al. 2015, "SMPL: a skinned multi-person linear model", eqs. 2 to 10): vertices = skin(template + shape + pose
corrections).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import sparse

from models.body.skeleton import JOINTS, N_JOINTS
from models.body.skinning import skin
from models.errors import BodyRequestError


@dataclass(frozen=True, eq=False)
class BodyData:
    """Everything that a body model knows. V vertices, K betas, P = 207 pose corrections or none, 24 joints.

    v_template (V,3) float64; shapedirs (V,3,K) float32, metres for one unit of each beta; posedirs (V,3,P) float32 or
    None; joint_regressor (24,V) sparse; weights (V,24) float32, rows add up to 1; faces (F,3) int64, counter-clockwise
    from outside; parents (24,) int64, the root's is -1; scan_pose (24,3) the A-pose in which scans are captured; span
    (2,K) the lowest and highest value of each beta for which the model is meant; licence: under which terms the file
    may be used; card: what the file says of its own making.
    """

    name: str
    kind: Literal["open", "smpl", "smplx"]
    v_template: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray | None
    joint_regressor: sparse.csr_array
    weights: np.ndarray
    faces: np.ndarray
    parents: np.ndarray
    scan_pose: np.ndarray
    span: np.ndarray
    licence: str
    joint_names: tuple[str, ...] = JOINTS
    card: dict = field(default_factory=dict)

    @functools.cached_property
    def shape_directions(self) -> np.ndarray:
        """(K, V*3) float32: `shapedirs` as the product with betas needs it."""
        return np.ascontiguousarray(self.shapedirs.reshape(-1, self.n_betas).T)

    @functools.cached_property
    def pose_directions(self) -> np.ndarray | None:
        """(P, V*3) float32: `posedirs` as the product with rotations needs it."""
        if self.posedirs is None:
            return None
        return np.ascontiguousarray(self.posedirs.reshape(-1, self.posedirs.shape[2]).T)

    @functools.cached_property
    def joint_template(self) -> np.ndarray:
        """(24,3): the joints of the template."""
        return self.joint_regressor @ self.v_template

    @functools.cached_property
    def joint_directions(self) -> np.ndarray:
        """(K, 24*3): how the joints move with each beta; joints are linear in the betas, as vertices are."""
        moves = self.joint_regressor @ self.shapedirs.reshape(self.n_vertices, -1).astype(np.float64)
        return np.ascontiguousarray(moves.reshape(-1, self.n_betas).T)

    @functools.cached_property
    def _skin(self) -> sparse.csr_array:
        return sparse.csr_array(self.weights.astype(np.float64))

    @property
    def n_betas(self) -> int:
        return self.shapedirs.shape[2]

    @property
    def n_vertices(self) -> int:
        return len(self.v_template)

    def shaped(self, betas: np.ndarray) -> np.ndarray:
        """Bodies in the T-pose: betas (N,K) -> vertices (N,V,3) float64. Raises: BodyRequestError (see
        `check_betas`).
        """
        betas = check_betas(betas, self)
        offsets = betas.astype(np.float32) @ self.shape_directions
        return self.v_template + offsets.reshape(len(betas), *self.v_template.shape)

    def joints(self, vertices: np.ndarray) -> np.ndarray:
        """The joints (N,24,3) of bodies in the T-pose (N,V,3)."""
        flat = np.moveaxis(np.asarray(vertices, np.float64), 1, 0).reshape(self.n_vertices, -1)
        return np.moveaxis((self.joint_regressor @ flat).reshape(N_JOINTS, -1, 3), 1, 0)

    def posed(
        self, betas: np.ndarray, pose: np.ndarray, translation: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bodies in a pose: vertices (N,V,3) and joints (N,24,3), float64.

        betas (N,K); pose (N,24,3) axis-angle, or (24,3) for all; translation (N,3) metres. Raises: BodyRequestError.
        """
        betas = check_betas(betas, self)
        pose = check_pose(pose, len(betas))
        vertices = self.shaped(betas)
        rest = self.joint_template + (betas @ self.joint_directions).reshape(len(betas), N_JOINTS, 3)
        rotations = rotation_matrices(pose)
        if self.posedirs is not None:
            feature = (rotations[:, 1:] - np.eye(3)).reshape(len(betas), 9 * (N_JOINTS - 1))
            vertices += (feature.astype(np.float32) @ self.pose_directions).reshape(vertices.shape)
        turned, moved, joints = _chain(rotations, rest, self.parents)
        frames = np.concatenate([turned, moved[..., None]], axis=3)
        for body, of_body in zip(vertices, frames, strict=True):
            skin(body, self._skin.indptr, self._skin.indices, self._skin.data, of_body)
        if translation is not None:
            translation = check_translation(translation, len(betas))[:, None]
            vertices += translation
            joints = joints + translation
        return vertices, joints


def rotation_matrices(pose: np.ndarray) -> np.ndarray:
    """Axis-angle vectors (...,3) -> rotation matrices (...,3,3), by Rodrigues' formula."""
    angle = np.linalg.norm(pose, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(pose / np.maximum(angle[..., 0], np.finfo(float).tiny), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*pose.shape[:-1], 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def _chain(rotations: np.ndarray, rest: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """World rotation and shift of each joint's frame, as applied to the T-pose, and where the joints go."""
    turned, joints = rotations.copy(), rest.copy()
    for j, parent in enumerate(parents):
        if parent >= 0:
            turned[:, j] = turned[:, parent] @ rotations[:, j]
            bone = rest[:, j] - rest[:, parent]
            joints[:, j] = joints[:, parent] + np.einsum("nij,nj->ni", turned[:, parent], bone)
    return turned, joints - np.einsum("njab,njb->nja", turned, rest), joints


def check_betas(betas: np.ndarray, body: BodyData) -> np.ndarray:
    """betas as float64 (N,K). Raises: BodyRequestError if shape, a value or the model's span does not allow them."""
    betas = _array(
        betas,
        "betas",
        (None, body.n_betas),
        f"{body.name} has {body.n_betas} betas; give an array (N, {body.n_betas}).",
    )
    check_span(betas.min(axis=0, initial=0.0), betas.max(axis=0, initial=0.0), body)
    return betas


def check_span(lowest: np.ndarray, highest: np.ndarray, body: BodyData) -> None:
    """Raises: BodyRequestError if betas with these extremes (K,) are outside the model's span."""
    outside = (lowest < body.span[0]) | (highest > body.span[1])
    if outside.any():
        k = int(np.argmax(outside))
        low, high = body.span[:, k]
        value = lowest[k] if lowest[k] < low else highest[k]
        raise BodyRequestError(
            f"Beta {k + 1} is {value:.3g}, outside the span of {body.name}, {low:.3g} to {high:.3g}.",
            remedy="Ask for a body within the span; nothing is clamped to it.",
        )


def check_pose(pose: np.ndarray, n: int) -> np.ndarray:
    """pose as float64 (n,24,3), one pose being meant for all bodies. Raises: BodyRequestError."""
    pose = np.asarray(pose)
    if pose.shape == (N_JOINTS, 3):
        pose = np.broadcast_to(pose, (n, N_JOINTS, 3))
    return _array(pose, "pose", (n, N_JOINTS, 3), "Give one axis-angle vector for each of the 24 joints, in radians.")


def check_translation(translation: np.ndarray, n: int) -> np.ndarray:
    """translation as float64 (n,3). Raises: BodyRequestError."""
    return _array(translation, "translation", (n, 3), "Give one vector in metres for each body.")


def _array(values: np.ndarray, name: str, shape: tuple[int | None, ...], remedy: str) -> np.ndarray:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise BodyRequestError(f"What is given as {name} is not an array of numbers.", remedy=remedy) from error
    if array.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("N" if size is None else str(size) for size in shape)
        raise BodyRequestError(f"An array of shape {array.shape} is given as {name}, not ({wanted}).", remedy=remedy)
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise BodyRequestError(
            f"Among the values of {name} is {array[where]}, at {where}.", remedy="Give finite numbers only."
        )
    return array
