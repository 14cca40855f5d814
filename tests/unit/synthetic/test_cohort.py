"""The synthetic cohort: its form, its determinism, and what repeats and changes in it."""

import numpy as np
import pandas as pd
import pytest

from studies.errors import UsageError
from studies.measurands import MEASURANDS
from studies.synthetic import synthesize
from studies.synthetic.cohort import READING_COLUMNS, SCAN_COLUMNS, SUBJECT_COLUMNS
from studies.synthetic.population import DXA_REPEAT_SD, SCALE_REPEAT_SD


@pytest.fixture(scope="module")
def cohort():
    return synthesize(4_000, 11)


def test_tables_have_the_canonical_columns(cohort):
    assert list(cohort.subjects) == SUBJECT_COLUMNS
    assert list(cohort.scans) == SCAN_COLUMNS
    assert cohort.scans.empty
    assert list(cohort.readings) == READING_COLUMNS


def test_every_subject_says_that_it_is_synthetic(cohort):
    assert cohort.subjects["subject_id"].is_unique
    assert cohort.subjects["subject_id"].str.startswith("SYN-").all()
    assert (cohort.subjects["synthetic"] == "yes").all()


def test_same_seed_same_tables_and_another_seed_others():
    first, again, other = synthesize(50, 3), synthesize(50, 3), synthesize(50, 4)
    for name in ("subjects", "readings", "bodies"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name))
    assert not first.readings.equals(other.readings)


def test_readings_are_in_their_units_and_plausible(cohort):
    for measurand, group in cohort.readings.groupby("measurand"):
        low, high = MEASURANDS[measurand].plausible
        assert set(group["unit"]) == {MEASURANDS[measurand].unit}
        assert group["value"].between(low, high).all()


def test_no_reading_is_there_twice(cohort):
    key = ["subject_id", "visit", "measurand", "method", "replicate"]
    assert not cohort.readings.duplicated(key).any()
    assert cohort.readings["subject_id"].isin(cohort.subjects["subject_id"]).all()


def test_a_second_reading_has_a_first(cohort):
    key = ["subject_id", "visit", "measurand", "method"]
    replicates = cohort.readings.groupby(key)["replicate"].agg(["min", "max", "size"])
    assert (replicates["min"] == 1).all()
    assert (replicates["max"] == replicates["size"]).all()


def test_dates_follow_each_other(cohort):
    at = pd.to_datetime(cohort.readings["measured_at"])
    by_visit = at.dt.normalize().groupby([cohort.readings["subject_id"], cohort.readings["visit"]]).agg(["min", "max"])
    assert (by_visit["min"] == by_visit["max"]).all(), "a visit is one day"
    days = by_visit["min"].unstack()
    enrolled = pd.to_datetime(cohort.subjects.set_index("subject_id")["enrolled_on"])
    assert (days["baseline"] - enrolled).dt.days.between(0, 14).all()
    assert (days["week-12"] - days["baseline"]).dropna().dt.days.between(77, 91).all()
    assert enrolled.min() >= pd.Timestamp("2024-01-01")
    assert days.max().max() < pd.Timestamp("2026-01-01")


def test_shares_of_visits_and_replicates_are_those_asked_for():
    cohort = synthesize(3_000, 1, follow_up=0.5, duplicates=0.4, sites=3)
    visits = cohort.bodies.groupby("visit").size()
    assert visits["week-12"] / visits["baseline"] == pytest.approx(0.5, abs=0.04)
    dxa = cohort.readings[(cohort.readings["method"] == "dxa") & (cohort.readings["visit"] == "baseline")]
    assert (dxa["replicate"] == 2).sum() / 3_000 == pytest.approx(0.4 * 0.98**2, abs=0.04)
    assert sorted(cohort.subjects["site"].unique()) == ["site-1", "site-2", "site-3"]


def test_no_follow_up_and_no_duplicates_when_none_are_asked_for():
    cohort = synthesize(200, 1, follow_up=0.0, duplicates=0.0, sites=1)
    assert set(cohort.readings["visit"]) == {"baseline"}
    assert set(cohort.readings["replicate"]) == {1}


def test_instruments_belong_to_the_site(cohort):
    site = cohort.readings["subject_id"].map(cohort.subjects.set_index("subject_id")["site"])
    dxa = cohort.readings["method"] == "dxa"
    assert (cohort.readings["device"][dxa] == "dxa-" + site[dxa].str.removeprefix("site-")).all()
    scale = cohort.readings["method"] == "scale"
    assert set(cohort.readings["device"][scale]) == {"scale-a", "scale-b"}


@pytest.mark.parametrize(("method", "sd"), [("dxa", DXA_REPEAT_SD), ("scale", SCALE_REPEAT_SD)])
def test_duplicates_have_the_within_subject_sd(cohort, method, sd):
    readings = cohort.readings[(cohort.readings["method"] == method) & (cohort.readings["visit"] == "baseline")]
    wide = readings.pivot(index="subject_id", columns="replicate", values="value").dropna()
    within = np.sqrt(((wide[1] - wide[2]) ** 2).mean() / 2)
    assert len(wide) > 500
    assert within == pytest.approx(sd, rel=0.1)


def test_bodies_are_what_is_read_without_error(cohort):
    dxa = cohort.readings[(cohort.readings["method"] == "dxa") & (cohort.readings["replicate"] == 1)]
    both = dxa.merge(cohort.bodies, on=["subject_id", "visit"])
    difference = both["value"] - both["body_fat_percent"]
    assert len(both) == len(dxa)
    assert difference.mean() == pytest.approx(0, abs=0.03)
    assert difference.std() == pytest.approx(DXA_REPEAT_SD, rel=0.06)


def test_change_between_visits_is_modest_and_mostly_fat(cohort):
    bodies = cohort.bodies.set_index(["subject_id", "visit"]).unstack()
    bodies = bodies[bodies["weight_kg"]["week-12"].notna()]
    mass = bodies["weight_kg"]["week-12"] - bodies["weight_kg"]["baseline"]
    fat = bodies["weight_kg"] * bodies["body_fat_percent"] / 100
    change = fat["week-12"] - fat["baseline"]
    assert (mass / bodies["weight_kg"]["baseline"]).mean() == pytest.approx(-0.01, abs=0.005)
    assert np.polyfit(mass, change, 1)[0] == pytest.approx(0.75, abs=0.05)
    assert (bodies["stature_cm"]["week-12"] == bodies["stature_cm"]["baseline"]).all()


def test_the_error_of_the_scale_stays_with_the_person(cohort):
    first = cohort.readings[cohort.readings["replicate"] == 1]
    fat = first[first["measurand"] == "body_fat_percent"]
    wide = fat.pivot(index=["subject_id", "visit"], columns="method", values="value").dropna()
    error = (wide["scale"] - wide["dxa"]).unstack().dropna()
    assert error["baseline"].corr(error["week-12"]) > 0.9


def test_some_things_are_missing_but_not_much(cohort):
    assert 0 < cohort.subjects["ethnicity"].isna().mean() < 0.03
    assert cohort.subjects.drop(columns="ethnicity").notna().all(axis=None)
    assert cohort.readings.notna().all(axis=None)
    present = (
        cohort.readings[cohort.readings["visit"] == "baseline"].groupby("measurand")["subject_id"].nunique() / 4_000
    )
    assert present["waist_cm"] == pytest.approx(0.98, abs=0.01)
    assert present["subscapular_skinfold_mm"] < present["triceps_skinfold_mm"] < 0.96


def test_nobody_of_a_large_cohort_is_beyond_the_plausible():
    bodies = synthesize(50_000, 2, follow_up=0.1).bodies
    for column in ("stature_cm", "weight_kg", "waist_cm", "arm_cm", "thigh_cm", "body_fat_percent"):
        low, high = MEASURANDS[column].plausible
        assert bodies[column].between(low, high).all(), column
    assert set(bodies["age"]) == set(range(18, 86))


@pytest.mark.parametrize(
    "arguments", [{"subjects": 0}, {"follow_up": 1.2}, {"duplicates": -0.1}, {"sites": 0}, {"sites": 27}]
)
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(UsageError):
        synthesize(**{"subjects": 5, "seed": 1, **arguments})
