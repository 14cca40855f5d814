"""Checkpoints: every run, two of them compared on the same scans, and a new one started and followed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from dash import dcc, html

from dashboards.components.problem import problem, progress
from dashboards.components.switches import switch
from dashboards.view import Page, Part, View
from reports.document import Badge, Callout, Column, Inlines, Paragraph, Row, Section, Small, Table
from reports.wording import count, estimate_of, interval, number, p_text, sentence
from studies.registry.catalogue import find_study
from studies.registry.checkpoints import CURRENT, CheckpointRecord, all_checkpoints
from studies.registry.jobs import newest_jobs
from studies.runs.listing import list_runs

_METRICS = {"mae": ("Mean absolute error", 2), "bias": ("Bias", 2), "ccc": ("Concordance (CCC)", 3)}
_VERDICTS = {"better": "good", "worse": "bad"}
_MOVED = 15


def build(view: View) -> list[Part]:
    with view.queries.reading() as connection:
        study = find_study(connection, view.study)
        runs = list_runs(view.queries.registry, connection, study)
        jobs = newest_jobs(connection, view.study, kinds=("run",))
    known = all_checkpoints(view.queries.registry)
    parts: list[Part] = [_runs(runs)]
    active = [job for job in jobs if job.active]
    if view.account.may("analyst"):
        parts.append(_starter(view, known, bool(active)))
    parts += [progress(job, "The run") for job in active]
    if jobs and jobs[0].status == "failed":
        parts.append(progress(jobs[0], "The newest run"))
    usable = [row["run"] for row in runs if row["determinate"]]
    if len(usable) < 2:
        return [
            *parts,
            Section("compare", "Comparison", (Paragraph("Two runs with predictions can be compared here."),)),
        ]
    return [*parts, *_comparison(view, usable)]


def _runs(runs: list[dict[str, Any]]) -> Part:
    if not runs:
        return Paragraph("No run has been made of this study's scans yet.")
    rows = tuple(
        Row(
            (
                f"Run {row['run']}",
                row["checkpoints"] or "–",
                Badge(row["status"], "good" if row["status"] == "finished" else "unsure"),
                row["started"],
                row["finished"] or "–",
                *(count(row[key]) for key in ("determinate", "indeterminate", "unreachable")),
            )
        )
        for row in runs
    )
    columns = (
        Column("Run"),
        Column("Checkpoints"),
        Column("Status"),
        Column("Started (UTC)"),
        Column("Finished (UTC)"),
        *(Column(name, "right", "Scans") for name in ("Determinate", "Indeterminate", "Unreachable")),
    )
    return Table("table-runs", "Every run, oldest first.", columns, rows)


def _starter(view: View, known: list[CheckpointRecord], busy: bool) -> Any:
    by_kind: dict[str, list[CheckpointRecord]] = {}
    for row in known:
        by_kind.setdefault(row.card.kind, []).append(row)
    if not by_kind:
        return problem(
            "No checkpoint is registered", "calliper checkpoint add FILE brings one in; then a run can be started here."
        )
    fields = []
    for kind, rows in by_kind.items():
        names = [row.reference for row in rows]
        usual = next((row.reference for row in rows if CURRENT in row.aliases), None)
        box = dcc.Dropdown(
            id={"type": "run-checkpoint", "kind": kind},
            options=names,
            value=usual,
            searchable=False,
            placeholder="none",
        )
        fields.append(
            html.Div(
                [html.Span(sentence(kind), className="label"), box],
                className="field",
                role="group",
                **{"aria-label": kind},
            )
        )
    button = html.Button(
        "Start a run",
        type="button",
        className="primary",
        n_clicks=0,
        disabled=busy,
        id={"type": "start-run", "study": view.study},
    )
    said = html.P(
        "Photos are deleted after a run has processed them, unless the subject's consent keeps them.", className="small"
    )
    return html.Section([html.H2("Start a run"), html.Div([*fields, button], className="fields bare"), said])


def _comparison(view: View, usable: list[int]) -> list[Part]:
    names = [str(number_) for number_ in usable]
    before = view.option("baseline", names, names[-2])
    after = view.option(
        "candidate", [name for name in names if name != before], next(n for n in reversed(names) if n != before)
    )
    labels = {name: f"run {name}" for name in names}
    switches = html.Div(
        [
            switch(view, "Baseline", "baseline", labels, before, ""),
            switch(view, "Candidate", "candidate", {n: t for n, t in labels.items() if n != before}, after, ""),
        ],
        className="switches",
    )
    head = Section("compare", "Comparison on the same scans", ())
    found = view.queries.comparison(view.study, int(before), int(after))
    if isinstance(found, str):
        return [head, switches, Callout("These runs cannot be compared", (found,), "unsure")]
    unit = found["measurand"]["unit"]
    pp = "pp" if unit == "%" else unit
    overall = found["overall"]
    parts: list[Part] = [head, switches, Paragraph(found["sentence"], lead=True), _overall(found, overall, pp)]
    parts += [_by_group(found, name, part, pp) for name, part in found["subgroups"].items() if part["by_group"]]
    parts += [_moved(view, found), *(Paragraph(note) for note in found["notes"])]
    return parts


def _cell(item: dict[str, Any], places: int) -> Inlines:
    found = estimate_of(item)
    between = interval(found, places)
    return (number(found["estimate"], places), *([" ", Small(f"({between})", below=True)] if between else []))


def _overall(found: dict[str, Any], overall: dict[str, Any], pp: str) -> Table:
    rows = tuple(
        Row(
            (
                f"{title}{'' if key == 'ccc' else f' ({pp})'}",
                *(_cell(overall[side][key], places) for side in ("baseline", "candidate", "difference")),
                p_text(overall["p_value"][key]),
                p_text(overall["p_adjusted"][key]),
            )
        )
        for key, (title, places) in _METRICS.items()
    )
    names = ("Baseline", "Candidate", "Candidate − baseline", "p", "p, adjusted")
    who = f"{count(overall['n'])} pairs of {count(overall['subjects'])} subjects whom both runs saw"
    caption = f"{who}; 95% intervals in brackets."
    return Table("table-overall", caption, (Column("Measure"), *(Column(name, "right") for name in names)), rows)


def _by_group(found: dict[str, Any], name: str, part: dict[str, Any], pp: str) -> Table:
    rows = []
    for group, item in part["by_group"].items():
        if item.get("suppressed"):
            rows.append(Row((group, "not shown", "", "", "", "")))
            continue
        tone = _VERDICTS.get(item["verdict"], "neutral")
        cells = [_cell(item[side]["mae"], 2) for side in ("baseline", "candidate", "difference")]
        rows.append(Row((group, count(item["n"]), *cells, Badge(item["verdict"], tone))))
    columns = (
        Column(str(part["label"])),
        Column("n", "right"),
        Column("Baseline", "right"),
        Column("Candidate", "right"),
        Column("Candidate − baseline", "right"),
        Column("Verdict"),
    )
    return Table(
        f"table-{name.replace('_', '-')}",
        f"Mean absolute error ({pp}) by {str(part['label']).lower()}.",
        columns,
        tuple(rows),
    )


def _moved(view: View, found: dict[str, Any]) -> Section:
    rows = []
    for row in found["moved"][:_MOVED]:
        link = dcc.Link(row["subject_id"], href=f"/study/{view.study}/subject/{quote(str(row['subject_id']), safe='')}")
        closer = "–" if row["change_of_error"] is None else "candidate" if row["change_of_error"] < 0 else "baseline"
        values = [number(row[key], 1) for key in ("baseline", "candidate", "change", "reference")]
        rows.append(Row(((link,), row["visit"], row["scan"], *values, closer)))
    columns = (
        Column("Subject"),
        Column("Visit"),
        Column("Scan"),
        *(Column(name, "right") for name in ("Baseline", "Candidate", "Change", "Reference")),
        Column("Closer"),
    )
    return Section(
        "moved", "Scans that moved most", (Table("table-moved", "By the size of the change.", columns, tuple(rows)),)
    )


PAGE = Page("checkpoints", "Checkpoints", build, filtered=False)
