"""The networks: photo -> silhouette, silhouettes -> avatar, silhouettes and profile -> body-fat percentage.

A checkpoint names its architecture and hyperparameters; `build` makes the network that its weights fit.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.errors import ModelFileError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES", "Architecture", "build"]


@dataclass(frozen=True)
class Architecture:
    """A kind of network: the checkpoints that may have it, its class, and its hyperparameters with the limits of each.

    `limits`: lowest and highest value; of a list, of each of its entries. So that a card, which anyone may have
    written, cannot ask for a network that fills the memory.
    """

    kind: str
    module: str
    name: str
    limits: dict[str, tuple[float, float]]


_ENCODER = {"components": (4, 1024), "features": (8, 1024)}
ARCHITECTURES = {
    "unet-1": Architecture("segmenter", "models.networks.segmenter", "Segmenter", {"widths": (4, 512)}),
    "silhouette-avatar-1": Architecture(
        "avatar", "models.networks.avatar", "Avatar", {"n_betas": (1, 400), **_ENCODER}
    ),
    "body-fat-1": Architecture(
        "estimator", "models.networks.estimator", "Estimator",
        {**_ENCODER, "readings": (1, 400), "hidden": (4, 1024), "dropout": (0, 0.9)},
    ),
}  # fmt: skip
_LONGEST = 8  # entries of a list


def build(name: str, hyperparameters: dict[str, Any]) -> nn.Module:
    """The network of an architecture, its weights drawn at random, in evaluation mode.

    Raises: ModelFileError for an architecture or a hyperparameter that is not known or out of range.
    """
    try:
        architecture = ARCHITECTURES[name]
    except KeyError:
        known = ", ".join(ARCHITECTURES)
        raise ModelFileError(
            f"The architecture '{name}' is not known.", remedy=f"This version of Calliper knows: {known}."
        ) from None
    for key, value in hyperparameters.items():
        _check(name, key, value, architecture.limits)
    made = getattr(importlib.import_module(architecture.module), architecture.name)
    listed = {key: tuple(value) if isinstance(value, list) else value for key, value in hyperparameters.items()}
    try:
        return made(**listed).eval()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"No network '{name}' can be made of these hyperparameters: {error}.") from error


def _check(name: str, key: str, value: object, limits: dict[str, tuple[float, float]]) -> None:
    if key not in limits:
        raise ModelFileError(
            f"The architecture '{name}' has no hyperparameter '{key}'.", remedy=f"It has: {', '.join(limits)}."
        )
    low, high = limits[key]
    entries = value if isinstance(value, list | tuple) else [value]
    numbers = [isinstance(entry, int | float) and not isinstance(entry, bool) for entry in entries]
    if not entries or len(entries) > _LONGEST or not all(numbers) or not all(low <= entry <= high for entry in entries):
        raise ModelFileError(
            f"The hyperparameter '{key}' of '{name}' is {value!r}.",
            remedy=f"It is a number from {low} to {high}, or a list of up to {_LONGEST} of them.",
        )
