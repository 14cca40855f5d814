"""Bodies read from files of SMPL's and SMPL-X's layout are measured like the open body, and found from measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.body.data import BodyData
from models.body.files import load_body
from models.fit import fit_bodies
from models.measure import MEASUREMENTS, measure

pytest.importorskip("smplx")


@pytest.fixture(params=["smpl_arrays", "smplx_arrays"])
def genuine(request: pytest.FixtureRequest, tmp_path: Path) -> BodyData:
    path = tmp_path / "model.npz"
    np.savez(path, **request.getfixturevalue(request.param))
    return load_body(path)


def test_other_layouts_measure_as_the_open_body_does(body: BodyData, genuine: BodyData) -> None:
    """The same bodies with half to four fifths of the vertices, and joints taken of other ones."""
    k = min(body.n_betas, genuine.n_betas)
    rng = np.random.default_rng(0)
    here, there = np.zeros((4, body.n_betas)), np.zeros((4, genuine.n_betas))
    here[:, :k] = there[:, :k] = rng.normal(0, 0.8, (4, k))
    expected, got = measure(body.shaped(here), body), measure(genuine.shaped(there), genuine)
    for name in MEASUREMENTS:
        # Just under the gluteal fold the thigh widens fast, and where that is depends on the joints.
        assert got[name] == pytest.approx(expected[name], rel=0.08 if name == "upper_thigh_cm" else 0.04), name


def test_bodies_of_other_layouts_have_the_measurements_asked_for(genuine: BodyData) -> None:
    people = {"sex": ["M", "F"], "age": [30, 50], "stature_cm": [178, 165], "weight_kg": [80, 65], "waist_cm": [88, 78]}
    got = fit_bodies(people, genuine, seed=0)
    for i, problem in enumerate(got.problems):
        assert got.within_tolerance[i] or problem is not None
    if genuine.n_betas > 10:
        assert got.within_tolerance.all(), got.problems
