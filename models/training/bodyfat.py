"""Training of the estimator: shapes of synthetic bodies first, then DXA labels, then scans without any.

Stage 1 learns the volume and the girths of synthetic bodies from their silhouettes. Stage 2 learns BFP from people with
a DXA reading. Stage 3 goes on with many scans that have none: a mean teacher (Tarvainen and Valpola 2017,
doi 10.48550/arXiv.1703.01780) says what it sees in a whole scan, and the network has to see the same in a part of it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.blocks import VIEWS
from models.networks.estimator import SHAPE_TARGETS
from models.training.avatar import STATURE_ERROR_M, silhouettes_in
from models.training.loop import Network
from models.training.scans import MEASURED, Store

MASS_ERROR_KG = 0.4  # SD: clothes, scales
AGE_ERROR_YEARS = 0.5
# How much of the profile is known in training: chances of all of it, stature alone, nothing, and any part of it.
_WHOLE, _STATURE, _NOTHING = 0.5, 0.2, 0.05
_TAPED = [MEASURED.index("volume_l" if name == "volume" else f"{name}_cm") for name in SHAPE_TARGETS]


@dataclass(frozen=True)
class Labels:
    """What is known of the person of each scan of a store. profile (N,4): sex (1 a man), age, stature (m), mass (kg);
    bfp (N,): by DXA, NaN where it is not known."""

    profile: np.ndarray
    bfp: np.ndarray

    def of(self, rows: np.ndarray) -> Labels:
        return Labels(self.profile[rows], self.bfp[rows])


@dataclass(frozen=True)
class ShapeScale:
    """Mean and SD of the shape targets (8,), by which they are standardised."""

    mean: Tensor
    sd: Tensor

    @classmethod
    def of(cls, store: Store) -> ShapeScale:
        taped = torch.from_numpy(store.numbers["measured"][:, _TAPED])
        return cls(taped.mean(0), taped.std(0))

    def standard(self, measured: Tensor) -> Tensor:
        """Measurements (B,9), as stores have them, -> targets (B,8)."""
        return (measured[:, _TAPED] - self.mean.to(measured.device)) / self.sd.to(measured.device)


class ScanBatches:
    """Makes the batches of a store of silhouettes with profiles and labels: roughened, with views and facts left out.

    twice: each batch also holds the whole scan as it is ("whole_…"), for a teacher to look at.
    """

    def __init__(self, store: Store, labels: Labels, *, change: bool = True, twice: bool = False):
        self.store, self.labels, self.change, self.twice = store, labels, change, twice

    def __call__(self, numbers: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        found = self._seen(numbers, rng, self.change, self.change)
        if self.twice:
            whole = self._seen(numbers, rng, True, False)
            found |= {f"whole_{name}": whole[name] for name in ("silhouettes", "boxes", "present", "profile")}
        known = {"bfp": self.labels.bfp[numbers], "measured": self.store.numbers["measured"][numbers]}
        return found | {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in known.items()}

    def _seen(self, numbers: np.ndarray, rng: np.random.Generator, rough: bool, partly: bool) -> dict[str, Tensor]:
        mirrored = rng.random(len(numbers)) < 0.5 if rough else np.zeros(len(numbers), bool)
        scans = np.repeat(numbers[:, None], len(VIEWS), 1)
        silhouettes, boxes, present = silhouettes_in(
            self.store, scans, rng, rough=rough, drop_views=partly, mirrored=mirrored
        )
        profile = self.labels.profile[numbers].astype(np.float32)
        if rough:
            n = len(numbers)
            profile[:, 1] += rng.normal(0, AGE_ERROR_YEARS, n)
            profile[:, 2] += rng.normal(0, STATURE_ERROR_M, n)
            profile[:, 3] += rng.normal(0, MASS_ERROR_KG, n)
        if partly:
            profile[~known_facts(len(numbers), rng)] = np.nan
        arrays = {"silhouettes": silhouettes, "boxes": boxes, "present": present, "profile": profile}
        return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()}


def known_facts(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n,4) bool: which facts of the profile are given, drawn at random."""
    known = rng.random((n, 4)) < 0.5
    how = rng.random(n)
    known[how < _WHOLE] = True
    known[(how >= _WHOLE) & (how < _WHOLE + _STATURE)] = (False, False, True, False)
    known[how >= 1 - _NOTHING] = False
    return known


@dataclass
class ShapeLoss:
    """Stage 1: the standardised volume and girths."""

    scale: ShapeScale

    def __call__(self, network: Network, given: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        seen = network(given["silhouettes"], given["boxes"], given["present"], given["profile"])
        value = (seen.shape - self.scale.standard(given["measured"])).abs().mean()
        return value, {"shape_sd": float(value.detach())}


@dataclass
class BodyFatLoss:
    """Stages 2 and 3: the likelihood of the labels there are, and the shape as before.

    teacher: the network whose word counts where there is no label, or as well; None in stage 2.
    """

    scale: ShapeScale
    shape: float = 0.2
    consistency: float = 1.0
    teacher: nn.Module | None = None

    def follow(self, average: nn.Module) -> None:
        """Take the running average of the weights for a teacher."""
        self.teacher = average

    def __call__(self, network: Network, given: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        seen = network(given["silhouettes"], given["boxes"], given["present"], given["profile"])
        labelled = torch.isfinite(given["bfp"])
        truth = torch.where(labelled, given["bfp"], seen.mean.detach())
        error = seen.mean - truth
        likelihood = 0.5 * (error / seen.sd).square() + seen.sd.log()
        count = labelled.sum().clamp(min=1)
        value = ((likelihood + 0.25 * error.abs()) * labelled).sum() / count
        shape = (seen.shape - self.scale.standard(given["measured"])).abs().mean()
        value = value + self.shape * shape
        told = {"mae": float((error.abs() * labelled).sum().detach() / count), "shape_sd": float(shape.detach())}
        if self.teacher is not None:
            taught = self._taught(given)
            apart = functional.smooth_l1_loss(seen.mean, taught)
            value = value + self.consistency * apart
            told["from_teacher"] = float(apart.detach())
        return value, told

    @torch.no_grad()
    def _taught(self, given: Mapping[str, Tensor]) -> Tensor:
        assert self.teacher is not None
        self.teacher.eval()
        whole = (given[f"whole_{name}"] for name in ("silhouettes", "boxes", "present", "profile"))
        return self.teacher(*whole).mean


def set_scales(network: nn.Module, labels: Labels) -> None:
    """Tell the network the means and spreads of profile and BFP."""
    found = {
        "profile_mean": labels.profile.mean(0), "profile_sd": labels.profile.std(0),
        "target_mean": np.nanmean(labels.bfp), "target_sd": np.nanstd(labels.bfp),
    }  # fmt: skip
    for name, value in found.items():
        getattr(network, name).copy_(torch.as_tensor(value, dtype=torch.float32))


def take_encoder(network: nn.Module, avatar: nn.Module) -> None:
    """Begin with what the avatar's encoder has learnt, which is of the same build."""
    network.encoder.load_state_dict(copy.deepcopy(avatar.encoder.state_dict()))


@torch.no_grad()
def predict(
    network: nn.Module,
    store: Store,
    labels: Labels,
    numbers: np.ndarray,
    *,
    facts: Sequence[bool] = (True, True, True, True),
    views: Sequence[str] = VIEWS,
    size: int = 32,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and SD (N,) of the BFP of the numbered scans. facts: what of the profile is given; views: which are seen."""
    device = next(network.parameters()).device
    network.eval()
    used = torch.tensor([view in views for view in VIEWS])
    found = []
    for first in range(0, len(numbers), size):
        batch = ScanBatches(store, labels, change=False)(numbers[first : first + size], np.random.default_rng(0))
        batch["profile"][:, ~torch.tensor(facts)] = torch.nan
        batch["present"] &= used
        batch["silhouettes"][:, ~used] = 0
        batch["boxes"][:, ~used] = 0
        given = [batch[name].to(device) for name in ("silhouettes", "boxes", "present", "profile")]
        seen = network(*given)
        found.append(torch.stack([seen.mean, seen.sd]).cpu().numpy())
    mean, sd = np.concatenate(found, axis=1)
    return mean, sd


def errors(network: nn.Module, store: Store, labels: Labels, numbers: np.ndarray) -> dict[str, float]:
    """Mean absolute errors on labelled scans, from silhouettes with the profile and with the stature alone."""
    truth = labels.bfp[numbers]
    whole, _ = predict(network, store, labels, numbers)
    alone, _ = predict(network, store, labels, numbers, facts=(False, False, True, False))
    return {
        "held_out_mae_profile": float(np.abs(whole - truth).mean()),
        "held_out_mae_stature": float(np.abs(alone - truth).mean()),
    }


@torch.no_grad()
def shape_errors(network: nn.Module, store: Store, labels: Labels, scale: ShapeScale) -> dict[str, float]:
    """Mean absolute errors of volume and girths, in litres and cm, from all views with the stature."""
    batches = ScanBatches(store, labels, change=False)
    found = []
    for first in range(0, len(store), 32):
        batch = batches(np.arange(first, min(first + 32, len(store))), np.random.default_rng(0))
        seen = network(batch["silhouettes"], batch["boxes"], batch["present"], batch["profile"])
        found.append((seen.shape - scale.standard(batch["measured"])).abs() * scale.sd)
    means = torch.cat(found).mean(0).tolist()
    return {f"held_out_{name}": value for name, value in zip(SHAPE_TARGETS, means, strict=True)}


class Calibration(NamedTuple):
    """BFP = intercept + slope × what the network said, percentage points; factor: of the SD, after that."""

    intercept: float
    slope: float
    factor: float


def calibrate(
    network: nn.Module, truth: np.ndarray, mean: np.ndarray, sd: np.ndarray, coverage: float = 0.9
) -> Calibration:
    """Put the network's BFP on the line, and stretch its SDs so that the normal interval holds `coverage`.

    truth, mean, sd (N,) BFP of people who were not learnt from. The line is that of least squares of truth on mean: a
    network whose loss is not the squared error, and whose weights are drawn towards zero, says too little of what is
    far from the middle. The SDs are by split conformal prediction (Lei et al. 2018, doi 10.1080/01621459.2017.1307116)
    with the standardised absolute error as the score. All of it is set in the network.
    """
    from statistics import NormalDist

    slope, intercept = (float(part) for part in np.polyfit(mean, truth, 1))
    scores = np.sort(np.abs(truth - (intercept + slope * mean)) / (slope * sd))
    place = int(np.ceil((len(scores) + 1) * coverage)) - 1
    factor = float(scores[min(place, len(scores) - 1)] / NormalDist().inv_cdf((1 + coverage) / 2))
    network.target_mean.mul_(slope).add_(intercept)
    network.target_sd.mul_(slope)
    network.sd_scale.mul_(factor)
    return Calibration(intercept, slope, factor)
