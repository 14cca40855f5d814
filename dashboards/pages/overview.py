"""Overview: what the study has shown so far, and what has changed."""

from __future__ import annotations

from dash import html

from dashboards.components.text import inlines
from dashboards.selection import INTERVALS
from dashboards.view import Page, Part, View
from reports.bound import Bound
from reports.document import Badge, Callout, Column, Inlines, Paragraph, Row, Section, Table
from reports.sections.agreement import bias_sentence
from reports.sections.summary import summary, title_facts
from reports.wording import sentence
from studies.registry.audit import newest_events
from studies.registry.catalogue import find_study
from studies.runs.listing import list_runs

_NEWS = 8
_DONE = {
    ("create", "study"): "the study was created",
    ("ingest", "study"): "data were ingested",
    ("lock", "analysis_plan"): "the plan was locked",
    ("revise", "analysis_plan"): "the plan was revised",
    ("report", "report"): "a report was made",
    ("start", "run"): "a run was started",
    ("finish", "run"): "a run was finished",
    ("render", "study"): "scans were rendered",
}


def build(view: View) -> list[Part]:
    report = view.report
    parts: list[Part] = [title_facts(report)]
    if view.selection.filtered:
        parts.append(Callout("Filters are set", (INTERVALS,), "unsure"))
    parts += [_tiles(report), _headline(report)]
    if not view.selection.filtered:
        whole = summary(report)
        # The banner above every page says already what is not real.
        kept = tuple(part for part in whole.blocks if not isinstance(part, Callout) or part.content != (report.banner,))
        parts.append(Section(whole.id, "What the study shows", kept))
    else:
        parts.append(Paragraph(tuple(bias_sentence(report, report.index))))
    return [*parts, *_runs(view), *_news(view)]


def _tiles(report: Bound) -> html.Div:
    path = ("tests", report.index)
    who = sentence(report.label(report.index))
    tiles: list[tuple[str, Inlines, Inlines]] = [
        (f"MAE of {who}", (report.value(*path, "mae", "estimate"), f" {report.pp}"), _ci(report, *path, "mae")),
        ("Bias", (report.value(*path, "bias", "estimate"), f" {report.pp}"), _ci(report, *path, "bias")),
        (
            "Limits of agreement",
            (
                report.value(*path, "limits", "lower", "estimate"),
                " to ",
                report.value(*path, "limits", "upper", "estimate"),
                f" {report.pp}",
            ),
            f"n = {report.count(*path, 'n').text}",
        ),
        ("Concordance (CCC)", (report.value(*path, "ccc", "estimate", places=3),), _ci(report, *path, "ccc", places=3)),
    ]
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


def _ci(report: Bound, *path: str, places: int = 2) -> Inlines:
    ends = report.ends(*path, places=places)
    return (f"{report.level} CI ", *ends) if ends else "no interval"


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
                ratio = (*report.cell("comparisons", place, "ratio"), f" {first} / {report.label(item['b'])}")
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


def _news(view: View) -> list[Part]:
    with view.queries.reading() as connection:
        events = newest_events(connection, 200, view.study)
    told = [event for event in events if (event["action"], event["entity"]) in _DONE][:_NEWS]
    rows = [
        Row(
            (
                event["at"][:16].replace("T", " "),
                sentence(_DONE[event["action"], event["entity"]]),
                event["entity_key"],
                event["actor"],
            )
        )
        for event in told
    ]
    columns = (Column("When (UTC)"), Column("What"), Column("Which"), Column("By"))
    table = Table("table-news", "The newest changes, newest first.", columns, tuple(rows))
    return [Section("news", "What has changed", (table,))]


PAGE = Page("overview", "Overview", build)
