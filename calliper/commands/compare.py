"""`calliper compare`: did a new checkpoint make it better?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, StudyName, Workspace

_RUN = typer.Option(metavar="RUN", min=1, help="Number of the run; calliper run STUDY --list shows them.")
_METRICS = {"mae": ("mean absolute error", 2), "bias": ("bias", 2), "ccc": ("concordance (CCC)", 3)}
_REASONS = 3


def compare(
    study: StudyName,
    baseline: Annotated[int, _RUN],
    candidate: Annotated[int, _RUN],
    moved: Annotated[int, typer.Option(metavar="N", min=0, help="How many of the scans that moved most to show.")] = 10,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Compare two runs on the scans that both saw: better, worse, or no evidence, overall and by the plan's subgroups.

    Differences are candidate − baseline. The verdict is on the mean absolute error against the plan's reference, its
    p-value adjusted for several tests by Holm's method.
    """
    from calliper.console import TerminalProgress, print_json, waiting
    from studies.registry.audit import record_view
    from studies.registry.workspace import open_registry
    from studies.runs.comparison import compare_runs

    with open_registry(workspace) as registry:
        found = compare_runs(registry, study, baseline, candidate, progress=TerminalProgress())
        registry.on_wait = waiting
        record_view(registry, "comparison", study, study=study, baseline=baseline, candidate=candidate)
    if as_json:
        print_json(found.to_dict())
    else:
        print_comparison(found, moved)


def print_comparison(found: Any, moved: int) -> None:
    """The verdict, the numbers behind it, the groups, the scans that moved most, and what could not be compared."""
    from calliper.console import print_table

    content = found.to_dict(moved)
    measurand, overall = content["measurand"], content["overall"]
    level = f"{100 * found.statistics.level:g}% CI"
    for role in ("baseline", "candidate"):
        print(f"{role.capitalize():<10} {_run(content[role])}")
    print(
        f"{measurand['label'].capitalize()} ({measurand['unit']}) against {content['reference']}: "
        f"{overall['n']:,} pairs of {overall['subjects']:,} subjects whom both runs saw\n"
    )
    print(f"{found.sentence()}\n")
    print_table(
        [
            {
                "metric": title, "baseline": _number(overall["baseline"][name], digits),
                "candidate": _number(overall["candidate"][name], digits),
                f"difference ({level})": _interval(overall["difference"][name], digits),
                "p": _p(overall["p_value"][name]), "p (Holm)": _p(overall["p_adjusted"][name]),
            }
            for name, (title, digits) in _METRICS.items()
        ]
    )  # fmt: skip
    rows = [_group(part["label"], group, item, level) for part in content["subgroups"].values()
            for group, item in part["by_group"].items()]  # fmt: skip
    if rows:
        print("\nBy subgroup, mean absolute error; p over all groups")
        print_table(rows)
    if content["moved"]:
        print("\nScans that moved most")
        print_table([_moved(row) for row in content["moved"]])
    print(f"\n{_reach(content)}")
    for place, role in (("only_baseline", "candidate"), ("only_candidate", "baseline")):
        for entry in content["reach"]["why"][place][:_REASONS]:
            print(f"  {entry['n']:,} not by the {role}, {entry['status']}: {entry['reason']}.")
    for note in content["notes"]:
        print(f"\nNote: {note}")


def _run(described: dict[str, Any]) -> str:
    used = ", ".join(f"{kind} {name}" for kind, name in described["checkpoints"].items())
    return f"run {described['run']}{f': {used}' if used else ''}"


def _group(label: str, group: str, item: dict[str, Any], level: str) -> dict[str, Any]:
    if item.get("suppressed"):
        return {"subgroup": label, "group": group, "n": None, "verdict": f"not shown: {item['reason']}"}
    return {
        "subgroup": label, "group": group, "n": item["n"], "baseline": _number(item["baseline"]["mae"], 2),
        "candidate": _number(item["candidate"]["mae"], 2),
        f"difference ({level})": _interval(item["difference"]["mae"], 2), "p (Holm)": _p(item["p_adjusted"]["mae"]),
        "verdict": item["verdict"],
    }  # fmt: skip


def _moved(row: dict[str, Any]) -> dict[str, Any]:
    shown = {"subject": row["subject_id"], "visit": row["visit"], "scan": row["scan"]}
    for name in ("baseline", "candidate", "change", "reference"):
        shown[name] = _plain(row[name], 1)
    return {**shown, "closer": _closer(row["change_of_error"])}


def _closer(change: float | None) -> str:
    if change is None:
        return "–"
    return "equal" if change == 0 else "candidate" if change < 0 else "baseline"


def _reach(content: dict[str, Any]) -> str:
    reach = content["reach"]
    return (
        f"Of {reach['scans']:,} scans, both runs predicted {reach['both']:,}, only the baseline "
        f"{reach['only_baseline']:,}, only the candidate {reach['only_candidate']:,}, neither {reach['neither']:,}."
    )


def _number(estimate: dict[str, Any], digits: int) -> str:
    return _plain(estimate["estimate"], digits)


def _plain(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def _interval(estimate: dict[str, Any], digits: int) -> str:
    if estimate["low"] is None:
        return _number(estimate, digits)
    ends = " to ".join(_plain(estimate[end], digits) for end in ("low", "high"))
    return f"{_number(estimate, digits)} ({ends})"


def _p(value: float | None) -> str:
    return "–" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
