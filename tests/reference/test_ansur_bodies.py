"""Real people rebuilt as bodies: ANSUR II (soldiers, six girths) and NHANES 1999–2000 (adults, up to three girths)."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from models.body.files import open_body
from models.fit import FittedBodies, body_density, fit_bodies
from models.fit.build_prior import population, read_ansur, read_nhanes
from models.fit.prior import load_prior

ANSUR = {
    "stature_cm": "stature",
    "weight_kg": "weightkg",
    "chest_cm": "chestcircumference",
    "waist_omphalion_cm": "waistcircumference",
    "hip_cm": "buttockcircumference",
    "upper_thigh_cm": "thighcircumference",
    "calf_cm": "calfcircumference",
    "neck_cm": "neckcircumference",
}
NHANES = {
    "stature_cm": "BMXHT",
    "weight_kg": "BMXWT",
    "waist_cm": "BMXWAIST",
    "arm_cm": "BMXARMC",
    "thigh_cm": "BMXTHICR",
    "triceps_skinfold_mm": "BMXTRI",
    "subscapular_skinfold_mm": "BMXSUB",
}


def soldiers(shared: Path, n: int) -> pd.DataFrame:
    frames = []
    for sex, file, subject in (("M", "MALE", "subjectid"), ("F", "FEMALE", "SubjectId")):
        people = pd.read_csv(shared / "data" / "ansur2" / f"ANSUR_II_{file}_Public.csv", encoding="latin-1")
        measured = {name: people[column] / 10 for name, column in ANSUR.items()}
        frames.append(pd.DataFrame({"subject": people[subject], "sex": sex, "age": people.Age, **measured}))
    return pd.concat(frames).sample(n, random_state=20)


def adults(shared: Path) -> pd.DataFrame:
    """Adults of NHANES with a DXA reading (measured or imputed), stature and mass; whether pregnant or not."""
    folder = shared / "data" / "nhanes_1999_2000"
    demo, measured, dxa = (pyreadstat.read_xport(str(folder / f"{name}.XPT"))[0] for name in ("DEMO", "BMX", "DXX"))
    scanned = dxa[(dxa["_MULT_"] == 1) & dxa.DXDTOPF.notna()].SEQN
    people = demo.merge(measured, on="SEQN")
    people = people[people.SEQN.isin(scanned) & (people.RIDAGEYR >= 18) & people.BMXHT.notna() & people.BMXWT.notna()]
    columns = {"subject": people.SEQN.astype(int), "sex": np.where(people.RIAGENDR == 1, "M", "F")}
    return pd.DataFrame(
        {**columns, "age": people.RIDAGEYR, **{name: people[column] for name, column in NHANES.items()}}
    )


def as_asked(people: pd.DataFrame, fitted: FittedBodies) -> np.ndarray:
    """(N,): whether stature is within 2 mm, girths within 5 mm and volume within 1 %, stated here again."""
    ok = ~fitted.refused
    for name in people.columns:
        if name in fitted.measured:
            off = np.abs(fitted.measured[name] - people[name].to_numpy(float))
            ok &= np.isnan(people[name].to_numpy(float)) | (off <= (0.2 if name == "stature_cm" else 0.5))
    density = body_density(people.sex, people.age, people.weight_kg / (people.stature_cm / 100) ** 2)
    return ok & (np.abs(fitted.measured["volume_l"] * density / people.weight_kg - 1) <= 0.01).to_numpy()


def test_500_soldiers_are_rebuilt_within_the_tolerances(shared: Path) -> None:
    people = soldiers(shared, 500)
    fitted = fit_bodies(people, open_body(), seed=1)
    assert as_asked(people, fitted).sum() >= 498
    missed = np.flatnonzero(~as_asked(people, fitted))
    assert all(fitted.problems[i] for i in missed)


def test_what_soldiers_were_not_asked_for_is_unbiased(shared: Path) -> None:
    """From stature, mass and waist alone, the other girths come out as people have them, on average and in scatter."""
    people = soldiers(shared, 300)
    people["waist_cm"] = people.waist_omphalion_cm
    fitted = fit_bodies(people[["subject", "sex", "age", "stature_cm", "weight_kg", "waist_cm"]], open_body(), seed=1)
    for name, most in (("hip_cm", 1.2), ("chest_cm", 1.6), ("calf_cm", 0.8), ("neck_cm", 0.8)):
        off = fitted.measured[name] - people[name].to_numpy()
        for sex in "FM":
            own = (people.sex == sex).to_numpy()
            assert abs(off[own].mean()) < most, (name, sex)
            ratio = fitted.measured[name][own].std() / people[name][own].std()
            assert 0.75 < ratio < 1.3, (name, sex)


def test_adults_of_nhanes_are_rebuilt_within_the_tolerances(shared: Path) -> None:
    people = adults(shared).sample(250, random_state=4)
    fitted = fit_bodies(people, open_body(), seed=1)
    assert as_asked(people, fitted).mean() >= 0.97
    assert (as_asked(people, fitted) & ~fitted.flagged).mean() >= 0.97


@pytest.mark.slow
def test_all_adults_of_nhanes_are_rebuilt_within_the_tolerances(shared: Path) -> None:
    people = adults(shared)
    assert len(people) == 4612
    fitted = fit_bodies(people, open_body(), seed=1)
    right = as_asked(people, fitted)
    kinds = Counter(re.sub(r"[-\d.,]+", "#", problem) for problem in fitted.problems if problem)
    assert right.mean() >= 0.97, kinds
    assert (right & ~fitted.flagged).mean() >= 0.97, kinds
    assert all(fitted.problems[i] for i in np.flatnonzero(~right))


def test_the_packaged_distribution_of_people_is_made_again_without_body_composition(
    shared: Path, tmp_path: Path
) -> None:
    """From a folder that holds no DXX and no BIX file."""
    for name in ("DEMO.XPT", "BMX.XPT"):
        shutil.copy(shared / "data" / "nhanes_1999_2000" / name, tmp_path)
    nhanes, ansur = read_nhanes(tmp_path), read_ansur(shared / "data" / "ansur2")
    packaged = load_prior(open_body()).population
    for sex in "FM":
        again = population(nhanes, ansur, sex)
        assert again.mean == pytest.approx(packaged[sex].mean, rel=1e-6, abs=1e-8)
        assert again.covariance == pytest.approx(packaged[sex].covariance, rel=1e-5, abs=1e-8)
