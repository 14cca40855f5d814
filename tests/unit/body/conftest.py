"""Files of the exact layout in which SMPL and SMPL-X are published, made from the open body: no licence needed.

The mesh is thinned out by collapsing edges to the published numbers of vertices and faces: it is a closed body still.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.body.data import BodyData
from models.body.files import open_body

SMPL_FACES, SMPLX_FACES = 13776, 20908
SMPLX_PARENTS = [
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15,
    20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38,
    21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53,
]  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def body() -> BodyData:
    return open_body()


def thinned(body: BodyData, n_vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Which vertices of a closed mesh stay, and the faces on them, after collapsing short edges."""
    faces = {i: tuple(face) for i, face in enumerate(body.faces.tolist())}
    around: list[set[int]] = [set() for _ in range(body.n_vertices)]  # faces at each vertex
    for i, face in faces.items():
        for v in face:
            around[v].add(i)

    def neighbours(v: int) -> set[int]:
        return {w for i in around[v] for w in faces[i]} - {v}

    gone = 0
    for v in np.random.default_rng(0).permutation(body.n_vertices).tolist():
        if gone == body.n_vertices - n_vertices:
            break
        near = neighbours(v)
        # Collapsing v into u keeps the surface closed if they share just the corners of the two faces at their edge.
        for u in sorted(near, key=lambda w: np.sum((body.v_template[v] - body.v_template[w]) ** 2)):
            if len(near & neighbours(u)) == 2 and len(near) < 9:
                for i in list(around[v]):
                    if u in faces[i]:
                        for w in faces[i]:
                            around[w].discard(i)
                        del faces[i]
                    else:
                        faces[i] = tuple(u if w == v else w for w in faces[i])
                        around[u].add(i)
                around[v] = set()
                gone += 1
                break
    kept = np.array([v for v in range(body.n_vertices) if around[v]])
    new = np.full(body.n_vertices, -1)
    new[kept] = np.arange(len(kept))
    assert len(kept) == n_vertices
    return kept, new[np.array(list(faces.values()))]


def _common(body: BodyData, kept: np.ndarray, columns: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    regressor = body.joint_regressor.toarray()[:, kept]
    # Joints as SMPL has them, means of few vertices: the nearest ones here.
    centre = body.joint_regressor @ body.v_template
    for j in range(24):
        near = np.argsort(np.linalg.norm(body.v_template[kept] - centre[j], axis=1))[:30]
        regressor[j] = 0
        regressor[j, near] = 1 / 30
    shapedirs = rng.normal(0, 0.001, (len(kept), 3, columns))
    shapedirs[:, :, : min(columns, body.n_betas)] = body.shapedirs[kept, :, :columns]
    return {
        "v_template": body.v_template[kept],
        "shapedirs": shapedirs,
        "J_regressor": regressor,
        "weights": body.weights[kept].astype(np.float64),
    }


@pytest.fixture(scope="session")
def smpl_arrays(body: BodyData) -> dict[str, np.ndarray]:
    """The entries of an SMPL file with ten betas, with pose corrections."""
    kept, faces = thinned(body, 6890)
    assert len(faces) == SMPL_FACES
    parents = np.array([4294967295, *body.parents[1:]], np.uint32)
    return _common(body, kept, 10) | {
        "posedirs": np.random.default_rng(2).normal(0, 0.002, (6890, 3, 207)),
        "f": faces.astype(np.uint32),
        "kintree_table": np.stack([parents, np.arange(24, dtype=np.uint32)]),
    }


@pytest.fixture(scope="session")
def smplx_arrays(body: BodyData) -> dict[str, np.ndarray]:
    """The entries of an SMPL-X file of version 1.1: 300 columns of shape, 100 of expression, 55 joints."""
    rng = np.random.default_rng(3)
    kept, faces = thinned(body, 10475)
    common = _common(body, kept, 400)
    weights, regressor = np.zeros((10475, 55)), np.zeros((55, 10475))
    weights[:, :22], regressor[:22] = common["weights"][:, :22], common["J_regressor"][:22]
    head = common["weights"][:, 15]
    weights[:, 15], weights[:, 22:25] = 0.7 * head, 0.1 * head[:, None]
    regressor[22:25] = common["J_regressor"][15]
    for hand, first in ((22, 25), (23, 40)):
        shares = rng.dirichlet(np.ones(15), 10475)
        weights[:, first : first + 15] = shares * common["weights"][:, [hand]]
        regressor[first : first + 15] = common["J_regressor"][hand]
    parents = np.array([4294967295, *SMPLX_PARENTS[1:]], np.uint32)
    return common | {
        "shapedirs": common["shapedirs"].astype(np.float32),
        "J_regressor": regressor,
        "weights": weights,
        "posedirs": rng.normal(0, 0.002, (10475, 3, 486)).astype(np.float32),
        "f": faces[:SMPLX_FACES].astype(np.uint32),
        "kintree_table": np.stack([parents, np.arange(55, dtype=np.uint32)]),
        "lmk_faces_idx": np.zeros(51, np.int64),
        "lmk_bary_coords": np.full((51, 3), 1 / 3),
        "dynamic_lmk_faces_idx": np.zeros((79, 17), np.int64),
        "dynamic_lmk_bary_coords": np.full((79, 17, 3), 1 / 3),
        "hands_componentsl": np.eye(45),
        "hands_componentsr": np.eye(45),
        "hands_meanl": rng.normal(0, 0.2, 45),
        "hands_meanr": rng.normal(0, 0.2, 45),
    }
