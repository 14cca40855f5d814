"""Building blocks that the networks share."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

VIEWS = ("front", "back", "left", "right")
HEIGHT, WIDTH = 256, 192  # of every picture that a network sees


class Conv(nn.Sequential):
    """Convolution 3 × 3, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class Residual(nn.Module):
    """Two convolutions beside the identity (He et al. 2016, doi 10.1109/CVPR.2016.90)."""

    def __init__(self, width: int):
        super().__init__()
        self.first = Conv(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


def mlp(*widths: int, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers with GELU between them; dropout before the last."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.GELU()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(widths[-2], widths[-1]))
