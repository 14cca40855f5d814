"""Silhouettes of one to four views, and the stature -> the shape and the poses of a body."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.blocks import HEIGHT, VIEWS, WIDTH, Conv, Residual, mlp

N_JOINTS = 24
BOX = 4  # numbers that say where the person was in the photo: centre x, centre y, height, width


class AvatarPrediction(NamedTuple):
    """betas (B,K); pose (B,4,24,3) axis-angle, one for each view, as if it were seen from the front; features (B,D)."""

    betas: Tensor
    pose: Tensor
    features: Tensor


class SilhouetteEncoder(nn.Module):
    """One encoder for all views; what it finds is read out place by place, since millimetres matter.

    Silhouettes of views that are missing are left out by a learned stand-in, so that any subset of views will do.
    """

    def __init__(self, widths: tuple[int, ...] = (48, 80, 112), patch: int = 4, readout: int = 24, features: int = 256):
        super().__init__()
        self.patch = patch
        layers: list[nn.Module] = [Conv(patch * patch, widths[0])]
        for inputs, outputs in pairwise(widths):
            layers += [Conv(inputs, outputs, stride=2), Residual(outputs)]
        self.trunk = nn.Sequential(*layers)
        shrink = patch * 2 ** (len(widths) - 1)
        rows, columns = HEIGHT // shrink, WIDTH // shrink
        self.place = nn.Parameter(torch.zeros(len(VIEWS), widths[-1], rows, columns))
        self.readout = nn.Conv2d(widths[-1], readout, 1)
        self.gather = nn.Linear(readout * rows * columns + BOX, features)
        self.missing = nn.Parameter(torch.zeros(len(VIEWS), features))
        self.fuse = mlp(len(VIEWS) * features + len(VIEWS) + 1, features, features)

    def forward(self, silhouettes: Tensor, boxes: Tensor, present: Tensor, stature: Tensor) -> tuple[Tensor, Tensor]:
        """silhouettes (B,4,256,192) from 0 to 1; boxes (B,4,4); present (B,4) bool; stature (B,), standardised.

        Returns the features of each view (B,4,D) and those of the scan (B,D).
        """
        b = len(silhouettes)
        x = functional.pixel_unshuffle(silhouettes.reshape(b * len(VIEWS), 1, HEIGHT, WIDTH), self.patch)
        x = self.trunk(x)
        x = (x.unflatten(0, (b, len(VIEWS))) + self.place).flatten(0, 1)
        x = torch.relu(self.readout(x)).flatten(1).unflatten(0, (b, len(VIEWS)))
        x = torch.relu(self.gather(torch.cat([x, boxes], dim=2)))
        x = torch.where(present[..., None], x, self.missing)
        return x, self.fuse(torch.cat([x.flatten(1), present.float(), stature[:, None]], dim=1))


class Avatar(nn.Module):
    """Silhouettes -> betas and pose, by regression, trained on rendered people alone (after Smith et al. 2019)."""

    def __init__(
        self,
        n_betas: int,
        widths: tuple[int, ...] = (48, 80, 112),
        patch: int = 4,
        readout: int = 24,
        features: int = 256,
    ):
        super().__init__()
        self.encoder = SilhouetteEncoder(widths, patch, readout, features)
        self.shape = mlp(features, features, n_betas)
        self.pose = mlp(2 * features, features // 2, N_JOINTS * 3)
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
        betas = self.shape(scan) * self.betas_sd + self.betas_mean
        together = torch.cat([views, scan[:, None].expand_as(views)], dim=2)
        pose = self.pose(together).unflatten(2, (N_JOINTS, 3)) * self.pose_sd + self.pose_mean
        return AvatarPrediction(betas, pose, scan)
