"""What becomes of tasks whose workers end: nothing is held against a scan but what happens while it is out alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from scan_study import scan_work, task_of

from studies.runs.queue import WORKER_ENDED, TaskQueue
from studies.runs.work import WorkerEnd


def all_of(queue: TaskQueue) -> list:
    """What can be given out now."""
    return list(iter(queue.next, None))


def test_a_task_is_given_out_again_then_scan_by_scan_then_given_up(tmp_path: Path) -> None:
    whole = task_of(tmp_path, scan_work(1), scan_work(2), scan_work(3))
    queue = TaskQueue(iter([whole]))
    assert queue.ended(queue.next()) is None
    again = queue.next()
    assert (again.scans, again.alone) == (whole.scans, False)
    assert queue.ended(again) is None
    for number in (1, 2, 3):
        for attempt in (1, 2, 3):
            [alone] = all_of(queue)
            assert ([scan.scan_id for scan in alone.scans], alone.alone) == ([number], True)
            answer = queue.ended(alone)
            assert (answer is None) == (attempt < 3)
        assert [(found.work.scan_id, found.indeterminate) for found in answer.processed] == [(number, WORKER_ENDED)]
    assert queue.next() is None


def test_suspects_wait_until_all_others_are_back(tmp_path: Path) -> None:
    queue = TaskQueue(task_of(tmp_path, scan_work(number)) for number in range(5))
    out = all_of(queue)
    assert len(out) == 5
    assert queue.ended(out[0], workers=9) is None
    for task in out[1:4]:
        queue.answered()
        assert queue.next() is None, f"a suspect is out beside {task}"
    queue.untouched(out[4])
    assert queue.next() == out[4]
    assert queue.next() is None
    queue.answered()
    suspect = queue.next()
    assert [scan.scan_id for scan in suspect.scans] == [0]
    queue.untouched(suspect)  # a worker that must be sent the files, or that ended before it began
    assert queue.next() == suspect


def test_many_workers_told_of_at_once_are_one_cause(tmp_path: Path) -> None:
    queue = TaskQueue(iter([task_of(tmp_path, scan_work(1))]))
    assert queue.ended(queue.next(), workers=100) is None
    assert queue.ended(queue.next(), workers=100) is None
    assert queue.ended(queue.next(), workers=100) is not None


def test_the_scan_that_the_worker_was_at_is_blamed_and_no_other(tmp_path: Path) -> None:
    queue = TaskQueue(iter([task_of(tmp_path, *map(scan_work, range(4)))]))
    assert queue.ended(queue.next(), WorkerEnd(at=2)) is None
    others, blamed = all_of(queue)
    assert [scan.scan_id for scan in others.scans] == [0, 1, 3]
    assert [scan.scan_id for scan in blamed.scans] == [2]
    assert (others.deaths, blamed.deaths) == (0, 1)


def test_a_scan_that_takes_too_long_is_tried_again_alone_and_given_up(tmp_path: Path) -> None:
    queue = TaskQueue(iter([task_of(tmp_path, *map(scan_work, range(3)))]))
    assert queue.ended(queue.next(), WorkerEnd(at=1, limit=2.5)) is None
    [others] = all_of(queue)
    assert [scan.scan_id for scan in others.scans] == [0, 2]
    queue.answered()
    [slow] = all_of(queue)
    assert (slow.scans[0].scan_id, slow.alone) == (1, True)
    [given_up] = queue.ended(slow, WorkerEnd(at=1, limit=2.5)).processed
    assert given_up.indeterminate == "it took longer than 2.5 s each time it was processed"
    assert queue.next() is None


def test_a_scan_that_was_slow_once_may_be_so_because_of_others(tmp_path: Path) -> None:
    queue = TaskQueue(iter([task_of(tmp_path, scan_work(1))]))
    assert queue.ended(queue.next(), workers=2) is None
    suspect = queue.next()
    assert suspect.alone
    assert queue.ended(suspect, WorkerEnd(1, 2.5)) is None  # too long for the first time
    assert queue.ended(queue.next(), WorkerEnd(1, 2.5)) is not None


@pytest.mark.parametrize("seed", range(30))
def test_whoever_is_blamed_only_those_that_end_a_worker_alone_are_given_up(tmp_path: Path, seed: int) -> None:
    """Tasks out beside others end at random, whatever is in them; every scan has one answer."""
    chance = random.Random(seed)
    guilty = set(chance.sample(range(30), 3))
    scans = [scan_work(number) for number in range(30)]
    queue = TaskQueue(task_of(tmp_path, *scans[start : start + 4]) for start in range(0, 30, 4))
    out, given_up, done = [], [], []
    while True:
        while len(out) < 4 and (task := queue.next()) is not None:
            out.append(task)
        if not out:
            break
        together = len(out) > 1
        task = out.pop(chance.randrange(len(out)))
        numbers = [scan.scan_id for scan in task.scans]
        if guilty & set(numbers) or (together and chance.random() < 0.4):
            answer = queue.ended(task, workers=chance.choice([1, 4]))
            given_up += [found.work.scan_id for found in answer.processed] if answer else []
        elif chance.random() < 0.2:
            queue.untouched(task)
        else:
            queue.answered()
            done += numbers
    assert set(given_up) == guilty
    assert sorted(given_up + done) == list(range(30))
