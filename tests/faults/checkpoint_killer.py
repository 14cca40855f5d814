"""Kills an `add` or `export` of a checkpoint before each of its steps on the disk and in the database, one by one.

Words: workspace to copy, weights, folder, "add" or "export". In `folder`, 0/ is the workspace after a kill before the
first step, 1/ that after a kill before the second, and so on; the last one was left in peace. What was exported is in
N/out. Answer, one line of JSON: the steps in their order.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sqlalchemy import Connection

from models.checkpoints import weights  # noqa: F401
from studies.registry.checkpoints import add_checkpoint, export_checkpoint
from studies.registry.workspace import open_registry

# What changes something, in between which a kill makes a difference; of opening a file, only if it is made by that.
STEPS = [
    (os, "open"), (os, "mkdir"), (os, "rename"), (os, "replace"), (os, "rmdir"),
    (Connection, "execute"), (Connection, "commit"),
]  # fmt: skip


def kill_before(number: int, log: Path) -> None:
    """Let this process be killed before its step of this number; each step is noted."""
    count = 0

    def wrap(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            if name == "open" and not arguments[1] & os.O_CREAT:
                return step(*arguments, **options)
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            with log.open("a") as file:
                file.write(name + "\n")
            return step(*arguments, **options)

        return counted

    for place, name in STEPS:
        setattr(place, name, wrap(name, getattr(place, name)))


def main(prepared: Path, path: Path, folder: Path, what: str) -> list[str]:
    torch.set_num_threads(1)
    number = 0
    while True:
        workspace, log = folder / str(number), folder / f"{number}.log"
        shutil.copytree(prepared, workspace)
        child = os.fork()
        if not child:
            with open_registry(workspace) as registry:
                kill_before(number, log)
                if what == "add":
                    add_checkpoint(registry, path)
                else:
                    export_checkpoint(registry, "tiny@1", workspace / "out")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return log.read_text().split()
        if code != -signal.SIGKILL:
            sys.exit(f"the process ended with {code}")
        number += 1


print(json.dumps(main(*map(Path, sys.argv[1:4]), sys.argv[4])))
