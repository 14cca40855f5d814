"""Which registry a workspace folder belongs to: the same identity in the database and in a file of the folder.

They differ when the database was swapped for another, or when CALLIPER_DATABASE_URL was forgotten or names another
one. Then no file may be taken for one that belongs to nobody.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from sqlalchemy import Connection, select

from studies.registry.schema import RegistryIdentity

FILE = "workspace.json"


def identity_of(connection: Connection) -> str:
    """The identity in the database."""
    return connection.execute(select(RegistryIdentity.id)).scalar_one()


def note_identity(folder: Path, connection: Connection) -> None:
    """Note in the folder which registry it belongs to, where nothing is noted yet."""
    path = folder / FILE
    if path.exists():
        return
    made = path.with_name(f"{FILE}.{secrets.token_hex(6)}.partial")
    made.write_text(json.dumps({"registry": identity_of(connection)}) + "\n", encoding="utf-8")
    try:
        os.link(made, path)  # does nothing where another process was first
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        os.replace(made, path)
    finally:
        made.unlink(missing_ok=True)


def identity_fault(folder: Path, connection: Connection) -> str | None:
    """How folder and database do not belong together, as a sentence; None where they do."""
    try:
        noted = json.loads((folder / FILE).read_text(encoding="utf-8"))["registry"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"The file {FILE} of the workspace, which says which registry it belongs to, cannot be read."
    if noted != identity_of(connection):
        return f"The database is not the one that this workspace belongs to: it is another registry than {FILE} says."
    return None
