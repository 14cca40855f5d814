"""The packaged open body: its mesh, its span, its joints, its card."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import resources

import numpy as np
import pytest
import trimesh

from models.body.data import BodyData
from models.body.recipe.people import density
from models.body.skeleton import JOINTS, MIRRORED, PARENTS, joint

PACKAGED = resources.files("models.body") / "open_body.npz"
_LIMBS = ("hip", "knee", "ankle", "foot", "shoulder", "elbow", "wrist", "hand")
CARD = json.loads((resources.files("models.body") / "open_body.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def examples(body: BodyData) -> tuple[list[str], np.ndarray]:
    """Names and betas of the bodies that the file brings along as examples: the corners of its span among them."""
    with np.load(str(PACKAGED)) as stored:
        return body.card["examples"], stored["example_betas"].astype(float)


def _closed(body: BodyData, vertices: np.ndarray) -> trimesh.Trimesh:
    return trimesh.Trimesh(vertices, body.faces, process=False)


def test_it_has_the_parts_of_an_smpl_model(body: BodyData) -> None:
    assert (body.kind, body.n_vertices, body.faces.shape) == ("open", 13380, (26756, 3))
    assert body.n_betas >= 16
    assert body.joint_names == JOINTS
    assert body.parents.tolist() == list(PARENTS)
    assert body.posedirs is None


def test_the_file_is_small_and_its_card_describes_it() -> None:
    content = PACKAGED.read_bytes()
    assert 1_500_000 < len(content) < 3_000_000
    assert CARD["sha256"] == hashlib.sha256(content).hexdigest()
    assert CARD["bytes"] == len(content)
    assert CARD["licence"] == "CC0-1.0"
    assert "Creative Commons CC0 1.0 Universal" in CARD["licence_text"]
    assert len(CARD["sources"]) > 300
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in CARD["sources"].values())


def test_the_card_states_what_the_recipe_measured() -> None:
    """The figures were measured on people that the basis was not learned from."""
    assert CARD["figures"]["held_out_reconstruction_mm"]["mean"] <= 2.0
    assert set(CARD["figures"]["joints_held_out_mm"]) == set(JOINTS)
    assert max(error["worst"] for error in CARD["figures"]["joints_held_out_mm"].values()) <= 10.0


def test_the_mesh_is_watertight_with_faces_outward_for_any_betas(body: BodyData) -> None:
    betas = np.random.default_rng(0).normal(size=(3, body.n_betas))
    for vertices in [body.v_template, *body.shaped(betas)]:
        mesh = _closed(body, vertices)
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert mesh.body_count == 1
        assert mesh.volume > 0.03  # negative if the faces looked inward


def test_it_stands_upright_at_its_pelvis_with_its_left_to_positive_x(body: BodyData) -> None:
    joints = body.joints(body.v_template[None])[0]
    assert abs(joints[0]).max() < 0.005
    assert joints[joint("head"), 1] > 0.4 > -0.6 > joints[joint("left_ankle"), 1]
    assert joints[joint("left_hand"), 0] > 0.5
    toes, heels = joints[joint("left_foot"), 2], joints[joint("left_ankle"), 2]
    assert toes > heels


def test_the_arms_of_the_template_are_stretched_sideways(body: BodyData) -> None:
    joints = body.joints(body.v_template[None])[0]
    for side in ("left", "right"):
        arm = joints[[joint(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist", "hand")]]
        assert np.ptp(arm[:, 1]) < 0.01
        assert np.ptp(arm[:, 2]) < 0.01


def test_template_and_directions_are_symmetric(body: BodyData) -> None:
    from scipy.spatial import cKDTree

    mirrored = body.v_template * [-1, 1, 1]
    distance, other = cKDTree(body.v_template).query(mirrored)
    assert distance.max() < 1e-6
    there = body.shapedirs[other] * np.array([-1, 1, 1])[:, None]
    assert abs(there - body.shapedirs).max() < 1e-6
    assert abs(body.weights[other][:, list(MIRRORED)] - body.weights).max() < 1e-6


def test_at_most_four_joints_move_a_vertex(body: BodyData) -> None:
    assert (body.weights > 0).sum(axis=1).max() <= 4
    assert (body.weights >= 0).all()
    assert abs(body.weights.sum(axis=1) - 1).max() < 1e-6


def test_joints_of_the_limbs_lie_inside_the_body(body: BodyData, examples: tuple[list[str], np.ndarray]) -> None:
    """By the winding number: the solid angle under which a joint sees the mesh is 4π inside and 0 outside.

    Not so the head, whose joint is in the mouth of some, and the spine, which the skin of the leanest hardly covers.
    """
    limbs = [joint(f"{side}_{name}") for side in ("left", "right") for name in _LIMBS]
    vertices = body.shaped(examples[1][::7])
    for mesh, joints in zip(vertices, body.joints(vertices), strict=True):
        for place in joints[limbs]:
            a, b, c = (mesh[body.faces[:, i]] - place for i in range(3))
            la, lb, lc = (np.linalg.norm(side, axis=1) for side in (a, b, c))
            triple = np.einsum("fi,fi->f", a, np.cross(b, c))
            below = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
            winding = (2 * np.arctan2(triple, below)).sum() / (4 * np.pi)
            assert winding == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("sex", ["F", "M"])
def test_the_corners_of_its_span_are_reached(body: BodyData, examples: tuple[list[str], np.ndarray], sex: str) -> None:
    """Stature 1.40 to 2.10 m, BMI 15 to 45: the corners, rebuilt from betas, have what their names say."""
    reached = set()
    for name, betas in zip(*examples, strict=True):
        of, stature, bmi, years = re.match(r"([FM]) ([\d.]+) m BMI ([\d.]+) (\d+) y", name).groups()
        if of != sex:
            continue
        vertices = body.shaped(betas[None])[0]
        tall = np.ptp(vertices[:, 1])
        mass = _closed(body, vertices).volume * density(
            np.array(float(bmi)), np.array(float(years)), np.array(sex == "M")
        )
        assert tall == pytest.approx(float(stature), abs=0.006)
        assert mass / tall**2 == pytest.approx(float(bmi), rel=0.02)
        reached.add((stature, bmi))
    assert {("1.40", "15"), ("1.40", "45"), ("2.10", "15"), ("2.10", "45")} <= reached


def test_examples_are_well_within_the_span_of_betas(body: BodyData, examples: tuple[list[str], np.ndarray]) -> None:
    assert (examples[1] > 0.9 * body.span[0]).all()
    assert (examples[1] < 0.9 * body.span[1]).all()


def test_fat_and_muscle_look_different_at_the_same_bmi(body: BodyData, examples: tuple[list[str], np.ndarray]) -> None:
    """Of two men of equal stature and BMI the soft one is deeper at the belly than the muscular one."""
    named = dict(zip(*examples, strict=True))
    muscular = body.shaped(named["M 1.75 m BMI 31 32 y muscular"][None])[0]
    soft = body.shaped(named["M 1.75 m BMI 30 32 y"][None])[0]
    depth = {}
    for name, vertices in (("muscular", muscular), ("soft", soft)):
        joints = body.joints(vertices[None])[0]
        level = (joints[joint("pelvis"), 1] + joints[joint("spine2"), 1]) / 2
        trunk = (abs(vertices[:, 1] - level) < 0.02) & (abs(vertices[:, 0]) < 0.3)
        depth[name] = np.ptp(vertices[trunk, 2])
    assert depth["soft"] - depth["muscular"] > 0.03
