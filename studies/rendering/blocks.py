"""What a worker is given and gives back: a few people, the scans to render of them, and how."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from studies.errors import UsageError
from studies.photos import LEAST_HEIGHT, LEAST_SIDE
from studies.rendering.people import Refusal
from studies.rendering.phones import NARROWEST
from studies.version import VERSION

PEOPLE_IN_A_BLOCK = 4
PHOTO_HEIGHT = 640
LEAST_PHOTO_HEIGHT = max(LEAST_HEIGHT, math.ceil(LEAST_SIDE / NARROWEST))  # or the ingest takes no photo of a phone
MOST_PHOTO_HEIGHT = 4_000
VIEWS = ("front", "back", "left", "right")


@dataclass(frozen=True)
class Recipe:
    """What, beside the people themselves, decides how photos look: the same recipe gives the same bytes.

    seed: of the bodies' variety, appearance and captures. height: of photos, in pixels.
    """

    seed: int
    height: int = PHOTO_HEIGHT

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"The seed is {self.seed}.", remedy="Give a whole number from 0.")
        if not LEAST_PHOTO_HEIGHT <= self.height <= MOST_PHOTO_HEIGHT:
            raise UsageError(
                f"Photos of a height of {self.height} pixels were asked for.",
                remedy=f"Ask for {LEAST_PHOTO_HEIGHT} to {MOST_PHOTO_HEIGHT}: on less no person can be seen.",
            )

    def as_dict(self) -> dict[str, Any]:
        return {"seed": self.seed, "photo_height": self.height, "software": f"calliper {VERSION}"}


@dataclass(frozen=True)
class Shot:
    """One photo to be made: its view, its path below the folder, and what is to go wrong with it, if something is."""

    view: str
    path: str
    fault: str | None = None


@dataclass(frozen=True)
class Sitting:
    """One scan to be rendered: `person` is the row of the block's people."""

    person: int
    scan_id: str
    phone: str
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class Block:
    """`people`: as in `studies.rendering.people.People.table`; photos are written below `folder`."""

    people: pd.DataFrame
    sittings: tuple[Sitting, ...]
    folder: Path
    recipe: Recipe

    @property
    def photos(self) -> int:
        return sum(len(sitting.shots) for sitting in self.sittings)


@dataclass(frozen=True)
class RenderedBlock:
    """A block's people with their bodies.

    betas (people, betas), NaN where there is no body. refused and flagged: for each person why there is none, or why it
    is in doubt, else None. tones: steps of the Monk scale.
    """

    block: Block
    betas: np.ndarray
    refused: list[str | None]
    flagged: list[str | None]
    tones: list[int]

    def told(self, reasons: list[str | None]) -> list[Refusal]:
        """The people for whom `refused` or `flagged` says something."""
        people = self.block.people
        keys = zip(people["subject_id"], people["visit"], reasons, strict=True)
        return [Refusal(subject, visit, reason) for subject, visit, reason in keys if reason is not None]

    def done(self) -> Iterator[tuple[Sitting, pd.Series]]:
        """The scans that were rendered, each with its person."""
        for sitting in self.block.sittings:
            if self.refused[sitting.person] is None:
                yield sitting, self.block.people.iloc[sitting.person]
