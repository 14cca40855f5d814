"""What is asked of a fit: a table of people, read and checked row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import BodyRequestError

# What a body can be asked to have, with the least and the greatest share of stature that an adult can have of it.
ASKABLE: dict[str, tuple[float, float]] = {
    "chest_cm": (0.30, 1.10),
    "waist_cm": (0.25, 1.00),
    "waist_omphalion_cm": (0.25, 1.00),
    "hip_cm": (0.33, 1.20),
    "thigh_cm": (0.12, 0.65),
    "upper_thigh_cm": (0.14, 0.70),
    "arm_cm": (0.07, 0.42),
    "neck_cm": (0.12, 0.38),
    "calf_cm": (0.11, 0.42),
    "leg_length_cm": (0.36, 0.58),
    "shoulder_breadth_cm": (0.14, 0.32),
}
SKINFOLDS = ("triceps_skinfold_mm", "subscapular_skinfold_mm")
REQUIRED = ("sex", "age", "stature_cm", "weight_kg")
LABELS = {
    "stature_cm": "stature",
    "weight_kg": "mass",
    "chest_cm": "chest girth",
    "waist_cm": "waist girth",
    "waist_omphalion_cm": "waist girth at the navel",
    "hip_cm": "hip girth",
    "thigh_cm": "thigh girth",
    "upper_thigh_cm": "thigh girth under the gluteal fold",
    "arm_cm": "upper-arm girth",
    "neck_cm": "neck girth",
    "calf_cm": "calf girth",
    "leg_length_cm": "leg length",
    "shoulder_breadth_cm": "shoulder breadth",
    "triceps_skinfold_mm": "triceps skinfold",
    "subscapular_skinfold_mm": "subscapular skinfold",
    "volume_l": "volume",
}
_STATURE = (100.0, 250.0)
_MASS = (20.0, 400.0)
_BMI = (9.0, 120.0)
_AGE = (18.0, 110.0)
_SKINFOLD = (1.0, 90.0)


@dataclass(frozen=True)
class Request:
    """One person: what is known of them, and why no body can be made of it, if so (`impossible`)."""

    subject: str
    sex: str
    ethnicity: str | None
    known: dict[str, float]
    impossible: str | None


def read_people(people: Mapping[str, Any]) -> list[Request]:
    """A table of people (DataFrame, or mapping of columns) as requests. NaN and None mean: not given.

    Raises BodyRequestError where a required column is missing, columns differ in length, or hold something else than
    numbers. What is wrong with a single person is said in the request.
    """
    missing = [name for name in REQUIRED if name not in people]
    if missing:
        raise BodyRequestError(
            f"The table of people lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}.",
            remedy=f"Give {', '.join(REQUIRED)}, and any of {', '.join((*ASKABLE, *SKINFOLDS))}.",
        )
    sexes = [_text(value) for value in people["sex"]]
    n = len(sexes)
    numbers = {
        name: _numbers(people[name], name, n)
        for name in ("age", "stature_cm", "weight_kg", *ASKABLE, *SKINFOLDS)
        if name in people
    }
    ethnicities = [_text(value) for value in people["ethnicity"]] if "ethnicity" in people else [None] * n
    subjects = people["subject"] if "subject" in people else getattr(people, "index", range(n))
    if len(ethnicities) != n or len(subjects) != n:
        raise BodyRequestError(
            "The columns of the table of people differ in length.", remedy="Give one value a person."
        )
    requests = []
    for i, subject in enumerate(subjects):
        known = {name: float(column[i]) for name, column in numbers.items() if not np.isnan(column[i])}
        requests.append(Request(str(subject), sexes[i] or "", ethnicities[i], known, _impossible(sexes[i], known)))
    return requests


def _text(value: Any) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() else None


def _numbers(column: Any, name: str, n: int) -> np.ndarray:
    try:
        values = np.array([np.nan if value is None else value for value in column], dtype=object)
        values = np.array([np.nan if value != value else float(value) for value in values])
    except (TypeError, ValueError):
        raise BodyRequestError(
            f"The column {name} of the table of people holds something that is not a number.",
            remedy="Give numbers, and NaN where a value is not known.",
        ) from None
    if len(values) != n:
        raise BodyRequestError(
            "The columns of the table of people differ in length.", remedy="Give one value a person."
        )
    return values


def _impossible(sex: str | None, known: dict[str, float]) -> str | None:
    if sex not in ("F", "M"):
        return f"The sex is {sex or 'not given'!r}; give F or M."
    for name, (low, high), unit, what in (
        ("age", _AGE, "years", "the bodies are those of adults"),
        ("stature_cm", _STATURE, "cm", "not an adult's stature"),
        ("weight_kg", _MASS, "kg", "not an adult's mass"),
    ):
        if name not in known:
            return f"The {LABELS.get(name, name)} is not given; a body cannot be found without it."
        if not low <= known[name] <= high:
            label = LABELS.get(name, name)
            return f"The {label} is {known[name]:g} {unit}, outside {low:g} to {high:g} {unit}: {what}. Check it."
    stature = known["stature_cm"]
    bmi = known["weight_kg"] / (stature / 100) ** 2
    if not _BMI[0] <= bmi <= _BMI[1]:
        return (
            f"A mass of {known['weight_kg']:g} kg at a stature of {stature:g} cm is a BMI of {bmi:.1f} kg/m², which no "
            f"adult has. Check both and their units."
        )
    for name, (low, high) in ASKABLE.items():
        if name in known and not low <= known[name] / stature <= high:
            return (
                f"The {LABELS[name]} of {known[name]:g} cm is impossible at a stature of {stature:g} cm: it must lie "
                f"between {low * stature:.0f} and {high * stature:.0f} cm. Check both and their units."
            )
    for name in SKINFOLDS:
        if name in known and not _SKINFOLD[0] <= known[name] <= _SKINFOLD[1]:
            return f"The {LABELS[name]} is {known[name]:g} mm, outside 1 to 90 mm. Check it and its unit."
    return None
