"""`calliper checkpoint`: add, list, show, alias, export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calliper.options import DEFAULT_WORKSPACE, AsJson, Workspace

if TYPE_CHECKING:
    from models.checkpoints.card import Card
    from studies.registry.checkpoints import CheckpointRecord
    from studies.registry.leakage import Leak
    from studies.registry.workspace import Registry

app = typer.Typer(help="Model files: named, versioned, with aliases.", no_args_is_help=True)

Reference = Annotated[
    str, typer.Argument(metavar="NAME[@VERSION|@ALIAS]", help="A checkpoint; without version its newest. Or an alias.")
]
_WIDTH = 100


@app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .safetensors file, its card (.json) beside it.")],
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Check a checkpoint and copy it into the workspace, which is made where it is not there."""
    from calliper.console import print_json, remark
    from studies.registry.checkpoints import add_checkpoint
    from studies.registry.workspace import open_registry

    with open_registry(workspace, create=True) as registry:
        registry.on_wait = _waiting
        record, added = add_checkpoint(registry, file)
        leaks = _leaks(registry, record)
    if as_json:
        print_json({**record.as_dict(), "changed": added, "leaks": [leak.as_dict() for leak in leaks]})
    elif added:
        print(f"Added {record.reference} ({record.card.kind}) to {workspace}.")
        print(f"SHA-256 {record.card.weights_sha256}")
    else:
        print(f"{record.reference} is in {workspace} already, with the same weights and card. Nothing to do.")
    for leak in leaks:
        remark(f"Warning: {leak}")


@app.command("list")
def list_all(as_json: AsJson = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """All checkpoints, with their aliases. Those that come with Calliper are marked as packaged."""
    from calliper.console import print_json, print_table
    from studies.registry.checkpoints import all_checkpoints
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        records = all_checkpoints(registry)
    if as_json:
        print_json([record.as_dict() for record in records])
    elif records:
        print_table(
            [
                {
                    "kind": record.card.kind, "name": record.card.name, "version": record.card.version,
                    "aliases": ", ".join(record.aliases) or None, "size": _size(record.size),
                    "created": f"{record.card.created:%Y-%m-%d}", "licence": record.card.licence,
                    "from": "packaged" if record.id is None else "workspace",
                }
                for record in records
            ]
        )  # fmt: skip
    else:
        print("No checkpoint yet, and none is packaged with this version. Add one: calliper checkpoint add FILE")


@app.command()
def show(
    reference: Reference,
    study: Annotated[
        list[str] | None,
        typer.Option(metavar="STUDY", help="Tell how many of this study's subjects it was trained on; repeatable."),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="With --study: look its subjects up under this data set, too; repeatable."),
    ] = None,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """The card of a checkpoint: what it is, whom it was trained on, how well it does, what it cannot do."""
    from calliper.console import print_json
    from studies.errors import UsageError
    from studies.registry.checkpoints import resolve
    from studies.registry.leakage import leaks_of
    from studies.registry.workspace import open_registry

    if dataset and not study:
        raise UsageError("--dataset says where to look up a study's subjects.", remedy="Name one with --study.")
    with open_registry(workspace) as registry:
        record = resolve(registry, reference)
        looked_up = {name: leaks_of(registry, name, [record.card], datasets=dataset or ()) for name in study or ()}
    leaks = [leak for found in looked_up.values() for leak in found]
    if as_json:
        told = {"leaks": [leak.as_dict() for leak in leaks]} if study else {}
        print_json({**record.as_dict(), "card": record.card.model_dump(mode="json"), **told})
        return
    _print_card(record)
    if study:
        print("\nSubjects trained on")
        for name, found in looked_up.items():
            text = f"Warning: {found[0]}" if found else f"No subject of the study '{name}' is known to be among them."
            print(_wrapped(text))


@app.command()
def alias(
    reference: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="A checkpoint.")],
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="For example current or candidate.")],
    reason: Annotated[str | None, typer.Option(help="Why; it stands in the audit trail.")] = None,
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Let an alias stand for a checkpoint. Of each kind, one checkpoint has it; another that had it loses it."""
    from calliper.console import print_json
    from studies.registry.checkpoints import set_alias
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        registry.on_wait = _waiting
        change = set_alias(registry, reference, name, reason=reason)
    if as_json:
        print_json({**vars(change), "changed": change.changed})
    elif change.changed:
        was = f" It stood for {change.before} before." if change.before else ""
        print(f"'{name}' stands for the {change.kind} {change.checkpoint} now.{was}")
    else:
        print(f"'{name}' stands for the {change.kind} {change.checkpoint} already. Nothing to do.")


@app.command()
def export(
    reference: Reference,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write the two files.")],
    as_json: AsJson = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write the weights and the card of a checkpoint, as they were added, into a folder."""
    from calliper.console import print_json
    from studies.registry.checkpoints import export_checkpoint
    from studies.registry.workspace import open_registry

    with open_registry(workspace) as registry:
        registry.on_wait = _waiting
        paths = export_checkpoint(registry, reference, out)
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths:
            print(path)


def _waiting() -> None:
    from calliper.console import waiting

    waiting()


def _leaks(registry: Registry, record: CheckpointRecord) -> list[Leak]:
    """What is to be known before a checkpoint is used, of every study of the workspace."""
    from studies.registry.catalogue import list_studies
    from studies.registry.leakage import leaks_of

    with registry.reading() as connection:
        names = [study["name"] for study in list_studies(connection)]
    return [leak for name in names for leak in leaks_of(registry, name, [record.card])]


# The card for people to read ------------------------------------------------------------------------------------------


def _print_card(record: CheckpointRecord) -> None:
    from calliper.console import print_table

    card = record.card
    print(f"{record.reference}: {card.kind}" + (f", alias {', '.join(record.aliases)}" if record.aliases else ""))
    print()
    for label, text in _facts(record):
        print(f"{label:<13} {text}")
    print("\nInputs")
    print_table([{"name": i.name, "unit": i.unit, "optional": i.optional, "meaning": i.meaning} for i in card.inputs])
    print("\nOutputs")
    print_table([{"name": o.name, "unit": o.unit, "meaning": o.meaning} for o in card.outputs])
    print("\nTraining")
    print(_wrapped(card.training.data))
    print(_wrapped(_who(card)))
    if card.metrics:
        print("\nMetrics")
        rows = [
            {
                "metric": metric.name, "value": f"{metric.value:g}", "95% CI": _interval(metric.low, metric.high),
                "unit": metric.unit, "n": metric.n, "data": metric.data,
            }
            for metric in card.metrics
        ]  # fmt: skip
        print_table(rows, {key: key for key in rows[0]})
    print("\nLimitations")
    for limitation in card.limitations:
        print(_wrapped(limitation, first="- ", then="  "))


def _facts(record: CheckpointRecord) -> Iterator[tuple[str, str]]:
    card = record.card
    chosen = [f"{key} {_value(value)}" for key, value in card.architecture.hyperparameters.items()]
    yield "Architecture", f"{card.architecture.name}" + (f" ({'; '.join(chosen)})" if chosen else "")
    yield "Licence", card.licence
    yield "Created", f"{card.created:%Y-%m-%d %H:%M %Z}, calliper {card.software.calliper}, torch {card.software.torch}"
    if record.added_at is None:
        yield "Added", "packaged with Calliper"
    else:
        yield "Added", f"{record.added_at:%Y-%m-%d %H:%M} UTC"
    yield "Weights", f"{_size(record.size)}, SHA-256 {card.weights_sha256}"
    yield "File", str(record.path)


def _who(card: Card) -> str:
    training = card.training
    pictures = "Some or all of the pictures were rendered. " if training.rendered else "No picture was rendered. "
    if not training.subjects:
        return f"{pictures}No subject of any data set was trained on."
    return f"{pictures}Subjects: {training.subjects:,} of {', '.join(training.datasets)}, known by their hashes."


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _interval(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{low:g} to {high:g}"


def _size(size: int | None) -> str | None:
    if size is None:
        return "file is missing"
    return f"{size / 1e6:.2f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def _wrapped(text: str, first: str = "", then: str = "") -> str:
    from textwrap import fill

    return "\n".join(
        fill(part, _WIDTH, initial_indent=first if not number else then, subsequent_indent=then)
        for number, part in enumerate(text.split("\n"))
    )
