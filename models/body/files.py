"""Body models from files, and to files."""

from __future__ import annotations

import dataclasses
import functools
import json
import pickle
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from models.body.checks import check_arrays, is_closed
from models.body.data import BodyData
from models.body.pickles import read_pickle
from models.body.skeleton import PARENTS
from models.body.smpl import ARRAYS, LAYOUTS, through_smplx
from models.errors import ModelFileError

OPEN_BODY = "open_body.npz"
_OF_OPEN_BODY = ("v_template", "shapedirs", "J_regressor", "weights", "f", "kintree_table", "scan_pose", "span", "card")
_LARGEST_FILE = 2**31  # bytes, unpacked
_SMPLX_COLUMNS = 300  # fewer, and smplx takes ten


@functools.cache
def open_body() -> BodyData:
    """Calliper's own body, which is packaged: built from CC0 assets, free for any use."""
    with resources.as_file(resources.files("models.body") / OPEN_BODY) as path:
        return load_body(path)


def load_body(path: str | Path, *, n_betas: int | None = None) -> BodyData:
    """A body model from a file: the open body (.npz), SMPL or SMPL-X (.npz, .pkl; needs `calliper[smpl]`).

    n_betas: take only the first so many betas. What kind of file it is, is seen from its content. Pickles are read
    without running anything in them. Raises: ModelFileError if the file is missing, damaged, of another kind, or not to
    be trusted.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"There is no file {path}.", remedy="Check the path; the open body needs none.")
    if n_betas is not None and n_betas < 1:
        raise ModelFileError(f"{n_betas} betas are too few.", remedy="Ask for at least one.")
    if path.suffix == ".npz":
        arrays = _read_npz(path)
    elif path.suffix == ".pkl":
        arrays = read_pickle(path, frozenset(ARRAYS))
    else:
        raise ModelFileError(f"{path} is neither .npz nor .pkl.", remedy="Give a body model in one of these formats.")
    wanted = _OF_OPEN_BODY if "card" in arrays else ARRAYS
    if lacking := [name for name in wanted if name not in arrays]:
        raise ModelFileError(
            f"{path} is no body model: it lacks {', '.join(lacking)}.",
            remedy="Give the open body's file, or an SMPL or SMPL-X model as its publisher gives it.",
        )
    body = _open(arrays, path) if "card" in arrays else _genuine(arrays, path)
    return body if n_betas is None or n_betas >= body.n_betas else _first(body, n_betas)


def save_for_smplx(body: BodyData, path: str | Path) -> None:
    """Writes a model as `smplx.SMPL(path, num_betas=body.n_betas)` reads it: .pkl of plain arrays, about 80 MB.

    Columns of zeros fill shapedirs up to 300, because smplx takes ten betas from files with fewer; pose corrections are
    zero where the model has none. The joints that smplx adds to the 24 are vertices of SMPL's mesh and mean nothing in
    another one; pass it `vertex_ids` of your own.
    """
    n = body.n_vertices
    columns = max(_SMPLX_COLUMNS - body.n_betas, 0)
    posedirs = np.zeros((n, 3, 9 * (len(PARENTS) - 1)), np.float32) if body.posedirs is None else body.posedirs
    content = {
        "v_template": body.v_template,
        "shapedirs": np.concatenate([body.shapedirs, np.zeros((n, 3, columns), np.float32)], axis=2),
        "posedirs": posedirs,
        "J_regressor": body.joint_regressor.toarray(),
        "weights": body.weights.astype(np.float64),
        "f": body.faces.astype(np.uint32),
        "kintree_table": np.array([body.parents, range(len(body.parents))]),
        "name": body.name,
        "licence": body.licence,
    }
    with open(path, "wb") as file:
        pickle.dump(content, file, protocol=4)


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _LARGEST_FILE:
                raise ModelFileError(f"{path} unpacks to more than any body model ({_LARGEST_FILE} bytes).")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in {*ARRAYS, *_OF_OPEN_BODY} if name in stored.files}
    except ModelFileError:
        raise
    except Exception as error:  # zip and numpy raise whatever damaged bytes lead them to
        raise ModelFileError(
            f"{path} is no whole .npz file of plain arrays ({type(error).__name__}).", remedy="Get the file again."
        ) from error


def _open(arrays: dict[str, Any], path: Path) -> BodyData:
    try:
        card = json.loads(str(arrays["card"]))
        name, licence = str(card["name"]), str(card["licence"])
    except (ValueError, TypeError, KeyError) as error:
        raise ModelFileError(f"{path}: its card is not readable.", remedy="Get the file again.") from error
    shape = np.shape(arrays["v_template"])[:1], np.shape(arrays["f"])[:1]
    vertices, faces = (int(size[0]) if size else 0 for size in shape)
    found = check_arrays(arrays, path, vertices=vertices, faces=faces, parents=PARENTS)
    if vertices < 4 or not is_closed(found["f"]):
        raise ModelFileError(f"{path}: its mesh is not watertight.", remedy="Get the file again.")
    betas = found["shapedirs"].shape[2]
    further = {name: np.asarray(arrays[name]) for name in ("span", "scan_pose")}
    for name_, shape_ in (("span", (2, betas)), ("scan_pose", (len(PARENTS), 3))):
        array = further[name_]
        if array.dtype.kind != "f" or array.shape != shape_ or not np.isfinite(array).all():
            raise ModelFileError(
                f"{path}: {name_} is not an array {shape_} of finite numbers.", remedy="Get the file again."
            )
    return BodyData(
        name=name,
        kind="open",
        v_template=found["v_template"],
        shapedirs=found["shapedirs"].astype(np.float32),
        posedirs=None,
        joint_regressor=sparse.csr_array(found["J_regressor"]),
        weights=found["weights"].astype(np.float32),
        faces=found["f"],
        parents=found["kintree_table"][0],
        scan_pose=further["scan_pose"].astype(np.float64),
        span=further["span"].astype(np.float64),
        licence=licence,
        card=card,
    )


def _genuine(arrays: dict[str, Any], path: Path) -> BodyData:
    size = np.shape(arrays["v_template"])
    layout = next((layout for layout in LAYOUTS if size == (layout.vertices, 3)), None)
    if layout is None:
        raise ModelFileError(
            f"{path}: v_template has the shape {size}, which is neither SMPL's (6890, 3) nor SMPL-X's (10475, 3).",
            remedy="Give the model as its publisher gives it; other topologies have no landmarks to measure by.",
        )
    found = check_arrays(arrays, path, vertices=layout.vertices, faces=layout.faces, parents=layout.parents)
    if layout.kind == "smpl" and not is_closed(found["f"]):
        raise ModelFileError(f"{path}: its mesh is not watertight, as SMPL's is.", remedy="Get the file again.")
    return through_smplx(found, layout, path.stem)


def _first(body: BodyData, n_betas: int) -> BodyData:
    return dataclasses.replace(
        body, shapedirs=np.ascontiguousarray(body.shapedirs[:, :, :n_betas]), span=body.span[:, :n_betas]
    )
