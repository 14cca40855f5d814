"""Reports of every kind keep what they were computed from, and their results come out again byte for byte."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runs_support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from scan_study import STUDY
from test_report_kinds import PEOPLE, populate

from reports.archive import bundle_report, identifier_in
from reports.kinds import KINDS, Order, build
from reports.recomputing import recompute
from reports.registered import register_report
from reports.results import results_json
from reports.verification import verify
from studies.errors import DataError, StorageError, UsageError
from studies.frozen import CODEBOOK, FACTS, files_of_zip
from studies.privacy.erase import erase_subject
from studies.registry.catalogue import find_study
from studies.registry.reports import INPUTS, find_report, inputs_record
from studies.registry.schema import IngestBatch, Scan, Subject
from studies.registry.workspace import Registry, open_registry
from studies.runs.comparison import compare_runs

OTHER = ("comparison", "data-quality", "model-card", "drift")
ANALYSES = ("validation", "fairness", "precision", "checklists")


def order(kind: str) -> Order:
    return Order(STUDY, (1, 2) if kind == "comparison" else ())


def make(registry: Registry, kind: str) -> Path:
    """Register a report. Returns its results.json."""
    return register_report(registry, STUDY, build(registry, kind, order(kind)), formats=("json",))["json"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one report of every kind, their numbers in the order of `KINDS`; scans came in two ingests."""
    folder = tmp_path_factory.mktemp("every") / "workspace"
    with open_registry(folder, create=True) as registry:
        populate(registry)
        _two_ingests(registry)
        for kind in KINDS:
            make(registry, kind)
    return folder


def _two_ingests(registry: Registry) -> None:
    """Let every other scan have come in with a second ingest."""
    with registry.writing() as connection:
        study = find_study(connection, STUDY).id
        counts = {"readings": {"read": 44, "new": 40, "rejected": 4}}
        for number in (1, 2):
            finished = datetime(2024, 5, number)
            row = insert(IngestBatch).values(
                study_id=study, number=number, actor="a", status="ingested", mapping_name="calliper", mapping_hash="",
                mapping={}, sources=[], counts=counts, started_at=finished, finished_at=finished,
            )  # fmt: skip
            batch = connection.execute(row.returning(IngestBatch.id)).scalar_one()
            half = Scan.id % 2 == number - 1
            connection.execute(update(Scan).where(half).values(batch_id=batch))


@pytest.fixture
def registry(prepared: Path, tmp_path: Path):
    shutil.copytree(prepared, tmp_path / "workspace")
    with open_registry(tmp_path / "workspace") as opened:
        yield opened


def folder_of(registry: Registry, kind: str) -> Path:
    return registry.reports / f"{STUDY}-{list(KINDS).index(kind) + 1}"


def inputs_of(registry: Registry, kind: str) -> dict[str, bytes]:
    return files_of_zip((folder_of(registry, kind) / INPUTS).read_bytes(), INPUTS)


def told(found) -> str:
    return " ".join(item.what for item in found.findings)


def test_no_kind_is_forgotten() -> None:
    assert {*OTHER, *ANALYSES} == set(KINDS)


@pytest.mark.parametrize("kind", [*OTHER, "validation"])
def test_the_results_come_out_again_byte_for_byte(registry: Registry, kind: str) -> None:
    original = folder_of(registry, kind) / "results.json"
    assert recompute(kind, inputs_of(registry, kind)) == original.read_bytes()
    found = verify(original, registry)
    assert found.reproduced
    assert not found.failed, told(found)
    assert "Reproduced: results.json computed from the frozen inputs is the same, byte for byte." in told(found)


@pytest.mark.parametrize("kind", OTHER)
def test_the_data_may_go_on_after_the_report(registry: Registry, kind: str) -> None:
    """What the report was made of stays: with other data in the registry a new report is another, and the old holds."""
    original = folder_of(registry, kind) / "results.json"
    with registry.writing() as connection:
        connection.exec_driver_sql("UPDATE reading SET value = value + 5 WHERE id % 3 = 0")
        connection.exec_driver_sql("UPDATE subject SET sex = NULL WHERE id % 5 = 0")
        connection.exec_driver_sql("UPDATE study SET title = 'Another title'")
    made = build(registry, kind, order(kind))
    assert results_json(made.results) != original.read_bytes()
    assert verify(original, registry).reproduced


@pytest.mark.parametrize("kind", OTHER)
def test_changed_inputs_are_found_and_give_other_results(registry: Registry, kind: str) -> None:
    files = inputs_of(registry, kind)
    facts = json.loads(files[FACTS])
    facts["study"]["title"] = "Changed"
    changed = {**files, FACTS: json.dumps(facts).encode()}
    assert recompute(kind, changed) != recompute(kind, files)
    with pytest.raises(DataError, match=r"lack|not those of"):
        recompute(kind, {name: content for name, content in files.items() if name in (FACTS, CODEBOOK)} | {
            FACTS: json.dumps({"calliper_inputs": 1, "tables": {}}).encode()
        })  # fmt: skip


@pytest.mark.parametrize("kind", OTHER)
def test_the_inputs_name_nobody_and_can_be_given_away(registry: Registry, tmp_path: Path, kind: str) -> None:
    with registry.reading() as connection:
        codes = set(connection.execute(select(Subject.code)).scalars())
    files = inputs_of(registry, kind)
    assert len(codes) == PEOPLE
    report = {item.name: item.read_bytes() for item in folder_of(registry, kind).iterdir() if item.suffix == ".json"}
    assert identifier_in(files, codes) is None
    assert identifier_in(report, codes) is None
    out = tmp_path / f"{kind}.zip"
    bundled = bundle_report(registry, f"{STUDY}/{list(KINDS).index(kind) + 1}", out)
    # Of a comparison only those whose scans both runs saw, of model cards nobody.
    assert bundled.risk["subjects"] == {"model-card": 0, "comparison": PEOPLE - 3}.get(kind, PEOPLE)
    found = verify(out, None)
    assert found.reproduced
    assert not found.failed, told(found)
    members = files_of_zip(out.read_bytes(), "bundle")
    assert ("plan.yaml" in members) == (kind in ("drift", "comparison"))


def test_quality_keeps_no_value_and_drift_no_date_of_anybody(registry: Registry) -> None:
    quality = inputs_of(registry, "data-quality")
    facts = json.loads(quality[FACTS])
    assert {name: list(columns) for name, columns in facts["tables"].items() if name != "recorded"} == {
        "subjects": ["subject_id", "site"],
        "measurements": ["subject_id", "visit", "measurand", "method", "flags", "finite"],
        "scans": ["subject_id", "device", "status", "reason"],
    }
    assert set(facts["tables"]["recorded"].values()) == {"text", "yes or no"}
    drift = json.loads(inputs_of(registry, "drift")[FACTS])
    assert "birth_date" not in drift["tables"]["subjects"]
    assert "consent" not in drift["tables"]["subjects"]


def test_a_comparison_names_nobody_and_the_command_tells_who_is_meant(registry: Registry) -> None:
    """The scans that moved are numbered in the report, and the registry's own comparison has them in the same order."""
    results = json.loads((folder_of(registry, "comparison") / "results.json").read_text("utf-8"))
    named = compare_runs(registry, STUDY, 1, 2).to_dict()
    assert len(results["moved"]) == len(named["moved"]) > 20
    for number, (item, known) in enumerate(zip(results["moved"], named["moved"], strict=True), start=1):
        assert set(known) - set(item) == {"subject_id", "visit", "scan"}
        assert item == {"number": number, **{key: known[key] for key in item if key != "number"}}
    assert {key: results[key] for key in ("overall", "subgroups", "reach")} == {
        key: named[key] for key in ("overall", "subgroups", "reach")
    }


def test_an_erasure_removes_the_inputs_that_hold_people(registry: Registry) -> None:
    erase_subject(registry, "S0007", study=STUDY, reason="asked for")
    for kind in KINDS:
        kept = (folder_of(registry, kind) / INPUTS).exists()
        assert kept == (kind == "model-card"), kind
    found = verify(folder_of(registry, "drift") / "results.json", registry)
    assert not found.failed
    assert found.reproduced is None
    assert "a subject who was in them was erased" in told(found)
    assert verify(folder_of(registry, "model-card") / "results.json", registry).reproduced


@pytest.mark.parametrize("kind", OTHER)
def test_nothing_is_registered_of_somebody_who_was_erased_meanwhile(registry: Registry, kind: str) -> None:
    made = build(registry, kind, order(kind))
    erase_subject(registry, "S0007", study=STUDY, reason="asked for")
    before = sorted(registry.reports.iterdir())
    with pytest.raises(StorageError, match="changed while the report was made"):
        register_report(registry, STUDY, made, formats=("json",))
    assert sorted(registry.reports.iterdir()) == before


def test_reports_of_before_say_that_they_kept_nothing(registry: Registry) -> None:
    """A report that was registered before its kind kept inputs."""
    with registry.writing() as connection:
        record = find_report(connection, f"{STUDY}/{list(KINDS).index('drift') + 1}")
        assert inputs_record(connection, record) is not None
        connection.exec_driver_sql(f"DELETE FROM frozen_inputs WHERE report_id = {record.id}")
    found = verify(record.folder(registry) / "results.json", registry)
    assert found.reproduced is None
    assert "No inputs were kept for this report" in told(found)


@pytest.mark.parametrize("missing", ["runs", "determinate scans"])
def test_a_study_without_runs_or_without_a_determinate_scan_has_reports_of_every_kind(
    tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to compare is said where there is none; all else is reported, and reproduced."""
    monkeypatch.setattr("models.checkpoints.files._PACKAGED", tmp_path / "nothing")

    def nobody(number: int, view: str) -> bytes:
        return f"NO PERSON {number} {view}".encode()

    with open_registry(tmp_path / "workspace", create=True) as registry:
        populate(registry, **({"runs": 0} if missing == "runs" else {"photos": nobody}))
        for kind in KINDS:
            if kind == "comparison":
                with pytest.raises((DataError, UsageError)):
                    build(registry, kind, order(kind))
                continue
            results = register_report(registry, STUDY, build(registry, kind, order(kind)), formats=("html", "json"))
            found = verify(results["json"], registry)
            assert found.reproduced, told(found)
            assert not found.failed, told(found)
            page = results["html"].read_text("utf-8")
            words = {
                ("validation", "runs"): "No run of a model is in this report",
                ("validation", "determinate scans"): "Not one scan gave a value",
                ("data-quality", "runs"): "No run has looked at the scans of this study.",
                ("data-quality", "determinate scans"): "no person is seen",
                ("model-card", "runs"): "no checkpoint is the current one",
                ("fairness", "runs"): "Nobody was analysed",
                ("fairness", "determinate scans"): "Nobody was analysed",
            }.get((kind, missing), "")
            assert words in page, kind
