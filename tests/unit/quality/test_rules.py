"""Every rule: a row that keeps it, a row that breaks it, and words for the researcher."""

from __future__ import annotations

import pytest

from studies.ingest.ingest import ingest
from studies.ingest.mapping import load_mapping
from studies.plan import load_template
from studies.quality.rules import rules_of
from studies.quality.validate import Suite
from studies.registry.catalogue import create_study
from studies.registry.workspace import open_registry

SUBJECTS = "subject_id,site,sex,age,birth_date,enrolled_on,ethnicity,consent\n"
READINGS = "subject_id,visit,measured_at,measurand,method,device,value,unit,replicate\n"
ANN = "ann,A,F,34,1990-01-10,2024-03-01,x,none\ntwin,A,F,34,,,x,none\n"
ANNS = "ann,v1,2024-03-02,bmi,anthropometry,,22,kg/m2,1\nann,v1,2024-03-02,waist_cm,anthropometry,,70,cm,1\n"

# rule, a row that breaks it, the column at fault, part of the reason
SUBJECT_CASES = [
    ("subject_id_given", ",A,F,34,,,x,none", "subject_id", "subject_id is missing"),
    ("subject_id_short", f"{'n' * 65},A,F,34,,,x,none", "subject_id", "longer than 64"),
    ("subjects_unique", "twin,A,M,34,,,x,none", "subject_id", "contradicts subjects.csv row 3"),
    ("sex_readable", "s1,A,unclear,34,,,x,none", "sex", "is not one of F, M"),
    ("age_readable", "s2,A,M,old,,,x,none", "age", "not a number"),
    ("age_possible", "s3,A,M,230,,,x,none", "age", "230 years is no possible age"),
    ("birth_date_readable", "s4,A,M,34,2024-13-13,,x,none", "birth_date", "no day of the calendar"),
    ("birth_date_possible", "s5,A,M,34,1790-01-01,,x,none", "birth_date", "too long ago"),
    ("birth_date_not_in_future", "s6,A,M,34,2190-01-01,,x,none", "birth_date", "2190-01-01 lies in the future"),
    ("enrolled_on_not_in_future", "s7,A,M,34,,2190-01-01,x,none", "enrolled_on", "future"),
    ("enrolled_after_birth", "s8,A,M,,1990-01-01,1980-01-01,x,none", "enrolled_on", "before birth on 1990-01-01"),
    ("age_fits_dates", "s9,A,M,50,1990-01-01,2024-01-01,x,none", "age", "differs by +16.5 years"),
    ("consent_readable", "s10,A,M,34,,,x,perhaps", "consent", "photos, silhouettes, none"),
    ("site_short", f"s13,{'A' * 101},M,34,,,x,none", "site", "longer than 100"),
    ("enrolled_on_possible", "s14,A,M,34,,1024-03-01,x,none", "enrolled_on", "too long ago"),
    ("sex_known", "s11,A,,34,,,x,none", "sex", "sex is missing"),
    ("age_known", "s12,A,M,,,,x,none", "age", "age and birth date are missing"),
]
READING_CASES = [
    ("subject_id_given", ",v1,,weight_kg,scale,,60,kg,1", "subject_id", "missing"),
    ("subject_known", "zoe,v1,,weight_kg,scale,,60,kg,1", "subject_id", "subject 'zoe' is not registered"),
    ("measurand_known", "ann,v1,,wieght_kg,scale,,60,kg,1", "measurand", "'wieght_kg' is not a known measurand"),
    ("method_given", "ann,v1,,weight_kg,,,60,kg,2", "method", "method is missing"),
    ("value_given", "ann,v1,,weight_kg,scale,,,kg,3", "value", "value is missing"),
    ("value_readable", "ann,v1,,weight_kg,scale,,NaN,kg,4", "value", "not"),
    ("value_readable", "ann,v1,,weight_kg,scale,,1e999,kg,5", "value", "too large"),
    ("unit_known", "ann,v1,,weight_kg,scale,,60,stone?,6", "unit", "'stone?' is not a unit of weight_kg"),
    ("value_not_too_low", "ann,v1,,body_fat_percent,scale,,0.25,%,7", "value", "0.25 % is below 2 %"),
    ("value_not_too_high", "ann,v1,,stature_cm,anthropometry,,1750,cm,8", "value", "above 250 cm"),
    ("measured_at_readable", "ann,v1,soon,weight_kg,scale,,60,kg,9", "measured_at", "date"),
    ("measured_at_not_in_future", "ann,v1,2190-01-01,weight_kg,scale,,60,kg,10", "measured_at", "future"),
    ("measured_in_lifetime", "ann,v0,1980-01-01,hip_cm,scale,,60,cm,11", "measured_at", "before birth on 1990-01-10"),
    ("measured_after_enrolment", "ann,x,2024-02-01,hip_cm,scale,,60,cm,12", "measured_at", "before enrolment"),
    ("visits_in_order", "ann,v2,2024-02-20,hip_cm,scale,,60,cm,13", "measured_at", "earlier visit was on 2024-03-02"),
    ("measured_at_possible", "ann,v1,1024-03-02,weight_kg,scale,,60,kg,14", "measured_at", "too long ago"),
    ("visit_short", f"ann,{'v' * 101},,weight_kg,scale,,60,kg,1", "visit", "longer than 100"),
    ("device_short", f"ann,v1,,weight_kg,scale,{'d' * 101},60,kg,1", "device", "longer than 100"),
    ("replicate_readable", "ann,v1,,weight_kg,scale,,60,kg,1.5", "replicate", "whole number"),
    ("readings_unique", "ann,v1,,bmi,anthropometry,,23,kg/m2,1", "value", "contradicts readings.csv row 2"),
    ("readings_unique", "ann,v1,2024-03-02,waist_cm,anthropometry,,70,cm,1", "value", "repeats readings.csv row 3"),
]


def ingested(folder, subjects: str, readings: str) -> dict[str, list[dict]]:
    """ "file row" -> the faults told of that row."""
    (folder / "subjects.csv").write_text(SUBJECTS + subjects, encoding="utf-8")
    (folder / "readings.csv").write_text(READINGS + readings, encoding="utf-8")
    with open_registry(folder / "workspace", create=True) as registry:
        create_study(registry, "rules", load_template("nhanes-1999"))
        sources = [folder / "subjects.csv", folder / "readings.csv"]
        report = ingest(registry, "rules", sources, load_mapping("calliper")).report
    told: dict[str, list[dict]] = {}
    for fault in [*report["quarantine"]["examples"], *report["flagged"]["examples"]]:
        told.setdefault(f"{fault['file']} {fault['row']}", []).append(fault)
    return told


@pytest.fixture(scope="module")
def faults(tmp_path_factory) -> dict[str, list[dict]]:
    """One ingest of a row for each case, after the rows of a good subject."""
    subjects = "".join(f"{row}\n" for _, row, _, _ in SUBJECT_CASES)
    readings = "".join(f"{row}\n" for _, row, _, _ in READING_CASES)
    return ingested(tmp_path_factory.mktemp("rules"), ANN + subjects, ANNS + readings)


def _check(faults: dict[str, list[dict]], place: str, rule: str, column: str, reason: str) -> None:
    told = {fault["rule"]: fault for fault in faults[place]}
    assert rule in told, told
    assert told[rule]["column"] == column
    assert reason in told[rule]["reason"]
    assert told[rule]["remedy"]


@pytest.mark.parametrize(
    "number", range(len(SUBJECT_CASES)), ids=[f"{case[0]}-{i}" for i, case in enumerate(SUBJECT_CASES)]
)
def test_subjects(faults, number: int) -> None:
    rule, _, column, reason = SUBJECT_CASES[number]
    _check(faults, f"subjects.csv {number + 4}", rule, column, reason)


@pytest.mark.parametrize(
    "number", range(len(READING_CASES)), ids=[f"{case[0]}-{i}" for i, case in enumerate(READING_CASES)]
)
def test_readings(faults, number: int) -> None:
    rule, _, column, reason = READING_CASES[number]
    _check(faults, f"readings.csv {number + 4}", rule, column, reason)


def test_every_rule_that_can_fail_by_a_row_has_a_case() -> None:
    """What needs other rows or files is tested with anthropometry and photos, and in the integration tests."""
    elsewhere = {
        "values_fit_together", "values_likely_together", "ethnicity_short", "ethnicity_readable", "site_readable",
        "enrolled_on_readable", "visit_readable", "measurand_readable", "method_readable", "method_short",
        "measurand_given",
    }  # fmt: skip
    cases = {case[0] for case in SUBJECT_CASES} | {case[0] for case in READING_CASES}
    rules = {rule.name for table in ("subjects", "readings") for rule in rules_of(table)}
    assert rules - elsewhere - cases == set()


def test_a_plausible_unit_is_proposed(faults) -> None:
    remedies = [fault["remedy"] for told in faults.values() for fault in told if fault["rule"] == "value_not_too_low"]
    assert any("In the unit fraction it would be plausible" in remedy for remedy in remedies)


def test_rows_that_keep_every_rule_pass(tmp_path) -> None:
    assert ingested(tmp_path, ANN, ANNS) == {}


@pytest.mark.parametrize("table", ["subjects", "readings", "scans"])
def test_rules_have_names_of_their_own(table) -> None:
    names = [rule.name for rule in rules_of(table)]
    assert len(names) == len(set(names))


def test_a_rule_that_cannot_be_evaluated_is_an_error_and_not_a_pass() -> None:
    import pandas as pd

    suite = Suite("subjects", [rule for rule in rules_of("subjects") if rule.name == "age_possible"])
    with pytest.raises(RuntimeError, match="age_possible"):
        suite.failures(pd.DataFrame({"no such column": [1]}))
