"""Keys that reports are signed with: a person's own (Ed25519), and the workspace's (HMAC-SHA-256).

A person's private key is a file of PKCS #8 under a passphrase (RFC 5958, RFC 8410); only the public key is registered.
Whoever has the file and the passphrase can sign in that name, and nobody else can: neither the registry's operators nor
Calliper. The workspace's key is a file of the workspace: whoever may write there can sign with it in any name, so that
it shows that a record was made by this workspace and not changed by anybody without the key, and not who made it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from sqlalchemy import Connection, insert, select, update

from reports.files import write_atomically
from studies.errors import DataError, StorageError, UsageError
from studies.registry import audit
from studies.registry.schema import SignerKey
from studies.registry.workspace import Registry

ED25519, HMAC = "ed25519", "hmac-sha256"
PROVES = {
    ED25519: "made with the private key that belongs to this public key, over exactly this statement and this report. "
    "That the key is this person's rests on who registered it, and on its fingerprint where the person has made it "
    "known elsewhere",
    HMAC: "made with this workspace's key: the statement and the report are as this workspace recorded them. Whoever "
    "may read the key of the workspace could have made it, in any name; elsewhere it cannot be checked",
}
LEAST_PASSPHRASE = 12
_DOMAIN = b"calliper-signature-1\n"
"""Stands before every statement, so that no signature over something else can be taken for one over a statement."""
_WORKSPACE_KEY = Path("keys") / "workspace.key"


@dataclass(frozen=True)
class KeyRecord:
    """A registered public key."""

    id: int
    name: str
    fingerprint: str
    public_key: str
    registered_at: datetime
    registered_by: str
    revoked_at: datetime | None
    revoked_because: str | None


def fingerprint_of(public_key: str) -> str:
    """SHA-256 (hex) of the public key (hex)."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()


def short_fingerprint(fingerprint: str) -> str:
    """The fingerprint as people compare it: its first 128 bits in groups of four."""
    return " ".join(fingerprint[start : start + 4] for start in range(0, 32, 4))


# A person's key ------------------------------------------------------------------------------------------------------


def make_key(path: Path, passphrase: str) -> str:
    """Make a private key and write it to `path`, for its owner's eyes alone. Returns the public key (hex).

    Raises `UsageError` for a short passphrase or a file that is there already, `StorageError` where it cannot be
    written.
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise UsageError(
            f"The passphrase has {len(passphrase)} characters.", remedy=f"Take at least {LEAST_PASSPHRASE}."
        )
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except FileExistsError:
        raise UsageError(
            f"There is a file {path} already.", remedy="A key is never overwritten: name another."
        ) from None
    except OSError as error:
        raise StorageError(f"The key cannot be written: {error.strerror or error}.", where=str(path)) from None
    return _hex(key.public_key())


def open_key(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """Read a private key. Raises `UsageError` where it cannot be read or the passphrase is not its own."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"The key cannot be read: {error.strerror or error}.", where=str(path)) from None
    try:
        key = load_pem_private_key(data, passphrase.encode())
    except TypeError:
        raise UsageError(
            "The key is not protected by a passphrase.", where=str(path),
            remedy="Make one with calliper report key create.",
        ) from None  # fmt: skip
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(
            "The key cannot be opened: the passphrase is wrong, or the file is no private key.", where=str(path)
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("The key is not one of Ed25519.", where=str(path))
    return key


def read_public_key(path: Path) -> str:
    """A public key (hex) from a PEM file. Raises `UsageError` where it is none."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UsageError(f"The key cannot be read: {error.strerror or error}.", where=str(path)) from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError("This is no public key of Ed25519 in PEM form.", where=str(path))
    return _hex(key)


def write_public_key(public_key: str, path: Path) -> Path:
    """Write a public key (hex) as PEM, to be given to whoever registers or checks it."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    return write_atomically(path, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def public_of(key: Ed25519PrivateKey) -> str:
    """The public key (hex) of a private one."""
    return _hex(key.public_key())


def _hex(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


# Registered keys ------------------------------------------------------------------------------------------------------


def list_keys(connection: Connection) -> list[KeyRecord]:
    """All keys, by name and age."""
    rows = connection.execute(select(SignerKey.__table__).order_by(SignerKey.name, SignerKey.id))
    return [KeyRecord(*row) for row in rows]


def find_key(connection: Connection, fingerprint: str) -> KeyRecord | None:
    """The key of this fingerprint."""
    row = connection.execute(select(SignerKey.__table__).where(SignerKey.fingerprint == fingerprint)).one_or_none()
    return KeyRecord(*row) if row else None


def register_key(registry: Registry, name: str, public_key: str) -> KeyRecord:
    """Register a public key as a person's. Raises `UsageError` without a name, and for a key that is there."""
    name = " ".join(name.split())
    if not name:
        raise UsageError("A key needs the name of its owner.", remedy="Give it with --name.")
    fingerprint = fingerprint_of(public_key)
    with registry.writing() as connection:
        known = find_key(connection, fingerprint)
        if known is not None:
            raise UsageError(f"This key is registered already, as that of {known.name}.")
        row = {
            "name": name, "fingerprint": fingerprint, "public_key": public_key, "registered_at": audit.utc_now(),
            "registered_by": audit.current_actor(),
        }  # fmt: skip
        connection.execute(insert(SignerKey).values(**row))
        detail = {"name": name, "public_key": public_key}
        audit.append(connection, [audit.Event("register", "signer_key", fingerprint, detail)])
        found = find_key(connection, fingerprint)
    assert found is not None
    return found


def revoke_key(registry: Registry, fingerprint: str, *, reason: str) -> KeyRecord:
    """Let a key sign no more; what it has signed stays, with a remark. `fingerprint` may be its beginning."""
    wanted = "".join(fingerprint.split()).lower()
    if not reason.strip():
        raise UsageError("To revoke a key needs a reason.", remedy="Give it with --reason.")
    with registry.writing() as connection:
        found = [key for key in list_keys(connection) if len(wanted) >= 8 and key.fingerprint.startswith(wanted)]
        if len(found) != 1:
            what = "Several keys begin" if found else "No key begins"
            raise UsageError(
                f"{what} with '{fingerprint}'.", remedy="See calliper report key list; give 8 digits or more."
            )
        if found[0].revoked_at is not None:
            raise UsageError(f"This key of {found[0].name} is revoked already.")
        change = {"revoked_at": audit.utc_now(), "revoked_because": reason.strip()}
        connection.execute(update(SignerKey).where(SignerKey.id == found[0].id).values(**change))
        detail = {"name": found[0].name, "reason": reason.strip()}
        audit.append(connection, [audit.Event("revoke", "signer_key", found[0].fingerprint, detail)])
        return find_key(connection, found[0].fingerprint)  # type: ignore[return-value]


# Signatures over bytes ------------------------------------------------------------------------------------------------


def sign_with_key(key: Ed25519PrivateKey, statement: str) -> str:
    """Ed25519 signature (hex) of a statement."""
    return key.sign(_DOMAIN + statement.encode()).hex()


def sign_with_workspace(registry: Registry, statement: str) -> str:
    """HMAC (hex) of a statement under the workspace's key, which is made where there is none."""
    return _mac(_workspace_key(registry, create=True), statement)


def holds(public_key: str, statement: str, value: str) -> bool:
    """Whether an Ed25519 signature is one of this public key over this statement."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(value), _DOMAIN + statement.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def workspace_holds(registry: Registry, statement: str, value: str) -> bool:
    """Whether an HMAC is one of the workspace's key over this statement. Raises `DataError` without that key."""
    return hmac.compare_digest(_mac(_workspace_key(registry, create=False), statement), value)


def _mac(key: bytes, statement: str) -> str:
    return hmac.new(key, _DOMAIN + statement.encode(), hashlib.sha256).hexdigest()


def _workspace_key(registry: Registry, *, create: bool) -> bytes:
    path = registry.folder / _WORKSPACE_KEY
    try:
        if create and not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            made = path.with_name(f".{secrets.token_hex(6)}.partial")
            handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(made, path)  # fails where another process was first
            except FileExistsError:
                pass
            finally:
                made.unlink()
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        raise DataError("The workspace's key is not there.", where=str(path)) from None
    except OSError as error:
        raise StorageError(f"The workspace's key cannot be used: {error.strerror or error}.", where=str(path)) from None
    except ValueError:
        raise DataError(
            "The workspace's key is damaged.", where=str(path), remedy="Restore it from a backup."
        ) from None
    if len(key) != 32:
        raise DataError("The workspace's key is damaged.", where=str(path), remedy="Restore it from a backup.")
    return key


def key_facts(key: KeyRecord | None) -> dict[str, Any] | None:
    """What travels with a signature of its key."""
    if key is None:
        return None
    return {
        "name": key.name, "fingerprint": key.fingerprint, "public_key": key.public_key,
        "registered_at": key.registered_at.isoformat(), "registered_by": key.registered_by,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None, "revoked_because": key.revoked_because,
    }  # fmt: skip
