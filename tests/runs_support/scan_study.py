"""A study with scans for the tests of runs, put into the registry without an ingest; and what a run left in it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select
from tiny_pipeline import outline  # noqa: F401  (so that workers, which get this process's path, find it too)

from studies.plan import load_template
from studies.registry import audit
from studies.registry.catalogue import create_study, find_study
from studies.registry.schema import Device, Outcome, Photo, Prediction, Reading, Run, Scan, Silhouette, Subject, Visit
from studies.registry.workspace import Registry
from studies.runs.local import LocalExecutor
from studies.runs.run import RunModels, RunResult, run
from studies.runs.work import Answer, PipelineSource, ScanWork, Task
from studies.runs.worker import Workbench

STUDY = "trial"
VIEWS = ("front", "right")
HERE = str(Path(__file__).parent)


def source(**words: object) -> PipelineSource:
    """The pipeline in miniature, with these words for its files."""
    if HERE not in sys.path:
        sys.path.insert(0, HERE)
    return PipelineSource(tuple((name, str(word)) for name, word in words.items()), "tiny_pipeline:TinyPipeline")


def gated_source(gate: object, checkpoints: Mapping[str, object]) -> PipelineSource:
    """The real pipeline with these checkpoints (kind -> path), behind a gate."""
    files = tuple((kind, str(path)) for kind, path in {"gate": gate, **checkpoints}.items())
    return PipelineSource(files, "gated_pipeline:GatedPipeline")


def scan_work(number: int, content: bytes = b"") -> ScanWork:
    """A scan of one photo, whose person is not known."""
    content = content or f"photo {number}".encode()
    file = (hashlib.sha256(content).hexdigest(), "image/jpeg")
    return ScanWork(number, {"front": file}, {}, dict.fromkeys(("stature_cm", "weight_kg", "age", "sex")), keep=True)


def task_of(folder: Path, *scans: ScanWork) -> Task:
    """A task with its photos and its proof in a folder."""
    (folder / "proof").touch()
    return Task(scans, str(folder / "photos"), str(folder / "proof"))


class InlineExecutor:
    """The engine without workers: what a run does with its answers is the same, and needs no process to start."""

    name, workers = "inline", 1

    def __init__(self, source: PipelineSource):
        self.source = source

    def __enter__(self) -> InlineExecutor:
        self._bench = Workbench(self.source)
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def software(self, probe: Task) -> dict[str, str]:
        return self._bench.do(probe).software

    def answers(self, tasks: Iterator[Task]) -> Iterator[Answer]:
        return map(self._bench.do, tasks)


class ScanStudy:
    """`scans` subjects with one visit and one scan each; `consents` and `photos` (of a scan's number) may differ."""

    def __init__(
        self,
        registry: Registry,
        scans: int = 12,
        *,
        consents: Sequence[str] = ("photos",),
        photo: Callable[[int, str], bytes] | None = None,
        plan: str = "blank",
    ):
        self.registry = registry
        create_study(registry, STUDY, load_template(plan))
        with registry.writing() as connection:
            self.id = find_study(connection, STUDY).id
            device = insert(Device).values(study_id=self.id, code="").returning(Device.id)
            self.device = connection.execute(device).scalar_one()
        self.add(range(scans), consents=consents, photo=photo)

    def add(
        self,
        numbers: range,
        *,
        consents: Sequence[str] = ("photos",),
        photo: Callable[[int, str], bytes] | None = None,
    ) -> None:
        """Subjects with these numbers: S0000, S0001 ..., their consents in turn."""
        content = photo or (lambda number, view: f"photo of {number}, {view}".encode())
        with self.registry.writing() as connection:
            for number in numbers:
                subject = connection.execute(
                    insert(Subject)
                    .values(
                        study_id=self.id, code=f"S{number:04d}", sex="FM"[number % 2], age=20 + number % 60,
                        consent=consents[number % len(consents)], attributes={},
                    )
                    .returning(Subject.id)
                ).scalar_one()  # fmt: skip
                visit = connection.execute(
                    insert(Visit).values(subject_id=subject, label="baseline").returning(Visit.id)
                ).scalar_one()
                readings = {"weight_kg": 50 + number % 50, "stature_cm": 160 + number % 30}
                for measurand, value in readings.items():
                    self.reading(connection, visit, measurand, value, "scale")
                scan = connection.execute(
                    insert(Scan)
                    .values(
                        visit_id=visit, code="1", captured_at=datetime(2024, 3, 1), device_id=self.device,
                        rendered=True, attributes={},
                    )
                    .returning(Scan.id)
                ).scalar_one()  # fmt: skip
                for view in VIEWS:
                    self.photo(connection, scan, view, content(number, view))

    def reading(self, connection: Any, visit: int, measurand: str, value: float, method: str) -> None:
        unit = {"weight_kg": "kg", "stature_cm": "cm", "body_fat_percent": "%"}[measurand]
        connection.execute(
            insert(Reading).values(
                visit_id=visit, measurand=measurand, method=method, device_id=self.device, replicate=1,
                value=value, unit=unit, measured_at=datetime(2024, 3, 1),
            )
        )  # fmt: skip

    def photo(self, connection: Any, scan: int, view: str, content: bytes) -> None:
        file = (hashlib.sha256(content).hexdigest(), "image/jpeg")
        self.registry.photos.put_content(file, content)
        connection.execute(
            insert(Photo).values(
                scan_id=scan, view=view, sha256=file[0], media_type=file[1], width=3, height=4, bytes=len(content)
            )
        )

    def run(
        self, *, workers: int | None = None, new: bool = False, batch: int = 4, progress: Any = None, **words: object
    ) -> RunResult:
        """A run within this process or, with `workers`, on the local engine."""
        models = RunModels(hashes={"estimator": str(words.get("shift", 0))})
        executor = LocalExecutor(source(**words), workers) if workers else InlineExecutor(source(**words))
        return run(self.registry, STUDY, models, executor, new=new, batch=batch, progress=progress)

    def rows(self, table: type) -> list[Any]:
        with self.registry.reading() as connection:
            return list(connection.execute(select(table.__table__).order_by(table.id)))

    def outcomes(self, number: int = 1) -> dict[str, tuple[Any, ...]]:
        """What a run says of each scan, by its subject; fails where a scan has two outcomes."""
        with self.registry.reading() as connection:
            assert audit.first_broken_link(connection) is None
            run_id = connection.execute(
                select(Run.id).where(Run.study_id == self.id, Run.number == number)
            ).scalar_one()
            codes = dict(
                connection.execute(
                    select(Scan.id, Subject.code)
                    .join(Visit, Scan.visit_id == Visit.id)
                    .join(Subject, Visit.subject_id == Subject.id)
                ).all()
            )
            values: dict[int, list[tuple]] = {}
            predicted = select(Prediction.__table__).where(Prediction.run_id == run_id).order_by(Prediction.measurand)
            for row in connection.execute(predicted):
                values.setdefault(row.scan_id, []).append((row.measurand, row.value, row.low, row.high, row.unit))
            found: dict[str, tuple[Any, ...]] = {}
            for row in connection.execute(select(Outcome.__table__).where(Outcome.run_id == run_id)):
                code = codes[row.scan_id]
                assert code not in found, f"{code} has two outcomes"
                found[code] = (row.status, row.reason, row.betas, row.pose, row.quality, values.pop(row.scan_id, []))
            assert not values, "predictions without an outcome"
        return found

    def files(self) -> set[str]:
        """The hashes of the files in the photo store."""
        return {path.stem for path in self.registry.photos.folder.rglob("*") if path.is_file()}

    def held(self) -> set[str]:
        """The hashes of the files that the store should have."""
        return {row.sha256 for table in (Photo, Silhouette) for row in self.rows(table) if row.deleted_at is None}

    def assert_tidy(self) -> None:
        """Files and rows say the same, and nothing is left lying about."""
        assert self.files() == self.held()
        assert not list((self.registry.folder / "runs").iterdir())
        assert not list((self.registry.folder / "scratch").iterdir())
        assert not list(self.registry.folder.rglob(".*"))
