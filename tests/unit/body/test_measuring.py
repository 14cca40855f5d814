"""Bodies read from files of SMPL's and SMPL-X's layout are measured like the open body, and found from measurements."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial import cKDTree

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
    """The same bodies with half to four fifths of the vertices; their joints are set where the open body has them."""
    _, nearest = cKDTree(genuine.v_template).query(body.v_template)
    open_joints = sparse.coo_array(body.joint_regressor)
    place = (open_joints.coords[0], nearest[open_joints.coords[1]])
    joints = sparse.csr_array((open_joints.data, place), shape=(24, genuine.n_vertices))
    other = dataclasses.replace(genuine, joint_regressor=joints)
    k = min(body.n_betas, other.n_betas)
    here, there = np.zeros((4, body.n_betas)), np.zeros((4, other.n_betas))
    here[:, :k] = there[:, :k] = np.random.default_rng(0).normal(0, 0.8, (4, k))
    expected, got = measure(body.shaped(here), body), measure(other.shaped(there), other)
    for name in MEASUREMENTS:
        assert got[name] == pytest.approx(expected[name], rel=0.04), name


def test_bodies_of_other_layouts_have_the_measurements_asked_for(genuine: BodyData) -> None:
    people = {"sex": ["M", "F"], "age": [30, 50], "stature_cm": [178, 165], "weight_kg": [80, 65], "waist_cm": [88, 78]}
    got = fit_bodies(people, genuine, seed=0)
    for i, problem in enumerate(got.problems):
        assert got.within_tolerance[i] or problem is not None
    if genuine.n_betas > 10:
        assert got.within_tolerance.all(), got.problems
