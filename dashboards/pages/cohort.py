"""Cohort and data quality: who was analysed and who was not, what is missing, and what was refused at the door."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dashboards import tables
from dashboards.components.chart import Chart, axis, layout
from dashboards.view import Grid, Page, Part, View
from reports.bound import Bound
from reports.document import Badge, Callout, Column, Paragraph, Row, Section, Table
from reports.figures import PALETTE
from reports.sections.participants import exclusions, participants
from reports.wording import count, group_label, sentence, unit_of_values
from studies.measurands import MEASURANDS
from studies.registry.catalogue import find_study

_MOST = 200
_BINS = 16


def build(view: View) -> list[Part]:
    chosen = view.selection
    # The flow is of everybody: a filter takes nobody out of a study.
    whole = Bound(chosen.analysis.results, chosen.analysis.pairs)
    parts: list[Part] = []
    if chosen.filtered:
        said = "The filters hold for the distributions. All else on this page is of the whole study."
        parts.append(Callout("Filters are set", (said,), "unsure"))
    with view.queries.reading() as connection:
        study = find_study(connection, view.study)
        missing = tables.missing_of_subjects(connection, study.id)
        readings = tables.readings_by_method(connection, study.id)
        batches = tables.ingests(connection, study.id)
        refused = tables.quarantined(connection, study.id, _MOST)
        quality = tables.capture_quality(connection, study.id)
    parts += [participants(whole), exclusions(whole)]
    parts += [Section("distributions", "Distributions", ()), Grid(tuple(_distributions(view, whole)))]
    parts += [_missing(missing, readings), _quality(*quality), _ingests(batches), _quarantine(*refused)]
    return parts


def _distributions(view: View, report: Bound) -> list[Chart]:
    chosen = view.selection
    people, mask = chosen.analysis.people, chosen.mask
    what = sentence(report.measurand)
    first = ~people["subject_id"].duplicated().to_numpy() & mask
    sexes = people["sex"].astype("object").where(people["sex"].notna(), "not stated")
    values = {
        f"Age (years), {count(int(first.sum()))} subjects": (people["age"].to_numpy(), first, "age"),
        f"{what} by {report.reference} ({unit_of_values(report.unit)}), {count(chosen.rows.n)} pairs": (
            chosen.analysis.rows.reference,
            mask,
            "reference",
        ),
    }
    least = chosen.rows.manner.minimum_cell
    return [_histogram(title, numbers, keep, sexes, name, least) for title, (numbers, keep, name) in values.items()]


def _histogram(title: str, numbers: np.ndarray, keep: np.ndarray, sexes: pd.Series, name: str, least: int) -> Chart:
    good = keep & np.isfinite(numbers)
    edges = np.histogram_bin_edges(numbers[good], bins=_BINS) if good.any() else np.linspace(0, 1, _BINS + 1)
    traces, rows, told = [], [], []
    for place, sex in enumerate(sorted(sexes[good].unique())):
        mine = numbers[good & (sexes == sex).to_numpy()]
        label = group_label(str(sex))
        n, _ = np.histogram(mine, edges)
        traces.append(
            {
                "type": "bar",
                "x": ((edges[1:] + edges[:-1]) / 2).tolist(),
                "y": n.tolist(),
                "name": label,
                "showlegend": True,
                "hovertemplate": f"%{{y}} in %{{x:.1f}}<extra>{label}</extra>",
                "marker": {
                    "color": PALETTE[place % len(PALETTE)],
                    "pattern": {"shape": ["", "/", "."][place % 3], "size": 5},
                },
            }
        )
        rows += [{"sex": label, "from": a, "to": b, "n": int(k)} for a, b, k in zip(edges, edges[1:], n, strict=False)]
        if len(mine) >= least:
            q1, median, q3 = np.percentile(mine, [25, 50, 75])
            told.append(f"{label}: {count(len(mine))}, median {median:.1f}, quartiles {q1:.1f} and {q3:.1f}")
    figure = {
        "data": traces,
        "layout": layout(
            axis(title.partition(",")[0]),
            axis("Number"),
            barmode="stack",
            bargap=0.06,
            showlegend=True,
            margin={"l": 56, "r": 14, "t": 34, "b": 48},
        ),
    }
    return Chart(f"distribution-{name}", title, figure, f"{title}. {'; '.join(told)}.", pd.DataFrame(rows), "", 320)


def _missing(subjects: tuple[int, list[tuple[str, int]]], readings: list[dict[str, Any]]) -> Section:
    total, columns = subjects
    share = [f"{100 * n / total:.1f}" if total else "–" for _, n in columns]
    rows = tuple(Row((name, count(n), percent)) for (name, n), percent in zip(columns, share, strict=True))
    first = Table(
        "table-missing",
        f"Not recorded of the {count(total)} subjects.",
        (Column("Attribute"), Column("Subjects without", "right"), Column("%", "right")),
        rows,
    )
    made = []
    for row in readings:
        without = total - row["subjects"]
        label = MEASURANDS[row["measurand"]].label if row["measurand"] in MEASURANDS else row["measurand"]
        made.append(
            Row(
                (
                    sentence(label),
                    row["method"],
                    *(count(row[key]) for key in ("readings", "visits", "subjects")),
                    count(without),
                    f"{100 * without / total:.1f}" if total else "–",
                    count(row["flagged"]),
                )
            )
        )
    names = ("Readings", "Visits", "Subjects", "Subjects without", "%", "Flagged")
    second = Table(
        "table-readings",
        "Readings by measurand and method, and how many subjects have none.",
        (Column("Measurand"), Column("Method"), *(Column(name, "right") for name in names)),
        tuple(made),
    )
    return Section("missing", "Missing data", (first, second))


def _quality(run: int | None, found: list[dict[str, Any]]) -> Section:
    if not found:
        return Section("quality", "Capture quality", (Paragraph("The study has no scans."),))
    keys = ("scans", "all_views", *(("determinate", "indeterminate") if run else ()), "flagged")
    rows = tuple(
        Row((row["site"], row["phone"] or "not stated", *(count(int(row[key] or 0)) for key in keys))) for row in found
    )
    heads = {
        "scans": "Scans",
        "all_views": "With all four views",
        "determinate": "Determinate",
        "indeterminate": "Indeterminate",
        "flagged": "Flagged",
    }
    said = (
        f"Scans by site and phone, and what became of them in run {run}."
        if run
        else "Scans by site and phone; no run is finished yet."
    )
    columns = (Column("Site"), Column("Phone"), *(Column(heads[key], "right") for key in keys))
    return Section("quality", "Capture quality", (Table("table-quality", said, columns, rows),))


def _ingests(batches: list[Any]) -> Section:
    rows = []
    for batch in batches:
        readings = batch.counts.get("readings", {})
        cells = [count(readings.get(key)) for key in ("read", "new", "changed", "rejected", "flagged")]
        tone = "good" if batch.status in ("ingested", "unchanged") else "bad"
        rows.append(
            Row(
                (
                    str(batch.number),
                    f"{batch.finished_at:%Y-%m-%d %H:%M}",
                    batch.actor,
                    batch.mapping_name,
                    Badge(batch.status, tone),
                    *cells,
                )
            )
        )
    names = ("Read", "New", "Changed", "Rejected", "Flagged")
    columns = (
        Column("Ingest"),
        Column("Finished (UTC)"),
        Column("By"),
        Column("Mapping"),
        Column("Status"),
        *(Column(name, "right", "Readings") for name in names),
    )
    return Section("ingests", "Ingests", (Table("table-ingests", "Every ingest, newest first.", columns, tuple(rows)),))


def _quarantine(total: int, faults: list[dict[str, Any]]) -> Section:
    if not total:
        return Section("quarantine", "Quarantine", (Paragraph("No row was refused."),))
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for fault in faults:
        kinds.setdefault((str(fault["rule"]), str(fault["remedy"])), []).append(fault)
    rows = []
    for (rule, remedy), found in sorted(kinds.items(), key=lambda item: -len(item[1])):
        example = found[0]
        where = f"{example['file']} row {example['row']}, {example['column']}: {example['value']}"
        rows.append(Row((rule.replace("_", " "), count(len(found)), where, str(example["reason"]), remedy)))
    columns = (Column("Rule"), Column("Faults", "right"), Column("For example"), Column("Reason"), Column("What to do"))
    said = f"{count(total)} rows are in quarantine. Mend them in their file and ingest it again."
    notes = (f"Of the newest {_MOST} rows.",) if total > _MOST else ()
    return Section("quarantine", "Quarantine", (Table("table-quarantine", said, columns, tuple(rows), notes=notes),))


PAGE = Page("cohort", "Cohort and data quality", build)
