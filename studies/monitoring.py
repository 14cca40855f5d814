"""Drift: from ingest to ingest, does the error move, do the people differ, does the capture get worse, and for whom?

The first ingests that hold enough people are the baseline; every later one is a batch. Statistics are those of
`validation.monitoring`, over people: whoever was measured several times in a batch counts once, with the mean. What
fewer people than the plan's minimum cell would tell is hidden, with what would reveal it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from studies.cohort import groups_of
from studies.disclosure import hidden
from studies.frames import Frames, measured
from studies.measurands import MEASURANDS
from studies.pairing import pair_frames
from studies.plan_model import Plan
from validation.errors import ValidationError
from validation.monitoring import Chart, distribution_shift, ewma_chart, mean_chart, share_chart, spread_chart
from validation.multiplicity import holm

ALARM = 0.05
"""Probability of any false alarm on a chart and, after Holm's adjustment, among all charts that answer one question."""
BASELINE_PEOPLE = 30
"""The baseline is the first ingests with so many people, or half of the ingests where that is sooner."""
MOVES, STILL, UNKNOWN = "moves", "no evidence", "not enough data"
_INPUTS = ("stature_cm", "weight_kg", "bmi", "waist_cm")
_REASONS = 12


@dataclass(frozen=True)
class _Cells:
    """People of the baseline and of each later batch, and which of these counts must not be shown."""

    counts: NDArray[np.int64]
    hide: NDArray[np.bool_]


def drift(
    frames: Frames,
    plan: Plan,
    index: str,
    places: pd.DataFrame,
    scans: pd.DataFrame,
    batches: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """What moves between the batches of a study, as plain dicts.

    places: the batch in which each visit's index measurement came: subject_id, visit, batch (number). scans: one row a
    scan with subject_id, visit, batch, status (missing where no run has looked at it) and `findings`, a list of
    reasons. batches: number and whatever else is told of each, in order.

    "batches" has one entry for the baseline and one for each later ingest that brought people, "charts" the charts of
    the whole ("error", "inputs", "capture"), "groups" those of the plan's subgroups, "reasons" what quality control
    found. Where there is nothing to compare, "charts" is empty and "reason" says why.
    """
    visit = _batch_of_visits(frames, places)
    people = [frames.visits["subject"].to_numpy()[visit == item["number"]] for item in batches]
    sizes = [len(np.unique(of)) for of in people]
    filled = [place for place, n in enumerate(sizes) if n]
    listed = [dict(item) for item in batches]
    if len(filled) < 2:
        what = "No ingest has brought" if not filled else "Only one ingest has brought"
        shown = hidden(np.array(sizes)[:, None], plan.minimum_cell, totals_known=False)[:, 0] if sizes else []
        for item, n, hide in zip(listed, sizes, shown, strict=True):
            item |= {"people": None, "suppressed": True} if hide else {"people": n}
        reason = f"{what} measurements by {index}: nothing can be said of drift, which is seen between ingests."
        return {"batches": listed, "baseline": None, "charts": [], "groups": [], "reasons": [], "reason": reason}
    first = _baseline(sizes, filled)
    later = [place for place in filled if place > first]
    numbers = [[item["number"] for item in batches[: first + 1]], *([batches[place]["number"]] for place in later)]
    study = _Study(frames, plan, visit, scans, numbers)
    charts = [*_error_charts(study, index), *_input_charts(study), *_capture_charts(study)]
    _judge(charts)
    groups = _group_charts(study, index)
    people_of = study.people(np.arange(len(visit)))
    cells = study.cells(people_of)
    ends = [(batches[: first + 1]), *([batches[place]] for place in later)]
    return {
        "alarm": ALARM,
        "baseline": {"ingests": numbers[0], "people": _shown(cells, 0)},
        "batches": [
            {
                "ingests": [item["number"] for item in part], "finished": part[-1].get("finished"),
                "people": _shown(cells, place), **({"suppressed": True} if cells.hide[place] else {}),
            }
            for place, part in enumerate(ends)
        ],
        "again": _again(people_of, plan.minimum_cell),
        "charts": charts,
        "groups": groups,
        "reasons": _reasons(study),
        "reason": None,
    }  # fmt: skip


def _baseline(sizes: Sequence[int], filled: Sequence[int]) -> int:
    """The place of the last batch of the baseline; at least one with people is left after it."""
    total, most = 0, filled[max(0, (len(filled) + 1) // 2 - 1)]
    for place in filled:
        total += sizes[place]
        if total >= BASELINE_PEOPLE or place >= most:
            return place
    return filled[0]


def _batch_of_visits(frames: Frames, places: pd.DataFrame) -> NDArray[np.float64]:
    """The batch of every visit, float[V], NaN where none brought an index measurement of it."""
    found = places.groupby(["subject_id", "visit"])["batch"].min()
    key = pd.MultiIndex.from_frame(frames.visits[["subject_id", "visit"]].astype("object"))
    found.index = found.index.set_levels([level.astype("object") for level in found.index.levels])
    return found.reindex(key).to_numpy(dtype=np.float64)


class _Study:
    """The visits of a study by period: the baseline (0) and each later batch (1, 2 ...)."""

    def __init__(
        self,
        frames: Frames,
        plan: Plan,
        visit: NDArray[np.float64],
        scans: pd.DataFrame,
        numbers: Sequence[Sequence[int]],
    ):
        self.frames, self.plan, self.numbers = frames, plan, numbers
        period_of = {number: period for period, some in enumerate(numbers) for number in some}
        self.period = np.array([period_of.get(number, -1) for number in visit])  # of visits
        self.subject = frames.visits["subject"].to_numpy()
        self.periods = len(numbers)
        position = pd.Index(frames.subjects["subject_id"].astype("object"))
        known = scans[scans["batch"].isin(list(period_of))]
        self.scans = known.assign(
            period=known["batch"].map(period_of).astype("int64"),
            subject=position.get_indexer(known["subject_id"].astype("object")),
        )

    def people(self, visits: NDArray[np.intp]) -> list[NDArray[np.int64]]:
        """The subjects of some visits (positions), by period."""
        return [np.unique(self.subject[visits][self.period[visits] == period]) for period in range(self.periods)]

    def values(self, values: NDArray[np.float64], visits: NDArray[np.intp]) -> list[pd.Series]:
        """One value a person and period, the mean of the visits' values; index: the subject."""
        frame = pd.DataFrame({"subject": self.subject[visits], "period": self.period[visits], "value": values}).dropna()
        return [frame[frame["period"] == period].groupby("subject")["value"].mean() for period in range(self.periods)]

    def cells(self, people: Sequence[Any]) -> _Cells:
        """Counts of people by period; hidden are small ones, and more where the sum would give one away."""
        counts = np.array([len(of) for of in people])
        return _Cells(counts, hidden(counts[:, None], self.plan.minimum_cell)[:, 0])


def _shown(cells: _Cells, place: int) -> int | None:
    return None if cells.hide[place] else int(cells.counts[place])


def _again(people: Sequence[NDArray[np.int64]], minimum: int) -> dict[str, Any]:
    """People who are in several periods."""
    several = Counter(subject for of in people for subject in of.tolist())
    n = sum(count > 1 for count in several.values())
    return {"people": None, "suppressed": True} if 0 < n < minimum else {"people": n}


# Charts of the whole --------------------------------------------------------------------------------------------------


def _error_charts(study: _Study, index: str) -> list[dict[str, Any]]:
    values, visits = _errors(study, index)
    by_period = study.values(values, visits)
    measurand = MEASURANDS[study.plan.measurand]
    about = {"question": "error", "quantity": study.plan.measurand, "unit": measurand.unit}
    makers = (("mean", "Mean difference", mean_chart), ("ewma", "Moving average of the difference", ewma_chart),
              ("spread", "SD of the differences", spread_chart))  # fmt: skip
    return [{**about, "label": label, **_chart(study, maker, by_period, name)} for name, label, maker in makers]


def _errors(study: _Study, index: str) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Differences (index − reference) of the plan's pairs, and the visits they belong to."""
    table = pair_frames(study.frames, study.plan, [index]).table
    differences = table[index].to_numpy(dtype=np.float64) - table[study.plan.reference].to_numpy(dtype=np.float64)
    return differences, table["occasion"].to_numpy(dtype=np.intp)


def _input_charts(study: _Study) -> list[dict[str, Any]]:
    everyone = np.arange(len(study.period))
    reference = measured(study.frames, study.plan.measurand, study.plan.reference)
    known = MEASURANDS[study.plan.measurand]
    inputs = [("age", "Age", "years", study.frames.visits["age"].to_numpy(dtype=np.float64))]
    inputs += [
        (name, MEASURANDS[name].label.capitalize() if name != "bmi" else "BMI", MEASURANDS[name].unit,
         measured(study.frames, name))
        for name in _INPUTS
    ]  # fmt: skip
    inputs.append(("reference", f"{known.label.capitalize()} by the reference", known.unit, reference))
    found = []
    for name, label, unit, values in inputs:
        by_period = study.values(values, everyone)
        if len(by_period[0]) and any(len(of) for of in by_period[1:]):
            about = {"question": "inputs", "quantity": name, "label": label, "unit": unit}
            chart = _chart(study, distribution_shift, by_period, "distribution")
            means = [
                None if hide else _mean(of) for of, hide in zip(by_period, study.cells(by_period).hide, strict=True)
            ]
            found.append({**about, **chart, "means": means})
    return found


def _mean(values: pd.Series) -> float | None:
    return float(values.mean()) if len(values) else None


def _capture_charts(study: _Study) -> list[dict[str, Any]]:
    looked = study.scans[study.scans["status"].isin(["determinate", "indeterminate"])]
    if not len(looked):
        return []
    failed = looked[looked["status"] == "indeterminate"]
    people, of_failed = (
        [frame.loc[frame["period"] == period, "subject"].unique() for period in range(study.periods)]
        for frame in (looked, failed)
    )
    about = {"question": "capture", "quantity": "indeterminate", "unit": "%"}
    label = "Share of people with an indeterminate scan"
    return [{**about, "label": label, **_shares(study, people, of_failed)}]


def _shares(study: _Study, people: Sequence[Any], failed: Sequence[Any], cells: _Cells | None = None) -> dict[str, Any]:
    """The p chart of people of whom a scan failed; batches that are hidden take no part in it."""
    cells = cells or study.cells(people)
    counts = [(0, 0) if hide else (len(bad), len(of)) for bad, of, hide in zip(failed, people, cells.hide, strict=True)]

    def make() -> Chart:
        return share_chart(counts[0], counts[1:], alarm=ALARM, seed=study.plan.seed)

    return _told("share", make, cells)


def _chart(
    study: _Study, maker: Callable[..., Chart], by_period: Sequence[pd.Series], name: str, cells: _Cells | None = None
) -> dict[str, Any]:
    cells = cells or study.cells(by_period)
    # In the order of their size, so that what is dealt at random does not depend on identifiers.
    parts = [
        np.sort(of.to_numpy()) if not hide else np.zeros(0) for of, hide in zip(by_period, cells.hide, strict=True)
    ]
    words = {} if maker is mean_chart else {"seed": study.plan.seed}
    return _told(name, lambda: maker(parts[0], parts[1:], alarm=ALARM, **words), cells)


def _told(name: str, make: Callable[[], Chart], cells: _Cells) -> dict[str, Any]:
    """A chart as plain dicts, hidden batches marked; or why there is none."""
    nothing = {"statistic": name, "baseline_n": None, "centre": None, "p_value": None, "points": []}
    if cells.hide[0]:
        return {**nothing, "suppressed": True, "reason": "too few people in the baseline"}
    try:
        chart = make().to_dict()
    except ValidationError as error:
        return {**nothing, "reason": str(error)}
    points = [
        {**point, "n": None, "suppressed": True} if hide else point
        for point, hide in zip(chart["points"], cells.hide[1:], strict=True)
    ]
    return {**chart, "statistic": name, "points": points, "reason": None}


def _judge(charts: Sequence[dict[str, Any]]) -> None:
    """Adjusted p-values and verdicts, in place: Holm's method over all charts of the list that answer one question."""
    for question in dict.fromkeys(chart["question"] for chart in charts):
        some = [chart for chart in charts if chart["question"] == question]
        for chart, p in zip(some, holm([chart["p_value"] for chart in some]), strict=True):
            chart["p_adjusted"] = p
            chart["verdict"] = UNKNOWN if p is None else MOVES if p <= ALARM else STILL


# By group -------------------------------------------------------------------------------------------------------------


def _group_charts(study: _Study, index: str) -> list[dict[str, Any]]:
    """The mean difference and the share of indeterminate scans in every group of the plan, as far as they are shown."""
    errors, visits = _errors(study, index)
    looked = study.scans[study.scans["status"].isin(["determinate", "indeterminate"])]
    unit = MEASURANDS[study.plan.measurand].unit
    found: list[dict[str, Any]] = []
    for subgroup in study.plan.subgroups:
        labels = groups_of(study.frames, subgroup, study.plan)
        names = [str(name) for name in labels.categories]
        by_group = [study.values(errors[labels.codes[visits] == code], visits[labels.codes[visits] == code])
                    for code in range(len(names))]  # fmt: skip
        known = labels.codes >= 0
        first = pd.Series(labels.codes[known], index=study.subject[known]).groupby(level=0).first()
        scanned = looked.assign(group=looked["subject"].map(first))
        of_people = [
            [scanned.loc[(scanned["group"] == code) & (scanned["period"] == period)] for period in range(study.periods)]
            for code in range(len(names))
        ]
        paired = _group_cells(study, by_group)
        seen = _group_cells(study, [[frame["subject"].unique() for frame in frames] for frames in of_people])
        for place, name in enumerate(names):
            about = {"subgroup": subgroup.name, "title": subgroup.title, "group": name}
            if paired[place].counts[0] or paired[place].counts.sum():
                chart = _chart(study, mean_chart, by_group[place], "mean", paired[place])
                found.append({**about, "question": "error", "label": "Mean difference", "unit": unit, **chart})
            if seen[place].counts.sum():
                parts = [
                    (frame["subject"].unique(), frame.loc[frame["status"] == "indeterminate", "subject"].unique())
                    for frame in of_people[place]
                ]
                chart = _shares(study, [of for of, _ in parts], [bad for _, bad in parts], seen[place])
                label = "Share of people with an indeterminate scan"
                found.append({**about, "question": "capture", "label": label, "unit": "%", **chart})
    _judge(found)
    return found


def _group_cells(study: _Study, by_group: Sequence[Sequence[Any]]) -> list[_Cells]:
    """The cells of every group of one attribute, hidden together: its groups make up everybody of a batch."""
    if not by_group:
        return []
    counts = np.array([[len(of) for of in periods] for periods in by_group])  # groups by periods
    # The newest first: of counts that are alike the first is hidden, and without a baseline there is no chart.
    table = np.column_stack([counts.sum(axis=1), counts[:, ::-1]])
    hide = hidden(table, study.plan.minimum_cell)[:, :0:-1]
    return [_Cells(counts[place], hide[place]) for place in range(len(counts))]


# Findings -------------------------------------------------------------------------------------------------------------


def _reasons(study: _Study) -> list[dict[str, Any]]:
    """What quality control found: people by reason and period, the most frequent first."""
    looked = study.scans[study.scans["status"].isin(["determinate", "indeterminate"])]
    rows = looked[["subject", "period", "findings"]].explode("findings").dropna().drop_duplicates()
    names = [str(name) for name in rows["findings"].value_counts(sort=True).index]
    names = sorted(names, key=lambda name: (-(rows["findings"] == name).sum(), name))[:_REASONS]
    if not names:
        return []
    people = [looked.loc[looked["period"] == period, "subject"].nunique() for period in range(study.periods)]
    counts = np.array(
        [[((rows["findings"] == name) & (rows["period"] == period)).sum() for period in range(study.periods)]
         for name in names]
    )  # fmt: skip
    table = np.column_stack([counts.sum(axis=1), counts])
    small = study.cells([range(n) for n in people]).hide
    hide = hidden(table, study.plan.minimum_cell, totals_known=False)[:, 1:] | small
    return [
        {
            "reason": name,
            "counts": [
                {"people": None, "suppressed": True} if hide[row, period] else
                {"people": int(counts[row, period]), "of": int(people[period])}
                for period in range(study.periods)
            ],
        }
        for row, name in enumerate(names)
    ]  # fmt: skip
