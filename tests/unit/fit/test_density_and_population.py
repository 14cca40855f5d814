"""Density by published equations, and the joint distribution that says what to expect of people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import models.fit
from models.body.files import open_body
from models.fit.density import body_density, expected_body_fat
from models.fit.population import MEASURED, VARIABLES, Population, coordinates, fit_population
from models.fit.prior import load_prior


def test_expected_body_fat_is_gallaghers() -> None:
    """Computed by hand from the printed equation."""
    assert expected_body_fat("F", 40, 25.0) == pytest.approx(64.5 - 33.92 + 3.16)
    assert expected_body_fat("M", 40, 25.0) == pytest.approx(64.5 - 33.92 + 3.16 - 16.4 + 2.0 + 1.56)
    assert expected_body_fat("M", 20, 12.0) == 3.0  # by the equation it would be less than none


def test_density_is_siris() -> None:
    fat = expected_body_fat("M", 40, 25.0)
    assert 495 / body_density("M", 40, 25.0) - 450 == pytest.approx(fat)


def test_density_falls_with_bmi_and_age_and_is_lower_in_women() -> None:
    bmi = np.arange(16, 70, 2.0)
    for sex in "FM":
        density = body_density(sex, 40, bmi)
        assert (np.diff(density) <= 0).all()
        assert ((density > 0.96) & (density < 1.10)).all()
    assert (body_density("F", 40, bmi[1:]) < body_density("M", 40, bmi[1:])).all()
    assert body_density("M", 70, 25) < body_density("M", 20, 25)


def test_density_takes_arrays_and_refuses_other_codes_of_sex() -> None:
    got = body_density(np.array(["F", "M"]), np.array([30, 30]), np.array([22.0, 22.0]))
    assert got.shape == (2,)
    with pytest.raises(ValueError, match="'F' or 'M'"):
        body_density("female", 30, 22)


def normal(d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d)) / np.sqrt(d)
    return rng.normal(size=d), root @ root.T + 0.2 * np.eye(d)


def test_conditioning_is_that_of_the_joint_normal_distribution() -> None:
    d = len(VARIABLES)
    mean, covariance = normal(d, 0)
    population = Population(mean, covariance)
    x = np.random.default_rng(1).normal(size=d)
    x[[3, 7, 8, 12]] = np.nan
    precision = np.linalg.inv(covariance)
    unknown, known = np.isnan(x), ~np.isnan(x)
    block = precision[np.ix_(unknown, unknown)]
    expected = mean[unknown] - np.linalg.solve(block, precision[np.ix_(unknown, known)] @ (x[known] - mean[known]))
    assert population.expected(x)[unknown] == pytest.approx(expected)
    assert population.spread(x)[unknown] == pytest.approx(np.sqrt(np.diag(np.linalg.inv(block))))
    rng = np.random.default_rng(2)
    drawn = np.array([population.drawn(x, rng.standard_normal(d)) for _ in range(4000)])
    assert np.array_equal(drawn[0][known], x[known])
    z = (drawn[:, unknown] - expected) / population.spread(x)[unknown]
    assert np.abs(z.mean(0)).max() < 0.08
    assert stats.kstest(z[:, 0], "norm").pvalue > 1e-3


def test_the_distribution_is_found_again_from_rows_with_gaps() -> None:
    d = len(VARIABLES)
    mean, covariance = normal(d, 3)
    rng = np.random.default_rng(4)
    people = rng.multivariate_normal(mean, covariance, size=20_000)
    only_others = [VARIABLES.index(n) for n in ("hip_cm", "chest_cm", "calf_cm", "neck_cm", "leg_length_cm")]
    only_others.append(VARIABLES.index("shoulder_breadth_cm"))
    here = people[:10_000].copy()
    here[:, only_others] = np.nan
    for column in (5, 6, 14, 15):
        here[rng.random(10_000) < 0.25, column] = np.nan
    found = fit_population(here, np.ones(10_000), people[10_000:])
    both = [i for i in range(d) if i not in only_others]
    assert found.mean == pytest.approx(mean, abs=0.06)
    assert found.covariance[np.ix_(both, both)] == pytest.approx(covariance[np.ix_(both, both)], abs=0.08)
    # What the others have depends on the rest through age, stature, mass and waist, as theirs does.
    on = [VARIABLES.index(name) for name in ("age", "age_squared", "stature_cm", "weight_kg", "waist_cm")]
    slope = np.linalg.solve(covariance[np.ix_(on, on)], covariance[np.ix_(on, only_others)])
    got = np.linalg.solve(found.covariance[np.ix_(on, on)], found.covariance[np.ix_(on, only_others)])
    assert got == pytest.approx(slope, abs=0.08)


def test_fatness_follows_skinfolds_and_muscularity_runs_against_them() -> None:
    population = load_prior(open_body()).population["M"]
    person = {"age": 40, "stature_cm": 177, "weight_kg": 82, "waist_cm": 94, "arm_cm": 33, "thigh_cm": 53}
    scores = [
        population.composition(
            coordinates({**person, "triceps_skinfold_mm": triceps, "subscapular_skinfold_mm": 1.4 * triceps})
        )
        for triceps in (6, 9, 12, 18, 27)
    ]
    fatness, muscularity = np.array(scores).T
    assert (np.diff(fatness) > 0).all()
    assert (np.diff(muscularity) < 0).all()
    assert abs(fatness[2]) < 1 > abs(muscularity[2])
    without = population.composition(coordinates(person))
    assert fatness[1] < without[0] < fatness[4]
    heavier = population.composition(coordinates({**person, "weight_kg": 95}))
    assert heavier[1] > without[1]  # more mass at the same stature and waist


@pytest.mark.parametrize("sex", ["F", "M"])
def test_scores_do_not_drift_with_bmi(sex: str) -> None:
    """Usual people of any BMI have usual muscularity; their fatness rises all the way, whatever calipers can open."""
    population = load_prior(open_body()).population[sex]
    stature = 162 if sex == "F" else 176
    scores = []
    for bmi in (19, 23, 27, 31, 36, 42):
        known = {"age": 45, "stature_cm": stature, "weight_kg": bmi * (stature / 100) ** 2}
        scores.append(population.composition(population.expected(coordinates(known))))
    fatness, muscularity = np.array(scores).T
    assert (np.diff(fatness) > 0.2).all()
    assert np.abs(muscularity).max() < 1


def test_the_packaged_prior_is_small_and_complete() -> None:
    path = Path(models.fit.__file__).with_name("prior.npz")
    assert path.stat().st_size <= 0.5e6
    prior = load_prior(open_body())
    for sex in "FM":
        assert prior.population[sex].covariance.shape == (len(VARIABLES),) * 2
        assert np.linalg.eigvalsh(prior.population[sex].covariance).min() > 0
        mean = prior.population[sex].mean
        typical = {name: float(np.exp(mean[VARIABLES.index(name)])) for name in MEASURED}
        assert 158 < typical["stature_cm"] < 180
        assert 80 < typical["waist_cm"] < 105
        assert prior.shape[sex].mean.shape[0] > open_body().n_betas
