"""Results do not depend on what people are called, nor on the dates that they came."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reports.results import results_json
from studies.analysis import analyze
from studies.frames import canonical
from studies.nameless import without_names
from studies.plan import plan_from_document, plan_hash

PLAN = {
    "calliper_plan": 1,
    "title": "Many ties",
    "measurand": "body_fat_percent",
    "reference": "dxa",
    "index": "scan",
    "comparators": ["scale", "deurenberg"],
    "pairing": {"match": "time", "window_days": 3, "replicates": "nearest"},
    "subgroups": [
        {"name": "sex", "attribute": "sex"},
        {"name": "tone", "attribute": "tone"},
        {"name": "age", "attribute": "age", "cut_points": [40]},
    ],
    "resamples": 200,
    "minimum_cell": 5,
}


def study_of(seed: int, people: int = 70) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """People with one to three visits and whole numbers for values, so that many rows are equal."""
    rng = np.random.default_rng(seed)
    names = [f"P{number:03d}" for number in range(people)]
    tone = rng.choice(np.array([1, 2, "dark"], dtype=object), people)
    subjects = pd.DataFrame(
        {
            "subject_id": names,
            "site": rng.choice(["north", "south"], people),
            "sex": rng.choice(["F", "M"], people),
            "age": rng.uniform(18, 70, people),
            "ethnicity": rng.choice(["A", "B"], people),
            "tone": [int(value) if value != "dark" else value for value in tone],
            "remark": [f"note on {name}" for name in names],
        }
    )
    visits, rows = [], []
    for name in names:
        start = pd.Timestamp("2024-01-01") + pd.Timedelta(days=int(rng.integers(0, 90)))
        for visit in range(int(rng.integers(1, 4))):
            day = start + pd.Timedelta(days=20 * visit)
            visits.append((name, f"V{visit + 1}", day, visit + 1))
            fat = int(rng.integers(15, 40))
            for method, values in (("dxa", 1), ("scan", 2), ("scale", 1)):
                for replicate in range(values):
                    when = day + pd.Timedelta(minutes=int(rng.integers(0, 2000)))
                    value = float(fat + (0 if method == "dxa" else rng.integers(-3, 4)))
                    rows.append((name, f"V{visit + 1}", when, "body_fat_percent", method, value, replicate + 1))
            for measurand, value in (("stature_cm", rng.uniform(150, 190)), ("weight_kg", rng.uniform(50, 100))):
                rows.append((name, f"V{visit + 1}", day, measurand, "anthropometry", float(value), 1))
    columns = ["subject_id", "visit", "measured_at", "measurand", "method", "value", "replicate"]
    measurements = pd.DataFrame(rows, columns=columns).assign(device="", unit="", kind="reading", flags=None)
    measurements.insert(0, "measurement_id", np.arange(len(measurements)) + 1)
    return subjects, pd.DataFrame(visits, columns=["subject_id", "visit", "date", "sequence"]), measurements


def analysis_of(subjects, visits, measurements):
    plan = plan_from_document(PLAN)
    return analyze(
        study={"name": "s", "title": "S"}, plan=plan, subjects=subjects, visits=visits, measurements=measurements,
        plan_status={"version": 1, "hash": plan_hash(plan), "locked": True}, data_hash="0" * 64,
    )  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_names_other_dates_and_fewer_attributes_give_the_same_bytes(seed: int) -> None:
    subjects, visits, measurements = study_of(seed)
    before = analysis_of(subjects, visits, measurements)

    rng = np.random.default_rng(seed + 100)
    codes = [f"S{number:04d}" for number in rng.permutation(len(subjects))]
    renamed = dict(zip(subjects["subject_id"], codes, strict=True))
    shift = {code: pd.Timedelta(days=int(rng.integers(-900, 900))) for code in codes}
    subjects, visits, measurements = (
        frame.assign(subject_id=frame["subject_id"].map(renamed)) for frame in (subjects, visits, measurements)
    )
    visits["date"] += visits["subject_id"].map(shift)
    measurements["measured_at"] += measurements["subject_id"].map(shift)
    measurements["measurement_id"] += 1000
    after = analysis_of(subjects.drop(columns="remark"), visits, measurements)

    assert results_json(after.results) == results_json(before.results)
    back = {code: name for name, code in renamed.items()}
    for made, wanted in ((after.pairs, before.pairs), (after.exclusions, before.exclusions)):
        order = ["method", "subject_id", "visit"] + (["measurement_id", "level"] if "level" in made else [])
        made = made.assign(subject_id=made["subject_id"].map(back))
        if "measurement_id" in made:
            made["measurement_id"] -= 1000
        sorted_by = [frame.sort_values(order, ignore_index=True) for frame in (made, wanted)]
        pd.testing.assert_frame_equal(*sorted_by, check_dtype=False)


def test_another_value_gives_another_result() -> None:
    subjects, visits, measurements = study_of(1)
    before = analysis_of(subjects, visits, measurements)
    first = (measurements["method"] == "dxa").idxmax()
    measurements.loc[first, "value"] += 1
    assert results_json(analysis_of(subjects, visits, measurements).results) != results_json(before.results)


def test_the_tables_of_subjects_come_back_by_name_in_the_order_of_names() -> None:
    made = analysis_of(*study_of(1))
    assert set(made.pairs["subject_id"]) <= {f"P{number:03d}" for number in range(70)}
    for _, part in made.pairs.groupby("method"):
        assert part["subject_id"].is_monotonic_increasing
        assert (part.groupby("subject_id")["visit"].apply(lambda labels: labels.is_monotonic_increasing)).all()
    assert list(dict.fromkeys(made.pairs["method"])) == ["scan", "scale", "deurenberg"]
    excluded = made.exclusions[made.exclusions["level"] == "subject"]
    assert excluded["subject_id"].is_monotonic_increasing


def test_frames_keep_what_belongs_together() -> None:
    frames = canonical(*study_of(2))
    hidden, names = without_names(frames, ["tone"])
    known = names.subject_ids[hidden.subjects["subject_id"].astype(int)]
    assert sorted(known) == list(frames.subjects["subject_id"])
    for part, key in ((hidden.visits, ["visit", "date"]), (hidden.measurements, ["visit", "measurement_id", "value"])):
        assert (hidden.subjects["subject_id"].to_numpy()[part["subject"]] == part["subject_id"]).all()
        original = frames.visits if part is hidden.visits else frames.measurements
        named = part.assign(subject_id=names.subject_ids[part["subject_id"].astype(int)].astype("str"))
        columns = ["subject_id", *key]
        assert set(named[columns].itertuples(index=False)) == set(original[columns].itertuples(index=False))
    assert (hidden.visits["visit"].to_numpy()[hidden.measurements["occasion"]] == hidden.measurements["visit"]).all()
    assert hidden.visits["subject"].is_monotonic_increasing
