"""What was done otherwise than the locked plan says, or decided after the data were in, as sentences.

Each has a `kind`: plan (the plan itself), index, run, size, group.
"""

from __future__ import annotations

from typing import Any

from studies.plan_model import Plan


def deviations(
    plan: Plan, plan_status: dict[str, Any], index: str, run: dict[str, Any] | None, protocol: dict[str, Any] | None,
    results: dict[str, Any],
) -> list[dict[str, Any]]:  # fmt: skip
    """[{"kind", "what"}], in this order; empty where everything was as planned.

    plan_status: version, locked and, where known, `amendments` ([{"version", "reason", "locked", "replaced_locked"}])
    and `locked_after_data`. run: {"number", "newest"}. protocol: the protocol's document. results: n, subgroups, flow.
    """
    found: list[tuple[str, str]] = []
    if not plan_status["locked"]:
        found.append(("plan", "The analysis plan was not locked before the analysis."))
    elif plan_status.get("locked_after_data"):
        found.append(("plan", "The analysis plan was locked after the first data had come in."))
    for item in plan_status.get("amendments") or []:
        before = "a locked version" if item["replaced_locked"] else "an unlocked version"
        found.append(("plan", f"Version {item['version']} of the plan replaced {before}: {item['reason']}."))
    if index != plan.index:
        found.append(("index", f"The index test is {index}; the plan names {plan.index}."))
    if run and run.get("newest") not in (None, run["number"]):
        found.append(("run", f"The predictions are those of run {run['number']}, not of the newest, {run['newest']}."))
    planned = ((protocol or {}).get("design") or {}).get("planned_subjects")
    analysed = results["flow"]["subjects"]["analysed"]
    if planned and analysed < planned:
        verb = "subject was" if analysed == 1 else "subjects were"
        found.append(("size", f"{analysed:,} {verb} analysed, of {planned:,} planned."))
    for criterion in plan.criteria:
        name, _, group = (criterion.group or "").partition("=")
        if name and group not in results["subgroups"].get(name, {}).get("by_group", {}):
            found.append(
                ("group", f"Criterion '{criterion.name}' is on {criterion.group}, in which nobody was analysed.")
            )
    return [{"kind": kind, "what": what} for kind, what in found]
