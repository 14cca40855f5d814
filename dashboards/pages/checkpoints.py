"""Checkpoints: every run, two of them compared on the same scans, and a new one started and followed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from dash import dcc, html

from dashboards.components.problem import problem, progress
from dashboards.components.switches import switch
from dashboards.components.text import Exact, exact, whole
from dashboards.filters import address
from dashboards.view import Page, Part, View
from reports.document import Badge, Callout, Column, Inlines, Paragraph, Row, Section, Table
from reports.wording import count, number, p_text, sentence
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
    parts: list[Part] = [_runs(view, runs)]
    parts += [_checkpoints(known, runs)] if known else []
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
            Section(
                "compare",
                "Comparison",
                (
                    Paragraph(
                        "Once two runs have predictions, any two can be compared here on the scans that both saw."
                    ),
                ),
            ),
        ]
    return [*parts, *_comparison(view, usable)]


def _runs(view: View, runs: list[dict[str, Any]]) -> Part:
    if not runs:
        return Paragraph("No run has been made of this study's scans yet.")
    rows = tuple(
        Row(
            (
                _run(view, row),
                row["checkpoints"] or "–",
                Badge(row["status"], "good" if row["status"] == "finished" else "unsure"),
                whole(row["started"]),
                whole(row["finished"] or "–"),
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
    return Table("table-runs", "Every run, oldest first; its number leads to its agreement.", columns, rows)


def _run(view: View, row: dict[str, Any]) -> Inlines:
    """The number of a run, leading to its numbers where it is finished."""
    title = f"Run {row['run']}"
    if not row["finished"] or not row["determinate"]:
        return title
    path = f"/study/{quote(view.study, safe='')}/agreement"
    return (dcc.Link(title, href=address(path, replace(view.filters, run=row["run"]))),)


def _checkpoints(known: list[CheckpointRecord], runs: list[dict[str, Any]]) -> Table:
    """Every checkpoint, and the runs of this study that it made."""
    rows = []
    for record in known:
        made = [str(row["run"]) for row in runs if record.reference in (row["checkpoints"] or "").split(", ")]
        rows.append(
            Row(
                (
                    record.reference,
                    sentence(record.card.kind),
                    ", ".join(record.aliases) or "–",
                    f"{record.card.created:%Y-%m-%d}",
                    record.card.licence,
                    ", ".join(made) or "none",
                    record.card.weights_sha256[:16],
                )
            )
        )
    names = ("Checkpoint", "Kind", "Alias", "Made", "Licence", "Runs", "SHA-256 of the weights")
    said = "Every checkpoint that can be run here. Who it was trained on, and its limits, stand in the model cards."
    return Table("table-checkpoints", said, tuple(Column(name) for name in names), tuple(rows))


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
    if view.account.may("analyst"):
        key = {"type": "make-report", "kind": "comparison", "study": view.study, "runs": f"{before},{after}"}
        button = html.Button("Make a report of this comparison", type="button", className="primary", n_clicks=0, id=key)
        parts.append(html.P(button))
    parts += [_by_group(found, name, part, pp) for name, part in found["subgroups"].items() if part["by_group"]]
    parts += [_moved(view, found), *(Paragraph(note) for note in found["notes"])]
    return parts


def _overall(found: dict[str, Any], overall: dict[str, Any], pp: str) -> Table:
    rows = tuple(
        Row(
            (
                f"{title}{'' if key == 'ccc' else f' ({pp})'}",
                *(exact(overall[side][key], places) for side in ("baseline", "candidate", "difference")),
                *(Exact(p_text(overall[p][key]), overall[p][key]) for p in ("p_value", "p_adjusted")),
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
        cells = [exact(item[side]["mae"], 2) for side in ("baseline", "candidate", "difference")]
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
        path = "/".join(quote(part, safe="") for part in ("study", view.study, "subject", str(row["subject_id"])))
        link = dcc.Link(row["subject_id"], href=address(f"/{path}", view.filters))
        closer = "–" if row["change_of_error"] is None else "candidate" if row["change_of_error"] < 0 else "baseline"
        values = [
            "–" if row[key] is None else Exact(number(row[key], 1), row[key])
            for key in ("baseline", "candidate", "change", "reference")
        ]
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
