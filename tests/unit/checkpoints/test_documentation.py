"""What docs/checkpoints.md says is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import torch
from pydantic import BaseModel

from models.checkpoints import Card, packaged_checkpoints, read_checkpoint, subject_hash
from models.checkpoints import card as cards
from models.checkpoints import files as checkpoint_files
from models.networks import ARCHITECTURES, build

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
WORDS = " ".join(TEXT.split())


def keys(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Every key of a card, as the documentation writes them."""
    for name, field in model.model_fields.items():
        parts = [field.annotation, *get_args(field.annotation)]
        below = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        if below:
            many = "[]" if len(parts) > 1 else ""
            yield from keys(below[0], f"{before}{name}{many}.")
        else:
            yield before + name


def test_every_key_of_a_card_is_described() -> None:
    table = TEXT.split("| key | holds |")[1].split("\n\n")[0]
    described = set()
    for row in table.splitlines()[2:]:
        first, *others = re.findall(r"`([^`]+)`", row.split("|")[1])
        described.add(first)
        described.update(first.rpartition(".")[0] + other if other.startswith(".") else other for other in others)
    assert described == set(keys(Card))


def test_names_and_limits_are_those_of_the_code() -> None:
    for name in ARCHITECTURES:
        assert f"`{name}`" in TEXT
    assert f"files over {checkpoint_files.MOST_BYTES // 2**20} MB, cards over {cards.MOST_BYTES // 2**20} MB" in WORDS
    assert f"the first {cards.HASH_DIGITS} hexadecimal digits of the SHA-256 of `DATASET:SUBJECT_ID`" in WORDS
    assert len(subject_hash("nhanes-1999", "10001")) == cards.HASH_DIGITS


def test_it_says_whether_checkpoints_are_packaged() -> None:
    assert ("No checkpoint is packaged with Calliper yet." in TEXT) == (not packaged_checkpoints())


def test_a_pickled_file_can_be_converted_as_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    widths = [24, 40, 64, 88, 104]
    state = build("unet-1", {"widths": widths}).state_dict()
    torch.save(state, "weights.pt")
    exec(compile(code, "docs/checkpoints.md", "exec"), {})
    loaded = read_checkpoint("converted/outline-1.safetensors")
    assert loaded.card.reference == "outline@1"
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.module.state_dict().items())
