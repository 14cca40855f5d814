"""Damage a synthetic cohort as real exports are damaged, and say where.

Each damage is made to a subject of its own, so that one fault does not hide another. A subject whose row is refused
(an impossible age) takes its readings with it: an ingest may refuse more rows than were planted, never fewer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from studies.errors import UsageError
from studies.synthetic.cohort import SyntheticCohort

SUBJECTS_FILE, READINGS_FILE = "subjects.csv", "readings.csv"
# A mass in pounds under kg is made where stature and waist were read too and the BMI becomes one that hardly anyone
# has: elsewhere no one could tell it from a heavy person.
POUNDS_BMI = 60.0
LB_PER_KG = 1 / 0.45359237
KG_PER_STONE = 6.35029318
SMALLEST = 100


@dataclass(frozen=True)
class PlantedError:
    """One damaged cell: `row` as a person counts in the file (the header is row 1), `value` as the file has it."""

    file: str
    row: int
    column: str
    value: str
    kind: str


class _Bench:
    """The tables while they are damaged, and the subjects that are still whole."""

    def __init__(self, cohort: SyntheticCohort, rng: np.random.Generator):
        self.subjects = cohort.subjects.copy().astype({"age": object})
        self.readings = cohort.readings.copy().astype({"value": object})
        self.rng = rng
        self.used: set[str] = set()
        self.planted: list[PlantedError] = []
        self.extra_subjects: list[pd.Series] = []
        self.extra_readings: list[pd.Series] = []
        wide = self.readings[self.readings["visit"] == "baseline"]
        wide = wide[wide["method"] == "anthropometry"].pivot(index="subject_id", columns="measurand", values="value")
        wide = wide[["weight_kg", "stature_cm", "waist_cm"]].astype(float).dropna()
        self.bmi = wide["weight_kg"] / (wide["stature_cm"] / 100) ** 2

    def times(self) -> range:
        """One, two or three times."""
        return range(int(self.rng.integers(1, 4)))

    def pick(self, positions: np.ndarray, frame: pd.DataFrame) -> int:
        """One of the rows `positions` of `frame`, of a subject that is still whole and is not used again."""
        ids = frame["subject_id"].to_numpy()
        free = [position for position in positions.tolist() if ids[position] not in self.used]
        if not free:
            raise UsageError(
                "The cohort is too small for an error of every kind.",
                remedy=f"Plant errors in a cohort of several times {SMALLEST} subjects with follow-up visits.",
            )
        position = free[int(self.rng.integers(len(free)))]
        self.used.add(str(ids[position]))
        return position

    def reading(self, mask: pd.Series | None = None, **where: str) -> int:
        """The position of a reading of a whole subject with the given columns."""
        found = pd.Series(True, index=self.readings.index) if mask is None else mask
        for column, value in where.items():
            found &= self.readings[column] == value
        return self.pick(np.flatnonzero(found), self.readings)

    def subject(self) -> int:
        """The position of a whole subject."""
        return self.pick(np.arange(len(self.subjects)), self.subjects)

    def put(self, file: str, position: int, column: str, value: object, kind: str) -> None:
        """Replace one cell and note it."""
        frame = self.subjects if file == SUBJECTS_FILE else self.readings
        frame.iloc[position, frame.columns.get_loc(column)] = value
        self.note(file, position, column, value, kind)

    def note(self, file: str, position: int, column: str, value: object, kind: str) -> None:
        self.planted.append(PlantedError(file, position + 2, column, str(value), kind))

    def add(self, file: str, row: pd.Series, column: str, kind: str) -> None:
        """Append a row and note it."""
        frame, extra = (
            (self.subjects, self.extra_subjects) if file == SUBJECTS_FILE else (self.readings, self.extra_readings)
        )
        self.note(file, len(frame) + len(extra), column, row[column], kind)
        extra.append(row)


def _day(text: str, days: int) -> str:
    """The ISO time `text`, `days` later."""
    return str(np.datetime64(text, "m") + np.timedelta64(days, "D"))


def _pounds(bench: _Bench) -> None:
    heavy = bench.readings["subject_id"].isin(bench.bmi.index[bench.bmi * LB_PER_KG > POUNDS_BMI])
    at = bench.reading(heavy, visit="baseline", measurand="weight_kg")
    value = round(bench.readings["value"].iloc[at] * LB_PER_KG, 1)
    bench.put(READINGS_FILE, at, "value", value, "mass in pounds under kg")


def _metres(bench: _Bench) -> None:
    at = bench.reading(measurand="stature_cm")
    bench.put(
        READINGS_FILE, at, "value", round(bench.readings["value"].iloc[at] / 100, 2), "stature in metres under cm"
    )


def _fraction(bench: _Bench) -> None:
    at = bench.reading(measurand="body_fat_percent", method="dxa")
    value = round(bench.readings["value"].iloc[at] / 100, 3)
    bench.put(READINGS_FILE, at, "value", value, "body fat as a fraction under %")


def _decimal_comma(bench: _Bench) -> None:
    at = bench.reading(measurand="waist_cm")
    bench.put(READINGS_FILE, at, "value", str(bench.readings["value"].iloc[at]).replace(".", ","), "decimal comma")


def _impossible_age(bench: _Bench) -> None:
    bench.put(SUBJECTS_FILE, bench.subject(), "age", 230, "impossible age")


def _duplicate_subject(bench: _Bench) -> None:
    row = bench.subjects.iloc[bench.subject()].copy()
    row["age"] = row["age"] + 1  # a second row that says something else, as after a correction entered as a new row
    bench.add(SUBJECTS_FILE, row, "subject_id", "duplicate subject")


def _unknown_subject(bench: _Bench) -> None:
    row = bench.readings.iloc[bench.reading(measurand="weight_kg", visit="baseline")].copy()
    row["subject_id"] = f"SYN-{900_000 + len(bench.extra_readings) + len(bench.subjects):06d}"
    bench.add(READINGS_FILE, row, "subject_id", "unknown subject")


def _future(bench: _Bench) -> None:
    at = bench.reading(measurand="body_fat_percent", method="scale")
    bench.put(READINGS_FILE, at, "measured_at", "2099-01-01T09:00", "date in the future")


def _before_enrolment(bench: _Bench) -> None:
    at = bench.reading(visit="baseline", measurand="arm_cm")
    value = _day(bench.readings["measured_at"].iloc[at], -60)
    bench.put(READINGS_FILE, at, "measured_at", value, "visit before enrolment")


def _unknown_unit(bench: _Bench) -> None:
    at = bench.reading(visit="baseline", measurand="weight_kg")
    bench.readings.iloc[at, bench.readings.columns.get_loc("value")] = round(
        bench.readings["value"].iloc[at] / KG_PER_STONE, 1
    )
    bench.put(READINGS_FILE, at, "unit", "stone?", "unknown unit")


def _text(bench: _Bench) -> None:
    bench.put(READINGS_FILE, bench.reading(measurand="thigh_cm"), "value", "n/a", "text in value")


def _infinite(bench: _Bench) -> None:
    bench.put(READINGS_FILE, bench.reading(method="dxa"), "value", "inf", "infinite value")


def _duplicate_reading(bench: _Bench) -> None:
    row = bench.readings.iloc[bench.reading(method="scale")].copy()
    bench.add(READINGS_FILE, row, "replicate", "duplicate reading")


def _formula(bench: _Bench) -> None:
    at = bench.reading(measurand="subscapular_skinfold_mm")
    bench.put(READINGS_FILE, at, "value", f"=G{at + 1}*100", "formula cell")


def _follow_up_first(bench: _Bench) -> None:
    """All readings of one follow-up visit are dated between enrolment and baseline."""
    first = bench.readings[bench.readings["visit"] == "baseline"].groupby("subject_id")["measured_at"].min()
    enrolled = bench.subjects.set_index("subject_id")["enrolled_on"]
    gap = (pd.to_datetime(first).dt.normalize() - pd.to_datetime(enrolled)).dt.days
    late = bench.readings["subject_id"].isin(gap.index[gap >= 3]) & (bench.readings["visit"] != "baseline")
    subject = bench.readings["subject_id"].iloc[bench.reading(late)]
    target = np.datetime64(enrolled[subject], "D") + 1
    rows = np.flatnonzero((bench.readings["subject_id"] == subject) & (bench.readings["visit"] != "baseline"))
    for at in rows.tolist():
        clock = bench.readings["measured_at"].iloc[at].partition("T")[2]
        bench.put(READINGS_FILE, at, "measured_at", f"{target}T{clock}", "follow-up before baseline")


_DAMAGES: list[Callable[[_Bench], None]] = [
    _pounds, _metres, _fraction, _decimal_comma, _impossible_age, _duplicate_subject, _unknown_subject, _future,
    _before_enrolment, _unknown_unit, _text, _infinite, _duplicate_reading, _formula,
]  # fmt: skip

KINDS = (
    "mass in pounds under kg", "stature in metres under cm", "body fat as a fraction under %", "decimal comma",
    "impossible age", "duplicate subject", "unknown subject", "date in the future", "visit before enrolment",
    "unknown unit", "text in value", "infinite value", "duplicate reading", "formula cell", "follow-up before baseline",
)  # fmt: skip


def plant_errors(cohort: SyntheticCohort, seed: int) -> tuple[SyntheticCohort, list[PlantedError]]:
    """A damaged copy of `cohort` and what was damaged, in the order of file and row.

    One to three errors of each of `KINDS`, and one subject whose whole follow-up visit is dated before baseline (an
    error a reading). Raises UsageError when the cohort is too small.
    """
    bench = _Bench(cohort, np.random.default_rng(seed))
    _follow_up_first(bench)
    for damage in _DAMAGES:
        for _ in bench.times():
            damage(bench)
    subjects = _with_rows(bench.subjects, bench.extra_subjects)
    readings = _with_rows(bench.readings, bench.extra_readings)
    planted = sorted(bench.planted, key=lambda error: (error.file, error.row, error.column))
    return replace(cohort, subjects=subjects, readings=readings), planted


def _with_rows(frame: pd.DataFrame, rows: list[pd.Series]) -> pd.DataFrame:
    if not rows:
        return frame
    return pd.concat([frame, pd.DataFrame(rows)], ignore_index=True).astype(frame.dtypes.to_dict())
