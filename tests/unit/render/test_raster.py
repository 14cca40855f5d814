"""Silhouettes, depth and normals against what geometry says they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import BodyRequestError
from models.render.camera import Camera, phone_camera, project
from models.render.hair import _sphere
from models.render.pose import VIEWS, draw_pose
from models.render.raster import depth, normal_maps, normals, silhouette, silhouettes, vertex_normals, visibility

CAMERA = Camera((256, 192), 260.0, (0.0, 0.0, 2.5))


def test_a_sphere_covers_the_disc_of_its_tangent_cone(sphere: tuple) -> None:
    points, faces = sphere
    radius = 0.5
    seen = silhouette(points * radius, faces, CAMERA, supersample=4).sum() / 255
    disc = math.pi * (CAMERA.focal * radius / math.sqrt(2.5**2 - radius**2)) ** 2
    assert seen == pytest.approx(disc, rel=0.003)


def test_a_cube_covers_the_square_of_its_front(cube: tuple) -> None:
    points, faces = cube
    seen = silhouette(points * 0.6, faces, CAMERA)
    side = CAMERA.focal * 0.6 / (2.5 - 0.3)
    rows, columns = np.nonzero(seen)
    assert np.ptp(rows) + 1 == pytest.approx(side, abs=1)
    assert np.ptp(columns) + 1 == pytest.approx(side, abs=1)
    assert (seen > 0).sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


def test_the_depth_of_a_front_face_is_its_distance(cube: tuple) -> None:
    points, faces = cube
    seen = depth(points * 0.6, faces, CAMERA)
    assert seen[128, 96] == pytest.approx(2.2, rel=1e-6)
    assert np.isinf(seen[0, 0])


def test_depth_is_interpolated_with_perspective() -> None:
    # One large triangle, tilted so that its ends are at quite different depths.
    points = np.array([[-3.0, -0.5, 1.5], [3.0, -0.5, -4.0], [0.0, 3.0, -2.0]])
    seen = visibility(points, np.array([[0, 1, 2]]), CAMERA)
    rows, columns = np.nonzero(seen.ids >= 0)
    rays = np.stack([(columns + 0.5 - 96) / 260, -(rows + 0.5 - 128) / 260, -np.ones(len(rows))], axis=1)
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    away = (points[0] - [0, 0, 2.5]) @ normal / (rays @ normal)
    assert len(rows) > 5000
    assert 1 / seen.nearness[rows, columns] == pytest.approx(away, rel=2e-5)


def test_the_nearer_of_two_meshes_is_seen(sphere: tuple) -> None:
    points, faces = sphere
    both = np.vstack([points * 0.3 + [0, 0, -1], points * 0.2 + [0, 0, 0.5]])
    joined = np.vstack([faces, faces + len(points)])
    for order in (joined, joined[::-1]):
        assert depth(both, order, CAMERA)[128, 96] == pytest.approx(2.5 - 0.7, abs=1e-3)


def test_normals_of_a_sphere_point_away_from_its_middle(sphere: tuple) -> None:
    points, faces = sphere
    seen = normals(points * 0.5, faces, CAMERA)
    inside = seen.any(2)
    assert np.linalg.norm(seen[inside], axis=1) == pytest.approx(1, abs=1e-5)
    away = depth(points * 0.5, faces, CAMERA)
    rows, columns = np.nonzero(inside)
    along = away[rows, columns][:, None]
    place = np.stack([(columns + 0.5 - 96) / 260, -(rows + 0.5 - 128) / 260, -np.ones(len(rows))], axis=1) * along
    expected = (place + np.array([0, 0, 2.5])) / 0.5
    assert (seen[inside] * expected).sum(1).min() > 0.999


def test_normals_are_those_that_the_camera_sees(sphere: tuple) -> None:
    # A rolled camera sees the top of the ball aside.
    points, faces = sphere
    rolled = Camera((256, 192), 260.0, (0.0, 0.0, 2.5), roll=math.pi / 2)
    straight, turned = (normals(points * 0.3, faces, camera) for camera in (CAMERA, rolled))
    assert turned[128, 96] == pytest.approx(straight[128, 96], abs=0.02)
    above = np.argwhere(turned.any(2))[0]
    assert turned[above[0], above[1], 1] > 0.9


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), samples=st.integers(1, 3))
def test_the_silhouette_is_where_depth_is_finite(seed: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 0.5, (30, 3))
    faces = rng.integers(0, 30, (40, 3))
    outline = silhouette(points, faces, CAMERA)
    away = depth(points, faces, CAMERA)
    assert np.array_equal(outline > 0, np.isfinite(away))
    assert set(np.unique(outline)) <= {0, 255}
    seen = visibility(points, faces, CAMERA)
    assert np.array_equal(seen.ids >= 0, outline > 0)
    # Finer samples are what a finer picture has, averaged.
    fine = silhouette(points, faces, CAMERA.resized((256 * samples, 192 * samples)))
    mean = fine.reshape(256, samples, 192, samples).mean((1, 3))
    assert np.abs(silhouette(points, faces, CAMERA, supersample=samples) - mean).max() <= 0.5 + 1e-9


def test_a_mirrored_body_has_the_mirrored_silhouette(body, builds: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    poses = np.array([draw_pose(rng, view) for view in VIEWS])
    bodies, _ = body.posed(np.repeat(builds[1:2], 4, 0), poses)
    camera = phone_camera((256, 192), height=0.0, distance=2.4)
    straight = silhouettes(bodies, body.faces, camera)
    mirrored = silhouettes(bodies * [-1, 1, 1], body.faces[:, ::-1], camera)
    for one, other in zip(straight, mirrored, strict=True):
        assert (one[:, ::-1] != other).sum() <= 2  # pixels whose centre an edge meets to rounding
        assert (one > 0).sum() > 1500


def test_a_body_twice_as_far_and_twice_as_large_looks_the_same(body) -> None:
    shape = body.shaped(np.zeros((1, body.n_betas)))[0]
    near = silhouette(shape, body.faces, phone_camera((256, 192), height=0.0, distance=2.5))
    far = silhouette(2 * shape, body.faces, phone_camera((256, 192), height=0.0, distance=5.0))
    assert (near != far).sum() <= 2


def test_what_reaches_behind_the_camera_is_clipped() -> None:
    # A floor that begins behind the camera fills the picture up to its horizon, or its far end.
    points = np.array([[-50.0, 0, 40], [50, 0, 40], [50, 0, -200], [-50, 0, -200]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    camera = Camera((200, 100), 100.0, (0.0, 1.0, 0.0))
    seen = silhouette(points, faces, camera) > 0
    end = 100 + 100 * 1.0 / 200
    assert not seen[: math.floor(end) - 1].any()
    # At the distance of the near plane the floor is below the picture, so that nothing is missing at the bottom.
    assert seen[math.ceil(end) + 1 :].all()
    away = depth(points, faces, camera)
    rows = np.arange(110, 200)
    assert away[rows, 50] == pytest.approx(100 / (rows + 0.5 - 100), rel=1e-4)


def test_clipping_cuts_where_a_cut_mesh_would_end(sphere: tuple) -> None:
    points, faces = sphere
    # The camera stands in the ball's rim: what is nearer than 5 cm is left out, what is beyond stays.
    camera = Camera((120, 120), 60.0, (0.0, 0.0, 0.98))
    inside_out = faces[:, ::-1]
    away = depth(points, inside_out, camera)
    assert np.isfinite(away).all()
    assert away[60, 60] == pytest.approx(1.98, abs=0.01)
    assert np.isfinite(normals(points, inside_out, camera)).all()


def test_a_mesh_behind_the_camera_is_an_error(sphere: tuple) -> None:
    points, faces = sphere
    with pytest.raises(BodyRequestError, match="behind the camera"):
        silhouette(points + np.array([0, 0, 5]), faces, CAMERA)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_vertices_that_are_not_finite_are_named(sphere: tuple, value: float, axis: int) -> None:
    points, faces = sphere
    broken = points.copy()
    broken[17, axis] = value
    for draw in (silhouette, depth, normals):
        with pytest.raises(BodyRequestError, match="Vertex 17 is not finite"):
            draw(broken, faces, CAMERA)


@pytest.mark.parametrize("corner", [-1, 4])
def test_faces_of_other_vertices_are_refused(corner: int) -> None:
    with pytest.raises(BodyRequestError, match="among the 4"):
        silhouette(np.eye(4, 3), np.array([[0, 1, 2], [0, 1, corner]]), CAMERA)


@pytest.mark.parametrize("supersample", [0, 9])
def test_too_many_or_no_samples_are_refused(sphere: tuple, supersample: int) -> None:
    with pytest.raises(BodyRequestError, match="supersample"):
        silhouette(*sphere, CAMERA, supersample=supersample)


def test_shapes_and_cameras_must_fit(sphere: tuple) -> None:
    points, faces = sphere
    with pytest.raises(BodyRequestError, match="one camera"):
        silhouettes(np.stack([points, points]), faces, [CAMERA])
    with pytest.raises(BodyRequestError, match="vertices"):
        silhouette(points[:, :2], faces, CAMERA)


def test_threads_change_nothing(body, builds: np.ndarray) -> None:
    bodies = body.shaped(builds)
    cameras = [phone_camera((128, 96), height=0.0, distance=2.2 + 0.1 * n) for n in range(len(bodies))]
    alone, together = (silhouettes(bodies, body.faces, cameras, supersample=2, threads=n) for n in (1, 4))
    assert np.array_equal(alone, together)
    alone, together = (normal_maps(bodies, body.faces, cameras, threads=n) for n in (1, 4))
    assert np.array_equal(alone, together)


def test_vertex_normals_of_a_sphere_are_its_radii(sphere: tuple) -> None:
    points, faces = sphere
    assert (vertex_normals(points, faces) * points).sum(1).min() > 0.999


def test_projected_vertices_lie_in_the_silhouette(body) -> None:
    shape = body.shaped(np.zeros((1, body.n_betas)))[0]
    camera = phone_camera((256, 192), height=0.0, distance=2.5)
    outline = silhouette(shape, body.faces, camera, supersample=4)
    at = np.floor(project(shape, camera)[:, :2]).astype(int)
    assert (outline[at[:, 1], at[:, 0]] > 0).mean() > 0.99


def test_a_coarse_sphere_has_no_holes() -> None:
    points, faces = _sphere(6, 8)
    outline = silhouette(points * 0.5, faces, CAMERA) > 0
    for row in outline[outline.any(1)]:
        columns = np.flatnonzero(row)
        assert np.ptp(columns) + 1 == len(columns)
