"""The pictures of the documentation: they say that nobody real is on them, and stay small."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.avatar.samples import NOW, STEPS, avatar_sheet, morphers
from models.body.data import BodyData

PICTURES = Path(__file__).resolve().parents[3] / "docs" / "pictures"


def test_the_people_shown_start_where_it_is_said_and_can_be_taken_there(body: BodyData) -> None:
    for morpher, now, steps in zip(morphers(body), NOW, STEPS, strict=True):
        assert morpher.start.body_fat_percent == now
        assert now in steps
        for percent in steps:
            assert morpher.at(percent).body_fat_percent == percent


def test_the_sheet_warns_in_red(body: BodyData) -> None:
    sheet = avatar_sheet(body)
    assert (np.abs(sheet.astype(int) - (158, 42, 43)).max(2) < 40).sum() > 100


@pytest.mark.parametrize("name", ["avatar", "morph"])
def test_the_pictures_of_the_documentation_are_small(name: str) -> None:
    path = PICTURES / f"{name}.png"
    assert path.stat().st_size <= 200_000
    assert cv2.imread(str(path)) is not None
