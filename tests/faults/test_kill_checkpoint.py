"""A checkpoint that is being added or exported when the process is killed is there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from models.checkpoints import read_card, read_checkpoint
from models.errors import ModelFileError
from studies.registry import audit
from studies.registry.checkpoints import add_checkpoint, all_checkpoints, resolve
from studies.registry.workspace import Registry, open_registry


@pytest.fixture(autouse=True)
def _nothing_packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What comes packaged is not what these tests are about."""
    monkeypatch.setattr("models.checkpoints.files._PACKAGED", tmp_path / "nothing")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "workspace"
    with patch.dict(os.environ):
        os.environ.pop("CALLIPER_DATABASE_URL", None)
        open_registry(folder, create=True).close()
    return folder


def killed(workspace: Path, path: Path, folder: Path, what: str) -> list[str]:
    script = Path(__file__).with_name("checkpoint_killer.py")
    done = subprocess.run(
        [sys.executable, script, workspace, path, folder, what],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def events(registry: Registry) -> list[str]:
    with registry.reading() as connection:
        assert audit.first_broken_link(connection) is None
        return [event["action"] for event in audit.newest_events(connection, 100)]


def test_an_add_killed_before_any_of_its_steps(made: Path, prepared: Path, tmp_path: Path) -> None:
    steps = killed(prepared, made, tmp_path, "add")
    assert {"open", "rename", "execute", "commit"} <= set(steps)
    committed = steps.index("commit")
    for number in range(len(steps) + 1):
        folder = tmp_path / str(number)
        with open_registry(folder) as registry:
            there = all_checkpoints(registry)
            assert len(there) == len(events(registry)) == (number > committed), steps[:number]
            assert all(read_checkpoint(resolve(registry, record.reference).path) for record in there)
            for path in (folder / "checkpoints").rglob("*.safetensors"):
                read_checkpoint(path)  # also where no row names it yet

            record, added = add_checkpoint(registry, made)
            assert added == (number <= committed)
            assert read_checkpoint(record.path).card == read_card(made)
            assert events(registry) == ["add"]
        assert len(list((folder / "checkpoints").rglob("*.*"))) == 2
        assert not list(folder.rglob("*.partial"))
        left = list((folder / "scratch").iterdir())  # a folder that was never claimed goes later
        assert not [path for path in left if not path.name.startswith(".claiming-") or list(path.iterdir())]


def test_an_export_killed_before_any_of_its_steps(made: Path, prepared: Path, tmp_path: Path) -> None:
    workspace = Path(shutil.copytree(prepared, tmp_path / "workspace"))
    with open_registry(workspace) as registry:
        add_checkpoint(registry, made)
    steps = killed(workspace, made, tmp_path, "export")
    assert steps.count("replace") == 2
    whole = 0
    for number in range(len(steps) + 1):
        out = tmp_path / str(number) / "out"
        for path in out.glob("[!.]*"):
            assert path.read_bytes() == made.with_suffix(path.suffix).read_bytes(), steps[:number]
        try:
            read_checkpoint(out / "tiny-1.safetensors")
        except ModelFileError as error:
            assert "There is no file" in error.what or "has no card" in error.what  # noqa: PT017
        else:
            whole += 1
        with open_registry(out.parent) as registry:
            assert events(registry)[-1] == "add"
    assert 1 <= whole < len(steps)


def test_several_adds_at_once(launcher, tools, registry, made: Path, tmp_path: Path, tiny_checkpoint) -> None:
    """Of the same file twice, of another version, and of another file with the same name and version."""
    files = [made, made, tiny_checkpoint(tmp_path, version=2), tiny_checkpoint(tmp_path / "other", seed=1)]
    started = [launcher.start("checkpoint", "add", path, workspace=registry.folder) for path in files]
    codes = [process.wait() for process in started]
    same, again, second, other = codes
    assert same == again
    assert second == 0
    assert sorted([same, other]) == [0, 6]
    assert [record.reference for record in all_checkpoints(registry)] == ["tiny@1", "tiny@2"]
    assert resolve(registry, "tiny@1").card == read_card(files[0] if same == 0 else files[3])
    assert events(registry) == ["add", "add"]
    tools.assert_no_leftovers(registry.folder)
