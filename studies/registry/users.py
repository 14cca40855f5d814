"""Accounts of the dashboard: who may sign in, as what, and the checking of a password.

Passwords are kept as Argon2id hashes (RFC 9106, by argon2-cffi with its defaults). Failed attempts are counted in the
database, so that the limit holds across processes and restarts; every attempt is an event of the audit trail.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, delete, func, insert, select, update

from studies.errors import UsageError
from studies.registry import audit
from studies.registry.schema import ROLES, SignInAttempt, User
from studies.registry.workspace import Registry
from studies.suggestions import suggestion

LEAST_LENGTH, MOST_LENGTH = 12, 256
WINDOW = timedelta(minutes=15)
MOST_FAILURES_OF_NAME, MOST_FAILURES_OF_ADDRESS = 5, 20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_WRITER_WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class Account:
    """An active account. `role`: viewer, analyst or admin."""

    id: int
    name: str
    role: str
    display_name: str
    session_version: int

    def may(self, role: str) -> bool:
        """Whether this account has at least the rights of `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


class SignInRefusedError(UsageError):
    """Name and password do not fit, or there were too many attempts."""


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _hash_of_nobody() -> str:
    """What the password of an unknown name is compared with, so that the answer takes as long."""
    return _hasher().hash("nobody has this password")


def add_user(
    registry: Registry, name: str, role: str, password: str, *, display_name: str | None = None
) -> dict[str, Any]:
    """Make an account. Raises UsageError for a name that is taken or none, an unknown role, or a weak password."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be the name of a user.",
            remedy="Use small letters, digits, dots, dashes and underscores, at most 64, beginning with a letter.",
        )
    if role not in ROLES:
        raise UsageError(f"'{role}' is not a role.", remedy=suggestion(role, ROLES))
    _check_password(name, password)
    hashed = _hasher().hash(password)
    with registry.writing() as connection:
        if connection.execute(select(User.id).where(User.name == name)).first():
            raise UsageError(
                f"There is, or was, a user '{name}'.",
                remedy="Choose another name: the audit trail names users, so a name is never given to someone else.",
            )
        values = {"name": name, "role": role, "display_name": display_name, "password_hash": hashed, "active": True}
        connection.execute(insert(User).values(**values, session_version=1, created_at=audit.utc_now()))
        audit.append(connection, [audit.Event("create", "user", name, {"role": role})])
    return {"name": name, "role": role, "display_name": display_name}


def set_password(registry: Registry, name: str, password: str) -> None:
    """Give an account another password; its open sessions end."""
    _check_password(name, password)
    hashed = _hasher().hash(password)
    with registry.writing() as connection:
        key = _find(connection, name)
        later = User.session_version + 1
        connection.execute(update(User).where(User.id == key).values(password_hash=hashed, session_version=later))
        audit.append(connection, [audit.Event("change", "user", name, {"field": "password"})])


def remove_user(registry: Registry, name: str) -> None:
    """Close an account: nobody can sign in with it, and its open sessions end. Its name stays in the audit trail."""
    with registry.writing() as connection:
        key = _find(connection, name)
        closed = {"active": False, "password_hash": None, "session_version": User.session_version + 1}
        connection.execute(update(User).where(User.id == key).values(closed))
        audit.append(connection, [audit.Event("remove", "user", name, {})])


def list_users(connection: Connection) -> list[dict[str, Any]]:
    """Every account by name: name, role, display_name, active, created."""
    rows = connection.execute(select(User.__table__).order_by(User.name))
    return [
        {
            "name": row.name, "role": row.role, "display_name": row.display_name, "active": row.active,
            "created": f"{row.created_at:%Y-%m-%d %H:%M}",
        }
        for row in rows
    ]  # fmt: skip


def any_user(connection: Connection) -> bool:
    """Whether anyone can sign in."""
    return connection.execute(select(User.id).where(User.active).limit(1)).first() is not None


def account(connection: Connection, key: int) -> Account | None:
    """The active account with this key."""
    row = connection.execute(select(User.__table__).where(User.id == key, User.active)).one_or_none()
    return None if row is None else _account(row)


def sign_in(registry: Registry, name: str, password: str, *, address: str) -> Account:
    """The account of this name, if the password is its own.

    Raises SignInRefusedError without saying whether the name exists; after too many failures for a name or from an
    address the right password is refused too, until 15 minutes have passed.
    """
    with registry.reading() as connection:
        row = connection.execute(select(User.__table__).where(User.name == name, User.active)).one_or_none()
        too_many = _too_many(connection, name, address)
    right = not too_many and _fits(row.password_hash if row else None, password)
    accepted = right and row is not None
    why = "too many attempts" if too_many else "name and password do not fit"
    with registry.writing(wait_seconds=_WRITER_WAIT_SECONDS) as connection:
        now = audit.utc_now()
        connection.execute(delete(SignInAttempt).where(SignInAttempt.at < now - WINDOW))
        if accepted:
            connection.execute(delete(SignInAttempt).where(SignInAttempt.name == _counted(name)))
        elif not too_many:
            connection.execute(insert(SignInAttempt).values(name=_counted(name), address=address, at=now))
        # People type passwords where the name belongs, so that only names of users go into the trail.
        known = name if row is not None else "unknown"
        detail = {"address": address} | ({} if accepted else {"reason": why})
        event = audit.Event("sign in" if accepted else "sign-in refused", "user", known, detail)
        audit.append(connection, [event], actor=known)
    if too_many:
        raise SignInRefusedError(
            "Too many failed attempts.", remedy=f"Wait {WINDOW.seconds // 60} minutes and try again."
        )
    if not accepted:
        raise SignInRefusedError("Name and password do not fit.", remedy="Check both; capital letters matter.")
    return _account(row)


def record_sign_out(registry: Registry, who: Account) -> None:
    """Note in the audit trail that someone signed out."""
    with registry.writing(wait_seconds=_WRITER_WAIT_SECONDS) as connection:
        audit.append(connection, [audit.Event("sign out", "user", who.name, {})], actor=who.name)


def _account(row: Any) -> Account:
    return Account(row.id, row.name, row.role, row.display_name or row.name, row.session_version)


def _find(connection: Connection, name: str) -> int:
    key = connection.execute(select(User.id).where(User.name == name, User.active)).scalar_one_or_none()
    if key is None:
        names = connection.execute(select(User.name).where(User.active)).scalars().all()
        raise UsageError(f"There is no user '{name}'.", remedy=suggestion(name, names) if names else "There are none.")
    return key


def _check_password(name: str, password: str) -> None:
    if not LEAST_LENGTH <= len(password) <= MOST_LENGTH:
        raise UsageError(
            f"A password has {LEAST_LENGTH} to {MOST_LENGTH} characters.", remedy="Several words make a good one."
        )
    if name in password.lower() or len(set(password)) < 5:
        raise UsageError("This password is easily guessed.", remedy="Leave out the name, and use more characters.")


def _too_many(connection: Connection, name: str, address: str) -> bool:
    recent = select(func.count()).select_from(SignInAttempt).where(SignInAttempt.at >= audit.utc_now() - WINDOW)
    of_name = connection.execute(recent.where(SignInAttempt.name == _counted(name))).scalar_one()
    of_address = connection.execute(recent.where(SignInAttempt.address == address)).scalar_one()
    return of_name >= MOST_FAILURES_OF_NAME or of_address >= MOST_FAILURES_OF_ADDRESS


def _counted(name: str) -> str:
    """What attempts for a name are counted under: its hash, since people type passwords where the name belongs."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()


def _fits(hashed: str | None, password: str) -> bool:
    try:
        _hasher().verify(hashed or _hash_of_nobody(), password[: MOST_LENGTH + 1])
    except (VerificationError, InvalidHashError):
        return False
    return hashed is not None
