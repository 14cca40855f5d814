"""The shape basis: weighted principal components of bodies in the T-pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.body.skeleton import joint

_DETAIL = {"head": 0.35, "left_hand": 0.15, "right_hand": 0.15, "left_foot": 0.4, "right_foot": 0.4}
_BATCH = 200


@dataclass(frozen=True)
class Basis:
    """mean (V,3); directions (V,3,K): displacement for one unit, which is one standard deviation of the people
    drawn.
    """

    mean: np.ndarray
    directions: np.ndarray
    importance: np.ndarray

    def betas(self, vertices: np.ndarray) -> np.ndarray:
        """(N,K): the betas that come nearest to bodies (N,V,3), in weighted least squares."""
        root = np.sqrt(np.repeat(self.importance, 3))
        left = self.directions.reshape(-1, self.directions.shape[2]) * root[:, None]
        solver = np.linalg.solve(left.T @ left, left.T * root)
        return (vertices - self.mean).reshape(len(vertices), -1) @ solver.T

    def bodies(self, betas: np.ndarray) -> np.ndarray:
        return self.mean + (betas @ self.directions.reshape(-1, self.directions.shape[2]).T).reshape(len(betas), -1, 3)


def importance(mean: np.ndarray, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(V,): what an error at each vertex counts; its area, and less on head, hands and feet, whose detail says little
    of composition.
    """
    a, b, c = (mean[faces[:, i]] for i in range(3))
    area = np.zeros(len(mean))
    for i in range(3):
        np.add.at(area, faces[:, i], np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6)
    share = np.ones(len(mean))
    for name, value in _DETAIL.items():
        share += (value - 1) * weights[:, joint(name)]
    return area * share / (area * share).sum()


def principal(bodies: np.ndarray, n_betas: int, weight: np.ndarray, mirror: np.ndarray, faces: np.ndarray) -> Basis:
    """The first components of bodies (N,V,3). Template and directions are made exactly symmetric; the first betas of a
    tall body are positive.
    """
    mean = symmetric(bodies.mean(axis=0), mirror)
    centred = (bodies - bodies.mean(axis=0)).reshape(len(bodies), -1)
    root = np.sqrt(np.repeat(weight, 3))
    gram = np.zeros((len(bodies), len(bodies)))
    for start in range(0, centred.shape[1], 3 * _BATCH * 10):
        part = slice(start, start + 3 * _BATCH * 10)
        columns = centred[:, part] * root[part]
        gram += columns @ columns.T
    _, scores = np.linalg.eigh(gram)
    scores = scores[:, ::-1][:, :n_betas] * np.sqrt(len(bodies))
    directions = (centred.T @ scores / len(bodies)).reshape(-1, 3, n_betas)
    directions = np.stack([symmetric(directions[:, :, k], mirror) for k in range(n_betas)], axis=2)
    directions *= np.where(_grows(mean, directions, faces), 1.0, -1.0)
    return Basis(mean, directions, weight)


def symmetric(field: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """The mean of a field (V,3) and its mirror image."""
    return (field + field[mirror] * [-1, 1, 1]) / 2


def _grows(mean: np.ndarray, directions: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(K,) bool: whether a direction makes the body more voluminous, which fixes its sign."""
    a, b, c = (mean[faces[:, i]] for i in range(3))
    slope = np.zeros(directions.shape[2])
    for corner, normal in enumerate((np.cross(b, c), np.cross(c, a), np.cross(a, b))):
        slope += np.einsum("fi,fik->k", normal, directions[faces[:, corner]]) / 6
    return slope > 0
