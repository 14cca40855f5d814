"""Hashes of the subjects that a checkpoint was trained on."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.checkpoints import read_card, subject_hash, subject_hashes, trained_on


def test_the_hash_is_that_of_data_set_and_subject() -> None:
    expected = hashlib.sha256(b"nhanes-1999:42").hexdigest()[:16]
    assert subject_hash("nhanes-1999", "42") == expected
    assert subject_hashes("nhanes-1999", ["42", "42"]) == [expected]


@given(st.sets(st.text(max_size=8), min_size=2, max_size=30))
def test_hashes_are_sorted_whatever_the_order_of_the_subjects(subjects: set[str]) -> None:
    listed = sorted(subjects)
    assert subject_hashes("a", listed) == subject_hashes("a", reversed(listed)) == sorted(subject_hashes("a", listed))
    assert len(subject_hashes("a", listed)) == len(subjects)


@pytest.mark.parametrize(
    ("dataset", "subjects", "found"),
    [
        ("nhanes-1999", ["1", "2", "3", "4"], {"2", "3"}),
        ("nhanes-1999", ["4", "02"], set()),
        ("other", ["1", "2", "3"], set()),
        ("nhanes-1999", [], set()),
    ],
)
def test_only_the_subjects_of_the_same_data_set_are_found(
    tmp_path, tiny_checkpoint, dataset: str, subjects: list[str], found: set[str]
) -> None:
    card = read_card(tiny_checkpoint(tmp_path, subjects=("nhanes-1999", ["2", "3", "9"])))
    assert trained_on(card, dataset, subjects) == found


def test_a_checkpoint_without_subjects_knows_nobody(tmp_path, tiny_checkpoint) -> None:
    card = read_card(tiny_checkpoint(tmp_path))
    assert trained_on(card, "nhanes-1999", ["1"]) == set()
