"""What the audit trail says of people goes aside, where it can be erased; the registry gets an identity.

The events that are there are written anew in the new form, which changes their hashes. An event says so, with the head
of the chain as it was and whether it was whole.
"""

import hashlib
import hmac
import json
import secrets
import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from studies.registry.guards import install_guards

revision = "0005"
down_revision = "0012"
branch_labels = None
depends_on = None

_ABOUT_PEOPLE = ("subject", "scan", "reading", "visit", "photo")  # entities whose keys begin with a subject's code
_EVENT = sa.table(
    "audit_event",
    *(sa.column(name) for name in (
        "id", "at", "actor", "action", "study", "entity", "entity_key", "detail", "previous_hash", "hash",
        "personal_hash",
    )),
)  # fmt: skip
_PERSONAL = sa.table(
    "audit_personal", *(sa.column(name) for name in ("event_id", "study", "subject", "salt", "content"))
)


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        for change in ("update", "delete"):
            op.execute(f"DROP TRIGGER IF EXISTS audit_event_no_{change}")
    else:
        for change in ("change", "truncate"):
            op.execute(f"DROP TRIGGER IF EXISTS audit_event_no_{change} ON audit_event")
    op.add_column("audit_event", sa.Column("personal_hash", sa.String(), nullable=True))
    op.create_table(
        "audit_personal",
        sa.Column("event_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("study", sa.String(), nullable=True),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("salt", sa.String(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["audit_event.id"], name=op.f("fk_audit_personal_event_id")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_audit_personal")),
    )
    op.create_index("ix_audit_personal_subject", "audit_personal", ["study", "subject"])
    op.create_table(
        "registry_identity",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_identity")),
    )
    now = datetime.now(UTC).replace(tzinfo=None)
    identity = sa.table("registry_identity", sa.column("id"), sa.column("created_at", sa.DateTime()))
    op.execute(identity.insert().values(id=str(uuid.uuid4()), created_at=now))
    _convert(connection, now.isoformat(timespec="microseconds"))
    install_guards(connection)


def downgrade() -> None:
    raise NotImplementedError("What was put aside of the audit trail cannot be put back into it.")


def _convert(connection: sa.Connection, now: str) -> None:
    """Every event in the new form, in order, and one more that says so."""
    codes = _codes(connection)
    old_previous = previous = "0" * 64
    number, broken = 0, None
    for row in connection.execute(sa.select(_EVENT).order_by(_EVENT.c.id)).mappings().all():
        broken = broken or _fault(row, number + 1, old_previous)
        number, old_previous = row["id"], row["hash"]
        changed, aside = _put_aside(row, codes)
        changed["previous_hash"], changed["hash"] = previous, _hash({**row, **changed}, previous)
        connection.execute(_EVENT.update().where(_EVENT.c.id == number).values(**changed))
        if aside is not None:
            connection.execute(_PERSONAL.insert().values(event_id=number, **aside))
        previous = changed["hash"]
    if number == 0:
        return
    detail = {
        "head": {"number": number, "hash": old_previous}, "broken": broken,
        "reason": "what the trail says of people was put aside, where it can be erased; every hash is new",
    }  # fmt: skip
    event = {
        "id": number + 1, "at": now, "actor": "calliper", "action": "convert", "study": None, "entity": "audit_event",
        "entity_key": "trail", "detail": _json(detail), "personal_hash": None, "previous_hash": previous,
    }  # fmt: skip
    connection.execute(_EVENT.insert().values(**event, hash=_hash(event, previous)))


def _codes(connection: sa.Connection) -> dict[str, set[str]]:
    """The codes of the subjects, by study."""
    query = sa.text("SELECT study.name AS study, subject.code AS code FROM subject JOIN study ON study.id = study_id")
    found: dict[str, set[str]] = {}
    for row in connection.execute(query):
        found.setdefault(row.study, set()).add(row.code)
    return found


def _fault(row: sa.RowMapping, expected: int, previous: str) -> dict | None:
    """How an event in the old form does not fit, as the old form's check said it."""
    number = row["id"]
    if number != expected:
        return {"number": expected, "what": f"event {expected} was missing"}
    if row["previous_hash"] != previous:
        return {"number": number, "what": f"event {number} did not follow from the event before it"}
    names = ("id", "at", "actor", "action", "study", "entity", "entity_key", "detail", "previous_hash")
    if _sha256([row[name] for name in names]) != row["hash"]:
        return {"number": number, "what": f"event {number} had been changed after it was written"}
    return None


def _put_aside(row: sa.RowMapping, codes: dict[str, set[str]]) -> tuple[dict, dict | None]:
    """What changes in the event's row, and the row beside it where it tells of a person."""
    if row["entity"] not in _ABOUT_PEOPLE:
        return {}, None
    key = row["entity_key"]
    steps = key.split("/")
    known = codes.get(row["study"] or "", set())
    starts = ["/".join(steps[:count]) for count in range(len(steps), 0, -1)]
    subject = next((start for start in starts if start in known), steps[0])
    content = _json({"entity_key": key, "detail": json.loads(row["detail"])})
    salt = secrets.token_hex(32)
    message = json.dumps([row["study"], subject, content], ensure_ascii=False, separators=(",", ":")).encode()
    sealed = hmac.new(bytes.fromhex(salt), message, hashlib.sha256).hexdigest()
    changed = {"entity_key": "", "detail": "{}", "personal_hash": sealed}
    return changed, {"study": row["study"], "subject": subject, "salt": salt, "content": content}


def _hash(row: dict, previous: str) -> str:
    names = ("id", "at", "actor", "action", "study", "entity", "entity_key", "detail", "personal_hash")
    return _sha256([*(row[name] for name in names), previous])


def _sha256(content: list) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _json(detail: dict) -> str:
    return json.dumps(detail, ensure_ascii=False, sort_keys=True)
