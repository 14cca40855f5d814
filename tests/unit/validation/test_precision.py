"""Precision from replicates and intraclass correlations."""

import math

import numpy as np
import pytest
from scipy import stats

from validation import (
    ccc,
    ccc_parts,
    corrected_sd,
    icc,
    kendall,
    measurement_error,
    pearson,
    repeatability,
    spearman,
)
from validation.errors import Degenerate, NotEnoughData, NotFinite, ShapeMismatch

# Six subjects rated by four judges. Shrout PE, Fleiss JL. Psychol Bull 1979;86:420-428, table 2.
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_the_published_intraclass_correlations():
    found = icc(JUDGES)
    rounded = {name: round(item.estimate, 2) for name, item in found.forms.items()}
    assert rounded == {
        "ICC(1,1)": 0.17,
        "ICC(A,1)": 0.29,
        "ICC(C,1)": 0.71,
        "ICC(1,k)": 0.44,
        "ICC(A,k)": 0.62,
        "ICC(C,k)": 0.91,
    }
    assert found["ICC(A,1)"].interval == pytest.approx((0.018786513374712, 0.761084369648953), rel=1e-9)
    assert found["ICC(C,1)"].interval == pytest.approx((0.342464765033925, 0.94585825995536), rel=1e-9)
    assert "ICC(1,k)" in str(found)


def test_icc_at_the_edges():
    perfect = icc([[1, 1], [2, 2], [5, 5]])
    assert all(item.estimate == 1 for item in perfect.forms.values())
    assert all("zero" in item.reason for item in perfect.forms.values())
    shifted = icc([[1, 2], [2, 3], [5, 6]])
    assert shifted["ICC(C,1)"].estimate == 1
    assert shifted["ICC(A,1)"].estimate < 1
    flat = icc([[1, 2], [2, 1], [1, 2], [2, 1]])
    assert flat["ICC(1,1)"].estimate == -1
    assert flat["ICC(1,1)"].reason == "the subjects do not differ"
    assert flat["ICC(1,k)"].estimate is None
    with pytest.raises(Degenerate):
        icc([[1, 1], [1, 1]])
    with pytest.raises(NotEnoughData):
        icc([[1, 2]])
    with pytest.raises(NotFinite):
        icc([[1, 2], [3, math.nan]])
    with pytest.raises(ShapeMismatch):
        icc([1, 2, 3])


def test_precision_of_duplicates():
    first = np.array([20.1, 30.4, 25.2, 33.3, 28.0])
    second = np.array([20.5, 30.0, 25.9, 33.1, 28.0])
    found = repeatability(np.r_[first, second], np.tile(np.arange(5), 2))
    d = first - second
    assert (found.n, found.subjects, found.df, found.enough) == (10, 5, 5, False)
    assert found.tem.estimate == pytest.approx(math.sqrt((d**2).sum() / 10))
    assert found.rms_sd.estimate == pytest.approx(found.tem.estimate)
    assert found.lsc.estimate == pytest.approx(stats.norm.ppf(0.975) * math.sqrt(2) * found.tem.estimate)
    cv = 100 * math.sqrt(((d**2 / 2) / ((first + second) / 2) ** 2).mean())
    assert found.rms_cv.estimate == pytest.approx(cv)
    assert found.within_sd.low == pytest.approx(found.tem.estimate * math.sqrt(5 / stats.chi2.ppf(0.975, 5)))


def test_pooled_and_rms_sd_differ_when_subjects_have_unequal_numbers():
    found = repeatability([1.0, 3.0, 5.0, 5.0, 5.0, 5.0, 9.0], ["a", "a", "b", "b", "b", "b", "c"])
    assert found.df == 4
    assert found.within_sd.estimate == pytest.approx(math.sqrt(2 / 4))
    assert found.rms_sd.estimate == pytest.approx(math.sqrt((2 + 0) / 2))


def test_precision_at_the_edges():
    with pytest.raises(NotEnoughData, match="two values"):
        repeatability([1, 2, 3], [1, 2, 3])
    same = repeatability([2, 2, 3, 3], [1, 1, 2, 2])
    assert same.within_sd.estimate == 0
    assert "never differ" in same.within_sd.reason
    negative = repeatability([-2, -1, 3, 2], [1, 1, 2, 2])
    assert "positive" in negative.rms_cv.reason


def test_corrected_sd_takes_out_the_references_error():
    found = corrected_sd(2.60, 134, 0.55, 60)
    assert found.estimate == pytest.approx(math.sqrt(2.60**2 - 0.55**2))
    assert found.low < found.estimate < found.high < 3.1
    # Without reference error it is the interval of the SD itself.
    none = corrected_sd(2.60, 134, 0.0, 60)
    assert none.low == pytest.approx(2.6 * math.sqrt(133 / stats.chi2.ppf(0.975, 133)))
    with pytest.raises(Degenerate):
        corrected_sd(1.0, 20, 1.0, 20)


def test_correlations():
    rng = np.random.default_rng(2)
    x = rng.normal(size=30)
    y = (x + rng.normal(size=30)).round(1)
    theirs = stats.pearsonr(x, y)
    assert pearson(x, y).estimate == pytest.approx(theirs.statistic)
    assert pearson(x, y).interval == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=1e-9)
    assert spearman(x, y).estimate == pytest.approx(stats.spearmanr(x, y).statistic)
    assert kendall(x, y).estimate == pytest.approx(stats.kendalltau(x, y).statistic)
    assert kendall(x, y).low < kendall(x, y).estimate < kendall(x, y).high
    assert "at least 5" in kendall([1, 2, 3], [1, 3, 2]).reason
    assert "at least 4" in spearman([1, 2, 3], [1, 3, 2]).reason
    assert "perfect" in spearman([1, 2, 3, 4], [2, 4, 6, 9]).reason
    with pytest.raises(Degenerate, match="the test is constant"):
        spearman([1, 1, 1], [1, 2, 3])


def test_errors_of_measurement_of_the_judges():
    """Residual mean square 1.019 of Shrout and Fleiss' table 3; SEE and SEP by their definition from ICC(C,1)."""
    found = measurement_error(JUDGES)
    assert found.sem.estimate**2 == pytest.approx(1.019, abs=5e-4)
    table = np.array(JUDGES, dtype=float)
    assert found.cv.estimate == pytest.approx(100 * found.sem.estimate / table.mean())
    assert (found.n, found.k, found.df) == (6, 4, 15)
    r, sd = icc(JUDGES)["ICC(C,1)"].estimate, table.std(ddof=1)
    assert found.see.estimate == pytest.approx(sd * math.sqrt(r * (1 - r)))
    assert found.sep.estimate == pytest.approx(sd * math.sqrt(1 - r * r))
    low, high = (math.sqrt(15 / stats.chi2.ppf(p, 15)) for p in (0.975, 0.025))
    assert found.sem.interval == pytest.approx((found.sem.estimate * low, found.sem.estimate * high))
    assert "closed form" in found.see.reason
    opposed = measurement_error([[1.0, 9.0], [9.0, 1.0], [2.0, 8.0]])
    assert "negative" in opposed.sep.reason
    assert "positive mean" in measurement_error([[-1.0, -2.0], [-4.0, -3.0], [-9.0, -8.0]]).cv.reason


def test_the_parts_of_lins_coefficient():
    rng = np.random.default_rng(5)
    y = rng.normal(30, 8, 80)
    x = 3 + 1.2 * y + rng.normal(0, 2, 80)
    found = ccc_parts(x, y)
    assert found.ccc == ccc(x, y)
    assert found.precision == pearson(x, y)
    assert found.ccc.estimate == pytest.approx(found.precision.estimate * found.accuracy.estimate)
    assert found.scale_shift == pytest.approx(x.std() / y.std())
    assert found.location_shift == pytest.approx((x.mean() - y.mean()) / math.sqrt(x.std() * y.std()))
    assert found.accuracy.low < found.accuracy.estimate < found.accuracy.high
    noise = rng.normal(0, 2, (400, 80))
    covered = 0
    truth = 2 / (1.2**2 * 64 + 4 + 64 + (3 + 0.2 * 30) ** 2) * math.sqrt((1.2**2 * 64 + 4) * 64)
    for row in noise:
        y = rng.normal(30, 8, 80)
        part = ccc_parts(3 + 1.2 * y + row, y).accuracy
        covered += part.low <= truth <= part.high
    assert 0.91 < covered / 400 < 0.985
