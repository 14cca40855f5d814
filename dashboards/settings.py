"""How the dashboard is served: where, to whom, for how long a session lasts."""

from __future__ import annotations

import ipaddress
import os
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from studies.errors import StorageError

SECRET_VARIABLE = "CALLIPER_DASHBOARD_SECRET"
_LEAST_SECRET = 32


@dataclass(frozen=True)
class Settings:
    """host: the address that is listened on. behind_proxy: a proxy in front speaks TLS and sets X-Forwarded-For, -Proto
    and -Host. idle, longest: a session ends after so long without a request, and so long after signing in."""

    host: str = "127.0.0.1"
    behind_proxy: bool = False
    idle: timedelta = timedelta(minutes=30)
    longest: timedelta = timedelta(hours=10)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the dashboard."""
        return not self.behind_proxy and is_loopback(self.host)

    def plain(self) -> dict[str, Any]:
        """For another process; `of_plain` makes settings of it again."""
        return {name: getattr(self, name) for name in ("host", "behind_proxy")} | {
            name: getattr(self, name).total_seconds() for name in ("idle", "longest")
        }

    @classmethod
    def of_plain(cls, said: dict[str, Any]) -> Settings:
        times = {name: timedelta(seconds=said[name]) for name in ("idle", "longest")}
        return cls(said["host"], said["behind_proxy"], **times)


def is_loopback(host: str) -> bool:
    """Whether an address or name stands for this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def session_secret(folder: Path) -> bytes:
    """The key that signs sessions: CALLIPER_DASHBOARD_SECRET, else one that is made once and kept in the workspace."""
    given = os.environ.get(SECRET_VARIABLE)
    if given:
        if len(given) < _LEAST_SECRET:
            raise StorageError(
                f"{SECRET_VARIABLE} is too short to sign sessions with.",
                remedy=f"Give at least {_LEAST_SECRET} random characters.",
            )
        return given.encode()
    path = folder / "dashboard.key"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        kept = path.read_bytes()
        if len(kept) >= _LEAST_SECRET:
            return kept
        raise StorageError(f"{path} is damaged.", remedy="Delete it; everyone then has to sign in again.") from None
    with os.fdopen(handle, "wb") as file:
        file.write(made := secrets.token_bytes(48))
    return made
