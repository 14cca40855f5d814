"""Bodies to measure."""

from __future__ import annotations

import numpy as np
import pytest

from models.body.data import BodyData
from models.body.files import open_body


@pytest.fixture(scope="session")
def body() -> BodyData:
    return open_body()


@pytest.fixture(scope="session")
def some_betas(body: BodyData) -> np.ndarray:
    """Betas (12, K) of very different bodies."""
    return np.clip(np.random.default_rng(4).normal(0, 1.0, (12, body.n_betas)), -2.2, 2.2)


@pytest.fixture(scope="session")
def some_bodies(body: BodyData, some_betas: np.ndarray) -> np.ndarray:
    return body.shaped(some_betas)
