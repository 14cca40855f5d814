# ruff: noqa: E501
"""What is wrong in a plan, where, and what to write instead."""

from __future__ import annotations

import pytest

from studies.errors import PlanError
from studies.plan import load_plan

HEAD = """calliper_plan: 1
title: A plan
measurand: body_fat_percent
reference: dxa
index: bia
"""


def _fault(text: str) -> str:
    with pytest.raises(PlanError) as caught:
        load_plan(text)
    assert caught.value.exit_code == 4
    return str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("comparator: [rfm]\n", "plan, line 6, comparator: `comparator` is not a key of a plan here. Did you mean 'comparators'?"),
        ("comparators: rfm\n", "plan, line 6, comparators: 'rfm' is not a list. Write it in brackets: [rfm]."),
        ("comparators: [bia]\n", "plan, line 6, comparators[0]: 'bia' is the index test already. Remove it here."),
        ("comparators: [dxa]\n", "plan, line 6, comparators[0]: 'dxa' is the reference standard already. Remove it here."),
        ("comparators: [rfm, rfm]\n", "plan, line 6, comparators: The comparator 'rfm' is there twice. Write it once."),
        ("comparators: [3]\n", 'plan, line 6, comparators[0]: 3 is not text. Put it in quotes: "3".'),
        ("comparators: [mean]\n", "'mean' is a column of every table of pairs and cannot be the name of a method."),
        ("pairing: {match: visits}\n", "plan, line 6, pairing.match: 'visits' is not one of: visit or time. Did you mean 'visit'?"),
        ("pairing: {match: time}\n", "plan, line 6, pairing: `match: time` needs a window. Add `window_days: 7`"),
        ("pairing: {window_days: -1}\n", "plan, line 6, pairing.window_days: -1 must be at least 0."),
        ("pairing: {window_days: .nan}\n", "plan, line 6, pairing.window_days: "),
        ("visits: []\n", "plan, line 6, visits: Nothing is given here."),
        ("eligibility: [{attribute: age, at_least: '18'}]\n", "eligibility[0].at_least: '18' is not a number. Write the number without quotes."),
        ("eligibility: [{attribute: age}]\n", "this one has none. Write one rule for each"),
        ("eligibility: [{attribute: age, at_least: 18, at_most: 65}]\n", "this one has at_least, at_most."),
        ("eligibility: [{at_least: 18}]\n", "eligibility[0]: Name either `attribute`"),
        ("eligibility: [{attribute: age, method: dxa, at_least: 18}]\n", "`method` goes with `measurand` only. Remove it."),
        ("eligibility: [{measurand: waist, present: true}]\n", "'waist' is not a measurand. Did you mean 'waist_cm'?"),
        ("eligibility: [{attribute: sex, in: F}]\n", "eligibility[0].in: 'F' is not a list. Write it in brackets: [F]."),
        ("eligibility: [{attribute: sex, in_: [F]}]\n", "`in_` is not a key of a plan here. Did you mean 'in'?"),
        ("eligibility: [{attribute: pregnant, not_in: [yes]}]\n", "eligibility[0].not_in[0]: YAML reads yes or true without quotes as a logical value. Put it in quotes"),
        ("eligibility: [{attribute: pregnant, equals: no}]\n", "eligibility[0].equals: YAML reads no or false without quotes"),
        ("subgroups:\n  - {name: age, attribute: age, cut_points: [40, x]}\n", "plan, line 7, subgroups[0].cut_points[1]: 'x' is not a number."),
        ("subgroups:\n  - name: age\n    attribute: age\n    cut_points: [60, 40]\n", "plan, line 7, subgroups[0]: `cut_points` must rise: 60, 40 do not."),
        ("subgroups: [{name: age, attribute: age}]\n", "`age` is a number. Add `cut_points`"),
        ("subgroups: [{name: a, attribute: age, cut_points: [18, 40], labels: [x]}]\n", "2 cut points make 3 classes (<18, 18–39, ≥40), but `labels` has 1."),
        ("subgroups: [{name: a, attribute: sex, labels: [x]}]\n", "`labels` maps each value to its label."),
        ("subgroups: [{name: a, attribute: sex, labels: {F: 1}}]\n", 'subgroups[0].labels.F: 1 is not text. Put it in quotes: "1".'),
        ("decision_levels: [x]\n", "plan, line 6, decision_levels[0]: 'x' is not a mapping"),
        ("decision_levels: [true]\n", "plan, line 6, decision_levels[0]: true is not a mapping"),
        ("decision_levels: []\n", "plan, line 6, decision_levels: Nothing is given here."),
        ("decision_levels: [{name: a}]\n", "decision_levels[0].value: `value` is missing."),
        ("decision_levels: [{value: 3, index_value: 2}]\n", "`index_value` is not a key of a plan here. Did you mean 'value'?"),
        ("decision_levels: [{value: 3, group: sex=F}]\n", "decision_levels[0].group: The plan has no subgroups, so there is no group 'sex=F'."),
        ("cut_offs: [25]\n", "plan, line 6, cut_offs[0]: 25 is not a mapping"),
        ("cut_offs: [{value: 25}]\n", "cut_offs[0].name: `name` is missing."),
        ("cut_offs: [{name: a, value: 25}, {name: a, value: 30}]\n", "plan, line 6, cut_offs: The cut-off name 'a' is there twice."),
        ("intersections: [[sex, site]]\n", "plan, line 6, intersections[0]: 'sex' is not a subgroup of this plan."),
        ("subgroups: [{name: sex, attribute: sex}]\nintersections: [[sex, sex]]\n", "plan, line 7, intersections[0]: 'sex' cannot be crossed with itself."),
        ("subgroups: [{name: sex, attribute: sex}]\nintersections: [[sex]]\n", "plan, line 7, intersections[0]: There must be 2 values here."),
        ("subgroups: [{name: a, attribute: sex}, {name: b, attribute: site}]\nintersections: [[a, b], [b, a]]\n", "plan, line 7, intersections[1]: b and a are there twice."),
        ("subgroups: [{name: bia, attribute: sex}]\n", "subgroups[0].name: 'bia' is the name of a method. Choose another."),
        ("subgroups: [{name: a b, attribute: sex}]\n", "'a b' is not a name."),
        ("subgroups: [{name: visit, attribute: sex}]\n", "'visit' is a column of every table of pairs."),
        ("subgroups: [{name: s, attribute: sex}, {name: s, attribute: site}]\n", "The subgroup name 's' is there twice."),
        ("margins: {mae: 2}\n", "'mae' cannot have an equivalence margin."),
        ("margins: {bias: 0}\n", "margins.bias: 0 must be above 0."),
        ("criteria: [{name: c, metric: maee, at_most: 1}]\n", "criteria[0].metric: 'maee' is not a metric. Did you mean 'mae'?"),
        ("criteria: [{name: c, metric: mae}]\n", "A criterion has exactly one of at_most, at_least, between; this one has none."),
        ("criteria: [{name: c, metric: mae, at_most: 1, at_least: 0}]\n", "this one has at_most and at_least."),
        ("criteria: [{name: c, metric: mae, between: [2, 1]}]\n", "`between` is [lower, upper], with the lower first."),
        ("criteria: [{name: c, metric: mae, between: [2]}]\n", "criteria[0].between: There must be 2 values here."),
        ("criteria: [{name: c, metric: sd, at_most: 1, judged_by: interval}]\n", "`sd` has no interval."),
        ("criteria: [{name: c, metric: mae_ratio, at_most: 1}]\n", "Add `against: <method>`."),
        ("criteria: [{name: c, metric: mae, against: rfm, at_most: 1}]\n", "`against` goes with `metric: mae_ratio` only"),
        ("criteria: [{name: c, metric: mae_ratio, against: bia, at_most: 1}]\n", "A method cannot be compared with itself."),
        ("criteria: [{name: c, metric: mae, method: bai, at_most: 1}]\n", "criteria[0].method: 'bai' is not a test of this plan. Did you mean 'bia'?"),
        ("criteria: [{name: c, metric: mae, group: sex=F, at_most: 1}]\n", "The plan has no subgroups"),
        ("subgroups: [{name: sex, attribute: sex}]\ncriteria: [{name: c, metric: mae, group: F, at_most: 1}]\n", "criteria[0].group: 'F' does not name a group. Write subgroup=group"),
        ("subgroups: [{name: sex, attribute: sex}]\ncriteria: [{name: c, metric: mae, group: sx=F, at_most: 1}]\n", "'sx' is not a subgroup of this plan. Did you mean 'sex'?"),
        ("subgroups: [{name: a, attribute: age, cut_points: [40]}]\ncriteria: [{name: c, metric: mae, group: a=<50, at_most: 1}]\n", "'<50' is not a class of a. Did you mean '<40'?"),
        ("resamples: many\n", "plan, line 6, resamples: 'many' is not a whole number."),
        ("resamples: 5\n", "resamples: 5 must be at least 100."),
        ("seed: 1.5\n", "seed: 1.5 is not a whole number."),
        ("level: 95\n", "level: 95 must be below 1."),
        ("minimum_cell: yes\n", "minimum_cell: true is not a whole number."),
        ("title: B\n", "plan, line 6, title: `title` is written twice, on line 2 and again here. Keep one of them."),
    ],
)  # fmt: skip
def test_faults_name_their_place_and_remedy(more, message):
    assert message in _fault(HEAD + more)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.replace("index: bia\n", ""), "plan, line 1, index: `index` is missing. Add `index: scan`."),
        (HEAD.replace("calliper_plan: 1\n", ""), "`calliper_plan` is missing. Add `calliper_plan: 1`."),
        (HEAD.replace("plan: 1", "plan: 2"), "plan, line 1, calliper_plan: 2 is not one of: 1."),
        (HEAD.replace("A plan", ""), "plan, line 2, title: An empty value is not text. Give a value."),
        (HEAD.replace("body_fat_percent", "body_fat"), "plan, line 3, measurand: 'body_fat' is not a measurand. Did you mean 'body_fat_percent'?"),
        (HEAD.replace("index: bia", "index: dxa"), "plan, line 5, index: The index test is the reference standard itself"),
        (HEAD.replace("reference: dxa", "reference: rfm"), "plan, line 4, reference: 'rfm' is computed from other measurements"),
        (HEAD.replace("body_fat_percent", "weight_kg") + "comparators: [rfm]\n", "comparators[0]: 'rfm' computes body_fat_percent, but the plan's measurand is weight_kg."),
        ("a: [1\nb: 2\n", "plan, line 2, column 2: This is not YAML"),
        ("a:\n\t- 1\n", "plan, line 2, column 1: This is not YAML"),
        ("a: &x [1]\nb: *x\n", "A YAML alias (*name) is not allowed here. Write the value out."),
        ("- 1\n- 2\n", "plan: This is not an analysis plan."),
        ("\n", "plan: This is not an analysis plan."),
        ("on: 1\n", 'plan, line 1: YAML reads the key on as something other than text. Put it in quotes: "on".'),
        ("1: 1\n", 'Put it in quotes: "1".'),
        ("? [a]\n: 1\n", "YAML reads the key this key as something other than text."),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor for the tag"),
        ("a: \x00\n", "There is a character that YAML does not allow"),
        ("a: 2024-13-45\n", "A value cannot be read: month must be in 1..12. Put it in quotes."),
        ("a: 1\n---\nb: 1\n", "This is not YAML"),
        ("[" * 5000 + "\n", "nested too deeply"),
    ],
)  # fmt: skip
def test_faults_of_the_whole(text, message):
    assert message in _fault(text)


def test_all_faults_are_told_at_once():
    text = HEAD.replace("dxa", "3") + "level: 95\nsubgroup: []\n"
    message = _fault(text)
    assert message.startswith("plan: 3 faults in the plan.\n  plan, line 4, reference: 3 is not text.")
    assert "level: 95 must be below 1." in message
    assert "`subgroup` is not a key of a plan here. Did you mean 'subgroups'?" in message


def test_a_bomb_of_aliases_is_refused_before_it_goes_off():
    text = "a: &a [x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(24)
    )
    assert "alias" in _fault(text)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "plan.yaml").write_text(HEAD, encoding="utf-8")
    with pytest.raises(PlanError, match=r"plans\.yaml: The plan cannot be read: .* Did you mean 'plan\.yaml'\?"):
        load_plan(tmp_path / "plans.yaml")
    with pytest.raises(PlanError, match=r"The plan cannot be read"):
        load_plan(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(HEAD.encode() + b"visits: [caf\xe9]\n")
    with pytest.raises(PlanError, match=r"latin\.yaml, line 6: The file is not UTF-8 text\. Save it as UTF-8\."):
        load_plan(tmp_path / "latin.yaml")
    (tmp_path / "long.yaml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(PlanError, match="no plan is that long"):
        load_plan(tmp_path / "long.yaml")
