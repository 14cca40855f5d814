"""The local engine: worker processes of this machine, each at the other end of a socket.

A worker is a fresh interpreter and not a fork, so that no thread or lock of the run is copied into it. When the run
ends, however it ends, the socket closes and the worker goes. When a worker ends, the run knows which task it had, and
starts another.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Self

from studies.errors import ModelError
from studies.runs.executor import IN_FLIGHT
from studies.runs.queue import TaskQueue
from studies.runs.work import Answer, PipelineSource, Task
from studies.runs.worker import THREADS

_FAREWELL_SECONDS = 5
_STARTS = 3  # so many workers in a row that end before they are ready: no other will do better


class _Worker:
    def __init__(self, source: PipelineSource):
        here, there = socket.socketpair()
        with there:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "studies.runs.worker", str(there.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=2,  # whatever a library prints is no result
                env={**os.environ, **THREADS, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=[there.fileno()],
                process_group=0,  # Ctrl-C is for the run, which then ends its workers
            )
        self.connection = Connection(here.detach())
        self.tasks: deque[Task] = deque()
        self.ready = False
        self.software: dict[str, str] = {}
        self.send((list(sys.path), pickle.dumps(source)))

    def send(self, message: Any) -> None:
        try:
            self.connection.send(message)
        except ConnectionError:  # it has ended; reading from it says so
            pass

    def give(self, task: Task) -> None:
        self.tasks.append(task)
        self.send(task)

    def end(self) -> int:
        """End it, if it has not. Its exit code."""
        self.connection.close()
        try:
            return self.process.wait(timeout=_FAREWELL_SECONDS if self.process.poll() is None and not self.tasks else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class LocalExecutor:
    """See `studies.runs.executor.Executor`."""

    name = "local"

    def __init__(self, source: PipelineSource, workers: int):
        self.source, self.workers = source, workers
        self._pool: list[_Worker] = []
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
            self._pool.append(_Worker(self.source))

    def _messages(self, queue: TaskQueue) -> Iterator[Answer]:
        """Wait for at least one message, or the end of a worker, and see to it."""
        by_connection = {worker.connection: worker for worker in self._pool}
        for connection in wait(list(by_connection)):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                kind, content = worker.connection.recv()
            except (EOFError, ConnectionError):
                yield from self._ended(worker, queue)
                continue
            if kind == "failed":
                raise content
            if kind == "ready":
                worker.ready, worker.software = True, content
                self._early_ends = 0
                continue
            worker.tasks.popleft()
            queue.answered()
            yield content

    def _ended(self, worker: _Worker, queue: TaskQueue) -> Iterator[Answer]:
        """A worker has ended by itself, or was killed: what it had is given out again, the later task as it was."""
        self._pool.remove(worker)
        left = list(worker.tasks)
        code = worker.end()
        if not worker.ready:
            self._early_ends += 1
            if self._early_ends >= _STARTS:
                raise ModelError(
                    f"The workers end while they load the checkpoints (exit code {code}).",
                    remedy="Look at the messages above. Where memory is short, use fewer: --workers 1.",
                )
        for place, task in reversed(list(enumerate(left))):
            if place or not worker.ready:
                queue.untouched(task)
            elif (given_up := queue.ended(task)) is not None:
                yield given_up
