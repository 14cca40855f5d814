"""The whole of a method comparison from one table: every test against the reference, against each other, by group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from validation.accuracy import SCALE, ErrorTable, bootstrap_tables, key, measures_of
from validation.agreement import INTERVALS, REPEATED, SCALES, bland_altman, empty_agreement
from validation.comparison import METRICS, Comparison, compare_tables
from validation.concordance import ccc, pearson
from validation.errors import NotFinite, OutOfRange, ShapeMismatch, UnknownOption, ValidationError
from validation.fairness import (
    GroupTest,
    band_labels,
    detectable_gaps,
    equality_tests,
    group_verdict,
    permutation_gaps,
    pooled_intervals,
)
from validation.limits import diagnose, nonparametric_limits
from validation.multiplicity import ADJUSTMENTS, adjustment
from validation.page import page
from validation.pairs import LARGEST, SMALLEST, Floats, codes, confidence, number, option
from validation.regression import Line, deming
from validation.reliability import FORMS, icc
from validation.resampling import INTERVALS as RESAMPLED
from validation.resampling import Distribution, interval_of
from validation.results import Estimate, attempt, rows
from validation.robust import passing_bablok
from validation.subgroups import WORSE, bias_gap, crossed, gap, group_labels, group_order, sort_key, subject_moments
from validation.suppression import suppressed
from validation.survey import Sample

# Metrics whose gaps between groups are reported.
GAPS = ("mae", "rmse")
# Below this many subjects BCa intervals hold the truth clearly less often than they should.
SHORT = 50
# Metrics that are pooled over groups, and of which a margin may be set.
POOLED = ("bias", "mae")


@dataclass(frozen=True)
class Settings:
    """How intervals are made, the same for every part of a report."""

    level: float = 0.95
    limits: str = "exact"
    resamples: int = 10_000
    seed: int = 1
    minimum_cell: int = 10
    scale: str = "raw"
    repeated: str = "varying"
    within: tuple[float, ...] = (3, 5)
    adjust: str = "holm"
    fairness: bool = False
    covariates: tuple[str, ...] = ()
    margins: tuple[tuple[str, float], ...] = ()
    secondary: bool = True
    intervals: str = "bca"
    regress_on: str = "mean"
    error_ratio: float = 1.0
    decision_levels: tuple[float, ...] = ()

    def verdict(self, metric: str, interval: Estimate) -> str:
        """ "meets", "fails" or "not enough data to say", for a metric that has a margin."""
        margin = dict(self.margins)[metric]
        if metric != "bias":
            return group_verdict(interval, at_most=margin)
        return group_verdict(interval, within=math.log(margin) if self.scale == "log" else margin)


@dataclass(frozen=True)
class AgreementReport:
    """Result of `agree`. `to_dict()` is plain JSON, `to_frame()` one row a quantity, `str()` a page to read.

    advice: what the differences of each test say of the method chosen (see `diagnose`); nothing is changed by it.
    verdicts: test -> metric -> verdict, for the metrics that have a margin.
    """

    n: int
    reference: str
    tests: dict[str, dict[str, Any]]
    comparisons: list[Comparison]
    subgroups: dict[str, dict[str, Any]]
    settings: Settings
    advice: dict[str, list[str]] = field(default_factory=dict)
    verdicts: dict[str, dict[str, str]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        out = {
            "n": self.n,
            "reference": self.reference,
            "tests": self.tests,
            "comparisons": [item.to_dict() for item in self.comparisons],
            "subgroups": self.subgroups,
        }
        return out | {"verdicts": self.verdicts} if self.settings.margins else out

    def to_frame(self) -> pd.DataFrame:
        """Columns part, group, method, quantity, estimate, low, high, reason."""
        found = []
        for test, method in self.tests.items():
            found += [{"part": "overall", "method": test, **row} for row in rows(method)]
        for item in self.comparisons:
            name = f"{item.a} - {item.b}"
            found += [{"part": "comparison", "method": name, **row} for row in rows(item.to_dict(), f"{item.metric}.")]
        for attribute, part in self.subgroups.items():
            for group, content in part["by_group"].items():
                for test, method in content["tests"].items():
                    found += [{"part": attribute, "group": group, "method": test, **row} for row in rows(method)]
            for test, fairness in part.get("fairness", {}).items():
                found += [{"part": attribute, "group": "fairness", "method": test, **row} for row in rows(fairness)]
            for kind in ("difference", "ratio"):
                for test, gaps in part[kind].items():
                    found += [{"part": attribute, "group": kind, "method": test, **row} for row in rows(gaps)]
        columns = ["part", "group", "method", "quantity", "estimate", "low", "high", "reason"]
        return pd.DataFrame(found, columns=columns)

    def __str__(self) -> str:
        return page(self)


def agree(
    table: pd.DataFrame,
    *,
    reference: str,
    tests: Sequence[str],
    by: Sequence[str] = (),
    subject: str | None = None,
    level: float = 0.95,
    limits: str = "exact",
    resamples: int = 10_000,
    seed: int = 1,
    minimum_cell: int = 10,
    scale: str = "raw",
    repeated: str = "varying",
    within: Sequence[float] = (3, 5),
    adjust: str = "holm",
    bands: Sequence[float] = (),
    fairness: bool = False,
    covariates: Sequence[str] = (),
    margins: Mapping[str, float] | None = None,
    secondary: bool = True,
    intervals: str = "bca",
    regress_on: str = "mean",
    error_ratio: float = 1.0,
    decision_levels: Sequence[float] = (),
    weights: str | None = None,
    strata: str | None = None,
    psu: str | None = None,
) -> AgreementReport:
    """Compare the columns `tests` of a table with its column `reference`, overall and in the groups of `by`.

    Args:
        table: one row a pair (or a subject and visit); numbers in the columns of reference and tests, all in one unit.
        by: columns that name groups, or crossings of them such as "sex*age", whose groups are "F × 18–39" and the like;
            each gives one block of subgroups. Rows without a label belong to no group.
        subject: column that names the subject; subjects with several rows are resampled whole, and the limits of
            agreement are those for repeated pairs. Without it every row is a subject.
        level: confidence of all intervals. limits: how those of the limits of agreement are made, see `bland_altman`;
            or "nonparametric", which takes quantiles of the differences for the limits, with bootstrap intervals.
        scale, repeated: of bias and limits, see `bland_altman`; on the log scale they are given as ratios.
        resamples, seed: of the bootstrap and the permutation tests.
        minimum_cell: groups of fewer subjects are suppressed. secondary: so are groups from which one of them could be
            worked out by subtraction; False where the caller has seen to that.
        within: the k of "percent of errors within ±k".
        adjust: "holm" (family-wise error) or "bh" (false discovery rate), of the p-values of the comparisons of tests,
            over the pairs of tests, each metric by itself.
        bands: cut points that divide the reference into bands, which make one more block of subgroups, "bands of" the
            reference: over-reading the lean and under-reading the obese show there.
        fairness: whether each block of subgroups also has tests of equal bias, spread and MAE, of equal bias given the
            reference and the columns `covariates` (such as BMI), partially pooled estimates and detectable gaps, and
            each group the comparisons of the tests. The p-values of the tests of equality are adjusted over the
            attributes, each kind of test by itself.
        margins: {"bias": largest |bias|, "mae": largest MAE} that is still good enough, for verdicts overall and, with
            `fairness`, for each group. Of bias and limits in the unit of `scale`; a bias on the log scale is a ratio,
            whose margin m stands for 1/m to m.
        regress_on: "mean" (of the two methods) or "reference", on which the line of proportional bias is.
        error_ratio: of Deming's line, see `deming`.
        decision_levels: values of the reference at which the bias is told by Deming's and Passing and Bablok's lines.
        weights, strata, psu: columns of a survey's design (all or the weights alone). Every test, overall and in each
            group, then also has `survey`: weighted bias, SD, MAE, RMSE and shares for the population, with design-based
            intervals. All else stays unweighted.
        intervals: of MAE, RMSE, MAPE, of comparisons and of gaps: "bca", the bootstrap, or "jackknife", t intervals
            that hold their level better where there are fewer than about 100 subjects.

    Missing values: each test uses the rows that it shares with the reference; a comparison of two tests uses the rows
    that both share with it. The order of the rows does not matter. What cannot be computed in a small or constant
    group is null beside a reason.

    Raises UnknownOption for a column that is not there, NotFinite for values that are no numbers or infinite.
    """
    tests, by = list(tests), list(by)
    settings = Settings(
        confidence(level),
        option(limits, (*INTERVALS, "nonparametric"), "limits"),
        int(resamples),
        int(seed),
        int(minimum_cell),
        option(scale, SCALES, "scale"),
        option(repeated, REPEATED, "repeated"),
        tuple(within),
        option(adjust, tuple(ADJUSTMENTS), "adjust"),
        bool(fairness),
        tuple(covariates),
        tuple(checked(margins or {}, scale).items()),
        bool(secondary),
        option(intervals, RESAMPLED, "intervals"),
        option(regress_on, ("mean", "reference"), "regress_on"),
        float(error_ratio),
        tuple(number(level, "decision level") for level in decision_levels),
    )
    if weights is None and (strata is not None or psu is not None):
        raise UnknownOption("strata and PSUs need weights")
    design = [name for name in (weights, strata, psu) if name is not None]
    check_names(table, reference, tests, by, subject, [*covariates, *design])
    numbers = {name: numeric(table[name], name) for name in [reference, *tests]}
    columns = {name: table[crossed(name, table.columns)] for name in by}
    labels, titles, orders = {}, {}, {}
    for name, part in columns.items():
        (labels[name], titles[name]), orders[name] = group_labels(part, len(table)), group_order(part)
    if len(bands):
        name = f"bands of {reference}"
        labels[name], titles[name], orders[name] = band_labels(numbers[reference], bands), name, sort_key
    beside = {name: numeric(table[name], name) for name in covariates}
    owners = None if subject is None else group_labels(table[[subject]], len(table))[0]

    usable = ~np.isnan(numbers[reference]) & np.any([~np.isnan(numbers[name]) for name in tests], axis=0)
    if owners is not None:
        usable &= np.array([owner is not None for owner in owners], dtype=bool)
    # Rows in an order of their own, so that the file's order changes no byte of the result.
    words = [*labels.values(), *([] if owners is None else [owners])]
    text = [np.array([str(value) for value in column]) for column in words]
    order = np.lexsort([*text, *(numbers[name] for name in reversed([reference, *tests]))])
    surveyed = None
    if weights is not None:
        surveyed = survey_rows(table, weights, strata, psu, numbers, labels, reference)
    order = order[usable[order]]
    beside = {name: values[order] for name, values in beside.items()}
    numbers = {name: values[order] for name, values in numbers.items()}
    labels = {name: values[order] for name, values in labels.items()}
    owners = None if owners is None else owners[order]

    block = Block(numbers, reference, tests, owners, settings, ())
    whole, kept = block.describe()
    parts, equality = {}, {}
    for name, values in labels.items():
        parts[name], shown = subgroups(
            name, values, numbers, reference, tests, owners, settings, titles[name], orders[name]
        )
        if settings.fairness:
            equality[name] = fairness_of(parts[name], shown, values, numbers, reference, owners, beside, settings)
    if surveyed is not None:
        add_survey(whole, parts, *surveyed, reference, settings)
    if settings.fairness:
        for test in tests:
            adjust_equality([found[test] for found in equality.values() if test in found], settings.adjust)
        for name, found in equality.items():
            for test, (made, _) in found.items():
                parts[name]["fairness"][test]["tests"] = {kind: item.to_dict() for kind, item in made.items()}
    return AgreementReport(
        n=len(order),
        reference=reference,
        tests=whole,
        comparisons=adjusted(block.compare(), settings.adjust),
        subgroups=parts,
        settings=settings,
        advice={name: advice_on(table, settings) for name, (table, _) in kept.items()},
        verdicts={
            name: {metric: settings.verdict(metric, estimate_in(whole[name], metric)) for metric, _ in settings.margins}
            for name in tests
        }
        if settings.margins
        else {},
    )


def survey_rows(
    table: pd.DataFrame,
    weights: str,
    strata: str | None,
    psu: str | None,
    numbers: Mapping[str, Floats],
    labels: Mapping[str, NDArray[np.object_]],
    reference: str,
) -> tuple[Sample, dict[str, Floats], dict[str, NDArray[np.object_]]]:
    """All rows that have a place in the design, whether measured or not, in an order of their own."""
    weight = numeric(table[weights], weights)
    words = {name: group_labels(table[[name]], len(table))[0] for name in (strata, psu) if name is not None}
    placed = ~np.isnan(weight)
    for column in words.values():
        placed &= np.array([value is not None for value in column], dtype=bool)
    text = [np.array([str(value) for value in column]) for column in (*words.values(), *labels.values())]
    order = np.lexsort([*text, *numbers.values(), numbers[reference], weight])
    order = order[placed[order]]
    sample = Sample(weight[order], *(None if name is None else words[name][order] for name in (strata, psu)))
    return (
        sample,
        {name: values[order] for name, values in numbers.items()},
        {name: values[order] for name, values in labels.items()},
    )


def add_survey(
    whole: dict[str, dict[str, Any]],
    parts: dict[str, dict[str, Any]],
    sample: Sample,
    numbers: Mapping[str, Floats],
    labels: Mapping[str, NDArray[np.object_]],
    reference: str,
    settings: Settings,
) -> None:
    """Put `survey` into every test, and into the tests of the groups that are shown."""
    measured = {name: ~np.isnan(numbers[name]) & ~np.isnan(numbers[reference]) for name in whole}

    def put(method: dict[str, Any], name: str, inside: NDArray[np.bool_]) -> None:
        method["survey"] = sample.errors(
            numbers[name], numbers[reference], inside, within=settings.within, level=settings.level
        )

    for name, method in whole.items():
        put(method, name, measured[name])
    for attribute, part in parts.items():
        for group, content in part["by_group"].items():
            for name, method in content["tests"].items():
                if not method.get("suppressed"):
                    put(method, name, measured[name] & (labels[attribute] == group))


def checked(margins: Mapping[str, float], scale: str) -> dict[str, float]:
    """Margins that can be judged."""
    for metric, margin in margins.items():
        option(metric, POOLED, "margin")
        least = 1 if metric == "bias" and scale == "log" else 0
        if not least < margin < math.inf:
            raise OutOfRange(f"the margin of {metric} must be above {least}, and is {margin}")
    return {metric: float(margin) for metric, margin in margins.items()}


def estimate_in(method: Mapping[str, Any], metric: str) -> Estimate:
    """An estimate of a test's summary; of a bias that is a ratio, its logarithm."""
    item = method[metric]
    found = Estimate(item["estimate"], item["low"], item["high"], reason=item.get("reason"))
    return found.map(math.log) if metric == "bias" and method.get("scale") == "ratio" else found


def advice_on(table: ErrorTable, settings: Settings) -> list[str]:
    clusters = None if table.independent else table.clusters
    try:
        out = diagnose(table.test, table.reference, scale=settings.scale, subject=clusters).advice
    except ValidationError as error:
        out = [f"The differences could not be examined: {error}."]
    if settings.intervals == "bca" and table.subjects < SHORT:
        out = [*out, f"With {table.subjects} subjects BCa intervals of errors are short: consider jackknife intervals."]
    return out


def check_names(
    table: pd.DataFrame,
    reference: str,
    tests: Sequence[str],
    by: Sequence[str],
    subject: str | None,
    covariates: Sequence[str] = (),
) -> None:
    if not tests:
        raise UnknownOption("name at least one test")
    parts = [part for name in by for part in crossed(name, table.columns)]
    for name in [reference, *tests, *([] if subject is None else [subject]), *covariates]:
        if name not in table.columns:
            raise UnknownOption(f"there is no column {name!r}; there are {', '.join(map(str, table.columns))}")
    for name in (*tests, *parts):
        if list(table.columns).count(name) > 1:
            raise ShapeMismatch(f"the column {name!r} is there more than once")
    if len({reference, *tests}) < len(tests) + 1:
        raise UnknownOption("the reference and the tests must be different columns, each named once")


def numeric(values: pd.Series, name: str) -> Floats:
    """A column as float64 with NaN for what is missing."""
    try:
        array = pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise NotFinite(f"the column {name!r} holds something that is not a number") from None
    if np.isinf(array).any():
        raise NotFinite(f"the column {name!r} holds {int(np.isinf(array).sum())} infinite values")
    known = np.abs(array[~np.isnan(array)])
    if len(known) and (known.max() > LARGEST or 0 < known.max() < SMALLEST):
        raise OutOfRange(f"the column {name!r} reaches {known.max():.3g}: rescale it")
    return array


class Block:
    """All tests on one set of rows. Tests that are complete on the same rows share one matrix of resamples."""

    def __init__(
        self,
        numbers: Mapping[str, Floats],
        reference: str,
        tests: Sequence[str],
        owners: NDArray[np.object_] | None,
        settings: Settings,
        place: tuple[str, ...],
    ) -> None:
        self.numbers, self.reference, self.tests = numbers, reference, tests
        self.owners, self.settings, self.place = owners, settings, place
        self.masks = {name: ~np.isnan(numbers[name]) for name in tests}
        self._shared: dict[bytes, tuple[dict[str, ErrorTable], dict[str, dict[str, Distribution]]]] = {}

    def shared(self, mask: NDArray[np.bool_]):
        """Tables and distributions of all tests on the rows of `mask`, which must be complete for those it returns."""
        found = self._shared.get(mask.tobytes())
        if found is None:
            names = [name for name in self.tests if not (mask & ~self.masks[name]).any()]
            if not self.compares:
                names = [name for name in names if (self.masks[name] == mask).all()]
            clusters = codes(None if self.owners is None else self.owners[mask], int(mask.sum()))
            tables = {
                name: ErrorTable(
                    self.numbers[name][mask], self.numbers[self.reference][mask], clusters, self.settings.within
                )
                for name in names
            }
            place = (*self.place, *(f"{name}:{'own' if name in names else 'out'}" for name in self.tests))
            drawn = bootstrap_tables(
                tables,
                resamples=self.settings.resamples,
                seed=self.settings.seed,
                place=place,
                measures=self.wanted(independent=int(clusters.max()) + 1 == len(clusters)),
            )
            found = self._shared[mask.tobytes()] = tables, drawn
        return found

    @property
    def compares(self) -> bool:
        """Whether tests are compared with one another on these rows, for which all have to be resampled together."""
        return len(self.tests) > 1 and (self.settings.fairness or not self.place)

    def wanted(self, *, independent: bool) -> list[str]:
        """The measures that are resampled: what formulas do not give."""
        found = [*GAPS, "mape", "median_ae"]
        if not independent:
            found += ["pearson", "ccc", *(f"within_{key(k)}" for k in self.settings.within)]
        if self.settings.fairness:
            found += POOLED
        if self.compares:
            found += METRICS
        return list(dict.fromkeys(found))

    def describe(self) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[ErrorTable, dict[str, Distribution]]]]:
        """Every test's summary, and the table and distributions from which gaps between groups are made."""
        out, kept = {}, {}
        for name in self.tests:
            mask = self.masks[name]
            if not mask.any():
                out[name] = summarise(None, {}, self.settings)
                continue
            tables, drawn = self.shared(mask)
            out[name] = summarise(tables[name], drawn[name], self.settings)
            kept[name] = (tables[name], drawn[name])
        return out, kept

    def compare(self) -> list[Comparison]:
        """Every pair of tests on the rows that both have; empty estimates with a reason where they share none."""
        settings = self.settings
        pairs = list(combinations(self.tests, 2))
        by_rows: dict[bytes, list[tuple[str, str]]] = {}
        for a, b in pairs:
            by_rows.setdefault((self.masks[a] & self.masks[b]).tobytes(), []).append((a, b))
        found: list[Comparison] = []
        for group in by_rows.values():
            mask = self.masks[group[0][0]] & self.masks[group[0][1]]
            if not mask.any():
                nothing = Estimate.missing("no row has both tests", level=settings.level)
                found += [
                    Comparison(*names, metric, 0, nothing, nothing, None) for names in group for metric in METRICS
                ]
                continue
            tables, drawn = self.shared(mask)
            found += compare_tables(
                tables,
                drawn,
                group,
                interval=settings.intervals,
                level=settings.level,
                resamples=settings.resamples,
                seed=settings.seed,
                place=(*self.place, *group[0]),
            )
        return sorted(found, key=lambda item: (pairs.index((item.a, item.b)), METRICS.index(item.metric)))


def adjusted(comparisons: list[Comparison], how: str) -> list[Comparison]:
    """p-values adjusted over the pairs of tests, for each metric by itself."""
    out = list(comparisons)
    for metric in METRICS:
        places = [i for i, item in enumerate(out) if item.metric == metric]
        for place, p in zip(places, adjustment(how)([out[i].p_value for i in places]), strict=True):
            out[place] = replace(out[place], p_adjusted=p)
    return out


def summarise(table: ErrorTable | None, drawn: Mapping[str, Distribution], settings: Settings) -> dict[str, Any]:
    """All that is said of one test on one set of rows; JSON-ready."""
    level = settings.level
    if table is None:
        reason = "no row has both the test and the reference"
        nothing = Estimate.missing(reason, level=level).to_dict()
        return {
            **empty_agreement(0, reason, level=level, interval=settings.limits),
            **dict.fromkeys(("mae", "rmse", "median_ae", "mape"), nothing),
            "within": {key(k): nothing for k in settings.within},
            "pearson": nothing,
            "ccc": nothing,
            **structure(None, None, settings),
        }
    clusters = None if table.independent else table.clusters
    try:
        out = agreement(table, clusters, settings)
    except ValidationError as error:
        out = empty_agreement(len(table.test), str(error), level=level, interval=settings.limits)
    if clusters is not None:
        out["subjects"] = table.subjects
    errors = measures_of(table, drawn, level=level, interval=settings.intervals)
    for name in ("mae", "rmse", "median_ae", "mape"):
        out[name] = getattr(errors, name).to_dict()
    out["within"] = {name: item.to_dict() for name, item in errors.within.items()}
    for name, function in (("pearson", pearson), ("ccc", ccc)):
        item = attempt(lambda function=function: function(table.test, table.reference, level=level), level=level)
        if clusters is not None and item.estimate is not None:
            item = interval_of(drawn[name], "jackknife", level=level, scale="z")
        out[name] = item.to_dict()
    return out | structure(table, clusters, settings)


def agreement(table: ErrorTable, clusters: NDArray[np.intp] | None, settings: Settings) -> dict[str, Any]:
    """Bias, limits and proportional bias of one test in the manner of the settings."""
    quantiles = settings.limits == "nonparametric"
    result = bland_altman(
        table.test,
        table.reference,
        level=settings.level,
        limits_interval="exact" if quantiles else settings.limits,
        scale=settings.scale,
        regress_on=settings.regress_on,
        subject=clusters,
        repeated=settings.repeated,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    if quantiles:
        limits = nonparametric_limits(
            table.test,
            table.reference,
            scale=settings.scale,
            subject=clusters,
            level=settings.level,
            resamples=settings.resamples,
            seed=settings.seed,
        )
        result = replace(result, limits=limits)
    if settings.scale == "log":
        result = result.ratios()
    out = {name: value for name, value in result.to_dict().items() if name not in ("subjects", "scale")}
    del out["limits"]["coverage"]
    return out if settings.scale == "raw" else out | {"scale": result.scale}


# A group's errors under one test, and the bootstrap distributions of its measures.
Kept = tuple[ErrorTable, dict[str, Distribution]]
# The quantities of a method that need the table itself, and the parts of each.
LINES = {"deming": ("slope", "intercept"), "passing_bablok": ("slope", "intercept")}


def structure(table: ErrorTable | None, clusters: NDArray[np.intp] | None, settings: Settings) -> dict[str, Any]:
    """Intraclass correlations, Deming's line (jackknife) and Passing and Bablok's (analytic) of one test."""
    level = settings.level

    def tried(parts: Sequence[str], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return make()
        except ValidationError as error:
            return dict.fromkeys(parts, Estimate.missing(str(error), level=level).to_dict())

    levels = settings.decision_levels
    names = [key(value) for value in levels]
    if table is None:
        reason = "no row has both the test and the reference"
        nothing = Estimate.missing(reason, level=level).to_dict()
        at_levels = {name: dict.fromkeys(LINES, nothing) for name in names}
        out = {"icc": dict.fromkeys(FORMS, nothing)} | {n: dict.fromkeys(p, nothing) for n, p in LINES.items()}
        return out | ({"bias_at": at_levels} if levels else {})
    x, y = table.test, table.reference
    fits: dict[str, Callable[[], Line]] = {
        "deming": lambda: deming(x, y, error_ratio=settings.error_ratio, subject=clusters, level=level),
        "passing_bablok": lambda: passing_bablok(x, y, subject=clusters, level=level),
    }
    out = {"icc": tried(FORMS, lambda: icc(np.column_stack([x, y]), subject=clusters, level=level).to_dict())}
    at_levels = {name: {} for name in names}
    for kind, fit in fits.items():

        def told(fit: Callable[[], Line] = fit) -> dict[str, Any]:
            line = fit()
            parts = {part: getattr(line, part).to_dict() for part in LINES["deming"]}
            return parts | {name: item.to_dict() for name, item in zip(names, line.bias_at(levels), strict=True)}

        found = tried([*LINES[kind], *names], told)
        out[kind] = {part: found[part] for part in LINES[kind]}
        for name in names:
            at_levels[name][kind] = found[name]
    return out | ({"bias_at": at_levels} if levels else {})


def subgroups(
    attribute: str,
    labels: NDArray[np.object_],
    numbers: Mapping[str, Floats],
    reference: str,
    tests: Sequence[str],
    owners: NDArray[np.object_] | None,
    settings: Settings,
    title: str,
    order: Callable[[str], tuple[Any, ...]],
) -> tuple[dict[str, Any], dict[str, dict[str, Kept]]]:
    """Every group of an attribute, and the gaps between groups for each test; and what the groups shown hold."""
    by_group: dict[str, Any] = {}
    kept: dict[str, dict[str, Kept]] = {name: {} for name in tests}

    def hidden(reason: str | None) -> dict[str, Any]:
        said = {} if reason is None else {"reason": reason}
        return {"n": None, "suppressed": True, "minimum_cell": settings.minimum_cell, **said}

    def members(rows: NDArray[np.bool_]) -> int:
        return int(rows.sum()) if owners is None else len(set(owners[rows]))

    def must_hide(counts: dict[str, int]) -> dict[str, str | None]:
        found = suppressed(counts, settings.minimum_cell)
        return found if settings.secondary else {group: None for group, why in found.items() if why is None}

    places = {group: labels == group for group in sorted({name for name in labels if name is not None}, key=order)}
    unseen = must_hide({group: members(here) for group, here in places.items()})
    without = {
        name: must_hide({group: members(here & ~np.isnan(numbers[name])) for group, here in places.items()})
        for name in tests
    }
    for group, here in places.items():
        if group in unseen:
            empty = hidden(unseen[group])
            by_group[group] = {**empty, "tests": {name: dict(empty) for name in tests}}
            continue
        part = {name: values[here] for name, values in numbers.items()}
        block = Block(part, reference, tests, None if owners is None else owners[here], settings, (attribute, group))
        summaries, found = block.describe()
        for name in tests:
            if group in without[name] or name not in found:
                summaries[name] = hidden(without[name].get(group))
            else:
                kept[name][group] = found[name]
        by_group[group] = {"n": int(here.sum()), "tests": summaries}
        if settings.fairness:
            told = [item for item in block.compare() if group in kept[item.a] and group in kept[item.b]]
            by_group[group]["comparisons"] = [item.to_dict() for item in adjusted(told, settings.adjust)]
    level = settings.level
    difference: dict[str, Any] = {}
    ratio: dict[str, Any] = {}
    for name, groups in kept.items():
        drawn = {metric: {group: item[1][metric] for group, item in groups.items()} for metric in GAPS}
        moments = {group: subject_moments(item[0]) for group, item in groups.items()}
        how = settings.intervals
        difference[name] = {metric: gap(drawn[metric], level=level, interval=how).to_dict() for metric in GAPS}
        difference[name]["bias"] = bias_gap(moments, level=level).to_dict()
        ratio[name] = {metric: gap(drawn[metric], kind="ratio", level=level, interval=how).to_dict() for metric in GAPS}
    out = {
        "label": title,
        "unlabelled": int(sum(name is None for name in labels)),
        "by_group": by_group,
        "difference": difference,
        "ratio": ratio,
    }
    return out, kept


def fairness_of(
    part: dict[str, Any],
    shown: Mapping[str, Mapping[str, Kept]],
    labels: NDArray[np.object_],
    numbers: Mapping[str, Floats],
    reference: str,
    owners: NDArray[np.object_] | None,
    beside: Mapping[str, Floats],
    settings: Settings,
) -> dict[str, tuple[dict[str, GroupTest], dict[str, str]]]:
    """Put `fairness` into a block of subgroups, and return its tests, whose p-values are yet to be adjusted.

    For each test: worst_group, pooled estimates, detectable gaps of bias, verdicts, left_out with the reasons.
    """
    level = settings.level
    out: dict[str, tuple[dict[str, GroupTest], dict[str, str]]] = {}
    part["fairness"] = {}
    inside = {name: np.isin(labels, list(groups)) & ~np.isnan(numbers[name]) for name, groups in shown.items()}
    dealings = permuted_together(inside, labels, numbers, reference, owners, settings)
    for name, groups in shown.items():
        rows = inside[name]
        x, y = numbers[name][rows], numbers[reference][rows]
        covariates = {reference: y} if not part["label"].startswith("bands of ") else {}
        made, left_out = equality_tests(
            x,
            y,
            list(labels[rows]),
            covariates=covariates | {column: values[rows] for column, values in beside.items()},
            subject=None if owners is None else owners[rows],
            minimum_cell=settings.minimum_cell,
            level=level,
            permuted=dealings[name],
        )
        made = {kind: replace(item, attribute=part["label"]) for kind, item in made.items()}
        found = {
            metric: {
                group: interval_of(item[1][metric], settings.intervals, level=level, scale=SCALE.get(metric, "raw"))
                for group, item in groups.items()
            }
            for metric in POOLED
        }
        pooled = {}
        for metric, estimates in found.items():
            try:
                pooled[metric] = pooled_intervals(estimates, level=level).to_dict()
            except ValidationError as error:
                left_out[f"pooled {metric}"] = str(error)
        worst = {
            metric: max(found[metric], key=lambda g, m=metric: _badness(m, found[m][g]), default=None)
            for metric in POOLED
        }
        block: dict[str, Any] = {
            "tests": {},
            "worst_group": worst,
            "pooled": pooled,
            "detectable_gap": detectable_gaps({group: subject_moments(item[0]) for group, item in groups.items()}),
        }
        if settings.margins:
            summaries = {group: part["by_group"][group]["tests"][name] for group in groups}
            block["verdicts"] = {
                metric: {g: settings.verdict(metric, estimate_in(item, metric)) for g, item in summaries.items()}
                for metric, _ in settings.margins
            }
        part["fairness"][name] = block | {"left_out": left_out}
        out[name] = made, left_out
    return out


def permuted_together(
    inside: Mapping[str, NDArray[np.bool_]],
    labels: NDArray[np.object_],
    numbers: Mapping[str, Floats],
    reference: str,
    owners: NDArray[np.object_] | None,
    settings: Settings,
) -> dict[str, Callable[[], GroupTest]]:
    """For each test what returns (or raises) its permutation test of equal MAE; tests of the same rows share theirs."""
    alike: dict[bytes, list[str]] = {}
    for name, here in inside.items():
        alike.setdefault(here.tobytes(), []).append(name)

    @cache
    def made(names: tuple[str, ...]) -> dict[str, GroupTest]:
        here = inside[names[0]]
        return permutation_gaps(
            {name: numbers[name][here] for name in names},
            numbers[reference][here],
            list(labels[here]),
            subject=None if owners is None else owners[here],
            minimum_cell=settings.minimum_cell,
            resamples=settings.resamples,
            seed=settings.seed,
        )

    return {
        name: (lambda name=name, names=tuple(names): made(names)[name]) for names in alike.values() for name in names
    }


def _badness(metric: str, item: Estimate) -> float:
    value = float(item)
    return -math.inf if math.isnan(value) else abs(value) if WORSE[metric] == "far" else value


def adjust_equality(found: list[tuple[dict[str, GroupTest], dict[str, str]]], how: str) -> None:
    """Adjust the p-values of one test's tests of equality over the attributes, each kind by itself, in place."""
    for kind in {kind for made, _ in found for kind in made}:
        family = [made for made, _ in found if kind in made]
        for made, p in zip(family, adjustment(how)([made[kind].p_value for made in family]), strict=True):
            made[kind] = replace(made[kind], p_adjusted=p)
