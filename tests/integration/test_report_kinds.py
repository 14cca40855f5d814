"""`calliper report` of every kind, on a study with two runs, from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runs_support"))

from scan_study import STUDY, ScanStudy
from sqlalchemy import select

from reports.kinds import KINDS
from studies.plan import plan_from_document
from studies.registry.catalogue import lock_plan, revise_plan
from studies.registry.schema import Report, Subject, Visit
from studies.registry.workspace import Registry, open_registry

PEOPLE = 40
PLAN = {
    "calliper_plan": 1, "title": "Trial of scans", "measurand": "body_fat_percent", "reference": "dxa",
    "index": "scan", "comparators": ["deurenberg"], "resamples": 200,
    "subgroups": [{"name": "sex", "label": "Sex", "attribute": "sex"}],
    "criteria": [{"name": "Error", "metric": "mae", "at_most": 50}],
}  # fmt: skip


def photo(number: int, view: str) -> bytes:
    return (f"NO PERSON {number} {view}" if number < 3 else f"photo of {number}, {view}").encode()


def populate(registry: Registry, *, photos=photo, runs: int = 2) -> None:
    """A study of forty people with a DXA reading each, and runs of it."""
    trial = ScanStudy(registry, PEOPLE, photo=photos)
    with registry.writing() as connection:
        rows = connection.execute(select(Visit.id, Subject.code).join(Subject, Visit.subject_id == Subject.id)).all()
        for visit, code in rows:
            trial.reading(connection, visit, "body_fat_percent", 15 + int(code[1:]) % 23, "dxa")
    revise_plan(registry, STUDY, plan_from_document(PLAN), reason="for this test")
    lock_plan(registry, STUDY)
    for number in range(runs):
        trial.run(shift=number, new=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds") / "workspace"
    with open_registry(folder, create=True) as registry:
        populate(registry)
    return folder


@pytest.fixture
def report(command, prepared: Path, tmp_path: Path):
    """`report(kind, *more)` writes a report as JSON and HTML and gives its results and its page."""

    def make(kind: str, *more: str):
        out = tmp_path / kind
        done = command(
            "report", STUDY, "--kind", kind, "--format", "html,json", "--out", out, "--workspace", prepared, *more
        )
        assert done.code == 0, done.error
        return json.loads((out / "results.json").read_text("utf-8")), (out / "report.html").read_text("utf-8")

    return make


def test_the_newest_run_is_reported_unless_another_is_named(report) -> None:
    newest, page = report("validation")
    assert newest["run"]["number"] == 2
    assert newest["sensitivity"]["failures"]["indeterminate"] == 3
    assert "front: no person is seen" in page
    assert newest["calibration"]["uncertainty"]["n"] == PEOPLE - 3
    older, page = report("validation", "--run", "1")
    assert older["run"]["number"] == 1
    assert "those of run 1, not of the newest, 2" in page
    gap = newest["tests"]["scan"]["bias"]["estimate"] - older["tests"]["scan"]["bias"]["estimate"]
    assert gap == pytest.approx(1)  # the second run adds one percentage point to every value


def test_two_runs_are_compared(report) -> None:
    results, page = report("comparison", "--run", "1", "--run", "2")
    assert (results["baseline"]["run"], results["candidate"]["run"]) == (1, 2)
    assert results["reach"]["both"] == PEOPLE - 3
    assert "Comparison of runs" in page


@pytest.mark.parametrize("kind", ["precision", "fairness", "checklists"])
def test_sides_of_the_analysis_have_its_very_results(report, kind: str) -> None:
    assert report(kind)[0] == report("validation")[0]


def test_data_quality_and_model_cards_need_no_pair(report) -> None:
    quality, page = report("data-quality")
    assert quality["scans"]["determinate"] == PEOPLE - 3
    assert "dxa" in {item["method"] for item in quality["measurements"]}
    assert "Data quality report" in page
    assert "Model cards" in report("model-card")[1]


def test_what_cannot_be_made_is_refused(command, prepared: Path, tmp_path: Path) -> None:
    def refused(*arguments: str) -> tuple[int, str]:
        done = command("report", STUDY, *arguments, "--out", tmp_path / "none", "--workspace", prepared)
        assert not (tmp_path / "none").exists()
        return done.code, done.error

    code, told = refused("--kind", "comparison")
    assert code == 2
    assert "takes 2 runs" in told
    assert "--run NUMBER" in told
    code, told = refused("--kind", "fairnes")
    assert code == 2
    assert "Did you mean 'fairness'" in told
    code, told = refused("--run", "9")
    assert code == 2
    assert "no run 9" in told
    code, told = refused("--format", "docx")
    assert code == 2
    assert "docx" in told


def test_every_kind_is_numbered_and_registered(command, tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    with open_registry(folder, create=True) as registry:
        populate(registry)
    for kind in ("comparison", "data-quality", "model-card", "fairness"):
        runs = ("--run", "1", "--run", "2") if KINDS[kind].runs[0] == 2 else ()
        done = command("report", STUDY, "--kind", kind, "--format", "json", "--workspace", folder, *runs)
        assert done.code == 0, done.error
    with open_registry(folder) as registry, registry.reading() as connection:
        rows = connection.execute(select(Report.number, Report.kind).order_by(Report.number)).all()
    assert [tuple(row) for row in rows] == [(1, "comparison"), (2, "data-quality"), (3, "model-card"), (4, "fairness")]
    assert (folder / "reports" / f"{STUDY}-2" / "results.json").is_file()


def test_a_study_of_which_every_scan_is_indeterminate_has_a_report(command, tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    with open_registry(folder, create=True) as registry:
        populate(registry, photos=lambda number, view: f"NO PERSON {number} {view}".encode(), runs=1)
    done = command("report", STUDY, "--format", "html,json", "--workspace", folder)
    assert done.code == 0, done.error
    page = (folder / "reports" / f"{STUDY}-1" / "report.html").read_text("utf-8")
    assert "Not one scan gave a value" in page
    results = json.loads((folder / "reports" / f"{STUDY}-1" / "results.json").read_text("utf-8"))
    assert results["n"] == 0
    assert [item["verdict"] for item in results["criteria"]] == ["not enough data"]
    done = command("report", STUDY, "--strict", "--format", "json", "--workspace", folder)
    assert done.code == 7


def test_a_protocol_is_asked_for_filled_in_and_reported(command, prepared: Path, tmp_path: Path, report) -> None:
    file = tmp_path / "protocol.yaml"
    assert command("report", "protocol", STUDY, "--out", file, "--workspace", prepared).code == 0
    text = file.read_text("utf-8").replace("  statement:", "  statement: To follow body fat at home.")
    file.write_text(text, encoding="utf-8")
    done = command("report", "protocol", STUDY, "--set", file, "--workspace", prepared)
    assert done.code == 0
    assert "1 of" in done.out
    assert "design.sampling" in done.out
    results, page = report("validation")
    assert results["protocol"]["document"] == {"intended_use": {"statement": "To follow body fat at home."}}
    assert "To follow body fat at home." in page
    again = command("report", "protocol", STUDY, "--set", file, "--workspace", prepared)
    assert "version 1" in again.out
    file.write_text("calliper_protocol: 1\ndesgin:\n", encoding="utf-8")
    wrong = command("report", "protocol", STUDY, "--set", file, "--workspace", prepared)
    assert wrong.code == 4
    assert "line 2" in wrong.error
