"""Whom a checkpoint was trained on, without saying who: a card lists hashes of subjects, never their identifiers.

The hash of a subject is SHA-256 over "DATASET:SUBJECT_ID" in UTF-8, of which the first 16 hexadecimal digits are kept.
It tells whoever knows an identifier whether it is in the list; it does not hide identifiers that can be guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from models.checkpoints.card import HASH_DIGITS, Description


def subject_hash(dataset: str, subject_id: str) -> str:
    """How a card lists this subject of this data set."""
    return hashlib.sha256(f"{dataset}:{subject_id}".encode()).hexdigest()[:HASH_DIGITS]


def subject_hashes(dataset: str, subject_ids: Iterable[str]) -> list[str]:
    """The hashes of these subjects, each once, sorted so that their order tells nothing."""
    return sorted({subject_hash(dataset, subject) for subject in subject_ids})


def trained_on(card: Description, dataset: str, subject_ids: Iterable[str]) -> set[str]:
    """Those of the subjects of a data set whom the checkpoint was trained on."""
    listed = frozenset(card.training.subject_hashes)
    if not listed:
        return set()
    return {subject for subject in subject_ids if subject_hash(dataset, subject) in listed}
