"""From people to photos: bodies that have their measurements, captured by a phone. This is what the workers do."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from models.body import BodyData, open_body
from models.fit import fit_bodies
from models.render.background import draw_background
from models.render.capture import Appearance, Capture, draw_appearance, draw_capture, render_scan
from models.render.lighting import draw_lighting
from studies.rendering.blocks import Block, RenderedBlock, Sitting
from studies.rendering.people import USED
from studies.rendering.phones import phone
from studies.synthetic.skin_tone import DARKEST, LIGHTEST, draw_skin_tones

_REFUSED, _FLAGGED = "refused: ", "flagged: "


def render_block(block: Block) -> RenderedBlock:
    """Find the bodies of a block's people, and write the photos of its scans.

    A person's body and appearance, a visit's room and light, a scan's pose and camera come from the recipe's seed and
    their own names alone: they are the same whoever else is in the block.
    """
    body, people, seed = open_body(), block.people, block.recipe.seed
    # Named column by column: what is not listed here (such as body fat) cannot come into a picture.
    asked = people[["sex", "age", "ethnicity", *USED]].assign(subject=people["subject_id"])
    fitted = fit_bodies(asked, body, seed=seed)
    tones = [_tone(person, seed) for _, person in people.iterrows()]
    refused = [_reason(problem, _REFUSED) for problem in fitted.problems]
    for sitting in block.sittings:
        if refused[sitting.person] is None:
            person, tone = people.iloc[sitting.person], tones[sitting.person]
            _render(sitting, person, tone, body, fitted.betas[sitting.person], block)
    flagged = [_reason(problem, _FLAGGED) for problem in fitted.problems]
    return RenderedBlock(block, fitted.betas, refused, flagged, tones)


def _reason(problem: str | None, kind: str) -> str | None:
    return problem.removeprefix(kind).rstrip(".") if problem is not None and problem.startswith(kind) else None


def _render(sitting: Sitting, person: pd.Series, tone: int, body: BodyData, betas: np.ndarray, block: Block) -> None:
    seed, subject, visit = block.recipe.seed, person["subject_id"], person["visit"]
    taken_with = phone(sitting.phone)
    appearance = draw_appearance(
        generator(seed, "appearance", subject), sex=person["sex"], age=person["age"], tone=tone
    )
    captures: dict[str | None, Capture] = {}
    for fault in {shot.fault for shot in sitting.shots}:
        captures[fault] = _capture(seed, subject, visit, sitting, appearance, fault)
    for fault, capture in captures.items():
        shots = {shot.view: shot.path for shot in sitting.shots if shot.fault == fault}
        photos = render_scan(body, betas, capture, tuple(shots), size=taken_with.size(block.recipe.height))
        for view, path in shots.items():
            jpeg = photos[view].jpeg
            assert jpeg is not None
            _write(block.folder / path, jpeg)


def _capture(
    seed: int, subject: str, visit: str, sitting: Sitting, appearance: Appearance, fault: str | None
) -> Capture:
    """The capture of a scan. Scans of one visit are taken in the same room and light."""
    room = generator(seed, "room", subject, visit)
    background = draw_background(room)
    lighting = draw_lighting(room, background.family == "outdoor")
    own = generator(seed, "capture", subject, visit, sitting.scan_id)
    return draw_capture(
        own, appearance=appearance, phone=phone(sitting.phone).camera, background=background, lighting=lighting,
        fault=fault,
    )  # fmt: skip


def _tone(person: pd.Series, seed: int) -> int:
    """The step of the Monk scale that is known of a person, else one drawn for their ethnicity."""
    known = person["monk_skin_tone"]
    if pd.notna(known) and LIGHTEST <= known <= DARKEST:
        return round(known)
    deviate = generator(seed, "skin", person["subject_id"]).standard_normal(1)
    return int(draw_skin_tones([person["ethnicity"]], deviate)[0])


def generator(seed: int, *words: str) -> np.random.Generator:
    """Random numbers that depend on the seed and these words alone."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:16], "little")])


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
