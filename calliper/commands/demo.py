"""`calliper demo`: the whole road on a synthetic cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    workspace: Annotated[
        Path, typer.Option("--workspace", "-w", metavar="DIR", help="A new folder for the demonstration.")
    ] = Path("demo"),
    subjects: Annotated[int, typer.Option(min=100, max=100_000, help="How many synthetic people.")] = 134,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same people.")] = 2022,
    height: Annotated[int, typer.Option(metavar="PIXELS", help="Height of the photos.")] = 480,
) -> None:
    """Make a synthetic cohort with rendered photos and some bad rows, run the packaged checkpoints on every scan, and
    take it all the way to a validation report.

    Nothing in it is a real person, no one was photographed, and no clinical claim rests on it.
    """
    from calliper.commands.analysis import print_headline
    from calliper.commands.ingest import print_summary
    from calliper.commands.run import cores, print_result
    from calliper.console import TerminalProgress
    from reports.ingest_report import write_ingest_report
    from reports.registered import register_report
    from reports.validation_report import made as made_of
    from studies.ingest.ingest import ingest
    from studies.ingest.mapping import load_mapping
    from studies.plan import load_template
    from studies.registry.analysis import analyze_study
    from studies.registry.catalogue import create_study, lock_plan
    from studies.registry.workspace import open_registry
    from studies.rendering.blocks import Recipe
    from studies.rendering.cohort import synthesize_cohort
    from studies.runs.executor import make_executor
    from studies.runs.models import choose_checkpoints, models_of
    from studies.runs.run import run

    recipe = Recipe(seed, height)
    progress = TerminalProgress()
    _make_room(workspace)
    sources = workspace / "cohort"
    cohort = synthesize_cohort(sources, subjects, recipe, errors=True, progress=progress)
    made = f"{subjects:,} people with {cohort.scans:,} scans of {cohort.photos:,} rendered photos"
    print(f"1. A synthetic cohort: {made}, and {len(cohort.planted)} deliberate errors in its tables: {sources}\n")
    with open_registry(workspace, create=True) as registry:
        create_study(registry, "demo", load_template("demo"))
        plan = lock_plan(registry, "demo")
        print(f"2. Plan version {plan.version} locked, SHA-256 {plan.sha256[:16]}…, before any data is seen\n")
        result = ingest(registry, "demo", [sources], load_mapping("calliper"), progress=progress)
        write_ingest_report(result.report, result.folder)
        print("3. Ingest")
        print_summary(result.report, result.folder)
        chosen = choose_checkpoints(registry, [])
        models, source = models_of(chosen)
        done = run(registry, "demo", models, make_executor("local", source, cores()), progress=progress)
        print("\n4. Run: the packaged checkpoints on every scan")
        print_result(done, {kind: record.reference for kind, record in chosen.items()}, [])
        analysis = analyze_study(registry, "demo", progress=progress)
        print("\n5. Analysis")
        print_headline(analysis.results)
        with progress.stage("Report", 1) as stage:
            files = register_report(registry, "demo", made_of(analysis), formats=("html", "pdf", "json"))
            stage.advance()
    print("\n6. Report")
    for kind, path in files.items():
        print(f"   {kind.upper():<5} {path}")
    print("\nAll people and readings in it are synthetic, all photos are rendered; no clinical claim rests on them.")


def _make_room(workspace: Path) -> None:
    """Remove an earlier demonstration; raise UsageError where the folder holds anything else."""
    import shutil

    from calliper.console import remark
    from studies.errors import UsageError

    if workspace.exists() and any(workspace.iterdir()):
        if not (workspace / "cohort" / "README.txt").is_file():
            raise UsageError(f"{workspace} is not empty.", remedy="Give a new folder with --workspace.")
        remark(f"Replacing the earlier demonstration in {workspace}.")
        shutil.rmtree(workspace)
