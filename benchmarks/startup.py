"""How quickly the command answers: `calliper --help` as a whole process, several times.

python benchmarks/startup.py [--repeats 20]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(command: list[str], repeats: int) -> list[float]:
    """Wall seconds of each run, after one that is not counted."""
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
    return sorted(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    print("| command | median, s | slowest, s |\n|---|--:|--:|")
    for arguments in (["--help"], ["ingest", "--help"], ["--version"]):
        taken = seconds([sys.executable, "-m", "calliper", *arguments], repeats)
        print(f"| calliper {' '.join(arguments)} | {statistics.median(taken):.2f} | {taken[-1]:.2f} |")


if __name__ == "__main__":
    main()
