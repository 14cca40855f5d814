"""The weights of a checkpoint, given out only if they are those of its card, whole, finite, and fit its architecture.

Format: safetensors (8 bytes with the length of a JSON header, the header, the numbers). No more memory is taken than
the file's size warrants, whatever its header or the card claim.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor, nn

from models.checkpoints.card import Card, Description, no_key_twice
from models.checkpoints.files import AGAIN, CARD, WEIGHTS, read_card, read_weights, refuse_pickled, write_files
from models.errors import ModelFileError
from models.networks import ARCHITECTURES, build

_MOST_HEADER = 2**20  # bytes: some ten thousand tensors
_NAMES_TOLD = 3
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory: its card, and the network with its weights, in evaluation mode on the CPU."""

    card: Card
    module: nn.Module


def read_checkpoint(path: Path | str) -> Loaded:
    """The checkpoint whose weights are at `path`, its card beside them.

    Raises: ModelFileError for anything else than weights that fit the card and its architecture: what is wrong, and
    what to do.
    """
    path = Path(path)
    card = read_card(path)
    return Loaded(card, network_of(card, read_weights(path), path))


def write_checkpoint(
    folder: Path | str, description: Description, module: nn.Module, *, half: bool = False, replace: bool = False
) -> Path:
    """Write a network and its card into `folder`; returns the path of the weights.

    half: store what was learnt in half precision, in half the space. Whoever reads the checkpoint gets the rounded
    numbers; so measure what comes back, not `module`.

    The weights are checked as if they were read, so that nothing is written that would be refused. Each file is there
    whole or not at all, the card last: without its card a file is no checkpoint. The same weights and description give
    the same bytes. Raises: ModelFileError, also where another checkpoint of this name and version is there, unless
    `replace`.
    """
    folder = Path(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    if half:
        learnt = [name for name, parameter in module.named_parameters() if parameter.dtype == torch.float32]
        tensors |= {name: tensors[name].half() for name in learnt}
    raw = save(tensors)
    said = {key: getattr(description, key) for key in Description.model_fields}
    card = Card(**said, weights_sha256=hashlib.sha256(raw).hexdigest())
    path = folder / f"{card.stem}{WEIGHTS}"
    network_of(card, raw, path)
    contents = {path: raw, path.with_suffix(CARD): card.text().encode()}
    if not replace:
        other = [place for place, data in contents.items() if place.exists() and place.read_bytes() != data]
        if other:
            raise ModelFileError(
                f"{other[0]} is another checkpoint of the same name and version.",
                remedy="Give this one the next version.",
            )
    write_files(contents)
    return path


def network_of(card: Card, raw: bytes, path: Path) -> nn.Module:
    """The network of a card with the weights in `raw`, after every check; `path` is where they lie, for messages."""
    refuse_pickled(raw, path)
    found = hashlib.sha256(raw).hexdigest()
    if found != card.weights_sha256:
        raise ModelFileError(
            f"{path} is damaged, or is not the file that its card describes: its SHA-256 is {found[:12]}…, the card "
            f"has {card.weights_sha256[:12]}….",
            remedy=AGAIN,
        )
    _check_kind(card, path)
    tensors = _tensors(raw, path)
    choice = card.architecture
    # First without any memory, as a card can ask for a network of any size; then for real, as large as the file.
    try:
        with torch.device("meta"):
            expected = dict(build(choice.name, choice.hyperparameters).state_dict())
    except ModelFileError as error:
        raise ModelFileError(
            f"The card of {path} cannot be followed: {error.what}", remedy=error.remedy or AGAIN
        ) from error
    _check_fit(tensors, expected, choice.name, path)
    state = {name: _tensor(tensors[name], expected[name]) for name in expected}
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise ModelFileError(
            f"{path} holds weights that are not finite numbers (NaN or infinite): {_few(bad)}.",
            remedy="The training went wrong; use an earlier checkpoint of it.",
        )
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn at random, which is nobody else's business
        module = build(choice.name, choice.hyperparameters)
    module.load_state_dict(state)
    return module.eval()


def _check_kind(card: Card, path: Path) -> None:
    known = ARCHITECTURES.get(card.architecture.name)
    if known is not None and known.kind != card.kind:
        raise ModelFileError(
            f"The card of {path} says that it is a checkpoint of the kind '{card.kind}', but its architecture "
            f"'{card.architecture.name}' is that of the kind '{known.kind}'.",
            remedy=AGAIN,
        )


def _tensors(raw: bytes, path: Path) -> dict[str, dict[str, Any]]:
    """Name -> dtype, shape and data. The header's length is looked at first, since it decides how much is parsed."""
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or length > len(raw) - 8:
        raise ModelFileError(
            f"{path} is cut short or no safetensors file: its header would have {length:,} bytes, and there are "
            f"{max(0, len(raw) - 8):,}.",
            remedy=AGAIN,
        )
    if length > _MOST_HEADER:
        raise ModelFileError(
            f"{path} has a header of {length:,} bytes; at most {_MOST_HEADER:,} are read.", remedy=AGAIN
        )
    try:
        tensors = dict(safetensors.deserialize(raw))
        json.loads(raw[8 : 8 + length], object_pairs_hook=no_key_twice)
    except (safetensors.SafetensorError, ValueError) as error:
        why = ascii(str(error))[1:-1][:200]  # it may quote what the file holds
        raise ModelFileError(f"{path} is damaged or no safetensors file: {why}.", remedy=AGAIN) from error
    return tensors


def _check_fit(tensors: dict[str, dict[str, Any]], expected: dict[str, Tensor], architecture: str, path: Path) -> None:
    remedy = "The weights are of another network, or of other hyperparameters than the card says."
    missing = [name for name in expected if name not in tensors]
    if missing:
        raise ModelFileError(f"{path} lacks weights that '{architecture}' has: {_few(missing)}.", remedy=remedy)
    unexpected = [name for name in tensors if name not in expected]
    if unexpected:
        raise ModelFileError(f"{path} has weights that '{architecture}' has not: {_few(unexpected)}.", remedy=remedy)
    for name, tensor in expected.items():
        shape = tuple(tensors[name]["shape"])
        if shape != tuple(tensor.shape):
            raise ModelFileError(
                f"{path}: '{name}' has the shape {_shape(shape)}, but '{architecture}' has {_shape(tensor.shape)}.",
                remedy=remedy,
            )
        dtype = tensors[name]["dtype"]
        if _DTYPES.get(dtype) != tensor.dtype and not _is_half_of(dtype, tensor):
            raise ModelFileError(
                f"{path}: '{name}' is stored as {dtype}, but '{architecture}' has "
                f"{str(tensor.dtype).removeprefix('torch.')}.",
                remedy=remedy,
            )


def _is_half_of(dtype: str, tensor: Tensor) -> bool:
    """Half precision goes into single without a loss; nothing else may change its type."""
    return dtype == "F16" and tensor.dtype == torch.float32


def _tensor(stored: dict[str, Any], like: Tensor) -> Tensor:
    if not stored["data"]:
        return torch.empty(tuple(like.shape), dtype=like.dtype)
    numbers = torch.frombuffer(stored["data"], dtype=_DTYPES[stored["dtype"]])
    return numbers.to(like.dtype).reshape(tuple(like.shape))


def _shape(shape: Iterable[int]) -> str:
    return " × ".join(map(str, shape)) or "of one number"


def _few(names: list[str]) -> str:
    told = ", ".join(ascii(name)[1:-1][:80] for name in names[:_NAMES_TOLD])
    return told + (f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else "")
