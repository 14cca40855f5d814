"""What mass, stature, BMI and waist say about one another: where a unit was mistaken, they no longer fit.

A mass in pounds under `kg` is 2.2 times too large. That is a possible mass for a person, so no range can catch it; the
person's own BMI or waist does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

POUNDS_PER_KG = 1 / 0.45359237
CM_PER_INCH = 2.54

# ln(BMI) on ln(waist / stature) and ln(stature in cm), least squares over the 4,796 adults of NHANES 1999-2000 with all
# three (public files DEMO and BMX). Residual SD 0.090; the largest residuals are -0.43 and 0.40. Pounds for kilograms
# add ln 2.2046 = 0.79, inches for centimetres of waist 1.13.
_INTERCEPT, _SLOPE, _STATURE_SLOPE = 1.5005, 1.2155, 0.4888
_RESIDUAL_SD = 0.09
_TOO_FAR = 0.5
_CLOSE = 0.35
# ln(BMI) of the same adults: by it, a mass in pounds is told from a waist in inches, which misfit alike.
_LN_BMI_MEAN, _LN_BMI_SD = 3.31, 0.21
_BMI_TOLERANCE = 0.05
_MASS_FOR_STATURE = (8.0, 95.0)  # BMI that no living adult or child falls outside of
_POUNDS_SUSPECTED_ABOVE = 42.0
ADULT_AGE = 18.0
ADULT_STATURE_CM = (100.0, 235.0)

MEASURANDS = ("weight_kg", "stature_cm", "bmi", "waist_cm")


def _misfit(bmi: np.ndarray, waist: np.ndarray, stature: np.ndarray) -> np.ndarray:
    """ln(BMI) minus what waist and stature let expect; NaN where one is missing."""
    return np.log(bmi) - (_INTERCEPT + _SLOPE * np.log(waist / stature) + _STATURE_SLOPE * np.log(stature))


def problems(rows: pd.DataFrame, person: pd.DataFrame) -> pd.DataFrame:
    """What is wrong with each row's value, seen beside the same person's other values at the same visit.

    rows: `measurand`, `value` (canonical units), `adult` (bool). person: columns `weight_kg`, `stature_cm`, `bmi`,
    `waist_cm`, one row for each of `rows`, NaN where not measured. Returns text columns `problem` (reject) and
    `doubt` (warn), missing where nothing is wrong.
    """
    value = rows["value"].to_numpy(float)
    adult = rows["adult"].to_numpy(bool)
    which = rows["measurand"].to_numpy(object)
    stature, reported = person["stature_cm"].to_numpy(float), person["bmi"].to_numpy(float)
    waist, weight = person["waist_cm"].to_numpy(float), person["weight_kg"].to_numpy(float)
    problem = np.full(len(rows), None, dtype=object)
    doubt = np.full(len(rows), None, dtype=object)
    with np.errstate(all="ignore"):
        _judge_mass(value, which == "weight_kg", adult, stature, reported, waist, problem, doubt)
        _judge_waist(value, (which == "waist_cm") & adult, stature, weight, reported, problem)
        _judge_stature(value, (which == "stature_cm") & adult, problem)
        _judge_bmi(value, which == "bmi", adult, stature, weight, reported, waist, doubt)
    return pd.DataFrame({"problem": problem, "doubt": doubt}, index=rows.index).astype("str")


def _unlikeness(bmi: np.ndarray, misfit: np.ndarray) -> np.ndarray:
    """How unlike an adult's they are: squared distances, in standard deviations, of the BMI and of the misfit."""
    return ((np.log(bmi) - _LN_BMI_MEAN) / _LN_BMI_SD) ** 2 + (misfit / _RESIDUAL_SD) ** 2


def _waist_in_inches(bmi: np.ndarray, waist: np.ndarray, stature: np.ndarray) -> np.ndarray:
    """Where BMI and waist misfit as they do when the waist is in inches, and more so than with a mass in pounds."""
    misfit = _misfit(bmi, waist, stature)
    expected = _SLOPE * np.log(CM_PER_INCH)
    likelier = _unlikeness(bmi, misfit - expected) < _unlikeness(bmi / POUNDS_PER_KG, misfit - np.log(POUNDS_PER_KG))
    return (misfit > _TOO_FAR) & (np.abs(misfit - expected) < _CLOSE) & likelier


def _mass_misfits(bmi, adult, stature, reported, waist) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a mass seems to be pounds by the reported BMI, kilograms marked as pounds, and pounds by the waist."""
    ratio = bmi / reported
    misfit = _misfit(bmi, waist, stature)
    in_pounds = np.abs(ratio / POUNDS_PER_KG - 1) < _BMI_TOLERANCE
    in_kilograms = np.abs(ratio * POUNDS_PER_KG - 1) < _BMI_TOLERANCE
    by_waist = (
        adult & ~in_pounds & ~(np.abs(ratio - 1) < _BMI_TOLERANCE) & ~_waist_in_inches(bmi, waist, stature)
        & (misfit > _TOO_FAR) & (np.abs(misfit - np.log(POUNDS_PER_KG)) < _CLOSE)
    )  # fmt: skip
    return in_pounds, in_kilograms, by_waist


def _judge_mass(value, here, adult, stature, reported, waist, problem, doubt) -> None:
    stature = np.where((stature > 40) & (stature < 250), stature, np.nan)
    bmi = value / (stature / 100) ** 2
    in_pounds, in_kilograms, by_waist = (here & found for found in _mass_misfits(bmi, adult, stature, reported, waist))
    outside = here & ~in_pounds & ~in_kilograms & ~by_waist
    outside &= (bmi < _MASS_FOR_STATURE[0]) | (bmi > _MASS_FOR_STATURE[1])
    unlikely = here & adult & np.isnan(reported) & np.isnan(waist) & (bmi > _POUNDS_SUSPECTED_ABOVE)
    unlikely &= bmi / POUNDS_PER_KG > 15
    for i in np.flatnonzero(in_pounds | in_kilograms | by_waist | outside | unlikely):
        at = f"at a stature of {stature[i]:.0f} cm a mass of {value[i]:.1f} kg is a BMI of {bmi[i]:.1f}"
        if in_pounds[i]:
            problem[i] = f"{at}, but the BMI reported is {reported[i]:.1f}: the mass seems to be in pounds"
        elif in_kilograms[i]:
            problem[i] = f"{at}, but the BMI reported is {reported[i]:.1f}: kilograms seem to be marked as pounds"
        elif by_waist[i]:
            problem[i] = f"{at}, which does not go with a waist of {waist[i]:.0f} cm: the mass seems to be in pounds"
        elif outside[i]:
            problem[i] = f"{at}, which no living person has: the mass or its unit is wrong"
        else:
            doubt[i] = f"{at}; were it in pounds, the BMI would be {bmi[i] / POUNDS_PER_KG:.1f}"


def _judge_waist(value, here, stature, weight, reported, problem) -> None:
    bmi = weight / (stature / 100) ** 2
    mass_is_wrong = np.abs(bmi / reported / POUNDS_PER_KG - 1) < _BMI_TOLERANCE
    for i in np.flatnonzero(here & ~mass_is_wrong & _waist_in_inches(bmi, value, stature)):
        problem[i] = f"a waist of {value[i]:.1f} cm does not go with a BMI of {bmi[i]:.1f}: it seems to be in inches"


def _judge_stature(value, here, problem) -> None:
    low, high = ADULT_STATURE_CM
    for i in np.flatnonzero(here & ((value < low) | (value > high))):
        hint = f"{value[i]:.1f} inches would be {value[i] * CM_PER_INCH:.0f} cm" if 48 < value[i] < 90 else ""
        problem[i] = f"{value[i]:.1f} cm is no stature of an adult" + (f"; {hint}" if hint else "")


def _judge_bmi(value, here, adult, stature, weight, reported, waist, doubt) -> None:
    bmi = weight / (stature / 100) ** 2
    mass_is_wrong = np.logical_or.reduce(_mass_misfits(bmi, adult, stature, reported, waist))
    for i in np.flatnonzero(here & ~mass_is_wrong & (np.abs(value / bmi - 1) > _BMI_TOLERANCE)):
        doubt[i] = f"a BMI of {value[i]:.1f} is reported, but mass and stature give {bmi[i]:.1f}"
