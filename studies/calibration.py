"""Calibration: are the values right wherever they lie, and are predicted uncertainties as wide as the errors are?

One pair a subject, the first: intervals of a regression line take pairs to be independent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from studies.frames import PREDICTION
from studies.plan_model import Plan
from validation.calibration import uncertainty_calibration, value_calibration
from validation.errors import ValidationError

INTERVAL = 0.9
"""The share of true values that the interval of a prediction is meant to hold."""
_BINS = 10


def calibration(
    table: pd.DataFrame, used: pd.DataFrame, scans: pd.DataFrame | None, plan: Plan, tests: list[str]
) -> dict[str, Any]:
    """{"values": {test: CALIBRATION}, "uncertainty": UNCERTAINTY}, as `validation.calibration` gives them.

    table: one row a pair. used: the measurements in the analysis. scans: see `studies.analysis.analyze`, with low and
    high of predictions. Bins hold at least the plan's minimum cell of subjects.
    """
    first = table.drop_duplicates("subject_id")
    values = {}
    for test in tests:
        rows = first[first[test].notna()]
        if len(rows) < plan.minimum_cell:
            values[test] = {"n": None, "suppressed": True, "minimum_cell": plan.minimum_cell} if len(rows) else _none()
            continue
        bins = max(1, min(_BINS, len(rows) // max(plan.minimum_cell, 1)))
        try:
            made = value_calibration(
                rows[test].to_numpy(), rows[plan.reference].to_numpy(), bins=bins, level=plan.level
            )
            values[test] = made.to_dict()
        except ValidationError as error:
            values[test] = {"n": 0, "reason": str(error)}
    return {"values": values, "uncertainty": _uncertainty(first, used, scans, plan, tests[0])}


def _none() -> dict[str, Any]:
    return {"n": 0, "reason": "no pairs"}


def _uncertainty(
    first: pd.DataFrame, used: pd.DataFrame, scans: pd.DataFrame | None, plan: Plan, index: str
) -> dict[str, Any]:
    nothing = {"n": 0, "reason": "the index test gives no interval with its values"}
    if scans is None or scans.empty:
        return nothing
    bounds = scans[np.isfinite(scans["low"]) & np.isfinite(scans["high"]) & (scans["high"] > scans["low"])]
    mine = used[(used["method"] == index) & (used["kind"] == PREDICTION)][["subject_id", "value"]]
    bounds = bounds[["subject_id", "value", "low", "high"]]
    # The value of the pair must be that one prediction, and not a mean of several.
    pairs = first[["subject_id", plan.reference, index]].assign(value=first[index])
    both = mine.drop_duplicates().merge(bounds, on=["subject_id", "value"]).merge(pairs, on=["subject_id", "value"])
    both = both.drop_duplicates("subject_id").sort_values("subject_id")
    if both.empty:
        return nothing
    if len(both) < max(plan.minimum_cell, 3):
        return {"n": None, "suppressed": True, "minimum_cell": max(plan.minimum_cell, 3)}
    sd = (both["high"] - both["low"]).to_numpy() / (2 * float(special.ndtri((1 + INTERVAL) / 2)))
    return uncertainty_calibration(
        both["value"].to_numpy(), sd, both[plan.reference].to_numpy(), level=plan.level
    ).to_dict()
