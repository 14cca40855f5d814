"""One measure in every group: estimates with intervals, the gap between groups, and the group that fares worst."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from validation.accuracy import SCALE, USES, ErrorTable, bootstrap_tables, key, within_share
from validation.comparison import ratio_of
from validation.errors import NotEnoughData, ShapeMismatch, UnknownOption
from validation.pairs import Floats, codes, confidence, option, pair
from validation.resampling import INTERVALS, Distribution, generator, interval_of
from validation.results import Estimate, Result
from validation.suppression import suppressed

Custom = Callable[[Floats, Floats], float]
# Which way is worse: "high", "low", or "far" (from zero).
WORSE = {
    "bias": "far",
    "sd": "high",
    "mae": "high",
    "rmse": "high",
    "median_ae": "high",
    "mape": "high",
    "see": "high",
    "pearson": "low",
    "ccc": "low",
}


def as_columns(groups: Any) -> pd.DataFrame:
    """Labels in whatever form as a table, one column an attribute."""
    if isinstance(groups, pd.Series):
        return groups.to_frame(name=groups.name if groups.name is not None else "group")
    if isinstance(groups, Mapping):
        return pd.DataFrame(dict(groups))
    return groups if isinstance(groups, pd.DataFrame) else pd.DataFrame({"group": np.asarray(groups)})


def group_order(groups: Any) -> Callable[[str], tuple[Any, ...]]:
    """Key by which groups are put in order: categories in theirs, all else by `sort_key`."""
    ranks = []
    for _, values in as_columns(groups).items():
        known = values.dtype.categories if isinstance(values.dtype, pd.CategoricalDtype) else []
        ranks.append({label(value): place for place, value in enumerate(known)})

    def order(name: str) -> tuple[Any, ...]:
        parts = name.split(" × ") if len(ranks) > 1 else [name]
        if len(parts) != len(ranks):
            return ((math.inf, sort_key(name)),)
        return tuple((rank.get(part, math.inf), sort_key(part)) for rank, part in zip(ranks, parts, strict=True))

    return order


def group_labels(groups: Any, size: int) -> tuple[NDArray[np.object_], str]:
    """One label a row (None where an attribute is missing) and the attribute's name; crossings are joined by " × "."""
    groups = as_columns(groups)
    if len(groups) != size:
        raise ShapeMismatch(f"groups have {len(groups)} rows where {size} are needed")
    parts = [[label(value) for value in groups[name]] for name in groups.columns]
    out = np.empty(size, dtype=object)
    for i, row in enumerate(zip(*parts, strict=True)):
        out[i] = None if None in row else " × ".join(row)
    return out, " × ".join(str(name) for name in groups.columns)


def crossed(name: str, columns: Collection[Any]) -> list[str]:
    """The columns that `name` stands for: itself where there is such a column, else those of a crossing "a*b".

    Raises UnknownOption where a part is no column or is there twice.
    """
    whole = name in columns or "*" not in str(name)
    parts = [name] if whole else [part.strip() for part in name.split("*")]
    for part in parts:
        if part not in columns:
            of = "" if part == name else f" for {name!r}"
            raise UnknownOption(f"there is no column {part!r}{of}; there are {', '.join(map(str, columns))}")
    if len(set(parts)) < len(parts):
        raise UnknownOption(f"{name!r} crosses a column with itself")
    return parts


def label(value: Any) -> str | None:
    """A group's label as text: whole numbers without a decimal point, missing values as None."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


@dataclass(frozen=True)
class Gap(Result):
    """Distance between two groups: `high` has the larger value, `low` the smaller (or those that were asked for)."""

    estimate: Estimate
    high: str | None
    low: str | None
    adjusted_for: int = 1

    def to_dict(self) -> dict[str, Any]:
        return {**self.estimate.to_dict(), "high_group": self.high, "low_group": self.low}

    def __str__(self) -> str:
        return f"{self.high} against {self.low}: {self.estimate}"


def gap(
    groups: Mapping[str, Distribution], *, kind: str = "difference", level: float = 0.95, interval: str = "bca"
) -> Gap:
    """The largest value less (or over) the smallest among independent groups, with a simultaneous interval.

    The pair is chosen by looking at the data, so its interval has confidence 1 - (1 - level) / pairs (Bonferroni over
    all pairs of groups); with two groups nothing is adjusted. Difference: BCa bootstrap over both groups' subjects.
    Ratio: the same on the log scale. `interval` "jackknife" makes t intervals of both.
    """
    usable = {name: item for name, item in groups.items() if math.isfinite(item.estimate)}
    if len(usable) < 2:
        reason = "a gap needs two groups with an estimate"
        return Gap(Estimate.missing(reason, level=level, method="BCa bootstrap"), None, None)
    high = max(usable, key=lambda name: usable[name].estimate)
    low = min(usable, key=lambda name: usable[name].estimate)
    if high == low:  # all equal: any two groups will do
        high, low = list(usable)[:2]
    pairs = math.comb(len(usable), 2)
    simultaneous = 1 - (1 - level) / pairs
    a, b = usable[high], usable[low]
    if kind == "difference":
        found = interval_of(a.minus_independent(b), interval, level=simultaneous)
    else:
        found = ratio_of(a.log().minus_independent(b.log()), level=simultaneous, interval=interval)
    return Gap(_at(found, level), high, low, pairs)


def bias_gap(groups: Mapping[str, tuple[float, float, int]], *, level: float = 0.95) -> Gap:
    """Gap of the bias from each group's (mean, SD, number of subjects) by Welch's t; simultaneous as in `gap`."""
    usable = {name: item for name, item in groups.items() if item[2] >= 2 and math.isfinite(item[1])}
    if len(usable) < 2:
        reason = "a gap needs two groups with an estimate"
        return Gap(Estimate.missing(reason, level=level, method="Welch t"), None, None)
    high = max(usable, key=lambda name: usable[name][0])
    low = min(usable, key=lambda name: usable[name][0])
    if high == low:
        high, low = list(usable)[:2]
    pairs = math.comb(len(usable), 2)
    estimate = welch(usable[high], usable[low], level=1 - (1 - level) / pairs)
    return Gap(_at(estimate, level), high, low, pairs)


def welch(a: tuple[float, float, int], b: tuple[float, float, int], *, level: float = 0.95) -> Estimate:
    """Difference of two means with Welch's interval from (mean, SD, n) of each. Welch BL. Biometrika 1947;34:28-35."""
    va, vb = a[1] ** 2 / a[2], b[1] ** 2 / b[2]
    difference = a[0] - b[0]
    if va + vb == 0:
        return Estimate(difference, None, None, level, "Welch t", "all differences are equal within the groups")
    df = (va + vb) ** 2 / (va**2 / (a[2] - 1) + vb**2 / (b[2] - 1))
    half = float(special.stdtrit(df, (1 + level) / 2)) * math.sqrt(va + vb)
    return Estimate(difference, difference - half, difference + half, level, "Welch t")


def _at(estimate: Estimate, level: float) -> Estimate:
    """The estimate stated at the family's level: its interval is simultaneous over all pairs."""
    return Estimate(estimate.estimate, estimate.low, estimate.high, level, estimate.method, estimate.reason)


@dataclass(frozen=True)
class GroupEstimates:
    """What is told of one group; nothing but its name when it is suppressed.

    `reason` says why, where that is not that the group is smaller than the minimum cell.
    """

    n: int | None
    subjects: int | None
    metrics: dict[str, Estimate]
    suppressed: bool = False
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        if self.suppressed:
            return {"n": None, "suppressed": True, **({} if self.reason is None else {"reason": self.reason})}
        return {"n": self.n, **{name: item.to_dict() for name, item in self.metrics.items()}}


class SubgroupFrame:
    """Metrics of a test, overall and in every group of an attribute or of a crossing of attributes.

    Args (keyword only):
        test, reference: (n,) values; rows with a missing value or label are left out (`left_out` counts them).
        groups: (n,) labels, a Series, or a DataFrame or mapping whose columns are crossed.
        by: the column of `groups` to use, or a crossing of several such as "sex*age"; all of them when not given.
        metrics: names (bias, sd, mae, rmse, median_ae, mape, see, pearson, ccc, "within_3" ...) or a mapping from
            names to functions (test, reference) -> float, which are resampled one by one.
        subject: (n,) labels; subjects are resampled whole.
        interval: "bca", or "jackknife" for groups of fewer than about 100 subjects; of medians and of functions of
            one's own always BCa.
        minimum_cell: groups of fewer subjects are suppressed: neither shown nor used in gaps; and so are further groups
            from which a suppressed one could be worked out, see `validation.suppression`.

    Intervals within a group are those of `error_measures` at `level`; gaps are explained in `gap`.
    Attributes: overall (dict name -> Estimate), by_group (dict label -> GroupEstimates), tables (dict label ->
    errors, of the groups that are shown).
    """

    def __init__(
        self,
        *,
        test: ArrayLike,
        reference: ArrayLike,
        groups: Any,
        by: str | None = None,
        metrics: Sequence[str] | Mapping[str, Custom] = ("bias", "mae", "rmse"),
        subject: ArrayLike | None = None,
        interval: str = "bca",
        level: float = 0.95,
        resamples: int = 10_000,
        seed: int = 1,
        minimum_cell: int = 10,
    ) -> None:
        self.level, self.resamples, self.seed = confidence(level), resamples, seed
        self.interval = option(interval, INTERVALS, "interval")
        self.minimum_cell = minimum_cell
        custom: dict[str, Custom] = dict(metrics) if isinstance(metrics, Mapping) else {}
        self.metrics = tuple(metrics)
        within = tuple(
            sorted({share_of(name) for name in self.metrics if name.startswith("within_") and name not in custom})
        )
        known = {*WORSE, *custom, *(f"within_{key(k)}" for k in within)}
        for name in self.metrics:
            if name not in known:
                raise UnknownOption(f"the metric is {name!r}; known are {', '.join(WORSE)}, within_3 and the like")
        x, y = np.asarray(test, dtype=float), np.asarray(reference, dtype=float)
        if x.shape != y.shape or x.ndim != 1:
            raise ShapeMismatch(f"test has shape {x.shape} and reference {y.shape}: they must be pairs")
        if by is not None:
            if not isinstance(groups, (Mapping, pd.DataFrame)):
                raise UnknownOption("`by` chooses among columns: give groups as a DataFrame or a mapping")
            groups = {name: groups[name] for name in crossed(by, list(groups))}
        labels, self.attribute = group_labels(groups, len(x))
        order = group_order(groups)
        keep = ~np.isnan(x) & ~np.isnan(y) & np.array([item is not None for item in labels], dtype=bool)
        self.left_out = int((~keep).sum())
        x, y = pair(x[keep], y[keep], least=1)
        labels = labels[keep]
        owners = None if subject is None else np.asarray(subject)[keep]

        self.tables: dict[str, ErrorTable] = {}
        self._drawn: dict[str, dict[str, Distribution]] = {}
        whole = ErrorTable(x, y, codes(owners, len(x)), within)
        self.n, self.subjects = len(x), whole.subjects
        self.overall = self._estimates(whole, self._distributions(whole, custom, ""))
        self.by_group: dict[str, GroupEstimates] = {}
        places = {name: labels == name for name in sorted(set(labels), key=order)}
        tables = {
            name: ErrorTable(x[rows], y[rows], codes(None if owners is None else owners[rows], int(rows.sum())), within)
            for name, rows in places.items()
        }
        hidden = suppressed({name: table.subjects for name, table in tables.items()}, minimum_cell)
        for name, table in tables.items():
            if name in hidden:
                self.by_group[name] = GroupEstimates(None, None, {}, suppressed=True, reason=hidden[name])
                continue
            self.tables[name] = table
            self._drawn[name] = self._distributions(table, custom, name)
            self.by_group[name] = GroupEstimates(
                len(table.test), table.subjects, self._estimates(table, self._drawn[name])
            )

    def _distributions(self, table: ErrorTable, custom: Mapping[str, Custom], name: str) -> dict[str, Distribution]:
        drawn: dict[str, Distribution] = {}
        if set(self.metrics) - set(custom):
            drawn = bootstrap_tables(
                {"test": table},
                resamples=self.resamples,
                seed=self.seed,
                place=(self.attribute, name),
                measures=[metric for metric in self.metrics if metric not in custom],
            )["test"]
        for metric, function in custom.items():
            rng = generator(self.seed, "any", self.attribute, name, metric)
            drawn[metric] = bootstrap_any(table, function, resamples=self.resamples, rng=rng)
        return drawn

    def _estimates(self, table: ErrorTable, drawn: Mapping[str, Distribution]) -> dict[str, Estimate]:
        out = {}
        for metric in self.metrics:
            if metric.startswith("within_") and share_of(metric) in table.within:
                out[metric] = within_share(table, share_of(metric), drawn, level=self.level, interval=self.interval)
            else:
                scale = SCALE.get(metric, "raw")
                out[metric] = interval_of(drawn[metric], self._how(metric), level=self.level, scale=scale)
        return out

    def _how(self, metric: str) -> str:
        """How an interval is made: the jackknife is for smooth functions of sums alone."""
        return self.interval if metric in USES or metric.startswith("within_") else "bca"

    def _one(self, metric: str | None) -> str:
        metric = metric or self.metrics[0]
        if metric not in self.metrics:
            raise UnknownOption(f"the metric is {metric!r}; this frame holds {', '.join(self.metrics)}")
        return metric

    def difference(self, metric: str | None = None) -> Gap:
        """Largest less smallest value among the groups that are shown."""
        metric = self._one(metric)
        if metric == "bias":
            return bias_gap({name: subject_moments(table) for name, table in self.tables.items()}, level=self.level)
        drawn = {name: found[metric] for name, found in self._drawn.items()}
        return gap(drawn, level=self.level, interval=self._how(metric))

    def ratio(self, metric: str | None = None) -> Gap:
        """Largest over smallest value among the groups that are shown; for metrics that cannot be negative."""
        metric = self._one(metric)
        drawn = {name: found[metric] for name, found in self._drawn.items()}
        return gap(drawn, kind="ratio", level=self.level, interval=self._how(metric))

    def worst_group(self, metric: str | None = None) -> str | None:
        """Label of the group with the worst estimate (of a function of one's own: the highest); None without groups."""
        metric = self._one(metric)
        way = "low" if metric.startswith("within_") else WORSE.get(metric, "high")
        score = {"high": lambda v: v, "low": lambda v: -v, "far": abs}[way]
        values = {
            name: group.metrics[metric].estimate
            for name, group in self.by_group.items()
            if not group.suppressed and group.metrics[metric].estimate is not None
        }
        return max(values, key=lambda name: score(values[name])) if values else None

    def to_frame(self) -> pd.DataFrame:
        """One row a group and metric, "overall" first: group, metric, n, estimate, low, high, reason."""
        rows = [("overall", self.n, self.overall)]
        rows += [(name, group.n, group.metrics) for name, group in self.by_group.items()]
        found = []
        for name, n, metrics in rows:
            if not metrics:
                reason = self.by_group[name].reason or f"fewer than {self.minimum_cell} subjects"
                found += [{"group": name, "metric": m, "n": None, "reason": reason} for m in self.metrics]
            found += [{"group": name, "metric": m, "n": n, **item.to_dict()} for m, item in metrics.items()]
        return pd.DataFrame(found, columns=["group", "metric", "n", "estimate", "low", "high", "reason"])

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "attribute": self.attribute,
            "n": self.n,
            "left_out": self.left_out,
            "overall": {name: item.to_dict() for name, item in self.overall.items()},
            "by_group": {
                name: {**group.to_dict(), **({"minimum_cell": self.minimum_cell} if group.suppressed else {})}
                for name, group in self.by_group.items()
            },
            "difference": {},
            "ratio": {},
            "worst_group": {},
        }
        for metric in self.metrics:
            out["difference"][metric] = self.difference(metric).to_dict()
            if metric != "bias":
                out["ratio"][metric] = self.ratio(metric).to_dict()
            out["worst_group"][metric] = self.worst_group(metric)
        return out

    def __str__(self) -> str:
        lines = [f"{self.attribute}: {self.n} pairs, {self.level:.0%} intervals"]
        for name, group in {"overall": GroupEstimates(self.n, self.subjects, self.overall), **self.by_group}.items():
            if group.suppressed:
                lines.append(f"  {name}: not shown, {group.reason or f'fewer than {self.minimum_cell} subjects'}")
            else:
                found = "; ".join(f"{metric} {item}" for metric, item in group.metrics.items())
                lines.append(f"  {name} (n = {group.n}): {found}")
        return "\n".join(lines)


_BOUND = re.compile(r"(?P<sign>[<≤>≥]?)\s*(?P<number>[-−]?\d+(?:\.\d+)?)")


def sort_key(name: str) -> tuple[tuple[bool, float, int, str], ...]:
    """Numbers and classes by size ("< 18", "18–39", "≥ 40") before words by alphabet; crossings part by part."""
    out = []
    for part in name.split(" × "):
        found = _BOUND.match(part)
        if found is None:
            out.append((True, 0.0, 0, part))
        else:
            number = float(found["number"].replace("−", "-"))
            out.append((False, number, {"": 0, "<": -2, "≤": -1, "≥": 1, ">": 2}[found["sign"]], part))
    return tuple(out)


def share_of(name: str) -> float:
    """The k of a metric that is called "within_k"."""
    try:
        return float(name.removeprefix("within_"))
    except ValueError:
        raise UnknownOption(f"the metric is {name!r}; shares are named within_3 and the like") from None


def subject_moments(table: ErrorTable) -> tuple[float, float, int]:
    """Mean, SD and number of the subjects' mean errors."""
    means = np.bincount(table.clusters, table.errors) / np.bincount(table.clusters)
    if len(means) < 2:
        return float(means.mean()), math.nan, len(means)
    sd = 0.0 if (means == means[0]).all() else float(means.std(ddof=1))
    return float(means.mean()), sd, len(means)


def bootstrap_any(table: ErrorTable, function: Custom, *, resamples: int, rng: np.random.Generator) -> Distribution:
    """Bootstrap distribution of any function (test, reference) -> float, one resample after the other."""
    if table.subjects < 1:
        raise NotEnoughData("no subject to resample")
    order = np.argsort(table.clusters, kind="stable")
    starts = np.searchsorted(table.clusters[order], np.arange(table.subjects + 1))
    members = [order[a:b] for a, b in pairwise(starts)]
    draws = np.empty(resamples)
    for i in range(resamples):
        chosen = rng.integers(0, table.subjects, table.subjects)
        rows = chosen if table.independent else np.concatenate([members[j] for j in chosen])
        draws[i] = function(table.test[rows], table.reference[rows])
    left_out = np.empty(table.subjects)
    for j in range(table.subjects):
        keep = table.clusters != j
        left_out[j] = function(table.test[keep], table.reference[keep]) if keep.any() else math.nan
    return Distribution(float(function(table.test, table.reference)), draws, (left_out,))
