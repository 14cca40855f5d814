"""The whole of `agree` beside SciPy's bootstrap doing the same list of intervals one by one, and other large jobs.

    python benchmarks/statistics_speed.py [--sizes 1000 10000] [--resamples 10000] [--scipy-sample 60] [--repeats 3]

SciPy's part is measured on a sample of the list's intervals (`scipy.stats.bootstrap`, BCa, vectorised) and scaled to
the whole list, since the whole takes up to hours; the sample and the factor are printed. On the
sampled intervals that both sides make by BCa they must agree within Monte Carlo error.

Both sides take turns, a part of SciPy's sample after every run of `agree`, and the ratio is that of processor time, so
that other work on the machine weighs on both alike; seconds by the clock are printed beside. Linear algebra is held to
one thread (OMP_NUM_THREADS=1 unless it is set otherwise), without which its idle threads count as work.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import resource
import statistics

# Before numpy is imported, which reads it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import scipy
from measuring import Clock, timed
from scipy import stats

from validation.accuracy import error_measures
from validation.agree import agree
from validation.agreement import bland_altman
from validation.reliability import icc
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


def compare(n: int, resamples: int, sample: int, repeats: int) -> None:
    table = cohort(n)
    items = listed(table)
    chosen = [items[i] for i in np.random.default_rng(0).choice(len(items), min(sample, len(items)), replace=False)]
    sizes = {item: len(table) if item[2] is None else int((table[item[2]] == item[3]).sum()) for item in items}
    runs: list[Clock] = []
    theirs, worst, work = Clock(), 0.0, 0
    for turn in range(repeats):
        with timed() as clock:
            report = agree(
                table, reference="dxa", tests=[f"test{i}" for i in range(TESTS)],
                by=[f"by{j}" for j in range(len(GROUPS))], resamples=resamples,
            )  # fmt: skip
        runs.append(clock)
        for item in chosen[turn::repeats]:
            name, test, attribute, group = item
            part = table if attribute is None else table[table[attribute] == group]
            x, y = part[test].to_numpy(), part["dxa"].to_numpy()
            with timed() as clock:
                found = stats.bootstrap(
                    (x, y), STATISTICS[name], paired=True, vectorized=True, n_resamples=resamples, method="BCa",
                    rng=np.random.default_rng(1), batch=max(1, 5_000_000 // len(x)),
                ).confidence_interval  # fmt: skip
            theirs.seconds += clock.seconds
            theirs.cpu += clock.cpu
            work += sizes[item]
            mine = ours(report, item)
            if name not in SAME:
                continue
            width = mine["high"] - mine["low"]
            worst = max(worst, abs(found.low - mine["low"]) / width, abs(found.high - mine["high"]) / width)
    # SciPy's time grows with the number of rows: the sample's is scaled by the rows of the whole list.
    factor = sum(sizes.values()) / work
    seconds, cpu = (statistics.median(getattr(run, name) for run in runs) for name in ("seconds", "cpu"))
    print(
        f"n = {n:,}: agree with {TESTS} tests, {len(GROUPS)} attributes, {resamples:,} resamples, median of {repeats}: "
        f"{seconds:.1f} s, {cpu:.1f} s of processor time; SciPy, {len(chosen)} of {len(items)} intervals in "
        f"{theirs.seconds:.1f} s ({theirs.cpu:.1f} s), whole list {factor * theirs.seconds:.0f} s "
        f"({factor * theirs.cpu:.0f} s): {factor * theirs.cpu / cpu:.0f} times the processor time. "
        f"Largest difference of an end: {100 * worst:.1f} % of the interval."
    )
    assert worst < 0.1, "the two sides disagree"


def beside(n: int, resamples: int, repeats: int) -> None:
    """Single intervals by other libraries, where they are installed, and all of ours that the same time would allow."""
    table = cohort(n)
    test, reference = table["test0"].to_numpy(), table["dxa"].to_numpy()
    frames = {"test": test, "reference": reference, "groups": table["by0"], "metrics": ["mae"], "minimum_cell": 0}
    jobs = {"error_measures, its seven intervals": lambda: error_measures(test, reference, resamples=resamples)}
    jobs["SubgroupFrame, MAE in two groups (BCa)"] = lambda: SubgroupFrame(**frames, resamples=resamples)
    jobs["SubgroupFrame, the same with 200 resamples"] = lambda: SubgroupFrame(**frames, resamples=200)
    if importlib.util.find_spec("pingouin"):
        import pingouin

        jobs[f"pingouin {pingouin.__version__}, the interval of MAE alone (BCa)"] = lambda: pingouin.compute_bootci(
            np.abs(test - reference), func="mean", method="bca", n_boot=resamples, seed=1, decimals=9
        )
    if importlib.util.find_spec("fairlearn"):
        import fairlearn
        from fairlearn.metrics import MetricFrame

        jobs[f"fairlearn {fairlearn.__version__}, MAE in two groups, 200 resamples (percentile)"] = lambda: MetricFrame(
            metrics=lambda y, x: float(np.abs(x - y).mean()), y_true=table["dxa"], y_pred=table["test0"],
            sensitive_features=table["by0"], n_boot=200, ci_quantiles=[0.025, 0.975], random_state=1,
        )  # fmt: skip
    found, clocks = {}, {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            with timed() as clock:
                found[name] = job()
            clocks[name].append(clock)
    print(f"n = {n:,}, {resamples:,} resamples where none are named:")
    for name, runs in clocks.items():
        seconds, cpu = (statistics.median(getattr(run, what) for run in runs) for what in ("seconds", "cpu"))
        print(f"  {name}: {seconds:.3f} s, {cpu:.3f} s of processor time")
    for name, result in found.items():
        if name.startswith("pingouin"):
            mine = found["error_measures, its seven intervals"].mae
            low, high = result
            assert max(abs(low - mine.low), abs(high - mine.high)) < 0.1 * (high - low), "the two sides disagree"
        if name.startswith("fairlearn"):
            by_group = found["SubgroupFrame, MAE in two groups (BCa)"].by_group
            for group, value in result.by_group.items():
                assert abs(by_group[group].metrics["mae"].estimate - value) < 1e-9 * value, "the two sides disagree"


def large() -> None:
    rng = np.random.default_rng(2)

    def told(what: str, job) -> None:
        with timed() as clock:
            job()
        print(f"{what}: {clock.seconds:.2f} s, {clock.cpu:.2f} s of processor time")

    for n in (1_000, 10_000, 100_000):
        x = rng.normal(30, 8, n)
        y = x + rng.normal(0, 2, n)
        subject = np.repeat(np.arange(n // 4), 4)
        for what, u, v in (("continuous", x, y), ("one decimal", x.round(1), y.round(1))):
            told(f"Passing–Bablok, n = {n:,}, {what}", lambda u=u, v=v: passing_bablok(v, u))
            told(f"  equivariant, {what}", lambda u=u, v=v: passing_bablok(v, u, kind="equivariant"))
        told("  with four points a subject", lambda x=x, y=y, s=subject: passing_bablok(y, x, subject=s))
    subject = np.repeat(np.arange(25_000), 4)
    reference = rng.normal(30, 8, 100_000)
    test = reference + rng.normal(0, 2, 25_000)[subject] + rng.normal(0, 1, 100_000)
    told("repeated measurements, limits by MOVER, 100,000 rows", lambda: bland_altman(test, reference, subject=subject))
    told("  mixed model, 2,000 resamples", lambda: mixed(test, reference, subject=subject))
    told("  ICC by jackknife", lambda: icc(np.column_stack([test, reference]), subject=subject))
    told("  error_measures, 10,000 resamples", lambda: error_measures(test, reference, subject=subject))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--scipy-sample", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, SciPy {scipy.__version__}, {os.cpu_count()} cores"
    )
    for n in options.sizes:
        compare(n, options.resamples, options.scipy_sample, options.repeats)
        beside(n, options.resamples, options.repeats)
    large()
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
