"""No scan is given up for what another did: Dask blames whatever waited at a worker that ended, guilty or not."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from scan_study import scan_work, source, task_of

from studies.errors import StorageError
from studies.runs import cluster
from studies.runs.cluster import DaskExecutor
from studies.runs.work import Answer, Processed, Task

distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'calliper[dask]'")


@dataclass(eq=False)
class Future:
    task: Task
    key: str
    suspicious: int = 0
    outcome: Answer | BaseException | None = None

    def result(self) -> Answer:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        assert self.outcome is not None
        return self.outcome

    def cancel(self) -> None:
        self.outcome = distributed.CancelledError(self.key)


@dataclass
class Scheduler:
    """Dask's scheduler as far as blame goes: a worker that ends makes everything that waits at it suspicious.

    guilty: the scans that end their worker. lost: how many workers end besides, at their first tasks, for other
    reasons. solitary: the scans that were ever out alone.
    """

    guilty: set[int]
    workers: int = 2
    allowed_failures: int = 1
    lost: int = 0
    queues: list[deque[Future]] = field(default_factory=list)
    finished: deque[Future] = field(default_factory=deque)
    ended: int = 0
    tried: dict[int, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.queues = [deque() for _ in range(self.workers)]
        self._keys = itertools.count()

    def submit(self, function: object, source: object, task: Task, *sent: object, pure: bool) -> Future:
        assert not pure
        future = Future(task, f"task {next(self._keys)}")
        self._assign(future)
        return future

    def _assign(self, future: Future) -> None:
        min(self.queues, key=len).append(future)

    def as_current(self) -> AbstractContextManager[None]:
        return nullcontext()

    def step(self) -> Future:
        """The next future that finishes: workers take turns, each at the oldest of its tasks."""
        while not self.finished:
            queue = max(self.queues, key=len)
            first = queue[0]
            out = sum(map(len, self.queues))
            for one in first.task.scans:
                self.tried.setdefault(one.scan_id, []).append(out)
            if self.lost or any(one.scan_id in self.guilty for one in first.task.scans):
                self.lost = max(0, self.lost - 1)
                self._end(queue)
            else:
                queue.popleft()
                first.outcome = Answer(tuple(Processed(one) for one in first.task.scans), {"tiny": "1"})
                self.finished.append(first)
        return self.finished.popleft()

    def _end(self, queue: deque[Future]) -> None:
        self.ended += 1
        assigned = list(queue)
        queue.clear()
        for future in assigned:
            future.suspicious += 1
            if future.suspicious > self.allowed_failures:
                future.outcome = distributed.KilledWorker(future.key, None, self.allowed_failures)
                self.finished.append(future)
            else:
                self._assign(future)


def answered(scheduler: Scheduler, tasks: Iterator[Task], monkeypatch: pytest.MonkeyPatch) -> dict[int, Processed]:
    """What becomes of each scan; fails where one is answered twice."""

    def wait(futures: list[Future], timeout: float, return_when: str) -> SimpleNamespace:
        first = scheduler.step()
        assert first in futures
        return SimpleNamespace(done={first})

    monkeypatch.setattr(distributed, "wait", wait)
    executor = DaskExecutor(source(), scheduler.workers, "tcp://nowhere:0")
    executor._client = scheduler
    found: dict[int, Processed] = {}
    for answer in executor.answers(tasks):
        for one in answer.processed:
            assert one.work.scan_id not in found
            found[one.work.scan_id] = one
    return found


@pytest.mark.parametrize("allowed_failures", [0, 1, 3])
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("guilty", [{0}, {1}, {2}, {5}, {0, 1}, {1, 2, 9}])
def test_only_the_guilty_are_given_up(
    tmp_path: Path, monkeypatch, guilty: set[int], batch: int, workers: int, allowed_failures: int
) -> None:
    scheduler = Scheduler(guilty, workers, allowed_failures)
    scans = [scan_work(number) for number in range(12)]
    tasks = [task_of(tmp_path, *scans[start : start + batch]) for start in range(0, 12, batch)]
    found = answered(scheduler, iter(tasks), monkeypatch)
    assert {number for number, one in found.items() if one.indeterminate} == guilty
    assert set(found) == set(range(12))
    for number in guilty:
        alone = scheduler.tried[number][-2:]
        assert alone == [1, 1], "given up though another task was out"


@pytest.mark.parametrize("lost", range(1, 5))
def test_a_task_is_not_given_up_for_workers_lost_by_chance(tmp_path: Path, monkeypatch, lost: int) -> None:
    """One message that it was killed is not enough, not even for a scan alone on the cluster."""
    found = answered(Scheduler(set(), 1, 1, lost), iter([task_of(tmp_path, scan_work(1))]), monkeypatch)
    assert found[1].indeterminate is None


def test_a_cluster_without_workers_is_not_waited_for(tmp_path: Path, monkeypatch) -> None:
    """Dask restarts workers that end, but not where one ends while it starts; the last may be gone so."""
    looks = []
    scheduler = Scheduler(set())

    def scheduler_info(n_workers: int) -> dict[str, dict]:
        looks.append(n_workers)
        return {"workers": {"one": {}} if len(looks) < 9 else {}}

    scheduler.scheduler_info = scheduler_info

    def wait(futures: list[Future], timeout: float, return_when: str) -> None:
        raise distributed.TimeoutError

    monkeypatch.setattr(distributed, "wait", wait)
    executor = DaskExecutor(source(), 2, "tcp://nowhere:0")
    executor._client = scheduler
    with pytest.raises(StorageError, match="no workers any more"):
        list(executor.answers(iter([task_of(tmp_path, scan_work(1))])))
    assert len(looks) == 8 + cluster._LOOKS
