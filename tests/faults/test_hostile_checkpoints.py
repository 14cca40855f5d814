"""Checkpoints made to do harm: each is refused with a message, at once and with little memory."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Header = dict[str, Any]


def parts_of(raw: bytes) -> tuple[Header, bytes]:
    length = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def packed(header: Header | bytes, data: bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def with_length(length: int) -> Callable[[bytes], bytes]:
    """The header claims to have so many bytes."""
    return lambda raw: struct.pack("<Q", length) + raw[8:]


def with_entry(**changes: Any) -> Callable[[bytes], bytes]:
    """The first tensor of the header says something else."""

    def make(raw: bytes) -> bytes:
        header, data = parts_of(raw)
        name = next(key for key in header if key != "__metadata__" and header[key]["shape"])
        header[name] = {key: value for key, value in (header[name] | changes).items() if value is not ...}
        return packed(header, data)

    return make


def with_header(change: Callable[[Header], Any]) -> Callable[[bytes], bytes]:
    def make(raw: bytes) -> bytes:
        header, data = parts_of(raw)
        return packed(change(header), data)

    return make


def many_entries(header: Header) -> Header:
    """As many tensors without numbers as go into a megabyte."""
    nothing = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    return {**{f"{number:x}": nothing for number in range(16_000)}, **header}


def twice(header: Header) -> bytes:
    """The first tensor twice under one name."""
    name = next(key for key in header if key != "__metadata__")
    return json.dumps({name: header[name]}).encode()[:-1] + b"," + json.dumps(header).encode()[1:]


def overlapping(header: Header) -> Header:
    """All tensors are the same stretch of the file."""
    return {
        name: {**entry, "data_offsets": [0, entry["data_offsets"][1] - entry["data_offsets"][0]]}
        for name, entry in header.items()
    }


WEIGHTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "three bytes": lambda raw: raw[:3],
    "length alone": lambda raw: raw[:8],
    "header cut": lambda raw: raw[:100],
    "last byte cut": lambda raw: raw[:-1],
    "one byte more": lambda raw: raw + b"\0",
    "length 0": with_length(0),
    "length 1": with_length(1),
    "length 2**31": with_length(2**31),
    "length 2**63": with_length(2**63),
    "length 2**64 - 1": with_length(2**64 - 1),
    "length within 100 MB": lambda raw: packed(b"{" + b" " * (100 * 2**20 - 2) + b"}", b""),
    "header of zeros": lambda raw: packed(bytes(1000), b""),
    "header of brackets": lambda raw: packed(b"[" * 2**20, b""),
    "header of nested objects": lambda raw: packed(b'{"a":' * 150_000, b""),
    "header not UTF-8": lambda raw: packed(b'{"\xff\xfe": 1}', b""),
    "header a list": lambda raw: packed(b"[]", b""),
    "header null": lambda raw: packed(b"null", b""),
    "no tensors": lambda raw: packed(b"{}", b""),
    "many tensors": with_header(many_entries),
    "metadata no text": with_header(lambda header: {**header, "__metadata__": {"a": {"b": 1}}}),
    "a tensor twice": with_header(twice),
    "overlapping": with_header(overlapping),
    "huge shape": with_entry(shape=[2**40]),
    "shape that overflows": with_entry(shape=[2**32, 2**32]),
    "shape that overflows to its size": with_entry(shape=[2**33, 2**31, 4, 12]),
    "negative shape": with_entry(shape=[-4]),
    "shape of many ones": with_entry(shape=[1] * 100_000),
    "shape of text": with_entry(shape="all"),
    "no shape": with_entry(shape=...),
    "number too large for any integer": with_entry(shape=[10**400]),
    "offsets backwards": with_entry(data_offsets=[16, 0]),
    "offsets beyond the file": with_entry(data_offsets=[0, 2**40]),
    "offsets that overflow": with_entry(data_offsets=[2**64 - 16, 2**64 - 1]),
    "no offsets": with_entry(data_offsets=...),
    "unknown dtype": with_entry(dtype="F99"),
    "eight-bit floats": with_entry(dtype="F8_E5M2"),
    "four-bit floats": with_entry(dtype="F4"),
    "control characters": with_header(lambda header: {**header, "\x1b[2J": next(iter(header.values()))}),
}
GIANT = {"components": 1024, "features": 1024, "hidden": 1024}
CARDS: dict[str, dict[str, Any]] = {
    "a network of 25 GB": {"kind": "estimator", "architecture": {"name": "body-fat-1", "hyperparameters": GIANT}},
    "a million betas": {
        "kind": "avatar", "architecture": {"name": "silhouette-avatar-1", "hyperparameters": {"n_betas": 10**6}}
    },
    "endless widths": {"architecture": {"name": "unet-1", "hyperparameters": {"widths": [4] * 100_000}}},
    "no widths": {"architecture": {"name": "unet-1", "hyperparameters": {"widths": []}}},
    "widths of text": {"architecture": {"name": "unet-1", "hyperparameters": {"widths": "512"}}},
    "a module's path": {"architecture": {"name": "os.system", "hyperparameters": {"command": "id"}}},
    "a class attribute": {"architecture": {"name": "unet-1", "hyperparameters": {"__class__": 1}}},
    "a path as name": {"name": "../../../etc/passwd"},
    "control characters in its name": {"name": "a\x1b[2J"},
    "right-to-left licence": {"licence": "\u202eegnahc"},
    "escape codes in limitations": {"limitations": ["\x1b]0;title\x07"]},
}  # fmt: skip
CARD_TEXTS: dict[str, bytes] = {
    "card empty": b"",
    "card of brackets": b"[" * 10**6,
    "card of nested objects": b'{"a":' * 10**6,
    "card of nulls": bytes(1000),
    "card of digits": b"9" * 10**6,
    "card of one long text": b'"' + b"a" * (15 * 2**20) + b'"',
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint) -> dict[str, list[str | None]]:
    """What became of each, in a process that has little memory to spare; "whole" is one that nothing is wrong with."""
    folder = tmp_path_factory.mktemp("hostile")
    whole = tiny_checkpoint(folder)
    raw, card = whole.read_bytes(), json.loads(whole.with_suffix(".json").read_text(encoding="utf-8"))
    named = {"whole": whole}

    def place(name: str) -> Path:
        named[name] = folder / f"{len(named)}.safetensors"
        return named[name]

    for name, make in WEIGHTS.items():
        content = make(raw)
        place(name).write_bytes(content)
        fitting = {**card, "weights_sha256": hashlib.sha256(content).hexdigest()}
        named[name].with_suffix(".json").write_text(json.dumps(fitting), encoding="utf-8")
    for name, changes in CARDS.items():
        place(name).write_bytes(raw)
        named[name].with_suffix(".json").write_text(json.dumps(card | changes), encoding="utf-8")
    for name, text in CARD_TEXTS.items():
        place(name).write_bytes(raw)
        named[name].with_suffix(".json").write_bytes(text)
    for name, suffix in (("sparse weights", ".safetensors"), ("sparse card", ".json")):
        place(name).write_bytes(raw)
        named[name].with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
        with named[name].with_suffix(suffix).open("wb") as file:
            file.truncate(50 * 2**30)
    script = Path(__file__).with_name("checkpoint_reader.py")
    done = subprocess.run(
        [sys.executable, script, *map(str, named.values())], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    return {name: found[str(path)] for name, path in named.items()}


def test_the_process_can_read_one_that_nothing_is_wrong_with(outcomes) -> None:
    assert outcomes["whole"] == [None, ""]


@pytest.mark.parametrize("name", [*WEIGHTS, *CARDS, *CARD_TEXTS, "sparse weights", "sparse card"])
def test_it_is_refused_with_a_message(outcomes, name: str) -> None:
    error, message = outcomes[name]
    assert error == "ModelFileError", message
    assert message.isprintable()  # nothing that could play with a terminal
    assert len(message) < 1000
