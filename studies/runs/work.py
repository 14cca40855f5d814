"""What travels between a run and its workers: plain data, so that either side can be another process or machine."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studies.photos import StoredPhoto

CheckpointFiles = dict[str, dict[str, bytes]]
"""Checkpoints that are sent: kind -> name of a file -> its content."""


@dataclass(frozen=True)
class PipelineSource:
    """How a worker gets its pipeline: an object with `process(scans) -> outcomes` and `software`.

    factory: "module:name", called with files, kind -> path of a checkpoint (see `models.inference.Pipeline`).
    """

    files: tuple[tuple[str, str], ...]
    factory: str = "models.inference:Pipeline.load"

    def load(self, files: dict[str, Path] | None = None) -> Any:
        """The pipeline, from other places of the files where these are given."""
        module, _, name = self.factory.partition(":")
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found(files or {kind: Path(path) for kind, path in self.files})


@dataclass(frozen=True)
class ScanWork:
    """One scan to process. photos, silhouettes: view -> stored file. keep: whether its silhouettes are wanted back."""

    scan_id: int
    photos: dict[str, StoredPhoto]
    silhouettes: dict[str, StoredPhoto]
    profile: dict[str, Any]
    keep: bool

    def files(self) -> Iterator[StoredPhoto]:
        yield from self.photos.values()
        yield from self.silhouettes.values()

    def inputs(self) -> dict[str, Any]:
        """What the registry notes of it."""
        return {
            "photos": {view: sha256 for view, (sha256, _) in self.photos.items()},
            "silhouettes": {view: sha256 for view, (sha256, _) in self.silhouettes.items()},
            "profile": self.profile,
        }


@dataclass(frozen=True)
class Task:
    """Some scans for one worker.

    store: the folder of the photo store. proof: a file that a worker sees if, and only if, it sees this machine's
    files. deaths: how many workers ended on it, slow: how often it took too long; alone: nothing else is given out
    until it is back (see `studies.runs.queue`).
    """

    scans: tuple[ScanWork, ...]
    store: str
    proof: str
    deaths: int = 0
    slow: int = 0
    alone: bool = False


@dataclass(frozen=True)
class Processed:
    """What came of one scan: `models.inference.ScanOutcome` as plain data. unreachable: why its files are not there."""

    work: ScanWork
    predictions: dict[str, dict[str, Any]] = field(default_factory=dict)
    betas: list[float] | None = None
    pose: Any = None
    silhouettes: dict[str, bytes] = field(default_factory=dict)
    quality: list[dict[str, Any]] = field(default_factory=list)
    indeterminate: str | None = None
    unreachable: str | None = None
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkerEnd:
    """How a worker process ended on a task.

    at: the number of the scan that it was at, None where it was at none. limit: the seconds that a scan may take, where
    it was ended because that one took longer.
    """

    at: int | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Answer:
    """A worker's answer to a task.

    elsewhere: it does not see this machine's files, and wants to be sent them. end: the process that a worker of a
    cluster hosts has ended on the task, which has no outcomes then.
    """

    processed: tuple[Processed, ...] = ()
    software: dict[str, str] = field(default_factory=dict)
    elsewhere: bool = False
    end: WorkerEnd | None = None
