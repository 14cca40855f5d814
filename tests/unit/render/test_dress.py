"""Skin, clothes and hair, and where they lie on the body."""

from __future__ import annotations

import numpy as np
import pytest

from models.body.skeleton import joint
from models.errors import BodyRequestError
from models.render.camera import phone_camera
from models.render.capture import draw_appearance
from models.render.garments import (
    BOTTOMS,
    MOST_SPAN_M,
    PATTERNS,
    THICKEST_M,
    TOPS,
    Garment,
    bridge,
    cloth_field,
    draw_garments,
)
from models.render.hair import STYLES, Hair, hair_layer, loose_hair
from models.render.raster import silhouettes
from models.render.regions import regions
from models.render.skin import MONK_SRGB, MONK_TONES, monk_albedo, monk_srgb, to_linear, to_srgb


def garment(cut: str, **more) -> Garment:
    numbers = {"reach": 0.5, "neckline": 0.5, "thickness": 0.002, "pattern_size": 0.05, "sheen": 0.0, **more}
    return Garment(cut=cut, colour=(0.1, 0.1, 0.1), second_colour=(0.2, 0.2, 0.2), pattern="plain", **numbers)


def hair(style: str) -> Hair:
    return Hair(style=style, volume=1.0, receding=0.0, colour=(0.05, 0.03, 0.02), beard=0.0, brows=0.8)


@pytest.mark.parametrize("reach", [0.0, 1.0])
@pytest.mark.parametrize("cut", BOTTOMS)
def test_every_bottom_covers_hips_and_crotch_and_neither_hands_nor_head(body, cut: str, reach: float) -> None:
    where, field = regions(body), cloth_field(body, garment(cut, reach=reach))
    x, y, _ = where.template.T
    near = (np.abs(x) < 0.05) & (where.trunk > -0.005) & (where.trunk < 0.15)
    assert near.sum() > 10
    assert (field[near] > 0).all()
    assert (field[where.head > 0.5] < 0).all()
    assert (field[where.arm > 0.5] < 0).all()
    assert (field[y < where.joints[joint("left_ankle"), 1]] < 0).all()


@pytest.mark.parametrize("neckline", [0.0, 1.0])
@pytest.mark.parametrize("reach", [0.0, 1.0])
@pytest.mark.parametrize("cut", [cut for cut in TOPS if cut != "none"])
def test_every_top_covers_the_breasts_and_neither_hands_nor_head(body, cut: str, reach: float, neckline: float) -> None:
    where, field = regions(body), cloth_field(body, garment(cut, reach=reach, neckline=neckline))
    assert (field[bridge(body).numbers] > 0).all()
    assert (field[where.head > 0.5] < 0).all()
    hands = body.weights[:, [joint("left_hand"), joint("right_hand")]].sum(1) > 0.5
    assert (field[hands] < 0).all()


def test_cuts_are_symmetric(body) -> None:
    where = regions(body)
    from scipy.spatial import cKDTree

    off, partner = cKDTree(where.template).query(where.template * [-1, 1, 1])
    same = off < 1e-3
    assert same.mean() > 0.9
    for cut in BOTTOMS + TOPS:
        field = cloth_field(body, garment(cut))
        assert np.abs(field - field[partner])[same].max() < 0.01


def test_women_always_wear_a_top_and_everybody_a_bottom() -> None:
    rng = np.random.default_rng(1)
    for sex in ("F", None, "M"):
        drawn = [draw_garments(rng, sex) for _ in range(200)]
        assert {bottom.cut for bottom, _ in drawn} == set(BOTTOMS)
        bare = [top.cut == "none" for _, top in drawn]
        assert any(bare) == (sex == "M")
    assert {bottom.pattern for bottom, _ in drawn} == set(PATTERNS)


def test_cloth_moves_the_silhouette_by_millimetres_only(body, builds: np.ndarray) -> None:
    from models.render.capture import _stood
    from models.render.pose import draw_pose, stand

    rng = np.random.default_rng(2)
    betas = builds[2]
    pose = stand(body, betas, draw_pose(rng, "front"))[None]
    person = draw_appearance(rng, sex="F")
    import dataclasses

    person = dataclasses.replace(person, hair=hair("bald"))
    thick = dataclasses.replace(
        person, top=garment("t_shirt", thickness=THICKEST_M), bottom=garment("leggings", thickness=THICKEST_M)
    )
    bare = dataclasses.replace(person, top=garment("none", thickness=0.0), bottom=garment("briefs", thickness=0.0))
    dressed, naked = (_stood(body, betas, pose, [(0.0, 0.0)], look, np.zeros((1, 2)))[0] for look in (thick, bare))
    moved = np.linalg.norm(dressed.vertices - naked.vertices, axis=1)
    spanned = np.zeros(len(moved), bool)
    spanned[bridge(body).numbers] = True
    assert moved[~spanned].max() <= THICKEST_M + 0.0005
    assert moved[spanned].max() <= THICKEST_M + MOST_SPAN_M + 0.0005
    camera = phone_camera((768, 576), height=0.9, distance=2.2)
    outlines = silhouettes(np.stack([dressed.vertices, naked.vertices]), body.faces, camera) > 0
    pixel = 2.2 / camera.focal
    grown = outlines[0] & ~outlines[1]
    # The outline grows by the cloth's thickness along its length, which is not more than some ten metres.
    assert grown.sum() * pixel**2 < THICKEST_M * 12
    assert grown.sum() > 100


def test_garments_that_there_are_none_of_are_refused() -> None:
    with pytest.raises(BodyRequestError, match="no cut"):
        garment("kilt")
    with pytest.raises(BodyRequestError, match="thick"):
        garment("shorts", thickness=0.02)


@pytest.mark.parametrize("style", STYLES)
def test_hair_grows_on_the_head_alone(body, style: str) -> None:
    where = regions(body)
    field, offsets = hair_layer(body, hair(style))
    assert (field[where.head < 0.3] < 0).all()
    grown = np.linalg.norm(offsets, axis=1)
    assert grown[where.head < 0.3].max() == 0
    assert grown.max() < 0.08
    face = (
        (where.head > 0.9) & (np.abs(where.template[:, 0]) < 0.03) & (where.template[:, 2] > where.face.nose_z - 0.02)
    )
    assert face.sum() > 50
    assert (field[face] < 0).all()
    assert (grown[face] == 0).all()
    strand = loose_hair(body, hair(style))
    assert (strand is not None) == (style in ("bun", "ponytail", "bob", "long"))
    if strand is not None:
        # A closed mesh, its faces looking out: its volume is positive.
        a, b, c = strand.vertices[strand.faces].transpose(1, 0, 2)
        assert (a * np.cross(b, c)).sum() / 6 > 1e-5
        edges = np.sort(strand.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_a_hair_style_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(BodyRequestError, match="hair style"):
        hair("mohawk")


def test_the_monk_scale_has_its_published_values() -> None:
    assert len(MONK_TONES) == 10
    assert monk_srgb(1).tolist() == [0xF6, 0xED, 0xE4]
    assert monk_srgb(10).tolist() == [0x29, 0x24, 0x20]
    assert MONK_SRGB[5] == "a07e56"
    luminance = [monk_albedo(tone) @ [0.2126, 0.7152, 0.0722] for tone in MONK_TONES]
    assert (np.diff(luminance[2:]) < 0).all()
    for tone in (0, 11, 2.5):
        with pytest.raises(BodyRequestError, match="no skin tone"):
            monk_srgb(tone)


def test_srgb_and_linear_light_are_each_other_s_inverse() -> None:
    values = np.linspace(0, 1, 1001)
    assert to_srgb(to_linear(values)) == pytest.approx(values, abs=1e-7)
    assert to_linear(0.5) == pytest.approx(0.21404, abs=1e-5)


def test_regions_are_where_they_are_named(body) -> None:
    where = regions(body)
    assert 0.9 < where.scale < 1.15
    assert where.trunk[where.template[:, 1] <= where.crotch_y].max() <= 0
    assert where.blood.min() >= 0
    assert where.blood.max() <= 1
    palms = where.palm > 0.5
    assert palms.sum() > 100
    ends = body.weights[
        :, [joint(f"{s}_{j}") for s in ("left", "right") for j in ("wrist", "hand", "ankle", "foot")]
    ].sum(1)
    assert (ends[palms] > 0.5).all()
    # The coarse mesh keeps the body's surface to a few centimetres, with a fraction of its faces.
    assert len(where.coarse_faces) < 0.35 * len(body.faces)
    assert len(where.skull) > 100
