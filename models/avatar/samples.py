"""The pictures of docs/avatars.md: an avatar, and the same people at several body-fat percentages.

    python -m models.avatar.samples --out docs/pictures

The people do not exist, and the pictures say so.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from models.avatar.morph import Morpher
from models.avatar.picture import Caption, draw_avatar, figures_of, page_font, png
from models.body.data import BodyData
from models.body.files import open_body
from models.fit import fit_bodies

PEOPLE = {
    "subject": ["woman", "man"], "sex": ["F", "M"], "age": [40.0, 40.0], "stature_cm": [162.0, 176.0],
    "weight_kg": [70.0, 84.0],
}  # fmt: skip
NOW = (33.0, 25.0)
STEPS = ((18.0, 25.0, 33.0, 41.0, 48.0), (10.0, 17.0, 25.0, 33.0, 40.0))
_INK, _RED, _PAPER = (38, 42, 48), (158, 42, 43), (250, 250, 248)
_HEIGHT, _CELL = 420, 250


def morphers(body: BodyData) -> list[Morpher]:
    """A woman and a man of average measurements, at the body fat of NOW."""
    betas = fit_bodies(PEOPLE, body, seed=7).betas.astype(np.float64)
    return [
        Morpher(own, body_fat_percent=fat, weight_kg=weight, sex=sex, body=body)
        for own, fat, weight, sex in zip(betas, NOW, PEOPLE["weight_kg"], PEOPLE["sex"], strict=True)
    ]


def avatar_sheet(body: BodyData) -> np.ndarray:
    """(H, W, 3): the picture that `calliper avatar` makes, of a synthetic woman."""
    woman = morphers(body)[0].start
    facts = (("Stature", f"{PEOPLE['stature_cm'][0]:.1f} cm"), ("Volume", f"{woman.volume_l:.1f} l"),
             ("Body fat", f"{woman.body_fat_percent:.1f} %"))  # fmt: skip
    note = "A body whose measurements are known. No photo was taken of anybody."
    return draw_avatar(woman.betas, body, Caption("Avatar", facts, note, "Synthetic: no real person."), height=500)


def morph_sheet(body: BodyData) -> np.ndarray:
    """(H, W, 3): each person leaner and fatter, from the front and the side."""
    rows = []
    for morpher, steps in zip(morphers(body), STEPS, strict=True):
        cells = []
        for percent in steps:
            there = morpher.at(percent)
            figures = figures_of(there.betas, body, height=_HEIGHT)
            width = figures.shape[1]
            both = np.hstack([figures[:, int(0.04 * width) : int(0.39 * width)], figures[:, int(0.78 * width) :]])
            small = cv2.resize(both, (round(both.shape[1] * _CELL / _HEIGHT), _CELL), interpolation=cv2.INTER_AREA)
            cell = Image.new("RGB", (small.shape[1] + 6, _CELL + 26), _PAPER)
            cell.paste(Image.fromarray(small), (0, 0))
            here = percent == morpher.start.body_fat_percent
            below = (small.shape[1] / 2, _CELL + 5)
            words = f"{percent:.0f} %  ·  {there.weight_kg:.0f} kg"
            ImageDraw.Draw(cell).text(below, words, _RED if here else _INK, page_font(13, bold=here), anchor="ma")
            cells.append(np.asarray(cell))
        rows.append(np.hstack(cells))
    body_of = np.vstack(rows)
    page = Image.new("RGB", (body_of.shape[1] + 24, body_of.shape[0] + 64), _PAPER)
    page.paste(Image.fromarray(body_of), (12, 56))
    draw = ImageDraw.Draw(page)
    draw.text((12, 10), "The same person at another body fat", _INK, page_font(18, bold=True))
    draw.text((12, 34), "Synthetic people, rendered: no real person is shown. In red, where each starts.", _RED,
              page_font(12, bold=True))  # fmt: skip
    return np.asarray(page)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.avatar.samples", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    body = open_body()
    for name, sheet in (("avatar", avatar_sheet), ("morph", morph_sheet)):
        path = folder / f"{name}.png"
        # Background and clay are smooth: without their last bits the files are half as large.
        path.write_bytes(png(sheet(body) & 0xFC | 0x02))
        print(path)


if __name__ == "__main__":
    main()
