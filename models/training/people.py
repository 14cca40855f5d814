"""Synthetic people to learn shapes from: drawn as measurements of adults go together, and given bodies."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.body import BodyData
from models.fit import fit_bodies
from models.fit.population import MEASURED, VARIABLES
from models.fit.prior import load_prior

AGES = (18.0, 85.0)
STATURE_CM = (140.0, 210.0)
BMI = (15.0, 45.0)
_ETHNICITIES = ("Black", "Asian", "White", "")
_WIDEN = 1.25  # the drawn people scatter more than adults do, so that the networks know the rare ones too


def draw_people(count: int, seed: int, body: BodyData) -> pd.DataFrame:
    """`count` people who do not exist: sex, age, ethnicity and every measurement of the population's distribution.

    Half are women; ages are uniform; statures and BMIs stay within what the body model spans.
    """
    rng = np.random.default_rng([seed, 71])
    population = load_prior(body).population
    found: list[dict[str, object]] = []
    while len(found) < count:
        sex = "F" if rng.random() < 0.5 else "M"
        age = rng.uniform(*AGES)
        x = np.full(len(VARIABLES), np.nan)
        x[:2] = age, (age - 45) ** 2 / 100
        drawn = population[sex].drawn(x, _WIDEN * rng.standard_normal(len(VARIABLES)).clip(-3, 3))
        person = dict(zip(MEASURED, np.exp(drawn[len(VARIABLES) - len(MEASURED) :]), strict=True))
        bmi = person["weight_kg"] / (person["stature_cm"] / 100) ** 2
        if not (STATURE_CM[0] < person["stature_cm"] < STATURE_CM[1] and BMI[0] < bmi < BMI[1]):
            continue
        name = f"synthetic-{seed}-{len(found)}"
        ethnicity = _ETHNICITIES[int(rng.integers(len(_ETHNICITIES)))]
        found.append({"subject": name, "sex": sex, "age": age, "ethnicity": ethnicity, **person})
    return pd.DataFrame(found)


def bodies_of(people: pd.DataFrame, body: BodyData, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The people for whom there is a body, and their betas (N, K)."""
    fitted = fit_bodies(people, body, seed=seed)
    there = ~fitted.refused
    return people[there].reset_index(drop=True), fitted.betas[there]
