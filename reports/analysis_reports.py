"""Reports on one side of an analysis: fairness, precision, and the checklists. Their results are the analysis' own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

from reports.bound import Bound
from reports.checklists.filled import checklists
from reports.document import Document, Facts, Section
from reports.kinds import Made, Order
from reports.sections.change import change
from reports.sections.common import document
from reports.sections.deviations import deviations
from reports.sections.fairness import fairness
from reports.sections.intended_use import protocol
from reports.sections.precision import precision
from reports.sections.provenance import provenance
from reports.sections.subgroups import subgroups
from reports.sections.summary import known_first, title_facts
from reports.validation_report import analysis_of, body
from reports.wording import sentence

if TYPE_CHECKING:
    from studies.analysis import StudyAnalysis
    from studies.progress import Progress
    from studies.registry.workspace import Registry


def build_fairness(registry: Registry, order: Order, progress: Progress) -> Made:
    return _made("fairness", fairness_document, registry, order, progress)


def build_precision(registry: Registry, order: Order, progress: Progress) -> Made:
    return _made("precision", precision_document, registry, order, progress)


def build_checklists(registry: Registry, order: Order, progress: Progress) -> Made:
    return _made("checklists", checklists_document, registry, order, progress)


def _made(kind: str, make: Callable[..., Document], registry: Registry, order: Order, progress: Progress) -> Made:
    analysis = analysis_of(registry, order, progress)
    plan = analysis.results["plan"].get("version")
    return Made(
        kind, analysis.results, lambda created: make(analysis, created=created), plan_version=plan, index=order.index
    )


def fairness_document(analysis: StudyAnalysis, *, created: dt.datetime | None = None) -> Document:
    """Is everyone measured equally well? Groups, tests between them, and verdicts."""
    report = Bound(analysis.results, analysis.pairs)
    sections = (subgroups(report), fairness(report), deviations(report), provenance(report))
    return _document(report, "Fairness report", "Errors by group of people", sections, created)


def precision_document(analysis: StudyAnalysis, *, created: dt.datetime | None = None) -> Document:
    """How far each method differs from itself, and whether it follows change."""
    report = Bound(analysis.results, analysis.pairs)
    sections = (precision(report), change(report), deviations(report), provenance(report))
    return _document(report, "Precision report", "Repeated measurements and change over time", sections, created)


def checklists_document(analysis: StudyAnalysis, *, created: dt.datetime | None = None) -> Document:
    """The checklists by themselves; their places are in the validation report."""
    report = Bound(analysis.results, analysis.pairs)
    filled = checklists(report, body(report), linked=False)
    sections = (*_split(filled), protocol(report), provenance(report))
    return _document(
        report, "Checklists", "Reporting guidelines, filled from study, plan and protocol", sections, created
    )


def _split(filled: Section) -> tuple[Section, ...]:
    """A document of checklists has each of them as a section of its own."""
    inner = [part for part in filled.blocks if isinstance(part, Section)]
    rest = tuple(part for part in filled.blocks if not isinstance(part, Section))
    return (Section(filled.id, "Overview", rest), *inner)


def _document(
    report: Bound, kind: str, subtitle: str, sections: tuple[Section, ...], created: dt.datetime | None
) -> Document:
    facts: Facts = title_facts(report)
    first = known_first(report)
    what = f"{subtitle}: {sentence(report.measurand)}, {report.label(report.index)} against {report.reference}"
    return document(report, kind, what, (*first, *sections), facts=facts, created=created)
