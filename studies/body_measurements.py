"""What the index test says of the body beside the plan's measurand, against the tape: girths and lengths of the avatar.

The pairs are of one visit: the first prediction and the first reading of the measurand there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from studies.frames import PREDICTION, READING, Frames
from studies.measurands import MEASURANDS
from studies.plan_model import Plan
from validation.agree import agree


@dataclass(frozen=True)
class Taped:
    """One measurand beside the plan's that was both predicted and read. described: label, unit, method, reference.

    table: one row a visit with both: subject and occasion (positions), test (the prediction), reference.
    """

    described: dict[str, str]
    table: pd.DataFrame


def taped(frames: Frames, plan: Plan, eligible: np.ndarray) -> dict[str, Taped]:
    """By measurand, in the order of `MEASURANDS`, each that was both predicted and read, the plan's own apart.

    The reference is the method that most readings are by. eligible: bool[S].
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
        described = {"label": measurand.label, "unit": measurand.unit, "method": index, "reference": reference}
        found[name] = Taped(described, _pairs(predicted, read[read["method"] == reference]))
    return found


def body_measurements(found: Mapping[str, Taped], plan: Plan) -> dict[str, Any]:
    """By measurand {"label", "unit", "method", "reference", "n", "agreement": METHOD}, of what `taped` found.

    Fewer subjects than the plan's minimum cell are hidden.
    """
    return {name: {**item.described, **_agreement(item.table, plan)} for name, item in found.items()}


def body_pairs(found: Mapping[str, Taped], frames: Frames, groups: Mapping[str, pd.Categorical]) -> pd.DataFrame:
    """The pairs of all measurands that `taped` found, below each other, in the shape of `StudyAnalysis.pairs`.

    groups: name of a subgroup -> label at every visit.
    """
    parts = []
    for name, item in found.items():
        occasion = item.table["occasion"].to_numpy()
        part = frames.visits.loc[occasion, ["subject_id", "visit"]].reset_index(drop=True)
        part["measurand"], part["method"] = name, item.described["method"]
        for column in ("reference", "test"):
            part[column] = item.table[column].to_numpy()
        part["difference"] = part["test"] - part["reference"]
        part["mean"] = (part["test"] + part["reference"]) / 2
        for group, labels in groups.items():
            part[group] = pd.Series(labels[occasion]).astype("object").astype("str")
        parts.append(part)
    if not parts:
        columns = ["subject_id", "visit", "measurand", "method", "reference", "test", "difference", "mean", *groups]
        return pd.DataFrame(columns=columns).astype({"subject_id": "str", "method": "str"})
    return pd.concat(parts, ignore_index=True).astype({"measurand": "str", "method": "str"})


def _pairs(predicted: pd.DataFrame, read: pd.DataFrame) -> pd.DataFrame:
    first = [part.drop_duplicates("occasion").set_index("occasion") for part in (predicted, read)]
    both = first[0][["subject", "value"]].join(first[1]["value"].rename("reference"), how="inner")
    return both.rename(columns={"value": "test"}).sort_index().reset_index()


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
