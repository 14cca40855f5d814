"""The analysis of a study: notes, hidden groups, deviations, faults."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from studies.errors import DataError, PlanError

# The small studies here have BMI classes of a few people.
COHORT = "In the table of the cohort, counts below 10 and those that would reveal them are hidden."


def _row(analysis, characteristic):
    return next(row for row in analysis.results["cohort"]["rows"] if row["characteristic"] == characteristic)


def test_results_are_plain_json_of_the_agreed_shape(small):
    results = small().results
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    assert list(results) == [
        "calliper", "study", "plan", "data", "run", "measurand", "n", "reference", "index", "tests", "comparisons",
        "subgroups", "decision_levels", "criteria", "equivalence", "flow", "cohort", "claims", "cut_offs", "bmi",
        "fairness", "intersections", "precision", "change", "body_measurements", "sensitivity", "calibration",
        "deviations", "protocol", "notes",
    ]  # fmt: skip
    assert results["calliper"]["format"] == 1
    assert results["data"] == {"hash": "0" * 64, "subjects": 60, "visits": 60, "measurements": 300}
    assert results["measurand"] == {"name": "body_fat_percent", "label": "body fat percentage", "unit": "%"}
    assert results["plan"]["document"]["index"] == "scan"
    assert results["notes"] == [COHORT]


def test_an_unlocked_plan_and_the_study_s_own_notes_come_first(small):
    notes = small(locked=False, study={"notes": ["The data are synthetic."]}).results["notes"]
    assert notes[0] == "The data are synthetic."
    assert notes[1].startswith("The analysis plan was not locked")


def test_another_index_test_is_a_deviation(small):
    results = small(index="scale").results
    assert results["index"] == "scale"
    assert list(results["tests"]) == ["scale", "scan"]
    assert results["notes"] == [
        "Deviation from the plan: the index test is scale, at the request of whoever ran the analysis; "
        "the plan names scan.",
        COHORT,
    ]
    assert small(index="scan").results["notes"] == [COHORT]


def test_an_index_test_that_cannot_be_is_refused(small):
    with pytest.raises(PlanError, match="'dxa' is the reference standard"):
        small(index="dxa")
    with pytest.raises(PlanError, match=r"No body_fat_percent was measured by 'scam'\. Did you mean 'scan'"):
        small(index="scam")
    with pytest.raises(PlanError, match="'scale' is the name of a subgroup"):
        small(index="scale", plan={"comparators": [], "subgroups": [{"name": "scale", "attribute": "sex"}]})


def test_an_equation_may_be_the_index_test(small):
    results = small(index="deurenberg").results
    assert results["tests"]["deurenberg"]["n"] == 60


def test_a_small_group_is_not_reported_nor_the_group_that_would_reveal_it(small):
    analysis = small(ethnicity={"A": 40, "B": 25, "C": 4})
    groups = analysis.results["subgroups"]["ethnicity"]["by_group"]
    assert groups["A"]["n"] == 40
    for name in ("B", "C"):
        assert groups[name]["n"] is None
        assert groups[name]["suppressed"] is True
        assert groups[name]["minimum_cell"] == 10
    assert analysis.results["subgroups"]["ethnicity"]["unlabelled"] == 0
    assert any(
        note == "Ethnicity: not reported, with fewer than 10 subjects: C; and, so that these cannot be worked out: B."
        for note in analysis.results["notes"]
    )
    levels = {level["level"]: level["values"]["All"] for level in _row(analysis, "Ethnicity")["levels"]}
    assert levels["A"]["n"] == 40
    assert levels["B"] == levels["C"] == {"n": None, "percent": None, "suppressed": True}
    # The numbers behind the figures keep everybody: they stay inside.
    assert set(analysis.pairs["ethnicity"]) == {"A", "B", "C"}


def test_two_small_groups_hide_each_other(small):
    groups = small(ethnicity={"A": 40, "B": 8, "C": 4}).results["subgroups"]["ethnicity"]["by_group"]
    assert [groups[name].get("suppressed", False) for name in "ABC"] == [False, True, True]


def test_a_small_sex_has_no_column_in_the_cohort(small):
    analysis = small(men=0.05)
    for row in analysis.results["cohort"]["rows"]:
        cells = row["values"] if row["kind"] == "continuous" else row["levels"][0]["values"]
        assert [cells[group].get("suppressed", False) for group in ("F", "M")] == [True, True]
    assert _row(analysis, "Age")["values"]["All"]["n"] == 60


def test_a_test_that_few_of_a_group_have_is_hidden_in_that_group_and_in_one_more(small):
    def edit(subjects, visits, measurements):
        few = subjects.loc[subjects["ethnicity"] == "C", "subject_id"].sort_values()[4:]
        lost = (measurements["method"] == "scale") & measurements["subject_id"].isin(few)
        return subjects, visits, measurements[~lost]

    subgroup = small(ethnicity={"A": 40, "B": 25, "C": 20}, edit=edit).results["subgroups"]["ethnicity"]
    shown = {
        (group, test): not row.get("suppressed", False)
        for group, content in subgroup["by_group"].items()
        for test, row in content["tests"].items()
    }
    assert shown == {
        ("A", "scan"): True, ("B", "scan"): True, ("C", "scan"): True,
        ("A", "scale"): True, ("B", "scale"): False, ("C", "scale"): False,
    }  # fmt: skip
    assert subgroup["difference"]["scale"]["mae"]["estimate"] is None
    assert subgroup["difference"]["scan"]["mae"]["estimate"] is not None


def test_who_is_in_no_group_is_counted(small):
    def edit(subjects, visits, measurements):
        return (
            subjects.assign(ethnicity=subjects["ethnicity"].where(subjects["ethnicity"] != "B")),
            visits,
            measurements,
        )

    analysis = small(ethnicity={"A": 40, "B": 12}, edit=edit)
    assert analysis.results["subgroups"]["ethnicity"]["unlabelled"] == 12
    assert "Ethnicity: 12 pairs are in no group, for want of a recorded ethnicity." in analysis.results["notes"]
    assert _row(analysis, "Sex")["levels"][0]["level"] == "F"
    assert analysis.pairs["ethnicity"].isna().sum() == 24


def test_a_criterion_on_a_group_that_nobody_is_in_is_pointed_out(small):
    criteria = [{"name": "c", "metric": "mae", "group": "sex=female", "at_most": 9}]
    results = small(plan={"criteria": criteria}).results
    assert results["criteria"][0]["verdict"] == "not enough data"
    assert results["notes"] == [COHORT, "Criterion 'c': nobody analysed is in sex=female; the groups are F, M."]


def test_flagged_measurements_are_included_and_counted(small):
    def edit(subjects, visits, measurements):
        flags = np.where(measurements["measurement_id"].isin([1, 61]), "big_change", None)
        flags[0] = "big_change, odd_device"
        return subjects, visits, measurements.assign(flags=flags)

    notes = small(edit=edit).results["notes"]
    assert notes[0] == "2 measurements that a data check flagged are included (big_change 2, odd_device 1)."


def test_a_comparator_without_a_pair_is_left_out_and_said_so(small):
    def edit(subjects, visits, measurements):
        return subjects, visits, measurements[measurements["method"] != "scale"]

    results = small(edit=edit).results
    assert list(results["tests"]) == ["scan"]
    assert "scale has no pair with dxa and is not reported." in results["notes"]
    assert results["flow"]["methods"]["scale"] == {
        "total": 60, "analysed": 0, "excluded": [{"reason": "no scale", "n": 60}],
    }  # fmt: skip


def test_subjects_with_several_pairs_are_told_and_resampled_whole(small):
    def edit(subjects, visits, measurements):
        again = measurements.assign(visit="v2", measurement_id=measurements["measurement_id"] + 1000)
        visits = pd.concat([visits, visits.assign(visit="v2", sequence=2)])
        return subjects, visits, pd.concat([measurements, again])

    once, twice = small(), small(edit=edit)
    assert twice.results["n"] == 120
    assert "The 120 pairs come from 60 subjects, some with more than one." in twice.results["notes"]
    one, two = (item.results["tests"]["scan"]["mae"] for item in (once, twice))
    assert two["estimate"] == pytest.approx(one["estimate"])
    # The second visit repeats the first: it must not make the interval narrower.
    assert two["high"] - two["low"] == pytest.approx(one["high"] - one["low"], rel=0.25)
    assert twice.results["cohort"]["n"] == 60


def test_margins_are_judged_for_every_test(small):
    results = small(plan={"margins": {"bias": 1}}).results
    assert [(row["method"], row["verdict"]) for row in results["equivalence"]] == [
        ("scan", "equivalent"),
        ("scale", "not shown"),
    ]


def test_a_study_without_a_pair_says_where_everybody_went(small):
    def edit(subjects, visits, measurements):
        return subjects, visits, measurements[measurements["method"] != "scan"]

    with pytest.raises(DataError, match=r"No scan measurement .* one of dxa\. Subjects left out: no scan: 60\."):
        small(edit=edit)


def test_an_attribute_that_the_study_does_not_have(small):
    with pytest.raises(PlanError, match=r"plan, subgroups\[0\]\.attribute: .* 'skin_tone'"):
        small(plan={"subgroups": [{"name": "tone", "attribute": "skin_tone"}]})
    with pytest.raises(PlanError, match=r"plan, eligibility\[0\]\.attribute: .* Did you mean 'age'\?"):
        small(plan={"eligibility": [{"attribute": "aged", "at_least": 18}]})


def test_frames_that_do_not_fit_together_are_refused(small):
    def orphan(subjects, visits, measurements):
        return subjects, visits, measurements.assign(visit="v7")

    def twice(subjects, visits, measurements):
        return pd.concat([subjects, subjects.iloc[:1]]), visits, measurements

    def short(subjects, visits, measurements):
        return subjects, visits, measurements.drop(columns="method")

    with pytest.raises(DataError, match="refers to subject 'S000', visit 'v7', which is not in the study"):
        small(edit=orphan)
    with pytest.raises(DataError, match=r"has subject_id S.* more than once"):
        small(edit=twice)
    with pytest.raises(DataError, match="measurements has no column 'method'"):
        small(edit=short)


def test_readings_and_predictions_are_numbered_apart(small):
    def edit(subjects, visits, measurements):
        scans = measurements["method"] == "scan"
        kind = np.where(scans, "prediction", "reading")
        identifier = np.where(scans, measurements["measurement_id"] - 60, measurements["measurement_id"])
        return subjects, visits, measurements.assign(kind=kind, measurement_id=identifier)

    assert small(edit=edit).results["tests"] == small().results["tests"]


def test_a_study_of_a_few_subjects_is_still_described(small):
    analysis = small(ethnicity={"A": 3, "B": 2})
    assert analysis.results["n"] == 5
    assert "Fewer than 10 subjects could be analysed." in analysis.results["notes"]
    assert analysis.results["cohort"]["n"] == 5
    assert _row(analysis, "Age")["values"]["All"] == {"n": None, "suppressed": True}
    json.dumps(analysis.results, allow_nan=False)


@pytest.mark.parametrize("size", [1, 2])
def test_one_or_two_subjects_do_not_stop_the_analysis(small, size):
    results = small(ethnicity={"A": size}, plan={"criteria": [{"name": "c", "metric": "mae", "at_most": 99}]}).results
    assert results["tests"]["scan"]["n"] == size
    json.dumps(results, allow_nan=False)
