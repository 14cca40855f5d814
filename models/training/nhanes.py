"""The adults of NHANES 1999–2000: what tape and caliper measured of them, and their body fat by DXA.

National Center for Health Statistics, public domain. The files are the SAS transport files DEMO, BMX and DXX.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

DATASET = "nhanes-1999"
REFERENCE = "dxa_body_fat_percent"
ADULT_YEARS = 18
_ETHNICITIES = {
    1: "mexican_american", 2: "other_hispanic", 3: "non_hispanic_white", 4: "non_hispanic_black", 5: "other",
}  # fmt: skip
_TAPED = {
    "BMXWT": "weight_kg", "BMXHT": "stature_cm", "BMXWAIST": "waist_cm", "BMXARMC": "arm_cm", "BMXTHICR": "thigh_cm",
    "BMXTRI": "triceps_skinfold_mm", "BMXSUB": "subscapular_skinfold_mm",
}  # fmt: skip


def read_adults(folder: Path) -> pd.DataFrame:
    """A row an adult with stature and mass, in the order of their numbers.

    Columns: subject, sex, age (years), ethnicity, what `models.fit` may be asked for (cm, kg, mm; NaN where it was not
    measured), and REFERENCE: BFP by DXA, NaN where it was not measured or imputed.
    """
    demo, bmx, dxx = (_read(folder, name) for name in ("DEMO", "BMX", "DXX"))
    measured = dxx[(dxx["_MULT_"] == 1) & (dxx["DXITOT"] == 0)].set_index("SEQN")["DXDTOPF"]
    taped = bmx.set_index("SEQN")[list(_TAPED)].rename(columns=_TAPED)
    people = demo.set_index("SEQN").join(taped, how="inner").join(measured.rename(REFERENCE))
    people = people.assign(
        subject=people.index.astype(int).astype(str), sex=people["RIAGENDR"].map({1: "M", 2: "F"}),
        age=people["RIDAGEYR"], ethnicity=people["RIDRETH1"].map(_ETHNICITIES),
    )  # fmt: skip
    there = (people["age"] >= ADULT_YEARS) & people["weight_kg"].notna() & people["stature_cm"].notna()
    columns = ["subject", "sex", "age", "ethnicity", *_TAPED.values(), REFERENCE]
    return people.loc[there, columns].sort_index().reset_index(drop=True)


def _read(folder: Path, name: str) -> pd.DataFrame:
    import pyreadstat

    return pyreadstat.read_xport(str(folder / f"{name}.XPT"))[0]
