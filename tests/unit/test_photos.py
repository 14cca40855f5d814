"""Photos: what is refused, and that nothing but pixels is stored."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from studies.icc import neutral_profile
from studies.photos import PhotoProblem, PhotoStore, check, locate, strip_jpeg


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


# What a photo can carry beside its pixels -----------------------------------------------------------------------------


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def jpeg_with(*segments: bytes, behind: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG")
    raw = buffer.getvalue()
    return raw[:2] + b"".join(segments) + raw[2:] + behind


SECRET = b"Quartermaine, Zoe"
CARRIERS = {
    **{f"APP{number}": segment(0xE0 + number, SECRET) for number in range(16)},
    "Exif": segment(0xE1, b"Exif\0\0" + SECRET),
    "XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + SECRET),
    "IPTC": segment(0xED, b"Photoshop 3.0\x008BIM" + SECRET),
    "a comment": segment(0xFE, SECRET),
    "multi-picture": segment(0xE2, b"MPF\0" + SECRET),
    "a thumbnail of JFIF": segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\2\3" + (SECRET * 2)[:18]),
    "a thumbnail of JFXX": segment(0xE0, b"JFXX\0\x10" + SECRET),
    "a colour profile that is none": segment(0xE2, b"ICC_PROFILE\0\1\1" + SECRET),
    "a reserved segment": segment(0xF3, SECRET),
    "another reserved segment": segment(0xC8, SECRET),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_no_segment_of_a_jpeg_carries_anything_in(tmp_path: Path, carrier: str) -> None:
    path = tmp_path / "a.jpg"
    plain = jpeg_with()
    path.write_bytes(jpeg_with(CARRIERS[carrier], behind=SECRET))
    content = strip_jpeg(path.read_bytes())
    assert SECRET[:9] not in content
    with Image.open(io.BytesIO(content)) as after, Image.open(io.BytesIO(plain)) as before:
        assert after.tobytes() == before.tobytes()
    assert strip_jpeg(content) == content


def test_no_chunk_of_a_png_carries_anything_in(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Author", "Quartermaine, Zoe")
    text.add_text("Comment", "Quartermaine, Zoe", zip=True)
    text.add_itxt("Title", "Quartermaine, Zoe")
    text.add(b"tIME", bytes(7))
    path = tmp_path / "a.png"
    picture().save(path, pnginfo=text, exif=with_exif(), dpi=(300, 300))
    content = check(path).content
    kinds, place = set(), 8
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        kinds.add(content[place + 4 : place + 8])
        place += 12 + length
    assert kinds == {b"IHDR", b"IDAT", b"IEND"}


@pytest.mark.parametrize(("brand", "name"), [(b"heic", "HEIC"), (b"mif1", "HEIC"), (b"avif", "AVIF")])
def test_heic_is_refused_with_what_to_do(tmp_path: Path, brand: bytes, name: str) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(400))
    with pytest.raises(PhotoProblem, match=f"is a {name} image, which is not read: let the phone save JPEG"):
        check(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_colour_profile_keeps_its_colours_and_no_text(tmp_path: Path, suffix: str) -> None:
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert b"s\0R\0G\0B" in profile  # its description, in UTF-16
    profile[48:52] = b"ACME"  # the device's maker
    path = tmp_path / f"a.{suffix}"
    picture().save(path, icc_profile=bytes(profile))
    with Image.open(io.BytesIO(check(path).content)) as image:
        kept = image.info["icc_profile"]
        image.load()
    assert b"s\0R\0G\0B" not in kept
    assert b"ACME" not in kept
    lab = ImageCms.createProfile("LAB")
    said = [
        ImageCms.applyTransform(
            picture(), ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(one)), lab, "RGB", "LAB")
        ).tobytes()
        for one in (bytes(profile), kept)
    ]
    assert said[0] == said[1]
    assert neutral_profile(kept) == kept
