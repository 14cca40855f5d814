"""The whole of `agree` beside SciPy's bootstrap doing the same list of intervals one by one, and other large jobs.

    python benchmarks/statistics_speed.py [--sizes 1000 10000] [--resamples 10000] [--scipy-sample 60]

SciPy's part is measured on a sample of the list's intervals (`scipy.stats.bootstrap`, BCa, vectorised) and scaled to
the whole list, since the whole takes up to hours; the sample and the factor are printed. On the
sampled intervals that both sides make by BCa they must agree within Monte Carlo error.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import resource
import time

import numpy as np
import pandas as pd
import scipy
from scipy import stats

from validation.accuracy import error_measures
from validation.agree import agree
from validation.repeated import mixed
from validation.robust import passing_bablok
from validation.subgroups import SubgroupFrame

TESTS, GROUPS = 3, (2, 3, 4, 5, 6)
METRICS = ("bias", "lower", "upper", "slope", "mae", "rmse", "median_ae", "mape", "3", "5", "pearson", "ccc", "deming")


def cohort(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    dxa = rng.normal(30, 8, n)
    table = {"dxa": dxa} | {f"test{i}": dxa + rng.normal(0.2, i + 2, n) for i in range(TESTS)}
    table |= {f"by{i}": rng.integers(0, k, n).astype(str) for i, k in enumerate(GROUPS)}
    return pd.DataFrame(table)


def deming_slope(x, y, axis):
    u, v = y - y.mean(axis=axis, keepdims=True), x - x.mean(axis=axis, keepdims=True)
    uu, vv, uv = (u * u).sum(axis=axis), (v * v).sum(axis=axis), (u * v).sum(axis=axis)
    return (vv - uu + np.sqrt((vv - uu) ** 2 + 4 * uv**2)) / (2 * uv)


def regression_slope(d, m, axis):
    u = m - m.mean(axis=axis, keepdims=True)
    return (u * d).sum(axis=axis) / (u * u).sum(axis=axis)


def correlation(x, y, axis):
    u, v = y - y.mean(axis=axis, keepdims=True), x - x.mean(axis=axis, keepdims=True)
    return (u * v).sum(axis=axis) / np.sqrt((u * u).sum(axis=axis) * (v * v).sum(axis=axis))


def concordance(x, y, axis):
    mx, my = x.mean(axis=axis, keepdims=True), y.mean(axis=axis, keepdims=True)
    both = ((x - mx) * (y - my)).mean(axis=axis)
    shift = (mx - my).squeeze(axis=axis) ** 2
    return 2 * both / (x.var(axis=axis) + y.var(axis=axis) + shift)


Z = 1.959963984540054
STATISTICS = {
    "bias": lambda x, y, axis=-1: (x - y).mean(axis=axis),
    "lower": lambda x, y, axis=-1: (x - y).mean(axis=axis) - Z * (x - y).std(axis=axis, ddof=1),
    "upper": lambda x, y, axis=-1: (x - y).mean(axis=axis) + Z * (x - y).std(axis=axis, ddof=1),
    "slope": lambda x, y, axis=-1: regression_slope(x - y, (x + y) / 2, axis),
    "mae": lambda x, y, axis=-1: np.abs(x - y).mean(axis=axis),
    "rmse": lambda x, y, axis=-1: np.sqrt(((x - y) ** 2).mean(axis=axis)),
    "median_ae": lambda x, y, axis=-1: np.median(np.abs(x - y), axis=axis),
    "mape": lambda x, y, axis=-1: 100 * (np.abs(x - y) / np.abs(y)).mean(axis=axis),
    "3": lambda x, y, axis=-1: 100 * (np.abs(x - y) <= 3).mean(axis=axis),
    "5": lambda x, y, axis=-1: 100 * (np.abs(x - y) <= 5).mean(axis=axis),
    "pearson": lambda x, y, axis=-1: correlation(x, y, axis),
    "ccc": lambda x, y, axis=-1: concordance(x, y, axis),
    "deming": lambda x, y, axis=-1: deming_slope(x, y, axis),
}
# Intervals that both sides make by BCa, and that must be the same.
SAME = ("mae", "rmse", "median_ae", "mape")


def listed(table: pd.DataFrame) -> list[tuple[str, str, str | None, str | None]]:
    """The report's intervals but those of gaps, comparisons, ICC and Passing–Bablok: metric, test, attribute, group.

    Some of them `agree` makes by formula; SciPy does the whole list by bootstrap.
    """
    out = [(m, f"test{i}", None, None) for i in range(TESTS) for m in METRICS]
    for j in range(len(GROUPS)):
        for group in sorted(table[f"by{j}"].unique()):
            out += [(m, f"test{i}", f"by{j}", group) for i in range(TESTS) for m in METRICS]
    return out


def ours(report, item) -> dict:
    name, test, attribute, group = item
    tests = report.tests if attribute is None else report.subgroups[attribute]["by_group"][group]["tests"]
    method = tests[test]
    if name in ("lower", "upper"):
        return method["limits"][name]
    if name in ("3", "5"):
        return method["within"][name]
    if name == "slope":
        return method["proportional_bias"]["slope"]
    return method["deming"]["slope"] if name == "deming" else method[name]


def compare(n: int, resamples: int, sample: int) -> None:
    table = cohort(n)
    began = time.perf_counter()
    report = agree(
        table, reference="dxa", tests=[f"test{i}" for i in range(TESTS)], by=[f"by{j}" for j in range(len(GROUPS))],
        resamples=resamples,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    items = listed(table)
    chosen = [items[i] for i in np.random.default_rng(0).choice(len(items), min(sample, len(items)), replace=False)]
    spent, worst, work = 0.0, 0.0, 0
    sizes = {item: len(table) if item[2] is None else int((table[item[2]] == item[3]).sum()) for item in items}
    for item in chosen:
        name, test, attribute, group = item
        part = table if attribute is None else table[table[attribute] == group]
        x, y = part[test].to_numpy(), part["dxa"].to_numpy()
        start = time.perf_counter()
        found = stats.bootstrap(
            (x, y), STATISTICS[name], paired=True, vectorized=True, n_resamples=resamples, method="BCa",
            rng=np.random.default_rng(1), batch=max(1, 5_000_000 // len(x)),
        ).confidence_interval  # fmt: skip
        spent += time.perf_counter() - start
        work += sizes[item]
        mine = ours(report, item)
        if name not in SAME:
            continue
        width = mine["high"] - mine["low"]
        worst = max(worst, abs(found.low - mine["low"]) / width, abs(found.high - mine["high"]) / width)
    # SciPy's time grows with the number of rows: the sample's is scaled by the rows of the whole list.
    scaled = spent * sum(sizes.values()) / work
    print(
        f"n = {n:,}: agree with {TESTS} tests, {len(GROUPS)} attributes, {resamples:,} resamples: {seconds:.1f} s; "
        f"SciPy, {len(chosen)} of {len(items)} intervals in {spent:.1f} s, whole list {scaled:.0f} s: "
        f"{scaled / seconds:.0f} times as long. Largest difference of an end: {100 * worst:.1f} % of the interval."
    )
    assert worst < 0.1, "the two sides disagree"


def beside(n: int, resamples: int) -> None:
    """Single intervals by other libraries, where they are installed, and all of ours that the same time would allow."""
    table = cohort(n)
    test, reference = table["test0"].to_numpy(), table["dxa"].to_numpy()
    start = time.perf_counter()
    mine = error_measures(test, reference, resamples=resamples).mae
    spent = time.perf_counter() - start
    print(f"n = {n:,}, {resamples:,} resamples: error_measures, its seven intervals: {spent:.3f} s")
    if importlib.util.find_spec("pingouin"):
        import pingouin

        start = time.perf_counter()
        low, high = pingouin.compute_bootci(
            np.abs(test - reference), func="mean", method="bca", n_boot=resamples, seed=1, decimals=9
        )
        spent = time.perf_counter() - start
        print(f"  pingouin {pingouin.__version__}, the MAE's alone (BCa): {spent:.3f} s")
        assert max(abs(low - mine.low), abs(high - mine.high)) < 0.1 * (high - low), "the two sides disagree"
    if importlib.util.find_spec("fairlearn"):
        import fairlearn
        from fairlearn.metrics import MetricFrame

        start = time.perf_counter()
        theirs = MetricFrame(
            metrics=lambda y, x: float(np.abs(x - y).mean()), y_true=table["dxa"], y_pred=table["test0"],
            sensitive_features=table["by0"], n_boot=200, ci_quantiles=[0.025, 0.975], random_state=1,
        )  # fmt: skip
        spent = time.perf_counter() - start
        print(f"  fairlearn {fairlearn.__version__}, MAE, two groups, 200 resamples (percentile): {spent:.3f} s")
        start = time.perf_counter()
        ours = SubgroupFrame(
            test=test, reference=reference, groups=table["by0"], metrics=["mae"], resamples=200, minimum_cell=0
        )
        print(f"  SubgroupFrame, the same, 200 resamples (BCa): {time.perf_counter() - start:.3f} s")
        start = time.perf_counter()
        SubgroupFrame(test=test, reference=reference, groups=table["by0"], metrics=["mae"], resamples=resamples)
        print(f"  SubgroupFrame with {resamples:,} resamples: {time.perf_counter() - start:.3f} s")
        for group, value in theirs.by_group.items():
            assert abs(ours.by_group[group].metrics["mae"].estimate - value) < 1e-9 * value, "the two sides disagree"


def large() -> None:
    rng = np.random.default_rng(2)
    for n in (1_000, 10_000, 100_000):
        x = rng.normal(30, 8, n)
        y = x + rng.normal(0, 2, n)
        for what, u, v in (("continuous", x, y), ("one decimal", x.round(1), y.round(1))):
            start = time.perf_counter()
            passing_bablok(v, u)
            print(f"Passing–Bablok, n = {n:,}, {what}: {time.perf_counter() - start:.2f} s")
    subject = np.repeat(np.arange(25_000), 4)
    reference = rng.normal(30, 8, 100_000)
    test = reference + rng.normal(0, 2, 25_000)[subject] + rng.normal(0, 1, 100_000)
    start = time.perf_counter()
    mixed(test, reference, subject=subject)
    print(f"repeated measurements, mixed model, 100,000 rows, 2,000 resamples: {time.perf_counter() - start:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--scipy-sample", type=int, default=60)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, SciPy {scipy.__version__}, {os.cpu_count()} cores"
    )
    for n in options.sizes:
        compare(n, options.resamples, options.scipy_sample)
        beside(n, options.resamples)
    large()
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
