"""`calliper checkpoint` on both databases: what goes in, is found, named and taken out, and what the trail says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from sqlalchemy import select, update

from models.checkpoints import files as checkpoint_files
from models.checkpoints import read_card, read_checkpoint
from studies.errors import ModelError, UsageError
from studies.registry import audit
from studies.registry.checkpoints import add_checkpoint, all_checkpoints, registered, resolve, set_alias
from studies.registry.schema import Checkpoint
from studies.registry.workspace import Registry, open_registry


@pytest.fixture(autouse=True)
def _nothing_packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What comes packaged is not what these tests are about."""
    monkeypatch.setattr("models.checkpoints.files._PACKAGED", tmp_path / "nothing")


@pytest.fixture(scope="module")
def _prepared_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "workspace"
    with patch.dict(os.environ):
        os.environ.pop("CALLIPER_DATABASE_URL", None)
        open_registry(folder, create=True).close()
    return folder


@pytest.fixture
def workspace(_prepared_workspace: Path, tmp_path: Path, command) -> Path:
    """An empty workspace on SQLite that `command` uses."""
    return Path(shutil.copytree(_prepared_workspace, tmp_path / "workspace"))


@pytest.fixture
def workspace_on_both(database_engine: str, tmp_path: Path, command) -> Path:
    """An empty workspace, on each database in turn, that `command` uses."""
    folder = tmp_path / "workspace"
    open_registry(folder, create=True).close()
    return folder


@pytest.fixture
def made(tmp_path: Path, tiny_checkpoint) -> Path:
    return tiny_checkpoint(tmp_path / "made")


def events(workspace: Path) -> list[dict]:
    with open_registry(workspace) as registry, registry.reading() as connection:
        assert audit.first_broken_link(connection) is None
        return audit.newest_events(connection, 1000)[::-1]


def stored(workspace: Path) -> list[str]:
    folder = workspace / "checkpoints"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_checkpoint_goes_in_and_comes_out_as_it_was(
    command, workspace_on_both: Path, tmp_path: Path, made: Path
) -> None:
    done = command("checkpoint", "add", made)
    assert done.code == 0, done.error
    card = read_card(made)
    assert "Added tiny@1 (segmenter)" in done.out
    assert card.weights_sha256 in done.out
    key = card.sha256
    assert stored(workspace_on_both) == [f"{key[:2]}/{key}/tiny-1.json", f"{key[:2]}/{key}/tiny-1.safetensors"]

    shutil.rmtree(made.parent)  # the workspace_on_both has its own copy
    out = tmp_path / "out" / "deep"
    taken = command("checkpoint", "export", "tiny@1", "--out", out)
    assert taken.code == 0, taken.error
    assert taken.out.split() == [str(out / "tiny-1.safetensors"), str(out / "tiny-1.json")]
    assert read_checkpoint(out / "tiny-1.safetensors").card == card
    assert sorted(path.name for path in out.iterdir()) == ["tiny-1.json", "tiny-1.safetensors"]

    add, export = events(workspace_on_both)
    assert (add["action"], add["actor"], add["entity"], add["entity_key"]) == ("add", "tester", "checkpoint", "tiny@1")
    assert add["detail"]["sha256"] == card.weights_sha256
    assert add["at"]
    assert (export["action"], export["entity_key"]) == ("export", "tiny@1")
    assert export["detail"] == {"folder": str(out), "sha256": card.weights_sha256}


def test_adding_it_again_changes_nothing(command, workspace: Path, made: Path) -> None:
    command("checkpoint", "add", made)
    before = stored(workspace), events(workspace)
    again = command("checkpoint", "add", made)
    assert again.code == 0
    assert "already, with the same weights and card. Nothing to do." in again.out
    assert json.loads(command("checkpoint", "add", made, "--json").out)["changed"] is False
    assert (stored(workspace), events(workspace)) == before


def test_another_file_of_the_same_name_and_version_is_refused(
    command, workspace_on_both: Path, tmp_path: Path, made: Path, tiny_checkpoint
) -> None:
    command("checkpoint", "add", made)
    before = stored(workspace_on_both), events(workspace_on_both)
    weights = command("checkpoint", "add", tiny_checkpoint(tmp_path / "b", seed=1))
    assert weights.code == 6
    assert "There is a checkpoint tiny@1 already, with other weights" in weights.error
    assert "Give this one the version 2 or a later one." in weights.error
    card = command("checkpoint", "add", tiny_checkpoint(tmp_path / "c", licence="MIT"))
    assert card.code == 6
    assert "with the same weights but another card: licence differ" in card.error
    assert (stored(workspace_on_both), events(workspace_on_both)) == before


def test_a_refused_file_leaves_nothing(command, workspace: Path, made: Path) -> None:
    made.write_bytes(made.read_bytes()[:-1])
    done = command("checkpoint", "add", made)
    assert done.code == 6
    assert done.out == ""
    assert done.error.startswith(f"Error: {made} is damaged, or is not the file that its card describes")
    assert done.error.count("\n") == 1
    assert not (workspace / "checkpoints").exists()
    assert events(workspace) == []
    assert command("checkpoint", "add", made.with_suffix(".pt")).code == 6


def test_the_first_checkpoint_makes_the_workspace(command, tmp_path: Path, made: Path) -> None:
    assert not (tmp_path / "workspace").exists()
    assert command("checkpoint", "add", made).code == 0
    assert "tiny" in command("checkpoint", "list").out


def test_list(command, workspace: Path, tmp_path: Path, tiny_checkpoint, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint_files, "_PACKAGED", tmp_path / "none")
    assert "No checkpoint yet, and none is packaged with this version." in command("checkpoint", "list").out
    assert json.loads(command("checkpoint", "list", "--json").out) == []
    for version in (2, 10, 1):
        command("checkpoint", "add", tiny_checkpoint(tmp_path, version=version))
    command("checkpoint", "add", tiny_checkpoint(tmp_path, kind="estimator", name="fat"))
    command("checkpoint", "alias", "tiny@2", "current")
    command("checkpoint", "alias", "tiny@2", "candidate")

    done = command("checkpoint", "list")
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0] == ["kind", "name", "version", "aliases", "size", "created", "licence", "from"]
    assert [row[:3] for row in rows[2:]] == [
        ["estimator", "fat", "1"], ["segmenter", "tiny", "1"], ["segmenter", "tiny", "2"], ["segmenter", "tiny", "10"],
    ]  # fmt: skip
    assert "candidate, current" in done.out
    assert "2026-03-01  CC0-1.0  workspace" in done.out

    listed = json.loads(command("checkpoint", "list", "--json").out)
    two = listed[2]
    assert (two["kind"], two["name"], two["version"]) == ("segmenter", "tiny", 2)
    assert two["aliases"] == ["candidate", "current"]
    assert (two["packaged"], two["licence"]) == (False, "CC0-1.0")
    assert two["bytes"] == Path(two["path"]).stat().st_size
    assert two["sha256"] == read_card(tmp_path / "tiny-2.safetensors").weights_sha256

    Path(two["path"]).unlink()
    assert "file is missing" in command("checkpoint", "list").out


def test_aliases_are_unique_in_a_kind_and_move(
    command, workspace_on_both: Path, tmp_path: Path, tiny_checkpoint
) -> None:
    for keys in ({"version": 1}, {"version": 2}, {"kind": "estimator", "name": "fat"}):
        command("checkpoint", "add", tiny_checkpoint(tmp_path, **keys))
    done = command("checkpoint", "alias", "tiny@1", "current")
    assert done.out == "'current' stands for the segmenter tiny@1 now.\n"
    assert command("checkpoint", "alias", "tiny@1", "current").out.endswith("already. Nothing to do.\n")
    assert command("checkpoint", "alias", "fat@1", "current").code == 0
    assert "tiny@1" in command("checkpoint", "show", "tiny@current").out
    moved = command("checkpoint", "alias", "tiny@2", "current", "--reason", "lower error")
    assert moved.out == "'current' stands for the segmenter tiny@2 now. It stood for tiny@1 before.\n"
    assert json.loads(command("checkpoint", "alias", "tiny@2", "next", "--json").out) == {
        "alias": "next", "kind": "segmenter", "checkpoint": "tiny@2", "before": None, "changed": True,
    }  # fmt: skip
    told = [
        (event["entity_key"], event["detail"]["alias"], event["detail"]["before"], event["detail"]["reason"])
        for event in events(workspace_on_both)
        if event["action"] == "alias"
    ]
    assert told == [
        ("tiny@1", "current", None, None), ("fat@1", "current", None, None),
        ("tiny@2", "current", "tiny@1", "lower error"), ("tiny@2", "next", None, None),
    ]  # fmt: skip

    with open_registry(workspace_on_both) as registry:
        assert resolve(registry, "current", kind="segmenter").reference == "tiny@2"
        assert resolve(registry, "current", kind="estimator").reference == "fat@1"
        assert resolve(registry, "next").aliases == ("current", "next")
        with pytest.raises(ModelError, match="the alias of several checkpoints") as several:
            resolve(registry, "current")
        assert several.value.remedy == "Say which: fat@current, tiny@current."


@pytest.fixture(scope="module")
def stocked(tmp_path_factory, tiny_checkpoint) -> Iterator[Registry]:
    """A registry on SQLite with three versions of one checkpoint; the tests that share it change nothing."""
    folder = tmp_path_factory.mktemp("stocked")
    with patch.dict(os.environ):
        os.environ.pop("CALLIPER_DATABASE_URL", None)
        with open_registry(folder / "workspace", create=True) as registry:
            for version in (1, 2, 10):
                add_checkpoint(registry, tiny_checkpoint(folder, version=version))
            set_alias(registry, "tiny@1", "old")
            yield registry


@pytest.mark.parametrize(
    ("reference", "found"),
    [("tiny@1", 1), ("tiny@2", 2), ("tiny@old", 1), ("old", 1), ("tiny", 10), ("tiny@10", 10)],
)
def test_the_ways_to_name_a_checkpoint(stocked, reference: str, found: int) -> None:
    record = resolve(stocked, reference)
    assert record.card.version == found
    assert read_checkpoint(record.path).card == record.card


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("tiny@3", "tiny has no version or alias '3'. It has: 1, 2, 10, old."),
        ("tiny@01", "tiny has no version or alias '01'."),
        ("tinny", "There is no checkpoint 'tinny'. Did you mean 'tiny'?"),
        ("quite-another", "There is no checkpoint 'quite-another'. Known: old, tiny."),
        ("", "'' does not name a checkpoint. Write NAME@VERSION, NAME@ALIAS or ALIAS."),
        ("@", "'@' does not name a checkpoint."),
        ("tiny@1@2", "'tiny@1@2' does not name a checkpoint."),
        ("old@1", "There is no checkpoint 'old'."),
    ],
)
def test_a_checkpoint_that_is_not_there(stocked, reference: str, told: str) -> None:
    with pytest.raises(ModelError) as refused:
        resolve(stocked, reference)
    assert str(refused.value).startswith(told)


def test_one_of_another_kind_is_not_found(stocked) -> None:
    with pytest.raises(ModelError, match=r"There is no avatar checkpoint 'tiny'\. No avatar checkpoint is there yet"):
        resolve(stocked, "tiny@1", kind="avatar")


def test_what_cannot_be_an_alias(stocked, tmp_path: Path, tiny_checkpoint) -> None:
    for word in ("Current", "1", "1st", "", "a b", "a@b", "x" * 65, "current\n"):
        with pytest.raises(UsageError, match="cannot be an alias"):
            set_alias(stocked, "tiny@1", word)
    with pytest.raises(UsageError, match="'tiny' is the name of a checkpoint"):
        set_alias(stocked, "tiny@1", "tiny")
    with pytest.raises(ModelError, match="'old' is an alias in this registry"):
        add_checkpoint(stocked, tiny_checkpoint(tmp_path / "b", name="old"))


def test_the_card_is_shown_for_people_and_for_programs(
    command, workspace: Path, tmp_path: Path, tiny_checkpoint
) -> None:
    from models.checkpoints import Input, Metric, Quantity, Training

    path = tiny_checkpoint(
        tmp_path, kind="estimator", name="fat",
        inputs=[
            Input(name="silhouettes", meaning="one to four views"),
            Input(name="age", meaning="age at the visit", unit="years", optional=True),
        ],
        outputs=[Quantity(name="body_fat_percent", meaning="fat mass as a share of mass", unit="%")],
        training=Training(
            data="A long story. " * 20 + "\nIts end.", rendered=True, datasets=["nhanes-1999"], subjects=2,
            subject_hashes=["0" * 16, "1" * 16],
        ),
        metrics=[
            Metric(name="MAE", value=2.5, low=2.25, high=2.75, unit="percentage points", n=300, data="held out"),
            Metric(name="CCC", value=0.925, data="held out"),
        ],
        limitations=["Adults only. " * 12, "Rendered photos."],
    )  # fmt: skip
    command("checkpoint", "add", path)
    shown = command("checkpoint", "show", "fat").out
    for piece in (
        "fat@1: estimator\n", "Licence       CC0-1.0\n", "body-fat-1 (components 4; features 8;",
        "age          years  yes       age at the visit", "\nIts end.\n", "2.25 to 2.75", "0.925",
        "Subjects: 2 of nhanes-1999, known by their hashes.", "\n- Adults only.", "\n  only. Adults",
        "\n- Rendered photos.\n",
    ):  # fmt: skip
        assert piece in shown, piece
    prose = shown.split("\nTraining\n")[1].split("\nMetrics\n")[0]
    assert max(map(len, prose.splitlines())) <= 100
    assert "0" * 16 not in shown

    told = json.loads(command("checkpoint", "show", "fat@1", "--json").out)
    assert told["card"] == json.loads(read_card(path).text())
    assert "leaks" not in told


def test_packaged_checkpoints_are_offered_and_registered_when_they_are_used(
    command, workspace_on_both: Path, tmp_path: Path, tiny_checkpoint, monkeypatch
) -> None:
    packaged = tmp_path / "packaged"
    monkeypatch.setattr(checkpoint_files, "_PACKAGED", packaged)
    tiny_checkpoint(packaged, name="shipped")
    shown = json.loads(command("checkpoint", "list", "--json").out)
    assert [(entry["name"], entry["packaged"], entry["aliases"]) for entry in shown] == [("shipped", True, ["current"])]
    assert "packaged with Calliper" in command("checkpoint", "show", "current").out

    clash = command("checkpoint", "add", tiny_checkpoint(tmp_path, name="shipped", seed=1))
    assert clash.code == 6
    assert "There is a checkpoint shipped@1 already" in clash.error
    assert events(workspace_on_both) == []

    with open_registry(workspace_on_both) as registry:
        record = resolve(registry, "current", kind="segmenter")
        assert record.id is None
        kept = registered(registry, record)
        assert kept.id is not None
        assert kept.path.is_relative_to(workspace_on_both)
        assert registered(registry, kept) == kept
        assert resolve(registry, "current").id == kept.id  # it stays current although it is registered now
    shutil.rmtree(packaged)  # as an upgrade would
    assert command("checkpoint", "show", "shipped@1").code == 0
    assert "[]" in str(json.loads(command("checkpoint", "list", "--json").out)[0]["aliases"])

    command("checkpoint", "add", tiny_checkpoint(tmp_path, name="own"))
    tiny_checkpoint(packaged, name="shipped", version=2)
    assert command("checkpoint", "alias", "own@1", "current").code == 0
    with open_registry(workspace_on_both) as registry:
        assert resolve(registry, "current").reference == "own@1"
        assert set_alias(registry, "shipped@2", "candidate").changed
        assert all(record.id is not None for record in all_checkpoints(registry))


def test_files_that_went_missing_or_were_changed_are_told_and_put_back(
    command, workspace: Path, made: Path, tmp_path: Path
) -> None:
    command("checkpoint", "add", made)
    command("checkpoint", "alias", "tiny@1", "current")
    (weights,) = workspace.rglob("*.safetensors")
    card = weights.with_suffix(".json")

    def damage(path: Path, content: bytes | None) -> None:
        path.unlink()
        if content is not None:
            path.write_bytes(content)

    licence = card.read_bytes().replace(b"CC0-1.0", b"MIT")
    for number, (path, content, told) in enumerate(
        [
            (weights, None, "The files of tiny@1 are gone, or its card is not what was registered"),
            (card, None, "The files of tiny@1 cannot be used"),
            (card, b"{}", "The files of tiny@1 cannot be used"),
            (card, licence, "The files of tiny@1 are gone, or its card is not what was registered"),
            (weights, weights.read_bytes()[:-1], "The weights of tiny@1 are damaged"),
        ]
    ):
        damage(path, content)
        done = command("checkpoint", "export", "tiny@1", "--out", tmp_path / "out")
        assert done.code == 6
        assert told in done.error
        assert "Add the checkpoint again" in done.error
        assert not (tmp_path / "out").exists()
        assert command("checkpoint", "add", made).code == 0
        assert events(workspace)[-1]["action"] == "restore"
        assert weights.read_bytes() == made.read_bytes()
        assert command("checkpoint", "show", "current").code == 0
        assert len(events(workspace)) == 3 + number


def test_a_card_changed_in_the_database_is_told(command, workspace_on_both: Path, made: Path) -> None:
    command("checkpoint", "add", made)
    with open_registry(workspace_on_both) as registry, registry.writing() as connection:
        card = connection.execute(select(Checkpoint.card)).scalar_one()
        connection.execute(update(Checkpoint).values(card={**card, "training": None}))
    done = command("checkpoint", "list")
    assert done.code == 6
    assert "The card of tiny@1 in the database is not a valid card: training" in done.error
    assert "Someone changed the database by hand." in done.error


def test_an_export_overwrites_nothing_else(command, workspace: Path, tmp_path: Path, made: Path) -> None:
    command("checkpoint", "add", made)
    out = tmp_path / "out"
    assert command("checkpoint", "export", "tiny@1", "--out", out).code == 0
    assert command("checkpoint", "export", "tiny@1", "--out", out).code == 0  # the same again
    (out / "tiny-1.json").write_text("mine")
    done = command("checkpoint", "export", "tiny@1", "--out", out)
    assert done.code == 2
    assert "tiny-1.json is there already and is another file." in done.error
    assert (out / "tiny-1.json").read_text() == "mine"
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    done = command("checkpoint", "export", "tiny@1", "--out", blocked / "below")
    assert done.code == 5
    assert "cannot be written" in done.error
    assert [event["action"] for event in events(workspace)] == ["add", "export", "export"]
