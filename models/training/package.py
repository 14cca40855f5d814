"""Checkpoints of trained networks: their weights in half precision, and what their cards say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from models.checkpoints import Description, subject_hashes, write_checkpoint
from models.networks.blocks import HEIGHT, VIEWS, WIDTH
from models.training.nhanes import DATASET

LICENCE = "Apache-2.0"
NAMES = {"segmenter": "photo-segmenter", "avatar": "silhouette-avatar", "estimator": "body-fat"}
_RENDERED = (
    "Learnt from rendered photos of synthetic bodies alone; how well it does on real photos is not known. A study that "
    "uses it must find out."
)
_SILHOUETTES = {
    "name": "silhouettes",
    "meaning": f"up to four silhouettes ({', '.join(VIEWS)}) of {HEIGHT} × {WIDTH} pixels, any of which may be missing",
}
_STATURE = {"name": "stature_cm", "meaning": "standing height without shoes", "unit": "cm"}
_SAID: dict[str, dict[str, Any]] = {
    "segmenter": {
        "inputs": [{"name": "photo", "meaning": f"a photo of one person, fitted into {HEIGHT} × {WIDTH} pixels"}],
        "outputs": [
            {"name": "silhouette", "meaning": "how likely each pixel shows the person"},
            {"name": "view", "meaning": "front, back, left or right"},
            {"name": "people", "meaning": "none, one or several"},
            {"name": "faults", "meaning": "cut off, blurred, another pose than the one asked for"},
        ],
        "data": "Rendered photos of {learnt_from} synthetic adults: nine kinds of background less two ({held_out}), "
        "all Monk skin tones alike, {faulty:.0%} of the scans with a bad capture.",
        "limitations": [
            _RENDERED,
            "Adults in close-fitting clothes who stand as asked, one in the picture. Loose clothes, aids, and bodies "
            "beyond the span of the body model were never shown to it.",
        ],
    },
    "avatar": {
        "inputs": [_SILHOUETTES, _STATURE],
        "outputs": [
            {"name": "betas", "meaning": "shape of the packaged open body, from which its measurements are taken"},
            {"name": "pose", "meaning": "24 joint rotations of each view, axis and angle", "unit": "rad"},
        ],
        "data": "Silhouettes of {people} synthetic adults, rendered, and of {segmented} of them also as the packaged "
        "segmenter sees them in rendered photos.",
        "limitations": [
            _RENDERED,
            "The body model was made from artists' models, not from scans of people; shapes that it has not cannot be "
            "found.",
        ],
    },
    "estimator": {
        "inputs": [
            _SILHOUETTES | {"optional": True},
            {"name": "sex", "meaning": "F or M", "optional": True},
            {"name": "age", "meaning": "age at the scan", "unit": "years", "optional": True},
            _STATURE | {"optional": True},
            {"name": "weight_kg", "meaning": "body mass", "unit": "kg", "optional": True},
        ],
        "outputs": [
            {"name": "body_fat_percent", "meaning": "body-fat percentage as whole-body DXA gives it", "unit": "%"},
            {"name": "interval", "meaning": "bounds that hold it with 90 % probability", "unit": "%"},
        ],
        "data": "Adults of NHANES 1999-2000 of whom silhouettes and photos were rendered from their own measurements "
        "(girths and skinfolds by tape and caliper); BFP by DXA (Hologic QDR 4500A) of those who had it. Before that, "
        "volume and girths of synthetic bodies. Line and width of the intervals were set on 15 % of the adults, kept "
        "from the training; a fifth was kept from that as well, for the final table.",
        "limitations": [
            "The photos were rendered from tape measurements: no one was photographed. How well it does on real photos "
            "is not known, and no clinical claim can rest on it.",
            "Adults of one survey of the United States, 1999-2000, and one make of DXA device.",
            "The interval holds over people like these; for a rare body it may be too narrow.",
        ],
    },
}  # fmt: skip


def describe(
    kind: str,
    version: int,
    architecture: str,
    hyperparameters: Mapping[str, Any],
    figures: Mapping[str, Any],
    *,
    subjects: Sequence[str] = (),
    metrics: Sequence[Mapping[str, Any]] = (),
    created: datetime | None = None,
) -> Description:
    """The card of a packaged checkpoint. figures: numbers that the statement of its data names; subjects: the NHANES
    numbers of everyone whose measurements were used in a stage or in choosing between networks."""
    said = _SAID[kind]
    training = {
        "data": said["data"].format(**figures), "rendered": True, "datasets": [DATASET] if subjects else [],
        "subjects": len(subjects), "subject_hashes": subject_hashes(DATASET, subjects),
    }  # fmt: skip
    card = {
        "format": 1, "kind": kind, "name": NAMES[kind], "version": version,
        "architecture": {"name": architecture, "hyperparameters": dict(hyperparameters)},
        "inputs": said["inputs"], "outputs": said["outputs"], "training": training, "metrics": list(metrics),
        "limitations": said["limitations"], "licence": LICENCE,
        "created": (created or datetime.now(UTC)).replace(microsecond=0).isoformat(),
    }  # fmt: skip
    return Description.model_validate_json(json.dumps(card))


def write_packaged(folder: Path, description: Description, network: nn.Module) -> Path:
    """The checkpoint in half precision; one of the same name and version gives way."""
    return write_checkpoint(folder, description, network, half=True, replace=True)
