"""A small study with everything in it: two visits, duplicates, scans of a run with intervals, girths, a protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from studies.analysis import StudyAnalysis, analyze
from studies.plan import plan_from_document, plan_hash
from studies.protocol import QUESTIONS, protocol_hash

PLAN: dict[str, Any] = {
    "calliper_plan": 1,
    "title": "Whole",
    "measurand": "body_fat_percent",
    "reference": "dxa",
    "index": "scan",
    "comparators": ["scale"],
    "pairing": {"match": "visit", "window_days": 4},
    "eligibility": [{"attribute": "age", "at_least": 20}],
    "subgroups": [
        {"name": "sex", "label": "Sex", "attribute": "sex"},
        {"name": "site", "label": "Site", "attribute": "site"},
    ],
    "margins": {"bias": 2},
    "criteria": [
        {"name": "Error", "metric": "mae", "at_most": 3.5, "judged_by": "interval"},
        {"name": "Twice as close", "metric": "mae_ratio", "against": "scale", "at_most": 0.5, "judged_by": "interval"},
    ],
    "decision_levels": [25],
    "cut_offs": [{"name": "High body fat", "value": 28}],
    "resamples": 200,
}
CARD = {
    "kind": "estimator", "name": "small", "version": 2, "architecture": {"name": "cnn"},
    "inputs": [{"name": "front", "meaning": "a photo", "unit": None, "optional": False}],
    "outputs": [{"name": "body_fat_percent", "meaning": "body fat", "unit": "%"}],
    "training": {"data": "Rendered bodies.", "rendered": True, "datasets": ["trial"], "subjects": 3},
    "metrics": [
        {"name": "mae", "value": 2.5, "low": 2.25, "high": 2.75, "unit": "%", "data": "held-out people", "n": 40},
        {"name": "rmse", "value": 3, "low": None, "high": None, "unit": None, "data": "held-out people", "n": None},
    ],
    "limitations": ["Adults only."], "licence": "CC0", "software": {"calliper": "0.1.0", "torch": "2"},
    "weights_sha256": "ab" * 32, "leakage": {"leaked": 1, "subjects": 60},
}  # fmt: skip


def answered() -> dict[str, Any]:
    """A protocol with an answer to every question."""
    document: dict[str, Any] = {}
    for question in QUESTIONS:
        value: Any = f"Answer to {question.key}."
        if question.kind == "count":
            value = 100
        elif question.kind == "list":
            value = [f"First of {question.key}.", "Second."]
        elif question.choices:
            value = question.choices[0]
        document.setdefault(question.part, {})[question.key] = value
    return document


def frames(
    size: int = 60, *, noise: float = 1.5, shift: float = 0.0, of_change: float = 0.5, refused: int = 4, seed: int = 3
) -> dict[str, Any]:
    """subjects, visits, measurements and scans. `refused` people have a scan that gave no value, and no other."""
    rng = np.random.default_rng(seed)
    names = [f"S{i:03d}" for i in range(size)]
    subjects = pd.DataFrame(
        {
            "subject_id": names, "sex": np.where(np.arange(size) % 2, "M", "F"), "age": rng.uniform(18, 70, size),
            "site": np.where(np.arange(size) < size * 0.7, "north", "south"), "ethnicity": None,
        }
    )  # fmt: skip
    days = {"v1": pd.Timestamp("2024-05-01"), "v2": pd.Timestamp("2024-09-01")}
    visits = pd.DataFrame(
        [
            {"subject_id": n, "visit": v, "date": d, "sequence": i}
            for n in names
            for i, (v, d) in enumerate(days.items())
        ]
    )
    true = rng.normal(30, 7, size)
    change = rng.normal(-2, 2, size)
    waist = rng.normal(90, 10, size)
    rows: list[dict[str, Any]] = []
    scans: list[dict[str, Any]] = []

    def add(who: int, visit: str, what: str, how: str, value: float, **extra: Any) -> None:
        rows.append(
            {
                "subject_id": names[who], "visit": visit, "measurand": what, "method": how, "value": value,
                "measured_at": days[visit], "replicate": 1, "kind": "reading", "device": "a", "flags": None, **extra,
            }
        )  # fmt: skip

    for who in range(size):
        for number, visit in enumerate(days):
            value = true[who] + number * change[who]
            for replicate in (1, 2):
                add(who, visit, "body_fat_percent", "dxa", value + rng.normal(0, 0.5), replicate=replicate)
            add(who, visit, "body_fat_percent", "scale", value - 2 + rng.normal(0, 4), replicate=1)
            add(who, visit, "waist_cm", "tape", waist[who], flags="waist_unusual" if who == 0 else None)
            status, reason, low, high, seen = "determinate", None, np.nan, np.nan, np.nan
            if who < refused:
                status, reason = "indeterminate", "nobody to be seen"
            else:
                seen = true[who] + shift + of_change * number * change[who] + rng.normal(0, noise)
                low, high = seen - 1.645 * noise, seen + 1.645 * noise
                when = days[visit] + pd.Timedelta(days=3 if who % 10 == 0 else 0)
                add(who, visit, "body_fat_percent", "scan", seen, kind="prediction", measured_at=when)
                add(who, visit, "waist_cm", "scan", waist[who] + 1 + rng.normal(0, 2), kind="prediction")
            scans.append(
                {
                    "subject_id": names[who], "visit": visit, "scan": "1", "captured_at": days[visit],
                    "device": "phone", "rendered": True, "status": status, "reason": reason, "value": seen,
                    "low": low, "high": high,
                }
            )  # fmt: skip
    measurements = pd.DataFrame(rows)
    measurements.insert(0, "measurement_id", np.arange(len(measurements)) + 1)
    return {"subjects": subjects, "visits": visits, "measurements": measurements, "scans": pd.DataFrame(scans)}


def whole(
    *,
    plan: dict[str, Any] | None = None,
    edit: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    status: dict[str, Any] | None = None,
    run: dict[str, Any] | None = None,
    protocol: dict[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    **changes: Any,
) -> StudyAnalysis:
    """The analysis of `frames(**changes)`, each part of which `edit` may change."""
    held = frames(**changes)
    if edit is not None:
        held = edit(held)
    document = plan_from_document({**PLAN, **(plan or {})})
    given = {"number": 1, "newest": 1, "checkpoints": {"estimator": "small@2"}, "cards": [CARD]} if run is None else run
    return analyze(
        study={"name": "whole", "title": "A whole study", "notes": list(notes)},
        plan=document,
        plan_status={"version": 1, "hash": plan_hash(document), "locked": True, **(status or {})},
        data_hash="0" * 64,
        scans_hash="1" * 64,
        run=given or None,
        protocol=None if protocol is None else {"version": 1, "hash": protocol_hash(protocol), "document": protocol},
        empty=True,
        **held,
    )
