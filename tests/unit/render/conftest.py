"""What the tests of the renderer share: the open body, some builds, simple meshes with known pictures."""

from __future__ import annotations

import numpy as np
import pytest

from models.body.data import BodyData
from models.body.files import open_body
from models.render.hair import _sphere


@pytest.fixture(scope="session")
def body() -> BodyData:
    return open_body()


@pytest.fixture(scope="session")
def builds(body: BodyData) -> np.ndarray:
    """(6, K) betas: the mean, and five that differ in all directions, well inside the span."""
    rng = np.random.default_rng(5)
    low, high = body.span
    drawn = np.clip(rng.normal(0, 1, (5, body.n_betas)), 0.6 * low, 0.6 * high)
    return np.vstack([np.zeros(body.n_betas), drawn])


@pytest.fixture(scope="session")
def sphere() -> tuple[np.ndarray, np.ndarray]:
    """A fine unit sphere around 0, vertices and faces."""
    return _sphere(96, 160)


@pytest.fixture(scope="session")
def cube() -> tuple[np.ndarray, np.ndarray]:
    """A cube of side 1 around 0."""
    from models.render.background import _cube

    return _cube()
