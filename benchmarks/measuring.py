"""What the benchmarks share: fresh processes with their peak memory, the machine in words, tables."""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

MEGABYTE = 1_000_000
VERSIONS = ("numpy", "pandas", "pyarrow", "sqlalchemy", "great-expectations")


@dataclass
class Measured:
    """What some work returned, and the most memory that its process ever held (megabytes)."""

    result: Any
    peak_mb: float


def in_fresh_process(work: Callable[..., Any], *arguments: Any) -> Measured:
    """Runs `work` (a function of a module) in a new interpreter, so that nothing before it counts."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, work, arguments).result()


def _measured(work: Callable[..., Any], arguments: Sequence[Any]) -> Measured:
    result = work(*arguments)
    return Measured(result, peak_megabytes())


def peak_megabytes() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE


@dataclass
class Clock:
    """Wall-clock and processor seconds. On a busy machine the second says more."""

    seconds: float = 0.0
    cpu: float = 0.0


@contextmanager
def timed() -> Iterator[Clock]:
    clock, wall, cpu = Clock(), time.perf_counter(), time.process_time()
    try:
        yield clock
    finally:
        clock.seconds, clock.cpu = time.perf_counter() - wall, time.process_time() - cpu


class StageTimes:
    """A `studies.progress.Progress` that notes the seconds of each stage, and in how many steps it was told of."""

    def __init__(self) -> None:
        self.stages: dict[str, Clock] = {}
        self.steps: dict[str, int] = {}

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[StageTimes]:
        self._title = title
        with timed() as clock:
            yield self
        self.stages[title] = clock

    def advance(self, amount: int = 1) -> None:
        self.steps[self._title] = self.steps.get(self._title, 0) + 1


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median, and the range where there is more than one value."""
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) < 2 else f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def print_machine(repeats: int) -> None:
    """The machine and the versions that matter, as a note under the figures."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    print(
        f"\n{os.cpu_count()} cores, {memory:.0f} GiB, load {load:.1f} at the end; Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in VERSIONS)
        + f"; {repeats} repeat{'s' if repeats > 1 else ''}."
    )


def print_rows(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table in Markdown, the first column to the left and the others to the right."""
    print(f"| {' | '.join(heading)} |")
    print(f"|---|{'--:|' * (len(heading) - 1)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
