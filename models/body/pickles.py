"""Reads the pickles in which SMPL is published, without running anything that stands in them.

A pickle is a program: it names functions and calls them. Here no name reaches the real thing. The few names that the
official files need (numpy arrays of every era, scipy's sparse matrices, chumpy's arrays, sets and the like) get
stand-ins that only keep what they are handed; every other name is refused. What was kept is then read as data, and
checked like any other data.
"""

from __future__ import annotations

import codecs
import io
import math
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from models.errors import ModelFileError

_LARGEST_FILE = 2**31
_LARGEST_ARRAY = 2**30  # bytes
_LARGEST_SIDE = 2**24  # of a sparse matrix
_PLAIN_DTYPE = re.compile(r"[biuf][1248]|b1|[SU]\d{0,6}|O8?")
_REMEDY = "Use the file as its publisher gives it; a pickle that asks for more than arrays is not to be trusted."


class _Kept:
    """Base of the stand-ins: takes any state and does nothing with it."""

    __slots__ = ("state",)

    def __new__(cls, *_: object) -> _Kept:
        kept = super().__new__(cls)
        kept.state = None
        return kept

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Array(_Kept):
    """Stands for numpy.ndarray; its state is (version, shape, dtype, is_fortran, bytes)."""


class _Scalar(_Kept):
    """Stands for a numpy scalar; its state is (dtype, bytes)."""


class _Matrix(_Kept):
    """Stands for a compressed sparse matrix of scipy."""


class _Chumpy(_Kept):
    """Stands for an array of chumpy."""


class _DType(_Kept):
    """Stands for numpy.dtype; its name is `f8` or the like, its state (version, byte order, ...)."""

    __slots__ = ("name",)

    def __new__(cls, name: object = None, *_: object) -> _DType:
        dtype = super().__new__(cls)
        dtype.name = name
        return dtype


class _Function:
    """Stands for a function: calls ours instead, and cannot be given a state."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: object) -> Any:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        raise pickle.UnpicklingError("a function is given attributes")

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a function is given a state")


def _empty_array(kind: object, shape: object, _: object) -> _Array:
    if kind is not _Array or shape not in ((0,), ()):
        raise pickle.UnpicklingError("an array is made otherwise than numpy does it")
    return _Array()


def _array_of_bytes(buffer: object, dtype: object, shape: object, order: object) -> _Array:
    array = _Array()
    array.state = (1, shape, dtype, order == "F", bytes(buffer) if isinstance(buffer, bytes | bytearray) else buffer)
    return array


def _scalar(dtype: object, content: object = b"") -> _Scalar:
    scalar = _Scalar()
    scalar.state = (dtype, content)
    return scalar


def _encode(text: object, encoding: object = "utf-8") -> bytes:
    # How Python 2 and protocol 2 write bytes.
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"text is encoded as {encoding!r}")
    return codecs.encode(text, "latin1")


def _reconstruct(kind: object, *_: object) -> _Kept:
    if not (isinstance(kind, type) and issubclass(kind, _Kept)):
        raise pickle.UnpicklingError("an object of an unknown class is made")
    return kind()


def _collection(items: object = ()) -> list:
    return list(items) if isinstance(items, list | tuple) else []


def _mapping(*_: object) -> dict:
    return {}


def _nothing(*_: object) -> None:
    return None


_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_ALLOWED: dict[tuple[str, str], Any] = {
    **{(module, "_reconstruct"): _Function(_empty_array) for module in _NUMPY},
    **{(module, "scalar"): _Function(_scalar) for module in _NUMPY},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Function(_array_of_bytes) for core in ("core", "_core")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _Function(_encode),
    ("copy_reg", "_reconstructor"): _Function(_reconstruct),
    ("copyreg", "_reconstructor"): _Function(_reconstruct),
    ("__builtin__", "object"): _Kept,
    ("builtins", "object"): _Kept,
    ("__builtin__", "set"): _Function(_collection),
    ("builtins", "set"): _Function(_collection),
    ("__builtin__", "slice"): _Function(_nothing),
    ("builtins", "slice"): _Function(_nothing),
    ("collections", "OrderedDict"): _Function(_mapping),
    ("collections", "defaultdict"): _Function(_mapping),
    ("weakref", "WeakKeyDictionary"): _Function(_mapping),
}
_SPARSE = re.compile(r"scipy\.sparse(\.(_?cs[rc]|_?csr|_?csc))?")


# The unpickler in Python, because the one in C keeps its memo as a list as long as the greatest number in the file.
class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if _SPARSE.fullmatch(module) and name in ("csc_matrix", "csr_matrix", "csc_array", "csr_array"):
            return _CSC if name.startswith("csc") else _CSR
        if module.split(".")[0] == "chumpy" and name.isidentifier():
            return _Chumpy
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("it asks for a registered extension")

    def _load_bytearray(self) -> None:
        # Python makes the array before it knows whether there are so many bytes.
        (size,) = struct.unpack("<Q", self.read(8))
        content = self.read(min(size, _LARGEST_FILE))
        if len(content) < size:
            raise pickle.UnpicklingError("it ends within an array")
        self.append(bytearray(content))

    # Keys are hashed, and the hash of tuples within tuples can take for ever: only plain keys are taken.

    def _load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _fill(self.stack[-1], [key, value])

    def _load_setitems(self) -> None:
        items = self.pop_mark()
        _fill(self.stack[-1], items)

    def _load_dict(self) -> None:
        items = self.pop_mark()
        self.append(_fill({}, items))

    def _load_additems(self) -> None:
        self.pop_mark()  # no set is of interest

    def _load_frozenset(self) -> None:
        self.append(self.pop_mark())

    dispatch = pickle._Unpickler.dispatch | {
        pickle.BYTEARRAY8[0]: _load_bytearray,
        pickle.SETITEM[0]: _load_setitem,
        pickle.SETITEMS[0]: _load_setitems,
        pickle.DICT[0]: _load_dict,
        pickle.ADDITEMS[0]: _load_additems,
        pickle.FROZENSET[0]: _load_frozenset,
    }


def _fill(into: object, items: list) -> dict:
    keys = items[::2]
    if type(into) is not dict or not all(type(key) in (str, bytes, int, float, bool, type(None)) for key in keys):
        raise pickle.UnpicklingError("it has keys that are neither text nor numbers")
    into.update(zip(keys, items[1::2], strict=True))
    return into


class _CSC(_Matrix):
    __slots__ = ()


class _CSR(_Matrix):
    __slots__ = ()


def read_pickle(path: Path, keys: frozenset[str]) -> dict[str, Any]:
    """The entries of a pickled dict that are asked for, as numpy arrays, scipy arrays, numbers or text.

    keys: the names of interest; others are not looked at. Raises: ModelFileError if the pickle is damaged, is no dict,
    or asks for anything beyond arrays.
    """
    if path.stat().st_size > _LARGEST_FILE:
        raise ModelFileError(f"{path} is larger than any body model ({_LARGEST_FILE} bytes).")
    try:
        loaded = _Unpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise ModelFileError(f"{path} is refused: {error}.", remedy=_REMEDY) from error
    except Exception as error:  # a damaged pickle fails in any way at all, and none of them has run anything
        raise ModelFileError(
            f"{path} is a damaged pickle ({type(error).__name__}).", remedy="Get the file again."
        ) from error
    if not isinstance(loaded, dict):
        raise ModelFileError(f"{path} holds no model but a {type(loaded).__name__.strip('_')}.", remedy=_REMEDY)
    try:
        return {name: _plain(value) for name, value in loaded.items() if isinstance(name, str) and name in keys}
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, MemoryError) as error:
        raise ModelFileError(f"{path} holds an array that is none: {error}.", remedy=_REMEDY) from error


def _plain(value: object, depth: int = 0) -> Any:
    """What a stand-in was handed, as data."""
    if depth > 8:
        raise ValueError("it is nested too deep")
    if isinstance(value, _Array):
        return _as_array(value.state)
    if isinstance(value, _Scalar):
        return _as_array((1, (), value.state[0], False, value.state[1]))[()]
    if isinstance(value, _Matrix):
        return _as_sparse(value, depth)
    if isinstance(value, _Chumpy):
        return _as_chumpy(value, depth)
    if isinstance(value, _Kept):
        raise ValueError("an object of no known kind")
    return value


def _as_array(state: Any) -> np.ndarray:
    _, shape, kept, fortran, content = state if len(state) == 5 else (1, *state)
    dtype = _as_dtype(kept)
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("its shape is none")
    if isinstance(content, str):
        content = content.encode("latin1")
    if not isinstance(content, bytes):
        raise ValueError("its content is no bytes")
    if math.prod(shape) * dtype.itemsize != len(content) or len(content) > _LARGEST_ARRAY:
        raise ValueError("its content does not fill its shape")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="))


def _as_dtype(kept: object) -> np.dtype:
    if not isinstance(kept, _DType):
        raise ValueError("its type is none")
    name = kept.name.decode("latin1") if isinstance(kept.name, bytes) else kept.name
    if not isinstance(name, str) or not _PLAIN_DTYPE.fullmatch(name.lstrip("<>=|")) or "O" in name:
        raise ValueError(f"its type is {name!r}")
    dtype = np.dtype(name)
    order = kept.state[1] if isinstance(kept.state, tuple) and len(kept.state) > 1 else "="
    order = order.decode("latin1") if isinstance(order, bytes) else order
    return dtype.newbyteorder(order) if order in ("<", ">") else dtype


def _as_sparse(matrix: _Matrix, depth: int) -> sparse.csr_array:
    state = matrix.state
    if not isinstance(state, dict):
        raise ValueError("a sparse matrix without content")
    data, indices, starts = (_plain(state[name], depth + 1) for name in ("data", "indices", "indptr"))
    shape = tuple(int(_plain(size, depth + 1)) for size in state.get("_shape", state.get("shape", ())))
    if len(shape) != 2 or not all(isinstance(part, np.ndarray) and part.ndim == 1 for part in (data, indices, starts)):
        raise ValueError("a sparse matrix of no shape")
    minor, major = (shape[0], shape[1]) if isinstance(matrix, _CSC) else (shape[1], shape[0])
    fits = 0 <= min(shape) <= max(shape) < _LARGEST_SIDE and len(starts) == major + 1
    fits = (
        fits and starts[0] == 0 and starts[-1] == len(indices) == len(data) and (np.diff(starts.astype(int)) >= 0).all()
    )
    if not fits or (len(indices) and not 0 <= indices.min() <= indices.max() < minor):
        raise ValueError("a sparse matrix that points outside itself")
    kind = sparse.csc_array if isinstance(matrix, _CSC) else sparse.csr_array
    return sparse.csr_array(kind((data, indices, starts), shape=shape))


def _as_chumpy(kept: _Chumpy, depth: int) -> np.ndarray:
    """chumpy's Ch holds its values as x; its Select holds another array as a, and which of its values it takes as
    idxs.
    """
    state = kept.state
    if not isinstance(state, dict):
        raise ValueError("a chumpy array without content")
    if "x" in state:
        return np.asarray(_plain(state["x"], depth + 1))
    if "a" in state and "idxs" in state:
        source = np.asarray(_plain(state["a"], depth + 1)).ravel()
        chosen = np.asarray(_plain(state["idxs"], depth + 1)).ravel()
        shape = state.get("preferred_shape")
        taken = source[chosen]
        return taken if shape is None else taken.reshape([int(_plain(size, depth + 1)) for size in shape])
    raise ValueError("a chumpy expression that is not an array")
