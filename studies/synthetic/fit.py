"""Fit the population of the synthetic cohort to NHANES 1999–2000 and write `coefficients.json`.

    OPENBLAS_NUM_THREADS=1 python -m studies.synthetic.fit FOLDER

(The matrices are small: on a busy machine, threads of the linear algebra library cost twenty times what they save.)
FOLDER holds DEMO.XPT, BMX.XPT, DXX.XPT and BIX.XPT as the National Center for Health Statistics publishes them. The
coefficients are all that is kept: no file and no row of the survey is in the project.

The joint distribution is a chain of regressions (`studies.synthetic.regression`), one chain a sex: age, ethnicity,
stature, BMI, waist, arm, thigh, BFP by DXA, BFP by bioimpedance and skinfolds, each given those before it.

Choices:
- Adults of 18 and more, examined, women with a positive pregnancy test left out.
- Unweighted: the cohort is like the people examined, among whom small ethnic groups, the young and the old were sampled
  more often, as a validation study would do; it is not like the population of the United States.
- DXA comes with five imputations a person, which are fitted together, each with a weight of one fifth. Scale readings
  are fitted against measured DXA alone, since the imputations do not know the bioimpedance.
- Bioimpedance was measured up to the age of 49: beyond, the scale's error is that of the age of 49.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from studies.errors import DataError
from studies.synthetic.population import COEFFICIENTS, ETHNICITIES, SCALE_AGE_LIMIT, SEXES
from studies.synthetic.regression import Regression, fit, fit_logistic

FILES = ("DEMO.XPT", "BMX.XPT", "DXX.XPT", "BIX.XPT")

# Edges of the age bands within which ages are drawn evenly; NHANES writes 85 for 85 and more.
AGE_EDGES = (18, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 86)
# Bands for the shares of ethnicities: wide enough that no cell is of a few people.
ETHNICITY_EDGES = (18, 40, 60, 86)

_DUMMIES = [f"ethnicity={name}" for name in ETHNICITIES if name != "non_hispanic_white"]
_BASE = ["1", "age", "age^2", "age^3", *_DUMMIES, *(f"{dummy}*age" for dummy in _DUMMIES)]
_BODY = [*_BASE, "stature", "bmi", "bmi^2"]
_SPREAD = ["1", "bmi", "age"]

# column -> (scale, terms of the location, terms of ln sigma), in the order of the chain
CHAIN: dict[str, tuple[str, list[str], list[str]]] = {
    "stature_cm": ("identity", _BASE, ["1"]),
    "bmi": ("log", [*_BASE, "age^4", "stature"], ["1", "age", *_DUMMIES]),
    "waist_cm": ("log", [*_BODY, "bmi*age"], _SPREAD),
    "arm_cm": ("log", [*_BODY, "waist"], _SPREAD),
    "thigh_cm": ("log", [*_BODY, "waist", "arm"], _SPREAD),
    "body_fat_percent": ("logit", [*_BODY, "bmi*age", "waist", "waist^2", "arm", "thigh"], _SPREAD),
    "scale_body_fat_percent": (
        "identity",
        ["1", "fat", "fat^2", "age", "stature", "bmi", "bmi^2", "waist", "arm", "thigh", *_DUMMIES],
        ["1", "fat", "bmi"],
    ),
    # A caliper opens to 45 mm, so that readings crowd below it: more so on a scale with an upper limit.
    "triceps_skinfold_mm": (
        "logit 60",
        [*_BODY, "waist", "arm", "thigh", "fat", "fat^2", "fat*bmi", "arm*fat"],
        _SPREAD,
    ),
    "subscapular_skinfold_mm": ("logit 60", [*_BODY, "waist", "arm", "thigh", "fat", "triceps"], _SPREAD),
}
# Skinfolds are the more often missing the fatter the person: the fold cannot be lifted or exceeds the caliper.
UNREADABLE = ("triceps_skinfold_mm", "subscapular_skinfold_mm")
UNREADABLE_TERMS = ["1", "bmi", "bmi^2", "fat", "age"]

_RENAME = {
    "BMXWT": "weight_kg",
    "BMXHT": "stature_cm",
    "BMXWAIST": "waist_cm",
    "BMXARMC": "arm_cm",
    "BMXTHICR": "thigh_cm",
    "BMXTRI": "triceps_skinfold_mm",
    "BMXSUB": "subscapular_skinfold_mm",
}


def read_nhanes(folder: Path) -> pd.DataFrame:
    """Adults of NHANES 1999–2000, five rows a person (one an imputation of DXA).

    Columns: person, imputation, sex, age, ethnicity, the anthropometry of `MEASURANDS`, bmi, body_fat_percent (DXA),
    dxa_measured (bool), scale_body_fat_percent (bioimpedance). Raises DataError when a file is missing.
    """
    import pyreadstat

    folder = Path(folder)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{', '.join(missing)} not found in {folder}.",
            remedy="Download the files of NHANES 1999–2000 from the National Center for Health Statistics.",
        )
    demo, bmx, dxx, bix = (pyreadstat.read_xport(str(folder / name))[0] for name in FILES)
    people = demo.merge(bmx, on="SEQN").merge(bix[["SEQN", "BIDPFAT"]], on="SEQN", how="left")
    people = people[(people["RIDAGEYR"] >= AGE_EDGES[0]) & (people["RIDEXPRG"] != 1)]
    scans = dxx.rename(columns={"_MULT_": "imputation"})[["SEQN", "imputation", "DXITOT", "DXDTOPF"]]
    every = people[["SEQN"]].merge(pd.DataFrame({"imputation": [1.0, 2.0, 3.0, 4.0, 5.0]}), how="cross")
    rows = every.merge(people, on="SEQN").merge(scans, on=["SEQN", "imputation"], how="left").rename(columns=_RENAME)
    out = pd.DataFrame(
        {
            "person": rows["SEQN"].astype(int),
            "imputation": rows["imputation"].astype(int),
            "sex": rows["RIAGENDR"].map({1.0: "M", 2.0: "F"}),
            "age": rows["RIDAGEYR"],
            "ethnicity": rows["RIDRETH1"].map(dict(enumerate(ETHNICITIES, start=1))),
        }
    )
    for column in _RENAME.values():
        out[column] = rows[column]
    out["bmi"] = out["weight_kg"] / (out["stature_cm"] / 100) ** 2
    out["body_fat_percent"] = rows["DXDTOPF"]
    out["dxa_measured"] = rows["DXITOT"] == 0
    out["scale_body_fat_percent"] = rows["BIDPFAT"]
    return out


def _complete(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows that the regression of `column` can use: one a person as far as DXA takes no part."""
    order = [name for name in CHAIN if name != "scale_body_fat_percent"]
    needed = ["bmi", *order[: order.index(column) + 1]] if column in order else ["bmi", *order[:6], column]
    rows = rows.dropna(subset=needed)
    if column == "scale_body_fat_percent":
        return rows[rows["dxa_measured"] & (rows["imputation"] == 1)]
    return rows if "body_fat_percent" in needed else rows[rows["imputation"] == 1]


def _with_capped_age(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    return rows.assign(age=rows["age"].clip(upper=SCALE_AGE_LIMIT)) if column == "scale_body_fat_percent" else rows


def _shares(table: pd.Series, edges: tuple[int, ...]) -> list[float]:
    counts, _ = np.histogram(table, bins=edges)
    return [round(share, 5) for share in (counts / counts.sum()).tolist()]


def fit_population(folder: Path) -> dict:
    """The document of `coefficients.json` for the NHANES files in `folder`."""
    rows = read_nhanes(folder)
    one = rows[rows["imputation"] == 1]
    document: dict = {
        "source": {
            "survey": "National Health and Nutrition Examination Survey 1999–2000",
            "publisher": "National Center for Health Statistics, Centers for Disease Control and Prevention (USA)",
            "files": list(FILES),
            "licence": "work of the United States government, public domain",
            "people": len(one),
            "weights": "none: unweighted, like the people examined",
            "method": "chain of sinh-arcsinh regressions, one chain a sex, by maximum likelihood "
            "(studies/synthetic/fit.py); DXA: five imputations, each with a weight of 1/5",
        },
        "women": round(float((one["sex"] == "F").mean()), 5),
        "age_edges": list(AGE_EDGES),
        "ethnicity_edges": list(ETHNICITY_EDGES),
        "sexes": {},
    }
    for sex in SEXES:
        group = rows[rows["sex"] == sex]
        people = group[group["imputation"] == 1]
        ethnicity = []
        for low, high in pairwise(ETHNICITY_EDGES):
            band = people.loc[people["age"].between(low, high, inclusive="left"), "ethnicity"]
            ethnicity.append([round(float((band == name).mean()), 5) for name in ETHNICITIES])
        regressions, counts = {}, {}
        for column, (scale, location, log_sigma) in CHAIN.items():
            data = _with_capped_age(_complete(group, column), column)
            counts[column] = int(data["person"].nunique())
            weights = (1.0 / data.groupby("person")["person"].transform("size")).to_numpy()
            found: Regression = fit(column, data, scale=scale, location=location, log_sigma=log_sigma, weights=weights)
            regressions[column] = {"people": counts[column], **found.to_dict()}
        unreadable = {}
        for column in UNREADABLE:
            # Without an arm girth the person was not measured at all: nothing is known about their folds.
            data = group.dropna(subset=["bmi", "arm_cm", "body_fat_percent"])
            weights = (1.0 / data.groupby("person")["person"].transform("size")).to_numpy()
            unreadable[column] = fit_logistic(data[column].isna().to_numpy(), data, UNREADABLE_TERMS, weights)
        document["sexes"][sex] = {
            "people": len(people),
            "age": _shares(people["age"], AGE_EDGES),
            "ethnicity": ethnicity,
            "regressions": regressions,
            "unreadable": unreadable,
        }
    return document


def main(arguments: list[str] | None = None) -> None:
    """Rebuild the coefficients from the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m studies.synthetic.fit", description=fit_population.__doc__)
    parser.add_argument("folder", type=Path, help="folder of DEMO.XPT, BMX.XPT, DXX.XPT and BIX.XPT")
    parser.add_argument("--out", type=Path, default=COEFFICIENTS, help="file to write (default: the packaged one)")
    options = parser.parse_args(arguments)
    document = fit_population(options.folder)
    options.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{options.out}: fitted to {document['source']['people']:,} people")


if __name__ == "__main__":
    main()
