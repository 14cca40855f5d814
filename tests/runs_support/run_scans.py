"""A run as a process of its own, to be killed: python run_scans.py WORKSPACE ENGINE DELAY."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def main(workspace: str, engine: str, delay: str, gate: str) -> None:
    from scan_study import STUDY, source

    from studies.registry.workspace import open_registry
    from studies.runs.executor import make_executor
    from studies.runs.run import RunModels, run

    with open_registry(workspace) as registry:
        result = run(registry, STUDY, RunModels(), make_executor(engine, source(delay=delay, gate=gate), 2), batch=2)
    print(f"{result.status}: {sum(result.outcomes.values())} outcomes, {result.remaining} remaining")


if __name__ == "__main__":
    main(*sys.argv[1:])
