"""NHANES 1999-2000 as registry frames, and a small synthetic study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from studies.analysis import analyze
from studies.plan import plan_from_document, plan_hash

ETHNICITIES = {
    1: "Mexican American",
    2: "Other Hispanic",
    3: "Non-Hispanic White",
    4: "Non-Hispanic Black",
    5: "Other",
}


@pytest.fixture(scope="session")
def nhanes(shared):
    """subjects, visits, measurements."""
    folder = shared / "data" / "nhanes_1999_2000"
    demo, body, bia, dxa = (pyreadstat.read_xport(folder / f"{name}.XPT")[0] for name in ("DEMO", "BMX", "BIX", "DXX"))

    def identifier(frame):
        return frame["SEQN"].astype(int).astype(str)

    def measured(frame, column, measurand, method):
        frame = frame[frame[column].notna()]
        return pd.DataFrame(
            {"subject_id": identifier(frame), "measurand": measurand, "method": method, "value": frame[column]}
        )

    subjects = pd.DataFrame(
        {
            "subject_id": identifier(demo),
            "site": None,
            "sex": demo["RIAGENDR"].map({1: "M", 2: "F"}),
            "age": demo["RIDAGEYR"],
            "ethnicity": demo["RIDRETH1"].map(ETHNICITIES),
            "consent": "none",
        }
    )
    visits = pd.DataFrame({"subject_id": subjects["subject_id"], "visit": "exam", "date": pd.NaT, "sequence": 1})
    parts = [
        measured(body, "BMXHT", "stature_cm", "anthropometry"),
        measured(body, "BMXWT", "weight_kg", "anthropometry"),
        measured(body, "BMXBMI", "bmi", "anthropometry"),
        measured(body, "BMXWAIST", "waist_cm", "anthropometry"),
        measured(bia[bia["BIAEXSTS"] == 1], "BIDPFAT", "body_fat_percent", "bia"),
        measured(dxa[(dxa["_MULT_"] == 1) & (dxa["DXITOT"] == 0)], "DXDTOPF", "body_fat_percent", "dxa"),
    ]
    measurements = pd.concat(parts, ignore_index=True)
    measurements.insert(0, "measurement_id", np.arange(len(measurements)) + 1)
    fixed = {"visit": "exam", "measured_at": pd.NaT, "device": None, "unit": "", "replicate": 1, "kind": "reading"}
    return subjects, visits, measurements.assign(**fixed, flags=None)


SMALL_PLAN = {
    "calliper_plan": 1,
    "title": "Small",
    "measurand": "body_fat_percent",
    "reference": "dxa",
    "index": "scan",
    "comparators": ["scale"],
    "subgroups": [{"name": "sex", "attribute": "sex"}, {"name": "ethnicity", "attribute": "ethnicity"}],
    "resamples": 200,
}


@pytest.fixture
def small():
    """`small(ethnicity={"A": 30, "B": 4, …}, plan={…}, **arguments)` analyses a study of that many subjects."""

    def run(*, ethnicity=None, men=0.5, plan=None, locked=True, edit=None, **arguments):
        groups = [name for name, count in (ethnicity or {"A": 30, "B": 30}).items() for _ in range(count)]
        rng = np.random.default_rng(4)
        size = len(groups)
        names = [f"S{i:03d}" for i in range(size)]
        true = rng.normal(30, 8, size)
        sexes = np.where(np.arange(size) < men * size, "M", "F") if isinstance(men, float) else men
        subjects = pd.DataFrame(
            {"subject_id": names, "sex": sexes, "age": rng.uniform(18, 70, size), "ethnicity": groups}
        )
        subjects = subjects.sample(frac=1, random_state=1)
        visits = pd.DataFrame({"subject_id": names, "visit": "v1", "date": pd.Timestamp("2024-05-01"), "sequence": 1})
        columns = {
            ("body_fat_percent", "dxa"): true,
            ("body_fat_percent", "scan"): true + rng.normal(0, 2, size),
            ("body_fat_percent", "scale"): true + rng.normal(-2, 4, size),
            ("stature_cm", "tape"): rng.normal(170, 9, size),
            ("weight_kg", "tape"): rng.normal(75, 12, size),
        }
        measurements = pd.concat(
            [
                pd.DataFrame({"subject_id": names, "visit": "v1", "measurand": what, "method": how, "value": values})
                for (what, how), values in columns.items()
            ],
            ignore_index=True,
        )
        measurements.insert(0, "measurement_id", np.arange(len(measurements)) + 1)
        if edit is not None:
            subjects, visits, measurements = edit(subjects, visits, measurements)
        document = plan_from_document({**SMALL_PLAN, **(plan or {})})
        return analyze(
            study={"name": "small", "title": "Small", **arguments.pop("study", {})},
            plan=document,
            plan_status={"version": 1, "hash": plan_hash(document), "locked": locked},
            subjects=subjects,
            visits=visits,
            measurements=measurements,
            data_hash="0" * 64,
            **arguments,
        )

    return run
