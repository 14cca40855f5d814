"""The registry behaves the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from studies.plan import load_template
from studies.registry import audit, database
from studies.registry.catalogue import create_study, current_plan, find_study, lock_plan, revise_plan
from studies.registry.schema import AuditEvent, Base


def test_the_migrations_make_exactly_the_schema(registry) -> None:
    with registry.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_migrating_again_changes_nothing(registry) -> None:
    database.migrate(registry.engine)


def test_a_plan_is_locked_once_and_changed_only_as_a_new_version(registry) -> None:
    plan = load_template("nhanes-1999")
    create_study(registry, "trial", plan)
    locked = lock_plan(registry, "trial")
    assert (locked.version, locked.locked_by) == (1, "tester")
    assert lock_plan(registry, "trial").locked_at == locked.locked_at

    changed = plan.model_copy(update={"seed": plan.seed + 1})
    revised = revise_plan(registry, "trial", changed, reason="a second seed was agreed")
    assert (revised.version, revised.locked, revised.reason) == (2, False, "a second seed was agreed")
    with registry.reading() as connection:
        assert current_plan(connection, find_study(connection, "trial").id).version == 2


def test_the_trail_is_whole_and_cannot_be_changed(registry) -> None:
    create_study(registry, "trial", load_template("nhanes-1999"))
    lock_plan(registry, "trial")
    with registry.reading() as connection:
        assert audit.first_broken_link(connection) is None
        actions = [event["action"] for event in audit.newest_events(connection, 10)]
    assert actions == ["lock", "create"]
    for statement in (update(AuditEvent).values(actor="someone else"), delete(AuditEvent)):
        with pytest.raises(DBAPIError, match="append-only"), registry.engine.begin() as connection:
            connection.execute(statement)
    with registry.reading() as connection:
        assert len(connection.execute(select(AuditEvent.id)).all()) == 2


def test_a_reader_sees_one_state_whatever_is_committed_meanwhile(registry) -> None:
    create_study(registry, "trial", load_template("nhanes-1999"))
    with registry.reading() as connection:
        before = audit.count_events(connection)
        lock_plan(registry, "trial")
        assert audit.count_events(connection) == before
        assert not current_plan(connection, find_study(connection, "trial").id).locked
    with registry.reading() as connection:
        assert audit.count_events(connection) == before + 1
