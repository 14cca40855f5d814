"""The rules: what each canonical table must satisfy, and what to tell the researcher where it does not.

A rule is one Great Expectations expectation on a checked table (the canonical columns and the facts that
`studies.quality.facts` adds), a severity, and the words for a row that fails: the reason and the remedy.

- `reject`: the row goes to quarantine and not into the registry.
- `warn`: the row goes in and carries the rule's name in `flags`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from studies.canonical import TABLES, Field, can_be_bad
from studies.measurands import MEASURANDS
from studies.suggestions import suggestion

Severity = Literal["reject", "warn"]
Row = Mapping[str, Any]
MAXIMUM_AGE = 120
EARLIEST = "1880-01-01"


@dataclass(frozen=True)
class Rule:
    """`expectation` is the class name in Great Expectations, `arguments` what it is called with.

    `column` is the canonical column at fault. `reason` and `remedy` are texts, or functions of the failing row.
    `unless` names rules that say more: where one of them fails, this one is not told as well.
    """

    name: str
    table: str
    severity: Severity
    description: str
    column: str
    expectation: str
    arguments: dict[str, Any]
    reason: str | Callable[[Row], str]
    remedy: str | Callable[[Row], str]
    unless: tuple[str, ...] = ()

    def explain(self, row: Row) -> tuple[str, str]:
        """Reason and remedy for one failing row."""
        reason = self.reason(row) if callable(self.reason) else self.reason
        remedy = self.remedy(row) if callable(self.remedy) else self.remedy
        return reason, remedy

    def summary_remedy(self) -> str:
        return self.remedy if isinstance(self.remedy, str) else "See each row."


def _null(column: str) -> dict[str, Any]:
    return {"column": column}


def _fact(name: str) -> Callable[[Row], str]:
    return lambda row: str(row[name])


def _given(table: str, item: Field, remedy: str) -> Rule:
    return Rule(
        f"{item.name}_given", table, "reject", f"{item.name} is given", item.name,
        "ExpectColumnValuesToNotBeNull", _null(item.name), f"{item.name} is missing", remedy,
        unless=(f"{item.name}_readable",),
    )  # fmt: skip


_UNREADABLE = {
    "number": ("is not a finite number", "Write a plain number with the file's decimal mark, or leave the cell empty."),
    "whole": ("is not a whole number from 1", "Number repeats 1, 2, 3 within the visit, or leave the cell empty."),
    "date": (
        "is not a date that can be read with certainty",
        "Write dates as 2024-03-31, or say `date_format` in the mapping.",
    ),
    "moment": (
        "is not a date or time that can be read with certainty",
        "Write 2024-03-31 or 2024-03-31 09:30, or say `date_format` in the mapping.",
    ),
    "code": ("is not in the mapping's recode list", "Correct the value, or add it to `recode` in the mapping."),
    "text": ("is not in the mapping's recode list", "Correct the value, or add it to `recode` in the mapping."),
}


def _readable(table: str, item: Field) -> Rule:
    if item.kind == "choice":
        words = (f"is not one of {', '.join(item.choices)}", "Correct the value, or add a `recode` to the mapping.")
    else:
        words = _UNREADABLE[item.kind]
    return Rule(
        f"{item.name}_readable", table, "reject", f"{item.name} can be read", item.name,
        "ExpectColumnValuesToBeInSet", {"column": f"bad_{item.name}", "value_set": [False]}, *words,
    )  # fmt: skip


def _short(table: str, column: str, limit: int, least: int = 1) -> Rule:
    return Rule(
        f"{column}_short", table, "reject", f"{column} has at most {limit} characters", column,
        "ExpectColumnValueLengthsToBeBetween", {"column": column, "min_value": least, "max_value": limit},
        f"is longer than {limit} characters", "Shorten it: it looks like free text in the wrong column.",
    )  # fmt: skip


def _fact_is_empty(
    name: str,
    table: str,
    severity: Severity,
    description: str,
    column: str,
    fact: str,
    remedy: str,
    *,
    unless: tuple[str, ...] = (),
) -> Rule:
    return Rule(
        name, table, severity, description, column,
        "ExpectColumnValuesToBeNull", _null(fact), _fact(fact), remedy, unless=unless,
    )  # fmt: skip


def _not_in_future(table: str, column: str) -> Rule:
    return Rule(
        f"{column}_not_in_future", table, "reject", f"{column} is not after the day of ingest", column,
        "ExpectColumnPairValuesAToBeGreaterThanB",
        {"column_A": "latest_date", "column_B": column, "or_equal": True, "ignore_row_if": "either_value_is_missing"},
        lambda row: f"{_day(row[column])} lies in the future", "Correct the date; look at the century, day and month.",
    )  # fmt: skip


def _not_too_early(table: str, column: str) -> Rule:
    return Rule(
        f"{column}_possible", table, "reject", f"{column} is after {EARLIEST[:4]}", column,
        "ExpectColumnPairValuesAToBeGreaterThanB",
        {"column_A": column, "column_B": "earliest_date", "or_equal": True, "ignore_row_if": "either_value_is_missing"},
        lambda row: f"{_day(row[column])} is too long ago", "Correct the date; look at the century.",
    )  # fmt: skip


def _day(moment: Any) -> str:
    return str(moment)[:10]


def _unique(table: str, column: str, remedy: str) -> Rule:
    return _fact_is_empty(
        f"{table}_unique", table, "reject", "no two rows of the ingest are the same row", column, "repeated", remedy
    )


_KNOWN_SUBJECT = "Ingest the subject first or together with this table, or correct the subject_id."


def _subject_rules() -> list[Rule]:
    fields = {item.name: item for item in TABLES["subjects"]}
    return [
        _given("subjects", fields["subject_id"], "Give every person an identifier."),
        _short("subjects", "subject_id", 64),
        _unique("subjects", "subject_id", "Keep one row for each person."),
        *[_readable("subjects", item) for item in TABLES["subjects"] if can_be_bad(item)],
        _short("subjects", "site", 100),
        _short("subjects", "ethnicity", 100),
        Rule(
            "age_possible", "subjects", "reject", f"age is between 0 and {MAXIMUM_AGE} years", "age",
            "ExpectColumnValuesToBeBetween", {"column": "age", "min_value": 0, "max_value": MAXIMUM_AGE},
            lambda row: f"{row['age']:g} years is no possible age", "Correct the age (years at enrolment).",
        ),
        _not_too_early("subjects", "birth_date"),
        _not_too_early("subjects", "enrolled_on"),
        _not_in_future("subjects", "birth_date"),
        _not_in_future("subjects", "enrolled_on"),
        Rule(
            "enrolled_after_birth", "subjects", "reject", "enrolment is not before birth", "enrolled_on",
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": "enrolled_on", "column_B": "birth_date", "or_equal": True,
             "ignore_row_if": "either_value_is_missing"},
            lambda row: f"enrolled on {_day(row['enrolled_on'])}, before birth on {_day(row['birth_date'])}",
            "Correct one of the two dates.",
        ),
        Rule(
            "age_fits_dates", "subjects", "warn", "age agrees with birth date and enrolment within 1.5 years", "age",
            "ExpectColumnValuesToBeBetween", {"column": "age_discrepancy", "min_value": -1.5, "max_value": 1.5},
            lambda row: f"age {row['age']:g} differs by {row['age_discrepancy']:+.1f} years from the dates",
            "Correct the age or the dates.",
        ),
        Rule(
            "sex_known", "subjects", "warn", "sex is known", "sex", "ExpectColumnValuesToNotBeNull", _null("sex"),
            "sex is missing", "Fill it in: BMI equations and subgroups need it.",
        ),
        Rule(
            "age_known", "subjects", "warn", "age or birth date is known", "age", "ExpectColumnValuesToNotBeNull",
            _null("known_age"), "age and birth date are missing", "Fill in one: eligibility and BMI equations need it.",
        ),
    ]  # fmt: skip


def _reading_rules() -> list[Rule]:
    fields = {item.name: item for item in TABLES["readings"]}
    return [
        _given("readings", fields["subject_id"], "Say whose reading it is."),
        _fact_is_empty(
            "subject_known", "readings", "reject", "the subject is registered", "subject_id", "subject_problem",
            _KNOWN_SUBJECT,
        ),
        _given("readings", fields["measurand"], "Say what was measured."),
        Rule(
            "measurand_known", "readings", "reject", "the measurand is one that Calliper knows", "measurand",
            "ExpectColumnValuesToBeInSet", {"column": "measurand", "value_set": sorted(MEASURANDS)},
            lambda row: f"'{row['measurand']}' is not a known measurand",
            lambda row: _measurand_hint(str(row["measurand"])),
        ),
        _given("readings", fields["method"], "Say by which method: dxa, bia, scale, anthropometry ..."),
        _short("readings", "visit", 100),
        _short("readings", "method", 40),
        _short("readings", "device", 100, least=0),
        _given("readings", fields["value"], "Fill in the value, or delete the row."),
        *[_readable("readings", item) for item in TABLES["readings"] if can_be_bad(item)],
        _fact_is_empty(
            "unit_known", "readings", "reject", "the unit is one of the measurand's", "unit", "unit_problem",
            "Write the unit in one of the listed forms, or recode it in the mapping.",
        ),
        Rule(
            "value_not_too_low", "readings", "reject", "the value is not below what a living person can have", "value",
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": "value", "column_B": "least", "or_equal": True, "ignore_row_if": "either_value_is_missing"},
            lambda row: _range_reason(row, "below"), _range_hint,
        ),
        Rule(
            "value_not_too_high", "readings", "reject", "the value is not above what a living person can have", "value",
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": "most", "column_B": "value", "or_equal": True, "ignore_row_if": "either_value_is_missing"},
            lambda row: _range_reason(row, "above"), _range_hint,
        ),
        _fact_is_empty(
            "values_fit_together", "readings", "reject", "mass, stature, BMI and waist of a person fit together",
            "value", "body_problem", "Check the unit: give it in the `unit` column or in the mapping.",
            unless=("value_not_too_low", "value_not_too_high"),
        ),
        _fact_is_empty(
            "values_likely_together", "readings", "warn", "mass, stature and BMI of a person are likely together",
            "value", "body_doubt", "Check value and unit against the source document.",
        ),
        _not_too_early("readings", "measured_at"),
        _not_in_future("readings", "measured_at"),
        _fact_is_empty(
            "measured_in_lifetime", "readings", "reject", "no measurement is dated before birth", "measured_at",
            "before_birth", "Correct the date of measurement or the date of birth.",
        ),
        _fact_is_empty(
            "measured_after_enrolment", "readings", "warn", "no measurement is dated before enrolment", "measured_at",
            "before_enrolment", "Correct the date, or leave it if the measurement really came first.",
        ),
        _fact_is_empty(
            "visits_in_order", "readings", "reject", "a later visit is not dated before an earlier one", "measured_at",
            "visit_problem", "Correct the date or the visit's name.",
        ),
        _unique("readings", "value", "Number true repeats in `replicate`; otherwise keep the right row."),
    ]  # fmt: skip


def _scan_rules() -> list[Rule]:
    fields = {item.name: item for item in TABLES["scans"]}
    return [
        _given("scans", fields["subject_id"], "Say whose scan it is."),
        _fact_is_empty(
            "subject_known", "scans", "reject", "the subject is registered", "subject_id", "subject_problem",
            _KNOWN_SUBJECT,
        ),
        _given("scans", fields["scan_id"], "Give every scan an identifier."),
        _short("scans", "scan_id", 64),
        _short("scans", "visit", 100),
        _short("scans", "device", 100, least=0),
        *[_readable("scans", item) for item in TABLES["scans"] if can_be_bad(item)],
        _not_too_early("scans", "captured_at"),
        _not_in_future("scans", "captured_at"),
        _fact_is_empty(
            "captured_in_lifetime", "scans", "reject", "no scan is dated before birth", "captured_at", "before_birth",
            "Correct the date of capture or the date of birth.",
        ),
        _fact_is_empty(
            "visits_in_order", "scans", "reject", "a later visit is not dated before an earlier one", "captured_at",
            "visit_problem", "Correct the date or the visit's name.",
        ),
        _fact_is_empty(
            "photos_usable", "scans", "reject", "every photo named is there, decodable and of a useful size", "photo",
            "photo_problem", "Put the photo where the table says, or correct the table.",
        ),
        _fact_is_empty(
            "photos_upright", "scans", "warn", "every photo is upright (higher than wide)", "photo", "photo_doubt",
            "Turn the photo upright and ingest it again.",
        ),
        _unique("scans", "scan_id", "Give every scan of a visit its own identifier."),
    ]  # fmt: skip


def _measurand_hint(word: str) -> str:
    return f"{suggestion(word, MEASURANDS)} Correct it, or recode it in the mapping."


def _range_reason(row: Row, side: str) -> str:
    measurand = MEASURANDS[row["measurand"]]
    limit = measurand.plausible[0 if side == "below" else 1]
    extreme = "least" if side == "below" else "greatest"
    unit = measurand.unit
    return f"{row['value']:g} {unit} is {side} {limit:g} {unit}, the {extreme} plausible {measurand.label}"


def _range_hint(row: Row) -> str:
    """A unit that would make the value plausible, if there is one."""
    measurand = MEASURANDS[row["measurand"]]
    low, high = measurand.plausible
    typical = math.sqrt(low * high)
    fitting = {
        unit: abs(math.log(row["value"] * factor / typical))
        for unit, factor in measurand.units.items()
        if factor != 1.0 and unit.isalpha() and low <= row["value"] * factor <= high
    }
    if fitting:
        likely = min(fitting, key=fitting.__getitem__)
        return f"In the unit {likely} it would be plausible: correct the unit, or the value."
    return "Correct the value."


def rules_of(table: str) -> list[Rule]:
    """The rules of one canonical table."""
    return {"subjects": _subject_rules, "readings": _reading_rules, "scans": _scan_rules}[table]()


def rules_as_markdown() -> str:
    """All rules as tables, for the documentation (a test keeps it up to date)."""
    lines = []
    for table in ("subjects", "readings", "scans"):
        lines += [f"### {table}", "", "| rule | severity | what must hold | column |", "|---|---|---|---|"]
        lines += [f"| `{r.name}` | {r.severity} | {r.description} | `{r.column}` |" for r in rules_of(table)]
        lines.append("")
    return "\n".join(lines)


def ranges_as_markdown() -> str:
    """Measurands with their units and plausible ranges, for the documentation."""
    lines = ["| measurand | unit | least | greatest | accepted units |", "|---|---|---|---|---|"]
    for m in MEASURANDS.values():
        units = ", ".join(dict.fromkeys(f"`{unit}`" for unit in m.units))
        lines.append(f"| `{m.name}` | {m.unit} | {m.plausible[0]:g} | {m.plausible[1]:g} | {units} |")
    return "\n".join(lines)
