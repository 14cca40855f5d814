"""People to fit bodies to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.body.data import BodyData
from models.body.files import open_body
from models.fit.population import VARIABLES, coordinates
from models.fit.prior import load_prior

GIVEN = ("stature_cm", "weight_kg", "waist_cm", "arm_cm", "thigh_cm", "triceps_skinfold_mm", "subscapular_skinfold_mm")


@pytest.fixture(scope="session")
def body() -> BodyData:
    return open_body()


@pytest.fixture(scope="session")
def people(body: BodyData) -> pd.DataFrame:
    """40 adults drawn from the joint distribution of measurements, within what is common (BMI 18 to 40)."""
    rng = np.random.default_rng(11)
    population = load_prior(body).population
    rows = []
    while len(rows) < 40:
        sex, age = "FM"[len(rows) % 2], float(rng.integers(18, 86))
        typical = {"age": age, "stature_cm": 162.0 if sex == "F" else 176.0, "weight_kg": 70.0}
        x = coordinates(typical)
        x[[VARIABLES.index(name) for name in ("heavy", "stature_cm", "weight_kg")]] = np.nan
        drawn = population[sex].drawn(x, rng.standard_normal(len(x)).clip(-2, 2))
        person = {name: float(np.exp(drawn[VARIABLES.index(name)])) for name in GIVEN}
        if 18 < person["weight_kg"] / (person["stature_cm"] / 100) ** 2 < 40:
            rows.append({"subject": f"P{len(rows)}", "sex": sex, "age": age, **person})
    return pd.DataFrame(rows)
