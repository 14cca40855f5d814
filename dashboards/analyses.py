"""The analysis of a study as the dashboard keeps it: made once by the worker, read by every page, never changed.

An analysis lies in a folder of the workspace's `cache/`, under a key that stands for all that it is made of: the
content of the registry, the run and the software. In it there is one folder for each measurand: the plan's, and those
that are looked at beside it. Deleting the cache costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from dashboards.filters import ATTRIBUTES, Filters
from dashboards.selection import Manner, Rows, subgroup
from reports.files import write_atomically
from reports.results import results_json
from studies.analysis import FORMAT, StudyAnalysis, analyze
from studies.cohort import groups_of
from studies.errors import DataError, UsageError
from studies.frames import Frames, canonical
from studies.plan_model import Plan, Subgroup
from studies.progress import NoProgress, Progress
from studies.registry.analysis import study_inputs
from studies.registry.catalogue import find_study
from studies.registry.schema import AuditEvent, Device, Scan, Subject, Visit
from studies.registry.workspace import Registry
from studies.runs.comparison import compare_runs
from studies.version import VERSION

LAYOUT = 2
"""Version of the files in the cache."""
_KEPT = 12
"""Analyses that stay in the cache; the oldest go."""
_MOVED = 50
_PLANNED = "planned"
"""The folder of the plan's measurand."""
# What the trail tells that changes no result: looking, signing in, jobs, reports, the photos that a run deletes.
_WITHOUT_EFFECT = ("user", "job", "report", "photo", "checkpoint", "page")
_ONLY_LOOKED = ("view", "export", "start", "file")
_BMI = Subgroup(
    name="bmi_class",
    label="BMI class (WHO)",
    measurand="bmi",
    cut_points=[18.5, 25, 30],
    labels=["Underweight", "Normal weight", "Overweight", "Obesity"],
)


def content_version(connection: Connection) -> str:
    """Stands for all in the registry that can change a result: the hash of the newest event that did."""
    query = (
        select(AuditEvent.hash)
        .where(AuditEvent.entity.not_in(_WITHOUT_EFFECT), AuditEvent.action.not_in(_ONLY_LOOKED))
        .order_by(AuditEvent.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none() or ""


def analysis_key(version: str, study: str, run: int | None) -> str:
    """The name of an analysis in the cache."""
    said = json.dumps([LAYOUT, FORMAT, VERSION, version, study, run])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Analysis:
    """An analysis in memory.

    results: as in results.json. pairs: one row a pair and method, with `row`, the place of its visit in `people`.
    people: one row a visit with a pair: subject_id, visit, site, sex, ethnicity, bmi, phone, age. All frames are shared
    between requests, and nobody writes to them.
    """

    key: str
    results: dict[str, Any]
    pairs: pd.DataFrame
    people: pd.DataFrame

    @property
    def study(self) -> str:
        return self.results["study"]["name"]

    @property
    def measurands(self) -> dict[str, str]:
        """Those that may be looked at beside the plan's, and their labels."""
        found = self.results.get("body_measurements") or {}
        return {name: item["label"] for name, item in found.items() if item.get("n")}

    @cached_property
    def rows(self) -> Rows:
        """All pairs, as the quick statistics take them; one row a row of `people`."""
        n = len(self.people)
        reference = np.full(n, np.nan)
        tests = {}
        for name, part in self.pairs.groupby("method", sort=False, observed=True):
            values = np.full(n, np.nan)
            values[part["row"].to_numpy()] = part["test"].to_numpy()
            reference[part["row"].to_numpy()] = part["reference"].to_numpy()
            tests[str(name)] = values
        order = [name for name in self.results["tests"] if name in tests]
        subject = pd.factorize(self.people["subject_id"])[0]
        return Rows(reference, {name: tests[name] for name in order}, subject, Manner.of(self.results))

    @cached_property
    def groups(self) -> dict[str, tuple[NDArray[np.int16], list[str]]]:
        """The plan's subgroups: place of every row's group in the names of the groups, -1 for none; the names."""
        found = {}
        for name, part in (self.results.get("subgroups") or {}).items():
            labels = pd.Series(pd.NA, index=range(len(self.people)), dtype="object")
            seen = self.pairs.drop_duplicates("row")
            labels.iloc[seen["row"].to_numpy()] = seen[name].astype("object").to_numpy()
            names = list(part["by_group"])
            names += sorted(set(labels.dropna()) - set(names))
            found[name] = (pd.Categorical(labels, categories=names).codes.astype(np.int16), names)
        return found

    @cached_property
    def attributes(self) -> dict[str, tuple[NDArray[np.int16], list[str]]]:
        """The attributes that can be filtered by, likewise."""
        found = {}
        for name in ATTRIBUTES:
            column = self.people[name].astype("category")
            found[name] = (column.cat.codes.to_numpy().astype(np.int16), [str(c) for c in column.cat.categories])
        return found

    def mask(self, filters: Filters) -> NDArray[np.bool_]:
        """The rows that the filters let through, (len(people),)."""
        keep = np.ones(len(self.people), dtype=bool)
        for name in ATTRIBUTES:
            wanted = getattr(filters, name)
            if wanted:
                codes, names = self.attributes[name]
                keep &= np.isin(codes, [names.index(value) for value in wanted if value in names])
        low, high = filters.age
        age = self.people["age"].to_numpy()
        if low is not None:
            keep &= age >= low
        if high is not None:
            keep &= age < high + 1  # a person is 40 until the day of turning 41
        return keep


def make(registry: Registry, study: str, run: int | None, progress: Progress | None = None) -> str:
    """Analyse a study into the cache; returns its key. What is there already is not made again."""
    progress = progress or NoProgress()
    while True:
        with registry.reading() as connection:
            version = content_version(connection)
        key = analysis_key(version, study, run)
        if _folder(registry, key).is_dir():
            return key
        inputs = study_inputs(registry, study, run=run, progress=progress)
        phones = _phones(registry, study)
        with registry.reading() as connection:
            if content_version(connection) != version:
                continue  # something came in between: what was read may be half of each
        found = analyze(**inputs, progress=progress)
        store(registry, key, parts_of(inputs, found, phones))
        return key


@dataclass(frozen=True)
class Part:
    """What is kept of one measurand. pairs: with `row`, its place in `people`, instead of subject and visit."""

    results: dict[str, Any]
    pairs: pd.DataFrame
    people: pd.DataFrame


def parts_of(inputs: dict[str, Any], found: StudyAnalysis, phones: dict[tuple[str, str], str]) -> dict[str, Part]:
    """Measurand -> what is kept of it: of the plan's under "", then of those that may be looked at beside it.

    phones: the phone of each subject and visit.
    """
    frames = canonical(inputs["subjects"], inputs["visits"], inputs["measurements"])

    def part(results: dict[str, Any], pairs: pd.DataFrame) -> Part:
        people = _people_of(frames, inputs["plan"], pairs, phones)
        place = pd.MultiIndex.from_frame(people[["subject_id", "visit"]])
        row = place.get_indexer(pd.MultiIndex.from_frame(pairs[["subject_id", "visit"]]))
        return Part(results, pairs.drop(columns=["subject_id", "visit"]).assign(row=row), people)

    made = {"": part(found.results, found.pairs)}
    for name, item in found.results["body_measurements"].items():
        if item.get("n"):
            mine = found.body_pairs[found.body_pairs["measurand"] == name].drop(columns="measurand")
            made[name] = _with_groups(part(_exploratory(found.results, name), mine.reset_index(drop=True)))
    return made


def _exploratory(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """What the results say of a measurand beside the plan's, in the shape of results; `exploratory` says that it is.

    The plan fixed no criterion and no comparator for it.
    """
    item = whole["body_measurements"][name]
    kept = {key: whole[key] for key in ("calliper", "study", "plan", "data", "run")}
    return {
        **kept,
        "exploratory": True,
        "measurand": {"name": name, "label": item["label"], "unit": item["unit"]},
        "n": item["n"],
        "reference": item["reference"],
        "index": item["method"],
        "tests": {item["method"]: item["agreement"]},
        "comparisons": [],
        "subgroups": {
            key: {"label": part["label"], "by_group": {group: {} for group in part["by_group"]}}
            for key, part in whole["subgroups"].items()
        },
        "notes": whole["notes"],
    }


def _with_groups(part: Part) -> Part:
    """With the plan's subgroups, by the quick statistics."""
    analysis = Analysis("", part.results, *_named(part.pairs, part.people))
    by_group = {
        name: subgroup(analysis.rows, codes, names, part.results["subgroups"][name]["label"])
        for name, (codes, names) in analysis.groups.items()
    }
    return replace(part, results={**part.results, "subgroups": by_group})


def load(registry: Registry, key: str, measurand: str = "") -> Analysis | None:
    """An analysis from the cache, if it is there; None as well where it has no such measurand."""
    folder = _folder(registry, key) / (measurand or _PLANNED)
    try:
        results = json.loads((folder / "results.json").read_bytes())
        pairs, people = (pd.read_parquet(folder / f"{name}.parquet") for name in ("pairs", "people"))
    except FileNotFoundError:
        return None
    return Analysis(key, results, *_named(pairs, people))


def _named(pairs: pd.DataFrame, people: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    places = pairs["row"].to_numpy()
    return pairs.assign(**{column: people[column].to_numpy()[places] for column in ("subject_id", "visit")}), people


def _folder(registry: Registry, key: str) -> Path:
    return registry.folder / "cache" / "analyses" / key


def store(registry: Registry, key: str, parts: Mapping[str, Part]) -> None:
    """Put an analysis into the cache, all of its measurands or, if that fails, none."""
    folder = _folder(registry, key)
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        for name, part in parts.items():
            inside = making / (name or _PLANNED)
            inside.mkdir()
            (inside / "results.json").write_bytes(results_json(part.results))
            part.pairs.to_parquet(inside / "pairs.parquet")
            part.people.to_parquet(inside / "people.parquet")
        os.replace(making, folder)
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        if not folder.is_dir():  # another worker was quicker, or the disk is full
            raise
    kept = sorted((path for path in folder.parent.iterdir() if path.name[0] != "."), key=_changed_at)
    for old in kept[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another worker was quicker to remove it
        return 0.0


def _people_of(frames: Frames, plan: Plan, pairs: pd.DataFrame, phones: dict[tuple[str, str], str]) -> pd.DataFrame:
    """What the filters look at, one row a visit with a pair: see `Analysis.people`."""
    wanted = pairs[["subject_id", "visit"]].drop_duplicates(ignore_index=True)
    place = pd.MultiIndex.from_frame(frames.visits[["subject_id", "visit"]])
    at = place.get_indexer(pd.MultiIndex.from_frame(wanted))
    subject = frames.visits["subject"].to_numpy()[at]
    out = wanted.copy()
    for name in ("site", "sex", "ethnicity"):
        column = frames.subjects[name] if name in frames.subjects else pd.Series(None, index=frames.subjects.index)
        out[name] = pd.Series(column.to_numpy()[subject]).astype("str")
    bmi = next((item for item in plan.subgroups if item.measurand == "bmi"), _BMI)
    out["bmi"] = groups_of(frames, bmi, plan)[at]
    out["phone"] = pd.Series([phones.get(key) for key in zip(wanted["subject_id"], wanted["visit"], strict=True)])
    out["phone"] = out["phone"].astype("str")
    out["age"] = frames.visits["age"].to_numpy()[at]
    return out


def _phones(registry: Registry, study: str) -> dict[tuple[str, str], str]:
    """The device of each visit's first scan, where it is stated."""
    with registry.reading() as connection:
        query = (
            select(Subject.code, Visit.label, Device.code)
            .join_from(Scan, Visit, Scan.visit_id == Visit.id)
            .join(Subject, Visit.subject_id == Subject.id)
            .join(Device, Scan.device_id == Device.id)
            .where(Subject.study_id == find_study(connection, study).id, Device.code != "")
            .order_by(Scan.code.desc())
        )
        return {(code, label): device for code, label, device in connection.execute(query)}


def comparison_key(version: str, study: str, baseline: int, candidate: int) -> str:
    """The name of a comparison of two runs in the cache."""
    said = json.dumps([LAYOUT, FORMAT, VERSION, version, study, "comparison", baseline, candidate])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def make_comparison(
    registry: Registry, study: str, baseline: int, candidate: int, progress: Progress | None = None
) -> str:
    """Compare two runs into the cache; returns the key. That they cannot be compared is a result too."""
    with registry.reading() as connection:
        key = comparison_key(content_version(connection), study, baseline, candidate)
    path = _comparison_path(registry, key)
    if not path.is_file():
        try:
            found = compare_runs(registry, study, baseline, candidate, progress=progress)
            content = {**found.to_dict(_MOVED), "sentence": found.sentence()}
        except DataError as error:
            content = {"problem": str(error)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, results_json(content))
    return key


def load_comparison(registry: Registry, key: str) -> dict[str, Any] | None:
    """A comparison from the cache, if it is there."""
    try:
        return json.loads(_comparison_path(registry, key).read_bytes())
    except FileNotFoundError:
        return None


def _comparison_path(registry: Registry, key: str) -> Path:
    return registry.folder / "cache" / "comparisons" / f"{key}.json"


def check_values(analysis: Analysis, filters: Filters) -> None:
    """Raises UsageError where a filter names what the analysis does not have."""
    for name in ATTRIBUTES:
        known = analysis.attributes[name][1]
        for value in getattr(filters, name):
            if value not in known:
                there = f"There are: {', '.join(known)}." if known else "None is recorded in this study."
                raise UsageError(f"No pair of this study has {name} '{value}'.", remedy=there)
