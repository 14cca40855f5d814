"""What goes into the inference on one scan, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Sex = Literal["F", "M"]


@dataclass(frozen=True)
class ScanInput:
    """One scan. key: whatever names it to the caller.

    photos: view -> encoded image (JPEG, PNG, WebP). silhouettes: view -> PNG as an earlier outcome gave it; used for
    views without a photo. stature_cm, weight_kg, age (years), sex: the profile, each of which may be unknown.
    """

    key: str
    photos: dict[str, bytes] = field(default_factory=dict)
    silhouettes: dict[str, bytes] = field(default_factory=dict)
    stature_cm: float | None = None
    weight_kg: float | None = None
    age: float | None = None
    sex: Sex | None = None


@dataclass(frozen=True)
class Predicted:
    """A predicted value in its measurand's unit; low and high bound it with 90 % probability, where that is known."""

    value: float
    unit: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Finding:
    """Something wrong with a capture. view: None if with the scan as a whole. reason: one of `quality.REASONS`."""

    reason: str
    view: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class ScanOutcome:
    """What was found in one scan.

    predictions: by measurand; empty if the scan is indeterminate, and then `indeterminate` says why. betas: the
    avatar's shape. pose: view -> 24 axis-angle vectors, radians. silhouettes: of the views with nothing wrong by
    themselves, as PNG of 256 × 192 pixels and one channel; put in again instead of the photos, they give the same
    numbers.
    quality: what is wrong with the photos, whether or not it could be done without them. timings: seconds by stage.
    """

    key: str
    predictions: dict[str, Predicted] = field(default_factory=dict)
    betas: list[float] | None = None
    pose: dict[str, list[list[float]]] | None = None
    silhouettes: dict[str, bytes] = field(default_factory=dict)
    quality: tuple[Finding, ...] = ()
    indeterminate: str | None = None
    timings: dict[str, float] = field(default_factory=dict)
