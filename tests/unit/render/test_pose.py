"""How people stand in each view."""

from __future__ import annotations

import numpy as np
import pytest

from models.body.skeleton import joint
from models.errors import BodyRequestError
from models.render.pose import VIEWS, WRONG_POSES, draw_pose, joint_places, stand


def posed(body, betas: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vertices, joints = body.posed(betas[None], pose[None])
    return vertices[0], joints[0]


@pytest.mark.parametrize("wrong", [None, *WRONG_POSES])
@pytest.mark.parametrize("view", VIEWS)
def test_both_feet_are_flat_on_one_floor(body, builds: np.ndarray, view: str, wrong: str | None) -> None:
    rng = np.random.default_rng(2)
    left, right = (body.weights[:, [joint(f"{s}_ankle"), joint(f"{s}_foot")]].sum(1) > 0.5 for s in ("left", "right"))
    for betas in builds:
        vertices, _ = posed(body, betas, stand(body, betas, draw_pose(rng, view, wrong)))
        lowest = vertices[:, 1].min()
        # The sides of a model differ by a little themselves.
        rest = body.shaped(betas[None])[0]
        own = abs(rest[left, 1].min() - rest[right, 1].min())
        assert abs(vertices[left, 1].min() - vertices[right, 1].min()) < 0.002 + own
        assert min(vertices[left, 1].min(), vertices[right, 1].min()) < lowest + 0.002 + own
        # Flat: each foot's joints are as high above its ankle as in the T-pose.
        _, bones = body.posed(betas[None], stand(body, betas, draw_pose(rng, view, wrong))[None])
        joints = body.joints(rest[None])[0]
        for side in ("left", "right"):
            ankle, foot = joint(f"{side}_ankle"), joint(f"{side}_foot")
            assert bones[0][foot, 1] - bones[0][ankle, 1] == pytest.approx(joints[foot, 1] - joints[ankle, 1], abs=1e-6)


@pytest.mark.parametrize("view", VIEWS)
def test_the_camera_sees_the_side_that_the_view_names(body, builds: np.ndarray, view: str) -> None:
    toward = {"front": [0, 0, 1], "back": [0, 0, -1], "left": [1, 0, 0], "right": [-1, 0, 0]}[view]
    rng = np.random.default_rng(3)
    for _ in range(20):
        pose = draw_pose(rng, view)
        bare = np.zeros((24, 3))
        bare[0] = pose[0]
        moved, _ = posed(body, builds[0], bare)
        still, _ = posed(body, builds[0], np.zeros((24, 3)))
        ahead = np.linalg.lstsq(still - still.mean(0), moved - moved.mean(0), rcond=None)[0].T @ np.array(toward, float)
        assert ahead[2] > 0.9  # the named side looks along +z, to the camera
        assert abs(np.arctan2(ahead[0], ahead[2])) < 0.35


def test_arms_are_off_the_trunk_in_front_and_back_and_hang_in_side_views(body, builds: np.ndarray) -> None:
    rng = np.random.default_rng(4)

    def arms(view: str) -> np.ndarray:
        """Degrees from straight down, of both upper arms."""
        out = []
        for _ in range(30):
            _, joints = posed(body, builds[0], draw_pose(rng, view))
            for side in ("left", "right"):
                arm = joints[joint(f"{side}_elbow")] - joints[joint(f"{side}_shoulder")]
                out.append(np.degrees(np.arccos(-arm[1] / np.linalg.norm(arm))))
        return np.array(out)

    for view in ("front", "back"):
        assert 30 < np.mean(arms(view)) < 50
        assert arms(view).min() > 12
    for view in ("left", "right"):
        assert np.mean(arms(view)) < 28
        assert arms(view).max() < 50


def test_poses_differ_and_repeat() -> None:
    one, other = (draw_pose(np.random.default_rng(7), "front") for _ in range(2))
    assert np.array_equal(one, other)
    rng = np.random.default_rng(7)
    first, second = draw_pose(rng, "front"), draw_pose(rng, "front")
    moved = np.abs(first - second).max(1) > 0
    assert moved.sum() >= 20  # nearly every joint has noise of its own


def test_joints_are_where_the_model_puts_them(body, builds: np.ndarray) -> None:
    rng = np.random.default_rng(9)
    for betas in builds:
        pose = draw_pose(rng, "front", "squat")
        assert joint_places(body, betas, pose) == pytest.approx(posed(body, betas, pose)[1], abs=1e-5)


def test_views_and_poses_that_there_are_none_of_are_refused() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(BodyRequestError, match="no view 'above'"):
        draw_pose(rng, "above")
    with pytest.raises(BodyRequestError, match="no wrong pose"):
        draw_pose(rng, "front", "lying")
