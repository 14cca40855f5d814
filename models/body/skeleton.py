"""The 24 joints of SMPL: names, tree, and the pose in which scans are captured.

Order and tree are those of SMPL (Loper et al. 2015). Poses are axis-angle vectors, one for each joint, in radians,
relative to the parent joint; all zeros is the T-pose.
"""

from __future__ import annotations

import numpy as np

JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
MIRRORED = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)
N_JOINTS = len(JOINTS)

_ARM_BELOW_HORIZONTAL = np.deg2rad(50.0)
_ELBOW_BEND = np.deg2rad(8.0)


def joint(name: str) -> int:
    """The number of a joint. Raises: ValueError for an unknown name."""
    return JOINTS.index(name)


def scan_pose() -> np.ndarray:
    """(24,3): the A-pose in which scans are captured, arms straight 40° from the trunk, elbows hardly bent."""
    pose = np.zeros((N_JOINTS, 3))
    for side, sign in (("left", -1.0), ("right", 1.0)):
        pose[joint(f"{side}_shoulder"), 2] = sign * _ARM_BELOW_HORIZONTAL
        pose[joint(f"{side}_elbow"), 1] = sign * _ELBOW_BEND
    return pose
