"""A run as a process of its own, to be killed: python run_scans.py WORKSPACE ENGINE DELAY GATE [KIND=CHECKPOINT ...].

With checkpoints the pipeline is the real one, without it is the one in miniature.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def main(workspace: str, engine: str, delay: str, gate: str, *checkpoints: str) -> None:
    from scan_study import STUDY, gated_source, source

    from studies.registry.workspace import open_registry
    from studies.runs.executor import make_executor
    from studies.runs.run import RunModels, run

    files = dict(pair.split("=", 1) for pair in checkpoints)
    pipeline = gated_source(gate, files) if files else source(delay=delay, gate=gate)
    with open_registry(workspace) as registry:
        executor = make_executor(engine, pipeline, 2)
        result = run(registry, STUDY, RunModels(), executor, batch=1 if files else 2)
    print(f"{result.status}: {sum(result.outcomes.values())} outcomes, {result.remaining} remaining")


if __name__ == "__main__":
    main(*sys.argv[1:])
