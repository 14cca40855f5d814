"""Checked input: what comes in as lists, arrays or columns goes on as finite float64 arrays of one length."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from validation.errors import NotEnoughData, NotFinite, OutOfRange, ShapeMismatch, UnknownOption

Floats = NDArray[np.float64]

# Sums of fourth powers of values inside these bounds stay inside double precision (1e-308 to 1.8e308).
LARGEST, SMALLEST = 1e75, 1e-75


def column(values: ArrayLike, name: str = "values", *, least: int = 1) -> Floats:
    """One-dimensional float64 array of at least `least` finite values of a usable size."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise NotFinite(f"{name} holds something that is not a number") from None
    if array.ndim != 1:
        raise ShapeMismatch(f"{name} must be one column, and has shape {array.shape}")
    if not np.isfinite(array).all():
        raise NotFinite(f"{name} holds {int((~np.isfinite(array)).sum())} missing or infinite values")
    if len(array) < least:
        raise NotEnoughData(f"{len(array)} values where at least {least} are needed")
    if len(array):
        largest = float(np.abs(array).max())
        if largest > LARGEST or 0 < largest < SMALLEST:
            raise OutOfRange(f"{name} reaches {largest:.3g}: rescale it, its powers leave double precision")
    return array


def pair(test: ArrayLike, reference: ArrayLike, *, least: int = 1) -> tuple[Floats, Floats]:
    """`test` and `reference` as columns of the same length, at least `least` pairs."""
    x, y = column(test, "test", least=0), column(reference, "reference", least=0)
    if len(x) != len(y):
        raise ShapeMismatch(f"test has {len(x)} values and reference {len(y)}: they must be pairs")
    if len(x) < least:
        raise NotEnoughData(f"{len(x)} {'pair' if len(x) == 1 else 'pairs'} where at least {least} are needed")
    return x, y


def complete(*columns: ArrayLike) -> tuple[Floats, ...]:
    """The rows in which every column has a number (infinite values stay, and are refused later by name)."""
    arrays = [np.asarray(values, dtype=np.float64) for values in columns]
    keep = np.ones(len(arrays[0]), dtype=bool)
    for array in arrays:
        keep &= ~np.isnan(array)
    return tuple(array[keep] for array in arrays)


def codes(labels: ArrayLike | None, size: int, name: str = "subject") -> NDArray[np.intp]:
    """Labels as integers 0..k-1 in order of first appearance; each row a label of its own when None."""
    if labels is None:
        return np.arange(size)
    array = np.asarray(labels)
    if array.shape != (size,):
        raise ShapeMismatch(f"{name} has shape {array.shape} where {size} labels are needed")
    if array.dtype == object:
        array = np.asarray([str(item) for item in array])
    _, first, inverse = np.unique(array, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def number(value: float, name: str) -> float:
    """One finite number of a usable size."""
    if not math.isfinite(value):
        raise NotFinite(f"{name} must be a finite number, and is {value}")
    if abs(value) > LARGEST or 0 < abs(value) < SMALLEST:
        raise OutOfRange(f"{name} is {value:.3g}: rescale it, its powers leave double precision")
    return float(value)


def positive(**values: float) -> None:
    """Refuse numbers that are not finite and above zero."""
    for name, value in values.items():
        if not number(value, name) > 0:
            raise OutOfRange(f"{name} must be positive, and is {value}")


def at_least(n: int, least: int, what: str = "subjects") -> int:
    """A number of subjects that is large enough."""
    if not n >= least:
        raise NotEnoughData(f"{n} {what} where at least {least} are needed")
    return int(n)


def confidence(level: float, name: str = "level") -> float:
    """A confidence level or coverage strictly between 0 and 1."""
    if not 0 < level < 1:
        raise UnknownOption(f"{name} must lie between 0 and 1, and is {level}")
    return float(level)


def option(value: str, known: Sequence[str], name: str) -> str:
    """`value`, when it is one of `known`."""
    if value not in known:
        raise UnknownOption(f"{name} is {value!r}; known are {', '.join(known)}")
    return value


def same(values: Floats) -> bool:
    """Whether all values are equal."""
    return len(values) == 0 or bool((values == values[0]).all())
