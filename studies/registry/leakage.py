"""Whether a checkpoint was trained on subjects of a study: figures from such subjects flatter it.

Cards list hashes of "DATASET:SUBJECT_ID" (`models.checkpoints.leakage`). The subjects of a study are looked up under
the study's name and under the names of the mappings that its data came in by: `nhanes-1999` is the same data set in
every registry, whatever a study of it is called.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from sqlalchemy import Connection, func, select

from models.checkpoints.card import Card
from models.checkpoints.leakage import trained_on
from studies.errors import PlanError
from studies.plan_model import IN_TRAINING, Plan
from studies.registry.catalogue import StudyRecord, current_plan, find_study
from studies.registry.checkpoints import all_checkpoints, card_of_row
from studies.registry.frames import finished_run
from studies.registry.schema import Checkpoint, IngestBatch, Prediction, Run, RunCheckpoint, Scan, Subject, Visit
from studies.registry.workspace import Registry

LEAKAGE = "Leakage:"
"""How a note begins that says that figures are of subjects whom a checkpoint was trained on."""


@dataclass(frozen=True)
class Leak:
    """`leaked` of the `subjects` of a study were in the training data of a checkpoint (NAME@VERSION)."""

    study: str
    checkpoint: str
    leaked: int
    subjects: int

    def __str__(self) -> str:
        share = _share(self.leaked, self.subjects)
        return (
            f"{share[0].upper()}{share[1:]} subjects of the study '{self.study}' were in the training data of "
            f"{self.checkpoint}: how well it does on them is not how well it does on people it has not seen."
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _share(part: int, whole: int) -> str:
    return f"all {whole:,}" if part == whole else f"{part:,} of the {whole:,}"


def leaked_subjects(registry: Registry, study: str, card: Card, *, datasets: Sequence[str] = ()) -> set[str]:
    """The subjects of a study whom the checkpoint of this card was trained on.

    datasets: further names under which they may have been hashed. Raises UsageError for an unknown study.
    """
    with registry.reading() as connection:
        return _leaked(connection, find_study(connection, study), card, datasets)[0]


def leaks_of(registry: Registry, study: str, cards: Collection[Card], *, datasets: Sequence[str] = ()) -> list[Leak]:
    """Which of these checkpoints were trained on subjects of a study. Raises UsageError for an unknown study."""
    with registry.reading() as connection:
        record = find_study(connection, study)
        return _leaks(connection, record, cards, datasets)


def leaks_of_study(registry: Registry, study: str) -> list[Leak]:
    """Which of the checkpoints that a workspace offers were trained on subjects of a study."""
    return leaks_of(registry, study, [record.card for record in all_checkpoints(registry)])


def run_leak_notes(
    connection: Connection,
    study: StudyRecord,
    predicted: Collection[str],
    *,
    run_number: int | None = None,
    left_out: bool = False,
) -> list[str]:
    """A sentence for each checkpoint of a run that was trained on some of the subjects it `predicted`.

    By default of the newest finished run, as in `study_frames`. left_out: the plan leaves these subjects out.
    """
    number = finished_run(connection, study.id) if run_number is None else run_number
    if number is None or not predicted:
        return []
    notes = []
    for card in _cards_of(connection, study, number):
        leaked = _leaked(connection, study, card, ())[0] & set(predicted)
        if not leaked:
            continue
        told = (
            f"{_share(len(leaked), len(predicted))} subjects with predictions were in the training data of "
            f"{card.reference}"
        )
        if left_out:
            notes.append(f"{told[0].upper()}{told[1:]}. The analysis plan leaves them out: they are in no figure here.")
        else:
            notes.append(
                f"{LEAKAGE} {told}. How the scan agrees with the reference in them is not how it agrees in people "
                "it has not seen, and no claim may rest on it."
            )
    return notes


def notes_of_run(connection: Connection, study: StudyRecord, run_number: int) -> list[str]:
    """`run_leak_notes` on all whom a run has predicted."""
    predicted = (
        select(Subject.code)
        .join(Visit, Visit.subject_id == Subject.id)
        .join(Scan, Scan.visit_id == Visit.id)
        .join(Prediction, Prediction.scan_id == Scan.id)
        .join(Run, Prediction.run_id == Run.id)
        .where(Run.study_id == study.id, Run.number == run_number)
        .distinct()
    )
    people = connection.execute(predicted).scalars().all()
    left_out = current_plan(connection, study.id).plan.leaves_out_trained
    return run_leak_notes(connection, study, people, run_number=run_number, left_out=left_out)


def mark_trained(
    connection: Connection, study: StudyRecord, plan: Plan, subjects: pd.DataFrame, runs: Collection[int]
) -> pd.DataFrame:
    """The subjects with the column `IN_TRAINING`, if the plan reads it.

    "yes" for those in the training data of any checkpoint of these runs (by number), else "no". Raises PlanError where
    the study has an attribute of this name already.
    """
    if IN_TRAINING not in plan.attributes:
        return subjects
    if IN_TRAINING in subjects:
        raise PlanError(
            f"The subjects of the study have an attribute '{IN_TRAINING}' of their own, so that the plan's is not "
            "clear: it says who was in the training data of a checkpoint.",
            remedy="Give the attribute another name in the mapping, and ingest again.",
        )
    cards = [card for number in runs for card in _cards_of(connection, study, number)]
    trained = set().union(*(_leaked(connection, study, card, ())[0] for card in cards))
    marks = subjects["subject_id"].isin(trained).map({True: "yes", False: "no"}).astype("str")
    return subjects.assign(**{IN_TRAINING: marks})


def _cards_of(connection: Connection, study: StudyRecord, run: int) -> list[Card]:
    """The cards of the checkpoints of a run, by its number."""
    rows = connection.execute(
        select(Checkpoint.__table__)
        .join(RunCheckpoint, RunCheckpoint.checkpoint_id == Checkpoint.id)
        .join(Run, RunCheckpoint.run_id == Run.id)
        .where(Run.study_id == study.id, Run.number == run)
        .order_by(Checkpoint.name, Checkpoint.version)
    )
    return [card_of_row(row) for row in rows]


def leaked_counts(connection: Connection, study: StudyRecord, card: Card) -> tuple[int, int]:
    """How many subjects of a study were in the training data of a checkpoint, and how many the study has."""
    leaked, subjects = _leaked(connection, study, card, ())
    if not subjects:
        counted = select(func.count()).select_from(Subject).where(Subject.study_id == study.id)
        subjects = connection.execute(counted).scalar_one()
    return len(leaked), subjects


def _leaks(connection: Connection, study: StudyRecord, cards: Collection[Card], datasets: Sequence[str]) -> list[Leak]:
    found = []
    for card in cards:
        leaked, total = _leaked(connection, study, card, datasets)
        if leaked:
            found.append(Leak(study.name, card.reference, len(leaked), total))
    return found


def _leaked(connection: Connection, study: StudyRecord, card: Card, datasets: Sequence[str]) -> tuple[set[str], int]:
    """The leaked subjects, and how many subjects the study has."""
    if not card.training.subject_hashes:
        return set(), 0
    subjects = connection.execute(select(Subject.code).where(Subject.study_id == study.id)).scalars().all()
    mappings = select(IngestBatch.mapping_name).where(IngestBatch.study_id == study.id).distinct()
    names = {study.name, *connection.execute(mappings).scalars(), *datasets}
    found: set[str] = set()
    for name in names:
        found |= trained_on(card, name, subjects)
    return found, len(subjects)
