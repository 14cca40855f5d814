"""Who may see what: sign-in, sessions, and a guard before every address of the server, Dash's own included.

While nobody has an account, and only this machine can reach the server, it is a local demonstration: whoever is at the
machine has all rights, as with the workspace's files, and every page says so.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import flask
from flask import Flask, Response, redirect, render_template, request, session
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError, CSRFProtect, generate_csrf

from dashboards.queries import Queries
from dashboards.security import STATIC
from dashboards.settings import Settings
from studies.errors import CalliperError, StorageError, UsageError
from studies.registry import audit
from studies.registry.users import Account, SignInRefusedError, account, any_user, record_sign_out, sign_in

LOCAL = Account(0, "local", "admin", "Local demonstration", 0)
_SIGN_IN, _SIGN_OUT = "/sign-in", "/sign-out"
_UNAVAILABLE, _UNKNOWN = 503, 404
_OPEN = (*STATIC, _SIGN_IN)
_CSRF_COOKIE = "_csrf_token"  # Dash sends what it holds back as X-CSRFToken, which Flask-WTF checks
LOCAL_HOSTS = ["127.0.0.1", "localhost", "::1", "[::1]"]


class SignedIn(UserMixin):
    """An account as Flask-Login wants it."""

    def __init__(self, who: Account):
        self.account = who

    def get_id(self) -> str:
        return f"{self.account.id}:{self.account.session_version}"


def whoever() -> Account:
    """Whose request this is; the guard has let them in."""
    return flask.g.account


def guard(server: Flask, queries: Queries, settings: Settings, secret: bytes) -> None:
    """Let nobody in but those who may: sessions, forgery protection, the sign-in page, the check of every request."""
    server.config.update(
        SECRET_KEY=secret,
        SESSION_COOKIE_NAME="calliper_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.behind_proxy,
        PERMANENT_SESSION_LIFETIME=settings.idle,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        MAX_CONTENT_LENGTH=2_000_000,
    )
    if settings.on_loopback:
        # Another site's page could otherwise reach a local demonstration under a name of its own.
        server.config["TRUSTED_HOSTS"] = LOCAL_HOSTS
    CSRFProtect(server)
    manager = LoginManager(server)
    manager.session_protection = None  # mobile networks change addresses; sessions are signed and short
    manager.user_loader(lambda key: _load(queries, settings, key))
    server.before_request(lambda: _check(queries, settings))
    server.after_request(_give_csrf_cookie)
    server.add_url_rule(
        _SIGN_IN, view_func=lambda: _sign_in_page(queries, settings), methods=["GET", "POST"], endpoint="sign-in"
    )
    server.add_url_rule(_SIGN_OUT, view_func=lambda: _sign_out(queries), methods=["POST"], endpoint="sign-out")
    server.register_error_handler(CSRFError, _forged)
    server.register_error_handler(CalliperError, told)


def told(error: CalliperError) -> tuple[str, int]:
    """An error as a page of its own, for addresses outside Dash."""
    status = _UNAVAILABLE if isinstance(error, StorageError) else _UNKNOWN if isinstance(error, UsageError) else 400
    return message(error.what, error.remedy or "", status)


def message(title: str, text: str, status: int) -> tuple[str, int]:
    """A page with one message."""
    return render_template("message.html", title=title, text=text), status


def _load(queries: Queries, settings: Settings, key: str) -> SignedIn | None:
    number, _, version = key.partition(":")
    if session.get("signed_in_at", 0) < audit.utc_now().timestamp() - settings.longest.total_seconds():
        return None
    with queries.reading() as connection:
        found = account(connection, int(number))
    return SignedIn(found) if found is not None and str(found.session_version) == version else None


def _check(queries: Queries, settings: Settings) -> Any:
    path = request.path
    if path.startswith(STATIC):
        return None
    with queries.reading() as connection:
        users = any_user(connection)
    flask.g.local = False
    if not users:
        # Behind a proxy a request comes from this machine too, whoever sent it.
        if settings.on_loopback and "X-Forwarded-For" not in request.headers:
            flask.g.account, flask.g.local = LOCAL, True
            session.permanent = True
            return redirect("/") if path == _SIGN_IN else None
        return message("Nobody can sign in.", "There is no account: calliper user add NAME makes one.", 403)
    if current_user.is_authenticated:
        flask.g.account = current_user.account
        return None
    if path.startswith(_OPEN):
        return None
    if request.method == "GET" and not path.startswith("/_dash"):
        target = request.full_path.rstrip("?")
        return redirect(_SIGN_IN if target == "/" else f"{_SIGN_IN}?{urlencode({'next': target})}")
    return Response("Sign in first.", status=401, mimetype="text/plain")


def _give_csrf_cookie(response: Response) -> Response:
    if response.mimetype == "text/html" and not request.path.startswith(STATIC):
        secure = flask.current_app.config["SESSION_COOKIE_SECURE"]
        response.set_cookie(_CSRF_COOKIE, generate_csrf(), secure=secure, samesite="Strict", httponly=False)
    return response


def _forged(error: CSRFError) -> Any:
    if request.path.startswith("/_dash"):  # a page whose session has ended; its script loads it again
        return Response("This page is too old.", status=401, mimetype="text/plain")
    return message("This page is too old.", "Load it again, and try once more.", 400)


def _sign_in_page(queries: Queries, settings: Settings) -> Any:
    target = _own_path(request.args.get("next", ""))
    if current_user.is_authenticated:
        return redirect(target)
    problem, status = "", 200
    if request.method == "POST":
        name, password = request.form.get("name", "").strip(), request.form.get("password", "")
        try:
            who = sign_in(queries.registry, name, password, address=request.remote_addr or "unknown")
        except SignInRefusedError as refused:
            problem, status = str(refused), 401
        else:
            session.clear()  # nothing of before signing in is carried over
            session.permanent = True
            session["signed_in_at"] = audit.utc_now().timestamp()
            login_user(SignedIn(who))
            return redirect(target)
    return render_template("sign_in.html", problem=problem, target=target), status


def _own_path(target: str) -> str:
    """Where to go after signing in: a path of this server, never another one."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and "\\" not in target
    return target if plain and target.isprintable() else "/"


def _sign_out(queries: Queries) -> Any:
    if current_user.is_authenticated:
        record_sign_out(queries.registry, current_user.account)
    logout_user()
    session.clear()
    return redirect(_SIGN_IN)
