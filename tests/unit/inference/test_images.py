"""Pictures into the shape that the networks want."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.inference.images import (
    CLEAR,
    CLOSE,
    FILLED,
    SMALL,
    WIDEST,
    UnreadableImage,
    close_up,
    decode_photo,
    decode_silhouette,
    encode_silhouette,
    fit_silhouette,
    has_another_shape,
    is_as_usual,
    letterbox,
    middle,
    no_larger_than_needed,
)


def box(top: int, left: int, height: int, width: int) -> np.ndarray:
    picture = np.zeros((256, 192), np.uint8)
    picture[top : top + height, left : left + width] = 255
    return picture


@given(st.integers(1, 2000), st.integers(1, 2000))
@settings(max_examples=40, deadline=None)
def test_a_letterboxed_photo_keeps_its_proportions(height: int, width: int) -> None:
    photo = np.full((height, width, 3), (10, 200, 90), np.uint8)
    boxed = letterbox(photo)
    assert boxed.shape == (256, 192, 3)
    assert (boxed == (10, 200, 90)).all()  # its borders are drawn out


def test_a_circle_stays_a_circle() -> None:
    photo = np.zeros((900, 1600, 3), np.uint8)
    cv2.circle(photo, (800, 450), 400, (255, 255, 255), -1)
    rows, columns = np.nonzero(letterbox(photo)[..., 0] > 127)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1


def test_a_photo_has_no_more_rows_than_needed() -> None:
    photo = np.zeros((900, 500, 3), np.uint8)
    assert no_larger_than_needed(photo) is photo
    assert no_larger_than_needed(np.zeros((4000, 3000, 3), np.uint8)).shape == (1024, 768, 3)
    assert no_larger_than_needed(np.zeros((5000, 2, 3), np.uint8)).shape == (1024, 1, 3)


def test_the_middle_of_a_photo_has_the_networks_shape() -> None:
    """Nothing is stretched, and of a photo of 3:4 nothing is left out."""
    rng = np.random.default_rng(0)
    for high, wide in ((640, 360), (360, 640), (1080, 720)):
        photo = np.zeros((high, wide, 3), np.uint8)
        cv2.circle(photo, (wide // 2, high // 2), 100, (255, 255, 255), -1)
        rows, columns = np.nonzero(middle(photo)[..., 0] > 127)
        assert abs(np.ptp(rows) - np.ptp(columns)) <= 1
        assert np.ptp(rows) == pytest.approx(200 * max(256 / high, 192 / wide), abs=3)
        assert has_another_shape(photo)
    usual = rng.integers(0, 255, (640, 480, 3), dtype=np.uint8)
    assert not has_another_shape(usual)
    assert (middle(usual) == letterbox(usual)).all()


def test_how_large_a_person_is_as_usual() -> None:
    assert is_as_usual(box(30, 60, round(256 * SMALL) + 1, 50))
    assert not is_as_usual(box(30, 60, round(256 * SMALL) - 1, 50))
    assert is_as_usual(box(CLEAR, 60, 256 - 2 * CLEAR, 50))
    assert not is_as_usual(box(CLEAR - 1, 60, 200, 50))
    assert not is_as_usual(box(57, 60, 196, 50))


@given(
    st.sampled_from([(640, 360), (640, 480), (360, 640), (1024, 200), (256, 192)]),
    st.floats(0.15, 0.6),
    st.floats(0.2, 1.2),
    st.floats(0, 1),
    st.floats(0, 1),
)
@settings(max_examples=80, deadline=None)
def test_a_close_up_shows_the_person_as_large_as_the_networks_are_used_to(shape, share, slim, x, y) -> None:
    """A block for a person, anywhere in a photo of any shape, also at its edge."""
    high, wide = shape
    height = max(12, share * high)
    width = min(max(6, slim * height), wide)
    top, left = round(y * (high - height)), round(x * (wide - width))
    photo = np.full((high, wide, 3), 40, np.uint8)
    photo[top : top + round(height), left : left + round(width)] = 220
    seen = np.where(letterbox(photo)[..., 0] >= 128, 255, 0).astype(np.uint8)
    # Not what stands at the border of the photo, and is drawn out with it.
    if seen[[0, -1]].any() or seen[:, [0, -1]].any():
        close_up(photo, seen)
        return
    near = close_up(photo, seen)
    rows, columns = np.nonzero(near[..., 0] >= 128)
    assert near.shape == (256, 192, 3)
    filled = (np.ptp(rows) + 1) / (256 * CLOSE), (np.ptp(columns) + 1) / (192 * WIDEST)
    assert max(filled) == pytest.approx(1, abs=0.12)  # the box is known to a pixel of the whole photo only
    assert rows.mean() == pytest.approx(127.5, abs=12)
    assert columns.mean() == pytest.approx(95.5, abs=12)


@given(st.integers(0, 100), st.integers(0, 80), st.integers(30, 150), st.integers(10, 100))
@settings(max_examples=60, deadline=None)
def test_a_fitted_silhouette_does_not_depend_on_where_the_person_stood(t: int, left: int, h: int, w: int) -> None:
    h, w = min(h, 256 - t), min(w, 192 - left)
    fitted, where = fit_silhouette(box(t, left, h, w))
    again, _ = fit_silhouette(box(0, 0, h, w))
    assert np.abs(fitted - again).max() < 1.5 / 255  # a step of rounding
    scale = FILLED * min(256 / h, 192 / w)
    assert fitted.sum() == pytest.approx(h * w * scale**2, rel=0.08)
    assert where == pytest.approx([(left + w / 2) / 192, (t + h / 2) / 256, h / 256, w / 192])


def test_a_fitted_silhouette_is_centred() -> None:
    fitted, _ = fit_silhouette(box(40, 20, 120, 40))
    assert np.abs(fitted - fitted[::-1]).max() < 1e-5
    assert np.abs(fitted - fitted[:, ::-1]).max() < 1e-5


def test_silhouettes_survive_their_file() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (256, 192)).astype(np.uint8)
    content = encode_silhouette(picture)
    assert (decode_silhouette(content) == picture).all()
    assert encode_silhouette(picture) == content


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0" + b"\0" * 40])
def test_what_is_no_picture_is_told(content: bytes) -> None:
    with pytest.raises(UnreadableImage):
        decode_photo(content)
    with pytest.raises(UnreadableImage):
        decode_silhouette(content)


def test_a_silhouette_of_another_size_is_told() -> None:
    with pytest.raises(UnreadableImage, match="256 × 192"):
        decode_silhouette(encode_silhouette(np.zeros((10, 10), np.uint8)))
