"""Model files: the open body through smplx, SMPL and SMPL-X through our interface, and everything that can be wrong."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from models.body.data import BodyData
from models.body.files import load_body, open_body, save_for_smplx
from models.body.model import BodyModel
from models.errors import ModelFileError

smplx = pytest.importorskip("smplx")
PACKAGED = Path(sys.modules["models.body.files"].__file__).with_name("open_body.npz")


def _quietly(make: Any, *arguments: Any, **options: Any) -> Any:
    """smplx prints when a file has ten betas, and leaves it open."""
    with contextlib.redirect_stdout(io.StringIO()):
        return make(*arguments, **options)


def _request(body: BodyData, n: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(11)
    pose = 0.3 * rng.normal(size=(n, 24, 3))
    pose[:, 22:] = 0
    parts = rng.normal(size=(n, body.n_betas)), pose, rng.normal(size=(n, 3))
    return tuple(torch.tensor(part, dtype=torch.float32) for part in parts)


# The open body in smplx


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "open_body.pkl"
    save_for_smplx(open_body(), path)
    return path


def test_the_open_body_loads_in_smplx_and_gives_the_same_vertices(body: BodyData, exported: Path) -> None:
    betas, pose, translation = _request(body)
    theirs = smplx.SMPL(str(exported), num_betas=body.n_betas, batch_size=3)
    assert theirs.num_betas == body.n_betas
    with torch.no_grad():
        out = theirs(betas=betas, global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1), transl=translation)
        ours = BodyModel(body)(betas, pose, translation)
    assert (out.vertices - ours.vertices).abs().max() <= 1e-5
    assert (out.joints[:, :24] - ours.joints).abs().max() <= 1e-5


def test_the_export_is_a_command(tmp_path: Path) -> None:
    path = tmp_path / "body.pkl"
    done = subprocess.run(
        [sys.executable, "-m", "models.body", "--for-smplx", str(path)], capture_output=True, text=True, check=True
    )
    assert "smplx.SMPL" in done.stdout
    assert path.stat().st_size > 50_000_000


# Genuine layouts


@pytest.fixture
def fake_chumpy(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Modules and classes with chumpy's names, to write pickles as chumpy does; reading must do without."""
    classes = {}
    for module, name in (("chumpy", None), ("chumpy.ch", "Ch"), ("chumpy.reordering", "Select")):
        made = types.ModuleType(module)
        if name:
            classes[name] = type(name, (), {"__module__": module})
            setattr(made, name, classes[name])
        monkeypatch.setitem(sys.modules, module, made)
    return types.SimpleNamespace(**classes)


class Python2Pickler(pickle._Pickler):
    """Writes strings and bytes as Python 2 did: raw, both alike. The official files are of that time."""

    def _text(self, value: str | bytes) -> None:
        raw = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch = pickle._Pickler.dispatch | {str: _text, bytes: _text}


def _as_published(arrays: dict[str, np.ndarray], chumpy: types.SimpleNamespace) -> dict[str, Any]:
    """Shape and template as chumpy's arrays, the regressor sparse, and entries that no reader needs."""
    whole = chumpy.Ch()
    wider = np.concatenate([arrays["shapedirs"], np.ones((*arrays["shapedirs"].shape[:2], 2))], axis=2)
    whole.__dict__.update(x=wider, _dirty_vars=set(), _itr=None, _status="new")
    chosen = chumpy.Select()
    index = np.arange(wider.size).reshape(wider.shape)[:, :, : arrays["shapedirs"].shape[2]]
    chosen.__dict__.update(a=whole, idxs=index.ravel(), preferred_shape=arrays["shapedirs"].shape, _dirty_vars=set())
    template = chumpy.Ch()
    template.__dict__.update(x=arrays["v_template"])
    return arrays | {
        "shapedirs": chosen,
        "v_template": template,
        "J_regressor": sparse.csc_matrix(arrays["J_regressor"]),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
        "vert_sym_idxs": np.arange(6890),
        "J": np.zeros((24, 3)),
    }


def _old_names(content: bytes) -> bytes:
    """Where numpy and scipy kept these functions and classes when the files were made."""
    new = ((b"numpy._core.multiarray", b"numpy.core.multiarray"), (b"scipy.sparse._csc", b"scipy.sparse.csc"))
    for now, then in new:
        assert now in content
        content = content.replace(now, then)
    return content


def _python2(content: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(content)
    return _old_names(file.getvalue())


def _check_smpl(read: BodyData, arrays: dict[str, np.ndarray]) -> None:
    assert (read.kind, read.n_vertices, read.n_betas, read.faces.shape) == ("smpl", 6890, 10, (13776, 3))
    assert abs(read.v_template - arrays["v_template"]).max() < 1e-6
    assert abs(read.shapedirs - arrays["shapedirs"]).max() < 1e-6
    assert abs(read.joint_regressor.toarray() - arrays["J_regressor"]).max() < 1e-6
    assert read.parents[0] == -1
    assert "non-commercial" in read.licence


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5, "Python 2"])
def test_official_pickles_are_read_without_chumpy(
    smpl_arrays: dict[str, np.ndarray],
    fake_chumpy: types.SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    protocol: int | str,
) -> None:
    content = _as_published(smpl_arrays, fake_chumpy)
    path = tmp_path / "basicModel_f_lbs_10_207_0_v1.0.0.pkl"
    path.write_bytes(_python2(content) if protocol == "Python 2" else pickle.dumps(content, protocol=protocol))
    for module in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        monkeypatch.setitem(sys.modules, module, None)  # importing them would fail
    _check_smpl(load_body(path), smpl_arrays)


def test_an_smpl_npz_is_read_and_moves_as_in_smplx(smpl_arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "SMPL_FEMALE.npz"
    np.savez(path, **smpl_arrays)
    read = load_body(path)
    _check_smpl(read, smpl_arrays)
    assert read.name == "SMPL_FEMALE"
    theirs = _quietly(smplx.SMPL, "", data_struct=types.SimpleNamespace(**smpl_arrays), batch_size=3)
    betas, pose, translation = _request(read)
    pose[:, 22:] = 0.2
    with torch.no_grad():
        out = theirs(betas=betas, global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1), transl=translation)
        ours = BodyModel(read)(betas, pose, translation)
    assert (out.vertices - ours.vertices).abs().max() <= 1e-5
    assert (out.joints[:, :24] - ours.joints).abs().max() <= 1e-5


def test_an_smpl_file_with_300_betas_gives_them_all_or_as_many_as_asked(
    smpl_arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    more = np.random.default_rng(1).normal(0, 1e-3, (6890, 3, 290))
    path = tmp_path / "SMPL_MALE.npz"
    np.savez(path, **smpl_arrays | {"shapedirs": np.concatenate([smpl_arrays["shapedirs"], more], axis=2)})
    assert load_body(path).n_betas == 300
    few = load_body(path, n_betas=16)
    assert few.n_betas == 16
    assert few.shaped(np.ones((1, 16))).shape == (1, 6890, 3)


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_smplx_files_are_read_and_move_as_in_smplx(
    smplx_arrays: dict[str, np.ndarray], tmp_path: Path, suffix: str
) -> None:
    """With jaw, eyes and fingers at rest, all vertices are those of the model with 55 joints."""
    path = tmp_path / f"SMPLX_NEUTRAL{suffix}"
    others = {"joint2num": {"Pelvis": 0}, "part2num": {"Pelvis": 0}}  # objects, which the official file has as well
    if suffix == ".npz":
        np.savez(path, **smplx_arrays, **{name: np.array(value, object) for name, value in others.items()})
    else:
        path.write_bytes(pickle.dumps(smplx_arrays | others, protocol=4))
    read = load_body(path)
    assert (read.kind, read.n_vertices, read.n_betas) == ("smplx", 10475, 300)
    assert read.weights.shape == (10475, 24)
    theirs = _quietly(
        smplx.SMPLX, str(path), ext=suffix[1:], num_betas=300, use_pca=False, flat_hand_mean=True, batch_size=3,
        dtype=torch.float32,
    )  # fmt: skip
    betas, pose, translation = _request(read)
    with torch.no_grad():
        out = theirs(betas=betas, global_orient=pose[:, 0], body_pose=pose[:, 1:22].flatten(1), transl=translation)
        ours = BodyModel(read)(betas, pose, translation)
    assert (out.vertices - ours.vertices).abs().max() <= 1e-5
    assert (out.joints[:, :22] - ours.joints[:, :22]).abs().max() <= 1e-5
    assert (out.joints[:, [28, 43]] - ours.joints[:, 22:]).abs().max() <= 1e-5  # the middle fingers


def test_a_hand_of_smplx_bends_as_one(smplx_arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "SMPLX_NEUTRAL.npz"
    np.savez(path, **smplx_arrays)
    read = load_body(path, n_betas=10)
    pose = np.zeros((24, 3))
    pose[22] = [0, 0, 0.5]
    moved = np.linalg.norm(read.posed(np.zeros((1, 10)), pose)[0][0] - read.v_template, axis=1) > 1e-6
    assert moved.any()
    assert np.array_equal(moved, moved & (read.weights[:, 22] > 0))


def test_without_smplx_the_error_names_the_extra(
    smpl_arrays: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "SMPL_FEMALE.npz"
    np.savez(path, **smpl_arrays)
    monkeypatch.setitem(sys.modules, "smplx", None)
    with pytest.raises(ModelFileError, match=r"calliper\[smpl\].*non-commercial"):
        load_body(path)


def test_the_open_body_needs_no_smplx() -> None:
    code = (
        "import sys; sys.modules['smplx'] = None; from models.body import open_body; open_body(); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# What can be wrong


def _damaged(arrays: dict[str, np.ndarray], what: str) -> dict[str, Any]:
    arrays = dict(arrays)
    first = arrays["f"].copy()
    match what:
        case "lacks shapedirs":
            del arrays["shapedirs"]
        case "not finite":
            arrays["v_template"] = np.where(np.arange(3) == 1, np.nan, arrays["v_template"])
        case "infinite weights":
            arrays["weights"] = np.where(arrays["weights"] > 0.9, np.inf, arrays["weights"])
        case "no shape columns":
            arrays["shapedirs"] = arrays["shapedirs"][:, :, :0]
        case "shapes that do not fit":
            arrays["shapedirs"] = arrays["shapedirs"][:-1]
        case "another topology":
            arrays = {name: value[:5000] if len(value) == 6890 else value for name, value in arrays.items()}
        case "a face of no vertex":
            first[7, 1] = 6890
            arrays["f"] = first
        case "a hole":
            first[7] = first[8]
            arrays["f"] = first
        case "fewer faces":
            arrays["f"] = first[:-2]
        case "weights of 1.2":
            arrays["weights"] = arrays["weights"] * 1.2
        case "negative weights":
            arrays["weights"] = arrays["weights"] + np.where(np.arange(24) < 2, [[0.5], [-0.5]] * 3445, 0)
        case "another tree":
            table = arrays["kintree_table"].copy()
            table[0, 5] = 0
            arrays["kintree_table"] = table
        case "a root with a parent":
            table = arrays["kintree_table"].copy()
            table[0, 0] = 3
            arrays["kintree_table"] = table
        case "centimetres":
            arrays["v_template"] = arrays["v_template"] * 100
        case "text":
            arrays["v_template"] = arrays["v_template"].astype("U8")
        case "an array of objects":
            arrays["weights"] = arrays["weights"].astype(object)
    return arrays


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("lacks shapedirs", "lacks shapedirs"),
        ("not finite", "v_template holds values that are not finite"),
        ("infinite weights", "weights holds values that are not finite"),
        ("no shape columns", "no columns"),
        ("shapes that do not fit", r"shapedirs has the shape \(6889, 3, 10\)"),
        ("another topology", r"\(5000, 3\), which is neither SMPL's"),
        ("a face of no vertex", "vertices that are not there"),
        ("a hole", "not watertight"),
        ("fewer faces", r"f has the shape \(13774, 3\), not \(13776, 3\)"),
        ("weights of 1.2", "weights adds up to 1.2"),
        ("negative weights", "weights adds up to .* or is negative"),
        ("another tree", "skeleton"),
        ("a root with a parent", "first joint has a parent"),
        ("centimetres", "metres"),
        ("text", "v_template is not an array of numbers"),
    ],
)
def test_a_wrong_model_is_refused_with_what_is_wrong(
    smpl_arrays: dict[str, np.ndarray], tmp_path: Path, what: str, message: str
) -> None:
    path = tmp_path / "SMPL_FEMALE.npz"
    np.savez(path, **_damaged(smpl_arrays, what))
    with pytest.raises(ModelFileError, match=message) as caught:
        load_body(path)
    assert str(path) in caught.value.what
    assert caught.value.remedy


def test_arrays_of_objects_are_refused(smpl_arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "SMPL_FEMALE.npz"
    np.savez(path, **_damaged(smpl_arrays, "an array of objects"))
    with pytest.raises(ModelFileError, match="file of plain arrays"):
        load_body(path)


@pytest.fixture(scope="module")
def whole_files(smpl_arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("whole") / "SMPL.npz"
    few = smpl_arrays | {"posedirs": np.zeros((6890, 3, 207), np.float32)}
    np.savez_compressed(path, **few)
    return {"open": PACKAGED.read_bytes(), "npz": path.read_bytes(), "pkl": pickle.dumps(few, protocol=2)}


@pytest.mark.parametrize("kind", ["open", "npz", "pkl"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(whole_files: dict[str, bytes], tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / ("model.pkl" if kind == "pkl" else "model.npz")
    path.write_bytes(whole_files[kind][: int(share * len(whole_files[kind]))])
    with pytest.raises(ModelFileError, match=r"model\.(npz|pkl)"):
        load_body(path)


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_of_the_open_body_are_seen(whole_files: dict[str, bytes], tmp_path: Path, seed: int) -> None:
    """Wherever in the archive's content: a checksum guards it."""
    rng = np.random.default_rng(seed)
    content = bytearray(whole_files["open"])
    for place in rng.integers(200, int(0.99 * len(content)), 3):
        content[place] ^= int(rng.integers(1, 256))
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        load_body(path)


def _open_arrays() -> Iterator[dict[str, np.ndarray]]:
    with np.load(PACKAGED) as stored:
        return {name: stored[name] for name in stored.files}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"card": np.array("{")}, "card is not readable"),
        ({"card": np.array("{}")}, "card is not readable"),
        ({"span": np.zeros((2, 3), np.float32)}, "span is not an array"),
        ({"scan_pose": np.full((24, 3), np.nan)}, "scan_pose is not an array"),
        ({"f": np.zeros((26756, 3), np.uint32)}, "not watertight"),
        ({"f": np.zeros(5, np.uint32)}, "f has the shape"),
        ({"v_template": np.zeros((0, 3))}, "v_template|shapedirs"),
        ({"J_regressor": np.zeros((24, 13380), np.float32)}, "J_regressor adds up to 0"),
    ],
)
def test_a_wrong_open_body_is_refused(tmp_path: Path, change: dict[str, np.ndarray], message: str) -> None:
    path = tmp_path / "body.npz"
    np.savez(path, **_open_arrays() | change)
    with pytest.raises(ModelFileError, match=message):
        load_body(path)


@pytest.mark.parametrize("lacking", ["v_template", "f", "span", "weights"])
def test_an_open_body_that_lacks_an_array_is_refused(tmp_path: Path, lacking: str) -> None:
    path = tmp_path / "body.npz"
    np.savez(path, **{name: array for name, array in _open_arrays().items() if name != lacking})
    with pytest.raises(ModelFileError, match=f"lacks {lacking}"):
        load_body(path)


def test_paths_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="There is no file"):
        load_body(tmp_path / "none.npz")
    with pytest.raises(ModelFileError, match="There is no file"):
        load_body(tmp_path)
    other = tmp_path / "body.obj"
    other.write_text("v 0 0 0\n")
    with pytest.raises(ModelFileError, match=r"neither \.npz nor \.pkl"):
        load_body(other)
    with pytest.raises(ModelFileError, match="0 betas are too few"):
        load_body(PACKAGED, n_betas=0)


def test_a_pickle_of_something_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "list.pkl"
    path.write_bytes(pickle.dumps([1, 2, 3]))
    with pytest.raises(ModelFileError, match="holds no model but a list"):
        load_body(path)
    path.write_bytes(pickle.dumps({"model": 1}))
    with pytest.raises(ModelFileError, match="lacks v_template"):
        load_body(path)


def test_the_first_betas_of_the_open_body_can_be_had_alone(body: BodyData) -> None:
    few = load_body(PACKAGED, n_betas=10)
    betas = np.random.default_rng(0).normal(size=(2, body.n_betas))
    betas[:, 10:] = 0
    assert abs(few.shaped(betas[:, :10]) - body.shaped(betas)).max() < 1e-6
    assert load_body(PACKAGED, n_betas=10_000).n_betas == body.n_betas
