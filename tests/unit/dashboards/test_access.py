"""Who gets in: sign-in, roles, forgery, limits, headers; on every address, Dash's own too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from asking import ask, text_of
from flask.testing import FlaskClient
from small_study import STUDY

from dashboards.access import LOCAL_HOSTS
from dashboards.app import create_app
from dashboards.server import check_users
from dashboards.settings import Settings, is_loopback
from studies.errors import UsageError
from studies.registry import users
from studies.registry.audit import newest_events
from studies.registry.users import add_user, remove_user, set_password
from studies.registry.workspace import Registry

PASSWORD = "long enough to be good"
OWN = ["/_dash-layout", "/_dash-dependencies", f"/export/study/{STUDY}/results.json", f"/report/{STUDY}/1/report.html"]


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same algorithm with less work, since these tests are not about how long it takes."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(users, "_hasher", lambda: quick)
    users._hash_of_nobody.cache_clear()
    yield
    users._hash_of_nobody.cache_clear()


@pytest.fixture
def people(registry: Registry) -> Registry:
    for role in ("viewer", "analyst", "admin"):
        add_user(registry, f"the-{role}", role, PASSWORD)
    return registry


def token_in(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found.group(1)


def sign_in(client: FlaskClient, name: str, password: str = PASSWORD, target: str = "") -> Any:
    where = f"/sign-in?next={target}" if target else "/sign-in"
    form = {"name": name, "password": password, "csrf_token": token_in(client.get(where).text)}
    return client.post(where, data=form)


@pytest.fixture
def client(people: Registry) -> FlaskClient:
    return create_app(people).server.test_client()


def test_nobody_gets_in_without_signing_in(client: FlaskClient) -> None:
    answer = client.get(f"/study/{STUDY}/overview?sex=F")
    assert answer.status_code == 302
    assert answer.location == f"/sign-in?next=%2Fstudy%2F{STUDY}%2Foverview%3Fsex%3DF"
    for address in OWN:
        assert client.get(address).status_code in (302, 401), address
    assert client.get("/_dash-layout").status_code == 401
    assert client.post("/_dash-update-component", json={}).status_code in (400, 401)


def test_every_address_of_the_server_is_guarded(client: FlaskClient) -> None:
    server = client.application
    values = {"study": STUDY, "item": "S-0000", "subject": "S-0000", "scan": 1, "kind": "photo", "seen": "front"}
    values |= {
        "name": "x",
        "number": 1,
        "path": "x",
        "package_name": "dash",
        "fingerprinted_path": "x",
        "filename": "x",
    }
    with server.test_request_context():
        adapter = server.url_map.bind("localhost")
        for rule in server.url_map.iter_rules():
            if "GET" not in rule.methods or rule.rule.startswith(("/assets", "/_dash-component-suites", "/_favicon")):
                continue
            address = adapter.build(rule.endpoint, {name: values.get(name, "x") for name in rule.arguments})
            if address != "/sign-in":
                assert client.get(address).status_code in (302, 401), rule


def test_signing_in_and_out(client: FlaskClient, people: Registry) -> None:
    answer = sign_in(client, "the-viewer", target=f"/study/{STUDY}/overview")
    assert answer.status_code == 302
    assert answer.location == f"/study/{STUDY}/overview"
    assert "the-viewer (viewer)" in text_of(ask(client, f"/study/{STUDY}/overview"))
    token = client.get_cookie("_csrf_token")
    assert token is not None
    assert client.post("/sign-out", data={"csrf_token": token.value}).location == "/sign-in"
    assert client.get("/_dash-layout").status_code == 401
    with people.reading() as connection:
        actions = [(event["action"], event["actor"]) for event in newest_events(connection, 2)]
    assert actions == [("sign out", "the-viewer"), ("sign in", "the-viewer")]


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(client: FlaskClient, people: Registry) -> None:
    answers = [sign_in(client, name, "not the password") for name in ("the-viewer", "nobody-at-all")]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert len({re.sub(r'value="[^"]+"', "", answer.text) for answer in answers}) == 1
    with people.reading() as connection:
        told = newest_events(connection, 2)
    assert [event["action"] for event in told] == ["sign-in refused"] * 2
    assert told[0]["entity_key"] == "unknown", "a name that nobody has may be a password"


def test_attempts_are_limited(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(users.MOST_FAILURES_OF_NAME):
        assert "do not fit" in sign_in(client, "the-admin", "wrong wrong wrong").text
    assert "Too many failed attempts" in sign_in(client, "the-admin").text
    assert sign_in(client, "the-viewer").status_code == 302, "another name is not locked out"
    later = users.audit.utc_now() + users.WINDOW + timedelta(seconds=1)
    monkeypatch.setattr(users.audit, "utc_now", lambda: later)
    assert sign_in(create_app_of(client), "the-admin").status_code == 302


def create_app_of(client: FlaskClient) -> FlaskClient:
    """Another browser at the same server."""
    return client.application.test_client()


@pytest.mark.parametrize(
    "target", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere", "javascript:x"]
)
def test_signing_in_leads_to_no_other_server(client: FlaskClient, target: str) -> None:
    assert sign_in(client, "the-viewer", target=target).location == "/"


def test_requests_from_elsewhere_are_refused(client: FlaskClient) -> None:
    sign_in(client, "the-admin")
    client.get("/")
    answer = client.post("/_dash-update-component", json={"output": "x"})
    assert answer.status_code == 401
    assert "too old" in answer.text
    assert client.post("/sign-out").status_code == 400
    assert client.post("/sign-in", data={"name": "the-admin", "password": PASSWORD}).status_code == 400


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda registry: remove_user(registry, "the-viewer"), "removed"),
        (lambda registry: set_password(registry, "the-viewer", "another long password"), "given another password"),
    ],
    ids=["removed", "password"],
)
def test_a_session_ends_when_its_user_is(
    client: FlaskClient, people: Registry, change: Callable[[Registry], None], what: str
) -> None:
    sign_in(client, "the-viewer")
    assert client.get("/_dash-layout").status_code == 200
    change(people)
    assert client.get("/_dash-layout").status_code == 401, f"still signed in after being {what}"


def test_a_session_ends_some_time_after_signing_in(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(client, "the-viewer")
    later = users.audit.utc_now() + Settings().longest + timedelta(seconds=1)
    monkeypatch.setattr(users.audit, "utc_now", lambda: later)
    assert client.get("/_dash-layout").status_code == 401


@pytest.mark.parametrize(("role", "sees"), [("viewer", False), ("analyst", False), ("admin", True)])
def test_the_trail_is_for_admins(client: FlaskClient, role: str, sees: bool) -> None:
    sign_in(client, f"the-{role}")
    text = text_of(ask(client, f"/study/{STUDY}/audit"))
    assert ("The chain of hashes is" in text) is sees
    assert ("This page is not for you" in text) is not sees
    assert client.get(f"/export/study/{STUDY}/audit/table-trail.csv").status_code == (200 if sees else 403)


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("analyst", True)])
def test_what_a_viewer_may_not_do(client: FlaskClient, role: str, may: bool) -> None:
    sign_in(client, f"the-{role}")
    assert ("Make a report" in text_of(ask(client, f"/study/{STUDY}/reports"))) is may
    subject = str(ask(client, f"/study/{STUDY}/subject/S-0000"))
    assert ("/photo/front" in subject) is may
    photo = client.get(f"/picture/{STUDY}/S-0000/1/photo/front")
    assert photo.status_code == (200 if may else 403)


def test_headers(client: FlaskClient) -> None:
    sign_in(client, "the-admin")
    for address in ("/", "/sign-in", "/_dash-layout", "/assets/calliper.js"):
        with client.get(address) as answer:
            headers = answer.headers
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert "unsafe-inline" not in policy["script-src"]
        assert "unsafe-eval" not in headers["Content-Security-Policy"]
        assert "http" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
    assert client.get("/").headers["Cache-Control"] == "no-store"


def test_session_cookies_are_out_of_reach_of_scripts(client: FlaskClient) -> None:
    sign_in(client, "the-viewer")
    cookie = client.get_cookie("calliper_session")
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"


# The local demonstration ----------------------------------------------------------------------------------------------


def test_without_accounts_it_opens_here_and_says_so(registry: Registry) -> None:
    client = create_app(registry).server.test_client()
    assert "Local demo" in text_of(ask(client, "/"))
    assert client.get("/sign-in").location == "/"


def test_without_accounts_it_does_not_start_elsewhere(registry: Registry) -> None:
    for settings in (Settings("0.0.0.0"), Settings("192.0.2.1"), Settings(behind_proxy=True)):
        with pytest.raises(UsageError, match="no account yet"):
            check_users(registry, settings)
    assert check_users(registry, Settings()) is False


def test_a_demonstration_is_for_this_machine_alone(registry: Registry) -> None:
    client = create_app(registry).server.test_client()
    assert client.get("/", headers={"Host": "rebound.example"}).status_code == 400
    assert client.get("/", headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 403
    assert client.get("/", headers={"Host": LOCAL_HOSTS[0]}).status_code == 200


def test_the_first_account_ends_the_demonstration(registry: Registry) -> None:
    client = create_app(registry).server.test_client()
    assert client.get("/_dash-layout").status_code == 200
    add_user(registry, "first", "admin", PASSWORD)
    assert client.get("/_dash-layout").status_code == 401


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("calliper.example", False),
    ],
)
def test_which_addresses_are_this_machine(host: str, local: bool) -> None:
    assert is_loopback(host) is local
