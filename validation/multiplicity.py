"""Adjustment of p-values for the number of tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from validation.errors import OutOfRange
from validation.pairs import option


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (family-wise error). Holm S. Scand J Stat 1979;6:65-70.

    p_(i) adjusted = max over j <= i of min(1, (m - j + 1) p_(j)). None stays None and does not count.
    """
    return _adjust(p_values, lambda p, m: np.maximum.accumulate((m - np.arange(m)) * p))


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini–Hochberg adjustment (false discovery rate). J R Stat Soc B 1995;57:289-300.

    p_(i) adjusted = min over j >= i of min(1, m p_(j) / j). None stays None and does not count.
    """
    return _adjust(p_values, lambda p, m: np.minimum.accumulate((m / np.arange(m, 0, -1)) * p[::-1])[::-1])


ADJUSTMENTS = {"holm": holm, "bh": benjamini_hochberg}


def adjustment(name: str) -> Callable[[Sequence[float | None]], list[float | None]]:
    """The adjustment called "holm" or "bh"; UnknownOption for any other."""
    return ADJUSTMENTS[option(name, tuple(ADJUSTMENTS), "adjust")]


def _adjust(p_values: Sequence[float | None], rule) -> list[float | None]:
    places = [i for i, p in enumerate(p_values) if p is not None]
    p = np.array([p_values[i] for i in places], dtype=float)
    if ((p < 0) | (p > 1) | np.isnan(p)).any():
        raise OutOfRange("a p-value lies outside 0 to 1")
    order = np.argsort(p, kind="stable")
    adjusted = np.minimum(rule(p[order], len(p)), 1.0)
    out: list[float | None] = [None] * len(p_values)
    for place, value in zip(order, adjusted, strict=True):
        out[places[place]] = float(value)
    return out
