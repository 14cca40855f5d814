"""The same person at another body fat: what stays, what grows, and that the way does not matter."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from models.avatar import Morphed, Morpher
from models.avatar.composition import density, mass_at
from models.avatar.direction import fat_direction
from models.body.data import BodyData
from models.errors import BodyRequestError
from models.fit import body_density, expected_body_fat

# As docs/avatars.md promises them, over all percentages that a person can be shown at.
STATURE_MM, JOINTS_MM, JOINTS_WITHIN_TEN_POINTS_MM = 1.0, 6.0, 2.0
TESTED = (5.0, 55.0)

SLOWLY = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
somebody = st.integers(0, 39)
share = st.floats(0.0, 1.0)


@pytest.fixture(scope="module")
def morpher_of(people, body):
    @cache
    def make(number: int) -> Morpher:
        who = people[number % len(people)]
        return Morpher(
            who.betas, body_fat_percent=who.body_fat_percent, weight_kg=who.weight_kg, sex=who.sex, body=body
        )

    return make


def percent(morpher: Morpher, share: float) -> float:
    """A percentage that can be shown, and lies within what is promised."""
    low, high = max(morpher.range[0], TESTED[0]), min(morpher.range[1], TESTED[1])
    return low + share * (high - low)


def joints(morpher: Morpher, morphed: Morphed) -> np.ndarray:
    return morpher.body.joints(morpher.body.shaped(morphed.betas[None]))[0]


def again(morpher: Morpher, morphed: Morphed, sex: str) -> Morpher:
    """A new start from where a morph has ended."""
    return Morpher(
        morphed.betas, body_fat_percent=morphed.body_fat_percent, weight_kg=morphed.weight_kg, sex=sex,
        body=morpher.body,
    )  # fmt: skip


# Mass, volume, girths ----------------------------------------------------------------------------------------------


@SLOWLY
@given(somebody, share)
def test_fat_free_mass_is_kept_and_the_volume_is_that_of_the_fat(morpher_of, number: int, share: float) -> None:
    morpher = morpher_of(number)
    there = morpher.at(percent(morpher, share))
    assert there.fat_free_mass_kg == pytest.approx(morpher.start.fat_free_mass_kg, rel=1e-12)
    added_kg, added_l = there.weight_kg - morpher.start.weight_kg, there.volume_l - morpher.start.volume_l
    assert added_l == pytest.approx(added_kg / 0.9, abs=1e-9)
    measured = morpher.measured(there.body_fat_percent)
    assert measured["volume_l"] == pytest.approx(there.volume_l, abs=1e-6 * there.volume_l)


@SLOWLY
@given(somebody, share, share)
def test_mass_volume_and_every_girth_of_the_trunk_grow_with_body_fat(morpher_of, number, first, second) -> None:
    morpher = morpher_of(number)
    low, high = sorted((percent(morpher, first), percent(morpher, second)))
    if high - low < 0.02:
        return
    thin, fat = morpher.at(low), morpher.at(high)
    assert thin.weight_kg < fat.weight_kg
    assert thin.volume_l < fat.volume_l
    before, after = morpher.measured(low), morpher.measured(high)
    for name in ("waist_cm", "chest_cm", "hip_cm", "thigh_cm", "arm_cm", "volume_l"):
        assert before[name] < after[name], name


def test_the_waist_grows_step_by_step_for_everybody(morpher_of) -> None:
    for number in range(40):
        morpher = morpher_of(number)
        low, high = morpher.range
        steps = np.linspace(max(low, TESTED[0]), min(high, TESTED[1]), 60)
        waist = [morpher.measured(step)["waist_cm"] for step in steps]
        assert (np.diff(waist) > 0).all(), number


def test_without_a_mass_the_density_is_that_of_the_body_fat(people, body) -> None:
    who = people[0]
    morpher = Morpher(who.betas, body_fat_percent=who.body_fat_percent, sex=who.sex, body=body)
    assert morpher.start.weight_kg == pytest.approx(morpher.start.volume_l * 495 / (who.body_fat_percent + 450))
    assert morpher.unexplained_l == pytest.approx(0, abs=1e-9)
    assert morpher.at(15.0).volume_l == pytest.approx(morpher.at(15.0).weight_kg / density(15.0))


@given(st.sampled_from("FM"), st.floats(18, 90), st.floats(16, 45))
def test_the_density_is_the_one_by_which_bodies_are_fitted(sex: str, age: float, bmi: float) -> None:
    assert density(float(expected_body_fat(sex, age, bmi))) == pytest.approx(float(body_density(sex, age, bmi)))


def test_mass_at_another_body_fat_by_hand() -> None:
    assert mass_at(80.0, 25.0, 20.0) == pytest.approx(60.0 / 0.8)


# What stays --------------------------------------------------------------------------------------------------------


@SLOWLY
@given(somebody, share)
def test_stature_and_skeleton_stay(morpher_of, number: int, share: float) -> None:
    morpher = morpher_of(number)
    there = morpher.at(percent(morpher, share))
    stature = morpher.measured(there.body_fat_percent)["stature_cm"]
    assert abs(stature - morpher.measured(morpher.start.body_fat_percent)["stature_cm"]) * 10 <= STATURE_MM
    moved = np.abs(pdist(joints(morpher, there)) - pdist(joints(morpher, morpher.start))).max() * 1000
    near = abs(there.body_fat_percent - morpher.start.body_fat_percent) <= 10
    assert moved <= (JOINTS_WITHIN_TEN_POINTS_MM if near else JOINTS_MM)


@SLOWLY
@given(somebody, share)
def test_no_beta_leaves_the_span(morpher_of, number: int, share: float) -> None:
    morpher = morpher_of(number)
    there = morpher.at(percent(morpher, share))
    low, high = morpher.body.span
    assert (there.betas >= low).all()
    assert (there.betas <= high).all()


# The way -----------------------------------------------------------------------------------------------------------


@SLOWLY
@given(somebody, share)
def test_back_to_the_start_is_the_start(morpher_of, people, number: int, share: float) -> None:
    morpher = morpher_of(number)
    who = people[number % len(people)]
    assert (morpher.at(who.body_fat_percent).betas == who.betas).all()
    back = again(morpher, morpher.at(percent(morpher, share)), who.sex).at(who.body_fat_percent)
    assert np.abs(back.betas - who.betas).max() <= 1e-9
    assert back.weight_kg == pytest.approx(who.weight_kg, rel=1e-12)


@SLOWLY
@given(somebody, share, share)
def test_the_way_does_not_matter(morpher_of, people, number: int, first: float, second: float) -> None:
    morpher = morpher_of(number)
    halt, end = percent(morpher, first), percent(morpher, second)
    by_halt = again(morpher, morpher.at(halt), people[number % len(people)].sex)
    assert np.abs(by_halt.at(end).betas - morpher.at(end).betas).max() <= 1e-9
    assert by_halt.range == pytest.approx(morpher.range, abs=1e-6)


def test_without_a_mass_the_way_does_not_matter_either(people, body) -> None:
    who = people[1]
    direct = Morpher(who.betas, body_fat_percent=25.0, sex=who.sex, body=body)
    halt = Morpher(direct.at(32.0).betas, body_fat_percent=32.0, sex=who.sex, body=body)
    assert np.abs(halt.at(18.0).betas - direct.at(18.0).betas).max() <= 1e-9


@SLOWLY
@given(somebody, st.floats(0.05, 0.95))
def test_a_small_step_moves_little_and_evenly(morpher_of, number: int, share: float) -> None:
    """Betas have a continuous slope: the one to the right of a percentage is the one to its left."""
    morpher = morpher_of(number)
    here, step = percent(morpher, share), 1e-3
    left, middle, right = (morpher.at(here + shift).betas for shift in (-step, 0.0, step))
    up, down = right - middle, middle - left
    assert np.abs(up - down).max() <= 1e-3 * np.abs(up).max()


@SLOWLY
@given(somebody, share)
def test_the_quick_vertices_are_those_of_the_betas(morpher_of, number: int, share: float) -> None:
    morpher = morpher_of(number)
    here = percent(morpher, share)
    slow = morpher.body.shaped(morpher.at(here).betas[None])[0]
    assert np.abs(morpher.vertices(here) - slow).max() < 1e-6


# What cannot be ----------------------------------------------------------------------------------------------------


def test_beyond_what_the_body_allows_the_range_is_told_and_holds(morpher_of) -> None:
    narrow = [morpher_of(number) for number in range(40) if morpher_of(number).range[1] < 59.9]
    assert narrow, "somebody's range must end within the body's span"
    for morpher in narrow:
        with pytest.raises(BodyRequestError, match=r"beyond what can be shown for this person\. Ask for") as caught:
            morpher.at(60.0)
        low, high = (float(word) for word in caught.value.remedy.split() if word[0].isdigit())
        morpher.body.shaped(morpher.at(low).betas[None])
        morpher.body.shaped(morpher.at(high).betas[None])


@pytest.mark.parametrize("asked", [-1.0, 0.0, 2.9, 60.1, 100.0, float("nan"), float("inf")])
def test_impossible_percentages_are_refused(morpher_of, asked: float) -> None:
    with pytest.raises(BodyRequestError):
        morpher_of(0).at(asked)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"body_fat_percent": 1.0}, "cannot be the start"),
        ({"body_fat_percent": float("nan")}, "cannot be the start"),
        ({"weight_kg": 5.0}, "not an adult's"),
        ({"sex": "f"}, "give F, M or nothing"),
        ({"betas": np.zeros((2, 40))}, "one body"),
        ({"betas": np.full(40, 99.0)}, "outside the span"),
    ],
    ids=["too lean", "no number", "too light", "sex", "two bodies", "span"],
)
def test_impossible_starts_are_refused(body: BodyData, changed: dict, said: str) -> None:
    start = {"betas": np.zeros(40), "body_fat_percent": 25.0} | changed
    with pytest.raises(BodyRequestError, match=said):
        Morpher(start.pop("betas"), body=body, **start)


def test_a_morph_leaves_what_it_was_given_alone(body: BodyData) -> None:
    betas = np.zeros(40)
    morpher = Morpher(betas, body_fat_percent=25.0, body=body)
    betas += 1
    assert (morpher.at(25.0).betas == 0).all()
    with pytest.raises(ValueError, match="read-only"):
        morpher.at(25.0).betas[0] = 1


# Where the fat goes ------------------------------------------------------------------------------------------------


def test_an_unknown_sex_lies_half_way_between(body: BodyData) -> None:
    between = (fat_direction(body, "F") + fat_direction(body, "M")) / 2
    assert fat_direction(body, None) == pytest.approx(between)


def test_men_put_fat_on_the_waist_and_women_on_hips_and_limbs_too(body: BodyData) -> None:
    grown = {}
    for sex in "FM":
        morpher = Morpher(np.zeros(40), body_fat_percent=20.0, sex=sex, body=body)
        thin, fat = morpher.measured(20.0), morpher.measured(30.0)
        grown[sex] = {name: fat[name] / thin[name] - 1 for name in ("waist_cm", "hip_cm", "arm_cm")}
    assert grown["M"]["waist_cm"] / grown["M"]["hip_cm"] > grown["F"]["waist_cm"] / grown["F"]["hip_cm"]
    assert grown["M"]["waist_cm"] / grown["M"]["arm_cm"] > grown["F"]["waist_cm"] / grown["F"]["arm_cm"]
