"""Silhouettes of one to four views, and the stature -> the shape and the poses of a body."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.blocks import HEIGHT, VIEWS, WIDTH, mlp

N_JOINTS = 24
CELL = 4  # pixels
CELLS = (HEIGHT // CELL) * (WIDTH // CELL)
_FAINT = 1e-3  # of the largest component's variance: what is fainter is not blown up
BOX = 4  # numbers that say where the person was in the photo: centre x, centre y, height, width


class AvatarPrediction(NamedTuple):
    """betas (B,K); pose (B,4,24,3) axis-angle, one for each view, as if it were seen from the front; features (B,D)."""

    betas: Tensor
    pose: Tensor
    features: Tensor


class SilhouetteEncoder(nn.Module):
    """What a silhouette covers, place by place, as components and no convolutions: since the person has been centred
    and fills the picture, every place means the same part of the body, and shares of covered cells are exact to a
    fraction of a pixel. Training begins with the principal components of silhouettes (see `begin_with_components`).

    One set of components for all views. A view that is missing is left out by a learned stand-in, so that any subset of
    views will do.
    """

    def __init__(self, components: int = 256, features: int = 512):
        super().__init__()
        self.look = nn.Linear(CELLS + BOX, components)
        self.missing = nn.Parameter(torch.zeros(len(VIEWS), components))
        self.fuse = nn.Sequential(mlp(len(VIEWS) * (components + 1) + 1, features, features), nn.GELU())

    def forward(self, silhouettes: Tensor, boxes: Tensor, present: Tensor, stature: Tensor) -> tuple[Tensor, Tensor]:
        """silhouettes (B,4,256,192) from 0 to 1; boxes (B,4,4); present (B,4) bool; stature (B,), standardised.

        Returns the components of each view (B,4,C) and the features of the scan (B,D).
        """
        seen = self.look(torch.cat([cells(silhouettes), boxes], dim=2))
        seen = torch.where(present[..., None], seen, self.missing)
        return seen, self.fuse(torch.cat([seen.flatten(1), present.float(), stature[:, None]], dim=1))

    @torch.no_grad()
    def begin_with_components(self, silhouettes: Tensor) -> None:
        """Begin with the principal components of silhouettes (N,256,192), each scaled to the same spread."""
        seen = cells(silhouettes[:, None])[:, 0]
        mean = seen.mean(0)
        spread, axes = torch.linalg.eigh(torch.cov(seen.T).double())
        spread, axes = (part.flip(-1)[..., : self.look.out_features] for part in (spread, axes))
        weight = (axes / (spread + _FAINT * spread[0]).sqrt()).T.float()
        self.look.weight[:, :CELLS] = weight
        self.look.bias.copy_(-weight @ mean)


def cells(silhouettes: Tensor) -> Tensor:
    """silhouettes (B,V,256,192) -> (B,V,CELLS): the covered share of each cell of 4 × 4 pixels, centred and scaled."""
    shares = functional.avg_pool2d(silhouettes, CELL)
    return (shares.flatten(2) - 0.3) * 3


class Avatar(nn.Module):
    """Silhouettes -> betas and pose, by regression, trained on rendered people alone (after Smith et al. 2019).

    What the stature alone says of the betas is a straight line beside the network; so the avatar is as tall as told.
    """

    def __init__(self, n_betas: int, components: int = 256, features: int = 512):
        super().__init__()
        self.encoder = SilhouetteEncoder(components, features)
        self.shape = mlp(features, features // 2, n_betas)
        self.by_stature = nn.Linear(1, n_betas)
        self.pose = mlp(features + components, features // 2, N_JOINTS * 3)
        self.register_buffer("stature_mean", torch.tensor(1.69))
        self.register_buffer("stature_sd", torch.tensor(0.10))
        self.register_buffer("betas_mean", torch.zeros(n_betas))
        self.register_buffer("betas_sd", torch.ones(n_betas))
        self.register_buffer("pose_mean", torch.zeros(len(VIEWS), N_JOINTS, 3))
        self.register_buffer("pose_sd", torch.full((len(VIEWS), N_JOINTS, 3), 0.1))

    def encode(self, silhouettes: Tensor, boxes: Tensor, present: Tensor, stature: Tensor) -> tuple[Tensor, Tensor]:
        """As `SilhouetteEncoder.forward`, with the stature (B,) in metres."""
        return self.encoder(silhouettes, boxes, present, (stature - self.stature_mean) / self.stature_sd)

    def forward(self, silhouettes: Tensor, boxes: Tensor, present: Tensor, stature: Tensor) -> AvatarPrediction:
        """silhouettes (B,4,256,192) from 0 to 1; boxes (B,4,4); present (B,4) bool; stature (B,) in metres."""
        views, scan = self.encode(silhouettes, boxes, present, stature)
        tall = self.by_stature(((stature - self.stature_mean) / self.stature_sd)[:, None])
        betas = (self.shape(scan) + tall) * self.betas_sd + self.betas_mean
        together = torch.cat([views, scan[:, None].expand(-1, len(VIEWS), -1)], dim=2)
        pose = self.pose(together).unflatten(2, (N_JOINTS, 3)) * self.pose_sd + self.pose_mean
        return AvatarPrediction(betas, pose, scan)
