"""How large the errors are: MAE, RMSE, median, percentage, largest, and the share within ±k.

error = test - reference. All in the unit of the data, except MAPE and the shares, which are in percent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from validation.pairs import Floats, codes, confidence, option, pair, same
from validation.proportions import wilson
from validation.resampling import (
    INTERVALS,
    ClusteredValues,
    Distribution,
    Measure,
    add_up,
    bca,
    bootstrap_quantile,
    bootstrap_sums,
    generator,
    interval_of,
    quantile_interval,
)
from validation.results import Estimate, Result

# Columns of sums from which every measure below is computed; one column more for each k of `within`.
COLUMNS = ("n", "d", "dd", "squared", "absolute", "relative", "x", "y", "xx", "yy", "xy")
MOMENTS = ("n", "x", "y", "xx", "yy", "xy")
# The columns of each measure. A share within ±k has n and a column of its own name.
USES = {
    "bias": ("n", "d"),
    "sd": ("n", "d", "dd"),
    "mae": ("n", "absolute"),
    "rmse": ("n", "squared"),
    "mape": ("n", "relative"),
    "see": MOMENTS,
    "pearson": MOMENTS,
    "ccc": MOMENTS,
}
# The scale on which the jackknife's interval of each measure is symmetric.
SCALE = {"mae": "log", "rmse": "log", "mape": "log", "see": "log", "sd": "log", "pearson": "z", "ccc": "z"}


def key(k: float) -> str:
    """The name of a share within ±k: "3", "2.5"."""
    return f"{k:g}"


@dataclass(frozen=True)
class ErrorTable:
    """The errors of one test, ready for resampling. `test`, `reference` and `clusters` are (n,)."""

    test: Floats
    reference: Floats
    clusters: NDArray[np.intp]
    within: tuple[float, ...] = (3, 5)

    @cached_property
    def errors(self) -> Floats:
        return self.test - self.reference

    @cached_property
    def subjects(self) -> int:
        return int(self.clusters.max()) + 1 if len(self.clusters) else 0

    @property
    def independent(self) -> bool:
        """Whether every subject has one pair."""
        return self.subjects == len(self.test)

    @cached_property
    def centre(self) -> tuple[float, float]:
        """Means of error and of all values: variances are summed about them, so that no digits cancel."""
        return float(self.errors.mean()), float((self.test.mean() + self.reference.mean()) / 2)

    @cached_property
    def sums(self) -> Floats:
        """(subjects, columns): each subject's sums of COLUMNS and of the indicators of `within`."""
        error_centre, centre = self.centre
        d, x, y = self.errors - error_centre, self.test - centre, self.reference - centre
        absolute = np.abs(self.errors)
        base = np.abs(self.reference)
        relative = 100 * absolute / base if (base > 0).all() else np.zeros_like(base)
        columns = [np.ones_like(d), d, d * d, self.errors**2, absolute, relative, x, y, x * x, y * y, x * y]
        columns += [(absolute <= k).astype(float) for k in self.within]
        stack = np.column_stack(columns)
        if self.independent:
            out = np.empty_like(stack)
            out[self.clusters] = stack
            return out
        return add_up(stack, self.clusters)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of `sums`."""
        return (*COLUMNS, *(f"within_{key(k)}" for k in self.within))

    def measures(self, place: Mapping[str, int] | None = None) -> dict[str, Measure]:
        """Measures as functions of totals; `place` says where each column stands (as in `sums` when not given)."""
        place = {name: i for i, name in enumerate(self.columns)} if place is None else place
        error_centre, _ = self.centre
        no_percent = not (np.abs(self.reference) > 0).all()

        def total(name: str):
            return lambda sums: sums[..., place[name]]

        n = total("n")

        def mean(name: str) -> Measure:
            return lambda sums: total(name)(sums) / n(sums)

        def variance(first: str, second: str, product: str) -> Measure:
            # Sums of products about the mean; rounding of what is zero must not look like a spread.
            def value(sums: Floats) -> Floats:
                count = n(sums)
                raw = total(product)(sums)
                about = raw - total(first)(sums) * total(second)(sums) / count
                floor = 1e-13 * np.abs(raw)
                return np.where((count > 0) & (np.abs(about) > floor), about, np.where(count > 0, 0.0, np.nan))

            return value

        spread, vx, vy, vxy = (
            variance("d", "d", "dd"),
            variance("x", "x", "xx"),
            variance("y", "y", "yy"),
            variance("x", "y", "xy"),
        )

        def concordance(sums: Floats) -> Floats:
            shift = total("x")(sums) - total("y")(sums)
            return positive(2 * vxy(sums), vx(sums) + vy(sums) + shift**2 / n(sums))

        def see(sums: Floats) -> Floats:
            left = vy(sums) - positive(vxy(sums) ** 2, vx(sums))
            return np.sqrt(positive(np.maximum(left, 0), n(sums) - 2))

        out: dict[str, Measure] = {
            "bias": lambda sums: error_centre + mean("d")(sums),
            "sd": lambda sums: np.sqrt(positive(spread(sums), n(sums) - 1)),
            "mae": mean("absolute"),
            "rmse": lambda sums: np.sqrt(mean("squared")(sums)),
            "mape": (lambda sums: np.full(np.shape(n(sums)), np.nan)) if no_percent else mean("relative"),
            "see": see,
            "pearson": lambda sums: positive(vxy(sums), np.sqrt(vx(sums) * vy(sums))),
            "ccc": concordance,
        }
        for k in self.within:
            out[f"within_{key(k)}"] = (lambda column: lambda sums: 100 * mean(column)(sums))(f"within_{key(k)}")
        return out


def positive(numerator: Floats, denominator: Floats) -> Floats:
    """numerator / denominator where the denominator is positive, else NaN."""
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1.0), np.nan)


def bootstrap_tables(
    tables: Mapping[str, ErrorTable],
    *,
    resamples: int,
    seed: int,
    place: Sequence[str | int] = (),
    measures: Collection[str] | None = None,
) -> dict[str, dict[str, Distribution]]:
    """Bootstrap distributions of every measure of several tests on the same rows, from one weights matrix.

    Only columns that the `measures` (all when not given) need are multiplied with it; a column that several tests have
    in common, as all that stem from the reference, is multiplied once.
    """
    stacked: list[Floats] = []
    known: dict[bytes, int] = {}
    functions: dict[tuple[str, str], Measure] = {}
    quantiles: dict[tuple[str, str], ClusteredValues] = {}
    alone = []
    for name, table in tables.items():
        shares = [f"within_{key(k)}" for k in table.within]
        wanted = [*USES, *shares, "median_ae"] if measures is None else measures
        place_of: dict[str, int] = {}
        for measure in wanted:
            if measure == "median_ae":
                if table.independent:
                    alone.append(name)
                else:
                    quantiles[name, measure] = ClusteredValues.of(np.abs(table.errors), table.clusters, 0.5)
                continue
            for column in USES.get(measure, ("n", measure)):
                if column not in place_of:
                    values = np.ascontiguousarray(table.sums[:, table.columns.index(column)])
                    place_of[column] = known.setdefault(values.tobytes(), len(stacked))
                    if place_of[column] == len(stacked):
                        stacked.append(values)
        for measure, function in table.measures(place_of).items():
            if measure in wanted:
                functions[name, measure] = function
    out: dict[str, dict[str, Distribution]] = {name: {} for name in tables}
    if stacked or quantiles:
        subjects = next(iter(tables.values())).subjects
        sums = np.column_stack(stacked) if stacked else np.empty((subjects, 0))
        rng = generator(seed, "weights", *place)
        drawn = bootstrap_sums(sums, functions, resamples=resamples, rng=rng, quantiles=quantiles)
        for (name, measure), distribution in drawn.items():
            out[name][measure] = distribution
    for name in alone:
        # Medians of independent values have a way of their own, without weights.
        rng = generator(seed, "median", name, *place)
        out[name]["median_ae"] = bootstrap_quantile(np.abs(tables[name].errors), 0.5, resamples=resamples, rng=rng)
    return out


@dataclass(frozen=True)
class ErrorMeasures(Result):
    """Size of the errors of one test, each with its interval; `within` maps k to the percent of errors within ±k."""

    n: int
    mae: Estimate
    rmse: Estimate
    median_ae: Estimate
    mape: Estimate
    see: Estimate
    maximum: Estimate
    within: dict[str, Estimate]


def error_measures(
    test: ArrayLike,
    reference: ArrayLike,
    *,
    within: Sequence[float] = (3, 5),
    subject: ArrayLike | None = None,
    interval: str = "bca",
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 1,
) -> ErrorMeasures:
    """Error measures of `test` against `reference`, (n,) each, with intervals.

    mae = mean |e|; rmse = sqrt(mean e²); median_ae = median |e|; mape = 100 mean(|e| / |reference|); maximum = max |e|;
    see, the standard error of estimate, is the residual SD (n - 2) of the regression of reference on test;
    within k = 100 share(|e| <= k).
    interval: "bca", the BCa bootstrap over subjects, or "jackknife", a t interval on the log scale (`jackknife`), which
        holds its level better below about 100 subjects. With it the median, of which no jackknife holds, has the
        interval by order statistics where each subject has one pair (`quantile_interval`), else BCa's. The shares have
        Wilson's where each subject has one pair. There is none for the maximum, for which the bootstrap does not hold
        (Efron and Tibshirani 1993, section 7.4).

    Raises NotEnoughData, NotFinite, OutOfRange, ShapeMismatch.
    """
    confidence(level), option(interval, INTERVALS, "interval")
    x, y = pair(test, reference, least=1)
    table = ErrorTable(x, y, codes(subject, len(x)), tuple(within))
    wanted = [*OF_ERRORS, *([] if table.independent else [f"within_{key(k)}" for k in table.within])]
    drawn = bootstrap_tables({"test": table}, resamples=resamples, seed=seed, measures=wanted)["test"]
    return measures_of(table, drawn, level=level, interval=interval)


# The measures of `ErrorMeasures` that are resampled for every table.
OF_ERRORS = ("mae", "rmse", "mape", "see", "median_ae")


def measures_of(
    table: ErrorTable, drawn: Mapping[str, Distribution], *, level: float, interval: str = "bca"
) -> ErrorMeasures:
    """ErrorMeasures from the bootstrap distributions of a table."""
    mape = interval_of(drawn["mape"], interval, level=level, scale="log")
    if mape.estimate is None:
        mape = Estimate.missing("a reference value is zero", level=level, method=mape.method)
    if "see" in drawn:
        see = interval_of(drawn["see"], interval, level=level, scale="log")
    else:
        see = Estimate.missing("not asked for", level=level)
    if "see" in drawn and see.estimate is None:
        reason = "the test is constant" if same(table.test) else "a line needs at least 3 pairs"
        see = Estimate.missing(reason, level=level, method=see.method)
    largest = float(np.abs(table.errors).max())
    return ErrorMeasures(
        n=len(table.test),
        mae=interval_of(drawn["mae"], interval, level=level, scale="log"),
        rmse=interval_of(drawn["rmse"], interval, level=level, scale="log"),
        median_ae=bca(drawn["median_ae"], level=level)
        if interval == "bca" or not table.independent
        else quantile_interval(np.abs(table.errors), level=level),
        mape=mape,
        see=see,
        maximum=Estimate(largest, None, None, level, "largest", "the bootstrap does not hold for a maximum"),
        within={key(k): within_share(table, k, drawn, level=level, interval=interval) for k in table.within},
    )


def within_share(
    table: ErrorTable, k: float, drawn: Mapping[str, Distribution], *, level: float, interval: str = "bca"
) -> Estimate:
    """Percent of errors within ±k. With repeats in subjects: BCa or jackknife, or Wilson on the subjects' number at 0
    and 100 %."""
    share = float((np.abs(table.errors) <= k).mean())
    if not table.independent:
        found = interval_of(drawn[f"within_{key(k)}"], interval, level=level, scale="percent")
        if found.low is not None:
            return found
    n = table.subjects
    return wilson(share * n, n, level=level).map(lambda value: 100 * value)
