"""One act on report trial/1 in a process of its own, to be killed or run beside others: act.py WORKSPACE ACT [OUT].

It says "ready" when everything is imported, waits for a line, and acts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import signed_study

from reports.archive import bundle_report
from reports.signing import sign_report
from studies.registry.workspace import open_registry


def act(workspace: Path, what: str, out: str) -> None:
    with open_registry(workspace) as registry:
        if what == "report":
            signed_study.make_report(registry)
        elif what == "sign":
            name = f"Signer {os.getpid()}"
            sign_report(registry, "trial/1", name=name, role="Reader", meaning="reviewer", reason="read")
        else:
            bundle_report(registry, "trial/1", Path(out))


if __name__ == "__main__":
    workspace, what, out = Path(sys.argv[1]), sys.argv[2], [*sys.argv[3:], ""][0]
    print("ready", flush=True)
    sys.stdin.readline()
    act(workspace, what, out)
