"""Serving the dashboard: web servers that share one address, one for each processor, and the worker beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from dashboards.app import create_app
from dashboards.settings import Settings
from dashboards.warm import warm
from studies.errors import StorageError, UsageError
from studies.registry.users import any_user
from studies.registry.workspace import Registry, open_registry

MOST_SERVERS = 4
"""Web servers at most: each holds the analyses that its pages show in its own memory."""
SETTLED_SECONDS = 3.0
"""How long after the start the first server has the machine to itself, so that the first page comes soon."""


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


def make(registry: Registry, settings: Settings, port: int, *, descriptor: int | None = None) -> BaseWSGIServer:
    """A server that listens; port 0 takes a free one. Raises StorageError where the address cannot be used.

    descriptor: of a socket that listens already, which is then shared.
    """
    app = create_app(registry, settings)
    try:
        server = make_server(
            settings.host, port, app.server, threaded=True, request_handler=QuietHandler, fd=descriptor
        )
    except (OSError, SystemExit) as error:
        raise StorageError(
            f"The dashboard cannot listen on {settings.host}, port {port}.",
            remedy="Another program may be using it; give another one with --port.",
        ) from error
    # Of several servers that are told of one request, those that come late must not wait for the next.
    server.socket.setblocking(False)
    return server


def servers_wanted() -> int:
    """How many processes answer requests: one computes for one page at a time."""
    return min(len(os.sched_getaffinity(0)), MOST_SERVERS)


@contextmanager
def beside(*command: str, shared: tuple[int, ...] = ()) -> Iterator[None]:
    """Another process of ours, for as long as the context lasts; it ends when its standard input does.

    It has a session of its own, so that Ctrl-C reaches whoever started it and not itself. shared: descriptors that it
    gets, too.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", *command], stdin=subprocess.PIPE, pass_fds=shared, start_new_session=True
    )
    try:
        yield
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.terminate()  # jobs may be broken off anywhere; the next worker takes them up again
            process.wait()


def worker_beside(workspace: Path) -> AbstractContextManager[None]:
    """A worker for as long as the context lasts."""
    return beside("dashboards.worker", str(workspace))


def serve(workspace: Path, settings: Settings, port: int, *, ready=None) -> None:
    """Serve until interrupted. ready: told the address once requests are answered, and whether there are accounts."""
    with open_registry(workspace) as registry:
        users = check_users(registry, settings)
        server = make(registry, settings, port)
        with worker_beside(workspace), ExitStack() as others:
            if ready is not None:
                shown = f"[{settings.host}]" if ":" in settings.host else settings.host
                ready(f"http://{shown}:{server.server_port}/", users)
            settled = threading.Timer(SETTLED_SECONDS, _settle, (others, workspace, settings, server.fileno()))
            settled.daemon = True
            settled.start()
            try:
                server.serve_forever()
            finally:
                settled.cancel()
                settled.join()
                server.server_close()


def _settle(others: ExitStack, workspace: Path, settings: Settings, descriptor: int) -> None:
    """What makes later pages come sooner: the other servers, and what the first avatar would wait for."""
    for _ in range(servers_wanted() - 1):
        command = ("dashboards.server", str(workspace), json.dumps(settings.plain()), str(descriptor))
        others.enter_context(beside(*command, shared=(descriptor,)))
    threading.Thread(target=warm, daemon=True).start()


def main(workspace: str, settings: str, descriptor: str) -> None:
    """One of several servers, until standard input ends: python -m dashboards.server WORKSPACE SETTINGS DESCRIPTOR."""
    with open_registry(Path(workspace)) as registry:
        server = make(registry, Settings.of_plain(json.loads(settings)), 0, descriptor=int(descriptor))
        warm()

        def watch() -> None:
            sys.stdin.read()
            server.shutdown()

        threading.Thread(target=watch, daemon=True).start()
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
