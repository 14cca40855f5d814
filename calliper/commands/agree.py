"""`calliper agree`: the statistics alone, for any table on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def agree(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, Excel, Parquet or SAS transport file.")],
    reference: Annotated[str, typer.Option(metavar="COL", help="Column of the reference measurement.")],
    test: Annotated[list[str], typer.Option(metavar="COL", help="Column of a test; may be given several times.")],
    by: Annotated[
        list[str] | None, typer.Option(metavar="COL", help="Column of groups, or a crossing: sex*age; several times.")
    ] = None,
    subject: Annotated[str | None, typer.Option(metavar="COL", help="Column of the subject, if rows repeat.")] = None,
    limits: Annotated[
        str | None, typer.Option(metavar="HOW", help="exact, exact-paired, mover, approximate or nonparametric.")
    ] = None,
    scale: Annotated[str, typer.Option(metavar="SCALE", help="raw, percent or log.")] = "raw",
    repeated: Annotated[
        str, typer.Option(metavar="HOW", help="With --subject: the true value is constant or varying.")
    ] = "varying",
    adjust: Annotated[
        str, typer.Option(metavar="HOW", help="Of p-values for several comparisons: holm or bh.")
    ] = "holm",
    level: Annotated[float | None, typer.Option(help="Confidence level [0.95].")] = None,
    resamples: Annotated[int | None, typer.Option(help="Bootstrap resamples [10000].")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the resampling [1].")] = None,
    minimum_cell: Annotated[int | None, typer.Option(help="Smaller groups are suppressed [10].")] = None,
    within: Annotated[list[float] | None, typer.Option(help="k of percent within ±k [3 5]; several times.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of an Excel workbook.")] = None,
    missing: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="What stands for a missing value [NA]; several times.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take level, resamples, seed and minimum cell from a plan.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
) -> None:
    """Agreement of one or several tests with a reference, overall and by group. Differences are test − reference."""
    from calliper.console import TerminalProgress
    from reports.files import write_atomically
    from reports.results import results_json
    from studies.tables import read_numbers
    from validation.agree import agree as compare

    settings: dict[str, Any] = {}
    if plan is not None:
        from studies.plan import load_plan

        given = load_plan(plan)
        settings = {name: getattr(given, name) for name in ("level", "resamples", "seed", "minimum_cell")}
    options = {
        "limits": limits, "level": level, "resamples": resamples, "seed": seed, "minimum_cell": minimum_cell,
        "within": within or None,
    }  # fmt: skip
    settings |= {name: value for name, value in options.items() if value is not None}
    labels = [*(by or []), *([subject] if subject else [])]
    progress = TerminalProgress()
    with progress.stage("Reading", None):
        frame = read_numbers(table, numbers=[reference, *test], labels=labels, sheet=sheet, missing=missing or ["NA"])
    with progress.stage("Comparing", None):
        report = compare(
            frame,
            reference=reference,
            tests=test,
            by=by or [],
            subject=subject,
            scale=scale,
            repeated=repeated,
            adjust=adjust,
            **settings,
        )
    print(report)
    if json_file is not None:
        write_atomically(json_file, results_json(report.to_dict()))
        print(f"\nAll numbers: {json_file}")
