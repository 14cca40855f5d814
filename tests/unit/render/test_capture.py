"""Captures: the same again from the same seed, whole people, exact masks, and the truth about what is wrong."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from models.errors import BodyRequestError
from models.render.background import BACKGROUND_FAMILIES, Background, place
from models.render.capture import (
    FAULTS,
    Capture,
    Photo,
    camera_of,
    draw_appearance,
    draw_capture,
    encode_jpeg,
    render_photo,
    render_scan,
    render_silhouette,
    render_silhouettes,
)  # fmt: skip
from models.render.lighting import Lighting
from models.render.pose import VIEWS
from models.render.raster import silhouette
from models.render.sensor import Exposure, Phone, decode
from models.render.skin import MONK_TONES, monk_srgb, to_linear

SMALL = (256, 192)


def capture(seed: int = 1, **asked) -> Capture:
    return draw_capture(np.random.default_rng(seed), **asked)


def test_the_same_seed_gives_the_same_bytes(body, builds: np.ndarray) -> None:
    one, other = (render_photo(body, builds[1], capture(3), "left", size=SMALL) for _ in range(2))
    assert one.jpeg == other.jpeg
    assert np.array_equal(one.image, other.image)
    assert np.array_equal(one.silhouette, other.silhouette)
    assert capture(3) == capture(3)
    third = render_photo(body, builds[1], capture(4), "left", size=SMALL)
    assert not np.array_equal(one.image, third.image)


def test_a_scan_is_its_photos(body, builds: np.ndarray) -> None:
    drawn = capture(5)
    scan = render_scan(body, builds[2], drawn, size=SMALL)
    assert list(scan) == list(VIEWS)
    outlines = render_silhouettes(body, builds[2], drawn, size=SMALL)
    for view, photo in scan.items():
        alone = render_photo(body, builds[2], drawn, view, size=SMALL)
        assert alone.jpeg == photo.jpeg
        assert photo.view == view
        assert photo.image.shape == (*SMALL, 3)
        assert photo.image.dtype == photo.silhouette.dtype == np.uint8
        assert np.array_equal(photo.silhouette, outlines[view])


@pytest.mark.parametrize("view", VIEWS)
def test_the_mask_is_what_the_mesh_covers(body, builds: np.ndarray, view: str) -> None:
    drawn = capture(6)
    drawn = dataclasses.replace(drawn, appearance=draw_appearance(np.random.default_rng(2), sex="M"))
    photo = render_photo(body, builds[3], drawn, view, size=SMALL)
    from models.render.capture import _figures

    figure = _figures(body, builds[3], drawn, (view,))[0]
    camera = camera_of(body, builds[3], drawn, view, size=SMALL)
    assert np.array_equal(photo.silhouette, silhouette(figure.vertices, figure.faces, camera, supersample=2))
    assert np.array_equal(photo.mask, photo.silhouette >= 128)
    assert figure.vertices[:, 1].min() == pytest.approx(0, abs=0.003)


def test_light_place_colours_and_phone_noise_leave_the_mask_alone(body, builds: np.ndarray) -> None:
    drawn, other = capture(7), capture(8)
    changed = dataclasses.replace(
        drawn,
        background=other.background,
        lighting=other.lighting,
        exposure=other.exposure,
        falloff=other.falloff,
        phone=dataclasses.replace(other.phone, focal_mm=drawn.phone.focal_mm, k1=drawn.phone.k1),
        seed=other.seed,
    )
    for view in VIEWS:
        one = render_photo(body, builds[1], drawn, view, size=SMALL)
        two = render_photo(body, builds[1], changed, view, size=SMALL)
        assert np.array_equal(one.silhouette, two.silhouette)
        assert not np.array_equal(one.image, two.image)


def test_the_silhouette_is_where_the_picture_changes_with_the_person(body, builds: np.ndarray) -> None:
    # The same place with and without a person: where colours differ is the person.
    drawn = dataclasses.replace(capture(9, families=("studio",)), seed=1)
    drawn = dataclasses.replace(
        drawn,
        phone=dataclasses.replace(drawn.phone, shot=0.0, read=0.0, blur=0.0, sharpen=0.0, contrast=1.0),
        appearance=dataclasses.replace(
            drawn.appearance,
            top=dataclasses.replace(drawn.appearance.top, colour=(0.6, 0.02, 0.02), second_colour=(0.6, 0.02, 0.02)),
            bottom=dataclasses.replace(
                drawn.appearance.bottom, colour=(0.6, 0.02, 0.02), second_colour=(0.6, 0.02, 0.02)
            ),
        ),
    )
    photo = render_photo(body, builds[1], drawn, "front", size=SMALL, compressed=False)
    empty = render_photo(
        body, builds[1], dataclasses.replace(drawn, fault="no_person"), "front", size=SMALL, compressed=False
    )
    assert photo.jpeg is None
    chroma = [cv2.cvtColor(p.image, cv2.COLOR_RGB2LAB)[..., 1:].astype(int) for p in (photo, empty)]
    changed = np.abs(chroma[0] - chroma[1]).max(2) > 14
    assert (photo.mask[changed]).mean() > 0.98
    inside = cv2.erode(photo.mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert changed[inside].mean() > 0.5


def test_a_small_picture_is_the_large_one_made_smaller(body, builds: np.ndarray) -> None:
    drawn = capture(10)
    small = render_photo(body, builds[2], drawn, "front", size=SMALL)
    large = render_photo(body, builds[2], drawn, "front", size=(768, 576))
    shrunk = cv2.resize(large.silhouette, SMALL[::-1], interpolation=cv2.INTER_AREA) >= 128
    assert (shrunk & small.mask).sum() / (shrunk | small.mask).sum() > 0.97
    mean = cv2.resize(large.image, SMALL[::-1], interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(cv2.GaussianBlur(mean - small.image, (0, 0), 4)).mean() < 6


def test_views_share_the_person_and_differ_in_pose() -> None:
    drawn = capture(11)
    poses = [drawn.pose(view)[1:] for view in VIEWS]
    for n in range(4):
        for m in range(n):
            assert not np.array_equal(poses[n], poses[m])
    # One appearance, phone, place and light for all of them, by construction: they are single fields.
    assert {field.name for field in dataclasses.fields(Capture)} >= {"appearance", "phone", "background", "lighting"}


def test_views_are_of_one_body(body, builds: np.ndarray) -> None:
    drawn = capture(12, tone=5)
    scan = render_scan(body, builds[4], drawn, size=(384, 288))
    tall = {view: np.ptp(np.flatnonzero(photo.mask.any(1))) + 1 for view, photo in scan.items()}
    # The same distance; but toes towards the camera reach further down in the picture than heels.
    assert max(tall.values()) / min(tall.values()) < 1.15
    area = {view: photo.mask.sum() for view, photo in scan.items()}
    assert area["front"] == pytest.approx(area["back"], rel=0.15)
    assert area["left"] == pytest.approx(area["right"], rel=0.15)


def test_the_phone_stays_where_it_is_from_view_to_view(body) -> None:
    rng = np.random.default_rng(24)
    low, high = body.span
    moved = 0
    for _ in range(20):
        betas, drawn = np.clip(rng.normal(0, 1, body.n_betas), 0.6 * low, 0.6 * high), draw_capture(rng)
        places = {camera_of(body, betas, drawn, view, size=SMALL).position for view in VIEWS}
        moved += len(places) > 1
    assert moved <= 2  # only where a part of the person would have been cut off


def test_people_of_all_builds_are_whole_in_good_captures(body) -> None:
    rng = np.random.default_rng(13)
    low, high = body.span
    for _ in range(40):
        betas = np.clip(rng.normal(0, 1.2, body.n_betas), 0.7 * low, 0.7 * high)
        for view, outline in render_silhouettes(body, betas, draw_capture(rng), size=SMALL).items():
            assert outline.any(), view
            assert not outline[[0, -1]].any(), view
            assert not outline[:, [0, -1]].any(), view
            assert 0.4 < np.ptp(np.flatnonzero(outline.any(1))) / SMALL[0] <= 1


def test_every_family_can_be_asked_for(body, builds: np.ndarray) -> None:
    rng = np.random.default_rng(14)
    for family in BACKGROUND_FAMILIES:
        drawn = draw_capture(rng, families=(family,))
        assert drawn.background.family == family
        image = render_photo(body, builds[1], drawn, "front", size=SMALL).image
        assert 20 < image.mean() < 235
        assert image.std() > 8


def test_what_is_given_is_not_drawn() -> None:
    first = capture(15)
    again = capture(
        16, appearance=first.appearance, phone=first.phone, background=first.background, lighting=first.lighting
    )
    assert (again.appearance, again.phone, again.background) == (first.appearance, first.phone, first.background)
    assert again.lighting == first.lighting
    assert again.poses != first.poses
    assert capture(17, tone=9).appearance.tone == 9
    tones = {capture(seed).appearance.tone for seed in range(150)}
    assert tones == set(MONK_TONES)


# A studio whose wall reflects about two fifths, so that the exposure suits all tones.
LIGHT_STUDIO = next(
    b for b in (Background("studio", n) for n in range(99)) if 0.36 < place(b).floor_colour.mean() < 0.44
)


def neutral(drawn: Capture, tone: int) -> Capture:
    """The same capture in white light, of a bald man without a shirt before a grey wall, with a plain phone."""
    person = draw_appearance(np.random.default_rng(1), sex="M", tone=tone)
    person = dataclasses.replace(
        person,
        undertone=(1.0, 1.0, 1.0),
        hair=dataclasses.replace(person.hair, style="bald", beard=0.0),
        top=dataclasses.replace(person.top, cut="none"),
    )
    white = (1.0, 1.0, 1.0)
    return dataclasses.replace(
        drawn,
        appearance=person,
        lighting=Lighting("frontal", 0.3, 0.5, 0.2, -0.5, 0.5, white, white),
        background=LIGHT_STUDIO,
        phone=Phone(26.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 95),
        exposure=Exposure(0.0, white, 1.0),
        falloff=(0.0, 0.0, 0.0),
    )


def test_skin_has_its_tone(body, builds: np.ndarray) -> None:
    # In white light, before a light grey wall, the chest has about the colour of the tone's swatch; the palest four are
    # darker than theirs, which are nearly as bright as paper.
    seen = []
    for tone in MONK_TONES:
        photo = render_photo(body, builds[0], neutral(capture(18), tone), "front", size=(384, 288), compressed=False)
        rows, columns = np.nonzero(photo.mask)
        top, bottom = rows.min(), rows.max()
        middle = int(np.median(columns))
        chest = photo.image[
            top + (bottom - top) * 22 // 100 : top + (bottom - top) * 30 // 100, middle - 8 : middle + 8
        ]
        seen.append(np.median(chest.reshape(-1, 3), axis=0))
    away = np.abs(np.array(seen) - [monk_srgb(tone) for tone in MONK_TONES]).max(1)
    assert away[4:].max() < 25
    assert away[:4].max() < 60
    # The order is that of the swatches, of which the third is as light as the first two.
    luminance = to_linear(np.array(seen) / 255) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance[2:]) < 0).all()
    # Skin is redder than green, and greener than blue, as all swatches are.
    assert (np.diff(np.array(seen), axis=1) < 0).all()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_capture_says_what_is_wrong(body, builds: np.ndarray, fault: str) -> None:
    drawn = capture(19, fault=fault)
    scan = render_scan(body, builds[1], drawn, size=SMALL)
    assert {photo.fault for photo in scan.values()} == {fault}
    outlines = render_silhouettes(body, builds[1], drawn, size=SMALL)
    for view, photo in scan.items():
        assert np.array_equal(photo.silhouette, outlines[view])
    assert render_photo(body, builds[1], capture(19), "front", size=SMALL).fault is None


def faulty(body, betas: np.ndarray, fault: str, seeds: range = range(6)) -> list[tuple[Photo, Photo]]:
    """Photos with a fault, and photos of the same seeds without."""
    return [
        tuple(render_photo(body, betas, capture(seed, fault=f), "front", size=SMALL) for f in (fault, None))
        for seed in seeds
    ]  # type: ignore[return-value]


def test_a_cropped_person_reaches_the_picture_s_edge(body, builds: np.ndarray) -> None:
    for bad, good in faulty(body, builds[1], "cropped", range(12)):
        edge = np.r_[bad.silhouette[0], bad.silhouette[-1], bad.silhouette[:, 0], bad.silhouette[:, -1]]
        assert edge.any()
        assert not good.silhouette[[0, -1]].any()


def test_a_blurred_photo_is_less_sharp(body, builds: np.ndarray) -> None:
    sharpness = [
        [cv2.Laplacian(p.image, cv2.CV_64F).var() for p in pair] for pair in faulty(body, builds[1], "blurred")
    ]
    bad, good = np.array(sharpness).T
    assert (bad < 0.5 * good).all()


def test_a_dark_photo_is_darker(body, builds: np.ndarray) -> None:
    for bad, good in faulty(body, builds[1], "too_dark"):
        assert bad.image.mean() < 0.55 * good.image.mean()


def test_no_person_is_no_person(body, builds: np.ndarray) -> None:
    for bad, good in faulty(body, builds[1], "no_person"):
        assert not bad.silhouette.any()
        assert good.silhouette.any()


def test_a_second_person_is_seen_and_is_not_in_the_mask(body, builds: np.ndarray) -> None:
    for seed in range(4):
        drawn = capture(seed, fault="two_persons")
        both = render_photo(body, builds[1], drawn, "front", size=SMALL, compressed=False)
        alone = render_photo(
            body, builds[1], dataclasses.replace(drawn, bystander=None), "front", size=SMALL, compressed=False
        )
        assert np.array_equal(both.silhouette, alone.silhouette)
        changed = np.abs(both.image.astype(int) - alone.image).max(2) > 25
        assert (changed & ~both.mask).sum() > 150


def test_a_wrong_view_shows_another_side_and_a_wrong_pose_another_pose() -> None:
    for seed in range(8):
        shown = dict(capture(seed, fault="wrong_view").shown)
        assert all(shown[view] != view for view in VIEWS)
        assert dict(capture(seed).shown) == {view: view for view in VIEWS}
        away = np.abs(capture(seed, fault="wrong_pose").pose("front") - capture(seed).pose("front")).max()
        assert away > 0.2


def test_a_photo_becomes_a_file(body, builds: np.ndarray) -> None:
    photo = render_photo(body, builds[1], capture(20), "front", size=SMALL)
    assert encode_jpeg(photo) == photo.jpeg
    assert np.array_equal(decode(photo.jpeg), photo.image)
    assert photo.jpeg[:2] == b"\xff\xd8"
    assert len(encode_jpeg(photo, 30)) < len(photo.jpeg)
    assert encode_jpeg(photo, 30) == encode_jpeg(photo, 30)
    bare = render_photo(body, builds[1], capture(20), "front", size=SMALL, compressed=False)
    assert decode(encode_jpeg(bare)).shape == bare.image.shape


def test_what_cannot_be_rendered_is_refused(body, builds: np.ndarray) -> None:
    drawn = capture(21)
    for size in ((0, 100), (100, -5)):
        with pytest.raises(BodyRequestError, match="size"):
            render_photo(body, builds[0], drawn, "front", size=size)
        with pytest.raises(BodyRequestError, match="size"):
            render_silhouette(body, builds[0], drawn, "front", size=size)
    with pytest.raises(BodyRequestError, match="no view 'top'"):
        render_photo(body, builds[0], drawn, "top", size=SMALL)
    with pytest.raises(BodyRequestError):
        render_photo(body, np.full(body.n_betas, np.nan), drawn, "front", size=SMALL)
    with pytest.raises(BodyRequestError):
        render_photo(body, np.zeros(body.n_betas + 1), drawn, "front", size=SMALL)
    with pytest.raises(BodyRequestError, match="one body"):
        render_photo(body, builds, drawn, "front", size=SMALL)
    rng = np.random.default_rng(1)
    for wrong in ({"fault": "sneezing"}, {"sex": "X"}, {"tone": 11}, {"families": ("moon",)}):
        with pytest.raises(BodyRequestError):
            draw_capture(rng, **wrong)


def test_a_person_who_is_not_in_the_picture_is_an_error(body, builds: np.ndarray) -> None:
    drawn = capture(22, fault="cropped")
    away = dataclasses.replace(drawn, setup=dataclasses.replace(drawn.setup, pan_error=1.0, fill=0.8))
    for draw in (render_photo, render_silhouette):
        with pytest.raises(BodyRequestError, match="not in the picture"):
            draw(body, builds[0], away, "front", size=SMALL)


def test_a_camera_inside_the_person_is_an_error(body, builds: np.ndarray) -> None:
    drawn = capture(23, fault="cropped")
    inside = dataclasses.replace(drawn, setup=dataclasses.replace(drawn.setup, fill=40.0, tilt_error=0.0))
    with pytest.raises(BodyRequestError, match="behind the camera"):
        render_photo(body, builds[0], inside, "front", size=SMALL)
