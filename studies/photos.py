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

from studies.errors import StorageError
from studies.icc import neutral_profile
from studies.photo_keys import HEADER_BYTES, PhotoKeys, key_id
from studies.photo_keys import SUFFIX as ENCRYPTED

MAXIMUM_BYTES = 60_000_000
MAXIMUM_PIXELS = 100_000_000
LEAST_SIDE = 240
LEAST_HEIGHT = 320
_LONGEST_NAME = 255  # bytes, on all usual file systems
_SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png"}
_ICC_PART = 65_519  # bytes of a profile in one segment
_HEIF_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
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
        kind = _HEIF_BRANDS.get(raw[8:12]) if raw[4:8] == b"ftyp" else None
        if kind is not None:
            raise PhotoProblem(
                f"is a {kind} image, which is not read: let the phone save JPEG, or convert it"
            ) from None
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
    profile = neutral_profile(upright.info.get("icc_profile") or b"")
    clean.info = {}  # comments and the like, which would be written again
    if kind in ("JPEG", "MPO"):
        clean.save(buffer, "JPEG", quality=95, subsampling=0, icc_profile=profile)
        return CheckedPhoto(buffer.getvalue(), "image/jpeg", width, height)
    clean.save(buffer, "PNG", icc_profile=profile)
    return CheckedPhoto(buffer.getvalue(), "image/png", width, height)


# Frames (not JPG, which is reserved), Huffman tables, arithmetic conditioning, scan, quantisation, number of lines,
# restarts, hierarchical progression, expansion; JFIF and Adobe, which say how colours are meant.
_DECODING = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xE0), 0xE0, 0xEE} - {0xC8})


def _how_colours_are_meant(segment: bytes) -> bytes:
    """Of a segment APP0 or APP14 what JFIF and Adobe say of colours and resolution: no small picture, nothing else."""
    if segment[1] == 0xE0 and segment[4:9] == b"JFIF\0" and len(segment) >= 18:
        return b"\xff\xe0\x00\x10" + segment[4:16] + b"\0\0"
    if segment[1] == 0xEE and segment[4:9] == b"Adobe" and len(segment) >= 16:
        return b"\xff\xee\x00\x0e" + segment[4:16]
    return b""


def strip_jpeg(raw: bytes) -> bytes:
    """A JPEG without metadata: pixels untouched, no EXIF, XMP, comments or anything behind the end of the image.

    Kept are the segments that decoding needs, and of the colour profile the numbers. Source: ITU-T T.81, annex B.
    """
    if raw[:2] != b"\xff\xd8":
        raise PhotoProblem("does not begin as a JPEG")
    kept = [raw[:2]]
    profile: dict[int, bytes] = {}  # its parts, by number
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
        if marker in (0xE0, 0xEE):
            segment = _how_colours_are_meant(segment)
        if marker in _DECODING and segment:
            kept.append(segment)
        elif marker == 0xE2 and segment[4:16] == b"ICC_PROFILE\0" and len(segment) > 18:
            profile[segment[16]] = segment[18:]
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
    # The profile goes where decoders look for it: behind JFIF's segment, or first.
    after = 2 if len(kept) > 2 and kept[1][:2] == b"\xff\xe0" else 1
    whole = b"".join(profile[part] for part in sorted(profile))
    return b"".join([*kept[:after], *_profile_segments(whole), *kept[after:]])


def _profile_segments(profile: bytes) -> list[bytes]:
    """A colour profile as APP2 segments, without what it tells of its maker. Source: ISO 15076-1, annex B.4."""
    neutral = neutral_profile(profile)
    if neutral is None:
        return []
    parts = [neutral[start : start + _ICC_PART] for start in range(0, len(neutral), _ICC_PART)]
    segments = []
    for number, part in enumerate(parts, start=1):
        content = b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part
        segments.append(b"\xff\xe2" + struct.pack(">H", len(content) + 2) + content)
    return segments


StoredPhoto = tuple[str, str]  # SHA-256 of the content, and media type


class PhotoStore:
    """Photos in a folder, each under the SHA-256 of its content, so that storing one twice changes nothing.

    With a key in the environment (see `studies.photo_keys`) they are encrypted; the name is the hash of the plain
    content all the same. Files that are not encrypted stay readable, and those that are, as long as their key is there.
    """

    def __init__(self, folder: Path, keys: PhotoKeys | None = None):
        self.folder = folder
        self._keys = keys

    @property
    def keys(self) -> PhotoKeys:
        """The keys to write and read with. Raises PlanError where the environment holds something that is no key."""
        if self._keys is None:
            self._keys = PhotoKeys.from_environment()
        return self._keys

    def path(self, sha256: str, media_type: str) -> Path:
        """Where a photo lies, or where it would be put."""
        plain, sealed = self.paths(sha256, media_type)
        if plain.exists() or (self.keys.current is None and not sealed.exists()):
            return plain
        return sealed

    def paths(self, sha256: str, media_type: str) -> tuple[Path, Path]:
        """The two places where a photo can lie: as it is, and encrypted."""
        plain = self.folder / sha256[:2] / f"{sha256}{_SUFFIX[media_type]}"
        return plain, plain.with_name(plain.name + ENCRYPTED)

    def read(self, sha256: str, media_type: str) -> bytes:
        """The content of a photo. Raises FileNotFoundError, or StorageError where it cannot be decrypted."""
        path = self.path(sha256, media_type)
        content = path.read_bytes()
        return self.keys.open(content, sha256, media_type) if path.suffix == ENCRYPTED else content

    def remove(self, sha256: str, media_type: str) -> None:
        """Remove a photo, in whichever form it lies there."""
        for path in self.paths(sha256, media_type):
            path.unlink(missing_ok=True)

    def put(self, photo: CheckedPhoto) -> Path:
        """Store a photo, whole or not at all."""
        return self.put_content((photo.sha256, photo.media_type), photo.content)

    def put_content(self, file: StoredPhoto, content: bytes) -> Path:
        """Store the content that `file` names, whole or not at all."""
        path = self.path(*file)
        if path.exists():
            return path
        return self._write(path, self.keys.seal(content, *file) if path.suffix == ENCRYPTED else content)

    def take_over(self, other: PhotoStore, sha256: str, media_type: str) -> Path:
        """Move a photo here from another store, whole or not at all."""
        source = other.path(sha256, media_type)
        path = self.folder / sha256[:2] / source.name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(source, path)
        except OSError as error:
            if error.errno != errno.EXDEV:  # the store lies on another file system
                raise
            self._write(path, source.read_bytes())
        return path

    def rewrite(self, sha256: str, media_type: str) -> bool:
        """Write a photo with the current key, or as it is where there is none. False where it is so already."""
        plain, sealed = self.paths(sha256, media_type)
        path = self.path(sha256, media_type)
        current = self.keys.current
        if current is None and path == plain:
            return False
        if current is not None and path == sealed and self.key_of(path) == current.id:
            return False
        content = self.read(sha256, media_type)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StorageError(
                "This photo is damaged: its content does not fit its name.",
                where=f"photo store, file {sha256[:16]}…", remedy="Restore it from a backup.",
            )  # fmt: skip
        if current is None:
            self._write(plain, content)
            sealed.unlink()
        else:
            self._write(sealed, self.keys.seal(content, sha256, media_type))
            plain.unlink(missing_ok=True)
        return True

    @staticmethod
    def key_of(path: Path) -> str | None:
        """The number of the key that the file at `path` is encrypted with; None where it is not encrypted."""
        with path.open("rb") as file:
            return key_id(file.read(HEADER_BYTES))

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
