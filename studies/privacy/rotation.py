"""All photos and silhouettes under the current key, or under none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from studies.photos import StoredPhoto
from studies.progress import NoProgress, Progress
from studies.registry import audit
from studies.registry.schema import Photo, Silhouette
from studies.registry.workspace import Registry

_FILES_AT_ONCE = 50  # with the registry held: others wait for no more than these


@dataclass
class Rotated:
    """What a rotation did: files written anew, files that were so already, rows whose file is not there."""

    key: str | None
    rewritten: int = 0
    unchanged: int = 0
    missing: int = 0

    def as_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)


def rotate_key(registry: Registry, *, progress: Progress | None = None) -> Rotated:
    """Write every photo and silhouette with the current key of the environment; without one, as it is.

    Each file is replaced whole, so that a rotation that ends early is gone on with by the next. Old keys must be in
    the environment until it is done. Raises StorageError where a file needs a key that is not there.
    """
    progress = progress or NoProgress()
    store = registry.photos
    done = Rotated(store.keys.current.id if store.keys.current else None)
    with registry.reading() as connection:
        files = _files(connection)
    with progress.stage("Encrypting" if done.key else "Decrypting", len(files)) as stage:
        for start in range(0, len(files), _FILES_AT_ONCE):
            with registry.writing():  # so that none is removed or brought in meanwhile
                for file in files[start : start + _FILES_AT_ONCE]:
                    try:
                        changed = store.rewrite(*file)
                    except FileNotFoundError:
                        done.missing += 1
                    else:
                        done.rewritten += changed
                        done.unchanged += not changed
                    stage.advance()
    if done.rewritten:
        audit.record(registry, audit.Event("rotate key", "photo_store", done.key or "no key", done.as_dict()))
    return done


def _files(connection: Connection) -> list[StoredPhoto]:
    found: set[StoredPhoto] = set()
    for table in (Photo, Silhouette):
        query = select(table.sha256, table.media_type).where(table.deleted_at.is_(None))
        found |= {(row.sha256, row.media_type) for row in connection.execute(query)}
    return sorted(found)
