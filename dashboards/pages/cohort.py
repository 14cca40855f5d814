"""Cohort and data quality: who was analysed and who was not, what is missing, and what was refused at the door."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dashboards import tables
from dashboards.components.chart import Chart, axis, layout
from dashboards.components.text import exact, whole
from dashboards.view import Folded, Grid, Page, Part, View
from reports.bound import Bound
from reports.document import Badge, Block, Callout, Column, Inlines, Paragraph, Row, Section, Small, Table
from reports.figures import PALETTE
from reports.sections.participants import exclusions, participants
from reports.wording import ABSENT, count, group_label, sentence, unit_of_values
from studies.measurands import MEASURANDS
from studies.registry.catalogue import find_study
from validation.proportions import wilson

_MOST = 500
_BINS = 16


def build(view: View) -> list[Part]:
    chosen = view.selection
    # The flow is of everybody: a filter takes nobody out of a study.
    everybody = Bound(chosen.analysis.results, chosen.analysis.pairs)
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
        waiting = tables.in_quarantine(connection, study.id)
        run, quality = tables.capture_quality(connection, study.id)
        key = ("findings", chosen.analysis.key, run)
        findings = view.queries.once(key, lambda: tables.capture_findings(connection, study.id, run))
    parts += [participants(everybody), exclusions(everybody)]
    parts += [Section("distributions", "Distributions", ()), Grid(tuple(_distributions(view, everybody)))]
    parts += [_missing(missing, readings), _quality(run, quality, findings), _ingests(batches, waiting)]
    parts += _quarantine(*refused)
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


def _quality(run: int | None, found: list[dict[str, Any]], findings: dict[tuple[str, str], dict[str, int]]) -> Section:
    if not found:
        return Section("quality", "Capture quality", (Paragraph("The study has no scans."),))
    rows = []
    for row in found:
        scans = int(row["scans"] or 0)
        cells: list[Inlines] = [count(scans), _share(int(row["all_views"] or 0), scans)]
        if run:
            looked = int(row["determinate"] or 0) + int(row["indeterminate"] or 0)
            faulty = findings.get((row["site"], row["phone"]), {}).get("any", 0)
            cells += [_share(int(row["indeterminate"] or 0), looked), _share(faulty, looked)]
        rows.append(Row((row["site"], row["phone"] or "not stated", *cells, count(int(row["flagged"] or 0)))))
    said = f"Scans by site and phone, and what became of them in run {run}" if run else "Scans by site and phone"
    heads = ["With all four views (%)", *(["Indeterminate (%)", "With a finding (%)"] if run else [])]
    columns = (
        Column("Site"), Column("Phone"), Column("Scans", "right"), *(Column(head, "right") for head in heads),
        Column("Flagged at ingest", "right"),
    )  # fmt: skip
    notes = [
        "Shares with the number they are of, and Wilson's 95% intervals in brackets, as if scans were independent."
    ]
    if run:
        notes.append("A finding: something about a picture that may spoil the result, though there may still be one.")
    else:
        notes.append("What becomes of them will stand here once a run is finished.")
    blocks: list[Block] = [Table("table-quality", f"{said}.", columns, tuple(rows), notes=tuple(notes))]
    if any(counts["any"] for counts in findings.values()):
        blocks.append(_findings(run, found, findings))
    return Section("quality", "Capture quality", tuple(blocks))


def _findings(run: int | None, found: list[dict[str, Any]], findings: dict[tuple[str, str], dict[str, int]]) -> Table:
    """How many scans have each finding, at each site and phone."""
    reasons = sorted(
        {reason for counts in findings.values() for reason in counts} - {"any"},
        key=lambda reason: (-sum(counts.get(reason, 0) for counts in findings.values()), reason),
    )
    rows = tuple(
        Row((row["site"], row["phone"] or "not stated", *(count(counts.get(reason, 0)) for reason in reasons)))
        for row in found
        if (counts := findings.get((row["site"], row["phone"]))) is not None
    )
    columns = (Column("Site"), Column("Phone"), *(Column(sentence(reason), "right") for reason in reasons))
    return Table("table-findings", f"Scans with each finding of run {run}; a scan may have several.", columns, rows)


def _share(part: int, n: int) -> Inlines:
    """A share in percent with its interval and what it is of."""
    if not n:
        return ABSENT
    found = wilson(part, n)
    scaled = {
        end: None if (value := getattr(found, end)) is None else 100 * value for end in ("estimate", "low", "high")
    }
    return (*exact(scaled, 1), Small(f"{count(part)} of {count(n)}", below=True))


def _ingests(batches: list[Any], waiting: dict[int, int]) -> Section:
    rows = []
    for batch in batches:
        tone = "good" if batch.status in ("ingested", "unchanged") else "bad"
        cells = (
            batch.actor, batch.mapping_name, Badge(batch.status, tone),
            ", ".join(source["file"] for source in batch.sources if source.get("file")) or ABSENT,
        )  # fmt: skip
        kinds = [(kind, counts) for kind, counts in batch.counts.items() if counts.get("read")] or [("readings", {})]
        for place, (kind, counts) in enumerate(kinds):
            numbers = [count(counts.get(key)) for key in ("read", "new", "changed", "rejected", "flagged")]
            first = place == 0
            more = (whole(f"{batch.finished_at:%Y-%m-%d %H:%M}"), *cells) if first else ("",) * 5
            left = count(waiting.get(batch.id, 0)) if first else ""
            rows.append(Row((str(batch.number), *more, sentence(kind), *numbers, left)))
    columns = (
        Column("Ingest"), Column("Finished (UTC)"), Column("By"), Column("Mapping"), Column("Status"), Column("Files"),
        Column("Of what"),
        *(Column(name, "right", "Rows") for name in ("Read", "New", "Changed", "Rejected", "Flagged")),
        Column("In quarantine", "right"),
    )  # fmt: skip
    note = "In quarantine: rows of this ingest that were refused and are not mended yet, with their remedies below."
    table = Table("table-ingests", "Every ingest, newest first.", columns, tuple(rows), notes=(note,))
    return Section("ingests", "Ingests", (table,))


def _quarantine(total: int, faults: list[dict[str, Any]]) -> list[Part]:
    if not total:
        return [Section("quarantine", "Quarantine", (Paragraph("No row was refused."),))]
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
    notes = (f"Of the newest {count(_MOST)} rows.",) if total > _MOST else ()
    table = Table("table-quarantine", said, columns, tuple(rows), notes=notes)
    names = ("Ingest", "File", "Row", "Column", "Value", "Reason", "What to do")
    every = Table(
        "table-refused",
        f"Every fault of the {count(min(total, _MOST))} newest rows, newest first.",
        tuple(Column(name, "right" if name == "Row" else "left") for name in names),
        tuple(
            Row(tuple(_text(fault[key]) for key in ("ingest", "file", "row", "column", "value", "reason", "remedy")))
            for fault in faults
        ),
    )
    return [Section("quarantine", "Quarantine", (table,)), Folded("Every refused row, and its remedy", (every,))]


def _text(value: Any) -> str:
    return ABSENT if value is None or value == "" else str(value)


PAGE = Page("cohort", "Cohort and data quality", build)
