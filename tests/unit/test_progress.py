"""Progress at a terminal, and silence elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

_STAGES = """
import sys
from calliper.console import TerminalProgress

progress = TerminalProgress()
with progress.stage("Opening"):
    sys.stdin.readline()
with progress.stage("Reading", 1000) as stage:
    for _ in range(5):
        stage.advance(100)
        sys.stdin.readline()
print("done")
"""
# What is waited for before the next line is given: a bar is drawn several times a second, and on a busy machine later.
_SHOWN = ("Opening", "10%", "20%", "30%", "40%", "50%")


def _at_a_terminal(code: str) -> str:
    """What a person sees at a terminal of their own, escape codes included."""
    process, terminal = pty.fork()
    if not process:
        os.environ["TERM"] = "xterm"
        os.execv(sys.executable, [sys.executable, "-c", code])
    seen, awaited = b"", list(_SHOWN)
    try:
        while block := os.read(terminal, 65536):
            seen += block
            while awaited and awaited[0].encode() in seen:
                awaited.pop(0)
                os.write(terminal, b"\n")
    except OSError:  # how Linux tells that the other end is closed
        pass
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    return seen.decode()


def test_a_terminal_shows_stages_with_percentage_and_time_left() -> None:
    seen = _at_a_terminal(_STAGES)
    for part in (*_SHOWN, "Reading", "left"):
        assert part in seen
    last = seen[seen.rindex("Reading") :]
    assert "100%" in last  # an estimated total is made good at the end
    assert "done" in last


def test_a_stage_of_unknown_length_leaves_nothing_behind() -> None:
    seen = _at_a_terminal(_STAGES)
    erased = "\x1b[2K"
    assert erased in seen[seen.rindex("Opening") : seen.index("Reading")]


def test_elsewhere_it_is_quiet() -> None:
    done = subprocess.run([sys.executable, "-c", _STAGES], input="", capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("done\n", "")
