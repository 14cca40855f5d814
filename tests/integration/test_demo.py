"""`calliper demo` drives the whole road: cohort, ingest, plan, analysis, report."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The workspace of one demonstration, and what the command printed."""
    folder = tmp_path_factory.mktemp("demo")
    words = [sys.executable, "-m", "calliper", "demo", "--workspace", str(folder / "demo"), "--height", "432"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=900, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "demo", done.stdout


def test_it_ends_with_the_headline_and_the_paths_of_what_it_made(demo) -> None:
    workspace, printed = demo
    assert "MAE (95% CI)" in printed
    for name in ("reports/demo-1/report.html", "reports/demo-1/report.pdf", "reports/demo-1/results.json"):
        assert name in printed
        assert (workspace / name).stat().st_size > 10_000
    assert "synthetic" in printed.splitlines()[-1]
    assert "rendered" in printed.splitlines()[-1]


def test_its_people_have_scans_whose_photos_are_in_the_registry(demo) -> None:
    from sqlalchemy import func, select

    from studies.registry.schema import Photo, Scan
    from studies.registry.workspace import open_registry

    workspace, printed = demo
    with (workspace / "cohort" / "scans.csv").open(encoding="utf-8", newline="") as file:
        given = list(csv.DictReader(file))
    report = json.loads((workspace / "ingests" / "demo-1" / "ingest.json").read_text(encoding="utf-8"))
    refused = report["tables"]["scans"]["rejected"]
    assert refused < 10  # of subjects whose own row was damaged
    with open_registry(workspace) as registry, registry.reading() as connection:
        scans = connection.execute(select(func.count()).select_from(Scan).where(Scan.rendered)).scalar_one()
        photos = connection.execute(select(Photo.sha256, Photo.media_type, Photo.deleted_at)).all()
        there = [registry.photos.path(*photo[:2]).is_file() for photo in photos]
        assert there == [photo.deleted_at is None for photo in photos]  # what consent does not keep went with the run
        assert 0 < sum(there) < len(photos)
    assert scans == len(given) - refused
    assert scans > 190
    assert f"{len(given):,} scans of" in printed


def test_every_scan_went_through_the_packaged_checkpoints_and_is_compared(demo) -> None:
    from sqlalchemy import func, select

    from studies.registry.schema import Outcome, Scan
    from studies.registry.workspace import open_registry

    workspace, printed = demo
    with open_registry(workspace) as registry, registry.reading() as connection:
        outcomes = dict(connection.execute(select(Outcome.status, func.count()).group_by(Outcome.status)).all())
        scans = connection.execute(select(func.count()).select_from(Scan)).scalar_one()
    assert sum(outcomes.values()) == scans
    assert outcomes["determinate"] > 0.85 * scans  # about one scan in sixteen has a photo that is no good
    results = json.loads((workspace / "reports" / "demo-1" / "results.json").read_text(encoding="utf-8"))
    assert results["index"] == "scan"
    assert list(results["tests"]) == ["scan", "scale", "deurenberg", "gallagher", "rfm"]
    assert all(name in printed for name in ("photo-segmenter@1", "silhouette-avatar@1", "body-fat@1"))


def test_every_planted_error_was_refused_or_flagged_with_a_remedy(demo) -> None:
    from studies.synthetic import plant_errors, synthesize

    workspace, _ = demo
    _, planted = plant_errors(synthesize(134, 2022), 2022)
    told: set[tuple[str, int]] = set()
    for name in ("subjects.csv", "readings.csv"):
        with (workspace / "ingests" / "demo-1" / "quarantine" / name).open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                assert len(row["calliper_reasons"]) > 20
                told.add((name, int(row["calliper_row"])))
    report = json.loads((workspace / "ingests" / "demo-1" / "ingest.json").read_text(encoding="utf-8"))
    told |= {(example["file"], example["row"]) for example in report["flagged"]["examples"]}
    missed = [error for error in planted if (error.file, error.row) not in told]
    assert missed == []


def test_every_page_says_that_people_are_synthetic_and_scans_rendered(demo) -> None:
    workspace, _ = demo
    results = json.loads((workspace / "reports" / "demo-1" / "results.json").read_text(encoding="utf-8"))
    assert results["notes"][0].startswith("All subjects of this study are synthetic and all scans of it are rendered")
    assert results["plan"]["locked"] is True
    assert results["notes"][0] in (workspace / "reports" / "demo-1" / "report.html").read_text(encoding="utf-8")


def test_the_counts_of_the_flow_add_up(demo) -> None:
    workspace, _ = demo
    flow = json.loads((workspace / "reports" / "demo-1" / "results.json").read_text(encoding="utf-8"))["flow"]
    for part in (flow["subjects"], flow["visits"], flow["measurements"], *flow["methods"].values()):
        assert part["total"] == part["analysed"] + sum(reason["n"] for reason in part["excluded"])


def test_the_registered_report_is_the_one_on_disk(demo) -> None:
    from sqlalchemy import select

    from studies.registry.schema import Report
    from studies.registry.workspace import open_registry

    workspace, _ = demo
    with open_registry(workspace) as registry, registry.reading() as connection:
        report = connection.execute(select(Report.__table__)).one()
    for file in report.files:
        content = (workspace / "reports" / "demo-1" / file["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]


def test_the_same_analysis_gives_the_same_bytes_and_a_strict_report_exits_with_7(demo, calliper, tmp_path) -> None:
    workspace, _ = demo
    out = tmp_path / "results.json"
    done = calliper("analyze", "demo", "--json", out, CALLIPER_WORKSPACE=str(workspace))
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == (workspace / "reports" / "demo-1" / "results.json").read_bytes()
    done = calliper("report", "demo", "--strict", "--format", "html", CALLIPER_WORKSPACE=str(workspace))
    assert done.returncode == 7, done.stderr
    assert (workspace / "reports" / "demo-2" / "report.html").is_file()
    assert (workspace / "reports" / "demo-1" / "report.pdf").is_file()


def test_the_demonstration_can_be_repeated_but_overwrites_nothing_else(demo, calliper, tmp_path) -> None:
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("precious", encoding="utf-8")
    done = calliper("demo", "--workspace", other)
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert (other / "thesis.txt").read_text(encoding="utf-8") == "precious"
