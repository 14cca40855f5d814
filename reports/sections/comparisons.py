"""Whose error is smaller: the index test against each comparator."""

from __future__ import annotations

from reports.bound import TONES, Bound, metric_of
from reports.document import Badge, Block, Column, Inline, List, Paragraph, Row, Section, Strong, Table
from reports.wording import estimate_of, sentence, significant, versus


def comparison(report: Bound, a: str, b: str, metric: str = "mae") -> int | None:
    """The position of a comparison, whichever of the two comes first in it."""
    for position, row in enumerate(report.results.get("comparisons") or []):
        if row["metric"] == metric and {row["a"], row["b"]} == {a, b}:
            return position
    return None


def against(report: Bound, name: str) -> tuple[Inline, ...] | None:
    position = comparison(report, report.index, name)
    if position is None:
        if (report.results["tests"].get(name) or {}).get("n"):
            return None
        return (Strong(sentence(report.label(name))), f": no pair with {report.reference}, so it cannot be compared.")
    row = report.results["comparisons"][position]
    path = ("comparisons", position)
    a, b = report.spoken(row["a"]), report.spoken(row["b"])
    null, kind = (1.0, "ratio") if estimate_of(row.get("ratio"))["estimate"] is not None else (0.0, "difference")
    if estimate_of(row.get(kind))["estimate"] is None:
        reason = estimate_of(row.get(kind)).get("reason")
        return (f"{versus(row.get(kind), a, b, null)}{': ' + report.words(reason) if reason else ''}.",)
    told = versus(row[kind], a, b, null, p_adjusted=row.get("p_adjusted"), level=report.plan.get("level", 0.95))
    out: list[Inline] = [told, ": "]
    if kind == "ratio":
        out += [f"the error of {a} is ", *report.said(*path, "ratio"), f" times that of {b}"]
        out += ["; difference ", *report.said(*path, "difference", unit=report.points)]
    else:
        out += ["difference ", *report.said(*path, "difference", unit=report.points)]
    if row.get("p_adjusted") is not None:
        out += [", ", report.p(*path, "p_adjusted", prose=True), " after adjustment"]
    return (*out, ", n = ", report.count(*path, "n"), ".")


def comparisons(report: Bound) -> Section:
    items = report.results.get("comparisons") or []
    title = "Comparison of methods"
    if not items:
        why = (
            "There is no comparator, so there is nothing to compare."
            if not report.comparators
            else "No two methods could be compared."
        )
        return Section("comparisons", title, (Paragraph(why),))
    told = [item for name in report.comparators if (item := against(report, name))]
    rows: list[Row] = []
    metrics = list(dict.fromkeys(item["metric"] for item in items))
    for metric in metrics:
        label, unit, places = metric_of(report, metric)
        rows.append(Row((sentence(label) if unit else f"{sentence(label)} (no unit)",), kind="group"))
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
                        report.cell(*path, "difference", places=places, who=who),
                        report.cell(*path, "ratio", who="" if metric == "ccc" else who),
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
            "A difference below 0 and a ratio below 1 mean that the first method has the smaller error."
            + (" Of the concordance more is better: above 0 the first agrees better." if "ccc" in metrics else ""),
            *report.why(),
        ),
    )
    claim = _claim(report)
    blocks: list[Block | Section] = [*([List(tuple(told))] if told else []), table, *([claim] if claim else [])]
    return Section("comparisons", title, tuple(blocks))


def _claim(report: Bound) -> Section | None:
    """How many times as accurate the index test is: the claim as a ratio with its interval."""
    items = report.results.get("claims") or []
    if not items:
        return None
    told = [_claim_sentence(report, position) for position in range(len(items))]
    intro = (
        f"How many times the mean absolute error of a comparator that of {report.spoken(report.index)} is, in the "
        "subjects who have both. “Twice as accurate” is a ratio of 2, and is supported when the whole interval lies "
        "above 2."
    )
    return Section("claim", "The claim", (Paragraph(intro), List(tuple(told))))


def _claim_sentence(report: Bound, position: int) -> tuple[Inline, ...]:
    item = report.results["claims"][position]
    path = ("claims", position)
    who, other = report.spoken(item["method"]), report.spoken(item["against"])
    ratio = estimate_of(item["ratio"])
    if ratio["estimate"] is None:
        return (f"{sentence(other)}: the ratio could not be computed.",)
    out: list[Inline] = [f"{sentence(other)}: ", *report.said(*path, "ratio"), ". "]
    adjusted = item.get("p_adjusted")
    if ratio["low"] is None or ratio["high"] is None:
        out.append("Without an interval no claim can rest on it.")
    elif ratio["low"] <= 1 <= ratio["high"]:
        out.append(f"The data do not show that {who} is more accurate, or less.")
    elif adjusted is not None and not significant(adjusted, report.plan.get("level", 0.95)):
        why = "The interval alone leaves out 1, but the test, adjusted for the number of comparisons, "
        out.append(f"{why}does not show a difference.")
    elif ratio["high"] < 1:
        out.append(f"The data support that {who} is less accurate.")
    else:
        out.append(f"The data support that {who} is more accurate, ")
        out.append(
            "and that it is at least twice as accurate."
            if ratio["low"] >= 2
            else "and that it is not twice as accurate."
            if ratio["high"] < 2
            else "and leave open whether it is twice as accurate."
        )
    if item["factor"] is None:
        return (*out, " The plan makes no claim of it.")
    asks = f" The plan's criterion “{item['criterion']}” asks for a ratio of at least "
    return (
        *out,
        asks,
        report.value(*path, "factor"),
        ": ",
        Badge(item["verdict"], TONES.get(item["verdict"], "unsure")),
    )
