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

GOOD_SUBJECTS = "subject_id,site,sex,age,birth_date,enrolled_on,ethnicity,consent\n"
GOOD_READINGS = "subject_id,visit,measured_at,measurand,method,device,value,unit,replicate\n"
ANN = "ann,A,F,34,1990-01-10,2024-03-01,x,none\n"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with open_registry(tmp_path_factory.mktemp("rules"), create=True) as registry:
        yield registry


def failed_rules(registry, tmp_path, subjects: str = "", readings: str = "") -> dict[str, dict]:
    """Rule -> example, of an ingest of these rows beside a good subject `ann`."""
    name = tmp_path.name.lower().replace("[", "-").replace("]", "")[-40:].strip("-_.") or "s"
    create_study(registry, f"s-{name}", load_template("nhanes-1999"))
    (tmp_path / "subjects.csv").write_text(GOOD_SUBJECTS + ANN + subjects, encoding="utf-8")
    (tmp_path / "readings.csv").write_text(GOOD_READINGS + "ann,v1,2024-03-02,bmi,anthropometry,,22,kg/m2,1\n" + readings, encoding="utf-8")
    report = ingest(registry, f"s-{name}", [tmp_path / "subjects.csv", tmp_path / "readings.csv"], load_mapping("calliper")).report
    found = [*report["quarantine"]["examples"], *report["flagged"]["examples"]]
    return {example["rule"]: example for example in found}


@pytest.mark.parametrize(
    ("rule", "row", "column", "reason"),
    [
        ("subject_id_given", ",A,F,34,,,x,none\n", "subject_id", "subject_id is missing"),
        ("subject_id_short", f"{'n' * 65},A,F,34,,,x,none\n", "subject_id", "longer than 64"),
        ("subjects_unique", "ann,A,M,34,,,x,none\n", "subject_id", "contradicts subjects.csv row 2"),
        ("sex_readable", "bob,A,unclear,34,,,x,none\n", "sex", "is not one of F, M"),
        ("age_readable", "bob,A,M,old,,,x,none\n", "age", "not a number"),
        ("age_possible", "bob,A,M,230,,,x,none\n", "age", "230 years is no possible age"),
        ("birth_date_readable", "bob,A,M,34,13/13/2024,,x,none\n", "birth_date", "no day of the calendar"),
        ("birth_date_possible", "bob,A,M,34,1790-01-01,,x,none\n", "birth_date", "too long ago"),
        ("birth_date_not_in_future", "bob,A,M,34,2190-01-01,,x,none\n", "birth_date", "2190-01-01 lies in the future"),
        ("enrolled_on_not_in_future", "bob,A,M,34,,2190-01-01,x,none\n", "enrolled_on", "future"),
        ("enrolled_after_birth", "bob,A,M,,1990-01-01,1980-01-01,x,none\n", "enrolled_on", "before birth on 1990-01-01"),
        ("age_fits_dates", "bob,A,M,50,1990-01-01,2024-01-01,x,none\n", "age", "differs by +16.5 years"),
        ("consent_readable", "bob,A,M,34,,,x,perhaps\n", "consent", "photos, silhouettes, none"),
        ("sex_known", "bob,A,,34,,,x,none\n", "sex", "sex is missing"),
        ("age_known", "bob,A,M,,,,x,none\n", "age", "age and birth date are missing"),
    ],
)
def test_subjects(opened, tmp_path, rule, row, column, reason) -> None:
    example = failed_rules(opened, tmp_path, subjects=row)[rule]
    assert (example["file"], example["column"]) == ("subjects.csv", column)
    assert reason in example["reason"]
    assert example["remedy"]


@pytest.mark.parametrize(
    ("rule", "row", "column", "reason"),
    [
        ("subject_id_given", ",v1,,weight_kg,scale,,80,kg,1\n", "subject_id", "missing"),
        ("subject_known", "zoe,v1,,weight_kg,scale,,80,kg,1\n", "subject_id", "subject 'zoe' is not registered"),
        ("measurand_known", "ann,v1,,wieght_kg,scale,,80,kg,1\n", "measurand", "'wieght_kg' is not a known measurand"),
        ("method_given", "ann,v1,,weight_kg,,,80,kg,1\n", "method", "method is missing"),
        ("value_given", "ann,v1,,weight_kg,scale,,,kg,1\n", "value", "value is missing"),
        ("value_readable", "ann,v1,,weight_kg,scale,,NaN,kg,1\n", "value", "not"),
        ("value_readable", "ann,v1,,weight_kg,scale,,1e999,kg,1\n", "value", "too large"),
        ("unit_known", "ann,v1,,weight_kg,scale,,80,stone?,1\n", "unit", "'stone?' is not a unit of weight_kg"),
        ("value_not_too_low", "ann,v1,,body_fat_percent,scale,,0.25,%,1\n", "value", "0.25 % is below 2 %"),
        ("value_not_too_high", "ann,v1,,stature_cm,anthropometry,,1750,cm,1\n", "value", "above 250 cm"),
        ("measured_at_readable", "ann,v1,soon,weight_kg,scale,,80,kg,1\n", "measured_at", "date"),
        ("measured_at_not_in_future", "ann,v1,2190-01-01,weight_kg,scale,,80,kg,1\n", "measured_at", "future"),
        ("measured_in_lifetime", "ann,v1,1980-01-01,weight_kg,scale,,80,kg,1\n", "measured_at", "before birth on 1990-01-10"),
        ("measured_after_enrolment", "ann,v1,2024-02-01,weight_kg,scale,,60,kg,1\n", "measured_at", "before enrolment"),
        ("visits_in_order", "ann,v2,2024-02-20,weight_kg,scale,,60,kg,1\n", "measured_at", "earlier visit was on 2024-03-02"),
        ("replicate_readable", "ann,v1,,weight_kg,scale,,80,kg,1.5\n", "replicate", "whole number"),
        ("readings_unique", "ann,v1,,bmi,anthropometry,,23,kg/m2,1\n", "value", "contradicts readings.csv row 2"),
        ("readings_unique", "ann,v1,2024-03-02,bmi,anthropometry,,22,kg/m2,1\n", "value", "repeats readings.csv row 2 exactly"),
    ],
)  # fmt: skip
def test_readings(opened, tmp_path, rule, row, column, reason) -> None:
    example = failed_rules(opened, tmp_path, readings=row)[rule]
    assert (example["file"], example["column"]) == ("readings.csv", column)
    assert reason in example["reason"]
    assert example["remedy"]


def test_a_plausible_unit_is_proposed(opened, tmp_path) -> None:
    example = failed_rules(opened, tmp_path, readings="ann,v1,,body_fat_percent,scale,,0.25,%,1\n")["value_not_too_low"]
    assert "fraction" in example["remedy"]


def test_rows_that_keep_every_rule_pass(opened, tmp_path) -> None:
    assert failed_rules(opened, tmp_path) == {}


@pytest.mark.parametrize("table", ["subjects", "readings", "scans"])
def test_rules_have_names_of_their_own(table) -> None:
    names = [rule.name for rule in rules_of(table)]
    assert len(names) == len(set(names))


def test_a_rule_that_cannot_be_evaluated_is_an_error_and_not_a_pass() -> None:
    import pandas as pd

    suite = Suite("subjects", [rule for rule in rules_of("subjects") if rule.name == "age_possible"])
    with pytest.raises(RuntimeError, match="age_possible"):
        suite.failures(pd.DataFrame({"no such column": [1]}))
