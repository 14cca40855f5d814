"""Would the conclusion stand if the analysis had been done a little otherwise?

Each scenario changes one choice of the plan and computes the main figures of the index test anew. Scans of which no
value could be made are counted as failures in one of them, so that a method is not praised for the people it refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from studies.derived import Derived
from studies.frames import Frames
from studies.pairing import eligible_subjects, pair_frames
from studies.plan_model import Pairing, Plan
from validation.accuracy import error_measures
from validation.agreement import bland_altman
from validation.concordance import ccc, ccc_repeated
from validation.errors import ValidationError
from validation.proportions import wilson
from validation.results import Estimate, attempt

FAR = 3.0
"""A difference further than so many robust standard deviations from the median counts as outlying."""
_MAD = 1.482602218505602  # makes the median absolute deviation of normal values their standard deviation
_REPLICATES = {"first": "the first of several", "mean": "the mean of several", "nearest": "the one nearest in time"}


@dataclass(frozen=True)
class Scenario:
    """One other way: its key, what is done otherwise in words, and the pairs that it gives."""

    name: str
    label: str
    table: Callable[[], pd.DataFrame]


def sensitivity(
    frames: Frames, plan: Plan, tests: list[str], derived: Derived, table: pd.DataFrame, used: pd.DataFrame,
    scans: pd.DataFrame | None, tested: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """{"planned": FIGURES, "scenarios": [{"name", "label", FIGURES...}], "failures": FAILURES}.

    FIGURES: n, subjects, bias, sd, lower, upper, mae, rmse, ccc; or n null and suppressed, or n 0 with a reason.
    A scenario that gives the very pairs of the plan says so in `same`. FAILURES: see `_failures`.
    table: one row a pair by the plan. used: measurements in the analysis. tested: `results["tests"]`, of which the
    planned figures are.
    """
    index = tests[0]
    planned = _planned(tested.get(index) or {}, plan)
    found = []
    for scenario in _scenarios(frames, plan, tests, derived, table, used):
        other = scenario.table()
        same = len(other) == len(table) and _same(other, table, plan, index)
        figures = planned if same else _figures(other, plan, index)
        found.append({"name": scenario.name, "label": scenario.label, "same": same, **figures})
    return {"planned": planned, "scenarios": found, "failures": _failures(frames, plan, table, index, scans)}


def _scenarios(
    frames: Frames, plan: Plan, tests: list[str], derived: Derived, table: pd.DataFrame, used: pd.DataFrame
) -> list[Scenario]:
    index = tests[0]

    def again(**changes: Any) -> Callable[[], pd.DataFrame]:
        other = plan.model_copy(update=changes)
        return lambda: pair_frames(frames, other, tests[:1], derived).table

    found = [
        Scenario("outliers", f"without differences beyond {FAR:g} robust SD", lambda: _without_far(table, plan, index))
    ]
    for days, label in _windows(plan, used):
        pairing = Pairing(match=plan.pairing.match, window_days=days, replicates=plan.pairing.replicates)
        found.append(Scenario(f"window_{label.replace(' ', '_')}", f"pairs {label}", again(pairing=pairing)))
    if _has_replicates(frames, plan, [plan.reference, index]):
        for rule, words in _REPLICATES.items():
            if rule != plan.pairing.replicates:
                pairing = plan.pairing.model_copy(update={"replicates": rule})
                found.append(Scenario(f"replicates_{rule}", f"{words} measurements", again(pairing=pairing)))
    if plan.eligibility:
        found.append(Scenario("eligibility", "everybody, whatever the rules of eligibility", again(eligibility=[])))
    flagged = _flagged(used, plan, index)
    if flagged:
        found.append(
            Scenario("flags", "without subjects that have a flagged measurement",
                     lambda: table[~table["subject_id"].isin(flagged)])
        )  # fmt: skip
    if table["subject_id"].duplicated().any():
        found.append(
            Scenario("first_pair", "the first pair of each subject", lambda: table.drop_duplicates("subject_id"))
        )
    return found


def _windows(plan: Plan, used: pd.DataFrame) -> list[tuple[float, str]]:
    """Half and double the plan's window; where it has none and times are known, a day."""
    days = plan.pairing.window_days
    if days is None:
        return [(1.0, "within 1 day")] if used["time"].notna().any() else []
    if days == 0:
        return [(1.0, "within 1 day")]
    return [(days / 2, _within(days / 2)), (days * 2, _within(days * 2))]


def _within(days: float) -> str:
    return f"within {days:g} {'day' if days == 1 else 'days'}"


def _has_replicates(frames: Frames, plan: Plan, methods: list[str]) -> bool:
    data = frames.measurements
    rows = data[(data["measurand"] == plan.measurand) & data["method"].isin(methods) & np.isfinite(data["value"])]
    return bool(rows.duplicated(["occasion", "method"]).any())


def _flagged(used: pd.DataFrame, plan: Plan, index: str) -> set[str]:
    flags = used["flags"].astype("object")
    mine = used["method"].isin([plan.reference, index]) & flags.notna() & (flags != "")
    return set(used.loc[mine, "subject_id"])


def _without_far(table: pd.DataFrame, plan: Plan, index: str) -> pd.DataFrame:
    difference = (table[index] - table[plan.reference]).to_numpy()
    if not len(difference):
        return table
    off = np.abs(difference - np.median(difference))
    spread = _MAD * float(np.median(off))
    return table if spread == 0 else table[off <= FAR * spread]


def _same(other: pd.DataFrame, table: pd.DataFrame, plan: Plan, index: str) -> bool:
    columns = ["subject_id", "visit", plan.reference, index]
    return other[columns].reset_index(drop=True).equals(table[columns].reset_index(drop=True))


def _figures(table: pd.DataFrame, plan: Plan, index: str) -> dict[str, Any]:
    rows = table[table[index].notna()]
    subjects = int(rows["subject_id"].nunique())
    if not subjects:
        return {"n": 0, "reason": "no pairs"}
    if subjects < plan.minimum_cell:
        return {"n": None, "suppressed": True, "minimum_cell": plan.minimum_cell}
    test, reference = rows[index].to_numpy(), rows[plan.reference].to_numpy()
    owners = rows["subject_id"].to_numpy() if subjects < len(rows) else None
    try:
        agreement = bland_altman(
            test, reference, level=plan.level, subject=owners, repeated=plan.repeated or "varying",
            limits_interval="exact" if plan.limits in (None, "nonparametric") else plan.limits,
            resamples=plan.resamples, seed=plan.seed,
        )  # fmt: skip
        errors = error_measures(
            test, reference, subject=owners, level=plan.level, resamples=plan.resamples, seed=plan.seed
        )
    except ValidationError as error:
        return {"n": 0, "reason": str(error)}

    def concordance() -> Estimate:
        if owners is None:
            return ccc(test, reference, level=plan.level)
        return ccc_repeated(
            test, reference, subject=owners, interval="jackknife", level=plan.level, resamples=plan.resamples
        )

    return {
        "n": len(rows),
        "subjects": subjects,
        "bias": agreement.bias.to_dict(),
        "sd": agreement.sd,
        "lower": agreement.limits.lower.to_dict(),
        "upper": agreement.limits.upper.to_dict(),
        "mae": errors.mae.to_dict(),
        "rmse": errors.rmse.to_dict(),
        "ccc": attempt(concordance, level=plan.level).to_dict(),
    }


def _planned(result: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """The figures of the analysis itself: computed once, the same everywhere."""
    if not result.get("n"):
        return {"n": 0, "reason": "no pairs"}
    subjects = result.get("subjects") or result["n"]
    if subjects < plan.minimum_cell:
        return {"n": None, "suppressed": True, "minimum_cell": plan.minimum_cell}
    figures = {key: result[key] for key in ("bias", "sd", "mae", "rmse", "ccc")}
    limits = {key: result["limits"][key] for key in ("lower", "upper")}
    return {"n": result["n"], "subjects": subjects, **figures, **limits}


def _failures(
    frames: Frames, plan: Plan, table: pd.DataFrame, index: str, scans: pd.DataFrame | None
) -> dict[str, Any]:
    """Subjects who have a reference measurement and were scanned, but of whom no scan gave a value: counted as beyond
    every tolerance. {"scans", "indeterminate", "unreachable", "failures", "n", "within": {k: EST}, "reasons"}.

    Subjects are counted, one each: with the first pair, or without any. Where no scan is known, n is 0 with a reason.
    """
    if scans is None or scans.empty or scans["status"].isna().all():
        return {"n": 0, "reason": "no run has looked at a scan of this study"}
    status = scans["status"].value_counts()
    counts = {name: int(status.get(name, 0)) for name in ("determinate", "indeterminate", "unreachable")}
    eligible = set(frames.subjects.loc[eligible_subjects(frames, plan), "subject_id"])
    data = frames.measurements
    mine = (data["measurand"] == plan.measurand) & (data["method"] == plan.reference) & np.isfinite(data["value"])
    measured = set(data.loc[mine, "subject_id"]) & eligible
    looked = scans[scans["status"] == "indeterminate"]
    if plan.visits is not None:
        looked = looked[looked["visit"].isin(plan.visits)]
    failed = (set(looked["subject_id"]) & measured) - set(table["subject_id"])
    reasons = looked["reason"].value_counts()
    told = [{"reason": str(reason), "n": int(n)} for reason, n in sorted(reasons.items(), key=lambda i: (-i[1], i[0]))]
    first = table.drop_duplicates("subject_id")
    error = np.abs((first[index] - first[plan.reference]).to_numpy())
    n = len(first) + len(failed)
    out = {"scans": len(scans), **counts, "failures": len(failed), "reasons": told}
    if n == 0:
        return {**out, "n": 0, "reason": "nobody has both a scan and a reference measurement"}
    if n < plan.minimum_cell:
        return {**out, "n": None, "suppressed": True, "minimum_cell": plan.minimum_cell}
    within = {
        f"{k:g}": wilson(int((error <= k).sum()), n, level=plan.level).map(lambda share: 100 * share).to_dict()
        for k in (3, 5)
    }
    return {**out, "n": n, "within": within}
