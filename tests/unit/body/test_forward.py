"""The forward pass: torch, NumPy and geometry agree; gradients are right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from models.body.data import BodyData, rotation_matrices
from models.body.files import load_body
from models.body.model import BodyModel
from models.body.skeleton import PARENTS, joint, scan_pose


@pytest.fixture(scope="module")
def request_(body: BodyData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return 0.7 * rng.normal(size=(4, body.n_betas)), 0.4 * rng.normal(size=(4, 24, 3)), rng.normal(size=(4, 3))


@pytest.fixture(scope="module")
def corrected(smpl_arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> BodyData:
    """A model with pose corrections, as SMPL has them."""
    pytest.importorskip("smplx")
    path = tmp_path_factory.mktemp("smpl") / "SMPL_NEUTRAL.npz"
    np.savez(path, **smpl_arrays)
    return load_body(path)


def _torch(model: BodyModel, *arrays: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    dtype = model.v_template.dtype
    with torch.no_grad():
        out = model(*(None if array is None else torch.tensor(array, dtype=dtype) for array in arrays))
    return out.vertices.numpy(), out.joints.numpy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_and_numpy_give_the_same_bodies(body: BodyData, request_, dtype: torch.dtype) -> None:
    vertices, joints = body.posed(*request_)
    ours = _torch(BodyModel(body, dtype), *request_)
    assert ours[0].shape == (4, body.n_vertices, 3)
    assert ours[1].shape == (4, 24, 3)
    assert abs(ours[0] - vertices).max() < 1e-6
    assert abs(ours[1] - joints).max() < 1e-6


def test_torch_and_numpy_give_the_same_bodies_with_pose_corrections(corrected: BodyData) -> None:
    rng = np.random.default_rng(6)
    request = rng.normal(size=(2, corrected.n_betas)), 0.4 * rng.normal(size=(2, 24, 3)), rng.normal(size=(2, 3))
    vertices, joints = corrected.posed(*request)
    ours = _torch(BodyModel(corrected, torch.float64), *request)
    assert abs(ours[0] - vertices).max() < 1e-6
    assert abs(ours[1] - joints).max() < 1e-6


def test_without_a_pose_the_body_is_the_template_and_its_shape(body: BodyData, request_) -> None:
    betas = request_[0]
    by_hand = body.v_template + np.einsum("nk,vik->nvi", betas, body.shapedirs.astype(float))
    assert abs(body.shaped(betas) - by_hand).max() < 1e-6
    model = BodyModel(body, torch.float64)
    assert abs(_torch(model, betas)[0] - by_hand).max() < 1e-6
    assert abs(_torch(model, betas, np.zeros((24, 3)))[0] - by_hand).max() < 1e-6
    assert abs(_torch(model, betas)[1] - body.joints(by_hand)).max() < 1e-6


def test_posing_follows_the_tree_of_joints(body: BodyData, request_) -> None:
    """Beside a plain computation: each vertex as the weighted mean of where its joints' rigid motions take it."""
    betas, pose, translation = (part[:1] for part in request_)
    rest, shaped = body.joints(body.shaped(betas))[0], body.shaped(betas)[0]
    motions = []
    for j, parent in enumerate(PARENTS):
        own = np.eye(4)
        own[:3, :3] = Rotation.from_rotvec(pose[0, j]).as_matrix()
        own[:3, 3] = rest[j] - (rest[parent] if parent >= 0 else 0)
        motions.append(own if parent < 0 else motions[parent] @ own)
    expected = np.zeros_like(shaped)
    for j, motion in enumerate(motions):
        moved = (shaped - rest[j]) @ motion[:3, :3].T + motion[:3, 3]
        expected += body.weights[:, [j]] * moved
    vertices, joints = body.posed(betas, pose, translation)
    assert abs(vertices[0] - expected - translation[0]).max() < 1e-6
    assert abs(joints[0] - np.array([motion[:3, 3] for motion in motions]) - translation[0]).max() < 1e-6


def test_turning_the_root_turns_the_whole_body(body: BodyData, request_) -> None:
    betas = request_[0][:1]
    pose = np.zeros((24, 3))
    pose[0] = [0, np.pi / 2, 0]
    vertices, joints = body.posed(betas, pose)
    root = joints[0, 0]
    turn = Rotation.from_rotvec(pose[0]).as_matrix()
    assert abs(vertices[0] - ((body.shaped(betas)[0] - root) @ turn.T + root)).max() < 1e-6


def test_the_scan_pose_lowers_straight_arms_away_from_the_trunk(body: BodyData) -> None:
    _, joints = body.posed(np.zeros((1, body.n_betas)), body.scan_pose)
    for side in ("left", "right"):
        arm = joints[0, joint(f"{side}_wrist")] - joints[0, joint(f"{side}_shoulder")]
        angle = np.degrees(np.arccos(-arm[1] / np.linalg.norm(arm)))
        assert 30 < angle < 50
    assert np.array_equal(scan_pose().astype(np.float32), body.scan_pose.astype(np.float32))


def test_each_body_of_a_batch_is_its_own(body: BodyData, request_) -> None:
    model = BodyModel(body, torch.float64)
    together = _torch(model, *request_)[0]
    alone = [_torch(model, *(part[i : i + 1] for part in request_))[0][0] for i in range(4)]
    assert abs(together - np.stack(alone)).max() < 1e-9
    assert _torch(model, *(part[:0] for part in request_))[0].shape == (0, body.n_vertices, 3)
    assert body.posed(*(part[:0] for part in request_))[0].shape == (0, body.n_vertices, 3)


@pytest.mark.parametrize("still", [False, True], ids=["moved", "at rest"])
def test_gradients_are_right(body: BodyData, request_, still: bool) -> None:
    """Also at rest, where the formula of the rotation has a quotient of zeros. A few inputs stand for all."""
    model = BodyModel(body, torch.float64)
    vertices, joints, betas = [100, 4001, 9002, 13000], [0, 5, 16, 23], 4
    others = torch.tensor(request_[0][:1, betas:])
    resting = torch.tensor(request_[1][:1, 6:]) * (not still)
    varied = (request_[0][:1, :betas], request_[1][:1, :6] * (not still), request_[2][:1])

    def forward(few: torch.Tensor, pose: torch.Tensor, translation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = model(torch.cat([few, others], 1), torch.cat([pose, resting], 1), translation)
        return out.vertices[:, vertices], out.joints[:, joints]

    inputs = tuple(torch.tensor(part, requires_grad=True) for part in varied)
    assert torch.autograd.gradcheck(forward, inputs, eps=1e-5, atol=1e-6)


def test_the_model_has_buffers_and_nothing_to_train(body: BodyData) -> None:
    model = BodyModel(body)
    assert not list(model.parameters())
    assert {buffer.dtype for buffer in model.double().buffers()} == {torch.float64}
    assert not model.state_dict()  # its arrays come from the body's file, not from a checkpoint
    assert model.data is body


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_graphics_card_gives_the_same_bodies(body: BodyData, request_) -> None:
    out = BodyModel(body).to("cuda")(*(torch.tensor(part, dtype=torch.float32, device="cuda") for part in request_))
    assert abs(out.vertices.cpu().numpy() - body.posed(*request_)[0]).max() < 1e-5


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-5, 0.009, 0.011, 1.0, 3.1, 6.0])
def test_rotations_are_those_of_scipy(size: float) -> None:
    from models.body.model import rotation_matrices as in_torch

    vectors = np.random.default_rng(7).normal(size=(5, 3))
    vectors *= size / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = Rotation.from_rotvec(vectors).as_matrix()
    assert abs(rotation_matrices(vectors) - expected).max() < 1e-12
    assert abs(in_torch(torch.tensor(vectors)).numpy() - expected).max() < 1e-12
