"""The road of a scan through the networks. Their weights are random: what is tested is the road, not the estimates."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.body import open_body
from models.checkpoints import (
    Architecture,
    Description,
    Input,
    Loaded,
    Quantity,
    Training,
    read_checkpoint,
    write_checkpoint,
)
from models.errors import ModelFileError
from models.inference import Pipeline, ScanInput
from models.inference.images import CLOSE, decode_silhouette
from models.measure import measure
from models.networks import build
from models.networks.blocks import VIEWS

SMALL = {"components": 8, "features": 16}
PROFILE = {"stature_cm": 172.0, "weight_kg": 70.0, "age": 40.0, "sex": "F"}


def checkpoint(folder: Path, kind: str, architecture: str, hyperparameters: dict) -> Path:
    network = build(architecture, hyperparameters)
    if kind == "segmenter":  # a segmenter of sorts: what is bright is a person
        bright = network.mask
        with torch.no_grad():
            bright.weight.zero_()
            bright.bias.fill_(9.0)
    description = Description(
        kind=kind, name=f"untrained-{kind}", version=1, licence="Apache-2.0", created=datetime(2026, 1, 1, tzinfo=UTC),
        architecture=Architecture(name=architecture, hyperparameters=hyperparameters),
        inputs=[Input(name="pictures", meaning="pictures")], outputs=[Quantity(name="numbers", meaning="numbers")],
        training=Training(data="None: the weights are random.", rendered=True, subjects=0),
        limitations=["Of no use but in tests."],
    )  # fmt: skip
    return write_checkpoint(folder, description, network)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("checkpoints")
    return {
        "segmenter": checkpoint(folder, "segmenter", "unet-1", {"widths": [4, 8, 8, 8, 8]}),
        "avatar": checkpoint(folder, "avatar", "silhouette-avatar-1", {"n_betas": open_body().n_betas, **SMALL}),
        "estimator": checkpoint(folder, "estimator", "body-fat-1", {**SMALL, "hidden": 8}),
    }


class Threshold(torch.nn.Module):
    """Stands in for a trained segmenter: a bright pixel is a person; it has no opinion of its own."""

    def forward(self, photos: torch.Tensor):
        from models.networks.segmenter import Segmentation

        n = len(photos)
        people = torch.tensor([[-9.0, 9.0, -9.0]]).expand(n, 3)
        return Segmentation((photos.mean(1) - 127.5) / 4, torch.zeros(n, 4), people, torch.full((n, 3), -9.0))


@pytest.fixture(scope="module")
def pipeline(files: dict[str, Path]) -> Pipeline:
    loaded = {kind: read_checkpoint(path) for kind, path in files.items()}
    segmenter = Loaded(loaded["segmenter"].card, Threshold())
    return Pipeline(segmenter, loaded["avatar"], loaded["estimator"])


def photo(shift: int = 0, height: int = 360, room: int = 30) -> bytes:
    picture = np.full((512, 384, 3), room, np.uint8)
    cv2.ellipse(picture, (192 + shift, 256), (height // 5, height // 2), 0, 0, 360, (230, 220, 210), -1)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def scan(key: str = "a", **changes) -> ScanInput:
    photos = {"front": photo(), "back": photo(6), "left": photo(0, 340), "right": photo(-9)}
    return ScanInput(key, **{"photos": photos, **PROFILE, **changes})


def test_a_scan_gives_measurements_a_body_and_body_fat(pipeline: Pipeline) -> None:
    (outcome,) = pipeline.process([scan()])
    assert outcome.indeterminate is None
    assert outcome.quality == ()
    fat = outcome.predictions["body_fat_percent"]
    assert fat.low < fat.value < fat.high
    assert len(outcome.betas) == open_body().n_betas
    taped = measure(open_body().shaped(np.array([outcome.betas])), open_body())
    assert outcome.predictions["waist_cm"].value == pytest.approx(float(taped["waist_cm"][0]))
    assert np.array(outcome.pose["left"]).shape == (24, 3)
    assert set(outcome.silhouettes) == {"front", "back", "left", "right"}
    assert {"decode", "segment", "avatar", "tape", "body fat"} <= set(outcome.timings)


def numbers(outcome) -> tuple:
    return outcome.predictions, outcome.betas, outcome.pose


def test_the_company_of_a_scan_does_not_matter(pipeline: Pipeline) -> None:
    others = [scan("b", stature_cm=160.0), scan("c", photos={"front": photo(20)})]
    (alone,) = pipeline.process([scan()])
    together = pipeline.process([*others, scan()])
    assert [outcome.key for outcome in together] == ["b", "c", "a"]
    assert numbers(together[2]) == numbers(alone)


def test_kept_silhouettes_give_the_same_numbers_as_the_photos(pipeline: Pipeline) -> None:
    (first,) = pipeline.process([scan()])
    (again,) = pipeline.process([scan(photos={}, silhouettes=first.silhouettes)])
    assert numbers(again) == numbers(first)
    assert again.silhouettes == first.silhouettes


def test_views_may_be_missing_and_matter_when_they_are_there(pipeline: Pipeline) -> None:
    (one,) = pipeline.process([scan(photos={"front": photo()})])
    (all_views,) = pipeline.process([scan()])
    assert one.indeterminate is None
    assert set(one.pose) == {"front"}
    assert one.predictions["body_fat_percent"] != all_views.predictions["body_fat_percent"]


def narrow(height: int = 270, room: int = 30, middle: int = 360) -> bytes:
    """The person of `photo`, further away, in a photo of 9:16."""
    picture = np.full((720, 405, 3), room, np.uint8)
    cv2.ellipse(picture, (190, middle), (height // 5, height // 2), 0, 0, 360, (230, 220, 210), -1)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def test_a_photo_of_another_shape_is_looked_at_until_its_person_is_large(pipeline: Pipeline) -> None:
    """In the middle; further away; and standing too low for the middle."""
    photos = {"front": narrow(450), "back": narrow(200), "left": narrow(400, middle=480), "right": photo()}
    (outcome,) = pipeline.process([scan(photos=photos)])
    assert outcome.quality == ()
    expected = {"front": 450 / 540, "back": CLOSE, "left": CLOSE, "right": 360 / 512}
    for view, share in expected.items():
        rows = np.flatnonzero(decode_silhouette(outcome.silhouettes[view]).max(1) >= 128)
        assert len(rows) == pytest.approx(share * 256, abs=4)
    (again,) = pipeline.process([scan(photos={}, silhouettes=outcome.silhouettes)])
    assert numbers(again) == numbers(outcome)


@pytest.mark.parametrize(("height", "reason"), [(50, "no person"), (2000, "cut off")])
def test_who_is_not_whole_or_not_there_in_a_photo_of_another_shape(
    pipeline: Pipeline, height: int, reason: str
) -> None:
    (outcome,) = pipeline.process([scan(photos={"front": narrow(height, room=100)})])
    assert [finding.reason for finding in outcome.quality] == [reason]
    assert outcome.indeterminate


def test_a_bad_photo_spoils_its_view_alone(pipeline: Pipeline) -> None:
    good = scan(photos={"front": photo(), "left": photo(0, 340)})
    (without,) = pipeline.process([good])
    (spoilt,) = pipeline.process([scan(photos={**good.photos, "back": b"no picture", "right": photo(height=640)})])
    assert [(f.view, f.reason) for f in spoilt.quality] == [("back", "unreadable"), ("right", "cut off")]
    assert numbers(spoilt) == numbers(without)


def test_of_a_photo_in_the_dark_nothing_is_seen(pipeline: Pipeline) -> None:
    """Whoever the segmenter believes to see there is neither judged nor kept."""
    dark = photo(height=40)  # a lamp at most
    (outcome,) = pipeline.process([scan(photos={"front": photo(), "left": dark})])
    assert [(found.view, found.reason) for found in outcome.quality] == [("left", "too dark")]
    assert set(outcome.silhouettes) == {"front"}
    (nothing,) = pipeline.process([scan(photos={"left": dark})])
    assert nothing.indeterminate == "left: the photo is too dark"
    assert not nothing.predictions


@pytest.mark.parametrize(
    ("photos", "told"),
    [
        ({}, "no photo is left"),
        ({"front": b""}, "no photo is left"),
        ({"front": b"\x00" * 100}, "front: the photo cannot be decoded"),
        ({"front": photo(height=40, room=100)}, "front: no person is seen"),
    ],
)
def test_a_scan_without_a_usable_view_is_indeterminate(pipeline: Pipeline, photos: dict, told: str) -> None:
    outcomes = pipeline.process([scan("bad", photos=photos), scan("good")])
    assert told in outcomes[0].indeterminate
    assert outcomes[0].predictions == {}
    assert outcomes[1].indeterminate is None


def test_without_the_stature_there_is_body_fat_but_no_tape(pipeline: Pipeline) -> None:
    (outcome,) = pipeline.process([scan(stature_cm=None)])
    assert set(outcome.predictions) == {"body_fat_percent"}
    assert [finding.reason for finding in outcome.quality] == ["no stature"]


class Opinion(Threshold):
    """A segmenter that holds some of the views for photos of another pose."""

    def __init__(self, posed: set[str]):
        super().__init__()
        self.posed = posed

    def forward(self, photos: torch.Tensor):
        seen = super().forward(photos)
        seen.faults[[VIEWS.index(view) for view in self.posed], 2] = 9.0
        return seen


@pytest.mark.parametrize(("posed", "usable"), [({"back"}, True), ({"front", "left"}, False), (set(VIEWS), False)])
def test_a_person_who_does_not_stand_as_asked_in_several_views(pipeline: Pipeline, posed: set, usable: bool) -> None:
    """What the segmenter let pass is then no better than what it did not."""
    segmenter = Loaded(pipeline.segmenter.card, Opinion(posed))
    (outcome,) = Pipeline(segmenter, pipeline.avatar, pipeline.estimator).process([scan()])
    assert {(finding.view, finding.reason) for finding in outcome.quality} == {(view, "pose") for view in posed}
    assert (outcome.indeterminate is None) == bool(outcome.predictions) == usable
    assert set(outcome.silhouettes) == (set(VIEWS) - posed if usable else set())


def test_silhouettes_that_no_body_fits_give_no_numbers(files: dict[str, Path], pipeline: Pipeline) -> None:
    avatar = read_checkpoint(files["avatar"])
    avatar.module.betas_mean += 500.0
    (outcome,) = Pipeline(pipeline.segmenter, avatar, pipeline.estimator).process([scan()])
    assert [finding.reason for finding in outcome.quality] == ["no body"]
    assert (outcome.betas, outcome.predictions, outcome.silhouettes) == (None, {}, {})
    assert outcome.indeterminate == "no plausible body fits the silhouettes"
    assert "outside the span" in outcome.quality[0].detail


class Misled(torch.nn.Module):
    """An avatar that sees no possible body where certain views are present."""

    def __init__(self, avatar: torch.nn.Module, by: set[str]):
        super().__init__()
        self.avatar, self.by = avatar, [VIEWS.index(view) for view in by]

    def forward(self, silhouettes, boxes, present, stature):
        found = self.avatar(silhouettes, boxes, present, stature)
        return found._replace(betas=found.betas + 50.0 * present[:, self.by].any(1, keepdim=True))


def misled(pipeline: Pipeline, *views: str) -> Pipeline:
    avatar = Loaded(pipeline.avatar.card, Misled(pipeline.avatar.module, set(views)))
    return Pipeline(pipeline.segmenter, avatar, pipeline.estimator)


def test_a_view_without_which_a_body_fits_is_set_aside(pipeline: Pipeline) -> None:
    (without,) = pipeline.process([scan(photos={view: scan().photos[view] for view in ("front", "left", "right")})])
    (outcome,) = misled(pipeline, "back").process([scan()])
    assert [(finding.view, finding.reason) for finding in outcome.quality] == [("back", "inconsistent")]
    assert numbers(outcome) == numbers(without)
    assert set(outcome.pose) == {"front", "left", "right"}
    assert set(outcome.silhouettes) == set(VIEWS)  # another checkpoint may make more of it
    (again,) = misled(pipeline, "back").process([scan(photos={}, silhouettes=outcome.silhouettes)])
    assert (numbers(again), again.quality) == (numbers(outcome), outcome.quality)


def test_which_of_two_views_is_wrong_nobody_can_say(pipeline: Pipeline) -> None:
    photos = {view: scan().photos[view] for view in ("front", "back")}
    for one, views in ((misled(pipeline, "back"), photos), (misled(pipeline, "back", "left"), scan().photos)):
        (outcome,) = one.process([scan(photos=views)])
        assert [finding.reason for finding in outcome.quality] == ["no body"]
        assert outcome.indeterminate
        assert not outcome.predictions


def test_an_estimator_needs_nothing_but_one_photo(pipeline: Pipeline) -> None:
    (outcome,) = pipeline.process([ScanInput("x", {"back": photo()})])
    assert np.isfinite(outcome.predictions["body_fat_percent"].value)


def test_a_real_segmenter_runs_from_its_file(files: dict[str, Path]) -> None:
    """Random weights see the person everywhere, so every view is cut off."""
    (outcome,) = Pipeline.load(files).process([scan()])
    assert "cut off" in outcome.indeterminate


def test_checkpoints_of_another_kind_or_body_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="kind 'avatar', not 'estimator'"):
        Pipeline.load({**files, "estimator": files["avatar"]})
    with pytest.raises(ModelFileError, match="No segmenter"):
        Pipeline.load({"avatar": files["avatar"]})
    other = checkpoint(tmp_path, "avatar", "silhouette-avatar-1", {"n_betas": 3, **SMALL})
    with pytest.raises(ModelFileError, match="body with 3 betas"):
        Pipeline.load({**files, "avatar": other})
