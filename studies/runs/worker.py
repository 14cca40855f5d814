"""What a worker does with a task, whoever gave it; and the worker process of the local engine.

One thread each: workers are as many as there are cores, and sums come out in the same order whatever their number.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import pickle
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from studies.photos import PhotoStore, StoredPhoto
from studies.runs.work import Answer, PipelineSource, Processed, ScanWork, Task
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

    def do(self, task: Task, stored: dict[StoredPhoto, bytes] | None = None) -> Answer:
        """Process the scans of a task, whose files are read from the store unless `stored` has them.

        A scan that cannot be processed has a reason, and never spoils the others.
        """
        one_thread()
        store = PhotoStore(Path(task.store))
        found: dict[int, Processed] = {}
        ready: list[tuple[ScanWork, Any]] = []
        for work in task.scans:
            try:
                ready.append((work, _scan_input(work, store, stored)))
            except NotThere as problem:
                found[work.scan_id] = Processed(work, unreachable=str(problem))
        for work, outcome in zip([work for work, _ in ready], self._outcomes([scan for _, scan in ready]), strict=True):
            found[work.scan_id] = outcome if isinstance(outcome, Processed) else _plain(work, outcome)
        answers = tuple(found[work.scan_id] for work in task.scans)
        return Answer(answers, self.software)

    def _outcomes(self, scans: Sequence[Any]) -> list[Any]:
        if not scans:
            return []
        try:
            return list(self.pipeline.process(scans))
        except MemoryError:
            raise
        except Exception as error:
            if len(scans) > 1:
                return [outcome for scan in scans for outcome in self._outcomes([scan])]
            return [_Failed(f"it could not be processed ({type(error).__name__}: {error})")]


class _Failed:
    """The outcome of a scan for which the pipeline raised an error."""

    def __init__(self, reason: str):
        self.indeterminate = " ".join(reason.split())[:500]


def _plain(work: ScanWork, outcome: Any) -> Processed:
    if isinstance(outcome, _Failed):
        return Processed(work, indeterminate=outcome.indeterminate)
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
    """A file of the store, proved by its hash. Raises NotThere."""
    try:
        found = store.path(*file).read_bytes()
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


# On workers of a cluster ----------------------------------------------------------------------------------------------

_benches: dict[PipelineSource, Workbench] = {}
_lock = threading.Lock()


def do_on_cluster(
    source: PipelineSource,
    task: Task,
    stored: dict[StoredPhoto, bytes] | None = None,
    checkpoints: dict[str, dict[str, bytes]] | None = None,
) -> Answer:
    """`Workbench.do` in a process that keeps its pipeline from one task to the next.

    stored, checkpoints (kind -> name of a file -> content): sent to a worker that does not see the run's files.
    A worker with several threads processes one task at a time. A task without scans is answered with the software.
    """
    with _lock:
        if stored is None and not Path(task.proof).is_file():
            return Answer(elsewhere=True)
        if source not in _benches:
            if "numba" not in sys.modules:  # it reads the variable when it is imported, and must not see it change
                os.environ.update(THREADS)
            keep_memory()
            _benches.clear()  # of earlier runs; they would only take memory
            _benches[source] = Workbench(source) if checkpoints is None else _load_sent(source, checkpoints)
        return _benches[source].do(task, stored)


def _load_sent(source: PipelineSource, checkpoints: dict[str, dict[str, bytes]]) -> Workbench:
    with tempfile.TemporaryDirectory(prefix="calliper-checkpoints-") as folder:
        paths = {}
        for kind, path in source.files:
            (Path(folder) / kind).mkdir()
            for name, content in checkpoints[kind].items():
                (Path(folder) / kind / name).write_bytes(content)
            paths[kind] = Path(folder) / kind / Path(path).name
        return Workbench(source, paths)


# As a process of this machine -----------------------------------------------------------------------------------------


def main(handle: int) -> None:
    """Serve the run at the other end of the socket `handle` until it goes."""
    from multiprocessing.connection import Connection

    run = Connection(handle)
    try:
        path, source = run.recv()
        sys.path[:] = path
        keep_memory()
        try:
            bench = Workbench(pickle.loads(source))
        except Exception as error:  # the run must be told whatever it was
            run.send(("failed", _sendable(error)))
            return
        run.send(("ready", bench.software))
        while (task := run.recv()) is not None:
            try:
                answer = bench.do(task)
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            except Exception as error:
                run.send(("failed", _sendable(error)))
                return
            run.send(("answer", answer))
    except (EOFError, ConnectionError):  # the run has ended, however it did
        return


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
