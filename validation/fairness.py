"""Is the test as good for everyone? Tests of equal bias, spread and error between groups, estimates that borrow
strength so that a small group's noise is neither called unfair nor hidden, and verdicts against a margin.

Sources: Welch BL. Biometrika 1951;38:330-336; Brown MB, Forsythe AB. J Am Stat Assoc 1974;69:364-367; MacKinnon JG,
White H. J Econom 1985;29:305-325 (HC3); Paule RC, Mandel J. J Res Natl Bur Stand 1982;87:377-385; Morris CN. J Am Stat
Assoc 1983;78:47-55 (empirical Bayes).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from validation.accuracy import ErrorTable
from validation.agreement import differences, mean_interval
from validation.design import detectable_gap
from validation.errors import Degenerate, NotEnoughData, OutOfRange, ShapeMismatch, UnknownOption, ValidationError
from validation.multiplicity import benjamini_hochberg, holm
from validation.pairs import LARGEST, SMALLEST, Floats, codes, confidence, number, option, pair
from validation.resampling import BLOCK, generator
from validation.results import Estimate, Result
from validation.subgroups import SubgroupFrame, group_labels, share_of, sort_key, subject_moments

MEETS, FAILS, UNDECIDED = "meets", "fails", "not enough data to say"


@dataclass(frozen=True)
class GroupTest(Result):
    """A test of no difference between groups: statistic, degrees of freedom, p; `p_adjusted` within a family.

    `means`: of tests of bias, each group's bias, adjusted as the test is.
    """

    test: str
    attribute: str
    groups: list[str]
    statistic: float
    df1: float | None
    df2: float | None
    p_value: float
    p_adjusted: float | None = None
    means: dict[str, Estimate] | None = None

    def to_dict(self) -> dict[str, Any]:
        out = super().to_dict()
        return out if self.means is not None else {name: item for name, item in out.items() if name != "means"}


def split(values: Floats, groups: Any, minimum_cell: int) -> tuple[dict[str, NDArray[np.intp]], str]:
    """Rows of every labelled group of at least `minimum_cell` rows, and the attribute's name."""
    labels, attribute = group_labels(groups, len(values))
    names = sorted({name for name in labels if name is not None}, key=sort_key)
    found = {name: np.flatnonzero(labels == name) for name in names}
    found = {name: rows for name, rows in found.items() if len(rows) >= max(minimum_cell, 2)}
    if len(found) < 2:
        raise NotEnoughData("a comparison needs two groups of sufficient size")
    return found, attribute


def by_subject(
    difference: Floats, groups: Any, subject: ArrayLike | None, covariates: Mapping[str, ArrayLike] | None = None
) -> tuple[Floats, Any, dict[str, Floats]]:
    """Differences, groups and covariates with one row a subject: means of the differences and covariates.

    A subject has the group of its first row; UnknownOption when it is in two.
    """
    columns = {name: np.asarray(values, dtype=float) for name, values in (covariates or {}).items()}
    for name, values in columns.items():
        if values.shape != difference.shape:
            raise ShapeMismatch(f"the covariate {name!r} has shape {values.shape}")
    clusters = codes(subject, len(difference))
    size = int(clusters.max()) + 1
    if size == len(difference):
        return difference, groups, columns
    labels, attribute = group_labels(groups, len(difference))
    first = np.empty(size, dtype=object)
    first[clusters[::-1]] = labels[::-1]
    if any(a != b for a, b in zip(first[clusters], labels, strict=True)):
        raise UnknownOption("a subject is in more than one group: name the groups by subject, not by row")
    counts = np.bincount(clusters)
    means = {name: np.bincount(clusters, values) / counts for name, values in columns.items()}
    return np.bincount(clusters, difference) / counts, pd.Series(first, name=attribute, dtype=object), means


def equal_bias(
    test: ArrayLike,
    reference: ArrayLike,
    groups: Any,
    *,
    covariates: Mapping[str, ArrayLike] | None = None,
    subject: ArrayLike | None = None,
    minimum_cell: int = 10,
    level: float = 0.95,
) -> GroupTest:
    """Do groups share one bias? Welch's analysis of variance of the differences; of two groups, Welch's t test.

    With `covariates` (names to (n,) values, such as the reference's BFP and BMI), the groups' intercepts in a
    least-squares regression of the differences on covariates and groups, by a Wald F test with HC3 variances, which
    holds when the spread differs: are people of the same size and fatness read alike?

    subject: (n,) labels; of a subject with several rows the mean counts, and the minimum cell counts subjects.

    `means` of the result are the groups' biases; with covariates, where the covariates have their means.
    """
    confidence(level)
    x, y = pair(test, reference, least=3)
    d, groups, covariates = by_subject(differences(x, y)[0], groups, subject, covariates)
    rows, attribute = split(d, groups, minimum_cell)
    if covariates:
        return _adjusted_bias(d, rows, attribute, covariates, level)
    return equal_means(
        {name: (float(d[place].mean()), float(d[place].std(ddof=1)), len(place)) for name, place in rows.items()},
        attribute=attribute,
        level=level,
    )


def equal_means(
    moments: Mapping[str, tuple[float, float, int]], *, attribute: str = "group", level: float = 0.95
) -> GroupTest:
    """Do groups share one bias? As `equal_bias` without covariates, from (mean, SD, n) of each group's differences."""
    if len(moments) < 2 or any(n < 2 for _, _, n in moments.values()):
        raise NotEnoughData("a comparison needs two groups of two subjects or more")
    for name, (mean_of, sd_of, _) in moments.items():
        number(mean_of, f"the mean of {name}")
        if number(sd_of, f"the SD of {name}") < 0:
            raise OutOfRange(f"the SD of {name} is negative")
    mean, sd, n = (np.array(values, dtype=float) for values in zip(*moments.values(), strict=True))
    variance = sd**2
    if (variance == 0).any():
        raise Degenerate("within a group all differences are equal")
    weight = n / variance
    centre = float(weight @ mean / weight.sum())
    k = len(n)
    unbalance = float(((1 - weight / weight.sum()) ** 2 / (n - 1)).sum())
    statistic = float(weight @ (mean - centre) ** 2) / (k - 1) / (1 + 2 * (k - 2) / (k * k - 1) * unbalance)
    df2 = (k * k - 1) / (3 * unbalance)
    p_value = float(special.fdtrc(k - 1, df2, statistic))
    means = {name: mean_interval(*item, level=level) for name, item in moments.items()}
    return GroupTest("equal bias, Welch", attribute, list(moments), statistic, k - 1, df2, p_value, means=means)


def _adjusted_bias(
    d: Floats,
    rows: Mapping[str, NDArray[np.intp]],
    attribute: str,
    covariates: Mapping[str, Floats],
    level: float,
) -> GroupTest:
    keep = np.sort(np.concatenate(list(rows.values())))
    group = np.zeros((len(d), len(rows) - 1))
    for i, place in enumerate(list(rows.values())[1:]):
        group[place, i] = 1
    whole = np.column_stack([np.ones(len(d)), *covariates.values(), group])[keep]
    complete = np.isfinite(whole).all(axis=1)
    design, outcome = whole[complete], d[keep][complete]
    n, p = design.shape
    scale = np.abs(design).max(axis=0, initial=0.0)
    if n <= p + 1 or (scale == 0).any() or np.linalg.matrix_rank(design / scale) < p:
        raise Degenerate("groups and covariates cannot be told apart in these data")
    design = design / scale
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ outcome
    residual = outcome - design @ beta
    if np.abs(residual).max() <= 1e-12 * np.abs(outcome).max():
        raise Degenerate("groups and covariates leave no residual spread")
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    score = design * (residual / np.maximum(1 - leverage, 1e-12))[:, None]
    variance = inverse @ (score.T @ score) @ inverse
    q = len(rows) - 1
    tested, middle = beta[-q:], variance[-q:, -q:]
    if np.linalg.matrix_rank(middle) < q:
        raise Degenerate("a group has no spread of its own beside the covariates")
    statistic = float(tested @ np.linalg.solve(middle, tested)) / q
    name = f"equal bias given {', '.join(covariates)}, HC3"
    means = {}
    t = float(special.stdtrit(n - p, (1 + level) / 2))
    for i, group_name in enumerate(rows):
        contrast = design.mean(axis=0)
        contrast[-q:] = 0
        if i:
            contrast[p - q + i - 1] = 1  # the indicator's scale is 1
        value, half = float(contrast @ beta), t * math.sqrt(max(float(contrast @ variance @ contrast), 0.0))
        means[group_name] = Estimate(value, value - half, value + half, level, "HC3")
    p_value = float(special.fdtrc(q, n - p, statistic))
    return GroupTest(name, attribute, list(rows), statistic, q, n - p, p_value, means=means)


def equal_spread(
    test: ArrayLike,
    reference: ArrayLike,
    groups: Any,
    *,
    subject: ArrayLike | None = None,
    minimum_cell: int = 10,
) -> GroupTest:
    """Do groups share one SD of the differences? Brown and Forsythe's test (Levene's about the medians).

    subject: (n,) labels; of a subject with several rows the mean counts.
    """
    x, y = pair(test, reference, least=3)
    d, groups, _ = by_subject(differences(x, y)[0], groups, subject)
    rows, attribute = split(d, groups, minimum_cell)
    parts = [d[place] for place in rows.values()]
    deviations = [np.abs(part - np.median(part)) for part in parts]
    if all(np.ptp(part) <= 1e-12 * np.abs(d).max() for part in deviations):
        raise Degenerate("within the groups all differences are equally far from the median")
    found = stats.levene(*parts, center="median")
    n, k = sum(map(len, parts)), len(parts)
    return GroupTest(
        "equal spread, Brown–Forsythe", attribute, list(rows), float(found.statistic), k - 1, n - k, float(found.pvalue)
    )


def permutation_gap(
    test: ArrayLike,
    reference: ArrayLike,
    groups: Any,
    *,
    metric: str | Callable[[Floats, Floats], float] = "mae",
    subject: ArrayLike | None = None,
    minimum_cell: int = 10,
    resamples: int = 10_000,
    seed: int = 1,
) -> GroupTest:
    """Permutation test of the gap (largest less smallest value of a metric among groups), labels dealt anew.

    `metric` is one of SubgroupFrame's that are made of sums (bias, sd, mae, rmse, mape, ccc, pearson, "within_3" ...)
    or a function (test, reference) -> float. Labels belong to subjects; a subject is in one group.
    The hypothesis is that errors have one distribution in all groups.
    """
    arguments: dict[str, Any] = {"minimum_cell": minimum_cell, "resamples": resamples, "seed": seed}
    if not callable(metric):
        return permutation_gaps({"": test}, reference, groups, metric=metric, subject=subject, **arguments)[""]
    x, y = pair(test, reference, least=3)
    clusters = codes(subject, len(x))
    rows, attribute = dealt_groups(clusters, groups, minimum_cell)
    size = int(clusters.max()) + 1
    keep = np.concatenate(list(rows.values()))
    edges = np.concatenate([[0], np.cumsum([len(place) for place in rows.values()])])
    members = [np.flatnonzero(clusters == i) for i in range(size)] if size < len(x) else None

    def spread(order: NDArray[np.intp]) -> float:
        values = []
        for a, b in itertools.pairwise(edges):
            part = order[a:b] if members is None else np.concatenate([members[i] for i in order[a:b]])
            values.append(metric(x[part], y[part]))
        return max(values) - min(values)

    rng = generator(seed, "permutation", attribute)
    drawn = np.array([spread(rng.permutation(keep)) for _ in range(resamples)])
    return _judged_gap(getattr(metric, "__name__", "own metric"), attribute, list(rows), spread(keep), drawn)


def permutation_gaps(
    tests: Mapping[str, ArrayLike],
    reference: ArrayLike,
    groups: Any,
    *,
    metric: str = "mae",
    subject: ArrayLike | None = None,
    minimum_cell: int = 10,
    resamples: int = 10_000,
    seed: int = 1,
) -> dict[str, GroupTest]:
    """`permutation_gap` of several tests (n,) of the same rows: the labels are dealt once for all of them."""
    columns = {name: pair(values, reference, least=3) for name, values in tests.items()}
    (_, y) = next(iter(columns.values()))
    clusters = codes(subject, len(y))
    rows, attribute = dealt_groups(clusters, groups, minimum_cell)
    keep = np.concatenate(list(rows.values()))
    counts = [len(place) for place in rows.values()]
    within = (share_of(metric),) if metric.startswith("within_") else ()
    stacked, measures, width = [], {}, 0
    for name, (x, _) in columns.items():
        table = ErrorTable(x, y, clusters, within)
        made = table.measures({column: width + i for i, column in enumerate(table.columns)})
        measures[name] = made[option(metric, tuple(made), "metric")]
        stacked.append(table.sums[keep])
        width += stacked[-1].shape[1]
    sums = np.hstack(stacked)

    def spreads(dealt: NDArray[np.int16]) -> dict[str, Floats]:
        totals = [(dealt == i).astype(float) @ sums for i in range(len(counts))]
        found = {name: np.stack([measure(part) for part in totals]) for name, measure in measures.items()}
        return {name: values.max(axis=0) - values.min(axis=0) for name, values in found.items()}

    own = np.repeat(np.arange(len(counts), dtype=np.int16), counts)
    observed = spreads(own[None])
    rng = generator(seed, "permutation", attribute)
    step = max(1, BLOCK // len(own))
    blocks = [
        spreads(rng.permuted(np.tile(own, (min(step, resamples - start), 1)), axis=1))
        for start in range(0, resamples, step)
    ]
    return {
        name: _judged_gap(
            metric, attribute, list(rows), float(observed[name][0]), np.concatenate([block[name] for block in blocks])
        )
        for name in columns
    }


def dealt_groups(clusters: NDArray[np.intp], groups: Any, minimum_cell: int) -> tuple[dict[str, NDArray[np.intp]], str]:
    """Subjects of every group that is large enough, and the attribute's name; UnknownOption for one in two groups."""
    labels, attribute = group_labels(groups, len(clusters))
    first = np.empty(int(clusters.max()) + 1, dtype=object)
    first[clusters[::-1]] = labels[::-1]
    if any(a != b for a, b in zip(first[clusters], labels, strict=True)):
        raise UnknownOption("a subject is in more than one group, so its label cannot be dealt anew")
    return split(np.zeros(len(first)), list(first), minimum_cell)[0], attribute


def _judged_gap(name: str, attribute: str, groups: list[str], observed: float, drawn: Floats) -> GroupTest:
    """p: the share of dealings whose gap is not smaller, undefined ones counted with them."""
    if not math.isfinite(observed):
        raise Degenerate("the metric is not defined in every group")
    beyond = int((~(drawn < observed - 1e-12 * abs(observed))).sum())
    p = (1 + beyond) / (len(drawn) + 1)
    return GroupTest(f"equal {name}, permutation", attribute, groups, observed, None, None, p)


def adjust_tests(tests: Sequence[GroupTest], *, method: str = "holm") -> list[GroupTest]:
    """The tests with p-values adjusted over the family, by "holm" or "benjamini-hochberg"."""
    rule = {"holm": holm, "benjamini-hochberg": benjamini_hochberg}[
        option(method, ("holm", "benjamini-hochberg"), "method")
    ]
    adjusted = rule([item.p_value for item in tests])
    return [replace(item, p_adjusted=p) for item, p in zip(tests, adjusted, strict=True)]


@dataclass(frozen=True)
class Pooled(Result):
    """Groups' values drawn towards their mean as far as their noise warrants.

    mean: of the population of groups; between_sd: SD of the groups' true values; groups: pooled estimates;
    shrinkage: 0 keeps a group's own estimate, 1 replaces it by the mean.
    """

    mean: Estimate
    between_sd: float
    groups: dict[str, Estimate]
    shrinkage: dict[str, float]


def partial_pooling(
    estimates: Mapping[str, float], standard_errors: Mapping[str, float], *, level: float = 0.95
) -> Pooled:
    """Empirical Bayes estimates of groups' true values from estimates and standard errors (normal-normal model).

    The variance between groups is Paule and Mandel's; a group's estimate is (1 - B) own + B mean with
    B = se² / (se² + between²), and its variance se² (1 - B) + B² var(mean), plus Morris's term for the uncertainty of
    the variance between groups, 2 B² (own - mean)² / (k - 3) for k > 3 groups.
    """
    confidence(level)
    names = list(estimates)
    if len(names) < 2 or set(names) != set(standard_errors):
        raise NotEnoughData("pooling needs two groups or more, each with a standard error")
    y = np.array([estimates[name] for name in names], dtype=float)
    with np.errstate(over="ignore"):
        v = np.array([standard_errors[name] for name in names], dtype=float) ** 2
    if not (np.isfinite(y).all() and np.isfinite(v).all() and (v > 0).all()):
        raise Degenerate("every group needs an estimate and a positive standard error")
    if max(np.abs(y).max(), v.max()) > LARGEST or v.min() < SMALLEST:
        raise OutOfRange("estimates or standard errors leave double precision: rescale them")
    k = len(names)

    def excess(between: float) -> float:
        w = 1 / (v + between)
        return float(w @ (y - w @ y / w.sum()) ** 2) - (k - 1)

    between = 0.0
    if excess(0.0) > 0:
        high = float(v.max() + y.var())
        while excess(high) > 0:
            high *= 2
        between = float(optimize.brentq(excess, 0.0, high, xtol=1e-14 * high))
    w = 1 / (v + between)
    mean, variance = float(w @ y / w.sum()), 1 / float(w.sum())
    z = float(special.ndtri((1 + level) / 2))
    pull = v / (v + between)
    own = (1 - pull) * y + pull * mean
    spread = v * (1 - pull) + pull**2 * variance
    if k > 3:
        spread = spread + 2 * pull**2 * (y - mean) ** 2 / (k - 3)
    half = z * np.sqrt(spread)
    method = "empirical Bayes"
    return Pooled(
        Estimate(mean, mean - z * math.sqrt(variance), mean + z * math.sqrt(variance), level, method),
        math.sqrt(between),
        {n: Estimate(own[i], own[i] - half[i], own[i] + half[i], level, method) for i, n in enumerate(names)},
        {n: float(pull[i]) for i, n in enumerate(names)},
    )


def group_verdict(interval: Estimate, *, at_most: float | None = None, within: float | None = None) -> str:
    """ "meets" when the whole interval satisfies the margin, "fails" when none of it does, else
    "not enough data to say". Margin: `at_most` for errors, ±`within` for biases."""
    if (at_most is None) == (within is None):
        raise UnknownOption("give one margin: at_most or within")
    if interval.low is None or interval.high is None:
        return UNDECIDED
    low, high = (-math.inf, at_most) if within is None else (-within, within)
    if low <= interval.low and interval.high <= high:  # type: ignore[operator]
        return MEETS
    return FAILS if interval.low > high or interval.high < low else UNDECIDED  # type: ignore[operator]


def equality_tests(
    test: Floats,
    reference: Floats,
    labels: Any,
    *,
    metric: str = "mae",
    covariates: Mapping[str, Floats] | None = None,
    subject: ArrayLike | None = None,
    minimum_cell: int = 10,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
    permuted: Callable[[], GroupTest] | None = None,
) -> tuple[dict[str, GroupTest], dict[str, str]]:
    """Tests of equal bias, of equal bias given covariates, of equal spread and of an equal metric, by name.

    Also the reasons of those that could not be made. p-values are not adjusted. `permuted` gives the permutation test
    where it was made beforehand.
    """
    common: dict[str, Any] = {"subject": subject, "minimum_cell": minimum_cell}
    wanted: dict[str, Callable[[], GroupTest]] = {
        "equal bias": lambda: equal_bias(test, reference, labels, level=level, **common),
        "equal spread": lambda: equal_spread(test, reference, labels, **common),
        f"equal {metric}": permuted
        or (lambda: permutation_gap(test, reference, labels, metric=metric, resamples=resamples, seed=seed, **common)),
    }
    if covariates:
        wanted["equal bias, adjusted"] = lambda: equal_bias(
            test, reference, labels, covariates=covariates, level=level, **common
        )
    made, left_out = {}, {}
    for name, make in wanted.items():
        try:
            made[name] = make()
        except ValidationError as error:
            left_out[name] = str(error)
    return made, left_out


def pooled_intervals(estimates: Mapping[str, Estimate], *, level: float = 0.95) -> Pooled:
    """`partial_pooling` of groups' estimates with standard errors from the width of their intervals."""
    z = float(special.ndtri((1 + level) / 2))
    whole = {name: item for name, item in estimates.items() if item.low is not None and item.high is not None}
    errors = {name: (item.high - item.low) / (2 * z) for name, item in whole.items()}  # type: ignore[operator]
    return partial_pooling({name: float(item) for name, item in whole.items()}, errors, level=level)


def detectable_gaps(moments: Mapping[str, tuple[float, float, int]]) -> dict[str, float]:
    """For each group of (mean, SD, subjects) the smallest difference of its bias from that of all the others that
    these numbers find with a power of 80 % (two-sided Welch test at 5 %)."""
    out = {}
    for name, mine in moments.items():
        others = [item for other, item in moments.items() if other != name]
        n = sum(item[2] for item in others)
        if mine[2] < 2 or n < 2 or not math.isfinite(mine[1]):
            continue
        centre = sum(item[2] * item[0] for item in others) / n
        squares = sum(
            (item[2] - 1) * (item[1] if math.isfinite(item[1]) else 0.0) ** 2 + item[2] * (item[0] - centre) ** 2
            for item in others
        )
        if mine[1] > 0 and squares > 0:
            out[name] = detectable_gap(mine[2], n, sd_a=mine[1], sd_b=math.sqrt(squares / (n - 1)))
    return out


@dataclass(frozen=True)
class FairnessReport(Result):
    """Everything on one attribute. `verdicts` and `detectable` hold groups that are large enough to be shown.

    detectable: for each group, the smallest difference of bias from all the others that these numbers could find with
    a power of 80 %.
    """

    attribute: str
    frame: SubgroupFrame
    tests: list[GroupTest]
    pooled: Pooled | None
    verdicts: dict[str, str]
    detectable: dict[str, float]
    left_out: dict[str, str]

    def to_frame(self) -> pd.DataFrame:
        return self.frame.to_frame()

    def __str__(self) -> str:
        lines = [str(self.frame)]
        lines += [f"  {item.test}: p = {item.p_value:.4g}, adjusted {item.p_adjusted:.4g}" for item in self.tests]
        if self.pooled is not None:
            lines += [f"  {name}, pooled: {item}" for name, item in self.pooled.groups.items()]
        lines += [f"  {name}: {verdict}" for name, verdict in self.verdicts.items()]
        lines += [f"  {what}: {why}" for what, why in self.left_out.items()]
        return "\n".join(lines)


def fairness_report(
    test: ArrayLike,
    reference: ArrayLike,
    groups: Any,
    *,
    metric: str = "mae",
    at_most: float | None = None,
    covariates: Mapping[str, ArrayLike] | None = None,
    subject: ArrayLike | None = None,
    minimum_cell: int = 10,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
) -> FairnessReport:
    """All of the above for one attribute (or crossing): estimates, tests (Holm), pooling, verdicts, detectable gaps.

    Pooling takes the standard error from the bootstrap interval's width. What cannot be computed is in `left_out`,
    with its reason.
    """
    frame = SubgroupFrame(
        test=test,
        reference=reference,
        groups=groups,
        metrics=(metric, "bias") if metric != "bias" else ("bias",),
        subject=subject,
        level=level,
        resamples=resamples,
        seed=seed,
        minimum_cell=minimum_cell,
    )
    labels, _ = group_labels(groups, len(np.asarray(test)))
    x, y = np.asarray(test, dtype=float), np.asarray(reference, dtype=float)
    keep = ~np.isnan(x) & ~np.isnan(y)
    x, y, labels = x[keep], y[keep], labels[keep]
    owners = None if subject is None else np.asarray(subject)[keep]
    made, left_out = equality_tests(
        x,
        y,
        list(labels),
        metric=metric,
        covariates={name: np.asarray(values, dtype=float)[keep] for name, values in (covariates or {}).items()},
        subject=owners,
        minimum_cell=minimum_cell,
        level=level,
        resamples=resamples,
        seed=seed,
    )
    tests = [replace(item, attribute=frame.attribute) for item in made.values()]
    shown = {name: group for name, group in frame.by_group.items() if not group.suppressed}
    pooled = None
    try:
        pooled = pooled_intervals({name: group.metrics[metric] for name, group in shown.items()}, level=level)
    except ValidationError as error:
        left_out["pooling"] = str(error)
    verdicts = {}
    if at_most is not None:
        margin = {"within": at_most} if metric == "bias" else {"at_most": at_most}
        verdicts = {name: group_verdict(group.metrics[metric], **margin) for name, group in shown.items()}
    moments = {name: subject_moments(table) for name, table in frame.tables.items()}
    detectable = detectable_gaps(moments)
    return FairnessReport(frame.attribute, frame, adjust_tests(tests), pooled, verdicts, detectable, left_out)


def band_labels(sizes: Floats, cuts: Sequence[float]) -> NDArray[np.object_]:
    """The band of each size (n,): "< 20", "20 to 30", "≥ 30"; a cut belongs to the band above it. None for NaN."""
    edges = sorted({float(cut) for cut in cuts})
    if not edges or not all(map(math.isfinite, edges)):
        raise UnknownOption("bands need one finite cut point or more")
    names = [f"< {edges[0]:g}", *(f"{a:g} to {b:g}" for a, b in itertools.pairwise(edges)), f"≥ {edges[-1]:g}"]
    out = np.empty(len(sizes), dtype=object)
    out[:] = [None if math.isnan(v) else names[int(np.searchsorted(edges, v, side="right"))] for v in sizes]
    return out


def across_range(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    cuts: Sequence[float],
    by: str = "reference",
    subject: ArrayLike | None = None,
    minimum_cell: int = 10,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
) -> SubgroupFrame:
    """Bias and errors in bands of size, as of body fat: over-reading the lean and under-reading the obese show here.

    Bands are below the first of `cuts`, between them, and from the last upwards; of the reference, or of the mean of
    the two methods. Bands of a reference that has error itself show a little of this pattern even for a perfect
    test (regression to the mean); bands of the mean do not.
    """
    x, y = np.asarray(test, dtype=float), np.asarray(reference, dtype=float)
    size = y if option(by, ("reference", "mean"), "by") == "reference" else (x + y) / 2
    return SubgroupFrame(
        test=x,
        reference=y,
        groups=pd.Series(band_labels(size, cuts), name=f"band of the {by}"),
        metrics=("bias", "mae", "sd"),
        subject=subject,
        level=level,
        resamples=resamples,
        seed=seed,
        minimum_cell=minimum_cell,
    )
