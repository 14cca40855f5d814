"""Which index measurement goes with which reference measurement, and why every other one is left out.

The rules, in the order in which they are applied. Whatever fails has the first one failed as its one reason.

1. Measurement: its method is in the plan; it has a value.
2. Subject: every rule of `eligibility`, in the plan's order (a value that is not recorded fails its rule).
3. Visit: it is one of the plan's `visits`.
4. Occasion: the reference measurements of one visit are one occasion of measurement. With `replicates: mean` its value
   is their mean, otherwise the first of them (by time, then replicate).
5. Match: with `match: visit`, a measurement belongs to the occasion of its own visit; with `match: time`, to the
   subject's occasion nearest in time (the earlier of two equally near), whatever the visit. Where `window_days` is
   given, the two may lie no further apart than that.
6. Replicates: of several measurements of one method that belong to one occasion, the first, the nearest in time to the
   reference (where times are unknown, the first), or the mean of all.

An occasion with an index measurement is a pair. Comparators are paired with the reference of those occasions only, so
that methods are compared in the same people at the same visits; each comparator keeps its own number of pairs.
Time is that of the measurement, or the visit's date where none is known; between a time of day and a date alone, days
are counted by the calendar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from studies.derived import EQUATIONS, Derived, derive_from
from studies.frames import Frames, canonical, of_subjects, plain_text
from studies.plan_model import EligibilityRule, Pairing, Plan

EXCLUSIONS = ["level", "subject_id", "visit", "measurement_id", "method", "reason"]


@dataclass(frozen=True)
class Paired:
    """Pairs, and what became of everything else.

    table: one row a pair of index and reference: subject_id, visit (the reference's), occasion (the visit's position in
    the frames), and a column of values for the reference and each test (NaN where a comparator has none), sorted.
    exclusions: level (subject, visit, measurement, method), subject_id, visit, measurement_id, method, reason. One row
    for every subject, visit and recorded measurement of the plan's measurand that does not reach the analysis; at level
    "method", one for every subject without a pair of that test.
    flow: {"subjects": {"total", "analysed", "excluded": [{"reason", "n"}]}, "visits", "measurements", "methods": {…}}.
    used: the rows of measurements in the analysis (recorded and derived), with the columns of the registry.
    """

    table: pd.DataFrame
    exclusions: pd.DataFrame
    flow: dict[str, Any]
    used: pd.DataFrame


class _Reasons:
    """One reason a row: the first that is given stays. Remembers the order in which reasons were given."""

    def __init__(self, size: int):
        self.codes = np.zeros(size, dtype=np.int64)
        self.names: list[str] = [""]

    def give(self, where: np.ndarray, reason: str) -> None:
        self.codes[where & (self.codes == 0)] = self._code(reason)

    def copy(self, where: np.ndarray, reasons: np.ndarray) -> None:
        """Give each row the reason beside it."""
        where = where & (self.codes == 0)
        for reason in sorted(set(reasons[where])):
            self.give(where & (reasons == reason), reason)

    def _code(self, reason: str) -> int:
        if reason not in self.names:
            self.names.append(reason)
        return self.names.index(reason)

    @property
    def none(self) -> np.ndarray:
        return self.codes == 0

    @property
    def text(self) -> np.ndarray:
        return np.array(self.names, dtype=object)[self.codes]

    def flow(self) -> dict[str, Any]:
        counts = np.bincount(self.codes, minlength=len(self.names))
        left_out = [{"reason": name, "n": int(n)} for name, n in zip(self.names[1:], counts[1:], strict=True) if n]
        return {"total": len(self.codes), "analysed": int(counts[0]), "excluded": left_out}


def pair(
    subjects: pd.DataFrame,
    visits: pd.DataFrame,
    measurements: pd.DataFrame,
    plan: Plan,
    *,
    tests: list[str] | None = None,
) -> Paired:
    """Pair the measurements of a study by its plan. `tests` (index first) is the plan's unless given.

    Methods that are equations are derived here, unless the study has recorded measurements of them.
    """
    frames = canonical(subjects, visits, measurements)
    return pair_frames(frames, plan, tests or plan.tests)


def to_derive(frames: Frames, plan: Plan, tests: list[str]) -> list[str]:
    """The tests that the analysis computes itself: equations of which the study has no measurement."""
    recorded = frames.measurements.loc[frames.measurements["measurand"] == plan.measurand, "method"].unique()
    return [test for test in tests if test in EQUATIONS and test not in set(recorded)]


def eligible_subjects(frames: Frames, plan: Plan) -> np.ndarray:
    """Whether each subject meets every rule of the plan's `eligibility`, bool[S]."""
    reasons = _Reasons(len(frames.subjects))
    _apply_eligibility(reasons, frames, plan)
    return reasons.none


def pair_frames(frames: Frames, plan: Plan, tests: list[str], derived: Derived | None = None) -> Paired:
    """`pair` on canonical frames."""
    index, reference, rule = tests[0], plan.reference, plan.pairing
    if derived is None:
        derived = derive_from(frames, to_derive(frames, plan, tests))
    data = _candidates(frames, plan, derived)
    recorded = data["recorded"].to_numpy()
    subject, occasion = data["subject"].to_numpy(), data["occasion"].to_numpy()
    method = data["method"].to_numpy()
    words = _Words(index, reference, rule)

    of_subject = _Reasons(len(frames.subjects))
    _apply_eligibility(of_subject, frames, plan)
    of_visit = _Reasons(len(frames.visits))
    ineligible = ~of_subject.none
    of_visit.copy(ineligible[frames.visits["subject"]], _not_eligible(of_subject)[frames.visits["subject"]])
    if plan.visits is not None:
        of_visit.give(~frames.visits["visit"].isin(plan.visits).to_numpy(), "visit not in the plan")

    of_measurement = _Reasons(len(data))
    of_measurement.give(~np.isin(method, [reference, *tests]), "method not in the plan")
    of_measurement.give(~np.isfinite(data["value"].to_numpy()), "no value")
    of_measurement.copy(~of_visit.none[occasion], of_visit.text[occasion])

    usable = of_measurement.none
    is_reference = method == reference
    anchors = _anchors(data[usable & is_reference], rule)
    belongs, gap = _assign(data, usable & ~is_reference, anchors, rule, of_measurement, words)
    with_index = np.zeros(len(frames.visits), dtype=bool)
    with_index[belongs[(belongs >= 0) & (method == index)]] = True
    of_measurement.give(usable & is_reference & ~with_index[occasion], words.no_index)
    of_measurement.give((belongs >= 0) & ~with_index[belongs], words.no_pair)
    chosen, values = _replicates(data, belongs, gap, of_measurement.none & ~is_reference, rule)
    of_measurement.give(of_measurement.none & ~is_reference & ~chosen, words.replicate)
    if rule.replicates != "mean":
        first = np.zeros(len(data), dtype=bool)
        first[anchors["row"].to_numpy()] = True
        of_measurement.give(of_measurement.none & is_reference & ~first, words.replicate)

    table = _wide(frames, anchors, values, with_index, reference, tests)
    used = of_measurement.none & (is_reference | (method == index))
    _explain_visits(of_visit, of_measurement, used, method, occasion, words)
    _explain_subjects(of_subject, of_visit, frames, plan, table, subject[usable], method[usable], words)
    methods = {
        test: _explain_method(test, frames, of_subject, table, subject[usable & (method == test)], derived, words)
        for test in tests
    }
    flow = {
        "subjects": of_subject.flow(),
        "visits": of_visit.flow(),
        "measurements": _recorded_flow(of_measurement, recorded),
        "methods": {test: reasons.flow() for test, reasons in methods.items()},
    }
    used_rows = data[of_measurement.none].drop(columns=["recorded"])
    exclusions = _exclusions(frames, data, recorded, of_subject, of_visit, of_measurement, methods)
    return Paired(table, exclusions, flow, used_rows)


@dataclass(frozen=True)
class _Words:
    """The reasons in words, which depend on how measurements are matched."""

    index: str
    reference: str
    rule: Pairing

    @property
    def _near(self) -> str:
        window = self.rule.window_days
        days = "" if window is None else f"within {window:g} {'day' if window == 1 else 'days'}"
        return days if self.rule.match == "time" else f"at the same visit {days}".rstrip()

    @property
    def no_reference(self) -> str:
        return f"no {self.reference} {self._near}"

    @property
    def no_index(self) -> str:
        return f"no {self.index} {self._near}"

    @property
    def no_pair(self) -> str:
        return f"no pair of {self.index} and {self.reference} to compare with"

    @property
    def not_paired(self) -> str:
        return f"{self.index} and {self.reference} not {self._near}"

    no_time = "time of measurement not recorded"
    replicate = "another replicate was used"


def _candidates(frames: Frames, plan: Plan, derived: Derived) -> pd.DataFrame:
    """The measurements of the plan's measurand, recorded ones and derived ones, sorted by visit, time and replicate."""
    recorded = frames.measurements[frames.measurements["measurand"] == plan.measurand].assign(recorded=True)
    if derived.measurements.empty:
        return recorded.reset_index(drop=True)
    both = [recorded, derived.measurements[recorded.columns.intersection(derived.measurements.columns)]]
    data = pd.concat([part.astype({"measurement_id": "Int64"}) for part in both], ignore_index=True)
    data["recorded"] = data["measurement_id"].notna().to_numpy()
    return data.sort_values("occasion", kind="stable", ignore_index=True)


def _apply_eligibility(reasons: _Reasons, frames: Frames, plan: Plan) -> None:
    for rule in plan.eligibility:
        values = of_subjects(frames, rule, plan.reference, plan.measurand)
        absent = values.isna().to_numpy()
        reasons.give(absent, rule.missing if rule.test != "present" else rule.why)
        reasons.give(~absent & ~_passes(rule, values), rule.why)


def _passes(rule: EligibilityRule, values: pd.Series) -> np.ndarray:
    if rule.test == "present":
        return np.ones(len(values), dtype=bool)
    if rule.test in ("at_least", "at_most"):
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
        # Rounded, because a BMI of exactly 25 may come out of its division as 24.999999999999996. A value that is no
        # number passes neither test.
        numbers = np.round(numbers, 9)
        return numbers >= rule.at_least if rule.test == "at_least" else numbers <= rule.at_most
    listed = [rule.equals] if rule.test == "equals" else (rule.in_ if rule.test == "in" else rule.not_in) or []
    same = np.zeros(len(values), dtype=bool)
    for wanted in listed:
        same |= _equal(values, wanted)
    return ~same if rule.test == "not_in" else same


def _equal(values: pd.Series, wanted: str | float) -> np.ndarray:
    """Whether values equal what the plan says. Attributes may be stored as text, so 1, 1.0 and "1" are the same."""
    text = values.astype("object").map(plain_text, na_action="ignore")
    return (text == plain_text(wanted)).to_numpy(dtype=bool)


def _not_eligible(reasons: _Reasons) -> np.ndarray:
    return np.array([f"subject left out: {name}" if name else "" for name in reasons.names], dtype=object)[
        reasons.codes
    ]


def _anchors(references: pd.DataFrame, rule: Pairing) -> pd.DataFrame:
    """One row an occasion: occasion, subject, time, value, row (position of its first measurement)."""
    first = references.drop_duplicates("occasion")
    value = first["value"].to_numpy()
    if rule.replicates == "mean":
        value = references.groupby("occasion", sort=False)["value"].mean().to_numpy()
    columns = {name: first[name].to_numpy() for name in ("occasion", "subject", "time")}
    return pd.DataFrame({**columns, "value": value, "row": first.index.to_numpy()})


def _assign(
    data: pd.DataFrame, rows: np.ndarray, anchors: pd.DataFrame, rule: Pairing, reasons: _Reasons, words: _Words
) -> tuple[np.ndarray, np.ndarray]:
    """The occasion that each of `rows` belongs to (int[N], -1 where none) and its distance in days (float[N])."""
    belongs, gap = np.full(len(data), -1, dtype=np.int64), np.full(len(data), np.nan)
    tests = data.loc[rows, ["occasion", "subject", "time"]]
    if rule.match == "time":
        nowhen = np.zeros(len(data), dtype=bool)
        nowhen[tests.index[tests["time"].isna()]] = True
        reasons.give(nowhen, words.no_time)
        left = tests.dropna(subset="time").reset_index(names="row").sort_values(["time", "row"])
        # Of two occasions at the same time the first visit counts; an asof join would take the last.
        right = anchors.dropna(subset="time").sort_values(["time", "occasion"]).drop_duplicates(["subject", "time"])
        right = right.rename(columns={"time": "when", "occasion": "anchor"})[["subject", "when", "anchor"]]
        found = pd.merge_asof(left, right, left_on="time", right_on="when", by="subject", direction="nearest")
    else:
        when = anchors.rename(columns={"time": "when"})[["occasion", "when"]].assign(anchor=anchors["occasion"])
        found = tests.reset_index(names="row").merge(when, on="occasion", how="left")
    found = found.dropna(subset="anchor")
    days = _days(found["time"], found["when"])
    row = found["row"].to_numpy()
    belongs[row], gap[row] = found["anchor"].to_numpy(dtype=np.int64), days
    if rule.window_days is not None:
        unknown = (belongs >= 0) & np.isnan(gap)
        reasons.give(unknown, words.no_time)
        belongs[unknown | (gap > rule.window_days)] = -1
    reasons.give(rows & (belongs < 0), words.no_reference)
    return belongs, gap


def _days(first: pd.Series, second: pd.Series) -> np.ndarray:
    """Days between two times, float; by the calendar where either is a date without a time of day."""
    apart = (first - second).abs().dt.total_seconds().to_numpy() / 86_400
    by_date = (first.dt.normalize() - second.dt.normalize()).abs().dt.total_seconds().to_numpy() / 86_400
    dated = (first == first.dt.normalize()).to_numpy() | (second == second.dt.normalize()).to_numpy()
    return np.where(dated, by_date, apart)


def _replicates(
    data: pd.DataFrame, belongs: np.ndarray, gap: np.ndarray, rows: np.ndarray, rule: Pairing
) -> tuple[np.ndarray, pd.DataFrame]:
    """Which of `rows` are used (bool[N]), and the value of each method at each occasion (anchor, method, value)."""
    tests = data.loc[rows, ["method", "value", "time", "replicate", "device", "measurement_id"]].assign(
        anchor=belongs[rows], gap=gap[rows]
    )
    order = ["anchor", "method", *(["gap"] if rule.replicates == "nearest" else [])]
    tests = tests.sort_values([*order, "time", "replicate", "device", "measurement_id"])
    chosen = np.zeros(len(data), dtype=bool)
    if rule.replicates == "mean":
        chosen[tests.index] = True
        values = tests.groupby(["anchor", "method"], as_index=False)["value"].mean()
    else:
        values = tests.drop_duplicates(["anchor", "method"])[["anchor", "method", "value"]]
        chosen[values.index] = True
    return chosen, values


def _wide(
    frames: Frames,
    anchors: pd.DataFrame,
    values: pd.DataFrame,
    with_index: np.ndarray,
    reference: str,
    tests: list[str],
) -> pd.DataFrame:
    pairs = anchors[with_index[anchors["occasion"]]].sort_values("occasion")
    table = frames.visits.loc[pairs["occasion"], ["subject_id", "visit"]].reset_index(drop=True)
    table["occasion"] = pairs["occasion"].to_numpy()
    table[reference] = pairs["value"].to_numpy()
    for test in tests:
        of_test = values[values["method"] == test].set_index("anchor")["value"]
        table[test] = of_test.reindex(table["occasion"]).to_numpy(dtype="float64")
    return table


def _explain_visits(
    of_visit: _Reasons,
    of_measurement: _Reasons,
    used: np.ndarray,
    method: np.ndarray,
    occasion: np.ndarray,
    words: _Words,
) -> None:
    """A visit is analysed when one of its measurements is in a pair. Otherwise it has the reason of its index
    measurement, else of its reference measurement, else that it has neither."""
    analysed = np.zeros(len(of_visit.codes), dtype=bool)
    analysed[occasion[used]] = True
    text = of_measurement.text
    for name in (words.index, words.reference):
        rows = np.flatnonzero((method == name) & ~of_measurement.none)
        _, first = np.unique(occasion[rows], return_index=True)
        rows = rows[first]
        beside = np.full(len(analysed), "", dtype=object)
        beside[occasion[rows]] = [f"{name} has no value" if reason == "no value" else reason for reason in text[rows]]
        of_visit.copy(~analysed & (beside != ""), beside)
    of_visit.give(~analysed, f"no {words.index} and no {words.reference}")


def _explain_subjects(
    of_subject: _Reasons,
    of_visit: _Reasons,
    frames: Frames,
    plan: Plan,
    table: pd.DataFrame,
    subject: np.ndarray,
    method: np.ndarray,
    words: _Words,
) -> None:
    """Subjects that are eligible but have no pair."""
    size = len(frames.subjects)
    analysed = np.isin(np.arange(size), frames.visits["subject"].to_numpy()[table["occasion"]])
    attended = np.bincount(frames.visits["subject"], minlength=size) > 0
    of_subject.give(~attended, "no visit")
    if plan.visits is not None:
        inside = frames.visits["visit"].isin(plan.visits).to_numpy()
        of_subject.give(np.bincount(frames.visits["subject"][inside], minlength=size) == 0, "no visit of the plan")
    for name in (words.index, words.reference):
        of_subject.give(~analysed & ~np.isin(np.arange(size), subject[method == name]), f"no {name}")
    of_subject.give(~analysed, words.not_paired)


def _explain_method(
    test: str,
    frames: Frames,
    of_subject: _Reasons,
    table: pd.DataFrame,
    subject: np.ndarray,
    derived: Derived,
    words: _Words,
) -> _Reasons:
    """Why a subject has no pair of `test`: the subject's own reason, else what is missing for the test."""
    size = len(frames.subjects)
    owner = frames.visits["subject"].to_numpy()
    analysed = np.isin(np.arange(size), owner[table.loc[table[test].notna(), "occasion"]])
    reasons = _Reasons(size)
    for name in of_subject.names[1:]:  # in the order of the subjects' own flow
        reasons.give(of_subject.text == name, name)
    missing = derived.missing[(derived.missing["method"] == test) & derived.missing["occasion"].isin(table["occasion"])]
    missing = missing.drop_duplicates("subject")
    beside = np.full(size, "", dtype=object)
    beside[missing["subject"].to_numpy()] = missing["reason"].to_numpy()
    reasons.copy(~analysed & (beside != ""), beside)
    reasons.give(~analysed & ~np.isin(np.arange(size), subject), f"no {test}")
    reasons.give(~analysed, words.no_pair)
    return reasons


def _recorded_flow(reasons: _Reasons, recorded: np.ndarray) -> dict[str, Any]:
    part = _Reasons(int(recorded.sum()))
    part.names, part.codes = reasons.names, reasons.codes[recorded]
    return part.flow()


def _exclusions(
    frames: Frames,
    data: pd.DataFrame,
    recorded: np.ndarray,
    of_subject: _Reasons,
    of_visit: _Reasons,
    of_measurement: _Reasons,
    methods: dict[str, _Reasons],
) -> pd.DataFrame:
    subjects, visits = frames.subjects["subject_id"], frames.visits[["subject_id", "visit"]]
    left_out = recorded & ~of_measurement.none
    rows = data.loc[left_out, ["subject_id", "visit", "measurement_id", "method", "subject", "occasion"]]
    rows = rows.assign(reason=of_measurement.text[left_out]).sort_values(["subject", "occasion", "measurement_id"])
    parts = [
        pd.DataFrame({"level": "subject", "subject_id": subjects, "reason": of_subject.text})[~of_subject.none],
        visits.assign(level="visit", reason=of_visit.text)[~of_visit.none],
        rows.assign(level="measurement"),
        *(
            pd.DataFrame({"level": "method", "subject_id": subjects, "method": test, "reason": reasons.text})[
                ~reasons.none
            ]
            for test, reasons in methods.items()
        ),
    ]
    everything = pd.concat(parts, ignore_index=True).reindex(columns=EXCLUSIONS)
    everything["measurement_id"] = everything["measurement_id"].astype("Int64")
    text = ["level", "subject_id", "visit", "method", "reason"]
    return everything.astype(dict.fromkeys(text, "str"))
