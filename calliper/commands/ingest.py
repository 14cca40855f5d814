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

    chosen = load_mapping(mapping)
    with open_registry(workspace) as registry:
        registry.wait_seconds, registry.on_wait = wait, waiting
        result = run_ingest(registry, study, sources, chosen, dry_run=dry_run, progress=TerminalProgress())
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
    rows = [{"table": name, **{key: report["tables"][name][key] for key in keys}} for name in ("subjects", "scans", "readings")]
    print_table([row for row in rows if row["read"] or row["table"] != "scans"])
    for title, part in (("Refused", "quarantine"), ("Taken in, but flagged", "flagged")):
        section = report[part]
        if not section["rows"]:
            continue
        print(f"\n{title}: {section['rows']:,} source row{'s' if section['rows'] != 1 else ''}")
        for example in section["examples"][:_SHOWN]:
            place = f"{example['file']} row {example['row']:,}" + (f", column {example['column']}" if example["column"] else "")
            value = "" if example["value"] is None else f" '{example['value'][:40]}'"
            print(f"  {place}:{value} {example['reason']}.\n      {example['remedy']}")
        if len(section["examples"]) > _SHOWN:
            print("  ... and more; the report has them.")
    for note in report["notes"]:
        print(f"\nNote: {note}")
    print(f"\nReport: {folder / 'ingest.html'}")
    for file in report["quarantine"]["files"]:
        print(f"Refused rows, to mend and ingest again: {folder / file}")
