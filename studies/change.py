"""Change over time: do the tests see the change that the reference standard sees?

A subject's change is that from its first pair to its last.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from studies.plan_model import Plan
from validation.change import change_scores
from validation.errors import ValidationError

ONCE = "no subject was measured by both at two visits"


def change(table: pd.DataFrame, plan: Plan, tests: list[str], precision: dict[str, Any]) -> dict[str, Any]:
    """Agreement of changes by test: {"n", "bias", "sd", "p_value", "limits", "ccc", "pearson", "slope", "r_squared"},
    and `beyond` with `same_direction` where the reference's least significant change is known.

    table: one row a pair, in the order of subjects and visits, with the reference and the tests. precision: of
    `studies.precision`. A test without two visits has n 0 and a reason; fewer subjects than the minimum cell are
    hidden.
    """
    return {test: _of(table, plan, test, precision) for test in tests if test in table}


def _of(table: pd.DataFrame, plan: Plan, test: str, precision: dict[str, Any]) -> dict[str, Any]:
    rows = table.loc[table[test].notna(), ["subject_id", plan.reference, test]]
    rows = rows[rows["subject_id"].duplicated(keep=False)]
    if rows.empty:
        return {"n": 0, "reason": ONCE}
    by_subject = rows.groupby("subject_id", sort=True)
    first, last = by_subject.first(), by_subject.last()
    if len(first) < plan.minimum_cell:
        return {"n": None, "suppressed": True, "minimum_cell": plan.minimum_cell}
    try:
        found = change_scores(
            first[test].to_numpy(), last[test].to_numpy(), first[plan.reference].to_numpy(),
            last[plan.reference].to_numpy(), level=plan.level,
            least_significant_change=_lsc(precision, plan.reference),
            test_least_significant_change=_lsc(precision, test),
        ).to_dict()  # fmt: skip
    except ValidationError as error:
        return {"n": 0, "reason": str(error)}
    agreement = found.pop("agreement")
    return {**{key: agreement[key] for key in ("n", "bias", "sd", "p_value", "limits")}, **found}


def _lsc(precision: dict[str, Any], method: str) -> float | None:
    item = precision["methods"].get(method, {}).get("All", {})
    return (item.get("lsc") or {}).get("estimate") or None
