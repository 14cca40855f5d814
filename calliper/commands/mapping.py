"""`calliper mapping`: the built-in mappings, and checking one before it is used."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Mappings from source tables to the registry.", no_args_is_help=True)


@app.command("list")
def list_mappings() -> None:
    """The mappings that come with Calliper."""
    from studies.ingest.mapping import builtin_names, load_mapping

    for name in builtin_names():
        summary = (load_mapping(name).description or "").split(". ")[0].strip().rstrip(".")
        print(f"{name:<14} {summary}.")


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Print a built-in mapping, to copy and change."""
    from studies.errors import PlanError
    from studies.ingest.mapping import builtin_names, builtin_text

    if name not in builtin_names():
        raise PlanError(f"There is no built-in mapping '{name}'.", remedy=f"Known: {', '.join(builtin_names())}.")
    print(builtin_text(name), end="")


@app.command()
def check(name: Annotated[str, typer.Argument(metavar="NAME|FILE")]) -> None:
    """Check a mapping."""
    from studies.ingest.mapping import load_mapping

    mapping = load_mapping(name)
    print(f"{name}: a valid mapping, '{mapping.name}'.\nSHA-256 {mapping.sha256()}")


@app.command()
def schema() -> None:
    """Print the JSON schema of mapping files, for editors that check YAML as you write."""
    from calliper.console import print_json
    from studies.ingest.mapping import Mapping

    print_json(Mapping.model_json_schema(by_alias=True))
