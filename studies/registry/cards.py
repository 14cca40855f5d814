"""The cards of the checkpoints in use, as reports tell of them, with what a study shares with their training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from models.checkpoints.card import Card
from studies.registry.catalogue import StudyRecord
from studies.registry.checkpoints import CheckpointRecord, all_checkpoints, card_of_row
from studies.registry.leakage import leaked_counts
from studies.registry.schema import Checkpoint, RunCheckpoint
from studies.registry.workspace import Registry

CURRENT = "current"


def run_cards(connection: Connection, study: StudyRecord, run_id: int) -> list[dict[str, Any]]:
    """The cards of a run's checkpoints, by kind and name; see `described`."""
    rows = connection.execute(
        select(Checkpoint.__table__)
        .join(RunCheckpoint, RunCheckpoint.checkpoint_id == Checkpoint.id)
        .where(RunCheckpoint.run_id == run_id)
        .order_by(Checkpoint.kind, Checkpoint.name, Checkpoint.version)
    )
    return [described(connection, study, card_of_row(row)) for row in rows]


def current_cards(registry: Registry, study: StudyRecord) -> list[dict[str, Any]]:
    """The cards of the checkpoints for which the alias `current` stands, one of each kind."""
    records: Iterable[CheckpointRecord] = [item for item in all_checkpoints(registry) if CURRENT in item.aliases]
    with registry.reading() as connection:
        return [described(connection, study, record.card) for record in records]


def described(connection: Connection, study: StudyRecord, card: Card) -> dict[str, Any]:
    """A card as plain JSON, without the hashes of subjects, and `leakage`: {"leaked", "subjects"} of the study."""
    content = card.model_dump(mode="json")
    del content["training"]["subject_hashes"]
    leaked, subjects = leaked_counts(connection, study, card)
    return {**content, "leakage": {"leaked": leaked, "subjects": subjects}}
