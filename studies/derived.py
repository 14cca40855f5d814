"""Measurements that are computed from others: body fat percentage by equations from BMI or waist, age and sex.

They are the comparators that cost nothing: a new method should do better than a tape measure and an equation.
Each equation needs its inputs at the same visit. BMI is computed from the visit's stature and mass; a BMI reading
serves only where one of the two is missing (`studies.frames.measured`). Readings alone are used as inputs, never
predictions of a model. See docs/analysis-plan.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from studies.errors import PlanError
from studies.frames import DERIVED, Frames, canonical, measured
from studies.suggestions import suggestion

Floats = NDArray[np.float64]

OUTSIDE = "outside_validity"
"""Flag of a derived measurement whose inputs lie outside the values that its equation was made for."""


@dataclass(frozen=True)
class Equation:
    """A published equation for body fat percentage.

    `function` takes one array for each of `inputs`, in that order: measurands in their canonical unit, age in years,
    `male` 1 for men and 0 for women; it returns percentage points. `outside(age, bmi)` says where the equation is known
    to be used beyond the people it was made for; an unknown age or BMI (NaN) is not known to be.
    """

    name: str
    label: str
    formula: str
    source: str
    inputs: tuple[str, ...]
    validity: str
    function: Callable[..., Floats]
    outside: Callable[[Floats, Floats], NDArray[np.bool_]]

    def __call__(self, *inputs: Floats) -> Floats:
        return self.function(*inputs)


def _deurenberg(bmi: Floats, age: Floats, male: Floats) -> Floats:
    return 1.20 * bmi + 0.23 * age - 10.8 * male - 5.4


def _gallagher(bmi: Floats, age: Floats, male: Floats) -> Floats:
    return 64.5 - 848 / bmi + 0.079 * age - 16.4 * male + 0.05 * male * age + 39.0 * male / bmi


def _rfm(stature: Floats, waist: Floats, male: Floats) -> Floats:
    return 64 - 20 * stature / waist + 12 * (1 - male)


EQUATIONS: dict[str, Equation] = {
    equation.name: equation
    for equation in (
        Equation(
            name="deurenberg",
            label="Deurenberg 1991 (BMI, age, sex)",
            formula="1.20 · BMI + 0.23 · age − 10.8 · male − 5.4",
            source="Deurenberg P, Weststrate JA, Seidell JC. Body mass index as a measure of body fatness: age- and "
            "sex-specific prediction formulas. Br J Nutr 1991;65:105–114.",
            inputs=("bmi", "age", "male"),
            validity="older than 15 years",
            function=_deurenberg,
            outside=lambda age, bmi: age <= 15,
        ),
        Equation(
            name="gallagher",
            label="Gallagher 2000 (BMI, age, sex)",
            formula="64.5 − 848 / BMI + 0.079 · age − 16.4 · male + 0.05 · male · age + 39.0 · male / BMI",
            source="Gallagher D, Heymsfield SB, Heo M, Jebb SA, Murgatroyd PR, Sakamoto Y. Healthy percentage body fat "
            "ranges: an approach for developing guidelines based on body mass index. Am J Clin Nutr 2000;72:694–701.",
            inputs=("bmi", "age", "male"),
            validity="adults of 20 years and more with a BMI of at most 35 kg/m²",
            function=_gallagher,
            outside=lambda age, bmi: (age < 20) | (bmi > 35),
        ),
        Equation(
            name="rfm",
            label="Relative fat mass (stature, waist, sex)",
            formula="64 − 20 · stature / waist + 12 · female",
            source="Woolcott OO, Bergman RN. Relative fat mass (RFM) as a new estimator of whole-body fat percentage: "
            "a cross-sectional study in American adult individuals. Sci Rep 2018;8:10980.",
            inputs=("stature_cm", "waist_cm", "male"),
            validity="adults of 20 years and more",
            function=_rfm,
            outside=lambda age, bmi: age < 20,
        ),
    )
}


class Derived(NamedTuple):
    """Derived measurements, and why the others could not be computed.

    measurements: one row a visit and method, in the registry's columns, kind "derived", measurement_id missing.
    missing: subject_id, visit, method, reason ("no waist_cm"), one row for every visit and method without a value.
    """

    measurements: pd.DataFrame
    missing: pd.DataFrame


def derive(subjects: pd.DataFrame, visits: pd.DataFrame, measurements: pd.DataFrame, methods: Sequence[str]) -> Derived:
    """Compute body fat percentage by each of `methods` for every visit that has the inputs.

    A value whose inputs lie outside the validity of its equation is computed and flagged `outside_validity`.
    Raises `PlanError` for a method that is not an equation.
    """
    made, missing = derive_from(canonical(subjects, visits, measurements), methods)
    return Derived(made.drop(columns=["subject", "occasion", "time"]), missing.drop(columns=["subject", "occasion"]))


def derive_from(frames: Frames, methods: Sequence[str]) -> Derived:
    """`derive` on canonical frames; both tables also have the positions `subject` and `occasion`."""
    for method in methods:
        if method not in EQUATIONS:
            raise PlanError(f"'{method}' is not an equation.", remedy=suggestion(method, EQUATIONS))
    inputs, reasons = _inputs(frames)
    visits = frames.visits.assign(occasion=frames.visits.index)
    keys = ["subject_id", "visit", "subject", "occasion"]
    made, missing = [visits.iloc[:0][keys].assign(value=0.0)], [visits.iloc[:0][keys].assign(method="", reason="")]
    for method in methods:
        equation = EQUATIONS[method]
        reason = np.full(len(visits), "", dtype=object)
        for name in reversed(equation.inputs):  # the first input that is missing is the reason
            absent = np.isnan(inputs[name])
            reason[absent] = reasons[name][absent]
        complete = reason == ""
        outside = equation.outside(inputs["age"], inputs["bmi"])[complete]
        made.append(
            visits.loc[complete, keys].assign(
                measured_at=visits.loc[complete, "date"],
                time=visits.loc[complete, "date"],
                method=method,
                value=equation(*(inputs[name][complete] for name in equation.inputs)),
                flags=np.where(outside, OUTSIDE, None),
            )
        )
        missing.append(visits.loc[~complete, keys].assign(method=method, reason=reason[~complete]))
    table = pd.concat(made, ignore_index=True)
    constant = {"measurand": "body_fat_percent", "device": None, "unit": "%", "replicate": 1, "kind": DERIVED}
    table = table.assign(**constant, measurement_id=pd.array([pd.NA] * len(table), dtype="Int64"))
    return Derived(table, pd.concat(missing, ignore_index=True))


def _inputs(frames: Frames) -> tuple[dict[str, Floats], dict[str, NDArray[np.object_]]]:
    """The inputs at every visit (float[V], NaN where missing) and, for each, the reason where it is missing."""
    visits = frames.visits
    sex = frames.subjects["sex"].to_numpy()[visits["subject"].to_numpy()]
    stature, mass = measured(frames, "stature_cm"), measured(frames, "weight_kg")
    waist = measured(frames, "waist_cm")
    inputs = {
        "bmi": measured(frames, "bmi"),
        "stature_cm": np.where(stature > 0, stature, np.nan),
        "waist_cm": np.where(waist > 0, waist, np.nan),
        "age": visits["age"].to_numpy(),
        "male": np.select([sex == "M", sex == "F"], [1.0, 0.0], np.nan),
    }
    reasons = {name: np.full(len(visits), f"no {'sex' if name == 'male' else name}", dtype=object) for name in inputs}
    reasons["bmi"] = np.where(
        np.isnan(inputs["stature_cm"]), "no stature_cm", np.where(mass > 0, "no bmi", "no weight_kg")
    )
    return inputs, reasons
