"""The one interface of the engines: tasks in, answers out, in any order, whatever happens to the workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, Self

from studies.runs.work import Answer, PipelineSource, Task

ENGINES = ("local", "dask")
# Tasks at a worker: the one that it works on, and the next, so that it need not wait for it.
IN_FLIGHT = 2
SCAN_SECONDS = 300.0
"""How long a scan may take by default: some thousand times what one takes."""


class Executor(Protocol):
    """Workers with a loaded pipeline. A context: leaving it ends the workers that it started."""

    name: str
    workers: int

    def __enter__(self) -> Self: ...

    def __exit__(self, *details: object) -> None: ...

    def software(self, probe: Task) -> dict[str, str]:
        """What the workers have. `probe`: a task without scans. Raises ModelError where the models cannot be loaded."""
        ...

    def answers(self, tasks: Iterator[Task]) -> Iterator[Answer]:
        """An answer for every scan of every task. Tasks are taken from the iterator as workers become free."""
        ...


def make_executor(
    engine: str,
    source: PipelineSource,
    workers: int,
    scheduler: str | None = None,
    scan_seconds: float = SCAN_SECONDS,
) -> Executor:
    """The engine of this name.

    scheduler: address of a Dask cluster that is there already. scan_seconds: how long a scan may take.
    """
    if engine == "dask":
        from studies.runs.cluster import DaskExecutor

        return DaskExecutor(source, workers, scheduler, scan_seconds)
    from studies.runs.local import LocalExecutor

    return LocalExecutor(source, workers, scan_seconds)
