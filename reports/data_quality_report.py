"""The report on the quality of a study's data."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.bound import NOT_SHOWN, Bound
from reports.document import Badge, Column, Document, Inline, List, Paragraph, Row, Section, Table
from reports.kinds import Kept, Made, Order
from reports.sections.common import bound, document
from reports.sections.provenance import provenance
from reports.wording import group_label, measurand_label, method_label, plural, sentence

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from studies.progress import Progress
    from studies.registry.workspace import Registry

_SHOWN = 30


def build(registry: Registry, order: Order, progress: Progress) -> Made:
    """The data-quality report of a registered study, with the outcomes of a run (by default the newest)."""
    from studies.deidentified import recoded
    from studies.registry.erasures import erasure_count

    with registry.reading() as connection:
        inputs = _inputs(connection, order, progress)
        erasures = erasure_count(connection, order.study)
    with progress.stage("Counting"):
        results = quality_results(inputs)

    def frozen() -> dict[str, Any]:
        tables = {name: item for name, item in inputs.items() if isinstance(item, pd.DataFrame)}
        return {**inputs, **recoded(tables, inputs["minimum_cell"])}

    return Made(
        "data-quality", results, lambda created: data_quality_document(results, created=created),
        kept=Kept(frozen, erasures),
    )  # fmt: skip


def _inputs(connection: Connection, order: Order, progress: Progress) -> dict[str, Any]:
    """All that the results are made of."""
    from studies.registry.catalogue import current_plan, find_study
    from studies.registry.data_quality import quality_inputs
    from studies.registry.frames import finished_run, study_frames
    from studies.registry.provenance import study_provenance
    from studies.registry.runs import find_run
    from studies.registry.scans import study_scans

    study = find_study(connection, order.study)
    plan = current_plan(connection, study.id).plan
    newest = finished_run(connection, study.id)
    number = newest if order.run is None else find_run(connection, study.id, order.run).number
    frames = study_frames(connection, study.id, run_number=number, progress=progress)
    scans = study_scans(connection, study.id, plan.measurand, number)
    return {
        "study": {"name": study.name, "title": study.title},
        "data_hash": frames.sha256,
        "visit_count": len(frames.visits),
        "run": None if number is None else {"number": number},
        "notes": study_provenance(connection, study.id),
        **quality_inputs(connection, study, frames, scans, minimum=plan.minimum_cell),
    }


def quality_results(inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """The results of a data-quality report, from its inputs."""
    from studies.analysis import calliper_version
    from studies.registry.data_quality import data_quality

    return {
        "calliper": calliper_version(),
        "study": inputs["study"],
        "plan": {"document": {"minimum_cell": inputs["minimum_cell"]}},
        "data": {
            "hash": inputs["data_hash"], "subjects": len(inputs["subjects"]), "visits": inputs["visit_count"],
            "measurements": len(inputs["measurements"]), "scans": len(inputs["scans"]),
        },
        "run": inputs["run"],
        **data_quality(inputs),
        "notes": inputs["notes"],
    }  # fmt: skip


def data_quality_document(results: dict[str, Any], *, created: dt.datetime | None = None) -> Document:
    """The data-quality report as a document."""
    report = bound(results)
    sections = (_summary(report), _quarantine(report), _flags(report), _missing(report), _measured(report),
                _places(report), _scans(report), provenance(report))  # fmt: skip
    return document(report, "Data quality report", "What was refused, doubted and missing", sections, created=created)


def _summary(report: Bound) -> Section:
    data, quarantine = report.results["data"], report.results["quarantine"]
    out: list[Inline] = ["The registry holds ", report.count("data", "subjects")]
    out.append(f" {'subject' if data['subjects'] == 1 else 'subjects'} with ")
    out += [
        report.count("data", "measurements"),
        f" {'measurement' if data['measurements'] == 1 else 'measurements'} and ",
    ]
    out += [report.count("data", "scans"), f" {'scan' if data['scans'] == 1 else 'scans'}. "]
    if quarantine["rows"]:
        out += [
            report.count("quarantine", "rows"),
            f" {'row is' if quarantine['rows'] == 1 else 'rows are'} in quarantine. ",
        ]
    else:
        out.append("No row is in quarantine. ")
    flagged = report.results["flags"]["measurements"]
    if flagged:
        verb, them = ("measurement is", "it") if flagged == 1 else ("measurements are", "them")
        out += [report.count("flags", "measurements"), f" {verb} in the registry although a rule doubts {them}."]
    else:
        out.append("No measurement is doubted by a rule.")
    blocks: list[Any] = [Paragraph(tuple(out), lead=True)]
    if report.notes:
        blocks.append(List(tuple(report.notes)))
    rows = []
    for position, item in enumerate(report.results["ingests"]):
        path = ("ingests", position)
        keys = ("read", "new", "changed", "unchanged", "rejected", "flagged")
        status = Badge(item["status"], "good" if item["status"] in ("ingested", "unchanged") else "neutral")
        rows.append(Row((f"{item['number']}, {item['mapping']}", status, *(report.count(*path, key) for key in keys))))
    if rows:
        headers = ("Read", "New", "Changed", "Unchanged", "Refused", "Flagged")
        columns = (
            Column("Ingest, mapping", width=1.6),
            Column("Status", width=1.1),
            *(Column(h, "right") for h in headers),
        )
        blocks.append(Table("table-ingests", "Rows of every ingest.", columns, tuple(rows)))
    else:
        blocks.append(Paragraph("Nothing was ingested; what the registry holds came in otherwise."))
    return Section("summary", "Summary", tuple(blocks))


def _by_rule(report: Bound, name: str, caption: str, path: tuple[str, ...], header: str) -> Table:
    items = report.at(path)
    told = Counter(item["description"] for item in items)
    rows = [
        Row((_described(item, alone=told[item["description"]] == 1), report.count(*path, position, "n")))
        for position, item in enumerate(items[:_SHOWN])
    ]
    more = len(items) - _SHOWN
    notes = (f"{plural(more, 'further rule')} not listed.",) if more > 0 else ()
    return Table(name, caption, (Column("Rule", width=4), Column(header, "right", width=1)), tuple(rows), notes=notes)


def _described(item: Mapping[str, Any], *, alone: bool) -> str:
    """What a rule asks; where rules of several tables ask the same, with the rule's name."""
    return item["description"] if alone else f"{item['description']} ({item['rule'].replace('_', ' ')})"


def _quarantine(report: Bound) -> Section:
    found = report.results["quarantine"]
    if not found["rows"]:
        return Section("quarantine", "Quarantine", (Paragraph("No row is in quarantine."),))
    sources = List(
        tuple(
            (f"{item['source']}: ", report.count("quarantine", "sources", position, "n"))
            for position, item in enumerate(found["sources"][:_SHOWN])
        )
    )
    text = "A row is refused whole, and counted under every rule that it fails. By source:"
    table = _by_rule(report, "table-quarantine", "Refused rows by rule.", ("quarantine", "rules"), "Rows")
    return Section("quarantine", "Quarantine", (Paragraph(text), sources, table))


def _flags(report: Bound) -> Section:
    if not report.results["flags"]["measurements"]:
        return Section("flags", "Flags", (Paragraph("No measurement is doubted by a rule."),))
    text = "These measurements are in the registry and are analysed; a measurement may have several flags."
    table = _by_rule(report, "table-flags", "Flagged measurements by rule.", ("flags", "rules"), "Measurements")
    return Section("flags", "Flags", (Paragraph(text), table))


def _missing(report: Bound) -> Section:
    items = report.results["missing"]
    lacking = [position for position, item in enumerate(items) if item["n"]]
    if not items:
        return Section("missing", "Missing data", (Paragraph("Nothing is recorded of the subjects."),))
    if not lacking:
        return Section("missing", "Missing data", (Paragraph("Every subject has every attribute of the study."),))
    rows = []
    for position in lacking:
        path = ("missing", position)
        name = items[position]["attribute"].replace("_", " ")
        rows.append(Row((sentence(name), report.count(*path, "n"), report.value(*path, "percent", places=1))))
    table = Table(
        "table-missing",
        "Attributes that are not recorded of every subject.",
        (Column("Attribute", width=3), Column("Subjects without it", "right"), Column("%", "right", width=0.6)),
        tuple(rows),
    )
    return Section("missing", "Missing data", (table,))


def _measured(report: Bound) -> Section:
    items = report.results["measurements"]
    if not items:
        return Section("measured", "What was measured", (Paragraph("Nothing was measured."),))
    rows = []
    for position, item in enumerate(items):
        path = ("measurements", position)
        label = measurand_label(item["measurand"])
        counts = (report.count(*path, key) for key in ("n", "visits", "subjects"))
        rows.append(Row((label, method_label(item["method"]), *counts, report.value(*path, "percent", places=1))))
    table = Table(
        "table-measured",
        "Measurements by measurand and method; the share of subjects who have one.",
        (
            Column("Measurand", width=2.4), Column("Method", width=1.6), Column("Measurements", "right", width=1.2),
            Column("Visits", "right"), Column("Subjects", "right"), Column("% of subjects", "right"),
        ),
        tuple(rows),
    )  # fmt: skip
    return Section("measured", "What was measured", (table,))


def _places(report: Bound) -> Section:
    blocks: list[Any] = []
    hidden = False
    for key, name, header in (("sites", "site", "Site"), ("devices", "device", "Device of the scan")):
        items = report.results[key]
        if not items:
            blocks.append(Paragraph("The study has no scan, so there is nothing to say of devices."))
            continue
        columns = (
            "subjects",
            *(("measurements", "flagged") if key == "sites" else ()),
            "scans",
            "determinate",
            "indeterminate",
        )
        rows = []
        for position, item in enumerate(items):
            path = (key, position)
            if item.get("suppressed"):
                hidden = True
                rows.append(Row((group_label(item[name], name), NOT_SHOWN, *(("",) * (len(columns) - 1)))))
            else:
                rows.append(Row((group_label(item[name], name), *(report.count(*path, column) for column in columns))))
        least = report.plan.get("minimum_cell")
        notes = (
            (f"“{NOT_SHOWN}”: fewer than {least} subjects, or a number that would reveal such a one.",)
            if hidden
            else ()
        )
        heads = tuple(Column(sentence(column), "right", width=1.1) for column in columns)
        caption = f"Subjects and scans by {header[:1].lower()}{header[1:]}."
        blocks.append(Table(f"table-{key}", caption, (Column(header, width=1.6), *heads), tuple(rows), notes=notes))
    return Section("places", "By site and device", tuple(blocks))


def _scans(report: Bound) -> Section:
    found = report.results["scans"]
    if not found["scans"]:
        return Section("scans", "Scans", (Paragraph("The study has no scan."),))
    run = report.results["run"]
    if run is None:
        return Section("scans", "Scans", (Paragraph("No run has looked at the scans of this study."),))
    out: tuple[Inline, ...] = (
        f"In run {run['number']}, ", report.count("scans", "determinate"), " of ", report.count("scans", "scans"),
        " scans gave a value, ", report.count("scans", "indeterminate"),
        f" {'was' if found['indeterminate'] == 1 else 'were'} indeterminate and ", report.count("scans", "unreachable"),
        " could not be reached.",
    )  # fmt: skip
    rows = [
        Row((item["reason"], item["status"], report.count("scans", "reasons", position, "n")))
        for position, item in enumerate(found["reasons"][:_SHOWN])
    ]
    if not rows:
        return Section("scans", "Scans", (Paragraph(out),))
    columns = (Column("Reason", width=3.4), Column("Outcome", width=1.4), Column("Scans", "right", width=0.8))
    return Section(
        "scans", "Scans", (Paragraph(out), Table("table-scans", "Scans without a value.", columns, tuple(rows)))
    )
