"""Draw people from the population that was fitted to NHANES 1999–2000 (`studies.synthetic.fit`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from studies.synthetic.regression import Array, Regression, design

COEFFICIENTS = Path(__file__).with_name("coefficients.json")
SEXES = ("F", "M")
# In the order of the survey's codes, 1 to 5.
ETHNICITIES = ("mexican_american", "other_hispanic", "non_hispanic_white", "non_hispanic_black", "other")
SCALE_AGE_LIMIT = 49.0
CALIPER_LIMIT_MM = 45.0

# Within-subject SD of repeated BFP by DXA and by scale, percentage points. DXA: short-term precision, RMS-SD 0.55
# (PMC6127003, 21 to 23 people with spinal cord injury). Scale: an assumption of this cohort, without a source.
DXA_REPEAT_SD = 0.55
SCALE_REPEAT_SD = 0.5

# Deviates and quantities are kept within these bounds, so that among a million people none lies far beyond what a
# survey of thousands meets: rounded, wide, and no one's own values.
_DEVIATE_LIMIT = 3.5
LIMITS: dict[str, tuple[float, float]] = {
    "stature_cm": (125, 210),
    "bmi": (13, 65),
    "waist_cm": (50, 180),
    "arm_cm": (16, 65),
    "thigh_cm": (24, 100),
    "body_fat_percent": (8, 60),
    "scale_body_fat_percent": (4, 65),
    "triceps_skinfold_mm": (2, 70),
    "subscapular_skinfold_mm": (2, 70),
}

SKINFOLDS = ("triceps_skinfold_mm", "subscapular_skinfold_mm")


@dataclass(frozen=True)
class SexModel:
    """The fitted chain of one sex."""

    age: Array
    ethnicity: Array
    regressions: dict[str, Regression]
    unreadable: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Population:
    """The fitted population: share of women, bands, and a chain for each sex."""

    source: dict
    women: float
    age_edges: NDArray[np.int64]
    ethnicity_edges: NDArray[np.int64]
    sexes: dict[str, SexModel]


@cache
def population() -> Population:
    """The packaged population, read once."""
    document = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))
    sexes = {}
    for sex, part in document["sexes"].items():
        regressions = {
            column: Regression.from_dict({key: value for key, value in fields.items() if key != "people"})
            for column, fields in part["regressions"].items()
        }
        sexes[sex] = SexModel(np.array(part["age"]), np.array(part["ethnicity"]), regressions, part["unreadable"])
    return Population(
        document["source"],
        document["women"],
        np.array(document["age_edges"]),
        np.array(document["ethnicity_edges"]),
        sexes,
    )


def _normal(rng: np.random.Generator, n: int) -> Array:
    return np.clip(rng.standard_normal(n), -_DEVIATE_LIMIT, _DEVIATE_LIMIT)


def draw_people(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """`n` adults as they are (without the error of repeated reading of BFP), one row a person.

    Columns: sex, age (completed years), ethnicity, stature_cm, weight_kg, bmi, waist_cm, arm_cm, thigh_cm, skinfolds in
    mm, `unreadable_*` (bool, a skinfold that cannot be read), body_fat_percent (what DXA reads on average),
    scale_body_fat_percent (what the scale reads on average) and scale_deviate (the person's standard normal
    deviate of the scale, which follows them from visit to visit).
    """
    model = population()
    sex = np.where(rng.random(n) < model.women, "F", "M")
    people = {
        "sex": sex,
        "age": np.empty(n),
        "ethnicity": np.empty(n, dtype=object),
    }
    uniform = rng.random((3, n))
    deviates = {column: _normal(rng, n) for column in model.sexes["F"].regressions}
    unreadable = {column: rng.random(n) for column in SKINFOLDS}
    for column in (*deviates, "weight_kg"):
        people[column] = np.empty(n)
    for column in SKINFOLDS:
        people[f"unreadable_{column}"] = np.empty(n, dtype=bool)
    for name, part in model.sexes.items():
        here = np.flatnonzero(sex == name)
        drawn = _draw_sex(model, part, {key: value[here] for key, value in deviates.items()}, uniform[:, here])
        for column in SKINFOLDS:
            terms = part.unreadable[column]
            chance = special.expit(design(list(terms), drawn) @ np.array(list(terms.values())))
            too_thick = drawn[column] > CALIPER_LIMIT_MM
            drawn[f"unreadable_{column}"] = too_thick | (unreadable[column][here] < chance)
        for column, values in drawn.items():
            people[column][here] = values
    people["scale_deviate"] = deviates["scale_body_fat_percent"]
    return pd.DataFrame(people)


def _draw_sex(model: Population, part: SexModel, deviates: dict[str, Array], uniform: Array) -> dict[str, NDArray]:
    """The columns of `draw_people` for people of one sex."""
    band = np.minimum(np.searchsorted(np.cumsum(part.age), uniform[0], side="right"), len(part.age) - 1)
    low, high = model.age_edges[band], model.age_edges[band + 1]
    data: dict[str, NDArray] = {"age": np.floor(low + uniform[1] * (high - low))}
    wide = np.searchsorted(model.ethnicity_edges, data["age"], side="right") - 1
    threshold = np.cumsum(part.ethnicity, axis=1)[wide]
    level = np.minimum((uniform[2][:, None] >= threshold).sum(axis=1), len(ETHNICITIES) - 1)
    data["ethnicity"] = np.array(ETHNICITIES, dtype=object)[level]
    for column, regression in part.regressions.items():
        if column == "scale_body_fat_percent":
            data[column] = scale_reading(part, data, deviates[column])
        elif column == "body_fat_percent":
            data[column] = regression.draw(data, deviates[column], noise_sd=DXA_REPEAT_SD)
        else:
            data[column] = regression.draw(data, deviates[column])
        data[column] = np.clip(data[column], *LIMITS[column])
    data["weight_kg"] = data["bmi"] * (data["stature_cm"] / 100) ** 2
    return data


def scale_reading(part: SexModel, data: dict[str, NDArray], deviate: Array) -> Array:
    """What the scale reads on average for people `data` with the standard normal deviates `deviate`, in percent.

    The fitted spread holds the error of rereading of both, the scale and DXA.
    """
    capped = {**data, "age": np.minimum(np.asarray(data["age"], dtype=float), SCALE_AGE_LIMIT)}
    noise = float(np.hypot(SCALE_REPEAT_SD, DXA_REPEAT_SD))
    reading = part.regressions["scale_body_fat_percent"].draw(capped, deviate, noise_sd=noise)
    return np.clip(reading, *LIMITS["scale_body_fat_percent"])
