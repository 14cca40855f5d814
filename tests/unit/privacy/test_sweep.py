"""The sweep: what must not be there is found and removed, what may be there stays, and periods end when they end."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from scan_study import STUDY, ScanStudy
from sqlalchemy import insert, select, update

from studies.errors import StorageError
from studies.plan import load_plan
from studies.privacy.retention import due, schedule
from studies.privacy.sweep import Sweep, metadata_fault, sweep
from studies.registry import audit
from studies.registry.catalogue import find_study, revise_plan
from studies.registry.schema import IngestBatch, Photo, QuarantinedRow, Scan, Silhouette, Subject
from studies.registry.workspace import Registry, open_registry

PICTURE = b"\xff\xd8\xff\xe0 a picture of somebody"
DAY = timedelta(days=1)


@pytest.fixture
def study(store: Registry) -> ScanStudy:
    """Six scans, processed: two people for each level of consent."""
    made = ScanStudy(store, 6, consents=("photos", "silhouettes", "none"))
    made.run()
    return made


def plan_retention(store: Registry, **days: int) -> None:
    text = f"privacy: {{retention: {json.dumps(days)}}}\n"
    plan = load_plan("calliper_plan: 1\ntitle: t\nmeasurand: bmi\nreference: dxa\nindex: scan\n" + text)
    revise_plan(store, STUDY, plan, reason="periods")


def kinds(found: Sweep) -> dict[str, int]:
    return found.counts()


def test_after_a_run_nothing_is_there_that_must_not_be(store: Registry, study: ScanStudy) -> None:
    found = sweep(store)
    assert (found.wrong, found.findings, found.photos, found.silhouettes) == ([], [], 4, 4)
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    assert found.files == len(files)  # every file was looked at
    (event,) = _events(store, "sweep")
    assert event["detail"] == {"files": len(files), "found": {}, "removed": {}}


def test_before_a_run_photos_may_be_kept_to_be_processed(store: Registry) -> None:
    ScanStudy(store, 3, consents=("none",))
    assert sweep(store).wrong == []


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_file_that_nobody_holds_is_found_and_removed(store: Registry, study: ScanStudy, encrypted: bool) -> None:
    orphan = store.photos.folder / "ab" / f"{'ab' * 32}.jpg{'.enc' if encrypted else ''}"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(PICTURE)
    others = {path for path in store.photos.folder.rglob("*") if path.is_file()} - {orphan}
    assert [(one.kind, one.what, one.removed) for one in sweep(store).findings] == [
        ("orphan", f"photos/ab/{orphan.name}", False)
    ]
    assert orphan.exists()
    assert sweep(store, delete=True).wrong == []
    assert {path for path in store.photos.folder.rglob("*") if path.is_file()} == others
    assert _events(store, "sweep")[0]["detail"]["removed"] == {"orphan": 1}


@pytest.mark.parametrize(("consent", "photos", "silhouettes"), [("silhouettes", 2, 0), ("none", 2, 0)])
def test_a_consent_that_was_withdrawn_reaches_photos_that_were_processed(
    store: Registry, study: ScanStudy, consent: str, photos: int, silhouettes: int
) -> None:
    _set(store, update(Subject).where(Subject.code == "S0000").values(consent=consent))
    assert kinds(sweep(store)) == {"past consent": photos + silhouettes}
    found = sweep(store, delete=True)
    assert found.wrong == []
    assert f"has been processed, and the subject's consent is '{consent}'" in found.findings[0].reason
    study.assert_tidy()
    events = _events(store, "delete", "S0000")
    assert {event["entity_key"] for event in events} == {"S0000/baseline/1"}
    assert all(event["detail"]["reason"].startswith("past consent") for event in events)


def test_a_consent_that_was_withdrawn_reaches_silhouettes(store: Registry, study: ScanStudy) -> None:
    _set(store, update(Subject).where(Subject.code == "S0001").values(consent="none"))
    assert kinds(sweep(store, delete=True)) == {"past consent": 2}
    study.assert_tidy()


def test_a_photo_that_was_replaced_after_the_run_is_still_to_be_processed(store: Registry, study: ScanStudy) -> None:
    with store.writing() as connection:
        scan = connection.execute(select(Photo.scan_id).where(Photo.deleted_at.is_not(None))).scalars().first()
        (row,) = connection.execute(select(Photo.id).where(Photo.scan_id == scan, Photo.view == "front")).all()
        connection.execute(update(Photo).where(Photo.id == row.id).values(sha256="cd" * 32, deleted_at=None))
    store.photos.put_content(("cd" * 32, "image/jpeg"), PICTURE)
    assert sweep(store).wrong == []


def test_a_file_that_two_scans_share_stays_while_one_may_have_it(store: Registry) -> None:
    study = ScanStudy(store, 2, consents=("photos",), photo=lambda number, view: view.encode())
    study.run()
    _set(store, update(Subject).where(Subject.code == "S0000").values(consent="none"))
    assert kinds(sweep(store, delete=True)) == {"past consent": 2}
    assert sweep(store).wrong == []
    assert len(study.files()) == 2


def test_what_is_missing_or_damaged_is_found(store: Registry, study: ScanStudy) -> None:
    gone, changed = (row for row in study.rows(Photo)[:2])
    store.photos.path(gone.sha256, gone.media_type).unlink()
    store.photos.path(changed.sha256, changed.media_type).write_bytes(b"something else")
    assert kinds(sweep(store)) == {"missing": 1}
    found = sweep(store, delete=True, contents=True)
    assert kinds(found)["missing"] == 1
    reasons = [one.reason for one in found.wrong if one.kind == "damaged"]
    assert "its content does not fit its name" in reasons


def test_what_processes_left_that_died_is_removed(store: Registry, study: ScanStudy) -> None:
    for folder in ("scratch/dead", "runs/trial-9.partial", "ingests/trial-9.partial"):
        path = store.folder / folder
        path.mkdir(parents=True)
        (path / "staged.feather").write_bytes(b"rows of people")
    for name in (".making-123", "trial-1/.report.html.ab12.partial"):
        path = store.reports / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half a report")
        os.utime(path, (time.time() - 7200,) * 2)
    incoming = store.photos.folder / "ab" / ".incoming-x"
    incoming.parent.mkdir(exist_ok=True)
    incoming.write_bytes(PICTURE)
    found = sweep(store, delete=True)
    assert kinds(found) == {"left behind": 5, "unknown": 1}  # there is no report 1 of the study
    assert not incoming.exists()
    assert not list((store.folder / "scratch").iterdir())


def test_pictures_where_none_belong_are_removed_and_other_files_only_told(store: Registry, study: ScanStudy) -> None:
    _batch(store)
    for name, content in {
        "copy.jpg": PICTURE, "notes/scan.heic": b"\0\0\0\x18ftypheic", "notes/todo.txt": b"call the site",
        f"ingests/{STUDY}-1/odd.bin": b"\x89PNG\r\n\x1a\n", f"ingests/{STUDY}-1/ingest.json": b"{}",
    }.items():  # fmt: skip
        path = store.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    found = sweep(store, delete=True)
    assert kinds(found) == {"misplaced": 3, "unknown": 1}
    assert found.wrong == []
    assert (store.folder / "notes" / "todo.txt").exists()
    assert not (store.folder / "copy.jpg").exists()


def test_another_database_is_never_taken_for_an_empty_one(store: Registry, study: ScanStudy, tmp_path: Path) -> None:
    before = study.files()
    other = tmp_path / "other"
    open_registry(other, create=True).close()
    store.close()
    for name in ("registry.db-wal", "registry.db-shm"):
        (store.folder / name).unlink(missing_ok=True)
    shutil.copy(other / "registry.db", store.folder / "registry.db")
    with open_registry(store.folder) as swapped:
        assert "another registry" in sweep(swapped).findings[0].reason
        with pytest.raises(StorageError, match="Nothing is removed"):
            sweep(swapped, delete=True)
    assert study.files() == before


# Periods --------------------------------------------------------------------------------------------------------------


def test_photos_end_with_their_period_and_not_before(store: Registry, study: ScanStudy) -> None:
    plan_retention(store, photos=100)
    end = datetime(2024, 3, 1) + 100 * DAY  # they were captured on 1 March
    assert kinds(sweep(store, now=end - timedelta(seconds=1))) == {}
    found = sweep(store, now=end, delete=True)
    assert kinds(found) == {"past retention": 4}
    assert found.findings[0].reason == "kept since 2024-03-01; the plan allows 100 days"
    assert sweep(store, now=end).wrong == []
    assert {row.deleted_at is None for row in study.rows(Silhouette)} == {True}


def test_silhouettes_end_with_their_period(store: Registry, study: ScanStudy) -> None:
    plan_retention(store, silhouettes=30)
    assert kinds(sweep(store, now=audit.utc_now() + 29 * DAY)) == {}
    assert kinds(sweep(store, now=audit.utc_now() + 31 * DAY, delete=True)) == {"past retention": 4}
    study.assert_tidy()


def test_photos_that_were_never_processed_end_whatever_the_consent(store: Registry) -> None:
    study = ScanStudy(store, 3, consents=("photos", "none"))
    batch = _batch(store)
    _set(store, update(Scan).values(batch_id=batch))
    plan_retention(store, unprocessed_photos=10, photos=10_000)
    assert kinds(sweep(store, now=audit.utc_now() + 9 * DAY)) == {}
    assert kinds(sweep(store, now=audit.utc_now() + 11 * DAY, delete=True)) == {"past retention": 6}
    assert study.files() == set()


def test_refused_rows_end_with_their_period(store: Registry, study: ScanStudy) -> None:
    batch = _batch(store)
    folder = store.ingests / f"{STUDY}-1"
    (folder / "quarantine").mkdir(parents=True)
    (folder / "quarantine" / "subjects.csv").write_text("subject_id,name\nS9,Ada\n", encoding="utf-8")
    example = {"rule": "age", "subject_id": "S9", "value": "Ada", "reason": "is no number"}
    report = {
        "quarantine": {"rows": 1, "files": ["quarantine/subjects.csv"], "examples": [example]},
        "flagged": {"rows": 1, "examples": [example]}, "changes": [{"subject_id": "S1", "old": 1, "new": 2}],
        "notes": [],
    }  # fmt: skip
    (folder / "ingest.json").write_text(json.dumps(report), encoding="utf-8")
    row = {"study_id": study.id, "batch_id": batch, "fingerprint": "x", "source": "subjects.csv", "source_row": 2}
    _set(store, insert(QuarantinedRow).values(**row, content={"subject_id": "S9", "name": "Ada"}, reasons=[]))
    plan_retention(store, quarantine=90)
    found = sweep(store, now=audit.utc_now() + 91 * DAY, delete=True)
    assert kinds(found) == {"past retention": 1}
    assert study.rows(QuarantinedRow) == []
    assert not (folder / "quarantine").exists()
    after = json.loads((folder / "ingest.json").read_text())
    assert (after["quarantine"]["examples"], after["flagged"]["examples"]) == ([], [])
    assert len(after["changes"]) == 1  # which the trail tells as well
    assert "retention period" in after["notes"][0]
    assert sweep(store, now=audit.utc_now() + 91 * DAY).wrong == []


def test_subjects_past_their_period_are_told_and_left_to_an_erasure(store: Registry, study: ScanStudy) -> None:
    batch = _batch(store)
    _set(store, update(Subject).where(Subject.code == "S0000").values(batch_id=batch))
    plan_retention(store, subjects=365)
    later = audit.utc_now() + 366 * DAY
    with store.reading() as connection:
        record = find_study(connection, STUDY)
        assert [one.kept.what for one in due(connection, record, now=later)] == ["S0000"]
        assert due(connection, record) == []
    found = sweep(store, now=later, delete=True)
    assert [(one.kind, one.removed) for one in found.findings] == [("past retention", False)]
    assert "--erase" in found.findings[0].reason


def test_the_schedule_says_what_is_kept_and_when_it_ends(store: Registry, study: ScanStudy) -> None:
    plan_retention(store, photos=100)
    with store.reading() as connection:
        rows = schedule(connection, find_study(connection, STUDY), now=datetime(2024, 4, 1))
    found = {row["kind"]: (row["days"], row["kept"], row["past"], row["next"]) for row in rows}
    assert found["photos"] == (100, 4, 0, "2024-06-09")
    assert found["silhouettes"] == (None, 4, 0, None)


# Metadata -------------------------------------------------------------------------------------------------------------


def test_metadata_in_a_stored_file_are_seen() -> None:
    import io

    from PIL import Image, PngImagePlugin

    image = Image.new("RGB", (8, 8))
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "somebody")
    cases = {
        ("JPEG", "image/jpeg"): [({}, False), ({"exif": exif}, True), ({"comment": b"x"}, True)],
        ("PNG", "image/png"): [({}, False), ({"exif": exif}, True), ({"pnginfo": text}, True)],
    }
    for (kind, media_type), variants in cases.items():
        for options, dirty in variants:
            buffer = io.BytesIO()
            image.save(buffer, kind, **options)
            assert bool(metadata_fault(buffer.getvalue(), media_type)) == dirty, (kind, options)
            assert metadata_fault(buffer.getvalue() + b"film", media_type)


# Helpers --------------------------------------------------------------------------------------------------------------


def _set(store: Registry, statement: object) -> None:
    with store.writing() as connection:
        connection.execute(statement)


def _batch(store: Registry) -> int:
    now = audit.utc_now()
    with store.writing() as connection:
        return connection.execute(
            insert(IngestBatch)
            .values(
                study_id=find_study(connection, STUDY).id, number=1, actor="x", status="ingested", mapping_name="m",
                mapping_hash="h", mapping={}, sources=[], counts={}, started_at=now, finished_at=now,
            )
            .returning(IngestBatch.id)
        ).scalar_one()  # fmt: skip


def _events(store: Registry, action: str, subject: str | None = None) -> list[dict]:
    with store.reading() as connection:
        found = audit.newest_events(connection, 1000, STUDY if subject else None, subject=subject)
    return [event for event in found if event["action"] == action]
