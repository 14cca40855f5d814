"""Overview: what the study has shown so far, and what has changed."""

from __future__ import annotations

import json
import re
from typing import Any

from dash import html

from dashboards import tables
from dashboards.components.text import exact, inlines, whole
from dashboards.last_time import last_time
from dashboards.selection import INTERVALS
from dashboards.view import Page, Part, View
from reports.bound import Bound
from reports.document import Badge, Block, Callout, Column, Inlines, Paragraph, Row, Section, Small, Table
from reports.sections.agreement import bias_sentence
from reports.sections.summary import summary, title_facts
from reports.wording import count, sentence
from studies.registry.catalogue import find_study
from studies.registry.reports import ReportRecord, list_reports
from studies.runs.listing import list_runs

_NEWS = 12
_DONE = {
    ("create", "study"): "the study was created",
    ("ingest", "study"): "data were ingested",
    ("lock", "analysis_plan"): "the plan was locked",
    ("revise", "analysis_plan"): "the plan was revised",
    ("set", "protocol"): "the protocol was set",
    ("report", "report"): "a report was made",
    ("start", "run"): "a run was started",
    ("finish", "run"): "a run was finished",
    ("render", "study"): "scans were rendered",
    ("add", "checkpoint"): "a checkpoint was registered",
}
_COMPARED = {"mae": "Mean absolute error", "bias": "Bias", "ccc": "Concordance (CCC)"}


def build(view: View) -> list[Part]:
    report = view.report
    parts: list[Part] = [title_facts(report)]
    if view.selection.filtered:
        parts.append(Callout("Filters are set", (INTERVALS,), "unsure"))
    parts += [_tiles(report), _headline(report)]
    if not view.selection.filtered:
        told = summary(report)
        # The banner above every page says already what is not real.
        kept = tuple(part for part in told.blocks if not isinstance(part, Callout) or part.content != (report.banner,))
        parts.append(Section(told.id, "What the study shows", kept))
    else:
        parts.append(Paragraph(tuple(bias_sentence(report, report.index))))
    news = _news(view)
    parts.insert(1, html.P([*inlines(news.blocks[0].content), " ", html.A("What has changed", href=f"#{news.id}")]))
    return [*parts, *_runs(view), news]


def _tiles(report: Bound) -> html.Div:
    path = ("tests", report.index)
    n: Inlines = ("; n = ", report.count(*path, "n"))
    limits = (*path, "limits")
    lower, upper = (report.ends(*limits, side) for side in ("lower", "upper"))
    tiles: list[tuple[str, Inlines, Inlines]] = [
        (
            f"Mean absolute error of {report.spoken(report.index)}",
            (report.value(*path, "mae", "estimate"), f" {report.pp}"),
            (*_ci(report, *path, "mae"), *n),
        ),
        ("Bias", (report.value(*path, "bias", "estimate"), f" {report.pp}"), (*_ci(report, *path, "bias"), *n)),
        (
            "Limits of agreement",
            (report.value(*limits, "lower", "estimate"), " to ", report.value(*limits, "upper", "estimate"),
             f" {report.pp}"),
            (f"{report.level} CI ", *lower, " and ", *upper, *n) if lower and upper else ("no interval", *n),
        ),
        (
            "Concordance (CCC)",
            (report.value(*path, "ccc", "estimate", places=3),),
            (*_ci(report, *path, "ccc", places=3), *n),
        ),
    ]  # fmt: skip
    return html.Div(
        [
            html.Div(
                [
                    html.P(title, className="label"),
                    html.P(inlines(big), className="big"),
                    html.P(inlines(small), className="small"),
                ]
            )
            for title, big, small in tiles
        ],
        className="tiles",
    )


def _ci(report: Bound, *path: str, places: int = 2) -> tuple[Any, ...]:
    ends = report.ends(*path, places=places)
    return (f"{report.level} CI ", *ends) if ends else ("no interval",)


def _headline(report: Bound) -> Table:
    """MAE of every method, and how many times the comparator's error is that of the index test."""
    rows = []
    for name in report.names:
        if name not in report.results["tests"]:
            continue
        ratio: Inlines = "–"
        p: Inlines = "–"
        for place, item in enumerate(report.results["comparisons"]):
            if item["metric"] == "mae" and {item["a"], item["b"]} == {report.index, name}:
                first = report.label(item["a"])
                both = report.count("comparisons", place, "n")
                ratio = (
                    *report.cell("comparisons", place, "ratio"),
                    Small((f"{first} / {report.label(item['b'])}, n = ", both), below=True),
                )
                p = report.p("comparisons", place, "p_adjusted")
        role = "index test" if name == report.index else "comparator"
        cells = (
            sentence(report.label(name)),
            role,
            report.count("tests", name, "n"),
            report.cell("tests", name, "mae"),
            report.cell("tests", name, "rmse"),
            ratio,
            p,
        )
        rows.append(Row(cells))
    columns = (
        Column("Method"),
        Column("Role"),
        Column("n", "right"),
        Column(f"MAE ({report.pp})", "right"),
        Column(f"RMSE ({report.pp})", "right"),
        Column("Ratio of MAE", "right"),
        Column("p, adjusted", "right"),
    )
    caption = (
        f"Errors against {report.reference}; {report.level} intervals in brackets. Ratios: of the pairs that have both."
    )
    return Table("table-headline", caption, columns, tuple(rows), notes=report.why())


def _runs(view: View) -> list[Part]:
    registry = view.queries.registry
    with view.queries.reading() as connection:
        listed = list_runs(registry, connection, find_study(connection, view.study))
    if not listed:
        return [Section("runs", "Runs", (Paragraph("No run has been made of this study's scans yet."),))]
    rows = tuple(
        Row(
            (
                f"Run {row['run']}",
                row["checkpoints"],
                Badge(row["status"], "good" if row["status"] == "finished" else "unsure"),
                row["started"],
                *(f"{row[key]:,}" for key in ("determinate", "indeterminate", "unreachable")),
            )
        )
        for row in listed
    )
    columns = (
        Column("Run"),
        Column("Checkpoints"),
        Column("Status"),
        Column("Started (UTC)"),
        Column("Determinate", "right"),
        Column("Indeterminate", "right"),
        Column("Unreachable", "right"),
    )
    return [Section("runs", "Runs", (Table("table-runs", "Every run, and what became of its scans.", columns, rows),))]


def _news(view: View) -> Section:
    """What has changed since this browser showed the study last, and since the newest report."""
    with view.queries.reading() as connection:
        newest, events = tables.changes(connection, view.study, _DONE, _NEWS)
        made = [record for record in list_reports(connection, view.study) if record.kind == "validation"]
    before = last_time(view.study, view.account, newest)
    fresh = [event for event in events if before is not None and event["id"] > before.event]
    if before is None:
        said = "This browser shows the study for the first time; next time, what is new by then is marked."
    else:
        when = f"{before.at:%Y-%m-%d %H:%M} UTC"
        many = f"{len(fresh)} or more" if fresh and len(fresh) == len(events) == _NEWS else str(len(fresh))
        what = {"0": "Nothing has changed", "1": "One thing has changed"}.get(many, f"{many} things have changed")
        said = f"{what} since you looked last, on {when}."
    rows = [
        Row(
            (
                whole(event["at"][:16].replace("T", " ")),
                (
                    sentence(_DONE[event["action"], event["entity"]]),
                    *((" ", Badge("new", "good")) if event in fresh else ()),
                ),
                _which(event),
                event["actor"],
            )
        )
        for event in events
    ]
    columns = (Column("When (UTC)"), Column("What"), Column("Which"), Column("By"))
    table = Table("table-news", "The newest changes, newest first.", columns, tuple(rows))
    since = _since_report(view, made[-1]) if made and not view.selection.filtered and view.filters.run is None else ()
    return Section("news", "What has changed", (Paragraph(said), table, *since))


def _which(event: dict[str, Any]) -> str:
    """What an event is about, in words."""
    detail = event["detail"]
    if event["action"] == "ingest":
        refused = detail.get("quarantined") or 0
        return f"ingest {detail.get('batch', '')}" + (f", {refused:,} rows refused" if refused else "")
    if event["action"] == "finish":
        outcomes = detail.get("outcomes") or {}
        told = ", ".join(f"{n:,} {word}" for word, n in outcomes.items() if n)
        return f"run {event['entity_key'].rpartition('#')[2]}" + (f": {told} scans" if told else "")
    kind = {"run": "run ", "report": "report ", "analysis_plan": "version "}.get(event["entity"], "")
    return kind + (re.split("[#@/]", event["entity_key"])[-1] if kind else event["entity_key"])


def _since_report(view: View, record: ReportRecord) -> tuple[Block, ...]:
    """The headline beside that of a report: what later data and runs have made of it."""
    report = view.report
    then = view.queries.once(("report", record.results_sha256, record.name), lambda: _results_of(view, record))
    who = f"report {record.number} of {record.created_at:%Y-%m-%d}"
    if not then:
        return (Paragraph(f"The numbers of {who} are not in the workspace any more."),)
    asked = [(key, then.get(key), report.results.get(key)) for key in ("index", "reference")]
    asked.append(("measurand", then["measurand"]["name"], report.results["measurand"]["name"]))
    if any(old != new for _, old, new in asked):
        return (Paragraph(f"The newest validation report, {who}, is of another index test, reference or measurand."),)
    index = report.index
    old, new = (results["tests"].get(index) or {} for results in (then, report.results))
    rows = [Row(("Pairs", count(old.get("n")), report.count("tests", index, "n")))]
    for key, label in _COMPARED.items():
        places = 3 if key == "ccc" else 2
        unit = "" if key == "ccc" else f" ({report.pp})"
        rows.append(
            Row((f"{label}{unit}", exact(old.get(key), places), report.cell("tests", index, key, places=places)))
        )
    met = [
        f"{sum(item['verdict'] == 'met' for item in results.get('criteria') or [])} of "
        f"{len(results.get('criteria') or [])}"
        for results in (then, report.results)
    ]
    rows.append(Row(("Criteria met", *met)))
    columns = (Column("Of the index test"), Column(sentence(who), "right"), Column("Now", "right"))
    same = old == new and met[0] == met[1]
    caption = f"The newest validation report and what the data say now{': the same' if same else ''}."
    return (Table("table-since", caption, columns, tuple(rows)),)


def _results_of(view: View, record: ReportRecord) -> dict[str, Any]:
    """The results of a report from its file; empty where that is gone or damaged."""
    name = next((file["name"] for file in record.files if file["format"] == "json"), None)
    try:
        content = (record.folder(view.queries.registry) / name).read_bytes() if name else b""
        found = json.loads(content) if content else {}
    except (OSError, ValueError):
        return {}
    return {key: found.get(key) for key in ("index", "reference", "measurand", "tests", "criteria")} if found else {}


PAGE = Page("overview", "Overview", build)
