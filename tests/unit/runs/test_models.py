"""Which checkpoints a run takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_checkpoints import write_small

from studies.errors import ModelError
from studies.registry.checkpoints import add_checkpoint, resolve_each, set_alias
from studies.runs.models import choose_checkpoints


@pytest.fixture
def candidates(store, tmp_path: Path) -> dict[str, Path]:
    """Kind -> weights in the workspace of a checkpoint with the alias `candidate`."""
    found = {}
    for kind in ("segmenter", "avatar", "estimator"):
        record, _ = add_checkpoint(store, write_small(tmp_path / "made", kind))
        set_alias(store, record.reference, "candidate")
        found[kind] = record.path
    return found


def test_an_alias_stands_for_a_checkpoint_of_each_kind_that_has_it(store, candidates: dict[str, Path]) -> None:
    chosen = choose_checkpoints(store, ["candidate"])
    assert {kind: record.path for kind, record in chosen.items()} == candidates
    assert list(resolve_each(store, "small-avatar@1")) == ["avatar"]
    with pytest.raises(ModelError, match="no checkpoint 'nothing'"):
        resolve_each(store, "nothing")


def test_one_whose_files_are_gone_is_not_passed_over_for_the_current_one(store, candidates: dict[str, Path]) -> None:
    candidates["estimator"].unlink()
    with pytest.raises(ModelError, match="files of small-estimator@1 are gone"):
        choose_checkpoints(store, ["candidate"])
