"""Makes prior.npz anew: what is known of people and of the recipe's bodies before a fit.

    python -m models.fit.build_prior --samples samples.npz --nhanes FOLDER --ansur FOLDER

samples.npz holds the phenotypes and betas of the people that the open body's recipe drew (`python -m models.body.recipe
--help` says how to get it). The folder of NHANES 1999–2000 holds DEMO.XPT and BMX.XPT, that of ANSUR II its two public
CSV files. Body composition (DXX, BIX) is not read. The same input gives the same file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat

from models.body.files import open_body
from models.fit.population import MEASURED, VARIABLES, Population, fit_population, heaviness
from models.fit.prior import PHENOTYPES, fingerprint

NHANES = {
    "stature_cm": "BMXHT",
    "weight_kg": "BMXWT",
    "waist_cm": "BMXWAIST",
    "arm_cm": "BMXARMC",
    "thigh_cm": "BMXTHICR",
    "triceps_skinfold_mm": "BMXTRI",
    "subscapular_skinfold_mm": "BMXSUB",
}
# ANSUR II's waist is taken at the navel, a little below the iliac crest; for what it is used for here it stands for
# that one.
ANSUR = {
    "stature_cm": "stature",
    "weight_kg": "weightkg",
    "waist_cm": "waistcircumference",
    "hip_cm": "buttockcircumference",
    "chest_cm": "chestcircumference",
    "calf_cm": "calfcircumference",
    "neck_cm": "neckcircumference",
    "leg_length_cm": "crotchheight",
    "shoulder_breadth_cm": "biacromialbreadth",
}
ADULT = 18


def read_nhanes(folder: Path) -> pd.DataFrame:
    """Adults who are not pregnant: sex, age, weight (of the survey) and the measurements that NHANES took."""
    demo, _ = pyreadstat.read_xport(str(folder / "DEMO.XPT"))
    measured, _ = pyreadstat.read_xport(str(folder / "BMX.XPT"))
    people = demo.merge(measured, on="SEQN")
    known = (people.WTMEC2YR > 0) & people.BMXHT.notna() & people.BMXWT.notna()
    people = people[(people.RIDAGEYR >= ADULT) & (people.RIDEXPRG != 1) & known]
    columns = {"sex": np.where(people.RIAGENDR == 1, "M", "F"), "age": people.RIDAGEYR, "weight": people.WTMEC2YR}
    return pd.DataFrame({**columns, **{name: people[code] for name, code in NHANES.items()}})


def read_ansur(folder: Path) -> pd.DataFrame:
    """Soldiers: sex, age and the measurements that ANSUR II took; its lengths are in mm, its mass in hectograms."""
    frames = []
    for sex, file in (("M", "ANSUR_II_MALE_Public.csv"), ("F", "ANSUR_II_FEMALE_Public.csv")):
        people = pd.read_csv(folder / file, encoding="latin-1")
        measured = {name: people[column] / 10 for name, column in ANSUR.items()}
        frames.append(pd.DataFrame({"sex": sex, "age": people.Age, **measured}))
    return pd.concat(frames, ignore_index=True)


def _rows(people: pd.DataFrame) -> np.ndarray:
    rows = np.full((len(people), len(VARIABLES)), np.nan)
    rows[:, 0] = people.age
    rows[:, 1] = (people.age - 45) ** 2 / 100
    rows[:, 2] = heaviness(people.stature_cm, people.weight_kg)
    for name in MEASURED:
        if name in people:
            rows[:, VARIABLES.index(name)] = np.log(people[name])
    return rows


def population(nhanes: pd.DataFrame, ansur: pd.DataFrame, sex: str) -> Population:
    """The joint distribution of the measurements of one sex."""
    nhanes, ansur = nhanes[nhanes.sex == sex], ansur[ansur.sex == sex]
    return fit_population(_rows(nhanes), (nhanes.weight / nhanes.weight.mean()).to_numpy(), _rows(ansur))


def shape(samples: dict[str, np.ndarray], sex: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of betas and PHENOTYPES over the recipe's people of one sex."""
    own = samples["gender"] < 0.5 if sex == "M" else samples["gender"] > 0.5
    table = np.column_stack([samples["betas"], *(samples[name] for name in PHENOTYPES)])[own].astype(float)
    return table.mean(axis=0), np.cov(table.T)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("samples", "nhanes", "ansur"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("prior.npz"))
    chosen = parser.parse_args()
    nhanes, ansur = read_nhanes(chosen.nhanes), read_ansur(chosen.ansur)
    with np.load(chosen.samples) as stored:
        samples = dict(stored)
    body = open_body()
    if samples["betas"].shape[1] != body.n_betas:
        parser.error(f"the samples have {samples['betas'].shape[1]} betas, the packaged body {body.n_betas}")
    out = {"population_variables": np.array(VARIABLES), "body": np.array(fingerprint(body))}
    for sex in "FM":
        of_sex = population(nhanes, ansur, sex)
        out[f"population_mean_{sex}"], out[f"population_covariance_{sex}"] = of_sex.mean, of_sex.covariance
        out[f"shape_mean_{sex}"], out[f"shape_covariance_{sex}"] = shape(samples, sex)
    np.savez_compressed(chosen.out, **out)


if __name__ == "__main__":
    main()
