"""Equality of the bias from moments, beside the test on the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest

from dashboards.selection import Manner, Rows, moments
from validation.errors import NotEnoughData
from validation.fairness import equal_bias, equal_means


@pytest.mark.parametrize("each", [1, 2])
def test_moments_say_the_same_as_the_rows(each: int) -> None:
    rng = np.random.default_rng(5)
    n = 120
    reference = rng.normal(30, 8, n)
    test = reference + rng.normal(0.4, 3, n)
    subject = np.arange(n) // each
    labels = rng.integers(0, 3, n // each)[subject]
    rows = Rows(reference, {"a": test}, subject, Manner())
    found = equal_means(moments(rows, "a", labels, ["x", "y", "z"]))
    names = np.array(["x", "y", "z"])[labels]
    expected = equal_bias(test, reference, names, subject=subject)
    assert found.p_value == pytest.approx(expected.p_value, rel=1e-9)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
    for name, item in expected.means.items():
        assert float(found.means[name]) == pytest.approx(float(item), rel=1e-9)


def test_one_group_cannot_be_compared() -> None:
    with pytest.raises(NotEnoughData):
        equal_means({"x": (0.0, 1.0, 20)})
