"""How the measurements of people go together: a joint normal distribution by sex, of logarithms.

It says what to expect, and how widely people scatter, of any measurement given any others. It was fitted by expectation
maximisation (Dempster, Laird and Rubin 1977) to adults of NHANES 1999–2000 (girths and skinfolds) and ANSUR II (chest, hip,
calf, neck, leg length, shoulder breadth), whose rows lack each other's measurements; `build_prior` does it again. No body
composition by any instrument was read for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

# `soldier` is 1 for people of ANSUR II, so that soldiers' differences from other people are not taken for theirs.
CONTEXT = ("age", "age_squared", "soldier")
MEASURED = (
    "stature_cm",
    "weight_kg",
    "waist_cm",
    "arm_cm",
    "thigh_cm",
    "hip_cm",
    "chest_cm",
    "calf_cm",
    "neck_cm",
    "leg_length_cm",
    "shoulder_breadth_cm",
    "triceps_skinfold_mm",
    "subscapular_skinfold_mm",
)
VARIABLES = (*CONTEXT, *MEASURED)
_AT = {name: i for i, name in enumerate(VARIABLES)}


def coordinates(known: Mapping[str, float]) -> np.ndarray:
    """Known values of a person, by names of MEASURED and `age`, as a vector (D,) with NaN where unknown."""
    x = np.full(len(VARIABLES), np.nan)
    age = known["age"]
    x[:3] = age, (age - 45) ** 2 / 100, known.get("soldier", 0.0)
    for name in MEASURED:
        x[_AT[name]] = np.log(known.get(name, np.nan))
    return x


@dataclass
class Population:
    """One sex. mean (D,), covariance (D, D) of `coordinates`."""

    mean: np.ndarray
    covariance: np.ndarray
    _patterns: dict[bytes, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    def _given(self, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of the unknown on the known, and a square root of the covariance that remains."""
        key = known.tobytes()
        if key not in self._patterns:
            kk = self.covariance[np.ix_(known, known)]
            uk = self.covariance[np.ix_(~known, known)]
            slope = np.linalg.solve(kk, uk.T).T
            rest = self.covariance[np.ix_(~known, ~known)] - slope @ uk.T
            values, vectors = np.linalg.eigh((rest + rest.T) / 2)
            self._patterns[key] = slope, vectors * np.sqrt(values.clip(0))
        return self._patterns[key]

    def expected(self, x: np.ndarray) -> np.ndarray:
        """x (D,) with what is unknown replaced by what is expected of it."""
        known = np.isfinite(x)
        slope, _ = self._given(known)
        out = x.copy()
        out[~known] = self.mean[~known] + slope @ (x[known] - self.mean[known])
        return out

    def drawn(self, x: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """x (D,) with what is unknown drawn as people scatter; noise (D,) standard normal."""
        known = np.isfinite(x)
        _, root = self._given(known)
        out = self.expected(x)
        out[~known] += root @ noise[~known]
        return out

    def spread(self, x: np.ndarray) -> np.ndarray:
        """(D,): standard deviation of what is unknown given what is known; 0 for the known."""
        known = np.isfinite(x)
        _, root = self._given(known)
        out = np.zeros(len(x))
        out[~known] = np.sqrt((root**2).sum(1))
        return out

    def surprise(self, x: np.ndarray, name: str) -> float:
        """How many SD a known value lies from what everything else that is known leads to expect."""
        at = _AT[name]
        without = x.copy()
        without[at] = np.nan
        return float((x[at] - self.expected(without)[at]) / self.spread(without)[at])

    def fatness(self, x: np.ndarray) -> float:
        """z-score of the two skinfolds (mean of their standardised logarithms) among adults of the sex; x complete."""
        weights = self._skinfolds()
        return float(weights @ (x - self.mean) / np.sqrt(weights @ self.covariance @ weights))

    def fatness_spread(self, x: np.ndarray) -> float:
        """Standard deviation of `fatness` given what is known."""
        known = np.isfinite(x)
        _, root = self._given(known)
        weights = self._skinfolds()
        return float(
            np.linalg.norm(weights[~known] @ root) / np.sqrt(weights @ self.covariance @ weights)
        )

    def muscularity(self, x: np.ndarray) -> float:
        """z-score of the mass that stature, age, waist and skinfolds leave unexplained; x complete."""
        explained = np.zeros((6, len(x)))
        for row, name in enumerate(("age", "age_squared", "soldier", "stature_cm", "waist_cm")):
            explained[row, _AT[name]] = 1.0
        explained[5] = self._skinfolds()
        mass = np.zeros(len(x))
        mass[_AT["weight_kg"]] = 1.0
        shared = explained @ self.covariance
        remaining = mass - np.linalg.solve(shared @ explained.T, shared @ mass) @ explained
        return float(remaining @ (x - self.mean) / np.sqrt(remaining @ self.covariance @ remaining))

    def _skinfolds(self) -> np.ndarray:
        weights = np.zeros(len(self.mean))
        for name in ("triceps_skinfold_mm", "subscapular_skinfold_mm"):
            weights[_AT[name]] = 0.5 / np.sqrt(self.covariance[_AT[name], _AT[name]])
        return weights


def fit_population(rows: np.ndarray, weights: np.ndarray, *, rounds: int = 300) -> Population:
    """Expectation maximisation of a joint normal distribution. rows (N, D) with NaN where unknown, weights (N,)."""
    known = np.isfinite(rows)
    patterns, member = np.unique(known, axis=0, return_inverse=True)
    mean = np.nansum(rows * weights[:, None], 0) / (known * weights[:, None]).sum(0)
    deviation = np.where(known, rows - mean, 0.0)
    # Start from the correlations of pairs that occur together; those that never do start uncorrelated.
    both = (known * weights[:, None]).T @ known
    covariance = (deviation * weights[:, None]).T @ deviation / np.maximum(both, 1.0)
    values, vectors = np.linalg.eigh(covariance)
    covariance = (vectors * values.clip(1e-6 * values.max())) @ vectors.T
    ridge = 1e-9 * np.diag(np.diag(covariance))
    for _ in range(rounds):
        filled = rows.copy()
        remaining = np.zeros_like(covariance)
        for p, seen in enumerate(patterns):
            own = member == p
            kk = covariance[np.ix_(seen, seen)] + ridge[np.ix_(seen, seen)]
            uk = covariance[np.ix_(~seen, seen)]
            slope = np.linalg.solve(kk, uk.T).T
            block = filled[own]
            block[:, ~seen] = mean[~seen] + (block[:, seen] - mean[seen]) @ slope.T
            filled[own] = block
            remaining[np.ix_(~seen, ~seen)] += weights[own].sum() * (covariance[np.ix_(~seen, ~seen)] - slope @ uk.T)
        mean = weights @ filled / weights.sum()
        centred = filled - mean
        covariance = ((centred * weights[:, None]).T @ centred + remaining) / weights.sum()
    return Population(mean, covariance)
