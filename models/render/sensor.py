"""What a phone makes of the light: exposure, white balance, lens blur, noise, tone curve, sharpening, JPEG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numba
import numpy as np

from models.errors import BodyRequestError
from models.render.skin import to_srgb

ROWS = 768  # blur and noise are given for pictures of so many rows, and scaled to others
LEAST_QUALITY, MOST_QUALITY = 5, 100
_LUT_CELLS = 8192
_LUT_TOP = 2.0


@dataclass(frozen=True)
class Phone:
    """What belongs to a device, not to one photo.

    focal_mm: equivalent focal length; k1: distortion left after the phone's own correction. blur: standard deviation
    of lens blur, pixels of 768 rows. shot, read: noise, as standard deviations at white and at black (linear, white =
    1). grain: share of the noise that is in the colours. vignette: light lost in the corners. contrast, saturation:
    factors, 1 for none. sharpen: strength. quality: of its JPEG.
    """

    focal_mm: float
    k1: float
    blur: float
    shot: float
    read: float
    grain: float
    vignette: float
    contrast: float
    saturation: float
    sharpen: float
    quality: int


def draw_phone(rng: np.random.Generator) -> Phone:
    return Phone(
        focal_mm=float(rng.uniform(24, 28)),
        k1=float(rng.uniform(-0.03, 0.012)),
        blur=float(rng.uniform(0.45, 1.0)),
        shot=float(rng.uniform(0.003, 0.018)),
        read=float(rng.uniform(0.0002, 0.0015)),
        grain=float(rng.uniform(0.2, 0.7)),
        vignette=float(rng.uniform(0.0, 0.3)),
        contrast=float(rng.uniform(0.95, 1.25)),
        saturation=float(rng.uniform(0.88, 1.18)),
        sharpen=float(rng.uniform(0.0, 0.8)),
        quality=int(rng.integers(72, 96)),
    )


@dataclass(frozen=True)
class Exposure:
    """What varies from photo session to photo session.

    stops: over (> 0) or under the exposure that the phone would choose. balance: (3,) gains left after automatic white
    balance, of mean 1. shake: length of motion blur as a share of the picture's height, at angle `shake_angle`.
    defocus: standard deviation as a share of the height. darkness: stops that are missing in the light, and come back
    as noise.
    """

    stops: float
    balance: tuple[float, float, float]
    corrected: float
    shake: float = 0.0
    shake_angle: float = 0.0
    defocus: float = 0.0
    darkness: float = 0.0


def draw_exposure(rng: np.random.Generator) -> Exposure:
    balance = np.exp(rng.normal(0, 1, 3) * (0.05, 0.02, 0.06))
    return Exposure(
        stops=float(np.clip(rng.normal(0.0, 0.25), -0.7, 0.7)),
        balance=tuple(float(v) for v in balance / balance.mean()),
        corrected=float(rng.uniform(0.65, 1.0)),
    )


def metered(image: np.ndarray) -> float:
    """The gain that a phone would give a picture (H, W, 3), linear: half by its middle, and without burning much
    out."""
    luminance = image[::8, ::8] @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    height, width = luminance.shape
    middle = luminance[height // 6 : max(height - height // 6, 1), width // 4 : max(width - width // 4, 1)]
    mean = 0.5 * float(luminance.mean()) + 0.5 * float(middle.mean())
    bright = float(np.percentile(luminance, 97))
    return min(0.26 / max(mean, 1e-4), 1.35 / max(bright, 1e-4))


def develop(image: np.ndarray, phone: Phone, exposure: Exposure, light_colour: np.ndarray, seed: int) -> np.ndarray:
    """The photo (H, W, 3) uint8 of light (H, W, 3) float32, which it may change. light_colour: (3,) of mean 1."""
    height = image.shape[0]
    scale = height / ROWS
    if exposure.defocus > 0.0:
        image = cv2.GaussianBlur(image, (0, 0), exposure.defocus * height)
    if exposure.shake > 0.0:
        image = cv2.filter2D(image, -1, _streak(exposure.shake * height, exposure.shake_angle))
    balance = np.asarray(exposure.balance) / light_colour**exposure.corrected
    gain = metered(image) * 2.0 ** (exposure.stops - exposure.darkness)
    # Smaller pictures are means over pixels; noise that the phone has smeared does not average out wholly.
    noise = math.sqrt(scale) * 2.0 ** (0.5 * exposure.darkness)
    out = np.empty(image.shape, np.uint8)
    _develop(
        image, gain * balance / balance.mean(), _tone_curve(phone.contrast), phone.saturation, phone.vignette,
        phone.shot * noise, phone.read * noise, phone.grain, np.uint32(seed & 0xFFFFFFFF), out,
    )  # fmt: skip
    # Lens and noise reduction blur; then the phone sharpens.
    sigma = phone.blur * math.sqrt(scale)
    if sigma > 0.25:
        out = cv2.GaussianBlur(out, (0, 0), sigma)
    if phone.sharpen > 0.05:
        soft = cv2.GaussianBlur(out, (0, 0), max(1.1 * scale, 0.5))
        out = cv2.addWeighted(out, 1 + phone.sharpen, soft, -phone.sharpen, 0)
    return out


def encode(image: np.ndarray, quality: int) -> bytes:
    """An RGB picture as JPEG; the same bytes for the same picture and quality."""
    if not LEAST_QUALITY <= quality <= MOST_QUALITY:
        raise BodyRequestError(f"JPEG quality must be between {LEAST_QUALITY} and {MOST_QUALITY}, not {quality}.")
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not done:
        raise BodyRequestError(f"A picture of the shape {image.shape} cannot be written as JPEG.")
    return data.tobytes()


def decode(data: bytes) -> np.ndarray:
    """The RGB picture (H, W, 3) uint8 of a JPEG."""
    return np.ascontiguousarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1])


def _streak(length: float, angle: float) -> np.ndarray:
    """The kernel of a straight movement of the camera, `length` pixels."""
    half = max(math.ceil(length / 2), 1)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    along = x * math.cos(angle) + y * math.sin(angle)
    across = -x * math.sin(angle) + y * math.cos(angle)
    kernel = np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1.0 - np.abs(across), 0, 1)
    return (kernel / kernel.sum()).astype(np.float32)


@lru_cache(maxsize=32)
def _tone_curve(contrast: float) -> np.ndarray:
    """(8193,) float32: from light, 0 to 2, to the picture's values, 0 to 255. Highlights roll off."""
    light = np.linspace(0, _LUT_TOP, _LUT_CELLS + 1)
    knee = 0.6
    rolled = np.where(light < knee, light, 1 - (1 - knee) * np.exp(-(light - knee) / (1 - knee)))
    value = to_srgb(rolled)
    # Contrast turns the curve about middle grey, and keeps black and white.
    bent = value + (contrast - 1.0) * 1.6 * value * (1 - value) * (value - 0.46)
    return (255 * np.clip(bent, 0, 1)).astype(np.float32)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _mixed(x):
    x = np.uint32(x)
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D))
    x = np.uint32((x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def _develop(image, gains, curve, saturation, vignette, shot, read, grain, seed, out):
    height, width = image.shape[0], image.shape[1]
    far = 0.25 * (height * height + width * width)
    top = _LUT_CELLS / _LUT_TOP
    for row in range(height):
        dy = row + 0.5 - 0.5 * height
        for column in range(width):
            dx = column + 0.5 - 0.5 * width
            light = 1.0 - vignette * (dx * dx + dy * dy) / far
            # Sums of independent bytes: close to normal, of variance 1.
            a = _mixed(np.uint32(row * 16384 + column) ^ seed)
            b = _mixed(a ^ np.uint32(0x9E3779B9))
            whole = ((a & 255) + ((a >> 8) & 255) + ((a >> 16) & 255) + (a >> 24) - 510.0) * (1 / 147.8)
            reds = ((b & 255) + ((b >> 8) & 255) - 255.0) * (1 / 104.5)
            blues = (((b >> 16) & 255) + (b >> 24) - 255.0) * (1 / 104.5)
            r = image[row, column, 0] * gains[0] * light
            g = image[row, column, 1] * gains[1] * light
            b_ = image[row, column, 2] * gains[2] * light
            grey = 0.2126 * r + 0.7152 * g + 0.0722 * b_
            deviation = math.sqrt(shot * shot * max(grey, 0.0) + read * read)
            r = grey + saturation * (r - grey) + deviation * (whole + grain * reds)
            g = grey + saturation * (g - grey) + deviation * (whole - 0.3 * grain * (reds + blues))
            b_ = grey + saturation * (b_ - grey) + deviation * (whole + 1.3 * grain * blues)
            out[row, column, 0] = _toned(curve, min(max(r, 0.0), 1.9999) * top)
            out[row, column, 1] = _toned(curve, min(max(g, 0.0), 1.9999) * top)
            out[row, column, 2] = _toned(curve, min(max(b_, 0.0), 1.9999) * top)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)
def _toned(curve, at):
    """The curve's value between its cells, to the nearest whole number."""
    cell = int(at)
    return np.uint8(curve[cell] + (at - cell) * (curve[cell + 1] - curve[cell]) + 0.5)
