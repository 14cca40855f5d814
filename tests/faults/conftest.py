"""A study, a cohort large enough to be disturbed, and processes that ingest it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select, text

from studies.errors import StorageError
from studies.ingest.ingest import ingest
from studies.ingest.mapping import load_mapping
from studies.plan import load_template
from studies.registry import audit
from studies.registry.catalogue import create_study, find_study
from studies.registry.frames import study_frames
from studies.registry.schema import Device, IngestBatch, QuarantinedRow, Reading, Site, Subject, Visit
from studies.registry.workspace import Registry, open_registry
from studies.synthetic import write_large

STUDY = "trial"
SUBJECTS, READINGS_EACH = 1000, 10


@dataclass
class Process:
    """A running `calliper`, started by the launcher."""

    launcher: Launcher
    number: int
    folder: Path
    ended: int | None = None

    def wait(self) -> int:
        """Its exit code, negative for the signal that ended it."""
        if self.ended is None:
            self.ended = int(self.launcher.ask({"wait": self.number}))
        return self.ended

    def signal(self, which: signal.Signals) -> None:
        os.kill(self.number, which)

    @property
    def out(self) -> str:
        return self._said("out")

    @property
    def error(self) -> str:
        return self._said("err")

    def _said(self, where: str) -> str:
        path = self.folder / where
        return path.read_text(encoding="utf-8") if path.is_file() else ""


class Launcher:
    """See launcher.py."""

    def __init__(self, folder: Path):
        self.folder, self._count = folder, 0
        script = Path(__file__).with_name("launcher.py")
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )

    def ask(self, order: dict) -> str:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def start(self, *words: object, workspace: Path, largest_file: int | None = None) -> Process:
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir()
        environment = {"CALLIPER_WORKSPACE": str(workspace), "CALLIPER_ACTOR": "tester"}
        environment["CALLIPER_DATABASE_URL"] = os.environ.get("CALLIPER_DATABASE_URL", "")
        order = {"words": [*map(str, words)], "environment": environment, "folder": str(folder)}
        return Process(self, int(self.ask({**order, "largest_file": largest_file})), folder)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=300)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    made = Launcher(tmp_path_factory.mktemp("processes"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a cohort that takes a while to ingest, some rows of it wrong."""
    folder = tmp_path_factory.mktemp("cohort")
    write_large(folder, SUBJECTS, READINGS_EACH)
    path = folder / "readings.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for row in range(100, len(lines), 1000):
        cells = lines[row].split(",")
        lines[row] = ",".join([*cells[:6], "n/a", *cells[7:]])
    path.write_text("".join(lines), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class State:
    """What a registry holds of the study."""

    subjects: int
    visits: int
    readings: int
    quarantined: int
    batches: int
    sha256: str


def state_of(registry: Registry) -> State:
    """Also checks that the audit trail is whole, and has one event for each batch."""
    with registry.reading() as connection:
        assert audit.first_broken_link(connection) is None
        counts = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (Subject, Visit, Reading, QuarantinedRow, IngestBatch)
        ]
        events = [event for event in audit.newest_events(connection, 1000) if event["action"] == "ingest"]
        assert len(events) == counts[-1]
        if not counts[-1]:
            for table in (Site, Device):
                assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0
        return State(*counts, study_frames(connection, find_study(connection, STUDY).id).sha256)


def batches(registry: Registry) -> int:
    with registry.reading() as connection:
        return connection.execute(select(func.count()).select_from(IngestBatch)).scalar_one()


def assert_no_leftovers(workspace: Path) -> None:
    # A page that was just being written keeps its provisional name for ten minutes.
    assert not [path for path in workspace.rglob("*.partial") if not path.name.startswith(".ingest.html.")]
    assert not list((workspace / "scratch").iterdir())
    # A folder that has not got its name yet stays for ten minutes, empty: it may be someone's.
    hidden = [path for path in workspace.rglob(".*") if not path.name.startswith(".ingest.html.")]
    assert not [path for path in hidden if not path.name.startswith(".claiming-") or any(path.iterdir())]


def writer_is_busy(registry: Registry) -> bool:
    """Whether some process is in its writing transaction just now."""
    try:
        with registry.writing(wait_seconds=0):
            return False
    except StorageError:
        return True


def stopped_within_transaction(process: Process, registry: Registry) -> bool:
    """Stop a process that was seen to write; whether it stands still before its commit, however late that was.

    What a database server does for it just then is waited for.
    """
    process.signal(signal.SIGSTOP)
    if registry.engine.dialect.name == "postgresql":
        active = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid() "
            "AND wait_event_type IS DISTINCT FROM 'Client'"  # in the middle of what the stopped process sends
        )

        def settled() -> bool:
            with registry.engine.connect() as connection:
                return connection.execute(text(active)).scalar_one() == 0

        wait_until(settled)
    return writer_is_busy(registry)


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.001)


@pytest.fixture(scope="session")
def tools() -> SimpleNamespace:
    return SimpleNamespace(
        state_of=state_of,
        batches=batches,
        assert_no_leftovers=assert_no_leftovers,
        writer_is_busy=writer_is_busy,
        stopped_within_transaction=stopped_within_transaction,
        wait_until=wait_until,
    )


@pytest.fixture(scope="session")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "workspace"
    with open_registry(folder, create=True) as registry:
        create_study(registry, STUDY, load_template("blank"))
    return folder


@pytest.fixture(scope="session")
def undisturbed(_prepared: Path, cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> State:
    """What the registry holds when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed") / "workspace"
    shutil.copytree(_prepared, folder)
    with open_registry(folder) as registry:
        ingest(registry, STUDY, [cohort], load_mapping("calliper"))
        state = state_of(registry)
    assert (state.subjects, state.quarantined) == (SUBJECTS, SUBJECTS * READINGS_EACH // 1000)
    assert state.readings == SUBJECTS * READINGS_EACH - state.quarantined
    return state


@pytest.fixture
def study(registry: Registry) -> Registry:
    """An empty study, on SQLite and on PostgreSQL in turn."""
    create_study(registry, STUDY, load_template("blank"))
    return registry


@pytest.fixture
def workspace(_prepared: Path, tmp_path: Path) -> Path:
    """A workspace on SQLite with an empty study."""
    return Path(shutil.copytree(_prepared, tmp_path / "workspace"))
