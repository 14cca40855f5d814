"""Reports, signatures and bundles are there whole and registered, or not at all, whatever happens meanwhile."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

SUPPORT = Path(__file__).resolve().parents[1] / "signing_support"
sys.path.insert(0, str(SUPPORT))
import signed_study  # noqa: E402

from reports import files as files_module  # noqa: E402
from reports.archive import bundle_report  # noqa: E402
from reports.signing import sign_report, signatures_of  # noqa: E402
from reports.verification import verify  # noqa: E402
from studies.errors import StorageError  # noqa: E402
from studies.registry import audit  # noqa: E402
from studies.registry.reports import find_report, list_reports  # noqa: E402
from studies.registry.workspace import Registry, open_registry  # noqa: E402

SIGN = {"name": "A. Signer", "role": "Reader", "meaning": "author", "reason": "read"}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with patch.dict(os.environ, {"CALLIPER_ACTOR": "tester"}):
        os.environ.pop("CALLIPER_DATABASE_URL", None)
        return signed_study.workspace_with_report(tmp_path_factory.mktemp("made"))


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "workspace")
    return tmp_path / "workspace"


@pytest.fixture
def registry(workspace: Path) -> Iterator[Registry]:
    with open_registry(workspace) as opened:
        yield opened


def state(registry: Registry) -> tuple:
    """Reports, signatures and events of the registry."""
    with registry.reading() as connection:
        assert audit.first_broken_link(connection) is None
        records = list_reports(connection)
        signed = {record.name: len(signatures_of(connection, record)) for record in records}
        return signed, audit.count_events(connection)


def assert_whole(registry: Registry) -> None:
    """Every registered report is as it was registered, and nothing half made lies about."""
    with registry.reading() as connection:
        records = list_reports(connection)
        signed = {record.name: len(signatures_of(connection, record)) for record in records}
    for record in records:
        folder = record.folder(registry)
        for item in record.files:
            found = verify(folder / item["name"], registry, recompute=False)
            assert not found.failed, found.findings
        for number in range(1, signed[record.name] + 1):
            found = verify(folder / f"signatures-{number}.pdf", registry, recompute=False)
            assert not found.failed, found.findings
        assert not list(folder.glob("*.partial"))


# A full disk ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch):
    """`full_disk(after=n)`: the disk is full after n more bytes of files."""
    write = files_module._write_through

    def fill(after: int) -> None:
        left = [after]

        def writing(path: Path, data: bytes) -> None:
            if len(data) > left[0]:
                path.write_bytes(data[: left[0]])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            left[0] -= len(data)
            write(path, data)

        monkeypatch.setattr(files_module, "_write_through", writing)

    return fill


@pytest.mark.parametrize("after", [0, 20_000, 300_000])
def test_a_full_disk_leaves_no_report(registry, full_disk, after) -> None:
    before = state(registry)
    full_disk(after)
    with pytest.raises(StorageError, match="No space left"):
        signed_study.make_report(registry)
    assert state(registry) == before
    assert sorted(path.name for path in registry.reports.iterdir()) == ["trial-1"]


@pytest.mark.parametrize("after", [0, 8_000, 30_000])
def test_a_full_disk_leaves_no_signature(registry, full_disk, after) -> None:
    before, files = state(registry), sorted(path.name for path in (registry.reports / "trial-1").iterdir())
    full_disk(after)
    with pytest.raises(StorageError, match="No space left"):
        sign_report(registry, "trial/1", **SIGN)
    assert state(registry) == before
    assert sorted(path.name for path in (registry.reports / "trial-1").iterdir()) == files


def test_a_full_disk_leaves_no_bundle(registry, full_disk, tmp_path) -> None:
    before = state(registry)
    full_disk(1000)
    with pytest.raises(StorageError, match="No space left"):
        bundle_report(registry, "trial/1", tmp_path / "b.zip")
    assert state(registry) == before
    assert not list(tmp_path.glob("*.zip")) + list(tmp_path.glob(".*"))


def test_a_bundle_never_replaces_another_by_half(registry, full_disk, tmp_path) -> None:
    bundle_report(registry, "trial/1", tmp_path / "b.zip")
    before = (tmp_path / "b.zip").read_bytes()
    full_disk(1000)
    with pytest.raises(StorageError):
        bundle_report(registry, "trial/1", tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == before


def test_a_database_that_fails_at_the_end_leaves_nothing(registry, monkeypatch) -> None:
    """The folder has its name by then; the next report takes the number."""
    before = state(registry)
    with monkeypatch.context() as broken:
        broken.setattr("reports.registered.os.replace", _then_fail(os.replace))
        with pytest.raises(StorageError, match="fails"):
            signed_study.make_report(registry)
    assert state(registry) == before
    signed_study.make_report(registry)
    assert state(registry)[0] == {"trial/1": 0, "trial/2": 0}
    assert_whole(registry)


def _then_fail(do):
    def doing(*words):
        do(*words)
        raise StorageError("The database fails.")

    return doing


# Killed, and several at once ------------------------------------------------------------------------------------------


class Acts:
    """See tests/signing_support/act.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, SUPPORT / "act.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path.cwd(),
        )

    def _ask(self, **order: object) -> int:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, workspace: Path, what: str, out: Path) -> int:
        """Begin an act; the number of its process."""
        return self._ask(act=what, workspace=str(workspace), out=str(out))

    def wait(self, number: int) -> int:
        """The exit status of an act, negative for a signal."""
        return self._ask(wait=number)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def acts() -> Iterator[Acts]:
    made = Acts()
    yield made
    made.close()


@pytest.mark.parametrize("what", ["report", "sign", "bundle"])
def test_killed_while_writing(workspace, acts, tmp_path, what) -> None:
    """Killed at moments spread over the act; what is there is whole, and the next act goes through."""
    out = tmp_path / "b.zip"
    for delay in np.random.default_rng(3).uniform(0.05, 1.5, size=3):
        number = acts.start(workspace, what, out)
        time.sleep(float(delay))
        os.kill(number, signal.SIGKILL)  # an act that is over is a zombie, which this leaves as it is
        assert acts.wait(number) in (0, -signal.SIGKILL)
        with open_registry(workspace) as registry:
            state(registry)
            if out.exists():
                assert not verify(out, registry, recompute=False).failed
                out.unlink()
    assert acts.wait(acts.start(workspace, what, out)) == 0
    with open_registry(workspace) as registry:
        assert_whole(registry)
        assert out.exists() == (what == "bundle")
        assert not [path for path in registry.reports.iterdir() if path.name.startswith(".making")] or what != "report"


def test_several_at_once(workspace, acts, tmp_path) -> None:
    """Two reports, two signatures and two bundles begun together: each is whole, and each number is there once."""
    whats = ["report", "report", "sign", "sign", "bundle", "bundle"]
    numbers = [acts.start(workspace, what, tmp_path / f"{place}.zip") for place, what in enumerate(whats)]
    assert [acts.wait(number) for number in numbers] == [0] * 6
    with open_registry(workspace) as registry:
        assert state(registry)[0] == {"trial/1": 2, "trial/2": 0, "trial/3": 0}
        assert_whole(registry)
        with registry.reading() as connection:
            record = find_report(connection, "trial/1")
            assert [signed.number for signed in signatures_of(connection, record)] == [1, 2]
        for place in (4, 5):
            assert not verify(tmp_path / f"{place}.zip", registry, recompute=False).failed
