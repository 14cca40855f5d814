"""Whether anything moves from ingest to ingest: the sections of the drift report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import figures
from reports.bound import NOT_SHOWN, Bound, hidden_note, is_hidden
from reports.document import Badge, Column, Figure, Inline, List, Paragraph, Row, Section, Table
from reports.sections.provenance import provenance
from reports.wording import ABSENT, group_label, inside, listed, plural, sentence, short_unit_of_differences

_PLACES = {"share": 1, "distribution": 3}
_TONES = {"moves": "bad", "no evidence": "neutral", "not enough data": "unsure"}
_QUESTIONS = {
    "error": ("the error", "moves", "The error"),
    "inputs": ("who is measured", "changes", "Who is measured"),
    "capture": ("the capture", "changes", "The capture"),
}


def drift_sections(report: Bound) -> tuple[Section, ...]:
    """Summary, ingests, error, people, capture, groups and methods, as far as there is anything to compare."""
    if report.results["reason"] is not None:
        blocks: tuple[Any, ...] = (Paragraph(report.words(report.results["reason"]), lead=True),)
        notes = (List(tuple(report.notes)),) if report.notes else ()
        return Section("summary", "Summary", (*blocks, *notes)), _ingests(report), provenance(report)
    return (
        _summary(report), _ingests(report), _error(report), _people(report), _capture(report), _groups(report),
        _methods(report), provenance(report),
    )  # fmt: skip


def _of(report: Bound, question: str) -> list[tuple[int, Mapping[str, Any]]]:
    return [(place, item) for place, item in enumerate(report.results["charts"]) if item["question"] == question]


def _label(report: Bound, period: int) -> str:
    """The ingests of a period: "1–3", "4"."""
    numbers = report.results["batches"][period]["ingests"]
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"


def _places(item: Mapping[str, Any]) -> int:
    return _PLACES.get(item["statistic"], 2)


def _number(report: Bound, item: Mapping[str, Any], *path: Any) -> Inline:
    """What a chart shows at a path; shares as percentages."""
    if item["statistic"] == "share":
        return report.percent(*path, places=1)
    return report.value(*path, places=_places(item))


# Summary --------------------------------------------------------------------------------------------------------------


def _summary(report: Bound) -> Section:
    blocks: list[Any] = [Paragraph(said(report, question), lead=question == "error") for question in _QUESTIONS]
    groups = [place for place, item in enumerate(report.results["groups"]) if item["verdict"] == "moves"]
    if groups:
        blocks += [Paragraph("By group:"), List(tuple(_group_said(report, place) for place in groups))]
    elif report.results["groups"]:
        blocks.append(Paragraph("In no group of the plan do the data show that anything moves."))
    rows = []
    for place, item in enumerate(report.results["charts"]):
        path = ("charts", place)
        rows.append(
            Row(
                (
                    _named(item), report.p(*path, "p_value"), report.p(*path, "p_adjusted"),
                    Badge(item["verdict"], _TONES[item["verdict"]]), _alarm_cell(report, place),
                )
            )
        )  # fmt: skip
    notes = tuple(
        f"{_named(item)}: {report.words(item['reason'])}." for item in report.results["charts"] if item["reason"]
    )
    table = Table(
        "table-drift",
        "What is watched, and whether it moves.",
        (
            Column("Watched", width=2.6), Column("p", "right", width=0.8), Column("p, adjusted", "right", width=0.9),
            Column("Verdict", width=1.2), Column("Ingests beyond the limits", width=1.4),
        ),
        tuple(rows),
        notes=notes,
    )  # fmt: skip
    blocks.append(table)
    if report.notes:
        blocks.append(List(tuple(report.notes)))
    return Section("summary", "Summary", tuple(blocks))


def _named(item: Mapping[str, Any]) -> str:
    return f"{item['label']}, whole distribution" if item["statistic"] == "distribution" else item["label"]


def _alarm_cell(report: Bound, place: int) -> str:
    beyond = _beyond(report, ("charts", place))
    return listed(beyond) if beyond else "none" if report.results["charts"][place]["points"] else ABSENT


def _beyond(report: Bound, path: tuple[Any, ...]) -> list[str]:
    points = (report.at(path) or {}).get("points") or []
    return [_label(report, place + 1) for place, point in enumerate(points) if point["alarm"]]


def said(report: Bound, question: str) -> tuple[Inline, ...]:
    """Whether one thing moves: the sentence of the summary."""
    subject, verb, _ = _QUESTIONS[question]
    charts = _of(report, question)
    judged = [(place, item) for place, item in charts if item["p_adjusted"] is not None]
    if not judged:
        return (f"Whether {subject} {verb} could not be told: there are too few data.",)
    moving = [(place, item) for place, item in judged if item["verdict"] == "moves"]
    if not moving:
        place, _ = min(judged, key=lambda pair: pair[1]["p_adjusted"])
        return (f"There is no evidence that {subject} {verb} (smallest adjusted p-value ",
                report.p("charts", place, "p_adjusted"), ").")  # fmt: skip
    out: list[Inline] = [f"{sentence(subject)} {verb}: "]
    for number, (place, item) in enumerate(moving):
        out += ["; " if number else "", inside(_named(item)), " ("]
        beyond = _beyond(report, ("charts", place))
        out += [f"{'ingest' if len(beyond) == 1 else 'ingests'} {listed(beyond)}, "] if beyond else []
        out += [report.p("charts", place, "p_adjusted", prose=True), " after adjustment)"]
    return (*out, ".")


def _group_said(report: Bound, place: int) -> tuple[Inline, ...]:
    item = report.results["groups"][place]
    beyond = _beyond(report, ("groups", place))
    where = f" in {'ingest' if len(beyond) == 1 else 'ingests'} {listed(beyond)}" if beyond else ""
    name = f"{item['title']}, {group_label(item['group'], item['subgroup'])}: {inside(item['label'])} moves{where} ("
    return (name, report.p("groups", place, "p_adjusted", prose=True), " after adjustment).")


# The parts ------------------------------------------------------------------------------------------------------------


def _ingests(report: Bound) -> Section:
    items = report.results["batches"]
    if not items:
        return Section("ingests", "Ingests", (Paragraph("The study has no ingest."),))
    rows, hidden = [], False
    compared = report.results["baseline"] is not None
    for place, item in enumerate(items):
        hidden |= is_hidden(item)
        people: Inline = NOT_SHOWN if is_hidden(item) else report.count("batches", place, "people")
        name = _label(report, place) if compared else str(item["number"])
        role = ("baseline" if place == 0 else "compared with it") if compared else ABSENT
        rows.append(Row((name, str(item.get("finished") or ABSENT), people, role)))
    columns = (Column("Ingest"), Column("Finished on"), Column("People", "right"), Column("Role", width=1.4))
    notes = (hidden_note(report),) if hidden else ()
    table = Table("table-ingests", "Ingests that brought people.", columns, tuple(rows), notes=notes)
    blocks: list[Any] = [table]
    again = report.results.get("again") or {}
    if again.get("people"):
        blocks.append(
            Paragraph(
                (
                    report.count("again", "people"),
                    f" {'person is' if again['people'] == 1 else 'people are'} in several of them; limits are then "
                    "wider than they need be.",
                )
            )
        )
    return Section("ingests", "Ingests", tuple(blocks))


def _figure(report: Bound, name: str, caption: str, charts: list[tuple[int, Mapping[str, Any]]]) -> Figure | None:
    panels = []
    drawn = [item for _, item in charts if item["points"] and item["centre"] is not None]
    for item in drawn:
        factor = 100 if item["statistic"] == "share" else 1
        points = [
            figures.ControlPoint(
                _label(report, place + 1), *(None if point[key] is None else factor * point[key]
                                             for key in ("value", "lower", "upper")), point["alarm"],
            )
            for place, point in enumerate(item["points"])
        ]  # fmt: skip
        unit = item["unit"] if item["statistic"] == "share" else short_unit_of_differences(item["unit"])
        panels.append(
            figures.control_panel(
                item["label"], points, centre=factor * item["centre"], start=_label(report, 0), axis=unit,
                places=_places(item), width=figures.FULL_WIDTH if len(points) > 7 else figures.PANEL_WIDTH,
            )
        )  # fmt: skip
    if not panels:
        return None
    note = "Diamond and line: the baseline. Shaded: the limits of each ingest. Square in a ring: beyond its limits."
    hidden = any(is_hidden(point) for item in drawn for point in item["points"])
    return Figure(name, caption, tuple(panels), notes=(note, *((hidden_note(report),) if hidden else ())))


def _error(report: Bound) -> Section:
    charts = _of(report, "error")
    blocks: list[Any] = [Paragraph(said(report, "error"))]
    shown = next((place for place, item in charts if item["statistic"] == "mean" and item["centre"] is not None), None)
    if shown is not None:
        unit = short_unit_of_differences(report.results["charts"][shown]["unit"])
        n = report.results["charts"][shown]["baseline_n"]
        blocks.append(
            Paragraph(
                (
                    f"In the baseline the mean difference ({report.spoken(report.index)} − " f"{report.reference}) is ",
                    report.value("charts", shown, "centre"), f" {unit} in ",
                    report.count("charts", shown, "baseline_n"),
                    f" {'person' if n == 1 else 'people'}.",
                )
            )
        )  # fmt: skip
    figure = _figure(report, "figure-error", "The differences from the reference, ingest by ingest.", charts)
    return Section("error", "The error", (*blocks, *((figure,) if figure else ())))


def _people(report: Bound) -> Section:
    charts = _of(report, "inputs")
    blocks: list[Any] = [Paragraph(said(report, "inputs"))]
    rows = []
    for place, item in charts:
        path = ("charts", place)
        means: list[Inline] = [report.value(*path, "means", period, places=1) for period in (0, len(item["means"]) - 1)]
        if item["points"]:
            known = [number for number, point in enumerate(item["points"]) if point["value"] is not None]
            furthest = max(known, key=lambda number: item["points"][number]["value"], default=None)
            largest = max(known, key=lambda number: item["stability"][number], default=None)
        else:
            furthest = largest = None
        rows.append(
            Row(
                (
                    f"{item['label']} ({item['unit']})", *means,
                    ABSENT if furthest is None else report.value(*path, "points", furthest, "value", places=2),
                    ABSENT if largest is None else report.value(*path, "stability", largest, places=2),
                    report.value(*path, "stability_limit", places=2) if largest is not None else ABSENT,
                    report.p(*path, "p_adjusted"),
                )
            )
        )  # fmt: skip
    if rows:
        columns = (
            Column("Quantity", width=2.2), Column("Baseline", "right", group="Mean"),
            Column("Newest", "right", group="Mean"), Column("Largest distance", "right", width=1.1),
            Column("Largest", "right", group="Stability index", width=0.9),
            Column("Limit", "right", group="Stability index", width=0.9), Column("p, adjusted", "right"),
        )  # fmt: skip
        note = (
            "Distance: Kolmogorov–Smirnov's, between the distributions in an ingest and in the baseline, from 0 to 1. "
            "p: of the furthest ingest, adjusted for all ingests and quantities. The limit of the stability index is "
            "for ingests of this size, where nothing moves, and for each quantity by itself."
        )
        caption = "Who is measured: the distributions, ingest by ingest."
        blocks.append(Table("table-inputs", caption, columns, tuple(rows), notes=(note,)))
    return Section("people", "Who is measured", tuple(blocks))


def _capture(report: Bound) -> Section:
    charts = _of(report, "capture")
    if not charts:
        return Section("capture", "The capture", (Paragraph("No run has looked at scans of this study."),))
    blocks: list[Any] = [Paragraph(said(report, "capture"))]
    figure = _figure(report, "figure-capture", "People of whom a scan was indeterminate, ingest by ingest.", charts)
    blocks += [figure] if figure else []
    reasons = report.results["reasons"]
    if reasons and len(reasons[0]["counts"]) <= 12:
        rows, hidden = [], False
        for row, item in enumerate(reasons):
            cells: list[Inline] = []
            for place, cell in enumerate(item["counts"]):
                hidden |= is_hidden(cell)
                cells.append(NOT_SHOWN if is_hidden(cell) else report.count("reasons", row, "counts", place, "people"))
            rows.append(Row((sentence(report.words(item["reason"])), *cells)))
        heads = tuple(
            Column(_label(report, place), "right", group="People, by ingest", width=0.8)
            for place in range(len(reasons[0]["counts"]))
        )
        notes = (hidden_note(report),) if hidden else ()
        caption = "What quality control found, also of scans that gave a value."
        blocks.append(Table("table-reasons", caption, (Column("Finding", width=2), *heads), tuple(rows), notes=notes))
    return Section("capture", "The capture", tuple(blocks))


def _groups(report: Bound) -> Section:
    items = report.results["groups"]
    if not items:
        return Section("groups", "By group", (Paragraph("The plan names no groups, or none has data."),))
    rows: list[Row] = []
    hidden = False
    for place, item in enumerate(items):
        path = ("groups", place)
        if not rows or items[place - 1]["subgroup"] != item["subgroup"]:
            rows.append(Row((item["title"],), kind="group"))
        what = "difference" if item["question"] == "error" else "indeterminate"
        name = f"{group_label(item['group'], item['subgroup'])}, {what}"
        hidden |= is_hidden(item) or any(is_hidden(point) for point in item["points"])
        if is_hidden(item):
            rows.append(Row((name, NOT_SHOWN, "", "", "", ""), indent=1))
            continue
        shown = [number for number, point in enumerate(item["points"]) if point["value"] is not None]
        newest = _number(report, item, *path, "points", shown[-1], "value") if shown else ABSENT
        beyond = _beyond(report, path)
        rows.append(
            Row(
                (
                    name, _number(report, item, *path, "centre"), newest, report.p(*path, "p_adjusted"),
                    Badge(item["verdict"], _TONES[item["verdict"]]), listed(beyond) if beyond else "none",
                ),
                indent=1,
            )
        )  # fmt: skip
    columns = (
        Column("Group", width=2.6), Column("Baseline", "right"), Column("Newest shown", "right"),
        Column("p, adjusted", "right"), Column("Verdict", width=1.2), Column("Beyond the limits", width=1.2),
    )  # fmt: skip
    note = (
        f"Mean differences in {report.pp}; people with an indeterminate scan in %. p: of the furthest ingest, adjusted "
        "for all ingests and all groups."
    )
    notes = (note, *((hidden_note(report),) if hidden else ()))
    table = Table(
        "table-groups", "The error and the capture in the groups of the plan.", columns, tuple(rows), notes=notes
    )
    return Section("groups", "By group", (table,))


def _methods(report: Bound) -> Section:
    n = len(report.results["batches"]) - 1
    text: tuple[Inline, ...] = (
        f"{plural(n, 'later ingest is', 'later ingests are')} compared with the baseline, which is the first ingests "
        "that hold enough people. A person counts once an ingest, with the mean of what was measured. The limits take "
        "into account that mean and SD of the baseline are estimates: where nothing moves, the probability that a "
        "chart shows any ingest beyond its limits is ", report.percent("alarm"), ". Limits of mean and moving average "
        "are simultaneous prediction limits of normal theory; those of the SD, of shares and of distributions come "
        "from permutations of people among the ingests. The verdict is on p-values adjusted by Holm’s method for the "
        "number of charts that answer one question, and in the groups for the number of groups and attributes.",
    )  # fmt: skip
    warning = "No evidence that something moves is no evidence that it stays: few people hide much."
    return Section("methods", "How this was found", (Paragraph(text), Paragraph(warning)))
