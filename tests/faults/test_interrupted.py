"""Interrupted, without room, or without a database: a clear message, and nothing half written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from studies.registry.workspace import open_registry

WAITING = "Another process is writing to this registry; waiting for it to finish ...\n"


@pytest.mark.parametrize("moment", ["at the start", "while reading", "within the transaction"])
def test_interrupted_by_the_user(study, launcher, cohort, undisturbed, tools, moment: str) -> None:
    empty = tools.state_of(study)
    process = launcher.start("ingest", "trial", cohort, workspace=study.folder)
    if moment == "within the transaction":
        tools.wait_until(lambda: tools.writer_is_busy(study))
    elif moment == "while reading":
        tools.wait_until(lambda: (study.folder / "scratch").is_dir() and any((study.folder / "scratch").iterdir()))
        time.sleep(0.2)  # any moment will do
    process.signal(signal.SIGSTOP)
    in_time = tools.batches(study) == 0
    process.signal(signal.SIGINT)
    process.signal(signal.SIGCONT)
    code = process.wait()
    # On a busy machine the interruption can come when all is written already; then all must be.
    if in_time or code == 130:
        assert code == 130, process.error
        # The question whether a writer is busy may itself have made it wait for a moment.
        assert process.error.removeprefix(WAITING) == "Interrupted. Nothing was half written.\n"
    else:
        assert code == 3, process.error
    assert tools.state_of(study) in ((empty, undisturbed) if in_time else (undisturbed,))
    assert launcher.start("ingest", "trial", cohort, workspace=study.folder).wait() == 3
    assert tools.state_of(study) == undisturbed
    tools.assert_no_leftovers(study.folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("only root, and not in every container, may mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("left", [0.05, 0.3, 0.6, 1.2])
def test_a_full_disk(small_disk: Path, workspace: Path, launcher, cohort, tools, left: float) -> None:
    """`left`: MB that are free when the ingest begins; it ends at another step with each."""
    workspace = Path(shutil.copytree(workspace, small_disk / "workspace"))
    status = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(b"x" * int(status.f_bavail * status.f_frsize - left * 1e6))
    process = launcher.start("ingest", "trial", cohort, workspace=workspace)
    assert process.wait() == 5, process.out + process.error
    assert process.error.startswith("Error: ")
    assert "disk" in process.error
    assert "Traceback" not in process.error
    (small_disk / "ballast").unlink()
    (small_disk / "ballast").write_bytes(b"")
    with open_registry(workspace) as registry:
        assert tools.state_of(registry).batches == 0
    assert not list((workspace / "ingests").iterdir())


@pytest.mark.parametrize("largest", [20_000, 300_000, 700_000, 1_500_000])
def test_a_file_that_may_not_grow(workspace: Path, launcher, cohort, tools, undisturbed, largest: int) -> None:
    """As a full disk, on every machine: no file may grow beyond `largest` bytes."""
    process = launcher.start("ingest", "trial", cohort, workspace=workspace, largest_file=largest)
    assert process.wait() == 5, process.out + process.error
    assert process.error.startswith("Error: ")
    assert "disk" in process.error
    assert (
        "the registry was not changed" in process.error.lower() or "nothing was half written" in process.error.lower()
    )
    assert "Traceback" not in process.error
    with open_registry(workspace) as registry:
        assert tools.state_of(registry).batches == 0
        assert not list(registry.ingests.iterdir())
        assert launcher.start("ingest", "trial", cohort, workspace=workspace).wait() == 3
        assert tools.state_of(registry) == undisturbed
    tools.assert_no_leftovers(workspace)


@pytest.mark.parametrize("database_engine", ["postgresql"], indirect=True)
def test_the_database_goes_away(study, launcher, cohort, undisturbed, tools) -> None:
    process = launcher.start("ingest", "trial", cohort, workspace=study.folder)
    tools.wait_until(lambda: tools.writer_is_busy(study))
    assert tools.stopped_within_transaction(process, study)
    with study.engine.connect() as connection:
        ended = connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
            )
        ).all()
    assert ended
    process.signal(signal.SIGCONT)
    assert process.wait() == 5, process.error
    assert "could not be used" in process.error
    assert "Check that the server runs" in process.error
    assert "Traceback" not in process.error
    assert tools.state_of(study).batches == 0
    assert launcher.start("ingest", "trial", cohort, workspace=study.folder).wait() == 3
    assert tools.state_of(study) == undisturbed
    tools.assert_no_leftovers(study.folder)
