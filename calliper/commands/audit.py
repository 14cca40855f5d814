"""`calliper audit`: the trail of every change, view and export, and whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, Workspace

app = typer.Typer(help="The audit trail.", no_args_is_help=True)


@app.command()
def verify(
    anchor: Annotated[
        list[str] | None,
        typer.Option(metavar="ANCHOR", help="NUMBER:HASH or a file of anchors, kept elsewhere; may be repeated."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 5 on doubts as well (a wrong clock).")] = False,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Check every link of the hash chain, its guards and anchors; name the first link that is broken.

    Anchors are those given and those that the signatures of registered reports carry.
    """
    from calliper.console import print_json, remark
    from reports.signing import signatures_of
    from studies.errors import StorageError
    from studies.registry.identity import identity_fault
    from studies.registry.reports import list_reports
    from studies.registry.trail import check_trail, parse_anchor
    from studies.registry.workspace import open_registry

    anchors = [head for given in anchor or () for head in parse_anchor(given)]
    with open_registry(workspace) as registry, registry.reading() as connection:
        for record in list_reports(connection):
            anchors += [signed.anchor for signed in signatures_of(connection, record)]
        check = check_trail(connection, anchors)
        swapped = identity_fault(registry.folder, connection)
    doubts = [*check.doubts, *([swapped] if swapped else [])]
    if as_json:
        print_json({**check.as_dict(), "doubts": doubts})
    if check.broken:
        raise StorageError(
            f"The audit trail is broken at event {check.broken.number}: {check.broken.what}.",
            remedy="Keep this database as evidence, find out who could write to it, and restore a backup.",
        )
    if check.guards:
        raise StorageError(
            f"Every link of the audit trail holds, but {'; '.join(check.guards)}.",
            remedy="Someone changed the database's schema by hand. Find out who, and restore a backup.",
        )
    for doubt in doubts:
        remark(f"Doubt: {doubt}")
    if not as_json:
        also = f" and fits {_anchors(check.anchors)}" if check.anchors else ""
        print(f"The audit trail is whole{also}: {_events(check.events)}.")
        print(f"Head: {check.head}")
    if strict and doubts:
        raise typer.Exit(5)


@app.command()
def anchor(
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Add it to this file, one JSON a line.")] = None,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Print the head of the chain, to be kept elsewhere: it shows later whether the trail was cut or written anew."""
    import json

    from calliper.console import print_json
    from studies.errors import StorageError
    from studies.registry.trail import chain_head
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        head = chain_head(registry)
    if head.number == 0:
        raise StorageError("The audit trail has no event yet.", remedy="Anchor it when there is something to keep.")
    if to is not None:
        try:
            with to.open("a", encoding="utf-8") as file:
                file.write(json.dumps(head.as_dict()) + "\n")
        except OSError as error:
            raise StorageError(
                f"The anchor cannot be written: {error.strerror or error}.", where=str(to), remedy="Name another file."
            ) from error
        print(f"Event {head.number:,} is anchored in {to}.")
    elif as_json:
        print_json(head.as_dict())
    else:
        print(head)


@app.command()
def show(
    study: Annotated[str | None, typer.Option(help="Only events of this study.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only events about this subject of the study.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest events.")] = 20,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """The newest events: when, who, what, old and new value, and why."""
    from calliper.console import print_json, print_table
    from studies.errors import UsageError
    from studies.registry.audit import newest_events
    from studies.registry.workspace import open_registry

    if subject is not None and study is None:
        raise UsageError("A subject belongs to a study.", remedy="Name it with --study, too.")
    with open_registry(workspace) as registry, registry.reading() as connection:
        events = newest_events(connection, last, study, subject=subject)
    if as_json:
        print_json(events)
        return
    rows = [
        {
            "number": str(event["id"]), "at": event["at"][:19].replace("T", " "), "actor": event["actor"],
            "action": event["action"],
            "what": event["entity"] if event["erased"] else f"{event['entity']} {event['entity_key']}",
            "detail": "(erased with the person)" if event["erased"] else _short(event["detail"]),
        }
        for event in events
    ]  # fmt: skip
    print_table(rows)


def _short(detail: dict) -> str:
    if "old" in detail and "new" in detail:
        return f"{detail.get('field', '')}: {detail['old']} → {detail['new']} ({detail.get('reason', '')})"
    text = ", ".join(f"{key} {value}" for key, value in detail.items() if isinstance(value, str | int))
    return text[:100]


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"


def _anchors(count: int) -> str:
    return "its anchor" if count == 1 else f"its {count:,} anchors"
