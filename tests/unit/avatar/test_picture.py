"""The picture: figures that are the body, tape lines where the tape lies, and words that fit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.avatar import Morpher, draw_avatar, png
from models.avatar.picture import MARKED, Caption, figures_of
from models.body.data import BodyData
from models.errors import BodyRequestError
from models.measure import measure

HEIGHT = 400
CAPTION = Caption("Avatar", (("Body fat", "25.0 %"),), "A note.")


@pytest.fixture(scope="module")
def image(body: BodyData) -> np.ndarray:
    return draw_avatar(
        np.zeros(body.n_betas), body, Caption("Avatar", (("Body fat", "25.0 %"),), "A note."), height=HEIGHT
    )


def coloured(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Rows and columns of the pixels that are nearly of a colour."""
    return np.argwhere(np.abs(image.astype(int) - colour).max(2) < 30)


def test_the_same_avatar_has_the_same_picture(image: np.ndarray, body: BodyData) -> None:
    again = draw_avatar(np.zeros(body.n_betas), body, CAPTION, height=HEIGHT)
    assert png(image) == png(again)
    assert (cv2.imdecode(np.frombuffer(png(image), np.uint8), cv2.IMREAD_COLOR)[..., ::-1] == image).all()


def test_each_girth_is_drawn_in_its_colour_from_above_to_below(image: np.ndarray) -> None:
    figures = image[:, : round(1.5 * HEIGHT)]
    heights = [coloured(figures, colour)[:, 0].mean() for _, colour in MARKED.values()]
    assert heights == sorted(heights)
    assert len(heights) == 4


def test_the_lines_are_as_wide_as_the_body_and_seen_in_three_views(body: BodyData) -> None:
    figures = figures_of(np.zeros(body.n_betas), body, height=900)
    columns = np.unique(coloured(figures, MARKED["waist_cm"][1])[:, 1])
    views = np.split(columns, np.flatnonzero(np.diff(columns) > 60) + 1)
    assert len(views) == 3
    rest = body.shaped(np.zeros((1, body.n_betas)))[0]
    waist = float(measure(rest, body)["waist_cm"])
    metre = 900 / 2.02  # pixels; the body is shorter than 1.75 m and so shown at this scale
    # From in front a waist is wider than a circle of its girth, from aside narrower.
    assert np.ptp(views[0]) / metre * 100 > waist / np.pi > np.ptp(views[2]) / metre * 100


def test_fatter_is_wider(body: BodyData) -> None:
    morpher = Morpher(np.zeros(body.n_betas), body_fat_percent=25.0, sex="F", body=body)
    widths = []
    for percent in (15.0, 25.0, 40.0):
        found = coloured(figures_of(morpher.at(percent).betas, body, height=HEIGHT), MARKED["hip_cm"][1])
        widths.append(np.ptp(found[found[:, 1] < 0.5 * HEIGHT][:, 1]))
    assert widths == sorted(widths)
    assert widths[0] < widths[2]


def test_the_outline_before_is_drawn_and_explained(image: np.ndarray, body: BodyData) -> None:
    betas = np.zeros(body.n_betas)
    fatter = Morpher(betas, body_fat_percent=25.0, sex="F", body=body).at(40.0).betas
    plain, outlined = (draw_avatar(betas, body, before=before, height=HEIGHT) for before in (None, fatter))
    figures, panel = np.s_[:, : round(1.5 * HEIGHT)], np.s_[:, round(1.5 * HEIGHT) :]
    assert (plain[figures] != outlined[figures]).any(2).sum() > 300
    assert (plain[panel] != outlined[panel]).any()


def test_warning_and_long_words_stay_on_the_page(body: BodyData) -> None:
    caption = Caption("At 18.0 % body fat of one person", (), "A long note. " * 12, "Rendered photos. " * 4)
    whole = draw_avatar(np.zeros(body.n_betas), body, caption, height=HEIGHT)
    panel = whole[:, round(1.5 * HEIGHT) :]
    paper = np.array([250, 250, 248])
    assert (panel[:, -6:] == paper).all(), "text runs over the edge"
    assert (panel[-4:] == paper).all()
    assert len(coloured(panel, (158, 42, 43))) > 20


@pytest.mark.parametrize("height", [100, 5000])
def test_heights_that_cannot_be_are_refused(height: int, body: BodyData) -> None:
    with pytest.raises(BodyRequestError, match="pixels high"):
        draw_avatar(np.zeros(body.n_betas), body, height=height)
