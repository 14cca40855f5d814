"""Verdicts: what each criterion and margin of the plan comes to, from the results alone."""

from __future__ import annotations

from typing import Any

from studies.plan_model import Criterion, Plan

MET, NOT_MET, NOT_ENOUGH = "met", "not met", "not enough data"
EQUIVALENT, NOT_SHOWN = "equivalent", "not shown"


def judge(plan: Plan, results: dict[str, Any]) -> list[dict[str, Any]]:
    """One verdict a criterion, in the plan's order. `results` has index, tests, comparisons and subgroups."""
    return [_judge_one(criterion, plan, results) for criterion in plan.criteria]


def equivalence(plan: Plan, results: dict[str, Any]) -> list[dict[str, Any]]:
    """For each margin and test: is the whole interval inside ±margin? (Two one-sided tests at (1 − level) / 2 each.)"""
    found = []
    for metric, margin in plan.margins.items():
        for method, result in results["tests"].items():
            estimate = metric_of(result, metric)
            verdict = _verdict(estimate, -margin, margin, by_interval=True)
            words = {MET: EQUIVALENT, NOT_MET: NOT_SHOWN, NOT_ENOUGH: NOT_ENOUGH}
            row = {"metric": metric, "method": method, "margin": margin, "estimate": estimate}
            found.append({**row, "verdict": words[verdict]})
    return found


def claims(plan: Plan, results: dict[str, Any]) -> list[dict[str, Any]]:
    """How many times the index test's mean absolute error that of each comparator is, and what the plan claims of it.

    One row a comparator: {"method", "against", "ratio": error of the comparator over that of the index test (EST),
    "n", "p_adjusted", "criterion", "factor", "verdict"}. factor: the least ratio that the plan's criterion asks for,
    None where it has none on this comparator; verdict: "met" when the whole interval lies above it.
    """
    index, found = results["index"], []
    asked = {
        item.against: item for item in plan.criteria
        if item.metric == "mae_ratio" and (item.method or plan.index) == index and item.at_most
    }  # fmt: skip
    for row in results["comparisons"]:
        if row["metric"] != "mae" or index not in (row["a"], row["b"]):
            continue
        other = row["b"] if row["a"] == index else row["a"]
        ratio = mae_ratio(results["comparisons"], other, index)
        item = {"method": index, "against": other, "ratio": ratio, "n": row["n"], "p_adjusted": row.get("p_adjusted")}
        criterion = asked.get(other)
        factor = None if criterion is None else 1 / (criterion.at_most or 1)
        verdict = None if factor is None else _verdict(ratio, factor, None, by_interval=True)
        name = None if criterion is None else criterion.name
        found.append({**item, "criterion": name, "factor": factor, "verdict": verdict})
    return found


def _judge_one(criterion: Criterion, plan: Plan, results: dict[str, Any]) -> dict[str, Any]:
    method = criterion.method or results["index"]
    if criterion.metric == "mae_ratio":
        estimate = mae_ratio(results["comparisons"], method, criterion.against or "")
    else:
        estimate = metric_of(_group(results, criterion.group).get(method, {}), criterion.metric)
    low, high = criterion.between or (criterion.at_least, criterion.at_most)
    by_interval = criterion.judged_by == "interval"
    rule = criterion.rule
    if by_interval:
        rule += f" (whole {100 * plan.level:g}% interval)"
    row = {"name": criterion.name, "method": method, "metric": criterion.metric, "group": criterion.group}
    if criterion.against is not None:
        row["against"] = criterion.against
    return {
        **row,
        "rule": rule,
        "judged_by": criterion.judged_by,
        "estimate": estimate,
        "verdict": _verdict(estimate, low, high, by_interval=by_interval),
    }


def _group(results: dict[str, Any], group: str | None) -> dict[str, Any]:
    if group is None:
        return results["tests"]
    name, _, label = group.partition("=")
    found = results["subgroups"].get(name, {}).get("by_group", {}).get(label, {})
    return found.get("tests") or {}


def _verdict(estimate: dict[str, Any], low: float | None, high: float | None, *, by_interval: bool) -> str:
    ends = ("low", "high") if by_interval else ("estimate", "estimate")
    bottom, top = (estimate[end] for end in ends)
    if (low is not None and bottom is None) or (high is not None and top is None):
        return NOT_ENOUGH
    inside = (low is None or bottom >= low) and (high is None or top <= high)
    return MET if inside else NOT_MET


def metric_of(result: dict[str, Any], metric: str) -> dict[str, Any]:
    """The estimate of `metric` in the results of one method; empty, with a reason, where there is none."""
    if result.get("suppressed"):
        return _none(result.get("reason") or f"fewer than {result['minimum_cell']} subjects")
    if "bias" not in result:
        return _none("no pairs")
    if metric == "sd":
        return {"estimate": result["sd"], "low": None, "high": None, "reason": "sd has no interval"}
    if metric == "slope":
        return (result.get("proportional_bias") or {}).get("slope") or _none("not computed")
    if metric.startswith("within_"):
        return result["within"].get(metric.removeprefix("within_")) or _none("not computed")
    if metric in ("lower_limit", "upper_limit", "limits"):
        limits = result.get("limits") or {}
        lower, upper = limits.get("lower") or _none("not computed"), limits.get("upper") or _none("not computed")
        return {"lower_limit": lower, "upper_limit": upper}.get(metric) or _furthest(lower, upper)
    return result.get(metric) or _none("not computed")


def _furthest(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """The distance from zero of the limit that is further away.

    The interval runs from the larger of the two inner ends to the larger of the two outer ends: both limits lie within
    its high end.
    """
    if any(end is None for limit in (lower, upper) for end in (limit["estimate"], limit["low"], limit["high"])):
        return _none(lower.get("reason") or upper.get("reason") or "not computed")
    distances = [_distances(limit) for limit in (lower, upper)]
    return {end: max(distance[end] for distance in distances) for end in ("estimate", "low", "high")}


def _distances(limit: dict[str, Any]) -> dict[str, float]:
    ends = abs(limit["low"]), abs(limit["high"])
    crosses = limit["low"] <= 0 <= limit["high"]
    return {"estimate": abs(limit["estimate"]), "low": 0.0 if crosses else min(ends), "high": max(ends)}


def mae_ratio(comparisons: list[dict[str, Any]], method: str, against: str) -> dict[str, Any]:
    """MAE of `method` over that of `against`, in the people who have both."""
    for row in comparisons:
        if row["metric"] != "mae":
            continue
        ratio = row["ratio"]
        if (row["a"], row["b"]) == (method, against):
            return ratio
        if (row["a"], row["b"]) == (against, method):
            return _inverse(ratio)
    return _none(f"{method} and {against} were not compared")


def _inverse(ratio: dict[str, Any]) -> dict[str, Any]:
    turned = {end: 1 / ratio[of] if ratio[of] else None for end, of in _TURNED.items()}
    return {**turned, "reason": ratio["reason"]} if "reason" in ratio else turned


_TURNED = {"estimate": "estimate", "low": "high", "high": "low"}


def _none(reason: str) -> dict[str, Any]:
    return {"estimate": None, "low": None, "high": None, "reason": reason}
