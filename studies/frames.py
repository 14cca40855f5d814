"""The frames of a study in one canonical form: subjects, visits and measurements, checked and in a fixed order.

Whatever order the rows come in, the frames that leave here are the same, which is what makes an analysis repeatable to
the byte. Positions (`subject`, `occasion`) replace names inside, so that a million rows are joined as integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from studies.errors import DataError
from studies.plan_model import IN_TRAINING, EligibilityRule, Subgroup
from studies.suggestions import suggestion

READING, PREDICTION, DERIVED = "reading", "prediction", "derived"

_SUBJECTS = ("subject_id",)
_VISITS = ("subject_id", "visit")
_MEASUREMENTS = ("measurement_id", "subject_id", "visit", "measurand", "method", "value")
_DAYS_IN_A_YEAR = 365.25


@dataclass(frozen=True)
class Frames:
    """Canonical frames.

    subjects: sorted by subject_id; index 0..S-1 is the subject's position. Columns as given, at least subject_id, sex,
    age (years at enrolment, float).
    visits: sorted by subject and order of visits; index 0..V-1 is the visit's position; subject_id, visit, date,
    sequence, subject (position), age (years at the visit, float): the age at enrolment and the time since
    `enrolled_on`, where the subjects have that column, otherwise since the first visit with a date.
    measurements: sorted by visit, time, replicate, method, device, kind and measurement_id; the registry's columns,
    subject and occasion (positions of subject and visit), time (measured_at, else the visit's date).
    """

    subjects: pd.DataFrame
    visits: pd.DataFrame
    measurements: pd.DataFrame


def canonical(subjects: pd.DataFrame, visits: pd.DataFrame, measurements: pd.DataFrame) -> Frames:
    """Check and order the frames of a study.

    Raises `DataError` where a column is missing, an identifier repeats, or a row refers to a subject or visit that is
    not there.
    """
    _need(subjects, "subjects", _SUBJECTS)
    _need(visits, "visits", _VISITS)
    _need(measurements, "measurements", _MEASUREMENTS)
    people = _subjects(subjects)
    position = pd.Index(people["subject_id"])
    occasions = _visits(visits, people, position)
    return Frames(people, occasions, _measurements(measurements, occasions, position))


def _subjects(subjects: pd.DataFrame) -> pd.DataFrame:
    frame = subjects.copy()
    frame["subject_id"] = _text(frame["subject_id"])
    _once(frame, "subjects", ["subject_id"])
    for column in ("sex", "age"):
        if column not in frame:
            frame[column] = None
    frame["age"] = pd.to_numeric(frame["age"]).astype("float64")
    frame["sex"] = frame["sex"].astype("object").where(frame["sex"].notna(), None)
    return frame.sort_values("subject_id", ignore_index=True)


def _visits(visits: pd.DataFrame, people: pd.DataFrame, position: pd.Index) -> pd.DataFrame:
    frame = visits.copy()
    frame["subject_id"], frame["visit"] = _text(frame["subject_id"]), _text(frame["visit"])
    _once(frame, "visits", ["subject_id", "visit"])
    frame["date"] = pd.to_datetime(frame["date"]) if "date" in frame else pd.NaT
    frame["date"] = frame["date"].astype("datetime64[us]")
    frame["sequence"] = frame["sequence"].astype("Int64") if "sequence" in frame else pd.Series(pd.NA, dtype="Int64")
    frame["subject"] = _refer(frame, "visits", position.get_indexer(frame["subject_id"]), "subject_id")
    frame = frame.sort_values(["subject", "sequence", "date", "visit"], ignore_index=True)
    enrolled = frame.groupby("subject")["date"].transform("min")
    if "enrolled_on" in people:
        known = pd.to_datetime(people["enrolled_on"]).astype("datetime64[us]")
        enrolled = pd.Series(known.to_numpy()[frame["subject"].to_numpy()], index=frame.index).fillna(enrolled)
    since = (frame["date"] - enrolled).dt.total_seconds().to_numpy() / 86_400 / _DAYS_IN_A_YEAR
    frame["age"] = people["age"].to_numpy()[frame["subject"].to_numpy()] + np.where(np.isnan(since), 0.0, since)
    return frame


def _measurements(measurements: pd.DataFrame, occasions: pd.DataFrame, position: pd.Index) -> pd.DataFrame:
    frame = measurements.copy()
    if "kind" not in frame:
        frame["kind"] = READING
    # Readings and predictions are numbered apart.
    _once(frame, "measurements", ["kind", "measurement_id"])
    frame["measured_at"] = pd.to_datetime(frame["measured_at"]) if "measured_at" in frame else pd.NaT
    frame["measured_at"] = frame["measured_at"].astype("datetime64[us]")
    if "replicate" not in frame:
        frame["replicate"] = 1
    for column in ("flags", "device", "unit"):
        if column not in frame:
            frame[column] = None
    frame["device"] = frame["device"].astype("str")
    frame["value"] = pd.to_numeric(frame["value"]).astype("float64")
    subject = _refer(frame, "measurements", position.get_indexer(_text(frame["subject_id"])), "subject_id")
    # (subject, visit) as one integer: a join on two text columns is the slowest step of a large study.
    names = pd.Index(occasions["visit"].unique())
    key = pd.Index(occasions["subject"].to_numpy() * (len(names) + 1) + names.get_indexer(occasions["visit"]))
    label = names.get_indexer(_text(frame["visit"]))
    wanted = np.where(label < 0, -1, subject * (len(names) + 1) + label)
    frame["subject"] = subject
    frame["occasion"] = _refer(frame, "measurements", key.get_indexer(wanted), "visit")
    frame["time"] = frame["measured_at"].fillna(
        pd.Series(occasions["date"].to_numpy()[frame["occasion"].to_numpy()], index=frame.index)
    )
    order = ["occasion", "time", "replicate", "method", "device", "kind", "measurement_id"]
    return frame.sort_values(order, ignore_index=True)


def _text(column: pd.Series) -> pd.Series:
    return column if isinstance(column.dtype, pd.StringDtype) else column.astype("str")


def _need(frame: pd.DataFrame, name: str, columns: tuple[str, ...]) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise DataError(f"The table of {name} has no column '{missing[0]}'.")


def _once(frame: pd.DataFrame, name: str, columns: list[str]) -> None:
    twice = frame.duplicated(columns)
    if twice.any():
        row = frame.loc[twice, columns].iloc[0]
        what = ", ".join(f"{column} {value}" for column, value in row.items())
        raise DataError(f"The table of {name} has {what} more than once.")


def _refer(frame: pd.DataFrame, name: str, found: np.ndarray, column: str) -> np.ndarray:
    if (found < 0).any():
        row = frame.iloc[int(np.argmax(found < 0))]
        raise DataError(
            f"The table of {name} refers to subject '{row['subject_id']}'"
            + (f", visit '{row['visit']}'," if column == "visit" else "")
            + " which is not in the study.",
            where=f"{name}, column '{column}'",
        )
    return found


# Values of subjects and visits --------------------------------------------------------------------------------------


def measured(frames: Frames, measurand: str, method: str | None = None) -> np.ndarray:
    """The value of a measurand at every visit, float[V], NaN where there is none: the first reading of the visit.

    Only readings count, of any method, unless `method` is named. BMI (with no method named) is computed from the
    stature and the mass of the visit, and is a `bmi` reading only where one of the two is missing: one definition for
    all, at full precision.
    """
    values = _first(frames, measurand, method)
    if measurand == "bmi" and method is None:
        values = np.where(np.isnan(computed := body_mass_index(frames)), values, computed)
    return values


def body_mass_index(frames: Frames) -> np.ndarray:
    """Mass in kg over the square of stature in metres at every visit, float[V], NaN where either is missing."""
    metres = _first(frames, "stature_cm", None) / 100
    mass = _first(frames, "weight_kg", None)
    return np.where(mass > 0, mass, np.nan) / np.where(metres > 0, metres, np.nan) ** 2


def _first(frames: Frames, measurand: str, method: str | None) -> np.ndarray:
    data = frames.measurements
    mask = (data["measurand"] == measurand) & np.isfinite(data["value"])
    mask &= (data["kind"] == READING) if method is None else (data["method"] == method)
    rows = data.loc[mask, ["occasion", "value"]].drop_duplicates("occasion")
    values = np.full(len(frames.visits), np.nan)
    values[rows["occasion"].to_numpy()] = rows["value"].to_numpy()
    return values


def at_visits(frames: Frames, source: EligibilityRule | Subgroup, reference: str, measurand: str) -> pd.Series:
    """The value that a rule or subgroup looks at, for every visit (index: position of the visit).

    `age` is the age at the visit. A measurand that was not measured at the visit is taken from the subject's first
    visit that has it. The plan's own measurand is the reference standard's, unless another method is named.
    """
    if source.attribute == "age":
        return frames.visits["age"]
    if source.attribute is not None:
        column = attribute(frames, source.attribute)
        return pd.Series(column.to_numpy()[frames.visits["subject"].to_numpy()], index=frames.visits.index)
    method = source.method or (reference if source.measurand == measurand else None)
    values = pd.Series(measured(frames, source.measurand or "", method), index=frames.visits.index)
    return values.fillna(values.groupby(frames.visits["subject"]).transform("first"))


def of_subjects(frames: Frames, source: EligibilityRule, reference: str, measurand: str) -> pd.Series:
    """The value a rule looks at, for every subject: age at enrolment, a measurand at the first visit that has it."""
    if source.attribute is not None:
        return attribute(frames, source.attribute)
    values = at_visits(frames, source, reference, measurand)
    return values.groupby(frames.visits["subject"]).first().reindex(frames.subjects.index)


def attribute(frames: Frames, name: str) -> pd.Series:
    """A column of the subjects. Raises `DataError` where the study has no such attribute.

    Where nobody looked whether subjects were in training data, no predictions are there to be judged by it.
    """
    if name == IN_TRAINING and name not in frames.subjects:
        return pd.Series("no", index=frames.subjects.index, dtype="str")
    if name not in frames.subjects:
        known = [column for column in frames.subjects.columns if column != "subject_id"]
        raise DataError(f"The subjects of the study have no attribute '{name}'.", remedy=suggestion(name, known))
    return frames.subjects[name]


def plain_text(value: object) -> str:
    """A value of an attribute as text: 1, 1.0 and "1" are the same, and so are True and "true"."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | float | np.number):
        return f"{float(value):.15g}"
    text = str(value).strip()
    return {"True": "true", "False": "false"}.get(text, text)
