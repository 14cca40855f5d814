"""Precision of every method, from measurements that were repeated at one visit on one device.

The figures are those of `validation.precision`; here is decided what counts as a replicate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from studies.frames import DERIVED, Frames
from studies.plan_model import Plan
from validation.errors import ValidationError
from validation.precision import corrected_sd, repeatability

NO_REPLICATES = "nothing was measured twice at one visit on one device"


def replicates(frames: Frames, plan: Plan, methods: list[str], eligible: np.ndarray) -> pd.DataFrame:
    """Recorded measurements of the plan's measurand that belong to a set of two or more: same subject, visit, method
    and device. Columns subject (position), method, value, set (number of the set).

    eligible: bool[S], the subjects who count.
    """
    data = frames.measurements
    wanted = (data["measurand"] == plan.measurand) & data["method"].isin(methods) & np.isfinite(data["value"])
    wanted &= (data["kind"] != DERIVED) & eligible[data["subject"].to_numpy()]
    if plan.visits is not None:
        wanted &= frames.visits["visit"].isin(plan.visits).to_numpy()[data["occasion"].to_numpy()]
    rows = data.loc[wanted, ["subject", "occasion", "method", "device", "value"]]
    sets = rows.groupby(["occasion", "method", "device"], dropna=False, sort=True).ngroup()
    rows = rows.assign(set=sets)
    return rows[rows.groupby("set")["value"].transform("size") > 1][["subject", "method", "value", "set"]]


def precision(
    frames: Frames, plan: Plan, methods: list[str], eligible: np.ndarray, tests: dict[str, Any]
) -> dict[str, Any]:
    """Precision of each method: of all, and of women and men apart; and the SD of the differences without the
    reference's own error.

    tests: `results["tests"]`. Returns {"methods": {name: {"All": PRECISION, "F": ..., "M": ...}}, "corrected": {test:
    EST}}; a PRECISION is the fields of `validation.precision.Precision`, with `sets` of replicates of `subjects`
    subjects, or n 0 and a reason, or suppressed where fewer subjects than the plan's minimum cell have replicates.
    """
    rows = replicates(frames, plan, methods, eligible)
    sex = frames.subjects["sex"].to_numpy()
    found: dict[str, dict[str, Any]] = {}
    for method in methods:
        mine = rows[rows["method"] == method]
        found[method] = {"All": _of(mine, plan)}
        for code in ("F", "M"):
            part = mine[sex[mine["subject"].to_numpy()] == code]
            if len(part) and len(part) < len(mine):
                found[method][code] = _of(part, plan)
        if any(item.get("suppressed") for group, item in found[method].items() if group != "All"):
            # What is left of the whole would give the hidden part away.
            found[method] = {"All": found[method]["All"]}
    return {"methods": found, "corrected": _corrected(found.get(plan.reference, {}).get("All", {}), tests, plan)}


def _of(rows: pd.DataFrame, plan: Plan) -> dict[str, Any]:
    subjects = int(rows["subject"].nunique())
    if not subjects:
        return {"n": 0, "reason": NO_REPLICATES}
    if subjects < plan.minimum_cell:
        return {"n": None, "suppressed": True, "minimum_cell": plan.minimum_cell}
    try:
        made = repeatability(rows["value"].to_numpy(), rows["set"].to_numpy(), level=plan.level).to_dict()
    except ValidationError as error:
        return {"n": 0, "reason": str(error)}
    return {**made, "sets": made["subjects"], "subjects": subjects}


def _corrected(reference: dict[str, Any], tests: dict[str, Any], plan: Plan) -> dict[str, Any]:
    if not reference.get("n"):
        return {}
    found = {}
    for name, test in tests.items():
        sd, own = test.get("sd"), reference["within_sd"]["estimate"]
        if sd is None or own is None:
            continue
        try:
            subjects = test.get("subjects") or test["n"]
            found[name] = corrected_sd(sd, subjects, own, reference["df"], level=plan.level).to_dict()
        except ValidationError as error:
            found[name] = {"estimate": None, "low": None, "high": None, "reason": str(error)}
    return found
