"""What the index test says of the body beside the plan's measurand, against the tape: girths and lengths of the avatar.

The pairs are of one visit: the first prediction and the first reading of the measurand there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from studies.frames import PREDICTION, READING, Frames
from studies.measurands import MEASURANDS
from studies.plan_model import Plan
from validation.agree import agree


def body_measurements(frames: Frames, plan: Plan, eligible: np.ndarray) -> dict[str, Any]:
    """By measurand {"label", "unit", "method", "reference", "n", "agreement": METHOD}, for each that was both predicted
    and read, the plan's own apart. `reference` is the method that most readings are by.

    Fewer subjects than the plan's minimum cell are hidden. eligible: bool[S].
    """
    data = frames.measurements[eligible[frames.measurements["subject"].to_numpy()]]
    data = data[np.isfinite(data["value"]) & (data["measurand"] != plan.measurand)]
    found = {}
    for name, measurand in MEASURANDS.items():
        rows = data[data["measurand"] == name]
        predicted, read = rows[rows["kind"] == PREDICTION], rows[rows["kind"] == READING]
        if predicted.empty or read.empty:
            continue
        methods = read["method"].value_counts()
        reference = min(methods[methods == methods.max()].index)
        index = predicted["method"].iloc[0]
        table = _pairs(predicted, read[read["method"] == reference])
        described = {"label": measurand.label, "unit": measurand.unit, "method": index, "reference": reference}
        found[name] = {**described, **_agreement(table, plan)}
    return found


def _pairs(predicted: pd.DataFrame, read: pd.DataFrame) -> pd.DataFrame:
    first = [part.drop_duplicates("occasion").set_index("occasion") for part in (predicted, read)]
    both = first[0][["subject", "value"]].join(first[1]["value"].rename("reference"), how="inner")
    return both.rename(columns={"value": "test"}).sort_index().reset_index(drop=True)


def _agreement(table: pd.DataFrame, plan: Plan) -> dict[str, Any]:
    if table.empty:
        return {"n": 0, "reason": "no visit has both"}
    if table["subject"].nunique() < plan.minimum_cell:
        return {"n": None, "suppressed": True, "minimum_cell": plan.minimum_cell}
    made = agree(
        table, reference="reference", tests=["test"], subject="subject", level=plan.level, resamples=plan.resamples,
        seed=plan.seed, within=(1, 2, 5), repeated=plan.repeated or "varying", limits=plan.limits or "exact",
    ).to_dict()  # fmt: skip
    return {"n": len(table), "agreement": made["tests"]["test"]}
