"""The direction in beta space in which people of one sex get fatter and stay themselves otherwise.

One straight line for each sex, the same for everyone: whoever goes along it from one body fat to another and on to a
third arrives where the direct way leads, and the way back leads home. It is found once, as the most plausible change of
shape (`models.fit.prior`, with sex, age, ancestry and muscle held) by which girths grow as they do with the skinfolds
among people of the same stature, leg length, shoulder breadth and age (`models.fit.population`), and neither the height
of the head nor any joint moves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from models.body.skeleton import N_JOINTS
from models.fit.prior import load_prior
from models.measure.gauge import ShapeGauge

if TYPE_CHECKING:
    from models.body.data import BodyData

# What people are alike in, of whom some are fatter.
_ALIKE = ("age", "age_squared", "stature_cm", "leg_length_cm", "shoulder_breadth_cm")
_GROWING = ("chest_cm", "waist_cm", "hip_cm", "thigh_cm", "arm_cm", "calf_cm", "neck_cm")
# Phenotypes of the recipe that do not change with fat.
_HELD = (
    "gender", "age", "african", "asian", "muscle", "pectorals", "dorsi", "v_shape", "deltoid", "thigh_muscle",
    "calf_muscle",
)  # fmt: skip
_TYPICAL = {"F": {"gender": 0.95, "age": 0.3}, "M": {"gender": 0.05, "age": 0.3}}
# How exactly each is asked for, for one SD of fatness: share of a girth, metres of stature, metres of a joint.
_GIRTH_SD, _STATURE_SD, _JOINT_SD = 0.005, 0.0002, 0.0007
# How much less is liked what takes a large part of a beta's span, so that no single beta ends the way early.
_SPAN_WEIGHT = 12.0
_CROWN_M = 0.004  # so far below the highest vertex of the template belongs to the crown, and likewise the sole


@lru_cache(maxsize=16)
def fat_direction(body: BodyData, sex: str | None) -> np.ndarray:
    """(K,) change of betas for one litre more, of an average body. sex: "F", "M", or None for the mean of both."""
    if sex is None:
        return (fat_direction(body, "F") + fat_direction(body, "M")) / 2
    prior = load_prior(body)
    k = body.n_betas
    typical, _ = prior.shape[sex].given(_TYPICAL[sex])
    _, root = prior.shape[sex].given(dict.fromkeys(_HELD, 0.0))  # the root does not depend on the values
    gauge = _gauge(body)
    values, by_beta = gauge.values_and_jacobian(typical)
    at = {name: i for i, name in enumerate(gauge.names)}
    growth = prior.population[sex].with_fatness(_ALIKE)
    girths = [at[name] for name in _GROWING]
    joints = body.joint_directions.reshape(k, N_JOINTS, 3)
    still = (joints[:, 1:] - joints[:, :1]).reshape(k, -1).T
    rows = np.vstack([by_beta[girths] / values[girths, None], _height(body), by_beta[[at["stature_cm"]]] / 100, still])
    asked = np.zeros(len(rows))
    asked[: len(girths)] = [growth[name] for name in _GROWING]
    sd = np.r_[np.full(len(girths), _GIRTH_SD), np.full(2, _STATURE_SD), np.full(len(still), _JOINT_SD)]
    half_span = (body.span[1] - body.span[0]) / 2
    system = np.vstack([rows @ root / sd[:, None], np.eye(k), _SPAN_WEIGHT * root / half_span[:, None]])
    step = root @ np.linalg.lstsq(system, np.r_[asked / sd, np.zeros(2 * k)], rcond=None)[0]
    return step / (by_beta[at["volume_l"]] @ step)


@lru_cache(maxsize=4)
def _gauge(body: BodyData) -> ShapeGauge:
    return ShapeGauge(body)


def _height(body: BodyData) -> np.ndarray:
    """(1, K): how the crown's height over the sole changes with each beta, as the mean of what may be highest."""
    y = body.v_template[:, 1]
    upward = body.shapedirs[:, 1].astype(np.float64)
    crown, sole = y > y.max() - _CROWN_M, y < y.min() + _CROWN_M
    return (upward[crown].mean(0) - upward[sole].mean(0))[None]
