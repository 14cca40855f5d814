"""Jobs: asked for once, done in order, taken up again, told in words when they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from dashboards import worker
from studies.errors import DataError
from studies.registry import audit
from studies.registry.jobs import LOST_AFTER, claim_job, file_job, finish_job, job, newest_jobs, note_progress
from studies.registry.schema import Job
from studies.registry.workspace import Registry, open_registry


@pytest.fixture
def registry(database_engine: str, tmp_path: Path) -> Iterator[Registry]:
    with open_registry(tmp_path / "empty", create=True) as opened:
        yield opened


def seen(registry: Registry, key: int):
    with registry.reading() as connection:
        return job(connection, key)


def test_the_same_work_is_asked_for_once_until_it_is_done(registry: Registry) -> None:
    first = file_job(registry, "report", "trial", {"kind": "validation"}, by="eve")
    assert file_job(registry, "report", "trial", {"kind": "validation"}, by="bob").id == first.id
    assert file_job(registry, "report", "other", {"kind": "validation"}, by="bob").id != first.id
    finish_job(registry, first.id, outcome={"number": 1})
    assert file_job(registry, "report", "trial", {"kind": "validation"}, by="bob").id != first.id


def test_jobs_are_taken_up_in_order_and_by_one_worker(registry: Registry) -> None:
    keys = [file_job(registry, "run", "trial", {"n": n}, by="eve").id for n in range(2)]
    assert [claim_job(registry).id, claim_job(registry).id] == keys
    assert claim_job(registry) is None


def test_a_job_whose_worker_died_is_taken_up_again(registry: Registry) -> None:
    key = file_job(registry, "run", "trial", {}, by="eve").id
    assert claim_job(registry).id == key
    with registry.writing() as connection:
        long_ago = audit.utc_now() - LOST_AFTER - timedelta(seconds=1)
        connection.execute(update(Job).where(Job.id == key).values(seen_at=long_ago))
    assert claim_job(registry).id == key


def test_progress_and_outcome_are_told(registry: Registry) -> None:
    key = file_job(registry, "run", "trial", {}, by="eve").id
    claim_job(registry)
    note_progress(registry, key, "Scans", 3, 10)
    assert (seen(registry, key).stage, seen(registry, key).done, seen(registry, key).total) == ("Scans", 3, 10)
    finish_job(registry, key, outcome={"run": 1})
    assert (seen(registry, key).status, seen(registry, key).outcome) == ("finished", {"run": 1})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DataError("Nothing can be paired.", remedy="Ingest the rest."), "Nothing can be paired. Ingest the rest."),
        (KeyError("x"), "This is a bug in Calliper: KeyError: 'x'"),
    ],
)
def test_a_job_that_fails_says_why(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def fail(*_: object) -> dict:
        raise error

    monkeypatch.setitem(worker.KINDS, "run", fail)
    key = file_job(registry, "run", "trial", {}, by="eve").id
    assert worker.work_once(registry)
    assert (seen(registry, key).status, seen(registry, key).message) == ("failed", told)
    assert not worker.work_once(registry)


def test_a_job_is_done_under_the_name_of_who_asked(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    actors = []
    monkeypatch.setitem(worker.KINDS, "run", lambda *_: actors.append(audit.current_actor()) or {})
    file_job(registry, "run", "trial", {}, by="eve")
    worker.work_once(registry)
    assert actors == ["eve"]
    assert os.environ["CALLIPER_ACTOR"] == "tester"
    with registry.reading() as connection:
        assert audit.newest_events(connection, 1)[0]["actor"] == "eve"
        assert [item.created_by for item in newest_jobs(connection, "trial")] == ["eve"]
