"""The checkpoints of a run: what was asked for, and `current` for the kinds that nobody named."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from studies.errors import ModelError, UsageError
from studies.registry.checkpoints import CURRENT, CheckpointRecord, all_checkpoints, registered, resolve, resolve_each
from studies.registry.workspace import Registry
from studies.runs.run import RunModels
from studies.runs.work import PipelineSource

KINDS = ("segmenter", "avatar", "estimator")


def choose_checkpoints(registry: Registry, references: Sequence[str]) -> dict[str, CheckpointRecord]:
    """Kind -> checkpoint, registered. An alias stands for the checkpoints of all kinds that have it.

    Raises ModelError where a reference stands for nothing or what a run needs is not there, UsageError where two
    references name checkpoints of one kind.
    """
    offered = all_checkpoints(registry)
    chosen: dict[str, tuple[str, CheckpointRecord]] = {}
    for reference in references:
        for kind, record in resolve_each(registry, reference).items():
            if kind in chosen:
                raise UsageError(
                    f"'{chosen[kind][0]}' and '{reference}' both name a checkpoint of the kind '{kind}'.",
                    remedy="A run has one of each kind.",
                )
            chosen[kind] = (reference, record)
    for kind in KINDS:
        if kind not in chosen and any(record.card.kind == kind and CURRENT in record.aliases for record in offered):
            chosen[kind] = (CURRENT, resolve(registry, CURRENT, kind=kind))
    _check_complete(chosen.keys())
    return {kind: registered(registry, chosen[kind][1]) for kind in KINDS if kind in chosen}


def _check_complete(kinds: Collection[str]) -> None:
    if "segmenter" not in kinds:
        missing = "segmenter"
    elif not {"avatar", "estimator"} & set(kinds):
        missing = "avatar or estimator"
    else:
        return
    raise ModelError(
        f"The run has no {missing}: none was named, and none has the alias '{CURRENT}'.",
        remedy=f"Add one (calliper checkpoint add FILE) and name it with --checkpoint, or make it '{CURRENT}' "
        f"(calliper checkpoint alias NAME@VERSION {CURRENT}).",
    )


def models_of(chosen: dict[str, CheckpointRecord]) -> tuple[RunModels, PipelineSource]:
    """What a run is told of its checkpoints, and how its workers load them."""
    ids = tuple(record.id for record in chosen.values() if record.id is not None)
    hashes = {kind: record.card.sha256 for kind, record in chosen.items()}
    files = tuple((kind, str(record.path.resolve())) for kind, record in chosen.items())
    return RunModels(ids, hashes), PipelineSource(files)
