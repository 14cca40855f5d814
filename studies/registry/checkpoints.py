"""The checkpoints of a workspace, in MLflow's words: name, version, alias.

A registered checkpoint is a row with its card, and a folder `checkpoints/ab/abcd…` in the workspace, named by the hash
of card and weights together, with both files. A folder comes to be at one stroke, within the transaction that brings
the row: killed in between, it leaves a whole folder that no row names, and the next attempt takes it over. Checkpoints
that come with Calliper are offered beside the registered ones; they are registered when they are first used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, update

from models.checkpoints.card import Card, parse_card
from models.checkpoints.files import (
    CARD,
    WEIGHTS,
    packaged_checkpoints,
    read_card,
    read_weights,
    sync_folder,
    write_files,
)
from models.errors import ModelFileError
from studies.errors import ModelError, StorageError, UsageError
from studies.registry import audit
from studies.registry.schema import CHECKPOINT_KINDS, Checkpoint, CheckpointAlias
from studies.registry.workspace import Registry
from studies.suggestions import suggestion

CURRENT = "current"
"""The alias that a packaged checkpoint answers to as long as no other of its kind has it."""

_FOLDER = "checkpoints"
_REFERENCE = re.compile(r"(?P<name>[^@\s]+)(?:@(?P<which>[^@\s]+))?")
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class CheckpointRecord:
    """A checkpoint that a workspace offers. `path`: its weights, the card beside them. `id` and `added_at` are None for
    a packaged one that is not registered (yet).
    """

    card: Card
    path: Path
    aliases: tuple[str, ...] = ()
    id: int | None = None
    added_at: datetime | None = None

    @property
    def reference(self) -> str:
        """NAME@VERSION."""
        return self.card.reference

    @property
    def size(self) -> int | None:
        """Bytes of the weights; None where the file is gone."""
        try:
            return self.path.stat().st_size
        except OSError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """What `checkpoint list` says of it."""
        return {
            "kind": self.card.kind, "name": self.card.name, "version": self.card.version,
            "aliases": list(self.aliases), "bytes": self.size, "created": self.card.created.isoformat(),
            "licence": self.card.licence, "packaged": self.id is None,
            "added": None if self.added_at is None else self.added_at.isoformat(timespec="seconds"),
            "sha256": self.card.weights_sha256, "path": str(self.path),
        }  # fmt: skip


# Looking up -----------------------------------------------------------------------------------------------------------


def all_checkpoints(registry: Registry) -> list[CheckpointRecord]:
    """Every checkpoint that the workspace offers, by kind, name and version."""
    with registry.reading() as connection:
        return _all(registry, connection)


def packaged_records() -> list[CheckpointRecord]:
    """The checkpoints that come with Calliper, as a workspace with no others offers them."""
    return _with_packaged([])


def resolve(registry: Registry, reference: str, *, kind: str | None = None) -> CheckpointRecord:
    """The checkpoint that "NAME@VERSION", "NAME@ALIAS", "ALIAS" or "NAME" (its newest version) stands for.

    kind: look among those of this kind alone, as one alias may stand for one of each kind. Its card is what was
    registered; the weights are checked when they are read. Raises ModelError where there is none, where it is not clear
    which is meant, or where its files are gone or were changed.
    """
    offered = all_checkpoints(registry)
    found = find_checkpoint([record for record in offered if kind in (None, record.card.kind)], reference, kind)
    _check_files(found)
    return found


def resolve_each(registry: Registry, reference: str) -> dict[str, CheckpointRecord]:
    """Kind -> checkpoint, of every kind for which the reference stands for one.

    Raises ModelError where it stands for none, or where the files of one are gone or were changed.
    """
    offered = all_checkpoints(registry)
    found = {}
    for kind in CHECKPOINT_KINDS:
        with suppress(ModelError):
            mine = [record for record in offered if record.card.kind == kind]
            found[kind] = find_checkpoint(mine, reference, kind)
    if not found:
        find_checkpoint(offered, reference, None)  # says what is wrong with it
    for record in found.values():
        _check_files(record)
    return found


def card_of_row(row: Any) -> Card:
    """The card in a row of the table `checkpoint`. Raises ModelError where it was changed by hand."""
    try:
        return parse_card(json.dumps(row.card), f"The card of {row.name}@{row.version} in the database")
    except ModelFileError as error:
        raise ModelError(error.what, remedy="Someone changed the database by hand. Restore a backup.") from error


def _all(registry: Registry, connection: Connection) -> list[CheckpointRecord]:
    return _with_packaged(_registered(registry, connection))


def _with_packaged(records: Sequence[CheckpointRecord]) -> list[CheckpointRecord]:
    found = {record.reference: record for record in records}
    packaged = [CheckpointRecord(read_card(path), path) for path in packaged_checkpoints()]
    for record in packaged:
        found.setdefault(record.reference, record)
    for kind in CHECKPOINT_KINDS:
        mine = [record for record in found.values() if record.card.kind == kind]
        shipped = [found[record.reference] for record in packaged if record.card.kind == kind]
        if shipped and not any(CURRENT in record.aliases for record in mine):
            newest = max(shipped, key=lambda record: (record.card.created, record.card.name, record.card.version))
            found[newest.reference] = replace(newest, aliases=(*newest.aliases, CURRENT))
    return sorted(
        found.values(),
        key=lambda record: (CHECKPOINT_KINDS.index(record.card.kind), record.card.name, record.card.version),
    )


def _registered(registry: Registry, connection: Connection) -> list[CheckpointRecord]:
    aliases: dict[int, list[str]] = {}
    for row in connection.execute(select(CheckpointAlias.__table__).order_by(CheckpointAlias.alias)):
        aliases.setdefault(row.checkpoint_id, []).append(row.alias)
    return [
        CheckpointRecord(
            card_of_row(row), registry.folder / row.location, tuple(aliases.get(row.id, ())), row.id, row.created_at
        )
        for row in connection.execute(select(Checkpoint.__table__).order_by(Checkpoint.id))
    ]


def find_checkpoint(records: Sequence[CheckpointRecord], reference: str, kind: str | None) -> CheckpointRecord:
    """The one of these records that a reference stands for, as in `resolve`; its files are not looked at."""
    what = f"{kind} checkpoint" if kind else "checkpoint"
    parts = _REFERENCE.fullmatch(reference)
    if parts is None:
        raise ModelError(
            f"'{reference}' does not name a checkpoint.", remedy="Write NAME@VERSION, NAME@ALIAS or ALIAS."
        )
    name, which = parts["name"], parts["which"]
    aliased = [record for record in records if name in record.aliases]
    if which is None and len(aliased) > 1:
        raise ModelError(
            f"'{name}' is the alias of several checkpoints.",
            remedy=f"Say which: {', '.join(f'{record.card.name}@{name}' for record in aliased)}.",
        )
    if which is None and aliased:
        return aliased[0]
    named = [record for record in records if record.card.name == name]
    if not named:
        known = {record.card.name for record in records} | ({a for record in records for a in record.aliases})
        remedy = suggestion(name, known) or f"No {what} is there yet. Add one: calliper checkpoint add FILE."
        raise ModelError(f"There is no {what} '{name}'.", remedy=remedy)
    if which is None:
        return max(named, key=lambda record: record.card.version)
    fitting = [record for record in named if which == str(record.card.version) or which in record.aliases]
    if not fitting:
        has = [str(record.card.version) for record in named] + sorted({a for record in named for a in record.aliases})
        raise ModelError(f"{name} has no version or alias '{which}'.", remedy=f"It has: {', '.join(has)}.")
    return fitting[0]


def _check_files(record: CheckpointRecord) -> None:
    """That both files are there, and the card says what was registered."""
    try:
        unchanged = read_card(record.path) == record.card and record.path.is_file()
    except ModelFileError as error:
        raise ModelError(
            f"The files of {record.reference} cannot be used: {error.what}",
            remedy="Add the checkpoint again: calliper checkpoint add FILE. All else stays as it is.",
        ) from error
    if not unchanged:
        raise ModelError(
            f"The files of {record.reference} are gone, or its card is not what was registered: {record.path}.",
            remedy="Add the checkpoint again: calliper checkpoint add FILE. All else stays as it is.",
        )


# Changing -------------------------------------------------------------------------------------------------------------


def add_checkpoint(registry: Registry, path: Path | str) -> tuple[CheckpointRecord, bool]:
    """Register the checkpoint whose weights are at `path`; whether anything had to be done.

    Raises ModelFileError where the files are refused, and ModelError where another checkpoint has this name and version
    or its name is an alias.
    """
    from models.checkpoints.weights import network_of

    path = Path(path)
    card, raw = read_card(path), read_weights(path)
    network_of(card, raw, path)
    for packaged in packaged_checkpoints():
        _check_same(read_card(packaged), card)
    with _writing_files(registry.folder), registry.scratch() as scratch:
        made = scratch / "checkpoint"
        write_files({made / f"{card.stem}{WEIGHTS}": raw, made / f"{card.stem}{CARD}": card.text().encode()})
        with registry.writing() as connection:
            done = _register(registry, connection, card, made)
        return next(r for r in all_checkpoints(registry) if r.reference == card.reference), done


def registered(registry: Registry, record: CheckpointRecord) -> CheckpointRecord:
    """The same checkpoint with its `id` in the registry; a packaged one is added, so that it outlasts an upgrade."""
    return record if record.id is not None else add_checkpoint(registry, record.path)[0]


def _register(registry: Registry, connection: Connection, card: Card, made: Path) -> bool:
    """Give the folder `made` its place and the card its row; False where all of it is there already."""
    records = _registered(registry, connection)
    if any(card.name in record.aliases for record in records):
        raise ModelError(f"'{card.name}' is an alias in this registry.", remedy="Give the checkpoint another name.")
    same = next((record for record in records if record.reference == card.reference), None)
    if same is not None:
        _check_same(same.card, card)
    folder = Path(_FOLDER) / card.sha256[:2] / card.sha256
    place = registry.folder / folder
    present = _is_whole(place / f"{card.stem}{WEIGHTS}", card)
    if same is not None and present:
        return False
    if not present:
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.rename(made, place)
        sync_folder(place.parent)
    if same is None:
        connection.execute(
            insert(Checkpoint).values(
                kind=card.kind, name=card.name, version=card.version, sha256=card.weights_sha256,
                location=(folder / f"{card.stem}{WEIGHTS}").as_posix(), card=json.loads(card.text()),
                created_at=audit.utc_now(),
            )
        )  # fmt: skip
    detail = {
        "kind": card.kind, "sha256": card.weights_sha256, "card_sha256": card.sha256, "licence": card.licence,
        "subjects_trained_on": card.training.subjects,
    }  # fmt: skip
    action = "add" if same is None else "restore"
    audit.append(connection, [audit.Event(action, "checkpoint", card.reference, detail)])
    return True


def _check_same(there: Card, card: Card) -> None:
    if there.reference != card.reference or there == card:
        return
    if there.weights_sha256 != card.weights_sha256:
        how = f"with other weights: SHA-256 {there.weights_sha256[:12]}…, not {card.weights_sha256[:12]}…"
    else:
        differing = [key for key in Card.model_fields if getattr(there, key) != getattr(card, key)]
        how = f"with the same weights but another card: {', '.join(differing)} differ"
    raise ModelError(
        f"There is a checkpoint {card.reference} already, {how}.",
        remedy=f"A version never changes. Give this one the version {card.version + 1} or a later one.",
    )


def _is_whole(path: Path, card: Card) -> bool:
    try:
        return read_card(path) == card and hashlib.sha256(read_weights(path)).hexdigest() == card.weights_sha256
    except ModelFileError:
        return False


@dataclass(frozen=True)
class AliasChange:
    """`alias` stands for `checkpoint` (NAME@VERSION) now, among those of its kind; `before` for what it stood."""

    alias: str
    kind: str
    checkpoint: str
    before: str | None

    @property
    def changed(self) -> bool:
        return self.checkpoint != self.before


def set_alias(registry: Registry, reference: str, alias: str, *, reason: str | None = None) -> AliasChange:
    """Let an alias stand for a checkpoint; the other of its kind that had it loses it.

    Raises UsageError for what cannot be an alias, ModelError where there is no such checkpoint.
    """
    if not _ALIAS.fullmatch(alias):
        raise UsageError(
            f"'{alias}' cannot be an alias.",
            remedy="Use small letters, digits, dashes and underscores, at most 64, beginning with a letter.",
        )
    record = registered(registry, resolve(registry, reference))
    with registry.writing() as connection:
        if any(other.card.name == alias for other in _all(registry, connection)):
            raise UsageError(f"'{alias}' is the name of a checkpoint.", remedy="Choose another alias.")
        kind = record.card.kind
        mine = (CheckpointAlias.kind == kind, CheckpointAlias.alias == alias)
        records = _registered(registry, connection)
        before = next((r.reference for r in records if r.card.kind == kind and alias in r.aliases), None)
        change = AliasChange(alias, kind, record.reference, before)
        if change.changed:
            if before is None:
                values = {"kind": kind, "alias": alias, "checkpoint_id": record.id}
                connection.execute(insert(CheckpointAlias).values(**values))
            else:
                connection.execute(update(CheckpointAlias).where(*mine).values(checkpoint_id=record.id))
            detail = {"alias": alias, "kind": kind, "before": before, "reason": reason}
            audit.append(connection, [audit.Event("alias", "checkpoint", record.reference, detail)])
    return change


def export_checkpoint(registry: Registry, reference: str, folder: Path | str) -> list[Path]:
    """Write both files of a checkpoint into `folder` as NAME-VERSION; returns their paths.

    Raises ModelError where there is no such checkpoint or its weights are damaged, UsageError where other files of
    these names are there, StorageError where the folder cannot be written.
    """
    record = resolve(registry, reference)
    card, raw = record.card, read_weights(record.path)
    if hashlib.sha256(raw).hexdigest() != card.weights_sha256:
        raise ModelError(
            f"The weights of {record.reference} are damaged: {record.path}.",
            remedy="Add the checkpoint again: calliper checkpoint add FILE. All else stays as it is.",
        )
    folder = Path(os.path.abspath(folder))
    contents = {folder / f"{card.stem}{WEIGHTS}": raw, folder / f"{card.stem}{CARD}": card.text().encode()}
    with _writing_files(folder):
        for path, data in contents.items():
            if os.path.lexists(path) and not (path.is_file() and path.read_bytes() == data):
                raise UsageError(f"{path} is there already and is another file.", remedy="Give another --out.")
        with registry.writing() as connection:
            detail = {"folder": str(folder), "sha256": card.weights_sha256}
            audit.append(connection, [audit.Event("export", "checkpoint", record.reference, detail)])
            write_files(contents)
    return list(contents)


@contextmanager
def _writing_files(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}.",
            remedy="Check the space on the disk and your rights on the folder. Nothing was half written.",
        ) from error
