"""Model files made to do harm: each is refused with an error, and nothing in it runs.

The attacks write a file where they can; that it is not there afterwards shows that they did not run. Those that are
harmless are first shown to work on Python's own unpickler: a payload that cannot do anything would prove nothing.
"""

from __future__ import annotations

import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from models.body.files import load_body
from models.errors import ModelFileError

pytest.importorskip("smplx")
MARKER = "marker-of-the-attack"


class Calls:
    """Pickles to a call of any function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def _dict_with(value: object) -> dict[str, object]:
    return {"v_template": value}


def _os_system() -> object:
    import os

    return Calls(os.system, f"touch {MARKER}")


def _posix_spawn() -> object:
    import subprocess

    return Calls(subprocess.check_call, ["touch", MARKER])


def _eval() -> object:
    return Calls(eval, f"open({MARKER!r}, 'w').close()")


def _exec() -> object:
    return Calls(exec, f"open({MARKER!r}, 'w').close()")


def _open() -> object:
    return Calls(open, MARKER, "w")


def _import_by_builtins() -> object:
    return Calls(getattr, Calls(__import__, "os"), "system")


def _code_by_timeit() -> object:
    import timeit

    return Calls(timeit.timeit, "pass", f"open({MARKER!r}, 'w').close()", timeit.default_timer, 1)


def _numpy_runs_text() -> object:
    from numpy.testing import rundocs

    return Calls(rundocs, MARKER)


def _numpy_loads_a_library() -> object:
    return Calls(np.ctypeslib.load_library, "libc", ".")


def _numpy_writes_a_file() -> object:
    return Calls(np.savetxt, MARKER, [1, 2])


def _numpy_reads_a_pickle() -> object:
    return Calls(np.load, MARKER, None, True)


def _pickle_within() -> object:
    return Calls(pickle.loads, pickle.dumps(_os_system()))


def _torch_loads() -> object:
    import torch

    return Calls(torch.load, MARKER)


def _inside_an_array() -> object:
    array = np.empty(1, object)
    array[0] = _os_system()
    return array


def _inside_a_state() -> object:
    matrix = sparse.csc_matrix(np.eye(3))
    matrix.further = _os_system()
    return matrix


def _as_a_key() -> object:
    return {Calls(eval, f"open({MARKER!r}, 'w').close()"): 1}


ATTACKS = [
    _os_system, _posix_spawn, _eval, _exec, _open, _import_by_builtins, _code_by_timeit, _numpy_runs_text,
    _numpy_loads_a_library, _numpy_writes_a_file, _numpy_reads_a_pickle, _pickle_within, _torch_loads, _inside_an_array,
    _inside_a_state, _as_a_key,
]  # fmt: skip
HARMLESS_HERE = [_os_system, _posix_spawn, _eval, _exec, _code_by_timeit, _numpy_writes_a_file, _pickle_within,
                 _inside_an_array, _inside_a_state]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _refused(path: Path, message: str | None = None) -> ModelFileError:
    with pytest.raises(ModelFileError, match=message) as caught:
        load_body(path)
    assert not (path.parent / MARKER).exists()
    assert path.name in caught.value.what
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("attack", HARMLESS_HERE, ids=lambda attack: attack.__name__)
def test_the_attacks_do_work_on_an_unpickler_without_an_allow_list(here: Path, attack: Callable[[], object]) -> None:
    pickle.loads(pickle.dumps(_dict_with(attack())))
    assert (here / MARKER).exists()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_pickle_that_calls_something_is_refused(here: Path, attack: Callable[[], object], protocol: int) -> None:
    path = here / "SMPL_MALE.pkl"
    path.write_bytes(pickle.dumps(_dict_with(attack()), protocol=protocol))
    _refused(path, "is refused: it asks for")


@pytest.mark.parametrize("attack", [_os_system, _inside_an_array], ids=lambda attack: attack.__name__)
def test_an_npz_with_a_pickle_in_it_is_refused(here: Path, attack: Callable[[], object]) -> None:
    path = here / "SMPLX_MALE.npz"
    np.savez(path, v_template=np.array([attack()], object))
    _refused(path, "plain arrays")


def _raw(*parts: bytes) -> bytes:
    return b"".join(parts)


HAND_MADE = {
    "INST of protocol 0": b"(dS'v_template'\n(S'touch " + MARKER.encode() + b"'\nios\nsystem\ns.",
    "OBJ of protocol 1": b"(cos\nsystem\nS'touch " + MARKER.encode() + b"'\no.",
    "a dotted name": _raw(b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93)R."),
    "a name within what is allowed": _raw(b"\x80\x04\x8c\x05numpy\x8c\x14ndarray.__class__\x93)R."),
    "chumpy's name, a path of attributes": _raw(b"\x80\x04\x8c\x06chumpy\x8c\x09os.system\x93)R."),
    "a module that looks like chumpy": b"cchumpyx\nsystem\n)R.",
    "a module that looks like scipy.sparse": b"cscipy.sparse.linalg\ncsc_matrix\n)R.",
    "another class of scipy.sparse": b"cscipy.sparse\nload_npz\n(S'x'\ntR.",
    "an extension of the registry": b"\x80\x02\x82\x01.",
    "an object outside": b"Pmarker\n.",
    "an object outside, binary": b"\x80\x02U\x01xQ.",
    "a buffer outside": b"\x80\x05\x97.",
    "a stand-in class given a state": b"\x80\x02cnumpy\nndarray\n}U\x0c__setstate__K\x01sb.",
    "a stand-in function given a state": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n}U\x05_callK\x01sb.",
    "a stand-in function given slots": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nN}U\x05_callK\x01s\x86b.",
    "object given an attribute": b"\x80\x02c__builtin__\nobject\n}U\x08__call__K\x01sb.",
    "a class made of a text": b"\x80\x02U\x02os)\x81.",
    "an array of another class": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
    "bytes in another code": b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
    "only a stop": b".",
    "a stack of nothing": b"0000.",
    "a loop of lists": b"]q\x00h\x00a.",
    "a key that takes for ever to hash": b"\x80\x02}()" + b"2\x86" * 80 + b"K\x01u.",
    "a set that takes for ever to hash": b"\x80\x04\x8f()" + b"2\x86" * 80 + b"\x90.",
    "nested deeper than Python recurses": b"(" * 50_000 + b"t" * 50_000 + b".",
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_a_pickle_made_by_hand_is_refused(here: Path, name: str) -> None:
    path = here / "SMPL_MALE.pkl"
    path.write_bytes(HAND_MADE[name])
    _refused(path)


def test_stand_ins_are_left_as_they_were(here: Path) -> None:
    """After attacks on the reader itself it still reads, and still refuses."""
    for name, content in HAND_MADE.items():
        path = here / f"{abs(hash(name))}.pkl"
        path.write_bytes(content)
        _refused(path)
    good = here / "good.pkl"
    good.write_bytes(pickle.dumps({"v_template": np.ones((3, 3)), "f": np.zeros(3)}, protocol=2))
    _refused(good, "lacks shapedirs")
    bad = here / "bad.pkl"
    bad.write_bytes(pickle.dumps(_dict_with(_os_system())))
    _refused(bad, "it asks for")


class _State:
    """Pickles to a numpy array whose state is made up."""

    def __init__(self, *state: object) -> None:
        self.state = state

    def __reduce__(self) -> tuple:
        return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), self.state


def _sparse(**changed: object) -> bytes:
    """A regressor as scipy pickles it: an object of no arguments that is given its state."""
    state = {"_shape": (24, 6890), "data": np.ones(2), "indices": np.array([0, 1]), "indptr": np.zeros(6891, int)}
    pickled = pickle.dumps(state | changed, protocol=2)[2:-1]  # without its frame
    return b"\x80\x02}U\x0bJ_regressorcscipy.sparse._csc\ncsc_matrix\n)\x81" + pickled + b"bs."


F8 = np.dtype("f8")
HUGE = {
    "an array larger than its bytes": pickle.dumps(_dict_with(_State(1, (10**12,), F8, False, b"\0" * 8))),
    "an array of negative size": pickle.dumps(_dict_with(_State(1, (-1, 8), F8, False, b"\0" * 8))),
    "a shape that is a list": pickle.dumps(_dict_with(_State(1, [1], F8, False, b"\0" * 8))),
    "a type of huge items": pickle.dumps(_dict_with(_State(1, (1,), np.dtype("V1000000000"), False, b""))),
    "numpy.ndarray called": pickle.dumps({"v_template": Calls(np.ndarray, (10**12,))}),
    "an array made full": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(L1000000000000L\ntS'b'\ntR.",
    "a memo of four thousand million": b"\x80\x02}r\xff\xff\xff\xff.",
    "bytes without end": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
    "a bytearray without end": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
    "a frame without end": b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"}.",
    "text without end": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
    "a sparse matrix of a million million rows": _sparse(_shape=(10**12, 6890)),
    "a sparse matrix of a million million columns": _sparse(_shape=(24, 10**12)),
    "a sparse matrix that points outside": _sparse(indices=np.array([0, 10**6]), indptr=np.r_[np.zeros(6890, int), 2]),
    "a sparse matrix that runs backwards": _sparse(indptr=np.r_[np.arange(6890)[::-1], 2]),
    "a sparse matrix of lists": _sparse(data=[1, 2]),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_pickle_that_would_fill_the_memory_is_refused_with_little_of_it(here: Path, name: str) -> None:
    path = here / "SMPL_MALE.pkl"
    path.write_bytes(HUGE[name])
    tracemalloc.start()
    try:
        _refused(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000_000


def test_an_npz_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(here: Path) -> None:
    path = here / "SMPL_MALE.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("v_template.npy", "w") as file:
            np.lib.format.write_array(file, np.zeros(1000))
        archive.infolist()[0].file_size = 2**31 + 1  # as the directory of an archive of zeros would say
    with pytest.raises(ModelFileError, match="unpacks to more"):
        load_body(path)


def test_an_npz_whose_header_promises_more_than_it_holds_is_refused(here: Path) -> None:
    path = here / "SMPL_MALE.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("v_template.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3)})
    _refused(path, "no whole .npz")


@pytest.mark.parametrize("seed", range(40))
def test_any_bytes_are_refused_and_nothing_else_happens(here: Path, seed: int) -> None:
    """Random bytes, and pickles with random bytes changed: an error of ours, whatever is in them."""
    rng = np.random.default_rng(seed)
    content = bytearray(pickle.dumps({"v_template": np.ones((40, 3)), "weights": Calls(eval, "1")}, protocol=seed % 6))
    for place in rng.integers(0, len(content), rng.integers(1, 6)):
        content[place] = int(rng.integers(0, 256))
    path = here / "SMPL_MALE.pkl"
    path.write_bytes(bytes(rng.integers(0, 256, 300, dtype=np.uint8)) if seed % 4 == 0 else bytes(content))
    with pytest.raises(ModelFileError):
        load_body(path)
