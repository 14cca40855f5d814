"""Body models from files, and to files."""

from __future__ import annotations

import functools
import json
from importlib import resources
from pathlib import Path

import numpy as np
from scipy import sparse

from models.body.data import BodyData

OPEN_BODY = "open_body.npz"


@functools.cache
def open_body() -> BodyData:
    """Calliper's own body, which is packaged: built from CC0 assets, free for any use."""
    with resources.as_file(resources.files("models.body") / OPEN_BODY) as path:
        return _read_open(path)


def _read_open(path: Path) -> BodyData:
    with np.load(path, allow_pickle=False) as stored:
        card = json.loads(str(stored["card"]))
        parents = stored["kintree_table"][0].astype(np.int64)
        return BodyData(
            name=card["name"],
            kind="open",
            v_template=stored["v_template"].astype(np.float64),
            shapedirs=stored["shapedirs"].astype(np.float32),
            posedirs=None,
            joint_regressor=sparse.csr_array(stored["J_regressor"].astype(np.float64)),
            weights=stored["weights"].astype(np.float32),
            faces=stored["f"].astype(np.int64),
            parents=parents,
            scan_pose=stored["scan_pose"].astype(np.float64),
            span=stored["span"].astype(np.float64),
            licence=card["licence"],
            card=card,
        )
