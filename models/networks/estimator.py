"""Silhouettes, photos and a profile -> body-fat percentage with its uncertainty."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.networks.avatar import SilhouetteEncoder
from models.networks.blocks import mlp
from models.networks.mirror import mirrored_scan

PROFILE = ("sex", "age", "stature_m", "weight_kg")  # sex: 0 a woman, 1 a man
SHAPE_TARGETS = ("volume", "waist", "hip", "chest", "thigh", "arm", "calf", "neck")  # of the pre-training


class Estimate(NamedTuple):
    """Of a batch of B scans: mean (B,) and SD (B,) of BFP, percentage points; shape (B,8), standardised."""

    mean: Tensor
    sd: Tensor
    shape: Tensor


class Estimator(nn.Module):
    """BFP as a normal distribution whose mean and SD depend on the scan (Nix and Weigend 1994).

    Each input may be absent: a view, and each part of the profile. What is absent is told by a mark beside a zero.
    """

    def __init__(
        self,
        components: int = 256,
        features: int = 512,
        readings: int = 40,
        hidden: int = 96,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.encoder = SilhouetteEncoder(components, features, readings)
        self.shape = mlp(features + readings + 1, hidden, len(SHAPE_TARGETS))
        self.head = mlp(features + readings + 2 * len(PROFILE), hidden, hidden, 2, dropout=dropout)
        self.register_buffer("profile_mean", torch.tensor([0.5, 45.0, 1.69, 78.0]))
        self.register_buffer("profile_sd", torch.tensor([0.5, 18.0, 0.10, 18.0]))
        self.register_buffer("target_mean", torch.tensor(32.0))
        self.register_buffer("target_sd", torch.tensor(9.0))
        self.register_buffer("sd_scale", torch.tensor(1.0))  # set by calibration on subjects held back from training

    def forward(self, silhouettes: Tensor, boxes: Tensor, present: Tensor, profile: Tensor) -> Estimate:
        """silhouettes (B,4,256,192) from 0 to 1; boxes (B,4,4); present (B,4) bool; profile (B,4), NaN where absent."""
        seen = self._see(silhouettes, boxes, present, profile)
        if self.training:
            return seen
        other = self._see(*mirrored_scan(silhouettes, boxes, present), profile)
        return Estimate(*((one + two) / 2 for one, two in zip(seen, other, strict=True)))

    def _see(self, silhouettes: Tensor, boxes: Tensor, present: Tensor, profile: Tensor) -> Estimate:
        known = torch.isfinite(profile)
        standard = torch.where(known, (profile - self.profile_mean) / self.profile_sd, torch.zeros_like(profile))
        stature = standard[:, 2:3]
        seen = self.encoder(silhouettes, boxes, present, stature[:, 0])
        scan = torch.cat([seen.features, seen.readings], dim=1)
        mean, spread = self.head(torch.cat([scan, standard, known.float()], dim=1)).unbind(1)
        sd = nn.functional.softplus(spread) * self.target_sd * self.sd_scale
        return Estimate(mean * self.target_sd + self.target_mean, sd, self.shape(torch.cat([scan, stature], dim=1)))
