"""Photos: what is refused, and that nothing but pixels is stored."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from studies.photos import PhotoProblem, PhotoStore, check, locate


def picture(width: int = 480, height: int = 640) -> Image.Image:
    image = Image.radial_gradient("L").resize((width, height))
    return Image.merge("RGB", (image, image.rotate(90).resize((width, height)), image))


def with_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "SecretPhoneMaker", orientation
    exif.get_ifd(0x8825)[1] = "N"
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_metadata_never_reach_the_store(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    picture().save(path, exif=with_exif())
    path.write_bytes(path.read_bytes() + b"hidden film after the image")
    assert b"SecretPhoneMaker" in path.read_bytes()
    photo = check(path)
    stored = PhotoStore(tmp_path / "store").put(photo).read_bytes()
    assert b"SecretPhoneMaker" not in stored
    assert b"hidden film" not in stored
    with Image.open(io.BytesIO(stored)) as image:
        assert dict(image.getexif()) == {}
        assert image.size == (480, 640) == (photo.width, photo.height)


def test_the_pixels_of_an_upright_jpeg_are_untouched(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture().save(path, exif=with_exif(), progressive=True, quality=80)
    with Image.open(path) as before, Image.open(io.BytesIO(check(path).content)) as after:
        assert before.tobytes() == after.tobytes()


def test_the_orientation_tag_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture(640, 480).save(path, exif=with_exif(orientation=6))
    photo = check(path)
    assert (photo.width, photo.height, photo.doubt) == (480, 640, None)


def test_a_photo_on_its_side_is_doubted(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture(640, 480).save(path)
    assert check(path).doubt == "is wider than high (640 × 480)"


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"no picture at all", "is not a JPEG"), (b"GIF89a" + b"\0" * 50, "is not a JPEG")],
)
def test_what_is_no_photo_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(PhotoProblem, match=told):
        check(path)


def test_a_truncated_photo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture().save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(PhotoProblem, match="damaged"):
        check(path)


def test_a_small_photo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture(100, 150).save(path)
    with pytest.raises(PhotoProblem, match="only 100 × 150 pixels"):
        check(path)


def test_a_huge_image_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    for side in (12_000, 20_000):
        path = tmp_path / "bomb.png"
        Image.new("1", (side, side)).save(path)
        with pytest.raises(PhotoProblem, match="more than 100 million pixels"):
            check(path)


@pytest.mark.parametrize(
    "name", ["../a.jpg", "b/../../a.jpg", "/etc/passwd", "..\\a.jpg", "C:\\a.jpg", "http://x/a.jpg", "a\0.jpg"]
)
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(PhotoProblem, match="folder of its table"):
        locate(folder, name)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "a.jpg").write_bytes(b"x")
    (folder / "a.jpg").symlink_to(tmp_path / "a.jpg")
    with pytest.raises(PhotoProblem, match="through a link"):
        locate(folder, "a.jpg")


def test_storing_a_photo_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture().save(path)
    store = PhotoStore(tmp_path / "store")
    assert store.put(check(path)) == store.put(check(path))
    assert len([file for file in (tmp_path / "store").rglob("*") if file.is_file()]) == 1
