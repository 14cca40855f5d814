"""Acts on report trial/1 in processes of their own, to be killed or run side by side, without the seconds of importing.

One process imports everything, and forks for each line of JSON on its standard input: {"act": "report" | "sign" |
"bundle", "workspace": ..., "out": ...} is answered with the new process's number, {"wait": number} with its exit
status, negative for a signal. Nothing is drawn before a fork: threads do not survive one.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
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


def run() -> None:
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
            act(Path(order["workspace"]), order["act"], order.get("out", ""))
        except BaseException:
            traceback.print_exc()
            code = 99
        sys.stderr.flush()
        os._exit(code)


run()
