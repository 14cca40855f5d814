"""Contact sheets: what the bodies and the photos look like, on one page each.

    python -m models.render.contact_sheet --out docs/pictures

writes `bodies` (across BMI, age, muscle and ethnicity), `photos` (all views over the ten skin tones, with their
silhouettes), `places` (every background family) and `bad_captures`. Each sheet says on its face that it shows no real
person.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.body.data import BodyData
from models.body.files import open_body
from models.errors import BodyRequestError
from models.fit import fit_bodies
from models.render.background import BACKGROUND_FAMILIES
from models.render.capture import FAULTS, Capture, draw_capture, render_photo, render_scan
from models.render.pose import VIEWS
from models.render.skin import MONK_TONES, monk_srgb

NOTICE = "Rendered people and photos. No real person is shown."
SHEETS = ("bodies", "photos", "places", "bad_captures")
_INK, _PALE, _PAPER = (32, 36, 42), (110, 116, 124), (250, 250, 248)


@dataclass(frozen=True)
class Cell:
    """A picture (H, W, 3) uint8 and the line under it."""

    picture: np.ndarray
    caption: str = ""


@dataclass(frozen=True)
class Row:
    """Pictures of one height, and what is to their left."""

    label: str
    cells: Sequence[Cell]


def sheet(title: str, rows: Sequence[Row], *, note: str = "") -> np.ndarray:
    """(H, W, 3) uint8: a page of rows of pictures, with the notice that nobody real is on it."""
    if not rows or not all(row.cells for row in rows):
        raise BodyRequestError("A contact sheet needs at least one row, and a picture in each.")
    margin, gap, label, head = 24, 6, 136, 92
    captioned = 20 if any(cell.caption for row in rows for cell in row.cells) else 0
    wide = max(sum(cell.picture.shape[1] + gap for cell in row.cells) for row in rows)
    tall = [max(cell.picture.shape[0] for cell in row.cells) + captioned + gap for row in rows]
    page = Image.new("RGB", (2 * margin + label + wide, head + sum(tall) + margin + (24 if note else 0)), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((margin, 20), title, _INK, _font(26, bold=True))
    draw.text((margin, 56), NOTICE, (160, 40, 40), _font(15, bold=True))
    y = head
    for row, high in zip(rows, tall, strict=True):
        lines = row.label.split("\n")
        for n, line in enumerate(lines):
            draw.text((margin, y + 8 + 19 * n), line, _INK if n == 0 else _PALE, _font(14, bold=n == 0))
        x = margin + label
        for cell in row.cells:
            page.paste(Image.fromarray(cell.picture), (x, y))
            if cell.caption:
                middle = x + cell.picture.shape[1] / 2
                draw.text((middle, y + cell.picture.shape[0] + 3), cell.caption, _PALE, _font(12), anchor="ma")
            x += cell.picture.shape[1] + gap
        y += high
    if note:
        draw.text((margin, y + 4), note, _PALE, _font(12))
    return np.asarray(page)


@lru_cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def bodies_sheet(body: BodyData, *, seed: int = 1) -> np.ndarray:
    """Bodies fitted to measurements, across BMI, age, muscle and ethnicity, both sexes, in the same light."""
    rows = []
    base = {"F": {"stature_cm": 163.0}, "M": {"stature_cm": 176.0}}
    for sex, name in (("F", "Women"), ("M", "Men")):
        own = base[sex]
        bmis = (16, 19, 22, 26, 30, 35, 40, 45)
        rows.append((f"{name}\nby BMI, age 40", [({**own, "bmi": bmi, "age": 40}, f"{bmi} kg/m²") for bmi in bmis]))
        ages = (20, 30, 40, 50, 60, 70, 80)
        rows.append((f"{name}\nby age, BMI 26", [({**own, "bmi": 26, "age": age}, f"{age} years") for age in ages]))
        waists = (74, 78, 84, 90, 97, 104) if sex == "F" else (80, 84, 90, 96, 104, 112)
        arms = (33, 32.5, 31.5, 30.5, 29.5, 28.5) if sex == "F" else (39, 37.5, 35.5, 33.5, 32, 30.5)
        folds = (9, 13, 18, 24, 30, 36) if sex == "F" else (6, 8, 12, 16, 21, 27)
        by_muscle = [
            (
                {**own, "bmi": 27, "age": 35, "waist_cm": waist, "arm_cm": arm, "triceps_skinfold_mm": fold},
                f"waist {waist}, arm {arm:g} cm",
            )
            for waist, arm, fold in zip(waists, arms, folds, strict=True)
        ]
        rows.append((f"{name}\nmuscular to soft,\nBMI 27", by_muscle))
        groups = ("Non-Hispanic White", "Non-Hispanic Black", "Mexican American", "Asian")
        rows.append(
            (f"{name}\nby ethnicity,\nBMI 25", [({**own, "bmi": 25, "age": 35, "ethnicity": g}, g) for g in groups])
        )
    people = [person for _, row in rows for person, _ in row]
    columns = sorted({key for person in people for key in person} - {"bmi"})
    sexes = ["F" if label.startswith("Women") else "M" for label, row in rows for _ in row]
    table = {key: [person.get(key, None if key == "ethnicity" else np.nan) for person in people] for key in columns}
    table["sex"] = sexes
    table["weight_kg"] = [person["bmi"] * (person["stature_cm"] / 100) ** 2 for person in people]
    fitted = fit_bodies(table, body, seed=seed)
    out, n = [], 0
    for label, row in rows:
        cells = []
        for person, caption in row:
            if not fitted.refused[n]:
                capture = _plain(sexes[n], person["age"])
                pictures = [
                    _small(_figure_of(body, fitted.betas[n], capture, view), 200, share)
                    for view, share in (("front", 0.70), ("left", 0.36))
                ]
                cells.append(Cell(np.hstack(pictures), caption))
            n += 1
        out.append(Row(label, cells))
    note = "Bodies of the open model, fitted to sex, age, stature and mass, and to the girths and skinfolds named."
    return sheet("Bodies", out, note=note)


def _plain(sex: str, age: float) -> Capture:
    """One look, light and place for all bodies of a sex."""
    rng = np.random.default_rng(12)
    capture = draw_capture(rng, sex=sex, age=30, tone=5, families=("studio",))
    appearance = capture.appearance
    grey = (0.10, 0.11, 0.13)
    top = "sports_bra" if sex == "F" else "none"
    appearance = replace(
        appearance,
        bottom=replace(appearance.bottom, cut="trunks", colour=grey, pattern="plain", reach=0.2),
        top=replace(appearance.top, cut=top, colour=grey, pattern="plain"),
        hair=replace(appearance.hair, style="bun" if sex == "F" else "short", beard=0.0, receding=0.0, volume=0.9),
    )
    lighting = replace(capture.lighting, azimuth=-0.7, elevation=0.7, key_share=0.5, softness=0.3, fill_azimuth=0.9,
                       key_colour=(1.0, 1.0, 1.0), ambient_colour=(1.0, 1.0, 1.0))  # fmt: skip
    setup = replace(capture.setup, fill=0.9, height=1.0, tilt_error=0.0, pan_error=0.0, roll=0.0, sideways=0.0)
    exposure = replace(capture.exposure, stops=0.1, balance=(1.0, 1.0, 1.0), corrected=1.0)
    background = replace(capture.background, seed=3)
    return replace(
        capture, appearance=appearance, lighting=lighting, setup=setup, exposure=exposure, background=background
    )


def _figure_of(body: BodyData, betas: np.ndarray, capture: Capture, view: str) -> np.ndarray:
    return render_photo(body, betas, capture, view, size=(640, 640), compressed=False).image


def _small(picture: np.ndarray, height: int, share: float = 1.0) -> np.ndarray:
    """The middle `share` of a picture's width, at another height."""
    width = picture.shape[1]
    cut = round(width * (1 - share) / 2)
    kept = picture[:, cut : width - cut]
    size = (max(round(kept.shape[1] * height / kept.shape[0]), 1), height)
    return cv2.resize(kept, size, interpolation=cv2.INTER_AREA)


def some_people(body: BodyData, count: int, *, seed: int) -> tuple[np.ndarray, list[str], list[float]]:
    """Betas (count, K), sexes and ages of people with all kinds of build."""
    rng = np.random.default_rng(seed)
    betas, sexes, ages = [], [], []
    while len(betas) < count:
        sex, age = str(rng.choice(["F", "M"])), float(rng.uniform(20, 75))
        stature = rng.normal(162, 6.5) if sex == "F" else rng.normal(176, 7)
        bmi = float(np.clip(rng.lognormal(np.log(26.5), 0.2), 17, 42))
        person = {"sex": [sex], "age": [age], "stature_cm": [stature], "weight_kg": [bmi * (stature / 100) ** 2]}
        fitted = fit_bodies(person, body, seed=int(rng.integers(2**31)))
        if not fitted.refused[0]:
            betas.append(fitted.betas[0])
            sexes.append(sex)
            ages.append(age)
    return np.array(betas), sexes, ages


def photos_sheet(body: BodyData, *, seed: int = 2) -> np.ndarray:
    """A scan of four views for each skin tone, and under each photo its silhouette's outline beside it."""
    betas, sexes, ages = some_people(body, len(MONK_TONES), seed=seed)
    rng = np.random.default_rng(seed)
    rows = []
    for tone, beta, sex, age in zip(MONK_TONES, betas, sexes, ages, strict=True):
        capture = draw_capture(rng, sex=sex, age=age, tone=tone)
        photos = render_scan(body, beta, capture)
        cells = [Cell(_swatch(tone, 184), f"tone {tone}")]
        for view in VIEWS:
            photo = photos[view]
            cells.append(Cell(_small(photo.image, 184), view))
            cells.append(Cell(_small(np.repeat(photo.silhouette[..., None], 3, 2), 184, 0.92)))
        rows.append(
            Row(f"Monk tone {tone}\n{capture.background.family}\n{capture.lighting.kind}".replace("_", " "), cells)
        )
    return sheet("Photos of one scan each, over the ten skin tones, and their silhouettes", rows)


def _swatch(tone: int, height: int) -> np.ndarray:
    return np.broadcast_to(monk_srgb(tone).astype(np.uint8), (height, 22, 3)).copy()


def places_sheet(body: BodyData, *, seed: int = 3, columns: int = 7) -> np.ndarray:
    """Every background family."""
    betas, sexes, ages = some_people(body, columns * len(BACKGROUND_FAMILIES), seed=seed)
    rng = np.random.default_rng(seed)
    rows, n = [], 0
    for family in BACKGROUND_FAMILIES:
        cells = []
        for column in range(columns):
            capture = draw_capture(rng, sex=sexes[n], age=ages[n], families=(family,))
            view = VIEWS[column % len(VIEWS)]
            cells.append(Cell(_small(render_photo(body, betas[n], capture, view).image, 184)))
            n += 1
        rows.append(Row(family.replace("_", " "), cells))
    return sheet("Places, by background family", rows)


def bad_captures_sheet(body: BodyData, *, seed: int = 4, columns: int = 4) -> np.ndarray:
    """What can be wrong with a capture, with the silhouettes."""
    betas, sexes, ages = some_people(body, columns * len(FAULTS), seed=seed)
    rng = np.random.default_rng(seed)
    rows, n = [], 0
    for fault in FAULTS:
        cells = []
        for column in range(columns):
            capture = draw_capture(rng, sex=sexes[n], age=ages[n], fault=fault)
            photo = render_photo(body, betas[n], capture, VIEWS[column % len(VIEWS)])
            cells.append(Cell(_small(photo.image, 184), photo.view))
            cells.append(Cell(_small(np.repeat(photo.silhouette[..., None], 3, 2), 184)))
            n += 1
        rows.append(Row(fault.replace("_", " "), cells))
    return sheet("Bad captures, and the silhouettes of the subject", rows)


def write_sheets(folder: Path, names: Sequence[str] = SHEETS, *, file_format: str = "jpg") -> list[Path]:
    """Makes the sheets that are named, as JPEG or PNG files in `folder`, and says where they are."""
    makers = {
        "bodies": bodies_sheet, "photos": photos_sheet, "places": places_sheet, "bad_captures": bad_captures_sheet,
    }  # fmt: skip
    unknown = [name for name in names if name not in makers]
    if unknown:
        raise BodyRequestError(
            f"There is no contact sheet {unknown[0]!r}.", remedy=f"Take some of {', '.join(SHEETS)}."
        )
    if file_format not in ("jpg", "png"):
        raise BodyRequestError(f"Contact sheets are written as jpg or png, not {file_format!r}.")
    body = open_body()
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in names:
        path = folder / f"{name}.{file_format}"
        page = Image.fromarray(makers[name](body))
        if file_format == "jpg":
            page.save(path, quality=80, optimize=True)
        else:
            page.save(path, optimize=True)
        paths.append(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.render.contact_sheet", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the sheets")
    parser.add_argument("--sheet", action="append", choices=SHEETS, help="only this sheet (may be given again)")
    parser.add_argument("--format", choices=("jpg", "png"), default="jpg")
    arguments = parser.parse_args()
    for path in write_sheets(arguments.out, arguments.sheet or SHEETS, file_format=arguments.format):
        print(path)


if __name__ == "__main__":
    main()
