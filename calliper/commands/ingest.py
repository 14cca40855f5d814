"""`calliper ingest`: source files into the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, StudyName, Workspace

_SHOWN = 10


def ingest(
    study: StudyName,
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Files, or folders of files.")],
    mapping: Annotated[
        str, typer.Option("--mapping", "-m", metavar="NAME|FILE", help="A built-in mapping or a mapping file.")
    ] = "calliper",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything, then take it back.")] = False,
    wait: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for another writer.")] = 300.0,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Bring source files into a study: good rows go in, bad rows go to quarantine with reason and remedy.

    All of it happens, or none. Exit code 3 means that rows were refused (the good ones are in all the same), or that
    a file could not be used (then nothing is in).
    """
    from calliper.console import TerminalProgress, print_json, waiting
    from reports.ingest_report import write_ingest_report
    from studies.errors import DataError
    from studies.ingest.ingest import ingest as run_ingest
    from studies.ingest.mapping import load_mapping
    from studies.registry.workspace import open_registry

    chosen, progress = load_mapping(mapping), TerminalProgress()
    with open_registry(workspace) as registry:
        registry.wait_seconds, registry.on_wait = wait, waiting
        result = run_ingest(registry, study, sources, chosen, dry_run=dry_run, progress=progress)
        with progress.stage("Reporting"):
            write_ingest_report(result.report, result.folder)
    if as_json:
        print_json(result.report)
    else:
        print_summary(result.report, result.folder)
    if result.rejected:
        raise typer.Exit(DataError.exit_code)


def print_summary(report: dict[str, Any], folder: Path) -> None:
    """The ingest in a table, the first refused rows with reason and remedy, and where the rest is."""
    from calliper.console import print_table

    title = f"Dry run, nothing was kept: '{report['study']}'" if report["dry_run"] else (
        f"Ingest {report['batch']} into '{report['study']}'"
    )  # fmt: skip
    print(f"{title} with mapping {report['mapping']['name']}, {report['seconds']:.1f} s\n")
    keys = ("read", "new", "changed", "unchanged", "rejected", "flagged")
    rows = [
        {"table": name, **{key: report["tables"][name][key] for key in keys}}
        for name in ("subjects", "scans", "readings")
    ]
    print_table([row for row in rows if row["read"] or row["table"] != "scans"])
    for title, part in (("Refused", "quarantine"), ("Taken in, but flagged", "flagged")):
        section = report[part]
        if not section["rows"]:
            continue
        print(f"\n{title}: {section['rows']:,} source row{'s' if section['rows'] != 1 else ''}")
        faults = _faults(section["examples"])
        for place, value, reason, remedy in faults[:_SHOWN]:
            print(f"  {place}:{value} {reason.rstrip('.')}.\n      {remedy}")
        if len(faults) > _SHOWN:
            print(f"  ... and {len(faults) - _SHOWN} more kinds of fault; the report has them.")
    for note in [*report["provenance"], *report["notes"]]:
        print(f"\nNote: {note}")
    print(f"\nReport: {folder / 'ingest.html'}")
    for file in report["quarantine"]["files"]:
        print(f"Refused rows, to mend and ingest again: {folder / file}")


def _faults(examples: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Place, value, reason and remedy of each fault; rows with the same fault together, consequences of others last."""
    alike: dict[tuple[Any, ...], list[int]] = {}
    for example in sorted(examples, key=lambda example: example["rule"] == "subject_known"):
        same = tuple(example[key] for key in ("file", "column", "value", "reason", "remedy"))
        alike.setdefault(same, []).append(example["row"])
    faults = []
    for (file, column, value, reason, remedy), rows in alike.items():
        place = f"{file} row {rows[0]:,}" + (f" and {len(rows) - 1:,} more" if len(rows) > 1 else "")
        place += f", column {column}" if column else ""
        faults.append((place, "" if value is None else f" '{value[:40]}'", reason, remedy))
    return faults
