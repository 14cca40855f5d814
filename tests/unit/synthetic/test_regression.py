"""The sinh-arcsinh regression that the synthetic cohort is drawn from."""

import numpy as np
import pytest
from scipy import stats

from studies.synthetic.regression import Regression, design, fit, fit_logistic, inverse, transform


@pytest.fixture
def people():
    rng = np.random.default_rng(5)
    n = 4_000
    return {
        "age": rng.uniform(18, 80, n),
        "ethnicity": rng.choice(np.array(["other", "non_hispanic_white"], dtype=object), n),
    }


TRUTH = Regression(
    column="arm_cm",
    scale="log",
    location={"1": 3.4, "age": 0.05, "ethnicity=other*age": -0.1},
    log_sigma={"1": -2.0, "age": 0.3},
    epsilon=0.3,
    delta=0.8,
)


def test_terms_are_products_of_powers_and_levels():
    data = {"age": np.array([45.0, 65.0]), "ethnicity": np.array(["other", "x"], dtype=object)}
    matrix = design(["1", "age^2", "ethnicity=other", "ethnicity=other*age"], data)
    np.testing.assert_array_equal(matrix, [[1, 0, 1, 0], [1, 1, 0, 0]])


@pytest.mark.parametrize("scale", ["identity", "log", "logit", "logit 60"])
def test_every_scale_has_an_inverse(scale):
    values = np.array([2.0, 30.0, 59.0])
    np.testing.assert_allclose(inverse(transform(values, scale), scale), values, rtol=1e-12)


def test_fit_finds_the_parameters_that_drew_the_data(people):
    people["arm_cm"] = TRUTH.draw(people, np.random.default_rng(6).standard_normal(4_000))
    found = fit("arm_cm", people, scale="log", location=list(TRUTH.location), log_sigma=list(TRUTH.log_sigma))
    assert found.location == pytest.approx(TRUTH.location, abs=0.02)
    assert found.log_sigma == pytest.approx(TRUTH.log_sigma, abs=0.1)
    assert found.epsilon == pytest.approx(TRUTH.epsilon, abs=0.1)
    assert found.delta == pytest.approx(TRUTH.delta, abs=0.06)


def test_normal_data_give_normal_shape_and_least_squares(people):
    y = 30 + 2 * (people["age"] - 45) / 20 + np.random.default_rng(7).standard_normal(4_000)
    found = fit("y", {**people, "y": y}, scale="identity", location=["1", "age"])
    slope, intercept = np.polyfit((people["age"] - 45) / 20, y, 1)
    assert found.location == pytest.approx({"1": intercept, "age": slope}, abs=0.05)
    assert found.delta == pytest.approx(1.0, abs=0.06)
    assert found.epsilon == pytest.approx(0.0, abs=0.06)


def test_weights_count_rows(people):
    people["arm_cm"] = TRUTH.draw(people, np.random.default_rng(8).standard_normal(4_000))
    half = {name: values[:500] for name, values in people.items()}
    twice = {name: np.concatenate([values, values]) for name, values in half.items()}
    once = fit("arm_cm", half, scale="log", location=["1", "age"])
    shared = fit("arm_cm", twice, scale="log", location=["1", "age"], weights=np.full(1_000, 0.5))
    assert shared.location == pytest.approx(once.location, abs=1e-4)


def test_median_deviate_without_skewness_is_the_location(people):
    plain = Regression("arm_cm", "log", TRUTH.location, TRUTH.log_sigma, epsilon=0.0, delta=0.8)
    np.testing.assert_allclose(plain.draw(people, np.zeros(4_000)), np.exp(plain.mu(people)))


def test_drawing_leaves_room_for_noise():
    rng = np.random.default_rng(9)
    n = 200_000
    people = {"age": np.full(n, 45.0), "ethnicity": np.full(n, "other", dtype=object)}
    model = Regression("body_fat_percent", "logit", {"1": -0.5}, {"1": -2.5}, epsilon=0.0, delta=1.0)
    whole = model.draw(people, rng.standard_normal(n))
    person = model.draw(people, rng.standard_normal(n), noise_sd=1.0)
    assert person.std() < whole.std() - 0.1
    assert (person + rng.standard_normal(n)).std() == pytest.approx(whole.std(), rel=0.01)


def test_logistic_regression_finds_its_coefficients(people):
    chance = stats.logistic.cdf(-1.0 + 0.8 * (people["age"] - 45) / 20)
    outcome = np.random.default_rng(10).random(4_000) < chance
    found = fit_logistic(outcome, people, ["1", "age"], np.ones(4_000))
    assert found == pytest.approx({"1": -1.0, "age": 0.8}, abs=0.15)


def test_document_and_back():
    assert Regression.from_dict(TRUTH.to_dict()) == TRUTH
