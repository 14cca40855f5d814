"""Serving the dashboard: the web server, and the worker beside it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from dashboards.app import create_app
from dashboards.settings import Settings
from studies.errors import StorageError, UsageError
from studies.registry.users import any_user
from studies.registry.workspace import Registry, open_registry


class QuietHandler(WSGIRequestHandler):
    """Says nothing of requests that went well, and not what it is made of."""

    server_version = "Calliper"
    sys_version = ""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if str(code)[:1] == "5":
            super().log_request(code, size)


def check_users(registry: Registry, settings: Settings) -> bool:
    """Whether anybody has an account. Raises UsageError where others can reach the dashboard and nobody has."""
    with registry.reading() as connection:
        users = any_user(connection)
    if not users and not settings.on_loopback:
        raise UsageError(
            f"Others could reach the dashboard at {settings.host}, and there is no account yet.",
            remedy="Make one first, with calliper user add NAME --role admin; or serve it on 127.0.0.1.",
        )
    return users


def make(registry: Registry, settings: Settings, port: int) -> BaseWSGIServer:
    """A server that listens; port 0 takes a free one. Raises StorageError where the address cannot be used."""
    app = create_app(registry, settings)
    try:
        return make_server(settings.host, port, app.server, threaded=True, request_handler=QuietHandler)
    except (OSError, SystemExit) as error:
        raise StorageError(
            f"The dashboard cannot listen on {settings.host}, port {port}.",
            remedy="Another program may be using it; give another one with --port.",
        ) from error


@contextmanager
def worker_beside(workspace: Path) -> Iterator[None]:
    """A worker process for as long as the context lasts."""
    process = subprocess.Popen([sys.executable, "-m", "dashboards.worker", str(workspace)], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        if process.stdin is not None:
            process.stdin.close()  # it ends after the job that it is at
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.terminate()  # jobs may be broken off anywhere; the next worker takes them up again
            process.wait()


def serve(workspace: Path, settings: Settings, port: int, *, ready=None) -> None:
    """Serve until interrupted. ready: told the address once requests are answered, and whether there are accounts."""
    with open_registry(workspace) as registry:
        users = check_users(registry, settings)
        server = make(registry, settings, port)
        with worker_beside(workspace):
            if ready is not None:
                shown = f"[{settings.host}]" if ":" in settings.host else settings.host
                ready(f"http://{shown}:{server.server_port}/", users)
            try:
                server.serve_forever()
            finally:
                server.server_close()
