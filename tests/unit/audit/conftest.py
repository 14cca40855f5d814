"""A trail to tamper with, made once on each database and copied for every test."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from studies.plan import load_template
from studies.registry import audit
from studies.registry.catalogue import create_study, lock_plan
from studies.registry.workspace import Registry, open_registry


def fill(registry: Registry) -> None:
    """Eight events, of which 3, 4 and 6 are about people."""
    create_study(registry, "trial", load_template("blank"))
    lock_plan(registry, "trial")
    for subject, value in (("Ada", 80.5), ("Bo", 93.0)):
        detail = {"field": "value", "old": value, "new": value + 1, "reason": "corrected"}
        event = audit.Event("change", "reading", f"{subject}/baseline/waist", detail, "trial", subject)
        audit.record(registry, event)
    audit.record_view(registry, "page", "overview", study="trial", actor="viewer")
    audit.record_view(registry, "subject", "Ada", study="trial", subject="Ada", actor="viewer", reason="a query")
    audit.record_sign_in(registry, "viewer", succeeded=True, address="127.0.0.1")
    audit.record_export(registry, "study", "trial", study="trial", files=["results.json"])


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str | None], Path]:
    """The workspace of a filled registry: in its folder, or in the PostgreSQL database of the address given."""

    def make(url: str | None) -> Path:
        workspace = tmp_path_factory.mktemp("filled") / "workspace"
        with patch.dict(os.environ, {"CALLIPER_ACTOR": "tester"}):
            os.environ.pop("CALLIPER_DATABASE_URL", None)
            if url:
                os.environ["CALLIPER_DATABASE_URL"] = url
            with open_registry(workspace, create=True) as registry:
                fill(registry)
        return workspace

    return make


@pytest.fixture(scope="session")
def filled_sqlite(filled: Callable[[str | None], Path]) -> Path:
    return filled(None)


@pytest.fixture(scope="session")
def filled_postgresql(postgresql_server: str, filled: Callable[[str | None], Path]) -> tuple[Path, str]:
    """The workspace, and the name of the database to copy."""
    import psycopg

    name = f"filled_{uuid.uuid4().hex}"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return filled(postgresql_server.replace("/postgres?", f"/{name}?", 1)), name


@pytest.fixture
def trail(filled_sqlite: Path, tmp_path: Path) -> Iterator[Registry]:
    """A registry with a trail of eight events, on SQLite."""
    shutil.copytree(filled_sqlite, tmp_path / "workspace")
    with open_registry(tmp_path / "workspace") as registry:
        yield registry


@pytest.fixture
def trail_on_both(
    request: pytest.FixtureRequest, database_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Registry]:
    """The same, on each database in turn."""
    workspace = tmp_path / "workspace"
    if database_engine == "sqlite":
        shutil.copytree(request.getfixturevalue("filled_sqlite"), workspace)
        with open_registry(workspace) as registry:
            yield registry
        return
    import psycopg

    server = request.getfixturevalue("postgresql_server")
    folder, template = request.getfixturevalue("filled_postgresql")
    shutil.copytree(folder, workspace)
    name = f"copy_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    monkeypatch.setenv("CALLIPER_DATABASE_URL", server.replace("/postgres?", f"/{name}?", 1))
    with open_registry(workspace) as registry:
        yield registry
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
