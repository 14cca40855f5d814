"""The tape against other software, and what must hold of it for every body."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import ConvexHull, QhullError

from models.body.data import BodyData
from models.body.files import open_body
from models.measure import GIRTHS, MEASUREMENTS, ShapeGauge, find_landmarks, measure, tape, tape_lines

LENGTHS = [name for name in MEASUREMENTS if name.endswith("_cm")]
betas_of_people = arrays(float, open_body().n_betas, elements=st.floats(-2, 2, width=32))


def parts(body: BodyData) -> dict[str, np.ndarray]:
    """Which vertices belong to trunk, right leg and right arm, by the skinning weights alone."""
    weights = np.asarray(body.weights)
    left, right = (weights[:, joints].sum(1) for joints in ([1, 4, 7, 10], [2, 5, 8, 11]))
    arms = weights[:, [16, 17, 18, 19, 20, 21, 22, 23]].sum(1) >= 0.5
    right_arm = weights[:, [17, 19, 21, 23]].sum(1) > 0.5
    return {"leg": ~arms & (right > 0.1) & (right > left), "arm": right_arm, "trunk": ~arms}


def part_of(girth: str) -> str:
    return {"thigh_cm": "leg", "upper_thigh_cm": "leg", "calf_cm": "leg", "arm_cm": "arm"}.get(girth, "trunk")


@settings(deadline=None)
@given(arrays(float, st.tuples(st.integers(3, 40), st.just(2)), elements=st.floats(-3, 3).map(lambda x: round(x, 2))))
def test_the_hull_is_as_long_as_qhulls(points: np.ndarray) -> None:
    try:
        expected = ConvexHull(points).area
    except QhullError:  # all on one line
        return
    hull = points[tape.convex_hull(points)]
    assert np.linalg.norm(hull - np.roll(hull, 1, axis=0), axis=1).sum() == pytest.approx(expected, abs=1e-9)


def test_girths_agree_with_sections_by_trimesh(body: BodyData, some_bodies: np.ndarray) -> None:
    """Every girth within 0.1 mm of the hull of trimesh's section of the whole body part."""
    part = parts(body)
    marks = find_landmarks(body)
    for vertices in some_bodies[:6]:
        measured = measure(vertices, body)
        points = marks.points @ vertices
        longest = dict.fromkeys(GIRTHS, 0.0)
        for p in range(len(marks.planes)):
            name = GIRTHS[marks.girth_of[p]]
            faces = body.faces[part[part_of(name)][body.faces].all(axis=1)]
            origin, normal = tape.plane_of(points, marks.planes[p], marks.fractions[p], marks.upright[p])
            section = trimesh.Trimesh(vertices, faces, process=False).section(normal, origin)
            corners = np.asarray(section.vertices)
            if name == "neck_cm":  # the plane of the neck also cuts the jaw or the shoulders of some bodies
                corners = corners[np.linalg.norm(corners - origin, axis=1) < 0.13]
            u = np.cross(normal, [1.0, 0, 0])
            flat = (corners - origin) @ np.stack([u, np.cross(normal, u)], axis=1)
            longest[name] = max(longest[name], ConvexHull(flat / np.linalg.norm(u)).area)
        for name in GIRTHS:
            assert measured[name] == pytest.approx(longest[name] * 100, abs=0.01), name


def test_volume_and_area_agree_with_trimesh(body: BodyData, some_bodies: np.ndarray) -> None:
    measured = measure(some_bodies[:4], body)
    for i, vertices in enumerate(some_bodies[:4]):
        mesh = trimesh.Trimesh(vertices, body.faces, process=False)
        assert measured["volume_l"][i] == pytest.approx(mesh.volume * 1000, rel=1e-9)
        assert measured["surface_area_m2"][i] == pytest.approx(mesh.area, rel=1e-9)


def test_the_tape_looks_far_enough(body: BodyData) -> None:
    """The neighbourhood in which a tape looks for edges holds every edge of the part that its plane cuts."""
    rng = np.random.default_rng(9)
    part = parts(body)
    marks = find_landmarks(body)
    edges = np.unique(
        np.sort(np.concatenate([body.faces[:, [0, 1]], body.faces[:, [1, 2]], body.faces[:, [2, 0]]]), axis=1), axis=0
    )
    whole = {name: np.ascontiguousarray(edges[inside[edges].all(axis=1)]) for name, inside in part.items()}
    for vertices in body.shaped(np.clip(rng.normal(0, 1.3, (60, body.n_betas)), -3, 3)):
        points = marks.points @ vertices
        for p in range(len(marks.planes)):
            name = GIRTHS[marks.girth_of[p]]
            if name == "neck_cm":
                continue
            origin, normal = tape.plane_of(points, marks.planes[p], marks.fractions[p], marks.upright[p])
            near, _, _ = tape.tape_line(vertices, marks.edges[marks.offsets[p] : marks.offsets[p + 1]], origin, normal)
            far, _, _ = tape.tape_line(vertices, whole[part_of(name)], origin, normal)
            assert tape.closed_length(near) == pytest.approx(tape.closed_length(far), abs=1e-6), name


@settings(max_examples=15, deadline=None)
@given(betas_of_people, st.floats(0.6, 1.6), st.tuples(*[st.floats(-3, 3)] * 3))
def test_measurements_scale_and_do_not_depend_on_place(
    betas: np.ndarray, scale: float, place: tuple[float, ...]
) -> None:
    body = open_body()
    vertices = body.shaped(betas[None])[0]
    plain = measure(vertices, body)
    moved = measure(vertices * scale + place, body)
    power = {"cm": 1, "m²": 2, "l": 3, "1": 0}
    for name, definition in MEASUREMENTS.items():
        assert moved[name] == pytest.approx(plain[name] * scale ** power[definition.unit], rel=1e-6), name


@settings(max_examples=15, deadline=None)
@given(betas_of_people)
def test_a_mirrored_body_measures_the_same(betas: np.ndarray) -> None:
    """The mirror image of a body, whose right side is then its left, and which is turned inside out."""
    body = open_body()
    vertices = body.shaped(betas[None])[0]
    plain, mirrored = measure(vertices, body), measure(vertices * [-1, 1, 1], body)
    for name in MEASUREMENTS:
        assert mirrored[name] == pytest.approx(plain[name], rel=1e-9), name


@settings(max_examples=10, deadline=None)
@given(betas_of_people, st.floats(0.001, 0.02))
def test_every_girth_grows_with_the_layer_under_the_skin(betas: np.ndarray, thickness: float) -> None:
    body = open_body()
    vertices = body.shaped(betas[None])[0]
    normals = trimesh.Trimesh(vertices, body.faces, process=False).vertex_normals
    thin, thick = measure(vertices, body), measure(vertices + thickness * normals, body)
    for name in (*GIRTHS, "volume_l"):
        assert thick[name] > thin[name], name


@settings(max_examples=8, deadline=None)
@given(betas_of_people)
def test_the_gauge_measures_as_the_tape_does(betas: np.ndarray) -> None:
    body = open_body()
    gauge = _gauge()
    values = gauge.values(betas)
    measured = measure(body.shaped(betas[None])[0], body)
    for name, value in values.items():
        assert value == pytest.approx(float(measured[name]), abs=2e-4), name


def test_the_gauges_derivatives_are_those_of_finite_differences(some_betas: np.ndarray) -> None:
    gauge = _gauge()
    step = 1e-6
    checked = 0
    for betas in some_betas[:4]:
        _, jacobian = gauge.values_and_jacobian(betas)
        for k in range(len(betas)):
            up, down = betas.copy(), betas.copy()
            up[k] += step
            down[k] -= step
            slope = (gauge.values_and_jacobian(up)[0] - gauge.values_and_jacobian(down)[0]) / (2 * step)
            # Where the tape or the calf's level just changes from one corner to the next, there is no derivative.
            checked += int((np.abs(slope - jacobian[:, k]) < 1e-4).sum())
    assert checked >= 0.998 * 4 * jacobian.size


@functools.cache
def _gauge() -> ShapeGauge:
    return ShapeGauge(open_body())


def test_tape_lines_are_as_long_as_the_girths(body: BodyData, some_bodies: np.ndarray) -> None:
    lines, measured = tape_lines(some_bodies[0], body), measure(some_bodies[0], body)
    assert set(lines) == set(GIRTHS)
    for name, line in lines.items():
        assert tape.closed_length(line) * 100 == pytest.approx(float(measured[name]), rel=1e-12)


def test_one_body_and_many_give_the_same(body: BodyData, some_bodies: np.ndarray) -> None:
    many = measure(some_bodies, body)
    for i in (0, 5):
        one = measure(some_bodies[i], body)
        assert list(one) == list(MEASUREMENTS)
        for name in MEASUREMENTS:
            assert one[name].shape == ()
            assert many[name].shape == (len(some_bodies),)
            assert one[name] == many[name][i]
