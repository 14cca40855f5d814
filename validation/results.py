"""What every analysis returns: numbers with intervals that a person, a program and a table can read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import pandas as pd

from validation.errors import ValidationError


def number(value: float | None) -> float | None:
    """A plain float, or None for whatever is no finite number: JSON has no NaN."""
    if value is None:
        return None
    value = float(value)
    return value if math.isfinite(value) else None


def exponential(value: float) -> float:
    """e to the power of `value`, infinite where that leaves double precision."""
    return math.exp(value) if value < 709 else math.inf


def digits(value: float | None, places: int = 3) -> str:
    """A number as people read it: `places` decimals, or as many significant digits when it is very small or large."""
    if value is None:
        return "–"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{places + 1}g}"
    return f"{value:.{places}f}"


@dataclass(frozen=True)
class Estimate:
    """A point estimate with its confidence interval, in the unit of the quantity.

    `low` and `high` are the ends of a two-sided interval of confidence `level`, made by `method`. Where something
    cannot be computed it is None, never NaN, and `reason` says why.
    """

    estimate: float | None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str = ""
    reason: str | None = None

    def __post_init__(self) -> None:
        for name in ("estimate", "low", "high"):
            object.__setattr__(self, name, number(getattr(self, name)))
        incomplete = None in (self.estimate, self.low, self.high)
        if incomplete and self.reason is None:
            object.__setattr__(self, "reason", "the result is not a finite number")

    @classmethod
    def missing(cls, reason: str, *, level: float = 0.95, method: str = "") -> Estimate:
        """The estimate that could not be made, and why."""
        return cls(None, None, None, level, method, reason)

    @property
    def interval(self) -> tuple[float | None, float | None]:
        return self.low, self.high

    def __float__(self) -> float:
        return math.nan if self.estimate is None else self.estimate

    def map(self, function: Callable[[float], float], *, method: str | None = None) -> Estimate:
        """The estimate on another scale; the ends are put in order, so `function` may fall."""
        ends = [None if end is None else function(end) for end in (self.low, self.high)]
        if None not in ends:
            ends.sort()
        point = None if self.estimate is None else function(self.estimate)
        return Estimate(point, *ends, self.level, method or self.method, self.reason)

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"estimate": self.estimate, "low": self.low, "high": self.high}
        if self.reason is not None:
            out["reason"] = self.reason
        return out

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame([{**self.to_dict(), "level": self.level, "method": self.method}])

    def __str__(self) -> str:
        if self.estimate is None:
            return f"not computed: {self.reason}"
        if self.low is None or self.high is None:
            return f"{digits(self.estimate)} (no interval: {self.reason})"
        return f"{digits(self.estimate)} ({digits(self.low)} to {digits(self.high)})"


def attempt(function: Callable[[], Estimate], *, level: float = 0.95, method: str = "") -> Estimate:
    """The estimate, or an empty one that carries the reason of the ValidationError."""
    try:
        return function()
    except ValidationError as error:
        return Estimate.missing(str(error), level=level, method=method)


def as_plain(value: Any) -> Any:
    """JSON-ready form of a result: dataclasses become dicts, numpy numbers plain ones, non-finite numbers None."""
    if hasattr(value, "to_dict") and not isinstance(value, (pd.DataFrame, pd.Series)):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return as_plain(value.tolist())
    if isinstance(value, float):
        return number(value)
    return value


class Result:
    """Base of the result dataclasses: `to_dict`, `to_frame` and a readable `str`, made from the fields."""

    def to_dict(self) -> dict[str, Any]:
        return {field.name: as_plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]

    def to_frame(self) -> pd.DataFrame:
        """One row a quantity: quantity, estimate, low, high, reason."""
        return pd.DataFrame(list(rows(self.to_dict())), columns=["quantity", "estimate", "low", "high", "reason"])

    def __str__(self) -> str:
        return readable(self.to_dict(), title=type(self).__name__)


def rows(tree: dict[str, Any], prefix: str = ""):
    """Flatten a result's dict to rows of a table; nested names are joined by a full stop."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and "estimate" in value:
            yield {"quantity": name, **{part: value.get(part) for part in ("estimate", "low", "high", "reason")}}
        elif isinstance(value, dict):
            yield from rows(value, f"{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield {"quantity": name, "estimate": value, "low": None, "high": None, "reason": None}


def readable(tree: dict[str, Any], *, title: str) -> str:
    lines = [title]
    found = list(rows(tree))
    width = max((len(row["quantity"]) for row in found), default=0)
    for row in found:
        interval = f" ({digits(row['low'])} to {digits(row['high'])})" if row["low"] is not None else ""
        reason = f"  {row['reason']}" if row["reason"] else ""
        value = row["estimate"]
        text = str(value) if isinstance(value, int) else digits(value)
        lines.append(f"  {row['quantity']:<{width}}  {text}{interval}{reason}")
    return "\n".join(lines)
