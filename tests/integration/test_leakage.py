"""A study whose subjects a checkpoint was trained on is marked wherever the two meet."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from models.checkpoints import read_card
from studies.analysis import analyze
from studies.deidentified import deidentified
from studies.errors import PlanError, UsageError
from studies.frozen import freeze, thaw
from studies.plan import plan_from_document
from studies.registry.analysis import analyze_study, study_inputs
from studies.registry.catalogue import current_plan, find_study, revise_plan
from studies.registry.checkpoints import add_checkpoint
from studies.registry.leakage import leaked_subjects, leaks_of, leaks_of_study
from studies.registry.schema import Checkpoint, Prediction, Run, RunCheckpoint, Scan, Subject, Visit
from studies.runs.comparison import compare_runs

PEOPLE = [f"S{number}" for number in range(1, 13)]
NOTE = "Leakage: {} subjects with predictions were in the training data of {}. "


@pytest.fixture
def study(desk_on_both):
    """Twelve subjects with DXA and scale."""
    desk = desk_on_both
    desk.write("subjects.csv", [["subject_id", "sex", "age"], *([code, "F", 40] for code in PEOPLE)])
    head = ["subject_id", "measurand", "method", "value", "visit"]
    rows = [
        [code, "body_fat_percent", method, 20 + number + shift, "v1"]
        for number, code in enumerate(PEOPLE)
        for method, shift in (("dxa", 0), ("scale", 1 + number % 3))
    ]
    desk.write("readings.csv", [head, *rows])
    assert desk.ingest().rejected == 0
    return desk


def predict(desk, people: list[str], checkpoints: list[str], *, number: int = 1, finished: bool = True) -> None:
    """A run that predicts the body fat of some subjects, each from one scan."""
    with desk.registry.writing() as connection:
        study = find_study(connection, desk.study).id
        now = datetime(2026, 1, 1)
        run = connection.execute(
            insert(Run)
            .values(
                study_id=study, number=number, status="finished" if finished else "running", software={},
                started_at=now, finished_at=now if finished else None,
            )
            .returning(Run.id)
        ).scalar_one()  # fmt: skip
        for reference in checkpoints:
            name, version = reference.split("@")
            query = select(Checkpoint.id).where(Checkpoint.name == name, Checkpoint.version == int(version))
            key = connection.execute(query).scalar_one()
            connection.execute(insert(RunCheckpoint).values(run_id=run, checkpoint_id=key))
        for position, code in enumerate(people):
            visit = connection.execute(
                select(Visit.id, Subject.id).join(Subject).where(Subject.study_id == study, Subject.code == code)
            ).first()[0]
            device = connection.execute(select(Scan.device_id)).scalar() or _device(connection, study)
            scan = connection.execute(
                insert(Scan)
                .values(visit_id=visit, code=f"run-{number}", device_id=device, attributes={})
                .returning(Scan.id)
            ).scalar_one()
            connection.execute(
                insert(Prediction).values(
                    run_id=run, scan_id=scan, measurand="body_fat_percent", value=21.0 + position, unit="%", details={}
                )
            )


def _device(connection, study: int) -> int:
    from studies.registry.schema import Device

    return connection.execute(select(Device.id).where(Device.study_id == study)).scalars().first()


def test_subjects_are_known_by_the_name_of_the_study_and_of_the_mapping(study, tmp_path: Path, tiny_checkpoint) -> None:
    def leaked(dataset: str, ids: list[str], **further) -> set[str]:
        card = read_card(tiny_checkpoint(tmp_path / f"{dataset}-{len(ids)}", subjects=(dataset, ids)))
        return leaked_subjects(study.registry, study.study, card, **further)

    assert leaked("trial", ["S1", "S2", "X"]) == {"S1", "S2"}
    assert leaked("calliper", ["S3"]) == {"S3"}  # the mapping it came in by
    assert leaked("elsewhere", ["S1"]) == set()
    assert leaked("elsewhere", ["S1"], datasets=["elsewhere"]) == {"S1"}
    assert leaked("trial", ["s1", "S01"]) == set()
    assert leaked("trial", []) == set()
    with pytest.raises(UsageError, match="There is no study 'other'"):
        leaked_subjects(study.registry, "other", read_card(tiny_checkpoint(tmp_path / "none")))


def test_leaks_name_numbers_and_no_subject(study, tmp_path: Path, tiny_checkpoint) -> None:
    some = tiny_checkpoint(tmp_path, name="some", subjects=("trial", PEOPLE[:5]))
    every = tiny_checkpoint(tmp_path, name="every", subjects=("trial", PEOPLE))
    for path in (some, every, tiny_checkpoint(tmp_path, name="none", subjects=("other", ["S1"]))):
        add_checkpoint(study.registry, path)
    found = {leak.checkpoint: leak for leak in leaks_of_study(study.registry, study.study)}
    assert {name: (leak.leaked, leak.subjects) for name, leak in found.items()} == {
        "some@1": (5, 12),
        "every@1": (12, 12),
    }
    assert str(found["some@1"]).startswith(
        "5 of the 12 subjects of the study 'trial' were in the training data of some@1"
    )
    assert str(found["every@1"]).startswith("All 12 subjects of the study 'trial' were in the training data of every@1")
    assert leaks_of(study.registry, study.study, [read_card(some)]) == [found["some@1"]]


def test_commands_tell_of_them(study, command, tmp_path: Path, tiny_checkpoint) -> None:
    path = tiny_checkpoint(tmp_path, subjects=("trial", ["S1", "S2"]))
    told = "2 of the 12 subjects of the study 'trial' were in the training data of tiny@1"
    assert f"Warning: {told}" in command("checkpoint", "add", path).error
    assert json.loads(command("checkpoint", "add", path, "--json").out)["leaks"] == [
        {"study": "trial", "checkpoint": "tiny@1", "leaked": 2, "subjects": 12}
    ]
    assert told not in command("checkpoint", "show", "tiny").out
    shown = command("checkpoint", "show", "tiny", "--study", "trial").out
    assert f"Warning: {told}" in " ".join(shown.split())
    assert "S1" not in shown
    assert (
        json.loads(command("checkpoint", "show", "tiny", "--study", "trial", "--json").out)["leaks"][0]["leaked"] == 2
    )
    assert f"Warning: {told}" in command("study", "show", "trial").out
    assert json.loads(command("study", "show", "trial", "--json").out)["trained_on"][0]["leaked"] == 2
    assert command("checkpoint", "show", "tiny", "--study", "nope").code == 2

    other = tiny_checkpoint(tmp_path, name="other", subjects=("elsewhere", ["S1"]))
    assert "Warning" not in command("checkpoint", "add", other).error
    assert "No subject of the study 'trial' is known" in command("checkpoint", "show", "other", "--study", "trial").out
    looked = command("checkpoint", "show", "other", "--study", "trial", "--dataset", "elsewhere").out
    assert "1 of the 12 subjects" in " ".join(looked.split())
    assert command("checkpoint", "show", "other", "--dataset", "elsewhere").code == 2


def test_an_analysis_notes_what_its_predictions_rest_on(study, tmp_path: Path, tiny_checkpoint) -> None:
    for name, people in (("fat", PEOPLE[:3]), ("outline", PEOPLE), ("clean", ["X"])):
        add_checkpoint(study.registry, tiny_checkpoint(tmp_path, name=name, subjects=("trial", people)))

    def notes(**options) -> list[str]:
        found = analyze_study(study.registry, study.study, **options).results["notes"]
        return [note for note in found if note.startswith("Leakage")]

    assert notes(index="scale") == []
    predict(study, PEOPLE[:10], ["fat@1", "clean@1"])
    (note,) = notes(index="scan")
    assert note.startswith(NOTE.format("3 of the 10", "fat@1"))
    assert "no claim may rest on it" in note

    predict(study, PEOPLE[3:], ["fat@1"], number=2)
    assert notes(index="scan") == []  # whom it was trained on was not predicted
    predict(study, PEOPLE, ["outline@1", "fat@1"], number=3)
    expected = [NOTE.format("3 of the 12", "fat@1"), NOTE.format("all 12", "outline@1")]
    assert [note.partition("How")[0] for note in notes(index="scan")] == expected
    predict(study, PEOPLE, ["clean@1"], number=4, finished=False)
    assert len(notes(index="scan")) == 2  # of the newest finished run


def test_an_analysis_without_predictions_is_not_marked(study, tmp_path: Path, tiny_checkpoint) -> None:
    """The blank plan's index is the scan; a plan that names no method of prediction has nothing to note."""
    add_checkpoint(study.registry, tiny_checkpoint(tmp_path, subjects=("trial", PEOPLE)))
    predict(study, PEOPLE, ["tiny@1"])
    with study.registry.reading() as connection:
        plan = current_plan(connection, find_study(connection, study.study).id).plan
    assert "scan" in plan.tests
    document = {**plan.document(), "index": "scale", "comparators": []}
    revise_plan(study.registry, study.study, plan_from_document(document), reason="no scan")
    assert not [note for note in analyze_study(study.registry, study.study).results["notes"] if "Leakage" in note]
    assert [n for n in analyze_study(study.registry, study.study, index="scan").results["notes"] if "Leakage" in n]


def test_an_export_of_the_study_tells_of_them(study, command, tmp_path: Path, tiny_checkpoint) -> None:
    add_checkpoint(study.registry, tiny_checkpoint(tmp_path, subjects=("trial", PEOPLE[:3])))
    predict(study, PEOPLE, ["tiny@1"])
    told = command("study", "export", "trial", "--out", "data")
    assert told.code == 0, told.error
    assert "Leakage: 3 of the 12 subjects with predictions were in the training data of tiny@1." in told.error


def leave_out_trained(study, **rule) -> None:
    """A version of the plan that leaves out whom a checkpoint was trained on."""
    with study.registry.reading() as connection:
        document = current_plan(connection, find_study(connection, study.study).id).plan.document()
    rules = [{"attribute": "in_training_data", **(rule or {"equals": "no"})}]
    plan = plan_from_document({**document, "comparators": ["scale"], "eligibility": rules})
    revise_plan(study.registry, study.study, plan, reason="unseen people alone")


def test_a_plan_can_leave_out_whom_a_checkpoint_was_trained_on(study, tmp_path: Path, tiny_checkpoint) -> None:
    for name, people in (("fat", PEOPLE[:3]), ("outline", PEOPLE[2:4]), ("clean", ["X"])):
        add_checkpoint(study.registry, tiny_checkpoint(tmp_path, name=name, subjects=("trial", people)))
    leave_out_trained(study)
    assert analyze_study(study.registry, study.study, index="scale").results["n"] == 12
    predict(study, PEOPLE[:10], ["fat@1", "outline@1", "clean@1"])
    assert study_inputs(study.registry, study.study, index="scale")["plan"].leaves_out_trained

    found = analyze_study(study.registry, study.study, index="scan")
    assert set(found.pairs["subject_id"]) == set(PEOPLE[4:10])
    assert {name: test["n"] for name, test in found.results["tests"].items()} == {"scan": 6, "scale": 6}
    assert {"reason": "in_training_data is not no", "n": 4} in found.results["flow"]["subjects"]["excluded"]
    left_out = "subjects with predictions were in the training data of {}. The analysis plan leaves them out: they are"
    notes = found.results["notes"]
    assert not [note for note in notes if "no claim may rest" in note and "Leakage" in note]
    assert sum(note.startswith(f"3 of the 10 {left_out.format('fat@1')}") for note in notes) == 1
    assert sum(note.startswith(f"2 of the 10 {left_out.format('outline@1')}") for note in notes) == 1

    inputs = study_inputs(study.registry, study.study, index="scan")
    assert analyze(**thaw(freeze(deidentified(inputs)))).results == found.results

    leave_out_trained(study, equals="yes")  # the other way round it is a look at memory, and marked
    memory = analyze_study(study.registry, study.study, index="scan")
    assert set(memory.pairs["subject_id"]) == set(PEOPLE[:4])
    assert sum(note.startswith("Leakage") for note in memory.results["notes"]) == 2


def test_a_comparison_leaves_out_whom_either_checkpoint_was_trained_on(study, tmp_path: Path, tiny_checkpoint) -> None:
    for name, people in (("one", PEOPLE[:3]), ("other", PEOPLE[2:6])):
        add_checkpoint(study.registry, tiny_checkpoint(tmp_path, name=name, subjects=("trial", people)))
    predict(study, PEOPLE, ["one@1"])
    predict(study, [], ["other@1"], number=2)
    with study.registry.writing() as connection:  # the second run saw the scans of the first
        runs = dict(connection.execute(select(Run.number, Run.id)).all())
        for row in connection.execute(select(Prediction.__table__)).mappings().all():
            again = {**row, "run_id": runs[2], "value": row["value"] + 1}
            del again["id"]
            connection.execute(insert(Prediction).values(again))
    assert compare_runs(study.registry, study.study, 1, 2).statistics.overall.n == 12
    leave_out_trained(study)
    found = compare_runs(study.registry, study.study, 1, 2)
    assert found.statistics.overall.n == 6
    assert sum("The analysis plan leaves them out" in note for note in found.notes) == 2


def test_an_attribute_of_the_study_is_not_taken_for_the_mark(study, tmp_path: Path, tiny_checkpoint) -> None:
    with study.registry.writing() as connection:
        connection.execute(Subject.__table__.update().values(attributes={"in_training_data": "no"}))
    add_checkpoint(study.registry, tiny_checkpoint(tmp_path, subjects=("trial", PEOPLE)))
    predict(study, PEOPLE, ["tiny@1"])
    leave_out_trained(study)
    with pytest.raises(PlanError, match="have an attribute 'in_training_data' of their own"):
        analyze_study(study.registry, study.study, index="scan")
