"""Several processes that answer requests at one address, and end with the one that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from dashboards.settings import Settings
from models.avatar.direction import fat_direction
from models.body import open_body
from studies.plan import load_template
from studies.registry.catalogue import create_study
from studies.registry.workspace import open_registry

PATIENCE = 240.0

# The command, with two servers whatever machine this is, and without the time that the first has to itself.
_SERVE = """
import sys
from pathlib import Path
from dashboards import server
from dashboards.settings import Settings
server.SETTLED_SECONDS, server.servers_wanted = 0.0, lambda: 2
server.serve(Path(sys.argv[1]), Settings(), 0, ready=lambda address, users: print(address, flush=True))
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with open_registry(tmp_path / "workspace", create=True) as registry:
        create_study(registry, "trial", load_template("demo"))
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(tmp_path / "workspace")], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def listeners(port: int, *, started_by: int) -> list[int]:
    """The processes that a process started and that hold the socket which listens on a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            held = {os.readlink(link) for link in (folder / "fd").iterdir()}
        except OSError:
            continue
        if parent == started_by and held & listening:
            found.append(int(folder.name))
    return found


def until(state) -> None:
    end = time.monotonic() + PATIENCE
    while not state():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="looks at processes by /proc, which this system lacks")
def test_several_servers_answer_at_one_address_and_end_together(served) -> None:
    process, address = served
    port = int(address.rstrip("/").rpartition(":")[2])
    until(lambda: listeners(port, started_by=process.pid))
    (other,) = listeners(port, started_by=process.pid)
    # The first server stands still: whatever is answered now, the other one answers.
    process.send_signal(signal.SIGSTOP)
    try:
        with urlopen(address, timeout=PATIENCE) as answer:
            assert b"Calliper" in answer.read()
    finally:
        process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=PATIENCE)
    until(lambda: not Path(f"/proc/{other}").exists())


def test_settings_reach_the_other_servers_whole() -> None:
    settings = Settings("::1", behind_proxy=True, idle=Settings().idle * 2)
    assert Settings.of_plain(settings.plain()) == settings


def test_after_warming_nothing_of_an_avatar_is_to_be_found_first(caplog: pytest.LogCaptureFixture) -> None:
    from dashboards.warm import warm

    warm()
    assert not caplog.records
    found = fat_direction.cache_info()
    for sex in ("F", "M"):
        fat_direction(open_body(), sex)
    assert fat_direction.cache_info().misses == found.misses
