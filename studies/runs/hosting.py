"""What a worker of a cluster does with a task: it hosts a worker process, as a run on this machine does.

So a scan that ends or hangs its process does neither to the cluster's own worker, which other tasks wait at; and the
run is told which scan it was.
"""

from __future__ import annotations

import threading
from pathlib import Path

from studies.photos import StoredPhoto
from studies.runs.process import STARTS, WorkerProcess, cannot_start
from studies.runs.work import Answer, CheckpointFiles, PipelineSource, Task

_hosted: dict[PipelineSource, WorkerProcess] = {}
_lock = threading.Lock()


def do_on_cluster(
    source: PipelineSource,
    task: Task,
    limit: float,
    stored: dict[StoredPhoto, bytes] | None = None,
    checkpoints: CheckpointFiles | None = None,
) -> Answer:
    """The answer to a task, by a process that keeps its pipeline from one task to the next.

    limit: seconds that a scan may take. stored, checkpoints: sent to a worker that does not see the run's files. A
    worker with several threads processes one task at a time. A task without scans is answered with the software.
    Raises ModelError where the process ends each time while it loads the checkpoints.
    """
    with _lock:
        if stored is None and not Path(task.proof).is_file():
            return Answer(elsewhere=True)
        worker = _worker(source, checkpoints)
        if not task.scans:
            return Answer(software=worker.software)
        worker.give(task, stored)
        try:
            while not worker.overdue(limit):
                if worker.connection.poll(worker.seconds_left(limit)) and (answer := worker.read()) is not None:
                    return answer
            end = worker.how_it_ended(limit)
        except EOFError:
            end = worker.how_it_ended()
        dismiss()
        return Answer(end=end)


def _worker(source: PipelineSource, checkpoints: CheckpointFiles | None) -> WorkerProcess:
    """The process that has this pipeline loaded, started where there is none yet."""
    code = 0
    for _ in range(STARTS):
        if source not in _hosted:
            dismiss()  # of earlier runs; it would only take memory
            _hosted[source] = WorkerProcess(source, checkpoints)
        worker = _hosted[source]
        try:
            while not worker.ready:
                worker.read()
            return worker
        except EOFError:
            code = _hosted.pop(source).end()
        except Exception:  # what it says is wrong with the checkpoints
            dismiss()
            raise
    raise cannot_start(code)


def dismiss() -> None:
    """End the process that is hosted, if there is one."""
    while _hosted:
        _hosted.popitem()[1].end()
