"""Which task is given out next, and what becomes of one whose worker ended.

That a worker ended is no proof that the task at it is to blame: the machine may have had no memory left because of
another one, and Dask's scheduler blames whatever waited at that worker as well. So nothing is held against a scan but
what happens while it is the only one that is out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from studies.runs.work import Answer, Processed, Task, WorkerEnd

TIMES_TOGETHER = 2
"""How often a task is given out beside others, if its worker ends each time."""
TIMES_ALONE = 3
"""How often a worker must end on a scan while nothing else is out, until the scan is given up."""
TIMES_SLOW = 2
"""How often a scan must take longer than it may, the last time while nothing else is out, until it is given up."""
WORKER_ENDED = "the worker process ended each time it was processed"


class TaskQueue:
    """The tasks of a pass. Every task that `next` gives comes back by exactly one of the other methods.

    Anything may end a worker, so a task is first given out again as it is. Then its scans are suspects: they wait
    until nothing else is to do, and are given out one by one, each when all others are back. One that ends every
    worker (too large for the memory, say) then takes no other with it.
    """

    def __init__(self, tasks: Iterator[Task]):
        self._tasks = tasks
        self._again: deque[Task] = deque()
        self._suspects: deque[Task] = deque()
        self._out = 0

    def next(self) -> Task | None:
        """The next task to give out. None where there is none, or none until those that are out are back."""
        task = self._again.popleft() if self._again else next(self._tasks, None)
        if task is None and self._suspects and not self._out:
            task = self._suspects.popleft()
        if task is not None:
            self._out += 1
        return task

    def answered(self) -> None:
        """A task is done."""
        self._out -= 1

    def untouched(self, task: Task) -> None:
        """A task is back through no fault of its own, and is given out again."""
        self._out -= 1
        (self._suspects if task.alone else self._again).appendleft(task)

    def ended(self, task: Task, end: WorkerEnd | None = None, workers: int = 1) -> Answer | None:
        """So many workers have ended on a task. The answer, where it is given up.

        However many they are, they never suffice by themselves: what ended them all may have been one cause.
        """
        self._out -= 1
        end = end or WorkerEnd()
        if len(task.scans) > 1 and (at := [scan for scan in task.scans if scan.scan_id == end.at]):
            others = tuple(scan for scan in task.scans if scan.scan_id != end.at)
            self._again.appendleft(replace(task, scans=others))
            task = replace(task, scans=tuple(at))
        if end.limit is not None:
            return self._slow(task, end.limit)
        if task.alone:
            task = replace(task, deaths=task.deaths + min(workers, TIMES_ALONE - 1))
            if task.deaths >= TIMES_ALONE:
                return _given_up(task, WORKER_ENDED)
            self._suspects.appendleft(task)
        elif task.deaths + workers < TIMES_TOGETHER:
            self._again.append(replace(task, deaths=task.deaths + workers))
        else:
            self._suspect(task)
        return None

    def _slow(self, task: Task, limit: float) -> Answer | None:
        task = replace(task, slow=task.slow + 1)
        if task.alone and task.slow >= TIMES_SLOW:
            return _given_up(task, f"it took longer than {limit:g} s each time it was processed")
        self._suspect(task)
        return None

    def _suspect(self, task: Task) -> None:
        if task.alone:
            self._suspects.appendleft(task)
        else:
            self._suspects.extend(replace(task, scans=(scan,), deaths=0, alone=True) for scan in task.scans)


def _given_up(task: Task, reason: str) -> Answer:
    return Answer(tuple(Processed(scan, indeterminate=reason) for scan in task.scans))
