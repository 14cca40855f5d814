"""What this browser saw of a study last time, so that a page can say what has changed since.

A cookie of its own holds, for each study, the number of the newest event of the trail and when it was shown: of the
visit before, and of the visit that goes on. A visit ends when nothing was shown for as long as a session lasts. It is
signed, and an account that shares the browser with another has its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import flask
from itsdangerous import BadSignature, URLSafeSerializer

from studies.registry import audit
from studies.registry.users import Account

_COOKIE = "calliper_seen"
_KEPT_DAYS = 400
_MOST_STUDIES = 20


@dataclass(frozen=True)
class LastTime:
    """The end of the visit before: the number of the newest event then, and when that was (UTC)."""

    event: int
    at: datetime


def last_time(study: str, account: Account, newest: int) -> LastTime | None:
    """What was seen in the visit before, None in the first one; the answer to this request notes what is seen now.

    newest: the number of the newest event of the trail.
    """
    seen = _read(account)
    now = audit.utc_now()
    before, since = _of(seen.get(study))
    if since is not None and now - since.at > flask.current_app.config["PERMANENT_SESSION_LIFETIME"]:
        before = since
    entry = [*([before.event, before.at.isoformat()] if before else [None, None]), newest, now.isoformat()]
    kept = {name: value for name, value in seen.items() if name != study}
    while len(kept) >= _MOST_STUDIES:
        kept.pop(next(iter(kept)))
    _write_with_answer(account, {**kept, study: entry})
    return before


def _of(entry: Any) -> tuple[LastTime | None, LastTime | None]:
    """The visit before and the one that goes on, as far as they are known."""
    try:
        a, a_at, b, b_at = entry
        before = None if a is None else LastTime(int(a), datetime.fromisoformat(a_at))
        return before, LastTime(int(b), datetime.fromisoformat(b_at))
    except (TypeError, ValueError):
        return None, None


def _serializer() -> URLSafeSerializer:
    return URLSafeSerializer(flask.current_app.secret_key, salt=_COOKIE)


def _name(account: Account) -> str:
    return f"{_COOKIE}_{account.id}"


def _read(account: Account) -> dict[str, Any]:
    try:
        found = _serializer().loads(flask.request.cookies.get(_name(account), ""))
    except BadSignature:
        return {}
    return found if isinstance(found, dict) else {}


def _write_with_answer(account: Account, seen: dict[str, Any]) -> None:
    content = _serializer().dumps(seen)

    @flask.after_this_request
    def write(response: flask.Response) -> flask.Response:
        response.set_cookie(
            _name(account), content, max_age=_KEPT_DAYS * 86_400, httponly=True, samesite="Strict",
            secure=flask.current_app.config["SESSION_COOKIE_SECURE"],
        )  # fmt: skip
        return response
