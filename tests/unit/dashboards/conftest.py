"""A small study, analysed once; every test has a copy of its workspace."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from flask.testing import FlaskClient

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "dashboard_support"))

from asking import ask
from small_study import STUDY, make_study

from dashboards.app import create_app
from dashboards.settings import Settings
from dashboards.worker import work_once
from studies.registry.workspace import Registry, open_registry


@pytest.fixture(scope="session")
def _analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dashboard") / "workspace"
    with patch.dict(os.environ, CALLIPER_ACTOR="tester"):
        os.environ.pop("CALLIPER_DATABASE_URL", None)
        with open_registry(folder, create=True) as registry:
            make_study(registry)
            app = create_app(registry)
            ask(app.server.test_client(), f"/study/{STUDY}/overview")
            while work_once(registry):
                pass
    return folder


@pytest.fixture
def registry(_analysed: Path, tmp_path: Path) -> Iterator[Registry]:
    with open_registry(shutil.copytree(_analysed, tmp_path / "workspace")) as opened:
        yield opened


@pytest.fixture
def client(registry: Registry) -> FlaskClient:
    """A browser at a local demonstration."""
    return create_app(registry).server.test_client()


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def page(client: FlaskClient) -> Callable[[str], dict[str, Any]]:
    return lambda address: ask(client, address)
