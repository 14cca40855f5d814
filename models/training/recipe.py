"""What a training is made of: numbers of people, epochs, rates. The packaged checkpoints' is recipe.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import ModelFileError
from models.training.loop import Schedule

PACKAGED = Path(__file__).with_name("recipe.toml")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class People(_Part):
    """How many synthetic people there are to learn from, how many scans of each in silhouettes alone, and how many
    others to look at the errors on."""

    learnt_from: int = Field(ge=2)
    scans: int = Field(ge=1)
    held_out: int = Field(ge=2)


class Photos(_Part):
    """scans: how many people are in photos for the segmenter; segmented: how many others for the avatar; repeated: how
    often what the segmenter saw is shown, for once that a true silhouette is; faulty: share of the scans with a bad
    capture."""

    scans: int = Field(ge=2)
    segmented: int = Field(ge=2)
    repeated: int = Field(ge=1)
    held_out_families: tuple[str, ...]
    faulty: float = Field(ge=0, lt=1)


class Measured(_Part):
    """variants: how many bodies each measured person has; photographed: how many of these are in photos as well."""

    variants: int = Field(ge=1)
    photographed: int = Field(ge=1)


class Stage(_Part):
    """See `models.training.loop.Schedule`."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    rate: float = Field(gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    half: bool = False
    slow: dict[str, float] = {}

    def schedule(self) -> Schedule:
        return Schedule(**self.model_dump())


class Recipe(_Part):
    seed: int = Field(ge=0)
    people: People
    photos: Photos
    measured: Measured
    segmenter: Stage
    avatar: Stage
    avatar_photos: Stage
    estimator_shapes: Stage
    estimator_labels: Stage
    estimator_unlabelled: Stage


def read_recipe(path: Path = PACKAGED) -> Recipe:
    """The recipe of a TOML file. Raises: ModelFileError naming each key that is wrong."""
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelFileError(f"{path} cannot be read: {error}.", remedy="A recipe is a TOML file.") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ModelFileError(f"{path} is not a recipe: {wrong}.", remedy=f"Compare it with {PACKAGED}.") from error
