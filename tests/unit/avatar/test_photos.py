"""Which file shows which view."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.avatar.photos import MOST_BYTES, read_photos, view_of, views_of
from models.errors import BodyRequestError


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("front.jpg", "front"), ("IMG_0012-Back.JPEG", "back"), ("left2.png", "left"), ("a right b.webp", "right"),
        ("photo.jpg", None), ("front-left.jpg", None), ("background.jpg", None), ("bright.jpg", None),
    ],
)  # fmt: skip
def test_a_view_is_a_word_of_the_name(name: str, view: str | None) -> None:
    assert view_of(Path(name)) == view


def test_a_folder_gives_its_pictures_with_a_view_in_the_order_of_views(tmp_path: Path) -> None:
    for name in ("p-right.png", "p-front.jpg", "notes-front.txt", "selfie.jpg"):
        (tmp_path / name).write_bytes(b"x")
    found = views_of([tmp_path])
    assert list(found.items()) == [("front", tmp_path / "p-front.jpg"), ("right", tmp_path / "p-right.png")]


def test_a_named_view_may_be_called_anything(tmp_path: Path) -> None:
    found = views_of([tmp_path / "left.jpg"], {"front": tmp_path / "IMG_1.jpg"})
    assert found == {"front": tmp_path / "IMG_1.jpg", "left": tmp_path / "left.jpg"}


def test_what_cannot_be_told_apart_is_said(tmp_path: Path) -> None:
    for name in ("front.jpg", "front.png"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BodyRequestError, match="front view is there twice"):
        views_of([tmp_path])
    with pytest.raises(BodyRequestError, match=r"IMG_7\.jpg shows is not in its name.*--front FILE"):
        views_of([Path("IMG_7.jpg")])


def test_a_folder_without_views_lists_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(BodyRequestError, match="it has no pictures"):
        views_of([tmp_path])
    (tmp_path / "IMG_7.jpg").write_bytes(b"x")
    with pytest.raises(BodyRequestError, match=r"none of its pictures has a view in its name: IMG_7\.jpg"):
        views_of([tmp_path])


def test_photos_are_read_and_what_is_none_is_refused(tmp_path: Path) -> None:
    good, empty, huge = (tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg"))
    good.write_bytes(b"content")
    empty.touch()
    with huge.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    assert read_photos({"front": good}) == {"front": b"content"}
    for path, said in ((empty, "is empty"), (huge, "that is no photo"), (tmp_path / "d.jpg", "is not there"),
                       (tmp_path, "is not a file")):  # fmt: skip
        with pytest.raises(BodyRequestError, match=said):
            read_photos({"front": path})
