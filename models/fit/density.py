"""How mass becomes volume: body density from sex, age and BMI by published equations alone."""

from __future__ import annotations

import numpy as np

ESSENTIAL_FAT = 3.0
"""Percentage points under which the BMI equation is not followed: it would leave the very thin without any fat."""


def expected_body_fat(sex: np.ndarray, age: np.ndarray, bmi: np.ndarray) -> np.ndarray:
    """Body-fat percentage that sex ("F", "M"), age (years) and BMI (kg/m²) lead to expect, at least ESSENTIAL_FAT.

    Gallagher et al. 2000, Am J Clin Nutr 72:694–701, the equation of four-compartment body fat for adults; being linear
    in 1/BMI it levels off in the obese, where equations linear in BMI go on rising.
    """
    sex = np.asarray(sex)
    if not np.isin(sex, ("F", "M")).all():
        raise ValueError("sex must be 'F' or 'M'.")
    male = (sex == "M").astype(float)
    age, bmi = np.asarray(age, float), np.asarray(bmi, float)
    fat = 64.5 - 848 / bmi + 0.079 * age - 16.4 * male + 0.05 * male * age + 39 * male / bmi
    return np.maximum(fat, ESSENTIAL_FAT)


def body_density(sex: np.ndarray, age: np.ndarray, bmi: np.ndarray) -> np.ndarray:
    """Density of the whole body, kg/l, for sex ("F", "M"), age (years) and BMI (kg/m²); shapes broadcast.

    Body fat by `expected_body_fat`, turned around by Siri 1961 (BFP = 495 / density - 450). The density that two
    people of one sex, age and BMI truly have differs by about 0.01 kg/l; nothing in this project tells it to a body,
    because an estimator would then learn from a body's volume what no camera could see.
    """
    return 495.0 / (expected_body_fat(sex, age, bmi) + 450.0)
