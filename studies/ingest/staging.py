"""Chunks on disk between the steps of an ingest, so that memory stays bounded whatever the size of the sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import feather

from studies.errors import StorageError

# Every frame that is checked costs Great Expectations a third of a second before it looks at a row.
FRAME_ROWS = 250_000


class Stage:
    """An ordered heap of frames in one folder. Small frames are put together to about `FRAME_ROWS` rows."""

    def __init__(self, folder: Path, name: str):
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.rows = 0
        self._waiting: list[pd.DataFrame] = []
        self._files = 0

    def add(self, frame: pd.DataFrame) -> None:
        if frame.empty:
            return
        self._waiting.append(frame)
        self.rows += len(frame)
        if sum(map(len, self._waiting)) >= FRAME_ROWS:
            self._write()

    def _write(self) -> None:
        frame = self._waiting[0] if len(self._waiting) == 1 else pd.concat(self._waiting, ignore_index=True)
        path = self.folder / f"{self._files:06d}.feather"
        try:
            feather.write_feather(pa.Table.from_pandas(frame, preserve_index=False), str(path), compression="lz4")
        except OSError as error:
            raise StorageError(
                f"Intermediate files cannot be written to {self.folder}: {error.strerror or error}.",
                remedy="Free some disk space and try again; the registry was not changed.",
            ) from error
        self._waiting = []
        self._files += 1

    def frames(self, columns: list[str] | None = None) -> Iterator[pd.DataFrame]:
        """The frames, in order, each read when it is its turn."""
        if self._waiting:
            self._write()
        for number in range(self._files):
            yield feather.read_feather(str(self.folder / f"{number:06d}.feather"), columns=columns, memory_map=False)
