"""The fit of one body: Gauss–Newton from a drawn body to the nearest that has what is asked.

With betas = mean + root · u, where u is standard normal over bodies that are plausible for the person, it minimises
|u - start|² + Σ ((asked - measured) / sd)². The start is a plausible body drawn at random; ending at the nearest body
that has the measurements is then a draw from the bodies that have them (Matheron's rule; exact where measurements are
linear).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.measure.gauge import ShapeGauge

# The first steps ask for less exactness, so that they do not follow the bends of single girths.
_WIDER = (20.0, 5.0)
ROUNDS = 30
_SETTLED = 0.01


@dataclass(frozen=True)
class Solution:
    """betas (K,); distance: SDs of plausible bodies that the person's own measurements, without the drawn ones, are
    away."""

    betas: np.ndarray
    distance: float
    rounds: int


@dataclass(frozen=True)
class Task:
    """What a body is to be: `mean` (K,) and `root` (K, K) of plausible betas, `start` (K,) in units of u;
    measurements by their numbers `which` (M,) in the gauge, `asked` (M,) with `sd` (M,), and `own` (M,) bool, the
    person's own."""

    mean: np.ndarray
    root: np.ndarray
    start: np.ndarray
    which: np.ndarray
    asked: np.ndarray
    sd: np.ndarray
    own: np.ndarray


def solve(gauge: ShapeGauge, task: Task) -> Solution:
    """The nearest body to the start that has what is asked, as far as one is found."""
    u = task.start.copy()
    values, jacobian = _look(gauge, task, u)
    rounds = 0
    for rounds in range(1, ROUNDS + 1):
        wider = _WIDER[rounds - 1] if rounds <= len(_WIDER) else 1.0
        scaled = jacobian / (task.sd * wider)[:, None]
        missing = (task.asked - values) / (task.sd * wider)
        system = scaled @ scaled.T + np.eye(len(missing))
        step = task.start + scaled.T @ np.linalg.solve(system, missing + scaled @ (u - task.start)) - u
        if wider > 1:
            u = u + step
            values, jacobian = _look(gauge, task, u)
            continue
        cost, size = _cost(task, u, values), 1.0
        while True:
            trial = u + size * step
            new_values, new_jacobian = _look(gauge, task, trial)
            new_cost = _cost(task, trial, new_values)
            if new_cost < cost or size < 0.05:
                break
            size /= 2
        if new_cost >= cost:
            break
        u, values, jacobian = trial, new_values, new_jacobian
        if cost - new_cost < _SETTLED * (1 + new_cost):
            break
    own = jacobian[task.own]
    along = own @ u
    distance = np.sqrt(along @ np.linalg.lstsq(own @ own.T, along, rcond=1e-10)[0])
    return Solution(task.mean + task.root @ u, float(distance), rounds)


def _look(gauge: ShapeGauge, task: Task, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is asked about, as it is at u (M,), and its derivative by u (M, K)."""
    values, by_beta = gauge.values_and_jacobian(task.mean + task.root @ u)
    return values[task.which], by_beta[task.which] @ task.root


def _cost(task: Task, u: np.ndarray, values: np.ndarray) -> float:
    off, away = (task.asked - values) / task.sd, u - task.start
    return float(off @ off + away @ away)
