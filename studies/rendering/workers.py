"""Work in several processes: results in order, memory bounded, and no process left behind.

The work must not depend on who does it: every task carries its own random seed, so that the result is the same whatever
the number of workers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from studies.errors import StorageError, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2  # tasks in waiting for each worker
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(work: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int | None = None) -> Iterator[Result]:
    """`work` done on every task, in `workers` processes (by default one a core), the results in the order of the tasks.

    With one worker it is done here. `work` and what it takes and gives must be picklable. An error of a task is raised
    when it is its turn. Raises UsageError for a number of workers below one.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers were asked for.", remedy="Ask for at least one.")
    workers = workers or usable_cores()
    if workers == 1:
        yield from map(work, tasks)
        return
    pool = _pool(workers)
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            while len(waiting) > workers * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise StorageError(
            "A process that rendered photos was ended from outside.",
            remedy="Most often memory was short: try again with fewer --workers. Nothing was half written.",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    # A core is a worker's; its libraries must not start threads of their own, which they decide when they are imported.
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin)
        for _ in range(workers):  # each is started by a task that finds no idle one
            pool.submit(_nothing)
        return pool
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _nothing() -> None:
    pass


def _begin() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_it() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()
