"""Chunks on disk between the steps of an ingest, so that memory stays bounded whatever the size of the sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import feather

from studies.errors import StorageError


class Stage:
    """An ordered heap of frames in one folder."""

    def __init__(self, folder: Path, name: str):
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.rows = 0
        self._count = 0

    def add(self, frame: pd.DataFrame) -> None:
        if frame.empty:
            return
        path = self.folder / f"{self._count:06d}.feather"
        try:
            feather.write_feather(pa.Table.from_pandas(frame, preserve_index=False), str(path), compression="lz4")
        except OSError as error:
            raise StorageError(
                f"Intermediate files cannot be written to {self.folder}: {error.strerror or error}.",
                remedy="Free some disk space and try again; the registry was not changed.",
            ) from error
        self._count += 1
        self.rows += len(frame)

    def frames(self, columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
        """The frames, in order, each read when it is its turn."""
        for number in range(self._count):
            yield feather.read_feather(str(self.folder / f"{number:06d}.feather"), columns=columns, memory_map=False)
