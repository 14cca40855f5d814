"""Several ingests at once: one waits for the other, and none loses a row of another's."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from studies.registry.schema import IngestBatch, Reading
from studies.synthetic import write_large

WAITING = "Another process is writing to this registry; waiting for it to finish ..."


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four cohorts of 100 subjects each, none of them in two."""
    folders = []
    for seed in range(4):
        folder = tmp_path_factory.mktemp("part")
        write_large(folder, 100, 10, seed)
        for name in ("subjects.csv", "readings.csv"):
            path = folder / name
            path.write_text(path.read_text(encoding="utf-8").replace("SYN-", f"SYN-{seed}-"), encoding="utf-8")
        folders.append(folder)
    return folders


def numbers(registry) -> list[int]:
    with registry.reading() as connection:
        return list(connection.execute(select(IngestBatch.number).order_by(IngestBatch.number)).scalars())


def assert_no_reading_is_there_twice(registry) -> None:
    key = (Reading.visit_id, Reading.measurand, Reading.method, Reading.device_id, Reading.replicate)
    with registry.reading() as connection:
        twice = select(func.count()).select_from(Reading).group_by(*key).having(func.count() > 1)
        assert connection.execute(twice).all() == []


@pytest.mark.parametrize("several", [2, 4])
def test_ingests_of_different_files_at_once(study, launcher, tools, parts, several: int) -> None:
    started = [launcher.start("ingest", "trial", part, workspace=study.folder) for part in parts[:several]]
    assert [process.wait() for process in started] == [0] * several, [process.error for process in started]
    assert all(process.error in ("", WAITING + "\n") for process in started)
    state = tools.state_of(study)
    assert (state.subjects, state.readings, state.quarantined) == (100 * several, 1000 * several, 0)
    assert numbers(study) == list(range(1, several + 1))
    assert_no_reading_is_there_twice(study)
    tools.assert_no_leftovers(study.folder)
    assert len(list(study.ingests.iterdir())) == several


@pytest.mark.parametrize("several", [2, 4])
def test_ingests_of_the_same_files_at_once(study, launcher, tools, parts, several: int) -> None:
    started = [launcher.start("ingest", "trial", parts[0], workspace=study.folder) for _ in range(several)]
    assert [process.wait() for process in started] == [0] * several, [process.error for process in started]
    state = tools.state_of(study)
    assert (state.subjects, state.readings) == (100, 1000)
    assert numbers(study) == list(range(1, several + 1))
    assert_no_reading_is_there_twice(study)
    with study.reading() as connection:
        counts = connection.execute(select(IngestBatch.counts).order_by(IngestBatch.number)).scalars().all()
    assert [count["readings"]["new"] for count in counts] == [1000] + [0] * (several - 1)
    assert [count["readings"]["unchanged"] for count in counts] == [0] + [1000] * (several - 1)


def test_ingests_and_dry_runs_at_once(study, launcher, tools, parts) -> None:
    started = [
        launcher.start("ingest", "trial", parts[0], *words, workspace=study.folder)
        for words in ((), ("--dry-run",), ("--dry-run",))
    ]
    assert [process.wait() for process in started] == [0, 0, 0], [process.error for process in started]
    assert numbers(study) == [1]
    tools.assert_no_leftovers(study.folder)


def test_one_waits_and_says_so(study, launcher, tools, parts) -> None:
    with study.writing():
        process = launcher.start("ingest", "trial", parts[0], workspace=study.folder)
        tools.wait_until(lambda: WAITING in process.error)
        assert numbers(study) == []
    assert process.wait() == 0
    assert process.error == WAITING + "\n"
    assert tools.state_of(study).readings == 1000


@pytest.mark.parametrize("wait", [0, 1])
def test_one_that_may_not_wait_ends_with_a_message(study, launcher, tools, parts, wait: int) -> None:
    with study.writing():
        process = launcher.start("ingest", "trial", parts[0], "--wait", wait, workspace=study.folder)
        assert process.wait() == 5
    assert process.out == ""
    said = f"Error: Another process is writing to this registry and did not finish within {wait} s."
    assert said in process.error
    assert "Nothing was written. Try again when it is done, or wait longer with --wait." in process.error
    assert tools.state_of(study).batches == 0
    tools.assert_no_leftovers(study.folder)


def test_reading_does_not_wait_for_a_writer(study, launcher) -> None:
    with study.writing():
        assert launcher.start("study", "list", workspace=study.folder).wait() == 0


def test_new_workspaces_may_be_made_at_once(launcher, tools, tmp_path: Path) -> None:
    words = ("--template", "blank")
    started = [launcher.start("study", "create", f"s{i}", *words, workspace=tmp_path / "new") for i in range(4)]
    assert [process.wait() for process in started] == [0] * 4, [process.error for process in started]


def test_many_short_commands_at_once(launcher, workspace: Path) -> None:
    """Opening and closing is when SQLite's log is made and removed, and another must not stumble over that."""
    for _ in range(5):
        started = [launcher.start("study", "list", workspace=workspace) for _ in range(6)]
        assert [process.wait() for process in started] == [0] * 6, [process.error for process in started]
