"""Starts `calliper` in processes of their own without the seconds that importing everything takes.

One process imports it all, and forks for each order, a line of JSON on its standard input:
{"words": [...], "environment": {...}, "folder": ..., "largest_file": bytes or null} is answered with the new process's
number, {"wait": number} with its exit status, negative for a signal. The output is in `folder`/out and `folder`/err.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
from typing import Any

import great_expectations  # noqa: F401

import calliper.app
import calliper.commands.ingest
import models.checkpoints.weights  # noqa: F401
import reports.ingest_report  # noqa: F401
import studies.ingest.ingest  # noqa: F401
from calliper.__main__ import main

application = calliper.app.app


def interruptible(**words: Any) -> None:
    """The command line, which can be interrupted from here on: what comes before is the launcher's."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    application(**words)


def child(order: dict) -> None:
    os.environ.update(order["environment"])
    for name, stream in (("out", 1), ("err", 2)):
        handle = os.open(os.path.join(order["folder"], name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if order["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"],) * 2)
    sys.argv = ["calliper", *order["words"]]
    calliper.app.app = interruptible
    main()


def run() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        number = os.fork()
        if number:
            print(number, flush=True)
            continue
        code = 0
        try:
            child(order)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1 if end.code else 0
        except BaseException:
            traceback.print_exc()
            code = 99
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


run()
