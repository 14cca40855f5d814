"""What is written of an avatar: three files that say the same."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from models.avatar.files import Avatar, BodyFat, contents, shown
from models.avatar.meshes import RENDERED_NOTICE
from models.body.data import BodyData
from models.errors import BodyRequestError
from models.measure import MEASUREMENTS, measure

PATHS = Path("body.glb"), Path("body.json"), Path("body.png")


@pytest.fixture
def avatar(body: BodyData) -> Avatar:
    return Avatar(
        np.zeros(body.n_betas), rendered=True, body_fat=BodyFat(27.0, "estimator", 22.5, 31.5),
        given={"stature_cm": 170.0, "sex": "F", "age": None, "weight_kg": 74.0},
        checkpoints={"avatar": {"name": "shapes@3", "sha256": "0" * 64}}, software={"calliper": "1"},
        views=("front", "left"), quality=({"view": "back", "reason": "blurred", "detail": ""},),
    )  # fmt: skip


def document(avatar: Avatar, body: BodyData, body_fat: float | None = None) -> dict:
    return json.loads(contents(shown(avatar, body, body_fat), *PATHS)[PATHS[1]])


def test_the_measurements_are_those_of_the_mesh(avatar: Avatar, body: BodyData) -> None:
    made = contents(shown(avatar, body), *PATHS)
    said = json.loads(made[PATHS[1]])
    measured = measure(body.shaped(avatar.betas[None])[0], body)
    assert set(said["measurements"]) == set(MEASUREMENTS)
    for name, entry in said["measurements"].items():
        assert entry == {"value": pytest.approx(float(measured[name]), abs=1e-4), "unit": MEASUREMENTS[name].unit}
    mesh = trimesh.load(io.BytesIO(made[PATHS[0]]), file_type="glb", force="mesh", process=False)
    assert np.ptp(mesh.vertices[:, 1]) * 100 == pytest.approx(said["measurements"]["stature_cm"]["value"], abs=0.3)


def test_the_document_says_where_everything_is_from(avatar: Avatar, body: BodyData) -> None:
    said = document(avatar, body)
    assert said["format"] == "calliper-avatar-1"
    assert said["notice"] == RENDERED_NOTICE
    assert said["checkpoints"]["avatar"]["name"] == "shapes@3"
    assert said["given"] == {"stature_cm": 170.0, "sex": "F", "weight_kg": 74.0}
    assert said["quality"] == [{"view": "back", "reason": "blurred", "detail": ""}]
    assert said["body_fat_percent"] == {"value": 27.0, "source": "estimator", "low": 22.5, "high": 31.5, "level": 0.9}
    assert said["morph"] is None
    assert np.array(said["betas"]) == pytest.approx(avatar.betas)


def test_a_morph_says_from_what_to_what(avatar: Avatar, body: BodyData) -> None:
    said = document(avatar, body, 20.0)
    assert said["body_fat_percent"] == {"value": 20.0, "source": "morph"}
    morph = said["morph"]
    assert morph["from"]["body_fat_percent"] == 27.0
    assert (morph["from"]["weight_kg"], morph["from"]["weight_source"]) == (74.0, "given")
    assert morph["to"]["weight_kg"] == pytest.approx(74 * 0.73 / 0.8)
    assert morph["fat_free_mass_kg"] == pytest.approx(74 * 0.73)
    assert morph["from"]["betas"] == [0.0] * body.n_betas
    assert said["measurements"]["waist_cm"]["value"] < document(avatar, body)["measurements"]["waist_cm"]["value"]


def test_without_the_present_body_fat_there_is_no_other(avatar: Avatar, body: BodyData) -> None:
    unknown = Avatar(avatar.betas, rendered=False)
    with pytest.raises(BodyRequestError, match="--from-body-fat"):
        shown(unknown, body, 20.0)
    assert document(unknown, body)["body_fat_percent"] is None
    assert "notice" not in document(unknown, body)


def test_the_same_avatar_has_the_same_files(avatar: Avatar, body: BodyData) -> None:
    assert contents(shown(avatar, body, 20.0), *PATHS) == contents(shown(avatar, body, 20.0), *PATHS)


def test_a_mesh_of_no_known_format_is_refused(avatar: Avatar, body: BodyData) -> None:
    with pytest.raises(BodyRequestError, match=r"End it with \.glb or \.obj"):
        contents(shown(avatar, body), Path("body.stl"), *PATHS[1:])
    assert Path("B.OBJ") in contents(shown(avatar, body), Path("B.OBJ"), *PATHS[1:])
