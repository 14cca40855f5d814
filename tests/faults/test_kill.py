"""An ingest that is killed at any moment left nothing or everything, and the next one makes it whole."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest


@pytest.fixture(scope="session")
def seconds(launcher, cohort, _prepared, tmp_path_factory) -> float:
    """How long an undisturbed ingest takes, as a process."""
    import shutil

    folder = tmp_path_factory.mktemp("measured") / "workspace"
    shutil.copytree(_prepared, folder)
    started = time.monotonic()
    assert launcher.start("ingest", "trial", cohort, workspace=folder).wait() == 3  # rows are refused
    return time.monotonic() - started


def kill_and_check(study, launcher, cohort, undisturbed, tools, moment) -> bool:
    """Start an ingest, kill it when `moment(process)` returns, check all; whether it had been committed."""
    empty = tools.state_of(study)
    process = launcher.start("ingest", "trial", cohort, workspace=study.folder)
    moment(process)
    process.signal(signal.SIGKILL)
    ended = process.wait()
    assert ended in (-signal.SIGKILL, 3), process.error
    # A database server may still carry out what the killed process had asked of it, a commit for instance.
    tools.wait_until(lambda: not tools.writer_is_busy(study))

    left = tools.state_of(study)
    assert left in (empty, undisturbed)

    again = launcher.start("ingest", "trial", cohort, workspace=study.folder)
    assert again.wait() == 3, again.error
    settled = tools.state_of(study)
    batches = 1 + (left == undisturbed)
    assert settled.batches == batches
    assert {**vars(settled), "batches": 1} == vars(undisturbed)
    tools.assert_no_leftovers(study.folder)
    named = sorted(path.name for path in study.ingests.iterdir() if not path.name.startswith("."))
    assert named == [f"trial-{i + 1}" for i in range(batches)]
    return left == undisturbed


@pytest.mark.parametrize("fraction", np.random.default_rng(20240312).uniform(0.15, 1.05, size=3).round(2))
def test_killed_at_some_moment(study, launcher, cohort, undisturbed, tools, seconds, fraction: float) -> None:
    kill_and_check(study, launcher, cohort, undisturbed, tools, lambda _: time.sleep(fraction * seconds))


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_killed_within_the_transaction(study, launcher, cohort, undisturbed, tools, delay: float) -> None:
    within = []

    def moment(process) -> None:
        tools.wait_until(lambda: tools.writer_is_busy(study))
        time.sleep(delay)
        within.append(tools.stopped_within_transaction(process, study))

    committed = kill_and_check(study, launcher, cohort, undisturbed, tools, moment)
    assert committed != within[0]  # on a busy machine it can have committed before it was stopped


def test_killed_between_the_commit_and_the_report(study, launcher, cohort, undisturbed, tools) -> None:
    """The batch is there, and the next ingest gives its report the name it waits for."""

    def moment(_) -> None:
        tools.wait_until(lambda: tools.batches(study) == 1)

    assert kill_and_check(study, launcher, cohort, undisturbed, tools, moment)


@pytest.mark.slow
@pytest.mark.parametrize("fraction", np.random.default_rng(7).uniform(0.05, 1.1, size=30).round(3))
def test_killed_at_thirty_moments(study, launcher, cohort, undisturbed, tools, seconds, fraction: float) -> None:
    kill_and_check(study, launcher, cohort, undisturbed, tools, lambda _: time.sleep(fraction * seconds))


def test_what_never_got_its_name_goes_after_ten_minutes(study, launcher, cohort) -> None:
    study.ingests.mkdir(exist_ok=True)
    old, young = (study.ingests / f".claiming-{name}" for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
    earlier = study.ingests / "trial-0"
    earlier.mkdir()
    old_page, young_page = (earlier / f".ingest.html.{name}.partial" for name in ("01", "02"))
    for page in (old_page, young_page):
        page.write_text("half")
    for path in (old, old_page):
        os.utime(path, (time.time() - 601,) * 2)
    assert launcher.start("ingest", "trial", cohort, workspace=study.folder).wait() == 3
    assert [path.exists() for path in (old, young, old_page, young_page)] == [False, True, False, True]
