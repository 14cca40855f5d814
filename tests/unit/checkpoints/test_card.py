"""Cards: what is written is read again, and whatever is wrong with one is told by its key."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.checkpoints.card import MOST_BYTES, Card, parse_card
from models.errors import ModelFileError

# What people write: anything but control characters, and something that is not white space.
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("C",)) | st.just("\n"), min_size=1, max_size=40
).filter(str.strip)
names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.booleans() | st.integers(-(2**31) + 1, 2**31 - 1) | numbers | texts | st.none()
quantities = {"name": texts, "meaning": texts, "unit": st.none() | texts}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A card as JSON data."""
    hashes = draw(st.lists(st.from_regex(r"[0-9a-f]{16}", fullmatch=True), unique=True, max_size=5))
    datasets = draw(st.lists(texts, min_size=bool(hashes), max_size=2))
    moment = draw(st.datetimes(timezones=st.just(UTC)))
    return {
        "format": 1,
        "kind": draw(st.sampled_from(["segmenter", "avatar", "estimator"])),
        "name": draw(names),
        "version": draw(st.integers(1, 999_999)),
        "architecture": {
            "name": draw(texts),
            "hyperparameters": draw(st.dictionaries(texts, scalars | st.lists(scalars, max_size=4), max_size=4)),
        },
        "inputs": draw(st.lists(st.fixed_dictionaries({**quantities, "optional": st.booleans()}), min_size=1)),
        "outputs": draw(st.lists(st.fixed_dictionaries(quantities), min_size=1, max_size=3)),
        "training": {
            "data": draw(texts), "rendered": draw(st.booleans()), "datasets": datasets, "subjects": len(hashes),
            "subject_hashes": hashes,
        },
        "metrics": draw(
            st.lists(
                st.fixed_dictionaries(
                    {
                        "name": texts, "value": numbers, "low": st.none() | numbers, "high": st.none() | numbers,
                        "unit": st.none() | texts, "data": texts, "n": st.none() | st.integers(1, 10**12),
                    }
                ),
                max_size=2,
            )
        ),
        "limitations": draw(st.lists(texts, min_size=1, max_size=2)),
        "licence": draw(texts),
        "created": moment.isoformat(),
        "software": {"calliper": draw(texts), "torch": draw(texts)},
        "weights_sha256": draw(st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
    }  # fmt: skip


@given(documents())
@settings(max_examples=100, deadline=None)
def test_a_card_is_read_as_it_was_written(document: dict[str, Any]) -> None:
    card = parse_card(json.dumps(document), "card.json")
    assert card.created == datetime.fromisoformat(document["created"])
    again = parse_card(card.text().encode(), "card.json")
    assert again == card
    assert again.text() == card.text()
    assert card.sha256 == hashlib.sha256(card.text().encode()).hexdigest()
    said = json.loads(card.text())
    assert {**said, "created": None} == {**document, "created": None}
    # 1 and 1.0 are equal in Python, and not the same to a network
    given, kept = (d["architecture"]["hyperparameters"] for d in (document, said))
    assert repr(given) == repr(kept)


@given(st.binary(max_size=300) | st.text(max_size=300) | st.recursive(scalars, st.lists).map(json.dumps))
@settings(max_examples=200, deadline=None)
def test_what_is_no_card_is_refused(content: bytes | str) -> None:
    with pytest.raises(ModelFileError, match=r"^card\.json "):
        parse_card(content, "card.json")


def valid() -> dict[str, Any]:
    return {
        "format": 1, "kind": "estimator", "name": "body-fat", "version": 2,
        "architecture": {"name": "body-fat-1", "hyperparameters": {"hidden": 4}},
        "inputs": [{"name": "age", "meaning": "age at the visit", "unit": "years", "optional": True}],
        "outputs": [{"name": "body_fat_percent", "meaning": "fat mass / mass", "unit": "%"}],
        "training": {
            "data": "Rendered people.", "rendered": True, "datasets": ["nhanes-1999"], "subjects": 1,
            "subject_hashes": ["0123456789abcdef"],
        },
        "metrics": [{"name": "MAE", "value": 2.5, "unit": "percentage points", "data": "held out", "n": 300}],
        "limitations": ["Adults only."], "licence": "Apache-2.0", "created": "2026-03-01T10:00:00Z",
        "software": {"calliper": "0.1.0", "torch": "2.13.0"}, "weights_sha256": "0" * 64,
    }  # fmt: skip


def changed(path: str, value: Any) -> str:
    """The valid card as JSON with one value replaced, or removed where `value` is `...`."""
    document: Any = valid()
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = document
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document)


def test_the_valid_card_is_valid() -> None:
    card = parse_card(json.dumps(valid()), "card.json")
    assert (card.reference, card.stem) == ("body-fat@2", "body-fat-2")


REQUIRED = [
    "kind", "name", "version", "architecture", "architecture.name", "inputs", "inputs.0.name", "inputs.0.meaning",
    "outputs", "training", "training.data", "training.rendered", "training.subjects", "metrics.0.value",
    "metrics.0.data", "limitations", "licence", "created", "weights_sha256",
]  # fmt: skip


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_key_is_named(path: str) -> None:
    key = path.replace(".0", "[0]")
    with pytest.raises(ModelFileError) as refused:
        parse_card(changed(path, ...), "card.json")
    assert f"card.json is not a valid card: {key} is missing." in refused.value.what


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("colour", "red", "colour is not a key of a card"),
        ("training.who", [], "training.who is not a key of a card"),
        ("\x1b[31m", 1, "\\x1b[31m is not a key of a card"),
        ("kind", "oracle", "kind: input should be 'segmenter', 'avatar' or 'estimator' (it is 'oracle')"),
        ("name", "Body Fat", "name is 'Body Fat', not small letters, digits, dots"),
        ("name", "../../etc", "name is '../../etc', not small letters"),
        ("name", "a\n", "name is 'a\\n', not small letters"),
        ("version", 0, "version: input should be greater than or equal to 1 (it is 0)"),
        ("version", "2", "version: input should be a valid integer (it is '2')"),
        ("version", 10**30, "version: "),
        ("version", True, "version: input should be a valid integer (it is True)"),
        ("inputs", [], "inputs: list should have at least 1 item"),
        ("limitations", [], "limitations: list should have at least 1 item"),
        ("limitations", ["\u202eevil"], "limitations[0]: holds the control character U+202E"),
        ("licence", "free\x07", "licence: holds the control character U+0007"),
        ("licence", " \n", "licence: is empty"),
        ("created", "2026-03-01T10:00:00", "created: input should have timezone info"),
        ("created", 1772359200, "created: "),
        ("weights_sha256", "F" * 64, "weights_sha256 is"),
        ("training.subjects", 2, "training: subject_hashes: 1 hashes for 2 subjects; each has one"),
        ("training.subject_hashes", ["0123456789abcdef"] * 2, "training: subject_hashes: a hash is listed twice"),
        ("training.subject_hashes", ["S001"], "training.subject_hashes[0] is 'S001', not 16 hexadecimal digits"),
        ("training.datasets", [], "training: datasets: the data set of the subjects is not named"),
        ("architecture.hyperparameters", {"width": 10**12}, "architecture.hyperparameters: holds a number that is too"),
        ("architecture.hyperparameters", {"a": [[[[[1]]]]]}, "architecture.hyperparameters: is nested too deeply"),
        ("architecture.hyperparameters", {"a": [1] * 65}, "architecture.hyperparameters: has 65 entries; at most 64"),
        (
            "architecture.hyperparameters",
            {"a": "b" * 201},
            "architecture.hyperparameters: has a text of 201 characters",
        ),
        ("architecture.hyperparameters", {"a": {"\x00": 1}}, "architecture.hyperparameters: holds the control"),
        ("metrics.0.value", "good", "metrics[0].value: input should be a valid number (it is 'good')"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(path: str, value: Any, told: str) -> None:
    with pytest.raises(ModelFileError) as refused:
        parse_card(changed(path, value), "card.json")
    assert told in refused.value.what
    assert refused.value.what.isprintable()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (changed("metrics.0.value", float("nan")), "NaN is no number"),
        (changed("metrics.0.value", float("-inf")), "-Infinity is no number"),
        (json.dumps(valid()).replace("2.5", "1e999"), "metrics[0].value: input should be a finite number"),
        (json.dumps(valid()).replace('"hidden": 4', '"hidden": 1e999'), "holds inf, which is no finite number"),
        ('{"kind": "avatar", "kind": "estimator"}', "the key 'kind' is written twice"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\xfe\x00", "is not the JSON of a card"),
        (b"", "is not the JSON of a card"),
        ('"\\ud800"', "is not a valid card"),
        (changed("version", 1).replace('"version": 1', '"version": ' + "9" * 5000), "is not the JSON of a card"),
        ("{}", "kind is missing; name is missing; version is missing; architecture is missing; inputs is missing; and"),
        (b" " * (MOST_BYTES + 1), "has more than 16 MB"),
    ],
    ids=range(12),
)
def test_json_that_is_none_or_hostile_is_refused(content: bytes | str, told: str) -> None:
    with pytest.raises(ModelFileError) as refused:
        parse_card(content, "card.json")
    assert told in refused.value.what


def test_a_newer_format_asks_for_an_upgrade() -> None:
    with pytest.raises(ModelFileError, match="a card of format 2") as refused:
        parse_card(changed("format", 2), "card.json")
    assert refused.value.remedy == "Upgrade Calliper to use this checkpoint."


def test_the_order_of_keys_and_white_space_change_nothing() -> None:
    turned = dict(reversed(valid().items()))
    cards = [parse_card(json.dumps(document, indent=i), "card.json") for i, document in enumerate((valid(), turned))]
    assert cards[0].text() == cards[1].text()
    assert isinstance(cards[0], Card)
