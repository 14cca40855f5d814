"""The local engine: worker processes of this machine. When one ends, the run starts another."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import Self

from studies.runs.executor import IN_FLIGHT, SCAN_SECONDS
from studies.runs.process import STARTS, WorkerProcess, cannot_start
from studies.runs.queue import TaskQueue
from studies.runs.work import Answer, PipelineSource, Task


class LocalExecutor:
    """See `studies.runs.executor.Executor`. scan_seconds: how long a scan may take."""

    name = "local"

    def __init__(self, source: PipelineSource, workers: int, scan_seconds: float = SCAN_SECONDS):
        self.source, self.workers, self.scan_seconds = source, workers, scan_seconds
        self._pool: list[WorkerProcess] = []
        self._early_ends = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        while self._pool:
            self._pool.pop().end()

    def software(self, probe: Task) -> dict[str, str]:
        del probe  # every worker says it when it is ready
        while not any(worker.ready for worker in self._pool):
            self._fill(1)
            for message in self._messages(TaskQueue(iter(()))):
                raise AssertionError(f"an answer to nothing: {message}")
        return next(worker.software for worker in self._pool if worker.ready)

    def answers(self, tasks: Iterator[Task]) -> Iterator[Answer]:
        queue = TaskQueue(tasks)
        while True:
            self._hand_out(queue)
            if not any(worker.tasks for worker in self._pool):
                return
            yield from self._messages(queue)

    def _hand_out(self, queue: TaskQueue) -> None:
        """Give every worker what it lacks, as far as there is any."""
        for deep in range(1, IN_FLIGHT + 1):  # first one for each, then a second
            for place in range(self.workers):
                if place < len(self._pool) and len(self._pool[place].tasks) >= deep:
                    continue
                task = queue.next()
                if task is None:
                    return
                self._fill(place + 1)
                self._pool[place].give(task)

    def _fill(self, size: int) -> None:
        while len(self._pool) < size:
            self._pool.append(WorkerProcess(self.source))

    def _messages(self, queue: TaskQueue) -> Iterator[Answer]:
        """Wait for at least one message, the end of a worker or that of a scan's time, and see to it."""
        by_connection = {worker.connection: worker for worker in self._pool}
        left = [seconds for worker in self._pool if (seconds := worker.seconds_left(self.scan_seconds)) is not None]
        for connection in wait(list(by_connection), min(left, default=None)):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                answer = worker.read()
            except EOFError:
                yield from self._ended(worker, queue)
                continue
            if answer is not None:
                queue.answered()
                yield answer
            elif worker.ready:
                self._early_ends = 0
        for worker in [worker for worker in self._pool if worker.overdue(self.scan_seconds)]:
            yield from self._ended(worker, queue, self.scan_seconds)

    def _ended(self, worker: WorkerProcess, queue: TaskQueue, limit: float | None = None) -> Iterator[Answer]:
        """A worker has ended, or must: what it had is given out again, the later task as it was."""
        self._pool.remove(worker)
        left = list(worker.tasks)
        code = worker.end()
        if not worker.ready:
            self._early_ends += 1
            if self._early_ends >= STARTS:
                raise cannot_start(code)
        for place, task in reversed(list(enumerate(left))):
            if place or not worker.ready:
                queue.untouched(task)
            elif (given_up := queue.ended(task, worker.how_it_ended(limit))) is not None:
                yield given_up
