"""Keys for the photos that are kept, from the environment, and the form of an encrypted file.

`CALLIPER_PHOTO_KEY` is the key that files are written with; `CALLIPER_PHOTO_OLD_KEYS`, separated by commas, are further
ones that files may still be read with. A key is 256 random bits. Files are encrypted with AES-256 in Galois/Counter
Mode under a random nonce each (NIST SP 800-38D), bound to their place in the store: header, hash of the plain content
and media type are authenticated with it, so that one file cannot be put in the place of another.

    9 bytes   b"CALPHOTO" and the version, 1
    8 bytes   number of the key: the first of SHA-256(b"calliper photo key" + key)
    12 bytes  nonce
    rest      ciphertext and tag
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studies.errors import PlanError, StorageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_VARIABLE = "CALLIPER_PHOTO_KEY"
OLD_KEYS_VARIABLE = "CALLIPER_PHOTO_OLD_KEYS"
KEY_BYTES = 32
SUFFIX = ".enc"

_MAGIC = b"CALPHOTO\x01"
_ID_BYTES, _NONCE_BYTES = 8, 12
_HEADER_BYTES = len(_MAGIC) + _ID_BYTES


def new_key() -> str:
    """A fresh random key, as text for the environment."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


@dataclass(frozen=True)
class PhotoKey:
    """One key. Its number tells which key a file needs, and nothing about the key."""

    secret: bytes

    @property
    def id(self) -> str:
        return hashlib.sha256(b"calliper photo key" + self.secret).digest()[:_ID_BYTES].hex()

    def __repr__(self) -> str:  # a key must never come into a message or a log
        return f"PhotoKey({self.id})"


@dataclass(frozen=True)
class PhotoKeys:
    """The keys at hand: `current` to write with (None: files are written as they are), `known` to read with, by id."""

    current: PhotoKey | None
    known: dict[str, PhotoKey]

    @classmethod
    def from_environment(cls) -> PhotoKeys:
        """Raises PlanError where a variable holds something that is no key."""
        current = _given(KEY_VARIABLE)
        old = [key for part in os.environ.get(OLD_KEYS_VARIABLE, "").split(",") if (key := _parse(part))]
        every = [*([current] if current else []), *old]
        return cls(current, {key.id: key for key in every})

    def seal(self, content: bytes, name: str, media_type: str) -> bytes:
        """The encrypted file of a content whose SHA-256 (hex) is `name`. There must be a current key."""
        if self.current is None:
            raise ValueError("no key to encrypt with")
        header = _MAGIC + bytes.fromhex(self.current.id)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = _cipher(self.current)
        return header + nonce + cipher.encrypt(nonce, content, _bound_to(header, name, media_type))

    def open(self, sealed: bytes, name: str, media_type: str) -> bytes:
        """The content of an encrypted file. Raises StorageError where its key is not at hand or it was changed."""
        from cryptography.exceptions import InvalidTag

        needed = key_id(sealed)
        place = f"photo store, file {name[:16]}…"
        if needed is None:
            raise StorageError(
                "This is not an encrypted photo as Calliper writes it.", where=place,
                remedy="Restore it from a backup.",
            )  # fmt: skip
        key = self.known.get(needed)
        if key is None:
            at_hand = f"at hand: {', '.join(self.known)}" if self.known else f"{KEY_VARIABLE} is not set"
            raise StorageError(
                f"This photo is encrypted with key {needed}, which is not at hand ({at_hand}).",
                where=place, remedy=f"Set {KEY_VARIABLE} to that key, or add it to {OLD_KEYS_VARIABLE}.",
            )  # fmt: skip
        header, rest = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        try:
            return _cipher(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _bound_to(header, name, media_type))
        except (InvalidTag, ValueError):
            raise StorageError(
                "This encrypted photo was damaged or exchanged: it does not decrypt under its own key.",
                where=place, remedy="Restore it from a backup.",
            ) from None  # fmt: skip


def key_id(sealed: bytes) -> str | None:
    """The number of the key that a file is encrypted with, from its first bytes; None where it is not encrypted."""
    if len(sealed) < _HEADER_BYTES or not sealed.startswith(_MAGIC):
        return None
    return sealed[len(_MAGIC) : _HEADER_BYTES].hex()


HEADER_BYTES = _HEADER_BYTES
"""How much of a file `key_id` needs."""


def _bound_to(header: bytes, name: str, media_type: str) -> bytes:
    return header + f"{name}\0{media_type}".encode("ascii")


def _cipher(key: PhotoKey) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # of no use to whoever has no key

    return AESGCM(key.secret)


def _given(variable: str) -> PhotoKey | None:
    return _parse(os.environ.get(variable, ""), variable)


def _parse(text: str, variable: str = OLD_KEYS_VARIABLE) -> PhotoKey | None:
    """A key written in base64 (either alphabet) or hexadecimal; None for nothing. The text is never repeated."""
    text = text.strip()
    if not text:
        return None
    try:
        if re.fullmatch(r"[0-9a-fA-F]{64}", text):
            secret = bytes.fromhex(text)
        else:
            plain = text.replace("-", "+").replace("_", "/")
            secret = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != KEY_BYTES:
        raise PlanError(
            f"{variable} holds something that is no key: 32 bytes are needed, in base64 or as 64 hexadecimal digits.",
            remedy="Make a new one with `calliper privacy new-key`, and keep it where the registry is not.",
        )
    return PhotoKey(secret)
