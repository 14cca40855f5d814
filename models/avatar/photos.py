"""Which file shows which view, by its name, and the bytes of the files. Nothing leaves the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.errors import BodyRequestError
from models.networks.blocks import VIEWS

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
MOST_BYTES = 100 * 2**20
_NAMES = "Put front, back, left or right into the names, or say --front FILE, --back FILE, --left FILE, --right FILE."


def view_of(path: Path) -> str | None:
    """The one view that a file's name has among its words (IMG_12-front.jpg, back2.png), or None."""
    words = set(re.findall(r"[a-z]+", path.stem.lower()))
    found = [view for view in VIEWS if view in words]
    return found[0] if len(found) == 1 else None


def views_of(paths: Sequence[Path], named: Mapping[str, Path] | None = None) -> dict[str, Path]:
    """View -> file, in the order of VIEWS. paths: files, or folders whose pictures with a view in their names are
    taken; named: view -> file, whatever it is called.

    Raises BodyRequestError where a view is missing from a file's name, is there twice, or nothing is found.
    """
    found = dict(named or {})
    for path in paths:
        for file in _in_folder(path) if path.is_dir() else [path]:
            view = view_of(file)
            if view is None:
                raise BodyRequestError(f"Which view {file} shows is not in its name.", remedy=_NAMES)
            if view in found and found[view] != file:
                raise BodyRequestError(
                    f"The {view} view is there twice: {found[view]} and {file}.", remedy="Give one photo of each view."
                )
            found[view] = file
    return {view: found[view] for view in VIEWS if view in found}


def _in_folder(folder: Path) -> list[Path]:
    pictures = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    named = [file for file in pictures if view_of(file) is not None]
    if not named:
        listed = ", ".join(file.name for file in pictures[:4]) + (" …" if len(pictures) > 4 else "")
        what = f"none of its pictures has a view in its name: {listed}" if pictures else "it has no pictures"
        raise BodyRequestError(f"The folder {folder} cannot be used: {what}.", remedy=_NAMES)
    return named


def read_photos(files: Mapping[str, Path]) -> dict[str, bytes]:
    """View -> content. Raises BodyRequestError for a file that is none, is empty or is far too large for a photo."""
    contents = {}
    for view, path in files.items():
        try:
            size = path.stat().st_size if path.is_file() else None
            contents[view] = path.read_bytes() if size is not None and size <= MOST_BYTES else b""
        except OSError as error:
            raise BodyRequestError(f"{path} cannot be read: {error.strerror or error}.") from error
        if size is None:
            what = "is not a file" if path.exists() else "is not there"
            raise BodyRequestError(f"The photo {path} {what}.", remedy="Check the path.")
        if size > MOST_BYTES:
            raise BodyRequestError(f"{path} has {size / 2**20:,.0f} MB: that is no photo.")
        if not size:
            raise BodyRequestError(f"The photo {path} is empty.", remedy="Copy it from the phone again.")
    return contents
