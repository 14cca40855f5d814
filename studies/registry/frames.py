"""The registry as pandas frames: what pairing, analysis and reports read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Select, Text, cast, false, func, literal, null, select

from studies.progress import NoProgress, Progress, Stage
from studies.registry.columns import column_parts
from studies.registry.schema import Device, Prediction, Reading, Run, Scan, Site, Subject, Visit

_TEXT = pa.large_string()
_SUBJECT = pa.schema(
    {
        "subject_id": _TEXT, "site": _TEXT, "sex": _TEXT, "age": pa.float64(), "birth_date": pa.date32(),
        "enrolled_on": pa.date32(), "ethnicity": _TEXT, "consent": _TEXT, "attributes": _TEXT,
    }
)  # fmt: skip
_VISIT = pa.schema({"subject_id": _TEXT, "visit": _TEXT, "sequence": pa.int64()})
_MEASUREMENT = pa.schema(
    {
        "measurement_id": pa.int64(), "subject_id": _TEXT, "visit": _TEXT, "measured_at": pa.timestamp("us"),
        "measurand": _TEXT, "method": _TEXT, "device": _TEXT, "value": pa.float64(), "unit": _TEXT,
        "replicate": pa.int64(), "flags": _TEXT, "rendered": pa.bool_(),
    }
)  # fmt: skip


@dataclass(frozen=True)
class StudyFrames:
    """All subjects, visits and measurements of a study, and a hash of what they say (not of when it came in).

    `rendered` of `measurements`: a prediction of a scan whose photos were rendered.
    """

    subjects: pd.DataFrame
    visits: pd.DataFrame
    measurements: pd.DataFrame
    sha256: str


def study_frames(
    connection: Connection, study_id: int, *, run_number: int | None = None, progress: Progress | None = None
) -> StudyFrames:
    """Read a study. Predictions are those of `run_number`, by default of the newest finished run."""
    readings, predictions = _readings(study_id), _predictions(connection, study_id, run_number)
    total = sum(
        connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        for query in (readings, predictions)
        if query is not None
    )
    progress = progress or NoProgress()
    with progress.stage("Loading", total) as stage:
        measurements = _measurements(connection, readings, "reading", stage)
        if predictions is not None:
            predicted = _measurements(connection, predictions, "prediction", stage)
            measurements = pd.concat([measurements, predicted], ignore_index=True)
    with progress.stage("Ordering"):
        subjects = _subjects(connection, study_id)
        visits = _visits(connection, study_id, measurements)
        return StudyFrames(subjects, visits, measurements, _content_hash(subjects, measurements))


def finished_run(connection: Connection, study_id: int) -> int | None:
    """The number of the newest finished run of a study, if there is one."""
    finished = select(func.max(Run.number)).where(Run.study_id == study_id, Run.finished_at.is_not(None))
    return connection.execute(finished).scalar_one()


def _subjects(connection: Connection, study_id: int) -> pd.DataFrame:
    query = (
        select(
            Subject.code, Site.code.label("site"), Subject.sex, Subject.age, Subject.birth_date, Subject.enrolled_on,
            Subject.ethnicity, Subject.consent, cast(Subject.attributes, Text),
        )
        .outerjoin(Site, Subject.site_id == Site.id)
        .where(Subject.study_id == study_id)
    )  # fmt: skip
    rows = pa.concat_tables(column_parts(connection, query, _SUBJECT)).sort_by("subject_id")
    frame = rows.drop_columns(["attributes"]).to_pandas(date_as_object=False)
    for name in ("birth_date", "enrolled_on"):
        frame[name] = frame[name].astype("datetime64[us]")
    frame["age"] = _age(frame)
    # People of one study have few different attributes, so that each is decoded once.
    attributes = rows["attributes"].combine_chunks().dictionary_encode()
    kept = pd.DataFrame([json.loads(text) for text in attributes.dictionary.to_pylist()])
    kept = kept.drop(columns=[name for name in kept.columns if name in frame.columns])
    kept = kept.take(attributes.indices.to_numpy()).set_axis(frame.index)
    return pd.concat([frame.drop(columns="birth_date"), kept[sorted(kept.columns)]], axis=1)


def _age(frame: pd.DataFrame) -> pd.Series:
    """Age in years at enrolment: as given, else from the dates."""
    by_dates = (frame["enrolled_on"] - frame["birth_date"]).dt.total_seconds() / (365.25 * 86400)
    return frame["age"].fillna(by_dates)


def _readings(study_id: int) -> Select[Any]:
    return (
        select(
            Reading.id, Subject.code, Visit.label, Reading.measured_at, Reading.measurand, Reading.method,
            Device.code.label("device"), Reading.value, Reading.unit, Reading.replicate, Reading.flags, false(),
        )
        .join_from(Reading, Visit, Reading.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .join(Device, Reading.device_id == Device.id)
        .where(Subject.study_id == study_id)
    )  # fmt: skip


def _predictions(connection: Connection, study_id: int, run_number: int | None) -> Select[Any] | None:
    number = run_number if run_number is not None else finished_run(connection, study_id)
    if number is None:
        return None
    return (
        select(
            Prediction.id, Subject.code, Visit.label, Scan.captured_at, Prediction.measurand,
            literal("scan"), Device.code.label("device"), Prediction.value, Prediction.unit,
            func.row_number().over(partition_by=(Scan.visit_id, Prediction.measurand), order_by=Scan.code), null(),
            Scan.rendered,
        )
        .join_from(Prediction, Run, Prediction.run_id == Run.id)
        .join(Scan, Prediction.scan_id == Scan.id)
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .join(Device, Scan.device_id == Device.id)
        .where(Run.study_id == study_id, Run.number == number, Prediction.value.is_not(None))
    )  # fmt: skip


def _measurements(connection: Connection, query: Select[Any], kind: str, stage: Stage) -> pd.DataFrame:
    parts = []
    for part in column_parts(connection, query, _MEASUREMENT):
        parts.append(part)
        stage.advance(part.num_rows)
    return pa.concat_tables(parts).to_pandas().assign(kind=kind)


def _visits(connection: Connection, study_id: int, measurements: pd.DataFrame) -> pd.DataFrame:
    query = (
        select(Subject.code, Visit.label, Visit.sequence)
        .join_from(Visit, Subject, Visit.subject_id == Subject.id)
        .where(Subject.study_id == study_id)
    )
    rows = pa.concat_tables(column_parts(connection, query, _VISIT))
    rows = rows.sort_by([("subject_id", "ascending"), ("visit", "ascending")])
    frame = rows.drop_columns(["sequence"]).to_pandas()
    frame["sequence"] = rows["sequence"].to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
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
