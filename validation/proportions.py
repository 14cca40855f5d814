"""Intervals of a proportion."""

from __future__ import annotations

import math

from scipy import special

from validation.errors import NotEnoughData, OutOfRange
from validation.results import Estimate


def wilson(events: float, n: float, *, level: float = 0.95) -> Estimate:
    """Proportion with Wilson's score interval (J Am Stat Assoc 1927;22:209-212); good at 0 and n of n as well."""
    check(events, n)
    z2 = float(special.ndtri((1 + level) / 2)) ** 2
    p = events / n
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * p * (1 - p) / n + z2 * z2 / (4 * n * n)) / (1 + z2 / n)
    low = 0.0 if events == 0 else max(0.0, centre - half)
    high = 1.0 if events == n else min(1.0, centre + half)
    return Estimate(p, low, high, level, "Wilson")


def clopper_pearson(events: float, n: float, *, level: float = 0.95) -> Estimate:
    """Proportion with the exact interval of Clopper and Pearson (Biometrika 1934;26:404-413): never too short."""
    check(events, n)
    low = 0.0 if events == 0 else float(special.betaincinv(events, n - events + 1, (1 - level) / 2))
    high = 1.0 if events == n else float(special.betaincinv(events + 1, n - events, (1 + level) / 2))
    return Estimate(events / n, low, high, level, "Clopper–Pearson")


def check(events: float, n: float) -> None:
    if n <= 0:
        raise NotEnoughData("a proportion of no cases")
    if not 0 <= events <= n:
        raise OutOfRange(f"{events} events among {n} cases")
