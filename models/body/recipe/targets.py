"""The morph targets of MakeHuman that the recipe uses, and how phenotypes turn into their coefficients.

A phenotype is a number, mostly between 0 and 1, on which levels lie at even distances: weight 0 is `minweight`, 0.5
`averageweight`, 1 `maxweight`. Between levels their targets are blended linearly; beyond the last level the line
through the last two goes on, which is how bodies come to be that are leaner, heavier, shorter or taller than
MakeHuman's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

SEXES = ("male", "female")
AGES = ("young", "old")
RACES = ("african", "asian", "caucasian")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
HEIGHTS = ("minheight", "maxheight")
PROPORTIONS = ("idealproportions", "uncommonproportions")
CUPS = ("mincup", "averagecup", "maxcup")
FIRMNESSES = ("minfirmness", "averagefirmness", "maxfirmness")

LADDERS = {
    "gender": SEXES, "age": AGES, "muscle": MUSCLES, "weight": WEIGHTS, "height": HEIGHTS, "proportions": PROPORTIONS,
    "cupsize": CUPS, "firmness": FIRMNESSES,
}  # fmt: skip
UNBOUNDED = frozenset({"weight", "height"})


def _sides(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    folder, _, name = path.partition("/")
    pairs = [(f"{folder}/{side}-{name}-incr", f"{folder}/{side}-{name}-decr") for side in "lr"]
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def _whole(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (f"{path}-incr",), (f"{path}-decr",)


# name -> targets of an increase, targets of a decrease; both sides of the body always move together
LOCAL: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "belly": (("stomach/stomach-pregnant-incr",), ()),
    "stomach_slack": (("stomach/stomach-tone-decr",), ("stomach/stomach-tone-incr",)),
    "waist": _whole("torso/measure-waist-circ"),
    "hips": _whole("torso/measure-hips-circ"),
    "bust": _whole("torso/measure-bust-circ"),
    "shoulders": _whole("torso/measure-shoulder-dist"),
    "v_shape": _whole("torso/torso-vshape"),
    "torso_depth": _whole("torso/torso-scale-depth"),
    "dorsi": _whole("torso/torso-muscle-dorsi"),
    "pectorals": _whole("torso/torso-muscle-pectoral"),
    "hip_width": _whole("hip/hip-scale-horiz"),
    "hip_depth": _whole("hip/hip-scale-depth"),
    "buttocks": _whole("buttocks/buttocks-volume"),
    "thigh": _whole("legs/measure-thigh-circ"),
    "thigh_fat": _sides("legs/upperleg-fat"),
    "thigh_muscle": _sides("legs/upperleg-muscle"),
    "thigh_length": _whole("legs/upperlegs-height"),
    "calf": _whole("legs/measure-calf-circ"),
    "calf_muscle": _sides("legs/lowerleg-muscle"),
    "calf_length": _whole("legs/lowerlegs-height"),
    "arm": _whole("arms/measure-upperarm-circ"),
    "arm_fat": _sides("arms/upperarm-fat"),
    "arm_muscle": _sides("arms/upperarm-muscle"),
    "deltoid": _sides("arms/upperarm-shoulder-muscle"),
    "forearm_muscle": _sides("arms/lowerarm-muscle"),
    "neck": _whole("neck/measure-neck-circ"),
    "double_chin": _whole("neck/neck-double"),
}


def levels(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """The share of each level of one phenotype, (B,) each; the shares of a body add up to 1."""
    ladder = LADDERS[name]
    position = np.asarray(values, float) * (len(ladder) - 1)
    if name not in UNBOUNDED:
        position = np.clip(position, 0, len(ladder) - 1)
    step = np.clip(np.floor(position).astype(int), 0, len(ladder) - 2)
    upper = position - step
    return {
        level: np.where(step == i, 1 - upper, 0.0) + np.where(step + 1 == i, upper, 0.0)
        for i, level in enumerate(ladder)
    }


def coefficients(phenotypes: Mapping[str, np.ndarray], macros: list[tuple[str, ...]]) -> np.ndarray:
    """(B, targets): the coefficient of each macro target, then of each local one (increase, decrease)."""
    share = {level: value for name in LADDERS for level, value in levels(name, phenotypes[name]).items()}
    races = np.stack([phenotypes[race] for race in RACES])
    share |= dict(zip(RACES, races / races.sum(0), strict=True))
    columns = [np.prod([share[level] for level in combination], axis=0) for combination in macros]
    for name, (_, less) in LOCAL.items():
        columns.append(np.maximum(phenotypes[name], 0))
        if less:
            columns.append(np.maximum(-phenotypes[name], 0))
    return np.stack(columns, axis=1)
