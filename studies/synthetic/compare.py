"""Compare a synthetic cohort with the survey that it was fitted to, and write the tables of `docs/synthetic-cohort.md`.

    python -m studies.synthetic.compare FOLDER

FOLDER holds the NHANES files (see `studies.synthetic.fit`). What is compared are the readings as they are written to
`readings.csv`: the first reading at baseline, rounded, with its error of measurement, some missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from studies.errors import DataError
from studies.synthetic.cohort import synthesize
from studies.synthetic.fit import UNREADABLE, read_nhanes
from studies.synthetic.population import ETHNICITIES, SCALE_AGE_LIMIT, SEXES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "synthetic-cohort.md"
BEGIN, END = "<!-- begin of the written tables -->", "<!-- end of the written tables -->"
SUBJECTS, SEED = 5_000, 20_240_108

LABELS = {
    "age": "age, years",
    "stature_cm": "stature, cm",
    "weight_kg": "mass, kg",
    "bmi": "BMI, kg/m²",
    "waist_cm": "waist, cm",
    "arm_cm": "arm, cm",
    "thigh_cm": "thigh, cm",
    "triceps_skinfold_mm": "triceps skinfold, mm",
    "subscapular_skinfold_mm": "subscapular skinfold, mm",
    "body_fat_percent": "BFP by DXA, %",
    "scale_body_fat_percent": "BFP by scale, %",
}
_SEX = {"F": "women", "M": "men"}
_DXA, _SCALE = "body_fat_percent", "scale_body_fat_percent"
_BMI_EDGES = (0, 20, 25, 30, 35, 40, 100)
_BANDS = ((18, 40), (40, 60), (60, 86))
_GROUPED = ("stature_cm", "bmi", "waist_cm", "body_fat_percent")
_SMALL = 100  # a group of fewer people has a wider tolerance

# About two to four standard errors of the difference between two samples of these sizes.
_SD_FRACTIONS = {"mean": 0.1, "SD": 0.1, "P5": 0.25, "P95": 0.25}
_GROUP_FRACTION, _SMALL_GROUP_FRACTION = 0.2, 0.35
_FIXED = {
    "r": 0.08,
    "bias": 0.6,
    "SD of differences": 0.4,
    "MAE": 0.4,
    "CCC": 0.05,
    "slope": 0.08,
    "Pearson r": 0.05,
    "unreadable": 3.0,
}
_SCALE_CORRELATION = 0.1  # between fewer people: the survey read the scale up to the age of 49 only


@dataclass(frozen=True)
class Figure:
    """One statistic of the survey beside that of the synthetic cohort, with the difference that is tolerated."""

    table: str
    group: str
    quantity: str
    statistic: str
    n: int
    survey: float
    synthetic: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the cohort is within the tolerance."""
        return abs(self.synthetic - self.survey) <= self.tolerance


def survey_table(folder: Path) -> pd.DataFrame:
    """The survey, with `share`: the weight of a row, so that the five imputations of a person count once."""
    rows = read_nhanes(folder)
    return rows.assign(share=1.0 / rows.groupby("person")["person"].transform("size"))


def cohort_table(subjects: int = SUBJECTS, seed: int = SEED) -> pd.DataFrame:
    """A synthetic cohort in the columns of `survey_table`: first readings at baseline, one row a subject."""
    cohort = synthesize(subjects, seed)
    first = cohort.readings[(cohort.readings["visit"] == "baseline") & (cohort.readings["replicate"] == 1)]
    column = first["measurand"].where(first["method"] != "scale", "scale_" + first["measurand"])
    wide = first.assign(column=column).pivot(index="subject_id", columns="column", values="value")
    table = cohort.subjects.set_index("subject_id").join(wide).reset_index()
    table["age"] = table["age"].astype(float)
    table["bmi"] = table["weight_kg"] / (table["stature_cm"] / 100) ** 2
    return table.assign(share=1.0, dxa_measured=True, imputation=1, person=np.arange(len(table)))


def _moments(frame: pd.DataFrame, column: str) -> tuple[float, float]:
    known = frame[frame[column].notna()]
    mean = float(np.average(known[column], weights=known["share"]))
    return mean, float(np.sqrt(np.average((known[column] - mean) ** 2, weights=known["share"])))


def _quantile(frame: pd.DataFrame, column: str, p: float) -> float:
    known = frame[frame[column].notna()]
    return float(np.quantile(known[column], p, weights=known["share"], method="inverted_cdf"))


def _people(frame: pd.DataFrame, *columns: str) -> int:
    return int(frame.dropna(subset=list(columns))["person"].nunique())


def _marginals(survey: pd.DataFrame, cohort: pd.DataFrame) -> Iterator[Figure]:
    for sex in SEXES:
        s, c = survey[survey["sex"] == sex], cohort[cohort["sex"] == sex]
        for column in LABELS:
            s_, c_ = _scale_people(s, c) if column == _SCALE else (s, c)
            (mean, sd), (mean_c, sd_c) = _moments(s_, column), _moments(c_, column)
            n = _people(s_, column)
            yield Figure("marginal", _SEX[sex], column, "mean", n, mean, mean_c, _SD_FRACTIONS["mean"] * sd)
            yield Figure("marginal", _SEX[sex], column, "SD", n, sd, sd_c, _SD_FRACTIONS["SD"] * sd)
            for statistic, p in (("P5", 0.05), ("P95", 0.95)):
                values = _quantile(s_, column, p), _quantile(c_, column, p)
                yield Figure("marginal", _SEX[sex], column, statistic, n, *values, _SD_FRACTIONS[statistic] * sd)


def _scale_people(survey: pd.DataFrame, cohort: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """People with a reading of the scale, at the ages that the survey has it for.

    In the survey, DXA and bioimpedance are the more often missing the heavier the person; in the cohort they are not.
    So the cohort is weighted to the sexes and BMI bands of the survey's readings.
    """
    s, c = (f[(f["age"] <= SCALE_AGE_LIMIT) & f[_SCALE].notna() & f["bmi"].notna()] for f in (survey, cohort))
    s_group, c_group = (f["sex"] + pd.cut(f["bmi"], _BMI_EDGES).astype("str") for f in (s, c))
    weight = s["share"].groupby(s_group).sum() / c["share"].groupby(c_group).sum()
    return s, c.assign(share=c_group.map(weight).fillna(0.0))


def _correlations(survey: pd.DataFrame, cohort: pd.DataFrame) -> Iterator[Figure]:
    for sex in SEXES:
        s, c = survey[survey["sex"] == sex], cohort[cohort["sex"] == sex]
        for a, b in combinations(LABELS, 2):
            pair = [a, b]
            s_, c_ = s.dropna(subset=pair), c.dropna(subset=pair)
            s_, c_ = _scale_people(s_, c_) if _SCALE in pair else (s_, c_)
            tolerance = _SCALE_CORRELATION if _SCALE in pair else _FIXED["r"]
            r = [_correlation(np.cov(f[a], f[b], aweights=f["share"])) for f in (s_, c_)]
            yield Figure("correlation", _SEX[sex], f"{a} × {b}", "r", _people(s_, a, b), *r, tolerance)


def _groups(survey: pd.DataFrame, cohort: pd.DataFrame) -> Iterator[Figure]:
    masks = [(name.replace("_", " "), lambda f, n=name: f["ethnicity"] == n) for name in ETHNICITIES]
    masks += [
        (f"{low} to {high - 1} years", lambda f, a=low, b=high: f["age"].between(a, b, inclusive="left"))
        for low, high in _BANDS
    ]
    for sex in SEXES:
        for name, mask in masks:
            s, c = (frame[(frame["sex"] == sex) & mask(frame)] for frame in (survey, cohort))
            for column in _GROUPED:
                (mean, sd), (mean_c, _) = _moments(s, column), _moments(c, column)
                n = _people(s, column)
                tolerance = (_GROUP_FRACTION if n >= _SMALL else _SMALL_GROUP_FRACTION) * sd
                yield Figure("group", f"{_SEX[sex]}, {name}", column, "group mean", n, mean, mean_c, tolerance)


def _scale_error(survey: pd.DataFrame, cohort: pd.DataFrame) -> Iterator[Figure]:
    """Error of the scale against measured DXA at the ages that the survey has both for."""

    def pairs(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame[frame["dxa_measured"] & (frame["imputation"] == 1)]
        return frame.dropna(subset=[_DXA, _SCALE]).assign(share=1.0)

    s, c = _scale_people(pairs(survey), pairs(cohort))
    for group, sexes in (("all", SEXES), ("women", ("F",)), ("men", ("M",))):
        chosen = (f[f["sex"].isin(sexes)] for f in (s, c))
        ours, theirs = (_agreement(f[_DXA], f[_SCALE], f["share"]) for f in chosen)
        n = int(s["sex"].isin(sexes).sum())
        for statistic, value in ours.items():
            yield Figure("scale", group, "scale − DXA", statistic, n, value, theirs[statistic], _FIXED[statistic])


def _correlation(covariance: np.ndarray) -> float:
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def _agreement(reference: pd.Series, index: pd.Series, share: pd.Series) -> dict[str, float]:
    """Bias, SD, MAE, Lin's CCC, slope of the difference on the mean and Pearson's r of index against reference."""
    difference, mean = index - reference, (index + reference) / 2
    bias = float(np.average(difference, weights=share))
    covariance = np.cov(reference, index, aweights=share, ddof=0)
    spread = np.cov(mean, difference, aweights=share, ddof=0)
    return {
        "bias": bias,
        "SD of differences": float(np.sqrt(spread[1, 1])),
        "MAE": float(np.average(difference.abs(), weights=share)),
        "CCC": float(2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + bias**2)),
        "slope": float(spread[0, 1] / spread[0, 0]),
        "Pearson r": _correlation(covariance),
    }


def _unreadable(survey: pd.DataFrame, cohort: pd.DataFrame) -> Iterator[Figure]:
    for sex in SEXES:
        for column in UNREADABLE:
            share = []
            for frame in (survey, cohort):
                seen = frame[(frame["sex"] == sex) & frame[["bmi", "arm_cm", "body_fat_percent"]].notna().all(axis=1)]
                share.append(100 * float(np.average(seen[column].isna(), weights=seen["share"])))
            n = _people(survey[survey["sex"] == sex], "bmi", "arm_cm", "body_fat_percent")
            yield Figure("unreadable", _SEX[sex], column, "unreadable", n, *share, _FIXED["unreadable"])


def compare(folder: Path, subjects: int = SUBJECTS, seed: int = SEED) -> list[Figure]:
    """All figures of the comparison of a cohort of `subjects` with the NHANES files in `folder`."""
    survey, cohort = survey_table(folder), cohort_table(subjects, seed)
    parts = (_marginals, _correlations, _groups, _scale_error, _unreadable)
    return [figure for part in parts for figure in part(survey, cohort)]


_HEADINGS = {
    "marginal": "Means, SDs and percentiles",
    "group": "Means of groups",
    "correlation": "Correlations",
    "scale": "Error of the scale against DXA (scale − DXA)",
    "unreadable": "Skinfolds that could not be read, % of people",
}
_INTRODUCTIONS = {
    "scale": f"Adults up to {SCALE_AGE_LIMIT:.0f} years with both readings; the cohort is weighted to the sexes and "
    "BMI bands of the survey's pairs. Percentage points; slope: of the difference on the mean of both.",
    "correlation": "Those with BFP by DXA, and the three of all others that differ most.",
}


def tables(figures: list[Figure], subjects: int, seed: int) -> str:
    """The comparison as Markdown."""
    outside = [figure for figure in figures if not figure.within]
    lines = [
        f"A cohort of {subjects:,} subjects (seed {seed}) beside the survey: {len(figures)} figures, of which "
        f"{len(outside)} are outside the tolerance.",
    ]
    for table, heading in _HEADINGS.items():
        chosen = [figure for figure in figures if figure.table == table]
        if table == "correlation":
            with_dxa = [f for f in chosen if _DXA in f.quantity.split(" × ")]
            others = [f for f in chosen if f not in with_dxa]
            others.sort(key=lambda f: -abs(f.synthetic - f.survey) / f.tolerance)
            chosen = with_dxa + others[:3]
        lines += ["", f"### {heading}", ""]
        if table in _INTRODUCTIONS:
            lines += [_INTRODUCTIONS[table], ""]
        lines += [
            "| people | quantity | statistic | n in the survey | survey | synthetic | tolerance | within |",
            "|---|---|---|--:|--:|--:|--:|---|",
        ]
        lines += [_line(figure) for figure in chosen]
    return "\n".join(lines) + "\n"


def _line(f: Figure) -> str:
    digits = 2 if f.table in ("correlation", "scale") else 1
    quantity = " × ".join(LABELS.get(part, part) for part in f.quantity.split(" × "))
    numbers = " | ".join(f"{value:.{digits}f}" for value in (f.survey, f.synthetic))
    tolerance = f"{f.tolerance:.2f}"
    verdict = "yes" if f.within else "**no**"
    return f"| {f.group} | {quantity} | {f.statistic} | {f.n:,} | {numbers} | ±{tolerance} | {verdict} |"


def write_tables(folder: Path, document: Path = DOCUMENT) -> list[Figure]:
    """Put the tables of the comparison between the marks in `document`. Raises DataError when it has no marks."""
    text = document.read_text(encoding="utf-8") if document.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise DataError(f"{document} has no place for the tables.", remedy=f"Write '{BEGIN}' and '{END}' in it.")
    figures = compare(folder)
    document.write_text(f"{before}{BEGIN}\n{tables(figures, SUBJECTS, SEED)}{END}{after}", encoding="utf-8")
    return figures


def main(arguments: list[str] | None = None) -> None:
    """Write the tables for the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m studies.synthetic.compare", description=write_tables.__doc__)
    parser.add_argument("folder", type=Path, help="folder of DEMO.XPT, BMX.XPT, DXX.XPT and BIX.XPT")
    figures = write_tables(parser.parse_args(arguments).folder)
    print(f"{DOCUMENT}: {len(figures)} figures, {sum(not f.within for f in figures)} outside the tolerance")


if __name__ == "__main__":
    main()
