"""The one layer through which pages read: the registry itself, and analyses and selections kept in memory.

What is kept is keyed by the content of the registry, so that it is never out of date, and is never written to. Each
application has a layer of its own; requests of several threads that want the same thing wait for one to make it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection

from dashboards import selection
from dashboards.analyses import (
    Analysis,
    analysis_key,
    check_values,
    comparison_key,
    content_version,
    load,
    load_comparison,
)
from dashboards.filters import Filters
from dashboards.selection import Rows
from studies.errors import DataError, StorageError, UsageError
from studies.registry.catalogue import find_study
from studies.registry.frames import finished_run
from studies.registry.jobs import JobRecord, file_job, newest_jobs
from studies.registry.leakage import LEAKAGE, notes_of_run
from studies.registry.provenance import study_provenance
from studies.registry.workspace import Registry
from studies.runs.listing import find_run, list_runs

_ANALYSES, _SELECTIONS = 8, 64
_BY_PAGES = "dashboard"
_WRITER_WAIT_SECONDS = 5.0


class WaitingError(Exception):
    """What was asked for is being made; `job` says how far it has come."""

    def __init__(self, job: JobRecord):
        self.job = job
        super().__init__(f"job {job.id}")


class NobodyError(DataError):
    """The filters leave nobody, or too few to be shown."""


class Kept:
    """The most recently used results of slow functions, each made once however many threads ask for it."""

    def __init__(self, most: int):
        self._most = most
        self._lock = threading.Lock()
        self._made: OrderedDict[Hashable, Any] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` returns for `key`; what is None or raises is not kept."""
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
            mine = self._making.setdefault(key, threading.Lock())
        with mine:
            with self._lock:
                if key in self._made:
                    return self._made[key]
            try:
                found = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            if found is not None:
                with self._lock:
                    self._made[key] = found
                    while len(self._made) > self._most:
                        self._made.popitem(last=False)
            return found


@dataclass(frozen=True)
class Pairs:
    """The pairs of one method: test, reference and codes of the subjects (n,), and the rows of `people` they are of."""

    test: NDArray[np.float64]
    reference: NDArray[np.float64]
    subject: NDArray[np.intp]
    people: pd.DataFrame
    rows: NDArray[np.intp]

    @cached_property
    def difference(self) -> NDArray[np.float64]:
        return self.test - self.reference

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        return (self.test + self.reference) / 2

    @property
    def repeated(self) -> bool:
        """Whether a subject has several."""
        return bool((np.bincount(self.subject) > 1).any())

    def named(self, **columns: NDArray[np.float64]) -> pd.DataFrame:
        """Subject and visit of each, and these columns; slow where there are many."""
        return self.people[["subject_id", "visit"]].take(self.rows).reset_index(drop=True).assign(**columns)


@dataclass(frozen=True)
class Selection:
    """What a page shows: results in the shape of results.json, and the pairs behind them.

    filtered: the results are of a selection (see `dashboards.selection`); they then have no criteria and no flow.
    """

    analysis: Analysis
    filters: Filters
    results: dict[str, Any]
    mask: NDArray[np.bool_]
    rows: Rows
    filtered: bool

    def pairs_of(self, method: str) -> Pairs:
        """The pairs of one method."""
        values = self.rows.tests.get(method)
        there = np.zeros(self.rows.n, dtype=bool) if values is None else ~np.isnan(values)
        test = np.zeros(0) if values is None else values[there]
        places = np.flatnonzero(self.mask)[there]
        return Pairs(test, self.rows.reference[there], self.rows.subject[there], self.analysis.people, places)


class Queries:
    """Everything that pages read."""

    def __init__(self, registry: Registry):
        self.registry = registry
        self._analyses, self._selections = Kept(_ANALYSES), Kept(_SELECTIONS)
        self._subgroups, self._others = Kept(_SELECTIONS), Kept(_SELECTIONS)
        self._writer = Registry(registry.folder, registry.engine)
        self._writer.wait_seconds = _WRITER_WAIT_SECONDS
        self._file = registry.folder / "registry.db" if registry.engine.dialect.name == "sqlite" else None
        self._seen = self._identity()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to the registry. Raises StorageError where the database is not there."""
        if self._file is not None:
            now = self._identity()
            if now is None:
                raise StorageError(
                    "The registry's database is not where it was.",
                    remedy="Put registry.db back into the workspace; this page works again as soon as it is there.",
                )
            if now != self._seen:  # another file, say a restored backup: open connections still have the old one
                self.registry.engine.dispose()
                self._seen = now
        with self.registry.reading() as connection:
            yield connection

    def _identity(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        try:
            found = Path(self._file).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def analysis(self, study: str, run: int | None = None, measurand: str = "") -> Analysis:
        """The analysis of a study, of the plan's measurand or of one that is looked at beside it.

        Raises WaitingError while the worker makes it, UsageError for an unknown study or run, or for a measurand that
        the study does not have both ways.
        """
        with self.reading() as connection:
            found = find_study(connection, study)
            if run is not None:
                find_run(connection, found.id, run)
            if run == finished_run(connection, found.id):
                run = None  # the one that is analysed anyway
            version = content_version(connection)
        key = analysis_key(version, study, run)
        made = self._analyses.get(key, lambda: load(self.registry, key))
        if made is None:
            raise WaitingError(self._job_of("analysis", study, {"run": run, "key": key}))
        if measurand in ("", made.results["measurand"]["name"]):
            return made
        known = made.measurands
        if measurand not in known:
            others = f"There are: {', '.join(known)}." if known else "It can show the plan's alone."
            raise UsageError(f"The scans and the readings have no {measurand!r} in common.", remedy=others)
        beside = self._analyses.get((key, measurand), lambda: load(self.registry, key, measurand))
        if beside is None:  # the folder was taken away meanwhile
            raise StorageError("The analysis is not in the cache any more.", remedy="Load the page again.")
        return beside

    def _job_of(self, kind: str, study: str, parameters: dict[str, Any]) -> JobRecord:
        """The job that makes something: the one that there is, also where it failed, else a new one."""
        with self.reading() as connection:
            for job in newest_jobs(connection, study, kinds=(kind,)):
                if job.parameters == parameters and (job.active or job.status == "failed"):
                    return job
        return file_job(self.registry, kind, study, parameters, by=_BY_PAGES)

    def selection(self, study: str, filters: Filters, *, lines: bool = False) -> Selection:
        """The results of a study under filters; `lines`: with Passing and Bablok's line, however large the selection.

        Raises what `analysis` raises, UsageError for a value of a filter that nobody has, and NobodyError where fewer
        subjects are left than the plan lets show.
        """
        analysis = self.analysis(study, filters.run, filters.measurand)
        if not filters.of_people:
            everybody = np.ones(len(analysis.people), dtype=bool)
            return Selection(analysis, filters, analysis.results, everybody, analysis.rows, filtered=False)
        chosen = self._selections.get((analysis.key, filters), lambda: _select(analysis, filters))
        if lines and chosen.rows.n > selection.AT_ONCE:
            return self._selections.get((analysis.key, filters, "lines"), lambda: _with_lines(chosen))
        return chosen

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` returns, made once as long as it is kept. The key must stand for all that it depends on."""
        return self._others.get(key, make)

    def about(self, study: str) -> tuple[str, list[dict[str, Any]]]:
        """What every page must say of a study, and its finished runs. Raises UsageError for an unknown study."""
        with self.reading() as connection:
            found = find_study(connection, study)
            version = content_version(connection)

            def make() -> tuple[str, list[dict[str, Any]]]:
                runs = [row for row in list_runs(self.registry, connection, found) if row["finished"]]
                leaks = notes_of_run(connection, found, runs[-1]["run"]) if runs else []
                told = [*study_provenance(connection, found.id), *(note for note in leaks if note.startswith(LEAKAGE))]
                return " ".join(told), runs

            return self._others.get(("about", version, study), make)

    def registry_write(self, write: Callable[[Registry], None]) -> None:
        """Write through the registry, waiting a few seconds at most for another writer.

        Raises StorageError where that one takes longer.
        """
        write(self._writer)

    def comparison(self, study: str, baseline: int, candidate: int) -> dict[str, Any] | str:
        """Two runs compared, as `RunComparison.to_dict` with its `sentence`; a text where they cannot be.

        Raises WaitingError while the worker compares them.
        """
        with self.reading() as connection:
            version = content_version(connection)
        key = comparison_key(version, study, baseline, candidate)
        made = self._others.get(key, lambda: load_comparison(self.registry, key))
        if made is None:
            parameters = {"baseline": baseline, "candidate": candidate, "key": key}
            raise WaitingError(self._job_of("comparison", study, parameters))
        return made.get("problem", made)

    def subgroup(self, chosen: Selection, name: str, tests: Sequence[str]) -> dict[str, Any]:
        """One attribute of the plan in a selection, as in `results["subgroups"]`; filtered for these tests only."""
        if not chosen.filtered:
            return chosen.results["subgroups"][name]

        def make() -> dict[str, Any]:
            codes, names = chosen.analysis.groups[name]
            title = chosen.analysis.results["subgroups"][name]["label"]
            return selection.subgroup(chosen.rows, codes[chosen.mask], names, title, tests)

        return self._subgroups.get((chosen.analysis.key, chosen.filters, name, tuple(tests)), make)


def _with_lines(chosen: Selection) -> Selection:
    tests = {
        name: {**test, "passing_bablok": selection.passing_bablok_of(chosen.rows, name)}
        for name, test in chosen.results["tests"].items()
    }
    return replace(chosen, results={**chosen.results, "tests": tests})


def _select(analysis: Analysis, filters: Filters) -> Selection:
    check_values(analysis, filters)
    mask = analysis.mask(filters)
    rows = analysis.rows.take(mask)
    least = rows.manner.minimum_cell
    if rows.subjects < least:
        few = "Nobody" if not rows.n else f"Fewer than {least} subjects"
        verb = "has" if not rows.n else "have"
        raise NobodyError(
            f"{few} {verb} a pair and all of this: {'; '.join(filters.said())}.",
            remedy="Take away some of the filters."
            + (f" The plan shows no group of fewer than {least} subjects." if rows.n else ""),
        )
    whole = analysis.results
    tests = {name: selection.summarise(rows, name) for name in rows.tests}
    index = whole["index"]
    others = [name for name in tests if name != index]
    kept = {key: whole[key] for key in ("calliper", "study", "plan", "data", "measurand", "reference", "index")}
    leaks = [note for note in whole["notes"][1:] if note.startswith(LEAKAGE)]
    results = {
        **kept,
        **({"exploratory": True} if whole.get("exploratory") else {}),
        "n": rows.n,
        "filters": filters.to_query(),
        "tests": tests,
        "comparisons": selection.compare(rows, index, others) if index in tests else [],
        "notes": [*whole["notes"][:1], *leaks, f"Filters are set. {selection.INTERVALS}"],
    }
    return Selection(analysis, filters, results, mask, rows, filtered=True)
