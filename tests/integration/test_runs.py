"""From photos on disk to predictions and a comparison of checkpoints, with real (small, untrained) networks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runs_support"))

from small_checkpoints import bright_person, write_small

from studies.plan import load_template
from studies.registry import audit
from studies.registry.catalogue import create_study
from studies.registry.schema import Outcome, Photo, Prediction, Run, Scan, Silhouette, Subject, Visit
from studies.registry.workspace import Registry, open_registry

PEOPLE = 24
NOBODY = 7  # whose photos show nobody
VIEWS = ("front", "left")
CONSENTS = ("photos", "silhouettes", "none")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    made = {kind: write_small(folder, kind) for kind in ("segmenter", "avatar", "estimator")}
    trained = ("trial", [f"S{number:03d}" for number in range(5)])
    return {**made, "estimator 2": write_small(folder, "estimator", seed=5, version=2, subjects=trained)}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A cohort of people with one scan of two photos and a DXA reading each."""
    folder = tmp_path / "source"
    (folder / "photos").mkdir(parents=True)
    subjects, scans, readings = (
        ["subject_id,sex,age,consent"],
        ["subject_id,visit,scan_id,front,left"],
        ["subject_id,visit,measurand,method,value,unit"],
    )
    for number in range(PEOPLE):
        code = f"S{number:03d}"
        subjects.append(f"{code},{'FM'[number % 2]},{20 + number},{CONSENTS[number % 3]}")
        for view in VIEWS:
            path = folder / "photos" / f"{code}-{view}.jpg"
            path.write_bytes(bright_person(-number if number == NOBODY else number, view))
        scans.append(f"{code},baseline,1,photos/{code}-front.jpg,photos/{code}-left.jpg")
        for measurand, value, unit in (("weight_kg", 60 + number, "kg"), ("stature_cm", 160 + number, "cm")):
            readings.append(f"{code},baseline,{measurand},scale,{value},{unit}")
        readings.append(f"{code},baseline,body_fat_percent,dxa,{20 + number % 9},%")
    for name, lines in (("subjects", subjects), ("scans", scans), ("readings", readings)):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def workspace(tmp_path: Path, sources: Path, command) -> Path:
    """A workspace with the cohort ingested."""
    folder = tmp_path / "workspace"
    with open_registry(folder, create=True) as registry:
        create_study(registry, "trial", load_template("demo"))
    done = command("ingest", "trial", sources)
    assert done.code == 0, done.out + done.error
    return folder


def add(command, paths: list[Path]) -> None:
    for path in paths:
        done = command("checkpoint", "add", path)
        assert done.code == 0, done.error


def make_current(command, *names: str) -> None:
    for name in names:
        done = command("checkpoint", "alias", name, "current")
        assert done.code == 0, done.error


def values(workspace: Path, number: int) -> dict[tuple[str, str], tuple]:
    """Subject and measurand -> value, low, high of a run."""
    with open_registry(workspace) as registry, registry.reading() as connection:
        rows = connection.execute(
            select(Subject.code, Prediction.measurand, Prediction.value, Prediction.low, Prediction.high)
            .join_from(Prediction, Run, Prediction.run_id == Run.id)
            .join(Scan, Prediction.scan_id == Scan.id)
            .join(Visit, Scan.visit_id == Visit.id)
            .join(Subject, Visit.subject_id == Subject.id)
            .where(Run.number == number)
        )
        return {(row[0], row[1]): tuple(row[2:]) for row in rows}


def count(registry: Registry, table: type, *conditions) -> int:
    with registry.reading() as connection:
        return connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()


def test_from_photos_to_a_comparison(command, workspace: Path, checkpoints: dict[str, Path]) -> None:
    add(command, list(checkpoints.values()))
    make_current(command, "small-segmenter@1", "small-avatar@1", "small-estimator@1")
    first = command("run", "trial", "--workers", "2", "--json")
    assert first.code == 0, first.error
    said = json.loads(first.out)
    assert said["outcomes"] == {"determinate": PEOPLE - 1, "indeterminate": 1, "unreachable": 0}
    assert said["reasons"] == [
        {"status": "indeterminate", "reason": "front: no person is seen; left: no person is seen", "n": 1}
    ]
    assert said["checkpoints"] == {kind: f"small-{kind}@1" for kind in ("segmenter", "avatar", "estimator")}
    assert said["this_time"]["photos_deleted"] == 2 * (2 * PEOPLE // 3 - 1)
    one = values(workspace, 1)
    assert {measurand for _, measurand in one} >= {"body_fat_percent", "waist_cm"}
    assert len([key for key in one if key[1] == "body_fat_percent"]) == PEOPLE - 1
    assert all(low < value < high for (_, measurand), (value, low, high) in one.items() if "fat" in measurand)

    with open_registry(workspace) as registry:
        assert count(registry, Outcome) == PEOPLE
        assert count(registry, Photo, Photo.deleted_at.is_not(None)) == said["this_time"]["photos_deleted"]
        assert count(registry, Silhouette) == said["this_time"]["silhouettes_kept"] > 0
        with registry.reading() as connection:
            assert audit.first_broken_link(connection) is None

    again = command("run", "trial")
    assert again.code == 0
    assert "Nothing was to do" in again.out
    assert values(workspace, 1) == one

    second = command("run", "trial", "--checkpoint", "small-estimator@2", "--workers", "1")
    assert second.code == 0, second.error
    assert "Run 2 of 'trial'" in second.out
    assert f"{PEOPLE // 3:,} unreachable: its photos were deleted" in second.out
    two = values(workspace, 2)
    kept = {code for code, measurand in two if measurand == "body_fat_percent"}
    assert kept == {f"S{n:03d}" for n in range(PEOPLE) if n % 3 != 2 and n != NOBODY}
    # S002 was in the training data, too, but nothing is left of its photos.
    leaked = f"Leakage: 4 of the {len(kept)} subjects with predictions were in the training data of small-estimator@2"
    assert leaked in second.out
    # Other body fat by the other estimator; but the tape says the same, whether of a photo or of what is kept of it.
    assert all(two[code, "body_fat_percent"] != one[code, "body_fat_percent"] for code in kept)
    assert all(two[code, "waist_cm"] == one[code, "waist_cm"] for code in kept if (code, "waist_cm") in one)

    compared = command("compare", "trial", "--baseline", "1", "--candidate", "2", "--json")
    assert compared.code == 0, compared.error
    found = json.loads(compared.out)
    assert found["verdict"] in ("better", "worse", "no evidence")
    assert found["overall"]["n"] == len(kept)
    assert found["reach"] | {"why": None} == {
        "scans": PEOPLE, "both": len(kept), "only_baseline": PEOPLE // 3, "only_candidate": 0, "neither": 1,
        "why": None,
    }  # fmt: skip
    assert any("in the training data of small-estimator@2" in note for note in found["notes"])
    mae = sum(abs(two[code, "body_fat_percent"][0] - (20 + int(code[1:]) % 9)) for code in kept) / len(kept)
    assert found["overall"]["candidate"]["mae"]["estimate"] == pytest.approx(mae)
    assert command("compare", "trial", "--baseline", "1", "--candidate", "2").code == 0

    analysed = command("analyze", "trial", "--index", "scan")
    assert analysed.code == 0, analysed.error
    earlier = command("analyze", "trial", "--index", "scan", "--run", "1")
    assert f"{PEOPLE - 1} pairs" in earlier.out
    assert f"Run 1 has no prediction for 1 of {PEOPLE} scans" in earlier.out
    assert command("analyze", "trial", "--run", "3").code == 2
    assert f"{len(kept)} pairs" in analysed.out
    assert f"Run 2 has no prediction for {PEOPLE // 3 + 1} of {PEOPLE} scans ({PEOPLE // 3} unreach" in analysed.out
    listed = json.loads(command("run", "trial", "--list", "--json").out)
    assert [(row["run"], row["status"], row["determinate"]) for row in listed] == [
        (1, "finished", PEOPLE - 1), (2, "finished", len(kept)),
    ]  # fmt: skip
    assert json.loads(command("study", "show", "trial", "--json").out)["runs"] == listed
    shown = command("study", "show", "trial").out
    assert (
        shown.index("Ingests") < shown.index("\nRuns\n") < shown.index("small-") < shown.index("Versions of the plan")
    )


def test_both_engines_give_the_same_bits(command, workspace: Path, checkpoints: dict[str, Path]) -> None:
    pytest.importorskip("distributed", reason="needs Dask: pip install 'calliper[dask]'")
    add(command, [checkpoints[kind] for kind in ("segmenter", "avatar", "estimator")])
    make_current(command, "small-segmenter@1", "small-avatar@1", "small-estimator@1")
    with open_registry(workspace) as registry, registry.writing() as connection:
        connection.execute(Subject.__table__.update().values(consent="photos"))
    for options in ([], ["--engine", "dask"]):
        done = command("run", "trial", "--new", "--workers", "2", *options)
        assert done.code == 0, done.error
    assert values(workspace, 1) == values(workspace, 2)
    assert len({code for code, _ in values(workspace, 1)}) == PEOPLE - 1


def test_interrupted_it_says_how_to_go_on(command, workspace: Path, checkpoints: dict[str, Path]) -> None:
    add(command, [checkpoints["segmenter"], checkpoints["estimator"]])
    make_current(command, "small-segmenter@1", "small-estimator@1")
    words = [sys.executable, "-m", "calliper", "run", "trial", "--new", "--workers", "1", "--workspace", workspace]
    runs, in_time = 0, False
    with open_registry(workspace) as registry:
        while not in_time:  # on a busy machine a run can end before it is interrupted
            runs += 1
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while count(registry, Run) < runs:
                assert process.poll() is None, process.communicate()
                time.sleep(0.01)
            with registry.writing():  # nothing can be written meanwhile
                in_time = count(registry, Outcome) < PEOPLE * runs
                if in_time:
                    process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=600)
    assert process.returncode == 130, out + error
    assert f"of {PEOPLE} scans, and keeps them. The same command goes on from there.\n" in error
    assert error.endswith("Interrupted. Nothing was half written.\n")
    done = command("run", "trial", "--workers", "1")
    assert done.code == 0
    assert f"Run {runs} of 'trial' (gone on with)" in done.out
    with open_registry(workspace) as registry:
        assert count(registry, Outcome) == PEOPLE * runs


NUMBERS = """
import sys
from pathlib import Path
from small_checkpoints import bright_person
from models.inference import ScanInput
from studies.runs.work import PipelineSource
from studies.runs.worker import Workbench, one_thread

bench = Workbench(PipelineSource(tuple(zip(("segmenter", "avatar", "estimator"), sys.argv[1:]))))
one_thread()
scan = ScanInput("1", {view: bright_person(3, view) for view in ("front", "left")}, stature_cm=170.0)
print(repr(bench.pipeline.process([scan])[0].predictions))
"""


def test_the_environment_of_a_worker_changes_no_bit(checkpoints: dict[str, Path]) -> None:
    """A cluster's workers may have been started with any number of threads."""
    support = Path(__file__).resolve().parents[1] / "runs_support"
    said = set()
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads), "PYTHONPATH": str(support)}
        paths = [str(checkpoints[kind]) for kind in ("segmenter", "avatar", "estimator")]
        done = subprocess.run(
            [sys.executable, "-c", NUMBERS, *paths], capture_output=True, text=True, check=True, env=environment
        )
        said.add(done.stdout)
    assert len(said) == 1
    assert "body_fat_percent" in said.pop()


def test_what_is_missing_is_said(
    command, workspace: Path, checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.checkpoints.files._PACKAGED", tmp_path / "nothing")
    nothing = command("run", "trial")
    assert nothing.code == 6
    assert "The run has no segmenter" in nothing.error
    assert "calliper checkpoint add FILE" in nothing.error
    add(command, [checkpoints["segmenter"]])
    alone = command("run", "trial", "--checkpoint", "small-segmenter@1")
    assert (alone.code, "no avatar or estimator" in alone.error) == (6, True)
    add(command, [checkpoints["estimator"], checkpoints["estimator 2"]])
    twice = command("run", "trial", "-c", "small-estimator@1", "-c", "small-estimator@2", "-c", "small-segmenter")
    assert (twice.code, "both name a checkpoint of the kind 'estimator'" in twice.error) == (2, True)
    assert command("run", "trial", "-c", "small-estimator@7", "-c", "small-segmenter").code == 6
    assert command("run", "trail").code == 2
    assert command("study", "create", "empty", "--template", "blank").code == 0
    empty = command("run", "empty")
    assert (empty.code, "has no scans. Ingest some (calliper ingest empty SOURCE)" in empty.error) == (3, True)
    assert command("run", "trial", "--scheduler", "tcp://127.0.0.1:1").code == 2
    with open_registry(workspace) as registry:
        assert count(registry, Run) == 0
    assert command("compare", "trial", "--baseline", "1", "--candidate", "2").code == 2
    assert command("compare", "trial", "--baseline", "1", "--candidate", "1").code == 2


def test_damaged_weights_stop_the_run(command, workspace: Path, checkpoints: dict[str, Path]) -> None:
    add(command, [checkpoints["segmenter"], checkpoints["estimator"]])
    [stored] = (workspace / "checkpoints").rglob("small-estimator-1.safetensors")
    raw = bytearray(stored.read_bytes())
    raw[-1] ^= 1
    stored.write_bytes(raw)
    done = command("run", "trial", "-c", "small-segmenter@1", "-c", "small-estimator@1", "--workers", "1")
    assert done.code == 6, done.error
    assert "Traceback" not in done.error
    with open_registry(workspace) as registry:
        assert count(registry, Run) == 0
        assert count(registry, Photo, Photo.deleted_at.is_not(None)) == 0
