"""A registry on SQLite with a study that has scans; its photos are a few bytes each."""

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


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own keys or link table."""
    for name in ("CALLIPER_PHOTO_KEY", "CALLIPER_PHOTO_OLD_KEYS", "CALLIPER_LINKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty") / "workspace"
    with patch.dict(os.environ):
        os.environ.pop("CALLIPER_DATABASE_URL", None)
        open_registry(folder, create=True).close()
    return folder


@pytest.fixture
def store(_empty: Path, tmp_path: Path) -> Iterator[Registry]:
    """An empty registry."""
    with open_registry(shutil.copytree(_empty, tmp_path / "workspace")) as opened:
        yield opened
