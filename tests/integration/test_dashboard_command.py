"""`calliper user` and `calliper dashboard` as a user calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from studies.plan import load_template
from studies.registry.catalogue import create_study
from studies.registry.workspace import open_registry

Calliper = Callable[..., subprocess.CompletedProcess[str]]
PASSWORD = "long enough to be good"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    with open_registry(tmp_path / "workspace", create=True) as registry:
        create_study(registry, "trial", load_template("demo"))
    return tmp_path / "workspace"


def user(workspace: Path, *words: str, password: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "calliper", "user", *words, "--workspace", str(workspace)],
        input=f"{password}\n", capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def test_users_come_and_go(workspace: Path) -> None:
    assert (
        user(workspace, "add", "eve", "--role", "analyst", password=PASSWORD).stdout == "eve can sign in as analyst.\n"
    )
    assert json.loads(user(workspace, "list", "--json").stdout)[0]["role"] == "analyst"
    assert user(workspace, "password", "eve", password=PASSWORD + "!").returncode == 0
    assert user(workspace, "remove", "eve").returncode == 0
    again = user(workspace, "add", "eve", password=PASSWORD)
    assert again.returncode == 2
    assert "never given to someone else" in again.stderr


@pytest.mark.parametrize(
    ("words", "password", "told"),
    [
        (["add", "Eve"], PASSWORD, "cannot be the name of a user"),
        (["add", "eve", "--role", "boss"], PASSWORD, "'boss' is not a role"),
        (["add", "eve"], "short", "12 to 256 characters"),
        (["add", "eve"], "eve-eve-eve-eve", "easily guessed"),
        (["remove", "nobody"], "", "There is no user 'nobody'"),
    ],
)
def test_what_is_refused(workspace: Path, words: list[str], password: str, told: str) -> None:
    done = user(workspace, *words, password=password)
    assert done.returncode == 2
    assert told in done.stderr


def test_elsewhere_it_does_not_start_without_accounts(workspace: Path, calliper: Calliper) -> None:
    done = calliper("dashboard", "--host", "0.0.0.0", "--port", 0, timeout=240)
    assert done.returncode == 2
    assert "there is no account yet" in done.stderr
    assert "calliper user add" in done.stderr


def test_it_serves_until_it_is_stopped(workspace: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "calliper", "dashboard", "--workspace", str(workspace), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        line = server.stdout.readline()
        assert line.startswith("Dashboard: http://127.0.0.1:")
        with urlopen(line.split()[-1], timeout=120) as answer:
            assert b"Calliper" in answer.read()
        server.send_signal(signal.SIGINT)
        _, told = server.communicate(timeout=120)
    finally:
        server.kill()
        server.communicate()
    assert "Traceback" not in told
