"""`calliper plan`: templates, and checking a plan before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Analysis plans.", no_args_is_help=True)


@app.command("list")
def list_templates() -> None:
    """The templates that come with Calliper."""
    from studies.plan import load_template, template_names

    for name in template_names():
        print(f"{name:<14} {load_template(name).title}")


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="TEMPLATE")]) -> None:
    """Print a template, to copy and change: calliper plan show blank > plan.yaml"""
    from studies.plan import template_text

    print(template_text(name), end="")


@app.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Check a plan, and print its hash."""
    from studies.plan import load_plan, plan_hash

    plan = load_plan(file)
    print(f"{file}: a valid analysis plan, '{plan.title}'.\nSHA-256 {plan_hash(plan)}")
