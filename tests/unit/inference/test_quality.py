"""What is wrong with a capture."""

from __future__ import annotations

import cv2
import numpy as np

from models.inference.quality import badly_posed, explain, judge_capture, judge_photo, judge_silhouette, largest_part
from models.inference.scan import Finding

SURE_OF_ONE = np.array([0.0, 1.0, 0.0])
NOTHING_WRONG = np.zeros(3)


def person(x: int = 96, y: int = 128, height: int = 180) -> np.ndarray:
    picture = np.zeros((256, 192), np.uint8)
    cv2.ellipse(picture, (x, y), (height // 6, height // 2), 0, 0, 360, 255, -1)
    return picture


def reasons(silhouette: np.ndarray) -> list[str]:
    return [finding.reason for finding in judge_silhouette(silhouette, "front")]


def test_a_good_silhouette_has_nothing_wrong() -> None:
    assert reasons(person()) == []


def test_a_photo_in_the_dark() -> None:
    rng = np.random.default_rng(0)
    lit = rng.integers(20, 200, (256, 192, 3), dtype=np.uint8)
    assert judge_photo(lit, "front") == []
    for dark in (np.zeros_like(lit), lit // 4):
        assert [(found.reason, found.view) for found in judge_photo(dark, "left")] == [("too dark", "left")]
    lamp = lit // 4
    lamp[:40, :40] = 255  # bright in a corner, and so is the picture as a whole
    assert judge_photo(lamp, "front") == []


def test_no_person() -> None:
    assert reasons(np.zeros((256, 192), np.uint8)) == ["no person"]
    assert reasons(person(height=30)) == ["no person"]


def test_several_people() -> None:
    assert reasons(np.maximum(person(50), person(140, height=150))) == ["several people"]


def test_specks_are_no_people() -> None:
    silhouette = person()
    silhouette[5:12, 5:12] = 255
    assert reasons(silhouette) == []
    assert (largest_part(silhouette) == person()).all()
    assert not largest_part(np.zeros((256, 192), np.uint8)).any()


def test_a_person_at_the_edge_is_cut_off() -> None:
    (finding,) = judge_silhouette(person(y=230), "back")
    assert (finding.reason, finding.view, finding.detail) == ("cut off", "back", "bottom")


def test_the_segmenters_opinion_counts_when_it_is_sure() -> None:
    likely_left = np.array([0.01, 0.01, 0.97, 0.01])
    assert [f.reason for f in judge_capture("front", likely_left, SURE_OF_ONE, NOTHING_WRONG)] == ["wrong view"]
    assert judge_capture("left", likely_left, SURE_OF_ONE, NOTHING_WRONG) == []
    unsure = np.array([0.2, 0.2, 0.6, 0.0])
    assert judge_capture("front", unsure, SURE_OF_ONE, NOTHING_WRONG) == []
    blurred = judge_capture("left", likely_left, SURE_OF_ONE, np.array([0.1, 0.99, 0.1]))
    assert [f.reason for f in blurred] == ["blurred"]
    faulty = judge_capture("left", likely_left, SURE_OF_ONE, np.array([0.51, 0.49, 0.6]))
    assert [f.reason for f in faulty] == ["cut off", "pose"]
    people = judge_capture("left", likely_left, np.array([0.0, 0.02, 0.98]), NOTHING_WRONG)
    assert [f.reason for f in people] == ["several people"]


def test_one_view_in_another_pose_spoils_itself_two_the_scan() -> None:
    pose = [Finding("pose", view) for view in ("front", "left", "right")]
    assert not badly_posed(pose[:1])
    assert badly_posed(pose[:2])
    assert badly_posed(pose)
    assert not badly_posed([pose[0], Finding("blurred", "left"), Finding("pose", "front")])


def test_findings_become_a_sentence() -> None:
    told = explain(judge_silhouette(person(y=230), "back") + judge_silhouette(np.zeros((256, 192), np.uint8), "left"))
    assert told == "back: the person is cut off at the edge of the picture (bottom); left: no person is seen"
