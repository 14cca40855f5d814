"""People who do not exist, with bodies whose betas are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from models.body import open_body
from models.body.data import BodyData
from models.fit import expected_body_fat
from models.training.people import bodies_of, draw_people


@dataclass(frozen=True)
class Person:
    sex: str
    age: float
    weight_kg: float
    body_fat_percent: float
    betas: np.ndarray


@pytest.fixture(scope="session")
def body() -> BodyData:
    return open_body()


@pytest.fixture(scope="session")
def people(body: BodyData) -> list[Person]:
    """Forty adults of all builds, whose body fat differs by up to 8 points from what BMI leads to expect."""
    table, betas = bodies_of(draw_people(40, 11, body), body, 11)
    expected = expected_body_fat(
        table.sex.to_numpy(), table.age.to_numpy(), (table.weight_kg / (table.stature_cm / 100) ** 2).to_numpy()
    )
    fat = np.clip(expected + np.random.default_rng(11).normal(0, 4, len(table)).clip(-8, 8), 6, 52)
    return [
        Person(row.sex, row.age, row.weight_kg, float(fat[n]), betas[n].astype(np.float64))
        for n, row in enumerate(table.itertuples())
    ]
