"""Two tests against one reference on the same subjects: which is closer, and by how much.

A ratio of mean absolute errors is what a claim such as "nearly twice as accurate" rests on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from validation.accuracy import ErrorTable, bootstrap_tables
from validation.agreement import mean_interval, p_of_mean, spread
from validation.errors import ShapeMismatch
from validation.multiplicity import holm
from validation.pairs import codes, confidence, option, pair
from validation.resampling import Distribution, bca, generator, sign_flip
from validation.results import Estimate, Result

METRICS = ("mae", "rmse")


@dataclass(frozen=True)
class Comparison(Result):
    """difference = metric of `a` - metric of `b`; ratio = metric of `a` / metric of `b`. Below 0 and below 1: a wins.

    `p_value` is that of the hypothesis that the errors of a and b may be exchanged within subjects.
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
    metrics: Sequence[str] = METRICS,
    subject: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
) -> list[Comparison]:
    """Compare the errors of tests `a` and `b`, each (n,), against `reference` (n,) on the same subjects.

    Intervals are BCa bootstrap over subjects, both tests in every resample together; that of the ratio is made on the
    log scale. p-values are sign-flip permutation tests of |e_a| - |e_b| (mae) or e_a² - e_b² (rmse), subjects
    flipped whole; all sign patterns up to 12 subjects. `p_adjusted` is Holm's over the metrics asked for.

    Raises NotEnoughData, NotFinite, OutOfRange, ShapeMismatch.
    """
    confidence(level)
    for metric in metrics:
        option(metric, METRICS, "metric")
    x, y = pair(a, reference, least=1)
    z, _ = pair(b, reference, least=1)
    if names[0] == names[1]:
        raise ShapeMismatch(f"both tests are called {names[0]!r}")
    clusters = codes(subject, len(x))
    tables = {names[0]: ErrorTable(x, y, clusters), names[1]: ErrorTable(z, y, clusters)}
    drawn = bootstrap_tables(tables, resamples=resamples, seed=seed)
    found = compare_tables(tables, drawn, [names], metrics=metrics, level=level, resamples=resamples, seed=seed)
    adjusted = holm([item.p_value for item in found])
    return [replace(item, p_adjusted=p) for item, p in zip(found, adjusted, strict=True)]


def compare_tables(
    tables: Mapping[str, ErrorTable],
    drawn: Mapping[str, Mapping[str, Distribution]],
    pairs: Sequence[tuple[str, str]],
    *,
    metrics: Sequence[str] = METRICS,
    level: float,
    resamples: int,
    seed: int,
    place: Sequence[str | int] = (),
) -> list[Comparison]:
    """Comparisons of pairs of tests from tables and distributions of the same rows and resamples; p not adjusted.

    One matrix of signs serves all pairs and metrics.
    """
    wanted, columns = [], []
    for a, b in pairs:
        first, second = tables[a], tables[b]
        gaps = {
            "mae": np.abs(first.errors) - np.abs(second.errors),
            "rmse": first.errors**2 - second.errors**2,
        }
        wanted += [(a, b, metric) for metric in metrics]
        columns += [np.bincount(first.clusters, gaps[metric], first.subjects) for metric in metrics]
    p_values = sign_flip(np.column_stack(columns), resamples=resamples, rng=generator(seed, "signs", *place))
    out = []
    for (a, b, metric), p in zip(wanted, p_values, strict=True):
        one, two = drawn[a][metric], drawn[b][metric]
        out.append(
            Comparison(
                a,
                b,
                metric,
                len(tables[a].test),
                bca(one.minus(two), level=level),
                ratio_of(one.log().minus(two.log()), level=level),
                float(p) if tables[a].subjects >= 2 else None,
            )
        )
    return out


def ratio_of(logs: Distribution, *, level: float) -> Estimate:
    """A ratio with its interval from the distribution of its logarithm."""
    interval = bca(logs, level=level)
    if interval.estimate is None:
        return Estimate.missing("a ratio needs two positive values", level=level, method=interval.method)
    return interval.map(math.exp, method="BCa bootstrap of the logarithm")


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
