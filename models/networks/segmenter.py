"""Photo -> silhouette, and what kind of capture it is."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.blocks import VIEWS, Conv, Residual

PEOPLE = ("none", "one", "several")
FAULTS = ("cropped", "blurred", "pose")


class Segmentation(NamedTuple):
    """Logits of a batch of B photos: mask (B,H,W); view (B,4); people (B,3): none, one, several; faults (B,3)."""

    mask: Tensor
    view: Tensor
    people: Tensor
    faults: Tensor


class Segmenter(nn.Module):
    """A U-Net (Ronneberger et al. 2015, doi 10.1007/978-3-319-24574-4_28) that works at half the photo's resolution.

    Two by two pixels become channels first and are spread out again last (pixel shuffle, Shi et al. 2016,
    doi 10.1109/CVPR.2016.207): a quarter of the work at the finest level. The coarsest features also say which view it
    is, how many people there are and what is wrong with the capture.
    """

    def __init__(self, widths: tuple[int, ...] = (24, 40, 64, 88, 104)):
        super().__init__()
        self.stem = Conv(12, widths[0])
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Sequential(Conv(a, b, stride=2), Residual(b)) for a, b in pairs)
        self.up = nn.ModuleList(nn.Sequential(Conv(a + b, a)) for a, b in pairs)
        self.mask = nn.Conv2d(widths[0], 4, 3, 1, 1)
        self.capture = nn.Sequential(
            nn.Linear(2 * widths[-1], 96), nn.GELU(), nn.Linear(96, len(VIEWS) + len(PEOPLE) + len(FAULTS))
        )

    def forward(self, photos: Tensor) -> Segmentation:
        """photos (B,3,H,W) float, RGB from 0 to 255; H and W multiples of 32."""
        x = self.stem(functional.pixel_unshuffle((photos - 127.5) / 64, 2))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        told = self.capture(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1))
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = up(torch.cat([skip, functional.interpolate(x, scale_factor=2.0, mode="nearest")], dim=1))
        mask = functional.pixel_shuffle(self.mask(x), 2)[:, 0]
        return Segmentation(mask, *told.split([len(VIEWS), len(PEOPLE), len(FAULTS)], dim=1))
