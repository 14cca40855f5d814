"""Rows that are wrong, each in its own way: what is said of them, and that they alone stay out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest

SUBJECT = {"subject_id": "", "sex": "F", "age": "40", "birth_date": "", "enrolled_on": "2024-01-10"}
READING = {
    "subject_id": "",
    "visit": "baseline",
    "measured_at": "2024-01-15",
    "measurand": "waist_cm",
    "method": "anthropometry",
    "device": "tape",
    "value": "80",
    "unit": "cm",
    "replicate": "1",
}
TOMORROW_AND_MORE = (date.today() + timedelta(days=40)).isoformat()


@dataclass(frozen=True)
class Case:
    """One wrong row and what is to be said of it. `beside`: good rows that make it wrong."""

    name: str
    table: str
    row: dict[str, str]
    rule: str
    column: str
    reason: str
    remedy: str
    beside: list[dict[str, str]] = field(default_factory=list)
    severity: str = "reject"


def reading(name: str, rule: str, column: str, reason: str, remedy: str, **changes: Any) -> Case:
    beside, severity = changes.pop("beside", []), changes.pop("severity", "reject")
    return Case(name, "readings", changes, rule, column, reason, remedy, beside, severity)


def subject(name: str, rule: str, column: str, reason: str, remedy: str, **changes: Any) -> Case:
    severity = changes.pop("severity", "reject")
    return Case(name, "subjects", changes, rule, column, reason, remedy, [], severity)


def no_number(text: str, reason: str = "is not a number") -> Case:
    return reading(f"value {text}", "value_readable", "value", reason, "Write a plain number", value=text)


STATURE = {"measurand": "stature_cm", "value": "165", "unit": "cm"}
CASES = [
    # Readings
    reading(
        "unknown subject",
        "subject_known",
        "subject_id",
        "subject 'NOBODY' is not registered",
        "Ingest the subject first",
        subject_id="NOBODY",
    ),
    reading(
        "no subject",
        "subject_id_given",
        "subject_id",
        "subject_id is missing",
        "Say whose reading it is",
        subject_id="",
    ),
    reading(
        "misspelt measurand",
        "measurand_known",
        "measurand",
        "'wiaist_cm' is not a known measurand",
        "Did you mean 'waist_cm'?",
        measurand="wiaist_cm",
    ),
    reading(
        "no measurand", "measurand_given", "measurand", "measurand is missing", "Say what was measured", measurand=""
    ),
    reading("no method", "method_given", "method", "method is missing", "dxa, bia, scale", method=""),
    reading("no value", "value_given", "value", "value is missing", "Fill in the value, or delete the row", value=""),
    reading(
        "unknown unit",
        "unit_known",
        "unit",
        "'stone?' is not a unit of weight_kg; known: kg, g, hg, lb",
        "Write the unit in one of the listed forms",
        measurand="weight_kg",
        value="11",
        unit="stone?",
    ),
    reading(
        "unit of something else", "unit_known", "unit", "'kg' is not a unit of waist_cm", "listed forms", unit="kg"
    ),
    *map(no_number, ["n/a", "NaN", "nan", "inf", "-inf", "Infinity", "#N/A", "=40+40", "NULL", "True", "--80"]),
    no_number("1e999", "is too large to be a number"),
    no_number("-1e999", "is too large to be a number"),
    no_number("80 cm", "has a unit or other text after the number"),
    no_number("8O", "has a unit or other text after the number"),
    no_number("<80", "is a limit, not a number"),
    no_number("80,5", "is written with the decimal mark ',', but '.' is the decimal mark of this file"),
    no_number("1,080", "may be thousands or a decimal number"),
    reading(
        "stature in metres",
        "value_not_too_low",
        "value",
        "1.65 cm is below 40 cm, the least plausible stature",
        "In the unit m it would be plausible",
        measurand="stature_cm",
        value="1.65",
    ),
    reading(
        "fraction under %",
        "value_not_too_low",
        "value",
        "0.31 % is below 2 %, the least plausible body fat percentage",
        "In the unit fraction it would be plausible",
        measurand="body_fat_percent",
        value="0.31",
        unit="%",
    ),
    reading("negative", "value_not_too_low", "value", "-80 cm is below 25 cm", "Correct the value", value="-80"),
    reading(
        "far too large",
        "value_not_too_high",
        "value",
        "800 cm is above 220 cm, the greatest plausible waist girth",
        "In the unit mm it would be plausible",
        value="800",
    ),
    reading(
        "pounds, by the BMI",
        "values_fit_together",
        "value",
        "a mass of 154.3 kg is a BMI of 56.7, but the BMI reported is 25.7: the mass seems to be in pounds",
        "Check the unit",
        measurand="weight_kg",
        value="154.3",
        unit="kg",
        beside=[STATURE, {"measurand": "bmi", "value": "25.7", "unit": "kg/m2"}],
    ),
    reading(
        "pounds, by the waist",
        "values_fit_together",
        "value",
        "which does not go with a waist of 78 cm: the mass seems to be in pounds",
        "Check the unit",
        measurand="weight_kg",
        value="154.3",
        unit="kg",
        beside=[STATURE, {"value": "78"}],
    ),
    reading(
        "kilograms marked as pounds",
        "values_fit_together",
        "value",
        "kilograms seem to be marked as pounds",
        "Check the unit",
        measurand="weight_kg",
        value="70",
        unit="lb",
        beside=[STATURE, {"measurand": "bmi", "value": "25.7", "unit": "kg/m2"}],
    ),
    reading(
        "waist in inches",
        "values_fit_together",
        "value",
        "a waist of 31.5 cm does not go with a BMI of 25.7: it seems to be in inches",
        "Check the unit",
        value="31.5",
        beside=[STATURE, {"measurand": "weight_kg", "value": "70", "unit": "kg"}],
    ),
    reading(
        "date in the future",
        "measured_at_not_in_future",
        "measured_at",
        f"{TOMORROW_AND_MORE} lies in the future",
        "Correct the date",
        measured_at=TOMORROW_AND_MORE,
    ),
    reading(
        "a day that is not in the calendar",
        "measured_at_readable",
        "measured_at",
        "is no day of the calendar",
        "Write 2024-03-31",
        measured_at="2024-02-30",
    ),
    reading(
        "another way of writing dates",
        "measured_at_readable",
        "measured_at",
        "is not written as the other dates of this column (%Y-%m-%d)",
        "`date_format`",
        measured_at="15/01/2024",
    ),
    reading(
        "a year of three digits",
        "measured_at_possible",
        "measured_at",
        "0204-01-15 is too long ago",
        "Correct the date; look at the century",
        measured_at="0204-01-15",
    ),
    reading(
        "before birth",
        "measured_in_lifetime",
        "measured_at",
        "was measured on 1970-01-15, before birth on 1984-05-01",
        "Correct the date of measurement or the date of birth",
        measured_at="1970-01-15",
        birth_date="1984-05-01",
    ),
    reading(
        "before enrolment",
        "measured_after_enrolment",
        "measured_at",
        "was measured on 2023-12-01, before enrolment on 2024-01-10",
        "or leave it if the measurement really came first",
        measured_at="2023-12-01",
        severity="warn",
    ),
    reading(
        "follow-up before baseline",
        "visits_in_order",
        "measured_at",
        "visit week-12 is dated 2024-01-11, but an earlier visit was on 2024-01-15",
        "Correct the date or the visit's name",
        visit="week-12",
        measured_at="2024-01-11",
        beside=[{}],
    ),
    reading(
        "replicate 0",
        "replicate_readable",
        "replicate",
        "is not a whole number from 1",
        "Number repeats 1, 2, 3",
        replicate="0",
    ),
    reading(
        "replicate one and a half",
        "replicate_readable",
        "replicate",
        "is not a whole number from 1",
        "Number repeats",
        replicate="1.5",
    ),
    reading(
        "free text as method",
        "method_short",
        "method",
        "is longer than 40 characters",
        "free text in the wrong column",
        method="measured by the nurse after lunch, standing",
    ),
    reading(
        "free text as visit",
        "visit_short",
        "visit",
        "is longer than 100 characters",
        "free text in the wrong column",
        visit="the visit " * 11,
    ),
    reading(
        "free text as device",
        "device_short",
        "device",
        "is longer than 100 characters",
        "free text in the wrong column",
        device="the device " * 11,
    ),
    reading(
        "heavy, or in pounds",
        "values_likely_together",
        "value",
        "at a stature of 165 cm a mass of 121.0 kg is a BMI of 44.4; were it in pounds, the BMI would be 20.2",
        "Check value and unit",
        measurand="weight_kg",
        value="121",
        unit="kg",
        beside=[STATURE],
        severity="warn",
    ),
    # Subjects
    subject("age below zero", "age_possible", "age", "-3 years is no possible age", "Correct the age", age="-3"),
    subject("age of 230", "age_possible", "age", "230 years is no possible age", "Correct the age", age="230"),
    subject("age in words", "age_readable", "age", "is not a number", "Write a plain number", age="abc"),
    subject("age not a number", "age_readable", "age", "is not a number", "Write a plain number", age="NaN"),
    subject(
        "unknown sex", "sex_readable", "sex", "is not one of F, M", "Correct the value, or add a `recode`", sex="X"
    ),
    subject(
        "unknown consent",
        "consent_readable",
        "consent",
        "is not one of photos, silhouettes, none",
        "`recode`",
        consent="yes",
    ),
    subject(
        "born in the future",
        "birth_date_not_in_future",
        "birth_date",
        f"{TOMORROW_AND_MORE} lies in the future",
        "look at the century",
        birth_date=TOMORROW_AND_MORE,
        enrolled_on="",
    ),
    subject(
        "born too long ago",
        "birth_date_possible",
        "birth_date",
        "1784-05-01 is too long ago",
        "look at the century",
        birth_date="1784-05-01",
    ),
    subject(
        "enrolled before birth",
        "enrolled_after_birth",
        "enrolled_on",
        "enrolled on 2024-01-10, before birth on 2024-02-01",
        "Correct one of the two dates",
        birth_date="2024-02-01",
        age="",
    ),
    subject(
        "free text as identifier",
        "subject_id_short",
        "subject_id",
        "is longer than 64 characters",
        "Shorten it",
        subject_id="the lady with the red coat, who came on Tuesday instead of Monday",
    ),
    subject(
        "free text as site", "site_short", "site", "is longer than 100 characters", "Shorten it", site="the site " * 12
    ),
    subject(
        "age and dates disagree",
        "age_fits_dates",
        "age",
        "age 40 differs by",
        "Correct the age or the dates",
        birth_date="1954-05-01",
        severity="warn",
    ),
    subject("sex missing", "sex_known", "sex", "sex is missing", "subgroups need it", sex="", severity="warn"),
    subject(
        "age missing", "age_known", "age", "age and birth date are missing", "eligibility", age="", severity="warn"
    ),
]
COLUMNS = {"subjects": [*SUBJECT, "site", "consent"], "readings": list(READING)}


@dataclass
class Ingested:
    desk: Any
    result: Any
    rows: dict[str, tuple[str, int]]  # case -> file and row
    total: dict[str, int]
    good: int  # readings that are right

    def said(self, case: Case) -> dict[str, Any]:
        part = "quarantine" if case.severity == "reject" else "flagged"
        file, row = self.rows[case.name]
        told = [e for e in self.result.report[part]["examples"] if (e["file"], e["row"]) == (file, row)]
        assert [entry["rule"] for entry in told] == [case.rule]
        return told[0]


@pytest.fixture(scope="module")
def ingested(new_desk, tmp_path_factory) -> Ingested:
    """All the cases in two files, every one about a person of its own, and good rows between them."""
    desk = new_desk(tmp_path_factory.mktemp("bad-rows"))
    tables: dict[str, list[dict[str, str]]] = {"subjects": [], "readings": []}
    rows, good = {}, 0

    def add(table: str, row: dict[str, str]) -> tuple[str, int]:
        tables[table].append(row)
        return f"{table}.csv", len(tables[table]) + 1

    for number, case in enumerate(CASES):
        person = {"subject_id": f"S{number:03}"}
        if case.table == "subjects":
            rows[case.name] = add("subjects", {**SUBJECT, **person, **case.row})
            continue
        changes = dict(case.row)
        born = {"birth_date": changes.pop("birth_date")} if "birth_date" in changes else {}
        add("subjects", {**SUBJECT, **person, **born, **({"age": ""} if born else {})})
        for other in case.beside:
            add("readings", {**READING, **person, **other})
            good += 1
        rows[case.name] = add("readings", {**READING, **person, **changes})
        add("readings", {**READING, **person, "measurand": "hip_cm", "value": "95"})
        good += 1 + (case.severity == "warn")
    for table, lines in tables.items():
        columns = COLUMNS[table]
        desk.write(f"{table}.csv", [columns, *([line.get(column, "") for column in columns] for line in lines)])
    result = desk.ingest()
    yield Ingested(desk, result, rows, {f"{table}.csv": len(lines) for table, lines in tables.items()}, good)
    desk.registry.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_the_row_is_named_with_reason_and_remedy(ingested: Ingested, case: Case) -> None:
    said = ingested.said(case)
    assert said["column"] == case.column
    assert case.reason in said["reason"]
    assert case.remedy in said["remedy"]
    given = {**(SUBJECT if case.table == "subjects" else READING), **case.row}.get(case.column) or None
    if case.column in case.row:
        assert said["value"] == given


def test_exactly_the_good_rows_are_in(ingested: Ingested) -> None:
    inside, refused = ingested.desk.places(ingested.result)
    bad = {ingested.rows[case.name] for case in CASES if case.severity == "reject"}
    assert refused == bad
    assert not inside & bad
    everything = {(name, row) for name, n in ingested.total.items() for row in range(2, n + 2)}
    assert inside == everything - bad
    assert len(ingested.desk.readings()) == ingested.good


def test_every_row_is_accounted_for(ingested: Ingested) -> None:
    ingested.desk.assert_all_accounted_for(ingested.result, ingested.total)
    tables = ingested.result.report["tables"]
    assert tables["subjects"]["read"] == ingested.total["subjects.csv"]
    assert tables["readings"]["read"] == ingested.total["readings.csv"]
    for table in ("subjects", "readings"):
        cases = [case for case in CASES if case.table == table]
        assert tables[table]["rejected"] == sum(case.severity == "reject" for case in cases)
        assert tables[table]["flagged"] == sum(case.severity == "warn" for case in cases)


def test_flagged_rows_carry_the_name_of_the_rule(ingested: Ingested) -> None:
    readings = ingested.desk.readings()
    flags = readings["flags"].dropna().tolist()
    assert sorted(flags) == sorted(case.rule for case in CASES if case.table == "readings" and case.severity == "warn")


def test_the_rules_are_counted(ingested: Ingested) -> None:
    counted = {rule["rule"]: rule for rule in ingested.result.report["rules"] if rule["table"] == "readings"}
    assert counted["value_readable"]["failed"] == sum(case.rule == "value_readable" for case in CASES)
    assert counted["value_readable"]["checked"] == ingested.total["readings.csv"]
