"""The phones that rendered photos are taken with: invented, no one's product, each with a camera of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from models.render.sensor import Phone
from studies.synthetic.scans import PHONES


@dataclass(frozen=True)
class StudyPhone:
    """aspect: width over height of an upright photo. camera: its lens, noise and compression."""

    aspect: float
    camera: Phone

    def size(self, height: int) -> tuple[int, int]:
        """(height, width) of its photos in pixels."""
        return height, round(height * self.aspect)


# Within what the main cameras of phones have: about 24 to 28 mm, photos of 3:4, and of 9:16 where they fill the screen.
_PHONES = {
    "phone-a": StudyPhone(
        3 / 4,
        Phone(
            focal_mm=26.0, k1=-0.005, blur=0.5, shot=0.012, read=0.0015, grain=0.3, vignette=0.08, contrast=1.05,
            saturation=1.0, sharpen=0.3, quality=92,
        ),
    ),
    "phone-b": StudyPhone(
        9 / 16,
        Phone(
            focal_mm=24.0, k1=-0.020, blur=0.7, shot=0.020, read=0.0030, grain=0.5, vignette=0.18, contrast=1.20,
            saturation=1.15, sharpen=0.7, quality=85,
        ),
    ),
    "phone-c": StudyPhone(
        3 / 4,
        Phone(
            focal_mm=28.0, k1=0.000, blur=0.95, shot=0.032, read=0.0055, grain=0.65, vignette=0.28, contrast=1.10,
            saturation=0.90, sharpen=0.1, quality=76,
        ),
    ),
    "phone-d": StudyPhone(
        9 / 16,
        Phone(
            focal_mm=25.0, k1=0.008, blur=0.6, shot=0.016, read=0.0020, grain=0.4, vignette=0.12, contrast=1.00,
            saturation=1.05, sharpen=0.5, quality=88,
        ),
    ),
}  # fmt: skip
NARROWEST = min(phone.aspect for phone in _PHONES.values())


def phone(name: str) -> StudyPhone:
    """The phone of this name."""
    return _PHONES[name]


def phone_of(subject_id: str, seed: int) -> str:
    """The phone of someone of whom no phone is known."""
    digest = hashlib.sha256(f"{seed}\0{subject_id}\0phone".encode()).digest()
    return PHONES[digest[0] % len(PHONES)]
