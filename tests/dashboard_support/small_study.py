"""A small study with everything that the dashboard shows, put into the registry without an ingest or a network."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import cv2
import numpy as np
from sqlalchemy import insert

from models.avatar.outline import seen_by_phone
from models.body import open_body
from studies.plan import load_template, plan_from_document
from studies.registry import audit
from studies.registry.catalogue import create_study, find_study, lock_plan
from studies.registry.schema import (
    Device,
    IngestBatch,
    Outcome,
    Photo,
    Prediction,
    QuarantinedRow,
    Reading,
    Run,
    Scan,
    Silhouette,
    Site,
    Subject,
    Visit,
)
from studies.registry.workspace import Registry

STUDY = "trial"
_BETAS = 40  # of the open body
_START = datetime(2024, 3, 1, 9)
_PICTURE = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00"
    b"\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)


def make_study(registry: Registry, *, subjects: int = 80, runs: int = 2, name: str = STUDY) -> None:
    """A locked study of `subjects` people at two sites, by DXA, a scale and, in each run, the scan."""
    document = load_template("demo").document()
    document |= {"title": "Scan against DXA", "index": "scan", "comparators": ["scale", "deurenberg"], "resamples": 200}
    document["criteria"] = [
        {"name": "Mean absolute error", "metric": "mae", "at_most": 4, "judged_by": "interval"},
        {"name": "Mean difference", "metric": "bias", "between": [-2, 2], "judged_by": "interval"},
    ]
    create_study(registry, name, plan_from_document(document))
    lock_plan(registry, name)
    rng = np.random.default_rng(7)
    for picture in (_PICTURE, _silhouette()):
        registry.photos.put_content((hashlib.sha256(picture).hexdigest(), "image/png"), picture)
    with registry.writing() as connection:
        study = find_study(connection, name).id
        sites = [_one(connection, Site, study_id=study, code=f"site-{k}") for k in (1, 2)]
        phones = [_one(connection, Device, study_id=study, code=code) for code in ("phone-a", "phone-b")]
        device = _one(connection, Device, study_id=study, code="dxa-1")
        keys = []
        for run in range(1, runs + 1):
            keys.append(
                _one(
                    connection,
                    Run,
                    study_id=study,
                    number=run,
                    status="finished",
                    identity=f"identity {run}",
                    software={"calliper": "0.1.0"},
                    started_at=_START,
                    finished_at=_START + timedelta(hours=1),
                )
            )
        batch = _one(
            connection,
            IngestBatch,
            study_id=study,
            number=1,
            actor="tester",
            status="ingested",
            mapping_name="calliper",
            mapping_hash="0" * 64,
            mapping={},
            sources=[],
            started_at=_START,
            finished_at=_START,
            counts={"readings": {"read": 9, "new": 8, "changed": 0, "rejected": 1, "flagged": 0}},
        )
        connection.execute(
            insert(QuarantinedRow).values(
                study_id=study,
                batch_id=batch,
                fingerprint=f"f{study}",
                source="readings.csv",
                source_row=7,
                content={},
                reasons=[
                    {
                        "rule": "value_not_too_low",
                        "column": "value",
                        "value": "0.3",
                        "reason": "0.3 % is too low",
                        "remedy": "Correct the value.",
                    }
                ],
            )
        )
        for number in range(subjects):
            _person(connection, rng, study, number, sites, phones, device, keys)
        audit.append(connection, [audit.Event("ingest", "study", name, {"batch": 1}, name)])


def _person(
    connection: Any,
    rng: np.random.Generator,
    study: int,
    number: int,
    sites: list[int],
    phones: list[int],
    device: int,
    runs: list[int],
) -> None:
    sex = "FM"[number % 2]
    consent = ("photos", "silhouettes", "none")[number % 3]
    subject = _one(
        connection,
        Subject,
        study_id=study,
        code=f"S-{number:04d}",
        site_id=sites[number % 4 // 2],
        sex=sex,
        age=20.0 + number * 7 % 60,
        consent=consent,
        attributes={"synthetic": "yes"},
        ethnicity=("non_hispanic_white", "mexican_american")[number % 5 // 3],
    )
    fat = float(np.clip(rng.normal(32 if sex == "F" else 24, 7), 8, 52))
    for place, label in enumerate(("baseline", "week-12")[: 1 + (number % 4 == 0)]):
        visit = _one(connection, Visit, subject_id=subject, label=label, sequence=place + 1)
        when = _START + timedelta(days=number + 84 * place)
        now = fat - 2.0 * place
        readings = [
            ("body_fat_percent", "dxa", 1, now, "%"),
            ("body_fat_percent", "scale", 1, now + rng.normal(1, 4), "%"),
            ("weight_kg", "balance", 1, 55 + 0.8 * now + 8 * (sex == "M"), "kg"),
            ("stature_cm", "stadiometer", 1, 164 + 12 * (sex == "M") + rng.normal(0, 5), "cm"),
        ]
        if number % 5:
            readings.append(("waist_cm", "tape", 1, _waist(now, number), "cm"))
        if number % 3 == 0 and place == 0:
            readings.append(("body_fat_percent", "dxa", 2, now + rng.normal(0, 0.6), "%"))
        for measurand, method, replicate, value, unit in readings:
            connection.execute(
                insert(Reading).values(
                    visit_id=visit,
                    measurand=measurand,
                    method=method,
                    device_id=device,
                    replicate=replicate,
                    value=max(float(value), 3.0),
                    unit=unit,
                    measured_at=when,
                )
            )
        scan = _one(
            connection,
            Scan,
            visit_id=visit,
            code="scan-1",
            captured_at=when,
            device_id=phones[number % 2],
            rendered=True,
            attributes={},
        )
        file = (hashlib.sha256(_PICTURE).hexdigest(), "image/png")
        connection.execute(
            insert(Photo).values(
                scan_id=scan,
                view="front",
                sha256=file[0],
                media_type=file[1],
                width=1,
                height=1,
                bytes=len(_PICTURE),
                deleted_at=None,
            )
        )
        for version, run in enumerate(runs, start=1):
            _predicted(
                connection, rng, run, scan, now, number, indeterminate=number % 17 == 5, error=3.2 / version, when=when
            )
        if runs and consent == "silhouettes":
            connection.execute(
                insert(Silhouette).values(
                    scan_id=scan,
                    view="front",
                    sha256=hashlib.sha256(_silhouette()).hexdigest(),
                    media_type="image/png",
                    photo_sha256=file[0],
                    run_id=runs[0],
                    made_at=when,
                )
            )


def _predicted(
    connection: Any,
    rng: np.random.Generator,
    run: int,
    scan: int,
    fat: float,
    number: int,
    *,
    indeterminate: bool,
    error: float,
    when: datetime,
) -> None:
    betas = None if indeterminate else [0.0] * _BETAS
    reason = "front: no person is seen" if indeterminate else None
    connection.execute(
        insert(Outcome).values(
            run_id=run,
            scan_id=scan,
            status="indeterminate" if indeterminate else "determinate",
            reason=reason,
            quality=[{"view": "left", "reason": "pose", "detail": ""}] * 2 if number % 10 == 3 else [],
            betas=betas,
            pose=None if indeterminate else {"front": open_body().scan_pose.tolist()},
            inputs={},
            timings={},
            made_at=when,
        )
    )
    if not indeterminate:
        value = max(3.0, fat + float(rng.normal(0.3, error)))
        girth = _waist(fat, number) + (number % 7 - 2) / 2
        found = {"body_fat_percent": (value, value - 5, value + 5, "%"), "waist_cm": (girth, None, None, "cm")}
        for measurand, (middle, low, high, unit) in found.items():
            connection.execute(
                insert(Prediction).values(
                    run_id=run,
                    scan_id=scan,
                    measurand=measurand,
                    value=middle,
                    low=low,
                    high=high,
                    unit=unit,
                    reason=None,
                    details={},
                )
            )


def _waist(fat: float, number: int) -> float:
    return 60 + 0.8 * fat + number % 11


@cache
def _silhouette() -> bytes:
    """What a phone a little off the middle sees of the body that every scan is said to be of."""
    body = open_body()
    seen = seen_by_phone(np.zeros(_BETAS), body.scan_pose, "front", body)
    width = seen.shape[1]
    middle = seen[:, width // 4 : width * 3 // 4]
    small = cv2.resize(np.roll(middle, 40, axis=1), (192, 256), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", small)[1].tobytes()


def _one(connection: Any, table: Any, **values: Any) -> int:
    return connection.execute(insert(table).values(**values).returning(table.id)).scalar_one()
