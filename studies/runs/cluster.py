"""The Dask engine: workers of a cluster, or of a small one that is started here for the length of a run.

A worker that does not see this machine's files (another file system) is sent photos and checkpoints by the run; one
that does reads them itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from studies.errors import ModelError, StorageError, UsageError
from studies.photos import PhotoStore, StoredPhoto
from studies.runs.executor import IN_FLIGHT, SCAN_SECONDS
from studies.runs.hosting import do_on_cluster
from studies.runs.queue import TaskQueue
from studies.runs.work import Answer, PipelineSource, Task
from studies.runs.worker import NotThere, read_stored

_CONNECT_SECONDS = 20
_LOOK_SECONDS = 10.0
"""How often to look whether there are workers, while none of them answers."""
_LOOKS = 12
"""So many looks in a row that find no worker: none will come back. Dask restarts those that end, but not always."""


class DaskExecutor:
    """See `studies.runs.executor.Executor`. workers: how many to start where no `scheduler` is given.

    scan_seconds: how long a scan may take.
    """

    name = "dask"

    def __init__(
        self,
        source: PipelineSource,
        workers: int,
        scheduler: str | None = None,
        scan_seconds: float = SCAN_SECONDS,
    ):
        self.source, self.workers, self.scheduler, self.scan_seconds = source, workers, scheduler, scan_seconds
        self._stack = ExitStack()
        self._ship = False
        self._checkpoints: Any = None

    def __enter__(self) -> Self:
        try:
            from distributed import Client, LocalCluster
        except ModuleNotFoundError:
            raise UsageError(
                "The engine dask is not installed.",
                remedy="Install Calliper with its extra: pip install 'calliper[dask]'.",
            ) from None
        with ExitStack() as stack:
            address: Any = self.scheduler
            if address is None:
                address = stack.enter_context(
                    LocalCluster(
                        n_workers=self.workers,
                        threads_per_worker=1,
                        processes=True,
                        dashboard_address=":0",  # any free port: several runs may have a cluster each
                        silence_logs=50,
                    )
                )
            try:
                self._client = stack.enter_context(
                    Client(address, timeout=_CONNECT_SECONDS, set_as_default=False, name="calliper")
                )
            except (OSError, ValueError) as error:
                raise UsageError(
                    f"No Dask scheduler answers at {self.scheduler}.",
                    remedy="Start one (dask scheduler), and give its address, as tcp://HOST:8786.",
                ) from error
            if self.scheduler is not None:
                self.workers = self._present()
                if not self.workers:
                    raise UsageError(
                        f"The Dask scheduler at {self.scheduler} has no workers.",
                        remedy="Start some (dask worker ADDRESS --nthreads 1), and run again.",
                    )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def software(self, probe: Task) -> dict[str, str]:
        return next(self.answers(iter([probe]))).software

    def answers(self, tasks: Iterator[Task]) -> Iterator[Answer]:
        queue = TaskQueue(tasks)
        given: dict[Any, Task] = {}
        try:
            while True:
                while len(given) < IN_FLIGHT * self.workers and (task := queue.next()) is not None:
                    words = (self.source, task, self.scan_seconds, *self._sent(task))
                    given[self._client.submit(do_on_cluster, *words, pure=False)] = task
                if not given:
                    return
                for future in self._done(given):
                    answer = self._result(future, given.pop(future), queue)
                    if answer is not None:
                        yield answer
        finally:
            for future in given:
                future.cancel()

    def _present(self) -> int:
        """How many workers the cluster has."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def _done(self, given: dict[Any, Task]) -> list[Any]:
        """Those of the futures that have ended, at least one. Raises StorageError where there is no worker any more."""
        from distributed import CancelledError, TimeoutError, wait

        looks = 0
        while looks < _LOOKS:
            try:
                with self._client.as_current():
                    ended = wait(list(given), timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED").done
                return [future for future in given if future in ended]
            except TimeoutError:
                looks = 0 if self._present() else looks + 1
            except CancelledError:
                raise _scheduler_gone() from None
        raise StorageError(
            "The Dask cluster has no workers any more.",
            remedy="Start some; the next calliper run goes on where this ended.",
        )

    def _result(self, future: Any, task: Task, queue: TaskQueue) -> Answer | None:
        """The answer to a task, unless it is given out again."""
        from distributed import CancelledError, KilledWorker

        try:
            answer = future.result()
        except KilledWorker as killed:  # the scheduler has tried it several times already
            if not task.scans:
                raise ModelError(
                    "The workers end while they load the checkpoints.", remedy="Look at the workers' own logs."
                ) from None
            return queue.ended(task, workers=killed.allowed_failures + 1)
        except CancelledError:
            raise _scheduler_gone() from None
        except MemoryError:
            return queue.ended(task)
        if answer.end is not None:
            return queue.ended(task, answer.end)
        if answer.elsewhere:
            self._ship = True
            queue.untouched(task)
            return None
        queue.answered()
        return answer

    def _sent(self, task: Task) -> list[Any]:
        """The files that go with a task, if they must: as data of the cluster, for a task itself must be small."""
        if not self._ship:
            return []
        if self._checkpoints is None:
            files = {kind: _beside(Path(path)) for kind, path in self.source.files}
            self._checkpoints = self._client.scatter({"files": files}, broadcast=True)["files"]
        store = PhotoStore(Path(task.store))
        stored: dict[StoredPhoto, bytes] = {}
        for file in {file for scan in task.scans for file in scan.files()}:
            try:
                stored[file] = read_stored(store, file)
            except NotThere:  # the worker says so of the scan
                continue
        return [self._client.scatter([stored], hash=False)[0], self._checkpoints]


def _scheduler_gone() -> StorageError:
    return StorageError(
        "The Dask scheduler has gone.", remedy="Start it again; the next calliper run goes on where this ended."
    )


def _beside(path: Path) -> dict[str, bytes]:
    """A checkpoint and its card: the files of one stem."""
    return {part.name: part.read_bytes() for part in path.parent.glob(f"{path.stem}.*") if part.is_file()}
