"""The people that the basis is learned from: drawn wide, so that every body in the span is one of many.

Stature and body mass index (BMI) are drawn first, and MakeHuman's height and weight are solved for them, because its own scales mean
different things for different sexes, ages and muscle: a man of `height` 0.5 has 1.90 m, a lean one of `weight` 1 a BMI of 25.
People whose height or weight would have to leave the range that looks sound are drawn again.
"""

from __future__ import annotations

import numpy as np

from models.body.recipe.shapes import Shaper, volume
from models.body.recipe.targets import LOCAL, RACES

STATURE_M = (1.38, 2.12)
BMI = (14.5, 46.5)
_STATURES = {"male": (1.755, 0.085), "female": (1.62, 0.08)}
_TYPICAL_BMI, _SPREAD_BMI = 25.5, 0.26
_EVENLY = 0.4  # the share of people drawn evenly over the whole span, the others as people are
_LEAST_WEIGHT, _MOST_WEIGHT = -0.12, 1.0  # the most rises to 1.9 without muscle
_ROUNDS = 8
_METRES_PER_HEIGHT = 1.09
_BATCH = 500


def density(bmi: np.ndarray, years: np.ndarray, male: np.ndarray) -> np.ndarray:
    """Body density (kg/m³) that is typical of a BMI, an age and a sex: Deurenberg 1991 for body fat, Siri 1961 for density."""
    fat = np.clip(1.20 * bmi + 0.23 * years - 10.8 * male - 5.4, 4, 60)
    return 495_000 / (fat + 450)


def years(age: np.ndarray) -> np.ndarray:
    """MakeHuman's `young` is a person of 25 years, its `old` one of 90."""
    return 25 + 65 * age


def draw(shaper: Shaper, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Phenotypes of n people, one array each; also their `stature_m` and `bmi`."""
    kept: list[dict[str, np.ndarray]] = []
    while sum(len(people["bmi"]) for people in kept) < n:
        people = _wish(_BATCH, rng)
        solved = _solve(people, shaper)
        kept.append({name: values[solved] for name, values in people.items()})
    return {name: np.concatenate([people[name] for people in kept])[:n] for name in kept[0]}


def _wish(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    male = rng.random(n) < 0.5
    mixed = rng.beta(1, 12, n)
    people = {
        "gender": np.where(male, mixed, 1 - mixed),
        "age": rng.beta(1, 1.4, n),
        "muscle": rng.beta(1.5, 1.8, n),
        "proportions": rng.beta(2, 2, n),
        "cupsize": rng.beta(2, 2, n),
        "firmness": rng.beta(2, 2, n),
    }
    people |= dict(zip(RACES, rng.dirichlet([0.5] * len(RACES), n).T + 1e-3, strict=True))
    people |= {name: np.clip(rng.normal(0, 0.4, n), -1, 1) for name in LOCAL}
    people["belly"] = np.clip(rng.normal(-0.15, 0.35, n), 0, 0.7)
    evenly = rng.random((2, n)) < _EVENLY
    mean, sd = (np.where(male, *(_STATURES[sex][i] for sex in ("male", "female"))) for i in (0, 1))
    people["stature_m"] = _within(np.where(evenly[0], rng.uniform(*STATURE_M, n), rng.normal(mean, sd)), STATURE_M, rng)
    lean = _TYPICAL_BMI * np.exp(rng.normal(0, _SPREAD_BMI, n))
    people["bmi"] = _within(np.where(evenly[1], rng.uniform(*BMI, n), lean), BMI, rng)
    people["height"], people["weight"] = np.full(n, 0.4), np.full(n, 0.5)
    return people


def _within(values: np.ndarray, limits: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """What falls outside is drawn evenly from within."""
    outside = (values < limits[0]) | (values > limits[1])
    return np.where(outside, rng.uniform(*limits, len(values)), values)


def _solve(people: dict[str, np.ndarray], shaper: Shaper) -> np.ndarray:
    """Sets height and weight so that stature and BMI are as wished. Returns who could be solved soundly, (n,) bool."""
    heaviest = _MOST_WEIGHT + 0.9 * (1 - people["muscle"])
    low, high = np.full(len(heaviest), _LEAST_WEIGHT), heaviest.copy()
    for _ in range(_ROUNDS):
        stature, bmi = measured(people, shaper)
        too_heavy = bmi > people["bmi"]
        high = np.where(too_heavy, people["weight"], high)
        low = np.where(too_heavy, low, people["weight"])
        # BMI is nearly quadratic in weight; bisection is safe where its slope is small, the slope is quick elsewhere.
        people["height"] = people["height"] + (people["stature_m"] - stature) / _METRES_PER_HEIGHT
        people["weight"] = (low + high) / 2
    stature, bmi = measured(people, shaper)
    near = (abs(bmi - people["bmi"]) < 1.0) & (abs(stature - people["stature_m"]) < 0.01)
    people["stature_m"], people["bmi"] = stature, bmi
    return near


def measured(people: dict[str, np.ndarray], shaper: Shaper) -> tuple[np.ndarray, np.ndarray]:
    """Stature (m) and BMI (kg/m²) of people."""
    vertices = shaper.stand(people).vertices
    stature = np.ptp(vertices[:, :, 1], axis=1).astype(float)
    mass = volume(vertices, shaper.faces) * density(people["bmi"], years(people["age"]), people["gender"] < 0.5)
    return stature, mass / stature**2
