"""Checkpoints on disk: NAME-VERSION.safetensors with the weights, NAME-VERSION.json with the card.

What is read may come from anyone: nothing in it is executed, and no more of it is read than a checkpoint can have.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from models.checkpoints import card as cards
from models.checkpoints.card import Card, parse_card
from models.errors import ModelFileError

WEIGHTS, CARD = ".safetensors", ".json"
MOST_BYTES = 512 * 2**20
AGAIN = "Get both files again from where the checkpoint comes from."
_PACKAGED = Path(__file__).parent.parent / "packaged"
_PICKLED_SUFFIXES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib", ".tar")
_CONVERT = (
    "Pickled files can run any program when they are opened, so Calliper never opens them. Where you trust the file, "
    "load it yourself and write it again with models.checkpoints.write_checkpoint; docs/checkpoints.md shows how."
)


def packaged_checkpoints() -> list[Path]:
    """The weights' files of the checkpoints that come with Calliper, by name."""
    return sorted(_PACKAGED.glob(f"*{WEIGHTS}"))


def read_card(path: Path | str) -> Card:
    """The card beside the weights at `path`. Raises: ModelFileError."""
    path = Path(path)
    _refuse_pickled_name(path)
    if path.name in ("", ".."):
        raise ModelFileError(f"{path} is not a file.", remedy="Name a .safetensors file.")
    beside = path.with_suffix(CARD)
    if path.suffix == CARD:
        raise ModelFileError(f"{path} is a card.", remedy=f"Name the weights beside it: {path.with_suffix(WEIGHTS)}.")
    if not os.path.lexists(beside):
        if not os.path.lexists(path):
            raise ModelFileError(f"There is no file {path}.", remedy="Name a .safetensors file.")
        refuse_pickled(_read(path, 16, whole=False), path)
        raise ModelFileError(
            f"{path} has no card: {beside.name} is not beside it.", remedy="Keep the two files together."
        )
    return parse_card(_read(beside, cards.MOST_BYTES), str(beside))


def read_weights(path: Path | str) -> bytes:
    """The bytes of the weights, not yet checked in any way. Raises: ModelFileError where they cannot be read."""
    return _read(Path(path), MOST_BYTES)


def write_files(contents: dict[Path, bytes]) -> None:
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
            regular, large = stat.S_ISREG(status.st_mode), whole and status.st_size > most
            # As much as is asked for is allocated, so no more than there is.
            content = file.read(min(most, status.st_size)) if regular and not large else b""
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"{path} cannot be read: {reason}.", remedy="Check the path and your rights.") from error
    if not regular:
        raise ModelFileError(f"{path} is not a file.", remedy="Name a .safetensors file.")
    if large:
        raise ModelFileError(
            f"{path} has {status.st_size / 2**20:,.0f} MB; at most {most // 2**20:,} are read.", remedy=AGAIN
        )
    return content


def _refuse_pickled_name(path: Path) -> None:
    if path.suffix.lower() in _PICKLED_SUFFIXES:
        raise ModelFileError(f"{path} is a pickled file by its name.", remedy=_CONVERT)


def refuse_pickled(raw: bytes, path: Path) -> None:
    """By content: the zip archive of torch.save, or the opcodes that a pickle begins with."""
    if raw[8:9] == b"{":  # after the length of a safetensors header, which may look like anything
        return
    if raw[:4] == b"PK\x03\x04" or (raw[:1] == b"\x80" and raw[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")):
        raise ModelFileError(f"{path} is a pickled file, whatever it is called.", remedy=_CONVERT)
