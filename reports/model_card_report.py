"""Model cards of the checkpoints that a study uses."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from reports.document import Document, List, Paragraph, Section
from reports.kinds import Kept, Made, Order
from reports.sections.common import bound, document
from reports.sections.model_cards import model_cards
from reports.sections.provenance import provenance

if TYPE_CHECKING:
    from studies.progress import Progress
    from studies.registry.workspace import Registry


def build(registry: Registry, order: Order, progress: Progress) -> Made:
    """The cards of the checkpoints of a run (by default the newest); without a run, of those that are current."""
    inputs, erasures = _inputs(registry, order)
    results = card_results(inputs)
    return Made(
        "model-card", results, lambda created: model_card_document(results, created=created),
        kept=Kept(lambda: inputs, erasures),
    )  # fmt: skip


def _inputs(registry: Registry, order: Order) -> tuple[dict[str, Any], int]:
    """All that the results are made of, which is of no single person; and how many people were erased by then."""
    from studies.registry.cards import current_cards, run_cards
    from studies.registry.catalogue import find_study
    from studies.registry.erasures import erasure_count
    from studies.registry.frames import finished_run
    from studies.registry.provenance import study_provenance
    from studies.registry.runs import find_run

    with registry.reading() as connection:
        study = find_study(connection, order.study)
        number = finished_run(connection, study.id) if order.run is None else order.run
        found = None if number is None else find_run(connection, study.id, number)
        cards = None if found is None else run_cards(connection, study, found.id)
        notes = study_provenance(connection, study.id)
        erasures = erasure_count(connection, order.study)
    inputs = {
        "study": {"name": study.name, "title": study.title},
        "run": None if found is None else {"number": found.number},
        "cards": current_cards(registry, study) if cards is None else cards,
        "notes": notes,
    }
    return inputs, erasures


def card_results(inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """The results of model cards, from their inputs: the cards of then, and whom the study shared with training."""
    from studies.analysis import calliper_version

    return {"calliper": calliper_version(), **{name: inputs[name] for name in ("study", "run", "cards", "notes")}}


def model_card_document(results: dict[str, Any], *, created: dt.datetime | None = None) -> Document:
    """The cards as a document."""
    report = bound(results)
    if not results["cards"]:
        text = "No run of this study has used a checkpoint, and no checkpoint is the current one."
    elif results["run"] is None:
        text = "No run of this study is finished. These are the checkpoints that a run would use: the current ones."
    else:
        text = f"The checkpoints of run {results['run']['number']}."
    blocks: list[Any] = [Paragraph(text, lead=True)]
    if report.notes:
        blocks.append(List(tuple(report.notes)))
    sections = [Section("summary", "Summary", tuple(blocks))]
    if results["cards"]:
        sections += [part for part in model_cards(report, ("cards",)).blocks if isinstance(part, Section)]
    sections.append(provenance(report))
    return document(report, "Model cards", "What is in use, and what it cannot do", sections, created=created)
