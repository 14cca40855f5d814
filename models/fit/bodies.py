"""`fit_bodies`: a body for every person of a table, from what a tape, a scale and a caliper say.

The reference of body composition is not among what is taken, and no coefficient here was made with it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import BodyRequestError
from models.fit.density import body_density
from models.fit.population import MEASURED, VARIABLES, Population, coordinates
from models.fit.prior import Prior, load_prior
from models.fit.request import ASKABLE, LABELS, Request, read_people
from models.fit.solver import Task, solve
from models.measure import tape
from models.measure.gauge import ShapeGauge
from models.measure.measurements import MEASUREMENTS, measure

if TYPE_CHECKING:
    from models.body.data import BodyData

TOLERANCE = {"stature_cm": 0.2, "girth_cm": 0.5, "volume": 0.01}
"""Within which a fit is successful: stature and girths in cm, volume as a share."""

MOST_BETAS = 40
"""Of models other than the open body (SMPL-X files have 300 betas) no more are used; the others stay 0."""

MISSED_BY_FAR = 4.0
"""From this many tolerances on, the nearest body is not the person's, and the row is refused instead of flagged."""

# How exactly the solver asks for what was given: well inside the tolerances.
_STATURE_SD, _GIRTH_SD, _VOLUME_SD = 0.02, 0.05, 0.0008
# What was not given is drawn as people scatter, and then asked for this loosely (share of its value).
_LOOSE = 0.012
_LOOSE_BONY = 0.025
# The share of the recipe's own variety that a body keeps where nothing says anything, and the widest draw (SD).
VARIETY = 0.5
_WIDEST = 2.5
# What one z-score of muscularity moves in the recipe's phenotypes: where usual people lie, and the step. Beyond the
# widest score it moves nothing more, because the recipe's people end there.
_STEERED = {
    "muscle": (0.42, 0.22),
    "pectorals": (0.0, 0.12),
    "dorsi": (0.0, 0.12),
    "v_shape": (0.0, 0.12),
    "deltoid": (0.0, 0.12),
    "thigh_muscle": (0.0, 0.12),
    "calf_muscle": (0.0, 0.12),
    "belly": (0.14, -0.07),
    "stomach_slack": (0.0, -0.10),
    "arm_fat": (0.0, -0.12),
    "thigh_fat": (0.0, -0.12),
}
# How what was not given goes with muscularity, as correlations among people of the same stature, mass and waist. No
# data of girths and skinfolds of the same people are at hand for these; they are assumed, and moderate.
_WITH_MUSCLE = {"chest_cm": 0.5, "neck_cm": 0.4, "shoulder_breadth_cm": 0.3, "calf_cm": 0.3, "hip_cm": -0.2}
# Flagged from here on: SDs of plausible bodies that a body had to go, and SDs between one measurement and the others.
FAR_BODY, FAR_MEASUREMENT = 7.0, 5.0
_ETHNICITIES = (
    ("african", r"\b(black|african)\b"),
    ("asian", r"\b(asian|chinese|japanese|korean|filipino|vietnamese)\b"),
    ("caucasian", r"\b(white|caucasian|european)\b"),
)


@dataclass(frozen=True)
class FittedBodies:
    """N bodies. Rows whose request was refused have NaN everywhere and the reason in `problems`.

    betas (N, K) float32; measured: every measurement of `models.measure`, (N,) each; residuals: measured - asked by
    name, and `volume_l`, NaN where not asked; distance (N,): how many SDs of plausible bodies the request is away
    from the ordinary; fatness and muscularity (N,): z-scores that steered the body; problems: None, or "flagged: …"
    where the body is there but in doubt, or "refused: …".
    """

    betas: np.ndarray
    measured: dict[str, np.ndarray]
    residuals: dict[str, np.ndarray]
    distance: np.ndarray
    fatness: np.ndarray
    muscularity: np.ndarray
    problems: list[str | None] = field(default_factory=list)

    @property
    def refused(self) -> np.ndarray:
        """(N,) bool."""
        return np.array([p is not None and p.startswith("refused") for p in self.problems], bool)

    @property
    def flagged(self) -> np.ndarray:
        """(N,) bool."""
        return np.array([p is not None and p.startswith("flagged") for p in self.problems], bool)

    @property
    def within_tolerance(self) -> np.ndarray:
        """(N,) bool: whether everything that was asked is met within TOLERANCE."""
        out = ~self.refused
        for name, residual in self.residuals.items():
            limit = _limit(name, self.measured["volume_l"])
            out &= np.isnan(residual) | (np.abs(residual) <= limit)
        return out

    def __len__(self) -> int:
        return len(self.betas)


@dataclass(frozen=True)
class _Fitter:
    """What does not change from person to person. directions (K, 3 V) shape bodies one by one, without the threads of a
    matrix product, so that not even the last bit depends on who else is in the table."""

    body: BodyData
    gauge: ShapeGauge
    prior: Prior
    directions: np.ndarray


_KNOWN: dict[int, tuple[weakref.ref, _Fitter]] = {}


def _fitter(body: BodyData) -> _Fitter:
    known = _KNOWN.get(id(body))
    if known is not None and known[0]() is body:
        return known[1]
    used = body
    if body.kind != "open" and body.n_betas > MOST_BETAS:
        used = dataclasses.replace(
            body, shapedirs=np.ascontiguousarray(body.shapedirs[:, :, :MOST_BETAS]), span=body.span[:, :MOST_BETAS]
        )
    directions = np.ascontiguousarray(used.shapedirs.reshape(-1, used.n_betas).T)
    made = _Fitter(used, ShapeGauge(used), load_prior(used), directions)
    key = id(body)  # the callback holds the table itself: names are gone when the interpreter ends
    _KNOWN[key] = (weakref.ref(body, lambda _, known=_KNOWN: known.pop(key, None)), made)
    return made


def fit_bodies(people: Mapping[str, Any], body: BodyData, *, seed: int) -> FittedBodies:
    """Find the bodies of people.

    people: DataFrame or mapping of columns: sex ("F", "M"), age (years), stature_cm, weight_kg; any of ASKABLE (girths,
    leg length and shoulder breadth, cm) and of triceps_skinfold_mm and subscapular_skinfold_mm; ethnicity (any words);
    NaN means not given. `subject` names the person; without it the row's index does. Other columns are not looked at.

    What is given is met within TOLERANCE, or the row is flagged, or refused, and says by how much it is missed. What
    is not given varies at random as people do, by the seed and the person's name alone: the same person has the same
    body in every table.

    Raises BodyRequestError for a table that cannot be read; what is wrong with a single person is in `problems`.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise BodyRequestError("The seed must be a whole number from 0.")
    fitter = _fitter(body)
    requests = read_people(people)
    n = len(requests)
    betas = np.full((n, body.n_betas), np.nan, np.float32)
    columns = {name: np.full(n, np.nan) for name in MEASUREMENTS}
    residuals = {name: np.full(n, np.nan) for name in ("stature_cm", *ASKABLE, "volume_l")}
    distance, fatness, muscularity = (np.full(n, np.nan) for _ in range(3))
    problems: list[str | None] = [None] * n
    for i, request in enumerate(requests):
        if request.impossible:
            problems[i] = f"refused: {request.impossible}"
            continue
        fit = _fit_one(request, fitter, seed)
        outside = _outside_span(fit.betas, fitter.body)
        if outside:  # perhaps what was drawn at random took it there
            fit = _fit_one(request, fitter, seed, plain=True)
            outside = _outside_span(fit.betas, fitter.body)
        if outside:
            problems[i] = f"refused: {outside}"
            continue
        measured = measure(tape.shaped(body.v_template, fitter.directions, fit.betas.astype(np.float64)), body)
        missed = _missed(fit.asked, measured)
        problems[i] = missed or fit.doubt
        if missed and missed.startswith("refused"):
            continue
        betas[i] = 0.0
        betas[i, : len(fit.betas)] = fit.betas
        distance[i], fatness[i], muscularity[i] = fit.distance, fit.fatness, fit.muscularity
        for name, value in measured.items():
            columns[name][i] = value
        for name, value in fit.asked.items():
            residuals[name][i] = columns[name][i] - value
    return FittedBodies(betas, columns, residuals, distance, fatness, muscularity, problems)


@dataclass(frozen=True)
class _Fit:
    betas: np.ndarray
    asked: dict[str, float]
    distance: float
    fatness: float
    muscularity: float
    doubt: str | None


def _asked(request: Request) -> dict[str, float]:
    """Everything that the body must have: stature, the girths given, and the volume of the mass."""
    known = request.known
    bmi = known["weight_kg"] / (known["stature_cm"] / 100) ** 2
    asked = {name: known[name] for name in ("stature_cm", *ASKABLE) if name in known}
    return asked | {"volume_l": known["weight_kg"] / float(body_density(request.sex, known["age"], bmi))}


def _fit_one(request: Request, fitter: _Fitter, seed: int, *, plain: bool = False) -> _Fit:
    """plain: without random variety, and with little insistence on what was not given."""
    key = hashlib.blake2b(request.subject.encode(), digest_size=16).digest()
    rng = np.random.default_rng([seed, int.from_bytes(key, "little")])
    population, shape = fitter.prior.population[request.sex], fitter.prior.shape[request.sex]
    gauge = fitter.gauge
    x = coordinates(_as_population_knows(request.known))
    noise = rng.standard_normal(len(VARIABLES)).clip(-_WIDEST, _WIDEST)
    start = VARIETY * rng.standard_normal(gauge.n_betas).clip(-_WIDEST, _WIDEST)
    fatness, muscularity = population.composition(x)
    mean, root = shape.given(_phenotypes(request, muscularity))

    wanted = _asked(request)
    asked = dict(wanted)
    sd = dict.fromkeys(asked, _GIRTH_SD) | {
        "stature_cm": _STATURE_SD,
        "volume_l": _VOLUME_SD * asked["volume_l"],
    }
    if plain:
        noise, start = noise * 0, start * 0
    expected, drawn, spread = population.expected(x), population.drawn(x, noise), population.spread(x)
    for name in MEASURED:
        if name in asked or name not in gauge.names or _stands_for(name, asked):
            continue
        at, share = VARIABLES.index(name), _WITH_MUSCLE.get(name, 0.0)
        by_chance = np.sqrt(1 - share**2) * (drawn[at] - expected[at])
        by_muscle = share * spread[at] * np.clip(muscularity, -_WIDEST, _WIDEST)
        asked[name] = float(np.exp(expected[at] + by_chance + by_muscle))
        loose = _LOOSE_BONY if name in ("leg_length_cm", "shoulder_breadth_cm") else _LOOSE
        sd[name] = asked[name] * loose * (3 if plain else 1)
    task = Task(
        mean=mean,
        root=root,
        start=start,
        which=np.array([gauge.names.index(name) for name in asked]),
        asked=np.array(list(asked.values())),
        sd=np.array([sd[name] for name in asked]),
        own=np.array([name in request.known or name == "volume_l" for name in asked]),
    )
    solution = solve(gauge, task)
    doubt = _surprising(population, x) or _far(solution.distance)
    return _Fit(solution.betas.astype(np.float32), wanted, solution.distance, fatness, muscularity, doubt)


def _as_population_knows(known: dict[str, float]) -> dict[str, float]:
    """The population has one waist: the one at the navel stands for it where the other is not given."""
    if "waist_omphalion_cm" in known and "waist_cm" not in known:
        return known | {"waist_cm": known["waist_omphalion_cm"]}
    return known


def _stands_for(name: str, asked: dict[str, float]) -> bool:
    """Whether a girth close by was given, which says more than the population does."""
    near = {"waist_cm": "waist_omphalion_cm", "thigh_cm": "upper_thigh_cm"}
    return near.get(name) in asked


def _phenotypes(request: Request, muscularity: float) -> dict[str, float]:
    """What the recipe calls the person's sex, age, ethnicity and muscle. Ages are 25 years at 0 and 90 at 1."""
    score = float(np.clip(muscularity, -_WIDEST, _WIDEST))
    out = {"gender": 0.05 if request.sex == "M" else 0.95, "age": (request.known["age"] - 25) / 65}
    out |= {name: middle + step * score for name, (middle, step) in _STEERED.items()}
    return out | _ancestry(request.ethnicity)


@functools.cache
def _ancestry(ethnicity: str | None) -> dict[str, float]:
    if ethnicity is None:
        return {}
    found = [name for name, pattern in _ETHNICITIES if re.search(pattern, ethnicity.lower())]
    if not found or re.search(r"\bnon[- ]?(black|white|asian)", ethnicity.lower()):
        return {}
    return {name: float(name in found) / len(found) for name in ("african", "asian")}


def _surprising(population: Population, x: np.ndarray) -> str | None:
    """The measurement that fits least to the others, if it is too far from them."""
    given = [name for name in MEASURED if np.isfinite(x[VARIABLES.index(name)]) and name != "stature_cm"]
    far = {name: population.surprise(x, name) for name in given}
    worst = max(far, key=lambda name: abs(far[name]))
    if abs(far[worst]) <= FAR_MEASUREMENT:
        return None
    value = np.exp(x[VARIABLES.index(worst)])
    where = "above" if far[worst] > 0 else "below"
    return (
        f"flagged: the {LABELS[worst]} of {value:.1f} {worst.rsplit('_', 1)[1]} lies {abs(far[worst]):.1f} SD {where} "
        f"what the other measurements lead to expect. Check them and their units."
    )


def _far(distance: float) -> str | None:
    if distance <= FAR_BODY:
        return None
    return (
        f"flagged: the measurements ask for a body {distance:.1f} SD away from those the model knows for this sex and "
        f"age (flagged from {FAR_BODY:g})."
    )


def _outside_span(betas: np.ndarray, body: BodyData) -> str | None:
    span = body.span
    outside = (betas < span[0]) | (betas > span[1])
    if not outside.any():
        return None
    k = int(np.argmax(outside))
    return (
        f"the measurements ask for a body outside the span of the body model '{body.name}' (beta {k + 1} would be "
        f"{betas[k]:.2f}, of {span[0, k]:.2f} to {span[1, k]:.2f}). Check them; none is made rather than another one."
    )


def _limit(name: str, volume: np.ndarray | float) -> np.ndarray | float:
    if name == "volume_l":
        return TOLERANCE["volume"] * volume
    return TOLERANCE["stature_cm" if name == "stature_cm" else "girth_cm"]


def _missed(asked: dict[str, float], measured: dict[str, np.ndarray]) -> str | None:
    missed, worst = [], 0.0
    for name, value in asked.items():
        residual = float(measured[name] - value)
        share = abs(residual) / float(_limit(name, measured["volume_l"]))
        worst = max(worst, share)
        if share > 1:
            unit = "l" if name == "volume_l" else "cm"
            missed.append(f"{LABELS[name]} {value + residual:.1f} instead of {value:.1f} {unit}")
    if not missed:
        return None
    what = "refused" if worst > MISSED_BY_FAR else "flagged"
    return f"{what}: no body of the model has all that was asked; the nearest has " + ", ".join(missed) + "."
