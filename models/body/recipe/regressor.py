"""The joint regressor: each joint as a weighted mean of skin vertices around it."""

from __future__ import annotations

import numpy as np
from scipy import optimize

from models.body.skeleton import N_JOINTS

_CANDIDATES = 400


def joint_regressor(bodies: np.ndarray, joints: np.ndarray) -> np.ndarray:
    found = np.zeros((N_JOINTS, bodies.shape[1]))
    mean = bodies.mean(axis=0)
    for j in range(N_JOINTS):
        near = np.argsort(np.linalg.norm(mean - joints[:, j].mean(axis=0), axis=1))[: _CANDIDATES * 3 : 3]
        left = bodies[:, near].transpose(0, 2, 1).reshape(-1, len(near))
        weights, _ = optimize.nnls(np.vstack([left, np.full(len(near), 100.0)]), np.append(joints[:, j].ravel(), 100.0))
        found[j, near] = weights / weights.sum()
    return found
