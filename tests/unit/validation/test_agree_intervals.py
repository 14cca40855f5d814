"""Which intervals a report has: by choice, with few subjects, and where subjects repeat."""

import numpy as np
import pandas as pd
import pytest

from validation import SubgroupFrame, compare_errors, error_measures, non_inferiority, superiority_by_ratio
from validation.agree import agree
from validation.errors import UnknownOption
from validation.reliability import icc
from validation.robust import passing_bablok


def cohort(n=60, per=1, seed=2):
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(n), per)
    dxa = rng.normal(30, 8, n * per)
    return pd.DataFrame(
        {
            "dxa": dxa,
            "scan": dxa + rng.normal(0.3, 1, n)[subject] + rng.normal(0, 2, n * per),
            "bia": dxa + rng.normal(0, 4, n * per),
            "sex": np.where(subject % 2, "F", "M"),
            "person": subject,
        }
    )


def ends(item):
    return item["low"], item["high"]


def test_jackknife_throughout():
    table = cohort()
    report = agree(table, reference="dxa", tests=["scan", "bia"], by=["sex"], intervals="jackknife", resamples=300)
    alone = error_measures(table["scan"], table["dxa"], interval="jackknife", resamples=300)
    scan = report.tests["scan"]
    for name in ("mae", "rmse", "mape"):
        assert ends(scan[name]) == pytest.approx(getattr(alone, name).interval, rel=1e-9)
    (mae,) = compare_errors(
        table["scan"], table["bia"], table["dxa"], metrics=["mae"], interval="jackknife", resamples=300
    )
    item = next(found for found in report.comparisons if found.metric == "mae")
    assert item.ratio.interval == pytest.approx(mae.ratio.interval, rel=1e-9)
    assert item.difference.interval == pytest.approx(mae.difference.interval, rel=1e-9)
    plain = agree(table, reference="dxa", tests=["scan", "bia"], by=["sex"], resamples=300)
    assert "gaps by jackknife." in str(report).splitlines()[1]
    assert "jackknife" not in str(plain)
    gaps = [found.subgroups["sex"]["difference"]["scan"]["mae"] for found in (report, plain)]
    assert gaps[0]["estimate"] == pytest.approx(gaps[1]["estimate"], rel=1e-12)
    assert ends(gaps[0]) != ends(gaps[1])
    assert ends(scan["median_ae"]) == alone.median_ae.interval != ends(plain.tests["scan"]["median_ae"])
    with pytest.raises(UnknownOption, match="intervals"):
        agree(table, reference="dxa", tests=["scan"], intervals="t")


def test_few_subjects_are_pointed_out():
    few, many = (agree(cohort(n), reference="dxa", tests=["scan"], resamples=100).advice["scan"] for n in (30, 60))
    assert any("30 subjects" in sentence and "jackknife" in sentence for sentence in few)
    assert not any("jackknife" in sentence for sentence in many)
    chosen = agree(cohort(30), reference="dxa", tests=["scan"], resamples=100, intervals="jackknife")
    assert not any("jackknife" in sentence for sentence in chosen.advice["scan"])


def test_every_interval_is_there_when_subjects_repeat():
    table = cohort(40, per=3)
    scan = agree(table, reference="dxa", tests=["scan"], subject="person", resamples=300).tests["scan"]
    order = table.sort_values(["dxa", "scan"])
    x, y, person = order["scan"], order["dxa"], order["person"]
    for form, item in icc(np.column_stack([x, y]), subject=person).forms.items():
        assert ends(scan["icc"][form]) == pytest.approx(item.interval, rel=1e-9)
    line = passing_bablok(x, y, subject=person)
    assert ends(scan["passing_bablok"]["slope"]) == pytest.approx(line.slope.interval, rel=1e-9)
    assert ends(scan["passing_bablok"]["intercept"]) == pytest.approx(line.intercept.interval, rel=1e-9)
    for name in ("pearson", "ccc"):
        assert scan[name]["low"] < scan[name]["estimate"] < scan[name]["high"] < 1


def test_jackknife_of_claims_and_of_groups():
    table = cohort(40)
    scan, bia, dxa = (table[name] for name in ("scan", "bia", "dxa"))
    (mae,) = compare_errors(bia, scan, dxa, metrics=["mae"], interval="jackknife", level=0.9, resamples=50)
    claim = superiority_by_ratio(scan, bia, dxa, factor=1, interval="jackknife", resamples=50)
    assert claim.estimate.interval == pytest.approx(mae.ratio.interval, rel=1e-9)
    (mae,) = compare_errors(scan, bia, dxa, metrics=["mae"], interval="jackknife", level=0.9, resamples=50)
    claim = non_inferiority(scan, bia, dxa, margin=1, interval="jackknife", resamples=50)
    assert claim.estimate.interval == pytest.approx(mae.difference.interval, rel=1e-9)

    def worst(test, reference):
        return float(np.abs(test - reference).max())

    names = ["mae", "median_ae", "within_3", "pearson"]
    kind = {"test": scan, "reference": dxa, "groups": table["sex"], "resamples": 60}
    frame = SubgroupFrame(**kind, metrics=names, interval="jackknife")
    women = table[table["sex"] == "F"]
    alone = error_measures(women["scan"], women["dxa"], interval="jackknife", resamples=60)
    found = frame.by_group["F"].metrics
    assert found["mae"].interval == pytest.approx(alone.mae.interval, rel=1e-9)
    assert found["within_3"] == alone.within["3"]
    assert (found["median_ae"].method, found["pearson"].method) == ("BCa bootstrap", "jackknife on the z scale, t")
    assert frame.difference("mae").estimate.method == "jackknife, t"
    assert frame.ratio("mae").estimate.method == "jackknife on the log scale, t"
    own = SubgroupFrame(**kind, metrics={"largest": worst}, interval="jackknife")
    assert own.by_group["M"].metrics["largest"].method == "BCa bootstrap"
    assert own.difference("largest").estimate.method == "BCa bootstrap"
