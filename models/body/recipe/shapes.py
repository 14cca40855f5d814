"""Phenotypes become bodies as MakeHuman stands: in its own A-pose, in metres, with the joints of the rig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from models.body.recipe.assets import Assets
from models.body.recipe.targets import coefficients

# The bone of the rig whose head is each joint of the skeleton, in the order of `skeleton.JOINTS`.
BONES = (
    "pelvis", "thigh_l", "thigh_r", "spine_01", "calf_l", "calf_r", "spine_02", "foot_l", "foot_r", "spine_03",
    "ball_l", "ball_r", "neck_01", "clavicle_l", "clavicle_r", "head", "upperarm_l", "upperarm_r", "lowerarm_l",
    "lowerarm_r", "hand_l", "hand_r", "middle_01_l", "middle_01_r",
)  # fmt: skip
_KNEES = ("calf_l", "calf_r")
_AROUND_KNEE = 300


@dataclass(frozen=True)
class Standing:
    """Bodies in MakeHuman's A-pose: vertices (B,V,3) float32 and joints (B,24,3) float64, in metres."""

    vertices: np.ndarray
    joints: np.ndarray


class Shaper:
    """Makes bodies from phenotypes: all targets as one matrix, so that a batch is one product."""

    def __init__(self, assets: Assets) -> None:
        self.body = np.unique(assets.quads["body"])  # vertices of the base mesh that make up the skin
        new = np.full(len(assets.vertices), -1)
        new[self.body] = np.arange(len(self.body))
        quads = new[assets.quads["body"]]
        self.faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        self.mirror = new[assets.mirror[self.body]]
        self._centres = [self._centre(bone, assets) for bone in BONES]
        self._macros = list(assets.macros)
        targets = list(assets.macros.values())
        targets += [side for pair in assets.local.values() for side in pair if side is not None]
        self._base = self._skin_and_joints(assets.vertices)
        self._targets = np.stack([self._skin_and_joints(target) for target in targets]).astype(np.float32)

    def _centre(self, bone: str, assets: Assets) -> tuple[np.ndarray, np.ndarray]:
        """Vertices whose weighted mean is a joint, and the weights.

        The rig gives a cube of helper vertices around each joint. The knees' cubes are not followed: the targets of
        stature move them along the leg, away from the skin's knee by up to 82 mm. A knee is the mean of the skin that
        surrounds the cube of the base mesh.
        """
        cube = np.unique(assets.quads[assets.bones[bone]["head"]["cube_name"]])
        if bone not in _KNEES:
            return cube, np.full(len(cube), 1 / len(cube))
        place = assets.vertices[cube].mean(axis=0)
        skin = assets.vertices[self.body]
        near = np.argsort(np.linalg.norm(skin - place, axis=1))[:_AROUND_KNEE]
        # Non-negative weights that meet the place; the small rows spread them over the whole ring.
        left = np.vstack([skin[near].T, np.ones(len(near)), 0.01 * np.eye(len(near))])
        weights, _ = optimize.nnls(left, np.concatenate([place, [1.0], np.zeros(len(near))]))
        return self.body[near], weights / weights.sum()

    def _skin_and_joints(self, field: np.ndarray) -> np.ndarray:
        """Joints are means of vertices, so that targets move them as they move vertices."""
        return np.concatenate(
            [field[self.body], *(weights[None] @ field[some] for some, weights in self._centres)]
        ).ravel()

    def stand(self, phenotypes: Mapping[str, np.ndarray]) -> Standing:
        weights = coefficients(phenotypes, self._macros).astype(np.float32)
        both = (weights @ self._targets).reshape(len(weights), -1, 3) + self._base.reshape(-1, 3).astype(np.float32)
        return Standing(both[:, : len(self.body)], both[:, len(self.body) :].astype(np.float64))


def volume(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Enclosed volume (B,) of closed meshes (B,V,3), by the divergence theorem, in the cube of their unit."""
    found = np.empty(len(vertices))
    for i, body in enumerate(vertices.astype(np.float64)):
        a, b, c = body[faces[:, 0]], body[faces[:, 1]], body[faces[:, 2]]
        found[i] = np.einsum("fi,fi->", np.cross(a, b), c) / 6
    return found
