"""The worker: does the jobs that pages ask for, one after the other, in a process of its own.

`python -m dashboards.worker WORKSPACE` goes on until its standard input ends, which it does with whoever started it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dashboards import analyses
from studies.errors import CalliperError
from studies.registry.jobs import JobRecord, claim_job, finish_job, note_progress
from studies.registry.workspace import Registry, open_registry

IDLE_SECONDS = 0.5
_TELL_EVERY_SECONDS = 1.0
_log = logging.getLogger("calliper.worker")


class JobProgress:
    """Progress as the jobs table tells it, at most once a second."""

    def __init__(self, registry: Registry, job: JobRecord):
        self._registry, self._job = registry, job
        self._stage, self._done, self._total = "", 0, None
        self._told = 0.0

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[JobProgress]:
        self._stage, self._done, self._total = title, 0, total
        self._tell(now=True)
        yield self

    def advance(self, amount: int = 1) -> None:
        self._done += amount
        self._tell()

    def _tell(self, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._told < _TELL_EVERY_SECONDS:
            return
        self._told = time.monotonic()
        note_progress(self._registry, self._job.id, self._stage, self._done, self._total)


def analysis(registry: Registry, job: JobRecord, progress: JobProgress) -> dict[str, Any]:
    """Make an analysis into the cache."""
    return {"key": analyses.make(registry, job.study, job.parameters.get("run"), progress)}


def comparison(registry: Registry, job: JobRecord, progress: JobProgress) -> dict[str, Any]:
    """Compare two runs into the cache."""
    runs = job.parameters["baseline"], job.parameters["candidate"]
    return {"key": analyses.make_comparison(registry, job.study, *runs, progress)}


def report(registry: Registry, job: JobRecord, progress: JobProgress) -> dict[str, Any]:
    """Make and register a report."""
    from reports.kinds import Order, build
    from reports.registered import register_report

    order = Order(job.study, tuple(job.parameters.get("runs") or ()))
    made = build(registry, job.parameters["kind"], order, progress=progress)
    with progress.stage("Writing the report"):
        files = register_report(registry, job.study, made, formats=("html", "pdf", "json"))
    return {"files": {kind: path.name for kind, path in files.items()}}


def run(registry: Registry, job: JobRecord, progress: JobProgress) -> dict[str, Any]:
    """Start a run, or go on with it."""
    from studies.runs.executor import make_executor
    from studies.runs.models import choose_checkpoints, models_of
    from studies.runs.run import run as run_scans

    models, source = models_of(choose_checkpoints(registry, job.parameters["checkpoints"]))
    workers = len(os.sched_getaffinity(0))
    executor = make_executor("local", source, workers)
    result = run_scans(registry, job.study, models, executor, progress=progress)
    return {"run": result.number, "outcomes": result.outcomes}


@contextmanager
def _acting_for(name: str) -> Iterator[None]:
    """What happens meanwhile is in the audit trail under the name of who asked for it."""
    before = os.environ.get("CALLIPER_ACTOR")
    os.environ["CALLIPER_ACTOR"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["CALLIPER_ACTOR"]
        else:
            os.environ["CALLIPER_ACTOR"] = before


KINDS: dict[str, Callable[[Registry, JobRecord, JobProgress], dict[str, Any]]] = {
    "analysis": analysis, "comparison": comparison, "report": report, "run": run,
}  # fmt: skip


def work_once(registry: Registry) -> bool:
    """Do the oldest job, if there is one. What goes wrong is told in the job."""
    job = claim_job(registry)
    if job is None:
        return False
    try:
        with _acting_for(job.created_by):
            outcome = KINDS[job.kind](registry, job, JobProgress(registry, job))
    except CalliperError as error:
        finish_job(registry, job.id, failure=str(error))
    except Exception as error:
        _log.exception("job %d failed", job.id)
        finish_job(registry, job.id, failure=f"This is a bug in Calliper: {type(error).__name__}: {error}")
    else:
        finish_job(registry, job.id, outcome=outcome)
    return True


def work(registry: Registry, stop: threading.Event) -> None:
    """Do jobs until told to stop. A database that is away for a while is waited for."""
    while not stop.is_set():
        try:
            busy = work_once(registry)
        except CalliperError as error:
            _log.warning("%s", error)
            busy = False
        if not busy:
            stop.wait(IDLE_SECONDS)


def main() -> None:
    """Work until standard input ends."""
    stop = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    with open_registry(Path(sys.argv[1])) as registry:
        work(registry, stop)


if __name__ == "__main__":
    main()
