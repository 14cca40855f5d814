"""Whom a checkpoint was trained on is told on every page, whatever is filtered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from asking import text_of
from flask.testing import FlaskClient
from small_study import STUDY
from sqlalchemy import insert, select

from dashboards.pages import PAGES
from dashboards.worker import work_once
from studies.registry import audit
from studies.registry.checkpoints import add_checkpoint
from studies.registry.schema import Run, RunCheckpoint, Subject
from studies.registry.workspace import Registry

BASE = f"/study/{STUDY}"


def test_every_page_says_that_a_model_was_trained_on_these_people(
    registry: Registry, page: Callable[[str], dict[str, Any]], client: FlaskClient, tmp_path: Path, tiny_checkpoint
) -> None:
    assert "Leakage" not in text_of(page(f"{BASE}/overview"))
    with registry.reading() as connection:
        people = connection.execute(select(Subject.code)).scalars().all()
    record, _ = add_checkpoint(registry, tiny_checkpoint(tmp_path, subjects=(STUDY, people)))
    with registry.writing() as connection:
        newest = connection.execute(select(Run.id).order_by(Run.number.desc()).limit(1)).scalar_one()
        connection.execute(insert(RunCheckpoint).values(run_id=newest, checkpoint_id=record.id))
        audit.append(connection, [audit.Event("finish", "run", f"{STUDY}#2", {}, STUDY)])
    while "Waiting for the worker" in text_of(page(f"{BASE}/overview")):
        work_once(registry)
    told = "subjects with predictions were in the training data of tiny@1"
    for found in PAGES:
        if not found.of_item:
            assert told in text_of(page(f"{BASE}/{found.slug}?sex=F&age=20-70")), found.slug
    for query in ("", "sex=F&age=20-70"):
        notes = client.get(f"/export{BASE}/results.json?{query}").get_json(force=True)["notes"]
        assert [note for note in notes if note.startswith("Leakage:") and told in note]
