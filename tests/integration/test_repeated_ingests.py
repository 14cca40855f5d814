"""Ingested again, shuffled, split, corrected, tried dry: on both databases the registry says what the sources say."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from studies.synthetic import plant_errors, synthesize, write_cohort

SUBJECTS = "subject_id,sex,age,birth_date,enrolled_on,site,consent,nurse\n"
READINGS = "subject_id,visit,measured_at,measurand,method,device,value,unit,replicate\n"


def counts(result) -> dict[str, tuple[int, int, int, int]]:
    """(new, changed, unchanged, rejected) of subjects and readings."""
    keys = ("new", "changed", "unchanged", "rejected")
    return {table: tuple(result.report["tables"][table][key] for key in keys) for table in ("subjects", "readings")}


def content(tables: dict[str, list[tuple]]) -> dict[str, list[tuple]]:
    """All tables but those that grow with every ingest: its batch, and its event in the trail."""
    return {name: rows for name, rows in tables.items() if name not in ("ingest_batch", "audit_event")}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """A synthetic cohort of which some rows are damaged, as files."""
    folder = tmp_path_factory.mktemp("cohort")
    cohort, planted = plant_errors(synthesize(150, 5), 6)
    write_cohort(cohort, folder, errors=planted)
    return folder, {(error.file, error.row) for error in planted if error.kind != "visit before enrolment"}


def test_the_planted_errors_and_only_they_are_refused(desk_on_both, damaged) -> None:
    folder, planted = damaged
    result = desk_on_both.ingest(folder)
    _, refused = desk_on_both.places(result)
    # The readings of a refused subject, and both rows of a contradiction, are refused with the one that was damaged.
    innocent = [
        reason
        for row in desk_on_both.quarantined()
        if (row.source, row.source_row) not in planted
        for reason in row.reasons
    ]
    assert planted <= refused
    assert all("was itself refused" in reason["reason"] or "contradicts" in reason["reason"] for reason in innocent)
    rows = {name: len(pd.read_csv(folder / name, dtype=str)) for name in ("subjects.csv", "readings.csv")}
    desk_on_both.assert_all_accounted_for(result, rows)


def test_the_same_ingest_again_changes_nothing(desk_on_both, damaged) -> None:
    folder, _ = damaged
    first = desk_on_both.ingest(folder)
    tables, sha256 = desk_on_both.tables(), desk_on_both.frames().sha256
    second = desk_on_both.ingest(folder)
    for table in ("subjects", "readings"):
        new, _, _, rejected = counts(first)[table]
        assert counts(second)[table] == (0, 0, new, rejected)
    assert second.report["status"] == "unchanged"
    assert content(desk_on_both.tables()) == content(tables)
    assert desk_on_both.frames().sha256 == sha256
    assert len(desk_on_both.events("ingest")) == 2
    assert not desk_on_both.events("change")


def test_a_dry_run_changes_nothing_and_foretells_the_ingest(desk_on_both, damaged) -> None:
    folder, _ = damaged
    before = desk_on_both.tables()
    dry = desk_on_both.ingest(folder, dry_run=True)
    assert desk_on_both.tables() == before
    assert dry.report["status"] == "dry run"
    assert dry.report["batch"] is None
    wet = desk_on_both.ingest(folder)
    for part in ("tables", "rules", "quarantine", "flagged", "sources"):
        assert dry.report[part] == wet.report[part]
    assert (dry.folder / "quarantine" / "readings.csv").read_bytes() == (
        wet.folder / "quarantine" / "readings.csv"
    ).read_bytes()


def test_order_and_division_of_the_rows_do_not_matter(desk_on_both, new_desk, tmp_path) -> None:
    cohort = synthesize(60, 7)
    other = new_desk(tmp_path / "other")
    write_cohort(cohort, other.folder)
    other.ingest()
    rng = np.random.default_rng(8)
    for name in ("subjects", "readings"):
        shuffled = getattr(cohort, name).sample(frac=1, random_state=rng)
        for number, part in enumerate(np.array_split(np.arange(len(shuffled)), 3)):
            desk_on_both.write(f"{name}-{number}.csv", shuffled.iloc[part].to_csv(index=False))
    result = desk_on_both.ingest()
    assert result.rejected == 0
    assert desk_on_both.frames().sha256 == other.frames().sha256
    other.registry.close()


def test_subjects_and_readings_may_come_one_after_the_other(desk_on_both, new_desk, tmp_path) -> None:
    cohort = synthesize(40, 9)
    other = new_desk(tmp_path / "other")
    write_cohort(cohort, other.folder)
    other.ingest()
    write_cohort(cohort, desk_on_both.folder)
    subjects, readings = (desk_on_both.folder / f"{name}.csv" for name in ("subjects", "readings"))
    early = desk_on_both.ingest(readings)
    assert counts(early)["readings"][:3] == (0, 0, 0)
    assert "is not registered" in early.report["quarantine"]["examples"][0]["reason"]
    desk_on_both.ingest(subjects)
    assert desk_on_both.ingest(readings).rejected == 0
    assert desk_on_both.frames().sha256 == other.frames().sha256
    other.registry.close()


def test_one_corrected_value_is_one_audited_change(desk_on_both) -> None:
    desk_on_both.write("subjects.csv", SUBJECTS + "S1,F,40,,2024-01-10,A,none,Ann\nS2,M,50,,2024-01-11,A,none,Ann\n")
    lines = ["S1,baseline,2024-01-15,waist_cm,tape,t1,80.5,cm,1\n", "S2,baseline,2024-01-16,waist_cm,tape,t1,95,cm,1\n"]
    desk_on_both.write("readings.csv", READINGS + "".join(lines))
    desk_on_both.ingest()
    desk_on_both.write("readings.csv", READINGS + lines[0].replace("80.5", "81.5") + lines[1])
    result = desk_on_both.ingest()

    assert counts(result) == {"subjects": (0, 0, 2, 0), "readings": (0, 1, 1, 0)}
    change = {
        "table": "readings",
        "subject_id": "S1",
        "what": "baseline/tape/waist_cm/1 value",
        "old": 80.5,
        "new": 81.5,
    }
    assert result.report["changes"] == [change]
    (event,) = desk_on_both.events("change")
    assert (event["actor"], event["entity"], event["study"]) == ("tester", "reading", "trial")
    assert event["entity_key"] == "S1/baseline/tape/waist_cm/1"
    assert (event["detail"]["field"], event["detail"]["old"], event["detail"]["new"]) == ("value", 80.5, 81.5)
    assert event["detail"]["reason"] == "corrected by a later ingest"
    assert desk_on_both.readings()["value"].tolist() == [81.5, 95.0]
    again = desk_on_both.ingest()
    assert counts(again)["readings"] == (0, 0, 2, 0)
    assert len(desk_on_both.events("change")) == 1


def test_corrected_people_and_dates_are_audited_one_by_one(desk_on_both) -> None:
    desk_on_both.write("subjects.csv", SUBJECTS + "S1,F,40,,2024-01-10,A,none,Ann\n")
    desk_on_both.write("readings.csv", READINGS + "S1,baseline,2024-01-15 09:30,waist_cm,tape,t1,80.5,cm,1\n")
    desk_on_both.ingest()
    desk_on_both.write("subjects.csv", SUBJECTS + "S1,M,41,1982-03-04,2024-01-09,B,photos,Bob\n")
    desk_on_both.write("readings.csv", READINGS + "S1,baseline,2024-01-15 10:30,waist_cm,tape,t1,80.5,cm,1\n")
    desk_on_both.ingest()
    changes = {(e["detail"]["field"], e["detail"]["old"], e["detail"]["new"]) for e in desk_on_both.events("change")}
    assert changes == {
        ("sex", "F", "M"),
        ("age", 40.0, 41.0),
        ("birth_date", None, "1982-03-04"),
        ("enrolled_on", "2024-01-10", "2024-01-09"),
        ("site", "A", "B"),
        ("consent", "none", "photos"),
        ("nurse", "Ann", "Bob"),
        ("measured_at", "2024-01-15 09:30:00", "2024-01-15 10:30:00"),
    }
    person = desk_on_both.subjects().loc["S1"]
    assert (person["sex"], person["age"], person["site"], person["nurse"]) == ("M", 41.0, "B", "Bob")


def test_a_missing_value_never_erases(desk_on_both) -> None:
    desk_on_both.write("subjects.csv", SUBJECTS + "S1,F,40,1983-05-06,2024-01-10,A,photos,Ann\n")
    desk_on_both.write("readings.csv", READINGS + "S1,baseline,2024-01-15,waist_cm,tape,t1,80.5,cm,1\n")
    desk_on_both.ingest()
    before = content(desk_on_both.tables())
    desk_on_both.write("subjects.csv", SUBJECTS + "S1,,,,,,,\n")
    desk_on_both.write("readings.csv", READINGS + "S1,baseline,,waist_cm,tape,t1,80.5,,\n")
    result = desk_on_both.ingest()
    assert counts(result) == {"subjects": (0, 0, 1, 0), "readings": (0, 0, 1, 0)}
    assert content(desk_on_both.tables()) == before
    desk_on_both.write("subjects.csv", "subject_id\nS1\n")  # nor does a missing column
    assert counts(desk_on_both.ingest())["subjects"] == (0, 0, 1, 0)
    assert content(desk_on_both.tables()) == before


def test_what_is_registered_still_counts_when_a_later_file_does_not_say_it(desk, refused) -> None:
    """A birth date that only the registry knows still tells a reading before birth."""
    desk.write("subjects.csv", SUBJECTS + "S1,F,,1983-05-06,2024-01-10,A,photos,Ann\n")
    desk.ingest()
    desk.write("subjects.csv", "subject_id,sex\nS1,F\n")
    desk.write("readings.csv", READINGS + "S1,baseline,1980-01-15,waist_cm,tape,t1,80.5,cm,1\n")
    told = refused(desk.ingest())
    assert [fault["rule"] for fault in told["readings.csv", 2]] == ["measured_in_lifetime"]


# Rows that are there twice -------------------------------------------------------------------------------------------


def test_of_identical_rows_the_first_stays(desk_on_both, refused) -> None:
    desk_on_both.write("subjects.csv", "subject_id,sex,age\nS1,F,40\nS2,M,50\nS1,F,40\n")
    desk_on_both.write("readings.csv", READINGS + "S1,v1,,waist_cm,tape,,80,cm,1\n" * 3)
    told = refused(desk_on_both.ingest())
    assert set(told) == {("subjects.csv", 4), ("readings.csv", 3), ("readings.csv", 4)}
    (fault,) = told["subjects.csv", 4]
    assert (fault["column"], fault["reason"]) == ("subject_id", "repeats subjects.csv row 2 exactly")
    assert fault["remedy"] == "Keep one row for each person."
    assert told["readings.csv", 4][0]["reason"] == "repeats readings.csv row 2 exactly"
    assert "Number true repeats in `replicate`" in told["readings.csv", 4][0]["remedy"]
    assert desk_on_both.subjects().index.tolist() == ["S1", "S2"]
    assert len(desk_on_both.readings()) == 1


def test_rows_that_contradict_each_other_are_all_refused(desk_on_both, refused) -> None:
    desk_on_both.write("subjects-a.csv", "subject_id,sex,age\nS1,F,40\nS2,M,50\n")
    desk_on_both.write("subjects-b.csv", "subject_id,sex,age\nS1,F,41\n")
    desk_on_both.write(
        "readings.csv",
        READINGS + "S1,v1,,waist_cm,tape,,80,cm,1\nS2,v1,,hip_cm,tape,,90,cm,1\nS2,v1,,hip_cm,tape,,91,cm,1\n",
    )
    told = refused(desk_on_both.ingest())
    reasons = {place: [fault["reason"] for fault in faults] for place, faults in told.items()}
    assert reasons == {
        ("subjects-a.csv", 2): ["contradicts subjects-b.csv row 2"],
        ("subjects-b.csv", 2): ["contradicts subjects-a.csv row 2"],
        ("readings.csv", 2): ["subject 'S1' was itself refused (subjects-a.csv row 2)"],
        ("readings.csv", 3): ["contradicts readings.csv row 4"],
        ("readings.csv", 4): ["contradicts readings.csv row 3"],
    }
    assert desk_on_both.subjects().index.tolist() == ["S2"]
    assert desk_on_both.readings().empty


def test_readings_of_a_registered_subject_stay_when_its_correction_is_refused(desk_on_both, refused) -> None:
    desk_on_both.write("subjects.csv", "subject_id,sex,age\nS1,F,40\n")
    desk_on_both.ingest()
    desk_on_both.write("subjects.csv", "subject_id,sex,age\nS1,F,230\n")
    desk_on_both.write("readings.csv", READINGS + "S1,v1,,waist_cm,tape,,80,cm,1\n")
    assert set(refused(desk_on_both.ingest())) == {("subjects.csv", 2)}
    assert len(desk_on_both.readings()) == 1
    assert desk_on_both.subjects()["age"].tolist() == [40.0]


# Units ---------------------------------------------------------------------------------------------------------------


def test_a_labelled_unit_is_converted_and_what_was_reported_is_kept(desk_on_both) -> None:
    from sqlalchemy import select

    from studies.registry.schema import Reading

    desk_on_both.write("subjects.csv", "subject_id,sex,age\nS1,F,40\n")
    lines = [
        "S1,v1,,weight_kg,scale,,154.3,LB,1",
        "S1,v1,,stature_cm,tape,,65,in,1",
        "S1,v1,,fat_mass_kg,dxa,,25071.2,g,1",
    ]
    desk_on_both.write("readings.csv", READINGS + "".join(f"{line}\n" for line in lines))
    assert desk_on_both.ingest().rejected == 0
    with desk_on_both.registry.reading() as connection:
        found = connection.execute(
            select(Reading.measurand, Reading.value, Reading.unit, Reading.reported_value, Reading.reported_unit)
        ).all()
    assert {tuple(row) for row in found} == {
        ("weight_kg", 69.989302691, "kg", 154.3, "LB"),
        ("stature_cm", 165.1, "cm", 65.0, "in"),
        ("fat_mass_kg", 25.0712, "kg", 25071.2, "g"),
    }
    assert counts(desk_on_both.ingest())["readings"] == (0, 0, 3, 0)


@pytest.mark.parametrize("other", ["bmi,calculated,,25.7,kg/m2", "waist_cm,tape,,78,cm"])
def test_pounds_are_told_by_what_the_registry_knows_of_the_person(desk_on_both, refused, other: str) -> None:
    desk_on_both.write("subjects.csv", "subject_id,sex,age\nS1,F,40\n")
    desk_on_both.write("readings.csv", READINGS + f"S1,v1,,stature_cm,tape,,165,cm,1\nS1,v1,,{other},1\n")
    assert desk_on_both.ingest().rejected == 0
    desk_on_both.write("readings.csv", READINGS + "S1,v1,,weight_kg,scale,,154.3,kg,1\n")
    (fault,) = refused(desk_on_both.ingest())["readings.csv", 2]
    assert (fault["rule"], fault["column"], fault["value"]) == ("values_fit_together", "value", "154.3")
    assert "the mass seems to be in pounds" in fault["reason"]
    assert len(desk_on_both.readings()) == 2
    desk_on_both.write("readings.csv", READINGS + "S1,v1,,weight_kg,scale,,154.3,lb,1\n")
    assert desk_on_both.ingest().rejected == 0


def test_the_stature_of_an_adult_counts_at_every_visit(desk_on_both, refused) -> None:
    desk_on_both.write("subjects.csv", "subject_id,sex,age\nS1,F,40\nS2,F,9\n")
    lines = [f"S{i},baseline,,stature_cm,tape,,{cm},cm,1\n" for i, cm in ((1, 165), (2, 130))]
    desk_on_both.write("readings.csv", READINGS + "".join(lines))
    desk_on_both.ingest()
    later = "week-12,,weight_kg,scale,,{},kg,1\n", "week-12,,waist_cm,tape,,{},cm,1\n"
    rows = [f"S1,{later[0].format(154.3)}", f"S1,{later[1].format(78)}", f"S2,{later[0].format(70)}"]
    desk_on_both.write("readings.csv", READINGS + "".join(rows))
    told = refused(desk_on_both.ingest())
    assert list(told) == [("readings.csv", 2)]  # a child's stature of long ago judges nothing
    assert "at a stature of 165 cm a mass of 154.3 kg" in told["readings.csv", 2][0]["reason"]


def test_a_corrected_value_is_judged_beside_its_own_file_not_beside_what_it_corrects(desk, refused) -> None:
    desk.write("subjects.csv", "subject_id,sex,age\nS1,F,40\n")
    desk.write("readings.csv", READINGS + "S1,v1,,stature_cm,tape,,123,cm,1\n")
    desk.ingest()
    desk.write("readings.csv", READINGS + "S1,v1,,stature_cm,tape,,165,cm,1\nS1,v1,,weight_kg,scale,,120,kg,1\n")
    assert refused(desk.ingest()) == {}


# Visits --------------------------------------------------------------------------------------------------------------


def test_a_long_number_is_no_place_in_the_order_of_visits(desk_on_both) -> None:
    desk_on_both.write("subjects.csv", "subject_id,sex,age\nS1,F,40\n")
    desk_on_both.write("readings.csv", READINGS + "S1,visit 20240115093000,,waist_cm,tape,t1,80.5,cm,1\n")
    assert desk_on_both.ingest().rejected == 0
    assert desk_on_both.frames().visits["sequence"].isna().all()


# Everything that a file can be is the same to the registry -----------------------------------------------------------


def test_a_file_larger_than_a_chunk_is_the_same_as_a_small_one(desk_on_both, monkeypatch) -> None:
    """Chunks of a few rows, so that every boundary is crossed: duplicates and facts must be seen across them."""
    from studies.ingest import staging, transform

    monkeypatch.setattr(transform, "CHUNK_ROWS", 7)
    monkeypatch.setattr(staging, "FRAME_ROWS", 10)
    people = pd.DataFrame({"subject_id": [f"S{i:02}" for i in range(40)], "sex": "F", "age": 40})
    people.loc[40] = ["S00", "F", 41]
    readings = pd.DataFrame(
        {"subject_id": people["subject_id"], "visit": "v1", "measurand": "waist_cm", "method": "tape", "value": 80}
    )
    buffer = io.StringIO()
    people.to_csv(buffer, index=False)
    desk_on_both.write("subjects.csv", buffer.getvalue())
    desk_on_both.write("readings.csv", readings.to_csv(index=False))
    result = desk_on_both.ingest()
    assert counts(result) == {"subjects": (39, 0, 0, 2), "readings": (39, 0, 0, 2)}
    desk_on_both.assert_all_accounted_for(result, {"subjects.csv": 41, "readings.csv": 41})
    assert counts(desk_on_both.ingest()) == {"subjects": (0, 0, 39, 2), "readings": (0, 0, 39, 2)}
