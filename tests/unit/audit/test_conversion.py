"""A trail in the form it had before: converted, it is whole, and what it says of people can be erased."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

from studies.registry import audit, database
from studies.registry.trail import check_trail, number_ranges

EVENTS = [
    ("create", "trial", "study", "trial", {"title": "T"}),
    ("change", "trial", "reading", "A/1/baseline/dxa", {"field": "value", "old": 1.5, "new": 2.5}),
    ("change", "trial", "subject", "B", {"field": "sex", "old": "F", "new": "M"}),
    ("delete", "trial", "photo", "A/1/baseline/1", {"photos": {"front": "ab"}}),
    ("finish", "trial", "run", "trial#1", {"photos_deleted": 1}),
]


@pytest.fixture
def old(database_engine: str, tmp_path, request) -> Engine:
    """A registry as version 0012 had it, with subjects "A/1", "A" and "B", and a trail in the old form."""
    url = request.getfixturevalue("postgresql_url") if database_engine == "postgresql" else None
    engine = database.open_engine(database.database_url(tmp_path, url))
    config = Config()
    config.set_main_option("script_location", str(files("studies.registry") / "migrations"))
    with database.writer(engine, wait_seconds=5) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0012")
        connection.execute(text("INSERT INTO study VALUES (1, 'trial', 'T', '2024-01-01')"))
        for number, code in enumerate(("A/1", "A", "B"), start=1):
            connection.execute(
                text("INSERT INTO subject (id, study_id, code, attributes) VALUES (:id, 1, :code, '{}')"),
                {"id": number, "code": code},
            )
        previous = "0" * 64
        for number, (action, study, entity, key, detail) in enumerate(EVENTS, start=1):
            at, content = f"2024-01-0{number}T00:00:00.000000", json.dumps(detail, sort_keys=True)
            said = [number, at, "x", action, study, entity, key, content, previous]
            text_of = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
            link = hashlib.sha256(text_of.encode()).hexdigest()
            row = {"id": number, "at": at, "action": action, "study": study, "entity": entity, "key": key,
                   "detail": content, "previous": previous, "hash": link}  # fmt: skip
            connection.execute(
                text(
                    "INSERT INTO audit_event VALUES (:id, :at, 'x', :action, :study, :entity, :key, :detail, "
                    ":previous, :hash)"
                ),
                row,
            )
            previous = link
    yield engine
    engine.dispose()


def test_an_old_trail_is_converted_and_says_so(old: Engine) -> None:
    with old.connect() as connection:
        head = connection.execute(text("SELECT hash FROM audit_event WHERE id = 5")).scalar_one()
    database.migrate(old)
    with old.connect() as connection:
        check = check_trail(connection)
        events = audit.newest_events(connection, 100)[::-1]
        of_a1 = audit.newest_events(connection, 100, "trial", subject="A/1")
    assert (check.whole, check.events) == (True, len(EVENTS) + 1)
    assert [(e["action"], e["study"], e["entity"], e["entity_key"], e["detail"]) for e in events[:5]] == EVENTS
    assert events[5]["action"] == "convert"
    assert events[5]["detail"]["head"] == {"number": 5, "hash": head}
    assert [event["id"] for event in of_a1] == [4, 2]  # the longest code that fits, not "A"


def test_a_person_of_a_converted_trail_can_be_erased(old: Engine) -> None:
    database.migrate(old)
    with database.writer(old, wait_seconds=5) as connection:
        numbers = audit.erase_subject(connection, "trial", "A/1")
        audit.append(connection, [audit.Event("erase", "subject", "1", {"events": number_ranges(numbers)}, "trial")])
    with old.connect() as connection:
        assert check_trail(connection).whole
        rows = connection.execute(text("SELECT * FROM audit_event")).all()
        aside = connection.execute(text("SELECT * FROM audit_personal")).all()
    assert "A/1" not in repr(rows) + repr(aside)


def test_a_trail_that_was_broken_before_stays_so(old: Engine) -> None:
    with old.begin() as connection:
        for trigger in ("audit_event_no_update", "audit_event_no_delete"):
            if old.dialect.name == "sqlite":
                connection.execute(text(f"DROP TRIGGER {trigger}"))
        if old.dialect.name == "postgresql":
            connection.execute(text("DROP TRIGGER audit_event_no_change ON audit_event"))
        connection.execute(text("UPDATE audit_event SET actor = 'y' WHERE id = 3"))
    database.migrate(old)
    with old.connect() as connection:
        broken = check_trail(connection).broken
    assert broken is not None
    assert (broken.number, broken.what) == (
        3, "before the trail was converted, event 3 had been changed after it was written",
    )  # fmt: skip
