"""Reports: make one, and take those that there are."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from dash import dcc, html

from dashboards.components.problem import progress
from dashboards.filters import address
from dashboards.view import Page, Part, View
from reports.document import Column, Paragraph, Row, Table
from reports.kinds import KINDS
from studies.registry.catalogue import find_study
from studies.registry.jobs import newest_jobs
from studies.registry.reports import list_reports


def build(view: View) -> list[Part]:
    with view.queries.reading() as connection:
        find_study(connection, view.study)
        made = list_reports(connection, view.study)
        jobs = newest_jobs(connection, view.study, kinds=("report",))
    parts: list[Part] = []
    active = [job for job in jobs if job.active]
    if view.account.may("analyst"):
        parts.append(_maker(view, bool(active)))
    else:
        parts.append(Paragraph("An analyst can make reports; you can take those that there are."))
    parts += [progress(job, "The report") for job in active]
    if jobs and jobs[0].status == "failed":
        parts.append(progress(jobs[0], "The newest report"))
    rows = []
    for record in sorted(made, key=lambda item: -item.number):
        links: list[Any] = []
        for file in record.files:
            href = f"/report/{quote(view.study, safe='')}/{record.number}/{quote(file['name'], safe='')}"
            links += [html.A(file["format"].upper(), href=href, target="_blank"), " "]
        rows.append(
            Row(
                (
                    str(record.number),
                    KINDS[record.kind].title if record.kind in KINDS else record.kind,
                    f"{record.created_at:%Y-%m-%d %H:%M}",
                    record.created_by,
                    tuple(links),
                    (record.sha256 or record.results_sha256)[:16],
                )
            )
        )
    columns = tuple(Column(name) for name in ("Number", "Kind", "Made (UTC)", "By", "Files", "SHA-256"))
    if not rows:
        return [*parts, Paragraph("No report has been made yet.")]
    return [*parts, Table("table-reports", "Every report, newest first; none is ever changed.", columns, tuple(rows))]


def _maker(view: View, busy: bool) -> html.Section:
    kinds = [kind for kind in KINDS.values() if kind.runs[0] == 0]
    buttons = [
        html.Button(
            kind.title,
            type="button",
            className="primary",
            n_clicks=0,
            disabled=busy,
            id={"type": "make-report", "kind": kind.name, "study": view.study, "runs": ""},
        )
        for kind in kinds
    ]
    said = (
        "Each is made of the whole study and kept for good, as HTML, PDF and JSON. Comparisons of two runs are made on "
    )
    where = dcc.Link("Checkpoints", href=address(f"/study/{quote(view.study, safe='')}/checkpoints", view.filters))
    return html.Section(
        [
            html.H2("Make a report"),
            html.Div(buttons, className="buttons"),
            html.P([said, where, "."], className="small"),
        ]
    )


PAGE = Page("reports", "Reports", build, filtered=False)
