"""Bias at decision levels, tables at cut-offs and intersections, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reports.results import results_json
from studies.decisions import bias_at_levels
from studies.intersections import intersections
from studies.plan import load_plan, plan_hash
from validation.fairness import equal_bias
from validation.multiplicity import holm
from validation.regression import deming
from validation.robust import passing_bablok

HEAD = "calliper_plan: 1\ntitle: t\nmeasurand: body_fat_percent\nreference: dxa\nindex: scan\n"


def wide(analysis) -> pd.DataFrame:
    """One row a subject: dxa, scan, scale, and the groups."""
    pairs = analysis.pairs
    table = pairs.pivot(index="subject_id", columns="method", values="test")
    first = pairs.drop_duplicates("subject_id").set_index("subject_id")
    return table.join(first[["reference", *(name for name in ("sex", "ethnicity") if name in first)]])


def test_older_plans_keep_their_hash() -> None:
    """Keys that came later are not in the document of a plan that does not use them; this hash is from before."""
    assert plan_hash(load_plan(HEAD)) == "457d40515c22fe0877c9297504470f33df2344817b049575bc9df48925bd684b"


def test_the_bias_at_a_level_is_that_of_the_line(small) -> None:
    analysis = small(plan={"decision_levels": [20, {"value": 31, "group": "sex=F", "name": "high"}]})
    rows = wide(analysis)
    everybody, women = analysis.results["decision_levels"]
    (wanted,) = deming(rows["scan"], rows["reference"]).bias_at([20])
    found = everybody["tests"]["scan"]
    assert found["n"] == 60
    assert found["deming"] == pytest.approx(wanted.to_dict())
    assert found["passing_bablok"]["estimate"] == pytest.approx(
        float(passing_bablok(rows["scan"], rows["reference"]).bias_at([20])[0])
    )
    assert (everybody["name"], everybody["group"], everybody["beyond"]) == (None, None, None)
    f = rows[rows["sex"] == "F"]
    (wanted,) = deming(f["scale"], f["reference"]).bias_at([31])
    found = women["tests"]["scale"]["deming"]
    assert [found[end] for end in ("estimate", "low", "high")] == pytest.approx(
        [*map(float, (wanted.estimate, *wanted.interval))]
    )
    assert (women["name"], women["group"]) == ("high", "sex=F")
    assert "bias_at" not in str(analysis.results["tests"])
    assert "bias_at" not in str(analysis.results["subgroups"])


def test_a_level_beyond_the_data_is_said_to_be(small) -> None:
    levels = small(plan={"decision_levels": [1, 30, 99]}).results["decision_levels"]
    assert [item["beyond"] for item in levels] == ["below", None, "above"]


def test_cut_offs_count_who_is_on_which_side(small) -> None:
    cuts = [{"name": "a", "value": 30}, {"name": "b", "value": 30, "index_value": 33, "group": "sex=M"}]
    analysis = small(plan={"cut_offs": cuts})
    rows = wide(analysis)
    for item, part, cut in zip(analysis.results["cut_offs"], (rows, rows[rows["sex"] == "M"]), (30, 33), strict=True):
        for test, own in (("scan", cut), ("scale", 30)):
            said, truth = part[test] >= own, part["reference"] >= 30
            found = item["tests"][test]
            assert found["n"] == len(part)
            assert found["true_positive"] == (said & truth).sum()
            assert found["false_positive"] == (said & ~truth).sum()
            assert found["false_negative"] == (~said & truth).sum()
            assert found["true_negative"] == (~said & ~truth).sum()
            assert found["sensitivity"]["estimate"] == pytest.approx(100 * said[truth].mean())
            assert found["specificity"]["estimate"] == pytest.approx(100 * (~said[~truth]).mean())
            assert found["positive_predictive_value"]["estimate"] == pytest.approx(100 * truth[said].mean())
            assert found["negative_predictive_value"]["estimate"] == pytest.approx(100 * (~truth[~said]).mean())
            assert found["prevalence"]["estimate"] == pytest.approx(100 * truth.mean())
            assert found["sensitivity"]["low"] < found["sensitivity"]["estimate"] <= found["sensitivity"]["high"]
    # A cut-off is a decision level as well.
    assert [(item["name"], item["value"], item["group"]) for item in analysis.results["decision_levels"]] == [
        ("a", 30.0, None), ("b", 30.0, "sex=M"),
    ]  # fmt: skip


def test_whoever_has_the_cut_off_itself_is_positive(small) -> None:
    analysis = small(plan={"cut_offs": [{"name": "a", "value": 0}]})
    found = analysis.results["cut_offs"][0]["tests"]["scan"]
    assert (found["n"], found["positives"], found["true_positive"]) == (60, 60, 60)
    assert found["specificity"]["estimate"] is None
    assert "without the condition" in found["specificity"]["reason"]
    lowest = float(wide(analysis)["reference"].min())
    again = small(plan={"cut_offs": [{"name": "a", "value": lowest}]}).results["cut_offs"][0]["tests"]["scan"]
    assert again["positives"] == 60


def test_a_subject_counts_once_at_a_cut_off(small) -> None:
    def twice(subjects, visits, measurements):
        visits = pd.concat([visits, visits.assign(visit="v2", sequence=2, date=pd.Timestamp("2024-06-01"))])
        measurements = pd.concat([measurements, measurements.assign(visit="v2", value=measurements["value"] + 1)])
        return subjects, visits, measurements.assign(measurement_id=np.arange(len(measurements)) + 1)

    once = small(plan={"cut_offs": [{"name": "a", "value": 30}]}).results["cut_offs"]
    assert small(plan={"cut_offs": [{"name": "a", "value": 30}]}, edit=twice).results["cut_offs"] == once


def test_a_group_that_is_not_shown_is_not_told_of_at_a_level(small) -> None:
    plan = {
        "decision_levels": [{"value": 30, "group": "ethnicity=B"}, {"value": 30, "group": "ethnicity=nobody"}],
        "cut_offs": [{"name": "a", "value": 30, "group": "ethnicity=B"}, {"name": "b", "value": 30, "group": "sex=X"}],
    }
    results = small(ethnicity={"A": 30, "B": 4, "C": 20}, plan=plan).results
    hidden, nobody = results["decision_levels"][:2]
    assert hidden["tests"]["scan"] == {"n": None, "suppressed": True, "minimum_cell": 10}
    assert hidden["beyond"] is None
    assert nobody["tests"] == {}
    assert results["cut_offs"][0]["tests"]["scan"] == {"n": None, "suppressed": True, "minimum_cell": 10}
    assert results["cut_offs"][1]["tests"]["scan"]["n"] == 0


def test_a_study_without_a_pair_has_neither(small) -> None:
    def unseen(subjects, visits, measurements):
        return subjects, visits, measurements[measurements["method"] != "scan"]

    plan = {"decision_levels": [30], "cut_offs": [{"name": "a", "value": 30}]}
    results = small(plan=plan, edit=unseen, empty=True).results
    assert results["decision_levels"] == [{"name": None, "value": 30.0, "group": None, "beyond": None, "tests": {}}]
    assert results["cut_offs"][0]["tests"]["scan"]["n"] == 0
    assert results["intersections"]["sex*ethnicity"]["by_group"] == {}


# Intersections --------------------------------------------------------------------------------------------------------

FOUR = ["M", "F"] * 40


def test_intersections_have_the_errors_of_their_people(small) -> None:
    analysis = small(ethnicity={"A": 40, "B": 40}, men=FOUR)
    rows = wide(analysis)
    part = analysis.results["intersections"]["sex*ethnicity"]
    assert part["attributes"] == ["sex", "ethnicity"]
    assert list(part["by_group"]) == ["F × A", "F × B", "M × A", "M × B"]
    difference = rows["scan"] - rows["reference"]
    for cell, content in part["by_group"].items():
        sex, ethnicity = content["groups"]
        here = difference[(rows["sex"] == sex) & (rows["ethnicity"] == ethnicity)]
        assert cell == f"{sex} × {ethnicity}"
        found = content["tests"]["scan"]
        assert found["n"] == content["n"] == len(here) == 20
        assert found["mae"]["estimate"] == pytest.approx(here.abs().mean())
        assert found["bias"]["estimate"] == pytest.approx(here.mean())
        assert found["bias"]["low"] < found["bias"]["estimate"] < found["bias"]["high"]
        assert part["detectable"][cell] > 0
    labels = rows["sex"] + " × " + rows["ethnicity"]
    wanted = equal_bias(rows["scan"], rows["reference"], labels.to_numpy())
    assert part["tests"]["equal bias"]["p_value"] == pytest.approx(wanted.p_value)


def test_tests_between_intersections_are_adjusted_among_themselves(small) -> None:
    plan = {"subgroups": [*({"name": name, "attribute": name} for name in ("sex", "ethnicity", "site"))]}

    def placed(subjects, visits, measurements):
        return subjects.assign(site=np.where(subjects["subject_id"].str[-1] < "5", "n", "s")), visits, measurements

    results = small(ethnicity={"A": 60, "B": 60}, men=["M", "F"] * 60, plan=plan, edit=placed).results
    found = results["intersections"]
    assert list(found) == ["sex*ethnicity", "sex*site"]
    tests = [item for part in found.values() for item in part["tests"].values()]
    assert [item["p_adjusted"] for item in tests] == pytest.approx(holm([item["p_value"] for item in tests]))
    alone = small(
        ethnicity={"A": 60, "B": 60}, men=["M", "F"] * 60, plan={**plan, "intersections": [["ethnicity", "site"]]},
        edit=placed,
    ).results  # fmt: skip
    assert list(alone["intersections"]) == ["ethnicity*site"]
    assert alone["fairness"] == results["fairness"]
    assert small(plan={"intersections": []}).results["intersections"] == {}


def _table(counts: dict[tuple[str, str], int]) -> pd.DataFrame:
    groups = [pair for pair, n in counts.items() for _ in range(n)]
    rng = np.random.default_rng(1)
    true = rng.normal(30, 5, len(groups))
    frame = pd.DataFrame({"subject_id": [f"S{i}" for i in range(len(groups))], "dxa": true})
    frame["scan"] = true + rng.normal(0, 2, len(groups))
    for place, name in enumerate(("sex", "site")):
        frame[name] = pd.Categorical([pair[place] for pair in groups])
    return frame


def _shown(counts: dict[tuple[str, str], int], hidden: tuple[str, ...] = ()) -> dict[str, int | None]:
    """Cells and their numbers, None where they are hidden. hidden: groups that are not shown of one attribute."""
    plan = load_plan(f"{HEAD}subgroups: [{{name: sex, attribute: sex}}, {{name: site, attribute: site}}]\n")
    frame = _table(counts)
    subgroups = {
        name: {
            "by_group": {
                group: {"suppressed": True} if group in hidden else {"tests": {"scan": {"n": 1}}}
                for group in frame[name].cat.categories
            }
        }
        for name in ("sex", "site")
    }
    made = intersections(frame, plan, "scan", subgroups)["sex*site"]
    return {cell: content["n"] for cell, content in made["by_group"].items()}


def test_a_small_cell_is_hidden_with_those_that_would_reveal_it() -> None:
    big = {("F", "n"): 30, ("F", "s"): 40, ("M", "n"): 25, ("M", "s"): 50}
    assert _shown(big) == {"F × n": 30, "F × s": 40, "M × n": 25, "M × s": 50}
    # The groups' own numbers are known, so that of two by two cells one hides all.
    assert set(_shown({**big, ("F", "n"): 3}).values()) == {None}
    three = {**big, ("F", "w"): 35, ("M", "w"): 45, ("F", "n"): 3}
    assert _shown(three) == {
        "F × n": None, "F × s": 40, "F × w": None, "M × n": None, "M × s": 50, "M × w": None,
    }  # fmt: skip


def test_cells_of_hidden_groups_are_hidden_and_cells_of_nobody_are_no_cells() -> None:
    counts = {("F", "n"): 30, ("F", "s"): 40, ("M", "n"): 25, ("M", "s"): 50, ("F", "w"): 12, ("F", "x"): 3}
    found = _shown(counts, hidden=("w", "x"))
    assert found["F × w"] is None
    assert found["F × x"] is None
    assert "M × w" not in found
    assert found["F × n"] == 30  # 15 people in all are of the hidden sites, who could not be told apart


def test_people_without_a_label_are_in_no_cell_and_hide_none() -> None:
    """That four women are of no recorded site is told by the table of sites in any case."""
    counts = {("F", "n"): 30, ("F", "s"): 40, ("M", "n"): 25, ("M", "s"): 50, ("F", None): 4}
    assert _shown(counts) == {"F × n": 30, "F × s": 40, "M × n": 25, "M × s": 50}


def test_an_intersection_of_which_all_err_alike_is_told(small) -> None:
    def exact(subjects, visits, measurements):
        true = measurements[measurements["method"] == "dxa"].set_index("subject_id")["value"]
        scan = measurements["method"] == "scan"
        values = measurements["value"].where(~scan, measurements["subject_id"].map(true) + 1)
        return subjects, visits, measurements.assign(value=values)

    part = small(ethnicity={"A": 40, "B": 40}, men=FOUR, edit=exact).results["intersections"]["sex*ethnicity"]
    cell = part["by_group"]["F × A"]["tests"]["scan"]
    assert cell["mae"]["estimate"] == pytest.approx(1)
    assert cell["bias"]["estimate"] == pytest.approx(1)


def test_the_results_are_json_and_do_not_depend_on_the_order_of_rows(small) -> None:
    def shuffled(subjects, visits, measurements):
        return subjects, visits, measurements.sample(frac=1, random_state=5)

    plan = {"decision_levels": [20], "cut_offs": [{"name": "a", "value": 30}]}
    wanted = small(ethnicity={"A": 40, "B": 40}, men=FOUR, plan=plan).results
    assert results_json(
        small(ethnicity={"A": 40, "B": 40}, men=FOUR, plan=plan, edit=shuffled).results
    ) == results_json(wanted)


def test_levels_without_results_of_a_test_say_no_pair() -> None:
    plan = load_plan(HEAD + "decision_levels: [30]\n")
    results = {"tests": {"scan": {"n": 0}}, "subgroups": {}}
    (found,) = bias_at_levels(pd.DataFrame({"dxa": []}), plan, results)
    assert found["tests"] == {"scan": {"n": 0, "reason": "no pair"}}
