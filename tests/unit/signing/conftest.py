"""A workspace with a report, copied for each test; a key of a signer. See tests/signing_support."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "signing_support"))
import signed_study

from reports.signer_keys import find_key, fingerprint_of, make_key, open_key, public_of, register_key
from reports.signing import sign_report
from reports.verification import Verification, verify
from studies.registry.reports import find_report
from studies.registry.workspace import Registry, open_registry

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with report trial/1, to copy."""
    with patch.dict(os.environ, {"CALLIPER_ACTOR": "tester"}):
        os.environ.pop("CALLIPER_DATABASE_URL", None)
        return signed_study.workspace_with_report(tmp_path_factory.mktemp("reported"))


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "signer.pem"
    make_key(path, PASSPHRASE)
    return path


@dataclass
class Shelf:
    """An open registry with report trial/1, and what tests do with it."""

    registry: Registry
    key: Ed25519PrivateKey
    folder: Path

    @property
    def report(self) -> Path:
        """The folder of report trial/1."""
        return self.registry.reports / "trial-1"

    def record(self, name: str = "trial/1") -> Any:
        with self.registry.reading() as connection:
            return find_report(connection, name)

    def sign(self, **changes: Any) -> Any:
        said = {"name": None, "role": "Statistician", "meaning": "author", "reason": "as planned", "key": self.key}
        return sign_report(self.registry, changes.pop("report", "trial/1"), **(said | changes))

    def verify(self, path: Path, *, recompute: bool = False) -> Verification:
        return verify(path, self.registry, recompute=recompute)

    def tamper(self, *statements: str) -> None:
        """Change the database as somebody would who may: triggers off, statements, triggers on again."""
        with self.registry.engine.begin() as connection:
            query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            triggers = connection.exec_driver_sql(query).all()
            for trigger in triggers:
                connection.exec_driver_sql(f"DROP TRIGGER {trigger.name}")
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for statement in statements:
                assert connection.exec_driver_sql(statement).rowcount > 0
            for trigger in triggers:
                connection.exec_driver_sql(trigger.sql)


@pytest.fixture(scope="session")
def signed_workspace(reported: Path, key_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two reports; the first signed by two, the second, which has results.json alone, by one."""
    folder = tmp_path_factory.mktemp("signed") / "workspace"
    shutil.copytree(reported, folder)
    with patch.dict(os.environ, {"CALLIPER_ACTOR": "tester"}):
        os.environ.pop("CALLIPER_DATABASE_URL", None)
        with _shelf(folder, key_file) as shelf:
            signed_study.make_report(shelf.registry, ("json",))
            shelf.sign()
            shelf.sign(name="B. Other", role="Clinical lead", meaning="approver", reason="released", key=None)
            shelf.sign(report="trial/2")
    return folder


@contextmanager
def _shelf(folder: Path, key_file: Path) -> Iterator[Shelf]:
    key = open_key(key_file, PASSPHRASE)
    with open_registry(folder) as registry:
        with registry.reading() as connection:
            known = find_key(connection, fingerprint_of(public_of(key)))
        if known is None:
            register_key(registry, "A. Signer", public_of(key))
        yield Shelf(registry, key, folder.parent)


@pytest.fixture
def shelf(reported: Path, key_file: Path, tmp_path: Path) -> Iterator[Shelf]:
    """Report trial/1, not signed; the key is registered as that of A. Signer."""
    shutil.copytree(reported, tmp_path / "workspace")
    with _shelf(tmp_path / "workspace", key_file) as made:
        yield made


@pytest.fixture
def signed(signed_workspace: Path, key_file: Path, tmp_path: Path) -> Iterator[Shelf]:
    """The reports of `signed_workspace`."""
    shutil.copytree(signed_workspace, tmp_path / "workspace")
    with _shelf(tmp_path / "workspace", key_file) as made:
        yield made


@pytest.fixture(scope="session")
def told() -> Callable[[Verification, str], list[str]]:
    """What a verification tells of one state."""
    return lambda found, state: [finding.what for finding in found.findings if finding.state == state]
