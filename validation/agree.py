"""The whole of a method comparison from one table: every test against the reference, against each other, by group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from validation.accuracy import ErrorTable, bootstrap_tables, key, measures_of
from validation.agreement import INTERVALS, SCALES, bland_altman, empty_agreement
from validation.comparison import METRICS, Comparison, compare_tables
from validation.concordance import ccc, pearson
from validation.errors import NotFinite, OutOfRange, ShapeMismatch, UnknownOption, ValidationError
from validation.limits import nonparametric_limits
from validation.multiplicity import ADJUSTMENTS, adjustment
from validation.pairs import LARGEST, SMALLEST, Floats, codes, confidence, option
from validation.regression import Line, deming
from validation.reliability import FORMS, icc
from validation.resampling import Distribution, bca
from validation.results import Estimate, attempt, digits, rows
from validation.robust import passing_bablok
from validation.subgroups import bias_gap, crossed, gap, group_labels, sort_key, subject_moments

# Metrics whose gaps between groups are reported.
GAPS = ("mae", "rmse")


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


@dataclass(frozen=True)
class AgreementReport:
    """Result of `agree`. `to_dict()` is plain JSON, `to_frame()` one row a quantity, `str()` a page to read."""

    n: int
    reference: str
    tests: dict[str, dict[str, Any]]
    comparisons: list[Comparison]
    subgroups: dict[str, dict[str, Any]]
    settings: Settings

    def to_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "reference": self.reference,
            "tests": self.tests,
            "comparisons": [item.to_dict() for item in self.comparisons],
            "subgroups": self.subgroups,
        }

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
            for kind in ("difference", "ratio"):
                for test, gaps in part[kind].items():
                    found += [{"part": attribute, "group": kind, "method": test, **row} for row in rows(gaps)]
        columns = ["part", "group", "method", "quantity", "estimate", "low", "high", "reason"]
        return pd.DataFrame(found, columns=columns)

    def __str__(self) -> str:
        return describe(self)


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
        minimum_cell: groups of fewer subjects are suppressed.
        within: the k of "percent of errors within ±k".
        adjust: "holm" (family-wise error) or "bh" (false discovery rate), of the p-values of the comparisons of tests,
            over the pairs of tests, each metric by itself.

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
        option(repeated, ("varying", "constant"), "repeated"),
        tuple(within),
        option(adjust, tuple(ADJUSTMENTS), "adjust"),
    )
    check_names(table, reference, tests, by, subject)
    numbers = {name: numeric(table[name], name) for name in [reference, *tests]}
    groups = {name: group_labels(table[crossed(name, table.columns)], len(table)) for name in by}
    labels = {name: values for name, (values, _) in groups.items()}
    owners = None if subject is None else group_labels(table[[subject]], len(table))[0]

    usable = ~np.isnan(numbers[reference]) & np.any([~np.isnan(numbers[name]) for name in tests], axis=0)
    if owners is not None:
        usable &= np.array([owner is not None for owner in owners], dtype=bool)
    # Rows in an order of their own, so that the file's order changes no byte of the result.
    words = [*labels.values(), *([] if owners is None else [owners])]
    text = [np.array([str(value) for value in column]) for column in words]
    order = np.lexsort([*text, *(numbers[name] for name in reversed([reference, *tests]))])
    order = order[usable[order]]
    numbers = {name: values[order] for name, values in numbers.items()}
    labels = {name: values[order] for name, values in labels.items()}
    owners = None if owners is None else owners[order]

    block = Block(numbers, reference, tests, owners, settings, ())
    whole, _ = block.describe()
    return AgreementReport(
        n=len(order),
        reference=reference,
        tests=whole,
        comparisons=adjusted(block.compare(), settings.adjust),
        subgroups={
            name: subgroups(name, labels[name], numbers, reference, tests, owners, settings, groups[name][1])
            for name in by
        },
        settings=settings,
    )


def check_names(
    table: pd.DataFrame, reference: str, tests: Sequence[str], by: Sequence[str], subject: str | None
) -> None:
    if not tests:
        raise UnknownOption("name at least one test")
    parts = [part for name in by for part in crossed(name, table.columns)]
    for name in [reference, *tests, *([] if subject is None else [subject])]:
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
            clusters = codes(None if self.owners is None else self.owners[mask], int(mask.sum()))
            tables = {
                name: ErrorTable(
                    self.numbers[name][mask], self.numbers[self.reference][mask], clusters, self.settings.within
                )
                for name in names
            }
            place = (*self.place, *(f"{name}:{'own' if name in names else 'out'}" for name in self.tests))
            drawn = bootstrap_tables(tables, resamples=self.settings.resamples, seed=self.settings.seed, place=place)
            found = self._shared[mask.tobytes()] = tables, drawn
        return found

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
            **structure(None, None, level),
        }
    clusters = None if table.independent else table.clusters
    try:
        out = agreement(table, clusters, settings)
    except ValidationError as error:
        out = empty_agreement(len(table.test), str(error), level=level, interval=settings.limits)
    if clusters is not None:
        out["subjects"] = table.subjects
    errors = measures_of(table, drawn, level=level)
    for name in ("mae", "rmse", "median_ae", "mape"):
        out[name] = getattr(errors, name).to_dict()
    out["within"] = {name: item.to_dict() for name, item in errors.within.items()}
    for name, function in (("pearson", pearson), ("ccc", ccc)):
        item = attempt(lambda function=function: function(table.test, table.reference, level=level), level=level)
        if clusters is not None and item.estimate is not None:
            item = bca(drawn[name], level=level)
        out[name] = item.to_dict()
    return out | structure(table, clusters, level)


def agreement(table: ErrorTable, clusters: NDArray[np.intp] | None, settings: Settings) -> dict[str, Any]:
    """Bias, limits and proportional bias of one test in the manner of the settings."""
    quantiles = settings.limits == "nonparametric"
    result = bland_altman(
        table.test,
        table.reference,
        level=settings.level,
        limits_interval="exact" if quantiles else settings.limits,
        scale=settings.scale,
        subject=clusters,
        repeated=settings.repeated,
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
    return out if settings.scale == "raw" else out | {"scale": result.scale}


# The quantities of a method that need the table itself, and the parts of each.
LINES = {"deming": ("slope", "intercept"), "passing_bablok": ("slope", "intercept")}


def structure(table: ErrorTable | None, clusters: NDArray[np.intp] | None, level: float) -> dict[str, Any]:
    """Intraclass correlations, Deming's line (jackknife) and Passing and Bablok's (analytic) of one test."""

    def tried(parts: Sequence[str], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return make()
        except ValidationError as error:
            return dict.fromkeys(parts, Estimate.missing(str(error), level=level).to_dict())

    def line(result: Line) -> dict[str, Any]:
        return {part: item for part, item in result.to_dict().items() if part in ("slope", "intercept")}

    if table is None:
        reason = "no row has both the test and the reference"
        nothing = Estimate.missing(reason, level=level).to_dict()
        return {"icc": dict.fromkeys(FORMS, nothing)} | {n: dict.fromkeys(p, nothing) for n, p in LINES.items()}
    x, y = table.test, table.reference
    out = {
        "icc": tried(FORMS, lambda: icc(np.column_stack([x, y]), level=level).to_dict()),
        "deming": tried(LINES["deming"], lambda: line(deming(x, y, subject=clusters, level=level))),
        "passing_bablok": tried(LINES["passing_bablok"], lambda: line(passing_bablok(x, y, level=level))),
    }
    if clusters is not None:
        for name in ("icc", "passing_bablok"):
            for item in out[name].values():
                if item["low"] is not None:
                    item.update(low=None, high=None, reason="its interval needs one pair a subject")
    return out


def subgroups(
    attribute: str,
    labels: NDArray[np.object_],
    numbers: Mapping[str, Floats],
    reference: str,
    tests: Sequence[str],
    owners: NDArray[np.object_] | None,
    settings: Settings,
    title: str,
) -> dict[str, Any]:
    """Every group of an attribute, and the gaps between groups for each test."""
    by_group: dict[str, Any] = {}
    kept: dict[str, dict[str, tuple[ErrorTable, dict[str, Distribution]]]] = {name: {} for name in tests}
    hidden = {"n": None, "suppressed": True, "minimum_cell": settings.minimum_cell}
    for group in sorted({name for name in labels if name is not None}, key=sort_key):
        here = labels == group
        members = int(here.sum()) if owners is None else len(set(owners[here]))
        if members < settings.minimum_cell:
            by_group[group] = {**hidden, "tests": {name: dict(hidden) for name in tests}}
            continue
        part = {name: values[here] for name, values in numbers.items()}
        block = Block(part, reference, tests, None if owners is None else owners[here], settings, (attribute, group))
        summaries, found = block.describe()
        for name in tests:
            if name not in found or found[name][0].subjects < settings.minimum_cell:
                summaries[name] = dict(hidden)
            else:
                kept[name][group] = found[name]
        by_group[group] = {"n": int(here.sum()), "tests": summaries}
    level = settings.level
    difference: dict[str, Any] = {}
    ratio: dict[str, Any] = {}
    for name, groups in kept.items():
        drawn = {metric: {group: item[1][metric] for group, item in groups.items()} for metric in GAPS}
        moments = {group: subject_moments(item[0]) for group, item in groups.items()}
        difference[name] = {metric: gap(drawn[metric], level=level).to_dict() for metric in GAPS}
        difference[name]["bias"] = bias_gap(moments, level=level).to_dict()
        ratio[name] = {metric: gap(drawn[metric], kind="ratio", level=level).to_dict() for metric in GAPS}
    return {
        "label": title,
        "unlabelled": int(sum(name is None for name in labels)),
        "by_group": by_group,
        "difference": difference,
        "ratio": ratio,
    }


def describe(report: AgreementReport) -> str:
    """The report as a page of text."""

    def text(item: Mapping[str, Any]) -> str:
        return str(Estimate(item["estimate"], item["low"], item["high"], reason=item.get("reason")))

    settings = report.settings
    lines = [
        f"Agreement with {report.reference}: {report.n:,} rows, {settings.level:.0%} intervals, "
        f"limits {settings.limits}, {settings.resamples:,} resamples, seed {settings.seed}",
    ]
    for name, method in report.tests.items():
        lines += [
            "",
            f"{name} - {report.reference} (n = {method['n']:,})",
            f"  bias              {text(method['bias'])}" + p_text(method["p_value"]),
            f"  SD                {digits(method['sd'])}",
            f"  lower limit       {text(method['limits']['lower'])}",
            f"  upper limit       {text(method['limits']['upper'])}",
            f"  slope on mean     {text(method['proportional_bias']['slope'])}"
            + p_text(method["proportional_bias"]["p_value"]),
            f"  MAE               {text(method['mae'])}",
            f"  RMSE              {text(method['rmse'])}",
            f"  median |error|    {text(method['median_ae'])}",
            f"  MAPE, %           {text(method['mape'])}",
            *(f"  {f'within ±{k}, %':<18}{text(item)}" for k, item in method["within"].items()),
            f"  Pearson's r       {text(method['pearson'])}",
            f"  Lin's CCC         {text(method['ccc'])}",
            f"  ICC(A,1)          {text(method['icc']['ICC(A,1)'])}",
            f"  Deming            slope {text(method['deming']['slope'])}; "
            f"intercept {text(method['deming']['intercept'])}",
            f"  Passing–Bablok    slope {text(method['passing_bablok']['slope'])}; "
            f"intercept {text(method['passing_bablok']['intercept'])}",
        ]
    if report.comparisons:
        how = {"holm": "Holm", "bh": "Benjamini and Hochberg"}[settings.adjust]
        lines += ["", f"Comparisons on the rows that both have (p adjusted by {how}; of SD by Pitman and Morgan)"]
        for item in report.comparisons:
            lines.append(
                f"  {item.metric.upper()} {item.a} - {item.b} (n = {item.n:,}): {item.difference}"
                + ("" if item.metric == "ccc" else f"; ratio {item.ratio}")
                + p_text(item.p_adjusted)
            )
    for attribute, part in report.subgroups.items():
        lines += ["", f"By {attribute}"]
        for group, content in part["by_group"].items():
            if content.get("suppressed"):
                lines.append(f"  {group}: fewer than {settings.minimum_cell} subjects, not shown")
                continue
            for name, method in content["tests"].items():
                if method.get("suppressed"):
                    lines.append(f"  {group}, {name}: fewer than {settings.minimum_cell} subjects, not shown")
                else:
                    lines.append(
                        f"  {group}, {name} (n = {method['n']:,}): bias {text(method['bias'])}; "
                        f"MAE {text(method['mae'])}"
                    )
        for name, gaps in part["difference"].items():
            for metric, item in gaps.items():
                if item["high_group"] is not None:
                    who = f"{item['high_group']} less {item['low_group']}"
                    lines.append(f"  gap of {metric}, {name}, {who}: {text(item)}")
    return "\n".join(lines)


def p_text(p: float | None) -> str:
    if p is None:
        return ""
    return ", p < 0.001" if p < 0.001 else f", p = {p:.3f}"
