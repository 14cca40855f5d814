"""A registry on SQLite; what the tests of runs share lies in tests/runs_support."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runs_support"))

from studies.registry.workspace import Registry, open_registry


@pytest.fixture(scope="session")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty workspace to copy: making the schema takes longer than copying it."""
    folder = tmp_path_factory.mktemp("empty") / "workspace"
    with patch.dict(os.environ):
        os.environ.pop("CALLIPER_DATABASE_URL", None)
        open_registry(folder, create=True).close()
    return folder


@pytest.fixture
def store(_empty: Path, tmp_path: Path) -> Iterator[Registry]:
    with open_registry(shutil.copytree(_empty, tmp_path / "workspace")) as opened:
        yield opened
