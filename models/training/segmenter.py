"""Training of the segmenter: rendered photos -> silhouettes, views, numbers of people and faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.inference.images import encode_silhouette
from models.networks.blocks import HEIGHT, VIEWS, WIDTH
from models.networks.segmenter import FAULTS as CAPTURE_FAULTS
from models.networks.segmenter import PEOPLE
from models.render.capture import FAULTS
from models.training.loop import Network
from models.training.scans import TRUTH, Scan, Store, write_scans

# What the renderer calls a bad capture, and what the segmenter is to say of it.
_FAULT = {"cropped": "cropped", "blurred": "blurred", "wrong_pose": "pose"}
_PEOPLE = {"no_person": "none", "two_persons": "several"}
_LEFT, _RIGHT = VIEWS.index("left"), VIEWS.index("right")


class PhotoBatches:
    """Makes the batches of a store of photos; a sample is one photo: scan × 4 + view."""

    def __init__(self, store: Store, *, change: bool = True):
        self.store, self.change = store, change

    def __call__(self, samples: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        n = len(samples)
        photos = np.zeros((n, 3, HEIGHT, WIDTH), np.float32)
        masks = np.zeros((n, HEIGHT, WIDTH), np.float32)
        views, people = np.zeros(n, np.int64), np.zeros(n, np.int64)
        faults = np.zeros((n, len(CAPTURE_FAULTS)), np.float32)
        for row, sample in enumerate(samples):
            scan, view = divmod(int(sample), len(VIEWS))
            layers = self.store.picture(scan, view)
            photo, mask = layers[..., 2::-1].astype(np.float32), layers[..., 3]
            shown = int(self.store.numbers["shown"][scan, view])
            if self.change:
                photo, mask, shown = _changed(photo, mask, shown, rng)
            photos[row], masks[row], views[row] = photo.transpose(2, 0, 1), mask / np.float32(255), shown
            number = int(self.store.numbers["fault"][scan])
            fault = None if number == 0 else FAULTS[number - 1]
            people[row] = PEOPLE.index(_PEOPLE.get(fault or "", "one"))
            if fault in _FAULT:
                faults[row, CAPTURE_FAULTS.index(_FAULT[fault])] = 1.0
        arrays = {"photos": photos, "masks": masks, "view": views, "people": people, "faults": faults}
        return {name: torch.from_numpy(value) for name, value in arrays.items()}


def _changed(
    photo: np.ndarray, mask: np.ndarray, shown: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Mirrored, recoloured, brighter or darker, noisier: what rendering alone would not teach."""
    if rng.random() < 0.5:
        photo, mask = photo[:, ::-1], mask[:, ::-1]
        shown = {_LEFT: _RIGHT, _RIGHT: _LEFT}.get(shown, shown)
    gains = rng.uniform(0.8, 1.2) * rng.uniform(0.9, 1.1, 3)
    photo = (photo - 127.5) * gains + 127.5 + rng.normal(0, 12)
    if rng.random() < 0.3:
        photo = photo + rng.normal(0, rng.uniform(2, 9), photo.shape)
    if rng.random() < 0.1:
        photo = np.repeat(photo.mean(2, keepdims=True), 3, 2)
    return photo.clip(0, 255).astype(np.float32), mask, shown


def segmenter_loss(network: Network, given: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy and Dice loss of the mask (Milletari et al. 2016, doi 10.1109/3DV.2016.79), and of what is told."""
    seen = network(given["photos"].contiguous(memory_format=torch.channels_last))
    cross = functional.binary_cross_entropy_with_logits(seen.mask, given["masks"])
    likely = seen.mask.sigmoid()
    shared = 2 * (likely * given["masks"]).sum((1, 2)) + 1
    dice = (1 - shared / ((likely + given["masks"]).sum((1, 2)) + 1)).mean()
    one = given["people"] == PEOPLE.index("one")
    view = functional.cross_entropy(seen.view[one], given["view"][one]) if one.any() else cross.new_zeros(())
    people = functional.cross_entropy(seen.people, given["people"])
    faults = functional.binary_cross_entropy_with_logits(seen.faults, given["faults"])
    value = cross + dice + 0.1 * (view + people + faults)
    told = {"cross": cross, "dice": dice, "view": view, "people": people, "faults": faults}
    return value, {name: float(part.detach()) for name, part in told.items()}


@torch.no_grad()
def overlaps(network: nn.Module, store: Store) -> dict[str, np.ndarray]:
    """Of every photo of a store: IoU of the mask, whether view and people were told, the skin tone and the fault."""
    batches = PhotoBatches(store, change=False)
    device = next(network.parameters()).device
    found: dict[str, list[np.ndarray]] = {"iou": [], "view": [], "people": [], "tone": [], "fault": []}
    for first in range(0, len(store) * len(VIEWS), 32):
        samples = np.arange(first, min(first + 32, len(store) * len(VIEWS)))
        given = {name: value.to(device) for name, value in batches(samples, np.random.default_rng(0)).items()}
        seen = network(given["photos"])
        inside, truth = seen.mask > 0, given["masks"] >= 0.5
        union = (inside | truth).sum((1, 2)).clamp(min=1)
        found["iou"].append(((inside & truth).sum((1, 2)) / union).cpu().numpy())
        found["view"].append((seen.view.argmax(1) == given["view"]).cpu().numpy())
        found["people"].append((seen.people.argmax(1) == given["people"]).cpu().numpy())
        scans = samples // len(VIEWS)
        found["tone"].append(store.numbers["tone"][scans])
        found["fault"].append(store.numbers["fault"][scans])
    return {name: np.concatenate(values) for name, values in found.items()}


def evaluate(network: nn.Module, store: Store) -> dict[str, float]:
    """Figures of the photos of a store that have no fault."""
    seen = overlaps(network, store)
    good = seen["fault"] == 0
    return {
        "held_out_iou": float(seen["iou"][good].mean()),
        "held_out_iou_5th": float(np.quantile(seen["iou"][good], 0.05)),
        "held_out_view": float(seen["view"][good].mean()),
        "held_out_people": float(seen["people"].mean()),
    }


@torch.inference_mode()
def write_segmented(network: nn.Module, photos: Path, folder: Path, *, device: str = "cpu") -> Iterator[int]:
    """A store beside the store `photos`: the silhouettes that the network sees in them, with the same truth.

    Yields how many of its files are there, file by file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = network.to(device, memory_format=torch.channels_last).eval()
    for done, path in enumerate(sorted(photos.glob("part-*.npz")), start=1):
        target = folder / path.name
        if not target.exists():
            store = Store(path)
            write_scans(target, [_segmented(network, store, scan, device) for scan in range(len(store))])
        yield done


def _segmented(network: nn.Module, store: Store, scan: int, device: str) -> Scan:
    photos = np.stack([store.picture(scan, view)[..., 2::-1] for view in range(len(VIEWS))])
    given = torch.from_numpy(photos.astype(np.float32)).permute(0, 3, 1, 2)  # channels last, as it lies
    masks = (network(given.to(device)).mask.sigmoid() * 255).round().to(torch.uint8).cpu().numpy()
    pictures = {view: encode_silhouette(mask) for view, mask in zip(VIEWS, masks, strict=True)}
    return Scan(pictures, {name: store.numbers[name][scan] for name in TRUTH})
