"""Work in several processes."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time

import pytest

from studies.errors import StorageError, UsageError
from studies.rendering.workers import in_order, usable_cores


def test_results_come_in_the_order_of_the_tasks_whoever_does_them() -> None:
    tasks = [float(n) for n in range(40)]
    assert list(in_order(math.sqrt, tasks, workers=2)) == list(in_order(math.sqrt, tasks, workers=1))


def test_tasks_are_taken_as_they_are_needed() -> None:
    taken = []

    def tasks():
        for n in range(1_000):
            taken.append(n)
            yield float(n)

    results = in_order(math.sqrt, tasks(), workers=2)
    assert next(results) == 0.0
    assert len(taken) < 20
    results.close()


def test_an_error_of_a_task_is_raised_when_it_is_its_turn() -> None:
    results = in_order(math.sqrt, [4.0, -1.0, 9.0], workers=2)
    assert next(results) == 2.0
    with pytest.raises(ValueError, match="math domain"):
        next(results)


def test_a_worker_that_is_ended_from_outside_is_told() -> None:
    with pytest.raises(StorageError, match="ended from outside"):
        list(in_order(os._exit, [1, 1], workers=2))


@pytest.mark.parametrize("workers", [0, -1])
def test_less_than_one_worker_is_refused(workers: int) -> None:
    with pytest.raises(UsageError, match="at least one"):
        next(in_order(math.sqrt, [1.0], workers=workers))


def test_cores_are_those_that_may_be_used() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


PARENT = """
import time
from studies.rendering.workers import in_order
for _ in in_order(time.sleep, [0.0] * 4 + [600.0] * 4, workers=2):
    print("began", flush=True)
"""


def test_no_worker_outlives_a_parent_that_was_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "began\n"
    workers = _children(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 300
    while any(os.path.exists(f"/proc/{worker}/exe") for worker in workers):
        assert time.monotonic() < deadline, "a worker goes on"
        time.sleep(0.05)


def _children(parent: int) -> list[int]:
    with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
        return [int(number) for number in file.read().split()]
