"""What workers do with a task, whether or not they see the run's files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from scan_study import scan_work, source, task_of

from studies.photos import PhotoStore
from studies.runs import hosting, worker


@pytest.fixture(autouse=True)
def _nobody_stays():
    yield
    hosting.dismiss()


def test_a_worker_elsewhere_asks_for_the_files_and_makes_the_same_of_them(tmp_path: Path) -> None:
    photo = b"photo of one"
    work = scan_work(1, photo)
    PhotoStore(tmp_path / "photos").put_content(work.photos["front"], photo)
    here = task_of(tmp_path, work, scan_work(2))
    first = hosting.do_on_cluster(source(shift=1), here, 60.0)
    assert not first.elsewhere
    assert first.processed[1].unreachable is not None
    (tmp_path / "proof").unlink()
    assert hosting.do_on_cluster(source(shift=1), here, 60.0).elsewhere
    sent = hosting.do_on_cluster(source(shift=1), here, 60.0, {work.photos["front"]: photo}, {"shift": {"1": b"1"}})
    assert [(found.predictions, found.unreachable) for found in sent.processed] == [
        (found.predictions, found.unreachable) for found in first.processed
    ]


def test_silhouettes_travel_only_where_they_are_wanted(tmp_path: Path) -> None:
    from dataclasses import replace

    photo = b"photo of one"
    work = scan_work(1, photo)
    PhotoStore(tmp_path / "photos").put_content(work.photos["front"], photo)
    kept, dropped = (
        worker.Workbench(source()).do(task_of(tmp_path, work, replace(work, scan_id=2, keep=False))).processed
    )
    assert set(kept.silhouettes) == {"front"}
    assert dropped.silhouettes == {}
    assert kept.predictions == dropped.predictions


IN_ANY_THREAD = """
import os, threading
import cv2, numba, numpy as np, torch
from threadpoolctl import threadpool_info
from studies.runs.worker import one_thread

@numba.njit(parallel=True)
def total(values):
    found = 0.0
    for i in numba.prange(len(values)):
        found += values[i]
    return found

def counts():
    one_thread()
    total(np.ones(1000))  # which starts numba's threads
    print(cv2.getNumThreads(), numba.get_num_threads(), torch.get_num_threads(),
        *{pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})

counts()
thread = threading.Thread(target=counts)
thread.start()
thread.join()
"""


def test_a_worker_has_one_thread_whatever_its_libraries_do_to_each_other() -> None:
    done = subprocess.run([sys.executable, "-c", IN_ANY_THREAD], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"] * 8
