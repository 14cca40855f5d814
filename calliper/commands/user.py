"""`calliper user`: who may sign in to the dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, Workspace

app = typer.Typer(help="Accounts of the dashboard.", no_args_is_help=True)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]


@app.command()
def add(
    name: _Name,
    role: Annotated[str, typer.Option(help="viewer, analyst (may start runs and reports) or admin.")] = "viewer",
    display_name: Annotated[str | None, typer.Option(metavar="TEXT", help="Name that pages show.")] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Make an account. The password is asked for, or read from standard input where that is no terminal."""
    from studies.registry.users import add_user
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        add_user(registry, name, role, _password(), display_name=display_name)
    print(f"{name} can sign in as {role}.")


@app.command("list")
def list_(as_json: AsJson = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Every account."""
    from calliper.console import print_json, print_table
    from studies.registry.users import list_users
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry, registry.reading() as connection:
        users = list_users(connection)
    if as_json:
        print_json(users)
    elif users:
        print_table(users)
    else:
        print("There is no account. Make one: calliper user add NAME")


@app.command()
def remove(name: _Name, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Close an account; its sessions end. Its name stays in the audit trail, and is not given to anyone else."""
    from studies.registry.users import remove_user
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        remove_user(registry, name)
    print(f"{name} can no longer sign in.")


@app.command()
def password(name: _Name, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Give an account another password; its sessions end."""
    from studies.registry.users import set_password
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        set_password(registry, name, _password())
    print(f"{name} has a new password.")


def _password() -> str:
    import getpass
    import sys

    from studies.errors import UsageError

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("The same again: "):
        raise UsageError("The two passwords differ.", remedy="Nothing was changed; try again.")
    return first
