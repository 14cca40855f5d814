"""What is known before a body is fitted: how people's measurements go together, and how bodies of the recipe vary.

Both come packaged in prior.npz. `models.fit.build_prior` makes that file.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from models.errors import ModelFileError
from models.fit.population import VARIABLES, Population

if TYPE_CHECKING:
    from models.body.data import BodyData

# Phenotypes of the recipe that a person's data speak of, and how exactly (SD) a body is asked to have them.
PHENOTYPES = {
    "gender": 0.05,
    "age": 0.02,
    "african": 0.15,
    "asian": 0.15,
    "muscle": 0.04,
    "pectorals": 0.15,
    "dorsi": 0.15,
    "v_shape": 0.15,
    "deltoid": 0.15,
    "thigh_muscle": 0.15,
    "calf_muscle": 0.15,
    "belly": 0.08,
    "stomach_slack": 0.15,
    "arm_fat": 0.15,
    "thigh_fat": 0.15,
}
REBUILD = "python -m models.fit.build_prior"


@dataclass
class ShapePrior:
    """Bodies of one sex: a joint normal distribution of betas (K) and PHENOTYPES (P). mean (K+P,), covariance."""

    mean: np.ndarray
    covariance: np.ndarray
    n_betas: int

    def given(self, phenotypes: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Mean (K,) and a square root (K, K) of the covariance of betas, for bodies with these phenotypes."""
        k = self.n_betas
        names = list(PHENOTYPES)
        at = [k + names.index(name) for name in phenotypes]
        noise = np.diag([PHENOTYPES[name] ** 2 for name in phenotypes])
        shared = self.covariance[:k, at]
        slope = np.linalg.solve(self.covariance[np.ix_(at, at)] + noise, shared.T).T
        mean = self.mean[:k] + slope @ (np.array(list(phenotypes.values())) - self.mean[at])
        return mean, self._root(tuple(at), slope @ shared.T)

    @functools.cached_property
    def _roots(self) -> dict[tuple[int, ...], np.ndarray]:
        return {}

    def _root(self, at: tuple[int, ...], explained: np.ndarray) -> np.ndarray:
        if at not in self._roots:
            k = self.n_betas
            rest = self.covariance[:k, :k] - explained
            values, vectors = np.linalg.eigh((rest + rest.T) / 2)
            self._roots[at] = vectors * np.sqrt(values.clip(1e-4))
        return self._roots[at]

    def muscle(self, betas: np.ndarray) -> np.ndarray:
        """The muscle phenotype that betas (N, K) lead to expect."""
        k = self.n_betas
        row = k + list(PHENOTYPES).index("muscle")
        slope = np.linalg.solve(self.covariance[:k, :k], self.covariance[:k, row])
        return self.mean[row] + (betas - self.mean[:k]) @ slope


@dataclass(frozen=True)
class Prior:
    """population and shape by sex."""

    population: dict[str, Population]
    shape: dict[str, ShapePrior]


def fingerprint(body: BodyData) -> str:
    """What tells one body model's betas from another's."""
    content = np.concatenate([body.v_template.ravel(), np.asarray(body.shapedirs, float).ravel()]).astype(np.float32)
    return hashlib.sha256(content.tobytes()).hexdigest()[:16]


@functools.cache
def _stored() -> dict[str, np.ndarray]:
    with (
        resources.as_file(resources.files("models.fit") / "prior.npz") as path,
        np.load(path, allow_pickle=False) as stored,
    ):
        return dict(stored)


def load_prior(body: BodyData) -> Prior:
    """The prior for a body model: the packaged one for the open body it was made for, else betas of standard normal
    form.

    Raises ModelFileError where the packaged prior was made for another version of the open body.
    """
    stored = _stored()
    population = {
        sex: Population(stored[f"population_mean_{sex}"], stored[f"population_covariance_{sex}"]) for sex in "FM"
    }
    if tuple(stored["population_variables"].tolist()) != VARIABLES:
        raise ModelFileError("The packaged prior names other variables than this version.", remedy=f"Run `{REBUILD}`.")
    if body.kind != "open":
        k, p = body.n_betas, len(PHENOTYPES)
        shape = {sex: ShapePrior(np.zeros(k + p), np.eye(k + p), k) for sex in "FM"}
        return Prior(population, shape)
    if str(stored["body"]) != fingerprint(body):
        raise ModelFileError(
            f"The packaged prior was made for another version of the open body than '{body.name}'.",
            remedy=f"Rebuild it with `{REBUILD}`.",
        )
    k = body.n_betas
    shape = {sex: ShapePrior(stored[f"shape_mean_{sex}"], stored[f"shape_covariance_{sex}"], k) for sex in "FM"}
    return Prior(population, shape)
