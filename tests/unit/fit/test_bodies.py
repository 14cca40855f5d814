"""Bodies have what was asked of them, vary where nothing was asked, and say so where there is none."""

from __future__ import annotations

import dataclasses
import gc
import inspect
import weakref

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.body.data import BodyData
from models.body.files import open_body
from models.errors import BodyRequestError, ModelFileError
from models.fit import ASKABLE, FittedBodies, bodies, body_density, fit_bodies
from models.fit.prior import load_prior
from models.measure import MEASUREMENTS, ShapeGauge, measure

MAN = {"sex": "M", "age": 35.0, "stature_cm": 178.0, "weight_kg": 80.0}
WOMAN = {"sex": "F", "age": 35.0, "stature_cm": 165.0, "weight_kg": 65.0}


def table(*people: dict) -> pd.DataFrame:
    return pd.DataFrame(list(people))


@pytest.fixture(scope="module")
def fitted(people: pd.DataFrame, body: BodyData) -> FittedBodies:
    return fit_bodies(people, body, seed=3)


def test_bodies_have_the_stature_girths_and_volume_asked_for(
    people: pd.DataFrame, body: BodyData, fitted: FittedBodies
) -> None:
    """The tolerances are stated here again, and everything is measured on the vertices themselves."""
    assert not fitted.refused.any()
    assert fitted.within_tolerance.all()
    measured = measure(body.shaped(fitted.betas.astype(float)), body)
    assert np.abs(measured["stature_cm"] - people.stature_cm).max() <= 0.2
    for girth in ("waist_cm", "arm_cm", "thigh_cm"):
        assert np.abs(measured[girth] - people[girth]).max() <= 0.5
    bmi = people.weight_kg / (people.stature_cm / 100) ** 2
    volume = people.weight_kg / body_density(people.sex, people.age, bmi)
    assert np.abs(measured["volume_l"] / volume - 1).max() <= 0.01


def test_the_results_agree_with_each_other(people: pd.DataFrame, body: BodyData, fitted: FittedBodies) -> None:
    assert fitted.betas.dtype == np.float32
    assert fitted.betas.shape == (len(people), body.n_betas) == (len(fitted), body.n_betas)
    assert set(fitted.measured) == set(MEASUREMENTS)
    assert fitted.residuals["waist_cm"] == pytest.approx(fitted.measured["waist_cm"] - people.waist_cm, abs=1e-9)
    assert np.isnan(fitted.residuals["hip_cm"]).all()
    assert ((fitted.betas >= body.span[0]) & (fitted.betas <= body.span[1])).all()
    assert np.corrcoef(fitted.fatness, np.log(people.subscapular_skinfold_mm))[0, 1] > 0.4


def test_what_is_not_given_is_as_in_people(people: pd.DataFrame, fitted: FittedBodies) -> None:
    """Ratios of what was not given lie within the extremes of 6,068 people of ANSUR II, with a margin of a fiftieth."""
    measured = fitted.measured
    for name, over, low, high in (
        ("hip_cm", "stature_cm", 0.46, 0.80),
        ("calf_cm", "thigh_cm", 0.48, 0.92),
        ("neck_cm", "stature_cm", 0.155, 0.30),
        ("leg_length_cm", "stature_cm", 0.42, 0.55),
        ("shoulder_breadth_cm", "stature_cm", 0.185, 0.28),
    ):
        ratio = measured[name] / measured[over]
        assert ratio.min() > low * 0.98, name
        assert ratio.max() < high * 1.02, name


def test_fitting_returns_what_was_measured_on_bodies_of_the_model(body: BodyData) -> None:
    """Bodies of the prior are measured; bodies fitted to all of their measurements have them again."""
    rng = np.random.default_rng(5)
    prior = load_prior(body)
    gauge = ShapeGauge(body)
    rows = []
    for i in range(12):
        sex = "FM"[i % 2]
        age = float(rng.integers(25, 80))
        middle = {"gender": 0.05 if sex == "M" else 0.95, "age": (age - 25) / 65, "muscle": 0.42}
        mean, root = prior.shape[sex].given(middle)
        values = gauge.values(mean + 0.7 * root @ rng.standard_normal(body.n_betas))
        mass = values["volume_l"]
        for _ in range(20):
            mass = values["volume_l"] * float(body_density(sex, age, mass / (values["stature_cm"] / 100) ** 2))
        rows.append({"sex": sex, "age": age, "weight_kg": mass, "stature_cm": values["stature_cm"]})
        rows[-1] |= {name: values[name] for name in ASKABLE}
    asked = table(*rows)
    again = fit_bodies(asked, body, seed=0)
    assert not again.refused.any()
    for name in (*ASKABLE, "stature_cm"):
        assert again.measured[name] == pytest.approx(asked[name].to_numpy(), abs=0.2 if name == "stature_cm" else 0.5)


def test_a_person_has_the_same_body_in_every_table(people: pd.DataFrame, body: BodyData, fitted: FittedBodies) -> None:
    few = people.iloc[[7, 2, 30]]
    again = fit_bodies(few, body, seed=3)
    assert np.array_equal(again.betas, fitted.betas[[7, 2, 30]])
    assert np.array_equal(again.measured["hip_cm"], fitted.measured["hip_cm"][[7, 2, 30]])
    columns = {name: few[name].tolist() for name in few.columns}  # a mapping instead of a DataFrame
    assert np.array_equal(fit_bodies(columns, body, seed=3).betas, again.betas)


def test_the_seed_and_the_name_change_what_is_not_given(body: BodyData) -> None:
    asked = {**WOMAN, "waist_cm": 80.0}
    two = fit_bodies(table({**asked, "subject": "A"}, {**asked, "subject": "B"}), body, seed=1)
    other = fit_bodies(table({**asked, "subject": "A"}), body, seed=2)
    for first, second in ((0, 1), (0, None)):
        one = two.betas[first]
        another = two.betas[second] if second is not None else other.betas[0]
        moved = np.linalg.norm(body.shaped(one[None]) - body.shaped(another[None]), axis=2)
        assert 0.002 < moved.mean() < 0.08
    assert two.measured["waist_cm"] == pytest.approx([80, 80], abs=0.5)
    assert abs(two.measured["hip_cm"][0] - two.measured["hip_cm"][1]) > 0.1


def test_without_subjects_the_index_of_the_table_names_people(body: BodyData) -> None:
    asked = table({**MAN}, {**MAN})
    both = fit_bodies(asked, body, seed=1)
    assert np.array_equal(fit_bodies(asked.iloc[[1]], body, seed=1).betas[0], both.betas[1])
    assert not np.array_equal(both.betas[0], both.betas[1])


def test_people_vary_as_widely_as_people_do(body: BodyData) -> None:
    """Hips of women with the same stature, mass and waist: the scatter of ANSUR II's women about their regression."""
    asked = table(*({**WOMAN, "waist_cm": 80.0, "subject": str(i)} for i in range(60)))
    spread = fit_bodies(asked, body, seed=4).measured["hip_cm"].std(ddof=1)
    assert 1.2 < spread < 5.0


def test_the_reference_is_not_an_input(people: pd.DataFrame, body: BodyData, fitted: FittedBodies) -> None:
    assert list(inspect.signature(fit_bodies).parameters) == ["people", "body", "seed"]
    rng = np.random.default_rng(0)
    columns = ("body_fat_percent", "DXDTOPF", "fat_mass_kg", "lean_mass_kg", "DXDTOFAT", "resistance_50khz_ohm")
    known = people.assign(**{name: rng.uniform(5, 60, len(people)) for name in columns})
    assert np.array_equal(fit_bodies(known.iloc[:8], body, seed=3).betas, fitted.betas[:8])


@pytest.mark.parametrize(("person", "thin", "thick"), [(MAN, (6, 8), (24, 30)), (WOMAN, (10, 8), (35, 32))])
def test_thin_skinfolds_make_a_muscular_body_of_the_same_size(
    person: dict, thin: tuple[float, float], thick: tuple[float, float], body: BodyData
) -> None:
    girths = {"waist_cm": 85.0 if person is MAN else 78.0, "arm_cm": 33.0 if person is MAN else 28.5, "thigh_cm": 54.0}
    rows = [
        {**person, **girths, "triceps_skinfold_mm": triceps, "subscapular_skinfold_mm": subscapular, "subject": "same"}
        for triceps, subscapular in (thin, thick)
    ]
    both = fit_bodies(table(*rows), body, seed=6)
    assert both.within_tolerance.all()
    assert both.muscularity[0] > 1 > -1 > both.muscularity[1]
    assert both.fatness[0] < -1 < 1 < both.fatness[1]
    muscle = load_prior(body).shape[person["sex"]].muscle(both.betas.astype(float))
    assert muscle[0] > muscle[1] + 0.3
    # Visible: chest and shoulders differ, although stature, volume, waist, arm and thigh are the same.
    assert both.measured["chest_cm"][0] > both.measured["chest_cm"][1] + 1.5
    moved = np.linalg.norm(np.diff(body.shaped(both.betas), axis=0)[0], axis=1)
    assert moved.mean() > 0.004


def test_heavier_people_have_wider_bodies(body: BodyData) -> None:
    masses = np.arange(55, 126, 10.0)
    for person in (MAN, WOMAN):
        asked = table(*({**person, "weight_kg": mass, "subject": "same"} for mass in masses))
        got = fit_bodies(asked, body, seed=2).measured
        for name in ("volume_l", "waist_cm", "hip_cm", "chest_cm", "thigh_cm", "arm_cm", "surface_area_m2"):
            assert (np.diff(got[name]) > 0).all(), name


REFUSED = [
    ({"waist_cm": 180.0}, "waist girth of 180 cm is impossible at a stature of 178 cm"),
    ({"weight_kg": 5.0}, "mass is 5 kg, outside 20 to 400 kg"),
    ({"weight_kg": 200.0, "stature_cm": 110.0}, "BMI of 165.3"),
    ({"sex": np.nan}, "sex is 'not given'"),
    ({"sex": "male"}, "sex is 'male'; give F or M"),
    ({"age": np.nan}, "age is not given"),
    ({"age": 9.0}, "age is 9 years, outside 18 to 110 years"),
    ({"stature_cm": np.nan}, "stature is not given"),
    ({"stature_cm": 1.78}, "stature is 1.78 cm"),
    ({"stature_cm": np.inf}, "stature is inf cm"),
    ({"arm_cm": 0.0}, "upper-arm girth of 0 cm is impossible"),
    ({"hip_cm": -90.0}, "hip girth of -90 cm is impossible"),
    ({"triceps_skinfold_mm": 200.0}, "triceps skinfold is 200 mm"),
    ({"waist_cm": 8.4}, "waist girth of 8.4 cm is impossible"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED)
def test_impossible_people_are_refused_one_by_one(change: dict, reason: str, body: BodyData) -> None:
    got = fit_bodies(table(MAN, {**MAN, **change}), body, seed=0)
    assert got.problems[0] is None
    assert got.problems[1].startswith("refused: ")
    assert reason in got.problems[1]
    assert list(got.refused) == [False, True]
    assert np.isnan(got.betas[1]).all()
    assert np.isnan(got.measured["waist_cm"][1])
    assert np.isnan(got.residuals["stature_cm"][1])
    assert np.isfinite(got.betas[0]).all()


def test_measurements_that_contradict_each_other_are_flagged_or_refused(body: BodyData) -> None:
    odd = [
        {**MAN, "waist_cm": 130.0},
        {**MAN, "waist_cm": 55.0},
        {**WOMAN, "weight_kg": 45.0, "waist_cm": 115.0},
        {**WOMAN, "thigh_cm": 25.0},
    ]
    got = fit_bodies(table(*odd), body, seed=0)
    for i, problem in enumerate(got.problems):
        assert problem is not None, i
        assert got.refused[i] or got.flagged[i]


def test_people_outside_the_span_are_never_given_another_body_in_silence(body: BodyData) -> None:
    """BMI from 12 to 75, statures from 1.25 to 2.25 m: a body is right, or the row says what is wrong."""
    rows = [
        {**person, "stature_cm": stature, "weight_kg": bmi * (stature / 100) ** 2, "subject": f"{stature}/{bmi}"}
        for person in (MAN, WOMAN)
        for stature, bmi in ((125, 25), (140, 18), (165, 12), (165, 45), (170, 55), (170, 75), (205, 22), (225, 25))
    ]
    got = fit_bodies(table(*rows), body, seed=0)
    for i, problem in enumerate(got.problems):
        assert problem is not None or got.within_tolerance[i], rows[i]
        assert np.isnan(got.betas[i]).all() == got.refused[i]
    assert got.problems[5] is not None
    assert "instead of" in got.problems[5] or "span" in got.problems[5] or "SD away" in got.problems[5]


@settings(max_examples=25, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "sex": st.sampled_from(["F", "M", "x", None]),
            "age": st.floats(10, 120) | st.just(np.nan),
            "stature_cm": st.floats(90, 260),
            "weight_kg": st.floats(1, 450),
            "waist_cm": st.floats(20, 260) | st.just(np.nan),
            "arm_cm": st.floats(5, 90) | st.just(np.nan),
            "triceps_skinfold_mm": st.floats(0, 100) | st.just(np.nan),
            "ethnicity": st.none() | st.text(max_size=20),
        }
    )
)
def test_any_row_gets_a_body_or_a_reason(person: dict) -> None:
    body = open_body()
    got = fit_bodies({name: [value] for name, value in person.items()}, body, seed=0)
    problem = got.problems[0]
    if problem is None:
        assert got.within_tolerance[0]
        assert np.isfinite(got.betas).all()
    else:
        assert problem.startswith(("refused: ", "flagged: "))
        assert problem.endswith(".")
    if not got.refused[0]:
        assert all(np.isfinite(values[0]) for values in got.measured.values())


def test_tables_that_cannot_be_read_are_refused(body: BodyData) -> None:
    with pytest.raises(BodyRequestError, match="lacks the columns sex, weight_kg"):
        fit_bodies({"age": [30], "stature_cm": [170]}, body, seed=0)
    with pytest.raises(BodyRequestError, match=r"column waist_cm .* not a number"):
        fit_bodies(table({**MAN, "waist_cm": "wide"}), body, seed=0)
    with pytest.raises(BodyRequestError, match="differ in length"):
        fit_bodies({**{k: [v] for k, v in MAN.items()}, "hip_cm": [90, 91]}, body, seed=0)
    for seed in (-1, 1.5, True, None):
        with pytest.raises(BodyRequestError, match="seed"):
            fit_bodies(table(MAN), body, seed=seed)


def test_an_empty_table_gives_no_bodies(body: BodyData) -> None:
    got = fit_bodies({name: [] for name in MAN}, body, seed=0)
    assert len(got) == 0
    assert got.betas.shape == (0, body.n_betas)


def test_ethnicity_is_free_and_changes_the_body_only_where_it_is_understood(body: BodyData) -> None:
    words = [None, "not told", "Mexican American", "non-Hispanic Black", "Asian", "White"]
    rows = [{**MAN, "subject": "same"} | ({"ethnicity": word} if word else {}) for word in words]
    betas = fit_bodies(table(*rows), body, seed=0).betas
    assert np.array_equal(betas[0], betas[1])
    assert np.array_equal(betas[0], betas[2])
    for i in (3, 4, 5):
        assert not np.array_equal(betas[0], betas[i])


def test_a_model_of_another_kind_is_fitted_with_a_plain_prior(body: BodyData) -> None:
    """As SMPL files are: nothing is known of their betas but that they are standard normal."""
    other = dataclasses.replace(body, name="another", kind="smpl")
    got = fit_bodies(table({**MAN, "waist_cm": 88.0}, {**WOMAN, "hip_cm": 100.0}), other, seed=0)
    assert got.within_tolerance.all()
    assert not got.refused.any()


def test_another_version_of_the_body_is_refused(body: BodyData) -> None:
    other = dataclasses.replace(body, v_template=body.v_template * 1.01)
    with pytest.raises(ModelFileError, match="another version of the open body"):
        fit_bodies(table(MAN), other, seed=0)


def test_a_body_may_go_when_the_modules_are_torn_down(body: BodyData, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the interpreter ends: the module's names are gone by then, and its dictionary is emptied."""
    mine = dataclasses.replace(body)
    gone = weakref.ref(mine)
    bodies._fitter(mine)
    known = bodies._KNOWN
    monkeypatch.setattr(bodies, "_KNOWN", None)
    weak, fitter = known.pop(id(mine))
    del mine, fitter
    gc.collect()  # what is raised here would be a warning, and so an error
    assert gone() is weak() is None
