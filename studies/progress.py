"""How long work tells of its progress: stages with a title, and a count where one is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Stage(Protocol):
    def advance(self, amount: int = 1) -> None: ...


class Progress(Protocol):
    """A stage is a context: `with progress.stage("Reading", total=10) as stage: stage.advance()`."""

    def stage(self, title: str, total: int | None = None) -> _StageContext: ...


class _StageContext(Protocol):
    def __enter__(self) -> Stage: ...

    def __exit__(self, *details: object) -> bool | None: ...


class _Silent:
    def advance(self, amount: int = 1) -> None:
        pass


class NoProgress:
    """Tells nobody."""

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Stage]:
        yield _Silent()
