"""Skin tones on the ten steps of the Monk scale, drawn for people of whom only the ethnicity is known.

An assumption without a source: no open survey holds both. The tones of a group are spread around a middle value, wide
enough that every group overlaps with its neighbours. What they tell is of renderer and estimator, not of people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

LIGHTEST, DARKEST = 1, 10

# Words in the name of an ethnicity -> middle and SD of the tone. The first that fits counts: "non_hispanic_black" is
# black, not hispanic. Anyone else may have any tone.
_TONES: tuple[tuple[str, tuple[float, float]], ...] = (
    (r"black|african", (7.6, 1.3)),
    (r"white|caucasian|european", (2.6, 1.1)),
    (r"mexican", (4.6, 1.2)),
    (r"hispanic|latin", (4.4, 1.5)),
    (r"pacific|islander", (5.6, 1.2)),
    (r"native|indigenous", (4.8, 1.3)),
    (r"asian", (4.2, 1.6)),
)
_ANYONE = (4.8, 2.2)


def draw_skin_tones(ethnicities: Iterable[object], deviates: NDArray[np.float64]) -> NDArray[np.int64]:
    """Tones from 1 (lightest) to 10 (darkest), one a person.

    ethnicities: names as a study writes them, or anything that is no text where it is unknown. deviates (n,): standard
    normal, the people's own.
    """
    middles, spreads = np.array([_spread(name) for name in ethnicities]).reshape(-1, 2).T
    return np.clip(np.round(middles + spreads * deviates), LIGHTEST, DARKEST).astype(np.int64)


def _spread(ethnicity: object) -> tuple[float, float]:
    text = ethnicity.casefold() if isinstance(ethnicity, str) else ""
    return next((tones for pattern, tones in _TONES if re.search(pattern, text)), _ANYONE)
