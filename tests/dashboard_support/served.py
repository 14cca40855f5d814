"""A dashboard that is served while a test looks at it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dashboards import worker
from dashboards.server import make
from dashboards.settings import Settings
from studies.registry.workspace import Registry


@contextmanager
def serving(registry: Registry, settings: Settings | None = None, *, working: bool = True) -> Iterator[str]:
    """The address of a dashboard on a free port, with a worker beside it."""
    server = make(registry, settings or Settings(), 0)
    stop = threading.Event()
    threads = [threading.Thread(target=server.serve_forever, daemon=True)]
    if working:
        threads.append(threading.Thread(target=worker.work, args=(registry, stop), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join(timeout=60)
