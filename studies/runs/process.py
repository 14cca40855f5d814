"""A worker process, seen from whoever started it: a run on this machine, or a worker of a cluster.

It is a fresh interpreter and not a fork, so that no thread or lock is copied into it. Whatever a scan does to it, how
it ended and at which scan is known here, and another can be started.
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import Any

from studies.errors import ModelError
from studies.photos import StoredPhoto
from studies.runs.work import Answer, CheckpointFiles, PipelineSource, Task, WorkerEnd
from studies.runs.worker import THREADS

STARTS = 3
"""So many workers in a row that end before they are ready: no other will do better."""
_FAREWELL_SECONDS = 5


class WorkerProcess:
    """`studies.runs.worker` in a process of its own, at the other end of a socket.

    When the socket closes, however it does, the worker goes. tasks: given and not answered yet, the one that it works
    on first. ready: it has loaded its pipeline, and has said its software. at: the scan that it is at.
    """

    def __init__(self, source: PipelineSource, checkpoints: CheckpointFiles | None = None):
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
        self.at: int | None = None
        self._began = 0.0
        self._send((list(sys.path), pickle.dumps(source), checkpoints))

    def _send(self, message: Any) -> None:
        try:
            self.connection.send(message)
        except ConnectionError:  # it has ended; reading from it says so
            pass

    def give(self, task: Task, stored: dict[StoredPhoto, bytes] | None = None) -> None:
        """Another task; `stored`: its photos, where the worker is not to read them itself."""
        self.tasks.append(task)
        self._send((task, stored))

    def read(self) -> Answer | None:
        """Wait for a message; the answer, if it is one. Raises EOFError where the worker has ended, or its error."""
        try:
            kind, content = self.connection.recv()
        except ConnectionError:
            raise EOFError from None
        if kind == "failed":
            raise content
        if kind == "ready":
            self.ready, self.software = True, content
        elif kind == "begun":
            self.at, self._began = content, time.monotonic()
        else:
            self.at = None
            self.tasks.popleft()
            return content
        return None

    def seconds_left(self, limit: float) -> float | None:
        """Until the scan that it is at has taken longer than `limit`; None where it is at none."""
        return None if self.at is None else max(0.0, self._began + limit - time.monotonic())

    def overdue(self, limit: float) -> bool:
        """Whether the scan takes longer, and nothing that the worker has said since is unread."""
        return self.seconds_left(limit) == 0 and not self.connection.poll()

    def how_it_ended(self, limit: float | None = None) -> WorkerEnd:
        return WorkerEnd(self.at, limit)

    def end(self) -> int:
        """End it, if it has not. Its exit code."""
        self.connection.close()
        try:
            return self.process.wait(timeout=_FAREWELL_SECONDS if self.process.poll() is None and not self.tasks else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def cannot_start(code: int) -> ModelError:
    """The error where one worker after another ends before it is ready."""
    return ModelError(
        f"The workers end while they load the checkpoints (exit code {code}).",
        remedy="Look at the messages above. Where memory is short, use fewer: --workers 1.",
    )
