"""`calliper report`: reports of every kind, and what belongs to them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calliper.commands import report_signing
from calliper.default_command import DEFAULT, WithDefault
from calliper.options import DEFAULT_WORKSPACE, StudyName, Workspace
from reports.kinds import KINDS

app = typer.Typer(cls=WithDefault, help="Write a report of a study: HTML, PDF and JSON.", no_args_is_help=True)


@app.command(DEFAULT, hidden=True)
def make(
    study: StudyName,
    kind: Annotated[str, typer.Option(metavar="KIND", help=f"What to report: {', '.join(KINDS)}.")] = "validation",
    run: Annotated[
        list[int] | None,
        typer.Option(metavar="RUN", min=1, help="Number of the run; comparisons take two, the baseline first."),
    ] = None,
    formats: Annotated[str, typer.Option("--format", metavar="LIST", help="html, pdf and json.")] = "html,pdf,json",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write here; by default into the workspace's reports.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 7 unless every criterion is met.")] = False,
    index: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Analyse this method as index test instead of the plan's.")
    ] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write a report: results.json, one HTML page and a PDF, from one set of results."""
    from calliper.commands.analysis import print_headline
    from calliper.console import TerminalProgress
    from reports.kinds import Order, build, find_kind
    from reports.registered import register_report
    from reports.writing import check_formats, write_made
    from studies.registry.audit import record_export
    from studies.registry.workspace import open_registry

    find_kind(kind)
    wanted = check_formats(part.strip().lower() for part in formats.split(",") if part.strip())
    progress = TerminalProgress()
    with open_registry(workspace) as registry:
        made = build(registry, kind, Order(study, tuple(run or ()), index), progress=progress)
        with progress.stage("Report", len(wanted)) as stage:
            if out is None:
                files = register_report(registry, study, made, formats=wanted)
            else:
                files = write_made(made, out, wanted)
                record_export(registry, "report", study, study=study, kind=kind, files=[str(out)])
            stage.advance(len(wanted))
    if kind == "validation":
        print_headline(made.results)
        print()
    for name, path in files.items():
        print(f"{name.upper():<5} {path}")
    if strict and made.failed:
        raise typer.Exit(7)


@app.command()
def protocol(
    study: StudyName,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it here to fill in; by default to standard output.")
    ] = None,
    new: Annotated[
        Path | None, typer.Option("--set", metavar="FILE", help="Take this file as the next version of the protocol.")
    ] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """What only a person can say of the study, question by question: write it as YAML to fill in, or take it back."""
    from reports.files import write_atomically
    from studies.errors import UsageError
    from studies.protocol import QUESTIONS, load_protocol, open_questions, protocol_yaml
    from studies.registry.protocols import set_protocol, study_protocol
    from studies.registry.workspace import open_registry

    if new is not None and out is not None:
        raise UsageError("--set and --out do not go together.", remedy="Give one of them.")
    with open_registry(workspace) as registry:
        if new is None:
            held = study_protocol(registry, study)
            text = protocol_yaml(held["document"] if held else None, about=study)
            if out is None:
                print(text, end="")
            else:
                print(f"Protocol: {write_atomically(out, text.encode('utf-8'))}")
            return
        document = load_protocol(new)
        held = set_protocol(registry, study, document)
    left = open_questions(document)
    print(
        f"Protocol of '{study}', version {held['version']}: {len(QUESTIONS) - len(left)} of {len(QUESTIONS)} answered."
    )
    if left:
        print(f"Open: {', '.join(question.path for question in left)}.")


report_signing.add_to(app)
