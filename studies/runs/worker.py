"""What a worker process does: it loads its pipeline, and answers tasks until whoever started it has gone.

One thread each: workers are as many as there are cores, and sums come out in the same order whatever their number.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import pickle
import select
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from studies.photos import PhotoStore, StoredPhoto
from studies.runs.work import Answer, CheckpointFiles, PipelineSource, Processed, ScanWork, Task
from studies.version import VERSION

THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
OUT_OF_MEMORY = 70  # exit code of a worker that had no memory left: it is started afresh


class NotThere(Exception):
    """A stored file that cannot be used; the text says which and why."""


class Workbench:
    """A loaded pipeline and what surrounds it."""

    def __init__(self, source: PipelineSource, files: dict[str, Path] | None = None):
        self.pipeline = source.load(files)
        self.software = {"calliper": VERSION, **self.pipeline.software}

    def do(
        self,
        task: Task,
        stored: dict[StoredPhoto, bytes] | None = None,
        begun: Callable[[int], object] = lambda scan_id: None,
    ) -> Answer:
        """Process the scans of a task, whose files are read from the store unless `stored` has them.

        begun: told the number of each scan before it. A scan that cannot be processed has a reason, and never spoils
        the others.
        """
        one_thread()
        store = PhotoStore(Path(task.store))
        answers = []
        for work in task.scans:
            begun(work.scan_id)
            answers.append(self._one(work, store, stored))
        return Answer(tuple(answers), self.software)

    def _one(self, work: ScanWork, store: PhotoStore, stored: dict[StoredPhoto, bytes] | None) -> Processed:
        try:
            scan = _scan_input(work, store, stored)
        except NotThere as problem:
            return Processed(work, unreachable=str(problem))
        try:
            [outcome] = self.pipeline.process([scan])
        except MemoryError:
            raise
        except Exception as error:
            reason = f"it could not be processed ({type(error).__name__}: {error})"
            return Processed(work, indeterminate=" ".join(reason.split())[:500])
        return _plain(work, outcome)


def _plain(work: ScanWork, outcome: Any) -> Processed:
    predictions = {
        name: {"value": float(found.value), "unit": found.unit, "low": _number(found.low), "high": _number(found.high)}
        for name, found in outcome.predictions.items()
    }
    reason = outcome.indeterminate
    wrong = [name for name, found in predictions.items() if not math.isfinite(found["value"])]
    if reason is None and wrong:
        reason = f"the models gave no finite number for {', '.join(sorted(wrong))}"
    if reason is None and not predictions:
        reason = "the models predicted nothing"
    return Processed(
        work,
        {} if reason else predictions,
        None if outcome.betas is None else [float(beta) for beta in outcome.betas],
        outcome.pose,
        dict(outcome.silhouettes) if work.keep and not reason else {},
        [{"view": finding.view, "reason": finding.reason, "detail": finding.detail} for finding in outcome.quality],
        reason,
        None,
        {stage: round(seconds, 6) for stage, seconds in outcome.timings.items()},
    )


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _scan_input(work: ScanWork, store: PhotoStore, stored: dict[StoredPhoto, bytes] | None) -> Any:
    from models.inference import ScanInput

    def read(files: dict[str, StoredPhoto]) -> dict[str, bytes]:
        if stored is None:
            return {view: read_stored(store, file) for view, file in files.items()}
        if missing := [file for file in files.values() if file not in stored]:
            raise NotThere(_missing(missing[0]))
        return {view: stored[file] for view, file in files.items()}

    return ScanInput(str(work.scan_id), read(work.photos), read(work.silhouettes), **work.profile)


def read_stored(store: PhotoStore, file: StoredPhoto) -> bytes:
    """A file of the store, proved by its hash. Raises NotThere, or StorageError where its key is not at hand."""
    try:
        found = store.read(*file)
    except FileNotFoundError:
        raise NotThere(_missing(file)) from None
    if hashlib.sha256(found).hexdigest() != file[0]:
        raise NotThere(f"the file {file[0][:16]}… of the photo store is damaged: its content does not fit its name")
    return found


def _missing(file: StoredPhoto) -> str:
    return f"the file {file[0][:16]}… is missing from the photo store"


def one_thread() -> None:
    """One thread for the libraries that the pipeline has brought in, whichever thread of Python this is.

    Torch comes last: when numba starts its own threads, it sets the number of OpenMP's in the calling thread, which is
    torch's as well. NumPy's BLAS must not be forgotten: with two threads it sums in another order than with one.
    """
    threadpool_limits(1, user_api="blas")
    if cv2 := sys.modules.get("cv2"):
        cv2.setNumThreads(1)
    if numba := sys.modules.get("numba"):
        numba.set_num_threads(1)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


# Of glibc's mallopt(3): the largest threshold above which blocks are mapped one by one, and a large one for the memory
# at the end of the heap that is given back.
_M_TRIM_THRESHOLD, _TRIM = -1, 256 * 2**20
_M_MMAP_THRESHOLD, _MMAP = -3, 32 * 2**20


def keep_memory() -> None:
    """Let the allocator keep what a scan has freed for the next one, where it is glibc's.

    Every scan wants the same large blocks again, and pages that were given back are zeroed anew: Dask's workers, which
    by default give back all they can, take half as long again for a scan.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _TRIM)
        mallopt(_M_MMAP_THRESHOLD, _MMAP)


# The process ----------------------------------------------------------------------------------------------------------


def main(handle: int) -> None:
    """Serve the run at the other end of the socket `handle` until it goes."""
    from multiprocessing.connection import Connection

    run = Connection(handle)
    threading.Thread(target=_go_with, args=(handle,), daemon=True).start()
    try:
        path, source, checkpoints = run.recv()
        sys.path[:] = path
        keep_memory()
        try:
            bench = _load(pickle.loads(source), checkpoints)
        except Exception as error:  # the run must be told whatever it was
            run.send(("failed", _sendable(error)))
            return
        run.send(("ready", bench.software))
        while True:
            task, stored = run.recv()
            try:
                answer = bench.do(task, stored, lambda scan_id: run.send(("begun", scan_id)))
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            except Exception as error:
                run.send(("failed", _sendable(error)))
                return
            run.send(("answer", answer))
    except (EOFError, ConnectionError):  # the run has ended, however it did
        return


def _go_with(handle: int) -> None:
    """End this process when the one at the other end has gone, even in the middle of a scan that never ends."""
    other = select.poll()
    other.register(handle, select.POLLHUP | getattr(select, "POLLRDHUP", 0))
    other.poll()
    os._exit(0)


def _load(source: PipelineSource, checkpoints: CheckpointFiles | None) -> Workbench:
    """checkpoints: sent to a process that does not see the run's files."""
    if checkpoints is None:
        return Workbench(source)
    with tempfile.TemporaryDirectory(prefix="calliper-checkpoints-") as folder:
        paths = {}
        for kind, path in source.files:
            (Path(folder) / kind).mkdir()
            for name, content in checkpoints[kind].items():
                (Path(folder) / kind / name).write_bytes(content)
            paths[kind] = Path(folder) / kind / Path(path).name
        return Workbench(source, paths)


def _sendable(error: Exception) -> Exception:
    """The error, or one that says the same: not every error survives the journey."""
    from studies.errors import CalliperError, ModelError

    what, remedy = getattr(error, "what", None), getattr(error, "remedy", None)
    if isinstance(error, OSError):
        return OSError(error.errno, error.strerror, error.filename)
    if what is not None:
        return (type(error) if isinstance(error, CalliperError) else ModelError)(what, remedy=remedy)
    return RuntimeError(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
