"""`calliper audit`: the trail of every change, and whether it is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, Workspace

app = typer.Typer(help="The audit trail.", no_args_is_help=True)


@app.command()
def verify(workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Check every link of the hash chain; name the first that is broken."""
    from studies.errors import StorageError
    from studies.registry.audit import count_events, first_broken_link
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry, registry.reading() as connection:
        broken = first_broken_link(connection)
        total = count_events(connection)
    if broken:
        raise StorageError(f"The audit trail is broken: {broken[1]}.", remedy="Restore the registry from a backup.")
    print(f"The audit trail is whole: {total:,} events.")


@app.command()
def show(
    study: Annotated[str | None, typer.Option(help="Only events of this study.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest events.")] = 20,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """The newest events: when, who, what, old and new value, and why."""
    from calliper.console import print_json, print_table
    from studies.registry.audit import newest_events
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry, registry.reading() as connection:
        events = newest_events(connection, last, study)
    if as_json:
        print_json(events)
        return
    rows = [
        {
            "at": event["at"][:19], "actor": event["actor"], "action": event["action"],
            "what": f"{event['entity']} {event['entity_key']}", "detail": _short(event["detail"]),
        }
        for event in events
    ]  # fmt: skip
    print_table(rows)


def _short(detail: dict) -> str:
    if "old" in detail:
        return f"{detail.get('field', '')}: {detail['old']} → {detail['new']} ({detail.get('reason', '')})"
    text = ", ".join(f"{key} {value}" for key, value in detail.items() if isinstance(value, str | int))
    return text[:100]
