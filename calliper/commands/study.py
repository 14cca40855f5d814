"""`calliper study`: create, list, show, lock, revise, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, StudyName, Workspace

_COUNTS = ("subjects", "synthetic_subjects", "visits", "readings", "scans", "rendered_scans", "quarantined")

app = typer.Typer(help="Studies and their analysis plans.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits, dashes.")],
    template: Annotated[
        str | None, typer.Option(metavar="NAME", help="Plan from a template; see calliper plan list.")
    ] = None,
    plan: Annotated[Path | None, typer.Option(metavar="FILE", help="Plan from a YAML file.")] = None,
    title: Annotated[str | None, typer.Option(help="Title for reports; by default the plan's.")] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Register a study with its analysis plan; the workspace is made where it is not there."""
    from studies.errors import UsageError
    from studies.plan import load_plan, load_template, template_names
    from studies.registry.catalogue import create_study
    from studies.registry.workspace import open_registry

    if (template is None) == (plan is None):
        raise UsageError(
            "A study needs one analysis plan.",
            remedy=f"Give --plan FILE, or --template NAME with one of: {', '.join(template_names())}.",
        )
    chosen = load_template(template) if template else load_plan(plan)
    with open_registry(workspace, create=True) as registry:
        study = create_study(registry, name, chosen, title=title)
    print(f"Created study '{study.name}' in {workspace}: {study.title}.")
    print(f"Next: calliper ingest {study.name} SOURCE ... --mapping NAME|FILE")


@app.command("list")
def list_all(as_json: AsJson = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """All studies with what they hold."""
    from calliper.console import print_json, print_table
    from studies.registry.catalogue import list_studies
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry, registry.reading() as connection:
        studies = list_studies(connection)
    if as_json:
        print_json(studies)
    elif studies:
        print_table(studies)
    else:
        print("No study yet. Create one: calliper study create NAME --template NAME")


@app.command()
def show(name: StudyName, as_json: AsJson = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """One study: what it holds, its ingests, its runs and the versions of its plan."""
    from calliper.console import print_json, print_table, waiting
    from studies.registry.audit import record_view
    from studies.registry.catalogue import describe_study, find_study
    from studies.registry.leakage import leaks_of_study
    from studies.registry.workspace import open_registry
    from studies.runs.listing import list_runs

    with open_registry(workspace) as registry:
        with registry.reading() as connection:
            found = describe_study(connection, name)
            found["runs"] = list_runs(registry, connection, find_study(connection, name))
        leaks = leaks_of_study(registry, name)
        registry.on_wait = waiting
        record_view(registry, "study", name, study=name)
    found["trained_on"] = [leak.as_dict() for leak in leaks]
    if as_json:
        print_json(found)
        return
    print(f"{found['name']}: {found['title']}\n")
    print_table([{key: found[key] for key in _COUNTS}])
    print("\nIngests")
    print_table(found["ingests"])
    if found["runs"]:
        print("\nRuns")
        print_table(found["runs"])
    print("\nVersions of the plan")
    print_table(found["plans"])
    for leak in leaks:
        print(f"\nWarning: {leak}")


@app.command()
def lock(name: StudyName, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Freeze the newest version of the analysis plan; analyses from now on state that it was locked."""
    from calliper.console import waiting
    from studies.registry.catalogue import lock_plan
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        registry.on_wait = waiting
        plan = lock_plan(registry, name)
    print(
        f"Plan version {plan.version} of '{name}' is locked, {plan.locked_at:%Y-%m-%d %H:%M} UTC, by {plan.locked_by}."
    )
    print(f"SHA-256 {plan.sha256}")


@app.command()
def revise(
    name: StudyName,
    plan: Annotated[Path, typer.Option(metavar="FILE", help="The changed plan.")],
    reason: Annotated[str, typer.Option(help="Why it is changed; it stands in every later report.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Add a new version of the analysis plan, with the reason for the change."""
    from calliper.console import waiting
    from studies.plan import load_plan
    from studies.registry.catalogue import revise_plan
    from studies.registry.workspace import open_registry

    chosen = load_plan(plan)
    with open_registry(workspace) as registry:
        registry.on_wait = waiting
        record = revise_plan(registry, name, chosen, reason=reason)
    print(f"'{name}' has plan version {record.version} now, not locked. SHA-256 {record.sha256}")


@app.command()
def export(
    name: StudyName,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the files.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write a study's data for others: de-identified.

    Codes are dealt anew, dates are shifted for each person, ages are bands of ten years, and values that would set
    fewer people apart than the plan's `minimum_cell` are left out.
    """
    import os
    import shutil

    from calliper.console import TerminalProgress, print_table, remark, waiting
    from studies.errors import StorageError, UsageError
    from studies.privacy.release import release_tables
    from studies.readers import guard_formulas
    from studies.registry.analysis import study_inputs
    from studies.registry.audit import record_export
    from studies.registry.leakage import LEAKAGE
    from studies.registry.workspace import open_registry

    if out.exists():
        raise UsageError(f"{out} is there already.", remedy="Name a new folder, so that nothing is mixed up.")
    making = out.with_name(f".{out.name}.{os.getpid()}.partial")
    with open_registry(workspace) as registry:
        registry.on_wait = waiting
        inputs = study_inputs(registry, name, progress=TerminalProgress())
        released = release_tables(inputs)
        try:
            making.mkdir(parents=True)
            for table, frame in released.tables.items():
                guard_formulas(frame).to_csv(making / f"{table}.csv", index=False, encoding="utf-8-sig")
            rows = {f"{table}.csv": len(frame) for table, frame in released.tables.items()}
            # Told before the folder has its name: what is not in the trail has not left the registry.
            record_export(
                registry, "study", name, study=name, files=list(rows), people=released.people,
                suppressed=released.suppressed, minimum_cell=released.minimum,
            )  # fmt: skip
            os.replace(making, out)
        except OSError as error:
            raise StorageError(
                f"The data cannot be written: {error.strerror or error}.", where=str(out),
                remedy="Free some space, or name a folder that can be written.",
            ) from error  # fmt: skip
        finally:
            shutil.rmtree(making, ignore_errors=True)
    print_table([{"file": str(out / file), "rows": count} for file, count in rows.items()])
    for column, count in released.suppressed.items():
        remark(f"Left out: {column.replace('_', ' ')} of {count:,} of {released.people:,} people.")
    for note in inputs["study"]["notes"]:
        if note.startswith(LEAKAGE):
            remark(note)
    remark("The data are de-identified, not anonymous: hand them out under an agreement.")
