"""Two tests against one reference on the same subjects: which is closer, and by how much.

A ratio of mean absolute errors is what a claim such as "nearly twice as accurate" rests on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from validation.accuracy import ErrorTable, bootstrap_tables
from validation.agreement import mean_interval, p_of_mean, spread
from validation.errors import ShapeMismatch
from validation.multiplicity import adjustment
from validation.pairs import Floats, codes, confidence, option, pair, same
from validation.resampling import INTERVALS, Distribution, Exchange, bca, exchange, generator, interval_of, symmetry
from validation.results import Estimate, Result

# The size of the errors, and all that can be compared: also their SD and Lin's coefficient of concordance.
ERRORS = ("mae", "rmse")
METRICS = (*ERRORS, "sd", "ccc")


@dataclass(frozen=True)
class Comparison(Result):
    """difference = metric of `a` - metric of `b`; ratio = metric of `a` / metric of `b`. Below 0 and below 1: a wins.

    Of "ccc" more is better, so a wins above 0, and there is no ratio. `p_value` is that of the hypothesis that a and b
    may be exchanged within subjects; of "sd" with one row a subject, that their variances are equal (Pitman–Morgan).
    """

    a: str
    b: str
    metric: str
    n: int
    difference: Estimate
    ratio: Estimate
    p_value: float | None
    p_adjusted: float | None = None

    def __str__(self) -> str:
        return (
            f"{self.metric} of {self.a} against {self.b}, {self.n} pairs: difference {self.difference}, "
            f"ratio {self.ratio}, p = {self.p_value}"
        )


def compare_errors(
    a: ArrayLike,
    b: ArrayLike,
    reference: ArrayLike,
    *,
    names: tuple[str, str] = ("a", "b"),
    metrics: Sequence[str] = ERRORS,
    subject: ArrayLike | None = None,
    interval: str = "bca",
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
    adjust: str = "holm",
) -> list[Comparison]:
    """Compare the errors of tests `a` and `b`, each (n,), against `reference` (n,) on the same subjects.

    `metrics` are of mae, rmse, sd (of the differences from the reference) and ccc (Lin's, with the reference).
    Intervals are BCa bootstrap over subjects, both tests in every resample together, or "jackknife": t intervals, that
    of the ratio on the log scale, which hold their level better below about 100 subjects. p-values are permutation
    tests that swap a and b within subjects, each subject whole, all patterns up to 12 subjects; the statistic is the
    total of |e_a| - |e_b| (mae) or e_a² - e_b² (rmse), or the difference of the two coefficients (ccc) or SDs (sd).
    With one row a subject that of sd is Pitman and Morgan's instead. `p_adjusted` is Holm's ("holm") or Benjamini and
    Hochberg's ("bh") over the metrics asked for.

    Raises NotEnoughData, NotFinite, OutOfRange, ShapeMismatch, UnknownOption.
    """
    confidence(level), option(interval, INTERVALS, "interval")
    correct = adjustment(adjust)
    for metric in metrics:
        option(metric, METRICS, "metric")
    x, y = pair(a, reference, least=1)
    z, _ = pair(b, reference, least=1)
    if names[0] == names[1]:
        raise ShapeMismatch(f"both tests are called {names[0]!r}")
    clusters = codes(subject, len(x))
    tables = {names[0]: ErrorTable(x, y, clusters), names[1]: ErrorTable(z, y, clusters)}
    drawn = bootstrap_tables(tables, resamples=resamples, seed=seed, measures=METRICS)
    found = compare_tables(
        tables, drawn, [names], metrics=metrics, interval=interval, level=level, resamples=resamples, seed=seed
    )
    adjusted = correct([item.p_value for item in found])
    return [replace(item, p_adjusted=p) for item, p in zip(found, adjusted, strict=True)]


def compare_tables(
    tables: Mapping[str, ErrorTable],
    drawn: Mapping[str, Mapping[str, Distribution]],
    pairs: Sequence[tuple[str, str]],
    *,
    metrics: Sequence[str] = METRICS,
    interval: str = "bca",
    level: float,
    resamples: int,
    seed: int,
    place: Sequence[str | int] = (),
) -> list[Comparison]:
    """Comparisons of pairs of tests from tables and distributions of the same rows and resamples; p not adjusted.

    One matrix of signs serves all pairs and metrics.
    """
    one_row = {a: tables[a].independent for a, _ in pairs}
    wanted, parts, given = [], [], {}
    gaps = [(a, b, metric) for a, b in pairs for metric in metrics if metric in ERRORS]
    if gaps:
        wanted.append(gaps)
        parts.append(symmetry(np.column_stack([error_gap(tables[a], tables[b], metric) for a, b, metric in gaps])))
    for a, b in pairs:
        first, second = tables[a], tables[b]
        for metric in metrics:
            if metric == "sd" and one_row[a]:
                enough = len(first.errors) >= 4
                given[a, b, metric] = pitman_morgan(first.errors, second.errors, level=level)[1] if enough else None
            elif metric not in ERRORS:
                wanted.append([(a, b, metric)])
                parts.append(exchanged_spread(first, second) if metric == "sd" else exchanged_ccc(first, second))
    if parts:
        found = exchange(parts, resamples=resamples, rng=generator(seed, "signs", *place))
        for keys, values in zip(wanted, found, strict=True):
            given |= {key: None if math.isnan(p) else float(p) for key, p in zip(keys, values, strict=True)}
    out = []
    for a, b in pairs:
        for metric in metrics:
            one, two = drawn[a][metric], drawn[b][metric]
            if metric == "ccc":
                ratio = Estimate.missing("a ratio of coefficients of concordance means nothing", level=level)
            else:
                ratio = ratio_of(one.log().minus(two.log()), level=level, interval=interval)
            out.append(
                Comparison(
                    a,
                    b,
                    metric,
                    len(tables[a].test),
                    interval_of(one.minus(two), interval, level=level),
                    ratio,
                    given[a, b, metric] if tables[a].subjects >= 2 else None,
                )
            )
    return out


def error_gap(a: ErrorTable, b: ErrorTable, metric: str) -> Floats:
    """(subjects,) sums of |e_a| - |e_b| (mae) or e_a² - e_b² (rmse)."""
    gaps = np.abs(a.errors) - np.abs(b.errors) if metric == "mae" else a.errors**2 - b.errors**2
    return np.bincount(a.clusters, gaps, a.subjects)


# A difference of SDs (over the larger) or of coefficients this much smaller counts as equal to the observed one.
ROUNDING = 1e-10


def exchanged(
    table: ErrorTable, first: list[Floats], second: list[Floats], measure: Callable[[Floats], Floats], unit: float
) -> Exchange:
    """|measure of one - measure of the other| when subjects' sums of `first` and `second` are swapped at random.

    A swap of some subjects leaves the sum of both and turns the sign of those subjects' halves of the difference.
    """

    def per_subject(columns: list[Floats]) -> Floats:
        return np.column_stack([np.bincount(table.clusters, values, table.subjects) for values in columns])

    one, two = per_subject(first), per_subject(second)
    middle = (one + two).sum(axis=0) / 2

    def statistic(halves: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(measure(middle + halves) - measure(middle - halves))[:, None]

    return Exchange((one - two) / 2, statistic, np.array([ROUNDING * unit]))


def exchanged_spread(a: ErrorTable, b: ErrorTable) -> Exchange:
    """Permutation of the difference of the SDs of the errors."""
    n = len(a.errors)
    centre = (a.errors.mean() + b.errors.mean()) / 2
    columns = [[e - centre, (e - centre) ** 2] for e in (a.errors, b.errors)]

    def sd(totals: Floats) -> Floats:
        about = totals[..., 1] - totals[..., 0] ** 2 / n
        return np.sqrt(np.maximum(about, 0) / (n - 1))

    unit = max(spread(a.errors), spread(b.errors))
    return exchanged(a, *columns, sd, unit)


def exchanged_ccc(a: ErrorTable, b: ErrorTable) -> Exchange:
    """Permutation of the difference of Lin's coefficients with the reference."""
    centre = float(a.reference.mean())
    y = np.zeros_like(a.reference) if same(a.reference) else a.reference - centre
    yy = float(y @ y)
    columns = [[x * x, x * y] for x in (a.test - centre, b.test - centre)]

    def ccc(totals: Floats) -> Floats:
        # With the reference's mean at zero, the sum of x² about its mean + n (difference of means)² is the plain sum.
        whole = totals[..., 0] + yy
        return np.where(whole > 0, 2 * totals[..., 1] / whole, np.nan)

    return exchanged(a, *columns, ccc, 1.0)


def ratio_of(logs: Distribution, *, level: float, interval: str = "bca") -> Estimate:
    """A ratio with its interval from the distribution of its logarithm."""
    found = interval_of(logs, interval, level=level)
    if found.estimate is None:
        return Estimate.missing("a ratio needs two positive values", level=level, method=found.method)
    name = "BCa bootstrap of the logarithm" if interval == "bca" else "jackknife on the log scale, t"
    return found.map(math.exp, method=name)


@dataclass(frozen=True)
class PairedTests(Result):
    """Classical tests of two tests' errors against one reference; differences are a - b.

    `absolute`: mean difference of absolute errors (paired t); `wilcoxon_p`: signed ranks of the same; `sign_p`: the
    share of subjects in which a is closer. `sd_ratio`: SD of the errors of a over that of b, by Pitman and Morgan.
    `ccc`: difference of Lin's coefficients (paired bootstrap).
    """

    n: int
    absolute: Estimate
    t_p: float | None
    wilcoxon_p: float | None
    sign_p: float
    closer: int
    farther: int
    sd_ratio: Estimate
    pitman_morgan_p: float | None
    ccc: Estimate


def paired_tests(
    a: ArrayLike,
    b: ArrayLike,
    reference: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
) -> PairedTests:
    """t, Wilcoxon, sign and Pitman–Morgan tests of the errors of a and b, each (n,), n >= 4, one row a subject.

    Pitman and Morgan: with r the correlation of e_a + e_b and e_a - e_b, t = r sqrt((n - 2) / (1 - r²)); the ratio of
    SDs has the interval of the same pivot (Morgan WA. Biometrika 1939;31:13-19). Wilcoxon's p is exact up to 50
    subjects without ties, else normal with a correction for ties and continuity (as R's).
    """
    confidence(level)
    x, y = pair(a, reference, least=4)
    z, _ = pair(b, reference, least=4)
    ea, eb = x - y, z - y
    gap = np.abs(ea) - np.abs(eb)
    n = len(gap)
    mean, sd = float(gap.mean()), spread(gap)
    closer, farther = int((gap < 0).sum()), int((gap > 0).sum())
    wilcoxon = None
    if closer + farther:
        ranked = gap[gap != 0]
        tied = len(np.unique(np.abs(ranked))) < len(ranked) or len(ranked) < n
        how = "exact" if n <= 50 and not tied else "approx"
        wilcoxon = float(stats.wilcoxon(ranked, correction=True, method=how).pvalue)
    total = closer + farther
    sign = float(stats.binomtest(closer, total).pvalue) if total else 1.0
    drawn = bootstrap_tables(
        {name: ErrorTable(values, y, np.arange(n)) for name, values in (("a", x), ("b", z))},
        resamples=resamples,
        seed=seed,
        measures=["ccc"],
    )
    ratio, p = pitman_morgan(ea, eb, level=level)
    return PairedTests(
        n,
        mean_interval(mean, sd, n, level=level),
        p_of_mean(mean, sd, n),
        wilcoxon,
        sign,
        closer,
        farther,
        ratio,
        p,
        bca(drawn["a"]["ccc"].minus(drawn["b"]["ccc"]), level=level),
    )


def pitman_morgan(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> tuple[Estimate, float | None]:
    """Ratio of the SDs of two correlated columns (n,), with its interval, and the p-value of equal variances.

    With r the columns' correlation, F = s_a² / s_b² and k = 1 + 2 (1 - r²) t² / (n - 2), the interval of F is
    F (k ∓ sqrt(k² - 1)), t the quantile with n - 2 degrees of freedom (Morgan 1939, Maloney and Rastogi 1970).
    """
    x, y = pair(a, b, least=4)
    n, sx, sy = len(x), spread(x), spread(y)
    method = "Pitman–Morgan"
    if sx == 0 or sy == 0:
        return Estimate.missing("one of the columns is constant", level=level, method=method), None
    ratio = sx / sy
    r = max(-1.0, min(1.0, float(np.corrcoef(x, y)[0, 1])))
    if 1 - r * r < 1e-14:
        return Estimate(ratio, None, None, level, method, "the columns follow one another exactly"), None
    t2 = float(special.stdtrit(n - 2, (1 + level) / 2)) ** 2
    k = 1 + 2 * (1 - r * r) * t2 / (n - 2)
    root = math.sqrt(k * k - 1)
    statistic = (ratio - 1 / ratio) * math.sqrt(n - 2) / (2 * math.sqrt(1 - r * r))
    p = float(2 * special.stdtr(n - 2, -abs(statistic)))
    return Estimate(ratio, ratio * math.sqrt(k - root), ratio * math.sqrt(k + root), level, method), p
