"""The joint regressor: each joint as a weighted mean of the skin around it.

Weights add up to 1, may be negative, and are learned by ridge regression. Weights of one sign, as SMPL has them, leave
hips and spine off by up to 40 mm in extreme bodies, because there the rig's joints move otherwise than any mean of the
skin does.
"""

from __future__ import annotations

import numpy as np

from models.body.skeleton import MIRRORED, N_JOINTS

_CANDIDATES = 1000
_RADIUS_M = 0.6
_RIDGE = 2e-5
_SUM_TO_ONE = 1e3  # what a departure of the sum of the weights from 1 counts


def joint_regressor(bodies: np.ndarray, joints: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """(24,V), the same on both sides, from bodies (N,V,3) with their joints (N,24,3), all in the T-pose."""
    found = np.zeros((N_JOINTS, bodies.shape[1]))
    mean = bodies.mean(axis=0)
    for j in range(N_JOINTS):
        if MIRRORED[j] < j:
            found[j] = found[MIRRORED[j]][mirror]
            continue
        distance = np.linalg.norm(mean - joints[:, j].mean(axis=0), axis=1)
        near = np.flatnonzero(distance < _RADIUS_M)
        near = near[np.argsort(distance[near])]
        near = near[np.linspace(0, len(near) - 1, min(_CANDIDATES, len(near))).astype(int)]
        left = np.vstack([bodies[:, near].transpose(0, 2, 1).reshape(-1, len(near)), np.full(len(near), _SUM_TO_ONE)])
        right = np.append(joints[:, j].ravel(), _SUM_TO_ONE)
        ridge = _RIDGE * len(bodies) * np.eye(len(near))
        weights = np.linalg.solve(left.T @ left + ridge, left.T @ right)
        found[j, near] = weights / weights.sum()
        if MIRRORED[j] == j:
            found[j] = (found[j] + found[j][mirror]) / 2
    return found
