"""The inputs of an analysis without what identifies people, made so that the analysis gives the same bytes.

What is replaced: identifiers of subjects and scans by codes dealt at random, of which no list is kept; numbers of
measurements; dates, by a shift of its own for each subject, in whole days, so that times between a person's dates
stay; labels of visits and codes of devices that too few subjects share. What is left out: every attribute of the
subjects that the analysis does not read, dates of birth, consent. What stays: the measurements, sex, age, ethnicity and
site, and what the plan names.

This is de-identified, not anonymous: whoever knows a person's measurements exactly can find them again. `risk` counts
how easily.
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from studies.plan_model import Plan

_SHIFT_DAYS = (30, 3650)
"""Dates are shifted by at least and at most so many days, back or forth."""
_OF_SUBJECTS = ("site", "sex", "age", "ethnicity", "enrolled_on")
_OLD = 90
"""From this age on a person's age alone may tell who is meant (as of HIPAA's safe harbor, 45 CFR 164.514)."""
_BAND_YEARS = 10


def deidentified(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs (see `studies.registry.analysis.study_inputs`) de-identified. Each call deals other codes and shifts.

    The counts, the texts about the study and the hashes of the data stay those of the data as they were.
    """
    plan: Plan = inputs["plan"]
    subjects, visits = inputs["subjects"], inputs["visits"]
    measurements, scans = inputs["measurements"], inputs.get("scans")
    people = pd.Index(subjects["subject_id"].astype("object"))
    rng = np.random.default_rng(secrets.randbits(256))
    codes = _codes(people, rng)
    shifts = _shifts(len(people), rng)
    least = plan.minimum_cell
    labels = _shared_or_coded(visits["visit"], visits["subject_id"], least, "visit-", keep=plan.visits or ())
    owned = [measurements[["device", "subject_id"]]] + ([] if scans is None else [scans[["device", "subject_id"]]])
    owned_devices = pd.concat(owned, ignore_index=True)
    devices = _shared_or_coded(owned_devices["device"], owned_devices["subject_id"], least, "device-", keep=("",))

    def renamed(frame: pd.DataFrame, dates: tuple[str, ...], order: list[str]) -> pd.DataFrame:
        place = people.get_indexer(frame["subject_id"].astype("object"))
        columns: dict[str, Any] = {"subject_id": pd.array(codes[place], dtype="str")}
        for name in dates:
            columns[name] = frame[name] + pd.Series(shifts[place], index=frame.index)
        for name, known in (("visit", labels), ("device", devices)):
            if name in frame:
                columns[name] = frame[name].astype("object").map(known).astype("str")
        changed = frame.assign(**columns)
        return changed.sort_values(order, kind="stable", ignore_index=True) if order else changed

    # Within a visit the numbers of measurements rise as before, for they are the last to break a tie.
    measurements = renamed(
        measurements.sort_values("measurement_id"), ("measured_at",), ["kind", "subject_id", "visit"]
    )
    numbers = measurements.groupby("kind").cumcount() + 1
    if scans is not None:
        scans = renamed(scans, ("captured_at",), ["subject_id", "visit", "scan"])
        place = scans.groupby(["subject_id", "visit"]).cumcount() + 1
        scans["scan"] = ("scan-" + place.astype("str")).astype("str")
    kept = dict.fromkeys([*_OF_SUBJECTS, *plan.attributes])
    subjects = subjects[["subject_id", *(name for name in kept if name in subjects and name != "subject_id")]]
    return {
        **inputs,
        "subjects": renamed(subjects, tuple(name for name in ("enrolled_on",) if name in subjects), ["subject_id"]),
        "visits": renamed(visits, ("date",), ["subject_id", "visit"]),
        "measurements": measurements.assign(measurement_id=numbers.to_numpy()),
        "scans": scans,
    }


def _codes(people: pd.Index, rng: np.random.Generator) -> NDArray[np.object_]:
    """Codes that begin as no identifier does, so that none can be taken for one."""
    prefix = "S"
    while any(str(name).upper().startswith(prefix) for name in people):
        prefix = f"C{prefix}"
    digits = max(4, len(str(len(people))))
    return np.array([f"{prefix}{number + 1:0{digits}d}" for number in rng.permutation(len(people))], dtype=object)


def _shifts(count: int, rng: np.random.Generator) -> NDArray[np.timedelta64]:
    days = rng.integers(_SHIFT_DAYS[0], _SHIFT_DAYS[1] + 1, count) * rng.choice([-1, 1], count)
    return days.astype("timedelta64[D]").astype("timedelta64[us]")


def _shared_or_coded(
    labels: pd.Series, owners: pd.Series, least: int, prefix: str, keep: tuple[str, ...] | list[str]
) -> dict[str, str]:
    """Label -> itself where at least so many subjects share it, else a code; codes sort as the labels did."""
    labels = labels.astype("object")
    counts = owners.groupby(labels).nunique()
    rare = sorted(str(label) for label in counts.index[counts < least] if label not in keep)
    digits = max(2, len(str(len(rare))))
    taken = set(counts.index) - set(rare)
    while any(name.startswith(prefix) for name in taken):
        prefix = f"{prefix}-"
    coded = {label: f"{prefix}{number:0{digits}d}" for number, label in enumerate(rare, start=1)}
    return {label: coded.get(label, label) for label in counts.index}


# How easily somebody could be found again -----------------------------------------------------------------------------


def risk(inputs: dict[str, Any]) -> dict[str, Any]:
    """How many people share the traits that others may know of them: sex, age, ethnicity, site, what the plan names.

    Ages are taken in bands of ten years. {"subjects", "traits": [names], "smallest_group", "alone" (subjects who share
    their traits with nobody), "below_minimum" (subjects in groups below the plan's minimum cell), "minimum_cell",
    "rare": [{"trait", "subjects"}] (single traits that fewer subjects have), "aged_90_or_more"}. Values are not named:
    the table is for whoever gives the data away, and may travel with them.
    """
    plan: Plan = inputs["plan"]
    subjects = inputs["subjects"]
    traits = pd.DataFrame(index=subjects.index)
    for name in dict.fromkeys(["sex", "age", "ethnicity", "site", *plan.attributes]):
        if name not in subjects or name == "subject_id":
            continue
        column = subjects[name]
        if name == "age":
            column = column.floordiv(_BAND_YEARS)
        elif pd.api.types.is_float_dtype(column) and column.nunique() > plan.minimum_cell:
            continue  # a measured number is no trait that others know
        if column.nunique(dropna=False) < 2:
            continue  # nobody can be told from another by what all share
        traits[name] = column.astype("object").where(column.notna(), "").astype("str")
    sizes = pd.Series(len(subjects), index=subjects.index)
    if len(traits.columns):
        sizes = traits.groupby(list(traits.columns))[traits.columns[0]].transform("size")
    rare = []
    for name in traits.columns:
        counts = traits[name].value_counts()
        few = counts[(counts > 0) & (counts < plan.minimum_cell)]
        if len(few):
            rare.append({"trait": name, "values": len(few), "subjects": int(few.sum())})
    return {
        "subjects": len(subjects),
        "traits": list(traits.columns),
        "minimum_cell": plan.minimum_cell,
        "smallest_group": int(sizes.min()) if len(sizes) else len(subjects),
        "alone": int((sizes == 1).sum()),
        "below_minimum": int((sizes < plan.minimum_cell).sum()),
        "rare": rare,
        "aged_90_or_more": int((subjects["age"] >= _OLD).sum()) if "age" in subjects else 0,
    }
