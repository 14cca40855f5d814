"""Rendering scans is killed at any moment: what is in the registry is whole, and a second call ends with the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from studies.ingest.ingest import ingest
from studies.ingest.mapping import load_mapping
from studies.ingest.report_folder import settle_unfinished
from studies.registry import audit
from studies.registry.schema import Photo, Scan
from studies.registry.workspace import Registry, open_registry
from studies.rendering.blocks import LEAST_PHOTO_HEIGHT, VIEWS, Recipe
from studies.rendering.study import render_study
from studies.synthetic import synthesize, write_cohort

STUDY, PEOPLE = "trial", 20
SMALL_BATCHES = """
import sys
from studies.rendering import study
study.PEOPLE_IN_A_BLOCK = study.BLOCKS_IN_A_BATCH = 1
from calliper.__main__ import main
sys.argv = ["calliper", *sys.argv[1:]]
main()
"""


@pytest.fixture
def registered(workspace: Path, tmp_path: Path) -> Path:
    """A workspace with people who have no scan yet."""
    write_cohort(synthesize(PEOPLE, 3, follow_up=0.0), tmp_path / "cohort")
    with open_registry(workspace) as registry:
        assert ingest(registry, STUDY, [tmp_path / "cohort"], load_mapping("calliper")).rejected == 0
    return workspace


def start(workspace: Path) -> subprocess.Popen[str]:
    words = ["cohort", "render", STUDY, "--height", str(LEAST_PHOTO_HEIGHT), "--workers", "2"]
    return subprocess.Popen(
        [sys.executable, "-c", SMALL_BATCHES, *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "CALLIPER_WORKSPACE": str(workspace)},
    )  # fmt: skip


def scans(registry: Registry) -> int:
    with registry.reading() as connection:
        return connection.execute(select(func.count()).select_from(Scan)).scalar_one()


def check_whole(registry: Registry) -> dict[tuple[int, str], str]:
    """Every scan has its four photos, in the store; the trail is unbroken. The photos' hashes."""
    with registry.reading() as connection:
        assert audit.first_broken_link(connection) is None
        rows = connection.execute(select(Photo.scan_id, Photo.view, Photo.sha256, Photo.media_type)).all()
        everything = set(connection.execute(select(Scan.id)).scalars())
    assert {(row.scan_id, row.view) for row in rows} == {(scan, view) for scan in everything for view in VIEWS}
    assert all(registry.photos.path(row.sha256, row.media_type).is_file() for row in rows)
    return {(row.scan_id, row.view): row.sha256 for row in rows}


def test_a_kill_leaves_whole_scans_and_the_next_call_the_rest(registered: Path) -> None:
    process, after = start(registered), 2
    with open_registry(registered) as registry:
        deadline = time.monotonic() + 300
        while scans(registry) < after:
            assert process.poll() in (None, 0), process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)  # on a busy machine it may come too late, and find everything there
        process.communicate()
        before = check_whole(registry)
        assert after * len(VIEWS) <= len(before) <= PEOPLE * len(VIEWS)
        done = render_study(registry, STUDY, Recipe(0, LEAST_PHOTO_HEIGHT), workers=1)
        photos = check_whole(registry)
        assert before.items() <= photos.items()
        assert len(photos) == len(set(photos.values())) == PEOPLE * len(VIEWS)
        assert done.scans == (len(photos) - len(before)) / len(VIEWS)
        wait_for_an_empty_scratch(registry)
        # A page that was just being written keeps its provisional name for ten minutes, lest it be someone's.
        left = list(registered.rglob("*.partial"))
        assert all(page.parent.parent == registry.ingests and page.name.startswith(".ingest.") for page in left)
        for page in left:
            os.utime(page, (0, 0))
        settle_unfinished(registry)
        assert not list(registered.rglob("*.partial"))


def wait_for_an_empty_scratch(registry: Registry) -> None:
    """Workers that outlived the killed process by a moment may have written once more; the next command removes it."""
    deadline = time.monotonic() + 60
    while True:
        with registry.scratch():
            pass
        if not list((registry.folder / "scratch").iterdir()):
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_interruption_is_told_and_leaves_whole_scans(registered: Path) -> None:
    process = start(registered)
    with open_registry(registered) as registry:
        deadline = time.monotonic() + 300
        while not scans(registry):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
        assert process.returncode == 130
        assert "Interrupted. Nothing was half written." in error
        assert "Traceback" not in error
        check_whole(registry)
        with registry.scratch():  # as the next command does: what was being removed just then goes, too
            pass
        assert list((registered / "scratch").iterdir()) == []
