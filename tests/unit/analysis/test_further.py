"""What stands beside the agreement, against numbers worked out from the frames by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reports"))

from whole_study import frames, whole

from reports.results import results_json
from validation.multiplicity import holm

FAT = "body_fat_percent"


@pytest.fixture(scope="module")
def held() -> dict[str, Any]:
    return frames()


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return whole().results


def adults(held: dict[str, Any]) -> set[str]:
    return set(held["subjects"].query("age >= 20")["subject_id"])


def test_precision_is_the_root_mean_square_of_duplicates(held, results) -> None:
    rows = held["measurements"].query("measurand == @FAT and method == 'dxa'")
    rows = rows[rows["subject_id"].isin(adults(held))]
    wide = rows.pivot(index=["subject_id", "visit"], columns="replicate", values="value")
    rms = np.sqrt(((wide[1] - wide[2]) ** 2 / 2).mean())
    found = results["precision"]["methods"]["dxa"]["All"]
    assert found["rms_sd"]["estimate"] == pytest.approx(rms)
    assert (found["sets"], found["subjects"], found["df"]) == (len(wide), len(adults(held)), len(wide))
    assert found["lsc"]["estimate"] == pytest.approx(1.959964 * np.sqrt(2) * rms, rel=1e-6)
    low, high = (rms * np.sqrt(len(wide) / stats.chi2.ppf(q, len(wide))) for q in (0.975, 0.025))
    assert (found["rms_sd"]["low"], found["rms_sd"]["high"]) == (pytest.approx(low), pytest.approx(high))
    assert results["precision"]["methods"]["scan"]["All"]["n"] == 0
    corrected = results["precision"]["corrected"]["scan"]["estimate"]
    within = found["within_sd"]["estimate"]
    assert corrected == pytest.approx(np.sqrt(results["tests"]["scan"]["sd"] ** 2 - within**2))


def test_two_devices_at_one_visit_are_no_replicates() -> None:
    def other(held: dict[str, Any]) -> dict[str, Any]:
        rows = held["measurements"]
        return {**held, "measurements": rows.assign(device=rows["replicate"].map({1: "a", 2: "b"}))}

    assert whole(edit=other).results["precision"]["methods"]["dxa"]["All"]["n"] == 0


def test_change_runs_from_the_first_pair_to_the_last(held, results) -> None:
    rows = held["measurements"].query("measurand == @FAT and replicate == 1")
    wide = rows.pivot(index="subject_id", columns=["method", "visit"], values="value").loc[sorted(adults(held))]
    wide = wide.dropna(subset=[("scan", "v1"), ("scan", "v2")])
    changes = {method: wide[method, "v2"] - wide[method, "v1"] for method in ("scan", "dxa")}
    found = results["change"]["scan"]
    assert found["n"] == len(wide)
    assert found["bias"]["estimate"] == pytest.approx((changes["scan"] - changes["dxa"]).mean())
    line = stats.linregress(changes["dxa"], changes["scan"])
    assert found["slope"]["estimate"] == pytest.approx(line.slope)


def test_girths_are_predictions_less_the_tape(held, results) -> None:
    rows = held["measurements"].query("measurand == 'waist_cm'")
    rows = rows[rows["subject_id"].isin(adults(held))]
    wide = rows.pivot(index=["subject_id", "visit"], columns="method", values="value").dropna()
    found = results["body_measurements"]["waist_cm"]
    assert found["n"] == len(wide)
    assert found["agreement"]["bias"]["estimate"] == pytest.approx((wide["scan"] - wide["tape"]).mean())
    assert found["agreement"]["mae"]["estimate"] == pytest.approx((wide["scan"] - wide["tape"]).abs().mean())


def test_the_pairs_behind_the_girths_are_given_with_their_people(held) -> None:
    analysis = whole()
    rows = held["measurements"].query("measurand == 'waist_cm'")
    rows = rows[rows["subject_id"].isin(adults(held))]
    wide = rows.pivot(index=["subject_id", "visit"], columns="method", values="value").dropna()
    found = analysis.body_pairs.query("measurand == 'waist_cm'").set_index(["subject_id", "visit"]).sort_index()
    assert found.index.tolist() == wide.sort_index().index.tolist()
    assert found["test"].tolist() == wide["scan"].sort_index().tolist()
    assert found["reference"].tolist() == wide["tape"].sort_index().tolist()
    assert (
        found["difference"].mean() == analysis.results["body_measurements"]["waist_cm"]["agreement"]["bias"]["estimate"]
    )
    sexes = held["subjects"].set_index("subject_id")["sex"]
    assert found["sex"].tolist() == sexes.loc[found.index.get_level_values("subject_id")].tolist()


def test_failures_are_people_of_whom_no_scan_gave_a_value(held, results) -> None:
    failures = results["sensitivity"]["failures"]
    refused = set(held["scans"].query("status == 'indeterminate'")["subject_id"]) & adults(held)
    assert failures["failures"] == len(refused)
    assert failures["n"] == len(adults(held))
    seen = held["measurements"].query("measurand == @FAT and replicate == 1 and visit == 'v1'")
    wide = seen.pivot(index="subject_id", columns="method", values="value").loc[sorted(adults(held) - refused)]
    inside = ((wide["scan"] - wide["dxa"]).abs() <= 3).sum()
    assert failures["within"]["3"]["estimate"] == pytest.approx(100 * inside / failures["n"])


def test_someone_with_one_good_scan_is_no_failure() -> None:
    def half(held: dict[str, Any]) -> dict[str, Any]:
        scans = held["scans"].copy()
        scans.loc[(scans["subject_id"] == "S010") & (scans["visit"] == "v2"), "status"] = "indeterminate"
        return {**held, "scans": scans}

    assert (
        whole(edit=half).results["sensitivity"]["failures"]["failures"]
        == (whole().results["sensitivity"]["failures"]["failures"])
    )


def test_scenarios_are_the_analysis_with_one_choice_changed(results) -> None:
    found = {item["name"]: item for item in results["sensitivity"]["scenarios"]}
    narrow = whole(plan={"pairing": {"match": "visit", "window_days": 2}}).results["tests"]["scan"]
    assert found["window_within_2_days"]["n"] == narrow["n"] < results["n"]
    assert found["window_within_2_days"]["mae"]["estimate"] == pytest.approx(narrow["mae"]["estimate"])
    assert found["window_within_8_days"]["same"] is True
    mean = whole(plan={"pairing": {"match": "visit", "window_days": 4, "replicates": "mean"}}).results["tests"]["scan"]
    assert found["replicates_mean"]["bias"]["estimate"] == pytest.approx(mean["bias"]["estimate"])
    everybody = whole(plan={"eligibility": []}).results["tests"]["scan"]
    assert found["eligibility"]["n"] == everybody["n"]
    assert found["eligibility"]["mae"]["estimate"] == pytest.approx(everybody["mae"]["estimate"])
    first = whole(plan={"visits": ["v1"]}).results["tests"]["scan"]
    assert found["first_pair"]["mae"]["estimate"] == pytest.approx(first["mae"]["estimate"])


def test_the_claim_turns_the_ratio_of_errors_round(results) -> None:
    row = next(item for item in results["comparisons"] if item["metric"] == "mae")
    claim = results["claims"][0]
    assert claim["ratio"]["estimate"] == pytest.approx(1 / row["ratio"]["estimate"])
    assert claim["ratio"]["low"] == pytest.approx(1 / row["ratio"]["high"])
    assert claim["factor"] == 2
    assert claim["verdict"] == ("met" if claim["ratio"]["low"] >= 2 else "not met")


def test_tests_of_fairness_are_adjusted_over_all_subgroups(results) -> None:
    tests = [item for part in results["fairness"].values() for item in part["tests"].values()]
    assert len(tests) == 6
    adjusted = holm([item["p_value"] for item in tests])
    assert [item["p_adjusted"] for item in tests] == pytest.approx(adjusted)
    assert results["fairness"]["sex"]["tests"]["equal bias"]["groups"] == ["F", "M"]
    assert results["fairness"]["sex"]["verdicts"]["bias"]["margin"] == 2
    assert results["fairness"]["sex"]["verdicts"]["mae"]["margin"] == 3.5


def test_groups_that_are_not_shown_take_no_part_in_fairness() -> None:
    def lonely(held: dict[str, Any]) -> dict[str, Any]:
        people = held["subjects"].copy()
        people.loc[people.index[10:14], "site"] = "island"
        return {**held, "subjects": people}

    found = whole(edit=lonely).results
    hidden = {group for group, item in found["subgroups"]["site"]["by_group"].items() if item.get("suppressed")}
    assert "island" in hidden
    told = str(found["fairness"]["site"])
    assert not any(f"'{group}'" in told for group in hidden)


def test_calibration_regresses_the_reference_on_the_value(held, results) -> None:
    rows = held["measurements"].query("measurand == @FAT and replicate == 1 and visit == 'v1'")
    wide = rows.pivot(index="subject_id", columns="method", values="value").loc[sorted(adults(held))].dropna()
    line = stats.linregress(wide["scan"], wide["dxa"])
    found = results["calibration"]["values"]["scan"]
    assert found["slope"]["estimate"] == pytest.approx(line.slope)
    assert found["intercept"]["estimate"] == pytest.approx(line.intercept)
    uncertainty = results["calibration"]["uncertainty"]
    assert uncertainty["n"] == len(wide)
    inside = ((wide["scan"] - wide["dxa"]).abs() <= 1.645 * 1.5).mean()
    assert uncertainty["coverage"]["0.9"]["estimate"] == pytest.approx(inside, abs=1e-3)


def test_the_spread_of_absolute_errors_is_their_standard_deviation(held, results) -> None:
    pairs = whole().pairs
    errors = pairs.loc[pairs["method"] == "scan", "difference"].abs()
    assert results["tests"]["scan"]["absolute_sd"] == pytest.approx(errors.std(ddof=1))


def test_the_order_of_scans_and_of_people_changes_no_byte() -> None:
    def shuffled(held: dict[str, Any]) -> dict[str, Any]:
        return {name: frame.sample(frac=1, random_state=5) for name, frame in held.items()}

    assert results_json(whole(edit=shuffled).results) == results_json(whole().results)


def test_extremes_of_small_groups_are_not_shown(results) -> None:
    age = next(row for row in results["cohort"]["rows"] if row["characteristic"] == "Age")
    assert all(cell["min"] is None and cell["max"] is None for cell in age["values"].values())
    assert all(cell["q1"] < cell["median"] < cell["q3"] for cell in age["values"].values())
    open_ = whole(plan={"minimum_cell": 1}).results["cohort"]["rows"]
    assert next(row for row in open_ if row["characteristic"] == "Age")["values"]["All"]["min"] >= 20
    large = whole(plan={"minimum_cell": 2}).results["cohort"]["rows"]  # more than twenty of each sex
    assert next(row for row in large if row["characteristic"] == "Age")["values"]["F"]["max"] is not None


def test_an_analysis_without_a_pair_is_refused_unless_it_is_asked_for(small) -> None:
    from studies.errors import DataError

    def without(subjects, visits, measurements):
        return subjects, visits, measurements[measurements["method"] != "scan"]

    with pytest.raises(DataError, match="can be paired"):
        small(edit=without)
    found = small(edit=without, empty=True).results
    assert found["n"] == 0
    assert found["tests"] == {}
    assert found["flow"]["subjects"]["analysed"] == 0
    assert found["sensitivity"]["planned"]["n"] == 0
