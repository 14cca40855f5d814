"""Linear blend skinning of one body, compiled: each vertex follows the few joints that move it."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def skin(vertices: np.ndarray, starts: np.ndarray, joints: np.ndarray, weights: np.ndarray, frames: np.ndarray) -> None:
    """Moves vertices (V,3) in place.

    starts (V+1,), joints and weights: the rows of the sparse weights; frames (24,3,4): rotation and shift of each
    joint.
    """
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v]
        moved_x = moved_y = moved_z = 0.0
        for i in range(starts[v], starts[v + 1]):
            frame, weight = frames[joints[i]], weights[i]
            moved_x += weight * (frame[0, 0] * x + frame[0, 1] * y + frame[0, 2] * z + frame[0, 3])
            moved_y += weight * (frame[1, 0] * x + frame[1, 1] * y + frame[1, 2] * z + frame[1, 3])
            moved_z += weight * (frame[2, 0] * x + frame[2, 1] * y + frame[2, 2] * z + frame[2, 3])
        vertices[v, 0], vertices[v, 1], vertices[v, 2] = moved_x, moved_y, moved_z
