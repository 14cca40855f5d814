"""The validation report: what a study shows, from its results alone.

Every number in prose and tables is bound to its place in the results; what is missing is said to be missing, with the
reason that the analysis gives.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports import figures
from reports.document import (
    Badge,
    Block,
    Callout,
    Code,
    Column,
    Document,
    Facts,
    Figure,
    Inline,
    List,
    Paragraph,
    Ref,
    Row,
    Section,
    Small,
    Strong,
    Table,
    Value,
    pointer,
)
from reports.files import write_files
from reports.results import results_json
from reports.wording import (
    ABSENT,
    count,
    direction,
    estimate_of,
    excludes,
    group_label,
    in_words,
    interval,
    level_text,
    listed,
    method_label,
    number,
    p_text,
    p_value,
    plain_number,
    plural,
    proportional,
    sentence,
    short_unit_of_differences,
    signed_text,
    unit_of_differences,
    unit_of_values,
    versus,
)
from studies.errors import UsageError
from studies.measurands import MEASURANDS

if TYPE_CHECKING:
    from studies.analysis import StudyAnalysis

FORMATS = ("html", "pdf", "json")
NOT_SHOWN = "not shown"

_TONES = {"met": "good", "not met": "bad", "not enough data": "unsure", "equivalent": "good", "not shown": "neutral"}
_METRICS = {
    "bias": "bias",
    "mae": "mean absolute error",
    "rmse": "root mean square error",
    "median_ae": "median absolute error",
    "mape": "mean absolute percentage error",
    "sd": "standard deviation of the differences",
    "ccc": "concordance correlation",
    "pearson": "Pearson correlation",
    "lower_limit": "lower limit of agreement",
    "upper_limit": "upper limit of agreement",
    "limits": "limit of agreement further from zero",
    "slope": "slope of the difference on the mean",
    "mae_ratio": "ratio of mean absolute errors",
}


def write_report(
    analysis: StudyAnalysis,
    out_dir: Path | str,
    formats: Iterable[str] = FORMATS,
    *,
    created: dt.datetime | None = None,
) -> dict[str, Path]:
    """Write the validation report: report.html, report.pdf and results.json, as `formats` asks. Path by format.

    All files are made before any is written, and each is written whole or not at all. The same analysis gives the same
    bytes. created: date for the files' metadata. Raises `UsageError` for an unknown format, `StorageError` where the
    folder cannot be written.
    """
    wanted = list(dict.fromkeys(formats))
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown or not wanted:
        what = f"'{unknown[0]}' is not a format of the report." if unknown else "No format was asked for."
        raise UsageError(what, remedy=f"Choose from {listed(FORMATS)}.")
    folder = Path(out_dir)
    contents: dict[str, tuple[Path, bytes]] = {}
    document = validation_report(analysis, created=created) if {"html", "pdf"} & set(wanted) else None
    for name in wanted:
        if name == "json":
            contents[name] = (folder / "results.json", results_json(analysis.results))
        elif name == "html" and document is not None:
            from reports.html import render_html

            contents[name] = (folder / "report.html", render_html(document).encode("utf-8"))
        elif document is not None:
            from reports.pdf import render_pdf

            contents[name] = (folder / "report.pdf", render_pdf(document))
    write_files(dict(contents.values()))
    return {name: path for name, (path, _) in contents.items()}


def validation_report(analysis: StudyAnalysis, *, created: dt.datetime | None = None) -> Document:
    """The validation report of a study as a document."""
    report = _Report(analysis.results, analysis.pairs)
    results = analysis.results
    sections = (
        _summary(report),
        _participants(report),
        _methods(report),
        _agreement(report),
        _comparisons(report),
        _subgroups(report),
        _exclusions(report),
        _provenance(report),
    )
    footer = (
        f"Calliper {results.get('calliper', {}).get('version', '')} · plan {_short(results['plan'].get('hash'))} · "
        f"data {_short(results['data'].get('hash'))}"
    )
    return Document(
        title=results["study"].get("title") or results["study"]["name"],
        kind="Validation report",
        subtitle=f"{sentence(report.measurand)}: {report.label(report.index)} against {report.reference}",
        facts=_title_facts(report),
        running=results["study"].get("title") or results["study"]["name"],
        banner=report.banner,
        footer=footer,
        created=created,
        keywords=("method comparison", "agreement", report.measurand),
        sections=sections,
    )


def _short(value: Any) -> str:
    return str(value)[:12] if value else "unknown"


# The results, and numbers bound to them -------------------------------------------------------------------------------


@dataclass
class _Report:
    """The results with their labels, and the makers of bound numbers."""

    results: Mapping[str, Any]
    pairs: pd.DataFrame
    reasons: list[str] = field(default_factory=list)

    @cached_property
    def plan(self) -> Mapping[str, Any]:
        return self.results["plan"].get("document") or {}

    @cached_property
    def level(self) -> str:
        return level_text(self.plan.get("level", 0.95))

    @cached_property
    def unit(self) -> str:
        return self.results["measurand"]["unit"]

    @cached_property
    def points(self) -> str:
        return unit_of_differences(self.unit)

    @cached_property
    def pp(self) -> str:
        return short_unit_of_differences(self.unit)

    @cached_property
    def measurand(self) -> str:
        return self.results["measurand"].get("label") or self.results["measurand"]["name"]

    @property
    def index(self) -> str:
        return self.results["index"]

    @cached_property
    def reference(self) -> str:
        return method_label(self.results["reference"])

    @cached_property
    def names(self) -> list[str]:
        """The tests, index first; those that the flow knows but that have no result come last."""
        known = [self.index, *self.results["tests"], *(self.results.get("flow", {}).get("methods") or {})]
        return list(dict.fromkeys(known))

    @cached_property
    def comparators(self) -> list[str]:
        return self.names[1:]

    @cached_property
    def methods(self) -> list[figures.Method]:
        return [
            figures.Method(name, self.label(name), position, self.results["tests"].get(name) or {})
            for position, name in enumerate(self.names)
        ]

    def label(self, name: str) -> str:
        return method_label(name)

    @cached_property
    def codes(self) -> dict[str, str]:
        """Codes that the analysis' own sentences use, and their labels."""
        labels = {name: measurand.label for name, measurand in MEASURANDS.items() if "_" in name}
        return {**labels, **{name: method_label(name) for name in [*self.names, self.results["reference"]]}}

    def words(self, text: str) -> str:
        return signed_text(in_words(text, self.codes))

    @cached_property
    def notes(self) -> list[str]:
        return [self.words(note) for note in self.results.get("notes") or []]

    @cached_property
    def banner(self) -> str:
        """What every page must say: the first note that speaks of synthetic data or rendered photos."""
        return next((note for note in self.notes if re.search(r"\b(synthetic|rendered)\b", note, re.I)), "")

    @cached_property
    def by_method(self) -> dict[str, pd.DataFrame]:
        return {str(name): part for name, part in self.pairs.groupby("method", sort=False)} if len(self.pairs) else {}

    def column(self, name: str, column: str) -> np.ndarray:
        part = self.by_method.get(name)
        return np.zeros(0) if part is None else part[column].to_numpy(dtype=float)

    def at(self, path: Sequence[str | int]) -> Any:
        found: Any = self.results
        for step in path:
            if isinstance(found, Mapping):
                found = found.get(step)
            elif isinstance(found, (list, tuple)) and isinstance(step, int) and step < len(found):
                found = found[step]
            else:
                return None
        return found

    # Bound numbers

    def value(self, *path: str | int, places: int = 2) -> Value:
        found = self.at(path)
        return Value(number(found, places), pointer(*path), found)

    def count(self, *path: str | int) -> Value:
        found = self.at(path)
        return Value(count(found), pointer(*path), found)

    def word(self, *path: str | int) -> Value:
        found = self.at(path)
        return Value(str(found), pointer(*path), found)

    def p(self, *path: str | int, prose: bool = False) -> Value:
        found = self.at(path)
        return Value(p_value(found) if prose else p_text(found), pointer(*path), found)

    def ends(self, *path: str | int, places: int = 2) -> tuple[Inline, ...]:
        """The interval: "−0.37 to 0.09"; nothing where there is none."""
        if not interval(self.at(path), places):
            return ()
        return (self.value(*path, "low", places=places), " to ", self.value(*path, "high", places=places))

    def said(self, *path: str | int, places: int = 2, unit: str = "") -> tuple[Inline, ...]:
        """For prose: "3.53 percentage points (95% CI 3.41 to 3.65)"."""
        after = unit if unit == "%" else f" {unit}" if unit else ""
        head: tuple[Inline, ...] = (self.value(*path, "estimate", places=places), after)
        ends = self.ends(*path, places=places)
        return (*head, f" ({self.level} CI ", *ends, ")") if ends else head

    def cell(self, *path: str | int, places: int = 2, who: str = "") -> tuple[Inline, ...]:
        """For tables: the estimate, and its interval beneath where there is no room beside."""
        item = self.at(path)
        found = estimate_of(item)
        if found["estimate"] is None:
            if found.get("reason") and who:
                self._remember(f"{who}: {self.words(found['reason'])}")
            return (ABSENT,)
        ends = self.ends(*path, places=places)
        head: tuple[Inline, ...] = (self.value(*path, "estimate", places=places),)
        return (*head, " ", Small(("(", *ends, ")"))) if ends else head

    def _remember(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)

    def why(self) -> tuple[str, ...]:
        """Reasons for the dashes of the table that was just made, each once; starts afresh."""
        found, self.reasons = self.reasons, []
        return (f"{ABSENT} could not be computed. {'; '.join(map(sentence, found))}.",) if found else ()


def _metric(report: _Report, metric: str) -> tuple[str, str, int]:
    """Label, unit and decimals of a metric that a criterion names."""
    if metric.startswith("within_"):
        return f"share within ±{metric.removeprefix('within_')} {report.points}", "%", 1
    label = _METRICS.get(metric, metric.replace("_", " "))
    if metric in ("ccc", "pearson", "slope"):
        return label, "", 3
    if metric == "mae_ratio":
        return label, "", 2
    return label, "%" if metric == "mape" else report.points, 1 if metric == "mape" else 2


# Title and summary ----------------------------------------------------------------------------------------------------


def _title_facts(report: _Report) -> Facts:
    results = report.results
    plan = results["plan"]
    locked = Badge("locked", "good") if plan.get("locked") else Badge("not locked", "unsure")
    comparators = listed(report.label(name) for name in report.comparators) or "none"
    items: list[tuple[str, Any]] = [
        ("Study", results["study"]["name"]),
        ("Measurand", f"{sentence(report.measurand)} ({unit_of_values(report.unit)})"),
        ("Index test", report.label(report.index)),
        ("Reference standard", report.reference),
        ("Comparators", comparators),
        ("Analysis plan", (f"Version {plan.get('version')}, ", locked)),
        ("Pairs analysed", report.count("n")),
    ]
    return Facts(tuple(items))


def _summary(report: _Report) -> Section:
    blocks: list[Any] = [Paragraph(_headline(report), lead=True)]
    against = [item for name in report.comparators if (item := _against(report, name))]
    if against:
        blocks += [
            Paragraph(f"Mean absolute error of {report.label(report.index)} beside that of each comparator:"),
            List(tuple(against)),
        ]
    elif not report.comparators:
        blocks.append(Paragraph("The plan names no comparator, so the error is not compared with another method's."))
    notes = [note for note in report.notes if note != report.banner]
    if report.banner:
        blocks.append(Callout("These are not clinical data", (report.banner,), "unsure"))
    if not report.results["plan"].get("locked"):
        unlocked = [note for note in notes if "not locked" in note]
        notes = [note for note in notes if note not in unlocked]
        told = tuple(unlocked) or ("The results are exploratory: no criterion was fixed beforehand.",)
        blocks.append(Callout("The analysis plan was not locked", told, "unsure"))
    blocks.append(_criteria(report))
    if notes:
        blocks.append(Section("notes", "What to know before reading on", (List(tuple(notes)),)))
    return Section("summary", "Summary", tuple(blocks))


def _headline(report: _Report) -> tuple[Inline, ...]:
    index, label = report.index, report.label(report.index)
    result = report.results["tests"].get(index) or {}
    if not result.get("n"):
        return (f"{sentence(label)} has no pair with {report.reference}, so nothing can be said of its accuracy.",)
    path = ("tests", index)
    n = result["n"]
    who: list[Inline] = [
        "In ",
        report.count(*path, "n"),
        f" {'pair' if n == 1 else 'pairs'} of {label} and {report.reference}, ",
    ]
    mae = estimate_of(result.get("mae"))
    if mae["estimate"] is None:
        who.append("the mean absolute error could not be computed. ")
    else:
        who += ["the mean absolute error was ", *report.said(*path, "mae", unit=report.points), ". "]
    who += _bias_sentence(report, index)
    shares = [k for k in (result.get("within") or {}) if estimate_of(result["within"][k])["estimate"] is not None]
    if shares:
        widest = max(shares, key=float)
        who += [
            " ",
            report.value(*path, "within", widest, "estimate", places=0),
            f"% of pairs lay within ±{widest} {report.points}.",
        ]
    return tuple(who)


def _bias_sentence(report: _Report, name: str) -> list[Inline]:
    """ "BIA under-reads DXA on average: bias −0.14 percentage points (95% CI …; p = …)." """
    path = ("tests", name)
    item = report.at((*path, "bias"))
    out: list[Inline] = [sentence(direction(item, report.label(name), report.reference))]
    if estimate_of(item)["estimate"] is None:
        return [*out, "."]
    out += [": bias ", report.value(*path, "bias", "estimate"), f" {report.points}"]
    ends = report.ends(*path, "bias")
    p = report.at((*path, "p_value"))
    inner: list[Inline] = [f"{report.level} CI ", *ends] if ends else []
    if p is not None:
        inner += [*(["; "] if inner else []), report.p(*path, "p_value", prose=True)]
    return [*out, *([" (", *inner, ")"] if inner else []), "."]


def _comparison(report: _Report, a: str, b: str, metric: str = "mae") -> int | None:
    """The position of a comparison, whichever of the two comes first in it."""
    for position, row in enumerate(report.results.get("comparisons") or []):
        if row["metric"] == metric and {row["a"], row["b"]} == {a, b}:
            return position
    return None


def _against(report: _Report, name: str) -> tuple[Inline, ...] | None:
    position = _comparison(report, report.index, name)
    if position is None:
        if (report.results["tests"].get(name) or {}).get("n"):
            return None
        return (Strong(sentence(report.label(name))), f": no pair with {report.reference}, so it cannot be compared.")
    row = report.results["comparisons"][position]
    path = ("comparisons", position)
    a, b = report.label(row["a"]), report.label(row["b"])
    null, kind = (1.0, "ratio") if estimate_of(row.get("ratio"))["estimate"] is not None else (0.0, "difference")
    if estimate_of(row.get(kind))["estimate"] is None:
        reason = estimate_of(row.get(kind)).get("reason")
        return (f"{versus(row.get(kind), a, b, null)}{': ' + report.words(reason) if reason else ''}.",)
    out: list[Inline] = [versus(row[kind], a, b, null), ": "]
    if kind == "ratio":
        out += [f"the error of {a} is ", *report.said(*path, "ratio"), f" times that of {b}"]
        out += ["; difference ", *report.said(*path, "difference", unit=report.points)]
    else:
        out += ["difference ", *report.said(*path, "difference", unit=report.points)]
    if row.get("p_adjusted") is not None:
        out += [", ", report.p(*path, "p_adjusted", prose=True), " after adjustment"]
    return (*out, ", n = ", report.count(*path, "n"), ".")


def _criteria(report: _Report) -> Section:
    criteria = report.results.get("criteria") or []
    if not criteria:
        text = "The plan sets no acceptance criterion, so this report gives no verdict."
        return Section("criteria", "Acceptance criteria", (Paragraph(text),))
    rows = []
    for position, criterion in enumerate(criteria):
        label, unit, places = _metric(report, criterion["metric"])
        who = report.label(criterion["method"])
        against = f", against {report.label(criterion['against'])}" if criterion.get("against") else ""
        group = criterion.get("group")
        name, _, level = (group or "").partition("=")
        where = f", in {_group_title(report, name)}: {group_label(level, name)}" if group else ""
        cell = report.cell("criteria", position, "estimate", places=places, who=criterion["name"])
        verdict = report.at(("criteria", position, "verdict"))
        rows.append(
            Row(
                (
                    criterion["name"],
                    f"{sentence(label)} of {who}{against}{where}",
                    f"{signed_text(criterion['rule'])}{_after(unit)}",
                    cell,
                    Badge(verdict, _TONES.get(verdict, "neutral")),
                )
            )
        )
    table = Table(
        "table-criteria",
        f"Verdict on each acceptance criterion; {report.level} intervals in brackets.",
        (
            Column("Criterion", width=1.5),
            Column("Measure", width=1.9),
            Column("Rule", width=1.5),
            Column("Result", "right", width=1.3),
            Column("Verdict", width=1.0),
        ),
        tuple(rows),
        notes=report.why(),
    )
    return Section("criteria", "Acceptance criteria", (Paragraph(_tally(report)), table))


def _after(unit: str) -> str:
    return "" if not unit else "%" if unit == "%" else f" {unit}"


def _group_title(report: _Report, name: str) -> str:
    return str((report.results.get("subgroups") or {}).get(name, {}).get("label") or name).lower()


def _tally(report: _Report) -> str:
    """How many criteria were met, not met, or could not be judged."""
    verdicts = [criterion["verdict"] for criterion in report.results["criteria"]]
    total = len(verdicts)
    met, unmet = verdicts.count("met"), verdicts.count("not met")
    unknown = total - met - unmet
    if met == total:
        text = "The criterion was met" if total == 1 else f"All {total} criteria were met"
    elif unmet == total:
        text = "The criterion was not met" if total == 1 else f"None of the {total} criteria was met"
    else:
        parts = [f"{met} of {plural(total, 'criterion', 'criteria')} {'was' if met == 1 else 'were'} met"]
        if total == 1:
            parts = []
        if unmet:
            parts.append(f"{unmet} {'was' if unmet == 1 else 'were'} not met")
        if unknown:
            parts.append(f"{unknown if total > 1 else 'the criterion'} could not be judged for want of data")
        text = sentence(listed(parts))
    locked = report.results["plan"].get("locked")
    since = "" if locked else " The plan was not locked, so these verdicts confirm nothing"
    return f"{text}.{since}{'.' if since else ''}"


# Participants ---------------------------------------------------------------------------------------------------------


def _participants(report: _Report) -> Section:
    flow = report.results.get("flow") or {}
    blocks: list[Any] = []
    subjects = flow.get("subjects")
    if subjects:
        blocks += [
            Paragraph(_flow_sentence(report)),
            Figure(
                "figure-flow",
                f"Flow of participants. A subject is analysed when it has at least one pair of "
                f"{report.label(report.index)} and {report.reference}.",
                (figures.flow_panel(_flow_steps(report)),),
            ),
            _flow_table(report),
        ]
    else:
        blocks.append(Paragraph("The analysis gives no account of the flow of participants."))
    return Section("participants", "Participants", (*blocks, _cohort(report)))


def _flow_sentence(report: _Report) -> tuple[Inline, ...]:
    subjects = report.results["flow"]["subjects"]
    path = ("flow", "subjects")
    total, analysed = subjects["total"], subjects["analysed"]
    out: list[Inline] = ["Of ", report.count(*path, "total"), f" {'subject' if total == 1 else 'subjects'}, "]
    out += [report.count(*path, "analysed"), f" {'was' if analysed == 1 else 'were'} analysed"]
    left = total - analysed
    if not left:
        return (*out, "; nobody was left out.")
    reasons = subjects.get("excluded") or []
    main = max(range(len(reasons)), key=lambda i: reasons[i]["n"]) if reasons else None
    if main is None:
        return (*out, f"; {count(left)} {'was' if left == 1 else 'were'} left out.")
    out.append(f"; {count(left)} {'was' if left == 1 else 'were'} left out")
    if len(reasons) == 1:
        return (*out, f" ({report.words(reasons[0]['reason'])}).")
    out += [f", most often for this reason: {report.words(reasons[main]['reason'])} ("]
    return (*out, report.count(*path, "excluded", main, "n"), ").")


def _own_exclusions(report: _Report, name: str) -> tuple[tuple[str, int], ...] | None:
    """What a method loses beyond those left out of the whole analysis; None where the counts do not nest."""
    flow = report.results["flow"]
    subjects, method = flow["subjects"], flow["methods"][name]
    common = {row["reason"]: row["n"] for row in subjects.get("excluded") or []}
    own = []
    for row in method.get("excluded") or []:
        rest = row["n"] - common.pop(row["reason"], 0)
        if rest < 0:
            return None
        if rest:
            own.append((report.words(row["reason"]), rest))
    nests = not common and sum(n for _, n in own) == subjects["analysed"] - method["analysed"]
    return tuple(own) if nests else None


def _flow_steps(report: _Report) -> list[figures.FlowStep]:
    flow = report.results["flow"]
    subjects = flow["subjects"]
    excluded = tuple((report.words(row["reason"]), row["n"]) for row in subjects.get("excluded") or [])
    left = subjects["total"] - subjects["analysed"]
    steps = [
        figures.FlowStep(
            "Subjects in the study", subjects["total"], f"Left out: {count(left)}" if left else "", excluded
        ),
        figures.FlowStep("Subjects analysed", subjects["analysed"]),
    ]
    for name, method in (flow.get("methods") or {}).items():
        own = _own_exclusions(report, name)
        if own is None:
            own = tuple((report.words(row["reason"]), row["n"]) for row in method.get("excluded") or [])
            lost = method["total"] - method["analysed"]
            title = f"Not in this comparison, of all {count(method['total'])}: {count(lost)}" if lost else ""
        else:
            lost = sum(n for _, n in own)
            title = f"Not in this comparison: {count(lost)}" if lost else ""
        role = " (index test)" if name == report.index else ""
        steps.append(
            figures.FlowStep(
                f"{sentence(report.label(name))} against {report.reference}{role}",
                method["analysed"],
                title,
                own,
                branch=True,
            )
        )
    return steps


def _flow_table(report: _Report) -> Table:
    flow = report.results["flow"]
    entries = [("Subjects of the study", ("flow", "subjects"))]
    entries += [
        (f"{sentence(report.label(name))} against {report.reference}", ("flow", "methods", name))
        for name in flow.get("methods") or {}
    ]
    return Table(
        "table-flow",
        "Subjects by method: those left out have one reason each, and the counts add up to all subjects.",
        (
            Column("", width=2.4),
            Column("All", "right", width=0.8),
            Column("Analysed", "right", width=0.9),
            Column("Left out", "right", width=0.9),
            Column("Reasons", width=3.4),
        ),
        _flow_rows(report, entries),
    )


def _flow_rows(report: _Report, entries: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[Row, ...]:
    rows = []
    for label, path in entries:
        part = report.at(path) or {}
        excluded = part.get("excluded") or []
        reasons: list[Inline] = []
        for position, row in enumerate(excluded):
            reasons += ["; "] if position else []
            reasons += [f"{report.words(row['reason'])}: ", report.count(*path, "excluded", position, "n")]
        left = sum(row["n"] for row in excluded)
        rows.append(
            Row(
                (
                    label,
                    report.count(*path, "total"),
                    report.count(*path, "analysed"),
                    count(left),
                    tuple(reasons) or ABSENT,
                )
            )
        )
    return tuple(rows)


def _cohort(report: _Report) -> Section:
    cohort = report.results.get("cohort") or {}
    rows = cohort.get("rows") or []
    groups = cohort.get("groups") or []
    if not rows or not groups:
        text = "The analysis does not describe the subjects."
        return Section("cohort", "Characteristics of the subjects", (Paragraph(text),))
    out: list[Row] = []
    hidden = False
    for position, row in enumerate(rows):
        path = ("cohort", "rows", position)
        unit = f" ({row['unit']})" if row.get("unit") else ""
        name = f"{report.words(row['characteristic'])}{unit}"
        if row["kind"] == "continuous":
            cells = [_continuous(report, (*path, "values", group)) for group in groups]
            hidden |= any(NOT_SHOWN in cell for cell in cells)
            out.append(Row((name, *cells)))
            continue
        out.append(Row((name,), kind="group"))
        sex = str(row["characteristic"]).lower() == "sex"
        for place, level in enumerate(row["levels"]):
            cells = [_categorical(report, (*path, "levels", place, "values", group)) for group in groups]
            hidden |= any(NOT_SHOWN in cell for cell in cells)
            label = group_label(level["level"], "sex") if sex else level["level"]
            out.append(Row((label, *cells), indent=1))
    notes = ["Mean ± standard deviation (median; lowest to highest) or count (percentage)."]
    if hidden:
        least = report.plan.get("minimum_cell")
        few = f" below {least}" if least else " that are small"
        notes.append(f"“{NOT_SHOWN}”: counts{few} are hidden, with those that would reveal them.")
    columns = [Column("Characteristic", width=1.7)]
    columns += [Column(group_label(group), "right", width=1.2) for group in groups]
    n = cohort.get("n")
    who: tuple[Inline, ...] = (
        ("Characteristics of the ", report.count("cohort", "n"), f" analysed {'subject' if n == 1 else 'subjects'}.")
        if n is not None
        else ("Characteristics of the analysed subjects.",)
    )
    table = Table("table-cohort", who, tuple(columns), tuple(out), notes=tuple(notes))
    return Section("cohort", "Characteristics of the subjects", (table,))


def _continuous(report: _Report, path: tuple[str | int, ...]) -> tuple[Inline, ...]:
    found = report.at(path) or {}
    if found.get("suppressed"):
        return (NOT_SHOWN,)
    if found.get("mean") is None:
        return (ABSENT,)
    out: list[Inline] = [report.value(*path, "mean", places=1)]
    if found.get("sd") is not None:
        out += [" ± ", report.value(*path, "sd", places=1)]
    rest: list[Inline] = ["("]
    for key, before in (("median", ""), ("min", "; "), ("max", " to ")):
        if found.get(key) is None:
            return tuple(out)
        rest += [before, report.value(*path, key, places=1)]
    return (*out, " ", Small((*rest, ")")))


def _categorical(report: _Report, path: tuple[str | int, ...]) -> tuple[Inline, ...]:
    found = report.at(path) or {}
    if found.get("suppressed"):
        return (NOT_SHOWN,)
    if found.get("n") is None:
        return (ABSENT,)
    out: tuple[Inline, ...] = (report.count(*path, "n"),)
    if found.get("percent") is None:
        return out
    return (*out, " ", Small(("(", report.value(*path, "percent", places=1), "%)")))


# Methods --------------------------------------------------------------------------------------------------------------


def _methods(report: _Report) -> Section:
    plan = report.plan
    index = report.label(report.index)
    comparators = [report.label(name) for name in report.comparators]
    beside = (
        f" The {'comparator was' if len(comparators) == 1 else 'comparators were'} {listed(comparators)}."
        if comparators
        else " There was no comparator."
    )
    blocks: list[Any] = [
        Paragraph(
            f"The measurand is {report.measurand}. The index test, {index}, was compared with the reference standard, "
            f"{report.reference}.{beside} A difference is always test − {report.reference}, so that a positive bias "
            f"means over-reading; differences are in {report.points}."
        )
    ]
    if not plan:
        blocks.append(Paragraph("The results do not hold the text of the analysis plan."))
        return Section("methods", "Methods", tuple(blocks))
    blocks.append(Section("who", "Who was analysed, and how measurements were paired", tuple(_who(report))))
    blocks.append(Section("statistics", "Statistics", tuple(_statistics(report))))
    equations = _equations(report)
    if equations:
        blocks.append(Section("equations", "Methods that are computed", (equations,)))
    return Section("methods", "Methods", tuple(blocks))


def _who(report: _Report) -> list[Block]:
    plan = report.plan
    blocks: list[Block] = []
    rules = plan.get("eligibility") or []
    if rules:
        blocks.append(Paragraph("A subject had to meet every one of these rules; the first that failed is its reason:"))
        blocks.append(List(tuple(_rule(report, rule) for rule in rules)))
    else:
        blocks.append(Paragraph("The plan sets no rule of eligibility: every subject of the study could be analysed."))
    pairing = plan.get("pairing") or {}
    window = pairing.get("window_days")
    days = "" if window is None else f"{plain_number(window)} {'day' if window == 1 else 'days'}"
    index = report.label(report.index)
    if pairing.get("match") == "time":
        text = f"Each {index} measurement was paired with the {report.reference} measurement nearest in time"
        text += f", no more than {days} apart." if days else "."
    else:
        text = f"{sentence(index)} and {report.reference} measurements of the same visit were paired"
        text += f", when no more than {days} apart." if days else "."
    text += {
        "first": " Of several measurements by one method, the first was used.",
        "mean": " Several measurements by one method were averaged.",
        "nearest": " Of several measurements by one method, the one nearest in time was used.",
    }.get(pairing.get("replicates", ""), "")
    visits = plan.get("visits")
    if visits:
        text += f" Only {'visit' if len(visits) == 1 else 'visits'} {listed(map(str, visits))} {'was' if len(visits) == 1 else 'were'} used."
    if report.comparators:
        text += f" Comparators were taken at the same occasions as the pairs of {index} and {report.reference}."
    blocks.append(Paragraph(text))
    return blocks


def _rule(report: _Report, rule: Mapping[str, Any]) -> str:
    """An eligibility rule as a condition that a subject meets."""
    name = rule.get("measurand") or rule.get("attribute") or ""
    what = MEASURANDS[name].label if name in MEASURANDS else name.replace("_", " ")
    if rule.get("method"):
        what += f" by {report.label(rule['method'])}"

    def several(values: Iterable[Any]) -> str:
        return listed((_scalar(value) for value in values), "or")

    if rule.get("equals") is not None:
        text = f"{what} is {_scalar(rule['equals'])}"
    elif rule.get("in"):
        text = f"{what} is {several(rule['in'])}"
    elif rule.get("not_in"):
        text = f"{what} is not {several(rule['not_in'])}"
    elif rule.get("at_least") is not None:
        text = f"{what} is at least {_scalar(rule['at_least'])}"
    elif rule.get("at_most") is not None:
        text = f"{what} is at most {_scalar(rule['at_most'])}"
    else:
        text = f"{what} is recorded"
    reason = rule.get("reason")
    return f"{sentence(text)}{f' (otherwise: {reason})' if reason else ''}."


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain_number(value) if isinstance(value, (int, float)) else str(value)


def _statistics(report: _Report) -> list[Block]:
    plan = report.plan
    tests = [test for test in report.results["tests"].values() if "limits" in test]
    kind = (tests[0]["limits"] or {}).get("interval") if tests else None
    coverage = (tests[0]["limits"] or {}).get("coverage", 0.95) if tests else 0.95
    repeated = any((test.get("subjects") or test.get("n")) != test.get("n") for test in tests)
    exact = " (exact, after Carkeet)" if kind == "exact" and not repeated else ""
    items: list[Any] = [
        (
            Strong("Bias"),
            " is the mean difference, with a t interval and the p-value of a paired t-test. The ",
            Strong("limits of agreement"),
            f" (Bland and Altman) are where {level_text(coverage)} of differences are expected to lie; each limit has "
            f"its own interval{exact}.",
        ),
        (
            Strong("MAE, RMSE, median absolute error and MAPE"),
            f" say how large the errors are, whichever way they go. Their intervals are bootstrap intervals "
            f"({count(plan['resamples'])} resamples of subjects)."
            if plan.get("resamples")
            else " say how large the errors are, whichever way they go.",
        ),
        (
            Strong("CCC"),
            " is Lin's concordance correlation coefficient: 1 when every pair lies on the line of identity.",
        ),
        (
            Strong("Proportional bias"),
            " is the slope of the differences on the means of the two measurements: zero when the bias is the same at "
            "every size.",
        ),
    ]
    if report.results.get("comparisons"):
        items.append(
            (
                Strong("Comparisons"),
                " of two methods use the subjects who have both. The ratio of their errors is below 1 where the first "
                "is better. p-values are of a sign-flip permutation test, adjusted after Holm for the number of "
                "pairs of methods.",
            )
        )
    if repeated:
        items.append(
            "Some subjects have more than one pair; intervals and tests allow for this by resampling subjects."
        )
    if plan.get("margins"):
        margins = listed(
            f"±{plain_number(value)} {report.points} for {_METRICS.get(name, name)}"
            for name, value in plan["margins"].items()
        )
        items.append((Strong("Equivalence"), f" is shown when the whole interval lies inside the margin: {margins}."))
    tail = f"All intervals are {report.level} confidence intervals."
    least = plan.get("minimum_cell")
    if least and least > 1:
        tail += f" Groups of fewer than {least} subjects are not shown, nor is what would reveal them."
    if plan.get("seed") is not None:
        tail += f" Resampling starts from seed {plan['seed']}, so that the results can be reproduced exactly."
    return [List(tuple(items)), Paragraph(tail)]


def _equations(report: _Report) -> Table | None:
    if report.results["measurand"]["name"] != "body_fat_percent":
        return None
    from studies.derived import EQUATIONS

    used = [EQUATIONS[name] for name in report.names if name in EQUATIONS]
    if not used:
        return None
    rows = tuple(
        Row((sentence(method_label(item.name)), (item.formula,), sentence(item.validity), item.source)) for item in used
    )
    return Table(
        "table-equations",
        "Equations for body fat percentage, from BMI (kg/m²), age (years), stature and waist girth (cm); "
        "male and female are 1 or 0.",
        (
            Column("Method", width=1),
            Column("Equation", width=2),
            Column("Made for", width=1.5),
            Column("Source", width=2.6),
        ),
        rows,
    )


# Agreement ------------------------------------------------------------------------------------------------------------


def _agreement(report: _Report) -> Section:
    blocks: list[Any] = []
    if not any((report.results["tests"].get(name) or {}).get("n") for name in report.names):
        text = f"No method has a pair with {report.reference}, so there is nothing to report."
        return Section("agreement", f"Agreement with {report.reference}", (Paragraph(text),))
    blocks.append(Section("errors", "Size of the errors", (_error_table(report), _error_figure(report))))
    bias: list[Any] = [
        List(tuple(_agreement_sentence(report, name) for name in report.names)),
        _agreement_table(report),
        _bland_altman(report),
    ]
    blocks.append(Section("bias", "Bias and limits of agreement", tuple(bias)))
    equivalence = _equivalence(report)
    if equivalence:
        blocks.append(equivalence)
    blocks.append(Section("concordance", "Concordance", (_concordance_table(report), _identity(report))))
    regression = _regression(report)
    if regression:
        blocks.append(regression)
    return Section("agreement", f"Agreement with {report.reference}", tuple(blocks))


def _n(report: _Report, name: str) -> Value | str:
    return report.count("tests", name, "n") if name in report.results["tests"] else count(0)


def _within(report: _Report) -> list[str]:
    keys: dict[str, None] = {}
    for test in report.results["tests"].values():
        keys.update(dict.fromkeys(test.get("within") or {}))
    return sorted(keys, key=float)


def _error_table(report: _Report) -> Table:
    shares = _within(report)
    rows = []
    for name in report.names:
        path, who = ("tests", name), report.label(name)
        rows.append(
            Row(
                (
                    sentence(who),
                    _n(report, name),
                    report.cell(*path, "mae", who=who),
                    report.cell(*path, "rmse", who=who),
                    report.cell(*path, "median_ae", who=who),
                    report.cell(*path, "mape", places=1, who=who),
                    *(report.cell(*path, "within", k, places=1, who=who) for k in shares),
                )
            )
        )
    columns = [
        Column("Method", width=1.25),
        Column("n", "right", width=0.65),
        Column(f"MAE ({report.pp})", "right"),
        Column(f"RMSE ({report.pp})", "right"),
        Column(f"Median error ({report.pp})", "right"),
        Column("MAPE (%)", "right"),
        *(Column(f"Within ±{k} {report.pp} (%)", "right") for k in shares),
    ]
    return Table(
        "table-errors",
        f"Errors against {report.reference}; {report.level} intervals in brackets.",
        tuple(columns),
        tuple(rows),
        notes=(
            f"MAE: mean absolute error. RMSE: root mean square error. MAPE: mean absolute percentage error."
            f"{' pp: percentage points.' if report.pp == 'pp' else ''}",
            *_missing(report),
            *report.why(),
        ),
    )


def _missing(report: _Report) -> tuple[str, ...]:
    absent = [report.label(name) for name in report.names if not (report.results["tests"].get(name) or {}).get("n")]
    if not absent:
        return ()
    return (f"{sentence(listed(absent))} {'has' if len(absent) == 1 else 'have'} no pair with {report.reference}.",)


def _agreement_sentence(report: _Report, name: str) -> tuple[Inline, ...]:
    result = report.results["tests"].get(name) or {}
    path = ("tests", name)
    if not result.get("n"):
        return (Strong(sentence(report.label(name))), f": no pair with {report.reference}.")
    out: list[Inline] = _bias_sentence(report, name)
    limits = result.get("limits") or {}
    if all(estimate_of(limits.get(end))["estimate"] is not None for end in ("lower", "upper")):
        out += [
            " Limits of agreement ",
            report.value(*path, "limits", "lower", "estimate"),
            " to ",
            report.value(*path, "limits", "upper", "estimate"),
            f" {report.points}.",
        ]
    slope = report.at((*path, "proportional_bias", "slope"))
    if estimate_of(slope)["estimate"] is not None:
        out.append(f" {proportional(slope, report.label(name))}")
        if excludes(slope):
            out += [" (slope ", report.value(*path, "proportional_bias", "slope", "estimate", places=3), ")"]
        out.append(".")
    return tuple(out)


def _agreement_table(report: _Report) -> Table:
    rows = []
    for name in report.names:
        path, who = ("tests", name), report.label(name)
        rows.append(
            Row(
                (
                    sentence(who),
                    _n(report, name),
                    report.cell(*path, "bias", who=who),
                    report.value(*path, "sd"),
                    report.p(*path, "p_value"),
                    report.cell(*path, "limits", "lower", who=who),
                    report.cell(*path, "limits", "upper", who=who),
                    report.cell(*path, "proportional_bias", "slope", places=3, who=who),
                )
            )
        )
    columns = (
        Column("Method", width=1.25),
        Column("n", "right", width=0.65),
        Column(f"Bias ({report.pp})", "right", width=1.1),
        Column("SD", "right", width=0.6),
        Column("p", "right", width=0.8),
        Column("Lower", "right", f"Limits of agreement ({report.pp})", 1.25),
        Column("Upper", "right", f"Limits of agreement ({report.pp})", 1.1),
        Column("Slope on the mean", "right", width=1.15),
    )
    return Table(
        "table-agreement",
        f"Bias and limits of agreement with {report.reference}; {report.level} intervals in brackets.",
        columns,
        tuple(rows),
        notes=(
            "SD: standard deviation of the differences. p: paired test of no bias.",
            *_missing(report),
            *report.why(),
        ),
    )


def _bland_altman(report: _Report) -> Figure:
    means = {name: report.column(name, "mean") for name in report.names}
    gaps = {name: report.column(name, "difference") for name in report.names}
    xlim, ylim = figures.spans(means.values(), gaps.values(), report.methods)
    panels = tuple(
        figures.bland_altman_panel(
            method,
            report.reference,
            means[method.name],
            gaps[method.name],
            unit=report.unit,
            level=report.level,
            xlim=xlim,
            ylim=ylim,
        )
        for method in report.methods
    )
    return Figure(
        "figure-bland-altman",
        f"Bland–Altman plots on common axes. Solid line: bias; dashed lines: limits of agreement; bands: their "
        f"{report.level} intervals; dotted line: zero.",
        panels,
        notes=_dense_note(report),
    )


def _dense_note(report: _Report) -> tuple[str, ...]:
    if any(len(report.column(name, "mean")) > figures.DENSE for name in report.names):
        return (
            f"Above {count(figures.DENSE)} pairs, hexagons are drawn instead of points; darker ones hold more pairs.",
        )
    return ()


def _identity(report: _Report) -> Figure:
    values = [report.column(name, column) for name in report.names for column in ("reference", "test")]
    lim = figures.spans(values, [], [])[0]
    panels = tuple(
        figures.identity_panel(
            method,
            report.reference,
            report.column(method.name, "reference"),
            report.column(method.name, "test"),
            unit=report.unit,
            lim=lim,
        )
        for method in report.methods
    )
    return Figure(
        "figure-identity",
        f"Each method against {report.reference}. A pair on the line has the same value by both.",
        panels,
        notes=_dense_note(report),
    )


def _error_figure(report: _Report) -> Figure:
    errors = {name: np.abs(report.column(name, "difference")) for name in report.names}
    marks = [float(k) for k in _within(report)]
    return Figure(
        "figure-errors",
        "Absolute errors. Left: quartiles (box), median (line), 5th to 95th percentile (whiskers) and mean (diamond). "
        "Right: the share of pairs whose error is no larger than the value on the axis"
        f"{'; dotted lines at ' + listed(plain_number(mark) for mark in marks) if marks else ''}. "
        "Both axes end at the 99th percentile of the worst method.",
        figures.error_panels(report.methods, errors, unit=report.unit, marks=marks),
    )


def _sex_groups(report: _Report) -> list[tuple[str, str]]:
    """The groups of sex, women first, as (label, group); none where sex is no subgroup."""
    for name, subgroup in (report.results.get("subgroups") or {}).items():
        source = next((item for item in report.plan.get("subgroups") or [] if item.get("name") == name), {})
        if name == "sex" or source.get("attribute") == "sex":
            return [
                (name, group) for group in sorted(subgroup["by_group"], key=lambda group: (group != "F", group == "M"))
            ]
    return []


def _concordance_table(report: _Report) -> Table:
    groups = _sex_groups(report)
    icc = _icc_keys(report)
    rows = []
    for name in report.names:
        path, who = ("tests", name), report.label(name)
        by_sex = []
        for subgroup, group in groups:
            inner = ("subgroups", subgroup, "by_group", group, "tests", name)
            by_sex.append(_group_cell(report, inner, "ccc", places=3, who=f"{who}, {group_label(group)}"))
        rows.append(
            Row(
                (
                    sentence(who),
                    _n(report, name),
                    report.cell(*path, "ccc", places=3, who=who),
                    *by_sex,
                    report.cell(*path, "pearson", places=3, who=who),
                    *(report.cell(*path, *keys, places=3, who=who) for _, keys in icc),
                )
            )
        )
    columns = (
        Column("Method", width=1.25),
        Column("n", "right", width=0.65),
        Column("All" if groups else "CCC", "right", "CCC" if groups else "", 1.2),
        *(Column(group_label(group), "right", "CCC", 1.2) for _, group in groups),
        Column("Pearson r", "right", width=1.2),
        *(Column(label, "right", width=1.2) for label, _ in icc),
    )
    notes = ["CCC: Lin's concordance correlation coefficient."]
    if any(
        _is_hidden(report.at(("subgroups", s, "by_group", g, "tests", name)))
        for s, g in groups
        for name in report.results["tests"]
    ):
        notes.append(_hidden_note(report))
    return Table(
        "table-concordance",
        f"Concordance and correlation with {report.reference}; {report.level} intervals in brackets.",
        columns,
        tuple(rows),
        notes=(*notes, *_missing(report), *report.why()),
    )


def _icc_keys(report: _Report) -> list[tuple[str, tuple[str, ...]]]:
    """Intraclass correlations, where the analysis has them: one estimate, or one a form."""
    found: dict[str, tuple[str, ...]] = {}
    for test in report.results["tests"].values():
        icc = test.get("icc")
        if isinstance(icc, Mapping) and "estimate" in icc:
            found["ICC"] = ("icc",)
        elif isinstance(icc, Mapping):
            found.update({f"ICC {form}": ("icc", form) for form, item in icc.items() if isinstance(item, Mapping)})
    return list(found.items())


def _regression(report: _Report) -> Section | None:
    """Regressions that allow for error in both methods, where the analysis has them."""
    kinds = (("deming", "Deming"), ("passing_bablok", "Passing–Bablok"))
    rows = []
    for name in report.names:
        for key, label in kinds:
            found = (report.results["tests"].get(name) or {}).get(key)
            if not isinstance(found, Mapping) or not {"slope", "intercept"} & set(found):
                continue
            path, who = ("tests", name, key), f"{report.label(name)}, {label}"
            rows.append(
                Row(
                    (
                        sentence(report.label(name)),
                        label,
                        report.cell(*path, "slope", places=3, who=who),
                        report.cell(*path, "intercept", who=who),
                    )
                )
            )
    if not rows:
        return None
    table = Table(
        "table-regression",
        f"Regression of each method on {report.reference}; {report.level} intervals in brackets. "
        "Without constant or proportional bias, the slope is 1 and the intercept 0.",
        (
            Column("Method"),
            Column("Regression"),
            Column("Slope", "right"),
            Column(f"Intercept ({unit_of_values(report.unit)})", "right"),
        ),
        tuple(rows),
        notes=report.why(),
    )
    return Section("regression", "Regression", (table,))


def _equivalence(report: _Report) -> Section | None:
    items = report.results.get("equivalence") or []
    if not items:
        return None
    rows = []
    for position, item in enumerate(items):
        label, unit, places = _metric(report, item["metric"])
        who = report.label(item["method"])
        rows.append(
            Row(
                (
                    sentence(who),
                    sentence(label),
                    ("±", report.value("equivalence", position, "margin", places=2), _after(unit)),
                    report.cell("equivalence", position, "estimate", places=places, who=who),
                    Badge(
                        "not shown to be equivalent" if item["verdict"] == "not shown" else item["verdict"],
                        _TONES.get(item["verdict"], "unsure"),
                    ),
                )
            )
        )
    shown = [report.label(item["method"]) for item in items if item["verdict"] == "equivalent"]
    text = (
        f"{sentence(listed(dict.fromkeys(shown)))} {'is' if len(set(shown)) == 1 else 'are'} equivalent to "
        f"{report.reference} on average, within the margin of the plan."
        if shown
        else f"No method is shown to be equivalent to {report.reference} within the margin of the plan."
    )
    table = Table(
        "table-equivalence",
        f"Equivalence with {report.reference}: shown when the whole {report.level} interval lies inside the margin.",
        (
            Column("Method", width=1.2),
            Column("Measure", width=0.9),
            Column("Margin", width=1.5),
            Column("Result", "right", width=1.3),
            Column("Verdict", width=1.7),
        ),
        tuple(rows),
        notes=report.why(),
    )
    return Section("equivalence", "Equivalence", (Paragraph(text), table))


# Comparisons ----------------------------------------------------------------------------------------------------------


def _comparisons(report: _Report) -> Section:
    items = report.results.get("comparisons") or []
    title = "Comparison of methods"
    if not items:
        why = (
            "There is no comparator, so there is nothing to compare."
            if not report.comparators
            else "No two methods could be compared."
        )
        return Section("comparisons", title, (Paragraph(why),))
    told = [item for name in report.comparators if (item := _against(report, name))]
    rows: list[Row] = []
    metrics = list(dict.fromkeys(item["metric"] for item in items))
    for metric in metrics:
        label, _, _ = _metric(report, metric)
        rows.append(Row((sentence(label),), kind="group"))
        for position, item in enumerate(items):
            if item["metric"] != metric:
                continue
            path = ("comparisons", position)
            who = f"{report.label(item['a'])} and {report.label(item['b'])}"
            rows.append(
                Row(
                    (
                        f"{sentence(report.label(item['a']))} − {report.label(item['b'])}",
                        report.count(*path, "n"),
                        report.cell(*path, "difference", who=who),
                        report.cell(*path, "ratio", who=who),
                        report.p(*path, "p_value"),
                        report.p(*path, "p_adjusted"),
                    ),
                    indent=1,
                )
            )
    table = Table(
        "table-comparisons",
        f"Errors of two methods in the subjects who have both; {report.level} intervals in brackets.",
        (
            Column("Methods", width=1.8),
            Column("n", "right", width=0.6),
            Column(f"Difference ({report.pp})", "right", width=1.3),
            Column("Ratio", "right", width=1.1),
            Column("p", "right", width=0.8),
            Column("p, adjusted", "right", width=0.9),
        ),
        tuple(rows),
        notes=(
            "A difference below 0 and a ratio below 1 mean that the first method has the smaller error.",
            *report.why(),
        ),
    )
    return Section("comparisons", title, (List(tuple(told)), table) if told else (table,))


# Subgroups ------------------------------------------------------------------------------------------------------------


def _is_hidden(item: Any) -> bool:
    return isinstance(item, Mapping) and bool(item.get("suppressed"))


def _why_hidden(item: Mapping[str, Any]) -> str:
    if item.get("reason"):
        return f"{NOT_SHOWN}, {item['reason']}"
    least = item.get("minimum_cell")
    return f"{NOT_SHOWN}: fewer than {least} subjects" if least else NOT_SHOWN


def _hidden_note(report: _Report) -> str:
    least = report.plan.get("minimum_cell")
    few = f"fewer than {least} subjects" if least else "too few subjects"
    return f"“{NOT_SHOWN}”: {few}, or a group from which such a group could be worked out."


def _group_cell(report: _Report, path: tuple[str | int, ...], *keys: str, places: int, who: str) -> tuple[Inline, ...]:
    found = report.at(path)
    outer = report.at(path[:4])  # the group itself may be hidden as a whole
    if _is_hidden(found) or _is_hidden(outer):
        return (NOT_SHOWN,)
    return report.cell(*path, *keys, places=places, who=who) if found else (ABSENT,)


def _subgroups(report: _Report) -> Section:
    subgroups = report.results.get("subgroups") or {}
    title = "Subgroups"
    if not subgroups:
        return Section("subgroups", title, (Paragraph("The plan names no subgroup."),))
    intro = (
        f"Does {report.label(report.index)} measure everyone equally well? Each group is shown with its interval, "
        "however wide. Gaps between groups are those of the two groups furthest apart, with an interval that allows for "
        "having looked at all of them."
    )
    parts = [
        _subgroup(report, position, name, subgroup)
        for position, (name, subgroup) in enumerate(subgroups.items(), start=1)
    ]
    return Section("subgroups", title, (Paragraph(intro), *parts))


def _subgroup(report: _Report, position: int, name: str, subgroup: Mapping[str, Any]) -> Section:
    slug = f"subgroup-{position}"
    label = str(subgroup.get("label") or name)
    groups = list(subgroup.get("by_group") or {})
    if not groups:
        text = f"No analysed subject has a recorded {label.lower()}."
        return Section(slug, label, (Paragraph(text),))
    blocks: list[Any] = [Paragraph(_gap_sentence(report, name, metric)) for metric in ("mae", "bias")]
    missing = subgroup.get("unlabelled")
    if missing:
        text = f" {'pair is' if missing == 1 else 'pairs are'} in no group, because {label.lower()} is not recorded."
        blocks.append(Paragraph((report.count("subgroups", name, "unlabelled"), text)))
    blocks.append(_subgroup_table(report, slug, name, label, groups))
    if len(report.results["tests"]) > 1:
        blocks.append(_subgroup_methods_table(report, slug, name, label, groups))
    if any(not _is_hidden(subgroup["by_group"][group]) for group in groups):
        blocks.append(_forest(report, slug, name, label, groups))
    return Section(
        slug, label, tuple(block for block in blocks if not (isinstance(block, Paragraph) and not block.content))
    )


def _gap_sentence(report: _Report, name: str, metric: str) -> tuple[Inline, ...]:
    path = ("subgroups", name, "difference", report.index, metric)
    item = report.at(path)
    found = estimate_of(item)
    label, unit, _ = _metric(report, metric)
    who = report.label(report.index)
    if found["estimate"] is None or not found.get("high_group"):
        if metric != "mae":
            return ()
        reason = found.get("reason")
        why = f" ({report.words(reason)})" if reason else ""
        return (f"The error of {who} could not be compared between groups{why}.",)
    high, low = group_label(found["high_group"], name), group_label(found["low_group"], name)
    gap = report.said(*path, unit=unit)
    if excludes(item):
        return (
            f"The {label} of {who} differs between groups: highest for {high}, lowest for {low}, a gap of ",
            *gap,
            ".",
        )
    apart = excludes(item) is None
    return (
        f"The data {'cannot tell whether' if apart else 'do not show that'} the {label} of {who} differs between groups: "
        f"highest for {high}, lowest for {low}, a gap of ",
        *gap,
        ".",
    )


def _subgroup_table(report: _Report, slug: str, name: str, label: str, groups: Sequence[str]) -> Table:
    index = report.index
    who = report.label(index)
    shares = _within(report)[-1:]
    rows = []
    hidden = False
    for group in groups:
        path = ("subgroups", name, "by_group", group, "tests", index)
        found = report.at(path)
        title = group_label(group, name)
        width = 5 + len(shares)
        if _is_hidden(found) or _is_hidden(report.at(path[:4])):
            hidden = True
            rows.append(Row((title, NOT_SHOWN, *(("",) * width))))
            continue
        cells = [
            report.cell(*path, *keys, places=places, who=f"{who}, {title}")
            for keys, places in (
                (("mae",), 2),
                (("bias",), 2),
                (("limits", "lower"), 2),
                (("limits", "upper"), 2),
                (("ccc",), 3),
            )
        ]
        cells += [report.cell(*path, "within", k, places=1, who=f"{who}, {title}") for k in shares]
        rows.append(Row((title, report.count(*path, "n") if found else count(0), *cells)))
    columns = (
        Column(label, width=1.5),
        Column("n", "right", width=0.75),
        Column(f"MAE ({report.pp})", "right"),
        Column(f"Bias ({report.pp})", "right", width=1.1),
        Column("Lower", "right", f"Limits of agreement ({report.pp})", 1.25),
        Column("Upper", "right", f"Limits of agreement ({report.pp})", 1.1),
        Column("CCC", "right", width=1.1),
        *(Column(f"Within ±{k} {report.pp} (%)", "right") for k in shares),
    )
    notes = (_hidden_note(report),) if hidden else ()
    return Table(
        f"table-{slug}",
        f"{sentence(who)} against {report.reference} by {label}; {report.level} intervals in brackets.",
        columns,
        tuple(rows),
        notes=(*notes, *report.why()),
    )


def _subgroup_methods_table(report: _Report, slug: str, name: str, label: str, groups: Sequence[str]) -> Table:
    tests = [test for test in report.names if test in report.results["tests"]]
    rows = []
    hidden = False
    for group in groups:
        cells = []
        for test in tests:
            path = ("subgroups", name, "by_group", group, "tests", test)
            cell = _group_cell(report, path, "mae", places=2, who=f"{report.label(test)}, {group_label(group, name)}")
            hidden |= cell == (NOT_SHOWN,)
            cells.append(cell)
        rows.append(Row((group_label(group, name), *cells)))
    overall = tuple(report.cell("tests", test, "mae", who=report.label(test)) for test in tests)
    rows.insert(0, Row(("All", *overall)))
    return Table(
        f"table-{slug}-methods",
        f"Mean absolute error ({report.points}) of every method by {label}; {report.level} intervals in brackets.",
        (Column(label, width=1.4), *(Column(sentence(report.label(test)), "right") for test in tests)),
        tuple(rows),
        notes=(*((_hidden_note(report),) if hidden else ()), *report.why()),
    )


def _forest(report: _Report, slug: str, name: str, label: str, groups: Sequence[str]) -> Figure:
    methods = [method for method in report.methods if method.results.get("n")]
    by_group = report.results["subgroups"][name]["by_group"]
    panels = []
    for metric, null in (("mae", None), ("bias", 0.0)):
        rows = []
        for group in groups:
            content = by_group[group]
            tests = content.get("tests") or {}
            inner = tests.get(report.index)
            hidden = content if _is_hidden(content) else inner if _is_hidden(inner) else None
            if hidden is not None:
                rows.append(figures.GroupRow(group_label(group, name), None, {}, _why_hidden(hidden)))
                continue
            shown = {test: item.get(metric) or {} for test, item in tests.items() if not _is_hidden(item)}
            rows.append(figures.GroupRow(group_label(group, name), content.get("n"), shown))
        overall = figures.GroupRow(
            "All", report.results["n"], {method.name: method.results.get(metric) or {} for method in methods}
        )
        title = {"mae": "Mean absolute error", "bias": "Bias"}[metric]
        panels.append(
            figures.forest_panel(title, f"{title} ({report.pp})", methods, overall, rows, null=null, places=2)
        )
    return Figure(
        f"figure-{slug}",
        f"Mean absolute error and bias by {label}, with {report.level} intervals. Dashed line: "
        f"{report.label(report.index)} in all; solid line: no bias.",
        tuple(panels),
    )


# Exclusions and provenance --------------------------------------------------------------------------------------------


def _exclusions(report: _Report) -> Section:
    flow = report.results.get("flow") or {}
    entries = [(sentence(level), ("flow", level)) for level in ("visits", "measurements") if flow.get(level)]
    title = "What was left out"
    if not entries:
        text = "The analysis gives no account of visits and measurements that were left out."
        return Section("exclusions", title, (Paragraph(text),))
    left = sum(
        row["n"] for level in ("visits", "measurements") for row in (flow.get(level) or {}).get("excluded") or []
    )
    text: tuple[Inline, ...] = (
        (
            "Nothing is dropped without a reason. ",
            Ref("table-flow"),
            " accounts for the subjects; this is the same account for visits and measurements.",
        )
        if left
        else ("No visit and no measurement was left out.",)
    )
    table = Table(
        "table-exclusions",
        f"Visits, and measurements of {report.measurand}: each one left out has one reason.",
        (
            Column("", width=1.4),
            Column("All", "right", width=0.8),
            Column("Analysed", "right", width=0.9),
            Column("Left out", "right", width=0.9),
            Column("Reasons", width=4.4),
        ),
        _flow_rows(report, entries),
    )
    return Section("exclusions", title, (Paragraph(text), table))


def _provenance(report: _Report) -> Section:
    results = report.results
    plan, data = results["plan"], results["data"]
    held = [
        (report.count("data", key), f" {key if data[key] != 1 else key[:-1]}")
        for key in ("subjects", "visits", "measurements")
        if data.get(key) is not None
    ]
    sizes: list[Inline] = []
    for position, part in enumerate(held):
        sizes += [*([", "] if position else []), *part]
    items: list[tuple[str, Any]] = [
        ("Study", (results["study"].get("title") or "", " (", Code(results["study"]["name"]), ")")),
        ("Data", tuple(sizes) or "unknown"),
        ("Data hash", Code(str(data.get("hash") or "unknown"))),
        ("Plan", f"{report.plan.get('title', '')} · version {plan.get('version')}"),
        ("Plan hash", Code(str(plan.get("hash") or "unknown"))),
        ("Plan locked", "yes" if plan.get("locked") else "no"),
        ("Calliper", str(results.get("calliper", {}).get("version") or "unknown")),
        ("Format of results", str(results.get("calliper", {}).get("format") or "unknown")),
    ]
    software = results.get("software")
    if isinstance(software, Mapping):
        items += [(str(name), str(version)) for name, version in software.items()]
    text = (
        "The same data, plan and software give the same results, to the last digit. The numbers of this report are those "
        "of results.json, where they stand unrounded."
    )
    return Section("provenance", "Provenance", (Paragraph(text), Facts(tuple(items))))
