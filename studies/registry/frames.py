"""The registry as pandas frames: what pairing, analysis and reports read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sqlalchemy import Connection, case, func, null, select

from studies.registry.schema import Device, Prediction, Reading, Run, RunCheckpoint, Scan, Site, Subject, Visit

_SUBJECT = ["subject_id", "site", "sex", "age", "enrolled_on", "ethnicity", "consent"]
_ROWS = 100_000


@dataclass(frozen=True)
class StudyFrames:
    """All subjects, visits and measurements of a study, and a hash of what they say (not of when it came in)."""

    subjects: pd.DataFrame
    visits: pd.DataFrame
    measurements: pd.DataFrame
    sha256: str


def study_frames(connection: Connection, study_id: int, *, run_number: int | None = None) -> StudyFrames:
    """Read a study. Predictions are those of `run_number`, by default of the newest finished run."""
    subjects = _subjects(connection, study_id)
    measurements = pd.concat(
        [part for part in (_readings(connection, study_id), _predictions(connection, study_id, run_number)) if len(part)]
        or [_readings(connection, study_id)],
        ignore_index=True,
    )
    visits = _visits(connection, study_id, measurements)
    return StudyFrames(subjects, visits, measurements, _content_hash(subjects, measurements))


def _subjects(connection: Connection, study_id: int) -> pd.DataFrame:
    rows = connection.execute(
        select(
            Subject.code, Site.code, Subject.sex, Subject.age, Subject.birth_date, Subject.enrolled_on,
            Subject.ethnicity, Subject.consent, Subject.attributes,
        )
        .outerjoin(Site, Subject.site_id == Site.id)
        .where(Subject.study_id == study_id)
        .order_by(Subject.code)
    ).all()  # fmt: skip
    columns = ["subject_id", "site", "sex", "age", "birth_date", "enrolled_on", "ethnicity", "consent", "attributes"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["age"] = _age(frame)
    frame["enrolled_on"] = pd.to_datetime(frame["enrolled_on"]).astype("datetime64[us]")
    kept = pd.DataFrame(frame.pop("attributes").tolist(), index=frame.index)
    kept = kept.drop(columns=[name for name in kept.columns if name in frame.columns])
    text = {name: "str" for name in ("subject_id", "site", "sex", "ethnicity", "consent")}
    return pd.concat([frame.astype(text)[_SUBJECT], kept[sorted(kept.columns)]], axis=1)


def _age(frame: pd.DataFrame) -> pd.Series:
    """Age in years at enrolment: as given, else from the dates."""
    born, enrolled = (pd.to_datetime(frame[name]) for name in ("birth_date", "enrolled_on"))
    by_dates = (enrolled - born).dt.total_seconds() / (365.25 * 86400)
    return frame["age"].astype("float64").fillna(by_dates.astype("float64"))


def _readings(connection: Connection, study_id: int) -> pd.DataFrame:
    query = (
        select(
            Reading.id, Subject.code, Visit.label, Reading.measured_at, Reading.measurand, Reading.method, Device.code,
            Reading.value, Reading.unit, Reading.replicate, Reading.flags,
        )
        .join_from(Reading, Visit, Reading.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .join(Device, Reading.device_id == Device.id)
        .where(Subject.study_id == study_id)
    )  # fmt: skip
    return _measurements(connection, query, "reading")


def _predictions(connection: Connection, study_id: int, run_number: int | None) -> pd.DataFrame:
    finished = select(func.max(Run.number)).where(Run.study_id == study_id, Run.finished_at.is_not(None))
    number = run_number if run_number is not None else connection.execute(finished).scalar_one()
    if number is None:
        return pd.DataFrame()
    query = (
        select(
            Prediction.id, Subject.code, Visit.label, Scan.captured_at, Prediction.measurand,
            case((Prediction.id.is_not(None), "scan")), Device.code, Prediction.value, Prediction.unit,
            func.row_number().over(partition_by=(Scan.visit_id, Prediction.measurand), order_by=Scan.code), null(),
        )
        .join_from(Prediction, Run, Prediction.run_id == Run.id)
        .join(Scan, Prediction.scan_id == Scan.id)
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .join(Device, Scan.device_id == Device.id)
        .where(Run.study_id == study_id, Run.number == number, Prediction.value.is_not(None))
    )  # fmt: skip
    return _measurements(connection, query, "prediction")


def _measurements(connection: Connection, query: Any, kind: str) -> pd.DataFrame:
    columns = [
        "measurement_id", "subject_id", "visit", "measured_at", "measurand", "method", "device", "value", "unit",
        "replicate", "flags",
    ]  # fmt: skip
    text = {name: "str" for name in ("subject_id", "visit", "measurand", "method", "device", "unit", "flags")}
    types = {**text, "measurement_id": "int64", "value": "float64", "replicate": "int64"}
    parts = []
    for rows in connection.execution_options(yield_per=_ROWS).execute(query).partitions(_ROWS):
        part = pd.DataFrame(rows, columns=columns)
        part["measured_at"] = pd.to_datetime(part["measured_at"]).astype("datetime64[us]")
        parts.append(part.astype(types))
    if not parts:
        frame = pd.DataFrame(columns=columns).astype({**types, "measured_at": "datetime64[us]"})
    else:
        frame = pd.concat(parts, ignore_index=True)
    return frame.assign(kind=kind)


def _visits(connection: Connection, study_id: int, measurements: pd.DataFrame) -> pd.DataFrame:
    rows = connection.execute(
        select(Subject.code, Visit.label, Visit.sequence)
        .join_from(Visit, Subject, Visit.subject_id == Subject.id)
        .where(Subject.study_id == study_id)
        .order_by(Subject.code, Visit.label)
    ).all()
    frame = pd.DataFrame(rows, columns=["subject_id", "visit", "sequence"])
    frame = frame.astype({"subject_id": "str", "visit": "str", "sequence": "Int64"})
    dates = measurements.groupby(["subject_id", "visit"], as_index=False)["measured_at"].min()
    frame = frame.merge(dates.rename(columns={"measured_at": "date"}), how="left", on=["subject_id", "visit"])
    frame["date"] = frame["date"].astype("datetime64[us]").dt.normalize()
    return frame[["subject_id", "visit", "date", "sequence"]]


def _content_hash(subjects: pd.DataFrame, measurements: pd.DataFrame) -> str:
    """SHA-256 over the canonical text of both tables, whatever the order and the keys in the database."""
    digest = hashlib.sha256()
    for frame in (subjects, measurements.drop(columns=["measurement_id", "flags"])):
        columns = sorted(frame.columns)
        hashes = pd.util.hash_pandas_object(frame[columns], index=False).sort_values()
        digest.update("\n".join(columns).encode())
        digest.update(hashes.to_numpy().tobytes())
    return digest.hexdigest()


def run_checkpoints(connection: Connection, run_id: int) -> list[int]:
    """Keys of the checkpoints of a run."""
    return list(connection.execute(select(RunCheckpoint.checkpoint_id).where(RunCheckpoint.run_id == run_id)).scalars())
