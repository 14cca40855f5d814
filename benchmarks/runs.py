"""How many scans a second a run takes in, what the time goes to, how it scales, and how much memory it holds.

    python benchmarks/runs.py                 scans of four photos through the packaged checkpoints, by engine and
                                              workers, and four times as many of them: does memory grow?
    python benchmarks/runs.py --machinery     with a pipeline that does nothing: what the run itself costs
    python benchmarks/runs.py --memory        with the same: peak memory at 1,000, 4,000 and 16,000 scans

The photos are those of some rendered people (JPEG of 480 × 640 and 360 × 640), over and over. Every engine must give
the same predictions before it says how fast it was. On two free cores all of it takes some two minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring import MEGABYTE, in_fresh_process, peak_megabytes, print_machine, print_rows, timed

VIEWS = ("front", "back", "left", "right")
PEOPLE = 12  # each scan is of one of them, its photos with bytes of their own behind the end of the image
HEIGHT, WIDTH = 640, 480
SETTINGS = (("local", 1), ("local", 2), ("dask", 1), ("dask", 2))


class NoThought:
    """A pipeline that predicts a number without looking: what is left is the run itself."""

    software = {"thought": "none"}  # noqa: RUF012

    def __init__(self, files: dict[str, Any]):
        del files

    def process(self, scans: Any) -> list[Any]:
        from models.inference import Predicted, ScanOutcome

        betas, pose = [0.1] * 16, {view: [[0.1, 0.2, 0.3]] * 24 for view in VIEWS}
        fat = {"body_fat_percent": Predicted(25.0, "%", 20.0, 30.0)}
        return [ScanOutcome(scan.key, fat, betas, pose) for scan in scans]


# A study --------------------------------------------------------------------------------------------------------------


def make_study(workspace: Path, scans: int, people: list[dict[str, bytes]]) -> None:
    """A study with so many subjects and scans, its rows inserted as they are. people: view -> photo of each."""
    from sqlalchemy import insert

    from studies.plan import load_template
    from studies.registry.catalogue import create_study, find_study
    from studies.registry.schema import Device, Photo, Reading, Scan, Subject, Visit
    from studies.registry.workspace import open_registry

    with open_registry(workspace, create=True) as registry:
        create_study(registry, "speed", load_template("blank"))
        with registry.writing() as connection:
            study = find_study(connection, "speed").id
            connection.execute(insert(Device), [{"id": 1, "study_id": study, "code": ""}])
            numbers = range(1, scans + 1)
            facts = {"study_id": study, "sex": "F", "age": 40.0, "consent": "photos", "attributes": {}}
            connection.execute(insert(Subject), [{"id": n, "code": f"S{n}", **facts} for n in numbers])
            connection.execute(insert(Visit), [{"id": n, "subject_id": n, "label": "1"} for n in numbers])
            values = {"device_id": 1, "rendered": True, "attributes": {}}
            connection.execute(insert(Scan), [{"id": n, "visit_id": n, "code": "1", **values} for n in numbers])
            stature = {"measurand": "stature_cm", "method": "tape", "device_id": 1, "replicate": 1, "unit": "cm"}
            connection.execute(insert(Reading), [{"visit_id": n, "value": 150.0 + n % 50, **stature} for n in numbers])
            for n in numbers:
                rows = []
                for view, photo in people[n % len(people)].items():
                    content = photo + f"{n} {view}".encode()
                    sha256 = hashlib.sha256(content).hexdigest()
                    path = registry.photos.path(sha256, "image/jpeg")
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(content)
                    size = {"width": WIDTH, "height": HEIGHT, "bytes": len(content)}
                    rows.append({"scan_id": n, "view": view, "sha256": sha256, "media_type": "image/jpeg", **size})
                connection.execute(insert(Photo), rows)


def render_people(folder: Path) -> list[dict[str, bytes]]:
    """Photos of synthetic people, view -> JPEG of each."""
    import csv

    from studies.rendering.blocks import Recipe
    from studies.rendering.cohort import synthesize_cohort

    options = {"follow_up": 0.0, "duplicates": 0.0, "replicates": 0.0, "faulty": 0.0, "sites": 1}
    synthesize_cohort(folder, PEOPLE, Recipe(1, HEIGHT), photos=True, workers=1, **options)
    with (folder / "scans.csv").open(encoding="utf-8") as file:
        return [{view: (folder / row[view]).read_bytes() for view in VIEWS} for row in csv.DictReader(file)]


# Measuring ------------------------------------------------------------------------------------------------------------


def run_once(workspace: str, files: dict[str, str], engine: str, workers: int) -> dict[str, Any]:
    """One new run of the study, in this process and its workers."""
    from sqlalchemy import select

    from studies.registry.schema import Prediction, Run
    from studies.registry.workspace import open_registry
    from studies.runs.executor import make_executor
    from studies.runs.run import RunModels, run
    from studies.runs.work import PipelineSource

    sys.path.insert(0, str(Path(__file__).parent))
    source = PipelineSource(tuple(files.items()), "models.inference:Pipeline.load" if files else "runs:NoThought")
    with open_registry(workspace) as registry:
        executor = _Timed(make_executor(engine, source, workers))
        result = run(registry, "speed", RunModels(), executor, new=True)
        run_mb = peak_megabytes()
        with registry.reading() as connection:
            rows = connection.execute(
                select(Prediction.scan_id, Prediction.measurand, Prediction.value, Prediction.low, Prediction.high)
                .join(Run, Prediction.run_id == Run.id)
                .where(Run.number == result.number)
                .order_by(Prediction.scan_id, Prediction.measurand)
            ).all()
    return {
        "outcomes": result.outcomes, "seconds": executor.seconds, "starting": executor.starting,
        "cpu": executor.cpu, "run_cpu": executor.run_cpu,
        "stages": result.done.seconds, "predictions": hashlib.sha256(repr(rows).encode()).hexdigest(),
        "worker_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / MEGABYTE,
        "run_mb": run_mb,
    }  # fmt: skip


class _Timed:
    """An engine whose start is timed apart from its work.

    seconds: until the last answer was written. cpu: processor seconds of all processes meanwhile, run_cpu: of the run's
    own.
    """

    def __init__(self, executor: Any):
        self._executor = executor
        self.name, self.workers = executor.name, executor.workers
        self.seconds = self.starting = self.cpu = self.run_cpu = 0.0

    def __enter__(self) -> _Timed:
        with timed() as clock:
            self._executor.__enter__()
        self.starting = clock.seconds
        return self

    def __exit__(self, *details: object) -> None:
        self._executor.__exit__(*details)

    def software(self, probe: Any) -> dict[str, str]:
        with timed() as clock:
            found = self._executor.software(probe)
        self.starting += clock.seconds
        return found

    def answers(self, tasks: Any) -> Any:
        before = _cpu_of_descendants()
        with timed() as clock:
            yield from self._executor.answers(tasks)
        self.seconds += clock.seconds
        self.run_cpu += clock.cpu
        self.cpu += clock.cpu + _cpu_of_descendants() - before


def _cpu_of_descendants() -> float:
    """Processor seconds so far of the processes that this one has started, and those that they have."""
    parents, seconds = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        number = int(path.parent.name)
        parents[number] = int(fields[1])
        seconds[number] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    mine = {os.getpid()}
    while more := {number for number, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return sum(seconds[number] for number in mine - {os.getpid()})


def speed(folder: Path, scans: int, files: dict[str, str], people: list[dict[str, bytes]]) -> dict[str, Any]:
    """Every setting on the same scans; what was found of local workers, two of them."""
    workspace = folder / "workspace"
    make_study(workspace, scans, people)
    rows, stages, predictions, kept = [], {}, set(), {}
    for engine, workers in SETTINGS:
        found = in_fresh_process(run_once, str(workspace), files, engine, workers).result
        assert sum(found["outcomes"].values()) == scans, found["outcomes"]
        assert found["outcomes"]["determinate"] > 0.8 * scans, found["outcomes"]
        predictions.add(found["predictions"])
        name = f"{engine}, {workers} worker{'s' if workers > 1 else ''}"
        rows.append(
            [name, f"{scans / found['seconds']:,.1f}", f"{1000 * found['cpu'] / scans:.1f}",
             f"{1000 * found['run_cpu'] / scans:.1f}", f"{workers * scans / found['cpu']:,.1f}",
             f"{found['starting']:.1f}", f"{os.getloadavg()[0]:.1f}"]
        )  # fmt: skip
        stages[name] = found["stages"]
        kept = found if (engine, workers) == ("local", 2) else kept
    assert len(predictions) == 1, "the engines gave different predictions"
    determinate = kept["outcomes"]["determinate"]
    print(f"{scans} scans of four photos, {determinate} determinate; every setting gave the same predictions\n")
    heading = ("", "scans/s by the clock", "processor ms a scan", "of that the run's own process",
               "scans/s that this allows", "start, s", "load")  # fmt: skip
    print_rows(heading, rows)
    if any(stages.values()):
        print("\nMilliseconds a scan at a worker, by the clock and by stage\n")
        names = list(next(iter(stages.values())))
        table = [
            [
                name,
                *(f"{1000 * found[stage] / scans:.1f}" for stage in names),
                f"{1000 * sum(found.values()) / scans:.1f}",
            ]
            for name, found in stages.items()
        ]
        print_rows(("", *names, "all"), table)
    return kept


def memory(
    folder: Path, sizes: list[int], files: dict[str, str], people: list[dict[str, bytes]], known: dict[int, Any]
) -> None:
    """Peak memory by the number of scans, with two local workers. known: what was measured already."""
    rows = []
    for scans in sizes:
        found = known.get(scans)
        if found is None:
            workspace = folder / str(scans)
            make_study(workspace, scans, people)
            found = in_fresh_process(run_once, str(workspace), files, "local", 2).result
        rows.append([f"{scans:,}", f"{found['run_mb']:.0f}", f"{found['worker_mb']:.0f}",
                     f"{scans / found['seconds']:,.1f}", f"{1000 * found['cpu'] / scans:.1f}",
                     f"{2 * scans / found['cpu']:,.1f}"])  # fmt: skip
    print("\nTwo local workers: peak memory, and what is left of their start in the figures of each scan\n")
    heading = ("scans", "run, MB", "largest worker, MB", "scans/s by the clock", "processor ms a scan",
               "scans/s that this allows")  # fmt: skip
    print_rows(heading, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machinery", action="store_true", help="a pipeline that does nothing")
    parser.add_argument("--memory", action="store_true", help="a pipeline that does nothing: peak memory by scans")
    parser.add_argument("--scans", type=int, help="how many (by default 120, or 1,000 for --machinery)")
    arguments = parser.parse_args()
    if arguments.scans is not None and arguments.scans < 1:
        parser.error("--scans must be at least 1")
    with tempfile.TemporaryDirectory(prefix="calliper-runs-") as name:
        folder = Path(name)
        nobody = [dict.fromkeys(VIEWS, b"no picture ")]
        if arguments.memory:
            memory(folder, [1_000, 4_000, 16_000], {}, nobody, {})
        elif arguments.machinery:
            speed(folder, arguments.scans or 1_000, {}, nobody)
        else:
            scans = arguments.scans or 120
            people = in_fresh_process(render_people, folder / "people").result
            files = in_fresh_process(packaged_files).result
            found = speed(folder, scans, files, people)
            memory(folder, [scans, 4 * scans], files, people, {scans: found})
    print_machine(repeats=1)


def packaged_files() -> dict[str, str]:
    """Kind -> path of the checkpoints that come with Calliper, the newest of each kind."""
    from models.checkpoints import packaged_checkpoints, read_card

    cards = sorted(((read_card(path), path) for path in packaged_checkpoints()), key=lambda found: found[0].version)
    return {card.kind: str(path) for card, path in cards}


if __name__ == "__main__":
    main()
