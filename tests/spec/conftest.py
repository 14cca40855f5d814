"""Tiny studies, written as tables: a specification reads as a paragraph, a table in and a table out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from studies.pairing import Paired, pair
from studies.plan import Plan, plan_from_document

BASE = {
    "calliper_plan": 1,
    "title": "Specification",
    "measurand": "body_fat_percent",
    "reference": "dxa",
    "index": "scan",
}


def read(text: str) -> pd.DataFrame:
    """A table of columns between bars. A dash is a missing value."""
    lines = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    frame = pd.DataFrame(lines[1:], columns=lines[0]).replace("-", None)
    for column in frame:
        if column in ("age", "value", "replicate", "measurement_id", "sequence"):
            frame[column] = pd.to_numeric(frame[column])
        if column in ("date", "measured_at", "enrolled_on"):
            frame[column] = pd.to_datetime(frame[column])
    return frame


@dataclass(frozen=True)
class Told:
    """A tiny study with its plan, and the questions that a specification asks of it."""

    subjects: pd.DataFrame
    visits: pd.DataFrame
    measurements: pd.DataFrame
    plan: Plan

    @property
    def paired(self) -> Paired:
        return pair(self.subjects, self.visits, self.measurements, self.plan)

    def pairs(self) -> str:
        """subject visit reference index [comparators], one line a pair."""
        table = self.paired.table.drop(columns="occasion")
        return _written(table)

    def reasons(self, level: str) -> str:
        """What was left out at a level, with the reason."""
        rows = self.paired.exclusions.query("level == @level")
        columns = {
            "subject": ["subject_id", "reason"],
            "visit": ["subject_id", "visit", "reason"],
            "measurement": ["measurement_id", "reason"],
            "method": ["subject_id", "method", "reason"],
        }[level]
        return _written(rows[columns])


def _written(table: pd.DataFrame) -> str:
    def cell(value: Any) -> str:
        if pd.isna(value):
            return "-"
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return "\n".join(" | ".join(cell(value) for value in row) for row in table.itertuples(index=False))


def same(found: str, expected: str) -> bool:
    """Whether two tables hold the same lines, whatever the blanks."""
    lines = [" | ".join(cell.strip() for cell in line.split("|")) for line in expected.strip().splitlines()]
    assert found.splitlines() == lines
    return True


@pytest.fixture
def study():
    """Build a tiny study: `study(measurements=…, subjects=…, visits=…, plan={…})`.

    Subjects and visits that are not written out are those that the measurements name; a measurement that names no
    measurand, visit or method is of body fat percentage, at `v1`.
    """

    def build(*, measurements: str, subjects: str = "", visits: str = "", plan: dict[str, Any] | None = None) -> Told:
        data = read(measurements)
        for column, usual in (("measurand", "body_fat_percent"), ("visit", "v1")):
            if column not in data:
                data[column] = usual
        data.insert(0, "measurement_id", range(1, len(data) + 1))
        people = read(subjects) if subjects else data[["subject_id"]].drop_duplicates()
        occasions = read(visits) if visits else data[["subject_id", "visit"]].drop_duplicates()
        return Told(people, occasions, data, plan_from_document({**BASE, **(plan or {})}))

    return build


@pytest.fixture
def table():
    return read


@pytest.fixture
def agrees():
    return same
