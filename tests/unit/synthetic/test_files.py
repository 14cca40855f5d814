"""The files of a synthetic cohort: whole, the same each time, and of any size in bounded memory."""

import tracemalloc
from dataclasses import replace

import pandas as pd
import pytest

from studies.errors import StorageError, UsageError
from studies.synthetic import plant_errors, synthesize, write_cohort, write_large
from studies.synthetic.cohort import READING_COLUMNS, SCAN_COLUMNS

NAMES = ["README.txt", "readings.csv", "subjects.csv"]


def _bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_same_seed_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_cohort(synthesize(40, 9), tmp_path / name)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")
    assert list(_bytes(tmp_path / "a")) == NAMES


def test_files_read_back_as_they_were(tmp_path):
    cohort = synthesize(40, 9)
    write_cohort(cohort, tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "readings.csv"), cohort.readings)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "subjects.csv", keep_default_na=True), cohort.subjects)
    assert b"\r" not in (tmp_path / "readings.csv").read_bytes()


def test_scans_are_written_where_there_are_some_and_only_then(tmp_path):
    cohort = synthesize(5, 1)
    scan = {"subject_id": "SYN-000001", "scan_id": "s1", "visit": "baseline", "front": "photos/s1-front.jpg"}
    scans = pd.DataFrame([scan], columns=SCAN_COLUMNS)
    write_cohort(replace(cohort, scans=scans), tmp_path)
    written = pd.read_csv(tmp_path / "scans.csv")
    assert list(written) == SCAN_COLUMNS
    assert written["front"].tolist() == ["photos/s1-front.jpg"]
    write_cohort(cohort, tmp_path)
    assert not (tmp_path / "scans.csv").exists()


def test_readme_says_that_the_people_are_synthetic(tmp_path):
    write_cohort(synthesize(5, 1), tmp_path)
    text = (tmp_path / "README.txt").read_text(encoding="utf-8")
    assert "Nobody in these files exists" in text
    assert "Damaged" not in text


def test_readme_lists_what_was_planted(tmp_path):
    cohort, errors = plant_errors(synthesize(400, 1), 2)
    write_cohort(cohort, tmp_path, errors=errors)
    text = (tmp_path / "README.txt").read_text(encoding="utf-8")
    for error in errors:
        assert f"{error.file}, row {error.row}, {error.column}: {error.value!r} ({error.kind})" in text


def test_a_folder_that_cannot_be_made_is_an_error_of_storage(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="taken"):
        write_cohort(synthesize(5, 1), tmp_path / "taken" / "folder")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write_cohort(synthesize(5, 1), tmp_path)
    before = _bytes(tmp_path)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(StorageError, match="No space left"):
        write_cohort(synthesize(5, 2), tmp_path)
    assert _bytes(tmp_path) == before


@pytest.mark.parametrize("per_subject", [1, 10, 25])
def test_large_cohort_has_exactly_the_readings_asked_for(tmp_path, per_subject):
    write_large(tmp_path, 130, per_subject, seed=4, chunk=50)
    readings = pd.read_csv(tmp_path / "readings.csv")
    subjects = pd.read_csv(tmp_path / "subjects.csv")
    assert list(readings) == READING_COLUMNS
    assert len(subjects) == 130
    assert subjects["subject_id"].is_unique
    assert (readings.groupby("subject_id").size() == per_subject).all()
    assert readings["subject_id"].nunique() == 130
    assert not readings.duplicated(["subject_id", "visit", "measurand", "method", "replicate"]).any()
    assert readings["value"].notna().all()


def test_large_cohort_pairs_scale_with_dxa(tmp_path):
    write_large(tmp_path, 20, 10, seed=4)
    fat = pd.read_csv(tmp_path / "readings.csv").query("measurand == 'body_fat_percent'")
    assert fat.groupby("subject_id")["method"].agg(sorted).iloc[0] == ["dxa", "dxa", "scale", "scale"]


def test_large_cohort_is_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        write_large(tmp_path / name, 60, 10, seed=4, chunk=25)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")
    write_large(tmp_path / "c", 60, 10, seed=5, chunk=25)
    assert _bytes(tmp_path / "c")["readings.csv"] != _bytes(tmp_path / "a")["readings.csv"]


def test_memory_does_not_grow_with_the_cohort(tmp_path):
    peaks = []
    write_large(tmp_path, 200, 10, chunk=200)  # warm: coefficients and the like are loaded
    for subjects in (200, 1_600):
        tracemalloc.start()
        write_large(tmp_path, subjects, 10, chunk=200)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


@pytest.mark.parametrize("arguments", [{"readings_per_subject": 0}, {"subjects": 0}, {"chunk": 0}])
def test_numbers_out_of_range_are_refused(tmp_path, arguments):
    with pytest.raises(UsageError):
        write_large(tmp_path, **{"subjects": 5, **arguments})
