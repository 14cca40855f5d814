"""Subgroups: in which group a pair is."""

import pytest

from studies.cohort import groups_of
from studies.frames import canonical
from studies.plan import Subgroup, class_labels


@pytest.fixture
def groups(study):
    """Groups of the visits of a study, as "subject visit: group", by one subgroup of its plan."""

    def find(subgroup, **told):
        built = study(**told, plan={"subgroups": [subgroup]})
        frames = canonical(built.subjects, built.visits, built.measurements)
        found = groups_of(frames, built.plan.subgroups[0], built.plan)
        return [
            f"{row.subject_id} {row.visit}: {group}"
            for row, group in zip(frames.visits.itertuples(), found.astype("object"), strict=True)
        ]

    return find


ONE = """
    subject_id | method | value
    A          | dxa    | 30
    """


@pytest.mark.parametrize(
    ("age", "group"),
    [("17.99", "<18"), ("18", "18–39"), ("39.99", "18–39"), ("40", "40–59"), ("60", "≥60"), ("-", "nan")],
)
def test_a_class_includes_its_lower_bound(groups, age, group):
    """Cut points 18, 40, 60 make four classes. Who is 39.99 years old is in the class 18–39, who is 40 in the next."""
    subjects = f"subject_id | age\nA | {age}"
    subgroup = {"name": "band", "attribute": "age", "cut_points": [18, 40, 60]}
    assert groups(subgroup, subjects=subjects, measurements=ONE) == [f"A v1: {group}"]


def test_labels_are_made_from_the_cut_points():
    """The upper end of a label is the last value below the next cut point, to the decimals of the cut points."""
    assert class_labels([18, 40, 60]) == ["<18", "18–39", "40–59", "≥60"]
    assert class_labels([18.5, 25, 30]) == ["<18.5", "18.5–24.9", "25–29.9", "≥30"]
    assert class_labels([1, 2]) == ["<1", "1", "≥2"]
    assert class_labels([50]) == ["<50", "≥50"]


def test_labels_of_the_plan(groups):
    """`labels` names the classes from the lowest to the highest."""
    subgroup = {"name": "band", "attribute": "age", "cut_points": [50], "labels": ["Younger", "Older"]}
    assert groups(subgroup, subjects="subject_id | age\nA | 50", measurements=ONE) == ["A v1: Older"]


def test_values_of_an_attribute_are_the_groups(groups):
    """Without cut points, each value is a group. `labels` maps values to labels; a value not mapped keeps its name."""
    subjects = """
        subject_id | sex
        A          | F
        B          | M
        C          | -
        """
    measurements = "subject_id | method | value\nA | dxa | 1\nB | dxa | 1\nC | dxa | 1"
    subgroup = {"name": "sex_group", "attribute": "sex", "labels": {"F": "Women"}}
    found = groups(subgroup, subjects=subjects, measurements=measurements)
    assert found == ["A v1: Women", "B v1: M", "C v1: nan"]


def test_values_with_one_label_are_one_group(groups):
    """Small groups are joined beforehand, in the plan."""
    subjects = "subject_id | site\nA | north\nB | south"
    measurements = "subject_id | method | value\nA | dxa | 1\nB | dxa | 1"
    subgroup = {"name": "region", "attribute": "site", "labels": {"north": "Both", "south": "Both"}}
    assert groups(subgroup, subjects=subjects, measurements=measurements) == ["A v1: Both", "B v1: Both"]


def test_age_is_that_of_the_visit(groups):
    """Age at a visit is the age at enrolment and the time since: since `enrolled_on`, or since the first visit."""
    measurements = "subject_id | visit | method | value\nA | v1 | dxa | 1\nA | v2 | dxa | 1"
    visits = """
        subject_id | visit | date
        A          | v1    | 2024-01-01
        A          | v2    | 2025-01-01
        """
    subgroup = {"name": "band", "attribute": "age", "cut_points": [40]}
    told = {"visits": visits, "measurements": measurements}
    assert groups(subgroup, subjects="subject_id | age\nA | 39.5", **told) == ["A v1: <40", "A v2: ≥40"]
    enrolled = "subject_id | age | enrolled_on\nA | 39.5 | 2023-01-01"
    assert groups(subgroup, subjects=enrolled, **told) == ["A v1: ≥40", "A v2: ≥40"]


def test_a_measurand_not_measured_at_the_visit_is_that_of_the_first_visit_with_one(groups):
    """BMI classes of a visit without stature and mass are those of the subject's first visit that has both."""
    measurements = """
        subject_id | visit | measurand        | method | value
        A          | v1    | stature_cm       | tape   | 200
        A          | v1    | weight_kg        | tape   | 100
        A          | v2    | body_fat_percent | dxa    | 20
        A          | v3    | bmi              | tape   | 31
        """
    subgroup = {"name": "bmi_class", "measurand": "bmi", "cut_points": [25, 30]}
    assert groups(subgroup, measurements=measurements) == ["A v1: 25–29", "A v2: 25–29", "A v3: ≥30"]


def test_bands_of_the_outcome_are_those_of_the_reference(groups):
    """A subgroup by the plan's own measurand goes by the reference standard, not by the test that is judged."""
    measurements = """
        subject_id | method | value
        A          | scan   | 35
        A          | dxa    | 25
        """
    subgroup = {"name": "fat_band", "measurand": "body_fat_percent", "cut_points": [30]}
    assert groups(subgroup, measurements=measurements) == ["A v1: <30"]


def test_classes_come_in_order_and_mapped_values_as_the_plan_lists_them():
    """The order of the groups is the order of the report."""
    assert Subgroup(name="x", attribute="sex", labels={"M": "Men", "F": "Women"}).groups == ["Men", "Women"]
    assert Subgroup(name="x", attribute="age", cut_points=[9.0, 10.0, 11.0]).groups == ["<9", "9", "10", "≥11"]
