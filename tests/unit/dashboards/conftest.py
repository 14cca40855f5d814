"""A small study, analysed once on each database; every test has a copy of its workspace.

The database is SQLite but where a test parametrizes this fixture with "postgresql".
"""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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

URL = "CALLIPER_DATABASE_URL"


@pytest.fixture(scope="session")
def _analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(tmp_path_factory.mktemp("dashboard") / "workspace", None)


@pytest.fixture(scope="session")
def _analysed_on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgresql_server: str) -> tuple[Path, str]:
    """The workspace, and the name of its database."""
    name = f"analysed_{uuid.uuid4().hex}"
    _on(postgresql_server, f"CREATE DATABASE {name}")
    return _made(tmp_path_factory.mktemp("dashboard") / "workspace", _of(postgresql_server, name)), name


def _on(server: str, *statements: str) -> None:
    """Carry out statements that are in no transaction."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def _of(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?", 1)


def _made(folder: Path, url: str | None) -> Path:
    with patch.dict(os.environ, CALLIPER_ACTOR="tester"):
        os.environ.pop(URL, None)
        os.environ |= {URL: url} if url else {}
        with open_registry(folder, create=True) as registry:
            make_study(registry)
            app = create_app(registry)
            ask(app.server.test_client(), f"/study/{STUDY}/overview")
            while work_once(registry):
                pass
    return folder


@pytest.fixture
def registry(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    if getattr(request, "param", "sqlite") == "sqlite":
        with open_registry(shutil.copytree(request.getfixturevalue("_analysed"), tmp_path / "workspace")) as opened:
            yield opened
        return
    server = request.getfixturevalue("postgresql_server")
    folder, template = request.getfixturevalue("_analysed_on_postgresql")
    name = f"copy_{uuid.uuid4().hex}"
    _on(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    monkeypatch.setenv(URL, _of(server, name))
    with open_registry(shutil.copytree(folder, tmp_path / "workspace")) as opened:
        yield opened
    _on(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def away(registry: Registry, request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[None]]:
    """Takes the registry's database away for a while."""

    @contextmanager
    def gone() -> Iterator[None]:
        if registry.engine.dialect.name == "sqlite":
            database = registry.folder / "registry.db"
            os.rename(database, database.with_suffix(".away"))
            yield
            os.rename(database.with_suffix(".away"), database)
            return
        server, name = request.getfixturevalue("postgresql_server"), registry.engine.url.database
        closed = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        _on(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", closed)
        yield
        _on(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    return gone


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
