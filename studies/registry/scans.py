"""The scans of a study and what became of each in a run: what an analysis needs to count failures."""

from __future__ import annotations

import hashlib

import pandas as pd
from sqlalchemy import Connection, and_, select

from studies.registry.schema import Device, Outcome, Prediction, Run, Scan, Subject, Visit

COLUMNS = (
    "subject_id", "visit", "scan", "captured_at", "device", "rendered", "status", "reason", "value", "low", "high",
)  # fmt: skip


def study_scans(connection: Connection, study_id: int, measurand: str, run_number: int | None) -> pd.DataFrame:
    """One row a scan, in the order of subjects, visits and scans, with the columns of `COLUMNS`.

    status, reason: of the outcome in the run, missing where the run has not looked at it or there is no run.
    value, low, high: its prediction of `measurand`; low and high bound it with 90 % probability.
    """
    run = select(Run.id).where(Run.study_id == study_id, Run.number == run_number).scalar_subquery()
    query = (
        select(
            Subject.code, Visit.label, Scan.code, Scan.captured_at, Device.code, Scan.rendered, Outcome.status,
            Outcome.reason, Prediction.value, Prediction.low, Prediction.high,
        )
        .select_from(Scan)
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .join(Device, Scan.device_id == Device.id)
        .outerjoin(Outcome, and_(Outcome.scan_id == Scan.id, Outcome.run_id == run))
        .outerjoin(
            Prediction,
            and_(Prediction.scan_id == Scan.id, Prediction.run_id == run, Prediction.measurand == measurand),
        )
        .where(Subject.study_id == study_id)
    )  # fmt: skip
    rows = pd.DataFrame(connection.execute(query).all(), columns=list(COLUMNS))
    text = ["subject_id", "visit", "scan", "device", "status", "reason"]
    rows = rows.astype({**dict.fromkeys(text, "str"), **dict.fromkeys(["value", "low", "high"], "float64")})
    rows["captured_at"] = pd.to_datetime(rows["captured_at"]).astype("datetime64[us]")
    return rows.sort_values(["subject_id", "visit", "scan"], ignore_index=True)


def scans_hash(scans: pd.DataFrame) -> str:
    """SHA-256 of what the scans and their outcomes say."""
    digest = hashlib.sha256("\n".join(scans.columns).encode())
    digest.update(pd.util.hash_pandas_object(scans, index=False).to_numpy().tobytes())
    return digest.hexdigest()
