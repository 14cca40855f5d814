"""A registered study whose reports are made, signed and bundled in tests: 60 people, some with two visits, some data of
the kind that must not leave the registry."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from reports.kinds import Order
from reports.registered import register_report
from reports.validation_report import build
from studies.plan import plan_from_document
from studies.progress import NoProgress
from studies.registry.catalogue import create_study, lock_plan
from studies.registry.workspace import Registry, open_registry

STUDY = "trial"
PEOPLE = 60
REMARK = "was late, knee hurts"
PLAN = {
    "calliper_plan": 1,
    "title": "Bioimpedance against DXA",
    "measurand": "body_fat_percent",
    "reference": "dxa",
    "index": "bia",
    "comparators": ["deurenberg"],
    "pairing": {"match": "time", "window_days": 4, "replicates": "mean"},
    "subgroups": [{"name": "sex", "attribute": "sex"}, {"name": "tone", "attribute": "tone"}],
    "criteria": [{"name": "error", "metric": "mae", "at_most": 4.5}],
    "resamples": 200,
    "minimum_cell": 5,
}


def name_of(number: int) -> str:
    """The identifier of a subject, which no bundle may hold."""
    return f"ANNA-{number:04d}"


def write_sources(folder: Path) -> Path:
    """Subjects and readings as CSV. The rows of people come in no order."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(11)
    subjects = [["subject_id", "site", "sex", "age", "ethnicity", "enrolled_on", "tone", "remark"]]
    readings = [["subject_id", "visit", "measured_at", "measurand", "method", "device", "value", "replicate"]]
    for number in map(int, rng.permutation(PEOPLE)):
        name, start = name_of(number), date(2024, 2, 1) + timedelta(days=int(rng.integers(0, 60)))
        sex, stature = ("F", 165.0) if number % 2 else ("M", 178.0)
        age, ethnicity, site = rng.integers(20, 70), ["A", "B"][number % 3 == 0], f"site{number % 2}"
        subjects.append([name, site, sex, age, ethnicity, start, ["light", "dark"][number % 4 == 0], REMARK])
        stature += float(rng.normal(0, 6))
        for visit in range(1 + (number % 5 == 0)):
            when = start + timedelta(days=90 * visit)
            fat = float(rng.normal(28 if sex == "F" else 21, 6))
            label = f"V{visit + 1}"
            for method, device, shift, noise in (("dxa", "hologic", 0, 0.5), ("bia", f"phone{number}", 1, 3)):
                for replicate in range(1, 3):
                    value = round(max(5.0, fat + float(rng.normal(0, noise))), 1)
                    day = when + timedelta(days=shift)
                    readings.append([name, label, day, "body_fat_percent", method, device, value, replicate])
            weight = round(float(rng.normal(75, 8)), 1)
            for measurand, value in (("stature_cm", round(stature, 1)), ("weight_kg", weight)):
                readings.append([name, label, when, measurand, "anthropometry", "", value, 1])
    for file, rows in (("subjects.csv", subjects), ("readings.csv", readings)):
        with (folder / file).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(rows)
    return folder


def fill(registry: Registry, sources: Path) -> None:
    """Create the study, bring its data in, and lock its plan."""
    from studies.ingest.ingest import ingest
    from studies.ingest.mapping import load_mapping

    create_study(registry, STUDY, plan_from_document(PLAN))
    ingest(registry, STUDY, [write_sources(sources)], load_mapping("calliper"))
    lock_plan(registry, STUDY)


def make_report(registry: Registry, formats: tuple[str, ...] = ("html", "pdf", "json")) -> dict[str, Path]:
    """Make and register a validation report of the study."""
    return register_report(registry, STUDY, build(registry, Order(STUDY), NoProgress()), formats=formats)


def workspace_with_report(folder: Path) -> Path:
    """A workspace with the study and its report 1."""
    with open_registry(folder / "workspace", create=True) as registry:
        fill(registry, folder / "sources")
        make_report(registry)
    return folder / "workspace"
