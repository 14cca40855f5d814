"""The analysis of a study by its plan: frames in, one result object out.

The same data, plan and software give the same bytes of `results` as JSON, whatever order the rows come in and under
whatever identifiers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

from studies.body_measurements import Taped, body_measurements, body_pairs, taped
from studies.calibration import calibration
from studies.change import change
from studies.cohort import cohort, groups_of
from studies.criteria import claims, equivalence, judge
from studies.decisions import bias_at_levels, cut_offs
from studies.derived import EQUATIONS, OUTSIDE, Derived, derive_from
from studies.deviations import deviations
from studies.errors import DataError, PlanError
from studies.fairness import fairness
from studies.frames import Frames, canonical, measured
from studies.intersections import intersections
from studies.measurands import MEASURANDS
from studies.nameless import without_names
from studies.pairing import Paired, eligible_subjects, pair_frames, to_derive
from studies.plan_model import DERIVED_METHODS, IN_TRAINING, Plan
from studies.precision import precision
from studies.progress import NoProgress, Progress
from studies.sensitivity import sensitivity
from studies.subgroups import agreement, small_groups
from studies.suggestions import suggestion
from validation.concordance import ccc
from validation.results import attempt

FORMAT = 1
"""Version of the shape of `results`."""


@dataclass(frozen=True)
class StudyAnalysis:
    """What reports and the dashboard render.

    results: plain dicts, lists, strings and numbers, as written to results.json.
    pairs: one row a subject, visit and method: subject_id, visit, method, reference, test, difference (test −
    reference), mean, and a column of labels for each subgroup (missing where the subject is in no group).
    exclusions: level (subject, visit, measurement, method), subject_id, visit, measurement_id, method, reason.
    body_pairs: the pairs behind `results["body_measurements"]`, as `pairs`, with the column measurand.
    """

    results: dict[str, Any]
    pairs: pd.DataFrame
    exclusions: pd.DataFrame
    body_pairs: pd.DataFrame = field(default_factory=pd.DataFrame)


def analyze(
    *,
    study: dict[str, Any],
    plan: Plan,
    plan_status: dict[str, Any],
    subjects: pd.DataFrame,
    visits: pd.DataFrame,
    measurements: pd.DataFrame,
    data_hash: str,
    index: str | None = None,
    scans: pd.DataFrame | None = None,
    scans_hash: str | None = None,
    run: dict[str, Any] | None = None,
    protocol: dict[str, Any] | None = None,
    empty: bool = False,
    progress: Progress | None = None,
) -> StudyAnalysis:
    """Analyse a study by its plan.

    study: name, title and, optionally, `notes` (sentences that every reader must see). plan_status: version, hash,
    locked and, optionally, what `studies.deviations` knows of. index: another index test than the plan's, which is
    noted as a deviation; the plan's becomes a comparator. scans: one row a scan with what became of it in the run (see
    `studies.registry.scans`). run: number, newest, checkpoints. protocol: {"version", "hash", "document"} of what only
    a person can know of the study. empty: an analysis without a single pair is not refused, but says so.
    Raises `DataError` where no index measurement can be paired, unless `empty`, and `PlanError` where the plan asks for
    an attribute that the subjects do not have.
    """
    progress = progress or NoProgress()
    tests = _tests(plan, index, measurements)
    with progress.stage("Ordering the data"):
        frames = canonical(subjects, visits, measurements)
        _check_attributes(plan, frames)
        frames, names = without_names(frames, plan.attributes)
        scans = None if scans is None else names.take_away(scans)
    with progress.stage("Pairing"):
        derived = derive_from(frames, to_derive(frames, plan, tests))
        paired = pair_frames(frames, plan, tests, derived)
        if not empty:
            _check_pairs(paired, plan, tests[0])
        table = paired.table
        groups = {subgroup.name: groups_of(frames, subgroup, plan) for subgroup in plan.subgroups}
        for name, labels in groups.items():
            table[name] = labels[table["occasion"].to_numpy()]
    with progress.stage("Computing agreement"):
        report = agreement(table, plan, tests) if len(table) else _nothing(plan)
    measurand = MEASURANDS[plan.measurand]
    results: dict[str, Any] = {
        "calliper": calliper_version(),
        "study": {"name": study["name"], "title": study["title"]},
        "plan": {**{key: plan_status[key] for key in ("version", "hash", "locked")}, "document": plan.document()},
        "data": {
            "hash": data_hash,
            "subjects": len(subjects),
            "visits": len(visits),
            "measurements": len(measurements),
            **({} if scans is None else {"scans": len(scans), "scans_hash": scans_hash}),
        },
        "run": run,
        "measurand": {"name": measurand.name, "label": measurand.label, "unit": measurand.unit},
        "n": len(table),
        "reference": plan.reference,
        "index": tests[0],
        "tests": {name: _with_spread(test) for name, test in report["tests"].items()},
        "comparisons": report["comparisons"],
        "subgroups": report["subgroups"],
    }
    results["decision_levels"] = bias_at_levels(table, plan, results)
    results["criteria"] = judge(plan, results)
    results["equivalence"] = equivalence(plan, results)
    results["flow"] = paired.flow
    results["cohort"] = cohort(frames, plan, table)
    with progress.stage("Further analyses"):
        bodies = taped(frames, plan, eligible_subjects(frames, plan))
        results |= _further(frames, plan, tests, derived, paired, bodies, scans, results)
    document = None if protocol is None else protocol["document"]
    results["deviations"] = deviations(plan, plan_status, tests[0], run, document, results)
    results["protocol"] = protocol
    results["notes"] = _notes(study, plan, plan_status, tests, paired, derived, table, results)
    tables = (_long(table, plan, tests), paired.exclusions, body_pairs(bodies, frames, groups))
    return StudyAnalysis(results, *map(names.give_back, tables))


def _nothing(plan: Plan) -> dict[str, Any]:
    """The agreement of no pairs at all."""
    empty: dict[str, Any] = {"by_group": {}, "unlabelled": 0, "difference": {}, "ratio": {}}
    subgroups = {subgroup.name: {**empty, "label": subgroup.title} for subgroup in plan.subgroups}
    return {"tests": {}, "comparisons": [], "subgroups": subgroups}


def _with_spread(test: dict[str, Any]) -> dict[str, Any]:
    """A test with the SD of its absolute errors, which papers give beside their mean."""
    mae, rmse, n = test["mae"]["estimate"], test["rmse"]["estimate"], test["n"]
    spread = None
    if n > 1 and mae is not None and rmse is not None:
        spread = math.sqrt(max(rmse**2 - mae**2, 0.0) * n / (n - 1))
    return {**test, "absolute_sd": spread}


def _bmi(frames: Frames, table: pd.DataFrame, plan: Plan) -> dict[str, Any]:
    """Concordance of the raw body mass index with body fat, as papers print it: by group {"n", "ccc"}.

    The two have different units, so that it says only that a number in kg/m² is no percentage of fat. One pair a
    subject, the first; empty for other measurands.
    """
    if plan.measurand != "body_fat_percent" or table.empty:
        return {}
    first = table.drop_duplicates("subject_id")
    visit = first["occasion"].to_numpy()
    rows = pd.DataFrame(
        {
            "bmi": measured(frames, "bmi")[visit],
            "reference": first[plan.reference].to_numpy(),
            "sex": frames.subjects["sex"].to_numpy()[frames.visits["subject"].to_numpy()[visit]],
        }
    ).dropna(subset="bmi")
    groups = {"All": rows} | {code: rows[rows["sex"] == code] for code in ("F", "M")}
    if any(0 < len(part) < plan.minimum_cell for part in groups.values()):
        groups = {"All": rows}
    found = {}
    for name, part in groups.items():
        if len(part) >= max(plan.minimum_cell, 3):
            columns = part["bmi"].to_numpy(), part["reference"].to_numpy()
            made = attempt(lambda columns=columns: ccc(*columns, level=plan.level), level=plan.level)
            found[name] = {"n": len(part), "ccc": made.to_dict()}
    return found


def _further(
    frames: Frames,
    plan: Plan,
    tests: list[str],
    derived: Derived,
    paired: Paired,
    bodies: dict[str, Taped],
    scans: pd.DataFrame | None,
    results: dict[str, Any],
) -> dict[str, Any]:
    """What stands beside the agreement: the claims, fairness, precision, change, body measurements, sensitivity."""
    table, eligible = paired.table, eligible_subjects(frames, plan)
    repeated = precision(frames, plan, [plan.reference, *tests], eligible, results["tests"])
    return {
        "claims": claims(plan, results),
        "cut_offs": cut_offs(table, plan, tests, results),
        "bmi": _bmi(frames, table, plan),
        "fairness": fairness(table, plan, tests[0], results["subgroups"]),
        "intersections": intersections(table, plan, tests[0], results["subgroups"]),
        "precision": repeated,
        "change": change(table, plan, tests, repeated),
        "body_measurements": body_measurements(bodies, plan),
        "sensitivity": sensitivity(frames, plan, tests, derived, table, paired.used, scans, results["tests"]),
        "calibration": calibration(table, paired.used, scans, plan, tests),
    }


def calliper_version() -> dict[str, Any]:
    """What stands in every result: the version of its shape, and of Calliper."""
    return {"format": FORMAT, "version": _version()}


def _version() -> str:
    try:
        return version("calliper")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"


def _tests(plan: Plan, index: str | None, measurements: pd.DataFrame) -> list[str]:
    """The tests, index first. Another index than the plan's changes places with it."""
    if index is None or index == plan.index:
        return plan.tests
    if index == plan.reference:
        raise PlanError(f"'{index}' is the reference standard and cannot be the index test.")
    if index in DERIVED_METHODS and plan.measurand != "body_fat_percent":
        raise PlanError(f"'{index}' computes body_fat_percent, but the plan's measurand is {plan.measurand}.")
    recorded = set(measurements.loc[measurements["measurand"] == plan.measurand, "method"])
    known = (recorded | set(plan.tests)) - {plan.reference}
    if index not in known and index not in DERIVED_METHODS:
        raise PlanError(f"No {plan.measurand} was measured by '{index}'.", remedy=suggestion(index, known))
    if index in [subgroup.name for subgroup in plan.subgroups]:
        raise PlanError(f"'{index}' is the name of a subgroup of the plan and cannot be the index test too.")
    return [index, *(test for test in plan.tests if test != index)]


def _check_attributes(plan: Plan, frames: Frames) -> None:
    known = [column for column in frames.subjects.columns if column != "subject_id"]
    for part in ("eligibility", "subgroups"):
        for position, source in enumerate(getattr(plan, part)):
            if source.attribute not in (None, IN_TRAINING, *known):
                raise PlanError(
                    f"The subjects of the study have no attribute '{source.attribute}'.",
                    where=f"plan, {part}[{position}].attribute",
                    remedy=suggestion(source.attribute, known),
                )


def _check_pairs(paired: Paired, plan: Plan, index: str) -> None:
    if len(paired.table):
        return
    left_out = "; ".join(f"{row['reason']}: {row['n']:,}" for row in paired.flow["subjects"]["excluded"])
    raise DataError(
        f"No {index} measurement of {plan.measurand} can be paired with one of {plan.reference}.",
        remedy=f"Subjects left out: {left_out}." if left_out else "The study has no subjects.",
    )


def _long(table: pd.DataFrame, plan: Plan, tests: list[str]) -> pd.DataFrame:
    """One row a pair and method, ordered by method (as in the plan), subject and visit."""
    names = [subgroup.name for subgroup in plan.subgroups]
    parts = []
    for test in tests:
        part = table.loc[table[test].notna(), ["subject_id", "visit"]].copy()
        part["method"] = test
        part["reference"] = table.loc[part.index, plan.reference]
        part["test"] = table.loc[part.index, test]
        part["difference"] = part["test"] - part["reference"]
        part["mean"] = (part["test"] + part["reference"]) / 2
        for name in names:
            part[name] = table.loc[part.index, name].astype("object").astype("str")
        parts.append(part)
    return pd.concat(parts, ignore_index=True).astype({"method": "str"})


# Notes: what a reader must know before the numbers --------------------------------------------------------------------


def _notes(
    study: dict[str, Any],
    plan: Plan,
    plan_status: dict[str, Any],
    tests: list[str],
    paired: Paired,
    derived: Derived,
    table: pd.DataFrame,
    results: dict[str, Any],
) -> list[str]:
    notes = [str(note) for note in study.get("notes") or ()]
    if not plan_status["locked"]:
        notes.append(
            "The analysis plan was not locked: the results are exploratory, and no criterion was fixed beforehand."
        )
    if tests[0] != plan.index:
        notes.append(
            f"Deviation from the plan: the index test is {tests[0]}, at the request of whoever ran the analysis; "
            f"the plan names {plan.index}."
        )
    notes += [
        f"{test} has no pair with {plan.reference} and is not reported." for test in tests if table[test].isna().all()
    ]
    people = table["subject_id"].nunique()
    if people < len(table):
        notes.append(f"The {len(table):,} pairs come from {people:,} subjects, some with more than one.")
    notes += _derived_notes(paired, tests)
    notes += _flag_notes(paired)
    notes += _suppression_notes(plan, table, results)
    notes += _group_notes(plan, table)
    return notes


def _derived_notes(paired: Paired, tests: list[str]) -> list[str]:
    used = paired.used
    notes = []
    for test in tests:
        mine = used[(used["method"] == test) & (used["kind"] == "derived")]
        outside = int((mine["flags"] == OUTSIDE).sum())
        if outside and test in EQUATIONS:
            notes.append(
                f"{outside:,} of {len(mine):,} values of {test} lie outside the people its equation was made for "
                f"({EQUATIONS[test].validity}); they are included."
            )
    return notes


def _flag_notes(paired: Paired) -> list[str]:
    flags = paired.used.loc[paired.used["kind"] != "derived", "flags"].dropna()
    flags = flags[flags != ""]
    if flags.empty:
        return []
    names = flags.astype("object").str.split(",").explode().str.strip().value_counts()
    listed = ", ".join(f"{name} {names[name]:,}" for name in sorted(names.index))
    verb = (
        "measurement that a data check flagged is" if len(flags) == 1 else "measurements that a data check flagged are"
    )
    return [f"{len(flags):,} {verb} included ({listed})."]


def _suppression_notes(plan: Plan, table: pd.DataFrame, results: dict[str, Any]) -> list[str]:
    notes = []
    if table["subject_id"].nunique() < plan.minimum_cell:
        notes.append(f"Fewer than {plan.minimum_cell} subjects could be analysed.")
    for subgroup in plan.subgroups:
        few, further = small_groups(table, subgroup.name, plan.minimum_cell)
        if few:
            sentence = f"{subgroup.title}: not reported, with fewer than {plan.minimum_cell} subjects: "
            beside = f"; and, so that these cannot be worked out: {', '.join(further)}" if further else ""
            notes.append(f"{sentence}{', '.join(few)}{beside}.")
    if _has_suppressed(results["cohort"]):
        notes.append(
            f"In the table of the cohort, counts below {plan.minimum_cell} and those that would reveal them are hidden."
        )
    return notes


def _has_suppressed(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value.get("suppressed")) or any(_has_suppressed(item) for item in value.values())
    return isinstance(value, list) and any(_has_suppressed(item) for item in value)


def _group_notes(plan: Plan, table: pd.DataFrame) -> list[str]:
    """Subjects in no group, and criteria on groups that nobody is in (often a misspelt name)."""
    notes = []
    for subgroup in plan.subgroups:
        missing = int(table[subgroup.name].isna().sum())
        if missing:
            pairs = "pair is" if missing == 1 else "pairs are"
            notes.append(
                f"{subgroup.title}: {missing:,} {pairs} in no group, for want of a recorded {_spoken(subgroup.source)}."
            )
    for criterion in plan.criteria:
        if criterion.group is None:
            continue
        name, _, group = criterion.group.partition("=")
        present = sorted(table[name].dropna().astype("str").unique())
        if group not in present:
            notes.append(
                f"Criterion '{criterion.name}': nobody analysed is in {criterion.group}; "
                f"the groups are {', '.join(present)}."
            )
    return notes


def _spoken(source: str) -> str:
    """An attribute or a measurand inside a sentence."""
    return MEASURANDS[source].label if source in MEASURANDS else source.replace("_", " ")
