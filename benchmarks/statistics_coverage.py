"""How often do 95 % intervals hold the true value? Prints the table that docs/statistics.md shows.

    python benchmarks/statistics_coverage.py [--scenarios ...] [--sizes ...] [--studies 2000] [--only NAME ...]

Each simulated study has n subjects with true values T ~ N(30, 8), reference = T + r, test = T + 0.5 + e and a second
test with errors twice as large; r ~ N(0, 1.4). The error e has SD 1.4 and is normal; skewed (a gamma of shape 2,
centred); heteroscedastic (SD proportional to T); or clustered (three pairs a subject, half of the variance between
subjects, all analysed by subject). "Replicates" are two normal values of each method in every subject. One half of the
subjects, in turn, are group A and have the first test, the others are group B and have the second: gaps are between
these.

Printed is the percent of studies whose interval held the truth, one number for each size, bold outside 93.5 to 96.5 %;
its standard error at 95 % is 0.49 with 2,000 studies. A dagger marks intervals that could not be made in more than 1 %
of the studies, which are then left out of the count. `--only` makes no more than the rows whose names begin so.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from functools import cache

import numpy as np
from scipy import stats

from validation import slopes
from validation.accuracy import ErrorTable, bootstrap_tables, within_share
from validation.agreement import bland_altman
from validation.classification import at_cut_point, compare_auc, cross_table, kappa, roc
from validation.comparison import pitman_morgan, ratio_of
from validation.concordance import ccc, kendall, pearson, spearman
from validation.limits import (
    coverage_probability,
    nonparametric_limits,
    prediction_interval,
    regression_limits,
    tolerance_limits,
    total_deviation_index,
)
from validation.precision import corrected_sd, repeatability
from validation.regression import deming, ols
from validation.reliability import icc
from validation.repeated import constant, mixed
from validation.resampling import interval_of, quantile_interval
from validation.results import Estimate, attempt
from validation.robust import passing_bablok
from validation.subgroups import bias_gap, gap, subject_moments
from validation.survey import survey_errors

SIZES = (20, 50, 134, 1000)
SCENARIOS = ("normal", "skewed", "heteroscedastic", "clustered", "replicates")
SD = 1.4
Z = 1.959963984540054
CUT = 33.0
# Percent errors are those of values so much larger: where a reference may be near zero, their mean is not finite.
FAR = 40.0
# Rows that take too long for large studies: up to this size.
UP_TO = {"Passing–Bablok slope, bootstrap": 20, "weighted Deming slope": 134, "Deming slope, BCa": 134}
RESAMPLED = {"BCa": "bca", "jackknife": "jackknife"}
Rows = Iterator[tuple[str, Estimate | float]]


def study(rng: np.random.Generator, scenario: str, n: int):
    """reference, test, second test, subject of one study."""
    subject = np.repeat(np.arange(n), 3) if scenario == "clustered" else np.arange(n)
    truth = rng.normal(30, 8, n)[subject]

    def error(scale: float):
        if scenario == "skewed":
            return scale * (rng.gamma(2, 1, len(truth)) - 2) / math.sqrt(2)
        if scenario == "heteroscedastic":
            return scale * truth / math.sqrt(30**2 + 8**2) * rng.normal(size=len(truth))
        if scenario == "clustered":
            between = rng.normal(0, scale * math.sqrt(0.5), n)[subject]
            return between + rng.normal(0, scale * math.sqrt(0.5), len(truth))
        return rng.normal(0, scale, len(truth))

    reference = truth + rng.normal(0, SD, len(truth))
    return reference, truth + 0.5 + error(SD), truth + 0.5 + error(2 * SD), subject


@cache
def large(scenario: str):
    return study(np.random.default_rng(99), scenario, 4_000_000 if scenario != "clustered" else 1_500_000)


@cache
def differences(scenario: str):
    reference, test, _, _ = large(scenario)
    return np.sort(test - reference)


def content(scenario: str, low: float, high: float) -> float:
    """Share of all differences between two limits."""
    d = differences(scenario)
    first, last = np.searchsorted(d, (low, high))
    return float(last - first) / len(d)


@cache
def truths(scenario: str) -> dict[str, float]:
    """True values, from one very large study; of ranks and medians of slopes from a part of it."""
    reference, test, second, subject = large(scenario)
    d, e = test - reference, second - reference
    size = (test + reference) / 2
    limit = 0.5 + Z * math.sqrt(2) * SD
    mae, rmse, sd = (
        [f(v) for v in (d, e)] for f in (lambda v: np.abs(v).mean(), lambda v: (v @ v / len(v)) ** 0.5, np.std)
    )
    # With repeats the line is that of the subjects' means.
    count = np.bincount(subject)
    mean_d, mean_size = np.bincount(subject, d) / count, np.bincount(subject, size) / count
    slope = float(np.cov(mean_d, mean_size)[0, 1] / np.var(mean_size))
    residual = np.abs(d - d.mean() - (np.cov(d, size)[0, 1] / np.var(size)) * (size - size.mean()))
    concordance = [2 * np.cov(v, reference)[0, 1] / (v.var() + reference.var() + 0.25) for v in (test, second)]
    cov = np.cov(test, reference)
    yes = reference >= CUT
    few = slice(0, 200_000)
    lines = {kind: passing_bablok(test[few], reference[few], kind=kind) for kind in ("classic", "equivariant")}
    between, shared = (cov[0, 0] + cov[1, 1]) / 2, cov[0, 1]
    within = np.abs(d) <= 3

    def area(score):
        ranks = stats.rankdata(score[:1_000_000])
        some = yes[:1_000_000]
        return float((ranks[some].mean() - (some.sum() + 1) / 2) / (~some).sum())

    def agreement():
        table, _ = cross_table(test >= CUT, yes)
        return float(kappa(table).estimate)

    out = {
        "bias, t": 0.5,
        "bias, survey": 0.5,
        "upper limit": limit,
        "upper limit of replicates, MOVER": limit,
        "97.5 % quantile": float(np.quantile(d, 0.975)),
        "slope on mean, t": slope,
        "intercept on mean, t": 0.5 - slope * float(size.mean()),
        "slope on reference, t": float(np.cov(d, reference)[0, 1] / np.var(reference)),
        "slope of the spread, t": float(np.cov(residual, size)[0, 1] / np.var(size)),
        "MAE": mae[0],
        "RMSE": rmse[0],
        "SD": sd[0],
        "MAPE": float(100 * (np.abs(d) / np.abs(reference + FAR)).mean()),
        "SEE": math.sqrt(cov[1, 1] - cov[0, 1] ** 2 / cov[0, 0]),
        "median absolute error": float(np.median(np.abs(d))),
        "difference of MAEs": mae[0] - mae[1],
        "ratio of MAEs": mae[0] / mae[1],
        "difference of RMSEs": rmse[0] - rmse[1],
        "ratio of RMSEs": rmse[0] / rmse[1],
        "difference of SDs": sd[0] - sd[1],
        "ratio of SDs": sd[0] / sd[1],
        "difference of CCCs": float(concordance[0] - concordance[1]),
        "gap of MAE between groups": mae[1] - mae[0],
        "ratio of MAE between groups": mae[1] / mae[0],
        "gap of bias between groups, Welch": 0.0,
        "share within 3": 100 * float(within.mean()),
        "Pearson's r": float(np.corrcoef(test, reference)[0, 1]),
        "Spearman's rho": float(stats.spearmanr(test[:1_000_000], reference[:1_000_000]).statistic),
        "Kendall's tau": float(stats.kendalltau(test[few], reference[few]).statistic),
        "Lin's CCC": float(concordance[0]),
        "ICC(1,1)": (shared - 0.0625) / (between + 0.0625),
        "ICC(A,1)": shared / (between + 0.125),
        "ICC(C,1)": shared / between,
        "least-squares slope, t": shared / cov[1, 1],
        "Deming slope": 1.0,
        "Deming bias at 40": 0.5,
        "weighted Deming slope": 1.0,
        "Passing–Bablok slope": float(lines["classic"].slope),
        "Passing–Bablok intercept": float(lines["classic"].intercept),
        "equivariant Passing–Bablok slope": float(lines["equivariant"].slope),
        "TDI 90 %": float(np.quantile(np.abs(d), 0.9)),
        "coverage probability": float(within.mean()),
        "ROC area, DeLong": area(test),
        "difference of ROC areas, DeLong": area(test) - area(second),
        "sensitivity, Wilson": float((test[yes] >= CUT).mean()),
        "positive predictive value, Wilson": float(yes[test >= CUT].mean()),
        "kappa": agreement(),
        "within-subject SD": SD,
        "SD without the reference's error": SD,
    }
    return {name: float(value) for name, value in out.items()}


def truth_of(scenario: str, name: str) -> float:
    """The truth of the row whose name begins the longest with one that is known."""
    known = truths("normal" if scenario == "replicates" else scenario)
    return known[max((key for key in known if name.startswith(key)), key=len)]


def intervals(rng: np.random.Generator, scenario: str, n: int, resamples: int, seed: int) -> Rows:
    """Names and intervals of one study; a number is itself the probability with which a range holds what it should."""
    reference, test, second, subject = study(rng, scenario, n)
    clustered = scenario == "clustered"
    by = {"subject": subject} if clustered else {}
    plain = bland_altman(test, reference, **by)
    yield "bias, t", plain.bias
    yield f"upper limit, {'MOVER' if clustered else 'exact'}", plain.limits.upper
    if not clustered:
        for name in ("mover", "approximate"):
            item = bland_altman(test, reference, limits_interval=name).limits.upper
            yield f"upper limit, {'MOVER' if name == 'mover' else name}", item
        pair = bland_altman(test, reference, limits_interval="exact-paired").limits
        outer = content(scenario, pair.lower.low, pair.upper.high)
        inner = content(scenario, pair.lower.high, pair.upper.low)
        yield "pair of limits, exact-paired", float(inner <= 0.95 <= outer)
    elif n < 1000:
        yield "upper limit, mixed model, BCa", mixed(test, reference, resamples=resamples, seed=seed, **by).limits.upper
    for kind in ("two-sided", "equal-tailed"):
        found = tolerance_limits(test, reference, kind=kind, **by)
        if kind == "two-sided":
            held = content(scenario, found.lower, found.upper) >= 0.95
        else:
            held = content(scenario, -math.inf, found.lower) <= 0.025 >= content(scenario, found.upper, math.inf)
        yield f"tolerance limits, {kind}", float(held)
    found = prediction_interval(test, reference, **by)
    yield "prediction interval", content(scenario, found.lower, found.upper)
    quantiles = nonparametric_limits(test, reference, resamples=resamples, seed=seed, **by)
    yield "97.5 % quantile, BCa", quantiles.upper
    if not clustered:
        exact = nonparametric_limits(test, reference, interval="order-statistics")
        yield "97.5 % quantile, order statistics", exact.upper
    yield "slope on mean, t", plain.proportional_bias.slope
    yield "intercept on mean, t", plain.proportional_bias.intercept
    if not clustered:
        yield "slope on reference, t", bland_altman(test, reference, regress_on="reference").proportional_bias.slope
        yield "slope of the spread, t", regression_limits(test, reference).spread_slope

    tables = {name: ErrorTable(values, reference, subject, (3,)) for name, values in (("a", test), ("b", second))}
    drawn = bootstrap_tables(tables, resamples=resamples, seed=seed)
    a, b = drawn["a"], drawn["b"]
    larger = ErrorTable(test + FAR, reference + FAR, subject, ())
    percent = bootstrap_tables({"a": larger}, resamples=resamples, seed=seed, measures=["mape"])["a"]["mape"]
    for label, how in RESAMPLED.items():
        for name, metric in (("MAE", "mae"), ("RMSE", "rmse"), ("SD", "sd"), ("SEE", "see")):
            yield f"{name}, {label}", interval_of(a[metric], how, scale="log")
        yield f"MAPE, {label}", interval_of(percent, how, scale="log")
        for name, metric in (("MAE", "mae"), ("RMSE", "rmse"), ("SD", "sd")):
            yield f"difference of {name}s, {label}", interval_of(a[metric].minus(b[metric]), how)
            logs = a[metric].log().minus(b[metric].log())
            yield f"ratio of {name}s, {label}", ratio_of(logs, level=0.95, interval=how)
        yield f"difference of CCCs, {label}", interval_of(a["ccc"].minus(b["ccc"]), how)
    yield "median absolute error, BCa", interval_of(a["median_ae"])
    if clustered:
        for label, how in RESAMPLED.items():
            yield f"share within 3, {label}", within_share(tables["a"], 3, a, level=0.95, interval=how)
            yield f"Pearson's r, {label}", interval_of(a["pearson"], how, scale="z")
            yield f"Lin's CCC, {label}", interval_of(a["ccc"], how, scale="z")
        surveyed = survey_errors(test, reference, psu=subject, within=(3,))
        yield "bias, survey", surveyed.bias
        yield "MAE, survey", surveyed.mae
        yield "RMSE, survey", surveyed.rmse
    else:
        yield "ratio of SDs, Pitman–Morgan", pitman_morgan(test - reference, second - reference)[0]
        yield "share within 3, Wilson", within_share(tables["a"], 3, a, level=0.95)
        yield "Pearson's r, Fisher", pearson(test, reference)
        yield "Pearson's r, jackknife", interval_of(a["pearson"], "jackknife", scale="z")
        yield "Spearman's rho, Bonett–Wright", spearman(test, reference)
        yield "Kendall's tau, Bonett–Wright", kendall(test, reference)
        yield "Kendall's tau, jackknife", kendall(test, reference, interval="jackknife")
        yield "Lin's CCC, z-transform", ccc(test, reference)
        yield "Lin's CCC, jackknife", interval_of(a["ccc"], "jackknife", scale="z")
        yield "TDI 90 %, normal", total_deviation_index(test, reference)
        yield (
            "TDI 90 %, BCa",
            total_deviation_index(test, reference, method="nonparametric", resamples=resamples, seed=seed),
        )
        yield (
            "TDI 90 %, order statistics",
            total_deviation_index(test, reference, method="nonparametric", interval="order-statistics"),
        )
        yield "median absolute error, order statistics", quantile_interval(np.abs(test - reference))
        yield "coverage probability, normal", coverage_probability(test, reference, within=3)

    ratings = np.column_stack([test, reference])
    for label in ("jackknife", *(() if clustered else ("F",))):
        forms = icc(ratings, subject=subject, interval=label.lower())
        for form in ("ICC(1,1)", "ICC(A,1)", "ICC(C,1)"):
            yield f"{form}, {label}", forms[form]

    if not clustered:
        yield "least-squares slope, t", ols(test, reference).slope
        yield "Deming slope, analytic", deming(test, reference, interval="analytic").slope
        if scenario == "heteroscedastic" and n <= UP_TO["weighted Deming slope"]:
            # Errors proportional to size in both methods, for which it is meant.
            size = rng.uniform(10, 50, n)
            first, other = (size * (1 + rng.normal(0, 0.05, n)) for _ in range(2))
            yield "weighted Deming slope, jackknife", attempt(lambda: deming(first, other, weighted=True).slope)
    line = deming(test, reference, **by)
    yield "Deming slope, jackknife", line.slope
    yield "Deming bias at 40, jackknife", line.bias_at([40])[0]
    if n <= UP_TO["Deming slope, BCa"]:
        yield (
            "Deming slope, BCa",
            deming(test, reference, interval="bootstrap", resamples=resamples, seed=seed, **by).slope,
        )
    line = passing_bablok(test, reference, **by)
    yield "Passing–Bablok slope", line.slope
    yield "Passing–Bablok intercept", line.intercept
    yield "equivariant Passing–Bablok slope", passing_bablok(test, reference, kind="equivariant", **by).slope
    if n <= UP_TO["Passing–Bablok slope, bootstrap"] and not clustered:
        few = passing_bablok(test, reference, interval="bootstrap", resamples=400, seed=seed)
        yield "Passing–Bablok slope, bootstrap", few.slope

    parts = {}
    for place, (name, values) in enumerate((("A", test), ("B", second))):
        rows = subject % 2 == place
        parts[name] = ErrorTable(values[rows], reference[rows], subject[rows] // 2, ())
    moments = {name: subject_moments(table) for name, table in parts.items()}
    yield "gap of bias between groups, Welch", bias_gap(moments).estimate
    apart = {
        name: bootstrap_tables({"t": table}, resamples=resamples, seed=seed, place=(name,), measures=["mae"])["t"][
            "mae"
        ]
        for name, table in parts.items()
    }
    yield "gap of MAE between groups, BCa", gap(apart).estimate
    yield "ratio of MAE between groups, BCa", gap(apart, kind="ratio").estimate
    low, high = apart["A"], apart["B"]
    yield "gap of MAE between groups, jackknife", interval_of(high.minus_independent(low), "jackknife")
    logs = high.log().minus_independent(low.log())
    yield "ratio of MAE between groups, jackknife", ratio_of(logs, level=0.95, interval="jackknife")

    if not clustered:
        yield from classified(test, second, reference)


def classified(test, second, reference) -> Rows:
    yes = reference >= CUT
    table = at_cut_point(test, reference, cut=CUT)
    yield "sensitivity, Wilson", table.sensitivity
    yield "positive predictive value, Wilson", table.positive_predictive_value
    yield "ROC area, DeLong", attempt(lambda: roc(test, yes).auc)
    yield "difference of ROC areas, DeLong", attempt(lambda: compare_auc(test, second, yes).difference)
    yield "kappa", attempt(lambda: kappa(cross_table(test >= CUT, yes)[0]))


def replicates(rng: np.random.Generator, n: int) -> Rows:
    """Two values of each method in each of n subjects, whose true value does not change."""
    subject = np.repeat(np.arange(n), 2)
    truth = rng.normal(30, 8, n)[subject]
    reference, test = truth + rng.normal(0, SD, 2 * n), truth + 0.5 + rng.normal(0, SD, 2 * n)
    precision = repeatability(reference, subject).within_sd
    yield "within-subject SD, chi-squared", precision
    # The reference's own error is known from other people than the differences, which the interval takes for granted.
    d = rng.normal(0.5, math.sqrt(2) * SD, n)
    sd = float(d.std(ddof=1))
    yield "SD without the reference's error, MOVER", attempt(lambda: corrected_sd(sd, n, float(precision), n))
    limits = constant(test, reference, test_subject=subject, reference_subject=subject).limits
    yield "upper limit of replicates, MOVER", limits.upper


def coverage(scenario: str, n: int, studies: int, resamples: int, seed: int, only: tuple[str, ...]) -> dict[str, str]:
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario), n])
    hits: dict[str, list[float]] = {}
    empty: dict[str, int] = {}
    for i in range(studies):
        found = replicates(rng, n) if scenario == "replicates" else intervals(rng, scenario, n, resamples, seed + i)
        for name, item in found:
            if not name.startswith(only):
                continue
            held = hits.setdefault(name, [])
            if isinstance(item, float):
                held.append(item)
            elif item.low is None or item.high is None:
                empty[name] = empty.get(name, 0) + 1
            else:
                held.append(float(item.low <= truth_of(scenario, name) <= item.high))
    marks = {name: "†" if empty.get(name, 0) > studies / 100 else "" for name in hits}
    percent = {name: 100 * float(np.mean(held)) for name, held in hits.items() if held}
    return {
        name: f"**{value:.1f}**{marks[name]}" if outside(value) else f"{value:.1f}{marks[name]}"
        for name, value in percent.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenarios", nargs="+", default=SCENARIOS, choices=SCENARIOS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[""])
    options = parser.parse_args()
    # Beyond so many pairs of points the large-sample form of Passing and Bablok, which gives the same, is the faster.
    slopes.LISTED = 30_000
    began = time.perf_counter()
    found: dict[str, dict[str, list[str]]] = {}
    for scenario in options.scenarios:
        for place, n in enumerate(options.sizes):
            only = tuple(options.only)
            for name, cell in coverage(scenario, n, options.studies, options.resamples, options.seed, only).items():
                cells = found.setdefault(name, {}).setdefault(scenario, ["–"] * len(options.sizes))
                cells[place] = cell
        print(f"{scenario}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    sizes = ", ".join(f"{n:,}" for n in options.sizes)
    print(f"{options.studies:,} studies a cell, {options.resamples:,} resamples, seed {options.seed}; n = {sizes}\n")
    print(f"| | {' | '.join(options.scenarios)} |")
    print("|---|" + "---|" * len(options.scenarios))
    for name, row in found.items():
        print(f"| {name} | {' | '.join(' '.join(row.get(scenario, ['–'])) for scenario in options.scenarios)} |")


def outside(percent: float) -> bool:
    """Whether a coverage is farther from 95 % than what counts as right."""
    return not 93.5 <= percent <= 96.5


if __name__ == "__main__":
    main()
