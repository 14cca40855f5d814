"""Every section says what the data say: change the data, and its sentences change, wording included."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from whole_study import CARD, answered, frames, whole

from reports.bound import Bound
from reports.document import Badge, List, Paragraph, Section, Table, text_of, walk
from reports.sections.body_measurements import body_measurements
from reports.sections.calibration import calibration
from reports.sections.change import change
from reports.sections.comparisons import comparisons
from reports.sections.decisions import decisions
from reports.sections.deviations import deviations
from reports.sections.fairness import fairness
from reports.sections.intended_use import intended_use, protocol
from reports.sections.model_cards import model_cards
from reports.sections.precision import precision
from reports.sections.scans import scans
from reports.sections.sensitivity import sensitivity
from reports.sections.summary import known_first, summary
from reports.validation_report import body, validation_report
from studies.analysis import StudyAnalysis


def said(section: Section) -> str:
    """What the prose of a section says."""
    told = []
    for block in walk((section,)):
        if isinstance(block, Paragraph):
            told.append(text_of(block.content))
        elif isinstance(block, List):
            told += [text_of(item) for item in block.items]
        elif hasattr(block, "items") and not isinstance(block, Section):
            told += [f"{term}: {text_of(content)}" for term, content in block.items]
        elif hasattr(block, "tone"):
            told += [block.title, *(text_of(item) for item in block.content)]
    return " ".join(told).replace("\u00a0", " ")


def rows_of(section: Section, name: str) -> list[list[str]]:
    table = next(block for block in walk((section,)) if isinstance(block, Table) and block.id == name)
    return [[text_of(cell).replace("\u00a0", " ") for cell in row.cells] for row in table.rows]


def bound(analysis: StudyAnalysis) -> Bound:
    return Bound(analysis.results, analysis.pairs)


@pytest.fixture(scope="module")
def study() -> StudyAnalysis:
    return whole(protocol=answered())


@pytest.fixture(scope="module")
def report(study: StudyAnalysis) -> Bound:
    return bound(study)


def test_every_number_of_the_whole_report_stands_in_the_results(study: StudyAnalysis) -> None:
    values = validation_report(study).values()
    assert len(values) > 250
    for value in values:
        found: Any = study.results
        for step in value.source.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found[int(step)] if isinstance(found, list) else found[step]
        assert found == value.value, value


def test_ids_of_the_whole_report_are_there_once_and_its_sections_are_those_that_were_asked_for(report: Bound) -> None:
    found = [section.id for section in body(report)]
    assert found == [
        "summary", "intended-use", "participants", "scans", "methods", "model-cards", "agreement", "decisions",
        "comparisons", "subgroups", "fairness", "precision", "change", "body-measurements", "sensitivity",
        "calibration", "exclusions", "deviations", "protocol", "provenance",
    ]  # fmt: skip


# Precision and change -------------------------------------------------------------------------------------------------


def test_precision_is_told_of_methods_with_duplicates(report: Bound) -> None:
    told = said(precision(report))
    found = report.at(("precision", "methods", "dxa", "All"))
    assert f"DXA: RMS-SD {found['rms_sd']['estimate']:.2f} percentage points" in told
    assert f"from {found['df']} degrees of freedom." in told
    assert 0.4 < found["rms_sd"]["estimate"] < 0.6
    assert found["lsc"]["estimate"] == pytest.approx(2.7718 * found["rms_sd"]["estimate"], rel=1e-4)
    shown = rows_of(precision(report), "table-precision")
    assert ["Scan", "no replicates", "", "", "", "", ""] in shown
    assert {row[0] for row in shown} >= {"DXA", "Women", "Men", "Scan", "Smart scale", "Scale"} - {"Smart scale"}


def test_few_degrees_of_freedom_are_said_to_be_few() -> None:
    def fewer(held: dict[str, Any]) -> dict[str, Any]:
        rows = held["measurements"]
        number = rows["subject_id"].str.slice(1).astype(int)
        keep = (rows["replicate"] == 1) | ((number >= 40) & (number < 52) & (rows["visit"] == "v1"))
        return {**held, "measurements": rows[keep]}

    told = said(precision(bound(whole(edit=fewer))))
    assert "fewer than the 27 that a precision study needs" in told


def test_without_duplicates_nothing_is_said_of_precision() -> None:
    def single(held: dict[str, Any]) -> dict[str, Any]:
        return {**held, "measurements": held["measurements"][held["measurements"]["replicate"] == 1]}

    told = said(precision(bound(whole(edit=single))))
    assert "nothing can be said of precision" in told
    assert "RMS-SD" not in told


def test_damped_change_is_called_so_and_whole_change_is_not(report: Bound) -> None:
    assert "The scan damps change" in said(change(report))
    full = said(change(bound(whole(of_change=1.0, noise=0.3))))
    assert "The data do not show that the scan damps or exaggerates change" in full
    assert "The scan exaggerates change" in said(change(bound(whole(of_change=2.0, noise=0.3))))


def test_one_visit_has_no_change() -> None:
    def once(held: dict[str, Any]) -> dict[str, Any]:
        return {**held, "measurements": held["measurements"][held["measurements"]["visit"] == "v1"]}

    assert "No subject has pairs with DXA at two visits" in said(change(bound(whole(edit=once))))


# Scans and failures ---------------------------------------------------------------------------------------------------


def test_indeterminate_scans_are_counted_as_failures(report: Bound) -> None:
    told = said(scans(report))
    found = report.at(("sensitivity", "failures"))
    assert "of 120 scans, 112 gave a value, 8 were indeterminate and 0 could not be reached." in told
    assert found["failures"] == sum(frames()["subjects"]["age"][:4] >= 20)
    assert f"Counting the {found['failures']} subjects of whom no scan gave a value as failures" in told
    assert found["within"]["5"]["estimate"] < 100 * (found["n"] - found["failures"]) / found["n"] + 1e-9
    assert rows_of(scans(report), "table-indeterminate") == [["nobody to be seen", "8"]]


def test_one_failure_is_singular_and_none_is_said_to_be_none() -> None:
    def adults(held: dict[str, Any]) -> dict[str, Any]:
        return {**held, "subjects": held["subjects"].assign(age=40.0)}

    one = said(scans(bound(whole(refused=1, edit=adults))))
    assert "Counting the 1 subject of whom no scan gave a value as failures" in one
    none = said(scans(bound(whole(refused=0, edit=adults))))
    assert "Of every scanned subject with a reference measurement at least one scan gave a value." in none


def test_without_a_run_no_scan_was_looked_at() -> None:
    def unseen(held: dict[str, Any]) -> dict[str, Any]:
        return {**held, "scans": held["scans"].assign(status=None, reason=None)}

    report = bound(whole(edit=unseen, run={}))
    assert "No run has looked at the scans of this study." in said(scans(report))
    assert "No run of a model is in this report" in said(model_cards(report))


# Sensitivity, calibration, fairness -----------------------------------------------------------------------------------


def test_sensitivity_names_what_changes_the_error() -> None:
    def far(held: dict[str, Any]) -> dict[str, Any]:
        rows = held["measurements"].copy()
        mine = (rows["method"] == "scan") & (rows["measurand"] == "body_fat_percent")
        rows.loc[rows.index[mine][:8], "value"] += 60
        return {**held, "measurements": rows}

    calm, wild = (sensitivity(bound(whole(edit=edit))) for edit in (None, far))
    assert "None of the" in said(calm)
    assert "takes it out of this interval" in said(wild) or "take it out of this interval" in said(wild)
    assert "Without differences beyond 3 robust SD: the error is smaller, " in said(wild)
    labels = [row[0] for row in rows_of(calm, "table-sensitivity")]
    assert labels[0] == "As planned"
    assert {
        "Without differences beyond 3 robust SD", "Pairs within 2 days", "Pairs within 8 days",
        "The mean of several measurements", "Everybody, whatever the rules of eligibility",
        "The first pair of each subject",
    } <= set(labels)  # fmt: skip


def test_the_planned_row_is_the_analysis_itself(report: Bound) -> None:
    planned, test = report.at(("sensitivity", "planned")), report.at(("tests", "scan"))
    assert planned["mae"] == test["mae"]
    assert planned["lower"] == test["limits"]["lower"]


def test_calibration_tells_which_way_values_spread(report: Bound) -> None:
    assert "do not show that its values spread too widely or too little" in said(calibration(report))

    def stretched(held: dict[str, Any]) -> dict[str, Any]:
        rows = held["measurements"].copy()
        mine = (rows["method"] == "scan") & (rows["measurand"] == "body_fat_percent")
        rows.loc[mine, "value"] = 30 + 1.6 * (rows.loc[mine, "value"] - 30)
        return {**held, "measurements": rows}

    wide = said(calibration(bound(whole(edit=stretched))))
    assert "The scan spreads too widely: high values are too high and low ones too low" in wide
    assert "Predicted uncertainty could not be judged" in wide  # its intervals are of other values


def test_honest_intervals_are_called_honest_and_narrow_ones_not(report: Bound) -> None:
    assert "The errors of the scan are about as large as it says" in said(calibration(report))

    def sure(held: dict[str, Any]) -> dict[str, Any]:
        seen = held["scans"]
        return {**held, "scans": seen.assign(low=seen["value"] - 0.2, high=seen["value"] + 0.2)}

    assert "The scan is too sure of itself" in said(calibration(bound(whole(edit=sure))))


def test_fairness_finds_the_group_that_is_read_differently() -> None:
    def unfair(held: dict[str, Any]) -> dict[str, Any]:
        rows, men = held["measurements"].copy(), held["subjects"].query("sex == 'M'")["subject_id"]
        mine = (rows["method"] == "scan") & (rows["measurand"] == "body_fat_percent") & rows["subject_id"].isin(men)
        rows.loc[mine, "value"] += 5
        return {**held, "measurements": rows}

    fair, biased = bound(whole(of_change=1.0)), bound(whole(edit=unfair, of_change=1.0))
    assert "Sex: the data do not show that the scan errs differently between groups." in said(fairness(fair))
    told = said(fairness(biased))
    assert "Sex: the bias and mean absolute error of the scan differ between groups" in told
    assert "by sex the error is largest for Men" in told
    verdicts = {row[0]: row for row in rows_of(fairness(biased), "table-groups")}
    assert "fails" in verdicts["Men"] or "fails" in verdicts["Men"][-2:]


def test_a_gap_that_the_adjusted_tests_do_not_show_is_told_with_them(report: Bound) -> None:
    """The interval of a gap is of one attribute alone: the section on subgroups says that it leaves out zero, and the
    one on fairness must not seem to deny it."""

    def told(**gaps: tuple[float, float]) -> str:
        results = copy.deepcopy(dict(report.results))
        for item in results["fairness"]["sex"]["tests"].values():
            item["p_adjusted"] = 0.2
        for metric in ("mae", "bias"):
            low, high = gaps.get(metric, (-1.0, 1.0))
            results["subgroups"]["sex"]["difference"]["scan"][metric] |= {"low": low, "high": high}
        return said(fairness(Bound(results, report.pairs)))

    start = "Sex: the data do not show that the scan errs differently between groups"
    assert f"{start}." in told()
    assert (
        f"{start}, after adjustment for the number of tests; the interval of the gap in mean absolute error alone "
        "leaves out zero."
    ) in told(mae=(0.1, 1.0))
    assert "; the intervals of the gaps in mean absolute error and bias alone leave out zero." in told(
        mae=(0.1, 1.0), bias=(0.2, 2.0)
    )


def test_notes_of_a_table_explain_only_what_stands_in_it(report: Bound) -> None:
    def notes(results: dict[str, Any]) -> str:
        section = fairness(Bound(results, report.pairs))
        table = next(block for block in walk((section,)) if getattr(block, "id", "") == "table-groups")
        return " ".join(text_of(note) for note in table.notes)

    plain = copy.deepcopy(dict(report.results))
    for item in plain["fairness"]["sex"]["verdicts"].values():
        item["groups"] = dict.fromkeys(item["groups"], "meets")
    assert "Detectable gap:" in notes(plain)
    assert "Insufficient n:" not in notes(plain)
    assert "Undecided:" not in notes(plain)
    few = copy.deepcopy(plain)
    few["subgroups"]["sex"]["by_group"]["F"]["tests"]["scan"]["suppressed"] = True
    assert "Insufficient n: fewer subjects than the plan's minimum cell, or a group that would" in notes(few)
    open_ = copy.deepcopy(plain)
    open_["fairness"]["sex"]["verdicts"]["mae"]["groups"]["F"] = "not enough data to say"
    assert "Undecided: the interval lies on both sides of the margin." in notes(open_)


# The body, the claim, the models, the protocol ------------------------------------------------------------------------


def test_girths_are_compared_with_the_tape(report: Bound) -> None:
    told = said(body_measurements(report))
    found = report.at(("body_measurements", "waist_cm"))
    assert found["reference"] == "tape"
    assert f"Waist girth: mean absolute error {found['agreement']['mae']['estimate']:.2f} cm" in told
    assert "the scan over-reads tape on average" in told

    def untaped(held: dict[str, Any]) -> dict[str, Any]:
        rows = held["measurements"]
        return {**held, "measurements": rows[rows["method"] != "tape"]}

    assert "the avatar could not be compared" in said(body_measurements(bound(whole(edit=untaped))))


def test_the_claim_is_a_ratio_with_its_verdict(report: Bound) -> None:
    item = report.results["claims"][0]
    told = said(comparisons(report))
    assert item["factor"] == 2
    assert f"The scale: {item['ratio']['estimate']:.2f} (95% CI" in told
    assert "The plan's criterion “Twice as close” asks for a ratio of at least 2.00: " in told
    assert item["verdict"] == ("met" if item["ratio"]["low"] >= 2 else "not met")
    worse = bound(whole(noise=12))
    assert "The data support that the scan is less accurate." in said(comparisons(worse))
    plain = bound(whole(plan={"criteria": []}))
    assert "The plan makes no claim of it." in said(comparisons(plain))


def test_without_a_comparator_there_is_no_claim() -> None:
    report = bound(whole(plan={"comparators": [], "criteria": []}))
    assert said(comparisons(report)) == "There is no comparator, so there is nothing to compare."


def test_cards_tell_of_training_and_leakage(report: Bound) -> None:
    told = said(model_cards(report))
    assert "1 of the 60 subjects of the study was in the training data of small, version 2." in told
    assert "Adults only." in told
    assert rows_of(model_cards(report), "table-model-1")[0] == ["mae", "2.5 %", "2.25 to 2.75", "40", "held-out people"]
    clean = {**CARD, "leakage": {"leaked": 0, "subjects": 60}}
    run = {"number": 1, "newest": 1, "checkpoints": {}, "cards": [clean]}
    assert "None of the 60 subjects of the study is in the training data" in said(model_cards(bound(whole(run=run))))


def test_the_protocol_fills_what_only_a_person_knows(report: Bound) -> None:
    assert "Answer to statement." in said(intended_use(report))
    assert "First of limits." in said(intended_use(report))
    assert "Answer to funding." in said(protocol(report))
    bare = bound(whole())
    assert "Intended use: not given" in said(intended_use(bare))
    assert "No protocol was given" in said(protocol(bare))


def test_deviations_are_told_one_by_one(report: Bound) -> None:
    told = said(deviations(report))  # a hundred subjects were planned
    analysed = report.results["flow"]["subjects"]["analysed"]
    assert told == (
        "1 deviation from a plan that is locked before any data come in, and then kept: "
        f"{analysed} subjects were analysed, of 100 planned."
    )
    amended = {"locked_after_data": True, "amendments": [{"version": 2, "reason": "typo", "replaced_locked": True}]}
    several = said(deviations(bound(whole(status=amended, run={"number": 1, "newest": 3, "checkpoints": {}}))))
    assert several.startswith("3 deviations")
    assert "locked after the first data had come in" in several
    assert "Version 2 of the plan replaced a locked version: typo." in several
    assert "those of run 1, not of the newest, 3." in several
    assert said(deviations(bound(whole()))).startswith("None: the locked plan was carried out")


# Decision levels, cut-offs and intersections --------------------------------------------------------------------------

LEVELS: dict[str, Any] = {
    "decision_levels": [25, {"name": "obesity", "value": 35, "group": "sex=F"}, 80],
    "cut_offs": [
        {"name": "High body fat", "value": 28},
        {"name": "High in men", "value": 30, "index_value": 29, "group": "sex=M"},
    ],
}


def test_the_bias_at_a_level_is_told_with_its_direction() -> None:
    for shift, words in ((3, "over-reads"), (-3, "under-reads"), (-0.5, "shows no clear over- or under-reading of")):
        report = bound(whole(shift=shift, plan=LEVELS))
        told = said(decisions(report))
        first, women = report.results["decision_levels"][:2]
        bias = first["tests"]["scan"]["deming"]["estimate"]
        number = f"{bias:.2f}".replace("-", "−")
        assert f"At 25%: the scan {words} DXA, bias {number} percentage points (95% CI" in told
        assert "Obesity, at 35% in women: the scan" in told
        assert "The level lies above the highest DXA value, where the line is only continued." in told
        shown = rows_of(decisions(report), "table-decision-levels")
        assert ["Obesity: 35% in women"] in shown
        assert shown[1][:2] == ["Scan", str(first["tests"]["scan"]["n"])]
        assert women["tests"]["scan"]["n"] < first["tests"]["scan"]["n"]


def test_who_is_found_at_a_cut_off_is_told_in_shares() -> None:
    report = bound(whole(plan=LEVELS))
    told = said(decisions(report))
    everybody, men = (item["tests"]["scan"] for item in report.results["cut_offs"])
    rates = [f"{everybody[rate]['estimate']:.1f}%" for rate in ("sensitivity", "specificity")]
    assert f"High body fat, at 28%: the scan finds {rates[0]} (95% CI" in told
    assert f"of the {everybody['positives']} subjects positive by DXA and leaves out {rates[1]}" in told
    assert "High in men, at 30% in men: with a cut-off of its own at 29%, the scan finds" in told
    assert "The cut-off of the scan is its own where the plan names one." in told
    shown = rows_of(decisions(report), "table-two-by-two")
    counts = [men[name] for name in ("n", "true_positive", "false_negative", "false_positive", "true_negative")]
    assert shown[4][:6] == ["Scan", *map(str, counts)]
    assert sum(counts[1:]) == counts[0]
    assert rows_of(decisions(report), "table-cut-offs")[1][1].startswith(rates[0].rstrip("%"))


def test_a_cut_off_with_nobody_on_one_side_says_so() -> None:
    cuts = [{"name": "Low", "value": 1}, {"name": "High", "value": 90}]
    report = bound(whole(plan={"cut_offs": cuts, "decision_levels": None}))
    told = said(decisions(report))
    assert "Low, at 1%: the scan finds 100.0%" in told
    assert "; nobody is negative by DXA." in told
    assert "leaves out 100.0%" in told
    assert "of those analysed; nobody is positive by DXA." in told


def test_without_levels_and_cut_offs_nothing_is_made_up() -> None:
    section = decisions(bound(whole(plan={"cut_offs": None, "decision_levels": None})))
    assert "The plan names no value of body fat percentage at which something is decided" in said(section)
    assert not any(isinstance(block, Table) for block in walk((section,)))


def test_a_group_that_is_too_small_is_not_told_of_at_a_level() -> None:
    def few_men(held: dict[str, Any]) -> dict[str, Any]:
        people = held["subjects"]
        men = people["sex"].eq("M") & (people["subject_id"] > "S012")
        return {**held, "subjects": people.assign(sex=people["sex"].mask(men, "F"))}

    told = said(decisions(bound(whole(plan=LEVELS, edit=few_men))))
    assert "High in men, at 30% in men: not shown, since too few subjects are in the group." in told


def test_intersections_are_shown_where_enough_people_are_in_them() -> None:
    report = bound(whole(size=120))
    section = fairness(report)
    told = said(section)
    assert "Sex × Site: the data do not show that the scan errs differently between groups." in told
    shown = {row[0]: row for row in rows_of(section, "table-intersection-1")}
    assert list(shown) == ["Women × North", "Women × South", "Men × North", "Men × South"]
    found = report.results["intersections"]["sex*site"]["by_group"]["F × south"]
    assert shown["Women × South"][1] == str(found["n"])
    assert shown["Women × South"][2].startswith(f"{found['tests']['scan']['mae']['estimate']:.2f} (")


def test_an_intersection_that_is_read_differently_is_found_though_no_attribute_is() -> None:
    """Women of one site and men of the other are over-read: each attribute by itself looks fair."""

    def crossed(held: dict[str, Any]) -> dict[str, Any]:
        people = held["subjects"].assign(site=["north", "north", "south", "south"] * 40)
        other = people["subject_id"][(people["sex"] == "F") == (people["site"] == "south")]
        rows = held["measurements"]
        moved = rows["subject_id"].isin(other) & (rows["method"] == "scan") & (rows["measurand"] == "body_fat_percent")
        measurements = rows.assign(value=rows["value"] + 4 * moved)
        return {**held, "subjects": people, "measurements": measurements}

    report = bound(whole(size=160, edit=crossed))
    told = said(fairness(report))
    assert "Sex: the data do not show that the scan errs differently between groups." in told
    assert "Site: the data do not show that the scan errs differently between groups." in told
    assert "Sex × Site: the bias and mean absolute error of the scan differ between groups (p < 0.001 for" in told
    worst = report.results["intersections"]["sex*site"]["worst"]["mae"]
    assert worst in ("F × south", "M × north")
    assert f"by sex × site the error is largest for {'Women × South' if worst[0] == 'F' else 'Men × North'}" in told


def test_intersections_that_are_too_small_are_not_enough_data(report: Bound) -> None:
    told = said(fairness(report))
    assert "Not enough data: no intersection is large enough to be shown." in told
    assert not [block for block in walk((fairness(report),)) if getattr(block, "id", "").startswith("table-inter")]


def test_groups_that_cannot_be_tested_are_not_said_to_be_small() -> None:
    """Somebody who becomes 40 between two visits is in two groups."""
    ages = {"subgroups": [{"name": "age", "label": "Age", "attribute": "age", "cut_points": [30, 40, 50]}]}

    def older(held: dict[str, Any]) -> dict[str, Any]:
        people = held["subjects"]
        first = people["subject_id"] == "S020"
        return {**held, "subjects": people.assign(age=people["age"].mask(first, 39.9), enrolled_on="2024-05-01")}

    report = bound(whole(size=160, plan={"decision_levels": None, "cut_offs": None, **ages}, edit=older))
    assert [item["n"] > 40 for item in report.results["subgroups"]["age"]["by_group"].values()] == [True] * 4
    told = said(fairness(report))
    assert "Age: not tested, since some subjects change their group from visit to visit." in told
    rows = rows_of(fairness(report), "table-equality")
    assert rows[1][:2] == ["Not tested", "some subjects change their group from visit to visit"]


def test_leakage_stands_out_unless_the_plan_leaves_out_whom_it_concerns(study: StudyAnalysis) -> None:
    results = copy.deepcopy(study.results)
    note = "Leakage: 3 of the 10 subjects with predictions were in the training data of fat@1."
    results["notes"] = [note, *results["notes"]]
    results["run"]["cards"] = [{**CARD, "leakage": {"leaked": 3, "subjects": 10}}]
    for section in (summary, known_first):
        made = section(Bound(results, study.pairs))
        made = made if isinstance(made, Section) else made[0]
        callout = next(block for block in walk((made,)) if getattr(block, "tone", None) == "bad")
        assert (callout.title, callout.content) == ("A model was trained on these people", (note,))
    badges = [
        block.content[-1] for block in walk((model_cards(Bound(results, study.pairs)),)) if _ends_with_badge(block)
    ]
    assert [badge.text for badge in badges] == ["leakage"]

    rule = {"attribute": "in_training_data", "equals": "no"}
    results["plan"]["document"]["eligibility"] = [rule]
    cards = model_cards(Bound(results, study.pairs))
    assert not [block for block in walk((cards,)) if _ends_with_badge(block)]
    assert "The analysis plan leaves these subjects out where predictions are analysed." in said(cards)


def _ends_with_badge(block: object) -> bool:
    return isinstance(block, Paragraph) and isinstance(block.content, tuple) and isinstance(block.content[-1], Badge)
