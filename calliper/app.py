"""The command tree. Only names and options are here; each command imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from calliper.commands import (
    agree,
    analysis,
    audit,
    avatar,
    checkpoint,
    cohort,
    compare,
    dashboard,
    demo,
    ingest,
    mapping,
    plan,
    privacy,
    report,
    run,
    study,
    user,
)

app = typer.Typer(
    name="calliper",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"calliper {version('calliper')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Clinical validation and study analysis for camera-based body composition.

    Every command takes --workspace DIR (default: $CALLIPER_WORKSPACE, else ./calliper-workspace) and --debug.

    Exit codes: 0 ok, 1 a bug, 2 usage, 3 bad input data, 4 configuration or plan, 5 storage or database,
    6 model or checkpoint, 7 a criterion failed (report --strict).
    """


app.command("demo")(demo.demo)
app.add_typer(study.app, name="study")
app.command("ingest")(ingest.ingest)
app.add_typer(cohort.app, name="cohort")
app.add_typer(checkpoint.app, name="checkpoint")
app.command("run")(run.run)
app.command("compare")(compare.compare)
app.command("analyze")(analysis.analyze)
app.add_typer(report.app, name="report")
app.command("avatar")(avatar.avatar)
app.command("dashboard")(dashboard.dashboard)
app.add_typer(user.app, name="user")
app.command("agree")(agree.agree)
app.add_typer(plan.app, name="plan")
app.add_typer(mapping.app, name="mapping")
app.add_typer(privacy.app, name="privacy")
app.add_typer(audit.app, name="audit")
