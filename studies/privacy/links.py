"""The link table: which pseudonym stands for which of the site's own identifiers. Apart from the registry.

`CALLIPER_LINKS` says where: the path of an SQLite file outside the workspace, or the address of a database. Whoever has
the registry alone cannot tell whom a pseudonym stands for, and whoever has the link table alone knows nothing of them.
Pseudonyms are drawn at random; nothing of the identifier is in them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    delete,
    insert,
    select,
)
from sqlalchemy.engine import URL

from studies.errors import PlanError, StorageError
from studies.privacy.remnants import scrub_engine
from studies.registry import database

VARIABLE = "CALLIPER_LINKS"
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing that looks like something else
_LENGTH = 8
_AT_ONCE = 400
_WAIT_SECONDS = 60

_METADATA = MetaData()
_LINK = Table(
    "link",
    _METADATA,
    Column("registry", String, primary_key=True),
    Column("study", String, primary_key=True),
    Column("identifier", String, primary_key=True),
    Column("pseudonym", String, nullable=False),
    Column("created_at", DateTime, nullable=False),
    UniqueConstraint("registry", "study", "pseudonym", name="uq_link_pseudonym"),
)


def open_links(workspace: Path, registry_id: str) -> LinkTable | None:
    """The link table of a registry; None where CALLIPER_LINKS names none. It is made where it is not there.

    Raises PlanError where it lies inside the workspace, and StorageError where it cannot be used.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return None
    if "://" in given:
        url = database.database_url(workspace, given)
    else:
        path = Path(given).expanduser().resolve()
        if path.is_relative_to(workspace.resolve()):
            raise PlanError(
                f"{VARIABLE} names a file inside the workspace.",
                where=str(path), remedy="The link table must lie apart: whoever copies the workspace must not have it.",
            )  # fmt: skip
        if not path.parent.is_dir():
            raise StorageError(
                f"The folder of the link table is not there: {path.parent}.", remedy=f"Make it, or change {VARIABLE}."
            )
        if not path.exists():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))  # for its owner alone
        url = URL.create("sqlite+pysqlite", database=str(path))
    configured = os.environ.get("CALLIPER_DATABASE_URL")
    if configured and database.database_url(workspace, configured) == url:
        raise PlanError(
            f"{VARIABLE} names the registry's own database.",
            remedy="The link table must lie apart, in another database.",
        )
    return LinkTable(database.open_engine(url), registry_id)


def needs_links(study: str) -> PlanError:
    """What to say where the link table of a study is needed and not named."""
    return PlanError(
        f"{VARIABLE} does not say where the link table is, which the study '{study}' needs for this.",
        remedy=f"Set {VARIABLE} to a file outside the workspace, or to the address of another database.",
    )


class LinkTable:
    """The links of one registry. Each method is a transaction of its own."""

    def __init__(self, engine: Engine, registry_id: str):
        self.engine, self.registry_id = engine, registry_id
        with self._writing() as connection:
            _METADATA.create_all(connection)

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> LinkTable:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with (
            database.storage_errors(self.engine.url),
            database.writer(self.engine, wait_seconds=_WAIT_SECONDS) as connection,
        ):
            yield connection

    def pseudonyms(self, study: str, identifiers: Iterable[str], *, keep: bool = True) -> dict[str, str]:
        """The pseudonym of each identifier, made where there is none. A pseudonym of the study stands for itself.

        keep: whether new ones are written down; without, they are good for this call alone (a dry run).
        """
        wanted = list(dict.fromkeys(identifiers))
        with self._writing() as connection:
            known = self._known(connection, study, wanted)
            missing = [identifier for identifier in wanted if identifier not in known]
            taken = set(known.values()) | set(wanted)
            new = {}
            for identifier in missing:
                new[identifier] = self._fresh(connection, study, taken)
                taken.add(new[identifier])
            if new and keep:
                now = datetime.now(UTC).replace(tzinfo=None)
                base = {"registry": self.registry_id, "study": study, "created_at": now}
                connection.execute(
                    insert(_LINK), [{**base, "identifier": one, "pseudonym": name} for one, name in new.items()]
                )
        return known | new

    def _known(self, connection: Connection, study: str, identifiers: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(identifiers), _AT_ONCE):
            part = identifiers[start : start + _AT_ONCE]
            mine = self._of(study)
            query = select(_LINK.c.identifier, _LINK.c.pseudonym).where(*mine, _LINK.c.identifier.in_(part))
            found.update((row.identifier, row.pseudonym) for row in connection.execute(query))
            query = select(_LINK.c.pseudonym).where(*mine, _LINK.c.pseudonym.in_(part))
            found.update({name: name for name in connection.execute(query).scalars()})
        return found

    def _fresh(self, connection: Connection, study: str, taken: set[str]) -> str:
        while True:
            name = "P-" + "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
            there = select(_LINK.c.pseudonym).where(*self._of(study), _LINK.c.pseudonym == name)
            if name not in taken and connection.execute(there).scalar_one_or_none() is None:
                return name

    def identifier_of(self, study: str, pseudonym: str) -> str | None:
        """Whom a pseudonym stands for."""
        with database.storage_errors(self.engine.url), self.engine.connect() as connection:
            query = select(_LINK.c.identifier).where(*self._of(study), _LINK.c.pseudonym == pseudonym)
            return connection.execute(query).scalar_one_or_none()

    def pseudonym_of(self, study: str, identifier: str) -> str | None:
        """The pseudonym of an identifier, if it has one."""
        with database.storage_errors(self.engine.url), self.engine.connect() as connection:
            query = select(_LINK.c.pseudonym).where(*self._of(study), _LINK.c.identifier == identifier)
            return connection.execute(query).scalar_one_or_none()

    def remove(self, study: str, pseudonym: str) -> bool:
        """Forget a link, and leave nothing of it in the file. Whether there was one."""
        with self._writing() as connection:
            gone = delete(_LINK).where(*self._of(study), _LINK.c.pseudonym == pseudonym)
            found = connection.execute(gone).rowcount > 0
        if found:
            scrub_engine(self.engine)
        return found

    def _of(self, study: str) -> tuple:
        return _LINK.c.registry == self.registry_id, _LINK.c.study == study
