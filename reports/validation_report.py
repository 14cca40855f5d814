"""The validation report: what a study shows, from its results alone.

Every number in prose and tables is bound to its place in the results; what is missing is said to be missing, with the
reason that the analysis gives.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.bound import Bound
from reports.checklists.filled import checklists
from reports.document import Document, Section
from reports.kinds import Made, Order
from reports.sections.agreement import agreement
from reports.sections.body_measurements import body_measurements
from reports.sections.calibration import calibration
from reports.sections.change import change
from reports.sections.comparisons import comparisons
from reports.sections.decisions import decisions
from reports.sections.deviations import deviations
from reports.sections.fairness import fairness
from reports.sections.intended_use import intended_use, protocol
from reports.sections.methods import methods
from reports.sections.model_cards import model_cards
from reports.sections.participants import exclusions, participants
from reports.sections.precision import precision
from reports.sections.provenance import provenance
from reports.sections.scans import scans
from reports.sections.sensitivity import sensitivity
from reports.sections.subgroups import subgroups
from reports.sections.summary import summary, title_facts
from reports.wording import sentence
from reports.writing import FORMATS, write_made

if TYPE_CHECKING:
    from studies.analysis import StudyAnalysis
    from studies.progress import Progress
    from studies.registry.workspace import Registry


def build(registry: Registry, order: Order, progress: Progress) -> Made:
    """The validation report of a registered study."""
    return made(analysis_of(registry, order, progress), index=order.index)


def analysis_of(registry: Registry, order: Order, progress: Progress) -> StudyAnalysis:
    """The analysis that was asked for; one without a single pair is reported, too."""
    from studies.registry.analysis import analyze_study

    return analyze_study(registry, order.study, index=order.index, run=order.run, empty=True, progress=progress)


def made(analysis: StudyAnalysis, *, index: str | None = None) -> Made:
    """The validation report of an analysis, ready to be written."""
    results = analysis.results
    return Made(
        "validation",
        results,
        lambda created: validation_report(analysis, created=created),
        plan_version=results["plan"].get("version"),
        index=index,
    )


def write_report(
    analysis: StudyAnalysis,
    out_dir: Path | str,
    formats: Iterable[str] = FORMATS,
    *,
    created: dt.datetime | None = None,
) -> dict[str, Path]:
    """Write the validation report of an analysis into a folder, as `reports.writing.write_made` does."""
    return write_made(made(analysis), out_dir, formats, created=created)


def validation_report(analysis: StudyAnalysis, *, created: dt.datetime | None = None) -> Document:
    """The validation report of a study as a document."""
    report = Bound(analysis.results, analysis.pairs)
    results = analysis.results
    title = results["study"].get("title") or results["study"]["name"]
    version = results.get("calliper", {}).get("version", "")
    sections = body(report)
    return Document(
        title=title,
        kind="Validation report",
        subtitle=f"{sentence(report.measurand)}: {report.label(report.index)} against {report.reference}",
        facts=title_facts(report),
        banner=report.banner,
        footer=f"Calliper {version} · plan {_short(results['plan'].get('hash'))} · "
        f"data {_short(results['data'].get('hash'))}",
        created=created,
        keywords=("method comparison", "agreement", report.measurand),
        sections=(*sections, checklists(report, sections)),
    )


def body(report: Bound) -> tuple[Section, ...]:
    """The sections of the validation report, but for the checklists that point to them."""
    return (
        summary(report),
        intended_use(report),
        participants(report),
        scans(report),
        methods(report),
        model_cards(report),
        agreement(report),
        decisions(report),
        comparisons(report),
        subgroups(report),
        fairness(report),
        precision(report),
        change(report),
        body_measurements(report),
        sensitivity(report),
        calibration(report),
        exclusions(report),
        deviations(report),
        protocol(report),
        provenance(report),
    )


def _short(value: Any) -> str:
    return str(value)[:12] if value else "unknown"
