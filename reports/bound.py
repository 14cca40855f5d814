"""Results with their labels, and the makers of numbers that are bound to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from reports import figures
from reports.document import Inline, Small, Value, pointer
from reports.wording import (
    ABSENT,
    count,
    estimate_of,
    group_label,
    in_words,
    interval,
    level_text,
    listed,
    method_label,
    number,
    p_text,
    p_value,
    plain_number,
    sentence,
    short_unit_of_differences,
    signed_text,
    significant_digits,
    unit_of_differences,
    with_article,
)
from studies.measurands import MEASURANDS

NOT_SHOWN = "not shown"
TONES = {"met": "good", "not met": "bad", "not enough data": "unsure", "equivalent": "good", "not shown": "neutral"}
METRICS = {
    "bias": "bias",
    "mae": "mean absolute error",
    "rmse": "root mean square error",
    "median_ae": "median absolute error",
    "mape": "mean absolute percentage error",
    "sd": "standard deviation of the differences",
    "ccc": "concordance correlation",
    "pearson": "Pearson correlation",
    "lower_limit": "lower limit of agreement",
    "upper_limit": "upper limit of agreement",
    "limits": "limit of agreement further from zero",
    "slope": "slope of the difference on the mean",
    "mae_ratio": "ratio of mean absolute errors",
}


@dataclass
class Bound:
    """The results of a study with their labels, and the makers of bound numbers.

    pairs: as `StudyAnalysis.pairs`. reasons: why numbers of the table in the making are missing (see `why`).
    """

    results: Mapping[str, Any]
    pairs: pd.DataFrame
    reasons: dict[str, list[str]] = field(default_factory=dict)

    @cached_property
    def plan(self) -> Mapping[str, Any]:
        return self.results["plan"].get("document") or {}

    @cached_property
    def protocol(self) -> Mapping[str, Any]:
        """The answers of the study's protocol; empty where none was given."""
        return (self.results.get("protocol") or {}).get("document") or {}

    @cached_property
    def level(self) -> str:
        return level_text(self.plan.get("level", self.results.get("level", 0.95)))

    @cached_property
    def unit(self) -> str:
        return self.results["measurand"]["unit"]

    @cached_property
    def points(self) -> str:
        return unit_of_differences(self.unit)

    @cached_property
    def pp(self) -> str:
        return short_unit_of_differences(self.unit)

    @cached_property
    def measurand(self) -> str:
        return self.results["measurand"].get("label") or self.results["measurand"]["name"]

    @property
    def index(self) -> str:
        return self.results["index"]

    @cached_property
    def reference(self) -> str:
        return method_label(self.results["reference"])

    @cached_property
    def names(self) -> list[str]:
        """The tests, index first; those that the flow knows but that have no result come last."""
        methods = self.results.get("flow", {}).get("methods") or {}
        known = [self.results.get("index"), *(self.results.get("tests") or {}), *methods]
        return [name for name in dict.fromkeys(known) if name is not None]

    @cached_property
    def comparators(self) -> list[str]:
        return self.names[1:]

    @cached_property
    def methods(self) -> list[figures.Method]:
        return [
            figures.Method(name, self.label(name), position, self.results["tests"].get(name) or {})
            for position, name in enumerate(self.names)
        ]

    def label(self, name: str) -> str:
        return method_label(name)

    def spoken(self, name: str) -> str:
        """A method's label inside a sentence: "the scale", "DXA"."""
        return with_article(self.label(name))

    @cached_property
    def codes(self) -> dict[str, str]:
        """Codes that the analysis' own sentences use, and their labels."""
        labels = {name: measurand.label for name, measurand in MEASURANDS.items() if "_" in name}
        groups = {
            group: group_label(group, name)
            for name, subgroup in (self.results.get("subgroups") or {}).items()
            for group in subgroup.get("by_group") or {}
            if "_" in group
        }
        methods = [*self.names, *([self.results["reference"]] if "reference" in self.results else [])]
        return {**labels, **groups, **{name: method_label(name) for name in methods}}

    def words(self, text: str) -> str:
        return signed_text(in_words(text, self.codes))

    def reason(self, text: str) -> str:
        """Why somebody or something was left out. Who has "no scan" may have scans, none of which gave a value."""
        return re.sub(r"\bno scan\b", "no value by the scan", self.words(text))

    @cached_property
    def notes(self) -> list[str]:
        return [self.words(note) for note in self.results.get("notes") or []]

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """The notes that every page must say: those that speak of synthetic data or rendered photos."""
        return tuple(note for note in self.notes if re.search(r"\b(synthetic|rendered)\b", note, re.I))

    @cached_property
    def banner(self) -> str:
        return " ".join(self.warnings)

    @cached_property
    def by_method(self) -> dict[str, pd.DataFrame]:
        return {str(name): part for name, part in self.pairs.groupby("method", sort=False)} if len(self.pairs) else {}

    def column(self, name: str, column: str) -> np.ndarray:
        part = self.by_method.get(name)
        return np.zeros(0) if part is None else part[column].to_numpy(dtype=float)

    def at(self, path: Sequence[str | int]) -> Any:
        found: Any = self.results
        for step in path:
            if isinstance(found, Mapping):
                found = found.get(step)
            elif isinstance(found, (list, tuple)) and isinstance(step, int) and step < len(found):
                found = found[step]
            else:
                return None
        return found

    # Bound numbers

    def value(self, *path: str | int, places: int = 2) -> Value:
        found = self.at(path)
        return Value(number(found, places), pointer(*path), found)

    def plain(self, *path: str | int) -> Value:
        """A number as a person types it, for figures whose decimals are not ours to choose."""
        found = self.at(path)
        return Value(ABSENT if found is None else plain_number(found), pointer(*path), found)

    def rounded(self, *path: str | int) -> Value:
        """The same to four significant digits, whole numbers whole, for figures that others have computed."""
        found = self.at(path)
        return Value(ABSENT if found is None else plain_number(significant_digits(found)), pointer(*path), found)

    def count(self, *path: str | int) -> Value:
        found = self.at(path)
        return Value(count(found), pointer(*path), found)

    def word(self, *path: str | int) -> Value:
        found = self.at(path)
        return Value(str(found), pointer(*path), found)

    def p(self, *path: str | int, prose: bool = False) -> Value:
        found = self.at(path)
        return Value(p_value(found) if prose else p_text(found), pointer(*path), found)

    def percent(self, *path: str | int, places: int = 0) -> Value:
        """A share as a percentage: 0.83 is "83%"."""
        found = self.at(path)
        return Value(f"{number(None if found is None else 100 * found, places)}%", pointer(*path), found)

    def scaled(self, *path: str | int, places: int = 1) -> tuple[Inline, ...]:
        """A share with its interval as percentages, for tables."""
        item = estimate_of(self.at(path))
        if item["estimate"] is None:
            return (ABSENT,)

        def end(name: str) -> Value:
            return Value(number(100 * item[name], places), pointer(*path, name), item[name])

        if item["low"] is None or item["high"] is None:
            return (end("estimate"),)
        return (end("estimate"), " ", Small(("(", end("low"), " to ", end("high"), ")"), below=True))

    def ends(self, *path: str | int, places: int = 2) -> tuple[Inline, ...]:
        """The interval: "−0.37 to 0.09"; nothing where there is none."""
        if not interval(self.at(path), places):
            return ()
        return (self.value(*path, "low", places=places), " to ", self.value(*path, "high", places=places))

    def said(self, *path: str | int, places: int = 2, unit: str = "") -> tuple[Inline, ...]:
        """For prose: "3.53 percentage points (95% CI 3.41 to 3.65)"."""
        after = unit if unit == "%" else f" {unit}" if unit else ""
        head: tuple[Inline, ...] = (self.value(*path, "estimate", places=places), after)
        ends = self.ends(*path, places=places)
        return (*head, f" ({self.level} CI ", *ends, ")") if ends else head

    def cell(self, *path: str | int, places: int = 2, who: str = "") -> tuple[Inline, ...]:
        """For tables: the estimate, and its interval beneath where there is no room beside."""
        item = self.at(path)
        found = estimate_of(item)
        ends = self.ends(*path, places=places)
        if not ends and found.get("reason") and who:
            self._remember(found, who)
        if found["estimate"] is None:
            return (ABSENT,)
        head: tuple[Inline, ...] = (self.value(*path, "estimate", places=places),)
        return (*head, " ", Small(("(", *ends, ")"), below=True)) if ends else head

    def group_cell(self, path: tuple[str | int, ...], *keys: str, places: int, who: str) -> tuple[Inline, ...]:
        """A cell of one method in one group, at subgroups/name/by_group/group/tests/method."""
        found, group = self.at(path), self.at(path[:4])
        if is_hidden(found) or is_hidden(group):
            return (NOT_SHOWN,)
        return self.cell(*path, *keys, places=places, who=who) if found else (ABSENT,)

    def _remember(self, item: Mapping[str, Any], who: str) -> None:
        what = ABSENT if item["estimate"] is None else "No interval"
        told = self.reasons.setdefault(f"{what}: {self.words(item['reason'])}", [])
        if who not in told:
            told.append(who)

    def why(self) -> tuple[str, ...]:
        """Reasons for what the table that was just made lacks, each once; starts afresh."""
        found, self.reasons = self.reasons, {}
        return tuple(f"{reason} ({', '.join(who)})." for reason, who in found.items())


def metric_of(report: Bound, metric: str) -> tuple[str, str, int]:
    """Label, unit and decimals of a metric that a criterion names."""
    if metric.startswith("within_"):
        return f"share within ±{metric.removeprefix('within_')} {report.points}", "%", 1
    label = METRICS.get(metric, metric.replace("_", " "))
    if metric in ("ccc", "pearson", "slope"):
        return label, "", 3
    if metric == "mae_ratio":
        return label, "", 2
    return label, "%" if metric == "mape" else report.points, 1 if metric == "mape" else 2


def after(unit: str) -> str:
    return "" if not unit else "%" if unit == "%" else f" {unit}"


def within(report: Bound) -> list[str]:
    keys: dict[str, None] = {}
    for test in report.results["tests"].values():
        keys.update(dict.fromkeys(test.get("within") or {}))
    return sorted(keys, key=float)


def missing(report: Bound) -> tuple[str, ...]:
    absent = [report.label(name) for name in report.names if not (report.results["tests"].get(name) or {}).get("n")]
    if not absent:
        return ()
    return (f"{sentence(listed(absent))} {'has' if len(absent) == 1 else 'have'} no pair with {report.reference}.",)


def is_hidden(item: Any) -> bool:
    return isinstance(item, Mapping) and bool(item.get("suppressed"))


def hidden_note(report: Bound) -> str:
    least = report.plan.get("minimum_cell")
    few = f"fewer than {least} subjects" if least else "too few subjects"
    return f"“{NOT_SHOWN}”: {few}, or a group from which such a group could be worked out."
