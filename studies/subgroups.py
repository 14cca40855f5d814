"""Agreement overall and by subgroup, as the plan asks, with the groups that must not be shown left out.

A group of fewer subjects than the plan's minimum cell is not reported. Where the reader could work out such a group by
subtracting the others from the whole, the smallest further group is not reported either: see `studies.disclosure`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from studies.decisions import levels_of
from studies.disclosure import hidden
from studies.plan_model import Plan
from validation.agree import agree

SECONDARY = "so that the groups below the minimum cell cannot be worked out"


def agreement(table: pd.DataFrame, plan: Plan, tests: Sequence[str]) -> dict[str, Any]:
    """n, reference, tests, comparisons and subgroups of `results`.

    table: one row a pair: subject_id, the reference and the tests (NaN where missing), and one categorical column a
    subgroup. A test without a single value is left out.
    """
    tests = [test for test in tests if table[test].notna().any()]
    names = [subgroup.name for subgroup in plan.subgroups]
    shown = table[["subject_id", plan.reference, *tests, *names]].copy()
    secondary = {name: _secondary(_subjects(table, name), plan.minimum_cell) for name in names}
    for name in names:
        shown[name] = table[name].astype("object").where(~table[name].isin(secondary[name]), None)
    report = agree(
        shown,
        reference=plan.reference,
        tests=tests,
        by=names,
        subject="subject_id",
        level=plan.level,
        resamples=plan.resamples,
        seed=plan.seed,
        limits=plan.limits or "exact",
        repeated=plan.repeated or "varying",
        minimum_cell=plan.minimum_cell,
        decision_levels=levels_of(plan),
        secondary=False,  # seen to above, where labels are left out
    ).to_dict()
    for subgroup in plan.subgroups:
        name = subgroup.name
        found = report["subgroups"].pop(name)
        found["unlabelled"] = int(table[name].isna().sum())
        for group in secondary[name]:
            found["by_group"][group] = {**_hidden(plan), "tests": {test: _hidden(plan) for test in tests}}
        for test in tests:
            _hide_test(found, test, table, name, plan)
        order = [str(group) for group in table[name].cat.categories if str(group) in found["by_group"]]
        by_group = {group: found["by_group"][group] for group in order}
        report["subgroups"][name] = {**found, "label": subgroup.title, "by_group": by_group}
    return report


def _subjects(table: pd.DataFrame, name: str) -> pd.Series:
    """Subjects in each group, in the order of the groups."""
    return table.groupby(name, observed=False)["subject_id"].nunique()


def _secondary(counts: pd.Series, minimum: int) -> list[str]:
    """Groups large enough to be reported, were it not for what they would reveal."""
    mask = hidden(counts.to_numpy()[:, None], minimum)[:, 0] & (counts.to_numpy() >= minimum)
    return [str(group) for group in counts.index[mask]]


def _hidden(plan: Plan) -> dict[str, Any]:
    return {"n": None, "suppressed": True, "minimum_cell": plan.minimum_cell, "reason": SECONDARY}


def _hide_test(found: dict[str, Any], test: str, table: pd.DataFrame, name: str, plan: Plan) -> None:
    """Hide further groups of one test, where fewer subjects of a group have that test than have the others."""
    counts = _subjects(table[table[test].notna()], name)
    for group in _secondary(counts, plan.minimum_cell):
        content = found["by_group"][group]["tests"]
        if content[test].get("suppressed"):
            continue
        content[test] = _hidden(plan)
        for kind in ("difference", "ratio"):
            for metric, gap in found[kind][test].items():
                if group in (gap.get("high_group"), gap.get("low_group")):
                    empty = {"estimate": None, "low": None, "high": None, "reason": SECONDARY}
                    found[kind][test][metric] = {**empty, "high_group": None, "low_group": None}


def small_groups(table: pd.DataFrame, name: str, minimum: int) -> tuple[list[str], list[str]]:
    """Groups with too few subjects, and groups left out with them."""
    counts = _subjects(table, name)
    few = (counts > 0) & (counts < minimum)
    return [str(group) for group in counts.index[few.to_numpy()]], _secondary(counts, minimum)
