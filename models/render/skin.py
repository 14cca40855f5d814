"""The colour of skin and hair.

Skin tones are the ten of the Monk Skin Tone scale (Monk, E. P., 2019, "Monk Skin Tone Scale", skintone.google;
published under CC BY 4.0), whose sRGB values are given there.
"""

from __future__ import annotations

import numpy as np

from models.errors import BodyRequestError

MONK_SRGB = (
    "f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420",
)  # fmt: skip
MONK_TONES = tuple(range(1, len(MONK_SRGB) + 1))

# Linear RGB of hair, from black over brown, red and blond to grey.
HAIR_COLOURS = {
    "black": (0.010, 0.009, 0.009),
    "dark_brown": (0.028, 0.017, 0.011),
    "brown": (0.075, 0.042, 0.022),
    "auburn": (0.110, 0.038, 0.016),
    "dark_blond": (0.190, 0.125, 0.065),
    "blond": (0.360, 0.260, 0.140),
    "grey": (0.290, 0.280, 0.270),
    "white": (0.560, 0.550, 0.530),
}


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB values 0 to 1 as linear light (IEC 61966-2-1)."""
    srgb = np.asarray(srgb, dtype=np.float64)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0.0) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light 0 to 1 as sRGB values (IEC 61966-2-1)."""
    linear = np.clip(np.asarray(linear, dtype=np.float64), 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def monk_srgb(tone: int) -> np.ndarray:
    """(3,) sRGB 0 to 255 of a tone, 1 (lightest) to 10. Raises BodyRequestError for another number."""
    if tone not in MONK_TONES:
        raise BodyRequestError(f"There is no skin tone {tone}.", remedy="The Monk scale has the tones 1 to 10.")
    value = MONK_SRGB[tone - 1]
    return np.array([int(value[n : n + 2], 16) for n in (0, 2, 4)])


def monk_albedo(tone: int) -> np.ndarray:
    """(3,) linear RGB that skin of this tone reflects."""
    return to_linear(monk_srgb(tone) / 255.0)


def draw_hair_colour(rng: np.random.Generator, tone: int, age: float | None) -> tuple[float, float, float]:
    """A hair colour that goes with the skin; grey becomes common with age (in years, drawn if it is not known)."""
    years = rng.uniform(18, 80) if age is None else age
    if rng.random() < np.clip((years - 45) / 50, 0.0, 0.7):
        name = str(rng.choice(["grey", "white"], p=(0.75, 0.25)))
    elif tone <= 3:
        name = str(rng.choice(list(HAIR_COLOURS)[:6], p=(0.08, 0.2, 0.3, 0.1, 0.2, 0.12)))
    elif tone <= 5:
        name = str(rng.choice(list(HAIR_COLOURS)[:6], p=(0.4, 0.34, 0.16, 0.03, 0.04, 0.03)))
    else:
        name = str(rng.choice(list(HAIR_COLOURS)[:6], p=(0.8, 0.15, 0.03, 0.01, 0.0, 0.01)))
    return tuple(float(v) for v in np.array(HAIR_COLOURS[name]) * rng.uniform(0.8, 1.25))
