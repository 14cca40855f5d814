"""Avatars of a study, on demand from the betas that a run stored; and the checkpoints for an avatar of photos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, or_, select

from models.checkpoints.files import WEIGHTS, read_card
from studies.errors import DataError, ModelError, UsageError
from studies.registry import audit
from studies.registry.catalogue import find_study
from studies.registry.checkpoints import (
    CURRENT,
    CheckpointRecord,
    all_checkpoints,
    find_checkpoint,
    packaged_records,
    resolve,
)
from studies.registry.frames import finished_run
from studies.registry.runs import checkpoints_of, find_run
from studies.registry.schema import Outcome, Prediction, Reading, Scan, Subject, Visit
from studies.registry.workspace import URL_VARIABLE, Registry, open_registry

KINDS = ("segmenter", "avatar", "estimator")
_SHOWN = 5


# Checkpoints ----------------------------------------------------------------------------------------------------------


def choose_checkpoints(workspace: Path, references: Sequence[str]) -> dict[str, CheckpointRecord]:
    """Kind -> checkpoint for an avatar of photos, without a change to any registry.

    references: paths of weights, NAME@VERSION, or aliases, which stand for the checkpoints of all kinds that have it.
    Kinds that are not named are `current`: of the workspace, where there is one, else as packaged. Raises ModelError
    where segmenter or avatar are missing or something is named that is not there, UsageError where two are of one kind.
    """
    if (workspace / "registry.db").is_file() or os.environ.get(URL_VARIABLE):
        with open_registry(workspace) as registry:
            return _choose(all_checkpoints(registry), references, registry)
    return _choose(packaged_records(), references, None)


def _choose(
    offered: list[CheckpointRecord], references: Sequence[str], registry: Registry | None
) -> dict[str, CheckpointRecord]:
    chosen: dict[str, CheckpointRecord] = {}
    for reference in references:
        for record in _meant(offered, reference, registry):
            kind = record.card.kind
            if kind in chosen and chosen[kind].path != record.path:
                raise UsageError(
                    f"'{chosen[kind].reference}' and '{reference}' are both checkpoints of the kind '{kind}'.",
                    remedy="An avatar needs one of each kind.",
                )
            chosen[kind] = record
    for record in offered:
        if record.card.kind not in chosen and CURRENT in record.aliases:
            chosen[record.card.kind] = record
    missing = [kind for kind in ("segmenter", "avatar") if kind not in chosen]
    if missing:
        kinds = " and ".join(f"'{kind}'" for kind in missing)
        raise ModelError(
            f"An avatar of photos needs a checkpoint of the kind {kinds}: none was named, and none is packaged with "
            "this version.",
            remedy="Name its file with --checkpoint FILE.safetensors, or add it to a workspace (calliper checkpoint "
            "add FILE) and name it with --checkpoint NAME@VERSION. docs/checkpoints.md says how they are made.",
        )
    return {kind: chosen[kind] for kind in KINDS if kind in chosen}


def _meant(offered: list[CheckpointRecord], reference: str, registry: Registry | None) -> list[CheckpointRecord]:
    """The checkpoints that a reference stands for."""
    path = Path(reference)
    if path.suffix == WEIGHTS:
        return [CheckpointRecord(read_card(path), path)]
    found = []
    for kind in KINDS:
        of_kind = [record for record in offered if record.card.kind == kind]
        try:
            record = find_checkpoint(of_kind, reference, kind)
        except ModelError:
            continue
        found.append(record if registry is None else resolve(registry, reference, kind=kind))
    return found or [find_checkpoint(offered, reference, None)]  # which says what is wrong with it


# Avatars that a run has made ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StoredAvatar:
    """What a run found of a scan: betas, predictions (measurand -> value, low, high), and what it is known by.

    weight_kg: the first reading at the scan's visit, None where the person was not weighed then.
    checkpoints: kind -> name (NAME@VERSION) and SHA-256 of the weights.
    """

    study: str
    run: int
    subject: str
    visit: str
    scan: str
    sex: str | None
    weight_kg: float | None
    rendered: bool
    betas: list[float]
    predictions: dict[str, tuple[float, float | None, float | None]]
    checkpoints: dict[str, dict[str, str]]
    software: dict[str, str]
    views: tuple[str, ...]
    quality: tuple[dict[str, Any], ...]

    @property
    def key(self) -> str:
        """SUBJECT/VISIT/SCAN."""
        return f"{self.subject}/{self.visit}/{self.scan}"


def stored_avatar(registry: Registry, study_name: str, scan: str, *, run: int | None = None) -> StoredAvatar:
    """The avatar of a scan in a run, by default the newest that is finished.

    scan: SUBJECT, SUBJECT/VISIT, SUBJECT/VISIT/SCAN, or the scan's own identifier. Raises UsageError where that stands
    for no scan or for several, DataError where the run made no avatar of it.
    """
    with registry.reading() as connection:
        study = find_study(connection, study_name)
        number = finished_run(connection, study.id) if run is None else run
        if number is None:
            raise DataError(
                f"The study '{study_name}' has no finished run, so no avatar is there yet.",
                remedy=f"Make one first: calliper run {study_name}",
            )
        found = find_run(connection, study.id, number)
        row = _one_scan(_scans(connection, study.id, found.id, scan), study_name, scan)
        key = f"{row.subject}/{row.visit}/{row.scan}"
        if row.betas is None:
            raise DataError(_why_none(row, key, number), remedy="Choose another scan or, with --run, another run.")
        predictions = select(Prediction.measurand, Prediction.value, Prediction.low, Prediction.high).where(
            Prediction.run_id == found.id, Prediction.scan_id == row.id, Prediction.value.is_not(None)
        )
        return StoredAvatar(
            study=study_name, run=number, subject=row.subject, visit=row.visit, scan=row.scan, sex=row.sex,
            weight_kg=_mass(connection, row.visit_id), rendered=row.rendered, betas=[float(beta) for beta in row.betas],
            predictions={each.measurand: (each.value, each.low, each.high) for each in connection.execute(predictions)},
            checkpoints={
                each["kind"]: {"name": f"{each['name']}@{each['version']}", "sha256": each["card"]["weights_sha256"]}
                for each in checkpoints_of(connection, found.id)
            },
            software=dict(found.software), views=tuple(row.pose or ()), quality=tuple(row.quality or ()),
        )  # fmt: skip


def _scans(connection: Connection, study_id: int, run_id: int, words: str) -> list[Any]:
    """The scans that the words may stand for, with their outcomes in the run."""
    by_visit = Subject.code + "/" + Visit.label
    query = (
        select(
            Scan.id, Scan.visit_id, Subject.code.label("subject"), Visit.label.label("visit"),
            Scan.code.label("scan"), Subject.sex, Scan.rendered, Outcome.status, Outcome.reason, Outcome.betas,
            Outcome.pose, Outcome.quality,
        )
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .outerjoin(Outcome, (Outcome.scan_id == Scan.id) & (Outcome.run_id == run_id))
        .where(
            Subject.study_id == study_id,
            or_(Subject.code == words, by_visit == words, by_visit + "/" + Scan.code == words, Scan.code == words),
        )
        .order_by(Subject.code, Visit.label, Scan.code)
    )  # fmt: skip
    rows = list(connection.execute(query))
    # A subject's code goes before a scan's that happens to be the same.
    return [row for row in rows if row.subject == words] or rows


def _mass(connection: Connection, visit_id: int) -> float | None:
    query = select(Reading.value).where(Reading.visit_id == visit_id, Reading.measurand == "weight_kg")
    order = (Reading.measured_at, Reading.replicate, Reading.method, Reading.id)
    return connection.execute(query.order_by(*order).limit(1)).scalar_one_or_none()


def _one_scan(rows: list[Any], study_name: str, words: str) -> Any:
    if not rows:
        raise UsageError(
            f"The study '{study_name}' has no scan '{words}'.",
            remedy="Name a subject who has one scan, SUBJECT/VISIT, or SUBJECT/VISIT/SCAN.",
        )
    if len(rows) > 1:
        listed = ", ".join(f"{row.subject}/{row.visit}/{row.scan}" for row in rows[:_SHOWN])
        more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        raise UsageError(f"'{words}' stands for {len(rows)} scans.", remedy=f"Say which: {listed}{more}.")
    return rows[0]


def _why_none(row: Any, key: str, run: int) -> str:
    if row.status is None:
        return f"Run {run} has not looked at the scan {key}."
    if row.status != "determinate":
        return f"In run {run} the scan {key} is {row.status}: {row.reason}."
    return f"Run {run} made no avatar of the scan {key}: it had no checkpoint of that kind, or no stature."


def note_export(
    connection: Connection, avatar: StoredAvatar, files: Sequence[dict[str, str]], body_fat_percent: float | None
) -> None:
    """Put into the audit trail that an avatar left the registry. files: name and sha256 of each."""
    detail = {"run": avatar.run, "files": list(files), "body_fat_percent": body_fat_percent}
    event = audit.Event("export", "avatar", avatar.key, detail, avatar.study, avatar.subject)
    audit.append(connection, [event])
