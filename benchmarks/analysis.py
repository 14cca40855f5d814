"""The whole of `calliper agree` on a large table: time, processor time and peak memory of the command alone.

    python benchmarks/analysis.py [--pairs 1000 10000 100000] [--resamples 10000] [--repeats 1] [--subjects]

The table has one reference, three tests (one of them missing in every tenth row) and five attributes of 2 to 6 groups;
the command reads it from CSV, compares every test with the reference overall and in 20 groups, every pair of tests, and
writes all numbers as JSON. With `--subjects` every second subject has two rows, so that everything is resampled by
subject. The command is a process of its own; what it prints is checked against the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import print_machine, print_rows, spread

TESTS, GROUPS = 3, (2, 3, 4, 5, 6)
# Runs the command and reports the process's own peak, as only a process's parent can learn it.
RUN = (
    "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
    "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
    "print(used.ru_maxrss, used.ru_utime + used.ru_stime); sys.exit(code)"
)


def cohort(n: int, *, repeated: bool) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    dxa = rng.normal(30, 8, n)
    subject = np.arange(n) // 3 * 2 + np.minimum(np.arange(n) % 3, 1) if repeated else np.arange(n)
    table = {"subject_id": [f"S-{i:06d}" for i in subject], "dxa": dxa}
    table |= {f"test{i}": dxa + rng.normal(0.2, i + 2, n) for i in range(TESTS)}
    table["test2"][::10] = np.nan
    table |= {f"by{i}": [f"g{g}" for g in rng.integers(0, k, n)[subject]] for i, k in enumerate(GROUPS)}
    return pd.DataFrame(table)


def command(source: Path, target: Path, resamples: int) -> list[str]:
    tests = [part for i in range(TESTS) for part in ("--test", f"test{i}")]
    groups = [part for i in range(len(GROUPS)) for part in ("--by", f"by{i}")]
    return [
        sys.executable, "-m", "calliper", "agree", str(source), "--reference", "dxa", *tests, *groups,
        "--subject", "subject_id", "--resamples", str(resamples), "--json", str(target),
    ]  # fmt: skip


def measure(n: int, resamples: int, *, repeated: bool) -> dict[str, float]:
    table = cohort(n, repeated=repeated)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "table.csv"), Path(folder, "results.json")
        table.to_csv(source, index=False)
        began = time.perf_counter()
        told = subprocess.run(
            [sys.executable, "-c", RUN, *command(source, target, resamples)],
            check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1],
        ).stdout.split()  # fmt: skip
        seconds = time.perf_counter() - began
        found = json.loads(target.read_text(encoding="utf-8"))
    error = np.abs(table["test0"] - table["dxa"]).mean()
    assert found["n"] == n, "rows were lost"
    assert abs(found["tests"]["test0"]["mae"]["estimate"] - error) < 1e-9 * error, "the MAE is another"
    assert all(len(found["subgroups"][f"by{i}"]["by_group"]) == k for i, k in enumerate(GROUPS)), "groups are missing"
    return {"seconds": seconds, "cpu": float(told[1]), "memory": int(told[0]) * 1024 / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--subjects", action="store_true", help="every second subject has two rows")
    options = parser.parse_args()
    rows = []
    for n in options.pairs:
        runs = [measure(n, options.resamples, repeated=options.subjects) for _ in range(options.repeats)]
        parts = [
            spread([run[name] for run in runs], digits) for name, digits in (("seconds", 1), ("cpu", 1), ("memory", 0))
        ]
        rows.append((f"{n:,}", *parts))
    kind = "subjects with one and two rows" if options.subjects else "one row a subject"
    print(f"{TESTS} tests, {len(GROUPS)} attributes, {options.resamples:,} resamples, {kind}\n")
    print_rows(("pairs", "seconds", "processor seconds", "peak memory, MB"), rows)
    print_machine(options.repeats)


if __name__ == "__main__":
    main()
