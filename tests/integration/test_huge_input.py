"""Input that would fill memory or take for ever is refused soon, in little memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

GIGABYTE = 1 << 30
# What importing everything and opening the registry takes, and the blocks that are read; the file is four times this.
MOST_MEGABYTES = 400


def measured(words: list[str], workspace: Path) -> tuple[subprocess.CompletedProcess[str], float, float]:
    """The command in a process of its own: its end, its seconds of the processor, its greatest resident size in MB."""
    child = (
        "import sys, time; from calliper.__main__ import main\n"
        "try:\n    main()\n"
        # Not ru_maxrss, which begins with what the testing process has when it forks.
        "finally:\n    memory = open('/proc/self/status').read().split('VmHWM:')[1].split()[0]\n"
        "    print('peak', memory, time.process_time(), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", child, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "CALLIPER_WORKSPACE": str(workspace)},
        timeout=600,
        check=False,
    )
    *_, last = done.stderr.split("peak ")
    kilobytes, seconds = last.split()
    return done, float(seconds), int(kilobytes) / 1024


def one_long_line(path: Path) -> None:
    """A header, and a line of 1 GB, of which most is a hole and takes no room on the disk."""
    with path.open("wb") as file:
        file.write(b"subject_id,sex,age\n" + b"x" * (8 << 20))
        file.truncate(GIGABYTE)


def a_hole(path: Path) -> None:
    """1 GB of NUL bytes, as a failed copy leaves it; takes no room on the disk."""
    with path.open("wb") as file:
        file.write(b"subject_id,sex,age\n" + b"S1,F,40\n" * 2000)
        file.truncate(GIGABYTE)


def an_open_quotation_mark(path: Path) -> None:
    """A cell that is opened and not closed, and after it many rows."""
    with path.open("wb") as file:
        file.write(b'subject_id,sex,age\nS1,F,40\n"S2,M,50\n')
        for _ in range(200):
            file.write(b"S3,F,30\n" * 20_000)


CASES = {
    "one long line": (
        one_long_line,
        "subjects.csv, row 2: line 2 is longer than 1,048,576 bytes, too long for a table's row",
    ),
    "a hole": (a_hole, "subjects.csv, row 2,002: holds NUL bytes, so it is not a text file"),
    "an open quotation mark": (
        an_open_quotation_mark,
        "subjects.csv, row 3: a quotation mark opens a cell that is not closed",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_little_memory(desk, tmp_path: Path, case: str) -> None:
    make, said = CASES[case]
    desk.registry.close()
    path = tmp_path / "subjects.csv"
    make(path)
    done, seconds, megabytes = measured(["ingest", "trial", str(path)], desk.registry.folder)
    path.unlink()
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert megabytes < MOST_MEGABYTES
    assert seconds < 60
    assert desk.subjects().empty


def test_resource_is_measured_in_kilobytes() -> None:
    """The measure above trusts Linux's unit: this process surely holds more than 20 MB and less than 20 GB."""
    assert 20_000 < resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 20_000_000
