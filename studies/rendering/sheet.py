"""A contact sheet of a cohort folder: its scans to look at, all views of each in a row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from models.render.contact_sheet import Cell, Row, sheet
from studies.errors import DataError, StorageError, UsageError
from studies.rendering.blocks import VIEWS
from studies.rendering.cohort import TRUTH

MOST_SCANS = 200


def write_sheet(folder: Path, out: Path, *, scans: int = 8, height: int = 240) -> int:
    """Write a PNG of `scans` of the folder's scans, evenly picked, photos `height` pixels high. How many are on it.

    Where the folder holds the truth, photos that are no good say why. Raises UsageError for numbers out of range,
    DataError where the folder has no scans, or others than rendered ones, or a photo cannot be read, StorageError where
    `out` cannot be written.
    """
    if not 1 <= scans <= MOST_SCANS or not 40 <= height <= 1_000:
        raise UsageError(
            f"A sheet of {scans} scans {height} pixels high was asked for.",
            remedy=f"Ask for 1 to {MOST_SCANS} scans of 40 to 1,000 pixels.",
        )
    try:
        table = pd.read_csv(folder / "scans.csv", dtype="str")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder} has no table of scans.", remedy="Name the folder of a cohort with photos."
        ) from error
    if not table.get("rendered", pd.Series(dtype="str")).eq("yes").all() or table.empty:
        raise DataError(
            f"{folder} has scans that are not rendered.", remedy="A sheet is made of rendered people alone: it says so."
        )
    chosen = table.iloc[np.unique(np.linspace(0, len(table) - 1, min(scans, len(table))).astype(int))]
    faults = _faults(folder)
    rows = [_row(folder, scan, faults, height) for _, scan in chosen.iterrows()]
    page = sheet(folder.name, rows, note=f"{len(rows)} of {len(table):,} scans")
    try:
        Image.fromarray(page).save(out, "PNG")
    except (OSError, ValueError) as error:
        raise StorageError(f"{out} cannot be written: {error}.", remedy="Give another file, ending in .png.") from error
    return len(rows)


def _faults(folder: Path) -> dict[str, str]:
    path = folder / TRUTH / "photos.csv"
    if not path.is_file():
        return {}
    truth = pd.read_csv(path, dtype="str").dropna(subset=["fault"])
    return dict(zip(truth["photo"], truth["fault"].str.replace("_", " "), strict=True))


def _row(folder: Path, scan: pd.Series, faults: dict[str, str], height: int) -> Row:
    cells = []
    for view in VIEWS:
        name = scan.get(view)
        if pd.isna(name):
            cells.append(Cell(np.full((height, height * 2 // 3, 3), 235, np.uint8), f"no {view}"))
            continue
        try:
            with Image.open(folder / name) as photo:
                size = (max(1, round(photo.width * height / photo.height)), height)
                picture = np.asarray(photo.convert("RGB").resize(size, Image.Resampling.LANCZOS))
        except OSError as error:
            raise DataError(f"The photo {name} cannot be read.", remedy="Make the cohort again.") from error
        cells.append(Cell(picture, f"{view}: {faults[name]}" if name in faults else view))
    lines = [scan["subject_id"], scan.get("visit"), scan["scan_id"], scan.get("device")]
    return Row("\n".join(line for line in lines if isinstance(line, str)), cells)
