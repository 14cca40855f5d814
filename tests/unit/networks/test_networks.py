"""The networks: shapes, limits of the hyperparameters, and inputs that may be absent."""

from __future__ import annotations

import pytest
import torch

from models.errors import ModelFileError
from models.networks import ARCHITECTURES, build
from models.networks.avatar import ROWS, SEEN, SPANS, SilhouetteEncoder, outline
from models.networks.mirror import mirrored_pose, mirrored_scan

SMALL = {"components": 8, "features": 16}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def silhouettes(n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.rand(n, 4, 256, 192), torch.rand(n, 4, 4), torch.ones(n, 4, dtype=torch.bool)


def test_a_segmenter_gives_a_mask_of_the_photos_size_and_its_opinion() -> None:
    seen = build("unet-1", {"widths": [4, 8, 8, 8, 8]})(torch.rand(2, 3, 256, 192) * 255)
    assert seen.mask.shape == (2, 256, 192)
    assert (seen.view.shape, seen.people.shape, seen.faults.shape) == ((2, 4), (2, 3), (2, 3))


def test_an_avatar_gives_betas_and_a_pose_for_each_view() -> None:
    given = silhouettes(2)
    seen = build("silhouette-avatar-1", {"n_betas": 20, **SMALL})(*given, torch.tensor([1.6, 1.8]))
    assert (seen.betas.shape, seen.pose.shape, seen.features.shape) == ((2, 20), (2, 4, 24, 3), (2, 16))


def test_a_missing_view_does_not_matter_whatever_stands_in_its_place() -> None:
    network = build("silhouette-avatar-1", {"n_betas": 5, **SMALL})
    pictures, boxes, present = silhouettes(1)
    present[0, 2] = False
    stature = torch.tensor([1.7])
    first = network(pictures, boxes, present, stature).betas
    pictures[0, 2], boxes[0, 2] = 0.3, 7.0
    assert torch.equal(first, network(pictures, boxes, present, stature).betas)


def test_a_person_and_their_mirror_image_have_one_body_and_one_bfp() -> None:
    """Whatever the weights; and the poses are each other's mirror images."""
    pictures, boxes, present = silhouettes(2)
    present[0, 2] = False
    pictures[0, 2], boxes[0, 2] = 0, 0
    other, stature = mirrored_scan(pictures, boxes, present), torch.tensor([1.6, 1.8])
    avatar = build("silhouette-avatar-1", {"n_betas": 5, **SMALL})
    seen, there = avatar(pictures, boxes, present, stature), avatar(*other, stature)
    assert torch.allclose(seen.betas, there.betas, atol=1e-5)
    assert torch.allclose(mirrored_pose(seen.pose), there.pose, atol=1e-5)
    profile = torch.tensor([[1.0, 40.0, 1.7, torch.nan], [0.0, 30.0, 1.6, 60.0]])
    estimator = build("body-fat-1", {**SMALL, "hidden": 8})
    for one, two in zip(estimator(pictures, boxes, present, profile), estimator(*other, profile), strict=True):
        assert torch.allclose(one, two, atol=1e-4)


def test_an_outline_tells_where_a_trunk_and_its_arms_are() -> None:
    """Trunk from column 80.25 to 110.5, arms on both sides of it, on two lines; nothing elsewhere."""
    picture = torch.zeros(1, 1, 256, 192)
    picture[..., 100:104, 81:110] = 1.0
    picture[..., 100:104, 80], picture[..., 100:104, 110] = 0.75, 0.5
    picture[..., 100:104, 60:70], picture[..., 100:104, 120:131] = 1.0, 1.0
    seen = outline(picture, torch.full((1, 1, 4), 0.5))[0, 0]
    assert seen.shape == (SEEN,)
    spans = seen[: SPANS * ROWS].reshape(SPANS, ROWS) * 20
    told = {"covered": 51.25, "left half": 25.75, "middle third": 44.25, "begins": -36.0, "ends": 35.0}
    trunk = {"left": -15.75, "right": 14.5, "width": 30.25}
    assert spans[:, 50].tolist() == pytest.approx([*told.values(), *trunk.values()], abs=1e-4)
    assert spans[:, 51].tolist() == pytest.approx([*told.values(), *trunk.values()], abs=1e-4)
    assert not spans[:, 49].any()
    assert not spans[:, 52].any()
    shares = seen[SPANS * ROWS : -4] / 3 + 0.3
    assert float(shares.sum()) * 64 == pytest.approx(float(picture.sum()), abs=0.01)


def test_readings_begin_as_least_squares_and_a_missing_view_reads_nothing() -> None:
    encoder = SilhouetteEncoder(8, 16, 2)
    outlines = torch.randn(400, 4, SEEN)
    sought = torch.stack([outlines[:, 0, 3] - outlines[:, 1, 700], outlines[:, 2, 1500]], 1)
    outlines[..., 3] *= 30
    sought[:, 0] += 29 * outlines[:, 0, 3] / 30
    encoder.begin(outlines, sought)
    read = torch.einsum("nvs,vrs->nr", outlines, encoder.read) - encoder.read_at_mean.sum(0)
    assert torch.corrcoef(torch.stack([read[:, 0], sought[:, 0]]))[0, 1] > 0.99
    nobody = torch.zeros(1, 4, dtype=torch.bool)
    seen = encoder(torch.rand(1, 4, 256, 192), torch.rand(1, 4, 4), nobody, torch.zeros(1))
    assert not seen.readings.any()


def test_an_estimator_takes_any_part_of_the_profile() -> None:
    network = build("body-fat-1", {**SMALL, "hidden": 8})
    nan = float("nan")
    profiles = torch.tensor([[1.0, 40.0, 1.8, 80.0], [nan, 40.0, nan, 80.0], [nan, nan, nan, nan]])
    seen = network(*silhouettes(3), profiles)
    assert torch.isfinite(seen.mean).all()
    assert (seen.sd > 0).all()
    assert seen.shape.shape == (3, 8)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_reach_every_parameter(name: str) -> None:
    network = build(name, {"n_betas": 5, **SMALL} if "avatar" in name else SMALL if "fat" in name else {})
    network.train()
    if name == "unet-1":
        seen = network(torch.rand(2, 3, 64, 64) * 255)
    else:
        pictures, boxes, present = silhouettes(2)
        present[0] = torch.tensor([True, False, True, False])
        present[1] = torch.tensor([False, True, False, True])
        last = torch.tensor([1.7, 1.8]) if "avatar" in name else torch.tensor([[1.0, 40, 1.8, 80], [0.0, 50, 1.6, 60]])
        seen = network(pictures, boxes, present, last)
    sum((part.float() ** 2).sum() for part in seen).backward()
    untouched = [key for key, value in network.named_parameters() if value.grad is None]
    assert not untouched


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_packaged_sizes_are_small(name: str) -> None:
    network = build(name, {"n_betas": 32} if "avatar" in name else {})
    megabytes = sum(value.numel() for value in network.state_dict().values()) * 2 / 1e6  # in half precision
    assert megabytes < (2 if name == "unet-1" else 5)


@pytest.mark.parametrize(
    ("name", "hyperparameters", "told"),
    [
        ("unet-9", {}, "not known"),
        ("unet-1", {"depth": 3}, "no hyperparameter 'depth'"),
        ("unet-1", {"widths": [8, 10**9]}, "is [8, 1000000000]"),
        ("unet-1", {"widths": "wide"}, "is 'wide'"),
        ("unet-1", {"widths": []}, "is []"),
        ("unet-1", {"widths": [8] * 50}, "list of up to 8"),
        ("unet-1", {"widths": 8}, "No network 'unet-1' can be made"),
        ("silhouette-avatar-1", {}, "No network"),
        ("silhouette-avatar-1", {"n_betas": True}, "is True"),
        ("silhouette-avatar-1", {"n_betas": float("nan")}, "is nan"),
        ("body-fat-1", {"components": 7.5}, "No network"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused(name: str, hyperparameters: dict, told: str) -> None:
    with pytest.raises(ModelFileError) as refused:
        build(name, hyperparameters)
    assert told in str(refused.value)
