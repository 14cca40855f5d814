"""Checkpoints on disk: what is written is read again, and nothing else than fitting weights is given out."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from models.checkpoints import Description, packaged_checkpoints, read_card, read_checkpoint, write_checkpoint
from models.checkpoints import files as checkpoint_files
from models.checkpoints.files import MOST_BYTES
from models.errors import ModelFileError
from models.networks import ARCHITECTURES

KINDS = ("segmenter", "avatar", "estimator")


@pytest.fixture
def tiny(tmp_path: Path, tiny_checkpoint) -> Path:
    return tiny_checkpoint(tmp_path)


def refit(path: Path, raw: bytes, **keys: Any) -> Path:
    """Other weights at `path`, with a card that claims them: what someone would write who wants them to be read."""
    card = path.with_suffix(".json")
    document = json.loads(card.read_text(encoding="utf-8")) | {"weights_sha256": hashlib.sha256(raw).hexdigest()} | keys
    card.write_text(json.dumps(document), encoding="utf-8")
    path.write_bytes(raw)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ModelFileError) as error:
        read_checkpoint(path)
    assert error.value.remedy
    assert str(path.parent / path.stem) in error.value.what
    return error.value.what


# Round trips ----------------------------------------------------------------------------------------------------------


def test_every_architecture_has_a_kind_that_is_tried_here() -> None:
    assert {architecture.kind for architecture in ARCHITECTURES.values()} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_read_as_it_was_written(tmp_path: Path, tiny_checkpoint, kind: str) -> None:
    path = tiny_checkpoint(tmp_path, kind=kind, name="some", version=12)
    assert path.name == "some-12.safetensors"
    loaded = read_checkpoint(path)
    assert loaded.card == read_card(path)
    assert (loaded.card.kind, loaded.card.reference) == (kind, "some@12")
    assert not loaded.module.training
    stored = load(path.read_bytes())
    state = loaded.module.state_dict()
    assert list(state)
    assert set(state) == set(stored)
    assert all(torch.equal(state[name], stored[name]) for name in stored)
    assert all(parameter.requires_grad for parameter in loaded.module.parameters())


def test_the_same_network_and_card_give_the_same_bytes(tmp_path: Path, tiny_checkpoint) -> None:
    first, second, other = (
        tiny_checkpoint(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    for suffix in (".safetensors", ".json"):
        contents = [path.with_suffix(suffix).read_bytes() for path in (first, second, other)]
        assert contents[0] == contents[1] != contents[2]
    assert sorted(path.name for path in first.parent.iterdir()) == ["tiny-1.json", "tiny-1.safetensors"]


def test_weights_in_another_memory_format_are_stored_as_they_are_meant(tmp_path: Path, tiny: Path) -> None:
    loaded = read_checkpoint(tiny)
    module = loaded.module.to(memory_format=torch.channels_last)
    said = {key: getattr(loaded.card, key) for key in Description.model_fields}
    path = write_checkpoint(tmp_path / "again", Description(**said), module)
    assert path.read_bytes() == tiny.read_bytes()


def test_weights_in_half_precision_come_back_in_single(tmp_path: Path, tiny: Path) -> None:
    loaded = read_checkpoint(tiny)
    said = {key: getattr(loaded.card, key) for key in Description.model_fields}
    path = write_checkpoint(tmp_path / "half", Description(**said), loaded.module, half=True)
    assert path.stat().st_size < 0.8 * tiny.stat().st_size  # a small network with a long header
    expected, found = loaded.module.state_dict(), read_checkpoint(path).module.state_dict()
    learnt = {name for name, _ in loaded.module.named_parameters()}
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name].half().float() if name in learnt else expected[name]), name
    again = write_checkpoint(tmp_path / "again", Description(**said), read_checkpoint(path).module, half=True)
    assert again.read_bytes() == path.read_bytes()
    large = read_checkpoint(tiny).module
    with torch.no_grad():
        next(large.parameters()).fill_(1e6)
    with pytest.raises(ModelFileError, match="not finite numbers"):
        write_checkpoint(tmp_path / "large", Description(**said), large, half=True)


def test_reading_draws_no_random_numbers(tiny: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    read_checkpoint(tiny)
    assert torch.equal(torch.rand(3), expected)


def test_another_checkpoint_of_the_same_version_is_not_overwritten(tmp_path: Path, tiny: Path, tiny_checkpoint) -> None:
    before = tiny.read_bytes()
    assert tiny_checkpoint(tmp_path) == tiny  # the same again
    with pytest.raises(ModelFileError, match="another checkpoint of the same name and version"):
        tiny_checkpoint(tmp_path, seed=1)
    assert tiny.read_bytes() == before
    loaded = read_checkpoint(tiny_checkpoint(tmp_path / "other", seed=1))
    said = {key: getattr(loaded.card, key) for key in Description.model_fields}
    write_checkpoint(tmp_path, Description(**said), loaded.module, replace=True)
    assert tiny.read_bytes() != before
    read_checkpoint(tiny)


def test_what_would_be_refused_is_not_written(tmp_path: Path, tiny: Path) -> None:
    loaded = read_checkpoint(tiny)
    said = {key: getattr(loaded.card, key) for key in Description.model_fields}
    with torch.no_grad():
        next(loaded.module.parameters()).fill_(float("nan"))
    with pytest.raises(ModelFileError, match="not finite numbers"):
        write_checkpoint(tmp_path / "new", Description(**said), loaded.module)
    with pytest.raises(ModelFileError, match="lacks weights"):
        write_checkpoint(tmp_path / "new", Description(**said), torch.nn.Linear(2, 2))
    assert not (tmp_path / "new").exists()


def test_packaged_checkpoints_are_those_in_the_package(tmp_path: Path, tiny: Path, monkeypatch) -> None:
    for path in packaged_checkpoints():  # those that are there must be usable
        read_checkpoint(path)
    monkeypatch.setattr(checkpoint_files, "_PACKAGED", tmp_path)
    assert packaged_checkpoints() == [tiny]
    monkeypatch.setattr(checkpoint_files, "_PACKAGED", tmp_path / "none")
    assert packaged_checkpoints() == []


# What is refused ------------------------------------------------------------------------------------------------------


def state_of(path: Path) -> dict[str, torch.Tensor]:
    return load(path.read_bytes())


def first(state: dict[str, torch.Tensor]) -> str:
    return next(name for name, tensor in state.items() if tensor.is_floating_point() and tensor.ndim)


def without_one(state: dict[str, torch.Tensor]) -> None:
    del state[first(state)]


def with_one_more(state: dict[str, torch.Tensor]) -> None:
    state["extra"] = torch.ones(2)


def of_another_shape(state: dict[str, torch.Tensor]) -> None:
    state[first(state)] = state[first(state)][:1].clone()


def of_brain_floats(state: dict[str, torch.Tensor]) -> None:
    state[first(state)] = state[first(state)].bfloat16()


def of_whole_numbers(state: dict[str, torch.Tensor]) -> None:
    state[first(state)] = state[first(state)].int()


def of_complex_numbers(state: dict[str, torch.Tensor]) -> None:
    state[first(state)] = state[first(state)].to(torch.complex64)


def with_nan(state: dict[str, torch.Tensor]) -> None:
    state[first(state)].view(-1)[-1] = float("nan")


def with_infinity(state: dict[str, torch.Tensor]) -> None:
    state[first(state)].view(-1)[0] = float("-inf")


def renamed(state: dict[str, torch.Tensor]) -> None:
    state["module." + first(state)] = state.pop(first(state))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without_one, "lacks weights that 'unet-1' has: "),
        (with_one_more, "has weights that 'unet-1' has not: extra."),
        (of_another_shape, "has the shape 1"),
        (of_brain_floats, "is stored as BF16, but 'unet-1' has float32."),
        (of_whole_numbers, "is stored as I32, but 'unet-1' has float32."),
        (of_complex_numbers, "is stored as C64, but 'unet-1' has float32."),
        (with_nan, "holds weights that are not finite numbers (NaN or infinite): "),
        (with_infinity, "holds weights that are not finite numbers (NaN or infinite): "),
        (renamed, "lacks weights that 'unet-1' has: "),
        (dict.clear, "lacks weights that 'unet-1' has: "),
    ],
)
def test_weights_that_do_not_fit_are_refused(tiny: Path, change: Callable[..., None], told: str) -> None:
    state = state_of(tiny)
    change(state)
    assert told in refused(refit(tiny, save(state)))


def test_a_file_that_is_not_the_cards_is_refused(tiny: Path, tmp_path: Path, tiny_checkpoint) -> None:
    other = tiny_checkpoint(tmp_path / "other", seed=1)
    tiny.write_bytes(other.read_bytes())
    assert "is damaged, or is not the file that its card describes" in refused(tiny)


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        ({"name": "unet-99", "hyperparameters": {}}, "'unet-99' is not known"),
        ({"name": "unet-1", "hyperparameters": {"widths": [4, 8]}}, "lacks weights"),
        ({"name": "unet-1", "hyperparameters": {"depth": 3}}, "no hyperparameter 'depth'"),
        ({"name": "unet-1", "hyperparameters": {"widths": [2**30]}}, "hyperparameter 'widths'"),
        ({"name": "unet-1", "hyperparameters": {"widths": "4"}}, "hyperparameter 'widths'"),
        ({"name": "unet-1", "hyperparameters": {"widths": [4.5]}}, "hyperparameters"),
    ],
)
def test_an_architecture_that_is_not_known_or_not_that_of_the_weights_is_refused(
    tiny: Path, architecture: dict[str, Any], told: str
) -> None:
    assert told in refused(refit(tiny, tiny.read_bytes(), architecture=architecture))


def test_an_architecture_of_another_kind_is_refused(tiny: Path) -> None:
    path = refit(tiny, tiny.read_bytes(), kind="estimator")
    assert "kind 'estimator', but its architecture 'unet-1' is that of the kind 'segmenter'" in refused(path)


def test_a_card_cannot_ask_for_more_memory_than_the_file_has(tiny: Path) -> None:
    """25 GB of weights by its hyperparameters, each of them within its limits."""
    giant = {"components": 1024, "features": 1024}
    path = refit(
        tiny, tiny.read_bytes(), kind="estimator", architecture={"name": "body-fat-1", "hyperparameters": giant}
    )
    assert "lacks weights that 'body-fat-1' has" in refused(path)


class Evil:
    """Tells when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("unpickled",)


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.pkl", "w.PT", "w.bin", "w.ckpt", "w.safetensors"])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("card", [True, False])
def test_pickled_files_are_never_opened(
    tiny: Path, tmp_path: Path, monkeypatch, name: str, form: str, card: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    if form == "pickle":
        path.write_bytes(pickle.dumps(Evil()))
    else:
        torch.save({"x": Evil()}, path, _use_new_zipfile_serialization=form == "zip")
    assert zipfile.is_zipfile(path) == (form == "zip")
    if card:
        path.with_suffix(".json").write_bytes(tiny.with_suffix(".json").read_bytes())
        refit(path, path.read_bytes())
    assert "is a pickled file" in refused(path)
    with pytest.raises(ModelFileError) as error:
        read_card(path) if not card or name != "w.safetensors" else read_checkpoint(path)
    assert "docs/checkpoints.md shows how" in error.value.remedy
    assert not (tmp_path / "unpickled").exists()


def test_a_header_whose_length_looks_like_a_pickle_is_no_pickle(tmp_path: Path, tiny: Path) -> None:
    raw = tiny.read_bytes()
    header = raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]].rstrip()
    length = 0x0480  # the bytes 80 04, as a pickle begins
    assert len(header) <= length
    refit(tiny, struct.pack("<Q", length) + header.ljust(length) + raw[8 + struct.unpack("<Q", raw[:8])[0] :])
    read_checkpoint(tiny)


def test_paths_that_are_no_checkpoint_are_refused(tmp_path: Path, tiny: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "loop.safetensors").symlink_to(tmp_path / "loop.safetensors")
    (tmp_path / "gone.safetensors").symlink_to(tmp_path / "nowhere")
    with (tmp_path / "sparse.safetensors").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for name in ("pipe", "folder", "loop", "gone", "sparse"):
        (tmp_path / f"{name}.json").write_bytes(tiny.with_suffix(".json").read_bytes())
    assert "is not a file" in refused(tmp_path / "pipe.safetensors")
    assert "cannot be read: Is a directory" in refused(tmp_path / "folder.safetensors")
    assert "cannot be read: Too many levels of symbolic links" in refused(tmp_path / "loop.safetensors")
    assert "cannot be read: No such file" in refused(tmp_path / "gone.safetensors")
    assert "has 512 MB; at most 512 are read" in refused(tmp_path / "sparse.safetensors")
    assert "There is no file" in refused(tmp_path / "none.safetensors")
    assert "is a card" in refused(tiny.with_suffix(".json"))
    for path in (".", "..", "/", "a\0b", ""):
        with pytest.raises(ModelFileError):
            read_checkpoint(path)


@pytest.mark.parametrize("name", ["pipe", "folder"])
def test_a_card_that_is_no_file_is_refused(tmp_path: Path, tiny: Path, name: str) -> None:
    card = tiny.with_suffix(".json")
    card.unlink()
    assert "has no card" in refused(tiny)
    os.mkfifo(card) if name == "pipe" else card.mkdir()
    assert str(card) in refused(tiny)


# Damage ---------------------------------------------------------------------------------------------------------------


def as_damaged(data: st.DataObject, raw: bytes) -> bytes:
    """Bits turned, stretches overwritten, left out or put in, and cut short, now and then in the header alone."""
    found = bytearray(raw)
    header = 8 + int.from_bytes(raw[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        if not found:
            break
        at = data.draw(st.integers(0, min(len(found), data.draw(st.sampled_from([8, header, len(raw)]))) - 1))
        match data.draw(st.sampled_from(["bit", "bytes", "cut", "out", "in"])):
            case "bit":
                found[at] ^= 1 << data.draw(st.integers(0, 7))
            case "bytes":
                part = data.draw(st.binary(min_size=1, max_size=16))
                found[at : at + len(part)] = part
            case "cut":
                del found[at:]
            case "out":
                del found[at : at + data.draw(st.integers(1, 16))]
            case "in":
                found[at:at] = data.draw(st.binary(min_size=1, max_size=16))
    return bytes(found)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_checkpoint) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def broken(tmp_path_factory, whole: Path) -> Path:
    """A path at which each example writes anew, the card of the whole checkpoint beside it."""
    path = tmp_path_factory.mktemp("broken") / "tiny-1.safetensors"
    path.with_suffix(".json").write_bytes(whole.with_suffix(".json").read_bytes())
    return path


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused(whole: Path, broken: Path, data: st.DataObject) -> None:
    raw = whole.read_bytes()
    damaged = as_damaged(data, raw)
    broken.write_bytes(damaged)
    broken.with_suffix(".json").write_bytes(whole.with_suffix(".json").read_bytes())
    if damaged == raw:
        read_checkpoint(broken)
    else:
        refused(broken)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_with_a_card_that_fits_it_is_refused_or_usable(
    whole: Path, broken: Path, data: st.DataObject
) -> None:
    """Nothing but the hash stands between a turned bit and the network; what is behind it must hold by itself."""
    refit(broken, as_damaged(data, whole.read_bytes()))
    try:
        loaded = read_checkpoint(broken)
    except ModelFileError:
        refused(broken)  # each time, and with the name of the file
    else:
        state, expected = loaded.module.state_dict(), state_of(whole)
        assert {name: (t.shape, t.dtype) for name, t in state.items()} == {
            name: (t.shape, t.dtype) for name, t in expected.items()
        }
        assert all(tensor.isfinite().all() for tensor in state.values())
