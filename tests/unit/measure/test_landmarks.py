"""Landmarks lie where anatomy has them, on any topology, and what has none is refused."""

from __future__ import annotations

import dataclasses
import gc
import weakref

import numpy as np
import pytest
import scipy.sparse as sp
import trimesh

from models.body.data import BodyData
from models.errors import BodyRequestError, ModelFileError
from models.measure import MEASUREMENTS, find_landmarks, landmarks, measure


def test_landmarks_lie_at_the_heights_of_people(body: BodyData) -> None:
    """Heights as shares of stature: ANSUR II's means of men and women, and two and a half of their SDs around."""
    marks = find_landmarks(body)
    points = marks.points @ body.v_template
    floor, stature = body.v_template[:, 1].min(), np.ptp(body.v_template[:, 1])
    height = {name: (points[i][1] - floor) / stature for i, name in enumerate(marks.names)}
    assert height["crotch"] == pytest.approx(0.481, abs=0.036)
    assert height["bust"] == pytest.approx(0.727, abs=0.030)
    assert height["buttock"] == pytest.approx(0.508, abs=0.040)
    assert height["left acromion"] == pytest.approx(0.820, abs=0.024)
    waist, navel = marks.fractions[1], marks.fractions[2]
    hips, neck = height["hips"], height["neck"]
    assert hips + waist * (neck - hips) == pytest.approx(0.608, abs=0.032)
    assert hips + navel * (neck - hips) == pytest.approx(0.602, abs=0.033)


def test_sides_are_alike_on_a_symmetric_body(body: BodyData) -> None:
    marks = find_landmarks(body)
    points = marks.points @ body.v_template
    left, right = (points[marks.names.index(f"{side} acromion")] for side in ("left", "right"))
    assert left == pytest.approx(right * [-1, 1, 1], abs=1e-4)
    for name in ("bust", "buttock", "hips", "neck"):
        assert points[marks.names.index(name)][0] == pytest.approx(0, abs=1e-4)


def finer(body: BodyData) -> BodyData:
    """Each face cut into four, and the vertices in another order: 53,000 of them, with 3 times more edges."""
    rng = np.random.default_rng(0)
    edges = np.sort(body.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, number = np.unique(edges, axis=0, return_inverse=True)
    middle = number.reshape(-1, 3) + body.n_vertices
    a, b, c = body.faces.T
    ab, bc, ca = middle.T
    faces = np.concatenate([np.stack(f, 1) for f in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    order = rng.permutation(body.n_vertices + len(unique))  # new number of each vertex

    def extended(values: np.ndarray) -> np.ndarray:
        values = np.asarray(values)
        both = np.concatenate([values, values[unique].mean(axis=1)])
        out = np.empty_like(both)
        out[order] = both
        return out

    regressor = sp.coo_array(body.joint_regressor)
    return dataclasses.replace(
        body,
        name="finer",
        v_template=extended(body.v_template),
        shapedirs=extended(body.shapedirs),
        weights=extended(body.weights),
        faces=order[faces],
        joint_regressor=sp.csr_array(
            (regressor.data, (regressor.coords[0], order[regressor.coords[1]])), shape=(24, len(order))
        ),
    )


def coarser(body: BodyData) -> BodyData:
    """Vertices within a grid of 15 mm joined: about as many as SMPL has, with faces of another shape."""
    cells = np.floor(body.v_template / 0.015).astype(int)
    _, cluster = np.unique(cells, axis=0, return_inverse=True)
    n = cluster.max() + 1
    assert 4000 < n < 9000
    member = sp.csr_array((np.ones(len(cluster)), (cluster, np.arange(len(cluster)))), shape=(n, len(cluster)))
    mean = sp.diags_array(1 / member.sum(axis=1)) @ member
    faces = cluster[body.faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    return dataclasses.replace(
        body,
        name="coarser",
        v_template=mean @ body.v_template,
        shapedirs=(mean @ body.shapedirs.reshape(len(cluster), -1)).reshape(n, 3, -1),
        weights=(mean @ body.weights).astype(np.float32),
        faces=faces,
        joint_regressor=sp.csr_array(body.joint_regressor @ member.T),
    )


def test_a_finer_topology_measures_the_same(body: BodyData, some_betas: np.ndarray) -> None:
    other = finer(body)
    here, there = measure(body.shaped(some_betas[:4]), body), measure(other.shaped(some_betas[:4]), other)
    for name in MEASUREMENTS:
        # Parts end at skinning weights of one half, which a finer mesh follows more closely.
        assert there[name] == pytest.approx(here[name], rel=3e-3), name


def test_a_coarser_topology_measures_nearly_the_same(body: BodyData, some_betas: np.ndarray) -> None:
    other = coarser(body)
    here, there = measure(body.shaped(some_betas[:4]), body), measure(other.shaped(some_betas[:4]), other)
    for name in MEASUREMENTS:
        # The bust point moves by up to a cell of the grid, and the chest with it.
        assert there[name] == pytest.approx(here[name], rel=0.055 if name == "chest_cm" else 0.035), name


def test_a_model_without_the_skeleton_is_refused(body: BodyData) -> None:
    class Stub:
        name = "stub"
        v_template, weights, parents, faces = body.v_template, body.weights[:, :10], body.parents[:10], body.faces
        joint_regressor = sp.csr_array(body.joint_regressor.toarray()[:10])

    with pytest.raises(ModelFileError, match="has 10 joints"):
        find_landmarks(Stub())


def test_a_model_that_does_not_stand_is_refused(body: BodyData) -> None:
    lying = dataclasses.replace(body, name="lying", v_template=body.v_template[:, [1, 0, 2]])
    with pytest.raises(ModelFileError, match="where one is expected"):
        find_landmarks(lying)


def test_other_topologies_vertices_are_refused(body: BodyData, some_bodies: np.ndarray) -> None:
    with pytest.raises(BodyRequestError, match=r"have the shape \(6890, 3\)"):
        measure(some_bodies[0][:6890], body)
    with pytest.raises(BodyRequestError, match="have the shape"):
        measure(some_bodies[..., :2], body)


def test_vertices_that_are_not_finite_are_refused(body: BodyData, some_bodies: np.ndarray) -> None:
    broken = some_bodies[:3].copy()
    broken[1, 77, 2] = np.nan
    with pytest.raises(BodyRequestError, match="Body 1 has vertices that are not finite"):
        measure(broken, body)


def test_a_lying_body_is_refused(body: BodyData, some_bodies: np.ndarray) -> None:
    turned = trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])[:3, :3]
    with pytest.raises(BodyRequestError, match="Body 0 does not stand upright"):
        measure(some_bodies[0] @ turned.T, body)


def test_a_body_may_go_when_the_modules_are_torn_down(body: BodyData, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the interpreter ends: the module's names are gone by then."""
    mine = dataclasses.replace(body)
    gone = weakref.ref(mine)
    find_landmarks(mine)
    monkeypatch.setattr(landmarks, "_KNOWN", None)
    del mine
    gc.collect()  # what is raised here would be a warning, and so an error
    assert gone() is None
