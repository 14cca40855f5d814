"""Two runs compared: on the scans that both saw, by the plan, with what is left out counted."""

from __future__ import annotations

import json

import pytest
from scan_study import STUDY, ScanStudy
from sqlalchemy import insert, select, update

from calliper.commands.compare import print_comparison
from studies.errors import DataError, UsageError
from studies.plan import plan_from_document
from studies.registry.catalogue import revise_plan
from studies.registry.schema import Prediction, Run, Scan, Subject, Visit
from studies.runs.comparison import compare_runs

SCANS = 40


def with_reference(
    study: ScanStudy, *, error: float = 1.0, spread: float = 0.0, left_out: tuple[str, ...] = ()
) -> None:
    """DXA readings that lie `error` above the first run's predictions, give or take."""
    with study.registry.writing() as connection:
        visits = dict(
            connection.execute(select(Subject.code, Visit.id).join(Visit, Visit.subject_id == Subject.id)).all()
        )
        for number, (code, outcome) in enumerate(sorted(study.outcomes(1).items())):
            predicted = {name: value for name, value, *_ in outcome[5]}
            if code not in left_out and predicted:
                value = predicted["body_fat_percent"] + error + spread * (number % 5 - 2)
                study.reading(connection, visits[code], "body_fat_percent", value, "dxa")


@pytest.fixture
def study(store) -> ScanStudy:
    made = ScanStudy(store, SCANS, consents=("photos", "silhouettes", "photos", "none"), plan="demo")
    made.run()
    with_reference(made, spread=0.3, left_out=("S0000",))
    return made


def test_only_scans_that_both_saw_are_compared(study) -> None:
    study.run(shift=0.5)
    found = compare_runs(study.registry, STUDY, 1, 2)
    overall = found.statistics.overall
    assert overall.n == 29  # of 40: 10 of them deleted, one without a reference
    assert found.reach == {
        "scans": 40, "both": 30, "only_baseline": 10, "only_candidate": 0, "neither": 0,
        "why": {
            "only_baseline": [
                {
                    "status": "unreachable",
                    "reason": "its photos were deleted after an earlier run, and nothing else of them is kept "
                    "(consent: none)",
                    "n": 10,
                }
            ],
            "only_candidate": [],
        },
    }  # fmt: skip
    assert overall.difference["mae"].estimate == pytest.approx(-0.5, abs=0.05)
    assert overall.difference["bias"].estimate == pytest.approx(0.5)
    assert found.verdict == "better"
    assert found.sentence().startswith("Run 2 is better than run 1 in mean absolute error (difference -0.")
    back = compare_runs(study.registry, STUDY, 2, 1)
    assert back.verdict == "worse"
    assert back.reach["only_candidate"] == 10
    assert back.statistics.overall.difference["mae"].estimate == pytest.approx(-overall.difference["mae"].estimate)


def test_groups_are_the_plans(study) -> None:
    study.run(shift=0.5)
    found = compare_runs(study.registry, STUDY, 1, 2).to_dict()
    assert set(found["subgroups"]) == {"sex", "age_band", "ethnicity", "bmi_class"}
    sex = found["subgroups"]["sex"]
    assert sex["label"] == "Sex"
    assert sum(item["n"] for item in sex["by_group"].values()) == 29
    assert found["subgroups"]["ethnicity"]["by_group"] == {}  # nobody's is recorded


def test_the_scans_that_moved_most_come_first(study) -> None:
    study.run(shift=0.5)
    with study.registry.writing() as connection:
        run_id = connection.execute(select(Run.id).where(Run.number == 2)).scalar_one()
        row = connection.execute(
            select(Prediction).where(Prediction.run_id == run_id, Prediction.measurand == "body_fat_percent").limit(1)
        ).one()
        connection.execute(update(Prediction).where(Prediction.id == row.id).values(value=row.value - 9))
    moved = compare_runs(study.registry, STUDY, 1, 2).moved
    assert len(moved) == 30
    first = moved.iloc[0]
    assert (first["subject_id"], first["change"]) == ("S0000", pytest.approx(-8.5))
    assert moved["reference"].isna().sum() == 1  # S0000 has none
    others = moved.iloc[1:]
    assert others["change"].to_numpy() == pytest.approx(0.5)
    expected = (others["candidate"] - others["reference"]).abs() - (others["baseline"] - others["reference"]).abs()
    assert others["change_of_error"].to_numpy() == pytest.approx(expected.to_numpy())


def test_two_scans_of_a_visit_stay_two_scans(study) -> None:
    """Replicates are paired by the plan (the first of the visit), and the second is still among those that moved."""
    with study.registry.writing() as connection:
        visit = connection.execute(select(Visit.id).order_by(Visit.id.desc()).limit(1)).scalar_one()
        values = {"visit_id": visit, "code": "0", "device_id": study.device, "attributes": {}}
        scan = connection.execute(insert(Scan).values(**values).returning(Scan.id)).scalar_one()
        study.photo(connection, scan, "front", b"a second scan")
        connection.execute(update(Subject).values(consent="photos"))
    study.run()
    study.run(shift=0.5)
    found = compare_runs(study.registry, STUDY, 1, 2)
    assert found.reach["both"] == 31
    assert len(found.moved) == 31


def test_what_a_reader_must_know_is_noted(study) -> None:
    study.run(shift=0.5, software="2")
    with study.registry.writing() as connection:
        connection.execute(update(Run).where(Run.number == 2).values(finished_at=None, status="running"))
    notes = " ".join(compare_runs(study.registry, STUDY, 1, 2).notes)
    assert "All scans of this study are rendered" in notes
    assert "Run 2 is not finished" in notes
    assert "different software (tiny 1 and 2)" in notes
    assert "plan is not locked" in notes


def test_it_can_be_read_and_parsed(study, capsys) -> None:
    study.run(shift=0.5)
    found = compare_runs(study.registry, STUDY, 1, 2)
    print_comparison(found, 3)
    page = capsys.readouterr().out
    assert "Run 2 is better than run 1" in page
    assert "Of 40 scans, both runs predicted 30, only the baseline 10" in page
    assert page.count("candidate\n") >= 2  # whom the scans that moved most came closer to
    assert "nan" not in page.lower()
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["verdict"] == "better"
    assert compare_runs(study.registry, STUDY, 1, 2).to_dict() == found.to_dict()


def test_runs_of_other_measurands_are_refused(study) -> None:
    study.run(shift=0.5)
    with study.registry.writing() as connection:
        run_id = connection.execute(select(Run.id).where(Run.number == 2)).scalar_one()
        connection.execute(
            update(Prediction)
            .where(Prediction.run_id == run_id, Prediction.measurand == "body_fat_percent")
            .values(measurand="fat_mass_kg")
        )
    with pytest.raises(DataError, match=r"Run 2 predicts no body_fat_percent.* It predicts fat_mass_kg, waist_cm"):
        compare_runs(study.registry, STUDY, 1, 2)


def test_what_cannot_be_compared_is_said(study, store) -> None:
    with pytest.raises(UsageError, match="cannot be compared with itself"):
        compare_runs(study.registry, STUDY, 1, 1)
    with pytest.raises(UsageError, match=r"no run 2\. Its runs: 1\."):
        compare_runs(study.registry, STUDY, 1, 2)
    study.run(shift=0.5)
    plan = plan_from_document(
        {"calliper_plan": 1, "title": "x", "measurand": "body_fat_percent", "reference": "adp", "index": "scan"}
    )
    revise_plan(study.registry, STUDY, plan, reason="another reference")
    with pytest.raises(DataError, match="can be paired with a body_fat_percent of adp"):
        compare_runs(study.registry, STUDY, 1, 2)
