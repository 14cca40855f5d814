"""Two runs compared on the scans that both saw: did the candidate make it better, for whom, and which scans moved?

The pairs with the reference are those of the study's analysis plan, with the two runs in the place of its tests; every
number with an interval is of `validation.versions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, func, select

from studies.cohort import groups_of
from studies.errors import DataError, UsageError
from studies.frames import Frames, canonical
from studies.measurands import MEASURANDS
from studies.nameless import without_names
from studies.pairing import Paired, pair_frames
from studies.plan_model import Plan
from studies.progress import NoProgress, Progress
from studies.registry.catalogue import PlanRecord, StudyRecord, current_plan, find_study
from studies.registry.frames import study_frames
from studies.registry.leakage import mark_trained, run_leak_notes
from studies.registry.provenance import count_scans, study_provenance
from studies.registry.schema import Device, Outcome, Prediction, Scan, Subject, Visit
from studies.registry.workspace import Registry
from studies.runs.listing import checkpoints_of, find_run
from validation.versions import BETTER, WORSE, VersionComparison, compare_versions

FORMAT = 1
"""Version of the shape of `to_dict`."""
_SEEN = "determinate"
_NOT_LOOKED_AT = "not looked at yet"


@dataclass(frozen=True)
class RunComparison:
    """The comparison of two runs.

    statistics: overall and by the plan's subgroups; None where no scan that both saw has a reference. moved: one row a
    scan that both saw, the one that moved most first: subject_id, visit, scan, baseline, candidate, change, reference
    (NaN where it has none), change_of_error (negative: the candidate is closer). reach: how many scans both runs saw,
    only one, or none, and why.
    """

    study: dict[str, str]
    plan: dict[str, Any]
    measurand: dict[str, str]
    reference: str
    baseline: dict[str, Any]
    candidate: dict[str, Any]
    statistics: VersionComparison
    labels: dict[str, str]
    moved: pd.DataFrame
    reach: dict[str, Any]
    notes: list[str]

    @property
    def verdict(self) -> str:
        return self.statistics.verdict

    def sentence(self) -> str:
        """The verdict in one sentence."""
        gap = self.statistics.overall.difference["mae"]
        word = {BETTER: "is better than", WORSE: "is worse than"}.get(self.verdict)
        runs = f"run {self.candidate['run']}", f"run {self.baseline['run']}"
        first = f"{runs[0]} {word} {runs[1]}" if word else f"no evidence that {runs[0]} and {runs[1]} differ"
        parts = [f"{first[0].upper()}{first[1:]} in mean absolute error (difference {gap})"]
        for verdict in (BETTER, WORSE):
            if groups := self.statistics.groups(verdict):
                parts.append(f"{verdict} in {', '.join(groups)}")
        return "; ".join(parts) + "."

    def to_dict(self, moved: int | None = None, *, names: bool = True) -> dict[str, Any]:
        """Plain JSON. moved: how many of the scans that moved most, by default all. names: without them a scan is known
        by its `number` in this order alone, which is the same whatever people are called."""
        rows = self.moved if moved is None else self.moved.head(moved)
        if not names:
            rows = rows.drop(columns=["subject_id", "visit", "scan"])
            rows.insert(0, "number", range(1, len(rows) + 1))
        records = rows.astype(object).where(rows.notna(), None).to_dict("records")
        return {
            "format": FORMAT,
            "study": self.study,
            "plan": self.plan,
            "measurand": self.measurand,
            "reference": self.reference,
            "baseline": self.baseline,
            "candidate": self.candidate,
            "verdict": self.verdict,
            "overall": self.statistics.overall.to_dict(),
            "subgroups": {
                name: {"label": self.labels[name], "by_group": {group: item.to_dict() for group, item in found.items()}}
                for name, found in self.statistics.subgroups.items()
            },
            "reach": self.reach,
            "moved": records,
            "notes": self.notes,
        }


def compare_runs(
    registry: Registry, study_name: str, baseline: int, candidate: int, *, progress: Progress | None = None
) -> RunComparison:
    """Compare two runs of a study by its newest plan.

    Raises UsageError for an unknown study or run, DataError where a run does not predict the plan's measurand, no scan
    was seen by both, or none of those can be paired with a reference.
    """
    with registry.reading() as connection:
        inputs = comparison_inputs(connection, study_name, baseline, candidate, progress=progress)
    return compare(inputs, progress=progress)


def comparison_inputs(
    connection: Connection, study_name: str, baseline: int, candidate: int, *, progress: Progress | None = None
) -> dict[str, Any]:
    """All that a comparison of two runs is made of, of the subjects whose scans both saw.

    Tables: subjects, visits and measurements (readings) of them; both, one row a scan that both saw: scan, subject_id,
    visit, measured_at, device, unit, rendered, baseline, candidate. Raises as `compare_runs`.
    """
    if baseline == candidate:
        raise UsageError("A run cannot be compared with itself.", remedy="Name two runs.")
    study = find_study(connection, study_name)
    record = current_plan(connection, study.id)
    runs = [find_run(connection, study.id, number) for number in (baseline, candidate)]
    both = _both(*(_predictions(connection, run, record.plan.measurand) for run in runs), baseline, candidate)
    frames = study_frames(connection, study.id, run_number=baseline, progress=progress)
    people = set(both["subject_id"])

    def theirs(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame["subject_id"].isin(people)].reset_index(drop=True)

    return {
        "study": {"name": study.name, "title": study.title},
        "plan": record.plan,
        "plan_status": {"version": record.version, "hash": record.sha256, "locked": record.locked},
        "subjects": theirs(mark_trained(connection, study, record.plan, frames.subjects, (baseline, candidate))),
        "visits": theirs(frames.visits),
        "measurements": theirs(frames.measurements[frames.measurements["kind"] != "prediction"]),
        "both": both,
        "runs": [_described(connection, run) for run in runs],
        "reach": _reach(connection, study, [run.id for run in runs]),
        "notes": _notes(connection, study, runs, record, sorted(people)),
    }


def compare(inputs: Mapping[str, Any], *, progress: Progress | None = None) -> RunComparison:
    """The comparison of two runs from its inputs. Raises DataError where nothing can be paired with a reference.

    Statistics see people without their names, as those of an analysis do: under other names and dates the numbers are
    the same to the last digit.
    """
    plan, both, runs = inputs["plan"], inputs["both"], inputs["runs"]
    progress = progress or NoProgress()
    names = [f"run {run['run']}" for run in runs]
    with progress.stage("Pairing"):
        predictions = _as_measurements(both, names, plan.measurand)
        measurements = pd.concat([inputs["measurements"], *predictions], ignore_index=True)
        ordered = canonical(inputs["subjects"], inputs["visits"], measurements)
        frames, people = without_names(ordered, plan.attributes)
        paired = pair_frames(frames, plan, names)
        _check_pairs(paired, plan)
    with progress.stage("Comparing"):
        statistics = _statistics(paired, frames, plan, names)
    rank = paired.table["subject_id"].astype("int64").to_numpy()
    named = paired.table.assign(subject_id=pd.array(people.subject_ids[rank], dtype="str"))
    return RunComparison(
        inputs["study"],
        inputs["plan_status"],
        {key: getattr(MEASURANDS[plan.measurand], key) for key in ("name", "label", "unit")},
        plan.reference,
        *runs,
        statistics,
        {subgroup.name: subgroup.title for subgroup in plan.subgroups},
        _moved(both, named, plan.reference),
        inputs["reach"],
        inputs["notes"],
    )


def _predictions(connection: Connection, run: Any, measurand: str) -> pd.DataFrame:
    """One row a scan that the run predicted: scan_id, scan, subject_id, visit, measured_at, device, value, unit."""
    query = (
        select(
            Scan.id, Scan.code, Subject.code, Visit.label, Scan.captured_at, Device.code, Prediction.value,
            Prediction.unit, Scan.rendered,
        )
        .join_from(Prediction, Scan, Prediction.scan_id == Scan.id)
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .join(Device, Scan.device_id == Device.id)
        .where(Prediction.run_id == run.id, Prediction.measurand == measurand, Prediction.value.is_not(None))
    )  # fmt: skip
    columns = ["scan_id", "scan", "subject_id", "visit", "measured_at", "device", "value", "unit", "rendered"]
    found = pd.DataFrame(connection.execute(query).all(), columns=columns)
    if found.empty:
        predicted = select(Prediction.measurand).where(Prediction.run_id == run.id).distinct()
        others = ", ".join(sorted(connection.execute(predicted).scalars()))
        raise DataError(
            f"Run {run.number} predicts no {measurand}, which is the measurand of the study's plan.",
            remedy=f"It predicts {others}. Only runs that predict the same measurand can be compared."
            if others
            else "None of its scans is determinate.",
        )
    return found


def _both(first: pd.DataFrame, second: pd.DataFrame, baseline: int, candidate: int) -> pd.DataFrame:
    """One row a scan that both runs predicted, with columns baseline and candidate, in a fixed order."""
    values = second[["scan_id", "value"]].rename(columns={"value": "candidate"})
    both = first.rename(columns={"value": "baseline"}).merge(values, on="scan_id", validate="one_to_one")
    if both.empty:
        raise DataError(
            f"No scan was predicted by both run {baseline} and run {candidate}.",
            remedy="Scans whose photos were deleted after a run cannot be seen by a later one.",
        )
    in_order = both.sort_values(["subject_id", "visit", "scan", "scan_id"], ignore_index=True)
    return in_order.drop(columns="scan_id")


def _as_measurements(both: pd.DataFrame, names: list[str], measurand: str) -> list[pd.DataFrame]:
    """The two runs' values of the same scans as two methods, with the same times and replicates."""
    replicate = both.groupby(["subject_id", "visit"], sort=False).cumcount() + 1
    shared = both[["subject_id", "visit", "measured_at", "device", "unit", "rendered"]].assign(
        measured_at=pd.to_datetime(both["measured_at"]).astype("datetime64[us]"),
        measurand=measurand, replicate=replicate, kind="prediction",
    )  # fmt: skip
    return [
        shared.assign(method=name, value=both[column], measurement_id=2 * np.arange(len(both)) + place)
        for place, (name, column) in enumerate(zip(names, ("baseline", "candidate"), strict=True))
    ]


def _check_pairs(paired: Paired, plan: Plan) -> None:
    if len(paired.table):
        return
    left_out = "; ".join(f"{row['reason']}: {row['n']:,}" for row in paired.flow["subjects"]["excluded"])
    raise DataError(
        f"No scan that both runs saw can be paired with a {plan.measurand} of {plan.reference}.",
        remedy=f"Subjects left out: {left_out}.",
    )


def _statistics(paired: Paired, frames: Frames, plan: Plan, names: list[str]) -> VersionComparison:
    table = paired.table
    occasion = table["occasion"].to_numpy()
    labels = {subgroup.name: groups_of(frames, subgroup, plan)[occasion] for subgroup in plan.subgroups}
    found = compare_versions(
        table[names[0]],
        table[names[1]],
        table[plan.reference],
        groups={name: groups.astype(object) for name, groups in labels.items()},
        subject=table["subject_id"].to_numpy(),
        level=plan.level,
        resamples=plan.resamples,
        seed=plan.seed,
        minimum_cell=plan.minimum_cell,
    )
    in_order = {
        name: {str(group): by_group[group] for group in labels[name].categories if group in by_group}
        for name, by_group in found.subgroups.items()
    }
    return replace(found, subgroups=in_order)


def _moved(both: pd.DataFrame, table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """See `RunComparison`. A scan's reference is that of its visit, or of its subject's only pair. Names come last
    in the order: scans that nothing else tells apart are interchangeable."""
    at_visit = table.set_index(["subject_id", "visit"])[reference]
    only = table[~table["subject_id"].duplicated(keep=False)].set_index("subject_id")[reference]
    rows = both[["subject_id", "visit", "scan", "baseline", "candidate"]].copy()
    rows["change"] = rows["candidate"] - rows["baseline"]
    here = pd.MultiIndex.from_frame(rows[["subject_id", "visit"]])
    rows["reference"] = at_visit.reindex(here).to_numpy(dtype="float64")
    rows["reference"] = rows["reference"].fillna(rows["subject_id"].map(only).astype("float64"))
    errors = [(rows[column] - rows["reference"]).abs() for column in ("candidate", "baseline")]
    rows["change_of_error"] = errors[0] - errors[1]
    by = ["size", "baseline", "candidate", "reference", "subject_id", "visit", "scan"]
    order = rows.assign(size=rows["change"].abs()).sort_values(by, ascending=[name != "size" for name in by])
    return order.drop(columns="size").reset_index(drop=True)


def _reach(connection: Connection, study: StudyRecord, runs: list[int]) -> dict[str, Any]:
    """Scans that both runs saw (predicted), only one of them, or none; why the other did not."""
    first, second = (
        select(Outcome.scan_id, Outcome.status, Outcome.reason).where(Outcome.run_id == run).subquery() for run in runs
    )
    query = (
        select(first.c.status, first.c.reason, second.c.status, second.c.reason, func.count())
        .select_from(Scan)
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .outerjoin(first, first.c.scan_id == Scan.id)
        .outerjoin(second, second.c.scan_id == Scan.id)
        .where(Subject.study_id == study.id)
        .group_by(first.c.status, first.c.reason, second.c.status, second.c.reason)
    )
    counts = {"both": 0, "only_baseline": 0, "only_candidate": 0, "neither": 0}
    why: dict[str, dict[tuple[str, str], int]] = {"only_baseline": {}, "only_candidate": {}}
    for status, reason, other_status, other_reason, n in connection.execute(query):
        seen, other_seen = status == _SEEN, other_status == _SEEN
        place = {(True, True): "both", (True, False): "only_baseline", (False, True): "only_candidate"}.get(
            (seen, other_seen), "neither"
        )
        counts[place] += n
        if place in why:
            missed = (other_status, other_reason) if seen else (status, reason)
            key = (missed[0] or "missing", missed[1] or _NOT_LOOKED_AT)
            why[place][key] = why[place].get(key, 0) + n
    return {
        "scans": connection.execute(count_scans(study.id)).scalar_one(),
        **counts,
        "why": {
            place: [
                {"status": status, "reason": reason, "n": n}
                for (status, reason), n in sorted(found.items(), key=lambda item: (-item[1], item[0]))
            ]
            for place, found in why.items()
        },
    }


def _described(connection: Connection, run: Any) -> dict[str, Any]:
    used = {found["kind"]: f"{found['name']}@{found['version']}" for found in checkpoints_of(connection, run.id)}
    return {"run": run.number, "checkpoints": used, "status": run.status, "software": run.software}


def _notes(
    connection: Connection, study: StudyRecord, runs: list[Any], record: PlanRecord, predicted: list[str]
) -> list[str]:
    notes = study_provenance(connection, study.id)
    for run in runs:
        if run.finished_at is None:
            notes.append(f"Run {run.number} is not finished: the scans that it has not looked at are left out.")
    one, other = (run.software for run in runs)
    differing = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
    if differing:
        named = ", ".join(f"{name} {one.get(name)} and {other.get(name)}" for name in differing)
        notes.append(f"The runs were made with different software ({named}): not the checkpoints alone differ.")
    if not record.locked:
        notes.append("The analysis plan is not locked: the comparison is exploratory.")
    left_out = record.plan.leaves_out_trained
    for run in runs:
        told = run_leak_notes(connection, study, predicted, run_number=run.number, left_out=left_out)
        notes += [note for note in told if note not in notes]
    return notes
