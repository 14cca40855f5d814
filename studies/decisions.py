"""What a method means where somebody decides something: its bias at decision levels, and 2 x 2 tables at cut-offs.

Levels and cut-offs are the plan's. There is no default: for body fat no value is agreed on. 25 % in men and 35 % in
women are often called the World Health Organization's, which never set any (Snitker S. Mayo Clin Proc 2010;85:1057,
PMC2966372; Ho-Pham LT et al. Mayo Clin Proc 2011;86:584, PMC3104919), so that a study says itself what it decides by.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from studies.plan_model import CutOff, DecisionLevel, Plan
from validation.accuracy import key
from validation.classification import two_by_two
from validation.errors import ValidationError
from validation.proportions import wilson
from validation.results import Estimate

RATES = ("sensitivity", "specificity", "positive_predictive_value", "negative_predictive_value", "accuracy")
"""Rates of a 2 x 2 table, given as percentages."""


def levels_of(plan: Plan) -> list[float]:
    """The values of the reference at which the plan asks for the bias: its decision levels and its cut-offs."""
    return list(dict.fromkeys(item.value for item in (*(plan.decision_levels or []), *(plan.cut_offs or []))))


def bias_at_levels(table: pd.DataFrame, plan: Plan, results: dict[str, Any]) -> list[dict[str, Any]]:
    """The bias of every test at every decision level and cut-off of the plan.

    [{"name", "value", "group", "beyond", "tests": {test: {"n", "deming", "passing_bablok"}}}]: biases read off the
    two lines of `results` (see `validation.agree`), whose `bias_at` is taken out of there. beyond: "below" or "above"
    where nobody's reference value lies on the level's other side, so that the line is only continued; else None.
    table: one row a pair.
    """
    asked: dict[tuple[float, str | None], DecisionLevel | CutOff] = {}
    for item in (*(plan.decision_levels or []), *(plan.cut_offs or [])):
        asked.setdefault((item.value, item.group), item)
    found = []
    for item in asked.values():
        tests = {}
        for test, result in _tests_of(results, item.group).items():
            at = (result.get("bias_at") or {}).get(key(item.value))
            tests[test] = _hidden(result) if at is None else {"n": result["n"], **at}
        shown = any(not test.get("suppressed") for test in tests.values())
        values = table.loc[_members(table, item.group), plan.reference]
        beyond = None
        if shown and len(values):
            beyond = "below" if item.value < values.min() else "above" if item.value > values.max() else None
        found.append({"name": item.name, "value": item.value, "group": item.group, "beyond": beyond, "tests": tests})
    for part in (results, *(group for sub in results["subgroups"].values() for group in sub["by_group"].values())):
        for result in part["tests"].values():
            result.pop("bias_at", None)
    return found


def cut_offs(table: pd.DataFrame, plan: Plan, tests: list[str], results: dict[str, Any]) -> list[dict[str, Any]]:
    """2 x 2 tables of every test at every cut-off of the plan, one pair a subject (the first).

    [{"name", "value", "index_value", "group", "tests": {test: {"n", "positives" (by the reference), "prevalence",
    counts and rates as of `validation.classification.TwoByTwo`}}}]. Rates and prevalence are percentages. Positive is
    whoever has the cut-off or more; the index test's own cut-off is for it alone. A group that is not shown is hidden.
    """
    return [_cut_off(item, table, plan, tests, results) for item in plan.cut_offs or []]


def _cut_off(
    item: CutOff, table: pd.DataFrame, plan: Plan, tests: list[str], results: dict[str, Any]
) -> dict[str, Any]:
    shown = _tests_of(results, item.group)
    members = table[_members(table, item.group)]
    made: dict[str, Any] = {}
    for test in tests:
        result = shown.get(test)
        if result is not None and result.get("suppressed"):
            made[test] = _hidden(result)
            continue
        rows = members[members[test].notna()].drop_duplicates("subject_id")
        own = item.value if item.index_value is None or test != tests[0] else item.index_value
        truth = rows[plan.reference].to_numpy() >= item.value
        try:
            counted = two_by_two(rows[test].to_numpy() >= own, truth, level=plan.level)
        except ValidationError as error:
            made[test] = {"n": 0, "reason": str(error)}
            continue
        rates = {name: _percent(getattr(counted, name)) for name in RATES}
        prevalence = _percent(wilson(int(truth.sum()), len(truth), level=plan.level))
        made[test] = {
            "n": len(rows), "positives": int(truth.sum()), "prevalence": prevalence, **counted.to_dict(), **rates,
        }  # fmt: skip
    about = {"name": item.name, "value": item.value, "index_value": item.index_value, "group": item.group}
    return {**about, "tests": made}


def _percent(rate: Estimate) -> dict[str, Any]:
    return rate.map(lambda share: 100 * share).to_dict()


def _tests_of(results: dict[str, Any], group: str | None) -> dict[str, Any]:
    """Results of every test, of all or of a group ("sex=F"); none for a group that nobody is in."""
    if group is None:
        return results["tests"]
    name, _, label = group.partition("=")
    return results["subgroups"].get(name, {}).get("by_group", {}).get(label, {}).get("tests") or {}


def _members(table: pd.DataFrame, group: str | None) -> pd.Series:
    if group is None:
        return pd.Series(True, index=table.index)
    name, _, label = group.partition("=")
    return table[name].astype("object") == label


def _hidden(result: dict[str, Any]) -> dict[str, Any]:
    if not result.get("suppressed"):
        return {"n": 0, "reason": "no pair"}
    return {name: result[name] for name in ("n", "suppressed", "minimum_cell", "reason") if name in result}
