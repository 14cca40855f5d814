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
    """The inputs of results de-identified: of an analysis (`studies.registry.analysis.study_inputs`), of drift, or of a
    comparison of runs.

    Each call deals other codes and shifts. The counts, the texts about the study and the hashes of the data stay those
    of the data as they were. Every table with subjects is treated alike.
    """
    plan: Plan = inputs["plan"]
    tables = {name: item for name, item in inputs.items() if isinstance(item, pd.DataFrame)}
    people = pd.Index(tables["subjects"]["subject_id"].astype("object"))
    rng = np.random.default_rng(secrets.randbits(256))
    codes = _codes(people, rng)
    shifts = _shifts(len(people), rng)
    visits = tables["visits"]
    used = [frame[["device", "subject_id"]] for frame in tables.values() if "device" in frame]
    of_device = pd.concat(used, ignore_index=True)
    least = plan.minimum_cell
    known = {
        "visit": _shared_or_coded(visits["visit"], visits["subject_id"], least, "visit-", keep=plan.visits or ()),
        "device": _shared_or_coded(of_device["device"], of_device["subject_id"], least, "device-", keep=("",)),
    }

    def renamed(frame: pd.DataFrame, order: list[str]) -> pd.DataFrame:
        place = people.get_indexer(frame["subject_id"].astype("object"))
        columns: dict[str, Any] = {"subject_id": pd.array(codes[place], dtype="str")}
        for name in frame:
            if pd.api.types.is_datetime64_any_dtype(frame[name].dtype):
                columns[name] = frame[name] + pd.Series(shifts[place], index=frame.index)
        for name, labels in known.items():
            if name in frame:
                columns[name] = frame[name].astype("object").map(labels).astype("str")
        return frame.assign(**columns).sort_values(order, kind="stable", ignore_index=True)

    made: dict[str, Any] = {}
    for name, frame in tables.items():
        if name == "subjects":
            kept = dict.fromkeys([*_OF_SUBJECTS, *plan.attributes])
            columns = ["subject_id", *(column for column in kept if column in frame and column != "subject_id")]
            made[name] = renamed(frame[columns], ["subject_id"])
        elif name == "measurements":
            # Within a visit the numbers of measurements rise as before, for they are the last to break a tie.
            frame = renamed(frame.sort_values("measurement_id"), ["kind", "subject_id", "visit"])
            made[name] = frame.assign(measurement_id=frame.groupby("kind").cumcount().to_numpy() + 1)
        else:
            frame = renamed(frame, ["subject_id", "visit", *(["scan"] if "scan" in frame else [])])
            if "scan" in frame:
                number = frame.groupby(["subject_id", "visit"]).cumcount() + 1
                frame["scan"] = ("scan-" + number.astype("str")).astype("str")
            made[name] = frame
    return {**inputs, **made}


def recoded(tables: dict[str, pd.DataFrame], minimum: int) -> dict[str, pd.DataFrame]:
    """Tables of counts, which hold no values and no dates, with codes for subjects, and for visits that few share."""
    people = pd.Index(tables["subjects"]["subject_id"].astype("object"))
    codes = _codes(people, np.random.default_rng(secrets.randbits(256)))
    visited = [frame[["visit", "subject_id"]] for frame in tables.values() if "visit" in frame]
    visits = pd.concat(visited, ignore_index=True)
    labels = _shared_or_coded(visits["visit"], visits["subject_id"], minimum, "visit-", keep=())
    made = {}
    for name, frame in tables.items():
        code = codes[people.get_indexer(frame["subject_id"].astype("object"))]
        columns: dict[str, Any] = {"subject_id": pd.array(code, dtype="str")}
        if "visit" in frame:
            columns["visit"] = frame["visit"].astype("object").map(labels).astype("str")
        made[name] = frame.assign(**columns).sort_values(list(frame.columns), kind="stable", ignore_index=True)
    return made


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

    inputs: those of any kind of report; where they hold no subject, there is nothing to find.
    Ages are taken in bands of ten years. {"subjects", "traits": [names], "smallest_group", "alone" (subjects who share
    their traits with nobody), "below_minimum" (subjects in groups below the plan's minimum cell), "minimum_cell",
    "rare": [{"trait", "subjects"}] (single traits that fewer subjects have), "aged_90_or_more"}. Values are not named:
    the table is for whoever gives the data away, and may travel with them.
    """
    plan: Plan | None = inputs.get("plan")
    least: int = plan.minimum_cell if plan else inputs.get("minimum_cell", 1)
    subjects = inputs.get("subjects", pd.DataFrame({"subject_id": []}))
    traits = pd.DataFrame(index=subjects.index)
    for name in dict.fromkeys(["sex", "age", "ethnicity", "site", *(plan.attributes if plan else ())]):
        if name not in subjects or name == "subject_id":
            continue
        column = subjects[name]
        if name == "age":
            column = column.floordiv(_BAND_YEARS)
        elif pd.api.types.is_float_dtype(column) and column.nunique() > least:
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
        few = counts[(counts > 0) & (counts < least)]
        if len(few):
            rare.append({"trait": name, "values": len(few), "subjects": int(few.sum())})
    return {
        "subjects": len(subjects),
        "traits": list(traits.columns),
        "minimum_cell": least,
        "smallest_group": int(sizes.min()) if len(sizes) else len(subjects),
        "alone": int((sizes == 1).sum()),
        "below_minimum": int((sizes < least).sum()),
        "rare": rare,
        "aged_90_or_more": int((subjects["age"] >= _OLD).sum()) if "age" in subjects else 0,
    }
