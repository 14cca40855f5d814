"""The people that the basis is learned from: drawn wide, so that every body in the span is one of many.

Stature and body mass index (BMI) are wished for first, and MakeHuman's height and weight are solved for them, because
its own scales mean different things for different sexes, ages and muscle: a man of `height` 0.5 has 1.90 m, a muscular
one of `weight` 1 a BMI of 25. People whose weight would have to leave the range that looks sound are drawn again.
"""

from __future__ import annotations

import itertools

import numpy as np

from models.body.recipe.shapes import Shaper, volume
from models.body.recipe.targets import LOCAL, RACES

STATURE_M = (1.38, 2.12)
BMI = (14.5, 46.5)
_STATURES = {"male": (1.755, 0.085), "female": (1.62, 0.08)}
_TYPICAL_BMI, _SPREAD_BMI = 25.5, 0.26
_EVENLY = 0.4  # the share of people drawn evenly over the whole span; the others are drawn as people are
_LOCAL_SPREAD = 0.32
_LEAST_WEIGHT = -0.12  # below, limbs become bones
_MOST_WEIGHT, _MORE_WITHOUT_MUSCLE = 1.0, 0.5  # above, muscular bodies become caricatures; soft ones stay sound longer
_ROUNDS = 8
_METRES_PER_HEIGHT = 1.09
_BATCH = 500
_BUILDS = ((15.0, 0.05), (22.0, 0.4), (30.0, 0.25), (45.0, 0.1))  # BMI and muscle of the corners
# Where fat goes beyond what MakeHuman's weight says, at a BMI of 45; its weight alone makes folds of such bodies. The
# leanest lack some of it in the same places.
_FAT = {
    "belly": 0.35, "waist": 0.6, "hips": 0.6, "bust": 0.6, "torso_depth": 0.4, "hip_width": 0.4, "hip_depth": 0.5,
    "buttocks": 0.4, "thigh": 0.5, "thigh_fat": 0.5, "calf": 0.4, "arm": 0.6, "arm_fat": 0.6, "neck": 0.5,
    "double_chin": 0.4,
}  # fmt: skip

People = dict[str, np.ndarray]


def density(bmi: np.ndarray, years: np.ndarray, male: np.ndarray) -> np.ndarray:
    """Body density (kg/m³) typical of BMI, age and sex: body fat by Deurenberg et al. 1991, density by Siri 1961."""
    fat = np.clip(1.20 * bmi + 0.23 * years - 10.8 * male - 5.4, 4, 60)
    return 495_000 / (fat + 450)


def years(age: np.ndarray) -> np.ndarray:
    """MakeHuman's `young` is a person of 25 years, its `old` one of 90."""
    return 25 + 65 * age


def draw(shaper: Shaper, n: int, rng: np.random.Generator) -> People:
    """Phenotypes of n people, one array each; also their `stature_m` and `bmi`."""
    kept: list[People] = []
    while sum(len(people["bmi"]) for people in kept) < n:
        people = _wish(_BATCH, rng)
        solved = solve(people, shaper)
        kept.append({name: values[solved] for name, values in people.items()})
    return {name: np.concatenate([people[name] for people in kept])[:n] for name in kept[0]}


def corners(shaper: Shaper) -> tuple[list[str], People]:
    """Names and phenotypes of people at the corners of the span, of typical ones, and of the very muscular."""
    rows = [
        (sex, stature, bmi, muscle, age)
        for sex, stature, (bmi, muscle), age in itertools.product("FM", (1.40, None, 2.10), _BUILDS, (0.1, 0.8))
    ]
    rows += [("F", None, 24.0, 1.0, 0.1), ("M", None, 31.0, 1.0, 0.1)]
    typical = {"F": _STATURES["female"][0], "M": _STATURES["male"][0]}
    rows = [(sex, stature or typical[sex], bmi, muscle, age) for sex, stature, bmi, muscle, age in rows]
    people = {name: np.full(len(rows), 0.5) for name in ("proportions", "cupsize", "firmness")}
    people |= {name: np.full(len(rows), 1 / len(RACES)) for name in RACES} | {
        name: np.zeros(len(rows)) for name in LOCAL
    }
    people["gender"] = np.array([float(row[0] == "F") for row in rows])
    for column, name in enumerate(("stature_m", "bmi", "muscle", "age"), start=1):
        people[name] = np.array([row[column] for row in rows], float)
    people |= {name: people[name] + share * _fatness(people["bmi"]) for name, share in _FAT.items()}
    people["belly"] = np.maximum(people["belly"], 0)
    if not solve(people, shaper).all():
        raise ValueError("the corners of the span cannot be reached")
    names = [
        f"{sex} {stature:.2f} m BMI {bmi:g} {years(age):.0f} y{' muscular' if muscle == 1 else ''}"
        for sex, stature, bmi, muscle, age in rows
    ]
    return names, people


def _wish(n: int, rng: np.random.Generator) -> People:
    male = rng.random(n) < 0.5
    mixed = rng.beta(1, 12, n)
    people = {
        "gender": np.where(male, mixed, 1 - mixed),
        "age": rng.beta(1, 1.4, n),
        "muscle": rng.beta(1.3, 1.3, n),
        "proportions": rng.beta(2, 2, n),
        "cupsize": rng.beta(2, 2, n),
        "firmness": rng.beta(2, 2, n),
    }
    people |= dict(zip(RACES, rng.dirichlet([0.5] * len(RACES), n).T + 1e-3, strict=True))
    people |= {name: rng.normal(0, _LOCAL_SPREAD, n) for name in LOCAL}
    evenly = rng.random((2, n)) < _EVENLY
    mean, sd = (np.where(male, *(_STATURES[sex][i] for sex in ("male", "female"))) for i in (0, 1))
    people["stature_m"] = _within(np.where(evenly[0], rng.uniform(*STATURE_M, n), rng.normal(mean, sd)), STATURE_M, rng)
    usual = _TYPICAL_BMI * np.exp(rng.normal(0, _SPREAD_BMI, n))
    people["bmi"] = _within(np.where(evenly[1], rng.uniform(*BMI, n), usual), BMI, rng)
    people |= {name: people[name] + share * _fatness(people["bmi"]) for name, share in _FAT.items()}
    people |= {name: np.clip(people[name], -1, 1) for name in LOCAL}
    people["belly"] = np.clip(people["belly"], 0, 0.7)  # the target is a pregnant belly, of which a part is a paunch
    return people


def _fatness(bmi: np.ndarray) -> np.ndarray:
    """0 from 20 to 28 kg/m², up to 1 at 45, down to -0.8 at 15."""
    return np.interp(bmi, [15, 20, 28, 45], [-0.8, 0, 0, 1])


def _within(values: np.ndarray, limits: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """What falls outside is drawn evenly from within."""
    outside = (values < limits[0]) | (values > limits[1])
    return np.where(outside, rng.uniform(*limits, len(values)), values)


def solve(people: People, shaper: Shaper) -> np.ndarray:
    """Sets `height` and `weight` so that stature and BMI are as wished, then both to what came out.

    Returns who could be solved within the sound range of weights, (n,) bool.
    """
    low = np.full(len(people["bmi"]), _LEAST_WEIGHT)
    high = _MOST_WEIGHT + _MORE_WITHOUT_MUSCLE * (1 - people["muscle"])
    people["height"], people["weight"] = np.full(len(low), 0.4), (low + high) / 2
    for turn in range(-1, _ROUNDS):
        stature, bmi = measured(people, shaper)
        people["height"] = people["height"] + (people["stature_m"] - stature) / _METRES_PER_HEIGHT
        if turn < 0:
            continue  # BMI says nothing while the stature is wrong
        too_heavy = bmi > people["bmi"]
        high = np.where(too_heavy, people["weight"], high)
        low = np.where(too_heavy, low, people["weight"])
        people["weight"] = (low + high) / 2
    stature, bmi = measured(people, shaper)
    near = (abs(bmi - people["bmi"]) < 1.0) & (abs(stature - people["stature_m"]) < 0.01)
    people["stature_m"], people["bmi"] = stature, bmi
    return near


def measured(people: People, shaper: Shaper) -> tuple[np.ndarray, np.ndarray]:
    """Stature (m) and BMI (kg/m²) of people as MakeHuman makes them."""
    vertices = shaper.stand(people).vertices
    stature = np.ptp(vertices[:, :, 1], axis=1).astype(float)
    mass = volume(vertices, shaper.faces) * density(people["bmi"], years(people["age"]), people["gender"] < 0.5)
    return stature, mass / stature**2
