"""What is written of an avatar: mesh, measurements as JSON, and a picture. The same avatar gives the same bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.avatar.meshes import RENDERED_NOTICE, WRITERS, About, standing
from models.avatar.morph import Morphed, Morpher
from models.avatar.picture import Caption, draw_avatar, png
from models.errors import BodyRequestError
from models.measure.measurements import MEASUREMENTS, measure

if TYPE_CHECKING:
    from models.body.data import BodyData

FORMAT = "calliper-avatar-1"
_NOTE = "A shape estimated from photos, told in centimetres by the stature given. No likeness, and no medical finding."


@dataclass(frozen=True)
class BodyFat:
    """A body-fat percentage with its 90 % interval, where it has one, and where it is from: "estimator" or "given"."""

    value: float
    source: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Avatar:
    """A body shape, what it was made from, and what is known besides.

    betas (K,); given: what was known of the person (stature_cm, sex, age, weight_kg); checkpoints: kind -> NAME@VERSION
    and SHA-256; software: name -> version; views: what was seen; quality: view, reason and detail of what was wrong
    with the photos; origin: where in a study it comes from, if it does.
    """

    betas: np.ndarray
    rendered: bool
    body_fat: BodyFat | None = None
    given: dict[str, Any] = field(default_factory=dict)
    checkpoints: dict[str, dict[str, str]] = field(default_factory=dict)
    software: dict[str, str] = field(default_factory=dict)
    views: tuple[str, ...] = ()
    quality: tuple[dict[str, Any], ...] = ()
    origin: dict[str, Any] = field(default_factory=dict)

    def morpher(self, body: BodyData) -> Morpher:
        """This person at other body-fat percentages. Raises BodyRequestError where the present one is not known."""
        if self.body_fat is None:
            raise BodyRequestError(
                "How fat the person is now is not known, so another body fat cannot be shown.",
                remedy="Say it with --from-body-fat PERCENT, or use a checkpoint of the kind 'estimator' as well.",
            )
        return Morpher(
            self.betas, body_fat_percent=self.body_fat.value, weight_kg=self.given.get("weight_kg"),
            sex=self.given.get("sex"), body=body,
        )  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """An avatar as it is to be written: as it is, or at another body fat."""

    avatar: Avatar
    body: BodyData
    morpher: Morpher | None = None
    morphed: Morphed | None = None

    @property
    def betas(self) -> np.ndarray:
        return self.avatar.betas if self.morphed is None else self.morphed.betas

    def document(self) -> dict[str, Any]:
        """The JSON of it: provenance, measurements of the mesh (each with its unit), body fat, betas, and the morph."""
        avatar = self.avatar
        measured = measure(self.body.shaped(np.asarray(self.betas)[None])[0], self.body)
        return {
            "format": FORMAT,
            "rendered": avatar.rendered,
            **({"notice": RENDERED_NOTICE} if avatar.rendered else {}),
            **avatar.origin,
            "checkpoints": avatar.checkpoints,
            "software": avatar.software,
            "body_model": self.body.name,
            "given": {name: value for name, value in avatar.given.items() if value is not None},
            "views": list(avatar.views),
            "quality": list(avatar.quality),
            "measurements": {
                name: {"value": round(float(measured[name]), 4), "unit": definition.unit}
                for name, definition in MEASUREMENTS.items()
            },
            "body_fat_percent": self._body_fat(),
            "morph": self._morph(),
            "betas": [float(beta) for beta in self.betas],
        }

    def _body_fat(self) -> dict[str, Any] | None:
        if self.morphed is not None:
            return {"value": self.morphed.body_fat_percent, "source": "morph"}
        found = self.avatar.body_fat
        if found is None:
            return None
        interval = {} if found.low is None else {"low": found.low, "high": found.high, "level": 0.9}
        return {"value": found.value, "source": found.source, **interval}

    def _morph(self) -> dict[str, Any] | None:
        if self.morphed is None or self.morpher is None or self.avatar.body_fat is None:
            return None
        start = self.morpher.start
        return {
            "from": {
                "body_fat_percent": start.body_fat_percent, "source": self.avatar.body_fat.source,
                "weight_kg": start.weight_kg,
                "weight_source": "derived" if self.avatar.given.get("weight_kg") is None else "given",
                "betas": [float(beta) for beta in start.betas],
            },
            "to": {"body_fat_percent": self.morphed.body_fat_percent, "weight_kg": self.morphed.weight_kg},
            "fat_free_mass_kg": start.fat_free_mass_kg,
            "range_percent": list(self.morpher.range),
        }  # fmt: skip

    def mesh(self, suffix: str) -> bytes:
        """The mesh file: ".glb" or ".obj"."""
        return WRITERS[suffix](standing(self.betas, self.body), self.body.faces, self._about())

    def picture(self, height: int = 1000) -> bytes:
        """The PNG."""
        before = None if self.morphed is None else self.avatar.betas
        return png(draw_avatar(self.betas, self.body, self._caption(), before=before, height=height))

    def _about(self) -> About:
        checkpoints = tuple((kind, found["name"]) for kind, found in self.avatar.checkpoints.items())
        further = {**self.avatar.origin}
        if self.morphed is not None:
            further["morphed_to_body_fat_percent"] = self.morphed.body_fat_percent
        return About(self.body.name, checkpoints, self.avatar.rendered, tuple(further.items()))

    def _caption(self) -> Caption:
        avatar = self.avatar
        measured = measure(self.body.shaped(np.asarray(self.betas)[None])[0], self.body)
        facts = [("Stature", f"{measured['stature_cm']:.1f} cm"), ("Volume", f"{measured['volume_l']:.1f} l")]
        if self.morphed is not None and self.morpher is not None:
            title, start = f"At {self.morphed.body_fat_percent:.1f} % body fat", self.morpher.start
            facts += [
                ("Body fat before", f"{start.body_fat_percent:.1f} %"), ("Mass", f"{self.morphed.weight_kg:.1f} kg"),
                ("Mass before", f"{start.weight_kg:.1f} kg"),
            ]  # fmt: skip
        else:
            title = "Avatar"
            if avatar.body_fat is not None:
                facts.append(("Body fat", f"{avatar.body_fat.value:.1f} %"))
            if avatar.body_fat is not None and avatar.body_fat.low is not None:
                facts.append(("90 % interval", f"{avatar.body_fat.low:.1f} to {avatar.body_fat.high:.1f} %"))
        used = ", ".join(found["name"] for found in avatar.checkpoints.values())
        note = f"{_NOTE} {f'Made by {used}.' if used else ''}".strip()
        return Caption(title, tuple(facts), note, RENDERED_NOTICE if avatar.rendered else "")


def shown(avatar: Avatar, body: BodyData, body_fat_percent: float | None = None) -> Shown:
    """An avatar as it is or, with a percentage, at that body fat. Raises BodyRequestError as `Morpher` does."""
    if body_fat_percent is None:
        return Shown(avatar, body)
    morpher = avatar.morpher(body)
    return Shown(avatar, body, morpher, morpher.at(body_fat_percent))


def contents(what: Shown, mesh: Path, measurements: Path, picture: Path) -> dict[Path, bytes]:
    """Path -> bytes of the three files. Raises BodyRequestError where the mesh's suffix is no format."""
    if mesh.suffix.lower() not in WRITERS:
        raise BodyRequestError(
            f"{mesh.name} names no mesh format.", remedy=f"End it with {' or '.join(WRITERS)}, as in body.glb."
        )
    text = json.dumps(what.document(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return {mesh: what.mesh(mesh.suffix.lower()), measurements: text.encode(), picture: what.picture()}
