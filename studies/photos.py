"""Photos: checked before they are believed, stripped of metadata, stored under the hash of their content."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import struct
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

MAXIMUM_BYTES = 60_000_000
MAXIMUM_PIXELS = 100_000_000
LEAST_SIDE = 240
LEAST_HEIGHT = 320
_LONGEST_NAME = 255  # bytes, on all usual file systems
_SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png"}
_PILLOW_FORMATS = ("JPEG", "PNG", "WEBP")


class PhotoProblem(Exception):
    """A photo that cannot be used; the text ends a sentence that begins with its name."""


@dataclass(frozen=True)
class CheckedPhoto:
    """A decodable photo without metadata, upright as its orientation tag says."""

    content: bytes
    media_type: str
    width: int
    height: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def doubt(self) -> str | None:
        """Why it may be lying on its side, if it may."""
        return f"is wider than high ({self.width} × {self.height})" if self.width > self.height else None


def locate(folder: Path, name: str) -> Path:
    """The photo file that a table in `folder` names. Raises PhotoProblem unless it lies inside that folder."""
    if "\0" in name or "://" in name:
        raise PhotoProblem("is not a path inside the folder of its table")
    given = Path(name.replace("\\", "/"))
    path = folder / given
    if any(len(part.encode()) > _LONGEST_NAME for part in given.parts):
        raise PhotoProblem("has a longer name than a file can have")
    if given.is_absolute() or ".." in given.parts or (len(name) > 1 and name[1] == ":"):
        raise PhotoProblem("leads out of the folder of its table, which is not allowed")
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except RuntimeError:
        raise PhotoProblem("is a link that leads back to itself") from None
    if not inside:
        raise PhotoProblem("leads out of the folder of its table through a link, which is not allowed")
    if not path.is_file():
        raise PhotoProblem("is not there")
    return path


def check(path: Path) -> CheckedPhoto:
    """Read, decode and strip one photo. Raises PhotoProblem where it cannot be used."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    size = path.stat().st_size
    if size == 0:
        raise PhotoProblem("is empty")
    if size > MAXIMUM_BYTES:
        raise PhotoProblem(f"has {size / 1e6:.0f} MB, more than the {MAXIMUM_BYTES / 1e6:.0f} MB that are read")
    raw = path.read_bytes()
    Image.init()  # so that every format named below is registered
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; the limit below refuses them
            with Image.open(io.BytesIO(raw), formats=_PILLOW_FORMATS) as image:
                width, height = image.size
                if width * height > MAXIMUM_PIXELS:
                    raise PhotoProblem(f"has more than {MAXIMUM_PIXELS / 1e6:.0f} million pixels ({width} × {height})")
                turned = image.getexif().get(0x0112, 1) not in (0, 1)
                image.load()
                upright = ImageOps.exif_transpose(image)
                kind = image.format
    except PhotoProblem:
        raise
    except Image.DecompressionBombError:
        raise PhotoProblem(f"has more than {MAXIMUM_PIXELS / 1e6:.0f} million pixels") from None
    except UnidentifiedImageError:
        raise PhotoProblem("is not a JPEG, PNG or WebP image") from None
    except Exception as error:  # decoders raise whatever they meet in a damaged file
        raise PhotoProblem(f"is damaged and cannot be decoded ({type(error).__name__})") from None
    width, height = upright.size
    if min(width, height) < LEAST_SIDE or max(width, height) < LEAST_HEIGHT:
        raise PhotoProblem(
            f"has only {width} × {height} pixels; at least {LEAST_SIDE} × {LEAST_HEIGHT} are needed to see a person"
        )
    if kind in ("JPEG", "MPO") and not turned:
        return CheckedPhoto(strip_jpeg(raw), "image/jpeg", width, height)
    buffer = io.BytesIO()
    clean = upright.convert("RGB")
    profile = upright.info.get("icc_profile")
    clean.info = {}  # comments and the like, which would be written again
    if kind in ("JPEG", "MPO"):
        clean.save(buffer, "JPEG", quality=95, subsampling=0, icc_profile=profile)
        return CheckedPhoto(buffer.getvalue(), "image/jpeg", width, height)
    clean.save(buffer, "PNG", icc_profile=profile)
    return CheckedPhoto(buffer.getvalue(), "image/png", width, height)


def strip_jpeg(raw: bytes) -> bytes:
    """A JPEG without metadata: pixels untouched, no EXIF, XMP, comments or anything behind the end of the image.

    Kept are the segments that decoding needs (and the ICC colour profile). Source: ITU-T T.81, annex B.
    """
    if raw[:2] != b"\xff\xd8":
        raise PhotoProblem("does not begin as a JPEG")
    kept = [raw[:2]]
    place = 2
    while place < len(raw) - 1:
        if raw[place] != 0xFF:
            raise PhotoProblem("is damaged: its JPEG segments do not join")
        marker = raw[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == 0xD9:
            break
        if len(raw) < place + 4:
            break
        (length,) = struct.unpack(">H", raw[place + 2 : place + 4])
        segment = raw[place : place + 2 + length]
        application = 0xE0 <= marker <= 0xEF
        needed = marker in (0xE0, 0xEE) or (marker == 0xE2 and segment[4:15] == b"ICC_PROFILE")
        if needed or not (application or marker == 0xFE):
            kept.append(segment)
        place += 2 + length
        if marker == 0xDA:  # entropy-coded data follow, up to the next marker that is neither stuffing nor restart
            end = place
            while True:
                end = raw.find(b"\xff", end)
                if end < 0 or end + 1 >= len(raw):
                    end = len(raw)
                    break
                if raw[end + 1] == 0 or 0xD0 <= raw[end + 1] <= 0xD7:
                    end += 2
                    continue
                break
            kept.append(raw[place:end])
            place = end
    kept.append(b"\xff\xd9")
    return b"".join(kept)


StoredPhoto = tuple[str, str]  # SHA-256 of the content, and media type


class PhotoStore:
    """Photos in a folder, each under the SHA-256 of its content, so that storing one twice changes nothing."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, sha256: str, media_type: str) -> Path:
        return self.folder / sha256[:2] / f"{sha256}{_SUFFIX[media_type]}"

    def put(self, photo: CheckedPhoto) -> Path:
        """Store a photo, whole or not at all."""
        return self.put_content((photo.sha256, photo.media_type), photo.content)

    def put_content(self, file: StoredPhoto, content: bytes) -> Path:
        """Store the content that `file` names, whole or not at all."""
        path = self.path(*file)
        return path if path.exists() else self._write(path, content)

    def take_over(self, other: PhotoStore, sha256: str, media_type: str) -> Path:
        """Move a photo here from another store, whole or not at all."""
        path, source = self.path(sha256, media_type), other.path(sha256, media_type)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(source, path)
        except OSError as error:
            if error.errno != errno.EXDEV:  # the store lies on another file system
                raise
            self._write(path, source.read_bytes())
        return path

    @staticmethod
    def _write(path: Path, content: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".incoming-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return path
