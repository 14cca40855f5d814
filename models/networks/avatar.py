"""Silhouettes of one to four views, and the stature -> the shape and the poses of a body."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.blocks import HEIGHT, VIEWS, WIDTH, mlp
from models.networks.mirror import mirrored_pose, mirrored_scan

N_JOINTS = 24
ROWS = HEIGHT // 2  # lines on which an outline is read
SPANS = 8  # what is read on each
CELL = 8  # pixels
CELLS = (HEIGHT // CELL) * (WIDTH // CELL)
_CENTRE = WIDTH // 2
_RIDGE = 30.0  # on standardised places and shares
_FAINT = 1e-4  # of the largest component's variance: what is fainter is not blown up
BOX = 4  # numbers that say where the person was in the photo: centre x, centre y, height, width
SEEN = ROWS * SPANS + CELLS + BOX


class AvatarPrediction(NamedTuple):
    """betas (B,K); pose (B,4,24,3) axis-angle, one for each view, as if it were seen from the front; features (B,D)."""

    betas: Tensor
    pose: Tensor
    features: Tensor


class Encoded(NamedTuple):
    """views (B,4,C): components of each view, after the readings; readings (B,R): the sum over the views; features
    (B,D) of the scan."""

    views: Tensor
    readings: Tensor
    features: Tensor


class SilhouetteEncoder(nn.Module):
    """Where the outlines lie, line by line, and no convolutions: since the person has been centred and fills the
    picture, every line crosses the same part of the body, and shares of covered pixels tell widths to a fraction of a
    pixel (see `outline`).

    Each view is seen twice: in components, the same for all views, and in readings, which are linear in the view and
    add up over the views. Training begins with principal components and with the least-squares readings of the betas
    (`begin`). A view that is missing says nothing, or rather what the mean view says, so that any subset of views
    will do.
    """

    def __init__(self, components: int = 256, features: int = 512, readings: int = 40):
        super().__init__()
        self.look = nn.Linear(SEEN, components)
        self.read = nn.Parameter(torch.randn(len(VIEWS), readings, SEEN) / SEEN)
        self.read_at_mean = nn.Parameter(torch.zeros(len(VIEWS), readings))
        self.missing = nn.Parameter(torch.zeros(len(VIEWS), components))
        self.fuse = nn.Sequential(mlp(len(VIEWS) * (components + readings + 1) + 1, features, features), nn.GELU())

    def forward(self, silhouettes: Tensor, boxes: Tensor, present: Tensor, stature: Tensor) -> Encoded:
        """silhouettes (B,4,256,192) from 0 to 1; boxes (B,4,4); present (B,4) bool; stature (B,), standardised."""
        seen, there = outline(silhouettes, boxes), present[..., None]
        readings = torch.einsum("bvs,vrs->bvr", seen, self.read) - self.read_at_mean
        readings = torch.where(there, readings, torch.zeros_like(readings))
        views = torch.cat([torch.where(there, self.look(seen), self.missing), readings], dim=2)
        features = self.fuse(torch.cat([views.flatten(1), present.float(), stature[:, None]], dim=1))
        return Encoded(views, readings.sum(1), features)

    @torch.no_grad()
    def begin(self, outlines: Tensor, sought: Tensor) -> None:
        """Begin with what can be told of views without learning.

        outlines (N,4,SEEN) of whole scans; sought (N,R), standardised: what the readings are to say. The components
        are the principal ones, each scaled to the same spread; the readings are those of ridge regression on all views.
        """
        views = outlines.flatten(0, 1)
        mean = views.mean(0)
        spread, axes = torch.linalg.eigh(torch.cov(views.T).double())
        spread, axes = (part.flip(-1)[..., : self.look.out_features] for part in (spread, axes))
        weight = (axes / (spread.clamp(min=0) + _FAINT * spread[0]).sqrt()).T.float()
        self.look.weight[: len(weight)] = weight
        self.look.bias[: len(weight)] = -weight @ mean
        scans, centre = outlines.flatten(1), outlines.mean(0).flatten()
        scale = scans.std(0)
        scale = scale.clamp(min=float(scale.max()) * 1e-3)
        known = (scans - centre) / scale
        found = _ridge(known, sought) / scale[:, None]
        by_view = found.T.unflatten(1, (len(VIEWS), SEEN)).transpose(0, 1)
        self.read.copy_(by_view)
        self.read_at_mean.copy_(torch.einsum("vs,vrs->vr", outlines.mean(0), by_view))


def _ridge(known: Tensor, sought: Tensor) -> Tensor:
    """Ridge regression (N,P), (N,R) -> (P,R), by whichever of the two equal ways has the smaller matrix."""
    n, p = known.shape
    if n < p:
        gram = (known @ known.T).double() + _RIDGE * torch.eye(n, dtype=torch.float64)
        return (known.T.double() @ torch.linalg.solve(gram, sought.double())).float()
    gram = (known.T @ known).double() + _RIDGE * torch.eye(p, dtype=torch.float64)
    return torch.linalg.solve(gram, (known.T @ sought).double()).float()


def outline(silhouettes: Tensor, boxes: Tensor) -> Tensor:
    """silhouettes (B,V,256,192), boxes (B,V,4) -> (B,V,SEEN): where the person begins and ends on each line.

    Of each line: how much of it is covered, of its left half and of its middle third; where the outline begins and
    ends; and the same of the run of covered pixels about the centre, which is the trunk where arms are off it. Then
    the covered share of each cell of 8 × 8 pixels, and the box. Places are told to a fraction of a pixel, as far as
    the pixel at the border is covered.
    """
    lines = functional.avg_pool2d(silhouettes, (HEIGHT // ROWS, 1))  # (B,V,ROWS,WIDTH)
    inside = lines >= 0.5
    crossed, middle = inside.any(3), inside[..., _CENTRE]
    first, last = _first(inside), WIDTH - 1 - _first(inside.flip(3))
    begins = torch.where(crossed, first + 1 - _share(lines, first) - _share(lines, first - 1), _CENTRE)
    ends = torch.where(crossed, last + _share(lines, last) + _share(lines, last + 1), _CENTRE)
    first = _CENTRE - _first(_closed(~inside[..., :_CENTRE].flip(3)))
    last = _CENTRE - 1 + _first(_closed(~inside[..., _CENTRE:]))
    left = torch.where(middle, first + 1 - _share(lines, first) - _share(lines, first - 1), _CENTRE)
    right = torch.where(middle, last + _share(lines, last) + _share(lines, last + 1), _CENTRE)
    third = WIDTH // 3
    spans = torch.stack([
        lines.sum(3), lines[..., :_CENTRE].sum(3), lines[..., third : WIDTH - third].sum(3),
        begins - _CENTRE, ends - _CENTRE, left - _CENTRE, right - _CENTRE, right - left,
    ], dim=2)  # fmt: skip
    shares = functional.avg_pool2d(silhouettes, CELL).flatten(2)
    return torch.cat([spans.flatten(2) / 20, (shares - 0.3) * 3, boxes], dim=2)


def _first(marked: Tensor) -> Tensor:
    """The place of the first True along the last axis; 0 where there is none."""
    return marked.to(torch.uint8).argmax(-1)


def _closed(marked: Tensor) -> Tensor:
    """The same, with a True added at the end."""
    return functional.pad(marked, (0, 1), value=True)


def _share(lines: Tensor, place: Tensor) -> Tensor:
    """How far the pixel at a place of each line is covered; nothing beyond the picture."""
    found = lines.gather(3, place.clamp(0, WIDTH - 1)[..., None])[..., 0]
    return torch.where((place >= 0) & (place < WIDTH), found, torch.zeros_like(found))


class Avatar(nn.Module):
    """Silhouettes -> betas and pose, by regression, trained on rendered people alone (after Smith et al. 2019).

    What the stature alone says of the betas is a straight line beside the network, as are the readings of the views:
    the network learns what is not linear.
    """

    def __init__(self, n_betas: int, components: int = 256, features: int = 512):
        super().__init__()
        self.encoder = SilhouetteEncoder(components, features, n_betas)
        self.shape = mlp(features, features // 2, n_betas)
        self.by_stature = nn.Linear(1, n_betas)
        self.pose = mlp(features + components + n_betas, features // 2, N_JOINTS * 3)
        self.register_buffer("stature_mean", torch.tensor(1.69))
        self.register_buffer("stature_sd", torch.tensor(0.10))
        self.register_buffer("betas_mean", torch.zeros(n_betas))
        self.register_buffer("betas_sd", torch.ones(n_betas))
        self.register_buffer("pose_mean", torch.zeros(len(VIEWS), N_JOINTS, 3))
        self.register_buffer("pose_sd", torch.full((len(VIEWS), N_JOINTS, 3), 0.1))

    def forward(self, silhouettes: Tensor, boxes: Tensor, present: Tensor, stature: Tensor) -> AvatarPrediction:
        """silhouettes (B,4,256,192) from 0 to 1; boxes (B,4,4); present (B,4) bool; stature (B,) in metres."""
        seen = self._see(silhouettes, boxes, present, stature)
        if self.training:
            return seen
        other = self._see(*mirrored_scan(silhouettes, boxes, present), stature)
        return AvatarPrediction(
            (seen.betas + other.betas) / 2,
            (seen.pose + mirrored_pose(other.pose)) / 2,
            (seen.features + other.features) / 2,
        )

    def _see(self, silhouettes: Tensor, boxes: Tensor, present: Tensor, stature: Tensor) -> AvatarPrediction:
        standard = (stature - self.stature_mean) / self.stature_sd
        seen = self.encoder(silhouettes, boxes, present, standard)
        betas = self.shape(seen.features) + self.by_stature(standard[:, None]) + seen.readings
        together = torch.cat([seen.views, seen.features[:, None].expand(-1, len(VIEWS), -1)], dim=2)
        pose = self.pose(together).unflatten(2, (N_JOINTS, 3)) * self.pose_sd + self.pose_mean
        return AvatarPrediction(betas * self.betas_sd + self.betas_mean, pose, seen.features)
