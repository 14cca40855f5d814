"""A run from its first scan to its last: what is to do goes to the workers, what comes back to the registry.

A run is the same run as long as checkpoints and software are. So calling it again goes on where it was interrupted, or
looks at the scans that have come since; and with other checkpoints, or other software, it is another run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from studies.errors import ModelError, StorageError
from studies.progress import NoProgress, Progress, Stage
from studies.registry import audit
from studies.registry.catalogue import StudyRecord, find_study
from studies.registry.claims import abandoned, claim
from studies.registry.held_files import remove_unheld
from studies.registry.outcomes import outcome_counts, outcome_reasons
from studies.registry.schema import Run, RunCheckpoint
from studies.registry.workspace import Registry
from studies.runs.executor import Executor
from studies.runs.listing import is_worked_on, run_folder
from studies.runs.planning import Unreachable, count_to_do, to_do
from studies.runs.recording import Recorder, Written, noted_files
from studies.runs.work import Answer, Processed, ScanWork, Task

BATCH = 8
"""Scans in one task, and in one transaction."""
MOST_ASIDE = 250
"""Unreachable scans that wait to be written."""
_PROOF = "here"
_WAIT_AT_THE_END = 5.0


@dataclass(frozen=True)
class RunModels:
    """The checkpoints of a run: their keys in the registry, and the hash of the weights of each kind."""

    checkpoint_ids: tuple[int, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)


@dataclass
class RunResult:
    """What a call of `run` did, and what the run holds now.

    outcomes, reasons: of the whole run. done: what this call did. remaining: scans still without an outcome.
    seconds: of this call, starting: those until its workers were there.
    """

    study: str
    number: int
    continued: bool
    status: str
    engine: str
    workers: int
    software: dict[str, str]
    outcomes: dict[str, int]
    reasons: list[dict[str, Any]]
    remaining: int
    done: Written
    seconds: float
    starting: float

    @property
    def scans_per_second(self) -> float | None:
        """Scans that this call processed, by the time after its workers had started."""
        working = self.seconds - self.starting
        return self.looked_at / working if self.looked_at and working > 0 else None

    @property
    def looked_at(self) -> int:
        """Scans that this call processed."""
        return sum(n for status, n in self.done.outcomes.items() if status != "unreachable")

    def to_dict(self) -> dict[str, Any]:
        return {
            "study": self.study, "run": self.number, "continued": self.continued, "status": self.status,
            "engine": self.engine, "workers": self.workers, "software": self.software, "outcomes": self.outcomes,
            "reasons": self.reasons, "remaining": self.remaining,
            "this_time": {
                "outcomes": self.done.outcomes, "photos_deleted": self.done.photos_deleted,
                "silhouettes_kept": self.done.silhouettes_kept, "seconds": self.seconds,
                "seconds_to_start": self.starting, "scans_per_second": self.scans_per_second,
                "seconds_by_stage": self.done.seconds,
            },
        }  # fmt: skip


class InterruptedRun(KeyboardInterrupt):
    """Ctrl-C within a run; `result` says how far it came."""

    def __init__(self, result: RunResult):
        self.result = result
        super().__init__()


def run(
    registry: Registry,
    study_name: str,
    models: RunModels,
    executor: Executor,
    *,
    new: bool = False,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> RunResult:
    """Give every scan of the study an outcome by these models. `new`: begin another run though one could be continued.

    Ends with one outcome a scan, however often it was interrupted. Raises UsageError for an unknown study, ModelError
    where the workers cannot load the models, StorageError where another process works on the run or the registry cannot
    be written, InterruptedRun on Ctrl-C; what was written until then stays, and the next call goes on from there.
    """
    progress = progress or NoProgress()
    started = time.perf_counter()
    with registry.reading() as connection:
        study = find_study(connection, study_name)
    with ExitStack() as stack:
        proof = stack.enter_context(registry.scratch()) / _PROOF
        proof.touch()
        stack.enter_context(executor)
        with progress.stage("Starting workers"):
            software = executor.software(Task((), str(registry.photos.folder), str(proof)))
        starting = time.perf_counter() - started
        opened = _open(registry, study, models, software, new, stack)
        work = _Work(registry, study, opened, executor, software, str(proof), batch)

        def result(status: str) -> RunResult:
            with registry.reading() as connection:
                counts = outcome_counts(connection, opened.id)
                why = outcome_reasons(connection, opened.id)
                left = count_to_do(connection, study.id, opened.id) - counts["unreachable"]
            return RunResult(
                study.name, opened.number, opened.continued, status, executor.name, executor.workers, software,
                counts, why, left, work.done, time.perf_counter() - started, starting,
            )  # fmt: skip

        try:
            with registry.reading() as connection:
                total = count_to_do(connection, study.id, opened.id)
            with progress.stage("Running", total) as stage:
                while work.look(stage):
                    pass  # an ingest may have brought or replaced photos meanwhile
            work.recorder.settle()
            _close(registry, study, opened, work.done)
        except BaseException as error:
            _leave(registry, opened)
            if isinstance(error, KeyboardInterrupt):
                raise InterruptedRun(result("interrupted")) from None
            raise
        return result("finished")


class _Work:
    """The way of a run's scans: from the registry to the workers, and back. `done`: what was written so far."""

    def __init__(
        self,
        registry: Registry,
        study: StudyRecord,
        opened: _Opened,
        executor: Executor,
        software: dict[str, str],
        proof: str,
        batch: int,
    ):
        self.registry, self.study, self.opened, self.executor = registry, study, opened, executor
        self.software, self.proof, self.batch = software, proof, batch
        self.recorder = Recorder(registry, opened.folder, study.name, opened.id, opened.number)
        self.done = Written()
        self._unreachable: list[Unreachable] = []

    def look(self, stage: Stage) -> bool:
        """One pass over the scans that are to do; whether it wrote anything."""
        before = sum(self.done.outcomes.values())
        for answer in self.executor.answers(self._tasks(stage)):
            _same_software(answer, self.software)
            self._write([*answer.processed], stage)
        self._write([], stage)
        return sum(self.done.outcomes.values()) > before

    def _tasks(self, stage: Stage) -> Iterator[Task]:
        works = self._reachable(stage)
        while some := tuple(islice(works, self.batch)):
            yield Task(some, str(self.registry.photos.folder), self.proof)

    def _reachable(self, stage: Stage) -> Iterator[ScanWork]:
        """The scans that can be looked at; the others are put aside, to be written with the next answer."""
        for item in to_do(self.registry, self.study.id, self.opened.id):
            if isinstance(item, ScanWork):
                yield item
                continue
            self._unreachable.append(item)
            if len(self._unreachable) == MOST_ASIDE:
                self._write([], stage)

    def _write(self, processed: list[Processed], stage: Stage) -> None:
        results = [*processed, *self._unreachable]
        self._unreachable.clear()
        if results:
            self.done.add(self.recorder.write(results))
            stage.advance(len(results))


def _same_software(answer: Answer, software: dict[str, str]) -> None:
    """Numbers of other software must not come into one run. (An answer without any is of a scan that was given up.)"""
    if not answer.software or answer.software == software:
        return
    differing = sorted(
        name for name in {*software, *answer.software} if software.get(name) != answer.software.get(name)
    )
    what = ", ".join(f"{name} {answer.software.get(name)} instead of {software.get(name)}" for name in differing)
    raise ModelError(
        f"A worker has other software than the run: {what}.", remedy="Give all workers the same, and run again."
    )


# The run itself -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Opened:
    id: int
    number: int
    folder: Path
    continued: bool


def run_identity(models: RunModels, software: dict[str, str]) -> str:
    """What makes two runs one: the weights, by kind, and the software."""
    content = json.dumps({"weights": models.hashes, "software": software}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _open(
    registry: Registry, study: StudyRecord, models: RunModels, software: dict[str, str], new: bool, stack: ExitStack
) -> _Opened:
    """Find the run to go on with, or register a new one, and claim its folder until the stack is closed."""
    identity = run_identity(models, software)
    with registry.writing() as connection:
        _settle(registry, connection)
        found = None if new else _newest(connection, study.id, identity)
        if found is None:
            last = select(func.coalesce(func.max(Run.number), 0)).where(Run.study_id == study.id)
            number = connection.execute(last).scalar_one() + 1
        else:
            number = found.number
        folder = run_folder(registry, study.name, number)
        if is_worked_on(registry, study.name, number):
            raise StorageError(
                f"Run {number} of '{study.name}' is being worked on by another process.",
                remedy="Wait for it to finish; nothing was changed.",
            )
        stack.enter_context(claim(folder))
        detail = {"checkpoints": models.hashes, "software": software}
        if found is None:
            run_id = connection.execute(
                insert(Run)
                .values(
                    study_id=study.id, number=number, status="running", identity=identity, software=software,
                    started_at=audit.utc_now(),
                )
                .returning(Run.id)
            ).scalar_one()  # fmt: skip
            if models.checkpoint_ids:
                used = [{"run_id": run_id, "checkpoint_id": key} for key in models.checkpoint_ids]
                connection.execute(insert(RunCheckpoint), used)
            audit.append(connection, [audit.Event("start", "run", f"{study.name}#{number}", detail, study.name)])
        else:
            run_id = found.id
            connection.execute(update(Run).where(Run.id == run_id).values(status="running"))
    return _Opened(run_id, number, folder, found is not None)


def _newest(connection: Connection, study_id: int, identity: str) -> Any:
    query = select(Run.id, Run.number).where(Run.study_id == study_id, Run.identity == identity)
    return connection.execute(query.order_by(Run.number.desc()).limit(1)).one_or_none()


def _settle(registry: Registry, connection: Connection) -> None:
    """Remove what runs that were killed have left: files that no row holds, and their folders."""
    for folder in (registry.folder / "runs").glob("*"):
        if folder.is_dir() and abandoned(folder):
            remove_unheld(connection, registry.photos, noted_files(folder))
            shutil.rmtree(folder, ignore_errors=True)


def _close(registry: Registry, study: StudyRecord, opened: _Opened, done: Written) -> None:
    with registry.writing() as connection:
        values = {"status": "finished"}
        finished = select(Run.finished_at).where(Run.id == opened.id)
        if done.outcomes or connection.execute(finished).scalar_one() is None:
            values["finished_at"] = audit.utc_now()
            detail = {"outcomes": outcome_counts(connection, opened.id), "photos_deleted": done.photos_deleted}
            event = audit.Event("finish", "run", f"{study.name}#{opened.number}", detail, study.name)
            audit.append(connection, [event])
        connection.execute(update(Run).where(Run.id == opened.id).values(**values))
    shutil.rmtree(opened.folder, ignore_errors=True)


def _leave(registry: Registry, opened: _Opened) -> None:
    """Say that the run is interrupted, and tidy up. If it is the database that is gone, the next run does that."""
    try:
        with registry.writing(wait_seconds=_WAIT_AT_THE_END) as connection:
            remove_unheld(connection, registry.photos, noted_files(opened.folder))
            connection.execute(update(Run).where(Run.id == opened.id).values(status="interrupted"))
        shutil.rmtree(opened.folder, ignore_errors=True)
    except (StorageError, OSError):
        pass
