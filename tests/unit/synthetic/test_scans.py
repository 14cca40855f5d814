"""The scans of a synthetic cohort: how many, on which phones, what is missing and what went wrong."""

import numpy as np
import pandas as pd
import pytest

from studies.errors import UsageError
from studies.synthetic import synthesize
from studies.synthetic.cohort import SCAN_COLUMNS
from studies.synthetic.scans import FAULTS, FAULTY, NO_SCAN, REPLICATES, VIEW_MISSING, VIEWS, draw_scans, without
from studies.synthetic.skin_tone import draw_skin_tones


@pytest.fixture(scope="module")
def cohort():
    return synthesize(3_000, 5)


@pytest.fixture(scope="module")
def scans(cohort):
    return draw_scans(cohort, 5)


def test_same_seed_same_scans_and_another_seed_others(cohort, scans):
    again, other = draw_scans(cohort, 5), draw_scans(cohort, 6)
    pd.testing.assert_frame_equal(scans.table, again.table)
    pd.testing.assert_frame_equal(scans.truth, again.truth)
    assert not scans.table.equals(other.table)


def test_every_scan_is_of_a_visit_and_says_that_it_is_rendered(cohort, scans):
    assert list(scans.table) == SCAN_COLUMNS
    assert (scans.table["rendered"] == "yes").all()
    visits = set(zip(cohort.bodies["subject_id"], cohort.bodies["visit"], strict=True))
    assert set(zip(scans.table["subject_id"], scans.table["visit"], strict=True)) <= visits
    assert not scans.table.duplicated(["subject_id", "visit", "scan_id"]).any()


def test_shares_are_those_that_are_documented(cohort, scans):
    first, second = ((scans.table["scan_id"] == f"scan-{i}").sum() for i in (1, 2))
    assert first / len(cohort.bodies) == pytest.approx(1 - NO_SCAN, abs=0.01)
    assert second / first == pytest.approx(REPLICATES, abs=0.03)
    missing = scans.table[list(VIEWS)].isna().sum(axis=1)
    assert set(missing) == {0, 1}
    assert (missing == 1).mean() == pytest.approx(VIEW_MISSING, abs=0.015)
    assert scans.truth["fault"].notna().sum() / len(scans.table) == pytest.approx(FAULTY, abs=0.015)
    assert set(scans.truth["fault"].dropna()) == set(FAULTS)


def test_the_truth_has_a_row_a_photo_and_each_photo_a_name_of_its_own(scans):
    named = scans.table[list(VIEWS)].melt()["value"].dropna()
    assert sorted(named) == sorted(scans.truth["photo"])
    assert scans.truth["photo"].is_unique
    faults = scans.truth.groupby(["subject_id", "visit", "scan_id"])["fault"].count()
    assert faults.max() == 1


def test_a_repeat_is_minutes_later_on_the_same_phone(scans):
    wide = scans.table.pivot(
        index=["subject_id", "visit"], columns="scan_id", values=["captured_at", "device"]
    ).dropna()
    apart = pd.to_datetime(wide["captured_at"]["scan-2"]) - pd.to_datetime(wide["captured_at"]["scan-1"])
    assert set(apart.dt.total_seconds()) == {300.0}
    assert (wide["device"]["scan-1"] == wide["device"]["scan-2"]).all()


def test_scans_are_taken_on_the_day_of_the_visit_after_the_readings(cohort, scans):
    last = pd.to_datetime(cohort.readings.groupby(["subject_id", "visit"])["measured_at"].max())
    last = last.reindex(pd.MultiIndex.from_frame(scans.table[["subject_id", "visit"]])).reset_index(drop=True)
    after = pd.to_datetime(scans.table["captured_at"]) - last
    assert (after.dt.total_seconds() > 0).all()
    assert (after.dt.total_seconds() < 3 * 3600).all()


def test_sites_have_phones_of_their_own_and_one_in_common(cohort, scans):
    site = scans.table["subject_id"].map(cohort.subjects.set_index("subject_id")["site"])
    assert {place: set(group) for place, group in scans.table["device"].groupby(site)} == {
        "site-1": {"phone-a", "phone-b"}, "site-2": {"phone-b", "phone-c"},
    }  # fmt: skip


def test_scans_of_visits_without_a_body_are_left_out(cohort, scans):
    gone = {("SYN-000001", "baseline"), ("SYN-000003", "baseline")}
    kept = without(cohort, scans, gone).scans
    assert len(kept) < len(scans.table)
    assert not gone & set(zip(kept["subject_id"], kept["visit"], strict=True))


@pytest.mark.parametrize("shares", [{"replicates": 1.2}, {"faulty": -0.1}])
def test_shares_out_of_range_are_refused(cohort, shares):
    with pytest.raises(UsageError, match="share between 0 and 1"):
        draw_scans(cohort, 1, **shares)


def test_skin_tones_follow_the_ethnicity_and_stay_on_the_scale():
    deviates = np.random.default_rng(1).standard_normal(4_000)
    middle = {}
    for name in ("non_hispanic_white", "mexican_american", "non_hispanic_black", "Black", None, float("nan")):
        tones = draw_skin_tones([name] * len(deviates), deviates)
        assert tones.min() >= 1
        assert tones.max() <= 10
        middle[name] = tones.mean()
    assert middle["non_hispanic_white"] < middle["mexican_american"] < middle["non_hispanic_black"]
    assert middle["Black"] == middle["non_hispanic_black"]  # and not taken for hispanic


def test_skin_tones_change_nothing_else_of_a_cohort(cohort):
    tones = cohort.subjects["monk_skin_tone"]
    assert tones.between(1, 10).all()
    by_group = tones.groupby(cohort.subjects["ethnicity"]).mean()
    assert by_group["non_hispanic_black"] - by_group["non_hispanic_white"] > 3
