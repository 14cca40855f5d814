"""Skinning weights of the rig on the 24 joints, and the way from MakeHuman's A-pose to SMPL's T-pose.

MakeHuman stands with its arms half raised and its elbows bent. Arms and hands are turned by linear blend skinning
backwards, by the same rotations for every body, so that turning them back gives MakeHuman's own shape again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from models.body.recipe.assets import Assets
from models.body.recipe.shapes import BONES, Shaper, Standing
from models.body.skeleton import MIRRORED, N_JOINTS, PARENTS, joint

MOST_JOINTS = 4  # that may move one vertex
_TIE = 1e-9
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")


def skinning_weights(assets: Assets, shaper: Shaper) -> np.ndarray:
    """(V,24) float32, at most four joints a vertex, adding up to 1, the same on both sides."""
    whole = np.zeros((len(assets.vertices), N_JOINTS))
    for bone, pairs in assets.weights.items():
        if not pairs:
            continue
        if bone in BONES:
            to = BONES.index(bone)
        elif bone == "Root":
            to = 0
        elif bone.startswith(_FINGERS):
            to = joint("left_hand") if bone.endswith("_l") else joint("right_hand")
        else:
            raise ValueError(f"the rig has a bone that belongs to no joint: {bone}")
        table = np.array(pairs)
        np.add.at(whole[:, to], table[:, 0].astype(int), table[:, 1])
    weights = whole[shaper.body]
    weights = (weights + weights[shaper.mirror][:, list(MIRRORED)]) / 2
    # What equals the first weight too many goes with it, so that both sides lose the same joints.
    too_many = np.sort(weights, axis=1)[:, -MOST_JOINTS - 1]
    weights[weights <= too_many[:, None] + _TIE] = 0.0
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class TPose:
    """Brings standing bodies to the T-pose, pelvis at the origin."""

    weights: np.ndarray
    rotations: np.ndarray  # (24,3,3): T-pose -> A-pose, in the world

    @classmethod
    def of(cls, typical: np.ndarray, weights: np.ndarray) -> TPose:
        """typical (24,3): the joints of an average body as MakeHuman stands, whose arms say how far to turn."""
        rotations = np.repeat(np.eye(3)[None], N_JOINTS, axis=0)
        for side, outward in (("left", 1.0), ("right", -1.0)):
            shoulder, elbow, wrist, hand = (joint(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist", "hand"))
            for start, end in ((shoulder, elbow), (elbow, wrist), (wrist, hand)):
                rotations[start] = _turn(np.array([outward, 0, 0]), typical[end] - typical[start])
            rotations[hand] = rotations[wrist]
        return cls(weights, rotations)

    def apply(self, standing: Standing) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (B,V,3) and joints (B,24,3) in the T-pose, float64."""
        origin = standing.joints[:, :1]
        vertices, stood = standing.vertices - origin, standing.joints - origin
        joints = stood.copy()
        for j, parent in enumerate(PARENTS):
            if parent >= 0:
                bone = stood[:, j] - stood[:, parent]
                joints[:, j] = joints[:, parent] + bone @ self.rotations[parent]  # row vectors: the inverse turn
        shifts = stood - np.einsum("jab,njb->nja", self.rotations, joints)
        back = np.linalg.inv(np.einsum("vj,jab->vab", self.weights, self.rotations))
        for body, shift in zip(vertices, shifts, strict=True):
            body[:] = np.einsum("vab,vb->va", back, body - self.weights @ shift)
        return vertices, joints


def _turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The shortest rotation from one direction to another."""
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis = np.cross(start, end)
    return Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.arctan2(np.linalg.norm(axis), start @ end)).as_matrix()
