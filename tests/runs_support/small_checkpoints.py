"""Small networks that are not trained, as checkpoints: the road of a scan is real, its numbers mean nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import torch

from models.body import open_body
from models.checkpoints import Architecture, Description, Input, Quantity, Training, subject_hashes, write_checkpoint
from models.networks import build
from models.networks.segmenter import FAULTS, PEOPLE, VIEWS

SMALL = {"components": 8, "features": 16}


def write_small(folder: Path, kind: str, *, seed: int = 0, version: int = 1, subjects: tuple = ("", ())) -> Path:
    """A checkpoint `small-KIND@version`; the segmenter takes what is bright for a person. Its path."""
    torch.manual_seed(seed)
    architecture, hyperparameters = {
        "segmenter": ("unet-1", {"widths": [4]}),
        "avatar": ("silhouette-avatar-1", {"n_betas": open_body().n_betas, **SMALL}),
        "estimator": ("body-fat-1", {**SMALL, "hidden": 8}),
    }[kind]
    network = build(architecture, hyperparameters)
    if kind == "segmenter":
        _threshold(network)
    hashes = subject_hashes(subjects[0], list(subjects[1]))
    description = Description(
        kind=kind, name=f"small-{kind}", version=version, licence="CC0-1.0", created=datetime(2026, 1, 1, tzinfo=UTC),
        architecture=Architecture(name=architecture, hyperparameters=hyperparameters),
        inputs=[Input(name="pictures", meaning="pictures")], outputs=[Quantity(name="numbers", meaning="no meaning")],
        training=Training(
            data="None: the weights are random.", rendered=True, subjects=len(hashes), subject_hashes=hashes,
            datasets=[subjects[0]] if hashes else [],
        ),
        limitations=["It is of no use but in tests."],
    )  # fmt: skip
    return write_checkpoint(folder, description, network)


def _threshold(network: torch.nn.Module) -> None:
    """Make of a segmenter of one level one that finds what is brighter than the middle, and nothing wrong with it."""
    convolution, normalise, _ = network.stem
    last = network.capture[-1]
    with torch.no_grad():
        for layer in (convolution, network.mask, last):
            layer.weight.zero_()
        for pixel in range(4):
            convolution.weight[pixel, pixel::4, 1, 1] = 1 / 3
            network.mask.weight[pixel, pixel, 1, 1] = 8.0
        normalise.bias.fill_(3.0)
        network.mask.bias.fill_(-24.0)
        opinion = [*([0.0] * len(VIEWS)), -9.0, 9.0, -9.0, *([-9.0] * len(FAULTS))]
        last.bias.copy_(torch.tensor(opinion))
    assert PEOPLE[1] == "one"


def bright_person(seed: int, view: str = "front") -> bytes:
    """A JPEG of an ellipse of its own width, brighter than the room. A seed below 0: there is nobody."""
    random = np.random.default_rng([abs(seed), len(view)])
    picture = random.integers(85, 105, (360, 270, 3), dtype=np.uint8)
    if seed >= 0:
        width, height = int(random.integers(30, 70)), int(random.integers(120, 160))
        cv2.ellipse(picture, (135, 180), (width, height), 0, 0, 360, (225, 215, 205), -1)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
