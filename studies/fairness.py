"""Is the index test as good for everyone? Tests of equality between the plan's groups, beside each group's figures.

All of the statistics are of `validation.fairness`; groups that the results do not show take no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from studies.plan_model import Plan
from validation.fairness import adjust_tests, detectable_gaps, equality_tests, group_verdict, pooled_intervals
from validation.results import Estimate

MOST_PERMUTED = 20_000
"""Above so many subjects labels are not permuted: the tests of bias and spread tell any difference that matters."""
METRICS = ("mae", "bias")


@dataclass(frozen=True)
class Part:
    """A division of the pairs into groups. labels: the group of every row of the table, missing where there is none.

    by_group: what is shown of each group, as of `results["subgroups"]`.
    """

    name: str
    label: str
    labels: pd.Series
    by_group: dict[str, Any]


def fairness(table: pd.DataFrame, plan: Plan, index: str, subgroups: dict[str, Any]) -> dict[str, Any]:
    """`equality` by subgroup of the plan. subgroups: `results["subgroups"]`."""
    parts = [
        Part(item.name, item.title, table[item.name].astype("object"), subgroups.get(item.name, {}).get("by_group", {}))
        for item in plan.subgroups
    ]
    return equality(parts, table, plan, index)


def equality(parts: Sequence[Part], table: pd.DataFrame, plan: Plan, index: str) -> dict[str, Any]:
    """By part {"label", "tests", "left_out", "worst", "pooled", "detectable", "verdicts"}.

    table: one row a pair. tests: name -> {"p_value", "p_adjusted" (Holm, over all tests of all parts), "statistic",
    "df1", "df2", "groups"}. worst: the group whose metric is worst. pooled: the groups' values drawn to their mean as
    far as their noise warrants. detectable: the smallest difference of bias from all others that a group's numbers
    could find. verdicts: against the plan's margin of the bias and its criterion on the mean absolute error of all.
    """
    found: dict[str, Any] = {}
    made: list[tuple[Part, str, Any]] = []
    for division in parts:
        shown = {
            group: content["tests"][index]
            for group, content in division.by_group.items()
            if not content.get("suppressed") and not content["tests"].get(index, {}).get("suppressed")
            and content["tests"].get(index, {}).get("n")
        }  # fmt: skip
        labels = division.labels
        rows = labels.isin(list(shown)).to_numpy() & table[index].notna().to_numpy()
        part: dict[str, Any] = {"label": division.label, "tests": {}, "left_out": {}}
        if len(shown) > 1:
            tests, part["left_out"] = _tests(table[rows], labels[rows], plan, index, division.name)
            made += [(division, name, item) for name, item in tests.items()]
        else:
            part["left_out"] = {"all tests": "a comparison needs two groups of sufficient size"}
        part["worst"] = {metric: _worst(shown, metric) for metric in METRICS}
        part["pooled"] = {metric: pool for metric in METRICS if (pool := _pooled(shown, metric, plan)) is not None}
        part["detectable"] = _detectable(table[rows], labels[rows], plan, index) if len(shown) > 1 else {}
        part["verdicts"] = _verdicts(shown, plan)
        found[division.name] = part
    adjusted = adjust_tests([item for _, _, item in made])
    for (division, test, _), item in zip(made, adjusted, strict=True):
        told = item.to_dict()
        told["groups"] = [group for group in division.by_group if group in told["groups"]]
        found[division.name]["tests"][test] = {
            key: told[key] for key in ("statistic", "df1", "df2", "p_value", "p_adjusted", "groups")
        }
    return found


def _tests(rows: pd.DataFrame, labels: pd.Series, plan: Plan, index: str, name: str) -> tuple[dict, dict]:
    subject = rows["subject_id"].to_numpy()
    permuted = None
    if rows["subject_id"].nunique() > MOST_PERMUTED:
        from validation.errors import NotEnoughData

        def permuted() -> Any:
            raise NotEnoughData(f"not made above {MOST_PERMUTED:,} subjects")

    return equality_tests(
        rows[index].to_numpy(), rows[plan.reference].to_numpy(), pd.Series(list(labels), name=name, dtype=object),
        covariates=None, subject=subject, minimum_cell=plan.minimum_cell, level=plan.level, resamples=plan.resamples,
        seed=plan.seed, permuted=permuted,
    )  # fmt: skip


def _worst(shown: dict[str, Any], metric: str) -> str | None:
    sizes = {group: (item.get(metric) or {}).get("estimate") for group, item in shown.items()}
    sizes = {group: abs(value) for group, value in sizes.items() if value is not None}
    return max(sizes, key=sizes.__getitem__) if len(sizes) > 1 else None


def _pooled(shown: dict[str, Any], metric: str, plan: Plan) -> dict[str, Any] | None:
    from validation.errors import ValidationError

    estimates = {group: _estimate(item.get(metric), plan) for group, item in shown.items()}
    try:
        return pooled_intervals(estimates, level=plan.level).to_dict()
    except ValidationError:
        return None


def _estimate(item: dict[str, Any] | None, plan: Plan) -> Estimate:
    item = item or {}
    return Estimate(item.get("estimate"), item.get("low"), item.get("high"), plan.level, reason=item.get("reason"))


def _detectable(rows: pd.DataFrame, labels: pd.Series, plan: Plan, index: str) -> dict[str, float]:
    difference = (rows[index] - rows[plan.reference]).groupby([labels, rows["subject_id"]]).mean()
    groups = difference.groupby(level=0)
    moments = {
        str(group): (float(part.mean()), float(part.std(ddof=1)) if len(part) > 1 else np.nan, len(part))
        for group, part in groups
    }
    return detectable_gaps(moments)


def _verdicts(shown: dict[str, Any], plan: Plan) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    margin = plan.margins.get("bias")
    if margin is not None:
        verdicts = {g: group_verdict(_estimate(item.get("bias"), plan), within=margin) for g, item in shown.items()}
        found["bias"] = {"margin": margin, "groups": verdicts}
    limits = [item.at_most for item in plan.criteria if item.metric == "mae" and item.group is None and item.at_most]
    if limits:
        verdicts = {g: group_verdict(_estimate(item.get("mae"), plan), at_most=limits[0]) for g, item in shown.items()}
        found["mae"] = {"margin": limits[0], "groups": verdicts}
    return found
