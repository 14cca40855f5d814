"""Who of a study can be rendered, and from which of their measurements.

A body is made from what a camera could see of it: sex, age, stature, mass, girths, and the skinfolds as a sign of how
much of the mass is fat. Body composition is never used, nor is anything that the reference method measured: an
estimator that learns from rendered photos must not be told what it is to find out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from studies.measurands import MEASURANDS

NEEDED = ("stature_cm", "weight_kg")
FURTHER = (
    "waist_cm", "waist_omphalion_cm", "hip_cm", "chest_cm", "neck_cm", "arm_cm", "thigh_cm", "upper_thigh_cm",
    "calf_cm", "leg_length_cm", "shoulder_breadth_cm", "triceps_skinfold_mm", "subscapular_skinfold_mm",
)  # fmt: skip
USED = (*NEEDED, *FURTHER)
FACTS = ("sex", "age", "ethnicity", "monk_skin_tone")
ADULT_YEARS = 18
TAPE = "anthropometry"  # preferred to other methods where both measured


@dataclass(frozen=True)
class Refusal:
    """Why there is no scan of a subject at a visit."""

    subject_id: str
    visit: str | None
    reason: str

    def as_dict(self) -> dict[str, str | None]:
        return asdict(self)


@dataclass(frozen=True)
class People:
    """`table`: a row a subject and visit, in their order, with subject_id, visit, captured_at (datetime or missing),
    `FACTS` (skin tone and ethnicity may be missing) and `USED`. `refused`: who is not in it.
    """

    table: pd.DataFrame
    refused: list[Refusal]


def people_of(subjects: pd.DataFrame, readings: pd.DataFrame, *, reference: str) -> People:
    """The people that can be rendered, of the registry's frames `subjects` and `readings`.

    Readings by the method `reference` are left out. A visit counts where the mass was measured; adults have the same
    stature at every visit, so that it needs to be measured at one. Where several methods measured the same,
    anthropometry counts, else their mean.
    """
    wide = _wide(readings[readings["measurand"].isin(USED)], reference)
    rows = wide.reset_index().merge(_facts(subjects), on="subject_id", how="left")
    problems = _problems(rows)
    good = np.array([not problem for problem in problems], dtype=bool)  # a list without a row would be no mask
    refused = [Refusal(*row) for row in zip(rows["subject_id"], rows["visit"], problems, strict=True) if row[2]]
    only = _measured_by_reference(readings, reference)
    for subject in sorted(set(subjects["subject_id"]) - set(rows["subject_id"])):
        because = (
            f"only by the reference method '{reference}', which is never used" if subject in only else "at no visit"
        )
        refused.append(Refusal(subject, None, f"mass was measured {because}"))
    refused.sort(key=lambda refusal: (refusal.subject_id, refusal.visit or ""))
    return People(rows[good].reset_index(drop=True), refused)


def _facts(subjects: pd.DataFrame) -> pd.DataFrame:
    facts = subjects.reindex(columns=["subject_id", *FACTS])
    return facts.assign(monk_skin_tone=pd.to_numeric(facts["monk_skin_tone"], errors="coerce"))


def _wide(readings: pd.DataFrame, reference: str) -> pd.DataFrame:
    """A row a subject and visit at which mass was measured, a column each of `USED`, and captured_at."""
    kept = readings[readings["method"] != reference]
    by_tape = kept["method"].eq(TAPE)
    key = ["subject_id", "visit", "measurand"]
    taped = pd.MultiIndex.from_frame(kept[key]).isin(pd.MultiIndex.from_frame(kept.loc[by_tape, key]))
    kept = kept[by_tape | ~taped]
    wide = kept.pivot_table(index=["subject_id", "visit"], columns="measurand", values="value", aggfunc="mean")
    wide = wide.reindex(columns=list(USED))
    wide["stature_cm"] = wide["stature_cm"].fillna(wide.groupby("subject_id")["stature_cm"].transform("mean"))
    wide["captured_at"] = kept.groupby(["subject_id", "visit"])["measured_at"].min()
    return wide[wide["weight_kg"].notna()].sort_index()


def _problems(rows: pd.DataFrame) -> list[str]:
    """Why each row can have no body; empty where it can, as far as can be told before one is made."""
    found: list[list[str]] = [[] for _ in range(len(rows))]

    def tell(where: pd.Series, reason: Callable[[int], str]) -> None:
        for position in np.flatnonzero(where):
            found[position].append(reason(position))

    tell(rows["sex"].isna(), lambda _: "sex is not known")
    tell(rows["age"].isna(), lambda _: "age is not known")
    tell(rows["age"] < ADULT_YEARS, lambda _: f"younger than {ADULT_YEARS} years: the body model is one of adults")
    tell(rows["stature_cm"].isna(), lambda _: "stature was not measured")
    for name in USED:  # an ingest refuses what no living person can have; a table on disk may hold it
        low, high = MEASURANDS[name].plausible
        label, unit, values = MEASURANDS[name].label, MEASURANDS[name].unit, rows[name].to_numpy()
        outside = rows[name].notna() & ~rows[name].between(low, high)
        tell(outside, lambda i, words=(label, unit), v=values: f"{words[0]} of {v[i]:g} {words[1]} is impossible")
    return ["; ".join(reasons) for reasons in found]


def _measured_by_reference(readings: pd.DataFrame, reference: str) -> set[str]:
    mass = readings[readings["measurand"].eq("weight_kg") & readings["method"].eq(reference)]
    return set(mass["subject_id"])
