"""The folder of one ingest: its report, its quarantine, and the photos that it brings into the store.

It is written inside the transaction under a provisional name and gets its own only when that is committed, so that
after a kill at any moment `settle_unfinished` can tell which it was, and finish or remove what was left.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from studies.errors import StorageError
from studies.photos import PhotoStore, StoredPhoto
from studies.registry.claims import abandoned, remove_unfinished, remove_unnamed
from studies.registry.held_files import remove_unheld
from studies.registry.schema import IngestBatch, Study
from studies.registry.workspace import Registry

PROVISIONAL = ".partial"
_PHOTOS = "photos.json"


def bring_photos(
    folder: Path, staged: PhotoStore, store: PhotoStore, new: set[StoredPhoto], old: set[StoredPhoto]
) -> None:
    """Move the `new` photos of an ingest into the store; they and the `old` ones that they replace are noted first."""
    wanted = [photo for photo in sorted(new) if not store.path(*photo).exists()]
    if not wanted and not old:
        return
    (folder / _PHOTOS).write_text(json.dumps([*wanted, *sorted(old)]), encoding="utf-8")
    for photo in wanted:
        store.take_over(staged, *photo)


def finish(folder: Path) -> Path:
    """Give the folder its own name, now that its ingest is committed or, as a dry run, over."""
    final = folder.with_name(folder.name.removesuffix(PROVISIONAL))
    (folder / _PHOTOS).unlink(missing_ok=True)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(folder, final)
    return final


def remove_unregistered(
    registry: Registry, photos: Iterable[StoredPhoto], *, wait_seconds: float | None = None
) -> None:
    """Remove those of the photos from the store that no scan has. As the only writer: none is just being brought in."""
    with registry.writing(wait_seconds=wait_seconds) as connection:
        remove_unheld(connection, registry.photos, photos)


def settle_unfinished(registry: Registry) -> None:
    """Finish the folders of ingests that were killed after their commit, and remove those that were killed before."""
    folders = [folder for folder in registry.ingests.glob(f"*{PROVISIONAL}") if folder.is_dir() and abandoned(folder)]
    for folder in folders:
        try:
            if photos := _noted_photos(folder):
                remove_unregistered(registry, photos, wait_seconds=0)
        except StorageError:  # another process is writing: the next ingest will settle it
            continue
        finish(folder) if _committed(registry, folder) else shutil.rmtree(folder, ignore_errors=True)
    remove_unnamed(registry.ingests)
    remove_unfinished(registry.ingests)


def _noted_photos(folder: Path) -> list[StoredPhoto]:
    try:
        return [
            (sha256, media_type) for sha256, media_type in json.loads((folder / _PHOTOS).read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError):  # killed before, or while it was written: then no photo had been moved
        return []


def _committed(registry: Registry, folder: Path) -> bool:
    study, _, number = folder.name.removesuffix(PROVISIONAL).rpartition("-")
    if not number.isdigit():
        return False
    with registry.reading() as connection:
        batch: Any = (
            select(IngestBatch.id)
            .join(Study, IngestBatch.study_id == Study.id)
            .where(Study.name == study, IngestBatch.number == int(number))
        )
        return connection.execute(batch).scalar_one_or_none() is not None
