"""Requests that a body model cannot answer are refused, with what is wrong and what to do; nothing is clamped."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.body.data import BodyData
from models.body.model import BodyModel
from models.errors import BodyRequestError

BETAS = {
    "one too many": lambda k: np.zeros((2, k + 1)),
    "one too few": lambda k: np.zeros((2, k - 1)),
    "none": lambda _: np.zeros((2, 0)),
    "a single row": np.zeros,
    "three axes": lambda k: np.zeros((1, 2, k)),
    "not a number": lambda k: np.where(np.arange(2 * k).reshape(2, k) == k + 3, np.nan, 0.0),
    "infinite": lambda k: np.where(np.arange(2 * k).reshape(2, k) == 1, -np.inf, 0.0),
    "far above the span": lambda k: np.where(np.arange(2 * k).reshape(2, k) == 0, 25.0, 0.0),
    "far below the span": lambda k: np.where(np.arange(2 * k).reshape(2, k) == k, -25.0, 0.0),
}
MESSAGES = {
    "not a number": "nan|not finite",
    "infinite": "inf|not finite",
    "far above the span": r"Beta 1 is 25, outside the span of .*, -\d[\d.]* to \d",
    "far below the span": r"Beta 1 is -25, outside the span of",
}
POSES = {
    "23 joints": np.zeros((2, 23, 3)),
    "flat": np.zeros((2, 72)),
    "matrices": np.zeros((2, 24, 3, 3)),
    "three bodies": np.zeros((3, 24, 3)),
    "not a number": np.full((2, 24, 3), np.nan),
    "infinite": np.full((24, 3), np.inf),
}
TRANSLATIONS = {
    "one for all": np.zeros(3),
    "three bodies": np.zeros((3, 3)),
    "not a number": np.full((2, 3), np.nan),
}


@pytest.fixture(scope="module")
def model(body: BodyData) -> BodyModel:
    return BodyModel(body, torch.float64)


def _refused(error: BodyRequestError, about: str) -> None:
    assert about in error.what.lower()
    assert error.remedy


@pytest.mark.parametrize("wrong", BETAS)
def test_betas_that_make_no_body_are_refused(body: BodyData, model: BodyModel, wrong: str) -> None:
    betas = BETAS[wrong](body.n_betas)
    message = MESSAGES.get(wrong, "shape")
    for ask in (
        lambda: body.shaped(betas),
        lambda: body.posed(betas, np.zeros((24, 3))),
        lambda: model(torch.tensor(betas)),
    ):
        with pytest.raises(BodyRequestError, match=message) as caught:
            ask()
        _refused(caught.value, "beta")


@pytest.mark.parametrize("wrong", POSES)
def test_poses_that_are_none_are_refused(body: BodyData, model: BodyModel, wrong: str) -> None:
    betas = np.zeros((2, body.n_betas))
    for ask in (
        lambda: body.posed(betas, POSES[wrong]),
        lambda: model(torch.tensor(betas), torch.tensor(POSES[wrong])),
    ):
        with pytest.raises(BodyRequestError) as caught:
            ask()
        _refused(caught.value, "pose")


@pytest.mark.parametrize("wrong", TRANSLATIONS)
def test_translations_that_are_none_are_refused(body: BodyData, model: BodyModel, wrong: str) -> None:
    betas = np.zeros((2, body.n_betas))
    for ask in (
        lambda: body.posed(betas, np.zeros((24, 3)), TRANSLATIONS[wrong]),
        lambda: model(torch.tensor(betas), None, torch.tensor(TRANSLATIONS[wrong])),
    ):
        with pytest.raises(BodyRequestError) as caught:
            ask()
        _refused(caught.value, "translation")


@pytest.mark.parametrize("wrong", [None, "tall", [["a"]], [[0.0], [0.0, 1.0]]])
def test_what_is_no_array_is_refused(body: BodyData, model: BodyModel, wrong: object) -> None:
    with pytest.raises(BodyRequestError):
        body.shaped(wrong)
    with pytest.raises(BodyRequestError, match="not a tensor"):
        model(wrong)


def test_whole_numbers_are_no_betas_for_torch(body: BodyData, model: BodyModel) -> None:
    with pytest.raises(BodyRequestError, match="floating-point"):
        model(torch.zeros((1, body.n_betas), dtype=torch.int64))


def test_tensors_elsewhere_than_the_model_are_refused(body: BodyData, model: BodyModel) -> None:
    with pytest.raises(BodyRequestError, match="on meta, the model on cpu"):
        model(torch.zeros((1, body.n_betas), dtype=torch.float64, device="meta"))


def test_the_ends_of_the_span_are_within_it(body: BodyData, model: BodyModel) -> None:
    ends = body.span.astype(np.float32).astype(float)
    inside = np.clip(ends, body.span[0], body.span[1])
    assert body.shaped(inside).shape == (2, body.n_vertices, 3)
    beyond = inside.copy()
    beyond[1, 3] += 1e-3
    with pytest.raises(BodyRequestError, match="Beta 4 is"):
        body.shaped(beyond)


def test_an_optimiser_may_leave_the_span_where_it_says_so(body: BodyData, model: BodyModel) -> None:
    betas = torch.zeros((1, body.n_betas), dtype=torch.float64)
    betas[0, 0] = 25.0
    with pytest.raises(BodyRequestError):
        model(betas)
    vertices = model(betas, within_span=False).vertices[0].numpy()
    assert abs(vertices - body.v_template - 25.0 * body.shapedirs[:, :, 0]).max() < 1e-5  # and was not clamped
