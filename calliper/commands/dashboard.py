"""`calliper dashboard`: the pages that a study team opens every day."""

from __future__ import annotations

from typing import Annotated

import typer

from calliper.options import DEFAULT_WORKSPACE, Workspace


def dashboard(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen here; other than this machine needs accounts.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8050,
    behind_proxy: Annotated[
        bool,
        typer.Option("--behind-proxy", help="A proxy in front speaks TLS and sets X-Forwarded-For, -Proto, -Host."),
    ] = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Serve the dashboard until Ctrl-C.

    With no account, on this machine alone, it opens at once as a local demonstration; anywhere else people sign in, and
    it does not start before there is an account (calliper user add).
    """
    from calliper.console import remark
    from dashboards.server import serve
    from dashboards.settings import Settings

    def ready(address: str, users: bool) -> None:
        print(f"Dashboard: {address}", flush=True)
        if not users:
            remark("There is no account: whoever is at this machine sees everything. Stop with Ctrl-C.")

    try:
        serve(workspace, Settings(host, behind_proxy), port, ready=ready)
    except KeyboardInterrupt:
        remark("Stopped.")
