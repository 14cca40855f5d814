"""`calliper agree`: the statistics alone, for any table on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from studies.plan_of_table import PlanOfTable


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
        str | None,
        typer.Option(metavar="HOW", help="With --subject: the true value is constant or varying [varying]; or mixed."),
    ] = None,
    adjust: Annotated[
        str, typer.Option(metavar="HOW", help="Of p-values for several comparisons: holm or bh.")
    ] = "holm",
    intervals: Annotated[
        str, typer.Option(metavar="HOW", help="Of errors, comparisons and gaps: bca, or jackknife for few subjects.")
    ] = "bca",
    level: Annotated[float | None, typer.Option(help="Confidence level [0.95].")] = None,
    resamples: Annotated[int | None, typer.Option(help="Bootstrap resamples [10000].")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the resampling [1].")] = None,
    minimum_cell: Annotated[int | None, typer.Option(help="Smaller groups are suppressed [10].")] = None,
    within: Annotated[list[float] | None, typer.Option(help="k of percent within ±k [3 5]; several times.")] = None,
    regress_on: Annotated[
        str, typer.Option(metavar="WHAT", help="Line of proportional bias on the mean or on the reference.")
    ] = "mean",
    error_ratio: Annotated[
        float, typer.Option(help="Deming: error variance of the reference over that of the test.")
    ] = 1.0,
    decision_level: Annotated[
        list[float] | None, typer.Option(help="Tell the bias at this value of the reference; several times.")
    ] = None,
    band: Annotated[
        list[float] | None, typer.Option(help="Cut point: also by bands of the reference; several times.")
    ] = None,
    fairness: Annotated[
        bool, typer.Option("--fairness", help="Tests of equality between groups, pooled estimates, detectable gaps.")
    ] = False,
    covariate: Annotated[
        list[str] | None,
        typer.Option(metavar="COL", help="With --fairness: adjust for this, beside the reference; several times."),
    ] = None,
    margin: Annotated[float | None, typer.Option(help="Largest bias that is good enough, for verdicts.")] = None,
    mae_margin: Annotated[float | None, typer.Option(help="Largest MAE that is good enough, for verdicts.")] = None,
    weight: Annotated[str | None, typer.Option(metavar="COL", help="Column of survey weights.")] = None,
    stratum: Annotated[str | None, typer.Option(metavar="COL", help="Column of the survey's strata.")] = None,
    psu: Annotated[str | None, typer.Option(metavar="COL", help="Column of its primary sampling units.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of an Excel workbook.")] = None,
    missing: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="What stands for a missing value [NA]; several times.")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take settings, subgroups, margins and criteria from an analysis plan."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
) -> None:
    """Agreement of one or several tests with a reference, overall and by group. Differences are test − reference."""
    from calliper.console import TerminalProgress, remark
    from reports.files import write_atomically
    from reports.results import results_json
    from studies.tables import read_numbers
    from validation.agree import agree as compare

    taken = [name for name in (subject, weight, stratum, psu, *(covariate or [])) if name]
    planned = None if plan is None else _planned(plan, reference, test, taken)
    settings: dict[str, Any] = {} if planned is None else planned.settings
    margins = {} if planned is None or not planned.applies or scale != "raw" else dict(planned.plan.margins)
    margins |= {name: value for name, value in (("bias", margin), ("mae", mae_margin)) if value is not None}
    options = {
        "limits": limits, "level": level, "resamples": resamples, "seed": seed, "minimum_cell": minimum_cell,
        "within": within or None, "repeated": repeated,
    }  # fmt: skip
    settings |= {name: value for name, value in options.items() if value is not None}
    labels = [*(by or []), *(name for name in (subject, stratum, psu) if name)]
    numbers_if_there, labels_if_there = ([], []) if planned is None else planned.wanted()
    progress = TerminalProgress()
    with progress.stage("Reading", None):
        frame = read_numbers(
            table,
            numbers=[reference, *test, *(covariate or []), *([weight] if weight else [])],
            labels=labels,
            sheet=sheet,
            missing=missing or ["NA"],
            numbers_if_there=numbers_if_there,
            labels_if_there=labels_if_there,
        )
    groups = list(by or [])
    if planned is not None:
        frame, found, absent = planned.add_subgroups(frame)
        groups += [name for name in found if name not in groups]
        if absent:
            remark(f"Subgroups of the plan that this table has no column for: {', '.join(absent)}.")
    with progress.stage("Comparing", None):
        report = compare(
            frame,
            reference=reference,
            tests=test,
            by=groups,
            subject=subject,
            scale=scale,
            adjust=adjust,
            bands=band or [],
            regress_on=regress_on,
            error_ratio=error_ratio,
            decision_levels=decision_level or [],
            weights=weight,
            strata=stratum,
            psu=psu,
            fairness=fairness,
            covariates=covariate or [],
            margins=margins,
            intervals=intervals,
            **settings,
        )
    print(report)
    results = report.to_dict()
    if planned is not None:
        results |= {"plan": planned.document(), "criteria": _judged(planned, results, scale)}
    if json_file is not None:
        write_atomically(json_file, results_json(results))
        print(f"\nAll numbers: {json_file}")


def _beside(row: dict[str, Any]) -> str:
    other = f" against {row['against']}" if "against" in row else ""
    return f"{other}, {row['group']}," if row.get("group") else other


def _planned(path: Path, reference: str, tests: list[str], taken: list[str]) -> PlanOfTable:
    from studies.plan import load_plan
    from studies.plan_of_table import PlanOfTable

    return PlanOfTable(load_plan(path), reference, tests, taken)


def _judged(planned: PlanOfTable, results: dict[str, Any], scale: str) -> list[dict[str, Any]]:
    """Verdicts on the plan's criteria, printed; and a remark on those that this table cannot tell of."""
    from calliper.console import print_table, remark
    from validation.page import estimate

    if scale != "raw" and planned.plan.criteria:
        remark("The plan's margins and criteria are in the unit of the data, and are not judged on another scale.")
        return []
    rows, left_out = planned.verdicts(results)
    if rows:
        print(f"\nCriteria of the plan '{planned.plan.title}'")
        print_table(
            [
                {
                    "criterion": row["name"],
                    "rule": f"{row['metric']} of {row['method']}{_beside(row)} {row['rule']}",
                    "found": estimate(row["estimate"]),
                    "verdict": row["verdict"],
                }
                for row in rows
            ]
        )
    if left_out:
        remark(f"Criteria of the plan that this table cannot tell of: {', '.join(left_out)}.")
    return rows
