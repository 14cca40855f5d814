"""A run gives every scan one outcome, keeps what consent allows, goes on where it ended, and depends on naught else."""

from __future__ import annotations

import hashlib
import os
import signal
from contextlib import contextmanager

import pytest
from scan_study import STUDY, VIEWS, InlineExecutor, ScanStudy, source
from sqlalchemy import delete, insert, select, update
from tiny_pipeline import outline

from studies.errors import ModelError, StorageError, UsageError
from studies.registry import audit
from studies.registry.claims import claim
from studies.registry.frames import study_frames
from studies.registry.schema import Outcome, Photo, Prediction, Run, Scan, Silhouette, Subject, Visit
from studies.runs import planning
from studies.runs.listing import find_run, list_runs, run_folder
from studies.runs.local import LocalExecutor
from studies.runs.recording import Recorder
from studies.runs.run import InterruptedRun, RunModels, run
from studies.runs.work import Answer

write = Recorder.write


def marked(marks: dict[int, bytes]):
    """Photos of which some say what happens to them."""
    return lambda number, view: marks.get(number, b"") + f"photo of {number}, {view}".encode()


FAULTY = marked({3: b"NO PERSON", 5: b"RAISES", 7: b"NOT A NUMBER"})


def events(study: ScanStudy, action: str) -> list[dict]:
    with study.registry.reading() as connection:
        return [event for event in audit.newest_events(connection, 1000)[::-1] if event["action"] == action]


# Outcomes -------------------------------------------------------------------------------------------------------------


def test_every_scan_has_one_outcome_and_no_failure_stops_the_run(store) -> None:
    study = ScanStudy(store, 12, photo=FAULTY)
    result = study.run(workers=2)
    found = study.outcomes()
    assert len(found) == 12
    assert result.status == "finished"
    assert result.outcomes == {"determinate": 9, "indeterminate": 3, "unreachable": 0}
    assert found["S0003"][:2] == ("indeterminate", "front: no person is seen")
    assert found["S0003"][4] == [{"view": "front", "reason": "no person", "detail": "0 pixels"}]
    assert found["S0005"][:2] == (
        "indeterminate",
        "it could not be processed (ValueError: this photo was too much)",
    )
    assert found["S0007"][:2] == ("indeterminate", "the models gave no finite number for body_fat_percent")
    status, reason, betas, pose, _, predicted = found["S0000"]
    seen = hashlib.sha256(
        b"".join(outline(f"photo of 0, {view}".encode()) for view in sorted(VIEWS)) + b"50.0"
    ).digest()
    fat = 10 + seen[0] / 10
    assert (status, reason) == ("determinate", None)
    assert betas == [byte / 99 for byte in seen[:4]]
    assert pose == {view: [[0.1, 0.2, 0.3]] for view in VIEWS}
    assert predicted == [
        ("body_fat_percent", fat, fat - 5, fat + 5, "%"),
        ("waist_cm", 60 + seen[1] / 7, None, None, "cm"),
    ]
    assert not any(row[5] for row in found.values() if row[0] != "determinate")
    assert all(
        outcome.timings == {"think": 0.001} for outcome in study.rows(Outcome) if outcome.status == "determinate"
    )


def test_predictions_come_into_the_frames(store) -> None:
    study = ScanStudy(store, 4)
    study.run()
    with store.reading() as connection:
        measured = study_frames(connection, study.id).measurements
    scans = measured[measured["kind"] == "prediction"]
    assert len(scans) == 8
    assert set(scans["method"]) == {"scan"}
    assert scans["rendered"].all()


def test_workers_and_batches_change_no_number(store) -> None:
    study = ScanStudy(store, 11, photo=FAULTY)
    for workers, batch in ((None, 1), (None, 100), (1, 4), (3, 2)):
        study.run(workers=workers, batch=batch, new=True)
    first = study.outcomes(1)
    assert len(first) == 11
    assert all(study.outcomes(number) == first for number in (2, 3, 4))


def test_pages_change_nothing(store, monkeypatch) -> None:
    study = ScanStudy(store, 10, photo=FAULTY)
    study.run()
    monkeypatch.setattr(planning, "PAGE", 3)
    study.run(new=True)
    assert study.outcomes(1) == study.outcomes(2)


def test_a_study_without_scans(store) -> None:
    result = ScanStudy(store, 0).run()
    assert (result.status, sum(result.outcomes.values())) == ("finished", 0)


def test_a_scan_without_photos_is_unreachable(store) -> None:
    study = ScanStudy(store, 3)
    with store.writing() as connection:
        visit = connection.execute(select(Visit.id).limit(1)).scalar_one()
        connection.execute(insert(Scan).values(visit_id=visit, code="2", device_id=study.device, attributes={}))
    result = study.run()
    assert result.outcomes == {"determinate": 3, "indeterminate": 0, "unreachable": 1}
    assert result.reasons == [{"status": "unreachable", "reason": "no photo of it was ever brought in", "n": 1}]


def test_many_unreachable_scans_are_written_some_at_a_time(store, monkeypatch) -> None:
    study = ScanStudy(store, 23, consents=("none",))
    study.run()
    monkeypatch.setattr("studies.runs.run.MOST_ASIDE", 5)
    written = []
    monkeypatch.setattr(Recorder, "write", lambda self, results: written.append(len(results)) or write(self, results))
    assert study.run(new=True).outcomes == {"determinate": 0, "indeterminate": 0, "unreachable": 23}
    assert written == [5, 5, 5, 5, 3]


# Privacy --------------------------------------------------------------------------------------------------------------

CONSENTS = ("photos", "silhouettes", "none")


def test_what_is_kept_is_what_the_consent_says(store) -> None:
    study = ScanStudy(store, 12, consents=CONSENTS, photo=FAULTY)
    result = study.run(workers=2)
    consent = {row.id: row.consent for row in study.rows(Subject)}
    owner = {row.id: consent[row.visit_id] for row in study.rows(Scan)}  # one visit each, with the same number
    success = {row.scan_id: row.status == "determinate" for row in study.rows(Outcome)}
    for photo in study.rows(Photo):
        gone = success[photo.scan_id] and owner[photo.scan_id] != "photos"
        assert (photo.deleted_at is not None) == gone
        assert store.photos.path(photo.sha256, photo.media_type).exists() == (not gone)
    kept = study.rows(Silhouette)
    assert {row.scan_id for row in kept} == {
        scan for scan, consented in owner.items() if consented == "silhouettes" and success[scan]
    }
    for row in kept:
        content = store.photos.path(row.sha256, "image/png").read_bytes()
        assert hashlib.sha256(content).hexdigest() == row.sha256
        assert row.photo_sha256 in {photo.sha256 for photo in study.rows(Photo)}
    assert result.done.photos_deleted == sum(row.deleted_at is not None for row in study.rows(Photo)) == 12
    assert result.done.silhouettes_kept == len(kept) == 6
    study.assert_tidy()


def test_each_deletion_is_audited_once(store) -> None:
    study = ScanStudy(store, 6, consents=CONSENTS)
    study.run()
    study.run(shift=1)
    found = events(study, "delete")
    assert [event["entity_key"] for event in found] == [f"S{number:04d}/baseline/1" for number in (1, 2, 4, 5)]
    assert found[0]["detail"]["reason"] == "processed by run 1; consent: silhouettes"
    assert found[0]["detail"]["silhouettes_kept"] == sorted(VIEWS)
    assert found[1]["detail"]["silhouettes_kept"] == []
    deleted = {sha256 for event in found for sha256 in event["detail"]["photos"].values()}
    assert deleted == {row.sha256 for row in study.rows(Photo) if row.deleted_at is not None}


def test_a_rerun_uses_what_is_kept_and_says_what_it_cannot_reach(store) -> None:
    study = ScanStudy(store, 9, consents=CONSENTS)
    study.run()
    result = study.run(new=True)
    first, second = study.outcomes(1), study.outcomes(2)
    assert result.outcomes == {"determinate": 6, "indeterminate": 0, "unreachable": 3}
    for code, (status, reason, *rest) in second.items():
        if int(code[1:]) % 3 == 2:
            assert status == "unreachable"
            assert reason == (
                "its photos were deleted after an earlier run, and nothing else of them is kept (consent: none)"
            )
        else:
            assert (status, reason, *rest) == first[code]
    study.assert_tidy()


def test_a_file_that_two_scans_share_stays_for_the_one_that_may_keep_it(store) -> None:
    study = ScanStudy(store, 2, consents=("none", "photos"), photo=lambda number, view: view.encode())
    study.run()
    assert [row.deleted_at is None for row in study.rows(Photo)] == [False, False, True, True]
    assert len(study.files()) == 2
    study.assert_tidy()


@pytest.mark.parametrize("after", CONSENTS)
def test_a_consent_changed_meanwhile_counts(store, after: str) -> None:
    """What is deleted goes by the consent at the time; silhouettes that nobody made cannot be kept, so photos stay."""
    study = ScanStudy(store, 2, consents=("photos",))

    class Changing(InlineExecutor):
        def answers(self, tasks):
            for answer in super().answers(tasks):
                with store.writing() as connection:
                    connection.execute(update(Subject).values(consent=after))
                yield answer

    run(store, STUDY, RunModels(), Changing(source()))
    assert {row.deleted_at is None for row in study.rows(Photo)} == {after != "none"}
    study.run(new=True)
    assert {row.deleted_at is None for row in study.rows(Photo)} == {after == "photos"}
    assert len(study.rows(Silhouette)) == (4 if after == "silhouettes" else 0)
    study.assert_tidy()


def test_silhouettes_go_when_the_consent_to_them_is_taken_back(store) -> None:
    study = ScanStudy(store, 2, consents=("silhouettes",))
    study.run()
    with store.writing() as connection:
        connection.execute(update(Subject).values(consent="none"))
    study.run(new=True)
    assert all(row.deleted_at is not None for row in study.rows(Silhouette))
    assert study.files() == set()
    assert events(study, "delete")[-1]["detail"]["silhouettes_deleted"] == sorted(VIEWS)
    assert study.run(new=True).outcomes["unreachable"] == 2


# Going on -------------------------------------------------------------------------------------------------------------


def test_a_finished_run_is_left_as_it_is(store) -> None:
    study = ScanStudy(store, 5, photo=FAULTY)
    study.run()
    before = [study.rows(table) for table in (Run, Outcome, Prediction)], len(events(study, "finish"))
    result = study.run(workers=2)
    assert (result.number, result.continued, sum(result.done.outcomes.values())) == (1, True, 0)
    assert ([study.rows(table) for table in (Run, Outcome, Prediction)], len(events(study, "finish"))) == before


def test_scans_that_came_since_are_added_to_the_run(store) -> None:
    study = ScanStudy(store, 5)
    study.run()
    before = study.outcomes()
    study.add(range(5, 8))
    result = study.run()
    after = study.outcomes()
    assert (result.number, result.continued, result.done.outcomes) == (1, True, {"determinate": 3})
    assert len(after) == 8
    assert before.items() <= after.items()


def test_other_checkpoints_or_other_software_are_another_run(store) -> None:
    study = ScanStudy(store, 2)
    assert [study.run(**words).number for words in ({}, {"shift": 1}, {"software": "2"}, {}, {"shift": 1})] == [
        1, 2, 3, 1, 2,
    ]  # fmt: skip
    assert study.run(new=True).number == 4
    assert [row.software["tiny"] for row in study.rows(Run)] == ["1", "1", "2", "1"]


def test_a_replaced_photo_is_looked_at_again(store) -> None:
    study = ScanStudy(store, 3, consents=("silhouettes",))
    study.run()
    before = study.outcomes()
    with store.writing() as connection:  # as an ingest does it
        photo = connection.execute(select(Photo).limit(1)).one()
        content = b"a better photo"
        file = (hashlib.sha256(content).hexdigest(), "image/jpeg")
        store.photos.put_content(file, content)
        connection.execute(update(Photo).where(Photo.id == photo.id).values(sha256=file[0], deleted_at=None))
    result = study.run()
    after = study.outcomes()
    assert result.done.outcomes == {"determinate": 1}
    assert after["S0000"] != before["S0000"]
    assert [after[code] for code in ("S0001", "S0002")] == [before[code] for code in ("S0001", "S0002")]
    again = study.run(new=True)
    assert again.outcomes["determinate"] == 3
    assert study.outcomes(2) == after
    study.assert_tidy()


@contextmanager
def disturbed(path):
    content = path.read_bytes()
    yield content
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_file_that_cannot_be_read_is_told_and_reached_when_it_is_back(store, damage: str) -> None:
    study = ScanStudy(store, 3)
    photo = study.rows(Photo)[0]
    with disturbed(store.photos.path(photo.sha256, photo.media_type)) as content:
        path = store.photos.path(photo.sha256, photo.media_type)
        path.unlink() if damage == "missing" else path.write_bytes(content[:-1])
        result = study.run()
        assert result.outcomes == {"determinate": 2, "indeterminate": 0, "unreachable": 1}
        assert photo.sha256[:16] in result.reasons[0]["reason"]
        assert damage in result.reasons[0]["reason"]
        assert study.run().done.outcomes == {}
    assert study.run().outcomes == {"determinate": 3, "indeterminate": 0, "unreachable": 0}
    study.run(new=True)
    assert study.outcomes(1) == study.outcomes(2)


class InterruptAfter:
    """A progress that presses Ctrl-C when so many scans are done."""

    def __init__(self, scans: int):
        self.left = scans

    @contextmanager
    def stage(self, title: str, total: int | None = None):
        yield self

    def advance(self, amount: int = 1) -> None:
        self.left -= amount
        if self.left <= 0:
            raise KeyboardInterrupt


def test_interrupted_by_the_user_it_goes_on(store) -> None:
    study = ScanStudy(store, 12, consents=CONSENTS, photo=FAULTY)
    with pytest.raises(InterruptedRun) as interruption:
        study.run(batch=2, progress=InterruptAfter(5))
    result = interruption.value.result
    assert (result.status, result.number, sum(result.outcomes.values()), result.remaining) == ("interrupted", 1, 6, 6)
    study.assert_tidy()
    with store.reading() as connection:
        listed = list_runs(store, connection, record(study))
        assert listed[0]["status"] == "interrupted"
        assert study_frames(connection, study.id).measurements["kind"].eq("reading").all()
    result = study.run()
    assert (result.continued, result.status, sum(result.outcomes.values())) == (True, "finished", 12)
    assert not any(row.deleted_at is None for row in study.rows(Photo) if row.scan_id in (2, 9))
    study.assert_tidy()


def record(study: ScanStudy):
    from studies.registry.catalogue import find_study

    with study.registry.reading() as connection:
        return find_study(connection, STUDY)


# Workers --------------------------------------------------------------------------------------------------------------


def test_a_scan_that_ends_its_worker_takes_no_other_with_it(store) -> None:
    study = ScanStudy(store, 8, photo=marked({2: b"ENDS ITS WORKER", 6: b"ENDS ITS WORKER"}))
    result = study.run(workers=2)
    assert result.outcomes == {"determinate": 6, "indeterminate": 2, "unreachable": 0}
    reason = "the worker process ended each time it was processed"
    assert {code for code, row in study.outcomes().items() if row[1] == reason} == {"S0002", "S0006"}


def test_a_scan_that_hangs_takes_no_other_with_it(store) -> None:
    study = ScanStudy(store, 8, photo=marked({2: b"HANGS", 6: b"HANGS"}))
    executor = LocalExecutor(source(), 2, scan_seconds=1)
    result = run(store, STUDY, RunModels(), executor, batch=4)
    assert result.outcomes == {"determinate": 6, "indeterminate": 2, "unreachable": 0}
    reason = "it took longer than 1 s each time it was processed"
    assert {code for code, row in study.outcomes().items() if row[1] == reason} == {"S0002", "S0006"}
    study.assert_tidy()


def test_time_in_which_nobody_listens_is_not_the_scans(store) -> None:
    """The registry may be busy for longer than a scan may take; what workers said meanwhile is heard first."""
    study = ScanStudy(store, 12)

    class Waiting(LocalExecutor):
        def answers(self, tasks):
            for answer in super().answers(tasks):
                for worker in self._pool:
                    worker._began -= 1000
                yield answer

    result = run(store, STUDY, RunModels(), Waiting(source(), 2, scan_seconds=500), batch=2)
    assert result.outcomes["determinate"] == 12
    assert study.outcomes()


def test_a_worker_that_is_killed_is_replaced(store) -> None:
    study = ScanStudy(store, 12)
    study.run(shift=0)
    killed = []

    class Killing(LocalExecutor):
        def answers(self, tasks):
            for place, answer in enumerate(super().answers(tasks)):
                if place in (1, 3):
                    killed.append(self._pool[0].process.pid)
                    os.kill(killed[-1], signal.SIGKILL)
                yield answer

    run(store, STUDY, RunModels(), Killing(source(delay=0.01), 2), batch=1, new=True)
    assert len(set(killed)) == 2
    assert study.outcomes(2) == study.outcomes(1)


def test_models_that_cannot_be_loaded_stop_the_run_before_it_begins(store) -> None:
    study = ScanStudy(store, 2)
    with pytest.raises(RuntimeError, match="no such weights"):
        study.run(workers=1, fail="no such weights")
    assert study.rows(Run) == []
    study_dir = store.folder / "runs"
    assert not study_dir.exists() or not list(study_dir.iterdir())


def test_a_worker_with_other_software_is_refused(store) -> None:
    study = ScanStudy(store, 8)

    class Mixed(InlineExecutor):
        def answers(self, tasks):
            for place, answer in enumerate(super().answers(tasks)):
                yield Answer(answer.processed, {**answer.software, "tiny": "2"}) if place else answer

    with pytest.raises(ModelError, match="tiny 2 instead of 1"):
        run(store, STUDY, RunModels(), Mixed(source()), batch=2)
    assert len(study.outcomes()) == 2
    assert study.rows(Run)[0].status == "interrupted"


def test_one_process_at_a_time_works_on_a_run(store) -> None:
    study = ScanStudy(store, 2)
    with claim(run_folder(store, STUDY, 1)), pytest.raises(StorageError, match="being worked on by another process"):
        study.run()
    assert study.rows(Run) == []
    assert study.run().status == "finished"


def test_an_answer_that_comes_twice_is_written_once(store) -> None:
    """As if another process, which cannot see this one's lock, worked on the same run."""
    study = ScanStudy(store, 9, consents=CONSENTS, photo=FAULTY)

    class Twice(InlineExecutor):
        def answers(self, tasks):
            for answer in super().answers(tasks):
                yield from (answer, answer)

    result = run(store, STUDY, RunModels(), Twice(source()), batch=3)
    assert result.done.outcomes == {"determinate": 6, "indeterminate": 3}
    study.run(new=True)
    assert len(study.outcomes()) == 9
    assert len(events(study, "delete")) == len({event["entity_key"] for event in events(study, "delete")})


def test_a_person_who_is_erased_meanwhile_leaves_no_outcome(store) -> None:
    study = ScanStudy(store, 6)

    class Erasing(InlineExecutor):
        def answers(self, tasks):
            for place, answer in enumerate(super().answers(tasks)):
                if place == 0:
                    with store.writing() as connection:
                        scan = answer.processed[0].work.scan_id
                        connection.execute(delete(Photo).where(Photo.scan_id == scan))
                        connection.execute(delete(Scan).where(Scan.id == scan))
                yield answer

    result = run(store, STUDY, RunModels(), Erasing(source()), batch=2)
    assert (result.outcomes["determinate"], result.remaining) == (5, 0)
    assert "S0000" not in study.outcomes()


def test_unknown_names_are_told(store) -> None:
    study = ScanStudy(store, 1)
    with pytest.raises(UsageError, match="no study 'trail'"):
        run(store, "trail", RunModels(), InlineExecutor(source()))
    study.run()
    with store.reading() as connection, pytest.raises(UsageError, match=r"no run 3. Its runs: 1\."):
        find_run(connection, study.id, 3)
