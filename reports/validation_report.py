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
from reports.document import Document
from reports.files import write_files
from reports.results import results_json
from reports.sections.agreement import agreement
from reports.sections.comparisons import comparisons
from reports.sections.methods import methods
from reports.sections.participants import exclusions, participants
from reports.sections.provenance import provenance
from reports.sections.subgroups import subgroups
from reports.sections.summary import summary, title_facts
from reports.wording import listed, sentence
from studies.errors import UsageError

if TYPE_CHECKING:
    from studies.analysis import StudyAnalysis

FORMATS = ("html", "pdf", "json")


def write_report(
    analysis: StudyAnalysis,
    out_dir: Path | str,
    formats: Iterable[str] = FORMATS,
    *,
    created: dt.datetime | None = None,
) -> dict[str, Path]:
    """Write the validation report: report.html, report.pdf and results.json, as `formats` asks. Path by format.

    All files are made before any is written, and each is written whole or not at all. The same analysis gives the same
    bytes. created: date for the files' metadata. Raises `UsageError` for an unknown format, `StorageError` where the
    folder cannot be written.
    """
    wanted = list(dict.fromkeys(formats))
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown or not wanted:
        what = f"'{unknown[0]}' is not a format of the report." if unknown else "No format was asked for."
        raise UsageError(what, remedy=f"Choose from {listed(FORMATS)}.")
    folder = Path(out_dir)
    contents: dict[str, tuple[Path, bytes]] = {}
    document = validation_report(analysis, created=created) if {"html", "pdf"} & set(wanted) else None
    for name in wanted:
        # The writers are imported where they are used: JSON alone needs neither.
        if name == "json":
            contents[name] = (folder / "results.json", results_json(analysis.results))
        elif name == "html" and document is not None:
            from reports.html import render_html

            contents[name] = (folder / "report.html", render_html(document).encode("utf-8"))
        elif document is not None:
            from reports.pdf import render_pdf

            contents[name] = (folder / "report.pdf", render_pdf(document))
    write_files(dict(contents.values()))
    return {name: path for name, (path, _) in contents.items()}


def validation_report(analysis: StudyAnalysis, *, created: dt.datetime | None = None) -> Document:
    """The validation report of a study as a document."""
    report = Bound(analysis.results, analysis.pairs)
    results = analysis.results
    title = results["study"].get("title") or results["study"]["name"]
    version = results.get("calliper", {}).get("version", "")
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
        sections=(
            summary(report),
            participants(report),
            methods(report),
            agreement(report),
            comparisons(report),
            subgroups(report),
            exclusions(report),
            provenance(report),
        ),
    )


def _short(value: Any) -> str:
    return str(value)[:12] if value else "unknown"
