"""Agreement in a selection of the pairs of an analysis, quickly: what a page shows while filters are set.

The shape is that of `results` (see `studies.analysis`), so that what renders results renders a selection too. Estimates
are those of the full analysis on the same pairs. Intervals need no resampling: exact or MOVER for limits, t for bias,
the jackknife over subjects for errors and their comparisons, Wilson's for shares, order statistics for medians.
There are no p-values of comparisons and no verdicts: the plan fixed those for everybody, not for a selection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validation.accuracy import SCALE, USES, ErrorTable, within_share
from validation.agreement import bland_altman, empty_agreement
from validation.comparison import ratio_of
from validation.concordance import ccc, pearson
from validation.errors import ValidationError
from validation.pairs import codes
from validation.regression import deming
from validation.resampling import Distribution, jackknife, quantile_interval
from validation.results import Estimate, attempt
from validation.robust import passing_bablok
from validation.subgroups import bias_gap, gap, subject_moments
from validation.suppression import suppressed

Floats = NDArray[np.float64]

INTERVALS = (
    "Intervals are by the jackknife (errors, ratios, Deming's line), by t or exact (bias and limits), "
    "Wilson's (shares) and analytic (Passing and Bablok's line), and there are no p-values of comparisons and no "
    "verdicts. Those of the whole analysis are in the report."
)
MANY = 20_000
"""Above so many pairs no interval of the median: sorting would take longer than all the rest."""
AT_ONCE = 5_000
"""Above so many pairs Passing and Bablok's line is left out until it is asked for: of the most it takes seconds."""
_MANY_REASON = f"not computed for a selection of more than {MANY:,} pairs"
_ASKED_REASON = f"left out of a selection of more than {AT_ONCE:,} pairs until it is asked for"
_REPEATED_REASON = "of repeated measurements it is in the whole analysis only"
_NO_DRAWS = np.empty(0)
_COMPARED = ("mae", "rmse")


@dataclass(frozen=True)
class Manner:
    """How the plan wants intervals and small groups."""

    level: float = 0.95
    limits: str = "exact"
    repeated: str = "varying"
    minimum_cell: int = 10
    within: tuple[float, ...] = (3, 5)

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> Manner:
        plan = results["plan"]["document"]
        shares = next((test["within"] for test in results["tests"].values() if test.get("within")), {"3": 0, "5": 0})
        limits, repeated = plan.get("limits"), plan.get("repeated")
        return cls(
            plan.get("level") or 0.95,
            # Quantiles and mixed models draw resamples for their intervals; the exact and the MOVER ones need none.
            "exact" if limits in (None, "nonparametric") else limits,
            "varying" if repeated in (None, "mixed") else repeated,
            plan.get("minimum_cell") or 10,
            tuple(float(k) for k in shares),
        )


@dataclass(frozen=True)
class Rows:
    """Selected pairs: reference (n,), tests by name (n,) with NaN where missing, subject codes (n,)."""

    reference: Floats
    tests: Mapping[str, Floats]
    subject: NDArray[np.intp]
    manner: Manner
    _tables: dict[str, ErrorTable | None] = field(default_factory=dict, repr=False, compare=False)

    def take(self, mask: NDArray[np.bool_]) -> Rows:
        """The rows where `mask` (n,) is true."""
        tests = {name: values[mask] for name, values in self.tests.items()}
        return Rows(self.reference[mask], tests, self.subject[mask], self.manner)

    @property
    def n(self) -> int:
        return len(self.reference)

    @cached_property
    def subjects(self) -> int:
        """How many different people these are."""
        return int(np.count_nonzero(np.bincount(self.subject)))

    def table(self, name: str) -> ErrorTable | None:
        """The errors of one test in the rows that have it; None where none has."""
        if name not in self._tables:
            there = ~np.isnan(self.tests[name])
            who = self.subject[there]
            repeated = len(who) > 0 and np.bincount(who).max() > 1
            clusters = codes(who, len(who)) if repeated else np.arange(len(who))
            made = ErrorTable(self.tests[name][there], self.reference[there], clusters, self.manner.within)
            self._tables[name] = made if there.any() else None
        return self._tables[name]


def summarise(rows: Rows, name: str, *, lines: bool = True) -> dict[str, Any]:
    """All that is said of one test, as in `results["tests"]`. lines: with Deming's and Passing and Bablok's."""
    level, limits = rows.manner.level, rows.manner.limits
    table = rows.table(name)
    if table is None:
        return empty_agreement(0, "no pair in this selection", level=level, interval=limits)
    clusters = None if table.independent else table.clusters
    try:
        found = bland_altman(
            table.test,
            table.reference,
            level=level,
            limits_interval=limits,
            subject=clusters,
            repeated=rows.manner.repeated,
        )
        out = {key: value for key, value in found.to_dict().items() if key not in ("subjects", "scale")}
    except ValidationError as error:
        out = empty_agreement(len(table.test), str(error), level=level, interval=limits)
    if clusters is not None:
        out["subjects"] = table.subjects
    out |= _errors(table, rows.manner)
    for key, function in (("pearson", pearson), ("ccc", ccc)):
        if clusters is None:
            item = attempt(lambda function=function: function(table.test, table.reference, level=level), level=level)
        else:
            item = jackknife(distribution(table, key), level=level, scale="z")
        out[key] = item.to_dict()
    return out | (_lines(table, clusters, level) if lines else {})


def _errors(table: ErrorTable, manner: Manner) -> dict[str, Any]:
    level = manner.level
    out: dict[str, Any] = {
        name: jackknife(distribution(table, name), level=level, scale=SCALE[name]).to_dict()
        for name in ("mae", "rmse", "mape")
    }
    sizes = np.abs(table.errors)
    if table.independent and len(sizes) <= MANY:
        out["median_ae"] = attempt(lambda: quantile_interval(sizes, level=level), level=level).to_dict()
    else:
        reason = _MANY_REASON if table.independent else _REPEATED_REASON
        out["median_ae"] = Estimate(float(np.median(sizes)), None, None, level, "median", reason).to_dict()
    shares = [] if table.independent else [f"within_{k:g}" for k in manner.within]
    drawn = {name: distribution(table, name) for name in shares}
    out["within"] = {
        f"{k:g}": within_share(table, k, drawn, level=level, interval="jackknife").to_dict() for k in manner.within
    }
    return out


def _lines(table: ErrorTable, clusters: NDArray[np.intp] | None, level: float) -> dict[str, Any]:
    found = {"deming": _line(deming, table, clusters, level)}
    if len(table.test) > AT_ONCE:
        missing = Estimate.missing(_ASKED_REASON, level=level).to_dict()
        return found | {"passing_bablok": dict.fromkeys(("slope", "intercept"), missing)}
    return found | {"passing_bablok": _line(passing_bablok, table, clusters, level)}


def passing_bablok_of(rows: Rows, name: str) -> dict[str, Any]:
    """Passing and Bablok's line of one test, however long it takes."""
    table = rows.table(name)
    if table is None:
        missing = Estimate.missing("no pair in this selection", level=rows.manner.level).to_dict()
        return dict.fromkeys(("slope", "intercept"), missing)
    return _line(passing_bablok, table, None if table.independent else table.clusters, rows.manner.level)


def _line(fit: Any, table: ErrorTable, clusters: NDArray[np.intp] | None, level: float) -> dict[str, Any]:
    try:
        line = fit(table.test, table.reference, subject=clusters, level=level)
    except ValidationError as error:
        return dict.fromkeys(("slope", "intercept"), Estimate.missing(str(error), level=level).to_dict())
    return {"slope": line.slope.to_dict(), "intercept": line.intercept.to_dict()}


def distribution(table: ErrorTable, name: str) -> Distribution:
    """A measure's estimate and its leave-one-subject-out values, without draws."""
    used = USES.get(name, ("n", name))
    sums = table.sums[:, [table.columns.index(column) for column in used]]
    measure = table.measures({column: place for place, column in enumerate(used)})[name]
    total = sums.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Distribution(float(measure(total)), _NO_DRAWS, (measure(total - sums),))


def compare(rows: Rows, a: str, others: Sequence[str]) -> list[dict[str, Any]]:
    """`a` against each other test in the pairs that have both, as in `results["comparisons"]`, without p-values."""
    found = []
    level = rows.manner.level
    for b in others:
        shared = ~np.isnan(rows.tests[a]) & ~np.isnan(rows.tests[b])
        both = rows if shared.all() else rows.take(shared)
        tables = both.table(a), both.table(b)
        for metric in _COMPARED:
            row: dict[str, Any] = {"a": a, "b": b, "metric": metric, "n": both.n}
            if tables[0] is None or tables[1] is None:
                nothing = Estimate.missing("no pair has both tests", level=level).to_dict()
                found.append({**row, "difference": nothing, "ratio": nothing, "p_value": None, "p_adjusted": None})
                continue
            one, two = (distribution(table, metric) for table in tables)
            difference = jackknife(one.minus(two), level=level).to_dict()
            ratio = ratio_of(one.log().minus(two.log()), level=level, interval="jackknife").to_dict()
            found.append({**row, "difference": difference, "ratio": ratio, "p_value": None, "p_adjusted": None})
    return found


def subgroup(
    rows: Rows, labels: NDArray[np.integer], names: Sequence[str], title: str, tests: Sequence[str] | None = None
) -> dict[str, Any]:
    """One attribute, as in `results["subgroups"]`. labels: (n,) places in `names`, -1 for none. tests: all if None."""
    if tests is not None:
        rows = Rows(rows.reference, {name: rows.tests[name] for name in tests}, rows.subject, rows.manner)
    manner = rows.manner
    nothing = {"n": None, "suppressed": True, "minimum_cell": manner.minimum_cell}
    places = {name: labels == code for code, name in enumerate(names)}
    parts = {name: rows.take(mask) for name, mask in places.items() if mask.any()}
    unseen = suppressed({name: part.subjects for name, part in parts.items()}, manner.minimum_cell)
    unseen_of = {
        test: suppressed(
            {name: table.subjects if (table := part.table(test)) else 0 for name, part in parts.items()},
            manner.minimum_cell,
        )
        for test in rows.tests
    }

    def hidden(reason: str | None) -> dict[str, Any]:
        return nothing | ({"reason": reason} if reason else {})

    by_group: dict[str, Any] = {}
    for name, part in parts.items():
        if name in unseen:
            empty = hidden(unseen[name])
            by_group[name] = {**empty, "tests": dict.fromkeys(rows.tests, empty)}
            continue
        tests = {
            test: hidden(unseen_of[test][name]) if name in unseen_of[test] else summarise(part, test, lines=False)
            for test in rows.tests
        }
        by_group[name] = {"n": part.n, "tests": tests}
    difference, ratio = {}, {}
    for test in rows.tests:
        tables = {
            name: table
            for name, part in parts.items()
            if name not in unseen and name not in unseen_of[test] and (table := part.table(test)) is not None
        }
        drawn = {metric: {name: distribution(table, metric) for name, table in tables.items()} for metric in _COMPARED}
        level = manner.level
        difference[test] = {m: gap(drawn[m], level=level, interval="jackknife").to_dict() for m in _COMPARED}
        moments = {name: subject_moments(table) for name, table in tables.items()}
        difference[test]["bias"] = bias_gap(moments, level=level).to_dict()
        ratio[test] = {m: gap(drawn[m], kind="ratio", level=level, interval="jackknife").to_dict() for m in _COMPARED}
    return {
        "label": title,
        "unlabelled": int((labels < 0).sum()),
        "by_group": by_group,
        "difference": difference,
        "ratio": ratio,
    }


def moments(
    rows: Rows, test: str, labels: NDArray[np.integer], names: Sequence[str]
) -> dict[str, tuple[float, float, int]]:
    """Mean, SD and number of the subjects' mean errors in every group that may be shown, for `equal_means`."""
    there = ~np.isnan(rows.tests[test]) & (labels >= 0)
    error = rows.tests[test][there] - rows.reference[there]
    group = labels[there].astype(np.int64)
    if rows.subjects < rows.n:  # of a subject with several pairs the mean counts
        _, first, who = np.unique(rows.subject[there], return_index=True, return_inverse=True)
        error, group = np.bincount(who, error) / np.bincount(who), group[first]
    found = {}
    for place, name in enumerate(names):
        mine = error[group == place]
        if len(mine) >= rows.manner.minimum_cell:
            found[name] = (float(mine.mean()), float(mine.std(ddof=1)), len(mine))
    return found
