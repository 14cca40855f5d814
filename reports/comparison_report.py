"""The report on two runs: did the candidate make it better, for whom, and which scans moved?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reports import figures
from reports.bound import Bound, is_hidden
from reports.document import Badge, Code, Column, Document, Facts, Figure, Inline, List, Paragraph, Row, Section, Table
from reports.kinds import Kept, Made, Order
from reports.sections.common import bound, document
from reports.sections.provenance import provenance
from reports.wording import ABSENT, estimate_of, excludes, group_label, inside, listed, method_label, plural, sentence

if TYPE_CHECKING:
    from studies.progress import Progress
    from studies.registry.workspace import Registry

_MOVED = 20
_METRICS = (("mae", "Mean absolute error", 2), ("bias", "Bias", 2), ("ccc", "Concordance (CCC)", 3))
_TONES = {"better": "good", "worse": "bad", "no evidence": "neutral"}


def build(registry: Registry, order: Order, progress: Progress) -> Made:
    """The comparison of two runs, the baseline first."""
    from studies.deidentified import deidentified
    from studies.registry.erasures import erasure_count
    from studies.runs.comparison import comparison_inputs

    with registry.reading() as connection:
        inputs = comparison_inputs(connection, order.study, *order.runs, progress=progress)
        erasures = erasure_count(connection, order.study)
    results = comparison_results(inputs, progress)
    return Made(
        "comparison", results, lambda created: comparison_document(results, created=created),
        plan_version=results["plan"]["version"], kept=Kept(lambda: deidentified(inputs), erasures),
    )  # fmt: skip


def comparison_results(inputs: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """The results of a comparison of two runs, from its inputs. They name nobody: scans are known by their number."""
    from studies.analysis import calliper_version
    from studies.runs.comparison import compare

    found = compare(inputs, progress=progress)
    content = found.to_dict(names=False)
    plan = {**content["plan"], "document": {"title": inputs["plan"].title}}
    return {"calliper": calliper_version(), "level": found.statistics.level, **content, "plan": plan}


def comparison_document(results: dict[str, Any], *, created: dt.datetime | None = None) -> Document:
    """The comparison of two runs as a document."""
    report = bound(results)
    runs = results["baseline"]["run"], results["candidate"]["run"]
    facts = Facts(
        (
            ("Study", results["study"]["name"]),
            ("Measurand", f"{sentence(report.measurand)}, against {report.reference}"),
            ("Baseline", _run(results["baseline"])),
            ("Candidate", _run(results["candidate"])),
            (
                "Analysis plan",
                f"Version {results['plan']['version']}, {'' if results['plan']['locked'] else 'not '}locked",
            ),
        )
    )
    sections = (_summary(report), _overall(report), _groups(report), _reach(report), _moved(report), provenance(report))
    subtitle = f"Run {runs[1]} against run {runs[0]}"
    return document(report, "Comparison of runs", subtitle, sections, facts=facts, created=created)


def _run(item: Mapping[str, Any]) -> str:
    used = listed(f"{kind} {name}" for kind, name in item["checkpoints"].items())
    return f"Run {item['run']}{f': {used}' if used else ''}"


def _names(report: Bound) -> tuple[str, str]:
    return tuple(f"run {report.results[role]['run']}" for role in ("baseline", "candidate"))  # type: ignore[return-value]


def verdict_sentence(report: Bound, path: tuple[Any, ...], where: str = "") -> tuple[Inline, ...]:
    """Better, worse or no evidence, with the difference, its interval and the p-value."""
    baseline, candidate = _names(report)
    item = report.at(path)
    gap = estimate_of(item["difference"]["mae"])
    if gap["estimate"] is None:
        return (f"{sentence(where + candidate)} and {baseline} could not be compared.",)
    if len(path) == 1 and _same(report):
        return (f"{sentence(candidate)} gave every scan the value that {baseline} gave it.",)
    words = {"better": f"{candidate} is better than {baseline}", "worse": f"{candidate} is worse than {baseline}"}
    told = words.get(item["verdict"], f"there is no evidence that {candidate} and {baseline} differ")
    out: list[Inline] = [sentence(f"{where}{told}"), ": difference of the mean absolute error "]
    out += [*report.said(*path, "difference", "mae", unit=report.points)]
    if item["p_adjusted"].get("mae") is not None:
        out += [", ", report.p(*path, "p_adjusted", "mae", prose=True), " after adjustment"]
    if item["verdict"] == "no evidence" and excludes(item["difference"]["mae"]):
        why = "; its interval alone leaves out zero, but the test, adjusted for the number of comparisons, "
        out.append(f"{why}does not show it")
    return (*out, ".")


def _same(report: Bound) -> bool:
    """Whether both runs gave every scan the same value."""
    moved = report.results["moved"]
    return bool(moved) and not moved[0]["change"]


def _summary(report: Bound) -> Section:
    blocks: list[Any] = [Paragraph(verdict_sentence(report, ("overall",)), lead=True)]
    told = []
    for name, part in report.results["subgroups"].items():
        for group, item in part["by_group"].items():
            if not is_hidden(item) and item["verdict"] in ("better", "worse"):
                where = f"{part['label']}, {group_label(group, name)}: "
                told.append(verdict_sentence(report, ("subgroups", name, "by_group", group), where))
    if told:
        blocks += [Paragraph("In these groups the data tell a difference:"), List(tuple(told))]
    elif report.results["subgroups"]:
        blocks.append(Paragraph("In no group of the plan do the data tell a difference."))
    if report.notes:
        blocks.append(List(tuple(report.notes)))
    return Section("summary", "Summary", tuple(blocks))


def _overall(report: Bound) -> Section:
    overall = report.results["overall"]
    rows = []
    for metric, label, places in _METRICS:
        cells = [report.cell("overall", part, metric, places=places, who=label) for part in ("baseline", "candidate")]
        cells.append(report.cell("overall", "difference", metric, places=places, who=label))
        p = [report.p("overall", key, metric) for key in ("p_value", "p_adjusted")]
        unit = "" if metric == "ccc" else f" ({report.pp})"
        rows.append(Row((f"{label}{unit}", *cells, *p)))
    baseline, candidate = _names(report)
    n = (report.count("overall", "n"), f" {'pair' if overall['n'] == 1 else 'pairs'} of ",
         report.count("overall", "subjects"), f" {'subject' if overall['subjects'] == 1 else 'subjects'}")  # fmt: skip
    table = Table(
        "table-overall",
        (*n, f" whom both runs saw, against {report.reference}; {report.level} intervals in brackets. Differences are "
         f"{candidate} − {baseline}."),
        (
            Column("Metric", width=1.7), Column(sentence(baseline), "right"), Column(sentence(candidate), "right"),
            Column("Difference", "right", width=1.1), Column("p", "right", width=0.6),
            Column("p, adjusted", "right", width=0.7),
        ),
        tuple(rows),
        notes=(
            "Of the mean absolute error less is better, of the concordance more. The verdict is on the error alone; "
            "p-values "
            "are adjusted after Holm.",
            *report.why(),
        ),
    )  # fmt: skip
    return Section("overall", "Overall", (table,))


def _groups(report: Bound) -> Section:
    subgroups = report.results["subgroups"]
    title = "By group"
    if not subgroups:
        return Section("groups", title, (Paragraph("The plan names no subgroup."),))
    rows: list[Row] = []
    hidden = False
    for name, part in subgroups.items():
        rows.append(Row((sentence(part["label"]),), kind="group"))
        for group, item in part["by_group"].items():
            path, label = ("subgroups", name, "by_group", group), group_label(group, name)
            if is_hidden(item):
                hidden = True
                rows.append(Row((label, "not shown", "", "", "", ""), indent=1))
                continue
            mae = [report.value(*path, role, "mae", "estimate") for role in ("baseline", "candidate")]
            gap = report.cell(*path, "difference", "mae", who=label)
            badge = Badge(item["verdict"], _TONES[item["verdict"]])
            rows.append(Row((label, report.count(*path, "n"), *mae, gap, badge), indent=1))
    baseline, candidate = _names(report)
    table = Table(
        "table-groups",
        f"Mean absolute error ({report.points}) in every group of the plan; {report.level} intervals in brackets. "
        "The verdict "
        "is by the p-value adjusted over all groups.",
        (
            Column("Group", width=1.8), Column("n", "right", width=0.7), Column(sentence(baseline), "right", width=0.9),
            Column(sentence(candidate), "right", width=0.9), Column("Difference", "right", width=1.3),
            Column("Verdict", width=1.1),
        ),
        tuple(rows),
        notes=(*(("“not shown”: too few subjects, or a group that would reveal such a one.",) if hidden else ()),
               *report.why()),
    )  # fmt: skip
    return Section("groups", title, (table, *_forests(report)))


def _forests(report: Bound) -> list[Figure]:
    """The difference of the error in every group, for each subgroup."""
    method = figures.Method("difference", "candidate − baseline", 0, {})
    overall = figures.GroupRow(
        "All", report.results["overall"]["n"], {"difference": report.at(("overall", "difference", "mae"))}
    )
    panels = []
    for name, part in report.results["subgroups"].items():
        rows = [
            figures.GroupRow(group_label(group, name), None, {}, "not shown")
            if is_hidden(item)
            else figures.GroupRow(group_label(group, name), item["n"], {"difference": item["difference"]["mae"]})
            for group, item in part["by_group"].items()
        ]
        if any(not row.hidden for row in rows):
            axis = f"Difference of the mean absolute error ({report.pp})"
            panels.append(figures.forest_panel(part["label"], axis, [method], overall, rows, null=0.0, places=2))
    if not panels:
        return []
    caption = (
        f"Difference of the mean absolute error, candidate − baseline, with {report.level} intervals; below 0 the "
    )
    caption += "candidate is closer. Dashed line: the difference in all."
    return [Figure("figure-groups", caption, tuple(panels))]


def _reach(report: Bound) -> Section:
    reach = report.results["reach"]
    baseline, candidate = _names(report)
    out: list[Inline] = ["Of ", report.count("reach", "scans"), f" {'scan' if reach['scans'] == 1 else 'scans'}, "]
    out += [report.count("reach", "both"), " gave a value in both runs, ", report.count("reach", "only_baseline")]
    out += [f" in {baseline} alone, ", report.count("reach", "only_candidate"), f" in {candidate} alone and "]
    out += [report.count("reach", "neither"), " in neither."]
    rows = []
    for place, label in (("only_baseline", candidate), ("only_candidate", baseline)):
        for position, item in enumerate(reach["why"][place]):
            n = report.count("reach", "why", place, position, "n")
            rows.append(Row((sentence(label), item["status"], item["reason"], n)))
    blocks: list[Any] = [Paragraph(tuple(out))]
    if rows:
        columns = (Column("Run", width=1), Column("Outcome", width=1.2), Column("Reason", width=3),
                   Column("Scans", "right", width=0.7))  # fmt: skip
        blocks.append(Table("table-reach", "Why one run alone gave a value.", columns, tuple(rows)))
    return Section("reach", "Scans that were compared", tuple(blocks))


def _moved(report: Bound) -> Section:
    title, moved = "Scans that moved most", report.results["moved"]
    if not moved:
        return Section("moved", title, (Paragraph("No scan gave a value in both runs."),))
    baseline, candidate = _names(report)
    # They are in the order of the size of the change.
    changed = [item for item in moved if item["change"]]
    if not changed:
        text = f"None: {candidate} gave every one of {plural(len(moved), 'scan')} the value that {baseline} gave it."
        return Section("moved", title, (Paragraph(text),))
    rows = []
    for position in range(min(_MOVED, len(changed))):
        path, item = ("moved", position), moved[position]
        cells: list[Any] = [report.value(*path, key, places=1) for key in ("baseline", "candidate", "change")]
        for key in ("reference", "change_of_error"):
            cells.append(ABSENT if item[key] is None else report.value(*path, key, places=1))
        rows.append(Row((report.count(*path, "number"), *cells)))
    closer = sum(1 for item in changed if (item["change_of_error"] or 0) < 0)
    known = sum(1 for item in changed if item["change_of_error"] is not None)
    text = (
        f"{plural(closer, 'scan')} of {known} with a reference moved closer to it with {candidate}."
        if known
        else "None of the scans that moved has a reference."
    )
    still = len(moved) - len(changed)
    if still:
        text += f" {plural(still, 'scan')} did not move."
    runs = [report.results[role]["run"] for role in ("baseline", "candidate")]
    command = f"calliper compare {report.results['study']['name']} --baseline {runs[0]} --candidate {runs[1]}"
    who: tuple[Inline, ...] = (
        "This report can be given away, and names nobody. Where the registry is, ", Code(command),
        " tells whose scans these are, in the same order.",
    )  # fmt: skip
    table = Table(
        "table-moved",
        f"The {plural(len(rows), 'scan')} that moved most of {len(moved)}; all are in results.json.",
        (
            Column("Scan", width=0.6), Column(sentence(baseline), "right", width=0.8),
            Column(sentence(candidate), "right", width=0.8), Column("Change", "right", width=0.8),
            Column(method_label(report.results["reference"]), "right", width=0.8),
            Column("Change of the error", "right", width=1.1),
        ),
        tuple(rows),
        notes=(f"In {inside(report.points)}; a negative change of the error is towards the reference.",),
    )  # fmt: skip
    return Section("moved", title, (Paragraph(text), table, Paragraph(who)))
