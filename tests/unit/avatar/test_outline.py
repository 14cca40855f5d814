"""The outline of an avatar over the silhouette that it was made from."""

from __future__ import annotations

import numpy as np
import pytest

from models.avatar.outline import SIZE, Outlines, outlines, seen_by_phone
from models.body import open_body
from models.errors import BodyRequestError
from models.render.capture import draw_capture, render_silhouettes
from models.render.pose import VIEWS
from models.training.scans import from_the_front

BODY = open_body()
BETAS = np.zeros(BODY.n_betas)
CAPTURE = draw_capture(np.random.default_rng(4), sex="M", age=40)
SEEN = render_silhouettes(BODY, BETAS, CAPTURE, size=(256, 192))


def over(view: str, betas: np.ndarray = BETAS, *, mask: np.ndarray | None = None) -> Outlines:
    pose = from_the_front(CAPTURE.pose(view), view)
    return outlines(SEEN[view] if mask is None else mask, betas, pose, view, BODY)


@pytest.mark.parametrize("view", VIEWS)
def test_the_true_body_lies_on_its_silhouette(view: str) -> None:
    found = over(view)
    assert found.overlap > 0.85, "only the camera, clothes and hair may differ"
    for curves in (found.seen, found.avatar):
        points = np.concatenate(curves)
        assert points.min() >= 0
        assert (points.max(axis=0) <= SIZE[::-1]).all()
        filled = np.ptp(points, axis=0) / SIZE[::-1]
        assert filled.max() == pytest.approx(0.94, abs=0.01), "the person fills the picture"


def test_another_body_does_not() -> None:
    other = BETAS.copy()
    other[0] = 0.8 * BODY.span[1][0]
    assert over("front", other).overlap < over("front").overlap - 0.03


def test_left_is_not_right() -> None:
    pose = np.zeros((24, 3))
    pose[16] = [0.0, 0.0, -1.2]  # the left arm hangs, the right one is held out
    front = seen_by_phone(BETAS, pose, "front", BODY)
    assert outlines(front, BETAS, pose, "front", BODY).overlap > 0.97
    assert outlines(front[:, ::-1], BETAS, pose, "front", BODY).overlap < 0.3
    # From behind, the other side of the picture.
    assert outlines(front[:, ::-1], BETAS, pose, "back", BODY).overlap > 0.75
    assert outlines(front, BETAS, pose, "back", BODY).overlap < 0.3


def test_specks_are_left_out() -> None:
    mask = SEEN["front"].copy()
    mask[2:6, 2:6] = 255
    assert over("front", mask=mask).overlap == pytest.approx(over("front").overlap, abs=1e-9)


def test_what_cannot_be_drawn_is_told() -> None:
    with pytest.raises(BodyRequestError, match="empty"):
        over("front", mask=np.zeros((256, 192), np.uint8))
    with pytest.raises(BodyRequestError, match="24 rotations"):
        outlines(SEEN["front"], BETAS, np.zeros((23, 3)), "front", BODY)
    with pytest.raises(BodyRequestError, match="no view 'above'"):
        outlines(SEEN["front"], BETAS, np.zeros((24, 3)), "above", BODY)
    with pytest.raises(BodyRequestError, match="betas"):
        outlines(SEEN["front"], BETAS[:3], np.zeros((24, 3)), "front", BODY)
