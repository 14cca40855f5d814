"""How the study was analysed, in the words of its plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reports.bound import METRICS, Bound
from reports.document import Block, Column, List, Paragraph, Row, Section, Strong, Table
from reports.wording import count, level_text, listed, method_label, plain_number, sentence
from studies.measurands import MEASURANDS


def methods(report: Bound) -> Section:
    plan = report.plan
    index = report.spoken(report.index)
    comparators = [report.spoken(name) for name in report.comparators]
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


def _who(report: Bound) -> list[Block]:
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
        one = len(visits) == 1
        names = listed(map(str, visits))
        text += f" Only {'visit' if one else 'visits'} {names} {'was' if one else 'were'} used."
    if report.comparators:
        both = f"{report.spoken(report.index)} and {report.reference}"
        text += f" Comparators were taken at the same occasions as the pairs of {both}."
    blocks.append(Paragraph(text))
    return blocks


def _rule(report: Bound, rule: Mapping[str, Any]) -> str:
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


def _statistics(report: Bound) -> list[Block]:
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
                "is better. p-values are of a permutation test that swaps the two methods within subjects; that of the "
                "standard deviation is of Pitman and Morgan's test where each subject has one pair. All are adjusted "
                "after Holm for the number of pairs of methods.",
            )
        )
    if repeated:
        items.append(
            "Some subjects have more than one pair; intervals and tests allow for this by resampling subjects."
        )
    if plan.get("margins"):
        margins = listed(
            f"±{plain_number(value)} {report.points} for {METRICS.get(name, name)}"
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


def _equations(report: Bound) -> Table | None:
    if report.results["measurand"]["name"] != "body_fat_percent":
        return None
    from studies.derived import EQUATIONS

    used = [EQUATIONS[name] for name in report.names if name in EQUATIONS]
    if not used:
        return None
    rows = tuple(Row((sentence(method_label(item.name)), item.formula, sentence(item.validity))) for item in used)
    return Table(
        "table-equations",
        "Equations for body fat percentage, from BMI (kg/m²), age (years), stature and waist girth (cm); "
        "male and female are 1 or 0.",
        (Column("Method", width=1), Column("Equation", width=3.2), Column("Made for", width=2.8)),
        rows,
        notes=tuple(f"{sentence(method_label(item.name))}: {item.source}" for item in used),
    )
