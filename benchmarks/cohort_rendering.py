"""How quickly cohorts are rendered: photos a second, by height of the photos and number of workers.

On a busy machine, what a processor second renders says more than what a second does. Everything is included: bodies
found, photos rendered, compressed and written, workers started.

python benchmarks/cohort_rendering.py [--subjects 100] [--heights 480 640 1280] [--workers 1 2]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

from measuring import MEGABYTE, in_fresh_process, print_machine, print_rows, timed

from studies.rendering.blocks import Recipe
from studies.rendering.cohort import synthesize_cohort


def rendered(subjects: int, height: int, workers: int) -> tuple[float, float, int, float]:
    """Seconds, processor seconds of all processes, photos, and megabytes of photos, of a synthetic cohort."""
    before = processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "cohort"
        with timed() as clock:
            done = synthesize_cohort(out, subjects, Recipe(seed=1, height=height), workers=workers)
        size = sum(path.stat().st_size for path in (out / "photos").iterdir()) / MEGABYTE
    return clock.seconds, processor_seconds() - before, done.photos, size


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=100)
    parser.add_argument("--heights", type=int, nargs="+", default=[480, 640, 1280])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    rendered(2, given.heights[0], 1)  # compiles what is compiled once on a machine
    rows = []
    for height in given.heights:
        for workers in given.workers:
            run = in_fresh_process(rendered, given.subjects, height, workers)
            seconds, processor, photos, size = run.result
            rows.append(
                [
                    f"{height} pixels, {workers} worker{'s' * (workers > 1)}", f"{seconds:.1f}",
                    f"{photos / seconds:.1f}", f"{photos / processor:.1f}", f"{1000 * size / photos:.0f}",
                    f"{run.peak_mb:,.0f}",
                ]
            )  # fmt: skip
    heading = ["", "seconds", "photos a second", "photos a processor second", "kB a photo", "peak memory, MB"]
    print(f"A synthetic cohort of {given.subjects} people\n")
    print_rows(heading, rows)
    print_machine(1)


if __name__ == "__main__":
    main()
