"""How often do 95 % intervals hold the true value? Prints the table that docs/statistics.md shows.

    python benchmarks/statistics_coverage.py [--studies 2000] [--resamples 1000] [--seed 1]

Each simulated study has n subjects with true values T ~ N(30, 8), reference = T + r, test = T + 0.5 + e and a second
test with errors twice as large; r ~ N(0, 1.4). The error e has SD 1.4 and is normal; skewed (a gamma of shape 2,
centred); heteroscedastic (SD proportional to T); or clustered (three pairs a subject, half of the variance between
subjects, all analysed by subject).
"""

from __future__ import annotations

import argparse
import math
import time
from functools import cache

import numpy as np

from validation.accuracy import ErrorTable, bootstrap_tables, within_share
from validation.agreement import bland_altman
from validation.comparison import ratio_of
from validation.concordance import ccc, pearson
from validation.limits import coverage_probability, nonparametric_limits, total_deviation_index
from validation.precision import repeatability
from validation.regression import deming
from validation.reliability import icc
from validation.resampling import bca
from validation.results import Estimate, attempt
from validation.robust import passing_bablok

SIZES = (20, 50, 134, 1000)
SCENARIOS = ("normal", "skewed", "heteroscedastic", "clustered")
SD = 1.4


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
def truths(scenario: str) -> dict[str, float]:
    """True values, from one study of four million."""
    reference, test, second, subject = study(np.random.default_rng(99), scenario, 4_000_000)
    d, e = test - reference, second - reference
    mean, sd = 0.5, math.sqrt(2) * SD
    z = 1.959963984540054
    cov = np.cov(test, reference)
    # With repeats the line is that of the subjects' means.
    count = np.bincount(subject)
    mean_d, mean_size = np.bincount(subject, d) / count, np.bincount(subject, (test + reference) / 2) / count
    return {
        "bias, t": mean,
        "upper limit, exact": mean + z * sd,
        "upper limit, MOVER": mean + z * sd,
        "upper limit, approximate": mean + z * sd,
        "97.5 % quantile, BCa": float(np.quantile(d, 0.975)),
        "slope on mean, t": float(np.cov(mean_d, mean_size)[0, 1] / np.var(mean_size)),
        "MAE, BCa": float(np.abs(d).mean()),
        "RMSE, BCa": float(np.sqrt((d**2).mean())),
        "median absolute error, BCa": float(np.median(np.abs(d))),
        "ratio of MAEs, BCa": float(np.abs(d).mean() / np.abs(e).mean()),
        "share within 3, Wilson": 100 * float((np.abs(d) <= 3).mean()),
        "Pearson's r": float(np.corrcoef(test, reference)[0, 1]),
        "Lin's CCC": float(2 * cov[0, 1] / (cov[0, 0] + cov[1, 1] + mean**2)),
        "ICC(A,1)": float(cov[0, 1] / ((cov[0, 0] + cov[1, 1]) / 2 + mean**2 / 2)),
        "ICC(C,1)": float(cov[0, 1] / ((cov[0, 0] + cov[1, 1]) / 2)),
        "Deming slope, jackknife": 1.0,
        "Passing–Bablok slope": 1.0,
        "TDI 90 %, normal": float(np.quantile(np.abs(d), 0.9)),
        "coverage probability, normal": float((np.abs(d) <= 3).mean()),
    }


def intervals(rng: np.random.Generator, scenario: str, n: int, resamples: int, seed: int) -> dict[str, Estimate]:
    reference, test, second, subject = study(rng, scenario, n)
    clustered = scenario == "clustered"
    by = {"subject": subject} if clustered else {}
    plain = bland_altman(test, reference, **by)
    out = {
        "bias, t": plain.bias,
        "upper limit, exact": plain.limits.upper,
        "slope on mean, t": plain.proportional_bias.slope,
    }
    if clustered:
        out["upper limit, MOVER"] = out.pop("upper limit, exact")
    else:
        for name, interval in (("MOVER", "mover"), ("approximate", "approximate")):
            out[f"upper limit, {name}"] = bland_altman(test, reference, limits_interval=interval).limits.upper
    quantiles = nonparametric_limits(test, reference, resamples=resamples, seed=seed, **by)
    out["97.5 % quantile, BCa"] = quantiles.upper
    tables = {name: ErrorTable(values, reference, subject, (3,)) for name, values in (("a", test), ("b", second))}
    drawn = bootstrap_tables(tables, resamples=resamples, seed=seed)
    out["MAE, BCa"] = bca(drawn["a"]["mae"])
    out["RMSE, BCa"] = bca(drawn["a"]["rmse"])
    out["median absolute error, BCa"] = bca(drawn["a"]["median_ae"])
    out["ratio of MAEs, BCa"] = ratio_of(drawn["a"]["mae"].log().minus(drawn["b"]["mae"].log()), level=0.95)
    out["Deming slope, jackknife"] = deming(test, reference, **by).slope
    if clustered:
        out["Pearson's r"], out["Lin's CCC"] = bca(drawn["a"]["pearson"]), bca(drawn["a"]["ccc"])
        return out
    out["share within 3, Wilson"] = within_share(tables["a"], 3, drawn["a"], level=0.95)
    out["Pearson's r"], out["Lin's CCC"] = pearson(test, reference), ccc(test, reference)
    forms = icc(np.column_stack([test, reference]))
    out["ICC(A,1)"], out["ICC(C,1)"] = forms["ICC(A,1)"], forms["ICC(C,1)"]
    out["Passing–Bablok slope"] = passing_bablok(test, reference).slope
    out["TDI 90 %, normal"] = total_deviation_index(test, reference)
    out["coverage probability, normal"] = attempt(lambda: coverage_probability(test, reference, within=3))
    return out


def coverage(scenario: str, n: int, studies: int, resamples: int, seed: int) -> dict[str, float]:
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario), n])
    target = truths(scenario)
    hits: dict[str, list[bool]] = {}
    for i in range(studies):
        for name, item in intervals(rng, scenario, n, resamples, seed + i).items():
            inside = item.low is not None and item.low <= target[name] <= item.high
            hits.setdefault(name, []).append(inside)
    return {name: 100 * float(np.mean(found)) for name, found in hits.items()}


def precision_coverage(n: int, studies: int, seed: int) -> float:
    rng = np.random.default_rng([seed, n])
    hits = 0
    for _ in range(studies):
        subject = np.repeat(np.arange(n), 2)
        item = repeatability(rng.normal(30, 8, n)[subject] + rng.normal(0, 1, 2 * n), subject).within_sd
        hits += item.low <= 1 <= item.high
    return 100 * hits / studies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenarios", nargs="+", default=SCENARIOS, choices=SCENARIOS)
    options = parser.parse_args()
    began = time.perf_counter()
    print(f"{options.studies} studies, {options.resamples} resamples, seed {options.seed}\n")
    for scenario in options.scenarios:
        found = {n: coverage(scenario, n, options.studies, options.resamples, options.seed) for n in SIZES}
        print(f"| {scenario} | " + " | ".join(f"n = {n:,}" for n in SIZES) + " |")
        print("|---|" + "---:|" * len(SIZES))
        for name in found[SIZES[0]]:
            print(f"| {name} | " + " | ".join(f"{found[n][name]:.1f}" for n in SIZES) + " |")
        print(flush=True)
    cells = " | ".join(f"{precision_coverage(n, options.studies, options.seed):.1f}" for n in SIZES)
    print(f"| within-subject SD of duplicates, chi-squared | {cells} |")
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
