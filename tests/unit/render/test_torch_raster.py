"""The rasteriser on tensors draws what the one on arrays draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.errors import BodyRequestError
from models.render import raster, torch_raster
from models.render.camera import Camera, phone_camera
from models.render.pose import VIEWS, draw_pose


@pytest.fixture(scope="module")
def scene(body, builds: np.ndarray) -> tuple[np.ndarray, list[Camera]]:
    rng = np.random.default_rng(3)
    poses = np.array([draw_pose(rng, view) for view in VIEWS])
    bodies, _ = body.posed(builds[1:5], poses)
    cameras = [
        phone_camera((128, 96), height=rng.uniform(-0.2, 0.3), distance=2.4, tilt=0.05, roll=rng.normal(0, 0.05), k1=k1)
        for k1 in (0.0, -0.05, 0.03, -0.2)
    ]
    return bodies, cameras


def test_silhouettes_agree(body, scene: tuple) -> None:
    bodies, cameras = scene
    tensors, faces = torch.from_numpy(bodies), torch.from_numpy(body.faces)
    for samples in (1, 3):
        ours = torch_raster.silhouettes(tensors, faces, cameras, supersample=samples).numpy()
        theirs = raster.silhouettes(bodies, body.faces, cameras, supersample=samples)
        for one, other in zip(ours, theirs, strict=True):
            differing = one != other
            union = ((one > 0) | (other > 0)).sum()
            assert 1 - ((one > 127) != (other > 127)).sum() / union >= 0.995
            # Where they differ at all, the silhouette's edge is within a pixel.
            edge = np.zeros_like(differing)
            for step, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
                edge |= np.roll(other, step, axis) != other
            assert not (differing & ~edge).any()
            assert differing.mean() < 1e-3


def test_depth_and_normals_agree(body, scene: tuple) -> None:
    bodies, cameras = scene
    tensors, faces = torch.from_numpy(bodies), torch.from_numpy(body.faces)
    away = torch_raster.depth(tensors, faces, cameras).numpy()
    facing = torch_raster.normal_maps(tensors, faces, cameras).numpy()
    expected = raster.normal_maps(bodies, body.faces, cameras)
    for n, camera in enumerate(cameras):
        other = raster.depth(bodies[n], body.faces, camera)
        both = np.isfinite(away[n]) & np.isfinite(other)
        assert away[n][both] == pytest.approx(other[both], abs=1e-5)
        assert np.abs(facing[n][both] - expected[n][both]).max() < 1e-4


def test_slices_of_any_size_give_the_same(body, scene: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies, cameras = scene
    tensors, faces = torch.from_numpy(bodies[:2]), torch.from_numpy(body.faces)
    whole = torch_raster.visibility(tensors, faces, cameras[:2])
    monkeypatch.setattr(torch_raster, "MOST_TESTS", 700)
    sliced = torch_raster.visibility(tensors, faces, cameras[:2])
    assert all(torch.equal(one, other) for one, other in zip(whole, sliced, strict=True))


def test_a_batch_is_its_pictures(body, scene: tuple) -> None:
    bodies, cameras = scene
    tensors, faces = torch.from_numpy(bodies), torch.from_numpy(body.faces)
    together = torch_raster.silhouettes(tensors, faces, cameras)
    for n, camera in enumerate(cameras):
        assert torch.equal(together[n : n + 1], torch_raster.silhouettes(tensors[n : n + 1], faces, camera))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_draws_the_same(body, scene: tuple) -> None:
    bodies, cameras = scene
    tensors, faces = torch.from_numpy(bodies), torch.from_numpy(body.faces)
    here = torch_raster.visibility(tensors, faces, cameras)
    there = torch_raster.visibility(tensors.cuda(), faces.cuda(), cameras)
    assert (here[0] != there[0].cpu()).float().mean() < 1e-3
    both = (here[0] >= 0) & (there[0].cpu() >= 0)
    assert torch.allclose(here[1][both], there[1].cpu()[both], atol=1e-4)


def test_what_cannot_be_drawn_is_refused(sphere: tuple) -> None:
    points, faces = torch.from_numpy(sphere[0])[None], torch.from_numpy(sphere[1])
    camera = Camera((64, 48), 60.0, (0.0, 0.0, 3.0))
    with pytest.raises(BodyRequestError, match="behind its camera"):
        torch_raster.silhouettes(points, faces, Camera((64, 48), 60.0, (0.0, 0.0, 0.5)))
    with pytest.raises(BodyRequestError, match="not finite"):
        torch_raster.silhouettes(points * torch.nan, faces, camera)
    with pytest.raises(BodyRequestError, match="one camera"):
        torch_raster.silhouettes(points, faces, [camera, camera])
    with pytest.raises(BodyRequestError, match="vertices"):
        torch_raster.depth(points[0], faces, camera)
    with pytest.raises(BodyRequestError, match="supersample"):
        torch_raster.silhouettes(points, faces, camera, supersample=0)
