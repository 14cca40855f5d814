"""How many scans a second a run takes in, what the time goes to, how it scales, and how much memory it holds.

    python benchmarks/runs.py                 scans of four photos through networks of full size, by engine and workers
    python benchmarks/runs.py --machinery     the same with a pipeline that does nothing: what the run itself costs
    python benchmarks/runs.py --memory        peak memory of run and workers at 1,000, 4,000 and 16,000 scans

The networks have the sizes of the ones that are trained, but random weights, apart from a segmenter that takes what is
bright for a person: their speed is that of trained ones, their numbers mean nothing. The photos (480 × 640 JPEG) are
drawn ellipses. Every engine must give the same predictions before it says how fast it was.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measuring import MEGABYTE, in_fresh_process, peak_megabytes, print_machine, print_rows, timed

VIEWS = ("front", "back", "left", "right")
PICTURES = 40  # different ones; each photo is one of them with bytes of its own behind the end of the image
HEIGHT, WIDTH = 640, 480


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


def make_study(workspace: Path, scans: int) -> None:
    """A study with so many people and scans, its rows inserted as they are."""
    from sqlalchemy import insert

    from studies.plan import load_template
    from studies.registry.catalogue import create_study, find_study
    from studies.registry.schema import Device, Photo, Reading, Scan, Subject, Visit
    from studies.registry.workspace import open_registry

    pictures = [_picture(number) for number in range(min(PICTURES, 4 * scans))]
    with open_registry(workspace, create=True) as registry:
        create_study(registry, "speed", load_template("blank"))
        with registry.writing() as connection:
            study = find_study(connection, "speed").id
            connection.execute(insert(Device), [{"id": 1, "study_id": study, "code": ""}])
            numbers = range(1, scans + 1)
            people = {"study_id": study, "sex": "F", "age": 40.0, "consent": "photos", "attributes": {}}
            connection.execute(insert(Subject), [{"id": n, "code": f"S{n}", **people} for n in numbers])
            connection.execute(insert(Visit), [{"id": n, "subject_id": n, "label": "1"} for n in numbers])
            values = {"device_id": 1, "rendered": True, "attributes": {}}
            connection.execute(insert(Scan), [{"id": n, "visit_id": n, "code": "1", **values} for n in numbers])
            stature = {"measurand": "stature_cm", "method": "tape", "device_id": 1, "replicate": 1, "unit": "cm"}
            connection.execute(insert(Reading), [{"visit_id": n, "value": 150.0 + n % 50, **stature} for n in numbers])
            for n in numbers:
                rows = []
                for place, view in enumerate(VIEWS):
                    content = pictures[(4 * n + place) % len(pictures)] + f"{n} {view}".encode()
                    sha256 = hashlib.sha256(content).hexdigest()
                    path = registry.photos.path(sha256, "image/jpeg")
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(content)
                    size = {"width": WIDTH, "height": HEIGHT, "bytes": len(content)}
                    rows.append({"scan_id": n, "view": view, "sha256": sha256, "media_type": "image/jpeg", **size})
                connection.execute(insert(Photo), rows)


def _picture(seed: int) -> bytes:
    import cv2
    import numpy as np

    random = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(random.integers(0, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8), (0, 0), 2)
    axes = (int(random.integers(60, 110)), int(random.integers(220, 280)))
    cv2.ellipse(picture, (WIDTH // 2, HEIGHT // 2), axes, 0, 0, 360, (225, 215, 205), -1)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


# Networks of full size ------------------------------------------------------------------------------------------------


def make_checkpoints(folder: Path) -> dict[str, str]:
    import torch

    from models.body import open_body
    from models.checkpoints import Architecture, Description, Input, Quantity, Training, write_checkpoint
    from models.networks import ARCHITECTURES, build

    torch.manual_seed(1)
    made = {}
    for name, architecture in ARCHITECTURES.items():
        hyperparameters = {"n_betas": open_body().n_betas} if architecture.kind == "avatar" else {}
        network = build(name, hyperparameters)
        if architecture.kind == "segmenter":
            _see_what_is_bright(network)
        description = Description(
            kind=architecture.kind,
            name=f"random-{architecture.kind}",
            version=1,
            licence="CC0-1.0",
            created=datetime(2026, 1, 1, tzinfo=UTC),
            architecture=Architecture(name=name, hyperparameters=hyperparameters),
            inputs=[Input(name="pictures", meaning="pictures")],
            outputs=[Quantity(name="numbers", meaning="no meaning")],
            training=Training(data="None: the weights are random.", rendered=True, subjects=0),
            limitations=["It is of no use but to measure speed."],
        )
        made[architecture.kind] = str(write_checkpoint(folder, description, network))
    return made


def _see_what_is_bright(network: Any) -> None:
    """Lead brightness past all levels of the segmenter to its mask; the other weights stay as they are."""
    import torch

    convolution, normalise, _ = network.stem
    finest = network.up[0][0][0]
    last = network.capture[-1]
    with torch.no_grad():
        network.mask.weight.zero_()
        network.mask.bias.fill_(-24.0)
        for pixel in range(4):
            convolution.weight[pixel] = 0
            convolution.weight[pixel, pixel::4, 1, 1] = 1 / 3
            normalise.bias[pixel] = 3.0
            finest.weight[pixel] = 0
            finest.weight[pixel, pixel, 1, 1] = 1.0
            network.mask.weight[pixel, pixel, 1, 1] = 8.0
        last.weight.zero_()
        last.bias.fill_(-9.0)
        last.bias[:4] = 0.0
        last.bias[5] = 9.0


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
        "outcomes": result.outcomes, "seconds": executor.seconds, "cpu": executor.cpu, "starting": executor.starting,
        "stages": result.done.seconds, "predictions": hashlib.sha256(repr(rows).encode()).hexdigest(),
        "worker_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / MEGABYTE,
        "run_mb": run_mb,
    }  # fmt: skip


class _Timed:
    """An engine whose start is timed apart from its work. cpu: processor seconds of all its processes at work."""

    def __init__(self, executor: Any):
        self._executor = executor
        self.name, self.workers = executor.name, executor.workers
        self.seconds = self.starting = self.cpu = 0.0

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


def speed(folder: Path, scans: int, files: dict[str, str], settings: list[tuple[str, int]]) -> None:
    workspace = folder / "workspace"
    make_study(workspace, scans)
    rows, stages, predictions = [], {}, set()
    for engine, workers in settings:
        found = in_fresh_process(run_once, str(workspace), files, engine, workers).result
        assert found["outcomes"]["determinate"] == scans, found["outcomes"]
        predictions.add(found["predictions"])
        name = f"{engine}, {workers} worker{'s' if workers > 1 else ''}"
        rows.append(
            [name, f"{scans / found['seconds']:,.1f}", f"{found['seconds']:.1f}", f"{found['starting']:.1f}",
             f"{1000 * found['cpu'] / scans:.0f}",
             f"{found['run_mb']:.0f}", f"{found['worker_mb']:.0f}"]
        )  # fmt: skip
        stages[name] = found["stages"]
    assert len(predictions) == 1, "the engines gave different predictions"
    print(f"{scans} scans of four photos; every setting gave the same predictions\n")
    print_rows(("", "scans/s", "seconds", "start, s", "core ms a scan", "run, MB", "largest worker, MB"), rows)
    if any(stages.values()):
        print("\nMilliseconds a scan at a worker, by stage\n")
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


def memory(folder: Path, sizes: list[int]) -> None:
    rows = []
    for scans in sizes:
        workspace = folder / str(scans)
        make_study(workspace, scans)
        found = in_fresh_process(run_once, str(workspace), {}, "local", 2).result
        rows.append([f"{scans:,}", f"{found['run_mb']:.0f}", f"{found['worker_mb']:.0f}",
                     f"{scans / found['seconds']:,.0f}"])  # fmt: skip
    print_rows(("scans", "run, MB", "largest worker, MB", "scans/s"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machinery", action="store_true", help="a pipeline that does nothing")
    parser.add_argument("--memory", action="store_true", help="peak memory by the number of scans")
    parser.add_argument("--scans", type=int, help="how many (by default 120, or 1,000 for --machinery)")
    arguments = parser.parse_args()
    settings = [("local", 1), ("local", 2), ("dask", 1), ("dask", 2)]
    with tempfile.TemporaryDirectory(prefix="calliper-runs-") as name:
        folder = Path(name)
        if arguments.memory:
            memory(folder, [1_000, 4_000, 16_000])
        elif arguments.machinery:
            speed(folder, arguments.scans or 1_000, {}, settings)
        else:
            files = in_fresh_process(make_checkpoints, folder / "checkpoints").result
            speed(folder, arguments.scans or 120, files, settings)
    print_machine(repeats=1)


if __name__ == "__main__":
    main()
