"""Photos that scans name: what is wrong with one is told, nothing of it is kept, and what is kept says nothing more."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import select

from studies.registry.schema import Device, Photo, Scan

SCANS = "subject_id,scan_id,captured_at,device,room,front,left\n"


def picture(size: tuple[int, int] = (300, 400), kind: str = "JPEG", shade: int = 90, **options) -> bytes:
    """A body-like blot on a plain ground, as an image file."""
    image = Image.new("RGB", size, (200, 200, 190))
    image.paste((shade, 70, 60), (size[0] // 3, size[1] // 8, size[0] * 2 // 3, size[1] * 7 // 8))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(width: int = 60_000, height: int = 60_000) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 9_000)) + chunk(b"IEND", b"")


def with_place(orientation: int = 1, **options) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "ACME phones"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (47.0, 22.0, 33.0)
    return picture(exif=exif, comment=b"the patient's name", **options)


@pytest.fixture
def scans(desk):
    """A desk with two subjects; `scans(line, ...)` writes the table of scans and ingests it."""
    desk.write("subjects.csv", "subject_id,sex,age\nS1,F,40\nS2,M,50\n")
    desk.write("photos/good.jpg", picture())

    def ingest(*lines: str, **options):
        desk.write("scans.csv", SCANS + "".join(f"{line}\n" for line in lines))
        return desk.ingest(**options)

    ingest.desk = desk
    return ingest


def stored(desk) -> list[Path]:
    return sorted(path for path in desk.registry.photos.folder.rglob("*") if path.is_file())


def rows(desk, table) -> list:
    with desk.registry.reading() as connection:
        return list(connection.execute(select(table.__table__).order_by(table.__table__.c.id)))


CASES = {
    "missing": ("photos/gone.jpg", None, "photo 'photos/gone.jpg' is not there"),
    "a folder": ("photos", None, "photo 'photos' is not there"),
    "zero bytes": ("photos/x.jpg", b"", "photo 'photos/x.jpg' is empty"),
    "cut short": ("photos/x.jpg", picture()[:900], "photo 'photos/x.jpg' is damaged and cannot be decoded"),
    "text": ("photos/x.jpg", b"not an image at all", "photo 'photos/x.jpg' is not a JPEG, PNG or WebP image"),
    "another kind of image": ("photos/x.gif", picture(kind="GIF"), "is not a JPEG, PNG or WebP image"),
    "too small": ("photos/x.jpg", picture((120, 160)), "has only 120 × 160 pixels; at least 240 × 320 are needed"),
    "far too large": ("photos/x.png", huge_png(), "has more than 100 million pixels"),
    "rather too large": ("photos/x.png", huge_png(10_001, 10_000), "has more than 100 million pixels (10001 × 10000)"),
    "upwards": ("../outside.jpg", picture(), "leads out of the folder of its table, which is not allowed"),
    "upwards and in": (
        "photos/../../outside.jpg",
        picture(),
        "leads out of the folder of its table, which is not allowed",
    ),
    "absolute": ("/etc/passwd", None, "leads out of the folder of its table, which is not allowed"),
    "backslashes": ("..\\outside.jpg", picture(), "leads out of the folder of its table, which is not allowed"),
    "a drive": ("C:\\photos\\x.jpg", None, "leads out of the folder of its table, which is not allowed"),
    "an address": ("https://example.org/x.jpg", None, "is not a path inside the folder of its table"),
    "a file address": ("file:///etc/passwd", None, "is not a path inside the folder of its table"),
    "a very long name": ("x" * 300 + ".jpg", None, "has a longer name than a file can have"),
}


@pytest.fixture(scope="module")
def spoiled(new_desk, tmp_path_factory):
    """All the cases in one table of scans, below a good one: the desk, and what was refused by row."""
    desk = new_desk(tmp_path_factory.mktemp("spoiled-photos"))
    desk.write("subjects.csv", "subject_id,sex,age\nS1,F,40\n")
    desk.write("photos/good.jpg", picture())
    lines = [SCANS, "S1,good,2024-01-10,phone,1,photos/good.jpg,\n"]
    for number, (name, content, _) in enumerate(CASES.values()):
        given = name.replace("photos/x", f"photos/x{number}")
        if content is not None:
            desk.write(given.replace("\\", "/"), content)
        lines.append(f'S1,scan-{number},2024-01-10,phone,1,photos/good.jpg,"{given}"\n')
    desk.write("scans.csv", "".join(lines))
    result = desk.ingest()
    yield desk, {entry["row"]: entry for entry in result.report["quarantine"]["examples"]}
    desk.registry.close()


@pytest.mark.parametrize("case", CASES)
def test_a_photo_that_cannot_be_used_is_named(spoiled, case: str) -> None:
    _, told = spoiled
    number = list(CASES).index(case)
    fault = told[number + 3]
    name = CASES[case][0].replace("photos/x", f"photos/x{number}")
    assert (fault["file"], fault["rule"], fault["column"]) == ("scans.csv", "photos_usable", "left")
    assert fault["value"] == name[:200]
    assert CASES[case][2].replace("photos/x", f"photos/x{number}") in fault["reason"]
    assert fault["remedy"] == "Put the photo where the table says, or correct the table."


def test_only_the_scan_with_usable_photos_is_in(spoiled) -> None:
    desk, told = spoiled
    assert set(told) == set(range(3, 3 + len(CASES)))
    assert [scan.code for scan in rows(desk, Scan)] == ["good"]
    assert len(stored(desk)) == 1


@pytest.mark.parametrize("link", ["file", "folder", "loop"])
def test_a_link_out_of_the_folder_is_not_followed(scans, refused, tmp_path: Path, link: str) -> None:
    desk = scans.desk
    outside = tmp_path / "elsewhere" / "x.jpg"
    outside.parent.mkdir()
    outside.write_bytes(picture(shade=10))
    name, reason = "photos/x.jpg", "leads out of the folder of its table through a link, which is not allowed"
    if link == "file":
        (desk.folder / name).symlink_to(outside)
    elif link == "folder":
        name = "shots/x.jpg"
        (desk.folder / "shots").symlink_to(outside.parent)
    else:
        (desk.folder / name).symlink_to(desk.folder / name)
        reason = "is a link that leads back to itself"
    told = refused(scans(f"S1,scan-1,2024-01-10,phone,1,{name},"))
    assert reason in told["scans.csv", 2][0]["reason"]
    assert not stored(desk)


def test_a_link_inside_the_folder_is_followed(scans) -> None:
    desk = scans.desk
    (desk.folder / "photos" / "x.jpg").symlink_to(desk.folder / "photos" / "good.jpg")
    assert scans("S1,scan-1,2024-01-10,phone,1,photos/x.jpg,").rejected == 0


def test_a_name_with_a_nul_is_no_path(desk, refused) -> None:
    import pandas as pd

    desk.write("subjects.csv", "subject_id\nS1\n")
    table = io.BytesIO()
    pd.DataFrame({"subject_id": ["S1"], "scan_id": ["a"], "front": ["photos/x.jpg\0.txt"]}).to_parquet(table)
    desk.write("scans.parquet", table.getvalue())
    told = refused(desk.ingest())
    assert "is not a path inside the folder of its table" in told["scans.parquet", 1][0]["reason"]


def test_a_scan_without_a_photo_is_refused(scans, refused) -> None:
    told = refused(scans("S1,scan-1,2024-01-10,phone,1,,"))
    assert "no photo is named in any of the views" in told["scans.csv", 2][0]["reason"]


def test_a_photo_on_its_side_is_taken_in_with_a_flag(scans) -> None:
    desk = scans.desk
    desk.write("photos/side.jpg", picture((400, 300)))
    result = scans("S1,scan-1,2024-01-10,phone,1,photos/side.jpg,")
    assert result.rejected == 0
    (doubt,) = [entry for entry in result.report["flagged"]["examples"] if entry["rule"] == "photos_upright"]
    assert (doubt["file"], doubt["row"], doubt["column"]) == ("scans.csv", 2, "front")
    assert "photo 'photos/side.jpg' is wider than high (400 × 300)" in doubt["reason"]
    assert "Turn the photo upright" in doubt["remedy"]
    assert rows(desk, Scan)[0].flags == "photos_upright"


@pytest.mark.parametrize("orientation", [1, 6])
def test_what_is_stored_says_nothing_of_place_or_person(scans, orientation: int) -> None:
    desk = scans.desk
    size = (300, 400) if orientation == 1 else (400, 300)
    desk.write("photos/x.jpg", with_place(orientation, size=size))
    assert scans("S1,scan-1,2024-01-10,phone,1,photos/x.jpg,").rejected == 0
    (path,) = stored(desk)
    raw = path.read_bytes()
    for secret in (b"Exif", b"ACME", b"GPS", b"the patient's name"):
        assert secret not in raw
    with Image.open(path) as kept:
        assert dict(kept.getexif()) == {}
        assert kept.size == (300, 400)  # the camera's turn is baked in
    (photo,) = rows(desk, Photo)
    assert (photo.width, photo.height, photo.bytes, photo.media_type) == (300, 400, len(raw), "image/jpeg")
    assert path.stem == photo.sha256


def test_pixels_of_an_upright_jpeg_are_untouched(scans) -> None:
    desk = scans.desk
    desk.write("photos/x.jpg", with_place())
    scans("S1,scan-1,2024-01-10,phone,1,photos/x.jpg,")
    with Image.open(stored(desk)[0]) as kept, Image.open(desk.folder / "photos" / "x.jpg") as given:
        assert kept.tobytes() == given.tobytes()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_text_in_other_kinds_of_images_is_gone_too(scans, kind: str) -> None:
    from PIL.PngImagePlugin import PngInfo

    desk = scans.desk
    exif = Image.Exif()
    exif[0x010F] = "ACME phones"
    options = {"exif": exif}
    if kind == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_text("Author", "ACME phones")
    desk.write("photos/x.bin", picture(kind=kind, **options))
    assert scans("S1,scan-1,2024-01-10,phone,1,photos/x.bin,").rejected == 0
    assert b"ACME" not in stored(desk)[0].read_bytes()
    assert rows(desk, Photo)[0].media_type == "image/png"


def test_nothing_is_stored_of_scans_that_stay_out(scans) -> None:
    desk = scans.desk
    desk.write("photos/other.jpg", picture(shade=30))
    result = scans(
        "NOBODY,scan-1,2024-01-10,phone,1,photos/good.jpg,", "S1,scan-2,2124-01-10,phone,1,photos/other.jpg,"
    )
    assert result.rejected == 2
    assert not stored(desk)


def test_a_dry_run_stores_nothing(scans) -> None:
    desk = scans.desk
    result = scans("S1,scan-1,2024-01-10,phone,1,photos/good.jpg,", dry_run=True)
    assert result.report["tables"]["scans"]["new"] == 1
    assert not stored(desk)
    assert scans("S1,scan-1,2024-01-10,phone,1,photos/good.jpg,").report["tables"]["scans"]["new"] == 1
    assert len(stored(desk)) == 1


def test_a_failing_load_leaves_no_photo(scans, monkeypatch: pytest.MonkeyPatch) -> None:
    from studies.ingest import ingest as module

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    desk = scans.desk
    bring = module.bring_photos
    monkeypatch.setattr(module, "bring_photos", lambda *details: (bring(*details), fail()))
    with pytest.raises(OSError, match="No space left"):
        scans("S1,scan-1,2024-01-10,phone,1,photos/good.jpg,")
    assert not stored(desk)
    assert not rows(desk, Scan)
    assert list(desk.registry.ingests.iterdir()) == []


def test_the_same_photo_is_stored_once(scans) -> None:
    desk = scans.desk
    scans(
        "S1,scan-1,2024-01-10,phone,1,photos/good.jpg,photos/good.jpg", "S2,scan-1,2024-01-10,phone,1,photos/good.jpg,"
    )
    assert len(stored(desk)) == 1
    assert len(rows(desk, Photo)) == 3


def test_scans_ingested_again_change_nothing(scans) -> None:
    line = "S1,scan-1,2024-01-10,phone,1,photos/good.jpg,"
    scans(line)
    before = rows(scans.desk, Scan), rows(scans.desk, Photo), stored(scans.desk)
    again = scans(line)
    assert again.report["tables"]["scans"] == {
        "read": 1, "new": 0, "changed": 0, "unchanged": 1, "rejected": 0, "flagged": 0,
    }  # fmt: skip
    assert (rows(scans.desk, Scan), rows(scans.desk, Photo), stored(scans.desk)) == before


def test_a_missing_value_erases_nothing_of_a_scan(scans) -> None:
    desk = scans.desk
    scans("S1,scan-1,2024-01-10 09:30,phone,green,photos/good.jpg,")
    again = scans("S1,scan-1,,,,photos/good.jpg,")  # without a date the visit is `baseline`: another scan
    assert again.report["tables"]["scans"]["new"] == 1
    desk.write("subjects.csv", "subject_id,sex,age\nS1,F,40\n")
    lines = "subject_id,scan_id,visit,captured_at,device,room,light,front\n"
    desk.write("scans.csv", lines + "S1,scan-9,v1,2024-01-10,phone,green,dim,photos/good.jpg\n")
    desk.ingest()
    desk.write("scans.csv", "subject_id,scan_id,visit,room,front\nS1,scan-9,v1,blue,photos/good.jpg\n")
    result = desk.ingest()
    assert result.report["changes"] == [
        {"table": "scans", "subject_id": "S1", "what": "v1/scan-9 room", "old": "green", "new": "blue"}
    ]
    scan = rows(desk, Scan)[-1]
    assert scan.attributes == {"room": "blue", "light": "dim"}
    assert scan.captured_at.day == 10
    assert {device.id: device.code for device in rows(desk, Device)}[scan.device_id] == "phone"


def test_a_corrected_photo_replaces_the_wrong_one_and_the_trail_says_so(scans) -> None:
    desk = scans.desk
    scans("S1,scan-1,2024-01-10,phone,1,photos/good.jpg,")
    (wrong,) = stored(desk)
    desk.write("photos/good.jpg", picture(shade=10))
    result = scans("S1,scan-1,2024-01-10,tablet,1,photos/good.jpg,")
    (right,) = stored(desk)
    assert right != wrong
    assert result.report["tables"]["scans"]["changed"] == 1
    changes = {
        (event["detail"]["field"], event["detail"]["old"], event["detail"]["new"]) for event in desk.events("change")
    }
    assert changes == {("device", "phone", "tablet"), ("photo front", wrong.stem, right.stem)}


def test_a_photo_deleted_for_privacy_does_not_come_back(scans) -> None:
    from datetime import datetime

    from sqlalchemy import update

    desk = scans.desk
    line = "S1,scan-1,2024-01-10,phone,1,photos/good.jpg,"
    scans(line)
    with desk.registry.writing() as connection:
        connection.execute(update(Photo).values(deleted_at=datetime(2024, 2, 1)))
    stored(desk)[0].unlink()
    assert scans(line).report["tables"]["scans"]["unchanged"] == 1
    assert not stored(desk)


def test_a_photo_lost_from_the_store_comes_back(scans) -> None:
    desk = scans.desk
    line = "S1,scan-1,2024-01-10,phone,1,photos/good.jpg,"
    scans(line)
    (path,) = stored(desk)
    path.unlink()
    scans(line)
    assert stored(desk) == [path]


def test_what_a_killed_ingest_left_is_removed_by_the_next(scans) -> None:
    """As after a kill between the photos and the commit: their list is there, the batch is not."""
    desk = scans.desk
    scans("S1,scan-1,2024-01-10,phone,1,photos/good.jpg,")
    (kept,) = stored(desk)
    orphan = desk.registry.photos.path("ab" * 32, "image/jpeg")
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.write_bytes(b"half")
    left = desk.registry.ingests / "trial-2.partial"
    left.mkdir()
    (left / "photos.json").write_text(json.dumps([["ab" * 32, "image/jpeg"], [kept.stem, "image/jpeg"]]))
    dead = desk.registry.folder / "scratch" / "1"  # as an earlier version named it
    (dead / "staged-subjects").mkdir(parents=True)

    scans("S1,scan-1,2024-01-10,phone,1,photos/good.jpg,")

    assert stored(desk) == [kept]
    assert sorted(path.name for path in desk.registry.ingests.iterdir()) == ["trial-1", "trial-2"]
    assert list((desk.registry.folder / "scratch").iterdir()) == []
