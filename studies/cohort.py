"""Who was analysed: the table of baseline characteristics, overall and by sex, with small cells hidden.

Every analysed subject counts once, at the visit of its first pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from studies.disclosure import hidden
from studies.frames import Frames, at_visits, measured, plain_text
from studies.measurands import MEASURANDS
from studies.plan_model import Plan, Subgroup

NOT_RECORDED = "Not recorded"
ALL = "All"
EXTREMES = 10
"""The lowest and the highest value are shown where every group has at least so many times the minimum cell."""

_MEASURED = ("stature_cm", "weight_kg", "bmi", "waist_cm")
_AGE_BAND = Subgroup(name="age_band", label="Age (years)", attribute="age", cut_points=[18, 40, 60])
_BMI_CLASS = Subgroup(
    name="bmi_class",
    label="BMI class (WHO)",
    measurand="bmi",
    cut_points=[18.5, 25, 30],
    labels=["Underweight", "Normal weight", "Overweight", "Obesity"],
)


def groups_of(frames: Frames, subgroup: Subgroup, plan: Plan) -> pd.Categorical:
    """The group of every visit (length V; missing where the value is), categories in the order of the report.

    Classes come in the order of the cut points. Mapped values come in the plan's order, then values that the plan does
    not map, under their own names in alphabetical order.
    """
    return classed(at_visits(frames, subgroup, plan.reference, plan.measurand), subgroup)


def classed(values: pd.Series, subgroup: Subgroup) -> pd.Categorical:
    """The groups that values belong to by a subgroup's cut points or labels."""
    if subgroup.cut_points is not None:
        names = subgroup.groups or []
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
        # A BMI of exactly 25 may come out of its division as 24.999999999999996, and belongs to the upper class.
        numbers = np.round(numbers, 9)
        codes = np.where(np.isnan(numbers), -1, np.searchsorted(subgroup.cut_points, numbers, side="right"))
        return pd.Categorical.from_codes(codes, categories=names)
    text = values.astype("object").map(plain_text, na_action="ignore")
    mapping = subgroup.labels if isinstance(subgroup.labels, dict) else {}
    labels = text.map(lambda value: mapping.get(value, value), na_action="ignore")
    others = sorted(set(labels.dropna()) - set(mapping.values()))
    return pd.Categorical(labels, categories=[*dict.fromkeys(mapping.values()), *others])


def cohort(frames: Frames, plan: Plan, pairs: pd.DataFrame) -> dict[str, Any]:
    """The table of characteristics of the analysed subjects, as plain dicts.

    pairs: subject_id, occasion (position of the visit) and the reference's values; one row a pair, in order.
    """
    first = pairs.drop_duplicates("subject_id")
    visit = first["occasion"].to_numpy()
    sex = pd.Series(frames.subjects["sex"].to_numpy()[frames.visits["subject"].to_numpy()[visit]])
    present = [code for code in ("F", "M") if (sex == code).any()]
    members = {ALL: np.ones(len(first), dtype=bool), **{code: (sex == code).to_numpy() for code in present}}
    counts = np.array([mask.sum() for mask in members.values()])
    small = hidden(counts, plan.minimum_cell, totals_known=False)[0]
    rows = [_continuous("Age", "years", frames.visits["age"].to_numpy()[visit], members, small, plan.minimum_cell)]
    for name in _MEASURED:
        values = measured(frames, name)[visit]
        if np.isfinite(values).any():
            measurand = MEASURANDS[name]
            label = measurand.label.capitalize()
            rows.append(_continuous(label, measurand.unit, values, members, small, plan.minimum_cell))
    outcome = MEASURANDS[plan.measurand]
    values = first[plan.reference].to_numpy()
    label = f"{outcome.label.capitalize()} ({plan.reference})"
    rows.append(_continuous(label, outcome.unit, values, members, small, plan.minimum_cell))
    for subgroup in _characteristics(frames, plan):
        labels = groups_of(frames, subgroup, plan)[visit]
        if subgroup.source == "sex" or not labels.isna().all():
            rows.append(_categorical(subgroup.title, labels, members, small, plan.minimum_cell))
    return {"n": len(first), "groups": list(members), "rows": rows}


def _characteristics(frames: Frames, plan: Plan) -> list[Subgroup]:
    """Sex, site, ethnicity, age and BMI classes (as the plan defines them, where it does), then its other subgroups."""
    usual = [
        Subgroup(name=name, attribute=name)
        for name in ("sex", "site", "ethnicity")
        if name == "sex" or (name in frames.subjects and frames.subjects[name].nunique() > 1)
    ]
    usual += [_AGE_BAND, _BMI_CLASS]
    planned = {subgroup.source: subgroup for subgroup in reversed(plan.subgroups)}
    chosen = [planned.get(subgroup.source, subgroup) for subgroup in usual]
    return [*chosen, *(subgroup for subgroup in plan.subgroups if subgroup not in chosen)]


def _continuous(
    label: str, unit: str, values: np.ndarray, members: dict[str, np.ndarray], small: np.ndarray, minimum: int
) -> dict[str, Any]:
    finite = np.isfinite(values)
    counts = np.array([(mask & finite).sum() for mask in members.values()])
    hide = hidden(counts, minimum, totals_known=False)[0] | small
    # The lowest and the highest value are each one person's own, and those of all are those of a group.
    extremes = bool((counts[counts > 0] >= EXTREMES * minimum).all()) or minimum == 1
    cells = {
        group: {"n": None, "suppressed": True} if hide[column] else _summary(values[mask & finite], extremes=extremes)
        for column, (group, mask) in enumerate(members.items())
    }
    return {"characteristic": label, "unit": unit, "kind": "continuous", "values": cells}


def _summary(values: np.ndarray, *, extremes: bool) -> dict[str, Any]:
    """`extremes`: show the lowest and the highest value."""
    if not len(values):
        return {"n": 0, **dict.fromkeys(("mean", "sd", "min", "max", "median", "q1", "q3"))}
    q1, median, q3 = np.percentile(values, [25, 50, 75])
    return {
        "n": len(values),
        "mean": float(values.mean()),
        "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
        "min": float(values.min()) if extremes else None,
        "max": float(values.max()) if extremes else None,
        "median": float(median),
        "q1": float(q1),
        "q3": float(q3),
    }


def _categorical(
    label: str, labels: pd.Categorical, members: dict[str, np.ndarray], small: np.ndarray, minimum: int
) -> dict[str, Any]:
    names = [str(name) for name in labels.categories]
    counts = np.array([[(labels.codes[mask] == code).sum() for mask in members.values()] for code in range(len(names))])
    counts = counts.reshape(len(names), len(members))
    hide = np.broadcast_to(small, counts.shape).copy()
    if not small.all():
        hide[:, ~small] = hidden(counts[:, ~small], minimum)
    # That something was not recorded is no characteristic of anybody, so its count is always shown.
    unknown = np.array([[(labels.codes[mask] < 0).sum() for mask in members.values()]])
    names, counts = [*names, NOT_RECORDED], np.vstack([counts, unknown])
    hide = np.vstack([hide, small[None, :]])
    totals = counts.sum(axis=0)
    levels = [
        {
            "level": name,
            "values": {
                group: {"n": None, "percent": None, "suppressed": True}
                if hide[row, column]
                else {"n": int(counts[row, column]), "percent": float(100 * counts[row, column] / totals[column])}
                for column, group in enumerate(members)
            },
        }
        for row, name in enumerate(names)
        if counts[row, 0] > 0
    ]
    return {"characteristic": label, "kind": "categorical", "levels": levels}
