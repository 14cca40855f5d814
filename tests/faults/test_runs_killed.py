"""A run whose process or workers are killed at any moment ends, when it is called again, as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runs_support"))

from scan_study import ScanStudy
from small_checkpoints import bright_person, write_small

from studies.registry.schema import Outcome, Run
from studies.registry.workspace import Registry, open_registry

SUPPORT = Path(__file__).resolve().parents[1] / "runs_support"
SCANS = 30
DELAY = 0.02
MARKS = {4: b"NO PERSON", 9: b"RAISES", 14: b"NOT A NUMBER"}
CONSENTS = ("photos", "silhouettes", "none")
DONE = f"finished: {SCANS} outcomes, 0 remaining\n"


def photo(number: int, view: str) -> bytes:
    return MARKS.get(number, b"") + f"photo of {number}, {view}".encode()


def scan_study(registry: Registry) -> ScanStudy:
    return ScanStudy(registry, SCANS, consents=CONSENTS, photo=photo)


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(tmp_path / "workspace", create=True) as opened:
        yield opened


@contextmanager
def fresh_sqlite(folder: Path) -> Iterator[Registry]:
    """A registry on SQLite, also while a test on the other database goes on."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("CALLIPER_DATABASE_URL", raising=False)
        with open_registry(folder / "workspace", create=True) as opened:
            yield opened


@dataclass(frozen=True)
class Undisturbed:
    outcomes: dict[str, tuple[Any, ...]]
    files: set[str]


@pytest.fixture(scope="session")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """What a run leaves when nobody kills it."""
    with fresh_sqlite(tmp_path_factory.mktemp("unharmed")) as opened:
        study = scan_study(opened)
        study.run()
        return Undisturbed(study.outcomes(), study.files())


class RunProcess:
    """`run_scans.py`, and whatever it starts, all of which carry its mark.

    upto: how many scans it may process until `go_on`, so that it waits there, however busy the machine is.
    checkpoints: of the real pipeline, by kind, instead of the one in miniature.
    """

    def __init__(
        self,
        registry: Registry,
        engine: str,
        delay: float = DELAY,
        upto: int = SCANS,
        checkpoints: Mapping[str, Path] | None = None,
    ):
        self.mark = uuid.uuid4().hex
        self.gate = registry.folder.parent / f"gate {self.mark}"
        self.go_on(upto)
        self.process = subprocess.Popen(
            [
                sys.executable, SUPPORT / "run_scans.py", registry.folder, engine, str(delay), self.gate,
                *(f"{kind}={path}" for kind, path in (checkpoints or {}).items()),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "CALLIPER_TEST_MARK": self.mark},
        )  # fmt: skip

    def go_on(self, upto: int) -> None:
        fresh = self.gate.with_suffix(".new")
        fresh.write_text(str(upto))
        fresh.replace(self.gate)

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> tuple[int, str]:
        out, error = self.process.communicate(timeout=600)
        return self.process.returncode, out if self.process.returncode == 0 else out + error

    def others(self) -> list[int]:
        """The processes that it has started, and theirs."""
        return [number for number in marked_processes(self.mark) if number != self.process.pid]

    def workers(self) -> list[int]:
        return [number for number in self.others() if b"studies.runs.worker" in read(f"/proc/{number}/cmdline")]


def read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def marked_processes(mark: str) -> list[int]:
    wanted = f"CALLIPER_TEST_MARK={mark}".encode()
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [number for number in numbers if wanted in read(f"/proc/{number}/environ").split(b"\0")]


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def seconds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """How long an undisturbed run takes as a process, by engine; measured when first asked for."""

    class Measured(dict):
        def __missing__(self, engine: str) -> float:
            with fresh_sqlite(tmp_path_factory.mktemp("measured")) as opened:
                scan_study(opened)
                started = time.monotonic()
                assert RunProcess(opened, engine).end() == (0, DONE)
                self[engine] = time.monotonic() - started
            return self[engine]

    return Measured()


def check_what_is_left(study: ScanStudy, unharmed: Undisturbed) -> int:
    """After a kill: whatever is there is whole and as it should be. How many outcomes there are."""
    if not study.rows(Run):
        return 0
    left = study.outcomes()
    assert left.items() <= unharmed.outcomes.items()
    assert study.held() <= study.files()
    return len(left)


def check_the_end(study: ScanStudy, unharmed: Undisturbed) -> None:
    assert [row.status for row in study.rows(Run)] == ["finished"]
    assert study.outcomes() == unharmed.outcomes
    assert study.files() == unharmed.files
    study.assert_tidy()


def kill_and_go_on(registry: Registry, unharmed: Undisturbed, engine: str, moments: list[float]) -> None:
    study = scan_study(registry)
    for moment in moments:
        process = RunProcess(registry, engine)
        time.sleep(moment)
        process.kill()
        check_what_is_left(study, unharmed)
        wait_until(lambda process=process: not process.others())  # a run that is gone leaves no worker behind
    assert RunProcess(registry, engine, 0).end() == (0, DONE)
    check_the_end(study, unharmed)


@pytest.mark.parametrize("fraction", [0.45, 0.65, 0.85])
def test_killed_at_some_moment(on_sqlite, unharmed, seconds, fraction: float) -> None:
    kill_and_go_on(on_sqlite, unharmed, "local", [fraction * seconds["local"]])


def test_killed_again_and_again(registry, unharmed, seconds) -> None:
    kill_and_go_on(registry, unharmed, "local", [fraction * seconds["local"] for fraction in (0.6, 0.5, 0.7)])


def test_killed_as_soon_as_something_is_written(on_sqlite, unharmed) -> None:
    study = scan_study(on_sqlite)
    process = RunProcess(on_sqlite, "local", upto=10)
    wait_until(lambda: bool(study.rows(Run)) and len(study.outcomes()) > 0)
    process.kill()
    assert 0 < check_what_is_left(study, unharmed) < SCANS
    assert RunProcess(on_sqlite, "local", 0).end() == (0, DONE)
    check_the_end(study, unharmed)


@pytest.mark.parametrize("engine", ["local", "dask"])
def test_workers_are_killed_while_it_runs(on_sqlite, unharmed, engine: str) -> None:
    """The run itself goes on, with other workers in their place."""
    study = scan_study(on_sqlite)
    process = RunProcess(on_sqlite, engine, upto=2)
    for done, more in ((2, 10), (10, 20), (20, SCANS)):
        wait_until(lambda done=done: bool(study.rows(Run)) and len(study.outcomes()) >= done)
        find = process.workers if engine == "local" else lambda: dask_workers(process)
        wait_until(lambda find=find: bool(find()))
        os.kill(find()[-1], signal.SIGKILL)
        process.go_on(more)
    assert process.end() == (0, DONE)
    check_the_end(study, unharmed)


def dask_workers(process: RunProcess) -> list[int]:
    """Dask's worker processes: of what the run has started, all but the helpers of multiprocessing itself."""
    return [number for number in process.others() if b"spawn_main" in read(f"/proc/{number}/cmdline")]


def test_interrupted_from_the_keyboard(on_sqlite, unharmed) -> None:
    study = scan_study(on_sqlite)
    process = RunProcess(on_sqlite, "local", upto=10)
    wait_until(lambda: bool(study.rows(Run)) and len(study.outcomes()) > 3)
    process.process.send_signal(signal.SIGINT)
    code, said = process.end()
    assert code != 0
    assert "InterruptedRun" in said
    assert [row.status for row in study.rows(Run)] == ["interrupted"]
    study.assert_tidy()
    assert RunProcess(on_sqlite, "local", 0).end() == (0, DONE)
    check_the_end(study, unharmed)


@pytest.mark.slow
@pytest.mark.parametrize("fraction", np.random.default_rng(11).uniform(0.05, 1.05, size=20).round(3))
def test_killed_at_twenty_moments(registry, unharmed, seconds, fraction: float) -> None:
    kill_and_go_on(registry, unharmed, "local", [fraction * seconds["local"]])


@pytest.mark.slow
@pytest.mark.parametrize("fraction", np.random.default_rng(12).uniform(0.5, 1.05, size=5).round(3))
def test_killed_on_dask(registry, unharmed, seconds, fraction: float) -> None:
    kill_and_go_on(registry, unharmed, "dask", [fraction * seconds["dask"]])


# With real networks ---------------------------------------------------------------------------------------------------

PEOPLE = 24
NOBODY = 7  # of whom there is no one to be seen


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("networks")
    return {kind: write_small(folder, kind) for kind in ("segmenter", "avatar", "estimator")}


def people_study(registry: Registry) -> ScanStudy:
    return ScanStudy(
        registry, PEOPLE, consents=CONSENTS, photo=lambda n, view: bright_person(-n if n == NOBODY else n, view)
    )


@pytest.fixture(scope="session")
def unharmed_people(tmp_path_factory: pytest.TempPathFactory, networks: dict[str, Path]) -> Undisturbed:
    """What a run with real networks leaves when nobody kills it: all but one scan have their numbers."""
    with fresh_sqlite(tmp_path_factory.mktemp("unharmed people")) as opened:
        study = people_study(opened)
        assert RunProcess(opened, "local", upto=PEOPLE, checkpoints=networks).end() == (0, done(PEOPLE))
        found = Undisturbed(study.outcomes(), study.files())
    predicted = {measurand for outcome in found.outcomes.values() for measurand, *_ in outcome[-1]}
    assert {"body_fat_percent", "waist_cm"} <= predicted
    assert [outcome[0] for outcome in found.outcomes.values()].count("determinate") == PEOPLE - 1
    return found


def done(scans: int) -> str:
    return f"finished: {scans} outcomes, 0 remaining\n"


def kill_at_each(
    registry: Registry, unharmed: Undisturbed, networks: dict[str, Path], engine: str, halts: list[int]
) -> None:
    """Kill a run again and again, each time in the middle of its work: it may come to `halt` scans, has written some
    that were not there before, and may be writing the next.
    """
    study = people_study(registry)
    written = 0
    for halt in halts:
        process = RunProcess(registry, engine, upto=halt, checkpoints=networks)
        some = max(written + 1, halt - 1)
        wait_until(lambda some=some: len(study.rows(Outcome)) >= some)
        assert process.process.poll() is None
        process.kill()
        wait_until(lambda process=process: not process.others())
        left = check_what_is_left(study, unharmed)
        assert written <= left <= halt < PEOPLE  # nothing is lost, nothing is done that was not to be
        written = left
    assert RunProcess(registry, engine, upto=PEOPLE, checkpoints=networks).end() == (0, done(PEOPLE))
    check_the_end(study, unharmed)


def test_killed_with_real_networks(on_sqlite, unharmed_people, networks) -> None:
    kill_at_each(on_sqlite, unharmed_people, networks, "local", [9])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "dask"])
def test_killed_again_with_real_networks_on_both_databases(registry, unharmed_people, networks, engine: str) -> None:
    kill_at_each(registry, unharmed_people, networks, engine, [5, 14])


@pytest.mark.slow
def test_killed_twenty_times_with_real_networks(on_sqlite, unharmed_people, networks) -> None:
    halts = np.sort(np.random.default_rng(13).choice(np.arange(1, PEOPLE), size=20, replace=False))
    kill_at_each(on_sqlite, unharmed_people, networks, "local", [int(halt) for halt in halts])


@pytest.mark.parametrize("engine", ["local", pytest.param("dask", marks=pytest.mark.slow)])
def test_workers_are_killed_with_real_networks(on_sqlite, unharmed_people, networks, engine: str) -> None:
    study = people_study(on_sqlite)
    process = RunProcess(on_sqlite, engine, upto=2, checkpoints=networks)
    for reached, more in ((2, 12), (12, PEOPLE)):
        wait_until(lambda reached=reached: bool(study.rows(Run)) and len(study.rows(Outcome)) >= reached)
        find = process.workers if engine == "local" else lambda: dask_workers(process)
        wait_until(lambda find=find: bool(find()))
        os.kill(find()[-1], signal.SIGKILL)
        process.go_on(more)
    assert process.end() == (0, done(PEOPLE))
    check_the_end(study, unharmed_people)
