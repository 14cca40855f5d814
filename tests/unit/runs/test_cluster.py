"""The Dask engine: the same numbers as the local one, whatever happens to its workers."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from scan_study import HERE, STUDY, ScanStudy, source

from studies.errors import UsageError
from studies.photos import PhotoStore
from studies.registry.schema import Run
from studies.runs.run import RunModels, run
from studies.runs.work import ScanWork, Task

pytest.importorskip("distributed", reason="needs Dask: pip install 'calliper[dask]'")

import dask
from distributed import Client, LocalCluster

from studies.runs import cluster
from studies.runs.cluster import DaskExecutor


@pytest.fixture(scope="module")
def cluster_of_two() -> Iterator[str]:
    """The address of a cluster of two worker processes, whose files are this machine's."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, before]))
    tries = dask.config.set({"distributed.scheduler.allowed-failures": 1})  # each takes seconds
    with tries, LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50,
    ) as started:  # fmt: skip
        yield started.scheduler_address
    os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


@pytest.fixture
def scheduler(cluster_of_two: str) -> str:
    """The same when both workers are there, whatever a test before has done to them."""
    with Client(cluster_of_two, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=300)
    return cluster_of_two


def test_a_cluster_gives_the_same_numbers(store, scheduler: str) -> None:
    marks = {3: b"NO PERSON", 5: b"RAISES"}
    study = ScanStudy(
        store, 14, consents=("photos", "silhouettes"),
        photo=lambda number, view: marks.get(number, b"") + f"{number} {view}".encode(),
    )  # fmt: skip
    result = run(store, STUDY, RunModels(), DaskExecutor(source(), 9, scheduler), batch=3)
    assert (result.engine, result.workers, result.outcomes["determinate"]) == ("dask", 2, 12)
    study.run(new=True)
    assert study.outcomes(1) == study.outcomes(2)
    study.assert_tidy()


def test_a_worker_of_the_cluster_is_killed(store, scheduler: str) -> None:
    study = ScanStudy(store, 16)

    class Killing(DaskExecutor):
        def answers(self, tasks):
            for place, answer in enumerate(super().answers(tasks)):
                if place == 2:
                    with Client(scheduler, set_as_default=False) as client:
                        victim = next(iter(client.run(os.getpid).values()))
                    os.kill(victim, signal.SIGKILL)
                yield answer

    result = run(store, STUDY, RunModels(), Killing(source(delay=0.02), 2, scheduler), batch=2)
    assert result.outcomes == {"determinate": 16, "indeterminate": 0, "unreachable": 0}
    study.run(new=True)
    assert study.outcomes(1) == study.outcomes(2)


def test_a_scan_that_ends_every_worker_is_given_up(store, scheduler: str) -> None:
    ScanStudy(
        store, 3, photo=lambda number, view: (b"ENDS ITS WORKER" if number == 1 else b"") + f"{number}{view}".encode()
    )
    with Client(scheduler, set_as_default=False) as client:
        before = client.run(os.getpid)
    result = run(store, STUDY, RunModels(), DaskExecutor(source(), 2, scheduler), batch=4)
    assert result.outcomes == {"determinate": 2, "indeterminate": 1, "unreachable": 0}
    assert "the worker process ended" in result.reasons[0]["reason"]
    with Client(scheduler, set_as_default=False) as client:
        assert client.run(os.getpid) == before, "it ended a worker of the cluster"


def test_a_scan_that_hangs_is_given_up(store, scheduler: str) -> None:
    study = ScanStudy(
        store, 4, photo=lambda number, view: (b"HANGS" if number == 2 else b"") + f"{number}{view}".encode()
    )
    result = run(store, STUDY, RunModels(), DaskExecutor(source(), 2, scheduler, scan_seconds=1), batch=4)
    assert result.outcomes == {"determinate": 3, "indeterminate": 1, "unreachable": 0}
    assert study.outcomes()["S0002"][1] == "it took longer than 1 s each time it was processed"


def test_workers_on_another_file_system_are_sent_what_they_need(tmp_path: Path, scheduler: str) -> None:
    """The proof is a file that nobody has, as if the workers were on another machine."""
    shift = tmp_path / "shift.txt"
    shift.write_text("2.5")
    contents = [f"photo {number}".encode() for number in range(5)]
    files = [(hashlib.sha256(content).hexdigest(), "image/jpeg") for content in contents]
    store = PhotoStore(tmp_path / "photos")
    for file, content in zip(files[:4], contents[:4], strict=True):
        store.put_content(file, content)
    nobody = dict.fromkeys(("stature_cm", "weight_kg", "age", "sex"))
    works = [ScanWork(number, {"front": file}, {}, nobody, keep=False) for number, file in enumerate(files)]
    tasks = [Task((work,), str(store.folder), str(tmp_path / "proof")) for work in works]
    with DaskExecutor(source(shift=shift), 2, scheduler) as executor:
        executor.software(Task((), str(store.folder), str(tmp_path / "proof")))
        elsewhere = {
            found.work.scan_id: found for answer in executor.answers(iter(tasks)) for found in answer.processed
        }
    (tmp_path / "proof").touch()
    with DaskExecutor(source(shift=shift), 2, scheduler) as executor:
        here = {found.work.scan_id: found for answer in executor.answers(iter(tasks)) for found in answer.processed}
    assert elsewhere == here
    assert "missing from the photo store" in here[4].unreachable
    assert all(here[number].predictions["body_fat_percent"]["value"] >= 12.5 for number in range(4))


def test_nobody_answers(store, monkeypatch) -> None:
    study = ScanStudy(store, 1)
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(UsageError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:1\."):
        run(store, STUDY, RunModels(), DaskExecutor(source(), 2, "tcp://127.0.0.1:1"))
    assert study.rows(Run) == []
