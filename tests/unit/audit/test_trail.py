"""The audit trail tampered with in every way: what was done is found, and the first broken link is named."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select, text, update
from sqlalchemy.exc import DBAPIError

from studies.errors import DataError
from studies.plan import load_template
from studies.registry import audit
from studies.registry.catalogue import create_study, lock_plan
from studies.registry.guards import guard_faults, install_guards, remove_guards
from studies.registry.identity import identity_fault
from studies.registry.schema import AuditEvent, AuditPersonal
from studies.registry.trail import (
    Head,
    chain_head,
    check_trail,
    head_of,
    number_ranges,
    parse_anchor,
    verify_trail,
)
from studies.registry.workspace import Registry, open_registry

EVENTS = 8  # in the trail of the fixture
PERSONAL = (3, 4, 6)  # of these, about a person


def tamper(registry: Registry, *statements: object, guards_back: bool = True) -> None:
    """What someone can do who owns the database: switch the guards off, and on again."""
    with registry.writing() as connection:
        remove_guards(connection)
        for statement in statements:
            if callable(statement):
                statement(connection)
            else:
                connection.execute(text(statement) if isinstance(statement, str) else statement)
        if guards_back:
            install_guards(connection)


def broken(registry: Registry, *anchors: Head) -> tuple[int, str]:
    found = verify_trail(registry, anchors).broken
    assert found is not None, "the tampering was not found"
    return found.number, found.what


def rechain(connection: Connection, first: int) -> None:
    """Compute every hash from `first` on anew, as a careful forger does."""
    query = select(AuditEvent.__table__).where(AuditEvent.id >= first).order_by(AuditEvent.id)
    before = select(AuditEvent.hash).where(AuditEvent.id == first - 1)
    previous = connection.execute(before).scalar_one_or_none() or audit.GENESIS
    for row in connection.execute(query).all():
        link = audit.link_hash(
            row.id, row.at, row.actor, row.action, row.study, row.entity, row.entity_key, row.detail,
            row.personal_hash, previous,
        )  # fmt: skip
        connection.execute(update(AuditEvent).where(AuditEvent.id == row.id).values(previous_hash=previous, hash=link))
        previous = link


# The trail as it should be --------------------------------------------------------------------------------------------


def test_a_trail_that_nobody_touched_is_whole(trail_on_both: Registry) -> None:
    check = verify_trail(trail_on_both, [chain_head(trail_on_both)])
    assert (check.whole, check.events, check.anchors, check.doubts) == (True, EVENTS, 1, [])
    with trail_on_both.reading() as connection:
        assert guard_faults(connection) == []
        assert connection.execute(select(AuditPersonal.event_id).order_by("event_id")).scalars().all() == [*PERSONAL]


def test_events_are_told_with_actor_time_reason_old_and_new_value(trail: Registry) -> None:
    with trail.reading() as connection:
        events = {event["id"]: event for event in audit.newest_events(connection, 100)}
        of_ada = audit.newest_events(connection, 100, "trial", subject="Ada")
    assert events[3]["entity_key"] == "Ada/baseline/waist"
    assert events[3]["detail"] == {"field": "value", "new": 81.5, "old": 80.5, "reason": "corrected"}
    assert (events[6]["action"], events[6]["actor"], events[6]["detail"]) == ("view", "viewer", {"reason": "a query"})
    assert (events[7]["action"], events[7]["actor"], events[7]["entity_key"]) == ("sign in", "viewer", "viewer")
    assert (events[8]["action"], events[8]["detail"]) == ("export", {"files": ["results.json"]})
    assert [event["id"] for event in of_ada] == [6, 3]


def test_nothing_about_people_is_in_the_chain_itself(trail: Registry) -> None:
    with trail.reading() as connection:
        rows = connection.execute(select(AuditEvent.__table__)).all()
    assert not any(word in repr(row) for row in rows for word in ("Ada", "Bo/", "80.5", "a query"))


def test_a_refused_sign_in_and_a_sign_out_are_told(trail: Registry) -> None:
    audit.record_sign_in(trail, "unknown", succeeded=False, address="::1")
    audit.record_sign_out(trail, "viewer")
    with trail.reading() as connection:
        newest = audit.newest_events(connection, 2)
    assert [(event["action"], event["actor"]) for event in newest] == [
        ("sign out", "viewer"), ("sign-in refused", "unknown"),
    ]  # fmt: skip


# What the database itself refuses -------------------------------------------------------------------------------------

REFUSED = {
    "an edit": "UPDATE audit_event SET actor = 'someone else' WHERE id = 2",
    "a deletion": "DELETE FROM audit_event WHERE id = 8",
    "a deletion of all": "DELETE FROM audit_event",
    "an event out of order": "INSERT INTO audit_event SELECT 12, at, actor, action, study, entity, entity_key, detail, "
    "hash, 'x', personal_hash FROM audit_event WHERE id = 8",
    "an event that follows from nothing": "INSERT INTO audit_event SELECT 9, at, actor, action, study, entity, "
    "entity_key, detail, 'y', 'x', personal_hash FROM audit_event WHERE id = 8",
    "an edited personal content": "UPDATE audit_personal SET content = '{}' WHERE event_id = 3",
    "personal content of another": "UPDATE audit_personal SET subject = 'Bo' WHERE event_id = 3",
    "half an erasure": "UPDATE audit_personal SET content = NULL WHERE event_id = 3",
    "a deleted personal content": "DELETE FROM audit_personal WHERE event_id = 3",
}
ONLY_SQLITE = {
    "a replacement": "INSERT OR REPLACE INTO audit_event SELECT id, at, 'someone else', action, study, entity, "
    "entity_key, detail, previous_hash, 'x', personal_hash FROM audit_event WHERE id = 2",
    "a replaced personal content": "INSERT OR REPLACE INTO audit_personal SELECT event_id, study, subject, salt, '{}' "
    "FROM audit_personal WHERE event_id = 3",
    "an update that replaces": "UPDATE OR REPLACE audit_event SET id = 3 WHERE id = 2",
}
ONLY_POSTGRESQL = {
    "truncation": "TRUNCATE audit_event CASCADE",
    "truncation of the personal contents": "TRUNCATE audit_personal",
    "a conflict that updates": "INSERT INTO audit_event SELECT * FROM audit_event WHERE id = 2 "
    "ON CONFLICT (id) DO UPDATE SET actor = 'someone else'",
    "an edit as a replica": "SET LOCAL session_replication_role = replica; "
    "UPDATE audit_event SET actor = 'someone else' WHERE id = 2",
}


@pytest.mark.parametrize("how", [*REFUSED, *ONLY_SQLITE, *ONLY_POSTGRESQL])
def test_the_database_refuses(trail_on_both: Registry, database_engine: str, how: str) -> None:
    if how in {"sqlite": ONLY_POSTGRESQL, "postgresql": ONLY_SQLITE}[database_engine]:
        pytest.skip("a statement of the other database")
    statement = {**REFUSED, **ONLY_SQLITE, **ONLY_POSTGRESQL}[how]
    *before, last = statement.split("; ")
    with trail_on_both.engine.begin() as connection:
        for part in before:
            connection.execute(text(part))
        with pytest.raises(DBAPIError, match=r"append-only|can only be erased"):
            connection.execute(text(last))
        connection.rollback()
    assert verify_trail(trail_on_both).whole


# What is found --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "someone else"), ("at", "2020-01-01T00:00:00.000000"), ("action", "view"), ("study", "other"),
        ("entity", "scan"), ("entity_key", "other"), ("detail", '{"title": "other"}'), ("personal_hash", "0" * 64),
    ],
)  # fmt: skip
def test_an_edited_event_is_found(trail: Registry, column: str, value: str) -> None:
    tamper(trail, update(AuditEvent).where(AuditEvent.id == 2).values({column: value}))
    assert broken(trail) == (2, "event 2 was changed after it was written")


def test_an_edited_event_with_its_own_hash_mended_is_found_at_the_next(trail_on_both: Registry) -> None:
    def mend_one(connection: Connection) -> None:
        connection.execute(update(AuditEvent).where(AuditEvent.id == 2).values(actor="someone else"))
        row = connection.execute(select(AuditEvent.__table__).where(AuditEvent.id == 2)).one()
        link = audit.link_hash(*(getattr(row, name) for name in (
            "id", "at", "actor", "action", "study", "entity", "entity_key", "detail", "personal_hash", "previous_hash",
        )))  # fmt: skip
        connection.execute(update(AuditEvent).where(AuditEvent.id == 2).values(hash=link))

    tamper(trail_on_both, mend_one)
    assert broken(trail_on_both) == (3, "event 3 does not follow from the event before it")


def test_a_deleted_event_is_found(trail_on_both: Registry) -> None:
    tamper(trail_on_both, "DELETE FROM audit_event WHERE id = 5")
    assert broken(trail_on_both) == (5, "event 5 is missing: the next one found is 6")


def test_a_deleted_first_event_is_found(trail: Registry) -> None:
    tamper(trail, "DELETE FROM audit_event WHERE id = 1")
    assert broken(trail) == (1, "event 1 is missing: the next one found is 2")


def test_a_deleted_event_whose_gap_was_closed_is_found(trail: Registry) -> None:
    tamper(
        trail,
        "DELETE FROM audit_event WHERE id = 2",
        *(f"DELETE FROM audit_personal WHERE event_id = {number}" for number in PERSONAL),
        *(f"UPDATE audit_event SET id = {number - 1} WHERE id = {number}" for number in range(3, EVENTS + 1)),
    )
    assert broken(trail) == (2, "event 2 does not follow from the event before it")


def test_two_events_that_changed_places_are_found(trail: Registry) -> None:
    tamper(trail, *(f"UPDATE audit_event SET id = {new} WHERE id = {old}" for old, new in ((1, 99), (2, 1), (99, 2))))
    assert broken(trail) == (1, "event 1 does not follow from the event before it")


def test_an_inserted_event_is_found(trail: Registry) -> None:
    moved = [f"UPDATE audit_event SET id = {number + 1} WHERE id = {number}" for number in (8, 7)]
    copied = (
        "INSERT INTO audit_event SELECT 7, at, actor, 'view', study, entity, entity_key, detail, previous_hash, 'x', "
        "personal_hash FROM audit_event WHERE id = 8"
    )
    tamper(trail, *moved, copied)
    assert broken(trail) == (7, "event 7 was changed after it was written")


def test_an_event_added_with_hashes_of_its_own_is_found_by_an_anchor_taken_before(trail: Registry) -> None:
    before = chain_head(trail)
    tamper(trail, "DELETE FROM audit_event WHERE id = 8")
    audit.record_view(trail, "page", "harmless", study="trial")
    assert verify_trail(trail).whole  # the chain alone cannot tell
    number, what = broken(trail, before)
    assert number == 8
    assert "event 8 is not the one that an anchor" in what


@pytest.mark.parametrize("last", [7, 5, 0])
def test_a_truncated_trail_is_found_by_anchors_only(trail: Registry, last: int) -> None:
    before = chain_head(trail)
    tamper(
        trail, f"DELETE FROM audit_personal WHERE event_id > {last}", f"DELETE FROM audit_event WHERE id > {last}"
    )  # fmt: skip
    assert verify_trail(trail).whole
    number, what = broken(trail, before)
    assert number == last + 1
    assert f"the trail ends at event {last}, but an anchor" in what
    assert ("one event is gone" if last == 7 else f"{EVENTS - last} events are gone") in what


def test_a_trail_written_anew_is_found_by_anchors_only(trail_on_both: Registry) -> None:
    early = Head(1, *_hash_and_time(trail_on_both, 1))
    late = chain_head(trail_on_both)

    def forge(connection: Connection) -> None:
        connection.execute(update(AuditEvent).where(AuditEvent.id == 2).values(actor="someone else"))
        rechain(connection, 2)

    tamper(trail_on_both, forge)
    assert verify_trail(trail_on_both).whole
    assert verify_trail(trail_on_both, [early]).whole  # what came before the forgery is as it was
    assert broken(trail_on_both, early, late)[0] == EVENTS


def test_of_several_breaks_the_first_is_named(trail: Registry) -> None:
    anchor = chain_head(trail)
    tamper(
        trail,
        "UPDATE audit_event SET actor = 'x' WHERE id = 7",
        "UPDATE audit_event SET actor = 'x' WHERE id = 2",
        "DELETE FROM audit_event WHERE id = 8",
    )
    assert broken(trail, anchor) == (2, "event 2 was changed after it was written")


def test_a_swapped_database_is_found(trail_on_both: Registry, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("CALLIPER_DATABASE_URL", raising=False)
    with open_registry(tmp_path / "other", create=True) as other:
        for _ in range(EVENTS):
            audit.record_view(other, "page", "overview")
        number, what = broken(other, chain_head(trail_on_both))
        assert number == EVENTS
        assert "belongs to another registry" in what
        assert verify_trail(other).whole
        with other.reading() as connection:
            assert identity_fault(other.folder, connection) is None
            assert "another registry" in identity_fault(trail_on_both.folder, connection)


def test_a_restored_backup_is_found(tmp_path) -> None:
    workspace = tmp_path / "workspace"
    with open_registry(workspace, create=True) as registry:
        create_study(registry, "trial", load_template("blank"))
    shutil.copy(workspace / "registry.db", tmp_path / "backup.db")
    with open_registry(workspace) as registry:
        lock_plan(registry, "trial")
        anchor = chain_head(registry)
    shutil.copy(tmp_path / "backup.db", workspace / "registry.db")
    with open_registry(workspace) as registry:
        assert verify_trail(registry).whole
        assert broken(registry, anchor) == (
            2,
            f"the trail ends at event 1, but an anchor, of {anchor.at[:16].replace('T', ' ')} UTC, says that there was "
            "event 2: at least one event is gone from its end, or this is an older copy",
        )


def test_a_changed_head_is_found(trail: Registry) -> None:
    anchor = chain_head(trail)
    tamper(trail, f"UPDATE audit_event SET hash = '{'f' * 64}' WHERE id = {EVENTS}")
    assert broken(trail, anchor) == (EVENTS, f"event {EVENTS} was changed after it was written")


@pytest.mark.parametrize("changed", ["hash", "number"])
def test_a_changed_anchor_is_found(trail: Registry, changed: str) -> None:
    head = chain_head(trail)
    forged = Head(head.number, "0" * 64, head.at) if changed == "hash" else Head(head.number - 1, head.hash, head.at)
    assert broken(trail, forged)[0] == forged.number


def test_a_clock_that_was_set_back_is_doubted(trail: Registry, monkeypatch) -> None:
    earlier = audit.utc_now() - timedelta(days=3)
    monkeypatch.setattr(audit, "utc_now", lambda: earlier)
    audit.record_view(trail, "page", "overview")
    check = verify_trail(trail)
    assert check.whole
    assert check.doubts == [
        f"Event {EVENTS + 1} is dated 3 days before an event that came earlier: a clock was set back, or was ahead "
        "before."
    ]


def test_a_clock_that_is_ahead_is_doubted(trail: Registry) -> None:
    with trail.reading() as connection:
        check = check_trail(connection, now=audit.utc_now() - timedelta(hours=5))
    assert len(check.doubts) == EVENTS
    assert check.doubts[0] == "Event 1 is dated 5 hours in the future: a clock is wrong."


def test_small_differences_between_clocks_are_no_doubt(trail: Registry, monkeypatch) -> None:
    earlier = audit.utc_now() - timedelta(seconds=90)
    monkeypatch.setattr(audit, "utc_now", lambda: earlier)
    audit.record_view(trail, "page", "overview")
    assert verify_trail(trail).doubts == []


@pytest.mark.parametrize(
    "name",
    [
        "audit_event_no_update", "audit_event_no_delete", "audit_event_in_order", "audit_personal_no_update",
        "audit_personal_no_delete", "audit_personal_once",
    ],
)  # fmt: skip
def test_a_dropped_or_changed_trigger_of_sqlite_is_found(trail: Registry, name: str) -> None:
    table = name[: name.index("_", 6)]
    with trail.engine.begin() as connection:
        connection.execute(text(f"DROP TRIGGER {name}"))
    assert verify_trail(trail).guards == [f"the trigger {name}, which guards the audit trail, is missing"]
    with trail.engine.begin() as connection:
        connection.execute(text(f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} BEGIN SELECT 1; END"))
    assert "was changed" in verify_trail(trail).guards[0]
    assert not verify_trail(trail).whole


@pytest.mark.parametrize("database_engine", ["postgresql"], indirect=True)
def test_a_dropped_disabled_or_hollowed_trigger_of_postgresql_is_found(trail_on_both: Registry) -> None:
    for statement, told in (
        ("ALTER TABLE audit_event DISABLE TRIGGER audit_event_no_change", "audit_event_no_change, which guards the "
         "audit trail, was changed or switched off"),
        ("ALTER TABLE audit_event ENABLE ALWAYS TRIGGER audit_event_no_change", None),
        ("CREATE OR REPLACE FUNCTION audit_personal_guard() RETURNS trigger LANGUAGE plpgsql AS "
         "$$ BEGIN RETURN OLD; END $$", "audit_personal_no_delete, which guards the audit trail, was changed"),
    ):  # fmt: skip
        with trail_on_both.engine.begin() as connection:
            connection.execute(text(statement))
        faults = verify_trail(trail_on_both).guards
        assert any(told in fault for fault in faults) if told else faults == []
    for name in ("no_change", "no_truncate", "in_order"):
        with trail_on_both.engine.begin() as connection:
            connection.execute(text(f"DROP TRIGGER audit_event_{name} ON audit_event"))
        assert any(f"audit_event_{name}, which guards the audit trail, is missing" in f for f in _guards(trail_on_both))


# What the trail says of people ----------------------------------------------------------------------------------------


def test_erasing_a_person_leaves_the_chain_whole_and_nothing_of_the_person(trail_on_both: Registry) -> None:
    anchor = chain_head(trail_on_both)
    with trail_on_both.writing() as connection:
        numbers = audit.erase_subject(connection, "trial", "Ada")
        detail = {"events": number_ranges(numbers)}
        audit.append(connection, [audit.Event("erase", "subject", "erasure 1", detail, "trial")])
    assert numbers == [3, 6]
    assert verify_trail(trail_on_both, [anchor]).whole
    with trail_on_both.reading() as connection:
        events = {event["id"]: event for event in audit.newest_events(connection, 100)}
        left = connection.execute(select(AuditPersonal.__table__).where(AuditPersonal.event_id.in_(numbers))).all()
    assert [event["erased"] for event in (events[3], events[4], events[6])] == [True, False, True]
    assert (events[3]["entity_key"], events[3]["detail"], events[3]["action"]) == ("", {}, "change")
    assert {row[2:] for row in left} == {(None, None, None)}


def test_content_that_is_gone_without_an_erasure_is_found(trail_on_both: Registry) -> None:
    with trail_on_both.writing() as connection:  # no guard stands in the way of this
        audit.erase_subject(connection, "trial", "Ada")
    assert broken(trail_on_both) == (3, "what event 3 says of a person is gone, and no erasure in the trail says so")


def test_an_erasure_explains_only_events_before_it_that_it_names(trail: Registry) -> None:
    with trail.writing() as connection:
        audit.erase_subject(connection, "trial", "Ada")
        audit.append(connection, [audit.Event("erase", "subject", "erasure 1", {"events": [[3, 3]]}, "trial")])
    assert broken(trail)[0] == 6
    with trail.writing() as connection:
        audit.append(connection, [audit.Event("erase", "subject", "erasure 2", {"events": [[6, 999_999]]}, "trial")])
    assert verify_trail(trail).whole
    audit.record_view(trail, "subject", "Bo", study="trial", subject="Bo")
    with trail.writing() as connection:
        audit.erase_subject(connection, "trial", "Bo")
        audit.append(connection, [audit.Event("erase", "subject", "erasure 3", {"events": [[4, 4]]}, "trial")])
    assert broken(trail)[0] == EVENTS + 3


@pytest.mark.parametrize(
    ("statement", "number", "told"),
    [
        ("UPDATE audit_personal SET content = '{}' WHERE event_id = 4", 4, "was changed"),
        ("UPDATE audit_personal SET subject = 'Ada' WHERE event_id = 4", 4, "was changed"),
        ("UPDATE audit_personal SET salt = '00' WHERE event_id = 4", 4, "was changed"),
        ("DELETE FROM audit_personal WHERE event_id = 4", 4, "was removed, row and all"),
        ("INSERT INTO audit_personal VALUES (5, 'trial', 'Ada', '00', '{}')", 5, "was given a content"),
    ],
)
def test_tampering_with_what_the_trail_says_of_people_is_found(
    trail: Registry, statement: str, number: int, told: str
) -> None:
    tamper(trail, statement)
    found = broken(trail)
    assert found[0] == number
    assert told in found[1]


# Anchors as text ------------------------------------------------------------------------------------------------------


def test_the_head_within_a_transaction_counts_what_it_appended(trail: Registry) -> None:
    with trail.writing() as connection:
        audit.append(connection, [audit.Event("view", "page", "x", {})])
        assert head_of(connection).number == EVENTS + 1


def test_anchors_are_read_from_text_and_files(trail: Registry, tmp_path) -> None:
    head = chain_head(trail)
    assert parse_anchor(str(head)) == [Head(head.number, head.hash, "")]
    for name, content in {
        "one.json": json.dumps(head.as_dict()), "list.json": json.dumps([head.as_dict()] * 2),
        "lines.jsonl": f"{json.dumps(head.as_dict())}\n{json.dumps(head.as_dict())}\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert set(parse_anchor(str(tmp_path / name))) == {head}
    (tmp_path / "bad.json").write_text('{"number": 3}', encoding="utf-8")
    for given, told in (("nonsense", "is no anchor"), (str(tmp_path / "bad.json"), "holds no anchors")):
        with pytest.raises(DataError, match=told):
            parse_anchor(given)


def _hash_and_time(registry: Registry, number: int) -> tuple[str, str]:
    with registry.reading() as connection:
        return tuple(connection.execute(select(AuditEvent.hash, AuditEvent.at).where(AuditEvent.id == number)).one())


def _guards(registry: Registry) -> list[str]:
    return verify_trail(registry).guards
