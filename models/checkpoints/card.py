"""The card of a checkpoint: what it is, what goes in and comes out, whom it was trained on, and what it cannot do.

A card is written by whoever trained the network and read by whoever runs it, who may not trust the other: every key is
checked, and no text in it can play tricks on a terminal. After the model cards of Mitchell et al. 2019,
doi 10.1145/3287560.3287596.
"""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from models.errors import ModelFileError

FORMAT = 1
MOST_BYTES = 16 * 2**20
"""No card is larger; one with a hundred thousand subjects has 3 MB."""

HASH_DIGITS = 16
"""Hexadecimal digits that are kept of a subject's hash: 64 bits, so that a chance match is out of the question."""

_MOST_NUMBER = 2**31 - 1
_DEEPEST, _LONGEST = 4, 64  # lists in lists of a hyperparameter; entries of each
_LONGEST_TEXT = 200  # of a hyperparameter
_MOST_FAULTS_TOLD = 5
_UNREADABLE = "Get the card again from where the checkpoint comes from; docs/checkpoints.md describes every key."


def _plain_text(value: str) -> str:
    """Refuse what is no text to read: control characters could rewrite the terminal that shows the card."""
    if not value.strip():
        raise ValueError("is empty")
    odd = next((c for c in value if unicodedata.category(c)[0] == "C" and c != "\n"), None)
    if odd is not None:
        raise ValueError(f"holds the control character U+{ord(odd):04X}")
    return value


Text = Annotated[str, Field(max_length=20_000), AfterValidator(_plain_text)]
Number = Annotated[float, Field(allow_inf_nan=False)]
_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}\z"
_SUBJECT_HASH = rf"^[0-9a-f]{{{HASH_DIGITS}}}\z"
_SHA256 = r"^[0-9a-f]{64}\z"
_PATTERNS = {
    _NAME: "small letters, digits, dots, dashes and underscores, at most 64, beginning with a letter or digit",
    _SUBJECT_HASH: f"{HASH_DIGITS} hexadecimal digits in small letters",
    _SHA256: "64 hexadecimal digits in small letters",
}
Name = Annotated[str, Field(pattern=_NAME)]
Kind = Literal["segmenter", "avatar", "estimator"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Architecture(_Part):
    """Name and hyperparameters of a network that `models.networks.build` makes."""

    name: Text
    hyperparameters: dict[str, JsonValue] = {}

    @field_validator("hyperparameters")
    @classmethod
    def _bounded(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        _check_value(value, 0)
        return value


def _check_value(value: Any, depth: int) -> None:
    """A hyperparameter is a word, truth, a finite number of common size, or a short list or mapping of these."""
    if depth > _DEEPEST:
        raise ValueError("is nested too deeply")
    if isinstance(value, dict | list) and len(value) > _LONGEST:
        raise ValueError(f"has {len(value):,} entries; at most {_LONGEST} are allowed")
    if isinstance(value, dict):
        for key, part in value.items():
            _check_value(key, depth + 1)
            _check_value(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _check_value(part, depth + 1)
    elif isinstance(value, str):
        _plain_text(value)
        if len(value) > _LONGEST_TEXT:
            raise ValueError(f"has a text of {len(value):,} characters; at most {_LONGEST_TEXT} are allowed")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"holds {value}, which is no finite number")
    elif isinstance(value, int) and abs(value) > _MOST_NUMBER:
        raise ValueError("holds a number that is too large")


class Quantity(_Part):
    """What goes in or comes out: its name, what it means in words, and its unit (none for pictures and classes)."""

    name: Text
    meaning: Text
    unit: Text | None = None


class Input(Quantity):
    """`optional`: the network also works without it."""

    optional: bool = False


class Training(_Part):
    """What the weights were fitted to.

    data: in words, with the synthetic bodies and pictures that have no subject behind them. rendered: whether any of
    the pictures came from a renderer. datasets: the names under which the subjects were hashed. subjects: how many
    people's measurements or photos were used in any stage, also to choose between networks. subject_hashes: one for
    each of them, see `models.checkpoints.leakage`.
    """

    data: Text
    rendered: bool
    datasets: list[Text] = []
    subjects: Annotated[int, Field(ge=0)]
    subject_hashes: list[Annotated[str, Field(pattern=_SUBJECT_HASH)]] = []

    @model_validator(mode="after")
    def _all_subjects_are_listed(self) -> Self:
        distinct = len(set(self.subject_hashes))
        if distinct != len(self.subject_hashes):
            raise ValueError("subject_hashes: a hash is listed twice")
        if distinct != self.subjects:
            raise ValueError(f"subject_hashes: {distinct:,} hashes for {self.subjects:,} subjects; each has one")
        if self.subjects and not self.datasets:
            raise ValueError("datasets: the data set of the subjects is not named")
        return self


class Metric(_Part):
    """A figure measured of these weights: its value and, where known, its 95 % interval, on which data, on how many."""

    name: Text
    value: Number
    low: Number | None = None
    high: Number | None = None
    unit: Text | None = None
    data: Text
    n: Annotated[int, Field(ge=1)] | None = None


def _calliper_version() -> str:
    try:
        return version("calliper")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"


class Software(_Part):
    """The versions that wrote the weights."""

    calliper: Text = Field(default_factory=_calliper_version)
    torch: Text = Field(default_factory=lambda: version("torch"))


class Description(_Part):
    """Everything that a person says of a checkpoint: the card but for the hash of the weights."""

    format: Literal[1] = FORMAT
    kind: Kind
    name: Name
    version: Annotated[int, Field(ge=1, le=999_999)]
    architecture: Architecture
    inputs: Annotated[list[Input], Field(min_length=1)]
    outputs: Annotated[list[Quantity], Field(min_length=1)]
    training: Training
    metrics: list[Metric] = []
    limitations: Annotated[list[Text], Field(min_length=1)]
    licence: Text
    created: AwareDatetime
    software: Software = Field(default_factory=Software)

    @property
    def reference(self) -> str:
        """NAME@VERSION."""
        return f"{self.name}@{self.version}"

    @property
    def stem(self) -> str:
        """NAME-VERSION, what its two files are called."""
        return f"{self.name}-{self.version}"


class Card(Description):
    """A card, which belongs to the weights of which it holds the SHA-256."""

    weights_sha256: Annotated[str, Field(pattern=_SHA256)]

    def text(self) -> str:
        """As JSON, the same for the same card."""
        return self.model_dump_json(indent=2) + "\n"

    @property
    def sha256(self) -> str:
        """The hash of card and weights together, as the card holds that of the weights."""
        return hashlib.sha256(self.text().encode()).hexdigest()


def parse_card(content: bytes | str, where: str) -> Card:
    """The card that JSON text holds; `where` is the file's name, for messages.

    Raises: ModelFileError with each key that is wrong and what is wrong with it.
    """
    if len(content) > MOST_BYTES:
        raise ModelFileError(f"{where} has more than {MOST_BYTES // 2**20} MB, so it is no card.", remedy=_UNREADABLE)
    try:
        document = json.loads(content, object_pairs_hook=no_key_twice, parse_constant=_no_constant)
    except RecursionError:
        raise ModelFileError(f"{where} is nested too deeply to be a card.", remedy=_UNREADABLE) from None
    except ValueError as error:
        raise ModelFileError(f"{where} is not the JSON of a card: {error}.", remedy=_UNREADABLE) from None
    if isinstance(document, dict) and isinstance(document.get("format"), int) and document["format"] > FORMAT:
        raise ModelFileError(
            f"{where} is a card of format {document['format']}, which this version of Calliper does not know.",
            remedy="Upgrade Calliper to use this checkpoint.",
        )
    try:
        return Card.model_validate_json(content)
    except ValidationError as error:
        faults = [_fault(fault) for fault in error.errors(include_url=False)]
        more = len(faults) - _MOST_FAULTS_TOLD
        told = "; ".join(faults[:_MOST_FAULTS_TOLD]) + (f"; and {more} more faults" if more > 0 else "")
        raise ModelFileError(f"{where} is not a valid card: {told}.", remedy=_UNREADABLE) from None


def no_key_twice(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """For json.loads: an object in which two readers might see different things is refused, with a ValueError."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"the key {_repeated([key for key, _ in pairs])} is written twice")
    return found


def _repeated(keys: list[str]) -> str:
    seen: set[str] = set()
    return ascii(next(key for key in keys if key in seen or seen.add(key)))[:80]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number that JSON knows")


def _fault(fault: Any) -> str:
    """One fault in words: the key, and what is wrong with it."""
    key = ""
    for part in fault["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    key = ascii(key)[1:-1][:120]
    match fault["type"]:
        case "missing":
            return f"{key} is missing"
        case "extra_forbidden":
            return f"{key} is not a key of a card"
        case "value_error":
            return f"{key}: {fault['ctx']['error']}"
        case "string_pattern_mismatch":
            return f"{key} is {ascii(fault['input'])[:80]}, not {_PATTERNS[fault['ctx']['pattern']]}"
    message = fault["msg"][0].lower() + fault["msg"][1:]
    given = fault.get("input")
    shown = f" (it is {ascii(given)[:40]})" if isinstance(given, str | int | float | bool) or given is None else ""
    return f"{key}: {message}{shown}" if key else message
