"""Analyses made by hand for the tests of reports: numbers from numpy, in the shape that `studies.analysis` gives."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports import figures
from reports.document import Document, Panel
from reports.validation_report import validation_report
from studies.analysis import StudyAnalysis


def estimate(value: float, half: float) -> dict[str, float]:
    return {"estimate": float(value), "low": float(value - half), "high": float(value + half)}


def missing(reason: str) -> dict[str, Any]:
    return {"estimate": None, "low": None, "high": None, "reason": reason}


def method(test: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    """Agreement of one method, with intervals that are good enough for a page."""
    n = len(test)
    if n < 3:
        nothing = missing("fewer than 3 pairs")
        return {
            "n": n,
            "bias": nothing,
            "sd": None,
            "p_value": None,
            "limits": {"lower": nothing, "upper": nothing, "interval": "exact", "level": 0.95},
            "proportional_bias": {"slope": nothing, "intercept": nothing, "p_value": None, "r_squared": None},
            **dict.fromkeys(("mae", "rmse", "median_ae", "mape", "pearson", "ccc"), nothing),
            "within": {"3": nothing, "5": nothing},
        }
    d = test - reference
    sd, absolute = d.std(ddof=1), np.abs(d)
    t = stats.t.ppf(0.975, n - 1)
    half = t * sd / np.sqrt(n)
    line = stats.linregress((test + reference) / 2, d)
    ccc = 2 * np.cov(test, reference, ddof=0)[0, 1] / (test.var() + reference.var() + d.mean() ** 2)
    return {
        "n": n,
        "bias": estimate(d.mean(), half),
        "sd": float(sd),
        "p_value": float(2 * stats.t.sf(abs(d.mean()) / (sd / np.sqrt(n)), n - 1)),
        "limits": {
            "lower": estimate(d.mean() - 1.96 * sd, 1.7 * half),
            "upper": estimate(d.mean() + 1.96 * sd, 1.7 * half),
            "interval": "exact",
            "level": 0.95,
            "coverage": 0.95,
        },
        "proportional_bias": {
            "slope": estimate(line.slope, t * line.stderr),
            "intercept": estimate(line.intercept, t * line.intercept_stderr),
            "p_value": float(line.pvalue),
            "r_squared": float(line.rvalue**2),
        },
        "mae": estimate(absolute.mean(), t * absolute.std(ddof=1) / np.sqrt(n)),
        "rmse": estimate(np.sqrt((d**2).mean()), half),
        "median_ae": estimate(np.median(absolute), half),
        "mape": estimate(100 * (absolute / reference).mean(), 2),
        "within": {str(k): estimate(100 * (absolute <= k).mean(), 5) for k in (3, 5)},
        "pearson": estimate(np.corrcoef(test, reference)[0, 1], 0.03),
        "ccc": estimate(ccc, 0.03),
    }


def build(
    n: int = 134,
    seed: int = 7,
    bias: dict[str, float] | None = None,
    noise: dict[str, float] | None = None,
    locked: bool = True,
    subgroups: bool = True,
    notes: tuple[str, ...] = (),
) -> StudyAnalysis:
    """A study of `n` subjects (2 in 3 of them women), one index test (`scan`) and comparators, against DXA."""
    rng = np.random.default_rng(seed)
    bias = {"scan": 0.1, "bia": 1.5, "deurenberg": -3.0, "rfm": 0.8} if bias is None else bias
    noise = noise or {"scan": 2.0, "bia": 3.6, "deurenberg": 4.4, "rfm": 3.4}
    sex = np.where(rng.random(n) < 2 / 3, "F", "M")
    age = np.where(rng.random(n) < 0.06, "≥60", np.where(rng.random(n) < 0.5, "18–39", "40–59"))
    dxa = np.where(sex == "F", 36.0, 25.0) + rng.normal(0, 6, n)
    tests = {name: dxa + shift + rng.normal(0, noise.get(name, 3.0), n) for name, shift in bias.items()}
    subjects = np.array([f"S{i:05d}" for i in range(n)])
    parts = [
        pd.DataFrame(
            {
                "subject_id": subjects,
                "visit": "baseline",
                "method": name,
                "reference": dxa,
                "test": values,
                "difference": values - dxa,
                "mean": (values + dxa) / 2,
                "sex": sex,
                "age_group": age,
            }
        )
        for name, values in tests.items()
    ]
    names = list(tests)
    hidden = {"n": None, "suppressed": True, "minimum_cell": 10}

    def groups(labels: np.ndarray, order: list[str]) -> dict[str, Any]:
        found = {}
        for label in order:
            mask = labels == label
            if mask.sum() < 10:
                found[label] = {**hidden, "tests": {name: dict(hidden) for name in names}}
            else:
                found[label] = {
                    "n": int(mask.sum()),
                    "tests": {name: method(values[mask], dxa[mask]) for name, values in tests.items()},
                }
        return found

    def gaps(by_group: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name in names:
            shown = {g: c["tests"][name] for g, c in by_group.items() if not c["tests"][name].get("suppressed")}
            out[name] = {}
            for metric in ("mae", "rmse", "bias"):
                if len(shown) < 2:
                    out[name][metric] = {
                        **missing("a gap needs two groups with an estimate"),
                        "high_group": None,
                        "low_group": None,
                    }
                    continue
                high = max(shown, key=lambda g: shown[g][metric]["estimate"])
                low = min(shown, key=lambda g: shown[g][metric]["estimate"])
                gap = shown[high][metric]["estimate"] - shown[low][metric]["estimate"]
                out[name][metric] = {**estimate(gap, 1.2), "high_group": high, "low_group": low}
        return out

    results_tests = {name: method(values, dxa) for name, values in tests.items()}
    comparisons = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            for metric in ("mae", "rmse"):
                x, y = results_tests[a][metric]["estimate"], results_tests[b][metric]["estimate"]
                if x is None:
                    nothing = missing("no row has both tests")
                    comparisons.append(
                        {
                            "a": a,
                            "b": b,
                            "metric": metric,
                            "n": 0,
                            "difference": nothing,
                            "ratio": nothing,
                            "p_value": None,
                            "p_adjusted": None,
                        }
                    )
                    continue
                gap = np.abs(tests[a] - dxa) - np.abs(tests[b] - dxa)
                half = 1.98 * gap.std(ddof=1) / np.sqrt(n)
                p = float(2 * stats.norm.sf(abs(gap.mean()) / (half / 1.98)))
                comparisons.append(
                    {
                        "a": a,
                        "b": b,
                        "metric": metric,
                        "n": n,
                        "difference": estimate(x - y, half),
                        "ratio": {
                            "estimate": x / y,
                            "low": (x / y) * np.exp(-half / y),
                            "high": (x / y) * np.exp(half / y),
                        },
                        "p_value": p,
                        "p_adjusted": min(1.0, p * 6),
                    }
                )
    by_sex, by_age = groups(sex, ["F", "M"]), groups(age, ["18–39", "40–59", "≥60"])
    found = {
        "sex": {"label": "Sex", "unlabelled": 0, "by_group": by_sex, "difference": gaps(by_sex), "ratio": {}},
        "age_group": {"label": "Age", "unlabelled": 1, "by_group": by_age, "difference": gaps(by_age), "ratio": {}},
    }
    comparators = names[1:]
    excluded = [{"reason": "younger than 18 years", "n": 2}, {"reason": "no scan", "n": 4}]
    results = {
        "calliper": {"format": 1, "version": "0.1.0"},
        "study": {"name": "pilot", "title": "Pilot study of the phone scan"},
        "plan": {
            "version": 2,
            "hash": "c0ffee" * 10 + "abcd",
            "locked": locked,
            "document": {
                "calliper_plan": 1,
                "title": "Pilot",
                "measurand": "body_fat_percent",
                "reference": "dxa",
                "index": names[0],
                "comparators": comparators,
                "pairing": {"match": "time", "window_days": 7.0, "replicates": "mean"},
                "eligibility": [
                    {"attribute": "age", "at_least": 18.0, "reason": "younger than 18 years"},
                    {"measurand": "weight_kg", "at_most": 136.0},
                ],
                "subgroups": [
                    {"name": "sex", "attribute": "sex"},
                    {"name": "age_group", "attribute": "age", "label": "Age", "cut_points": [18.0, 40.0, 60.0]},
                ],
                "margins": {"bias": 1.0},
                "criteria": [],
                "resamples": 2000,
                "seed": 20240229,
                "level": 0.95,
                "minimum_cell": 10,
            },
        },
        "data": {"hash": "deadbeef" * 8, "subjects": n + 6, "visits": n + 6, "measurements": 4 * n},
        "measurand": {"name": "body_fat_percent", "label": "body fat percentage", "unit": "%"},
        "n": n,
        "reference": "dxa",
        "index": names[0],
        "tests": results_tests,
        "comparisons": comparisons,
        "subgroups": found if subgroups else {},
        "criteria": [
            {
                "name": "Error",
                "method": names[0],
                "metric": "mae",
                "group": None,
                "rule": "at most 4.5",
                "judged_by": "estimate",
                "estimate": results_tests[names[0]]["mae"],
                "verdict": "met",
            },
            {
                "name": "Bias in women",
                "method": names[0],
                "metric": "bias",
                "group": "sex=F",
                "rule": "between -1 and 1 (whole 95% interval)",
                "judged_by": "interval",
                "estimate": estimate(1.2, 0.4),
                "verdict": "not met",
            },
        ],
        "equivalence": [
            {
                "metric": "bias",
                "method": names[0],
                "margin": 1.0,
                "estimate": results_tests[names[0]]["bias"],
                "verdict": "equivalent",
            }
        ],
        "flow": {
            "subjects": {"total": n + 6, "analysed": n, "excluded": excluded},
            "visits": {"total": n + 6, "analysed": n, "excluded": [{"reason": "no scan within 7 days", "n": 6}]},
            "measurements": {
                "total": 2 * n + 6,
                "analysed": 2 * n,
                "excluded": [{"reason": "no scan within 7 days", "n": 6}],
            },
            "methods": {name: {"total": n + 6, "analysed": n, "excluded": excluded} for name in names},
        },
        "cohort": {
            "n": n,
            "groups": ["All", "F", "M"],
            "rows": [
                {
                    "characteristic": "Age",
                    "unit": "years",
                    "kind": "continuous",
                    "values": {
                        g: {
                            "n": n,
                            "mean": 44.2,
                            "sd": 12.1,
                            "min": 18.0,
                            "max": 81.0,
                            "median": 43.0,
                            "q1": 35.0,
                            "q3": 52.0,
                        }
                        for g in ("All", "F", "M")
                    },
                },
                {
                    "characteristic": "Ethnicity",
                    "kind": "categorical",
                    "levels": [
                        {
                            "level": "non_hispanic_white",
                            "values": {g: {"n": 60, "percent": 44.8} for g in ("All", "F", "M")},
                        },
                        {
                            "level": "other",
                            "values": {g: {"n": None, "percent": None, "suppressed": True} for g in ("All", "F", "M")},
                        },
                    ],
                },
            ],
        },
        "notes": list(notes),
    }
    exclusions = pd.DataFrame(
        {
            "level": ["subject"] * 6,
            "subject_id": [f"X{i}" for i in range(6)],
            "visit": None,
            "measurement_id": pd.NA,
            "method": None,
            "reason": ["younger than 18 years"] * 2 + ["no scan"] * 4,
        }
    )
    return StudyAnalysis(results, pd.concat(parts, ignore_index=True), exclusions)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures as empty pictures, for tests that read the text alone: drawing takes most of a report's time."""
    panel = Panel('<svg xmlns="http://www.w3.org/2000/svg"></svg>', "not drawn", 10, 10)
    for name in ("bland_altman_panel", "identity_panel", "forest_panel", "flow_panel"):
        monkeypatch.setattr(figures, name, lambda *_, **__: panel)
    monkeypatch.setattr(figures, "error_panels", lambda *_, **__: (panel, panel))


@pytest.fixture(scope="session")
def make() -> Callable[..., StudyAnalysis]:
    """Builds an analysis; see `build`."""
    return build


@pytest.fixture(scope="session")
def study() -> StudyAnalysis:
    """134 subjects, one index test and three comparators."""
    return build()


@pytest.fixture(scope="session")
def document(study: StudyAnalysis) -> Document:
    """The report of `study`, drawn once."""
    return validation_report(study)


@pytest.fixture
def results(study: StudyAnalysis) -> dict[str, Any]:
    """A copy of the results, to be changed at will."""
    return copy.deepcopy(study.results)


@pytest.fixture
def ingest() -> dict[str, Any]:
    """An ingest report with everything in it."""
    return {
        "calliper": {"format": 1, "version": "0.1.0"},
        "study": "pilot",
        "batch": 3,
        "dry_run": False,
        "status": "ingested",
        "mapping": {"name": "redcap", "hash": "ab" * 32},
        "actor": "coordinator",
        "started": "2026-03-02T08:15:00Z",
        "seconds": 1.25,
        "sources": [
            {
                "file": "demo.csv",
                "format": "csv",
                "encoding": "utf-8",
                "sha256": "12" * 32,
                "bytes": 20480,
                "rows": 140,
                "columns": 9,
                "used_as": ["subjects", "readings"],
                "rows_not_selected": [{"reason": "not an adult", "n": 3}],
                "unused_columns": ["comment", "phone"],
            },
        ],
        "tables": {
            "subjects": {"read": 140, "new": 120, "changed": 2, "unchanged": 8, "rejected": 10, "flagged": 1},
            "scans": {"read": 0, "new": 0, "changed": 0, "unchanged": 0, "rejected": 0, "flagged": 0},
            "visits": {"new": 120},
        },
        "rules": [
            {
                "rule": "age_plausible",
                "table": "subjects",
                "severity": "reject",
                "description": "age is between 0 and 120",
                "checked": 140,
                "failed": 8,
                "remedy": "Correct the age.",
            },
            {
                "rule": "subject_known",
                "table": "readings",
                "severity": "reject",
                "description": "the subject is registered",
                "checked": 140,
                "failed": 2,
                "remedy": "Ingest the subject first.",
            },
            {
                "rule": "sex_coded",
                "table": "subjects",
                "severity": "reject",
                "description": "sex is F or M",
                "checked": 140,
                "failed": 0,
                "remedy": "Write F or M.",
            },
            {
                "rule": "bmi_usual",
                "table": "subjects",
                "severity": "warn",
                "description": "BMI is usual",
                "checked": 140,
                "failed": 1,
                "remedy": "Check mass and stature.",
            },
        ],
        "quarantine": {
            "rows": 10,
            "files": ["quarantine/batch 3/subjects#1.csv"],
            "examples": [
                *(
                    {
                        "file": "demo.csv",
                        "row": row,
                        "column": "age",
                        "value": "212",
                        "rule": "age_plausible",
                        "reason": "212 is above 120",
                        "remedy": "Correct the age.",
                    }
                    for row in range(12, 20)
                ),
                *(
                    {
                        "file": "demo.csv",
                        "row": row,
                        "column": "id",
                        "value": "S7",
                        "rule": "subject_known",
                        "reason": "subject 'S7' was itself refused (demo.csv row 12)",
                        "remedy": "Mend the subject.",
                    }
                    for row in (40, 41)
                ),
            ],
        },
        "flagged": {
            "rows": 1,
            "examples": [
                {
                    "file": "demo.csv",
                    "row": 77,
                    "column": None,
                    "value": None,
                    "rule": "bmi_usual",
                    "reason": "BMI 61 is unusual",
                    "remedy": "Check mass and stature.",
                }
            ],
        },
        "changes": [{"table": "subjects", "subject_id": "S1", "what": "age", "old": 41, "new": 42}],
        "notes": ["Times without a zone are taken as local."],
    }
