"""A registry on SQLite; what the tests of runs share lies in tests/runs_support."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runs_support"))

from studies.registry.workspace import Registry, open_registry


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(tmp_path / "workspace", create=True) as opened:
        yield opened
