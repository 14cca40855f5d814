"""Files of the photo store: which are still someone's, and the removal of those that are not.

A file is held by the photos and the silhouettes that name it and are not deleted; several scans may hold one file.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from studies.photos import PhotoStore, StoredPhoto
from studies.registry.schema import Photo, Silhouette

_AT_ONCE = 500  # hashes in one query


def remove_unheld(connection: Connection, store: PhotoStore, files: Iterable[StoredPhoto]) -> None:
    """Remove those of the files that no scan holds. Within a writer's transaction: none is just being brought in."""
    wanted = sorted(set(files))
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        held: set[str] = set()
        for table in (Photo, Silhouette):
            query = select(table.sha256).where(
                table.sha256.in_([sha256 for sha256, _ in part]), table.deleted_at.is_(None)
            )
            held.update(connection.execute(query).scalars())
        for file in part:
            if file[0] not in held:
                store.remove(*file)
