"""How the measurements of people go together: a joint normal distribution by sex, of logarithms.

It says what to expect, and how widely people scatter, of any measurement given any others. Girths and skinfolds are
as they go together in adults of NHANES 1999–2000, fitted by expectation maximisation (Dempster, Laird and Rubin 1977)
because many lack one or the other. Chest, hip, calf, neck, leg length and shoulder breadth, which NHANES did not
take, follow from age, stature, mass and waist as in ANSUR II. No body composition by any instrument was read for it;
`build_prior` makes it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

# `heavy` is ln(BMI / 28) from 28 kg/m² on, else 0: above that, skinfolds no longer grow as they do below, because
# calipers do not open wider and the thickest folds are not taken.
CONTEXT = ("age", "age_squared", "heavy")
HEAVY_BMI = 28.0
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
_FOLDS = [_AT["triceps_skinfold_mm"], _AT["subscapular_skinfold_mm"]]
# What unexplained mass and thin skinfolds count for muscularity.
_BY_MASS, _BY_FOLDS = 0.5, 0.9


def coordinates(known: Mapping[str, float]) -> np.ndarray:
    """Known values of a person, by names of MEASURED and `age`, as a vector (D,) with NaN where unknown."""
    x = np.full(len(VARIABLES), np.nan)
    age = known["age"]
    x[:2] = age, (age - 45) ** 2 / 100
    for name in MEASURED:
        x[_AT[name]] = np.log(known.get(name, np.nan))
    x[_AT["heavy"]] = heaviness(known["stature_cm"], known["weight_kg"])
    return x


def heaviness(stature_cm: np.ndarray, weight_kg: np.ndarray) -> np.ndarray:
    """The variable `heavy`."""
    return np.maximum(np.log(weight_kg / (stature_cm / 100) ** 2 / HEAVY_BMI), 0.0)


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
        if name in ("stature_cm", "weight_kg"):
            without[_AT["heavy"]] = np.nan  # it says what they are
        return float((x[at] - self.expected(without)[at]) / self.spread(without)[at])

    def composition(self, x: np.ndarray) -> tuple[float, float]:
        """z-scores of fatness and muscularity of a person; x (D,) with NaN where unknown.

        `thicker` says how the skinfolds (the mean of their standardised logarithms), as far as they are known, differ
        from what everything else leads to expect, in SD of what is then still open. Fatness is what mass and girths
        lead to expect of the skinfolds, going on as in people who are not heavy, and what they are thicker.
        Muscularity is mass that stature, age, waist and those skinfolds leave unexplained and, counting more, what
        the skinfolds are thinner: the same girths and mass under thin skinfolds are muscle. Both have an SD of about
        1 among adults.
        """
        without = x.copy()
        without[_FOLDS] = np.nan
        open_ = self._fold_spread(without)
        thicker = self._folds(self.expected(x) - self.expected(without)) / open_
        without[_AT["heavy"]] = 0.0
        usual = self.expected(without)
        fatness = self._folds(usual - self.mean) + open_ * thicker
        return fatness, _BY_MASS * self._remaining_mass(usual) - _BY_FOLDS * thicker

    def with_fatness(self, fixed: Collection[str]) -> dict[str, float]:
        """How ln of each measurement goes with fatness among people who are alike in `fixed` (names of VARIABLES).

        Fatness is the mean of the standardised logarithms of both skinfolds, in SD among adults.
        """
        named = np.zeros((len(fixed) + 1, len(self.mean)))
        for row, name in enumerate(fixed):
            named[row, _AT[name]] = 1.0
        weights = self._fold_weights()
        named[-1] = weights / np.sqrt(weights @ self.covariance @ weights)
        shared = named @ self.covariance
        slope = np.linalg.solve(shared @ named.T, shared)[-1]
        return {name: float(slope[_AT[name]]) for name in MEASURED}

    def _folds(self, deviation: np.ndarray) -> float:
        """The mean of the standardised logarithms of both skinfolds, in SD, for a deviation (D,)."""
        weights = self._fold_weights()
        return float(weights @ deviation / np.sqrt(weights @ self.covariance @ weights))

    def _fold_weights(self) -> np.ndarray:
        weights = np.zeros(len(self.mean))
        for at in _FOLDS:
            weights[at] = 0.5 / np.sqrt(self.covariance[at, at])
        return weights

    def _fold_spread(self, x: np.ndarray) -> float:
        """SD of `_folds` given what is known in x."""
        _, root = self._given(np.isfinite(x))
        weights = self._fold_weights()
        open_ = np.linalg.norm(weights[~np.isfinite(x)] @ root)
        return float(open_ / np.sqrt(weights @ self.covariance @ weights))

    def _remaining_mass(self, x: np.ndarray) -> float:
        """z-score of ln mass given age, stature, waist and skinfolds; x complete."""
        explained = np.zeros((5, len(x)))
        for row, name in enumerate(("age", "age_squared", "stature_cm", "waist_cm")):
            explained[row, _AT[name]] = 1.0
        explained[4] = self._fold_weights()
        mass = np.zeros(len(x))
        mass[_AT["weight_kg"]] = 1.0
        shared = explained @ self.covariance
        remaining = mass - np.linalg.solve(shared @ explained.T, shared @ mass) @ explained
        return float(remaining @ (x - self.mean) / np.sqrt(remaining @ self.covariance @ remaining))


def fit_population(rows: np.ndarray, weights: np.ndarray, others: np.ndarray) -> Population:
    """The joint distribution of one sex.

    rows: (N, D) people of NHANES with the order of VARIABLES, NaN where unknown, weights (N,); others: (M, D) people of
    ANSUR II, for what no one of `rows` has.
    """
    here = np.isfinite(rows).any(axis=0)
    mean, covariance = _expectation_maximisation(rows[:, here], weights)
    on = [_AT[name] for name in ("age", "age_squared", "stature_cm", "weight_kg", "waist_cm")]
    design = np.column_stack([np.ones(len(others)), others[:, on]])
    target = others[:, ~here]
    slope, *_ = np.linalg.lstsq(design, target, rcond=None)
    scatter = np.cov((target - design @ slope).T)
    # Every variable as a linear function of those of `rows`, plus the scatter of what comes from `others`.
    d = rows.shape[1]
    linear = np.zeros((d, int(here.sum())))
    linear[here] = np.eye(int(here.sum()))
    linear[np.ix_(~here, [int(here[:at].sum()) for at in on])] = slope[1:].T
    constant = np.zeros(d)
    constant[~here] = slope[0]
    whole = linear @ covariance @ linear.T
    whole[np.ix_(~here, ~here)] += scatter
    return Population(constant + linear @ mean, whole)


def _expectation_maximisation(
    rows: np.ndarray, weights: np.ndarray, *, rounds: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a joint normal distribution. rows (N, D) with NaN where unknown, weights (N,)."""
    known = np.isfinite(rows)
    patterns, member = np.unique(known, axis=0, return_inverse=True)
    complete = rows[known.all(axis=1)]
    mean, covariance = complete.mean(axis=0), np.cov(complete.T)
    for _ in range(rounds):
        filled = rows.copy()
        remaining = np.zeros_like(covariance)
        for p, seen in enumerate(patterns):
            own = member == p
            kk, uk = covariance[np.ix_(seen, seen)], covariance[np.ix_(~seen, seen)]
            slope = np.linalg.solve(kk, uk.T).T
            block = filled[own]
            block[:, ~seen] = mean[~seen] + (block[:, seen] - mean[seen]) @ slope.T
            filled[own] = block
            remaining[np.ix_(~seen, ~seen)] += weights[own].sum() * (covariance[np.ix_(~seen, ~seen)] - slope @ uk.T)
        mean = weights @ filled / weights.sum()
        centred = filled - mean
        covariance = ((centred * weights[:, None]).T @ centred + remaining) / weights.sum()
    return mean, covariance
