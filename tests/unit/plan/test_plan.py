"""Plans: reading, hashing, templates."""

from __future__ import annotations

import pytest
import yaml

from studies.errors import PlanError
from studies.plan import (
    load_plan,
    load_template,
    plan_from_document,
    plan_hash,
    template_names,
    template_text,
)

HEAD = """calliper_plan: 1
title: A plan
measurand: body_fat_percent
reference: dxa
index: bia
"""


def test_the_least_that_a_plan_says():
    plan = load_plan(HEAD)
    assert (plan.reference, plan.tests) == ("dxa", ["bia"])
    assert (plan.pairing.match, plan.pairing.replicates, plan.pairing.window_days) == ("visit", "first", None)
    assert (plan.resamples, plan.level, plan.minimum_cell) == (2000, 0.95, 10)
    assert plan.eligibility == plan.subgroups == plan.criteria == []


def test_a_plan_is_read_from_a_file_too(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode())
    assert load_plan(path) == load_plan(str(path)) == load_plan(HEAD)


def test_the_hash_depends_on_what_the_plan_says_alone():
    plan = load_plan(HEAD + "level: 0.95\npairing: {match: time, window_days: 7}\n")
    document = yaml.safe_load(HEAD)
    backwards = dict(reversed([*document.items(), ("pairing", {"window_days": 7.0, "match": "time"})]))
    again = load_plan("# agreed by all\n" + yaml.safe_dump(backwards, sort_keys=False))
    assert plan_hash(again) == plan_hash(plan)
    assert len(plan_hash(plan)) == 64
    assert plan_hash(load_plan(HEAD)) != plan_hash(plan)
    assert plan_hash(load_plan(HEAD + "seed: 2\n")) != plan_hash(load_plan(HEAD))


def test_the_hash_of_a_locked_plan_never_changes():
    # A plan locked years ago must still be recognised: this value may only change with `calliper_plan: 2`.
    assert plan_hash(load_plan(HEAD)) == "67c1bc9a92de32cf1a800dee17e2e2ec8d59464fd14be598113a6b50e0b9ccac"


def test_the_order_of_subgroups_and_criteria_is_part_of_the_plan():
    subgroups = ["{name: sex, attribute: sex}", "{name: site, attribute: site}"]
    one, two = (load_plan(HEAD + f"subgroups: [{', '.join(order)}]\n") for order in (subgroups, subgroups[::-1]))
    assert plan_hash(one) != plan_hash(two)


@pytest.mark.parametrize("name", template_names())
def test_templates_are_plans_and_round_trip(name):
    plan = load_template(name)
    assert load_plan(plan.to_yaml()) == plan
    assert plan_from_document(plan.document()) == plan
    assert plan_hash(load_plan(plan.to_yaml())) == plan_hash(plan)
    assert "#" in template_text(name)


def test_the_templates():
    assert template_names() == ["blank", "demo", "nhanes-1999"]
    nhanes = load_template("nhanes-1999")
    assert nhanes.tests == ["bia", "deurenberg", "gallagher", "rfm"]
    assert [subgroup.name for subgroup in nhanes.subgroups] == ["sex", "age_band", "ethnicity", "bmi_class"]
    assert nhanes.subgroups[3].groups == ["Underweight", "Normal weight", "Overweight", "Obesity"]
    assert load_template("demo").tests == ["scan", "scale", "deurenberg", "gallagher", "rfm"]
    with pytest.raises(PlanError, match="Did you mean 'nhanes-1999'"):
        load_template("nhanes1999")


def test_every_commented_example_of_the_blank_template_is_valid():
    """A user who takes the # away must find a working plan."""
    lines = template_text("blank").splitlines()
    shown = []
    for line in lines:
        stripped = line.lstrip()
        inner = stripped.removeprefix("# ")
        if stripped.startswith("# ") and _is_yaml(inner):
            shown.append(line[: len(line) - len(stripped)] + inner)
        elif not stripped.startswith("#"):
            shown.append(line)
    text = "\n".join(shown).replace("comparators: []\n", "").replace("criteria: []\n", "")
    plan = load_plan(text + "\n")
    assert plan.margins == {"bias": 2.0}
    assert len(plan.eligibility) == 5
    assert plan.leaves_out_trained
    assert len(plan.subgroups) == 4
    assert len(plan.criteria) == 2
    assert plan.visits == ["baseline"]
    assert plan.comparators == ["scale", "deurenberg", "gallagher", "rfm"]


def _is_yaml(text: str) -> bool:
    key = text.strip().removeprefix("- ").removeprefix("{").split(":")[0]
    return ":" in text and " " not in key


def test_numbers_are_the_same_however_they_are_written():
    one, two = (load_plan(HEAD + f"margins: {{bias: {number}}}\n") for number in ("2", "2.0"))
    assert plan_hash(one) == plan_hash(two)


def test_a_rule_with_numbers_of_either_kind_is_the_same():
    one, two = (load_plan(HEAD + f"eligibility: [{{attribute: site, in: [{number}]}}]\n") for number in ("2", "2.0"))
    assert one == two
    assert one.eligibility[0].why == "site is not 2"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("{attribute: age, at_least: 18}", "age below 18"),
        ("{attribute: age, at_most: 65.5}", "age above 65.5"),
        ("{attribute: sex, equals: F}", "sex is not F"),
        ("{attribute: sex, in: [F, M]}", "sex is not F or M"),
        ("{attribute: smoker, not_in: ['yes']}", "smoker is yes"),
        ("{attribute: age, present: true}", "age not recorded"),
        ("{measurand: waist_cm, present: true}", "no waist_cm"),
        ("{measurand: waist_cm, present: true, reason: not taped}", "not taped"),
    ],
)
def test_a_rule_says_why_in_words(rule, why):
    assert load_plan(HEAD + f"eligibility: [{rule}]\n").eligibility[0].why == why


@pytest.mark.parametrize(
    ("rule", "words"),
    [("at_most: 4.5", "at most 4.5"), ("at_least: 0.9", "at least 0.9"), ("between: [-2, 2]", "between -2 and 2")],
)
def test_a_criterion_says_its_rule_in_words(rule, words):
    plan = load_plan(HEAD + f"criteria: [{{name: c, metric: bias, {rule}}}]\n")
    assert plan.criteria[0].rule == words
    assert plan.criteria[0].judged_by == "estimate"


@pytest.mark.parametrize(
    ("rule", "leaves_out"),
    [
        ('equals: "no"', True), ('equals: "yes"', False), ('in: ["no"]', True), ('in: ["no", "yes"]', False),
        ('not_in: ["yes"]', True), ('not_in: ["no"]', False), ("present: true", False),
    ],
)  # fmt: skip
def test_whether_a_plan_leaves_out_whom_a_checkpoint_was_trained_on(rule: str, leaves_out: bool):
    plan = load_plan(HEAD + f"eligibility:\n  - {{attribute: in_training_data, {rule}}}\n")
    assert plan.leaves_out_trained is leaves_out
    assert load_plan(HEAD + f"eligibility:\n  - {{attribute: other, {rule}}}\n").leaves_out_trained is False
