"""Checkpoints on disk: NAME-VERSION.safetensors with the weights, NAME-VERSION.json with the card.

What is read may come from anyone. Nothing in it is executed; no more memory is taken than the file's size warrants;
and weights are given out only if they are those of the card, whole, finite, and fit its architecture to the last shape.
Format of the weights: safetensors (8 bytes with the length of a JSON header, the header, the numbers).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor, nn

from models.checkpoints import card as cards
from models.checkpoints.card import Card, Description, parse_card
from models.errors import ModelFileError

WEIGHTS, CARD = ".safetensors", ".json"
MOST_BYTES = 512 * 2**20
_MOST_HEADER = 2**20  # bytes: some ten thousand tensors
_PACKAGED = Path(__file__).parent.parent / "packaged"
_PICKLED_SUFFIXES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib", ".tar")
_CONVERT = (
    "Pickled files can run any program when they are opened, so Calliper never opens them. Where you trust the file, "
    "load it yourself and write it again with models.checkpoints.write_checkpoint; docs/checkpoints.md shows how."
)
_AGAIN = "Get both files again from where the checkpoint comes from."
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_NAMES_TOLD = 3


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory: its card, and the network with its weights, in evaluation mode on the CPU."""

    card: Card
    module: nn.Module


def packaged_checkpoints() -> list[Path]:
    """The weights' files of the checkpoints that come with Calliper, by name."""
    return sorted(_PACKAGED.glob(f"*{WEIGHTS}"))


def read_card(path: Path | str) -> Card:
    """The card beside the weights at `path`. Raises: ModelFileError."""
    path = Path(path)
    _refuse_pickled_name(path)
    beside = path.with_suffix(CARD)
    if path.suffix == CARD:
        raise ModelFileError(f"{path} is a card.", remedy=f"Name the weights beside it: {path.with_suffix(WEIGHTS)}.")
    if not os.path.lexists(beside):
        if not os.path.lexists(path):
            raise ModelFileError(f"There is no file {path}.", remedy="Name a .safetensors file.")
        _refuse_pickled(_read(path, 16, whole=False), path)
        raise ModelFileError(
            f"{path} has no card: {beside.name} is not beside it.", remedy="Keep the two files together."
        )
    return parse_card(_read(beside, cards.MOST_BYTES), str(beside))


def read_checkpoint(path: Path | str) -> Loaded:
    """The checkpoint whose weights are at `path`, its card beside them.

    Raises: ModelFileError for anything else than weights that fit the card and its architecture: what is wrong, and
    what to do.
    """
    path = Path(path)
    card = read_card(path)
    return Loaded(card, _network(card, _read(path, MOST_BYTES), path))


def write_checkpoint(folder: Path | str, description: Description, module: nn.Module, *, replace: bool = False) -> Path:
    """Write a network and its card into `folder`; returns the path of the weights.

    The weights are checked as if they were read, so that nothing is written that would be refused. Each file is there
    whole or not at all, the card last: without its card a file is no checkpoint. The same weights and description give
    the same bytes. Raises: ModelFileError, also where another checkpoint of this name and version is there, unless
    `replace`.
    """
    folder = Path(folder)
    raw = save({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()})
    said = {key: getattr(description, key) for key in Description.model_fields}
    card = Card(**said, weights_sha256=hashlib.sha256(raw).hexdigest())
    path = folder / f"{card.stem}{WEIGHTS}"
    _network(card, raw, path)
    contents = {path: raw, path.with_suffix(CARD): card.text().encode()}
    if not replace:
        other = [place for place, data in contents.items() if place.exists() and place.read_bytes() != data]
        if other:
            raise ModelFileError(
                f"{other[0]} is another checkpoint of the same name and version.",
                remedy="Give this one the next version.",
            )
    copy_files(contents)
    return path


def copy_files(contents: dict[Path, bytes]) -> None:
    """Write files, each whole or not at all, in this order, and through to the disk."""
    for path, data in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")
        try:
            # Opened by hand for the permissions that the umask gives: tempfile would make the file private.
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path, most: int, *, whole: bool = True) -> bytes:
    """At most `most` bytes of a regular file; with `whole`, a larger one is refused."""
    try:
        # Not to wait for a writer, should it be a pipe.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(most) if stat.S_ISREG(status.st_mode) else None
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"{path} cannot be read: {reason}.", remedy="Check the path and your rights.") from error
    if content is None:
        raise ModelFileError(f"{path} is not a file.", remedy="Name a .safetensors file.")
    if whole and status.st_size > most:
        raise ModelFileError(
            f"{path} has {status.st_size / 2**20:,.0f} MB; at most {most // 2**20:,} are read.", remedy=_AGAIN
        )
    return content


def _refuse_pickled_name(path: Path) -> None:
    if path.suffix.lower() in _PICKLED_SUFFIXES:
        raise ModelFileError(f"{path} is a pickled file by its name.", remedy=_CONVERT)


def _refuse_pickled(raw: bytes, path: Path) -> None:
    """By content: the zip archive of torch.save, or the opcodes that a pickle begins with."""
    if raw[8:9] == b"{":  # after the length of a safetensors header, which may look like anything
        return
    if raw[:4] == b"PK\x03\x04" or (raw[:1] == b"\x80" and raw[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")):
        raise ModelFileError(f"{path} is a pickled file, whatever it is called.", remedy=_CONVERT)


def _network(card: Card, raw: bytes, path: Path) -> nn.Module:
    """The network of a card with the weights in `raw`, after every check."""
    from models.networks import build

    _refuse_pickled(raw, path)
    found = hashlib.sha256(raw).hexdigest()
    if found != card.weights_sha256:
        raise ModelFileError(
            f"{path} is damaged, or is not the file that its card describes: its SHA-256 is {found[:12]}…, the card "
            f"has {card.weights_sha256[:12]}….",
            remedy=_AGAIN,
        )
    _check_kind(card, path)
    tensors = _tensors(raw, path)
    choice = card.architecture
    # First without any memory, as a card can ask for a network of any size; then for real, as large as the file.
    with torch.device("meta"):
        expected = _state(build(choice.name, choice.hyperparameters))
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
    from models.networks import ARCHITECTURES

    known = ARCHITECTURES.get(card.architecture.name)
    if known is not None and known.kind != card.kind:
        raise ModelFileError(
            f"The card of {path} says that it is a checkpoint of the kind '{card.kind}', but its architecture "
            f"'{card.architecture.name}' is that of the kind '{known.kind}'.",
            remedy=_AGAIN,
        )


def _state(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.state_dict())


def _tensors(raw: bytes, path: Path) -> dict[str, dict[str, Any]]:
    """Name -> dtype, shape and data. The header's length is looked at first, since it decides how much is parsed."""
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or length > len(raw) - 8:
        raise ModelFileError(
            f"{path} is cut short or no safetensors file: its header would have {length:,} bytes, and there are "
            f"{max(0, len(raw) - 8):,}.",
            remedy=_AGAIN,
        )
    if length > _MOST_HEADER:
        raise ModelFileError(
            f"{path} has a header of {length:,} bytes; at most {_MOST_HEADER:,} are read.", remedy=_AGAIN
        )
    try:
        return dict(safetensors.deserialize(raw))
    except safetensors.SafetensorError as error:
        raise ModelFileError(f"{path} is damaged or no safetensors file: {error}.", remedy=_AGAIN) from error


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
        if _DTYPES.get(dtype) != tensor.dtype:
            raise ModelFileError(
                f"{path}: '{name}' is stored as {dtype}, but '{architecture}' has "
                f"{str(tensor.dtype).removeprefix('torch.')}.",
                remedy=remedy,
            )


def _tensor(stored: dict[str, Any], like: Tensor) -> Tensor:
    if not stored["data"]:
        return torch.empty(tuple(like.shape), dtype=like.dtype)
    return torch.frombuffer(stored["data"], dtype=like.dtype).reshape(tuple(like.shape))


def _shape(shape: Iterable[int]) -> str:
    return " × ".join(map(str, shape)) or "of one number"


def _few(names: list[str]) -> str:
    told = ", ".join(ascii(name)[1:-1][:80] for name in names[:_NAMES_TOLD])
    return told + (f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else "")
