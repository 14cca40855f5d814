"""The fit of one body: Gauss–Newton from a drawn body to the nearest that has what is asked.

With betas = mean + root · u, where u is standard normal over bodies that are plausible for the person, it minimises
|u - start|² + Σ ((asked - measured) / sd)². The start is a plausible body drawn at random; ending at the nearest body that
has the measurements is then a draw from the bodies that have them (Matheron's rule; exact where measurements are linear).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.measure.gauge import ShapeGauge

ROUNDS = 25
_SETTLED = 1e-4


@dataclass(frozen=True)
class Solution:
    """betas (K,); distance: SDs of plausible bodies that the asked measurements, without the soft ones, are away."""

    betas: np.ndarray
    distance: float
    rounds: int


def solve(
    gauge: ShapeGauge,
    mean: np.ndarray,
    root: np.ndarray,
    start: np.ndarray,
    which: np.ndarray,
    asked: np.ndarray,
    sd: np.ndarray,
    hard: np.ndarray,
) -> Solution:
    """mean (K,), root (K, K), start (K,); which (M,) numbers of the gauge's measurements, asked (M,) and sd (M,) in their
    units, hard (M,) bool: which of them are the person's own."""
    u = start.copy()
    values, jacobian, cost = _look(gauge, mean, root, u, start, which, asked, sd)
    rounds = 0
    for rounds in range(1, ROUNDS + 1):
        missing = (asked - values) / sd
        scaled = jacobian / sd[:, None]
        system = scaled @ scaled.T + np.eye(len(asked))
        goal = start + scaled.T @ np.linalg.solve(system, missing + scaled @ (u - start))
        step, size = goal - u, 1.0
        while True:
            trial = u + size * step
            new_values, new_jacobian, new_cost = _look(gauge, mean, root, trial, start, which, asked, sd)
            if new_cost < cost or size < 0.02:
                break
            size /= 2
        if new_cost >= cost:
            break
        gained = cost - new_cost
        u, values, jacobian, cost = trial, new_values, new_jacobian, new_cost
        if gained < _SETTLED * (1 + cost):
            break
    own = jacobian[hard]
    along = own @ u
    distance = np.sqrt(along @ np.linalg.lstsq(own @ own.T, along, rcond=1e-10)[0])
    return Solution(mean + root @ u, float(distance), rounds)


def _look(gauge, mean, root, u, start, which, asked, sd):
    values, by_beta = gauge.values_and_jacobian(mean + root @ u)
    values = values[which]
    off, away = (asked - values) / sd, u - start
    return values, by_beta[which] @ root, float(off @ off + away @ away)
