"""Light, shadows, places, and what a phone makes of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from models.body.skeleton import joint
from models.errors import BodyRequestError
from models.render.background import BACKGROUND_FAMILIES, Background, draw_background, place
from models.render.lighting import FLOOR_REACH_M, KINDS, blackbody, draw_lighting, light_body, rig
from models.render.noise import plane, volume
from models.render.pose import draw_pose, stand
from models.render.raster import vertex_normals
from models.render.regions import regions
from models.render.sensor import Exposure, Phone, decode, develop, draw_exposure, draw_phone, encode, metered

GREY = np.array([0.3, 0.3, 0.3])


@pytest.fixture(scope="module")
def standing(body) -> np.ndarray:
    betas = np.zeros(body.n_betas)
    pose = stand(body, betas, draw_pose(np.random.default_rng(1), "front"))
    vertices = body.posed(betas[None], pose[None])[0][0]
    vertices[:, 1] -= vertices[:, 1].min()
    return np.ascontiguousarray(vertices)


def lit(body, vertices: np.ndarray, **changes):
    where = regions(body)
    lighting = dataclasses.replace(draw_lighting(np.random.default_rng(2), False), **changes)
    light = rig(lighting, GREY)
    facing = vertex_normals(vertices, body.faces)
    seen = np.ones(len(vertices), bool)
    return light, facing, light_body(vertices, facing, where.coarse_vertices, where.coarse_faces, seen, light, -1.0)


def test_the_colour_of_light_goes_from_red_to_blue() -> None:
    ratios = [blackbody(kelvin)[2] / blackbody(kelvin)[0] for kelvin in (2000, 2700, 4000, 6500, 9000)]
    assert (np.diff(ratios) > 0).all()
    assert blackbody(6500) == pytest.approx(np.ones(3), abs=0.06)  # the white of sRGB is D65


def test_a_rig_lights_a_surface_before_the_camera_by_about_one() -> None:
    rng = np.random.default_rng(3)
    seen = set()
    for n in range(60):
        lighting = draw_lighting(rng, n % 4 == 0)
        seen.add(lighting.kind)
        light = rig(lighting, GREY)
        front = np.array([0.0, 0.2, 0.98])
        ambient = (np.maximum(light.around @ front, 0)[:, None] * light.radiance).sum(0).mean()
        key = max(light.key_direction @ front, 0) * light.key_power.mean()
        assert 0.4 < ambient + key < 1.3
        assert np.linalg.norm(light.key, axis=1) == pytest.approx(1)
        assert (light.key @ light.key_direction > np.cos(lighting.softness) - 1e-6).all()
    assert seen == set(KINDS)


def test_what_faces_the_light_is_lit_and_what_the_body_hides_is_not(body, standing: np.ndarray) -> None:
    light, facing, shown = lit(body, standing, azimuth=0.0, elevation=0.2, softness=0.02)
    toward = facing @ light.key_direction
    chest = body.weights[:, joint("spine3")] > 0.6
    assert shown.key[chest & (toward > 0.7)].mean() > 0.95
    assert shown.key[chest & (toward < -0.7)].mean() < 0.1
    # An arm before the trunk would shade it: the light from the side does so with the trunk's far side.
    light, facing, shown = lit(body, standing, azimuth=np.pi / 2, elevation=0.1, softness=0.02)
    far = (standing[:, 0] < -0.25) & (standing[:, 1] > 1.0) & (facing @ light.key_direction > 0.5)
    near = (standing[:, 0] > 0.25) & (standing[:, 1] > 1.0) & (facing @ light.key_direction > 0.5)
    assert shown.key[far].mean() < 0.6 * shown.key[near].mean()


def test_folds_get_less_light_from_around(body, standing: np.ndarray) -> None:
    where = regions(body)
    _, facing, shown = lit(body, standing, key_share=0.0)
    forward = facing[:, 2] > 0.3
    # Between the thighs, just below the crotch, against the outer thighs at the same height.
    level = (where.template[:, 1] < where.crotch_y - 0.02) & (where.template[:, 1] > where.crotch_y - 0.12)
    inner = level & (np.abs(where.template[:, 0]) < 0.08) & (facing[:, 0] * np.sign(where.template[:, 0]) < -0.5)
    outer = level & (facing[:, 0] * np.sign(where.template[:, 0]) > 0.5)
    assert inner.sum() > 5
    assert shown.ambient[inner].mean() < 0.7 * shown.ambient[outer].mean()
    assert shown.ambient[forward].min() >= 0


def test_the_body_throws_its_shadow_away_from_the_light(body, standing: np.ndarray) -> None:
    _, _, shown = lit(body, standing, azimuth=-np.pi / 2, elevation=0.9, softness=0.02)
    size = shown.shadows.shape[1]
    x = ((np.arange(size) + 0.5) / size - 0.5) * 2 * FLOOR_REACH_M
    dark = (1 - shown.shadows[0, :, :, 1]).sum(0)
    assert dark[x > 0.3].sum() > 10 * dark[x < -0.3].sum()
    assert shown.shadows.min() >= 0
    assert shown.shadows.max() <= 1 + 1e-5
    # Under the feet hardly any light is left; far away all of it.
    ambient = shown.shadows[0, :, :, 0]
    assert ambient[size // 2 - 6 : size // 2 + 6].min() < 0.5
    assert ambient[0, 0] > 0.97


@pytest.mark.parametrize("family", BACKGROUND_FAMILIES)
def test_every_family_makes_places_that_repeat(family: str) -> None:
    for seed in range(60):
        place.cache_clear()
        one = place(Background(family, seed))
        assert np.isfinite(one.vertices).all()
        assert one.faces.max(initial=-1) < len(one.vertices)
        assert len(one.colours) == len(one.finish) == len(one.faces)
        assert one.colours.min(initial=1) >= 0
        assert one.colours.max(initial=0) <= 1
        assert one.walls[0] < -0.4
        if seed % 20 == 0:
            place.cache_clear()
            other = place(Background(family, seed))
            assert other is not one
            assert np.array_equal(one.vertices, other.vertices)
            assert np.array_equal(one.surfaces, other.surfaces)


def test_a_family_can_be_held_out() -> None:
    rng = np.random.default_rng(4)
    kept = tuple(f for f in BACKGROUND_FAMILIES if f != "gym")
    drawn = {draw_background(rng, kept).family for _ in range(300)}
    assert drawn == set(kept)
    with pytest.raises(BodyRequestError, match="no background family"):
        draw_background(rng, ("moon",))
    with pytest.raises(BodyRequestError, match="at least one"):
        draw_background(rng, ())


def test_noise_has_mean_0_variance_1_and_no_seams() -> None:
    for texture in (volume(), plane()):
        flat = texture.reshape(-1, texture.shape[-1])
        assert np.abs(flat.mean(0)).max() < 0.05
        assert flat.std(0) == pytest.approx(1, abs=1e-3)
    cloudy = plane()[..., 0]
    inside = np.abs(np.diff(cloudy, axis=0)).mean()
    assert np.abs(cloudy[0] - cloudy[-1]).mean() < 1.6 * inside


PHONE = Phone(26.0, 0.0, 0.6, 0.01, 0.001, 0.4, 0.0, 1.0, 1.0, 0.0, 90)
PLAIN = Exposure(0.0, (1.0, 1.0, 1.0), 1.0)
WHITE = np.ones(3)


def flat(value: float, size: tuple[int, int] = (192, 144)) -> np.ndarray:
    """A grey picture with a brighter half, so that the exposure is not set by one value alone."""
    image = np.full((*size, 3), 0.2, np.float32)
    image[:, : size[1] // 2] = value
    return image


def test_the_same_light_gives_the_same_photo_and_another_seed_other_noise() -> None:
    one, other, third = (develop(flat(0.3), PHONE, PLAIN, WHITE, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


def test_exposure_meters_to_the_middle_and_stops_change_it() -> None:
    image = flat(0.2)
    assert metered(image) * 0.2 == pytest.approx(0.26, rel=0.01)
    assert metered(image * 5) == pytest.approx(metered(image) / 5, rel=1e-5)
    dark, normal, bright = (
        develop(flat(0.2), PHONE, dataclasses.replace(PLAIN, stops=stops), WHITE, 1).mean() for stops in (-1, 0, 1)
    )
    assert dark < 0.8 * normal
    assert bright > 1.15 * normal


def test_noise_is_as_large_as_asked() -> None:
    quiet = dataclasses.replace(PHONE, blur=0.0, shot=0.0, read=0.0)
    clean = develop(flat(0.2, (768, 576)), quiet, PLAIN, WHITE, 1).astype(float)
    assert clean.std() < 0.6
    noisy = develop(flat(0.2, (768, 576)), dataclasses.replace(quiet, shot=0.05), PLAIN, WHITE, 1).astype(float)
    # At 0.26 of white the curve's slope is that of sRGB; luminance has the noise of its channels' common part.
    slope = 255 * 1.055 / 2.4 * 0.26 ** (1 / 2.4 - 1)
    expected = slope * 0.05 * np.sqrt(0.26)
    assert noisy.mean(2).std() == pytest.approx(expected, rel=0.12)


def test_white_balance_takes_the_light_s_colour_back() -> None:
    warm = np.array([1.3, 1.0, 0.7])
    image = flat(0.2) * warm.astype(np.float32)
    corrected = develop(image.copy(), PHONE, PLAIN, warm, 1).reshape(-1, 3).mean(0)
    assert np.ptp(corrected) < 3
    left = develop(image.copy(), PHONE, dataclasses.replace(PLAIN, corrected=0.0), warm, 1).reshape(-1, 3).mean(0)
    assert left[0] > left[2] + 30


def test_vignetting_darkens_the_corners_and_shake_smears_edges() -> None:
    plain = develop(flat(0.2), PHONE, PLAIN, WHITE, 1)
    vignetted = develop(flat(0.2), dataclasses.replace(PHONE, vignette=0.3), PLAIN, WHITE, 1)
    assert vignetted[:10, :10].mean() < plain[:10, :10].mean() - 10
    assert vignetted[90:100, 70:74].mean() == pytest.approx(plain[90:100, 70:74].mean(), abs=3)
    sharp = np.abs(np.diff(develop(flat(0.9), PHONE, PLAIN, WHITE, 1).astype(float).mean(2), axis=1)).max()
    for blur in ({"shake": 0.05}, {"defocus": 0.02}):
        soft = develop(flat(0.9), PHONE, dataclasses.replace(PLAIN, **blur), WHITE, 1).astype(float).mean(2)
        assert np.abs(np.diff(soft, axis=1)).max() < 0.5 * sharp


def test_jpeg_is_deterministic_and_near_its_picture() -> None:
    rng = np.random.default_rng(5)
    picture = develop(flat(0.5), draw_phone(rng), draw_exposure(rng), WHITE, 1)
    assert encode(picture, 90) == encode(picture, 90)
    assert len(encode(picture, 40)) < len(encode(picture, 95))
    assert np.abs(decode(encode(picture, 95)).astype(int) - picture).mean() < 3
    for quality in (0, 101):
        with pytest.raises(BodyRequestError, match="quality"):
            encode(picture, quality)
