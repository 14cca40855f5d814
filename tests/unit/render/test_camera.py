"""Where points fall in the picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import BodyRequestError
from models.render.camera import Camera, distorted, phone_camera, project, to_camera, undistorted


def test_the_middle_of_the_room_is_seen_straight_ahead() -> None:
    camera = Camera((200, 100), 150.0, (0.0, 1.0, 2.0))
    assert project(np.array([[0.0, 1.0, 0.0]]), camera) == pytest.approx(np.array([[50.0, 100.0, 2.0]]))


def test_right_is_right_and_up_is_up() -> None:
    camera = Camera((200, 100), 150.0, (0.0, 1.0, 2.0))
    column, row, depth = project(np.array([[0.2, 1.4, 0.5]]), camera)[0]
    assert (column, row, depth) == pytest.approx((50 + 150 * 0.2 / 1.5, 100 - 150 * 0.4 / 1.5, 1.5))


def test_a_focal_length_on_film_is_by_the_diagonal() -> None:
    # The diagonal of 36 x 24 mm film at 43.27 mm covers 53.13 degrees.
    camera = phone_camera((768, 576), focal_mm=math.hypot(36, 24))
    assert 2 * math.degrees(math.atan(math.hypot(768, 576) / 2 / camera.focal)) == pytest.approx(53.130, abs=1e-3)


@pytest.mark.parametrize(
    ("turn", "moves"),
    [({"tilt": 0.1}, (0, -1)), ({"tilt": -0.1}, (0, 1)), ({"pan": 0.1}, (-1, 0)), ({"pan": -0.1}, (1, 0))],
)
def test_turning_the_camera_moves_the_picture_the_other_way(turn: dict, moves: tuple[int, int]) -> None:
    before = project(np.zeros((1, 3)), phone_camera((200, 150), height=0.0))[0]
    after = project(np.zeros((1, 3)), phone_camera((200, 150), height=0.0, **turn))[0]
    assert np.sign(np.round(after[:2] - before[:2], 3)).tolist() == list(moves)


def test_roll_turns_the_picture_counter_clockwise() -> None:
    camera = phone_camera((200, 150), height=0.0, roll=0.2)
    column, row, _ = project(np.array([[0.3, 0.0, 0.0]]), camera)[0]
    assert column > 75
    assert row < 100


@settings(deadline=None)
@given(
    tilt=st.floats(-0.5, 0.5), pan=st.floats(-0.5, 0.5), roll=st.floats(-0.5, 0.5),
    point=st.tuples(*[st.floats(-1, 1)] * 3),
)  # fmt: skip
def test_turning_keeps_distances(tilt: float, pan: float, roll: float, point: tuple) -> None:
    camera = Camera((100, 100), 100.0, (0.1, 1.2, 2.5), tilt=tilt, pan=pan, roll=roll)
    turn = camera.rotation()
    assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    away = np.linalg.norm(np.array(point) - camera.position)
    assert np.linalg.norm(to_camera(np.array([point]), camera)) == pytest.approx(away)


@settings(deadline=None)
@given(k1=st.floats(-0.3, 0.3), r=st.floats(0.0, 1.2))
def test_undistorting_takes_distortion_back(k1: float, r: float) -> None:
    seen = r * distorted(r * r, k1)
    assert seen * undistorted(seen * seen, k1) == pytest.approx(r, abs=1e-6)


@settings(deadline=None)
@given(k1=st.floats(-0.3, 0.3))
def test_no_two_directions_fall_on_one_pixel(k1: float) -> None:
    r = np.linspace(1e-3, 8, 400)
    assert (np.diff([x * distorted(x * x, k1) for x in r]) > 0).all()


def test_a_barrel_draws_corners_in() -> None:
    straight, bent = (phone_camera((200, 150), height=0.0, k1=k1) for k1 in (0.0, -0.05))
    corner = np.array([[0.9, 1.1, 0.0]])
    middle = np.array([75, 100])
    far, near = (np.linalg.norm(project(corner, camera)[0, :2] - middle) for camera in (straight, bent))
    assert near < far


@pytest.mark.parametrize("size", [(0, 100), (100, -1), (10.5, 10), (100,), (1_000_000, 1_000_000)])
def test_a_size_that_cannot_be_is_refused(size: tuple) -> None:
    with pytest.raises(BodyRequestError, match="size"):
        Camera(size, 100.0, (0.0, 1.0, 2.0))


@pytest.mark.parametrize(
    "wrong",
    [{"focal": 0.0}, {"focal": math.nan}, {"near": 0.0}, {"k1": 0.5}, {"tilt": math.inf}, {"position": (0.0, 1.0)}],
)
def test_numbers_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(BodyRequestError):
        Camera(**{"size": (10, 10), "focal": 10.0, "position": (0.0, 0.0, 1.0), **wrong})
