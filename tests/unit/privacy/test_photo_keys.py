"""Encrypted photos: what is on disk says nothing, a wrong key or a changed byte is told, keys are rotated."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from scan_study import ScanStudy
from sqlalchemy import select

from studies.errors import PlanError, StorageError
from studies.photo_keys import PhotoKeys, key_id, new_key
from studies.photos import PhotoStore
from studies.privacy.rotation import rotate_key
from studies.privacy.sweep import sweep
from studies.registry import audit
from studies.registry.schema import Photo, Silhouette
from studies.registry.workspace import open_registry

CONTENT = b"the bytes of a photo, which nobody may read" * 20
FILE = (hashlib.sha256(CONTENT).hexdigest(), "image/jpeg")


def keys(monkeypatch: pytest.MonkeyPatch, current: str = "", old: str = "") -> None:
    monkeypatch.setenv("CALLIPER_PHOTO_KEY", current)
    monkeypatch.setenv("CALLIPER_PHOTO_OLD_KEYS", old)


def test_without_a_key_photos_are_stored_as_they_are(tmp_path: Path) -> None:
    store = PhotoStore(tmp_path)
    path = store.put_content(FILE, CONTENT)
    assert (path.suffix, path.read_bytes(), store.read(*FILE)) == (".jpg", CONTENT, CONTENT)


def test_with_a_key_the_file_says_nothing_and_reads_back(tmp_path: Path, monkeypatch) -> None:
    keys(monkeypatch, new_key())
    store = PhotoStore(tmp_path)
    path = store.put_content(FILE, CONTENT)
    assert path.name == f"{FILE[0]}.jpg.enc"
    assert CONTENT[:16] not in path.read_bytes()
    assert key_id(path.read_bytes()) == store.keys.current.id
    assert PhotoStore(tmp_path).read(*FILE) == CONTENT
    assert store.put_content(FILE, CONTENT) == path  # the plain content's hash is still its name
    assert len(list(tmp_path.rglob("*.enc"))) == 1


def test_the_same_photo_is_another_file_each_time(tmp_path: Path, monkeypatch) -> None:
    keys(monkeypatch, new_key())
    first, second = (PhotoStore(tmp_path / name).put_content(FILE, CONTENT).read_bytes() for name in "ab")
    assert first != second


def test_a_plain_photo_stays_readable_when_a_key_comes(tmp_path: Path, monkeypatch) -> None:
    path = PhotoStore(tmp_path).put_content(FILE, CONTENT)
    keys(monkeypatch, new_key())
    store = PhotoStore(tmp_path)
    assert store.read(*FILE) == CONTENT
    assert store.put_content(FILE, CONTENT) == path


def test_a_missing_and_a_wrong_key_are_told_by_their_numbers(tmp_path: Path, monkeypatch) -> None:
    keys(monkeypatch, new_key())
    store = PhotoStore(tmp_path)
    store.put_content(FILE, CONTENT)
    number = store.keys.current.id
    keys(monkeypatch)
    with pytest.raises(StorageError, match=f"encrypted with key {number}.*CALLIPER_PHOTO_KEY is not set"):
        PhotoStore(tmp_path).read(*FILE)
    keys(monkeypatch, other := new_key())
    with pytest.raises(StorageError, match=f"encrypted with key {number}, which is not at hand") as told:
        PhotoStore(tmp_path).read(*FILE)
    assert other not in str(told.value)


@pytest.mark.parametrize("place", [10, 20, 40, -1])
def test_a_changed_byte_is_found(tmp_path: Path, monkeypatch, place: int) -> None:
    keys(monkeypatch, new_key())
    path = PhotoStore(tmp_path).put_content(FILE, CONTENT)
    changed = bytearray(path.read_bytes())
    changed[place] ^= 1
    path.write_bytes(changed)
    with pytest.raises(StorageError, match=r"damaged or exchanged|not at hand"):
        PhotoStore(tmp_path).read(*FILE)


def test_a_file_in_the_place_of_another_is_found(tmp_path: Path, monkeypatch) -> None:
    keys(monkeypatch, new_key())
    store = PhotoStore(tmp_path)
    other = b"another photo"
    other_file = (hashlib.sha256(other).hexdigest(), "image/jpeg")
    shutil.copy(store.put_content(other_file, other), store.put_content(FILE, CONTENT))
    with pytest.raises(StorageError, match="damaged or exchanged"):
        store.read(*FILE)


def test_a_file_cut_short_is_found(tmp_path: Path, monkeypatch) -> None:
    keys(monkeypatch, new_key())
    path = PhotoStore(tmp_path).put_content(FILE, CONTENT)
    for length in (0, 9, 17, 25, 40):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(StorageError, match=r"not an encrypted photo|damaged or exchanged"):
            PhotoStore(tmp_path).read(*FILE)


@pytest.mark.parametrize("given", ["short", "0" * 63, "g" * 64, "AAAA" * 20, "ä" * 44])
def test_what_is_no_key_is_refused_and_not_repeated(given: str, monkeypatch) -> None:
    keys(monkeypatch, given)
    with pytest.raises(PlanError, match="CALLIPER_PHOTO_KEY holds something that is no key") as told:
        PhotoKeys.from_environment()
    assert given not in str(told.value)


def test_a_key_may_be_written_in_hex_or_base64(monkeypatch) -> None:
    import base64

    secret = bytes(range(200, 232))
    forms = [secret.hex(), base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode().rstrip("=")]
    found = set()
    for form in forms:
        keys(monkeypatch, form)
        found.add(PhotoKeys.from_environment().current.id)
    assert len(found) == 1
    assert forms[0] not in repr(PhotoKeys.from_environment())


def test_a_run_works_on_encrypted_photos_and_keeps_encrypted_silhouettes(store, monkeypatch) -> None:
    keys(monkeypatch, new_key())
    study = ScanStudy(store, 4, consents=("photos", "silhouettes"))
    study.run()
    assert [status for status, *_ in study.outcomes().values()] == ["determinate"] * 4
    files = [path for path in store.photos.folder.rglob("*") if path.is_file()]
    assert len(files) == 8
    assert {path.suffix for path in files} == {".enc"}
    assert sweep(store, contents=False).wrong == []


def test_a_run_without_the_key_ends_with_what_to_do(store, monkeypatch) -> None:
    keys(monkeypatch, new_key())
    study = ScanStudy(store, 2)
    keys(monkeypatch)
    with open_registry(store.folder) as again:
        study.registry = again
        with pytest.raises(StorageError, match="CALLIPER_PHOTO_KEY"):
            study.run()
        assert study.outcomes() == {}  # and no scan is given up for it


def test_rotation_writes_everything_with_the_new_key(store, monkeypatch) -> None:
    study = ScanStudy(store, 3, consents=("photos", "silhouettes"))  # plain
    study.run()
    first, second = new_key(), new_key()
    for current, old, rewritten in ((first, "", 6), (first, "", 0), (second, first, 6), ("", f"{first},{second}", 6)):
        keys(monkeypatch, current, old)
        with open_registry(store.folder) as again:
            done = rotate_key(again)
            assert (done.rewritten, done.unchanged, done.missing) == (rewritten, 6 - rewritten, 0)
            for table in (Photo, Silhouette):
                with again.reading() as connection:
                    rows = connection.execute(select(table.sha256, table.media_type).where(table.deleted_at.is_(None)))
                    for row in rows.all():
                        plain, sealed = again.photos.paths(*row)
                        assert (plain.exists(), sealed.exists()) == (not current, bool(current))
                        assert hashlib.sha256(again.photos.read(*row)).hexdigest() == row.sha256
    with store.reading() as connection:
        events = [event for event in audit.newest_events(connection, 100) if event["action"] == "rotate key"]
    assert [event["detail"]["rewritten"] for event in events] == [6, 6, 6]
    assert not any(key in repr(events) for key in (first, second))


def test_rotation_without_the_old_key_changes_nothing(store, monkeypatch) -> None:
    keys(monkeypatch, new_key())
    ScanStudy(store, 2)
    before = {path: path.read_bytes() for path in store.photos.folder.rglob("*.enc")}
    keys(monkeypatch, new_key())
    with open_registry(store.folder) as again, pytest.raises(StorageError, match="not at hand"):
        rotate_key(again)
    assert {path: path.read_bytes() for path in store.photos.folder.rglob("*.enc")} == before


def test_an_interrupted_rotation_is_gone_on_with(store, monkeypatch) -> None:
    study = ScanStudy(store, 3)
    keys(monkeypatch, new_key())
    with open_registry(store.folder) as again:
        row = study.rows(Photo)[0]
        again.photos.rewrite(row.sha256, row.media_type)
        plain, sealed = again.photos.paths(row.sha256, row.media_type)
        plain.write_bytes(again.photos.read(row.sha256, row.media_type))  # killed between the two steps
        assert [finding.kind for finding in sweep(again).wrong] == ["damaged"]
        rotate_key(again)
        assert (plain.exists(), sealed.exists()) == (False, True)
        assert sweep(again).wrong == []
