"""Genuine SMPL and SMPL-X files, brought to the interface of the open body.

SMPL and SMPL-X are not part of this project; whoever has a licence brings the file. It is handed to the `smplx`
package, whose own licence allows non-commercial use only, and which is imported here alone and only when such a file is
read.

SMPL-X has 55 joints. Its jaw and eyes are joined to the head, and the thirty joints of its fingers to two hands, which
lie at the first joints of the middle fingers: these are the 24 joints of SMPL. As long as jaw, eyes and fingers are at
rest this changes no vertex.
"""

from __future__ import annotations

import contextlib
import io
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import sparse

from models.body.data import BodyData
from models.body.skeleton import N_JOINTS, PARENTS, scan_pose
from models.errors import ModelFileError

LICENCE = (
    "SMPL or SMPL-X model licence of the Max-Planck-Gesellschaft, under which you obtained the file, and that of the "
    "package smplx: for non-commercial use only."
)
ARRAYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f", "kintree_table")
_MOST_BETAS = 300
_SPAN = 10.0  # standard deviations of the scans that SMPL was learned from; bodies of people are within 5
_SMPLX_PARENTS = (
    *PARENTS[:22], 15, 15, 15,
    20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38,
    21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53,
)  # fmt: skip
_HEAD, _FACE = 15, slice(22, 25)
_HANDS = ((slice(25, 40), 28), (slice(40, 55), 43))  # the joints of the fingers, and the first joint of the middle one


class Layout(NamedTuple):
    """What distinguishes a kind of file."""

    kind: Literal["smpl", "smplx"]
    vertices: int
    faces: int
    parents: tuple[int, ...]


LAYOUTS = (Layout("smpl", 6890, 13776, PARENTS), Layout("smplx", 10475, 20908, _SMPLX_PARENTS))


def through_smplx(arrays: dict[str, Any], layout: Layout, name: str) -> BodyData:
    """The model as `smplx` takes it.

    arrays: the entries ARRAYS of a file, checked. Raises: ModelFileError if smplx is not installed.
    """
    taken = _smplx_model(arrays)
    if layout.kind == "smplx":
        taken = _with_hands_and_head(taken)
    return BodyData(
        name=name,
        kind=layout.kind,
        v_template=taken["v_template"],
        shapedirs=taken["shapedirs"].astype(np.float32),
        posedirs=taken["posedirs"].astype(np.float32),
        joint_regressor=sparse.csr_array(taken["J_regressor"]),
        weights=taken["weights"].astype(np.float32),
        faces=taken["f"],
        parents=np.array(PARENTS, np.int64),
        scan_pose=scan_pose(),
        span=np.array([[-_SPAN], [_SPAN]]) * np.ones(taken["shapedirs"].shape[2]),
        licence=LICENCE,
    )


def _smplx_model(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    """What `smplx.SMPL` makes of the arrays: it knows how many columns are shape, and what follows is expression.

    `smplx.SMPLX` is not used for SMPL-X files, because it opens them itself and runs the pickles in them.
    """
    try:
        import smplx
        import torch
    except ImportError as error:
        raise ModelFileError(
            "Reading SMPL and SMPL-X files needs the package smplx, which is not installed.",
            remedy="Install it with: pip install 'calliper[smpl]' (its licence allows non-commercial use only).",
        ) from error
    struct = SimpleNamespace(**arrays)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints when a file has ten betas
        model = smplx.SMPL(
            model_path="", data_struct=struct, num_betas=_MOST_BETAS, dtype=torch.float64, create_betas=False,
            create_global_orient=False, create_body_pose=False, create_transl=False,
        )  # fmt: skip
    n = len(arrays["v_template"])
    return {
        "v_template": model.v_template.numpy(),
        "shapedirs": model.shapedirs.numpy(),
        "posedirs": model.posedirs.numpy().T.reshape(n, 3, -1),
        "J_regressor": model.J_regressor.numpy(),
        "weights": model.lbs_weights.numpy(),
        "f": model.faces_tensor.numpy(),
    }


def _with_hands_and_head(taken: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    regressor, weights, posedirs = taken["J_regressor"], taken["weights"], taken["posedirs"]
    body = slice(0, N_JOINTS - 2)
    joined = np.concatenate(
        [weights[:, body], *(weights[:, fingers].sum(1, keepdims=True) for fingers, _ in _HANDS)], axis=1
    )
    joined[:, _HEAD] += weights[:, _FACE].sum(axis=1)
    # Pose corrections of the 21 body joints; what fingers correct belongs to fingers that bend one by one.
    corrections = np.zeros((*posedirs.shape[:2], (N_JOINTS - 1) * 9))
    kept = (N_JOINTS - 3) * 9
    corrections[:, :, :kept] = posedirs[:, :, :kept]
    return taken | {
        "J_regressor": np.concatenate([regressor[body], *(regressor[middle][None] for _, middle in _HANDS)]),
        "weights": joined,
        "posedirs": corrections,
    }
