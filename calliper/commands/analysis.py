"""`calliper analyze`: the plan carried out on the registry's measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from calliper.options import DEFAULT_WORKSPACE, StudyName, Workspace

Index = Annotated[
    str | None, typer.Option(metavar="METHOD", help="Analyse this method as index test instead of the plan's.")
]


def analyze(
    study: StudyName,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write results.json here.")] = None,
    exclusions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a CSV of everything left out, with its reason.")
    ] = None,
    index: Index = None,
    run: Annotated[
        int | None,
        typer.Option(metavar="RUN", min=1, help="Number of the run whose predictions count; else the newest finished."),
    ] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Carry out the analysis plan and print the headline; --json keeps every number at full precision."""
    from reports.files import write_atomically
    from reports.results import results_json
    from studies.readers import guard_formulas

    analysis = run_analysis(study, workspace, index, run)
    files = [str(path) for path in (json_file, exclusions) if path is not None]
    _note(study, workspace, files)
    print_headline(analysis.results)
    if json_file is not None:
        write_atomically(json_file, results_json(analysis.results))
        print(f"\nResults: {json_file}")
    if exclusions is not None:
        table = guard_formulas(analysis.exclusions.astype("str"))
        write_atomically(exclusions, table.to_csv(index=False).encode("utf-8-sig"))
        print(f"Left out: {exclusions}")


def _note(study: str, workspace: Path, files: list[str]) -> None:
    """Note in the audit trail that the results are looked at, and what of them is written to files."""
    from calliper.console import waiting
    from studies.registry.audit import record_export, record_view
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        registry.on_wait = waiting
        if files:
            record_export(registry, "analysis", study, study=study, files=files)
        else:
            record_view(registry, "analysis", study, study=study)


def run_analysis(study: str, workspace: Path, index: str | None = None, run: int | None = None) -> Any:
    """Read the study and carry out its newest plan."""
    from calliper.console import TerminalProgress
    from studies.registry.analysis import analyze_study
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        return analyze_study(registry, study, index=index, run=run, progress=TerminalProgress())


def print_headline(results: dict[str, Any]) -> None:
    """Agreement of each method with the reference, the verdicts and the notes."""
    from calliper.console import print_table

    measurand = results["measurand"]
    plan = results["plan"]
    state = "locked" if plan["locked"] else "not locked"
    what = f"{measurand['label'].capitalize()} ({measurand['unit']}) against {results['reference']}"
    print(results["study"]["title"])
    print(f"{what}, {results['n']:,} pairs; plan version {plan['version']}, {state}\n")
    rows = []
    for name, test in results["tests"].items():
        role = "index" if name == results["index"] else "comparator"
        if not test.get("n"):
            rows.append({"method": name, "role": role, "n": test.get("n")})
            continue
        lower, upper = (_number(test["limits"][side]["estimate"]) for side in ("lower", "upper"))
        rows.append(
            {
                "method": name, "role": role, "n": test["n"], "MAE (95% CI)": _interval(test["mae"]),
                "RMSE": _number(test["rmse"]["estimate"]), "bias (95% CI)": _interval(test["bias"]),
                "SD": _number(test["sd"]),
                "limits of agreement": f"{lower} to {upper}",
                "CCC": _number(test["ccc"]["estimate"], 3),
            }
        )  # fmt: skip
    keys = max((list(row) for row in rows), key=len, default=[])
    print_table(rows, {key: key for key in keys})
    if results["criteria"]:
        print()
        print_table(
            [{key: criterion.get(key) for key in ("name", "rule", "verdict")} for criterion in results["criteria"]]
        )
    for note in results["notes"]:
        print(f"\nNote: {note}")


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def _interval(estimate: dict[str, Any]) -> str:
    if estimate["estimate"] is None:
        return "–"
    return f"{_number(estimate['estimate'])} ({_number(estimate['low'])} to {_number(estimate['high'])})"
